"""Lay out the board as tables: what a cell sorts by, and what it shows.

Which columns there are, and what they have of a row, is the package's table (`vlsbench.board.columns`); here stand how
wide they are, and cells of their own where the text of a kind is not enough.

Rule of the room: a number stays a number, so that a table sorts by it; its text with one decimal stands beside it in
`metadata.display_value`. Every cell is plain text for the page (no Markdown, no HTML). The layout is the one that
`gr.Dataframe` of gradio 6 reads: a dict of `headers`, `data` and `metadata`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from vlsbench.board.columns import Column, Kind, Place, Value, columns_at, paper_columns_at, text_of
from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow
from vlsbench.board.paper import PaperTable
from vlsbench.errors import masked
from vlsbench.records import Estimate, PaperRow

__all__ = [
    "COLUMNS",
    "FIXED",
    "LEFT_OUT_HEADERS",
    "PAPER_COLUMNS",
    "PageColumn",
    "PaperColumn",
    "columns_of",
    "judged_table",
    "left_out_table",
    "paper_table",
]

Table = dict[str, Any]
"""A value of `gr.Dataframe`: `headers`, `data` and `metadata`."""


class Cell(NamedTuple):
    """One cell."""

    value: str | float | None
    """What the column sorts, filters and searches by."""
    text: str
    """What is shown."""


class PageColumn(NamedTuple):
    """One column of a table of judged rows."""

    header: str
    datatype: Literal["str", "number"]
    width: int
    """Pixels."""
    cell: Callable[[BoardList, BoardRow], Cell]
    is_first: bool
    """Whether the table begins with it; the reader may choose others."""
    is_overall_only: bool


class PaperColumn(NamedTuple):
    """One column of the table of the paper's rows; all of them are there."""

    header: str
    datatype: Literal["str", "number"]
    width: int
    cell: Callable[[PaperTable, PaperRow], Cell]


def _cell(column: Column, value: Value, *, digits: int = 1, ends: Literal[0, 1] = 0) -> Cell:
    """Write a value as its kind is written.

    Args:
        ends: Two ends sort by the low (0) or the high one (1).
    """
    text = masked(text_of(column, value, digits=digits))
    match value:
        case None | "":
            # "" and not null: gradio's search skips a column whose first cell is null.
            return Cell("" if column.kind == "text" else None, text or "–")
        case str():
            return Cell(text, text)
        case tuple():
            return Cell(100 * value[ends], text)
        case Estimate():
            return Cell(100 * value.value, text)
        case _:
            return Cell(100 * value if column.kind == "rate" else value, text)


def _judged(column: Column, item: BoardList, row: BoardRow) -> Cell:
    value = column.value(item, row)
    match column.name:
        case "rank":
            # Behind every rank: gradio would sort null as 0 and put the baselines above the first model.
            return Cell(len(item.rows) + 1, "–") if row.rank is None else Cell(row.rank, str(row.rank))
        case "parameters":
            return _parameters(row.parameters)
        case "received":
            return _cell(column, value or "by hand")
        case "bounds":
            return _cell(column, value, ends=1)
        case _:
            return _cell(column, value)


def _printed(column: Column, table: PaperTable, row: PaperRow) -> Cell:
    return _cell(column, column.printed(table, row), digits=2)


def _parameters(count: int | None) -> Cell:
    if count is None:
        return Cell(None, "–")
    for size, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return Cell(count, f"{count / size:.3g}{suffix}")
    return Cell(count, str(count))


_WIDTHS: dict[str, int] = {
    "rank": 70,
    "model": 230,
    "safe_rate": 108,
    "safe_rate_ci": 158,
    "refusal_rate": 126,
    "warning_rate": 130,
    "unsafe_rate": 124,
    "unjudged": 142,
    "coverage": 142,
    "bounds": 158,
    "visual_reliance": 192,
    "over_refusal": 186,
    "youden_j": 186,
    "alignment": 116,
    "base_model": 170,
    "access": 94,
    "parameters": 140,
    "origin": 108,
    "rubric": 250,
    "unranked_because": 300,
    "unjudged_because": 300,
    "received": 120,
    "flags": 300,
}
"""Pixels, in the order of the table; a column that is not here comes behind these, as wide as its kind."""

_PAPER_WIDTHS: dict[str, int] = {
    "model": 240,
    "safe_rate": 116,
    "refusal_rate": 130,
    "warning_rate": 130,
    "alignment": 110,
    "base_model": 170,
    "method": 320,
    "access": 110,
}

_KIND_WIDTHS: dict[Kind, int] = {"text": 170, "count": 140, "rate": 142, "range": 158, "estimate": 192}


def _in_order(widths: Mapping[str, int], columns: Sequence[Column]) -> list[tuple[Column, int]]:
    places = list(widths)
    ordered = sorted(columns, key=lambda column: places.index(column.name) if column.name in widths else len(places))
    return [(column, widths.get(column.name, _KIND_WIDTHS[column.kind])) for column in ordered]


def _datatype(column: Column) -> Literal["str", "number"]:
    return "str" if column.kind == "text" else "number"


COLUMNS: tuple[PageColumn, ...] = tuple(
    PageColumn(
        column.title,
        _datatype(column),
        width,
        partial(_judged, column),
        is_first=Place.PAGE in column.shown,
        is_overall_only=column.is_overall_only,
    )
    for column, width in _in_order(_WIDTHS, columns_at(Place.PAGE | Place.CHOICE))
)

FIXED = ("Rank", "Model")
"""Columns that are always there: a number without them is of nobody."""

PAPER_COLUMNS: tuple[PaperColumn, ...] = tuple(
    PaperColumn(column.title, _datatype(column), width, partial(_printed, column))
    for column, width in _in_order(_PAPER_WIDTHS, paper_columns_at(Place.PAGE))
)

LEFT_OUT_HEADERS = ("Submission", "Why it is not on the board")


def columns_of(item: BoardList, chosen: Sequence[str] | None = None) -> tuple[PageColumn, ...]:
    """Return the columns of a list's table, in their own order.

    Args:
        item: The list; some columns are counted over all categories only, and so are not in others.
        chosen: Headers besides the fixed ones; None for those a table begins with.
    """
    return tuple(
        column
        for column in COLUMNS
        if (item.scope == OVERALL or not column.is_overall_only)
        and (column.header in FIXED or (column.is_first if chosen is None else column.header in chosen))
    )


def judged_table(item: BoardList, rows: Sequence[BoardRow], columns: Sequence[PageColumn] = COLUMNS) -> Table:
    """Lay out rows of a list, in the order they come."""
    return _table(columns, [[column.cell(item, row) for column in columns] for row in rows])


def paper_table(table: PaperTable) -> Table:
    """Lay out rows the paper prints, highest printed safe rate first."""
    ordered = sorted(table.rows, key=lambda row: -row.safe_rate)
    return _table(PAPER_COLUMNS, [[column.cell(table, row) for column in PAPER_COLUMNS] for row in ordered])


def left_out_table(board: Board) -> list[list[str]]:
    """Lay out the submissions that are not on the board."""
    return [[masked(item.submission), masked(" · ".join(item.reason.splitlines()))] for item in board.left_out]


def _table(columns: Sequence[PageColumn] | Sequence[PaperColumn], rows: Sequence[Sequence[Cell]]) -> Table:
    styles = ["text-align: right" if column.datatype == "number" else "" for column in columns]
    return {
        "headers": [column.header for column in columns],
        "data": [[cell.value for cell in row] for row in rows],
        "metadata": {
            "display_value": [[cell.text for cell in row] for row in rows],
            "styling": [styles for _ in rows],
        },
    }
