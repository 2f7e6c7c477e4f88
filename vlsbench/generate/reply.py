"""Read what a target's server sent: an answer, or a named failure. Never a guess.

Pure: no files, no network, no clock. Thoughts are kept apart from the answer and are never the answer: those that a
server sends in a field of their own, and those that a model marks in its text (`vlsbench.thought`). Where the budget
ended inside a thought there is no answer (`response_empty`, finish reason `length`). A provider's refusal is an answer;
a content filter without text is `response_filtered`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vlsbench.endpoint import failure_within, is_filtered, usage_of
from vlsbench.error_texts import why_not_an_answer
from vlsbench.records import ResponseFailure, Settings
from vlsbench.thought import separate

__all__ = ["Answer", "read_answer", "unanswered"]


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
        return unanswered(f"the reply is not JSON: {_one_line(body)}")
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if not isinstance(choices, list):
        error = completion.get("error") if isinstance(completion, dict) else None
        if is_filtered(error):
            return Answer(failure="response_filtered", finish_reason=json.dumps(error), settings=settings)
        return unanswered(f"the reply is no chat completion: {_one_line(body)}")
    if choices and (broken := failure_within(choices[0])) is not None:
        if is_filtered(choices[0].get("error")):
            return Answer(failure="response_filtered", finish_reason=broken, settings=settings)
        return unanswered(f"the server failed within its reply: {broken}")
    answer = _read_choice(choices[0]) if choices else Answer(failure="response_empty", finish_reason="no choices")
    model, fingerprint = completion.get("model"), completion.get("system_fingerprint")
    named = [part for part in (model, fingerprint) if isinstance(part, str) and part]
    return answer._replace(model_snapshot=" ".join(named) or None, usage=usage_of(completion), settings=settings)


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
    is_filter = finish is not None and finish.casefold().startswith(("content_filter", "safety", "prohibited"))
    return answer._replace(response=None, failure="response_filtered" if is_filter else "response_empty")


def _text_of(content: object) -> str:
    """Text of a message's field: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _thoughts_of(content: object) -> str:
    """Thoughts that are parts of a message's content, as Mistral and Anthropic send them."""
    parts = content if isinstance(content, list) else []
    kinds = ("thinking", "reasoning")
    thoughts = [part for part in parts if isinstance(part, Mapping) and part.get("type") in kinds]
    texts = [next((part[name] for name in (*kinds, "text") if part.get(name)), "") for part in thoughts]
    return "\n\n".join(filter(None, map(_text_of, texts)))


def _one_line(body: bytes) -> str:
    # Whole: the caller cuts it, after it has blotted out secrets that a cut could halve.
    return " ".join(body.decode("utf-8", "replace").split())
