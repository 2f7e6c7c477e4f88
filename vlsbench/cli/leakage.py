"""`vlsbench leakage`: what the text of a set gives away. Thin: stdout is data, stderr is talk.

Exit: 0 measured, 1 the input is bad or what was asked for does not exist, 2 the call is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.cli.options import AsJson
from vlsbench.errors import visible

if TYPE_CHECKING:
    from vlsbench.leakage.audit import Audit

__all__ = ["leakage"]

SourceName = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A Hub id, a folder, or a file: Parquet, JSON, JSONL, CSV, XLSX. Columns are guessed."
    ),
]
_COLUMN = "Column of the {}, where the guess is wrong; none for no such column."


def leakage(
    source: SourceName,
    text: Annotated[str | None, typer.Option(help=_COLUMN.format("text"))] = None,
    image: Annotated[str | None, typer.Option(help=_COLUMN.format("image"))] = None,
    label: Annotated[str | None, typer.Option(help=_COLUMN.format("label (pair harmful or not)"))] = None,
    category: Annotated[str | None, typer.Option(help=_COLUMN.format("category"))] = None,
    source_column: Annotated[str | None, typer.Option("--source", help=_COLUMN.format("source"))] = None,
    config: Annotated[str | None, typer.Option(help="Config of a dataset on the Hub.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of a dataset on the Hub; default all.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many texts.")] = None,
    seed: Annotated[int, typer.Option(help="Of the folds and permutations.")] = 0,
    html: Annotated[Path | None, typer.Option(metavar="OUT", help="Also write the report as one page.")] = None,
    reweight: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Also write ids and weights under which text predicts less (CSV)."),
    ] = None,
    core: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Also write ids and weights of the items that need their image (CSV)."),
    ] = None,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read and measured; no more.")] = False,
) -> None:
    """Measure what a set's text gives away: harm, labels, and whether the image is needed."""
    from vlsbench.leakage.audit import plan_audit, run_audit
    from vlsbench.leakage.columns import ColumnChoice
    from vlsbench.leakage.source import HubChoice
    from vlsbench.leakage.terminal import render_leakage

    _check_outs(reweight, core)
    choice = ColumnChoice(text, image, label, category, source_column)
    hub = HubChoice(config, split)
    if dry_run:
        print(visible(plan_audit(source, choice, hub=hub, limit=limit)))
        return
    is_terminal = sys.stderr.isatty()

    def say(stage: str) -> None:
        if is_terminal:
            print(f"\r\x1b[K{stage} …", end="", file=sys.stderr, flush=True)

    audit = run_audit(source, choice, hub=hub, limit=limit, seed=seed, on_stage=say)
    if is_terminal:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if html is not None:
        from vlsbench.files import write_atomic
        from vlsbench.leakage.html import render_page

        write_atomic(html, render_page(audit))
        print(visible(f"written to {html}"), file=sys.stderr)
    print(audit.report.model_dump_json(indent=2) if as_json else visible(render_leakage(audit.report)))
    _write_weights(audit, reweight, core)


def _check_outs(*outs: Path | None) -> None:
    from vlsbench.leakage.weights import check_out

    for out in outs:
        if out is not None:
            check_out(out)


def _write_weights(audit: Audit, reweight: Path | None, core: Path | None) -> None:
    """Make what was asked for, write it and say what it reached."""
    from vlsbench.leakage.core import make_core, make_weights
    from vlsbench.leakage.terminal import render_weights
    from vlsbench.leakage.weights import card_path, write_weights

    for out, make in ((reweight, make_weights), (core, make_core)):
        if out is not None:
            weights = make(audit)
            write_weights(out, weights)
            print(visible(f"{render_weights(weights.card)}\nwritten to {out} and {card_path(out)}"), file=sys.stderr)
