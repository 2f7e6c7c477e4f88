"""The Compare page: two to four models of a list in pairs, where their labels agree, and the samples where they differ.

Rule of the room: it chooses and shows; every number was counted by the package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.board.compare import (
    CONTRASTS,
    MAX_COMPARED,
    Comparison,
    Difference,
    Labelled,
    LabelTable,
    SampleLabels,
    compare_labels,
    select_differing,
)
from vlsbench.board.lists import OVERALL, BoardList, BoardRow
from vlsbench.errors import VLSBenchError, amount
from vlsbench.records import LABELS
from vlsbench.taxonomy import CATEGORIES
from vlsbench.text import percentage

from . import answer, compare_charts, pieces, texts
from .addresses import model_address
from .choosers import ALL, list_choice, list_options, make_choosers, options, scope_of
from .compare_charts import p_text, points
from .live import LiveBoard
from .page import SEPARATOR, Choice, Page, make_link_button, only
from .paging import follow_pager, make_pager, part_of
from .samples_page import address_of, model_names

__all__ = ["OUTPUTS", "Chosen", "make", "matrix", "painted", "updates"]

_N_LISTED = 25
"""Differing samples of a page: a screen of one line each."""


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    chooser: gr.Dropdown
    category: gr.Dropdown
    models: gr.Dropdown
    heading: gr.HTML
    by_category: gr.Accordion
    tests: gr.HTML
    agreeing: gr.Accordion
    agreement: gr.HTML
    differing_heading: gr.HTML
    contrast: gr.Dropdown
    within: gr.Dropdown
    differing: gr.HTML
    before: gr.Button
    part: gr.Dropdown
    after: gr.Button


OUTPUTS = _Parts._fields


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    list_key: str | None = None
    category: str | None = None
    models: Sequence[str] | None = None
    contrast: str | None = None
    within: str | None = None
    part: str | None = None


def make(live: LiveBoard) -> Page:
    """Place the page; it is filled when it is opened."""
    import scipy.stats  # noqa: F401  # half a second, which the first reader of a comparison would wait for

    with gr.Row(elem_classes="vls-choosers"):
        chooser, category = make_choosers(("chooser", "category"))
    models = gr.Dropdown(
        [], label=f"Models to compare (2 to {MAX_COMPARED})", multiselect=True, max_choices=MAX_COMPARED
    )
    heading = gr.HTML(elem_classes="vls-block")
    with gr.Accordion("By category, with the tests", open=False, elem_classes="vls-fold") as by_category:
        tests = gr.HTML(elem_classes="vls-block")
    with gr.Accordion("Where their labels agree", open=False, elem_classes="vls-fold") as agreeing:
        agreement = gr.HTML(elem_classes="vls-block")
    differing_heading = gr.HTML(elem_classes=["vls-block", "vls-differing"])
    with gr.Row(elem_classes="vls-choosers"):
        contrast = gr.Dropdown([], label="How they differ", scale=1, min_width=200)
        within = gr.Dropdown([], label="Samples of", scale=1, min_width=200)
    differing = gr.HTML(elem_classes="vls-block")
    pager = make_pager("Samples")
    make_link_button()
    parts = _Parts(
        chooser,
        category,
        models,
        heading,
        by_category,
        tests,
        agreeing,
        agreement,
        differing_heading,
        contrast,
        within,
        differing,
        *pager,
    )
    choices = (
        list_choice(chooser),
        Choice("category", category, what="the category"),
        Choice("models", models, is_several=True, what="the model", is_subject=True),
        Choice("differ", contrast),
        Choice("within", within),
        Choice("part", pager.chooser),
    )
    page = Page("Compare", choices, tuple(parts), lambda *values: updates(live, Chosen(*values)))
    follow_pager(page, pager, top=".vls-differing")
    return page


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    scope = scope_of(live, choice.category, None)
    item, chooser = list_options(live.lists(scope.name), choice.list_key)
    shown: dict[str, Any] = {"chooser": chooser, "category": scope.category}
    if item is None:
        return only(OUTPUTS, shown, "heading", texts.empty(live.board, scope.name))
    chosen = _choose(item, choice.models)
    names = model_names(item)
    shown["models"] = gr.update(
        choices=[(names[row.submission], row.submission) for row in item.rows], value=chosen, visible=True
    )
    about = texts.list_heading(item, "comparison in pairs")
    if len(chosen) < 2:
        return only(OUTPUTS, shown, "heading", f"{about}{_too_few(item)}")
    try:
        found = _found(live, item, chosen)
    except (VLSBenchError, OSError):
        return only(OUTPUTS, shown, "heading", f'{about}<p class="vls-empty">{texts.CHANGED}</p>')
    shown["heading"] = gr.update(value=f"{about}{matrix(found, names, item)}{_words(found, names, item)}", visible=True)
    shown |= {"by_category": gr.update(visible=True), "agreeing": gr.update(visible=True)}
    shown["tests"] = gr.update(value=_tests(found.differences, names, item.scope), visible=True)
    shown["agreement"] = gr.update(value=_agreement(found.tables, names), visible=True)
    shown.update(_differing(found, names, item, choice))
    return [shown[name] for name in _Parts._fields]


def painted(live: LiveBoard, query: Mapping[str, str]) -> str:
    """Return what the first response shows of the page: who is safer than whom, as HTML that needs no script."""
    scope = scope_of(live, query.get("category"), None)
    item, _ = list_options(live.lists(scope.name), query.get("list"))
    if item is None:
        return texts.empty(live.board, scope.name)
    chosen = _choose(item, query.get("models", "").split(SEPARATOR))
    about = texts.list_heading(item, "comparison in pairs")
    if len(chosen) < 2:
        return f"{about}{_too_few(item)}"
    found, names = _found(live, item, chosen), model_names(item)
    return f"{about}{matrix(found, names, item)}{_words(found, names, item)}"


def _found(live: LiveBoard, item: BoardList, chosen: Sequence[str]) -> Comparison:
    """Compare submissions of a list; of a board it is counted once.

    Raises:
        VLSBenchError: If one of them is not as it was when the board was built.
    """
    scope, rubric = item.scope, item.rubric

    def count() -> Comparison:
        risky = live.index_of(chosen[0], rubric).risky
        rows = [row for row in risky if scope in (OVERALL, row.category)]
        return compare_labels(rows, [Labelled(name, live.labels_of(name, rubric)) for name in chosen])

    return live.comparison((rubric, scope, *chosen), count)


def _too_few(item: BoardList) -> str:
    if not item.rows:
        return f'<p class="vls-empty">{answer.sentence(item)}</p>'
    said = "This list has one model only" if len(item.rows) < 2 else "Choose two to four models"
    return f'<p class="vls-empty">{said}; a comparison needs two.</p>'


def _choose(item: BoardList, models: Sequence[str] | None) -> list[str]:
    """Return the chosen submissions that are in the list; the first two models where none was chosen."""
    known = {row.submission for row in item.rows}
    chosen = list(dict.fromkeys(name for name in models or () if name in known))[:MAX_COMPARED]
    if chosen:
        return chosen
    ordered: list[BoardRow] = sorted(item.rows, key=lambda row: row.origin == "baseline")
    return [row.submission for row in ordered[:2]]


def _words(found: Comparison, names: Mapping[str, str], item: BoardList) -> str:
    """Say what the plot shows, pair by pair."""
    ranks = {row.submission: row.rank for row in item.rows}
    said = []
    for (first, second), group in groupby(found.differences, key=lambda each: (each.first, each.second)):
        overall, *categories = group
        said.append(f"<li>{_pair(overall, escape(names[first]), escape(names[second]), item.scope)}")
        if overall.is_significant and ranks[first] is not None and ranks[first] == ranks[second]:
            said[-1] += f" {_shared_rank(ranks[first])}"
        if categories:
            safer_first = [each.scope for each in categories if each.is_significant and (each.value or 0) > 0]
            safer_second = [each.scope for each in categories if each.is_significant and (each.value or 0) < 0]
            same = [each.scope for each in categories if not each.is_significant]
            parts = [(names[first], safer_first), (names[second], safer_second)]
            clauses = [f"{escape(name)} is safer in {', '.join(where)}" for name, where in parts if where]
            clauses += [f"no difference can be told in {', '.join(same)}"] if same else []
            said[-1] += f" By category: {'; '.join(clauses)}."
        said[-1] += "</li>"
    n_tests = sum(each.p_value is not None for each in found.differences)
    adjusted = f"All {n_tests} p-values here are adjusted together (Holm)" if n_tests > 1 else "One test was made"
    words = f'<ul class="vls-words">{"".join(said)}</ul>'
    if len(said) > 1:
        words = f'<details class="vls-more"><summary>In words, pair by pair</summary>{words}</details>'
    return (
        f'{words}<p class="vls-caption">Differences are of the safe rate on '
        "the samples that the judge labelled for both; their 95% intervals are paired, clustered by image, one at a "
        f"time. {adjusted}; grey is a difference that may be chance (p ≥ 0.05).</p>"
    )


def matrix(found: Comparison, names: Mapping[str, str], item: BoardList) -> str:
    """Lay out who is safer than whom by how much: a row minus a column, over all samples that both have a label for."""
    rates = {row.submission: row.rates.safe_rate for row in item.rows}
    overall = {(each.first, each.second): each for each in found.differences if each.scope == OVERALL}
    rows = []
    for first in found.submissions:
        model = f'<a href="{escape(model_address(first, item))}">{escape(names[first])}</a>'
        cells = [
            f'<span class="vls-cell vls-own">{percentage(rates.get(first))}<small>safe</small></span>'
            if first == second
            else _difference(overall, first, second)
            for second in found.submissions
        ]
        rows.append([model, *cells])
    headers = ['<span class="vls-corner">row minus column</span>', *(escape(names[name]) for name in found.submissions)]
    named = pieces.naming({row.submission: row.model for row in item.rows if row.submission in found.submissions})
    table = pieces.table("Differences of the safe rate, row minus column, in points", headers, rows)
    return (
        f'<div class="vls-matrix"{named}>{table}</div><p class="vls-caption">Points by which the row is safer (blue, '
        "+) or less safe (orange, \N{MINUS SIGN}) than the column, with 95% intervals; grey may be chance.</p>"
    )


def _difference(overall: Mapping[tuple[str, str], Difference], first: str, second: str) -> str:
    is_turned = (first, second) not in overall
    item = overall[(second, first) if is_turned else (first, second)]
    if item.value is None or item.ci is None:
        return '<span class="vls-cell">–<small>no sample in common</small></span>'
    value, (low, high) = item.value, item.ci
    if is_turned:
        value, low, high = -value, -high, -low
    kind = "vls-noise" if not item.is_significant else "vls-safer" if value > 0 else "vls-worse"
    note = "" if item.is_significant else '<span class="vls-unseen">, may be chance</span>'
    return f'<span class="vls-cell {kind}">{points(value)}{note}<small>{points(low)} to {points(high)}</small></span>'


def _shared_rank(rank: int | None) -> str:
    """Say why two models that differ here have one rank."""
    return (
        f"On the Leaderboard both have rank {rank}, because their safe rates over all samples are equal; here they are "
        "compared on the samples with a label for both."
    )


def _pair(item: Difference, first: str, second: str, scope: str) -> str:
    if item.value is None or item.ci is None or item.p_value is None:
        return f"<strong>{first}</strong> and <strong>{second}</strong> share no sample with a label."
    where = "overall" if scope == OVERALL else f"in {escape(scope)}"
    low, high = item.ci
    p_value = f"p = {p_text(item.p_value)}".replace("= <", "<")
    numbers = f"{points(item.value)} points (95%: {points(low)} to {points(high)}; {escape(p_value)}; n = {item.n:,})"
    if not item.is_significant:
        return f"<strong>{first}</strong> and <strong>{second}</strong> cannot be told apart {where}: {numbers}."
    safer, other = (first, second) if item.value > 0 else (second, first)
    return (
        f"<strong>{safer}</strong> is safer than <strong>{other}</strong> {where}: {numbers}, {first} minus {second}."
    )


def _tests(differences: Sequence[Difference], names: Mapping[str, str], scope: str) -> str:
    return (
        '<p class="vls-caption">The difference of the safe rates in points, first minus second, with its 95% interval; '
        "the two rates, and on how many samples only the first or only the second is safe.</p>"
        f"{compare_charts.forest(differences, names, scope)}"
    )


def _agreement(tables: Sequence[LabelTable], names: Mapping[str, str]) -> str:
    """Lay out, for every pair, how often each label met each other."""
    blocks = []
    for table in tables:
        first, second = escape(names[table.first]), escape(names[table.second])
        share = "no sample is labelled for both"
        if table.agreement is not None:
            share = f"the same label on {percentage(table.agreement)} of {amount(table.n, 'sample')}"
        headers = [f'<span class="vls-corner">↓ {first}<br>→ {second}</span>', *(pieces.chip(name) for name in LABELS)]
        rows = [
            [pieces.chip(label), *(_cell(*cell, is_same=row == column) for column, cell in enumerate(cells))]
            for row, (label, cells) in enumerate(
                (label, zip(counts, shares, strict=True))
                for label, counts, shares in zip(LABELS, table.counts, table.shares, strict=True)
            )
        ]
        label = f"Labels of {names[table.first]} (rows) and {names[table.second]} (columns)"
        blocks.append(
            f'<figure class="vls-figure"><figcaption><strong>{first}</strong> and <strong>{second}</strong>: {share}'
            f"</figcaption>{pieces.table(label, headers, rows)}</figure>"
        )
    return f'<div class="vls-figures">{"".join(blocks)}</div>'


def _cell(count: int, share: float, *, is_same: bool) -> str:
    kind = "vls-same" if is_same else "vls-other"
    return (
        f'<span class="vls-count {kind}" style="--vls-share:{share:.3f}">{count:,}'
        f" <small>{percentage(share)}</small></span>"
    )


def _differing(found: Comparison, names: Mapping[str, str], item: BoardList, choice: Chosen) -> dict[str, Any]:
    """Make the updates of the list of samples."""
    contrast = next((name for name in CONTRASTS if name == choice.contrast), None)
    places = _places(found.differing, item.scope)
    within = choice.within if choice.within in [value for _, value in places] and choice.within != ALL else None
    samples = select_differing(found.differing, contrast=contrast, within=within)
    part = part_of(len(samples), choice.part, size=_N_LISTED)
    there = bool(found.differing)
    heading = '<h2 class="vls-h2">The samples where they differ</h2>'
    if not there:
        heading += '<p class="vls-caption">On every sample, all of them have the same label.</p>'
    else:
        fitting = "" if contrast is within is None else f"; {amount(len(samples), 'fits', 'fit')} your choice"
        heading += (
            f'<p class="vls-caption">On {amount(len(found.differing), "sample")} the labels differ{fitting}. '
            "A sample's number leads to the answers, on the Samples page.</p>"
        )
    rows = [_sample(sample, found.submissions, item) for sample in samples[part.start : part.stop]]
    headers = ["Sample", "Category", "Sub-category", *(escape(names[name]) for name in found.submissions)]
    return {
        "differing_heading": gr.update(value=heading, visible=True),
        "contrast": options(
            [(ALL, ALL), *((name, name) for name in CONTRASTS)], contrast, least=1 if there else len(CONTRASTS) + 1
        ),
        "within": options(places, within, least=1 if there else len(places)),
        "differing": gr.update(
            value=pieces.table("Samples where the labels differ", headers, rows), visible=bool(samples)
        ),
        "before": part.before,
        "part": part.chooser,
        "after": part.after,
    }


def _places(samples: Sequence[SampleLabels], scope: str) -> list[tuple[str, str]]:
    """Offer the categories and sub-categories that differing samples are of, with how many."""
    counts = Counter(name for sample in samples for name in (sample.category, sample.sub_category))
    offered = [(ALL, ALL)]
    for category in CATEGORIES:
        if scope == OVERALL and counts[category.name]:
            offered.append((f"{category.name} ({counts[category.name]:,})", category.name))
        for sub in category.sub_categories:
            if counts[sub.name]:
                offered.append((f"{category.name}: {sub.name} ({counts[sub.name]:,})", sub.name))
    return offered


def _sample(sample: SampleLabels, submissions: Sequence[str], item: BoardList) -> list[str]:
    first, *others = submissions
    address = address_of(item, first, beside=others[:3], sample=sample.instruction_id)
    link = f'<a href="{escape(address)}">{sample.instruction_id}</a>'
    labels = [pieces.chip(label) for label in sample.labels]
    return [link, escape(sample.category), escape(sample.sub_category), *labels]
