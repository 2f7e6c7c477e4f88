"""The leaderboard as a Gradio app: a tab for all categories, one per category, and one that says how numbers are made.

`build_app` makes the app, `launch_options` says what `launch()` needs besides. Rule of the room: the pages choose and
show; every number is counted by `build_board`. Nothing is fetched from another host.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio import events
from gradio.components.plot import PlotData

from vlsbench.submission.board import OVERALL, Board, BoardList, BoardRow
from vlsbench.submission.store import PaperTable
from vlsbench.taxonomy import CATEGORY_NAMES

from . import charts, tables, texts
from .live import LiveBoard

__all__ = ["SCOPES", "build_app", "launch_options"]

SCOPES = (OVERALL, *CATEGORY_NAMES)
"""One tab each."""

_ALL = "all"
"""The choice of a filter that leaves nothing out."""

_UNSTATED = "not stated"

_TABLE_HEIGHT = 620
"""Pixels after which a table scrolls within itself: 16 rows and the header."""


class View(NamedTuple):
    """What a tab shows of one list."""

    heading: str
    chart: PlotData | None
    """None where there is no list or no row to draw."""
    legend: str
    caption: str
    table: dict[str, Any] | None


class _Tab(NamedTuple):
    """The components of a tab that change with the board or the reader's choice, in the order of updates."""

    chooser: gr.Dropdown
    access: gr.Dropdown
    alignment: gr.Dropdown
    heading: gr.HTML
    legend: gr.HTML
    chart: gr.Plot
    caption: gr.HTML
    table: gr.Dataframe


class _Paper(NamedTuple):
    """The components of the paper's section."""

    heading: gr.HTML
    legend: gr.HTML
    chart: gr.Plot
    table: gr.Dataframe


class _Rest(NamedTuple):
    """The components that belong to no tab, in the order of updates."""

    problem: gr.HTML
    left_out: gr.Accordion
    left_out_table: gr.Dataframe
    csv: gr.DownloadButton
    json: gr.DownloadButton


def build_app(store: Path) -> gr.Blocks:
    """Make the app of a store.

    Args:
        store: A folder with one directory per submission; read again at a page load when it has changed.

    Raises:
        VLSBenchError: If the store cannot be read now.
    """
    live = LiveBoard(store)
    built = live.version
    app: gr.Blocks
    with gr.Blocks(title="VLSBench leaderboard", analytics_enabled=False, fill_width=True) as app:
        gr.HTML(texts.header(), elem_classes="vls-block")
        problem = gr.HTML(visible=False, elem_classes="vls-block")
        tabs: dict[str, _Tab] = {}
        with gr.Tabs():
            with gr.Tab(OVERALL, id=OVERALL):
                tabs[OVERALL] = _make_tab(live.board, OVERALL)
                paper = _make_paper(live.board)
            for scope in CATEGORY_NAMES:
                with gr.Tab(scope, id=scope):
                    tabs[scope] = _make_tab(live.board, scope)
            with gr.Tab("About", id="About"):
                gr.Markdown(texts.ABOUT, elem_classes="vls-about", header_links=False)
                with gr.Row(elem_classes="vls-downloads"):
                    csv = gr.DownloadButton("Board as CSV", value=str(live.csv_path), size="md")
                    json = gr.DownloadButton("Board as JSON", value=str(live.json_path), size="md")
        left_out, left_out_table = _make_left_out(live.board)
        rest = _Rest(problem, left_out, left_out_table, csv, json)
        for scope, tab in tabs.items():
            _connect(live, scope, tab)
        everything = [part for tab in tabs.values() for part in tab] + [*paper, *rest]

        def load() -> list[Any]:
            if live.refresh() == built:
                return [gr.skip() for _ in everything]
            updates = [part for scope in SCOPES for part in tab_updates(live.board, scope)]
            return [*updates, *_paper_updates(live.board), *_rest_updates(live)]

        app.load(load, outputs=everything, show_progress="hidden", queue=False, api_visibility="private")

        def board() -> dict[str, Any]:
            """Return the whole board: its lists and rows, the paper's rows, and what was left out and why."""
            live.refresh()
            return live.board.model_dump(mode="json")

        events.api(board, api_name="board")
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
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_600",
        block_info_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color_dark="*neutral_300",
        block_info_text_color_dark="*neutral_300",
    )
    return {
        "theme": theme,
        "css": Path(__file__).with_name("style.css").read_text(encoding="utf-8"),
        "head": '<meta name="description" content="Safety of models where the risk is only in the image">',
        "share": False,
        "ssr_mode": False,
        "run_history": False,
        "footer_links": ["api", "settings"],
    }


def _make_tab(board: Board, scope: str) -> _Tab:
    """Place the components of a scope, filled with the board there is now."""
    if intro := texts.scope_intro(scope):
        gr.HTML(intro, elem_classes="vls-block")
    first = dict(zip(_Tab._fields, tab_updates(board, scope), strict=True))
    columns = tables.columns_of(scope)
    with gr.Row(elem_classes="vls-choosers"):
        label = "List (rows of two lists are not comparable)"
        chooser = gr.Dropdown(label=label, scale=3, min_width=280, **_filled(first["chooser"]))
        access = gr.Dropdown(label="Weights", scale=1, min_width=130, **_filled(first["access"]))
        alignment = gr.Dropdown(label="Alignment", scale=1, min_width=130, **_filled(first["alignment"]))
    return _Tab(
        chooser,
        access,
        alignment,
        heading=gr.HTML(elem_classes="vls-block", **_filled(first["heading"])),
        legend=gr.HTML(elem_classes="vls-block", **_filled(first["legend"])),
        chart=_make_chart(first["chart"]),
        caption=gr.HTML(elem_classes="vls-block", **_filled(first["caption"])),
        table=_make_table(f"{scope}: models of the chosen list", columns, first["table"], "vls-judged"),
    )


def _make_paper(board: Board) -> _Paper:
    first = dict(zip(_Paper._fields, _paper_updates(board), strict=True))
    return _Paper(
        heading=gr.HTML(elem_classes=["vls-block", "vls-paper"], **_filled(first["heading"])),
        legend=gr.HTML(elem_classes="vls-block", **_filled(first["legend"])),
        chart=_make_chart(first["chart"]),
        table=_make_table("Rows as printed in the paper", tables.PAPER_COLUMNS, first["table"], "vls-printed"),
    )


def _make_chart(first: dict[str, Any]) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, elem_classes="vls-chart", **_filled(first))


def _make_table(
    label: str,
    columns: Sequence[tables.Column] | Sequence[tables.PaperColumn],
    first: dict[str, Any],
    kind: str,
) -> gr.Dataframe:
    """Place a table; `kind` is the class by which `style.css` keeps its first columns in sight."""
    return gr.Dataframe(
        label=label,
        headers=[column.header for column in columns],
        datatype=[column.datatype for column in columns],
        column_widths=[column.width for column in columns],
        interactive=False,
        show_search="filter",
        max_height=_TABLE_HEIGHT,
        buttons=["fullscreen"],
        elem_classes=["vls-table", kind],
        **_filled(first),
    )


def _filled(update: dict[str, Any]) -> dict[str, Any]:
    """Turn an update into the keywords that build a component so, for the first page to come filled."""
    return {name: value for name, value in update.items() if name != "__type__"}


def _make_left_out(board: Board) -> tuple[gr.Accordion, gr.Dataframe]:
    with gr.Accordion(_left_out_label(board), open=False, visible=bool(board.left_out)) as accordion:
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


def _left_out_label(board: Board) -> str:
    return f"Submissions of the store that are not on the board ({len(board.left_out)})"


def _connect(live: LiveBoard, scope: str, tab: _Tab) -> None:
    """Show what the reader chooses."""

    def choose(key: str | None, access: str, alignment: str) -> list[Any]:
        return tab_updates(live.board, scope, key, access, alignment)

    for part in (tab.chooser, tab.access, tab.alignment):
        part.input(
            choose,
            inputs=[tab.chooser, tab.access, tab.alignment],
            outputs=list(tab),
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )


def list_key(item: BoardList) -> str:
    """Return what tells a list from the others of its scope."""
    return f"{item.rubric}/{item.dataset}/{item.n_samples}/{item.digest}/{item.max_new_tokens}"


def _chosen(lists: Sequence[BoardList], key: str | None) -> BoardList | None:
    """Return the list of a key; where it is gone or none was chosen, the one with most rows that is not provisional."""
    if not lists:
        return None
    by_key = {list_key(item): item for item in lists}
    return by_key.get(key or "") or max(lists, key=lambda item: (not item.is_provisional, len(item.rows)))


def _filtered(item: BoardList, access: str, alignment: str) -> list[BoardRow]:
    """Return the rows of a choice; baselines always stay, because no rate can be read without them."""
    return [
        row
        for row in item.rows
        if row.origin == "baseline"
        or (access in (_ALL, row.access or _UNSTATED) and alignment in (_ALL, row.alignment or _UNSTATED))
    ]


def _values(item: BoardList, field: str) -> list[str]:
    found = {getattr(row, field) or _UNSTATED for row in item.rows if row.origin != "baseline"}
    return [_ALL, *sorted(found, key=lambda value: (value == _UNSTATED, value))]


def make_view(item: BoardList, rows: Sequence[BoardRow]) -> View:
    """Make what a tab shows of rows of a list."""
    if not rows:
        return View(texts.list_heading(item), None, "", '<p class="vls-empty">No row fits this choice.</p>', None)
    return View(
        heading=texts.list_heading(item),
        chart=_plot(charts.judged_chart(item, rows)),
        legend=texts.legend(has_baselines=any(row.origin == "baseline" for row in rows)),
        caption=texts.caption(item, rows),
        table=tables.judged_table(item, rows),
    )


def _plot(figure: Any) -> PlotData:
    """Hand a figure to the page without plotly's tool bar, which covers bars on a phone and links to plotly's site."""
    payload = figure.to_json()
    return PlotData(type="plotly", plot=f'{payload[:-1]},"config":{{"displayModeBar":false,"displaylogo":false}}}}')


def tab_updates(
    board: Board, scope: str, key: str | None = None, access: str = _ALL, alignment: str = _ALL
) -> list[Any]:
    """Make the updates of a tab, in the order of `_Tab`."""
    lists = board.of_scope(scope)
    item = _chosen(lists, key)
    if item is None:
        hidden = [gr.update(visible=False) for _ in _Tab._fields]
        hidden[_Tab._fields.index("heading")] = gr.update(value=texts.empty(board, scope), visible=True)
        return hidden
    accesses, alignments = _values(item, "access"), _values(item, "alignment")
    access = access if access in accesses else _ALL
    alignment = alignment if alignment in alignments else _ALL
    view = make_view(item, _filtered(item, access, alignment))
    names = [(texts.list_name(one), list_key(one)) for one in lists]
    return [
        gr.update(choices=names, value=list_key(item), visible=len(lists) > 1),
        gr.update(choices=[(value, value) for value in accesses], value=access, visible=len(accesses) > 2),
        gr.update(choices=[(value, value) for value in alignments], value=alignment, visible=len(alignments) > 2),
        gr.update(value=view.heading, visible=True),
        gr.update(value=view.legend, visible=bool(view.legend)),
        gr.update(value=view.chart, visible=view.chart is not None),
        gr.update(value=view.caption, visible=True),
        gr.update(value=view.table, visible=view.table is not None),
    ]


def _paper_updates(board: Board) -> list[Any]:
    """Make the updates of the paper's section, in the order of `_Paper`."""
    table: PaperTable | None = next((table for table in board.paper if table.rows), None)
    if table is None:
        return [gr.update(visible=False) for _ in _Paper._fields]
    return [
        gr.update(value=texts.paper_heading(table), visible=True),
        gr.update(value=texts.paper_legend(), visible=True),
        gr.update(value=_plot(charts.paper_chart(table)), visible=True),
        gr.update(value=tables.paper_table(table.rows), visible=True),
    ]


def _rest_updates(live: LiveBoard) -> list[Any]:
    """Make the updates of the parts outside the tabs, in the order of `_Rest`."""
    problem = "" if live.problem is None else texts.store_problem(live.problem)
    return [
        gr.update(value=problem, visible=bool(problem)),
        gr.update(label=_left_out_label(live.board), visible=bool(live.board.left_out)),
        gr.update(value=tables.left_out_table(live.board)),
        gr.update(value=str(live.csv_path)),
        gr.update(value=str(live.json_path)),
    ]
