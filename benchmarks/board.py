"""The board of 1,000 stored submissions: built for the first time, again, and after one of them has changed.

    python benchmarks/board.py [--submissions 1000] [--store FOLDER]

Every submission answers the whole release (2,241 answers of about 60 words, one verdict each with the judge's reply).
The models are related as real ones are: samples differ in difficulty, models in ability, families share habits, and a
few answers have no verdict. Each build is a process of its own, and reads a store that lies in the page cache; with
`--store`, submissions that are there already are taken as they are. Where other work shares the cores, the CPU time
says more than the time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np

from vlsbench.dataset.index import load_index
from vlsbench.files import sha256_hex
from vlsbench.records import LABELS, Rubric

sys.path.insert(0, str(Path(__file__).parent))
from end_to_end import FILLER, OPENINGS

RUBRIC = Rubric(judge="openai:judge-2026-01-01", protocol="v1", evidence=("image", "instruction", "response"))
OPENING_OF = {"refusal": OPENINGS[0], "warning": OPENINGS[1], "unsafe": OPENINGS[2]}
N_FAMILIES = 40
WORDS = ["".join(pair) for pair in product("bdfgklmnprstvz", "aeiou", "lmnrst", ("", "a", "e", "o"))]


def write_stored(store: Path, number: int) -> None:
    """Write one judged submission."""
    rows = load_index("release").rows
    images = np.array([row.image for row in rows])
    _, cluster = np.unique(images, return_inverse=True)
    difficulty = np.random.default_rng(0).normal(0, 1.2, cluster.max() + 1)[cluster]
    habit = np.random.default_rng(1 + number % N_FAMILIES).normal(0, 0.8, len(rows))
    own = np.random.default_rng(10_000 + number)
    ability = own.normal(-0.6, 1.0)
    is_safe = ability + difficulty + habit + own.logistic(0, 0.7, len(rows)) > 0
    share_of_refusals = own.uniform(0.1, 0.7)
    is_refusal = own.random(len(rows)) < share_of_refusals
    is_unjudged = own.random(len(rows)) < own.uniform(0, 0.02)
    rng = random.Random(number)
    folder = store / f"model-{number:04}"
    (folder / "verdicts").mkdir(parents=True)
    card = {"model": f"family-{number % N_FAMILIES}/model-{number}", "settings": {"max_new_tokens": 128}}
    (folder / "submission.json").write_text(json.dumps(card))
    said, decided = [], []
    for row, safe, refused, unjudged in zip(rows, is_safe, is_refusal, is_unjudged, strict=True):
        label = LABELS[0 if safe and refused else 1 if safe else 2]
        own_words = " ".join(rng.choices(WORDS, k=25))
        text = f"{OPENING_OF[label]} {rng.choice(FILLER)} {rng.choice(FILLER)} {own_words}."
        said.append({"instruction_id": row.instruction_id, "response": text, "finish_reason": "length"})
        verdict = {
            "instruction_id": row.instruction_id,
            **({"failure": "judge_unparsable"} if unjudged else {"label": label}),
            "rubric": RUBRIC.rubric_id,
            "raw": json.dumps({"label": label, "explanation": rng.choice(FILLER)}),
            "explanation": rng.choice(FILLER),
            "judge_model": "judge-2026-01-01",
            "response_sha256": sha256_hex(text),
        }
        decided.append(verdict)
    (folder / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    path = folder / "verdicts" / f"{RUBRIC.rubric_id}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in decided))
    path.with_suffix(".rubric.json").write_text(RUBRIC.model_dump_json())


def write_store(store: Path, n_submissions: int) -> None:
    """Write the submissions that are not there yet, on every core."""
    missing = [n for n in range(n_submissions) if not (store / f"model-{n:04}").is_dir()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_stored, [store] * len(missing), missing, chunksize=8))


BUILD = """
import json, os, resource, sys, time
from vlsbench.submission.board import OVERALL, build_board, find_lists
from vlsbench.submission.projection import open_projection
from vlsbench.submission.store import list_submissions
from vlsbench.submission.projection import _code_digest, _sign
from pathlib import Path
import numpy, scipy.stats

parts = {}

def timed(name, action):
    start = time.perf_counter()
    result = action()
    parts[name] = time.perf_counter() - start
    return result

store = Path(sys.argv[1])
_code_digest()
projection = timed("projection", lambda: open_projection(store))
board = timed("board", lambda: build_board(store, projection=projection))
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
parts["CPU of all processes, imports too"] = sum(usage.ru_utime + usage.ru_stime for usage in used)
parts["counted"] = projection.n_counted
timed("of it: listing and signatures", lambda: [_sign(item.directory) for item in list_submissions(store)])
timed("of it: list of all categories", lambda: find_lists(projection.view(), OVERALL))
timed("list of a sub-category", lambda: find_lists(projection.view(), "Cybercrime"))
timed("refresh of an open projection", projection.refresh)
parts["rows"] = len(board.of_scope(OVERALL)[0].rows)
peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
parts["MB at most, here"], parts["MB at most, a process beside"] = peaks
print(json.dumps(parts))
"""


def build(store: Path, cache: Path, name: str) -> None:
    """Build the board in a process of its own and print its figures."""
    environment = {**os.environ, "VLSBENCH_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(store)], env=environment, capture_output=True, text=True, check=True
    )
    parts = json.loads(done.stdout)
    n_rows, n_counted = parts.pop("rows"), parts.pop("counted")
    seconds = parts.pop("projection") + parts.pop("board")
    print(f"{name}: {seconds:.2f} s, {n_counted} of {n_rows} counted", flush=True)
    for part, value in parts.items():
        print(f"    {part}: {value:.3f} s" if "MB" not in part else f"    {part}: {value:.0f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--store", type=Path, help="an existing or new folder to make the submissions in, and keep")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = arguments.store or Path(temporary) / "store"
        cache = Path(temporary) / "cache"
        write_store(store, arguments.submissions)
        time.sleep(2.5)  # files that were written just now are not kept
        build(store, cache, "first build")
        (size,) = [path.stat().st_size for path in cache.glob("*.sqlite3")]
        print(f"    the file: {size / 1e6:.0f} MB")
        build(store, cache, "again")
        path = next((store / "model-0000" / "verdicts").glob("*.jsonl"))
        path.write_bytes(path.read_bytes())
        build(store, cache, "one changed")


if __name__ == "__main__":
    main()
