"""What is the same for whoever asks is made once: gradio's page, its settings, the answer within; never a person's."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from leaderboard import live as live_module
from leaderboard.guard import Message, Receive, Scope, Send
from leaderboard.kept import NOT_KEPT, Kept, asked_at
from leaderboard.sessions import Sessions

OK: tuple[Message, ...] = (
    {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]},
    {"type": "http.response.body", "body": b"page"},
)


class _App:
    """Answers with what it is told, and counts."""

    def __init__(self, *messages: Message, seconds: float = 0) -> None:
        self.messages = messages
        self.seconds = seconds
        self.n_asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.n_asked += 1
        await asyncio.sleep(self.seconds)
        for message in self.messages:
            await send({**message, "headers": list(message["headers"])} if "headers" in message else dict(message))


def _scope(path: str = "/", method: str = "GET", **headers: str) -> Scope:
    raw: list[tuple[bytes, bytes]] = [
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    ]
    return {"type": "http", "method": method, "path": path, "scheme": "http", "headers": raw}


async def _nothing() -> Message:
    return {"type": "http.request"}


def _ask(kept: Kept, scope: Scope) -> list[Message]:
    said: list[Message] = []

    async def send(message: Message) -> None:
        if "headers" in message:
            message["headers"].append((b"x-added", b"by who sends it on"))
        said.append(message)

    asyncio.run(kept(scope, _nothing, send))
    return said


def _by_path(scope: Scope) -> str | None:
    return None if scope["path"] == "/mine" else str(scope["path"])


def test_an_answer_is_made_once_and_sent_to_each_as_it_was() -> None:
    app = _App(*OK)
    kept = Kept(app, _by_path, most=2)
    first, second = _ask(kept, _scope()), _ask(kept, _scope())
    assert first == second
    assert first[0]["headers"].count((b"x-added", b"by who sends it on")) == 1
    assert app.n_asked == 1


@pytest.mark.parametrize(
    ("scope", "messages"),
    [
        (_scope("/mine"), OK),
        (_scope(method="POST"), OK),
        (_scope(method="HEAD"), OK),
        (_scope(), ({**OK[0], "headers": [(b"Set-Cookie", b"session=1")]}, OK[1])),
        (_scope(), ({**OK[0], "headers": [NOT_KEPT]}, OK[1])),
        (_scope(), ({**OK[0], "status": 500}, OK[1])),
        (_scope(), (OK[0], {**OK[1], "more_body": True})),
        (_scope(), ()),
    ],
    ids=["it says so", "a call", "a head", "a cookie", "of this moment", "a fault", "broken off", "nothing"],
)
def test_what_is_of_one_reader_or_of_one_moment_is_made_each_time(scope: Scope, messages: tuple[Message, ...]) -> None:
    app = _App(*messages)
    kept = Kept(app, _by_path, most=2)
    assert len(_ask(kept, scope)) == len(_ask(kept, scope)) == len(messages)
    assert app.n_asked == 2


def test_it_keeps_so_many_and_the_oldest_goes() -> None:
    app = _App(*OK)
    kept = Kept(app, _by_path, most=2)
    for path in ("/a", "/b", "/c", "/b", "/c", "/a"):
        _ask(kept, _scope(path))
    assert app.n_asked == 4  # /a, /b, /c, and /a again


def test_of_many_that_ask_at_once_one_is_passed_on_and_a_slow_reader_holds_up_nobody() -> None:
    app = _App(*OK, seconds=0.01)
    kept = Kept(app, _by_path, most=2)

    async def all_at_once() -> list[bytes]:
        taken: list[bytes] = []
        is_released = asyncio.Event()

        async def slow(message: Message) -> None:
            await is_released.wait()

        async def quick(message: Message) -> None:
            taken.append(message.get("body", b""))

        waiting = asyncio.create_task(kept(_scope(), _nothing, slow))
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*(kept(_scope(), _nothing, quick) for _ in range(20))), 10)
        is_released.set()
        await waiting
        return taken

    assert asyncio.run(all_at_once()).count(b"page") == 20
    assert app.n_asked == 1


def test_the_address_that_is_asked_tells_answers_apart() -> None:
    scopes = [
        _scope(host="a.example"),
        _scope(host="b.example"),
        _scope(host="a.example", x_forwarded_host="c.example"),
        _scope(host="a.example", x_forwarded_proto="https"),
        {**_scope(host="a.example"), "scheme": "https"},
    ]
    assert len(set(map(asked_at, scopes))) == len(scopes)
    assert asked_at(_scope(host="a.example", cookie="x=1")) == asked_at(_scope(host="a.example"))


def _get(url: str, path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_page_of_the_board_is_kept_with_its_policy_packed_and_not(shared_address: str) -> None:
    for path in ("/", "/?category=Privacy", "/?model=acme/good", "/config"):
        plain, packed = _get(shared_address, path), _get(shared_address, path, **{"Accept-Encoding": "gzip"})
        assert _get(shared_address, path)[1] == plain[1]
        assert packed[0]["content-encoding"] == "gzip"
        assert len(packed[1]) == int(packed[0]["content-length"]) < len(plain[1]) / 3
        assert plain[0]["content-security-policy"] == packed[0]["content-security-policy"]
        assert "content-encoding" not in plain[0]


def test_a_look_of_a_moment_ago_stands_but_not_for_who_changed_the_store(
    store: Path, write_submission: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "_REST", 1e9)
    monkeypatch.setattr(live_module, "_LONGEST_REST", 1e9)
    live = live_module.LiveBoard(store)
    version = live.refresh()
    write_submission(store, "new/one", {"model": "New-VL"}, {0: "warning"})
    assert live.refresh() == version
    assert live.refresh(is_changed=True) == version + 1


def test_a_session_remembers_components_and_state_of_its_own_and_no_settings() -> None:
    async def build() -> tuple[Any, Any, Any]:
        with gr.Blocks() as blocks:
            parts = gr.State(1), gr.Textbox("first")
        return blocks, *parts

    blocks, count, text = asyncio.run(build())
    sessions: Any = Sessions(blocks)
    mine, other = sessions["mine"], sessions["other"]
    mine[count._id] = 2
    mine[text._id] = gr.Textbox(label="changed", render=False)
    mine._update_config(text._id)
    mine._update_value_in_config(text._id, "a long answer")
    assert (mine[count._id], other[count._id]) == (2, 1)
    assert (mine[text._id].label, other[text._id].label) == ("changed", None)
    assert text._id not in mine.config_values
    assert sessions["mine"] is mine


def test_a_server_that_ends_while_it_screens_says_nothing() -> None:
    """What the screening waits for is cancelled then, or the pool takes nothing more."""
    cancelled: Future[int] = Future()
    cancelled.cancel()

    def refuse(work: Callable[[], int]) -> Future[int]:
        raise RuntimeError("cannot schedule new futures after shutdown")

    for submit in (lambda work: cancelled, refuse):
        board = object.__new__(live_module.LiveBoard)
        board.__dict__ |= {"_work": SimpleNamespace(submit=submit), "_projection": SimpleNamespace(unscreened=int)}
        board._screen()
