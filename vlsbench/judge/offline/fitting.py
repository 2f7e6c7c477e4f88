"""Fit the offline judge to labels: small, regularised towards the weights it has.

What is fitted is an adjustment of the logits the judge gives already: a 3 x 3 mixture of them and an intercept (twelve
numbers, nearly free: they move the lines between the labels, which is most of what two benchmarks differ in), and one
number per feature and label (kept near 0: they learn what is said on this benchmark). With few labels the judge stays
what it was; with many it becomes a regression on them.

Pure: no files, no network, no clock. The same labels give the same numbers, whatever their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vlsbench.judge.offline.features import Floats, class_of_tokens, normalise, tokenise, visible, with_aliases
from vlsbench.judge.offline.model import LinearModel, softmax

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = [
    "MIN_PER_LABEL",
    "STRENGTHS",
    "Adjustment",
    "FittedAdjustment",
    "Ints",
    "apply_adjustment",
    "design_of",
    "fit_adjustment",
    "kappa",
    "kappa_interval",
]

Ints = npt.NDArray[np.int64]

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 100.0)
"""Pull of the weights per feature towards the judge's own, chosen by inner cross-validation; 100 leaves them alone."""

MIXTURE_STRENGTH = 1.0
"""Pull of the mixture towards the identity. The first value tried."""

BALANCE = 0.5
"""Labels weigh (their share) ** -0.5. Full balance (1) costs kappa below 200 labels, none costs recall of refusals."""

N_FOLDS, N_INNER_FOLDS = 5, 4

MIN_PER_LABEL = 3
"""Labels of a kind below which nothing is learned of it: its lines to the others stay the judge's own."""


@dataclass(frozen=True)
class Adjustment:
    """What is added to a judge's weights.

    Attributes:
        mixture: Shape (3, 3): old logits times this.
        intercept: Shape (3,).
        weights: Shape (features, 3).
    """

    mixture: Floats
    intercept: Floats
    weights: Floats

    def logits(self, prior: Floats, design: csr_matrix | Floats) -> Floats:
        """Adjust logits, shape (rows, 3)."""
        scores: Floats = prior @ self.mixture + self.intercept + design @ self.weights
        return scores


@dataclass(frozen=True)
class FittedAdjustment:
    """An adjustment, and what cross-validation says of it.

    Attributes:
        adjustment: Fitted on all labels.
        strength: The one of `STRENGTHS` with the smallest log loss on the folds.
        temperature: Adjusted logits are divided by it; from the folds.
        held_out: Logits of every row from a fit that saw no row of its group, strength and temperature chosen without
            it as well, shape (rows, 3); zeros where it was not measured.
    """

    adjustment: Adjustment
    strength: float
    temperature: float
    held_out: Floats


def design_of(model: LinearModel, responses: Sequence[str]) -> tuple[csr_matrix, Floats]:
    """Read responses as a model does.

    Returns:
        Features (n-grams, then counts), shape (rows, features); logits, shape (rows, 3).
    """
    from scipy import sparse

    vocabulary, classes = with_aliases(model.space.words), class_of_tokens(model.space.words)
    designs, logits = [], []
    for start in range(0, len(responses), 512):
        texts = [normalise(visible(text, model.reading), model.reading) for text in responses[start : start + 512]]
        tokens = tokenise(texts, vocabulary)
        found, values, structure = model.read(tokens, classes)
        words = sparse.csr_matrix((values, (found.rows, found.columns)), shape=(len(texts), len(model.idf)))
        designs.append(sparse.hstack([words, sparse.csr_matrix(structure)]).tocsr())
        logits.append(model.logits(tokens, classes))
    return sparse.vstack(designs).tocsr(), np.concatenate(logits)


def apply_adjustment(
    model: LinearModel, adjusted: FittedAdjustment, thresholds: tuple[float, float, float], version: str
) -> LinearModel:
    """Write an adjustment into the weights."""
    adjustment, n = adjusted.adjustment, len(model.idf)
    mixture = adjustment.mixture / model.temperature
    return LinearModel(
        space=model.space,
        idf=model.idf,
        weights=model.weights @ mixture + adjustment.weights[:n],
        count_mean=model.count_mean,
        count_scale=model.count_scale,
        count_weights=model.count_weights @ mixture + adjustment.weights[n:],
        intercept=model.intercept @ mixture + adjustment.intercept,
        temperature=adjusted.temperature,
        threshold=min(thresholds),
        version=version,
        thresholds=thresholds,
        reading=model.reading,
    )


def fit_adjustment(
    design: csr_matrix, prior: Floats, labels: Ints, groups: Sequence[str], *, is_measured: bool = True
) -> FittedAdjustment:
    """Fit on labels, everything that is chosen chosen by cross-validation over groups.

    Args:
        design: Features, shape (rows, features).
        prior: Logits of the judge as it is, shape (rows, 3).
        labels: 0, 1 or 2 per row.
        groups: What was asked, per row: rows of a group are never on both sides of a fold.
        is_measured: Whether `held_out` is wanted; it takes four fifths of the time.
    """
    rotated, back = _rotate(design)
    strength, folded = _choose_strength(rotated, prior, labels, groups, N_FOLDS)
    held_out = np.zeros_like(prior)
    fold = _folds(groups, N_FOLDS)
    for number in np.unique(fold) if is_measured else ():
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        inner_groups = [groups[row] for row in train.tolist()]
        inner, inner_logits = _choose_strength(rotated[train], prior[train], labels[train], inner_groups, N_INNER_FOLDS)
        fitted = _fit(rotated[train], prior[train], labels[train], inner)
        held_out[test] = fitted.logits(prior[test], rotated[test]) / _temperature(inner_logits, labels[train])
    found = _fit(rotated, prior, labels, strength)
    adjustment = Adjustment(found.mixture, found.intercept, back @ found.weights)
    return FittedAdjustment(adjustment, strength, _temperature(folded, labels), held_out)


MAX_ROTATED = 400
"""Rows up to which features are rotated: 100 take 0.4 s in place of 2.0. With 800, threads of BLAS get in their way."""


def _rotate(design: csr_matrix) -> tuple[csr_matrix | Floats, csr_matrix | Floats]:
    """Turn features into as few columns as there are rows: every pull and every fit stays the same, in less time.

    Returns:
        Rotated features, shape (rows, r), r <= rows; the rotation back, shape (features, r). With many rows, the
        features that are there at all.
    """
    if design.shape[0] > MAX_ROTATED:
        from scipy import sparse

        present = np.flatnonzero(np.asarray(abs(design).sum(axis=0)).ravel() > 0)
        return design[:, present].tocsr(), sparse.identity(design.shape[1], format="csr")[:, present]
    values, vectors = np.linalg.eigh((design @ design.T).toarray())
    kept = values > 1e-9 * max(float(values[-1]), 1e-9)
    root = np.sqrt(values[kept])
    vectors = vectors[:, kept]
    return vectors * root, design.T @ (vectors / root)


def _folds(groups: Sequence[str], n: int) -> Ints:
    """Deal groups out to folds in the order of their digests, which has nothing to do with what they are."""
    order = sorted(set(groups), key=lambda group: sha256(f"{n}/{group}".encode("utf-8", "surrogatepass")).digest())
    place = {group: number % n for number, group in enumerate(order)}
    return np.asarray([place[group] for group in groups], dtype=np.int64)


def _choose_strength(
    design: csr_matrix | Floats, prior: Floats, labels: Ints, groups: Sequence[str], n_folds: int
) -> tuple[float, Floats]:
    """Return the strength with the smallest log loss on held-out folds, and its held-out logits."""
    fold = _folds(groups, n_folds)
    candidates = np.zeros((len(STRENGTHS), *prior.shape))
    for number in np.unique(fold):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for place, strength in enumerate(STRENGTHS):
            fitted = _fit(design[train], prior[train], labels[train], strength)
            candidates[place, test] = fitted.logits(prior[test], design[test])
    losses = [_log_loss(logits, labels) for logits in candidates]
    best = int(np.argmin(losses))
    return STRENGTHS[best], candidates[best]


def _log_loss(logits: Floats, labels: Ints) -> float:
    return float(-np.log(np.maximum(softmax(logits)[np.arange(len(labels)), labels], 1e-12)).mean())


def _temperature(logits: Floats, labels: Ints) -> float:
    """The temperature with the smallest log loss, from a grid of 5% steps around 1."""
    grid = np.exp(np.arange(-0.7, 1.01, 0.05))
    return round(float(grid[int(np.argmin([_log_loss(logits / t, labels) for t in grid]))]), 4)


def _fit(design: csr_matrix | Floats, prior: Floats, labels: Ints, strength: float) -> Adjustment:
    """Fit one adjustment: a convex problem, solved by L-BFGS from the judge as it is.

    What is hardly labelled (`MIN_PER_LABEL`) is not fitted: the others are fitted among themselves, and keep their mean
    over the rows, so that on average the line to it stays where the judge drew it.
    """
    present = np.flatnonzero(np.bincount(labels, minlength=3) >= MIN_PER_LABEL)
    if len(present) < 2:
        return Adjustment(np.eye(3), np.zeros(3), np.zeros((design.shape[1], 3)))
    if len(present) < 3:
        return _fit_among(design, prior, labels, strength, present)
    return _minimise(design, prior, labels, strength)


def _fit_among(design: csr_matrix | Floats, prior: Floats, labels: Ints, strength: float, present: Ints) -> Adjustment:
    """Fit two labels among themselves; the third keeps its logit."""
    rows = np.flatnonzero(np.isin(labels, present))
    found = _minimise(design[rows], prior[rows], labels[rows], strength, present)
    before, after = prior[rows], found.logits(prior[rows], design[rows])
    intercept = found.intercept.copy()
    intercept[present] += float((before[:, present] - after[:, present]).mean())
    return Adjustment(found.mixture, intercept, found.weights)


def _minimise(
    design: csr_matrix | Floats, prior: Floats, labels: Ints, strength: float, present: Ints | None = None
) -> Adjustment:
    """Fit the labels in `present` (all where None) as if there were no others, of which nothing moves."""
    from scipy.optimize import minimize

    takes_part = np.isin(np.arange(3), np.arange(3) if present is None else present)
    truth = np.eye(3)[labels]
    n_of = np.maximum(np.bincount(labels, minlength=3), 1)
    weight = (n_of**-BALANCE)[labels][:, None]
    weight = weight / weight.mean()
    n = 3 * design.shape[1]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights, mixture, intercept = flat[:n].reshape(-1, 3), flat[n : n + 9].reshape(3, 3), flat[n + 9 :]
        logits = np.where(takes_part, prior @ mixture + intercept + design @ weights, -np.inf)
        logits -= logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        off = mixture - np.eye(3)
        own = np.where(truth > 0, logits, 0.0).sum(axis=1, keepdims=True)
        value = (weight * (total - own)).sum()
        value += (strength * (weights**2).sum() + MIXTURE_STRENGTH * (off**2).sum() + 0.01 * (intercept**2).sum()) / 2
        residual = weight * (np.exp(logits - total) - truth)
        slopes = (
            design.T @ residual + strength * weights,
            prior.T @ residual + MIXTURE_STRENGTH * off,
            residual.sum(axis=0) + 0.01 * intercept,
        )
        return float(value), np.concatenate([slope.ravel() for slope in slopes])

    start = np.concatenate([np.zeros(n), np.eye(3).ravel(), np.zeros(3)])
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-7}).x
    return Adjustment(flat[n : n + 9].reshape(3, 3), flat[n + 9 :], flat[:n].reshape(-1, 3))


def kappa(truth: Ints, told: Ints, n_labels: int) -> float | None:
    """Cohen's kappa; None where chance alone explains everything."""
    table = np.bincount(truth * n_labels + told, minlength=n_labels**2).reshape(1, n_labels, n_labels)
    (value,) = _kappas(table.astype(np.float64))
    return None if np.isnan(value) else round(float(value), 4)


def kappa_interval(truth: Ints, told: Ints, groups: Sequence[str], n_labels: int) -> tuple[float, float] | None:
    """95% interval of kappa: 2,000 resamples of whole groups; None where kappa is."""
    _, cluster = np.unique(np.asarray(groups), return_inverse=True)
    n = int(cluster.max()) + 1
    table = np.bincount((cluster * n_labels + truth) * n_labels + told, minlength=n * n_labels**2).reshape(n, -1)
    draws = np.random.default_rng(2241).multinomial(n, np.full(n, 1.0 / n), size=2000)
    values = _kappas((draws @ table).reshape(-1, n_labels, n_labels).astype(np.float64))
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    return round(low, 4), round(high, 4)


def _kappas(tables: Floats) -> Floats:
    n = tables.sum(axis=(-1, -2))
    agreed = np.trace(tables, axis1=-2, axis2=-1) / n
    expected = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / n**2
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = np.where(expected < 1, (agreed - expected) / (1 - expected), np.nan)
    return result
