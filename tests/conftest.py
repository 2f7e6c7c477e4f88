"""Tests run without network, telemetry or a key; sockets go to 127.0.0.1 only."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_XET="1",
    GRADIO_ANALYTICS_ENABLED="False",
    VLSBENCH_CACHE_DIR=tempfile.mkdtemp(prefix="vlsbench-test-cache-"),
)
atexit.register(shutil.rmtree, os.environ["VLSBENCH_CACHE_DIR"], ignore_errors=True)
os.environ.pop("OPENAI_API_KEY", None)
os.environ.pop("OPENAI_BASE_URL", None)

_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: Any) -> Any:
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the tests do not leave this machine; tried {address!r}")
    return _connect(self, address)


@pytest.fixture(autouse=True)
def _sockets_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)


def _path_of(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).exists():
        pytest.skip(f"{variable} is not set: {what} are not part of this repository")
    return Path(value)


@pytest.fixture(scope="session")
def release_json() -> Path:
    """The official data.json."""
    return _path_of("VLSBENCH_RELEASE_JSON", "the official records")


@pytest.fixture(scope="session")
def labels_dir() -> Path:
    """The human-labelled responses."""
    return _path_of("VLSBENCH_LABELS_DIR", "the human-labelled responses")


class Folder:
    """Writes submissions for a test."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(
        self,
        lines: Iterable[Mapping[str, Any] | str | bytes],
        card: Mapping[str, Any] | str | None = None,
        name: str = "sub",
    ) -> Path:
        """Write one submission; a line is an object, or raw text or bytes."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        text = card if isinstance(card, str) else json.dumps({"model": "org/model"} if card is None else card)
        (folder / "submission.json").write_text(text, encoding="utf-8")
        raw = [
            line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
            for line in lines
        ]
        (folder / "responses.jsonl").write_bytes(b"".join(line + b"\n" for line in raw))
        return folder


@pytest.fixture
def submission(tmp_path: Path) -> Folder:
    """A writer of submissions below a temporary folder."""
    return Folder(tmp_path)
