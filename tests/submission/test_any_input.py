"""Whatever bytes a submission holds, the gate answers with a report and the readers with one of our errors."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from effort import times
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsbench.errors import SubmissionError
from vlsbench.judge.verdicts import read_verdicts
from vlsbench.submission.check import check

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["instruction_id", "response", "failure", "condition", "settings", "usage", "model", "label"])
objects = st.dictionaries(KEYS, json_values, max_size=5).map(lambda value: json.dumps(value).encode())
lines = st.lists(st.binary(max_size=60) | objects | st.just(b'{"instruction_id":1,"response":"x"}'), max_size=6)


@settings(max_examples=times(150))
@given(lines, st.binary(max_size=60) | objects)
def test_a_check_reports_and_never_raises(responses: list[bytes], card: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "submission.json").write_bytes(card)
        (Path(folder) / "responses.jsonl").write_bytes(b"\n".join(responses))
        report = check(folder)
    assert report.ok == (not any(problem.severity == "error" for problem in report.problems))
    assert all("\n" not in problem.message for problem in report.problems)


@settings(max_examples=times(150))
@given(lines)
def test_a_verdict_file_is_read_or_refused_with_its_line(content: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.jsonl"
        path.write_bytes(b"\n".join(content))
        try:
            read_verdicts(path)
        except SubmissionError as error:
            assert str(path) in str(error)  # noqa: PT017 - to be read is right as well


def test_json_nested_beyond_reason_is_one_problem() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "submission.json").write_text('{"model": "m"}')
        deep = '{"instruction_id": 1, "response": "x", "usage": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}"
        (Path(folder) / "responses.jsonl").write_text(deep + "\n")
        report = check(folder)
    assert [(problem.check, problem.severity) for problem in report.problems] == [("record", "error")]
