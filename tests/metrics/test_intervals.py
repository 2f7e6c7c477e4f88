from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.metrics.intervals import (
    Cluster,
    difference_interval,
    effective_n,
    exact_difference_interval,
    rate_interval,
    wilson,
)

clusters = st.lists(
    st.integers(1, 3).flatmap(lambda size: st.builds(Cluster, st.just(size), st.integers(0, size))),
    min_size=1,
    max_size=60,
)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (148, 2241), (2241, 2241)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    from scipy.stats import binomtest

    theirs = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(clusters)
def test_an_interval_holds_its_rate_stays_in_range_and_has_width(found: list[Cluster]) -> None:
    rate = sum(c.successes for c in found) / sum(c.size for c in found)
    low, high = rate_interval(found)
    assert 0 <= low <= rate <= high <= 1
    assert high - low > 0


@given(clusters)
def test_the_effective_n_is_positive_and_at_most_n(found: list[Cluster]) -> None:
    assert 0 < effective_n(found) <= sum(c.size for c in found)


@given(clusters)
def test_the_order_of_images_does_not_matter(found: list[Cluster]) -> None:
    assert rate_interval(found) == pytest.approx(rate_interval(found[::-1]))


def test_copies_of_one_image_count_once() -> None:
    alone = [Cluster(1, i % 2) for i in range(100)]
    copied = [Cluster(3, 3 * (i % 2)) for i in range(100)]
    assert effective_n(copied) == pytest.approx(effective_n(alone), rel=0.02)


def test_without_shared_images_the_interval_is_wilsons() -> None:
    low, high = rate_interval([Cluster(1, i < 30) for i in range(200)])
    assert (low, high) == pytest.approx(wilson(0.15, 200), abs=1e-3)


@pytest.mark.parametrize("successes", [0, 1])
def test_a_constant_answer_has_an_interval_as_wide_as_its_number_of_images(successes: int) -> None:
    shared = rate_interval([Cluster(3, 3 * successes)] * 20)
    assert shared == wilson(float(successes), 20)


def test_intervals_cover_what_they_promise() -> None:
    """Images share one draw of difficulty: the share of intervals that hold the truth is near 95%."""
    rng = random.Random(7)
    hits = 0
    n_runs = 600
    for _ in range(n_runs):
        found = []
        for _ in range(150):
            p = rng.betavariate(0.4, 1.6)  # mean 0.2, samples of one image strongly alike
            size = rng.choice([1, 1, 2, 3])
            found.append(Cluster(size, sum(rng.random() < p for _ in range(size))))
        low, high = rate_interval(found)
        hits += low <= 0.2 <= high
    assert 0.93 <= hits / n_runs <= 0.97


pairs = st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=3), min_size=1, max_size=60)


@given(pairs)
def test_a_difference_interval_holds_its_mean_stays_in_range_and_has_width(
    found: list[list[tuple[bool, bool]]],
) -> None:
    n = sum(len(cluster) for cluster in found)
    mean = sum(a - b for cluster in found for a, b in cluster) / n
    low, high = difference_interval(found)
    assert -1 <= low <= mean <= high <= 1
    assert high - low > 0


@given(pairs)
def test_swapping_the_columns_turns_the_interval_round(found: list[list[tuple[bool, bool]]]) -> None:
    low, high = difference_interval(found)
    swapped = difference_interval([[(b, a) for a, b in cluster] for cluster in found])
    assert swapped == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize("n", [1, 4, 9, 14])
def test_the_exact_interval_covers_at_least_what_it_promises_whatever_is_true(n: int) -> None:
    """Every outcome of n pairs is counted with its chance, under a grid of truths."""
    ends = {
        (gained, lost): exact_difference_interval(n, gained=gained, lost=lost)
        for gained in range(n + 1)
        for lost in range(n + 1 - gained)
    }
    worst = 1.0
    for up in range(11):
        for down in range(11 - up):
            p, q = up / 10, down / 10
            r = max(0.0, 1 - p - q)
            covered = sum(
                math.comb(n, gained) * math.comb(n - gained, lost) * (p**gained * q**lost * r ** (n - gained - lost))
                for (gained, lost), (low, high) in ends.items()
                if low - 1e-9 <= p - q <= high + 1e-9
            )
            worst = min(worst, covered)
    assert worst >= 0.95


@pytest.mark.parametrize(("n", "gained", "lost"), [(41, 0, 0), (41, 20, 1), (200, 30, 30), (1000, 400, 100)])
def test_the_exact_interval_holds_its_value_turns_round_and_is_not_much_wider(n: int, gained: int, lost: int) -> None:
    low, high = exact_difference_interval(n, gained=gained, lost=lost)
    assert low < (gained - lost) / n < high
    assert exact_difference_interval(n, gained=lost, lost=gained) == pytest.approx((-high, -low), abs=1e-9)
    alone = [[(True, False)]] * gained + [[(False, True)]] * lost + [[(True, True)]] * (n - gained - lost)
    near = difference_interval(alone)
    assert high - low < (near[1] - near[0]) * (1.1 if n >= 1000 else 1.5 if gained else 3)
