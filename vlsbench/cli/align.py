"""`vlsbench align`: alignment by recipes on TRL's trainers. Thin: stdout is data, stderr is talk.

Exit: 0 done, 1 the input is bad or a run failed, 2 the call is wrong, 130 stopped; the same command goes on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from vlsbench.align.recipes import METHODS
from vlsbench.cli.compare_runs import compare
from vlsbench.cli.miniature import miniature
from vlsbench.cli.options import AsJson, BaseUrl, MaxCost, PriceIn, PriceOut, with_groups
from vlsbench.cli.talk import clear_stage, say, show, show_stage, stoppable
from vlsbench.errors import DataError, UsageError, visible

if TYPE_CHECKING:
    from vlsbench.align.rows import TrainingData
    from vlsbench.align.trainers import Reward
    from vlsbench.align.training import Step

__all__ = ["align"]

align = typer.Typer(
    help="Align a model by a recipe, and see whether its images had a part in it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ModelFolder = Annotated[Path, typer.Option(help="Folder of the model to begin from.")]
Out = Annotated[Path, typer.Option(help="A new folder, or that of the same run: it goes on.")]
Weights = Annotated[
    Path | None, typer.Option(help="Of mm-sft-clean: OUT.csv of `vlsbench leakage DATA --reweight OUT.csv`.")
]


@dataclass(frozen=True)
class _DataSettings:
    """What is trained on."""

    data: Annotated[
        str,
        typer.Option(help="JSON Lines of our format, or vlguard:, spa-vl:, pku-saferlhf: or beavertails-v:PATH."),
    ]
    harmful: Annotated[
        int | None,
        typer.Option(min=0, help="Harmful rows taken; default the paper's 2,000 of a published set, or all."),
    ] = None
    benign: Annotated[
        int | None, typer.Option(min=0, help="Benign rows taken; default the paper's 1,000 of a published set, or all.")
    ] = None
    data_seed: Annotated[int, typer.Option(help="Of that selection.")] = 0
    weights: Weights = None
    release: Annotated[
        Path | None, typer.Option(help="Folder of the release: rows with its images are refused as well.")
    ] = None
    allow_contaminated: Annotated[
        bool, typer.Option("--allow-contaminated", help="Train on rows of VLSBench all the same; the card says so.")
    ] = False

    def open(self, out: Path) -> TrainingData:
        """Read the rows, and say what was left out."""
        from vlsbench.align.readers import open_data

        opened = open_data(
            self.data,
            out.with_name(f"{out.name}.images"),
            harmful=self.harmful,
            benign=self.benign,
            seed=self.data_seed,
        )
        for note in opened.notes:
            say(visible(note), "warning")
        return opened.data


@dataclass(frozen=True)
class _RewardSettings:
    """Who rewards."""

    PANEL: ClassVar[str] = "Reward of mm-rl"

    reward: Annotated[
        str | None, typer.Option(help="A judge, named like --judge of `vlsbench judge`; offline reads text only.")
    ] = None
    reward_base_url: BaseUrl = None
    price_in: PriceIn = None
    price_out: PriceOut = None
    max_cost: MaxCost = None

    def open(self, data: TrainingData) -> Reward | None:
        """Open the judge; None where no one was named."""
        from vlsbench.align.rewards import judge_reward
        from vlsbench.judge.judges import ModelOptions

        if self.reward is None:
            return None
        options = ModelOptions(price_in=self.price_in, price_out=self.price_out, max_cost=self.max_cost)
        return judge_reward(self.reward, data, base_url=self.reward_base_url, options=options)

    def say_what_was_asked(self, run: Path) -> None:
        """Say what the judge of a run was asked and, where there are prices, what that cost."""
        from vlsbench.align.rewards import render_asked
        from vlsbench.cost import make_prices

        prices = make_prices(self.price_in, self.price_out, self.max_cost)
        if (said := render_asked(run / "metrics.jsonl", prices)) is not None:
            say(said)


def _align(
    method: str,
    model: Path,
    out: Path,
    paper: str | None,
    settings: list[str] | None,
    report_to: str,
    dry_run: bool,
    read: _DataSettings,
    rewarded: _RewardSettings,
) -> None:
    from vlsbench.align.recipes import make_recipe
    from vlsbench.align.training import is_first_process, train

    if report_to not in ("none", "trackio", "wandb"):
        raise UsageError(f"--report-to {report_to}: it is none, trackio or wandb.")
    recipe = make_recipe(method, paper, **_changes(settings or []))
    data = read.open(out)
    if dry_run:
        _plan(method, model, data, out, recipe, read)
        return
    with stoppable("checkpoints are"):
        run = train(
            recipe,
            model,
            data,
            out,
            reward=rewarded.open(data),
            reward_name=rewarded.reward,
            weights=read.weights,
            benchmark=read.release,
            allow_contaminated=read.allow_contaminated,
            on_step=_Steps() if is_first_process() else None,
            on_stage=show_stage,
            report_to=report_to,  # type: ignore[arg-type]  # one of the three, see above
        )
    if not is_first_process():
        return
    clear_stage()
    print(visible((run.model / "README.md").read_text(encoding="utf-8").rstrip()))
    rewarded.say_what_was_asked(run.folder)
    say(visible(f"written to {run.model}; its run is described by {run.folder / 'capsule.json'}"))


def _plan(method: str, model: Path, data: TrainingData, out: Path, recipe: object, read: _DataSettings) -> None:
    from vlsbench.align.audit import audit_rows, render_audit
    from vlsbench.align.plan import render_plan
    from vlsbench.align.recipes import Recipe
    from vlsbench.align.training import prepare
    from vlsbench.errors import amount, bounded

    assert isinstance(recipe, Recipe)  # noqa: S101
    ready = prepare(recipe, model, data, out, weights=read.weights, benchmark=read.release)
    if ready.plan is not None:
        print(visible(render_plan(ready.plan)))
        print(visible(render_audit(audit_rows(ready.rows))))
    if ready.contaminated:
        say(f"{amount(len(ready.contaminated), 'row is', 'rows are')} VLSBench's.", "warning")
    if ready.problems:
        raise DataError(f"{data.name}: {bounded(ready.problems)}.")


def _command(method: str) -> Callable[..., None]:
    """Make the command of a method."""

    def command(
        model: ModelFolder,
        out: Out,
        paper: Annotated[
            str | None, typer.Option(help="A recipe of the paper's Table 9: llava-1.5-7b/t-sft, …")
        ] = None,
        settings: Annotated[
            list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A field of the recipe: docs/align.md.")
        ] = None,
        report_to: Annotated[
            str, typer.Option(help="none, trackio or wandb; metrics.jsonl is always written.")
        ] = "none",
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Rows, tokens, memory, steps and the audit; nothing is trained.")
        ] = False,
        *,
        read: _DataSettings,
        rewarded: _RewardSettings,
    ) -> None:
        _align(method, model, out, paper, settings, report_to, dry_run, read, rewarded)

    command.__doc__ = METHODS[method].says
    return with_groups(command)


for _name in METHODS:
    align.command(_name, rich_help_panel="Methods")(_command(_name))


align.command("miniature", rich_help_panel="Afterwards")(miniature)


def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a complete run, with capsule.json.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    model: Annotated[
        Path | None, typer.Option(help="Folder of the base model; default as the capsule names it.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The training file; default as the capsule names it.")] = None,
    weights: Weights = None,
    as_json: AsJson = False,
    *,
    rewarded: _RewardSettings,
) -> None:
    """Make a run again from its capsule and compare: bit by bit on the same machine, within a tolerance elsewhere."""
    from vlsbench.align.capsule import read_capsule
    from vlsbench.align.replay import render_replayed
    from vlsbench.align.replay import replay as make_again
    from vlsbench.align.rows import read_rows

    rows = read_rows(data or Path(read_capsule(run).data))
    with stoppable("checkpoints are"):
        found = make_again(
            run,
            out,
            model=model,
            data=data,
            weights=weights,
            reward=rewarded.open(rows),
            on_step=_Steps(),
            on_stage=show_stage,
        )
    clear_stage()
    if as_json:
        print(found.model_dump_json(indent=2))
    else:
        show(visible(render_replayed(found)))
    if not found.passed:
        raise typer.Exit(1)


align.command("replay", rich_help_panel="Afterwards")(with_groups(replay))
align.command("compare", rich_help_panel="Afterwards")(compare)


def _changes(settings: list[str]) -> dict[str, object]:
    """Read NAME=VALUE, values as JSON where they are."""
    changes: dict[str, object] = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign:
            raise UsageError(f"--set {setting}: a setting is NAME=VALUE, as in --set learning_rate=1e-5.")
        try:
            said: object = json.loads(value)
        except ValueError:
            said = tuple(value.split(",")) if name == "trains" else value
        changes[name] = tuple(said) if isinstance(said, list) else said
    return changes


class _Steps:
    """Shows each step: in place on a terminal, a line every twentieth of the run in a log."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, step: Step) -> None:
        loss = "" if step.loss is None else f", loss {step.loss:.4f}"
        left = "" if step.seconds_left is None else f", about {step.seconds_left:,.0f} s left"
        text = f"step {step.done:,} of {step.total:,}{loss}{left}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif 20 * step.done // max(1, step.total) > self._shown:
            self._shown = 20 * step.done // max(1, step.total)
            print(text, file=sys.stderr, flush=True)
