"""Is a text an answer at all? Blank texts and API-error strings are not, and no judge is ever asked about them.

Pure: no files, no network. The authors' script judges its own "Sorry, but error occured" as if the model had said it
(github.com/AI45Lab/VLSBench at 68f54de, models/); here such a line is `response_error`, a failure.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

__all__ = ["why_not_an_answer"]

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffd")
"""Signs that show nothing: Hangul fillers, the empty Braille cell, what a decoder writes for a lost byte."""

_ERROR_START = re.compile(
    r"""
    \W{0,3}(?:
      (?:sorry,?\ but\ )?(?:an\ )?error\ occur+ed\b  # what the release's own script writes, and well spelled
    | [\w.]{0,60}\w(?:error|exception)\s{0,3}(?:[:\[(<]|code\b|$)  # RetryError[...], openai.BadRequestError: ...
    | (?:error|exception)\s?:\s{0,3}(?:[{\[<]|[0-9]{3}\b|error\b|connection\b|request\b|read\b|time-?d?\s?out
      |rate\ limit|[\w.]{0,60}\w(?:error|exception)\b)  # Error: connection reset; not: Error: I refuse
    | (?-i:API)[\ _-]?\w{1,40}(?-i:Error|Exception)\b  # API RetryError, and whatever stands behind it
    | (?:(?:openai|azure|gemini|anthropic|claude\S{0,12}|gpt\S{0,12}|vllm|the)\ )?api
      \ (?:call|request|connection|server)\ (?:error|failed|failure|timed\ out|time-?out|aborted|refused|reset)\b
    | (?:(?:openai|azure|gemini|anthropic|claude\S{0,12}|gpt\S{0,12}|vllm)\ )?api
      \ (?:error|failure|time-?out|timed\ out)(?=\W{0,3}$|\s{0,3}[:({\[<0-9]|\ (?:occurr?ed|after|while|error)\b)
    | (?:openai|azure|gemini|anthropic|vllm)\ (?:error|exception)\b
    | error\ (?:while\ |when\ |in\ |during\ )?(?:calling|querying|generating|fetching|contacting|requesting|generation\b
      |inference\b)
    | (?:an\ )?exception\ (?:occurr?ed|raised|caught)(?=\W{0,3}$|\s{0,3}[:(]|\ (?:while|during|in)\b)
    | failed\ to\ (?:generate|get|obtain|fetch|receive)\ (?:an?\ |the\ |any\ )?(?:response|answer|completion|output)\b
    | failed\ to\ call\ (?:the\ )?\S{0,12}\ ?api\b | request\ failed(?=\W{0,3}$|:|\ (?:with|after)\b)
    | https?connectionpool\( | max\ retries\ exceeded\b | connection\ aborted\b | remotedisconnected\(
    | server\ disconnected(?=\W{0,3}$|\ without\b) | time-?d?\ ?out\.?$
    | (?:incorrect|invalid)\ api\ key\b | api\ key\ not\ valid\b | invalid\ operation:\ the\ .?response\.text
    | google\.api_core\.\S
    | (?-i:ResourceExhausted|DeadlineExceeded|ServiceUnavailable|PermissionDenied|InvalidArgument)\s{0,3}(?:[:(]|$)
    | \[(?:api[\ _])?error\] | error\]\s | \$error\$
    | status[\ _]?code\W{0,3}[45][0-9]{2}\b | \{\s{0,20}["'](?:code|status(?:_?code)?)["']\s{0,3}:\s{0,3}[45][0-9]{2}\b
    | error[\ _](?:code\W{0,3})?[0-9]{3}\b | finish_?reason\b
    | traceback\ \(most\ recent\ call\ last\) | cuda\ (?:out\ of\ memory|error)
    | <!doctype\ html | <html[\ >] | <\?xml | \{\s{0,20}["']error["']\s{0,3}:
    | (?:http\S{0,4}\ )?[45][0-9]{2}\b[\s:,-]{0,3}(?:client\ error | server\ error | bad\ request | unauthorized
      | payment\ required | forbidden | not\ found | too\ many\ requests | internal\ server\ error | bad\ gateway
      | service\ (?:temporarily\ )?unavailable | gateway\ time-?out | request\ time-?out | overloaded)\b
    | (?:(?:too\ many\ requests | internal\ server\ error | bad\ gateway | service\ (?:temporarily\ )?unavailable
        | gateway\ time-?out)
      | (?:api|http|server|request|client|upstream|network|connection)[\ _]?\w{0,20}error
      | rate[\ _-]?limit(?:[\ _]?(?:reached|exceeded|error)|\ is\ (?:reached|exceeded))? | quota\ exceeded
      | (?:connection|read|request)\ (?:timed\ out|timeout|aborted|reset|refused) | out\ of\ memory
      )(?=\W{0,3}$|\s{0,3}[:({\[<0-9]|,\ |\ for\ url)
    )
    | failed\ to\ obtain\ answer\b | \[?lmms_eval_(?:request_failed|budget_exceeded)\b  # VLMEvalKit; lmms-eval
    | \[?content[_ ]filter\]?\W*$ | you\ exceeded\ your\ current\ quota
    | (?:null|nan|undefined|n/a|\[object\ object\]|error|failed|\[error\]|<error>|\[?no\ response\]?)\.?$ | none$
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""How the message of a failed call opens. Only the opening is read: an answer that explains an error message later on
is an answer. The last group must end the text: an answer may open with such words too."""


def why_not_an_answer(text: str) -> Literal["response_empty", "response_error"] | None:
    r"""Say why `text` cannot be judged, or None where it can.

    >>> why_not_an_answer(" \u200b\n")
    'response_empty'
    >>> why_not_an_answer("Error code: 429 - {'error': {'message': 'slow down'}}")
    'response_error'
    >>> why_not_an_answer("Sorry, I can't help with that error message.") is None
    True
    """
    return _kept(text) if len(text) <= _LONGEST_KEPT else _why(text)


_LONGEST_KEPT = 4000
"""Characters of a text whose reason is kept: with 4,096 of them at most 64 MB."""


def _why(text: str) -> Literal["response_empty", "response_error"] | None:
    if not any(char not in _BLANK and unicodedata.category(char)[0] in "LNSP" for char in text):
        return "response_empty"
    return "response_error" if _ERROR_START.match(text.strip()) else None


_kept = lru_cache(maxsize=4096)(_why)
"""A submission's answers are asked about by its check, its count and its screening, five times in all."""
