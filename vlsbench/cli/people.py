"""`vlsbench agree, label`. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from vlsbench.cli.options import AsJson, DataPath, Directory, HumanFile, Port
from vlsbench.cli.talk import say
from vlsbench.errors import UsageError, visible

__all__ = ["agree", "label"]


def agree(
    directory: Directory,
    more: Annotated[list[str] | None, typer.Argument(metavar="[R2 …]", help="The other raters of --between.")] = None,
    between: Annotated[
        list[str] | None,
        typer.Option(metavar="R1", help="Rubric ids or their beginnings, human:NAME. Default: all rubrics."),
    ] = None,
    human: HumanFile = None,
    paper_tables: Annotated[bool, typer.Option("--paper-tables", help="Also the paper's Tables 13-15.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw confusion and kappa into this HTML file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare judges with each other and with people: kappa, per label, confusion, alpha, with intervals."""
    from vlsbench.people.agreement import agree_directory, draw_agreement, render_agreement

    if more and not between:
        raise UsageError(f"found {' '.join(more)!r}; raters are named after --between.")
    if paper_tables and as_json:
        raise UsageError("--paper-tables is text; --json has all of its numbers.")
    report = agree_directory(directory, [*(between or ()), *(more or ())], human)
    if plot is not None:
        draw_agreement(report, plot)
        say(visible(f"written to {plot}"))
    print(report.model_dump_json(indent=2) if as_json else render_agreement(report, has_paper_tables=paper_tables))


def label(
    directory: Directory,
    name: Annotated[str, typer.Option(help="Who labels: letters, digits, '.', '_', '-'.")],
    n: Annotated[int | None, typer.Option(min=1, help="Samples to draw; default 200.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw; default 0. Same seed, same samples.")] = None,
    rubric: Annotated[str | None, typer.Option(help="Draw by the outcomes of this judge; nobody sees them.")] = None,
    select: Annotated[
        Literal["random", "informative"] | None,
        typer.Option(help="random, or informative: what the judge is least sure of more often; default random."),
    ] = None,
    data: DataPath = None,
    port: Port = 7861,
) -> None:
    """Label a random part of a submission by hand, on a page on 127.0.0.1. Started again, it goes on."""
    from vlsbench.people.page import serve_labelling

    serve_labelling(directory, name, n=n, seed=seed, rubric=rubric, select=select, data=data, port=port)
