"""Judge a submission on disk: the gate, then a judge by name, then its run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vlsbench.files import StrPath
from vlsbench.judge.judges import open_judge
from vlsbench.judge.run import RunReport, run
from vlsbench.submission.check import open_submission

__all__ = ["judge_directory"]


def judge_directory(
    directory: StrPath,
    judge: str = "offline",
    *,
    protocol: str = "v1",
    data: StrPath | None = None,
    base_url: str | None = None,
    concurrency: int = 16,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> RunReport:
    """Judge what has no verdict yet; verdicts go to `verdicts/<rubric_id>.jsonl`.

    Args:
        judge: `offline` or `openai:MODEL`.
        protocol: How it judges.
        data: Folder of the release, for a judge that looks at it; None for the packaged sample.
        base_url: Endpoint of a model judge; None for `OPENAI_BASE_URL`, else OpenAI's own.
        concurrency: Requests of a model judge in flight at once.
        limit: Ask about at most so many responses.
        on_progress: Called with (verdicts written, verdicts wanted).

    Raises:
        SubmissionError: If the submission does not pass the gate.
        UsageError: If there is no such judge or protocol.
        DataError: If the judge needs the dataset and it is not there.
        JudgeError: If the judge cannot go on; what it had decided is on disk.
    """
    submission = open_submission(directory)
    chosen = open_judge(
        judge,
        protocol=protocol,
        dataset=submission.index.name,
        data=None if data is None else Path(data),
        concurrency=concurrency,
        base_url=base_url,
    )
    return run(submission.directory, submission.responses, chosen, limit=limit, on_progress=on_progress)
