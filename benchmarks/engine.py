"""What a Ray cluster costs beside one process: `--engine ray` against `--engine local`, in one run.

    python benchmarks/engine.py DATA_JSON [--concurrency 64] [--latency 0.2]

The official `data.json` with stand-in images of 64 px; 2,241 answers from a loopback endpoint that takes `--latency`
seconds, then the offline judge over them. Ray is one node of this machine, started by the command itself, so its start
(some seconds) is part of the time; there is one worker, and the limit ceil(n / concurrency) x latency is the same for
both engines. The results of both are compared line by line. More machines divide the time of the endpoint only where
the endpoint takes more at once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from judge_throughput import endpoint  # noqa: E402  # beside this file
from make_release_folder import make_release_folder  # noqa: E402


def run(*words: str) -> float:
    """Run a command of vlsbench to its end; return seconds."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "vlsbench", *words],
        check=True,
        env={**os.environ, "OPENAI_API_KEY": "none", "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def lines_of(path: Path) -> list[str]:
    """Read lines in an order of their own."""
    return sorted(path.read_text(encoding="utf-8").splitlines())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_json", type=Path)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2)
    arguments = parser.parse_args()
    engines = {"local": ["--engine", "local"], "ray": ["--engine", "ray", "--ray-address", "local"]}
    with tempfile.TemporaryDirectory() as temporary, endpoint(arguments.latency) as url:
        folder = Path(temporary)
        release = folder / "release"
        records = json.loads(arguments.data_json.read_text(encoding="utf-8"))
        make_release_folder(records, release)
        limit = math.ceil(len(records) / arguments.concurrency) * arguments.latency
        seconds: dict[tuple[str, str], float] = {}
        for engine, words in engines.items():
            out = str(folder / engine)
            asked = ["--model", "openai:m", "--base-url", url, "--data", str(release), "--out", out]
            seconds["generate", engine] = run("generate", *asked, "--concurrency", str(arguments.concurrency), *words)
            seconds["judge", engine] = run("judge", out, "--judge", "offline", *words)
        for stage in ("generate", "judge"):
            ours, ray = seconds[stage, "local"], seconds[stage, "ray"]
            print(f"{stage:9} local {ours:6.2f} s, ray {ray:6.2f} s: {ray / ours:.2f} x, {ray - ours:+.2f} s")
        print(f"the endpoint's limit is {limit:.2f} s")
        for pattern in ("responses.jsonl", "verdicts/*[0-9a-f].jsonl"):
            (ours_file,), (ray_file,) = ((folder / engine).glob(pattern) for engine in engines)
            print(f"{pattern}: {'the same lines' if lines_of(ours_file) == lines_of(ray_file) else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
