"""Every kind of bad input is one sentence, before a weight is loaded and before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from needed import needs

from vlsbench.align import plan, training
from vlsbench.align.recipes import make_recipe
from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.errors import DataError, UsageError

pytestmark = needs("trl", extra="align")


@pytest.fixture
def refuse(
    tiny: ModuleType,
    tiny_model: Callable[..., Path],
    rows: Callable[..., TrainingData],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """Begin a run that must be refused, and return why."""

    def loaded(*arguments: object, **settings: object) -> None:
        pytest.fail("a weight was loaded")

    monkeypatch.setattr(training, "load", loaded)
    monkeypatch.setattr(training, "make_trainer", loaded)

    def begin(method: str, model: Path | None = None, data: TrainingData | None = None, **changes: Any) -> str:
        out = tmp_path / "run"
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(DataError) as error:
            training.train(make_recipe(method, **changes), model or tiny_model("llava"), data or rows(), out)
        assert sorted(tmp_path.rglob("*")) == before, "nothing was written"
        assert "\n" not in str(error.value)
        return str(error.value)

    return begin


def without(row: TrainingRow, **changes: Any) -> TrainingRow:
    return row.model_copy(update=changes)


def test_a_model_without_vision(refuse: Callable[..., str], tiny_model: Callable[..., Path]) -> None:
    assert "has no vision tower, and mm-sft shows images; take a t-* method" in refuse("mm-sft", tiny_model("llm"))


def test_a_tokenizer_without_a_chat_template(refuse: Callable[..., str], tiny: ModuleType, tmp_path: Path) -> None:
    mute = tiny.make_llm(tmp_path / "mute")
    (mute / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((mute / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    (mute / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert "no chat template, so nobody knows how a question is put" in refuse("t-sft", mute)


def test_data_without_images(refuse: Callable[..., str], rows: Callable[..., TrainingData]) -> None:
    assert "mm-sft is shown images, and no row has one" in refuse("mm-sft", data=rows(image=None))


def test_an_image_that_is_not_there(refuse: Callable[..., str], rows: Callable[..., TrainingData]) -> None:
    assert "image 'img/absent.png': No such file" in refuse("mm-dpo", data=rows(image="img/absent.png"))


@pytest.mark.parametrize("method", ["t-dpo", "mm-dpo", "t-safe-unlearning"])
def test_paired_and_unpaired_rows_together(
    refuse: Callable[..., str], rows: Callable[..., TrainingData], method: str
) -> None:
    whole = rows()
    mixed = TrainingData(
        tuple(without(row, rejected=None) if row.id == "r3" else row for row in whole.rows), whole.folder, whole.name
    )
    assert "1 row (r3) does not, the other 7 do" in refuse(method, data=mixed)


def test_an_output_folder_in_use(refuse: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine", encoding="utf-8")
    assert "is in use and holds no run of this recipe; name a new folder" in refuse("t-sft")


@pytest.mark.parametrize("method", ["mm-sft", "mm-dpo", "mm-rl", "mm-sft-blind"])
def test_a_max_length_that_would_cut_image_tokens(
    refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    if method == "mm-rl":
        begin = training.train
        monkeypatch.setattr(training, "train", lambda *a: begin(*a, reward=lambda rows, answers: [0.0] * len(answers)))
    assert "max_length is 8, and image tokens would be cut" in refuse(method, max_length=8)


def test_too_little_memory(refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_free_memory", lambda: 100_000)
    said = refuse("t-sft")
    assert "weights, gradients and optimizer take" in said
    assert "0.10 MB of memory are free; take adapters (lora_rank)" in said


def test_too_little_disk(refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    assert "and 0.10 MB of disk are free" in refuse("t-sft")


@pytest.mark.parametrize(
    ("told", "is_refused"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, True),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, True),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}, False),  # weights stay whole
        ({"ACCELERATE_USE_FSDP": "false"}, False),
        ({}, False),
    ],
)
def test_weights_in_parts_are_refused(told: Mapping[str, str], is_refused: bool) -> None:
    if not is_refused:
        training._refuse_shards(told)
        return
    with pytest.raises(UsageError, match=r"FSDP or ZeRO-3.*Launch data-parallel"):
        training._refuse_shards(told)


def test_a_launch_with_fsdp_is_refused_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate 1.x itself passes over it on a CPU, and would train data-parallel."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UsageError, match="FSDP"):
        training.train(make_recipe("t-sft"), tmp_path / "absent", tmp_path / "absent.jsonl", tmp_path / "run")
