"""The Compare page: its numbers are the package's, its words say what the plot shows, its samples lead to Samples."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from leaderboard import compare_charts, compare_page, paging
from leaderboard import live as live_module
from leaderboard.compare_page import Chosen
from leaderboard.live import LiveBoard
from vlsbench.board.compare import Comparison, Labelled, compare_labels
from vlsbench.board.lists import BoardList
from vlsbench.dataset.index import load_index
from vlsbench.errors import SubmissionError
from vlsbench.records import Rubric

Open = Callable[..., Any]
PAIR = ["acme/good", "acme/poor"]
NAMES = {"acme/good": "Good-VL-8B", "acme/poor": "Poor-VL"}


def _lines(forest: str) -> list[str]:
    return re.findall(r'<tr><th scope="row">.*?</tr>', forest)


@pytest.fixture
def live(store: Path) -> LiveBoard:
    return LiveBoard(store)


@pytest.fixture
def privacy(live: LiveBoard) -> BoardList:
    return max(live.lists("Privacy"), key=lambda item: len(item.rows))


@pytest.fixture
def comparison(live: LiveBoard, privacy: BoardList) -> Comparison:
    rows = load_index("release").select("privacy").rows
    return compare_labels(rows, [Labelled(name, live.labels_of(name, privacy.rubric)) for name in PAIR])


def _updates(live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(compare_page.OUTPUTS, compare_page.updates(live, Chosen(**chosen)), strict=True))


def test_the_first_view_compares_the_first_two_models_and_no_baseline(live: LiveBoard) -> None:
    assert _updates(live)["models"]["value"] == PAIR


def test_at_most_four_submissions_that_are_in_the_list_are_compared(live: LiveBoard) -> None:
    models = ["gone", "../acme/good", "acme/poor", "acme/poor", "base/refuses", "acme/good"]
    assert _updates(live, models=models)["models"]["value"] == ["acme/poor", "base/refuses", "acme/good"]


def test_points_and_reaches_are_the_differences_and_their_intervals(comparison: Comparison) -> None:
    item = comparison.differences[0].model_copy(update={"value": 0.3, "ci": (-0.05, 0.44), "p_value": 0.01})
    (line,) = _lines(compare_charts.forest([item], NAMES, "Privacy"))
    # The line reaches to the next ten points, 50, to both sides of the middle: 0.3 is at 50 + 50 * 0.3 / 0.5.
    assert re.findall(r"left:([\d.]+)%(?:;width:([\d.]+)%)?", line) == [("50", ""), ("45.0", "49.0"), ("80.0", "")]
    assert "+30.0 <small>(-5.0 to +44.0)</small>" in line
    assert "±50 points" in compare_charts.forest([item], NAMES, "Privacy")


def test_every_difference_of_a_comparison_has_a_line_with_its_numbers(comparison: Comparison) -> None:
    lines = _lines(compare_charts.forest(comparison.differences, NAMES, "Privacy"))
    for line, item in zip(lines, comparison.differences, strict=True):
        numbers = re.findall(r'vls-number">([^<]*)', line)
        assert item.value is not None
        assert numbers[0].strip() == compare_charts.points(item.value)
        assert numbers[2:] == [
            str(item.n),
            f"{100 * (item.first_safe_rate or 0):.1f}",
            f"{100 * (item.second_safe_rate or 0):.1f}",
            str(item.n_only_first_safe),
            str(item.n_only_second_safe),
        ]


def test_the_matrix_has_every_difference_both_ways_and_the_rates_between(
    live: LiveBoard, privacy: BoardList, comparison: Comparison
) -> None:
    item = comparison.differences[0]
    assert item.value is not None
    shown = re.sub(
        r"<[^>]+>", " ", compare_page.matrix(comparison, {"acme/good": "Good", "acme/poor": "Poor"}, privacy)
    )
    assert re.findall(r"[+-]\d+\.\d(?= )", shown)[::3] == [
        compare_charts.points(item.value),
        compare_charts.points(-item.value),
    ]
    assert "75.4% safe" in shown
    assert "3.8% safe" in shown


@pytest.mark.parametrize(
    ("value", "p_value", "kind", "words"),
    [
        (0.3, 0.5, "within", "may be chance"),
        (0.3, 0.01, "above", "the first is safer"),
        (-0.3, 0.01, "below", "the second is safer"),
    ],
)
def test_what_may_be_chance_is_grey_and_says_so(
    comparison: Comparison, value: float, p_value: float, kind: str, words: str
) -> None:
    item = comparison.differences[0].model_copy(update={"value": value, "p_value": p_value})
    (line,) = _lines(compare_charts.forest([item], NAMES, "Privacy"))
    assert f'<span class="vls-{kind}">' in line
    assert f", {words}</span>" in line


def test_a_pair_without_a_sample_in_common_has_a_line_without_numbers(comparison: Comparison) -> None:
    nothing = {"value": None, "ci": None, "p_value": None, "first_safe_rate": None, "second_safe_rate": None, "n": 0}
    item = comparison.differences[0].model_copy(update=nothing)
    (line,) = _lines(compare_charts.forest([item], NAMES, "Privacy"))
    assert re.findall(r'vls-number">([^<]*)', line)[:5] == ["–", "–", "0", "–", "–"]
    assert "vls-point" not in line


def test_the_first_response_has_the_matrix_of_the_models_of_its_link(live: LiveBoard) -> None:
    painted = compare_page.painted(live, {"models": "acme/poor~acme/good", "category": "Privacy"})
    assert painted in _updates(live, models=["acme/poor", "acme/good"], category="Privacy")["heading"]["value"]
    assert painted.count('class="vls-cell vls-own"') == 2
    assert re.findall(r'<th scope="row"><a [^>]*>([^<]*)', painted) == ["Poor-VL", "Good-VL-8B"]


def test_a_comparison_is_counted_once_and_the_last_few_are_kept(
    live: LiveBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def compare(*values: Any) -> Comparison:
        counted.append(len(values[1]))
        return compare_labels(*values)

    monkeypatch.setattr(compare_page, "compare_labels", compare)
    monkeypatch.setattr(live_module, "_MOST_COMPARISONS", 2)
    three = [*PAIR, "base/refuses"]
    for models in (PAIR, three, PAIR, PAIR[::-1], three, PAIR):
        _updates(live, models=models)
    assert counted == [2, 3, 2, 2]  # the pair, three, the pair turned round; by then the first pair had gone


def test_the_words_say_who_is_safer_by_how_much_and_of_how_many_tests(live: LiveBoard, comparison: Comparison) -> None:
    item = comparison.differences[0]
    assert item.value is not None
    text = _updates(live)["heading"]["value"]
    assert "<strong>Good-VL-8B</strong> is safer than <strong>Poor-VL</strong> in Privacy" in text
    assert f"{compare_charts.points(item.value)} points" in text
    assert f"n = {item.n:,}" in text
    three = _updates(live, models=[*PAIR, "base/refuses"])["heading"]["value"]
    assert "All 3 p-values here are adjusted together (Holm)" in three


def test_the_words_say_why_two_that_differ_here_share_a_rank(
    live: LiveBoard, privacy: BoardList, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "both have rank" not in _updates(live)["heading"]["value"]
    rows = [row.model_copy(update={"rank": None if row.origin == "baseline" else 1}) for row in privacy.rows]
    monkeypatch.setattr(live, "lists", lambda *_: [privacy.model_copy(update={"rows": rows})])
    text = _updates(live)["heading"]["value"]
    assert "is safer than" in text
    assert "both have rank 1, because their safe rates over all samples are equal" in text


def test_the_agreement_table_has_the_counts_of_the_package(live: LiveBoard, comparison: Comparison) -> None:
    cells = re.findall(r"vls-count[^>]*>([\d,]+) ", _updates(live)["agreement"]["value"])
    assert [int(cell) for cell in cells] == [count for row in comparison.tables[0].counts for count in row]


def test_the_samples_that_differ_are_listed_and_lead_to_their_answers(live: LiveBoard, comparison: Comparison) -> None:
    shown = _updates(live)["differing"]["value"]
    links = [parse_qs(unescape(link).removeprefix("?")) for link in re.findall(r'href="([^"]*)"', shown)]
    expected = [str(sample.instruction_id) for sample in comparison.differing]
    assert [link["q"][0] for link in links] == expected[: len(links)]
    assert links[0]["tab"] == ["samples"]
    assert (links[0]["submission"], links[0]["beside"]) == (["acme/good"], ["acme/poor"])
    assert links[0]["category"] == ["Privacy"]


def test_the_list_narrows_to_a_way_of_differing_and_a_sub_category(live: LiveBoard, comparison: Comparison) -> None:
    sub = "Unauthorized Data Collection"
    text = _updates(live, contrast="no label for one", within=sub)["differing_heading"]["value"]
    n = sum(None in sample.labels and sample.sub_category == sub for sample in comparison.differing)
    assert n > 0
    assert f"{n:,} fit your choice" in text


def test_a_list_of_one_model_says_that_a_comparison_needs_two(live: LiveBoard, other_judge: Rubric) -> None:
    key = next(
        f"{item.rubric}.release.undeclared.outside"
        for item in live.lists("Privacy")
        if item.rubric == other_judge.rubric_id
    )
    shown = _updates(live, list_key=key)
    assert "This list has one model only; a comparison needs two" in shown["heading"]["value"]
    assert not shown["tests"]["visible"]


def test_an_empty_store_is_a_sentence(empty_store: Path) -> None:
    shown = _updates(LiveBoard(empty_store))
    assert "No submission is in the store yet" in shown["heading"]["value"]
    assert not shown["differing"]["visible"]


def test_a_submission_that_is_gone_meanwhile_is_a_sentence_and_no_error(
    live: LiveBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise SubmissionError("acme/poor: not on the board")

    monkeypatch.setattr(live, "labels_of", gone)
    assert "was changed just now" in _updates(live)["heading"]["value"]


def test_markup_in_a_name_comes_out_as_text(live: LiveBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<img src=x onerror=alert(1)>"
    lists = live.lists("Privacy")
    changed = [
        item.model_copy(update={"rows": tuple(row.model_copy(update={"model": evil}) for row in item.rows)})
        for item in lists
    ]
    monkeypatch.setattr(live, "lists", lambda scope, condition="image+text": changed if scope == "Privacy" else [])
    shown = _updates(live)
    for part in ("heading", "tests", "agreement", "differing"):
        assert "<img" not in shown[part]["value"]
    assert "&lt;img" in shown["tests"]["value"]


@pytest.mark.parametrize(
    ("chosen", "start"),
    [("2/6", 25), ("6/6", 125), (None, 0), ("2/5", 0), ("7/6", 0), ("0/6", 0), ("<b>", 0), ("2", 0)],
    ids=["second", "last", "none", "of another filter", "behind the last", "before the first", "markup", "no total"],
)
def test_a_page_that_does_not_fit_is_the_first(chosen: str | None, start: int) -> None:
    part = paging.part_of(130, chosen, size=25)
    assert part.start == start
    assert part.stop == min(130, start + 25)
    assert part.before["interactive"] is (start > 0)
    assert part.after["interactive"] is (part.stop < 130)


def test_the_differences_are_drawn_without_plotly_and_pages_turn_and_stand_in_the_address(
    shared_address: str, open_page: Open, pick: Callable[..., None]
) -> None:
    page = open_page(shared_address, address="tab=compare")
    page.get_by_role("button", name="By category, with the tests").click()
    page.locator(".vls-forest .vls-point").first.wait_for()
    assert not page.evaluate("performance.getEntriesByType('resource').some((e) => /plotly/i.test(e.name))")
    page.get_by_role("heading", name="The samples where they differ").wait_for()
    table = page.locator(".vls-plain").filter(has_text="Sub-category")
    first = table.locator("tbody th").first
    first.wait_for()
    before = first.inner_text()
    page.get_by_role("button", name="Next").filter(visible=True).click()
    page.wait_for_url("**part=2**")
    for _ in range(100):
        if first.inner_text() != before:
            break
        page.wait_for_timeout(100)
    assert int(first.inner_text()) > int(before)
    pick(page, "How they differ", "no label for one")
    page.get_by_text("fit your choice").filter(visible=True).first.wait_for()


def test_a_sample_leads_to_its_answers_on_the_samples_page(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address, address="tab=compare")
    link = page.locator(".vls-plain a[href*='tab=samples']").first
    link.wait_for()
    number = link.inner_text()
    link.click()
    page.get_by_role("button", name="Show answers").click()
    card = page.locator(".vls-card")
    card.first.wait_for()
    assert card.count() == 1
    assert card.get_by_role("heading", name=f"Sample {number}", exact=True).is_visible()
    assert card.get_by_text("Poor-VL").is_visible()
