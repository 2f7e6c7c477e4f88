"""Replies are bounded, and nothing follows a redirect to another host; with the real SDK and both its clients."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import openai
import pytest

from vlsbench.transport import OtherHostError, ReplyError, guard

MIB = 2**20
GOOD = json.dumps({"choices": []}).encode()


def packed(data: bytes, times: int = 1) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as file:
        for _ in range(times):
            file.write(data)
    return out.getvalue()


BOMB = packed(bytes(MIB), 64)


class Server:
    """Answers every path with what `replies` has for it, and notes who was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _do(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.asked.append(f"{self.command} {self.path}")
                name = self.path.split("?")[0].removeprefix("/")
                if name.startswith("endless"):
                    self.send_response(500 if "500" in name else 200)
                    self.send_header("content-length", str(10**10))
                    self.end_headers()
                    self.close_connection = True
                    try:
                        for _ in range(10**4):
                            self.wfile.write(b" " * MIB)
                    except OSError:
                        return
                    return
                status, headers, body = outer.reply(name)
                self.send_response(status)
                for key, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _do  # noqa: N815  # the library's names

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that leaves is wanted
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def reply(self, name: str) -> tuple[int, dict[str, str], bytes]:
        if name.startswith("redirect"):
            _, status, target = name.split(":", 2)
            where = {
                "other": f"http://localhost:{self.server.server_port}/good",
                "same": "/good",
                "none": "http://a:b:c/",
            }
            return int(status), {"location": where[target]}, b""
        return {
            "good": (200, {}, GOOD),
            "packed": (200, {"content-encoding": "gzip"}, packed(GOOD)),
            "bomb": (200, {"content-encoding": "gzip"}, BOMB),
            "bomb-500": (500, {"content-encoding": "gzip"}, BOMB),
        }[name]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def ask_async(url: str, name: str, **bounds: Any) -> bytes:
    async def ask() -> bytes:
        http_client = guard(openai.DefaultAioHttpClient(), **bounds)
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0, http_client=http_client) as client:
            return (await client.post(f"/{name}", body={}, cast_to=httpx2.Response)).content

    return asyncio.run(ask())


def ask_sync(url: str, name: str, **bounds: Any) -> bytes:
    http_client = guard(openai.DefaultHttpxClient(), **bounds)
    with openai.OpenAI(api_key="k", base_url=url, max_retries=0, http_client=http_client) as client:
        return client.post(f"/{name}", body={}, cast_to=httpx2.Response).content


both = pytest.mark.parametrize("ask", [ask_async, ask_sync])


@both
@pytest.mark.parametrize("name", ["good", "packed", "redirect:307:same", "redirect:308:same"])
def test_a_reply_within_the_bounds_comes_as_it_is(ask: Callable[..., bytes], name: str, server: Server) -> None:
    assert ask(server.url, name) == GOOD


@both
@pytest.mark.parametrize("name", ["endless", "endless-500", "bomb", "bomb-500"])
def test_a_body_is_read_up_to_its_bound_only(ask: Callable[..., bytes], name: str, server: Server) -> None:
    with pytest.raises(ReplyError, match="more than 2 MiB"):
        ask(server.url, name, max_bytes=2 * MIB)


@both
def test_a_file_that_is_downloaded_has_a_bound_of_its_own(ask: Callable[..., bytes], server: Server) -> None:
    with pytest.raises(ReplyError, match="more than 1 MiB"):
        ask(server.url, "endless", max_bytes=MIB, max_file_bytes=2 * MIB)
    with pytest.raises(ReplyError, match="more than 2 MiB"):
        ask(server.url, "endless/content", max_bytes=MIB, max_file_bytes=2 * MIB)
    with pytest.raises(ReplyError, match="more than 1 MiB"):
        ask(server.url, "endless-500/content", max_bytes=MIB, max_file_bytes=2 * MIB)


@both
def test_a_body_that_does_not_end_is_left(ask: Callable[..., bytes], server: Server) -> None:
    with pytest.raises(ReplyError, match="did not end within 0 s"):
        ask(server.url, "endless", max_seconds=0.0)


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(ask: Callable[..., bytes], status: int, server: Server) -> None:
    server.asked.clear()
    with pytest.raises(OtherHostError, match=r"redirects to http://localhost:[0-9]+$"):
        ask(server.url, f"redirect:{status}:other")
    assert server.asked == [f"POST /redirect:{status}:other"]


@both
def test_a_redirect_to_no_address_is_not_followed(ask: Callable[..., bytes], server: Server) -> None:
    with pytest.raises(OtherHostError, match="an address that is none"):
        ask(server.url, "redirect:307:none")
