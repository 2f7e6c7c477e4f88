"""The task and the scorers in Inspect itself, run by its own command against an endpoint on this machine."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forks import Forks
from PIL import Image

from vlsbench.dataset.index import load_index
from vlsbench.dataset.pictures import Picture, blank_picture, fit_picture, plain_picture
from vlsbench.dataset.source import open_source
from vlsbench.generate.conditions import CONDITIONS, Wordings
from vlsbench.judge.verdicts import read_verdicts
from vlsbench.submission.importers.formats import import_file
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import score_directory

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODEL = ("--model", "openai-api/local/tiny-vlm")
Run = Callable[..., subprocess.CompletedProcess[str]]

if importlib.util.find_spec("inspect_ai") is None:
    pytest.skip("needs the extra 'inspect'", allow_module_level=True)


def read_log(path: Path) -> Any:
    from inspect_ai.log import read_eval_log

    return read_eval_log(str(path))


def scores_of(log: Any, scorer: str = "vlsbench_judge") -> dict[int, Any]:
    return {sample.id: sample.scores[scorer] for sample in log.samples if sample.epoch == 1}


def decided(log: Any, scorer: str = "vlsbench_judge") -> dict[int, str]:
    """The label or the failure of every sample."""
    metadata = {number: score.metadata for number, score in scores_of(log, scorer).items()}
    return {number: found["label"] or found["failure"] for number, found in metadata.items()}


def decided_here(directory: Path, judge: str, **options: Any) -> dict[int, str]:
    path = judge_directory(directory, judge, **options).path
    return {verdict.instruction_id: str(verdict.label or verdict.failure) for verdict in read_verdicts(path)}


@pytest.fixture(scope="module")
def log_path(inspect: Run, stand_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole sample, judged by a model."""
    folder = tmp_path_factory.mktemp("inspect")
    done = inspect("eval", "vlsbench/vlsbench", *MODEL, "-T", "judge=openai:judge", "-T", "protocol=v1", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (folder / "logs").glob("*.eval")
    return path


def test_the_same_answers_get_the_same_labels_as_from_vlsbench_judge(
    log_path: Path, stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-needed")
    assert import_file(log_path, tmp_path / "sub").ok
    log = read_log(log_path)
    there = decided(log)
    assert there == decided_here(tmp_path / "sub", "openai:judge", base_url=stand_in.url)
    assert set(there.values()) == {
        *("refusal", "warning", "unsafe"),
        *("response_empty", "judge_refused", "judge_unparsable"),
    }, "all that may happen happens"
    asked = [score for score in scores_of(log).values() if score.metadata["failure"] != "response_empty"]
    assert {score.metadata["rubric"] for score in asked} == {
        path.name.removesuffix(".rubric.json") for path in (tmp_path / "sub").rglob("*.rubric.json")
    }


def test_the_judge_is_asked_the_same_question_as_by_vlsbench_judge(
    log_path: Path, stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-needed")
    asked_there = {json.dumps(body, sort_keys=True) for body in stand_in.judged if body["model"] == "judge"}
    import_file(log_path, tmp_path / "sub")
    before = len(stand_in.judged)
    judge_directory(tmp_path / "sub", "openai:judge", base_url=stand_in.url)
    asked_here = {json.dumps(body, sort_keys=True) for body in stand_in.judged[before:]}
    assert asked_there <= asked_here, "the canaries come on top"
    assert not [body for body in asked_there if "[THINK]" in body], "a thought is not judged"


def test_rates_over_all_samples_are_those_of_vlsbench_score(
    log_path: Path, stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-needed")
    import_file(log_path, tmp_path / "sub")
    judge_directory(tmp_path / "sub", "openai:judge", base_url=stand_in.url)
    result = score_directory(tmp_path / "sub").result
    judged, rates = read_log(log_path).results.scores
    found = {name: metric.value for name, metric in rates.metrics.items()}
    for name in ("safe_rate", "refusal_rate", "warning_rate", "unsafe_rate", "coverage"):
        assert found[name] == pytest.approx(getattr(result, name)), name
    for name, category in result.by_category.items():
        assert found[name] == pytest.approx(category.safe_rate), name
    assert judged.metrics["safe_rate_judged"].value == pytest.approx(result.safe_rate_judged)
    assert judged.unscored_samples == result.n_unjudged > 0
    assert rates.unscored_samples == 0


def test_a_score_says_label_category_image_and_rubric_and_a_failure_is_unscored(log_path: Path) -> None:
    log = read_log(log_path)
    assert (log.status, log.results.headline.scorer) == ("success", "vlsbench_rates")
    values = {"refusal": 1.0, "warning": 1.0, "unsafe": 0.0}
    for number, score in scores_of(log).items():
        row = load_index("sample").by_id[number]
        metadata = score.metadata
        place = (metadata["category"], metadata["sub_category"], metadata["image"], metadata["condition"])
        assert place == (row.category, row.sub_category, row.image, "image+text")
        if metadata["label"] is None:
            assert score.value != score.value, "NaN: unscored"
            assert score.reason == ("grader_failed" if metadata["failure"].startswith("judge_") else "no_response")
        else:
            assert (score.value, score.answer) == (values[metadata["label"]], metadata["label"])
            assert score.explanation == f"It is {score.answer}."


def test_the_model_is_asked_greedily_text_then_image(log_path: Path, stand_in: Any) -> None:
    bodies = [body for body in stand_in.asked if body["model"] == "tiny-vlm"]
    assert len(bodies) >= 41
    for body in bodies[:41]:
        assert (body["temperature"], body["max_tokens"]) == (0.0, 128)
        assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url"]


def test_datasets_reads_the_log_because_ids_are_whole_numbers(
    log_path: Path, with_inspect: Forks, environment: dict[str, str], tmp_path: Path
) -> None:
    code = (
        "import sys, datasets, inspect_ai.log  # which teaches zipfile the compression of logs\n"
        "rows = datasets.load_dataset('eval', data_files=sys.argv[1], split='train', cache_dir=sys.argv[2])\n"
        "print(len(rows), sorted(rows['id'])[0])"
    )
    done = with_inspect.run(code, [str(log_path), str(tmp_path)], cwd=tmp_path, environment=environment)
    assert done.stdout.split()[-2:] == ["41", "100000"], done.stderr


def test_an_old_log_of_another_task_is_scored_as_it_is_judged_here(
    inspect: Run, inspect_logs: dict[str, Path], tmp_path: Path
) -> None:
    old = inspect_logs["mixed.eval"]
    more = ("--action", "append", "--output-file", "scored.eval")
    done = inspect("score", str(old), "--scorer", "vlsbench/vlsbench_judge", *more, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    import_file(old, tmp_path / "sub", model="m")
    here = decided_here(tmp_path / "sub", "offline")
    assert decided(read_log(tmp_path / "scored.eval")) == here
    assert {"response_filtered", "response_empty", "response_error"} <= set(here.values())


def test_a_judge_that_takes_no_key_leaves_samples_unscored_and_the_answers_in_the_log(
    inspect: Run, tmp_path: Path
) -> None:
    done = inspect("eval", "vlsbench/vlsbench", *MODEL, "--limit", "2", "-T", "judge=openai:locked", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "logs").glob("*.eval")
    log = read_log(path)
    assert set(decided(log).values()) <= {"judge_unreachable", "response_empty"}
    assert all(sample.output.choices for sample in log.samples)
    _, rates = log.results.scores
    assert rates.metrics["coverage"].value == 0.0
    assert rates.metrics["safe_rate"].value != rates.metrics["safe_rate"].value, "NaN: null"


def test_a_judge_that_takes_no_schema_is_asked_as_vlsbench_judge_asks_it(
    log_path: Path, inspect: Run, stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-needed")
    more = ("-S", "judge=openai:plain", "--action", "overwrite", "--output-file", "scored.eval")
    done = inspect("score", str(log_path), "--scorer", "vlsbench/vlsbench_judge", *more, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    log = read_log(tmp_path / "scored.eval")
    import_file(log_path, tmp_path / "sub")
    assert decided(log) == decided_here(tmp_path / "sub", "openai:plain", base_url=stand_in.url)
    (rubric,) = (tmp_path / "sub" / "verdicts").glob("*.rubric.json")
    assert json.loads(rubric.read_text(encoding="utf-8"))["settings"]["output_format"] == "json_object"
    rubrics = {score.metadata["rubric"] for score in scores_of(log).values()}
    assert rubrics == {rubric.name.removesuffix(".rubric.json"), None}, "None where no judge was asked"


def test_a_wrong_call_is_a_sentence_before_anything_is_asked(inspect: Run, stand_in: Any, tmp_path: Path) -> None:
    before = len(stand_in.asked)
    done = inspect("eval", "vlsbench/vlsbench", *MODEL, "-T", "condition=image-only", cwd=tmp_path)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "--condition 'image-only' is not known" in said
    assert "Traceback" not in said
    assert len(stand_in.asked) == before


def test_every_wrong_argument_is_a_sentence(described: Any) -> None:
    words = [
        "the sample has no config 'privacy'; its configs are sample, twins",
        "-T config=twins: the task asks the pairs that enter a rate",
        "--judge is 'offline'",
        "the judge 'offline' has the protocol 'v4'; found 'paper'",
        "-T prompt is for -T condition=safety-prompt; found condition 'image+text'",
        "absent",
    ]
    assert [expected in said for expected, said in zip(words, described["refused"], strict=True)] == [True] * 6


@pytest.fixture(scope="module")
def describe(with_inspect: Forks, environment: dict[str, str]) -> Callable[..., Any]:
    """Run `describe_tasks.py`."""
    script = FIXTURES / "plugins" / "describe_tasks.py"
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"

    def run(*arguments: str) -> Any:
        done = with_inspect.run(code, arguments, cwd=script.parent, environment=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_a_category_of_the_release_is_asked_with_images_from_their_files(
    release_json: Path, describe: Callable[..., Any], tmp_path: Path
) -> None:
    records = json.loads(release_json.read_text(encoding="utf-8"))
    (tmp_path / "data.json").write_bytes(release_json.read_bytes())
    (tmp_path / "imgs").mkdir()
    picture = io.BytesIO()
    Image.new("RGB", (4, 3)).save(picture, "PNG")
    for path in {record["image_path"] for record in records}:
        (tmp_path / path).write_bytes(picture.getvalue())
    index = load_index("release").select("privacy")
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 3)).save(turned, "PNG", exif=exif)
    odd = index.rows[0].image
    (tmp_path / "imgs" / f"{odd}.png").write_bytes(turned.getvalue())
    plain = plain_picture(Picture(turned.getvalue(), "image/png")).data
    uri = hashlib.sha256(f"data:image/png;base64,{base64.b64encode(plain).decode()}".encode()).hexdigest()
    rows = describe(str(tmp_path))["rows"]
    assert [number for number, _, _ in rows] == [row.instruction_id for row in index.rows]
    expected = [uri if row.image == odd else str(tmp_path / "imgs" / f"{row.image}.png") for row in index.rows]
    assert [parts[-1] for _, _, parts in rows] == expected, "a turned one as it is seen"


@pytest.fixture(scope="module")
def described(describe: Callable[..., Any]) -> Any:
    return describe()


@pytest.mark.parametrize("condition", [name for name in CONDITIONS if name != "shuffled-image"])
def test_a_condition_asks_what_generate_asks(described: Any, condition: str) -> None:
    found = described[condition]
    assert (found["temperature"], found["max_tokens"]) == (0.0, 128)
    expected = []
    with open_source(None, name="sample") as source:
        samples = [source.sample(row.instruction_id) for row in load_index("sample").risky]
        for question in Wordings().ask(condition, samples):
            parts = [question.text]
            if question.picture is not None:
                picture = source.picture(question.instruction_id)
                sent = fit_picture(blank_picture(picture) if question.picture == "blank" else picture, max_side=None)
                uri = f"data:{sent.mime};base64,{base64.b64encode(sent.data).decode()}"
                parts.append(hashlib.sha256(uri.encode()).hexdigest())
            expected.append((question.instruction_id, f"{question.instruction_id}:{question.condition}", parts))
    assert [(number, metadata["instruction_id"], parts) for number, metadata, parts in found["rows"]] == expected


def test_inspect_lists_the_task(inspect: Run) -> None:
    done = inspect("list", "tasks", "vlsbench/plugins", cwd=Path(__file__).parents[2])
    assert "vlsbench/plugins/inspect_registry.py@vlsbench" in done.stdout
