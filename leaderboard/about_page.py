"""The About page: how a number is made, what is not measured, how to cite, and the downloads."""

from __future__ import annotations

from typing import Any

import gradio as gr

from . import texts
from .live import LiveBoard
from .page import Page

__all__ = ["make"]


def make(live: LiveBoard) -> Page:
    """Place the page."""
    gr.Markdown(texts.ABOUT, elem_classes="vls-about", header_links=False)
    with gr.Row(elem_classes="vls-downloads"):
        csv = gr.DownloadButton("Board as CSV", value=str(live.csv_path), size="md")
        json = gr.DownloadButton("Board as JSON", value=str(live.json_path), size="md")

    def show() -> list[Any]:
        return [gr.update(value=str(live.csv_path)), gr.update(value=str(live.json_path))]

    return Page("About", (), (csv, json), show)
