"""The files between stages: append-only lines of records, the last one of a key wins.

Rule of the room: what is appended is on disk before the call returns; memory holds the records without their calls,
which the table of yields reads from the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from vlsbench.construct.records import Loss, Outcome
from vlsbench.errors import DataError
from vlsbench.files import append_lines, read_lines
from vlsbench.records import explain

__all__ = ["StageFile"]

RecordT = TypeVar("RecordT", bound=Outcome)


class StageFile(Generic[RecordT]):
    """One file of records.

    Args:
        path: May be absent.
        kind: Of the records.

    Raises:
        DataError: If a line is none; it is named.
    """

    def __init__(self, path: Path, kind: type[RecordT]) -> None:
        self.path = path
        self._kind = kind
        self._records: dict[tuple[str, int], RecordT] = {}
        for record in self.read():
            self._hold(record)

    def _hold(self, record: RecordT) -> None:
        self._records[record.key] = record.model_copy(update={"calls": ()})

    def read(self) -> Iterator[RecordT]:
        """Yield the records of the file with their calls, in its order, superseded ones too."""
        if not self.path.exists():
            return
        for line in read_lines(self.path):
            try:
                yield self._kind.model_validate_json(line.data)
            except ValidationError as error:
                if not self.path.read_bytes().endswith(b"\n") and self._is_last(line.data):
                    return  # torn by a kill; the next append drops it
                raise DataError(
                    f"{self.path}:{line.number}: {'; '.join(explain(error)[:3])}. Start in a new folder, or remove the "
                    "line: its item is then done again from the replies that are there."
                ) from None

    def _is_last(self, data: bytes) -> bool:
        return self.path.read_bytes().endswith(data)

    def add(self, records: Sequence[RecordT]) -> None:
        """Append records."""
        append_lines(self.path, [record.model_dump_json() for record in records])
        for record in records:
            self._hold(record)

    def __contains__(self, key: tuple[str, int]) -> bool:
        """Say whether an item has been through in a cycle."""
        return key in self._records

    def lost(self, loss: Loss) -> list[RecordT]:
        """Return the records of items that were lost by a reason, in any cycle, without their calls."""
        return [record for record in self._records.values() if record.loss == loss]

    def at(self, item: str, cycle: int) -> RecordT | None:
        """Return the record of an item in a cycle, without its calls."""
        return self._records.get((item, cycle))

    def of(self, keys: Iterable[tuple[str, int]]) -> list[RecordT]:
        """Return the records of keys that are there, in their order."""
        return [record for key in keys if (record := self._records.get(key)) is not None]
