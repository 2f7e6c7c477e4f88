"""`vlsbench align miniature`: the paper's comparison on a drawn world. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.cli.talk import say, stoppable
from vlsbench.errors import UsageError, numbered, visible

if TYPE_CHECKING:
    from vlsbench.align.miniature.plan import Cell

__all__ = ["miniature"]


def miniature(
    out: Annotated[Path, typer.Option(help="Folder of the table: killed and called again, it goes on.")],
    quick: Annotated[bool, typer.Option("--quick", help="A few small cells, in minutes.")] = False,
    seed: Annotated[list[int] | None, typer.Option(help="Only these seeds of the plan.")] = None,
    dial: Annotated[list[float] | None, typer.Option(help="Only these strengths of the planted cue.")] = None,
    arm: Annotated[
        list[str] | None, typer.Option(help="Only these arms; the base model is made where it lacks.")
    ] = None,
    only_table: Annotated[
        bool, typer.Option("--table", help="Make no cell; print the table of what is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make a tiny model, align it by every recipe, and put the paper's claim to the test."""
    from vlsbench.align.miniature.cells import cells_there, run_cells
    from vlsbench.align.miniature.page import render_terminal
    from vlsbench.align.miniature.plan import PLANS, cells
    from vlsbench.align.miniature.summary import summarize

    plan = PLANS["quick" if quick else "published"]
    todo = cells(plan, seeds=tuple(seed or ()), dials=tuple(dial or ()))
    if strange := [name for name in arm or () if name not in plan.arms]:
        raise UsageError(f"--arm {strange[0]!r}: the plan {plan.name!r} has {numbered(list(plan.arms))}.")
    if arm:
        todo = [cell for cell in todo if cell.arm in ("base", *arm)]
    if not only_table:
        with stoppable("finished cells are"):
            run_cells(plan, todo, out, on_cell=_say)
    summary = summarize(plan, cells_there(plan, out / "cells"))
    print(summary.model_dump_json(indent=1) if as_json else visible(render_terminal(summary)))


def _say(cell: Cell, how: str) -> None:
    if how != "there":
        say(f"{cell.name}: {how}")
