"""Judge what lies in a store: every submission that waits, or all of them again with another judge.

For each submission, one after the other: its lease, the gate, the judge, the count; then verdicts, result and events
are saved together, the events last. A worker that is killed leaves a workplace from which the next one goes on, so that
no verdict is paid twice; one that fails on a submission says so and goes on with the next.

Rule of the room: a judge that is not free costs somebody something, so it judges only what a maintainer accepted;
a submission that was withdrawn or rejected is not judged at all; the files of other rubrics are not touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from vlsbench.dataset.index import index_at
from vlsbench.errors import SubmissionError, UsageError, VLSBenchError, amount, visible
from vlsbench.judge.judges import ModelOptions, find_kind, open_judge
from vlsbench.judge.run import RunReport, count_unreadable, render_unreadable
from vlsbench.judge.verdicts import list_rubrics
from vlsbench.records import TRANSIENT_FAILURES, Failure
from vlsbench.screening.flags import read_safety_reasons, screen
from vlsbench.store.history import (
    Checked,
    Event,
    Judged,
    Published,
    Rejected,
    Scored,
    Standing,
    entry_of,
    fold,
    next_number,
    now,
    read_history,
    says_the_same,
)
from vlsbench.store.intake import Managed, adopt, history_files, open_managed, who_writes
from vlsbench.store.local import (
    Lease,
    Store,
    StoredSubmission,
    content_id,
    is_managed,
    list_submissions,
    sha256_of,
)
from vlsbench.store.sets import why_not_known
from vlsbench.submission.check import Submission, open_submission, read_submission
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import Scored as ScoredSubmission
from vlsbench.submission.scoring import score_submission, write_result
from vlsbench.text import OnProgress

__all__ = ["OUTCOMES", "Done", "WorkReport", "Worker"]

Outcome = Literal["published", "rejected", "waiting", "held", "stopped", "failed"]
"""`waiting`: not accepted yet. `held`: another worker has it. `stopped`: answers are left without a verdict."""

OUTCOMES: tuple[Outcome, ...] = Outcome.__args__  # type: ignore[attr-defined]


class Done(NamedTuple):
    """What a pass did with one submission."""

    submission_id: str
    outcome: Outcome
    note: str


class WorkReport(NamedTuple):
    """What a pass over a store did. Submissions for which nothing was to do are not in it."""

    done: tuple[Done, ...]

    def of(self, outcome: Outcome) -> list[Done]:
        """Return the submissions with this outcome."""
        return [item for item in self.done if item.outcome == outcome]

    @property
    def is_good(self) -> bool:
        """Nothing failed and nothing was left half done."""
        return not (self.of("failed") or self.of("stopped"))

    @property
    def n_judged(self) -> int:
        """Submissions that the pass looked at."""
        return len(self.done) - len(self.of("waiting")) - len(self.of("held"))


@dataclass(frozen=True)
class Worker:
    """Judges the submissions of a store with one judge."""

    store: Store
    judge: str = "offline"
    """As `vlsbench.judge.judges.open_judge` takes it."""
    name: str | None = None
    """Who works; None for the store's default."""
    protocol: str | None = None
    data: Path | None = None
    base_url: str | None = None
    concurrency: int = 16
    is_for_all: bool = False
    """Also ask a judge that is not free about what no maintainer accepted."""
    options: ModelOptions = ModelOptions()  # noqa: RUF009  # frozen
    """`max_cost` holds for each submission."""
    again: frozenset[Failure] = frozenset()
    """Failures of the judge to ask about again; see `vlsbench.judge.run.AGAIN`."""
    on_progress: OnProgress = lambda reached: None
    on_done: Callable[[Done], None] = lambda done: None
    """Called as soon as a submission is done with."""
    _rubrics: dict[str, frozenset[str]] = field(default_factory=dict, init=False, repr=False)

    def work(self, *, limit: int | None = None, tries_failures: bool = True) -> WorkReport:
        """Judge every managed submission that waits for this judge, those received first before the others.

        Args:
            limit: Judge at most so many.
            tries_failures: Also ask again where a verdict is a transient failure.

        Raises:
            SubmissionError: If there is no store.
            UsageError: If there is no such judge.
            KeyboardInterrupt: After saving what was judged.
        """
        return self._pass(lambda: self._waiting(tries_failures=tries_failures), limit)

    def work_on(self, submission_id: str) -> Done | None:
        """Judge one managed submission now; None where nothing was to do.

        Raises:
            SubmissionError: If it is not in the queue.
            UsageError: If there is no such judge.
            KeyboardInterrupt: After saving what was judged.
        """
        found = open_managed(self.store, submission_id)
        return self._try(StoredSubmission(found.submission_id, found.directory), who_writes(self.store, self.name))

    def rejudge(self) -> WorkReport:
        """Judge every submission of the store, also those made by hand; older verdicts stay beside the new ones.

        Raises:
            SubmissionError: If there is no store.
            UsageError: If there is no such judge.
            KeyboardInterrupt: After saving what was judged.
        """
        return self._pass(self._everything, None)

    def _pass(self, find: Callable[[], Iterator[StoredSubmission | Done]], limit: int | None) -> WorkReport:
        """Go over the store; what another worker held is tried once more at the end."""
        done: dict[str, Done] = {}
        n_judged = 0
        who = who_writes(self.store, self.name)
        self._rubric_ids("sample")  # a judge that does not exist is found before anything is done
        for _ in range(2):
            for item in find():
                name = item.submission_id
                if name in done and done[name].outcome != "held":
                    continue
                if isinstance(item, Done):
                    result: Done | None = item
                elif limit is not None and n_judged >= limit:
                    break
                else:
                    result = self._try(item, who)
                    n_judged += result is not None and result.outcome not in ("waiting", "held")
                if result is not None:
                    done[name] = result
                    self.on_done(result)
            if not any(item.outcome == "held" for item in done.values()):
                break
        return WorkReport(tuple(done.values()))

    def _waiting(self, *, tries_failures: bool) -> Iterator[StoredSubmission | Done]:
        found: list[tuple[str, StoredSubmission | Done]] = []
        for item in list_submissions(self.store.sync()):
            if not is_managed(item):
                continue
            try:
                standing = fold(read_history(item.directory))
            except SubmissionError as error:
                found.append(("", Done(item.submission_id, "failed", str(error))))
                continue
            if standing.state in ("withdrawn", "rejected"):
                continue
            judged = self._find_judged(item.directory, standing, tries_failures=tries_failures)
            if judged is not None:
                if tries_failures and (missing := _labels_missing(judged)) is not None:
                    found.append(("", missing))
                continue
            when = standing.received.when if standing.received else ""
            waits = standing.checked is not None and not self._may_judge(standing)
            note = Done(item.submission_id, "waiting", self._how_to_accept(item.submission_id))
            found.append((when, note if waits else item))
        yield from (item for _, item in sorted(found, key=lambda pair: (pair[0], pair[1].submission_id)))

    def _everything(self) -> Iterator[StoredSubmission | Done]:
        for item in list_submissions(self.store.sync()):
            if not is_managed(item):
                yield item
                continue
            try:
                standing = fold(read_history(item.directory))
            except SubmissionError as error:
                yield Done(item.submission_id, "failed", str(error))
                continue
            if standing.state in ("withdrawn", "rejected"):
                continue
            if (judged := self._find_judged(item.directory, standing, tries_failures=True)) is not None:
                if (missing := _labels_missing(judged)) is not None:
                    yield missing
                continue
            if not self._may_judge(standing):
                yield Done(item.submission_id, "waiting", self._how_to_accept(item.submission_id))
                continue
            yield item

    def _may_judge(self, standing: Standing) -> bool:
        return find_kind(self.judge).is_free or self.is_for_all or standing.is_accepted

    def _find_judged(self, directory: Path, standing: Standing, *, tries_failures: bool) -> Judged | None:
        """Return what this judge is done with; None where it is not, or where its rubrics cannot be told beforehand.

        Verdicts that somebody moved away are judged again, as the board asks for where they are not those of the event.
        """
        if standing.checked is None:
            return None
        for rubric in self._rubric_ids(standing.checked.dataset) & standing.published:
            judged = standing.judged.get(rubric)
            if judged is None or not _is_there(directory, rubric):
                continue
            if not (tries_failures and any(judged.counts.get(f) for f in TRANSIENT_FAILURES | self.again)):
                return judged
        return None

    def _rubric_ids(self, dataset: str) -> frozenset[str]:
        """Return the rubrics under which this judge may judge; empty where only a run can tell."""
        if dataset not in self._rubrics:
            self._rubrics[dataset] = self._find_rubric_ids(dataset)
        return self._rubrics[dataset]

    def _find_rubric_ids(self, dataset: str) -> frozenset[str]:
        kind = find_kind(self.judge)
        if not kind.opens_dry:
            return frozenset()
        data = self._data_of(dataset)
        if kind.sees_dataset and data is None and dataset != "sample":
            return frozenset()  # without pictures there is no such judge; a run will say so
        judge = open_judge(
            self.judge, protocol=self.protocol, dataset=dataset, data=data, options=self.options, is_dry=True
        )
        return frozenset(candidate.rubric.rubric_id for candidate in judge.candidates())

    def _data_of(self, dataset: str) -> Path | None:
        """Return where the pictures of a dataset lie; None for the packaged sample, and for what is not at hand."""
        if self.data is None or dataset == "sample":
            return None
        return self.data if index_at(self.data).name == dataset else None

    def _try(self, item: StoredSubmission, who: str) -> Done | None:
        """Judge one submission; what goes wrong with it stays with it."""
        name = item.submission_id
        try:
            with self.store.lease(name) as lease:
                if lease is None:
                    return Done(name, "held", "another worker has it")
                if not is_managed(item):
                    return self._judge_by_hand(item, lease)
                return self._judge_managed(open_managed(self.store, name), lease, who)
        except UsageError:
            raise
        except VLSBenchError as error:
            return Done(name, "failed", str(error))
        except OSError as error:
            if error.filename is None and error.strerror is None:
                raise
            return Done(name, "failed", visible(f"{error.filename}: {error.strerror}"))

    def _judge_managed(self, found: Managed, lease: Lease, who: str) -> Done | None:
        name, standing = found.submission_id, found.standing
        is_over = standing.state in ("withdrawn", "rejected")
        if is_over or self._find_judged(found.directory, standing, tries_failures=True) is not None:
            return None  # another worker, or a person, was faster
        if content_id(found.directory) != name:
            raise SubmissionError(f"{name}: card or answers are not those that were submitted; restore them.")
        writing = _Writing(found, who)
        submission, report = read_submission(found.directory)
        if submission is None:
            errors = [str(problem)[:500] for problem in report.problems if problem.severity == "error"]
            reasons = tuple(errors[:20])
            writing.add(Rejected(submission_id=name, when=now(), who=who, by="gate", reasons=reasons))
            lease.save(writing.files(), f"Reject {name}")
            return Done(name, "rejected", "; ".join(reasons))
        if (unknown := why_not_known(self.store, submission.index)) is not None:
            return Done(name, "waiting", unknown)
        reasons_at_hand = read_safety_reasons(submission.index.name, self._data_of(submission.index.name))
        screening = screen(submission.responses, submission.index, safety_reasons=reasons_at_hand)
        writing.add(
            Checked(
                submission_id=name,
                when=now(),
                who=who,
                dataset=submission.index.name,
                config=submission.index.config,
                n_samples=len(submission.index.risky),
                n_answered=report.n_answered,
                n_warnings=sum(problem.severity == "warning" for problem in report.problems),
                flags=tuple(flag.message for flag in screening.flags),
                not_screened=screening.not_screened,
            )
        )
        if not self._may_judge(standing):
            if writing.new:
                lease.save(writing.files(), f"Check {name}")
            return Done(name, "waiting", self._how_to_accept(name))
        submission = replace(submission, directory=self.store.open_workplace(name))
        try:
            run = self._ask(submission)
        except (VLSBenchError, KeyboardInterrupt):
            self._save(submission, writing, found, lease)  # what was decided was paid for
            raise
        return self._save(submission, writing, found, lease, run)

    def _ask(self, submission: Submission) -> RunReport:
        run = judge_directory(
            submission.directory,
            self.judge,
            protocol=self.protocol,
            data=self._data_of(submission.index.name),
            base_url=self.base_url,
            concurrency=self.concurrency,
            again=self.again,
            options=self.options,
            on_progress=self.on_progress,
        )
        if not self._rubric_ids(submission.index.name):
            self._rubrics[submission.index.name] = frozenset({run.path.stem})
        return run

    def _save(
        self,
        submission: Submission,
        writing: _Writing,
        found: Managed,
        lease: Lease,
        run: RunReport | None = None,
    ) -> Done | None:
        """Save the verdicts of every rubric that the workplace has more of than the store, with their events.

        Args:
            run: Of the judge; None where it was stopped.
        """
        name, work, stored, standing = found.submission_id, submission.directory, found.directory, found.standing
        files: dict[str, bytes | Path] = {}
        n_undecided = 0
        for rubric_id in list_rubrics(work):
            judged = standing.judged.get(rubric_id)
            sha256 = sha256_of(work / "verdicts" / f"{rubric_id}.jsonl")
            is_known = judged is not None and judged.sha256 == sha256 and rubric_id in standing.published
            if is_known and _is_there(stored, rubric_id):
                continue
            scored = score_submission(submission, rubric_id)
            _add_events(writing, scored, sha256)
            files |= _rubric_files(name, work, rubric_id)
            if run is not None and run.path.stem == rubric_id:
                n_undecided = scored.n_undecided
        if files or writing.new:
            lease.save(files | writing.files(), f"Judge {name}")
        self.store.close_workplace(name)
        if run is None or not (files or writing.new):
            return None
        n_left = n_undecided + run.n_transient
        note = f"{run.path.stem}: " + ", ".join(f"{count} {label}" for label, count in sorted(run.counts.items()))
        if n_left:
            return Done(
                name,
                "stopped",
                f"{note}; {amount(n_left, 'answer is', 'answers are')} without a label, the same command tries again",
            )
        if run.n_unreadable:
            return Done(name, "stopped", f"{note}; {render_unreadable(run.counts)}")
        return Done(name, "published", note)

    def _judge_by_hand(self, item: StoredSubmission, lease: Lease) -> Done | None:
        """Judge a directory that somebody made: no history, the files as `judge` and `score` write them."""
        name = item.submission_id
        work = self.store.open_workplace(name)
        submission = open_submission(work)
        run = self._ask(submission)
        rubric_id = run.path.stem
        if not run.n_new and (item.directory / "results" / f"{rubric_id}.json").exists():
            if not run.n_unreadable:
                return None
            return Done(name, "stopped", f"{rubric_id}: {render_unreadable(run.counts)}")
        write_result(score_submission(submission, rubric_id))
        lease.save(_rubric_files(name, work, rubric_id), f"Judge {name}")
        self.store.close_workplace(name)
        if run.n_transient:
            note = (
                f"{amount(run.n_transient, 'answer is', 'answers are')} without a label, the same command tries again"
            )
            return Done(name, "stopped", f"{rubric_id}: {note}")
        if run.n_unreadable:
            return Done(name, "stopped", f"{rubric_id}: {render_unreadable(run.counts)}")
        return Done(name, "published", f"{rubric_id}: {amount(run.n_new, 'verdict')}")

    def _how_to_accept(self, name: str) -> str:
        return f"`vlsbench accept {name}` lets {self.judge} judge it"


def _labels_missing(judged: Judged) -> Done | None:
    """Say of what is judged that labels are missing which only `again` asks for; None where none is."""
    if not count_unreadable(judged.counts):
        return None
    return Done(judged.submission_id, "stopped", f"{judged.rubric_id}: {render_unreadable(judged.counts)}")


class _Writing:
    """The events of a submission: those there are, and those that are to be written."""

    def __init__(self, found: Managed, who: str) -> None:
        self.submission_id = found.submission_id
        self.who = who
        self._entries = adopt(found, who)
        self.new = [] if found.history else list(self._entries)

    def add(self, event: Event) -> None:
        """Write an event, unless the last one of its kind says the same."""
        for entry in reversed(self._entries):
            if _kind(entry.event) == _kind(event):
                if says_the_same(entry.event, event):
                    return
                break
        entry = entry_of(event, next_number(self._entries))
        self._entries.append(entry)
        self.new.append(entry)

    def files(self) -> dict[str, bytes | Path]:
        """Return the files of the new events."""
        return history_files(self.submission_id, self.new)


def _kind(event: Event) -> tuple[str, str | None]:
    return event.state, event.rubric_id if isinstance(event, Judged | Scored | Published) else None


def _add_events(writing: _Writing, scored: ScoredSubmission, sha256: str) -> None:
    """Write the result into the workplace, and say what was judged; published is what has no answer left undecided."""
    name, who, rubric_id = writing.submission_id, writing.who, scored.result.rubric
    counts = Counter(str(verdict.label or verdict.failure) for verdict in scored.verdicts.values())
    result = write_result(scored)
    writing.add(
        Judged(
            submission_id=name,
            when=now(),
            who=who,
            rubric_id=rubric_id,
            sha256=sha256,
            counts=dict(sorted(counts.items())),
            n_undecided=scored.n_undecided,
        )
    )
    if scored.n_undecided:
        return
    writing.add(
        Scored(
            submission_id=name,
            when=now(),
            who=who,
            rubric_id=rubric_id,
            sha256=sha256_of(result),
            safe_rate=scored.result.safe_rate,
        )
    )
    writing.add(Published(submission_id=name, when=now(), who=who, rubric_id=rubric_id))


def _is_there(directory: Path, rubric_id: str) -> bool:
    """Say whether a submission has verdicts of a rubric and the rubric itself; neither counts without the other."""
    return all((directory / "verdicts" / f"{rubric_id}{end}").is_file() for end in (".jsonl", ".rubric.json"))


def _rubric_files(name: str, work: Path, rubric_id: str) -> dict[str, bytes | Path]:
    """Return the files of one rubric that are there, by their path below the store."""
    paths = [Path("verdicts") / f"{rubric_id}{end}" for end in (".jsonl", ".rubric.json", ".run.json")]
    paths.append(Path("results") / f"{rubric_id}.json")
    return {f"{name}/{path.as_posix()}": work / path for path in paths if (work / path).is_file()}
