from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vlsbench.metrics.ranks import ALPHA, holm, ranks, sign_flip_p_value


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
