"""The stand-in endpoint, and Inspect's command in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMANDS = Path(sys.executable).parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Any]:
    """An endpoint that is model and judge; `asked` and `judged` hold what it was asked."""
    spec = importlib.util.spec_from_file_location("stand_in", Path(__file__).with_name("stand_in.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.StandIn() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def environment(stand_in: Any) -> dict[str, str]:
    """What a command needs to find the endpoint, and no more of the network."""
    commands = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": commands,
        "LOCAL_BASE_URL": stand_in.url,
        "LOCAL_API_KEY": "not-needed",
        "OPENAI_BASE_URL": stand_in.url,
        "OPENAI_API_KEY": "not-needed",
        "INSPECT_DISPLAY": "plain",
    }


@pytest.fixture(scope="session")
def inspect(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run `inspect` with arguments, not here: it leaves streams open, and warnings are errors here."""
    pytest.importorskip("inspect_ai")
    said = tmp_path_factory.mktemp("inspect-said")
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forked_inspect.py"))],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        files = {name: said / name for name in ("stdout", "stderr")}
        call = {"arguments": arguments, "cwd": cwd, "environment": environment | variables, **files}
        print(json.dumps(call, default=str), file=server.stdin, flush=True)
        status = int(server.stdout.readline())  # type: ignore[union-attr]
        texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
        return subprocess.CompletedProcess(["inspect", *arguments], status, **texts)

    yield run
    server.stdin.close()
    server.wait(20)
    server.stdout.close()
