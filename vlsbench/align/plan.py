"""What a run will take (rows, tokens, images, steps, memory, disk), and every reason not to begin it.

Memory is an estimate: float32 weights, gradients and Adam's two moments exactly; activations by the rule of 34 bytes a
token, layer and hidden unit (Korthikanti et al. 2022, half precision, without the attention matrix), four times that:
float32, gated MLPs and what normalisation keeps. It was compared with peaks on the CPU in float32, 5 to 54 million
weights, and in bfloat16 on a GPU with one model of 966 million (benchmarks/align_memory.py, RESULTS.md); in float32 on
a GPU it was not.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from vlsbench.align.parts import Reader, check_folder, empty_model, parts_of
from vlsbench.align.recipes import Objective, Recipe
from vlsbench.align.rows import TrainingData
from vlsbench.align.tokens import RowTokens
from vlsbench.errors import amount
from vlsbench.records import Record

__all__ = ["Plan", "make_plan", "model_problems", "plan_problems", "render_plan"]

Bytes = Annotated[int, Field(ge=0)]
_ACTIVATION_BYTES: Final = 4 * 34
"""Of a token in a layer, a hidden unit."""
_HALF_ACTIVATION_BYTES: Final = 54
"""The same in bfloat16 on a GPU, whose attention keeps no matrix of its own; measured 38 to 55."""
_BLOCKS_AGAIN: Final = 3
"""With checkpointing every block keeps its input; one is computed again, with its gradients; measured 3 to 4."""
_TILE: Final = (4096, 32_768)
"""Tokens and words whose logits TRL 1.16 computes at once."""
_TILE_COPIES: Final = 9
"""Of a tile, float32, where no Triton folds it (on the CPU); measured 8 to 10."""
_LOGIT_COPIES: Final = 6
"""Of all logits in the unlearning losses, float32; measured 5."""
_CHECKPOINTS: Final = 2
"""Kept at once; another one is being written."""


class Plan(Record):
    """What a run will take."""

    method: str
    n_rows: int
    n_images: int
    """Rows that show one."""
    n_tokens: int
    """Of one epoch, answers and images among them."""
    n_image_tokens: int
    n_longest: int
    """Tokens of the longest row."""
    n_cut: int
    """Rows whose answer loses its end to `max_length`."""
    n_steps: int
    n_weights: int
    n_trained: int
    frozen: tuple[str, ...]
    """Parts whose weights do not move."""
    memory: dict[str, Bytes]
    """Bytes, estimated, by what holds them."""
    memory_there: Bytes | None
    """Free on the device that trains; None where nobody says."""
    disk: Bytes
    """Bytes of checkpoints and model."""
    disk_there: Bytes


def make_plan(recipe: Recipe, data: TrainingData, tokens: Sequence[RowTokens], model: Path, out: Path) -> Plan:
    """Plan a run; no weight is loaded."""
    config = check_folder(model)
    has_vision = "vision_config" in config
    sizes = {
        part: sum(weight.numel() for _, weight in weights)
        for part, weights in parts_of(empty_model(model), has_vision=has_vision).items()
    }
    n_weights = sum(sizes.values())
    moving = sum(size for part, size in sizes.items() if part in recipe.parts)
    n_trained = moving if recipe.lora_rank is None else min(moving, _adapter_weights(config, recipe))
    limit = recipe.max_length or math.inf
    return Plan(
        method=recipe.method,
        n_rows=len(data.rows),
        n_images=sum(row.image > 0 for row in tokens),
        n_tokens=sum(int(min(row.prompt + answer, limit)) for row in tokens for answer in row.answers),
        n_image_tokens=sum(row.image * len(row.answers) for row in tokens),
        n_longest=max(row.longest for row in tokens),
        n_cut=sum(row.longest > limit for row in tokens),
        n_steps=_steps(recipe, data),
        n_weights=n_weights,
        n_trained=n_trained,
        frozen=tuple(part for part in sizes if part not in recipe.parts),
        memory=_memory(recipe, config, tokens, n_weights, n_trained),
        memory_there=_free_memory(),
        disk=4 * n_weights
        + (_CHECKPOINTS + 1) * (4 * n_weights + 8 * n_trained if recipe.lora_rank is None else 12 * n_trained),
        disk_there=shutil.disk_usage(_existing(out)).free,
    )


def _steps(recipe: Recipe, data: TrainingData) -> int:
    if recipe.max_steps is not None:
        return recipe.max_steps
    rows = len(data.rows)
    if recipe.how.objective in ("unlearning", "safe-unlearning"):
        n_harmful = sum(row.kind == "harmful" for row in data.rows)
        rows = max(n_harmful, rows - n_harmful)
    batches = rows // recipe.batch_size if recipe.how.objective == "rl" else math.ceil(rows / recipe.batch_size)
    return math.ceil(recipe.epochs * math.ceil(batches / recipe.accumulation))


def _text(config: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = config.get("text_config", config)
    return text


def _adapter_weights(config: dict[str, Any], recipe: Recipe) -> int:
    """Seven linear layers a block, each with a factor on both sides."""
    text = _text(config)
    hidden, inner = int(text["hidden_size"]), int(text["intermediate_size"])
    return (recipe.lora_rank or 0) * int(text["num_hidden_layers"]) * (4 * 2 * hidden + 3 * (hidden + inner))


def _memory(
    recipe: Recipe, config: dict[str, Any], tokens: Sequence[RowTokens], n_weights: int, n_trained: int
) -> dict[str, int]:
    text = _text(config)
    objective = recipe.how.objective
    has_reference = (
        recipe.lora_rank is None and objective not in ("sft",) and not (objective == "rl" and not recipe.beta)
    )
    copies = {"sft": 1, "dpo": 2, "unlearning": 3, "safe-unlearning": 3, "rl": recipe.n_answers}[objective]
    longest = min(max(row.longest for row in tokens), recipe.max_length or math.inf)
    at_once = int(longest) * recipe.batch_size * copies
    layers, hidden = int(text["num_hidden_layers"]), int(text["hidden_size"])
    by_unit = _activation_bytes(recipe)
    by_token = hidden * layers * by_unit
    if recipe.checkpointing:
        by_token = min(by_token, hidden * (layers * 4 + _BLOCKS_AGAIN * by_unit))
    return {
        "weights": 4 * n_weights + (4 * n_trained if recipe.lora_rank else 0),
        "reference": 4 * n_weights if has_reference else 0,
        "gradients": 4 * n_trained,
        "optimizer": 8 * n_trained,
        "activations": at_once * by_token,
        "logits": _logits(objective, at_once, int(text["vocab_size"])),
    }


def _activation_bytes(recipe: Recipe) -> int:
    import torch

    return _HALF_ACTIVATION_BYTES if recipe.precision == "bf16" and torch.cuda.is_available() else _ACTIVATION_BYTES


def _logits(objective: Objective, n_tokens: int, n_words: int) -> int:
    import torch

    if "unlearning" in objective:
        return 4 * _LOGIT_COPIES * n_tokens * n_words
    copies = 1 if torch.cuda.is_available() else _TILE_COPIES
    return 4 * copies * min(n_tokens, _TILE[0]) * min(n_words, _TILE[1])


def _free_memory() -> int | None:
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None


def _existing(path: Path) -> Path:
    return next(place for place in (path.resolve(), *path.resolve().parents) if place.exists())


def model_problems(recipe: Recipe, reader: Reader, model: Path) -> list[str]:
    """Name what a model lacks for a method."""
    if recipe.how.is_multimodal and not reader.has_vision:
        return [f"{model}: this model has no vision tower, and {recipe.method} shows images; take a t-* method"]
    return []


def plan_problems(recipe: Recipe, tokens: Sequence[RowTokens], plan: Plan, model: Path) -> list[str]:
    """Name every reason why a planned run must not begin."""
    problems = []
    limit = recipe.max_length
    full = [row for row in tokens if limit is not None and row.prompt >= limit]
    cut = [row for row in full if row.image]
    for rows, what in ((cut, "image tokens would be cut"), ([r for r in full if not r.image], "no answer is left")):
        if rows:
            worst = max(rows, key=lambda row: row.prompt)
            problems.append(
                f"max_length is {limit}, and {what} of {amount(len(rows), 'row')} (row {worst.id}: {worst.prompt} "
                f"tokens before its answer, {worst.image} of them its image's); set max_length to "
                f"{plan.n_longest} or null"
            )
    window = _text(check_folder(model)).get("max_position_embeddings")
    longest = min(plan.n_longest, limit or plan.n_longest)
    if isinstance(window, int) and longest > window:
        problems.append(
            f"the longest row takes {longest} tokens, and the model reads {window}; set max_length to {window}"
        )
    sure = sum(size for name, size in plan.memory.items() if name not in ("activations", "logits"))
    if plan.memory_there is not None and sure > plan.memory_there:
        problems.append(
            f"weights, gradients and optimizer take {_gb(sure)}, and {_gb(plan.memory_there)} of memory are free; take "
            "adapters (lora_rank), or a larger machine"
        )
    if plan.disk > plan.disk_there:
        problems.append(f"model and checkpoints take {_gb(plan.disk)}, and {_gb(plan.disk_there)} of disk are free")
    return problems


def render_plan(plan: Plan) -> str:
    """Lay a plan out for people."""
    there = "" if plan.memory_there is None else f" of {_gb(plan.memory_there)} free"
    memory = ", ".join(f"{name} {_gb(size)}" for name, size in plan.memory.items() if size)
    frozen = f"; frozen: {', '.join(plan.frozen)}" if plan.frozen else ""
    cut = f"; {amount(plan.n_cut, 'answer')} cut by max_length" if plan.n_cut else ""
    return "\n".join(
        (
            f"{plan.method}: {amount(plan.n_rows, 'row')}, {plan.n_images:,} with an image",
            f"tokens an epoch: {plan.n_tokens:,}, {plan.n_image_tokens:,} of images; longest row: {plan.n_longest:,}"
            f"{cut}",
            f"steps: {plan.n_steps:,}",
            f"weights: {plan.n_weights:,}, trained {plan.n_trained:,}{frozen}",
            f"memory, estimated: {_gb(sum(plan.memory.values()))}{there} ({memory})",
            f"disk: {_gb(plan.disk)} of {_gb(plan.disk_there)} free",
        )
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"
