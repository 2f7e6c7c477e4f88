"""The pages show the board as it is: its rows, its lists, its gaps."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from leaderboard import charts, pages, tables, texts
from vlsbench.records import Estimate, Rubric
from vlsbench.submission.board import OVERALL, Board, BoardList, BoardRow, build_board


@pytest.fixture
def board(store: Path) -> Board:
    return build_board(store)


@pytest.fixture
def privacy(board: Board) -> BoardList:
    return max(board.of_scope("Privacy"), key=lambda item: len(item.rows))


def _components(store: Path, kind: str) -> list[dict[str, Any]]:
    async def build() -> dict[str, Any]:
        return dict(pages.build_app(store).get_config_file())

    # Inside a running loop, because gradio makes one of its own where none runs, and never closes it.
    config = asyncio.run(build())
    return [part for part in config["components"] if part["type"] == kind]


def _models(part: dict[str, Any]) -> list[str]:
    value = part["props"]["value"]
    column = value["headers"].index("Model")
    return [row[column] for row in value["data"]]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)


def test_table_rows_are_the_rows_of_the_board_in_its_order(privacy: BoardList) -> None:
    table = tables.judged_table(privacy, privacy.rows)
    shown = [dict(zip(table["headers"], row, strict=True)) for row in table["metadata"]["display_value"]]
    assert [row["Model"] for row in shown] == [row.model for row in privacy.rows]
    assert [row["Safe %"] for row in shown] == [charts.percent(row.rates.safe_rate) for row in privacy.rows]
    assert [row["Origin"] for row in shown] == [row.origin for row in privacy.rows]
    assert {row["Rubric"] for row in shown} == {privacy.rubric}


def test_numbers_are_numbers_and_texts_are_plain_text(privacy: BoardList) -> None:
    table = tables.judged_table(privacy, privacy.rows)
    for column, values in zip(tables.columns_of("Privacy"), zip(*table["data"], strict=True), strict=True):
        kinds = (float, int, type(None)) if column.datatype == "number" else (str,)
        assert all(isinstance(value, kinds) for value in values), column.header


def test_an_unranked_row_sorts_behind_every_rank(privacy: BoardList) -> None:
    table = tables.judged_table(privacy, privacy.rows)
    values = {row.model: cells[0] for row, cells in zip(privacy.rows, table["data"], strict=True)}
    shown = {row.model: cells[0] for row, cells in zip(privacy.rows, table["metadata"]["display_value"], strict=True)}
    assert values["Good-VL-8B"] < values["Poor-VL"] < values["always refuses"]
    assert shown["always refuses"] == "–"


def test_only_the_overall_tab_has_visual_reliance_and_over_refusal() -> None:
    overall = [column.header for column in tables.columns_of(OVERALL)]
    category = [column.header for column in tables.columns_of("Privacy")]
    assert set(overall) - set(category) == {"Visual reliance", "Over-refusal"}


def test_visual_reliance_comes_with_its_interval(privacy: BoardList) -> None:
    row = privacy.rows[0].model_copy(update={"visual_reliance": Estimate(value=-0.05, ci=(-0.1, 0.0), n=9)})
    item = privacy.model_copy(update={"scope": OVERALL})
    table = tables.judged_table(item, [row])
    assert table["metadata"]["display_value"][0][table["headers"].index("Visual reliance")] == "-5.0 (-10.0 to 0.0)"


@pytest.mark.parametrize(
    ("count", "shown"), [(7_000_000_000, "7B"), (8_300_000_000, "8.3B"), (500_000_000, "500M"), (None, "–")]
)
def test_parameters_are_rendered_as_submitters_write_them(privacy: BoardList, count: int | None, shown: str) -> None:
    table = tables.judged_table(privacy, [privacy.rows[0].model_copy(update={"parameters": count})])
    assert table["metadata"]["display_value"][0][table["headers"].index("Parameters")] == shown


def test_printed_and_judged_rows_never_share_a_table(store: Path) -> None:
    shown = [_models(part) for part in _components(store, "dataframe") if "Model" in part["props"]["headers"]]
    printed = {"Printed-VL-7B", "Printed-VL-13B"}
    with_printed = [models for models in shown if printed & set(models)]
    assert len(with_printed) == 1
    assert set(with_printed[0]) == printed


def test_markup_from_a_store_comes_out_as_text(store: Path, privacy: BoardList) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    row = privacy.rows[0].model_copy(update={"model": evil, "unranked_because": evil})
    item = privacy.model_copy(update={"judge": evil, "judge_note": evil, "is_provisional": True, "rubric": evil})
    pieces = [texts.list_heading(item), texts.caption(item, [row]), texts.store_problem(evil)]
    for piece in pieces:
        tags = _Tags()
        tags.feed(piece)
        assert not tags.names & {"script", "img"}
        assert "&lt;img" in piece
    for part in _components(store, "dataframe"):
        datatypes = part["props"]["datatype"]
        assert set([datatypes] if isinstance(datatypes, str) else datatypes) <= {"str", "number"}


def test_a_line_end_or_a_text_direction_sign_does_not_leave_its_cell(privacy: BoardList) -> None:
    row = privacy.rows[0].model_copy(update={"model": "a\u202eb\nc"})
    assert tables.judged_table(privacy, [row])["data"][0][1] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_an_empty_store_gives_sentences_and_no_empty_chart(empty_store: Path) -> None:
    assert all(not part["props"]["visible"] for part in _components(empty_store, "plot"))
    shown = [part["props"]["value"] for part in _components(empty_store, "html") if part["props"]["visible"]]
    assert sum("No submission is in the store yet" in (text or "") for text in shown) == len(pages.SCOPES)


def test_a_tab_without_a_list_says_so(board: Board) -> None:
    assert "No judged submission answers the samples of Violent yet" in texts.empty(board, "Violent")


def test_unjudged_submissions_are_named_with_the_reason(store: Path, board: Board) -> None:
    assert tables.left_out_table(board) == [["acme/fresh", "not judged yet"]]
    accordion = _components(store, "accordion")[0]["props"]
    assert accordion["visible"]
    assert accordion["label"].endswith("(1)")


def test_two_rubrics_are_two_lists_with_a_chooser(board: Board, other_judge: Rubric) -> None:
    lists = board.of_scope("Privacy")
    assert len(lists) == 2
    chooser, *_, table = pages.tab_updates(board, "Privacy")
    assert chooser["visible"]
    assert len(chooser["choices"]) == 2
    assert len(table["value"]["data"]) == 3
    other = next(item for item in lists if item.rubric == other_judge.rubric_id)
    *_, table = pages.tab_updates(board, "Privacy", pages.list_key(other))
    assert len(table["value"]["data"]) == 1


def test_a_filter_keeps_the_baselines(board: Board) -> None:
    *_, table = pages.tab_updates(board, "Privacy", access="closed")
    column = table["value"]["headers"].index("Model")
    assert {row[column] for row in table["value"]["data"]} == {"Poor-VL", "always refuses"}


def test_a_choice_that_is_gone_falls_back_to_a_list_that_is_there(board: Board) -> None:
    chooser, access, *_ = pages.tab_updates(board, "Privacy", "gone/release/1/0/None", access="gone")
    assert chooser["value"] in {pages.list_key(item) for item in board.of_scope("Privacy")}
    assert access["value"] == "all"


def test_a_provisional_list_says_so_with_the_judges_agreement(privacy: BoardList) -> None:
    item = privacy.model_copy(update={"is_provisional": True, "judge_note": "Agrees with people on 8 of 10."})
    assert "provisional" in texts.list_heading(item)
    assert "Agrees with people on 8 of 10." in texts.list_heading(item)
    assert "provisional" not in texts.list_heading(privacy)


def test_the_caption_says_in_words_what_the_chart_shows(privacy: BoardList) -> None:
    caption = texts.caption(privacy, privacy.rows)
    best: BoardRow = privacy.rows[0]
    assert "2 models and 1 constant baseline" in caption
    assert f"the highest safe rate is {charts.percent(best.rates.safe_rate)} % (Good-VL-8B)" in caption


def test_a_new_submission_appears_without_a_restart(store: Path, write_submission: Callable[..., Path]) -> None:
    live = pages.LiveBoard(store)
    first = live.board
    assert live.refresh() == 1
    assert live.board is first  # nothing changed, nothing is counted again
    write_submission(store, "new/one", {"model": "New-VL"}, {0: "warning"})
    assert live.refresh() == 2
    models = {row.model for item in live.board.of_scope("Privacy") for row in item.rows}
    assert "New-VL" in models
    assert "New-VL" in live.csv_path.read_text(encoding="utf-8")
    assert json.loads(live.json_path.read_text(encoding="utf-8")) == live.board.model_dump(mode="json")


def test_a_store_that_cannot_be_read_again_leaves_the_board_and_says_so(store: Path) -> None:
    live = pages.LiveBoard(store)
    before = live.board
    away = store.rename(store.with_name("away"))
    store.write_text("no folder", encoding="utf-8")
    assert live.refresh() == 2
    assert live.board is before
    assert live.problem is not None
    assert "not a folder" in live.problem
    store.unlink()
    away.rename(store)
    assert live.refresh() == 3
    assert live.problem is None


def test_nothing_in_the_look_is_fetched_from_another_host() -> None:
    options = pages.launch_options()
    assert options["theme"]._stylesheets == []
    look = options["css"] + options["head"] + options["theme"]._get_theme_css()
    assert set(re.findall(r"https?://[^/\s]*", look)) <= {"http://www.w3.org"}  # the name of SVG, not an address
    assert options["share"] is False
