"""The Alignment page: printed numbers as printed, benchmarks named, judged rows apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard import alignment_charts, alignment_page
from leaderboard.alignment_charts import Group
from leaderboard.alignment_page import Chosen
from leaderboard.live import LiveBoard
from vlsbench.align.miniature.records import ComparisonResult, MiniatureSummary, SummaryCell, Value
from vlsbench.board.paper import AlignmentTable, PaperTable, read_alignment_table, read_paper_table

Open = Callable[..., Any]
PAPER = Path(__file__).parents[2] / "submissions" / "paper"


def add_aligned(store: Path, write_submission: Callable[..., Path]) -> Path:
    """Add the paper's own tables, and a base model with both alignments."""
    for name in ("table16.json", "table2.json"):
        shutil.copy(PAPER / name, store / "paper" / name)
    write_submission(store, "lab/base", {"model": "Lab-VL"}, {0: "warning", 3: "unsafe"})
    for alignment, labels in (("textual", {0: "warning", 2: "unsafe"}), ("multimodal", {0: "warning", 1: "refusal"})):
        card = {"model": f"Lab-VL {alignment}", "base_model": "lab-vl", "alignment": alignment}
        write_submission(store, f"lab/{alignment}", card, labels)
    return store


@pytest.fixture
def store(store: Path, write_submission: Callable[..., Path]) -> Path:
    """The store of the other pages, and what is aligned."""
    return add_aligned(store, write_submission)


@pytest.fixture(scope="module")
def address(
    shared_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
    write_submission: Callable[..., Path],
    serve_store: Callable[..., str],
) -> str:
    """Address of the same, served once: these tests only read it."""
    store = shutil.copytree(shared_store, tmp_path_factory.mktemp("alignment") / "store")
    return serve_store(add_aligned(store, write_submission))


@pytest.fixture
def live(store: Path) -> LiveBoard:
    return LiveBoard(store)


@pytest.fixture
def table16() -> PaperTable:
    return read_paper_table(PAPER / "table16.json")


@pytest.fixture
def table2() -> AlignmentTable:
    table = read_alignment_table(PAPER.parent)
    assert table is not None
    return table


def _updates(live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(alignment_page.OUTPUTS, alignment_page.updates(live, Chosen(**chosen)), strict=True))


def _texts(figure: Any) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def test_the_papers_rows_stand_by_base_model_as_it_is_then_textual_then_multimodal(table16: PaperTable) -> None:
    groups = alignment_page._groups_of_paper(table16.rows)
    assert {group.base_model: [row.alignment for row in group.rows] for group in groups} == {
        "LLaVA-v1.5-7B": ["none", *["textual"] * 3, *["multimodal"] * 3],
        "LLaVA-v1.5-13B": ["none", "textual", "multimodal"],
        "Qwen2-VL-7B": ["none", "textual", "multimodal"],
    }


def test_bars_and_signs_are_the_rates_as_printed(table16: PaperTable) -> None:
    groups = alignment_page._groups_of_paper(table16.rows)
    figure = alignment_charts.printed_chart(groups)
    rows = [row for group in groups for row in group.rows]
    refusal, warning, *signs = figure.data
    assert list(refusal.x) == pytest.approx([100 * row.refusal_rate for row in rows])
    assert list(warning.x) == pytest.approx([100 * row.warning_rate for row in rows])
    drawn = {place: rate for trace in signs for place, rate in zip(trace.y, trace.x, strict=True)}
    assert [drawn[place] for place in refusal.y] == pytest.approx([100 * row.safe_rate for row in rows])
    assert "21.26" in _texts(figure)


def test_the_words_give_the_ends_of_each_kind(live: LiveBoard) -> None:
    text = _updates(live)["printed_heading"]["value"]
    assert (
        "LLaVA-v1.5-7B: as it is 6.60%, textual alignment 11.72 to 13.99% (3 rows), multimodal alignment 21.26 to "
        "35.47% (3 rows)"
    ) in text


def test_every_number_of_table_2_is_in_the_table_with_its_benchmark(live: LiveBoard, table2: AlignmentTable) -> None:
    text = _updates(live)["leaky_table"]["value"]
    for benchmark in table2.benchmarks:
        assert benchmark.what in text
    assert text.count("<td>") == 18 * (1 + len(table2.benchmarks))
    for note in table2.notes:
        assert note.split("'")[0] in text
    assert "<td>95.53</td>" in text  # as printed, although it is not the mean


def test_other_benchmarks_are_in_a_figure_of_their_own_and_have_no_rank(
    live: LiveBoard, table2: AlignmentTable
) -> None:
    groups = [Group("LLaVA-v1.5-7B", [row for row in table2.rows if row.base_model == "LLaVA-v1.5-7B"])]
    figure = alignment_charts.benchmarks_chart(groups, table2.names("safety"))
    assert sum(len(trace.x) for trace in figure.data) == 8 * 5
    shown = _updates(live)
    assert "Not VLSBench." in shown["leaky_heading"]["value"]
    assert "rank" not in shown["leaky_table"]["value"]
    for part, absent in (("printed", "JailbreakV"), ("leaky", "Lab-VL"), ("submitted", "LLaVA")):
        assert absent not in shown[part]["value"].plot


def test_judged_rows_come_with_their_base_model_and_intervals(live: LiveBoard) -> None:
    item = max(live.lists("Privacy"), key=lambda item: len(item.rows))
    groups = alignment_page._groups_of_board(item.rows)
    assert [(group.base_model, [row.submission for row in group.rows]) for group in groups] == [
        ("lab-vl", ["lab/base", "lab/textual", "lab/multimodal"])
    ]
    figure = alignment_charts.submitted_chart(groups)
    for row, trace in zip(groups[0].rows, figure.data, strict=True):
        assert row.rates.safe_rate_ci is not None
        assert trace.x[0] + trace.error_x["array"][0] == pytest.approx(100 * row.rates.safe_rate_ci[1])
        assert trace.x[0] - trace.error_x["arrayminus"][0] == pytest.approx(100 * row.rates.safe_rate_ci[0])


def test_kinds_differ_by_colour_and_by_sign() -> None:
    kinds = alignment_charts.KINDS.values()
    assert len({kind.colour for kind in kinds}) == len({kind.symbol for kind in kinds}) == len(kinds)


def test_markup_in_a_name_comes_out_as_text(live: LiveBoard) -> None:
    evil = "<a href='javascript:alert(1)'>x</a>"
    item = max(live.lists("Privacy"), key=lambda item: len(item.rows))
    rows = [row.model_copy(update={"model": evil, "base_model": evil}) for row in item.rows]
    shown = alignment_page._submitted(item.model_copy(update={"rows": tuple(rows)}))
    assert "<a href" not in shown["submitted"]["value"].plot
    assert "<a href" not in shown["submitted_heading"]["value"]
    assert "&lt;a href" in shown["submitted_heading"]["value"]


def test_an_empty_store_says_what_is_missing(empty_store: Path) -> None:
    shown = _updates(LiveBoard(empty_store))
    assert "are not in this store" in shown["printed_heading"]["value"]
    assert "are not in this store" in shown["leaky_heading"]["value"]
    assert "No submission is in the store yet" in shown["submitted_heading"]["value"]
    assert not any(shown[part]["visible"] for part in ("printed", "leaky", "submitted"))


def test_a_list_without_aligned_models_says_what_puts_one_there(live: LiveBoard) -> None:
    item = max(live.lists("Privacy"), key=lambda item: len(item.rows))
    rows = tuple(row.model_copy(update={"base_model": None}) for row in item.rows)
    shown = alignment_page._submitted(item.model_copy(update={"rows": rows}))
    assert "base_model" in shown["submitted_heading"]["value"]
    assert not shown["submitted"]["visible"]


def test_the_page_draws_its_panels_and_nothing_sticks_out(
    address: str, open_page: Open, wait_for: Callable[..., None], resize: Callable[[Any, str], None]
) -> None:
    page = open_page(address, address="tab=alignment", theme="dark")
    page.locator(".vls-chart .barlayer .point").first.wait_for(state="attached")
    wait_for(page, page.locator(".vls-chart .js-plotly-plot").filter(visible=True).count, 5)  # the miniature has two
    for size in ("desktop", "phone"):
        resize(page, size)
        wait_for(page, lambda: page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), True)


def _miniature() -> MiniatureSummary:
    def value(mean: float) -> Value:
        said = {"n_seeds": 5, "predicted": None, "verdict": "nothing predicted"}
        return Value.model_validate({"value": mean, "low": mean - 0.1, "high": mean + 0.1, **said})

    def cell(arm: str, dial: float, leaky: float, leakless: float) -> SummaryCell:
        names = ("safe_leaky", "safe_leakless", "over_refusal", "j_leaky", "j_leakless", "reliance", "ability")
        values = dict(zip(names, map(value, (leaky, leakless, 0.2, 0.5, leakless - 0.2, 0.3, 0.0)), strict=True))
        return SummaryCell(arm=arm, dial=dial, seeds=(0, 1, 2, 3, 4), values=values, no_label=0.0)

    arms = (("base", 0.0, 0.1, 0.1), ("t-sft", 0.0, 0.9, 0.4), ("mm-sft", 0.0, 0.9, 0.8), ("mm-sft", 1.0, 0.9, 0.3))
    told = {"rubric": "world-rule", "plan": "published", "n_cells": 20, "n_planned": 130, "n_items": 160}
    side = ComparisonResult(
        name="dial-j",
        says="over the dial, J falls by less than .2",
        margin=-0.2,
        value=-0.5,
        low=-0.6,
        high=-0.4,
        n_seeds=5,
        lies="below",
        claim="above",
        rival="below",
    )
    return MiniatureSummary(**told, cells=tuple(cell(*arm) for arm in arms), comparisons=(side,))


def test_the_miniature_is_a_panel_of_its_own_and_says_that_it_is_no_benchmark(
    live: LiveBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment_page, "load_summary", _miniature)
    shown = _updates(live)
    assert "20 of 130 models, 5 seeds" in shown["miniature_heading"]["value"]
    assert "No benchmark." in shown["miniature_heading"]["value"]
    assert (
        "t-sft: leaky 90.0% (80.0 to 100.0), leakless 40.0% (30.0 to 50.0), J on leakless twins +0.20"
        in (shown["miniature_heading"]["value"])
    )
    assert "-0.50, below the margin of -0.2; the paper&#x27;s claim wants it above" in (
        shown["miniature_table"]["value"].replace("paper's", "paper&#x27;s")
    )


def test_the_miniatures_charts_show_arms_without_the_cue_and_the_cue_by_arm() -> None:
    summary = _miniature()
    figure = alignment_charts.miniature_chart([cell for cell in summary.cells if cell.dial == 0])
    points = {trace.name: list(trace.x) for trace in figure.data}
    assert points == {
        "as it is": [10.0, 10.0],
        "textual alignment": [90.0, 40.0],
        "multimodal alignment": [90.0, 80.0],
    }
    lines = alignment_charts.dial_chart([cell for cell in summary.cells if cell.arm == "mm-sft"]).data
    assert [(line.name, list(line.x), list(line.y)) for line in lines] == [
        ("mm-sft", [0.0, 1.0], pytest.approx([0.6, 0.1]))
    ]


def test_a_package_without_a_table_of_the_miniature_says_so(live: LiveBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment_page, "load_summary", lambda: None)
    shown = _updates(live)
    assert "carries no table of the miniature" in shown["miniature_heading"]["value"]
    assert not shown["miniature"]["visible"]
