"""What may come back from an endpoint: bounded bytes, within bounded time, from the host that was asked.

The SDK reads every body whole, errors included, unpacks what is compressed and follows redirects to any host, pictures
and answers along with it. `guard` puts bounds on a client of `httpx2`, whatever its transport is: they hold for every
reply, also for those that the SDK asks for again.

Rule of the room: imported inside the function that opens a client, because `httpx2` costs 40 ms.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Final, TypeVar

import httpx2

__all__ = ["MAX_FILE_BYTES", "MAX_REPLY_BYTES", "OtherHostError", "ReplyError", "guard"]

MAX_REPLY_BYTES: Final = 16 * 2**20
"""Of one reply, unpacked. 128,000 tokens are about half a MiB; a server that echoes a picture sends 2."""

MAX_FILE_BYTES: Final = 512 * 2**20
"""Of a file of results, unpacked: a batch has at most 50,000 lines, and a line of ours some kB."""

MAX_REPLY_SECONDS: Final = 600.0
"""From the first byte of a reply to its last: as long as a question may take as a whole."""


class ReplyError(Exception):
    """A reply that is not read to its end: too many bytes, or too many seconds."""


class OtherHostError(Exception):
    """A redirect to a host that nobody named; nothing was sent there.

    Attributes:
        origin: Where to, as `https://HOST:PORT`.
    """

    def __init__(self, origin: str) -> None:
        super().__init__(f"redirects to {origin}")
        self.origin = origin


ClientT = TypeVar("ClientT", httpx2.AsyncClient, httpx2.Client)


def guard(
    client: ClientT,
    *,
    max_bytes: int = MAX_REPLY_BYTES,
    max_file_bytes: int = MAX_REPLY_BYTES,
    max_seconds: float = MAX_REPLY_SECONDS,
) -> ClientT:
    """Bound what a client reads and where it is led.

    Args:
        client: Its hooks are added to; those that are there stay.
        max_bytes: Of a body, unpacked.
        max_file_bytes: Of a file that is downloaded (`/files/ID/content`, status 200), unpacked.
        max_seconds: From the first byte of a body to its last.

    Returns:
        The same client. Its calls raise `ReplyError` and `OtherHostError`, which the SDK passes on as they are.
    """

    def look(response: httpx2.Response) -> None:
        _refuse_other_host(response)
        is_file = response.status_code == 200 and response.request.url.path.endswith("/content")
        response.stream = _Bounded(response, max_file_bytes if is_file else max_bytes, max_seconds)
        # Unpacked on the way, so that what is counted is what is kept.
        response.headers.pop("content-encoding", None)

    async def look_async(response: httpx2.Response) -> None:
        look(response)

    hook = look_async if isinstance(client, httpx2.AsyncClient) else look
    client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks["response"], hook]}
    return client


def _refuse_other_host(response: httpx2.Response) -> None:
    if not response.has_redirect_location:
        return
    asked = response.request.url
    try:
        target = asked.join(response.headers["location"])
    except (httpx2.InvalidURL, ValueError):
        raise OtherHostError("an address that is none") from None
    if _origin(target) == _origin(asked):
        return
    # The same name, and from http to https on the usual ports: what servers do to who forgot the s.
    is_upgrade = (asked.scheme, target.scheme) == ("http", "https") and asked.port is None and target.port is None
    if not (is_upgrade and target.host == asked.host):
        raise OtherHostError(_origin(target))


def _origin(url: httpx2.URL) -> str:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://{url.host}:{port}"


class _Bounded(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """The body of a reply, unpacked, up to its bounds."""

    def __init__(self, response: httpx2.Response, max_bytes: int, max_seconds: float) -> None:
        packed = httpx2.Headers(
            [("content-encoding", value) for value in response.headers.get_list("content-encoding")]
        )
        self._inner = httpx2.Response(
            response.status_code, headers=packed, stream=response.stream, request=response.request
        )
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds

    def _count(self, n_bytes: int, started: float) -> None:
        if n_bytes > self._max_bytes:
            raise ReplyError(f"the reply has more than {self._max_bytes // 2**20} MiB; it was not read on")
        if time.monotonic() - started > self._max_seconds:
            raise ReplyError(f"the reply did not end within {self._max_seconds:g} s")

    def __iter__(self) -> Iterator[bytes]:
        n_bytes, started = 0, time.monotonic()
        for part in self._inner.iter_bytes():
            n_bytes += len(part)
            self._count(n_bytes, started)
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        n_bytes, started = 0, time.monotonic()
        async for part in self._inner.aiter_bytes():
            n_bytes += len(part)
            self._count(n_bytes, started)
            yield part

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()
