"""A stand-in endpoint and drawn sets for tests of judges."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

Answer = Callable[[dict[str, Any]], Any]


@dataclass
class StandIn:
    """An endpoint on loopback: `answer` makes the reply of a request's body; a tuple is (status, body)."""

    answer: Answer
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [kind_of(body) for body in self.asked]


def completion(text: str, *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {
        "model": "judge-2026-01-01",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"content": text, **message}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }


def kind_of(body: dict[str, Any]) -> str:
    """Tell which question a request asks: pairs hold an image, and only `need` offers yes and no."""
    if isinstance(body["messages"][-1]["content"], list):
        return "pair"
    return "need" if '"yes"' in body["messages"][0]["content"] else "text"


def words_of(body: dict[str, Any]) -> str:
    """The user's words of a request."""
    content = body["messages"][-1]["content"]
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return "\n".join(parts)


def label(word: str) -> dict[str, Any]:
    return completion(json.dumps({"label": word}))


@contextmanager
def endpoint(answer: Answer) -> Iterator[StandIn]:
    stand_in = StandIn(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stand_in.asked.append(body)
            said = stand_in.answer(body)
            status, reply = said if isinstance(said, tuple) else (200, said)
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (shade % 256, shade // 256 % 256, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def write_set(folder: Path, rows: list[dict[str, Any]], *, without: tuple[str, ...] = ()) -> Path:
    """Write rows and a drawn image for each name in them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(dict.fromkeys(row["image"] for row in rows)):
        if name not in without:
            (folder / name).write_bytes(png(number))
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder
