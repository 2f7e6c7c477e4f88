"""Decide which responses the offline judge must not label: those without words, and other languages.

A name, an address and a line of code are of no language. An answer that is not English at first sight is therefore
looked at once more without them (`without_names`), and is English where a sentence is left and that is.

Pure: no files, no network, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vlsbench.judge.offline.features import START, Tokens, fold, split, tokenise
from vlsbench.judge.offline.lexicon import ENGLISH_FUNCTION_WORDS, FOREIGN_FUNCTION_WORDS

__all__ = [
    "Sorted",
    "foreign_letters",
    "foreign_rows",
    "is_english_around_names",
    "without_names",
    "word_kinds",
    "wordless_rows",
]

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


class Sorted(NamedTuple):
    """The words of an answer, in two heaps."""

    prose: str
    """What is said, line by line."""
    names: str
    """Names, addresses and code."""


_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,200}`", re.DOTALL)
_ADDRESS = re.compile(
    r"\b(?:https?://|www\.)\S+|(?<![^\s@])[^\s@]{1,64}@[^\s@]{1,255}\.\w+|(?<![\w.~/\\-])(?:[\w.~-]*[/\\]){2,}[\w.~-]*"
)
_CODE_SIGN = re.compile(r"[{}\[\]()=<>;\\|$&^~]")
_CODE_START = re.compile(r"\s*(?:[$>#%]\s|>>>|import\s\w|from\s\w+\simport\s|#include|sudo\s|SELECT\s)")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_SENTENCE = re.compile(r"(?<=[.!?:])\s+")

MAX_ITEM_WORDS, MIN_ITEMS = 3, 3
"""A list of names has three items or more of up to three words each, particles not counted."""

PARTICLES = frozenset(
    {"al", "bin", "da", "de", "del", "den", "der", "di", "do", "dos", "du", "e", "el", "i", "ibn", "la", "le", "of"}
    | {"ten", "ter", "van", "vom", "von", "y", "zu", "zum"}
)
"""Words inside names, which say nothing about the language of a text: `Juan de la Cruz`, `Ludwig van Beethoven`."""

MIN_FOREIGN_SHARE = 0.25
"""More function words of other languages than this, or two, has a sentence in one; an address may have one (`São`)."""

_SHARED_WORDS = frozenset(("a", "am", "an", "as", "in", "so", "was"))
"""Function words of English that are words elsewhere too: they speak neither for it nor against it."""

MAX_CHARACTERS = 20_000
"""A longer answer is not looked at twice: 4,096 tokens of English have as many, and a hostile file has a million."""

MIN_PROSE_WORDS = 2
"""`Contact them:` before a list says which language it is in; a single word does not."""

MIN_PROSE_ENGLISH = 0.24
"""Function words of English in what is said around names. It is little text, so it has to be plain English: 99.5% of
the labelled English answers have so many."""


def without_names(text: str) -> Sorted:
    """Sort an answer into what is said, and the names, addresses and code in it.

    A sentence with more function words of other languages than of English is said, whatever its capitals.

    >>> without_names("You can ask Ludwig van Beethoven, at info@example.org.").prose.split()
    ['You', 'can', 'ask', 'van', 'at.']
    """
    names: list[str] = []

    def take(found: re.Match[str]) -> str:
        names.append(found[0])
        return " "

    lines = _ADDRESS.sub(take, _CODE.sub(take, text)).splitlines()
    code = [_is_code(line) for line in lines]
    names += [line for line, is_code in zip(lines, code, strict=True) if is_code]
    parts = [part for line, is_code in zip(lines, code, strict=True) if not is_code for part in _SENTENCE.split(line)]
    is_item = [_is_item(part, opens_with_capital=True) for part in parts]
    is_list = sum(is_item) >= MIN_ITEMS
    said = []
    for part, is_name in zip(parts, is_item, strict=True):
        if is_name and is_list:
            names.append(part)
        elif _leans_foreign(part):
            said.append(part)
        else:
            said.append(_drop_capitals(_without_items(part, names), names))
    return Sorted("\n".join(said), "\n".join(names))


def _without_items(sentence: str, names: list[str]) -> str:
    """Drop the names that commas list in a sentence; what stands before the first comma stays."""
    first, *rest = re.split(r"[,;]", sentence)
    items = [part for part in rest if _is_item(part)]
    if len(items) < MIN_ITEMS - 1:
        return sentence
    names += items
    return ",".join([first, *(part for part in rest if not _is_item(part))])


def _is_code(line: str) -> bool:
    return _CODE_START.match(line) is not None or 12 * len(_CODE_SIGN.findall(line)) > len(line.strip())


def _leans_foreign(sentence: str) -> bool:
    words = [fold(word) for word in _WORD.findall(sentence) if not _is_short_form(word)]
    n_foreign = sum(word in FOREIGN_FUNCTION_WORDS and word not in PARTICLES for word in words)
    n_english = sum(word in ENGLISH_FUNCTION_WORDS for word in words)
    return n_foreign > n_english and (n_foreign > 1 or n_foreign > MIN_FOREIGN_SHARE * len(words))


def _is_short_form(word: str) -> bool:
    """Say whether letters are no word: `CA` and `OR`, the states of an address."""
    return word.isupper() and 1 < len(word) <= 3


def _is_item(part: str, *, opens_with_capital: bool = False) -> bool:
    """Say whether a part of a list is a name: one word, or capitalised ones.

    Args:
        opens_with_capital: Whatever stands here does, so that the first capital says nothing; elsewhere `Taxus baccata`
            is a name by it.
    """
    words = [word for word in _WORD.findall(part) if word not in PARTICLES]
    is_word = any(word.lower() in ENGLISH_FUNCTION_WORDS or word.lower() == word.upper() for word in words)
    if is_word or len(words) > MAX_ITEM_WORDS:  # a script without capitals writes a sentence as one word
        return False
    must_be = words[1:] if opens_with_capital else words[:1]
    return len(words) <= 1 or all(word[0].isupper() for word in must_be)


def _drop_capitals(sentence: str, names: list[str]) -> str:
    """Drop capitalised words: inside a sentence, and at its beginning where the next one is capitalised too."""
    found = list(_WORD.finditer(sentence))
    kept = []
    for number, word in enumerate(found):
        follows = found[number + 1] if number + 1 < len(found) else None
        leads_on = follows is not None and follows[0][0].isupper() and sentence[word.end() : follows.start()].isspace()
        is_name = word[0][0].isupper() and word[0] != "I" and (number > 0 or leads_on)
        is_english = word[0].lower() in ENGLISH_FUNCTION_WORDS and not leads_on
        if _is_short_form(word[0]) or (is_name and not is_english):
            names.append(word[0])
        else:
            kept.append(word[0])
    return " ".join(kept) + "."


def is_english_around_names(text: str, vocabulary: Mapping[str, int], kinds: npt.NDArray[np.int64]) -> bool:
    """Say whether an answer that is not English as a whole is English, but for names, addresses and code.

    Args:
        text: Visible, as it was written: a name is known by its capital letter.
        vocabulary: As `tokenise` takes it.
        kinds: See `word_kinds`.
    """
    if len(text) > MAX_CHARACTERS:
        return False
    found = without_names(text)
    prose = fold(found.prose)
    words = [word for word in split(prose) if word[0].isalpha()]
    n_english = sum(word in ENGLISH_FUNCTION_WORDS for word in words)
    n_telling = sum(word not in _SHARED_WORDS for word in words)
    if not found.names.strip() or len(words) < MIN_PROSE_WORDS or n_english < MIN_PROSE_ENGLISH * n_telling:
        return False
    tokens = tokenise([prose], vocabulary)
    return not foreign_rows(tokens, kinds)[0] and not foreign_letters(prose, len(words))
