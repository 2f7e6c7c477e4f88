"""Rows that are trained on: read from JSON Lines, checked, and told apart by digests.

A row's digest covers its canonical JSON and its image's bytes, so the digest of the data is the same on every machine,
and a changed byte is found in the row it is in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from vlsbench.align.recipes import Objective, Recipe
from vlsbench.dataset.layout import places_of_images
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, image_problem
from vlsbench.errors import DataError, amount, bounded, plural
from vlsbench.files import canonical_json, read_lines, read_regular, sha256_hex
from vlsbench.records import Record, explain

__all__ = ["RowDigest", "TrainingData", "TrainingRow", "digest_rows", "read_rows", "row_problems"]

_SHOWN: Final = 5
"""Rows that are named where many have one problem."""

Text = Annotated[str, Field(min_length=1, max_length=200_000)]


class TrainingRow(Record):
    """One line of a training file."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    """What it is called; the number of its line where the file does not say."""
    prompt: Text
    image: Annotated[str, Field(min_length=1)] | None = None
    """Path relative to the file's folder; None: text only."""
    response: Text | None = None
    """What should be said. A file may call it `chosen`."""
    rejected: Text | None = None
    """What should not be said."""
    kind: Literal["harmful", "benign"] | None = None
    """Whether the pair asks for harm."""

    @model_validator(mode="before")
    @classmethod
    def _chosen_is_response(cls, said: Any) -> Any:
        if isinstance(said, dict) and "chosen" in said and "response" not in said:
            return {("response" if name == "chosen" else name): value for name, value in said.items()}
        return said


class RowDigest(NamedTuple):
    """What a row is made of."""

    id: str
    row: str
    """SHA-256 of its canonical JSON."""
    image: str
    """SHA-256 of its image's bytes; empty where it has none."""


@dataclass(frozen=True)
class TrainingData:
    """Rows and the folder that their images are in."""

    rows: tuple[TrainingRow, ...]
    folder: Path = field(default_factory=Path)
    name: str = "rows"

    def image_path(self, row: TrainingRow) -> Path | None:
        """Return where a row's image is: in the folder or, of a snapshot in the Hub's cache, among its blobs."""
        if row.image is None:
            return None
        path = (self.folder / row.image).resolve()
        if not any(path.is_relative_to(place) for place in places_of_images(self.folder)):
            raise DataError(
                f"{self.name}: row {row.id}: the image {row.image!r} is outside {self.folder}; put it inside."
            )
        return path

    def without_images(self) -> TrainingData:
        """Return the same rows as texts alone."""
        return TrainingData(tuple(row.model_copy(update={"image": None}) for row in self.rows), self.folder, self.name)

    @cached_property
    def digests(self) -> tuple[RowDigest, ...]:
        """Digests by row, in order; images are read once each.

        Raises:
            DataError: If images cannot be read.
        """
        images: dict[str, str] = {"": ""}
        problems = []
        for row in self.rows:
            if row.image is not None and row.image not in images:
                try:
                    images[row.image] = sha256_hex(read_regular(self._existing(row), max_bytes=MAX_IMAGE_BYTES))
                except OSError as error:
                    problems.append(f"row {row.id}: image {row.image!r}: {error.strerror}")
        if problems:
            raise DataError(f"{self.name}: {bounded(problems, limit=_SHOWN)}. Images stand in {self.folder}.")
        return tuple(
            RowDigest(row.id, sha256_hex(canonical_json(row.model_dump(mode="json"))), images[row.image or ""])
            for row in self.rows
        )

    def _existing(self, row: TrainingRow) -> Path:
        path = self.image_path(row)
        assert path is not None  # noqa: S101  # asked only of rows with an image
        return path

    @property
    def digest(self) -> str:
        """SHA-256 over all rows, in order."""
        return digest_rows(self.digests)


def digest_rows(digests: Sequence[RowDigest]) -> str:
    """Return the SHA-256 over rows, in order."""
    return sha256_hex("".join(f"{d.id}\t{d.row}\t{d.image}\n" for d in digests))


def read_rows(path: Path) -> TrainingData:
    """Read a training file; images are not opened.

    Raises:
        DataError: If it cannot be read or lines are broken; all of them are counted.
    """
    rows: list[TrainingRow] = []
    problems: list[str] = []
    try:
        for line in read_lines(path):
            try:
                said = json.loads(line.data)
                if isinstance(said, dict):
                    said = {"id": str(line.number), **said}
                    if isinstance(said["id"], int):
                        said["id"] = str(said["id"])
                rows.append(TrainingRow.model_validate(said))
            except ValidationError as error:
                problems.append(f"line {line.number}: {'; '.join(explain(error))}")
            except ValueError as error:
                problems.append(f"line {line.number}: no JSON ({error})")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; --data is a file of JSON Lines.") from None
    problems += [f"id {name!r} stands there {n} times" for name, n in Counter(r.id for r in rows).items() if n > 1]
    if problems:
        raise DataError(f"{path}: {bounded(problems, limit=_SHOWN)}.")
    if not rows:
        raise DataError(f"{path}: no rows.")
    return TrainingData(tuple(rows), path.parent, path.name)


def row_problems(data: TrainingData, recipe: Recipe) -> list[str]:
    """Name every reason why these rows do not fit a method; images are decoded where they will be shown."""
    how = recipe.how
    problems = []
    for rule, holds in _needs(how.objective):
        lacking = [row.id for row in data.rows if not holds(row)]
        if lacking:
            mixed = "" if len(lacking) == len(data.rows) else f", the other {len(data.rows) - len(lacking):,} do"
            problems.append(f"{recipe.method} {rule}: {_named(lacking)} not{mixed}")
    if how.objective in ("unlearning", "safe-unlearning"):
        kinds = {row.kind for row in data.rows}
        problems += [
            f"{recipe.method} takes harmful and benign rows: there are no {k} ones"
            for k in ("harmful", "benign")
            if k not in kinds
        ]
    if how.is_multimodal:
        with_image = [row for row in data.rows if row.image is not None]
        if not with_image:
            problems.append(f"{recipe.method} is shown images, and no row has one")
        problems += _image_problems(data, with_image)
    return problems


def _needs(objective: Objective) -> list[tuple[str, Callable[[TrainingRow], bool]]]:
    """Return what an objective takes of a row: the rule, and whether it holds."""
    if objective == "sft":
        return [("takes rows with a response", lambda row: row.response is not None)]
    if objective == "dpo":
        return [
            ("takes pairs, response (or chosen) and rejected", lambda row: None not in (row.response, row.rejected))
        ]
    if objective == "rl":
        return []
    return [
        ("takes rows with a kind, harmful or benign", lambda row: row.kind is not None),
        ("takes rows with a response", lambda row: row.response is not None),
        ("takes rejected on harmful rows", lambda row: row.kind != "harmful" or row.rejected is not None),
    ]


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:_SHOWN])
    more = ", …" if len(ids) > _SHOWN else ""
    return f"{amount(len(ids), 'row')} ({shown}{more}) {plural(len(ids), 'does', 'do')}"


def _image_problems(data: TrainingData, rows: Sequence[TrainingRow]) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    for row in rows:
        if row.image is None or row.image in seen:
            continue
        seen.add(row.image)
        try:
            path = data.image_path(row)
            assert path is not None  # noqa: S101
            wrong = image_problem(read_regular(path, max_bytes=MAX_IMAGE_BYTES))
        except OSError as error:
            wrong = error.strerror
        except DataError as error:
            wrong = str(error)
        if wrong is not None:
            problems.append(f"row {row.id}: image {row.image!r}: {wrong}")
    return problems
