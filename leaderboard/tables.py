"""Lay out the board as tables: what a cell sorts by, and what it shows.

Which columns there are, and what they have of a row, is the package's table (`vlsbench.board.columns`); here stand
cells of their own where the text of a kind is not enough, and how rows are put together to a table of HTML.

Rule of the room: what comes from a store is put in through `pieces.shown` only. The table is plain HTML, so that it is
there before any script; what a script adds (`TABLE_SCRIPT`) is done by buttons, boxes and a link.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from itertools import accumulate, groupby, pairwise
from typing import Literal, NamedTuple

from vlsbench.board.columns import Column, Place, Value, columns_at, paper_columns_at, text_of
from vlsbench.board.compare import MAX_COMPARED
from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow, show_range
from vlsbench.board.paper import PaperTable
from vlsbench.errors import amount, masked
from vlsbench.records import Estimate, PaperRow
from vlsbench.text import percent, percent_interval

from . import pieces
from .addresses import compare_address, model_address

__all__ = [
    "COLUMNS",
    "FIXED",
    "LEFT_OUT_HEADERS",
    "PAPER_COLUMNS",
    "TABLE_SCRIPT",
    "Cell",
    "PageColumn",
    "PaperColumn",
    "columns_of",
    "groups_of",
    "judged_table",
    "left_out_table",
    "not_reviewed",
    "paper_table",
    "parameters_text",
]


class Cell(NamedTuple):
    """One cell."""

    value: str | float | None
    """What the column sorts by."""
    text: str
    """What is shown, as plain text."""
    below: str = ""
    """Shown small under it."""


class PageColumn(NamedTuple):
    """One column of a table of judged rows."""

    header: str
    datatype: Literal["str", "number"]
    cell: Callable[[BoardList, BoardRow], Cell]
    order: str
    """Its name among the orders of a list; empty where it is none."""
    is_first: bool
    """Whether the table begins with it; the reader may choose others."""
    is_overall_only: bool


class PaperColumn(NamedTuple):
    """One column of the table of the paper's rows; all of them are there."""

    header: str
    datatype: Literal["str", "number"]
    cell: Callable[[PaperTable, PaperRow], Cell]


def _cell(column: Column, value: Value, *, digits: int = 1, ends: Literal[0, 1] = 0) -> Cell:
    """Write a value as its kind is written.

    Args:
        ends: Two ends sort by the low (0) or the high one (1).
    """
    text = masked(text_of(column, value, digits=digits))
    match value:
        case None | "":
            return Cell(None, text or "–")
        case str():
            return Cell(text, text)
        case tuple():
            return Cell(100 * value[ends], text)
        case Estimate():
            return Cell(100 * value.value, *_split(text))
        case _:
            return Cell(100 * value if column.kind == "rate" else value, text)


def _split(text: str) -> tuple[str, str]:
    """Set the interval of an estimate under its value."""
    value, _, interval = text.partition(" (")
    return value, interval.rstrip(")")


def _judged(column: Column, item: BoardList, row: BoardRow) -> Cell:
    value = column.value(item, row)
    match column.name:
        case "rank":
            below = "" if row.rank_range is None else show_range(row.rank_range)
            return Cell(None, "–") if row.rank is None else Cell(row.rank, str(row.rank), below)
        case "model":
            return Cell(row.model, masked(row.model), _about(row))
        case "safe_rate":
            return _cell(column, value)._replace(below=_interval(row.rates.safe_rate_ci))
        case "parameters":
            return _parameters(row.parameters)
        case "received":
            return _cell(column, value or "by hand")
        case "bounds":
            return _cell(column, value, ends=1)
        case _:
            return _cell(column, value)


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else percent_interval(ends)


def _about(row: BoardRow) -> str:
    """Say under a name whose it is, or why it has no rank."""
    if row.origin == "baseline":
        return "constant baseline, never ranked"
    organization = row.organization and f"{row.organization}{'' if row.organization_is_verified else ' (claimed)'}"
    parts = [organization, row.unranked_because and f"not ranked: {row.unranked_because}"]
    return masked(" · ".join(filter(None, parts)))


def _printed(column: Column, table: PaperTable, row: PaperRow) -> Cell:
    return _cell(column, column.printed(table, row), digits=2)


def _parameters(count: int | None) -> Cell:
    return Cell(count, "–" if count is None else parameters_text(count))


def parameters_text(count: int) -> str:
    """Write a number of parameters as submitters do.

    >>> parameters_text(8_300_000_000)
    '8.3B'
    """
    for size, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{suffix}"
    return str(count)


_PLACES = (
    *("rank", "model", "safe_rate", "safe_rate_ci", "refusal_rate", "warning_rate", "unsafe_rate", "unjudged"),
    *("coverage", "bounds", "visual_reliance", "over_refusal", "youden_j", "parameters", "access", "alignment"),
    *("base_model", "origin", "rubric", "unranked_because", "unjudged_because", "received", "submitter", "flags"),
)
"""The order of the table; a column that is not here comes behind these."""

_PAPER_PLACES = ("model", "safe_rate", "refusal_rate", "warning_rate", "alignment", "base_model", "method", "access")


def _in_order(places: Sequence[str], columns: Sequence[Column]) -> list[Column]:
    return sorted(columns, key=lambda column: places.index(column.name) if column.name in places else len(places))


def _datatype(column: Column) -> Literal["str", "number"]:
    return "str" if column.kind == "text" else "number"


COLUMNS: tuple[PageColumn, ...] = tuple(
    PageColumn(
        column.title,
        _datatype(column),
        partial(_judged, column),
        column.order,
        is_first=Place.PAGE in column.shown,
        is_overall_only=column.is_overall_only,
    )
    for column in _in_order(_PLACES, columns_at(Place.PAGE | Place.CHOICE))
)

FIXED = ("Rank", "Model")
"""Columns that are always there: a number without them is of nobody."""

PAPER_COLUMNS: tuple[PaperColumn, ...] = tuple(
    PaperColumn(column.title, _datatype(column), partial(_printed, column))
    for column in _in_order(_PAPER_PLACES, paper_columns_at(Place.PAGE))
)

LEFT_OUT_HEADERS = ("Submission", "Why it is not on the board")


def columns_of(item: BoardList, chosen: Sequence[str] | None = None) -> tuple[PageColumn, ...]:
    """Return the columns of a list's table, in their own order.

    Args:
        item: The list; what is counted over all categories only is not in others, nor where no row was asked for it.
        chosen: Headers besides the fixed ones; None for those a table begins with.
    """
    return tuple(
        column
        for column in COLUMNS
        if (not column.is_overall_only or (item.scope == OVERALL and _is_known(column, item)))
        and (column.header in FIXED or (column.is_first if chosen is None else column.header in chosen))
    )


def _is_known(column: PageColumn, item: BoardList) -> bool:
    return any(column.cell(item, row).value is not None for row in item.rows)


def groups_of(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Number the groups of a list: no row of one can belong into another.

    Args:
        ranges: Rank ranges of all ranked rows, both ends included, from sets that hold for the whole list at once.

    Returns:
        The group of each, from 0, in the order given. A group ends at rank k where the first k ranks are those of k
        rows and of no other.

    >>> groups_of([(1, 2), (1, 2), (3, 3), (4, 5), (4, 5)])
    [0, 0, 1, 2, 2]
    """
    n = len(ranges)
    n_begun, n_ended = [0] * (n + 2), [0] * (n + 2)
    for low, high in ranges:
        n_begun[low] += 1
        n_ended[high] += 1
    begun, ended = list(accumulate(n_begun)), list(accumulate(n_ended))
    # Up to rank k as many ranges have ended as have begun: none crosses it.
    ends = [k for k in range(1, n) if begun[k] == ended[k] == k]
    return [bisect_left(ends, low) for low, _ in ranges]


def judged_table(
    item: BoardList, rows: Sequence[BoardRow], columns: Sequence[PageColumn] = COLUMNS, *, sort: str | None = None
) -> str:
    """Lay out rows of a list as HTML, in the order they come.

    Args:
        item: The list.
        rows: Those to show.
        columns: Of `columns_of`.
        sort: By what they are sorted: an order of a list, or `HEADER ascending` or `HEADER descending`; None is rank.
    """
    if not rows:
        return f'<div class="vls-board">{not_reviewed(item)}</div>'
    by = _sorted_by(sort)
    is_by_rank = by == ("Rank", "ascending")
    head = _TICK_HEAD + "".join(_header(column, by) for column in columns)
    ruled = _first_of_groups(item, rows) if is_by_rank else frozenset()
    parts = []
    for name, group in groupby(rows, key=_part_of if is_by_rank else lambda row: ""):
        found = list(group)
        heading = ""
        if name and len(found) < len(rows):
            n_all = sum(_part_of(row) == name for row in item.rows)
            said = f"{name} ({len(found):,})" if len(found) == n_all else f"{name} ({len(found):,} of {n_all:,})"
            heading = f'<tr class="vls-part"><th scope="rowgroup" colspan="{len(columns) + 1}">{said}</th></tr>'
        body = "".join(_row(item, row, columns, is_first=row.submission in ruled) for row in found)
        parts.append(f"<tbody>{heading}{body}</tbody>")
    label = f"Models of the list, {amount(len(rows), 'row')}"
    return (
        f'<div class="vls-board"><p class="vls-chosen" data-list="{escape(compare_address(item, ()))}" '
        f'data-most="{MAX_COMPARED}"><a role="link" aria-disabled="true">Compare</a> <span role="status">Tick two to '
        f"{_WORDS[MAX_COMPARED]} models to compare them.</span></p>{_scrolling(label, head, parts)}"
        f"{_RULED if ruled else ''}{not_reviewed(item)}</div>"
    )


_RULED = (
    '<p class="vls-caption">A thick line divides groups: at 95% for the whole list at once, no model above it ranks '
    "below one under it.</p>"
)


def _first_of_groups(item: BoardList, rows: Sequence[BoardRow]) -> frozenset[str]:
    """Name the rows that begin a group, but for the first; of rows in the order of ranks."""
    ranked = [row for row in item.rows if row.rank_range_of_list is not None]
    groups = groups_of([row.rank_range_of_list for row in ranked if row.rank_range_of_list is not None])
    group_of = dict(zip((row.submission for row in ranked), groups, strict=True))
    shown = [row.submission for row in rows if row.submission in group_of]
    return frozenset(second for first, second in pairwise(shown) if group_of[first] != group_of[second])


_N_NOT_REVIEWED = 50
"""Rows that nobody has reviewed, listed at once: anybody may send them."""


def not_reviewed(item: BoardList) -> str:
    """List what nobody has reviewed, folded away: it ranks nothing, and anybody may have sent it."""
    if not item.not_reviewed:
        return ""
    rows = []
    for placed in item.not_reviewed[:_N_NOT_REVIEWED]:
        row = placed.row
        name = f'<a href="{escape(model_address(row.submission, item))}">{pieces.shown(row.model)}</a>'
        who = "" if row.submitter is None else pieces.shown(row.submitter)
        rows.append([name, who, percent(row.rates.safe_rate), placed.place_text or "could not be ranked"])
    n = len(item.not_reviewed)
    more = f'<p class="vls-caption">Listed are {_N_NOT_REVIEWED} of {n:,}.</p>' if n > _N_NOT_REVIEWED else ""
    table = pieces.table("Rows that are not reviewed", ["Model", "Submitted by", "Safe %", "Place"], rows)
    return (
        f'<details class="vls-more"><summary>Not reviewed: {amount(n, "row")}</summary><p class="vls-caption">Sent by '
        "anybody, judged, and not looked at by a maintainer yet. They change no rank, range or flag of an accepted row."
        f"</p>{table}{more}</details>"
    )


_WORDS = {4: "four"}

_TICK_HEAD = '<th scope="col" class="vls-tick"><span class="vls-unseen">Compare</span></th>'


def _sorted_by(sort: str | None) -> tuple[str, str]:
    """Say by which column rows are sorted, and how."""
    header, _, order = (sort or "").rpartition(" ")
    if order in ("ascending", "descending") and any(column.header == header for column in COLUMNS):
        return header, order
    column = next((column for column in COLUMNS if column.order and column.order == sort), COLUMNS[0])
    return column.header, _first_order(column)


def _first_order(column: PageColumn) -> str:
    """Say what a first press sorts by: highest number first, A first, rank 1 first."""
    return "descending" if column.datatype == "number" and column.header != "Rank" else "ascending"


def _header(column: PageColumn, by: tuple[str, str]) -> str:
    first = _first_order(column)
    other = "ascending" if first == "descending" else "descending"
    header, order = by
    is_by = header == column.header
    following = other if is_by and order == first else first
    sort = "rank" if column.header == "Rank" and following == "ascending" else f"{column.header} {following}"
    mark = {"ascending": "\u2191", "descending": "\u2193"}[order] if is_by else ""
    said = f' aria-sort="{order}"' if is_by else ""
    shown = escape(column.header).replace(" %", "\N{NO-BREAK SPACE}%")
    return (
        f'<th scope="col" class="{_kind(column)}"{said}><button type="button" data-sort="{escape(sort)}" '
        f'data-column="{escape(column.header)}">{shown}<span aria-hidden="true">{mark}</span></button></th>'
    )


def _kind(column: PageColumn | PaperColumn) -> str:
    name = {"Rank": "vls-rank", "Model": "vls-model"}.get(column.header, "")
    return f"{name} {'vls-number' if column.datatype == 'number' else 'vls-text'}".strip()


def _part_of(row: BoardRow) -> str:
    if row.origin == "baseline":
        return "Constant baselines"
    return "Not ranked" if row.rank is None else "Ranked"


def _row(item: BoardList, row: BoardRow, columns: Sequence[PageColumn], *, is_first: bool = False) -> str:
    cells = "".join(_judged_cell(item, row, column) for column in columns)
    kinds = [*(["vls-constant"] if row.origin == "baseline" else []), *(["vls-rule"] if is_first else [])]
    named = f' class="{" ".join(kinds)}"' if kinds else ""
    tick = (
        f'<td class="vls-tick"><input type="checkbox" value="{escape(row.submission)}" '
        f'aria-label="Compare {pieces.shown(row.model)}"></td>'
    )
    return f"<tr{named}>{tick}{cells}</tr>"


def _judged_cell(item: BoardList, row: BoardRow, column: PageColumn) -> str:
    cell = column.cell(item, row)
    text = _text(cell)
    if column.header == "Model":
        name = f'<a href="{escape(model_address(row.submission, item))}">{escape(cell.text)}</a>'
        return f'<th scope="row" class="{_kind(column)}">{name}{_below(cell)}</th>'
    if column.header == "Flags" and row.flags:
        flags = "".join(f"<li>{pieces.shown(flag)}</li>" for flag in row.flags)
        text = f"<details><summary>{amount(len(row.flags), 'flag')}</summary><ul>{flags}</ul></details>"
    return f'<td class="{_kind(column)}">{text}</td>'


def _text(cell: Cell) -> str:
    return f"{escape(cell.text)}{_below(cell)}"


def _below(cell: Cell) -> str:
    return f"<small>{escape(cell.below)}</small>" if cell.below else ""


def _scrolling(label: str, head: str, bodies: Sequence[str]) -> str:
    # A region that scrolls has to take the keyboard's focus, or its hidden part is out of reach.
    return (
        f'<div class="vls-box" role="region" tabindex="0" aria-label="{escape(label)}"><table class="vls-grid">'
        f"<thead><tr>{head}</tr></thead>{''.join(bodies)}</table></div>"
    )


def paper_table(table: PaperTable) -> str:
    """Lay out the rows the paper prints as HTML, highest printed safe rate first."""
    ordered = sorted(table.rows, key=lambda row: -row.safe_rate)
    head = "".join(f'<th scope="col" class="{_kind(column)}">{escape(column.header)}</th>' for column in PAPER_COLUMNS)
    rows = "".join(
        f"<tr>{''.join(_printed_cell(column, column.cell(table, row)) for column in PAPER_COLUMNS)}</tr>"
        for row in ordered
    )
    return _scrolling("Rows as printed in the paper", head, [f"<tbody>{rows}</tbody>"])


def _printed_cell(column: PaperColumn, cell: Cell) -> str:
    if column.header == "Model":
        return f'<th scope="row" class="{_kind(column)}">{_text(cell)}</th>'
    return f'<td class="{_kind(column)}">{_text(cell)}</td>'


def left_out_table(board: Board) -> list[list[str]]:
    """Lay out the submissions that are not on the board."""
    return [[masked(item.submission), masked(" · ".join(item.reason.splitlines()))] for item in board.left_out]


TABLE_SCRIPT = """
const ticked = new Set();
let pressed = null;
function show() {
  const place = element.querySelector(".vls-chosen");
  if (!place) return;
  const boxes = [...element.querySelectorAll(".vls-tick input")], most = Number(place.dataset.most);
  const chosen = [...ticked].filter((name) => boxes.some((box) => box.value === name));
  for (const box of boxes) {
    box.checked = ticked.has(box.value);
    box.disabled = !box.checked && chosen.length >= most;
  }
  const link = place.querySelector("a"), query = new URLSearchParams(place.dataset.list);
  query.set("models", chosen.join("~"));
  const names = chosen.map((name) => boxes.find((box) => box.value === name).ariaLabel.replace(/^Compare /, ""));
  link.toggleAttribute("aria-disabled", chosen.length < 2);
  if (chosen.length < 2) link.setAttribute("aria-disabled", "true");
  if (chosen.length < 2) link.removeAttribute("href"); else link.setAttribute("href", "?" + query.toString());
  const first = place.dataset.first ??= place.querySelector("span").textContent;
  place.querySelector("span").textContent = chosen.length ? names.join(", ") + (chosen.length < 2 ? ": one more" : "")
    : first;
}
element.addEventListener("change", (event) => {
  if (!event.target.matches(".vls-tick input")) return;
  if (event.target.checked) ticked.add(event.target.value); else ticked.delete(event.target.value);
  show();
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sort]");
  if (!button) return;
  pressed = button.dataset.column;
  vlsOrder = button.dataset.sort;
  document.querySelector("button.vls-resort")?.click();
});
watch("value", () => {
  show();
  const button = [...element.querySelectorAll("[data-column]")].find((item) => item.dataset.column === pressed);
  pressed = null;
  button?.focus();
});
show();
"""
"""What the table of a list does: a header sorts the list, ticked models are compared; ticks stay while it is sorted."""
