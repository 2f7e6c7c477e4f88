"""The command: what it writes, what it refuses, what it says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import pytest

from vlsbench.errors import DataError, SubmissionError, UsageError
from vlsbench.submission.check import MAX_PROBLEMS, open_submission
from vlsbench.submission.importers.formats import ImportReport, import_file, render_import

Import = Callable[..., ImportReport]
ONE = [{"instruction_id": 7, "response": "I see a table."}]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.vlsbench("import", *arguments)


def test_an_import_is_a_submission_that_passed_the_gate(bring: Import, tmp_path: Path) -> None:
    report = bring(ONE, model="org/model")
    assert (report.ok, report.format, report.dataset, report.n_rows, report.n_answered) == (
        True,
        "plain",
        "release",
        1,
        1,
    )
    assert report.check is not None
    assert report.check.ok
    submission = open_submission(tmp_path / "out")
    assert submission.card.model == "org/model"
    assert submission.responses[7, "image+text"].response == "I see a table."
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["responses.jsonl", "submission.json"]


def test_a_bad_row_leaves_nothing_behind_and_every_bad_row_is_named(bring: Import, tmp_path: Path) -> None:
    report = bring(
        [
            *ONE,
            {"instruction_id": 2241, "response": "x"},
            {"instruction_id": True, "response": "x"},
            {"instruction_id": 8, "response": 5},
        ]
    )
    assert not report.ok
    assert report.check is None
    assert report.directory is None
    assert [problem.removeprefix(str(tmp_path)) for problem in report.problems] == [
        "/answers.jsonl:4: 'response' is a text; found int",
        "/answers.jsonl:2: instruction_id 2241 is not in the release; ids run 0..2240. Was this file made for another "
        "dataset?",
        "/answers.jsonl:3: an id is a whole number of 0 or more; found True",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


def test_a_million_bad_rows_are_counted_and_not_kept(bring: Import) -> None:
    report = bring("{x}\n" * 90_000, from_format="plain", name="x.jsonl")
    assert len(report.problems) <= MAX_PROBLEMS
    rows = "".join('{"instruction_id": -1, "response": "x"}\n' for _ in range(5_000))
    report = bring(rows)
    assert (report.n_problems, len(report.problems)) == (5_000, MAX_PROBLEMS)
    assert "and 4,975 more" in render_import(report)


def test_a_folder_that_holds_something_is_refused_untouched(bring: Import, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert bring(ONE).ok, "an empty folder is taken"
    with pytest.raises(SubmissionError, match="is not empty, and an import overwrites nothing"):
        bring([{"instruction_id": 8, "response": "other"}])
    assert open_submission(tmp_path / "out").responses.keys() == {(7, "image+text")}


def test_a_link_or_a_file_is_no_place_for_a_submission(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("file", "link"):
        with pytest.raises(SubmissionError, match="exists and is not a folder"):
            import_file(tmp_path / "file", tmp_path / name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"from_format": "excel"}, "the formats are inspect, lmms-eval"),
        ({"model": "../x"}, "--model: a name has no '..'"),
        ({"condition": "image only"}, "--condition: a condition is image"),
    ],
)
def test_a_wrong_call_is_said_before_the_file_is_read(bring: Import, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        bring(Path("absent"), **options)


def test_a_release_that_is_not_there_is_said_where_it_is_needed(bring: Import, tmp_path: Path) -> None:
    wrapped = [{"doc_id": 7, "input": "Look. What? Answer.", "filtered_resps": "x"}]
    with pytest.raises(DataError, match="absent"):
        bring(wrapped, data=tmp_path / "absent")


def test_the_condition_of_the_call_is_for_rows_that_do_not_say(bring: Import, written: Any, tmp_path: Path) -> None:
    assert bring(ONE, condition="text-only").ok
    assert written()[0]["condition"] == "text-only"
    rows = [{"instruction_id": "7:text-only", "response": "x"}]
    report = import_file(_jsonl(tmp_path, rows), tmp_path / "b", model="m", condition="blank-image")
    assert "says condition 'text-only', and --condition says 'blank-image'" in report.problems[0]


def _jsonl(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_two_answers_to_one_sample_are_refused_and_a_retry_after_a_failure_is_not(bring: Import, written: Any) -> None:
    report = bring([*ONE, {"instruction_id": 7, "response": "again"}])
    assert "instruction_id 7 under 'image+text' was answered at 1; keep one" in report.problems[0]
    assert bring([{"instruction_id": 7, "response": None, "failure": "response_error"}, *ONE]).ok
    assert [line.get("failure") for line in written()] == ["response_error", None]


def test_ids_of_two_datasets_make_two_submissions(bring: Import) -> None:
    report = bring([*ONE, {"instruction_id": 100000, "response": "x"}])
    assert "1 id is of the release (first 7 on line 1)" in report.problems[0]
    assert "1 id is of the package's own sample (first 100000 on line 2)" in report.problems[0]


def test_a_text_ties_a_row_to_its_sample(bring: Import, sample_texts: dict[int, str]) -> None:
    rows = [
        {"instruction_id": 100000, "instruction": f"  {sample_texts[100000]}\r\n", "response": "x"},
        {"instruction_id": 100001, "instruction": sample_texts[100002], "response": "x"},
    ]
    report = bring([rows[0]])
    assert (report.ok, report.n_compared, report.n_not_compared) == (True, 1, 0)
    report = bring(rows, out="other")
    assert report.n_problems == 1
    assert "instruction_id 100001 has another text in the sample: expected SHA-256 94a2eb28db1a…" in report.problems[0]
    assert "this text is that of instruction_id 100002" in report.problems[0]
    assert sample_texts[100001] not in report.problems[0], "a message shows digests, never the dataset's sentence"


def test_a_text_of_no_sample_is_a_mismatch_too(bring: Import) -> None:
    report = bring([{"instruction_id": 100000, "instruction": "Is this a table?", "response": "x"}])
    assert "the one in 'instruction' is no instruction of VLSBench" in report.problems[0]
    assert "this text is that of" not in report.problems[0]


def test_the_command_prints_the_report_and_the_gate(tmp_path: Path) -> None:
    source = _jsonl(tmp_path, [{"instruction_id": 100000, "response": "x", "score": 3}])
    done = run(str(source), str(tmp_path / "a"), "--model", "org/m")
    assert done.returncode == 0, done.stderr
    for words in (
        "format   plain",
        "rows     1 of the sample: 1 answered",
        "ignored  'score'",
        "good: 0 errors, 1 warning",
    ):
        assert words in done.stdout


def test_the_command_fails_with_a_sentence_and_json_has_all(tmp_path: Path) -> None:
    source = _jsonl(tmp_path, [{"instruction_id": 5000, "response": "x"}])
    done = run(str(source), str(tmp_path / "a"), "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["ok"], report["n_problems"], report["check"]) == (False, 2, None)
    assert "give --model NAME" in report["problems"][1]
    assert run(str(source), str(tmp_path / "a"), "--from", "excel").returncode == 2
    assert not (tmp_path / "a").exists()


def test_a_submission_that_fails_the_gate_says_where(bring: Import) -> None:
    rows = [{"instruction_id": n, "response": "x", "settings": {"max_new_tokens": n}} for n in (1, 2)]
    report = bring(rows)
    assert not report.ok
    assert report.n_problems == 0
    assert report.check is not None
    assert [problem.check for problem in report.check.problems if problem.severity == "error"] == ["budget"]
