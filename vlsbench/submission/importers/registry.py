"""Every format there is. A new one is a module with a `FORMAT`, and a line here."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from vlsbench.errors import UsageError
from vlsbench.submission.importers import authors, inspect_logs, lmms_eval, openai_batch, plain, vlmevalkit
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.tables import Glimpse

__all__ = ["FORMATS", "describe_formats", "find_format", "format_names", "guess_format"]

FORMATS: Final[tuple[Format, ...]] = (
    inspect_logs.FORMAT,
    lmms_eval.FORMAT,
    vlmevalkit.FORMAT,
    openai_batch.FORMAT,
    authors.FORMAT,
    plain.FORMAT,
)
"""The first that knows a file reads it; the last takes any table."""


def format_names() -> str:
    """Write the names as a sentence has them.

    >>> format_names()
    'inspect, lmms-eval, vlmevalkit, openai-batch, authors or plain'
    """
    *names, last = (item.name for item in FORMATS)
    return f"{', '.join(names)} or {last}"


def describe_formats() -> str:
    """Say what is taken, for a page; what this installation cannot read says why."""
    return "; ".join(f"{item.says}{_what_is_missing(item)}" for item in FORMATS)


def _what_is_missing(item: Format) -> str:
    if item.needs is None or find_spec(item.needs) is not None:
        return ""
    return f" (not here: {item.needs.replace('_', '-')} is not installed)"


def find_format(name: str) -> Format:
    """Return the format of a name.

    Raises:
        UsageError: If there is none.
    """
    found = next((item for item in FORMATS if item.name == name), None)
    if found is None:
        raise UsageError(f"--from {name!r}: no such format; the formats are {format_names()}.")
    return found


def guess_format(glimpse: Glimpse) -> Format:
    """Guess a format by the content: the first that says the file is one of its own."""
    return next((item for item in FORMATS if item.looks_like(glimpse)), plain.FORMAT)
