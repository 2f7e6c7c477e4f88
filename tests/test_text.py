"""How far a run is, as a terminal and a log show it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from vlsbench.cost import Meter, Prices
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.generate.endpoint_model import EndpointModel
from vlsbench.judge.rows import judge_rows
from vlsbench.submission.judging import judge_directory
from vlsbench.text import Progress, Reached


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def metered(*, n_retries: int = 0, n_unanswered: int = 0, prices: Prices | None = None, spent: float = 0.0) -> Meter:
    meter = Meter(prices)
    meter.n_retries, meter.n_unanswered, meter.spent = n_retries, n_unanswered, spent
    return meter


def lines_after(*steps: tuple[float, Reached | None]) -> list[str]:
    """What a log holds after calls (None: nobody calls, only the clock ticks) at these seconds."""
    log, clock = io.StringIO(), Clock()
    progress = Progress("answered", stream=log, clock=clock)
    for seconds, reached in steps:
        clock.now = 1000 + seconds
        progress.tick() if reached is None else progress(reached)
    progress.__exit__(None, None, None)
    return log.getvalue().splitlines()


def test_a_short_run_leaves_no_line_in_a_log() -> None:
    assert lines_after((0, Reached(0, 10)), (29, Reached(10, 10))) == []


def test_a_log_shows_rate_time_left_failures_retries_and_money() -> None:
    meter = metered(n_retries=1, n_unanswered=1, prices=Prices(1, 1), spent=0.25)
    found = lines_after((0, Reached(100, 1100, 0, meter)), (40, Reached(140, 1100, 2, meter)))
    assert found[0] == (
        "answered 140 of 1,100, 40 s so far, 1.0 a second, about 16 min left, 3 failed, 1 retry, cost so far 0.2500"
    )


def test_a_log_shows_life_while_nothing_is_finished() -> None:
    found = lines_after((0, Reached(0, 5)), *((seconds, None) for seconds in range(1, 100)))
    assert found == [*(f"answered 0 of 5, {n} s so far" for n in (30, 60, 90)), "answered 0 of 5, 99 s so far"]


def test_retries_move_while_nothing_is_finished() -> None:
    meter, log, clock = metered(), io.StringIO(), Clock()
    progress = Progress(stream=log, clock=clock)
    progress(Reached(0, 5, 0, meter))
    for _ in range(2):
        clock.now += 31
        meter.n_retries += 2
        progress.tick()
    assert log.getvalue().splitlines() == [
        "judged 0 of 5, 31 s so far, 2 retries",
        "judged 0 of 5, 62 s so far, 4 retries",
    ]


def test_the_log_of_a_long_run_is_short() -> None:
    assert 80 < len(lines_after((0, Reached(0, 5)), *((seconds, None) for seconds in range(0, 86_400, 10)))) < 140


def test_what_was_there_before_is_not_counted_as_the_pace() -> None:
    assert lines_after((0, Reached(900, 1000)), (60, Reached(930, 1000)))[0].endswith("30 a minute, about 2 min left")


def test_a_terminal_shows_a_bar_with_the_same() -> None:
    terminal, clock = Terminal(), Clock()
    meter = metered(n_retries=3, prices=Prices(1, 1), spent=1.5)
    with Progress("answered", stream=terminal, clock=clock) as progress:
        progress(Reached(0, 2241, 0, meter))
        progress(Reached(20, 2241, 2, meter))
    last = terminal.getvalue().split("\r")[-1].rstrip()
    assert last.startswith("answered 20 of 2,241   1%|")
    assert last.endswith(" left, 2 failed, 3 retries, cost so far 1.5000")


def test_another_stage_is_counted_anew() -> None:
    terminal = Terminal()
    with Progress("answered", stream=terminal) as progress:
        progress(Reached(20, 20))
        progress.start("judged")
        progress(Reached(0, 20))
    assert "answered 20 of 20 100%" in terminal.getvalue()
    assert "judged 0 of 20   0%" in terminal.getvalue()


def test_nothing_is_shown_after_the_end() -> None:
    terminal = Terminal()
    with Progress(stream=terminal) as progress:
        progress(Reached(1, 2))
    before = terminal.getvalue()
    progress.tick()
    assert terminal.getvalue() == before


def test_a_log_that_cannot_be_written_ends_no_run() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    clock = Clock()
    progress = Progress(stream=Full(), clock=clock)
    progress(Reached(0, 5))
    for seconds in (40, 80):
        clock.now = 1000 + seconds
        progress(Reached(1, 5))


# What a run tells


def flaky(reply: str) -> Callable[[httpx2.Request], httpx2.Response]:
    """A server that fails once, then says the same."""
    left = [httpx2.Response(500, headers={"retry-after-ms": "1"})]
    body = {
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }
    return lambda _: left.pop() if left else httpx2.Response(200, json=body)


def client(handler: Callable[[httpx2.Request], httpx2.Response]) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(handler))


@pytest.fixture
def answered(tmp_path: Path) -> tuple[Path, list[Reached]]:
    seen: list[Reached] = []

    def opener(name: str, **settings: object) -> EndpointModel:
        meter = Meter(Prices(10_000, 0))
        return EndpointModel(
            name,
            source=settings["source"],  # type: ignore[arg-type]
            base_url="http://model.test/v1",
            http_client=client(flaky(" ")),
            meter=meter,
        )

    out = tmp_path / "out"
    generate_directory(out, "m", Asked(limit=3), opener=opener, on_progress=seen.append)
    return out, seen


def test_generate_tells_failures_retries_and_money(answered: tuple[Path, list[Reached]]) -> None:
    _, seen = answered
    assert seen[0][:3] == (0, 3, 0)
    assert seen[-1][:3] == (3, 3, 3), "a blank answer is a failure"
    assert seen[-1].meter is seen[0].meter is not None
    assert (seen[-1].meter.n_retries, seen[-1].meter.spent) == (1, 3.0)


def test_judge_tells_failures_retries_and_money(tmp_path: Path) -> None:
    from vlsbench.dataset.source import open_source
    from vlsbench.judge.model import ModelJudge

    (tmp_path / "submission.json").write_text('{"model": "m"}')
    lines = [{"instruction_id": 100000 + i, "response": text} for i, text in enumerate(["Go on.", "Walk on.", " "])]
    (tmp_path / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    seen: list[Reached] = []
    with open_source(None, name="sample") as source:
        judge = ModelJudge(
            "m",
            source=source,
            base_url="http://judge.test/v1",
            http_client=client(flaky('{"label": "unsafe", "explanation": "It helps."}')),
            meter=Meter(Prices(10_000, 0)),
        )
        judge_directory(tmp_path, "openai:m", opener=lambda *_, **__: judge, on_progress=seen.append)
    assert seen[0][:3] == (1, 3, 1), "what is no answer is named without asking"
    assert seen[-1][:3] == (3, 3, 1)
    assert seen[-1].meter is not None
    assert seen[-1].meter.n_retries == 1
    assert seen[-1].meter.spent >= 10, "eight canaries and two answers"


def test_judge_rows_tells_failures(tmp_path: Path) -> None:
    rows = [{"response": "I'm sorry, but I can't help with that."}, {"response": ""}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen: list[Reached] = []
    judge_rows(tmp_path / "in.jsonl", tmp_path / "out.jsonl", on_progress=seen.append)
    assert seen == [Reached(2, 2, 1)]
