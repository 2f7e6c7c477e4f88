"""Output of OpenAI's batch endpoint for chat completions and responses: one object per line, answers and errors alike.

`{"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}`, of which `custom_id` is what the
submitter chose: `instruction_id=N` is believed, `N` and `vlsbench-N` are numbers of unknown meaning; `:CONDITION` may
stand behind them. The file does not carry the prompts; `metadata` of a response may say which sample it is about. Lines
of the output file and of the error file have one shape. The body is read as `vlsbench generate` reads it; a refusal is
an answer, and a line that is no HTTP 200 is a failure.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from vlsbench.errors import amount
from vlsbench.generate.reply import read_reply
from vlsbench.provider import is_filtered
from vlsbench.records import ResponseFailure, Settings
from vlsbench.submission.importers.cells import cells_of
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.rows import Parsed, Row, Said, answer_or_failure, parse_id
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Glimpse, Sniffed, read_table

__all__ = ["FORMAT", "looks_like_openai_batch", "read_openai_batch"]

_USED: Final = frozenset({"id", "custom_id", "response", "error"})
_REASON_CHARACTERS: Final = 100


def looks_like_openai_batch(glimpse: Glimpse) -> bool:
    """Say whether a file's rows have a `custom_id` and what came of it."""
    is_there = "custom_id" in glimpse.first and not glimpse.first.keys().isdisjoint({"response", "error"})
    return is_there and isinstance(glimpse.first.get("response"), dict | None)


def read_openai_batch(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read an output or error file of a batch."""
    rows, ignored = [], dict[str, None]()
    models: Counter[str] = Counter()
    n_several = 0
    for cells in read_table(source, sniffed, problems, wanted=_USED.__contains__):
        ignored.update(dict.fromkeys(name for name in cells.values if name not in _USED))
        response = cells.values.get("response")
        if response is not None and not isinstance(response, dict):
            problems.add(cells.place, f"'response' is an object or null; found {type(response).__name__}")
            continue
        body = _body(cells.values)
        said = _failed(cells.values) if body is None else _said(body)
        if said is None:
            problems.add(
                cells.place,
                "a body without `choices` or `output`; /v1/chat/completions and /v1/responses are read. Import the "
                "answers as a plain table",
            )
            continue
        if said.model_snapshot:
            models[said.model_snapshot] += 1
        n_several += body is not None and isinstance(body.get("choices"), list) and len(body["choices"]) > 1
        custom_id = cells.values.get("custom_id")
        read = parse_id(custom_id)
        told = cells_of({"metadata": body.get("metadata") if body is not None else None})
        condition = None if isinstance(read, str) else read.condition
        rows.append(Row(cells.place, {"custom_id": custom_id}, told, said, condition))
    notes = []
    if n_several:
        notes.append(f"{amount(n_several, 'line')} with several answers (n > 1); the first of each is taken")
    if len(models) > 1:
        notes.append(f"several models answered: {', '.join(sorted(models))}")
    model = next(iter(models)) if len(models) == 1 else None
    return Parsed("openai-batch", tuple(rows), model=model, ignored=tuple(ignored), notes=tuple(notes))


def _body(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the body of a line that came to an answer."""
    response = values.get("response")
    if not isinstance(response, dict) or response.get("status_code") != 200 or values.get("error"):
        return None
    body = response.get("body")
    return body if isinstance(body, dict) else {}


def _failed(values: Mapping[str, Any]) -> Said:
    response = values.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    error = values.get("error") or (body.get("error") if isinstance(body, dict) else None)
    code = error.get("code") if isinstance(error, dict) else None
    failure: ResponseFailure = "response_filtered" if is_filtered(error) else "response_error"
    reason = (
        code if isinstance(code, str) else f"HTTP {response.get('status_code')}" if isinstance(response, dict) else None
    )
    return Said(failure=failure, finish_reason=None if reason is None else reason[:_REASON_CHARACTERS])


def _said(body: Mapping[str, Any]) -> Said | None:
    """Read a body; None where it is of another endpoint."""
    if not isinstance(body.get("choices"), list) and not isinstance(body.get("output"), list) and not body.get("error"):
        return None
    answer = read_reply(body, Settings(), shown=json.dumps(body)[:_REASON_CHARACTERS])
    finish_reason = answer.finish_reason or answer.unreached
    failure: ResponseFailure | None = "response_error" if answer.unreached is not None else answer.failure
    response = None
    if failure is None:
        response, failure = answer_or_failure(answer.response, finish_reason)
    model, usage = body.get("model"), body.get("usage")
    return Said(
        response,
        failure,
        None if finish_reason is None else finish_reason[:_REASON_CHARACTERS],
        reasoning=answer.reasoning,
        model_snapshot=model if isinstance(model, str) else None,
        usage=usage if isinstance(usage, dict) else None,
    )


FORMAT: Final = Format("openai-batch", "OpenAI batch output", looks_like_openai_batch, read_openai_batch)
