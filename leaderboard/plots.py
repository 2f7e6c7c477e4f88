"""Place charts on a page, and hand figures to them."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from .page import filled

__all__ = ["make_plot", "plot"]


def make_plot(*classes: str, first: dict[str, Any] | None = None) -> gr.Plot:
    """Place a chart, filled with a first update where there is one."""
    return gr.Plot(show_label=False, container=False, elem_classes=["vls-chart", *classes], **filled(first or {}))


def plot(figure: Any) -> PlotData:
    """Hand a figure to the page without plotly's tool bar, which covers bars on a phone and links to plotly's site."""
    payload = figure.to_json()
    return PlotData(type="plotly", plot=f'{payload[:-1]},"config":{{"displayModeBar":false,"displaylogo":false}}}}')
