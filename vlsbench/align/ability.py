"""A small test of ability: questions about drawn shapes, with answers that are known because we drew them.

It notices a model that has forgotten how to see or to answer, no more; for MME, MMMU and their like run lmms-eval on
the aligned model's folder. A file of questions of your own has the format of a training file.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vlsbench.align.rows import TrainingData, TrainingRow, read_rows
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, Picture, mime_of, open_picture
from vlsbench.files import read_regular, write_atomic

if TYPE_CHECKING:
    from vlsbench.generate.transformers_engine import Chat, Engine

__all__ = ["ask", "draw_questions", "is_right", "questions_at"]

_COLORS: Final = ("red", "green", "blue", "yellow", "black")
_SHAPES: Final = ("circle", "square")
_NUMBERS: Final = ("one", "two", "three", "four")
_SIDE: Final = 224


def draw_questions(folder: Path, *, n: int = 48, seed: int = 0) -> Path:
    """Draw images and write `questions.jsonl` about their colour, shape and number; return its path."""
    import io

    from PIL import Image, ImageDraw

    drawn = random.Random(seed)  # noqa: S311  # seeded, nothing is hidden by it
    lines = []
    for number in range(n):
        color, shape, count = drawn.choice(_COLORS), drawn.choice(_SHAPES), drawn.randrange(len(_NUMBERS)) + 1
        image = Image.new("RGB", (_SIDE, _SIDE), "white")
        pen = ImageDraw.Draw(image)
        for place in range(count):
            x, y = 20 + 100 * (place % 2), 20 + 100 * (place // 2)
            (pen.ellipse if shape == "circle" else pen.rectangle)((x, y, x + 80, y + 80), fill=color)
        asked = (
            (f"What colour {'is the shape' if count == 1 else 'are the shapes'}? Answer with one word.", color),
            ("Are the shapes circles or squares? Answer with one word.", shape),
            ("How many shapes are there? Answer with one word.", _NUMBERS[count - 1]),
        )[number % 3]
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        write_atomic(folder / f"{number}.png", buffer.getvalue())
        lines.append({"id": str(number), "prompt": asked[0], "image": f"{number}.png", "response": asked[1]})
    path = folder / "questions.jsonl"
    write_atomic(path, "".join(json.dumps(line) + "\n" for line in lines))
    return path


def questions_at(path: Path | None, folder: Path) -> TrainingData:
    """Read questions with their answers; ours, drawn into `folder`, where no file is named."""
    return read_rows(draw_questions(folder) if path is None else path)


def is_right(reply: str, answer: str) -> bool:
    """Whether a reply says the answer, as whole words, in digits or letters, and no other one first.

    >>> is_right("There are 2 shapes.", "two"), is_right("Not one, two.", "two"), is_right("Squares", "square")
    (True, False, True)
    """
    words = [_plain(word) for word in re.findall(r"\w+", reply.lower())]
    wanted = [_plain(word) for word in re.findall(r"\w+", answer.lower())]
    rivals = next(
        (set(group) - set(wanted) for group in (_COLORS, _SHAPES, _NUMBERS) if set(wanted) & set(group)), set()
    )
    for place in range(len(words) - len(wanted) + 1):
        if words[place] in rivals:
            return False
        if words[place : place + len(wanted)] == wanted:
            return True
    return False


def _plain(word: str) -> str:
    if word.isdigit() and 1 <= int(word) <= len(_NUMBERS):
        return _NUMBERS[int(word) - 1]
    return word[:-1] if word[:-1] in _SHAPES else word


def ask(engine: Engine, questions: TrainingData, *, batch_size: int = 8) -> int:
    """Ask every question and return how many were answered right; one that cannot be asked is not."""
    from vlsbench.generate.transformers_engine import Chat, Generated, answer_batches

    n_right = 0

    def put(row: TrainingRow) -> Chat:
        path = questions.image_path(row)
        if path is None:
            return Chat("", (row.prompt,))
        raw = read_regular(path, max_bytes=MAX_IMAGE_BYTES)
        return Chat("", (open_picture(Picture(raw, mime_of(raw) or "image/png")), row.prompt))

    def keep(rows: Sequence[TrainingRow], replies: Sequence[Generated | None]) -> None:
        nonlocal n_right
        n_right += sum(
            reply is not None and is_right(reply.text, row.response or "")
            for row, reply in zip(rows, replies, strict=True)
        )

    answer_batches(engine, questions.rows, put, keep, batch_size=batch_size)
    return n_right
