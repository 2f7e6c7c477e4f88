"""Draw what alignment does: a group per base model, textual and multimodal told apart by sign and colour.

Rule of the room: as in `charts`; printed numbers are drawn as printed, and never in one figure with judged ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import plotly.graph_objects as go

from vlsbench.board.lists import BoardRow
from vlsbench.board.paper import PrintedRow
from vlsbench.records import PaperRow
from vlsbench.text import percent

from .charts import (
    BAR_HEIGHT,
    BARE,
    PERCENT_AXIS,
    bars,
    hovering,
    plain_text,
    printed_words,
    rate_words,
    rows_axis,
    shorten,
    whiskers,
)

__all__ = ["KINDS", "Group", "Kind", "Row", "benchmarks_chart", "kind_of", "printed_chart", "submitted_chart"]


class Kind(NamedTuple):
    """How rows of one kind of alignment are drawn."""

    name: str
    colour: str
    symbol: str
    sign: str
    """The symbol as text, for names and the legend."""
    size: int
    """Pixels; what is drawn later is smaller, so that one does not hide the other."""


KINDS = {
    "none": Kind("as it is", "#6b7280", "circle", "●", 11),
    "textual": Kind("textual alignment", "#D55E00", "square", "■", 13),
    "multimodal": Kind("multimodal alignment", "#0072B2", "diamond", "◆", 11),
}
"""By `alignment` of a row; colours of Okabe and Ito, and the signs differ too."""

_ROW_HEIGHT = 36

_NOTE: dict[str, Any] = {"xanchor": "left", "showarrow": False}


Row = TypeVar("Row", PaperRow, PrintedRow, BoardRow)


class Group(NamedTuple, Generic[Row]):
    """Rows of one base model: as it is, then textual, then multimodal."""

    base_model: str
    rows: Sequence[Row]


class _Axis:
    """Places of the rows of a figure, top down, with their names over them."""

    def __init__(self, figure: go.Figure) -> None:
        self._figure = figure
        self._last = -1.0
        self._rows: list[float] = []
        self._notes: list[dict[str, Any]] = []  # set at once: adding them one by one takes ten times as long

    def head(self, text: str) -> None:
        """Write a heading in a row of its own."""
        self._last += 1.15
        self._write(f"<b>{plain_text(shorten(text))}</b>", self._last + 0.15)

    def row(self, label: str, value: str = "") -> float:
        """Write the name of a row and what stands at its right; return its place."""
        self._last += 1
        self._rows.append(self._last)
        self._write(label, self._last - BAR_HEIGHT / 2)
        if value:
            place = {"x": 1, "xref": "paper", "xshift": 6, "y": self._last, "yanchor": "middle"}
            self._notes.append({**_NOTE, "text": value, **place})
        return self._last

    def _write(self, text: str, y: float) -> None:
        place = {"x": 0, "xshift": -4, "y": y, "yanchor": "bottom", "yshift": -1}
        self._notes.append({**_NOTE, "text": text, **place})

    def lay_out(self, *, right: int) -> None:
        """Set the axes and the height of the figure."""
        self._figure.update_layout(
            **BARE,
            annotations=self._notes,
            barmode="stack",
            showlegend=False,
            height=round(_ROW_HEIGHT * (self._last + 1.3)) + 60,
            margin={"l": 14, "r": right, "t": 16, "b": 28, "pad": 0},
            xaxis=PERCENT_AXIS,
            yaxis=rows_axis(self._rows, top=-0.6, bottom=self._last + 0.5),
        )


def kind_of(alignment: str | None) -> Kind:
    """Return how a row is drawn; one that states no alignment is a base model as it is."""
    return KINDS[alignment or "none"]


def printed_chart(groups: Sequence[Group[PaperRow]]) -> go.Figure:
    """Draw the paper's rows of VLSBench: refusal and warning as bars, the safe rate as printed at the right."""
    figure = go.Figure()
    axis = _Axis(figure)
    rows: list[PaperRow] = []
    places: list[float] = []
    for group in groups:
        axis.head(group.base_model)
        for row in group.rows:
            places.append(axis.row(_label(row.alignment, row.method), percent(row.safe_rate, digits=2)))
            rows.append(row)
    hover = [f"<b>{plain_text(row.model)}</b><br>{kind_of(row.alignment).name}<br>{printed_words(row)}" for row in rows]
    figure.add_trace(bars("refusal", [100 * row.refusal_rate for row in rows], places, hover))
    figure.add_trace(bars("warning", [100 * row.warning_rate for row in rows], places, hover))
    for alignment, kind in KINDS.items():
        mine = [place for place, row in enumerate(rows) if (row.alignment or "none") == alignment]
        figure.add_trace(
            _signs(
                kind,
                x=[100 * rows[place].safe_rate for place in mine],
                y=[places[place] for place in mine],
                hover=[hover[place] for place in mine],
            )
        )
    axis.lay_out(right=54)
    return figure


def benchmarks_chart(groups: Sequence[Group[PrintedRow]], benchmarks: Sequence[str]) -> go.Figure:
    """Draw the safety that the paper prints on other benchmarks, a line per benchmark, a sign per row."""
    figure = go.Figure()
    axis = _Axis(figure)
    drawn: list[tuple[PrintedRow, str, float]] = []
    for group in groups:
        axis.head(group.base_model)
        for benchmark in benchmarks:
            place = axis.row(plain_text(benchmark))
            drawn += [(row, benchmark, place) for row in group.rows]
    for alignment, kind in KINDS.items():
        mine = [(row, benchmark, place) for row, benchmark, place in drawn if row.alignment == alignment]
        figure.add_trace(
            _signs(
                kind,
                x=[100 * row.safety[benchmark] for row, benchmark, _ in mine],
                y=[place for _, _, place in mine],
                hover=[
                    f"<b>{plain_text(row.model)}</b><br>{kind.name}<br>{plain_text(benchmark)}: safe "
                    f"{percent(row.safety[benchmark], digits=2)} %, as printed in the paper"
                    for row, benchmark, _ in mine
                ],
            )
        )
    axis.lay_out(right=24)
    return figure


def submitted_chart(groups: Sequence[Group[BoardRow]]) -> go.Figure:
    """Draw judged rows: the safe rate with its interval. Every row has a rate."""
    figure = go.Figure()
    axis = _Axis(figure)
    drawn: list[tuple[BoardRow, float]] = []
    for group in groups:
        axis.head(group.base_model)
        for row in group.rows:
            kind = kind_of(row.alignment)
            label = f"{_coloured(kind)} {plain_text(shorten(row.model))}"
            drawn.append((row, axis.row(label, percent(row.rates.safe_rate))))
    for kind in KINDS.values():
        mine = [(row, place) for row, place in drawn if kind_of(row.alignment) is kind]
        rates = [100 * (row.rates.safe_rate or 0.0) for row, _ in mine]
        ends = [row.rates.safe_rate_ci or (0.0, 0.0) for row, _ in mine]
        trace = _signs(
            kind,
            x=rates,
            y=[place for _, place in mine],
            hover=[f"<b>{plain_text(row.model)}</b><br>{kind.name}<br>{rate_words(row.rates)}" for row, _ in mine],
        )
        right = [100 * high - rate for (_, high), rate in zip(ends, rates, strict=True)]
        left = [rate - 100 * low for (low, _), rate in zip(ends, rates, strict=True)]
        trace.error_x = whiskers(right, left, kind.colour)
        figure.add_trace(trace)
    axis.lay_out(right=54)
    return figure


def _label(alignment: str | None, method: str | None) -> str:
    kind = kind_of(alignment)
    return f"{_coloured(kind)} {plain_text(shorten(method or kind.name))}"


def _coloured(kind: Kind) -> str:
    return f'<span style="color:{kind.colour}">{kind.sign}</span>'


def _signs(kind: Kind, *, x: Sequence[float], y: Sequence[float], hover: Sequence[str]) -> go.Scatter:
    return go.Scatter(
        name=kind.name,
        mode="markers",
        x=list(x),
        y=list(y),
        marker={
            "symbol": kind.symbol,
            "size": kind.size,
            "color": kind.colour,
            "line": {"width": 1.5, "color": "#ffffff"},
        },
        cliponaxis=False,
        **hovering(hover),
    )
