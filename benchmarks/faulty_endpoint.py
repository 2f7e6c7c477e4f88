"""A loopback OpenAI-compatible endpoint that fails in every way the model judge knows, and counts what it was asked.

Everything it is asked about is `unsafe`, but for the canaries, which get their known labels; what it sends where it
fails speaks of a refusal wherever it can, so that any fault that turns into a label shows as one that is safe. Which
fault comes is decided by the number of the question (`[#17]` in the judged response) and of its try, so that a run
repeats itself whatever the order.

`GET /stats` says how often every question was asked, and how often it was answered with something that is paid.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import multiprocessing
import re
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vlsbench.judge.canaries import CANARIES  # the checkout, installed or not
from vlsbench.judge.prompts import neutralise

FAULTS = (
    *("429", "429 with Retry-After", "429 with a long Retry-After", "500", "502 with a page", "503 until a date"),
    *("timeout", "disconnect mid-body", "disconnect", "cut body", "page with status 200", "error with status 200"),
    *("cut JSON", "wrong schema", "label of another list", "prose", "labels that disagree", "two labels"),
    *("filter by status", "filter by finish", "refusal", "refusal beside a label", "empty"),
)
"""Every kind of fault. Those up to `error with status 200` pass when asked again."""

PASSING = FAULTS[: FAULTS.index("cut JSON")]

_SAFE = '{"label": "refusal", "explanation": "The response declines."}'
_MARK = re.compile(r"\[#(\d+)\]")
_CANARY_LABELS = [(neutralise(canary.response), canary.label) for canary in CANARIES]


class Stats(NamedTuple):
    """What the endpoint was asked."""

    asked: Counter[str]
    """Requests by question; `canary` for those of canaries."""
    paid: Counter[str]
    """Replies with a completion, whole."""
    faults: Counter[str]


def completion(content: object, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """Make a chat completion."""
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "stand-in-2026-01-01",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
        ],
        "usage": {"prompt_tokens": 1500, "completion_tokens": 20, "total_tokens": 1520},
    }


def text_of(body: dict[str, Any]) -> str:
    """Return all texts of a request's user message."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part["type"] == "text")


CONTENT_FAULTS: dict[str, dict[str, Any]] = {
    "cut JSON": completion('{"label": "refu', "length"),
    "wrong schema": completion('{"verdict": "refusal", "explanation": ""}'),
    "label of another list": completion('{"label": "safe", "explanation": ""}'),
    "prose": completion("The label is refusal."),
    "labels that disagree": completion(f"Here is my verdict: {_SAFE}, or rather {_SAFE.replace('refusal', 'warning')}"),
    "two labels": completion(_SAFE + _SAFE),
    "filter by finish": completion(_SAFE, "content_filter"),
    "refusal": completion(None, refusal="I can't assist with that."),
    "refusal beside a label": completion(_SAFE, refusal="I can't assist with that."),
    "empty": completion(""),
}

STATUS_FAULTS: dict[str, tuple[int, str, dict[str, str]]] = {
    "429": (429, _SAFE, {}),
    "429 with Retry-After": (429, _SAFE, {"Retry-After": "0.05"}),
    "429 with a long Retry-After": (429, _SAFE, {"Retry-After": "150"}),
    "500": (500, _SAFE, {}),
    "502 with a page": (502, f"<html>{_SAFE}</html>", {}),
    "503 until a date": (503, _SAFE, {"Retry-After": "Fri, 31 Dec 2199 23:59:59 GMT"}),
    "filter by status": (400, '{"error": {"message": "flagged", "code": "content_filter"}}', {}),
    "page with status 200": (200, f"<html>{_SAFE}</html>", {}),
    "error with status 200": (200, '{"error": {"message": "overloaded"}}', {}),
    "cut body": (200, json.dumps(completion(_SAFE))[:-40], {}),
}


def serve(latency_seconds: float, share: float, silence_seconds: float, port: Connection) -> None:
    """Serve on a free loopback port, which is sent through `port`, until killed.

    Args:
        share: Of requests that fail.
        silence_seconds: How long the fault `timeout` says nothing.
    """
    from aiohttp import web

    asked: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    faults: Counter[str] = Counter()

    def choose_fault(question: str, n: int) -> str | None:
        digest = hashlib.sha256(f"{question}/{n}".encode()).digest()
        if question == "canary" or digest[0] / 256 >= share:
            return None
        return FAULTS[int.from_bytes(digest[1:5]) % len(FAULTS)]

    async def disconnect(request: web.Request, *, mid_body: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "4000"})
        if mid_body:
            await response.prepare(request)
            await response.write(json.dumps(completion(_SAFE))[:200].encode())
        if request.transport is not None:
            request.transport.close()
        return response

    async def fail(request: web.Request, fault: str) -> web.StreamResponse:
        if fault in STATUS_FAULTS:
            status, text, headers = STATUS_FAULTS[fault]
            return web.Response(status=status, text=text, headers=headers, content_type="application/json")
        if fault == "timeout":
            await asyncio.sleep(silence_seconds)
            return web.json_response(completion(_SAFE))
        return await disconnect(request, mid_body=fault == "disconnect mid-body")

    async def chat(request: web.Request) -> web.StreamResponse:
        text = text_of(json.loads(await request.read()))
        mark = _MARK.search(text)
        question = mark[1] if mark else "canary"
        asked[question] += 1
        fault = choose_fault(question, asked[question])
        await asyncio.sleep(latency_seconds)
        if fault is not None:
            faults[fault] += 1
            if fault not in CONTENT_FAULTS:
                return await fail(request, fault)
        paid[question] += 1
        if fault is not None:
            return web.json_response(CONTENT_FAULTS[fault])
        label = next((label for response, label in _CANARY_LABELS if response in text), "unsafe")
        return web.json_response(completion(json.dumps({"label": label, "explanation": "As it is."})))

    async def stats(_: web.Request) -> web.Response:
        return web.json_response({"asked": asked, "paid": paid, "faults": faults})

    async def main() -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", chat)
        app.router.add_get("/stats", stats)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextlib.contextmanager
def endpoint(*, latency_seconds: float = 0.0, share: float = 0.0, silence_seconds: float = 2.0) -> Iterator[str]:
    """Run the endpoint in a process of its own and yield its base URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (latency_seconds, share, silence_seconds, theirs)
    process = context.Process(target=serve, args=arguments, daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.kill()
        process.join()


def read_stats(url: str) -> Stats:
    """Ask an endpoint what it was asked."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as reply:  # noqa: S310  # loopback
        found = json.load(reply)
    return Stats(Counter(found["asked"]), Counter(found["paid"]), Counter(found["faults"]))
