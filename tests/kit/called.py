"""Commands called in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from vlsbench.cli.main import app
from vlsbench.errors import VLSBenchError

_RUNNER = CliRunner()


def call(*arguments: object) -> tuple[int, str]:
    """Call the command line; return its exit code and all that it says, the sentence of an error among it."""
    done = _RUNNER.invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit | VLSBenchError):
        raise done.exception
    return (1 if isinstance(done.exception, VLSBenchError) else done.exit_code), f"{done.output}{done.exception}"
