"""The trainer that lowers an unlearning loss: one forward a step for harmful, safe and kept answers together.

An item is a harmful row with a benign one beside it, so every step estimates the whole sum of the loss; the shorter
kind is taken again in its order. The reference is the model before training: its folder, or the model without adapters.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsbench.align.losses import Parts, Said, divergence, safe_unlearning_loss, unlearning_loss
from vlsbench.align.parts import Loaded, load
from vlsbench.align.recipes import Recipe
from vlsbench.align.rows import TrainingData

if TYPE_CHECKING:
    import torch

__all__ = ["Answered", "collate", "make_unlearning_trainer", "tokenized", "unlearning_items"]


class Answered(NamedTuple):
    """A prompt with an answer, in tokens."""

    ids: list[int]
    n_prompt: int


def tokenized(loaded: Loaded, prompt: str, answer: str, max_length: int | None) -> Answered:
    """Put a prompt and an answer as the model's template has them; what is too long loses the end of the answer."""
    from trl.data_utils import apply_chat_template, prepare_multimodal_messages

    messages = {
        "prompt": [{"role": "user", "content": prompt}],
        "completion": [{"role": "assistant", "content": answer}],
    }
    if loaded.has_vision:
        messages = {name: prepare_multimodal_messages(said) for name, said in messages.items()}
    texts = apply_chat_template(messages, loaded.processor)
    before, after = (loaded.tokenizer(texts[k], add_special_tokens=False)["input_ids"] for k in messages)
    return Answered([*before, *after][:max_length], min(len(before), max_length or len(before)))


def unlearning_items(loaded: Loaded, recipe: Recipe, data: TrainingData) -> list[tuple[Answered, Answered, Answered]]:
    """Return (harmful, safe, kept) by harmful or benign row, whichever are more."""

    def put(prompt: str, answer: str | None) -> Answered:
        assert answer is not None  # noqa: S101  # `row_problems` names the rows that lack it
        return tokenized(loaded, prompt, answer, recipe.max_length)

    harmful = [row for row in data.rows if row.kind == "harmful"]
    benign = [row for row in data.rows if row.kind == "benign"]
    bad = [put(row.prompt, row.rejected) for row in harmful]
    safe = [put(row.prompt, row.response) for row in harmful]
    kept = [put(row.prompt, row.response) for row in benign]
    n = max(len(harmful), len(benign))
    return [(bad[i % len(bad)], safe[i % len(safe)], kept[i % len(kept)]) for i in range(n)]


def collate(items: list[tuple[Answered, Answered, Answered]], pad: int) -> dict[str, torch.Tensor]:
    """Stack items: first all harmful answers, then the safe ones, then the kept ones, padded on the right."""
    import torch

    rows = [answered for kind in zip(*items, strict=True) for answered in kind]
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [pad] * (width - len(row.ids)) for row in rows])
    place = torch.arange(width).unsqueeze(0)
    lengths = torch.tensor([[len(row.ids)] for row in rows])
    prompts = torch.tensor([[row.n_prompt] for row in rows])
    mask = place < lengths
    return {"input_ids": ids, "attention_mask": mask.long(), "answer_mask": (mask & (place >= prompts)).long()}


def said(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> Said:
    """Return how likely answers are under the logits of their batch."""
    import torch

    mask = batch["answer_mask"][:, 1:]
    tokens = batch["input_ids"][:, 1:].unsqueeze(-1)
    by_token = torch.gather(logits[:, :-1].float().log_softmax(-1), 2, tokens).squeeze(-1)
    return Said((by_token * mask).sum(-1), mask.sum(-1).clamp(min=1))


def third(batch: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    """Return one of a batch's three kinds of answers."""
    n = len(batch["input_ids"]) // 3
    return {name: values[number * n : (number + 1) * n] for name, values in batch.items()}


def make_unlearning_trainer(
    loaded: Loaded, model: Any, recipe: Recipe, data: TrainingData, *, base: Path, arguments: dict[str, Any]
) -> Any:
    """Make the trainer; `base` is the folder of the model before training."""
    import torch
    from transformers import Trainer, TrainingArguments

    has_adapters = recipe.lora_rank is not None
    pad = loaded.tokenizer.pad_token_id

    class UnlearningTrainer(Trainer):
        """Lowers `recipe`'s loss, and logs its parts."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.model_accepts_loss_kwargs = False  # the loss is a mean over rows: batches of one step are averaged
            self.reference = None if has_adapters else load(base).model.requires_grad_(False).eval()
            if self.reference is not None:
                self.reference = self.accelerator.prepare_model(self.reference, evaluation_mode=True)
            self.seen: list[Parts] = []

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, torch.Tensor],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            parts = self._parts(model, logits, inputs)
            self.seen.append(Parts(*(part.detach() for part in parts)))
            return (parts.loss, None) if return_outputs else parts.loss

        def _parts(self, model: Any, logits: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Parts:
            harmful, safe, kept = (third({**inputs, "logits": logits}, number) for number in range(3))
            weights: dict[str, Any] = {"alpha": recipe.alpha, "gamma": recipe.gamma, "utility": recipe.utility}
            weights["log_prob"] = recipe.log_prob
            if recipe.how.objective == "unlearning":
                far = divergence(self._reference(model, kept), kept["logits"], kept["attention_mask"])
                return unlearning_loss(said(harmful["logits"], harmful), said(safe["logits"], safe), far, **weights)
            before = said(self._reference(model, harmful), harmful)
            now = [said(part["logits"], part) for part in (harmful, safe, kept)]
            return safe_unlearning_loss(now[0], before, now[1], now[2], beta=recipe.beta, **weights)

        def _reference(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            plain = self.accelerator.unwrap_model(model)
            without = plain.disable_adapter() if has_adapters else contextlib.nullcontext()
            with torch.no_grad(), without:
                asked = model if self.reference is None else self.reference
                logits: torch.Tensor = asked(
                    input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
                ).logits
            return logits

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if self.seen and "loss" in logs:
                for name in ("forget", "safe", "keep"):
                    logs[name] = sum(float(getattr(parts, name)) for parts in self.seen) / len(self.seen)
                self.seen.clear()
            super().log(logs, start_time)

    return UnlearningTrainer(
        model=model,
        args=TrainingArguments(**arguments, remove_unused_columns=False),
        train_dataset=unlearning_items(loaded, recipe, data),
        data_collator=lambda items: collate(items, pad),
        processing_class=loaded.processor,
    )
