"""`vlsbench check, score`. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.cli.options import AsJson, Directory, HumanFile, RubricId, SetPath
from vlsbench.cli.talk import say, show
from vlsbench.errors import UsageError, amount, plural, visible

if TYPE_CHECKING:
    from vlsbench.metrics.freshness import Freshness
    from vlsbench.submission.scoring import Scored

__all__ = ["check", "score"]


def check(directory: Directory, data: SetPath = None, as_json: AsJson = False) -> None:
    """Check a submission: every problem at once, by named check."""
    from vlsbench.dataset.index import given_set
    from vlsbench.submission.check import check as check_submission
    from vlsbench.submission.check import render_check

    report = check_submission(directory, given=given_set(data))
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        show(render_check(report))
    raise typer.Exit(0 if report.ok else 1)


def score(
    directory: Directory,
    rubric: RubricId = None,
    human: HumanFile = None,
    data: SetPath = None,
    fresh: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Siblings, JSON lines: instruction_id (fresh), sibling_of (old)."),
    ] = None,
    fresh_answers: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The submission with the answers to the fresh ones; default DIR.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count the verdicts of one rubric and write results/<rubric_id>.json."""
    from vlsbench.people.corrected import correct_scored
    from vlsbench.submission.scoring import render_result, score_directory, write_result

    if fresh_answers is not None and fresh is None:
        raise UsageError("--fresh-answers belongs to --fresh FILE, the siblings.")
    scored = score_directory(directory, rubric, data=data)
    freshness = None if fresh is None else _freshness(scored, fresh, fresh_answers)
    if human is not None:
        scored, weights = correct_scored(scored, human)
        if not weights.is_planned:
            say("no sampling plan beside the labels: they are taken as a simple random part.", "warning")
        if weights.n_merged:
            strata = amount(weights.n_merged, "stratum of the plan has", "strata of the plan have")
            say(f"{strata} no label yet and {plural(weights.n_merged, 'counts', 'count')} with another.", "warning")
        if weights.n_outside:
            labels = amount(weights.n_outside, "label is", "labels are")
            say(f"{labels} on samples that no plan drew and left out.", "warning")
    path = write_result(scored)
    if as_json and freshness is not None:
        print(f'{{"result": {scored.result.model_dump_json()}, "freshness": {freshness.model_dump_json()}}}')
    else:
        print(scored.result.model_dump_json(indent=2) if as_json else render_result(scored))
    if freshness is not None and not as_json:
        from vlsbench.submission.freshness import render_freshness

        print(f"\n{render_freshness(freshness)}")
    say(visible(f"written to {path}"))
    if scored.n_stale:
        verdicts = amount(scored.n_stale, "verdict is", "verdicts are")
        say(f"{verdicts} on answers that have changed and not counted.", "warning")
    if scored.n_undecided:
        sentence = (
            f"{amount(scored.n_undecided, 'response has', 'responses have')} no verdict of this rubric yet; `vlsbench "
            f"judge {directory} --judge {scored.rubric.judge}` goes on."
        )
        say(visible(sentence), "warning")


def _freshness(scored: Scored, siblings: Path, answers: Path | None) -> Freshness:
    """Compare what was scored with the answers to the siblings of its samples."""
    from vlsbench.submission.freshness import compare_scored, read_siblings
    from vlsbench.submission.scoring import score_directory

    other = scored if answers is None else score_directory(answers, scored.result.rubric)
    return compare_scored(scored, other, read_siblings(siblings), str(siblings))
