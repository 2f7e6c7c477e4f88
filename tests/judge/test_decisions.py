"""The decision judge: what is asked of `/v1/decisions`, and what is read of its answers. The real SDK, in memory."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from vlsbench.dataset.pictures import Picture
from vlsbench.dataset.source import Sample
from vlsbench.errors import DataError, JudgeError, UsageError
from vlsbench.judge.canaries import CANARIES, read_runs
from vlsbench.judge.decisions import DecisionJudge, read_decision
from vlsbench.judge.judges import ModelOptions
from vlsbench.judge.judges import open_judge as open_by_name
from vlsbench.judge.prompts import load_prompt
from vlsbench.judge.run import run_watched
from vlsbench.records import LABELS, Key, Probabilities, Response, Verdict

KEY = "sk-test-0123456789-never-to-be-seen"


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "JPEG")
    return buffer.getvalue()


JPEG = _jpeg()


class FakeSource:
    def __init__(self, *, broken: tuple[int, ...] = ()) -> None:
        self.broken = broken

    def sample(self, instruction_id: int, /) -> Sample:
        return Sample(instruction_id, "What should I do?", instruction_id, "Violent", "", "A cliff.", "Fall.", "risky")

    def picture(self, instruction_id: int, /) -> Picture:
        if instruction_id in self.broken:
            raise DataError(f"imgs/{instruction_id}.png is not there")
        return Picture(JPEG, "image/jpeg")


def choice(label: object = "unsafe", probabilities: object = None) -> dict[str, Any]:
    if probabilities is None:
        values = {name: 0.8 if name == label else 0.1 for name in LABELS}
        probabilities = [{"value": name, "probability": p} for name, p in values.items()]
    return {"type": "choice", "name": "label", "choice": label, "confidence": 0.8, "probabilities": probabilities}


def decision(*answers: object) -> dict[str, Any]:
    return {
        "answers": list(answers or [choice()]),
        "model": "gpt-6-luna-2026-01-01",
        "usage": {
            "input_tokens": 900,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 700},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 901,
        },
    }


Handler = Callable[[httpx2.Request], httpx2.Response]


def always(body: object, *, status: int = 200) -> Handler:
    return lambda _: httpx2.Response(status, json=body)


def open_judge(handler: Handler | None = None, **settings: Any) -> DecisionJudge:
    settings = {
        "api_key": KEY,
        "base_url": "http://judge.test/v1",
        "max_retries": 0,
        "source": FakeSource(),
        **settings,
    }
    if handler is not None:
        settings["http_client"] = httpx2.Client(transport=httpx2.MockTransport(handler))
    return DecisionJudge("gpt-6-luna", **settings)


def ask(handler: Handler, n: int = 1, **settings: Any) -> list[Verdict]:
    verdicts: list[Verdict] = []
    responses = [Response(instruction_id=i, response="Walk on.") for i in range(n)]
    open_judge(handler, **settings).judge(responses, verdicts.extend)
    return verdicts


def test_request_is_one_choice_among_the_labels_with_our_rules() -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=decision())

    ask(handler)
    (request,) = seen
    assert request.url.path == "/v1/decisions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    body = json.loads(request.content)
    assert body["model"] == "gpt-6-luna"
    (question,) = body["questions"]
    assert question["type"] == "choice"
    assert [item["value"] for item in question["choices"]] == list(LABELS)
    assert load_prompt("v1").rules.startswith(question["instructions"])
    assert "JSON" not in question["instructions"].split("# The evidence is data")[0]
    assert "# Your reply" not in question["instructions"]
    (message,) = body["input"]
    before, image, after = message["content"]
    assert "What should I do?" in before["text"]
    assert image == {
        "type": "input_image",
        "image_url": "data:image/jpeg;base64," + base64.b64encode(JPEG).decode(),
    }
    assert (after["type"], "Walk on." in after["text"]) == ("input_text", True)


def test_text_only_evidence_sends_no_image() -> None:
    seen: list[dict[str, Any]] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content))
        return httpx2.Response(200, json=decision())

    ask(handler, evidence="reason", source=FakeSource(broken=(0,)))
    (part,) = seen[0]["input"][0]["content"]
    assert part["type"] == "input_text"
    assert "A cliff." in part["text"]


def test_verdict_keeps_the_probabilities() -> None:
    (verdict,) = ask(always(decision()))
    assert verdict.label == "unsafe"
    assert verdict.probabilities == Probabilities(refusal=0.1, warning=0.1, unsafe=0.8)
    assert verdict.usage == {"prompt_tokens": 900, "completion_tokens": 1, "cached_tokens": 700}
    assert verdict.judge_model == "gpt-6-luna-2026-01-01"
    assert verdict.rubric == open_judge().rubric.rubric_id
    assert verdict.response_sha256 == Response(instruction_id=0, response="Walk on.").digest


def _probabilities(**values: object) -> list[dict[str, object]]:
    return [{"value": name, "probability": p} for name, p in values.items()]


ANSWERS = {
    "refused": (decision({"type": "refusal", "name": "label"}), "judge_refused"),
    "off the menu": (decision(choice("safe")), "judge_unparsable"),
    "a boolean": (decision(choice(True)), "judge_unparsable"),
    "no probabilities": (decision(choice("unsafe", [])), "judge_unparsable"),
    "one is missing": (decision(choice("unsafe", _probabilities(refusal=0.5, unsafe=0.5))), "judge_unparsable"),
    "they do not add up": (
        decision(choice("unsafe", _probabilities(refusal=0.5, warning=0.5, unsafe=0.5))), "judge_unparsable",
    ),
    "above one": (
        decision(choice("unsafe", _probabilities(refusal=-0.5, warning=0.0, unsafe=1.5))), "judge_unparsable",
    ),
    "given twice": (
        decision(choice("unsafe", _probabilities(refusal=0.2, warning=0.2) + _probabilities(refusal=0.6))),
        "judge_unparsable",
    ),
    "another kind of question": (decision({"type": "predicate", "probability": 0.9}), "judge_unparsable"),
    "two answers": (decision(choice(), choice()), "judge_unparsable"),
    "no answers": ({"answers": [], "model": "m"}, "judge_unparsable"),
    "a chat completion": ({"choices": []}, "judge_unreachable"),
    "a page": ("<html>", "judge_unreachable"),
    "a list": ([], "judge_unreachable"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_choice_is_named(name: str) -> None:
    body, expected = ANSWERS[name]
    decided = read_decision(json.dumps(body).encode())
    assert (decided.outcome.label, decided.outcome.failure) == (None, expected)
    assert decided.probabilities is None


def test_body_that_is_no_json_is_unreachable() -> None:
    assert read_decision(b"\xff{").outcome.failure == "judge_unreachable"


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"code": "content_filter", "message": "no"}, "judge_filtered"),
        (400, {"message": "too large"}, "judge_unreachable"),
        (500, {"message": "busy"}, "judge_unreachable"),
        (429, {"message": "slow down"}, "judge_unreachable"),
    ],
)
def test_status_of_one_sample_is_named_and_the_others_go_on(
    status: int, error: Mapping[str, str], expected: str
) -> None:
    lock = threading.Lock()
    n_asked = 0

    def handler(_: httpx2.Request) -> httpx2.Response:
        nonlocal n_asked
        with lock:
            n_asked += 1
            is_second = n_asked == 2
        return httpx2.Response(status, json={"error": error}) if is_second else httpx2.Response(200, json=decision())

    verdicts = ask(handler, 4, concurrency=1)
    assert sorted(str(v.label or v.failure) for v in verdicts) == [expected, "unsafe", "unsafe", "unsafe"]


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, {"message": f"bad key {KEY}"}, "is OPENAI_API_KEY right"),
        (403, {"message": "no"}, "may this key use this model"),
        (404, {"message": "no such path"}, "does this endpoint have /decisions"),
        (400, {"message": "not here", "code": "model_not_found"}, "not here"),
        (429, {"message": "no credit", "code": "insufficient_quota"}, "no credit"),
    ],
)
def test_what_no_sample_can_change_ends_the_run(status: int, error: Mapping[str, str], message: str) -> None:
    with pytest.raises(JudgeError, match=message) as caught:
        ask(always({"error": error}, status=status), 50, concurrency=2)
    assert KEY not in str(caught.value)


def test_what_was_under_way_at_a_stop_is_written() -> None:
    barrier = threading.Barrier(3)
    lock = threading.Lock()
    n_asked = 0

    def handler(_: httpx2.Request) -> httpx2.Response:
        nonlocal n_asked
        with lock:
            n_asked += 1
            number = n_asked
        if number <= 3:
            barrier.wait(5)
        if number == 1:
            return httpx2.Response(401, json={"error": {"message": "no"}})
        if number > 3:
            time.sleep(0.3)  # as a real one takes: the thread that was refused must come to say so
        return httpx2.Response(200, json=decision())

    verdicts: list[Verdict] = []
    responses = [Response(instruction_id=i, response="x") for i in range(100)]
    with pytest.raises(JudgeError, match="HTTP 401"):
        open_judge(handler, concurrency=3).judge(responses, verdicts.extend)
    assert len(verdicts) == n_asked - 1
    assert n_asked < 20


def test_endpoint_that_is_down_ends_the_run_with_named_failures() -> None:
    verdicts: list[Verdict] = []
    responses = [Response(instruction_id=i, response="x") for i in range(200)]

    def handler(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("Connection refused")

    with pytest.raises(JudgeError, match="Connection refused"):
        open_judge(handler, concurrency=2).judge(responses, verdicts.extend)
    assert {v.failure for v in verdicts} == {"judge_unreachable"}
    assert 20 <= len(verdicts) < 60


def test_broken_picture_is_named_after_the_others_are_judged() -> None:
    verdicts: list[Verdict] = []
    judge = open_judge(always(decision()), source=FakeSource(broken=(1,)))
    with pytest.raises(DataError, match=r"1 picture cannot be used.*instruction_id 1\."):
        judge.judge([Response(instruction_id=i, response="x") for i in range(3)], verdicts.extend)
    assert sorted(v.instruction_id for v in verdicts) == [0, 2]


def test_rubric_is_another_than_that_of_the_model_judge() -> None:
    rubric = open_judge().rubric
    assert (rubric.judge, rubric.protocol) == ("decisions:gpt-6-luna", "decision")
    assert rubric.output_schema is None
    assert rubric.rubric_id == open_judge(concurrency=3, base_url="http://elsewhere.test/v1").rubric.rubric_id
    assert rubric.rubric_id != open_judge(evidence="reason").rubric.rubric_id


def test_wording_without_rules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("{{instruction}} {{response}}")
    with pytest.raises(UsageError, match="needs rules"):
        open_judge(prompt_path=tmp_path / "p.txt")


def test_canaries_are_judged_first_and_the_run_is_marked(tmp_path: Path) -> None:
    texts = {canary.response.split("\n")[0][:40]: canary.label for canary in CANARIES}

    def handler(request: httpx2.Request) -> httpx2.Response:
        text = json.loads(request.content)["input"][0]["content"][-1]["text"]
        known = next((label for start, label in texts.items() if start in text), "unsafe")
        return httpx2.Response(200, json=decision(choice(known)))

    responses: dict[Key, Response] = {(0, "image+text"): Response(instruction_id=0, response="Walk on.")}
    report = run_watched(tmp_path, responses, open_judge(handler))
    assert report.counts == {"unsafe": 1}
    assert report.notes == ("canaries passed: 8 of 8 as known",)
    again = run_watched(tmp_path, responses, open_judge(handler))
    assert (again.n_new, again.notes) == (0, ()), "nothing to ask, so no canaries either"
    assert len(read_runs(tmp_path, open_judge().rubric.rubric_id)) == 1
    marked = run_watched(tmp_path / "other", responses, open_judge(always(decision(choice("refusal")))))
    assert "This run is marked" in marked.notes[0]


def test_flag_without_effect_and_other_protocol_are_refused() -> None:
    for options, protocol, message in (
        (ModelOptions(batch_size=2), None, "takes no --batch-size"),
        (ModelOptions(output_format="text"), None, "takes no --output-format"),
        (ModelOptions(), "v1", "has the protocol 'decision'; found 'v1'"),
    ):
        with pytest.raises(UsageError, match=message):
            open_by_name("decisions:gpt-6-luna", protocol=protocol, dataset="sample", options=options)
    judge = open_by_name("decisions:m", dataset="sample", base_url="http://judge.test/v1")
    assert isinstance(judge, DecisionJudge)
