"""A table of answers: JSONL, a JSON list, CSV, TSV, Parquet or xlsx with an id and a response per row.

Answers stay as they were written, as in a submission of one's own: what is blank or an API error is told by the gate.
A `responses.jsonl` is such a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.rows import Parsed, Row, Said, number_text, parse_id
from vlsbench.submission.importers.source import Problems, Source, parse_json
from vlsbench.submission.importers.tables import Glimpse, Sniffed, is_cut_cell, read_table

__all__ = [
    "FORMAT",
    "ID_COLUMNS",
    "RESPONSE_COLUMNS",
    "TEXT_COLUMNS",
    "Columns",
    "choose_columns",
    "looks_plain",
    "optional_text",
    "read_plain",
]

ID_COLUMNS: Final = ("instruction_id", "id", "index")
RESPONSE_COLUMNS: Final = ("response", "prediction", "pred_answer", "answer", "output")
"""`answer` comes late: beside a `prediction` it is what a benchmark expects, not what the model said."""
TEXT_COLUMNS: Final = ("instruction", "question")
_OTHERS: Final = (
    "condition",
    "finish_reason",
    "failure",
    "settings",
    "usage",
    "model_snapshot",
    "reasoning",
)


@dataclass(frozen=True)
class Columns:
    """Which column is what."""

    id: str
    response: str


def choose_columns(names: Iterable[str], problems: Problems, *, may_lack_response: bool = False) -> Columns | None:
    """Choose by name; what is missing becomes a problem."""
    found = tuple(names)
    number = next((name for name in ID_COLUMNS if name in found), None)
    response = next((name for name in RESPONSE_COLUMNS if name in found), None)
    if response is None and may_lack_response:
        response = RESPONSE_COLUMNS[0]
    for what, known, chosen in (("an id", ID_COLUMNS, number), ("the answer", RESPONSE_COLUMNS, response)):
        if chosen is None:
            shown = ", ".join(repr(name[:40]) for name in found[:20])
            problems.add("", f"no column for {what}: it is called {' or '.join(known)}; found {shown}")
    if number is None or response is None:
        return None
    return Columns(number, response)


def looks_plain(glimpse: Glimpse) -> bool:
    """Say yes: what no other format knows is a table, or says why it is none."""
    return True


def read_plain(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read a table of answers."""
    wanted = (*ID_COLUMNS, *RESPONSE_COLUMNS, *TEXT_COLUMNS, *_OTHERS)
    columns: Columns | None = None
    rows, ignored = [], dict[str, None]()
    for cells in read_table(source, sniffed, problems, wanted=wanted):
        if columns is None:
            columns = choose_columns(cells.values, problems, may_lack_response="failure" in cells.values)
            if columns is None:
                break
        used = {columns.id, columns.response, *TEXT_COLUMNS, *_OTHERS}
        ignored.update(dict.fromkeys(name for name in cells.values if name not in used))
        row = _row(cells.place, cells.values, columns, problems, is_workbook=sniffed.container == "xlsx")
        if row is not None:
            rows.append(row)
    if columns is None and sniffed.columns and not problems.n:
        choose_columns(sniffed.columns, problems)  # a header without a row
    return Parsed("plain", tuple(rows), ignored=tuple(ignored))


def _row(
    place: str, values: Mapping[str, Any], columns: Columns, problems: Problems, *, is_workbook: bool
) -> Row | None:
    number = parse_id(values[columns.id]) if columns.id in values else f"no {columns.id!r}, which other rows have"
    if isinstance(number, str):
        problems.add(place, number)
        return None
    response, failure = values.get(columns.response), optional_text(values.get("failure"))
    if is_workbook and isinstance(response, int | float) and not isinstance(response, bool):
        response = number_text(response)
    if response is not None and not isinstance(response, str):
        problems.add(place, f"{columns.response!r} is a text; found {type(response).__name__}")
        return None
    if failure is not None and not response:
        response = None  # a CSV has no null
    if response is None and failure is None:
        is_filtered = values.get("finish_reason") == "content_filter"
        failure = "response_filtered" if is_filtered else "response_missing"
    text = next((values[name] for name in TEXT_COLUMNS if values.get(name) is not None), None)
    if text is None and is_workbook and not values.keys().isdisjoint(TEXT_COLUMNS):
        text = ""  # a workbook has no blank text; one instruction of the release is blank
    if text is not None and not isinstance(text, str):
        problems.add(place, f"{' or '.join(TEXT_COLUMNS)} is a text; found {type(text).__name__}")
        return None
    try:
        settings, usage = _object(values.get("settings")), _object(values.get("usage"))
    except ValueError as error:
        problems.add(place, f"settings and usage are JSON objects: {error}")
        return None
    is_cut = is_workbook and response is not None and is_cut_cell(response)
    said = Said(
        response=response,
        failure=failure,  # type: ignore[arg-type]  # any text: the record refuses what is not one
        finish_reason="truncated" if is_cut else optional_text(values.get("finish_reason")),
        reasoning=optional_text(values.get("reasoning")),
        model_snapshot=optional_text(values.get("model_snapshot")),
        settings=settings,
        usage=usage,
    )
    condition = optional_text(values.get("condition")) or number[1]
    return Row(place, number[0], text, said, condition)


def optional_text(value: object) -> str | None:
    """Return a text, or None for what is blank: a table has no null."""
    return value if isinstance(value, str) and value else None


def _object(value: object) -> Mapping[str, Any] | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = parse_json(value.encode("utf-8", "surrogatepass"))
    if not isinstance(value, dict):
        raise ValueError(f"found {type(value).__name__}")  # noqa: TRY004 - the caller says where
    return value


FORMAT: Final = Format(
    "plain", "a table of answers as JSON lines, JSON, CSV, TSV, Parquet or xlsx", looks_plain, read_plain
)
