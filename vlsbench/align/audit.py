"""What the texts of training rows give away, and which rows are VLSBench's: asked before anything is trained."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from vlsbench.align.rows import TrainingData
from vlsbench.dataset.index import load_index
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES
from vlsbench.errors import DataError, amount, numbered
from vlsbench.files import read_regular, sha256_hex
from vlsbench.records import Record

__all__ = ["DataAudit", "audit_rows", "benchmark_images", "contaminated", "refuse_contaminated", "render_audit"]

_IMAGES: Final = ("*.png", "*.jpg", "*.jpeg", "*.webp")


class DataAudit(Record):
    """What `vlsbench leakage` finds in the texts, as far as it could be measured."""

    auc: dict[str, float] | None
    """Of harmful against benign rows by text alone: value, low, high. None where it was not measured."""
    cue: str | None
    """The cheapest rule on the text that tells them apart; None where there is none."""
    cue_accuracy: float | None
    majority: float | None
    """Accuracy of the commoner kind."""
    points_at_image: float | None
    """Share of texts that point at an image."""
    notes: tuple[str, ...] = ()


def audit_rows(data: TrainingData, *, seed: int = 0) -> DataAudit:
    """Audit the prompts, with `kind` as the label; what cannot be measured is said, never left out."""
    import pandas as pd

    from vlsbench.leakage.audit import run_audit
    from vlsbench.leakage.columns import ColumnChoice

    has_kind = any(row.kind is not None for row in data.rows)
    table = pd.DataFrame(
        {
            "id": [row.id for row in data.rows],
            "text": [row.prompt for row in data.rows],
            "image": [row.image for row in data.rows],
            "label": [row.kind for row in data.rows],
        }
    )
    choice = ColumnChoice("text", "image", "label" if has_kind else "none", None, None)
    try:
        report = run_audit(table, choice, seed=seed).report
    except DataError as error:
        return DataAudit(
            auc=None, cue=None, cue_accuracy=None, majority=None, points_at_image=None, notes=(str(error),)
        )
    best = report.cues[0] if report.cues else None
    told = next((one for one in report.predictability if one.target == "harm"), None)
    pointing = report.image_need.points_at_image
    return DataAudit(
        auc=None if told is None or told.auc is None else _interval(told.auc),
        cue=None if best is None else best.name,
        cue_accuracy=None if best is None else best.accuracy.value,
        majority=None if best is None else best.majority,
        points_at_image=None if pointing is None else pointing.value,
        notes=report.notes,
    )


def _interval(measure: Any) -> dict[str, float]:
    return {"value": measure.value, "low": measure.low, "high": measure.high}


def render_audit(audit: DataAudit) -> str:
    """Say what was found in a sentence or two."""
    if audit.cue is None or audit.cue_accuracy is None or audit.majority is None:
        found = "audit: no cue was measured"
    else:
        found = (
            f"audit: the cheapest cue, {audit.cue}, tells harmful from benign prompts in {audit.cue_accuracy:.1%} of "
            f"rows (always the commoner kind: {audit.majority:.1%})"
        )
    if audit.auc is not None:
        found += f"; text alone has AUC {audit.auc['value']:.3f} ({audit.auc['low']:.3f} to {audit.auc['high']:.3f})"
    return "\n".join((found, *audit.notes))


@functools.cache
def benchmark_images(folder: Path | None = None) -> dict[str, str]:
    """Return digests of VLSBench's images → what they are: the packaged sample's, and a release's where one is at hand.

    Args:
        folder: Of the release, or a built one: every image in it counts.
    """
    import pyarrow.parquet as parquet

    found = {}
    for path in sorted((resources.files("vlsbench.dataset") / "sample").iterdir(), key=str):
        for image in parquet.read_table(str(path), columns=["image"])["image"].to_pylist():
            found[sha256_hex(image["bytes"])] = "an image of the sample"
    if folder is not None:
        for path in sorted(path for pattern in _IMAGES for path in folder.rglob(pattern)):
            found[sha256_hex(read_regular(path, max_bytes=MAX_IMAGE_BYTES))] = f"image {path.name} of the release"
    return found


def contaminated(data: TrainingData, images: Mapping[str, str]) -> dict[str, str]:
    """Return the rows that are VLSBench's by id → why: an instruction of the release or the sample, or an image."""
    instructions = {
        row.instruction_sha256: f"instruction {row.instruction_id}"
        for name in ("release", "sample")
        for row in load_index(name).rows
    }
    found = {}
    for row, digest in zip(data.rows, data.digests, strict=True):
        same = {sha256_hex(text) for text in (row.prompt, row.prompt.strip())} & instructions.keys()
        if same:
            found[row.id] = instructions[min(same)]
        elif digest.image in images:
            found[row.id] = images[digest.image]
    return found


def refuse_contaminated(data: TrainingData, found: Mapping[str, str], *, is_allowed: bool) -> None:
    """Refuse rows that are VLSBench's.

    Raises:
        DataError: If there are any and they were not allowed.
    """
    if found and not is_allowed:
        named = numbered([f"row {row} ({why})" for row, why in found.items()], limit=5)
        raise DataError(
            f"{data.name}: {amount(len(found), 'row is', 'rows are')} VLSBench's: {named}. A model trained on them "
            "cannot be measured on it; leave them out, or train with --allow-contaminated, which its card then says."
        )
