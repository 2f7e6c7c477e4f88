"""`vlsbench align`: alignment by recipes on TRL's trainers. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vlsbench.cli.talk import say, stoppable
from vlsbench.errors import UsageError, visible

__all__ = ["align"]


def align(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="t-sft, mm-sft, t-dpo, …; see docs/align.md.")],
    model: Annotated[Path, typer.Option(help="Folder of the model to begin from.")],
    data: Annotated[Path, typer.Option(help="Training file: JSON Lines, images beside it.")],
    out: Annotated[Path, typer.Option(help="A new folder, or that of the same run: it goes on.")],
    paper: Annotated[str | None, typer.Option(help="A recipe of the paper's Table 9: llava-1.5-7b/t-sft, …")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A field of the recipe; see docs/align.md.")
    ] = None,
) -> None:
    """Align a model by a recipe."""
    from vlsbench.align.recipes import make_recipe
    from vlsbench.align.training import train

    recipe = make_recipe(method, paper, **_changes(settings or []))
    with stoppable("checkpoints are"):
        run = train(recipe, model, data, out, on_step=_show)
    _clear()
    say(visible(f"{run.model}: aligned by {method} in {len(run.losses)} steps"), "good")


def _changes(settings: list[str]) -> dict[str, object]:
    """Read NAME=VALUE, values as JSON where they are."""
    changes: dict[str, object] = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign:
            raise UsageError(f"--set {setting}: a setting is NAME=VALUE, as in --set learning_rate=1e-5.")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            changes[name] = value
    return changes


def _show(step: object) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{step}", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
