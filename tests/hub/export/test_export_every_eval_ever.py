"""The schemas are those of the format's own package, vendored with their licence; see the fixture's README."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import open_source
from vlsbench.errors import SubmissionError, UsageError
from vlsbench.files import sha256_hex
from vlsbench.hub.eval_results import TASKS
from vlsbench.hub.every_eval_ever import ExchangeFiles, every_eval_ever, model_id_of
from vlsbench.judge.prompts import load_prompt
from vlsbench.records import Rubric
from vlsbench.submission.scoring import score_directory

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "tests" / "fixtures" / "every_eval_ever"
MIXED = ROOT / "submissions" / "examples" / "mixed"
WHEN = datetime(2026, 11, 20, tzinfo=UTC)


def errors_of(schema: str, document: Any) -> list[str]:
    validator = Draft7Validator(json.loads((SCHEMAS / schema).read_text(encoding="utf-8")))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def read(made: ExchangeFiles) -> tuple[Any, list[Any]]:
    return json.loads(made.aggregate), [json.loads(line) for line in made.samples.splitlines()]


@pytest.fixture(scope="module")
def whole(judged: Path) -> ExchangeFiles:
    return every_eval_ever(score_directory(judged), when=WHEN)


def test_both_files_fit_the_formats_schemas(whole: ExchangeFiles) -> None:
    aggregate, rows = read(whole)
    assert errors_of("eval.schema.json", aggregate) == []
    kinds = {json.dumps([row["error"], sorted(row), sorted(row["output"])]): row for row in rows}
    assert len(kinds) > 2, "rows with and without a label, with and without reasoning"
    for row in kinds.values():
        assert errors_of("instance_level_eval.schema.json", row) == []
    assert errors_of("eval.schema.json", {**aggregate, "extra": 1}) != [], "the schema is closed"


def test_an_offline_result_fits_and_claims_no_llm() -> None:
    made = every_eval_ever(score_directory(MIXED), when=WHEN)
    aggregate, rows = read(made)
    assert errors_of("eval.schema.json", aggregate) == []
    assert all(errors_of("instance_level_eval.schema.json", row) == [] for row in rows)
    assert all("llm_scoring" not in item["metric_config"] for item in aggregate["evaluation_results"])
    (first, *_) = aggregate["evaluation_results"]
    assert "provisional" in first["score_details"]["details"]["caveats"]
    assert first["source_data"]["source_type"] == "other", "the sample is not the Hub's dataset"


def test_a_recalibrated_offline_judge_is_no_llm_either(tmp_path: Path, write_judged: Any) -> None:
    rubric = Rubric(judge="offline:calibrated-01234567", protocol="v1", evidence=("response",))
    made = every_eval_ever(score_directory(write_judged(tmp_path / "sub", rubric=rubric)), when=WHEN)
    aggregate, rows = read(made)
    assert all("llm_scoring" not in item["metric_config"] for item in aggregate["evaluation_results"])
    methods = {item["extraction_method"] for row in rows for item in row["answer_attribution"]}
    assert methods == {"classifier"}


def test_the_files_lie_where_the_datastore_wants_them(whole: ExchangeFiles) -> None:
    match = re.fullmatch(r"data/vlsbench/acme/Good-VL-8B/([0-9a-f-]{36})\.json", whole.aggregate_path)
    assert match is not None
    assert uuid.UUID(match[1]).version == 4
    assert whole.samples_path == whole.aggregate_path.replace(".json", "_samples.jsonl")
    aggregate, rows = read(whole)
    detail = aggregate["detailed_evaluation_results"]
    assert detail["file_path"] == whole.samples_path
    assert detail["checksum"] == hashlib.sha256(whole.samples.encode()).hexdigest()
    assert detail["total_rows"] == len(rows) == 2241


def test_ids_tie_the_two_files_together(whole: ExchangeFiles) -> None:
    aggregate, rows = read(whole)
    assert aggregate["evaluation_id"] == f"vlsbench/acme/Good-VL-8B/{int(WHEN.timestamp())}"
    assert {row["evaluation_id"] for row in rows} == {aggregate["evaluation_id"]}
    assert {row["model_id"] for row in rows} == {aggregate["model_info"]["id"]}
    results = {item["evaluation_result_id"] for item in aggregate["evaluation_results"]}
    assert {row["evaluation_result_id"] for row in rows} == {"vlsbench"} <= results
    assert results == {task.task_id for task in TASKS}


def test_the_samples_add_up_to_the_score(whole: ExchangeFiles, judged: Path) -> None:
    aggregate, rows = read(whole)
    result = score_directory(judged).result
    scores = [row["evaluation"]["score"] for row in rows]
    assert scores.count(1) / len(rows) == aggregate["evaluation_results"][0]["score_details"]["score"]
    assert scores.count(-1) == result.n_unjudged
    assert {row["evaluation"]["score"] for row in rows if row["error"] is not None} == {-1}
    labels = [row["answer_attribution"][0]["extracted_value"] for row in rows if row["answer_attribution"]]
    assert labels.count("refusal") == result.n_refusal
    assert all(row["evaluation"]["is_correct"] == (row["evaluation"]["score"] == 1) for row in rows)


def test_score_interval_and_unknowns_are_stated(whole: ExchangeFiles, judged: Path) -> None:
    result = score_directory(judged).result
    first = read(whole)[0]["evaluation_results"][0]
    interval = first["score_details"]["uncertainty"]["confidence_interval"]
    assert result.safe_rate_ci == (interval["lower"], interval["upper"])
    assert interval["confidence_level"] == 0.95
    assert first["metric_config"]["has_unknown_level"] is True
    assert first["metric_config"]["lower_is_better"] is False
    assert first["score_details"]["details"]["n_unjudged"] == str(result.n_unjudged)
    assert first["generation_config"]["generation_args"] == {"max_tokens": 128}


def test_the_judge_is_named_with_its_wording(tmp_path: Path, write_judged: Any) -> None:
    prompt = load_prompt("v1")
    rubric = Rubric(
        judge="openai:judge-2026-01-01",
        protocol="v1",
        evidence=("image", "instruction", "response"),
        prompt_sha256=prompt.sha256,
        settings={"temperature": 0.0},
    )
    folder = write_judged(tmp_path / "sub", rubric=rubric, judge_models=("judge-2026-01-01-full",))
    scoring = read(every_eval_ever(score_directory(folder), when=WHEN))[0]["evaluation_results"][0]["metric_config"]
    (judge,) = scoring["llm_scoring"]["judges"]
    assert judge["model_info"]["name"] == "judge-2026-01-01"
    assert judge["model_info"]["id"] == "judge-2026-01-01-full"
    assert judge["temperature"] == 0
    assert prompt.rules in scoring["llm_scoring"]["input_prompt"]
    assert scoring["llm_scoring"]["additional_details"]["prompt_sha256"] == prompt.sha256


def test_a_safeguard_that_took_our_rules_is_named_with_them(tmp_path: Path, write_judged: Any) -> None:
    prompt = load_prompt("gpt-oss-safeguard", evidence="reason", says_reply=True)
    rubric = Rubric(
        judge="transformers:m", protocol="gpt-oss-safeguard", evidence=("response",), prompt_sha256=prompt.sha256
    )
    made = every_eval_ever(score_directory(write_judged(tmp_path / "sub", rubric=rubric)), when=WHEN)
    metric = read(made)[0]["evaluation_results"][0]["metric_config"]
    assert prompt.rules in metric["llm_scoring"]["input_prompt"]
    (judge,) = metric["llm_scoring"]["judges"]
    assert judge["model_info"]["additional_details"]["deployment_type"] == "self_deployed"


@pytest.mark.parametrize(
    ("digest", "sentence"),
    [("a" * 64, f"SHA-256 {'a' * 64}"), (None, "the judge's own template")],
    ids=["a wording of one's own", "no wording"],
)
def test_a_wording_that_is_not_ours_is_named_by_its_digest(
    tmp_path: Path, write_judged: Any, digest: str | None, sentence: str
) -> None:
    rubric = Rubric(judge="openai:j-1", protocol="v1", evidence=("response",), prompt_sha256=digest)
    made = every_eval_ever(score_directory(write_judged(tmp_path / "sub", rubric=rubric)), when=WHEN)
    assert sentence in read(made)[0]["evaluation_results"][0]["metric_config"]["llm_scoring"]["input_prompt"]


def test_a_samples_text_is_withheld_unless_the_dataset_is_given() -> None:
    scored = score_directory(MIXED)
    withheld = every_eval_ever(scored, when=WHEN)
    with open_source(None, name="sample") as source:
        texts = {
            row.instruction_id: source.sample(row.instruction_id).instruction for row in load_index("sample").risky
        }
        told = every_eval_ever(scored, when=WHEN, instruction_of=lambda number: texts[number])
    rows, told_rows = read(withheld)[1], read(told)[1]
    assert rows[0]["input"]["raw"] == "withheld: instruction_id 100000 of the package's own sample"
    assert {int(row["sample_id"]): row["input"]["raw"] for row in told_rows} == texts
    # The hash of input and references is that of the text, said or not.
    assert [row["sample_hash"] for row in rows] == [sha256_hex(row["input"]["raw"]) for row in told_rows]
    assert not any(text in withheld.samples for text in texts.values())


def test_no_sentence_of_the_release_is_exported(whole: ExchangeFiles, release_json: Path) -> None:
    records = json.loads(release_json.read_text(encoding="utf-8"))
    texts = {record[key] for record in records for key in ("instruction", "image_description", "safety_reason")}
    assert [text for text in texts if text.strip() and text in whole.samples + whole.aggregate] == []


def test_the_same_result_makes_the_same_bytes(whole: ExchangeFiles, judged: Path) -> None:
    assert every_eval_ever(score_directory(judged), when=WHEN) == whole
    later = every_eval_ever(score_directory(judged), when=datetime(2026, 11, 21, tzinfo=UTC))
    assert later.aggregate_path != whole.aggregate_path


def test_a_line_end_inside_an_answer_does_not_break_a_row(tmp_path: Path, write_judged: Any) -> None:
    folder = write_judged(tmp_path / "sub")
    path = folder / "responses.jsonl"
    path.write_text(path.read_text().replace("Answer", "One\\u2028two\\u0085three\\u000bfour", 1))
    made = every_eval_ever(score_directory(folder), when=WHEN)
    assert len(made.samples.splitlines()) == 130
    assert read(made)[1][0]["output"]["raw"][0].startswith("One\u2028two\x85three\x0bfour")


@pytest.mark.parametrize(
    ("card", "model_repo", "model_id"),
    [
        ({"model": "org/name"}, None, "org/name"),
        ({"model": "name", "organization": "Some Lab"}, None, "Some-Lab/name"),
        ({"model": "a/b/c"}, None, "a/b/c"),
        ({"model": "A name (v2): x"}, "org/repo", "org/repo"),
        ({"model": "org/name: v2"}, None, "org/name-v2"),
    ],
    ids=["a repository", "a name of an organization", "a route", "said by hand", "signs that no folder has"],
)
def test_a_model_is_filed_under_a_portable_name(
    tmp_path: Path, write_judged: Any, card: dict[str, str], model_repo: str | None, model_id: str
) -> None:
    scored = score_directory(write_judged(tmp_path / "sub", card=card))
    assert model_id_of(scored, model_repo) == model_id
    made = every_eval_ever(scored, when=WHEN, model_repo=model_repo)
    developer, *rest = model_id.split("/")
    assert made.aggregate_path.startswith(f"data/vlsbench/{developer}/{'_'.join(rest)}/")


@pytest.mark.parametrize(
    ("card", "model_repo"),
    [
        ({"model": "name"}, None),
        ({"model": "org/data"}, None),
        ({"model": "org/con.x"}, None),
        ({"model": "unknown/name"}, None),
        ({"model": "org/name"}, "../../name"),
        ({"model": "org/name"}, "org/"),
        ({"model": "org/name"}, "flat"),
    ],
    ids=["flat", "a reserved name", "a device's name", "unknown", "a path upwards", "half a name", "said flat"],
)
def test_a_model_without_such_a_name_is_refused(
    tmp_path: Path, write_judged: Any, card: dict[str, str], model_repo: str | None
) -> None:
    scored = score_directory(write_judged(tmp_path / "sub", card=card))
    with pytest.raises(UsageError, match="--model-repo DEVELOPER/MODEL"):
        every_eval_ever(scored, when=WHEN, model_repo=model_repo)


def test_a_baseline_is_refused(tmp_path: Path, write_judged: Any) -> None:
    folder = write_judged(tmp_path / "sub", card={"origin": "baseline"})
    with pytest.raises(SubmissionError, match="constant baseline"):
        every_eval_ever(score_directory(folder), when=WHEN)


def test_answers_to_one_category_hang_on_that_category_s_number(tmp_path: Path, write_judged: Any) -> None:
    aggregate, rows = read(every_eval_ever(score_directory(write_judged(tmp_path / "sub")), when=WHEN))
    assert [item["evaluation_result_id"] for item in aggregate["evaluation_results"]] == ["vlsbench_privacy"]
    assert {row["evaluation_result_id"] for row in rows} == {"vlsbench_privacy"}
    assert aggregate["evaluation_results"][0]["source_data"]["samples_number"] == 130
