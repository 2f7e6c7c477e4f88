"""The paper in miniature: a tiny model in a drawn world, aligned by every recipe (docs/miniature.md).

    python benchmarks/miniature.py --quick                 # a few cells; part of make bench
    python benchmarks/miniature.py --minutes 60            # goes on with the published table for so long
    python benchmarks/miniature.py --render                # page, plots and the package's summary from the cells there

Cells of the published table stand in benchmarks/miniature_runs/cells, one file each; what was run, broken off and run
again in benchmarks/miniature_runs/runs.jsonl.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from vlsbench.align.miniature.cells import cells_there, run_cells
from vlsbench.align.miniature.page import PLOTS, fill_page, predictions_block, render_terminal, results_block
from vlsbench.align.miniature.plan import PLANS, Cell, cells
from vlsbench.align.miniature.summary import summarize
from vlsbench.files import write_atomic

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "miniature_runs"


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, default=0.0, help="Begin no cell after so long.")
    parser.add_argument("--seed", type=int, action="append", help="Only these seeds.")
    parser.add_argument("--dial", type=float, action="append", help="Only these settings of the dial.")
    parser.add_argument("--arm", action="append", help="Only these arms.")
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args()
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            made = run_cells(PLANS["quick"], cells(PLANS["quick"]), Path(folder), on_cell=_say)
            print(render_terminal(summarize(PLANS["quick"], made)))
            cpu = sum(record.cpu_seconds for record in made)
            print(f"{len(made)} cells in {time.monotonic() - start:.0f} s, {cpu:.0f} s of CPU")
    if options.minutes:
        plan = PLANS["published"]
        todo = cells(plan, seeds=tuple(options.seed or ()), dials=tuple(options.dial or ()))
        _go_on([c for c in todo if not options.arm or c.arm in ("base", *options.arm)], options.minutes)
    if options.render:
        render()


def _go_on(todo: list[Cell], minutes: float) -> None:
    end = time.monotonic() + 60 * minutes
    for cell in todo:
        if time.monotonic() > end:
            print(f"stopped before {cell.name}")
            return
        run_cells(PLANS["published"], [cell], TABLE, on_cell=_say)


def _say(cell: Cell, how: str) -> None:
    if how != "there":
        print(time.strftime("%H:%M:%S"), cell.name, how, flush=True)


def rendered() -> dict[Path, str]:
    """Make the page, its plots and the summary that the package carries from the cells that are there, by file."""
    plan = PLANS["published"]
    records = cells_there(plan, TABLE / "cells")
    summary = summarize(plan, records)
    cpu = sum(record.cpu_seconds for record in records)
    page = ROOT / "docs" / "miniature.md"
    blocks = {
        "predictions": predictions_block(plan),
        "results": results_block(summary, f"They took {cpu / 60:.0f} minutes of one core."),
    }
    return {
        page: fill_page(page.read_text(encoding="utf-8"), blocks),
        **{page.with_name(name): draw(summary) for name, draw in PLOTS.items()},
        ROOT / "vlsbench" / "align" / "miniature" / "miniature.json": summary.model_dump_json(indent=1) + "\n",
    }


def render() -> None:
    """Write what is rendered, and print the table."""
    for path, text in rendered().items():
        write_atomic(path, text)
    plan = PLANS["published"]
    print(render_terminal(summarize(plan, cells_there(plan, TABLE / "cells"))))


if __name__ == "__main__":
    main()
