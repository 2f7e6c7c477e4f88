"""Which samples exist: ids, categories, image numbers and digests of the texts, without a sentence or an image.

Checking, scoring and the board need nothing else, so they run without the harmful content. `release_index.csv` was
made from the official `data.json` by `vlsbench data index` and is tied to it by `RELEASE_DIGEST`; `sample_index.csv`
is written by `scripts/make_sample.py`.

Rule of the room: no network; nothing here imports `datasets`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Literal, NamedTuple

from vlsbench.errors import DataError
from vlsbench.files import sha256_hex
from vlsbench.taxonomy import CATEGORIES, category_of_config

__all__ = [
    "FIRST_SAMPLE_ID",
    "HUB_REPOSITORY",
    "RELEASE_DIGEST",
    "RELEASE_REVISION",
    "Index",
    "IndexRow",
    "digest_of",
    "index_of_records",
    "load_index",
    "render_index",
]

HUB_REPOSITORY = "Foreshhh/vlsbench"
"""Where the authors publish the release."""

RELEASE_REVISION = "b56f6f6aad102fdb53f46e35fec96836bbe13001"
"""The pinned revision of `HUB_REPOSITORY`."""

RELEASE_DIGEST = "71766eb10738fec754b426eea76d6c47b956da1f7f4d114ff583925636a0b3f2"
"""Digest of the 2,241 rows of the release, recorded when the index was made."""

FIRST_SAMPLE_ID = 100_000
"""Ids below it are the release's (0…2240), ids from it on are the package's own sample's."""

_COLUMNS = ("instruction_id", "category", "sub_category", "source", "image", "instruction_sha256")


class IndexRow(NamedTuple):
    """One sample."""

    instruction_id: int
    category: str
    sub_category: str
    source: str
    image: int
    """Number of the image; samples that share it are one cluster."""
    instruction_sha256: str
    risk: Literal["risky", "benign"] = "risky"
    """Benign twins never enter N."""
    twin_id: int | None = None


def digest_of(rows: Iterable[IndexRow]) -> str:
    """Digest a set of samples: SHA-256 over its sorted lines `id, image, sha256(instruction)`.

    Images are not covered: a release with other pixels under the same numbers has the same digest.
    """
    lines = sorted(f"{row.instruction_id}, {row.image}, {row.instruction_sha256}" for row in rows)
    return sha256_hex("".join(f"{line}\n" for line in lines))


@dataclass(frozen=True)
class Index:
    """The samples of one dataset config, in file order."""

    name: Literal["release", "sample"]
    config: str
    revision: str
    rows: tuple[IndexRow, ...]

    @cached_property
    def by_id(self) -> Mapping[int, IndexRow]:
        """Every row, benign twins too, by its `instruction_id`."""
        return {row.instruction_id: row for row in self.rows}

    @cached_property
    def risky(self) -> tuple[IndexRow, ...]:
        """The samples that enter N."""
        return tuple(row for row in self.rows if row.risk == "risky")

    @cached_property
    def digest(self) -> str:
        """Digest of the samples that enter N, so that twins do not split a list."""
        return digest_of(self.risky)

    @property
    def ids(self) -> str:
        """The ids, for a message.

        >>> load_index("release").ids
        '0..2240'
        """
        numbers = [row.instruction_id for row in self.rows]
        return f"{min(numbers)}..{max(numbers)}"

    def select(self, config: str) -> Index:
        """Return the part that a config holds.

        Raises:
            DataError: If this dataset has no such config.
        """
        if config == self.config:
            return self
        rows: Sequence[IndexRow]
        category = category_of_config(config)
        if self.name == "sample" and config == "sample":
            rows = self.risky
        elif self.name == "release" and category is not None:
            rows = [row for row in self.rows if row.category == category.name]
        else:
            known = ", ".join(_configs(self.name))
            raise DataError(f"the {self.name} has no config {config!r}; its configs are {known}.")
        return Index(self.name, config, self.revision, tuple(rows))


def _configs(name: str) -> tuple[str, ...]:
    if name == "sample":
        return ("sample", "twins")
    return ("default", *(category.config for category in CATEGORIES))


@lru_cache(maxsize=2)
def load_index(name: Literal["release", "sample"]) -> Index:
    """Read a packaged index: the release's config `default`, or the sample's config `twins` (risky and benign)."""
    text = resources.files("vlsbench.dataset").joinpath(f"{name}_index.csv").read_text(encoding="utf-8")
    rows = []
    for row in csv.reader(io.StringIO(text)):
        if row[0] == "instruction_id":
            continue
        number, category, sub_category, source, image, digest, *twin = row
        rows.append(
            IndexRow(int(number), category, sub_category, source, int(image), digest, *_twin(twin)),
        )
    if name == "release":
        return Index("release", "default", RELEASE_REVISION, tuple(rows))
    return Index("sample", "twins", f"sample-{sha256_hex(text)[:12]}", tuple(rows))


def _twin(fields: list[str]) -> tuple[Literal["risky", "benign"], int | None]:
    if not fields:
        return "risky", None
    return ("benign" if fields[0] == "benign" else "risky"), int(fields[1])


def index_of_records(records: Iterable[Mapping[str, object]]) -> list[IndexRow]:
    """Make index rows of the records of an official `data.json`.

    Args:
        records: Objects with the keys of the release; `image_path` is `imgs/<number>.png`.
    """
    rows = []
    for record in records:
        path = str(record["image_path"])
        rows.append(
            IndexRow(
                int(str(record["instruction_id"])),
                str(record["category"]),
                str(record["sub_category"]),
                str(record["source"]),
                int(path.rsplit("/", 1)[-1].split(".", 1)[0]),
                sha256_hex(str(record["instruction"])),
            )
        )
    return rows


def render_index(rows: Iterable[IndexRow]) -> str:
    """Render the rows of a release as the CSV that `load_index` reads."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(row[: len(_COLUMNS)] for row in rows)
    return out.getvalue()
