"""Rows and a recipe → the trainer that runs: TRL's for SFT, DPO and RL, our own for the two unlearning losses.

What TRL does silently is set here: `max_length` defaults to 1,024 tokens and cuts image tokens (here the recipe's, and
`plan.py` refuses rows whose image it would cut); a loss that is not finite is averaged away (here it is seen).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlsbench.align.parts import Loaded, load, lora_targets
from vlsbench.align.recipes import Objective, Recipe, Sees
from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.align.unlearning import make_unlearning_trainer
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, Picture, mime_of, plain_picture, size_of
from vlsbench.errors import ModelError, UsageError
from vlsbench.files import read_regular, write_atomic

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Reporter", "Reward", "adapted", "line_of", "make_dataset", "make_trainer", "shown_images", "text_of"]

Reward = Callable[[Sequence[TrainingRow], Sequence[str]], Sequence[float | None]]
"""Rewards of answers, in order; None for one that could not be judged, which then has no part in the step."""
Reporter = Literal["none", "trackio", "wandb"]


def shown_images(data: TrainingData, sees: Sees, folder: Path) -> list[list[str]]:
    """Return the paths of the images that each row shows, empty lists where it shows none.

    An image that not every decoder reads alike (turned, transparent) and the grey ones are written into `folder`.
    """
    made: dict[str, str] = {}
    return [
        [] if row.image is None or sees == "nothing" else [_shown(data, row, sees, folder, made)] for row in data.rows
    ]


def _shown(data: TrainingData, row: TrainingRow, sees: Sees, folder: Path, made: dict[str, str]) -> str:
    path = data.image_path(row)
    assert path is not None  # noqa: S101  # asked only of rows with an image
    if str(path) not in made:
        raw = read_regular(path, max_bytes=MAX_IMAGE_BYTES)
        picture = Picture(raw, mime_of(raw) or "image/png")
        if sees == "grey":
            made[str(path)] = str(_grey(size_of(picture), folder))
        else:
            plain = plain_picture(picture)
            made[str(path)] = str(path if plain is picture else _write(plain, folder))
    return made[str(path)]


def _grey(size: tuple[int, int], folder: Path) -> Path:
    """Write one grey image of a size, as the condition `blank-image` shows."""
    import io

    from PIL import Image

    path = folder / f"grey-{size[0]}x{size[1]}.png"
    if not path.exists():
        buffer = io.BytesIO()
        Image.new("RGB", size, (128, 128, 128)).save(buffer, "PNG")
        write_atomic(path, buffer.getvalue())
    return path


def _write(picture: Picture, folder: Path) -> Path:
    path = folder / f"{hashlib.sha256(picture.data).hexdigest()[:32]}.png"
    write_atomic(path, picture.data)
    return path


def make_dataset(data: TrainingData, recipe: Recipe, images: Sequence[Sequence[str]]) -> Dataset:
    """Make the table that TRL reads: conversations, and a column `images` where the method shows any."""
    from datasets import Dataset
    from datasets import Image as ImageFeature
    from datasets import List as ListFeature

    objective = recipe.how.objective
    table: list[dict[str, Any]] = []
    for number, (row, shown) in enumerate(zip(data.rows, images, strict=True)):
        line = line_of(row, objective)
        if objective == "rl":
            line["row"] = number
        if recipe.how.is_multimodal:
            line["images"] = list(shown)
        table.append(line)
    made = Dataset.from_list(table)
    return made.cast_column("images", ListFeature(ImageFeature(mode="RGB"))) if recipe.how.is_multimodal else made


def line_of(row: TrainingRow, objective: Objective) -> dict[str, Any]:
    """Return a row as a conversation, as TRL reads it, without its image."""
    line: dict[str, Any] = {"prompt": [{"role": "user", "content": row.prompt}]}
    if objective == "sft":
        line["completion"] = _said(row.response)
    elif objective == "dpo":
        line |= {"chosen": _said(row.response), "rejected": _said(row.rejected)}
    return line


def _said(text: str | None) -> list[dict[str, str]]:
    assert text is not None  # noqa: S101  # `row_problems` names the rows that lack it
    return [{"role": "assistant", "content": text}]


def adapted(loaded: Loaded, recipe: Recipe) -> Any:
    """Put adapters on the model where the recipe asks for them; their first values are drawn by its seed."""
    if recipe.lora_rank is None:
        return loaded.model
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=0.0,
        target_modules=lora_targets(loaded, recipe),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(loaded.model, config)


def _arguments(recipe: Recipe, out: Path, report_to: Reporter) -> dict[str, Any]:
    """What every trainer takes."""
    import torch

    has_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out / "checkpoints"),
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulation,
        "learning_rate": recipe.learning_rate,
        "num_train_epochs": recipe.epochs,
        "max_steps": recipe.max_steps or -1,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": recipe.warmup,  # below 1 it is a share of the steps
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "bf16": recipe.precision == "bf16",
        "use_cpu": not has_gpu,
        "activation_checkpointing": recipe.checkpointing,
        "dataloader_pin_memory": has_gpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": report_to,
        "save_strategy": "steps",
        "save_steps": recipe.save_every,
        "save_total_limit": 2,
    }


def make_trainer(
    loaded: Loaded,
    recipe: Recipe,
    data: TrainingData,
    images: Sequence[Sequence[str]],
    *,
    base: Path,
    out: Path,
    reward: Reward | None = None,
    report_to: Reporter = "none",
) -> Any:
    """Make the trainer of a recipe; `base` is the folder that a reference model is loaded from."""
    objective = recipe.how.objective
    model = adapted(loaded, recipe)
    arguments = _arguments(recipe, out, report_to)
    if objective in ("unlearning", "safe-unlearning"):
        return make_unlearning_trainer(loaded, model, recipe, data, base=base, arguments=arguments)
    dataset = make_dataset(data, recipe, images)
    if objective == "sft":
        return _sft(loaded, model, recipe, dataset, arguments)
    if objective == "dpo":
        return _dpo(loaded, model, recipe, dataset, arguments, base)
    if reward is None:
        raise UsageError(f"{recipe.method} is rewarded by somebody: name a judge with --reward, or hand in a callable.")
    return _rl(loaded, model, recipe, dataset, arguments, _reward(data, reward))


def _sft(loaded: Loaded, model: Any, recipe: Recipe, dataset: Dataset, arguments: dict[str, Any]) -> Any:
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    args = SFTConfig(**arguments, max_length=recipe.max_length, completion_only_loss=True)
    return SFTTrainer(model, args, train_dataset=dataset, processing_class=loaded.processor)


def _dpo(loaded: Loaded, model: Any, recipe: Recipe, dataset: Dataset, arguments: dict[str, Any], base: Path) -> Any:
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    args = DPOConfig(**arguments, max_length=recipe.max_length, beta=recipe.beta)
    # Loaded by us, so that it is the model before training also where a killed run goes on.
    reference = load(base).model if recipe.lora_rank is None else None
    return DPOTrainer(model, reference, args, train_dataset=dataset, processing_class=loaded.processor)


def _rl(loaded: Loaded, model: Any, recipe: Recipe, dataset: Dataset, arguments: dict[str, Any], reward: Any) -> Any:
    """RLOO, or GRPO: a batch holds `batch_size` prompts with `n_answers` answers each."""
    settings: dict[str, Any] = {
        **arguments,
        "per_device_train_batch_size": recipe.batch_size * recipe.n_answers,
        "num_generations": recipe.n_answers,
        "max_completion_length": recipe.max_new_tokens,
        "temperature": recipe.temperature,
        "beta": recipe.beta,
    }
    if recipe.algorithm == "rloo":
        from trl.trainer.rloo_config import RLOOConfig
        from trl.trainer.rloo_trainer import RLOOTrainer

        return RLOOTrainer(
            model, reward, RLOOConfig(**settings), train_dataset=dataset, processing_class=loaded.processor
        )
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    return GRPOTrainer(model, reward, GRPOConfig(**settings), train_dataset=dataset, processing_class=loaded.processor)


def _reward(data: TrainingData, reward: Reward) -> Callable[..., list[float | None]]:
    """Put a reward as TRL asks it: by the row's number, with the text of each answer."""

    def rewarded(completions: Sequence[Any], row: Sequence[int], **rest: Any) -> list[float | None]:
        answers = [text_of(completion) for completion in completions]
        given = list(reward([data.rows[number] for number in row], answers))
        if len(given) != len(answers):
            raise UsageError(f"the reward gave {len(given)} numbers for {len(answers)} answers; it owes one each.")
        if all(number is None for number in given):
            raise ModelError(
                f"the reward could judge none of the {len(answers)} answers of a step: see whether its judge is "
                "there. Checkpoints are kept, and the same command goes on."
            )
        return given

    return rewarded


def text_of(completion: Any) -> str:
    """Return the text of an answer as TRL hands it over: a string, or messages of strings or parts."""
    if isinstance(completion, str):
        return completion
    contents = [message["content"] for message in completion]
    return "".join(
        content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        for content in contents
    )
