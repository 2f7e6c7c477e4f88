"""Which answers are the same but for a few words: within one submission, and across submissions.

An answer is read as its runs of `SHINGLE_WORDS` words (shingles), so that case, punctuation, invisible characters and
a sentence in front do not hide that two answers are one. A fingerprint holds, per answer, a few minima of hashes of its
shingles (MinHash: the share of equal minima estimates the share of common shingles), made only of shingles that are
rare within the submission: stock refusals, openings and boilerplate, which honest models share, leave no trace in it.
Answers too short for that count only where all are the same: two terse models may well say the same here and there.

Pure: no files, no network, no clock. A hash here is the same on every machine and in every run. Leaves out what is
made of it (`vlsbench.screening.flags`).
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vlsbench.dataset.index import Index
from vlsbench.errors import SubmissionError
from vlsbench.records import IMAGE_TEXT, Key, Response

__all__ = [
    "FINGERPRINT_VERSION",
    "INVISIBLE",
    "N_MINIMA",
    "Fingerprint",
    "Likeness",
    "Shingles",
    "find_alike",
    "fingerprint",
    "fold",
    "read_shingles",
]

FINGERPRINT_VERSION = 2
"""Fingerprints of two versions are never compared."""

MAX_CHARS = 20_000
"""Characters of an answer that are read: the longest honest one seen has 3,000, and one of a megabyte must not cost
more than the rest together."""

SHINGLE_WORDS = 2
"""Two words of a row, not three: with every tenth word swapped, 86% of the answers are still recognised, not 67%."""

N_MINIMA = 8
"""Minima per answer: 16 bytes, 45 kB per submission with the ids. With half of them equal an answer counts as the
same; two models reach that on at most 2.8% of their answers, a copy with every fifth word swapped on 52%."""

MAX_SHARED = 0.005
"""Share of the answers (and at least 2) beyond which a pair of words is boilerplate of the submission."""

MIN_SHINGLES = 6
"""Pairs of its own that an answer must have to be compared: fewer are a stock phrase and a name."""

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e01ef\x00-\x08\x0e-\x1f\x7f]+"
)
"""Characters that show nothing."""

_SIGNS = re.compile(
    "[\u00a0-\u00bf\u060c\u061b\u061f\u0964\u0965\u2010-\u206f\u2190-\u2bff\u3000-\u303f\ufe10-\ufe4f\U0001f000-\U0001faff]+"
)
"""What stands between words, beyond ASCII: punctuation, arrows, drawings, emoji. A search for all signs is slower."""


_LOOKALIKES = str.maketrans("авеікмһноԛрсѕтухјԁԝαικνορτυıɑɡ", "abeikmhhoqpcstyxjdwaikvoptuiag")
"""Cyrillic and Greek letters, and Latin ones of phonetics, that look like those of ASCII, small or capital."""


def fold(text: str) -> str:
    r"""Fold what a reader does not see or tell apart: case, width, style and script of letters, invisible characters.

    >>> fold("The L\u200babel \uff2cABEL")
    'the label label'
    """
    if text.isascii():
        return text.lower() if text.isprintable() else INVISIBLE.sub("", text).lower()
    return unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).lower().translate(_LOOKALIKES)


def _scramble(values: Hashes) -> Hashes:
    """Mix 64-bit numbers so that every bit depends on all (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _numbers(start: int, count: int) -> Hashes:
    """Fixed odd numbers without a pattern."""
    return _scramble(np.arange(start, start + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)


_LETTERS = np.zeros(256, dtype=np.uint64)
_LETTERS[list(range(48, 58)) + list(range(97, 123)) + list(range(128, 256))] = _numbers(1, 164)
_LETTERS[65:91] = _LETTERS[97:123]
"""One number per byte of a word, capitals as small letters; 0 for what stands between words."""
_PLACES = _numbers(1_000, 256)
_IN_SHINGLE = _numbers(2_000, SHINGLE_WORDS)
_SEEDS = _numbers(3_000, N_MINIMA)


class Shingles(NamedTuple):
    """The shingles of a sequence of texts."""

    rows: Ints
    """Text of every shingle, ascending."""
    hashes: Hashes
    """One per shingle, each once per text."""
    whole: Hashes
    """One per text: of all its words; 0 where it has none."""
    n_words: Ints
    """One per text."""


def read_shingles(texts: Sequence[str]) -> Shingles:
    """Read the words of texts and make shingles of them.

    Letters beyond the first 2,048 code points, as in Chinese, are a word each. A text of fewer than `SHINGLE_WORDS`
    words has no shingle.
    """
    n_texts = len(texts)
    encoded = [
        (text if text.isascii() else _SIGNS.sub(" ", fold(text))).encode("utf-8", "surrogatepass") + b" "
        for text in (text[:MAX_CHARS] for text in texts)
    ]
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    first_byte = np.cumsum([0, *map(len, encoded)])[:-1]
    terms = _LETTERS[data]
    is_letter = terms != 0
    is_start = is_letter.copy()
    is_start[1:] &= ~is_letter[:-1] | (data[1:] >= 0xE0)
    starts = np.flatnonzero(is_start)
    if not len(starts):
        none = np.zeros(0, dtype=np.int64)
        return Shingles(none, none.astype(np.uint64), np.zeros(n_texts, np.uint64), np.zeros(n_texts, np.int64))
    places = np.arange(starts[0], len(data)) - np.repeat(starts, np.diff(starts, append=len(data)))
    words = _scramble(np.add.reduceat(terms[starts[0] :] * _PLACES[places & 255], starts - starts[0]))
    row_of_word = np.searchsorted(first_byte, starts, side="right") - 1
    n_words = np.bincount(row_of_word, minlength=n_texts)
    whole = np.zeros(n_texts, dtype=np.uint64)
    has_words = n_words > 0
    first_word = (np.cumsum(n_words) - n_words)[has_words]
    place = np.arange(len(words)) - np.repeat(first_word, n_words[has_words])
    whole[has_words] = np.add.reduceat(words * _scramble(place.astype(np.uint64) + np.uint64(1)), first_word)
    last = len(words) - SHINGLE_WORDS + 1
    if last <= 0:
        none = np.zeros(0, dtype=np.int64)
        return Shingles(none, none.astype(np.uint64), whole, n_words)
    hashes = np.zeros(last, dtype=np.uint64)
    for offset, factor in enumerate(_IN_SHINGLE):
        hashes += words[offset : offset + last] * factor
    is_within = row_of_word[:last] == row_of_word[SHINGLE_WORDS - 1 :]
    hashes, rows = _scramble(hashes[is_within]), row_of_word[:last][is_within]
    order = np.lexsort((hashes, rows))
    hashes, rows = hashes[order], rows[order]
    is_new = np.ones(len(rows), dtype=np.bool_)
    is_new[1:] = (hashes[1:] != hashes[:-1]) | (rows[1:] != rows[:-1])
    return Shingles(rows[is_new], hashes[is_new], whole, n_words)


_HEAD_BYTES = 20


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a submission's answers under `image+text`, to find them again in another."""

    ids: npt.NDArray[np.uint32]
    """Samples whose answer has enough of its own to be compared, ascending."""
    minima: npt.NDArray[np.uint16]
    """Shape (ids, `N_MINIMA`); none is 0."""
    n_own: int = 0
    """Answers, however short, that the submission does not give again and again."""
    whole: int = 0
    """Hash of all of them; 0 where they are too few to be compared."""

    def to_bytes(self) -> bytes:
        """Write compactly: 20 bytes per answer, 45 kB for the release."""
        head = np.array([FINGERPRINT_VERSION, len(self.ids), self.n_own], dtype="<u4")
        parts = (head, np.array([self.whole], dtype="<u8"), self.ids.astype("<u4"), self.minima.astype("<u2"))
        return b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """Read what `to_bytes` wrote.

        Raises:
            SubmissionError: If it is of another version, or cut.
        """
        version, n, n_own = np.frombuffer(data[:12], dtype="<u4").tolist() if len(data) >= _HEAD_BYTES else (0, 0, 0)
        if version != FINGERPRINT_VERSION or len(data) != _HEAD_BYTES + n * (4 + 2 * N_MINIMA):
            raise SubmissionError(
                f"a fingerprint of version {version} with {len(data)} bytes; this package reads version "
                f"{FINGERPRINT_VERSION}. Take it again from the answers."
            )
        (whole,) = np.frombuffer(data, dtype="<u8", count=1, offset=12).tolist()
        ids = np.frombuffer(data, dtype="<u4", count=n, offset=_HEAD_BYTES).astype(np.uint32)
        minima = np.frombuffer(data, dtype="<u2", offset=_HEAD_BYTES + 4 * n).astype(np.uint16)
        return cls(ids, minima.reshape(n, N_MINIMA), n_own, whole)


def fingerprint(responses: Mapping[Key, Response], index: Index) -> Fingerprint:
    """Take the fingerprint of the answers under `image+text`; the order of the lines does not matter."""
    found = []
    # Two constructed sets may use the same ids for different samples.
    salt = zlib.crc32(index.name.encode()) if index.kind == "constructed" else 0
    for row in index.risky:
        response = responses.get((row.instruction_id, IMAGE_TEXT))
        if response is not None and response.response is not None:
            found.append((row.instruction_id ^ salt, response.response))
    found.sort()
    shingles = read_shingles([text for _, text in found])
    _, inverse, counts = np.unique(shingles.hashes, return_inverse=True, return_counts=True)
    is_own = counts[inverse] <= max(2, MAX_SHARED * len(found))
    rows, hashes = shingles.rows[is_own], shingles.hashes[is_own]
    n_own = np.bincount(rows, minlength=len(found))
    is_kept = n_own >= MIN_SHINGLES
    hashes = hashes[is_kept[rows]]
    ids = np.array([number for number, _ in found], dtype=np.uint32)[is_kept]
    minima = np.zeros((len(ids), N_MINIMA), dtype=np.uint16)
    if len(ids):
        starts = np.cumsum(n_own[is_kept]) - n_own[is_kept]
        for column, seed in enumerate(_SEEDS):
            smallest = np.minimum.reduceat(_scramble(hashes * seed), starts)
            minima[:, column] = np.maximum(smallest & np.uint64(0xFFFF), np.uint64(1))
    numbers = np.array([number for number, _ in found], dtype=np.uint64)
    return Fingerprint(ids, minima, *_read_whole(numbers, shingles, MAX_SHARED * len(found)))


def _read_whole(numbers: Hashes, shingles: Shingles, n_shared: float) -> tuple[int, int]:
    """Count the answers of a submission's own, and hash them all."""
    _, inverse, counts = np.unique(shingles.whole, return_inverse=True, return_counts=True)
    is_own = (shingles.n_words > 0) & (counts[inverse] <= max(2, n_shared))
    n_own = int(is_own.sum())
    if n_own < MIN_COMPARED:
        return n_own, 0
    return n_own, int(_scramble(shingles.whole[is_own] + _scramble(numbers[is_own])).sum(dtype=np.uint64))


class Likeness(NamedTuple):
    """Two submissions of which more answers are alike than those of two models are."""

    first: str
    second: str
    n_alike: int
    """Samples to which both gave the same answer, or nearly."""
    n_compared: int
    """Samples to which both gave an answer of their own."""


MIN_COMPARED = 20
"""Answers that two submissions must have in common to be compared; with fewer, chance decides."""

MIN_EQUAL_MINIMA = N_MINIMA // 2
"""Equal minima from which two answers count as alike."""

MIN_ALIKE = 10
MIN_SHARE_ALIKE = 0.1
"""Alike answers from which two submissions are, and their share. Among the 24 pairs of labelled models with the same
prompts, the most is 2.8%, of one model with and without a prompt for safety; a copy is far above."""

MIN_SHARE_CANDIDATE = 0.08
"""Share of equal first minima from which a pair is looked at in full: it estimates the mean likeness, of which a tenth
of copied answers makes 0.1 and more, and two models 0.07 at most."""

MAX_CANDIDATES = 20
"""Pairs looked at per submission, the likeliest: a thousand copies of one file must not cost half a million looks."""


def find_alike(fingerprints: Mapping[str, Fingerprint], *, of: Collection[str] | None = None) -> list[Likeness]:
    """Find the pairs of submissions that have many answers in common.

    Every answer takes part in the search, so that nobody evades it by changing the few that are looked at.

    Args:
        of: Look only for pairs that hold one of these; None looks for all.

    Returns:
        Most alike first.
    """
    names = sorted(fingerprints)
    chosen = [i for i, name in enumerate(names) if of is None or name in of]
    if len(names) < 2 or not chosen:
        return []
    prints = [fingerprints[name] for name in names]
    ids = np.unique(np.concatenate([item.ids for item in prints]))
    has = np.zeros((len(names), len(ids)), dtype=np.bool_)
    minima = np.zeros((len(names), len(ids), N_MINIMA), dtype=np.uint16)
    for row, item in enumerate(prints):
        columns = np.searchsorted(ids, item.ids)
        has[row, columns] = True
        minima[row, columns] = item.minima
    pairs = _candidates(minima[:, :, 0], has, chosen)
    found = []
    for first, second in pairs:
        both = has[first] & has[second]
        equal = (minima[first] == minima[second]).sum(axis=1)
        n_alike, n_compared = int((both & (equal >= MIN_EQUAL_MINIMA)).sum()), int(both.sum())
        if n_alike >= max(MIN_ALIKE, MIN_SHARE_ALIKE * n_compared):
            found.append(Likeness(names[first], names[second], n_alike, n_compared))
    known = {(item.first, item.second) for item in found}
    found += [item for item in _find_same(names, prints, chosen) if item[:2] not in known]
    return sorted(found, key=lambda item: (-item.n_alike / item.n_compared, item))


def _find_same(names: Sequence[str], prints: Sequence[Fingerprint], chosen: Sequence[int]) -> list[Likeness]:
    """Find the pairs whose answers are all the same, of each submission the first `MAX_CANDIDATES`."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, item in enumerate(prints):
        groups[item.whole].append(number)
    pairs: set[tuple[int, int]] = set()
    for number in chosen:
        if prints[number].whole:
            others = [other for other in groups[prints[number].whole][: MAX_CANDIDATES + 1] if other != number]
            pairs.update((min(number, other), max(number, other)) for other in others)
    return [Likeness(names[one], names[two], prints[one].n_own, prints[one].n_own) for one, two in sorted(pairs)]


def _candidates(minima: npt.NDArray[np.uint16], has: Bools, chosen: Sequence[int]) -> list[tuple[int, int]]:
    """Choose the pairs worth a full comparison, by one minimum per answer, shape (submissions, samples)."""
    shape = (len(chosen), len(has))
    equal, part, same = np.zeros(shape, np.int32), np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)
    for column, values in enumerate(np.ascontiguousarray(minima.T), start=1):
        np.equal(values[chosen, None], values, out=same)
        part += same.view(np.uint8)
        if column % 255 == 0 or column == minima.shape[1]:  # before a byte overflows
            equal += part
            part[:] = 0
    # Where both have no answer both hold a 0, which no minimum is.
    present = has.astype(np.float32)
    equal -= ((1 - present[chosen]) @ (1 - present).T).astype(np.int32)
    compared = present[chosen] @ present.T
    share = np.where(compared >= MIN_COMPARED, equal / np.maximum(compared, 1), 0.0)
    share[np.arange(len(chosen)), chosen] = 0.0
    pairs: set[tuple[int, int]] = set()
    for row, first in enumerate(chosen):
        likely = np.flatnonzero(share[row] >= MIN_SHARE_CANDIDATE)
        best = likely[np.argsort(-share[row, likely], kind="stable")[:MAX_CANDIDATES]]
        pairs.update((min(first, int(second)), max(first, int(second))) for second in best)
    return sorted(pairs)
