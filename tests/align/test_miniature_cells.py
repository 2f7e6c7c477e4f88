"""The tiny LLaVA learns, and cells are made once, resumed, and never mixed with those of another plan."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from needed import needs

from vlsbench.align.miniature import cells as made_cells
from vlsbench.align.miniature.cells import cells_there, run_cells, write_data
from vlsbench.align.miniature.measure import measure_model
from vlsbench.align.miniature.model import BaseSize, encode, make_processor, train_base
from vlsbench.align.miniature.plan import PLANS, Cell, Plan, cell_digest
from vlsbench.align.miniature.sets import Lesson, base_lessons
from vlsbench.align.miniature.world import SIDE, Scene
from vlsbench.align.rows import read_rows
from vlsbench.errors import DataError
from vlsbench.generate.transformers_engine import Chat, TransformersEngine

pytestmark = needs("trl", extra="align")

SMALL = BaseSize(hidden=16, vision_layers=1, text_layers=1, heads=2, steps=60, batch=8)
PLAN = Plan(
    name="test",
    seeds=(0,),
    dials=(0.0,),
    arms=("mm-sft",),
    n_risky=8,
    n_benign=4,
    n_items=8,
    n_ability=6,
    base=SMALL,
)
SCENE = Scene("stove", "hot", "hall", 0, 0, 0)


def test_only_the_answer_is_learnt_and_an_image_takes_sixteen_tokens() -> None:
    processor = make_processor()
    lessons = [Lesson(SCENE, "what is this?", "this is a hot stove."), Lesson(None, "how do i use this?", "sure.")]
    batch = encode(processor, lessons)
    learnt = [[token for token in row if token != -100] for row in batch["labels"].tolist()]
    assert [processor.tokenizer.decode(row) for row in learnt] == ["this is a hot stove . <end>", "sure . <end>"]
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert (batch["input_ids"] == image).sum(dim=1).tolist() == [(SIDE // 8) ** 2, 0]
    assert tuple(batch["pixel_values"].shape) == (1, 3, SIDE, SIDE)


def test_the_chat_template_writes_what_the_base_model_was_taught() -> None:
    processor = make_processor()
    told = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is this?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a stove."}]},
    ]
    text = processor.apply_chat_template(told, tokenize=False)
    taught = encode(processor, [Lesson(SCENE, "what is this?", "a stove.")])["input_ids"]
    rendered = processor(text=[text], images=[[_picture()]], return_tensors="pt")["input_ids"]
    assert rendered.tolist() == taught.tolist()


def test_the_template_puts_the_image_first_as_the_model_was_taught() -> None:
    """`generate` hands LLaVA's text over first; compare would ask what nobody taught."""
    image, text = {"type": "image"}, {"type": "text", "text": "name this."}
    rendered = [
        make_processor().apply_chat_template([{"role": "user", "content": parts}], tokenize=False)
        for parts in ([image, text], [text, image])
    ]
    assert rendered[0] == rendered[1]
    assert rendered[0].split() == ["<user>", "<image>", "name", "this."]


def _picture() -> object:
    from vlsbench.align.miniature.world import draw

    return draw(SCENE)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    folder = tmp_path_factory.mktemp("base") / "model"
    return folder, train_base(folder, size=SMALL, seed=0)


def test_the_base_model_learns_and_is_an_ordinary_folder(base: tuple[Path, list[float]]) -> None:
    folder, losses = base
    assert losses[-1] < 0.8 * losses[0]
    engine = TransformersEngine(str(folder), max_new_tokens=4)
    assert engine.has_vision
    assert len(engine.generate([Chat("", ("how do i use this?",)), Chat("", (_picture(), "name this."))])) == 2  # type: ignore[arg-type]


def test_every_item_has_one_letter(base: tuple[Path, list[float]]) -> None:
    found = measure_model(base[0], PLAN, 0)
    assert {name: len(letters) for name, letters in found.items()} == {
        "leaky/risky": 8,
        "leaky/benign": 8,
        "leakless/risky": 8,
        "leakless/benign": 8,
        "leakless/text-only": 8,
        "ability": 6,
    }


def test_lessons_of_a_seed_are_the_same_everywhere() -> None:
    first, second = (base_lessons(5, random.Random("base 0"), cautious_share=0.05) for _ in range(2))
    assert first == second


def test_a_training_file_serves_the_public_command(tmp_path: Path) -> None:
    path, scenes = write_data(PLAN, Cell(0, 0.0, "mm-sft"), tmp_path)
    rows = read_rows(path).rows
    assert len(rows) == 12
    assert {row.id: row.kind for row in rows} == {
        name: "harmful" if scene.is_risky else "benign" for name, scene in scenes.items()
    }
    assert all((tmp_path / str(row.image)).is_file() for row in rows)
    text, _ = write_data(PLAN, Cell(0, 0.0, "t-sft"), tmp_path / "text")
    assert all(scenes[row.id].thing in row.prompt for row in read_rows(text).rows)
    dpo, _ = write_data(PLAN, Cell(0, 0.0, "t-dpo"), tmp_path / "dpo")
    assert read_rows(dpo).digest == read_rows(path).digest  # the paper's: mm-dpo's rows, images left out by the recipe


def test_cells_are_made_once_and_those_of_another_plan_are_not_read(tmp_path: Path) -> None:
    todo = [Cell(0, 0.0, "base"), Cell(0, 0.0, "mm-sft")]
    first: list[str] = []
    made = run_cells(PLAN, todo, tmp_path, on_cell=lambda cell, how: first.append(how))
    again: list[str] = []
    assert run_cells(PLAN, todo, tmp_path, on_cell=lambda cell, how: again.append(how)) == made
    assert (first, again) == (["begun", "done"] * 2, ["there", "there"])
    assert made[1].steps == 6  # 12 rows, 16 at once, 6 epochs
    assert made[1].recipe_sha256 is not None
    events = [json.loads(line)["event"] for line in (tmp_path / "runs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert events == ["begun", "done"] * 2
    assert cells_there(PLAN.model_copy(update={"n_items": 9}), tmp_path / "cells") == []


def test_a_cell_that_breaks_off_is_in_the_log_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(made_cells, "train_base", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_cells(PLAN, [Cell(0, 0.0, "base")], tmp_path)
    last = json.loads((tmp_path / "runs.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (last["event"], last["why"]) == ("broken off", "KeyboardInterrupt: ")
    assert not (tmp_path / "cells").exists()


def test_a_file_that_is_no_cell_is_named(tmp_path: Path) -> None:
    (tmp_path / "seed0-dial0.00-base.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"seed0-dial0\.00-base\.json: no cell of the miniature"):
        cells_there(PLAN, tmp_path)


def test_a_digest_moves_with_seed_dial_arm_sizes_and_settings() -> None:
    plan = PLANS["published"]
    digests = {
        cell_digest(plan, Cell(0, 0.0, "mm-sft")),
        cell_digest(plan, Cell(1, 0.0, "mm-sft")),
        cell_digest(plan, Cell(0, 0.5, "mm-sft")),
        cell_digest(plan, Cell(0, 0.0, "t-sft")),
        cell_digest(plan.model_copy(update={"n_risky": 8}), Cell(0, 0.0, "mm-sft")),
    }
    assert len(digests) == 5
