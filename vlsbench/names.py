"""Names as people see them: when two look the same, and which are refused because they are made to deceive.

Names are kept as they were written; what is made here is compared and never shown. The tables are those of Unicode's
Technical Standard 39 (confusables, scripts), from the library `disarm`, which pins the version of Unicode.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["fold_name", "why_name_refused"]

_WRITTEN_TOGETHER: Final = frozenset({"Bopomofo", "Han", "Hangul", "Hiragana", "Katakana", "Latin"})
"""Scripts of one word that deceive nobody, as in `通义千问VL`: the standard's "highly restrictive" profile."""

_MAX_MARKS: Final = 2
"""Marks of a kind on one letter; Vietnamese writes two."""

_WORD: Final = re.compile(r"[^\W_]+")


@lru_cache(maxsize=10_000)
def fold_name(name: str) -> str:
    """Return what a name looks like: letters and digits only, without case, accents and lookalikes.

    >>> fold_name("Ηonest-A") == fold_name("honest a")  # a Greek Eta
    True
    >>> fold_name("0penAI") == fold_name("OpenAl")  # a zero, and a small L
    True
    """
    from disarm import skeleton_key  # a quarter of a second

    shown = unicodedata.normalize("NFD", skeleton_key(name, digit_policy="tr39"))
    kept = "".join(sign for sign in shown if sign.isalnum())  # a mark is neither letter nor digit
    # `rn` and `m` are one by the standard; the library keeps them apart.
    return kept.replace("rn", "m") or name


def why_name_refused(name: str) -> str | None:
    """Say why a name is refused, as a sentence goes on after it; None where it is not."""
    if name.isascii():
        return None
    from disarm import detect_scripts, is_zalgo

    if is_zalgo(name, threshold=_MAX_MARKS):
        return f"more than {_MAX_MARKS} marks are stacked on one letter; write the letter"
    for word in _WORD.findall(name):
        scripts = {script.value for script in detect_scripts(word)}
        if len(scripts) > 1 and not scripts <= _WRITTEN_TOGETHER:
            found = " and ".join(sorted(scripts))
            return f"the word {word!a} mixes {found} letters, which look alike; write a word in one script"
    return None
