"""Draw what alignment does: a group per base model, textual and multimodal told apart by sign and colour.

Rule of the room: as in `charts`; printed numbers are drawn as printed, and never in one figure with judged ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import plotly.graph_objects as go

from vlsbench.align.miniature.records import SummaryCell
from vlsbench.board.lists import BoardRow
from vlsbench.board.paper import PrintedRow
from vlsbench.records import PaperRow
from vlsbench.text import percent, percentage

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

__all__ = [
    "KINDS",
    "Group",
    "Kind",
    "Row",
    "benchmarks_chart",
    "dial_chart",
    "kind_of",
    "miniature_chart",
    "printed_chart",
    "submitted_chart",
]


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
                    f"{percentage(row.safety[benchmark], digits=2)}, as printed in the paper"
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


def miniature_chart(cells: Sequence[SummaryCell]) -> go.Figure:
    """Draw the arms of the miniature: the safe rate on the leaky and on the leakless set, each with its interval."""
    figure = go.Figure()
    axis = _Axis(figure)
    drawn: list[tuple[SummaryCell, str, float]] = []
    for name, heading in (
        ("safe_leaky", "leaky: the text names the risk"),
        ("safe_leakless", "leakless: only the image"),
    ):
        axis.head(heading)
        for cell in cells:
            place = axis.row(
                f"{_coloured(_kind_of_arm(cell.arm))} {plain_text(cell.arm)}", percent(cell.values[name].value)
            )
            drawn.append((cell, name, place))
    for kind in KINDS.values():
        mine = [(cell, cell.values[name], place) for cell, name, place in drawn if _kind_of_arm(cell.arm) is kind]
        trace = _signs(
            kind,
            x=[100 * value.value for _, value, _ in mine],
            y=[place for _, _, place in mine],
            hover=[
                f"<b>{plain_text(cell.arm)}</b><br>safe {percentage(value.value)} ({percent(value.low)} to "
                f"{percent(value.high)}), {value.n_seeds} seeds"
                for cell, value, _ in mine
            ],
        )
        right = [100 * (value.high - value.value) for _, value, _ in mine]
        left = [100 * (value.value - value.low) for _, value, _ in mine]
        trace.error_x = whiskers(right, left, kind.colour)
        figure.add_trace(trace)
    axis.lay_out(right=54)
    return figure


_DASHES = ("solid", "dash", "dot", "dashdot")
"""By arm of the dial: two arms of one colour are told apart."""


def dial_chart(cells: Sequence[SummaryCell]) -> go.Figure:
    """Draw J on the leakless twins against the strength of the cue planted in the training texts, a line an arm."""
    figure = go.Figure()
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    for place, arm in enumerate(arms):
        mine = sorted((cell for cell in cells if cell.arm == arm), key=lambda cell: cell.dial)
        values = [cell.values["j_leakless"] for cell in mine]
        kind = _kind_of_arm(arm)
        figure.add_trace(
            go.Scatter(
                name=arm,
                mode="lines+markers",
                x=[cell.dial for cell in mine],
                y=[value.value for value in values],
                line={"color": kind.colour, "dash": _DASHES[place % len(_DASHES)], "width": 2},
                marker={"symbol": kind.symbol, "size": kind.size, "color": kind.colour},
                error_y={
                    "type": "data",
                    "array": [value.high - value.value for value in values],
                    "arrayminus": [value.value - value.low for value in values],
                    "color": kind.colour,
                    "thickness": 1,
                },
                **hovering(
                    [
                        f"<b>{plain_text(arm)}</b><br>cue {cell.dial:g}: J {value.value:+.2f} ({value.low:+.2f} to "
                        f"{value.high:+.2f})"
                        for cell, value in zip(mine, values, strict=True)
                    ]
                ),
            )
        )
    figure.update_layout(
        **BARE,
        height=380,
        margin={"l": 60, "r": 24, "t": 16, "b": 90, "pad": 0},
        legend={"orientation": "h", "y": -0.2, "x": 0},
        xaxis={
            "title": {"text": "strength of the cue planted in the training texts"},
            "range": [-0.03, 1.03],
            "fixedrange": True,
        },
        yaxis={"title": {"text": "J on leakless twins"}, "range": [-0.3, 1.05], "fixedrange": True},
    )
    return figure


def _kind_of_arm(arm: str) -> Kind:
    """Return how an arm of the miniature is drawn: what sees no image, or a grey one, is textual."""
    if arm == "base":
        return KINDS["none"]
    return KINDS["textual" if arm.startswith("t-") or arm == "mm-sft-blind" else "multimodal"]


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
