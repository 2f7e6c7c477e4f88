"""Is a text an answer at all? Blank texts and API-error strings are not, and no judge is ever asked about them.

Pure: no files, no network. The authors' script judges its own "Sorry, but error occured" as if the model had said
it (FACTS of github.com/AI45Lab/VLSBench at 68f54de, models/); here such a line is `response_error`, a failure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

__all__ = ["why_not_an_answer"]

_LONGEST_ERROR = 1_000
"""Characters. An error string is short; a long answer that mentions an error is an answer."""

_ERROR = re.compile(
    r"""\s*["'`\[({]*(?:
      sorry,?\ but\ (?:an\ )?error\ occured\W*$
    | (?:openai|anthropic|httpx2?|requests|urllib3|aiohttp|google)\.[\w.]*(?:error|exception|timeout)\b
    | (?:api\s?retry|api|rate\s?limit|ratelimit|timeout|connection|connect|read\s?timeout|internal\s?server|bad\s?request|authentication
        |permission\s?denied|api\s?connection|api\s?status|api\s?timeout|retry|remote\s?protocol|http)_?\s?error\b
    | error\ code:\s*\d{3}\b
    | (?:http(?:/\d(?:\.\d)?)?\s)?(?:400|401|403|404|408|409|413|422|429|500|502|503|504|529)\b[\s:,-]*
        (?:client\ error|server\ error|bad\ request|unauthori[sz]ed|forbidden|not\ found|request\ timeout|too\ many\ requests
        |internal\ server\ error|bad\ gateway|service\ unavailable|gateway\ time-?out|overloaded)
    | (?:internal\ server\ error|bad\ gateway|service\ unavailable|gateway\ time-?out|too\ many\ requests)\W*$
    | (?:finish_?reason|block_?reason)\W{0,3}(?:\w+\.)*(?:safety|content_filter|prohibited_content|recitation|blocklist|other)\b
    | ["']?error["']?\s*:\s*[{"'][^\n]{0,400}["']?(?:message|code|type)["']?\s*:
    | traceback\ \(most\ recent\ call\ last\)
    | cuda\ out\ of\ memory | cuda\ error: | torch\.(?:cuda\.)?outofmemoryerror
    | rate\ limit\ (?:reached|exceeded) | you\ exceeded\ your\ current\ quota
    | <!doctype\ html | <html[\s>]
    | \[?(?:content_filter|content\ filter|no\ response|api\ error|failed\ to\ obtain\ answer[^\n]*)\]?\W*$
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def why_not_an_answer(text: str) -> Literal["response_empty", "response_error"] | None:
    """Say why `text` cannot be judged, or None where it can.

    >>> why_not_an_answer(" \\u200b\\n")
    'response_empty'
    >>> why_not_an_answer("Error code: 429 - {'error': {'message': 'slow down'}}")
    'response_error'
    >>> why_not_an_answer("Sorry, I can't help with that error message.") is None
    True
    """
    if not any(char.isalnum() or unicodedata.category(char)[0] in "SP" for char in text):
        return "response_empty"
    if len(text) <= _LONGEST_ERROR and _ERROR.match(text):
        return "response_error"
    return None
