"""The law: a submission that is exported to a plain table and imported again says the same."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

from effort import times
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsbench.records import Response
from vlsbench.submission.check import read_submission
from vlsbench.submission.importers.formats import import_file

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["", "None", "NA", "=1", '"', "\r\n"]
)
COLUMNS = ["instruction_id", "condition", "response", "failure", "finish_reason", "settings", "usage", "reasoning"]


@st.composite
def responses(draw: st.DrawFn) -> Response:
    failure = draw(
        st.none() | st.sampled_from(["response_missing", "response_empty", "response_error", "response_filtered"])
    )
    return Response.model_validate(
        {
            "instruction_id": draw(st.integers(0, 2240)),
            "condition": draw(st.sampled_from(["image+text", "text-only", "caption:0123abcd"])),
            "response": draw(texts) if failure is None else None,
            "failure": failure,
            "finish_reason": draw(st.none() | st.sampled_from(["stop", "length"])),
            "settings": draw(st.none() | st.just({"max_new_tokens": 128, "seed": 3})),
            "usage": draw(st.none() | st.just({"output_tokens": 5})),
            "reasoning": draw(st.none() | texts.filter(bool)),
        }
    )


submissions = st.lists(responses(), min_size=1, max_size=5, unique_by=lambda r: (r.instruction_id, r.condition))


def imported(path: Path) -> list[Response]:
    out = path.parent / "out"
    report = import_file(path, out, model="m")
    assert report.problems == ()
    lines = (out / "responses.jsonl").read_bytes().split(b"\n")
    return [Response.model_validate_json(line) for line in lines if line]


@settings(max_examples=times(120))
@given(submissions)
def test_json_lines_come_back(given_responses: list[Response]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "responses.jsonl"
        path.write_text("".join(r.model_dump_json() + "\n" for r in given_responses), encoding="utf-8")
        assert imported(path) == given_responses
        submission, _ = read_submission(Path(folder) / "out")
        assert submission is None or list(submission.responses.values()) == given_responses


@settings(max_examples=times(120))
@given(submissions)
def test_a_csv_comes_back(given_responses: list[Response]) -> None:
    """As `csv` writes it: null is an empty cell, so a blank answer stays an answer that is blank."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for response in given_responses:
                row = response.model_dump(mode="json", include=set(COLUMNS), exclude_unset=False)
                cells = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()}
                writer.writerow(cells)
        assert imported(path) == given_responses
