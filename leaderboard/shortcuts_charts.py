"""Draw rows in a plane: refusal against warning, and the safe rate against the one without the image, size and date.

Rule of the room: as in `charts`; what the paper prints is never in one figure with judged rows. A row is a number in
a circle, whose name stands in the key beside the figure: names beside points cover each other from a dozen rows on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import plotly.graph_objects as go

from .charts import BARE, hovering, plain_text, whiskers

__all__ = ["Point", "by_date_chart", "by_size_chart", "parts_chart", "with_without_chart"]

_BLUE = "#0072B2"
_GREY = "#6b7280"
"""Of Okabe and Ito for models; grey for the constant baselines, whose sign differs too."""

_GUIDE = "rgba(127,127,127,0.55)"

_QUIET = "rgb(128,128,128)"
"""Of words that are read on a light and on a dark page, and are covered by signs."""

_HEIGHT = 470

_TICKS = [0, 25, 50, 75, 100]


_SIGN = 22
_SMALL_SIGN = 18
_LETTERS = 12
_MANY = 20
"""Pixels of a sign, of a smaller one and of its letters; and rows from which signs are smaller."""


class Point(NamedTuple):
    """A row in a plane; percent, but for `x` where it is a size (parameters) or a day (its ordinal)."""

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
    right, top = _end([point.x for point in points]), _end([point.y for point in points])
    for safe in _TICKS[1:]:
        figure.add_trace(_guide([0, safe], [safe, 0]))
    # Along the line of a fifth, where the lines are apart and few rows are; else at the right end.
    across = [min(0.8 * safe, 0.88 * right) for safe in _TICKS[1:]]
    shown = [(safe, x) for safe, x in zip(_TICKS[1:], across, strict=True) if safe - x <= top]
    texts = [f"{safe}% safe" for safe, _ in shown]
    figure.add_trace(_words(texts, [x for _, x in shown], [safe - x for safe, x in shown]))
    _draw(figure, points)
    _lay_out(figure, ("refusal %", right), ("warning %", top))
    return figure


def with_without_chart(points: Sequence[Point]) -> go.Figure:
    """Draw the safe rate without the image (across) against the one with it (up); on the line they are equal.

    Args:
        points: At least one; without as `x`, with as `y`.
    """
    figure = go.Figure()
    end = _end([value for point in points for value in (point.x, point.y)])
    figure.add_trace(_guide([0, end], [0, end]))
    figure.add_trace(
        _words(["safer with the image", "safer without it"], [0.25 * end, 0.8 * end], [0.95 * end, 0.05 * end])
    )
    _draw(figure, points)
    _lay_out(figure, ("safe % without the image", end), ("safe % with the image", end))
    return figure


_SIZES = [base * 10**power for power in range(7, 13) for base in (1, 3)]
"""Parameters that an axis may name."""


def by_size_chart(points: Sequence[Point]) -> go.Figure:
    """Draw the safe rate against the number of parameters, which grows by factors.

    Args:
        points: At least one; parameters as `x`.
    """
    low, high = min(point.x for point in points) / 1.5, 1.5 * max(point.x for point in points)
    ticks = [size for size in _SIZES if low <= size <= high]
    figure = go.Figure()
    _draw(figure, [point._replace(x=math.log10(point.x)) for point in points])
    _lay_out(figure, ("parameters", 100), ("safe %", 100))
    texts = [f"{size / 10**9:g}B" if size >= 10**9 else f"{size / 10**6:g}M" for size in ticks]
    _span(figure, math.log10(low), math.log10(high), [math.log10(size) for size in ticks], texts)
    return figure


def by_date_chart(points: Sequence[Point]) -> go.Figure:
    """Draw the safe rate against the day on which a model was released.

    Args:
        points: At least one; the day's ordinal as `x`.
    """
    first, last = (int(end(point.x for point in points)) for end in (min, max))
    low, high = first - 40, last + 40
    years = range(date.fromordinal(low).year, date.fromordinal(high).year + 1)
    days = [date(year, month, 1) for year in years for month in (1, 7)]
    ticks = [day for day in days if low <= day.toordinal() <= high]
    figure = go.Figure()
    _draw(figure, points)
    _lay_out(figure, ("released", 100), ("safe %", 100))
    _span(figure, low, high, [day.toordinal() for day in ticks], [f"{day:%Y-%m}" for day in ticks])
    return figure


def _span(figure: go.Figure, low: float, high: float, ticks: Sequence[float], texts: Sequence[str]) -> None:
    """Let the axis across go from one value to another."""
    figure.update_layout(xaxis={**_axis(100), "range": [low, high], "tickvals": list(ticks), "ticktext": list(texts)})


def _end(values: Sequence[float]) -> int:
    """Return the first tick that no value reaches beyond."""
    return next(tick for tick in _TICKS[1:] if max(values) <= tick or tick == _TICKS[-1])


def _words(texts: Sequence[str], x: Sequence[float], y: Sequence[float]) -> go.Scatter:
    """Write under the signs; plotly draws a note over them."""
    return go.Scatter(
        mode="text",
        x=list(x),
        y=list(y),
        text=list(texts),
        textposition="middle center",
        textfont={"size": _LETTERS, "color": _QUIET},
        hoverinfo="skip",
    )


def _draw(figure: go.Figure, points: Sequence[Point]) -> None:
    """Draw every interval under every sign, so that no line crosses a number."""
    points = _together(points)
    for is_baseline in (True, False):
        mine = [point for point in points if point.is_baseline == is_baseline]
        if mine:
            figure.add_trace(_intervals(mine, _GREY if is_baseline else _BLUE))
    for is_baseline in (True, False):
        mine = [point for point in points if point.is_baseline == is_baseline]
        if mine:
            figure.add_trace(_signs(mine, is_baseline=is_baseline))


def _together(points: Sequence[Point]) -> list[Point]:
    """Make one sign of rows at one place, the number of the first with a plus: constant policies often share one."""
    found: dict[tuple[float, float, bool], Point] = {}
    for point in points:
        place = (round(point.x, 1), round(point.y, 1), point.is_baseline)
        first = found.get(place)
        if first is None:
            found[place] = point
        else:
            words = f"{first.words}<br><br><b>{plain_text(point.name)}</b><br>{point.words}"
            found[place] = first._replace(label=f"{first.label.rstrip('+')}+", words=words)
    return list(found.values())


def _signs(points: Sequence[Point], *, is_baseline: bool) -> go.Scatter:
    size = _SIGN if len(points) <= _MANY else _SMALL_SIGN
    return go.Scatter(
        name="constant baselines" if is_baseline else "models",
        mode="markers+text",
        x=[point.x for point in points],
        y=[point.y for point in points],
        text=[point.label for point in points],
        textposition="middle center",
        textfont={"color": "#ffffff", "size": _LETTERS},
        marker={
            "symbol": "square" if is_baseline else "circle",
            "size": size,
            "color": _GREY if is_baseline else _BLUE,
            "line": {"width": 1.5, "color": "#ffffff"},
        },
        cliponaxis=False,
        **hovering([f"<b>{plain_text(point.name)}</b><br>{point.words}" for point in points]),
    )


def _intervals(points: Sequence[Point], colour: str) -> go.Scatter:
    known = [point for point in points if point.y_ends]
    x_ends = [point.x_ends or (point.x, point.x) for point in known]  # a size has no interval
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


def _lay_out(figure: go.Figure, across: tuple[str, int], up: tuple[str, int]) -> None:
    """Set the axes: their names, and where they end."""
    side: dict[str, Any] = {"showarrow": False, "xref": "paper", "yref": "paper"}
    titles = [
        {**side, "text": across[0], "x": 1, "y": 0, "xanchor": "right", "yanchor": "top", "yshift": -24},
        {**side, "text": up[0], "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "yshift": 4, "xshift": -28},
    ]
    figure.update_layout(
        **BARE,
        showlegend=False,
        height=_HEIGHT,
        margin={"l": 36, "r": 16, "t": 34, "b": 52, "pad": 0},
        xaxis=_axis(across[1]),
        yaxis=_axis(up[1]),
        annotations=titles,
    )


def _axis(end: int) -> dict[str, Any]:
    return {
        "range": [-0.03 * end, 1.03 * end],
        "tickvals": list(range(0, end + 1, end // 4 if end % 4 == 0 else end // 5)),
        "fixedrange": True,
        "gridcolor": "rgba(127,127,127,0.18)",
        "zeroline": False,
    }
