"""Construction: runs that are killed, and how fast 2,000 pairs go through.

    python benchmarks/construct.py --kills 100
    python benchmarks/construct.py --pairs 2000 [--latency 0.2] [--concurrency 16]

Kills: the command is started and killed (SIGKILL) at a random moment, over and over, in one folder after another until
so many kills landed; every run then ends, and its dataset is compared byte by byte with that of a run that was never
killed. No call may be in a journal twice.

Pairs: scripted models that answer after `--latency`, without faults, images by their endpoint. The bound, in one run:
the largest of (longest chain x latency), (calls x latency / concurrency) and (calls x the client's CPU per call); what
is reported is wall time over that bound, and the peak of memory at a quarter and at the end.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from scripted_models import scripted  # noqa: E402  # beside this file

from vlsbench.construct.config import load_plan  # noqa: E402  # the checkout, installed or not
from vlsbench.construct.pipeline import open_construction  # noqa: E402
from vlsbench.construct.yields import count_yields, render_yields  # noqa: E402
from vlsbench.taxonomy import SUB_CATEGORIES  # noqa: E402

CONFIG = """\
name = "bench-pairs"
out = "run"
[elements]
file = "elements.csv"
queries_per_element = {queries}
[models.default]
model = "scripted-1"
base_url = "{url}"
concurrency = {concurrency}
timeout_seconds = {timeout}
[image]
kind = "{image}"
model = "scripted-image"
base_url = "{url}"
concurrency = {concurrency}
[twins]
wanted = {twins}
"""


def write_config(
    folder: Path, url: str, *, elements: int, queries: int, concurrency: int, timeout: float, twins: bool
) -> Path:
    """Write a configuration and its elements."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "elements.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["element", "category", "sub_category"])
        for number in range(elements):
            sub = SUB_CATEGORIES[number % len(SUB_CATEGORIES)]
            writer.writerow([f"thing number {number} on a shelf", sub.category, sub.name])
    path = folder / "pairs.toml"
    path.write_text(
        CONFIG.format(
            url=url,
            queries=queries,
            concurrency=concurrency,
            timeout=timeout,
            image="endpoint",
            twins=str(twins).lower(),
        )
    )
    return path


def published(folder: Path) -> dict[str, bytes]:
    """Read what a run wrote, but for the table of what was asked."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "yields.json"}


def start(config: Path) -> subprocess.Popen[bytes]:
    """Start the command."""
    command = [sys.executable, "-m", "vlsbench", "construct", "run", str(config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)


def run_kills(n_kills: int, seed: int) -> bool:
    """Kill runs; say whether all of them came out as the one that was not."""
    chance = random.Random(seed)
    n_landed = n_folders = n_twice = n_different = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, scripted(faults=0.3) as url:
        root = Path(name)

        def config_in(folder: str) -> Path:
            return write_config(root / folder, url, elements=8, queries=1, concurrency=8, timeout=0.4, twins=True)

        start(config_in("whole")).wait()
        whole = published(root / "whole" / "run" / "dataset")
        while n_landed < n_kills:
            n_folders += 1
            config = config_in(f"killed-{n_folders}")
            calls = config.parent / "run" / "private" / "calls.jsonl"
            for _ in range(min(20, n_kills - n_landed)):
                process = start(config)
                size = calls.stat().st_size if calls.exists() else 0
                while process.poll() is None and (not calls.exists() or calls.stat().st_size == size):
                    time.sleep(0.005)
                time.sleep(chance.uniform(0, 0.8))
                if process.poll() is not None:
                    break
                process.send_signal(signal.SIGKILL)
                process.wait()
                n_landed += 1
            start(config).wait()
            keys = [json.loads(line)["call"] for line in calls.read_text().splitlines()]
            n_twice += len(keys) - len(set(keys))
            n_different += published(config.parent / "run" / "dataset") != whole
            so_far = f"{n_different} datasets differ, {n_twice} calls twice"
            print(f"{n_landed} kills in {n_folders} runs: {so_far}", file=sys.stderr, flush=True)
    print(
        f"{n_landed} kills over {n_folders} runs in {time.monotonic() - started:.0f} s: {n_different} datasets differ "
        f"from the one never killed ({len(whole)} files), {n_twice} calls on disk twice"
    )
    return n_different == n_twice == 0


def run_pairs(n_pairs: int, latency: float, concurrency: int) -> bool:
    """Time a run and hold it against its bound."""
    with tempfile.TemporaryDirectory() as name, scripted(latency=latency, faults=0.0) as url:
        config = write_config(
            Path(name), url, elements=-(-n_pairs // 2), queries=2, concurrency=concurrency, timeout=60, twins=True
        )
        plan = load_plan(config)
        construction = open_construction(plan)
        construction.ask([])  # what is imported once is not part of a call
        marks: dict[str, float] = {}
        construction._on_stage = lambda stage: marks.setdefault(  # the audit asks nobody and is not part of the bound
            stage, time.monotonic()
        )
        before, cpu = time.monotonic(), time.process_time()
        memory: dict[str, int] = {}
        n_waves = 0
        ask = construction.ask

        def counted(calls):  # type: ignore[no-untyped-def]
            nonlocal n_waves
            n_waves += 1
            ask(calls)
            memory[f"wave {n_waves}"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        construction.ask = counted  # type: ignore[assignment]
        construction._audit = lambda turn: []  # type: ignore[method-assign]
        construction.run()
        wall, cpu = time.monotonic() - before, time.process_time() - cpu
        n_calls = len(construction.journal)
        # What is not asking (hashing images, comparing texts, files) is client CPU of the calls too.
        bounds = {
            "longest chain x latency": n_waves * latency,
            "calls x latency / concurrency": n_calls * latency / concurrency,
            "calls x client CPU": cpu,
        }
        print(render_yields(count_yields(construction)))
        seen = list(memory.values())
        print(
            f"{n_calls:,} calls in {n_waves} waves: {wall:.1f} s wall, {cpu:.1f} s CPU ({1000 * cpu / n_calls:.2f} ms "
            f"a call); bounds: {', '.join(f'{what} {value:.1f} s' for what, value in bounds.items())}"
        )
        print(f"wall / largest bound: {wall / max(bounds.values()):.2f}")
        print(f"peak memory after a quarter of the waves {seen[len(seen) // 4] // 1024} MiB, at the end "
              f"{seen[-1] // 1024} MiB")  # fmt: skip
        return wall <= 1.2 * max(bounds.values())


def main() -> int:
    """Run what was asked for; 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=16, help="default: the configuration's own")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    good = True
    if given.kills or not given.pairs:
        good = run_kills(given.kills or 10, given.seed) and good
    if given.pairs or not given.kills:
        good = run_pairs(given.pairs or 200, given.latency, given.concurrency) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
