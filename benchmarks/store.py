"""Many writers on one store, and workers that are killed: nothing may be lost, nothing may be there twice.

    python benchmarks/store.py [--submissions 40] [--writers 8] [--workers 2] [--kills 30] [--seed 0]

Writers submit at the same time, each its share of `--submissions` full submissions (2,241 answers) and all of them the
same four. Then workers run on the store and are killed (SIGKILL) at random moments, `--kills` times, some of them two
at a time; then they run to the end. Exits 1 where a submission, an event or a verdict is missing or there twice.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from vlsbench.store.history import fold, read_history
from vlsbench.store.local import content_id, list_submissions, shown_submissions, tampered

sys.path.insert(0, str(Path(__file__).parent))
from end_to_end import write_submission

N_SAME = 4
EVENTS = ("received", "checked", "judged", "scored", "published")

SUBMIT = """
import sys
from pathlib import Path
from vlsbench.store.intake import submit
from vlsbench.store.local import LocalStore
for folder in sys.argv[2:]:
    receipt = submit(folder, LocalStore(Path(sys.argv[1])), name="writer")
    print(receipt.submission_id, int(receipt.is_new))
"""
WORK = """
import sys
from pathlib import Path
from vlsbench.store.local import LocalStore
from vlsbench.store.worker import Worker
print("ready", flush=True)
report = Worker(LocalStore(Path(sys.argv[1])), name="worker").work()
print(len(report.of("published")), len(report.of("held")))
sys.exit(0 if report.is_good else 1)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process of its own."""
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def finish(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for processes that must end well; return what they printed."""
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"a process ended with {[process.returncode for process in processes]}")
    return said


def submit_all(store: Path, sources: Path, n: int, n_writers: int) -> float:
    """Submit from several processes at once; return the seconds."""
    template = sources / "template"
    write_submission(template)
    folders = []
    for number in range(n):
        folder = sources / f"model-{number}"
        folder.mkdir()
        (folder / "submission.json").write_text(json.dumps({"model": f"model-{number}"}))
        shutil.copy(template / "responses.jsonl", folder)
        folders.append(str(folder))
    same, own = folders[:N_SAME], folders[N_SAME:]
    began = time.perf_counter()
    said = finish([start(SUBMIT, str(store), *same, *own[i::n_writers]) for i in range(n_writers)])
    seconds = time.perf_counter() - began
    receipts = [line.split() for text in said for line in text.splitlines()]
    check(len({name for name, _ in receipts}) == n, "every submission has a receipt")
    check(sum(int(is_new) for _, is_new in receipts) == n, "and was new to exactly one writer")
    return seconds


def kill_workers(store: Path, n_kills: int, rng: random.Random) -> Counter[str]:
    """Start workers and kill them at random moments; return in which states that left the submissions."""
    left: Counter[str] = Counter()
    killed = 0
    while killed < n_kills:
        workers = [start(WORK, str(store)) for _ in range(rng.choice((1, 2)))]
        for worker in workers:
            assert worker.stdout is not None  # noqa: S101
            worker.stdout.readline()
        time.sleep(rng.uniform(0.2, 2.0))
        for worker in workers:
            killed += worker.poll() is None
            worker.kill()
            worker.communicate()
        states = Counter(fold(read_history(item.directory)).state for item in list_submissions(store))
        left.update({state: n for state, n in states.items() if state in EVENTS[1:-1]})
        if states["published"] == states.total():
            break
    print(f"killed {killed} workers; then {dict(states)}")
    return left


def check(is_good: bool, what: str) -> None:
    """End where a fact does not hold."""
    if not is_good:
        sys.exit(f"NOT SO: {what}")
    print(f"holds: {what}")


def check_store(store: Path, n: int) -> None:
    """Look at every submission, event and verdict."""
    items = list_submissions(store)
    check(len(items) == n, f"{n} submissions are there, no more")
    check(
        all(content_id(item.directory) == item.submission_id for item in items), "their content is what was submitted"
    )
    events = Counter(
        tuple(sorted(Counter(entry.event.state for entry in read_history(item.directory)).items())) for item in items
    )
    check(set(events) == {tuple(sorted(dict.fromkeys(EVENTS, 1).items()))}, "each has each of five events once")
    n_verdicts = n_keys = 0
    for item in items:
        for path in (item.directory / "verdicts").glob("*.jsonl"):
            lines = path.read_text(encoding="utf-8").splitlines()
            n_verdicts += len(lines)
            n_keys += len({json.loads(line)["instruction_id"] for line in lines})
    check(n_verdicts == n_keys == n * 2241, f"{n_verdicts:,} verdicts are there, each once")
    shown = shown_submissions(store).submissions
    bad = [
        reason
        for item in shown
        for rubric, digest in (item.verdicts_sha256 or {}).items()
        if (reason := tampered(item.directory, rubric, digest))
    ]
    check(len(shown) == n and not bad, "all are shown, and every verdict file is the one that was judged")
    check(not any((store / ".work").iterdir()), "no workplace is left")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=40)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as temporary:
        store, sources = Path(temporary) / "store", Path(temporary) / "sources"
        sources.mkdir()
        seconds = submit_all(store, sources, chosen.submissions, chosen.writers)
        print(f"{chosen.writers} writers, {chosen.submissions} submissions, {seconds:.1f} s")
        left = kill_workers(store, chosen.kills, rng)
        print(f"submissions that a kill left half done: {dict(left)}")
        began = time.perf_counter()
        finish([start(WORK, str(store)) for _ in range(chosen.workers)])
        finish([start(WORK, str(store))])
        print(f"{chosen.workers} workers to the end: {time.perf_counter() - began:.1f} s")
        check_store(store, chosen.submissions)


if __name__ == "__main__":
    main()
