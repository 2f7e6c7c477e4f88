"""A Ray cluster of two nodes, a stand-in endpoint and submissions, for tests of engines."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = "sk-not-to-be-found-9f3c"  # noqa: S105  # nobody takes it


class TwoNodes:
    """A cluster in processes of its own."""

    def __init__(self) -> None:
        # Ray's sockets have paths of at most 107 bytes, which pytest's folders exceed.
        self.folder = Path(tempfile.mkdtemp(prefix="vls-ray-"))
        self.environment = {
            **os.environ,
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OPENAI_API_KEY": SECRET,
            "OMP_NUM_THREADS": "1",
        }
        self._log = (self.folder / "cluster.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("two_nodes.py")],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, (self.folder / "cluster.log").read_text()

    def kill_second_node(self) -> None:
        """Kill the second node, as a power cut would."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "killed\n"

    def close(self) -> None:
        """Leave nothing behind."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    cluster = TwoNodes()
    try:
        yield cluster
    finally:
        cluster.close()


class StandIn:
    """`tests/generate/stand_in.py`: an endpoint that counts what is paid."""

    def __init__(self, file: Path, seconds: float) -> None:
        self._file = file
        script = ROOT / "tests" / "generate" / "stand_in.py"
        self._process = subprocess.Popen([sys.executable, script, file, str(seconds)])
        deadline = time.monotonic() + 30
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline, "the endpoint does not start"
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{file.read_text().split()[0]}/v1"

    def paid(self) -> list[str]:
        """Return a line for every question that was answered."""
        return self._file.read_text().splitlines()[1:]

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    endpoint = StandIn(tmp_path / "asked.txt", 0.15)
    try:
        yield endpoint
    finally:
        endpoint.close()
