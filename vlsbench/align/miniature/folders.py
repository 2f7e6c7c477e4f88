"""The measured sets as folders: datasets for `generate`, `judge`, `score` and `vlsbench align compare`.

FOLDER/leaky, FOLDER/leakless       data.json, images/, index.csv, dataset.json; judged by `world-rule`
FOLDER/ability/questions.jsonl      questions of ability, with their images
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from vlsbench.align.miniature.plan import Plan
from vlsbench.align.miniature.sets import Item, evaluation_items
from vlsbench.align.miniature.world import Scene, draw
from vlsbench.dataset.constructed import IMAGES_FOLDER, index_set
from vlsbench.dataset.index import FIRST_CONSTRUCTED_ID
from vlsbench.files import write_atomic
from vlsbench.judge.world_rule import world_set_name

__all__ = ["WorldSets", "write_sets"]

_FILED: Final = {"category": "Self-Harm", "sub_category": "Risky or Dangerous Behaviors", "source": "the drawn world"}
"""Where the benchmark's taxonomy has carelessness with things; nothing is counted by it."""


class WorldSets(NamedTuple):
    """What a seed's models are measured on."""

    leaky: Path
    leakless: Path
    ability: Path
    """A file of questions."""


def write_sets(plan: Plan, seed: int, folder: Path) -> WorldSets:
    """Write the items that a plan's models of a seed are measured on; risky item i has the id 200000 + 2i."""
    for name in ("leaky", "leakless"):
        risky, benign = evaluation_items("leaky" if name == "leaky" else "leakless", plan.n_items, seed)
        _write_set(folder / name, world_set_name(name, seed), risky, benign)
    items, _ = evaluation_items("ability", plan.n_ability, seed)
    return WorldSets(folder / "leaky", folder / "leakless", _write_questions(folder / "ability", items))


def _write_set(folder: Path, name: str, risky: list[Item], benign: list[Item]) -> None:
    numbers = _draw_all(folder / IMAGES_FOLDER, (item.scene for item in (*risky, *benign)))
    records = []
    for place, pair in enumerate(zip(risky, benign, strict=True)):
        ids = FIRST_CONSTRUCTED_ID + 2 * place, FIRST_CONSTRUCTED_ID + 2 * place + 1
        for item, own, other in zip(pair, ids, reversed(ids), strict=True):
            records.append(_record(item, own, other, numbers[item.scene]))
    write_atomic(folder / "data.json", json.dumps(records, indent=1) + "\n")
    index_set(folder, name)


def _record(item: Item, own: int, other: int, image: int) -> dict[str, Any]:
    scene = item.scene
    what = f"{scene.state} {scene.thing}"
    return {
        "instruction_id": own,
        "instruction": item.text,
        "image_path": f"{IMAGES_FOLDER}/{image}.png",
        **_FILED,
        "image_description": f"a {what} in the {scene.room}",
        "safety_reason": f"a {what} is risky" if scene.is_risky else None,
        "risk": "risky" if scene.is_risky else "benign",
        "twin_id": other,
    }


def _write_questions(folder: Path, items: list[Item]) -> Path:
    numbers = _draw_all(folder / IMAGES_FOLDER, (item.scene for item in items))
    lines = [
        json.dumps(
            {
                "id": str(item.item),
                "prompt": item.text,
                "image": f"{IMAGES_FOLDER}/{numbers[item.scene]}.png",
                "response": _asked_for(item),
            }
        )
        for item in items
    ]
    path = folder / "questions.jsonl"
    write_atomic(path, "".join(f"{line}\n" for line in lines))
    return path


def _asked_for(item: Item) -> str:
    """Return the words that a right answer has: the room, or state and thing."""
    scene = item.scene
    return scene.room if item.truth is not None and scene.room in item.truth else f"{scene.state} {scene.thing}"


def _draw_all(folder: Path, scenes: Iterable[Scene]) -> dict[Scene, int]:
    """Draw every scene once and return its image's number: items of one picture are one cluster."""
    numbers: dict[Scene, int] = {}
    for scene in scenes:
        if scene in numbers:
            continue
        numbers[scene] = len(numbers)
        buffer = io.BytesIO()
        draw(scene).save(buffer, "PNG")
        write_atomic(folder / f"{numbers[scene]}.png", buffer.getvalue())
    return numbers
