"""Every recipe on tiny models: it lowers its own objective, leaves frozen parts alone, and goes on after SIGKILL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from needed import needs

from vlsbench.align.audit import DataAudit
from vlsbench.align.parts import digest_weights, freeze, load, lora_targets, parts_of
from vlsbench.align.recipes import METHODS, make_recipe
from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.align.training import Run, Step, train
from vlsbench.errors import DataError, ModelError, UsageError

pytestmark = needs("trl", "peft", extra="align")

NO_AUDIT = DataAudit(auc=None, cue=None, cue_accuracy=None, majority=None, points_at_image=None)
QUICK: dict[str, Any] = {"learning_rate": 0.01, "epochs": 3, "batch_size": 4, "warmup": 0.0, "schedule": "constant"}
LANGUAGE_ONLY = {"vision", "projector"}


def a_is_good(rows: Sequence[TrainingRow], answers: Sequence[str]) -> list[float | None]:
    return [sum(map(str.isalpha, answer)) / 8 for answer in answers]


def run(method: str, model: Path, data: TrainingData, out: Path, **changes: Any) -> Run:
    more: dict[str, Any] = {}
    if method == "mm-rl":
        more["reward"] = a_is_good
    if method == "mm-sft-clean":
        more["weights"] = {row.id: 1.0 + i for i, row in enumerate(data.rows)}
    return train(make_recipe(method, **{**QUICK, **changes}), model, data, out, audit=NO_AUDIT, **more)


@pytest.mark.parametrize("family", ["llava", "qwen2_vl"])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "mm-rl"])
def test_a_recipe_lowers_its_objective_and_leaves_frozen_parts_as_they_are(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path, method: str, family: str
) -> None:
    model = tiny_model(family)
    made = run(method, model, rows(8 if method == "mm-sft-clean" else 5), tmp_path / "run")
    assert made.losses[-1] < made.losses[0]
    before, after = (parts_of(load(f).model, has_vision=True) for f in (model, made.model))
    moved = {part for part in before if digest_weights(before[part]) != digest_weights(after[part])}
    expected = {"language"} if method.startswith("t-") else {"language", "projector"}
    assert moved == expected
    assert made.capsule.frozen == {p: digest_weights(before[p]) for p in ({"vision", "projector"} - moved) | {"vision"}}


def test_rl_raises_its_reward(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    run("mm-rl", tiny_model("llava"), rows(4), tmp_path / "run", n_answers=8, max_new_tokens=4, epochs=6, beta=0.0)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["reward"] > lines[0]["reward"]


def test_grpo_takes_the_same_rows_and_an_answer_nobody_judged(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    def some(asked: Sequence[TrainingRow], answers: Sequence[str]) -> list[float | None]:
        assert {row.id for row in asked} <= {f"r{i}" for i in range(4)}
        return [None if i % 3 == 0 else float(i % 2) for i, _ in enumerate(answers)]

    recipe = make_recipe("mm-rl", **QUICK, max_steps=1, algorithm="grpo", n_answers=2, max_new_tokens=3)
    made = train(recipe, tiny_model("qwen2_vl"), rows(4), tmp_path / "run", reward=some, audit=NO_AUDIT)
    assert (made.capsule.reward, len(made.losses)) == ("some", 1)
    with pytest.raises(ModelError, match="judge none of the 8 answers"):
        train(
            recipe, tiny_model("qwen2_vl"), rows(4), tmp_path / "b", reward=lambda r, a: [None] * len(a), audit=NO_AUDIT
        )


@pytest.mark.parametrize(("method", "parts"), [("t-sft", {"language"}), ("mm-sft", {"language", "projector"})])
def test_adapters_stand_only_on_the_parts_of_the_recipe(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path, method: str, parts: set[str]
) -> None:
    import re

    loaded = load(tiny_model("llava"))
    pattern = lora_targets(loaded, make_recipe(method, lora_rank=2))
    hit = {name for name, _ in loaded.model.named_modules() if re.fullmatch(pattern, name)}
    assert {"language" if "language_model" in n else "projector" if "projector" in n else n for n in hit} == parts
    assert len([name for name in hit if "language_model" in name]) == 2 * 7  # q k v o, gate up down in two layers
    made = run(method, tiny_model("llava"), rows(), tmp_path / "run", lora_rank=2)
    assert made.losses[-1] < made.losses[0]
    assert not list(made.model.glob("adapter*")), "the model is whole: adapters are merged"


def test_dpo_and_unlearning_with_adapters_begin_where_the_reference_is(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    full = run("t-safe-unlearning", tiny_model("llava"), rows(), tmp_path / "full", max_steps=1)
    lora = run("t-safe-unlearning", tiny_model("llava"), rows(), tmp_path / "lora", max_steps=1, lora_rank=2)
    assert lora.losses[0] == pytest.approx(full.losses[0], rel=1e-5)
    dpo = run("mm-dpo", tiny_model("llava"), rows(), tmp_path / "dpo", max_steps=1, lora_rank=2)
    assert dpo.losses[0] == pytest.approx(0.693147, rel=1e-4)  # log 2: chosen and rejected are as likely as before


def test_bfloat16_computes_on_float32_weights(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    import torch

    made = run("mm-sft", tiny_model("qwen2_vl"), rows(), tmp_path / "run", precision="bf16")
    assert made.losses[-1] < made.losses[0]
    assert {weight.dtype for weight in load(made.model).model.parameters()} == {torch.float32}


def test_the_blind_arm_is_shown_grey_and_nothing_else(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    from PIL import Image

    from vlsbench.align.trainers import shown_images

    data = rows()
    shown = shown_images(data, "grey", tmp_path)
    for row, paths in zip(data.rows, shown, strict=True):
        assert bool(paths) is (row.image is not None)
        for path in paths:
            with Image.open(path) as grey:
                assert grey.size == (30 + 14 * int(str(row.image)[4]), 30)
                assert grey.getcolors() == [(grey.width * grey.height, (128, 128, 128))]


def test_an_image_that_decoders_read_differently_is_written_as_it_is_seen(tmp_path: Path) -> None:
    from PIL import Image

    from vlsbench.align.trainers import shown_images

    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    data = TrainingData((TrainingRow(id="1", prompt="a", image="clear.png"),), tmp_path)
    ((path,),) = shown_images(data, "image", tmp_path / "made")
    with Image.open(path) as seen:
        assert seen.convert("RGB").getpixel((0, 0)) == (255, 255, 255), "on white, as `generate` shows it; not black"


def test_the_template_writes_the_token_that_the_tokenizer_puts_first(
    tiny: ModuleType, rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    """LLaVA 1.5 would be trained without its first token and asked with it."""
    model = tiny.make_llava(tmp_path / "first", first="<|video_pad|>")
    loaded = load(model)
    question = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    text = loaded.processor.apply_chat_template(question, tokenize=False)
    assert text.startswith("<|video_pad|>")
    asked = loaded.processor.apply_chat_template([question], tokenize=True, return_dict=True)["input_ids"][0]
    first = loaded.tokenizer.bos_token_id
    assert asked[:2].count(first) == 1, "asked with one, not two"


COMMAND = """
import sys
from pathlib import Path
from vlsbench.align.audit import DataAudit
from vlsbench.align.recipes import make_recipe
from vlsbench.align.training import train
model, data, out = map(Path, sys.argv[1:])
recipe = make_recipe("mm-sft", learning_rate=0.01, epochs=6, batch_size=2, save_every=3, warmup=0.0)
no = DataAudit(auc=None, cue=None, cue_accuracy=None, majority=None, points_at_image=None)
train(recipe, model, data, out, audit=no)
"""


def test_a_killed_run_goes_on_with_the_same_losses_and_ends_in_the_same_weights(
    tiny_model: Callable[..., Path], write: Callable[..., Path], tmp_path: Path
) -> None:
    """LLaVA, because transformers' own trainer passes over every weight of its checkpoint."""
    model, data = tiny_model("llava"), write()
    call = [sys.executable, "-c", COMMAND, str(model), str(data)]
    killed = tmp_path / "killed"
    process = subprocess.Popen([*call, str(killed)], stderr=subprocess.DEVNULL)
    second = killed / "checkpoints" / "checkpoint-6"  # so the first is whole; this one may be torn
    deadline = time.monotonic() + 240
    while not second.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "capsule.json").exists(), "it was killed before it was complete"
    recipe = make_recipe("mm-sft", learning_rate=0.01, epochs=6, batch_size=2, save_every=3, warmup=0.0)
    seen: list[int] = []
    went_on = train(recipe, model, data, killed, audit=NO_AUDIT, on_step=lambda step: seen.append(step.done))
    assert seen[0] >= 3, "it began from a checkpoint"
    whole = train(recipe, model, data, tmp_path / "whole", audit=NO_AUDIT)
    assert went_on.losses == whole.losses
    assert len(whole.losses) == 24
    assert went_on.capsule.weights_sha256 == whole.capsule.weights_sha256
    again = train(recipe, model, data, killed, audit=NO_AUDIT, on_step=lambda step: pytest.fail("it is complete"))
    assert again.capsule == went_on.capsule


@pytest.mark.parametrize("changes", [{"method": "t-safe-unlearning"}, {"method": "mm-dpo", "lora_rank": 2}], ids=str)
def test_a_run_that_was_stopped_goes_on_with_the_reference_it_began_with(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path, changes: dict[str, Any]
) -> None:
    class StopError(Exception):
        pass

    def stop(step: Step) -> None:
        if step.done == 3:
            raise StopError

    recipe = make_recipe(**{**QUICK, **changes}, save_every=2)
    with pytest.raises(StopError):
        train(recipe, tiny_model("llava"), rows(), tmp_path / "a", audit=NO_AUDIT, on_step=stop)
    went_on = train(recipe, tiny_model("llava"), rows(), tmp_path / "a", audit=NO_AUDIT)
    whole = train(recipe, tiny_model("llava"), rows(), tmp_path / "b", audit=NO_AUDIT)
    assert (went_on.losses, went_on.capsule.weights_sha256) == (whole.losses, whole.capsule.weights_sha256)


def test_a_checkpoint_that_was_torn_is_not_gone_on_from(tmp_path: Path) -> None:
    from vlsbench.align.training import _last_checkpoint

    for step, state in ((3, "{}"), (6, '{"global_st')):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("optimizer.pt", "scheduler.pt"):
            (folder / name).touch()
        (folder / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-9").mkdir()
    assert _last_checkpoint(tmp_path) == tmp_path / "checkpoint-3"


def test_a_loss_that_is_not_finite_ends_the_run(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"loss is (nan|inf)"):
        run(
            "t-sft",
            tiny_model("llava"),
            rows(),
            tmp_path / "run",
            alpha=0.5,
            learning_rate=10.0,
            max_grad_norm=1e30,
            epochs=60,
        )


def test_what_needs_a_reward_or_weights_says_so(
    tiny_model: Callable[..., Path], rows: Callable[..., TrainingData], tmp_path: Path
) -> None:
    for method, said in (("mm-rl", "--reward"), ("mm-sft-clean", "--weights")):
        with pytest.raises(UsageError, match=said):
            train(make_recipe(method), tiny_model("llava"), rows(), tmp_path / "run", audit=NO_AUDIT)
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match="of other rows"):
        train(make_recipe("mm-sft-clean"), tiny_model("llava"), rows(), tmp_path / "run", weights={"x": 1.0})


def test_a_frozen_part_is_not_trained(tiny_model: Callable[..., Path]) -> None:
    loaded = load(tiny_model("qwen2_vl"))
    assert set(freeze(loaded, make_recipe("t-sft"))) == LANGUAGE_ONLY
    trained = {name for name, weight in loaded.model.named_parameters() if weight.requires_grad}
    assert trained
    assert all("language_model" in name or "lm_head" in name for name in trained)
