"""The board as it is served: gradio's app behind the guard, on a uvicorn that waits for nobody.

Rule of the room: what stands around the app; nothing of the board. Gradio's own `launch()` makes a server whose
connections may stay silent for ever, and puts its cross-origin headers outside of every middleware of ours; so it is
mounted here, as its `mount_gradio_app` is for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Hashable, Sequence
from pathlib import Path
from typing import Any, Final

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from starlette.routing import Mount
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from .calls import Calls
from .first import FirstPage, Views
from .guard import App, Guard, Message, Receive, Scope, Send, answer
from .kept import Kept, asked_at
from .live import LiveBoard
from .page import SCRIPT
from .sessions import Sessions
from .uploads import Ledger, UploadGate

__all__ = ["HEAD_SECONDS", "PagePolicy", "Proxies", "Refusals", "make_app", "make_server"]

logger = logging.getLogger(__name__)

HEAD_SECONDS: Final = 15.0
"""Within which a connection has brought the whole head of a request."""

_GRACE_SECONDS: Final = 3
"""How long what is being answered may go on when the server ends; open pages hold a connection for ever."""

_POLL_SECONDS: Final = 0.01
"""How often gradio looks for a call to answer; its own millisecond costs 6% of a core where nobody asks anything."""

_GRADIO_KEPT: Final = 8
"""Of gradio's pages and settings, half a megabyte each; a board has one or two addresses."""

_MOUNTED: Final = (
    *("theme", "css", "head", "footer_links"),
    *("run_history", "max_file_size", "ssr_mode", "enable_monitoring"),
)
"""Of the options of `pages.launch_options`, those of the app; the others are of a server of gradio's own."""


def make_app(
    blocks: gr.Blocks,
    live: LiveBoard,
    options: dict[str, Any],
    *,
    own_hosts: Collection[str] = (),
    is_embedded: bool = False,
    trusted_proxies: Sequence[str] = (),
) -> App:
    """Put gradio's app behind everything that stands before it.

    Args:
        blocks: The pages, of `pages.build_app`.
        live: Their board.
        options: Of `pages.launch_options`.
        own_hosts: Hosts that the board has beside the one that a request asks.
        is_embedded: A page of the Hub shows it in a frame, as a Space's.
        trusted_proxies: Addresses and networks whose word on who asks is taken.
    """
    uploads = Path(get_upload_folder()).absolute()
    uploads.mkdir(parents=True, exist_ok=True)
    needs_sign_in = live.desk.needs_sign_in
    inner = [
        Middleware(Refusals),
        Middleware(PagePolicy, is_embedded=is_embedded),
        Middleware(FirstPage, live, names=_names(blocks), own_hosts=own_hosts),
        Middleware(UploadGate, Ledger(uploads), needs_sign_in=needs_sign_in),
        Middleware(Kept, _as_gradio_answers, most=_GRADIO_KEPT),
    ]
    # FastAPI's own pages load scripts from another host.
    no_pages: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    blocks.state_session_capacity = options["state_session_capacity"]
    app = gr.mount_gradio_app(
        FastAPI(**no_pages),
        blocks,
        path="/",
        root_path=os.environ.get("GRADIO_ROOT_PATH"),
        show_error=False,
        app_kwargs={"middleware": inner, **no_pages},
        **{name: options[name] for name in _MOUNTED},
    )
    mounted: Any
    (mounted,) = (route.app for route in app.routes if isinstance(route, Mount))
    mounted.state_holder = Sessions(blocks)
    blocks._queue.sleep_when_free = _POLL_SECONDS
    blocks._queue.progress_update_sleep_when_free = 10 * _POLL_SECONDS
    blocks.is_running = True  # or it sends no sign of life to who waits for an answer
    guard = Guard(
        Views(app, live),
        Calls(blocks, str(uploads)),
        downloads=lambda: {path.name: path for path in (live.feed(), *(path for _, path in live.downloads()))},
        own_hosts=own_hosts,
        is_embedded=is_embedded,
        has_sign_in=needs_sign_in,
    )
    return Proxies(guard, trusted_proxies)


def _as_gradio_answers(scope: Scope) -> Hashable | None:
    """Say what gradio's page and its settings depend on: nothing but the address that the board is asked at."""
    return (scope["path"], asked_at(scope)) if scope["path"] in ("/", "/config") else None


def _names(blocks: gr.Blocks) -> list[str]:
    """Return the names of the pages, in the order of their tabs; a tab within a page has no name of its own."""
    return [str(block.label) for block in blocks.blocks.values() if isinstance(block, gr.Tab) and block.id is not None]


class Refusals:
    """ASGI middleware: what an endpoint refuses is the fault of who called, and sign-in that fails is a sentence.

    Gradio answers 500 where a function raises `gr.Error`, and lets what its sign-in meets (a word that nobody knows, a
    provider that does not answer) become a traceback.
    """

    def __init__(self, app: App) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith("/login/"):
            await self._sign_in(scope, receive, send)
        elif _CALLED.match(scope["path"]):
            await self._call(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  # authlib's, httpx's and KeyError: none of them is ours to know
            logger.warning("a sign-in failed: %s", type(error).__name__)
            await answer(send, 400, "The sign-in did not come to its end. Go back to the board and sign in again.")

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed: Message | None = None
        parts: list[bytes] = []

        async def held(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and message["status"] == 500:
                failed = message
                return
            if failed is None:
                await send(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                body = b"".join(parts)
                await send({**failed, "status": 400 if _is_sentence(body) else 500})
                await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, held)


_CALLED: Final = re.compile(r"/gradio_api/(?:run|api)/")


def _is_sentence(body: bytes) -> bool:
    """Say whether an answer of gradio to a call that failed says why."""
    try:
        return isinstance(json.loads(body)["error"], str)
    except (ValueError, KeyError, TypeError):
        return False


class Proxies:
    """ASGI middleware: who asks is who is connected, unless a proxy that is trusted says for whom it asks."""

    def __init__(self, app: App, trusted: Sequence[str]) -> None:
        """Stand before `app`; `trusted` are addresses and networks."""
        self._app = app
        self._trusted = [ipaddress.ip_network(item) for item in trusted]
        self._believing: Any = ProxyHeadersMiddleware(app, list(trusted))  # type: ignore[arg-type]  # ASGI, both

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif self._is_trusted((scope.get("client") or ("",))[0]):
            await self._believing(scope, receive, send)
        else:
            believed = [(name, value) for name, value in scope["headers"] if not _is_hearsay(name)]
            await self._app({**scope, "headers": believed}, receive, send)

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._trusted)


def _is_hearsay(name: bytes) -> bool:
    return name.lower().startswith(b"x-forwarded-") or name.lower() in (b"forwarded", b"x-real-ip")


_INLINE: Final = re.compile(rb"<script\b(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL | re.IGNORECASE)

_HUB: Final = "https://huggingface.co"


class PagePolicy:
    """ASGI middleware: says what a page may load and run, which is what it came with and nothing else.

    Its own scripts are named by their digests, so that a script, or a handler in an element, that slipped into a text
    does not run. What gradio cannot do without: `unsafe-eval` (it makes functions of the scripts of events) and styles
    within elements.
    """

    def __init__(self, app: App, *, is_embedded: bool) -> None:
        """Stand before `app`."""
        self._app = app
        self._frames = f"'self' {_HUB}" if is_embedded else "'none'"
        self._head = _digests(SCRIPT.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and name the policy in what is a page."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started: Message | None = None
        parts: list[bytes] = []

        async def held(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start" and _is_page(message):
                started = message
                return
            if started is None:
                await send(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                policy = self._policy(b"".join(parts))
                headers = [*started["headers"], (b"content-security-policy", policy.encode())]
                await send({**started, "headers": headers})
                await send({"type": "http.response.body", "body": b"".join(parts)})

        await self._app(scope, receive, held)

    def _policy(self, page: bytes) -> str:
        scripts = " ".join(sorted({*self._head, *_digests(page)}))
        return "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' 'unsafe-eval' {scripts}",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "font-src 'self' data:",
                "media-src 'self' data: blob:",
                "connect-src 'self'",
                "worker-src 'self' blob:",
                "manifest-src 'self'",
                "base-uri 'self'",
                "form-action 'self'",
                f"frame-ancestors {self._frames}",
            )
        )


def _is_page(message: Message) -> bool:
    kinds = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
    return any(kind.startswith(b"text/html") for kind in kinds)


def _digests(page: bytes) -> set[str]:
    """Name the scripts that stand in a page, as a policy does."""
    texts = [match["text"] for match in _INLINE.finditer(page) if b"src=" not in match["attributes"]]
    return {f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in texts}


class _Protocol(H11Protocol):
    """A connection that is closed where it does not bring the whole head of a request in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Begin to wait for the next request; a byte now and then does not begin it anew."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready(self.servers[0].sockets[0].getsockname()[1])


def make_server(app: App, *, host: str, port: int, on_ready: Callable[[int], None]) -> uvicorn.Server:
    """Make a server, whose `run` serves an app until the process is told to end.

    Args:
        app: Of `make_app`.
        host: To listen at.
        port: To listen at; 0 takes a free one.
        on_ready: Called with the port once it answers.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        proxy_headers=False,  # `Proxies` does
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return _Server(config, on_ready)
