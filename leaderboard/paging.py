"""Turn the pages of a long list: a chooser of pages, and buttons to the page before and after.

The chosen page is written with how many there are ("3/41"), so that another filter, which makes another number of
pages, begins at the first.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import gradio as gr

from .page import Page, script_arguments

__all__ = ["Pager", "Part", "follow_pager", "make_pager", "part_of"]


class Pager(NamedTuple):
    """The components that turn pages."""

    before: gr.Button
    chooser: gr.Dropdown
    after: gr.Button


class Part(NamedTuple):
    """The part of a list that is shown, and the updates of the pager."""

    start: int
    stop: int
    before: dict[str, Any]
    chooser: dict[str, Any]
    after: dict[str, Any]


def make_pager(label: str) -> Pager:
    """Place a pager."""
    with gr.Row(elem_classes="vls-pager"):
        before = gr.Button("Previous", size="sm", min_width=80, scale=0)
        chooser = gr.Dropdown([], label=label, scale=0, min_width=240)  # holds "2,226 to 2,241 of 2,241"
        after = gr.Button("Next", size="sm", min_width=80, scale=0)
    return Pager(before, chooser, after)


def follow_pager(page: Page, pager: Pager, *, top: str) -> None:
    """Show the page before or after when its button is pressed.

    Args:
        page: Its choices hold the pager's chooser.
        pager: The pager.
        top: CSS selector of what is scrolled to.
    """
    components = [choice.component for choice in page.choices]
    place = components.index(pager.chooser)
    fixed = script_arguments(page)
    for button, step in ((pager.before, -1), (pager.after, 1)):
        button.click(
            page.answer,
            inputs=components,
            outputs=list(page.outputs),
            js=(
                "(...values) => {"
                f" const [page, of] = (values[{place}] || '1/1').split('/').map(Number);"
                f" values[{place}] = `${{Math.min(of, Math.max(1, page + {step}))}}/${{of}}`;"
                f" document.querySelector({json.dumps(top)})?.scrollIntoView();"
                f" return vlsChoose({fixed}, values); }}"
            ),
            preprocess=False,
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )


def part_of(n_items: int, chosen: str | None, *, size: int) -> Part:
    """Return the part of a list that is chosen; a value that does not fit is the first page.

    Args:
        n_items: Length of the list.
        chosen: "3/41" is the third of 41 pages.
        size: Items of a page.
    """
    n_pages = max(1, -(-n_items // size))
    values = [f"{number}/{n_pages}" for number in range(1, n_pages + 1)]
    number = values.index(chosen) + 1 if chosen in values else 1
    start, stop = (number - 1) * size, min(n_items, number * size)
    ends = [((place * size) + 1, min(n_items, (place + 1) * size)) for place in range(n_pages)]
    labels = [f"{first:,} to {last:,} of {n_items:,}" for first, last in ends]
    is_shown = n_pages > 1
    return Part(
        start,
        stop,
        gr.update(visible=is_shown, interactive=number > 1),
        gr.update(choices=list(zip(labels, values, strict=True)), value=values[number - 1], visible=is_shown),
        gr.update(visible=is_shown, interactive=number < n_pages),
    )
