"""A run of a model judge: agree on how it is asked, judge the canaries, then everything else; or say what it costs.

The output format decides what a model writes and may decide its label, so it is part of the rubric, and a submission
is judged in one. It is agreed on before anything is kept: a submission that was judged in a format goes on in it, else
the canaries are asked with `json_schema`, then `json_object`, then in words only, until the endpoint does not refuse
(a refused request costs nothing). So is the temperature, which a model that refuses it is asked without. What was
agreed stands in the rubric and in the history of runs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
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
from vlsbench.errors import UsageError
from vlsbench.judge.canaries import canary_responses, render_record, watch
from vlsbench.judge.model import ModelJudge
from vlsbench.judge.run import (
    Asks,
    OpenJudge,
    RunReport,
    SettingRefusedError,
    Write,
    ask_itself,
    candidates_left,
    find_pending,
    run,
)
from vlsbench.records import TRANSIENT_FAILURES, Failure, Key, Response, Verdict
from vlsbench.text import OnProgress

__all__ = ["candidates_of", "estimate_paid", "run_paid"]

log = logging.getLogger(__name__)


def run_paid(
    directory: Path,
    responses: Mapping[Key, Response],
    judge: ModelJudge,
    *,
    limit: int | None = None,
    again: AbstractSet[Failure] = frozenset(),
    asks: Asks = ask_itself,
    on_progress: OnProgress = lambda reached: None,
) -> RunReport:
    """Judge what has no verdict yet, canaries first; see `vlsbench.judge.run.run`.

    Args:
        again: Failures to ask about again, past the cache.
        asks: Has the judge decide; what is agreed on before, the canaries, it judges itself.

    Raises:
        DataError: If samples lack what the judge is to see; nothing was asked.
        JudgeError: If the judge cannot go on; what it had decided is on disk.
        SubmissionError: If a file beside the verdicts is broken, or another run is writing.
    """
    candidates = [candidate.variant(again=again) for candidate in candidates_of(directory, responses, judge)]
    one_first = len(candidates) > 1
    _refuse_too_small_a_limit(directory, responses, candidates[0])
    notes: list[str] = []
    usages: list[Mapping[str, object] | None] = []
    while candidates:
        judge = candidates[0]
        pending = find_pending(directory, responses, judge.rubric, limit=limit, again=again)
        if not pending.asked:
            break
        judge.check_samples(pending.asked)
        try:
            record, verdicts = watch(directory, judge, one_first=one_first)
        except SettingRefusedError as error:
            candidates = candidates_left(candidates, judge, error)
            if not candidates:
                raise
            log.info("the endpoint refuses %s %s", error.setting, getattr(judge, error.setting))
            continue
        usages += [verdict.usage for verdict in verdicts]
        notes.append(render_record(record))
        if judge.output_format != "json_schema":
            notes.append(f"output format {judge.output_format} (a rubric of its own)")
        if judge.temperature is None:
            notes.append("no temperature, which the model does not take (a rubric of its own)")
        break

    def ask_and_count(asked: OpenJudge, pending: Sequence[Response], write: Write) -> None:
        def write_and_count(verdicts: Sequence[Verdict]) -> None:
            write(verdicts)
            usages.extend(verdict.usage for verdict in verdicts)

        asks(asked, pending, write_and_count)

    report = run(directory, responses, judge, limit=limit, again=again, asks=ask_and_count, on_progress=on_progress)
    tokens = render_tokens(count_tokens(usages), judge.meter.prices)
    return report._replace(notes=(*notes, *([tokens] if tokens else [])))


def candidates_of(directory: Path, responses: Mapping[Key, Response], judge: ModelJudge) -> Sequence[ModelJudge]:
    """Return the judge in every way that may be tried, in order; only one where the submission was judged in it."""
    candidates = judge.candidates()
    for candidate in candidates if len(candidates) > 1 else ():
        if any(map(_was_decided, find_pending(directory, responses, candidate.rubric).before.values())):
            return [candidate]
    return candidates


def _was_decided(verdict: Verdict) -> bool:
    """Say whether the judge spoke: a label, or a failure of its own that a rerun does not try again."""
    failure = verdict.failure
    return failure is None or (failure.startswith("judge_") and failure not in TRANSIENT_FAILURES)


def _refuse_too_small_a_limit(directory: Path, responses: Mapping[Key, Response], judge: ModelJudge) -> None:
    """Refuse a `--max-cost` that the canaries and one question may use up: run again, it would be spent for nothing.

    Raises:
        UsageError: If it is too small; nothing was asked.
    """
    most, prices = judge.meter.max_cost, judge.meter.prices
    if most is None or prices is None:
        return
    estimate = estimate_paid(directory, responses, judge, limit=1)
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
    limit: int | None = None,
    again: AbstractSet[Failure] = frozenset(),
) -> RunEstimate:
    """Say what `run_paid` would ask and about how many tokens that takes. Asks nothing, writes nothing.

    Raises:
        DataError: If samples lack what the judge is to see, or a picture cannot be read.
    """
    from vlsbench.dataset.source import open_source

    judge = candidates_of(directory, responses, judge)[0].variant(again=again)
    asked = list(find_pending(directory, responses, judge.rubric, limit=limit, again=again).asked)
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
