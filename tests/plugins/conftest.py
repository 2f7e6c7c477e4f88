"""The stand-in endpoint, and Inspect's command in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import Forks

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
def inspect(with_inspect: Forks, environment: dict[str, str]) -> Run:
    """Run `inspect` with arguments."""

    def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        code = "from inspect_ai._cli.main import main; main()"
        return with_inspect.run(code, arguments, cwd=cwd, environment=environment | variables)

    return run
