"""`vlsbench generate, run`. Thin: stdout is data, stderr is talk."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vlsbench.cli.options import (
    DryRun,
    EngineSettings,
    GenerateSettings,
    JudgeName,
    Model,
    ModelName,
    OutSubmission,
    PriceIn,
    PriceOut,
    Protocol,
    TargetSettings,
    with_groups,
)
from vlsbench.cli.talk import say, show, stoppable
from vlsbench.errors import UsageError, amount

__all__ = ["generate", "run"]


@with_groups
def generate(
    model: Model,
    out: OutSubmission,
    settings: GenerateSettings,
    resume: Annotated[bool, typer.Option("--resume", help="Insist that OUT holds answers to go on with.")] = False,
    name: ModelName = None,
    dry_run: DryRun = False,
    *,
    where: EngineSettings,
) -> None:
    """Ask a model: responses.jsonl and submission.json. Killed and started again, it goes on where it stopped."""
    from vlsbench.generate.directory import estimate_generate, generate_directory
    from vlsbench.generate.run import render_generate
    from vlsbench.text import Progress

    asked, options = settings.asked(), settings.target_options()
    if dry_run:
        print(estimate_generate(out, model, asked, options=options, name=name))
        return
    with (
        stoppable("finished answers are"),
        where.open(out, settings.data) as engine,
        Progress("answered") as progress,
    ):
        report = generate_directory(
            out,
            model,
            asked,
            options=options,
            name=name,
            is_resumed=resume,
            opener=engine.open_target,
            on_progress=progress,
        )
    print(render_generate(report))
    if report.n_unanswered:
        say(f"{amount(report.n_unanswered, 'question')} got no reply; the same command asks again.", "warning")
        raise typer.Exit(1)


@with_groups
def run(
    model: Model,
    judge: JudgeName,
    out: OutSubmission,
    settings: TargetSettings,
    name: ModelName = None,
    protocol: Protocol = None,
    judge_base_url: Annotated[str | None, typer.Option(help="Endpoint of the judge.")] = None,
    judge_price_in: PriceIn = None,
    judge_price_out: PriceOut = None,
    judge_max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before the verdicts cost more.")] = None,
    *,
    where: EngineSettings,
) -> None:
    """Generate, judge and score in one go. Killed and started again, it goes on where it stopped."""
    from vlsbench.cost import make_prices
    from vlsbench.generate.run import render_generate
    from vlsbench.judge.judges import ModelOptions, find_kind
    from vlsbench.judge.run import render_run, render_unreadable
    from vlsbench.submission.pipeline import run_pipeline
    from vlsbench.submission.scoring import render_result
    from vlsbench.text import Progress

    # A judge that takes no prices, or cannot keep to a limit, would say so after the model was paid.
    if make_prices(judge_price_in, judge_price_out, judge_max_cost, prefix="--judge-"):
        if not find_kind(judge).has_prices:
            raise UsageError(f"--judge {judge} takes no --judge-price-in and --judge-price-out.")
        if judge_max_cost is not None and where.engine != "local":
            raise UsageError(
                "--judge-max-cost is kept by one process, which --engine ray is not; leave one of them out."
            )
    with (
        stoppable("what was finished is"),
        where.open(out, settings.data) as engine,
        Progress("answered") as progress,
    ):
        done = run_pipeline(
            out,
            model,
            judge,
            settings.asked(),
            options=settings.target_options(),
            name=name,
            protocol=protocol,
            judge_base_url=judge_base_url,
            judge_options=ModelOptions(price_in=judge_price_in, price_out=judge_price_out, max_cost=judge_max_cost),
            target_opener=engine.open_target,
            judge_opener=engine.open_judge,
            on_stage=progress.start,
            on_progress=progress,
        )
    say(render_generate(done.generated))
    show("\n".join([*done.judged.notes, render_run(done.judged, out)]), sys.stderr)
    print(render_result(done.scored))
    say(f"written to {done.result_path}")
    if done.generated.n_unanswered or done.judged.n_transient:
        say(
            f"{amount(done.generated.n_unanswered, 'question')} got no reply and "
            f"{amount(done.judged.n_transient, 'response')} no label; the same command tries again.",
            "warning",
        )
    if done.judged.n_unreadable:
        say(render_unreadable(done.judged.counts, f"`vlsbench judge {out} --judge {judge} …`"), "warning")
    if done.generated.n_unanswered or done.judged.n_transient or done.judged.n_unreadable:
        raise typer.Exit(1)
