"""95% intervals of what an audit measures, clustered by group (image, near-duplicate text, template).

Accuracy and shares: Wilson at the effective N of the clustered variance, as for every rate of the package
(`metrics.intervals`). AUC: the variance of its placement values (DeLong 1988) summed over groups (Obuchowski 1997),
turned into an effective N at which Wilson's interval is taken, so that bounds stay in [0, 1] and never have zero width.
Bits: t interval of the mean of clustered sums. They say how a number would move with other items of the same kind;
`benchmarks/leakage_coverage.py` measures how often they hold the truth. Pure: no files, no network, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vlsbench.leakage.records import Measure
from vlsbench.metrics.intervals import Cluster, rate_interval, wilson

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["Auc", "macro_auc", "mean_measure", "share_measure", "within_fold_auc"]


def share_measure(is_success: Bools, groups: Ints) -> Measure:
    """Return a share with its interval and count.

    Args:
        is_success: One per item, at least one.
        groups: Group of every item.
    """
    import numpy as np

    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    successes = np.bincount(group, weights=is_success).astype(int)
    low, high = rate_interval([Cluster(int(m), int(k)) for m, k in zip(sizes, successes, strict=True)])
    n, count = len(is_success), int(is_success.sum())
    return Measure(value=count / n, low=low, high=high, n=n, count=count)


def mean_measure(values: Floats, groups: Ints) -> Measure:
    """Return a mean with its interval: t, over sums per group.

    Args:
        values: One per item, at least one.
        groups: Group of every item.
    """
    import numpy as np
    from scipy.stats import t

    mean = float(values.mean())
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=values - mean)
    g = len(sums)
    if g < 2:
        spread = float(np.abs(values).max())
        return Measure(value=mean, low=mean - spread, high=mean + spread, n=len(values))
    half = float(t.ppf(0.975, g - 1)) * float(np.sqrt(g / (g - 1) * np.sum(sums**2))) / len(values)
    return Measure(value=mean, low=mean - half, high=mean + half, n=len(values))


class Auc(NamedTuple):
    """An AUC and how every item moves it."""

    value: float
    influence: Floats
    """Per item; they sum to about 0, and their clustered sum of squares is the variance."""
    n_least: float
    """Effective number of items of the smaller class, where every group is a copy of one item."""


def within_fold_auc(score: Floats, is_positive: Bools, folds: Ints, groups: Ints) -> Auc | None:
    """Compare positives with negatives of their own fold only: scores of two models are not on one scale.

    Over pairs of two folds an AUC falls below a half where text tells nothing, because a class that is frequent in a
    fold is rare in the training set of that fold's model.

    Returns:
        None where no fold holds both.
    """
    import numpy as np
    from scipy.stats import rankdata

    influence = np.zeros(len(score))
    total = above = 0.0
    parts = []
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        positive, negative = rows[is_positive[rows]], rows[~is_positive[rows]]
        n_positive, n_negative = len(positive), len(negative)
        if not n_positive or not n_negative:
            continue
        both = np.concatenate([positive, negative])
        ranks = rankdata(score[both])
        # Of each positive the negatives below it, of each negative the positives above it; ties count a half.
        below = ranks[:n_positive] - rankdata(score[positive])
        over = n_positive - (ranks[n_positive:] - rankdata(score[negative]))
        total += n_positive * n_negative
        above += float(below.sum())
        parts.append((positive, negative, below, over))
    if not total:
        return None
    value = above / total
    for positive, negative, below, over in parts:
        influence[positive] += (below - value * len(negative)) / total
        influence[negative] += (over - value * len(positive)) / total
    least = min(_kish(groups[is_positive]), _kish(groups[~is_positive]))
    return Auc(value, influence, least)


def _kish(groups: Ints) -> float:
    import numpy as np

    sizes = np.unique(groups, return_counts=True)[1].astype(float)
    return float(sizes.sum() ** 2 / np.sum(sizes**2))


def macro_auc(aucs: list[Auc], groups: Ints, n: int) -> Measure:
    """Return the mean of one-against-rest AUCs with its interval.

    Args:
        aucs: At least one, over the same items.
        groups: Group of every item.
        n: Items it speaks of.
    """
    import numpy as np

    value = float(np.mean([auc.value for auc in aucs]))
    influence = np.mean([auc.influence for auc in aucs], axis=0)
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=influence)
    g = len(sums)
    variance = g / max(g - 1, 1) * float(np.sum((sums - sums.mean()) ** 2))
    least = min(auc.n_least for auc in aucs)
    n_effective = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else least
    low, high = wilson(value, max(1.0, min(n_effective, float(n) * 4)))
    return Measure(value=value, low=min(low, value), high=max(high, value), n=n)
