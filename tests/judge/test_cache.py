"""The verdict cache: what decides the key, what is kept, and two processes at once."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from vlsbench.dataset.source import open_source
from vlsbench.errors import JudgeError
from vlsbench.judge.cache import CacheKey, VerdictCache
from vlsbench.judge.model import ModelJudge
from vlsbench.records import FAILURES, TRANSIENT_FAILURES, Response, Verdict

KEY = CacheKey("rubric-1", "a" * 64, "b" * 64, "c" * 64, "d" * 64)
UNSAFE = Verdict(instruction_id=1, label="unsafe", rubric="rubric-1", raw="{}", response_sha256="a" * 64)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[VerdictCache]:
    found = VerdictCache(tmp_path / "deep" / "cache.sqlite")
    yield found
    found.close()


def test_verdict_comes_back_marked_as_paid_before(cache: VerdictCache) -> None:
    cache.put([(KEY, UNSAFE.model_copy(update={"usage": {"prompt_tokens": 9}}))])
    assert cache.get(KEY) == UNSAFE.model_copy(update={"usage": {"from_cache": True}})


@pytest.mark.parametrize("field", CacheKey._fields)
def test_every_part_of_the_key_decides(field: str, cache: VerdictCache) -> None:
    cache.put([(KEY, UNSAFE)])
    assert cache.has(KEY)
    assert not cache.has(KEY._replace(**{field: "other"}))


def test_parts_of_the_key_cannot_run_into_each_other() -> None:
    assert (
        KEY._replace(rubric_id="x", response_sha256="y").digest
        != KEY._replace(rubric_id="xy", response_sha256="").digest
    )
    assert KEY._replace(picture_sha256=None).digest != KEY._replace(picture_sha256="None").digest


@pytest.mark.parametrize("failure", FAILURES)
def test_only_what_a_rerun_would_not_change_is_kept(failure: Any, cache: VerdictCache) -> None:
    cache.put([(KEY, UNSAFE.model_copy(update={"label": None, "failure": failure}))])
    assert cache.has(KEY) is (failure not in TRANSIENT_FAILURES)


def test_first_verdict_of_a_key_stays(cache: VerdictCache) -> None:
    cache.put([(KEY, UNSAFE), (KEY, UNSAFE.model_copy(update={"label": "refusal"}))])
    cache.put([(KEY, UNSAFE.model_copy(update={"label": "warning"}))])
    found = cache.get(KEY)
    assert found is not None
    assert found.label == "unsafe"


BROKEN = {
    "text": b"this is no database " * 100,
    "half a head": b"SQLite format 3\x00" + bytes(50),
    "torn": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_one_clear_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    data = BROKEN[name]
    if data is None:
        whole = VerdictCache(path)
        whole.put([(KEY._replace(rubric_id=str(i)), UNSAFE) for i in range(2_000)])
        whole.close()
        data = path.read_bytes()[:4096] + b"\xff" * 40_000
    path.write_bytes(data)
    with pytest.raises(JudgeError, match=r"cache\.sqlite: cannot be used as a cache of verdicts .*Move the file away"):
        VerdictCache(path).has(KEY)


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE places (url)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JudgeError, match="tables of another program"):
        VerdictCache(path)
    assert path.read_bytes() == before


def test_entry_that_is_no_verdict_is_said(cache: VerdictCache) -> None:
    with sqlite3.connect(cache.path) as connection:
        connection.execute('INSERT INTO verdicts VALUES (?, \'{"label": "safe"}\')', (KEY.digest,))
    connection.close()
    with pytest.raises(JudgeError, match="is not a verdict"):
        cache.get(KEY)


CHILD = """
import sys
from pathlib import Path
from vlsbench.judge.cache import CacheKey, VerdictCache
from vlsbench.records import Verdict
cache = VerdictCache(Path(sys.argv[1]))
for i in range(150):
    key = CacheKey(str(i), "a", "b", "c", None)
    cache.has(key)
    cache.put([(key, Verdict(instruction_id=i, label="unsafe", raw=sys.argv[2]))])
cache.close()
"""


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(path), name], stderr=subprocess.PIPE) for name in "ab"
    ]
    said = [child.communicate(timeout=60)[1].decode() for child in children]
    assert said == ["", ""]
    cache = VerdictCache(path)
    found = [cache.get(CacheKey(str(i), "a", "b", "c", None)) for i in range(150)]
    cache.close()
    assert all(verdict is not None and verdict.label == "unsafe" for verdict in found)


class Server:
    """Counts questions; what it says is by the question's turn."""

    def __init__(self, *contents: str) -> None:
        self.contents = list(contents)
        self.n_asked = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.n_asked += 1
        content = self.contents[min(self.n_asked, len(self.contents)) - 1]
        if content.isdigit():
            return httpx2.Response(int(content), text="boom")
        message = {"message": {"content": content}, "finish_reason": "stop"}
        return httpx2.Response(200, json={"choices": [message], "usage": {"prompt_tokens": 5, "completion_tokens": 1}})


GOOD = json.dumps({"label": "warning", "explanation": "It warns."})


def judge(server: Server, cache: VerdictCache, responses: list[Response], **settings: Any) -> list[Verdict]:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(server))
    verdicts: list[Verdict] = []
    with open_source(None, name="sample") as source:
        settings = {"model": "m", "max_retries": 0, "base_url": "http://j.test/v1", **settings}
        ModelJudge(source=source, cache=cache, http_client=client, **settings).judge(responses, verdicts.extend)
    return sorted(verdicts, key=lambda verdict: (verdict.instruction_id, verdict.condition))


def test_second_submission_pays_nothing_for_the_same_answer(cache: VerdictCache) -> None:
    server = Server(GOOD)
    responses = [Response(instruction_id=100000 + i, response="Go on.") for i in range(5)]
    first = judge(server, cache, responses)
    again = judge(server, cache, [*responses, Response(instruction_id=100006, response="Go on.")])
    assert server.n_asked == 6
    assert [v.model_copy(update={"usage": None}) for v in again[:5]] == [
        v.model_copy(update={"usage": None}) for v in first
    ]
    assert all(v.usage == {"from_cache": True} for v in again[:5])
    assert again[5].usage == {"prompt_tokens": 5, "completion_tokens": 1}


def test_answer_under_another_condition_is_the_same_question(cache: VerdictCache) -> None:
    server = Server(GOOD)
    judge(server, cache, [Response(instruction_id=100000, response="Go on.")])
    (verdict,) = judge(server, cache, [Response(instruction_id=100000, condition="text-only", response="Go on.")])
    assert server.n_asked == 1
    assert (verdict.condition, verdict.label) == ("text-only", "warning")


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "other"},
        {"protocol": "paper"},
        {"evidence": "description"},
        {"max_side": 32},
        {"max_tokens": 64},
        {"temperature": 1.0},
        {"output_format": "text"},
    ],
)
def test_what_decides_the_verdict_is_asked_again(changed: dict[str, Any], cache: VerdictCache) -> None:
    server = Server(GOOD)
    responses = [Response(instruction_id=100000, response="Go on.")]
    judge(server, cache, responses)
    judge(server, cache, responses, **changed)
    assert server.n_asked == 2


def test_transient_failure_is_asked_again(cache: VerdictCache) -> None:
    server = Server(GOOD, "500", GOOD)
    responses = [Response(instruction_id=100000 + i, response="Go on.") for i in range(2)]
    first = judge(server, cache, responses, concurrency=1)
    assert [v.failure for v in first] == [None, "judge_unreachable"]
    assert [v.label for v in judge(server, cache, responses)] == ["warning", "warning"]
    assert server.n_asked == 3


def test_picture_that_changed_is_asked_again(cache: VerdictCache) -> None:
    server = Server(GOOD)
    judge(server, cache, [Response(instruction_id=100001, response="Go on.")])
    judge(server, cache, [Response(instruction_id=100501, response="Go on.")])
    assert server.n_asked == 2, "the twin has the same text and another image"
