"""Measure what labels are worth to the offline judge: the learning curve of `vlsbench calibrate`.

    python benchmarks/calibration_curve.py [LABELS_DIR]

The judge is trained without MSTS, as in the row *MSTS, after training without it* of its card, then calibrated with
0, 100, 200, 400 and 800 labels of MSTS drawn at random, and tested on MSTS answers whose model and whose prompt are
both not among them. Beside it, on the same labels and the same tests: a plain regression (word 1-2 and character 3-5
TF-IDF, balanced logistic regression), trained on those labels alone and on those labels with XSTest. Six splits; the
mean and the standard deviation over splits are printed and written. Nothing is chosen by these numbers but what
the docstrings of `vlsbench.judge.offline.fitting` say.

`scripts/train_offline_judge.py` runs `measure` too, and writes what it returns into `metrics.json` and the card.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from vlsbench.judge.offline.fitting import fit_adjustment  # noqa: E402  (the script's folder first)

N_LABELS = (0, 100, 200, 400, 800)
N_SPLITS = 6
N_TEST_MODELS, TEST_PROMPTS = 2, 0.4
"""Two of seven models and two fifths of the prompts are tested on: about 230 answers, and 850 are left to label."""

OURS = "calibrated judge"
LABELS_ONLY, LABELS_AND_XSTEST = "regression on the labels", "regression on the labels and XSTest"


def measure(trainer: Any, corpus: Any, texts: list[str]) -> dict[str, Any]:
    """Measure the curve.

    Args:
        trainer: The module `train_offline_judge`.
        corpus: Its corpus of both benchmarks.
        texts: The responses, in the order of the corpus.
    """
    originals = corpus.rows(["original"])
    msts = originals[(corpus.source[originals] == "msts") & corpus.is_tested[originals]]
    xstest = originals[corpus.source[originals] == "xstest"]
    recipe = trainer.Recipe()
    temperature = trainer.temperature_within(corpus, xstest, recipe)
    fitted = trainer.fit(corpus, xstest, recipe)
    design, prior = fitted.matrix(corpus, msts), fitted.logits(corpus, msts) / temperature
    models, prompts, truth = corpus.model[msts], corpus.prompt_id[msts], corpus.label[msts]
    kappas: dict[str, dict[int, list[tuple[float, float]]]] = {
        name: {n: [] for n in N_LABELS if n or name == OURS} for name in (OURS, LABELS_ONLY, LABELS_AND_XSTEST)
    }
    sizes = []
    for seed in range(N_SPLITS):
        draw = np.random.default_rng(seed)
        is_model = np.isin(models, draw.permutation(np.unique(models))[:N_TEST_MODELS])
        every_prompt = np.unique(prompts)
        is_prompt = np.isin(prompts, draw.permutation(every_prompt)[: round(TEST_PROMPTS * len(every_prompt))])
        test, pool = np.flatnonzero(is_model & is_prompt), draw.permutation(np.flatnonzero(~is_model & ~is_prompt))
        sizes.append(len(test))
        for n in N_LABELS:
            labelled = pool[:n]
            told = prior[test].argmax(axis=1)
            if n:
                found = fit_adjustment(
                    design[labelled], prior[labelled], truth[labelled], prompts[labelled].tolist(), is_measured=False
                )
                told = found.adjustment.logits(prior[test], design[test]).argmax(axis=1)
                for name, more in ((LABELS_ONLY, msts[:0]), (LABELS_AND_XSTEST, xstest)):
                    train = np.concatenate([msts[labelled], more])
                    guessed = _regress([texts[r] for r in train], corpus.label[train], [texts[r] for r in msts[test]])
                    kappas[name][n].append(_pair(truth[test], guessed))
            kappas[OURS][n].append(_pair(truth[test], told))
    return {
        "n_splits": N_SPLITS,
        "n_test": round(float(np.mean(sizes))),
        "curves": {name: {str(n): _summary(pairs) for n, pairs in curve.items()} for name, curve in kappas.items()},
    }


def _pair(truth: Any, told: Any) -> tuple[float, float]:
    return float(cohen_kappa_score(truth, told)), float(cohen_kappa_score(truth == 2, told == 2))


def _summary(pairs: list[tuple[float, float]]) -> dict[str, list[float]]:
    means, spreads = np.mean(pairs, axis=0), np.std(pairs, axis=0)
    return {"kappa": [round(float(v), 3) for v in (means[0], spreads[0])],
            "kappa_safe": [round(float(v), 3) for v in (means[1], spreads[1])]}  # fmt: skip


def _regress(train: list[str], labels: Any, test: list[str]) -> Any:
    """Train the plain regression and label `test`."""
    readers = (
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2),
    )
    design = sp.hstack([reader.fit_transform(train) for reader in readers]).tocsr()
    regression = LogisticRegression(C=10.0, class_weight="balanced", max_iter=400, tol=1e-3).fit(design, labels)
    return regression.predict(sp.hstack([reader.transform(test) for reader in readers]).tocsr())


def main() -> None:
    """Measure and print."""
    import train_offline_judge as trainer

    parser = argparse.ArgumentParser(description="Learning curve of the calibration of the offline judge.")
    parser.add_argument("labels", nargs="?", type=Path, default=os.environ.get("VLSBENCH_LABELS_DIR") or None)
    arguments = parser.parse_args()
    if arguments.labels is None:
        parser.error("give LABELS_DIR or set VLSBENCH_LABELS_DIR")
    rows = trainer.read_rows(Path(arguments.labels))
    found = measure(trainer, trainer.make_corpus(rows, stress=False), [row.response for row in rows])
    print(f"kappa three-way / safe-unsafe, mean ± standard deviation of {found['n_splits']} splits")
    for name, curve in found["curves"].items():
        for n, entry in curve.items():
            (a, b), (c, d) = entry["kappa"], entry["kappa_safe"]
            print(f"{name:36} {n:>4} labels  {a:.2f} ± {b:.2f} / {c:.2f} ± {d:.2f}")
    committed = json.loads(trainer.OUT.joinpath("metrics.json").read_text(encoding="utf-8")).get("calibration_curve")
    print(
        "as in metrics.json"
        if committed == found
        else "metrics.json has other figures: run scripts/train_offline_judge.py"
    )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
