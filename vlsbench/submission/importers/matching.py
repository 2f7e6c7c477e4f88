"""Which sample is a row about? By its id, and by the digest of its text where the format carries one.

A row that is filed under the wrong sample is worse than a row that is missing, so a text that is another sample's is
an error, and row numbers count only where texts confirm them. The index knows digests, not sentences: a prompt that
wraps an instruction can be compared only where the sentences are at hand (`--data`, or the package's own sample).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from vlsbench.dataset.index import FIRST_SAMPLE_ID, Index, IndexRow, load_index
from vlsbench.dataset.source import SampleSource, open_source
from vlsbench.errors import DataError, numbered
from vlsbench.files import sha256_hex
from vlsbench.records import DatasetReference
from vlsbench.submission.importers.rows import Parsed, Row
from vlsbench.submission.importers.source import Problems
from vlsbench.taxonomy import CONFIG_NAMES

__all__ = ["Matched", "match_rows"]

_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Matched:
    """The sample of every row."""

    index: Index
    ids: tuple[int | None, ...]
    """One per row, in order; None where the row is a problem."""
    n_compared: int
    """Rows whose text is that of their sample."""
    n_not_compared: int
    """Rows without a text, or with a prompt that wraps it where the sentences are not at hand."""
    dataset: DatasetReference | None
    """The config, where the rows are numbered in one; None where the ids say enough."""


class _Comparison(NamedTuple):
    outcome: Literal["same", "other", "unknown"]
    digest: str = ""
    """Of the text that was found."""
    owners: tuple[int, ...] = ()
    """Samples that have this text."""


class _Texts:
    """What is known of the texts of one dataset."""

    def __init__(self, index: Index, data: Path | None) -> None:
        self._index = index
        self._data = data

    @cached_property
    def _owners(self) -> Mapping[str, tuple[int, ...]]:
        owners: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
        for row in self._index.rows:
            owners[row.instruction_sha256] += (row.instruction_id,)
        return owners

    @cached_property
    def _sentences(self) -> SampleSource | None:
        if self._data is None and self._index.name == "release":
            return None
        return open_source(self._data, name=self._index.name)

    def compare(self, text: str, row: IndexRow, *, is_prompt: bool) -> _Comparison:
        """Compare a text with the instruction of a sample."""
        text = text.replace("\r\n", "\n")
        digests = (sha256_hex(text), sha256_hex(text.strip()))  # no instruction begins or ends with a space
        if row.instruction_sha256 in digests:
            return _Comparison("same")
        if not text.strip():
            return _Comparison("unknown")  # a blank cell is no text to compare
        owners = self._owners.get(digests[0]) or self._owners.get(digests[1]) or ()
        if owners or not is_prompt:
            return _Comparison("other", digests[0], owners)
        instruction = self._instruction(row.instruction_id)
        if not instruction:
            return _Comparison("unknown")
        return _Comparison("same") if instruction in text else _Comparison("other", digests[0])

    def _instruction(self, instruction_id: int) -> str | None:
        if self._sentences is None:
            return None
        try:
            return self._sentences.sample(instruction_id).instruction
        except DataError:  # a copy of the release may lack samples
            return None

    def close(self) -> None:
        if "_sentences" in self.__dict__ and self._sentences is not None:
            self._sentences.close()


def match_rows(parsed: Parsed, data: Path | None, problems: Problems) -> Matched | None:
    """Find the sample of every row.

    Args:
        data: The release on disk, so that prompts that wrap an instruction can be compared.

    Returns:
        The samples, or None where it is not even clear which dataset was answered.

    Raises:
        DataError: If `data` is absent or not the release.
    """
    if not parsed.rows:
        problems.add("", "has no row with an answer. Was the run that wrote it stopped?")
        return None
    return _match_ids(parsed, data, problems) if parsed.numbering == "id" else _match_numbers(parsed, data, problems)


def _match_ids(parsed: Parsed, data: Path | None, problems: Problems) -> Matched | None:
    sample = [row for row in parsed.rows if row.number >= FIRST_SAMPLE_ID]
    if 0 < len(sample) < len(parsed.rows):
        problems.add(
            sample[0].place,
            f"{len(parsed.rows) - len(sample)} ids are of the release (below {FIRST_SAMPLE_ID}) and {len(sample)} of "
            "the package's own sample; a submission answers one dataset, so make two files of it",
        )
        return None
    index = load_index("sample" if sample else "release")
    return _compare_all(parsed, index, [index.by_id.get(row.number) for row in parsed.rows], data, problems, None)


def _compare_all(
    parsed: Parsed,
    index: Index,
    found: Sequence[IndexRow | None],
    data: Path | None,
    problems: Problems,
    dataset: DatasetReference | None,
) -> Matched:
    texts = _Texts(load_index(index.name), data)
    ids: list[int | None] = []
    n_compared = n_not_compared = 0
    try:
        for row, sample in zip(parsed.rows, found, strict=True):
            if sample is None:
                problems.add(row.place, _unknown(row, parsed, index))
                ids.append(None)
                continue
            if row.text is None:
                n_not_compared += 1
                ids.append(sample.instruction_id)
                continue
            comparison = texts.compare(row.text, sample, is_prompt=parsed.text == "prompt")
            n_compared += comparison.outcome == "same"
            n_not_compared += comparison.outcome == "unknown"
            if comparison.outcome == "other":
                problems.add(row.place, _mismatch(sample, comparison, index))
                ids.append(None)
            else:
                ids.append(sample.instruction_id)
    finally:
        texts.close()
    return Matched(index, tuple(ids), n_compared, n_not_compared, dataset)


def _unknown(row: Row, parsed: Parsed, index: Index) -> str:
    if parsed.numbering == "row":
        return f"row number {row.number} is not in {index.name} ({index.config}), which has {len(index.rows)} rows"
    return (
        f"instruction_id {row.number} is not in the {index.name}; ids run {index.ids}. Was this file made for another "
        "dataset?"
    )


def _mismatch(sample: IndexRow, comparison: _Comparison, index: Index) -> str:
    owners = ""
    if comparison.owners:
        owners = f"; this text is that of instruction_id {numbered([*map(str, comparison.owners)], limit=5)}"
    return (
        f"instruction_id {sample.instruction_id} has another text in the {index.name}: expected SHA-256 "
        f"{sample.instruction_sha256[:_SHOWN_DIGITS]}…, found {comparison.digest[:_SHOWN_DIGITS]}…{owners}. Was the "
        "file made in another order, or for another revision?"
    )


def _splits() -> list[Index]:
    """List the splits whose rows a tool may number, the likeliest first."""
    release, twins = load_index("release"), load_index("sample")
    categories = [release.select(config) for config in CONFIG_NAMES if config != release.config]
    return [release, *categories, twins.select("sample"), twins]


def _match_numbers(parsed: Parsed, data: Path | None, problems: Problems) -> Matched | None:
    """Find the split that rows were numbered in by their texts: the one that most rows agree with."""
    best: tuple[tuple[int, bool, int], Index] | None = None
    for order, split in enumerate(_splits()):
        texts = _Texts(load_index(split.name), data if split.name == "release" else None)
        try:
            n_same = sum(
                texts.compare(row.text, split.rows[row.number], is_prompt=parsed.text == "prompt").outcome == "same"
                for row in parsed.rows
                if row.text is not None and row.number < len(split.rows)
            )
        finally:
            texts.close()
        rank = (n_same, len(parsed.rows) == len(split.rows), -order)
        if best is None or rank > best[0]:
            best = rank, split
    if best is None or best[0][0] == 0:
        problems.add(
            "",
            f"its rows are numbered, not named by instruction_id, and none of {len(parsed.rows)} texts is that of "
            "VLSBench at its number, so that nobody can tell which samples these are. If the prompts wrap the "
            "instructions, --data with the release lets them be compared",
        )
        return None
    split = best[1]
    found = [split.rows[row.number] if row.number < len(split.rows) else None for row in parsed.rows]
    declared = None if split.config == "default" else DatasetReference.model_validate({"config": split.config})
    return _compare_all(parsed, split, found, data if split.name == "release" else None, problems, declared)
