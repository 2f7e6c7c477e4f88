"""What stands before gradio on a public board: who may act, what may be asked, how much, how long; and the headers.

It answers with one plain sentence, or passes a request on as it came. Rule of the room: requests only; nothing of the
board. What it refuses was tried against gradio 6.31.0 (`tests/leaderboard/test_requests.py`, `test_safety.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs, quote, urlsplit

from .calls import Calls, RefusalError, check_word, parsed, shown
from .forms import boundary_of

__all__ = [
    "BODY_SECONDS",
    "MAX_BODY_BYTES",
    "UPLOAD_PATH",
    "App",
    "Body",
    "Guard",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "answer",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 1 << 20
"""Of a request that uploads nothing, 1 MiB: the choices of a page are a few kilobytes."""

BODY_SECONDS: Final = 20.0
"""Within which such a body has come whole: a megabyte over a slow line."""

_MAX_PATH: Final = 2_000
_MAX_QUERY: Final = 8_000

_OF_GRADIO: Final = ("page", "deep_link")
"""Queries that gradio reads itself. The app has one page and keeps no links, so gradio fails on them (KeyError)."""

_API: Final = "/gradio_api"
UPLOAD_PATH: Final = f"{_API}/upload"
_DOWNLOADS: Final = "/download/"

_TYPES: Final = {".atom": b"application/atom+xml; charset=utf-8"}
"""Of downloads that a program fetches by itself and looks at the type of."""

_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)

_FRAMED: Final = "/embed"
"""May stand in a frame of any site: it has no script, takes nothing, and knows no reader."""
_PAGES: Final = frozenset(
    {"/", "/config", "/favicon.ico", "/manifest.json", "/robots.txt", "/theme.css"}
    | {_FRAMED, "/preview.png", "/view.csv"}
)
_READ: Final = frozenset(
    f"{_API}/{name}"
    for name in ("app_id", "info", "login_check", "openapi.json", "queue/status", "startup-events", "theme.css", "user")
)
_SIGN_IN: Final = frozenset({"/login/callback", "/login/huggingface", "/logout"})
_FILES: Final = ("/assets/", "/static/", "/svelte/", f"{_API}/file=", f"{_API}/file/")
_FUNCTION: Final = re.compile(rf"{_API}/(?P<door>run|api|call/v2|call)/(?P<name>[^/]*)")
_ANSWER: Final = re.compile(rf"{_API}/call/(?:v2/)?(?P<name>[^/]*)/(?P<event>[^/]*)")
_HEARTBEAT: Final = re.compile(rf"{_API}/heartbeat/(?P<session>.*)", re.DOTALL)

_NO_PAGE: Final = "There is no such page; the board is at /."
_NO_ENDPOINT: Final = "There is no such endpoint; docs/api.md has those there are."
_FOREIGN: Final = (
    "This was sent by a page of another site, and another site does not act here in its reader's name. Open the board "
    "itself."
)

_NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The policy of whatever is no page: it is data, whoever opens it."""


class Guard:
    """ASGI middleware, outside of all others."""

    def __init__(
        self,
        app: App,
        calls: Calls,
        *,
        downloads: Callable[[], Mapping[str, Path]] = dict,
        own_hosts: Collection[str] = (),
        is_embedded: bool = False,
        has_sign_in: bool = False,
    ) -> None:
        """Stand before `app`.

        Args:
            app: What answers.
            calls: What may be called.
            downloads: Files of the board by their names, served at `/download/NAME`.
            own_hosts: Hosts that the board has beside the one that a request asks, as behind the proxy of a Space.
            is_embedded: A page of the Hub shows it in a frame.
            has_sign_in: There are routes to sign in.
        """
        self._app = app
        self._calls = calls
        self._downloads = downloads
        self._own_hosts = frozenset(host.lower() for host in own_hosts)
        self._is_embedded = is_embedded
        self._has_sign_in = has_sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = _Sent(self._with_headers(send, is_framed=scope["path"] == _FRAMED))
        body = Body(receive)
        try:
            await self._pass(scope, body, sent)
        except RefusalError as refusal:
            await body.drain()
            await answer(sent, refusal.status, str(refusal))
        except asyncio.CancelledError:  # the server ends, and waits for this no longer
            await sent.end()

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _Headers(scope)
        self._check_head(scope, headers)
        self._check_origin(scope, headers)
        path = scope["path"].rstrip("/") or "/"
        if scope["method"] == "POST":
            await self._post(path, scope, headers, receive, send)
            return
        if path.startswith(_DOWNLOADS):
            await self._download(path.removeprefix(_DOWNLOADS), scope, send)
            return
        self._check_read(path, scope["path"], _query(scope))
        await self._app(scope, receive, send)

    def _check_head(self, scope: Scope, headers: _Headers) -> None:
        hosts = headers.all("host")
        if len(hosts) != 1 or _HOST.fullmatch(hosts[0].lower()) is None:
            _refuse(400, f"Host: is the name of a host, once; found {shown(', '.join(hosts))}.")
        forwarded = headers.first("x-forwarded-host")
        if forwarded is not None and _HOST.fullmatch(forwarded.lower()) is None:
            _refuse(400, f"X-Forwarded-Host: is the name of a host; found {shown(forwarded)}.")
        if not scope["path"].isprintable() or "\\" in scope["path"]:
            _refuse(404, _NO_PAGE)
        if len(scope["path"]) > _MAX_PATH or len(scope["query_string"]) > _MAX_QUERY:
            _refuse(414, f"An address has at most {_MAX_PATH:,} characters, and its query {_MAX_QUERY:,}.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            _refuse(405, f"{shown(scope['method'])} is not answered here; GET and POST are.")

    def _check_origin(self, scope: Scope, headers: _Headers) -> None:
        """Let no page of another site act in its reader's name.

        The session's cookie is sent along from every site (gradio sets SameSite=None, for a Space stands in a frame).
        A browser says where a request comes from, and a page cannot change what it says; who says nothing is a program,
        which has no cookie but its own.
        """
        if scope["method"] in ("GET", "HEAD") and scope["path"].rstrip("/") not in ("/logout",):
            return
        site, origin = headers.first("sec-fetch-site"), headers.first("origin")
        if site is not None:
            is_foreign = site not in ("same-origin", "none")
        else:
            is_foreign = origin is not None and self._is_foreign(origin, headers)
        if is_foreign:
            _refuse(403, _FOREIGN)

    def _is_foreign(self, origin: str, headers: _Headers) -> bool:
        try:
            parts = urlsplit(origin.lower())
            port = parts.port
        except ValueError:
            return True
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return True  # `null` among them: a page without an origin
        usual = {"http": 80, "https": 443}[parts.scheme]
        asked = [headers.first("host"), headers.first("x-forwarded-host"), *self._own_hosts]
        return not any(host is not None and _is_host(host.lower(), parts.hostname, port, usual) for host in asked)

    def _check_read(self, path: str, whole: str, query: Mapping[str, str]) -> None:
        """Look at what is read.

        Raises:
            RefusalError: If there is no such page, or gradio would fail on it.
        """
        if any(query.get(name) for name in _OF_GRADIO):
            _refuse(404, _NO_PAGE)
        if path in _PAGES or path in _READ or (self._has_sign_in and path in _SIGN_IN):
            if path == "/login/callback" and not query.get("_nb_redirects", "0").isdecimal():
                _refuse(400, "_nb_redirects: is a number.")
            return
        if path == f"{_API}/queue/data":
            check_word("session_hash", query.get("session_hash"))
            self._calls.check_session(query["session_hash"])
        elif path == f"{_API}/upload_progress":
            check_word("upload_id", query.get("upload_id"))
        elif match := _HEARTBEAT.fullmatch(path):
            check_word("session_hash", match["session"])
        elif match := _ANSWER.fullmatch(path):
            check_word("event_id", match["event"])
            self._calls.check_answer(match["name"], match["event"])
        elif not whole.startswith(_FILES) or "://" in whole or _has_long_name(whole):
            _refuse(404, _NO_PAGE)

    async def _post(self, path: str, scope: Scope, headers: _Headers, receive: Receive, send: Send) -> None:
        kind = (headers.first("content-type") or "").split(";")[0].strip().lower()
        if path == UPLOAD_PATH:
            upload = _query(scope).get("upload_id")
            if upload is not None:
                check_word("upload_id", upload)
            if kind != "multipart/form-data":
                _refuse(415, f"Files are uploaded as multipart/form-data; found {shown(kind)}.")
            boundary_of(headers.first("content-type") or "")
            await self._app(scope, receive, send)
            return
        match = _FUNCTION.fullmatch(path)
        others: Mapping[str, Callable[[Any], None]] = {
            f"{_API}/queue/join": self._check_join,
            f"{_API}/cancel": self._calls.check_cancel,
            f"{_API}/reset": self._calls.check_reset,
            f"{_API}/component_server": self._calls.check_component,
        }
        if match is None and path not in others:
            _refuse(404, _NO_ENDPOINT)
        if kind != "application/json":
            _refuse(415, f"A call is sent as application/json; found {shown(kind)}.")
        body = await _read(receive, MAX_BODY_BYTES)
        value = parsed(body)
        if match is None:
            others[path](value)
        elif match["door"] == "call/v2":
            self._calls.check_keywords(match["name"], value)
        elif match["door"] == "call" or value.get("fn_index") is None:
            self._calls.check_named(match["name"], value)
        else:
            self._calls.check_event(value)
        await self._app(scope, _replayed(body, receive), send)

    def _check_join(self, body: Any) -> None:
        check_word("session_hash", body.get("session_hash"))
        self._calls.check_event(body)

    async def _download(self, name: str, scope: Scope, send: Send) -> None:
        path = self._downloads().get(name)
        if path is None:
            _refuse(404, _NO_PAGE)
        data = await asyncio.to_thread(path.read_bytes)
        headers = [
            (b"content-type", _TYPES.get(path.suffix, b"application/octet-stream")),
            (b"content-disposition", f"attachment; filename*=UTF-8''{quote(name)}".encode()),
            (b"content-length", str(len(data)).encode()),
            (b"cache-control", b"no-cache"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else data})

    def _with_headers(self, send: Send, *, is_framed: bool) -> Send:
        """Send every answer with the headers that a browser keeps to."""
        frame = () if self._is_embedded or is_framed else ((b"x-frame-options", b"DENY"),)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = dict(_HEADERS + frame)
                found = [
                    (name, value)
                    for name, value in message.get("headers", ())
                    # Gradio lets any site read what its readers may: it names whoever asks.
                    if not name.lower().startswith(b"access-control-") and name.lower() not in own
                ]
                if not any(name.lower() == b"content-security-policy" for name, _ in found):
                    found.append((b"content-security-policy", _NOTHING.encode()))
                message = {**message, "headers": [*found, *own.items()]}
            await send(message)

        return with_headers


_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


class _Sent:
    """An answer, and how far it has come."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_begun = self._is_over = self._has_length = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_begun = True
            self._has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
        else:
            self._is_over = not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        """End it where it is; one that said how long it would be is left to break off."""
        if not self._is_begun:
            await answer(self, 503, "The board ends now, or begins anew; try again in a minute.")
        elif not self._is_over and not self._has_length:
            await self({"type": "http.response.body", "body": b""})


class _Headers:
    """The headers of a request."""

    def __init__(self, scope: Scope) -> None:
        self._all = [(name.lower(), value) for name, value in scope.get("headers", ())]

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1").strip() for key, value in self._all if key == name.encode()]

    def first(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


def _is_host(host: str, name: str, port: int | None, usual: int) -> bool:
    """Say whether a `Host` is that of an origin; a port that its scheme implies may be left out of both."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname == name and (parts.port or usual) == (port or usual)
    except ValueError:
        return False


def _has_long_name(path: str) -> bool:
    """Say whether a part of a path is longer than any file's name: to look for it is an error of its own."""
    return any(len(part.encode()) > 255 for part in path.split("/"))


def _query(scope: Scope) -> dict[str, str]:
    """Read a query; of a name that is given twice, the last."""
    found = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


def _refuse(status: int, sentence: str) -> NoReturn:
    raise RefusalError(status, sentence)


async def _read(receive: Receive, limit: int) -> bytes:
    """Read a body.

    Raises:
        RefusalError: If it is longer than `limit`, or does not come to its end.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    _refuse(400, "The request ended before its body did.")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    _refuse(413, f"A request has at most {limit:,} bytes.")
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        _refuse(408, f"The body did not come within {BODY_SECONDS:.0f} seconds.")


class Body:
    """The body of a request as it comes, and whether it has come to its end."""

    def __init__(self, receive: Receive) -> None:
        """Read from `receive`."""
        self._receive = receive
        self.is_over = False

    async def __call__(self) -> Message:
        """Return the next message."""
        message = await self._receive()
        self.is_over = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def drain(self, *, n_bytes: int = 64 << 20, seconds: float = 2.0) -> None:
        """Read on for a moment before a refusal: who still sends would see the connection break, and no sentence."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10 * seconds):
                while n_bytes > 0 and not self.is_over:
                    async with asyncio.timeout(seconds):
                        message = await self()
                    n_bytes -= len(message.get("body", b""))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand a body that was read on, and then whatever else comes."""
    is_handed = False

    async def replay() -> Message:
        nonlocal is_handed
        if is_handed:
            return await receive()
        is_handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def answer(send: Send, status: int, sentence: str) -> None:
    """Answer with one sentence and end the connection."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})
