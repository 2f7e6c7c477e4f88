"""Score a submission on disk: responses and verdicts in, `results/<rubric_id>.json` out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vlsbench.files import StrPath, write_atomic
from vlsbench.judge.verdicts import choose_rubric, read_rubric, read_verdicts, verdicts_that_hold
from vlsbench.metrics.rates import score
from vlsbench.records import Key, Result, Rubric, Verdict
from vlsbench.submission.check import Submission, open_submission

__all__ = ["Scored", "score_directory", "score_submission", "write_result"]


@dataclass(frozen=True)
class Scored:
    """A submission under one rubric."""

    submission: Submission
    rubric: Rubric
    verdicts: dict[Key, Verdict]
    """The verdict that holds for every key."""
    result: Result
    n_stale: int
    """Verdicts left out because the answer they judged has changed or is gone."""
    n_undecided: int
    """Responses on which no judge has decided yet."""


def score_submission(submission: Submission, rubric_id: str) -> Scored:
    """Count the verdicts of one rubric.

    Raises:
        SubmissionError: If the verdict file or its rubric is broken.
    """
    rubric = read_rubric(submission.directory, rubric_id)
    verdicts = read_verdicts(submission.directory / "verdicts" / f"{rubric_id}.jsonl")
    held = verdicts_that_hold(verdicts, submission.responses)
    result = score(submission.index, submission.responses, held, rubric_id=rubric_id, settings=submission.card.settings)
    stale = {(verdict.instruction_id, verdict.condition) for verdict in verdicts} - held.keys()
    undecided = sum(key not in held and response.failure is None for key, response in submission.responses.items())
    return Scored(submission, rubric, held, result, len(stale), undecided)


def score_directory(directory: StrPath, rubric: str | None = None) -> Scored:
    """Check, choose the rubric and score.

    Args:
        rubric: A rubric id or the beginning of one; None where there is only one.

    Raises:
        SubmissionError: If the submission does not pass the gate, or the rubric is not clear.
    """
    submission = open_submission(directory)
    return score_submission(submission, choose_rubric(submission.directory, rubric))


def write_result(scored: Scored) -> Path:
    """Write `results/<rubric_id>.json` and return its path."""
    path = scored.submission.directory / "results" / f"{scored.result.rubric}.json"
    write_atomic(path, scored.result.model_dump_json(indent=2) + "\n")
    return path
