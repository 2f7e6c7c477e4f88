"""95% intervals of what an audit measures, clustered by group (image, near-duplicate text, template).

Accuracy and shares: Wilson at the effective N of the clustered variance, as for every rate of the package
(`metrics.intervals`). AUC: the variance of its placement values (DeLong 1988) summed over groups (Obuchowski 1997),
turned into an effective N at which Wilson's interval is taken, so that bounds stay in [0, 1] and never have zero width;
near one half its upper side is longer, as that of bits is.
Bits: t below; above, a score interval whose variance grows with the bits. All three take a factor on the variance: of
held-out predictions the formulas state too little, and `spread.py` says by how much. `benchmarks/leakage_coverage.py`
measures how often the intervals hold the truth. Pure: no files, no network, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vlsbench.leakage.records import Measure
from vlsbench.metrics.intervals import Z95, Cluster, effective_n, wilson

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = [
    "Auc",
    "Placed",
    "auc_variance",
    "bits_measure",
    "macro_auc",
    "mean_measure",
    "mean_variance",
    "placements",
    "share_measure",
    "share_variance",
    "within_fold_auc",
]


def share_measure(is_success: Bools, groups: Ints, *, wider: float = 1.0) -> Measure:
    """Return a share with its interval and count.

    Args:
        is_success: One per item, at least one.
        groups: Group of every item.
        wider: Factor on the variance, at least 1.
    """
    n, count = len(is_success), int(is_success.sum())
    low, high = wilson(count / n, _effective_n(is_success, groups) / wider)
    return Measure(value=count / n, low=min(low, count / n), high=max(high, count / n), n=n, count=count)


def share_variance(is_success: Bools, groups: Ints) -> float:
    """Return the clustered variance of a share; 0 at 0% and 100%."""
    value = float(is_success.mean())
    return value * (1 - value) / _effective_n(is_success, groups)


def _effective_n(is_success: Bools, groups: Ints) -> float:
    import numpy as np

    _, group = np.unique(groups, return_inverse=True)
    successes = np.bincount(group, weights=is_success).astype(int)
    return effective_n([Cluster(int(m), int(k)) for m, k in zip(np.bincount(group), successes, strict=True)])


def mean_measure(values: Floats, groups: Ints) -> Measure:
    """Return a mean with its interval: t, over sums per group.

    Args:
        values: One per item, at least one.
        groups: Group of every item.
    """
    mean, n = float(values.mean()), len(values)
    variance, quantile = mean_variance(values, groups), _t_quantile(groups)
    half = float(abs(values).max()) if quantile is None else quantile * variance**0.5
    return Measure(value=mean, low=mean - half, high=mean + half, n=n)


def bits_measure(values: Floats, groups: Ints, *, wider: float = 1.0, least: float = 0.0) -> Measure:
    """Return the mean of bits with its interval.

    Its upper side is that of a score test whose variance grows with the mean, as that of bits does: where text tells
    little, a low estimate has a small variance, and an upper side as long as the lower would leave the truth above.

    Args:
        values: One per item, at least one.
        groups: Group of every item.
        wider: Factor on the variance, at least 1.
        least: Variance below which nothing is believed.
    """
    mean, n = float(values.mean()), len(values)
    quantile = _t_quantile(groups)
    if quantile is None:
        return mean_measure(values, groups)
    variance = max(wider * mean_variance(values, groups), least)
    square = quantile**2 * variance
    shift = square / (2 * (max(mean, 0.0) + variance**0.5)) if square > 0 else 0.0
    return Measure(value=mean, low=mean - square**0.5, high=mean + shift + (shift**2 + square) ** 0.5, n=n)


def mean_variance(values: Floats, groups: Ints) -> float:
    """Return the clustered variance of a mean; 0 where there is one group."""
    import numpy as np

    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=values - values.mean())
    return len(sums) / max(len(sums) - 1, 1) * float(np.sum(sums**2)) / len(values) ** 2


def _t_quantile(groups: Ints) -> float | None:
    import numpy as np
    from scipy.stats import t

    g = len(np.unique(groups))
    return float(t.ppf(0.975, g - 1)) if g > 1 else None


class Auc(NamedTuple):
    """An AUC and how every item moves it."""

    value: float
    influence: Floats
    """Per item; they sum to about 0, and their clustered sum of squares is the variance."""
    n_least: float
    """Effective number of items of the smaller class, where every group is a copy of one item."""


def within_fold_auc(
    score: Floats, is_positive: Bools, folds: Ints, groups: Ints, weights: Floats | None = None
) -> Auc | None:
    """Compare positives with negatives of their own fold only: scores of two models are not on one scale.

    Over pairs of two folds an AUC falls below a half where text tells nothing, because a class that is frequent in a
    fold is rare in the training set of that fold's model.

    Args:
        weights: Per item, above 0; a pair weighs their product. All 1 where None.

    Returns:
        None where no fold holds both.
    """
    import numpy as np

    each = np.ones(len(score)) if weights is None else weights
    placed = placements(score, is_positive, folds, each)
    pairs = float((each * placed.n_other)[is_positive].sum())
    if not pairs:
        return None
    value = float((each * placed.better)[is_positive].sum()) / pairs
    influence = each * (placed.better - value * placed.n_other) / pairs
    least = min(_kish(groups[part], each[part]) for part in (is_positive, ~is_positive))
    return Auc(value, influence, least)


class Placed(NamedTuple):
    """Where every row stands among the rows of the other kind in its segment."""

    better: Floats
    """Of a positive the weight of the negatives below it, of a negative that of the positives above it; ties count a
    half."""
    n_other: Floats
    """Weight of the rows of the other kind there."""


def placements(score: Floats, is_positive: Bools, segments: Ints, weights: Floats) -> Placed:
    """Compare positives with negatives of their own segment, all segments at once."""
    import numpy as np

    order = np.lexsort((score, segments))
    sorted_score, segment, is_one, weight = score[order], segments[order], is_positive[order], weights[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (sorted_score[1:] != sorted_score[:-1]) | (segment[1:] != segment[:-1])
    tie = np.cumsum(is_new) - 1
    edges = np.append(np.flatnonzero(is_new), len(order))
    positive, negative = np.where(is_one, weight, 0.0), np.where(is_one, 0.0, weight)
    n_positive, n_negative = (np.bincount(segment, weights=mass).astype(np.float64) for mass in (positive, negative))

    def below(mass: Floats, per_segment: Floats) -> Floats:
        """Return the mass that stands before a row in its segment, and half of what is tied with it."""
        before = np.concatenate([[0.0], np.cumsum(mass)])
        middle = (before[edges[:-1]] + before[edges[1:]]) / 2
        return np.asarray(middle[tie] - (np.cumsum(per_segment) - per_segment)[segment])

    better, n_other = np.empty(len(order)), np.empty(len(order))
    better[order] = np.where(is_one, below(negative, n_negative), n_positive[segment] - below(positive, n_positive))
    n_other[order] = np.where(is_one, n_negative[segment], n_positive[segment])
    return Placed(better, n_other)


def _kish(groups: Ints, weights: Floats) -> float:
    import numpy as np

    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group, weights=weights)
    return float(sizes.sum() ** 2 / np.sum(sizes**2))


def macro_auc(aucs: list[Auc], groups: Ints, n: int, *, wider: float = 1.0) -> Measure:
    """Return the mean of one-against-rest AUCs with its interval.

    Args:
        aucs: At least one, over the same items.
        groups: Group of every item.
        n: Items it speaks of.
        wider: Factor on the variance, at least 1.
    """
    import numpy as np

    value = float(np.mean([auc.value for auc in aucs]))
    variance = auc_variance(aucs, groups)
    least = min(auc.n_least for auc in aucs)
    n_effective = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else least
    low, high = wilson(value, max(1.0, min(n_effective, float(n) * 4) / wider))
    high = min(1.0, high + _rise(max(value - 0.5, 0.0), wider * variance))
    return Measure(value=value, low=min(low, value), high=max(high, value), n=n)


def _rise(signal: float, variance: float) -> float:
    """Return what the upper side of an AUC gains near one half, where a low estimate has a small variance."""
    return Z95**2 * variance**1.5 / (2 * (signal**2 + variance)) if variance > 0 else 0.0


def auc_variance(aucs: list[Auc], groups: Ints) -> float:
    """Return the clustered variance of the mean of one-against-rest AUCs."""
    import numpy as np

    influence = np.mean([auc.influence for auc in aucs], axis=0)
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=influence)
    return len(sums) / max(len(sums) - 1, 1) * float(np.sum((sums - sums.mean()) ** 2))
