"""The Alignment page: does textual safety alignment do what multimodal alignment does? The paper's rows, and ours.

Rule of the room: four panels that are never one: what the paper prints of VLSBench, what it prints of benchmarks with
leakage, the judged rows of this board, and the comparison made with a tiny model in a drawn world. Numbers are shown as
printed or as the package counted them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.align.miniature.records import MiniatureSummary, SummaryCell, Value, load_summary
from vlsbench.board.lists import BoardList, BoardRow
from vlsbench.board.paper import AlignmentTable, PaperTable, PrintedRow
from vlsbench.records import PaperRow
from vlsbench.text import percent, percentage

from . import alignment_charts, pieces, texts
from .alignment_charts import KINDS, Group, Row, kind_of
from .charts import rate_words
from .choosers import list_choice, list_options, make_choosers, scope_of
from .live import LiveBoard
from .page import Choice, Page, make_link_button
from .plots import make_plot, plot

__all__ = ["OUTPUTS", "Chosen", "make", "updates"]

_ORDER = list(KINDS)

_QUESTION = """
<h2 class="vls-h2">Textual or multimodal alignment?</h2>
<p class="vls-intro">Where the text of a sample already tells its risk, a model can be made safe by training on text
alone, and the benchmark cannot tell that from training on images and text. The paper calls this <em>visual safety
information leakage</em>. Its tables show it: on benchmarks with leakage textual alignment scores as high as multimodal;
on VLSBench, where only the image tells, it does not.</p>"""


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    printed_heading: gr.HTML
    printed: gr.Plot
    leaky_heading: gr.HTML
    leaky: gr.Plot
    leaky_table: gr.HTML
    chooser: gr.Dropdown
    category: gr.Dropdown
    submitted_heading: gr.HTML
    submitted: gr.Plot
    miniature_heading: gr.HTML
    miniature: gr.Plot
    miniature_dial: gr.Plot
    miniature_table: gr.HTML


OUTPUTS = _Parts._fields


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    list_key: str | None = None
    category: str | None = None


def make(live: LiveBoard) -> Page:
    """Place the page; it is filled when it is opened."""
    gr.HTML(_QUESTION + _legend(), elem_classes="vls-block")
    printed_heading = gr.HTML(elem_classes="vls-block")
    printed = make_plot()
    leaky_heading = gr.HTML(elem_classes="vls-block")
    leaky = make_plot()
    leaky_table = gr.HTML(elem_classes="vls-block")
    gr.HTML('<h2 class="vls-h2">Models of this board</h2>', elem_classes="vls-block")
    with gr.Row(elem_classes="vls-choosers"):
        chooser, category = make_choosers(("chooser", "category"))
    submitted_heading = gr.HTML(elem_classes="vls-block")
    submitted = make_plot()
    miniature_heading = gr.HTML(elem_classes="vls-block")
    miniature = make_plot(first={"visible": False})
    miniature_dial = make_plot(first={"visible": False})
    miniature_table = gr.HTML(elem_classes="vls-block")
    make_link_button()
    parts = _Parts(
        printed_heading,
        printed,
        leaky_heading,
        leaky,
        leaky_table,
        chooser,
        category,
        submitted_heading,
        submitted,
        miniature_heading,
        miniature,
        miniature_dial,
        miniature_table,
    )
    choices = (list_choice(chooser), Choice("category", category, what="the category"))
    return Page("Alignment", choices, tuple(parts), lambda *values: updates(live, Chosen(*values)))


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    scope = scope_of(live, choice.category, None)
    item, chooser = list_options(live.lists(scope.name), choice.list_key)
    shown = {"chooser": chooser, "category": scope.category}
    shown |= _printed(next((table for table in live.board.paper if table.rows), None))
    shown |= _leaky(live.alignment_table())
    shown |= _submitted(item)
    shown |= _miniature(load_summary())
    if item is None:
        shown["submitted_heading"] = gr.update(value=texts.empty(live.board, scope.name), visible=True)
    return [shown[name] for name in _Parts._fields]


def _legend() -> str:
    items = "".join(
        f'<li><span aria-hidden="true" style="color:{kind.colour}">{kind.sign}</span>{kind.name}</li>'
        for kind in KINDS.values()
    )
    return f'<ul class="vls-legend vls-kinds">{items}</ul>'


def _bars_legend() -> str:
    return (
        f'<p class="vls-legend">{pieces.chip("refusal")}{pieces.chip("warning")}<span>safe rate at the right</span></p>'
    )


def _printed(table: PaperTable | None) -> dict[str, Any]:
    groups = [] if table is None else _groups_of_paper(table.rows)
    if table is None or not groups:
        absent = '<p class="vls-empty">The paper\'s rows of VLSBench are not in this store.</p>'
        return {
            "printed_heading": gr.update(value=absent, visible=True),
            "printed": gr.update(value=None, visible=False),
        }
    said = "".join(f"<li>{_range_words(group.base_model, _rates_of_paper(group))}</li>" for group in groups)
    heading = (
        f'<h2 class="vls-h2">VLSBench, as the paper prints it</h2>{_facts(table.source, table.judge)}'
        f'<ul class="vls-words">{said}</ul>{_bars_legend()}'
    )
    return {
        "printed_heading": gr.update(value=heading, visible=True),
        "printed": gr.update(value=plot(alignment_charts.printed_chart(groups)), visible=True),
    }


def _leaky(table: AlignmentTable | None) -> dict[str, Any]:
    if table is None or not table.rows:
        absent = "The paper's numbers of other benchmarks (<code>paper/table2.json</code>) are not in this store."
        return {
            "leaky_heading": gr.update(value=f'<p class="vls-empty">{absent}</p>', visible=True),
            "leaky": gr.update(value=None, visible=False),
            "leaky_table": gr.update(value="", visible=False),
        }
    bases = dict.fromkeys(row.base_model for row in table.rows)
    groups = [Group(base, _ordered([row for row in table.rows if row.base_model == base])) for base in bases]
    benchmarks = table.names("safety")
    said = "".join(f"<li>{escape(group.base_model)}: {_benchmark_words(group, benchmarks)}.</li>" for group in groups)
    heading = (
        '<h2 class="vls-h2">Benchmarks with leakage, as the paper prints them</h2>'
        f"{_facts(table.source, table.judge)}"
        '<p class="vls-provisional"><strong>Not VLSBench.</strong> Other questions, another judge: these numbers are '
        "never ranked or averaged with those above or below. What can be read is whether the squares reach the "
        f'diamonds.</p><details><summary>In words</summary><ul class="vls-words">{said}</ul></details>'
    )
    return {
        "leaky_heading": gr.update(value=heading, visible=True),
        "leaky": gr.update(value=plot(alignment_charts.benchmarks_chart(groups, benchmarks)), visible=True),
        "leaky_table": gr.update(value=_leaky_table(table), visible=True),
    }


def _leaky_table(table: AlignmentTable) -> str:
    safety, abilities = table.names("safety"), table.names("ability")
    headers = ["Model", "Alignment", *(f"{escape(name)} %" for name in safety), *map(escape, abilities)]
    rows = [
        [
            escape(row.model),
            kind_of(row.alignment).name,
            *(percent(row.safety[name], digits=2) for name in safety),
            *(f"{row.abilities[name]:g}" for name in abilities),
        ]
        for row in table.rows
    ]
    what = "".join(f"<li><strong>{escape(item.name)}</strong>: {escape(item.what)}.</li>" for item in table.benchmarks)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f"{pieces.table('All numbers of the table as printed', headers, rows)}<details><summary>What each number is"
        f'</summary><ul class="vls-words">{what}</ul></details><details><summary>Known misprints, kept as printed'
        f'</summary><ul class="vls-words">{notes}</ul></details>'
    )


def _submitted(item: BoardList | None) -> dict[str, Any]:
    hidden = gr.update(value=None, visible=False)
    if item is None:
        return {"submitted_heading": hidden, "submitted": hidden}
    groups = _groups_of_board(item.rows)
    about = texts.list_heading(item, "safe rate by alignment")
    if not groups:
        absent = (
            '<p class="vls-empty">No model of this list states a base model and its alignment yet. A submission whose '
            "<code>submission.json</code> has <code>base_model</code> and <code>alignment</code> (textual or "
            "multimodal) is shown here, beside its base model.</p>"
        )
        return {"submitted_heading": gr.update(value=about + absent, visible=True), "submitted": hidden}
    said = "".join(
        f"<li>{escape(row.model)} ({kind_of(row.alignment).name}, on {escape(group.base_model)}): "
        f"{rate_words(row.rates)}</li>"
        for group in groups
        for row in group.rows
    )
    caption = (
        '<p class="vls-caption">Points are safe rates, lines their 95% intervals. Intervals that overlap do not say '
        "that two models are the same; the Compare page tests it.</p>"
    )
    heading = f'{about}{caption}<details><summary>In words</summary><ul class="vls-words">{said}</ul></details>'
    return {
        "submitted_heading": gr.update(value=heading, visible=True),
        "submitted": gr.update(value=plot(alignment_charts.submitted_chart(groups)), visible=True),
    }


def _miniature(summary: MiniatureSummary | None) -> dict[str, Any]:
    if summary is None or not summary.cells:
        absent = '<p class="vls-empty">This package carries no table of the miniature.</p>'
        return {
            "miniature_heading": gr.update(value=absent, visible=True),
            "miniature": gr.update(value=None, visible=False),
            "miniature_dial": gr.update(value=None, visible=False),
            "miniature_table": gr.update(value="", visible=False),
        }
    on_dial = [cell for cell in summary.cells if cell.arm in {c.arm for c in summary.cells if c.dial > 0}]
    has_dial = any(cell.dial > 0 for cell in on_dial)
    return {
        "miniature_heading": gr.update(value=_miniature_words(summary), visible=True),
        "miniature": gr.update(value=plot(alignment_charts.miniature_chart(_without_cue(summary))), visible=True),
        "miniature_dial": gr.update(
            value=plot(alignment_charts.dial_chart(on_dial)) if has_dial else None, visible=has_dial
        ),
        "miniature_table": gr.update(value=_miniature_table(summary), visible=True),
    }


def _without_cue(summary: MiniatureSummary) -> list[SummaryCell]:
    return [cell for cell in summary.cells if cell.dial == 0]


def _miniature_words(summary: MiniatureSummary) -> str:
    n_seeds = len({seed for cell in summary.cells for seed in cell.seeds})
    said = "".join(
        f"<li>{escape(cell.arm)}: leaky {_rate(cell.values['safe_leaky'])}, leakless "
        f"{_rate(cell.values['safe_leakless'])}, J on leakless twins {cell.values['j_leakless'].value:+.2f}</li>"
        for cell in _without_cue(summary)
    )
    return (
        '<h2 class="vls-h2">The comparison in miniature</h2>'
        f'<dl class="vls-facts"><div><dt>Model</dt><dd>a LLaVA of some 180,000 weights, trained from scratch</dd></div>'
        f"<div><dt>World</dt><dd>drawn scenes, risky by a written rule</dd></div>"
        f"<div><dt>Rubric</dt><dd>{escape(summary.rubric)}</dd></div>"
        f"<div><dt>Made</dt><dd>{summary.n_cells} of {summary.n_planned} models, {n_seeds} "
        f"{'seed' if n_seeds == 1 else 'seeds'}</dd></div></dl>"
        '<p class="vls-provisional"><strong>No benchmark.</strong> A tiny model in a drawn world: its rates stand '
        "beside no others. What can be read is which arm does what: whether its safety is there without the image, and "
        "whether a cue planted in the training texts takes the image's place.</p>"
        f'<details><summary>In words</summary><ul class="vls-words">{said}</ul></details>'
    )


def _rate(value: Value) -> str:
    return f"{percentage(value.value)} ({percent(value.low)} to {percent(value.high)})"


def _miniature_table(summary: MiniatureSummary) -> str:
    measures = {
        "safe_leaky": "Safe, leaky",
        "safe_leakless": "Safe, leakless",
        "over_refusal": "Over-refusal",
        "j_leakless": "J, leakless",
        "reliance": "Visual reliance",
        "ability": "Ability",
    }
    headers = ["Cue", "Arm", "Seeds", *measures.values()]
    rows = [
        [
            f"{cell.dial:g}",
            escape(cell.arm),
            str(len(cell.seeds)),
            *(f"{v.value:.2f} ({v.low:.2f} to {v.high:.2f})" for v in (cell.values[name] for name in measures)),
        ]
        for cell in summary.cells
    ]
    sides = "".join(
        f"<li>{escape(item.says)}: {'not run' if item.value is None else f'{item.value:+.2f}'}, {escape(item.lies)}"
        f"{'' if item.lies == 'not run' else f' the margin of {item.margin:g}'}; the paper's claim wants it "
        f"{escape(item.claim)}.</li>"
        for item in summary.comparisons
    )
    return (
        f"{pieces.table('All cells of the miniature', headers, rows)}<details><summary>Comparisons stated before the "
        f'first run</summary><ul class="vls-words">{sides}</ul></details>'
    )


def _groups_of_paper(rows: Sequence[PaperRow]) -> list[Group[PaperRow]]:
    """Group the rows that name a base model with that model as it is."""
    bases = dict.fromkeys(row.base_model for row in rows if row.base_model is not None)
    return [
        Group(base, _ordered([row for row in rows if row.base_model == base or (_is_base(row) and row.model == base)]))
        for base in bases
    ]


def _groups_of_board(rows: Sequence[BoardRow]) -> list[Group[BoardRow]]:
    """Group the rows that state base model and alignment with that model as it is, where it was submitted."""
    rated = [row for row in rows if row.rates.safe_rate is not None and row.origin != "baseline"]
    bases: dict[str, str] = {}
    for row in rated:
        if row.base_model is not None and not _is_base(row):
            bases.setdefault(row.base_model.casefold(), row.base_model)
    return [Group(base, _ordered([row for row in rated if key in _bases_of(row)])) for key, base in bases.items()]


def _bases_of(row: BoardRow) -> set[str]:
    """Name the base models a row belongs to; one that is not aligned may be the base model itself."""
    names = {row.base_model, row.model} if _is_base(row) else {row.base_model}
    return {name.casefold() for name in names if name is not None}


def _is_base(row: PaperRow | BoardRow) -> bool:
    return row.alignment in (None, "none")


def _ordered(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: _ORDER.index(row.alignment or "none"))


class _Range(NamedTuple):
    """The least and the greatest number of the rows of one kind."""

    kind: str
    low: float
    high: float
    n: int


def _ranges(rates: Sequence[tuple[str, float]]) -> list[_Range]:
    found = []
    for kind in KINDS:
        mine = [rate for name, rate in rates if name == kind]
        if mine:
            found.append(_Range(KINDS[kind].name, min(mine), max(mine), len(mine)))
    return found


def _rates_of_paper(group: Group[PaperRow]) -> list[tuple[str, float]]:
    return [(row.alignment or "none", row.safe_rate) for row in group.rows]


def _range_words(base: str, rates: Sequence[tuple[str, float]]) -> str:
    return f"{escape(base)}: {_said(_ranges(rates))}."


def _benchmark_words(group: Group[PrintedRow], benchmarks: Sequence[str]) -> str:
    parts = []
    for name in benchmarks:
        ranges = _ranges([(row.alignment, row.safety[name]) for row in group.rows])
        parts.append(f"<strong>{escape(name)}</strong> {_said(ranges)}")
    return "; ".join(parts)


def _said(ranges: Sequence[_Range]) -> str:
    return ", ".join(
        f"{item.kind} {percentage(item.low, digits=2)}"
        if item.n == 1
        else f"{item.kind} {percent(item.low, digits=2)} to {percentage(item.high, digits=2)} ({item.n} rows)"
        for item in ranges
    )


def _facts(source: str, judge: str) -> str:
    return (
        f'<dl class="vls-facts"><div><dt>Source</dt><dd>{escape(source)}</dd></div>'
        f"<div><dt>Judge</dt><dd>{escape(judge)}</dd></div></dl>"
    )
