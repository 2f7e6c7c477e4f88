"""Ids and weights on disk: `OUT.csv` with the columns `id,weight`, and `OUT.json` beside it, which says how they came.

An id that is absent weighs 0; weights have mean 1. No sentence is in either file. Nothing heavy is imported: whoever
trains on weights or scores with them reads them here.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from vlsbench.errors import DataError, UsageError, amount
from vlsbench.files import StrPath, read_regular, sha256_hex, write_atomic
from vlsbench.leakage.records import WeightsCard

__all__ = ["Weights", "card_path", "check_files", "check_out", "read_weights", "render_csv", "write_weights"]

_HEAD = ["id", "weight"]
_MAX_BYTES = 64 << 20
"""Longest file read: a million rows are about 20 MB."""
_MOST: Final = 1_000_000
"""Heaviest row: weights have mean 1, so one row of a million may weigh all there is."""
_SHOWN: Final = 20
"""Bad rows that are named one by one."""


class Weights(NamedTuple):
    """Weights and how they came about."""

    card: WeightsCard
    by_id: dict[str, float]
    """Row id → weight, above 0."""


def card_path(path: Path) -> Path:
    """Return where the card of a weights file is.

    >>> card_path(Path("made/core.csv")).as_posix()
    'made/core.json'
    """
    return path.with_suffix(".json")


def check_out(path: Path) -> None:
    """Refuse a name that cannot hold weights, before anything is computed.

    Raises:
        UsageError: If it does not end in `.csv`.
    """
    if path.suffix != ".csv":
        raise UsageError(
            f"{path}: weights are written as CSV, their card as .json beside it; name a file that ends in .csv."
        )


def check_files(read: Sequence[Path], written: Sequence[Path]) -> None:
    """Refuse a run that would write over what it reads, or one file twice, before anything is computed.

    Raises:
        UsageError: If a file to be written is one that is read, or stands there twice.
    """
    taken = {path.resolve() for path in read}
    for path in written:
        if path.resolve() in taken:
            raise UsageError(f"{path} would be written over, and this run reads it or writes it already; name another.")
        taken.add(path.resolve())


def render_csv(by_id: Mapping[str, float]) -> str:
    """Render the file, rows in the order given."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEAD)
    writer.writerows((name, f"{weight:.6g}") for name, weight in by_id.items())
    return out.getvalue()


def write_weights(path: Path, weights: Weights) -> None:
    """Write both files; the card last, so that a card never describes weights that are not there."""
    write_atomic(path, render_csv(weights.by_id))
    write_atomic(card_path(path), weights.card.model_dump_json(indent=2) + "\n")


def read_weights(path: StrPath) -> Weights:
    """Read weights and their card.

    Raises:
        DataError: If either file is absent or broken, or they do not belong together; bad rows are named.
    """
    place = Path(path)
    raw, described = _bytes(place), _bytes(card_path(place))
    try:
        card = WeightsCard.model_validate_json(described)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{card_path(place)}: not the card of a weights file ({where}: {first['msg']}).") from None
    if card.weights_sha256 != sha256_hex(raw):
        raise DataError(f"{place}: {card_path(place).name} beside it describes other weights; take both from one run.")
    by_id, problems = _rows(place, raw)
    if problems:
        rest = len(problems) - _SHOWN
        more = [f"and {amount(rest, 'more row')} like it"] if rest > 0 else []
        raise DataError("\n".join([*problems[:_SHOWN], *more]))
    if len(by_id) != card.n:
        raise DataError(f"{place}: the card says {amount(card.n, 'row')}, here are {len(by_id):,}.")
    return Weights(card, by_id)


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; weights are OUT.csv with OUT.json beside it.") from None


def _rows(path: Path, raw: bytes) -> tuple[dict[str, float], list[str]]:
    try:
        rows = list(csv.reader(io.StringIO(raw.decode("utf-8", errors="replace"))))
    except csv.Error as error:
        return {}, [f"{path}: not a table of ids and weights ({error})."]
    if not rows or rows[0] != _HEAD:
        return {}, [f"{path}:1: the columns are id,weight; found {','.join(rows[0]) if rows else 'nothing'!r}."]
    found: dict[str, float] = {}
    problems = []
    for number, row in enumerate(rows[1:], start=2):
        weight = _number(row[1]) if len(row) == 2 else math.nan
        if not 0 < weight <= _MOST:
            found_there = ",".join(row)[:80]
            problems.append(
                f"{path}:{number}: a row is an id and a weight above 0; found {found_there!r} (at most {_MOST:,})."
            )
        elif row[0] in found:
            problems.append(f"{path}:{number}: id {row[0]!r} stands there twice; keep one.")
        else:
            found[row[0]] = weight
    return found, problems


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
