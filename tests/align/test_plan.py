"""What a run will take, counted as the processor counts, and every reason not to begin it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from needed import needs

from vlsbench.align.parts import load, read_processor
from vlsbench.align.plan import make_plan, plan_problems, render_plan
from vlsbench.align.recipes import make_recipe
from vlsbench.align.rows import TrainingData
from vlsbench.align.tokens import count_tokens
from vlsbench.align.training import prepare
from vlsbench.errors import ModelError

pytestmark = needs("trl", extra="align")


@pytest.mark.parametrize("family", ["llava", "qwen2_vl"])
def test_tokens_are_those_of_the_batch_that_is_trained_on(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path, family: str
) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from vlsbench.align.trainers import make_dataset, shown_images

    reader = read_processor(tiny_model(family))
    recipe, data = make_recipe("mm-sft"), rows()
    tokens = count_tokens(reader, recipe, data)
    collator = DataCollatorForVisionLanguageModeling(processor=reader.processor, completion_only_loss=True)
    table = make_dataset(data, recipe, shown_images(data, "image", tmp_path))
    image_token = load(tiny_model(family)).model.config.image_token_id
    for row, line in zip(tokens, table, strict=True):
        batch = collator([dict(line)])
        assert row.longest == int(batch["attention_mask"].sum())
        assert row.prompt == int((batch["labels"] == -100).sum())
        n_image = int((batch["input_ids"] == image_token).sum())
        assert row.image == (n_image if family == "llava" else n_image + 2 * (n_image > 0))  # its two marks are its


def test_a_plan_counts_rows_steps_and_weights(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    model, data = tiny_model("llava"), rows()
    recipe = make_recipe("mm-sft", epochs=3, batch_size=3, accumulation=2)
    plan = make_plan(recipe, data, count_tokens(read_processor(model), recipe, data), model, tmp_path / "run")
    weights = list(load(model).model.named_parameters())
    assert (plan.n_rows, plan.n_images, plan.n_steps) == (8, 7, 6)  # 3 batches an epoch, 2 to a step
    assert plan.n_weights == sum(weight.numel() for _, weight in weights)
    assert plan.n_trained == sum(weight.numel() for name, weight in weights if "vision" not in name)
    assert (plan.memory["weights"], plan.memory["optimizer"]) == (4 * plan.n_weights, 8 * plan.n_trained)
    assert plan.memory["reference"] == 0
    assert "8 rows, 7 with an image" in render_plan(plan)


def test_activations_and_logits_follow_the_written_rule(
    tiny: ModuleType, tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    """A token of a layer: 136 bytes a hidden unit. Its logits: nine tiles of TRL, six times all in our own losses."""
    model, data = tiny_model("llava"), rows()
    n_words = load(model).model.config.text_config.vocab_size
    for method, at_once, n_copies in (("mm-sft", 3, 9), ("mm-dpo", 6, 9), ("t-unlearning", 9, 6)):
        for checkpointing in (False, True):  # two layers: none is saved
            recipe = make_recipe(method, batch_size=3, checkpointing=checkpointing)
            plan = make_plan(recipe, data, count_tokens(read_processor(model), recipe, data), model, tmp_path / "run")
            n_tokens = at_once * plan.n_longest
            assert plan.memory["activations"] == n_tokens * 32 * 2 * 136
            assert plan.memory["logits"] == 4 * n_copies * n_tokens * n_words
    deep = tiny.make_llava(tmp_path / "deep", size=tiny.Size(layers=8))
    recipe = make_recipe("t-sft", batch_size=1, checkpointing=True)
    plan = make_plan(recipe, data, count_tokens(read_processor(deep), recipe, data), deep, tmp_path / "run")
    assert plan.memory["activations"] == plan.n_longest * 32 * (8 * 4 + 3 * 136)


def test_bfloat16_on_a_gpu_takes_two_fifths(
    tiny_model: Callable[..., Path],
    rows: Callable[..., TrainingData],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, data = tiny_model("llava"), rows()
    tokens = count_tokens(read_processor(model), make_recipe("mm-sft"), data)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (7_000_000_000, 8_000_000_000))
    for has_gpu, precision, by_unit in ((False, "bf16", 136), (True, "fp32", 136), (True, "bf16", 54)):
        monkeypatch.setattr("torch.cuda.is_available", lambda has_gpu=has_gpu: has_gpu)
        recipe = make_recipe("mm-sft", batch_size=3, precision=precision)
        plan = make_plan(recipe, data, tokens, model, tmp_path / "run")
        assert plan.memory["activations"] == 3 * plan.n_longest * 32 * 2 * by_unit
        assert (plan.memory_there == 7_000_000_000) is has_gpu


def test_adapters_are_counted_as_peft_makes_them(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    from vlsbench.align.trainers import adapted
    from vlsbench.align.training import _quiet

    model, data = tiny_model("llava"), rows()
    recipe = make_recipe("t-sft", lora_rank=2)
    plan = make_plan(recipe, data, count_tokens(read_processor(model), recipe, data), model, tmp_path / "run")
    with _quiet():
        made = adapted(load(model), recipe)
    n_made = sum(weight.numel() for weight in made.parameters() if weight.requires_grad)
    # Keys and values of the tiny model are half as wide as its hidden size: the estimate is above.
    assert n_made <= plan.n_trained <= 1.2 * n_made


def test_an_image_that_would_be_cut_stops_the_run(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    ready = prepare(make_recipe("mm-sft", max_length=8), tiny_model("llava"), rows(), tmp_path / "run")
    assert any("image tokens would be cut" in problem for problem in ready.problems)
    whole = prepare(make_recipe("mm-sft", max_length=None), tiny_model("llava"), rows(), tmp_path / "run")
    assert whole.problems == ()
    assert not (tmp_path / "run").exists(), "a plan writes nothing"


def test_what_stands_against_a_run_is_said_all_at_once(
    tiny: ModuleType, tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    """Each kind by itself, through `train`: test_before_training.py."""

    def said(method: str, model: Path, data: TrainingData) -> str:
        return " ".join(prepare(make_recipe(method), model, data, tmp_path / "run").problems)

    assert "no folder of a model" in said("t-sft", tmp_path, rows())
    window = tiny.make_llm(tmp_path / "short", size=tiny.Size(window=16))
    assert "the model reads 16; set max_length to 16" in said("t-sft", window, rows())
    both = said("mm-dpo", tiny_model("llm"), rows(rejected=None))
    assert "takes pairs" in both
    assert "no vision tower" in both


def test_a_text_method_needs_no_image_to_be_there(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    """As T-DPO takes SPA-VL: its images left out."""
    absent = rows(image="img/absent.png")
    ready = prepare(make_recipe("t-dpo"), tiny_model("llava"), absent, tmp_path / "run")
    assert ready.problems == ()
    assert ready.rows.digest == rows(image=None).digest
    assert any(
        "absent.png" in p for p in prepare(make_recipe("mm-dpo"), tiny_model("llava"), absent, tmp_path).problems
    )


def test_too_little_memory_or_disk_is_said(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    model, data, recipe = tiny_model("llava"), rows(), make_recipe("mm-sft")
    tokens = count_tokens(read_processor(model), recipe, data)
    plan = make_plan(recipe, data, tokens, model, tmp_path / "run")
    poor = plan.model_copy(update={"memory_there": 1000, "disk_there": 1000})
    problems = plan_problems(recipe, tokens, poor, model)
    assert [problem.split(" take")[0] for problem in problems] == [
        "weights, gradients and optimizer",
        "model and checkpoints",
    ]


def test_a_weight_of_no_known_part_is_an_error() -> None:
    from vlsbench.align.parts import part_of

    with pytest.raises(ModelError, match="of no part known here"):
        part_of("model.audio_tower.conv.weight", has_vision=True)
