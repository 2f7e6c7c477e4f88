"""A run of a model judge: agree on an output format, judge the canaries, then everything else; or say what it costs.

The output format decides what a model writes and may decide its label, so it is part of the rubric, and a submission
is judged in one. It is agreed on before anything is kept: a submission that was judged in a format goes on in it, else
the canaries are asked with `json_schema`, then `json_object`, then in words only, until the endpoint does not refuse
(a refused request costs nothing). What was agreed stands in the rubric and in the history of runs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vlsbench.cost import (
    Measured,
    RunEstimate,
    count_tokens,
    image_tokens,
    measure_pictures,
    question_tokens,
    render_tokens,
)
from vlsbench.dataset.pictures import fit_picture, size_of
from vlsbench.errors import DataError, JudgeError, UsageError
from vlsbench.files import exclusive
from vlsbench.judge.canaries import (
    CanaryResult,
    RunRecord,
    append_run,
    canary_responses,
    read_results,
    read_runs,
    run_status,
)
from vlsbench.judge.model import FormatRefusedError, ModelJudge
from vlsbench.judge.reply import OUTPUT_FORMATS, OutputFormat
from vlsbench.judge.run import Pending, RunReport, Write, find_pending, run
from vlsbench.records import TRANSIENT_FAILURES, Key, Response, Rubric, Verdict
from vlsbench.text import OnProgress
from vlsbench.version import __version__

__all__ = ["estimate_paid", "run_paid"]

log = logging.getLogger(__name__)


def run_paid(
    directory: Path,
    responses: Mapping[Key, Response],
    judge: ModelJudge,
    *,
    output_format: OutputFormat | None = None,
    limit: int | None = None,
    on_progress: OnProgress = lambda reached: None,
) -> RunReport:
    """Judge what has no verdict yet, canaries first; see `vlsbench.judge.run.run`.

    Args:
        output_format: None agrees on one with the endpoint.

    Raises:
        DataError: If samples lack what the judge is to see; nothing was asked.
        JudgeError: If the judge cannot go on; what it had decided is on disk.
        SubmissionError: If a file beside the verdicts is broken, or another run is writing.
    """
    candidates = _candidates(directory, responses, judge, output_format)
    _refuse_too_small_a_limit(directory, responses, candidates[0])
    notes: list[str] = []
    usages: list[Mapping[str, object] | None] = []
    for number, candidate in enumerate(candidates):
        pending = _pending(directory, responses, candidate, limit)
        if not pending.asked:
            judge = candidate
            break
        candidate.look_up(pending.asked)
        path = _verdict_path(directory, candidate.rubric)
        with exclusive(path):
            pass  # Another run is told before the canaries are paid.
        with exclusive(path.with_suffix(".run.json")):
            read_runs(directory, candidate.rubric.rubric_id)
            try:
                verdicts = _ask_canaries(candidate, one_first=len(candidates) > 1)
            except FormatRefusedError:
                if number == len(candidates) - 1:
                    raise
                log.info("the endpoint refuses %s; trying the next output format", candidate.output_format)
                continue
            judge = candidate
            record = _record(judge, verdicts)
            append_run(directory, judge.rubric.rubric_id, record)
        usages += [verdict.usage for verdict in verdicts]
        notes += [_render_canaries(record)]
        if judge.output_format != "json_schema":
            notes.append(f"output format {judge.output_format} (a rubric of its own)")
        break
    counted = _Counted(judge, usages)
    report = run(directory, responses, counted, limit=limit, on_progress=on_progress)
    tokens = render_tokens(count_tokens(usages), judge.meter.prices)
    return report._replace(notes=(*notes, *([tokens] if tokens else [])))


class _Counted:
    """A judge whose usage is remembered."""

    def __init__(self, judge: ModelJudge, usages: list[Mapping[str, object] | None]) -> None:
        self.rubric = judge.rubric
        self.meter = judge.meter
        self._judge = judge
        self._usages = usages

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        def write_and_count(verdicts: Sequence[Verdict]) -> None:
            write(verdicts)
            self._usages.extend(verdict.usage for verdict in verdicts)

        self._judge.judge(responses, write_and_count)


def _verdict_path(directory: Path, rubric: Rubric) -> Path:
    return directory / "verdicts" / f"{rubric.rubric_id}.jsonl"


def _pending(directory: Path, responses: Mapping[Key, Response], judge: ModelJudge, limit: int | None) -> Pending:
    path = _verdict_path(directory, judge.rubric)
    return find_pending(path, responses, judge.rubric.rubric_id, limit=limit)


def _candidates(
    directory: Path, responses: Mapping[Key, Response], judge: ModelJudge, output_format: OutputFormat | None
) -> list[ModelJudge]:
    """The judge in every output format that may be tried, in order; only one where a format is given or was used."""
    if output_format is not None:
        return [judge.variant(output_format=output_format)]
    candidates = [judge.variant(output_format=name) for name in OUTPUT_FORMATS]
    for candidate in candidates:
        if any(map(_was_decided, _pending(directory, responses, candidate, None).before.values())):
            return [candidate]
    return candidates


def _was_decided(verdict: Verdict) -> bool:
    """Say whether the judge spoke: a label, or a failure of its own that a rerun does not try again."""
    failure = verdict.failure
    return failure is None or (failure.startswith("judge_") and failure not in TRANSIENT_FAILURES)


def _ask_canaries(judge: ModelJudge, *, one_first: bool) -> list[Verdict]:
    """Judge the canaries.

    Raises:
        FormatRefusedError: If the endpoint refuses the output format.
        JudgeError: If the endpoint does not answer, or the packaged sample is broken.
    """
    from vlsbench.dataset.source import open_source

    verdicts: list[Verdict] = []
    responses = canary_responses()
    with open_source(None, name="sample") as source:
        asking = judge.variant(source=source, use_cache=False)
        try:
            if one_first:
                asking.judge(responses[:1], verdicts.extend)
                responses = responses[1:]
            asking.judge(responses, verdicts.extend)
        except DataError as error:
            raise JudgeError(f"the packaged sample, whose canaries every run judges, is broken: {error}") from None
    return verdicts


def _record(judge: ModelJudge, verdicts: Sequence[Verdict]) -> RunRecord:
    results = read_results(verdicts)
    return RunRecord(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        output_format=judge.output_format,
        judge_models=tuple(sorted({v.judge_model for v in verdicts if v.judge_model is not None})),
        canaries=results,
        status=run_status(results),
    )


def _render_canaries(record: RunRecord) -> str:
    n_right = sum(result.is_right for result in record.canaries)
    head = f"canaries {record.status}: {n_right} of {len(record.canaries)} as known"
    if record.status == "passed":
        return head

    def render(result: CanaryResult) -> str:
        return f"{result.instruction_id} {result.label or result.failure} instead of {result.expected}"

    wrong = "; ".join(render(result) for result in record.canaries if not result.is_right)
    return f"{head} ({wrong}). This run is marked; do not trust its labels before you know why"


def _refuse_too_small_a_limit(directory: Path, responses: Mapping[Key, Response], judge: ModelJudge) -> None:
    """Refuse a `--max-cost` that the canaries and one question may use up: run again, it would be spent for nothing.

    Raises:
        UsageError: If it is too small; nothing was asked.
    """
    most, prices = judge.meter.max_cost, judge.meter.prices
    if most is None or prices is None:
        return
    estimate = estimate_paid(directory, responses, judge, output_format=judge.output_format, limit=1)
    needed = prices.cost(estimate.tokens_in, estimate.most_tokens_out)
    if estimate.n_asked and needed > most:
        raise UsageError(
            f"--max-cost {most:g} may not cover the {estimate.n_canaries} canaries of a run and one question (up to "
            f"{needed:.4f}); nothing was asked."
        )


def estimate_paid(
    directory: Path,
    responses: Mapping[Key, Response],
    judge: ModelJudge,
    *,
    output_format: OutputFormat | None = None,
    limit: int | None = None,
) -> RunEstimate:
    """Say what `run_paid` would ask and about how many tokens that takes. Asks nothing, writes nothing.

    Raises:
        DataError: If samples lack what the judge is to see, or a picture cannot be read.
    """
    from vlsbench.dataset.source import open_source

    judge = _candidates(directory, responses, judge, output_format)[0]
    asked = list(_pending(directory, responses, judge, limit).asked)
    samples = judge.look_up(asked)
    paid = [r for r in asked if judge.cache is None or not judge.is_cached(samples[r.instruction_id], r)]
    canaries = canary_responses() if asked else []
    with open_source(None, name="sample") as source:
        canary_samples = judge.variant(source=source, use_cache=False).look_up(canaries)
    texts = [(samples[r.instruction_id], r) for r in paid] + [(canary_samples[r.instruction_id], r) for r in canaries]
    tokens = sum(question_tokens(judge.question(sample, response, None)) for sample, response in texts)
    measured = _measure(judge, [response.instruction_id for response in paid])
    return RunEstimate(
        rubric=judge.rubric.rubric_id,
        n_asked=len(asked),
        n_canaries=len(canaries),
        n_from_cache=None if judge.cache is None else len(asked) - len(paid),
        tokens_in=tokens + round(measured.tokens * len(texts)),
        most_tokens_out=judge.max_tokens * len(texts),
        n_pictures_measured=measured.n,
        prices=judge.meter.prices,
    )


def _measure(judge: ModelJudge, ids: Sequence[int]) -> Measured:
    def tokens_of(number: int) -> int:
        return image_tokens(*size_of(fit_picture(judge.source.picture(number), max_side=judge.max_side)))

    return measure_pictures(sorted(ids) if judge.prompt.has_image else (), tokens_of)
