"""`vlsbench align`: METHOD trains; what else there is to do with alignment stands beside it by name."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from vlsbench.cli.align import align as train
from vlsbench.cli.miniature import miniature

__all__ = ["align"]

_TRAIN = "METHOD"


class _MethodOrCommand(TyperGroup):
    """A first word that names no command is a method."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # Any: typer's own click has private types
        """Find the command; a method is handed to the one that trains."""
        if args and args[0] not in self.commands:
            args = [_TRAIN, *args]
        return super().resolve_command(ctx, args)


align = typer.Typer(
    cls=_MethodOrCommand,
    no_args_is_help=True,
    help="Align a model by a recipe (`vlsbench align t-sft --help`), and put recipes to the test.",
)
align.command(_TRAIN)(train)
align.command("miniature")(miniature)
