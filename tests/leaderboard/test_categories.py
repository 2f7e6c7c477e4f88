"""The Categories page: rankings, the heat map and the radar are the board's own numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard import categories_page, category_charts, choosers
from leaderboard.categories_page import Chosen
from leaderboard.category_charts import Profile
from leaderboard.live import LiveBoard
from vlsbench.board.lists import BoardList
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES


@pytest.fixture
def live(store: Path) -> LiveBoard:
    return LiveBoard(store)


@pytest.fixture
def privacy(live: LiveBoard) -> BoardList:
    return max(live.lists("Privacy"), key=lambda item: len(item.rows))


def _updates(live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(categories_page.OUTPUTS, categories_page.updates(live, Chosen(**chosen)), strict=True))


def _profile(live: LiveBoard, item: BoardList, place: int) -> Profile:
    rates = live.rates_of(item.rows[place].submission, item.rubric, (*CATEGORY_NAMES, *SUB_CATEGORY_NAMES))
    return Profile(item.rows[place].model, rates)


def test_a_ranking_draws_rates_and_intervals_of_the_list_in_its_order(privacy: BoardList) -> None:
    points = category_charts.ranking(privacy, privacy.rows).data[0]
    for place, row in enumerate(privacy.rows):
        assert row.rates.safe_rate is not None
        assert row.rates.safe_rate_ci is not None
        assert points.x[place] == pytest.approx(100 * row.rates.safe_rate)
        low, high = row.rates.safe_rate_ci
        assert points.x[place] - points.error_x["arrayminus"][place] == pytest.approx(100 * low)
        assert points.x[place] + points.error_x["array"][place] == pytest.approx(100 * high)


def test_the_heat_map_has_a_column_per_sub_category_that_was_asked(live: LiveBoard, privacy: BoardList) -> None:
    profile = _profile(live, privacy, 0)
    asked = {name: rates for name, rates in profile.rates.items() if name in SUB_CATEGORY_NAMES}
    drawn = category_charts.heat_map([profile])
    assert re.findall(r"<span>([^<]+)</span>", drawn) == [name for name in SUB_CATEGORY_NAMES if name in asked]
    shown = dict(re.findall(r'title="([^(]+) \([^"]+">(\d+)</td>', drawn))
    assert shown == {name: f"{100 * (rates.safe_rate or 0):.0f}" for name, rates in asked.items()}


def test_a_figure_on_any_colour_of_the_heat_map_can_be_read() -> None:
    for step in range(101):
        luminance = category_charts._luminance(*category_charts.colour_of(step / 100))
        ink = 0.0 if luminance > category_charts._HALF else 1.0
        contrast = (max(luminance, ink) + 0.05) / (min(luminance, ink) + 0.05)
        assert contrast >= 4.5, step


def test_the_radar_leaves_a_category_that_was_not_asked_empty(live: LiveBoard, privacy: BoardList) -> None:
    trace = category_charts.radar([_profile(live, privacy, 0)]).data[0]
    values = dict(zip(trace.theta, trace.r, strict=True))
    assert set(values) == set(CATEGORY_NAMES)
    assert [name for name, value in values.items() if value is not None] == ["Privacy"]


def test_markup_in_a_model_name_comes_out_as_text(live: LiveBoard, privacy: BoardList) -> None:
    evil = "<a href='javascript:alert(1)'>x</a>"
    profile = _profile(live, privacy, 0)._replace(model=evil)
    row = privacy.rows[0].model_copy(update={"model": evil})
    assert "<a" not in category_charts.heat_map([profile._replace(address="")])
    figures = [
        category_charts.radar([profile]),
        category_charts.ranking(privacy, [row]),
    ]
    for figure in figures:
        assert "<a" not in figure.to_json()


def test_the_page_says_what_is_within_noise(live: LiveBoard) -> None:
    shown = _updates(live, category="Privacy")
    assert "130 samples: a rate here moves by up to ±\N{NO-BREAK SPACE}8.5 points" in shown["ranking_heading"]["value"]


def test_a_sub_category_is_a_list_of_its_own(live: LiveBoard) -> None:
    shown = _updates(live, category="Privacy", sub_category="Unauthorized Data Collection")
    assert "69 samples" in shown["ranking_heading"]["value"]


def test_the_radar_begins_with_the_first_models_and_takes_at_most_five(live: LiveBoard, privacy: BoardList) -> None:
    models = [row.submission for row in privacy.rows if row.origin != "baseline"]
    assert _updates(live, category="Privacy")["models"]["value"] == models[:3]
    many = _updates(live, category="Privacy", models=["gone", *models, *models, *models])["models"]["value"]
    assert many == [*models, *models, *models][:5]


def test_answers_to_one_category_have_no_radar(live: LiveBoard) -> None:
    shown = _updates(live, category="Privacy")
    assert not shown["radar"]["visible"]
    assert not shown["models"]["visible"]


def test_answers_to_all_categories_have_a_radar(tmp_path: Path, write_submission: Callable[..., Path]) -> None:
    write_submission(
        tmp_path / "whole", "acme/whole", {"model": "Whole-VL"}, {0: "warning", 1: "unsafe"}, config="default"
    )
    shown = _updates(LiveBoard(tmp_path / "whole"), category="Hate")
    assert shown["radar"]["visible"]
    assert "Whole-VL: " in shown["radar_heading"]["value"]


def test_a_category_without_a_list_says_so_and_hides_the_rest(live: LiveBoard) -> None:
    shown = _updates(live, category="Violent")
    assert "No judged submission answers the samples of Violent yet" in shown["ranking_heading"]["value"]
    assert not shown["heat"]["visible"]
    assert not shown["radar"]["visible"]


def test_a_lists_key_is_the_same_in_every_scope(privacy: BoardList) -> None:
    other = privacy.model_copy(update={"scope": "Hate", "n_samples": 269, "digest": "0" * 64})
    assert choosers.list_key(privacy) == choosers.list_key(other)


def test_two_lists_of_one_key_can_both_be_chosen(privacy: BoardList) -> None:
    other = privacy.model_copy(update={"digest": "0" * 64, "rows": privacy.rows[:1]})
    _, first = choosers.list_options([privacy, other], None)
    keys = [key for _, key in first["choices"]]
    assert len(set(keys)) == 2
    assert choosers.list_options([privacy, other], keys[1])[0] is other


def test_the_page_draws_its_charts(shared_address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(shared_address, address="tab=categories&category=Privacy")
    page.locator(".vls-chart .scatterlayer").first.wait_for(state="attached")
    page.locator(".vls-heat").get_by_role("rowheader", name="Good-VL-8B").wait_for()
    page.get_by_role("heading", name="All sub-categories").filter(visible=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
