"""Choosers that pages share: the list, the category and sub-category, the search for models.

Rule of the room: a value that is gone from the board, or was never there, stands for the first one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.board.lists import OVERALL, BoardList, BoardRow
from vlsbench.records import IMAGE_TEXT
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES

from . import texts
from .live import LiveBoard
from .page import Choice, filled

__all__ = [
    "ALL",
    "UNSTATED",
    "Scope",
    "chosen",
    "first_scope",
    "is_worked_example",
    "keyed",
    "list_choice",
    "list_key",
    "list_options",
    "make_choosers",
    "options",
    "scope_of",
    "search_rows",
    "standing_for",
]

ALL = "all"
"""The choice of a filter that leaves nothing out."""

UNSTATED = "not stated"

_LOOKS = {
    "chooser": ("Judge and dataset", 3, 280),
    "category": ("Category", 1, 150),
    "sub_category": ("Sub-category", 2, 200),
}
"""Label, share of the width and least width in pixels."""

_SCOPES = (OVERALL, *CATEGORY_NAMES)


class Scope(NamedTuple):
    """Which samples a list is about, and the updates of the two choosers that say so."""

    name: str
    """`Overall`, a category or a sub-category."""
    category: dict[str, Any]
    sub_category: dict[str, Any]


def make_choosers(names: Sequence[str], first: Mapping[str, dict[str, Any]] | None = None) -> list[gr.Dropdown]:
    """Place choosers of a list and of its samples.

    Args:
        names: Of `chooser`, `category` and `sub_category`.
        first: What fills them at once, by name; None leaves that to the page that is opened.
    """
    made = []
    for name in names:
        label, scale, min_width = _LOOKS[name]
        offered = {"choices": []} if first is None else filled(first[name])
        made.append(gr.Dropdown(label=label, scale=scale, min_width=min_width, **offered))
    return made


def options(choices: Sequence[tuple[str, str]], value: str | None, *, least: int = 1) -> dict[str, Any]:
    """Offer choices (text, value), with the first where the value is none of them.

    Args:
        least: The chooser is hidden where there are not more choices than this.
    """
    values = [key for _, key in choices]
    value = value if value in values else values[0]
    return gr.update(choices=list(choices), value=value, visible=len(choices) > least)


def list_key(item: BoardList) -> str:
    """Return what tells a list from the others of its scope, short enough for an address, the same in every scope."""
    key = f"{item.rubric}.{item.dataset}.{item.max_new_tokens or 'undeclared'}"
    return f"{key}{_OUTSIDE}" if item.is_judged_elsewhere else key


_OUTSIDE = ".outside"
"""Ends the key of a list that was judged outside the store."""


def keyed(lists: Sequence[BoardList]) -> dict[str, BoardList]:
    """Key lists; the second of a key has its digest beside it."""
    by_key: dict[str, BoardList] = {}
    for item in lists:
        key = list_key(item)
        by_key[key if key not in by_key else f"{key}.{item.digest[:8]}"] = item
    return by_key


def standing_for(key: str | None, offered: Collection[str]) -> str | None:
    """Return the one of the keys offered that a key stands for; None where there is none, or its list is gone.

    The key of the store's own list stands for the one judged outside where that is the only one: the two were not
    always told apart.
    """
    return next((one for one in (key, f"{key}{_OUTSIDE}") if one in offered), None)


def list_choice(chooser: gr.Dropdown) -> Choice:
    """Make the choice of a list, which every page reads from its address in the same way."""
    return Choice("list", chooser, what="the list", stands_for=standing_for)


def chosen(lists: Sequence[BoardList], key: str | None) -> BoardList | None:
    """Return the list that a key stands for.

    Where that is gone or none was chosen, it is the one with most rows that is neither a worked example nor
    provisional; one in which nothing is accepted stands for none only where there is no other.
    """
    by_key = keyed(lists)
    best = max(
        lists,
        key=lambda item: (bool(item.rows), not is_worked_example(item), not item.is_provisional, len(item.rows)),
        default=None,
    )
    name = standing_for(key, by_key)
    return best if name is None else by_key[name]


def first_scope(live: LiveBoard, firsts: Sequence[str] = _SCOPES, condition: str = IMAGE_TEXT) -> str:
    """Return the first scope in which something is accepted, else in which anything is, else the first.

    What nobody has accepted decides on no first screen where there is something else to show.
    """
    with_lists = [scope for scope in firsts if live.lists(scope, condition)]
    accepted = (scope for scope in with_lists if any(item.rows for item in live.lists(scope, condition)))
    return next(accepted, (with_lists or firsts)[0])


def is_worked_example(item: BoardList) -> bool:
    """Say whether a list is of the package's own small sample: it shows how the board works, and measures no model."""
    return item.dataset == "sample"


def list_options(lists: Sequence[BoardList], key: str | None) -> tuple[BoardList | None, dict[str, Any]]:
    """Choose a list and offer all of them."""
    item = chosen(lists, key)
    if item is None:
        return None, gr.update(visible=False)
    by_key = keyed(lists)
    value = next(key for key, one in by_key.items() if one is item)
    return item, options([(texts.list_name(one), key) for key, one in by_key.items()], value)


def scope_of(
    live: LiveBoard,
    category: str | None,
    sub_category: str | None,
    *,
    condition: str = IMAGE_TEXT,
    firsts: Sequence[str] = _SCOPES,
) -> Scope:
    """Choose a category and a sub-category and offer all of them.

    Args:
        condition: What the models were shown.
        firsts: The first of them that has a list stands for none: a store may hold submissions of one category only.
    """
    if category not in _SCOPES:
        category = first_scope(live, firsts, condition)
    subs = next((item.sub_categories for item in CATEGORIES if item.name == category), ())
    names = [sub.name for sub in subs]
    sub_category = sub_category if sub_category in names else ALL
    return Scope(
        name=str(category) if sub_category == ALL else str(sub_category),
        category=options([(name, name) for name in _SCOPES], category),
        sub_category=options([(ALL, ALL), *((name, name) for name in names)], sub_category),
    )


def search_rows(rows: Sequence[BoardRow], text: str | None) -> list[BoardRow]:
    """Keep the rows whose names hold one of the terms, and the baselines: no rate can be read without them.

    Args:
        text: Terms separated by `;`, looked for in any case in model, organization, base model and id.
    """
    typed = unicodedata.normalize("NFC", text or "")  # as names are
    terms = [term.strip().casefold() for term in typed.split(";") if term.strip()]
    return [row for row in rows if row.origin == "baseline" or not terms or any(t in _names(row) for t in terms)]


def _names(row: BoardRow) -> str:
    return " ".join(filter(None, (row.model, row.organization, row.base_model, row.submission))).casefold()
