"""The tiny LLaVA: a CLIP tower, a projector and a Llama of transformers, made in code and trained from scratch.

It learns to name, to place and to help (`sets.base_lessons`), and nothing of risk: it is the base model that every
recipe starts from. The folder it is saved in is an ordinary model folder, for `--model` of every command.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vlsbench.align.miniature.language import vocabulary
from vlsbench.align.miniature.sets import Lesson, base_lessons
from vlsbench.align.miniature.world import SIDE, draw
from vlsbench.text import Reached

if TYPE_CHECKING:
    from vlsbench.text import OnProgress

__all__ = ["BaseSize", "encode", "make_model", "make_processor", "train_base"]

_IMAGE, _USER, _ASSISTANT, _END, _PAD, _UNKNOWN = "<image>", "<user>", "<assistant>", "<end>", "<pad>", "<unk>"
_TEMPLATE: Final = (
    "{% for message in messages %}{% if message.role == 'assistant' %}<assistant> {% generation %}"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{{ part.text }}{% endfor %}{% endif %}<end>{% endgeneration %}{% else %}<user> "
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content if part.type == 'image' %}<image>{% endfor %}"
    "{% for part in message.content if part.type == 'text' %} {{ part.text }}{% endfor %}{% endif %} "
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)
"""Writes the image first in whatever order it is handed over, as the template of LLaVA 1.5 does: `generate` hands the
text of that family over first."""
_PATCH: Final = 8
_WINDOW: Final = 128
_SPREAD: Final = 0.08
"""Standard deviation of the first weights: 0.02, made for widths of a thousand, learns slowly at 64."""


class BaseSize(NamedTuple):
    """How large the model is and how long it learns."""

    hidden: int = 64
    vision_layers: int = 2
    text_layers: int = 2
    heads: int = 4
    steps: int = 1200
    batch: int = 64
    learning_rate: float = 3e-3
    cautious_share: float = 0.05


def make_processor() -> Any:
    """Make tokenizer (a word is a token), image processor and chat template."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    transformers: Any = importlib.import_module("transformers")  # its types know too little of its configs
    special = [_PAD, _UNKNOWN, _END, _USER, _ASSISTANT, _IMAGE]
    words = {word: number for number, word in enumerate([*special, *vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        eos_token=_END,
        extra_special_tokens={"image_token": _IMAGE, "user_token": _USER, "assistant_token": _ASSISTANT},
    )
    made.chat_template = _TEMPLATE
    return transformers.LlavaProcessor(
        image_processor=CLIPImageProcessorPil(do_resize=False, do_center_crop=False),
        tokenizer=made,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        chat_template=_TEMPLATE,
        image_token=_IMAGE,
        num_additional_image_tokens=1,
    )


def make_model(processor: Any, size: BaseSize, seed: int) -> Any:
    """Make the model with random weights."""
    import torch

    transformers: Any = importlib.import_module("transformers")
    tokenizer = processor.tokenizer
    shared = {
        "hidden_size": size.hidden,
        "intermediate_size": 2 * size.hidden,
        "num_attention_heads": size.heads,
    }
    torch.manual_seed(seed)
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(
            **shared,
            num_hidden_layers=size.text_layers,
            num_key_value_heads=size.heads,
            vocab_size=len(tokenizer),
            max_position_embeddings=_WINDOW,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            initializer_range=_SPREAD,
            tie_word_embeddings=False,
        ),
        vision_config=transformers.CLIPVisionConfig(
            **shared,
            num_hidden_layers=size.vision_layers,
            image_size=SIDE,
            patch_size=_PATCH,
            initializer_range=_SPREAD,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids(_IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    return transformers.LlavaForConditionalGeneration(config)


def train_base(folder: Path, *, size: BaseSize, seed: int, on_progress: OnProgress | None = None) -> list[float]:
    """Train the base model from scratch and save it.

    Returns:
        The loss of every step (mean over the tokens of the answers, nats).
    """
    import torch

    processor = make_processor()
    model = make_model(processor, size, seed)
    rng = random.Random(f"base {seed}")  # noqa: S311  # drawn lessons hide nothing
    optimizer = torch.optim.AdamW(model.parameters(), lr=size.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, size.learning_rate, total_steps=size.steps, pct_start=0.1)
    losses = []
    model.train()
    for step in range(size.steps):
        lessons = base_lessons(size.batch, rng, cautious_share=size.cautious_share)
        loss = model(**encode(processor, lessons)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if on_progress is not None:
            on_progress(Reached(step + 1, size.steps))
    model.eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return losses


def encode(processor: Any, lessons: Sequence[Lesson]) -> dict[str, Any]:
    """Make the tensors of a batch; only the tokens of the answer are learnt."""
    import torch

    texts, images = [], []
    for lesson in lessons:
        shown = "" if lesson.scene is None else _IMAGE
        texts.append(f"{_USER} {shown} {lesson.text} {_ASSISTANT} {lesson.answer}{_END}")
        if lesson.scene is not None:
            images.append(draw(lesson.scene))
    inputs = processor(text=texts, images=images or None, padding=True, padding_side="right", return_tensors="pt")
    ids = inputs["input_ids"]
    starts = (ids == processor.tokenizer.convert_tokens_to_ids(_ASSISTANT)).int().argmax(dim=1)
    is_answer = torch.arange(ids.shape[1])[None, :] > starts[:, None]
    labels = ids.where(is_answer & (inputs["attention_mask"] == 1), torch.tensor(-100))
    made = {name: inputs[name] for name in ("input_ids", "attention_mask", "pixel_values") if name in inputs}
    return {**made, "labels": labels}
