"""`vlsbench construct`: pairs built. Thin: stdout is data, stderr is talk.

`siblings` is a run like `run`, of the pairs of `--of` alone.

Exit: 0 all stages asked for are through, 1 the input is bad or replies are missing (the same command asks again), 2 the
call is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.cli.options import EngineSettings, Port, with_groups
from vlsbench.cli.talk import say, stoppable
from vlsbench.errors import UsageError, amount, visible

if TYPE_CHECKING:
    from vlsbench.construct.pipeline import Construction
    from vlsbench.dataset.index import IndexRow

__all__ = ["construct"]

Stage = Annotated[
    str,
    typer.Argument(
        metavar="STAGE",
        help="run (all of them), siblings (all of them, of known pairs), or one of 1a, 1b, 2, 3, 4, twins, review, "
        "publish.",
    ),
]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file; docs/construct.md walks through one.")]


@with_groups
def construct(
    stage: Stage,
    config: ConfigFile,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; else `out` in CONFIG.")] = None,
    preview: Annotated[int | None, typer.Option(min=1, help="Only the first so many elements and images.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before this call costs more.")] = None,
    of: Annotated[
        list[str] | None, typer.Option(help="Fresh siblings of these pairs alone: ids, by commas or given again.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; ask nothing.")] = False,
    to: Annotated[Path | None, typer.Option(help="Folder that publish makes; else OUT/dataset.")] = None,
    tasks: Annotated[Path | None, typer.Option(help="review: write what --reviewer has not reviewed.")] = None,
    form: Annotated[str, typer.Option(help="review: label-studio or argilla.")] = "label-studio",
    reviewer: Annotated[
        str | None, typer.Option(help="review: who reviews, on a page on 127.0.0.1; with --tasks, in a tool.")
    ] = None,
    reviews: Annotated[Path | None, typer.Option(help="review: take an export of either tool.")] = None,
    port: Port = 7862,
    *,
    where: EngineSettings,
) -> None:
    """Build pairs of harmless text and risky image. Killed and started again, it goes on where it stopped."""
    from vlsbench.construct.config import load_plan
    from vlsbench.construct.forecast import forecast
    from vlsbench.construct.gate import render_harm_leak
    from vlsbench.construct.pipeline import open_construction, render_unreached
    from vlsbench.construct.publish import publish_set
    from vlsbench.construct.records import STAGES
    from vlsbench.construct.review import withhold
    from vlsbench.construct.yields import count_yields, render_yields
    from vlsbench.text import Progress

    if stage != "run" and stage not in STAGES:
        raise UsageError(f"there is no stage {stage!r}; there are run, {', '.join(STAGES)}.")
    of_known = None if of is None else _ids(",".join(of))
    plan = load_plan(config, out=out, of=of_known, is_of_siblings=of is not None or stage == "siblings")
    if dry_run:
        print(visible(forecast(plan, preview=preview)))
        return
    if stage == "review":
        _review(open_construction(plan), tasks, form, reviewer, reviews, port)
        return
    with (
        stoppable("replies and records that came are"),
        where.open(plan.out, None) as engine,
        Progress("done", stays=False) as progress,
    ):
        run = open_construction(
            plan,
            max_cost=max_cost,
            preview=preview,
            on_progress=progress,
            on_stage=lambda name: progress.start(f"stage {name}"),
            opener=engine.open_models,
        )
        known = next((name for name in STAGES if name == stage), None)
        withhold(run)
        done = run.run() if known in (None, "siblings", "publish") else run.run_stage(known)
        verdicts = withhold(run)
    if verdicts.standing:
        print(verdicts)
    print(visible(render_yields(count_yields(run, failed=done.failed_batches))))
    for audit in (*done.audits, *([] if done.whole is None else [done.whole])):
        if audit.failed:
            gated = "" if audit.is_gated else " (too few pairs to gate)"
            words = ", ".join(audit.words)
            say(f"{audit.name}: text gives away {' and '.join(audit.failed)}{gated}: {words}", "warning")
    if done.whole is not None:
        print(visible(render_harm_leak(done.whole)))
    if done.failed_batches:
        say(f"failed the audit for good, not published: {', '.join(done.failed_batches)}", "warning")
    if done.unreached:
        say(render_unreached(done), "warning")
        raise typer.Exit(1)
    if done.is_whole:
        published = publish_set(run, done, out=to, describe=_describe)
        say(visible(f"written to {published.folder}"))
        print(f"accepted pairs: {published.n_pairs}")


def _ids(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    bad = [part for part in parts if not part.isascii() or not part.isdigit()]
    if bad:
        raise UsageError(f"--of takes ids by commas, such as 100000,100003; found {bad[0]!r}.")
    return [int(part) for part in parts]


def _review(
    run: Construction, tasks: Path | None, form: str, reviewer: str | None, reviews: Path | None, port: int
) -> None:
    from vlsbench.construct.review import take_reviews, withhold, write_tasks
    from vlsbench.construct.review_page import serve_review

    if form not in ("label-studio", "argilla"):
        raise UsageError(f"--form {form!r} is not known; there are label-studio and argilla.")
    if tasks is not None and reviewer is None:
        raise UsageError("--tasks needs --reviewer: whose order it is, and who is not asked twice.")
    withhold(run)
    if reviewer is not None and tasks is None and reviews is None:
        serve_review(run, reviewer, port=port)
    if tasks is not None and reviewer is not None:
        n = write_tasks(run, tasks, "argilla" if form == "argilla" else "label-studio", reviewer=reviewer)
        print(f"{amount(n, 'pair')} for {reviewer} in {tasks}")
    if reviews is not None:
        print(f"{amount(take_reviews(run, reviews), 'new review')} from {reviews}")
    print(withhold(run))


def _describe(folder: Path, rows: Sequence[IndexRow], name: str) -> str:
    from vlsbench.hub.croissant import describe_set

    return json.dumps(describe_set(folder, rows, name=name), indent=2, ensure_ascii=False) + "\n"
