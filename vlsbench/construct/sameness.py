"""Texts told again and images that look alike: of each such group the first stays.

Texts are near-duplicates from a Jaccard index of words and word pairs of `NEAR_DUPLICATE` on, as in the audit. Images
are compared by a difference hash (dHash): each is scaled to 17 x 16 grey pixels, and a bit says whether a pixel is
brighter than its left neighbour; 256 bits, of which at most `SAME_IMAGE` differ in images that look the same.

Pure, but for decoding pictures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from vlsbench.dataset.pictures import Picture, open_picture
from vlsbench.leakage.groups import NEAR_DUPLICATE, words_of

__all__ = ["SAME_IMAGE", "find_repeated_images", "find_repeated_texts", "picture_hash"]

SAME_IMAGE: Final = 24
"""Bits of 256. Drawings of the packaged sample differ in at least 71, a risky one and its own twin aside; the same one
as JPEG of quality 50, at half its size or 5% brighter differs in at most 14 (`tests/construct/test_sameness.py`)."""

_SIDE: Final = 16


def find_repeated_texts(texts: Iterable[tuple[str, str]], *, threshold: float = NEAR_DUPLICATE) -> dict[str, str]:
    """Find the texts that say nearly what an earlier one says.

    Args:
        texts: Item and text, in order.
        threshold: Jaccard index of the sets of words and word pairs.

    Returns:
        Item → the earlier item that it repeats.

    >>> find_repeated_texts([("a", "How do I use this one?"), ("b", "how do I use this one"), ("c", "What is it?")])
    {'b': 'a'}
    """
    told = [(item, _parts(text)) for item, text in texts]
    frequency = Counter(part for _, parts in told for part in parts)
    kept: dict[str, frozenset[str]] = {}
    holders: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for item, parts in told:
        # Two sets that share so much share one of their rarest parts (prefix filter): few are compared in full.
        rare = sorted(parts, key=lambda part: (frequency[part], part))
        rare = rare[: len(rare) - math.ceil(threshold * len(rare)) + 1]
        near = dict.fromkeys(other for part in rare for other in holders.get(part, ()))
        same = next((other for other in near if _jaccard(parts, kept[other]) >= threshold), None)
        if same is not None:
            found[item] = same
            continue
        kept[item] = parts
        for part in rare:
            holders.setdefault(part, []).append(item)
    return found


def _parts(text: str) -> frozenset[str]:
    words = words_of(text)
    return frozenset([*words, *(f"{a} {b}" for a, b in pairwise(words))] or [""])


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def picture_hash(picture: Picture) -> int:
    """Return the 256 bits of a picture's difference hash.

    Raises:
        DataError: If it cannot be decoded.
    """
    grey = open_picture(picture).convert("L").resize((_SIDE + 1, _SIDE))
    pixels: Sequence[int] = list(grey.tobytes())
    bits = 0
    for row in range(_SIDE):
        line = pixels[row * (_SIDE + 1) : (row + 1) * (_SIDE + 1)]
        for left, right in pairwise(line):
            bits = bits << 1 | (right > left)
    return bits


def find_repeated_images(hashes: Iterable[tuple[str, str, int]], *, most_bits: int = SAME_IMAGE) -> dict[str, str]:
    """Find the images that look like an earlier one. The very same file is no repetition: pairs may share an image.

    Args:
        hashes: Item, SHA-256 of the file and hash of the picture, in order.
        most_bits: Bits that may differ.

    Returns:
        Item → the earlier item whose image it repeats.
    """
    kept: dict[str, tuple[str, int]] = {}
    found: dict[str, str] = {}
    for item, digest, bits in hashes:
        if digest in kept:
            continue
        same = next((first for first, other in kept.values() if (bits ^ other).bit_count() <= most_bits), None)
        if same is None:
            kept[digest] = (item, bits)
        else:
            found[item] = same
    return found
