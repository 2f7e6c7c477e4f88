"""What text alone tells of a label: a small text model in grouped cross-validation, with a permutation null.

The model is logistic regression on TF-IDF of words and pieces of words, and the last sign. Its held-out
log-probabilities are pulled towards the class frequencies by one number per fold, fitted on the other folds: where text
tells nothing the prediction is the frequencies, not noise, so accuracy does not fall below the majority's and bits do
not fall far below 0.

V-information (Xu et al. 2020) is the entropy of the label minus the held-out log loss, in bits; of one item it is its
pointwise V-information, PVI (Ethayarajh et al. 2022, arXiv 2110.08420). Either is a lower bound of what text tells: a
larger model may find more. No files, no network, no clock; same items and seed, same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vlsbench.leakage.estimates import (
    auc_variance,
    bits_measure,
    macro_auc,
    mean_variance,
    share_measure,
    share_variance,
    within_fold_auc,
)
from vlsbench.leakage.records import GroupPredictability, Measure, Predictability
from vlsbench.leakage.spread import NO_SPREAD, Factor, Spread, measure_spread

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = [
    "FOLDS",
    "MIN_GROUPS",
    "PERMUTATIONS",
    "SETTINGS",
    "Fit",
    "Folds",
    "Task",
    "fit_task",
    "group_folds",
    "make_task",
    "measure",
    "permutation_null",
    "spread_of",
]

FOLDS: Final = 5
MIN_GROUPS: Final = 5
"""Groups that a class needs, so that every fold can hold it."""
PERMUTATIONS: Final = 200

_C: Final = 3.0
"""Inverse strength of the penalty; on VLSBench's category 3 to 10 are within 0.2 points, 30 is a point worse."""

_MAX_PULL: Final = 4.0
_RIDGE: Final = 1.0
_CHUNK_CELLS: Final = 30_000_000
"""Cells of permuted labels held at once, 240 MB."""

SETTINGS: Final[dict[str, Any]] = {
    "folds": FOLDS,
    "model": f"logistic regression, C {_C:g}, on TF-IDF of words (1-2) and word pieces (3-5 signs), and the last sign",
    "groups": "image, near-duplicate text, template",
    "permutations": PERMUTATIONS,
}


@dataclass(frozen=True)
class Task:
    """One label to predict."""

    target: str
    rows: Ints
    """Items that have it, as positions in the set."""
    classes: tuple[str, ...]
    y: Ints
    """Class number per row."""
    groups: Ints
    """Group per row."""
    left_out: dict[str, int]

    @property
    def majority(self) -> float:
        """Share of the largest class."""
        import numpy as np

        return float(np.bincount(self.y).max() / len(self.y))


@dataclass(frozen=True)
class Fit:
    """Held-out predictions of a task."""

    task: Task
    folds: Ints
    log_probabilities: Floats
    """Rows x classes, natural logarithm, held out."""
    prior: Floats
    """Rows x classes: log frequencies in the row's training set."""
    models: tuple[Any, ...]
    """One per fold."""

    @property
    def pvi(self) -> Floats:
        """Bits that the text of a row tells of its own label."""
        import numpy as np

        rows = np.arange(len(self.task.y))
        gain = self.log_probabilities[rows, self.task.y] - self.prior[rows, self.task.y]
        return np.asarray(gain / np.log(2))


def make_task(target: str, labels: Sequence[str | None], groups: Ints) -> Task | str:
    """Prepare a label, or say in a sentence why it cannot be predicted.

    Args:
        labels: Class per item, None where it has none.
        groups: Group per item.
    """
    import numpy as np

    there = np.array([n for n, label in enumerate(labels) if label is not None], dtype=np.int64)
    if not len(there):
        return f"{target}: no item has this label."
    names = np.array([labels[n] for n in there])
    found = Counter(names.tolist())
    if len(found) == 1:
        return f"{target}: all {len(names):,} items are {str(names[0])!r}; with one class there is nothing to predict."
    per_class = {name: len(np.unique(groups[there[names == name]])) for name in found}
    kept = sorted(name for name, n in per_class.items() if n >= MIN_GROUPS)
    if len(kept) < 2:
        few = ", ".join(f"{name!r} {n}" for name, n in sorted(per_class.items())[:6])
        return (
            f"{target}: fewer than two classes stand in {MIN_GROUPS} groups of items that differ (groups per class: "
            f"{few}); nothing can be held out."
        )
    is_kept = np.isin(names, kept)
    left_out = {}
    if not is_kept.all():
        left_out[f"class in fewer than {MIN_GROUPS} groups"] = int((~is_kept).sum())
    if len(there) < len(labels):
        left_out["without this label"] = len(labels) - len(there)
    y = np.searchsorted(kept, names[is_kept]).astype(np.int64)
    rows = there[is_kept]
    return Task(target, rows, tuple(kept), y, groups[rows], left_out)


class Folds:
    """Train and test rows of every fold."""

    def __init__(self, of_row: Ints) -> None:
        import numpy as np

        self.of_row = of_row
        self.pairs = [(np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold)) for fold in np.unique(of_row)]


def group_folds(y: Ints, groups: Ints, seed: int) -> Folds:
    """Divide rows into folds: groups whole, classes spread evenly.

    Groups of several rows go first, the largest one first, each to the fold that lacks its classes most; single rows
    are dealt out class by class. (scikit-learn's StratifiedGroupKFold does the same and takes 2 ms a group.)
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    n_folds, n_classes = min(FOLDS, len(sizes)), int(y.max()) + 1
    share = np.bincount(y, minlength=n_classes) / n_folds
    held = np.zeros((n_folds, n_classes))
    of_group = np.zeros(len(sizes), dtype=np.int64)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(sizes)
    several = draw.permutation(np.flatnonzero(sizes > 1))
    for number in several[np.argsort(-sizes[several], kind="stable")]:
        rows = order[ends[number] - sizes[number] : ends[number]]
        added = np.bincount(y[rows], minlength=n_classes)
        # Only what the group adds differs between folds: how full its classes are, then how full the fold is.
        cost = ((held + added / 2) * added / share).sum(axis=1) + 1e-6 * held.sum(axis=1)
        best = int(cost.argmin())
        of_group[number] = best
        held[best] += added
    single = draw.permutation(np.flatnonzero(sizes == 1))
    class_of = y[order[ends[single] - 1]]
    for number in range(n_classes):
        mine = single[class_of == number]
        missing = share[number] - held[:, number]
        while len(mine):  # the emptiest folds take what they lack, the rest goes round
            wanted = np.maximum(np.ceil(missing), 0).astype(int)
            places = (
                np.repeat(np.argsort(-missing), wanted[np.argsort(-missing)]) if wanted.sum() else np.arange(n_folds)
            )
            places = draw.permutation(places)[: len(mine)]
            of_group[mine[: len(places)]] = places
            missing = missing - np.bincount(places, minlength=n_folds)
            mine = mine[len(places) :]
    return Folds(of_group[group])


def fit_task(task: Task, matrix: Any, *, seed: int, folds: Folds | None = None) -> Fit:
    """Predict every row by a model that saw no row of its group.

    Args:
        matrix: Features of all items of the set, CSR.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    folds = folds or group_folds(task.y, task.groups, seed)
    design = matrix[task.rows]
    n_classes = len(task.classes)
    told = np.zeros((len(task.y), n_classes))
    prior = np.zeros_like(told)
    models = []
    for train, test in folds.pairs:
        counts = np.bincount(task.y[train], minlength=n_classes) + 0.5
        frequency = np.log(counts / counts.sum())
        prior[test] = frequency
        seen = np.unique(task.y[train])
        model = None
        if len(seen) > 1:
            model = LogisticRegression(C=_C, max_iter=200, tol=1e-3).fit(design[train], task.y[train])
            told[np.ix_(test, seen)] = model.predict_log_proba(design[test])
        if len(seen) < n_classes:  # a class that stands in one fold only has its smoothed frequency there
            unseen = np.setdiff1d(np.arange(n_classes), seen)
            told[np.ix_(test, unseen)] = frequency[unseen]
        models.append(model)
    pulled = _pull_to_frequencies(told, prior, task.y, folds)
    return Fit(task, folds.of_row, pulled, prior, tuple(models))


def _pull_to_frequencies(told: Floats, prior: Floats, y: Ints, folds: Folds) -> Floats:
    """Scale what a model says beyond the class frequencies, by what fits the other folds best."""
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    beyond = np.clip(told, -50, 0) - prior
    pulled = np.empty_like(told)
    for train, test in folds.pairs:
        rows = np.arange(len(train))

        def loss(pull: float, train: Ints = train, rows: Ints = rows) -> float:
            return -float(log_softmax(prior[train] + pull * beyond[train], axis=1)[rows, y[train]].mean())

        best = minimize_scalar(loss, bounds=(0.0, _MAX_PULL), method="bounded", options={"xatol": 1e-3}).x
        pull = 0.0 if loss(0.0) <= loss(best) else float(best)
        pulled[test] = log_softmax(prior[test] + pull * beyond[test], axis=1)
    return pulled


def spread_of(fit: Fit, sketch: Floats, *, seed: int) -> Spread:
    """Say how far the numbers of a fit move from one set to the next (`spread.py`).

    Args:
        sketch: Dense directions of all items of the set, centred.
    """
    return measure_spread(fit.task, sketch, fit.folds, strength=_C, seed=seed)


def measure(
    fit: Fit, null: tuple[float, dict[str, Any]], categories: Sequence[str | None], spread: Spread = NO_SPREAD
) -> Predictability:
    """Turn held-out predictions into numbers with intervals, over all and per category.

    Args:
        null: p value and its scheme.
        categories: Category per item of the set.
        spread: How far the numbers move from one set to the next; a category's move in the same proportion.
    """
    import numpy as np

    task = fit.task
    rows = np.arange(len(task.y))
    is_right = fit.log_probabilities.argmax(axis=1) == task.y
    aucs = _aucs(fit, rows)
    pvi = fit.pvi
    accuracy, auc_value = float(is_right.mean()), float(np.mean([auc.value for auc in aucs])) if aucs else 0.5
    wider_share = _factor(spread.accuracy, share_variance(is_right, task.groups), len(rows), accuracy * (1 - accuracy))
    wider_auc = 1.0
    if aucs:
        wider_auc = _factor(spread.auc, auc_variance(aucs, task.groups), len(rows), auc_value * (1 - auc_value))
    wider_bits = _factor(spread.bits, mean_variance(pvi, task.groups), len(rows), 1.0)

    def bits_of(part: Ints) -> Measure:
        least = spread.bits.per_item / len(part)
        return bits_measure(pvi[part], task.groups[part], wider=wider_bits, least=least)

    bits = bits_of(rows)
    category = np.array([categories[n] or "" for n in task.rows])
    by_category = {}
    for name in sorted({str(c) for c in category} - {""}):
        part = np.flatnonzero(category == name)
        if task.target == "category":
            number = task.classes.index(name)
            one = within_fold_auc(fit.log_probabilities[:, number], task.y == number, fit.folds, task.groups)
            auc = None if one is None else macro_auc([one], task.groups, len(rows), wider=wider_auc)
        else:
            within = _aucs(fit, part)
            auc = macro_auc(within, task.groups[part], len(part), wider=wider_auc) if within else None
        by_category[name] = GroupPredictability(
            n=len(part),
            accuracy=share_measure(is_right[part], task.groups[part], wider=wider_share),
            auc=auc,
            bits=bits_of(part),
        )
    counts = np.bincount(task.y, minlength=len(task.classes))
    p_value, scheme = null
    return Predictability(
        target=task.target,
        n=len(task.y),
        n_classes=len(task.classes),
        classes={name: int(n) for name, n in zip(task.classes, counts, strict=True)},
        majority=task.majority,
        accuracy=share_measure(is_right, task.groups, wider=wider_share),
        auc=macro_auc(aucs, task.groups, len(rows), wider=wider_auc)
        if aucs
        else Measure(value=0.5, low=0.0, high=1.0, n=len(rows)),
        bits=bits.value,
        bits_interval=(bits.low, bits.high),
        entropy_bits=float(-fit.prior[rows, task.y].mean() / np.log(2)),
        p_value=p_value,
        null=scheme,
        by_category=by_category,
        left_out=task.left_out,
    )


def _factor(factor: Factor, stated: float, n: int, unit: float) -> float:
    return factor.widened(stated, n, unit) / stated if stated > 0 else max(1.0, factor.of_stated)


def _aucs(fit: Fit, rows: Ints) -> list[Any]:
    import numpy as np

    task = fit.task
    y, folds, groups = task.y[rows], fit.folds[rows], task.groups[rows]
    classes = np.unique(y)
    numbers = classes[1:] if len(classes) == 2 and len(task.classes) == 2 else classes
    found = [within_fold_auc(fit.log_probabilities[rows, c], y == c, folds, groups) for c in numbers]
    return [auc for auc in found if auc is not None]


# --- The null -----------------------------------------------------------------------------------------------


def permutation_null(task: Task, sketch: Floats, *, seed: int) -> tuple[float, dict[str, Any]]:
    """Compare what a quick model finds with what it finds when labels are dealt out anew.

    The labels of a group move together, to a group of the same size, so near-duplicates stay alike. Folds are drawn
    without looking at labels, and the whole cross-validation is run again for every deal; under "text tells nothing"
    the true labels are then one deal among the others, and p = (1 + deals at least as good) / (1 + deals) is exact.
    The model is least squares on 256 directions of the texts, which makes 200 refits cheap.

    Returns:
        p, and the scheme with what it gave.
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    _, group = np.unique(task.groups, return_inverse=True)
    n_folds = min(FOLDS, int(group.max()) + 1)
    fold_of_group = draw.permutation(np.arange(group.max() + 1) % n_folds)
    folds = Folds(fold_of_group[group])
    design = np.asarray(sketch[task.rows], dtype=np.float32)
    solvers = []
    for train, test in folds.pairs:
        mean = design[train].mean(axis=0)
        inside = design[train] - mean
        gram = inside.T @ inside + _RIDGE * np.eye(design.shape[1], dtype=np.float32)
        solvers.append((train, test, inside, np.linalg.inv(gram), design[test] - mean))
    n_classes = len(task.classes)
    chunk = max(1, min(PERMUTATIONS + 1, _CHUNK_CELLS // (len(task.y) * n_classes)))
    dealt = _deals(task.y, group, draw)
    found: list[float] = []
    labels = [task.y]
    while labels:
        while len(labels) < chunk and len(found) + len(labels) < PERMUTATIONS + 1:
            labels.append(next(dealt))
        truth = np.zeros((len(task.y), len(labels), n_classes), dtype=np.float32)
        for k, y in enumerate(labels):
            truth[np.arange(len(y)), k, y] = 1
        found += _held_out_correlation(truth, solvers)
        labels = [next(dealt)] if len(found) < PERMUTATIONS + 1 else []
    observed, null = found[0], np.array(found[1:])
    p_value = float((1 + np.sum(null >= observed - 1e-9)) / (1 + len(null)))
    return p_value, {
        "scheme": "labels dealt anew to groups of the same size, folds drawn without labels, cross-validation run "
        "again for every deal",
        "statistic": "held-out correlation of a least-squares model",
        "permutations": PERMUTATIONS,
        "observed": observed,
        "mean": float(null.mean()),
        "highest": float(null.max()),
        "values": [round(float(value), 4) for value in np.sort(null)],
    }


def _deals(y: Ints, group: Ints, draw: np.random.Generator) -> Any:
    """Yield labels that changed places: whole groups, with groups of their size."""
    import numpy as np

    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    blocks = [order[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)]
    while True:
        dealt = y.copy()
        for block in blocks:
            dealt[block] = y[block[draw.permutation(len(block))]]
        yield dealt


def _held_out_correlation(truth: npt.NDArray[np.float32], solvers: Sequence[Any]) -> list[float]:
    """Correlate least-squares predictions with what is true, both without their training means; one per deal."""
    import numpy as np

    n_deals = truth.shape[1]
    product, told_square, true_square = np.zeros((3, n_deals))
    for train, test, inside, inverse, outside in solvers:
        flat = truth[train].reshape(len(train), -1)
        mean = flat.mean(axis=0)
        told = (outside @ (inverse @ (inside.T @ (flat - mean)))).reshape(len(test), n_deals, -1)
        true = truth[test] - mean.reshape(n_deals, -1)
        product += np.einsum("tkc,tkc->k", told, true)
        told_square += np.einsum("tkc,tkc->k", told, told)
        true_square += np.einsum("tkc,tkc->k", true, true)
    return [float(value) for value in product / np.sqrt(np.maximum(told_square * true_square, 1e-12))]
