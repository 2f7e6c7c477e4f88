"""How often the audit's 95% intervals hold the truth, on invented sets.

    python benchmarks/leakage_coverage.py [--sets 300] [--only "2 classes, weak"]

A set is drawn from a population of texts (bags of 8 to 16 words of 400, whose frequencies depend on the class) and goes
through the audit's own code: grouped folds, model, spread, intervals. The truth of a regime is what the procedure
reaches on average over new sets of that size from that population: the mean over all sets drawn. Shown are the share of
sets whose interval holds it, the Monte Carlo error of that share, the mean width, and the same for the formula alone,
which takes the trained models as given. Exit 1 where an interval holds the truth in fewer than 93% by more than two
Monte Carlo errors.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vlsbench.leakage.predictability import Task, fit_task, measure, spread_of
from vlsbench.leakage.records import Predictability
from vlsbench.leakage.spread import NO_SPREAD

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WORDS: Final = 400
_TWO: Final = (0.55, 0.45)
_SIX: Final = (0.3, 0.22, 0.16, 0.14, 0.1, 0.08)
LEAST: Final = 0.93


class Regime(NamedTuple):
    """A population and the size of a set."""

    name: str
    n: int
    shares: tuple[float, ...]
    signal: float
    """Spread of the log frequencies of words between classes."""
    is_clustered: bool = False
    """Groups of 1 to 6 texts that share words and mostly their class."""


REGIMES: Final = (
    Regime("2 classes, no signal", 160, _TWO, 0.0),
    Regime("2 classes, weak", 160, _TWO, 0.15),
    Regime("2 classes, medium", 160, _TWO, 0.3),
    Regime("2 classes, strong", 160, _TWO, 0.8),
    Regime("2 classes, weak, 480 texts", 480, _TWO, 0.15),
    Regime("2 classes, medium, clusters", 240, _TWO, 0.3, is_clustered=True),
    Regime("6 classes, no signal", 200, _SIX, 0.0),
    Regime("6 classes, medium", 200, _SIX, 0.5),
    Regime("6 classes, medium, clusters", 240, _SIX, 0.5, is_clustered=True),
)


def _frequencies(regime: Regime) -> Floats:
    base = 1 / np.arange(3, _WORDS + 3) ** 0.9
    tilt = np.random.default_rng(1).normal(size=(len(regime.shares), _WORDS))
    return np.asarray(base * np.exp(regime.signal * tilt))


def draw_set(regime: Regime, draw: np.random.Generator) -> tuple[Floats, Ints, Ints]:
    """Draw a set.

    Returns:
        TF-IDF of the words (texts x words), class per text, group per text.
    """
    n, n_classes = regime.n, len(regime.shares)
    sizes = draw.choice([1, 1, 1, 2, 3, 6] if regime.is_clustered else [1], n)
    group = np.repeat(np.arange(n), sizes)[:n]
    y = draw.choice(n_classes, n, p=regime.shares)[group]
    frequencies = _frequencies(regime)
    if regime.is_clustered:
        y = np.where(draw.random(n) < 0.15, draw.choice(n_classes, n, p=regime.shares), y)
        frequencies = frequencies[y] * np.exp(0.8 * draw.normal(size=(n, _WORDS)))[group]
    else:
        frequencies = frequencies[y]
    shares = frequencies / frequencies.sum(axis=1, keepdims=True)
    counts = draw.multinomial(draw.integers(8, 17, n), shares)
    counts = counts[:, (counts > 0).sum(axis=0) >= 2]
    weighed = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * (
        1 + np.log((1 + n) / (1 + (counts > 0).sum(axis=0)))
    )
    # The audit's matrix has words and pieces of words, each of length 1: together the square root of 2.
    length = np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-9)
    return np.asarray(weighed / length * 2**0.5), y.astype(np.int64), group.astype(np.int64)


def _sketch(matrix: Floats) -> Floats:
    centred = matrix - matrix.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray((left * values)[:, :256])


def audit_set(regime: Regime, seed: int) -> tuple[Predictability, Predictability]:
    """Draw a set and audit it.

    Returns:
        With intervals widened, and with those of the formula alone.
    """
    matrix, y, group = draw_set(regime, np.random.default_rng([seed, REGIMES.index(regime)]))
    present, y = np.unique(y, return_inverse=True)
    task = Task("class", np.arange(len(y)), tuple(map(str, present)), y.astype(np.int64), group, {})
    fit = fit_task(task, sparse.csr_matrix(matrix), seed=seed)
    spread = spread_of(fit, _sketch(matrix), seed=seed)
    nowhere: list[str | None] = [None] * len(y)
    return measure(fit, (1.0, {}), nowhere, spread), measure(fit, (1.0, {}), nowhere, NO_SPREAD)


class Coverage(NamedTuple):
    """How the intervals of one number did in one regime."""

    number: str
    truth: float
    share: float
    error: float
    """Monte Carlo standard error of `share`."""
    width: float
    share_stated: float
    width_stated: float

    @property
    def is_enough(self) -> bool:
        """Whether nothing says that it holds the truth too rarely."""
        return self.share + 2 * self.error >= LEAST


def coverage(regime: Regime, n_sets: int, seed: int = 0) -> list[Coverage]:
    """Audit sets of a regime and count the intervals that hold the truth: accuracy, AUC, bits."""
    audited = [audit_set(regime, seed + number) for number in range(n_sets)]
    found = []
    for number in ("accuracy", "auc", "bits"):
        both = np.array([[_interval(report, number) for report in pair] for pair in audited])
        truth = float(both[:, 0, 0].mean())
        holds = (both[:, :, 1] <= truth) & (truth <= both[:, :, 2])
        share, share_stated = holds.mean(axis=0)
        width, width_stated = (both[:, :, 2] - both[:, :, 1]).mean(axis=0)
        error = float(np.sqrt(share * (1 - share) / n_sets))
        found.append(
            Coverage(number, truth, float(share), error, float(width), float(share_stated), float(width_stated))
        )
    return found


def _interval(report: Predictability, number: str) -> tuple[float, float, float]:
    if number == "bits":
        return report.bits, *report.bits_interval
    measured = report.accuracy if number == "accuracy" else report.auc
    return measured.value, measured.low, measured.high


def main() -> None:
    """Print a row per regime and number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=300, help="Sets per regime.")
    parser.add_argument("--only", help="Regimes whose name begins so.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| regime | texts | number | truth | holds the truth, % | width | the formula alone, % | its width |")
    print("|---|---|---|---|---|---|---|---|")
    bad = n_sets = 0
    for regime in REGIMES:
        if options.only and not regime.name.startswith(options.only):
            continue
        n_sets += options.sets
        for row in coverage(regime, options.sets, options.seed):
            bad += not row.is_enough
            print(
                f"| {regime.name} | {regime.n} | {row.number} | {row.truth:.3f} | {100 * row.share:.1f} ± "
                f"{100 * row.error:.1f} | {row.width:.3f} | {100 * row.share_stated:.1f} | {row.width_stated:.3f} |",
                flush=True,
            )
    print(f"{n_sets:,} sets")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
