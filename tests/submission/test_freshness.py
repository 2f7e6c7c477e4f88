"""`score --fresh`: siblings from a file, two submissions of one model, and what cannot be compared."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from own_sets import FIRST, make_set

from vlsbench.cli.main import main
from vlsbench.dataset.index import Index
from vlsbench.errors import SubmissionError
from vlsbench.submission.freshness import compare_scored, read_siblings
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import score_directory

REFUSES = "I'm sorry, but I can't help with that."
COMPLIES = "Sure! First take the blue one, then pour it into the red one and stir it well."

N = 40


def write(folder: Path, answers: dict[int, str], index: Index | None = None, **card: Any) -> Path:
    folder.mkdir()
    if index is not None:
        from vlsbench.dataset.index import render_set_index

        card["dataset"] = {"name": index.name, "config": "default", "revision": index.revision}
        (folder / "index.csv").write_text(render_set_index(index.rows))
    (folder / "submission.json").write_text(json.dumps({"model": "org/m", **card}))
    lines = [json.dumps({"instruction_id": number, "response": text}) for number, text in answers.items()]
    (folder / "responses.jsonl").write_text("\n".join(lines) + "\n")
    judge_directory(folder)
    return folder


@pytest.fixture
def siblings(tmp_path: Path) -> Path:
    """The sibling of `n` of the release is `FIRST + n`."""
    lines = [json.dumps({"instruction_id": FIRST + n, "sibling_of": n, "category": "Hate"}) for n in range(N)]
    (tmp_path / "siblings.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "siblings.jsonl"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old", dict.fromkeys(range(N), REFUSES))


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    index = make_set(tmp_path / "siblings", "siblings", n=N)
    answers = {FIRST + n: REFUSES if n < 10 else COMPLIES for n in range(N)}
    return write(tmp_path / "fresh", answers, index)


def score(*arguments: object) -> None:
    argv, sys.argv = sys.argv, ["vlsbench", "score", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = argv
    assert not ended.value.code


def test_a_memoriser_is_told(old: Path, fresh: Path, siblings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score(old, "--fresh", siblings, "--fresh-answers", fresh, "--json")
    said = json.loads(capsys.readouterr().out)
    found = said["freshness"]
    assert (found["n_pairs"], found["n_worse"], found["n_better"]) == (N, 30, 0)
    assert (found["old_safe_rate"], found["fresh_safe_rate"], found["difference"]["value"]) == (1.0, 0.25, 0.75)
    assert found["is_less_safe"]
    assert said["n_samples"] == 2241  # the result is that of the old answers, as without --fresh
    score(old, "--fresh", siblings, "--fresh-answers", fresh)
    out = capsys.readouterr().out
    assert "old 100.0, fresh 25.0; difference +75.0 points (" in out
    assert "less safe on fresh pairs" in out
    assert "siblings needed" in out


def test_old_and_fresh_may_be_of_one_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = make_set(tmp_path / "kitchen", n=8)
    folder = write(tmp_path / "sub", {row.instruction_id: REFUSES for row in index.rows}, index)
    lines = [json.dumps({"instruction_id": FIRST + 4 + n, "sibling_of": FIRST + n}) for n in range(4)]
    (tmp_path / "s.jsonl").write_text("\n".join(lines))
    score(folder, "--fresh", tmp_path / "s.jsonl")
    out = capsys.readouterr().out
    assert "4 siblings with a label on both sides (4 clusters of images)" in out
    assert "no difference that chance does not explain" in out


def test_siblings_without_a_label_on_both_sides_are_left_out(old: Path, tmp_path: Path, siblings: Path) -> None:
    index = make_set(tmp_path / "siblings", "siblings", n=N)
    fresh = write(tmp_path / "fresh", {FIRST: REFUSES, FIRST + 1: REFUSES, FIRST + 2: "  "}, index)
    found = compare_scored(score_directory(old), score_directory(fresh), read_siblings(siblings), "s")
    assert found.n_pairs == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no line; a sibling is instruction_id, the fresh one, and sibling_of, the old one"),
        ('{"instruction_id": 200000}\n', "line 1: "),
        ('{"instruction_id": "a", "sibling_of": 1}\nno\n', "2 problems: line 1: "),
        ('{"instruction_id": 7, "sibling_of": 7}\n', "line 1: instruction_id 7 is a sibling of itself"),
        (
            '{"instruction_id": 7, "sibling_of": 1}\n{"instruction_id": 7, "sibling_of": 2}\n',
            "line 2: instruction_id 7 is on line 1; keep one",
        ),
    ],
)
def test_a_bad_file_of_siblings_is_told_at_once(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(SubmissionError) as told:
        read_siblings(tmp_path / "s.jsonl")
    assert words in str(told.value)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="cannot be read"):
        read_siblings(tmp_path / "none.jsonl")


def test_what_cannot_be_compared_is_told_at_once(old: Path, tmp_path: Path, siblings: Path) -> None:
    index = make_set(tmp_path / "siblings", "siblings", n=N - 1)
    other = write(tmp_path / "fresh", {FIRST: REFUSES}, index, model="org/other", settings={"max_new_tokens": 64})
    with pytest.raises(SubmissionError) as told:
        compare_scored(score_directory(old), score_directory(other), read_siblings(siblings), "s.jsonl")
    said = str(told.value)
    assert said.startswith("s.jsonl: 3 problems: the answers are of 'org/m' and 'org/other'; a model is compared")
    assert "answered with max_new_tokens None and 64" in said
    assert f"instruction_id {FIRST + N - 1} is no risky pair of the set 'siblings'" in said


def test_nothing_judged_on_both_sides_is_a_sentence(old: Path, tmp_path: Path, siblings: Path) -> None:
    index = make_set(tmp_path / "siblings", "siblings", n=N)
    fresh = write(tmp_path / "fresh", {FIRST: "  "}, index)
    with pytest.raises(SubmissionError, match="of 40 siblings none has a label on both sides"):
        compare_scored(score_directory(old), score_directory(fresh), read_siblings(siblings), "s")
