"""What gradio remembers of readers: so many of them, each their own, nothing written out; it must not grow or break."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed (pip install 'vlsbench[leaderboard]')")

from leaderboard.sessions import Sessions  # noqa: E402  # it imports gradio


@pytest.fixture
def blocks() -> Any:
    """An app with a box, a state that is a list, and room for three readers."""

    async def build() -> Any:  # gradio makes an event loop where there is none, and leaves it open
        with gr.Blocks() as app:
            app.box = gr.Textbox("first")
            app.kept = gr.State([1])
        return app

    app = asyncio.run(build())
    app.state_session_capacity = 3
    return app


def test_it_stands_in_for_gradios_with_the_apps_capacity(blocks: Any) -> None:
    sessions = Sessions(blocks)
    assert blocks.state_holder is sessions
    assert sessions.capacity == 3
    assert "a" not in sessions


def test_the_reader_who_was_not_seen_for_longest_is_forgotten_first(blocks: Any) -> None:
    sessions = Sessions(blocks)
    for reader in ("a", "b", "c", "a", "d"):  # a comes back before d needs room
        sessions[reader]
    assert list(sessions.session_data) == ["c", "a", "d"]
    assert set(sessions.time_last_used) == {"c", "a", "d"}


def test_a_reader_is_remembered_and_of_another_nothing_is_seen(blocks: Any) -> None:
    sessions = Sessions(blocks)
    box, kept = blocks.box._id, blocks.kept._id
    changed = gr.Textbox("changed", render=False)
    sessions["a"][box] = changed
    sessions["a"][kept] = [2]
    assert sessions["a"] is sessions["a"]
    assert (sessions["a"][box], sessions["a"][kept]) == (changed, [2])
    assert (sessions["b"][box].value, sessions["b"][kept]) == ("first", [1])
    sessions["b"][kept].append(9)
    assert sessions["c"][kept] == [1], "each reader has a copy of what a state is at first"


def test_who_was_forgotten_begins_anew(blocks: Any) -> None:
    sessions = Sessions(blocks)
    sessions["a"][blocks.kept._id] = [2]
    for reader in "bcd":
        sessions[reader]
    assert sessions["a"][blocks.kept._id] == [1]


def test_readers_in_many_threads_leave_no_more_than_there_is_room_for(blocks: Any) -> None:
    blocks.state_session_capacity = 20
    sessions = Sessions(blocks)

    def visit(number: int) -> list[int]:
        session = sessions[f"reader-{number % 50}"]
        session[blocks.kept._id] = [number % 50]
        found: list[int] = session[blocks.kept._id]
        return found

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(visit, range(2000)))
    assert found == [[number % 50] for number in range(2000)]
    assert len(sessions.session_data) == len(sessions.time_last_used) == 20
