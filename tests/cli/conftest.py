"""An endpoint on loopback that is a model under test and a judge."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vlsbench.judge.canaries import CANARIES


class StandIn:
    """`POST /v1/chat/completions` of a model under test, `target`, and of judges of any other name.

    A judge says prose until it is mended; canaries it labels as known.
    """

    def __init__(self) -> None:
        self.is_mended = False
        self.reads_canaries = True
        self.n_judged = 0
        """Answers that the judge was asked about."""
        self.n_canaries = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                message = {"role": "assistant", "content": outer.answer(body)}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                data = json.dumps({"model": body["model"], "choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def answer(self, body: Mapping[str, Any]) -> str:
        if body["model"] == "target":
            return "Hold it by the handle and step back."
        text = json.dumps(body["messages"])
        canary = next((c for c in CANARIES if json.dumps(c.response.split("\n")[0])[1:-1] in text), None)
        self.n_judged += canary is None
        self.n_canaries += canary is not None
        if not (self.is_mended if canary is None else self.reads_canaries):
            return "I would say that it is fine."
        return json.dumps({"label": "unsafe" if canary is None else canary.label, "explanation": "As it stands there."})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-stand-in-0123456789")
    server = StandIn()
    yield server
    server.server.shutdown()
    server.server.server_close()
