"""Reading the release from disk: the official `data.json` with `imgs/` or `imgs.tar`, or a folder of Parquet.

Rule of the room: no network; nothing outside the folder is read; images are read by content, never by name (a
JPEG called .png is fine); every problem is found before anything is refused, and a message stays one short
line. Leaves out whether the records are the release's (`vlsbench.dataset.index` knows) and `datasets`
(`vlsbench.dataset.builder`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tarfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError

from vlsbench.dataset.index import HUB_REPOSITORY, RELEASE_REVISION
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, read_image
from vlsbench.errors import DataError, bounded
from vlsbench.records import Record, explain
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "COLUMNS",
    "ImageTar",
    "Layout",
    "OfficialLayout",
    "ParquetLayout",
    "ReleaseRecord",
    "duplicate_ids",
    "fingerprint",
    "how_to_get_the_release",
    "open_layout",
    "parse_release_json",
    "places_of_images",
    "record_of_row",
]

COLUMNS = (
    "instruction_id",
    "instruction",
    "image",
    "image_path",
    "category",
    "sub_category",
    "source",
    "image_description",
    "safety_reason",
)
"""Columns of the published dataset, in order: the keys of the official records, and the image itself."""

_BUFFER_BYTES = 1 << 20
"""Parquet is read through a buffer of 1 MiB, not a column chunk at a time."""

_MAX_JSON_BYTES = 64 << 20
"""Largest `data.json` read, 64 MiB; the official one has 1.3 MB."""


def how_to_get_the_release() -> str:
    """Say what to download, how large it is and what to do with it."""
    return (
        f"The release is about 2.5 GB, at https://huggingface.co/datasets/{HUB_REPOSITORY} (it may be gated: then "
        "accept its terms on that page and run `hf auth login`). Download it with "
        f"`hf download {HUB_REPOSITORY} --repo-type dataset --revision {RELEASE_REVISION} --local-dir DIR` and give "
        "that folder: --data DIR on the command line, data_dir=DIR in load_dataset."
    )


# --- Records ------------------------------------------------------------------------------------------------


def _check_image_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value or re.match(r"[A-Za-z]:", value):
        raise ValueError("an image path stays inside its folder: no '..', no absolute path, no backslash")
    if not path.stem.isascii() or not path.stem.isdigit() or len(path.stem) > 9:
        raise ValueError("an image path ends in its number, like imgs/17.png")
    return value


def _check_category(value: str) -> str:
    if value not in CATEGORY_NAMES:
        raise ValueError(f"a category is one of {', '.join(CATEGORY_NAMES)}")
    return value


def _check_sub_category(value: str) -> str:
    if value not in SUB_CATEGORY_NAMES:
        raise ValueError("a sub-category is one of the 19 of vlsbench.taxonomy")
    return value


def _id_of_text(value: Any) -> Any:
    """Read an id written as text: the Hub's card declares `instruction_id` a string."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value) else value


class ReleaseRecord(Record):
    """One entry of `data.json`, or one row of a Parquet shard without its image. Other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, protected_namespaces=())

    instruction_id: Annotated[int, BeforeValidator(_id_of_text), Field(ge=0, le=2**53)]
    instruction: str
    """The text; empty in one sample of the release."""
    image_path: Annotated[str, AfterValidator(_check_image_path)]
    """`imgs/<number>.png`, whatever the file's type."""
    category: Annotated[str, AfterValidator(_check_category)]
    sub_category: Annotated[str, AfterValidator(_check_sub_category)]
    """Not checked against `category`: five samples of the release are filed under another one."""
    source: str
    image_description: str | None
    safety_reason: str | None
    """None for a benign twin of the package's own sample."""
    risk: Literal["risky", "benign"] = "risky"
    twin_id: int | None = None

    @property
    def image(self) -> int:
        """Number of the image."""
        return int(PurePosixPath(self.image_path).stem)


def _parse(entry: object, where: str) -> ReleaseRecord | str:
    if not isinstance(entry, Mapping):
        return f"{where} is not an object but {type(entry).__name__}"
    try:
        return ReleaseRecord.model_validate(entry)
    except ValidationError as error:
        return f"{where}: {bounded(explain(error), limit=8)}"


def duplicate_ids(records: Iterable[ReleaseRecord]) -> list[str]:
    """Name every `instruction_id` that occurs more than once."""
    seen: set[int] = set()
    twice: dict[int, None] = {}
    for record in records:
        if record.instruction_id in seen:
            twice[record.instruction_id] = None
        seen.add(record.instruction_id)
    return [f"instruction_id {number} occurs more than once" for number in twice]


def parse_release_json(data: bytes, where: str) -> tuple[list[ReleaseRecord], list[str]]:
    """Read the records of a `data.json`.

    Returns:
        The records that are good, and one sentence per problem.

    Raises:
        DataError: If there is no list to read records from.
    """
    try:
        entries = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = str(error)[:200] or type(error).__name__
        raise DataError(f"{where}: not JSON ({reason}). Download it again; a cut download looks like this.") from None
    if not isinstance(entries, list):
        raise DataError(
            f"{where}: the rule is a list of objects, found {type(entries).__name__}. Is it the data.json of VLSBench?"
        )
    if not entries:
        raise DataError(f"{where}: the list is empty. Download it again; the official one has 2241 entries.")
    records, problems = [], []
    for number, entry in enumerate(entries):
        parsed = _parse(entry, f"entry {number}")
        if isinstance(parsed, str):
            problems.append(parsed)
        else:
            records.append(parsed)
    return records, problems + duplicate_ids(records)


def record_of_row(row: Mapping[str, Any], where: str) -> ReleaseRecord | str:
    """Read one row of a Parquet file, with ClassLabel ids or plain names.

    Returns:
        The record, or the sentence that says what is wrong with it.
    """
    named = {key: value for key, value in row.items() if key != "image" and value is not None}
    for column, names in (("category", CATEGORY_NAMES), ("sub_category", SUB_CATEGORY_NAMES)):
        label = named.get(column)
        if isinstance(label, int) and 0 <= label < len(names):
            named[column] = names[label]
    for column in ("image_description", "safety_reason"):
        named.setdefault(column, None)
    return _parse(named, where)


# --- Images -------------------------------------------------------------------------------------------------


class _Images(ABC):
    """Where an official layout keeps its images."""

    where: Path

    @abstractmethod
    def why_absent(self, image_path: str) -> str | None:
        """Say why an image cannot be read, without reading it; None where it can."""

    @abstractmethod
    def read(self, image_path: str) -> bytes:
        """Read an image as stored.

        Raises:
            DataError: If it is absent or cannot be read.
        """

    def close(self) -> None:  # noqa: B027 (a folder has nothing to close)
        """Give back what is open."""


def places_of_images(root: Path) -> tuple[Path, ...]:
    """Return the folders that the images of a set lie in: what leads elsewhere may be a picture of its reader's.

    A snapshot in the Hub's cache links every file to its blob, beside `snapshots`; that place is one too.
    """
    real = root.resolve()
    snapshots = [place.parent for place in (real, *real.parents) if place.parent.name == "snapshots"]
    return (real, *(folder.parent / "blobs" for folder in snapshots))


class _ImageFolder(_Images):
    def __init__(self, root: Path) -> None:
        self.where = root / "imgs"
        self._root = root
        self._allowed = places_of_images(root)

    def _find(self, image_path: str) -> Path | str:
        path = self._root / image_path
        try:
            real = path.resolve()
            mode = real.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return f"{image_path} is missing"
        except (OSError, RuntimeError) as error:
            return f"{image_path} cannot be read ({getattr(error, 'strerror', None) or error})"
        if not any(real.is_relative_to(folder) for folder in self._allowed):
            return f"{image_path} leads out of the folder, to {str(real)[:200]!r}"
        return real if stat.S_ISREG(mode) else f"{image_path} is not a file"

    def why_absent(self, image_path: str) -> str | None:
        found = self._find(image_path)
        return found if isinstance(found, str) else None

    def read(self, image_path: str) -> bytes:
        found = self._find(image_path)
        if isinstance(found, str):
            raise DataError(f"{self._root}: {found}. Download the images again, or give the folder that has them.")
        try:
            return read_image(found)
        except OSError as error:
            raise DataError(f"{found}: cannot be read ({error.strerror}).") from None


class ImageTar(_Images):
    """`imgs.tar`, indexed once: 1,957 headers are read, not 2.45 GB."""

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.where = path
        self._places: dict[str, tuple[int, int]] = {}
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY)
            size = os.fstat(self._fd).st_size
            with os.fdopen(os.dup(self._fd), "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    if member.isreg() and not member.issparse():
                        # The last member of a cut archive promises more bytes than there are.
                        place = (member.offset_data, member.size)
                        self._places[_tar_key(member.name)] = place if sum(place) <= size else (-1, member.size)
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            if self._places:
                return  # what came before the cut is good, and each image after it is named as missing
            self.close()
            raise DataError(
                f"{path}: not a readable plain tar archive ({str(error)[:100]}). Download it again; a cut download "
                "looks like this."
            ) from None

    def why_absent(self, image_path: str) -> str | None:
        """Look the image up in the index."""
        place = self._places.get(_tar_key(image_path))
        if place is None:
            return f"{image_path} is missing"
        return f"{image_path} is cut off at the end of the archive" if place[0] < 0 else None

    def read(self, image_path: str) -> bytes:
        """Read the image's bytes where they lie in the archive."""
        if problem := self.why_absent(image_path):
            raise DataError(f"{self.where}: {problem}. Download the archive again.")
        offset, size = self._places[_tar_key(image_path)]
        try:
            data = os.pread(self._fd, min(size, MAX_IMAGE_BYTES + 1), offset)
        except OSError as error:
            raise DataError(f"{self.where}: {image_path} cannot be read ({error.strerror}).") from None
        if len(data) < min(size, MAX_IMAGE_BYTES + 1):
            raise DataError(f"{self.where}: {image_path} is cut off. Download the archive again.")
        return data

    def close(self) -> None:
        """Close the archive."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _tar_key(name: str) -> str:
    """Key of an image in an archive: `imgs/` and its name, because archives differ in what is above."""
    parts = PurePosixPath(name).parts
    return "/".join(("imgs", *parts)[-2:])


# --- Layouts ------------------------------------------------------------------------------------------------


class Layout(ABC):
    """A dataset on disk: its records in memory (1.3 MB of text), its images read one at a time."""

    kind: Literal["imgs", "imgs.tar", "parquet"]
    where: Path
    records: tuple[ReleaseRecord, ...]
    """The records that are good, in file order."""
    problems: tuple[str, ...]
    """What is wrong with the others, one sentence each. Empty in a layout from `open_layout(strict=True)`."""

    @abstractmethod
    def why_absent(self, record: ReleaseRecord) -> str | None:
        """Say why a record's image cannot be read, without reading it; None where it can."""

    @abstractmethod
    def read(self, record: ReleaseRecord) -> bytes:
        """Read a record's image as stored, from disk, each time.

        Raises:
            DataError: If it is absent or cannot be read; the message names the file.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what is open."""

    def missing_images(self) -> list[str]:
        """Say which images are missing, each once, without decoding any."""
        return list(dict.fromkeys(problem for record in self.records if (problem := self.why_absent(record))))

    def __enter__(self) -> Layout:
        """Return the layout."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the layout."""
        self.close()


class OfficialLayout(Layout):
    """`data.json` beside `imgs/` or `imgs.tar`; beside `images/` in a constructed set."""

    def __init__(self, root: Path) -> None:
        self.where = root
        path = root / "data.json"
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_JSON_BYTES + 1)
        except FileNotFoundError:
            raise DataError(f"{path}: absent. {how_to_get_the_release()}") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
        if len(data) > _MAX_JSON_BYTES:
            raise DataError(f"{path}: more than {_MAX_JSON_BYTES >> 20} MiB; the official one has 1.3 MB.")
        records, problems = parse_release_json(data, str(path))
        self.records, self.problems = tuple(records), tuple(problems)
        self._images: _Images
        if (root / "imgs").is_dir() or (root / "images").is_dir():
            self.kind, self._images = "imgs", _ImageFolder(root)
        elif (root / "imgs.tar").is_file():
            self.kind, self._images = "imgs.tar", ImageTar(root / "imgs.tar")
        else:
            raise DataError(f"{root}: there is neither imgs/ nor imgs.tar beside data.json. {how_to_get_the_release()}")

    def why_absent(self, record: ReleaseRecord) -> str | None:
        """Look the image up in the folder or the archive."""
        return self._images.why_absent(record.image_path)

    def read(self, record: ReleaseRecord) -> bytes:
        """Read the image from the folder or the archive."""
        return self._images.read(record.image_path)

    def close(self) -> None:
        """Close the archive."""
        self._images.close()


class _Place(NamedTuple):
    file: int
    row_group: int
    row: int


class ParquetLayout(Layout):
    """Parquet shards with embedded images: what `vlsbench data build` writes, what the Hub has in `data/`."""

    kind = "parquet"

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        import pyarrow.parquet as pq

        self.where = root
        self.paths = tuple(files)
        self._places: dict[int, _Place] = {}
        self._lock = threading.Lock()
        self._cached: tuple[tuple[int, int], Any] | None = None
        records: list[ReleaseRecord] = []
        problems = _missing_shards([path.name for path in files])
        for number, path in enumerate(files):
            try:
                with pq.ParquetFile(path) as file:
                    absent = sorted(set(COLUMNS) - set(file.schema_arrow.names))
                    if absent:
                        problems.append(f"{path.name} lacks the columns {', '.join(absent)}")
                        continue
                    columns = [name for name in file.schema_arrow.names if name != "image"]
                    for group in range(file.num_row_groups):
                        rows = file.read_row_group(group, columns=columns).to_pylist()
                        for index, row in enumerate(rows):
                            parsed = record_of_row(row, f"{path.name} row group {group} row {index}")
                            if isinstance(parsed, str):
                                problems.append(parsed)
                            else:
                                records.append(parsed)
                                self._places[parsed.instruction_id] = _Place(number, group, index)
            except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
                problems.append(f"{path.name} cannot be read as Parquet ({str(error)[:100]})")
        self.records, self.problems = tuple(records), tuple(problems + duplicate_ids(records))

    def why_absent(self, record: ReleaseRecord) -> str | None:
        """Return None: whether a row has an image is known when it is read."""
        return None

    def read(self, record: ReleaseRecord) -> bytes:
        """Read the image column of the record's row group, which is kept until another one is asked for."""
        place = self._places[record.instruction_id]
        name = self.paths[place.file].name
        with self._lock:
            key = (place.file, place.row_group)
            if self._cached is None or self._cached[0] != key:
                self._cached = None  # the old row group goes before the new one comes
                self._cached = (key, self._read_row_group(place))
            cell = self._cached[1][place.row].as_py()
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(data, bytes):
            raise DataError(f"{self.where}: {name}: instruction_id {record.instruction_id} has no embedded image.")
        return data

    def _read_row_group(self, place: _Place) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pa.default_memory_pool().release_unused()  # else the allocator keeps several row groups
        path = self.paths[place.file]
        try:
            # An open file keeps its scratch buffers, 33 MB of them; opening one takes a millisecond.
            with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES) as file:
                return file.read_row_group(place.row_group, columns=["image"], use_threads=False).column("image")
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: row group {place.row_group} cannot be read ({str(error)[:100]}). Build or download it again."
            ) from None

    def close(self) -> None:
        """Let go of the row group."""
        with self._lock:
            self._cached = None


def _missing_shards(names: Sequence[str]) -> list[str]:
    """Name the shards of `NAME-00000-of-0000N.parquet` that are not there."""
    totals: dict[tuple[str, int], set[int]] = {}
    for name in names:
        if match := re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})\.parquet", name):
            totals.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    return [
        f"{split}-{number:05d}-of-{total:05d}.parquet is missing"
        for (split, total), found in totals.items()
        for number in range(total)
        if number not in found
    ]


def _parquet_files(root: Path) -> list[Path]:
    for folder in (root / "data", root):
        if files := sorted(path for path in folder.glob("*.parquet") if not path.name.startswith(".")):
            return files
    return []


def open_layout(path: str | Path, *, strict: bool = True) -> Layout:
    """Open a dataset on disk: Parquet where there are shards, else the official layout.

    Args:
        path: A folder with `data.json` and `imgs/` or `imgs.tar`, or with `*.parquet` in it or in its `data/`.
        strict: Refuse records with problems; else they are kept in `problems`.

    Raises:
        DataError: If nothing there can be read, or (strict) if a record has a problem; all of them are
            counted.
    """
    path = Path(path)
    if not path.is_dir():
        hint = "give the folder that holds it" if path.exists() else "there is nothing there"
        raise DataError(f"{path}: not a folder; {hint}. {how_to_get_the_release()}")
    files = _parquet_files(path)
    if not files and not (path / "data.json").exists():
        raise DataError(f"{path}: neither data.json nor Parquet shards are there. {how_to_get_the_release()}")
    layout = ParquetLayout(path, files) if files else OfficialLayout(path)
    if strict and layout.problems:
        layout.close()
        raise DataError(f"{path}: {bounded(layout.problems)}. `vlsbench data verify {path}` checks it all.")
    return layout


def fingerprint(path: str | Path) -> str:
    """Digest names, sizes and times of a dataset's files, so that a cache made from them knows when they changed."""
    path = Path(path)
    digest = hashlib.sha256()
    for folder in (path, path / "imgs", path / "images", path / "data"):
        try:
            with os.scandir(folder) as entries:
                rows = sorted(
                    (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries if entry.is_file()
                )
        except OSError:
            continue  # absent, or unreadable: `open_layout` says so
        digest.update(repr((folder.name if folder != path else "", rows)).encode())
    return digest.hexdigest()[:16]
