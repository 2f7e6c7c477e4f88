"""Draw what differs between categories: a heat map of sub-categories, a ranking with intervals, a radar.

Rule of the room: as in `charts`; every rate was counted by the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from vlsbench.board.lists import BoardList, BoardRow
from vlsbench.errors import amount
from vlsbench.records import Rates
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORIES
from vlsbench.text import percent

from .charts import BARE, PERCENT_AXIS, hovering, plain_text, rate_words, row_label, rows_axis, shorten, whiskers

__all__ = ["RADAR_COLOURS", "Profile", "heat_map", "radar", "ranking"]

RADAR_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Okabe and Ito's, which colour-blind readers can tell apart; lines also differ by dash and marker."""

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SIGNS = ("circle", "square", "diamond", "triangle-up", "x")

_CELL_HEIGHT = 26
"""Pixels of a row of the heat map: two-digit figures in 11 points fit, 30 rows are one screen."""

_CELL_WIDTH = 44
"""Pixels of a column: 19 of them with the names are 1,216, the width of a laptop; a phone scrolls sideways."""


class Profile(NamedTuple):
    """One model over the categories."""

    model: str
    rates: dict[str, Rates]
    """By category and sub-category, of those that were asked."""


def heat_map(profiles: Sequence[Profile]) -> go.Figure:
    """Draw the safe rate of every model in every sub-category, best models first.

    Args:
        profiles: At least one.
    """
    subs = [sub for sub in SUB_CATEGORIES if any(sub.name in profile.rates for profile in profiles)]
    rates = [[_safe(profile.rates.get(sub.name)) for sub in subs] for profile in profiles]
    hover = [[_cell(profile, sub.name, sub.category) for sub in subs] for profile in profiles]
    figure = go.Figure(
        go.Heatmap(
            z=rates,
            x=list(range(len(subs))),
            y=list(range(len(profiles))),
            text=[["–" if rate is None else f"{rate:.0f}" for rate in row] for row in rates],
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            zmin=0,
            zmax=100,
            colorscale="Cividis",
            xgap=1,
            ygap=1,
            showscale=False,  # the page draws it: plotly's does not fit beside few columns
        )
    )
    top = 245  # the longest name, slanted, is 230 high where the font is wide
    figure.update_layout(
        **BARE,
        width=380 + _CELL_WIDTH * len(subs),
        height=top + _CELL_HEIGHT * len(profiles) + 20,
        margin={"l": 230, "r": 150, "t": top, "b": 20, "pad": 4},
        xaxis={
            "tickvals": list(range(len(subs))),
            "ticktext": [f"{sub.name}" for sub in subs],
            "side": "top",
            "tickangle": -55,
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "tickfont": {"size": 11},
        },
        yaxis={
            "tickvals": list(range(len(profiles))),
            "ticktext": [plain_text(shorten(profile.model, 30)) for profile in profiles],
            "autorange": "reversed",
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "tickfont": {"size": 12},
        },
    )
    return figure


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
                hovertemplate=f"<b>{name}</b><br>%{{theta}}: %{{r:.1f}} % safe<extra></extra>",
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
                "tickfont": {"size": 11},
            },
            "angularaxis": {"gridcolor": "rgba(127,127,127,0.35)", "linecolor": "rgba(127,127,127,0.5)"},
        },
    )
    return figure


def _safe(rates: Rates | None) -> float | None:
    """Return the safe rate in percent, or None where nothing was judged."""
    return None if rates is None or rates.safe_rate is None else 100 * rates.safe_rate


def _cell(profile: Profile, sub_category: str, category: str) -> str:
    rates = profile.rates.get(sub_category)
    lines = [f"<b>{plain_text(profile.model)}</b>", f"{sub_category} ({category})"]
    if rates is None or rates.safe_rate is None or rates.safe_rate_ci is None:
        return "<br>".join([*lines, "nothing was judged"])
    return "<br>".join([*lines, rate_words(rates), f"of {amount(rates.n_samples, 'sample')}"])
