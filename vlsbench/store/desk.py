"""From files that a stranger uploads to a report, and from there to a receipt: the gate behind the Submit page.

A file is checked in a process of its own, bounded in time, memory and written bytes, because what reads it includes
libraries that were not made for hostile input. Nothing is kept between a check and a submission: what is submitted is
checked again, from the same files, and that is what is stored.

Rule of the room: the name of an uploaded file is never a path and never decides how it is read; only `submission.json`
and `responses.jsonl` are known by name. Nothing here knows a page; who submits is told by the caller.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from vlsbench.dataset.index import INDEX_FILE
from vlsbench.errors import SubmissionError, UsageError, VLSBenchError, amount, masked, numbered, plural
from vlsbench.files import open_regular, read_lines, write_atomic
from vlsbench.records import Name, Record, Response, SubmissionCard, explain
from vlsbench.store.history import State
from vlsbench.store.intake import submit
from vlsbench.store.local import Store, StoreAbsentError, content_id, read_card
from vlsbench.store.queue import list_queue
from vlsbench.store.rules import Rules, read_rules
from vlsbench.store.worker import Worker
from vlsbench.submission.check import CARD_FILE, CHECKS, MAX_PROBLEMS, RESPONSES_FILE, CheckReport, NamedCheck, check
from vlsbench.submission.importers.formats import import_file

__all__ = [
    "CHECK_SECONDS",
    "MAX_FILES",
    "MAX_UPLOAD_BYTES",
    "AtOnce",
    "Desk",
    "Pace",
    "Submitted",
    "UploadForm",
    "UploadProblem",
    "UploadReport",
    "Uploaded",
    "check_upload",
    "checked_name",
    "end_checks",
    "read_card",
]

logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES: Final = 64 << 20
"""Largest file, 64 MiB: 2,241 answers of 1,000 tokens under all five conditions are some 50 MB."""

MAX_FILES: Final = 8
"""Files of one upload: a submission has two, and whoever selects a whole folder brings a few that are passed over."""

CHECK_SECONDS: Final = 120
"""Longest check. 2,241 answers of any format take about 2 s, 11,205 of 1 kB some 5 s, on one slow core."""

_MAX_MEMORY_BYTES: Final = 6 << 30
"""Address space of a check: importing pandas, pyarrow and Inspect alone reserves 2 GiB, of which 0.3 GiB are used."""

_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""What a check is told of the environment: no token is where a stranger's file is read."""

_SECONDS: Final = "VLSBENCH_CHECK_SECONDS"
_WORK: Final = "submission"
_CLEAN_NAME: Final = 80
_FORM: Final = "the form"


class Uploaded(NamedTuple):
    """One uploaded file."""

    path: Path
    """Where the server put it."""
    name: str
    """As its owner calls it; shown, never used as a path."""


class UploadForm(Record):
    """What a submitter says of the model, as typed; empty where nothing is said. It stands over what a file says."""

    model: str = ""
    organization: str = ""
    access: Literal["", "open", "closed"] = ""
    parameters: str = ""
    base_model: str = ""
    alignment: Literal["", "none", "textual", "multimodal"] = ""
    max_new_tokens: str = ""
    url: str = ""


class UploadProblem(Record):
    """One thing that is wrong."""

    severity: Literal["error", "warning"]
    file: str
    """As its owner calls it, or `the form`."""
    line: int | None
    message: str


class UploadReport(Record):
    """What a check of an upload found."""

    ok: bool
    """Nothing is wrong that would keep it from being submitted."""
    submission_id: str | None
    """The id that this content has; null where it does not pass."""
    format: str | None
    """`submission`: the files of a submission as they are. Null where it could not be told."""
    card: SubmissionCard | None
    dataset: str | None
    config: str | None
    n_samples: int | None
    n_answered: int
    checks: tuple[NamedCheck, ...]
    """All named checks, `not run` where the files did not come so far."""
    notes: tuple[str, ...]
    n_problems: int
    problems: tuple[UploadProblem, ...]


class Submitted(NamedTuple):
    """What became of an upload."""

    report: UploadReport
    submission_id: str | None
    """The receipt; None where nothing was stored."""
    is_new: bool
    state: State | None
    refusal: str | None
    """Why it was not stored although it may pass the gate; one sentence."""


_OUR_FILES: Final = (CARD_FILE, RESPONSES_FILE, INDEX_FILE)
"""The files of a submission; the last is there where it answers a constructed set."""


class _Told(Record):
    """What the checking process is told: names of files in its own folder, each with what its owner calls it."""

    files: tuple[tuple[str, str], ...]
    form: UploadForm


def checked_name(name: str) -> str:
    """Return a name that events may be written under.

    Raises:
        UsageError: If it cannot be printed on pages, or is empty.
    """
    try:
        return TypeAdapter[str](Name).validate_python(name.strip())
    except ValidationError as error:
        raise UsageError(f"Your name: {'; '.join(explain(error, rename={'line': 'it'}))}.") from None


def check_upload(files: Sequence[Uploaded], form: UploadForm, *, seconds: float = CHECK_SECONDS) -> UploadReport:
    """Check what was uploaded, and keep nothing of it. Never raises for what the files hold."""
    with _checked(files, form, seconds) as (report, _):
        return report


@contextmanager
def _checked(files: Sequence[Uploaded], form: UploadForm, seconds: float) -> Iterator[tuple[UploadReport, Path]]:
    """Check an upload; for the length of the block the submission that was made of it lies in the folder."""
    with tempfile.TemporaryDirectory(prefix="vlsbench-upload-") as temporary:
        work = Path(temporary)
        told, problems = _take(files, form, work)
        report = _refused(problems) if told is None else _check_beside(told, work, seconds)
        yield report, work / _WORK


def _take(files: Sequence[Uploaded], form: UploadForm, work: Path) -> tuple[_Told | None, list[UploadProblem]]:
    """Copy the files under names of ours."""
    if not files:
        return None, [_error("the upload", "no file yet; choose one, or the two files of a submission")]
    if len(files) > MAX_FILES:
        rule = f"{len(files)} files; at most {MAX_FILES} are taken. Of a folder, {CARD_FILE} and {RESPONSES_FILE} do"
        return None, [_error("the upload", rule)]
    problems = []
    names = []
    for number, item in enumerate(files):
        target = f"{number}{'.pkl' if item.name.lower().endswith(('.pkl', '.pickle')) else '.upload'}"
        try:
            size = _copy(item.path, work / target)
        except OSError as error:
            rule = f"is no longer here ({error.strerror}); uploads are kept for an hour. Choose it again"
            problems.append(_error(_clean(item.name), rule))
            continue
        if size > MAX_UPLOAD_BYTES:
            rule = f"more than {MAX_UPLOAD_BYTES:,} bytes; write the answers without pictures and events"
            problems.append(_error(_clean(item.name), rule))
        names.append((target, _clean(item.name)))
    return (None if problems else _Told(files=tuple(names), form=form)), problems


def _copy(source: Path, target: Path) -> int:
    """Copy a regular file, a little further than the limit at most; return the bytes copied."""
    size = 0
    with open_regular(source) as file, target.open("wb") as out:
        while size <= MAX_UPLOAD_BYTES and (block := file.read(1 << 20)):
            size += out.write(block)
    return size


def _clean(name: str) -> str:
    """Make the name of a file fit to be shown."""
    return masked(Path(name).name)[:_CLEAN_NAME] or "a file without a name"


def _check_beside(told: _Told, work: Path, seconds: float) -> UploadReport:
    """Check in a process of its own; it is started by name, because to fork a server's threads is not safe."""
    command = [sys.executable, "-P", "-c", f"from {__name__} import _check_told; _check_told()"]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # One thread: numeric libraries reserve address space for each.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", _SECONDS: str(int(seconds) + 1)}
    with subprocess.Popen(  # noqa: S603 (this interpreter, and this module)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=work,
        env=environment,
    ) as process:
        _running.add(process)
        try:
            said, complaint = process.communicate(told.model_dump_json().encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            rule = f"could not be checked within {seconds:.0f} s; `vlsbench check` on your own machine takes its time"
            return _refused([_error("the upload", rule)])
        finally:
            process.kill()
            _running.discard(process)
    if process.returncode == 0:
        return UploadReport.model_validate_json(said)
    logger.warning("a check ended with %d: %r", process.returncode, complaint[-500:])
    rule = (
        "could not be checked: it needs more memory than a check has. Write the answers as JSON lines, one per sample"
    )
    return _refused([_error("the upload", rule)])


_running: Final[set[subprocess.Popen[bytes]]] = set()


def end_checks() -> None:
    """End the checks that run in other threads of this process: it ends itself, and would wait for them."""
    for process in list(_running):
        process.kill()


def _check_told() -> None:
    """Check what stands on stdin, in the current folder, and write the report to stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MAX_UPLOAD_BYTES, 2 * MAX_UPLOAD_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cpu_seconds = int(os.environ[_SECONDS])
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    told = _Told.model_validate_json(sys.stdin.buffer.read())
    report = _check_here(told).model_dump_json()
    sys.stdout.buffer.write(report.encode())


def _error(file: str, message: str) -> UploadProblem:
    return UploadProblem(severity="error", file=file, line=None, message=f"{message.rstrip('.')}.")


def _refused(problems: Sequence[UploadProblem]) -> UploadReport:
    """Report what did not come as far as the named checks."""
    return _report(None, None, None, (), problems, n_more=0)


def _report(
    gate: CheckReport | None,
    card: SubmissionCard | None,
    format_name: str | None,
    notes: Sequence[str],
    problems: Sequence[UploadProblem],
    *,
    n_more: int,
    submission_id: str | None = None,
) -> UploadReport:
    not_run = tuple(NamedCheck(name=name, rule=rule, status="not run", n_problems=0) for name, rule in CHECKS.items())
    is_bad = any(problem.severity == "error" for problem in problems)
    ok = gate is not None and gate.ok and not is_bad and submission_id is not None
    return UploadReport(
        ok=ok,
        submission_id=submission_id if ok else None,
        format=format_name,
        card=card,
        dataset=gate.dataset if gate is not None else None,
        config=gate.config if gate is not None else None,
        n_samples=gate.n_samples if gate is not None else None,
        n_answered=gate.n_answered if gate is not None else 0,
        checks=gate.checks if gate is not None else not_run,
        notes=tuple(notes),
        n_problems=len(problems) + n_more,
        problems=tuple(problems[: 2 * MAX_PROBLEMS]),
    )


class _Made(NamedTuple):
    """A submission made of the files, without what the form says."""

    format: str | None
    notes: tuple[str, ...]
    problems: list[UploadProblem]
    n_more: int
    """Problems that are counted and not listed."""
    is_there: bool
    """There is a folder to pass through the gate."""


def _check_here(told: _Told) -> UploadReport:
    """Make a submission in the current folder and pass it through the gate; all paths in messages are relative."""
    said, problems = _said(told.form)
    made = _make(told, said)
    problems += made.problems
    if not made.is_there:
        return _report(None, None, made.format, made.notes, problems, n_more=made.n_more)
    folder = Path(_WORK)
    card, about_card = _complete_card(folder, said)
    problems += about_card
    gate = check(folder)
    problems += [
        UploadProblem(severity=item.severity, file=item.file, line=item.line, message=item.message)
        for item in gate.problems
    ]
    n_hidden = sum(item.n_problems for item in gate.checks) - len(gate.problems)
    submission_id = content_id(folder)
    return _report(
        gate, card, made.format, made.notes, problems, n_more=made.n_more + n_hidden, submission_id=submission_id
    )


def _said(form: UploadForm) -> tuple[Mapping[str, object], list[UploadProblem]]:
    """Return what the form says, as fields of a card, and what is wrong with it."""
    said: dict[str, object] = {
        name: value.strip() for name, value in form.model_dump(exclude={"max_new_tokens"}).items() if value.strip()
    }
    if "parameters" in said and str(said["parameters"]).isdecimal():
        said["parameters"] = int(str(said["parameters"])[:20])
    if tokens := form.max_new_tokens.strip():
        said["settings"] = {"max_new_tokens": int(tokens[:12]) if tokens.isdecimal() else tokens}
    problems = []
    try:
        _card_of({"model": "unnamed", **said})
    except ValidationError as error:
        problems = [_error(_FORM, sentence) for sentence in explain(error)]
        wrong = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
        said = {name: value for name, value in said.items() if name not in wrong}
    return said, problems


def _card_of(said: Mapping[str, object]) -> SubmissionCard:
    return SubmissionCard.model_validate_json(json.dumps(said))


def _make(told: _Told, said: Mapping[str, object]) -> _Made:
    """Put a submission into the folder `submission`, out of its own two files or of another tool's one."""
    by_name: dict[str, list[str]] = {}
    for path, name in told.files:
        by_name.setdefault(name, []).append(path)
    twice = [name for name in _OUR_FILES if len(by_name.get(name, ())) > 1]
    if twice:
        return _Made(None, (), [_error(name, "is there twice; keep one") for name in twice], 0, is_there=False)
    others = [name for _, name in told.files if name not in _OUR_FILES]
    if RESPONSES_FILE in by_name and (CARD_FILE in by_name or _is_ours(by_name[RESPONSES_FILE][0])):
        notes = (f"passed over: {numbered(sorted(others))}; verdicts and results are made here",) if others else ()
        return _make_of_ours(by_name, said, notes)
    if CARD_FILE in by_name or len(told.files) > 1:
        rule = (
            f"several files are the folder of a submission, and {RESPONSES_FILE} is not among them. Upload another "
            "tool's file alone, and say in the form what its card would"
        )
        return _Made(None, (), [_error("the upload", rule)], 0, is_there=False)
    path, name = told.files[0]
    if _is_ours(path):
        return _make_of_ours({RESPONSES_FILE: [path]}, said, ())
    return _import(path, name, said)


def _is_ours(path: str) -> bool:
    """Say whether a file begins with a line of `responses.jsonl`."""
    line = next(read_lines(Path(path)), None)
    try:
        return line is not None and Response.model_validate_json(line.data) is not None
    except ValidationError:
        return False


def _make_of_ours(by_name: Mapping[str, Sequence[str]], said: Mapping[str, object], notes: tuple[str, ...]) -> _Made:
    folder = Path(_WORK)
    folder.mkdir()
    Path(by_name[RESPONSES_FILE][0]).rename(folder / RESPONSES_FILE)
    if INDEX_FILE in by_name:
        Path(by_name[INDEX_FILE][0]).rename(folder / INDEX_FILE)
    if CARD_FILE in by_name:
        Path(by_name[CARD_FILE][0]).rename(folder / CARD_FILE)
    elif "model" not in said:
        rule = f"which model answered? Fill in its name, or upload {CARD_FILE} too"
        return _Made("submission", notes, [_error(_FORM, rule)], 0, is_there=False)
    return _Made("submission", notes, [], 0, is_there=True)


_PLACE: Final = re.compile(r":(?P<line>\d+)| row (?P<row>\d+)")


def _import(path: str, name: str, said: Mapping[str, object]) -> _Made:
    try:
        report = import_file(path, _WORK, model=str(said["model"]) if "model" in said else None)
    except VLSBenchError as error:
        return _Made(None, (), [_error(name, _for_the_page(str(error), path))], 0, is_there=False)
    problems = []
    for sentence in report.problems:
        rest = sentence.removeprefix(path)
        match = _PLACE.match(rest)
        line = int(next(filter(None, match.groups()))[:12]) if match else None
        message = _for_the_page(rest[match.end() if match else 0 :].lstrip(": "), path)
        problems.append(UploadProblem(severity="error", file=name, line=line, message=message))
    notes = list(report.notes)
    if report.ignored:
        notes.append(f"columns passed over: {numbered([column[:40] for column in report.ignored])}")
    return _Made(
        report.format,
        tuple(_for_the_page(note, path) for note in notes),
        problems,
        report.n_problems - len(report.problems),
        is_there=report.directory is not None,
    )


def _for_the_page(sentence: str, path: str) -> str:
    """Say what a command line would be told as a page says it; the name of our copy means nothing to its owner."""
    sentence = sentence.replace("give --model NAME", "fill in the model's name")
    for flag in ("--data", "--trust-ids", "--id-column", "--response-column", "--text-column"):
        sentence = sentence.replace(flag, f"`vlsbench import {flag}`")
    return sentence.removeprefix(f"{path}: ").replace(path, "the file")


def _complete_card(folder: Path, said: Mapping[str, object]) -> tuple[SubmissionCard | None, list[UploadProblem]]:
    """Put what the form says over what the card says; a card that is broken is left to the gate."""
    path = folder / CARD_FILE
    found: dict[str, object] = {}
    if path.exists():
        card = read_card(folder)
        if card is None:
            return None, []
        if card.origin == "baseline":
            rule = "origin 'baseline' marks a constant policy, which the board's maintainer adds. Remove it"
            return card, [_error(CARD_FILE, rule)]
        if not said:
            return card, []
        found = card.model_dump(mode="json", exclude_defaults=True)
    settings = {**_object(found.get("settings")), **_object(said.get("settings"))}
    merged = {**found, **said, **({"settings": settings} if settings else {})}
    try:
        card = _card_of(merged)
    except ValidationError as error:
        return None, [_error(_FORM, sentence) for sentence in explain(error)]
    write_atomic(path, card.model_dump_json(indent=2, exclude_defaults=True) + "\n")
    return card, []


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


class Pace:
    """How often each asks within a minute; remembers the last `_MAX_KNOWN` of them and no longer than that minute."""

    _MAX_KNOWN: Final = 10_000

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow each asker so many within any minute."""
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, who: str) -> bool:
        """Say whether `who` may ask now, and count it where so."""
        now = self._clock()
        with self._lock:
            times = self._asked.setdefault(who, deque())
            self._asked.move_to_end(who)
            while times and times[0] <= now - 60:
                times.popleft()
            is_allowed = len(times) < self._per_minute
            if is_allowed:
                times.append(now)
            while len(self._asked) > self._MAX_KNOWN:
                self._asked.popitem(last=False)
            return is_allowed


class AtOnce:
    """Who has something under way: one thing each at a time, so that nobody holds every place there is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    @contextmanager
    def hold(self, who: str) -> Iterator[bool]:
        """Hold the place of `who` for the length of the block; False where it is held already."""
        with self._lock:
            is_free = who not in self._under_way
            self._under_way.add(who)
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._under_way.discard(who)


def _shared(card: SubmissionCard | None, organizations: Sequence[str]) -> str | None:
    """Return the organization that a card names, where it is one of these; None where it is not."""
    named = None if card is None else card.organization
    return named if named is not None and named.casefold() in map(str.casefold, organizations) else None


@dataclass(frozen=True)
class Desk:
    """Takes uploads for a store."""

    store: Store
    per_day: int | None = None
    """Submissions that one name may make within 24 hours; None for any number."""
    needs_sign_in: bool = False
    """Who submits is signed in with the Hub; a name that somebody typed counts for nothing."""
    name: str = "leaderboard"
    """Who writes what the offline judge found."""
    check_seconds: float = CHECK_SECONDS

    def submit(
        self, files: Sequence[Uploaded], form: UploadForm, who: str, organizations: Sequence[str] = ()
    ) -> Submitted:
        """Check an upload again and store what passes, for review unless the store's rules trust who submits.

        Args:
            who: Who submits: signed in, or a name that was typed where nobody signs in.
            organizations: Names of those that the Hub vouches `who` to be a member of.

        Raises:
            VLSBenchError: If the store cannot be read or written.
        """
        with _checked(files, form, self.check_seconds) as (report, folder):
            if report.submission_id is None:
                return Submitted(report, None, False, None, None)
            with self.store.turn():  # what is counted stays true until what is counted for is stored
                refusal = self._why_not_today(report.submission_id, who)
                if refusal is not None:
                    return Submitted(report, None, False, None, refusal)
                member_of = _shared(report.card, organizations)
                is_trusted = self.needs_sign_in and self._rules().trusts(who, member_of)
                try:
                    receipt = submit(
                        folder,
                        self.store,
                        name=who,
                        accepted_because="the store's rules trust who submitted it" if is_trusted else None,
                        member_of=member_of,
                    )
                except SubmissionError as error:  # this very content was withdrawn or rejected
                    return Submitted(report, None, False, None, str(error).replace(str(folder), _WORK))
        if receipt.submission_id is None:  # pragma: no cover - it passed the same gate a moment ago
            return Submitted(report, None, False, None, "it does not pass the gate")
        return Submitted(report, receipt.submission_id, receipt.is_new, receipt.state, None)

    def _rules(self) -> Rules:
        try:
            return read_rules(self.store.sync())
        except StoreAbsentError:
            return Rules()

    def judge(self, submission_id: str) -> str | None:
        """Let the offline judge judge a submission that was stored just now.

        Returns:
            Why it is not judged now; None where it is.

        Raises:
            VLSBenchError: If the store cannot be read or written.
        """
        done = Worker(self.store, judge="offline", name=self.name).work_on(submission_id)
        self.store.sync()  # what the worker saved on the Hub is in the mirror from now on
        return None if done is None or done.outcome == "published" else done.note

    def _why_not_today(self, submission_id: str, who: str) -> str | None:
        """Say why `who` may not submit now; content that is there already counts for nothing."""
        since = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            rows = list_queue(self.store.sync())
        except StoreAbsentError:
            return None
        if any(row.submission_id == submission_id for row in rows):
            return None
        n_open = sum(row.who == who and row.is_open for row in rows)
        max_open = self._rules().max_open
        if n_open >= max_open:
            return (
                f"{amount(n_open, 'submission')} of {who} {plural(n_open, 'waits', 'wait')} for review, and {max_open} "
                "may at once. The next is taken once the maintainer has decided on one."
            )
        mine = sorted(row.received_at for row in rows if row.who == who and row.received_at and row.received_at > since)
        if self.per_day is None or len(mine) < self.per_day:
            return None
        return (
            f"{who} has submitted {amount(len(mine), 'time')} within 24 hours, and {self.per_day} "
            f"{plural(self.per_day, 'is', 'are')} taken. The next is taken a day after {mine[-self.per_day]}."
        )
