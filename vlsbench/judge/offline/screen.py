"""Decide which responses the offline judge must not label: those without words, and other languages.

Pure: no files, no network, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vlsbench.judge.offline.features import START, Tokens
from vlsbench.judge.offline.lexicon import ENGLISH_FUNCTION_WORDS, FOREIGN_FUNCTION_WORDS

__all__ = ["foreign_letters", "foreign_rows", "word_kinds", "wordless_rows"]

_OTHER_LETTER = re.compile(r"[^\W\d_a-z]")
MAX_OTHER_LETTERS = 40
"""Letters of other scripts that an English answer may quote: a sign or a name. With more the text is mixed."""


def foreign_letters(text: str, n_latin: int) -> bool:
    """Return whether normalised text has too many letters that are not Latin.

    Args:
        text: Normalised.
        n_latin: Latin words in it; up to one such letter per word is a quotation.
    """
    if text.isascii():
        return False
    n = len(_OTHER_LETTER.findall(text))
    return n > min(MAX_OTHER_LETTERS, n_latin)


ENGLISH, FOREIGN, WORD = 1, 2, 4
"""Kinds of a token, added up."""


def word_kinds(words: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the kinds of every token id, shape (words + 2,); an unknown token is a word."""
    kinds = [WORD, 0]
    for word in words:
        kind = WORD if word[0].isalpha() else 0
        kind += ENGLISH * (word in ENGLISH_FUNCTION_WORDS) + FOREIGN * (word in FOREIGN_FUNCTION_WORDS)
        kinds.append(kind)
    return np.asarray(kinds, dtype=np.int64)


WINDOW_TOKENS = 16
"""A window of about one sentence: a text is mixed when one sentence of it is in another language."""

MIN_WORDS = 8
"""From here on the share of function words says something; a shorter answer is looked up word by word."""

MIN_ENGLISH_SHARE = 0.12
"""Function words among all words. Labelled English answers: 0.5% have less than 0.24; other languages: under 0.05."""

MIN_KNOWN_SHARE = 0.35
"""Words of the vocabulary among all words: one of the labelled English answers has less, a single rare word."""


def foreign_rows(tokens: Tokens, kinds: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which answers are not English as a whole, or have a sentence that is not, shape (rows,)."""
    kind = kinds[tokens.ids]
    n = tokens.n_rows

    def per_row(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(tokens.rows[chosen], minlength=n).astype(np.int64)

    is_word = (kind & WORD) > 0
    is_english, is_foreign = (kind & ENGLISH) > 0, (kind & FOREIGN) > 0
    is_known = is_word & (tokens.ids > START) & ~is_foreign
    words, english = per_row(is_word), per_row(is_english)
    foreign, known = per_row(is_foreign), per_row(is_known)
    unfamiliar = known < MIN_KNOWN_SHARE * words
    foreign_leads = (foreign > 0) & (foreign >= english) & (known * 2 <= words)
    few_english = english < MIN_ENGLISH_SHARE * words
    whole = np.where(words < MIN_WORDS, unfamiliar | foreign_leads, few_english & (unfamiliar | (foreign > english)))
    # Windows of a fixed number of tokens within each answer.
    length = np.bincount(tokens.rows, minlength=n)
    windows_per_row = length // WINDOW_TOKENS + 1
    first = np.cumsum(windows_per_row) - windows_per_row
    window = first[tokens.rows] + tokens.positions // WINDOW_TOKENS
    n_windows = int(windows_per_row.sum())

    def per_window(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(window[chosen], minlength=n_windows).astype(np.int64)

    window_words = per_window(is_word)
    other = (
        (window_words >= 8)
        & (per_window(is_english) * 10 < window_words)
        & (per_window(is_foreign) * 5 >= window_words)
        & (per_window(is_known) * 2 < window_words)
    )
    mixed = np.bincount(np.repeat(np.arange(n), windows_per_row)[other], minlength=n) > 0
    result: npt.NDArray[np.bool_] = (whole & (words > 0)) | mixed
    return result


def wordless_rows(tokens: Tokens, kinds: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which answers have no Latin word at all, shape (rows,)."""
    has = np.bincount(tokens.rows[(kinds[tokens.ids] & WORD) > 0], minlength=tokens.n_rows)
    result: npt.NDArray[np.bool_] = has == 0
    return result
