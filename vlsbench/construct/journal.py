"""Every reply that came, by what was asked: nothing whose reply is on disk is paid for twice.

`private/calls.jsonl` holds one line a call, appended and on disk before anything is made of it. Its key is the SHA-256
of all that was asked, the item and the seed with it, so an answered question is found again whatever killed the run,
and a question that a changed wording asks otherwise is another one. Images are files of their own, named by the same
key and written before the line: an image without a line is taken in and not made again.

The journal holds harmful queries before they are rewritten and every text that failed a filter: it lies in `private/`,
which only its owner may read and which is never published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from vlsbench.construct.records import CallRecord
from vlsbench.dataset.pictures import mime_of
from vlsbench.errors import DataError, numbered
from vlsbench.files import append_lines, write_atomic

__all__ = ["IMAGES", "PRIVATE", "Arrived", "Journal", "refuse_private"]

PRIVATE: Final = "private"
IMAGES: Final = "images"
_CALLS: Final = "calls.jsonl"
_PRIVATE_NAMES: Final = frozenset({PRIVATE, _CALLS, "queries.jsonl"})
"""A file or folder of such a name is never published."""
_SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
}


class Arrived(NamedTuple):
    """What came of a call."""

    record: CallRecord
    image: bytes | None = None


class _Place(NamedTuple):
    """Where a line stands in the file."""

    start: int
    size: int


class Journal:
    """The calls of one run's folder. Memory holds keys and places, not replies.

    Args:
        folder: Of the run.

    Raises:
        DataError: If a line is none of ours; it is named.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / PRIVATE / _CALLS
        self._places: dict[str, _Place] = {}
        (folder / PRIVATE).mkdir(parents=True, exist_ok=True)
        (folder / PRIVATE).chmod(0o700)
        (folder / IMAGES).mkdir(exist_ok=True)
        for record, place in self._scan():
            self._places[record.call] = place

    def _scan(self) -> Iterator[tuple[CallRecord, _Place]]:
        if not self.path.exists():
            return
        data_at = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                place = _Place(data_at, len(line))
                data_at += len(line)
                if not line.endswith(b"\n"):
                    break  # torn by a kill; the next append drops it or ends it
                if not line.strip():
                    continue
                try:
                    yield CallRecord.model_validate_json(line), place
                except ValidationError:
                    raise DataError(
                        f"{self.path}:{number}: is no call of this version. Start in a new folder, or remove the line: "
                        "its question is then asked again."
                    ) from None

    def __contains__(self, key: str) -> bool:
        """Say whether a call's reply is there."""
        return key in self._places

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self._places)

    def get(self, key: str) -> CallRecord:
        """Read a call's line back.

        Raises:
            KeyError: If there is none.
        """
        place = self._places[key]
        with self.path.open("rb") as file:
            file.seek(place.start)
            return CallRecord.model_validate_json(file.read(place.size))

    def append(self, arrived: Sequence[Arrived]) -> None:
        """Put what came on disk: images first, then their lines, then it counts.

        Raises:
            OSError: If the disk is full; what was there before stays.
        """
        if not arrived:
            return
        for record, image in arrived:
            if image is not None:
                write_atomic(self.folder / IMAGES / f"{record.call[:32]}{_SUFFIXES[mime_of(image) or '']}", image)
        lines = [record.model_dump_json() for record, _ in arrived]
        append_lines(self.path, lines)
        end = self.path.stat().st_size
        places = []
        for line in reversed(lines):
            size = len(line.encode()) + 1
            end -= size
            places.append(_Place(end, size))
        for (record, _), place in zip(arrived, reversed(places), strict=True):
            self._places[record.call] = place

    def image_of(self, key: str) -> Path | None:
        """Return the file of an image that a call made, or None where there is none."""
        for suffix in _SUFFIXES.values():
            path = self.folder / IMAGES / f"{key[:32]}{suffix}"
            if path.is_file():
                return path
        return None

    def drop_image(self, key: str) -> None:
        """Remove an image that must not be kept; its line stays."""
        path = self.image_of(key)
        if path is not None:
            path.unlink()

    def records(self) -> Iterator[CallRecord]:
        """Yield every call, in the order of the file."""
        for record, _ in self._scan():
            yield record


def refuse_private(folder: Path) -> None:
    """Refuse a folder that holds what is never published.

    Raises:
        DataError: If there is a file of `private/` in it, by name or place.
    """
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if _PRIVATE_NAMES & set(path.relative_to(folder).parts)
    )
    if found:
        raise DataError(
            f"{folder}: holds {numbered(found)}: harmful queries from before rewriting, which are never published. "
            "Name the folder that `vlsbench construct publish` wrote."
        )
