"""`vlsbench align miniature`: the paper's comparison on a drawn world. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.cli.talk import say, stoppable
from vlsbench.errors import UsageError, numbered, visible

if TYPE_CHECKING:
    from vlsbench.align.miniature.plan import Cell, Plan

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
    only_sets: Annotated[
        bool, typer.Option("--sets", help="Make no cell; write what is measured as datasets for `align compare`.")
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
    if only_sets:
        _write_sets(plan, sorted({cell.seed for cell in todo}), out)
        return
    if not only_table:
        with stoppable("finished cells are"):
            run_cells(plan, todo, out, on_cell=_say)
    summary = summarize(plan, cells_there(plan, out / "cells"))
    print(summary.model_dump_json(indent=1) if as_json else visible(render_terminal(summary)))


def _write_sets(plan: Plan, seeds: list[int], out: Path) -> None:
    """Write each seed's sets, and print the call that compares its models on them."""
    from vlsbench.align.miniature.folders import write_sets

    for seed in seeds:
        folder = out / f"seed{seed}"
        sets = write_sets(plan, seed, folder / "sets")
        runs = [str(path.parent) for path in sorted(folder.glob("dial*/capsule.json"))]
        told = ("--set", f"leaky={sets.leaky}", "--set", f"leakless={sets.leakless}", "--ability", str(sets.ability))
        how = (
            "--judge",
            "world-rule",
            "--max-new-tokens",
            "16",
            "--batch-size",
            "64",
            "--out",
            str(folder / "compared"),
        )
        print(shlex.join(("vlsbench", "align", "compare", str(folder / "base"), *runs, *told, *how)))


def _say(cell: Cell, how: str) -> None:
    if how != "there":
        say(f"{cell.name}: {how}")
