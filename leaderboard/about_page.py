"""The About page: how a number is made and by which rubric, what is not measured, how to cite, and the downloads."""

from __future__ import annotations

from typing import Any

import gradio as gr

from vlsbench.dataset.build import known_faults
from vlsbench.dataset.index import load_index
from vlsbench.judge.offline import AgreementRow, agreement_rows

from . import texts
from .live import LiveBoard
from .page import Page

__all__ = ["make"]

_PAPER = AgreementRow(
    "GPT-4o, snapshot unstated",
    "LLaVA-1.5-7B on VLSBench, as the paper prints it (Table 13)",
    200,
    "91 of 100 safe and 84 of 100 unsafe answers as people label them",
)


def make(live: LiveBoard) -> Page:
    """Place the page; the rubrics and the downloads are those of the board when it is opened."""
    gr.Markdown(texts.ABOUT, elem_classes="vls-about", header_links=False)
    rubrics = gr.HTML(texts.rubrics_text(live.rubrics()), elem_classes=["vls-block", "vls-about"])
    gr.HTML(texts.agreement([_PAPER, *agreement_rows()]), elem_classes=["vls-block", "vls-about"])
    faults = known_faults(load_index("release").rows)
    gr.HTML(texts.known_faults_of_release(faults), elem_classes=["vls-block", "vls-about"])
    gr.Markdown(texts.NOT_MEASURED, elem_classes="vls-about", header_links=False)
    # Not gradio's own buttons: they put the place of the file on this machine into the page.
    gr.HTML(texts.downloads(live.downloads()), elem_classes=["vls-block", "vls-downloads"])

    def show() -> list[Any]:
        return [gr.update(value=texts.rubrics_text(live.rubrics()))]

    return Page("About", (), (rubrics,), show)
