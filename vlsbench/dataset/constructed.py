"""Is the folder of a constructed set what its index says: every record, every picture?

    index.csv, dataset.json     ids, categories, image numbers, digests; name and digest (`vlsbench.dataset.index`)
    data/*.parquet              the records with their images; or data.json beside images/
    images/<number>.*           where it is there, every image of the index

Rule of the room: no network, no `datasets`; every problem is found before anything is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vlsbench.dataset.index import Index, IndexRow, index_of_records, read_set, set_index, write_set
from vlsbench.dataset.layout import Layout, open_layout
from vlsbench.errors import DataError, amount, bounded, numbered

__all__ = ["IMAGES_FOLDER", "check_set", "compare_rows", "index_set", "open_set_layout", "set_problems"]

IMAGES_FOLDER = "images"

_NAMES = {"instruction_sha256": "instruction", "image": "image number"}


def compare_rows(rows: Iterable[IndexRow], index: Index, fields: Sequence[str]) -> list[str]:
    """Say how the rows of records differ from an index, one sentence per kind of difference.

    Args:
        fields: Of `IndexRow`, that have to be the same.
    """
    known = index.whole.by_id
    found = {row.instruction_id: row for row in rows}
    kinds = {
        f"samples of the {index.title} are missing": [number for number in known if number not in found],
        f"ids are not in the {index.title}": [number for number in found if number not in known],
    }
    both = [(known[number], row) for number, row in found.items() if number in known]
    for field in fields:
        kinds[f"samples have another {_NAMES.get(field, field)} than in the {index.title}"] = [
            row.instruction_id for expected, row in both if getattr(expected, field) != getattr(row, field)
        ]
    return [f"{len(ids)} {kind}: {numbered([str(i) for i in ids])}" for kind, ids in kinds.items() if ids]


def set_problems(layout: Layout, index: Index) -> list[str]:
    """Say how records and pictures differ from the index of a constructed set; no picture is decoded."""
    rows = index_of_records(record.model_dump() for record in layout.records)
    # Of a record that is broken its own sentence says so.
    problems = [*layout.problems, *compare_rows(rows, index, [f for f in IndexRow._fields if f != "instruction_id"])]
    problems += layout.missing_images()
    return [*problems, *_missing_pictures(layout.where / IMAGES_FOLDER, index)]


def _missing_pictures(folder: Path, index: Index) -> list[str]:
    if not folder.is_dir():
        return []
    stems = {path.stem for path in folder.iterdir()}
    missing = [str(n) for n in dict.fromkeys(row.image for row in index.whole.rows) if str(n) not in stems]
    if not missing:
        return []
    return [f"{amount(len(missing), 'image is', 'images are')} missing in {folder.name}/: {numbered(missing)}"]


def open_set_layout(folder: Path) -> tuple[Layout | None, Index | None, list[str]]:
    """Open a constructed set as far as it goes.

    Returns:
        Its records and pictures, to be closed; its index; each None where it cannot be read; and every problem.
    """
    index, problems = set_index(folder)
    try:
        layout = open_layout(folder, strict=False)
    except DataError as error:
        return None, index, [*problems, str(error)]
    if index is not None:
        problems += set_problems(layout, index)
    return layout, index, problems


def index_set(folder: Path, name: str) -> Index:
    """Make `index.csv` and `dataset.json` of the records of a folder, and return the index.

    Args:
        folder: `data.json` with its images, or Parquet shards.
        name: Of the set.

    Raises:
        DataError: If the name, a record or an id breaks a rule; every problem is counted, and nothing is written.
    """
    with open_layout(folder) as layout:
        return write_set(folder, name, index_of_records(record.model_dump() for record in layout.records))


def check_set(folder: Path) -> Index:
    """Return the index of a constructed set whose records and pictures are all there.

    Raises:
        DataError: If they are not; every problem is counted.
    """
    layout, _, problems = open_set_layout(folder)
    if layout is not None:
        layout.close()
    if problems:
        raise DataError(f"{folder}: {bounded(problems)}. `vlsbench data verify {folder}` checks it all.")
    return read_set(folder)
