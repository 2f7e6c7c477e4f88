"""Read one submission sample by sample: what the model said, and what the judge decided and why.

Rule of the room: ids and digests are enough; no sentence and no image of the dataset is read here, so that a page can
show answers to a reader who does not have the dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vlsbench.judge.verdicts import read_verdicts, verdicts_that_hold
from vlsbench.metrics.rates import outcomes
from vlsbench.records import IMAGE_TEXT, LABELS, Failure, Label, Record
from vlsbench.submission.check import open_submission

__all__ = ["OUTCOMES", "Answer", "OutcomeName", "read_answers", "select_answers"]

OutcomeName = Literal["refusal", "warning", "unsafe", "unjudged"]

OUTCOMES: tuple[OutcomeName, ...] = (*LABELS, "unjudged")
"""The four bins, as a reader chooses them."""


class Answer(Record):
    """One sample of a submission under one rubric and one condition."""

    instruction_id: int
    category: str
    sub_category: str
    instruction_sha256: str
    """Tells which sentence was asked, to who has the dataset."""
    response: str | None
    """What the model said; null where it said nothing."""
    finish_reason: str | None
    label: Label | None
    failure: Failure | None
    """Why there is no label."""
    explanation: str | None
    """The judge's own words, or the reason a judge without words gives; null where there is none."""

    @property
    def outcome(self) -> OutcomeName:
        """The bin the sample is counted in."""
        return self.label or "unjudged"


def read_answers(directory: Path, rubric_id: str, *, condition: str = IMAGE_TEXT) -> tuple[Answer, ...]:
    """Read every risky sample of a submission, in the order of ids; a sample without a line is there too.

    Raises:
        SubmissionError: If the submission does not pass the gate, or its verdict file is broken.
    """
    submission = open_submission(directory)
    verdicts = read_verdicts(directory / "verdicts" / f"{rubric_id}.jsonl")
    held = verdicts_that_hold(verdicts, submission.responses)
    answers = []
    for item in outcomes(submission.index.risky, condition, submission.responses, held):
        key = (item.row.instruction_id, condition)
        response, verdict = submission.responses.get(key), held.get(key)
        answers.append(
            Answer(
                instruction_id=item.row.instruction_id,
                category=item.row.category,
                sub_category=item.row.sub_category,
                instruction_sha256=item.row.instruction_sha256,
                response=response.response if response is not None else None,
                finish_reason=response.finish_reason if response is not None else None,
                label=item.label,
                failure=item.failure,
                explanation=verdict.explanation or verdict.raw if verdict is not None else None,
            )
        )
    return tuple(sorted(answers, key=lambda answer: answer.instruction_id))


def select_answers(
    answers: Sequence[Answer],
    *,
    outcome: OutcomeName | None = None,
    category: str | None = None,
    sub_category: str | None = None,
    text: str = "",
) -> list[Answer]:
    """Keep the answers that fit every choice; None and "" choose nothing.

    Args:
        text: Found in the answer, in any case. The id of a sample finds that sample only.
    """
    wanted = text.strip().casefold()
    by_id = [answer for answer in answers if str(answer.instruction_id) == wanted]
    return [
        answer
        for answer in by_id or answers
        if (outcome is None or answer.outcome == outcome)
        and (category is None or answer.category == category)
        and (sub_category is None or answer.sub_category == sub_category)
        and (not wanted or by_id or wanted in (answer.response or "").casefold())
    ]
