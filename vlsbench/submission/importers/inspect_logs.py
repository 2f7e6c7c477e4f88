"""Logs of Inspect (0.3.285): `.eval` and `.json`, read by Inspect's own reader.

A sample that ended in an error or at a limit is a failure, never an answer, whatever text it holds; a sample that its
author marked invalid as well. A log that did not end well is taken as far as it goes, and says so. Of several epochs
the first is taken: a submission has one answer per sample. Scores are not taken over. Inspect numbers samples from 1
where a dataset has no ids: only `instruction_id` in the metadata is one by its name.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from vlsbench.errors import SubmissionError, amount
from vlsbench.records import Settings, explain
from vlsbench.submission.importers.cells import cells_of
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.rows import Parsed, Row, Said, answer_or_failure, parse_id
from vlsbench.submission.importers.source import MAX_ROWS, ZIP_ERRORS, Problems, Source, check_zip
from vlsbench.submission.importers.tables import Glimpse, Sniffed

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

__all__ = ["FORMAT", "looks_like_inspect", "read_inspect"]

_MEMBERS: Final = frozenset({"header.json", "_journal/start.json"})
"""One of them is in every `.eval` log, whole or cut short."""

_FINISH_REASONS: Final = {
    "stop": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
}


def looks_like_inspect(glimpse: Glimpse) -> bool:
    """Say whether a file is an `.eval` log, or one object that says what was evaluated."""
    if glimpse.container == "zip":
        return not glimpse.names.isdisjoint(_MEMBERS)
    return glimpse.has_keys("eval")


def read_inspect(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read a log.

    Raises:
        SubmissionError: If inspect_ai is not installed, or the file is not a log.
    """
    log = _read_log(source, is_zip=sniffed.container == "zip")
    samples = log.samples or []
    if len(samples) > MAX_ROWS:
        raise SubmissionError(f"{source.path}: more than {MAX_ROWS:,} samples; the release has 2,241.")
    rows = []
    for sample in samples:
        if sample.epoch != 1:
            continue
        place = f" sample {str(sample.id)[:40]}"
        named = sample.metadata.get("instruction_id")
        ids = {"id": sample.id} if named is None else {"instruction_id": named}
        read = parse_id(next(iter(ids.values())))
        cells = cells_of({"input": _prompts(sample), **sample.metadata}, without=("instruction_id",))
        rows.append(Row(place, ids, cells, _said(sample), None if isinstance(read, str) else read.condition))
    return Parsed(
        "inspect",
        tuple(rows),
        model=log.eval.model,
        settings=_settings(log),
        notes=tuple(_notes(log, samples)),
    )


def _read_log(source: Source, *, is_zip: bool) -> EvalLog:
    try:
        # Also teaches `zipfile` the compression of newer logs, so that the check below can read them.
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise SubmissionError(
            f"{source.path}: an Inspect log; reading one needs inspect_ai. Install `vlsbench[inspect]`."
        ) from None
    if is_zip:
        with source.binary() as file:
            data = io.BytesIO(file.read())
        check_zip(data, source.path)
        data.seek(0)
    else:
        data = io.BytesIO(source.whole())
    try:
        return read_eval_log(data, resolve_attachments="core", format="eval" if is_zip else "json")
    except ValidationError as error:
        reason = "; ".join(explain(error)[:3])
    # What the reader lets through where a member is absent, is not JSON or is nested beyond reason.
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, *ZIP_ERRORS) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise SubmissionError(
        f"{source.path}: not a log that Inspect can read ({reason}). Was the run killed while it wrote?"
    )


def _settings(log: EvalLog) -> Settings:
    """Take the settings that all samples were generated with: those of the run over those of the model."""
    run, model = log.plan.config, log.eval.model_generate_config

    def pick(name: str) -> Any:
        value = getattr(run, name)
        return getattr(model, name) if value is None else value

    found = {"max_new_tokens": pick("max_tokens"), "temperature": pick("temperature"), "top_p": pick("top_p")}
    try:
        return Settings.model_validate({name: value for name, value in found.items() if value is not None})
    except ValidationError:
        return Settings()


def _notes(log: EvalLog, samples: list[EvalSample]) -> list[str]:
    notes = []
    if log.status != "success":
        notes.append(f"the log's status is {log.status!r}, not 'success'; it is taken as far as it goes")
    failed = {sample.id for sample in samples if sample.epoch == 1 and _why_failed(sample)}
    if failed:
        notes.append(
            f"{amount(len(failed), 'sample')} ended in an error, at a limit or invalid; "
            "counted as response_error, not as an answer"
        )
    later = [sample for sample in samples if sample.epoch != 1]
    if later:
        notes.append(f"epoch 1 is taken; {amount(len(later), 'answer')} of later epochs left behind")
    answered = {sample.id for sample in later if not _why_failed(sample) and sample.output.completion.strip()}
    if failed & answered:
        notes.append(f"{amount(len(failed & answered), 'sample')} of them failed first and was answered later")
    if any(sample.scores for sample in samples):
        notes.append("Inspect's scores are not taken over; `vlsbench judge` judges the answers")
    return notes


def _why_failed(sample: EvalSample) -> bool:
    ended = sample.error or sample.limit or sample.invalidation or sample.output.error
    return bool(ended)


def _prompts(sample: EvalSample) -> list[str]:
    """Return the texts that the user said; pictures are left out."""
    if isinstance(sample.input, str):
        return [sample.input]
    return [message.text for message in sample.input if message.role == "user"]


def _said(sample: EvalSample) -> Said:
    output = sample.output
    usage = output.usage.model_dump(exclude_none=True) if output.usage is not None else None
    snapshot = output.model or None
    if _why_failed(sample):
        return Said(failure="response_error", model_snapshot=snapshot, usage=usage)
    finish_reason = _FINISH_REASONS.get(output.stop_reason) if output.choices else None
    response, failure = answer_or_failure(output.completion, finish_reason)
    return Said(
        response,
        failure,
        finish_reason,
        reasoning=_reasoning(sample),
        model_snapshot=snapshot,
        usage=usage,
    )


def _reasoning(sample: EvalSample) -> str | None:
    choices = sample.output.choices
    content = choices[0].message.content if choices else ""
    if isinstance(content, str):
        return None
    return "\n".join(part.reasoning for part in content if part.type == "reasoning") or None


FORMAT: Final = Format(
    "inspect", "an Inspect log (.eval or .json)", looks_like_inspect, read_inspect, needs="inspect_ai"
)
