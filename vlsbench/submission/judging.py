"""Judge a submission on disk: the gate, then a judge by name, then its run."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

from vlsbench.dataset.index import given_set
from vlsbench.errors import UsageError
from vlsbench.files import StrPath
from vlsbench.judge.judges import ModelOptions, find_kind, open_judge
from vlsbench.judge.run import OpenJudge, RunOptions, RunReport
from vlsbench.submission.check import open_submission
from vlsbench.text import OnProgress

if TYPE_CHECKING:
    from vlsbench.cost import RunEstimate
    from vlsbench.records import Failure

__all__ = ["estimate_directory", "judge_directory"]


def judge_directory(
    directory: StrPath,
    judge: str = "offline",
    *,
    protocol: str | None = None,
    data: StrPath | None = None,
    base_url: str | None = None,
    concurrency: int = 16,
    limit: int | None = None,
    again: AbstractSet[Failure] = frozenset(),
    options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
    is_batch: bool = False,
    is_waiting: bool = True,
    opener: Callable[..., OpenJudge] = open_judge,
    on_progress: OnProgress = lambda reached: None,
) -> RunReport:
    """Judge what has no verdict yet; verdicts go to `verdicts/<rubric_id>.jsonl`.

    A model judge judges its canaries first; the history of its runs goes to `verdicts/<rubric_id>.run.json`.

    Args:
        judge: As `vlsbench.judge.judges.open_judge` takes it.
        protocol: How it judges; None is the judge's own first choice.
        data: Folder of the release or of a constructed set, for a judge that looks at it; None for the packaged sample.
        base_url: Endpoint of a model judge; None for `OPENAI_BASE_URL`, else OpenAI's own.
        concurrency: Requests of a model judge in flight at once.
        limit: Ask about at most so many responses.
        again: Failures of the judge to ask about again; see `vlsbench.judge.run.AGAIN`.
        options: More about a model judge.
        is_batch: Ask `openai:MODEL` through the endpoint's batches, at half the price; see `vlsbench.judge.batch`.
        is_waiting: Stay until the batches are back; otherwise the same call collects them later.
        opener: Opens the judge; another engine (`vlsbench.engine.engines`) has another.
        on_progress: Told how many verdicts are written, of how many.

    Raises:
        SubmissionError: If the submission does not pass the gate.
        UsageError: If there is no such judge or protocol.
        DataError: If the judge needs the dataset and it is not there.
        JudgeError: If the judge cannot go on; what it had decided is on disk.
    """
    if is_batch and not find_kind(judge).has_batches:
        raise UsageError(f"--batch is for openai:MODEL; {judge!r} has no batches.")
    if not is_waiting and not is_batch:
        raise UsageError("--no-wait belongs to --batch.")
    submission = open_submission(directory, given=given_set(data))
    chosen = opener(
        judge,
        protocol=protocol,
        dataset=submission.index.name,
        data=None if data is None else Path(data),
        concurrency=concurrency,
        base_url=base_url,
        options=options,
    )
    how = RunOptions(limit=limit, again=again, is_batch=is_batch, is_waiting=is_waiting, on_progress=on_progress)
    return chosen.run(submission.directory, submission.responses, how)


def estimate_directory(
    directory: StrPath,
    judge: str,
    *,
    protocol: str | None = None,
    data: StrPath | None = None,
    limit: int | None = None,
    again: AbstractSet[Failure] = frozenset(),
    options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
) -> RunEstimate:
    """Say what `judge_directory` would ask and what it would cost. Asks nothing, writes nothing, needs no key.

    Raises:
        SubmissionError: If the submission does not pass the gate.
        UsageError: If there is no such judge or protocol, or the judge costs nothing.
        DataError: If the judge needs the dataset and it is not there.
    """
    submission = open_submission(directory, given=given_set(data))
    chosen = open_judge(
        judge,
        protocol=protocol,
        dataset=submission.index.name,
        data=None if data is None else Path(data),
        options=options,
        is_dry=True,
    )
    return chosen.estimate(submission.directory, submission.responses, limit=limit, again=again)
