"""A real cluster of two nodes on this machine. The order counts: the last test kills one of them."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 300
"""Nothing takes as long on a machine that has anything to spare."""


def command(cluster: Any, *words: str, engine: str = "ray") -> list[str]:
    more = ["--ray-address", cluster.address] if engine == "ray" else []
    return [sys.executable, "-m", "vlsbench", *words, "--engine", engine, *more]


def run(cluster: Any, *words: str, engine: str = "ray", code: int = 0) -> str:
    done = subprocess.run(
        command(cluster, *words, engine=engine),
        env=cluster.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def records(path: Path) -> dict[tuple[int, str], dict[str, Any]]:
    """Read lines by key; a key that stands there twice is a failure."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = {(line["instruction_id"], line.get("condition", "image+text")): line for line in lines}
    assert len(found) == len(lines)
    return found


def rubric_file(folder: Path, judge: str = "") -> Path:
    (path,) = folder.glob(f"verdicts/{judge}*[0-9a-f].jsonl")
    return path


def test_the_same_answers_and_labels_come_from_a_cluster(two_nodes: Any, stand_in: Any, tmp_path: Path) -> None:
    model = ["--model", "openai:m", "--base-url", stand_in.url, "--condition", "text-only"]
    for engine in ("local", "ray"):
        folder = tmp_path / engine
        run(two_nodes, "generate", *model, "--condition", "image+text", "--out", str(folder), engine=engine)
        run(two_nodes, "judge", str(folder), "--judge", "offline", engine=engine)
        run(two_nodes, "judge", str(folder), "--judge", "openai:m", "--base-url", stand_in.url, engine=engine)
    ours, theirs = tmp_path / "local", tmp_path / "ray"
    assert records(ours / "responses.jsonl") == records(theirs / "responses.jsonl")
    for judge in ("offline", "openai"):
        assert rubric_file(ours, judge).name == rubric_file(theirs, judge).name
        assert records(rubric_file(ours, judge)) == records(rubric_file(theirs, judge))
    assert (ours / "submission.json").read_bytes() == (theirs / "submission.json").read_bytes()
    assert not (theirs / ".shards").exists()


def test_a_model_on_the_workers_answers_and_judges_as_here(two_nodes: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra 'local'")
    pytest.importorskip("transformers", reason="needs the extra 'local'")
    spec = importlib.util.spec_from_file_location("tiny_models", ROOT / "benchmarks" / "tiny_models.py")
    assert spec is not None
    assert spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    llava = f"transformers:{tiny.make_llava(tmp_path / 'tiny-llava')}"
    for engine in ("local", "ray"):
        folder = str(tmp_path / engine)
        words = ["generate", "--model", llava, "--limit", "6", "--max-new-tokens", "4", "--out", folder]
        run(two_nodes, *words, engine=engine)
        # Random weights say neither safe nor unsafe, which exit 1 tells.
        judging = ["judge", folder, "--judge", llava, "--protocol", "llama-guard"]
        run(two_nodes, *judging, engine=engine, code=1)
    ours, theirs = tmp_path / "local", tmp_path / "ray"
    assert records(ours / "responses.jsonl") == records(theirs / "responses.jsonl")
    assert records(rubric_file(ours)) == records(rubric_file(theirs))


def test_a_killed_command_goes_on_and_pays_only_what_was_under_way_again(
    two_nodes: Any, stand_in: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "sub"
    words = ["generate", "--model", "openai:m", "--base-url", stand_in.url, "--out", str(folder), "--concurrency", "2"]
    process = subprocess.Popen(
        command(two_nodes, *words), env=two_nodes.environment, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    wait_for(lambda: len(stand_in.paid()) >= 8)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    n_under_way = 2 * 2
    run(two_nodes, *words)
    asked = Counter(stand_in.paid())
    assert len(records(folder / "responses.jsonl")) == len(asked)
    assert sum(asked.values()) - len(asked) <= n_under_way
    assert not (folder / ".shards").exists()


@pytest.mark.fuzz
def test_pairs_are_built_on_a_cluster_as_here_though_the_command_is_killed(two_nodes: Any, tmp_path: Path) -> None:
    """Every wave of calls starts workers: `make test` sends one stage there, `make bench` all."""
    stages = ("1a",) if os.environ.get("VLSBENCH_TEST_EFFORT") != "full" else ("1a", "2", "3", "4", "run")
    with load_benchmark("scripted_models").scripted(faults=0.0, latency=0.2) as url:
        configs = {engine: write_construction(tmp_path / engine, url) for engine in ("local", "ray")}
        run(two_nodes, "construct", "run", str(configs["local"]), engine="local")
        built, calls = tmp_path / "ray" / "run", tmp_path / "ray" / "run" / "private" / "calls.jsonl"
        process = subprocess.Popen(
            command(two_nodes, "construct", "1a", str(configs["ray"])),
            env=two_nodes.environment, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        wait_for(lambda: any((built / "private").glob(".shards/*.jsonl")))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not calls.exists() or calls.read_bytes().count(b"\n") < 6
        for stage in dict.fromkeys((*stages, "run")):
            run(two_nodes, "construct", stage, str(configs["ray"]), engine="ray" if stage in stages else "local")
        expected = published(tmp_path / "local" / "run" / "dataset")
        assert len(expected) > 8
        assert published(built / "dataset") == expected
        keys = [json.loads(line)["call"] for line in calls.read_text().splitlines()]
        assert len(keys) == len(set(keys))
        assert not (built / "private" / ".shards").exists()


def test_a_limit_of_cost_is_refused_where_many_would_spend(two_nodes: Any, tmp_path: Path) -> None:
    config = str(write_construction(tmp_path / "limited", "http://127.0.0.1:9/v1"))
    done = subprocess.run(
        [*command(two_nodes, "construct", "run", config), "--max-cost", "1"],
        env=two_nodes.environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--max-cost is kept by one process, which --engine ray is not" in done.stderr


def load_benchmark(name: str) -> Any:
    """Import a file of `benchmarks/`, so that a process that it starts finds it too."""
    if str(ROOT / "benchmarks") not in sys.path:
        sys.path.append(str(ROOT / "benchmarks"))
    return importlib.import_module(name)


def write_construction(folder: Path, url: str) -> Path:
    folder.mkdir()
    lines = [f"thing number {n} on a shelf,Violent,Public Violence and Rioting" for n in range(6)]
    (folder / "elements.csv").write_text("\n".join(["element,category,sub_category", *lines]) + "\n")
    path = folder / "pairs.toml"
    path.write_text(
        'name = "ray-pairs"\nout = "run"\n[elements]\nfile = "elements.csv"\nqueries_per_element = 1\n'
        f'[models.default]\nmodel = "scripted-1"\nbase_url = "{url}"\nconcurrency = 1\n'
        '[image]\nkind = "artist"\n[twins]\nwanted = false\n'
    )
    return path


def published(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_key_is_in_no_file_of_the_cluster(two_nodes: Any) -> None:
    secret = two_nodes.environment["OPENAI_API_KEY"].encode()
    files = [path for path in two_nodes.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if secret in path.read_bytes()] == []


def test_a_run_ends_complete_though_a_node_is_killed(two_nodes: Any, stand_in: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    words = ["generate", "--model", "openai:m", "--base-url", stand_in.url, "--out", str(folder), "--concurrency", "1"]
    process = subprocess.Popen(
        command(two_nodes, *words, "--condition", "text-only", "--condition", "image+text"),
        env=two_nodes.environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: len(stand_in.paid()) >= 10)
    two_nodes.kill_second_node()
    _, talk = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, talk
    asked = Counter(stand_in.paid())
    assert len(records(folder / "responses.jsonl")) == len(asked)
    # One question under way, and the reply before it on its way to the shard.
    assert sum(asked.values()) - len(asked) <= 2, "only what the lost worker had under way is asked again"


def wait_for(is_so: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
