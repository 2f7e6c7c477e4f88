"""The Categories page: one category or sub-category as a ranking, all sub-categories as a heat map, models as a radar.

Rule of the room: it chooses and shows; every number was counted by the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.board.lists import BoardList, BoardRow
from vlsbench.errors import amount
from vlsbench.metrics.intervals import noise_half_width
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

from . import answer, category_charts, texts
from .addresses import model_address
from .category_charts import Profile
from .choosers import list_choice, list_options, make_choosers, scope_of, search_rows
from .live import LiveBoard
from .page import Choice, Page, make_link_button, only
from .plots import make_plot, plot

__all__ = ["Chosen", "make", "updates"]

_N_DRAWN = 30
"""Models that a ranking and the heat map draw: a screen or two. Search brings up the others."""

_LEAST_AXES = 3
"""Categories below which a radar is a line: a store may hold answers to one category only."""

_MAX_RADAR = 5
"""Models a radar can show before its lines cannot be told apart."""


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    chooser: gr.Dropdown
    category: gr.Dropdown
    sub_category: gr.Dropdown
    models: gr.Dropdown
    ranking_heading: gr.HTML
    ranking: gr.Plot
    heat_heading: gr.HTML
    heat: gr.HTML
    radar_heading: gr.HTML
    radar: gr.Plot


OUTPUTS = _Parts._fields


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    list_key: str | None = None
    category: str | None = None
    sub_category: str | None = None
    search: str | None = None
    models: Sequence[str] | None = None


def make(live: LiveBoard) -> Page:
    """Place the page; it is filled when it is opened."""
    with gr.Row(elem_classes="vls-choosers"):
        chooser, category, sub_category = make_choosers(("chooser", "category", "sub_category"))
        search = gr.Textbox(label="Search models (several: a; b)", scale=2, min_width=200, max_lines=1, max_length=200)
    ranking_heading = gr.HTML(elem_classes="vls-block")
    ranking = make_plot()
    heat_heading = gr.HTML(elem_classes="vls-block")
    heat = gr.HTML(elem_classes="vls-block")
    radar_heading = gr.HTML(elem_classes="vls-block")
    models = gr.Dropdown(
        [], label=f"Models of the radar (up to {_MAX_RADAR})", multiselect=True, max_choices=_MAX_RADAR
    )
    radar = make_plot()
    make_link_button()
    parts = _Parts(
        chooser, category, sub_category, models, ranking_heading, ranking, heat_heading, heat, radar_heading, radar
    )
    choices = (
        list_choice(chooser),
        Choice("category", category, what="the category"),
        Choice("sub", sub_category, what="the sub-category"),
        Choice("q", search, is_still=True),
        Choice("models", models, is_several=True, what="the model"),
    )
    return Page("Categories", choices, tuple(parts), lambda *values: updates(live, Chosen(*values)))


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    scope = scope_of(live, choice.category, choice.sub_category, firsts=CATEGORY_NAMES)
    lists = live.lists(scope.name)
    item, chooser = list_options(lists, choice.list_key)
    shown: dict[str, Any] = {"category": scope.category, "sub_category": scope.sub_category, "chooser": chooser}
    if item is None:
        return only(OUTPUTS, shown, "ranking_heading", texts.empty(live.board, scope.name))
    rows = search_rows(item.rows, choice.search)
    drawn = _first_of(rows)
    shown["ranking_heading"] = gr.update(value=_ranking_text(item, rows, drawn), visible=True)
    shown["ranking"] = gr.update(
        value=plot(category_charts.ranking(item, drawn)) if drawn else None, visible=bool(drawn)
    )
    profiles = {row.submission: _profile(live, item, row) for row in drawn}
    shown["heat_heading"] = gr.update(value=_heat_text(list(profiles.values())), visible=bool(profiles))
    shown["heat"] = gr.update(
        value=category_charts.heat_map(list(profiles.values())) if profiles else "", visible=bool(profiles)
    )
    ranked = [row for row in item.rows if row.origin != "baseline"]
    names = {row.submission: row for row in ranked}
    picked = [name for name in choice.models or () if name in names][:_MAX_RADAR]
    picked = picked or [row.submission for row in ranked[:3]]
    compared = [_profile(live, item, names[name]) for name in picked]
    if max((len(profile.rates.keys() & set(CATEGORY_NAMES)) for profile in compared), default=0) < _LEAST_AXES:
        compared = []
    shown["models"] = gr.update(
        choices=[(row.model, row.submission) for row in ranked], value=picked, visible=bool(compared)
    )
    shown["radar_heading"] = gr.update(value=_radar_text(compared), visible=bool(compared))
    shown["radar"] = gr.update(
        value=plot(category_charts.radar(compared)) if compared else None, visible=bool(compared)
    )
    return [shown[name] for name in _Parts._fields]


def _first_of(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """Return the first models and all baselines, of those with a rate."""
    rated = [row for row in rows if row.rates.safe_rate is not None]
    models = [row for row in rated if row.origin != "baseline"][:_N_DRAWN]
    return models + [row for row in rated if row.origin == "baseline"]


def _profile(live: LiveBoard, item: BoardList, row: BoardRow) -> Profile:
    rates = live.rates_of(row.submission, item.rubric, (*CATEGORY_NAMES, *SUB_CATEGORY_NAMES))
    return Profile(row.model, rates, model_address(row.submission, item))


def _ranking_text(item: BoardList, rows: Sequence[BoardRow], drawn: Sequence[BoardRow]) -> str:
    noise = 100 * noise_half_width(item.n_samples)
    n_models = sum(row.origin != "baseline" for row in rows)
    n_drawn = sum(row.origin != "baseline" for row in drawn)
    tied = sum(row.rank == 1 for row in item.rows)
    head = f"{texts.scope_intro(item.scope)}{texts.list_heading(item)}"
    if not drawn:
        said = "No model that has a rate fits this search." if item.rows else answer.sentence(item)
        return f'{head}<p class="vls-empty">{said}</p>'
    sentences = [
        f"{amount(item.n_samples, 'sample')}: a rate here moves by up to ±\N{NO-BREAK SPACE}{noise:.1f} points "
        "with other images of the same kind, so smaller differences are within noise"
    ]
    if tied > 1:
        sentences.append(f"{tied:,} models share rank 1: their safe rates are equal")
    if n_drawn < n_models:
        sentences.append(f"Drawn are the first {n_drawn} of {n_models}; search brings up the others")
    return (
        f'{head}<p class="vls-caption">{". ".join(sentences)}. Points are safe rates, lines their 95% intervals, the '
        "figure before a name its rank.</p>"
    )


def _heat_text(profiles: Sequence[Profile]) -> str:
    return (
        '<h2 class="vls-h2">All sub-categories</h2><p class="vls-caption">Safe rate in percent, a row per model '
        f"({len(profiles)}), a column per sub-category; lighter is safer. A sub-category has 28 to 244 samples of the "
        "release, so its rates move by up to ±\N{NO-BREAK SPACE}17 points. The intervals are in the boxes that a "
        "pointer brings up, on the page of each model, and "
        'at the endpoint <code>/table</code>.</p><p class="vls-caption">safe % 0 '
        '<span class="vls-scale" aria-hidden="true"></span> 100</p>'
    )


def _radar_text(profiles: Sequence[Profile]) -> str:
    ends = []
    for profile in profiles:
        found = {name: profile.rates[name].safe_rate for name in CATEGORY_NAMES if name in profile.rates}
        rates = {name: rate for name, rate in found.items() if rate is not None}
        if rates:
            low, high = min(rates, key=lambda name: rates[name]), max(rates, key=lambda name: rates[name])
            ends.append(texts.profile_ends(profile.model, low, rates[low], high, rates[high]))
    return f'<h2 class="vls-h2">Models across categories</h2><p class="vls-caption">{" ".join(ends)}</p>'
