"""What labels are worth when they are drawn where the judge is unsure, against drawn at random.

    python benchmarks/label_selection.py [LABELS_DIR] [--draws 30]

The offline judge is trained without one benchmark (MSTS, XSTest), which is then new to it. Labels of 30, 50, 100 and
200 of its answers are drawn as `vlsbench label` draws them, with `--select random` and `--select informative`, and used
twice: the judge is calibrated on them and tested on the answers that were not drawn (Cohen's kappa), and the safe rate
of all answers is corrected by them (`vlsbench score --human`), pooled over models and per model; its error is the
distance to the rate that all labels give. Means over draws; a difference counts where it is beyond two standard errors.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from vlsbench.judge.offline.fitting import fit_adjustment  # noqa: E402  (the script's folder first)
from vlsbench.judge.offline.model import softmax  # noqa: E402
from vlsbench.metrics.correction import corrected_rate, merge_outcomes  # noqa: E402
from vlsbench.people.labels import draw_plan  # noqa: E402

N_LABELS = (30, 50, 100, 200)
SELECTIONS = ("random", "informative")
MIN_LABELS_PER_MODEL = 10
NAMES = ("refusal", "warning", "unsafe")


def measure(trainer: Any, corpus: Any, new: str, n_draws: int) -> dict[tuple[str, int], Any]:
    """Draw, calibrate and correct on one benchmark that the judge was trained without.

    Returns:
        Per selection and number of labels, the means and standard errors of: kappa, kappa safe/unsafe, error of the
        pooled rate and of the models' rates (points).
    """
    originals = corpus.rows(["original"])
    is_new = np.array([source.startswith(new) for source in corpus.source[originals]])
    test, train = originals[is_new], originals[~is_new]
    recipe = trainer.Recipe()
    folds = [trainer.inner_fold(corpus, train, fold, recipe) for fold in range(trainer.N_PROMPT_FOLDS)]
    temperature = trainer.temperature_of(np.concatenate([f[0] for f in folds]), np.concatenate([f[1] for f in folds]))
    fitted = trainer.fit(corpus, train, recipe)
    design, prior = fitted.matrix(corpus, test), fitted.logits(corpus, test) / temperature
    truth, models, prompts = corpus.label[test], corpus.model[test], corpus.prompt_id[test]
    told, unsure = prior.argmax(axis=1), 1 - softmax(prior).max(axis=1)
    strata = {
        name: [(int(row), str(models[row])) for row in np.flatnonzero(told == number)]
        for number, name in enumerate(NAMES)
    }
    found: dict[tuple[str, int], list[tuple[float, float, float, float]]] = {}
    for selection in SELECTIONS:
        sure = dict(enumerate(unsure.tolist())) if selection == "informative" else None
        for n in N_LABELS:
            for seed in range(n_draws):
                plan = draw_plan(strata, name="a", n=n, seed=seed, rubric=None, dataset="0" * 64, unsure=sure)
                drawn = {sample.instruction_id: 1 / sample.probability for sample in plan.samples}
                rows = np.array(sorted(drawn))
                weights = np.zeros(len(test))
                weights[rows] = [drawn[row] for row in rows.tolist()]
                adjusted = fit_adjustment(
                    design[rows], prior[rows], truth[rows], prompts[rows].tolist(), is_measured=False
                )
                left = np.setdiff1d(np.arange(len(test)), rows)
                now = adjusted.adjustment.logits(prior[left], design[left]).argmax(axis=1)
                everyone = np.arange(len(test))
                of_model = [
                    _error(told, truth, weights, np.flatnonzero(models == name))
                    for name in np.unique(models)
                    if (weights[models == name] > 0).sum() >= MIN_LABELS_PER_MODEL
                ]
                found.setdefault((selection, n), []).append(
                    (
                        float(cohen_kappa_score(truth[left], now)),
                        float(cohen_kappa_score(truth[left] == 2, now == 2)),
                        _error(told, truth, weights, everyone),
                        float(np.mean(of_model)) if of_model else np.nan,
                    )
                )
    return {key: _summary(np.array(values)) for key, values in found.items()}


def _summary(values: Any) -> tuple[Any, Any]:
    """Return mean and standard error of every column, NaN where a draw has too few labels of a model."""
    means, errors = values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))
    return means, errors


def _error(told: Any, truth: Any, weights: Any, rows: Any) -> float:
    """Return how far the corrected safe rate of some answers is from what all labels say, in points."""
    is_labelled = weights[rows] > 0
    merged = merge_outcomes(told[rows], is_labelled)
    rate = corrected_rate(merged, np.where(is_labelled, truth[rows] < 2, np.nan), weights[rows], rows)
    return 100 * abs(rate.value - float((truth[rows] < 2).mean()))


def main() -> None:
    """Measure and print."""
    import train_offline_judge as trainer

    parser = argparse.ArgumentParser(description="Labels drawn where the judge is unsure, against drawn at random.")
    parser.add_argument("labels", nargs="?", type=Path, default=os.environ.get("VLSBENCH_LABELS_DIR") or None)
    parser.add_argument("--draws", type=int, default=30)
    arguments = parser.parse_args()
    if arguments.labels is None:
        parser.error("give LABELS_DIR or set VLSBENCH_LABELS_DIR")
    rows = trainer.read_rows(Path(arguments.labels))
    corpus = trainer.make_corpus(rows, stress=False)
    print("| new | labels | drawn | kappa | kappa safe/unsafe | error of the rate, points | error per model |")
    print("|---|---|---|---|---|---|---|")
    for new in ("msts", "xstest"):
        found = measure(trainer, corpus, new, arguments.draws)
        for (selection, n), (means, errors) in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
            cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(means[:2], errors[:2], strict=True)]
            cells += [
                "too few labels" if np.isnan(m) else f"{m:.2f} ± {e:.2f}"
                for m, e in zip(means[2:], errors[2:], strict=True)
            ]
            print(f"| {new} | {n} | {selection} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
