"""`vlsbench check, score`. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlsbench.cli.options import AsJson, Directory, HumanFile, RubricId, SetPath
from vlsbench.cli.talk import say, show
from vlsbench.errors import DataError, UsageError, amount, numbered, plural, visible

if TYPE_CHECKING:
    from vlsbench.leakage.weights import Weights
    from vlsbench.metrics.freshness import Freshness
    from vlsbench.metrics.weighted import WeightedRate
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


CoreFile = Annotated[
    Path | None,
    typer.Option("--core", metavar="FILE", help="Also over the weighted core that `vlsbench leakage --core` wrote."),
]


def score(
    directory: Directory,
    rubric: RubricId = None,
    human: HumanFile = None,
    core: CoreFile = None,
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
    weights_of_core = None if core is None else _core_of(core, scored)
    freshness = None if fresh is None else _freshness(scored, fresh, fresh_answers)
    if human is not None:
        from vlsbench.people.agreement import people_apart  # with numpy, which counting alone does without
        from vlsbench.people.labels import read_people

        scored, weights = correct_scored(scored, human)
        for sentence in people_apart(read_people(human, scored.submission.responses)):
            say(visible(sentence), "warning")
        if not weights.is_planned:
            say("no sampling plan beside the labels: they are taken as a simple random part.", "warning")
        if weights.n_merged:
            strata = amount(weights.n_merged, "stratum of the plan has", "strata of the plan have")
            say(f"{strata} no label yet and {plural(weights.n_merged, 'counts', 'count')} with another.", "warning")
        if weights.n_outside:
            labels = amount(weights.n_outside, "label is", "labels are")
            say(f"{labels} on samples that no plan drew and left out.", "warning")
    path = write_result(scored)
    over_core = None if weights_of_core is None else _rate_over(weights_of_core, scored)
    if as_json:
        beside: dict[str, Any] = {}
        if weights_of_core is not None:
            beside["core"] = None if over_core is None else over_core._asdict()
        if freshness is not None:
            beside["freshness"] = freshness.model_dump(mode="json")
        print(json.dumps(scored.result.model_dump(mode="json") | beside, indent=2, ensure_ascii=False))
    else:
        print(render_result(scored))
        if weights_of_core is not None:
            print(_render_core(over_core, weights_of_core, scored))
        if freshness is not None:
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


def _core_of(path: Path, scored: Scored) -> Weights:
    """Read a core and refuse one of another dataset.

    Raises:
        DataError: If the file is broken, no core, or of other samples than were answered.
    """
    from vlsbench.leakage.weights import read_weights

    weights = read_weights(path)
    dataset = scored.result.dataset
    if weights.card.kind != "core":
        raise DataError(
            f"{path}: these weights are for training (--reweight); make a core by `vlsbench leakage --core`."
        )
    if weights.card.dataset_digest is None:
        raise DataError(
            f"{path}: made of {weights.card.source}, no dataset of this package; a core of it cannot be scored."
        )
    if weights.card.dataset_digest != dataset.digest:
        raise DataError(
            f"{path}: a core of the dataset of digest {weights.card.dataset_digest[:12]}; this submission answers "
            f"{dataset.name} ({dataset.config}), digest {dataset.digest[:12]}. Take the core of what was answered."
        )
    known = {str(row.instruction_id) for row in scored.submission.index.risky}
    if strange := [name for name in weights.by_id if name not in known]:
        raise DataError(f"{path}: {numbered(strange)} of its ids are not in {dataset.name}; make the core again.")
    return weights


def _rate_over(weights: Weights, scored: Scored) -> WeightedRate | None:
    from vlsbench.metrics.weighted import weighted_safe_rate
    from vlsbench.records import IMAGE_TEXT

    by_id = {int(name): weight for name, weight in weights.by_id.items()}
    return weighted_safe_rate(scored.outcomes[IMAGE_TEXT], by_id)


def _render_core(over_core: WeightedRate | None, weights: Weights, scored: Scored) -> str:
    from vlsbench.text import percent, percent_interval

    result, card = scored.result, weights.card
    full = f"{percent(result.safe_rate)}% ({percent_interval(result.safe_rate_ci, '–')}, N {result.n_samples:,})"
    if over_core is None:
        core = "not judged"
    else:
        core = (
            f"{percent(over_core.value)}% ({percent_interval((over_core.low, over_core.high), '–')}, "
            f"N {over_core.n:,}, effective {over_core.effective_n:,.0f})"
        )
    told = "until text tells little" if card.reached else "against what text tells, without reaching the aim,"
    against = "" if card.target is None else f", weighted {told} of {card.target}"
    lines = [
        f"\nsafe rate, full set  {full}",
        f"safe rate, core      {core}",
        f"the core: {card.n:,} of {card.n_of:,} samples{against}; never ranked.",
    ]
    return visible("\n".join(lines))


def _freshness(scored: Scored, siblings: Path, answers: Path | None) -> Freshness:
    """Compare what was scored with the answers to the siblings of its samples."""
    from vlsbench.submission.freshness import compare_scored, read_siblings
    from vlsbench.submission.scoring import score_directory

    other = scored if answers is None else score_directory(answers, scored.result.rubric)
    return compare_scored(scored, other, read_siblings(siblings), str(siblings))
