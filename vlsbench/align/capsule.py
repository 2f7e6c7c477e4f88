"""What a run was made of and what came of it, on disk: `capsule.json`, with `rows.csv` beside it.

    capsule.json    recipe, digests of rows and weights, audit, shuffle tests, losses, versions
    rows.csv        id, SHA-256 of the row, SHA-256 of its image: in the order of the run, the draw included

Digests of rows are the same on every machine; digests of weights on the same machine, threads and versions.
"""

from __future__ import annotations

import csv
import io
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from vlsbench.align.audit import DataAudit, render_audit
from vlsbench.align.recipes import Recipe
from vlsbench.align.rows import RowDigest
from vlsbench.align.shuffle import Shuffled
from vlsbench.errors import DataError, amount
from vlsbench.files import read_regular, write_atomic
from vlsbench.records import Record, explain

__all__ = [
    "CAPSULE",
    "Capsule",
    "Environment",
    "read_capsule",
    "read_digests",
    "render_card",
    "this_environment",
    "write_digests",
]

CAPSULE: Final = "capsule.json"
_ROWS: Final = "rows.csv"
_HEAD: Final = ["id", "row_sha256", "image_sha256"]
_PACKAGES: Final = ("vlsbench", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")
_MAX_BYTES: Final = 256 << 20

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Environment(Record):
    """Where a run ran: what two runs must share for their weights to be equal bit by bit."""

    python: str
    machine: str
    """Processor family and operating system."""
    device: str
    threads: int
    processes: int
    versions: dict[str, str]


class Capsule(Record):
    """One complete run."""

    recipe: Recipe
    recipe_sha256: Digest
    base_model: str
    """As it was named."""
    base_sha256: Digest
    """Of the weights before training."""
    data: str
    """As it was named."""
    n_rows: int
    data_sha256: Digest
    audit: DataAudit
    contaminated: dict[str, str] = Field(default_factory=dict)
    """Rows that are VLSBench's, trained on all the same → why they are."""
    weights: str | None = None
    """mm-sft-clean: SHA-256 of the weights that rows were drawn by."""
    reward: str | None = None
    """mm-rl: who rewarded, as it was named."""
    frozen: dict[str, Digest]
    """Parts that did not move → digest of their weights, the same before and after."""
    shuffle_before: Shuffled | None = None
    shuffle_after: Shuffled | None = None
    weights_sha256: Digest
    """Of the aligned model."""
    losses: tuple[float, ...]
    """By step. RL: of its objective, which begins near 0; the reward is in metrics.jsonl."""
    seconds: float
    peak_memory: int
    """Bytes: of the GPU where one was used, else of the process."""
    environment: Environment


def this_environment() -> Environment:
    """Return where this process runs."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return Environment(
        python=platform.python_version(),
        machine=f"{platform.machine()} {sys.platform}",
        device=device,
        threads=torch.get_num_threads(),
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        versions={name: _version(name) for name in _PACKAGES},
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def read_capsule(place: Path) -> Capsule:
    """Read a capsule from its file or the folder of its run.

    Raises:
        DataError: If it is not there or broken.
    """
    path = place / CAPSULE if place.is_dir() else place
    try:
        return Capsule.model_validate_json(read_regular(path))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; a complete run of `vlsbench align` has one.") from None
    except ValidationError as error:
        raise DataError(f"{path}: no capsule of this version: {'; '.join(explain(error)[:3])}.") from None


def write_digests(folder: Path, digests: Sequence[RowDigest]) -> None:
    """Write `rows.csv` of a run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEAD)
    writer.writerows(digests)
    write_atomic(folder / _ROWS, out.getvalue())


def read_digests(folder: Path) -> list[RowDigest]:
    """Read `rows.csv` of a run.

    Raises:
        DataError: If it is not there or no such table.
    """
    path = folder / _ROWS
    try:
        rows = list(csv.reader(io.StringIO(read_regular(path, max_bytes=_MAX_BYTES).decode("utf-8", "replace"))))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; it is written beside capsule.json.") from None
    if not rows or rows[0] != _HEAD or any(len(row) != len(_HEAD) for row in rows):
        raise DataError(f"{path}: not the table of a run's rows; its columns are {','.join(_HEAD)}.")
    return [RowDigest(*row) for row in rows[1:]]


def render_card(capsule: Capsule) -> str:
    """Write the card of the aligned model."""
    recipe = capsule.recipe
    how = recipe.how
    paper = f" (the paper's {how.in_paper})" if how.in_paper else ""
    lines = [
        f"# {recipe.method}{paper}",
        "",
        f"{how.says} Made by `vlsbench align`; all that decides it is in `capsule.json` of its run.",
        "",
        f"* Base model: `{Path(capsule.base_model).name}`, weights `{capsule.base_sha256[:12]}`",
        f"* Rows: {capsule.n_rows:,}, digest `{capsule.data_sha256[:12]}`",
        f"* {render_audit(capsule.audit).splitlines()[0]}",
        f"* Frozen: {', '.join(capsule.frozen) or 'nothing'}; trained: {', '.join(recipe.parts)}"
        + (f", adapters of rank {recipe.lora_rank}" if recipe.lora_rank else ""),
    ]
    if capsule.shuffle_after is not None:
        found = capsule.shuffle_after
        lines.append(
            f"* Loss with permuted images minus with right ones, after training: {found.difference:.4f} "
            f"({found.low:.4f} to {found.high:.4f}, {found.n} rows)"
        )
    if capsule.contaminated:
        n = len(capsule.contaminated)
        lines.append(f"* **Contaminated**: {amount(n, 'row is', 'rows are')} VLSBench's; never rank it on VLSBench.")
    return "\n".join(lines) + "\n"
