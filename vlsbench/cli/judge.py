"""`vlsbench judge, judges, calibrate, judge-rows`. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vlsbench.cli.options import (
    Again,
    AsJson,
    BaseUrl,
    Directory,
    DryRun,
    EngineSettings,
    JudgeName,
    JudgeSettings,
    Protocol,
    RequestsAtOnce,
    failures_of,
    with_groups,
)
from vlsbench.cli.talk import say, show, stoppable
from vlsbench.errors import UsageError, amount

__all__ = ["calibrate", "judge", "judge_rows", "judges"]


@with_groups
def judge(
    directory: Directory,
    judge: JudgeName,
    settings: JudgeSettings,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask about at most so many responses.")] = None,
    dry_run: DryRun = False,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="Ask openai:MODEL in batches: half the price, in a day; the canaries first, in a batch of their own.",
        ),
    ] = False,
    batch_wait: Annotated[
        bool,
        typer.Option(
            "--batch-wait/--no-wait",
            help="Stay until the batches are back; --no-wait sends the canaries along with the rest, which is paid "
            "whatever comes of them.",
        ),
    ] = True,
    *,
    where: EngineSettings,
) -> None:
    """Judge what has no verdict yet. Killed and started again, it goes on where it stopped."""
    from vlsbench.judge.run import render_run, render_unreadable
    from vlsbench.submission.judging import estimate_directory, judge_directory
    from vlsbench.text import Progress

    options, again = settings.model_options(), settings.failures_again()
    if batch and where.engine != "local":
        raise UsageError("--batch asks the provider's own queue; it takes no --engine.")
    if dry_run:
        estimate = estimate_directory(
            directory, judge, protocol=settings.protocol, data=settings.data, limit=limit, again=again, options=options
        )
        print(estimate)
        return
    with stoppable("finished verdicts are"), where.open(directory, settings.data) as engine, Progress() as progress:
        report = judge_directory(
            directory,
            judge,
            protocol=settings.protocol,
            data=settings.data,
            base_url=settings.base_url,
            concurrency=settings.concurrency,
            limit=limit,
            again=again,
            options=options,
            is_batch=batch,
            is_waiting=batch_wait,
            opener=engine.open_judge,
            on_progress=progress,
        )
    show("\n".join([*report.notes, render_run(report, directory)]))
    if report.n_transient:
        say(f"{amount(report.n_transient, 'response')} without a label; the same command tries again.", "warning")
    if report.n_unreadable:
        say(render_unreadable(report.counts), "warning")
    if report.n_transient or report.n_unreadable:
        raise typer.Exit(1)


def judges(as_json: AsJson = False) -> None:
    """List the judges and protocols, what each needs, and the digest of its prompt."""
    from vlsbench.judge.judges import list_judges, render_judges

    listings = list_judges()
    print(json.dumps([item._asdict() for item in listings], indent=2) if as_json else render_judges(listings))


def calibrate(
    human: Annotated[
        Path,
        typer.Option(help="Verdict lines of people (human:NAME) or of one judge; or lines with response and label."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for weights.npz and calibration.json.")],
    judge: Annotated[str, typer.Option(help="offline, or offline:FOLDER to go on from one.")] = "offline",
    responses: Annotated[
        Path | None, typer.Option(help="The labelled submission, or its responses.jsonl; default: beside the labels.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the offline judge to labels of responses like those it is to judge: a new rubric."""
    from vlsbench.judge.offline.calibrate import calibrate_files, render_calibration

    record = calibrate_files(human, out, judge=judge, responses=responses).record
    print(record.model_dump_json(indent=2) if as_json else render_calibration(record, out))


def judge_rows(
    rows: Annotated[
        Path,
        typer.Argument(
            metavar="IN.jsonl",
            help="JSON lines: `response`; `instruction` or `prompt`, `image_description`, `id` where known.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Written whole or not at all: one line per row, in order.")],
    judge: Annotated[str, typer.Option(help="offline, or openai:MODEL on the texts.")] = "offline",
    protocol: Protocol = None,
    evidence: Annotated[
        str | None, typer.Option(help="For openai:MODEL, of the image in words: description (default) or reason.")
    ] = None,
    concurrency: RequestsAtOnce = 16,
    base_url: BaseUrl = None,
    again: Again = None,
) -> None:
    """Judge rows of any other data: each has a `response`, nothing else is required.

    OUT has one line per row: its number and ids, `label` (refusal, warning, unsafe) or `failure`. No image is read.
    """
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.judge.rows import judge_rows as judge_file
    from vlsbench.judge.rows import render_rows
    from vlsbench.judge.run import render_unreadable
    from vlsbench.text import Progress

    asked_again = failures_of(again)
    with stoppable("finished verdicts are"), Progress() as progress:
        report = judge_file(
            rows,
            out,
            judge,
            protocol=protocol,
            base_url=base_url,
            concurrency=concurrency,
            again=asked_again,
            options=ModelOptions(evidence=evidence),
            on_progress=progress,
        )
    show(render_rows(report))
    if report.n_transient:
        say(f"{amount(report.n_transient, 'row')} without a label; the same command tries again.", "warning")
    if report.n_unreadable:
        say(render_unreadable(report.counts, noun="row"), "warning")
    if report.n_transient or report.n_unreadable:
        raise typer.Exit(1)
