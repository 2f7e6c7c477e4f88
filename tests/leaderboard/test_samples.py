"""The Samples page: nothing before it is asked for, text of strangers as text, images blurred and one by one."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from leaderboard import pieces, samples_page
from leaderboard.live import LiveBoard
from leaderboard.samples_page import Chosen
from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import open_source
from vlsbench.files import append_lines, canonical_json, write_atomic
from vlsbench.records import Response, Rubric, Verdict

Open = Callable[..., Any]

JUDGE = Rubric(judge="openai:judge-2026-01-01", protocol="v1", evidence=("image", "instruction", "response"))
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "![x](http://203.0.113.7/x.png) [click](javascript:alert(1))",
    "<a href='javascript:alert(1)'>click</a></div></article><iframe src='http://203.0.113.7'></iframe>",
    "abc\u202edef\u2066 and \u0007",
    "${alert(1)} {{value}} {{#each this}} `${1}`",
    "<style>body { display: none }</style>",
    '=HYPERLINK("http://203.0.113.7")',
    "long " * 400,
)


def write_hostile(store: Path, name: str, model: str) -> None:
    """Write a submission of the package's own sample whose answers, and whose judge's explanations, would act."""
    rows = load_index("sample").risky
    card = {"model": model, "dataset": {"config": "sample"}}
    folder = store / name
    write_atomic(folder / "submission.json", json.dumps(card))
    answers = [
        Response(
            instruction_id=row.instruction_id,
            response=f"{model} {place}: {HOSTILE[place % len(HOSTILE)]}",
            finish_reason="<b>length</b>",
        )
        for place, row in enumerate(rows)
    ]
    verdicts = [
        Verdict(
            instruction_id=answer.instruction_id,
            label=("refusal", "warning", "unsafe")[place % 3],
            rubric=JUDGE.rubric_id,
            explanation=f"Because {HOSTILE[place % len(HOSTILE)]}",
            response_sha256=answer.digest,
        )
        for place, answer in enumerate(answers)
    ]
    append_lines(folder / "responses.jsonl", (line.model_dump_json(exclude_defaults=True) for line in answers))
    rubric = canonical_json(JUDGE.model_dump(mode="json"))
    write_atomic(folder / "verdicts" / f"{JUDGE.rubric_id}.rubric.json", rubric + "\n")
    lines = (verdict.model_dump_json(exclude_defaults=True) for verdict in verdicts)
    append_lines(folder / "verdicts" / f"{JUDGE.rubric_id}.jsonl", lines)


def add_hostile(store: Path) -> Path:
    """Add two submissions of the package's own sample, which has images at hand."""
    write_hostile(store, "evil/one", "One-VL")
    write_hostile(store, "evil/two", "Two-VL")
    return store


@pytest.fixture
def store(store: Path) -> Path:
    """The store of the other pages, and the hostile submissions."""
    return add_hostile(store)


@pytest.fixture(scope="module")
def address(shared_store: Path, tmp_path_factory: pytest.TempPathFactory, serve_store: Callable[..., str]) -> str:
    """Address of the same, served once: these tests only read it."""
    return serve_store(add_hostile(shutil.copytree(shared_store, tmp_path_factory.mktemp("samples") / "store")))


@pytest.fixture
def live(store: Path) -> LiveBoard:
    return LiveBoard(store)


def _updates(live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(samples_page.OUTPUTS, samples_page.updates(live, Chosen(**chosen)), strict=True))


def test_a_page_lists_twenty_samples_and_says_how_many_there_are(live: LiveBoard) -> None:
    shown = _updates(live, category="Privacy", submission="acme/good")
    assert shown["cards"]["value"].count("<article") == 20
    assert "130 of its 130 samples" in shown["heading"]["value"]
    assert shown["part"]["choices"][-1] == ("121 to 130 of 130", "7/7")
    assert _updates(live, category="Privacy", part="7/7")["cards"]["value"].count("<article") == 10


@pytest.mark.parametrize(
    ("chosen", "n"),
    [
        ({"outcome": "unjudged"}, 0),
        ({"outcome": "warning"}, 65),
        ({"sub_category": "Unauthorized Data Collection"}, 69),
        ({"search": "4"}, 1),  # the id of a sample
        ({"search": "answer"}, 130),
        ({"search": "no answer says this"}, 0),
    ],
)
def test_choices_narrow_what_is_listed(live: LiveBoard, chosen: dict[str, str], n: int) -> None:
    text = _updates(live, category="Privacy", submission="acme/good", **chosen)["heading"]["value"]
    assert (f"{n} of its 130 samples fit" if n else "None of its 130 samples fits") in text


def test_a_card_names_sample_digest_label_and_the_judges_reason(live: LiveBoard) -> None:
    row = load_index("sample").risky[0]
    card = _updates(live, submission="evil/one", search=str(row.instruction_id))["cards"]["value"]
    for piece in (f"Sample {row.instruction_id}", row.category, row.instruction_sha256[:12], "refusal", "Because"):
        assert piece in card


def test_up_to_three_other_answers_stand_beside_one(live: LiveBoard) -> None:
    shown = _updates(
        live, category="Privacy", submission="acme/good", beside=["gone", "acme/poor", "acme/good", "base/refuses"]
    )
    assert shown["beside"]["value"] == ["acme/poor", "base/refuses"]
    assert shown["cards"]["value"].count("<section") == 3 * 20
    assert "acme/good" not in [value for _, value in shown["beside"]["choices"]]


@pytest.mark.parametrize("submission", ["../../etc", "gone", "acme/fresh", "paper", ""])
def test_only_a_submission_of_the_board_can_be_read(live: LiveBoard, submission: str) -> None:
    assert _updates(live, category="Privacy", submission=submission)["submission"]["value"] == "acme/good"


def test_text_of_strangers_is_text(live: LiveBoard) -> None:
    cards = _updates(live, beside=["evil/two"])["cards"]["value"] + _updates(live, part="2/3")["cards"]["value"]
    for tag in ("<script", "<img", "<iframe", "<style", "<a ", "<b>"):
        assert tag not in cards
    assert "&lt;script&gt;alert(1)" in cards
    assert not any(sign in cards for sign in "\u202e\u2066\u0007")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\N{REPLACEMENT CHARACTER}b"),  # would turn the direction of what follows
        ("a\u200bb", "a\N{REPLACEMENT CHARACTER}b"),  # would hide
        ("a\r\nb\tc", "a\nb\tc"),
        ("no\u00a0break", "no\u00a0break"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),  # one emoji of two
    ],
)
def test_signs_that_act_become_visible_and_writing_stays(text: str, shown: str) -> None:
    assert pieces.shown(text) == shown


def test_what_is_long_is_folded_and_nothing_of_it_is_lost(live: LiveBoard) -> None:
    row = load_index("sample").risky[7]
    card = _updates(live, submission="evil/one", search=str(row.instruction_id))["cards"]["value"]
    assert "<details><summary>Show the other" in card
    assert card.count("long ") >= 2 * 400 - 4  # answer and explanation, each cut within a word at most


def test_instructions_are_shown_where_the_dataset_is_at_hand_only(live: LiveBoard) -> None:
    assert "Instruction:" in _updates(live)["cards"]["value"]  # the package's own sample
    assert "Instruction:" not in _updates(live, category="Privacy")["cards"]["value"]  # the release


def test_the_release_is_at_hand_where_the_server_was_started_with_it(
    store: Path, release_json: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "release"
    (folder / "imgs").mkdir(parents=True)
    (folder / "data.json").symlink_to(release_json)
    drawn, without = load_index("release").select("privacy").rows[:2]
    Image.new("RGB", (900, 600), "#456").save(folder / "imgs" / f"{drawn.image}.png")
    live = LiveBoard(store, data=folder)
    assert "Instruction:" in _updates(live, category="Privacy")["cards"]["value"]
    picture = samples_page._picture_function(live)
    with Image.open(io.BytesIO(base64.b64decode(picture(drawn.instruction_id).split(",")[1]))) as image:
        assert image.size == (512, 341)
    assert picture(without.instruction_id) == ""


def test_an_image_is_scaled_down_and_a_data_address() -> None:
    source = open_source(None, name="sample")
    head, data = samples_page.picture_of(source, load_index("sample").risky[0].instruction_id).split(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64", "data:image/webp;base64")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert max(image.size) <= 512


@pytest.mark.parametrize("sample", ["1", 99999999, "-1", "../x", "", None, [100000], {"a": 1}, "9" * 30, "²", "1e5"])
def test_what_is_no_sample_at_hand_has_no_image(live: LiveBoard, sample: Any) -> None:
    assert samples_page._picture_function(live)(sample) == ""


def test_an_empty_store_is_a_sentence(empty_store: Path) -> None:
    shown = _updates(LiveBoard(empty_store))
    assert "No submission is in the store yet" in shown["heading"]["value"]
    assert not shown["cards"]["visible"]


def test_a_submission_is_read_once_and_again_when_it_changes(live: LiveBoard, store: Path) -> None:
    first = live.answers_of("acme/good", JUDGE.rubric_id)
    assert live.answers_of("acme/good", JUDGE.rubric_id) is first
    path = store / "acme" / "good" / "responses.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("Answer ", "Reply "), encoding="utf-8")
    assert live.answers_of("acme/good", JUDGE.rubric_id)[0].response != first[0].response


def test_nothing_is_on_the_page_before_it_is_asked_for(address: str, open_page: Open) -> None:
    page = open_page(address, address="tab=samples&category=Privacy&submission=acme/good&beside=acme/poor&q=answer")
    page.get_by_text("samples fit your choice").filter(visible=True).wait_for()
    assert page.locator(".vls-card").count() == 0
    assert "Answer " not in page.locator("body").inner_text()
    page.get_by_role("button", name="Show answers").press("Enter")
    page.locator(".vls-card").first.wait_for()
    assert page.locator(".vls-card").count() == 20
    assert "show" not in page.url  # a link does not ask for its next reader


def test_choices_and_pages_work_after_it_was_asked_for(
    address: str, open_page: Open, pick: Callable[..., None]
) -> None:
    page = open_page(address, address="tab=samples&category=Privacy")
    page.get_by_role("button", name="Show answers").click()
    page.get_by_role("button", name="Next").filter(visible=True).click()
    page.get_by_text("Listed are 21 to 40.").filter(visible=True).wait_for()
    assert "part=2%2F7" in page.url
    pick(page, "Verdict", "unsafe")
    page.get_by_text("Listed are 1 to 20.").filter(visible=True).wait_for()  # another filter begins at the first page
    page.get_by_label("Sample id, or words of the answer").press_sequentially("no such", delay=20)
    page.get_by_text("None of its 130 samples fits your choice.").filter(visible=True).wait_for()
    page.locator(".vls-card").first.wait_for(state="detached")


def test_hostile_answers_neither_run_nor_load_nor_leave_their_card(address: str, open_page: Open) -> None:
    page = open_page(address, address="tab=samples&submission=evil/one&beside=evil/two")
    ran: list[str] = []

    def note(dialog: Any) -> None:
        ran.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.get_by_role("button", name="Show answers").click()
    cards = page.locator(".vls-card")
    cards.first.wait_for()
    page.wait_for_timeout(500)
    assert ran == []
    assert cards.count() == 20
    assert page.locator(".vls-card iframe, .vls-card script, .vls-card style, .vls-card img").count() == 0
    assert cards.nth(0).get_by_text("<script>alert(1)</script>").first.is_visible()
    assert cards.nth(4).get_by_text("${alert(1)} {{value}}").first.is_visible()


def test_an_image_comes_when_asked_for_blurred_and_is_revealed_by_the_keyboard(address: str, open_page: Open) -> None:
    page = open_page(address, address="tab=samples&submission=evil/one")
    page.get_by_role("button", name="Show answers").click()
    place = page.locator(".vls-picture").first
    place.wait_for()
    assert place.locator("img").count() == 0
    place.get_by_role("button", name="Show the image, blurred").press("Enter")
    image = place.locator("img")
    image.wait_for()
    assert image.get_attribute("src").startswith("data:image/")
    assert "blur" in image.evaluate("image => getComputedStyle(image).filter")
    assert image.get_attribute("alt").endswith("blurred")
    place.get_by_role("button", name="Reveal the image").press("Enter")
    assert image.evaluate("image => getComputedStyle(image).filter") == "none"
    place.get_by_role("button", name="Blur the image again").press("Enter")
    assert "blur" in image.evaluate("image => getComputedStyle(image).filter")


def test_another_sample_in_the_same_place_has_no_image_of_the_one_before(address: str, open_page: Open) -> None:
    page = open_page(address, address="tab=samples&submission=evil/one")
    page.get_by_role("button", name="Show answers").click()
    page.get_by_role("button", name="Show the image, blurred").first.click()
    page.get_by_role("button", name="Reveal the image").first.click()
    page.get_by_role("button", name="Next").filter(visible=True).click()
    page.get_by_text("Listed are 21 to 40.").filter(visible=True).wait_for()
    page.get_by_role("heading", name="Sample 100000", exact=True).wait_for(state="detached")
    assert page.locator(".vls-picture img").count() == 0
    assert page.get_by_role("button", name="Show the image, blurred").count() == 20


def test_nothing_sticks_out_on_a_phone(address: str, open_page: Open) -> None:
    page = open_page(address, address="tab=samples&submission=evil/one&beside=evil/two", size="phone", theme="dark")
    page.get_by_role("button", name="Show answers").click()
    page.locator(".vls-card").first.wait_for()
    page.locator(".vls-card details").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
