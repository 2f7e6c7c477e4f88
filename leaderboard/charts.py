"""Draw the board: one stacked bar per model, with the interval of its safe rate.

Rule of the room: figures are made from board rows as they are; every rate was counted by the package. Text from a
submission goes through `plain_text`, because plotly renders `<b>` and `<a>` inside its labels.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from vlsbench.board.lists import BINS, Bin, BoardList, BoardRow, bins_of
from vlsbench.board.paper import PaperTable
from vlsbench.errors import masked
from vlsbench.records import PaperRow, Rates
from vlsbench.taxonomy import LABEL_COLOURS
from vlsbench.text import percent, percent_interval

__all__ = [
    "BARE",
    "BAR_HEIGHT",
    "FONT_FAMILY",
    "PERCENT_AXIS",
    "bars",
    "hovering",
    "judged_chart",
    "paper_chart",
    "plain_text",
    "printed_words",
    "rate_words",
    "row_label",
    "rows_axis",
    "shares",
    "shorten",
    "whiskers",
]

FONT_FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
"""Fonts of the reader's own system: nothing is fetched."""

_ROW_COLOUR = "rgba(127,127,127,0.18)"
"""Of the line through a row of points, which leads the eye from the name to the point and on to the figure."""

BARE: dict[str, Any] = {
    "template": "none",
    "dragmode": False,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": FONT_FAMILY, "size": 13},
    "hoverlabel": {
        "align": "left",
        "font": {"family": FONT_FAMILY, "size": 13, "color": "#111111"},
        "bgcolor": "#fff",
    },
}
"""Of every chart: all but what is drawn is transparent, so that the page's light or dark theme shows."""

PERCENT_AXIS: dict[str, Any] = {
    "range": [0, 100],
    "tickvals": [0, 25, 50, 75, 100],
    "ticktext": ["0 %", "25 %", "50 %", "75 %", "100 %"],
    "tickangle": 0,
    "fixedrange": True,
    "gridcolor": "rgba(127,127,127,0.35)",
    "zeroline": False,
}

_LABEL_LENGTH = 38
"""Characters over a bar, a model's name and its rank: what a phone of 390 pixels shows in one line. The whole name is
in the hover text and in the table."""

_ROW_HEIGHT = 40
"""Pixels per row: a line of text over a bar. Names beside the bars would take more than half the width of a phone."""

BAR_HEIGHT = 0.4
"""Part of a row that is the bar; the rest holds the name and a gap."""

_MISSING = "–"


class _Bar(NamedTuple):
    """One row of a chart."""

    label: str
    """Text beside the bar, already safe for plotly."""
    hover: str
    """Text of the hover box, already safe for plotly."""
    parts: dict[Bin, float]
    """Percent per bin that is drawn."""
    safe: float | None
    """Percent."""
    interval: tuple[float, float] | None
    """Percent, low and high end of the safe rate's interval."""
    is_baseline: bool


def plain_text(text: str) -> str:
    """Make text from a submission safe for a plotly label: markup shows as it was written.

    >>> plain_text("<b>GPT</b>")
    '&lt;b&gt;GPT&lt;/b&gt;'
    """
    return html.escape(masked(text), quote=False)


def shorten(text: str, length: int = _LABEL_LENGTH) -> str:
    """Cut a name to `length` characters, in the middle: sizes and versions stand at its end.

    >>> shorten("a-very-long-model-name-7B", 12)
    'a-very…me-7B'
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


def row_label(row: BoardRow) -> str:
    """Name a row over its line: with its rank, a baseline in italics; safe for plotly."""
    rank = "" if row.rank is None else f"{row.rank} · "
    name = plain_text(shorten(row.model, _LABEL_LENGTH - len(rank)))
    return rank + (f"<i>{name}</i>" if row.origin == "baseline" else name)


def printed_words(row: PaperRow) -> str:
    """Say what the paper prints of a row, a line each."""
    rates = {"safe": row.safe_rate, "refusal": row.refusal_rate, "warning": row.warning_rate}
    lines = [f"{name} {percent(rate, digits=2)} %" for name, rate in rates.items()]
    return "<br>".join(["As printed in the paper:", *lines])


def rows_axis(places: Sequence[float], *, top: float, bottom: float) -> dict[str, Any]:
    """Lay rows of points out from the top down, with a line through each: the names stand over the lines."""
    return {
        "range": [bottom, top],
        "tickvals": list(places),
        "showticklabels": False,
        "fixedrange": True,
        "gridcolor": _ROW_COLOUR,
        "zeroline": False,
    }


def hovering(texts: Sequence[str]) -> dict[str, Any]:
    """Show a text of ours, and nothing of plotly's, where a pointer rests; the texts are safe for plotly."""
    return {"hovertext": list(texts), "hovertemplate": "%{hovertext}<extra></extra>"}


def whiskers(
    right: Sequence[float], left: Sequence[float], colour: str, *, thickness: float = 2, width: int = 5
) -> dict[str, Any]:
    """Draw intervals around points: how far each reaches to the right and to the left of its point."""
    return {
        "type": "data",
        "symmetric": False,
        "array": list(right),
        "arrayminus": list(left),
        "color": colour,
        "thickness": thickness,
        "width": width,
    }


def bars(name: Bin, x: Sequence[float], y: Sequence[float], hover: Sequence[str], **marker: Any) -> go.Bar:
    """Draw one bin of every row, beside the bins that are drawn already."""
    return go.Bar(
        name=name,
        orientation="h",
        y=list(y),
        x=list(x),
        width=BAR_HEIGHT,
        marker={"color": LABEL_COLOURS[name], "line": {"width": 0}, **marker},
        **hovering(hover),
    )


def rate_words(rates: Rates) -> str:
    """Say a safe rate with its interval."""
    return f"safe {percent(rates.safe_rate)} % (95%: {percent_interval(rates.safe_rate_ci)})"


def shares(rates: Rates) -> dict[Bin, float]:
    """Return the four bins in percent of N; they add up to 100."""
    return {name: 100 * count / rates.n_samples for name, count in bins_of(rates).items()}


def judged_chart(item: BoardList, rows: Sequence[BoardRow]) -> go.Figure:
    """Draw the rows of a list: best first as the board has them, the constant baselines below and hatched.

    Args:
        item: The list the rows are of.
        rows: Those to draw, at least one.
    """
    submitted = [_judged_bar(row, item) for row in rows if row.origin != "baseline"]
    baselines = [_judged_bar(row, item) for row in rows if row.origin == "baseline"]
    drawn = [*submitted, *baselines]
    gap = 0.5 if submitted and baselines else 0.0
    places = [float(i) for i in range(len(submitted))]
    places += [len(submitted) + gap + i for i in range(len(baselines))]
    figure = go.Figure()
    hatch = {
        "shape": ["/" if bar.is_baseline else "" for bar in drawn],
        "fgcolor": "rgba(255,255,255,0.65)",
        "fillmode": "overlay",
        "size": 7,
        "solidity": 0.3,
    }
    hover = [bar.hover for bar in drawn]
    for name in BINS:
        figure.add_trace(bars(name, [bar.parts[name] for bar in drawn], places, hover, pattern=hatch))
    for trace in _intervals(drawn, places):
        figure.add_trace(trace)
    _lay_out(figure, drawn, places)
    return figure


def paper_chart(table: PaperTable) -> go.Figure:
    """Draw the rows the paper prints, in its order of safe rate: two parts as printed, the safe rate as a diamond.

    The unsafe part is left blank, because the paper does not print it; so is the interval.
    """
    drawn = []
    for row in sorted(table.rows, key=lambda row: -row.safe_rate):
        text = f"<b>{plain_text(row.model)}</b><br>{printed_words(row)}"
        parts: dict[Bin, float] = {"refusal": 100 * row.refusal_rate, "warning": 100 * row.warning_rate}
        drawn.append(_Bar(plain_text(shorten(row.model)), text, parts, 100 * row.safe_rate, None, is_baseline=False))
    places = [float(i) for i in range(len(drawn))]
    hover = [bar.hover for bar in drawn]
    figure = go.Figure()
    printed: tuple[Bin, ...] = ("refusal", "warning")
    for part in printed:
        figure.add_trace(bars(part, [bar.parts[part] for bar in drawn], places, hover))
    figure.add_trace(
        go.Scatter(
            name="safe rate as printed",
            mode="markers",
            y=places,
            x=[bar.safe for bar in drawn],
            marker={"symbol": "diamond", "size": 9, "color": "#111111", "line": {"color": "#ffffff", "width": 1.5}},
            cliponaxis=False,
            **hovering(hover),
        )
    )
    _lay_out(figure, drawn, places, digits=2)
    return figure


def _judged_bar(row: BoardRow, item: BoardList) -> _Bar:
    rates = row.rates
    low_high = rates.safe_rate_ci
    return _Bar(
        label=row_label(row),
        hover=_hover(row, item),
        parts=shares(rates),
        safe=None if rates.safe_rate is None else 100 * rates.safe_rate,
        interval=None if low_high is None else (100 * low_high[0], 100 * low_high[1]),
        is_baseline=row.origin == "baseline",
    )


def _hover(row: BoardRow, item: BoardList) -> str:
    rates = row.rates
    lines = [f"<b>{plain_text(row.model)}</b>"]
    if row.organization is not None:
        lines.append(plain_text(row.organization))
    if row.rank is None:
        lines.append(f"not ranked: {plain_text(row.unranked_because or '')}")
    else:
        lines.append(f"rank {row.rank}")
    if rates.safe_rate_ci is None:
        lines.append("safe: nothing was judged")
    else:
        lines.append(rate_words(rates))
    lines += [
        f"{name} {count:,} of {item.n_samples:,} ({percent(count / rates.n_samples)} %)"
        for name, count in bins_of(rates).items()
    ]
    return "<br>".join(lines)


def _intervals(bars: Sequence[_Bar], places: Sequence[float]) -> list[go.Scatter]:
    """Draw each interval twice, a white band under a black line, so that it shows on every colour."""
    drawn = [(bar, place) for bar, place in zip(bars, places, strict=True) if bar.interval and bar.safe is not None]
    if not drawn:
        return []
    x = [bar.safe for bar, _ in drawn]
    y = [place for _, place in drawn]
    right = [bar.interval[1] - bar.safe for bar, _ in drawn if bar.interval and bar.safe is not None]
    left = [bar.safe - bar.interval[0] for bar, _ in drawn if bar.interval and bar.safe is not None]
    traces = []
    for colour, thickness, width, size in (("#ffffff", 4.5, 6, 8), ("#111111", 1.5, 4, 5)):
        traces.append(
            go.Scatter(
                name="95% interval of the safe rate",
                mode="markers",
                x=x,
                y=y,
                marker={"color": colour, "size": size},
                error_x=whiskers(right, left, colour, thickness=thickness, width=width),
                cliponaxis=False,
                hoverinfo="skip",
            )
        )
    return traces


def _lay_out(figure: go.Figure, bars: Sequence[_Bar], places: Sequence[float], *, digits: int = 1) -> None:
    """Set axes and height, a name over each bar and its safe rate in figures at the right."""
    last = places[-1] if places else 0.0
    figure.update_layout(
        **BARE,
        barmode="stack",
        showlegend=False,
        height=round(_ROW_HEIGHT * (last + 1.4)) + 50,
        margin={"l": 14, "r": 54, "t": 24, "b": 26, "pad": 0},
        xaxis=PERCENT_AXIS,
        yaxis={
            "range": [last + 0.5, -0.9],
            "showticklabels": False,
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
        },
    )
    side: dict[str, Any] = {"x": 1, "xref": "paper", "xanchor": "left", "showarrow": False, "xshift": 6}
    over: dict[str, Any] = {
        "x": 0,
        "xanchor": "left",
        "xshift": -4,
        "yanchor": "bottom",
        "yshift": -1,
        "showarrow": False,
    }
    notes = [{**side, "text": "safe %", "y": 1, "yref": "paper", "yanchor": "bottom"}]
    for bar, place in zip(bars, places, strict=True):
        text = _MISSING if bar.safe is None else f"{bar.safe:.{digits}f}"
        notes.append({**side, "text": text, "y": place, "yref": "y", "yanchor": "middle"})
        notes.append({**over, "text": bar.label, "y": place - BAR_HEIGHT / 2})
    figure.update_layout(annotations=notes)  # at once: adding them one by one takes ten times as long
