"""What is uploaded, by whom: who may, how much of it lies on the server, and how long it may take to come.

A person is who is signed in with the Hub, else an address. Rule of the room: bytes and their owners; what the files
hold is read by `vlsbench.store.desk`, in a process of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gradio.oauth import OAuthProfile
from starlette.formparsers import MultiPartException

from vlsbench.store.desk import MAX_FILES, MAX_UPLOAD_BYTES

from .forms import FIELD, Form, boundary_of
from .guard import MAX_BODY_BYTES, UPLOAD_PATH, App, Body, Message, Receive, Scope, Send, answer

__all__ = ["KEPT_SECONDS", "MAX_KEPT_BYTES", "MAX_PERSON_BYTES", "Ledger", "UploadGate", "person_at", "signed_in_as"]

KEPT_SECONDS: Final = 3600
"""How long an upload is kept; gradio deletes it then."""

MAX_KEPT_BYTES: Final = 4 << 30
"""Uploads that lie on the server at once, 4 GiB: the disk of a Space has 50."""

MAX_PERSON_BYTES: Final = 1 << 30
"""Of them, what one person has there, 1 GiB: two submissions as large as one may be."""

MAX_AT_ONCE: Final = 4
"""Uploads of one person that come at the same time; a browser sends all files of a choice in one."""

IDLE_SECONDS: Final = 20.0
"""Longest silence while an upload comes."""

UPLOAD_SECONDS: Final = 900.0
"""Longest upload: half a gigabyte over a line of 5 Mbit/s."""

_MAX_UPLOAD_BODY: Final = MAX_FILES * MAX_UPLOAD_BYTES + MAX_BODY_BYTES
_LEAST_BYTES: Final = 64 << 10
"""What a file counts for at least: a million empty ones fill a disk too."""

_HALF: Final = re.compile(r"tmp[a-z0-9_]{8}")
"""What Python calls a temporary file."""

_NETWORK_BITS: Final = 64
"""Of an IPv6 address, what a provider hands to one customer."""


def person_at(address: str | None) -> str:
    """Name who asks from an address: all of an IPv6 network that one customer has are one."""
    try:
        found = ipaddress.ip_address((address or "").split("%")[0])
    except ValueError:
        return (address or "unknown")[:100]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
    return str(found)


def signed_in_as(session: Any) -> str | None:
    """Return the name that the Hub vouches for in a session; None where nobody is signed in, or no longer."""
    information = session.get("oauth_info") if isinstance(session, Mapping) else None
    if not isinstance(information, Mapping) or not information.get("userinfo"):
        return None
    expires = information.get("expires_at")
    if expires is not None and expires < time.time():
        return None
    return str(OAuthProfile(information["userinfo"]).username) or None


@dataclass
class _Kept:
    """One file that lies on the server."""

    person: str
    n_bytes: int
    since: float


@dataclass
class Ledger:
    """Who has how much on the server. Where there is no room, who has most gives way, not who comes last."""

    folder: Path
    clock: Callable[[], float] = time.monotonic
    _kept: dict[Path, _Kept] = field(default_factory=dict)
    _coming: Counter[str] = field(default_factory=Counter)
    """Bytes of uploads that are under way."""
    _n_coming: Counter[str] = field(default_factory=Counter)

    def begin(self, person: str) -> str | None:
        """Note that an upload begins.

        Returns:
            Why it may not; then nothing is noted.
        """
        self._sweep()
        if self._n_coming[person] >= MAX_AT_ONCE:
            return f"{MAX_AT_ONCE} uploads of yours are under way; wait for one to end."
        if self._bytes_of(person) >= MAX_PERSON_BYTES:
            return (
                f"You have {MAX_PERSON_BYTES >> 20:,} MiB of uploads here, which is all that one person may. Submit "
                "them, or try again within an hour, when they are gone."
            )
        self._n_coming[person] += 1
        return None

    def take(self, person: str, n_bytes: int) -> str | None:
        """Note bytes that have come, and make room for them.

        Returns:
            Why they may not be kept.
        """
        self._coming[person] += n_bytes
        if self._bytes_of(person) > MAX_PERSON_BYTES:
            return f"One person may have {MAX_PERSON_BYTES >> 20:,} MiB of uploads here at once"
        while self._total() > MAX_KEPT_BYTES:
            held: Counter[str] = Counter()
            for item in self._kept.values():
                held[item.person] += item.n_bytes
            if not held:
                return "So much is being uploaded that there is no room now; try again in a quarter of an hour"
            heaviest = max(held, key=lambda name: held[name])
            if heaviest == person:
                return "There is no room for more of your uploads now; submit those that are here"
            theirs = [path for path, item in self._kept.items() if item.person == heaviest]
            oldest = min(theirs, key=lambda path: self._kept[path].since)
            oldest.unlink(missing_ok=True)
            del self._kept[oldest]
        return None

    def end(self, person: str, n_bytes: int, files: list[Path]) -> None:
        """Note that an upload is over, and which files it left."""
        self._coming[person] -= n_bytes
        self._n_coming[person] -= 1
        self._coming, self._n_coming = +self._coming, +self._n_coming
        for path in files:
            try:
                size = path.stat().st_size
            except OSError:
                continue
            self._kept[path] = _Kept(person, max(size, _LEAST_BYTES), self.clock())
        self._sweep()

    def _bytes_of(self, person: str) -> int:
        return self._coming[person] + sum(item.n_bytes for item in self._kept.values() if item.person == person)

    def _total(self) -> int:
        return self._coming.total() + sum(item.n_bytes for item in self._kept.values())

    def _sweep(self) -> None:
        """Forget files that are gone, and remove what a broken upload left half written."""
        self._kept = {path: item for path, item in self._kept.items() if path.exists()}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                # Gradio writes what comes into the folder itself, and moves it into one of its own when it is whole.
                if not self._n_coming and _HALF.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    Path(entry.path).unlink(missing_ok=True)


class UploadGate:
    """ASGI middleware, within that of the session."""

    def __init__(self, app: App, ledger: Ledger, *, needs_sign_in: bool) -> None:
        """Stand before `app`."""
        self._app = app
        self._ledger = ledger
        self._needs_sign_in = needs_sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an upload through while it keeps to its bounds; what else is asked passes."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].rstrip("/") != UPLOAD_PATH:
            await self._app(scope, receive, send)
            return
        body = Body(receive)
        name = signed_in_as(scope.get("session"))
        if self._needs_sign_in and name is None:
            await body.drain()
            await answer(send, 401, "Sign in with Hugging Face first; then files can be chosen, checked and submitted.")
            return
        person = f"@{name}" if name is not None else person_at((scope.get("client") or (None,))[0])
        why_not = self._ledger.begin(person)
        if why_not is not None:
            await body.drain()
            await answer(send, 429, why_not)
            return
        await self._pass(person, scope, body, send)

    async def _pass(self, person: str, scope: Scope, body: Body, send: Send) -> None:
        kind = next(value for name, value in scope["headers"] if name == b"content-type")
        counted = _Counted(self._ledger, person, body, Form(boundary_of(kind.decode("latin-1"))))
        said = _Said(send)
        files: list[Path] = []
        try:
            await self._app(scope, counted, said)
            files = said.files()
        finally:
            self._ledger.end(person, counted.n_bytes, files)
        await said.hand_on(is_empty=not files)


class _Counted:
    """The body of an upload; what goes beyond a bound ends it, and gradio then removes what it has written."""

    def __init__(self, ledger: Ledger, person: str, body: Body, form: Form) -> None:
        self._ledger = ledger
        self._person = person
        self._body = body
        self._form = form
        self._end = time.monotonic() + UPLOAD_SECONDS
        self.n_bytes = 0

    async def __call__(self) -> Message:
        if self._body.is_over:
            return await self._body()
        try:
            async with asyncio.timeout(min(IDLE_SECONDS, self._end - time.monotonic())):
                message = await self._body()
        except TimeoutError:
            # Gradio answers with this text, and with 413 where it holds "maximum allowed size".
            raise MultiPartException(f"The upload stood still for {IDLE_SECONDS:.0f} s, or took too long.") from None
        if message["type"] == "http.disconnect":
            raise MultiPartException("The upload broke off.")
        n_bytes = len(message.get("body", b""))
        self.n_bytes += n_bytes
        why_not = self._ledger.take(self._person, n_bytes)
        if self.n_bytes > _MAX_UPLOAD_BODY:
            why_not = f"At most {MAX_FILES} files of {MAX_UPLOAD_BYTES:,} bytes are taken at once"
        if why_not is not None:
            await self._body.drain()
            raise MultiPartException(f"{why_not} (more than the maximum allowed size).")
        await self._read_form(message.get("body", b""))
        return message

    async def _read_form(self, data: bytes) -> None:
        try:
            self._form.write(data)
        except MultiPartException:
            await self._body.drain()
            raise
        if self._body.is_over and not self._form.is_over:
            raise MultiPartException("The form does not come to its end; send it whole.")


class _Said:
    """The answer to an upload, held back until it is known what it left."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    def files(self) -> list[Path]:
        """Return the files that gradio names."""
        if not self._messages or self._messages[0]["status"] != 200:
            return []
        data = b"".join(message.get("body", b"") for message in self._messages[1:])
        return [Path(name) for name in json.loads(data)]

    async def hand_on(self, *, is_empty: bool) -> None:
        """Send it."""
        if is_empty and self._messages and self._messages[0]["status"] == 200:
            await answer(self._send, 400, f"No file came with the upload; the form's field is called '{FIELD}'.")
            return
        for message in self._messages:
            if message["type"] == "http.response.start" and message["status"] != 200:
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await self._send(message)
