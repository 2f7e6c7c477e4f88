"""Judge a submission: find what has no verdict yet, ask a judge, put every verdict on disk as it comes.

The seam between the run and a judge is two things: a judge has a `rubric`, and it hands verdicts to `write` in any
order and any batch. What is not an answer (blank, an API error, a recorded failure) is named here and never sent.

A judge that a name opens (`vlsbench.judge.judges`) is an `OpenJudge`: it says under which rubrics it judges and whether
it has canaries, and it runs itself, so nobody outside this room asks which judge it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol, TypeVar

from vlsbench.cost import meter_of
from vlsbench.error_texts import why_not_an_answer
from vlsbench.errors import JudgeError, UsageError, amount, plural, visible
from vlsbench.files import append_lines, canonical_json, exclusive, read_regular, refuse_link, write_atomic
from vlsbench.judge.canaries import render_record, watch
from vlsbench.judge.verdicts import read_verdicts, verdicts_that_hold
from vlsbench.records import TRANSIENT_FAILURES, Abstention, Failure, Key, Response, Rubric, Verdict, outcomes_in_words
from vlsbench.text import OnProgress, Reached

if TYPE_CHECKING:
    from vlsbench.cost import RunEstimate
    from vlsbench.dataset.pictures import PictureSource

__all__ = [
    "AGAIN",
    "Asks",
    "FormatRefusedError",
    "Judge",
    "OpenJudge",
    "Pending",
    "RunOptions",
    "RunReport",
    "SettingRefusedError",
    "TemperatureRefusedError",
    "Write",
    "ask_itself",
    "candidates_left",
    "check_again",
    "count_unreadable",
    "find_pending",
    "render_run",
    "render_unreadable",
    "run",
    "run_watched",
]

AGAIN: Final[tuple[Failure, ...]] = ("judge_unparsable", "judge_cut", "judge_refused", "judge_filtered")
"""Failures of a judge that a run asks about again where it is told to: another day, server or parser may answer."""

_UNREADABLE: Final[frozenset[Failure]] = frozenset({"judge_unparsable", "judge_cut"})
"""Failures that are no decision of a judge or of a filter: a label is missing that better settings may bring."""


def check_again(names: str | None) -> frozenset[Failure]:
    """Read `--again`: failures of a judge, with commas between them.

    Raises:
        UsageError: If one is none that can be asked again.

    >>> sorted(check_again("judge_unparsable,judge_cut"))
    ['judge_cut', 'judge_unparsable']
    """
    given = [name.strip() for name in (names or "").split(",") if name.strip()]
    if (names is not None and not given) or not set(given) <= set(AGAIN):
        raise UsageError(
            f"--again {names!r}: it takes failures with commas between them, of {', '.join(AGAIN)} "
            "(judge_unreachable is asked again in any case)."
        )
    return frozenset(name for name in AGAIN if name in given)


Write = Callable[[Sequence[Verdict]], None]
"""Takes finished verdicts; they are on disk when it returns. Call it from one thread at a time."""


class SettingRefusedError(JudgeError):
    """The endpoint does not take how it is asked; nothing was judged. See `candidates_left`."""

    setting: ClassVar[str]
    """Attribute of the judge that another of `OpenJudge.candidates` has another value of."""


class FormatRefusedError(SettingRefusedError):
    """The endpoint takes no such output format."""

    setting = "output_format"


class TemperatureRefusedError(SettingRefusedError):
    """The model takes no temperature, or none but its own."""

    setting = "temperature"


class Judge(Protocol):
    """Who judges."""

    rubric: Rubric

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Decide on every response (each has a text) and pass the verdicts to `write` as they come.

        A judge that cannot decide writes a failure of the closed list; it raises only where it cannot go on at all
        (no key, wrong URL), after writing what it has.
        """


JudgeT = TypeVar("JudgeT", bound=Judge)
OpenJudgeT = TypeVar("OpenJudgeT", bound="OpenJudge")


def candidates_left(
    candidates: Sequence[OpenJudgeT], refused: OpenJudgeT, error: SettingRefusedError
) -> list[OpenJudgeT]:
    """Return those of the candidates that are asked otherwise than one that was refused, in the same order."""
    value = getattr(refused, error.setting)
    return [candidate for candidate in candidates if getattr(candidate, error.setting) != value]


def ask_itself(judge: Judge, responses: Sequence[Response], write: Write) -> None:
    """Let a judge decide on its own."""
    judge.judge(responses, write)


class RunReport(NamedTuple):
    """What a run of a judge left behind."""

    path: Path
    """The verdict file."""
    n_kept: int
    """Verdicts that were there before and hold."""
    n_new: int
    """Verdicts this run wrote."""
    n_pending: int
    """Responses still without a verdict, because of a limit."""
    counts: Mapping[str, int]
    """Verdicts that hold now, by label or failure."""
    judge_models: tuple[str, ...]
    """Model strings the judge's server returned; more than one means that it changed within the run."""
    notes: tuple[str, ...] = ()
    """Sentences about this run: its canaries, its tokens."""
    abstained: Mapping[Abstention, int] = MappingProxyType({})
    """Verdicts that are `judge_uncertain`, by the reason of a judge that gives one."""

    @property
    def n_transient(self) -> int:
        """Failures that the same command tries again."""
        return sum(count for name, count in self.counts.items() if name in TRANSIENT_FAILURES)

    @property
    def n_unreadable(self) -> int:
        """Replies without a label that can be read; only `--again` asks again."""
        return count_unreadable(self.counts)


class Pending(NamedTuple):
    """What a run has before it."""

    before: Mapping[Key, Verdict]
    """Verdicts that hold."""
    unanswered: Sequence[Verdict]
    """Verdicts on what is no answer: named without asking."""
    asked: Sequence[Response]
    """Responses the judge is asked about."""
    n_left: int
    """Responses left for another run, because of a limit."""


def find_pending(
    directory: Path,
    responses: Mapping[Key, Response],
    rubric: Rubric,
    *,
    limit: int | None = None,
    again: AbstractSet[Failure] = frozenset(),
) -> Pending:
    """Find what has no verdict yet, or only one that is transient or asked about again.

    Args:
        directory: The submission; the verdict file may be absent.
        limit: Ask about at most so many responses.
        again: Failures to ask about again; see `AGAIN`.

    Raises:
        SubmissionError: If the verdict file is broken.
    """
    path, rubric_id = _path_of(directory, rubric), rubric.rubric_id
    before = verdicts_that_hold(read_verdicts(path), responses)
    tried = TRANSIENT_FAILURES | again
    todo = [r for key, r in responses.items() if key not in before or before[key].failure in tried]
    unanswered = [v for response in todo if (v := _name_failure(response, rubric_id)) is not None]
    named = {(v.instruction_id, v.condition) for v in unanswered}
    asked = [response for response in todo if (response.instruction_id, response.condition) not in named]
    return Pending(before, unanswered, asked[:limit], 0 if limit is None else max(0, len(asked) - limit))


def _path_of(directory: Path, rubric: Rubric) -> Path:
    return directory / "verdicts" / f"{rubric.rubric_id}.jsonl"


def run(
    directory: Path,
    responses: Mapping[Key, Response],
    judge: JudgeT,
    *,
    limit: int | None = None,
    again: AbstractSet[Failure] = frozenset(),
    asks: Callable[[JudgeT, Sequence[Response], Write], None] = ask_itself,
    on_progress: OnProgress = lambda reached: None,
) -> RunReport:
    """Judge what has no verdict under the judge's rubric, and say what is there now.

    Args:
        directory: The submission; verdicts go to `verdicts/<rubric_id>.jsonl`, the rubric beside them.
        responses: The line that holds for every key.
        limit: Ask the judge about at most so many responses.
        again: Failures to ask about again; see `AGAIN`. A label is never superseded.
        asks: Has the judge decide; an engine hands in one that asks it elsewhere.
        on_progress: Told how many verdicts are written, of how many, after every batch.

    Raises:
        JudgeError: If the judge cannot go on; what it had decided is on disk.
        SubmissionError: If the verdict file is broken or another run is writing it.
    """
    rubric_id = judge.rubric.rubric_id
    path = _path_of(directory, judge.rubric)
    refuse_link(path.parent)
    with exclusive(path):
        _keep_rubric(path.with_name(f"{rubric_id}.rubric.json"), judge.rubric)
        pending = find_pending(directory, responses, judge.rubric, limit=limit, again=again)
        total = len(pending.unanswered) + len(pending.asked)
        n_new = n_failed = 0
        meter = meter_of(judge)

        def write(verdicts: Sequence[Verdict]) -> None:
            nonlocal n_new, n_failed
            append_lines(path, (verdict.model_dump_json(exclude_defaults=True) for verdict in verdicts))
            n_new += len(verdicts)
            n_failed += sum(verdict.failure is not None for verdict in verdicts)
            on_progress(Reached(n_new, total, n_failed, meter))

        write(pending.unanswered)
        if pending.asked:
            asks(judge, pending.asked, write)
    after = verdicts_that_hold(read_verdicts(path), responses)
    counts = Counter(str(verdict.label or verdict.failure) for verdict in after.values())
    models = tuple(sorted({v.judge_model for v in after.values() if v.judge_model is not None}))
    abstained = Counter(why for verdict in after.values() if (why := verdict.abstention) is not None)
    return RunReport(path, len(pending.before), n_new, pending.n_left, counts, models, abstained=abstained)


class OpenJudge(ABC):
    """A judge as its name opens it; see `vlsbench.judge.judges`. What is written out here is what most of them do."""

    rubric: Rubric
    has_canaries: bool = False
    """Whether a run judges responses with known labels first; False where they would say nothing."""
    output_format: str = "text"
    """For the history of runs."""

    @abstractmethod
    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Decide on every response; see `Judge`."""

    def candidates(self) -> Sequence[OpenJudge]:
        """Return the judge under every rubric that a run may settle on, in the order in which it tries them.

        The others are for where asking is a `SettingRefusedError` (see `candidates_left`); what a run settles on stays
        that of a submission.
        """
        return [self]

    def with_source(self, source: PictureSource, *, use_cache: bool = True) -> OpenJudge:
        """Return the same judge over other samples; itself where it sees none."""
        return self

    def check_samples(self, responses: Sequence[Response]) -> None:  # noqa: B027  # a judge of answers alone has nothing to look for
        """Look for what it is to see of the samples before it asks anything, canaries included.

        Raises:
            DataError: If samples lack it; the message names the ids.
        """

    def run(self, directory: Path, responses: Mapping[Key, Response], options: RunOptions) -> RunReport:
        """Judge what has no verdict yet, canaries first.

        Raises:
            DataError: If samples lack what the judge is to see, or pictures are broken.
            JudgeError: If the judge cannot go on; what it had decided is on disk.
            SubmissionError: If a file beside the verdicts is broken, or another run is writing.
            UsageError: If it has no batches, and was to use them.
        """
        if options.is_batch:
            raise UsageError(f"--batch is for openai:MODEL; {self.rubric.judge!r} has no batches.")
        return run_watched(
            directory,
            responses,
            self,
            limit=options.limit,
            again=options.again,
            asks=options.asks,
            on_progress=options.on_progress,
        )

    def estimate(
        self,
        directory: Path,
        responses: Mapping[Key, Response],
        *,
        limit: int | None = None,
        again: AbstractSet[Failure] = frozenset(),
    ) -> RunEstimate:
        """Say what `run` would ask and what it would cost. Asks nothing, writes nothing.

        Raises:
            UsageError: If it costs nothing.
        """
        raise UsageError(f"--dry-run says what a model judge costs; {self.rubric.judge!r} costs nothing.")


Asks = Callable[[OpenJudge, Sequence[Response], Write], None]
"""Has a judge decide on responses: itself, or on other machines."""


@dataclass(frozen=True)
class RunOptions:
    """How a judge runs."""

    limit: int | None = None
    """Ask about at most so many responses."""
    again: AbstractSet[Failure] = frozenset()
    """Failures to ask about again."""
    is_batch: bool = False
    """Ask through the endpoint's batches."""
    is_waiting: bool = True
    """Stay until the batches are back."""
    asks: Asks = ask_itself
    """Has the judge decide; the canaries it judges itself in any case."""
    on_progress: OnProgress = lambda reached: None
    """Called with (verdicts written, verdicts wanted)."""


def run_watched(
    directory: Path,
    responses: Mapping[Key, Response],
    judge: OpenJudge,
    *,
    limit: int | None = None,
    again: AbstractSet[Failure] = frozenset(),
    asks: Asks = ask_itself,
    on_progress: OnProgress = lambda reached: None,
) -> RunReport:
    """Judge what has no verdict yet, canaries first where the judge has them; see `run`."""
    notes: list[str] = []
    pending = find_pending(directory, responses, judge.rubric, limit=limit, again=again)
    if judge.has_canaries and pending.asked:
        judge.check_samples(pending.asked)
        record, _ = watch(directory, judge)
        notes.append(render_record(record))
    report = run(directory, responses, judge, limit=limit, again=again, asks=asks, on_progress=on_progress)
    return report._replace(notes=(*notes, *report.notes))


def _name_failure(response: Response, rubric_id: str) -> Verdict | None:
    """Make the verdict of what is not an answer, or None where it is one."""
    failure = response.failure if response.response is None else why_not_an_answer(response.response)
    if failure is None:
        return None
    return Verdict(
        instruction_id=response.instruction_id,
        condition=response.condition,
        failure=failure,
        rubric=rubric_id,
        response_sha256=response.digest,
    )


def _keep_rubric(path: Path, rubric: Rubric) -> None:
    text = canonical_json(rubric.model_dump(mode="json")) + "\n"
    if not path.exists():
        write_atomic(path, text)
    elif read_regular(path) != text.encode():
        raise JudgeError(f"{path}: not the rubric its name says; was it edited? Move it away and judge again.")


def count_unreadable(counts: Mapping[str, int]) -> int:
    """Count the verdicts, by label or failure, for want of a reply that can be read."""
    return sum(count for name, count in counts.items() if name in _UNREADABLE)


def render_unreadable(counts: Mapping[str, int], command: str = "the same command", *, noun: str = "response") -> str:
    """Say which labels are missing for want of a reply that can be read, and how to ask again.

    Args:
        counts: Verdicts, by label or failure.
        command: What to run once more.
        noun: What was judged.
    """
    found = [name for name in AGAIN if name in _UNREADABLE and counts.get(name)]
    return (
        f"{amount(count_unreadable(counts), noun)} without a label, as no reply could be read ({', '.join(found)}); "
        f"{command} with --again {','.join(found)} asks again."
    )


def render_run(report: RunReport, directory: Path) -> str:
    """Render what a run of a judge left behind."""
    counts = outcomes_in_words(report.counts, report.abstained)
    lines = [
        f"{amount(report.n_new, 'verdict')} written, {report.n_kept} {plural(report.n_kept, 'was', 'were')} there: "
        f"{counts or 'none'}",
        f"verdicts in {report.path}",
    ]
    if len(report.judge_models) > 1:
        lines.append(f"the server answered as several models: {', '.join(report.judge_models)}")
    if report.n_pending:
        lines.append(f"{amount(report.n_pending, 'response')} left for another run (--limit)")
    several = len(list(report.path.parent.glob("*.rubric.json"))) > 1
    lines.append(f"next: vlsbench score {directory}" + (f" --rubric {report.path.stem}" if several else ""))
    return visible("\n".join(lines))
