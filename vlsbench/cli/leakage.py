"""`vlsbench leakage`: what the text of a set gives away. Thin: stdout is data, stderr is talk.

Exit: 0 measured, 1 the input is bad, what was asked for does not exist or the judge left items open, 2 the
call is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from vlsbench.cli.options import AsJson, HarmSettings, with_groups
from vlsbench.cli.talk import say, stoppable
from vlsbench.errors import amount, visible

if TYPE_CHECKING:
    from vlsbench.leakage.audit import Audit
    from vlsbench.leakage.columns import ColumnChoice
    from vlsbench.leakage.groups import Groups
    from vlsbench.leakage.items import AuditSet
    from vlsbench.leakage.judged import Judged
    from vlsbench.leakage.judging import AskedJudge, GuardJudge, PeopleJudge
    from vlsbench.leakage.source import HubChoice
    from vlsbench.text import OnProgress

__all__ = ["leakage"]

SourceName = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A Hub id, a folder, or a file: Parquet, JSON, JSONL, CSV, XLSX. Columns are guessed."
    ),
]
_COLUMN = "Column of the {}, where the guess is wrong; none for no such column."


@dataclass(frozen=True)
class _SetSettings:
    """What is read of the source, and as what."""

    PANEL: ClassVar[str] = "The set: what is read of it"

    text: Annotated[str | None, typer.Option(help=_COLUMN.format("text"))] = None
    image: Annotated[str | None, typer.Option(help=_COLUMN.format("image"))] = None
    label: Annotated[str | None, typer.Option(help=_COLUMN.format("label (pair harmful or not)"))] = None
    category: Annotated[str | None, typer.Option(help=_COLUMN.format("category"))] = None
    source_column: Annotated[
        str | None, typer.Option("--source", help=_COLUMN.format("source (where a row is from)"))
    ] = None
    config: Annotated[str | None, typer.Option(help="Config of a dataset on the Hub.")] = None
    split: Annotated[str | None, typer.Option(help="Split of a dataset on the Hub; default all.")] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many texts.")] = None

    def columns(self) -> ColumnChoice:
        """Return the columns that are named."""
        from vlsbench.leakage.columns import ColumnChoice

        return ColumnChoice(self.text, self.image, self.label, self.category, self.source_column)

    def hub(self) -> HubChoice:
        """Return the part of a dataset on the Hub."""
        from vlsbench.leakage.source import HubChoice

        return HubChoice(self.config, self.split)


@with_groups
def leakage(
    source: SourceName,
    seed: Annotated[int, typer.Option(help="Of the folds and permutations; the same seed gives the same report.")] = 0,
    html: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Also write the report as one HTML page; it quotes texts of the set."),
    ] = None,
    reweight: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Also write ids and weights under which text predicts less (CSV)."),
    ] = None,
    core: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Also write ids and weights of the items that need their image (CSV)."),
    ] = None,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read and measured; no more.")] = False,
    *,
    read: _SetSettings,
    harm: HarmSettings,
) -> None:
    """Measure what a set's text gives away: harm, labels, and whether the image is needed.

    Without --judge nothing is asked of anybody. How to read the numbers: docs/leakage.md.
    """
    from vlsbench.leakage.audit import plan_audit, run_audit
    from vlsbench.leakage.judging import together
    from vlsbench.leakage.terminal import render_leakage
    from vlsbench.text import Progress

    _check_outs(source, html, reweight, core, harm)
    choice, hub, limit = read.columns(), read.hub(), read.limit
    with Progress("asked") as progress, stoppable("the judge's answers are"):
        judges = _judges(harm, is_dry=dry_run, on_progress=progress)
        if dry_run:
            plans = [judge.plan for judge in judges]
            print(visible(plan_audit(source, choice, hub=hub, limit=limit, plans=plans)))
            return
        measures = [*judges, *([] if harm.responses is None else [_looker(harm.responses, harm.rubric)])]
        audit = run_audit(source, choice, hub=hub, limit=limit, seed=seed, judge=together(measures), on_stage=_stage)
    _clear()
    if html is not None:
        from vlsbench.files import write_atomic
        from vlsbench.leakage.html import render_page

        write_atomic(html, render_page(audit))
        print(visible(f"written to {html}"), file=sys.stderr)
    print(audit.report.model_dump_json(indent=2) if as_json else visible(render_leakage(audit.report)))
    _write_weights(audit, reweight, core)
    n_open = sum(judge.n_transient for judge in judges)
    for judge in judges:
        if judge.stopped is not None:
            say(f"stopped early: {judge.stopped}", "warning")
    if n_open:
        say(f"{amount(n_open, 'item')} without an answer; the same command asks again.", "warning")
    n_unreadable = sum(judge.n_unreadable for judge in judges)
    if n_unreadable:
        what = amount(n_unreadable, "item")
        say(f"{what} with a reply that could not be read; --again judge_unparsable,judge_cut asks again.", "warning")
    if n_open or n_unreadable or any(judge.stopped is not None for judge in judges):
        raise typer.Exit(1)


def _check_outs(source: str, html: Path | None, reweight: Path | None, core: Path | None, harm: HarmSettings) -> None:
    from vlsbench.leakage.weights import card_path, check_files, check_out

    weights = [out for out in (reweight, core) if out is not None]
    for out in weights:
        check_out(out)
    people = [Path(harm.judge.removeprefix("people:"))] if harm.judge.startswith("people:") else []
    read = [Path(source), *people, *(path for path in (harm.people, harm.answers) if path is not None)]
    check_files(read, [*([] if html is None else [html]), *weights, *map(card_path, weights)])


def _write_weights(audit: Audit, reweight: Path | None, core: Path | None) -> None:
    """Make what was asked for, write it and say what it reached."""
    from vlsbench.leakage.core import make_core, make_weights
    from vlsbench.leakage.terminal import render_weights
    from vlsbench.leakage.weights import card_path, write_weights

    for out, make in ((reweight, make_weights), (core, make_core)):
        if out is not None:
            weights = make(audit)
            write_weights(out, weights)
            print(visible(f"{render_weights(weights.card)}\nwritten to {out} and {card_path(out)}"), file=sys.stderr)


def _stage(stage: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{stage} …", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _judges(
    harm: HarmSettings, *, is_dry: bool, on_progress: OnProgress
) -> list[AskedJudge | PeopleJudge | GuardJudge]:
    """Open whoever judges, so that a missing key or model is said before anything is read."""
    from vlsbench.leakage.judging import open_guard, open_judge

    options = harm.options(is_dry=is_dry, on_progress=on_progress)
    judge = open_judge(harm.judge, options)
    guard = None if harm.guard is None else open_guard(harm.guard, options)
    return [one for one in (judge, guard) if one is not None]


def _looker(directory: Path, rubric: str | None) -> Callable[[AuditSet, Groups], Judged]:
    """Measure on a submission's answers; its labels are those of its only rubric, or of the one that is named."""
    from vlsbench.judge.verdicts import choose_rubric, list_rubrics, read_verdicts, verdicts_that_hold
    from vlsbench.leakage.looking import ModelAnswer, ModelAnswers, measure_looking
    from vlsbench.submission.check import open_submission

    submission = open_submission(directory)
    rubric_id = choose_rubric(directory, rubric) if rubric is not None or list_rubrics(directory) else None
    verdicts = [] if rubric_id is None else read_verdicts(directory / "verdicts" / f"{rubric_id}.jsonl")
    held = verdicts_that_hold(verdicts, submission.responses)
    by_condition: dict[str, dict[str, ModelAnswer]] = {}
    for (number, condition), response in submission.responses.items():
        verdict = held.get((number, condition))
        answer = ModelAnswer(response.response, None if verdict is None else verdict.label)
        by_condition.setdefault(condition, {})[str(number)] = answer
    answers = ModelAnswers(submission.card.model, by_condition, rubric_id)
    return lambda audited, groups: measure_looking(audited, groups, answers)
