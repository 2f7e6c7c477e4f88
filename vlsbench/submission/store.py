"""Where submissions lie: a folder with one directory per submission, and the paper's rows in `paper/`.

Rule of the room: the store is listed, never indexed by a shared file, so that two writers cannot lose a row.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from vlsbench.errors import SubmissionError
from vlsbench.records import PaperRow, Record, explain
from vlsbench.submission.check import CARD_FILE

__all__ = [
    "PaperTable",
    "StoredSubmission",
    "default_store",
    "list_submissions",
    "paper_files",
    "read_paper_table",
    "unusable_names",
]

_DEPTH = 3
"""How many folders down a submission may lie: `examples/NAME` is two, `USER/MODEL/RUN` three."""

_ID = re.compile(r"[\w.+@-]+(/[\w.+@-]+)*")
"""What an id looks like: it is printed in terminals and on pages, and written into CSV and JSON."""


class PaperTable(Record):
    """A table of VLSBench results as the paper prints it: a record of its own kind."""

    origin: Literal["paper"]
    source: str
    judge: str
    rows: tuple[PaperRow, ...]


class StoredSubmission(NamedTuple):
    """A directory of the store that holds a `submission.json`."""

    submission_id: str
    """Path below the store, with `/`."""
    directory: Path


def default_store() -> Path:
    """Return `./submissions` where there is one, else the store that came with the package (the paper's rows)."""
    here = Path("submissions")
    if here.is_dir():
        return here
    packaged = Path(__file__).parents[1] / "_submissions"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "submissions"


def list_submissions(store: Path) -> list[StoredSubmission]:
    """List the submissions of a store, sorted by id; links are not followed, unusable names are passed over.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    return [item for item in _walk(store) if _ID.fullmatch(item.submission_id)]


def unusable_names(store: Path) -> list[str]:
    """List the paths of submissions whose folders have a name that cannot be an id; sorted."""
    return [item.submission_id for item in _walk(store) if not _ID.fullmatch(item.submission_id)]


def _walk(store: Path) -> list[StoredSubmission]:
    if not store.is_dir():
        raise SubmissionError(f"{store}: not a folder; --store is a folder with one directory per submission.")
    found = []
    level = [store]
    for _ in range(_DEPTH):
        level = [
            path
            for folder in level
            for path in sorted(folder.iterdir())
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
        ]
        found += [StoredSubmission(p.relative_to(store).as_posix(), p) for p in level if (p / CARD_FILE).is_file()]
    return sorted(found)


def paper_files(store: Path) -> list[Path]:
    """List the files of the paper's tables, `paper/*.json`, sorted by name."""
    return sorted((store / "paper").glob("*.json"))


def read_paper_table(path: Path) -> PaperTable:
    """Read one of the paper's tables.

    Raises:
        SubmissionError: If the file is not such a table.
    """
    try:
        return PaperTable.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        raise SubmissionError(f"{path}: {'; '.join(explain(error)[:5])}.") from None
