"""`vlsbench` as a person calls it: a process of its own, which need not import packages of others again."""

from __future__ import annotations

import atexit
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from forks import Forks

IMPORTED = (
    *("aiohttp", "disarm", "numpy", "openai.resources.chat.completions", "pyarrow.parquet"),
    *("pydantic", "scipy.special", "typer.rich_utils", "yaml"),
)
"""What commands import beside our own modules."""

_CODE = "import sys; from vlsbench.cli.main import main; sys.argv[0] = 'vlsbench'; main()"


@cache
def forks_of_commands() -> Forks:
    """Start one server for all tests of a worker."""
    forks = Forks(*IMPORTED)
    atexit.register(forks.close)
    return forks


def vlsbench(
    *arguments: object, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with this environment for the test's own; lines end as text's do."""
    done = forks_of_commands().run(
        _CODE, [str(argument) for argument in arguments], cwd=cwd or Path.cwd(),
        environment=os.environ if environment is None else environment,
    )  # fmt: skip
    done.stdout, done.stderr = (text.replace("\r\n", "\n").replace("\r", "\n") for text in (done.stdout, done.stderr))
    return done
