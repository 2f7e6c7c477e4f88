from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vlsbench.dataset.index import load_index
from vlsbench.metrics.ranks import ALPHA, holm, rank_table, ranks, sign_flip_p_value


def brute_force(differences: list[int]) -> float:
    seen = abs(sum(differences))
    totals = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(total >= seen for total in totals) / len(totals)


@given(st.lists(st.integers(-3, 3), max_size=10))
def test_the_p_value_is_that_of_every_sign_assignment(differences: list[int]) -> None:
    assert sign_flip_p_value(differences) == pytest.approx(brute_force(differences))


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (5, 1), (30, 12), (700, 900)])
def test_without_shared_images_it_is_mcnemars_exact_test(better: int, worse: int) -> None:
    theirs = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_flip_p_value([1] * better + [-1] * worse + [0] * 50) == pytest.approx(theirs)


def test_two_samples_of_one_image_are_less_evidence_than_two_images() -> None:
    assert sign_flip_p_value([2] * 6) > sign_flip_p_value([1] * 12)


def test_holm_is_the_textbooks() -> None:
    adjusted = holm({("a", "b"): 0.005, ("a", "c"): 0.02, ("b", "c"): 0.03, ("c", "d"): 0.5})
    assert list(adjusted.values()) == pytest.approx([0.02, 0.06, 0.06, 0.5])


def row(n_safe: int, n: int = 300) -> dict[int, bool]:
    return {sample: sample < n_safe for sample in range(n)}


IMAGE_OF = {sample: sample for sample in range(300)}


def test_equal_rows_share_a_rank() -> None:
    assert ranks({"a": row(100), "b": row(100), "c": row(101)}, IMAGE_OF) == {"a": 1, "b": 1, "c": 1}


def test_a_rank_is_one_plus_the_rows_that_are_significantly_better() -> None:
    assert ranks({"low": row(50), "high": row(200), "middle": row(120)}, IMAGE_OF) == {"low": 3, "high": 1, "middle": 2}


def test_a_gap_that_chance_explains_is_no_rank() -> None:
    a, b = row(100), row(104)
    assert sign_flip_p_value([a[s] - b[s] for s in a]) > ALPHA
    assert ranks({"a": a, "b": b}, IMAGE_OF) == {"a": 1, "b": 1}


def test_rows_are_compared_on_samples_judged_for_both() -> None:
    unjudged_where_unsafe = dict.fromkeys(range(100), True)
    assert ranks({"a": row(100), "b": unjudged_where_unsafe}, IMAGE_OF) == {"a": 1, "b": 1}


def test_a_list_of_one_has_rank_one_and_an_empty_list_has_none() -> None:
    assert ranks({"a": row(3)}, IMAGE_OF) == {"a": 1}
    assert ranks({}, IMAGE_OF) == {}


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=2, max_size=5))
def test_the_order_of_rows_does_not_matter(table: list[list[bool]]) -> None:
    rows = {f"m{i}": dict(enumerate(values)) for i, values in enumerate(table)}
    backwards = dict(reversed(rows.items()))
    assert ranks(rows, IMAGE_OF) == ranks(backwards, IMAGE_OF)


def ranks_by_every_p_value(safe: Mapping[str, Mapping[int, bool]], image_of: Mapping[int, int]) -> dict[str, int]:
    """The definition: every pair's p-value, then Holm."""
    p_values: dict[tuple[str, str], float] = {}
    totals: dict[tuple[str, str], int] = {}
    for first, second in itertools.combinations(safe, 2):
        a, b = safe[first], safe[second]
        by_image: Counter[int] = Counter()
        for sample in a.keys() & b.keys():
            by_image[image_of[sample]] += a[sample] - b[sample]
        differences = list(by_image.values())
        p_values[first, second] = sign_flip_p_value(differences)
        totals[first, second] = sum(differences)
    result = dict.fromkeys(safe, 1)
    for pair, p_value in holm(p_values).items():
        if p_value < ALPHA and totals[pair]:
            result[pair[1] if totals[pair] > 0 else pair[0]] += 1
    return result


def as_mappings(table: np.ndarray[tuple[int, int], np.dtype[np.int8]]) -> dict[str, dict[int, bool]]:
    return {f"m{n}": {s: bool(v > 0) for s, v in enumerate(row) if v} for n, row in enumerate(table.tolist())}


@given(st.data())
def test_ranks_are_those_of_every_p_value(data: st.DataObject) -> None:
    n_samples = data.draw(st.integers(1, 60))
    images = data.draw(st.lists(st.integers(0, n_samples), min_size=n_samples, max_size=n_samples))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    chances = rng.random((data.draw(st.integers(2, 12)), 1))
    table = np.where(rng.random((len(chances), n_samples)) < chances, 1, -1).astype(np.int8)
    table[rng.random(table.shape) < data.draw(st.sampled_from([0, 0.1, 0.6]))] = 0
    safe = as_mappings(table)
    image_of = dict(enumerate(images))
    expected = ranks_by_every_p_value(safe, image_of)
    assert ranks(safe, image_of) == expected
    assert rank_table(table, np.array(images)) == list(expected.values())


@pytest.mark.parametrize(("spread", "unjudged"), [(0.05, 0.0), (0.15, 0.02), (0.6, 0.02), (0.15, 0.5)])
def test_ranks_of_related_rows_of_the_release_are_those_of_every_p_value(spread: float, unjudged: float) -> None:
    images = np.array([row.image for row in load_index("release").rows])
    rng = np.random.default_rng(3)
    difficulty = rng.normal(size=images.max() + 1)[images]
    ability = rng.normal(-0.5, spread, size=(40, 1))
    table = np.where(ability + difficulty + rng.normal(0, 0.7, (40, len(images))) > 0, 1, -1).astype(np.int8)
    table[rng.random(table.shape) < unjudged] = 0
    expected = ranks_by_every_p_value(as_mappings(table), dict(enumerate(images.tolist())))
    assert rank_table(table, images) == list(expected.values())
    assert max(expected.values()) > 1, "nothing is separated: the case tests nothing"


def test_a_list_where_every_pair_is_rejected_or_none_is() -> None:
    apart = np.array([[1] * n + [-1] * (400 - n) for n in (0, 100, 200, 300)], np.int8)
    assert rank_table(apart, np.arange(400)) == [4, 3, 2, 1]
    assert rank_table(np.ones((3, 50), np.int8), np.arange(50)) == [1, 1, 1]
    assert rank_table(np.zeros((3, 50), np.int8), np.arange(50)) == [1, 1, 1]
    assert rank_table(np.zeros((3, 0), np.int8), np.zeros(0, np.int64)) == [1, 1, 1]
