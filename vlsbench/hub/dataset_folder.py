"""The folder that `vlsbench publish dataset` uploads: made from the release, or checked before it goes.

    data/test-*.parquet       everything, images embedded        (as `vlsbench data build` writes it)
    inspect/test-*.parquet    the same, image as a data: URI     (`vlsbench.hub.inspect_config`)
    README.md                 the card                           (`dataset_card/README.md`, `published.md`)
    eval.yaml                 tasks for the Hub and Inspect      (`vlsbench.hub.hub_eval`)
    croissant.json            what the files are, with SHA-256   (`vlsbench.hub.croissant`)

Rule of the room: no network; memory holds one row group; a folder is there whole or not at all, and the same source
makes the same bytes, so that an upload broken off goes on after a second preparation. Leaves out the upload.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vlsbench.dataset.build import build, card_template, card_values, fill, render_card
from vlsbench.dataset.index import RELEASE_DIGEST, IndexRow, digest_of, index_of_records, is_constructed
from vlsbench.dataset.layout import open_layout
from vlsbench.errors import DataError, UsageError, amount, bounded, numbered
from vlsbench.hub.croissant import Shard, hash_shard, read_croissant, render_croissant
from vlsbench.hub.hub_eval import eval_tasks, render_eval_yaml
from vlsbench.hub.inspect_config import inspect_configs, write_inspect_config

__all__ = ["DatasetFolder", "PublishedFile", "is_dataset_folder", "prepare_dataset_folder", "read_dataset_folder"]

_CARD = "README.md"
_EVAL = "eval.yaml"
_CROISSANT = "croissant.json"
_TEXTS = {
    _EVAL: "tasks for the Hub's leaderboards and `inspect eval hf/…`",
    _CROISSANT: "Croissant 1.1 with RAI fields, SHA-256 of every shard",
    _CARD: "the card: content warning, gate, configs, licences, counts",
}
_FOLDERS = {"data": "images embedded", "inspect": "images as data: URIs"}


class PublishedFile(NamedTuple):
    """One file to upload."""

    path: str
    """Relative to the folder, with `/`."""
    n_bytes: int
    what: str


@dataclass(frozen=True)
class DatasetFolder:
    """A folder ready to be published."""

    folder: Path
    repository: str
    files: tuple[PublishedFile, ...]
    """All that may be uploaded, the card last: a repository without a card shows no half-loaded config."""
    n_samples: int
    n_images: int
    digest: str
    is_release: bool
    """Whether the digest is that of the release."""

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(file.n_bytes for file in self.files)

    def as_text(self) -> str:
        """Render what would be uploaded, for a terminal."""
        width = max(len(file.path) for file in self.files)
        lines = [f"{file.n_bytes:>15,}  {file.path:<{width}}  {file.what}" for file in self.files]
        is_it = "the release" if self.is_release else "not the release: the card says so"
        lines += [
            f"{self.n_bytes:>15,}  bytes in {amount(len(self.files), 'file')} for datasets/{self.repository}",
            f"{amount(self.n_samples, 'sample')}, {amount(self.n_images, 'image')}, digest {self.digest} ({is_it})",
        ]
        return "\n".join(lines)


def is_dataset_folder(path: Path) -> bool:
    """Say whether a folder was prepared before: it has a `croissant.json`, which a build alone does not write."""
    return (path / _CROISSANT).is_file()


def prepare_dataset_folder(source: Path, out: Path, *, repository: str) -> DatasetFolder:
    """Make the folder from the release, or from a build of it.

    Args:
        source: A folder in the official layout, or of Parquet shards.
        out: Folder to make; absent or empty. Needs about twice the size of the images.
        repository: Where it will be published, ORG/NAME: the card, the tasks and the Croissant name it.

    Raises:
        DataError: If anything in `source` is wrong (every problem is counted), or `out` cannot be written.
        UsageError: If `repository` is no name of a repository.
    """
    _check_repository(repository)
    if is_constructed(source):
        raise DataError(
            f"{source}: a set of your own is not published as VLSBench. `vlsbench data build {source} OUT` makes a "
            "folder with a card of its own; `hf upload` publishes that."
        )
    _refuse_twins(source)
    build(source, out, complete=lambda folder: _complete(folder, repository))
    rows = _rows_of(out)
    return _describe(out, repository, rows, _paths(out))


def read_dataset_folder(folder: Path, *, repository: str) -> DatasetFolder:
    """Check a folder that was prepared before, and list it.

    Raises:
        DataError: If it is not as it was prepared, or was prepared for another repository; every problem is counted.
        UsageError: If `repository` is no name of a repository.
    """
    _check_repository(repository)
    stated = read_croissant(folder / _CROISSANT)
    problems = []
    if stated.url != f"https://huggingface.co/datasets/{repository}":
        problems.append(f"it was prepared for {stated.url}, not for datasets/{repository}: prepare it again")
    expected = {*stated.sha256, *_TEXTS}
    found = set(_paths(folder))
    problems += [f"{path} is missing" for path in sorted(expected - found)]
    problems += [
        f"{path} is nothing that is published: take it out, or it would be uploaded"
        for path in sorted(found - expected)
    ]
    for path in sorted(expected & found):
        if not stat.S_ISREG((folder / path).lstat().st_mode):
            problems.append(f"{path} is a link or no plain file")
        elif path in stated.sha256 and hash_shard(folder, path).sha256 != stated.sha256[path]:
            problems.append(f"{path} has another SHA-256 than {_CROISSANT} says")
    if problems:
        raise DataError(f"{folder}: {bounded(problems)}.")
    if (folder / _EVAL).read_text(encoding="utf-8") != render_eval_yaml():
        problems.append(f"{_EVAL} is not the one this version writes")
    rows = _rows_of(folder)
    if digest_of(rows) not in (folder / _CARD).read_text(encoding="utf-8"):
        problems.append(f"{_CARD} is the card of another dataset: its digest is not that of the shards")
    if problems:
        raise DataError(f"{folder}: {bounded(problems)}. Prepare it again.")
    return _describe(folder, repository, rows, sorted(found))


def _check_repository(repository: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, not in __all__

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UsageError(f"REPO is ORG/NAME as on the Hub, found {repository!r} ({error})") from None
    if repository.count("/") != 1:
        raise UsageError(f"REPO is ORG/NAME as on the Hub, found {repository!r}.")


def _refuse_twins(source: Path) -> None:
    """Keep benign twins out: the published columns do not mark them, and every pair there is taken for risky."""
    with open_layout(source, strict=False) as layout:
        twins = [str(record.instruction_id) for record in layout.records if record.risk == "benign"]
    if twins:
        raise DataError(
            f"{source}: {amount(len(twins), 'pair is a benign twin', 'pairs are benign twins')} "
            f"({numbered(twins, limit=5)}), and only risky pairs are published. Give a folder without them."
        )


def _rows_of(folder: Path) -> list[IndexRow]:
    with open_layout(folder) as layout:
        return index_of_records(record.model_dump() for record in layout.records)


def _paths(folder: Path) -> list[str]:
    """List every file below a folder; a linked folder counts as one."""
    found = []
    for top, folders, files in os.walk(folder):
        linked = [name for name in folders if (Path(top) / name).is_symlink()]
        found += [(Path(top) / name).relative_to(folder).as_posix() for name in (*files, *linked)]
    return found


def _complete(folder: Path, repository: str) -> None:
    """Write into a built folder what the Hub and other tools read."""
    sizes = write_inspect_config(folder)
    shards: list[Shard] = [hash_shard(folder, path) for path in sorted(_paths(folder)) if path.endswith(".parquet")]
    rows = _rows_of(folder)
    values = card_values(rows, repository=repository)
    values["tasks"] = "\n".join(f"| `{task.id}` | {task.meaning} |" for task in eval_tasks())
    more = fill(card_template("published.md").read_text(encoding="utf-8"), values)
    extra = inspect_configs(rows, sizes.uris)
    card = render_card(rows, sizes=sizes.embedded, repository=repository, extra_configs=extra, more=more)
    (folder / _CARD).write_text(card, encoding="utf-8")
    (folder / _EVAL).write_text(render_eval_yaml(), encoding="utf-8")
    (folder / _CROISSANT).write_text(render_croissant(rows, shards, repository=repository), encoding="utf-8")


def _describe(folder: Path, repository: str, rows: Sequence[IndexRow], paths: Sequence[str]) -> DatasetFolder:
    order = [*sorted(path for path in paths if path not in _TEXTS), *_TEXTS]
    digest = digest_of(rows)
    return DatasetFolder(
        folder=folder,
        repository=repository,
        files=tuple(PublishedFile(path, (folder / path).stat().st_size, _what(folder, path)) for path in order),
        n_samples=len(rows),
        n_images=len({row.image for row in rows}),
        digest=digest,
        is_release=digest == RELEASE_DIGEST,
    )


def _what(folder: Path, path: str) -> str:
    import pyarrow.parquet as pq

    if path in _TEXTS:
        return _TEXTS[path]
    metadata = pq.read_metadata(folder / path)
    return (
        f"{amount(metadata.num_rows, 'row')} in {amount(metadata.num_row_groups, 'row group')}, "
        f"{_FOLDERS[path.split('/')[0]]}"
    )
