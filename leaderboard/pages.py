"""The leaderboard as a Gradio app: its pages as tabs, what stands above and below them, and its endpoints.

`build_app` makes the app, `launch_options` says what `launch()` needs besides. Rule of the room: the pages choose and
show; every number is counted by the package. Nothing is fetched from another host.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import gradio as gr

from vlsbench.store.desk import MAX_UPLOAD_BYTES, Desk

from . import (
    about_page,
    alignment_page,
    categories_page,
    changes_page,
    charts,
    compare_page,
    endpoints,
    leaderboard_page,
    model_page,
    samples_page,
    shortcuts_page,
    submit_page,
    tables,
    texts,
)
from .first import STYLE
from .live import LiveBoard
from .page import SCRIPT, Page, follow, link_notice, opened, page_name, tell_ready

__all__ = ["build_app", "launch_options"]


_PAGES: tuple[tuple[str, Callable[[LiveBoard], Page]], ...] = (
    ("Leaderboard", leaderboard_page.make),
    ("Model", model_page.make),
    ("Categories", categories_page.make),
    ("Compare", compare_page.make),
    ("Samples", samples_page.make),
    ("Alignment", alignment_page.make),
    ("Shortcuts", shortcuts_page.make),
    ("Changes", changes_page.make),
    ("Submit", submit_page.make),
    ("About", about_page.make),
)
"""The tabs, in their order; the first is shown where an address names none."""


_UPLOADS_GO = (600, 3600)
"""Every ten minutes gradio deletes what was uploaded an hour ago; all of it when the server ends."""


_SESSIONS = 200
"""Readers that gradio remembers, with the last answer each got (0.3 MB for a list of twelve rows). No page needs it: a
reader's choices come with every request. A call of the API is a reader of its own; gradio's default is 10,000."""


class _Frame(NamedTuple):
    """The components that belong to no page, in the order of updates."""

    problem: gr.HTML
    left_out: gr.Accordion
    left_out_table: gr.Dataframe


def build_app(
    store: Path,
    *,
    data: Path | None = None,
    desk: Desk | None = None,
    start: Callable[[LiveBoard], None] = lambda live: None,
) -> gr.Blocks:
    """Make the app of a store.

    Args:
        store: A folder with one directory per submission; read again at a page load when it has changed.
        data: The release on disk, for the page that shows samples.
        desk: Takes submissions; None takes them into the folder.
        start: Called with the board, for who keeps the folder fresh.

    Raises:
        VLSBenchError: If the store cannot be read now.
    """
    live = LiveBoard(store, data, desk)
    start(live)
    built = live.version
    app: gr.Blocks
    with gr.Blocks(
        title="VLSBench leaderboard", analytics_enabled=False, fill_width=True, delete_cache=_UPLOADS_GO
    ) as app:
        gr.HTML(texts.header(), elem_classes="vls-block")
        problem = gr.HTML(visible=False, elem_classes="vls-block")
        lost = gr.HTML(visible=False, elem_classes="vls-block")
        pages: list[Page] = []
        placed: list[tuple[Page, gr.Tab, gr.HTML]] = []
        with gr.Tabs() as tabs:
            for name, make in _PAGES:
                with gr.Tab(name, id=name) as tab:
                    notice = gr.HTML(visible=False, elem_classes="vls-block")
                    page = make(live)
                pages.append(page)
                placed.append((page, tab, notice))
        for page, tab, notice in placed:
            follow(page, tab, notice, lambda: live.refresh() != built)
        frame = _Frame(problem, *_make_left_out(live))
        still = {page.name: [choice.component for choice in page.choices if choice.is_still] for page in pages}

        # The query of the request is no measure: a reader who types before this event is sent has changed it already.
        query = gr.Textbox(visible=False)

        def show(opened_with: Any, *, is_first: bool) -> list[Any]:
            is_same = live.refresh() == built
            text = opened_with if isinstance(opened_with, str) else ""
            given = dict(parse_qsl(text.removeprefix("?"), keep_blank_values=True))
            found = opened(pages, given, is_first=is_first)
            is_there = is_first and found.page is pages[0]
            updates: list[Any] = [gr.skip() if is_there else gr.Tabs(selected=found.page.name)]
            for other in pages:
                parts = len(still[other.name]) + 1 + len(other.outputs)
                mine = [*found.chosen, found.notice, *found.shown]
                updates += mine if other is found.page else [gr.skip() for _ in range(parts)]
            wanted = page_name(given)
            is_known = wanted in ("", found.page.name.lower())
            updates.append(link_notice("" if is_known else texts.no_page(wanted, found.page.name)))
            return [*updates, *([gr.skip() for _ in frame] if is_same else _frame_updates(live))]

        parts = [part for page, _, notice in placed for part in (*still[page.name], notice, *page.outputs)]
        changed = [tabs, *parts, lost, *frame]
        how: dict[str, Any] = {
            "inputs": query,
            "outputs": changed,
            "show_progress": "hidden",
            "queue": False,
            "api_visibility": "private",
        }
        tell_ready(app.load(lambda text: show(text, is_first=True), js="() => vlsLoad()", **how), "load")
        # Pressed by the script: a link of ours was followed, or its reader went back.
        go = gr.Button("Go", elem_classes="vls-go")
        go.click(
            lambda text: show(text, is_first=False),
            js="() => [window.location.search]",
            trigger_mode="always_last",
            **how,
        )

        endpoints.add(live)
    return app


def launch_options() -> dict[str, Any]:
    """Return what `launch()` needs for the app of `build_app`: the look, and nothing that leaves this machine."""
    fonts = [font.strip(" '") for font in charts.FONT_FAMILY.split(",")]
    theme = gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=fonts,
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    ).set(
        # The default greys have a contrast of 2.6 on white; WCAG AA asks for 4.5.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_600",
        block_info_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color_dark="*neutral_300",
        block_info_text_color_dark="*neutral_300",
    )
    return {
        "theme": theme,
        "css": Path(__file__).with_name("style.css").read_text(encoding="utf-8") + STYLE,
        "head": SCRIPT,
        "share": False,
        "enable_monitoring": False,
        "state_session_capacity": _SESSIONS,
        "max_file_size": MAX_UPLOAD_BYTES,
        "ssr_mode": False,
        "run_history": False,
        "footer_links": ["api", "settings"],
    }


def _make_left_out(live: LiveBoard) -> tuple[gr.Accordion, gr.Dataframe]:
    board = live.board
    with gr.Accordion(
        _left_out_label(live), open=False, visible=bool(board.left_out), elem_classes="vls-left-out"
    ) as accordion:
        table = gr.Dataframe(
            tables.left_out_table(board),
            headers=list(tables.LEFT_OUT_HEADERS),
            datatype="str",
            interactive=False,
            wrap=True,
            column_widths=["35%", "65%"],
            buttons=[],
            show_label=False,
            elem_classes="vls-table",
        )
    return accordion, table


def _left_out_label(live: LiveBoard) -> str:
    return f"Submissions of the store that are not on the board ({len(live.board.left_out)})"


def _frame_updates(live: LiveBoard) -> list[Any]:
    """Make the updates of the parts outside the pages, in the order of `_Frame`."""
    said = " ".join(filter(None, (live.sync_problem, live.problem)))
    problem = texts.store_problem(said) if said else ""
    return [
        gr.update(value=problem, visible=bool(problem)),
        gr.update(label=_left_out_label(live), visible=bool(live.board.left_out)),
        gr.update(value=tables.left_out_table(live.board)),
    ]
