"""The datasets that the rows of a stranger's file may answer: the release and the sample, or one constructed set.

Answers to a constructed set are never guessed: its ids and texts are compared only where `--data` names the set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from vlsbench.dataset.index import Index, IndexRow, given_set, kind_of_id, load_index
from vlsbench.taxonomy import CATEGORIES

__all__ = ["Known", "Owners", "known_at", "packaged"]

Owners = tuple[int, ...]
"""The samples that share one instruction, as ids."""


@dataclass(frozen=True, eq=False)
class Known:
    """Indexes, each whole; the first is the one that is meant where nothing tells."""

    indexes: tuple[Index, ...]

    def index_of(self, number: int) -> Index:
        """Return the index that an id would be in, whether it is or not."""
        kind = kind_of_id(number)
        return next((index for index in self.indexes if index.kind == kind), self.indexes[0])

    def sample_of(self, number: int | None) -> IndexRow | None:
        """Return the sample of an id; None where there is none."""
        return None if number is None else self.index_of(number).by_id.get(number)

    @cached_property
    def owners(self) -> Mapping[bytes, Owners]:
        """The samples of every instruction, by its digest."""
        owners: defaultdict[bytes, Owners] = defaultdict(tuple)
        for index in self.indexes:
            for row in index.rows:
                owners[bytes.fromhex(row.instruction_sha256)] += (row.instruction_id,)
        return dict(owners)

    @cached_property
    def images(self) -> frozenset[int]:
        """The numbers of all images."""
        return frozenset(row.image for index in self.indexes for row in index.rows)

    @cached_property
    def splits(self) -> tuple[Index, ...]:
        """The splits whose rows a tool may number."""
        found: list[Index] = []
        for index in self.indexes:
            found.append(index.select(index.default_config))
            if index.kind != "sample":
                found += [index.select(category.config) for category in CATEGORIES]
            if index.has_twins:
                found.append(index)
        return tuple(found)


@lru_cache(maxsize=1)
def packaged() -> Known:
    """Return what every installation knows."""
    return Known((load_index("release"), load_index("sample")))


def known_at(data: Path | None) -> Known:
    """Return what a file may answer where `--data` names a folder: that set, if it is a constructed one.

    Raises:
        DataError: If it is a constructed set and broken.
    """
    own = given_set(data)
    return packaged() if own is None else Known((own,))
