"""The reviewer's part of the Submit page: who may decide, what is shown, and what a decision does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboard import review_part
from leaderboard.live import LiveBoard
from vlsbench.dataset.index import load_index
from vlsbench.store.desk import Desk
from vlsbench.store.history import fold, read_history
from vlsbench.store.intake import submit
from vlsbench.store.local import LocalStore


@pytest.fixture
def waiting(tmp_path: Path) -> list[str]:
    """Two submissions that wait, of a store whose rules name one reviewer."""
    store = LocalStore(tmp_path / "store")
    names = []
    for number in range(2):
        source = tmp_path / f"sent{number}"
        source.mkdir()
        (source / "submission.json").write_text(json.dumps({"model": f"M{number}", "organization": "Acme"}))
        rows = load_index("sample").risky
        lines = [
            {"instruction_id": row.instruction_id, "response": f"<i>{number}</i> steps of {row.image}."} for row in rows
        ]
        (source / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        names.append(submit(source, store, name="eve").submission_id or "")
    (store.sync() / "rules.json").write_text('{"reviewers": ["mary"]}')
    return names


@pytest.fixture
def live(tmp_path: Path, waiting: list[str]) -> Iterator[LiveBoard]:
    store = LocalStore(tmp_path / "store")
    board = LiveBoard(store.sync(), desk=Desk(store, needs_sign_in=True))
    yield board
    board.close()


def is_accepted(live: LiveBoard, name: str) -> bool:
    return fold(read_history(live.desk.store.sync() / name)).is_accepted


@pytest.mark.parametrize("who", [None, "eve", "m\u0430ry"], ids=["nobody", "a submitter", "a Cyrillic a"])
def test_who_is_no_reviewer_sees_and_decides_nothing(live: LiveBoard, waiting: list[str], who: str | None) -> None:
    for updates in (
        review_part.show_next(live, who, []),
        review_part.decide(live, who, "accept", waiting[0], "", []),
    ):
        assert [item["visible"] for item in updates[:5]] == [False] * 5
        assert updates[0]["value"] == ""
    assert not any(is_accepted(live, name) for name in waiting)


def test_a_typed_name_reviews_nothing(live: LiveBoard, tmp_path: Path) -> None:
    board = LiveBoard(tmp_path / "store", desk=Desk(LocalStore(tmp_path / "store")))
    assert not review_part.is_reviewer(board, "mary")
    board.close()
    assert review_part.is_reviewer(live, "mary")


def test_a_reviewer_decides_on_one_after_the_other(live: LiveBoard, waiting: list[str]) -> None:
    shown = review_part.show_next(live, "mary", [])
    first = shown[-2]
    assert first in waiting
    assert "Sent by" in shown[0]["value"]
    assert "Acme: only claimed" in shown[0]["value"]
    later = review_part.show_next(live, "mary", [first])
    second = later[-2]
    assert {first, second} == set(waiting)
    refused = review_part.decide(live, "mary", "reject", second, " ", [])
    assert "Say why it is rejected" in refused[0]["value"]
    done = review_part.decide(live, "mary", "reject", second, "copied", [])
    assert f"{second}: rejected." in done[0]["value"]
    assert done[-2] == first
    last = review_part.decide(live, "mary", "accept", first, "", [])
    assert is_accepted(live, first)
    assert last[-2] == ""
    assert [item["visible"] for item in last[:5]] == [True, False, False, False, False]


def test_a_key_that_is_held_decides_once(browser: Any) -> None:
    page = browser.new_page()
    try:
        page.set_content('<button id="vls-review-a">Accept</button><input>')
        page.evaluate(f"({review_part._KEYS})()")
        page.evaluate("() => { window.n = 0; document.querySelector('button').onclick = () => { window.n += 1; }; }")
        page.keyboard.down("a")
        page.keyboard.down("a")  # the second is a repeat
        page.keyboard.up("a")
        assert page.evaluate("window.n") == 1
        page.locator("input").press("a")
        assert page.evaluate("window.n") == 1
    finally:
        page.close()
