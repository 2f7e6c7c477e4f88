"""A run of a model: one line per (sample, condition), never two, never paid twice, whatever ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import open_source
from vlsbench.errors import DataError, JudgeError, ModelError, SubmissionError, UsageError
from vlsbench.files import MAX_LINE_BYTES, exclusive
from vlsbench.generate.conditions import CONDITIONS, Question
from vlsbench.generate.directory import Asked, estimate_generate, generate_directory
from vlsbench.generate.models import TargetOptions
from vlsbench.generate.reply import Answer
from vlsbench.generate.run import generate
from vlsbench.generate.target import Write, make_response
from vlsbench.records import Response, Settings, SubmissionCard
from vlsbench.submission.check import check
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.pipeline import run_pipeline

HERE = Path(__file__).parent


class FakeTarget:
    """A model in memory; `fails` gives the answers that are none."""

    revision: str | None = None

    def __init__(
        self, model: str = "tiny", *, fails: dict[int, Answer] | None = None, dies_after: int = 99, **sent: Any
    ):
        self.name = f"fake:{model}"
        self.model = model
        self.fails = fails or {}
        self.dies_after = dies_after
        self.settings = Settings(**{"max_new_tokens": 128, "temperature": 0.0, "top_p": 1.0, **sent})
        self.sent = self.settings
        self.asked: list[Question] = []

    def answer(self, questions: Sequence[Question], write: Write, *, has_answered: bool = False) -> int:
        lost = 0
        for question in questions:
            if len(self.asked) >= self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(question)
            answer = self.fails.get(question.instruction_id, Answer("Step back.", usage={"prompt_tokens": 5}))
            if answer.unreached is not None:
                lost += 1
            else:
                write([make_response(question, answer._replace(settings=self.sent))])
        return lost


def card_of(target: FakeTarget, **fields: Any) -> SubmissionCard:
    made = {"model": target.model, "settings": target.settings.model_dump(exclude_none=True)}
    return SubmissionCard.model_validate({**made, "dataset": {"config": "default"}, **fields})


def go(folder: Path, kit: Any, target: FakeTarget, n: int = 5, **fields: Any) -> Any:
    return generate(folder, target, kit.make_questions(n), card_of(target, **fields))


def test_run_writes_one_line_per_question_and_a_card(kit: Any, tmp_path: Path) -> None:
    report = go(tmp_path / "out", kit, FakeTarget())
    assert (report.n_kept, report.n_new, report.n_unanswered, report.counts) == (0, 5, 0, {"answered": 5})
    assert report.tokens_in == 25
    lines = kit.lines_of(tmp_path / "out")
    assert [line["instruction_id"] for line in lines] == list(range(5))
    assert {line["condition"] for line in lines} == {"image+text"}
    card = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert card["model"] == "tiny"
    assert card["settings"] == {"max_new_tokens": 128, "temperature": 0.0, "top_p": 1.0}


def test_run_that_was_killed_goes_on_and_asks_nothing_twice(kit: Any, tmp_path: Path) -> None:
    first, second, third = FakeTarget(dies_after=3), FakeTarget(), FakeTarget()
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, kit, first)
    report = go(tmp_path, kit, second)
    assert (report.n_kept, report.n_new) == (3, 2)
    assert [q.instruction_id for q in first.asked + second.asked] == list(range(5))
    go(tmp_path, kit, third)
    assert third.asked == []
    assert len(kit.lines_of(tmp_path)) == 5


def test_line_torn_by_a_killed_run_is_dropped_and_asked_again(kit: Any, tmp_path: Path) -> None:
    go(tmp_path, kit, FakeTarget())
    path = tmp_path / "responses.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    target = FakeTarget()
    go(tmp_path, kit, target)
    assert [q.instruction_id for q in target.asked] == [4]
    assert len(kit.lines_of(tmp_path)) == 5


LONG = {
    "an answer": (
        Answer("x" * MAX_LINE_BYTES),
        {"failure": "response_error", "finish_reason": "an answer of 1,048,576"},
    ),
    "an answer beside thoughts": (Answer("x" * 1_000_000, reasoning="y" * 199_000), {"response": "x" * 1_000_000}),
    "thoughts that JSON escapes": (Answer("Step back.", reasoning="\x01" * 199_000), {"response": "Step back."}),
}


@pytest.mark.parametrize("name", LONG)
def test_reply_that_fits_into_no_line_costs_no_other_line(kit: Any, tmp_path: Path, name: str) -> None:
    answer, expected = LONG[name]
    report = go(tmp_path, kit, FakeTarget(fails={2: answer}))
    assert report.n_new == 5
    assert go(tmp_path, kit, FakeTarget()).n_new == 0
    assert max(map(len, (tmp_path / "responses.jsonl").read_bytes().splitlines())) <= MAX_LINE_BYTES
    line = kit.lines_of(tmp_path)[2]
    assert {field: line[field][: len(value)] for field, value in expected.items()} == expected
    assert check(tmp_path).ok


def test_line_of_another_hand_that_is_too_long_is_named(kit: Any, tmp_path: Path) -> None:
    go(tmp_path, kit, FakeTarget(), 2)
    with (tmp_path / "responses.jsonl").open("a") as file:
        file.write(json.dumps({"instruction_id": 2, "response": "x" * MAX_LINE_BYTES}) + "\n")
    with pytest.raises(SubmissionError, match=r"jsonl:3: a line has at most 1,048,576 bytes, this one 1,048,6\d\d"):
        go(tmp_path, kit, FakeTarget())


FAILURES = {
    "unreachable": (Answer(unreached="HTTP 503"), True),
    "empty": (Answer(failure="response_empty", finish_reason="length"), False),
    "refused": (Answer(failure="response_error", finish_reason="HTTP 400: too long"), False),
    "filtered": (Answer(failure="response_filtered"), False),
}


@pytest.mark.parametrize("name", FAILURES)
def test_only_a_question_without_a_reply_is_asked_again(kit: Any, tmp_path: Path, name: str) -> None:
    answer, is_asked_again = FAILURES[name]
    report = go(tmp_path, kit, FakeTarget(fails={2: answer}))
    assert report.n_unanswered == int(is_asked_again)
    again = FakeTarget()
    go(tmp_path, kit, again)
    assert [q.instruction_id for q in again.asked] == ([2] if is_asked_again else [])
    keys = Counter(line["instruction_id"] for line in kit.lines_of(tmp_path))
    assert keys == dict.fromkeys(range(5), 1)


def test_line_that_says_missing_is_asked_again(kit: Any, tmp_path: Path) -> None:
    go(tmp_path, kit, FakeTarget(), 2)
    line = Response(instruction_id=2, failure="response_missing")
    with (tmp_path / "responses.jsonl").open("a") as file:
        file.write(line.model_dump_json(exclude_none=True) + "\n")
    target = FakeTarget()
    report = go(tmp_path, kit, target, 3)
    assert [q.instruction_id for q in target.asked] == [2]
    assert report.counts == {"answered": 3}


def test_settings_that_were_not_taken_leave_the_card_and_the_run_goes_on(kit: Any, tmp_path: Path) -> None:
    target = FakeTarget()
    target.sent = Settings(max_new_tokens=128, top_p=1.0)
    go(tmp_path, kit, target, 2)
    assert json.loads((tmp_path / "submission.json").read_text())["settings"] == {"max_new_tokens": 128, "top_p": 1.0}
    assert go(tmp_path, kit, target, 3).n_new == 1


def test_what_a_person_wrote_on_the_card_stays(kit: Any, tmp_path: Path) -> None:
    go(tmp_path, kit, FakeTarget(), 2)
    path = tmp_path / "submission.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "organization": "Us", "parameters": "7B"}))
    before = path.read_bytes()
    go(tmp_path, kit, FakeTarget(), 3)
    assert path.read_bytes() == before


OTHERS: dict[str, tuple[FakeTarget, dict[str, Any], str]] = {
    "another model": (FakeTarget("other"), {}, r"holds the answers of 'tiny', and 'other' was to answer"),
    "another budget": (
        FakeTarget(max_new_tokens=512), {},
        r"answers of 'tiny' with max_new_tokens 128 instead of 512, and 'tiny' was to answer",
    ),
    "another engine": (FakeTarget(engine="x"), {}, "engine None instead of 'x'"),
    "another config": (FakeTarget(), {"dataset": {"config": "privacy"}}, "config 'default' instead of 'privacy'"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_folder_of_other_answers_is_left_as_it_is(kit: Any, tmp_path: Path, name: str) -> None:
    go(tmp_path, kit, FakeTarget())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    target, fields, message = OTHERS[name]
    with pytest.raises(ModelError, match=message) as caught:
        go(tmp_path, kit, target, 9, **fields)
    assert "\n" not in str(caught.value)
    assert target.asked == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_answers_of_nobody_are_left_as_they_are(kit: Any, tmp_path: Path) -> None:
    (tmp_path / "responses.jsonl").write_text('{"instruction_id": 1, "response": "x"}\n')
    with pytest.raises(ModelError, match=r"without submission\.json, so nobody knows whose"):
        go(tmp_path, kit, FakeTarget())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("submission.json", "{", "not JSON"),
        ("responses.jsonl", '{"instruction_id": 0}\n{"instruction_id": 1, "response": "x"}\n', "jsonl:1: a line has"),
    ],
)
def test_broken_file_is_named_and_left_as_it_is(
    kit: Any, tmp_path: Path, name: str, content: str, message: str
) -> None:
    go(tmp_path, kit, FakeTarget())
    (tmp_path / name).write_text(content)
    with pytest.raises(SubmissionError, match=message):
        go(tmp_path, kit, FakeTarget(), 9)
    assert (tmp_path / name).read_text() == content


def test_second_run_at_once_is_refused(kit: Any, tmp_path: Path) -> None:
    with exclusive(tmp_path / "responses.jsonl"), pytest.raises(SubmissionError, match="another process is writing"):
        go(tmp_path, kit, FakeTarget())


# With a dataset and a model by name


class Served(NamedTuple):
    """A stand-in endpoint."""

    url: str
    log: Path

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()[1:]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    yield from serve(tmp_path, 0.0)


@pytest.fixture
def slow_served(tmp_path: Path) -> Iterator[Served]:
    yield from serve(tmp_path, 0.15)


def serve(folder: Path, seconds: float) -> Iterator[Served]:
    log = folder / "asked.log"
    process = subprocess.Popen([sys.executable, str(HERE / "stand_in.py"), str(log), str(seconds)])
    try:
        while not (log.exists() and log.read_text().endswith("\n")):
            assert process.poll() is None
            time.sleep(0.02)
        yield Served(f"http://127.0.0.1:{log.read_text().split()[0]}/v1", log)
    finally:
        process.kill()
        process.wait()


def test_every_condition_of_the_sample_makes_a_submission_that_passes_the_gate(
    kit: Any, served: Served, tmp_path: Path
) -> None:
    out, options = tmp_path / "out", TargetOptions(base_url=served.url)
    report = generate_directory(out, "openai:org/m", Asked(conditions=CONDITIONS), options=options)
    n = len(load_index("sample").risky)
    assert report.counts == {"answered": 7 * n}
    found = check(out)
    assert found.ok
    assert (found.model, found.config, found.n_answered) == ("org/m", "sample", n)
    assert found.conditions == dict.fromkeys(sorted(CONDITIONS), n)
    assert [p for p in found.problems if p.check != "coverage"] == []
    assert len(served.asked) == 7 * n
    assert len(set(served.asked)) == 6 * n, "every condition but the repeat shows something else"
    assert generate_directory(out, "openai:org/m", Asked(conditions=CONDITIONS), options=options).n_new == 0
    assert len(served.asked) == 7 * n


def test_limit_takes_the_first_samples_under_every_condition(kit: Any, served: Served, tmp_path: Path) -> None:
    out, options = tmp_path / "out", TargetOptions(base_url=served.url)
    asked = Asked(conditions=("text-only", "image+text"), limit=3)
    generate_directory(out, "openai:m", asked, options=options)
    first = [row.instruction_id for row in load_index("sample").risky[:3]]
    lines = kit.lines_of(out)
    for condition in ("text-only", "image+text"):
        assert sorted(line["instruction_id"] for line in lines if line["condition"] == condition) == first
    report = generate_directory(out, "openai:m", options=options, is_resumed=True)
    assert (report.n_kept, report.n_new) == (3, len(load_index("sample").risky) - 3)


def test_twins_are_asked_where_they_are_wanted(kit: Any, served: Served, tmp_path: Path) -> None:
    report = generate_directory(
        tmp_path / "out", "openai:m", Asked(has_twins=True), options=TargetOptions(base_url=served.url)
    )
    assert report.n_new == len(load_index("sample").rows)
    assert check(tmp_path / "out").config == "twins"


def test_captioner_describes_every_image_once_and_makes_a_condition_of_its_own(
    kit: Any, served: Served, tmp_path: Path
) -> None:
    out, options = tmp_path / "out", TargetOptions(base_url=served.url)
    asked = Asked(conditions=("caption",), captioner="openai:eyes", limit=6)
    generate_directory(out, "openai:m", asked, options=options)
    samples = load_index("sample").risky[:6]
    by_model = Counter(line.split()[0] for line in served.asked)
    assert by_model == {"eyes": len({row.image for row in samples}), "m": 6}
    (condition,) = {line["condition"] for line in kit.lines_of(out)}
    (captions,) = (out / "captions").glob("*.jsonl")
    assert condition == f"caption:{captions.stem}"
    generate_directory(out, "openai:m", asked, options=options)
    assert len(served.asked) == by_model.total(), "nothing is asked twice"


def test_dry_run_counts_what_is_left_and_asks_nothing(kit: Any, served: Served, tmp_path: Path) -> None:
    out, options = tmp_path / "out", TargetOptions(base_url=served.url, price_in=1.0, price_out=2.0)
    generate_directory(out, "openai:m", Asked(limit=2), options=options)
    n_before = len(served.asked)
    estimate = estimate_generate(out, "openai:m", Asked(conditions=("image+text", "text-only")), options=options)
    n = len(load_index("sample").risky)
    assert (estimate.n_questions, estimate.n_answered) == (2 * n, 2)
    assert estimate.most_tokens_out == 128 * (2 * n - 2)
    assert estimate.tokens_in > 100 * (n - 2)
    assert "money" in str(estimate)
    assert len(served.asked) == n_before


def test_dry_run_of_a_folder_that_would_be_refused_is_refused(served: Served, tmp_path: Path) -> None:
    out, options = tmp_path / "out", TargetOptions(base_url=served.url)
    generate_directory(out, "openai:m", Asked(limit=2), options=options, name="Mine")
    with pytest.raises(ModelError, match="holds the answers of 'Mine', and 'other' was to answer"):
        estimate_generate(out, "openai:other", Asked(limit=2), options=options)
    assert estimate_generate(out, "openai:m", Asked(limit=2), options=options, name="Mine").n_answered == 2


def test_a_model_that_a_server_names_by_its_folder_is_called_by_the_folders_name(
    kit: Any, served: Served, tmp_path: Path
) -> None:
    out, options = tmp_path / "out", TargetOptions(base_url=served.url)
    generate_directory(out, "openai:/home/ann/models/llava-7b", Asked(limit=2), options=options)
    assert json.loads((out / "submission.json").read_text())["model"] == "llava-7b"
    assert {line["model_snapshot"] for line in kit.lines_of(out)} == {"llava-7b"}
    assert {line.split()[0] for line in served.asked} == {"/home/ann/models/llava-7b"}
    again = generate_directory(out, "openai:/home/ann/models/llava-7b", Asked(limit=2), options=options)
    assert (again.n_kept, again.n_new) == (2, 0)


def test_no_file_of_a_local_run_says_where_the_model_lay(
    kit: Any, tiny_model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tiny_model("qwen2_vl")
    asked = Asked(limit=2, conditions=("image+text", "caption"), captioner=f"transformers:{folder}")
    options = TargetOptions(max_new_tokens=4)
    run_pipeline(tmp_path / "out", f"transformers:{folder}", "offline", asked, options=options)
    with pytest.raises(JudgeError, match=r"of the 8 canaries got a label") as stopped:
        judge_directory(tmp_path / "out", f"transformers:{folder}")
    assert str(folder.parent) not in str(stopped.value)
    card = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert card["model"] == folder.name
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} >= {"out", "captions", "verdicts", "results"}
    assert [path for path in files if str(folder.parent) in path.read_text()] == []


COMMAND = [sys.executable, "-m", "vlsbench"]


def run_command(*arguments: str, kill_when: Any = None, **environment: str) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    while kill_when is not None and process.poll() is None:
        if kill_when():
            process.kill()
            break
        time.sleep(0.005)
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_run_that_is_killed_again_and_again_generates_judges_and_scores(
    kit: Any, slow_served: Served, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["run", "--model", "openai:m", "--judge", "offline", "--out", str(out), "--base-url", slow_served.url]
    command += ["--concurrency", "4", "--condition", "image+text", "--condition", "text-only"]
    n = 2 * len(load_index("sample").risky)
    for part in (5, 20, 33):
        done = run_command(*command, kill_when=lambda part=part: len(slow_served.asked) >= part)
        assert done.returncode == -9, done.stderr
    n_asked, n_kept = len(slow_served.asked), len(kit.lines_of(out))
    done = run_command(*command)
    assert done.returncode == 0, done.stderr
    keys = Counter((line["instruction_id"], line["condition"]) for line in kit.lines_of(out))
    assert len(keys) == n
    assert set(keys.values()) == {1}
    # What was on disk when a run was killed is never asked again; what was under way is, and the server may note some
    # of that after the kill.
    assert 0 <= len(slow_served.asked) - n_asked - (n - n_kept) <= 4
    (result,) = (out / "results").glob("*.json")
    found = json.loads(result.read_text())
    assert (found["n_samples"], found["n_unjudged"], found["safe_rate"]) == (n // 2, 0, 1.0)
    assert "text-only" in found["conditions"]


# Bad input: one sentence each, nothing lost

BAD: dict[str, tuple[list[str], int, str]] = {
    "unknown backend": (["--model", "vllm:m"], 2, r"--model is 'openai:NAME' or 'transformers:PATH_OR_ID'; found"),
    "no model": (["--model", "openai:"], 2, "--model is 'openai:NAME'"),
    "no key": (["--model", "openai:gpt"], 1, "needs a key: set OPENAI_API_KEY"),
    "wrong URL": (["--model", "openai:m", "--base-url", "nowhere"], 2, "'nowhere' is not a URL"),
    "no such folder": (["--model", "transformers:./nowhere"], 1, "there is no such folder"),
    "dataset absent": (["--model", "openai:m", "--base-url", "http://127.0.0.1:9", "--data", "nowhere"], 1, "nowhere"),
    "config of the release": (["--model", "openai:m", "--config", "privacy"], 1, "the sample has no config 'privacy'"),
    "unknown condition": (["--model", "openai:m", "--condition", "dark"], 2, "'dark' is not known; known: image"),
    "prompt without its condition": (["--model", "openai:m", "--prompt", "x"], 2, "--prompt x: cannot be read"),
    "captioner without its condition": (["--model", "openai:m", "--captioner", "openai:e"], 2, "is for --condition c"),
    "nothing to go on with": (["--model", "openai:m", "--resume"], 2, "holds no answers to go on with"),
    "foreign option": (["--model", "openai:m", "--batch-size", "3"], 2, "openai:m takes no --batch-size"),
    "prices of a local model": (["--model", "transformers:m", "--price-in", "3"], 2, "takes no --price-in"),
    "dry run of a local model": (["--model", "transformers:m", "--dry-run"], 2, "--dry-run says what 'openai:NAME'"),
    "twins of the release": (["--model", "openai:m", "--twins", "--data", "x"], 2, "the release has none"),
    "name that is none": (
        ["--model", "openai:a<b", "--base-url", "http://127.0.0.1:9/v1"], 2, "another name with --name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_leaves_no_answer(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vlsbench.cli.main import main

    arguments, code, message = BAD[name]
    if "transformers" in arguments[1] and code == 1:
        pytest.importorskip("torch", reason="needs the extra 'local'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vlsbench", "generate", "--out", "out", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert caught.value.code == code
    assert message in said.replace("\n", " ")
    assert "Traceback" not in said
    assert said.count("error: ") == 1
    assert not (tmp_path / "out" / "responses.jsonl").exists()
    assert not (tmp_path / "out" / "submission.json").exists()


BAD_JUDGES = {
    "unknown": (["--judge", "nobody"], 2, "--judge is 'offline', 'offline:FOLDER', 'openai:MODEL'"),
    "without a key": (["--judge", "openai:j"], 1, "set OPENAI_API_KEY"),
    "unknown protocol": (["--judge", "offline", "--protocol", "v9"], 2, "'v9'"),
    "limit without prices": (["--judge", "openai:j", "--judge-max-cost", "1"], 2, "-max-cost needs --judge-price-in"),
    "prices of a judge without": (
        ["--judge", "offline", "--judge-price-in", "1", "--judge-price-out", "1"],
        2,
        "--judge offline takes no --judge-price-in",
    ),
    "limit on a cluster": (
        [
            "--judge",
            "openai:j",
            "--judge-price-in",
            "1",
            "--judge-price-out",
            "1",
            "--judge-max-cost",
            "1",
            "--engine",
            "ray",
        ],
        2,
        "--judge-max-cost is kept by one process",
    ),
}


@pytest.mark.parametrize("name", BAD_JUDGES)
def test_judge_that_cannot_be_is_said_before_the_model_is_asked(
    served: Served, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vlsbench.cli.main import main

    arguments, code, message = BAD_JUDGES[name]
    out = tmp_path / "out"
    command = ["vlsbench", "run", "--model", "openai:m", "--base-url", served.url, "--out", str(out), *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert (caught.value.code, said.count("error: ")) == (code, 1)
    assert message in said.replace("\n", " ")
    assert served.asked == []
    assert not out.exists()


def test_run_stops_before_the_answers_or_the_verdicts_cost_too_much(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vlsbench.cli.main import main

    monkeypatch.setenv("OPENAI_API_KEY", "test")
    command = ["vlsbench", "run", "--model", "openai:m", "--base-url", served.url, "--limit", "2"]
    command += ["--judge", "openai:j", "--judge-base-url", served.url]
    prices = ["price-in", "1000000", "price-out", "1000000", "max-cost", "1"]
    said = {}
    for of, code in (("", 1), ("judge-", 2)):
        limit = [f"--{of}{part}" if part[0].isalpha() else part for part in prices]
        monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / f"out-{of}"), *limit])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == code
        said[of] = capsys.readouterr().err.replace("\n", " ")
    assert "Finished answers are kept" in said[""]
    assert "may not cover the 8 canaries" in said["judge-"]
    assert len(served.asked) == 2


def test_part_of_the_release_is_asked_by_its_config_and_what_lacks_is_named(tmp_path: Path) -> None:
    from vlsbench.dataset.source import packaged_sample

    with pytest.raises(DataError, match="not the release"):
        generate_directory(tmp_path / "out", "openai:m", Asked(data=packaged_sample(), config="privacy"))
    with open_source(None, name="sample") as source, pytest.raises(DataError):
        source.sample(0)


def test_own_captions_and_a_captioner_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"instruction_id": 100000, "caption": "x"}\n')
    asked = Asked(conditions=("caption",), captions=tmp_path / "c.jsonl", captioner="openai:e")
    with pytest.raises(UsageError, match="exclude each other"):
        generate_directory(tmp_path / "out", "openai:m", asked)
