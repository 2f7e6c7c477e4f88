"""The cells of a stranger's row as flat texts and numbers, whatever was nested in them.

A chat, a list of parts and an object in a cell become columns with dotted names (`messages.content`, `doc.category`).
Pure, and bounded: what is too long or too deep to be a prompt is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from vlsbench.submission.importers.source import parse_json
from vlsbench.submission.importers.texts import MAX_TEXT_CHARACTERS

__all__ = ["Cell", "Parts", "cells_of", "compact", "last_turn", "last_word"]

Cell = str | int | float
Parts = tuple[Cell, ...]
"""What one cell holds, in its order."""

_MOST_PARTS: Final = 256
"""Of one row; a chat of a benchmark has a few."""

_DEEPEST: Final = 6
_ROLES: Final = ("role", "from")
_WORDS: Final = ("content", "value", "text")
_MODELS: Final = frozenset({"assistant", "gpt", "model", "bot", "chatgpt"})


def compact(name: str) -> str:
    """Write a column's name as all its spellings are one.

    >>> compact("Instruction ID"), compact("instructionId"), compact("l2-category")
    ('instructionid', 'instructionid', 'l2category')
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def last_word(name: str) -> str:
    """Write the last part of a dotted name so: of `doc.image_path` what it is within `doc`."""
    return compact(name.rsplit(".", 1)[-1])


def cells_of(values: Mapping[str, Any], *, without: Collection[str] = ()) -> dict[str, Parts]:
    """Flatten the cells of a row that may tell its sample."""
    found: dict[str, list[Cell]] = {}
    n_parts = 0
    for name, value in values.items():
        if name in without:
            continue
        for path, part in _parts(name, value, 0):
            n_parts += 1
            if n_parts > _MOST_PARTS:
                break
            found.setdefault(path, []).append(part)
    return {name: tuple(parts) for name, parts in found.items()}


def _parts(name: str, value: object, depth: int) -> Iterator[tuple[str, Cell]]:
    if isinstance(value, bool) or value is None or depth > _DEEPEST:
        return
    if isinstance(value, str):
        nested = _nested(value)
        if nested is not None:
            yield from _parts(name, nested, depth + 1)
        elif len(value) <= MAX_TEXT_CHARACTERS and not value.startswith("data:"):
            yield name, value
    elif isinstance(value, int | float):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in list(value.items())[:_MOST_PARTS]:
            yield from _parts(f"{name}.{key}", inner, depth + 1)
    elif isinstance(value, list):
        for inner in value[:_MOST_PARTS]:
            yield from _parts(name, inner, depth + 1)


def _nested(text: str) -> dict[str, Any] | list[Any] | None:
    """Parse a text that holds JSON, as a table writes a chat."""
    if not text or text[0] not in "[{" or text[-1] not in "]}" or len(text) > MAX_TEXT_CHARACTERS:
        return None
    try:
        value = parse_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def last_turn(value: object) -> str | None:
    """Return what a chat ends with, where its last turn is a model's; None where it is no chat or a person's turn.

    >>> last_turn([{"role": "user", "content": "Why?"}, {"role": "assistant", "content": [{"text": "So."}]}])
    'So.'
    """
    if isinstance(value, str):
        value = _nested(value)
    if not isinstance(value, list) or not value or not all(isinstance(turn, Mapping) for turn in value):
        return None
    turn = value[-1]
    role = next((turn[name] for name in _ROLES if name in turn), None)
    if not isinstance(role, str) or role.casefold() not in _MODELS:
        return None
    said = next((turn[name] for name in _WORDS if turn.get(name) is not None), "")
    parts = said if isinstance(said, list) else [said]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    return "".join(text for text in texts if isinstance(text, str))
