"""Compare how the board counts beside itself with a pool of `concurrent.futures`, on a generated store.

Both count the same submissions into a file of their own, in turn, each in a process of its own; then a worker is killed
while it counts, a script without `if __name__ == "__main__"` builds a board, and the process that asked is killed.

    python benchmarks/board_pool.py [--submissions 120] [--store DIR] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from board import write_store

WAYS = ("own", "pool")

POOL = '''
"""The other way: a pool of processes that multiprocessing spawns."""

import gc, os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from vlsbench.board import counted
from vlsbench.board.counted_file import ProjectionFile
from vlsbench.store.local import StoredSubmission

BATCH = 4

def work(task, path, items):
    counted._work(task, ProjectionFile(Path(path)), [StoredSubmission(n, Path(d)) for n, d in items], lambda: True)

def beside(file, items, task, *, is_here=True):
    n_processes = max(1, min(len(os.sched_getaffinity(0)), len(items) // counted._MIN_SHARE, counted._MAX_PROCESSES))
    told = [(item.submission_id, str(item.directory)) for item in items]
    batches = [told[start : start + BATCH] for start in range(0, len(told), BATCH)]
    try:
        with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"), initializer=gc.disable) as pool:
            for done in [pool.submit(work, task, str(file.path), batch) for batch in batches]:
                done.result()
    except BrokenProcessPool:
        pass  # what is missing is counted by the caller

counted._work_beside = beside
'''

COUNT = """
import json, os, resource, sys, time
from vlsbench.board import counted
{patch}

def main():
    counted._code_digest()
    start = time.perf_counter()
    projection = counted.open_projection(sys.argv[1], is_screening=False)
    seconds = time.perf_counter() - start
    here, beside = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    from vlsbench.files import sha256_hex
    found = {{name: item.model_dump_json() for name, item in projection.submissions.items()}}
    print(json.dumps({{
        "seconds": seconds,
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in (here, beside)),
        "here_mb": here.ru_maxrss / 1024,
        "beside_mb": beside.ru_maxrss / 1024,
        "counted": projection.n_counted,
        "found": sha256_hex(json.dumps(found).encode()),
    }}), flush=True)

{call}
"""

GUARDED = 'if __name__ == "__main__":\n    main()'
UNGUARDED = 'print("the script runs", flush=True)\nmain()'


def script(folder: Path, way: str, call: str) -> Path:
    """Write a script that counts a store in one of the ways."""
    (folder / "other_pool.py").write_text(POOL)
    path = folder / f"count_{way}_{'guarded' if call is GUARDED else 'bare'}.py"
    path.write_text(COUNT.format(patch="import other_pool" if way == "pool" else "", call=call))
    return path


def start(path: Path, store: Path, cache: Path, out: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start a script with a cache folder of its own."""
    environment = {**os.environ, "VLSBENCH_CACHE_DIR": str(cache), "PYTHONPATH": str(path.parent)}
    command = [sys.executable, str(path), str(store)]
    return subprocess.Popen(command, env=environment, stdout=out, stderr=out, text=True)


def children_of(pid: int) -> list[int]:
    """List the processes that a process started and that count: multiprocessing also has one that tracks."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and "resource_tracker" not in words:
            found.append(int(path.name))
    return found


def wait_for_children(pid: int, seconds: float) -> list[int]:
    """Wait until workers are there and have been at work for a while."""
    deadline = time.monotonic() + 60
    while not children_of(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(seconds)
    return children_of(pid)


def is_alive(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def measure(store: Path, folder: Path, rounds: int) -> None:
    """Time both ways in turn."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS if number % 2 else WAYS[::-1]:
            process = start(script(folder, way, GUARDED), store, folder / f"cache-{way}-{number}")
            said, errors = process.communicate()
            if process.returncode:
                raise SystemExit(errors)
            found[way].append(json.loads(said))
    for key in ("seconds", "cpu", "here_mb", "beside_mb"):
        own, pool = (statistics.median(one[key] for one in found[way]) for way in WAYS)
        print(f"{key}: own {own:.1f}, pool {pool:.1f}, ratio {pool / own:.2f}")
    ratios = [pool["seconds"] / own["seconds"] for own, pool in zip(found["own"], found["pool"], strict=True)]
    print(f"ratio of seconds by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    results = {one["found"] for way in WAYS for one in found[way]}
    counted = {one["counted"] for way in WAYS for one in found[way]}
    print(f"different results: {len(results)}; counted: {counted}", flush=True)


def harm(store: Path, folder: Path, way: str) -> None:
    """Kill a worker; run without the guard; kill who asked."""
    process = start(script(folder, way, GUARDED), store, folder / f"cache-{way}-broken")
    victims = wait_for_children(process.pid, 1.5)
    os.kill(victims[0], signal.SIGKILL)
    said, _ = process.communicate()
    result = json.loads(said)["found"][:8] if said else None
    print(f"{way}: a worker killed: exit {process.returncode}, result {result}", flush=True)

    process = start(script(folder, way, UNGUARDED), store, folder / f"cache-{way}-bare")
    said, errors = process.communicate()
    n_runs, n_lines = said.count("the script runs"), len(errors.splitlines())
    print(f"{way}: no guard: exit {process.returncode}, ran {n_runs} times, {n_lines} lines on stderr", flush=True)

    process = start(script(folder, way, GUARDED), store, folder / f"cache-{way}-orphans", subprocess.DEVNULL)
    workers = wait_for_children(process.pid, 1.0)
    process.kill()
    process.wait()
    begun = time.monotonic()
    while any(map(is_alive, workers)) and time.monotonic() - begun < 30:
        time.sleep(0.1)
    left = [pid for pid in workers if is_alive(pid)]
    seconds = time.monotonic() - begun
    print(f"{way}: who asked was killed: {len(left)} of {len(workers)} still there after {seconds:.1f} s", flush=True)
    for pid in left:
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=120)
    parser.add_argument("--store", type=Path, help="an existing or new folder to make the submissions in, and keep")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = arguments.store or Path(temporary) / "store"
        write_store(store, arguments.submissions)
        time.sleep(2.5)  # files that were written just now are not kept
        measure(store, Path(temporary), arguments.rounds)
        for way in WAYS:
            harm(store, Path(temporary), way)


if __name__ == "__main__":
    main()
