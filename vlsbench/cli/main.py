"""The command line: thin. Every command calls one function of the package and prints what it returns.

stdout is data, stderr is talk. Exit 0: complete; 1: bad input, or failures left that the same command retries;
2: wrong call. The commands are in one file a room; their options in `vlsbench.cli.options`.
"""

from __future__ import annotations

import os
import sys

import typer

from vlsbench.cli.board import board, export, serve
from vlsbench.cli.data import data
from vlsbench.cli.generate import generate, run
from vlsbench.cli.hub import hub_check, publish
from vlsbench.cli.judge import calibrate, judge, judge_rows, judges
from vlsbench.cli.people import agree, label
from vlsbench.cli.store import accept, changelog, queue, reject, rejudge, submit, withdraw, work
from vlsbench.cli.submission import check, import_, score
from vlsbench.errors import UsageError, VLSBenchError, visible

__all__ = ["app", "main"]

app = typer.Typer(
    name="vlsbench",
    help="VLSBench: the benchmark of multimodal safety whose risk is only visible in the image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(check)
app.command("import")(import_)
for command in (generate, run, judge, judges, calibrate):
    app.command()(command)
app.command("judge-rows")(judge_rows)
for command in (score, agree, label, board, serve, export):
    app.command()(command)
app.command("hub-check")(hub_check)
for command in (submit, queue, changelog, accept, reject, withdraw, work, rejudge):
    app.command()(command)
app.add_typer(data, name="data")
app.add_typer(publish, name="publish")


def main() -> None:
    """Run the command line; an error of ours is a sentence on stderr, never a traceback."""
    try:
        app()
    except UsageError as error:
        sys.exit(_say(error, 2))
    except VLSBenchError as error:
        sys.exit(_say(error, 1))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        print(visible(f"error: {place}{error.strerror}. What was finished before is kept."), file=sys.stderr)
        sys.exit(1)


def _say(error: VLSBenchError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
