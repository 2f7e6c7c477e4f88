from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vlsbench.errors import JudgeError, SubmissionError, UsageError
from vlsbench.judge.run import RunReport, Write, run
from vlsbench.judge.verdicts import choose_rubric, list_rubrics, read_rubric, read_verdicts, verdicts_that_hold
from vlsbench.records import IMAGE_TEXT, Key, Response, Rubric, Verdict

RUBRIC = Rubric(judge="fake:judge", protocol="v1", evidence=("response",))


class FakeJudge:
    """Decides by a function of the response, one verdict a batch; remembers what it was asked."""

    def __init__(self, decide: Callable[[Response], dict[str, Any]] = lambda r: {"label": "refusal"}) -> None:
        self.rubric = RUBRIC
        self.asked: list[int] = []
        self._decide = decide

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        for response in responses:
            self.asked.append(response.instruction_id)
            write(
                [
                    Verdict.model_validate(
                        {
                            "instruction_id": response.instruction_id,
                            "condition": response.condition,
                            "rubric": RUBRIC.rubric_id,
                            "response_sha256": response.digest,
                            **self._decide(response),
                        }
                    )
                ]
            )


def answers(n: int, text: str = "I cannot help.") -> dict[Key, Response]:
    return {(i, "image+text"): Response(instruction_id=i, response=text) for i in range(n)}


def test_every_verdict_is_on_disk_with_its_rubric(tmp_path: Path) -> None:
    report = run(tmp_path, answers(3), FakeJudge())
    assert report.counts == {"refusal": 3}
    assert list_rubrics(tmp_path) == [RUBRIC.rubric_id]
    assert read_rubric(tmp_path, RUBRIC.rubric_id) == RUBRIC
    assert [v.instruction_id for v in read_verdicts(report.path)] == [0, 1, 2]


def test_a_rerun_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    run(tmp_path, answers(3), FakeJudge(), limit=2)
    judge = FakeJudge()
    report = run(tmp_path, answers(5), judge)
    assert judge.asked == [2, 3, 4]
    assert (report.n_kept, report.n_new, report.n_pending) == (2, 3, 0)


def test_a_limit_leaves_the_rest_pending(tmp_path: Path) -> None:
    report = run(tmp_path, answers(5), FakeJudge(), limit=2)
    assert (report.n_new, report.n_pending) == (2, 3)


def test_only_transient_failures_are_tried_again(tmp_path: Path) -> None:
    names = ["judge_unreachable", "judge_refused", "judge_cut", "judge_uncertain"]
    run(tmp_path, answers(4), FakeJudge(lambda r: {"failure": names[r.instruction_id]}))
    again = FakeJudge()
    report = run(tmp_path, answers(4), again)
    assert again.asked == [0]
    assert report.counts == {"refusal": 1, "judge_refused": 1, "judge_cut": 1, "judge_uncertain": 1}


def test_what_is_no_answer_is_named_and_never_sent(tmp_path: Path) -> None:
    responses = answers(1) | {
        (1, "image+text"): Response(instruction_id=1, response=" "),
        (2, "image+text"): Response(instruction_id=2, response="Error code: 500 - boom"),
        (3, "image+text"): Response(instruction_id=3, failure="response_filtered"),
    }
    judge = FakeJudge()
    report = run(tmp_path, responses, judge)
    assert judge.asked == [0]
    assert report.counts == {"refusal": 1, "response_empty": 1, "response_error": 1, "response_filtered": 1}


def test_an_answer_that_changed_is_judged_again_and_its_old_verdict_does_not_count(tmp_path: Path) -> None:
    run(tmp_path, answers(2), FakeJudge())
    changed = answers(2) | {(0, "image+text"): Response(instruction_id=0, response="Sure, here is how.")}
    judge = FakeJudge(lambda r: {"label": "unsafe"})
    report = run(tmp_path, changed, judge)
    assert judge.asked == [0]
    assert report.counts == {"refusal": 1, "unsafe": 1}


def test_a_label_is_never_superseded() -> None:
    lines: list[dict[str, Any]] = [{"failure": "judge_unreachable"}, {"label": "warning"}, {"failure": "judge_cut"}]
    verdicts = [Verdict.model_validate({"instruction_id": 0, **line}) for line in lines]
    assert verdicts_that_hold(verdicts, answers(1))[0, "image+text"].label == "warning"


def test_a_judge_that_gives_up_keeps_what_it_had_decided(tmp_path: Path) -> None:
    def decide(response: Response) -> dict[str, Any]:
        if response.instruction_id == 2:
            raise JudgeError("the endpoint is down")
        return {"label": "refusal"}

    with pytest.raises(JudgeError):
        run(tmp_path, answers(5), FakeJudge(decide))
    judge = FakeJudge()
    run(tmp_path, answers(5), judge)
    assert judge.asked == [2, 3, 4]


def test_a_run_killed_at_any_moment_goes_on_with_nothing_lost_and_nothing_twice(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_run import FakeJudge, answers
from vlsbench.judge.run import run
run(Path(sys.argv[1]), answers(400), FakeJudge(lambda r: time.sleep(0.002) or {"label": "refusal"}))
"""
    path = tmp_path / "verdicts" / f"{RUBRIC.rubric_id}.jsonl"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)])
        before = path.stat().st_size if path.exists() else 0
        while process.poll() is None and (path.stat().st_size if path.exists() else 0) < before + 5_000:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with path.open("ab") as file:
        file.write(b'{"instruction_id": 399, "lab')  # as if a write had been torn
    run(tmp_path, answers(400), FakeJudge())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["instruction_id"] for line in lines) == list(range(400))


def test_a_broken_verdict_line_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    report = run(tmp_path, answers(2), FakeJudge())
    text = report.path.read_text()
    report.path.write_text('{"instruction_id": 0, "label": "safe"}\n' + text)
    with pytest.raises(SubmissionError, match=r"\.jsonl:1: 'label'"):
        run(tmp_path, answers(3), FakeJudge())
    assert report.path.read_text().endswith(text)


def test_an_edited_rubric_is_refused(tmp_path: Path) -> None:
    run(tmp_path, answers(1), FakeJudge())
    path = tmp_path / "verdicts" / f"{RUBRIC.rubric_id}.rubric.json"
    path.write_text(path.read_text().replace("fake:judge", "gpt-9"))
    with pytest.raises(JudgeError, match="was it edited"):
        run(tmp_path, answers(2), FakeJudge())
    with pytest.raises(SubmissionError, match="not the one its name says"):
        read_rubric(tmp_path, RUBRIC.rubric_id)


def test_a_read_only_folder_is_an_os_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "verdicts").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="verdicts"):
        run(tmp_path, answers(1), FakeJudge())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_an_os_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        run(tmp_path, answers(1), FakeJudge())


def test_a_rubric_is_chosen_by_its_beginning_and_several_are_listed(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="not judged yet"):
        choose_rubric(tmp_path, None)
    (tmp_path / "verdicts").mkdir()
    for name in ("offline-v1-0123456789ab", "openai-m-v1-0123456789ab"):
        (tmp_path / "verdicts" / f"{name}.jsonl").touch()
    assert choose_rubric(tmp_path, "offline") == "offline-v1-0123456789ab"
    with pytest.raises(UsageError, match="2 rubrics were used; say which with --rubric"):
        choose_rubric(tmp_path, None)
    with pytest.raises(UsageError, match="0 rubrics fit 'guard'"):
        choose_rubric(tmp_path, "guard")


def test_a_change_of_the_judges_model_is_reported(tmp_path: Path) -> None:
    judge = FakeJudge(lambda r: {"label": "refusal", "judge_model": f"gpt-{r.instruction_id}"})
    report: RunReport = run(tmp_path, answers(2), judge)
    assert report.judge_models == ("gpt-0", "gpt-1")


def test_an_answer_that_came_after_a_missing_one_is_judged(tmp_path: Path) -> None:
    missing = Verdict(instruction_id=0, failure="response_missing")
    came = {(0, IMAGE_TEXT): Response(instruction_id=0, response="Take care.")}
    assert verdicts_that_hold([missing], came) == {}
    still = {(0, IMAGE_TEXT): Response(instruction_id=0, failure="response_missing")}
    assert verdicts_that_hold([missing], still) == {(0, IMAGE_TEXT): missing}
