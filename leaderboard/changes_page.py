"""The Changes page: what came to the board, what left it, what was judged again, and which rank ranges that moved.

Rule of the room: it shows what the histories say and what the package counts; text of a store goes through
`pieces.shown`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.board.changes import KINDS, BoardChange, ChangeKind
from vlsbench.board.lists import show_range
from vlsbench.errors import amount

from . import pieces
from .addresses import model_address
from .choosers import ALL, options
from .live import FEED, LiveBoard
from .page import Choice, Page, make_link_button
from .paging import follow_pager, make_pager, part_of

__all__ = ["OUTPUTS", "Chosen", "last_updated", "make", "updates"]

_N_LISTED = 40
"""Changes of a page."""

_N_MOVED = 12
"""Moves that are listed at once of a list and a day."""

_MARKS: dict[ChangeKind, str] = {
    "in": "+",
    "another judge": "\N{CIRCLED DOT OPERATOR}",
    "judged again": "\N{CLOCKWISE OPEN CIRCLE ARROW}",
    "out": "\N{MINUS SIGN}",
    "back": "\N{LEFTWARDS ARROW WITH HOOK}",
}


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    kind: gr.Dropdown
    heading: gr.HTML
    listed: gr.HTML
    before: gr.Button
    part: gr.Dropdown
    after: gr.Button
    moves: gr.HTML


OUTPUTS = _Parts._fields


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    kind: str | None = None
    part: str | None = None


def make(live: LiveBoard) -> Page:
    """Place the page; it is filled when it is opened."""
    heading = gr.HTML(elem_classes=["vls-block", "vls-changed"])
    kind = gr.Dropdown([], label="Show", min_width=200)
    listed = gr.HTML(elem_classes="vls-block")
    pager = make_pager("Changes")
    moves = gr.HTML(elem_classes="vls-block")
    make_link_button()
    parts = _Parts(kind, heading, listed, *pager, moves)
    choices = (Choice("kind", kind, what="the kind of change"), Choice("part", pager.chooser))
    page = Page("Changes", choices, tuple(parts), lambda *values: updates(live, Chosen(*values)))
    follow_pager(page, pager, top=".vls-changed")
    return page


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    changes = live.board_changes()
    counts = Counter(change.kind for change in changes)
    kinds = [(ALL, ALL), *((f"{name} ({counts[name]:,})", name) for name in KINDS if counts[name])]
    kind = options(kinds, choice.kind, least=2)
    found = [change for change in changes if kind["value"] in (ALL, change.kind)]
    part = part_of(len(found), choice.part, size=_N_LISTED)
    shown = {
        "kind": kind,
        "heading": gr.update(value=_heading(changes)),
        "listed": gr.update(value=_listed(found[part.start : part.stop]), visible=bool(found)),
        "before": part.before,
        "part": part.chooser,
        "after": part.after,
        "moves": gr.update(value=_moves(live) if changes else "", visible=bool(changes)),
    }
    return [shown[name] for name in _Parts._fields]


def last_updated(changes: Sequence[BoardChange]) -> str:
    """Say when the board changed last, as HTML; empty where no event says so."""
    if not changes:
        return ""
    when = changes[0].when
    return f'Last updated <time datetime="{escape(when)}">{escape(when[:16].replace("T", " "))}</time> UTC'


def _heading(changes: Sequence[BoardChange]) -> str:
    title = '<h2 class="vls-h2">What changed</h2>'
    if not changes:
        return (
            f'{title}<p class="vls-empty">No change is recorded: the rows of this board were put into its store by '
            "hand, or nobody has accepted any yet. What is accepted, judged or withdrawn with <code>vlsbench</code> "
            "appears here.</p>"
        )
    feed = f'<a href="download/{FEED}">Atom feed</a> for a reader of feeds'
    said = f"{last_updated(changes)} · {amount(len(changes), 'change')} on record, newest first · {feed}"
    return f"{title}{pieces.small(said)}"


def _listed(changes: Sequence[BoardChange]) -> str:
    days = []
    for day, group in groupby(changes, key=lambda change: change.when[:10]):
        lines = "".join(map(_line, group))
        days.append(
            f'<section><h3 class="vls-h3"><time datetime="{escape(day)}">{escape(day)}</time></h3>'
            f'<ul class="vls-changes">{lines}</ul></section>'
        )
    return "".join(days)


def _line(change: BoardChange) -> str:
    name = pieces.shown(change.model or change.submission)
    link = f'<a href="{escape(model_address(change.submission))}">{name}</a>'
    return (
        f'<li class="vls-change-{change.kind.replace(" ", "-")}"><span class="vls-mark" aria-hidden="true">'
        f"{_MARKS[change.kind]}</span><span><strong>{change.kind}</strong> {link} "
        f"<small>{pieces.shown(change.what)} · {escape(change.when[11:16])}</small></span></li>"
    )


def _moves(live: LiveBoard) -> str:
    title = '<h2 class="vls-h2">Rank ranges that moved</h2>'
    moves = live.moves()
    if moves is None:
        return title + pieces.small("They are being counted; open this page again in a moment.")
    if not moves:
        said = "The rows that came in on the last days moved no rank range of the others."
        return title + pieces.small(said if live.has_moves else "Of so many rows it is not counted here.")
    blocks = []
    for (day, judge), group in groupby(moves, key=lambda move: (move.day, move.judge)):
        found = list(group)
        because = ", ".join(map(pieces.shown, found[0].because))
        lines = [
            f'<li><a href="{escape(model_address(move.submission))}">{pieces.shown(move.model)}</a>: '
            f'{show_range(move.before)} <span aria-hidden="true">\N{RIGHTWARDS ARROW}</span>'
            f'<span class="vls-unseen">to</span> {show_range(move.after)}</li>'
            for move in found
        ]
        more = "".join(lines[_N_MOVED:])
        rest = f"<details><summary>{len(lines) - _N_MOVED} more</summary><ul>{more}</ul></details>" if more else ""
        judged = pieces.small(f"Judge {pieces.shown(judge)}")
        blocks.append(
            f'<section><h3 class="vls-h3">{escape(day)}: {because} came in</h3>{judged}'
            f'<ul class="vls-words vls-moves">{"".join(lines[:_N_MOVED])}</ul>{rest}</section>'
        )
    said = (
        "95% rank ranges of the rows that are on the board today, without and with those that came in on a day, "
        "counted with the verdicts of today. What has left the board is in neither; what it moved is not known."
    )
    return f"{title}{pieces.small(said)}{''.join(blocks)}"
