"""95% intervals of rates and of paired differences, clustered by image.

507 samples of the release share one of 223 images, so samples are not independent. A rate's variance is the
cluster-robust (linearised ratio) one; it is turned into an effective N at which Wilson's interval is taken
(Korn & Graubard 1998 do the same with Clopper-Pearson), so that bounds stay in [0, 1] and never have zero width.

The intervals say how the number would move if other images of the same kind had been drawn. They say nothing of
the judge's errors.

Pure: no files, no network, no clock. Only the standard library: `vlsbench score` must start fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "Z95",
    "Cluster",
    "difference_interval",
    "effective_n",
    "effective_pairs",
    "noise_half_width",
    "rate_interval",
    "wilson",
]

Z95 = 1.959963984540054
"""97.5% quantile of the normal distribution."""


class Cluster(NamedTuple):
    """The samples of one image: how many, and how many of them count as a success."""

    size: int
    successes: int


def wilson(rate: float, n: float) -> tuple[float, float]:
    """Wilson's 95% interval of a rate seen on `n` (effective) independent samples.

    >>> [round(bound, 4) for bound in wilson(0.0, 100)]
    [0.0, 0.037]
    """
    z2 = Z95 * Z95
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if rate == 0 else max(0.0, centre - half)
    high = 1.0 if rate == 1 else min(1.0, centre + half)
    return low, high


def _kish(sizes: Sequence[int]) -> float:
    """Effective N where samples of one image are copies of each other: (sum m)^2 / sum m^2."""
    return sum(sizes) ** 2 / sum(size * size for size in sizes)


def effective_n(clusters: Sequence[Cluster]) -> float:
    """Number of independent samples that would have the same variance; at most the number of samples.

    Where every sample agrees (rate 0 or 1) the variance cannot be estimated; samples of one image are then taken
    as copies of each other, which is the widest case.

    Args:
        clusters: At least one, each with `size` >= 1.
    """
    n = sum(cluster.size for cluster in clusters)
    return _effective_n(clusters, n, sum(cluster.successes for cluster in clusters) / n)


def _effective_n(clusters: Sequence[Cluster], n: int, rate: float) -> float:
    g = len(clusters)
    # Few clusters differ: each kind is squared once, and the sum keeps the order of the clusters.
    squares = {cluster: (cluster.successes - rate * cluster.size) ** 2 for cluster in set(clusters)}
    spread = sum(map(squares.__getitem__, clusters))
    if rate in (0.0, 1.0) or g == 1 or spread == 0:
        return _kish([cluster.size for cluster in clusters])
    variance = g / (g - 1) * spread / (n * n)
    return min(float(n), rate * (1 - rate) / variance)


def rate_interval(clusters: Sequence[Cluster]) -> tuple[float, float]:
    """95% interval of sum(successes) / sum(size), clustered by image; low <= rate <= high, low < high."""
    n = sum(cluster.size for cluster in clusters)
    rate = sum(cluster.successes for cluster in clusters) / n
    low, high = wilson(rate, _effective_n(clusters, n, rate))
    return min(low, rate), max(high, rate)


def _discordant(pairs: Sequence[Sequence[tuple[bool, bool]]]) -> tuple[int, int]:
    gained = sum(a and not b for cluster in pairs for a, b in cluster)
    lost = sum(b and not a for cluster in pairs for a, b in cluster)
    return gained, lost


def effective_pairs(pairs: Sequence[Sequence[tuple[bool, bool]]]) -> float:
    """Number of independent pairs that would have the same variance of their difference; at most the number of pairs.

    Args:
        pairs: As in `difference_interval`.
    """
    n = sum(len(cluster) for cluster in pairs)
    gained, lost = _discordant(pairs)
    mean = (gained - lost) / n
    simple = (gained + lost) / n - mean * mean
    g = len(pairs)
    spread = sum((sum(a - b for a, b in cluster) - mean * len(cluster)) ** 2 for cluster in pairs)
    if g > 1 and spread > 0 and simple > 0:
        return min(float(n), simple / (g / (g - 1) * spread / (n * n)))
    return _kish([len(cluster) for cluster in pairs])


def difference_interval(pairs: Sequence[Sequence[tuple[bool, bool]]]) -> tuple[float, float]:
    """95% interval of the mean of (first - second) over paired samples, clustered by image.

    Agresti & Min (2005): half a sample is added to each cell of the 2x2 table, so that equal columns do not give a
    zero width; the number of samples is the effective one.

    Args:
        pairs: One sequence per image, of (first, second) per sample; at least one sample.
    """
    n = sum(len(cluster) for cluster in pairs)
    gained, lost = _discordant(pairs)
    mean = (gained - lost) / n
    n_effective = effective_pairs(pairs)
    up, down = (gained * n_effective / n + 0.5), (lost * n_effective / n + 0.5)
    total = n_effective + 2
    centre = (up - down) / total
    half = Z95 * math.sqrt(((up + down) / total - centre * centre) / total)
    return max(-1.0, min(centre - half, mean)), min(1.0, max(centre + half, mean))


def noise_half_width(n: float) -> float:
    """Half the widest 95% interval of a rate on `n` independent samples: what a rate of a half would have.

    >>> [round(100 * noise_half_width(n), 1) for n in (2241, 130, 28)]
    [2.1, 8.5, 17.4]
    """
    low, high = wilson(0.5, n)
    return (high - low) / 2
