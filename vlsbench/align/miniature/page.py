"""The tables and plots of docs/miniature.md, made from a summary; they stand between marks in the page.

Pure: no files.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

from vlsbench.align.miniature.plan import CLAIM, COMPARISONS, Comparison, Measure, Plan, Range, cells
from vlsbench.align.miniature.records import ComparisonResult, MiniatureSummary, SummaryCell, Value

__all__ = ["PLOTS", "fill_page", "predictions_block", "render_terminal", "results_block"]

_SHOWN: Final[tuple[tuple[Measure, str], ...]] = (
    ("safe_leaky", "safe, leaky"),
    ("safe_leakless", "safe, leakless"),
    ("over_refusal", "over-refusal"),
    ("j_leaky", "J, leaky"),
    ("j_leakless", "J, leakless"),
    ("reliance", "visual reliance"),
    ("ability", "ability"),
)
_SIGNS: Final = {
    "as predicted": " ✓",
    "not as predicted": " ✗",
    "undecided": " ?",
    "nothing predicted": "",
}


def fill_page(page: str, blocks: Mapping[str, str]) -> str:
    """Put blocks between their marks, `<!-- NAME -->` and `<!-- end NAME -->`.

    >>> fill_page("<!-- a -->old<!-- end a -->", {"a": "new"}).split()
    ['<!--', 'a', '-->', 'new', '<!--', 'end', 'a', '-->']
    """
    for name, block in blocks.items():
        pattern = re.compile(rf"<!-- {name} -->.*<!-- end {name} -->", re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"the page has no place for {name!r}, or several")
        page = pattern.sub(lambda _: f"<!-- {name} -->\n{block}\n<!-- end {name} -->", page)  # noqa: B023
    return page


def predictions_block(plan: Plan) -> str:
    """Write what is predicted of every cell, and seeds and sizes."""
    base = plan.base
    sizes = (
        f"Plan `{plan.name}`: seeds {', '.join(map(str, plan.seeds))}; dial {', '.join(f'{d:g}' for d in plan.dials)} "
        f"for the SFT arms and {plan.dials[0]:g} for the others, {len(cells(plan))} cells. Of a cell: "
        f"{plan.n_risky} risky and {plan.n_benign} harmless training rows; {plan.n_items} risky items with as many "
        f"twins in each set, {plan.n_ability} questions of ability. Base model: width {base.hidden}, "
        f"{base.vision_layers} + {base.text_layers} layers, {base.steps} steps of {base.batch}."
    )
    head = ["arm", *(name for _, name in _SHOWN)]
    rows = [[f"`{arm}`", *(_range(CLAIM[arm][measure]) for measure, _ in _SHOWN)] for arm in CLAIM]
    sides = [[f"`{c.name}`", c.says, _dial(c), c.claim, c.rival] for c in COMPARISONS]
    return "\n\n".join(
        (
            sizes,
            _table(head, rows),
            _table(["comparison", "holds if the interval lies above", "dial", "the claim", "the rival"], sides),
        )
    )


def results_block(summary: MiniatureSummary, extra: str = "") -> str:
    """Write what came out."""
    said = f"{summary.n_cells} of {summary.n_planned} cells are made. {extra}".strip()
    head = ["dial", "arm", "seeds", *(name for _, name in _SHOWN), "no label"]
    rows = [
        [
            f"{cell.dial:g}",
            f"`{cell.arm}`",
            str(len(cell.seeds)),
            *(_value(cell.values[measure]) for measure, _ in _SHOWN),
            f"{cell.no_label:.2f}",
        ]
        for cell in summary.cells
    ]
    sides = [
        [
            f"`{c.name}`",
            c.says,
            _interval(c),
            f"{c.margin:g}",
            c.lies,
            *(_against(c.lies, predicted) for predicted in (c.claim, c.rival)),
        ]
        for c in summary.comparisons
    ]
    return "\n\n".join(
        (
            said,
            _table(head, rows),
            _table(["comparison", "holds if above", "seen", "margin", "lies", "the claim", "the rival"], sides),
        )
    )


def render_terminal(summary: MiniatureSummary) -> str:
    """Write the table for a terminal: a line an arm."""
    lines = [f"{'dial':>4} {'arm':<18}" + "".join(f"{name:>17}" for _, name in _SHOWN)]
    for cell in summary.cells:
        values = "".join(f"{cell.values[measure].value:>17.2f}" for measure, _ in _SHOWN)
        lines.append(f"{cell.dial:>4g} {cell.arm:<18}{values}")
    lines.append(f"rubric {summary.rubric}; {summary.n_cells} of {summary.n_planned} cells of plan {summary.plan}")
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _range(expected: Range | None) -> str:
    if expected is None:
        return "silent"
    if expected.high >= 1:
        return f"≥ {expected.low:.2f}"
    return f"≤ {expected.high:.2f}"


def _dial(comparison: Comparison) -> str:
    return "slope" if comparison.dial is None else f"{comparison.dial:g}"


def _value(value: Value) -> str:
    return f"{value.value:.2f} ({value.low:.2f} … {value.high:.2f}){_SIGNS[value.verdict]}"


def _interval(result: ComparisonResult) -> str:
    if result.value is None or result.low is None or result.high is None:
        return "–"
    if result.n_seeds == 1:
        return f"{result.value:+.2f} (one seed)"
    return f"{result.value:+.2f} ({result.low:+.2f} … {result.high:+.2f}), {result.n_seeds} seeds"


def _against(lies: str, predicted: str) -> str:
    if predicted == "silent":
        return "silent"
    return lies if lies in ("undecided", "not run") else ("right" if lies == predicted else "wrong")


_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 400, 60, 50, 20
_COLOURS: Final = {
    "base": "#6b7280",
    "t": "#D55E00",
    "mm": "#0072B2",
    "mm-sft-blind": "#009E73",
    "mm-sft-clean": "#CC79A7",
}


def _colour(arm: str) -> str:
    return _COLOURS.get(arm) or _COLOURS[arm.partition("-")[0]]


class _Box(NamedTuple):
    """A part of the picture, in its own units; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        """Say whether two share a place."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def _room_for(place: tuple[float, float], words: str, taken: Sequence[_Box]) -> _Box:
    """Find room for a name near its point: beside it, then further up and down; where there is none, beside it."""
    width, height = 6.6 * len(words), 15
    found = []
    for step in range(9):
        for side in (8, -8 - width):
            for down in (-height - 2 - 8 * step, 2 + 8 * step):
                left, top = place[0] + side, place[1] + down
                found.append(_Box(left, top, left + width, top + height))
    frame = _Box(_LEFT + 2, 0, _WIDTH, _HEIGHT - _BOTTOM - 2)
    for box in found:
        inside = frame.left <= box.left and box.right <= frame.right and frame.top <= box.top
        if inside and box.bottom <= frame.bottom and not any(box.meets(other) for other in taken):
            return box
    return found[0]


class _Plot:
    """An SVG with both axes in given ranges."""

    def __init__(self, title: str, x: tuple[str, float, float], y: tuple[str, float, float]) -> None:
        self._x, self._y = x, y
        self._dots: list[_Box] = []
        self._names: list[tuple[tuple[float, float], str, str]] = []
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
        ]
        for place in range(5):
            share = place / 4
            across, up = x[1] + share * (x[2] - x[1]), y[1] + share * (y[2] - y[1])
            self._line((across, y[1]), (across, y[2]), "#e5e7eb")
            self._line((x[1], up), (x[2], up), "#e5e7eb")
            self._text(self._at(across, y[1]), f"{across:.2f}", dy=18, anchor="middle")
            self._text(self._at(x[1], up), f"{up:.2f}", dx=-8, dy=4, anchor="end")
        self._text((_LEFT + (_WIDTH - _LEFT - 20) / 2, _HEIGHT - 10), x[0], anchor="middle")
        self._parts.append(
            f'<text transform="translate(14 {_HEIGHT / 2:g}) rotate(-90)" text-anchor="middle">{escape(y[0])}</text>'
        )

    def _at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self._x[1]) / (self._x[2] - self._x[1])
        up = (y - self._y[1]) / (self._y[2] - self._y[1])
        return _LEFT + across * (_WIDTH - _LEFT - 20), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP)

    def _line(self, start: tuple[float, float], end: tuple[float, float], colour: str, width: float = 1) -> None:
        (x1, y1), (x2, y2) = self._at(*start), self._at(*end)
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width:g}"/>'
        )

    def _text(
        self,
        place: tuple[float, float],
        words: str,
        *,
        dx: float = 0,
        dy: float = 0,
        anchor: str = "start",
        colour: str = "#111",
    ) -> None:
        self._parts.append(
            f'<text x="{place[0] + dx:.1f}" y="{place[1] + dy:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'stroke="#fff" stroke-width="3" paint-order="stroke">{escape(words)}</text>'
        )

    def point(self, x: Value | float, y: Value, colour: str, words: str = "") -> None:
        """Draw a point with the intervals it has; its name is written where there is room, when all are drawn."""
        across = x if isinstance(x, float) else x.value
        lowest, highest = self._y[1], self._y[2]
        self._line((across, max(y.low, lowest)), (across, min(y.high, highest)), colour, 1.5)
        if not isinstance(x, float):
            self._line((x.low, y.value), (x.high, y.value), colour, 1.5)
        place = self._at(across, y.value)
        self._parts.append(f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="5" fill="{colour}"/>')
        self._dots.append(_Box(place[0] - 6, place[1] - 6, place[0] + 6, place[1] + 6))
        if words:
            self._names.append((place, words, colour))

    def path(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """Join points."""
        for start, end in itertools.pairwise(points):
            self._line(start, end, colour, 2)

    def end(self) -> str:
        """Return the SVG."""
        taken = list(self._dots)
        for place, words, colour in self._names:
            name = _room_for(place, words, taken)
            taken.append(name)
            self._text((name.left, name.bottom - 3), words, colour=colour)
        return "\n".join([*self._parts, "</svg>"]) + "\n"


def _at_first_dial(summary: MiniatureSummary) -> list[SummaryCell]:
    return [cell for cell in summary.cells if cell.dial == summary.cells[0].dial]


def safe_plot(summary: MiniatureSummary) -> str:
    """Draw the safe rate on the leaky against that on the leakless set, an arm a point, without the cue."""
    plot = _Plot(
        "Safe rate on the leaky and on the leakless set, by arm",
        ("safe rate, leaky: the text names the risk", 0.0, 1.0),
        ("safe rate, leakless: only the image shows it", 0.0, 1.0),
    )
    for cell in _at_first_dial(summary):
        plot.point(cell.values["safe_leaky"], cell.values["safe_leakless"], _colour(cell.arm), cell.arm)
    return plot.end()


def j_plot(summary: MiniatureSummary) -> str:
    """Draw over-refusal against the safe rate on the leakless set: what lies on the diagonal has J = 0."""
    plot = _Plot(
        "Over-refusal and safe rate on the leakless set, by arm",
        ("over-refusal: refusals and warnings on benign twins", 0.0, 1.0),
        ("safe rate, leakless", 0.0, 1.0),
    )
    plot.path([(0.0, 0.0), (1.0, 1.0)], "#9ca3af")
    for cell in _at_first_dial(summary):
        x, y = cell.values["over_refusal"], cell.values["safe_leakless"]
        plot.point(x, y, _colour(cell.arm), f"{cell.arm}, J {cell.values['j_leakless'].value:.2f}")
    return plot.end()


def dial_plot(summary: MiniatureSummary) -> str:
    """Draw J on the leakless set against the strength of the planted cue, a line an SFT arm."""
    plot = _Plot(
        "J on the leakless set against the strength of the planted cue",
        ("strength of the planted cue (0: none, 1: the last sign tells all)", 0.0, 1.0),
        ("J, leakless: twins differ by the image alone", -0.2, 1.0),
    )
    arms = dict.fromkeys(cell.arm for cell in summary.cells if cell.dial > 0)
    for arm in arms:
        mine = sorted((cell for cell in summary.cells if cell.arm == arm), key=lambda cell: cell.dial)
        plot.path([(cell.dial, cell.values["j_leakless"].value) for cell in mine], _colour(arm))
        for cell in mine:
            plot.point(cell.dial, cell.values["j_leakless"], _colour(arm), arm if cell is mine[-1] else "")
    return plot.end()


PLOTS: Final[dict[str, Callable[[MiniatureSummary], str]]] = {
    "miniature-safe.svg": safe_plot,
    "miniature-j.svg": j_plot,
    "miniature-dial.svg": dial_plot,
}
"""Files of docs/ and what draws them."""
