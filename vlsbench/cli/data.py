"""`vlsbench data`: build, verify and index. Thin: stdout is data, stderr is talk.

Exit: 0 good, 1 the input is bad, 2 the call is wrong. Errors raised on purpose are printed by the main
    command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlsbench.cli.talk import say, show
from vlsbench.errors import amount

__all__ = ["data"]

data = typer.Typer(no_args_is_help=True, help="Build, verify and index the dataset.")


@data.command()
def build(
    source: Annotated[Path, typer.Argument(help="data.json with imgs/ or imgs.tar, or Parquet shards as on the Hub.")],
    out: Annotated[Path, typer.Argument(help="Folder to make; absent or empty.")],
) -> None:
    """Write SOURCE as Parquet with embedded images and a card, ready for `load_dataset(OUT)`."""
    from vlsbench.dataset.build import build as build_dataset

    report = build_dataset(source, out)
    for shard in report.shards:
        typer.echo(str(report.out / shard))
    typer.echo(
        f"{amount(report.n_samples, 'sample')}, {amount(report.n_images, 'image')}, {report.n_bytes / 1e6:,.1f} MB in "
        f"{amount(len(report.shards), 'shard')}; digest {report.digest} "
        f"({'the release' if report.is_release else 'not the release: the card says so'})",
        err=True,
    )
    if report.n_redrawn:
        typer.echo(
            f"{amount(report.n_redrawn, 'image')} written anew as upright 8-bit RGB, because decoders see what is "
            "stored differently",
            err=True,
        )


@data.command()
def verify(
    path: Annotated[Path, typer.Argument(help="data.json with imgs/ or imgs.tar, or a built folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare PATH with the index: counts, digest, known faults, problems. Exit 1 where it has problems."""
    from vlsbench.dataset.build import verify as verify_dataset

    report = verify_dataset(path)
    if as_json:
        print(report.as_json())
    else:
        show(report.as_text())
    if not report.is_good:
        say(f"{path}: {amount(len(report.problems), 'problem')}", "error")
        raise typer.Exit(1)


@data.command()
def index(data_json: Annotated[Path, typer.Argument(help="The official data.json.")]) -> None:
    """Print the index of DATA_JSON: ids, categories, image numbers and digests, no sentence."""
    from vlsbench.dataset.build import make_index

    typer.echo(make_index(data_json), nl=False)
