"""What does a broken endpoint, or a killed run, do to the verdicts? Nothing that is not named, and nothing is lost.

    python benchmarks/judge_faults.py [--n 500] [--share 0.3] [--kills 100]

Two measurements, each of which ends with an error where a promise is broken:

faults   `--n` responses judged at an endpoint of which `--share` of all replies are faults (`faulty_endpoint.FAULTS`),
         then the same command again until nothing transient is left. Every response ends with a label or a named
         failure; all are unsafe, so a label that says otherwise was made by an error.
kills    `vlsbench judge` is killed (SIGKILL) at `--kills` random moments and started again. The verdicts are complete,
         none is there twice, and no response whose verdict was on disk when a run was killed is ever asked again: what
         is paid twice was under way, or finished in the last milliseconds. Canaries are paid in every run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from faulty_endpoint import CONTENT_FAULTS, FAULTS, endpoint, read_stats  # noqa: E402

from vlsbench.dataset.index import load_index  # noqa: E402  # the checkout, installed or not
from vlsbench.dataset.source import open_source  # noqa: E402
from vlsbench.errors import JudgeError  # noqa: E402
from vlsbench.judge.model import ModelJudge  # noqa: E402
from vlsbench.judge.paid import run_paid  # noqa: E402
from vlsbench.judge.verdicts import list_rubrics, read_verdicts  # noqa: E402
from vlsbench.records import TRANSIENT_FAILURES, Response, Verdict  # noqa: E402
from vlsbench.submission.check import open_submission  # noqa: E402

_MAX_RERUNS = 20


class BrokenPromiseError(Exception):
    """A verdict is missing, wrong or there twice."""


def make_responses(n: int) -> list[Response]:
    """Make `n` different responses to the packaged sample, under as many conditions as that takes."""
    ids = [row.instruction_id for row in load_index("sample").rows if row.risk == "risky"]
    conditions = ["image+text", *(f"safety-prompt:{i:08x}" for i in range(n // len(ids)))]
    pairs = [(i, condition) for condition in conditions for i in ids][:n]
    return [
        Response(instruction_id=i, condition=condition, response=f"Certainly. Do it like this. [#{number}]")
        for number, (i, condition) in enumerate(pairs)
    ]


def write_submission(folder: Path, n: int) -> Path:
    """Write a submission of `n` responses."""
    folder.mkdir(parents=True)
    (folder / "submission.json").write_text('{"model": "stand-in/model"}', encoding="utf-8")
    lines = [response.model_dump_json(exclude_defaults=True) for response in make_responses(n)]
    (folder / "responses.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def check_complete(verdicts: list[Verdict], n: int) -> None:
    """Raise BrokenPromiseError unless every response has one decided verdict and no label is safe."""
    decided = [v for v in verdicts if v.failure not in TRANSIENT_FAILURES]
    keys = Counter((v.instruction_id, v.condition) for v in decided)
    if len(keys) != n or set(keys.values()) != {1}:
        twice = [key for key, count in keys.items() if count > 1]
        raise BrokenPromiseError(f"{len(keys)} of {n} responses are decided, {len(twice)} of them twice")
    if wrong := [v for v in verdicts if v.label not in ("unsafe", None)]:
        raise BrokenPromiseError(f"{len(wrong)} labels are safe by error; first: {wrong[0]}")


class Faulty(NamedTuple):
    """What came of a run at a faulty endpoint."""

    n_reruns: int
    seconds: float
    first: Counter[str]
    """Verdicts after the first run, by label or failure."""
    last: Counter[str]
    faults: Counter[str]
    n_paid_more_than_once: int


def measure_faults(folder: Path, n: int, share: float, *, concurrency: int = 64) -> Faulty:
    """Judge at a faulty endpoint until nothing transient is left.

    Raises:
        BrokenPromiseError: If a response is not decided, decided twice, or safe by error.
    """
    directory = write_submission(folder, n)
    responses = open_submission(directory).responses
    counts: list[Counter[str]] = []
    started = time.perf_counter()
    with endpoint(share=share, latency_seconds=0.01) as url, open_source(None, name="sample") as source:
        for _ in range(_MAX_RERUNS):
            judge = ModelJudge(
                "m",
                source=source,
                base_url=url,
                concurrency=concurrency,
                timeout_seconds=1.0,
                deadline_seconds=60.0,
            )
            report = run_paid(directory, responses, judge)
            counts.append(Counter(report.counts))
            if not report.n_transient:
                break
        stats = read_stats(url)
    seconds = time.perf_counter() - started
    verdicts = read_verdicts(report.path)
    check_complete(verdicts, n)
    if missing := set(FAULTS) - set(stats.faults):
        print(f"note: {len(missing)} kinds of fault did not come up: {', '.join(sorted(missing))}", file=sys.stderr)
    content = stats.faults["filter by status"] + sum(stats.faults[name] for name in CONTENT_FAULTS)
    n_unlabelled = sum(count for name, count in counts[-1].items() if name != "unsafe")
    if n_unlabelled > content:
        raise BrokenPromiseError(f"{n_unlabelled} responses have no label, {content} replies were none")
    twice = sum(count > 1 for question, count in stats.paid.items() if question != "canary")
    return Faulty(len(counts) - 1, seconds, counts[0], counts[-1], stats.faults, twice)


class Killed(NamedTuple):
    """What came of runs that were killed."""

    n_kills: int
    n_finished: int
    """Runs that ended before their moment came."""
    n_submissions: int
    n_responses: int
    n_paid: int
    n_paid_again: int
    """Replies paid more than once, canaries aside."""
    most_paid_again: int
    """Of one kill."""
    n_canaries: int


def command(directory: Path, url: str, concurrency: int) -> list[str]:
    """The command that is killed."""
    options = ["--judge", "openai:m", "--base-url", url, "--concurrency", str(concurrency)]
    return [sys.executable, "-m", "vlsbench", "judge", str(directory), *options]


def kill_once(directory: Path, url: str, n_before: int, wait: float, concurrency: int) -> bool:
    """Start a run and kill it `wait` seconds after it asked its first question; False where it ended before."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        command(directory, url, concurrency), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    while child.poll() is None and sum(read_stats(url).asked.values()) == n_before:
        time.sleep(0.01)
    try:
        child.wait(timeout=wait)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.communicate()
        return True
    _, said = child.communicate()
    if child.returncode:
        raise BrokenPromiseError(f"a run ended by itself with {child.returncode}: {said.decode()[-500:]}")
    return False


def read_all(directory: Path) -> list[Verdict]:
    """Read the verdicts there are."""
    return [v for r in list_rubrics(directory) for v in read_verdicts(directory / "verdicts" / f"{r}.jsonl")]


def measure_kills(folder: Path, n: int, kills: int, *, concurrency: int = 8, seed: int = 0) -> Killed:
    """Kill runs at random moments; a submission that is complete is followed by a new one.

    Raises:
        BrokenPromiseError: If a verdict is missing, there twice, or was asked for although it was on disk.
    """
    rng = random.Random(seed)
    latency = 0.05
    longest = 1.2 * (latency * 3 + latency * n / concurrency)
    n_kills = n_finished = n_submissions = n_paid = n_again = most = n_canaries = 0
    while n_kills < kills:
        directory = write_submission(folder / str(n_submissions), n)
        numbers = {(r.instruction_id, r.condition): str(i) for i, r in enumerate(make_responses(n))}
        n_submissions += 1
        with endpoint(latency_seconds=latency) as url:
            while len(read_all(directory)) < n:
                before = read_stats(url)
                on_disk = {numbers[v.instruction_id, v.condition] for v in read_all(directory)}
                n_asked = sum(before.asked.values())
                was_killed = n_kills < kills and kill_once(
                    directory, url, n_asked, rng.uniform(0, longest), concurrency
                )
                if not was_killed and len(read_all(directory)) < n:
                    subprocess.run(command(directory, url, concurrency), check=True, capture_output=True, cwd=ROOT)
                n_kills += was_killed
                n_finished += not was_killed
                after = read_stats(url)
                if again := [question for question in on_disk if after.asked[question] > before.asked[question]]:
                    raise BrokenPromiseError(f"{len(again)} responses were asked again although they had a verdict")
                new = sum((after.paid - before.paid).values()) - after.paid["canary"] + before.paid["canary"]
                most = max(most, new - (len(read_all(directory)) - len(on_disk)))
            stats = read_stats(url)
        check_complete(read_all(directory), n)
        if most > 2 * concurrency:
            raise BrokenPromiseError(f"{most} replies were lost by one kill, {concurrency} were under way")
        n_canaries += stats.paid.pop("canary", 0)
        n_paid += sum(stats.paid.values())
        n_again += sum(count - 1 for count in stats.paid.values())
    return Killed(n_kills, n_finished, n_submissions, n_submissions * n, n_paid, n_again, most, n_canaries)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=500, help="responses at the faulty endpoint")
    parser.add_argument("--share", type=float, default=0.3, help="of replies that are faults")
    parser.add_argument("--kills", type=int, default=100, help="runs to kill; 0 leaves them out")
    parser.add_argument("--n-killed", type=int, default=200, help="responses of a submission whose runs are killed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            faulty = measure_faults(Path(temporary) / "faults", args.n, args.share)
            print(
                f"faults: {sum(faulty.faults.values())} of {len(faulty.faults)} kinds; {args.n} responses all decided "
                f"after {faulty.n_reruns} reruns, {faulty.seconds:.1f} s; none safe by error"
            )
            print(f"  after the first run: {json.dumps(faulty.first)}")
            print(f"  at the end:          {json.dumps(faulty.last)}")
            print(f"  answered and paid more than once: {faulty.n_paid_more_than_once}")
            if args.kills:
                killed = measure_kills(Path(temporary) / "kills", args.n_killed, args.kills)
                print(
                    f"kills: {killed.n_kills} runs killed, {killed.n_finished} ended first; {killed.n_responses} "
                    f"verdicts in {killed.n_submissions} submissions complete, none twice, none on disk asked again"
                )
                print(
                    f"  paid {killed.n_paid}, of them {killed.n_paid_again} again (at most {killed.most_paid_again} by "
                    f"one kill, 8 under way); canaries {killed.n_canaries}"
                )
        except (BrokenPromiseError, JudgeError) as error:
            sys.exit(f"broken: {error}")


if __name__ == "__main__":
    main()
