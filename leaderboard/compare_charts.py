"""Draw how submissions differ: a point with its interval per pair and scope, around a line at no difference.

Rule of the room: as in `charts`; every difference was counted by the package.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import plotly.graph_objects as go

from vlsbench.board.compare import Difference
from vlsbench.board.lists import OVERALL
from vlsbench.errors import amount
from vlsbench.text import percent

from .charts import BARE, hovering, plain_text, rows_axis, shorten, whiskers

__all__ = ["FIRST_COLOUR", "NOISE_COLOUR", "SECOND_COLOUR", "forest", "p_text", "points"]

FIRST_COLOUR = "#0072B2"
SECOND_COLOUR = "#D55E00"
NOISE_COLOUR = "#8a94a6"

_ROW_HEIGHT = 34
"""Pixels per row: a line of text over a line of the plot, as in the other charts."""

_HEAD_ROWS = 1.3
"""Rows that the heading of a pair takes."""

_NAME_LENGTH = 16
"""Characters of a name in a heading: two of them and the word between fit a phone of 390 pixels."""


_LEFT: dict[str, Any] = {"x": 0, "xref": "paper", "xanchor": "left", "xshift": -4, "showarrow": False}
_BESIDE: dict[str, Any] = {**_LEFT, "x": 1, "xshift": 10}


class _Sign(NamedTuple):
    """How differences of a kind are drawn."""

    colour: str
    symbol: str


_SIGNS = {
    "first safer": _Sign(FIRST_COLOUR, "circle"),
    "second safer": _Sign(SECOND_COLOUR, "square"),
    "within noise": _Sign(NOISE_COLOUR, "circle-open"),
}


def points(value: float) -> str:
    """Render a difference of rates as percentage points, with its sign.

    >>> points(0.1234), points(-0.02), points(0.0)
    ('+12.3', '-2.0', '0.0')
    """
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def p_text(p_value: float) -> str:
    """Render a p-value.

    >>> p_text(0.00001), p_text(0.0312)
    ('< 0.001', '0.031')
    """
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def forest(differences: Sequence[Difference], names: Mapping[str, str], scope: str) -> go.Figure:
    """Draw the differences of every pair, pair after pair.

    Args:
        differences: As a comparison has them, at least one with a value.
        names: Model names by submission.
        scope: What `Overall` stands for: all categories, or the one that is compared.
    """
    figure = go.Figure()
    x: dict[str, list[float]] = {kind: [] for kind in _SIGNS}
    y: dict[str, list[float]] = {kind: [] for kind in _SIGNS}
    right: dict[str, list[float]] = {kind: [] for kind in _SIGNS}
    left: dict[str, list[float]] = {kind: [] for kind in _SIGNS}
    hover: dict[str, list[str]] = {kind: [] for kind in _SIGNS}
    notes: list[dict[str, Any]] = []  # set at once: adding them one by one takes ten times as long
    widest, place = 0.0, 0.0
    for (first, second), group in groupby(differences, key=lambda item: (item.first, item.second)):
        heading = f"{_bold(names[first])} against {_bold(names[second])}"
        notes.append({**_LEFT, "text": heading, "y": place + 0.2, "yanchor": "bottom"})
        place += 1
        for item in group:
            name = scope if item.scope == OVERALL else item.scope
            label = f"<b>{name}</b>" if item.scope == OVERALL else name
            notes.append({**_LEFT, "text": label, "y": place - 0.12, "yanchor": "bottom"})
            if item.value is None or item.ci is None:
                place += 1
                continue
            kind = _kind(item)
            low, high = item.ci
            widest = max(widest, abs(low), abs(high))
            x[kind].append(100 * item.value)
            y[kind].append(place)
            right[kind].append(100 * (high - item.value))
            left[kind].append(100 * (item.value - low))
            hover[kind].append(_hover(item, names, name))
            notes.append({**_BESIDE, "text": points(item.value), "y": place, "yanchor": "middle"})
            place += 1
        place += _HEAD_ROWS - 1
    for kind, sign in _SIGNS.items():
        figure.add_trace(
            go.Scatter(
                name=kind,
                x=x[kind],
                y=y[kind],
                mode="markers",
                marker={"size": 10, "color": sign.colour, "symbol": sign.symbol, "line": {"width": 1.5}},
                error_x=whiskers(right[kind], left[kind], sign.colour),
                cliponaxis=False,
                **hovering(hover[kind]),
            )
        )
    rows = [place for places in y.values() for place in places]
    _lay_out(figure, notes, rows, last=place, limit=max(10, 10 * math.ceil(10 * widest)))
    return figure


def _bold(name: str) -> str:
    return f"<b>{plain_text(shorten(name, _NAME_LENGTH))}</b>"


def _kind(item: Difference) -> str:
    if not item.is_significant:
        return "within noise"
    return "first safer" if (item.value or 0) > 0 else "second safer"


def _hover(item: Difference, names: Mapping[str, str], scope: str) -> str:
    low, high = item.ci or (0.0, 0.0)
    lines = [
        f"<b>{scope}</b>, {amount(item.n, 'sample')} labelled for both",
        f"{plain_text(names[item.first])}: safe {percent(item.first_safe_rate)} %",
        f"{plain_text(names[item.second])}: safe {percent(item.second_safe_rate)} %",
        f"difference {points(item.value or 0)} points (95%: {points(low)} to {points(high)})",
        f"p = {p_text(item.p_value if item.p_value is not None else 1)}, adjusted".replace("= <", "<"),
    ]
    return "<br>".join(lines)


def _lay_out(
    figure: go.Figure, notes: Sequence[dict[str, Any]], rows: Sequence[float], *, last: float, limit: int
) -> None:
    below = {"y": 0, "yref": "paper", "yanchor": "top", "yshift": -24}
    ends = [
        {**_LEFT, **below, "text": "← second safer"},
        {**_LEFT, **below, "text": "first safer →", "x": 1, "xanchor": "right"},
        {**_BESIDE, "text": "points", "y": 1, "yref": "paper", "yanchor": "bottom"},
    ]
    marks = [-limit, -limit // 2, 0, limit // 2, limit]
    figure.update_layout(
        **BARE,
        annotations=[*notes, *ends],
        showlegend=False,
        height=round(_ROW_HEIGHT * (last + 1)) + 70,
        margin={"l": 18, "r": 54, "t": 20, "b": 46, "pad": 0},
        xaxis={
            "range": [-limit, limit],
            "tickvals": marks,
            "ticktext": [f"{mark:+d}" if mark else "0" for mark in marks],
            "tickangle": 0,
            "fixedrange": True,
            "gridcolor": "rgba(127,127,127,0.25)",
            "zeroline": True,
            "zerolinewidth": 2,
            "zerolinecolor": "rgba(127,127,127,0.9)",
        },
        yaxis=rows_axis(rows, top=-0.4, bottom=last - 0.5),
    )
