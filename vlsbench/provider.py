"""What providers say of a question: their errors, their filters, their ends and their counts.

Written differently by OpenAI, Azure, Anthropic, Google, Alibaba and routers, and read here once, for questions that are
asked one by one, for batches and for other tools' logs.

Rule of the room: pure. Leaves out what follows for a run (`endpoint`) and for a response or verdict (their readers).
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = [
    "advice_on",
    "describe",
    "failure_within",
    "is_filter_finish",
    "is_filtered",
    "refused_parameter",
    "retry_after_seconds",
    "status_within",
    "usage_of",
]


def describe(error: openai.APIStatusError) -> str:
    """One line about an error: the status, and the server's own words where it has some."""
    body = error.body
    message = body.get("message") if isinstance(body, Mapping) else body
    text = message if isinstance(message, str) else json.dumps(body)
    return f"HTTP {error.status_code}: {' '.join(text.split())}"


_ADVICE_BY_STATUS: Final = {
    401: "(is OPENAI_API_KEY right for this endpoint?)",
    402: "(the account has no credit)",
    403: "(may this key use this model?)",
    404: "(is the name of the model right, and does the URL end as the server wants, often in /v1?)",
    405: "(does the URL end as the server wants, often in /v1?)",
}
"""A status that every question would get. Asking on would cost time or money for nothing."""


_ADVICE_BY_CODE: Final = {
    "insufficient_quota": "(the account has no credit)",
    "invalid_api_key": "(is OPENAI_API_KEY right for this endpoint?)",
    "model_not_found": "(is the name of the model right?)",
}
"""The same for the codes of OpenAI's errors, whatever their status."""


def advice_on(error: openai.APIStatusError, key_variable: str) -> str | None:
    """Say what to do about an error that every question would get, in parentheses; None where it is about one.

    Args:
        key_variable: Environment variable of the key.
    """
    advice = _ADVICE_BY_CODE.get(error.code or "") or _ADVICE_BY_STATUS.get(error.status_code)
    return None if advice is None else advice.replace("OPENAI_API_KEY", key_variable)


_FILTER_CODES: Final = frozenset(
    {
        "content_filter",  # OpenAI, Azure
        "content_policy_violation",  # OpenAI, images
        "responsibleaipolicyviolation",  # Azure, in `innererror`
        "data_inspection_failed",  # Alibaba
        "invalid_prompt",  # OpenAI, reasoning models: "your prompt was flagged"
        "moderation_blocked",
    }
)


def is_filtered(error: object) -> bool:
    """Is the error object of a server (`{"code": …}`) its content filter speaking?"""
    if not isinstance(error, Mapping):
        return False
    inner, metadata = error.get("innererror"), error.get("metadata")
    codes = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, Mapping) else None]
    if any(isinstance(code, str) and code.casefold() in _FILTER_CODES for code in codes):
        return True
    # OpenRouter answers 403 with the reasons of its moderation.
    return isinstance(metadata, Mapping) and "flagged_input" in metadata


_FILTER_FINISHES: Final = frozenset(
    {
        "content_filter",  # OpenAI, Azure, vLLM
        "content_filtered",  # Bedrock
        "guardrail_intervened",  # Bedrock
        "refusal",  # Anthropic: the classifier stopped it
        "safety",  # Gemini, as are the next
        "image_safety",
        "image_prohibited_content",
        "prohibited_content",
        "blocklist",
        "spii",
        "sensitive",  # Zhipu
    }
)


def is_filter_finish(finish: object) -> bool:
    """Is a finish reason a provider's content filter speaking? It counts only where there is no text.

    >>> is_filter_finish("IMAGE_SAFETY"), is_filter_finish("content_filter: violence"), is_filter_finish("stop")
    (True, True, False)
    """
    if not isinstance(finish, str):
        return False
    name = finish.strip().casefold()
    return name in _FILTER_FINISHES or name.startswith(("content_filter", "safety", "prohibited"))


def failure_within(choice: object) -> str | None:
    """Return what a server says broke while it answered, or None where nothing did.

    OpenRouter and others send what broke behind them with status 200; it is not the model that said nothing.
    """
    if not isinstance(choice, Mapping):
        return None
    error = choice.get("error")
    if isinstance(error, Mapping):
        return json.dumps(error)
    return "finish_reason 'error'" if choice.get("finish_reason") == "error" else None


def status_within(content: bytes) -> str | None:
    """Return the error of a body that a router sent with status 200, where it is one that is asked again.

    OpenRouter and others send `{"error": {"code": 429, …}}` with status 200 when what stands behind them refuses.
    """
    if len(content) > _MAX_ERROR_BYTES or b'"error"' not in content:
        return None
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    error = body.get("error") if isinstance(body, dict) and not body.get("choices") else None
    if not isinstance(error, Mapping) or is_filtered(error):
        return None
    codes = (error.get("code"), error.get("status"), error.get("type"))
    return json.dumps(error) if any(_is_transient(code) for code in codes) else None


def _is_transient(code: object) -> bool:
    if isinstance(code, str) and not code.isascii():
        return False
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    if type(code) is int:
        return code in (408, 409, 429) or 500 <= code < 600
    return isinstance(code, str) and code.casefold() in _TRANSIENT_CODES


_TRANSIENT_CODES: Final = frozenset(
    {"rate_limit_exceeded", "rate_limit_error", "too_many_requests", "resource_exhausted", "overloaded_error"}
    | {"overloaded", "unavailable", "service_unavailable", "server_error", "internal_server_error", "api_error"}
)
"""Names of the same by OpenAI, Anthropic, Google and routers."""


_MAX_ERROR_BYTES: Final = 64 * 2**10
"""An error is short; a long reply that mentions one is not parsed twice."""


def retry_after_seconds(headers: httpx2.Headers) -> float:
    """Seconds a server asks to wait, as a number or a date; 0 where it does not say, or says nothing that can be."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = email.utils.parsedate_tz(value)
            seconds = 0.0 if date is None else email.utils.mktime_tz(date) - time.time()
        except (ValueError, OverflowError, TypeError, OSError):  # a date that no calendar has
            seconds = 0.0
    return seconds if seconds > 0 else 0.0  # NaN is not


_NOT_TAKEN: Final = re.compile(
    r"unsupported|not (?:be )?support|does(?: not|n't) (?:support|accept)|isn't support|deprecated"
    r"|not (?:allowed|permitted|accepted)|cannot (?:both )?be|only the default"
    r"|unrecognized|unknown|unexpected|not available"
    # It has one value only, or none like ours: Moonshot, Anthropic with thinking, TGI.
    r"|only 1\b|(?:must be|may only be|only be)(?: set| equal)?(?: to)? 1\b|must be (?:strictly )?positive",
    re.IGNORECASE,
)
"""How endpoints say that they do not take a parameter, or not the value that was sent."""


def refused_parameter(status: int | None, reason: str, body: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of the parameters that were sent which an endpoint says it does not take, or None.

    Args:
        reason: All that it says: parameter, code and sentence.

    >>> refused_parameter(400, "invalid temperature: only 1 is allowed", {"temperature": 0.0}, ["temperature"])
    'temperature'
    """
    if status not in (400, 422) or _NOT_TAKEN.search(reason) is None:
        return None
    return next((name for name in names if name in body and name in reason), None)


def usage_of(completion: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the tokens a completion says it took: `prompt_tokens`, `completion_tokens` and, where told, parts."""
    usage = completion.get("usage")
    if not isinstance(usage, Mapping):
        return None
    counts = {name: usage[name] for name in ("prompt_tokens", "completion_tokens") if _is_count(usage.get(name))}
    for field, name in (("prompt_tokens_details", "cached_tokens"), ("completion_tokens_details", "reasoning_tokens")):
        details = usage.get(field)
        if isinstance(details, Mapping) and _is_count(details.get(name)):
            counts[name] = details[name]
    return counts or None


def _is_count(value: object) -> bool:
    # A server's nonsense would be added up, and less than nothing would be spent against --max-cost.
    return type(value) is int and 0 <= value < 2**53
