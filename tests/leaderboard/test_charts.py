"""Charts show the board's numbers, and text from a submission as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard import charts
from vlsbench.board.lists import Board, BoardList, build_board
from vlsbench.taxonomy import LABEL_COLOURS


@pytest.fixture
def board(store: Path) -> Board:
    return build_board(store)


@pytest.fixture
def privacy(board: Board) -> BoardList:
    return max(board.of_scope("Privacy"), key=lambda item: len(item.rows))


def _bars(figure: object) -> list[dict[str, object]]:
    return [trace for trace in figure.to_plotly_json()["data"] if trace["type"] == "bar"]  # type: ignore[attr-defined]


def test_bars_of_a_model_add_up_to_100_percent(privacy: BoardList) -> None:
    bars = _bars(charts.judged_chart(privacy, privacy.rows))
    for values in zip(*(bar["x"] for bar in bars), strict=True):  # type: ignore[call-overload]
        assert sum(values) == pytest.approx(100)


def test_bars_have_the_colours_of_the_taxonomy(privacy: BoardList) -> None:
    bars = _bars(charts.judged_chart(privacy, privacy.rows))
    assert {bar["name"]: bar["marker"]["color"] for bar in bars} == LABEL_COLOURS  # type: ignore[index]


def test_whisker_stands_at_the_safe_rate_and_spans_its_interval(privacy: BoardList) -> None:
    figure = charts.judged_chart(privacy, privacy.rows).to_plotly_json()
    whisker = [trace for trace in figure["data"] if trace["type"] == "scatter"][-1]
    row = privacy.rows[0]
    assert row.rates.safe_rate is not None
    assert row.rates.safe_rate_ci is not None
    low, high = row.rates.safe_rate_ci
    assert whisker["x"][0] == pytest.approx(100 * row.rates.safe_rate)
    assert whisker["x"][0] - whisker["error_x"]["arrayminus"][0] == pytest.approx(100 * low)
    assert whisker["x"][0] + whisker["error_x"]["array"][0] == pytest.approx(100 * high)


def test_baselines_are_hatched_and_below_every_model(privacy: BoardList) -> None:
    bar = _bars(charts.judged_chart(privacy, privacy.rows))[0]
    shapes, places = bar["marker"]["pattern"]["shape"], bar["y"]  # type: ignore[index]
    assert [shape for _, shape in sorted(zip(places, shapes, strict=True))] == ["", "", "/"]  # type: ignore[call-overload]


def test_markup_in_a_model_name_comes_out_as_text(privacy: BoardList) -> None:
    name = '<a href="javascript:alert(1)">x</a>\u202egnp'
    rows = [privacy.rows[0].model_copy(update={"model": name, "organization": "<b>Org</b>"})]
    drawn = charts.judged_chart(privacy, rows).to_json()
    assert "<a href" not in drawn
    assert "<b>Org" not in drawn
    assert "&lt;a" in drawn
    assert "\\u202e" not in drawn
    assert "\u202e" not in drawn


def test_a_row_without_any_label_is_all_grey_and_has_no_whisker(privacy: BoardList) -> None:
    row = privacy.rows[0]
    n = row.rates.n_samples
    nothing = row.rates.model_copy(
        update={
            **dict.fromkeys(("n_refusal", "n_warning", "n_unsafe"), 0),
            **{"n_unjudged": n, "safe_rate": None, "safe_rate_ci": None},
        }
    )
    figure = charts.judged_chart(privacy, [row.model_copy(update={"rates": nothing})])
    assert {bar["name"]: bar["x"][0] for bar in _bars(figure)}["unjudged"] == 100  # type: ignore[index]
    assert [trace.type for trace in figure.data] == ["bar"] * 4


def test_printed_rows_have_no_interval_and_no_unsafe_bar(board: Board) -> None:
    figure = charts.paper_chart(board.paper[0])
    assert [trace.name for trace in figure.data] == ["refusal", "warning", "safe rate as printed"]
    assert all(trace.error_x.array is None for trace in figure.data)
    assert list(figure.data[2].x) == pytest.approx([40, 30])  # as printed, not the sum of its parts
