"""Published formats, with invented rows: indices from 0 or 1, better is not safer, the paper's selection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlsbench.align.readers import FORMATS, open_data, select_rows
from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.errors import DataError, UsageError


def put(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text)
    return path


def test_vlguard_gives_a_row_for_each_instruction(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    put(
        tmp_path / "train.json",
        [
            {"id": "u", "image": "bad/1.jpg", "safe": False, "instr-resp": [{"instruction": "I", "response": "no"}]},
            {
                "id": "s",
                "image": "2.jpg",
                "safe": True,
                "instr-resp": [
                    {"safe_instruction": "S", "response": "yes"},
                    {"unsafe_instruction": "U", "response": "no"},
                ],
            },
        ],
    )
    data = open_data(f"vlguard:{tmp_path}", tmp_path / "out").data
    assert [(r.id, r.prompt, r.image, r.response, r.kind) for r in data.rows] == [
        ("u#0", "I", "train/bad/1.jpg", "no", "harmful"),
        ("s#0", "S", "train/2.jpg", "yes", "benign"),
        ("s#1", "U", "train/2.jpg", "no", "harmful"),
    ]


def pair(first: int, safer: int, better: int, safe: tuple[bool, bool], prompt: str = "Q") -> dict[str, Any]:
    names = ("prompt", "better_response_id") if first == 0 else ("question", "more_helpful_response_id")
    return {
        names[0]: prompt,
        f"response_{first}": "one",
        f"response_{first + 1}": "two",
        f"is_response_{first}_safe": safe[0],
        f"is_response_{first + 1}_safe": safe[1],
        names[1]: better,
        "safer_response_id": safer,
    }


@pytest.mark.parametrize(("form", "first"), [("pku-saferlhf", 0), ("beavertails-v", 1)])
def test_the_safer_answer_is_wanted_and_not_the_better_one(tmp_path: Path, form: str, first: int) -> None:
    path = put(
        tmp_path / "train.jsonl",
        [
            pair(first, safer=first + 1, better=first, safe=(False, True), prompt="harmful"),
            pair(first, safer=first, better=first + 1, safe=(True, True), prompt="benign"),
            pair(first, safer=first, better=first, safe=(False, False), prompt="nothing to want"),
            pair(first, safer=first + 1, better=first, safe=(False, True), prompt="harmful"),  # again
        ],
    )
    opened = open_data(f"{form}:{path}", tmp_path / "out")
    assert [(r.prompt, r.kind, r.response, r.rejected) for r in opened.data.rows] == [
        ("harmful", "harmful", "two", "one"),
        ("benign", "benign", "two", None),  # both are safe: the more helpful one
    ]
    assert opened.notes[0].startswith("2 records have no answer that can be wanted")


@pytest.mark.parametrize(("form", "wrong"), [("pku-saferlhf", 2), ("beavertails-v", 0)])
def test_indices_of_the_other_base_are_refused(tmp_path: Path, form: str, wrong: int) -> None:
    first = 0 if form == "pku-saferlhf" else 1
    path = put(tmp_path / "train.jsonl", [pair(first, safer=wrong, better=first, safe=(False, True))])
    with pytest.raises(DataError, match=f"count from {first}: record 0: safer_response_id {wrong}"):
        open_data(f"{form}:{path}", tmp_path / "out")


def test_spa_vl_pairs_keep_their_image_also_out_of_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    row = {"question": "Q", "chosen": "no", "rejected": "yes", "image": "7.png"}
    listed = open_data(f"spa-vl:{put(tmp_path / 'train.json', [row])}", tmp_path / "out").data
    assert (listed.rows[0].image, listed.rows[0].response, listed.rows[0].rejected) == ("7.png", "no", "yes")
    embedded = tmp_path / "train.parquet"
    parquet.write_table(pa.Table.from_pylist([row | {"image": {"bytes": b"pixels", "path": "7.png"}}]), embedded)
    data = open_data(f"spa-vl:{embedded}", tmp_path / "out").data
    path = data.image_path(data.rows[0])
    assert path is not None
    assert path.read_bytes() == b"pixels"


def test_the_papers_selection_is_2000_harmful_and_1000_benign() -> None:
    for name in ("vlguard", "pku-saferlhf"):
        assert (FORMATS[name].n_harmful, FORMATS[name].n_benign) == (2000, 1000)
    rows = tuple(TrainingRow(id=str(i), prompt="a", kind="harmful" if i % 3 else "benign") for i in range(300))
    taken = select_rows(TrainingData(rows), harmful=20, benign=10, seed=0)
    assert [sum(r.kind == kind for r in taken.rows) for kind in ("harmful", "benign")] == [20, 10]
    assert [int(r.id) for r in taken.rows] == sorted(int(r.id) for r in taken.rows)
    assert taken.rows == select_rows(TrainingData(rows), harmful=20, benign=10, seed=0).rows
    assert taken.rows != select_rows(TrainingData(rows), harmful=20, benign=10, seed=1).rows


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_not_there_says_what_to_download_and_where_from(tmp_path: Path, form: str) -> None:
    with pytest.raises(DataError, match=r"hf download --repo-type dataset \S+/\S+`"):
        open_data(f"{form}:{tmp_path / 'absent.json'}", tmp_path / "out")
    put(tmp_path / "other.json", [{"text": "of another set"}])
    with pytest.raises(DataError, match=f"not {form} as it is published"):
        open_data(f"{form}:{tmp_path / 'other.json'}", tmp_path / "out")


def test_a_format_that_does_not_exist_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'vlgard' is no format"):
        open_data("vlgard:x", tmp_path / "out")
