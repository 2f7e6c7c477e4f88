"""What may not stand on both sides of a fold: one image, one text told again, one template.

Near-duplicates are found with MinHash signatures in bands (Broder 1997): texts that share a band are compared, each
with the first of its bucket only, so time and memory grow with n and not with n². Everything that is linked is one
group, by union-find. Pure: no files, no network, no clock; same items, same groups.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from vlsbench.files import sha256_hex
from vlsbench.leakage.items import AuditItem
from vlsbench.leakage.records import Grouping

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]

__all__ = ["NEAR_DUPLICATE", "Groups", "group_items", "template_of", "words_of"]

NEAR_DUPLICATE: Final = 0.6
"""Jaccard index of the sets of words and word pairs from which two texts are one. In a text of 12 words one word
replaced gives 0.68, two give 0.45."""

_BANDS: Final = 24
_ROWS: Final = 4
"""24 bands of 4: a pair at 0.6 shares one with probability 0.96, at 0.8 with 1.00, at 0.3 with 0.18."""

_MIN_TEMPLATE_WORDS: Final = 4
"""Words that a template keeps; with fewer every "What is …?" would be one."""

_RARE: Final = 0.003
"""Share of the texts up to which a word is what fills a template; at least 3 texts."""

_WORD: Final = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)'[^']*'(?!\w)|`[^`]*`|\[[^\]]*\]|<[^>]*>")
_MASK: Final = "_"


def words_of(text: str) -> list[str]:
    """Split a text into words, lower case.

    >>> words_of("What's the 2nd-best?")
    ["what's", 'the', '2', 'nd', 'best']
    """
    return _WORD.findall(text.lower().replace("’", "'"))


class Groups(NamedTuple):
    """Group of every item."""

    of_item: Ids
    """Group number per item, from 0."""
    summary: Grouping


class _Union:
    """Union-find over 0…n-1."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, item: int) -> int:
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(self, a: int, b: int) -> bool:
        first, second = self.find(a), self.find(b)
        if first == second:
            return False
        self._parent[max(first, second)] = min(first, second)
        return True


def group_items(items: Sequence[AuditItem], *, same_image: Mapping[str, str] | None = None) -> Groups:
    """Group items by image, near-duplicate text and template.

    Args:
        items: At least one.
        same_image: Image → first name of the same file, where an image has several names.
    """
    import numpy as np

    aliases = same_image or {}
    words = [words_of(item.text) for item in items]
    union = _Union(len(items))
    images = [None if item.image is None else aliases.get(item.image, item.image) for item in items]
    _join_equal(union, images)
    _join_equal(union, [item.group for item in items])
    n_near = len(_join_near_duplicates(union, words))
    templates = _templates([item.text for item in items], words)
    _join_equal(union, templates)
    per_image = Counter(image for image in images if image is not None)
    per_template = Counter(template for template in templates if template is not None)
    roots = np.array([union.find(n) for n in range(len(items))])
    _, of_item = np.unique(roots, return_inverse=True)
    sizes = np.bincount(of_item)
    return Groups(
        of_item.astype(np.int64),
        Grouping(
            n_groups=len(sizes),
            n_images=len(per_image),
            n_sharing_image=sum(n for n in per_image.values() if n > 1),
            n_near_duplicate=n_near,
            n_same_template=sum(n for n in per_template.values() if n > 1),
            largest=int(sizes.max()),
        ),
    )


def _join_equal(union: _Union, keys: Sequence[str | None]) -> None:
    first: dict[str, int] = {}
    for item, key in enumerate(keys):
        if key is not None:
            union.join(first.setdefault(key, item), item)


# --- Near-duplicates ----------------------------------------------------------------------------------------


def _shingles(words: Sequence[str]) -> set[str]:
    return {*words, *(f"{a} {b}" for a, b in pairwise(words))}


def _join_near_duplicates(union: _Union, words: Sequence[Sequence[str]]) -> set[int]:
    """Join texts that are near-duplicates; return the items that have one."""
    found: set[int] = set()
    first_of: dict[str, int] = {}
    distinct: list[int] = []
    for item, text in enumerate(words):
        key = " ".join(text)
        first = first_of.setdefault(key, item)
        if first == item:
            distinct.append(item)
        else:
            found.update((first, item))
            union.join(first, item)
    signatures = _signatures([words[item] for item in distinct])
    sets: dict[int, set[str]] = {}

    def shingles(number: int) -> set[str]:
        if number not in sets:
            sets[number] = _shingles(words[distinct[number]])
        return sets[number]

    for band in range(_BANDS):
        buckets: dict[bytes, int] = {}
        block = signatures[:, band * _ROWS : (band + 1) * _ROWS]
        for number in range(len(distinct)):
            first = buckets.setdefault(block[number].tobytes(), number)
            if first == number:
                continue
            a, b = distinct[first], distinct[number]
            if union.find(a) == union.find(b) and a in found and b in found:
                continue
            one, other = shingles(first), shingles(number)
            shared = len(one & other)
            if shared >= NEAR_DUPLICATE * (len(one) + len(other) - shared):
                found.update((a, b))
                union.join(a, b)
        sets.clear()
    return found


def _signatures(texts: Sequence[Sequence[str]]) -> npt.NDArray[np.uint64]:
    """Return MinHash signatures, one row per text."""
    import numpy as np

    numbers: dict[str, int] = {}
    flat: list[int] = []
    starts = []
    for text in texts:
        starts.append(len(flat))
        flat += [numbers.setdefault(shingle, len(numbers)) for shingle in _shingles(text)] or [
            numbers.setdefault("", 0)
        ]
    # A digest and not hash(): that differs from one process to the next.
    hashes = np.array([int(sha256_hex(shingle)[:16], 16) for shingle in numbers], dtype=np.uint64)
    values = hashes[np.array(flat)]
    draw = np.random.default_rng(0)
    n = _BANDS * _ROWS
    factors = draw.integers(1, 1 << 63, size=n, dtype=np.uint64) | np.uint64(1)
    shifts = draw.integers(0, 1 << 63, size=n, dtype=np.uint64)
    signatures = np.empty((len(texts), n), dtype=np.uint64)
    for column in range(n):  # one function at a time: memory is that of the shingles, not 96 times it
        mixed = values * factors[column] + shifts[column]
        mixed ^= mixed >> np.uint64(31)
        signatures[:, column] = np.minimum.reduceat(mixed * factors[-1 - column], np.array(starts))
    return signatures


# --- Templates ----------------------------------------------------------------------------------------------


def template_of(text: str, common: frozenset[str]) -> str | None:
    """Return what is left of a text when quotes, numbers and rare words are masked, or None where that is little.

    >>> common = frozenset("how do i make a from".split())
    >>> template_of("How do I make a dinosaur from 12 'old' boxes?", common)
    'how do i make a _ from _'
    >>> template_of("Describe zebras.", common) is None
    True
    """
    kept: list[str] = []
    n_kept = n_words = 0
    for word in words_of(_QUOTED.sub(" 0 ", text)):
        n_words += 1
        if word in common:
            kept.append(word)
            n_kept += 1
        elif not kept or kept[-1] != _MASK:
            kept.append(_MASK)
    if n_kept < _MIN_TEMPLATE_WORDS or 2 * n_kept < n_words:
        return None
    return " ".join(kept)


def _templates(texts: Sequence[str], words: Sequence[Sequence[str]]) -> list[str | None]:
    frequency = Counter(word for text in words for word in set(text))
    threshold = max(3, _RARE * len(texts))
    common = frozenset(word for word, n in frequency.items() if n > threshold and not word[0].isdigit())
    return [template_of(text, common) for text in texts]
