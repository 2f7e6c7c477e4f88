"""Lay out the board as tables: what a cell sorts by, and what it shows.

Rule of the room: a number stays a number, so that a table sorts by it; its text with one decimal stands beside it in
`metadata.display_value`. Every cell is plain text for the page (no Markdown, no HTML). The layout is the one that
`gr.Dataframe` of gradio 6 reads: a dict of `headers`, `data` and `metadata`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow
from vlsbench.errors import masked
from vlsbench.records import Estimate, PaperRow
from vlsbench.text import percent, percent_interval

__all__ = [
    "COLUMNS",
    "FIXED",
    "LEFT_OUT_HEADERS",
    "PAPER_COLUMNS",
    "Column",
    "PaperColumn",
    "columns_of",
    "judged_table",
    "left_out_table",
    "paper_table",
]

Table = dict[str, Any]
"""A value of `gr.Dataframe`: `headers`, `data` and `metadata`."""

_NONE = "–"


class Cell(NamedTuple):
    """One cell."""

    value: str | float | None
    """What the column sorts, filters and searches by."""
    text: str
    """What is shown."""


class Column(NamedTuple):
    """One column of a table of judged rows."""

    header: str
    datatype: Literal["str", "number"]
    width: int
    """Pixels."""
    cell: Callable[[BoardList, BoardRow], Cell]
    is_first: bool = True
    """Whether the table begins with it; the reader may choose others."""


class PaperColumn(NamedTuple):
    """One column of the table of the paper's rows."""

    header: str
    datatype: Literal["str", "number"]
    width: int
    cell: Callable[[PaperRow], Cell]


def _text(value: str | None) -> Cell:
    """Make a text cell; characters that would act instead of show (line ends, text direction) become a sign."""
    if not value:
        # "" and not null: gradio's search skips a column whose first cell is null.
        return Cell("", _NONE)
    shown = masked(value)
    return Cell(shown, shown)


def _percent(rate: float | None, *, digits: int = 1) -> Cell:
    return Cell(None if rate is None else 100 * rate, percent(rate, digits=digits))


def _interval(low_high: tuple[float, float] | None, *, sort_by: Literal[0, 1]) -> Cell:
    """Make a cell of two numbers; it sorts by its low (0) or its high end (1)."""
    if low_high is None:
        return Cell(None, _NONE)
    return Cell(100 * low_high[sort_by], percent_interval(low_high))


def _estimate(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell(None, _NONE)
    return Cell(100 * estimate.value, f"{percent(estimate.value)} ({percent_interval(estimate.ci)})")


def _rank(item: BoardList, row: BoardRow) -> Cell:
    if row.rank is None:
        # Behind every rank: gradio would sort null as 0 and put the baselines above the first model.
        return Cell(len(item.rows) + 1, _NONE)
    return Cell(row.rank, str(row.rank))


def _parameters(count: int | None) -> Cell:
    if count is None:
        return Cell(None, _NONE)
    for size, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return Cell(count, f"{count / size:.3g}{suffix}")
    return Cell(count, str(count))


COLUMNS: tuple[Column, ...] = (
    Column("Rank", "number", 70, _rank),
    Column("Model", "str", 230, lambda item, row: _text(row.model)),
    Column("Safe %", "number", 108, lambda item, row: _percent(row.rates.safe_rate)),
    Column("95% interval", "number", 158, lambda item, row: _interval(row.rates.safe_rate_ci, sort_by=0)),
    Column("Refusal %", "number", 126, lambda item, row: _percent(row.rates.refusal_rate)),
    Column("Warning %", "number", 130, lambda item, row: _percent(row.rates.warning_rate)),
    Column("Unsafe %", "number", 124, lambda item, row: _percent(row.rates.unsafe_rate)),
    Column("Unjudged %", "number", 142, lambda item, row: _unjudged(row)),
    Column("Coverage %", "number", 142, lambda item, row: _percent(row.rates.coverage), is_first=False),
    Column("Bounds", "number", 158, lambda item, row: _interval(row.rates.bounds, sort_by=1)),
    Column("Visual reliance", "number", 192, lambda item, row: _estimate(row.visual_reliance)),
    Column("Over-refusal", "number", 186, lambda item, row: _estimate(row.over_refusal)),
    Column("Alignment", "str", 116, lambda item, row: _text(row.alignment)),
    Column("Base model", "str", 170, lambda item, row: _text(row.base_model), is_first=False),
    Column("Access", "str", 94, lambda item, row: _text(row.access)),
    Column("Parameters", "number", 140, lambda item, row: _parameters(row.parameters)),
    Column("Origin", "str", 108, lambda item, row: _text(row.origin), is_first=False),
    Column("Rubric", "str", 250, lambda item, row: _text(item.rubric), is_first=False),
    Column("Not ranked because", "str", 300, lambda item, row: _text(row.unranked_because)),
    Column("Unjudged because", "str", 300, lambda item, row: _text(row.unjudged_because), is_first=False),
    Column("Submitted", "str", 120, lambda item, row: _text(row.received or "by hand")),
    Column("Flags", "str", 300, lambda item, row: _text("; ".join(row.flags))),
)

FIXED = ("Rank", "Model")
"""Columns that are always there: a number without them is of nobody."""

_OVERALL_ONLY = ("Visual reliance", "Over-refusal")
"""Counted over all categories only."""

PAPER_COLUMNS: tuple[PaperColumn, ...] = (
    PaperColumn("Model", "str", 240, lambda row: _text(row.model)),
    PaperColumn("Safe %", "number", 116, lambda row: _percent(row.safe_rate, digits=2)),
    PaperColumn("Refusal %", "number", 130, lambda row: _percent(row.refusal_rate, digits=2)),
    PaperColumn("Warning %", "number", 130, lambda row: _percent(row.warning_rate, digits=2)),
    PaperColumn("Alignment", "str", 110, lambda row: _text(row.alignment)),
    PaperColumn("Base model", "str", 170, lambda row: _text(row.base_model)),
    PaperColumn("Method", "str", 320, lambda row: _text(row.method)),
    PaperColumn("Access", "str", 110, lambda row: _text(row.access)),
)

LEFT_OUT_HEADERS = ("Submission", "Why it is not on the board")


def _unjudged(row: BoardRow) -> Cell:
    share = row.rates.n_unjudged / row.rates.n_samples
    return _percent(share)


def columns_of(item: BoardList, chosen: Sequence[str] | None = None) -> tuple[Column, ...]:
    """Return the columns of a list's table, in their own order.

    Args:
        item: The list; visual reliance and over-refusal are counted over all categories only, and so are not in others.
        chosen: Headers besides the fixed ones; None for those a table begins with.
    """
    return tuple(
        column
        for column in COLUMNS
        if (item.scope == OVERALL or column.header not in _OVERALL_ONLY)
        and (column.header in FIXED or (column.is_first if chosen is None else column.header in chosen))
    )


def judged_table(item: BoardList, rows: Sequence[BoardRow], columns: Sequence[Column] = COLUMNS) -> Table:
    """Lay out rows of a list, in the order they come."""
    return _table(columns, [[column.cell(item, row) for column in columns] for row in rows])


def paper_table(rows: Sequence[PaperRow]) -> Table:
    """Lay out rows the paper prints, highest printed safe rate first."""
    ordered = sorted(rows, key=lambda row: -row.safe_rate)
    return _table(PAPER_COLUMNS, [[column.cell(row) for column in PAPER_COLUMNS] for row in ordered])


def left_out_table(board: Board) -> list[list[str]]:
    """Lay out the submissions that are not on the board."""
    return [[_text(item.submission).text, _text(" · ".join(item.reason.splitlines())).text] for item in board.left_out]


def _table(columns: Sequence[Column] | Sequence[PaperColumn], rows: Sequence[Sequence[Cell]]) -> Table:
    styles = ["text-align: right" if column.datatype == "number" else "" for column in columns]
    return {
        "headers": [column.header for column in columns],
        "data": [[cell.value for cell in row] for row in rows],
        "metadata": {
            "display_value": [[cell.text for cell in row] for row in rows],
            "styling": [styles for _ in rows],
        },
    }
