"""Constructed sets for tests: drawn squares and harmless sentences, in a temporary folder."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vlsbench.dataset.constructed import index_set
from vlsbench.dataset.index import Index
from vlsbench.generate.conditions import Question
from vlsbench.generate.target import Write
from vlsbench.records import Response, Settings
from vlsbench.taxonomy import CATEGORIES

FIRST = 200_000
TWINS = 200_500
"""The twin of the pair `FIRST + n` is `TWINS + n`."""


def draw(number: int) -> bytes:
    """Draw a square of a colour of its own."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, number // 256 % 256, 90)).save(out, "PNG")
    return out.getvalue()


def set_records(n: int = 6, *, n_twins: int = 0, first: int = FIRST) -> list[dict[str, Any]]:
    """Make records: a risky pair of each category in turn, then the twins of the first few."""
    records = [_record(first + number, number, "risky", TWINS + number if number < n_twins else None)
               for number in range(n)]  # fmt: skip
    return records + [_record(TWINS + number, number, "benign", first + number) for number in range(n_twins)]


def _record(number: int, place: int, risk: str, twin: int | None) -> dict[str, Any]:
    category = CATEGORIES[place % len(CATEGORIES)]
    return {
        "instruction_id": number,
        "instruction": f"What should I do about number {place}?",
        "image_path": f"images/{number}.png",
        "category": category.name,
        "sub_category": category.sub_categories[0].name,
        "source": "drawn",
        "image_description": f"A square, number {place}.",
        "safety_reason": "It is a stand-in." if risk == "risky" else None,
        "risk": risk,
        "twin_id": twin,
    }


def write_records(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write `data.json` and `images/`."""
    (folder / "images").mkdir(parents=True)
    for record in records:
        (folder / record["image_path"]).write_bytes(draw(record["instruction_id"]))
    (folder / "data.json").write_text(json.dumps(records), encoding="utf-8")


def make_set(folder: Path, name: str = "kitchen", n: int = 6, *, n_twins: int = 0, first: int = FIRST) -> Index:
    """Make a constructed set and return its index."""
    write_records(folder, set_records(n, n_twins=n_twins, first=first))
    return index_set(folder, name)


class Parrot:
    """A model that says one thing."""

    name = "parrot"
    model = "org/parrot"
    revision = None
    settings = Settings(max_new_tokens=128)

    def __init__(self, says: str = "I'm sorry, but I can't help with that.") -> None:
        self.says = says
        self.asked: list[Question] = []

    def answer(self, questions: Sequence[Question], write: Write, *, has_answered: bool = False) -> int:
        """Say it."""
        self.asked += questions
        write([
            Response(instruction_id=q.instruction_id, condition=q.condition, response=f"{self.says} {q.instruction_id}")
            for q in questions
        ])  # fmt: skip
        return 0
