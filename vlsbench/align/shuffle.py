"""The image-shuffle test: is the loss of an answer another one when the row is shown another row's image?

It asks the trainer's own collator and model, so what it sees is what training sees: image tokens that were cut, images
that never reach the batch, a processor that was not used. A run whose loss does not move at all is stopped.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vlsbench.align.parts import Loaded
from vlsbench.align.recipes import Recipe
from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.align.trainers import line_of
from vlsbench.errors import ModelError
from vlsbench.records import Record

__all__ = ["Shuffled", "compare_losses", "paired_interval", "permuted", "require_effect", "shuffle_test"]

_MOST_ROWS: Final = 64
_TINY: Final = 1e-7
"""Of a loss: what float32 adds up in another order."""
_ANSWER_TOKENS: Final = 16
"""Of the model's own answer, where rows have none (RL)."""


class Shuffled(Record):
    """Losses of the same answers with right and with permuted images."""

    n: int
    """Rows."""
    n_images: int
    loss_right: float
    """Mean cross-entropy of the answers, nats a token."""
    loss_permuted: float
    difference: float
    """Permuted minus right: above 0 the right image helps."""
    low: float
    high: float
    """95% interval of the difference, paired, clustered by image."""
    largest: float
    """Largest difference of a row, without its sign."""


def permuted(keys: Sequence[str], seed: int) -> list[int]:
    """Return for every row whose image it is shown: never one equal to its own, each image as often as before.

    Rows of the commonest image can be more than half; as many as needed then keep an image of their own kind.

    >>> [["a", "b", "c"][i] for i in permuted(["a", "b", "c"], 0)]
    ['b', 'c', 'a']
    """
    order = list(range(len(keys)))
    random.Random(seed).shuffle(order)  # noqa: S311  # seeded, nothing is hidden by it
    order.sort(key=lambda i: keys[i])
    most = max(keys.count(key) for key in set(keys))
    shifted = order[most:] + order[:most]
    chosen = [0] * len(keys)
    for row, shown in zip(order, shifted, strict=True):
        chosen[row] = shown
    return chosen


def paired_interval(pairs: Sequence[tuple[float, float]], clusters: Sequence[str]) -> tuple[float, float, float]:
    """Return mean, low and high of second minus first, 95%, clustered: Student's t on the clusters' sums.

    With one cluster there is no interval: low and high are infinite, written as the widest floats.
    """
    from scipy import stats

    sums: dict[str, list[float]] = {}
    for (first, second), cluster in zip(pairs, clusters, strict=True):
        sums.setdefault(cluster, []).append(second - first)
    n, g = len(pairs), len(sums)
    mean = sum(map(sum, sums.values())) / n
    if g < 2:
        return mean, -1e308, 1e308
    spread = sum((sum(values) - mean * len(values)) ** 2 for values in sums.values())
    half = float(stats.t.ppf(0.975, g - 1)) * math.sqrt(g / (g - 1) * spread) / n
    return mean, mean - half, mean + half


def compare_losses(pairs: Sequence[tuple[float, float]], clusters: Sequence[str]) -> Shuffled:
    """Compare losses (right, permuted) by row."""
    mean, low, high = paired_interval(pairs, clusters)
    return Shuffled(
        n=len(pairs),
        n_images=len(set(clusters)),
        loss_right=sum(right for right, _ in pairs) / len(pairs),
        loss_permuted=sum(other for _, other in pairs) / len(pairs),
        difference=mean,
        low=low,
        high=high,
        largest=max(abs(other - right) for right, other in pairs),
    )


def shuffle_test(
    trainer: Any, loaded: Loaded, recipe: Recipe, data: TrainingData, images: Sequence[Sequence[str]]
) -> tuple[Shuffled, str | None]:
    """Run the test on the trainer's collator and model; up to 64 rows, drawn by the seed.

    Returns:
        What was found, and why the image had no part in it, or None where it had.
    """
    shown = [number for number, paths in enumerate(images) if paths]
    random.Random(recipe.seed).shuffle(shown)  # noqa: S311
    shown = sorted(shown[:_MOST_ROWS])
    keys = [images[number][0] for number in shown]
    if len(set(keys)) < 2:
        one = compare_losses([(0.0, 0.0)], ["one"])
        return one, f"all {len(shown)} rows show one image, so none can be put in another's place"
    others = permuted(keys, recipe.seed)
    loss = _loss_of(trainer, loaded, recipe)
    batch: dict[str, Any] = {}
    pairs = []
    for place, number in enumerate(shown):
        row = data.rows[number]
        row = row if row.response is not None else row.model_copy(update={"response": _own(loaded, row, keys[place])})
        right, batch = loss(row, keys[place])
        other, _ = loss(row, keys[others[place]])
        pairs.append((right, other))
    found = compare_losses(pairs, keys)
    return found, None if found.largest > _TINY * max(1.0, found.loss_right) else _why(loaded, batch)


def require_effect(recipe: Recipe, when: str, why: str | None) -> None:
    """Stop a run in which the image has no part.

    Raises:
        ModelError: If there is a reason.
    """
    if why is not None:
        raise ModelError(
            f"{recipe.method}, image-shuffle test {when} training: the loss with right and with permuted images is the "
            f"same, {why}. Nothing was learned from images; mend that, or take a t-* method."
        )


def _why(loaded: Loaded, batch: Mapping[str, Any]) -> str:
    if not any("pixel" in name for name in batch):
        return "and the batch holds no pixels: images were dropped, or the model's processor was not used"
    token = getattr(loaded.model.config, "image_token_id", None)
    if token is not None and not (batch["input_ids"] == token).any():
        return "and the batch holds no image token: they were cut"
    return "though pixels and image tokens are in the batch: what the vision tower says is the same for every image"


def _loss_of(
    trainer: Any, loaded: Loaded, recipe: Recipe
) -> Callable[[TrainingRow, str], tuple[float, dict[str, Any]]]:
    """Return what computes the loss of a row's answer with an image, and the batch it was computed on."""
    import torch
    from PIL import Image

    collator = trainer.data_collator
    objective = recipe.how.objective
    if objective == "rl":  # TRL's own collates nothing: prompts and images are put together when they are answered
        from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

        collator = DataCollatorForVisionLanguageModeling(processor=loaded.processor, completion_only_loss=True)

    def loss(row: TrainingRow, path: str) -> tuple[float, dict[str, Any]]:
        with Image.open(path) as opened:
            line = line_of(row, "dpo" if objective == "dpo" else "sft") | {"images": [opened.convert("RGB")]}
        batch = trainer._prepare_inputs(dict(collator([line]))) if objective != "rl" else dict(collator([line]))
        device = next(loaded.model.parameters()).device
        inputs = {name: value.to(device) for name, value in batch.items() if hasattr(value, "to")}
        mask = inputs.pop("completion_mask", None)
        labels = inputs.pop("labels", None)
        answer = (mask if mask is not None else labels.ne(-100))[:1, 1:]
        was_training = loaded.model.training
        loaded.model.eval()
        with torch.no_grad():
            logits = loaded.model(**inputs).logits
        loaded.model.train(was_training)
        tokens = inputs["input_ids"][:1, 1:].unsqueeze(-1)
        by_token = torch.gather(logits[:1, :-1].float().log_softmax(-1), 2, tokens).squeeze(-1)
        return float(-(by_token * answer).sum() / answer.sum().clamp(min=1)), inputs

    return loss


def _own(loaded: Loaded, row: TrainingRow, path: str) -> str:
    """Let the model answer a row that has no answer, greedily and short."""
    import torch
    from PIL import Image

    content = [{"type": "image"}, {"type": "text", "text": row.prompt}]
    text = loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    with Image.open(path) as opened:
        asked = loaded.processor(
            images=[[opened.convert("RGB")]], text=[text], return_tensors="pt", add_special_tokens=False
        )
    device = next(loaded.model.parameters()).device
    with torch.no_grad():
        ids = loaded.model.generate(
            **{name: value.to(device) for name, value in asked.items()},
            max_new_tokens=_ANSWER_TOKENS,
            min_new_tokens=1,
            do_sample=False,
        )
    said: str = loaded.tokenizer.decode(ids[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
    return said or "."
