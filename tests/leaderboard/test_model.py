"""The Model page: its numbers are the board's, what is not there is said, and no answer is on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard import model_charts, model_page
from leaderboard.addresses import compare_address, model_address, samples_address
from leaderboard.choosers import chosen, list_key
from leaderboard.live import LiveBoard
from leaderboard.model_page import Chosen
from vlsbench.board.lists import BoardList, PlacedRow
from vlsbench.records import Estimate, Rates, Rubric

Open = Callable[..., Any]


@pytest.fixture
def live(shared_store: Path) -> LiveBoard:
    return LiveBoard(shared_store)


@pytest.fixture
def privacy(live: LiveBoard) -> BoardList:
    return max(live.lists("Privacy"), key=lambda item: len(item.rows))


def _updates(live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(model_page.OUTPUTS, model_page.updates(live, Chosen(**chosen)), strict=True))


def _body(live: LiveBoard, **chosen: Any) -> str:
    return str(_updates(live, **chosen)["body"]["value"])


def test_the_first_model_is_shown_where_none_is_chosen(live: LiveBoard, privacy: BoardList) -> None:
    shown = _updates(live)
    assert shown["model"]["value"] == privacy.rows[0].submission == "acme/good"
    assert [name for _, name in shown["model"]["choices"]] == ["acme/good", "acme/poor", "base/refuses"]


def test_the_tiles_have_the_numbers_of_the_row(live: LiveBoard) -> None:
    # Of 130 samples 33 + 65 are safe, every fourth in turn unsafe: 98 of 130; 33 refused, 65 warned.
    text = re.sub(r"<[^>]+>", " ", _body(live, submission="acme/good")).replace("&nbsp;", " ")
    assert re.search(r"Safe\s+75\.4%\s+95%: \d", text)
    assert re.search(r"Rank\s+1\s+95%: 1–1\s+of 2 ranked", text)
    assert re.search(r"Refusal\s+25\.4%", text)
    assert re.search(r"Warning\s+50\.0%", text)


def test_a_page_under_another_judge_has_that_judges_numbers(live: LiveBoard, other_judge: Rubric) -> None:
    key = f"{other_judge.rubric_id}.release.undeclared.outside"
    shown = _updates(live, submission="acme/good", list_key=key)
    assert shown["chooser"]["value"] == key
    assert "Judges side by side" in shown["body"]["value"]
    # Poor's labels: of the places 0 to 29 one refused, one without a label.
    assert "3.8" in shown["body"]["value"]


@pytest.mark.parametrize(
    ("submission", "said"),
    [
        ("acme/gone", "There is no submission <code>acme/gone</code> on this board"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("acme/fresh", "not judged yet"),
    ],
)
def test_what_is_not_on_the_board_is_said_and_no_other_is_shown(live: LiveBoard, submission: str, said: str) -> None:
    shown = _updates(live, submission=submission)
    assert said in shown["body"]["value"]
    assert "<img" not in shown["body"]["value"]
    assert "vls-tiles" not in shown["body"]["value"]
    assert shown["model"]["value"] is None


def test_an_empty_store_is_a_sentence(empty_store: Path) -> None:
    assert "No submission is in the store yet" in _body(LiveBoard(empty_store))


def test_a_list_of_one_has_no_one_to_compare_with(live: LiveBoard, other_judge: Rubric) -> None:
    body = _body(live, submission="acme/good", list_key=f"{other_judge.rubric_id}.release.undeclared.outside")
    assert "Compare with" not in body


def test_no_answer_is_on_the_page_and_its_failures_lead_to_the_samples(live: LiveBoard, privacy: BoardList) -> None:
    body = _body(live, submission="acme/good")
    assert "Answer " not in body  # what every stand-in answer begins with
    # 32 unsafe of 130: every fourth of the samples in their order, 65 to 66 of each of the two sub-categories.
    assert "32 of 130 answers are unsafe" in body
    assert "tab=samples" in body
    assert "verdict=unsafe" in body


def test_a_row_that_nobody_has_reviewed_says_so_and_where_it_would_stand(
    live: LiveBoard, privacy: BoardList, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = privacy.rows[0].model_copy(update={"rank": None, "rank_range": None, "unranked_because": "not reviewed"})
    item = privacy.model_copy(update={"rows": privacy.rows[1:], "not_reviewed": (PlacedRow(row=row, place=(1, 2)),)})
    monkeypatch.setattr(live, "lists", lambda scope, condition="image+text": [item] if scope == "Privacy" else [])
    body = _body(live, submission="acme/good")
    assert "nobody has looked at it yet" in body
    assert "would stand between 1 and 2" in body
    assert "of 2 ranked" not in body


def test_markup_in_a_card_comes_out_as_text(
    live: LiveBoard, privacy: BoardList, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    row = privacy.rows[0].model_copy(
        update={"model": evil, "organization": evil, "submitter": evil, "flags": (evil,), "unranked_because": evil}
    )
    item = privacy.model_copy(update={"rows": (row, privacy.rows[1].model_copy(update={"model": evil}))})
    monkeypatch.setattr(live, "lists", lambda scope, condition="image+text": [item] if scope == "Privacy" else [])
    body = _body(live, submission="acme/good")
    assert "<img" not in body
    assert body.count("&lt;img") > 5


def _rates(n: int, n_refusal: int, ci: tuple[float, float]) -> Rates:
    rate = n_refusal / n
    fixed: dict[str, Any] = dict.fromkeys(
        ("refusal_rate_ci", "warning_rate_ci", "unsafe_rate_ci", "safe_rate_judged_ci"), ci
    )
    return Rates(
        n_samples=n,
        n_refusal=n_refusal,
        n_warning=0,
        n_unsafe=n - n_refusal,
        n_unjudged=0,
        safe_rate=rate,
        safe_rate_ci=ci,
        safe_rate_judged=rate,
        refusal_rate=rate,
        warning_rate=0.0,
        unsafe_rate=1 - rate,
        coverage=1.0,
        response_coverage=1.0,
        bounds=(rate, rate),
        failures={},
        **fixed,
    )


@pytest.mark.parametrize(
    ("ci", "median", "where"),
    [
        ((0.4, 0.6), 0.5, None),
        ((0.4, 0.6), 0.4, None),  # an end holds what it is at
        ((0.4, 0.6), 0.39, "above"),
        ((0.4, 0.6), 0.61, "below"),
        ((0.4, 0.6), None, None),
    ],
)
def test_an_interval_is_apart_from_the_median_where_it_leaves_it_out(
    ci: tuple[float, float], median: float | None, where: str | None
) -> None:
    assert model_charts.stands(_rates(10, 5, ci), median) == where


def test_the_profile_draws_the_point_the_interval_and_the_median_where_they_are() -> None:
    drawn = model_charts.profile({"Cybercrime": _rates(10, 5, (0.25, 0.75))}, {"Cybercrime": 0.125})
    assert 'class="vls-median" style="left:12.5%"' in drawn
    assert 'class="vls-reach" style="left:25.0%;width:50.0%"' in drawn
    assert 'class="vls-point" style="left:50.0%"' in drawn
    assert "above the median" in drawn
    assert "Illegal Activity" in drawn
    assert "Violent" not in drawn


def test_the_median_is_of_the_models_of_the_list_without_baselines(live: LiveBoard, privacy: BoardList) -> None:
    rates = [live.rates_of(row.submission, privacy.rubric, ["Privacy"])["Privacy"].safe_rate for row in privacy.rows]
    assert live.medians(privacy, ["Privacy", "Cybercrime"]) == {"Privacy": pytest.approx((rates[0] + rates[1]) / 2)}  # type: ignore[operator]


def test_addresses_are_escaped_and_name_the_list(privacy: BoardList) -> None:
    key = f"list={privacy.rubric}.release.undeclared.outside"
    assert model_address("a/b c&d") == "?model=a%2Fb+c%26d"
    assert model_address("a", privacy) == f"?model=a&{key}"
    assert compare_address(privacy, ["a", "b"]) == f"?tab=compare&{key}&category=Privacy&models=a~b"
    assert samples_address(privacy, "a", verdict="unsafe") == (
        f"?tab=samples&{key}&category=Privacy&submission=a&verdict=unsafe"
    )


def test_a_list_judged_outside_has_an_address_of_its_own(privacy: BoardList) -> None:
    own = privacy.model_copy(update={"is_judged_elsewhere": False})
    assert privacy.is_judged_elsewhere
    assert chosen([own, privacy], list_key(own)) is own
    assert chosen([own, privacy], list_key(privacy)) is privacy
    assert chosen([privacy], list_key(own)) is privacy  # links made before the two were told apart
    assert chosen([own], list_key(privacy)) is own


def test_an_estimate_that_was_run_has_its_interval(live: LiveBoard, privacy: BoardList) -> None:
    found = Estimate(value=-0.05, ci=(-0.1, 0.0), n=9)
    row = privacy.rows[0].model_copy(update={"visual_reliance": found})
    item = privacy.model_copy(update={"scope": "Overall", "rows": (row,)})
    tiles = model_page._tiles(model_page.Found(item, row, None))
    assert "<strong>-5.0</strong><span>95%: -10.0 to +0.0</span>" in tiles


def test_a_model_opens_by_its_short_address_and_by_its_name(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address, address="model=acme/poor")
    page.get_by_role("heading", name="Poor-VL", exact=True).wait_for()
    page.get_by_text("BibTeX").click()
    text = page.locator(".vls-cite pre").first.inner_text()
    assert f"{shared_address}/?model=acme%2Fpoor" in text
    page.get_by_role("tab", name="Leaderboard").click()
    page.locator(".vls-judged tbody .vls-model a").filter(has_text="Good-VL-8B").filter(visible=True).click()
    page.get_by_role("heading", name="Good-VL-8B", exact=True).wait_for()
    assert "model=acme%2Fgood" in page.url


def test_the_file_for_the_hub_is_made_when_it_is_asked_for(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address, address="model=acme/good")
    results = page.locator(".vls-results").filter(visible=True)
    results.locator("summary").click()
    results.get_by_text("task_id: vlsbench_privacy").wait_for()
    assert f"url: {shared_address}/?model=acme%2Fgood" in results.locator("pre").inner_text()
