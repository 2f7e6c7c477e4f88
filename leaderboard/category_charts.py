"""Draw what differs between categories: a heat map of sub-categories, a ranking with intervals, a radar.

Rule of the room: as in `charts`; every rate was counted by the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from vlsbench.board.lists import BoardList, BoardRow
from vlsbench.errors import amount
from vlsbench.records import Rates
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORIES
from vlsbench.text import percent

from .charts import BARE, PERCENT_AXIS, hovering, plain_text, rate_words, row_label, rows_axis, shorten, whiskers
from .pieces import shown

__all__ = ["RADAR_COLOURS", "Profile", "colour_of", "heat_map", "radar", "ranking"]

RADAR_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Okabe and Ito's, which colour-blind readers can tell apart; lines also differ by dash and marker."""

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SIGNS = ("circle", "square", "diamond", "triangle-up", "x")


class Profile(NamedTuple):
    """One model over the categories."""

    model: str
    rates: dict[str, Rates]
    """By category and sub-category, of those that were asked."""
    address: str = ""
    """Of its page."""


def heat_map(profiles: Sequence[Profile]) -> str:
    """Lay out the safe rate of every model in every sub-category, best models first, as a table of coloured cells.

    It is HTML: names stay in sight while a phone scrolls, and who hears it hears a table.

    Args:
        profiles: At least one.
    """
    subs = [sub for sub in SUB_CATEGORIES if any(sub.name in profile.rates for profile in profiles)]
    heads = "".join(
        f'<th scope="col" title="{escape(sub.category)}"><span>{escape(sub.name)}</span></th>' for sub in subs
    )
    cells = ["".join(_heat(profile, sub.name, sub.category) for sub in subs) for profile in profiles]
    rows = "".join(
        f'<tr><th scope="row">{_named(profile)}</th>{row}</tr>' for profile, row in zip(profiles, cells, strict=True)
    )
    return (
        f'<p class="vls-caption vls-sideways">{len(subs)} columns: scroll sideways \N{RIGHTWARDS ARROW}</p>'
        '<div class="vls-heat" role="region" tabindex="0" aria-label="Safe rate of every model in every sub-category">'
        f'<table><thead><tr><th scope="col">Model</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _named(profile: Profile) -> str:
    name = shown(shorten(profile.model, 30))
    return f'<a href="{escape(profile.address)}">{name}</a>' if profile.address else name


def _heat(profile: Profile, sub_category: str, category: str) -> str:
    rates = profile.rates.get(sub_category)
    if rates is None or rates.safe_rate is None:
        return "<td>–</td>"
    said = f"{sub_category} ({category}): {rate_words(rates)} of {amount(rates.n_samples, 'sample')}"
    red, green, blue = colour_of(rates.safe_rate)
    # WCAG's relative luminance: black on what is lighter than 0.18 has a contrast of 4.6 and more, white on the rest.
    ink = "#000" if _luminance(red, green, blue) > _HALF else "#fff"
    return (
        f'<td style="background:rgb({red},{green},{blue});color:{ink}" title="{escape(said)}">'
        f"{100 * rates.safe_rate:.0f}</td>"
    )


_CIVIDIS = ((0, 34, 78), (67, 78, 108), (125, 124, 120), (188, 175, 111), (254, 232, 56))
"""Of matplotlib's map, which colour-blind readers see as others do; `style.css` draws its legend of the same."""

_HALF = 0.179
"""Luminance on which black and white have the same contrast, 4.58."""


def colour_of(rate: float) -> tuple[int, int, int]:
    """Return the colour of a rate in [0, 1], red, green and blue from 0 to 255.

    >>> colour_of(0.0), colour_of(0.625), colour_of(1.0)
    ((0, 34, 78), (156, 150, 116), (254, 232, 56))
    """
    place = min(int(4 * rate), 3)
    share = 4 * rate - place
    red, green, blue = (
        round(low + share * (high - low)) for low, high in zip(_CIVIDIS[place], _CIVIDIS[place + 1], strict=True)
    )
    return red, green, blue


def _luminance(red: int, green: int, blue: int) -> float:
    parts = [part / 255 for part in (red, green, blue)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ranking(item: BoardList, rows: Sequence[BoardRow]) -> go.Figure:
    """Draw the safe rate of each row as a point with its interval, in the order given, names over the lines.

    Args:
        item: The list the rows are of.
        rows: Those to draw, at least one with a rate.
    """
    drawn = [row for row in rows if row.rates.safe_rate is not None and row.rates.safe_rate_ci is not None]
    places = list(range(len(drawn)))
    x, right, left, hover = [], [], [], []
    for row in drawn:
        rate, (low, high) = row.rates.safe_rate or 0.0, row.rates.safe_rate_ci or (0.0, 0.0)
        x.append(100 * rate)
        right.append(100 * (high - rate))
        left.append(100 * (rate - low))
        rank = "not ranked" if row.rank is None else f"rank {row.rank}"
        hover.append(
            f"<b>{plain_text(row.model)}</b><br>{rank}<br>{rate_words(row.rates)}<br>"
            f"of {amount(item.n_samples, 'sample')}"
        )
    figure = go.Figure(
        go.Scatter(
            x=x,
            y=places,
            mode="markers",
            marker={
                "size": 10,
                "color": ["#8a94a6" if row.origin == "baseline" else "#0072B2" for row in drawn],
                "symbol": ["diamond-open" if row.origin == "baseline" else "circle" for row in drawn],
                "line": {"width": 1.5},
            },
            error_x=whiskers(right, left, "#64748b"),
            cliponaxis=False,
            **hovering(hover),
        )
    )
    figure.update_layout(
        **BARE,
        height=34 * len(drawn) + 80,
        margin={"l": 14, "r": 62, "t": 30, "b": 30, "pad": 0},
        xaxis=PERCENT_AXIS,
        yaxis=rows_axis(places, top=-0.9, bottom=len(drawn) - 0.4),
    )
    notes = []  # set at once: adding them one by one takes ten times as long
    for row, place in zip(drawn, places, strict=True):
        notes.append({**_OVER, "text": row_label(row), "y": place - 0.12})
        notes.append({**_BESIDE, "text": percent(row.rates.safe_rate), "y": place})
    figure.update_layout(annotations=notes)
    return figure


_OVER = {"x": 0, "xanchor": "left", "xshift": -4, "yanchor": "bottom", "showarrow": False}
_BESIDE = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 14, "yanchor": "middle", "showarrow": False}


def radar(profiles: Sequence[Profile]) -> go.Figure:
    """Draw up to five models over the six categories, told apart by colour, dash and sign.

    Args:
        profiles: One to five.
    """
    figure = go.Figure()
    for number, profile in enumerate(profiles):
        rates = [_safe(profile.rates.get(name)) for name in CATEGORY_NAMES]
        name = plain_text(shorten(profile.model, 30))
        figure.add_trace(
            go.Scatterpolar(
                r=[*rates, rates[0]],
                theta=[*CATEGORY_NAMES, CATEGORY_NAMES[0]],
                name=name,
                mode="lines+markers",
                line={"color": RADAR_COLOURS[number], "width": 2.5, "dash": _DASHES[number]},
                marker={"symbol": _SIGNS[number], "size": 8},
                hovertemplate=f"<b>{name}</b><br>%{{theta}}: %{{r:.1f}}% safe<extra></extra>",
            )
        )
    figure.update_layout(
        **BARE,
        height=470,
        margin={"l": 60, "r": 60, "t": 40, "b": 30},
        showlegend=True,
        legend={"orientation": "h", "y": -0.08, "x": 0.5, "xanchor": "center"},
        polar={
            "bgcolor": "rgba(0,0,0,0)",
            "radialaxis": {
                "range": [0, 100],
                "tickvals": [25, 50, 75, 100],
                "ticksuffix": " %",
                "angle": 30,
                "tickangle": 30,
                "gridcolor": "rgba(127,127,127,0.35)",
                "linecolor": "rgba(127,127,127,0.35)",
                "tickfont": {"size": 12},
            },
            "angularaxis": {"gridcolor": "rgba(127,127,127,0.35)", "linecolor": "rgba(127,127,127,0.5)"},
        },
    )
    return figure


def _safe(rates: Rates | None) -> float | None:
    """Return the safe rate in percent, or None where nothing was judged."""
    return None if rates is None or rates.safe_rate is None else 100 * rates.safe_rate
