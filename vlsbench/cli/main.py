"""The command line: thin. Every command calls one function of the package and prints what it returns.

stdout is data, stderr is talk. Exit 0: complete; 1: bad input, or failures left that the same command retries;
2: wrong call. The commands are in one file a room; their options in `vlsbench.cli.options`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from vlsbench.cli.talk import show
from vlsbench.errors import UsageError, VLSBenchError, visible
from vlsbench.version import __version__

__all__ = ["COMMANDS", "app", "main"]

COMMANDS: Final[dict[str, dict[str, str]]] = {
    "Start": {"run": "generate.run", "board": "board.board", "serve": "board.serve"},
    "Make": {
        "generate": "generate.generate",
        "import": "importing.import_",
        "check": "submission.check",
        "judge": "judge.judge",
        "score": "submission.score",
    },
    "Trust": {
        "judges": "judge.judges",
        "agree": "people.agree",
        "label": "people.label",
        "calibrate": "judge.calibrate",
        "judge-rows": "judge.judge_rows",
    },
    "Store": {
        "submit": "store.submit",
        "queue": "store.queue",
        "work": "store.work",
        "review": "store.review",
        "accept": "store.accept",
        "reject": "store.reject",
        "rejudge": "store.rejudge",
        "withdraw": "store.withdraw",
        "changelog": "store.changelog",
    },
    "Study": {"leakage": "leakage.leakage", "construct": "construct.construct", "align": "align.align"},
    "Publish": {"publish": "hub.publish", "export": "board.export", "hub-check": "hub.hub_check", "data": "data.data"},
}
"""Every command under its group, in the order of the work, as `--help` shows them; and where it lies in `vlsbench.cli`.

A call imports the file of its own command.
"""

_CLASSES: Final = {"import": "importing.ImportCommand"}
"""Commands whose help is made when it is asked for."""


def _find(place: str) -> Any:
    module, _, name = place.partition(".")
    return getattr(import_module(f"vlsbench.cli.{module}"), name)


@cache
def _command(name: str) -> Any:  # typer carries a click of its own, whose types are private
    """Make a command.

    Raises:
        KeyError: If there is none of the name.
    """
    panel, place = next(((panel, named[name]) for panel, named in COMMANDS.items() if name in named), (None, None))
    if place is None:
        raise KeyError(name)
    made, alone = _find(place), typer.Typer(pretty_exceptions_enable=False)
    if isinstance(made, typer.Typer):
        alone.add_typer(made, name=name, rich_help_panel=panel)
    else:
        alone.command(name, cls=_find(_CLASSES[name]) if name in _CLASSES else None, rich_help_panel=panel)(made)
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
