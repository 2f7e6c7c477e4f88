"""A model folder → model and processor; which part a weight is of, what is frozen, digests of weights.

Families name their parts alike in transformers 5: `model.language_model` and `lm_head`; `vision_tower` or `visual`;
`multi_modal_projector`, or `visual.merger` of Qwen2-VL. A weight that fits none of them is an error, never a guess.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vlsbench.align.recipes import Part, Recipe
from vlsbench.errors import ModelError, numbered

if TYPE_CHECKING:
    import torch

__all__ = [
    "Loaded",
    "Reader",
    "check_folder",
    "digest_weights",
    "empty_model",
    "freeze",
    "load",
    "lora_targets",
    "part_of",
    "parts_of",
    "read_processor",
    "with_first_token",
]

_PARTS: Final[tuple[tuple[Part, str], ...]] = (
    ("projector", r"projector|merger|connector|aligner|embedding_projection|embed_vision"),
    ("vision", r"vision|visual|image_newline"),
    ("language", r"language_model|lm_head"),
)
"""In order: Qwen2-VL's merger is inside `visual`, and it is its projector."""


class Reader(NamedTuple):
    """What turns conversations into tokens."""

    processor: Any
    """A model's processor; its tokenizer where it reads text only."""
    has_vision: bool

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return getattr(self.processor, "tokenizer", self.processor)


class Loaded(NamedTuple):
    """A model that is ready to be trained."""

    model: Any
    processor: Any
    """Its processor; a tokenizer where it reads text only."""
    has_vision: bool

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return getattr(self.processor, "tokenizer", self.processor)


def part_of(name: str, *, has_vision: bool) -> Part:
    """Return the part that a weight is of, by its full name.

    Raises:
        ModelError: If its name fits no part.

    >>> part_of("model.visual.merger.mlp.0.weight", has_vision=True)
    'projector'
    >>> part_of("model.layers.0.mlp.up_proj.weight", has_vision=False)
    'language'
    """
    if not has_vision:
        return "language"
    for part, pattern in _PARTS:
        if re.search(pattern, name):
            return part
    raise ModelError(f"weight {name!r} is of no part known here (language model, projector, vision tower).")


def parts_of(model: Any, *, has_vision: bool) -> dict[Part, list[tuple[str, torch.Tensor]]]:
    """Return the weights of each part by name; a tied weight once."""
    found: dict[Part, list[tuple[str, torch.Tensor]]] = {}
    for name, weight in model.named_parameters():
        found.setdefault(part_of(name, has_vision=has_vision), []).append((name, weight))
    return found


def check_folder(folder: Path) -> dict[str, Any]:
    """Return a model's config without loading the model.

    Raises:
        ModelError: If it is no folder of a model.
    """
    import json

    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"{folder}: no folder of a model (it has no config.json). Download one first: "
            "`hf download ORG/MODEL --local-dir DIR`."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: no JSON ({error}).") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: not a model's config.")
    return config


def read_processor(folder: Path) -> Reader:
    """Load the processor of a model, or the tokenizer of one that reads text only.

    Raises:
        ModelError: If it cannot be loaded, or there is no chat template.
    """
    import transformers

    has_vision = "vision_config" in check_folder(folder)
    kind: Any = transformers.AutoProcessor if has_vision else transformers.AutoTokenizer
    try:
        processor = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ModelError(f"{folder}: its processor cannot be loaded ({str(error)[:300]}).") from None
    if getattr(processor, "chat_template", None) is None:
        raise ModelError(
            f"{folder}: its tokenizer has no chat template, so nobody knows how a question is put; add "
            "chat_template.jinja of the model's authors."
        )
    reader = Reader(processor, has_vision)
    if reader.tokenizer.pad_token_id is None:
        reader.tokenizer.pad_token = reader.tokenizer.eos_token
    with_first_token(reader)
    return reader


def empty_model(folder: Path) -> Any:
    """Make the model of a folder without its weights, to count and name them."""
    import torch
    import transformers

    kind: Any = (
        transformers.AutoModelForImageTextToText
        if "vision_config" in check_folder(folder)
        else (transformers.AutoModelForCausalLM)
    )
    with torch.device("meta"):
        return kind.from_config(transformers.AutoConfig.from_pretrained(folder, local_files_only=True))


def load(folder: Path, reader: Reader | None = None) -> Loaded:
    """Load a model from a folder, in float32, on the CPU; the trainer moves it.

    Args:
        folder: Of the model.
        reader: Its processor, where it is loaded already.

    Raises:
        ModelError: If it cannot be loaded.
    """
    import torch
    import transformers

    reader = reader or read_processor(folder)
    kind: Any = transformers.AutoModelForImageTextToText if reader.has_vision else transformers.AutoModelForCausalLM
    try:
        model = kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ModelError(f"{folder}: cannot be loaded ({str(error)[:300]}).") from None
    return Loaded(model, reader.processor, reader.has_vision)


def with_first_token(reader: Reader) -> None:
    """Let the chat template write the token that a tokenizer puts before every text, where it does not.

    TRL renders the template and tokenizes without special tokens; transformers' own pipelines add the first one. LLaVA
    1.5 would be trained without it and asked with it.
    """
    tokenizer = reader.tokenizer
    bos = tokenizer.bos_token
    if bos is None or tokenizer("a")["input_ids"][:1] != [tokenizer.bos_token_id]:
        return
    content: Any = [{"type": "text", "text": "a"}] if reader.has_vision else "a"
    rendered = reader.processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    if not rendered.startswith(bos):
        template = "{{ '" + bos + "' }}" + reader.processor.chat_template
        reader.processor.chat_template = template
        tokenizer.chat_template = template


def freeze(loaded: Loaded, recipe: Recipe) -> list[Part]:
    """Let only the weights of the recipe's parts move; return the parts that do not.

    Raises:
        ModelError: If a part to be trained is not there.
    """
    parts = parts_of(loaded.model, has_vision=loaded.has_vision)
    absent = [part for part in recipe.parts if part not in parts]
    if absent and recipe.how.is_multimodal:
        raise ModelError(f"the recipe trains {numbered(list(absent))}, and this model has no such part.")
    for part, weights in parts.items():
        for _, weight in weights:
            weight.requires_grad_(part in recipe.parts)
    return [part for part in parts if part not in recipe.parts]


def lora_targets(loaded: Loaded, recipe: Recipe) -> str:
    """Return the full-name expression of the linear layers of the recipe's parts; never the head.

    PEFT's `all-linear` takes the vision tower too; TRL reads the head's weight past an adapter on it.
    """
    import torch

    names = [
        name
        for name, module in loaded.model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and not name.endswith("lm_head")
        and part_of(name, has_vision=loaded.has_vision) in recipe.parts
    ]
    return "|".join(re.escape(name) for name in names)


def digest_weights(weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 over names, types, shapes and bits, sorted by name."""
    import torch

    digest = hashlib.sha256()
    for name, weight in sorted(weights, key=lambda item: item[0]):
        bits = weight.detach().cpu().contiguous()
        digest.update(f"{name}\0{bits.dtype}\0{tuple(bits.shape)}\0".encode())
        digest.update(bits.view(torch.uint8).numpy().tobytes() if bits.dim() else bits.float().numpy().tobytes())
    return digest.hexdigest()
