from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.engine.cluster import Item, Shards, connect, cut_into_blocks
from vlsbench.engine.engines import open_engine
from vlsbench.engine.shards import KeyedLine, Shard, Tail, new_shard, read_left_shards
from vlsbench.engine.spread import RayEngine
from vlsbench.engine.work import JudgeWork, Worker, is_about_pictures
from vlsbench.errors import DataError, UsageError, VLSBenchError
from vlsbench.generate.models import TargetOptions
from vlsbench.judge.judges import ModelOptions
from vlsbench.records import Response, Verdict

parse = Response.model_validate_json


def keyed(number: int, text: str = "Step back.") -> KeyedLine:
    line = Response(instruction_id=number, response=text).model_dump_json(exclude_none=True)
    return KeyedLine((number, "image+text"), line)


def test_a_key_stands_in_a_shard_once_and_the_first_line_stays(tmp_path: Path) -> None:
    path = new_shard(tmp_path, "responses-12345678")
    shard = Shard(str(path))
    shard.append([keyed(1, "first"), keyed(1, "second"), keyed(2)])
    shard.append([keyed(1, "third"), keyed(3)])
    found = read_left_shards(tmp_path, "responses-12345678", parse)
    assert sorted((r.instruction_id, r.response) for r in found) == [(1, "first"), (2, "Step back."), (3, "Step back.")]


def test_a_block_that_begins_again_is_told_what_it_has(tmp_path: Path) -> None:
    shard = Shard(str(new_shard(tmp_path, "x")))
    keys = [keyed(number).key for number in (1, 2)]
    assert shard.begin(keys) == (set(), 1)
    shard.append([keyed(1), keyed(9)])
    assert shard.begin(keys) == ({keys[0]}, 2)


def test_what_a_killed_run_left_is_merged_once_and_only_where_it_is_wanted(tmp_path: Path) -> None:
    for numbers in ([1, 2], [2, 3]):
        Shard(str(new_shard(tmp_path, "responses-aa"))).append([keyed(number) for number in numbers])
    Shard(str(new_shard(tmp_path, "responses-aab"))).append([keyed(7)])
    wanted = {1, 2}
    written: list[int] = []

    def take(response: Response) -> bool:
        is_wanted = response.instruction_id in wanted
        wanted.discard(response.instruction_id)
        return is_wanted

    shards = Shards(tmp_path, "responses-aa", parse)
    for _ in range(2):
        shards.take_left(take, lambda records: written.extend(r.instruction_id for r in records))
    assert sorted(written) == [1, 2]
    assert [path.name.partition(".")[0] for path in (tmp_path / ".shards").iterdir()] == ["responses-aab"]


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = new_shard(tmp_path, "x")
    Shard(str(path)).append([keyed(1)])
    with path.open("a") as file:
        file.write('{"instruction_id": 2, "resp')
    assert [r.instruction_id for r in read_left_shards(tmp_path, "x", parse)] == [1]


def test_a_tail_gives_every_whole_line_once(tmp_path: Path) -> None:
    path = tmp_path / "shard.jsonl"
    tail = Tail(path, parse)
    assert list(tail.read()) == []
    whole = keyed(1).line + "\n"
    path.write_text(whole + whole[:10])
    assert [r.instruction_id for r in tail.read()] == [1]
    assert list(tail.read()) == []
    path.write_text(whole + keyed(2).line + "\n")
    assert [r.instruction_id for r in tail.read()] == [2]


@given(st.integers(0, 3000), st.integers(1, 40), st.integers(1, 64))
def test_blocks_hold_every_item_once_in_order(n_items: int, n_workers: int, at_once: int) -> None:
    items = [Item((number, "image+text"), "") for number in range(n_items)]
    blocks = cut_into_blocks(items, n_workers, at_once)
    assert [item for block in blocks for item in block] == items
    assert all(0 < len(block) <= 512 for block in blocks)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "no port"),
        ("ray://127.0.0.1:10001", "Ray's client: the command would not run on the cluster"),
        ("127.0.0.1:word", "no number"),
        ("127.0.0.1:1", "nothing listens there"),
    ],
)
def test_an_address_without_a_cluster_is_one_sentence_at_once(address: str, why: str) -> None:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    with pytest.raises(UsageError, match="--ray-address") as error, connect(address):
        pytest.fail(why)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "address"), [("spark", None), ("local", "127.0.0.1:6379")])
def test_an_engine_that_is_none_is_refused(tmp_path: Path, name: str, address: str | None) -> None:
    with pytest.raises(UsageError, match="engine"), open_engine(name, tmp_path, ray_address=address):
        pytest.fail("it is none")


def test_a_limit_of_money_and_a_cache_are_refused_on_a_cluster(tmp_path: Path) -> None:
    engine = RayEngine(None, tmp_path, None)  # type: ignore[arg-type]  # refused before any cluster is asked
    with pytest.raises(UsageError, match="--max-cost"):
        engine.open_target("openai:m", source=None, options=TargetOptions(max_cost=1.0))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--max-cost"):
        engine.open_judge("openai:m", options=ModelOptions(max_cost=1.0))
    with pytest.raises(UsageError, match="--cache"):
        engine.open_judge("openai:m", options=ModelOptions(cache=tmp_path / "cache.sqlite"))


def judging() -> JudgeWork:
    return JudgeWork("offline", None, "sample", None, 16, None, ModelOptions())


def test_a_worker_works_on_blocks_and_opens_once() -> None:
    worker = Worker(judging())
    kept: list[KeyedLine] = []
    items = [keyed(number, "I cannot help with that.").line for number in range(3)]
    for item in items:
        report = worker.run([item], kept.extend)
        assert (report.n_unanswered, report.error) == (0, None)
    assert [Verdict.model_validate_json(line.line).instruction_id for line in kept] == [0, 1, 2]


def test_a_worker_that_would_give_other_results_is_refused() -> None:
    report = Worker(judging(), agreed="0.0.1, rubric offline-other").run([keyed(1).line], lambda lines: None)
    assert report.error is not None
    error = report.error.restore()
    assert type(error) is VLSBenchError
    assert "would not give the same results" in str(error)


def test_an_error_of_a_worker_comes_back_as_what_it_was(tmp_path: Path) -> None:
    work = JudgeWork("openai:m", None, "release", tmp_path / "none", 16, "http://127.0.0.1:1/v1", ModelOptions())
    report = Worker(work).run([keyed(1).line], lambda lines: None)
    assert report.error is not None
    assert isinstance(report.error.restore(), DataError)
    assert not is_about_pictures(report.error)
