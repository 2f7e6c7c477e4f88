"""Whose instruction is in a text? By digest, whole or wrapped; by the sentences too where they are at hand.

The index knows digests, not sentences. A prompt that wraps an instruction ("Question: …", chat marks, a place for the
image) is therefore cut at its words, and every piece that an instruction can be is looked up: exact, and some hundred
pieces for a prompt of sixty words. What stood around the first finds is tried first on the other rows. Sentences
(`--data`, or the package's own sample) also find what was changed in case or in blanks, or cut off.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from vlsbench.dataset.index import Index, load_index
from vlsbench.dataset.source import open_source
from vlsbench.errors import DataError
from vlsbench.submission.importers.known import Owners, known_at

__all__ = ["MAX_TEXT_CHARACTERS", "Find", "TextColumn", "Texts"]

MAX_TEXT_CHARACTERS: Final = 20_000
"""Longest text that is looked into: a prompt of some 3,000 words. What is longer is a document, or a picture."""

_SHORTEST_BYTES: Final = 12
_LONGEST_BYTES: Final = 640
"""Of an instruction within a text. The release's have 38 to 449 bytes, the sample's 31 to 69; the one that is empty is
in no text."""

_LONGEST_WHOLE: Final = 4 * _LONGEST_BYTES
"""Longest text that may be one, with all that a tool wrote around and within it."""

_PIECE_BEGIN: Final = re.compile(r"(?<![^\W_])[^\W_]|\*")
_PIECE_END: Final = re.compile(r"[?.!:)]")
"""Where an instruction may begin and end within a text: at a word or a star, after one of these signs. True of every
instruction of the release and of the sample; a test looks."""

_MOST_PIECES: Final = 2_000_000
"""Pieces looked up per file, some 4 seconds: 2,241 prompts of sixty words take 40,000, 100,000 rows of 20 texts as many
as there are."""

_MOST_PIECES_OF_ONE: Final = 100_000

_PROBED: Final = 64
"""Rows, spread over the file, that are cut before a column is given up as one that holds other texts."""

_SHORTEST_CUT: Final = 30
"""Letters that a text which was cut off still has; shorter ones could be the beginning of much."""

_STRAIGHT: Final = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\xa0": " ", "\u202f": " ", "\ufeff": None}
)
_CUT_END: Final = re.compile(r"(?:\s*(?:…|\.\.\.|\[(?:\.\.\.|…|truncated|cut)\]|<truncated>))\s*$", re.IGNORECASE)


class Find(NamedTuple):
    """One instruction in a text."""

    owners: Owners
    start: int
    end: int
    text: str
    """The form of the text that it was found in."""

    @property
    def wrapper(self) -> tuple[str, str]:
        """What stands around it."""
        return self.text[: self.start], self.text[self.end :]


def _forms(text: str) -> list[str]:
    """Write a text as the index's may have been before a tool changed its signs; the text itself first."""
    plain = text.replace("\r\n", "\n")
    forms = [plain]
    if not plain.isascii():
        forms.append(unicodedata.normalize("NFC", plain))
        forms.append(forms[-1].translate(_STRAIGHT))
    if "&" in plain or "\\" in plain:
        forms.append(html.unescape(forms[-1]).replace("\\n", "\n").replace('\\"', '"').replace("\\'", "'"))
    return list(dict.fromkeys(forms))


def _fold(text: str) -> str:
    """Take away what tools change and people do not see.

    >>> _fold(" What  NOW? ")
    'what now?'
    """
    return " ".join(unicodedata.normalize("NFKC", text).translate(_STRAIGHT).casefold().split())


class Texts:
    """The instructions of the release and of the sample, or of one constructed set."""

    def __init__(self, data: Path | None = None, *, has_sample: bool = False) -> None:
        """Prepare.

        Args:
            data: The release on disk, whose sentences find what digests cannot; or a constructed set.
            has_sample: The sentences of the package's own sample are looked for, too.

        Raises:
            DataError: If `data` is absent, or neither the release nor a constructed set.
        """
        self.known = known_at(data)
        """The datasets that a text may be of."""
        self.n_pieces = 0
        """Looked up so far."""
        self._at_hand = {} if data is None else _sentences_of(data, self.known.indexes[0])
        self._sample = _sentences_of(None, load_index("sample")) if has_sample else {}
        self.has_sentences = data is not None

    @property
    def blank(self) -> Owners:
        """The samples whose instruction is empty."""
        return self.known.owners.get(hashlib.sha256(b"").digest(), ())

    @property
    def is_spent(self) -> bool:
        """Whether so much was looked up that no more is: what is left counts as not found."""
        return self.n_pieces > _MOST_PIECES

    def whole(self, text: str) -> Owners:
        """Return whose instruction a text is; none where it is nobody's, or blank.

        A digest in the place of the text is one, too.
        """
        if not _SHORTEST_BYTES <= len(text) <= _LONGEST_WHOLE or self.is_spent:
            return ()
        self.n_pieces += 1
        for form in _forms(text):
            stripped = form.strip()
            if stripped and (found := self.known.owners.get(_digest(form)) or self.known.owners.get(_digest(stripped))):
                return found
        if len(text) == 64 and re.fullmatch(r"[0-9a-fA-F]{64}", text):
            return tuple(i for i in self.known.owners.get(bytes.fromhex(text), ()) if i not in self.blank)
        return ()

    def within(self, text: str) -> list[Find]:
        """Return the instructions that a text wraps, by looking up every piece that one can be."""
        self.n_pieces += len(text) // 50  # to look for words in a text costs a fiftieth of a digest per sign
        for form in _forms(text):
            found = list(self._pieces(form))
            if found:
                return found
        return []

    def _pieces(self, text: str) -> Iterator[Find]:
        data, offsets = text.encode("utf-8", "surrogatepass"), _offsets(text)
        begins = [match.start() for match in _PIECE_BEGIN.finditer(text)]
        ends = [match.end() for match in _PIECE_END.finditer(text)]
        n_before, first, last_end, known = self.n_pieces, 0, 0, self.known.owners
        for begin in begins:
            if begin < last_end:
                continue  # instructions do not overlap
            at = offsets[begin]
            while first < len(ends) and offsets[ends[first]] - at < _SHORTEST_BYTES:
                first += 1
            for n in range(first, len(ends)):
                end, to = ends[n], offsets[ends[n]]
                if to - at > _LONGEST_BYTES:
                    break
                self.n_pieces += 1
                owners = known.get(hashlib.sha256(data[at:to]).digest())
                if owners is not None:
                    yield Find(owners, begin, end, text)
                    last_end = end
                    break
            if self.is_spent or self.n_pieces - n_before > _MOST_PIECES_OF_ONE:
                return

    @cached_property
    def _sentences(self) -> Mapping[str, Owners]:
        """Folded instructions that are at hand."""
        owners: defaultdict[str, Owners] = defaultdict(tuple)
        for sentences in (self._at_hand, self._sample):
            for number, text in sentences.items():
                owners[_fold(text)] += (number,)
        owners.pop("", None)
        return dict(owners)

    def changed(self, text: str) -> list[Find]:
        """Return the instructions that a text is, wraps or begins, whatever its case and blanks; by the sentences."""
        if not self._sentences:
            return []
        folded = _fold(text)
        if owners := self._sentences.get(folded):
            return [Find(owners, 0, len(folded), folded)]
        self.n_pieces += len(self._sentences) // 10  # to find a short text in a long one costs a tenth of a digest
        if self.is_spent:
            return []
        wrapped = [(owners, folded.find(sentence), len(sentence)) for sentence, owners in self._sentences.items()]
        found = [Find(owners, at, at + size, folded) for owners, at, size in wrapped if at >= 0]
        begun = _fold(_CUT_END.sub("", text))
        if found or len(begun) < _SHORTEST_CUT:
            return found
        longer = [owners for sentence, owners in self._sentences.items() if sentence.startswith(begun)]
        return [Find(longer[0], 0, len(folded), folded)] if len(longer) == 1 else []


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _offsets(text: str) -> Sequence[int]:
    """Count the bytes before every character, and before the end."""
    if text.isascii():
        return range(len(text) + 1)
    offsets = [0]
    for sign in text:
        offsets.append(offsets[-1] + len(sign.encode("utf-8", "surrogatepass")))
    return offsets


def _sentences_of(data: Path | None, index: Index) -> dict[int, str]:
    found = {}
    with open_source(data, name=index.name) as source:
        for row in index.rows:
            try:
                found[row.instruction_id] = source.sample(row.instruction_id).instruction
            except DataError:  # a copy of the release may lack samples
                continue
    return found


class TextColumn:
    """What the texts of one column are: instructions, whole or wrapped, or something else."""

    def __init__(self, texts: Texts, values: Sequence[Sequence[str]]) -> None:
        """Look into a column.

        Args:
            values: The texts of every row in their order; a cell of many parts (a chat) has many. The last part that
                holds an instruction counts, so that examples before the question do not.
        """
        self._texts = texts
        self._wrappers: Counter[tuple[str, str]] = Counter()
        self.found: list[tuple[Find, ...]] = [self._whole(parts) for parts in values]
        """By row: the instructions in it."""
        self.is_said = [any(part.strip() for part in parts) for parts in values]
        """By row: whether there is a text, were it only what stands around an instruction elsewhere."""
        rest = [n for n, is_said in enumerate(self.is_said) if is_said and not self.found[n]]
        if any(self.found) or self._probe(values, rest):
            for n in rest:
                self.found[n] = self._search(values[n])
                self.is_said[n] = bool(self.found[n]) or not self._is_empty_wrapper(values[n])

    @property
    def n_found(self) -> int:
        """Rows with an instruction."""
        return sum(map(bool, self.found))

    @property
    def holds_instructions(self) -> bool:
        """Whether most of its texts hold an instruction."""
        return 0 < sum(self.is_said) <= 2 * self.n_found

    @property
    def is_instructions(self) -> bool:
        """Whether most of its texts are instructions, and nothing else but what stands around others too.

        An answer that repeats its question holds an instruction and goes on in its own words.
        """
        wrappers = Counter(find.wrapper for finds in self.found for find in finds)
        n_bare = sum(any(_is_bare(find, wrappers) for find in finds) for finds in self.found)
        return 0 < sum(self.is_said) <= 2 * n_bare

    def _whole(self, parts: Sequence[str]) -> tuple[Find, ...]:
        for part in reversed(parts):
            if owners := self._texts.whole(part):
                return (Find(owners, 0, len(part), part),)
        return ()

    def _probe(self, values: Sequence[Sequence[str]], rest: Sequence[int]) -> bool:
        step = max(1, len(rest) // _PROBED)
        for n in rest[::step]:
            self.found[n] = self._search(values[n])
        return any(self.found[n] for n in rest[::step])

    def _search(self, parts: Sequence[str]) -> tuple[Find, ...]:
        for part in reversed(parts):
            found = self._known_wrapper(part) or self._texts.within(part) or self._texts.changed(part)
            if found:
                if len(found) == 1:
                    self._wrappers[found[0].wrapper] += 1
                return tuple({find.owners: find for find in found}.values())
        return ()

    def _known_wrapper(self, text: str) -> list[Find]:
        """Try what stood around earlier finds: the whole text held one instruction there, so it does here."""
        for (before, behind), _ in self._wrappers.most_common(4):
            if len(text) > len(before) + len(behind) and text.startswith(before) and text.endswith(behind):
                end = len(text) - len(behind)
                if owners := self._texts.whole(text[len(before) : end]):
                    return [Find(owners, len(before), end, text)]
        return []

    def _is_empty_wrapper(self, parts: Sequence[str]) -> bool:
        """Say whether a prompt wraps nothing, as that of the one empty instruction does."""
        empty = {" ".join((before + behind).split()) for (before, behind), _ in self._wrappers.most_common(4)}
        return all(" ".join(part.split()) in empty for part in parts if part.strip())


def _is_bare(find: Find, wrappers: Mapping[tuple[str, str], int]) -> bool:
    before, behind = find.wrapper
    return wrappers[find.wrapper] > 2 or len(before) + len(behind) < find.end - find.start
