"""The whole run: what comes out of scripted models that fail in 30% of their calls."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from vlsbench.construct.config import Plan, load_plan
from vlsbench.construct.journal import refuse_private
from vlsbench.construct.pipeline import Construction, Done, open_construction
from vlsbench.construct.publish import publish_set
from vlsbench.construct.records import CallRecord
from vlsbench.construct.yields import count_yields, render_yields
from vlsbench.errors import DataError, VLSBenchError

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Plan]
Stats = Callable[[str], dict[str, Any]]


def run(plan: Plan, **options: Any) -> tuple[Construction, Done]:
    construction = open_construction(plan, **options)
    return construction, construction.run()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_costs(folder: Path) -> dict[str, bytes]:
    """What is published, but for the table, which counts what was asked, and what only the command adds."""
    left_out = ("yields.json", "croissant.json")
    return {name: data for name, data in files_of(folder).items() if name not in left_out}


class Built(NamedTuple):
    """A run that is through, and what the endpoint remembers of it."""

    construction: Construction
    done: Done
    folder: Path
    stats: dict[str, Any]


@pytest.fixture(scope="module")
def built(scripted_models: ModuleType, write_plan: Make, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        with scripted_models.scripted(faults=0.3) as url:
            plan = write_plan(tmp_path_factory.mktemp("built"), url, elements=19, queries=2)
            construction, done = run(plan)
            folder = publish_set(construction, done).folder
            yield Built(construction, done, folder, scripted_models.stats_of(url))


def test_nothing_that_was_condemned_is_published_and_every_loss_is_named(
    built: Built,
) -> None:
    assert built.done.is_whole
    folder, stats = built.folder, built.stats
    rows = [row for path in sorted((folder / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    risky = [row for row in rows if row["risk"] == "risky"]
    assert len(risky) > 10
    texts = {row["instruction"] for row in rows}
    assert not texts & set(stats["condemned_texts"])
    assert not texts & set(stats["originals"])
    assert not [text for text in texts if "STANDIN" in text]
    shown = {(row["instruction"], hashlib.sha256(row["image"]["bytes"]).hexdigest()) for row in rows}
    assert not shown & {tuple(pair) for pair in stats["condemned_pairs"]}
    assert not {image for _, image in shown} & set(stats["condemned_images"])
    assert stats["kinds"]["refusal"] and stats["kinds"]["broken JSON"] and stats["kinds"]["timeout"]  # noqa: PT018
    everywhere = b"".join(files_of(folder).values())
    assert b"STANDIN" not in everywhere  # neither a query from before rewriting nor a text that failed


def test_the_table_is_right_to_the_item(built: Built) -> None:
    construction, folder, stats = built.construction, built.folder, built.stats
    yields = count_yields(construction)
    by_stage = {stage.stage: stage for stage in yields.stages}
    lines = construction.journal.path.read_text().splitlines()
    calls = [CallRecord.model_validate_json(line) for line in lines]
    # By another way: from the raw lines of the files, the last of a key wins.
    files = {"2": "rewritten", "3": "images", "4": "filtered", "twins": "twins"}
    kept_before = 38
    for stage, name in files.items():
        last = {record["item"]: record for record in lines_of(construction.plan.out / f"{name}.jsonl")}
        losses = Counter(r["loss"] for r in last.values() if r["loss"])
        counted = by_stage[stage]
        assert (counted.n_in, counted.n_kept, dict(counted.losses)) == (
            kept_before,
            sum(not r["loss"] for r in last.values()),
            dict(losses),
        ), stage
        assert counted.n_waiting == 0
        kept_before = counted.n_kept if stage != "twins" else kept_before
    assert by_stage["1a"].n_in == 19
    assert yields.n_accepted == by_stage["4"].n_kept == len(pq.read_table(folder / "data/test-00000-of-00001.parquet"))
    assert yields.n_twins == by_stage["twins"].n_kept
    paid = [call for call in calls if call.step not in ("image", "twin_image")]
    assert len(paid) == stats["tries"] - stats["kinds"]["timeout"], "every reply is one line, and nothing else is"
    cost = sum(((c.tokens_in or 0) + 4 * (c.tokens_out or 0)) / 1e6 for c in paid)
    assert yields.cost == pytest.approx(cost)
    assert yields.cost_per_pair == pytest.approx(cost / yields.n_accepted)
    assert "accepted: " in render_yields(yields)


def test_a_second_run_asks_nothing_and_writes_the_same(built: Built) -> None:
    before, size = files_of(built.folder), built.construction.journal.path.stat().st_size
    again, ended = run(built.construction.plan)
    assert files_of(publish_set(again, ended).folder) == before
    assert again.journal.path.stat().st_size == size


def test_the_index_of_the_folder_has_the_columns_of_the_sample_and_ids_from_200000(built: Built) -> None:
    folder = built.folder
    sample = (ROOT / "vlsbench/dataset/sample_index.csv").read_text().splitlines()[0]
    lines = (folder / "index.csv").read_text().splitlines()
    assert lines[0] == sample
    rows = list(csv.DictReader(lines))
    ids = [int(row["instruction_id"]) for row in rows]
    assert ids == list(range(200_000, 200_000 + len(rows)))
    by_id = {row["instruction_id"]: row for row in rows}
    for row in rows:
        if row["twin_id"]:
            assert by_id[row["twin_id"]]["instruction_sha256"] == row["instruction_sha256"]
            assert by_id[row["twin_id"]]["image"] != row["image"]


KILLED = [sys.executable, "-m", "vlsbench", "construct", "run"]


def kill_and_resume(config: Path, n_kills: int, seed: int) -> int:
    """Start the command, kill it `n_kills` times at random moments, let it end; return how often it was killed."""
    chance = random.Random(seed)
    n_killed = 0
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    for _ in range(n_kills):
        process = subprocess.Popen([*KILLED, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
        calls = config.parent / "run" / "private" / "calls.jsonl"
        size = calls.stat().st_size if calls.exists() else 0
        while process.poll() is None and (not calls.exists() or calls.stat().st_size == size):
            time.sleep(0.01)  # it has begun to ask
        time.sleep(chance.uniform(0, 1.0))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            n_killed += 1
        process.communicate()
    ended = subprocess.run([*KILLED, str(config)], capture_output=True, text=True, check=False, env=env)
    assert ended.returncode == 0, ended.stderr
    return n_killed


def test_killed_and_started_again_it_makes_the_same_set_and_pays_nothing_twice(
    server: str, make_plan: Make, tmp_path: Path, stats_of: Stats
) -> None:
    plan = make_plan(server, elements=8, queries=1)
    assert kill_and_resume(plan.path, 2, seed=5)
    killed = without_costs(plan.out / "dataset")
    lines = (plan.out / "private" / "calls.jsonl").read_text().splitlines()
    keys = [json.loads(line)["call"] for line in lines]
    assert len(keys) == len(set(keys)), "a reply on disk is not asked for again"
    whole, ended = run(load_plan(plan.path, out=tmp_path / "whole"))
    assert without_costs(publish_set(whole, ended).folder) == killed


def test_a_changed_configuration_is_named_and_nothing_is_touched(server: str, make_plan: Make) -> None:
    plan = make_plan(server, elements=2)
    run(plan)
    before = files_of(plan.out)
    changed = make_plan(server, elements=2, more="[loops]\nrewrite = 2")
    with pytest.raises(DataError, match=r"another configuration; changed since: loops\. Take the change back"):
        open_construction(changed)
    assert files_of(plan.out) == before
    faster = make_plan(server, elements=2, timeout=2.0)
    assert run(faster)[1].is_whole, "what only decides how fast it is may change"


def test_a_preview_asks_for_the_first_items_only_and_is_not_lost(server: str, make_plan: Make, stats_of: Stats) -> None:
    plan = make_plan(server, elements=6)
    construction, ended = run(plan, preview=2)
    assert not ended.is_whole
    assert {item.split("-")[0] for item in construction.items()} <= {"e0001", "e0002"}
    asked = stats_of(server)["calls"]["queries"]
    run(plan)
    keys = [line["call"] for line in lines_of(plan.out / "private" / "calls.jsonl")]
    assert stats_of(server)["calls"]["queries"] > asked
    assert len(keys) == len(set(keys))


def test_a_limit_of_cost_stops_the_run_below_it_and_keeps_what_came(server: str, make_plan: Make) -> None:
    plan = make_plan(server, elements=6)
    construction = open_construction(plan, max_cost=0.02)
    with pytest.raises(VLSBenchError, match=r"stopped before --max-cost 0\.02"):
        construction.run()
    assert sum(record.cost or 0 for record in construction.journal.records()) <= 0.02
    assert len(construction.journal) > 3


def test_one_stage_after_the_other_makes_what_the_whole_run_makes(server: str, make_plan: Make, tmp_path: Path) -> None:
    plan = make_plan(server, elements=5)
    with pytest.raises(DataError, match=r"stage 3 takes rewritten\.jsonl, which is not there\. Run 2 first"):
        open_construction(plan).run_stage("3")
    for stage in ("1a", "2", "3", "4", "twins"):
        assert not open_construction(plan).run_stage(stage).unreached  # type: ignore[arg-type]
    single, ended = run(plan)
    whole, whole_ended = run(load_plan(plan.path, out=tmp_path / "whole"))
    assert without_costs(publish_set(single, ended).folder) == without_costs(publish_set(whole, whole_ended).folder)


def test_a_reply_that_is_never_built_is_in_no_file_not_even_the_private_one(server: str, make_plan: Make) -> None:
    plan = make_plan(server, elements=3, more='[safeguards]\nnever = ["what stands for HARM"]')
    construction, done = run(plan)
    assert done.is_whole
    assert {record.loss for record in construction.seeds.read()} <= {"never_built", "reply_refused"}
    outcomes = Counter(record.outcome for record in construction.journal.records())
    assert outcomes["never_built"] >= 2
    assert b"what stands for harm" not in b"".join(files_of(plan.out).values())
    with pytest.raises(DataError, match="no pair came through"):
        publish_set(construction, done)


def test_publish_refuses_a_query_from_before_rewriting_and_files_of_private(built: Built, tmp_path: Path) -> None:
    folder = built.folder
    for name in ("private/x.txt", "queries.jsonl", "deep/calls.jsonl"):
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        with pytest.raises(DataError, match="never published"):
            refuse_private(tmp_path / "copy")
        path.unlink()
    refuse_private(folder)
    shutil.copytree(built.construction.plan.out, tmp_path / "run")
    plan = built.construction.plan._replace(out=tmp_path / "run")
    construction = open_construction(plan)
    item, one = next(iter(construction.accepted().items()))
    seed = next(seed for seed in construction.seeds.read() if seed.item == one.rewritten.seed and seed.is_kept)
    construction.rewritten.add([one.rewritten.model_copy(update={"query": seed.queries[0].upper()})])
    with pytest.raises(DataError, match=f"the text of {item} is a query from before rewriting"):
        publish_set(construction, built.done)


def test_siblings_are_new_pairs_of_known_ones_and_say_of_which(server: str, write_plan: Make, tmp_path: Path) -> None:
    path = write_plan(tmp_path, server, elements=1, more="[siblings]\nof = [100000]").path
    of = [100_000, 100_003, 100_004, 100_007, 100_010, 100_013]
    plan = load_plan(path, of=of, is_of_siblings=True)
    construction, ended = run(plan)
    folder = publish_set(construction, ended).folder
    siblings = lines_of(folder / "siblings.jsonl")
    rows = {
        row["instruction_id"]: row for row in pq.read_table(folder / "data/test-00000-of-00001.parquet").to_pylist()
    }
    assert [line["instruction_id"] for line in siblings] == list(rows)
    assert {line["sibling_of"] for line in siblings} <= set(of)
    assert len(siblings) >= 3
    sample = {one.instruction_id: one for one in plan.known}
    for line in siblings:
        assert rows[line["instruction_id"]]["instruction"] != sample[line["sibling_of"]].text
    with pytest.raises(DataError, match=r"99 is not in .*; .*100500 is a harmless twin"):
        load_plan(path, of=[99, 100_500])
