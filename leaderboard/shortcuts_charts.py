"""Draw rows in a plane: refusal against warning, and the safe rate with the image against the one without it.

Rule of the room: as in `charts`; what the paper prints is never in one figure with judged rows. A row is a number in
a circle, whose name stands in the key beside the figure: names beside points cover each other from a dozen rows on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from .charts import BARE, hovering, plain_text, whiskers

__all__ = ["Point", "parts_chart", "with_without_chart"]

_BLUE = "#0072B2"
_GREY = "#6b7280"
"""Of Okabe and Ito for models; grey for the constant baselines, whose sign differs too."""

_GUIDE = "rgba(127,127,127,0.55)"

_HEIGHT = 470

_TICKS = [0, 25, 50, 75, 100]


class Point(NamedTuple):
    """A row in a plane; percent."""

    label: str
    """What stands in its sign: the number of the key."""
    name: str
    """For the hover box; from a submission."""
    x: float
    y: float
    x_ends: tuple[float, float] | None
    """Of its interval; None where there is none."""
    y_ends: tuple[float, float] | None
    words: str
    """What the hover box says of it, safe for plotly."""
    is_baseline: bool = False


def parts_chart(points: Sequence[Point]) -> go.Figure:
    """Draw refusal (across) against warning (up), with lines of equal safe rate.

    Args:
        points: At least one; refusal as `x`, warning as `y`.
    """
    figure = go.Figure()
    notes = []
    for safe in _TICKS[1:]:
        figure.add_trace(_guide([0, safe], [safe, 0]))
        # Beside the line, in its lower half, where fewer rows are than at the axes.
        notes.append(_note(f"{safe} % safe", 0.8 * safe, 0.2 * safe, xanchor="left", yanchor="bottom"))
    _draw(figure, points)
    _lay_out(figure, "refusal %", "warning %", notes)
    return figure


def with_without_chart(points: Sequence[Point]) -> go.Figure:
    """Draw the safe rate without the image (across) against the one with it (up); on the line they are equal.

    Args:
        points: At least one; without as `x`, with as `y`.
    """
    figure = go.Figure()
    figure.add_trace(_guide([0, 100], [0, 100]))
    notes = [
        _note("safer with the image", 3, 98, xanchor="left", yanchor="top"),
        _note("safer without it", 98, 4, xanchor="right", yanchor="bottom"),
    ]
    _draw(figure, points)
    _lay_out(figure, "safe % without the image", "safe % with the image", notes)
    return figure


def _draw(figure: go.Figure, points: Sequence[Point]) -> None:
    """Draw every interval under every sign, so that no line crosses a number."""
    for is_baseline in (True, False):
        mine = [point for point in points if point.is_baseline == is_baseline]
        if mine:
            figure.add_trace(_intervals(mine, _GREY if is_baseline else _BLUE))
    for is_baseline in (True, False):
        mine = [point for point in points if point.is_baseline == is_baseline]
        if mine:
            figure.add_trace(_signs(mine, is_baseline=is_baseline))


def _signs(points: Sequence[Point], *, is_baseline: bool) -> go.Scatter:
    return go.Scatter(
        name="constant baselines" if is_baseline else "models",
        mode="markers+text",
        x=[point.x for point in points],
        y=[point.y for point in points],
        text=[point.label for point in points],
        textposition="middle center",
        textfont={"color": "#ffffff", "size": 11},
        marker={
            "symbol": "square" if is_baseline else "circle",
            "size": 19 if is_baseline else 20,
            "color": _GREY if is_baseline else _BLUE,
            "line": {"width": 1.5, "color": "#ffffff"},
        },
        cliponaxis=False,
        **hovering([f"<b>{plain_text(point.name)}</b><br>{point.words}" for point in points]),
    )


def _intervals(points: Sequence[Point], colour: str) -> go.Scatter:
    known = [point for point in points if point.x_ends and point.y_ends]
    x_ends = [point.x_ends for point in known if point.x_ends]
    y_ends = [point.y_ends for point in known if point.y_ends]
    x, y = [point.x for point in known], [point.y for point in known]
    return go.Scatter(
        name="95% intervals",
        mode="markers",
        x=x,
        y=y,
        marker={"color": colour, "size": 1},
        error_x=_reach(x, x_ends, colour),
        error_y=_reach(y, y_ends, colour),
        cliponaxis=False,
        hoverinfo="skip",
    )


def _reach(values: Sequence[float], ends: Sequence[tuple[float, float]], colour: str) -> dict[str, Any]:
    pairs = list(zip(values, ends, strict=True))
    return whiskers(
        [high - value for value, (_, high) in pairs], [value - low for value, (low, _) in pairs], colour, thickness=1.5
    )


def _guide(x: Sequence[float], y: Sequence[float]) -> go.Scatter:
    return go.Scatter(
        mode="lines", x=list(x), y=list(y), line={"color": _GUIDE, "width": 1, "dash": "dot"}, hoverinfo="skip"
    )


def _note(text: str, x: float, y: float, *, xanchor: str, yanchor: str) -> dict[str, Any]:
    place = {"x": x, "y": y, "xanchor": xanchor, "yanchor": yanchor}
    return {"text": text, "showarrow": False, "font": {"size": 12}, **place}


def _lay_out(figure: go.Figure, across: str, up: str, notes: Sequence[dict[str, Any]]) -> None:
    axis: dict[str, Any] = {
        "range": [-3, 103],
        "tickvals": _TICKS,
        "fixedrange": True,
        "gridcolor": "rgba(127,127,127,0.18)",
        "zeroline": False,
    }
    side: dict[str, Any] = {"showarrow": False, "xref": "paper", "yref": "paper"}
    titles = [
        {**side, "text": across, "x": 1, "y": 0, "xanchor": "right", "yanchor": "top", "yshift": -24},
        {**side, "text": up, "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "yshift": 4, "xshift": -28},
    ]
    figure.update_layout(
        **BARE,
        showlegend=False,
        height=_HEIGHT,
        margin={"l": 36, "r": 16, "t": 34, "b": 52, "pad": 0},
        xaxis=axis,
        yaxis=axis,
        annotations=[*notes, *titles],
    )
