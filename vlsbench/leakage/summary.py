"""The three answers of a report, each one number and one sentence; the page and the terminal both begin with them.

Plain text: whoever puts a sentence into a page escapes it. Pure: no files, no network, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from vlsbench.errors import amount
from vlsbench.leakage.records import Cue, HarmLeak, ImageNeed, Measure, Predictability
from vlsbench.text import percent

__all__ = [
    "NUMBERS_OF_LABELS",
    "Answer",
    "cue_by_category",
    "harm_answer",
    "helpful_cues",
    "labels_answer",
    "need_answer",
]

NUMBERS_OF_LABELS: Final = (
    "AUC: 0.5 is chance, 1 is certain. Bits: what the text tells, of all there is to know of the label. p: how often "
    "labels that were dealt out anew are told as well."
)


_SURE: Final = 0.05
"""Largest p of the permutation null with which a label counts as told; the interval answers another question."""


class Answer(NamedTuple):
    """One answer."""

    question: str
    number: str | None
    """None was not measured."""
    sentence: str
    """Goes on from the number."""


def harm_answer(leak: HarmLeak | None) -> Answer:
    """Say whether the text alone says the harm."""
    question = "Does the text alone say the harm?"
    if leak is None:
        return Answer(question, None, "It takes a judge (--judge); without one nobody is asked.")
    if leak.ratio is None:
        return Answer(question, "–", f"{leak.judge} calls none of {leak.r1.n:,} pairs unsafe.")
    return Answer(
        question,
        f"{percent(leak.ratio.value)}%",
        f"of the {amount(leak.ratio.n, 'pair')} that {leak.judge} calls unsafe are unsafe to it as text alone "
        f"({leak.ratio.count or 0:,}; R2/R1, 95%: {_ends(leak.ratio)}).",
    )


def labels_answer(found: Sequence[Predictability], cues: Sequence[Cue] = ()) -> Answer:
    """Say how well text alone tells the label that it tells best; name the others, and a cue that beats the model.

    Args:
        cues: Best first.
    """
    question = "Does the text tell the labels?"
    if not found:
        return Answer(question, None, "No label is there, or a control failed; the notes say which.")
    best, *others = sorted(found, key=lambda one: one.auc.value, reverse=True)
    rest = "".join(f" AUC {one.auc.value:.2f} for {one.target}{_doubt(one)}." for one in others)
    by_model = {one.target: one.accuracy.value for one in found}
    better = [cue for cue in cues if cue.accuracy.value > max(cue.majority, by_model.get(cue.target, 1.0))]
    by_cue = "".join(
        f" One cue beats the model: {cue.name} is right about {cue.target} in {percent(cue.accuracy.value)}%."
        for cue in better[:1]
    )
    return Answer(
        question,
        f"AUC {best.auc.value:.2f}",
        f"for {best.target} (95%: {best.auc.low:.2f}–{best.auc.high:.2f}; 0.5 is chance){_doubt(best)}: "
        f"{percent(best.accuracy.value)}% right from the text alone; always naming the largest class is right in "
        f"{percent(best.majority)}%.{rest}{by_cue}",
    )


def _doubt(one: Predictability) -> str:
    return "" if one.p_value < _SURE else f", which may be chance (p = {one.p_value:.3f})"


def need_answer(need: ImageNeed) -> Answer:
    """Say how many texts need their image."""
    question = "Is the image needed?"
    share = need.points_at_image
    if share is None:
        return Answer(question, None, "The rule could not be used on these texts; the notes say why.")
    return Answer(
        question,
        f"{percent(share.value)}%",
        f"of the texts point at an image (95%: {_ends(share)}); the others read as complete questions.",
    )


def cue_by_category(found: Predictability, cues: Sequence[Cue]) -> dict[str, Measure]:
    """Return how often the best cue of a label is right within each category; empty without cues or categories.

    Args:
        cues: Best first.
    """
    return next((cue.by_category for cue in cues if cue.target == found.target), {})


def helpful_cues(cues: Sequence[Cue], *, n: int) -> tuple[Cue, ...]:
    """Return the first cues that do better than the largest class; the very first where none does.

    Args:
        cues: Best first.
        n: At most so many.
    """
    return tuple(cue for cue in cues if cue.accuracy.value > cue.majority)[:n] or tuple(cues[:1])


def _ends(measure: Measure) -> str:
    return f"{percent(measure.low)}–{percent(measure.high)}"
