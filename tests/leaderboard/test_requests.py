"""Requests that make no sense, to every route there is: a sentence and a 4xx, and no traceback in the log."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

API = "/gradio_api"
JSON = {"Content-Type": "application/json"}


class Case(NamedTuple):
    """A request as it is sent."""

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed
    why: str = ""


def _post(path: str, value: Any, why: str = "") -> Case:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Case("POST", API + path, body, JSON, why)


FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'
BODIES: tuple[tuple[Any, str], ...] = (
    (b"", "nothing"),
    (b"{", "no JSON"),
    (b"\xff\xfe\x00", "no text"),
    (b"null", "null"),
    (b"[]", "a list"),
    (b'"text"', "a text"),
    (b"1", "a number"),
    (b"NaN", "not a number"),
    (b"[" * 100_000, "deep and open"),
    (b"[" * 2_000 + b"]" * 2_000, "deep"),
    (b'{"data":' * 900 + b"1" + b"}" * 900, "deep objects"),
    ({}, "no data"),
    ({"data": None}, "data is null"),
    ({"data": "text"}, "data is a text"),
    ({"data": {"a": 1}}, "data is an object"),
    ({"data": [], "session_hash": 3}, "a session that is a number"),
    ({"data": [], "session_hash": "x" * 5_000}, "a long session"),
    ({"data": [], "session_hash": "a/../b\x00"}, "a session with signs"),
    ({"data": [], "fn_index": "x", "session_hash": "s"}, "a function that is a text"),
    ({"data": [], "fn_index": 99_999, "session_hash": "s"}, "a function that is not there"),
    ({"data": [], "fn_index": -1, "session_hash": "s"}, "a negative function"),
    ({"data": [], "fn_index": 1e300, "session_hash": "s"}, "a huge function"),
    ({"data": [], "fn_index": 1.5, "session_hash": "s"}, "half a function"),
    ({"data": [], "fn_index": 0, "session_hash": "s", "trigger_id": "x"}, "a trigger that is a text"),
    ({"data": [], "fn_index": 0, "session_hash": "s", "trigger_id": 10**30}, "a huge trigger"),
    ({"data": [], "fn_index": 0, "session_hash": "s", "batched": True}, "a batch"),
    ({"data": [], "fn_index": 0, "session_hash": "s", "batched": "maybe"}, "a batch that is a text"),
    ({"data": [], "fn_index": 0, "session_hash": "s", "event_id": [1]}, "an event that is a list"),
    ({"data": [1] * 40, "fn_index": 0, "session_hash": "s"}, "too many values"),
    ({"data": [], "oauth_token": {"a": 1}, "session_hash": "s"}, "a token that is an object"),
    ({"data": [], "simple_format": "x", "session_hash": "s"}, "a flag that is a text"),
)


def _part(head: bytes, content: bytes = b"hello") -> bytes:
    return b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


def _forms(path: str) -> Iterator[Case]:
    """Make forms that are none."""
    named = b'Content-Disposition: form-data; name="files"'
    for body, why in (
        (b"", "nothing"),
        (b"no form", "no boundary"),
        (b"--x--\r\n", "no part"),
        (_part(b""), "a part without a head"),
        (_part(b"Content-Disposition: form-data"), "a part without a name"),
        (_part(named), "a part that is no file"),
        (_part(named, b""), "a part that is no file, and empty"),
        (PART[:-7] + b"\r\n" + _part(named), "a file, and a part that is none"),
        (_part(b'Content-Disposition: form-data; name="other"; filename="a"'), "a file of another field"),
        (_part(b"A: b\r\n" * 3_000), "a long head"),
        (_part(b"A" * 9_000 + b": b"), "a long name of a header"),
        (_part(b"A b"), "a header that is none"),
        (PART[:-12], "a form that is cut"),
        (PART[:-7], "a form that is cut before its last boundary"),
        (PART.replace(b"a.txt", b".."), "a file that is a folder"),
    ):
        yield Case("POST", API + path, body, {"Content-Type": FORM}, why)
    for kind in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=other",
        f"multipart/form-data; boundary={'y' * 900}",
        "multipart/form-data; boundary=\u00e4",
        "multipart/mixed; boundary=x",
        "text/plain",
    ):
        yield Case("POST", API + path, PART, {"Content-Type": kind}, f"a form of the kind {kind[:60]}")


def _cases() -> Iterator[Case]:
    value: Any
    for path in ("/queue/join", "/run/predict", "/run/table", "/api/table", "/call/table"):
        for body, why in BODIES:
            yield _post(path, body, why)
    for name in ("nothing", "predict", "lambda", "load", "../x", "%00", "x" * 3_000):
        for door in ("/run/", "/api/", "/call/", "/call/v2/"):
            yield _post(f"{door}{name}", {"data": []}, "no such endpoint")
    for value in (
        [],
        [1, 2, 3],
        [None] * 3,
        [["a"], {"b": 1}, 3],
        [{"a": 1}] * 3,
        ["Overall"] * 9,
        ["\ud800", "x", "x"],
    ):
        yield _post("/run/table", {"data": value}, "values that are none")
    for value in (
        [],
        [1],
        [None],
        [{"a": 1}],
        [["x"]],
        ["gone"],
        ["a" * 9_000],
        ["../../etc/passwd"],
        ["\x00"],
        ["x", "y"],
    ):
        yield _post("/run/submission", {"data": value}, "values that are none")
    for value in ([], [None], [3] * 9, [[]], [[{"path": "/etc/passwd"}]] * 9, ["x"] * 20):
        yield _post("/run/check", {"data": value}, "values that are none")
    for body in ({"scope": 1, "nothing": 2}, {"scope": {"a": 1}}, {"data": []}, [], "x", None, {"scope": None}):
        yield _post("/call/v2/table", body, "arguments that are none")
    for body, why in BODIES[:17]:
        yield _post("/cancel", body, why)
        yield _post("/reset", body, why)
        yield _post("/component_server", body, why)
    for body in (
        {"session_hash": "s", "fn_index": 99_999, "event_id": "x"},
        {"session_hash": "s", "fn_index": "x", "event_id": "x"},
        {"session_hash": None, "fn_index": 1, "event_id": None},
        {"session_hash": "s"},
    ):
        yield _post("/cancel", body, "nothing to cancel")
    for body in (
        {"session_hash": "s", "component_id": 99_999, "fn_name": "picture", "data": "1"},
        {"session_hash": "s", "component_id": 1, "fn_name": "picture", "data": "1"},
        {"session_hash": "s", "component_id": 1, "fn_name": "__init__", "data": "1"},
        {"session_hash": "s", "component_id": "x", "fn_name": "picture", "data": "1"},
        {"session_hash": "s", "component_id": 1, "fn_name": 3, "data": "1"},
        {"session_hash": ["s"], "component_id": 1, "fn_name": "picture", "data": "1"},
        {"session_hash": "s", "component_id": 1, "data": "1"},
    ):
        yield _post("/component_server", body, "no such function")
    for path in ("/upload", "/upload?upload_id=u", "/component_server", "/process_recording"):
        yield from _forms(path)
    for path in (
        "/queue/data",
        "/queue/data?session_hash=",
        "/queue/data?session_hash=gone",
        "/queue/data?session_hash=%00",
        "/queue/data?session_hash=%ff%fe",
        "/call/table/gone",
        "/call/nothing/gone",
        "/call/table/%00",
        "/call/v2/table/gone",
        "/upload_progress",
        "/upload_progress?upload_id=gone",
        "/stream/x/1/1/playlist.m3u8",
        "/stream/x/y/z/playlist-file",
        "/stream/x/1/1/s.ts",
        "/custom_component/1/client/component/x.js",
        "/custom_component/1/nowhere/component/x.js",
        "/custom_component/%00/client/component/x.js",
        "/proxy=http://127.0.0.1:9/",
        "/proxy=x",
        "/file=",
        "/file=%00",
        "/file=/etc/passwd",
        "/file=" + "a" * 5_000,
        "/file=" + "a/" * 2_000,
        "/file=http://127.0.0.1:9/x",
        "/file=%2e%2e%2f%2e%2e",
        "/vibe-code",
        "/runs",
        "/run-history/buckets",
        "/run-history/records",
        "/profiling/traces",
        "/dev/reload",
        "/nothing",
        "/heartbeat/",
        "/heartbeat/" + "x" * 3_000,
        "/deep_link",
        "/deep_link?session_hash=gone",
        "/run/table",
        "/queue/join",
        "/cancel",
    ):
        yield Case("GET", API + path)
    for path in ("/static/%00", "/assets/%00", "/svelte/x", "/assets/" + "a" * 5_000, "/static/..%2f..", "/assets/"):
        yield Case("GET", path)
    for path in (
        "/pwa_icon",
        "/pwa_icon/x",
        "/pwa_icon/999999999",
        "/monitoring",
        "/monitoring/x",
        "/nothing",
        "/a\\b",
    ):
        yield Case("GET", path)
    for path in (
        "/login/huggingface",
        "/login/callback",
        "/login/callback?_nb_redirects=x",
        "/?page=x",
        "/config?page=x",
    ):
        yield Case("GET", path)
    for path in (
        "/stream/x",
        "/stream/x/close",
        "/vibe-edit",
        "/undo-vibe-edit",
        "/vibe-code",
        "/vibe-starter-queries",
    ):
        yield _post(path, {"data": []})
    yield _post("/run-history/connect", {"bucket_id": "x"})
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "X" * 50):
        for path in ("/", f"{API}/queue/join", f"{API}/upload"):
            yield Case(method, path, b"{}", JSON)
    yield Case("POST", "/", b"{}", JSON)
    yield Case("POST", "/config", b"{}", JSON)
    yield Case("POST", "/login", b"username=a&password=b", {"Content-Type": "application/x-www-form-urlencoded"})
    for host in ("", "[", "a b", "x" * 3_000, "exa\u00e4mple", "a@b", "127.0.0.1:x", "[::1", "a/b"):
        yield Case("GET", "/", None, {"Host": host}, "a host that is none")
        yield Case("POST", f"{API}/run/board", b'{"data": []}', {**JSON, "Host": host}, "a host that is none")
    for kind in ("", "text/plain", "application/xml", "application/json; charset=utf-16", "x" * 500):
        yield Case("POST", f"{API}/run/table", b'{"data": "x"}', {"Content-Type": kind}, "a kind that is none")


CASES = list(_cases())


class Answer(NamedTuple):
    """What came back."""

    status: int
    kind: str
    text: str


def ask(port: int, case: Case, *, seconds: float = 20) -> Answer:
    """Send a request byte by byte as it stands, for a client would mend it; of a stream, take its beginning."""
    headers = {"Host": f"127.0.0.1:{port}", "Connection": "close", **case.headers}
    if case.body is not None:
        headers["Content-Length"] = str(len(case.body))
    head = f"{case.method} {case.path} HTTP/1.1\r\n" + "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(ConnectionError):  # refused before it was sent to its end; the answer is there
            connection.sendall(head.encode("utf-8", "surrogatepass") + b"\r\n" + (case.body or b""))
        answer = http.client.HTTPResponse(connection, method=case.method)
        answer.begin()
        kind = answer.headers.get("Content-Type", "")
        body = answer.read1(10_000) if "event-stream" in kind else answer.read(100_000)
    return Answer(answer.status, kind, body.decode("utf-8", "replace"))


@pytest.fixture
def port(shared_address: str) -> int:
    return int(shared_address.rpartition(":")[2])


def _is_one_sentence(answer: Answer) -> bool:
    """Say whether an answer is a sentence as it stands, or gradio's own within an object."""
    text = answer.text.strip()
    if text.startswith("{"):
        text = str(next(iter(json.loads(text).values())))
    return 0 < len(text) < 1_000 and text not in ("None", "null") and "Traceback" not in text and "\n" not in text


def test_whatever_makes_no_sense_is_a_sentence_and_leaves_no_traceback(port: int, shared_log: Path) -> None:
    bad = []
    for case in CASES:
        answer = ask(port, case)
        is_head_only = case.method == "HEAD"
        if not 400 <= answer.status < 500 or not (is_head_only or _is_one_sentence(answer)):
            bad.append(
                (case.method, case.path[:80], (case.body or b"")[:80], case.why, answer.status, answer.text[:120])
            )
    assert bad == []
    assert len(CASES) > 450
    assert "Traceback" not in shared_log.read_text(errors="replace")


def _config(port: int) -> Any:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"GET /config HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return json.loads(answer.read())


VALUES: tuple[Any, ...] = ({"a": 1}, ["x"], [["x"]], 3, True, None, "gone", "\x00", [{"path": "x"}], "<b>" * 90, [None])


def test_a_page_asked_for_values_that_no_browser_sends_shows_what_it_shows_without_them(
    port: int, shared_log: Path
) -> None:
    bad = []
    asked = [item for item in _config(port)["dependencies"] if item["backend_fn"] and not item["queue"]]
    # Every choice of a page asks for the same.
    distinct = {json.dumps((item["inputs"], item["outputs"])): item for item in asked}
    for item in distinct.values():
        for value in VALUES:
            body = {"data": [value] * len(item["inputs"]), "fn_index": item["id"], "session_hash": "s"}
            answer = ask(port, _post("/run/predict", body))
            if answer.status != 200:
                bad.append((item["id"], value, answer.status, answer.text[:120]))
    assert len(asked) > 30
    assert len(distinct) > 10
    assert bad == []
    assert "Traceback" not in shared_log.read_text(errors="replace")


@pytest.mark.parametrize("value", [[None] * 3, ["gone", "image+text", ""], ["Overall", "gone", ""]])
def test_what_an_endpoint_refuses_over_the_queue_is_a_sentence_and_not_null(port: int, value: list[Any]) -> None:
    joined = ask(port, _post("/call/table", {"data": value}))
    if joined.status == 200:
        event = json.loads(joined.text)["event_id"]
        joined = ask(port, Case("GET", f"{API}/call/table/{event}"))
        assert "event: error" in joined.text
    assert "null" not in joined.text.split("data:")[-1].split(",")[0]
    assert any(words in joined.text for words in ("is a text", "There is no scope", "Nothing was judged"))
