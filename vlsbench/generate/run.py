"""Generate into a folder: find what has no answer yet, ask a model, put every answer on disk as it comes.

`submission.json` says who answers, how and what; `responses.jsonl` grows by one line per (sample, condition). A line
is never superseded: an answer is not asked for twice, and neither is a failure that is the model's or its provider's
(`response_empty`, `response_error`, `response_filtered`), which would only be paid for again. A question without a
reply leaves no line, so that the same command asks it again. A folder that holds the answers of another model, of
other settings or of another dataset is left as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydantic import ValidationError

from vlsbench.cost import meter_of
from vlsbench.errors import ModelError, SubmissionError, amount, plural
from vlsbench.files import MAX_LINE_BYTES, append_lines, exclusive, read_lines, write_atomic
from vlsbench.generate.conditions import Question
from vlsbench.generate.target import Target
from vlsbench.records import Key, Response, SubmissionCard, explain
from vlsbench.text import OnProgress, Reached

__all__ = [
    "CARD_FILE",
    "RESPONSES_FILE",
    "GenerateReport",
    "answer_into",
    "check_card",
    "generate",
    "read_answers",
    "read_card",
    "render_generate",
]

CARD_FILE = "submission.json"
RESPONSES_FILE = "responses.jsonl"

_NEGOTIATED = ("temperature", "top_p")
"""Settings that an endpoint may not take: the lines and, at the end, the card say what was sent."""


class GenerateReport(NamedTuple):
    """What a run left behind."""

    directory: Path
    n_kept: int
    """Lines that were there before, of what was asked for."""
    n_new: int
    n_unanswered: int
    """Questions without a reply; the same command asks them again."""
    counts: Mapping[str, int]
    """Lines that there are now, of what was asked for: `answered`, or by failure."""
    tokens_in: int
    """Of the new lines, as the server or the tokenizer counted them."""
    tokens_out: int
    snapshots: tuple[str, ...]
    """Model strings of the lines; more than one means that the server changed within the run."""
    first_error: str | None = None
    """`finish_reason` of the first `response_error`."""


def read_answers(path: Path) -> dict[Key, Response]:
    """Read the lines of a run: the first that holds of every key. A last line torn by a killed run is passed over.

    Raises:
        SubmissionError: If a line is broken.
    """
    held: dict[Key, Response] = {}
    problems: list[tuple[int, str]] = []
    number = 0
    if not path.exists():
        return held
    try:
        for line in read_lines(path):
            number = line.number
            if line.is_too_long:
                problems.append((line.number, f"a line has at most {MAX_LINE_BYTES:,} bytes, this one {line.size:,}"))
                continue
            try:
                response = Response.model_validate_json(line.data)
            except ValidationError as error:
                problems.append((line.number, "; ".join(explain(error))))
                continue
            key = (response.instruction_id, response.condition)
            if key not in held or held[key].response is None:
                held[key] = response
        with path.open("rb") as file:
            is_torn = number > 0 and file.seek(-1, 2) >= 0 and file.read(1) != b"\n"
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}); name another --out.") from None
    if problems and problems[-1][0] == number and is_torn:
        problems.pop()
    if problems:
        line_number, sentence = problems[0]
        raise SubmissionError(
            f"{path}:{line_number}: {sentence} ({amount(len(problems), 'such line')}). Mend or move the file, then run "
            "the command again; nothing was touched."
        )
    return held


def read_card(directory: Path) -> SubmissionCard | None:
    """Read the card of a folder, or None where there is none.

    Raises:
        SubmissionError: If it is none.
    """
    path = directory / CARD_FILE
    try:
        return SubmissionCard.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}); name another --out.") from None
    except ValidationError as error:
        raise SubmissionError(f"{path}: {'; '.join(explain(error)[:3])}. Mend it or name another --out.") from None


def _differences(found: SubmissionCard, wanted: SubmissionCard) -> list[str]:
    """Say what two cards disagree on that decides an answer."""
    ours, theirs = wanted.settings.model_dump(), found.settings.model_dump()
    names = [name for name in sorted({*ours, *theirs}) if name not in _NEGOTIATED]
    pairs = [(name, theirs.get(name), ours.get(name)) for name in names]
    if found.revision is not None and wanted.revision is not None:
        pairs.append(("revision", found.revision, wanted.revision))
    if wanted.dataset is not None:
        dataset = found.dataset
        pairs.append(("dataset", dataset and dataset.set_name, wanted.dataset.set_name))
        pairs.append(("dataset config", dataset and dataset.config, wanted.dataset.config))
        pairs.append(("dataset revision", dataset and dataset.revision, wanted.dataset.revision))
    return [f"{name} {theirs!r} instead of {ours!r}" for name, theirs, ours in pairs if theirs != ours]


def check_card(directory: Path, wanted: SubmissionCard) -> SubmissionCard | None:
    """Return the card that is there, if its answers and ours may share a file; None where the folder is new.

    Raises:
        ModelError: If they may not.
        SubmissionError: If the card is broken.
    """
    found = read_card(directory)
    if found is None:
        if (directory / RESPONSES_FILE).exists():
            raise ModelError(
                f"{directory}: holds {RESPONSES_FILE} without {CARD_FILE}, so nobody knows whose answers they are; "
                "name another --out. Nothing was touched."
            )
        return None
    differences = _differences(found, wanted)
    if found.model != wanted.model or differences:
        more = f" with {', '.join(differences)}" if differences else ""
        raise ModelError(
            f"{directory}: holds the answers of {found.model!r}{more}, and {wanted.model!r} was to answer; name "
            "another --out. Nothing was touched."
        )
    return found


def answer_into(
    path: Path,
    target: Target,
    questions: Sequence[Question],
    *,
    before_first: Callable[[], None] = lambda: None,
    on_progress: OnProgress = lambda reached: None,
) -> tuple[int, int, list[Response]]:
    """Append the answers that a file lacks. The caller holds the file.

    Args:
        before_first: Called once before the first line is written.
        on_progress: Told how many lines there are, of how many.

    Returns:
        How many were there before, how many questions got no reply, and the new lines.
    """
    held = read_answers(path)
    asked = [
        question
        for question in questions
        if (line := held.get((question.instruction_id, question.condition))) is None
        or line.failure == "response_missing"
    ]
    n_kept = len(questions) - len(asked)
    new: list[Response] = []
    n_failed = 0
    meter = meter_of(target)

    def write(responses: Sequence[Response]) -> None:
        nonlocal n_failed
        if not new:
            before_first()
        append_lines(path, (response.model_dump_json(exclude_none=True) for response in responses))
        new.extend(responses)
        n_failed += sum(response.failure is not None for response in responses)
        on_progress(Reached(n_kept + len(new), len(questions), n_failed, meter))

    on_progress(Reached(n_kept, len(questions), 0, meter))
    has_answered = any(line.response is not None for line in held.values())
    n_unanswered = target.answer(asked, write, has_answered=has_answered) if asked else 0
    return n_kept, n_unanswered, new


def generate(
    directory: Path,
    target: Target,
    questions: Sequence[Question],
    card: SubmissionCard,
    *,
    beside: Mapping[str, str] = MappingProxyType({}),
    on_progress: OnProgress = lambda reached: None,
) -> GenerateReport:
    """Ask what has no answer yet.

    Args:
        questions: One per (sample, condition), in the order of the dataset.
        card: Who answers, how and what; written where there is none.
        beside: Texts of files that belong to the card, by name; written before it.
        on_progress: Told how many lines there are, of how many, after every batch.

    Raises:
        DataError: If pictures cannot be used; all others are answered and written.
        ModelError: If the folder holds other answers, or the model cannot go on; what it had answered is on disk.
        SubmissionError: If a file there is broken, or another run is writing.
    """
    path = directory / RESPONSES_FILE
    check_card(directory, card)  # before the folder is made, or the lock in it
    with exclusive(path):
        kept_card = check_card(directory, card)

        def write_card() -> None:
            if kept_card is None:
                for name, text in beside.items():
                    write_atomic(directory / name, text)
                _write_card(directory, card)

        n_kept, n_unanswered, new = answer_into(
            path, target, questions, before_first=write_card, on_progress=on_progress
        )
        wanted = {(question.instruction_id, question.condition) for question in questions}
        lines = [line for key, line in read_answers(path).items() if key in wanted]
        if lines:
            _settle_card(directory, lines)
    return _report(directory, n_kept, n_unanswered, new, lines)


def _write_card(directory: Path, card: SubmissionCard) -> None:
    write_atomic(directory / CARD_FILE, card.model_dump_json(indent=2, exclude_none=True, exclude_defaults=True) + "\n")


def _settle_card(directory: Path, lines: Iterable[Response]) -> None:
    """Let the card say which settings were sent, where the endpoint did not take all that were asked for."""
    card = read_card(directory)
    sent = [line.settings for line in lines if line.settings is not None]
    if card is None or not sent:
        return
    never = {name: None for name in _NEGOTIATED if all(getattr(settings, name) is None for settings in sent)}
    settings = card.settings.model_copy(update=never)
    if settings != card.settings:
        _write_card(directory, card.model_copy(update={"settings": settings}))


def _report(
    directory: Path, n_kept: int, n_unanswered: int, new: Sequence[Response], lines: Sequence[Response]
) -> GenerateReport:
    def total(name: str) -> int:
        counts = [line.usage.get(name) for line in new if line.usage is not None]
        return sum(count for count in counts if isinstance(count, int))

    return GenerateReport(
        directory,
        n_kept,
        len(new),
        n_unanswered,
        Counter(line.failure or "answered" for line in lines),
        total("prompt_tokens"),
        total("completion_tokens"),
        tuple(sorted({line.model_snapshot for line in lines if line.model_snapshot is not None})),
        next((line.finish_reason for line in lines if line.failure == "response_error"), None),
    )


def render_generate(report: GenerateReport) -> str:
    """Render what a run of a model left behind."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(report.counts.items(), key=lambda c: -c[1]))
    lines = [
        f"{amount(report.n_new, 'answer')} written, {report.n_kept} {plural(report.n_kept, 'was', 'were')} there: "
        f"{counts or 'none'}",
        f"{report.tokens_in:,} tokens in, {report.tokens_out:,} out, by the new ones",
    ]
    if report.first_error is not None:
        lines.append(f"first response_error: {report.first_error}")
    if len(report.snapshots) > 1:
        lines.append(f"the server answered as several models: {', '.join(report.snapshots)}")
    lines.append(f"next: vlsbench judge {report.directory} --judge offline")
    return "\n".join(lines)
