"""Read what a judge's server sent: a label, or a named failure. Never a guess.

Pure: no files, no network, no clock. What a reply says is its protocol's to read (`vlsbench.judge.protocols`); here is
what stands around it: the completion, the choices, the fence, the token limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from pydantic import JsonValue

from vlsbench.endpoint import failure_within, is_filtered, usage_of
from vlsbench.errors import UsageError
from vlsbench.judge.protocols import PROTOCOLS, Protocol, Reading
from vlsbench.records import Failure, Label

__all__ = [
    "OUTPUT_FORMATS",
    "Outcome",
    "OutputFormat",
    "check_output_format",
    "read_completion",
    "read_text",
    "unreachable",
]

OutputFormat = Literal["json_schema", "json_object", "text"]
"""How the endpoint is told what a reply looks like: by a schema, by asking for JSON, or in words only."""

OUTPUT_FORMATS: Final[tuple[OutputFormat, ...]] = ("json_schema", "json_object", "text")
"""From the strictest down: the order in which a run tries them."""


def check_output_format(name: str) -> OutputFormat:
    """Return the output format of this name.

    Raises:
        UsageError: If there is none.
    """
    for output_format in OUTPUT_FORMATS:
        if output_format == name:
            return output_format
    raise UsageError(f"--output-format {name!r} is not known; known: {', '.join(OUTPUT_FORMATS)}.")


class Outcome(NamedTuple):
    """What came of one question: exactly one of `label` and `failure`."""

    label: Label | None
    failure: Failure | None
    raw: str
    """The judge's reply, or why there is none."""
    explanation: str | None = None
    judge_model: str | None = None
    usage: dict[str, JsonValue] | None = None
    is_free: bool = False
    """The server said that it did nothing (an error status), so nothing was paid."""


def unreachable(reason: str, *, is_free: bool = False) -> Outcome:
    """No reply of a judge: a rerun asks again."""
    return Outcome(None, "judge_unreachable", reason, is_free=is_free)


_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(?P<inside>.*?)\n[ \t]*```\s*", re.DOTALL | re.IGNORECASE)
_FENCE_START = re.compile(r"\s*```(?:json)?[ \t]*\n", re.IGNORECASE)


def _text_of(content: object, *, kind: str, field: str) -> str:
    """Text of a message's content: a string, or the parts of one `kind`."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    if not isinstance(content, list):
        return ""
    parts = [part.get(field) for part in content if isinstance(part, Mapping) and part.get("type") == kind]
    return "".join(part for part in parts if isinstance(part, str))


def read_text(text: str, protocol: Protocol, *, finish: object = "stop", may_be_fenced: bool = False) -> Outcome:
    """Read what a judge wrote: the one place for all that write, behind an endpoint or on this machine.

    Args:
        finish: Why it ended; `length` is the token limit.
        may_be_fenced: Take a JSON object in a fence too: whole, alone, with nothing before or behind.
    """
    is_cut = finish == "length"
    raw = text or f"finish_reason {finish!r} without text"
    said = protocol.find_answers(text)
    if len(said) != 1:
        return Outcome(None, "judge_cut" if is_cut and not said else "judge_unparsable", raw)
    inside = said[0]
    if may_be_fenced and protocol.schema is not None:
        inside = _unfence(inside, is_cut=is_cut)
    reading = protocol.read(inside)
    if reading is None:
        reading = protocol.read_cut(inside) if is_cut else Reading(failure="judge_unparsable")
    return Outcome(reading.label, reading.failure, raw, reading.explanation)


def _unfence(text: str, *, is_cut: bool) -> str:
    if fence := _FENCE.fullmatch(text):
        return fence["inside"]
    start = _FENCE_START.match(text) if is_cut else None
    return text[start.end() :] if start else text


def _read_choice(choice: object, protocol: Protocol, *, may_be_fenced: bool) -> Outcome:
    if (broken := failure_within(choice)) is not None:
        is_filter = isinstance(choice, Mapping) and is_filtered(choice.get("error"))
        return Outcome(None, "judge_filtered" if is_filter else "judge_unreachable", broken)
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return Outcome(None, "judge_unparsable", json.dumps(choice))
    finish = choice.get("finish_reason")
    content = message.get("content")
    text = _text_of(content, kind="text", field="text")
    refusal = message.get("refusal") or _text_of(content, kind="refusal", field="refusal")
    if refusal:
        return Outcome(None, "judge_refused", refusal if isinstance(refusal, str) else json.dumps(refusal))
    if isinstance(finish, str) and finish.casefold().startswith("content_filter"):
        return Outcome(None, "judge_filtered", text or f"finish_reason {finish!r} without text")
    return read_text(text, protocol, finish=finish, may_be_fenced=may_be_fenced)


def _one_line(body: bytes) -> str:
    # Whole: the caller cuts it, after it has blotted out secrets that a cut could halve.
    return " ".join(body.decode("utf-8", "replace").split())


def read_completion(body: bytes, protocol: str = "v1", *, may_be_fenced: bool = False) -> Outcome:
    """Read the body of an answer with status 200.

    What is no chat completion (a login page, a proxy's error) is not the judge speaking: `judge_unreachable`. One
    choice was asked for; where a server sends several, they count only if they agree.

    Args:
        protocol: Name of the protocol whose shape a reply has to have.
        may_be_fenced: Take the JSON object in a fenced code block too, as models write it that were asked in words.
    """
    try:
        completion = json.loads(body)
    except (ValueError, RecursionError):
        return unreachable(f"the reply is not JSON: {_one_line(body)}")
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if not isinstance(choices, list):
        error = completion.get("error") if isinstance(completion, dict) else None
        if is_filtered(error):
            return Outcome(None, "judge_filtered", json.dumps(error))
        return unreachable(f"the reply is no chat completion: {_one_line(body)}")
    outcomes = [_read_choice(choice, PROTOCOLS[protocol], may_be_fenced=may_be_fenced) for choice in choices]
    if len({(outcome.label, outcome.failure) for outcome in outcomes}) == 1:
        outcome = outcomes[0]
    else:
        reason = "choices that do not agree: " + json.dumps(choices) if choices else "no choices"
        outcome = Outcome(None, "judge_unparsable", reason)
    model = completion.get("model")
    return outcome._replace(judge_model=model if isinstance(model, str) else None, usage=usage_of(completion))
