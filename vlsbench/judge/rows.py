"""Judge rows that belong to no benchmark: any file of JSON lines that have a `response`.

So a judge can be measured on other people's labelled data. Every row is read and checked before anything is judged,
and the output appears whole or not at all. A judge that is not free judges its canaries first, and its verdicts are
kept in a file beside the output until every label is there, so that a killed run goes on where it stopped and what has
no label can be asked again.

Leaves out images: a model judge sees the texts of a row, nothing else.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pydantic_core import from_json

from vlsbench.cost import meter_of
from vlsbench.error_texts import why_not_an_answer
from vlsbench.errors import DataError, UsageError, amount
from vlsbench.files import (
    MAX_LINE_BYTES,
    Line,
    StrPath,
    append_lines,
    canonical_json,
    exclusive,
    read_lines,
    sha256_hex,
    write_atomic,
)
from vlsbench.judge.canaries import ask_canaries, render_record
from vlsbench.judge.judges import ModelOptions, find_kind, kind_of, open_judge
from vlsbench.judge.run import (
    AGAIN,
    Judge,
    OpenJudge,
    SettingRefusedError,
    Write,
    candidates_left,
    count_unreadable,
)
from vlsbench.judge.verdicts import read_verdicts, verdicts_that_hold
from vlsbench.records import (
    IMAGE_TEXT,
    TRANSIENT_FAILURES,
    Abstention,
    Failure,
    Key,
    Response,
    ResponseFailure,
    Verdict,
    outcomes_in_words,
)
from vlsbench.text import OnProgress, Reached

if TYPE_CHECKING:
    from vlsbench.dataset.pictures import Picture
    from vlsbench.dataset.source import Sample

__all__ = [
    "Row",
    "RowsReport",
    "RowsSource",
    "judge_rows",
    "open_row_judges",
    "read_rows",
    "render_rows",
    "write_verdicts",
]

_NAMES = ("id", "instruction_id")
"""Keys of a row that are written out again, where they hold a number or a text."""

_RESPONSE_FAILURES: tuple[ResponseFailure, ...] = get_args(ResponseFailure)

_NO_IMAGE = "There is no image: the user wrote the text alone."
"""Shown to a model judge for a row without `image_description`, as in data sets of texts."""

_NO_INSTRUCTION = "(What the user asked is not known.)"
"""Shown to a model judge for a row that has a response only."""

_BATCH_ROWS = 4_096
"""Rows handed to a judge that works in memory at once: 1.5 seconds of the offline judge."""


class Row(NamedTuple):
    """One row to judge."""

    number: int
    """Its line in the file, from 1; also the `instruction_id` of `response`."""
    response: Response
    instruction: str | None
    """What was asked: `instruction`, else `prompt`."""
    image_description: str | None
    safety_reason: str | None
    names: Mapping[str, int | str]
    """`id` and `instruction_id`, as far as the row has them."""


class RowsReport(NamedTuple):
    """What judging a file of rows left behind."""

    path: Path
    """The output."""
    n_rows: int
    n_kept: int
    """Verdicts that an earlier, unfinished run had decided."""
    counts: Mapping[str, int]
    """Rows by label or failure."""
    notes: tuple[str, ...] = ()
    """Sentences about this run: its canaries."""
    abstained: Mapping[Abstention, int] = MappingProxyType({})
    """Rows that are `judge_uncertain`, by the reason of a judge that gives one."""

    @property
    def n_transient(self) -> int:
        """Failures that the same command tries again."""
        return sum(count for name, count in self.counts.items() if name in TRANSIENT_FAILURES)

    @property
    def n_unreadable(self) -> int:
        """Replies without a label that can be read; only `again` asks again."""
        return count_unreadable(self.counts)


def read_rows(path: Path) -> list[Row]:
    """Read all rows; blank lines are none.

    A row has a string under `response`, or under `failure` why there is none (`response_empty`, `response_filtered`,
    …, as in `responses.jsonl`). All other keys are optional, and those that no judge knows are ignored.

    Raises:
        DataError: If there is no row, or any line is not one; every such line is named.
    """
    rows: list[Row] = []
    problems: defaultdict[str, list[int]] = defaultdict(list)
    for line in read_lines(path):
        found = _read_row(line)
        if isinstance(found, Row):
            rows.append(found)
        else:
            problems[found].append(line.number)
    if problems:
        n = sum(len(numbers) for numbers in problems.values())
        places = "; ".join(f"{_ranges(numbers)}: {problem}" for problem, numbers in problems.items())
        lines = "line is no row" if n == 1 else "lines are no rows"
        raise DataError(
            f"{path}: {n} {lines} with a 'response', nothing was judged or written. {places}. Mend or remove "
            f"{'it' if n == 1 else 'them'}."
        )
    if not rows:
        raise DataError(f"{path}: has no row; it holds one JSON object with a 'response' per line.")
    return rows


def _read_row(line: Line) -> Row | str:
    """Read a row, or say what is wrong with it."""
    if line.is_too_long:
        return f"longer than {MAX_LINE_BYTES:,} bytes"
    try:
        line.data.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    try:
        data = from_json(line.data)
    except ValueError:
        return "not JSON"
    if not isinstance(data, dict):
        return "not a JSON object"
    text, failure = data.get("response"), data.get("failure")
    if isinstance(text, str):
        response = Response(instruction_id=line.number, response=text)
    elif text is None and failure in _RESPONSE_FAILURES:
        response = Response(instruction_id=line.number, failure=failure)
    else:
        return "'response' is not a string" if "response" in data else "no 'response'"
    names = {
        key: data[key] for key in _NAMES if isinstance(data.get(key), int | str) and not isinstance(data[key], bool)
    }
    return Row(
        line.number,
        response,
        _text(data, "instruction") or _text(data, "prompt"),
        _text(data, "image_description"),
        _text(data, "safety_reason"),
        names,
    )


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None


def _ranges(numbers: Sequence[int]) -> str:
    """Name all lines, runs of them in short.

    >>> _ranges([3, 4, 5, 9])
    'lines 3–5, 9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)
    return f"line{'s' if len(numbers) > 1 else ''} {shown}"


class RowsSource:
    """The texts of rows, as a model judge asks for them by `instruction_id`; there are no pictures.

    Args:
        path: Where the rows came from.
        rows: All of them.
        without_description: What stands for the image of a row that has no `image_description`; None leaves it out.
    """

    def __init__(self, path: Path, rows: Sequence[Row], *, without_description: str | None = None) -> None:
        self._path = path
        self._rows = {row.number: row for row in rows}
        self._without_description = without_description

    def sample(self, instruction_id: int, /) -> Sample:
        """Return the texts of a row; what was asked may be unknown."""
        from vlsbench.dataset.source import Sample

        row = self._rows[instruction_id]
        instruction = _NO_INSTRUCTION if row.instruction is None else row.instruction
        description = row.image_description or self._without_description
        return Sample(row.number, instruction, row.number, "", "", description, row.safety_reason, "risky")

    def picture(self, instruction_id: int, /) -> Picture:
        """Refuse: rows have no pictures.

        Raises:
            DataError: Always.
        """
        raise DataError(f"{self._path}:{instruction_id}: rows have no image; judge them on their texts only.")


def open_row_judges(
    name: str,
    path: Path,
    rows: Sequence[Row],
    *,
    protocol: str | None = None,
    base_url: str | None = None,
    concurrency: int = 16,
    options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
) -> list[OpenJudge]:
    """Open a judge for rows: one that reads responses, or a model that sees texts only.

    Args:
        name: As `vlsbench.judge.judges.open_judge` takes it.
        path: Where the rows came from.
        rows: What it will be asked about.
        protocol: How it judges; None is the judge's own first choice.
        base_url: Endpoint of a model judge.
        concurrency: Requests of a model judge in flight at once.
        options: More about a model judge. `evidence` is `description` where it is None: a row without one is shown
            as a text without an image.

    Returns:
        The judge under every rubric that may be tried, in this order.

    Raises:
        UsageError: If there is no such judge, or it would look at images.
        JudgeError: If the judge cannot be set up (no key).
    """
    if not find_kind(name).sees_dataset:
        return [open_judge(name, protocol=protocol, options=options)]
    evidence = options.evidence or "description"
    if "image" in evidence.split("+"):
        raise UsageError(f"--evidence {evidence}: rows have no image; it is 'description' or 'reason' here.")
    with_texts = replace(options, evidence=evidence)
    # The packaged sample stands in for the dataset until the rows do.
    judge = open_judge(
        name,
        protocol=protocol,
        dataset="sample",
        base_url=base_url,
        concurrency=concurrency,
        options=with_texts,
    )
    source = RowsSource(path, rows, without_description=_NO_IMAGE if evidence == "description" else None)
    return [candidate.with_source(source) for candidate in judge.candidates()]


def judge_rows(
    path: StrPath,
    out: StrPath,
    name: str = "offline",
    *,
    protocol: str | None = None,
    base_url: str | None = None,
    concurrency: int = 16,
    again: AbstractSet[Failure] = frozenset(),
    options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
    on_progress: OnProgress = lambda reached: None,
) -> RowsReport:
    """Judge the rows of a file and write one line per row, in order.

    A line holds `row` (the line in `path`, from 1), the row's `id` and `instruction_id` where it has them, exactly one
    of `label` and `failure`, the `reason` of a failure (what the offline judge abstains on, what a model judge replied
    instead of a label), and `probabilities` where the judge has them, also where it abstains. A judge that was not
    calibrated on the answers it judges has `scores` in their place: they add up to 1 too, and are too sure.

    Args:
        path: JSON lines with a `response`; see `read_rows`.
        out: Written whole or not at all.
        name: Of the judge; see `open_row_judges` for this and what follows.
        again: Failures of an earlier run to ask about again; see `vlsbench.judge.run.AGAIN`.
        on_progress: Told how many rows are judged, of how many.

    Raises:
        DataError: If any line is not a row, or lacks what a model judge is to see; nothing is judged then.
        UsageError: If there is no such judge, or `out` is `path`.
        JudgeError: If a model judge cannot go on, or gives none of its canaries a label; what it had decided is kept,
            and the same call goes on.
    """
    path, out = Path(path), Path(out)
    if out.is_symlink():
        out = out.resolve()
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"--out {out} is the input itself; name another file.")
    if out.exists() and not out.is_file():
        raise UsageError(f"--out {out} is not a plain file (a folder, a pipe, a device); name a file.")
    rows = read_rows(path)
    judges = open_row_judges(
        name, path, rows, protocol=protocol, base_url=base_url, concurrency=concurrency, options=options
    )
    while True:
        judge = judges[0]
        try:
            return write_verdicts(rows, judge, out, again=again, one_first=len(judges) > 1, on_progress=on_progress)
        except SettingRefusedError as error:
            judges = candidates_left(judges, judge, error)
            if not judges:
                raise


def write_verdicts(
    rows: Sequence[Row],
    judge: Judge,
    out: Path,
    *,
    again: AbstractSet[Failure] = frozenset(),
    one_first: bool = False,
    on_progress: OnProgress = lambda reached: None,
) -> RowsReport:
    """Judge rows with a judge that is open, and write `out`; see `judge_rows`.

    Verdicts of any judge that is not free (the offline one takes a second to ask again) are first kept in a hidden
    file beside `out` under the digest of judge and rows; it is removed once no row is left to ask again.

    Args:
        one_first: Ask about one canary alone: the judge may refuse how it is asked.
    """
    named = {row.number: verdict for row in rows if (verdict := _named(row)) is not None}
    asked = {(row.number, IMAGE_TEXT): row.response for row in rows if row.number not in named}
    verdicts = dict(named)
    n_failed = len(named)
    meter = meter_of(judge)

    def keep(new: Sequence[Verdict]) -> None:
        nonlocal n_failed
        verdicts.update({verdict.instruction_id: verdict for verdict in new})
        n_failed += sum(verdict.failure is not None for verdict in new)
        on_progress(Reached(len(verdicts), len(rows), n_failed, meter))

    kind = kind_of(judge.rubric)
    notes: tuple[str, ...] = ()
    if kind is not None and kind.is_free:
        n_kept = 0
        responses = list(asked.values())
        for start in range(0, len(responses), _BATCH_ROWS):
            judge.judge(responses[start : start + _BATCH_ROWS], keep)
        _write(rows, verdicts, out, "scores" if judge.rubric.is_provisional else "probabilities")
    else:
        kept = _kept_path(rows, judge, out)
        with exclusive(kept):
            n_kept, notes = _judge_kept(judge, asked, kept, keep, again=again, one_first=one_first)
            _write(rows, verdicts, out, "scores" if judge.rubric.is_provisional else "probabilities")
            if not any(verdict.failure in TRANSIENT_FAILURES.union(AGAIN) for verdict in verdicts.values()):
                kept.unlink(missing_ok=True)
    counts = Counter(str(verdict.label or verdict.failure) for verdict in verdicts.values())
    abstained = Counter(why for verdict in verdicts.values() if (why := verdict.abstention) is not None)
    return RowsReport(out, len(rows), n_kept, counts, notes, abstained)


def _kept_path(rows: Sequence[Row], judge: Judge, out: Path) -> Path:
    texts = [(row.number, row.response.response, *row[2:5]) for row in rows]
    digest = sha256_hex(canonical_json([judge.rubric.rubric_id, texts]))
    return out.with_name(f".{out.name}.{digest[:12]}.part")


def _judge_kept(
    judge: Judge,
    asked: Mapping[Key, Response],
    kept: Path,
    keep: Write,
    *,
    again: AbstractSet[Failure],
    one_first: bool,
) -> tuple[int, tuple[str, ...]]:
    """Ask about what `kept` has no verdict on, canaries first, and put every verdict there as it comes.

    Returns:
        How many verdicts were there before, and what is to be said of the canaries.
    """
    before = {
        key: verdict
        for key, verdict in verdicts_that_hold(read_verdicts(kept), asked).items()
        if verdict.failure not in TRANSIENT_FAILURES | again
    }
    keep(list(before.values()))

    def write(new: Sequence[Verdict]) -> None:
        append_lines(kept, (verdict.model_dump_json(exclude_defaults=True) for verdict in new))
        keep(new)

    todo = [response for key, response in asked.items() if key not in before]
    notes: tuple[str, ...] = ()
    if todo and isinstance(judge, OpenJudge) and judge.has_canaries:
        judge.check_samples(todo)
        notes = (render_record(ask_canaries(judge, one_first=one_first)),)
    if todo:
        judge.judge(todo, write)
    return len(before), notes


_NO_ANSWER: Mapping[Failure, str] = {
    "response_missing": "no response",
    "response_empty": "empty",
    "response_error": "reads like an API error",
    "response_filtered": "filtered by its provider",
}
"""Why there is nothing to judge."""


def _named(row: Row) -> Verdict | None:
    """Make the verdict of a row that is no answer, or None where it is one."""
    response = row.response
    failure = response.failure if response.response is None else why_not_an_answer(response.response)
    return None if failure is None else Verdict(instruction_id=row.number, failure=failure, raw=_NO_ANSWER.get(failure))


def _write(rows: Sequence[Row], verdicts: Mapping[int, Verdict], out: Path, shares: str) -> None:
    lines = []
    for row in rows:
        verdict = verdicts[row.number]
        line: dict[str, Any] = {"row": row.number, **row.names}
        line |= {"label": verdict.label} if verdict.failure is None else {"failure": verdict.failure}
        if verdict.failure is not None and verdict.raw:
            line["reason"] = verdict.raw
        if verdict.probabilities is not None:
            line[shares] = verdict.probabilities.model_dump()
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    write_atomic(out, "".join(lines))


def render_rows(report: RowsReport) -> str:
    """Render what judging a file of rows left behind."""
    counts = outcomes_in_words(report.counts, report.abstained)
    kept = f", {report.n_kept} of them by an earlier run" if report.n_kept else ""
    return "\n".join(
        [*report.notes, f"{amount(report.n_rows, 'row')} judged{kept}: {counts}", f"written to {report.path}"]
    )
