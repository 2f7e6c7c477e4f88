"""Fifty readers at once for a minute: no request fails, and the server's memory stays where it is.

    python benchmarks/page_load.py [--store STORE] [--users 50] [--seconds 60]

Each reader opens the page, asks for the configuration and for one list by the API, waits a little and begins again.
Memory is read after a warm-up of a quarter of the time and at the end.
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
from pathlib import Path
from typing import NamedTuple

__all__ = ["LoadReport", "main", "measure"]


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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
        warm = _mebibytes(server.pid)
        time.sleep(seconds * 3 / 4)
        readers.is_over.set()
        for thread in threads:
            thread.join(timeout=90)
        end = _mebibytes(server.pid)
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


def _mebibytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print; exit 1 where a request failed."""
    from vlsbench.store.local import default_store

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=default_store())
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    report = measure(args.store, n_users=args.users, seconds=args.seconds)
    print(f"{args.users} readers for {args.seconds:.0f} s: {report.n_requests} requests, {len(report.errors)} errors")
    print(f"median {report.median_seconds:.2f} s, 95% within {report.p95_seconds:.2f} s")
    print(f"memory {report.mebibytes_warm:.0f} MiB after the warm-up, {report.mebibytes_end:.0f} MiB at the end")
    for error in report.errors:
        print(error, file=sys.stderr)
    sys.exit(bool(report.errors))


if __name__ == "__main__":
    main()
