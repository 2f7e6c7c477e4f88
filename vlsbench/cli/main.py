"""The command line: thin. Every command calls one function of the package and prints what it returns.

stdout is data, stderr is talk. Exit 0: complete; 1: bad input, or failures left that the same command retries;
2: wrong call. The commands are in one file a room; their options in `vlsbench.cli.options`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from vlsbench.cli.align import align
from vlsbench.cli.board import board, export, serve
from vlsbench.cli.construct import construct
from vlsbench.cli.data import data
from vlsbench.cli.generate import generate, run
from vlsbench.cli.hub import hub_check, publish
from vlsbench.cli.importing import ImportCommand, import_
from vlsbench.cli.judge import calibrate, judge, judge_rows, judges
from vlsbench.cli.leakage import leakage
from vlsbench.cli.people import agree, label
from vlsbench.cli.store import accept, changelog, queue, reject, rejudge, review, submit, withdraw, work
from vlsbench.cli.submission import check, score
from vlsbench.cli.talk import show
from vlsbench.errors import UsageError, VLSBenchError, visible
from vlsbench.version import __version__

__all__ = ["COMMANDS", "app", "main"]

COMMANDS: Final[dict[str, dict[str, Callable[..., None] | typer.Typer]]] = {
    "Start": {"run": run, "board": board, "serve": serve},
    "Make": {"generate": generate, "import": import_, "check": check, "judge": judge, "score": score},
    "Trust": {"judges": judges, "agree": agree, "label": label, "calibrate": calibrate, "judge-rows": judge_rows},
    "Store": {
        "submit": submit,
        "queue": queue,
        "work": work,
        "review": review,
        "accept": accept,
        "reject": reject,
        "rejudge": rejudge,
        "withdraw": withdraw,
        "changelog": changelog,
    },
    "Study": {"leakage": leakage, "construct": construct, "align": align},
    "Publish": {"publish": publish, "export": export, "hub-check": hub_check, "data": data},
}
"""Every command under its group, in the order of the work; `--help` shows them so."""

_CLASSES: Final = {"import": ImportCommand}
"""Commands whose help is made when it is asked for."""


@cache
def _command(name: str) -> Any:  # typer carries a click of its own, whose types are private
    """Make a command.

    Raises:
        KeyError: If there is none of the name.
    """
    panel, made = next(((panel, named[name]) for panel, named in COMMANDS.items() if name in named), (None, None))
    if made is None:
        raise KeyError(name)
    alone = typer.Typer(pretty_exceptions_enable=False)
    if isinstance(made, typer.Typer):
        alone.add_typer(made, name=name, rich_help_panel=panel)
    else:
        alone.command(name, cls=_CLASSES.get(name), rich_help_panel=panel)(made)
    return get_group(alone).commands[name]


class _Commands(Mapping[str, Any]):
    """The commands by name, in the order of `COMMANDS`; each is made when it is looked at, and a call looks at one."""

    def __getitem__(self, name: str) -> Any:
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return (name for named in COMMANDS.values() for name in named)

    def __len__(self) -> int:
        return sum(map(len, COMMANDS.values()))


class _InOrder(TyperGroup):
    """All of them under one name."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()  # type: ignore[assignment]  # read only

    def list_commands(self, ctx: object) -> list[str]:
        """Return the names."""
        return list(self.commands)


app = typer.Typer(
    name="vlsbench",
    cls=_InOrder,
    help="VLSBench: the benchmark of multimodal safety whose risk is only visible in the image.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"vlsbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what is said before a command."""


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
        show(visible(f"error: {place}{error.strerror}. What was finished before is kept."), sys.stderr)
        sys.exit(1)


def _say(error: VLSBenchError, code: int) -> int:
    show(f"error: {error}", sys.stderr)
    return code


if __name__ == "__main__":
    main()
