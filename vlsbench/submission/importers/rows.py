"""What all formats become: rows with what may be an id, what it is compared with, and what the model said.

Pure: no files, no network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from vlsbench.error_texts import why_not_an_answer
from vlsbench.records import ResponseFailure, Settings
from vlsbench.submission.importers.cells import Parts

__all__ = ["Id", "Parsed", "Row", "Said", "answer_or_failure", "number_text", "parse_id"]

_MAX_ID: Final = 2**53
_CUSTOM_ID: Final = re.compile(r"(?:(vlsbench|instruction_id|id)[-_=:/])?([0-9]{1,16})(?:\.0)?(?::(.{1,40}))?")


@dataclass(frozen=True)
class Said:
    """What a model said, or why there is nothing: exactly one of `response` and `failure`."""

    response: str | None = None
    failure: ResponseFailure | None = None
    finish_reason: str | None = None
    reasoning: str | None = None
    model_snapshot: str | None = None
    settings: Mapping[str, Any] | None = None
    """As written; validated when the line is made."""
    usage: Mapping[str, Any] | None = None


class Id(NamedTuple):
    """An id as a tool wrote it."""

    number: int
    condition: str | None
    """Where the id names one: `17:text-only`."""
    is_named: bool
    """The value itself says that it is an instruction_id."""


@dataclass(frozen=True)
class Row:
    """One row of a peer's file."""

    place: str
    """Where it stands: `:17`, ` row 17`, ` sample 5`."""
    ids: Mapping[str, object]
    """Cells that may be its id, by column, as they were written."""
    cells: Mapping[str, Parts]
    """The others, flat: what an id is compared with, and what a sample can be found by."""
    said: Said
    condition: str | None = None
    """None: the row does not say."""


@dataclass(frozen=True)
class Parsed:
    """A peer's file, read."""

    format: str
    rows: tuple[Row, ...]
    model: str | None = None
    settings: Settings = field(default_factory=Settings)
    ignored: tuple[str, ...] = ()
    """Columns that were not taken over and hold nothing to compare."""
    notes: tuple[str, ...] = ()


def parse_id(value: object) -> Id | str:
    """Read an id as tools write them.

    Returns:
        The id, or the end of a sentence that says what is wrong.

    >>> parse_id(17.0).number, parse_id("vlsbench-17").number, parse_id("17:text-only").condition
    (17, 17, 'text-only')
    >>> parse_id("instruction_id=17").is_named, parse_id("vlsbench-17").is_named
    (True, False)
    >>> parse_id(17.5)
    'an id is a whole number of 0 or more; found 17.5'
    """
    rule = f"an id is a whole number of 0 or more; found {_shorten(value)}"
    condition, is_named = None, False
    if isinstance(value, bool):
        return rule
    if isinstance(value, float):
        if not math.isfinite(value) or not value.is_integer():
            return rule
        value = int(value)
    if isinstance(value, str):
        match = _CUSTOM_ID.fullmatch(value.strip())
        if match is None:
            return f"{rule}; N, vlsbench-N, instruction_id=N and N:CONDITION are read"
        value, condition, is_named = int(match[2]), match[3], match[1] == "instruction_id"
    if not isinstance(value, int) or not 0 <= value <= _MAX_ID:
        return rule
    return Id(value, condition, is_named)


def answer_or_failure(
    text: str | None, finish_reason: str | None = None
) -> tuple[str, None] | tuple[None, ResponseFailure]:
    """Tell an answer from what a peer writes in the place of one.

    >>> answer_or_failure("Failed to obtain answer via API.")
    (None, 'response_error')
    >>> answer_or_failure("", "content_filter")
    (None, 'response_filtered')
    """
    why = "response_empty" if text is None else why_not_an_answer(text)
    if text is not None and why is None:
        return text, None
    if why == "response_empty" and finish_reason == "content_filter":
        return None, "response_filtered"
    return None, "response_error" if why == "response_error" else "response_empty"


def number_text(value: float) -> str:
    """Write a number that a spreadsheet made of a text: 17, not 17.0.

    >>> number_text(17.0), number_text(0.5)
    ('17', '0.5')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}… ({len(text)} characters)"
