"""The Shortcuts page: is a model safe because it looks? What a safe rate alone cannot show.

Rule of the room: rows of one list; every number was counted by the package. What the paper prints stands in figures of
its own. A row is drawn where what it needs was run, and the page says how many rows are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.board.lists import BoardList, BoardRow
from vlsbench.board.paper import InputRow, InputsTable, PaperTable
from vlsbench.errors import amount, plural
from vlsbench.records import Measure, Rates
from vlsbench.text import percent, percent_interval, percentage

from . import pieces, shortcuts_charts, texts
from .charts import rate_words
from .choosers import list_choice, list_options, make_choosers, scope_of
from .live import LiveBoard
from .page import Choice, Page, make_link_button
from .plots import make_plot, plot
from .shortcuts_charts import Point
from .tables import parameters_text

__all__ = ["OUTPUTS", "Chosen", "make", "updates"]

_N_DRAWN = 30
"""Rows in a figure, baselines beside them: of more, signs cover each other."""

_PLUS = (
    '<p class="vls-plus">Grey squares: constant policies. A plus: more rows at the same place. A sign without a number '
    "had no room for it; its box names it.</p>"
)

_N_ALWAYS = 4
"""Columns of the key that every row has."""

_QUESTION = """
<h2 class="vls-h2">Safe because it looks?</h2>
<p class="vls-intro">Every sample of VLSBench is risky, so a model that declines everything is 100% safe, and so is one
that never sees an image but fears the text. Three views tell them apart: how a row is safe (refusal or warning), what
is left of it without the image, and what it does with the same text and a harmless image.</p>"""

_PARTS = """
<h2 class="vls-h2">Refusal against warning</h2>
<p class="vls-intro">Along a dotted line rows are equally safe, in different ways: a refusal needs no look at the image,
a useful warning names what is in it.</p>"""

_WITH = """
<h2 class="vls-h2">With the image against without it</h2>
<p class="vls-intro">The same samples with their image and as text alone. On the line nothing hangs on the image; below
it a row is <em>safer when it cannot see</em>.</p>"""

_SOURCES = """
<h2 class="vls-h2">Where safety comes from</h2>
<p class="vls-intro">What a row declines with the risky image is made of three parts: what it declines for the text
alone, what <em>any</em> image adds (the benign twin), and what the <em>risk</em> in the image adds. Only the last part
is what the benchmark is about; it is Youden's J of these pairs. In points of 100, with 95% intervals.</p>"""

_PAPER = """
<h2 class="vls-h2">The same, as the paper prints it</h2>
<p class="vls-intro">No interval, another judge: never to be compared with the rows above.</p>"""


_SIZE = """
<h2 class="vls-h2">By size</h2>
<p class="vls-intro">The safe rate against the number of parameters, as the cards say it. A trend among the models that
happen to be here is none of models.</p>"""

_DATE = """
<h2 class="vls-h2">By date</h2>
<p class="vls-intro">The safe rate against the day of release, as the cards say it. Newer models were trained when this
benchmark was public.</p>"""


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    chooser: gr.Dropdown
    category: gr.Dropdown
    heading: gr.HTML
    parts: gr.Plot
    with_heading: gr.HTML
    with_without: gr.Plot
    size_heading: gr.HTML
    by_size: gr.Plot
    date_heading: gr.HTML
    by_date: gr.Plot
    key: gr.HTML
    sources: gr.HTML
    paper_heading: gr.HTML
    paper_parts: gr.Plot
    paper_parts_key: gr.HTML
    paper_with: gr.Plot
    paper_with_key: gr.HTML


OUTPUTS = _Parts._fields


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    list_key: str | None = None
    category: str | None = None


def make(live: LiveBoard) -> Page:
    """Place the page; it is filled when it is opened."""
    gr.HTML(_QUESTION, elem_classes="vls-block")
    with gr.Row(elem_classes="vls-choosers"):
        chooser, category = make_choosers(("chooser", "category"))
    heading = gr.HTML(elem_classes="vls-block")
    with gr.Row(elem_classes="vls-pair", equal_height=True):
        with gr.Column(min_width=330):
            gr.HTML(_PARTS, elem_classes="vls-block")
            parts = make_plot()
        with gr.Column(min_width=330):
            with_heading = gr.HTML(elem_classes="vls-block")
            with_without = make_plot()
    with gr.Row(elem_classes="vls-pair", equal_height=True):
        with gr.Column(min_width=330):
            size_heading = gr.HTML(elem_classes="vls-block")
            by_size = make_plot()
        with gr.Column(min_width=330):
            date_heading = gr.HTML(elem_classes="vls-block")
            by_date = make_plot()
    key = gr.HTML(elem_classes="vls-block")
    sources = gr.HTML(elem_classes="vls-block")
    paper_heading = gr.HTML(elem_classes="vls-block")
    with gr.Row():
        with gr.Column(min_width=330):
            paper_parts = make_plot()
            paper_parts_key = gr.HTML(elem_classes="vls-block")
        with gr.Column(min_width=330):
            paper_with = make_plot()
            paper_with_key = gr.HTML(elem_classes="vls-block")
    make_link_button()
    made = _Parts(
        chooser,
        category,
        heading,
        parts,
        with_heading,
        with_without,
        size_heading,
        by_size,
        date_heading,
        by_date,
        key,
        sources,
        paper_heading,
        paper_parts,
        paper_parts_key,
        paper_with,
        paper_with_key,
    )
    choices = (list_choice(chooser), Choice("category", category, what="the category"))
    return Page("Shortcuts", choices, tuple(made), lambda *values: updates(live, Chosen(*values)))


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    scope = scope_of(live, choice.category, None)
    item, chooser = list_options(live.lists(scope.name), choice.list_key)
    shown = {"chooser": chooser, "category": scope.category}
    shown |= _judged(item, live.lists(scope.name, "text-only"))
    if item is None:
        shown["heading"] = gr.update(value=texts.empty(live.board, scope.name), visible=True)
    shown |= _printed(next((table for table in live.board.paper if table.rows), None), live.inputs_table())
    return [shown[name] for name in _Parts._fields]


def _judged(item: BoardList | None, text_only: Sequence[BoardList]) -> dict[str, Any]:
    rows = [] if item is None else _drawn(item.rows)
    without = {} if item is None else _rates_without(item, text_only)
    numbers = {row.submission: str(place) for place, row in enumerate(rows, 1)}
    both = [row for row in rows if row.submission in without]
    parts = [_parts_point(row, numbers[row.submission]) for row in rows]
    pairs = [_pair_point(row, numbers[row.submission], without[row.submission]) for row in both]
    return {
        "heading": _html("" if item is None else _facts(item, len(rows))),
        "parts": _figure(shortcuts_charts.parts_chart(parts) if parts else None),
        "with_heading": _html(_WITH + ("" if pairs else _not_run("text-only", "--condition text-only"))),
        "with_without": _figure(shortcuts_charts.with_without_chart(pairs) if pairs else None),
        **_spread("size", _SIZE, rows, numbers, _size_of, shortcuts_charts.by_size_chart),
        **_spread("date", _DATE, rows, numbers, _day_of, shortcuts_charts.by_date_chart),
        "key": _html(_key(rows, without)),
        "sources": _html("" if item is None else _sources(item, rows, numbers)),
    }


def _drawn(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """Return the rows with rates, best first, and every baseline behind them."""
    judged = [row for row in rows if row.rates.safe_rate is not None]
    models = [row for row in judged if row.origin != "baseline"]
    return models[:_N_DRAWN] + [row for row in judged if row.origin == "baseline"]


def _rates_without(item: BoardList, lists: Sequence[BoardList]) -> dict[str, Rates]:
    """Find the same submissions, under the same judge, on the same samples, without the image."""
    return {
        row.submission: row.rates
        for other in lists
        if (other.rubric, other.digest) == (item.rubric, item.digest)
        for row in other.rows
        if row.rates.safe_rate is not None
    }


def _points(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if ends is None else (100 * ends[0], 100 * ends[1])


def _parts_point(row: BoardRow, number: str) -> Point:
    rates = row.rates
    words = "<br>".join(
        [
            rate_words(rates),
            *(
                f"{name} {percentage(rate)} ({percent_interval(ends)})"
                for name, rate, ends in (
                    ("refusal", rates.refusal_rate, rates.refusal_rate_ci),
                    ("warning", rates.warning_rate, rates.warning_rate_ci),
                )
            ),
        ]
    )
    return Point(
        number,
        row.model,
        100 * (rates.refusal_rate or 0),
        100 * (rates.warning_rate or 0),
        _points(rates.refusal_rate_ci),
        _points(rates.warning_rate_ci),
        words,
        row.origin == "baseline",
    )


def _pair_point(row: BoardRow, number: str, without: Rates) -> Point:
    words = [f"with the image: {rate_words(row.rates)}", f"without: {rate_words(without)}"]
    if (reliance := row.visual_reliance) is not None:
        words.append(f"visual reliance {100 * reliance.value:+.1f} points ({percent_interval(reliance.ci)})")
    return Point(
        number,
        row.model,
        100 * (without.safe_rate or 0),
        100 * (row.rates.safe_rate or 0),
        _points(without.safe_rate_ci),
        _points(row.rates.safe_rate_ci),
        "<br>".join(words),
        row.origin == "baseline",
    )


def _size_of(row: BoardRow) -> float | None:
    return row.parameters


def _day_of(row: BoardRow) -> float | None:
    """Return the ordinal of the day of release; of a month its middle."""
    if row.date is None:
        return None
    day = row.date if len(row.date) > len("2026-01") else f"{row.date}-15"
    return date.fromisoformat(day).toordinal()


def _spread(
    name: str,
    heading: str,
    rows: Sequence[BoardRow],
    numbers: dict[str, str],
    place_of: Callable[[BoardRow], float | None],
    draw: Callable[[Sequence[Point]], Any],
) -> dict[str, Any]:
    """Draw the safe rate of the rows that say where they stand along an axis, and say how many do not."""
    points = [
        _spread_point(row, numbers[row.submission], place) for row in rows if (place := place_of(row)) is not None
    ]
    models = sum(row.origin != "baseline" for row in rows)
    n_silent = models - len(points)
    said = (
        ""
        if not n_silent
        else pieces.small(f"Of {amount(models, 'model')} {n_silent} {plural(n_silent, 'has', 'have')} none.")
    )
    if not points:
        said = f'<p class="vls-empty">No card of this list says it: <code>{_FIELDS[name]}</code> in its card does.</p>'
    return {
        f"{name}_heading": _html(heading + said if rows else ""),
        f"by_{name}": _figure(draw(points) if points else None),
    }


_FIELDS = {"size": '"parameters": "7B"', "date": '"date": "2026-01-31"'}


def _spread_point(row: BoardRow, number: str, place: float) -> Point:
    about = [rate_words(row.rates)]
    about += [] if row.parameters is None else [f"{parameters_text(row.parameters)} parameters"]
    about += [] if row.date is None else [f"released {row.date}"]
    safe = 100 * (row.rates.safe_rate or 0)
    ends = _points(row.rates.safe_rate_ci)
    return Point(number, row.model, place, safe, None, ends, "<br>".join(about), row.origin == "baseline")


def _facts(item: BoardList, n_drawn: int) -> str:
    n_rows = len(item.rows)
    drawn = f"{n_drawn} drawn of {n_rows:,}" if n_drawn < n_rows else f"{n_rows:,}"
    return (
        f'<dl class="vls-facts"><div><dt>Judge</dt><dd>{pieces.shown(item.judge)}</dd></div>'
        f"<div><dt>Samples</dt><dd>{item.n_samples:,}</dd></div><div><dt>Rows</dt><dd>{drawn}</dd></div></dl>"
    )


def _key(rows: Sequence[BoardRow], without: dict[str, Rates]) -> str:
    """Name the numbers of the figures, with the figures in words beside them."""
    if not rows:
        return ""
    body = [
        [
            f"{number} · {pieces.shown(row.model)}",
            percent(row.rates.refusal_rate),
            percent(row.rates.warning_rate),
            percent(row.rates.safe_rate),
            percent(without[row.submission].safe_rate) if row.submission in without else "–",
            _estimate(row.visual_reliance.value, row.visual_reliance.ci) if row.visual_reliance else "–",
            f"{percent(row.over_refusal.value)} ({percent_interval(row.over_refusal.ci)})" if row.over_refusal else "–",
            _estimate(row.youden_j.value, row.youden_j.ci) if row.youden_j else "–",
        ]
        for number, row in enumerate(rows, 1)
    ]
    headers = [
        "",
        "Refusal %",
        "Warning %",
        "Safe %",
        "Without image %",
        "Visual reliance",
        "Over-refusal %",
        "Youden's J",
    ]
    # What nobody was asked takes no place.
    kept = [place for place in range(len(headers)) if place < _N_ALWAYS or any(row[place] != "–" for row in body)]
    table = pieces.table(
        "The rows of the figures", [headers[place] for place in kept], [[row[place] for place in kept] for row in body]
    )
    return f'<h3 class="vls-h2">The numbers</h3>{_PLUS}<div class="vls-key">{table}</div>'


def _estimate(value: float, ends: tuple[float, float]) -> str:
    return f"{100 * value:+.1f} ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})"


def _sources(item: BoardList, rows: Sequence[BoardRow], numbers: dict[str, str]) -> str:
    known = [(row, row.safety_sources) for row in rows if row.safety_sources is not None]
    if not known and item.dataset == "release":
        return (
            f'{_SOURCES}<p class="vls-empty">The release has no benign twins, so this cannot be divided there; the '
            "package's own sample has them.</p>"
        )
    if not known:
        return _SOURCES + _not_run("text-only and the benign twins", "--twins --condition text-only")
    body = [
        [
            f"{numbers[row.submission]} · {pieces.shown(row.model)}",
            _measure(found.without_image, ""),
            _measure(found.any_image, "+"),
            _measure(found.its_risk, "+"),
            _measure(found.with_risk, ""),
            f"{found.with_risk.n:,}",
        ]
        for row, found in known
    ]
    headers = ["", "The text alone", "+ any image", "+ its risk", "= with the risky image", "Pairs"]
    table = pieces.table("Where safety comes from", headers, body)
    return f'{_SOURCES}<div class="vls-key">{table}</div>'


def _measure(found: Measure, sign: str) -> str:
    value, low, high = (f"{100 * number:{sign}.1f}" for number in (found.value, found.low, found.high))
    return f"<strong>{value}</strong> ({low} to {high})"


def _not_run(what: str, how: str) -> str:
    return (
        f'<p class="vls-empty">No row of this list was run with {what}: <code>vlsbench generate … {how}</code> '
        "asks for it.</p>"
    )


def _printed(table: PaperTable | None, inputs: InputsTable | None) -> dict[str, Any]:
    rows = [] if table is None else sorted(table.rows, key=lambda row: -row.safe_rate)
    parts = [
        Point(
            str(number),
            row.model,
            100 * row.refusal_rate,
            100 * row.warning_rate,
            None,
            None,
            f"refusal {percentage(row.refusal_rate, digits=2)}<br>warning {percentage(row.warning_rate, digits=2)}",
        )
        for number, row in enumerate(rows, 1)
    ]
    pairs = _printed_pairs(inputs)
    source = "" if table is None else _source(table.source, table.judge)
    key = "".join(f"<li>{pieces.shown(row.model)}: {percentage(row.safe_rate, digits=2)}</li>" for row in rows)
    return {
        "paper_heading": _html(_PAPER if parts or pairs else ""),
        "paper_parts": _figure(shortcuts_charts.parts_chart(parts) if parts else None),
        "paper_parts_key": _html(f"{source}{_folded(key)}" if parts else ""),
        "paper_with": _figure(shortcuts_charts.with_without_chart(pairs) if pairs else None),
        "paper_with_key": _html("" if inputs is None else _inputs_words(inputs)),
    }


def _folded(items: str) -> str:
    return (
        f'<details><summary>Which number is which model</summary><ol class="vls-words vls-which">{items}</ol></details>'
    )


def _by_model(inputs: InputsTable) -> dict[str, dict[str, InputRow]]:
    found: dict[str, dict[str, InputRow]] = {}
    for row in inputs.rows:
        found.setdefault(row.model, {})[row.condition] = row
    return found


def _printed_pairs(inputs: InputsTable | None) -> list[Point]:
    if inputs is None:
        return []
    points = []
    for number, (model, rows) in enumerate(_by_model(inputs).items(), 1):
        if "image+text" in rows and "text-only" in rows:
            x, y = 100 * rows["text-only"].safe_rate, 100 * rows["image+text"].safe_rate
            words = f"with the image {y:.1f}%<br>without {x:.1f}%, as printed"
            points.append(Point(str(number), model, x, y, None, None, words))
    return points


def _inputs_words(inputs: InputsTable) -> str:
    body = [
        [
            f"{number} · {pieces.shown(model)}",
            *(_printed_rate(rows.get(name)) for name in ("image+text", "text-only", "caption")),
        ]
        for number, (model, rows) in enumerate(_by_model(inputs).items(), 1)
    ]
    headers = ["", "With the image %", "Without %", "With a caption %"]
    wrong = "".join(f"<li>{pieces.shown(sentence)}</li>" for sentence in inputs.misprints)
    n_wrong = len(inputs.misprints)
    note = (
        f'<p class="vls-intro">{amount(n_wrong, "total")} {plural(n_wrong, "is", "are")} not the sum of '
        f'{plural(n_wrong, "its", "their")} parts:</p><ul class="vls-words">{wrong}</ul>'
        if n_wrong
        else ""
    )
    return (
        _source(f"{inputs.source}, {inputs.n_samples} samples", inputs.judge)
        + pieces.table("Safe rates as the paper prints them", headers, body)
        + note
    )


def _printed_rate(row: InputRow | None) -> str:
    return "–" if row is None else percent(row.safe_rate)


def _source(source: str, judge: str) -> str:
    return (
        f'<dl class="vls-facts"><div><dt>Source</dt><dd>{escape(source)}</dd></div>'
        f"<div><dt>Judge</dt><dd>{escape(judge)}</dd></div></dl>"
    )


def _html(text: str) -> dict[str, Any]:
    return dict(gr.update(value=text, visible=bool(text)))


def _figure(figure: Any) -> dict[str, Any]:
    return dict(gr.update(value=None if figure is None else plot(figure), visible=figure is not None))
