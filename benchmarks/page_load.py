"""Fifty readers at once for a minute, and what one reader's browser goes through.

    python benchmarks/page_load.py [--store STORE] [--users 50] [--seconds 60]
    python benchmarks/page_load.py --browser [--store STORE] [--rounds 3]

Each of the fifty opens the page, asks for the configuration and for one list by the API, waits a little and begins
again: no request fails, and the server's memory stays where it is. Memory is read after a warm-up of a quarter of the
time and at the end.

With `--browser` (Chromium by playwright) pages of the board are opened beside an empty page of gradio's, in turn, each
time in a browser without a cache: when the answer is painted and what was loaded before, when the page can be used, its
long tasks, and how much it jumps. Times depend on the machine and what else it does; the ratios to the empty page less.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["LoadReport", "Opening", "browse", "free_port", "main", "measure", "mebibytes", "served"]


class LoadReport(NamedTuple):
    """What was seen."""

    n_requests: int
    errors: tuple[str, ...]
    """Answers other than 200 and connections that broke; the first 20."""
    median_seconds: float
    p95_seconds: float
    mebibytes_warm: float
    """Resident memory of the server after the warm-up."""
    mebibytes_end: float


class _Readers:
    """Readers that run until they are told to stop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.is_over = threading.Event()
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self._lock = threading.Lock()

    def read(self, seed: int) -> None:
        """Be one reader."""
        order = random.Random(seed)
        while not self.is_over.is_set():
            for method, path in (("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/call/table")):
                self._ask(method, path)
            self.is_over.wait(order.uniform(0.5, 1.5))

    def _ask(self, method: str, path: str) -> None:
        begun = time.monotonic()
        try:
            body = self._exchange(method, path)
            if path.endswith("/table"):
                event = json.loads(body)["event_id"]
                body = self._exchange("GET", f"{path}/{event}")
                if b"event: complete" not in body:
                    raise ValueError(f"the API answered {body[:80]!r}")  # noqa: TRY301
        except (OSError, http.client.HTTPException, ValueError) as error:
            with self._lock:
                self.errors.append(f"{method} {path}: {type(error).__name__} {error}")
            return
        with self._lock:
            self.seconds.append(time.monotonic() - begun)

    def _exchange(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = b'{"data": ["Overall", "image+text", ""]}' if method == "POST" else None
            connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise ValueError(f"status {answer.status}: {body[:80]!r}")
            return body
        finally:
            connection.close()


def measure(store: Path, *, n_users: int, seconds: float) -> LoadReport:
    """Serve a store in a process of its own and let readers at it."""
    port = free_port()
    code = f"from vlsbench.serve import serve; serve({str(store)!r}, port={port})"
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    readers = _Readers(port)
    threads = [threading.Thread(target=readers.read, args=(seed,), daemon=True) for seed in range(n_users)]
    try:
        if server.stdout is None or f":{port}" not in server.stdout.readline():
            raise SystemExit("the server did not start")
        for thread in threads:
            thread.start()
        time.sleep(seconds / 4)
        warm = mebibytes(server.pid)
        time.sleep(seconds * 3 / 4)
        readers.is_over.set()
        for thread in threads:
            thread.join(timeout=90)
        end = mebibytes(server.pid)
    finally:
        readers.is_over.set()
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    ordered = sorted(readers.seconds) or [float("nan")]
    return LoadReport(
        n_requests=len(readers.seconds),
        errors=tuple(readers.errors[:20]),
        median_seconds=statistics.median(ordered),
        p95_seconds=ordered[int(0.95 * (len(ordered) - 1))],
        mebibytes_warm=warm,
        mebibytes_end=end,
    )


def mebibytes(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Opening(NamedTuple):
    """What a browser went through until a page could be used."""

    painted: float
    """Seconds until the answer is painted."""
    kilobytes_before: float
    """What had come by then, as it was sent."""
    usable: float
    """Seconds until gradio shows the same."""
    n_requests: float
    kilobytes: float
    long_tasks: float
    """Seconds of tasks that hold the page up for more than 50 ms."""
    shift: float
    """Cumulative layout shift."""


_OBSERVE = """
window.seen = { long: 0, shift: 0 };
const note = (type, add) => {
  new PerformanceObserver((list) => list.getEntries().forEach(add)).observe({ type, buffered: true });
};
note("longtask", (entry) => { seen.long += entry.duration; });
note("layout-shift", (entry) => { seen.shift += entry.value; });
new MutationObserver(() => {
  const isThere = document.querySelector(".gradio-container [role=tab], .gradio-container .vls-empty-mark");
  const isHidden = document.documentElement.classList.contains("vls-opening");
  if (isThere && !isHidden && !document.getElementById("vls-first")) seen.usable ??= performance.now();
}).observe(document, { childList: true, subtree: true, attributes: true });
"""
_READ = """() => {
  const first = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  const page = performance.getEntriesByType("navigation")[0];
  const all = [page, ...performance.getEntriesByType("resource")];
  const sum = (list) => list.reduce((total, entry) => total + entry.transferSize, 0) / 1000;
  const before = all.filter((entry) => entry === page || entry.responseEnd <= first);
  return [first / 1000, sum(before), (seen.usable ?? NaN) / 1000, all.length, sum(all), seen.long / 1000, seen.shift];
}"""
_EMPTY = """
import gradio as gr
with gr.Blocks(analytics_enabled=False) as app:
    gr.HTML("<p class='vls-empty-mark'>empty</p>")
theme = gr.themes.Default(font=["sans-serif"], font_mono=["monospace"])
app.launch(server_port={port}, quiet=False, theme=theme, ssr_mode=False)
"""


def _open(browser: Any, url: str) -> Opening:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    try:
        page = context.new_page()
        page.add_init_script(_OBSERVE)
        page.goto(url)
        page.wait_for_function("seen.usable !== undefined", timeout=120_000)
        page.wait_for_timeout(2_000)
        return Opening(*page.evaluate(_READ))
    finally:
        context.close()


def _steps(browser: Any, url: str, models: Sequence[str]) -> dict[str, float]:
    """Compare four models, then open a sample of them; seconds of each."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        begun = time.monotonic()
        page.goto(f"{url}?tab=compare&models={'~'.join(models)}")
        link = page.locator("a[href*='tab=samples']").first
        link.wait_for(state="attached", timeout=120_000)
        page.locator("#vls-first").wait_for(state="detached", timeout=120_000)
        found = {"Compare of four": time.monotonic() - begun}
        page.evaluate("window.isSame = true")
        begun = time.monotonic()
        link.evaluate("(element) => element.click()")
        page.get_by_text("your choice").filter(visible=True).first.wait_for(timeout=120_000)
        found["a sample of it"] = time.monotonic() - begun
        if not page.evaluate("window.isSame === true"):
            raise SystemExit("the app was loaded again")
        return found
    finally:
        context.close()


@contextmanager
def served(code: str, port: int) -> Iterator[tuple[str, int]]:
    """Serve in a process of its own; its address and its number."""
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        if server.stdout is None or not any(f":{port}" in line for line in server.stdout):
            raise SystemExit("the server did not start")
        yield f"http://127.0.0.1:{port}/", server.pid
    finally:
        server.terminate()
        server.communicate(timeout=30)


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def browse(store: Path, *, rounds: int) -> None:
    """Open pages in a browser, and print medians and their ratios to an empty page of gradio's."""
    from playwright.sync_api import sync_playwright

    from vlsbench.board.lists import OVERALL, build_board

    lists = sorted(build_board(store).of_scope(OVERALL), key=lambda item: len(item.rows))
    models = [row.submission for row in lists[-1].rows[:4]] if lists else []
    ports = free_port(), free_port()
    serve = f"from vlsbench.serve import serve; serve({str(store)!r}, port={ports[0]})"
    with (
        served(serve, ports[0]) as (board, _),
        served(_EMPTY.format(port=ports[1]), ports[1]) as (empty, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        urls = {"empty gradio": empty, "Leaderboard": board, "a deep link": f"{board}?tab=about"}
        if len(models) > 1:
            urls["Compare"] = f"{board}?tab=compare&models={'~'.join(models)}"
        found: dict[str, list[Opening]] = {name: [] for name in urls}
        for _ in range(rounds):
            for name, url in urls.items():
                found[name].append(_open(browser, url))
        least = Opening(*map(statistics.median, zip(*found["empty gradio"], strict=True)))
        print(f"{'page':14}" + "".join(f"{field:>24}" for field in Opening._fields))
        for name, seen in found.items():
            middle = Opening(*map(statistics.median, zip(*seen, strict=True)))
            cells = [f"{a:.2f} ({a / b:.1f} x)" if b else f"{a:.3f}" for a, b in zip(middle, least, strict=True)]
            print(f"{name:14}" + "".join(f"{cell:>24}" for cell in cells))
        if len(models) > 1:
            steps = [_steps(browser, board, models) for _ in range(rounds)]
            for name in steps[0]:
                seconds = statistics.median(step[name] for step in steps)
                print(f"{name}: {seconds:.2f} s, {seconds / least.usable:.1f} x an empty page of gradio's")
        browser.close()


def main() -> None:
    """Measure and print; exit 1 where a request failed."""
    from vlsbench.store.local import default_store

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=default_store())
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.browser:
        browse(args.store, rounds=args.rounds)
        return
    report = measure(args.store, n_users=args.users, seconds=args.seconds)
    print(f"{args.users} readers for {args.seconds:.0f} s: {report.n_requests} requests, {len(report.errors)} errors")
    print(f"median {report.median_seconds:.2f} s, 95% within {report.p95_seconds:.2f} s")
    print(f"memory {report.mebibytes_warm:.0f} MiB after the warm-up, {report.mebibytes_end:.0f} MiB at the end")
    for error in report.errors:
        print(error, file=sys.stderr)
    sys.exit(bool(report.errors))


if __name__ == "__main__":
    main()
