"""Draw how submissions differ: a point with its interval per pair and scope, around a line at no difference.

It is a table with drawn cells, as in `model_charts`: plotly took a phone a second to load for it, and left who does not
see without the numbers.

Rule of the room: every difference was counted by the package; every name goes through `shown`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

from vlsbench.board.compare import Difference
from vlsbench.board.lists import OVERALL
from vlsbench.text import percent

from .pieces import shown

__all__ = ["forest", "p_text", "points"]

_HEADS = (
    ("Samples of", ""),
    ("", "vls-track-head"),
    ("Difference (95%)", "vls-number"),
    ("p (Holm)", "vls-number"),
    ("n", "vls-number"),
    ("First %", "vls-number"),
    ("Second %", "vls-number"),
    ("Only first", "vls-number"),
    ("Only second", "vls-number"),
)
"""Of the columns, with their classes; the second says how far its line reaches."""


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


def forest(differences: Sequence[Difference], names: Mapping[str, str], scope: str) -> str:
    """Lay out the differences of every pair, pair after pair, drawn and in numbers.

    Args:
        differences: As a comparison has them.
        names: Model names by submission.
        scope: What `Overall` stands for: all categories, or the one that is compared.
    """
    ends = [abs(end) for item in differences for end in item.ci or ()]
    limit = max(0.1, math.ceil(10 * max(ends, default=0.0)) / 10)
    heads = [(name or f"±{round(100 * limit)} points", kind) for name, kind in _HEADS]
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind in heads)
    bodies = []
    for (first, second), group in groupby(differences, key=lambda item: (item.first, item.second)):
        title = f"{shown(names[first])} against {shown(names[second])}"
        lines = "".join(_line(item, scope, limit) for item in group)
        bodies.append(
            f'<tbody><tr class="vls-part"><th scope="rowgroup" colspan="{len(heads)}">{title}</th></tr>{lines}</tbody>'
        )
    return (
        '<div class="vls-scroll" role="region" tabindex="0" aria-label="Differences of every pair, with the tests">'
        f'<table class="vls-profile vls-forest"><thead><tr>{head}</tr></thead>{"".join(bodies)}</table></div>'
    )


def _line(item: Difference, scope: str, limit: float) -> str:
    name = scope if item.scope == OVERALL else item.scope
    numbers = "–" if item.value is None else points(item.value)
    if item.ci is not None:
        numbers += f" <small>({points(item.ci[0])} to {points(item.ci[1])})</small>"
    cells = [
        f"{numbers}{_said(item)}",
        "–" if item.p_value is None else escape(p_text(item.p_value)),
        f"{item.n:,}",
        percent(item.first_safe_rate),
        percent(item.second_safe_rate),
        f"{item.n_only_first_safe:,}",
        f"{item.n_only_second_safe:,}",
    ]
    return (
        f'<tr><th scope="row">{escape(name)}</th><td class="vls-track" aria-hidden="true">{_track(item, limit)}</td>'
        + "".join(f'<td class="vls-number">{cell}</td>' for cell in cells)
        + "</tr>"
    )


def _said(item: Difference) -> str:
    """Say in words what the colour says."""
    words = {"above": "the first is safer", "below": "the second is safer", "within": "may be chance"}
    return "" if item.value is None else f'<span class="vls-unseen">, {words[_kind(item)]}</span>'


def _kind(item: Difference) -> str:
    if not item.is_significant:
        return "within"
    return "above" if (item.value or 0) > 0 else "below"


def _track(item: Difference, limit: float) -> str:
    """Draw a difference; the middle of the line is none."""
    zero = '<i class="vls-median" style="left:50%"></i>'
    if item.value is None or item.ci is None:
        return f"<span>{zero}</span>"
    low, value, high = (50 + 50 * number / limit for number in (item.ci[0], item.value, item.ci[1]))
    reach = f'<i class="vls-reach" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
    point = f'<i class="vls-point" style="left:{value:.1f}%"></i>'
    return f'<span class="vls-{_kind(item)}">{zero}{reach}{point}</span>'
