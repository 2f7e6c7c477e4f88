"""The Leaderboard page: one list at a time, its answer first: a sentence and bars, then a table and what it means.

A list is one of the board's, or the rows that the paper prints. Rule of the room: it chooses and shows; every number
was counted by the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlencode

import gradio as gr

from vlsbench.board.columns import Column, orders, sort_rows
from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow
from vlsbench.board.paper import PaperTable
from vlsbench.errors import amount
from vlsbench.records import IMAGE_TEXT

from . import answer, share, tables, texts
from .addresses import model_address
from .choosers import (
    ALL,
    UNSTATED,
    Scope,
    chosen,
    is_worked_example,
    keyed,
    list_choice,
    list_options,
    make_choosers,
    options,
    scope_of,
    search_rows,
    standing_for,
)
from .live import LiveBoard
from .page import Choice, Page, filled, follow_sort, make_link_button, only
from .pieces import shown

__all__ = [
    "OUTPUTS",
    "PAPER",
    "SORTS",
    "Chosen",
    "View",
    "make",
    "make_table",
    "painted",
    "read_choice",
    "select_rows",
    "sentence_of",
    "updates",
    "view_of",
]

PAPER = "paper"
"""Key, in an address, of the rows that the paper prints."""

_N_ROWS = ("25", "50", "100", ALL)
"""Rows at once. A page of 1,000 rows is 1.5 MB and takes a phone seconds; all of them are one choice away."""

_N_BARS = 30
"""Models that are drawn: 1,200 pixels high, about what a reader scrolls through. The table has the others."""

SORTS: dict[str, Column] = {column.order: column for column in orders()}
"""What the table can be sorted by. Numbers: highest first, names: A first; rows without a value come last."""


_FIRST_COLUMNS = tuple(
    column.header for column in tables.COLUMNS if column.is_first and column.header not in tables.FIXED
)
"""Those that the table begins with, beside the fixed ones."""


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    chooser: gr.Dropdown
    condition: gr.Dropdown
    category: gr.Dropdown
    sub_category: gr.Dropdown
    access: gr.Dropdown
    alignment: gr.Dropdown
    sort: gr.Dropdown
    answer: gr.HTML
    line: gr.Accordion
    taken: gr.HTML
    intro: gr.HTML
    bars: gr.HTML
    caption: gr.HTML
    share: gr.HTML
    table: gr.HTML
    paper_table: gr.HTML
    heading: gr.HTML


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


_KEYS = ("list", "condition", "category", "sub", "q", "weights", "alignment", "sort", "rows", "columns")
"""Of the choices in an address, in the order of `Chosen`."""


def make(live: LiveBoard) -> Page:
    """Place the page, filled with the board there is now."""
    first = dict(zip(_Parts._fields, updates(live, Chosen()), strict=True))
    said = gr.HTML(elem_classes=["vls-block", "vls-said-first"], **filled(first["answer"]))
    with gr.Accordion(elem_classes="vls-line", open=False, **filled(first["line"])) as line:
        with gr.Row(elem_classes="vls-choosers"):
            (chooser,) = make_choosers(("chooser",), first)
            condition = gr.Dropdown(label="Shown to the model", scale=1, min_width=150, **filled(first["condition"]))
            category, sub_category = make_choosers(("category", "sub_category"), first)
        with gr.Row(elem_classes="vls-choosers"):
            label = "Search models (several: a; b)"
            search = gr.Textbox(label=label, scale=3, min_width=220, max_lines=1, max_length=200)
            access = gr.Dropdown(label="Weights", scale=1, min_width=120, **filled(first["access"]))
            alignment = gr.Dropdown(label="Alignment", scale=1, min_width=120, **filled(first["alignment"]))
            sort = gr.Dropdown(label="Sort by", scale=1, min_width=140, **filled(first["sort"]))
            n_rows = gr.Dropdown(list(_N_ROWS), value=_N_ROWS[0], label="Rows", scale=1, min_width=90)
    taken = gr.HTML(elem_classes="vls-block", **filled(first["taken"]))
    bars = gr.HTML(elem_classes="vls-block", **filled(first["bars"]))
    intro = gr.HTML(elem_classes="vls-block", **filled(first["intro"]))
    caption = gr.HTML(elem_classes="vls-block", **filled(first["caption"]))
    with gr.Row(elem_classes="vls-sharing"):
        make_link_button()
        shared = gr.HTML(elem_classes=["vls-block", "vls-share"], **filled(first["share"]))
    with gr.Accordion("Columns", open=False, elem_classes="vls-columns"):
        columns = gr.CheckboxGroup(
            [column.header for column in tables.COLUMNS if column.header not in tables.FIXED],
            value=list(_FIRST_COLUMNS),
            show_label=False,
            container=False,
        )
    table = make_table(first["table"], "vls-judged")
    paper_table = make_table(first["paper_table"], "vls-printed")
    heading = gr.HTML(elem_classes="vls-block", **filled(first["heading"]))
    parts = _Parts(
        chooser,
        condition,
        category,
        sub_category,
        access,
        alignment,
        sort,
        said,
        line,
        taken,
        intro,
        bars,
        caption,
        shared,
        table,
        paper_table,
        heading,
    )
    choices = (
        list_choice(chooser),
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


class View(NamedTuple):
    """What a choice shows."""

    choice: Chosen
    scope: Scope
    condition: str
    item: BoardList | None
    """The list; None where the paper's rows are shown, or nothing."""
    paper: PaperTable | None
    chooser: dict[str, Any]
    """Update of the chooser of lists."""
    rows: tuple[BoardRow, ...]
    """Of the list, that fit the choice, sorted."""
    drawn: tuple[BoardRow, ...]
    listed: tuple[BoardRow, ...]
    first_list: str | None
    """Key of the list that an address leaves out."""

    def query(self, *, without: str = "") -> dict[str, str]:
        """Return what an address says of it, but for one choice; the list is the one shown, whatever a link named."""
        said: dict[str, str] = {}
        choice = self.choice._replace(list_key=self.choice.list_key and _key_of(self))
        for key, value in zip(_KEYS, choice, strict=True):
            text = "~".join(value) if isinstance(value, list | tuple) else value or ""
            if text not in ("", ALL, self._left_out(key)) and key != without:
                said[key] = str(text)
        return said

    def _left_out(self, key: str) -> str | None:
        return self.first_list if key == "list" else _LEFT_OUT.get(key)

    def address(self, *, without: str = "") -> str:
        """Return its address, relative to the board."""
        query = self.query(without=without)
        if without == "category":
            query.pop("sub", None)
        return f"?{urlencode(query)}"


_LEFT_OUT = {
    "condition": IMAGE_TEXT,
    "category": OVERALL,
    "sort": "rank",
    "rows": _N_ROWS[0],
    "columns": "~".join(_FIRST_COLUMNS),
}
"""What an address leaves out, of what has no word for none."""


def view_of(live: LiveBoard, choice: Chosen) -> View:
    """Choose a list, or the paper's rows, and the rows of it that fit."""
    condition = choice.condition if choice.condition in live.conditions() else IMAGE_TEXT
    scope = scope_of(live, choice.category, choice.sub_category, condition=condition)
    item, paper, chooser = _choose(live, scope.name, condition, choice.list_key)
    first_list = _choose(live, scope_of(live, None, None).name, IMAGE_TEXT, None)[2].get("value")
    if item is None:
        return View(choice, scope, condition, None, paper, chooser, (), (), (), first_list)
    rows = select_rows(item, choice)
    wanted = choice.n_rows if choice.n_rows in _N_ROWS else _N_ROWS[0]
    n_rows = len(rows) if wanted == ALL else int(wanted)
    baselines = [row for row in rows if row.origin == "baseline"]
    drawn = [row for row in rows if row.origin != "baseline"][: min(_N_BARS, n_rows)] + baselines
    listed = rows[:n_rows] + [row for row in rows[n_rows:] if row.origin == "baseline"]
    return View(choice, scope, condition, item, None, chooser, tuple(rows), tuple(drawn), tuple(listed), first_list)


def _choose(
    live: LiveBoard, scope: str, condition: str, key: str | None
) -> tuple[BoardList | None, PaperTable | None, dict[str, Any]]:
    """Choose a list or the paper's rows, and offer all of them; a worked example is the last that stands for none."""
    lists = live.lists(scope, condition)
    paper = _paper(live.board) if scope == OVERALL and condition == IMAGE_TEXT else None
    if paper is None:
        return (*list_options(lists, key)[:1], None, list_options(lists, key)[1])
    by_key = keyed(lists)
    is_paper_first = all(is_worked_example(item) or not item.rows for item in lists)
    is_paper = key == PAPER or (standing_for(key, by_key) is None and is_paper_first)
    item = None if is_paper else chosen(lists, key)
    offered = [(texts.list_name(one), name) for name, one in by_key.items()]
    offered.insert(0 if is_paper_first else len(offered), (texts.paper_name(paper), PAPER))
    value = PAPER if item is None else next(name for name, one in by_key.items() if one is item)
    return item, paper if is_paper else None, options(offered, value)


def _paper(board: Board) -> PaperTable | None:
    return next((table for table in board.paper if table.rows), None)


def read_choice(query: Mapping[str, str]) -> Chosen:
    """Read a choice from the query of an address."""
    values: list[Any] = [query.get(key) for key in _KEYS]
    if values[-1] is not None:
        values[-1] = [name for name in values[-1].split("~") if name]
    return Chosen(*values)


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    view = view_of(live, choice)
    conditions = [(name, name) for name in live.conditions()]
    intro = texts.scope_intro(view.scope.name)
    common: dict[str, Any] = {
        "chooser": view.chooser,
        "condition": options(conditions, view.condition),
        "category": view.scope.category,
        "sub_category": view.scope.sub_category,
        "sort": _sort_options(choice.sort),
        "intro": gr.update(value=intro, visible=bool(intro)),
        "answer": gr.update(value=_said(live, view), visible=True),
        "line": gr.update(label=_line(view), visible=True),
        "taken": _shown(_taken(live, view)),
    }
    if view.item is None and view.paper is None:
        return only(OUTPUTS, common, "heading", "")
    share_html = share.of_view(view.query(), key=_key_of(view), name=_name_of(view), item=view.item)
    common |= {"bars": _shown(_drawn(view)), "share": _shown(share_html), "heading": _shown(_meaning(live, view))}
    if view.item is None:
        return only(OUTPUTS, common | _paper_updates(view.paper), "caption", "")
    columns = tables.columns_of(view.item, choice.columns)
    shown = {
        "access": options(_values(view.item.rows, "access"), choice.access, least=2),
        "alignment": options(_values(view.item.rows, "alignment"), choice.alignment, least=2),
        "caption": _shown(texts.caption(view.item, view.rows, n_drawn=len(view.drawn), n_listed=len(view.listed))),
        "table": gr.update(
            value=tables.judged_table(view.item, view.listed, columns, sort=choice.sort),
            visible=bool(view.listed or view.item.not_reviewed),
        ),
        "paper_table": gr.update(visible=False),
    }
    return [{**common, **shown}[name] for name in _Parts._fields]


def _shown(html: str) -> dict[str, Any]:
    return gr.update(value=html, visible=bool(html))


def _paper_updates(table: PaperTable | None) -> dict[str, Any]:
    if table is None:
        return {}
    return {"paper_table": gr.update(value=tables.paper_table(table), visible=True)}


def _key_of(view: View) -> str:
    return str(view.chooser["value"]) if view.item or view.paper else ""


def _name_of(view: View) -> str:
    """Name what is shown, as plain text."""
    if view.item is not None:
        return f"{view.item.scope}, {view.condition}; {texts.list_name(view.item)}"
    return "" if view.paper is None else f"{OVERALL}, {IMAGE_TEXT}; {texts.paper_name(view.paper)}"


def sentence_of(view: View) -> str:
    """Say what is shown in one sentence, as HTML."""
    if view.item is not None:
        return answer.sentence(view.item)
    return "" if view.paper is None else answer.paper_sentence(view.paper)


def _said(live: LiveBoard, view: View) -> str:
    said = sentence_of(view)
    if not said:
        return texts.empty(live.board, view.scope.name)
    return f'<p class="vls-answer-first">{said}{texts.badge(view.item)}</p>'


def _drawn(view: View) -> str:
    if view.item is None:
        return "" if view.paper is None else texts.paper_legend() + answer.paper_bars(view.paper)
    if not view.drawn:
        return ""
    has_baselines = any(row.origin == "baseline" for row in view.drawn)
    return texts.legend(has_baselines=has_baselines) + answer.bars(
        view.item, view.drawn, lambda name: model_address(name, view.item)
    )


def _meaning(live: LiveBoard, view: View) -> str:
    """Say what the list is, and what else there is."""
    if view.item is None:
        return "" if view.paper is None else texts.paper_heading(view.paper) + _judged_lists(live)
    printed = _paper(live.board) if view.scope.name == OVERALL and view.condition == IMAGE_TEXT else None
    link = "" if printed is None else texts.paper_link(printed, f"?list={PAPER}")
    return texts.list_heading(view.item) + texts.how_counted() + link


def _judged_lists(live: LiveBoard) -> str:
    """Lead from the paper's rows to the lists that are judged, the worked example among them."""
    links = [
        (texts.list_name(item), f"?{urlencode({'list': key})}") for key, item in keyed(live.lists(OVERALL)).items()
    ]
    return texts.judged_links(links)


def _line(view: View) -> str:
    """Say judge, condition, category and filters in one line, which opens the choosers."""
    judge = texts.PRINTED if view.paper else f"Judge {view.item.judge}" if view.item else "No judge yet"
    n_filters = len(_filters(view))
    filters = amount(n_filters, "filter") if n_filters else "no filter"
    return " · ".join((judge, view.condition, view.scope.name, filters))


def _filters(view: View) -> list[tuple[str, str]]:
    found = {"q": view.choice.search, "weights": view.choice.access, "alignment": view.choice.alignment}
    return [(key, value) for key, value in found.items() if value and value != ALL]


_TAKEN_WORDS = {"q": "search", "weights": "weights", "alignment": "alignment", "sort": "sorted by"}


def _taken(live: LiveBoard, view: View) -> str:
    """Show what is chosen beside the first view, each to be taken back by one click."""
    first = view_of(live, Chosen()) if view.choice != Chosen() else view
    said: list[tuple[str, str]] = []
    if view.choice.list_key and _key_of(view) not in ("", view.first_list):
        said.append(("list", texts.PRINTED if view.paper else f"judge {_judge(view)}"))
    if view.condition != first.condition:
        said.append(("condition", view.condition))
    if view.scope.category["value"] != first.scope.category["value"]:
        said.append(("category", str(view.scope.category["value"])))
    if view.scope.sub_category["value"] != ALL:
        said.append(("sub", str(view.scope.sub_category["value"])))
    said += [(key, f"{_TAKEN_WORDS[key]}: {value}") for key, value in _filters(view)]
    if view.choice.sort not in (None, "", "rank"):
        said.append(("sort", f"{_TAKEN_WORDS['sort']} {view.choice.sort}"))
    links = "".join(
        f'<a class="vls-taken" href="{escape(view.address(without=key))}" aria-label="Take back {shown(text)}">'
        f'{shown(text)} <span aria-hidden="true">×</span></a>'
        for key, text in said
    )
    return f'<p class="vls-takens">{links}</p>' if links else ""


def _judge(view: View) -> str:
    return "" if view.item is None else view.item.judge


def painted(live: LiveBoard, query: Mapping[str, str]) -> str:
    """Return what the first response shows of the page, as HTML that needs no script."""
    view = view_of(live, read_choice(query))
    line = f'<p class="vls-line-first">{shown(_line(view))}</p>'
    about = _meaning(live, view) if view.item or view.paper else ""
    intro = texts.scope_intro(view.scope.name)
    return f"{_said(live, view)}{line}{_taken(live, view)}{_drawn(view)}{intro}{about}"
