"""A table of answers: JSONL, a JSON list, CSV, TSV, Parquet or xlsx with an answer and what tells its sample per row.

Answers stay as they were written, as in a submission of one's own: what is blank or an API error is told by the gate.
A `responses.jsonl` is such a table, and so is the answer file of LLaVA (`question_id`, `prompt`, `text`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from vlsbench.submission.importers.cells import Parts, cells_of, compact, last_turn, last_word
from vlsbench.submission.importers.columns import CHAT_NAMES, choose_answer, is_answer_name, is_id_name
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.rows import Parsed, Row, Said, number_text, parse_id
from vlsbench.submission.importers.source import Problems, Source, parse_json
from vlsbench.submission.importers.tables import Container, Glimpse, Sniffed, is_cut_cell, read_table
from vlsbench.submission.importers.texts import TextColumn, Texts

__all__ = ["FORMAT", "NamedColumns", "looks_plain", "optional_text", "read_plain", "read_plain_as"]

_OTHERS: Final = (
    "condition",
    "finish_reason",
    "failure",
    "settings",
    "usage",
    "model_snapshot",
    "reasoning",
)
_OTHER_OF: Final = {compact(name): name for name in _OTHERS}


class NamedColumns(NamedTuple):
    """Columns that the user named; None leaves one to be found."""

    id: str | None = None
    response: str | None = None
    text: str | None = None


class _Line(NamedTuple):
    """A row before it is clear which column is the answer."""

    place: str
    kept: Mapping[str, Any]
    """Cells that may be the id, the answer or an optional column, as they were written."""
    cells: Mapping[str, Parts]
    """All but the optional ones, flat."""


def looks_plain(glimpse: Glimpse) -> bool:
    """Say yes: what no other format knows is a table, or says why it is none."""
    return True


def read_plain(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read a table of answers whose columns are found by their names and by what they hold."""
    return read_plain_as(source, sniffed, problems, NamedColumns())


def read_plain_as(source: Source, sniffed: Sniffed, problems: Problems, named: NamedColumns) -> Parsed:
    """Read a table of answers."""

    @cache
    def is_kept(name: str) -> bool:
        known = is_id_name(name) or is_answer_name(name) or compact(name) in CHAT_NAMES or compact(name) in _OTHER_OF
        return known or name in (named.id, named.response)

    def is_wanted(name: str) -> bool:
        return is_kept(name) and compact(name) not in CHAT_NAMES

    lines = []
    names = dict.fromkeys(sniffed.columns if sniffed.container in ("csv", "tsv") else ())
    for cells in read_table(source, sniffed, problems, wanted=is_wanted):
        names.update(dict.fromkeys(cells.values))
        kept = {name: value for name, value in cells.values.items() if is_kept(name)}
        optional = [name for name in kept if compact(name) in _OTHER_OF]
        lines.append(_Line(cells.place, kept, cells_of(cells.values, without=optional)))
    if not names:
        return Parsed("plain", ())
    for flag, name in (("--id-column", named.id), ("--response-column", named.response), ("--text-column", named.text)):
        if name is not None and name not in names:
            shown = ", ".join(repr(found[:40]) for found in list(names)[:20])
            problems.add("", f"{flag} {name!r}: no such column; found {shown}")
            return Parsed("plain", ())
    answer = _choose(lines, list(names), named, problems)
    if answer is None:
        return Parsed("plain", ())
    ids = [name for name in names if (is_id_name(name) or name == named.id) and name != answer]
    rows = [_row(line, answer, ids, problems, sniffed.container) for line in lines]
    others = [name for name in names if compact(name) not in _OTHER_OF and name not in (answer, *ids)]
    return Parsed("plain", tuple(row for row in rows if row is not None), ignored=tuple(others))


def _choose(lines: Sequence[_Line], names: Sequence[str], named: NamedColumns, problems: Problems) -> str | None:
    """Choose the column of the answers; that there is none becomes a problem."""
    texts = Texts()

    @cache
    def is_instructions(name: str) -> bool:
        parts = [line.cells.get(name, ()) for line in lines]
        return TextColumn(texts, [[p for p in cell if isinstance(p, str)] for cell in parts]).is_instructions

    if named.response is not None:
        if is_instructions(named.response):
            problems.add("", f"--response-column {named.response!r} holds the instructions, not what a model said")
            return None
        return named.response
    candidates = [name for name in names if name not in (named.id, named.text)]
    if any(compact(name) == "failure" for name in names) and not any(map(is_answer_name, names)):
        return "response"
    try:
        return choose_answer([line.kept for line in lines], candidates, is_instructions=is_instructions)
    except ValueError as error:
        problems.add("", str(error))
        return None


def _row(line: _Line, answer: str, ids: Sequence[str], problems: Problems, kind: Container) -> Row | None:
    place, kept, is_workbook = line.place, line.kept, kind == "xlsx"
    optional = {_OTHER_OF[compact(name)]: value for name, value in kept.items() if compact(name) in _OTHER_OF}
    response, failure = kept.get(answer), optional_text(optional.get("failure"))
    if compact(answer) in CHAT_NAMES and not (isinstance(response, str) and last_turn(response) is None):
        response = last_turn(response)
    if is_workbook and isinstance(response, int | float) and not isinstance(response, bool):
        response = number_text(response)
    if response is not None and not isinstance(response, str):
        problems.add(place, f"{answer!r} is a text; found {type(response).__name__}")
        return None
    if failure is not None and not response:
        response = None  # a CSV has no null
    if response is None and failure is None:
        is_filtered = optional.get("finish_reason") == "content_filter"
        failure = "response_filtered" if is_filtered else "response_missing"
    try:
        settings, usage = (_object(optional.get(name), is_frame=kind == "parquet") for name in ("settings", "usage"))
    except ValueError as error:
        problems.add(place, f"settings and usage are JSON objects: {error}")
        return None
    is_cut = is_workbook and response is not None and is_cut_cell(response)
    said = Said(
        response=response,
        failure=failure,  # type: ignore[arg-type]  # any text: the record refuses what is not one
        finish_reason="truncated" if is_cut else optional_text(optional.get("finish_reason")),
        reasoning=optional_text(optional.get("reasoning")),
        model_snapshot=optional_text(optional.get("model_snapshot")),
        settings=settings,
        usage=usage,
    )
    is_chat = compact(answer) in CHAT_NAMES
    cells = {
        name: parts
        for name, parts in line.cells.items()
        if name not in ids and (is_chat or not (name == answer or name.startswith(f"{answer}.")))
    }
    claimed = {name: kept.get(name) for name in ids}
    nested = {name: parts[0] for name, parts in cells.items() if "." in name and last_word(name) == "instructionid"}
    condition = optional_text(optional.get("condition")) or _condition_of(claimed.values())
    return Row(place, claimed | nested, cells, said, condition)


def _condition_of(ids: Iterable[object]) -> str | None:
    """Return the condition that an id names: `17:text-only`."""
    parsed = [parse_id(value) for value in ids if isinstance(value, str)]
    return next((item.condition for item in parsed if not isinstance(item, str) and item.condition), None)


def optional_text(value: object) -> str | None:
    """Return a text, or None for what is blank: a table has no null."""
    return value if isinstance(value, str) and value else None


def _object(value: object, *, is_frame: bool) -> Mapping[str, Any] | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = parse_json(value.encode("utf-8", "surrogatepass"))
    if not isinstance(value, dict):
        raise ValueError(f"found {type(value).__name__}")  # noqa: TRY004 - the caller says where
    return _without_nulls(value) or None if is_frame else value


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """Take out what only other rows have: a Parquet file's objects all have the same keys."""
    inner = {name: _without_nulls(item) if isinstance(item, dict) else item for name, item in value.items()}
    return {name: item for name, item in inner.items() if item is not None}


FORMAT: Final = Format(
    "plain", "a table of answers as JSON lines, JSON, CSV, TSV, Parquet or xlsx", looks_plain, read_plain
)
