"""`vlsbench board, serve, export`. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vlsbench.cli.options import AsJson, Port, RubricId, Store
from vlsbench.errors import UsageError, visible

__all__ = ["board", "export", "serve"]


def board(
    store: Store = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Only the lists of this set of your own.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print the leaderboard."""
    from vlsbench.board.columns import render_csv
    from vlsbench.board.lists import build_board
    from vlsbench.board.terminal import print_board
    from vlsbench.dataset.index import index_at
    from vlsbench.hub.store import open_store
    from vlsbench.store.local import default_store

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    built = build_board(open_store(store or default_store()).sync())
    if data is not None:
        name = index_at(data).name
        built = built.model_copy(update={"lists": tuple(item for item in built.lists if item.dataset == name)})
    if as_json:
        print(built.model_dump_json(indent=2))
    elif as_csv:
        print(render_csv(built), end="")
    else:
        print_board(built)


def serve(
    store: Store = None,
    data: Annotated[Path | None, typer.Option(help="The release, or a set of your own, for the Samples page.")] = None,
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0 for every one of the machine.")] = "127.0.0.1",
    port: Port = 7860,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="A proxy before it, or a network of them, whose X-Forwarded-For is believed."
        ),
    ] = None,
) -> None:
    """Show the leaderboard in a browser, and take submissions there."""
    from vlsbench.serve import serve as serve_board

    serve_board(store, port=port, host=host, data=data, trusted_proxies=trusted_proxy or ())


def export(
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="eval-results, every-eval-ever, model-card, bibtex, csv, parquet, html or vlmevalkit.",
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A submission; for csv, parquet and html a store; for vlmevalkit the release's folder, or sample.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="A file to write, or a folder to write into; a new name without a suffix is a folder."
        ),
    ],
    rubric: RubricId = None,
    model_repo: Annotated[str | None, typer.Option(help="The model's repository, DEVELOPER/MODEL.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where the numbers can be looked up, such as a board.")] = None,
    evaluator: Annotated[
        str | None, typer.Option(help="Who evaluated; default: the submission's organization.")
    ] = None,
    relationship: Annotated[
        str | None, typer.Option(help="first_party, third_party, collaborative or other (default).")
    ] = None,
    date: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="Of the result, UTC."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The dataset answered, or sample: every-eval-ever then holds its texts.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there and differ.")] = False,
) -> None:
    """Write a result, the board or the dataset as another tool reads it."""
    from vlsbench.hub.exports import ExportOptions
    from vlsbench.hub.exports import export as write_export

    options = ExportOptions(
        rubric=rubric,
        model_repo=model_repo,
        source_url=source_url,
        evaluator=evaluator,
        relationship=relationship,
        when=None if date is None else date.replace(tzinfo=UTC),
        data=data,
    )
    for path in write_export(format_name, source, out, options, is_forced=force):
        print(visible(str(path)))
