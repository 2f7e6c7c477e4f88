"""Tests run without network, telemetry or a key; sockets go to 127.0.0.1 only."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from effort import times
from forks import Forks, forks_of
from hypothesis import settings

# A worker beside others may be slow at any moment: no test fails by a deadline.
settings.register_profile("vlsbench", max_examples=times(100), deadline=None)
settings.load_profile("vlsbench")

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_XET="1",
    GRADIO_ANALYTICS_ENABLED="False",
    OMP_NUM_THREADS="1",  # matrices are small here: threads would wait for each other, busily, and for other workers'
    VLSBENCH_CACHE_DIR=tempfile.mkdtemp(prefix="vlsbench-test-cache-"),
)
atexit.register(shutil.rmtree, os.environ["VLSBENCH_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # right values are float32's; set it to run them on a GPU
os.environ.pop("OPENAI_API_KEY", None)
os.environ.pop("OPENAI_BASE_URL", None)

TOGETHER = {
    "two_nodes": "ray",
    "browser": "browser",
    "shared_address": "browser",
    "environment": "inspect",
    "with_inspect": "inspect",
    "tiny": "torch",
    "tiny_model": "torch",
    "align": "torch",
}
"""Fixtures and folders of what is dear to make or import, and the group of the modules that use it: made once.

Groups begin in this order, before all else: whatever takes a minute is not left to one worker at the end.
"""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Give each module, or the modules that share something dear, to one worker: the order of its tests may count."""
    groups: dict[Path, str] = {}
    for item in items:
        names = {*getattr(item, "fixturenames", ()), item.path.parent.name}
        used = [group for name, group in TOGETHER.items() if name in names]
        if used:
            groups.setdefault(item.path, used[0])
    order = list(dict.fromkeys(TOGETHER.values()))
    for item in items:
        group = groups.get(item.path, f"{item.path.parent.name}/{item.path.stem}")
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: order.index(groups[item.path]) if item.path in groups else len(order))
    yield
    # xdist 3.8 writes the group into an attribute that pytest 9.2 no longer reads; its scheduler knows only the name.
    for item in items:
        named = vars(item).get("_nodeid")
        if named is not None and named != item.nodeid:
            item._id = type(item._id).parse(named)


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


@pytest.fixture(scope="session")
def audit_dir() -> Path:
    """Texts of other benchmarks, one JSON Lines file each."""
    return _path_of("VLSBENCH_AUDIT_DIR", "the texts of other benchmarks")


INSPECT = (
    "inspect_ai._cli.main",
    "inspect_ai._control.server",
    "inspect_ai.agent._acp.server",
    "inspect_ai.log",
    "inspect_ai.model._providers.openai_compatible",
    "openai",
    "pyarrow.parquet",
)
"""What Inspect imports when it starts, and on its way to an answer."""


@pytest.fixture(scope="session")
def with_inspect() -> Iterator[Forks]:
    """Processes that have imported Inspect: it leaves streams open, and warnings are errors here."""
    if importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("needs the extra 'inspect'")
    with forks_of(*INSPECT) as forks:
        yield forks


@pytest.fixture(scope="session")
def inspect_logs(with_inspect: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Logs that Inspect itself wrote, by case and format: answers, a filter, a cut, a blank, an error and more."""
    wanted = ("mixed.eval", "mixed.json", "stopped.eval", "edited.eval", "edited.json", "numbered.eval", "later.eval")
    script = Path(__file__).parent / "fixtures" / "importers" / "write_inspect_log.py"
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    folder = tmp_path_factory.mktemp("inspect-logs")
    done = with_inspect.run(code, [str(folder), *wanted], cwd=folder, environment=os.environ)
    assert done.returncode == 0, done.stderr
    paths = done.stdout.split()[-len(wanted) :]
    return {name: Path(path) for name, path in zip(wanted, paths, strict=True)}


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
