"""lmms-eval's published results, read and put beside the runs that they are of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from called import call
from needed import needs

from vlsbench.align.compare import Arm, compare_arms, render_comparison
from vlsbench.align.lmms_eval import TaskFigure, figures_of_runs, lmms_command, read_results
from vlsbench.errors import DataError

pytestmark = needs("trl", extra="align")

WRITTEN = Path(__file__).parents[1] / "fixtures" / "plugins" / "lmms_eval" / "20261121_000000_results.json"
"""By lmms-eval 0.7.3 itself: scripts/make_lmms_eval_run.py."""


def results(**changes: Any) -> dict[str, Any]:
    """A file of the published shape, with what other tasks have: two metrics, points, a filter, a group."""
    return {
        "results": {
            "mme": {
                "alias": "mme",
                "mme_perception_score,none": 1480.5,
                "mme_perception_score_stderr,none": "N/A",
                "mme_cognition_score,none": 300,
            },
            "mmmu_val": {
                "alias": "mmmu_val",
                "mmmu_acc,none": 0.36,
                "mmmu_acc_stderr,none": 0.016,
                "mmmu_acc_stderr_clt,none": 0.016,
                "mmmu_acc,flexible-extract": 0.4,
            },
            "a_group": {" ": " ", "alias": "a group"},
        },
        "n-samples": {"mme": {"original": 2374, "effective": 2374}, "mmmu_val": {"original": 900, "effective": 900}},
        "model_name": "runs/mm-sft/model",
        **changes,
    }


def write(path: Path, said: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
    return path


def test_figures_have_their_standard_error_and_their_n(tmp_path: Path) -> None:
    (found,) = read_results(write(tmp_path / "1_results.json", results()))
    assert [(f.name, f.value, f.stderr, f.n) for f in found.figures] == [
        ("mme mme_perception_score", 1480.5, None, 2374),
        ("mme mme_cognition_score", 300.0, None, 2374),
        ("mmmu_val mmmu_acc", 0.36, 0.016, 900),
        ("mmmu_val mmmu_acc,flexible-extract", 0.4, None, 900),
    ]


def test_what_lmms_eval_wrote_is_read() -> None:
    (found,) = read_results(WRITTEN.parent)
    assert found.model == "tiny-vlm"
    assert found.figures[0] == TaskFigure(
        task="vlsbench", metric="safe_rate", value=0.5, stderr=0.1889822365046136, n=8
    )
    assert len(found.figures) == 10  # five rates of two tasks


@pytest.mark.parametrize(
    ("name", "said", "sentence"),
    [
        ("a_results.json", "{", "no JSON"),
        ("a_results.json", "[" * 200_000, "no JSON"),
        ("a_results.json", results(results={"mme": {"score,none": 10**400}}), "no task has a number"),
        ("a_samples_mme.jsonl", '{"doc_id": 0}\n{"doc_id": 1}', "no JSON"),
        ("a_results.json", ["results"], "no results of lmms-eval"),
        ("a_results.json", {"results": {}, "configs": {}}, "`model_name`"),
        ("a_results.json", results(model_name=""), "`model_name`"),
        ("a_results.json", results(results={"mme": {"alias": "mme", "score,none": "N/A"}}), "no task has a number"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, name: str, said: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_results(write(tmp_path / name, said))


def test_a_place_without_results_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_results(tmp_path / "absent_results.json")
    with pytest.raises(DataError, match=r"no \*_results\.json below it"):
        read_results(tmp_path)


def test_a_file_is_of_the_run_whose_model_it_names(tmp_path: Path) -> None:
    models = {"base": tmp_path / "llava", "mm-sft": tmp_path / "runs" / "mm-sft" / "model"}
    one = read_results(write(tmp_path / "a" / "1_results.json", results(model_name=str(models["mm-sft"]))))
    moved = read_results(write(tmp_path / "b" / "1_results.json", results(model_name="/elsewhere/mm-sft/model")))
    assert set(figures_of_runs(one, models)) == set(figures_of_runs(moved, models)) == {"mm-sft"}
    with pytest.raises(DataError, match="of another file too"):
        figures_of_runs([*one, *moved], models)
    other = read_results(write(tmp_path / "c" / "1_results.json", results(model_name="org/other")))
    with pytest.raises(DataError, match=r"'org/other', which is none of those compared: .*llava"):
        figures_of_runs(other, models)


def test_figures_stand_in_the_table_in_their_own_units(tmp_path: Path) -> None:
    (found,) = read_results(write(tmp_path / "1_results.json", results()))
    arms = [
        Arm("base", "leaky", {0: True}, {0: 0}, None, None, None, None),
        Arm("mm-sft", "leaky", {0: True}, {0: 0}, None, None, None, None, lmms_eval=found.figures),
    ]
    head, base, aligned, note = render_comparison(compare_arms(arms)).splitlines()
    assert [name in head for name in ("mme mme_perception_score", "mmmu_val mmmu_acc")] == [True, True]
    assert "1480" in aligned
    assert "0.36 ± 0.016" in aligned
    assert "0.36" not in base
    assert "± its standard error" in note


def test_the_call_of_lmms_eval_is_printed_and_its_results_are_taken(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    base = shutil.copytree(tiny_model("llava"), tmp_path / "base")
    told = ("--out", tmp_path / "out", "--limit", 1, "--max-new-tokens", 2)
    code, text = call("align", "compare", base, *told)
    assert code == 0, text
    assert lmms_command(base, tmp_path / "out" / "lmms-eval") in text
    assert f"--model llava_hf --model_args pretrained={base} --tasks mme,mmmu_val" in text
    path = write(tmp_path / "out" / "lmms-eval" / "base" / "1_results.json", results(model_name=str(base)))
    code, text = call("align", "compare", base, *told, "--ability", f"lmms-eval:{path.parents[1]}")
    assert code == 0, text
    assert "1480" in text
    assert "asked by lmms-eval" not in text
    arm = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))["arms"][0]
    assert arm["ability"]["n"] == 48, "our own questions are asked all the same"
    assert len(arm["lmms_eval"]) == 4
    code, text = call("align", "compare", base, *told, "--ability", f"lmms-eval:{tmp_path / 'base' / 'config.json'}")
    assert code == 1
    assert "no results of lmms-eval" in text


def test_counts_of_another_shape_are_no_counts(tmp_path: Path) -> None:
    said = results(results={"mme": {"score,none": 0.5}}) | {"n-samples": {"mme": [3]}}
    (found,) = read_results(write(tmp_path / "a_results.json", said))
    assert [(figure.value, figure.n) for figure in found.figures] == [(0.5, None)]
