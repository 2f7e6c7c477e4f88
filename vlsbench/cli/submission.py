"""`vlsbench check, score`. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

import typer

from vlsbench.cli.options import AsJson, Directory, HumanFile, RubricId, SetPath
from vlsbench.cli.talk import say, show
from vlsbench.errors import amount, plural, visible

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


def score(directory: Directory, rubric: RubricId = None, human: HumanFile = None, as_json: AsJson = False) -> None:
    """Count the verdicts of one rubric and write results/<rubric_id>.json."""
    from vlsbench.people.corrected import correct_scored
    from vlsbench.submission.scoring import render_result, score_directory, write_result

    scored = score_directory(directory, rubric)
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
    print(scored.result.model_dump_json(indent=2) if as_json else render_result(scored))
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
