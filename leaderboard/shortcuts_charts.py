"""Draw rows in a plane: refusal against warning, and the safe rate against the one without the image, size and date.

Rule of the room: as in `charts`; what the paper prints is never in one figure with judged rows. A row is a sign with a
number beside it, whose name stands in the key below the figure. A number that has no room is left out: its sign says
in its box who it is, and the key has every row.
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

_PALE_BLUE = "rgba(64,150,210,0.55)"
_PALE_GREY = "rgba(127,134,148,0.55)"
"""Of intervals, which cross numbers."""

_GUIDE = "rgba(127,127,127,0.55)"

_QUIET = "rgb(128,128,128)"
"""Of words that are read on a light and on a dark page, and are covered by signs."""

_HEIGHT = 470

_TICKS = [0, 25, 50, 75, 100]


_SIGN = 11
_LETTERS = 12
"""Pixels of a sign and of letters."""

_MARGIN = {"l": 36, "r": 16, "t": 34, "b": 52}
_NARROWEST = 320
"""Pixels of a figure on a narrow phone. What does not overlap there does not where it is wider: apart stays apart."""


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
    plane = _Plane(_ends(right), _ends(top), points)
    found = [(f"{safe}% safe", _place_on_line(plane, safe, right, top)) for safe in _TICKS[1:]]
    shown = [(text, place) for text, place in found if place]
    figure.add_trace(_words([text for text, _ in shown], [x for _, (x, _) in shown], [y for _, (_, y) in shown]))
    _draw(figure, points, plane)
    _lay_out(figure, ("refusal %", right), ("warning %", top))
    return figure


_ALONG = (0.8, 0.9, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Where on a line of equal safe rate its words may stand, as the share that are refusals; the first are tried first."""


def _place_on_line(plane: _Plane, safe: int, right: int, top: int) -> tuple[float, float] | None:
    """Find room for the words of a line of equal safe rate, and take it."""
    for share in _ALONG:
        x, y = share * safe, (1 - share) * safe
        if x <= 0.88 * right and y <= top and plane.take(x, y, 0, 0, f"{safe}% safe"):
            return x, y
    return None


def with_without_chart(points: Sequence[Point]) -> go.Figure:
    """Draw the safe rate without the image (across) against the one with it (up); on the line they are equal.

    Args:
        points: At least one; without as `x`, with as `y`.
    """
    figure = go.Figure()
    end = _end([value for point in points for value in (point.x, point.y)])
    figure.add_trace(_guide([0, end], [0, end]))
    plane = _Plane(_ends(end), _ends(end), points)
    said = [("safer with the image", 0.25 * end, 0.95 * end), ("safer without it", 0.8 * end, 0.05 * end)]
    said = [(text, x, y) for text, x, y in said if plane.take(x, y, 0, 0, text)]
    figure.add_trace(_words([text for text, _, _ in said], [x for _, x, _ in said], [y for _, _, y in said]))
    _draw(figure, points, plane)
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
    points = [point._replace(x=math.log10(point.x)) for point in points]
    _draw(figure, points, _Plane((math.log10(low), math.log10(high)), _ends(100), points))
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
    _draw(figure, points, _Plane((low, high), _ends(100), points))
    _lay_out(figure, ("released", 100), ("safe %", 100))
    _span(figure, low, high, [day.toordinal() for day in ticks], [f"{day:%Y-%m}" for day in ticks])
    return figure


def _span(figure: go.Figure, low: float, high: float, ticks: Sequence[float], texts: Sequence[str]) -> None:
    """Let the axis across go from one value to another."""
    figure.update_layout(xaxis={**_axis(100), "range": [low, high], "tickvals": list(ticks), "ticktext": list(texts)})


def _end(values: Sequence[float]) -> int:
    """Return the first tick that no value reaches beyond."""
    return next(tick for tick in _TICKS[1:] if max(values) <= tick or tick == _TICKS[-1])


def _ends(end: int) -> tuple[float, float]:
    """Return where an axis that goes to a tick begins and ends."""
    return -0.03 * end, 1.03 * end


_Box = tuple[float, float, float, float]
"""Left, right, bottom, top."""

_SIDES = {
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top center": (0, 1),
    "bottom center": (0, -1),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}
"""Where a number may stand beside its sign, in plotly's words; the first are tried first."""

_NUMBERED = 3
"""Pixels between a sign and its number."""


class _Plane:
    """Which room of a figure is taken, in pixels of the narrowest one."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float], points: Sequence[Point]) -> None:
        """Take the room of every sign.

        Args:
            across: Ends of the axis across.
            up: Ends of the axis up.
            points: What is drawn.
        """
        self._width = _NARROWEST - _MARGIN["l"] - _MARGIN["r"]
        self._height = _HEIGHT - _MARGIN["t"] - _MARGIN["b"]
        self._across, self._up = across, up
        self._taken = [self._box(x, y, 0, 0, (_SIGN, _SIGN)) for x, y in {(point.x, point.y) for point in points}]

    def take(self, x: float, y: float, right: int, above: int, text: str) -> bool:
        """Take the room of a text, if it is within the figure and free.

        Args:
            x: Across, in units of the axis.
            y: Up.
            right: 1 where it stands right of a sign, -1 left of it, 0 in its middle.
            above: The same upwards.
            text: Of one line.
        """
        box = self._box(x, y, right, above, (0.62 * _LETTERS * len(text), _LETTERS))
        is_within = box[0] >= 0 and box[1] <= self._width and box[2] >= 0 and box[3] <= self._height
        is_free = is_within and not any(_overlap(box, other) for other in self._taken)
        if is_free:
            self._taken.append(box)
        return is_free

    def _box(self, x: float, y: float, right: int, above: int, size: tuple[float, float]) -> _Box:
        middle = self._width * (x - self._across[0]) / (self._across[1] - self._across[0])
        level = self._height * (y - self._up[0]) / (self._up[1] - self._up[0])
        middle += right * (_SIGN / 2 + _NUMBERED + size[0] / 2)
        level += above * (_SIGN / 2 + _NUMBERED + size[1] / 2)
        return middle - size[0] / 2, middle + size[0] / 2, level - size[1] / 2, level + size[1] / 2


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


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


def _draw(figure: go.Figure, points: Sequence[Point], plane: _Plane) -> None:
    """Draw every interval under every sign, and a number beside each that has room for it."""
    points = _together(points)
    kinds = [[point for point in points if point.is_baseline == is_baseline] for is_baseline in (True, False)]
    for mine in filter(None, kinds):
        figure.add_trace(_intervals(mine, _PALE_GREY if mine[0].is_baseline else _PALE_BLUE))
    sides = {id(point): _side(point, plane) for point in points}
    for mine in filter(None, kinds):
        figure.add_trace(_signs(mine, [sides[id(point)] for point in mine]))


def _side(point: Point, plane: _Plane) -> str | None:
    """Say where a point's number stands; None where no side has room."""
    return next((side for side, (x, y) in _SIDES.items() if plane.take(point.x, point.y, x, y, point.label)), None)


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


def _signs(points: Sequence[Point], sides: Sequence[str | None]) -> go.Scatter:
    is_baseline = points[0].is_baseline
    return go.Scatter(
        name="constant baselines" if is_baseline else "models",
        mode="markers+text",
        x=[point.x for point in points],
        y=[point.y for point in points],
        text=[point.label if side else "" for point, side in zip(points, sides, strict=True)],
        textposition=[side or "middle right" for side in sides],
        textfont={"size": _LETTERS},
        marker={
            "symbol": "square" if is_baseline else "circle",
            "size": _SIGN,
            "color": _GREY if is_baseline else _BLUE,
            "line": {"width": 1, "color": "#ffffff"},
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
        margin={**_MARGIN, "pad": 0},
        xaxis=_axis(across[1]),
        yaxis=_axis(up[1]),
        annotations=titles,
    )


def _axis(end: int) -> dict[str, Any]:
    return {
        "range": list(_ends(end)),
        "tickvals": list(range(0, end + 1, end // 4 if end % 4 == 0 else end // 5)),
        "fixedrange": True,
        "gridcolor": "rgba(127,127,127,0.18)",
        "zeroline": False,
    }
