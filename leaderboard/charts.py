"""What charts share: their look, names that are safe for plotly, bars, points with their intervals.

Rule of the room: figures are made from board rows as they are; every rate was counted by the package. Text from a
submission goes through `plain_text`, because plotly renders `<b>` and `<a>` inside its labels.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from vlsbench.board.lists import Bin, BoardRow
from vlsbench.errors import masked
from vlsbench.records import PaperRow, Rates
from vlsbench.taxonomy import LABEL_COLOURS
from vlsbench.text import percent_interval, percentage

__all__ = [
    "BARE",
    "BAR_HEIGHT",
    "FONT_FAMILY",
    "PERCENT_AXIS",
    "bars",
    "hovering",
    "plain_text",
    "printed_words",
    "rate_words",
    "row_label",
    "rows_axis",
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
    "ticktext": ["0%", "25%", "50%", "75%", "100%"],
    "tickangle": 0,
    "fixedrange": True,
    "gridcolor": "rgba(127,127,127,0.35)",
    "zeroline": False,
}

_LABEL_LENGTH = 38
"""Characters over a bar, a model's name and its rank: what a phone of 390 pixels shows in one line. The whole name is
in the hover text and in the table."""

BAR_HEIGHT = 0.4
"""Part of a row that is the bar; the rest holds the name and a gap."""


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
    lines = [f"{name} {percentage(rate, digits=2)}" for name, rate in rates.items()]
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
    return f"safe {percentage(rates.safe_rate)} (95%: {percent_interval(rates.safe_rate_ci)})"
