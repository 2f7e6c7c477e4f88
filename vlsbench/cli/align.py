"""`vlsbench align`: alignment by recipes on TRL's trainers. Thin: stdout is data, stderr is talk.

Exit: 0 done, 1 the input is bad or a run failed, 2 the call is wrong, 130 stopped; the same command goes on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.align.recipes import METHODS
from vlsbench.cli.miniature import miniature
from vlsbench.cli.options import AsJson, MaxNewTokens, Protocol, with_groups
from vlsbench.cli.talk import say, show, stoppable
from vlsbench.errors import DataError, UsageError, visible

if TYPE_CHECKING:
    from vlsbench.align.compare import Arm
    from vlsbench.align.rows import TrainingData
    from vlsbench.align.trainers import Reward
    from vlsbench.align.training import Step
    from vlsbench.records import Estimate, Measure
    from vlsbench.submission.scoring import Scored

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
RewardName = Annotated[
    str | None, typer.Option(help="Of mm-rl: a judge, named like --judge of `vlsbench judge`; offline reads text only.")
]
JudgeUrl = Annotated[str | None, typer.Option(help="Endpoint of that judge.")]


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


def _align(
    method: str,
    model: Path,
    out: Path,
    paper: str | None,
    settings: list[str] | None,
    reward: str | None,
    reward_base_url: str | None,
    report_to: str,
    dry_run: bool,
    read: _DataSettings,
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
            reward=None if reward is None else _reward(reward, data, reward_base_url),
            reward_name=reward,
            weights=read.weights,
            benchmark=read.release,
            allow_contaminated=read.allow_contaminated,
            on_step=_Steps() if is_first_process() else None,
            on_stage=_stage,
            report_to=report_to,  # type: ignore[arg-type]  # one of the three, see above
        )
    if not is_first_process():
        return
    _clear()
    print(visible((run.model / "README.md").read_text(encoding="utf-8").rstrip()))
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


def _reward(name: str, data: TrainingData, base_url: str | None) -> Reward:
    from vlsbench.align.rewards import judge_reward

    return judge_reward(name, data, base_url=base_url)


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
        reward: RewardName = None,
        reward_base_url: JudgeUrl = None,
        report_to: Annotated[
            str, typer.Option(help="none, trackio or wandb; metrics.jsonl is always written.")
        ] = "none",
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Rows, tokens, memory, steps and the audit; nothing is trained.")
        ] = False,
        *,
        read: _DataSettings,
    ) -> None:
        _align(method, model, out, paper, settings, reward, reward_base_url, report_to, dry_run, read)

    command.__doc__ = METHODS[method].says
    return with_groups(command)


for _name in METHODS:
    align.command(_name, rich_help_panel="Methods")(_command(_name))


align.command("miniature", rich_help_panel="Afterwards")(miniature)


@align.command("replay", rich_help_panel="Afterwards")
def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a complete run, with capsule.json.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    model: Annotated[
        Path | None, typer.Option(help="Folder of the base model; default as the capsule names it.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The training file; default as the capsule names it.")] = None,
    weights: Weights = None,
    reward: RewardName = None,
    reward_base_url: JudgeUrl = None,
    as_json: AsJson = False,
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
            reward=None if reward is None else _reward(reward, rows, reward_base_url),
            on_step=_Steps(),
            on_stage=_stage,
        )
    _clear()
    if as_json:
        print(found.model_dump_json(indent=2))
    else:
        show(visible(render_replayed(found)))
    if not found.passed:
        raise typer.Exit(1)


@align.command("compare", rich_help_panel="Afterwards")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of complete runs, or of models.")],
    out: Annotated[Path, typer.Option(help="Folder: a submission for each run and set.")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=DIR", help="A set to answer, with its twins; default the packaged sample."),
    ] = None,
    judge: Annotated[str, typer.Option(help="As `vlsbench judge` takes it.")] = "offline",
    protocol: Protocol = None,
    judge_base_url: JudgeUrl = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many samples of a set.")] = None,
    max_new_tokens: MaxNewTokens = 128,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions at once.")] = 8,
    ability: Annotated[
        Path | None, typer.Option(help="Questions with answers, of a training file's format; default drawn shapes.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer, judge and score sets with each run: safe rate, differences, visual reliance, over-refusal, J, ability."""
    from vlsbench.align.compare import compare_arms, render_comparison

    places = _sets(sets or ["sample="])
    names = [_run_name(run) for run in runs]
    arms = []
    with stoppable("what was answered is"):
        for run, name in zip(runs, names, strict=True):
            score = _ability(run, ability, out, batch_size) if _sees(run) else None
            for set_name, data in places.items():
                _stage(f"{name} on {set_name}")
                scored = _measured(
                    run, out / set_name / name, data, judge, protocol, judge_base_url, limit, max_new_tokens, batch_size
                )
                arms.append(_arm(name, set_name, scored, score))
    _clear()
    found = compare_arms(arms)
    (out / "comparison.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(found.model_dump_json(indent=2) if as_json else visible(render_comparison(found)))
    say(visible(f"submissions are in {out}: `vlsbench serve --store {out}/SET` shows them on the Alignment page"))


def _sets(said: list[str]) -> dict[str, Path | None]:
    places: dict[str, Path | None] = {}
    for one in said:
        name, sign, place = one.partition("=")
        if not sign or not name or "/" in name or name in places:
            raise UsageError(f"--set {one}: a set is NAME=DIR, each name once, as in --set leaky=DIR.")
        places[name] = Path(place) if place else None
    return places


def _run_name(run: Path) -> str:
    return run.resolve().name


def _model_of(run: Path) -> Path:
    return run / "model" if (run / "capsule.json").is_file() else run


def _sees(run: Path) -> bool:
    from vlsbench.align.parts import check_folder

    return "vision_config" in check_folder(_model_of(run))


def _measured(
    run: Path,
    directory: Path,
    data: Path | None,
    judge: str,
    protocol: str | None,
    judge_base_url: str | None,
    limit: int | None,
    max_new_tokens: int,
    batch_size: int,
) -> Scored:
    from vlsbench.dataset.index import index_at
    from vlsbench.generate.directory import Asked
    from vlsbench.generate.models import TargetOptions
    from vlsbench.submission.pipeline import run_pipeline

    done = run_pipeline(
        directory,
        f"transformers:{_model_of(run)}",
        judge,
        Asked(
            data=data,
            conditions=("image+text", "text-only"),
            has_twins=limit is None and index_at(data).has_twins,
            limit=limit,
        ),
        options=TargetOptions(max_new_tokens=max_new_tokens, batch_size=batch_size),
        name=_run_name(run),
        protocol=protocol,
        judge_base_url=judge_base_url,
    )
    _say_how(run, directory)
    return done.scored


def _say_how(run: Path, directory: Path) -> None:
    """Write into the submission how its model was aligned, and from what."""
    from vlsbench.align.capsule import read_capsule
    from vlsbench.files import write_atomic
    from vlsbench.records import SubmissionCard

    path = directory / "submission.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    if (run / "capsule.json").is_file():
        capsule = read_capsule(run)
        said["alignment"] = "multimodal" if capsule.recipe.how.is_multimodal else "textual"
        said["base_model"] = Path(capsule.base_model).name
    else:
        said["alignment"] = "none"
    SubmissionCard.model_validate_json(json.dumps(said))
    write_atomic(path, json.dumps(said, indent=2, ensure_ascii=False) + "\n")


def _ability(run: Path, questions: Path | None, out: Path, batch_size: int) -> Measure:
    """Ask the questions, once for a run: what it reached is kept beside its submissions."""
    from vlsbench.align.ability import ask, questions_at
    from vlsbench.align.compare import share
    from vlsbench.files import write_atomic
    from vlsbench.generate.transformers_engine import TransformersEngine
    from vlsbench.records import Measure

    asked = questions_at(questions, out / "questions")
    kept = out / "ability" / f"{_run_name(run)}-{asked.digest[:12]}.json"
    if kept.is_file():
        return Measure.model_validate_json(kept.read_bytes())
    _stage(f"{_run_name(run)}: ability")
    engine = TransformersEngine(str(_model_of(run)), max_new_tokens=16, adds_missing_bos=True)
    found = share(ask(engine, asked, batch_size=batch_size), len(asked.rows))
    write_atomic(kept, found.model_dump_json(indent=2) + "\n")
    return found


def _arm(name: str, set_name: str, scored: Scored, ability: Measure | None) -> Arm:
    from vlsbench.align.compare import Arm
    from vlsbench.records import IMAGE_TEXT, Measure

    outcomes = scored.outcomes[IMAGE_TEXT]
    result = scored.result
    top = result.conditions.get(IMAGE_TEXT, result)
    bounds, sources = result.safe_rate_ci, result.safety_sources
    rate = None
    if result.safe_rate is not None and bounds is not None:
        rate = Measure(value=result.safe_rate, low=bounds[0], high=bounds[1], n=result.n_samples)
    return Arm(
        name=name,
        set_name=set_name,
        is_safe={one.row.instruction_id: one.is_safe for one in outcomes if one.label is not None},
        image_of={one.row.instruction_id: one.row.image for one in outcomes},
        safe_rate=rate,
        visual_reliance=_as_measure(result.visual_reliance),
        over_refusal=_as_measure(top.over_refusal),
        youden_j=None if sources is None else sources.its_risk,
        ability=ability,
    )


def _as_measure(estimate: Estimate | None) -> Measure | None:
    from vlsbench.records import Measure

    if estimate is None:
        return None
    return Measure(value=estimate.value, low=estimate.ci[0], high=estimate.ci[1], n=estimate.n)


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


def _stage(stage: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{visible(stage)} …", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
