"""No file is taken with an answer on a wrong sample: a few of the benchmark's of every kind, and its oracle's own eyes.

The kinds and the full count are in `benchmarks/wrong_samples.py` and `benchmarks/hostile.py`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import wrong_samples  # type: ignore[import-not-found]

IMPORTABLE = [name for name, item in wrong_samples.KINDS.items() if item.is_importable]


def test_no_kind_of_file_is_taken_with_an_answer_on_a_wrong_sample() -> None:
    tally = wrong_samples.measure_wrong_samples(2, seed="tests", n_invented=700)
    assert tally.first_wrong == {}
    assert not tally.wrong.total() + tally.lost.total()
    assert tally.refused.total() > len(wrong_samples.KINDS) / 2
    assert {name: tally.first_refusal[name] for name in IMPORTABLE if name in tally.first_refusal} == {}


def test_the_invented_dataset_has_the_faults_of_the_release() -> None:
    pairs = wrong_samples.invented_pairs()
    texts, images = Counter(pair.text for pair in pairs), Counter(pair.image for pair in pairs)
    assert (len(pairs), texts[""], sum(count > 1 for count in texts.values()) >= 14) == (2241, 1, True)
    assert 100 < sum(count > 1 for count in images.values()) < 400
    assert 1 in Counter((pair.text, pair.image) for pair in pairs).values()
    assert max(Counter((pair.text, pair.image) for pair in pairs).values()) == 2


def lines(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("answer", "came"),
    [("Wait. [3]", "right"), ("Wait. [4]", "wrong"), ("GOLD: the reference 3", "wrong"), ("Why?", "wrong")],
)
def test_the_oracle_sees_an_answer_that_is_not_its_samples(tmp_path: Path, answer: str, came: str) -> None:
    pairs = {pair.number: pair for pair in wrong_samples.invented_pairs()}
    out = lines(tmp_path / "out", [{"instruction_id": 3, "response": answer}])
    assert wrong_samples.judge_import([{}], out, pairs)[0] == came
    assert wrong_samples.judge_import([{}, {}], out, pairs)[0] == ("lost" if came == "right" else "wrong")
