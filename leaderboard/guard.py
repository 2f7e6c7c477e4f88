"""What stands before gradio on a public board: bounds on what strangers send, and a 404 where gradio would fail.

Rule of the room: requests only; nothing of the board. It answers with one plain sentence or passes a request on as it
came. What it refuses was tried against gradio 6.31.0 (`tests/leaderboard/test_safety.py`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from vlsbench.store.desk import MAX_FILES, MAX_UPLOAD_BYTES

__all__ = ["MAX_BODY_BYTES", "MAX_KEPT_BYTES", "Guard"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 1 << 20
"""Of a request that uploads nothing, 1 MiB: the choices of a page are a few kilobytes."""

MAX_KEPT_BYTES: Final = 4 << 30
"""Uploads that lie on the server at once, 4 GiB: the disk of a Space has 50. They go after an hour."""

_MAX_UPLOAD_BODY: Final = MAX_FILES * MAX_UPLOAD_BYTES + MAX_BODY_BYTES
_UPLOAD: Final = "/gradio_api/upload"
_OF_GRADIO: Final = ("page", "deep_link")
"""Queries that gradio reads itself. The app has one page and keeps no links, so gradio fails on them (KeyError)."""


class _TooLargeError(Exception):
    """The body goes on beyond its bound."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: App, uploads: Path) -> None:
        """Stand before `app`; `uploads` is where gradio puts files."""
        self._app = app
        self._uploads = uploads

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if any(query.get(name, [""])[0] for name in _OF_GRADIO):
            await _answer(send, 404, "There is no such page; the board is at /.")
            return
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        if scope["path"].rstrip("/") == _UPLOAD:
            await self._upload(scope, receive, send)
            return
        body = await _read(receive, MAX_BODY_BYTES)
        if body is None:
            await _answer(send, 413, f"A request has at most {MAX_BODY_BYTES:,} bytes.")
        elif _names_an_address(body):
            await _answer(send, 400, "A file is uploaded here first; addresses are not fetched.")
        else:
            await self._app(scope, _replayed(body, receive), send)

    async def _upload(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if _size_of(self._uploads) > MAX_KEPT_BYTES:
            await _answer(send, 503, "Too much was uploaded within the last hour. Try again later.")
            return
        n_bytes = 0
        has_begun = False

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > _MAX_UPLOAD_BODY:
                raise _TooLargeError
            return message

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLargeError:
            if not has_begun:
                await _answer(send, 413, f"At most {MAX_FILES} files of {MAX_UPLOAD_BYTES:,} bytes are taken at once.")


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Read a body; None where it is longer than `limit`."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


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


def _names_an_address(body: bytes) -> bool:
    """Say whether a JSON body hands over a file by an address: gradio would fetch it, of any size, from anywhere."""
    try:
        stack = [json.loads(body)] if body else []
    except (ValueError, RecursionError):
        return False  # gradio refuses it
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            path = item.get("path")
            if "meta" in item and isinstance(path, str) and "://" in path:
                return True
            stack.extend(item.values())
    return False


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # gone meanwhile
            continue
    return total


async def _answer(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})
