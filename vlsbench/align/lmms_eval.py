"""lmms-eval's results of aligned models, put beside ours: MME, MMMU and their like are not this package's business.

What is read is `DATE_results.json` of `--output_path`, as lmms-eval 0.7.3 writes it: `results[task]["metric,filter"]`
with `"metric_stderr,filter"`, `n-samples` and `model_name`, which is the folder that `--model_args pretrained=` named.
Its numbers have its own units and are shown as they are.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from vlsbench.align.parts import check_folder
from vlsbench.errors import DataError, numbered
from vlsbench.files import read_regular
from vlsbench.records import Record

__all__ = ["LmmsResults", "TaskFigure", "figures_of_runs", "lmms_command", "read_results"]

_MAX_BYTES: Final = 64 << 20
_MODELS: Final[Mapping[str, str]] = {
    "llava": "llava_hf",
    "llava_next": "llava_hf",
    "qwen2_vl": "qwen2_vl",
    "qwen2_5_vl": "qwen2_5_vl",
}
"""By `model_type` of a folder's config: what lmms-eval calls the models that it runs by transformers."""


class TaskFigure(Record):
    """One number of a task."""

    task: str
    metric: str
    value: float
    """In the task's own units: a fraction, points of 2,000, …"""
    stderr: float | None
    """As lmms-eval says, which takes samples for independent; None where it has none."""
    n: int | None
    """Samples asked."""

    @property
    def name(self) -> str:
        """Task and metric."""
        return f"{self.task} {self.metric}"


class LmmsResults(NamedTuple):
    """A results file."""

    path: Path
    model: str
    """What it is of, as lmms-eval was told."""
    figures: tuple[TaskFigure, ...]


def read_results(path: Path) -> list[LmmsResults]:
    """Read a results file, or every `*_results.json` below a folder.

    Raises:
        DataError: If there is none, or one is no results file; the sentence says what is missing.
    """
    if not path.is_dir():
        return [_read(path)]
    found = sorted(path.rglob("*_results.json"))
    if not found:
        raise DataError(f"{path}: has no *_results.json below it; give what lmms-eval had as --output_path.")
    return [_read(one) for one in found]


def _read(path: Path) -> LmmsResults:
    try:
        said = json.loads(read_regular(path, max_bytes=_MAX_BYTES))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: no JSON; the results of lmms-eval are DATE_results.json, not its samples.") from None
    results, model = (said.get(name) for name in ("results", "model_name")) if isinstance(said, dict) else (None, None)
    if not isinstance(results, dict) or not isinstance(model, str) or not model:
        raise DataError(f"{path}: no results of lmms-eval: they have `results` by task and a `model_name`.")
    figures = [figure for task, line in results.items() for figure in _figures(task, line, said.get("n-samples"))]
    if not figures:
        raise DataError(f"{path}: no task has a number; did lmms-eval end before it counted?")
    return LmmsResults(path, model, tuple(figures))


def _figures(task: str, line: Any, asked: Any) -> list[TaskFigure]:
    if not isinstance(line, dict):
        return []
    counts = asked.get(task) if isinstance(asked, dict) else None
    n = counts.get("effective") if isinstance(counts, dict) else None
    figures = []
    for key, value in line.items():
        metric, comma, name = key.partition(",")
        number = _number(value)
        if not comma or re.search(r"_stderr(_\w+)?$", metric) or number is None:
            continue
        figures.append(
            TaskFigure(
                task=task,
                metric=metric if name == "none" else key,
                value=number,
                stderr=_number(line.get(f"{metric}_stderr,{name}")),
                n=n if type(n) is int else None,
            )
        )
    return figures


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # digits by the hundred
        return None
    return number if math.isfinite(number) else None


def figures_of_runs(results: Sequence[LmmsResults], models: Mapping[str, Path]) -> dict[str, tuple[TaskFigure, ...]]:
    """Say which figures are of which run.

    A results file is of the run whose model's folder it names; of a folder that lies elsewhere now, the last two parts
    of its path decide.

    Args:
        results: Of `read_results`.
        models: Folder of the model by run.

    Raises:
        DataError: If a file is of no run, or a run has a number twice.
    """
    found: dict[str, dict[str, TaskFigure]] = {}
    for one in results:
        run = _run_of(one, models)
        mine = found.setdefault(run, {})
        if twice := [figure.name for figure in one.figures if figure.name in mine]:
            raise DataError(f"{one.path}: {run} has {twice[0]!r} of another file too; name the file that is meant.")
        mine |= {figure.name: figure for figure in one.figures}
    return {run: tuple(figures.values()) for run, figures in found.items()}


def _run_of(one: LmmsResults, models: Mapping[str, Path]) -> str:
    told = Path(one.model)
    same = [run for run, folder in models.items() if folder.resolve() == told.resolve()]
    alike = same or [run for run, folder in models.items() if folder.resolve().parts[-2:] == told.parts[-2:]]
    if len(alike) != 1:
        folders = numbered([str(folder) for folder in models.values()])
        raise DataError(f"{one.path}: is of the model {one.model!r}, which is none of those compared: {folders}.")
    return alike[0]


def lmms_command(model: Path, out: Path) -> str:
    """Return the call that runs lmms-eval, in an environment of its own, on a model's folder."""
    name = _MODELS.get(str(check_folder(model).get("model_type")), "NAME")
    told = ("--model", name, "--model_args", f"pretrained={model.resolve()}", "--tasks", "mme,mmmu_val")
    return shlex.join(("lmms-eval", *told, "--batch_size", "1", "--output_path", str(out)))
