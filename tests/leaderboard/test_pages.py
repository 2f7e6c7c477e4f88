"""The pages show the board as it is: its rows, its lists, its gaps."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from leaderboard import choosers, leaderboard_page, pages, tables, texts
from leaderboard.leaderboard_page import Chosen
from leaderboard.live import LiveBoard
from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow, PlacedRow, build_board
from vlsbench.records import Estimate, Rubric
from vlsbench.text import percent


@pytest.fixture
def board(store: Path) -> Board:
    return build_board(store)


@pytest.fixture
def live(store: Path) -> LiveBoard:
    return LiveBoard(store)


@pytest.fixture
def privacy(board: Board) -> BoardList:
    return max(board.of_scope("Privacy"), key=lambda item: len(item.rows))


def _components(store: Path, kind: str) -> list[dict[str, Any]]:
    async def build() -> dict[str, Any]:
        return dict(pages.build_app(store).get_config_file())

    # Inside a running loop, because gradio makes one of its own where none runs, and never closes it.
    config = asyncio.run(build())
    return [part for part in config["components"] if part["type"] == kind]


def _updates(live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    names = leaderboard_page.OUTPUTS
    return dict(zip(names, leaderboard_page.updates(live, Chosen(**chosen)), strict=True))


Read = Callable[[str], list[dict[str, str]]]


@pytest.fixture
def shown_models(read_table: Read) -> Callable[[dict[str, Any]], list[str]]:
    """Models that a table shows, in its order."""
    return lambda update: [row["Model"] for row in read_table(update["value"])]


Shown = Callable[[dict[str, Any]], list[str]]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)


def test_table_rows_are_the_rows_of_the_board_in_its_order(privacy: BoardList, read_table: Read) -> None:
    shown = read_table(tables.judged_table(privacy, privacy.rows))
    assert [row["Model"] for row in shown] == [row.model for row in privacy.rows]
    assert [row["Safe %"] for row in shown] == [percent(row.rates.safe_rate) for row in privacy.rows]
    assert [row["Origin"] for row in shown] == [row.origin for row in privacy.rows]
    assert {row["Rubric"] for row in shown} == {privacy.rubric}
    assert [row["Rank"] for row in shown] == ["1", "2", "–"]


def test_what_a_column_sorts_by_is_a_number_where_it_is_one(privacy: BoardList) -> None:
    for column in tables.COLUMNS:
        kinds = (float, int, type(None)) if column.datatype == "number" else (str, type(None))
        assert all(isinstance(column.cell(privacy, row).value, kinds) for row in privacy.rows), column.header


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_an_unranked_row_sorts_behind_every_rank(live: LiveBoard, shown_models: Shown, order: str) -> None:
    shown = shown_models(_updates(live, category="Privacy", sort=f"Rank {order}")["table"])
    assert shown[-1] == "always refuses"


def test_only_the_overall_list_has_what_is_counted_over_all_categories(privacy: BoardList) -> None:
    every = [column.header for column in tables.COLUMNS]
    one = Estimate(value=0.1, ci=(0.0, 0.2), n=9)
    row = privacy.rows[0].model_copy(update={"visual_reliance": one, "over_refusal": one, "youden_j": one})
    item = privacy.model_copy(update={"scope": OVERALL, "rows": (row,)})
    overall = [column.header for column in tables.columns_of(item, every)]
    category = [column.header for column in tables.columns_of(privacy, every)]
    assert set(overall) - set(category) == {"Visual reliance", "Over-refusal", "Youden's J"}
    unasked = item.model_copy(update={"rows": privacy.rows})
    assert [column.header for column in tables.columns_of(unasked, every)] == category


def test_rank_and_model_are_there_whatever_a_reader_chooses(privacy: BoardList) -> None:
    assert [column.header for column in tables.columns_of(privacy, [])] == ["Rank", "Model"]
    assert [column.header for column in tables.columns_of(privacy, ["Flags", "gone"])] == ["Rank", "Model", "Flags"]


def test_visual_reliance_comes_with_its_interval(privacy: BoardList) -> None:
    row = privacy.rows[0].model_copy(update={"visual_reliance": Estimate(value=-0.05, ci=(-0.1, 0.0), n=9)})
    item = privacy.model_copy(update={"scope": OVERALL})
    assert "-5.0<small>-10.0 to 0.0</small>" in tables.judged_table(item, [row])


@pytest.mark.parametrize(
    ("count", "shown"), [(7_000_000_000, "7B"), (8_300_000_000, "8.3B"), (500_000_000, "500M"), (None, "–")]
)
def test_parameters_are_rendered_as_submitters_write_them(
    privacy: BoardList, read_table: Read, count: int | None, shown: str
) -> None:
    table = tables.judged_table(privacy, [privacy.rows[0].model_copy(update={"parameters": count})])
    assert read_table(table)[0]["Parameters"] == shown


def test_printed_and_judged_rows_never_share_a_table(live: LiveBoard, read_table: Read) -> None:
    printed = _updates(live, category=OVERALL, list_key="paper")
    assert {row["Model"] for row in read_table(printed["paper_table"]["value"])} == {"Printed-VL-7B", "Printed-VL-13B"}
    assert not printed["table"]["visible"]
    assert "Printed-VL-13B" in printed["bars"]["value"]
    assert "Good-VL-8B" not in printed["bars"]["value"]
    judged = _updates(live, category="Privacy")
    assert not judged["paper_table"]["visible"]
    assert "Printed" not in judged["table"]["value"] + judged["bars"]["value"]


def test_markup_from_a_store_comes_out_as_text(store: Path, privacy: BoardList) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    row = privacy.rows[0].model_copy(update={"model": evil, "unranked_because": evil})
    item = privacy.model_copy(update={"judge": evil, "judge_note": evil, "is_provisional": True, "rubric": evil})
    pieces = [texts.list_heading(item), texts.caption(item, [row], n_drawn=1, n_listed=1), texts.store_problem(evil)]
    pieces.append(tables.judged_table(item, [row.model_copy(update={"flags": (evil,), "submission": evil})]))
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
    assert ">a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c</a>" in tables.judged_table(privacy, [row])


def test_an_empty_store_gives_a_sentence_and_no_empty_chart(empty_store: Path) -> None:
    shown = _updates(LiveBoard(empty_store))
    assert "No submission is in the store yet" in shown["answer"]["value"]
    for name in ("bars", "table", "paper_table", "share"):
        assert not shown[name]["visible"], name


def test_a_tab_without_a_list_says_so(board: Board) -> None:
    assert "No judged submission answers the samples of Violent yet" in texts.empty(board, "Violent")


def test_unjudged_submissions_are_named_with_the_reason(store: Path, board: Board) -> None:
    assert tables.left_out_table(board) == [["acme/fresh", "not judged yet"]]
    accordion = _components(store, "accordion")[-1]["props"]
    assert accordion["visible"]
    assert accordion["label"].endswith("(1)")


def test_two_rubrics_are_two_lists_with_a_chooser(live: LiveBoard, shown_models: Shown, other_judge: Rubric) -> None:
    lists = live.lists("Privacy")
    assert len(lists) == 2
    shown = _updates(live, category="Privacy")
    assert shown["chooser"]["visible"]
    assert len(shown["chooser"]["choices"]) == 2
    assert len(shown_models(shown["table"])) == 3
    other = next(item for item in lists if item.rubric == other_judge.rubric_id)
    shown = _updates(live, category="Privacy", list_key=choosers.list_key(other))
    assert shown_models(shown["table"]) == ["Good-VL-8B"]


def test_the_first_view_is_of_a_scope_that_has_a_list(live: LiveBoard) -> None:
    assert _updates(live)["category"]["value"] == "Privacy"


@pytest.mark.parametrize(
    ("chosen", "models"),
    [
        ({"access": "closed"}, ["Poor-VL", "always refuses"]),
        ({"alignment": "multimodal"}, ["Good-VL-8B", "always refuses"]),
        ({"search": "poor"}, ["Poor-VL", "always refuses"]),
        ({"search": "ACME; nothing"}, ["Good-VL-8B", "Poor-VL", "always refuses"]),
        ({"search": "fits nobody"}, ["always refuses"]),
        ({"search": "; ;"}, ["Good-VL-8B", "Poor-VL", "always refuses"]),
    ],
)
def test_a_choice_keeps_what_fits_it_and_the_baselines(
    live: LiveBoard, shown_models: Shown, chosen: dict[str, str], models: list[str]
) -> None:
    assert shown_models(_updates(live, category="Privacy", **chosen)["table"]) == models


def test_what_nobody_accepted_decides_on_no_first_view(live: LiveBoard) -> None:
    (item, *_) = live.lists("Privacy")
    waiting = tuple(PlacedRow(row=row, place=None) for row in item.rows)
    theirs = item.model_copy(update={"scope": OVERALL, "rows": (), "not_reviewed": waiting, "max_new_tokens": 1})
    example = item.model_copy(update={"scope": OVERALL, "dataset": "sample"})
    before, board = _updates(live), live.board
    live.board = board.model_copy(update={"lists": (theirs, *board.lists)})
    after = _updates(live)
    for name in ("category", "answer", "bars", "table"):
        assert after[name] == before[name], name
    # The shipped store: the paper's rows and a worked example.
    live.board = board.model_copy(update={"lists": (theirs, example)})
    assert _updates(live)["chooser"]["value"] == "paper"
    assert choosers.chosen([theirs, example], None) == example
    assert choosers.chosen([theirs], None) == theirs
    live.board = board.model_copy(update={"lists": (theirs,), "paper": ()})
    assert "not reviewed" in _updates(live)["answer"]["value"]


@pytest.mark.parametrize(
    ("sort", "first"), [("safe rate", "always refuses"), ("model", "always refuses"), ("unsafe", "Poor-VL")]
)
def test_rows_sort_by_what_is_chosen(live: LiveBoard, shown_models: Shown, sort: str, first: str) -> None:
    assert shown_models(_updates(live, category="Privacy", sort=sort)["table"])[0] == first


@pytest.mark.parametrize(("order", "models"), [("ascending", ["Poor-VL"]), ("descending", ["Good-VL-8B"])])
def test_the_menu_of_a_column_sorts_the_whole_list_before_it_is_cut(
    live: LiveBoard, shown_models: Shown, monkeypatch: pytest.MonkeyPatch, order: str, models: list[str]
) -> None:
    monkeypatch.setattr(leaderboard_page, "_N_ROWS", ("1", "all"))
    # Of 130 samples Good-VL-8B is unsafe in 32 and Poor-VL in nearly all: as a rank would have it, Good-VL-8B is first.
    shown = _updates(live, category="Privacy", sort=f"Safe % {order}", search="acme", n_rows="1")
    listed = [name for name in shown_models(shown["table"]) if name != "always refuses"]
    assert listed == (models if order == "ascending" else [])  # the baseline, with 100, is the first of all


@pytest.mark.parametrize("sort", list(leaderboard_page.SORTS))
def test_every_order_shows_the_same_rows(live: LiveBoard, shown_models: Shown, sort: str) -> None:
    shown = shown_models(_updates(live, category="Privacy", sort=sort)["table"])
    assert sorted(shown) == ["Good-VL-8B", "Poor-VL", "always refuses"]


def test_values_that_are_gone_or_were_never_there_fall_back(live: LiveBoard) -> None:
    shown = _updates(
        live,
        list_key="gone.release.128.000000",
        condition="gone",
        category="gone",
        sub_category="gone",
        access="gone",
        alignment="gone",
        sort="gone",
        n_rows="-1",
        columns=["gone"],
    )
    assert shown["chooser"]["value"] in {choosers.list_key(item) for item in live.lists("Privacy")}
    assert shown["access"]["value"] == "all"
    assert shown["sub_category"]["value"] == "all"


def test_a_provisional_list_says_so_with_the_judges_agreement(privacy: BoardList) -> None:
    item = privacy.model_copy(update={"is_provisional": True, "judge_note": "Agrees with people on 8 of 10."})
    assert "provisional" in texts.list_heading(item)
    assert "Agrees with people on 8 of 10." in texts.list_heading(item)
    assert "provisional" not in texts.list_heading(privacy)


def test_the_caption_says_in_words_what_the_chart_shows(privacy: BoardList) -> None:
    caption = texts.caption(privacy, privacy.rows, n_drawn=3, n_listed=3)
    best: BoardRow = privacy.rows[0]
    assert "2 models and 1 constant baseline" in caption
    assert f"the highest safe rate is {percent(best.rates.safe_rate)}% (Good-VL-8B)" in caption


def test_a_new_submission_appears_without_a_restart(store: Path, write_submission: Callable[..., Path]) -> None:
    live = LiveBoard(store)
    first = live.board
    assert live.refresh() == 1
    assert live.board is first  # nothing changed, nothing is counted again
    write_submission(store, "new/one", {"model": "New-VL"}, {0: "warning"})
    assert live.refresh() == 2
    models = {row.model for item in live.board.of_scope("Privacy") for row in item.rows}
    assert "New-VL" in models
    assert "New-VL" in dict(live.downloads())["CSV"].read_text(encoding="utf-8")
    assert json.loads(dict(live.downloads())["JSON"].read_text(encoding="utf-8")) == live.board.model_dump(mode="json")


def test_a_store_that_cannot_be_read_again_leaves_the_board_and_says_so(store: Path) -> None:
    live = LiveBoard(store)
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
    assert set(re.findall(r"https?://[^/\s\"]*", look)) <= {
        "http://www.w3.org",  # the name of SVG, not an address
        "https://huggingface.co",  # who may read the message that carries a Space's address
    }
    assert options["share"] is False


def _ranked(item: BoardList, *of_list: tuple[int, int]) -> BoardList:
    rows = tuple(
        item.rows[0].model_copy(
            update={
                "submission": f"m{place}",
                "rank": low,
                "rank_range": (low, high),
                "rank_range_of_list": (low, high),
            }
        )
        for place, (low, high) in enumerate(of_list)
    )
    return item.model_copy(update={"rows": rows})


@pytest.mark.parametrize(
    ("ranges", "groups"),
    [
        ([], []),
        ([(1, 1)], [0]),
        ([(1, 2), (1, 2)], [0, 0]),
        ([(1, 1), (2, 2)], [0, 1]),
        ([(1, 2), (1, 2), (3, 4), (3, 4)], [0, 0, 1, 1]),
        ([(1, 2), (1, 3), (2, 4), (3, 4)], [0, 0, 0, 0]),  # each is told from some, no group from another
        ([(1, 1), (1, 2)], [0, 0]),
    ],
)
def test_a_group_ends_where_no_row_crosses(ranges: list[tuple[int, int]], groups: list[int]) -> None:
    assert tables.groups_of(ranges) == groups


def test_a_line_stands_between_groups_and_only_in_the_order_of_ranks(privacy: BoardList) -> None:
    item = _ranked(privacy, (1, 2), (1, 2), (3, 3))
    by_rank = tables.judged_table(item, item.rows)
    assert by_rank.count('class="vls-rule"') == 1
    assert by_rank.index('value="m1"') < by_rank.index('class="vls-rule"') < by_rank.index('value="m2"')
    assert "A thick line divides groups" in by_rank
    assert "vls-rule" not in tables.judged_table(item, item.rows, sort="safe rate")
    # Rows that a choice leaves out take no line with them.
    assert tables.judged_table(item, (item.rows[0], item.rows[2])).count('class="vls-rule"') == 1


def test_a_rank_has_its_range_under_it(privacy: BoardList) -> None:
    item = _ranked(privacy, (1, 2), (3, 3))
    table = tables.judged_table(item, item.rows)
    assert "1<small>1–2</small>" in table
    assert "3<small>3–3</small>" in table


def test_what_nobody_has_reviewed_is_folded_away_and_cut(privacy: BoardList) -> None:
    row = privacy.rows[0].model_copy(update={"rank": None, "rank_range": None, "model": "Sent<b>"})
    placed = tuple(
        PlacedRow(row=row.model_copy(update={"submission": f"s{number}"}), place=(2, 4)) for number in range(60)
    )
    item = privacy.model_copy(update={"not_reviewed": placed})
    table = tables.judged_table(item, item.rows)
    assert "Not reviewed: 60 rows" in table
    assert table.count("would stand between 2 and 4") == 50
    assert "<b>" not in table
    assert table.index("</table>") < table.index("Not reviewed")


def _query(html: str, text: str) -> dict[str, str]:
    """Return the query that a link leads to."""
    link = next(link for link in re.findall(r"<a [^>]*>.*?</a>", html) if text in link)
    return dict(parse_qsl(unescape(re.findall(r'href="\?([^"]*)"', link)[0])))


def test_what_is_chosen_stands_in_one_line_and_is_taken_back_one_by_one(live: LiveBoard) -> None:
    shown = _updates(live, category="Privacy", access="open", search="good", sort="safe rate")
    assert shown["line"]["label"] == "Judge openai:judge-2026-01-01 · image+text · Privacy · 2 filters"
    taken = shown["taken"]["value"]
    all_of_it = {"category": "Privacy", "q": "good", "weights": "open", "sort": "safe rate"}
    for key, text in (("q", "search: good"), ("weights", "weights: open"), ("sort", "sorted by safe rate")):
        assert _query(taken, text) == {name: value for name, value in all_of_it.items() if name != key}
    # Where the board opens by itself is nothing to take back.
    assert "Take back Privacy" not in taken
    assert not _updates(live)["taken"]["visible"]


def test_a_store_whose_only_list_is_the_worked_example_opens_on_the_papers_rows() -> None:
    shipped = LiveBoard(Path(__file__).parents[2] / "submissions")
    shown = _updates(shipped)
    assert shown["answer"]["value"].startswith(
        '<p class="vls-answer-first">Highest safe rate printed in the paper: <strong>Claude-3.5-sonnet-20240620'
    )
    assert shown["bars"]["value"].count('<li class="vls-bar"') == 30
    query = _query(shown["heading"]["value"], "worked example")
    example = _updates(shipped, list_key=query["list"])
    assert "worked example" in example["answer"]["value"]
    assert "measures no model" in example["heading"]["value"]
    assert "mixed-stand-in" in example["bars"]["value"]
    assert "Claude" not in example["bars"]["value"]


def test_a_view_is_taken_along_as_address_citation_call_and_frame(live: LiveBoard) -> None:
    shared = unescape(_updates(live, category="Privacy", access="open")["share"]["value"])
    assert 'href="view.csv?category=Privacy&weights=open"' in shared
    assert 'src="{board}embed?category=Privacy&weights=open"' in shared
    assert "howpublished = {{board}?category=Privacy&weights=open}" in shared
    item = max(live.lists("Privacy"), key=lambda item: len(item.rows))
    assert f"board.predict('Privacy', 'image+text', '{choosers.list_key(item)}', api_name=\"/table\")" in shared
