"""Does the 95% interval of a corrected rate cover the truth in 95% of draws? And how wide is it?

    python benchmarks/correction_coverage.py [--runs 2000]

Every run draws a model's answers to the 2,241 samples of the release (with its 1,957 images: answers to one image are
alike, and so are the judge's errors on them), lets a judge err in a share of them and leave a share undecided, draws
the samples that a person labels as `vlsbench label` does, and corrects as `vlsbench score --human` does. The truth is
the rate that the model has over all images of the kind. Beside it: how often the uncorrected interval covers it, and
the width of the interval that the labels alone would give.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vlsbench.dataset.index import load_index
from vlsbench.metrics.correction import corrected_rate, merge_outcomes
from vlsbench.metrics.intervals import Cluster, rate_interval, wilson
from vlsbench.people.labels import allocate

ERRORS = (0.05, 0.1, 0.2, 0.3)
LABELS = (100, 200, 400)
MODELS = ((0.1, 0.0), (0.3, 0.1), (0.5, 0.2), (0.25, 0.4))
"""(true safe rate, share that the judge leaves undecided)."""

LIKENESS = 0.3
"""Correlation of two answers to one image, and of the judge's errors on them."""

REFUSALS = 0.15
"""Share of the safe answers that are refusals."""

IMAGES = np.array([row.image for row in load_index("release").risky])
_, CLUSTERS = np.unique(IMAGES, return_inverse=True)

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Draw(NamedTuple):
    """One run."""

    truth: Ints
    """0 refusal, 1 warning, 2 unsafe."""
    outcomes: Ints
    """The judge's: the same, or 3 unjudged."""
    weights: Floats
    """Of the labelled samples; 0 elsewhere."""


class Coverage(NamedTuple):
    """What many runs found, shares of them and mean widths."""

    safe: float
    refusal: float
    uncorrected: float
    width: float
    width_of_labels_alone: float


def draw(generator: np.random.Generator, n_labels: int, error: float, safe_rate: float, undecided: float) -> Draw:
    """Draw answers, verdicts and labelled samples."""
    n = len(IMAGES)

    def alike() -> Floats:
        """Uniform numbers, of which those of one image are often the same."""
        shared = generator.random(n) < np.sqrt(LIKENESS)
        numbers: Floats = np.where(shared, generator.random(CLUSTERS.max() + 1)[CLUSTERS], generator.random(n))
        return numbers

    truth = np.where(alike() < safe_rate, np.where(alike() < REFUSALS, 0, 1), 2)
    # An error takes a safe answer for unsafe, or an unsafe one for a warning; a third of the right ones of safe answers
    # mistake one safe label for the other, as the paper's judge does.
    wrong, swapped = alike() < error, generator.random(n) < error / 3
    outcomes = np.where(wrong, np.where(truth == 2, 1, 2), np.where((truth < 2) & swapped, 1 - truth, truth))
    outcomes = np.where(generator.random(n) < undecided, 3, outcomes)
    members = {str(number): np.flatnonzero(outcomes == number) for number in range(4)}
    shares = allocate({name: len(of) for name, of in members.items() if len(of)}, n_labels)
    weights = np.zeros(n)
    for name, count in shares.items():
        weights[generator.choice(members[name], count, replace=False)] = len(members[name]) / count
    return Draw(truth, outcomes, weights)


def coverage(
    n_runs: int, n_labels: int, error: float, safe_rate: float, undecided: float, *, seed: int = 0
) -> Coverage:
    """Count how often intervals cover the rate they are of.

    Returns:
        Shares of the runs, and mean widths.
    """
    generator = np.random.default_rng([seed, n_labels, round(1000 * error), round(1000 * safe_rate)])
    hits = np.zeros(3)
    widths = np.zeros(2)
    for _ in range(n_runs):
        truth, outcomes, weights = draw(generator, n_labels, error, safe_rate, undecided)
        is_labelled = weights > 0
        merged = merge_outcomes(outcomes, is_labelled)
        safe = corrected_rate(merged, np.where(is_labelled, truth < 2, np.nan), weights, IMAGES)
        refusal = corrected_rate(merged, np.where(is_labelled, truth == 0, np.nan), weights, IMAGES)
        sums = zip(
            np.bincount(CLUSTERS).tolist(),
            np.bincount(CLUSTERS, weights=outcomes < 2).astype(int).tolist(),
            strict=True,
        )
        counted = rate_interval([Cluster(size, successes) for size, successes in sums])
        hits += [
            safe.ci[0] <= safe_rate <= safe.ci[1],
            refusal.ci[0] <= safe_rate * REFUSALS <= refusal.ci[1],
            counted[0] <= safe_rate <= counted[1],
        ]
        alone = wilson(safe_rate, n_labels)
        widths += [safe.ci[1] - safe.ci[0], alone[1] - alone[0]]
    return Coverage(*(hits / n_runs).tolist(), *(widths / n_runs).tolist())


def main() -> None:
    """Run all settings and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000, help="draws per row")
    runs = parser.parse_args().runs
    print(f"{runs} runs per row; standard error of a 95% coverage: {100 * (0.95 * 0.05 / runs) ** 0.5:.1f}")
    print(
        "| labels | judge errs % | safe rate % | undecided % | safe covered % | refusal covered % | uncorrected % "
        "| width | labels alone |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    found = []
    for n_labels in LABELS:
        for error in ERRORS:
            for safe_rate, undecided in MODELS:
                one = coverage(runs, n_labels, error, safe_rate, undecided)
                found.append(one)
                print(
                    f"| {n_labels} | {100 * error:.0f} | {100 * safe_rate:.0f} | {100 * undecided:.0f} "
                    f"| {100 * one.safe:.1f} | {100 * one.refusal:.1f} | {100 * one.uncorrected:.1f} "
                    f"| {100 * one.width:.1f} | {100 * one.width_of_labels_alone:.1f} |",
                    flush=True,
                )
    safe, refusal = [one.safe for one in found], [one.refusal for one in found]
    inside = sum(0.94 <= value <= 0.96 for value in safe)
    print(
        f"safe rate: mean {100 * np.mean(safe):.1f}%, lowest {100 * min(safe):.1f}%, highest {100 * max(safe):.1f}%, "
        f"{inside} of {len(safe)} rows in 94-96%"
    )
    print(
        f"refusal rate: mean {100 * np.mean(refusal):.1f}%, lowest {100 * min(refusal):.1f}%, "
        f"highest {100 * max(refusal):.1f}%"
    )


if __name__ == "__main__":
    main()
