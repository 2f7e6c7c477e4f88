"""Paired tests between rows and the rank groups made of them.

Two rows are compared on the samples judged for both, by an exact sign-flip test whose units are images: under the
hypothesis of no difference, the difference that an image contributes is as likely to have the other sign. Without
shared images this is McNemar's exact test. Holm's procedure keeps the chance of any false "better" in a list at 5%.

A list of 1,000 rows has 499,500 pairs. Most of them are decided by bounds of the p-value that hold for certain; the
p-value itself is computed where the bounds leave Holm's decision open. The ranks are those of computing all.

Pure: no files, no network, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ALPHA", "holm", "rank_table", "ranks", "sign_flip_p_value"]

ALPHA = 0.05
"""Chance of any false "better" within one list."""

_MAX_COLUMNS = 4096
"""Columns of a matrix that is multiplied at once: 16 MB at 1,000 rows."""

_MAX_CODED = 6
"""Samples of an image whose outcomes are numbered in base 3 (729 numbers); more are sorted."""

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.integer]
Outcomes = npt.NDArray[np.int8]
"""Rows by samples: 1 safe, -1 unsafe, 0 not judged."""


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


def ranks(safe: Mapping[str, Mapping[int, bool]], image_of: Mapping[int, int]) -> dict[str, int]:
    """Rank the rows of one list: 1 + the number of rows that are significantly better.

    Args:
        safe: Per row, whether each judged sample was safe; a sample that is absent was not judged.
        image_of: The image of every sample.

    Returns:
        Rank per row. Rows with different ranks may still be inseparable: one has more rows above it that are better
        than itself. Rows judged on no common sample are not compared.
    """
    samples = sorted({sample for row in safe.values() for sample in row})
    column = {sample: number for number, sample in enumerate(samples)}
    table = np.zeros((len(safe), len(samples)), np.int8)
    for number, row in enumerate(safe.values()):
        table[number, [column[sample] for sample in row]] = [1 if is_safe else -1 for is_safe in row.values()]
    images = np.array([image_of[sample] for sample in samples], np.int64)
    return dict(zip(safe, rank_table(table, images), strict=True))


def rank_table(table: Outcomes, images: Ints) -> list[int]:
    """Rank the rows of one list; as `ranks`, of a table.

    Args:
        table: Rows by samples: 1 safe, -1 unsafe, 0 not judged.
        images: The image of every sample.
    """
    if len(table) < 2 or not table.shape[1]:
        return [1] * len(table)
    first, second = np.triu_indices(len(table), 1)
    pairs = _count_pairs(table, images, first, second)
    is_better = _rejected(pairs) & (pairs.totals != 0)
    worse = np.where(pairs.totals > 0, second, first)[is_better]
    found: list[int] = (1 + np.bincount(worse, minlength=len(table))).tolist()
    return found


class _Pairs(NamedTuple):
    """What the test of every pair of rows is made of."""

    totals: Ints
    """Safe answers of the first row minus safe answers of the second, on samples judged for both."""
    sizes: Ints
    """Shape (largest difference, pairs): images whose difference is 1, 2, … in either direction."""


def _count_pairs(table: Outcomes, images: Ints, first: Ints, second: Ints) -> _Pairs:
    safe, unsafe = (table == 1).astype(np.float32), (table == -1).astype(np.float32)
    gained = safe @ unsafe.T  # whole numbers far below 2^24: exact
    totals = (gained - gained.T)[first, second].astype(np.int32)
    _, cluster, n_samples = np.unique(images, return_inverse=True, return_counts=True)
    alone = n_samples[cluster] == 1
    gained = safe[:, alone] @ unsafe[:, alone].T
    counts = [np.zeros_like(gained) for _ in range(n_samples.max())]
    counts[0] += gained + gained.T
    shared = [np.flatnonzero(cluster == number) for number in np.flatnonzero(n_samples > 1)]
    while shared:
        which: list[Floats32] = []
        distance: list[npt.NDArray[np.int8]] = []
        while shared and sum(part.shape[1] for part in which) < _MAX_COLUMNS:
            state_of, states = _states(table[:, shared.pop()])
            up, down = (states == 1).astype(np.int8), (states == -1).astype(np.int8)
            which.append(np.eye(len(states), dtype=np.float32)[state_of])
            distance.append(np.abs(up @ down.T - down @ up.T)[state_of])
        reached = np.hstack(distance)
        for size, count in enumerate(counts, start=1):
            count += np.hstack(which) @ (reached == size).astype(np.float32).T
    return _Pairs(totals, np.array([count[first, second] for count in counts]).astype(np.int32))


def _states(part: Outcomes) -> tuple[Ints, Outcomes]:
    """Number the different rows of a part of a table; return the number of every row, and the rows by number."""
    n_samples = part.shape[1]
    if n_samples > _MAX_CODED:
        states, state_of = np.unique(part, axis=0, return_inverse=True)
        return state_of, states
    codes = (part + 1) @ (3 ** np.arange(n_samples))
    is_there = np.bincount(codes, minlength=3**n_samples) > 0
    present = np.flatnonzero(is_there)
    states = present[:, None] // 3 ** np.arange(n_samples) % 3 - 1
    return (np.cumsum(is_there) - 1)[codes], states.astype(np.int8)


def _rejected(pairs: _Pairs) -> npt.NDArray[np.bool_]:
    """Tell for every pair whether Holm's procedure rejects that the two rows are equal.

    With p sorted ascending it rejects the first k of n, k the first position with `p * (n - k) >= ALPHA`; so it
    rejects exactly `p < ALPHA / (n - k)`. Bounds of the p-values bound k, and that decides most pairs.
    """
    n = len(pairs.totals)
    low, high = _bounds(pairs)
    while True:
        most, least = _first_failure(low), _first_failure(high)
        is_open = (low < _threshold(n, most)) & (high >= _threshold(n, least)) & (low < high)
        if not is_open.any():
            rejected: npt.NDArray[np.bool_] = high < _threshold(n, least)
            return rejected
        low[is_open] = high[is_open] = _p_values(pairs.totals[is_open], pairs.sizes[:, is_open])


def _first_failure(p_values: Floats) -> int:
    fails = np.sort(p_values) * np.arange(len(p_values), 0, -1) >= ALPHA
    return int(fails.argmax()) if fails.any() else len(fails)


def _threshold(n: int, rejected: int) -> float:
    return ALPHA / (n - rejected) if rejected < n else np.inf


@lru_cache(maxsize=1)
def _tails(n: int) -> Floats:
    """Return `tails[m, k]`, the chance that at least k of m fair coins, m <= n, show heads; 0 for k > m."""
    tails = np.zeros((n + 1, n + 2))
    tails[:, 0] = 1.0
    for m in range(1, n + 1):
        tails[m, 1 : m + 1] = (tails[m - 1, :m] + tails[m - 1, 1 : m + 1]) / 2
    return tails


def _bounds(pairs: _Pairs) -> tuple[Floats, Floats]:
    """Bound every p-value from below and above; they are equal where no image has a difference beyond 1.

    Below: a total of T is reached at least where the images of every size reach their own part of T, and sizes are
    independent. Above: Hoeffding's inequality.
    """
    totals, sizes = np.abs(pairs.totals), pairs.sizes
    variance = np.maximum(sum(size * size * count for size, count in enumerate(sizes, start=1)), 1)
    tails = _tails(int(sizes.max()))
    low = np.full(len(totals), 2.0)
    rest = totals.copy()
    part = totals / variance
    for size, count in enumerate(sizes[1:], start=2):
        # Any number of heads would do; this one bounds well.
        heads = np.minimum(count, count * (1 + size * part) / 2).astype(np.int32)
        rest -= size * (2 * heads - count)
        low *= tails[count, heads]
    heads = np.clip((sizes[0] + rest + 1) // 2, 0, sizes[0] + 1)
    low *= tails[sizes[0], heads]
    high = np.where(sizes[1:].any(axis=0), 2 * np.exp(part * totals / -2), low)
    low, high = np.minimum(low, 1), np.minimum(high, 1)
    low[totals == 0] = high[totals == 0] = 1
    return low, high


def _p_values(totals: Ints, sizes: Ints) -> Floats:
    """Compute what `sign_flip_p_value` does, for many pairs at once."""
    tails = _tails(int(sizes.max()))
    found = np.ones(len(totals))
    kinds, kind_of = np.unique(sizes[1:].T, axis=0, return_inverse=True)
    order = np.argsort(kind_of, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(kind_of[order])) + 1):
        chances = np.ones(1)
        for step, count in enumerate(kinds[kind_of[mine[0]]].tolist(), start=2):
            heads = np.zeros(2 * step * count + 1)
            heads[:: 2 * step] = -np.diff(tails[count, : count + 2])
            chances = np.convolve(chances, heads)
        reached = np.flatnonzero(chances)
        ones = sizes[0, mine, None]
        rest = np.abs(totals[mine, None]) - (reached - len(chances) // 2)
        found[mine] = 2 * tails[ones, np.clip((ones + rest + 1) // 2, 0, ones + 1)] @ chances[reached]
    found[totals == 0] = 1
    return np.minimum(found, 1)
