"""How far a cross-validated number moves from one set to the next, by dividing the set at hand.

The clustered variance of held-out results takes the models as given. Over new sets of the same kind the models change
too, and every item that pulls a model its own way is held out of the others: where text tells little, the variance of
a cross-validated AUC is about twice what its items say. So the groups are dealt into parts (halves; of a large set,
parts of about 2,500 items), many times; a quick model is cross-validated in every part by itself; and the variance
between parts, which share no item, is an honest variance of one part. Divided by what the formula states for the parts
it is a factor for the formula; divided by the number of parts it is a variance of the whole, and the larger of the two
holds.

The quick model is the first Newton step of the audit's own logistic regression from the class frequencies, on the
sketch of the texts: ridge least squares, whose held-out values need one inverse a part. Pure: no files, no network, no
clock; same items and seed, same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vlsbench.leakage.estimates import placements

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vlsbench.leakage.predictability import Task

    Floats = npt.NDArray[np.float64]
    Singles = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

__all__ = ["NO_SPREAD", "Factor", "Spread", "measure_spread"]

_PARTS: Final = 80
"""Parts that are cross-validated: 40 times two halves. A factor's own relative error is then about 0.2."""
_KNOWN: Final = 1.1
"""Square of the t quantile at 25 degrees of freedom over the normal one: the variance found is itself an estimate, and
from set to set it varies by a quarter to a half."""
_PART: Final = 2_500
"""Items of a part of a large set; what is found there is wide for the whole, never narrow."""
_STEPS: Final = 7
"""Newton steps to the pull of a fold; the loss is convex in it, and seven are within 0.001."""
_MAX_PULL: Final = 10.0
_INTERCEPT: Final = 3.0
"""Value of the constant column: large, so that the penalty hardly reaches the intercept."""


class Factor(NamedTuple):
    """What the parts say of one number."""

    of_stated: float = 1.0
    """Variance between parts over the variance that the formula states for them."""
    per_item: float = 0.0
    """Variance between parts times the items of a part: over n it is a variance at n items. Of a share and of an AUC
    it is in units of v (1 - v): a whole that is nearer to 1 than its parts varies less."""

    def widened(self, stated: float, n: int, unit: float = 1.0) -> float:
        """Return the variance to believe: never below what is stated.

        Args:
            stated: By the formula.
            n: Items that the number speaks of.
            unit: Of `per_item`: v (1 - v) of a share or AUC v, 1 of bits.
        """
        return max(stated * max(1.0, self.of_stated), self.per_item * unit / n)


class Spread(NamedTuple):
    """Of the three numbers of one label."""

    accuracy: Factor = Factor()
    auc: Factor = Factor()
    bits: Factor = Factor()


NO_SPREAD: Final = Spread()
"""Believe the stated variances: for controls, whose intervals nobody reads."""


class _Parts(NamedTuple):
    """Every division of the items, one after the other; rows sorted by segment, which is a fold within a part."""

    row: Ints
    part: Ints
    fold: Ints
    n_parts: int
    n_together: int
    """Parts of one division; they share no group."""
    n_folds: int

    @property
    def segment(self) -> Ints:
        return self.part * self.n_folds + self.fold

    def sums(self, values: Any) -> Floats:
        """Add up values per part."""
        import numpy as np

        return np.asarray(np.bincount(self.part, weights=values, minlength=self.n_parts), dtype=np.float64)


def measure_spread(task: Task, sketch: Any, folds: Ints, *, strength: float, seed: int) -> Spread:
    """Cross-validate the quick model in parts of the set.

    Args:
        sketch: Dense directions of all items of the set, centred.
        folds: Fold of every row of the task; parts keep it.
        strength: Inverse strength of the penalty of the audit's model.
        seed: Of the divisions.
    """
    import numpy as np

    _, group = np.unique(task.groups, return_inverse=True)
    parts = _divide(group, folds, np.random.default_rng(seed))
    n_classes = len(task.classes)
    y = task.y[parts.row]
    design = np.concatenate(
        [sketch[task.rows], np.full((len(task.y), 1), _INTERCEPT)], axis=1, dtype=np.float32, casting="same_kind"
    )
    share = np.bincount(task.y, minlength=n_classes) / len(task.y)
    penalty = 1 / (strength * float(np.mean(share * (1 - share))))
    prior = _prior(y, parts, n_classes)
    told = _held_out(design, np.eye(n_classes, dtype=np.float32)[task.y], parts, penalty).T
    frequency = np.exp(prior)
    beyond = np.clip((told - frequency) / np.maximum(frequency, 1e-3), -50, 50)
    scores = prior + _pulls(prior, beyond, y, parts) * beyond
    return _compare(scores, prior, y, group[parts.row], parts)


def _divide(group: Ints, folds: Ints, draw: np.random.Generator) -> _Parts:
    """Deal groups into parts, within every fold, so that parts have folds of even size."""
    import numpy as np

    n, n_groups = len(group), int(group.max()) + 1
    n_together = max(2, round(n / _PART))
    fold_of_group = np.zeros(n_groups, dtype=np.int64)
    fold_of_group[group] = folds
    dealt = []
    for division in range(-(-_PARTS // n_together)):
        rank = np.empty(n_groups, dtype=np.int64)
        rank[np.lexsort((draw.random(n_groups), fold_of_group))] = np.arange(n_groups)
        dealt.append((rank[group] + draw.integers(n_together)) % n_together + division * n_together)
    part = np.concatenate(dealt)
    row = np.tile(np.arange(n), len(dealt))
    order = np.lexsort((folds[row], part))
    return _Parts(row[order], part[order], folds[row[order]], len(dealt) * n_together, n_together, int(folds.max()) + 1)


def _prior(y: Ints, parts: _Parts, n_classes: int) -> Floats:
    """Return the log frequency of every class in the other folds of a row's part, classes x rows."""
    import numpy as np

    shape = (parts.n_parts, parts.n_folds, n_classes)
    counts = np.bincount(parts.segment * n_classes + y, minlength=int(np.prod(shape))).reshape(shape)
    train = counts.sum(axis=1, keepdims=True) - counts + 0.5
    log_share = np.log(train / train.sum(axis=2, keepdims=True)).reshape(-1, n_classes)
    return np.ascontiguousarray(log_share[parts.segment].T)


def _held_out(design: Singles, truth: Singles, parts: _Parts, penalty: float) -> Singles:
    """Return ridge predictions of every row by the other folds of its part, rows x classes."""
    import numpy as np

    told = np.empty((len(parts.row), truth.shape[1]), dtype=np.float32)
    edges = np.searchsorted(parts.segment, np.arange(parts.n_parts * parts.n_folds + 1))
    for part in range(parts.n_parts):
        cuts = edges[part * parts.n_folds : (part + 1) * parts.n_folds + 1]
        rows = parts.row[cuts[0] : cuts[-1]]
        blocks = [slice(a, b) for a, b in zip(cuts[:-1] - cuts[0], cuts[1:] - cuts[0], strict=True) if a < b]
        ridge = _by_items if len(rows) <= design.shape[1] else _by_directions
        told[cuts[0] : cuts[-1]] = ridge(design[rows], truth[rows], blocks, np.float32(penalty))
    return told


def _by_items(design: Singles, truth: Singles, blocks: list[slice], penalty: np.float32) -> Singles:
    """Hold out blocks by one inverse: with M = (XX' + penalty)^-1 a block's residual is M_bb^-1 (My)_b."""
    import numpy as np

    inverse = np.linalg.inv(design @ design.T + penalty * np.eye(len(design), dtype=np.float32))
    carried = inverse @ truth
    told = np.empty_like(truth)
    for block in blocks:
        told[block] = truth[block] - np.linalg.solve(inverse[block, block], carried[block])
    return told


def _by_directions(design: Singles, truth: Singles, blocks: list[slice], penalty: np.float32) -> Singles:
    """Hold out blocks by taking their share from the sums of squares and products."""
    import numpy as np

    squares = [design[block].T @ design[block] for block in blocks]
    products = [design[block].T @ truth[block] for block in blocks]
    square = sum(squares) + penalty * np.eye(design.shape[1], dtype=np.float32)
    product = sum(products)
    told = np.empty_like(truth)
    for block, own_square, own_product in zip(blocks, squares, products, strict=True):
        told[block] = design[block] @ np.linalg.solve(square - own_square, product - own_product)
    return told


def _pulls(prior: Floats, beyond: Floats, y: Ints, parts: _Parts) -> Floats:
    """Return per row how far predictions are scaled from the frequencies: what fits the part's other folds best."""
    import numpy as np

    pull = np.empty(len(y))
    for fold in range(parts.n_folds):
        others = np.flatnonzero(parts.fold != fold)
        base, added = prior[:, others], beyond[:, others]
        own, part = added[y[others], np.arange(len(others))], parts.part[others]
        found = np.ones(parts.n_parts)
        for _ in range(_STEPS):
            scores = base + found[part] * added
            weights = np.exp(scores - scores.max(axis=0))
            weights /= weights.sum(axis=0)
            mean = (weights * added).sum(axis=0)
            slope = np.bincount(part, weights=mean - own, minlength=parts.n_parts)
            curve = np.bincount(part, weights=(weights * added**2).sum(axis=0) - mean**2, minlength=parts.n_parts)
            step = slope / np.maximum(curve, 1e-9)
            found = np.clip(found - step, 0.0, np.minimum(_MAX_PULL, 2 * found + 0.5))
        held_out = np.flatnonzero(parts.fold == fold)
        pull[held_out] = found[parts.part[held_out]]
    return pull


def _compare(scores: Floats, prior: Floats, y: Ints, group: Ints, parts: _Parts) -> Spread:
    """Measure every part and what the formula states for it, and compare the parts of each division."""
    import numpy as np
    from scipy.special import logsumexp

    rows = np.arange(len(y))
    log_probabilities = scores - logsumexp(scores, axis=0)
    is_right = (log_probabilities.argmax(axis=0) == y).astype(np.float64)
    bits = (log_probabilities[y, rows] - prior[y, rows]) / np.log(2)
    sizes = np.maximum(parts.sums(np.ones(len(y))), 1)
    _, member = np.unique(parts.part * (int(group.max()) + 1) + group, return_inverse=True)
    part_of_member = np.zeros(int(member.max()) + 1, dtype=np.int64)
    part_of_member[member] = parts.part
    n_groups = np.bincount(part_of_member, minlength=parts.n_parts)
    correction = n_groups / np.maximum(n_groups - 1, 1)

    def clustered(influence: Floats) -> Floats:
        squares = np.bincount(member, weights=influence) ** 2
        return correction * np.bincount(part_of_member, weights=squares, minlength=parts.n_parts)

    def factor(found: Floats, stated: Floats, *, is_share: bool = True) -> Factor:
        between = np.nanvar(found.reshape(-1, parts.n_together), axis=1, ddof=1)
        seen = ~np.isnan(between)
        if not seen.any():
            return Factor()
        variance, formula = _KNOWN * float(between[seen].mean()), float(np.nanmean(stated))
        value = float(np.nanmean(found))
        unit = value * (1 - value) if is_share else 1.0
        items = len(y) / parts.n_parts
        return Factor(variance / formula if formula > 0 else 1.0, variance * items / unit if unit > 0 else 0.0)

    accuracy, mean_bits = parts.sums(is_right) / sizes, parts.sums(bits) / sizes
    least = accuracy * (1 - accuracy) / sizes
    stated_accuracy = np.maximum(clustered((is_right - accuracy[parts.part]) / sizes[parts.part]), least)
    stated_bits = clustered((bits - mean_bits[parts.part]) / sizes[parts.part])
    auc, influence = _aucs(log_probabilities, y, parts)
    return Spread(
        factor(accuracy, stated_accuracy),
        factor(auc, clustered(influence)),
        factor(mean_bits, stated_bits, is_share=False),
    )


def _aucs(log_probabilities: Floats, y: Ints, parts: _Parts) -> tuple[Floats, Floats]:
    """Return the mean one-against-rest AUC of every part (NaN where there is none), and how every row moves it."""
    import numpy as np

    n_classes = len(log_probabilities)
    found, moved = [], []
    for number in range(1, n_classes) if n_classes == 2 else range(n_classes):
        placed = placements(log_probabilities[number], y == number, parts.segment, np.ones(len(y)))
        pairs = parts.sums(np.where(y == number, placed.n_other, 0))
        above = parts.sums(np.where(y == number, placed.better, 0))
        auc = np.where(pairs > 0, above / np.maximum(pairs, 1), np.nan)
        found.append(auc)
        moved.append(
            (placed.better - np.nan_to_num(auc)[parts.part] * placed.n_other) / np.maximum(pairs, 1)[parts.part]
        )
    is_there = ~np.isnan(np.array(found))
    n_there = is_there.sum(axis=0)
    mean = np.where(n_there > 0, np.nansum(found, axis=0) / np.maximum(n_there, 1), np.nan)
    return mean, np.sum(moved, axis=0) / np.maximum(n_there, 1)[parts.part]
