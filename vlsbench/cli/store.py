"""The commands of a store: `submit, queue, work, review, accept` and the rest. Thin: stdout is data, stderr is talk.

Exit: 0 complete, 1 the input is bad or something is left that the same command tries again, 2 the call is wrong. Errors
raised on purpose are printed by the main command.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.cli.options import AsJson, JudgeName, StoreAt, SubmissionId, WhoWrites, WorkSettings, with_groups
from vlsbench.cli.talk import say, show, stoppable
from vlsbench.errors import UsageError, VLSBenchError, amount, numbered
from vlsbench.text import Progress

if TYPE_CHECKING:
    from vlsbench.store.local import Store
    from vlsbench.store.worker import Done, Worker, WorkReport

__all__ = ["accept", "changelog", "queue", "reject", "rejudge", "review", "submit", "withdraw", "work"]


def _open(location: str | None) -> Store:
    """Open the store that is named, else ./submissions: what came with the package is never written to."""
    from vlsbench.hub.store import open_store

    return open_store(location or "submissions")


def submit(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="submission.json and responses.jsonl.")],
    store: StoreAt = None,
    name: WhoWrites = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="SET", help="The set of your own that was answered; the store knows it from then on."),
    ] = None,
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
    review: Annotated[
        bool, typer.Option("--review", help="Leave it for review also in a folder of your own; it is not ranked then.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a submission and put it into a store. The same answers twice are one submission."""
    from vlsbench.store.intake import submit as submit_directory

    opened = _open(store)
    receipt = submit_directory(
        directory,
        opened,
        name=name,
        data=data,
        is_baseline=baseline,
        is_again=again,
        is_proposal=pull_request,
        accepted_because="the store's owner submitted it" if (opened.is_own or baseline) and not review else None,
    )
    if as_json:
        print(receipt.model_dump_json(indent=2))
    else:
        problems = receipt.report.problems
        shown = [f"{p.severity:8} {p}" for p in problems[:50]]
        if len(problems) > 50:
            shown.append(f"and {len(problems) - 50} more; `vlsbench check {directory}` lists them.")
        show("\n".join(shown), sys.stderr, end="\n" if shown else "")
        if receipt.pull_request is not None:
            print(f"{receipt.submission_id}\n{receipt.pull_request}")
        elif receipt.submission_id is not None:
            print(receipt.submission_id)
            show("received" if receipt.is_new else f"is there already: {receipt.state}", sys.stderr)
        say(f"next: {receipt.next_step}")
    raise typer.Exit(0 if receipt.report.ok else 1)


def queue(store: StoreAt = None, as_json: AsJson = False) -> None:
    """List what is in a store: where each submission stands, who judged it, and what comes next."""
    from vlsbench.store.queue import list_queue, render_queue

    rows = list_queue(_open(store).sync())
    if as_json:
        print(f"[{', '.join(row.model_dump_json() for row in rows)}]")
    else:
        show(render_queue(rows))


def changelog(
    submission_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One submission only.")] = None,
    store: StoreAt = None,
    as_json: AsJson = False,
) -> None:
    """List who did what and when in a store, oldest first."""
    from vlsbench.store.queue import list_changes, render_changes

    changes = list_changes(_open(store).sync(), submission_id)
    print(f"[{', '.join(c.model_dump_json() for c in changes)}]" if as_json else render_changes(changes))


def accept(
    submission_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One submission.")] = None,
    store: StoreAt = None,
    name: WhoWrites = None,
    all_from: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="Every one that waits of this person, or of members of this organization."),
    ] = None,
) -> None:
    """Rank a submission, and let judges that cost money judge it; takes a maintainer's rejection back."""
    from vlsbench.store.intake import accept as accept_submission
    from vlsbench.store.intake import accept_all_from

    if (submission_id is None) == (all_from is None):
        raise UsageError("accept one submission by its id, or those of a person or an organization with --all-from")
    if submission_id is not None:
        accept_submission(submission_id, _open(store), name=name)
        say(f"{submission_id}: accepted")
        return
    found = accept_all_from(all_from or "", _open(store), name=name)
    for accepted in found.accepted:
        say(f"{accepted}: accepted")
    if found.only_claimed:
        ids = numbered(found.only_claimed, limit=10)
        say(f"left for review, because only their cards name {all_from}: {ids}", "warning")
    if not found.accepted:
        say(f"nothing of {all_from} waits for review")


def review(store: StoreAt = None, name: WhoWrites = None, as_json: AsJson = False) -> None:
    """Show what waits for a decision, one after the other, and decide with one key."""
    from vlsbench.board.counted import open_projection
    from vlsbench.board.review import list_waiting, render_waiting

    opened = _open(store)
    folder = opened.sync()
    waiting = list_waiting(folder, open_projection(folder).view())
    if as_json:
        print(f"[{', '.join(item.model_dump_json() for item in waiting)}]")
        return
    for number, item in enumerate(waiting, start=1):
        show(f"{number} of {len(waiting)}  {render_waiting(item)}")
        if sys.stdin.isatty() and not _decide(item.submission, opened, name):
            return
    say(f"{amount(len(waiting), 'submission')} without a decision" if waiting else "nothing waits for review")


def _decide(submission_id: str, store: Store, name: str | None) -> bool:
    """Ask for one key; False where the reviewer stops."""
    from vlsbench.store.intake import accept as accept_submission
    from vlsbench.store.intake import reject as reject_submission

    show("a accept · r reject · any other key: later · q stop", sys.stderr)
    match typer.getchar().lower():
        case "a":
            accept_submission(submission_id, store, name=name)
            say(f"{submission_id}: accepted")
        case "r":
            reason = typer.prompt("Why; the submitter reads it", err=True)
            reject_submission(submission_id, store, reason, name=name)
            say(f"{submission_id}: rejected")
        case "q":
            return False
    return True


def reject(
    submission_id: SubmissionId,
    reason: Annotated[str, typer.Option(help="Why; the submitter reads it.")],
    store: StoreAt = None,
    name: WhoWrites = None,
) -> None:
    """Keep a submission off the board until it is accepted."""
    from vlsbench.store.intake import reject as reject_submission

    reject_submission(submission_id, _open(store), reason, name=name)
    say(f"{submission_id}: rejected")


def withdraw(
    submission_id: SubmissionId,
    store: StoreAt = None,
    reason: Annotated[str, typer.Option(help="Why; the board's readers see it.")] = "",
    name: WhoWrites = None,
) -> None:
    """Take a submission back for good. Its files stay; the board does not show it any more."""
    from vlsbench.store.intake import withdraw as withdraw_submission

    withdraw_submission(submission_id, _open(store), reason, name=name)
    say(f"{submission_id}: withdrawn")


@with_groups
def work(
    store: StoreAt = None,
    judge: JudgeName = "offline",
    name: WhoWrites = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Judge at most so many submissions.")] = None,
    watch: Annotated[float | None, typer.Option(min=1, help="Look again after so many seconds, until stopped.")] = None,
    *,
    settings: WorkSettings,
) -> None:
    """Check, judge and publish what waits in a store. A judge other than offline takes only what was accepted."""
    with _stoppable(), Progress(stays=False) as progress:
        worker = _open_worker(store, judge, name, settings, progress)
        report = worker.work(limit=limit)
        _sum_up(report)
        while watch is not None:
            time.sleep(watch)
            try:
                report = worker.work(limit=limit, tries_failures=False)
            except UsageError:
                raise
            except VLSBenchError as error:
                show(f"error: {error}\nLooking again in {watch:g} s.", sys.stderr)
                continue
            if report.n_judged:
                _sum_up(report)
    raise typer.Exit(0 if report.is_good else 1)


@with_groups
def rejudge(
    store: StoreAt = None,
    judge: JudgeName = "offline",
    name: WhoWrites = None,
    is_for_all: Annotated[
        bool, typer.Option("--all", help="Also ask a judge that costs money about what was not accepted.")
    ] = False,
    *,
    settings: WorkSettings,
) -> None:
    """Judge every submission of a store with another judge; the verdicts of the others stay beside its own."""
    with _stoppable(), Progress(stays=False) as progress:
        report = _open_worker(store, judge, name, settings, progress, is_for_all=is_for_all).rejudge()
    _sum_up(report)
    raise typer.Exit(0 if report.is_good else 1)


def _open_worker(
    store: str | None,
    judge: str,
    name: str | None,
    settings: WorkSettings,
    progress: Progress,
    *,
    is_for_all: bool = False,
) -> Worker:
    from vlsbench.store.worker import Worker

    def say_done(done: Done) -> None:
        progress.start("judged")  # the next submission is counted anew
        _say(done)

    return Worker(
        _open(store),
        judge,
        name=name,
        protocol=settings.protocol,
        data=settings.data,
        base_url=settings.base_url,
        concurrency=settings.concurrency,
        is_for_all=is_for_all,
        options=settings.model_options(),
        again=settings.failures_again(),
        on_progress=progress,
        on_done=say_done,
    )


def _stoppable() -> AbstractContextManager[None]:
    """Let Ctrl-C and SIGTERM, which ends a job, stop a run in order: what was judged is saved."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return stoppable("what was judged is")


def _say(done: Done) -> None:
    if done.outcome != "waiting":
        show(f"{done.outcome:9} {done.submission_id}  {done.note}")


def _sum_up(report: WorkReport) -> None:
    from vlsbench.store.worker import OUTCOMES

    if waiting := report.of("waiting"):
        ids = numbered([item.submission_id for item in waiting], limit=5)
        say(f"{amount(len(waiting), 'waits', 'wait')} for a maintainer: {waiting[0].note}; so for {ids}", "warning")
    counts = ", ".join(f"{len(report.of(outcome))} {outcome}" for outcome in OUTCOMES if report.of(outcome))
    say(counts or "nothing to do")
