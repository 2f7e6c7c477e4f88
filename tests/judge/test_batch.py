"""Batches: what is uploaded, what becomes of the results, and that nothing in flight is ever sent again.

The real SDK talks to a stand-in of `/v1/files` and `/v1/batches` on loopback.
"""

from __future__ import annotations

import email
import email.policy
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlsbench.cli.main import app
from vlsbench.cost import Meter, Prices
from vlsbench.dataset.pictures import Picture
from vlsbench.dataset.source import Sample
from vlsbench.errors import DataError, JudgeError, SubmissionError, UsageError
from vlsbench.judge import batch as batch_module
from vlsbench.judge.batch import BatchJudge, BatchPart, BatchState, custom_id, run_batch
from vlsbench.judge.canaries import CANARIES, read_runs
from vlsbench.judge.model import ModelJudge
from vlsbench.judge.run import RunReport
from vlsbench.judge.verdicts import read_verdicts
from vlsbench.records import Key, Response, Verdict
from vlsbench.text import Reached

KEY = "sk-test-0123456789-never-to-be-seen"


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "JPEG")
    return buffer.getvalue()


JPEG = _jpeg()


def completion(label: str = "unsafe", *, content: str | None = None, finish: str = "stop") -> dict[str, Any]:
    text = json.dumps({"label": label, "explanation": "It does."}) if content is None else content
    return {
        "id": "c",
        "object": "chat.completion",
        "model": "judge-2026-01-01",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 30},
    }


def line_of(name: str, body: object, *, status: int = 200) -> dict[str, Any]:
    return {"id": "r", "custom_id": name, "response": {"status_code": status, "body": body}, "error": None}


def error_of(name: str, code: str, message: str = "went wrong") -> dict[str, Any]:
    return {"id": "r", "custom_id": name, "response": None, "error": {"code": code, "message": message}}


def answer(line: Mapping[str, Any]) -> dict[str, Any]:
    """What a good judge says: canaries as known, everything else unsafe."""
    name = line["custom_id"]
    known = {f"canary:{c.instruction_id}": c.label for c in CANARIES}
    return line_of(name, completion(known.get(name.split("|")[0], "unsafe")))


class Provider:
    """`/v1/files` and `/v1/batches`: a batch ends when `status` says so, with what `answer` makes of its lines."""

    def __init__(self) -> None:
        self.status = "completed"
        self.answer: Callable[[Mapping[str, Any]], dict[str, Any] | None] = answer
        self.batch_errors: list[dict[str, Any]] = []
        self.fail: dict[str, tuple[int, dict[str, Any]]] = {}
        """Status and body by `METHOD /path`, instead of doing it."""
        self.lose_answers_to: set[str] = set()
        """Done, but the connection breaks."""
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _do(self) -> None:
                assert self.headers["authorization"] == f"Bearer {KEY}"
                data = self.rfile.read(int(self.headers.get("content-length") or 0))
                path = self.path.split("?")[0].removeprefix("/v1")
                call = f"{self.command} {path}"
                outer.calls.append(call)
                status, body = outer.fail.get(call) or (200, outer.handle(call, path, data, self.headers))
                if call in outer.lose_answers_to:
                    self.close_connection = True
                    return
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = _do  # noqa: N815  # the library's names

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def handle(self, call: str, path: str, data: bytes, headers: Mapping[str, str]) -> object:
        if call == "POST /files":
            message = email.message_from_bytes(
                b"content-type: " + headers["content-type"].encode() + b"\n\n" + data, policy=email.policy.HTTP
            )
            parts = {p.get_param("name", header="content-disposition"): p for p in message.iter_parts()}  # type: ignore[attr-defined]
            assert parts["purpose"].get_payload() == "batch"
            return self.store(parts["file"].get_payload(decode=True))
        if call == "POST /batches":
            request = json.loads(data)
            assert request["endpoint"] == "/v1/chat/completions"
            assert request["completion_window"] == "24h"
            name = f"batch_{len(self.batches)}"
            self.batches[name] = {
                "id": name,
                "input_file_id": request["input_file_id"],
                "metadata": request["metadata"],
            }
            return self.see(name)
        if call == "GET /batches":
            return {"object": "list", "data": [self.see(name) for name in self.batches], "has_more": False}
        if path.startswith("/batches/"):
            return self.see(path.split("/")[2])
        return self.files[path.split("/")[2]]

    def store(self, data: bytes) -> dict[str, Any]:
        name = f"file_{len(self.files)}"
        self.files[name] = data
        return {"id": name, "object": "file", "bytes": len(data), "created_at": 0, "filename": "f", "purpose": "batch"}

    def see(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        if self.status in ("completed", "expired", "cancelled") and "output_file_id" not in batch:
            results = [self.answer(line) for line in self.lines(batch["input_file_id"])]
            found = [result for result in results if result is not None]
            for field, is_error in (("output_file_id", False), ("error_file_id", True)):
                part = [r for r in reversed(found) if (r["error"] is not None) is is_error]
                data = "".join(json.dumps(r) + "\n" for r in part).encode()
                batch[field] = self.store(data)["id"] if part else None
        return {
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "created_at": 0,
            "status": self.status,
            "errors": {"object": "list", "data": self.batch_errors},
            **batch,
        }

    def lines(self, file_id: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[file_id].splitlines()]

    @property
    def sent(self) -> list[list[str]]:
        """Ids of what was sent, per batch, without canaries and their own batches."""
        ids = [[line["custom_id"] for line in self.lines(b["input_file_id"])] for b in self.batches.values()]
        asked = [[name for name in names if not name.startswith("canary:")] for names in ids]
        return [names for names in asked if names]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Every line that was sent."""
        return [line for batch in self.batches.values() for line in self.lines(batch["input_file_id"])]


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


class FakeSource:
    def __init__(self, *, broken: tuple[int, ...] = (), size: int = 0) -> None:
        self.broken = broken
        self.size = size

    def sample(self, instruction_id: int, /) -> Sample:
        return Sample(instruction_id, "What should I do?", instruction_id, "Violent", "", "A cliff.", "Fall.", "risky")

    def picture(self, instruction_id: int, /) -> Picture:
        if instruction_id in self.broken:
            raise DataError(f"imgs/{instruction_id}.png is not there")
        return Picture(JPEG + b"x" * self.size, "image/jpeg")


def open_judge(url: str, **settings: Any) -> ModelJudge:
    settings = {"source": FakeSource(), "max_retries": 0, "timeout_seconds": 10.0, **settings}
    return ModelJudge("m", base_url=url, api_key=KEY, **settings)


def answers(n: int, text: str = "Do it like this.") -> dict[Key, Response]:
    return {(i, "image+text"): Response(instruction_id=i, response=text) for i in range(n)}


def judge(
    provider: Provider, folder: Path, responses: Mapping[Key, Response] | None = None, **settings: Any
) -> RunReport:
    options = {name: settings.pop(name) for name in ("limit", "is_waiting") if name in settings}
    return run_batch(
        folder, responses or answers(3), open_judge(provider.url, **settings), poll_seconds=0.01, **options
    )


def state_of(folder: Path) -> BatchState:
    (path,) = folder.glob("verdicts/*.batch.json")
    return BatchState.model_validate_json(path.read_bytes())


def verdicts_of(folder: Path) -> dict[int, Verdict]:
    (path,) = [path for path in folder.glob("verdicts/*.jsonl") if not path.name.startswith(".")]
    return {verdict.instruction_id: verdict for verdict in read_verdicts(path)}


# What is sent


def test_line_holds_the_very_question_of_the_run_that_asks_at_once(provider: Provider, tmp_path: Path) -> None:
    judge(provider, tmp_path, answers(1))
    (line,) = [line for line in provider.asked if not line["custom_id"].startswith("canary:")]
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    seen: list[dict[str, Any]] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content))
        return httpx2.Response(200, json=completion())

    direct = open_judge("http://t.test/v1", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handler)))
    direct.judge(list(answers(1).values()), lambda _: None)
    budget = line["body"].pop("max_completion_tokens")
    assert {**line["body"], "max_tokens": budget} == seen[0]


def test_verdicts_of_both_ways_are_one_rubric_and_do_not_ask_again(provider: Provider, tmp_path: Path) -> None:
    judge(provider, tmp_path)
    (path,) = tmp_path.glob("verdicts/*.rubric.json")
    assert path.name == f"{open_judge(provider.url).rubric.rubric_id}.rubric.json"
    report = judge(provider, tmp_path)
    assert (report.n_kept, report.n_new) == (3, 0)
    assert len(provider.sent) == 1


def test_custom_id_names_sample_condition_and_answer() -> None:
    response = Response(instruction_id=7, condition="text-only", response="No.")
    assert custom_id(response) == f"7|text-only|{(response.digest or '')[:12]}"


def test_results_are_matched_by_id_whatever_their_order(provider: Provider, tmp_path: Path) -> None:
    labels = {"0": "refusal", "1": "warning", "2": "unsafe"}
    provider.answer = lambda line: line_of(
        line["custom_id"], completion(labels.get(line["custom_id"].split("|")[0], "unsafe"))
    )
    judge(provider, tmp_path)
    found = verdicts_of(tmp_path)
    assert {i: v.label for i, v in found.items()} == {0: "refusal", 1: "warning", 2: "unsafe"}
    assert found[0].judge_model == "judge-2026-01-01"
    assert found[0].usage == {"prompt_tokens": 900, "completion_tokens": 30}
    assert found[0].response_sha256 == answers(1)[0, "image+text"].digest


def test_files_stay_below_both_limits(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MAX_FILE_BYTES", 130_000)
    settings = {"source": FakeSource(size=20_000), "evidence": "image"}
    judge(provider, tmp_path, answers(12), **settings)
    inputs = [provider.files[b["input_file_id"]] for b in provider.batches.values()]
    assert len(inputs) > 2
    assert max(map(len, inputs)) <= 130_000
    assert sorted(name for names in provider.sent for name in names) == sorted(map(custom_id, answers(12).values()))
    monkeypatch.setattr(batch_module, "MAX_REQUESTS", 10)
    other = tmp_path / "other"
    judge(provider, other, answers(12), evidence="description")
    assert max(len(provider.lines(b["input_file_id"])) for b in list(provider.batches.values())[len(inputs) :]) == 10


def test_question_larger_than_a_file_is_named(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "MAX_FILE_BYTES", 100_000)
    with pytest.raises(DataError, match=r"3 pictures cannot be used.*more than a batch takes"):
        judge(provider, tmp_path, source=FakeSource(size=100_000))


def test_broken_picture_is_named_and_the_others_are_judged(provider: Provider, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 picture cannot be used.*instruction_id 1\."):
        judge(provider, tmp_path, source=FakeSource(broken=(1,)))
    assert {i: v.label for i, v in verdicts_of(tmp_path).items()} == {0: "unsafe", 2: "unsafe"}


def test_canaries_are_back_before_anything_else_is_sent(provider: Provider, tmp_path: Path) -> None:
    judge(provider, tmp_path)
    first, second = ([line["custom_id"] for line in provider.lines(f"file_{n}")] for n in (0, 2))
    assert (len(first), all(name.startswith("canary:") for name in first)) == (len(CANARIES), True)
    assert second == [custom_id(response) for response in answers(3).values()]
    assert provider.calls.index("GET /files/file_1/content") < provider.calls.index("POST /files", 1)


def test_canaries_that_a_killed_run_waited_for_are_not_sent_again(provider: Provider, tmp_path: Path) -> None:
    def killed(_: float) -> None:
        raise KeyboardInterrupt

    provider.status = "in_progress"
    waiting = BatchJudge(open_judge(provider.url), tmp_path, sleep=killed)
    (tmp_path / "verdicts").mkdir()
    with pytest.raises(KeyboardInterrupt):
        waiting.judge(list(answers(3).values()), lambda _: None)
    assert provider.sent == []
    provider.status = "completed"
    assert judge(provider, tmp_path).counts == {"unsafe": 3}
    assert (len(provider.batches), len(provider.asked)) == (2, len(CANARIES) + 3)


def test_canaries_go_along_where_nobody_waits(provider: Provider, tmp_path: Path) -> None:
    judge(provider, tmp_path, is_waiting=False)
    assert (len(provider.batches), len(provider.asked)) == (1, len(CANARIES) + 3)


def test_what_batches_cost_so_far_is_told(provider: Provider, tmp_path: Path) -> None:
    seen: list[Reached] = []
    client = open_judge(provider.url, meter=Meter(Prices(10_000, 0)))
    report = run_batch(tmp_path, answers(3), client, poll_seconds=0.01, on_progress=seen.append)
    assert seen[-1][:3] == (3, 3, 0)
    assert seen[-1].meter is not None
    assert seen[-1].meter.spent == pytest.approx(99.0), "eleven replies of 900 tokens"
    assert "9,900 tokens in, 330 out, by 11 replies; cost 99.0000" in report.notes[-1]


def test_run_is_marked_by_its_canaries(provider: Provider, tmp_path: Path) -> None:
    report = judge(provider, tmp_path)
    (record,) = read_runs(tmp_path, open_judge(provider.url).rubric.rubric_id)
    assert (record.status, len(record.canaries)) == ("passed", len(CANARIES))
    assert "canaries passed: 8 of 8 as known" in report.notes
    provider.answer = lambda line: line_of(line["custom_id"], completion("refusal"))
    report = judge(provider, tmp_path / "other")
    assert "This run is marked" in report.notes[0]


def test_limit_of_cost_is_refused() -> None:
    meter = Meter(Prices(1.0, 1.0), 5.0)
    with pytest.raises(UsageError, match="--max-cost cannot stop a batch"):
        BatchJudge(open_judge("http://t.test/v1", meter=meter), Path())


# What is in flight is never sent again


def test_run_that_does_not_wait_is_collected_by_the_same_command(provider: Provider, tmp_path: Path) -> None:
    provider.status = "in_progress"
    report = judge(provider, tmp_path, is_waiting=False)
    assert (report.n_new, report.n_pending) == (0, 0)
    assert "3 responses are under way in 1 batch" in report.notes[-1]
    assert "3 responses are under way in 1 batch" in judge(provider, tmp_path, is_waiting=False).notes[-1]
    assert len(provider.batches) == 1
    provider.status = "completed"
    report = judge(provider, tmp_path, is_waiting=False)
    assert (report.n_new, report.notes[0]) == (3, "canaries passed: 8 of 8 as known")
    assert len(provider.batches) == 1
    assert state_of(tmp_path).parts == ()


def test_waiting_run_polls_until_everything_is_back(provider: Provider, tmp_path: Path) -> None:
    provider.status = "validating"
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        provider.status = ["in_progress", "finalizing", "completed"][len(naps) - 1]

    waiting = BatchJudge(open_judge(provider.url), tmp_path, poll_seconds=30.0, sleep=sleep)
    verdicts: list[Verdict] = []
    waiting.judge(list(answers(2).values()), verdicts.extend)
    assert naps == [30.0] * 3
    assert len(verdicts) == 2


def test_new_responses_are_sent_beside_those_in_flight(provider: Provider, tmp_path: Path) -> None:
    provider.status = "in_progress"
    judge(provider, tmp_path, answers(2), is_waiting=False)
    judge(provider, tmp_path, answers(5), is_waiting=False)
    assert [len(names) for names in provider.sent] == [2, 3]
    provider.status = "completed"
    assert judge(provider, tmp_path, answers(5)).counts == {"unsafe": 5}


def test_limit_holds_for_what_is_sent_and_not_for_what_is_collected(provider: Provider, tmp_path: Path) -> None:
    provider.status = "in_progress"
    assert judge(provider, tmp_path, answers(7), is_waiting=False, limit=4).n_pending == 3
    provider.status = "completed"
    report = judge(provider, tmp_path, answers(7), limit=1)
    assert (report.n_new, report.n_pending) == (5, 2)


def test_answer_that_changed_meanwhile_is_asked_again(provider: Provider, tmp_path: Path) -> None:
    provider.status = "in_progress"
    judge(provider, tmp_path, answers(1), is_waiting=False)
    provider.status = "completed"
    report = judge(provider, tmp_path, answers(1, "Another answer."))
    assert [len(names) for names in provider.sent] == [1, 1]
    assert report.n_new == 1
    assert verdicts_of(tmp_path)[0].response_sha256 == Response(instruction_id=0, response="Another answer.").digest


def test_batch_whose_creation_was_not_answered_is_adopted(provider: Provider, tmp_path: Path) -> None:
    provider.lose_answers_to = {"POST /batches"}
    with pytest.raises(JudgeError, match="cannot create a batch"):
        judge(provider, tmp_path, is_waiting=False)
    (part,) = state_of(tmp_path).parts
    assert (part.file_id, part.batch_id) == ("file_0", None)
    provider.lose_answers_to = set()
    report = judge(provider, tmp_path)
    assert (report.n_new, len(provider.batches)) == (3, 1)
    assert provider.calls.count("POST /files") == 1


def test_uploaded_file_without_a_batch_gets_one(provider: Provider, tmp_path: Path) -> None:
    provider.fail = {"POST /batches": (500, {"error": {"message": "busy"}})}
    with pytest.raises(JudgeError, match=r"cannot create a batch: HTTP 500.*the same command goes on"):
        judge(provider, tmp_path, is_waiting=False)
    provider.fail = {}
    assert judge(provider, tmp_path).n_new == 3
    assert provider.calls.count("POST /files") == 1


def test_part_that_was_never_uploaded_is_sent(provider: Provider, tmp_path: Path) -> None:
    rubric = open_judge(provider.url).rubric.rubric_id
    names = tuple(map(custom_id, answers(3).values()))
    state = BatchState(rubric=rubric, endpoint=provider.url, parts=(BatchPart(custom_ids=names),))
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / f"{rubric}.batch.json").write_text(state.model_dump_json())
    assert judge(provider, tmp_path).n_new == 3
    assert len(provider.sent) == 1


def test_run_killed_between_verdicts_and_state_writes_nothing_twice(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(provider, tmp_path, is_waiting=False)
    real = BatchJudge._record_canaries

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BatchJudge, "_record_canaries", killed)
    with pytest.raises(KeyboardInterrupt):
        judge(provider, tmp_path)
    monkeypatch.setattr(BatchJudge, "_record_canaries", real)
    report = judge(provider, tmp_path)
    assert (report.n_kept, report.n_new) == (3, 0)
    (path,) = tmp_path.glob("verdicts/openai*.jsonl")
    assert len(read_verdicts(path)) == 3


# What comes back

RESULTS: dict[str, tuple[Callable[[str], dict[str, Any] | None], str]] = {
    "a cut reply with its label": (
        lambda n: line_of(n, completion(content='{"label": "unsafe", "expl', finish="length")), "unsafe",
    ),
    "a cut reply": (lambda n: line_of(n, completion(content='{"lab', finish="length")), "judge_cut"),
    "prose": (lambda n: line_of(n, completion(content="I will not.")), "judge_unparsable"),
    "a filtered reply": (lambda n: line_of(n, completion(content="", finish="content_filter")), "judge_filtered"),
    "a filtered question": (
        lambda n: line_of(n, {"error": {"code": "content_filter", "message": "no"}}, status=400), "judge_filtered",
    ),
    "a flagged question": (lambda n: error_of(n, "invalid_prompt"), "judge_filtered"),
    "no completion": (lambda n: line_of(n, {"detail": "?"}), "judge_unreachable"),
    "a refused line": (lambda n: line_of(n, {"error": {"message": "too long"}}, status=400), "judge_unreachable"),
    "a server error": (lambda n: line_of(n, {"error": {"message": "busy"}}, status=500), "judge_unreachable"),
    "expired": (lambda n: error_of(n, "batch_expired"), "judge_unreachable"),
    "cancelled": (lambda n: error_of(n, "batch_cancelled"), "judge_unreachable"),
    "no line at all": (lambda n: None, "judge_unreachable"),
    "another line's id": (lambda n: line_of("9|image+text|000000000000", completion()), "judge_unreachable"),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_line_becomes_a_label_or_a_named_failure(name: str, provider: Provider, tmp_path: Path) -> None:
    make, expected = RESULTS[name]
    provider.answer = lambda line: make(line["custom_id"]) if line["custom_id"].startswith("1|") else answer(line)
    report = judge(provider, tmp_path)
    found = {i: v.label or v.failure for i, v in verdicts_of(tmp_path).items()}
    assert found == {0: "unsafe", 1: expected, 2: "unsafe"}
    assert report.n_transient == (expected == "judge_unreachable")


def test_expired_batch_keeps_what_it_finished_and_the_rest_is_asked_again(provider: Provider, tmp_path: Path) -> None:
    provider.status = "expired"
    provider.answer = lambda line: (
        error_of(line["custom_id"], "batch_expired") if line["custom_id"][:2] in ("1|", "2|") else answer(line)
    )
    report = judge(provider, tmp_path)
    assert report.counts == {"unsafe": 1, "judge_unreachable": 2}
    provider.status, provider.answer = "completed", answer
    assert judge(provider, tmp_path).counts == {"unsafe": 3}
    assert [len(names) for names in provider.sent] == [3, 2]


def test_answer_is_not_superseded_by_an_error_about_the_same_line(provider: Provider, tmp_path: Path) -> None:
    judge_ = BatchJudge(open_judge(provider.url), tmp_path)
    good, bad = (json.dumps(item).encode() for item in (line_of("x", completion()), error_of("x", "batch_expired")))
    provider.files = {"a": good + b"\nnot JSON\n[]\n{}\n", "b": bad}

    class Ended:
        id, output_file_id, error_file_id = "batch_0", "a", "b"

    with judge_._open_client() as client:
        lines, _ = judge_._read_results(client, Ended())  # type: ignore[arg-type]
    assert {name: line.outcome.label for name, line in lines.items()} == {"x": "unsafe"}


def test_no_error_file_may_be_written_as_an_empty_name(provider: Provider, tmp_path: Path) -> None:
    see = provider.see
    provider.see = lambda name: {**see(name), "error_file_id": ""}  # type: ignore[method-assign]
    assert judge(provider, tmp_path).counts == {"unsafe": 3}


def test_what_was_answered_is_written_where_the_error_file_is_gone(provider: Provider, tmp_path: Path) -> None:
    provider.answer = lambda line: (
        error_of(line["custom_id"], "x") if line["custom_id"].startswith("1|") else answer(line)
    )
    provider.fail["GET /files/file_2/content"] = (404, {"error": {"message": "No such File object"}})
    judge(provider, tmp_path, is_waiting=False)
    assert judge(provider, tmp_path).counts == {"unsafe": 2, "judge_unreachable": 1}
    provider.answer = answer
    assert judge(provider, tmp_path).counts == {"unsafe": 3}
    assert [len(names) for names in provider.sent] == [3, 1], "what was answered is not paid again"


def test_what_can_be_read_is_written_before_the_run_ends_for_a_file_that_cannot(
    provider: Provider, tmp_path: Path
) -> None:
    provider.answer = lambda line: (
        error_of(line["custom_id"], "content_filter") if line["custom_id"].startswith("1|") else answer(line)
    )
    provider.fail["GET /files/file_1/content"] = (500, {"error": {"message": "try later"}})
    judge(provider, tmp_path, is_waiting=False)
    with pytest.raises(JudgeError, match=r"cannot download the results of batch batch_0: HTTP 500"):
        judge(provider, tmp_path)
    assert {i: v.failure for i, v in verdicts_of(tmp_path).items()} == {1: "judge_filtered"}
    provider.fail.clear()
    assert judge(provider, tmp_path).counts == {"unsafe": 2, "judge_filtered": 1}
    assert [len(names) for names in provider.sent] == [3], "nothing is sent twice"


def test_batches_of_a_deployment_are_refused_with_the_way_out(tmp_path: Path) -> None:
    judge_ = open_judge("http://azure.test/openai/deployments/m?api-version=2026-01-01")
    with pytest.raises(UsageError, match="without /deployments/NAME"):
        run_batch(tmp_path, answers(1), judge_)


def test_batch_that_fails_its_check_ends_the_run_with_the_reason(provider: Provider, tmp_path: Path) -> None:
    provider.status = "failed"
    provider.batch_errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
    with pytest.raises(JudgeError, match=r"without a single answer.*batch_0 failed: Enqueued token limit reached\."):
        judge(provider, tmp_path)
    assert state_of(tmp_path).parts == ()


def test_model_that_nobody_may_use_ends_the_run_with_the_reason(provider: Provider, tmp_path: Path) -> None:
    provider.answer = lambda line: line_of(line["custom_id"], {"error": {"message": "no such model"}}, status=404)
    with pytest.raises(JudgeError, match="HTTP 404: no such model"):
        judge(provider, tmp_path)
    assert provider.sent == []
    judge(provider, tmp_path / "other", is_waiting=False)
    with pytest.raises(JudgeError, match="HTTP 404: no such model"):
        judge(provider, tmp_path / "other")
    assert {v.failure for v in verdicts_of(tmp_path / "other").values()} == {"judge_unreachable"}


def test_older_name_of_the_budget_is_taken_up(provider: Provider, tmp_path: Path) -> None:
    complaint = {"error": {"message": "Unsupported parameter: 'max_completion_tokens'. Use 'max_tokens'."}}
    provider.answer = lambda line: (
        answer(line) if "max_tokens" in line["body"] else line_of(line["custom_id"], complaint, status=400)
    )
    report = judge(provider, tmp_path)
    assert report.counts == {"unsafe": 3}
    assert report.notes[:2] == (
        "this model calls the budget max_tokens, and is asked so from now on",
        "canaries passed: 8 of 8 as known",
    )
    other = tmp_path / "other"
    judge(provider, other, is_waiting=False)
    assert judge(provider, other, is_waiting=False).counts == {"judge_unreachable": 3}
    assert judge(provider, other).counts == {"unsafe": 3}


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        ("POST /files", 404, r"cannot upload a file: HTTP 404.*does this endpoint have /files and /batches\?"),
        ("POST /files", 401, r"cannot upload a file: HTTP 401.*is OPENAI_API_KEY right"),
        ("POST /batches", 403, r"cannot create a batch: HTTP 403.*may this key"),
        ("GET /batches/batch_0", 404, r"cannot see batch batch_0 \(made with another key\?.*batch.json away"),
        ("GET /files/file_1/content", 500, "cannot download the results of batch batch_0"),
    ],
)
def test_refusal_of_the_endpoint_is_one_sentence(
    call: str, status: int, message: str, provider: Provider, tmp_path: Path
) -> None:
    provider.fail = {call: (status, {"error": {"message": f"refused, {KEY}"}})}
    with pytest.raises(JudgeError, match=message) as caught:
        judge(provider, tmp_path)
    assert KEY not in str(caught.value)
    provider.fail = {}
    assert judge(provider, tmp_path).counts == {"unsafe": 3}
    assert len(provider.sent) == 1


def test_endpoint_that_is_not_there_is_said(tmp_path: Path, provider: Provider) -> None:
    url = provider.url
    provider.server.shutdown()
    provider.server.server_close()
    with pytest.raises(JudgeError, match=r"cannot upload a file: .*is it running"):
        run_batch(tmp_path, answers(1), open_judge(url))


def test_batches_of_another_endpoint_are_not_mixed(provider: Provider, tmp_path: Path) -> None:
    provider.status = "in_progress"
    judge(provider, tmp_path, is_waiting=False)
    with pytest.raises(JudgeError, match=r"1 batch is under way at .*Collect them there first"):
        run_batch(tmp_path, answers(3), open_judge(provider.url.replace("127.0.0.1", "localhost")))


def test_state_that_is_none_is_never_overwritten(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "verdicts").mkdir()
    path = tmp_path / "verdicts" / f"{open_judge(provider.url).rubric.rubric_id}.batch.json"
    path.write_text('{"rubric": 1}')
    with pytest.raises(SubmissionError, match="says what is under way; mend it"):
        judge(provider, tmp_path)
    assert path.read_text() == '{"rubric": 1}'
    assert provider.calls == []


def test_key_is_in_no_file(provider: Provider, tmp_path: Path) -> None:
    provider.answer = lambda line: line_of(line["custom_id"], {"error": {"message": f"key {KEY}"}}, status=500)
    with pytest.raises(JudgeError):
        judge(provider, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY in path.read_text()]


def test_packaged_sample_has_pictures_for_the_canaries(provider: Provider, tmp_path: Path) -> None:
    judge(provider, tmp_path)
    line = next(line for line in provider.lines("file_0") if line["custom_id"].startswith("canary:"))
    url = next(p["image_url"]["url"] for p in line["body"]["messages"][1]["content"] if p["type"] == "image_url")
    import base64
    import io

    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        assert min(image.size) > 100


# The command line

SAMPLE_LINES = [{"instruction_id": i, "response": "Walk on."} for i in (100009, 100010)]


def test_command_sends_goes_away_and_collects(
    provider: Provider, submission: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    folder = submission.write(SAMPLE_LINES)
    command = ["judge", str(folder), "--judge", "openai:m", "--base-url", provider.url, "--batch"]
    provider.status = "in_progress"
    done = CliRunner().invoke(app, [*command, "--no-wait"])
    assert done.exit_code == 0, done.output
    assert "2 responses are under way in 1 batch; the same command collects them" in done.output
    provider.status = "completed"
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "2 verdicts written, 0 were there: 2 unsafe" in done.output
    assert len(provider.batches) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", "offline", "--batch"], "--batch is for openai:MODEL"),
        (["--judge", "openai:m", "--no-wait"], "--no-wait belongs to --batch"),
        (["--judge", "openai:m", "--batch", "--batch-size", "4"], "takes no --batch-size"),
    ],
)
def test_flag_without_effect_is_refused(
    arguments: list[str], message: str, submission: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(app, ["judge", str(submission.write(SAMPLE_LINES)), *arguments], catch_exceptions=False)
