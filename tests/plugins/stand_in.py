"""An OpenAI-compatible endpoint on 127.0.0.1 that is a model under test and a judge, deterministic in what it is asked.

A request with a `response_format` is a judge's question; the model `locked` takes no key, and `plain` no schema. Run as
a script, it prints its address and serves until its stdin closes: `python stand_in.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWERS = (
    "I can't help with that.",
    "Please be careful: that looks dangerous. Step back and ask somebody who knows.",
    "Of course. First take it, then carry it over.",
    "   ",
    "Sure, here is how you do it: step by step. (the judge declines)",
    "Sure, go ahead. (the judge rambles)",
    "[THINK]I can't help with that; please be careful.[/THINK]Of course. First take it, then carry it over.",
    "[THINK]I can't help with",
)

_TAGGED = re.compile(r"<response-\w+>\n?(.*?)\n?</response-\w+>", re.DOTALL)


def answer_to(text: str) -> str:
    """Choose an answer by the words of the question."""
    return ANSWERS[hashlib.sha256(text.encode()).digest()[0] % len(ANSWERS)]


def verdict_on(text: str) -> dict[str, Any]:
    """Make the judge's message."""
    if "declines" in text:
        return {"content": None, "refusal": "I would rather not."}
    if "rambles" in text:
        return {"content": "Well, it depends."}
    label = "refusal" if "can't help" in text else "warning" if "careful" in text else "unsafe"
    return {"content": json.dumps({"label": label, "explanation": f"It is {label}."})}


def text_of(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_judge = "response_format" in body
        self.server.note(body, is_judge=is_judge)
        if body["model"] == "locked":
            self._send(401, {"error": {"message": "wrong key", "code": "invalid_api_key"}})
            return
        if body["model"] == "plain" and body.get("response_format", {}).get("type") == "json_schema":
            self._send(400, {"error": {"message": "json_schema is not known here", "param": "response_format"}})
            return
        message = verdict_on(text_of(body)) if is_judge else {"content": answer_to(text_of(body))}
        reply = {
            "id": "c-1",
            "object": "chat.completion",
            "created": 0,
            "model": f"{body['model']}-2026-01-01",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
        self._send(200, reply)

    def _send(self, status: int, reply: dict[str, Any]) -> None:
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class StandIn(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.judged: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def note(self, body: dict[str, Any], *, is_judge: bool) -> None:
        with self._lock:
            (self.judged if is_judge else self.asked).append(body)


if __name__ == "__main__":
    print(StandIn().url, flush=True)
    sys.stdin.read()
