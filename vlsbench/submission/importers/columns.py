"""Which column of a stranger's table is the answer, and which may be the id?

By their names, in any spelling, and by what they hold: a column of the benchmark's own instructions is never the
answer, whatever it is called, and neither is what a benchmark expects (`gold`, `reference`, `answer` beside a
`prediction`). Two columns that could both be it are an error. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from vlsbench.submission.importers.cells import compact, last_turn

__all__ = ["CHAT_NAMES", "choose_answer", "is_answer_name", "is_id_name", "is_reference_name"]

_IDS: Final = frozenset(
    {
        *("instructionid", "id", "questionid", "sampleid", "idx", "qid", "index", "itemid", "docid", "dataid"),
        *("exampleid", "rowid", "row", "customid", "key", "", "unnamed0", "indexlevel0"),
    }
)
"""The last three are the index of a pandas frame, as CSV and Parquet have it. `image_id` is an image's, `answer_id` an
answer's."""

_MADE_BY_A_MODEL: Final = frozenset(
    {
        *("prediction", "predictions", "pred", "preds", "predicted", "predanswer", "predictedanswer", "predictedtext"),
        *("modelanswer", "modeloutput", "modelresponse", "modelprediction", "modelgeneration", "generated"),
        *("generatedtext", "generatedanswer", "generatedresponse", "generatedoutput", "generation", "generations"),
        *("completion", "completions", "llmoutput", "llmresponse", "llmanswer", "assistantresponse", "modelcompletion"),
    }
)
_GENERAL: Final = frozenset(
    {
        "response",
        "responses",
        "resp",
        "output",
        "outputs",
        "outputtext",
        "responsetext",
        "reply",
        "finalanswer",
        "finalresponse",
    }
)
_WEAK: Final = frozenset({"answer", "answers", "text"})
"""What a benchmark expects, or the prompt, as likely as what a model said: an answer only where no other column is."""

_REFERENCE: Final = (
    *("gold", "reference", "groundtruth", "expected", "correct", "ideal", "gtanswer", "chosen", "rejected"),
)
_REFERENCE_WORDS: Final = frozenset({"gt", "label", "labels", "target", "targets", "solution", "truth"})

_MOST_ANSWERS: Final = 32
"""Columns that are compared: every row of JSON may spell a name otherwise."""

CHAT_NAMES: Final = frozenset({"messages", "conversation", "conversations", "chat", "dialog", "dialogue", "turns"})
"""Columns whose last turn may be the answer."""


def is_id_name(name: str) -> bool:
    """Say whether a column is called as ids are.

    >>> is_id_name("Question ID"), is_id_name("image_id")
    (True, False)
    """
    return compact(name) in _IDS


def is_reference_name(name: str) -> bool:
    """Say whether a column is called as what a benchmark expects.

    >>> is_reference_name("ground_truth"), is_reference_name("expected_output"), is_reference_name("output")
    (True, True, False)
    """
    word = compact(name)
    return word in _REFERENCE_WORDS or any(part in word for part in _REFERENCE)


def is_answer_name(name: str) -> bool:
    """Say whether a column is called as answers are.

    >>> is_answer_name("Model Output"), is_answer_name("reference_answer")
    (True, False)
    """
    return compact(name) in _MADE_BY_A_MODEL | _GENERAL | _WEAK


def choose_answer(
    rows: Sequence[Mapping[str, Any]], names: Iterable[str], *, is_instructions: Callable[[str], bool]
) -> str:
    """Choose the column of the answers.

    Args:
        rows: The cells of every row.
        names: The columns, in their order.
        is_instructions: Says whether a column holds the benchmark's instructions.

    Returns:
        Its name. Of a chat it is the column whose last turns are the answers.

    Raises:
        ValueError: If there is none, or several; the message is the end of a sentence.
    """
    found = tuple(names)
    known = [name for name in found if is_answer_name(name)][:_MOST_ANSWERS]
    held = [name for name in known if is_instructions(name)]
    filled = [name for name in known if name not in held and any(_is_said(row.get(name)) for row in rows)]
    chats = [name for name in found if compact(name) in CHAT_NAMES][:_MOST_ANSWERS]
    chats = [name for name in chats if any(last_turn(row.get(name)) for row in rows)]
    for tier in (_MADE_BY_A_MODEL, _GENERAL, _WEAK):
        best = [name for name in filled if compact(name) in tier]
        if best:
            return _only([*best, *_rivals(best, filled, rows), *chats], rows)
    if chats:
        return _only(chats, rows)
    blank = [name for name in known if name not in held]
    if blank:
        return blank[0]
    why = f"{held[0]!r} holds the instructions; " if held else ""
    shown = ", ".join(repr(name[:40]) for name in found[:20])
    raise ValueError(
        f"no column for the answer: {why}it is called response, prediction, output, …; found {shown}. "
        "--response-column names it"
    )


def _rivals(best: Sequence[str], filled: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the columns that could be the answer as well as the best ones."""
    tier = compact(best[0])
    if tier in _MADE_BY_A_MODEL:
        is_guess = tier.startswith("pred") and all(_is_word(row.get(best[0])) for row in rows)
        return [name for name in filled if compact(name) in (_GENERAL | _WEAK if is_guess else _GENERAL)]
    if tier in _GENERAL:
        return [name for name in filled if compact(name) in ("answer", "answers")]
    return []


def _only(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the one column, or the first of several that say the same.

    Raises:
        ValueError: If they differ.
    """
    first = names[0]
    for other in names[1:]:
        if any(_said(row.get(first)) != _said(row.get(other)) for row in rows):
            raise ValueError(
                f"both {first!r} and {other!r} could be the answer, and they differ; --response-column names the one "
                "that the model said"
            )
    return first


def _said(value: object) -> object:
    turn = last_turn(value)
    return value if turn is None else turn


def _is_word(value: object) -> bool:
    """Say whether a cell is a number or at most one word, as a classifier's prediction about an answer is."""
    return not isinstance(value, str) or len(value.split()) <= 1


def _is_said(value: object) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value.strip()) if isinstance(value, str) else value not in (None, [], {})
