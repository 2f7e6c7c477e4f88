"""What a cluster's workers cost, send once more and give up is told to who waits; no cluster is needed for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from vlsbench.cost import Meter, Prices
from vlsbench.dataset.source import open_source
from vlsbench.engine.spread import _RayTarget, _Spread
from vlsbench.engine.work import BlockReport, JudgeWork, TargetDescription, TargetWork, Worker
from vlsbench.generate.conditions import Question
from vlsbench.generate.endpoint_model import EndpointModel
from vlsbench.generate.models import TargetOptions
from vlsbench.judge.judges import ModelOptions
from vlsbench.judge.model import ModelJudge
from vlsbench.records import Response, Settings, Verdict

USAGE = {"prompt_tokens": 100, "completion_tokens": 10}


class Cluster:
    """Does what it is given with one block, which cost two retries and lost one question."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make

    def run(self, work: object, items: Sequence[Any], write: Any, *, meter: Meter | None, **_: object) -> int:
        write([self.make(item) for item in items])
        assert meter is not None
        report = BlockReport(1, None, 2)
        meter.n_retries += report.n_retries
        meter.n_unanswered += report.n_unanswered
        return 1


def test_verdicts_of_workers_are_counted(tmp_path: Path) -> None:
    with open_source(None, name="sample") as source:
        judge = ModelJudge(
            "m", source=source, base_url="http://j.test/v1", evidence="description", meter=Meter(Prices(10_000, 0))
        )
        rubric = judge.rubric.rubric_id
        cluster = Cluster(
            lambda item: Verdict(instruction_id=item.key[0], label="unsafe", rubric=rubric, usage=dict(USAGE))
        )
        work = JudgeWork("openai:m", None, "sample", None, 4, "http://j.test/v1", ModelOptions())
        written: list[Verdict] = []
        asked = [Response(instruction_id=number, response="Go on.") for number in (100000, 100001, 100002)]
        _Spread(cluster, tmp_path, work).ask(judge, asked, written.extend)  # type: ignore[arg-type]
    assert len(written) == 3
    assert (judge.meter.spent, judge.meter.n_retries) == (pytest.approx(3.0), 2)


def test_answers_of_workers_are_counted(tmp_path: Path) -> None:
    described = TargetDescription("0", "openai:m", "m", None, Settings(max_new_tokens=128))
    cluster = Cluster(lambda item: Response(instruction_id=item.key[0], response="Go on.", usage=dict(USAGE)))
    work = TargetWork("openai:m", None, TargetOptions(price_in=10_000, price_out=0), shows_image=False)
    target = _RayTarget(cluster, tmp_path, work, described, "responses")  # type: ignore[arg-type]
    written: list[Response] = []
    questions = [Question(number, "text-only", "What now?", None, number) for number in (100000, 100001)]
    assert target.answer(questions, written.extend) == 1
    assert (target.meter.spent, target.meter.n_retries, target.meter.n_unanswered) == (pytest.approx(2.0), 2, 1)


def test_a_worker_says_what_it_sent_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [httpx2.Response(503, headers={"retry-after-ms": "1"})]

    def handle(request: httpx2.Request) -> httpx2.Response:
        message = {"role": "assistant", "content": "Go on."}
        body = {"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": USAGE}
        return replies.pop() if replies else httpx2.Response(200, json=body)

    def open_here(*_: object, source: Any, **__: object) -> EndpointModel:
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
        return EndpointModel("m", source=source, base_url="http://m.test/v1", http_client=client)

    monkeypatch.setattr("vlsbench.engine.work.open_target", open_here)
    worker = Worker(TargetWork("openai:m", None, TargetOptions(), shows_image=False))
    kept: list[Any] = []
    question = Question(100000, "text-only", "What now?", None, 100000)
    assert worker.run([json.dumps(question._asdict())], kept.extend) == BlockReport(0, None, 1)
    assert worker.run([json.dumps(question._asdict())], kept.extend) == BlockReport(0, None, 0)
