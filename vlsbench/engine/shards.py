"""Shards: append-only files beside a submission, in which the answers of a cluster's workers wait to be merged.

A worker's answer is kept when it stands in a shard, fsynced, on the disk of the machine that was asked for the run;
the run merges it into `responses.jsonl` or the verdicts through the writer of the local engine. Merging is idempotent:
a line counts once by its key, only where it is still wanted, and whatever the order. A run that was killed leaves its
shards behind, and the next one begins with them.

Rule of the room: no network, no Ray. Leaves out what a line means: it is a record that `parse` can read.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from vlsbench.files import MAX_LINE_BYTES, append_lines, read_lines
from vlsbench.records import Key

__all__ = ["SHARDS_FOLDER", "Begun", "KeyedLine", "Shard", "Tail", "new_shard", "read_left_shards", "remove_shards"]

SHARDS_FOLDER = ".shards"

RecordT = TypeVar("RecordT")


class KeyedLine(NamedTuple):
    """One line of a shard, and what it is about."""

    key: Key
    line: str


class Begun(NamedTuple):
    """What is known of a block whose work begins."""

    held: set[Key]
    """What has a line already."""
    n_starts: int
    """How often it has begun, this time included."""


class Shard:
    """One shard, written by one process on behalf of all workers of a run."""

    def __init__(self, path: str) -> None:
        """Begin, or go on with, the file at `path`."""
        self._path = Path(path)
        self._keys: set[Key] = set()
        self._starts: Counter[tuple[Key, ...]] = Counter()

    def append(self, lines: Sequence[KeyedLine]) -> None:
        """Put lines on disk, but for those whose key is there.

        Raises:
            OSError: If the disk is full or the folder is read-only.
        """
        new = {line.key: line for line in reversed(lines) if line.key not in self._keys}
        append_lines(self._path, (line.line for line in new.values()))
        self._keys |= new.keys()

    def begin(self, keys: Sequence[Key]) -> Begun:
        """Note that work on a block of these keys begins, for the first time or again."""
        self._starts[tuple(keys)] += 1
        return Begun(self._keys.intersection(keys), self._starts[tuple(keys)])


def new_shard(directory: Path, name: str) -> Path:
    """Name a shard that is not there yet."""
    return directory / SHARDS_FOLDER / f"{name}.{uuid.uuid4().hex[:12]}.jsonl"


def _left_shards(directory: Path, name: str) -> list[Path]:
    folder = directory / SHARDS_FOLDER
    # Names end in a dot and 12 hex digits, so that no name is another's beginning.
    return sorted(
        path for path in folder.glob("*.jsonl") if path.name.rpartition(".jsonl")[0].rpartition(".")[0] == name
    )


def read_left_shards(
    directory: Path, name: str, parse: Callable[[bytes], RecordT], *, max_bytes: int = MAX_LINE_BYTES
) -> list[RecordT]:
    """Read what an earlier run left behind; a line torn by a kill is passed over, its question is asked again."""
    records = []
    for path in _left_shards(directory, name):
        for line in read_lines(path, max_bytes=max_bytes):
            with contextlib.suppress(ValidationError):
                records.append(parse(line.data))
    return records


def remove_shards(directory: Path, name: str) -> None:
    """Remove shards that are merged."""
    for path in _left_shards(directory, name):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another run's are in it, or it never was
        (directory / SHARDS_FOLDER).rmdir()


class Tail(Generic[RecordT]):
    """Reads a shard while another process appends to it: every whole line once."""

    def __init__(self, path: Path, parse: Callable[[bytes], RecordT]) -> None:
        self._path = path
        self._parse = parse
        self._offset = 0

    def read(self) -> Iterator[RecordT]:
        """Yield what has come since the last call."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # still being written
                self._offset += len(line)
                yield self._parse(line)
