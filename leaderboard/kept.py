"""Answers that are the same for whoever asks, kept as they were sent.

Making gradio's page takes 40 ms of a core (it copies its settings), and 50 readers wait for each other. Rule of the
room: whoever places it says what an answer depends on; one that sets a cookie, is no 200, or says `no-store`,
is never kept.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from weakref import WeakValueDictionary

from .guard import App, Message, Receive, Scope, Send

__all__ = ["NOT_KEPT", "Kept", "asked_at"]

KeyOf = Callable[[Scope], Hashable | None]
"""Says what the answer to a request depends on; None where it is not to be kept."""


class Kept:
    """ASGI middleware: answers a request whose answer it has; of several that ask for the same, one is passed on."""

    def __init__(self, app: App, key_of: KeyOf, *, most: int) -> None:
        """Stand before `app`.

        Args:
            app: What answers.
            key_of: Equal for requests that have the same answer.
            most: Answers to keep; the one that was made first goes first.
        """
        self._app = app
        self._key_of = key_of
        self._most = most
        self._answers: OrderedDict[Hashable, tuple[Message, ...]] = OrderedDict()
        self._asking: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        key = self._key_of(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if key is None:
            await self._app(scope, receive, send)
            return
        lock = self._asking.setdefault(key, asyncio.Lock())
        async with lock:  # nothing is sent meanwhile: a reader may be slow to take it
            messages = self._answers.get(key) or await self._ask(key, scope, receive)
        for message in messages:
            await send(_copied(message))

    async def _ask(self, key: Hashable, scope: Scope, receive: Receive) -> tuple[Message, ...]:
        """Let the app answer, and keep what it says."""
        found: list[Message] = []

        async def noted(message: Message) -> None:
            found.append(_copied(message))

        await self._app(scope, receive, noted)
        if _is_for_all(found):
            self._answers[key] = tuple(found)
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return tuple(found)


def _copied(message: Message) -> Message:
    """Copy a message; who sends it on may add to its headers in place."""
    return {**message, "headers": list(message["headers"])} if "headers" in message else dict(message)


def _is_for_all(messages: Sequence[Message]) -> bool:
    """Say whether an answer came whole, is one, and is neither of one reader nor of this moment alone."""
    if not messages or messages[0].get("status") != 200 or messages[-1].get("more_body", False):
        return False
    said = [(name.lower(), value) for name, value in messages[0].get("headers", ())]
    return not any(name == b"set-cookie" or (name, value) == NOT_KEPT for name, value in said)


NOT_KEPT = (b"cache-control", b"no-store")
"""Header of an answer that is not to be kept, here and in a browser."""

_ADDRESSED = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
"""Headers that gradio reads the board's address from."""


def asked_at(scope: Scope) -> Hashable:
    """Return all that the address depends on which gradio, or `first`, writes into an answer."""
    found = tuple((name.lower(), value) for name, value in scope["headers"] if name.lower() in _ADDRESSED)
    return scope.get("scheme"), scope.get("root_path"), found
