"""`vlsbench submit, queue, work, rejudge, accept, reject, withdraw, changelog`. Thin: stdout is data, stderr is talk.

Exit: 0 complete, 1 the input is bad or something is left that the same command tries again, 2 the call is wrong. Errors
raised on purpose are printed by the main command.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.errors import UsageError, VLSBenchError, numbered

if TYPE_CHECKING:
    from vlsbench.store.local import Store
    from vlsbench.store.worker import Done, WorkReport

__all__ = ["store_commands"]

store_commands = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
StoreAt = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="STORE", help="A folder, or hf://datasets/ORG/NAME[@REVISION]. Default: ./submissions."
    ),
]
WhoWrites = Annotated[
    str | None, typer.Option("--name", help="Who does this, as the history shows it. Default: on the Hub, your name.")
]
SubmissionId = Annotated[str, typer.Argument(metavar="ID", help="As `vlsbench queue` lists it.")]
JudgeName = Annotated[str, typer.Option("--judge", help="offline, openai:MODEL, …; `vlsbench judges` lists them.")]
Protocol = Annotated[str | None, typer.Option(help="How it judges: v1 (default), paper, …")]
DataPath = Annotated[Path | None, typer.Option("--data", help="The release: its folder, or a built one.")]
Concurrency = Annotated[int, typer.Option(min=1, max=1024, help="Requests in flight at once.")]
BaseUrl = Annotated[str | None, typer.Option(help="Endpoint; default OPENAI_BASE_URL, else OpenAI.")]
Evidence = Annotated[
    str | None,
    typer.Option(help="What is shown of the image: image (default), description, image+description, reason."),
]
Prompt = Annotated[Path | None, typer.Option(help="A wording of your own: another rubric.")]
MaxSide = Annotated[int | None, typer.Option(min=1, help="Scale images down to this longest side, pixels.")]
OutputFormat = Annotated[
    str | None, typer.Option(help="json_schema, json_object or text; default: the first the endpoint takes.")
]
Cache = Annotated[
    Path | None, typer.Option(envvar="VLSBENCH_CACHE", help="SQLite file of verdicts, shared by submissions.")
]
PriceIn = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens in.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens out.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="Stop before judging one submission costs more.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Questions at once of transformers:MODEL.")]


def _open(location: str | None) -> Store:
    """Open the store that is named, else ./submissions: what came with the package is never written to."""
    from vlsbench.hub.store import open_store

    return open_store(location or "submissions")


@store_commands.command()
def submit(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="submission.json and responses.jsonl.")],
    store: StoreAt = None,
    name: WhoWrites = None,
    pull_request: Annotated[
        bool, typer.Option("--pr", help="Propose it to a store on the Hub that you cannot write to.")
    ] = False,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="For maintainers: a constant policy (origin baseline), never ranked.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="For maintainers: take answers that were withdrawn or rejected, with a new card."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a submission and put it into a store. The same answers twice are one submission."""
    from vlsbench.store.intake import submit as submit_directory

    receipt = submit_directory(
        directory, _open(store), name=name, is_baseline=baseline, is_again=again, is_proposal=pull_request
    )
    if as_json:
        print(receipt.model_dump_json(indent=2))
    else:
        problems = receipt.report.problems
        shown = [f"{p.severity:8} {p}" for p in problems[:50]]
        if len(problems) > 50:
            shown.append(f"and {len(problems) - 50} more; `vlsbench check {directory}` lists them.")
        print("\n".join(shown), file=sys.stderr, end="\n" if shown else "")
        if receipt.pull_request is not None:
            print(f"{receipt.submission_id}\n{receipt.pull_request}")
        elif receipt.submission_id is not None:
            print(receipt.submission_id)
            print("received" if receipt.is_new else f"is there already: {receipt.state}", file=sys.stderr)
        print(f"next: {receipt.next_step}", file=sys.stderr)
    raise typer.Exit(0 if receipt.report.ok else 1)


@store_commands.command()
def queue(store: StoreAt = None, as_json: AsJson = False) -> None:
    """List what is in a store: where each submission stands, who judged it, and what comes next."""
    from vlsbench.store.queue import list_queue, render_queue

    rows = list_queue(_open(store).sync())
    print(f"[{', '.join(row.model_dump_json() for row in rows)}]" if as_json else render_queue(rows))


@store_commands.command()
def changelog(
    submission_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One submission only.")] = None,
    store: StoreAt = None,
    as_json: AsJson = False,
) -> None:
    """List who did what and when in a store, oldest first."""
    from vlsbench.store.queue import list_changes, render_changes

    changes = list_changes(_open(store).sync(), submission_id)
    print(f"[{', '.join(c.model_dump_json() for c in changes)}]" if as_json else render_changes(changes))


@store_commands.command()
def accept(submission_id: SubmissionId, store: StoreAt = None, name: WhoWrites = None) -> None:
    """Let judges that cost money judge a submission; takes a maintainer's rejection back."""
    from vlsbench.store.intake import accept as accept_submission

    accept_submission(submission_id, _open(store), name=name)
    print(f"{submission_id}: accepted", file=sys.stderr)


@store_commands.command()
def reject(
    submission_id: SubmissionId,
    reason: Annotated[str, typer.Option(help="Why; the submitter reads it.")],
    store: StoreAt = None,
    name: WhoWrites = None,
) -> None:
    """Keep a submission off the board until it is accepted."""
    from vlsbench.store.intake import reject as reject_submission

    reject_submission(submission_id, _open(store), reason, name=name)
    print(f"{submission_id}: rejected", file=sys.stderr)


@store_commands.command()
def withdraw(
    submission_id: SubmissionId,
    store: StoreAt = None,
    reason: Annotated[str, typer.Option(help="Why; the board's readers see it.")] = "",
    name: WhoWrites = None,
) -> None:
    """Take a submission back for good. Its files stay; the board does not show it any more."""
    from vlsbench.store.intake import withdraw as withdraw_submission

    withdraw_submission(submission_id, _open(store), reason, name=name)
    print(f"{submission_id}: withdrawn", file=sys.stderr)


@store_commands.command()
def work(
    store: StoreAt = None,
    judge_name: JudgeName = "offline",
    name: WhoWrites = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Judge at most so many submissions.")] = None,
    watch: Annotated[float | None, typer.Option(min=1, help="Look again after so many seconds, until stopped.")] = None,
    protocol: Protocol = None,
    data_path: DataPath = None,
    concurrency: Concurrency = 16,
    base_url: BaseUrl = None,
    evidence: Evidence = None,
    prompt: Prompt = None,
    max_side: MaxSide = None,
    output_format: OutputFormat = None,
    cache: Cache = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: MaxCost = None,
    batch_size: BatchSize = None,
) -> None:
    """Check, judge and publish what waits in a store. A judge other than offline takes only what was accepted."""
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.store.worker import Worker

    options = ModelOptions(
        evidence=evidence,
        prompt=prompt,
        max_side=max_side,
        output_format=output_format,
        cache=cache,
        price_in=price_in,
        price_out=price_out,
        max_cost=max_cost,
        batch_size=batch_size,
    )
    worker = Worker(
        _open(store),
        judge_name,
        name=name,
        protocol=protocol,
        data=data_path,
        base_url=base_url,
        concurrency=concurrency,
        options=options,
        on_done=_say,
    )
    with _stoppable():
        report = worker.work(limit=limit)
        _sum_up(report)
        while watch is not None:
            time.sleep(watch)
            try:
                report = worker.work(limit=limit, tries_failures=False)
            except UsageError:
                raise
            except VLSBenchError as error:
                print(f"error: {error}\nLooking again in {watch:g} s.", file=sys.stderr)
                continue
            if report.n_judged:
                _sum_up(report)
    raise typer.Exit(0 if report.is_good else 1)


@store_commands.command()
def rejudge(
    store: StoreAt = None,
    judge_name: JudgeName = "offline",
    name: WhoWrites = None,
    is_for_all: Annotated[
        bool, typer.Option("--all", help="Also ask a judge that costs money about what was not accepted.")
    ] = False,
    protocol: Protocol = None,
    data_path: DataPath = None,
    concurrency: Concurrency = 16,
    base_url: BaseUrl = None,
    evidence: Evidence = None,
    prompt: Prompt = None,
    max_side: MaxSide = None,
    output_format: OutputFormat = None,
    cache: Cache = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: MaxCost = None,
    batch_size: BatchSize = None,
) -> None:
    """Judge every submission of a store with another judge; the verdicts of the others stay beside its own."""
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.store.worker import Worker

    options = ModelOptions(
        evidence=evidence,
        prompt=prompt,
        max_side=max_side,
        output_format=output_format,
        cache=cache,
        price_in=price_in,
        price_out=price_out,
        max_cost=max_cost,
        batch_size=batch_size,
    )
    worker = Worker(
        _open(store),
        judge_name,
        name=name,
        protocol=protocol,
        data=data_path,
        base_url=base_url,
        concurrency=concurrency,
        options=options,
        is_for_all=is_for_all,
        on_done=_say,
    )
    with _stoppable():
        report = worker.rejudge()
    _sum_up(report)
    raise typer.Exit(0 if report.is_good else 1)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM, which ends a job, stop a run in order: what was judged is saved."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; what was judged is kept, and the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None


def _say(done: Done) -> None:
    if done.outcome != "waiting":
        print(f"{done.outcome:9} {done.submission_id}  {done.note}", flush=True)


def _sum_up(report: WorkReport) -> None:
    from vlsbench.store.worker import OUTCOMES

    if waiting := report.of("waiting"):
        ids = numbered([item.submission_id for item in waiting], limit=5)
        print(f"{len(waiting)} wait for a maintainer: {waiting[0].note}; so for {ids}", file=sys.stderr)
    counts = ", ".join(f"{len(report.of(outcome))} {outcome}" for outcome in OUTCOMES if report.of(outcome))
    print(counts or "nothing to do", file=sys.stderr)
