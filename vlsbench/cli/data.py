"""`vlsbench data`: build, verify, index and add. Thin: stdout is data, stderr is talk.

Exit: 0 good, 1 the input is bad, 2 the call is wrong. Errors raised on purpose are printed by the main
    command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlsbench.cli.options import StoreAt
from vlsbench.cli.talk import say, show
from vlsbench.errors import amount

__all__ = ["data"]

data = typer.Typer(
    no_args_is_help=True, help="Build, verify and index the dataset, and add sets of your own to a store."
)


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
        f"{amount(len(report.shards), 'shard')}; digest {report.digest} ({_what(report.name, report.is_release)})",
        err=True,
    )
    if report.n_redrawn:
        typer.echo(
            f"{amount(report.n_redrawn, 'image')} written anew as upright 8-bit RGB, because decoders see what is "
            "stored differently",
            err=True,
        )


def _what(name: str, is_release: bool) -> str:
    if name != "release":
        return f"the set {name!r}"
    return "the release" if is_release else "not the release: the card says so"


@data.command()
def verify(
    path: Annotated[
        Path, typer.Argument(help="data.json with imgs/ or imgs.tar, or a built folder; or a set of your own.")
    ],
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
def index(
    source: Annotated[Path, typer.Argument(help="The official data.json; with --name, the folder of a set.")],
    name: Annotated[
        str | None, typer.Option(help="Of a set of your own: write its index.csv and dataset.json into SOURCE.")
    ] = None,
) -> None:
    """Print the index of SOURCE: ids, categories, image numbers and digests, no sentence."""
    from vlsbench.dataset.build import make_index
    from vlsbench.dataset.constructed import index_set

    if name is None:
        typer.echo(make_index(source), nl=False)
        return
    made = index_set(source, name)
    say(f"{source}: the {made.title}, {amount(len(made.risky), 'pair')}, digest {made.digest}")


@data.command()
def add(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A set of your own.")], store: StoreAt = None
) -> None:
    """Let a store take answers to a set of your own: its index goes there, no text and no image."""
    from vlsbench.dataset.constructed import check_set
    from vlsbench.hub.store import open_store
    from vlsbench.store.sets import add_set, set_path

    made = check_set(directory)
    is_new = add_set(open_store(store or "submissions"), made)
    print(set_path(made.name))
    say(f"the {made.title}, {amount(len(made.risky), 'pair')}: {'added' if is_new else 'is there already'}")
