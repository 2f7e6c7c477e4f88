"""`train`: rows and a recipe in, an aligned model and its capsule out.

OUT/recipe.json, rows.csv     what it is made of; a second call with the same goes on, any other is refused
OUT/metrics.jsonl             one line a step: step, loss, learning_rate, seconds, what the trainer counts
OUT/checkpoints/              what a killed run goes on from
OUT/model/                    the aligned model; adapters are merged into it
OUT/capsule.json              written last: a run that has one is complete
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any, Final, NamedTuple

from vlsbench.align.audit import DataAudit, audit_rows, benchmark_images, contaminated, refuse_contaminated
from vlsbench.align.capsule import CAPSULE, Capsule, read_capsule, render_card, this_environment, write_digests
from vlsbench.align.draw import draw_rows
from vlsbench.align.parts import Loaded, Reader, digest_weights, freeze, load, parts_of, read_processor
from vlsbench.align.plan import Plan, make_plan, model_problems, plan_problems
from vlsbench.align.recipes import Part, Recipe
from vlsbench.align.rows import TrainingData, read_rows, row_problems
from vlsbench.align.shuffle import Shuffled, require_effect, shuffle_test
from vlsbench.align.tokens import count_tokens
from vlsbench.align.trainers import Reporter, Reward, make_trainer, shown_images
from vlsbench.errors import DataError, ModelError, UsageError, bounded
from vlsbench.files import (
    StrPath,
    append_lines,
    canonical_json,
    exclusive,
    read_lines,
    sha256_hex,
    write_atomic,
)
from vlsbench.leakage.weights import read_weights

__all__ = ["OnStep", "Prepared", "Run", "Step", "drawn", "is_first_process", "prepare", "train"]


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
    capsule: Capsule

    @property
    def model(self) -> Path:
        """Folder of the aligned model."""
        return self.folder / "model"

    @property
    def losses(self) -> tuple[float, ...]:
        """By step."""
        return self.capsule.losses


@dataclass(frozen=True)
class Prepared:
    """A run that may begin, or why it may not."""

    recipe: Recipe
    base: Path
    rows: TrainingData
    weights: str | None
    """Digest of the weights that rows were drawn by."""
    contaminated: dict[str, str]
    problems: tuple[str, ...]
    reader: Reader | None
    plan: Plan | None
    """None where problems of the rows or the model stand before it."""


def prepare(
    recipe: Recipe,
    model: StrPath,
    data: TrainingData | StrPath,
    out: StrPath,
    *,
    weights: Mapping[str, float] | StrPath | None = None,
    benchmark: Path | None = None,
) -> Prepared:
    """Read and check everything, and load no weight; see `train`."""
    rows = data if isinstance(data, TrainingData) else read_rows(Path(data))
    base, folder = Path(model), Path(out)
    rows, digest = drawn(recipe, rows, weights)
    problems = row_problems(rows, recipe)
    reader, plan = None, None
    try:
        reader = read_processor(base)
    except ModelError as error:
        problems.append(str(error).rstrip("."))
    else:
        problems += model_problems(recipe, reader, base)
    if not problems and reader is not None:
        tokens = count_tokens(reader, recipe, rows)
        plan = make_plan(recipe, rows, tokens, base, folder)
        problems += plan_problems(recipe, tokens, plan, base)
        in_use = _in_use(folder, _claim(recipe, rows)) if is_first_process() else None
        problems += [] if in_use is None else [in_use]
    found = {} if problems else contaminated(rows, benchmark_images(benchmark))
    return Prepared(recipe, base, rows, digest, found, tuple(problems), reader, plan)


def train(
    recipe: Recipe,
    model: StrPath,
    data: TrainingData | StrPath,
    out: StrPath,
    *,
    reward: Reward | None = None,
    reward_name: str | None = None,
    weights: Mapping[str, float] | StrPath | None = None,
    audit: DataAudit | None = None,
    benchmark: Path | None = None,
    allow_contaminated: bool = False,
    base_sha256: str | None = None,
    on_step: OnStep | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    report_to: Reporter = "none",
) -> Run:
    """Align a model; the same call goes on where a killed one stopped, and returns what a complete one made.

    Args:
        recipe: Of `make_recipe`.
        model: Folder of the model to begin from.
        data: Rows, or the file they are in.
        out: A new folder, or that of the same run.
        reward: Of `mm-rl`: rewards of answers. If it has `counted()`, what that returns goes into each step's line.
        reward_name: What the capsule calls it; its own name where None.
        weights: Of `mm-sft-clean`: by row id, or the file of `vlsbench leakage --reweight`.
        audit: What is known of the rows' texts; None has them audited.
        benchmark: Folder of the release, whose images must not be trained on either.
        allow_contaminated: Train on rows of VLSBench; the card says so.
        base_sha256: What the digest of the base model's weights must be, where it is known.
        on_step: Told of every step.
        on_stage: Told what is done next.
        report_to: TRL's own reporter beside `metrics.jsonl`.

    Raises:
        DataError: If the run must not begin: every reason is named.
        ModelError: If the image has no part in an mm-* run, the loss is not finite, or a frozen part moved.
        UsageError: If a reward, weights or the reporter's package are missing, or weights would be sharded.
    """
    if recipe.how.objective == "rl" and reward is None:
        raise UsageError(f"{recipe.method} is rewarded by somebody: name a judge with --reward, or hand in a callable.")
    if report_to != "none" and importlib.util.find_spec(report_to) is None:
        raise UsageError(f"--report-to {report_to} needs the package {report_to}, which is not installed.")
    _refuse_shards(os.environ)
    folder = Path(out)
    told = _Told(audit, reward, reward_name, base_sha256, on_step, on_stage, report_to)
    with _quiet():
        ready = prepare(recipe, model, data, out, weights=weights, benchmark=benchmark)
        if ready.problems or ready.reader is None:
            raise DataError(f"{ready.rows.name}: {bounded(ready.problems)}.")
        refuse_contaminated(ready.rows, ready.contaminated, is_allowed=allow_contaminated)
        if (folder / CAPSULE).is_file():
            return Run(folder, read_capsule(folder))
        if not is_first_process():
            return _train(ready, ready.reader, folder, told)
        with exclusive(folder / "recipe.json"):
            write_atomic(folder / "recipe.json", _claim(recipe, ready.rows))
            write_digests(folder, ready.rows.digests)
            return _train(ready, ready.reader, folder, told)


def _refuse_shards(environment: Mapping[str, str]) -> None:
    """Refuse what `accelerate launch` was told, where it would leave each process a part of a weight.

    Raises:
        UsageError: If it was told FSDP, or DeepSpeed's ZeRO-3.
    """
    told = {name: environment.get(f"ACCELERATE_{name}", "").lower() for name in ("USE_FSDP", "USE_DEEPSPEED")}
    has_zero3 = told["USE_DEEPSPEED"] == "true" and environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3"
    if told["USE_FSDP"] == "true" or has_zero3:
        raise UsageError(
            "accelerate was told FSDP or ZeRO-3, under which a process holds parts of weights; what is frozen, digests "
            "and the saved model need whole ones. Launch data-parallel (`accelerate launch --multi_gpu`), with "
            "adapters (--set lora_rank=16) where memory is short."
        )


class _Told(NamedTuple):
    """What a caller of `train` says beside recipe, model and rows."""

    audit: DataAudit | None
    reward: Reward | None
    reward_name: str | None
    base_sha256: str | None
    on_step: OnStep | None
    on_stage: Callable[[str], None]
    report_to: Reporter


def _train(ready: Prepared, reader: Reader, folder: Path, told: _Told) -> Run:
    """Do what `train` says with a run that may begin."""
    recipe, rows, start = ready.recipe, ready.rows, time.monotonic()
    told.on_stage("auditing the rows")
    audit = _audited(folder, rows, told.audit)
    told.on_stage("loading the model")
    loaded = load(ready.base, reader)
    base_digest = digest_weights(loaded.model.named_parameters())
    if told.base_sha256 not in (None, base_digest):
        raise DataError(f"{ready.base}: not the model that the run began from: its weights have another digest.")
    frozen = freeze(loaded, recipe)
    before = _digests(loaded, frozen)
    images = shown_images(rows, recipe.how.sees, folder / "pictures")
    trainer = make_trainer(
        loaded, recipe, rows, images, base=ready.base, out=folder, reward=told.reward, report_to=told.report_to
    )
    first = _shuffled(trainer, loaded, ready, folder, "before", told.on_stage)
    told.on_stage("training")
    _run(trainer, folder, loaded if recipe.lora_rank is None else None, told)
    last = _shuffled(trainer, loaded, ready, folder, "after", told.on_stage)
    aligned = _merged(trainer)
    after = _digests(loaded._replace(model=aligned), frozen)
    moved = [part for part in frozen if before[part] != after[part]]
    if moved:
        raise ModelError(f"{recipe.method} must leave {' and '.join(moved)} as they are, and their weights moved.")
    told.on_stage("saving")
    capsule = Capsule(
        recipe=recipe,
        recipe_sha256=recipe.digest,
        base_model=str(ready.base),
        base_sha256=base_digest,
        data=str(rows.folder / rows.name),
        n_rows=len(rows.rows),
        data_sha256=rows.digest,
        audit=audit,
        contaminated=ready.contaminated,
        weights=ready.weights,
        reward=_name_of(told),
        frozen={str(part): digest for part, digest in after.items()},
        shuffle_before=first,
        shuffle_after=last,
        weights_sha256=digest_weights(aligned.named_parameters()),
        losses=tuple(float(line["loss"]) for line in _metrics(folder / "metrics.jsonl")),
        seconds=round(time.monotonic() - start, 3),
        peak_memory=_peak_memory(),
        environment=this_environment(),
    )
    if trainer.is_world_process_zero():
        _save(aligned, loaded, folder / "model", capsule)
        write_atomic(folder / CAPSULE, capsule.model_dump_json(indent=2) + "\n")
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()  # nobody returns before the model is there
    return Run(folder, capsule)


def _name_of(told: _Told) -> str | None:
    """Return what a reward is called."""
    if told.reward is None:
        return None
    return told.reward_name or str(getattr(told.reward, "__name__", type(told.reward).__name__))


def is_first_process() -> bool:
    """Whether this process writes: the only one, or the first of several that accelerate or torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0


def drawn(
    recipe: Recipe, rows: TrainingData, weights: Mapping[str, float] | StrPath | None
) -> tuple[TrainingData, str | None]:
    """Return the rows that are trained on, and the digest of the weights they were drawn by.

    A text method leaves the images out here, so that it needs none of them; `mm-sft-clean` draws.
    """
    if recipe.method != "mm-sft-clean":
        if weights is not None:
            raise UsageError(f"{recipe.method} draws no rows; weights are of mm-sft-clean.")
        return (rows if recipe.how.is_multimodal else rows.without_images()), None
    if weights is None:
        raise UsageError(
            "mm-sft-clean draws rows by weights: name them with --weights OUT.csv, made by "
            "vlsbench leakage DATA --text prompt --label kind --reweight OUT.csv."
        )
    by_id = weights if isinstance(weights, Mapping) else read_weights(weights).by_id
    digest = sha256_hex(canonical_json({name: repr(float(weight)) for name, weight in by_id.items()}))
    return draw_rows(rows, by_id, n=recipe.draw, seed=recipe.seed), digest


def _claim(recipe: Recipe, rows: TrainingData) -> str:
    """Return what a folder says whose run it holds."""
    return json.dumps({"recipe": recipe.model_dump(mode="json"), "data": rows.digest}, indent=2) + "\n"


def _in_use(folder: Path, mine: str) -> str | None:
    """Say why a folder cannot be written to: only a new one can, and that of the same run."""
    said = folder / "recipe.json"
    if said.is_file():
        is_mine = said.read_text(encoding="utf-8") == mine
        return None if is_mine else f"{folder}: holds a run of another recipe or other rows; name a new folder"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return f"{folder}: is in use and holds no run of this recipe; name a new folder"
    return None


def _audited(folder: Path, rows: TrainingData, audit: DataAudit | None) -> DataAudit:
    """Audit the rows, once a folder."""
    path = folder / "audit.json"
    if audit is None and path.is_file():
        return DataAudit.model_validate_json(path.read_bytes())
    audit = audit or audit_rows(rows)
    if is_first_process():
        write_atomic(path, audit.model_dump_json(indent=2) + "\n")
    return audit


def _shuffled(
    trainer: Any, loaded: Loaded, ready: Prepared, folder: Path, when: str, on_stage: Callable[[str], None]
) -> Shuffled | None:
    """Run the image-shuffle test; the blind arm, which sees grey, is tested on the images that it was not shown."""
    if not ready.recipe.how.is_multimodal:
        return None
    on_stage(f"image-shuffle test {when} training")
    images = shown_images(ready.rows, "image", folder / "pictures")
    found, why = shuffle_test(trainer, loaded, ready.recipe, ready.rows, images)
    require_effect(ready.recipe, when, why)
    return found


def _restore(loaded: Loaded, checkpoint: Path) -> None:
    """Put a checkpoint's weights into the model.

    transformers saves some families (LLaVA) under the names of their first release, and its trainer takes the names of
    a checkpoint as they are and passes over those that do not fit: it would go on from the base model, with a warning
    at most. Loading renames them, and every name must be there.
    """
    loaded.model.load_state_dict(load(checkpoint, Reader(loaded.processor, loaded.has_vision)).model.state_dict())


def _run(trainer: Any, folder: Path, loaded: Loaded | None, told: _Told) -> None:
    """Train, from the last whole checkpoint; `loaded` is None where only adapters are in it, which PEFT reads."""
    from transformers import PrinterCallback

    checkpoint = _last_checkpoint(folder / "checkpoints")
    if trainer.is_world_process_zero():
        _trim_metrics(folder / "metrics.jsonl", checkpoint)
    if loaded is not None:
        trainer._load_from_checkpoint = lambda path, model=None: _restore(loaded, Path(path))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_watch(folder / "metrics.jsonl", told.on_step, getattr(told.reward, "counted", dict)))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def _peak_memory() -> int:
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _digests(loaded: Loaded, parts: list[Part]) -> dict[Part, str]:
    weights = parts_of(loaded.model, has_vision=loaded.has_vision)
    return {part: digest_weights(weights[part]) for part in parts}


def _merged(trainer: Any) -> Any:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def _save(model: Any, loaded: Loaded, folder: Path, capsule: Capsule) -> None:
    model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    write_atomic(folder / "README.md", render_card(capsule))


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


def _watch(path: Path, on_step: OnStep | None, judged: Callable[[], Mapping[str, int]]) -> Any:
    """Make the callback that writes each step's line, tells `on_step`, and ends a run whose loss is not finite.

    Args:
        path: `metrics.jsonl`.
        on_step: Told of every step.
        judged: What a judge was asked for rewards since it was last called; a step's line has it as `judge_…`.
    """
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
            line |= {f"judge_{name}": number for name, number in judged().items()}
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
    trl, trl_level = getLogger("trl"), getLogger("trl").level
    trl.setLevel(ERROR)  # it prints prompts and answers that could not be rewarded
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logging.set_verbosity(level)
        trl.setLevel(trl_level)
        if not shows_bars:
            datasets.enable_progress_bars()
        logging.enable_progress_bar()
