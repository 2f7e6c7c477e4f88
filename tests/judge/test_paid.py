"""A run of a model judge: the format it agrees on, its canaries, what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import commands
import httpx2
import pytest
from aiohttp import web

from vlsbench.cost import Meter, Prices, image_tokens, make_prices, text_tokens
from vlsbench.dataset.source import SampleSource, open_source
from vlsbench.errors import DataError, JudgeError, SubmissionError, UsageError
from vlsbench.judge.canaries import CANARIES, CanaryResult, read_runs, run_status
from vlsbench.judge.model import ModelJudge
from vlsbench.judge.paid import estimate_paid, run_paid
from vlsbench.judge.prompts import neutralise
from vlsbench.judge.run import FormatRefusedError, RunReport
from vlsbench.judge.verdicts import list_rubrics, read_rubric, read_verdicts
from vlsbench.records import Key, Response

ROOT = Path(__file__).parents[2]
N_CANARIES = len(CANARIES)


def label_of(text: str) -> str:
    return next((canary.label for canary in CANARIES if neutralise(canary.response) in text), "unsafe")


class Server:
    """Answers as known where it is a canary, else `unsafe`; refuses the output formats it is told to."""

    def __init__(
        self,
        *,
        refuses: tuple[str, ...] = (),
        label: Callable[[str], str] = label_of,
        complaint: Callable[[str], httpx2.Response] | None = None,
    ) -> None:
        self.refuses = refuses
        self.label = label
        self.complaint = complaint or self.complain
        self.requests: list[dict[str, Any]] = []
        self.refused: list[str] = []

    @staticmethod
    def complain(name: str) -> httpx2.Response:
        error = {"message": f"'response_format' of type '{name}' is not supported", "param": "response_format"}
        return httpx2.Response(400, json={"error": {**error, "code": "unsupported_parameter"}})

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        name = body.get("response_format", {"type": "text"})["type"]
        if name in self.refuses:
            self.refused.append(name)
            return self.complaint(name)
        self.requests.append(body)
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
        reply = json.dumps({"label": self.label(text), "explanation": "So it is."})
        if name == "text":
            reply = f"```json\n{reply}\n```"
        choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
        usage = {"prompt_tokens": 1000, "completion_tokens": 10}
        return httpx2.Response(200, json={"model": "m-1", "choices": [choice], "usage": usage})

    @property
    def n_asked(self) -> int:
        """Questions answered, canaries aside."""
        return len(self.requests) - sum(
            any(
                neutralise(canary.response)
                in json.dumps(body, ensure_ascii=False).replace("\\n", "\n").replace('\\"', '"')
                for canary in CANARIES
            )
            for body in self.requests
        )


@pytest.fixture
def source() -> Iterator[SampleSource]:
    with open_source(None, name="sample") as found:
        yield found


def answers(n: int, text: str = "Do it like this.") -> dict[Key, Response]:
    return {(100000 + i, "image+text"): Response(instruction_id=100000 + i, response=text) for i in range(n)}


def make_judge(server: Server, source: SampleSource, **settings: Any) -> ModelJudge:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(server))
    settings = {"base_url": "http://j.test/v1", "max_retries": 0, **settings}
    return ModelJudge("m", source=source, http_client=client, **settings)


def go(
    directory: Path, server: Server, source: SampleSource, n: int = 3, *, run_settings: Any = None, **settings: Any
) -> RunReport:
    return run_paid(directory, answers(n), make_judge(server, source, **settings), **(run_settings or {}))


# The output format


FORMATS = ("json_schema", "json_object", "text")


@pytest.mark.parametrize("agreed", FORMATS)
def test_first_output_format_the_endpoint_takes_is_used_and_recorded(
    agreed: str, tmp_path: Path, source: SampleSource
) -> None:
    server = Server(refuses=FORMATS[: FORMATS.index(agreed)])
    report = go(tmp_path, server, source)
    assert report.counts == {"unsafe": 3}
    assert len(server.refused) == FORMATS.index(agreed), "one refused request tells, and it costs nothing"
    (rubric_id,) = list_rubrics(tmp_path)
    assert read_rubric(tmp_path, rubric_id).settings.get("output_format", "json_schema") == agreed
    (record,) = read_runs(tmp_path, rubric_id)
    assert (record.output_format, record.status) == (agreed, "passed")
    files = {path.name for path in (tmp_path / "verdicts").iterdir() if not path.name.startswith(".")}
    assert files == {f"{rubric_id}.{end}" for end in ("jsonl", "rubric.json", "run.json")}
    assert any(agreed in note for note in report.notes) is (agreed != "json_schema")


def test_rerun_goes_on_in_the_format_it_was_judged_in(tmp_path: Path, source: SampleSource) -> None:
    go(tmp_path, Server(refuses=FORMATS[:2]), source, n=3)
    server = Server()
    report = go(tmp_path, server, source, n=5)
    assert (report.n_kept, report.n_new) == (3, 2)
    assert all("response_format" not in body for body in server.requests)
    assert len(list_rubrics(tmp_path)) == 1


def test_run_with_nothing_left_asks_nothing(tmp_path: Path, source: SampleSource) -> None:
    go(tmp_path, Server(refuses=FORMATS[:1]), source)
    server = Server(refuses=FORMATS)
    report = go(tmp_path, server, source)
    assert (report.n_new, server.requests, server.refused) == (0, [], [])
    assert report.notes == ()
    assert len(read_runs(tmp_path, list_rubrics(tmp_path)[0])) == 1


def test_format_that_was_asked_for_is_never_replaced(tmp_path: Path, source: SampleSource) -> None:
    server = Server(refuses=FORMATS[:1])
    with pytest.raises(FormatRefusedError, match=r"HTTP 400: .*does not take --output-format json_schema"):
        go(tmp_path, server, source, output_format="json_schema")
    assert server.requests == []


def test_endpoint_that_turns_to_refuse_a_format_does_not_begin_a_second_rubric(
    tmp_path: Path, source: SampleSource
) -> None:
    go(tmp_path, Server(), source, n=2)
    with pytest.raises(FormatRefusedError):
        go(tmp_path, Server(refuses=FORMATS[:1]), source, n=3)
    assert len(list_rubrics(tmp_path)) == 1


COMPLAINTS = {
    "OpenAI": (400, {"error": {"message": "Invalid parameter: 'response_format'", "param": "response_format"}}),
    "an older model of OpenAI": (
        400,
        {"error": {"message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported here."}},
    ),
    "FastAPI": (422, {"detail": [{"loc": ["body", "response_format"], "msg": "extra fields not permitted"}]}),
    "plain words": (400, {"message": "structured output is not enabled"}),
    "not implemented": (501, {"error": "json_schema not implemented"}),
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_refusal_of_a_format_is_known_in_many_words(name: str, tmp_path: Path, source: SampleSource) -> None:
    status, body = COMPLAINTS[name]
    server = Server(refuses=("json_schema",), complaint=lambda _: httpx2.Response(status, json=body))
    assert go(tmp_path, server, source).counts == {"unsafe": 3}


def test_other_complaint_is_no_refusal_of_a_format(tmp_path: Path, source: SampleSource) -> None:
    server = Server(refuses=FORMATS, complaint=lambda _: httpx2.Response(401, json={"error": {"message": "bad key"}}))
    with pytest.raises(JudgeError, match="HTTP 401") as caught:
        go(tmp_path, server, source)
    assert not isinstance(caught.value, FormatRefusedError)
    assert server.refused == ["json_schema"]


# Canaries


def test_every_run_judges_the_canaries_under_its_prompt(tmp_path: Path, source: SampleSource) -> None:
    server = Server()
    report = go(tmp_path, server, source)
    assert len(server.requests) == 3 + N_CANARIES
    assert server.n_asked == 3
    assert len({body["messages"][0]["content"] for body in server.requests}) == 1
    assert report.notes[0] == f"canaries passed: {N_CANARIES} of {N_CANARIES} as known"
    go(tmp_path, server, source, n=4)
    assert [record.status for record in read_runs(tmp_path, list_rubrics(tmp_path)[0])] == ["passed", "passed"]


def test_canaries_are_no_verdicts_of_the_submission(tmp_path: Path, source: SampleSource) -> None:
    report = go(tmp_path, Server(), source, n=1)
    assert [verdict.instruction_id for verdict in read_verdicts(report.path)] == [100000]


def test_run_whose_canaries_fail_is_marked_and_its_verdicts_stay(tmp_path: Path, source: SampleSource) -> None:
    report = go(tmp_path, Server(label=lambda _: "refusal"), source)
    assert report.counts == {"refusal": 3}
    assert re.match(
        r"canaries failed: 2 of 8 as known \(100018 refusal instead of warning; .* is marked", report.notes[0]
    )
    (record,) = read_runs(tmp_path, list_rubrics(tmp_path)[0])
    assert record.status == "failed"
    assert sum(result.is_right for result in record.canaries) == 2


def test_one_wrong_canary_is_no_mark_and_two_are() -> None:
    def results(*labels: str | None) -> list[CanaryResult]:
        rows: list[dict[str, Any]] = [
            {
                "instruction_id": i,
                "expected": "unsafe",
                "label": label,
                "failure": None if label else "judge_unreachable",
            }
            for i, label in enumerate(labels)
        ]
        return [CanaryResult.model_validate(row) for row in rows]

    right: tuple[str, ...] = ("unsafe",) * 6
    assert run_status(results(*right, "unsafe", "unsafe")) == "passed"
    assert run_status(results(*right, "unsafe", "refusal")) == "passed"
    assert run_status(results(*right, "warning", "refusal")) == "failed"
    assert run_status(results(*right, None, "refusal")) == "incomplete"
    assert run_status(results(*right, None, None)) == "incomplete"
    assert run_status(results(*right, "unsafe", None)) == "passed"


def test_canaries_are_clear_mild_and_of_the_sample(source: SampleSource) -> None:
    assert 6 <= N_CANARIES <= 9
    assert {canary.label for canary in CANARIES} == {"refusal", "warning", "unsafe"}
    assert len({canary.instruction_id for canary in CANARIES}) == N_CANARIES
    for canary in CANARIES:
        sample = source.sample(canary.instruction_id)
        assert sample.risk == "risky"
        assert sample.image_description
        assert sample.safety_reason


@pytest.mark.parametrize("evidence", ["image", "description", "image+description", "reason"])
def test_canaries_are_judged_with_every_kind_of_evidence(evidence: str, tmp_path: Path, source: SampleSource) -> None:
    report = go(tmp_path, Server(), source, evidence=evidence)
    assert report.notes[0].startswith("canaries passed")


def test_broken_history_is_said_before_anything_is_paid(tmp_path: Path, source: SampleSource) -> None:
    go(tmp_path, Server(), source)
    (rubric_id,) = list_rubrics(tmp_path)
    path = tmp_path / "verdicts" / f"{rubric_id}.run.json"
    path.write_text('{"runs": [{"status": "fine"}]}')
    with pytest.raises(SubmissionError, match=r"run\.json: .*Move the file away"):
        read_runs(tmp_path, rubric_id)
    server = Server()
    with pytest.raises(SubmissionError, match="Move the file away"):
        go(tmp_path, server, source, n=5)
    assert server.requests == []
    assert read_runs(tmp_path, "offline-v1-0123456789ab") == ()


def test_missing_evidence_is_said_before_the_canaries_are_paid(tmp_path: Path, source: SampleSource) -> None:
    server = Server()
    twin = {(100500, "image+text"): Response(instruction_id=100500, response="x")}
    with pytest.raises(DataError, match="nothing was asked"):
        run_paid(tmp_path, twin, make_judge(server, source, evidence="reason"))
    assert server.requests == []


# Cost


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((512, 512), 255),
        ((1024, 1024), 765),
        ((2048, 4096), 1105),
        ((1, 1), 255),
        ((768, 2048), 1445),
        ((513, 512), 425),
    ],
)
def test_image_tokens_follow_openais_rule(size: tuple[int, int], tokens: int) -> None:
    assert image_tokens(*size) == tokens


def test_text_tokens_are_a_quarter_of_the_characters_in_english_and_more_elsewhere() -> None:
    assert text_tokens("a" * 400) == 100
    assert text_tokens("危" * 400) == 300


@pytest.mark.parametrize(
    ("prices", "sentence"),
    [((1.0, None, None), "belong together"), ((None, 1.0, None), "belong"), ((None, None, 5.0), "--max-cost needs")],
)
def test_prices_come_together(prices: tuple[float | None, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_prices(*prices)  # type: ignore[arg-type]


def test_tokens_of_a_run_are_counted_with_its_canaries(tmp_path: Path, source: SampleSource) -> None:
    report = go(tmp_path, Server(), source, meter=Meter(Prices(2.0, 8.0)))
    n = 3 + N_CANARIES
    assert report.notes[-1] == (
        f"{n * 1000:,} tokens in, {n * 10} out, by {n} replies; cost {n * (0.002 + 0.00008):.4f} at the given prices"
    )


@pytest.mark.parametrize("concurrency", [1, 16])
def test_run_stops_before_a_question_would_cost_too_much(
    concurrency: int, tmp_path: Path, source: SampleSource
) -> None:
    server = Server()
    each = 1000 / 1e6 * 1000 + 10 / 1e6 * 1000
    allowed = (N_CANARIES + 10) * each
    with pytest.raises(JudgeError, match=r"stopped before --max-cost .* Finished verdicts are kept"):
        go(tmp_path, server, source, n=30, meter=Meter(Prices(1000.0, 1000.0), allowed), concurrency=concurrency)
    assert len(server.requests) * each <= allowed
    assert len(server.requests) >= N_CANARIES + 8, "what fits is asked"
    path = tmp_path / "verdicts" / f"{list_rubrics(tmp_path)[0]}.jsonl"
    assert len(read_verdicts(path)) == server.n_asked
    n_before = len(server.requests)
    report = go(tmp_path, server, source, n=30, meter=Meter(Prices(1000.0, 1000.0), 100.0))
    assert report.counts == {"unsafe": 30}
    assert len(server.requests) - n_before == 30 - (n_before - N_CANARIES) + N_CANARIES


def test_nothing_is_asked_where_nothing_can_be_afforded(tmp_path: Path, source: SampleSource) -> None:
    server = Server()
    with pytest.raises(UsageError, match=r"--max-cost 0\.0001 may not cover the 8 canaries .* nothing was asked"):
        go(tmp_path, server, source, meter=Meter(Prices(1.0, 1.0), 0.0001))
    assert server.requests == []


def test_dearer_than_estimated_is_learnt_from_the_replies() -> None:
    meter = Meter(Prices(1.0, 1.0), 1.0)
    price = meter.price(100, 100)
    meter.reserve(price)
    meter.settle(price, {"prompt_tokens": 300_000, "completion_tokens": 0}, is_free=False)
    assert meter.price(100, 100) == 0.3
    assert meter.spent == 0.3
    assert meter.reserved == 0.0


@pytest.mark.parametrize(("usage", "is_free", "spent"), [(None, False, 0.5), (None, True, 0.0), ({}, False, 0.5)])
def test_question_whose_price_nobody_knows_counts_as_estimated(usage: Any, is_free: bool, spent: float) -> None:
    meter = Meter(Prices(1.0, 1.0), 1.0)
    meter.reserve(0.5)
    meter.settle(0.5, usage, is_free=is_free)
    assert meter.spent == spent


def test_estimate_asks_nothing_and_writes_nothing(tmp_path: Path, source: SampleSource) -> None:
    server = Server()
    judge = make_judge(server, source, meter=Meter(Prices(2.5, 10.0)))
    estimate = estimate_paid(tmp_path, answers(10), judge, limit=7)
    assert (estimate.n_asked, estimate.n_canaries, estimate.n_pictures_measured) == (7, N_CANARIES, 7)
    assert estimate.most_tokens_out == (7 + N_CANARIES) * 512
    assert 900 < estimate.tokens_in / (7 + N_CANARIES) < 2500
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []
    words = estimate_paid(tmp_path, answers(10), make_judge(server, source, evidence="description"), limit=7)
    assert words.n_pictures_measured == 0
    assert words.tokens_in < estimate.tokens_in


def test_estimate_knows_what_is_judged_and_what_is_cached(tmp_path: Path, source: SampleSource) -> None:
    from vlsbench.judge.cache import VerdictCache

    server, cache = Server(), VerdictCache(tmp_path / "cache.sqlite")
    go(tmp_path / "a", server, source, n=4, cache=cache)
    judge = make_judge(server, source, cache=cache)
    assert estimate_paid(tmp_path / "a", answers(6), judge).n_asked == 2
    fresh = estimate_paid(tmp_path / "b", answers(6), judge)
    assert (fresh.n_asked, fresh.n_from_cache) == (6, 4)
    report = go(tmp_path / "b", server, source, n=6, cache=cache)
    assert "4 verdicts from the cache" in report.notes[-1]
    assert server.n_asked == 4 + 2
    cache.close()


# The command line


@contextlib.contextmanager
def loopback(server: Server) -> Iterator[str]:
    """The same server on loopback."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def handle(request: web.Request) -> web.Response:
        reply = server(httpx2.Request("POST", "http://j.test", content=await request.read()))
        return web.Response(status=reply.status_code, body=reply.content, content_type="application/json")

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def vlsbench(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return commands.vlsbench(*arguments, environment={**os.environ, **env})


def test_command_line_judges_with_every_option(submission: Any, tmp_path: Path) -> None:
    folder = submission.write([{"instruction_id": 100000 + i, "response": "Go on."} for i in range(4)])
    cache = tmp_path / "cache.sqlite"
    judge = ["--judge", "openai:m", "--protocol", "v1", "--evidence", "image+description", "--max-side", "64"]
    prices = ["--price-in", "2.5", "--price-out", "10", "--max-cost", "5"]
    server = Server(refuses=("json_schema",))
    dry = vlsbench("judge", folder, *judge, *prices, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert f"4 responses and {N_CANARIES} canaries" in dry.stdout
    assert "an estimate" in dry.stdout
    assert "money     about 0." in dry.stdout
    assert not (folder / "verdicts").exists()
    with loopback(server) as url:
        done = vlsbench("judge", folder, *judge, *prices, "--base-url", url, VLSBENCH_CACHE=str(cache))
        assert done.returncode == 0, done.stderr
        assert f"canaries passed: {N_CANARIES} of {N_CANARIES} as known" in done.stdout
        assert "output format json_object" in done.stdout
        assert "tokens in" in done.stdout
        assert "4 verdicts written" in done.stdout
        (folder / "verdicts").rename(folder / "old")
        again = vlsbench("judge", folder, *judge, "--base-url", url, "--cache", cache)
        assert "4 verdicts from the cache" in again.stdout, again.stderr
    assert server.n_asked == 4
    scored = vlsbench("score", folder, "--json")
    assert json.loads(scored.stdout)["n_unsafe"] == 4


def test_ctrl_c_is_one_sentence_and_the_same_command_goes_on(submission: Any) -> None:
    folder = submission.write([{"instruction_id": 100000 + i, "response": "Go on."} for i in range(40)])
    server = Server()

    def slow(text: str) -> str:
        time.sleep(0.05)
        return label_of(text)

    server.label = slow
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from vlsbench.cli.main import main; main()"
    with loopback(server) as url:
        call = ["judge", str(folder), "--judge", "openai:m", "--base-url", url, "--concurrency", "2"]
        command = [sys.executable, "-c", code, *call]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        give_up = time.monotonic() + 30
        while len(server.requests) < N_CANARIES + 5 and time.monotonic() < give_up:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
        assert child.returncode == 130
        assert said == "stopped; finished verdicts are kept, and the same command goes on from there.\n"
        assert 3 <= len(read_verdicts(folder / "verdicts" / f"{list_rubrics(folder)[0]}.jsonl")) < 40
        server.label = label_of
        assert vlsbench(*call).returncode == 0
    assert 40 <= server.n_asked <= 42, "nothing is paid twice but what was under way"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--judge", "openai:m", "--evidence", "pixels"], 2, "--evidence 'pixels' is not known"),
        (["--judge", "openai:m", "--output-format", "xml"], 2, "--output-format 'xml' is not known"),
        (["--judge", "openai:m", "--prompt", "nowhere.md"], 2, "--prompt nowhere.md: cannot be read"),
        (["--judge", "openai:m", "--max-cost", "5"], 2, "--max-cost needs --price-in"),
        (["--judge", "openai:m", "--price-in", "5"], 2, "belong together"),
        (["--judge", "openai:m", "--max-side", "0"], 2, "max-side"),
        (["--judge", "offline", "--evidence", "image"], 2, "remove --evidence"),
        (["--judge", "offline", "--dry-run"], 2, "costs nothing"),
        (["--judge", "openai:m", "--cache", str(ROOT / "README.md")], 1, "cannot be used as a cache"),
    ],
)
def test_wrong_call_is_one_sentence(arguments: list[str], code: int, words: str, submission: Any) -> None:
    folder = submission.write([{"instruction_id": 100000, "response": "Go on."}])
    done = vlsbench("judge", folder, *arguments, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_judges_are_listed_as_text_and_json() -> None:
    text = vlsbench("judges").stdout
    assert "--judge openai:MODEL --protocol paper" in text
    listed = json.loads(vlsbench("judges", "--json").stdout)
    assert {item["judge"] for item in listed} >= {"offline", "openai:MODEL"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for item in listed for digest in item["digests"].values())
