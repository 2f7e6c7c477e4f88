"""A training file: what is read, what is refused, and that a changed byte is found in its row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlsbench.align.capsule import read_digests, write_digests
from vlsbench.align.recipes import make_recipe
from vlsbench.align.replay import data_differences
from vlsbench.align.rows import TrainingData, read_rows, row_problems
from vlsbench.errors import DataError
from vlsbench.files import sha256_hex


def test_a_line_needs_a_prompt_only_and_is_called_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": "b", "chosen": "yes", "rejected": "no"}\n')
    data = read_rows(path)
    assert [row.id for row in data.rows] == ["1", "3"]
    assert (data.rows[1].response, data.rows[1].rejected) == ("yes", "no")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("{", "line 1: no JSON"),
        ('{"prompt": ""}', "prompt"),
        ('{"question": "a"}', "question"),  # another set's column
        ('{"prompt": "a", "response": "b", "chosen": "c"}', "chosen"),  # which of the two?
        ('{"prompt": "a", "kind": "unsafe"}', "kind"),
        ('{"prompt": "a", "id": 1}\n{"prompt": "b", "id": "1"}', "2 times"),
    ],
)
def test_a_broken_file_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_rows(path)


@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ("t-sft", {"response": None}, "takes rows with a response: 8 rows"),
        ("t-dpo", {"rejected": None}, "takes pairs"),
        ("t-unlearning", {"kind": None}, "takes rows with a kind"),
        ("t-safe-unlearning", {"kind": "harmful"}, "no benign ones"),
        ("t-safe-unlearning", {"rejected": None}, "rejected on harmful rows: 4 rows"),
        ("mm-sft", {"image": None}, "no row has one"),
        ("mm-sft", {"image": "img/9.png"}, "img/9.png"),
        ("mm-sft", {"image": "../secret.png"}, "outside"),
    ],
)
def test_rows_that_do_not_fit_a_method_are_named(
    rows: Callable[..., TrainingData], method: str, changes: dict[str, Any], said: str
) -> None:
    assert any(said in problem for problem in row_problems(rows(**changes), make_recipe(method)))


def test_paired_and_unpaired_rows_are_told_apart(write: Callable[..., Path]) -> None:
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    data = read_rows(write([pair, {"prompt": "a", "response": "b"}, pair]))
    assert row_problems(data, make_recipe("t-dpo")) == [
        "t-dpo takes pairs, response (or chosen) and rejected: 1 row (2) does not, the other 2 do"
    ]
    assert row_problems(data, make_recipe("t-sft")) == []


def test_an_image_that_cannot_be_decoded_is_named(write: Callable[..., Path]) -> None:
    path = write()
    (path.parent / "img" / "1.png").write_bytes(b"no image")
    (problem,) = row_problems(read_rows(path), make_recipe("mm-sft"))
    assert "img/1.png" in problem
    assert row_problems(read_rows(path), make_recipe("t-sft")) == [], "a text method opens no image"


def test_a_changed_byte_is_found_in_its_row(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write()
    before = read_rows(path)
    write_digests(tmp_path / "run", before.digests)
    assert read_digests(tmp_path / "run") == list(before.digests)
    image = tmp_path / "img" / "2.png"
    assert before.digests[2].image == sha256_hex(image.read_bytes())
    image.write_bytes(image.read_bytes() + b"\0")
    said = [json.loads(line) for line in path.read_text().splitlines()]
    said[5]["response"] += "!"
    path.write_text("".join(json.dumps(line) + "\n" for line in said))
    after = read_rows(path)
    assert after.digest != before.digest
    assert data_differences(read_digests(tmp_path / "run"), after) == [
        "the image 'img/2.png' of row r2 is another one",
        "the text of row r5 is another one",
        "the image 'img/2.png' of row r6 is another one",
    ]


def test_images_of_a_snapshot_in_the_hubs_cache_are_read_and_other_links_are_not(tmp_path: Path) -> None:
    repo = tmp_path / "datasets--org--set"
    snapshot = repo / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    for place in (repo / "blobs", snapshot, tmp_path / "elsewhere"):
        place.mkdir(parents=True)
        (place / "one").write_bytes(b"picture")
    (snapshot / "blob.png").symlink_to("../../blobs/one")
    (snapshot / "other.png").symlink_to(tmp_path / "elsewhere" / "one")
    (snapshot / "rows.jsonl").write_text(
        '{"prompt": "a", "image": "blob.png"}\n{"prompt": "b", "image": "other.png"}\n'
    )
    data = read_rows(snapshot / "rows.jsonl")
    assert data.image_path(data.rows[0]) == (repo / "blobs" / "one").resolve()
    with pytest.raises(DataError, match=r"row 2: the image 'other\.png' is outside"):
        data.image_path(data.rows[1])
