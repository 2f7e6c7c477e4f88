"""Cells: one model made and measured, one file each. A table runs over days: what is there is not made again.

OUT/seed0/base/                    the base model of a seed
OUT/seed0/dial0.00-t-sft/          a run of `vlsbench.align.train`; `data.jsonl` and its images stand beside it
OUT/cells/seed0-dial0.00-t-sft.json   what came of it: the only file that a table is made from
OUT/runs.jsonl                     what was begun, what ended and what was broken off, in order
"""

from __future__ import annotations

import importlib.metadata
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from vlsbench.align.audit import DataAudit
from vlsbench.align.miniature.language import reward
from vlsbench.align.miniature.measure import measure_model
from vlsbench.align.miniature.model import train_base
from vlsbench.align.miniature.plan import Cell, Plan, cell_digest, cells, recipe_changes
from vlsbench.align.miniature.sets import Row, alignment_rows
from vlsbench.align.miniature.world import Scene, draw
from vlsbench.align.recipes import make_recipe
from vlsbench.align.rows import TrainingData, TrainingRow, read_rows
from vlsbench.align.training import train
from vlsbench.errors import DataError
from vlsbench.files import append_lines, read_regular, write_atomic
from vlsbench.judge.world_rule import WORLD_RULE
from vlsbench.records import Digest, Record, explain

__all__ = ["CellRecord", "cells_there", "find_cell", "run_cells", "text_weights", "write_data"]

_NAMED_ARMS: Final = ("t-sft", "t-unlearning", "t-safe-unlearning")
"""Arms whose texts all name thing and state: the paper's textual data is other data than its multimodal data."""


class CellRecord(Record):
    """What came of a cell."""

    seed: int
    dial: float
    arm: str
    digest: Digest
    """Of all that decides it; see `plan.cell_digest`."""
    recipe_sha256: Digest | None = None
    """Of the whole recipe, defaults among them; None for the base model."""
    rubric: str = WORLD_RULE
    outcomes: dict[str, str]
    """By set, a letter an item; see `measure`."""
    first_loss: float | None
    """Mean of the first tenth of the steps, and of the last."""
    last_loss: float | None
    image_effect: float | None = None
    """Of multimodal arms, after training: loss with permuted images less that with the right ones, nats a token."""
    steps: int
    cpu_seconds: Annotated[float, Field(ge=0)]
    """Of making and measuring it, all threads."""
    seconds: Annotated[float, Field(ge=0)]
    threads: int
    versions: dict[str, str]
    """Of torch, transformers and trl."""

    @property
    def cell(self) -> Cell:
        """Which cell it is."""
        return Cell(self.seed, self.dial, self.arm)


def cells_there(plan: Plan, folder: Path) -> list[CellRecord]:
    """Read the cells of a plan that are made, in the plan's order.

    Raises:
        DataError: If a file is no cell.
    """
    found = (find_cell(folder, plan, cell) for cell in cells(plan))
    return [record for record in found if record is not None]


def find_cell(folder: Path, plan: Plan, cell: Cell) -> CellRecord | None:
    """Return a cell that is made, if it is of this plan; one of other sizes or another recipe is no cell of it.

    Raises:
        DataError: If its file is no cell.
    """
    path = folder / f"{cell.name}.json"
    if not path.is_file():
        return None
    try:
        record = CellRecord.model_validate_json(read_regular(path))
    except ValidationError as error:
        raise DataError(
            f"{path}: no cell of the miniature ({'; '.join(explain(error))}); delete it to make it anew."
        ) from None
    return record if record.digest == cell_digest(plan, cell) else None


def run_cells(
    plan: Plan, todo: Sequence[Cell], out: Path, *, on_cell: Callable[[Cell, str], None] = lambda cell, how: None
) -> list[CellRecord]:
    """Make the cells that are not there yet; killed and called again, it goes on.

    Args:
        plan: Sizes.
        todo: Cells, in the order in which they are made; a seed's `base` before its arms.
        out: Folder of the table.
        on_cell: Told of each cell and how it stands: `there`, `begun`, `done`.
    """
    made = []
    for cell in todo:
        record = find_cell(out / "cells", plan, cell)
        if record is None:
            on_cell(cell, "begun")
            record = _run_logged(plan, cell, out)
            on_cell(cell, "done")
        else:
            on_cell(cell, "there")
        made.append(record)
    return made


def _run_logged(plan: Plan, cell: Cell, out: Path) -> CellRecord:
    log = out / "runs.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    _log(log, plan, cell, "begun")
    try:
        record = _make(plan, cell, out)
    except BaseException as error:
        _log(log, plan, cell, "broken off", why=f"{type(error).__name__}: {error}"[:300])
        raise
    (out / "cells").mkdir(exist_ok=True)
    write_atomic(out / "cells" / f"{cell.name}.json", record.model_dump_json(indent=1) + "\n")
    _log(log, plan, cell, "done", seconds=record.seconds)
    return record


def _log(path: Path, plan: Plan, cell: Cell, event: str, **more: object) -> None:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"when": when, "plan": plan.name, "cell": cell.name, "digest": cell_digest(plan, cell)[:12], "event": event}
    append_lines(path, [json.dumps({**line, **more})])


def _make(plan: Plan, cell: Cell, out: Path) -> CellRecord:
    import torch

    cpu, wall = time.process_time(), time.monotonic()
    base = out / f"seed{cell.seed}" / "base"
    if cell.arm == "base":
        losses: Sequence[float] = train_base(base, size=plan.base, seed=cell.seed)
        model, recipe, after = base, None, None
    else:
        if not (base / "config.json").is_file():  # its cell may come from a copy of the table, without the weights
            train_base(base, size=plan.base, seed=cell.seed)
        folder = out / f"seed{cell.seed}" / f"dial{cell.dial:.2f}-{cell.arm}"
        path, scenes = write_data(plan, cell, folder.with_name(f"{folder.name}-data"))
        data = read_rows(path)

        def pay(rows: Sequence[TrainingRow], answers: Sequence[str]) -> list[float | None]:
            return [reward(answer, scenes[row.id]) for row, answer in zip(rows, answers, strict=True)]

        recipe = make_recipe(cell.arm, **recipe_changes(cell.arm, cell.seed))
        run = train(
            recipe,
            base,
            data,
            folder,
            audit=_known(data),
            reward=pay if cell.arm == "mm-rl" else None,
            reward_name=WORLD_RULE if cell.arm == "mm-rl" else None,
            weights=text_weights(data, cell.seed) if cell.arm == "mm-sft-clean" else None,
        )
        losses, model, after = run.losses, run.model, run.capsule.shuffle_after
    outcomes = measure_model(model, plan, cell.seed)
    tenth = max(1, len(losses) // 10)
    return CellRecord(
        seed=cell.seed,
        dial=cell.dial,
        arm=cell.arm,
        digest=cell_digest(plan, cell),
        recipe_sha256=None if recipe is None else recipe.digest,
        outcomes=outcomes,
        first_loss=sum(losses[:tenth]) / tenth if losses else None,
        last_loss=sum(losses[-tenth:]) / tenth if losses else None,
        image_effect=None if after is None else round(after.difference, 6),
        steps=len(losses),
        cpu_seconds=round(time.process_time() - cpu, 1),
        seconds=round(time.monotonic() - wall, 1),
        threads=torch.get_num_threads(),
        versions={name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl")},
    )


def write_data(plan: Plan, cell: Cell, folder: Path) -> tuple[Path, dict[str, Scene]]:
    """Write the training file of a cell and its images: what a user would give to `vlsbench align`.

    Returns:
        The file, and the scenes by row id.
    """
    seed = f"data {cell.seed} {cell.dial}"
    rows = alignment_rows(
        plan.n_risky,
        plan.n_benign,
        random.Random(seed),  # noqa: S311  # drawn rows hide nothing
        dial=cell.dial,
        named_share=1.0 if cell.arm in _NAMED_ARMS else plan.named_share,
    )
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for scene in {row.scene.key: row.scene for row in rows}.values():
        path = folder / "images" / f"{scene.key}.png"
        if not path.exists():
            draw(scene).save(path)
    lines = [json.dumps(_line(number, row)) for number, row in enumerate(rows)]
    write_atomic(folder / "data.jsonl", "\n".join(lines) + "\n")
    return folder / "data.jsonl", {str(number): row.scene for number, row in enumerate(rows)}


def _known(data: TrainingData) -> DataAudit:
    """Say what the texts give away: the world is ours, so its one cue is counted and nothing has to be looked for."""
    is_told = [(row.kind == "benign") == row.prompt.endswith("?") for row in data.rows]
    harmful = sum(row.kind == "harmful" for row in data.rows) / len(data.rows)
    return DataAudit(
        auc=None,
        cue="final question mark: benign",
        cue_accuracy=sum(is_told) / len(is_told),
        majority=max(harmful, 1 - harmful),
        points_at_image=None,
        notes=("rows of the drawn world; texts that name thing and state give their kind away by design",),
    )


def text_weights(data: TrainingData, seed: int) -> dict[str, float]:
    """Weigh rows so that text tells less of their kind, as `vlsbench leakage --reweight` does.

    That command takes all texts of one template as one group and holds out whole groups; here every text is of one of
    two templates, and nothing could be held out. Groups are therefore images.

    Returns:
        Weight by row id; a row of weight 0 is left out.

    Raises:
        DataError: If there is nothing to weigh.
    """
    import numpy as np

    from vlsbench.leakage.features import TextFeatures
    from vlsbench.leakage.predictability import make_task
    from vlsbench.leakage.reweight import reweight

    images = {row.image: number for number, row in enumerate(data.rows)}
    task = make_task("kind", [row.kind for row in data.rows], np.array([images[row.image] for row in data.rows]))
    if isinstance(task, str):
        raise DataError(f"{data.name}: {task}")
    features = TextFeatures([row.prompt for row in data.rows])
    found = reweight(task, features, features.sketch(seed), seed=seed).weights
    return {row.id: float(weight) for row, weight in zip(data.rows, found, strict=True) if weight > 0}


def _line(number: int, row: Row) -> dict[str, Any]:
    return {
        "id": str(number),
        "prompt": row.text,
        "image": f"images/{row.scene.key}.png",
        "response": row.good,
        "rejected": row.bad,
        "kind": "harmful" if row.scene.is_risky else "benign",
    }
