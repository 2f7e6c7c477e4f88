"""The formats of other tools. lmms-eval's and Inspect's files are written by their own writers.

VLMEvalKit cannot be installed beside this package: its files are written by the calls that its writer makes, with the
engine it uses. OpenAI's batch lines and the authors' output are made here as they are documented.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vlsbench.dataset.index import load_index
from vlsbench.submission.check import open_submission
from vlsbench.submission.importers.formats import ImportReport
from vlsbench.submission.importers.matching import Asked

Import = Callable[..., ImportReport]
FIXTURES = Path(__file__).parents[2] / "fixtures" / "importers"
LMMS = FIXTURES / "lmms_eval" / "org__tiny-vlm"


THINKS = "<think>I should decline.</think>\n\nI see a table."
CUT = "<think>I should"
APART = [("I see a table.", None, "I should decline."), (None, "response_empty", "I should")]
"""What `THINKS` and `CUT` are read as."""


@pytest.mark.parametrize("kind", ["plain", "csv", "xlsx", "authors", "lmms-eval", "vlmevalkit", "openai-batch"])
def test_a_thought_is_no_answer_on_any_way_in(
    bring: Import, written: Any, workbook: Any, sample_texts: dict[int, str], kind: str
) -> None:
    said = [THINKS, CUT]
    table = [["instruction_id", "response"], *([100000 + n, text] for n, text in enumerate(said))]
    texts = [sample_texts[100000 + n] for n in range(2)]
    lmms = [{"doc_id": n, "input": texts[n], "filtered_resps": [text]} for n, text in enumerate(said)]
    content = {
        "plain": lambda: [dict(zip(table[0], row, strict=True)) for row in table[1:]],
        "csv": lambda: "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in table),
        "xlsx": lambda: workbook(table),
        "authors": lambda: authors(texts, said),
        "lmms-eval": lambda: lmms,
        "vlmevalkit": lambda: [
            {"index": 100000 + n, "question": texts[n], "prediction": text} for n, text in enumerate(said)
        ],
        "openai-batch": lambda: [line(str(100000 + n), {"content": text}) for n, text in enumerate(said)],
    }[kind]()
    report = bring(content, asked=Asked(trusts_ids=kind == "openai-batch"))
    assert report.problems == ()
    keys = ("response", "failure", "reasoning")
    assert [tuple(found.get(key) for key in keys) for found in written()] == APART
    assert report.failures == {"response_empty": 1}


# --- The authors' script ------------------------------------------------------------------------------------


def authors(texts: Sequence[str], answers: Sequence[str | None]) -> str:
    logs = [
        {
            "id": n,
            "question": text,
            "image_path": f"imgs/{100000 + n}.png",
            "pred_answer": answer,
            "safe_label": 1,
            "label_str": "S",
        }
        for n, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]
    return json.dumps({"stats": {"safe_rate": 100.0}, "logs": logs}, indent=2)


def test_the_authors_row_numbers_become_ids_by_their_questions(
    bring: Import, written: Any, sample_texts: dict[int, str]
) -> None:
    texts = [sample_texts[100000 + n] for n in range(3)]
    said = authors(texts, ["I see a table.", "Sorry, but error occured", None])
    report = bring(without_pictures(said), name="gpt.json")
    assert report.problems == ()
    assert (report.format, report.dataset, report.n_compared) == ("authors", "sample", 3)
    assert written() == [
        {"instruction_id": 100000, "response": "I see a table."},
        {"instruction_id": 100001, "failure": "response_error"},
        {"instruction_id": 100002, "failure": "response_empty"},
    ]
    assert report.ignored == ("safe_label", "label_str")
    assert report.notes[0].startswith("their labels are not taken over")
    assert "label" not in json.dumps(written())


def test_shuffled_questions_find_their_samples(bring: Import, written: Any, sample_texts: dict[int, str]) -> None:
    texts = [sample_texts[100000], sample_texts[100002], sample_texts[100001]]
    report = bring(without_pictures(authors(texts, ["x", "y", "z"])), name="gpt.json")
    assert (report.problems, report.n_by_text) == ((), 3)
    assert {line["instruction_id"]: line["response"] for line in written()} == {100000: "x", 100002: "y", 100001: "z"}


def without_pictures(text: str) -> str:
    """Take the paths of the images out, which are the release's in `authors`."""
    data = json.loads(text)
    for entry in data["logs"]:
        del entry["image_path"]
    return json.dumps(data)


def test_questions_that_are_nobodys_say_that_the_samples_are_unknown(bring: Import) -> None:
    (problem,) = bring(without_pictures(authors(["What?", "Why?"], ["x", "y"])), name="gpt.json").problems
    assert "nothing tells that 'id', which looks like row numbers (0..1), is the instruction_id" in problem


def test_an_answer_without_its_question_cannot_be_placed(bring: Import, sample_texts: dict[int, str]) -> None:
    data = json.loads(without_pictures(authors([sample_texts[100000]], ["x"])))
    del data["logs"][0]["question"]
    (problem,) = bring(json.dumps(data), name="gpt.json").problems
    assert "nothing tells that 'id'" in problem


def test_a_row_number_in_the_release_is_its_id(bring: Import, written: Any, release_json: Path) -> None:
    texts = [record["instruction"] for record in json.loads(release_json.read_text(encoding="utf-8"))]
    report = bring(without_pictures(authors(texts, ["x"] * len(texts))), name="gpt.json")
    assert (report.ok, report.dataset, report.n_compared) == (True, "release", 2241)
    assert [line["instruction_id"] for line in written()] == list(range(2241))


def test_a_categorys_row_numbers_declare_the_category(
    bring: Import, written: Any, release_json: Path, tmp_path: Path
) -> None:
    records = json.loads(release_json.read_text(encoding="utf-8"))
    rows = load_index("release").select("privacy").rows
    texts = [records[row.instruction_id]["instruction"] for row in rows]
    report = bring(without_pictures(authors(texts, ["x"] * len(texts))), name="gpt.json")
    assert report.ok
    assert [line["instruction_id"] for line in written()] == [row.instruction_id for row in rows]
    assert open_submission(tmp_path / "out").index.config == "privacy"


# --- lmms-eval ----------------------------------------------------------------------------------------------

LMMS_LINES = [
    {"instruction_id": 100000, "response": "In a closed bag, with both hands."},
    {"instruction_id": 100001, "response": "Say hello."},
    {"instruction_id": 100002, "failure": "response_empty"},
    {"instruction_id": 100003, "failure": "response_error"},
    {"instruction_id": 100004, "response": "a\r\nb\u2028c é 猫"},
    {"instruction_id": 100005, "response": "None of these."},
]


@pytest.mark.parametrize("task", ["vlsbench", "vlsbench_wrapped"])
def test_what_lmms_eval_wrote_is_read(bring: Import, written: Any, tmp_path: Path, task: str) -> None:
    """Written by scripts/make_lmms_eval_fixture.py; prompts that wrap are found to hold the sample's own sentences."""
    report = bring(LMMS / f"20261121_000000_samples_{task}.jsonl", model=None)
    assert report.problems == ()
    assert (report.format, report.dataset, report.n_compared, report.n_not_compared) == ("lmms-eval", "sample", 6, 0)
    lines = written()
    assert all(line.pop("usage") == {"input_tokens": 20, "output_tokens": 7} for line in lines)
    assert lines == LMMS_LINES
    card = open_submission(tmp_path / "out").card
    assert (card.model, card.settings.max_new_tokens, card.settings.temperature) == ("org/tiny-vlm", 128, 0.0)
    assert card.dataset is not None
    assert card.dataset.config == "sample"
    assert report.ignored == ("vlsbench_safe",)
    assert report.notes[0] == "1 row with several answers (repeats); the first of each is taken"


def test_a_limited_split_is_told_by_its_texts(bring: Import, written: Any, sample_texts: dict[int, str]) -> None:
    rows = [{"doc_id": 7, "input": sample_texts[100007], "resps": [["x"]]}]
    assert bring(rows).ok
    assert written() == [{"instruction_id": 100007, "response": "x"}]


def test_an_offset_split_is_found_by_its_texts(bring: Import, written: Any, sample_texts: dict[int, str]) -> None:
    rows = [{"doc_id": n, "input": sample_texts[100010 + n], "filtered_resps": f"x{n}"} for n in range(3)]
    assert bring(rows).ok
    assert {line["instruction_id"]: line["response"] for line in written()} == {100010 + n: f"x{n}" for n in range(3)}


def test_a_prompt_that_is_nobodys_says_what_the_release_would_find(bring: Import) -> None:
    report = bring([{"doc_id": 0, "input": "Look.\nSomething\nAnswer.", "filtered_resps": "x"}])
    assert "--data with the release finds those that were changed" in report.problems[0]


def test_a_wrapped_prompt_of_the_release_is_found_by_its_digest(
    bring: Import, written: Any, release_json: Path
) -> None:
    records = json.loads(release_json.read_text(encoding="utf-8"))
    prompts = [f"Look.\n{record['instruction']}\nAnswer." for record in records]
    rows = [{"doc_id": n, "input": prompt, "filtered_resps": "x"} for n, prompt in enumerate(prompts)]
    (blank,) = [n for n, record in enumerate(records) if not record["instruction"]]
    rows[blank]["input"] = ""
    report = bring(rows)
    assert (report.ok, report.n_compared, report.n_not_compared) == (True, 2241, 0)
    assert [line["instruction_id"] for line in written()] == list(range(2241))


FILTERED = [
    ("a thought taken away", {"filtered_resps": "No.", "resps": ["<think>hm</think> No. "]}, "No.", False),
    ("blanks taken away", {"filtered_resps": "No. Wait.", "resps": [["No.\n Wait. "]]}, "No. Wait.", False),
    ("a letter left", {"filtered_resps": "A", "resps": ["A. Step back, it is hot."]}, "A. Step back, it is hot.", True),
    ("nothing found", {"filtered_resps": "[invalid]", "resps": [["Step back."]]}, "Step back.", True),
    (
        "a letter of an answer with a thought",
        {"filtered_resps": ["A"], "resps": ["<think>a</think>A. No."]},
        None,
        True,
    ),
    ("no filter", {"filtered_resps": "Step back."}, "Step back.", False),
    ("nothing left", {"filtered_resps": [], "resps": [["Step back."]]}, "Step back.", True),
    ("no such column", {"resps": [["Step back."]]}, "Step back.", False),
    ("no other", {"resps": [["Step back."]]}, "Step back.", False),
]


@pytest.mark.parametrize(("why", "cells", "answer", "is_said"), FILTERED, ids=[row[0] for row in FILTERED])
def test_the_answer_is_taken_and_not_what_a_filter_left_of_it(
    bring: Import,
    written: Any,
    sample_texts: dict[int, str],
    why: str,
    cells: dict[str, Any],
    answer: str | None,
    is_said: bool,
) -> None:
    report = bring([{"doc_id": 0, "input": sample_texts[100000], **cells}])
    assert report.problems == (), why
    assert answer is None or written()[0]["response"] == answer
    assert any("taken from 'resps'" in note for note in report.notes) == is_said
    assert written()[0]["response"] != "A"


# --- VLMEvalKit ---------------------------------------------------------------------------------------------

VLMEVALKIT = FIXTURES / "vlmevalkit"
PREDICTIONS = [
    "I see a table.",
    "response_error",
    "response_error",
    "=2+2 is four",
    "a\r\nb\tc _x0041_ é 猫",
    "long " * 7_000,
    "007",
    "response_empty",
]


@pytest.mark.parametrize("name", ["VLSBench.xlsx", "VLSBench_before.xlsx", "VLSBench.tsv", "VLSBench.json"])
def test_predictions_of_vlmevalkit_are_read(bring: Import, written: Any, name: str) -> None:
    """Written by scripts/make_importer_fixtures.py with the calls of VLMEvalKit's writer; `before` makes formulas."""
    is_workbook = name.endswith("xlsx")
    report = bring(VLMEVALKIT / f"tiny-vlm_{name}", model=None)
    assert report.problems == ()
    assert (report.format, report.model, report.n_compared) == ("vlmevalkit", "tiny-vlm", 8)
    said = [line.get("response", line.get("failure")) for line in written()]
    assert said == [text[:32_767] if is_workbook else text for text in PREDICTIONS]
    assert report.failures == {"response_empty": 1, "response_error": 2}
    assert (
        [line.get("finish_reason") for line in written()].count("truncated") == report.n_truncated == int(is_workbook)
    )
    assert report.ignored == ("answer",)


def test_a_blank_question_is_not_a_mismatch(bring: Import, workbook: Any, release_json: Path) -> None:
    records = json.loads(release_json.read_text(encoding="utf-8"))
    (blank,) = [record["instruction_id"] for record in records if not record["instruction"]]
    texts = [(n, records[n]["instruction"]) for n in range(blank - 30, blank + 1)]
    rows = [["index", "question", "prediction"], *([n, text, "x"] for n, text in texts)]
    rows[2][1] = ""
    report = bring(workbook(rows))
    assert (report.problems, report.n_compared, report.n_not_compared) == ((), 30, 1)


def test_the_thinking_of_vlmevalkit_is_kept_apart(bring: Import, written: Any) -> None:
    assert bring([{"instruction_id": 1, "index": 0, "prediction": "x", "thinking": "hm"}]).ok
    assert written() == [{"instruction_id": 1, "response": "x", "reasoning": "hm"}]


def test_a_prediction_that_is_absent_is_empty(bring: Import, written: Any) -> None:
    rows = [{"index": 1, "prediction": float("nan")}, {"index": 2, "prediction": ""}, {"index": 3.0, "prediction": "x"}]
    assert bring(json.dumps(rows), name="m.json", asked=Asked(trusts_ids=True)).ok
    assert [line.get("failure") for line in written()] == ["response_empty", "response_empty", None]


@pytest.mark.parametrize("name", ["model.xlsx", "model.pkl"])
def test_a_pickle_is_never_opened(bring: Import, name: str) -> None:
    import pickle

    (problem,) = bring(pickle.dumps({"index": [1], "prediction": ["x"]}), name=name).problems
    assert "a pickle, which runs whatever its writer put in when it is read; it is never opened" in problem


# --- OpenAI batch -------------------------------------------------------------------------------------------


def line(
    custom_id: str, message: dict[str, Any] | None = None, finish_reason: str = "stop", **changes: Any
) -> dict[str, Any]:
    choices = [{"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant"} | (message or {})}]
    body = {"id": "c-1", "model": "gpt-x-2026-01-01", "choices": choices, "usage": {"total_tokens": 5}}
    response = {"status_code": 200, "request_id": "r-1", "body": body}
    return {"id": "b-1", "custom_id": custom_id, "response": response, "error": None} | changes


BATCH = [
    (
        line("instruction_id=1", {"content": "I see a table."}),
        {"instruction_id": 1, "response": "I see a table.", "finish_reason": "stop"},
    ),
    (
        line("instruction_id-2", {"content": None, "refusal": "I can't help."}),
        {"instruction_id": 2, "response": "I can't help.", "finish_reason": "stop"},
    ),
    (
        line("instruction_id=3:text-only", {"content": "cut of"}, "length"),
        {"instruction_id": 3, "condition": "text-only", "response": "cut of", "finish_reason": "length"},
    ),
    (
        line("instruction_id=4", {"content": ""}, "content_filter"),
        {"instruction_id": 4, "failure": "response_filtered", "finish_reason": "content_filter"},
    ),
    (
        line("instruction_id=5", {"content": None}, "length"),
        {"instruction_id": 5, "failure": "response_empty", "finish_reason": "length"},
    ),
    (
        line("instruction_id=6", response=None, error={"code": "batch_expired", "message": "too late"}),
        {"instruction_id": 6, "failure": "response_error", "finish_reason": "batch_expired"},
    ),
    (
        line("instruction_id=7", response={"status_code": 500, "request_id": "r", "body": None}),
        {"instruction_id": 7, "failure": "response_error", "finish_reason": "HTTP 500"},
    ),
    (
        line(
            "instruction_id=8",
            response={"status_code": 400, "body": {"error": {"code": "content_filter", "message": "no"}}},
        ),
        {"instruction_id": 8, "failure": "response_filtered", "finish_reason": "content_filter"},
    ),
    (
        line("instruction_id=9", {"content": "yes", "reasoning_content": "hm"}),
        {"instruction_id": 9, "response": "yes", "finish_reason": "stop", "reasoning": "hm"},
    ),
]


def test_a_batch_output_is_read_answers_and_errors_alike(bring: Import, written: Any) -> None:
    report = bring([given for given, _ in BATCH], model=None)
    assert report.problems == ()
    assert (report.format, report.model, report.n_compared, report.n_not_compared) == (
        "openai-batch",
        "gpt-x-2026-01-01",
        0,
        9,
    )
    extra = {"usage": {"total_tokens": 5}, "model_snapshot": "gpt-x-2026-01-01"}
    for got, (_, expected) in zip(written(), BATCH, strict=True):
        assert {key: value for key, value in got.items() if key not in extra} == expected
        if "HTTP" not in str(expected) and expected["instruction_id"] not in (6, 8):
            assert {key: got[key] for key in extra} == extra


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (line("request-1", {"content": "x"}), "nothing tells that 'custom_id' is the instruction_id"),
        (
            line("vlsbench-1", {"content": "x"}),
            "'custom_id', which looks like row numbers (1..1), is the instruction_id",
        ),
        (line("1", {"content": "x"}) | {"response": {"status_code": 200, "body": {"data": []}}}, "without `choices`"),
        (line("1", {"content": "x"}) | {"response": "x"}, "'response' is an object or null; found str"),
        (line("instruction_id=1:image only", {"content": "x"}), "'condition': a condition is"),
    ],
)
def test_a_bad_batch_line_is_named(bring: Import, given: dict[str, Any], words: str) -> None:
    (problem,) = bring([given], from_format="openai-batch").problems
    assert words in problem


def body(**changes: Any) -> dict[str, Any]:
    """Make the body of a chat completion with other choices."""
    return {"response": {"status_code": 200, "body": {"model": "m-1"} | changes}, "error": None}


def choice(index: int, content: Any, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    return {"index": index, "finish_reason": finish_reason, "message": {"content": content} | message}


def responses(output: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Make a line of a batch of `/v1/responses`."""
    return body(object="response", status="completed", output=output, **changes)


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(parts)}


SAID = {"type": "output_text", "text": "I see a table."}
REPLIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "parts",
        body(choices=[choice(0, [{"type": "text", "text": "I see"}, {"type": "text", "text": " a table."}])]),
        {"response": "I see a table.", "finish_reason": "stop"},
    ),
    (
        "choices out of order",
        body(choices=[choice(1, "another"), choice(0, "I see a table.")]),
        {"response": "I see a table.", "finish_reason": "stop"},
    ),
    (
        "a filter by another name",
        body(choices=[choice(0, "", "SAFETY")]),
        {"failure": "response_filtered", "finish_reason": "SAFETY"},
    ),
    (
        "a thought within the text",
        body(choices=[choice(0, "<think>hm</think>Yes.")]),
        {"response": "Yes.", "finish_reason": "stop", "reasoning": "hm"},
    ),
    (
        "an error within a choice",
        body(choices=[{"index": 0, "error": {"code": 502, "message": "gone"}, "message": {"content": ""}}]),
        {"failure": "response_error"},
    ),
    ("an error in place of the choices", body(error={"code": 500, "message": "gone"}), {"failure": "response_error"}),
    (
        "a filter in place of the choices",
        body(error={"code": "content_filter", "message": "no"}),
        {"failure": "response_filtered"},
    ),
    ("responses", responses([message(SAID)]), {"response": "I see a table.", "finish_reason": "stop"}),
    (
        "responses with a thought",
        responses([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}, message(SAID)]),
        {"response": "I see a table.", "finish_reason": "stop", "reasoning": "hm"},
    ),
    (
        "responses, refused",
        responses([message({"type": "refusal", "refusal": "I can't help."})]),
        {"response": "I can't help.", "finish_reason": "stop"},
    ),
    (
        "responses, cut",
        responses([message(SAID)], incomplete_details={"reason": "max_output_tokens"}),
        {"response": "I see a table.", "finish_reason": "length"},
    ),
    (
        "responses, filtered",
        responses([], incomplete_details={"reason": "content_filter"}),
        {"failure": "response_filtered", "finish_reason": "content_filter"},
    ),
    (
        "responses, cut within the thought",
        responses([{"type": "reasoning", "summary": []}], incomplete_details={"reason": "max_output_tokens"}),
        {"failure": "response_empty", "finish_reason": "length"},
    ),
    (
        "responses, failed",
        responses([], error={"code": "server_error", "message": "gone"}),
        {"failure": "response_error"},
    ),
]


@pytest.mark.parametrize(("why", "given", "expected"), REPLIES, ids=[row[0] for row in REPLIES])
def test_a_batch_is_read_as_generate_reads_a_reply(
    bring: Import, written: Any, why: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    report = bring([{"id": "b-1", "custom_id": "instruction_id=1"} | given])
    assert report.problems == (), why
    (got,) = written()
    kept = {key: got.get(key) for key in ("response", "failure", "reasoning") if key in got}
    assert kept == {key: value for key, value in expected.items() if key != "finish_reason"}
    if "finish_reason" in expected:
        assert got["finish_reason"] == expected["finish_reason"]


def test_the_metadata_of_a_response_tell_its_sample(bring: Import, written: Any) -> None:
    given = responses([message(SAID)], metadata={"instruction_id": "7"})
    assert bring([{"custom_id": "request-1"} | given]).problems == ()
    assert written()[0]["instruction_id"] == 7


# --- Inspect ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_format", ["eval", "json"])
def test_what_inspect_wrote_is_read(
    bring: Import, written: Any, inspect_logs: dict[str, Path], tmp_path: Path, log_format: str
) -> None:
    report = bring(inspect_logs[f"mixed.{log_format}"], model=None)
    assert report.problems == ()
    assert (report.format, report.model, report.n_compared) == ("inspect", "mockllm/model", 6)
    lines = written()
    for kept in lines:
        kept.pop("usage", None), kept.pop("model_snapshot", None)
    assert lines == [
        {"instruction_id": 100000, "response": "I see a table. " * 20, "finish_reason": "stop"},
        {"instruction_id": 100001, "failure": "response_filtered", "finish_reason": "content_filter"},
        {"instruction_id": 100002, "response": "cut of", "finish_reason": "length", "reasoning": "hm"},
        {"instruction_id": 100003, "failure": "response_empty", "finish_reason": "stop"},
        {"instruction_id": 100004, "failure": "response_error"},
        {"instruction_id": 100005, "response": "Yes.", "finish_reason": "stop", "reasoning": "hm"},
    ]
    card = open_submission(tmp_path / "out").card
    assert (card.settings.max_new_tokens, card.settings.temperature) == (128, 0.0)
    notes = "\n".join(report.notes)
    assert "1 sample ended in an error, at a limit or invalid" in notes
    assert "epoch 1 is taken; 6 answers of later epochs left behind" in notes
    assert "scores are not taken over" in notes


def test_samples_that_failed_first_and_were_answered_later_are_counted(
    bring: Import, written: Any, inspect_logs: dict[str, Path]
) -> None:
    report = bring(inspect_logs["later.eval"])
    assert report.problems == ()
    assert "1 sample ended in an error, at a limit or invalid" in " ".join(report.notes)
    assert "1 sample of them failed first and was answered later" in report.notes
    assert {line["instruction_id"]: line.get("failure") for line in written()}[100000] == "response_error"


def test_a_log_that_did_not_end_well_is_taken_as_far_as_it_goes(
    bring: Import, written: Any, inspect_logs: dict[str, Path]
) -> None:
    report = bring(inspect_logs["stopped.eval"])
    assert report.problems == ()
    assert "the log's status is 'error', not 'success'" in report.notes[0]
    failures = {line["instruction_id"]: line.get("failure") for line in written()}
    assert failures[100000] is None
    assert {failures[100004], failures[100005]} == {"response_error"}, "one failed, the other was never asked"


@pytest.mark.parametrize("log_format", ["eval", "json"])
def test_a_sample_at_a_limit_or_marked_invalid_is_no_answer(
    bring: Import, written: Any, inspect_logs: dict[str, Path], log_format: str
) -> None:
    report = bring(inspect_logs[f"edited.{log_format}"])
    assert report.problems == ()
    failures = {line["instruction_id"]: line.get("failure") for line in written()}
    assert [failures[100000], failures[100002], failures[100005]] == ["response_error", "response_error", None]


@pytest.mark.parametrize("content", ['{"version": 2, "eval": {}}', '{"eval": 5, "logs": []}'])
def test_a_json_that_is_no_log_is_a_sentence(bring: Import, content: str) -> None:
    pytest.importorskip("inspect_ai")
    (problem,) = bring(content, name="log.json").problems
    assert "not a log that Inspect can read" in problem
