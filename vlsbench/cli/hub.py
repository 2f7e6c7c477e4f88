"""`vlsbench publish` and `vlsbench hub-check`. Thin: stdout is data, stderr is talk.

Exit: 0 done, or nothing to do; 1 the Hub refuses, or what is checked has problems; 2 the call is wrong.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from vlsbench.cli.options import DryRunFiles, Private, RubricId
from vlsbench.errors import UsageError

__all__ = ["hub_check", "publish"]

publish = typer.Typer(no_args_is_help=True, help="Put the board, results or the dataset on the Hub.")


def _log_to_stderr() -> None:
    """Let the log lines of uploads and of every retry be seen."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("vlsbench.hub").setLevel(logging.INFO)


@publish.command()
def space(
    repo: Annotated[str, typer.Argument(metavar="SPACE", help="ORG/NAME; made where it is not there.")],
    store: Annotated[
        str | None, typer.Option(help="hf://datasets/ORG/NAME of the submissions; default: the packaged rows.")
    ] = None,
    package: Annotated[
        Path | None, typer.Option(help="A wheel that is not released; its content is sent along.")
    ] = None,
    private: Private = False,
    dry_run: DryRunFiles = False,
) -> None:
    """Send the leaderboard's Space."""
    from vlsbench.hub.connection import connect
    from vlsbench.hub.publish import plan_space, send_space

    plan = plan_space(repo, store=store, package=package, is_private=private)
    print(plan.as_text())
    if not dry_run:
        _log_to_stderr()
        print(send_space(connect(), plan).as_text())


@publish.command()
def results(
    repo: Annotated[str, typer.Argument(metavar="MODEL_REPO", help="ORG/NAME of the model.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A judged submission.")],
    rubric: RubricId = None,
    source_url: Annotated[str | None, typer.Option(help="Where the numbers can be looked up: the board.")] = None,
    dry_run: DryRunFiles = False,
) -> None:
    """Open a pull request that adds the results to a model's page; the one that is open is found again."""
    from vlsbench.hub.connection import connect
    from vlsbench.hub.publish import plan_results, publish_results

    plan = plan_results(repo, directory, rubric=rubric, source_url=source_url)
    if dry_run:
        print(plan.as_text())
        return
    _log_to_stderr()
    request = publish_results(connect(), plan)
    print(f"{request.what}: {request.url}")


@publish.command()
def dataset(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="The release, a built folder, or a prepared one.")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="ORG/NAME; made where it is not there.")],
    out: Annotated[
        Path | None, typer.Option(help="Prepare into this folder and keep it; a stopped upload goes on from it.")
    ] = None,
    gated: Annotated[
        Literal["auto", "manual", "no"], typer.Option(help="Who reads must ask; no: leave the setting as it is.")
    ] = "auto",
    private: Private = False,
    dry_run: DryRunFiles = False,
) -> None:
    """Send the dataset. Killed and started again, it sends what is missing."""
    from vlsbench.construct.journal import refuse_private
    from vlsbench.hub.connection import connect
    from vlsbench.hub.publish import prepared_dataset, send_dataset

    refuse_private(source)

    with ExitStack() as stack:
        prepared = prepared_dataset(source, repo, out=out, exit_stack=stack)
        print(prepared.as_text())
        if not dry_run:
            _log_to_stderr()
            report = send_dataset(connect(), prepared, is_private=private, gated=None if gated == "no" else gated)
            print(report.as_text())


def hub_check(
    payload: Annotated[
        Path | None, typer.Option(help="JSON of a webhook's delivery. Default: WEBHOOK_PAYLOAD of a Job.")
    ] = None,
    repo: Annotated[
        str | None,
        typer.Option(help="The store, ORG/NAME: events of others are passed over; with --pr, the one to check."),
    ] = None,
    number: Annotated[int | None, typer.Option("--pr", min=1, help="Check this pull request of --repo.")] = None,
    comment: Annotated[
        bool, typer.Option("--comment/--no-comment", help="Answer under the pull request; else only print.")
    ] = True,
) -> None:
    """Check a pull request of a store on the Hub, and answer with one comment."""
    from vlsbench.hub.connection import connect
    from vlsbench.hub.pull_request import (
        Affected,
        affected_by,
        check_pull_request,
        post_comment,
        read_payload,
        render_comment,
    )

    if number is not None:
        if repo is None or payload is not None:
            raise UsageError("--pr N goes with --repo ORG/NAME, and without --payload.")
        affected = Affected(repo, (number,), None)
    else:
        affected = affected_by(read_payload(payload), repo)
    if affected.note is not None:
        typer.echo(f"nothing to check: {affected.note}", err=True)
        return
    _log_to_stderr()
    api = connect()
    reports = [check_pull_request(api, affected.repo_id, found) for found in affected.numbers]
    for report in reports:
        if report.note is not None:
            typer.echo(f"nothing to check: {report.note}", err=True)
            continue
        print(render_comment(report), end="")
        if comment:
            typer.echo(f"pull request {report.number}: comment {post_comment(api, report)}", err=True)
    if not all(report.is_good for report in reports):
        raise typer.Exit(1)
