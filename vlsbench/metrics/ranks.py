"""Paired tests between rows, and how far the rank of a row is known.

Two rows are compared on the samples judged for both, by an exact sign-flip test whose units are images: under the
hypothesis of no difference, the difference that an image contributes is as likely to have the other sign. Without
shared images this is McNemar's exact test. Holm's procedure keeps the chance of any false "better" in a list at 5%.

A rank is 1 + the rows that are truly better. `rank_sets` gives a 95% confidence set for it (Mogstad, Romano, Shaikh &
Wilhelm 2024, Review of Economic Studies 91): the row is compared with every other by a studentised paired difference;
those it can be told from are counted. The bar that a difference has to pass is the 95% quantile of the largest one
where all signs are flipped at random, image by image and for all rows at once (a wild bootstrap with Rademacher
weights), so that it knows how the rows are correlated. What passed is set aside and the bar is taken anew of the rest,
until nothing passes any more (step-down: Romano & Wolf 2005).

Pure: no files, no network, no clock; the flips are the same in every run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ALPHA", "Ints", "Outcomes", "RankSet", "RankSets", "holm", "place_sets", "rank_sets", "sign_flip_p_value"]

ALPHA: Final = 0.05
"""Chance of any false "better" within one list, and of a confidence set that misses."""

_N_FLIPS: Final = 3999
"""Random flips. They are few and always the same, so the bar's level is off by 0.34 points (one standard error)."""

_N_FLIPS_LONG: Final = 999
"""The same for lists of more than `_LONG` rows, where the flips take most of the time; off by 0.69 points."""

_LONG: Final = 200

_MAX_FLIPPED: Final = 600
"""Rows of a list beyond which the bar is Hoeffding's bound: it holds for certain and makes the sets wider. A list of
1,000 has half a million pairs to flip, which takes a reader's patience; one of 5,000 has 12 million."""

_SLACK: Final = 1e-4
"""Single precision: a difference has to pass the bar by more than what rounding may add."""

_MAX_SHARED: Final = 32
"""Samples of an image whose pairs are laid out; more are counted by themselves."""

_MAX_COLUMNS: Final = 4096
"""Columns of a matrix that is multiplied at once: 16 MB at 1,000 rows."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.integer]
Outcomes = npt.NDArray[np.int8]
"""Rows by samples: 1 safe, -1 unsafe, 0 not judged."""

RankSet = tuple[int, int]
"""Lowest and highest rank, 1 <= low <= high <= rows."""


class RankSets(NamedTuple):
    """Confidence sets of 95%, one per row."""

    of_row: list[RankSet]
    """Each for itself: a row's true rank is missed in at most 5% of such studies."""
    of_list: list[RankSet]
    """All at once: in at least 95% of such studies no row's true rank is missed. Never narrower."""


def sign_flip_p_value(differences: Sequence[int]) -> float:
    """Two-sided exact p-value of the hypothesis that every image's difference has a random sign.

    Args:
        differences: Per image, safe answers of the first row minus safe answers of the second.

    Returns:
        Share of all sign assignments with a total at least as far from 0 as the one seen.

    >>> round(sign_flip_p_value([1, 1, 1, 1, 1, 0]), 6)
    0.0625
    """
    sizes = Counter(abs(value) for value in differences if value)
    if not sizes:
        return 1.0
    from scipy.stats import binom  # half a second, and few commands compare rows

    distribution = np.ones(1)
    for size, count in sizes.items():
        steps = np.zeros(2 * size * count + 1)
        steps[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        distribution = np.convolve(distribution, steps)
    middle = (len(distribution) - 1) // 2
    seen = abs(sum(differences))
    tail = distribution[: middle - seen + 1].sum() + distribution[middle + seen :].sum() if seen else 1.0
    return min(1.0, float(tail))


def holm(p_values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Adjust p-values by Holm's step-down procedure: compare each with `ALPHA`.

    >>> holm({("a", "b"): 0.01, ("a", "c"): 0.04, ("b", "c"): 0.03})[("a", "b")]
    0.03
    """
    adjusted: dict[tuple[str, str], float] = {}
    running = 0.0
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    for position, (pair, value) in enumerate(ordered):
        running = max(running, min(1.0, value * (len(ordered) - position)))
        adjusted[pair] = running
    return adjusted


def rank_sets(table: Outcomes, images: Ints) -> RankSets:
    """Return the confidence sets of the ranks of the rows of one list.

    Rows judged on no common sample are not told apart.

    Args:
        table: Rows by samples: 1 safe, -1 unsafe, 0 not judged.
        images: The image of every sample.
    """
    if len(table) < 2 or not table.shape[1]:
        whole = [(1, max(1, len(table)))] * len(table)
        return RankSets(whole, whole)
    compared = _compare(table, table, images)
    is_apart = _told_apart_by_row(compared)
    is_apart_of_list = _told_apart_in_list(compared) & is_apart
    return RankSets(_ranges(compared, is_apart, len(table)), _ranges(compared, is_apart_of_list, len(table)))


def place_sets(rows: Outcomes, table: Outcomes, images: Ints) -> list[RankSet]:
    """Return, for each of some rows, the confidence set of the rank it would have if it alone joined a list.

    Args:
        rows: The rows, by samples; what one of them is changes nothing for another.
        table: The rows of the list, by the same samples.
        images: The image of every sample.
    """
    if not len(table) or not table.shape[1]:
        return [(1, len(table) + 1)] * len(rows)
    compared = _compare(rows, table, images)
    return _ranges(compared, _told_apart_by_row(compared), len(table) + 1)


class _Compared(NamedTuple):
    """Some rows against others."""

    statistic: Floats
    """Rows by others: the paired difference over the root of its images' squares; positive where the row is better."""
    flipped: Floats
    """Rows by flips: the row's part of a difference whose signs are flipped."""
    flipped_others: Floats
    scale: Floats
    """Rows by others: what a flipped difference is multiplied with to be studentised; 0 where the two are the same."""


def _ranges(compared: _Compared, is_apart: Bools, n_rows: int) -> list[RankSet]:
    n_better = (is_apart & (compared.statistic < 0)).sum(axis=1)
    n_worse = (is_apart & (compared.statistic > 0)).sum(axis=1)
    return [(1 + better, n_rows - worse) for better, worse in zip(n_better.tolist(), n_worse.tolist(), strict=True)]


def _compare(rows: Outcomes, others: Outcomes, images: Ints) -> _Compared:
    """Compare rows with others; a sample that is not judged for both says nothing of the two."""
    _, cluster = np.unique(images, return_inverse=True)
    said, said_others = rows.astype(np.float32), others.astype(np.float32)
    judged, judged_others = np.abs(said), np.abs(said_others)
    totals = (said @ judged_others.T - judged @ said_others.T) / 2
    squares = _squares((said, judged), (said_others, judged_others), cluster)
    # How rows are correlated is read with gaps filled by what the list's rows say there on average.
    n_judged = np.maximum(judged_others.sum(axis=0), 1)
    usual = said_others.sum(axis=0) / n_judged
    filled, filled_others = (
        _by_image(s + (1 - j) * usual, cluster) for s, j in ((said, judged), (said_others, judged_others))
    )
    flips = _flips(filled.shape[1], _N_FLIPS if len(others) <= _LONG else _N_FLIPS_LONG).astype(np.float32)
    lengths = (filled**2).sum(axis=1)[:, None] + (filled_others**2).sum(axis=1) - 2 * filled @ filled_others.T
    return _Compared(
        np.divide(totals, np.sqrt(squares), out=np.zeros_like(totals), where=squares > 0),
        filled @ flips,
        filled_others @ flips,
        np.where(lengths > 1e-3, 1 / np.sqrt(np.maximum(lengths, 1e-3)), 0).astype(np.float32),
    )


def _squares(rows: tuple[Floats, Floats], others: tuple[Floats, Floats], cluster: Ints) -> Floats:
    """Sum the squares of the differences of every image: of pairs of its samples, the products of their differences."""
    (said, judged), (said_others, judged_others) = rows, others
    found = np.zeros((len(said), len(said_others)), np.float32)
    for first, second in _sample_pairs(cluster):
        both = (judged[:, first] * judged[:, second], judged_others[:, first] * judged_others[:, second])
        found += (said[:, first] * said[:, second]) @ both[1].T + both[0] @ (
            said_others[:, first] * said_others[:, second]
        ).T
        found -= (said[:, first] * judged[:, second]) @ (judged_others[:, first] * said_others[:, second]).T
        found -= (judged[:, first] * said[:, second]) @ (said_others[:, first] * judged_others[:, second]).T
    for number in np.flatnonzero(np.bincount(cluster) > _MAX_SHARED):
        mine = cluster == number
        found += (said[:, mine] @ judged_others[:, mine].T - judged[:, mine] @ said_others[:, mine].T) ** 2
    found /= 4
    return found


def _sample_pairs(cluster: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of samples of one image, a sample with itself too, some columns at a time."""
    n_samples = np.bincount(cluster)
    kept = np.flatnonzero(n_samples[cluster] <= _MAX_SHARED)
    ordered = kept[np.argsort(cluster[kept], kind="stable")]
    sizes = n_samples[cluster[ordered]]
    starts = np.searchsorted(cluster[ordered], cluster[ordered])
    firsts = np.repeat(ordered, sizes)
    within = np.arange(len(firsts)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    seconds = ordered[np.repeat(starts, sizes) + within]
    for start in range(0, len(firsts), _MAX_COLUMNS):
        yield firsts[start : start + _MAX_COLUMNS], seconds[start : start + _MAX_COLUMNS]


def _by_image(values: Floats, cluster: Ints) -> Floats:
    """Sum values per image, halved: a difference of 1 is from -1 to 1."""
    order = np.argsort(cluster, kind="stable")
    starts = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    sums: Floats = np.add.reduceat(values[:, order], starts, axis=1)
    sums /= 2
    return sums


@lru_cache(maxsize=8)
def _flips(n_images: int, n_flips: int) -> Outcomes:
    """Return random signs, images by flips; the same in every run."""
    return np.random.default_rng(20250406).choice(np.array([-1, 1], np.int8), size=(n_images, n_flips))


def _told_apart_by_row(compared: _Compared) -> Bools:
    """Tell, for every row by itself, from which others it is told apart."""
    seen = np.abs(compared.statistic)
    n_rows, n_others = seen.shape
    is_apart = np.array(
        [_pass_hoeffding(mine, int((scale > 0).sum())) for mine, scale in zip(seen, compared.scale, strict=True)]
    )
    if n_others > _MAX_FLIPPED:
        return is_apart
    for row in range(n_rows):
        rest = np.flatnonzero(~is_apart[row] & (compared.scale[row] > 0))
        while len(rest):
            largest = _largest(compared, row, rest)
            passes = seen[row, rest] > _bar(largest)
            if not passes.any():
                break
            is_apart[row, rest[passes]] = True
            rest = rest[~passes]
    return is_apart


def _told_apart_in_list(compared: _Compared) -> Bools:
    """Tell which rows of a list are told apart; no pair falsely, with a chance of 95%."""
    seen = np.abs(compared.statistic)
    n_rows = len(seen)
    upper = np.triu(compared.scale > 0, 1)
    is_apart = np.zeros(seen.shape, np.bool_)
    is_apart[upper] = _pass_hoeffding(seen[upper], int(upper.sum()))
    rest = upper & ~is_apart
    while n_rows <= _MAX_FLIPPED and rest.any():
        largest = np.zeros(compared.flipped.shape[1], np.float32)
        for row in range(n_rows):
            if rest[row].any():
                np.maximum(largest, _largest(compared, row, np.flatnonzero(rest[row])), out=largest)
        passes = rest & (seen > _bar(largest))
        if not passes.any():
            break
        is_apart |= passes
        rest &= ~passes
    return is_apart | is_apart.T


def _largest(compared: _Compared, row: int, others: Ints) -> Floats:
    """Return the largest studentised difference of a row from others, of every flip."""
    distance = compared.flipped_others[others] - compared.flipped[row]
    np.abs(distance, out=distance)
    distance *= compared.scale[row, others, None]
    largest: Floats = distance.max(axis=0)
    return largest


def _bar(largest: Floats) -> float:
    """Return what a difference has to pass: fewer than 5% of the flips, what was seen counted among them, pass it.

    It is the quantile one standard error above 95%, because few flips may set it too low. With two, Holm's ranges of 60
    evenly spaced rows were as narrow.
    """
    level = 1 - ALPHA + (ALPHA * (1 - ALPHA) / len(largest)) ** 0.5
    place = int(np.ceil(level * (len(largest) + 1))) - 1
    return float(np.partition(largest, place)[place]) * (1 + _SLACK)


def _pass_hoeffding(seen: Floats, n_compared: int) -> Bools:
    """Tell which differences pass a bar that no quantile of flips is above, step by step.

    A sum of flipped signs over the root of its squares passes t with a chance of at most 2 exp(-t²/2) (Hoeffding).
    """
    order = np.argsort(-seen, kind="stable")
    left = np.maximum(n_compared - np.arange(len(seen)), 1)
    fails = seen[order] <= np.sqrt(2 * np.log(2 * left / ALPHA)) * (1 + _SLACK)
    passes = np.zeros(len(seen), np.bool_)
    passes[order[: int(fails.argmax()) if fails.any() else len(seen)]] = True
    return passes
