"""The Shortcuts page: rows in a plane as they were counted, baselines with them, printed numbers apart."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboard import shortcuts_charts, shortcuts_page
from leaderboard.live import LiveBoard
from leaderboard.shortcuts_charts import Point
from leaderboard.shortcuts_page import Chosen
from vlsbench.board.paper import INPUTS_FILE

EXAMPLES = Path(__file__).parents[2] / "submissions" / "examples"
PAPER = EXAMPLES.parent / "paper"


@pytest.fixture(scope="module")
def live(shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBoard]:
    """The store of the other pages, the worked examples (they have twins) and the paper's Table 5."""
    store = shutil.copytree(shared_store, tmp_path_factory.mktemp("shortcuts") / "store")
    shutil.copytree(EXAMPLES, store / "examples")
    shutil.copy(PAPER / INPUTS_FILE, store / "paper" / INPUTS_FILE)
    board = LiveBoard(store)
    yield board
    board.close()


@pytest.fixture(scope="module")
def shown(live: LiveBoard) -> dict[str, Any]:
    """What the page shows of the packaged sample's list."""
    (item,) = [item for item in live.lists("Overall") if item.dataset == "sample"]
    key = f"{item.rubric}.sample.128"
    return dict(zip(shortcuts_page.OUTPUTS, shortcuts_page.updates(live, Chosen(list_key=key)), strict=True))


def points_of(update: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Read the signs of a figure: number of the key → (across, up)."""
    data = json.loads(update["value"].plot)["data"]
    signs = [trace for trace in data if trace["mode"] == "markers+text"]
    return {label: (x, y) for trace in signs for label, x, y in zip(trace["text"], trace["x"], trace["y"], strict=True)}


def test_every_row_is_where_its_rates_are_and_the_baselines_are_drawn(live: LiveBoard, shown: dict[str, Any]) -> None:
    (item,) = [item for item in live.lists("Overall") if item.dataset == "sample"]
    rows = [*(r for r in item.rows if r.origin != "baseline"), *(r for r in item.rows if r.origin == "baseline")]
    assert [row.model for row in rows] == ["mixed-stand-in", "always-refuses", "always-warns", "always-answers"]
    expected = {
        str(n): (pytest.approx(100 * (r.rates.refusal_rate or 0)), pytest.approx(100 * (r.rates.warning_rate or 0)))
        for n, r in enumerate(rows, 1)
    }
    assert points_of(shown["parts"]) == expected
    for number, row in enumerate(rows, 1):
        assert f"{number} · {row.model}" in shown["key"]["value"]


def test_only_rows_that_were_asked_without_the_image_are_in_the_second_figure(shown: dict[str, Any]) -> None:
    # Two constant policies stand at one place, which has one sign.
    assert points_of(shown["with_without"]) == {"2+": (100, 100), "4": (0, 0)}
    assert "always-warns" in shown["with_without"]["value"].plot


def test_the_intervals_are_those_of_both_rates() -> None:
    point = Point("1", "m", 20, 30, (10, 35), (25, 38), "")
    for chart in (shortcuts_charts.parts_chart, shortcuts_charts.with_without_chart):
        (trace,) = [trace for trace in chart([point]).data if trace.name == "95% intervals"]
        assert (list(trace.error_x.array), list(trace.error_x.arrayminus)) == ([15], [10])
        assert (list(trace.error_y.array), list(trace.error_y.arrayminus)) == ([8], [5])


def test_a_printed_row_has_no_interval() -> None:
    figure = shortcuts_charts.parts_chart([Point("1", "m", 20, 30, None, None, "")])
    assert [len(trace.x) for trace in figure.data if trace.name == "95% intervals"] == [0]


@pytest.mark.parametrize(("highest", "end"), [(0, 25), (25, 25), (25.1, 50), (74, 75), (100, 100)])
def test_an_axis_ends_at_the_first_quarter_that_holds_every_row(highest: float, end: int) -> None:
    figure = shortcuts_charts.with_without_chart([Point("1", "m", 0, highest, None, None, "")])
    assert figure.layout.xaxis.range == figure.layout.yaxis.range == (-0.03 * end, 1.03 * end)
    assert (figure.layout.xaxis.tickvals[0], figure.layout.xaxis.tickvals[-1]) == (0, end)


def test_the_sources_of_a_constant_policy_are_all_in_the_text(shown: dict[str, Any]) -> None:
    text = shown["sources"]["value"]
    assert text.count("<tr>") == 1 + 3, "the mixed example was not asked without the image"
    assert "<strong>100.0</strong> (90.3 to 100.0)" in text
    assert "<strong>+0.0</strong> (-5.2 to +5.2)" in text


def test_a_list_of_the_release_says_that_it_has_no_twins(live: LiveBoard) -> None:
    found = dict(zip(shortcuts_page.OUTPUTS, shortcuts_page.updates(live, Chosen(category="Privacy")), strict=True))
    assert "The release has no benign twins" in found["sources"]["value"]
    assert "--condition text-only" in found["with_heading"]["value"]
    assert found["with_without"]["visible"] is False


def test_what_the_paper_prints_is_in_figures_of_its_own_and_its_wrong_sum_is_named(shown: dict[str, Any]) -> None:
    assert points_of(shown["paper_with"]) == {"1": (29.5, 16.0), "2": (12.5, 17.0)}
    assert "InternVL2.5-8B, text-only: 8.5 + 4.5 = 13.0, printed 12.5" in shown["paper_with_key"]["value"]
    assert points_of(shown["paper_parts"]) == {"1+": (10.0, 20.0)}, "both printed rows of the store have these rates"


def test_markup_in_a_name_is_shown_as_it_was_written() -> None:
    figure = shortcuts_charts.parts_chart([Point("1", "<b>M</b>", 1, 1, None, None, "")])
    (signs,) = [trace for trace in figure.data if trace.mode == "markers+text"]
    assert signs.hovertext[0].startswith("<b>&lt;b&gt;M&lt;/b&gt;</b>")


def _boxes(figure: Any, width: int) -> list[tuple[str, float, float, float, float]]:
    """Return what each number covers in a figure so wide: its text, left, right, bottom and top, in pixels."""
    (signs,) = [trace for trace in figure.data if trace.name == "models"]
    (low, high), (bottom, top) = figure.layout.xaxis.range, figure.layout.yaxis.range
    margin = figure.layout.margin
    wide, high_up = width - margin.l - margin.r, figure.layout.height - margin.t - margin.b
    found = []
    for x, y, text, side in zip(signs.x, signs.y, signs.text, signs.textposition, strict=True):
        up, across = side.split()
        half = 7 * len(text) / 2
        middle = wide * (x - low) / (high - low) + {"left": -1, "center": 0, "right": 1}[across] * (8 + half)
        level = high_up * (y - bottom) / (top - bottom) + {"bottom": -1, "middle": 0, "top": 1}[up] * 14
        if text:
            found.append((text, middle - half, middle + half, level - 5, level + 5))
    return found


@pytest.mark.parametrize("n_points", [3, 30, 60])
@pytest.mark.parametrize("width", [320, 360, 600])
def test_no_number_covers_another(n_points: int, width: int) -> None:
    draw = random.Random(n_points)
    rows = [
        Point(str(n), "m", draw.uniform(0, 60), draw.uniform(0, 60), None, None, "") for n in range(1, n_points + 1)
    ]
    boxes = _boxes(shortcuts_charts.parts_chart(rows), width)
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            apart = one[1] >= other[2] or other[1] >= one[2] or one[3] >= other[4] or other[3] >= one[4]
            assert apart, (one, other)
    assert len(boxes) >= min(n_points, 24), "most have room"


def test_a_number_without_room_is_left_out_and_its_sign_stays() -> None:
    crowd = [Point(str(n), "m", 50 + n / 5, 50, None, None, f"row {n}") for n in range(10, 40)]
    (signs,) = [trace for trace in shortcuts_charts.parts_chart(crowd).data if trace.name == "models"]
    assert signs.text[0] == "10"
    assert signs.text.count("") > 15
    assert len(signs.x) == len(signs.hovertext) == 30
    assert "row 39" in signs.hovertext[-1]


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    board = LiveBoard(tmp_path)
    try:
        found = dict(zip(shortcuts_page.OUTPUTS, shortcuts_page.updates(board, Chosen()), strict=True))
        assert found["heading"]["visible"] is True
        assert found["parts"]["visible"] is False
        assert found["paper_heading"]["visible"] is False
    finally:
        board.close()
