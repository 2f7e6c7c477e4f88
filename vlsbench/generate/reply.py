"""Read what a target's server sent: an answer, or a named failure. Never a guess.

Pure: no files, no network, no clock. Thoughts are kept apart from the answer and are never the answer: those that a
server sends in a field of their own, and those that a model marks in its text (`vlsbench.thought`). Where the budget
ended inside a thought there is no answer (`response_empty`, finish reason `length`). A provider's refusal is an answer;
a content filter without text is `response_filtered`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vlsbench.error_texts import why_not_an_answer
from vlsbench.provider import failure_within, is_filter_finish, is_filtered, usage_of
from vlsbench.records import ResponseFailure, Settings
from vlsbench.text import one_line
from vlsbench.thought import separate

__all__ = ["Answer", "read_answer", "read_reply", "unanswered"]


class Answer(NamedTuple):
    """What came of one question: exactly one of `response`, `failure` and `unreached`."""

    response: str | None = None
    failure: ResponseFailure | None = None
    unreached: str | None = None
    """Why there was no reply; nothing is kept of such a question, and a rerun asks again."""
    finish_reason: str | None = None
    """The server's own; of a refused request its status and the beginning of its sentence."""
    usage: dict[str, Any] | None = None
    model_snapshot: str | None = None
    reasoning: str | None = None
    settings: Settings = Settings()
    """As they were sent."""
    is_free: bool = False
    """The server said that it did nothing (an error status), so nothing was paid."""


def unanswered(reason: str, *, is_free: bool = False) -> Answer:
    """No reply: a rerun asks again."""
    return Answer(unreached=reason, is_free=is_free)


def read_answer(body: bytes, settings: Settings) -> Answer:
    """Read the body of an answer with status 200.

    What is no chat completion (a login page, a proxy's error) is not the model speaking: `unreached`.

    Args:
        settings: As they were sent.
    """
    try:
        completion = json.loads(body)
    except (ValueError, RecursionError):
        return unanswered(f"the reply is not JSON: {one_line(body)}")
    return read_reply(completion, settings, shown=one_line(body))


def read_reply(completion: object, settings: Settings, *, shown: str = "") -> Answer:
    """Read what `/v1/chat/completions` or `/v1/responses` answered, asked at once or in a batch.

    Args:
        shown: The body, as a reason quotes it.
    """
    if not isinstance(completion, Mapping):
        return unanswered(f"the reply is no chat completion: {shown}")
    choices, output = completion.get("choices"), completion.get("output")
    if not isinstance(choices, list):
        error = completion.get("error")
        if is_filtered(error):
            return Answer(failure="response_filtered", finish_reason=json.dumps(error), settings=settings)
        if not isinstance(output, list) or error:
            return unanswered(f"the reply is no chat completion: {shown}")
        answer = _read_output(output, completion)
    else:
        choice = _first_choice(choices)
        if (broken := failure_within(choice)) is not None:
            if is_filtered(choice.get("error")):
                return Answer(failure="response_filtered", finish_reason=broken, settings=settings)
            return unanswered(f"the server failed within its reply: {broken}")
        answer = _read_choice(choice) if choices else Answer(failure="response_empty", finish_reason="no choices")
    model, fingerprint = completion.get("model"), completion.get("system_fingerprint")
    named = [part for part in (model, fingerprint) if isinstance(part, str) and part]
    return answer._replace(model_snapshot=" ".join(named) or None, usage=usage_of(completion), settings=settings)


def _first_choice(choices: Sequence[Any]) -> Any:
    """Return the choice of index 0, wherever it stands; without an index the first one."""
    first = choices[0] if choices else None
    return next((choice for choice in choices if isinstance(choice, Mapping) and choice.get("index") == 0), first)


def _read_output(output: Sequence[Any], completion: Mapping[str, Any]) -> Answer:
    """Read the `output` of `/v1/responses`: as a choice of a chat completion, whose words it has for other things."""
    items = [item for item in output if isinstance(item, Mapping)]
    parts = [part for item in items if item.get("type") == "message" for part in _list_of(item.get("content"))]
    thoughts = [
        part
        for item in items
        if item.get("type") == "reasoning"
        for name in ("summary", "content")
        for part in _list_of(item.get(name))
    ]
    refusals = [part["refusal"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("refusal"), str)]
    details = completion.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    finish = {"max_output_tokens": "length", None: "stop"}.get(reason, reason)
    message = {"content": parts, "refusal": "".join(refusals), "reasoning": thoughts}
    return _read_choice({"message": message, "finish_reason": finish})


def _list_of(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_choice(choice: object) -> Answer:
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping):
        return Answer(failure="response_empty", finish_reason="no message")
    given = choice.get("finish_reason")
    finish = given if isinstance(given, str) else None
    if not isinstance(message, Mapping):
        message = {}
    refusal = message.get("refusal")
    written = _text_of(message.get("content"))
    if not written.strip() and isinstance(refusal, str) and refusal.strip():
        return Answer(refusal, finish_reason=finish)
    thought, text = separate(written)
    fields = (_text_of(message.get("reasoning_content")), _text_of(message.get("reasoning")))
    apart = next((text for text in (*fields, _thoughts_of(message.get("content"))) if text.strip()), None)
    reasoning = "\n\n".join(part for part in (apart, thought) if part) or None
    answer = Answer(text, finish_reason=finish, reasoning=reasoning)
    if why_not_an_answer(text) != "response_empty":
        return answer
    failure: ResponseFailure = "response_filtered" if is_filter_finish(finish) else "response_empty"
    return answer._replace(response=None, failure=failure)


_TEXT_PARTS = frozenset({"text", "output_text", "summary_text", "reasoning_text"})


def _text_of(content: object) -> str:
    """Text of a message's field: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS]
    return "".join(text for text in texts if isinstance(text, str))


def _thoughts_of(content: object) -> str:
    """Thoughts that are parts of a message's content, as Mistral and Anthropic send them."""
    parts = content if isinstance(content, list) else []
    kinds = ("thinking", "reasoning")
    thoughts = [part for part in parts if isinstance(part, Mapping) and part.get("type") in kinds]
    texts = [next((part[name] for name in (*kinds, "text") if part.get(name)), "") for part in thoughts]
    return "\n\n".join(filter(None, map(_text_of, texts)))
