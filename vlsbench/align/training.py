"""`train`: rows and a recipe in, an aligned model and its capsule out.

OUT/recipe.json, rows.csv     what it is made of; a second call with the same goes on, any other is refused
OUT/metrics.jsonl             one line a step: step, loss, learning_rate, seconds, what the trainer counts
OUT/checkpoints/              what a killed run goes on from
OUT/model/                    the aligned model; adapters are merged into it
OUT/capsule.json              written last: a run that has one is complete
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from vlsbench.align.parts import Loaded, digest_weights, freeze, load, parts_of
from vlsbench.align.recipes import Part, Recipe
from vlsbench.align.rows import TrainingData, read_rows, row_problems
from vlsbench.align.trainers import Reporter, Reward, make_trainer, shown_images
from vlsbench.errors import DataError, ModelError, UsageError, bounded
from vlsbench.files import StrPath, append_lines, exclusive, read_lines, write_atomic

__all__ = ["OnStep", "Run", "Step", "train"]


class Step(NamedTuple):
    """How far a training is."""

    done: int
    total: int
    loss: float | None
    """Of the last step; None before the first."""
    seconds_left: float | None
    """By the pace so far; None before the second step."""


OnStep = Callable[[Step], None]


@dataclass(frozen=True)
class Run:
    """A complete run."""

    folder: Path
    recipe: Recipe
    losses: tuple[float, ...]
    """By step."""

    @property
    def model(self) -> Path:
        """Folder of the aligned model."""
        return self.folder / "model"


def train(
    recipe: Recipe,
    model: StrPath,
    data: TrainingData | StrPath,
    out: StrPath,
    *,
    reward: Reward | None = None,
    on_step: OnStep | None = None,
    report_to: Reporter = "none",
) -> Run:
    """Align a model; the same call goes on where a killed one stopped.

    Args:
        recipe: Of `make_recipe`.
        model: Folder of the model to begin from.
        data: Rows, or the file they are in.
        out: A new folder, or that of the same run.
        reward: Of `mm-rl`: rewards of answers.
        on_step: Told of every step.
        report_to: TRL's own reporter beside `metrics.jsonl`.

    Raises:
        DataError: If the rows cannot be used for this method.
        ModelError: If the model cannot be used for it, or its loss is not finite.
        UsageError: If `out` is in use.
    """
    rows = data if isinstance(data, TrainingData) else read_rows(Path(data))
    base, folder = Path(model), Path(out)
    _claim(folder, recipe, rows)
    if (folder / "run.json").is_file():
        return _finished(folder, recipe)
    problems = row_problems(rows, recipe)
    if problems:
        raise DataError(f"{rows.name}: {bounded(problems)}.")
    with exclusive(folder / "recipe.json"), _quiet():
        loaded = load(base)
        if recipe.how.is_multimodal and not loaded.has_vision:
            raise ModelError(
                f"{base}: this model has no vision tower, and {recipe.method} shows images; take a t-* method."
            )
        return _train(recipe, loaded, rows, base, folder, reward=reward, on_step=on_step, report_to=report_to)


def _train(
    recipe: Recipe,
    loaded: Loaded,
    rows: TrainingData,
    base: Path,
    folder: Path,
    *,
    reward: Reward | None,
    on_step: OnStep | None,
    report_to: Reporter,
) -> Run:
    from transformers import PrinterCallback

    frozen = freeze(loaded, recipe)
    before = _digests(loaded, frozen)
    images = shown_images(rows, recipe, folder / "pictures")
    trainer = make_trainer(loaded, recipe, rows, images, base=base, out=folder, reward=reward, report_to=report_to)
    checkpoint = _last_checkpoint(folder / "checkpoints")
    _trim_metrics(folder / "metrics.jsonl", checkpoint)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_watch(folder / "metrics.jsonl", on_step))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    aligned = _merged(trainer)
    after = _digests(loaded._replace(model=aligned), frozen)
    moved = [part for part in frozen if before[part] != after[part]]
    if moved:
        raise ModelError(f"{recipe.method} must leave {' and '.join(moved)} as they are, and their weights moved.")
    _save(aligned, loaded, folder / "model")
    losses = tuple(line["loss"] for line in _metrics(folder / "metrics.jsonl"))
    write_atomic(folder / "run.json", json.dumps({"losses": losses}) + "\n")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return Run(folder, recipe, losses)


def _claim(folder: Path, recipe: Recipe, rows: TrainingData) -> None:
    """Take a new folder, or that of the same run.

    Raises:
        UsageError: If anything else is there.
    """
    said = folder / "recipe.json"
    mine = json.dumps({"recipe": recipe.model_dump(mode="json"), "data": rows.digest}, indent=2) + "\n"
    if said.is_file():
        if said.read_text(encoding="utf-8") != mine:
            raise UsageError(f"{folder}: holds a run of another recipe or other rows; name a new folder.")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is in use and holds no run of this recipe; name a new folder.")
    write_atomic(said, mine)


def _finished(folder: Path, recipe: Recipe) -> Run:
    return Run(folder, recipe, tuple(json.loads((folder / "run.json").read_text(encoding="utf-8"))["losses"]))


def _digests(loaded: Loaded, parts: list[Part]) -> dict[Part, str]:
    weights = parts_of(loaded.model, has_vision=loaded.has_vision)
    return {part: digest_weights(weights[part]) for part in parts}


def _merged(trainer: Any) -> Any:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def _save(model: Any, loaded: Loaded, folder: Path) -> None:
    model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)


_COMPLETE: Final = ("trainer_state.json", "optimizer.pt", "scheduler.pt")


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written whole: its state is written last, and is JSON."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        if all((path / name).is_file() for name in _COMPLETE):
            try:
                json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            except ValueError:
                continue
            return path
    return None


def _metrics(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line.data) for line in read_lines(path)] if path.exists() else []


def _trim_metrics(path: Path, checkpoint: Path | None) -> None:
    """Drop the steps after a checkpoint: they are made again."""
    last = 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
    kept = [line for line in _metrics(path) if line["step"] <= last]
    if path.exists():
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))


def _watch(path: Path, on_step: OnStep | None) -> Any:
    """Make the callback that writes each step's line, tells `on_step`, and ends a run whose loss is not finite."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            self.start, self.first = time.monotonic(), state.global_step
            if on_step is not None:
                on_step(Step(state.global_step, state.max_steps, None, None))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            if not state.is_world_process_zero or "loss" not in (logs or {}):
                return
            seconds = time.monotonic() - self.start
            line = {"step": state.global_step, **{k: _plain(v) for k, v in logs.items()}, "seconds": round(seconds, 3)}
            append_lines(path, [json.dumps(line)])
            if not math.isfinite(float(logs["loss"])):
                raise ModelError(
                    f"the loss is {logs['loss']} at step {state.global_step}: nothing sensible follows from it. Take a "
                    "smaller learning rate, or fp32."
                )
            if on_step is not None:
                done = state.global_step - self.first
                left = seconds / done * (state.max_steps - state.global_step) if done > 0 else None
                on_step(Step(state.global_step, state.max_steps, float(logs["loss"]), left))

    return Watch()


def _plain(value: Any) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else str(number)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' bars and advice off the terminal: what matters is said by us."""
    import datasets
    import transformers

    shows_bars = not datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    logging: Any = transformers.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if not shows_bars:
            datasets.enable_progress_bars()
        logging.enable_progress_bar()
