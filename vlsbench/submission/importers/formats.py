"""`vlsbench import`: guess the format, read it, match it, write a submission whole or not at all, and pass the gate."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from vlsbench.error_texts import why_not_an_answer
from vlsbench.errors import SubmissionError, UsageError, amount, printable, visible
from vlsbench.files import MAX_LINE_BYTES, StrPath, append_lines, write_atomic
from vlsbench.records import (
    IMAGE_TEXT,
    Condition,
    Key,
    Record,
    Response,
    ResponseFailure,
    Settings,
    SubmissionCard,
    explain,
    name_without_place,
)
from vlsbench.submission.check import CARD_FILE, RESPONSES_FILE, CheckReport, check
from vlsbench.submission.importers.authors import read_authors
from vlsbench.submission.importers.inspect_logs import read_inspect
from vlsbench.submission.importers.lmms_eval import read_lmms_eval
from vlsbench.submission.importers.matching import Matched, match_rows
from vlsbench.submission.importers.openai_batch import read_openai_batch
from vlsbench.submission.importers.plain import read_plain
from vlsbench.submission.importers.rows import Parsed, Row
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Sniffed, read_table, sniff
from vlsbench.submission.importers.vlmevalkit import read_vlmevalkit

__all__ = ["FORMATS", "Format", "ImportReport", "guess_format", "import_file", "render_import"]

Format = Literal["plain", "authors", "lmms-eval", "vlmevalkit", "inspect", "openai-batch"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_MAX_SHOWN: Final = 25
"""Problems that are printed; `--json` has more of them."""

_CUT: Final = frozenset({"length", "truncated"})


class ImportReport(Record):
    """What an import found and did."""

    ok: bool
    """The source is good and the submission passes the gate."""
    source: str
    directory: str | None
    """The submission; null where nothing was written."""
    format: Format | None
    model: str | None
    dataset: Literal["release", "sample"] | None
    n_rows: int
    n_answered: int
    failures: dict[ResponseFailure, Annotated[int, Field(ge=1)]]
    """Rows without an answer by reason, blank answers and error messages too."""
    n_truncated: int
    """Answers that end at the model's budget or at the end of an xlsx cell."""
    n_compared: int
    """Rows whose text is that of their sample."""
    n_not_compared: int
    """Rows that are tied to their sample by the id alone."""
    ignored: tuple[str, ...]
    """Columns that were not taken over."""
    notes: tuple[str, ...]
    n_problems: int
    problems: tuple[str, ...]
    check: CheckReport | None
    """The gate's report on what was written."""


def guess_format(source: Source, sniffed: Sniffed) -> Format:
    """Guess a format by the content, never by the name alone.

    Raises:
        SubmissionError: If a workbook or Parquet file cannot be opened.
    """
    if sniffed.container == "inspect-zip":
        return "inspect"
    if sniffed.container == "json" and isinstance(sniffed.first, dict):
        return "inspect" if "eval" in sniffed.first else "authors"
    names = _names(source, sniffed)
    if "custom_id" in names and names & {"response", "error"}:
        return "openai-batch"
    if "doc_id" in names and names & {"filtered_resps", "resps"}:
        return "lmms-eval"
    return "vlmevalkit" if {"index", "prediction"} <= names else "plain"


def _names(source: Source, sniffed: Sniffed) -> set[str]:
    """Name the columns of a table by its header or its first row."""
    if sniffed.container in ("csv", "tsv"):
        return set(sniffed.columns)
    if sniffed.container == "jsonl":
        return set(sniffed.first)
    if sniffed.container == "json":
        first = sniffed.first[0] if isinstance(sniffed.first, list) and sniffed.first else None
        return set(first) if isinstance(first, dict) else set()
    row = next(read_table(source, sniffed, Problems(str(source.path)), wanted=()), None)
    return set() if row is None else set(row.values)


def _read(source: Source, sniffed: Sniffed, chosen: Format, problems: Problems) -> Parsed:
    match chosen:
        case "plain":
            return read_plain(source, sniffed, problems)
        case "authors":
            return read_authors(sniffed, problems)
        case "lmms-eval":
            return read_lmms_eval(source, sniffed, problems)
        case "vlmevalkit":
            return read_vlmevalkit(source, sniffed, problems)
        case "inspect":
            return read_inspect(source, sniffed, problems)
        case "openai-batch":
            return read_openai_batch(source, sniffed, problems)


def import_file(
    source: StrPath,
    directory: StrPath,
    *,
    from_format: str | None = None,
    model: str | None = None,
    condition: str | None = None,
    data: StrPath | None = None,
) -> ImportReport:
    """Make a submission of a file that another tool wrote, and pass it through the gate.

    Never raises for bad input: what is wrong is in `problems`, all at once, and then nothing is written.

    Args:
        directory: The submission to make; absent or empty.
        from_format: One of `FORMATS`; None guesses by the content.
        model: Name of the model, where the file does not say or says it otherwise.
        condition: What the model was shown, where the rows do not say; default `image+text`.
        data: The release on disk, so that prompts that wrap an instruction can be compared.

    Raises:
        UsageError: If the format, the model's name or the condition is not one.
        SubmissionError: If `directory` is something or holds something.
        DataError: If `data` is absent or not the release.
    """
    path, out = Path(source), Path(directory)
    chosen = _check_call(from_format, model, condition)
    _check_out(out)
    problems = Problems(str(source))
    parsed, matched = None, None
    try:
        opened = Source.open(path)
        sniffed = sniff(opened)
        chosen = chosen or guess_format(opened, sniffed)
        parsed = _read(opened, sniffed, chosen, problems)
    except SubmissionError as error:
        problems.add_sentence(str(error))
    if parsed is not None and (parsed.rows or not problems.n):
        matched = match_rows(parsed, None if data is None else Path(data), problems)
    responses = [] if parsed is None or matched is None else _responses(parsed, matched, condition, problems)
    card = None if parsed is None else _card(parsed, matched, model, problems)
    gate = None
    if not problems.n and card is not None:
        _write(out, card, responses)
        gate = check(out)
    return _report(visible(str(source)), out, chosen, parsed, matched, card, responses, problems, gate)


def _check_call(from_format: str | None, model: str | None, condition: str | None) -> Format | None:
    if from_format is not None and from_format not in FORMATS:
        raise UsageError(f"--from {from_format!r}: no such format; the formats are {', '.join(FORMATS)}.")
    try:
        if model is not None:
            SubmissionCard(model=model)
        if condition is not None:
            TypeAdapter(Condition).validate_python(condition)
    except ValidationError as error:
        flag = "--model" if "SubmissionCard" in error.title else "--condition"
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{flag}: {reason}.") from None
    return next((name for name in FORMATS if name == from_format), None)


def _check_out(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise SubmissionError(f"{out}: exists and is not a folder. Give another DIR.")
    if out.is_dir() and any(out.iterdir()):
        raise SubmissionError(f"{out}: is not empty, and an import overwrites nothing. Remove it or give another DIR.")


def _responses(parsed: Parsed, matched: Matched, condition: str | None, problems: Problems) -> list[Response]:
    """Make the lines of `responses.jsonl`; what no line can be made of becomes a problem."""
    responses = []
    answered: dict[Key, str] = {}
    for row, instruction_id in zip(parsed.rows, matched.ids, strict=True):
        if instruction_id is None:
            continue
        if condition is not None and row.condition not in (None, condition):
            problems.add(row.place, f"says condition {row.condition!r}, and --condition says {condition!r}")
            continue
        response = _response(row, instruction_id, row.condition or condition or IMAGE_TEXT, problems)
        if response is None:
            continue
        key = (response.instruction_id, response.condition)
        if key in answered:
            problems.add(
                row.place,
                f"instruction_id {key[0]} under {key[1]!r} was answered at {answered[key].strip(' :')}; keep one",
            )
            continue
        if response.response is not None:
            answered[key] = row.place
        responses.append(response)
    return responses


def _response(row: Row, instruction_id: int, condition: str, problems: Problems) -> Response | None:
    said = row.said
    try:
        response = Response(
            instruction_id=instruction_id,
            condition=condition,
            response=said.response,
            failure=said.failure,
            finish_reason=said.finish_reason,
            settings=None if said.settings is None else Settings.model_validate(said.settings),
            usage=None if said.usage is None else dict(said.usage),
            model_snapshot=said.model_snapshot and name_without_place(said.model_snapshot),
            reasoning=said.reasoning,
        )
        size = len(_line(response).encode())
    except ValidationError as error:
        for sentence in explain(error):
            problems.add(row.place, sentence)
        return None
    except PydanticSerializationError:
        problems.add(row.place, "half of a surrogate pair, which UTF-8 cannot hold; was the text cut inside a sign?")
        return None
    if size > MAX_LINE_BYTES:
        problems.add(row.place, f"a line of {size:,} bytes; a submission's have at most {MAX_LINE_BYTES:,}")
        return None
    return response


def _line(response: Response) -> str:
    return response.model_dump_json(exclude_defaults=True)


def _card(parsed: Parsed, matched: Matched | None, model: str | None, problems: Problems) -> SubmissionCard | None:
    name = model or (parsed.model and name_without_place(parsed.model))
    if name is None:
        problems.add("", "does not say which model answered; give --model NAME")
        return None
    try:
        return SubmissionCard(
            model=name, settings=parsed.settings, dataset=None if matched is None else matched.dataset
        )
    except ValidationError as error:
        problems.add("", f"{'; '.join(explain(error))}; give --model NAME")
        return None


def _write(out: Path, card: SubmissionCard, responses: Sequence[Response]) -> None:
    """Write the folder beside its place and put it there in one step.

    Raises:
        SubmissionError: If it cannot be written; nothing is left behind.
    """
    place = out.absolute()  # `.` has no name
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        append_lines(temporary / RESPONSES_FILE, [_line(response) for response in responses])
        write_atomic(temporary / CARD_FILE, card.model_dump_json(indent=2, exclude_defaults=True) + "\n")
        temporary.rename(place)
    except OSError as error:
        raise SubmissionError(
            f"{out}: cannot be written ({error.strerror or error}). Nothing was left there."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _report(
    source: str,
    out: Path,
    chosen: Format | None,
    parsed: Parsed | None,
    matched: Matched | None,
    card: SubmissionCard | None,
    responses: Sequence[Response],
    problems: Problems,
    gate: CheckReport | None,
) -> ImportReport:
    failures: Counter[ResponseFailure] = Counter()
    for response in responses:
        failure = response.failure or why_not_an_answer(response.response or "")
        if failure is not None:
            failures[failure] += 1
    return ImportReport(
        ok=gate is not None and gate.ok,
        source=source,
        directory=None if gate is None else visible(str(out)),
        format=chosen,
        model=card.model if card is not None else None,
        dataset=matched.index.name if matched is not None else None,
        n_rows=len(parsed.rows) if parsed is not None else 0,
        n_answered=len(responses) - failures.total(),
        failures=dict(sorted(failures.items())),
        n_truncated=sum(response.finish_reason in _CUT for response in responses),
        n_compared=matched.n_compared if matched is not None else 0,
        n_not_compared=matched.n_not_compared if matched is not None else 0,
        ignored=tuple(map(visible, parsed.ignored)) if parsed is not None else (),
        notes=_notes(parsed, matched, responses),
        n_problems=problems.n,
        problems=tuple(problems.shown),
        check=gate,
    )


def _notes(parsed: Parsed | None, matched: Matched | None, responses: Sequence[Response]) -> tuple[str, ...]:
    if parsed is None:
        return ()
    notes = list(parsed.notes)
    n_cells = sum(response.finish_reason == "truncated" for response in responses)
    if n_cells:
        notes.append(
            f"{amount(n_cells, 'answer')} cut where an xlsx cell is full (32,767 characters); write tsv or json"
        )
    if matched is not None and matched.n_not_compared:
        if all(row.text is None for row in parsed.rows):
            why = "the file does not carry the instructions"
        elif parsed.text == "prompt":
            why = "prompts may wrap the instruction; --data with the release compares them"
        else:
            why = "they do not carry the instruction"
        notes.append(f"{matched.n_not_compared} rows are tied to their sample by the id alone: {why}")
    return tuple(map(printable, notes))


def render_import(report: ImportReport) -> str:
    """Render a report: what was read, what was left, then every problem, or how the gate ended."""
    lines = []
    if report.format is not None:
        lines.append(f"format   {report.format}")
    if report.model is not None:
        lines.append(f"model    {report.model}")
    if report.n_rows:
        dataset = "" if report.dataset is None else f" of the {report.dataset}"
        failures = "".join(f", {count} {name}" for name, count in report.failures.items())
        lines.append(f"rows     {report.n_rows:,}{dataset}: {report.n_answered:,} answered{failures}")
        lines.append(f"texts    {report.n_compared:,} compared with the index, {report.n_not_compared:,} not compared")
    if report.n_truncated:
        lines.append(f"cut      {amount(report.n_truncated, 'answer ends', 'answers end')} at a limit")
    if report.ignored:
        shown = ", ".join(repr(name[:40]) for name in report.ignored[:20])
        more = f" and {len(report.ignored) - 20} more" if len(report.ignored) > 20 else ""
        lines.append(f"ignored  {shown}{more}")
    lines += [f"note     {note}" for note in report.notes]
    lines += report.problems[:_MAX_SHOWN]
    if report.n_problems > _MAX_SHOWN:
        lines.append(
            f"and {report.n_problems - _MAX_SHOWN:,} more; --json lists up to {len(report.problems):,} of them"
        )
    if report.n_problems:
        lines.append(f"not imported: {amount(report.n_problems, 'problem')}, nothing written")
    return "\n".join(lines)
