"""Training sets in their published formats → rows, and the paper's selection of them.

    vlguard          train.json beside train/: id, image, safe, instr-resp (huggingface.co/datasets/ys-zong/VLGuard)
    spa-vl           JSON, JSONL or Parquet: question, chosen, rejected, image (huggingface.co/datasets/sqrti/SPA-VL)
    pku-saferlhf     JSONL or Parquet: prompt, response_0, response_1, is_response_i_safe, safer_response_id, …
                     (huggingface.co/datasets/PKU-Alignment/PKU-SafeRLHF); answers count from 0
    beavertails-v    JSONL or Parquet: question, image, response_1, response_2, safer_response_id, …
                     (huggingface.co/datasets/PKU-Alignment/BeaverTails-V); answers count from 1

The safer answer is the one that is wanted: `better_response_id` of PKU-SafeRLHF and `more_helpful_response_id` say
which is more helpful, not which is safe. Nothing is downloaded here: several of these sets are behind a form.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from vlsbench.align.rows import TrainingData, TrainingRow, read_rows
from vlsbench.errors import DataError, UsageError, bounded, numbered
from vlsbench.files import sha256_hex, write_atomic

__all__ = ["FORMATS", "Format", "Opened", "open_data", "select_rows"]


class Format(NamedTuple):
    """A published format."""

    name: str
    where: str
    """What to download, and from where."""
    read: Callable[[list[Any], Path, _Pictures], Iterator[TrainingRow]]
    n_harmful: int | None
    """The paper's selection; None takes all."""
    n_benign: int | None


class Opened(NamedTuple):
    """Rows, and what a reader of them should know."""

    data: TrainingData
    notes: tuple[str, ...]


class _Pictures:
    """Where images are: beside the file, or written out of a Parquet file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, image: object) -> str | None:
        """Return the path of an image: a path as it is, embedded bytes under their digest."""
        if isinstance(image, Mapping) and isinstance(image.get("bytes"), bytes):
            name = f"{sha256_hex(image['bytes'])[:32]}.img"
            if not (self.folder / name).exists():
                write_atomic(self.folder / name, image["bytes"])
            return name
        if isinstance(image, Mapping):
            image = image.get("path")
        return image if isinstance(image, str) and image else None


def open_data(
    spec: str,
    pictures: Path,
    *,
    harmful: int | None = None,
    benign: int | None = None,
    seed: int = 0,
) -> Opened:
    """Open `FILE`, our own format, or `FORMAT:PATH`, a published one, with the paper's selection unless told.

    Args:
        spec: Of `--data`.
        pictures: Folder that images out of a Parquet file are written into.
        harmful: Harmful rows that are taken; None is the paper's number of that format, else all.
        benign: The same of benign rows.
        seed: Of the selection.

    Raises:
        DataError: If the file is not there (the sentence says what to download, and from where) or broken.
        UsageError: If there is no such format.
    """
    name, sign, place = spec.partition(":")
    if not sign or Path(spec).exists():
        return _selected(read_rows(Path(spec)), harmful, benign, seed)
    if name not in FORMATS:
        raise UsageError(f"{spec}: {name!r} is no format of training sets; there are {numbered(list(FORMATS))}.")
    form, path = FORMATS[name], Path(place)
    if path.is_dir():
        path = _only_file(path, form)
    if not path.is_file():
        raise DataError(f"{path}: not there. {form.where}")
    records = _records(path)
    is_embedded = path.suffix == ".parquet"
    source = _Pictures(pictures if is_embedded else path.parent)
    try:
        rows = tuple(form.read(records, path, source))
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not {name} as it is published: {error} of a row is missing or of another kind."
        ) from None
    if not rows:
        raise DataError(f"{path}: no row of {name} can be used.")
    n_harmful = form.n_harmful if harmful is None else harmful
    n_benign = form.n_benign if benign is None else benign
    left = len(records) - len({row.id.split("#")[0] for row in rows})
    notes = (f"{left:,} records have no answer that can be wanted, and are left out.",) if left > 0 else ()
    opened = _selected(TrainingData(rows, source.folder, path.name), n_harmful, n_benign, seed)
    return Opened(opened.data, notes + opened.notes)


def select_rows(data: TrainingData, *, harmful: int | None, benign: int | None, seed: int) -> TrainingData:
    """Draw so many rows of each kind without replacement, and keep their order; None takes all of a kind."""
    taken: set[str] = {row.id for row in data.rows if row.kind is None}
    for kind, n in (("harmful", harmful), ("benign", benign)):
        ids = [row.id for row in data.rows if row.kind == kind]
        drawn = random.Random(f"{kind} {seed}")  # noqa: S311  # seeded, nothing is hidden by it
        taken |= set(ids if n is None or n >= len(ids) else drawn.sample(ids, n))
    return TrainingData(tuple(row for row in data.rows if row.id in taken), data.folder, data.name)


def _selected(data: TrainingData, harmful: int | None, benign: int | None, seed: int) -> Opened:
    notes = []
    for kind, n in (("harmful", harmful), ("benign", benign)):
        there = sum(row.kind == kind for row in data.rows)
        if n is not None and there < n:
            notes.append(f"{n:,} {kind} rows were asked for, and there are {there:,}: all are taken.")
    return Opened(select_rows(data, harmful=harmful, benign=benign, seed=seed), tuple(notes))


def _only_file(folder: Path, form: Format) -> Path:
    found = sorted(p for s in ("train*.json", "train*.jsonl", "*.jsonl", "*.parquet", "*.json") for p in folder.glob(s))
    if not found:
        raise DataError(f"{folder}: holds no file of {form.name}. {form.where}")
    return found[0]


def _records(path: Path) -> list[Any]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as parquet

        rows: list[Any] = parquet.read_table(path).to_pylist()
        return rows
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".json":
            said = json.loads(text)
            return said if isinstance(said, list) else [said]
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise DataError(f"{path}: no JSON ({error}).") from None


def _vlguard(records: Iterable[Any], path: Path, pictures: _Pictures) -> Iterator[TrainingRow]:
    """Read a record as one row for each of its instructions: of an unsafe image all ask for harm."""
    folder = "train" if (path.parent / "train").is_dir() else ""
    for record in records:
        image = "/".join(filter(None, (folder, str(record["image"]))))
        for number, pair in enumerate(record["instr-resp"]):
            key = next(k for k in ("instruction", "safe_instruction", "unsafe_instruction") if k in pair)
            kind = "benign" if key == "safe_instruction" else "harmful"
            yield _row(f"{record['id']}#{number}", pair[key], image, pair["response"], None, kind)


def _spa_vl(records: Iterable[Any], path: Path, pictures: _Pictures) -> Iterator[TrainingRow]:
    for number, record in enumerate(records):
        image = pictures.path_of(record.get("image"))
        yield _row(str(number), record["question"], image, record["chosen"], record["rejected"], None)


def _pku(records: Iterable[Any], path: Path, pictures: _Pictures) -> Iterator[TrainingRow]:
    return _paired(records, path, pictures, prompt="prompt", helpful="better_response_id", first=0)


def _beavertails_v(records: Iterable[Any], path: Path, pictures: _Pictures) -> Iterator[TrainingRow]:
    return _paired(records, path, pictures, prompt="question", helpful="more_helpful_response_id", first=1)


def _paired(
    records: Iterable[Any], path: Path, pictures: _Pictures, *, prompt: str, helpful: str, first: int
) -> Iterator[TrainingRow]:
    """Read two answers: harmful where one is unsafe (and one is safe), benign where both are safe.

    Raises:
        DataError: If an index is none of the format's: the two of these formats count from 0 and from 1.
    """
    ids = (first, first + 1)
    problems: list[str] = []
    seen: set[tuple[str, str | None]] = set()
    for number, record in enumerate(records):
        safer, better = record["safer_response_id"], record[helpful]
        if safer not in ids or better not in ids:
            problems.append(f"record {number}: safer_response_id {safer!r}, {helpful} {better!r}")
            continue
        other = ids[0] + ids[1] - safer
        is_safe = {i: _flag(record[f"is_response_{i}_safe"]) for i in ids}
        image = pictures.path_of(record.get("image"))
        key = (record[prompt], image)
        if key in seen or not is_safe[safer]:
            continue  # no answer that is wanted
        seen.add(key)
        if is_safe[other]:
            yield _row(str(number), record[prompt], image, record[f"response_{better}"], None, "benign")
        else:
            said = (record[f"response_{safer}"], record[f"response_{other}"])
            yield _row(str(number), record[prompt], image, *said, "harmful")
    if problems:
        raise DataError(f"{path}: answers of this format count from {first}: {bounded(problems, limit=3)}.")


def _flag(value: object) -> bool:
    """Read a flag as the sets write it: a boolean, or yes and no."""
    return value.strip().lower() in ("yes", "true") if isinstance(value, str) else bool(value)


def _row(
    name: str, prompt: str, image: str | None, response: str, rejected: str | None, kind: str | None
) -> TrainingRow:
    return TrainingRow.model_validate(
        {"id": name, "prompt": prompt, "image": image, "response": response, "rejected": rejected, "kind": kind}
    )


_DOWNLOAD: Final = "Download it with `hf download --repo-type dataset {0}`; {1}"

FORMATS: Final[dict[str, Format]] = {
    form.name: form
    for form in (
        Format(
            "vlguard",
            _DOWNLOAD.format(
                "ys-zong/VLGuard", "its authors ask for a form first. Unpack train.zip beside train.json."
            ),
            _vlguard,
            2000,
            1000,
        ),
        Format("spa-vl", _DOWNLOAD.format("sqrti/SPA-VL", "the paper used 30,000 pairs."), _spa_vl, None, None),
        Format(
            "pku-saferlhf",
            _DOWNLOAD.format("PKU-Alignment/PKU-SafeRLHF", "its safe answers stand for those the paper had generated."),
            _pku,
            2000,
            1000,
        ),
        Format(
            "beavertails-v",
            _DOWNLOAD.format("PKU-Alignment/BeaverTails-V", "its images are inside."),
            _beavertails_v,
            2000,
            1000,
        ),
    )
}
"""By name."""
