"""The paper's Tables 2 and 5: records of their own, each number with what it is of."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from vlsbench.board.paper import (
    ALIGNMENT_FILE,
    INPUTS_FILE,
    AlignmentTable,
    paper_files,
    read_alignment_table,
    read_inputs_table,
)
from vlsbench.errors import SubmissionError

ROOT = Path(__file__).parents[2]


def script() -> Any:
    """`scripts/make_paper_rows.py`."""
    spec = importlib.util.spec_from_file_location("make_paper_rows", ROOT / "scripts" / "make_paper_rows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def written() -> dict[str, Any]:
    """Table 2 as the script writes it."""
    table: dict[str, Any] = json.loads(json.dumps(script()._table2()))
    return table


def put(store: Path, table: object) -> Path:
    (store / "paper").mkdir(parents=True)
    (store / "paper" / ALIGNMENT_FILE).write_text(json.dumps(table), encoding="utf-8")
    return store


def test_the_file_of_the_project_is_what_the_script_writes(written: dict[str, Any]) -> None:
    path = ROOT / "submissions" / "paper" / ALIGNMENT_FILE
    assert json.loads(path.read_text(encoding="utf-8")) == written


def test_every_base_model_has_a_row_as_it_is_and_rows_of_both_alignments(written: dict[str, Any]) -> None:
    table = AlignmentTable.model_validate_json(json.dumps(written))
    for base in ("LLaVA-v1.5-7B", "LLaVA-v1.5-13B", "Qwen2-VL-7B"):
        found = [row.alignment for row in table.rows if row.base_model == base]
        assert found.count("none") == 1
        assert set(found) == {"none", "textual", "multimodal"}
    assert len(table.rows) == 18


def test_the_averages_that_are_not_means_are_kept_and_named_in_the_notes(written: dict[str, Any]) -> None:
    table = AlignmentTable.model_validate_json(json.dumps(written))
    raw, jailbreak, average = table.names("safety")[:3]
    wrong = [
        row for row in table.rows if abs((row.safety[raw] + row.safety[jailbreak]) / 2 - row.safety[average]) > 0.000051
    ]
    assert len(wrong) == 6
    said = [float(number) for number in re.findall(r"\d+\.\d+", table.notes[0])]
    for row in wrong:
        mean = 50 * (row.safety[raw] + row.safety[jailbreak])
        assert min(abs(mean - number) for number in said) < 0.0051, row.model


def test_a_store_without_the_table_has_none(tmp_path: Path) -> None:
    assert read_alignment_table(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"origin": "submission"}, "origin"),  # a judged row is no printed row
        ({"rank": 1}, "rank"),  # printed numbers are never ranked
        ({"benchmarks": []}, "has not exactly the numbers"),  # a number without a benchmark means nothing
    ],
)
def test_what_is_not_such_a_table_is_refused_with_a_sentence(
    tmp_path: Path, written: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SubmissionError, match=reason):
        read_alignment_table(put(tmp_path, {**written, **change}))


def test_a_share_is_a_fraction(tmp_path: Path, written: dict[str, Any]) -> None:
    row = written["rows"][0]
    row["safety"] = dict.fromkeys(row["safety"], 59.29)
    with pytest.raises(SubmissionError, match="less than or equal to 1"):
        read_alignment_table(put(tmp_path, written))


def test_table_5_is_what_the_script_writes_and_is_no_table_of_rows() -> None:
    path = ROOT / "submissions" / "paper" / INPUTS_FILE
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(script()._table5()))
    assert path not in paper_files(ROOT / "submissions")


def test_the_one_sum_of_table_5_that_does_not_add_up_is_named() -> None:
    table = read_inputs_table(ROOT / "submissions")
    assert table is not None
    assert len(table.rows) == 10
    assert table.misprints == ("InternVL2.5-8B, text-only: 8.5 + 4.5 = 13.0, printed 12.5",)


def test_a_store_without_table_5_has_none(tmp_path: Path) -> None:
    assert read_inputs_table(tmp_path) is None
