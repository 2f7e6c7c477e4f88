"""`vlsbench import`. Thin: stdout is data, stderr is talk.

Exit: 0 good, 1 the file is bad, 2 the call is wrong. Errors raised on purpose are printed by the main command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from vlsbench.cli.options import AsJson
from vlsbench.cli.talk import show

__all__ = ["ImportCommand", "import_"]


class ImportCommand(TyperCommand):
    """Writes the formats into its help when it is asked: the registry is not loaded for the help of other commands."""

    def get_params(self, ctx: Any) -> list[Any]:  # Any: typer carries a click of its own, whose types are private
        """Return the parameters, `--from` with the formats there are."""
        from vlsbench.submission.importers.registry import format_names

        params = super().get_params(ctx)
        for param in params:
            if param.name == "from_format":
                param.help = f"{format_names()}."  # type: ignore[attr-defined]
        return params


def import_(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Answers in another tool's file; the format is guessed.")
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The submission to make; absent or empty.")],
    from_format: Annotated[str | None, typer.Option("--from", help="A format.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model, where the file does not say.")] = None,
    condition: Annotated[
        str | None, typer.Option(help="What the model was shown, where the rows do not say; default image+text.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The release, whose sentences find prompts that were changed; or the set of your own."),
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="The column of a table that is the id.")] = None,
    response_column: Annotated[str | None, typer.Option(help="The column that is what the model said.")] = None,
    text_column: Annotated[
        str | None, typer.Option(help="The column that is the prompt; without --id-column it decides over ids.")
    ] = None,
    trust_ids: Annotated[
        bool, typer.Option("--trust-ids", help="Believe that the ids are instruction_ids where nothing tells.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a submission of the answers in another tool's file, and check it."""
    from vlsbench.submission.check import render_check
    from vlsbench.submission.importers.formats import import_file, render_import
    from vlsbench.submission.importers.matching import Asked

    report = import_file(
        source,
        directory,
        from_format=from_format,
        model=model,
        condition=condition,
        data=data,
        asked=Asked(id_column, text_column, response_column, trust_ids),
    )
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        show(render_import(report))
        if report.check is not None:
            show(render_check(report.check))
    raise typer.Exit(0 if report.ok else 1)
