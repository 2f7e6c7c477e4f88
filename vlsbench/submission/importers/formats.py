"""`vlsbench import`: guess the format, read it, match it, write a submission whole or not at all, and pass the gate."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from vlsbench.dataset.index import INDEX_FILE, kind_of_name, name_dataset, render_set_index
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
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.matching import Asked, Matched, match_rows
from vlsbench.submission.importers.plain import FORMAT as PLAIN
from vlsbench.submission.importers.plain import NamedColumns, read_plain_as
from vlsbench.submission.importers.registry import find_format, guess_format
from vlsbench.submission.importers.rows import Parsed, Row
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import glimpse, sniff

__all__ = ["ImportReport", "import_file", "render_import"]

_MAX_SHOWN: Final = 25
"""Problems that are printed; `--json` has more of them."""

_NOTHING_ASKED: Final = Asked()

_CUT: Final = frozenset({"length", "truncated"})


class ImportReport(Record):
    """What an import found and did."""

    ok: bool
    """The source is good and the submission passes the gate."""
    source: str
    directory: str | None
    """The submission; null where nothing was written."""
    format: str | None
    model: str | None
    dataset: str | None
    """`release`, `sample`, or the name of a constructed set."""
    n_rows: int
    n_answered: int
    failures: dict[ResponseFailure, Annotated[int, Field(ge=1)]]
    """Rows without an answer by reason, blank answers and error messages too."""
    n_truncated: int
    """Answers that end at the model's budget or at the end of an xlsx cell."""
    n_compared: int
    """Rows whose text is that of their sample."""
    n_not_compared: int
    """Rows that are tied to their sample without a text: by the id, and by the image or the category if it is there."""
    n_by_text: int
    """Rows that were found by their text, their id being another number or none."""
    ignored: tuple[str, ...]
    """Columns that were not taken over."""
    notes: tuple[str, ...]
    n_problems: int
    problems: tuple[str, ...]
    check: CheckReport | None
    """The gate's report on what was written."""


def import_file(
    source: StrPath,
    directory: StrPath,
    *,
    from_format: str | None = None,
    model: str | None = None,
    condition: str | None = None,
    data: StrPath | None = None,
    asked: Asked = _NOTHING_ASKED,
) -> ImportReport:
    """Make a submission of a file that another tool wrote, and pass it through the gate.

    Never raises for bad input: what is wrong is in `problems`, all at once, and then nothing is written.

    Args:
        directory: The submission to make; absent or empty.
        from_format: Name of one in `registry.FORMATS`; None guesses by the content.
        model: Name of the model, where the file does not say or says it otherwise.
        condition: What the model was shown, where the rows do not say; default `image+text`.
        data: The release on disk, whose sentences find instructions that were changed on their way; or the constructed
            set that was answered.
        asked: What the user says of the columns and the ids.

    Raises:
        UsageError: If the format, the model's name or the condition is not one, or the format has no columns to name.
        SubmissionError: If `directory` is something or holds something.
        DataError: If `data` is absent, or neither the release nor a constructed set.
    """
    path, out = Path(source), Path(directory)
    chosen = _check_call(from_format, model, condition, asked)
    _check_out(out)
    problems = Problems(str(source))
    named = NamedColumns(asked.id_column, asked.response_column, asked.text_column) if asked.names_columns else None
    parsed, matched = None, None
    try:
        opened = Source.open(path)
        sniffed = sniff(opened)
        chosen = chosen or guess_format(glimpse(opened, sniffed))
        parsed = (
            chosen.read(opened, sniffed, problems) if named is None else read_plain_as(opened, sniffed, problems, named)
        )
    except SubmissionError as error:
        problems.add_sentence(str(error))
    if parsed is not None and (parsed.rows or not problems.n):
        matched = match_rows(parsed, None if data is None else Path(data), problems, asked)
    responses = [] if parsed is None or matched is None else _responses(parsed, matched, condition, problems)
    card = None if parsed is None else _card(parsed, matched, model, problems)
    gate = None
    if not problems.n and card is not None:
        _write(out, card, responses, matched)
        gate = check(out)
    return _report(visible(str(source)), out, chosen, parsed, matched, card, responses, problems, gate)


def _check_call(from_format: str | None, model: str | None, condition: str | None, asked: Asked) -> Format | None:
    chosen = None if from_format is None else find_format(from_format)
    if asked.names_columns:
        if chosen not in (None, PLAIN):
            raise UsageError(f"--id-column, --text-column and --response-column are for --from {PLAIN.name}.")
        chosen = PLAIN
    try:
        if model is not None:
            SubmissionCard(model=model)
        if condition is not None:
            TypeAdapter(Condition).validate_python(condition)
    except ValidationError as error:
        flag = "--model" if "SubmissionCard" in error.title else "--condition"
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{flag}: {reason}.") from None
    return chosen


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


def _write(out: Path, card: SubmissionCard, responses: Sequence[Response], matched: Matched | None) -> None:
    """Write the folder beside its place and put it there in one step.

    Raises:
        SubmissionError: If it cannot be written; nothing is left behind.
    """
    place = out.absolute()  # `.` has no name
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        append_lines(temporary / RESPONSES_FILE, [_line(response) for response in responses])
        if matched is not None and matched.index.kind == "constructed":
            write_atomic(temporary / INDEX_FILE, render_set_index(matched.index.rows))
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
        format=None if chosen is None else chosen.name,
        model=card.model if card is not None else None,
        dataset=matched.index.name if matched is not None else None,
        n_rows=len(parsed.rows) if parsed is not None else 0,
        n_answered=len(responses) - failures.total(),
        failures=dict(sorted(failures.items())),
        n_truncated=sum(response.finish_reason in _CUT for response in responses),
        n_compared=matched.n_compared if matched is not None else 0,
        n_not_compared=matched.n_not_compared if matched is not None else 0,
        n_by_text=matched.n_by_text if matched is not None else 0,
        ignored=_ignored(parsed, matched),
        notes=_notes(parsed, matched, responses),
        n_problems=problems.n,
        problems=tuple(problems.shown),
        check=gate,
    )


def _ignored(parsed: Parsed | None, matched: Matched | None) -> tuple[str, ...]:
    """Name the columns that were neither taken over nor compared."""
    if parsed is None:
        return ()
    used = frozenset() if matched is None else matched.used
    return tuple(visible(n) for n in parsed.ignored if not any(u == n or u.startswith(f"{n}.") for u in used))


def _notes(parsed: Parsed | None, matched: Matched | None, responses: Sequence[Response]) -> tuple[str, ...]:
    if parsed is None:
        return ()
    notes = list(parsed.notes)
    n_cells = sum(response.finish_reason == "truncated" for response in responses)
    if n_cells:
        notes.append(
            f"{amount(n_cells, 'answer')} cut where an xlsx cell is full (32,767 characters); write tsv or json"
        )
    if matched is not None:
        notes += matched.notes
        if matched.n_not_compared:
            notes.append(f"{amount(matched.n_not_compared, 'row')} tied to the sample without its text")
    return tuple(map(printable, notes))


def _title(name: str) -> str:
    return f"the {name}" if kind_of_name(name) != "constructed" else name_dataset(name)


def render_import(report: ImportReport) -> str:
    """Render a report: what was read, what was left, then every problem, or how the gate ended."""
    lines = []
    if report.format is not None:
        lines.append(f"format   {report.format}")
    if report.model is not None:
        lines.append(f"model    {report.model}")
    if report.n_rows:
        dataset = "" if report.dataset is None else f" of {_title(report.dataset)}"
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
