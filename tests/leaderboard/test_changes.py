"""The Changes page: what the histories say, with the feed beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from leaderboard import changes_page
from leaderboard.changes_page import Chosen
from leaderboard.live import LiveBoard
from vlsbench.board.changes import BoardChange, RankMove

Open = Callable[..., Any]


@pytest.fixture
def live(shared_store: Path) -> LiveBoard:
    return LiveBoard(shared_store)


def _updates(live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(changes_page.OUTPUTS, changes_page.updates(live, Chosen(**chosen)), strict=True))


def _change(number: int, kind: Any = "in", model: str = "Model") -> BoardChange:
    return BoardChange(
        when=f"2026-01-{1 + number % 28:02d}T12:00:00Z",
        kind=kind,
        submission=f"m-{number}",
        model=model,
        rubric=None,
        what="judged by a judge",
        event=f"{number:04d}-published-00000000.json",
    )


def test_a_store_made_by_hand_says_that_nothing_is_recorded(live: LiveBoard) -> None:
    shown = _updates(live)
    assert "No change is recorded" in shown["heading"]["value"]
    assert not shown["moves"]["visible"]


def test_changes_are_listed_by_day_and_by_kind(live: LiveBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [_change(3, "out"), _change(2), _change(1)]
    monkeypatch.setattr(live, "board_changes", lambda: found)
    shown = _updates(live)
    assert "Last updated" in shown["heading"]["value"]
    assert "2026-01-04 12:00" in shown["heading"]["value"]
    assert shown["listed"]["value"].count("<li") == 3
    assert ("out (1)", "out") in shown["kind"]["choices"]
    assert _updates(live, kind="out")["listed"]["value"].count("<li") == 1
    assert _updates(live, kind="gone")["listed"]["value"].count("<li") == 3


def test_a_long_record_has_pages(live: LiveBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "board_changes", lambda: [_change(number) for number in range(95)])
    assert _updates(live)["listed"]["value"].count("<li") == 40
    assert _updates(live, part="3/3")["listed"]["value"].count("<li") == 15


def test_markup_in_a_name_comes_out_as_text(live: LiveBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<img src=x onerror=alert(1)>"
    monkeypatch.setattr(live, "board_changes", lambda: [_change(1, model=evil)])
    move = RankMove(
        day="2026-01-02",
        scope="Overall",
        rubric="r",
        judge=evil,
        submission="m",
        model=evil,
        before=(1, 2),
        after=(1, 1),
        because=(evil,),
    )
    monkeypatch.setattr(live, "moves", lambda: (move,))
    shown = _updates(live)
    for part in ("listed", "moves"):
        assert "<img" not in shown[part]["value"]
        assert "&lt;img" in shown[part]["value"]
    assert "1–2" in shown["moves"]["value"]


def test_moves_are_counted_behind_the_page(live: LiveBoard) -> None:
    assert live.moves() in (None, ())
    for _ in range(600):
        if live.moves() is not None:
            break
        time.sleep(0.05)
    assert live.moves() == ()  # nothing has come in


def test_the_feed_is_served_as_what_it_is(shared_address: str, open_page: Open) -> None:
    answer = httpx.get(f"{shared_address}/download/changes.atom")
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    assert answer.text.startswith('<?xml version="1.0" encoding="utf-8"?>')
    page = open_page(shared_address, address="tab=changes")
    page.get_by_text("No change is recorded").wait_for()
