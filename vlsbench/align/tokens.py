"""How many tokens a row takes, its image among them, as the model's own processor counts.

An image's tokens are counted by putting one through the processor, once for each size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from vlsbench.align.parts import Reader
from vlsbench.align.recipes import Recipe
from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, Picture, mime_of, size_of
from vlsbench.files import read_regular

__all__ = ["RowTokens", "count_tokens"]


class RowTokens(NamedTuple):
    """Tokens of a row."""

    id: str
    prompt: int
    """With the image."""
    image: int
    """Of the image alone."""
    answers: tuple[int, ...]
    """Of each answer that is trained on; the budget of one for RL."""

    @property
    def longest(self) -> int:
        """Prompt and longest answer."""
        return self.prompt + max(self.answers)


def count_tokens(reader: Reader, recipe: Recipe, data: TrainingData) -> list[RowTokens]:
    """Count the tokens of every row, in order; images are opened for their size."""
    sizes: dict[str, tuple[int, int]] = {}
    by_size: dict[tuple[int, int], int] = {}
    n_ending = _ending_tokens(reader)
    return [_count(reader, recipe, data, row, sizes, by_size, n_ending) for row in data.rows]


def _count(
    reader: Reader,
    recipe: Recipe,
    data: TrainingData,
    row: TrainingRow,
    sizes: dict[str, tuple[int, int]],
    by_size: dict[tuple[int, int], int],
    n_ending: int,
) -> RowTokens:
    n_image = 0
    if row.image is not None and recipe.how.is_multimodal:
        if row.image not in sizes:
            path = data.image_path(row)
            raw = b"" if path is None else read_regular(path, max_bytes=MAX_IMAGE_BYTES)
            sizes[row.image] = size_of(Picture(raw, mime_of(raw) or "image/png"))
        size = sizes[row.image]
        if size not in by_size:
            by_size[size] = _image_tokens(reader, size)
        n_image = by_size[size]
    prompt = _prompt_tokens(reader, row.prompt)
    if recipe.how.objective == "rl":
        return RowTokens(row.id, prompt + n_image, n_image, (recipe.max_new_tokens,))
    said = [text for text in (row.response, row.rejected) if text is not None]
    answers = [len(reader.tokenizer(text, add_special_tokens=False)["input_ids"]) + n_ending for text in said]
    n_answers = 1 if recipe.how.objective == "sft" else len(answers)
    return RowTokens(row.id, prompt + n_image, n_image, tuple(answers[:n_answers]))


def _rendered(reader: Reader, parts: Sequence[dict[str, Any]]) -> str:
    content: Any = list(parts) if reader.has_vision else parts[-1]["text"]
    message = [{"role": "user", "content": content}]
    text: str = reader.processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    return text


def _prompt_tokens(reader: Reader, prompt: str) -> int:
    text = _rendered(reader, [{"type": "text", "text": prompt}])
    return len(reader.tokenizer(text, add_special_tokens=False)["input_ids"])


def _ending_tokens(reader: Reader) -> int:
    """Count what the template writes behind an answer."""

    def said(text: str) -> Any:
        return [{"type": "text", "text": text}] if reader.has_vision else text

    talk = [{"role": "user", "content": said("a")}, {"role": "assistant", "content": said("a")}]
    whole: str = reader.processor.apply_chat_template(talk, tokenize=False)
    asked = reader.processor.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True)
    return len(reader.tokenizer(whole.removeprefix(f"{asked}a"), add_special_tokens=False)["input_ids"])


def _image_tokens(reader: Reader, size: tuple[int, int]) -> int:
    """Count what an image of a size adds to a prompt."""
    from PIL import Image

    text = _rendered(reader, [{"type": "image"}, {"type": "text", "text": "a"}])
    picture = Image.new("RGB", size, (128, 128, 128))
    with_image = reader.processor(images=[[picture]], text=[text], add_special_tokens=False)["input_ids"][0]
    return len(with_image) - _prompt_tokens(reader, "a")
