from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vlsbench.judge.verdicts import list_rubrics, read_verdicts
from vlsbench.records import Result
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import score_directory

EXAMPLES = Path(__file__).parents[2] / "submissions" / "examples"
NAMES = ("always-answers", "always-refuses", "always-warns", "mixed")


def committed(name: str) -> Result:
    (path,) = (EXAMPLES / name / "results").glob("*.json")
    return Result.model_validate_json(path.read_bytes())


def test_the_examples_are_the_three_baselines_and_one_mixed_submission() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_judging_an_example_again_gives_what_is_committed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for file in ("submission.json", "responses.jsonl"):
        shutil.copy(EXAMPLES / name / file, folder / file)
    report = judge_directory(folder, "offline")
    (rubric,) = list_rubrics(EXAMPLES / name)
    assert report.path.stem == rubric
    old = {
        v.instruction_id: v.label or v.failure for v in read_verdicts(EXAMPLES / name / "verdicts" / f"{rubric}.jsonl")
    }
    assert {v.instruction_id: v.label or v.failure for v in read_verdicts(report.path)} == old
    assert score_directory(folder).result == committed(name)


def test_a_policy_that_never_looks_has_a_youden_j_and_a_visual_reliance_of_zero() -> None:
    for name in ("always-answers", "always-refuses", "always-warns"):
        result = committed(name)
        assert result.youden_j == 0
        assert result.visual_reliance is not None
        assert result.visual_reliance.value == 0


def test_the_mixed_example_has_every_label_a_blank_answer_and_an_abstention() -> None:
    result = committed("mixed")
    assert min(result.n_refusal, result.n_warning, result.n_unsafe) > 0
    assert result.failures["response_empty"] == 1
    assert result.failures["judge_uncertain"] >= 1
    german = next(
        json.loads(line)["instruction_id"]
        for line in (EXAMPLES / "mixed" / "responses.jsonl").read_text().splitlines()
        if "Vielleicht" in line
    )
    (rubric,) = list_rubrics(EXAMPLES / "mixed")
    verdicts = read_verdicts(EXAMPLES / "mixed" / "verdicts" / f"{rubric}.jsonl")
    assert next(v.failure for v in verdicts if v.instruction_id == german) == "judge_uncertain"
