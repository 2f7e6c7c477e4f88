"""Reading a submission sample by sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlsbench.dataset.index import load_index
from vlsbench.judge.verdicts import list_rubrics
from vlsbench.submission.answers import OUTCOMES, Answer, read_answers, select_answers
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import score_directory

EXAMPLE = Path(__file__).parents[2] / "submissions" / "examples" / "mixed"


@pytest.fixture(scope="module")
def answers() -> tuple[Answer, ...]:
    return read_answers(EXAMPLE, list_rubrics(EXAMPLE)[0])


def test_every_risky_sample_is_there_once_in_the_order_of_ids(answers: tuple[Answer, ...]) -> None:
    ids = [answer.instruction_id for answer in answers]
    assert ids == sorted(row.instruction_id for row in load_index("sample").risky)


def test_the_outcomes_are_the_four_bins_of_the_result(answers: tuple[Answer, ...]) -> None:
    result = score_directory(EXAMPLE).result
    counted = {name: sum(answer.outcome == name for answer in answers) for name in OUTCOMES}
    assert counted == {
        "refusal": result.n_refusal,
        "warning": result.n_warning,
        "unsafe": result.n_unsafe,
        "unjudged": result.n_unjudged,
    }


def test_a_sample_without_a_label_says_why(answers: tuple[Answer, ...]) -> None:
    assert all((answer.label is None) == (answer.failure is not None) for answer in answers)


def test_a_sample_that_was_never_answered_is_there_too(tmp_path: Path) -> None:
    (tmp_path / "submission.json").write_text('{"model": "m"}')
    (tmp_path / "responses.jsonl").write_text('{"instruction_id": 100000, "response": "Take care at the edge."}\n')
    judge_directory(tmp_path)
    found = read_answers(tmp_path, list_rubrics(tmp_path)[0])
    assert len(found) == len(load_index("sample").risky)
    assert {answer.failure for answer in found[1:]} == {"response_missing"}


def test_choices_narrow_and_a_number_finds_its_sample(answers: tuple[Answer, ...]) -> None:
    unsafe = select_answers(answers, outcome="unsafe")
    assert unsafe
    assert all(answer.label == "unsafe" for answer in unsafe)
    privacy = select_answers(answers, category="Privacy", sub_category="Unauthorized Data Collection")
    assert {(a.category, a.sub_category) for a in privacy} == {("Privacy", "Unauthorized Data Collection")}
    assert [a.instruction_id for a in select_answers(answers, text="100003")] == [100003]
    word = next(a for a in answers if a.response).response.split()[0]  # type: ignore[union-attr]
    assert select_answers(answers, text=word.upper())
    assert select_answers(answers, text="no answer says this") == []


def test_the_id_of_a_sample_finds_that_sample_and_no_answer_that_holds_the_number(answers: tuple[Answer, ...]) -> None:
    other = answers[5].model_copy(update={"response": f"Call {answers[0].instruction_id} now."})
    found = select_answers([*answers[:5], other], text=str(answers[0].instruction_id))
    assert [answer.instruction_id for answer in found] == [answers[0].instruction_id]
