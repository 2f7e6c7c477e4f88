"""`vlsbench judge --judge openai:MODEL` as a user runs it, against a stand-in endpoint on 127.0.0.1."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import commands
import pytest

from vlsbench.judge.canaries import CANARIES
from vlsbench.judge.prompts import neutralise

EXAMPLE = Path(__file__).parents[2] / "submissions" / "examples" / "mixed"
KEY = "sk-stand-in-0123456789"

Reply = tuple[int, str, bytes]
"""Status, content type, body."""


def completion(message: dict[str, object], finish: str = "stop") -> Reply:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "judge-2026-01-01", "choices": [choice]}
    return 200, "application/json", json.dumps(body).encode()


def verdict(label: str) -> Reply:
    return completion({"content": json.dumps({"label": label, "explanation": "as told"})})


@contextmanager
def endpoint(answer: Callable[[dict[str, object]], Reply]) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Serve chat completions; yields the base URL and the list of bodies that came."""
    asked: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            status, kind, data = answer(body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if status >= 400:
                self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that gives up closes its connections

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(EXAMPLE / "submission.json", folder)
    lines = (EXAMPLE / "responses.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:30]
    (folder / "responses.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def judge(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    told = ["judge", folder, "--judge", "openai:judge-2026-01-01", "--base-url", url, "--concurrency", 32, *arguments]
    done = commands.vlsbench(*told, environment={**os.environ, "OPENAI_API_KEY": KEY})
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def labels(folder: Path) -> list[str]:
    text = "".join(path.read_text() for path in (folder / "verdicts").glob("*.jsonl"))
    lines = [json.loads(line) for line in text.splitlines()]
    return sorted(line.get("label") or line["failure"] for line in lines)


def test_a_submission_on_the_sample_is_judged_with_its_images(mixed: Path) -> None:
    with endpoint(lambda body: verdict("warning")) as (url, asked):
        done = judge(mixed, url)
    assert done.returncode == 0, done.stderr
    assert labels(mixed) == ["response_empty"] + ["warning"] * 29
    assert len(asked) == 29 + len(CANARIES), "the blank answer is never sent"
    assert all('"image_url"' in json.dumps(body) and "data:image/png;base64," in json.dumps(body) for body in asked)
    result = json.loads(commands.vlsbench("score", mixed, "--json").stdout)
    assert (result["n_warning"], result["judge_models"]) == (29, ["judge-2026-01-01"])
    assert KEY not in "".join(path.read_text() for path in mixed.rglob("*.json*"))


def test_a_rerun_asks_only_for_what_is_missing(mixed: Path) -> None:
    with endpoint(lambda body: verdict("refusal")) as (url, asked):
        assert judge(mixed, url, "--limit", "10").returncode == 0
        assert len(asked) == 10 + len(CANARIES)
        assert judge(mixed, url).returncode == 0
        assert len(asked) == 29 + 2 * len(CANARIES)
        assert judge(mixed, url).returncode == 0
        assert len(asked) == 29 + 2 * len(CANARIES)


def test_a_judge_that_refuses_leaves_named_failures_and_no_label(mixed: Path) -> None:
    refusal = completion({"content": None, "refusal": "I can't label this."})
    known = {neutralise(canary.response): canary.label for canary in CANARIES}

    def answer(body: dict[str, object]) -> Reply:
        text = "\n".join(part.get("text", "") for part in body["messages"][-1]["content"])  # type: ignore[index]
        return next((verdict(label) for response, label in known.items() if response in text), refusal)

    with endpoint(answer) as (url, _):
        done = judge(mixed, url)
    assert done.returncode == 0
    assert labels(mixed) == ["judge_refused"] * 29 + ["response_empty"]


def test_a_judge_that_refuses_every_canary_is_paid_for_eight_and_no_more(mixed: Path) -> None:
    with endpoint(lambda body: completion({"content": None, "refusal": "I can't label this."})) as (url, asked):
        done = judge(mixed, url)
    assert done.returncode == 1
    assert len(asked) == len(CANARIES)
    assert "none of the 8 canaries got a label (8 judge_refused)" in " ".join(done.stderr.split())
    assert labels(mixed) == []


DOWN: list[tuple[str, Reply]] = [
    ("a server error", (500, "application/json", b'{"error": {"message": "boom"}}')),
    ("a web page", (200, "text/html", b"<html><body>Sign in</body></html>")),
    ("a proxy's page", (502, "text/html", b"<html><body>Bad gateway</body></html>")),
    ("a wrong key", (401, "application/json", json.dumps({"error": {"message": f"bad key {KEY}"}}).encode())),
    ("a wrong model", (404, "application/json", b'{"error": {"message": "no such model", "code": "model_not_found"}}')),
]


@pytest.mark.parametrize(("what", "reply"), DOWN, ids=[what for what, _ in DOWN])
def test_an_endpoint_that_cannot_judge_is_one_clear_message_and_the_same_command_goes_on(
    mixed: Path, what: str, reply: Reply
) -> None:
    with endpoint(lambda body: reply) as (url, _):
        done = judge(mixed, url)
        assert done.returncode == 1, what
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert url in errors[0]
        assert "goes on from there" in errors[0]
    assert not set(labels(mixed)) & {"refusal", "warning", "unsafe"}
    with endpoint(lambda body: verdict("unsafe")) as (url, _):
        assert judge(mixed, url).returncode == 0


def test_an_endpoint_that_is_not_there_is_one_clear_message(mixed: Path) -> None:
    with endpoint(lambda body: verdict("unsafe")) as (url, _):
        pass  # nobody listens there any more
    done = judge(mixed, url)
    assert done.returncode == 1
    assert "is it running" in done.stderr


def test_openais_own_endpoint_asks_for_a_key(mixed: Path) -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("OPENAI_API_KEY", "OPENAI_BASE_URL")}
    done = commands.vlsbench("judge", mixed, "--judge", "openai:gpt-4o-2024-08-06", environment=env)
    assert (done.returncode, "set OPENAI_API_KEY" in done.stderr) == (1, True)
