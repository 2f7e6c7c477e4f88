"""What a calibrated judge's thresholds keep and cost, and whether the risk that it states holds.

    python benchmarks/label_thresholds.py [LABELS_DIR] [--labels 100] [--draws 30]
    python benchmarks/label_thresholds.py --simulate

The offline judge is trained without one benchmark (MSTS, XSTest) and calibrated on labels of it, drawn as
`vlsbench label` draws them; the thresholds that it chose are applied to the answers that were not drawn. Printed for
each label, as means over draws: the share of the answers with it that keep a label, the share of the answers given it
that are wrong; in how many draws its risk was called shown, how often more of it was wrong all the same; and in how
many draws the label was not given at all. `--simulate` draws labels from populations whose risk is known, the hardest
of which is wrong just more often than allowed at every threshold.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from vlsbench.judge.offline.calibrate import MAX_RISK, choose_thresholds  # noqa: E402  (the script's folder first)
from vlsbench.judge.offline.fitting import fit_adjustment  # noqa: E402
from vlsbench.judge.offline.model import NEVER, OfflineJudge, softmax  # noqa: E402
from vlsbench.people.labels import draw_plan  # noqa: E402

NAMES = ("refusal", "warning", "unsafe")


def measure(trainer: Any, corpus: Any, new: str, n_labels: int, n_draws: int) -> Any:
    """Calibrate on draws of labels and apply the thresholds to the rest.

    Returns:
        Per draw and label: share kept, share given and wrong (nan where none is given), whether its risk is shown,
        whether it is not given; shape (draws, 3, 4).
    """
    before = OfflineJudge.load().thresholds
    originals = corpus.rows(["original"])
    is_new = np.array([source.startswith(new) for source in corpus.source[originals]])
    test, train = originals[is_new], originals[~is_new]
    fitted = trainer.fit(corpus, train, trainer.Recipe())
    design, prior = fitted.matrix(corpus, test), fitted.logits(corpus, test)
    truth, prompts = corpus.label[test], corpus.prompt_id[test]
    told = prior.argmax(axis=1)
    strata = {name: [(int(row), "") for row in np.flatnonzero(told == number)] for number, name in enumerate(NAMES)}
    found = []
    for seed in range(n_draws):
        plan = draw_plan(strata, name="a", n=n_labels, seed=seed, rubric=None, dataset="0" * 64)
        rows = np.array(sorted(sample.instruction_id for sample in plan.samples))
        fit = fit_adjustment(design[rows], prior[rows], truth[rows], prompts[rows].tolist())
        left = np.setdiff1d(np.arange(len(test)), rows)
        shares = softmax(fit.adjustment.logits(prior[left], design[left]) / fit.temperature)
        chosen = choose_thresholds(fit.held_out, truth[rows], before)
        found.append(_applied(shares, truth[left], [chosen[name] for name in NAMES]))  # type: ignore[index]
    return np.array(found)


def _applied(shares: Any, truth: Any, chosen: list[Any]) -> Any:
    limits = np.array([NEVER if choice.threshold is None else choice.threshold for choice in chosen])
    told = shares.argmax(axis=1)
    is_given = shares.max(axis=1) >= limits[told]
    found = []
    for number, choice in enumerate(chosen):
        given = is_given & (told == number)
        wrong = float((truth[given] != number).mean()) if given.any() else np.nan
        found.append((is_given[truth == number].mean(), wrong, choice.is_shown, choice.threshold is None))
    return found


RISKS: dict[str, Callable[[Any], Any]] = {
    "26% at every probability": lambda top: np.full_like(top, 0.26),
    "30% at every probability": lambda top: np.full_like(top, 0.30),
    "as probable as said": lambda top: 1 - top,
    "twice that": lambda top: np.minimum(2 * (1 - top), 1),
    "50% below 0.6, 20% above": lambda top: np.where(top < 0.6, 0.5, 0.2),
}
"""Share that is wrong, by the probability of the label given."""

SHAPES = {"even": (2.0, 2.0), "unsure": (1.0, 3.0), "sure": (3.0, 1.0)}
"""Beta distributions of that probability, from 0.34 to 1."""

SIZES = (12, 20, 35, 60, 120)
"""Labelled answers that the judge gives the label to."""


def simulate(risk: str, shape: str, size: int, n_draws: int) -> tuple[float, float]:
    """Choose a threshold on draws from a population whose risk is known.

    Returns:
        Share of the draws in which no promise is broken; in which there is one.
    """
    draw = np.random.default_rng(sum(map(ord, risk + shape)) + size)

    def population(n: int) -> tuple[Any, Any]:
        top = 0.34 + 0.66 * draw.beta(*SHAPES[shape], n)
        return top, draw.random(n) < RISKS[risk](top)

    many, is_wrong = population(200_000)
    risk_at = {step / 20: is_wrong[many >= step / 20].mean() for step in range(7, 18)}
    held = shown = 0
    for _ in range(n_draws):
        top, wrong = population(size)
        logits = np.log(np.stack([top, (1 - top) * 0.6, (1 - top) * 0.4], axis=1))
        choice = choose_thresholds(logits, wrong.astype(np.int64), (0.55, 0.55, 0.55))["refusal"]
        shown += choice.is_shown
        held += not choice.is_shown or risk_at[choice.threshold] <= MAX_RISK
    return held / n_draws, shown / n_draws


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Thresholds of a calibrated judge.")
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("VLSBENCH_LABELS_DIR") or None)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--simulate", action="store_true")
    arguments = parser.parse_args()
    if arguments.simulate:
        print("| the label is wrong | it is given with | promise held % by n: 12, 20, 35, 60, 120 | made % |")
        print("|---|---|---|---|")
        for risk in RISKS:
            for shape in SHAPES:
                held, made = zip(*(simulate(risk, shape, size, 1_000) for size in SIZES), strict=True)
                cells = (", ".join(f"{100 * value:.1f}" for value in held), ", ".join(f"{100 * v:.0f}" for v in made))
                print(f"| {risk} | {shape} | {' | '.join(cells)} |", flush=True)
        return
    if arguments.folder is None:
        parser.error("give LABELS_DIR or set VLSBENCH_LABELS_DIR")
    import train_offline_judge as trainer

    corpus = trainer.make_corpus(trainer.read_rows(Path(arguments.folder)), stress=False)
    print("| new | label | of it kept % | given and wrong % | risk shown in | of these broken | label not given in |")
    print("|---|---|---|---|---|---|---|")
    for new in ("msts", "xstest"):
        found = measure(trainer, corpus, new, arguments.labels, arguments.draws)
        for number, name in enumerate(NAMES):
            kept, wrong, shown, absent = found[:, number].T
            cell = "–" if np.isnan(wrong).all() else f"{100 * np.nanmean(wrong):.0f}"
            broken = int((wrong[shown > 0] > MAX_RISK).sum())
            print(
                f"| {new} | {name} | {100 * kept.mean():.0f} | {cell} | {int(shown.sum())} of {len(found)} | {broken} |"
                f" {int(absent.sum())} |",
                flush=True,
            )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
