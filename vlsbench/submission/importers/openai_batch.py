"""Output of OpenAI's batch endpoint for chat completions: one object per line, answers and errors alike.

`{"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}`, of which `custom_id` is what the
submitter chose: `N`, `vlsbench-N`, `instruction_id=N`, with `:CONDITION` behind it where one wants. Lines of the output
file and of the error file have one shape. A refusal is an answer; a line that is no HTTP 200 is a failure. The file
does not carry the prompts, so that no text can be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from vlsbench.errors import amount
from vlsbench.records import ResponseFailure
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.rows import Parsed, Row, Said, answer_or_failure, parse_id
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Glimpse, Sniffed, read_table

__all__ = ["FORMAT", "looks_like_openai_batch", "read_openai_batch"]

_USED: Final = frozenset({"id", "custom_id", "response", "error"})


def looks_like_openai_batch(glimpse: Glimpse) -> bool:
    """Say whether a file's rows have a `custom_id` and what came of it."""
    return "custom_id" in glimpse.names and not glimpse.names.isdisjoint({"response", "error"})


def read_openai_batch(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read an output or error file of a batch."""
    rows, ignored = [], dict[str, None]()
    models: Counter[str] = Counter()
    n_several = 0
    for cells in read_table(source, sniffed, problems, wanted=_USED):
        ignored.update(dict.fromkeys(name for name in cells.values if name not in _USED))
        number = parse_id(cells.values.get("custom_id"))
        if isinstance(number, str):
            problems.add(cells.place, f"'custom_id': {number}")
            continue
        response = cells.values.get("response")
        if response is not None and not isinstance(response, dict):
            problems.add(cells.place, f"'response' is an object or null; found {type(response).__name__}")
            continue
        body = _body(cells.values)
        said = _failed(cells.values) if body is None else _said(body)
        if said is None:
            problems.add(
                cells.place,
                "a body without `choices`; only /v1/chat/completions is read. Import its answers as a plain table",
            )
            continue
        if said.model_snapshot:
            models[said.model_snapshot] += 1
        n_several += body is not None and len(body["choices"]) > 1
        rows.append(Row(cells.place, number[0], None, said, number[1]))
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
    failure: ResponseFailure = "response_filtered" if code == "content_filter" else "response_error"
    reason = (
        code if isinstance(code, str) else f"HTTP {response.get('status_code')}" if isinstance(response, dict) else None
    )
    return Said(failure=failure, finish_reason=None if reason is None else reason[:100])


def _said(body: Mapping[str, Any]) -> Said | None:
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return None
    finish_reason = choice.get("finish_reason")
    finish_reason = finish_reason if isinstance(finish_reason, str) else None
    content, refusal = message.get("content"), message.get("refusal")
    text = content if isinstance(content, str) and content.strip() else refusal
    response, failure = answer_or_failure(text if isinstance(text, str) else None, finish_reason)
    reasoning = next((message[k] for k in ("reasoning_content", "reasoning") if isinstance(message.get(k), str)), None)
    model, usage = body.get("model"), body.get("usage")
    return Said(
        response,
        failure,
        finish_reason,
        reasoning=reasoning,
        model_snapshot=model if isinstance(model, str) else None,
        usage=usage if isinstance(usage, dict) else None,
    )


FORMAT: Final = Format("openai-batch", "OpenAI batch output", looks_like_openai_batch, read_openai_batch)
