"""The board of 1,000 stored submissions: built for the first time, again, and after one of them has changed.

    python benchmarks/board.py [--submissions 1000] [--store FOLDER] [--pages]

Every submission answers the whole release (2,241 answers of about 60 words, one verdict each with the judge's reply).
The models are related as real ones are: samples differ in difficulty, models in ability, families share habits, and a
few answers have no verdict. Each build is a process of its own, and reads a store that lies in the page cache; with
`--store`, submissions that are there already are taken as they are. Where other work shares the cores, the CPU time
says more than the time.

`--pages` serves that store instead and asks for what a reader's clicks ask for, by HTTP, from the same machine: once
while the submissions are still screened behind, once when nothing runs beside.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vlsbench.dataset.index import load_index
from vlsbench.files import sha256_hex
from vlsbench.records import LABELS, Rubric

sys.path.insert(0, str(Path(__file__).parent))
from end_to_end import FILLER, OPENINGS
from page_load import free_port, mebibytes, served

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
from vlsbench.board.lists import OVERALL, build_board, find_lists
from vlsbench.board.counted import open_projection
from vlsbench.store.local import list_submissions
from vlsbench.board.counted import _code_digest, _sign
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


class Click(NamedTuple):
    """What a reader does."""

    page: str
    what: str
    chosen: dict[str, Any]
    """What is chosen that the page does not begin with, by what a choice is called in an address."""


class Chooser(NamedTuple):
    """What a click on a page calls."""

    number: int
    firsts: dict[str, Any]
    """What the page begins with, by what a choice is called in an address."""


MODELS = [f"model-{number:04}" for number in (7, 300, 555, 940)]
FOUR = {"models": MODELS}
BESIDE = {"submission": MODELS[0], "beside": MODELS[1:]}
CLICKS = (
    Click("leaderboard", "as it opens", {}),
    Click("leaderboard", "category", {"category": "Privacy"}),
    Click("leaderboard", "sub-category, first reader", {"category": "Illegal Activity", "sub": "Cybercrime"}),
    Click("leaderboard", "sub-category", {"category": "Illegal Activity", "sub": "Cybercrime"}),
    Click("leaderboard", "search", {"q": "family-7/"}),
    Click("leaderboard", "sort", {"sort": "refusal"}),
    Click("leaderboard", "columns", {"columns": ["Safe %", "Rubric", "Coverage %"]}),
    Click("leaderboard", "100 rows", {"rows": "100"}),
    Click("leaderboard", "all rows", {"rows": "all"}),
    Click("categories", "as it opens", {}),
    Click("categories", "sub-category, first reader", {"category": "Erotic", "sub": "Adult Content"}),
    Click("categories", "search", {"q": "family-7/"}),
    Click("compare", "2 models, first reader", {"models": MODELS[:2]}),
    Click("compare", "2 models", {"models": MODELS[:2]}),
    Click("compare", "4 models, first reader", FOUR),
    Click("compare", "4 models, Privacy", {**FOUR, "category": "Privacy"}),
    Click("samples", "first reader", {"submission": MODELS[0]}),
    Click("samples", "3 beside, first reader", BESIDE),
    Click("samples", "words", {**BESIDE, "q": "plan"}),
    Click("alignment", "as it opens", {}),
    Click("submit", "queue, first reader", {}),
    Click("submit", "queue", {}),
)


def serve_pages(store: Path, cache: Path, name: str) -> None:
    """Serve a store as `vlsbench serve` does; print how long it took to answer, and how it was while it screened."""
    print(f"{name}:", flush=True)
    os.environ["VLSBENCH_CACHE_DIR"] = str(cache)
    port, start = free_port(), time.perf_counter()
    with served(f"from vlsbench.serve import serve; serve({str(store)!r}, port={port})", port) as (url, pid):
        print(f"    board and app: {time.perf_counter() - start:.2f} s", flush=True)
        configuration = json.loads(_exchange(url, "GET", "/config")[1])
        choosers = _choosers(configuration["dependencies"])
        models = "&models=" + "~".join(MODELS)
        for path in ("/", "/", "/?category=Privacy", f"/?model={MODELS[1]}", f"/?tab=compare{models}", "/config"):
            seconds, body = _exchange(url, "GET", path)
            packed = len(gzip.compress(body, 6))
            print(f"    {path}: {1000 * seconds:.0f} ms, {len(body) / 1e6:.2f} MB, {packed / 1e6:.2f} MB packed")
        for click in CLICKS:
            seconds, size = _click(url, choosers, click)
            print(f"    {click.page}, {click.what}: {1000 * seconds:.0f} ms, {size / 1e6:.2f} MB", flush=True)
        slowest, n_clicks, start = 0.0, 0, time.perf_counter()
        while _is_screening(url):
            for click in (CLICKS[0], CLICKS[4], CLICKS[13]):
                slowest = max(slowest, _click(url, choosers, click)[0])
                n_clicks += 1
            time.sleep(1)
        if n_clicks:
            seconds = time.perf_counter() - start
            print(f"    screening went on for {seconds:.0f} s; slowest of {n_clicks} clicks: {1000 * slowest:.0f} ms")
        print(f"    {mebibytes(pid):.0f} MiB at the end")


def _choosers(dependencies: Sequence[Any]) -> dict[str, Chooser]:
    """Find what the choosers of each page call; the script of each names its page, its choices and their firsts."""
    found: dict[str, Chooser] = {}
    for dependency in dependencies:
        if match := re.search(r"vls(?:Choose|Picked)\((\".*), values\)", str(dependency["js"])):
            name, keys, firsts, _ = json.loads(f"[{match[1]}]")
            found.setdefault(name, Chooser(dependency["id"], dict(zip(keys, firsts, strict=True))))
    return found


def _click(url: str, choosers: dict[str, Chooser], click: Click) -> tuple[float, int]:
    """Make a click; seconds and bytes of the answer."""
    chooser = choosers[click.page]
    values = {**chooser.firsts, **click.chosen}
    asked = {"fn_index": chooser.number, "data": list(values.values()), "session_hash": "benchmark"}
    seconds, body = _exchange(url, "POST", "/gradio_api/run/predict", json.dumps(asked))
    return seconds, len(body)


def _is_screening(url: str) -> bool:
    """Say whether a row of the board is not screened."""
    asked = json.dumps({"data": ["Overall", "image+text", ""]})
    event = json.loads(_exchange(url, "POST", "/gradio_api/call/table", asked)[1])["event_id"]
    return b"not screened" in _exchange(url, "GET", f"/gradio_api/call/table/{event}")[1]


def _exchange(url: str, method: str, path: str, body: str | None = None) -> tuple[float, bytes]:
    """Ask; how long the answer took, and the answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=120)
    start = time.perf_counter()
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - start
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{method} {path}: {answer.status} {content[:200]!r}")
    return seconds, content


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--store", type=Path, help="an existing or new folder to make the submissions in, and keep")
    parser.add_argument("--pages", action="store_true", help="measure the pages instead of the builds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = arguments.store or Path(temporary) / "store"
        cache = Path(temporary) / "cache"
        write_store(store, arguments.submissions)
        time.sleep(2.5)  # files that were written just now are not kept
        if arguments.pages:
            serve_pages(store, cache, "pages, on a store that was never read")
            serve_pages(store, cache, "pages, again")
            return
        build(store, cache, "first build")
        (size,) = [path.stat().st_size for path in cache.glob("*.sqlite3")]
        print(f"    the file: {size / 1e6:.0f} MB")
        build(store, cache, "again")
        path = next((store / "model-0000" / "verdicts").glob("*.jsonl"))
        path.write_bytes(path.read_bytes())
        build(store, cache, "one changed")


if __name__ == "__main__":
    main()
