"""How far held-out numbers move between sets: against refits, known variances and the benchmark's own code."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vlsbench.leakage.estimates import bits_measure, mean_measure, placements, share_measure, within_fold_auc
from vlsbench.leakage.predictability import Task
from vlsbench.leakage.spread import Factor, _by_directions, _by_items, measure_spread

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.leakage_coverage import REGIMES, coverage


@pytest.mark.parametrize("held_out", [_by_items, _by_directions])
def test_what_is_held_out_by_one_inverse_is_what_a_refit_predicts(held_out: object) -> None:
    from sklearn.linear_model import Ridge

    draw = np.random.default_rng(0)
    design = draw.normal(size=(20, 6)).astype(np.float32)
    truth = draw.normal(size=(20, 2)).astype(np.float32)
    blocks = [slice(0, 5), slice(5, 13), slice(13, 20)]
    told = held_out(design, truth, blocks, np.float32(0.7))  # type: ignore[operator]
    for block in blocks:
        train = np.setdiff1d(np.arange(20), np.arange(20)[block])
        model = Ridge(alpha=0.7, fit_intercept=False).fit(design[train], truth[train])
        assert told[block] == pytest.approx(model.predict(design[block]), abs=1e-3)


def test_the_larger_of_both_variances_is_believed() -> None:
    factor = Factor(of_stated=2.0, per_item=0.5)
    assert factor.widened(0.01, 100) == 0.02
    assert factor.widened(0.001, 100) == 0.005
    assert factor.widened(0.001, 100, unit=0.25) == 0.002
    assert Factor(of_stated=0.3).widened(0.01, 100) == 0.01  # never narrower than what is stated


def test_where_text_tells_nothing_an_auc_varies_about_twice_as_much_as_its_items_say() -> None:
    # Every pair of items is compared twice: i held out of j's model and j held out of i's.
    factors = []
    for seed in range(12):
        draw = np.random.default_rng(seed)
        y = draw.permutation(np.arange(120) % 2)
        task = Task("harm", np.arange(120), ("a", "b"), y, np.arange(120), {})
        factors.append(
            measure_spread(task, draw.normal(size=(120, 60)) / 60**0.5, np.arange(120) % 5, strength=3.0, seed=0)
        )
    assert 1.5 < np.mean([found.auc.of_stated for found in factors]) < 2.7


def test_twins_move_nothing() -> None:
    draw = np.random.default_rng(0)
    half = draw.normal(size=(40, 10))
    task = Task("harm", np.arange(80), ("a", "b"), np.repeat([0, 1], 40), np.arange(80) % 40, {})
    found = measure_spread(task, np.concatenate([half, half]), np.arange(80) % 40 % 5, strength=3.0, seed=0)
    assert (found.auc.of_stated, found.auc.per_item) == (1.0, pytest.approx(0.0, abs=1e-9))


def test_placements_of_all_segments_at_once_are_those_of_each() -> None:
    draw = np.random.default_rng(3)
    score, positive = draw.integers(0, 6, 90).astype(float), draw.random(90) < 0.5
    segment, weights = np.arange(90) % 3, draw.random(90) + 0.5
    together = placements(score, positive, segment, weights)
    for number in range(3):
        rows = np.flatnonzero(segment == number)
        alone = placements(score[rows], positive[rows], np.zeros(30, dtype=np.int64), weights[rows])
        assert together.better[rows] == pytest.approx(alone.better)
        assert together.n_other[rows] == pytest.approx(alone.n_other)


def test_a_weighted_auc_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(1)
    score, positive, weights = draw.integers(0, 9, 70).astype(float), draw.random(70) < 0.4, draw.random(70) + 0.1
    found = within_fold_auc(score, positive, np.zeros(70, dtype=np.int64), np.arange(70), weights)
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(positive, score, sample_weight=weights))


def test_a_weight_of_two_is_a_copy_in_the_same_group() -> None:
    draw = np.random.default_rng(2)
    score, positive = draw.normal(size=40), draw.random(40) < 0.5
    copies = 1 + np.arange(40) % 2
    one = within_fold_auc(score, positive, np.zeros(40, dtype=np.int64), np.arange(40), copies.astype(float))
    rows = np.repeat(np.arange(40), copies)
    two = within_fold_auc(score[rows], positive[rows], np.zeros(len(rows), dtype=np.int64), rows)
    assert one is not None
    assert two is not None
    assert one.value == pytest.approx(two.value)
    assert one.influence == pytest.approx(np.bincount(rows, weights=two.influence))


def test_a_wider_interval_holds_the_narrow_one() -> None:
    is_right, values = np.arange(50) % 3 > 0, np.linspace(-0.2, 0.9, 50)
    plain, wide = (share_measure(is_right, np.arange(50), wider=factor) for factor in (1.0, 2.0))
    assert wide.low < plain.low < plain.high < wide.high
    assert plain.value == wide.value
    even, longer = mean_measure(values, np.arange(50)), bits_measure(values, np.arange(50))
    assert longer.low == pytest.approx(even.low)
    assert longer.high > even.high
    assert bits_measure(np.zeros(50), np.arange(50), least=0.01).high > 0.1


def test_the_benchmark_of_coverage_counts_what_it_says() -> None:
    found = {row.number: row for row in coverage(REGIMES[2], n_sets=16)}
    assert found.keys() == {"accuracy", "auc", "bits"}
    for row in found.values():
        assert row.share >= 0.75  # 0.93 to 0.97 in the long run: fewer than 12 of 16 in one run of 10,000
        assert row.width > row.width_stated
        assert row.error == pytest.approx((row.share * (1 - row.share) / 16) ** 0.5)
    assert 0.6 < found["auc"].truth < 0.8
