"""Samples and pictures by id, for judges: the release or a constructed set from a folder, or the package's own sample.

Rule of the room: no network, no `datasets`; texts are in memory (1.3 MB), pictures are read from disk on each
call, so memory stays flat over 2.5 GB. What is opened is compared with the index first: a judge never sees
another text than the one that was answered.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vlsbench.dataset.index import INDEX_FILE, Index, is_constructed, kind_of_name, load_index, read_set
from vlsbench.dataset.layout import (
    Layout,
    ReleaseRecord,
    how_to_get_the_release,
    open_layout,
)
from vlsbench.dataset.pictures import Picture, image_problem, mime_of
from vlsbench.errors import DataError, amount, numbered
from vlsbench.files import sha256_hex

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Picture", "Sample", "SampleSource", "differing_ids", "open_source", "packaged_sample"]


class Sample(NamedTuple):
    """One image-text pair, without its picture."""

    instruction_id: int
    instruction: str
    image: int
    """Number of the image."""
    category: str
    sub_category: str
    image_description: str | None
    safety_reason: str | None
    risk: str
    """`risky` or `benign`."""


class SampleSource:
    """Random access to samples and pictures by `instruction_id`. Safe to use from several threads."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self.index_name = index.name
        self.index = index
        """All samples that there should be; a copy may lack some."""
        self._layout = layout
        self._records = {record.instruction_id: record for record in layout.records}

    def _record(self, instruction_id: int) -> ReleaseRecord:
        record = self._records.get(instruction_id)
        if record is None:
            is_known = instruction_id in self.index.by_id
            known = "this copy is not complete" if is_known else f"the {self.index.title} has the ids {self.index.ids}"
            raise DataError(
                f"{self._layout.where}: instruction_id {instruction_id} is not there; {known}. "
                f"`vlsbench data verify {self._layout.where}` names all that is missing."
            )
        return record

    def sample(self, instruction_id: int) -> Sample:
        """Return one sample.

        Raises:
            DataError: If there is no such id here.
        """
        record = self._record(instruction_id)
        row = self.index.by_id[instruction_id]
        return Sample(
            instruction_id,
            record.instruction,
            row.image,
            row.category,
            row.sub_category,
            record.image_description,
            record.safety_reason,
            row.risk,
        )

    def picture(self, instruction_id: int) -> Picture:
        """Read one picture from disk.

        Raises:
            DataError: If the file is missing, is not an image or cannot be decoded; the message names it.
        """
        record = self._record(instruction_id)
        data = self._layout.read(record)
        problem = image_problem(data)
        mime = mime_of(data)
        if problem or mime is None:
            where = f"{self._layout.where}: {record.image_path} (instruction_id {instruction_id})"
            raise DataError(f"{where} {problem}. Download it again.")
        return Picture(data, mime)

    def close(self) -> None:
        """Give back what is open."""
        self._layout.close()

    def __enter__(self) -> SampleSource:
        """Return the source."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the source."""
        self.close()


def packaged_sample() -> Path:
    """Return the folder of the package's own sample.

    Raises:
        DataError: If this installation lacks it.
    """
    path = Path(str(resources.files("vlsbench.dataset").joinpath("sample")))
    if not (path / "risky.parquet").is_file():
        raise DataError(f"{path}: the packaged sample is absent. Install vlsbench again.")
    return path


def differing_ids(layout: Layout, index: Index) -> tuple[list[int], list[int]]:
    """Compare records with an index: instruction and image number.

    Returns:
        Ids whose record differs, and ids that the index does not have; in file order.
    """
    differing, unknown = [], []
    for record in layout.records:
        row = index.by_id.get(record.instruction_id)
        if row is None:
            unknown.append(record.instruction_id)
        elif record.image != row.image or sha256_hex(record.instruction) != row.instruction_sha256:
            differing.append(record.instruction_id)
    return differing, unknown


def _index_to_compare(path: Path, name: str, index: Index | None) -> Index:
    """Say which index the records of a folder have to fit; a constructed set says itself which one it is."""
    kind = kind_of_name(name)
    if is_constructed(path):
        here = read_set(path)
        if here.name != name:
            wanted = f"set {name!r}" if kind == "constructed" else name
            raise DataError(f"{path}: this is the {here.title}, and the {wanted} was asked for. Give its folder.")
        if index is not None and index.revision != here.revision:
            raise DataError(
                f"{path}: another version of the {here.title}: its {INDEX_FILE} has SHA-256 {here.revision[:12]}…, the "
                f"one that was answered has {index.revision[:12]}…. Give the version that was answered."
            )
        return here
    if kind == "constructed":
        raise DataError(
            f"{path}: not the set {name!r}: there is no {INDEX_FILE}. Give the folder that `construct` published."
        )
    return load_index(kind) if index is None else index.whole


def open_source(path: Path | None, *, name: str, index: Index | None = None) -> SampleSource:
    """Open the samples that a submission answers.

    A copy may lack samples (a part of the release is enough to judge that part); it may not hold others.

    Args:
        path: A folder in the official layout or of Parquet shards. None is the packaged sample; the release
            and constructed sets are in no package and need a folder.
        name: Which dataset it has to be, as an index is named.
        index: The index to compare with; None is the packaged one of that name, or the folder's own.

    Raises:
        DataError: If the data is absent, broken or not that dataset; the differing ids are named.
    """
    kind = kind_of_name(name)
    if path is None:
        if kind == "constructed":
            raise DataError(f"the set {name!r} is in no package and no folder was given; --data DIR names it.")
        if kind == "release":
            raise DataError(f"the release is not in the package and no folder was given. {how_to_get_the_release()}")
        path = packaged_sample()
    index = _index_to_compare(path, name, index)
    layout = open_layout(path)
    differing, unknown = differing_ids(layout, index)
    if differing or unknown:
        layout.close()
        found = []
        if differing:
            found.append(
                f"{amount(len(differing), 'sample')} with another text or image number "
                f"({numbered([*map(str, differing)])})"
            )
        if unknown:
            found.append(f"{amount(len(unknown), 'id')} that it does not have ({numbered([*map(str, unknown)])})")
        raise DataError(
            f"{path}: not the {index.title} (revision {index.revision}): found {' and '.join(found)}. Was it changed, "
            "or is it another dataset?"
        )
    return SampleSource(layout, index)
