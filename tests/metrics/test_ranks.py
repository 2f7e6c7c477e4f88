from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.dataset.index import load_index
from vlsbench.metrics import ranks
from vlsbench.metrics.ranks import ALPHA, Outcomes, RankSets, holm, place_sets, rank_sets, sign_flip_p_value


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
    from scipy.stats import binomtest

    theirs = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_flip_p_value([1] * better + [-1] * worse + [0] * 50) == pytest.approx(theirs)


def test_two_samples_of_one_image_are_less_evidence_than_two_images() -> None:
    assert sign_flip_p_value([2] * 6) > sign_flip_p_value([1] * 12)


def test_holm_is_the_textbooks() -> None:
    adjusted = holm({("a", "b"): 0.005, ("a", "c"): 0.02, ("b", "c"): 0.03, ("c", "d"): 0.5})
    assert list(adjusted.values()) == pytest.approx([0.02, 0.06, 0.06, 0.5])


def rows_of(*n_safe: int, n: int = 300) -> Outcomes:
    """Rows that answer their first samples safely."""
    return np.array([[1] * safe + [-1] * (n - safe) for safe in n_safe], np.int8).reshape(len(n_safe), n)


IMAGES = np.arange(300)


def test_rows_far_apart_have_ranges_of_one_rank() -> None:
    found = rank_sets(rows_of(50, 200, 120), IMAGES)
    assert found == RankSets([(3, 3), (1, 1), (2, 2)], [(3, 3), (1, 1), (2, 2)])


def test_rows_that_answer_alike_are_never_told_apart() -> None:
    """Also at 0 and at 100%, and where nothing was judged."""
    for table in (rows_of(100, 100, 100), rows_of(0, 0, 0), rows_of(300, 300, 300), rows_of(9, 9, 9) * 0):
        assert rank_sets(table.astype(np.int8), IMAGES) == RankSets([(1, 3)] * 3, [(1, 3)] * 3)


def test_a_gap_that_chance_explains_is_in_both_ranges() -> None:
    # Four samples more: an exact test says 0.125, and of six 0.03.
    assert sign_flip_p_value([1] * 4) > ALPHA > sign_flip_p_value([1] * 6)
    assert rank_sets(rows_of(100, 104), IMAGES).of_row == [(1, 2), (1, 2)]
    assert rank_sets(rows_of(100, 106), IMAGES).of_row == [(2, 2), (1, 1)]


@pytest.mark.parametrize(("better", "worse"), [(8, 1), (15, 5), (16, 5), (40, 26), (44, 24), (195, 160), (220, 160)])
def test_of_two_rows_the_range_says_what_the_exact_test_says(better: int, worse: int) -> None:
    from scipy.stats import binomtest

    first = [1] * better + [-1] * worse + [1] * 100
    second = [-1] * better + [1] * worse + [1] * 100
    found = rank_sets(np.array([first, second], np.int8), np.arange(len(first)))
    is_apart = binomtest(better, better + worse).pvalue <= ALPHA
    assert found.of_row == found.of_list == ([(1, 1), (2, 2)] if is_apart else [(1, 2), (1, 2)])


def test_two_samples_of_one_image_count_as_one_difference() -> None:
    table = rows_of(100, 106)
    twice = np.repeat(np.arange(150), 2)  # the six samples are of three images
    assert rank_sets(table, IMAGES).of_row == [(2, 2), (1, 1)]
    assert rank_sets(table, twice).of_row == [(1, 2), (1, 2)]


def test_rows_are_compared_on_samples_judged_for_both() -> None:
    table = rows_of(100, 100)
    table[1, 100:] = 0
    assert rank_sets(table, IMAGES).of_row == [(1, 2), (1, 2)]
    table[0, :100] = 0  # none is judged for both
    assert rank_sets(table, IMAGES).of_row == [(1, 2), (1, 2)]


def test_an_empty_list_has_no_ranges_and_a_list_of_one_has_rank_one() -> None:
    assert rank_sets(rows_of(), IMAGES) == RankSets([], [])
    assert rank_sets(rows_of(3), IMAGES) == RankSets([(1, 1)], [(1, 1)])
    assert rank_sets(np.zeros((2, 0), np.int8), np.zeros(0, np.int64)).of_row == [(1, 2), (1, 2)]


def related(rng: np.random.Generator, abilities: list[float], unjudged: float = 0.0) -> Outcomes:
    """Rows of the release that find the same images hard."""
    difficulty = rng.normal(size=RELEASE.max() + 1)[RELEASE]
    noise = rng.normal(0, 0.7, (len(abilities), len(RELEASE)))
    table = np.where(np.array(abilities)[:, None] + difficulty + noise > 0, 1, -1).astype(np.int8)
    table[rng.random(table.shape) < unjudged] = 0
    return table


RELEASE = np.array([row.image for row in load_index("release").rows])


def squares_by_hand(first: np.ndarray, second: np.ndarray, images: np.ndarray) -> tuple[float, float]:
    both = (first != 0) & (second != 0)
    by_image = [((first - second)[both & (images == image)] / 2).sum() for image in np.unique(images)]
    return float(sum(by_image)), float(sum(value**2 for value in by_image))


@given(st.data())
def test_the_statistic_is_the_paired_difference_over_the_root_of_its_images_squares(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 90))
    images = np.array(data.draw(st.lists(st.integers(0, data.draw(st.integers(0, n))), min_size=n, max_size=n)))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    table = rng.choice(np.array([-1, 0, 1], np.int8), size=(4, n))
    found = ranks._compare(table, table, images).statistic
    for first, second in itertools.combinations(range(4), 2):
        total, squares = squares_by_hand(table[first], table[second], images)
        expected = total / np.sqrt(squares) if squares else 0.0
        assert found[first, second] == pytest.approx(expected, abs=1e-4)
        assert found[second, first] == pytest.approx(-expected, abs=1e-4)


def test_the_order_of_rows_does_not_matter_and_a_range_of_the_list_holds_that_of_the_row() -> None:
    rng = np.random.default_rng(5)
    table = related(rng, list(rng.normal(0, 0.15, 25)), unjudged=0.02)
    order = rng.permutation(25)
    found, shuffled = rank_sets(table, RELEASE), rank_sets(table[order], RELEASE)
    assert shuffled.of_row == [found.of_row[place] for place in order]
    assert shuffled.of_list == [found.of_list[place] for place in order]
    assert all(low <= lo <= hi <= high for (lo, hi), (low, high) in zip(*found, strict=True))
    assert any(wide != narrow for narrow, wide in zip(*found, strict=True))


def test_a_range_holds_the_rank_by_rate_where_every_answer_is_judged() -> None:
    rng = np.random.default_rng(6)
    table = related(rng, list(rng.normal(0, 0.3, 30)))
    n_safe = (table == 1).sum(axis=1)
    for (low, high), mine in zip(rank_sets(table, RELEASE).of_row, n_safe, strict=True):
        assert low <= 1 + (n_safe > mine).sum() <= high


def test_a_place_is_the_range_that_the_row_has_once_it_is_in_the_list() -> None:
    rng = np.random.default_rng(7)
    table = related(rng, list(rng.normal(0, 0.2, 13)))
    inside, outside = table[:10], table[10:]
    together = [rank_sets(np.vstack([inside, row]), RELEASE).of_row[-1] for row in outside]
    assert place_sets(outside, inside, RELEASE) == together
    assert place_sets(outside[:1], inside, RELEASE) == together[:1], "another that waits changes nothing"
    assert place_sets(outside, table[:0], RELEASE) == [(1, 1)] * 3


def test_a_long_list_has_wider_ranges_and_none_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    table = related(rng, list(np.linspace(-1, 1, 20)))
    narrow = rank_sets(table, RELEASE)
    monkeypatch.setattr(ranks, "_MAX_FLIPPED", 5)
    wide = rank_sets(table, RELEASE)
    for (low, high), (lowest, highest) in zip(narrow.of_row, wide.of_row, strict=True):
        assert lowest <= low <= high <= highest
    assert wide.of_row[0] != (1, 20), "rows far apart are told apart all the same"


def test_in_lists_of_equal_models_a_range_rarely_leaves_one_out() -> None:
    """The short form of `benchmarks/ranks.py`: 5% of the rows may be told apart from one that is as good."""
    rng = np.random.default_rng(9)
    n_wrong, n_lists = 0, 30
    for _ in range(n_lists):
        found = rank_sets(related(rng, [0.0] * 8), RELEASE)
        n_wrong += sum(mine != (1, 8) for mine in found.of_row)
    assert n_wrong <= 24  # of 240 rows 12 are expected; more than 24 have a chance of 1 in 1,000 were rows apart
