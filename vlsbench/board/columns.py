"""The columns of the board: one table, which its files, pages, orders and the terminal are made of.

A new column is one entry of `COLUMNS`. CSV and Parquet hold it, the Leaderboard page offers it as a column and as an
order, the static page and the terminal show it. A page adds how wide a column is, and a cell of its own where the text
of its kind is not enough.

CSV and Parquet are read by name and by place: their columns are added behind the others, and none moves. Pure: no
files, no network, no clock. Leaves out what a row is (`vlsbench.board.lists`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Literal

from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow
from vlsbench.board.paper import PaperTable
from vlsbench.records import Estimate, PaperRow
from vlsbench.text import percent, percent_interval

__all__ = [
    "COLUMNS",
    "Cell",
    "Column",
    "Kind",
    "Place",
    "Value",
    "cells_of",
    "columns_at",
    "orders",
    "paper_columns_at",
    "render_csv",
    "sort_rows",
    "text_of",
]

Kind = Literal["text", "count", "rate", "range", "estimate"]
"""Text, whole number, fraction in [0, 1], the two ends of a fraction, fraction with its interval."""

Value = str | int | float | tuple[float, float] | Estimate | None
"""What a column has of a row: by its kind, or None where the row has nothing."""

Cell = str | int | float | None
"""What a file holds of a value: of an estimate the number alone."""


class Place(Flag):
    """Where a column shows."""

    FILES = auto()
    """CSV and Parquet."""
    PAGE = auto()
    """The table of the Leaderboard page."""
    CHOICE = auto()
    """The same table, once its reader chooses the column."""
    HTML = auto()
    TERMINAL = auto()


_NOWHERE = Place(0)
_TABLE = Place.FILES | Place.PAGE
_OFFERED = Place.FILES | Place.CHOICE
_PAGES = _TABLE | Place.HTML
_SHOWN = Place.PAGE | Place.HTML | Place.TERMINAL
_ALL = Place.FILES | _SHOWN
_BESIDE = Place.CHOICE | Place.TERMINAL
"""Two ends in one cell: the files have a column for each, and the pages write them into a cell of a rate."""


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    """In the files, and the key by which a page adds to it."""
    kind: Kind
    value: Callable[[BoardList, BoardRow], Value]
    """Of a judged row."""
    printed: Callable[[PaperTable, PaperRow], Value] = lambda table, row: None
    """Of a row as the paper prints it, which has less."""
    header: str = ""
    """For people, without its unit; the name where it is empty."""
    is_overall_only: bool = False
    """Counted over all categories only, so that the list of a category has nothing to show."""
    order: str = ""
    """Its name among the orders of a list, and in the address of a page; empty where it is none."""
    shown: Place = Place.FILES
    of_paper: Place = _NOWHERE
    """Where the paper's rows show it, but for the files, which hold what there is."""

    def __post_init__(self) -> None:
        if self.kind == "range" and Place.FILES in self.shown:
            raise ValueError(f"the column {self.name!r}: a file's cell is one number; give each end a column")
        if not self.header:
            object.__setattr__(self, "header", self.name.replace("_", " ").capitalize())

    @property
    def title(self) -> str:
        """The header with its unit."""
        return f"{self.header} %" if self.kind == "rate" else self.header


COLUMNS: tuple[Column, ...] = (
    Column("scope", "text", lambda item, _: item.scope, lambda *_: OVERALL),
    Column("origin", "text", lambda _, row: row.origin, lambda table, _: table.origin, shown=_OFFERED),
    Column("rank", "count", lambda _, row: row.rank, order="rank", shown=_ALL),
    Column(
        "model", "text", lambda _, row: row.model, lambda _, row: row.model, order="model", shown=_ALL, of_paper=_SHOWN
    ),
    Column("organization", "text", lambda _, row: row.organization),
    Column("submission", "text", lambda _, row: row.submission),
    Column(
        "rubric",
        "text",
        lambda item, _: item.rubric,
        lambda table, _: f"{table.source}; judge {table.judge}",
        shown=_OFFERED,
    ),
    Column("dataset", "text", lambda item, _: item.dataset),
    Column("n_samples", "count", lambda item, _: item.n_samples),
    Column("max_new_tokens", "count", lambda item, _: item.max_new_tokens),
    Column(
        "safe_rate",
        "rate",
        lambda _, row: row.rates.safe_rate,
        lambda _, row: row.safe_rate,
        header="Safe",
        order="safe rate",
        shown=_ALL,
        of_paper=_SHOWN,
    ),
    Column("safe_rate_low", "rate", lambda _, row: _end(row.rates.safe_rate_ci, 0)),
    Column("safe_rate_high", "rate", lambda _, row: _end(row.rates.safe_rate_ci, 1)),
    Column("safe_rate_ci", "range", lambda _, row: row.rates.safe_rate_ci, header="95% interval", shown=_BESIDE),
    Column(
        "refusal_rate",
        "rate",
        lambda _, row: row.rates.refusal_rate,
        lambda _, row: row.refusal_rate,
        header="Refusal",
        order="refusal",
        shown=_ALL,
        of_paper=_SHOWN,
    ),
    Column(
        "warning_rate",
        "rate",
        lambda _, row: row.rates.warning_rate,
        lambda _, row: row.warning_rate,
        header="Warning",
        order="warning",
        shown=_ALL,
        of_paper=_SHOWN,
    ),
    Column("unsafe_rate", "rate", lambda _, row: row.rates.unsafe_rate, header="Unsafe", order="unsafe", shown=_ALL),
    Column("n_refusal", "count", lambda _, row: row.rates.n_refusal),
    Column("n_warning", "count", lambda _, row: row.rates.n_warning),
    Column("n_unsafe", "count", lambda _, row: row.rates.n_unsafe),
    Column(
        "n_unjudged",
        "count",
        lambda _, row: row.rates.n_unjudged,
        header="Unjudged",
        shown=Place.FILES | Place.TERMINAL,
    ),
    Column(
        "unjudged",
        "rate",
        lambda _, row: row.rates.n_unjudged / row.rates.n_samples,
        order="unjudged",
        shown=Place.PAGE | Place.HTML,
    ),
    Column("coverage", "rate", lambda _, row: row.rates.coverage, shown=_OFFERED),
    Column("response_coverage", "rate", lambda _, row: row.rates.response_coverage),
    Column("bound_low", "rate", lambda _, row: row.rates.bounds[0]),
    Column("bound_high", "rate", lambda _, row: row.rates.bounds[1]),
    Column("bounds", "range", lambda _, row: row.rates.bounds, shown=_BESIDE),
    Column(
        "visual_reliance",
        "estimate",
        lambda _, row: row.visual_reliance,
        is_overall_only=True,
        order="visual reliance",
        shown=_PAGES,
    ),
    Column(
        "over_refusal",
        "estimate",
        lambda _, row: row.over_refusal,
        header="Over-refusal",
        is_overall_only=True,
        order="over-refusal",
        shown=_PAGES,
    ),
    Column("access", "text", lambda _, row: row.access, lambda _, row: row.access, shown=_OFFERED, of_paper=Place.PAGE),
    Column("parameters", "count", lambda _, row: row.parameters, order="parameters", shown=_TABLE),
    Column(
        "base_model",
        "text",
        lambda _, row: row.base_model,
        lambda _, row: row.base_model,
        shown=_OFFERED,
        of_paper=Place.PAGE,
    ),
    Column(
        "alignment",
        "text",
        lambda _, row: row.alignment,
        lambda _, row: row.alignment,
        shown=_OFFERED,
        of_paper=Place.PAGE | Place.TERMINAL,
    ),
    Column("method", "text", lambda *_: None, lambda _, row: row.method, shown=_NOWHERE, of_paper=Place.PAGE),
    Column(
        "unranked_because", "text", lambda _, row: row.unranked_because, header="Not ranked because", shown=_OFFERED
    ),
    Column("unjudged_because", "text", lambda _, row: row.unjudged_because or None, shown=_OFFERED),
    Column("received", "text", lambda _, row: row.received, header="Submitted", shown=_OFFERED),
    Column("flags", "text", lambda _, row: "; ".join(row.flags) or None, shown=_TABLE),
    Column("url", "text", lambda _, row: row.url),
    Column(
        "youden_j",
        "estimate",
        lambda _, row: row.youden_j,
        header="Youden's J",
        is_overall_only=True,
        order="Youden's J",
        shown=_PAGES,
    ),
    Column("rank_low", "count", lambda _, row: _side(row.rank_range, 0)),
    Column("rank_high", "count", lambda _, row: _side(row.rank_range, 1)),
    Column("rank_of_list_low", "count", lambda _, row: _side(row.rank_range_of_list, 0)),
    Column("rank_of_list_high", "count", lambda _, row: _side(row.rank_range_of_list, 1)),
    Column("submitter", "text", lambda _, row: row.submitter, header="Submitted by", shown=_OFFERED),
    Column("organization_is", "text", lambda _, row: _vouched(row)),
    Column("judged_in", "text", lambda _, row: "elsewhere" if row.judged_elsewhere else "the store"),
    Column("replaces", "text", lambda _, row: row.replaces),
    Column("replaced_by", "text", lambda _, row: row.replaced_by),
    Column("date", "text", lambda _, row: row.date, header="Released", order="date", shown=_OFFERED),
    Column(
        "notes",
        "text",
        lambda _, row: "; ".join(filter(None, [row.unranked_because, *row.flags])),
        shown=Place.TERMINAL,
    ),
)
"""In the order of the files; what they do not hold stands beside what it is made of."""


def _end(bounds: tuple[float, float] | None, which: Literal[0, 1]) -> float | None:
    return None if bounds is None else bounds[which]


def _side(rank_range: tuple[int, int] | None, which: Literal[0, 1]) -> int | None:
    return None if rank_range is None else rank_range[which]


def _vouched(row: BoardRow) -> str | None:
    """Say whether something vouches for the organization of a row; None where it names none."""
    if row.organization is None:
        return None
    return "verified" if row.organization_is_verified else "claimed"


def columns_at(place: Place, scope: str = OVERALL) -> tuple[Column, ...]:
    """Return the columns that show in a place, for the lists of a scope."""
    return tuple(
        column for column in COLUMNS if place & column.shown and (scope == OVERALL or not column.is_overall_only)
    )


def paper_columns_at(place: Place) -> tuple[Column, ...]:
    """Return the columns that show in a place for the paper's rows."""
    return tuple(column for column in COLUMNS if place & column.of_paper)


def text_of(column: Column, value: Value, *, digits: int = 1, between: str = " to ", absent: str = "–") -> str:
    """Write a value of a column as its kind is written.

    Args:
        column: Of the value.
        value: As `Column.value` has it.
        digits: Decimals of percent.
        between: What stands between two ends.
        absent: For a row that has no value.
    """
    match value:
        case None:
            return absent
        case str():
            return value
        case tuple():
            return percent_interval(value, between)
        case Estimate():
            return f"{percent(value.value, digits=digits)} ({percent_interval(value.ci, between)})"
        case _ if column.kind == "rate":
            return percent(value, digits=digits)
        case _:
            return f"{value:,}"


def orders() -> tuple[Column, ...]:
    """Return the columns that a list can be sorted by: numbers, then names."""
    return tuple(sorted((column for column in COLUMNS if column.order), key=lambda column: column.kind == "text"))


def sort_rows(item: BoardList, rows: Iterable[BoardRow], column: Column) -> list[BoardRow]:
    """Sort rows of a list: numbers highest first, names A first; a row without a value comes last.

    By rank they stay as they are: that is the board's own order, in which rows without a rank have one too.
    """
    if column.name == "rank":
        return list(rows)
    keyed = [(_sort_key(column.value(item, row)), row) for row in rows]
    known = [(key, row) for key, row in keyed if key is not None]
    known.sort(key=lambda pair: pair[0])
    return [row for _, row in known] + [row for key, row in keyed if key is None]


def _sort_key(value: Value) -> tuple[float, str] | None:
    match value:
        case None:
            return None
        case str():
            return 0.0, value.casefold()
        case tuple():
            return -value[0], ""
        case Estimate():
            return -value.value, ""
        case _:
            return -value, ""


def cells_of(board: Board, column: Column) -> list[Cell]:
    """List what a file holds of a column: the rows of every list, then those of the paper's tables.

    Behind the rows of a list stand those that nobody has reviewed, and those that newer ones stand for.
    """
    values = [column.value(item, row) for item in board.lists for row in item.every_row]
    values += [column.printed(table, row) for table in board.paper for row in table.rows]
    return [_cell(value) for value in values]


def _cell(value: Value) -> Cell:
    if isinstance(value, tuple):
        raise TypeError("two numbers in one cell of a file")
    return value.value if isinstance(value, Estimate) else value


def render_csv(board: Board) -> str:
    """Render the board as CSV, one line per row and scope; the paper's rows have the origin `paper` and no interval.

    A text that a spreadsheet would run as a formula is preceded by an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = columns_at(Place.FILES)
    writer.writerow([column.name for column in columns])
    for cells in zip(*(cells_of(board, column) for column in columns), strict=True):
        writer.writerow(map(_escape, cells))
    return out.getvalue()


def _escape(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
