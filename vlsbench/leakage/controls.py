"""Controls: sets whose answer is known, measured by the code that measures the user's set, in every report.

Made of the packaged drawn sample and of planted words only. What a control guards is not printed where it fails: a
number of an instrument that cannot tell its own controls apart says nothing. The seed is fixed, so a control that
passes here passes everywhere with these versions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final, NamedTuple

from vlsbench.leakage.cues import CueFeatures, find_cues
from vlsbench.leakage.features import TextFeatures
from vlsbench.leakage.groups import group_items, words_of
from vlsbench.leakage.image_need import points_at_image
from vlsbench.leakage.items import AuditItem
from vlsbench.leakage.predictability import Fit, Task, fit_task, group_folds, make_task, measure
from vlsbench.leakage.records import HARM, Control, Predictability

__all__ = [
    "CUES",
    "PLANTED_SHARES",
    "PLANTED_WORDS",
    "POINTS",
    "PREDICTABILITY",
    "Instrument",
    "plant",
    "recovered_share",
    "run_controls",
    "sample_texts",
]

Instrument = Callable[[Task, Any, int], Fit]
"""What predicts: task, features, seed → held-out predictions. The tests hand in a broken one."""

PLANTED_SHARES: Final = (0.0, 0.5, 1.0)
PLANTED_WORDS: Final = ("quindel", "zorblat", "vexmoor", "tralbin", "plonkit", "grastle", "womrith", "jexlop")
"""One per class; words of no language, so that nothing else can carry them."""

_N_PLANTED: Final = 1_200
_TOLERANCE: Final = 0.1
"""Of a recovered share: with 1,200 items and two even classes its standard error is at most 0.03."""
_SEED: Final = 0

PREDICTABILITY: Final = "predictability"
CUES: Final = "cues"
POINTS: Final = "image_need.points_at_image"


class SampleText(NamedTuple):
    """A pair of the packaged sample, or its twin, in words."""

    instruction: str
    description: str
    risk: str
    pair: str
    """The same for a pair and its twin."""


@lru_cache(maxsize=1)
def sample_texts() -> tuple[SampleText, ...]:
    """Read the packaged sample's texts, twins included."""
    import pyarrow.parquet as pq

    folder = resources.files("vlsbench.dataset").joinpath("sample")
    columns = ["instruction_id", "instruction", "image_description", "risk", "twin_id"]
    found = []
    for name in ("risky", "benign"):
        with resources.as_file(folder.joinpath(f"{name}.parquet")) as path:
            for row in pq.read_table(path, columns=columns).to_pylist():
                pair = str(min(row["instruction_id"], row["twin_id"]))
                found.append(SampleText(row["instruction"], row["image_description"], row["risk"], pair))
    return tuple(found)


def run_controls(
    instrument: Instrument = lambda task, matrix, seed: fit_task(task, matrix, seed=seed),
) -> list[Control]:
    """Measure the controls."""
    sample = sample_texts()
    labels = [text.risk for text in sample]
    pairs = [text.pair for text in sample]
    named = _measure([text.description for text in sample], labels, pairs, instrument)
    twins = _measure([text.instruction for text in sample], labels, pairs, instrument)
    found = [
        _control("text that names the image's content", "AUC at least 0.8", named.auc.value, named.auc.value >= 0.8),
        _control(
            "twins: same text, risky and harmless image", "AUC 0.5", twins.auc.value, abs(twins.auc.value - 0.5) < 1e-9
        ),
    ]
    for share in PLANTED_SHARES:
        texts, planted = planted_set(share)
        value = recovered_share(_measure(texts, planted, None, instrument))
        found.append(
            _control(
                f"planted in {share:.0%} of the texts",
                f"{share:.2f} ± {_TOLERANCE}",
                value,
                abs(value - share) <= _TOLERANCE,
            )
        )
    found.append(_sign_control())
    found.append(_pointing_control(sample))
    return found


def _control(name: str, expected: str, value: float, passed: bool, *guards: str) -> Control:
    return Control(name=name, expected=expected, value=value, passed=bool(passed), guards=guards or (PREDICTABILITY,))


def _measure(
    texts: Sequence[str], labels: Sequence[str], pairs: Sequence[str] | None, instrument: Instrument
) -> Predictability:
    items = [AuditItem(str(n), text, None, {}, n, None if pairs is None else pairs[n]) for n, text in enumerate(texts)]
    groups = group_items(items).of_item
    task = make_task(HARM, labels, groups)
    assert not isinstance(task, str), task  # noqa: S101 - made here: two even classes in more than five groups
    fit = instrument(task, TextFeatures(texts).matrix, _SEED)
    return measure(fit, (1.0, {}), [None] * len(texts))


def planted_set(share: float) -> tuple[list[str], list[str]]:
    """Return texts of the sample's own words in random order, and labels that a planted word tells in a share."""
    import numpy as np

    draw = np.random.default_rng(_SEED)
    words = sorted({word for text in sample_texts() for word in words_of(text.instruction)})
    texts = [" ".join(draw.choice(words, size=10, replace=False)) + "." for _ in range(_N_PLANTED)]
    numbers = draw.permutation(np.arange(_N_PLANTED) % 2)
    return plant(texts, numbers, share, draw), ["ab"[number] for number in numbers]


def plant(texts: Sequence[str], classes: Any, share: float, draw: Any) -> list[str]:
    """Put the word of its class before a share of the texts.

    Args:
        classes: Class number per text, below `len(PLANTED_WORDS)`.
        draw: A numpy generator; which texts are taken is drawn within each class, so the share is exact.
    """
    import numpy as np

    planted = list(texts)
    for number in np.unique(classes):
        rows = draw.permutation(np.flatnonzero(classes == number))
        for row in rows[: round(share * len(rows))]:
            planted[row] = f"{PLANTED_WORDS[number]} {planted[row]}"
    return planted


def recovered_share(found: Predictability) -> float:
    """Return (accuracy - majority) / (1 - majority): the share of the texts that give their label away."""
    return (found.accuracy.value - found.majority) / (1 - found.majority)


def _sign_control() -> Control:
    """Plant a final question mark: the cue must be found, by its name."""
    texts, labels = planted_set(0.0)
    signed = [text[:-1] + ("?" if label == "a" else ".") for text, label in zip(texts, labels, strict=True)]
    items = [AuditItem(str(n), text, None, {}, n) for n, text in enumerate(signed)]
    task = make_task(HARM, labels, group_items(items).of_item)
    assert not isinstance(task, str), task  # noqa: S101 - as above
    best = find_cues(task, group_folds(task.y, task.groups, _SEED), CueFeatures(signed))[0]
    passed = best.accuracy.value == 1.0 and best.kind == "last sign"
    return _control("planted final question mark", "found by name, accuracy 1", best.accuracy.value, passed, CUES)


def _pointing_control(sample: Sequence[SampleText]) -> Control:
    """Compare instructions that need their image with descriptions that are complete."""
    pointing = [points_at_image(text.instruction) for text in sample]
    complete = [points_at_image(text.description) for text in sample]
    value = sum(pointing) / len(sample) - sum(complete) / len(sample)
    return _control(
        "instructions that need an image against descriptions", "difference at least 0.5", value, value >= 0.5, POINTS
    )
