"""Weights under which text predicts a label less, and models of other families that check it.

Overlap weights (Li, Morgan & Zaslavsky 2018; several classes: Li & Li 2019): a row weighs by how unlikely its own class
is, given its text, against the other classes. They are bounded, and under them the words of the classes balance. What a
penalised model leaves over is taken in rounds: a model is fitted to the weighted rows, the weights are multiplied, the
single cues that still tell most are balanced by raking, and the audit's own model is trained anew on the weighted rows
and tried on held-out groups, until its AUC is within the aim. Naive Bayes, nearest neighbours and the best single cue
choose nothing in the end; they check. No files, no network, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vlsbench.leakage.cues import CueFeatures
from vlsbench.leakage.estimates import macro_auc, within_fold_auc
from vlsbench.leakage.features import TextFeatures
from vlsbench.leakage.predictability import Folds, Task, group_folds
from vlsbench.leakage.records import Measure, WeightCheck

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["AIM", "SETTINGS", "Reweighted", "check_weights", "effective_n", "reweight"]

AIM: Final = 0.60
"""AUC that every model is to stay within: at most it, at least 1 minus it. Weights that overshoot make a model that is
wrong on purpose right."""
_OWN_AIM: Final = 0.57
"""AUC at which the rounds stop: the models that check see other things and are to stay within `AIM`."""
_ROUNDS: Final = 10
_STEP: Final = 0.7
"""Power of each round's weights: whole steps overshoot."""
_C: Final = 10.0
"""Inverse strength of the penalty of the model that makes weights: weaker than the audit's, more words balance."""
_C_TRIED: Final = 3.0
"""Of the model that is tried on held-out groups: the audit's."""
_RAKED: Final = 5
"""Cues a round that the class is made independent of."""
_LEAST_SHARE: Final = 0.005
"""Share of a class on either side of a cue, from which the cue can be balanced."""
_LEAST: Final = 1e-3
"""Weight, of the mean of its class, below which a row is left out."""
_LEAST_N: Final = 20.0
"""Effective rows that every class keeps; with fewer nothing can be held out."""
_BESIDE: Final = ("first word", "length")
_GLANCE: Final = 0.5
"""Size of what a glance sees (first word, length) beside a text's words, which have length 1.4."""
_DRAWS: Final = 3
_FEW: Final = 10_000
"""Rows up to which folds are drawn several times; of more the draw moves little."""
_NEIGHBOURS: Final = 30
_MOST_TRAIN: Final = 10_000
"""Rows among which neighbours are looked for: time and memory then grow with n."""
_CHUNK: Final = 1_000

SETTINGS: Final[dict[str, Any]] = {
    "weights": f"overlap weights of logistic regression, C {_C:g}, at most {_ROUNDS} rounds of power {_STEP:g}",
    "raked": f"{_RAKED} cues a round",
    "tried_on_held_out_groups": f"logistic regression, C {_C_TRIED:g}, trained on the weighted rows",
    "checked_by": f"naive Bayes; {_NEIGHBOURS} nearest neighbours; the best single cue",
}


class Reweighted(NamedTuple):
    """Weights of the rows of a task."""

    weights: Floats
    """Mean 1 over the rows that have one; 0 where a row is left out."""
    checks: tuple[WeightCheck, ...]
    """The maker first."""

    @property
    def reached(self) -> bool:
        """Whether every model is within `AIM`."""
        return all(1 - AIM <= check.auc_after.value <= AIM for check in self.checks)


def effective_n(weights: Floats) -> float:
    """Return Kish's effective number of rows: (sum w)^2 / sum w^2."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0


def reweight(
    task: Task,
    features: TextFeatures,
    sketch: Floats,
    *,
    seed: int,
    on_round: Callable[[str], None] = lambda said: None,
) -> Reweighted:
    """Find weights under which text predicts the label of a task less.

    Where texts separate the classes there are none: the rounds go on as far as every class keeps rows, and what is
    returned are the weights of the lowest AUC.

    Args:
        sketch: Dense directions of all items of the set, centred.
        seed: Of the folds.
        on_round: Told how far it is.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    design, cues = _with_glances(features)[task.rows], _all_cues(features)[task.rows]
    rows = np.arange(len(task.y))
    weights = best = np.ones(len(task.y))
    lowest = np.inf
    for number in range(_ROUNDS + 1):
        value = _auc(task, weights, lambda task, folds, w: _logistic(task, design, folds, w), seed).value
        on_round(f"round {number}: AUC {value:.3f} at effective N {effective_n(weights):.0f}")
        if abs(value - 0.5) < lowest:
            best, lowest = weights, abs(value - 0.5)
        if lowest <= _OWN_AIM - 0.5 or number == _ROUNDS:
            break
        model = LogisticRegression(C=_C, max_iter=300, tol=1e-3).fit(design, task.y, sample_weight=weights)
        likely = np.clip(model.predict_proba(design), 1e-4, 1)
        overlap = 1 / (1 / likely).sum(axis=1) / likely[rows, task.y]
        tried = _as_many(task, _rake(task, cues, _as_many(task, weights * overlap**_STEP)))
        if min(effective_n(tried[task.y == k]) for k in range(len(task.classes))) < _LEAST_N:
            break
        weights = tried
    kept = np.where(best >= _LEAST, best, 0.0)
    kept /= kept[kept > 0].mean()
    return Reweighted(kept, check_weights(task, features, sketch, kept, seed=seed))


def _with_glances(features: TextFeatures) -> Any:
    """Return the features and what else a glance sees: a linear model of words knows no length, and no place."""
    from scipy import sparse

    glances = [_GLANCE * matrix for kind, _, matrix in CueFeatures(features.texts).glances() if kind in _BESIDE]
    return sparse.hstack([features.matrix, *glances], format="csr")


def check_weights(
    task: Task, features: TextFeatures, sketch: Floats, weights: Floats, *, seed: int, has_maker: bool = True
) -> tuple[WeightCheck, ...]:
    """Train models of four families with and without weights, and try them on held-out groups.

    Args:
        weights: Per row of the task; rows of weight 0 are left out of what is tried after.
        seed: Of the folds; they are other ones than those that the weights were made with.
        has_maker: Whether the first family made these weights.
    """
    import numpy as np

    kept = np.flatnonzero(weights > 0)
    after = Task(task.target, task.rows[kept], task.classes, task.y[kept], task.groups[kept], {})
    return tuple(
        WeightCheck(
            family=family,
            role="made the weights" if has_maker and not number else "checks them",
            target=task.target,
            auc_before=_auc(task, np.ones(len(task.y)), predict, seed + _DRAWS),
            auc_after=_auc(after, weights[kept], predict, seed + _DRAWS),
        )
        for number, (family, predict) in enumerate(_families(features, sketch).items())
    )


_Predict = Callable[[Task, Folds, "Floats"], "Floats"]


def _families(features: TextFeatures, sketch: Floats) -> dict[str, _Predict]:
    cues = _all_cues(features)
    return {
        "logistic regression": lambda task, folds, w: _logistic(task, features.matrix[task.rows], folds, w),
        "naive Bayes": lambda task, folds, w: _bayes(task, features.words[task.rows], folds, w),
        "nearest neighbours": lambda task, folds, w: _neighbours(task, sketch[task.rows], folds, w),
        "one trivial cue": lambda task, folds, w: _one_cue(task, cues[task.rows], folds, w),
    }


def _auc(task: Task, weights: Floats, predict: _Predict, seed: int) -> Measure:
    """Return the AUC on held-out groups, mean over a few draws of the folds: one draw moves it by some hundredths."""
    n_classes = len(task.classes)
    aucs = []
    for draw in range(_DRAWS if len(task.y) <= _FEW else 1):
        folds = group_folds(task.y, task.groups, seed + draw)
        told = predict(task, folds, weights)
        found = [
            within_fold_auc(told[:, k], task.y == k, folds.of_row, task.groups, weights)
            for k in (range(1, 2) if n_classes == 2 else range(n_classes))
        ]
        aucs += [auc for auc in found if auc is not None]
    if not aucs:
        return Measure(value=0.5, low=0.0, high=1.0, n=len(task.y))
    return macro_auc(aucs, task.groups, len(task.y))


def _logistic(task: Task, design: Any, folds: Folds, weights: Floats) -> Floats:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    told = np.zeros((len(task.y), len(task.classes)))
    for train, test in folds.pairs:
        seen = np.unique(task.y[train])
        if len(seen) > 1:
            model = LogisticRegression(C=_C_TRIED, max_iter=200, tol=1e-3)
            model.fit(design[train], task.y[train], sample_weight=weights[train])
            told[np.ix_(test, seen)] = model.predict_proba(design[test])
    return told


def _one_hot(task: Task, weights: Floats) -> Floats:
    import numpy as np

    mass = np.zeros((len(task.y), len(task.classes)))
    mass[np.arange(len(task.y)), task.y] = weights
    return mass


def _bayes(task: Task, words: Any, folds: Folds, weights: Floats) -> Floats:
    """Multinomial naive Bayes on which words and word pairs a text holds."""
    import numpy as np
    from scipy.special import softmax

    present = words.astype(bool).astype(np.float64)
    mass = _one_hot(task, weights)
    told = np.zeros_like(mass)
    for train, test in folds.pairs:
        counts = present[train].T @ mass[train] + 0.3
        odds = np.log(counts / counts.sum(axis=0))
        told[test] = softmax(present[test] @ odds + np.log(mass[train].sum(axis=0) + 0.5), axis=1)
    return told


def _all_cues(features: TextFeatures) -> Any:
    from scipy import sparse

    return sparse.hstack([matrix for _, _, matrix in CueFeatures(features.texts).glances()], format="csr")


def _cue_masses(cues: Any, mass: Floats) -> tuple[Floats, Floats, Floats]:
    """Return n times the entropy that every cue leaves, and the class masses with it and without, cues x classes."""
    import numpy as np
    from scipy.special import xlogy

    there = np.asarray(cues.T @ mass)
    absent = np.maximum(mass.sum(axis=0) - there, 0)
    smooth = 0.5 / mass.shape[1]
    lost = sum(
        xlogy(side.sum(axis=1), side.sum(axis=1)) - xlogy(side, side).sum(axis=1)
        for side in (there + smooth, absent + smooth)
    )
    return np.asarray(lost), there, absent


def _holds(cues: Any, cue: int) -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.asarray(cues[:, [cue]].todense()).ravel() > 0


def _one_cue(task: Task, cues: Any, folds: Folds, weights: Floats) -> Floats:
    """Class shares on either side of the one cue (a last sign, a first word, a length, a word) that tells most bits."""
    import numpy as np

    mass = _one_hot(task, weights)
    told = np.zeros_like(mass)
    for train, test in folds.pairs:
        lost, there, absent = _cue_masses(cues[train], mass[train])
        best = int(np.argmin(lost))
        sides = [(side[best] + 0.5) / (side[best] + 0.5).sum() for side in (there, absent)]
        told[test] = np.where(_holds(cues[test], best)[:, None], *sides)
    return told


def _rake(task: Task, cues: Any, weights: Floats) -> Floats:
    """Make the class independent of the best cue, then of the next, a few times over (raking).

    A cue that a class hardly has, or hardly lacks, cannot be balanced and is passed over.
    """
    import numpy as np

    weights = weights.copy()
    for _ in range(_RAKED):
        mass = _one_hot(task, weights)
        total = mass.sum(axis=0)
        lost, there, absent = _cue_masses(cues, mass)
        lost[(np.minimum(there, absent) < _LEAST_SHARE * total).any(axis=1)] = np.inf
        best = int(np.argmin(lost))
        if not np.isfinite(lost[best]):
            break
        is_there = _holds(cues, best)
        for side, rows in ((there[best], is_there), (absent[best], ~is_there)):
            weights[rows] *= (side.sum() * total / total.sum() / side)[task.y[rows]]
    return weights


def _as_many(task: Task, weights: Floats) -> Floats:
    """Scale weights so that every class weighs what it has rows: no class fades."""
    import numpy as np

    scale = np.bincount(task.y) / np.bincount(task.y, weights=weights)
    return np.asarray(weights * scale[task.y])


def _neighbours(task: Task, sketch: Floats, folds: Folds, weights: Floats) -> Floats:
    """Share of every class among the nearest training texts, by cosine, weighted."""
    import numpy as np

    directions = np.asarray(sketch / np.maximum(np.linalg.norm(sketch, axis=1, keepdims=True), 1e-9), dtype=np.float32)
    mass = _one_hot(task, weights)
    told = np.zeros_like(mass)
    draw = np.random.default_rng(0)
    for train, test in folds.pairs:
        pool = train if len(train) <= _MOST_TRAIN else np.sort(draw.choice(train, _MOST_TRAIN, replace=False))
        share = mass[pool].sum(axis=0) / mass[pool].sum()
        k = min(_NEIGHBOURS, len(pool))
        for start in range(0, len(test), _CHUNK):
            rows = test[start : start + _CHUNK]
            near = directions[rows] @ directions[pool].T
            nearest = np.argpartition(-near, k - 1, axis=1)[:, :k]
            closeness = np.maximum(np.take_along_axis(near, nearest, axis=1), 0) ** 2
            votes = (mass[pool][nearest] * closeness[:, :, None]).sum(axis=1)
            total = votes.sum(axis=1, keepdims=True)
            told[rows] = (votes + share * (0.2 * total.mean() + 1e-9)) / (total + 0.2 * total.mean() + 1e-9)
    return told
