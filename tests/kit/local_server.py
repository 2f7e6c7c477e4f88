"""`transformers serve` on this machine, for a tiny model."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TINY_MODELS = Path(__file__).parents[2] / "benchmarks" / "tiny_models.py"
_SERVE = (
    "import importlib.util, sys\n"
    "spec = importlib.util.spec_from_file_location('tiny_models', sys.argv.pop(1))\n"
    "module = importlib.util.module_from_spec(spec)\n"
    "spec.loader.exec_module(module)\n"
    "module.register_qwen2_vl_without_video()\n"
    "from transformers.cli.transformers import main\n"
    "main()\n"
)
"""`transformers serve`, after what lets Qwen2-VL load without torchvision."""


@contextmanager
def served_model(folder: Path, log: Path) -> Iterator[str]:
    """Serve a model until the block ends; skip where the server is not installed.

    Args:
        log: File for what the server says.

    Yields:
        The base URL.
    """
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("needs transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    model = ["serve", str(folder), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(TINY_MODELS), *model],
            stdout=file,
            stderr=file,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    try:
        _wait_until_healthy(process, port, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as reply:
                assert reply.status == 200
                return
        except OSError:
            time.sleep(0.2)
