"""The Leaderboard page: one list at a time, as bars and as a table, and the paper's rows in a section of their own.

Rule of the room: it chooses and shows; every number was counted by the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.board.columns import Column, orders, sort_rows
from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow
from vlsbench.board.paper import PaperTable
from vlsbench.records import IMAGE_TEXT

from . import charts, tables, texts
from .choosers import ALL, UNSTATED, list_options, make_choosers, options, scope_of, search_rows
from .live import LiveBoard
from .page import Choice, Page, filled, follow_sort, make_link_button, only
from .plots import make_plot, plot

__all__ = ["OUTPUTS", "SORTS", "Chosen", "make", "make_table", "select_rows", "updates"]

_N_ROWS = ("25", "50", "100", ALL)
"""Rows at once. A page of 1,000 rows is 1.5 MB and takes a phone seconds; all of them are one choice away."""

_N_BARS = 30
"""Models a chart draws: 1,200 pixels high, about what a reader scrolls through. The table has the others."""

SORTS: dict[str, Column] = {column.order: column for column in orders()}
"""What the table can be sorted by. Numbers: highest first, names: A first; rows without a value come last."""


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    chooser: gr.Dropdown
    condition: gr.Dropdown
    category: gr.Dropdown
    sub_category: gr.Dropdown
    access: gr.Dropdown
    alignment: gr.Dropdown
    sort: gr.Dropdown
    intro: gr.HTML
    heading: gr.HTML
    legend: gr.HTML
    chart: gr.Plot
    caption: gr.HTML
    table: gr.HTML
    paper: gr.Column
    paper_heading: gr.HTML
    paper_chart: gr.Plot
    paper_table: gr.HTML


OUTPUTS = _Parts._fields
"""Names of what `updates` updates, in its order."""


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    list_key: str | None = None
    condition: str | None = None
    category: str | None = None
    sub_category: str | None = None
    search: str | None = None
    access: str | None = None
    alignment: str | None = None
    sort: str | None = None
    n_rows: str | None = None
    columns: Sequence[str] | None = None


def make(live: LiveBoard) -> Page:
    """Place the page, filled with the board there is now."""
    first = dict(zip(_Parts._fields, updates(live, Chosen()), strict=True))
    intro = gr.HTML(elem_classes="vls-block", **filled(first["intro"]))
    with gr.Row(elem_classes="vls-choosers"):
        (chooser,) = make_choosers(("chooser",), first)
        condition = gr.Dropdown(label="Shown to the model", scale=1, min_width=150, **filled(first["condition"]))
        category, sub_category = make_choosers(("category", "sub_category"), first)
    with gr.Row(elem_classes=["vls-choosers", "vls-search"]):
        label = "Search models (several: a; b)"
        search = gr.Textbox(label=label, scale=3, min_width=220, max_lines=1, max_length=200)
        access = gr.Dropdown(label="Weights", scale=1, min_width=120, **filled(first["access"]))
        alignment = gr.Dropdown(label="Alignment", scale=1, min_width=120, **filled(first["alignment"]))
        sort = gr.Dropdown(label="Sort by", scale=1, min_width=140, **filled(first["sort"]))
        n_rows = gr.Dropdown(list(_N_ROWS), value=_N_ROWS[0], label="Rows", scale=1, min_width=90)
    heading = gr.HTML(elem_classes=["vls-block", "vls-below-choosers"], **filled(first["heading"]))
    legend = gr.HTML(elem_classes="vls-block", **filled(first["legend"]))
    chart = make_plot(first=first["chart"])
    caption = gr.HTML(elem_classes="vls-block", **filled(first["caption"]))
    make_link_button()
    with gr.Accordion("Columns", open=False, elem_classes="vls-columns"):
        columns = gr.CheckboxGroup(
            [column.header for column in tables.COLUMNS if column.header not in tables.FIXED],
            value=[column.header for column in tables.COLUMNS if column.is_first and column.header not in tables.FIXED],
            show_label=False,
            container=False,
        )
    table = make_table(first["table"], "vls-judged")
    paper_first = filled(first["paper"])
    with gr.Column(elem_classes="vls-paper", **paper_first) as paper:
        paper_heading = gr.HTML(elem_classes="vls-block", **filled(first["paper_heading"]))
        gr.HTML(texts.paper_legend(), elem_classes="vls-block")
        paper_chart = make_plot(first=first["paper_chart"])
        paper_table = make_table(first["paper_table"], "vls-printed")
    parts = _Parts(
        chooser,
        condition,
        category,
        sub_category,
        access,
        alignment,
        sort,
        intro,
        heading,
        legend,
        chart,
        caption,
        table,
        paper,
        paper_heading,
        paper_chart,
        paper_table,
    )
    choices = (
        Choice("list", chooser, what="the list"),
        Choice("condition", condition, what="the condition"),
        Choice("category", category, first=OVERALL, what="the category"),
        Choice("sub", sub_category, what="the sub-category"),
        Choice("q", search, is_still=True),
        Choice("weights", access, what="weights"),
        Choice("alignment", alignment, what="the alignment"),
        Choice("sort", sort, first="rank", what="the order"),
        Choice("rows", n_rows, is_still=True, what="a number of rows,"),
        Choice("columns", columns, is_several=True, is_still=True, what="the column"),
    )
    page = Page("Leaderboard", choices, tuple(parts), lambda *values: updates(live, Chosen(*values)), is_filled=True)
    follow_sort(page, "sort")
    return page


def make_table(first: dict[str, Any], kind: str) -> gr.HTML:
    """Place a table; `kind` is a class by which it is told from others."""
    return gr.HTML(elem_classes=["vls-block", kind], js_on_load=tables.TABLE_SCRIPT, **filled(first))


def select_rows(item: BoardList, choice: Chosen) -> list[BoardRow]:
    """Return the rows of a choice, sorted; baselines always stay, because no rate can be read without them."""
    access, alignment = choice.access or ALL, choice.alignment or ALL
    rows = [
        row
        for row in search_rows(item.rows, choice.search)
        if row.origin == "baseline"
        or (access in (ALL, row.access or UNSTATED) and alignment in (ALL, row.alignment or UNSTATED))
    ]
    by_column = _column_order(choice.sort)
    if by_column is not None:
        return _sorted_by(item, rows, *by_column)
    return sort_rows(item, rows, SORTS.get(choice.sort or "rank", SORTS["rank"]))


_ORDERS = ("ascending", "descending")


def _column_order(sort: str | None) -> tuple[tables.PageColumn, str] | None:
    """Read a choice of the menu of a column, `Safe % descending`; None where it is none."""
    header, _, order = (sort or "").rpartition(" ")
    column = next((column for column in tables.COLUMNS if column.header == header), None)
    return None if column is None or order not in _ORDERS else (column, order)


def _sorted_by(item: BoardList, rows: Sequence[BoardRow], column: tables.PageColumn, order: str) -> list[BoardRow]:
    """Sort rows as their cells do; those without a value come last either way, as unranked rows do."""

    def key(row: BoardRow) -> tuple[float, str] | None:
        value = column.cell(item, row).value
        if value is None or value == "":
            return None
        return (0.0, value.casefold()) if isinstance(value, str) else (float(value), "")

    known = [(found, row) for row in rows if (found := key(row)) is not None]
    known.sort(key=lambda pair: pair[0], reverse=order == "descending")
    return [row for _, row in known] + [row for row in rows if key(row) is None]


def _sort_options(sort: str | None) -> dict[str, Any]:
    """Offer what a list can be sorted by, with the menu of a column where that was used."""
    names = [*SORTS, *([sort] if sort is not None and _column_order(sort) is not None else [])]
    return options([(name, name) for name in names], sort)


def _values(rows: Sequence[BoardRow], field: str) -> list[tuple[str, str]]:
    found = {getattr(row, field) or UNSTATED for row in rows if row.origin != "baseline"}
    return [(value, value) for value in (ALL, *sorted(found, key=lambda value: (value == UNSTATED, value)))]


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    conditions = [(name, name) for name in live.conditions()]
    condition = choice.condition if choice.condition in dict(conditions) else IMAGE_TEXT
    scope = scope_of(live, choice.category, choice.sub_category, condition=str(condition))
    item, chooser = list_options(live.lists(scope.name, str(condition)), choice.list_key)
    intro = texts.scope_intro(scope.name)
    common: dict[str, Any] = {
        "chooser": chooser,
        "condition": options(conditions, condition),
        "category": scope.category,
        "sub_category": scope.sub_category,
        "intro": gr.update(value=intro, visible=bool(intro)),
        **_paper_updates(live.board, is_shown=condition == IMAGE_TEXT and choice.category in (None, OVERALL)),
    }
    if item is None:
        known = {**common, "sort": _sort_options(choice.sort)}
        return only(OUTPUTS, known, "heading", texts.empty(live.board, scope.name))
    rows = select_rows(item, choice)
    wanted = choice.n_rows if choice.n_rows in _N_ROWS else _N_ROWS[0]
    n_rows = len(rows) if wanted == ALL else int(wanted)
    drawn = [row for row in rows if row.origin != "baseline"][: min(_N_BARS, n_rows)]
    drawn += [row for row in rows if row.origin == "baseline"]
    listed = rows[:n_rows] + [row for row in rows[n_rows:] if row.origin == "baseline"]
    columns = tables.columns_of(item, choice.columns)
    shown = {
        "sort": _sort_options(choice.sort),
        "access": options(_values(item.rows, "access"), choice.access, least=2),
        "alignment": options(_values(item.rows, "alignment"), choice.alignment, least=2),
        "heading": gr.update(value=texts.list_heading(item), visible=True),
        "legend": gr.update(
            value=texts.legend(has_baselines=any(row.origin == "baseline" for row in drawn)), visible=bool(drawn)
        ),
        "chart": gr.update(value=plot(charts.judged_chart(item, drawn)) if drawn else None, visible=bool(drawn)),
        "caption": gr.update(value=texts.caption(item, rows, n_drawn=len(drawn), n_listed=len(listed)), visible=True),
        "table": gr.update(value=tables.judged_table(item, listed, columns, sort=choice.sort), visible=bool(listed)),
    }
    return [{**common, **shown}[name] for name in _Parts._fields]


def _paper_updates(board: Board, *, is_shown: bool) -> dict[str, Any]:
    """Make the updates of the paper's section: shown beside the overall list only, for the paper prints no category."""
    table: PaperTable | None = next((table for table in board.paper if table.rows), None)
    if table is None:
        return {
            "paper": gr.update(visible=False),
            "paper_heading": gr.update(value=""),
            "paper_chart": gr.update(value=None),
            "paper_table": gr.update(value=None),
        }
    return {
        "paper": gr.update(visible=is_shown),
        "paper_heading": gr.update(value=texts.paper_heading(table)),
        "paper_chart": gr.update(value=plot(charts.paper_chart(table))),
        "paper_table": gr.update(value=tables.paper_table(table)),
    }
