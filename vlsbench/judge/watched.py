"""A run that judges the canaries first, for judges whose question needs no agreement with an endpoint.

`vlsbench.judge.paid` does the same for the model judge, together with agreeing on an output format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from vlsbench.errors import DataError, JudgeError
from vlsbench.files import exclusive
from vlsbench.judge.canaries import RunRecord, append_run, canary_responses, read_results, run_status
from vlsbench.judge.run import RunReport, Write, find_pending, run
from vlsbench.records import Key, Response, Rubric, Verdict
from vlsbench.text import OnProgress
from vlsbench.version import __version__

if TYPE_CHECKING:
    from vlsbench.dataset.pictures import PictureSource

__all__ = ["WatchedJudge", "make_record", "render_record", "run_watched"]


class WatchedJudge(Protocol):
    """A judge (see `vlsbench.judge.run.Judge`) that can look at other samples."""

    rubric: Rubric
    has_canaries: bool
    """False for one that does not know all labels, so that canaries would say nothing."""
    output_format: str
    """For the history of runs."""

    def with_source(self, source: PictureSource) -> Self:
        """Return the same judge over other samples."""

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Decide on every response."""


def make_record(verdicts: Sequence[Verdict], output_format: str, *, started_at: str | None = None) -> RunRecord:
    """Make the record of a run from the verdicts on its canaries."""
    results = read_results(verdicts)
    return RunRecord(
        started_at=started_at or datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        output_format=output_format,
        judge_models=tuple(sorted({v.judge_model for v in verdicts if v.judge_model is not None})),
        canaries=results,
        status=run_status(results),
    )


def render_record(record: RunRecord) -> str:
    """Say how the canaries went, for people."""
    n_right = sum(result.is_right for result in record.canaries)
    mark = "" if record.status == "passed" else ". This run is marked; do not trust its labels before you know why"
    return f"canaries {record.status}: {n_right} of {len(record.canaries)} as known{mark}"


def run_watched(
    directory: Path,
    responses: Mapping[Key, Response],
    judge: WatchedJudge,
    *,
    limit: int | None = None,
    on_progress: OnProgress = lambda reached: None,
) -> RunReport:
    """Judge what has no verdict yet, canaries first; see `vlsbench.judge.run.run`.

    Raises:
        DataError: If samples lack what the judge is to see, or pictures are broken.
        JudgeError: If the judge cannot go on; what it had decided is on disk.
        SubmissionError: If a file beside the verdicts is broken, or another run is writing.
    """
    rubric_id = judge.rubric.rubric_id
    path = directory / "verdicts" / f"{rubric_id}.jsonl"
    notes: list[str] = []
    if judge.has_canaries and find_pending(path, responses, rubric_id, limit=limit).asked:
        with exclusive(path):
            pass  # Another run is told before the canaries are asked.
        with exclusive(path.with_suffix(".run.json")):
            record = make_record(_judge_canaries(judge), judge.output_format)
            append_run(directory, rubric_id, record)
        notes.append(render_record(record))
    report = run(directory, responses, judge, limit=limit, on_progress=on_progress)
    return report._replace(notes=(*notes, *report.notes))


def _judge_canaries(judge: WatchedJudge) -> list[Verdict]:
    from vlsbench.dataset.source import open_source

    verdicts: list[Verdict] = []
    with open_source(None, name="sample") as source:
        try:
            judge.with_source(source).judge(canary_responses(), verdicts.extend)
        except DataError as error:
            raise JudgeError(f"the packaged sample, whose canaries every run judges, is broken: {error}") from None
    return verdicts
