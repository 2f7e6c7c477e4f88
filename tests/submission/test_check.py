from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vlsbench.dataset.index import load_index
from vlsbench.errors import SubmissionError
from vlsbench.files import MAX_LINE_BYTES
from vlsbench.submission import check as check_module
from vlsbench.submission.check import CHECKS, MAX_PROBLEMS, CheckReport, check, open_submission


def full(**changes: Any) -> list[Mapping[str, Any]]:
    return [{"instruction_id": i, "response": "I see a table.", **changes} for i in range(2241)]


def found(report: CheckReport, severity: str = "error") -> list[tuple[str, int | None]]:
    return [(p.check, p.line) for p in report.problems if p.severity == severity]


def test_a_full_submission_passes_without_a_word(submission: Any) -> None:
    report = check(submission.write(full()))
    assert report.ok
    assert report.problems == ()
    assert (report.dataset, report.config, report.n_samples, report.n_answered) == ("release", "default", 2241, 2241)


BAD_LINES = [
    ('{"instruction_id": 2241, "response": "x"}', "known_ids", "2241 is not in the release; ids run 0..2240"),
    ('{"instruction_id": 1, "response": "again"}', "unique", "answered on line 1"),
    ('{"instruction_id": "7", "response": "x"}', "record", "valid integer; found '7'"),
    ('{"instruction_id": 7.5, "response": "x"}', "record", "valid integer"),
    ('{"instruction_id": true, "response": "x"}', "record", "valid integer; found True"),
    ('{"instruction_id": -1, "response": "x"}', "record", "greater than or equal to 0"),
    ('{"instruction_id": 9223372036854775808, "response": "x"}', "record", "less than or equal to"),
    ('{"instruction_id": 7, "response": 5}', "record", "valid string; found 5"),
    ('{"instruction_id": 7, "response": null}', "record", "exactly one of 'response' and 'failure'"),
    ('{"instruction_id": 7, "response": "x", "failure": "response_error"}', "record", "exactly one of"),
    ('{"instruction_id": 7, "failure": "judge_cut"}', "record", "'failure'"),
    ('{"instruction_id": 7, "response": "x", "condition": "image only"}', "record", "a condition is image+text"),
    ('{"instruction_id": 7, "response": "x", "answer": "y"}', "record", "'answer' is not a known field"),
    ('{"response": "x"}', "record", "'instruction_id' is required"),
    ('{"instruction_id": 7, "response": "x"', "record", "not JSON"),
    ('{"instruction_id": 7, "response": "\\ud800"}', "record", "not JSON"),
    ('{"instruction_id": 7, "response": "x", "usage": {"n": [{"m": NaN}]}}', "record", "no NaN"),
    ("[1, 2]", "record", "should be an object"),
    ("hello", "record", "not JSON"),
    (b'{"instruction_id": 7, "response": "caf\xe9"}', "encoding", "not UTF-8 at byte 38"),
    ('{"instruction_id": 100000, "response": "x"}', "dataset", "make two of it"),
]


@pytest.mark.parametrize(
    ("line", "name", "words"), BAD_LINES, ids=[f"{n}-{i}" for i, (_, n, _) in enumerate(BAD_LINES)]
)
def test_a_bad_line_is_named_with_its_rule(submission: Any, line: str | bytes, name: str, words: str) -> None:
    report = check(submission.write([{"instruction_id": 1, "response": "x"}, line]))
    assert not report.ok
    problems = [p for p in report.problems if p.severity == "error"]
    assert [p.check for p in problems] == [name]
    assert words in problems[0].message
    assert problems[0].line in (2, None)


BAD_CARDS = [
    ("{}", "card", "'model' is required"),
    ('{"model": ""}', "card", "not empty"),
    ('{"model": "../../etc/passwd"}', "card", "no '..'"),
    ('{"model": "<img src=x onerror=alert(1)>"}', "card", "remove <, =, >"),
    ('{"model": "a\\u202eb"}', "card", "U+202E"),
    ('{"model": "a\\u0000b"}', "card", "U+0000"),
    (json.dumps({"model": "x" * 201}), "card", "at most 200"),
    ('{"model": 5}', "card", "valid string"),
    ('{"model": "m", "url": "javascript:alert(1)"}', "card", "'url'"),
    ('{"model": "m", "url": "https://huggingface.co@example.org/m"}', "card", "'url'"),
    ('{"model": "m", "url": "https://ann:secret@example.org"}', "card", "'url'"),
    ('{"model": "m", "access": "free"}', "card", "'open' or 'closed'"),
    ('{"model": "m", "alignment": "rlhf"}', "card", "'none', 'textual' or 'multimodal'"),
    ('{"model": "m", "parameters": "big"}', "card", "valid integer"),
    ('{"model": "m", "parameters": 0}', "card", "greater than or equal to 1"),
    ('{"model": "m", "parameters": 1' + "0" * 60 + "}", "card", "less than or equal to"),
    ('{"model": "m", "settings": {"max_new_tokens": 0}}', "card", "max_new_tokens"),
    ('{"model": "m", "dataset": {"config": "all"}}', "card", "dataset.config"),
    ('{"model": "m", "origin": "paper"}', "card", "origin"),
    ('{"model": "m", "licence": "MIT"}', "card", "'licence' is not a known field"),
    ('["m"]', "card", "should be an object"),
    ('{"model": "m"', "card", "not JSON"),
    ("", "card", "not JSON"),
]


@pytest.mark.parametrize(("card", "name", "words"), BAD_CARDS, ids=[str(i) for i in range(len(BAD_CARDS))])
def test_a_bad_card_is_named_with_its_rule(submission: Any, card: str, name: str, words: str) -> None:
    report = check(submission.write(full()[:1], card))
    problems = [p for p in report.problems if p.severity == "error"]
    assert [(p.check, p.file) for p in problems] == [(name, "submission.json")]
    assert words in problems[0].message


@pytest.mark.parametrize(
    "card",
    [
        {"model": "Qwen/Qwen2-VL-7B-Instruct", "organization": "Qwen", "revision": "a" * 40, "parameters": "8.29B"},
        {"model": "通义千问 2.5", "access": "closed", "parameters": 7_000_000_000},
        {"model": "m", "settings": {"max_new_tokens": 128, "temperature": 0, "seed": 3, "nested": {"a": [1]}}},
        {"model": "m", "url": "https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct", "alignment": "none"},
        {"model": "m", "url": "http://example.org:8080?by=@ann#top"},
        {"model": "m", "url": "https://example.org/@ann/model"},
    ],
)
def test_a_good_card_passes(submission: Any, card: Mapping[str, Any]) -> None:
    assert check(submission.write(full(), card)).ok


def test_every_problem_is_found_at_once(submission: Any) -> None:
    folder = submission.write([line for line, name, _ in BAD_LINES if name == "record"], '{"model": "<b>"}')
    report = check(folder)
    assert len([p for p in report.problems if p.check == "record"]) >= 15
    assert [p.check for p in report.problems if p.file == "submission.json"] == ["card"]


def test_a_partial_submission_is_accepted_with_a_warning(submission: Any) -> None:
    report = check(submission.write(full()[:10]))
    assert report.ok
    assert found(report, "warning") == [("coverage", None)]
    assert "2231 of 2241 samples" in report.problems[0].message


def test_error_strings_and_blank_answers_are_warnings_with_their_line(submission: Any) -> None:
    lines = [
        *full()[:2239],
        {"instruction_id": 2239, "response": " "},
        {"instruction_id": 2240, "response": "API Error: x"},
    ]
    report = check(submission.write(lines))
    assert report.ok
    assert found(report, "warning") == [("answers", 2240), ("answers", 2241)]


def test_a_retried_failure_is_no_duplicate(submission: Any) -> None:
    lines = [{"instruction_id": 3, "failure": "response_error"}, *full()]
    folder = submission.write(lines)
    assert check(folder).ok
    assert open_submission(folder).responses[3, "image+text"].response == "I see a table."


def test_one_sample_under_two_conditions_is_no_duplicate(submission: Any) -> None:
    report = check(submission.write([*full(), *full(condition="text-only")]))
    assert report.ok
    assert report.conditions == {"image+text": 2241, "text-only": 2241}


def test_a_declared_category_makes_n_its_size_and_refuses_other_ids(submission: Any) -> None:
    card = {"model": "m", "dataset": {"config": "privacy"}}
    ids = [row.instruction_id for row in load_index("release").select("privacy").rows]
    report = check(submission.write([{"instruction_id": i, "response": "x"} for i in ids], card))
    assert (report.ok, report.n_samples, report.config) == (True, 130, "privacy")
    report = check(submission.write(full(), card))
    assert not report.ok
    assert {p.check for p in report.problems} == {"known_ids"}
    assert len(report.problems) == 2241 - 130


def test_answers_of_two_budgets_are_no_row(submission: Any) -> None:
    lines = [{"instruction_id": i, "response": "x", "settings": {"max_new_tokens": 128 * (1 + i)}} for i in range(2)]
    assert ("budget", None) in found(check(submission.write(lines)))


def test_one_line_cannot_choose_another_budget_than_the_card(submission: Any) -> None:
    lines = [{**full()[0], "settings": {"max_new_tokens": 4096}}, *full()[1:]]
    report = check(submission.write(lines, {"model": "m", "settings": {"max_new_tokens": 128}}))
    assert found(report) == [("budget", None)]
    assert "128, 4096" in report.problems[0].message


@pytest.mark.parametrize(
    ("lines", "card", "place"),
    [
        (['{"instruction_id": 1, "response": "a", "response": "b"}'], '{"model": "m"}', ("record", 1)),
        (['{"instruction_id": 1, "instruction_id": 2, "response": "b"}'], '{"model": "m"}', ("record", 1)),
        (['{"instruction_id": 1, "response": "b"}'], '{"model": "m", "model": "n"}', ("card", None)),
    ],
)
def test_a_key_given_twice_is_refused(
    submission: Any, lines: list[str], card: str, place: tuple[str, int | None]
) -> None:
    report = check(submission.write(lines, card))
    assert found(report) == [place]
    assert "stands there twice" in report.problems[0].message


def test_a_quoted_key_in_an_answer_is_no_key(submission: Any) -> None:
    text = 'It says {"response": 1, "response": 2}.'
    assert check(submission.write([{"instruction_id": 1, "response": text}])).ok


def test_a_check_that_had_nothing_to_look_at_has_not_passed(tmp_path: Path) -> None:
    statuses = {item.name: item.status for item in check(tmp_path / "nowhere").checks}
    assert statuses.pop("files") == "error"
    assert set(statuses.values()) == {"not run"}


def test_a_file_of_junk_is_counted_whole_and_listed_in_part(submission: Any) -> None:
    report = check(submission.write(["x"] * 6000))
    (record,) = [item for item in report.checks if item.name == "record"]
    assert record.n_problems == 6000
    assert len(report.problems) == MAX_PROBLEMS


REPEATED = '{"instruction_id": 3, "response": "x"}'


@pytest.mark.parametrize(
    ("line", "name", "n_problems"),
    [
        (REPEATED, "unique", 49),
        ("nonsense", "record", 50),
        ("{}", "record", 50),
        ('{"instruction_id": 3}', "record", 50),
    ],
    ids=["one answer", "no JSON", "an empty object", "no answer"],
)
def test_of_one_line_a_million_times_no_more_is_read_than_a_bound(
    submission: Any, monkeypatch: pytest.MonkeyPatch, line: str, name: str, n_problems: int
) -> None:
    monkeypatch.setattr(check_module, "MAX_LINES", 50)
    report = check(submission.write([line] * 5_000))
    counts = {item.name: item.n_problems for item in report.checks}
    assert counts[name] == n_problems  # of 50 lines, whatever comes behind them
    assert "has more than 50 lines" in next(p.message for p in report.problems if p.check == "files")
    assert not report.ok


def test_blank_lines_are_bounded_too(submission: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "MAX_LINES", 50)
    monkeypatch.setattr(check_module, "_MAX_BLANK", 100)
    report = check(submission.write([""] * 5_000))
    assert [p.message for p in report.problems if p.check == "files"] == [
        "cannot be read (150 lines and more, blank ones among them); it holds one answer per line"
    ]


def test_a_line_of_many_megabytes_is_one_problem_and_the_rest_is_read(submission: Any) -> None:
    long = b'{"instruction_id": 5, "response": "' + b"x" * (3 * MAX_LINE_BYTES) + b'"}'
    report = check(submission.write([full()[0], long, *full()[1:5]]))
    assert found(report) == [("line_length", 2)]
    assert report.conditions == {"image+text": 5}


def test_what_is_not_there_is_said(tmp_path: Path, submission: Any) -> None:
    report = check(tmp_path / "nowhere")
    assert "not a folder" in report.problems[0].message
    (tmp_path / "empty").mkdir()
    assert [p.file for p in check(tmp_path / "empty").problems] == ["responses.jsonl", "submission.json"]
    report = check(submission.write([]))
    assert "has no line" in report.problems[0].message
    (tmp_path / "sub" / "responses.jsonl").unlink()
    (tmp_path / "sub" / "responses.jsonl").mkdir()
    assert found(check(tmp_path / "sub")) == [("files", None)]


def test_a_card_that_is_not_text_is_said(submission: Any) -> None:
    folder = submission.write(full())
    (folder / "submission.json").write_bytes(b'{"model": "caf\xe9"}')
    assert found(check(folder)) == [("encoding", None)]


def test_opening_what_does_not_pass_says_why_and_how_to_see_the_rest(submission: Any) -> None:
    folder = submission.write([line for line, name, _ in BAD_LINES if name == "record"])
    with pytest.raises(SubmissionError, match=r"responses\.jsonl:1: .*valid integer[\s\S]*lists all of them"):
        open_submission(folder)


def test_every_named_check_can_fail(submission: Any, tmp_path: Path) -> None:
    named = {name for _, name, _ in BAD_LINES} | {name for _, name, _ in BAD_CARDS}
    by_other_tests = {"files", "line_length", "budget", "answers", "coverage"}
    assert named | by_other_tests == set(CHECKS)
