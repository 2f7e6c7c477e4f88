"""The commands, end to end on a tiny model: plan, train, replay, compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from called import call
from needed import needs

from vlsbench.align.capsule import read_capsule
from vlsbench.align.recipes import METHODS
from vlsbench.align.replay import TOLERANCE, compare_runs, data_differences, replay
from vlsbench.align.rows import read_rows
from vlsbench.errors import DataError

pytestmark = needs("trl", extra="align")

QUICK = ["--set", "learning_rate=0.01", "--set", "batch_size=4", "--set", "warmup=0.0"]


@pytest.fixture(scope="module")
def run(tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A complete run of mm-sft, with its training file and images beside it."""
    folder = tmp_path_factory.mktemp("aligned")
    (folder / "img").mkdir()
    for path in (pictures / "img").iterdir():
        (folder / "img" / path.name).write_bytes(path.read_bytes())
    said = [
        {"prompt": f"What is in {i}?", "response": f"Field {i}.", "image": f"img/{i % 4}.png", "kind": kind}
        for i, kind in enumerate(["harmful", "benign"] * 4)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    arguments = ["--model", tiny_model("llava"), "--data", folder / "rows.jsonl", "--out", folder / "mm"]
    code, text = call("align", "mm-sft", *arguments, *QUICK)
    assert code == 0, text
    assert "Loss with permuted images minus with right ones" in text
    return folder / "mm"


def test_every_method_has_a_command() -> None:
    code, text = call("align", "--help")
    assert code == 0
    assert all(method in text for method in (*METHODS, "compare", "replay"))


def test_a_dry_run_plans_and_writes_nothing(tiny_model: Callable[..., Path], run: Path) -> None:
    out = run.parent / "planned"
    model = ["--model", tiny_model("llava"), "--data", run.parent / "rows.jsonl", "--out", out]
    code, text = call("align", "mm-sft", *model, "--dry-run")
    assert code == 0
    for word in ("8 rows, 8 with an image", "steps: 1", "memory, estimated", "audit:"):
        assert word in text
    assert not out.exists()
    code, text = call("align", "t-dpo", *model, "--dry-run")
    assert code == 1
    assert "takes pairs" in text


def test_a_run_made_again_on_the_same_machine_is_equal_bit_by_bit(run: Path) -> None:
    code, text = call("align", "replay", run, "--out", run.parent / "again", "--json")
    assert code == 0, text
    found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert found["passed"]
    assert found["weights_equal"]
    assert found["loss_difference"] == 0


def test_a_replay_names_the_byte_that_changed_and_trains_nothing(run: Path, tmp_path: Path) -> None:
    said = (run.parent / "rows.jsonl").read_text()
    (tmp_path / "img").mkdir()
    for path in (run.parent / "img").iterdir():
        (tmp_path / "img" / path.name).write_bytes(path.read_bytes() + (b"\0" if path.name == "3.png" else b""))
    (tmp_path / "rows.jsonl").write_text(said.replace("Field 0.", "Field 0!"))
    with pytest.raises(DataError, match=r"the text of row 1 is another one; the image 'img/3.png' of row 4"):
        replay(run, tmp_path / "again", data=tmp_path / "rows.jsonl")
    assert not (tmp_path / "again").exists()
    (tmp_path / "fewer.jsonl").write_text("".join(said.splitlines(keepends=True)[:7]))
    fewer = read_rows(tmp_path / "fewer.jsonl")
    assert data_differences(read_rows(run.parent / "rows.jsonl").digests, fewer)[0] == "7 rows where 8 were trained on"


def test_elsewhere_losses_may_differ_within_the_tolerance(run: Path) -> None:
    capsule = read_capsule(run)
    there = capsule.environment.model_copy(update={"threads": capsule.environment.threads + 7})
    for factor, passed in ((1 + TOLERANCE / 2, True), (1 + 2 * TOLERANCE, False)):
        losses = tuple(loss * factor for loss in capsule.losses)
        other = capsule.model_copy(update={"environment": there, "losses": losses, "weights_sha256": "0" * 64})
        assert compare_runs(capsule, other).passed is passed
        here = other.model_copy(update={"environment": capsule.environment})
        assert not compare_runs(capsule, here).passed, "on the same machine they must be equal"


def test_another_base_model_is_refused(run: Path, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its weights have another digest"):
        replay(run, tmp_path / "again", model=tiny_model("llava", seed=5))


def test_compare_answers_judges_and_scores_each_run(run: Path, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "compared"
    base = tiny_model("llava")
    code, text = call("align", "compare", base, run, "--out", out, "--limit", 2, "--max-new-tokens", 4)
    assert code == 0, text
    found = json.loads((out / "comparison.json").read_text())
    assert [arm["run"] for arm in found["arms"]] == [base.name, "mm"]
    card = json.loads((out / "sample" / "mm" / "submission.json").read_text())
    assert (card["alignment"], card["base_model"]) == ("multimodal", base.name)
    assert json.loads((out / "sample" / base.name / "submission.json").read_text())["alignment"] == "none"
    assert found["arms"][1]["ability"]["n"] == 48


def test_wrong_calls_are_sentences(run: Path, tiny_model: Callable[..., Path]) -> None:
    model = ["--model", tiny_model("llava"), "--data", run.parent / "rows.jsonl", "--out", run]
    for arguments, said in (
        (("mm-sft", *model), "holds a run of another recipe"),
        (("mm-sft", *model, "--set", "beta"), "a setting is NAME=VALUE"),
        (("mm-sft", *model, "--report-to", "paper"), "none, trackio or wandb"),
        (("mm-rl", *model), "--reward"),
        (("compare", run, "--out", run / "x", "--set", "noname"), "a set is NAME=DIR"),
    ):
        code, text = call("align", *arguments)
        assert code != 0
        assert said in text
