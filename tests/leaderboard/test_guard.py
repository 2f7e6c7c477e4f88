"""Who may act, in whose name, how much and how long: each asked of the part that owns it, and of a served board."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import pytest
from starlette.formparsers import MultiPartException

from leaderboard import guard, server, uploads
from leaderboard.calls import Calls
from leaderboard.guard import Guard, Message, Receive, Scope, Send
from leaderboard.server import Proxies, make_server
from leaderboard.uploads import Ledger, UploadGate, person_at, signed_in_as

FORM = "multipart/form-data; boundary=x"
HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jsonl"\r\n\r\n'
END = b"\r\n--x--\r\n"
TABLE = b'{"data": ["Privacy", "image+text", ""]}'


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


def _ask(url: str, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return Answer(answer.status, text, {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


# Another site.

FOREIGN: tuple[tuple[dict[str, str], str], ...] = (
    ({"Origin": "http://evil.example"}, "another host"),
    ({"Origin": "null"}, "a page without an origin: a frame in a sandbox, a file"),
    ({"Origin": "http://127.0.0.1:1"}, "another port"),
    ({"Origin": "http://127.0.0.1"}, "the usual port, which is another"),
    ({"Origin": "file://"}, "no site"),
    ({"Origin": "http://[::1"}, "no address"),
    ({"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}, "a host that no trusted proxy named"),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "OWN"}, "the browser says another site"),
    ({"Sec-Fetch-Site": "same-site", "Origin": "OWN"}, "a neighbour: Spaces of one domain are strangers"),
    ({"Sec-Fetch-Site": "?"}, "a word that no browser sends"),
)
OWN: tuple[dict[str, str], ...] = ({}, {"Origin": "OWN"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"})
STATE_CHANGING = (
    ("POST", "/gradio_api/run/table", "application/json"),
    ("POST", "/gradio_api/call/table", "application/json"),
    ("POST", "/gradio_api/queue/join", "application/json"),
    ("POST", "/gradio_api/cancel", "application/json"),
    ("POST", "/gradio_api/upload", FORM),
    ("GET", "/logout", ""),
)


def _of(url: str, headers: dict[str, str]) -> dict[str, str]:
    return {name: url if value == "OWN" else value for name, value in headers.items()}


def test_a_page_of_another_site_acts_in_nobodys_name(shared_address: str) -> None:
    for method, path, kind in STATE_CHANGING:
        for headers, why in FOREIGN:
            sent = {**_of(shared_address, headers), "Content-Type": kind}
            status, text, said = _ask(shared_address, method, path, sent, TABLE if method == "POST" else None)
            assert status == 403, (path, why)
            assert text.startswith("This was sent by a page of another site"), (path, why)
            assert not any(name.startswith("access-control-") for name in said), (path, why)


def test_the_boards_own_pages_and_programs_act(shared_address: str) -> None:
    for headers in OWN:
        sent = {**_of(shared_address, headers), "Content-Type": "application/json"}
        assert _ask(shared_address, "POST", "/gradio_api/run/table", sent, TABLE).status == 200, headers


def test_reading_is_for_everybody_but_no_site_is_let_into_the_answer(shared_address: str) -> None:
    for path in ("/", "/config", "/download/vlsbench-board.csv"):
        status, _, said = _ask(shared_address, "GET", path, {"Origin": "http://evil.example"})
        assert status == 200
        assert not any(name.startswith("access-control-") for name in said)


def test_every_answer_has_the_headers_that_a_browser_keeps_to(shared_address: str) -> None:
    for path in ("/", "/config", "/gradio_api/info", "/theme.css", "/download/vlsbench-board.json", "/nothing"):
        said = _ask(shared_address, "GET", path, {}).headers
        assert said["x-content-type-options"] == "nosniff", path
        assert said["referrer-policy"] == "same-origin", path
        assert said["x-frame-options"] == "DENY", path
        policy = dict(part.strip().partition(" ")[::2] for part in said["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'", path
        assert policy["frame-ancestors"] == "'none'", path
        # Scripts: what the server sends and what the page came with, and nothing within an element.
        assert "unsafe-inline" not in policy.get("script-src", ""), path
        assert not any("*" in value or "http:" in value for value in policy.values()), path


# Who asks.


def _scope(client: str, headers: Sequence[tuple[bytes, bytes]] = (), **rest: Any) -> dict[str, Any]:
    known = [(b"host", b"board"), *headers]
    return {"type": "http", "method": "GET", "path": "/", "query_string": b"", "scheme": "http"} | {
        "client": (client, 1),
        "headers": known,
        **rest,
    }


def _seen_by(trusted: Sequence[str], client: str, forwarded: str) -> str:
    """Return who asks as what stands behind the proxies sees it."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["client"][0])

    async def nothing(*_: Any) -> Any:
        return {"type": "http.disconnect"}

    headers = [(b"x-forwarded-for", forwarded.encode()), (b"x-real-ip", b"6.6.6.6"), (b"forwarded", b"for=6.6.6.6")]
    asyncio.run(Proxies(app, trusted)(_scope(client, headers), nothing, nothing))
    return seen[0]


@pytest.mark.parametrize(
    ("trusted", "client", "forwarded", "seen"),
    [
        ((), "1.2.3.4", "9.9.9.9", "1.2.3.4"),
        ((), "127.0.0.1", "9.9.9.9", "127.0.0.1"),
        (("10.0.0.0/8",), "1.2.3.4", "9.9.9.9", "1.2.3.4"),
        (("10.0.0.0/8",), "10.1.2.3", "9.9.9.9", "9.9.9.9"),
        # What a client wrote itself stands first; the proxy adds whom it saw at the end.
        (("10.0.0.0/8",), "10.1.2.3", "6.6.6.6, 9.9.9.9", "9.9.9.9"),
        (("10.0.0.0/8",), "10.1.2.3", "6.6.6.6, 9.9.9.9, 10.0.0.7", "9.9.9.9"),
    ],
    ids=["nobody is trusted", "not even this machine", "a stranger", "a proxy", "a lie before it", "two proxies"],
)
def test_who_asks_is_who_is_connected_unless_a_trusted_proxy_says_for_whom(
    trusted: Sequence[str], client: str, forwarded: str, seen: str
) -> None:
    assert _seen_by(trusted, client, forwarded) == seen


@pytest.mark.parametrize(
    ("address", "person"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
    ],
)
def test_all_addresses_that_one_customer_has_are_one_person(address: str | None, person: str) -> None:
    assert person_at(address) == person


# How much.

MIB = 1 << 20


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """One MiB for each, three for all."""
    monkeypatch.setattr(uploads, "MAX_PERSON_BYTES", MIB)
    monkeypatch.setattr(uploads, "MAX_KEPT_BYTES", 3 * MIB)
    ticks = iter(range(1_000))
    return Ledger(tmp_path, clock=lambda: next(ticks))


def _keep(ledger: Ledger, person: str, n_bytes: int, name: str = "file") -> str | None:
    """Upload a file as far as it is taken; return why it is not."""
    why_not = ledger.begin(person)
    if why_not is not None:
        return why_not
    why_not = ledger.take(person, n_bytes)
    path = ledger.folder / f"{person}-{name}"
    if why_not is None:
        path.write_bytes(bytes(n_bytes))
    ledger.end(person, n_bytes, [path] if why_not is None else [])
    return why_not


def test_who_has_used_up_what_one_person_may_closes_uploads_for_nobody_else(ledger: Ledger) -> None:
    assert _keep(ledger, "ann", MIB) is None
    assert "all that one person may" in str(_keep(ledger, "ann", 1))
    assert _keep(ledger, "bob", MIB // 2) is None
    assert "One person may have" in str(_keep(ledger, "bob", MIB))
    assert _keep(ledger, "bob", MIB // 4, "other") is None  # what was not taken counts for nothing


def test_where_there_is_no_room_who_has_most_gives_way_and_not_who_comes_last(ledger: Ledger) -> None:
    for person, size in (("ann", MIB // 2), ("bob", MIB), ("eve", MIB)):
        assert _keep(ledger, person, size) is None
    assert _keep(ledger, "cid", MIB * 3 // 4) is None
    assert sorted(path.name for path in ledger.folder.iterdir()) == ["ann-file", "cid-file", "eve-file"]


def test_files_that_are_gone_count_for_nothing_and_half_ones_are_removed(ledger: Ledger) -> None:
    assert _keep(ledger, "ann", MIB) is None
    half = ledger.folder / "tmpabcd1234"
    half.write_bytes(b"half")
    (ledger.folder / "ann-file").unlink()
    assert _keep(ledger, "ann", MIB, "again") is None
    assert [path.name for path in ledger.folder.iterdir()] == ["ann-again"]


def test_so_many_uploads_of_one_person_come_at_once(ledger: Ledger) -> None:
    assert [ledger.begin("ann") for _ in range(uploads.MAX_AT_ONCE)] == [None] * uploads.MAX_AT_ONCE
    assert "are under way" in str(ledger.begin("ann"))
    assert ledger.begin("bob") is None


def _upload(
    ledger: Ledger, parts: Sequence[bytes | None], *, needs_sign_in: bool = False, session: Any = None
) -> tuple[int, str, bool]:
    """Send an upload through the gate; None stands still.

    Returns:
        Status and text of the answer, and whether what stands behind the gate was asked.
    """
    sent: list[Message] = []
    asked: list[Scope] = []
    waiting = list(parts)

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        """Read a form as gradio does."""
        asked.append(scope)
        try:
            while (await receive()).get("more_body"):
                pass
        except MultiPartException as error:
            await guard.answer(send, 400, error.message)
            return
        (ledger.folder / "taken").touch()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f'["{ledger.folder / "taken"}"]'.encode()})

    async def receive() -> Message:
        part = waiting.pop(0)
        if part is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    kind = (b"content-type", FORM.encode())
    scope = _scope("1.2.3.4", [kind], method="POST", path="/gradio_api/upload", session=session)
    asyncio.run(UploadGate(inner, ledger, needs_sign_in=needs_sign_in)(scope, receive, send))
    return sent[0]["status"], b"".join(part.get("body", b"") for part in sent).decode(), bool(asked)


def _session(name: str) -> dict[str, Any]:
    user = {"name": name, "preferred_username": name, "profile": "x", "picture": "x"}
    return {"oauth_info": {"userinfo": user, "expires_at": time.time() + 60}}


def test_people_behind_one_address_have_bounds_of_their_own_where_they_sign_in(ledger: Ledger) -> None:
    assert _keep(ledger, "@ann", MIB) is None
    status, text, _ = _upload(ledger, [HEAD, b"{}" + END], needs_sign_in=True, session=_session("ann"))
    assert (status, "all that one person may" in text) == (429, True)
    assert _upload(ledger, [HEAD, b"{}" + END], needs_sign_in=True, session=_session("bob"))[0] == 200
    expired = _session("bob")
    expired["oauth_info"]["expires_at"] = time.time() - 1
    assert _upload(ledger, [HEAD, b"{}" + END], needs_sign_in=True, session=expired)[0] == 401


def test_an_upload_that_stands_still_is_ended(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IDLE_SECONDS", 0.1)
    status, text, _ = _upload(ledger, [HEAD + b"{}", None])
    assert (status, "stood still" in text) == (400, True)
    assert ledger.begin("1.2.3.4") is None
    assert not ledger._coming  # what had come of it counts for nothing


@pytest.mark.parametrize(
    "session",
    [None, {}, {"oauth_info": "x"}, {"oauth_info": {}}, {"oauth_info": {"userinfo": {}}}],
    ids=["no session", "an empty one", "no object", "nobody", "nobody known"],
)
def test_where_submitting_needs_sign_in_no_file_of_a_stranger_is_read(ledger: Ledger, session: Any) -> None:
    assert signed_in_as(session) is None
    status, text, is_asked = _upload(ledger, [HEAD, b"{}" + END], needs_sign_in=True, session=session)
    assert (status, is_asked) == (401, False)
    assert text.startswith("Sign in with Hugging Face first")
    assert _upload(ledger, [HEAD, b"{}" + END])[0] == 200


# How long.


@pytest.fixture
def half_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., bytes]]:
    """A served guard that waits a fifth of a second: send it the beginning of a request, and read until it closes."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await guard.answer(send, 200, "answered")
            return
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    async def blocks() -> gr.Blocks:  # within a loop, or gradio makes one of its own and never closes it
        return gr.Blocks()

    calls = Calls(asyncio.run(blocks()), str(tmp_path))
    ready: list[int] = []
    is_ready = threading.Event()

    def note(port: int) -> None:
        ready.append(port)
        is_ready.set()

    served = make_server(Guard(app, calls), host="127.0.0.1", port=0, on_ready=note)
    thread = threading.Thread(target=served.run)
    thread.start()
    assert is_ready.wait(30)

    def send(data: bytes, dripping: bytes = b"") -> bytes:
        with socket.create_connection(("127.0.0.1", ready[0]), timeout=30) as connection:
            connection.sendall(data)
            for byte in dripping:
                time.sleep(0.05)
                try:
                    connection.sendall(bytes([byte]))
                except ConnectionError:
                    return b""
            found = b""
            while block := connection.recv(10_000):
                found += block
            return found

    yield send
    served.should_exit = True
    thread.join(30)


def test_a_request_that_is_sent_in_part_is_closed(half_sent: Callable[..., bytes]) -> None:
    for beginning in (
        b"",
        b"GET",
        b"GET / HTTP/1.1\r\nHost: board\r\n",
        b"GET / HTTP/1.1\r\nHost: board\r\nX: " + b"x" * 9_000,
    ):
        assert half_sent(beginning) == b""
    head = (
        b"POST /gradio_api/run/x HTTP/1.1\r\nHost: board\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    assert b"408" in half_sent(head + b"{").split(b"\r\n")[0]
    # A byte now and then does not begin the wait anew.
    assert half_sent(b"GET / HTTP/1.1\r\nX: y", b"y" * 400) == b""
    # Answered, and then silent.
    assert half_sent(b"GET /config HTTP/1.1\r\nHost: board\r\n\r\n").endswith(b"answered\n\r\n0\r\n\r\n")
