"""`vlsbench run`: generate, judge and score one submission in one go.

Nothing here is kept anywhere but in the three files of the seams, so a run that was killed goes on from them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vlsbench.dataset.index import index_at
from vlsbench.files import StrPath
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.generate.models import TargetOptions, open_target
from vlsbench.generate.run import GenerateReport
from vlsbench.generate.target import Target
from vlsbench.judge.judges import ModelOptions, find_kind, open_judge
from vlsbench.judge.run import OpenJudge, RunReport
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import Scored, score_directory, write_result
from vlsbench.text import OnProgress

__all__ = ["PipelineReport", "run_pipeline"]


class PipelineReport(NamedTuple):
    """What the three stages left behind."""

    generated: GenerateReport
    judged: RunReport
    scored: Scored
    result_path: Path


def run_pipeline(
    directory: StrPath,
    model: str,
    judge: str,
    asked: Asked = Asked(),  # noqa: B008  # frozen
    *,
    options: TargetOptions = TargetOptions(),  # noqa: B008  # frozen
    name: str | None = None,
    protocol: str | None = None,
    judge_base_url: str | None = None,
    judge_options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
    target_opener: Callable[..., Target] = open_target,
    judge_opener: Callable[..., OpenJudge] = open_judge,
    on_stage: Callable[[str], None] = lambda verb: None,
    on_progress: OnProgress = lambda reached: None,
) -> PipelineReport:
    """Generate, judge, score. Questions without a reply are left to another run; what was answered is judged.

    Args:
        directory: As in `vlsbench.generate.directory.generate_directory`; so are model, asked, options and name.
        judge: As in `vlsbench.submission.judging.judge_directory`; so are the protocol, its endpoint and options.
        target_opener: Opens the model; another engine (`vlsbench.engine.engines`) has another, and for the judge too.
        on_stage: Called with what is done from now on: `answered`, `judged`.

    Raises:
        VLSBenchError: As each of the three; what was finished before is on disk.
    """
    if not find_kind(judge).has_weights:  # they would be loaded twice
        _check_judge(judge, asked, protocol, judge_base_url, judge_options)
    on_stage("answered")
    generated = generate_directory(
        directory, model, asked, options=options, name=name, opener=target_opener, on_progress=on_progress
    )
    on_stage("judged")
    judged = judge_directory(
        directory,
        judge,
        protocol=protocol,
        data=asked.data,
        base_url=judge_base_url,
        options=judge_options,
        opener=judge_opener,
        on_progress=on_progress,
    )
    scored = score_directory(directory, judged.path.stem)
    return PipelineReport(generated, judged, scored, write_result(scored))


def _check_judge(judge: str, asked: Asked, protocol: str | None, base_url: str | None, options: ModelOptions) -> None:
    """Say what is wrong with a judge (its name, its key) before a model is paid for answers to it."""
    open_judge(
        judge,
        protocol=protocol,
        dataset=index_at(asked.data).name,
        data=asked.data,
        base_url=base_url,
        options=options,
    )
