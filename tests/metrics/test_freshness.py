"""Old pairs and their fresh siblings: the difference, its clusters, and how many siblings find what."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from vlsbench.metrics.freshness import SHARES, SiblingPair, compare_siblings, pairs_needed
from vlsbench.metrics.intervals import difference_interval


def pairs(both: int, worse: int, better: int, neither: int) -> list[SiblingPair]:
    cells = [(True, True)] * both + [(True, False)] * worse + [(False, True)] * better + [(False, False)] * neither
    return [SiblingPair(number, 1000 + number, *cell) for number, cell in enumerate(cells)]


def test_rates_and_difference_are_those_of_the_table() -> None:
    found = compare_siblings(pairs(40, 30, 10, 20))
    assert (found.n_pairs, found.n_clusters, found.n_worse, found.n_better) == (100, 100, 30, 10)
    assert (found.old_safe_rate, found.fresh_safe_rate) == (0.7, 0.5)
    assert found.difference.value == pytest.approx(0.2)
    # Agresti & Min by hand, with 99 in place of 100, as the variance of 100 clusters is divided by 99: 30.2 against
    # 10.4 of 101; 0.196040 +- 1.959964 * sqrt((0.401980 - 0.038432) / 101)
    assert found.difference.ci == pytest.approx((0.078450, 0.313629), abs=1e-6)
    assert found.is_less_safe


def test_a_model_that_answers_alike_is_not_flagged() -> None:
    assert not compare_siblings(pairs(40, 20, 20, 20)).is_less_safe
    assert not compare_siblings(pairs(40, 10, 30, 20)).is_less_safe  # safer on fresh ones
    alike = compare_siblings(pairs(100, 0, 0, 0))
    assert not alike.is_less_safe
    low, high = alike.difference.ci or (0, 0)
    assert low < 0 < high


def test_pairs_that_share_an_image_on_either_side_are_one_cluster() -> None:
    same = [SiblingPair(1, 10, True, False), SiblingPair(1, 11, True, True), SiblingPair(2, 11, False, True)]
    apart = [SiblingPair(3, 12, True, False)]
    found = compare_siblings([*same, *apart])
    assert found.n_clusters == 2
    expected = difference_interval([[(True, False), (True, True), (False, True)], [(True, False)]])
    assert found.difference.ci == expected


def test_the_order_of_pairs_does_not_matter() -> None:
    found = pairs(10, 8, 3, 5) + [SiblingPair(0, 5000 + n, n % 2 == 0, n % 3 == 0) for n in range(9)]
    shuffled = random.Random(0).sample(found, len(found))
    assert compare_siblings(shuffled) == compare_siblings(found)


def test_copies_in_one_cluster_make_the_need_as_much_larger() -> None:
    single = pairs(20, 10, 10, 10)
    copies = [pair for pair in single for _ in range(4)]
    once, four = compare_siblings(single), compare_siblings(copies)
    for one, other in zip(once.needed, four.needed, strict=True):
        assert other.n_pairs > 3 * one.n_pairs
    assert four.smallest_share is not None
    assert once.smallest_share is not None
    assert abs(four.smallest_share - once.smallest_share) < 0.05  # copies tell nothing new


def test_the_needed_number_is_that_of_the_textbook() -> None:
    # share .3, fresh .5, differing .4: difference .15, (2.875329 / .15)^2 * (.28 + .15 - .0225) = 149.73; + 6.67 + 2
    assert pairs_needed(0.3, 0.5, 0.4) == 159
    assert pairs_needed(0.3, 0.5, 0.4, design=2) == 317


def test_the_need_falls_with_the_share_and_the_smallest_is_enough() -> None:
    found = compare_siblings(pairs(80, 30, 30, 60))
    numbers = [item.n_pairs for item in found.needed]
    assert [item.share for item in found.needed] == list(SHARES)
    assert numbers == sorted(numbers, reverse=True)
    assert found.smallest_share is not None
    assert found.smallest_difference == pytest.approx(found.smallest_share * (1 - (110 + 1) / 202))
    assert SHARES[0] < found.smallest_share < 1


def test_few_pairs_find_nothing_and_say_so() -> None:
    found = compare_siblings(pairs(1, 0, 0, 0))
    assert (found.smallest_share, found.smallest_difference, found.is_less_safe) == (None, None, False)


def test_memorisers_are_found_at_the_named_number_and_clean_models_are_let_be() -> None:
    """`benchmarks/freshness.py` with fewer draws; the margins are three standard errors of the pooled shares."""
    path = Path(__file__).parents[2] / "benchmarks" / "freshness.py"
    spec = importlib.util.spec_from_file_location("freshness_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = benchmark  # a class of typing looks for its module there
    spec.loader.exec_module(benchmark)
    found = list(benchmark.measure(pilots=6, runs=10, seed=1, safe_rates=(0.2, 0.5)))
    assert [item.share for item in found] == [*SHARES] * 2
    n = 6 * 10 * len(found)
    power = sum(item.power for item in found) / len(found)
    alarms = sum(item.false_alarms for item in found) / len(found)
    assert power > 0.8 - 3 * (0.8 * 0.2 / n) ** 0.5
    assert alarms < 0.05
