"""`vlsbench align compare`: runs answer sets, are judged, and stand beside each other. Thin: stdout is data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vlsbench.cli.options import AsJson, BaseUrl, MaxNewTokens, Protocol
from vlsbench.cli.talk import clear_stage, say, show_stage, stoppable
from vlsbench.errors import UsageError, visible

if TYPE_CHECKING:
    from vlsbench.align.compare import Arm
    from vlsbench.align.lmms_eval import TaskFigure
    from vlsbench.align.rows import TrainingData
    from vlsbench.records import Estimate, Measure
    from vlsbench.submission.scoring import Scored

__all__ = ["compare"]

_LMMS_EVAL: Final = "lmms-eval:"


@dataclass(frozen=True)
class _How:
    """How every run is asked and judged."""

    judge: str
    protocol: str | None
    base_url: str | None
    limit: int | None
    max_new_tokens: int
    batch_size: int


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of complete runs, or of models.")],
    out: Annotated[Path, typer.Option(help="Folder: a submission for each run and set.")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=DIR", help="A set to answer, with its twins; default the packaged sample."),
    ] = None,
    judge: Annotated[str, typer.Option(help="As `vlsbench judge` takes it.")] = "offline",
    protocol: Protocol = None,
    judge_base_url: BaseUrl = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many samples of a set.")] = None,
    max_new_tokens: MaxNewTokens = 128,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions at once.")] = 8,
    ability: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|lmms-eval:PATH",
            help="Questions with answers, of a training file's format (default: drawn shapes); or a results file of "
            "lmms-eval, or a folder of them, whose figures are put beside; as often as there are some.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer, judge and score sets with each run: safe rate, differences, visual reliance, over-refusal, J, ability."""
    from vlsbench.align.compare import compare_arms, render_comparison

    how = _How(judge, protocol, judge_base_url, limit, max_new_tokens, batch_size)
    places = _sets(sets or ["sample="])
    models = _models(runs)
    figures = _figures(ability or [], models)
    for data in places.values():
        _check_judge(how, data)
    questions = _questions(ability or [], out)
    arms = []
    with stoppable("what was answered is"):
        for run, name in zip(runs, models, strict=True):
            score = _ability(run, questions, out, batch_size) if _sees(run) else None
            for set_name, data in places.items():
                show_stage(f"{name} on {set_name}")
                scored = _measured(run, out / set_name / name, data, how)
                arms.append(_arm(name, set_name, scored, score, figures.get(name, ())))
    clear_stage()
    found = compare_arms(arms)
    (out / "comparison.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(found.model_dump_json(indent=2) if as_json else visible(render_comparison(found)))
    say(visible(f"submissions are in {out}: `vlsbench serve --store {out}/SET` shows them on the Alignment page"))
    _say_lmms_eval([folder for name, folder in models.items() if name not in figures and _sees(folder)], out)


def _sets(said: list[str]) -> dict[str, Path | None]:
    places: dict[str, Path | None] = {}
    for one in said:
        name, sign, place = one.partition("=")
        if not sign or not name or "/" in name or name in places:
            raise UsageError(f"--set {one}: a set is NAME=DIR, each name once, as in --set leaky=DIR.")
        places[name] = Path(place) if place else None
    return places


def _models(runs: Sequence[Path]) -> dict[str, Path]:
    """Return the folder of each run's model by the run's name."""
    models: dict[str, Path] = {}
    for run in runs:
        if _run_name(run) in models:
            raise UsageError(f"{run}: a run of this name stands there twice; give each folder a name of its own.")
        models[_run_name(run)] = _model_of(run)
    return models


def _figures(said: Sequence[str], models: Mapping[str, Path]) -> dict[str, tuple[TaskFigure, ...]]:
    """Read what lmms-eval found, by run."""
    from vlsbench.align.lmms_eval import figures_of_runs, read_results

    paths = [Path(one.removeprefix(_LMMS_EVAL)) for one in said if one.startswith(_LMMS_EVAL)]
    return figures_of_runs([result for path in paths for result in read_results(path)], models)


def _questions(said: Sequence[str], out: Path) -> TrainingData:
    from vlsbench.align.ability import questions_at

    files = [Path(one) for one in said if not one.startswith(_LMMS_EVAL)]
    if len(files) > 1:
        raise UsageError(f"--ability {files[1]}: one file of questions is asked; put both into one.")
    return questions_at(files[0] if files else None, out / "questions")


def _check_judge(how: _How, data: Path | None) -> None:
    """Say what is wrong with the judge (its name, its key, that it knows nothing of a set) before anything is asked."""
    from vlsbench.dataset.index import index_at
    from vlsbench.judge.judges import find_kind, open_judge

    if not find_kind(how.judge).has_weights:
        open_judge(how.judge, protocol=how.protocol, dataset=index_at(data).name, data=data, base_url=how.base_url)


def _say_lmms_eval(models: Sequence[Path], out: Path) -> None:
    from vlsbench.align.lmms_eval import lmms_command

    if models:
        say("MME, MMMU and their like are asked by lmms-eval, in an environment of its own:")
    for model in models:
        say(visible(f"    {lmms_command(model, out / 'lmms-eval')}"))
    if models:
        say(visible(f"and stand in this table with --ability {_LMMS_EVAL}{out / 'lmms-eval'}"))


def _run_name(run: Path) -> str:
    return run.resolve().name


def _model_of(run: Path) -> Path:
    return run / "model" if (run / "capsule.json").is_file() else run


def _sees(run: Path) -> bool:
    from vlsbench.align.parts import check_folder

    return "vision_config" in check_folder(_model_of(run))


def _measured(run: Path, directory: Path, data: Path | None, how: _How) -> Scored:
    from vlsbench.dataset.index import index_at
    from vlsbench.generate.directory import Asked
    from vlsbench.generate.models import TargetOptions
    from vlsbench.submission.pipeline import run_pipeline

    done = run_pipeline(
        directory,
        f"transformers:{_model_of(run)}",
        how.judge,
        Asked(
            data=data,
            conditions=("image+text", "text-only"),
            has_twins=how.limit is None and index_at(data).has_twins,
            limit=how.limit,
        ),
        options=TargetOptions(max_new_tokens=how.max_new_tokens, batch_size=how.batch_size),
        name=_run_name(run),
        protocol=how.protocol,
        judge_base_url=how.base_url,
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


def _ability(run: Path, questions: TrainingData, out: Path, batch_size: int) -> Measure:
    """Ask the questions, once for a run: what it reached is kept beside its submissions."""
    from vlsbench.align.ability import ask
    from vlsbench.align.compare import share
    from vlsbench.files import write_atomic
    from vlsbench.generate.transformers_engine import TransformersEngine
    from vlsbench.records import Measure

    kept = out / "ability" / f"{_run_name(run)}-{questions.digest[:12]}.json"
    if kept.is_file():
        return Measure.model_validate_json(kept.read_bytes())
    show_stage(f"{_run_name(run)}: ability")
    engine = TransformersEngine(str(_model_of(run)), max_new_tokens=16, adds_missing_bos=True)
    found = share(ask(engine, questions, batch_size=batch_size), len(questions.rows))
    write_atomic(kept, found.model_dump_json(indent=2) + "\n")
    return found


def _arm(name: str, set_name: str, scored: Scored, ability: Measure | None, lmms_eval: tuple[TaskFigure, ...]) -> Arm:
    from vlsbench.align.compare import Arm
    from vlsbench.records import IMAGE_TEXT, Measure

    outcomes = scored.outcomes[IMAGE_TEXT]
    result = scored.result
    top = result.conditions.get(IMAGE_TEXT, result)
    bounds = result.safe_rate_ci
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
        youden_j=None if top.twins is None else top.twins.youden_j,
        ability=ability,
        coverage=result.coverage,
        lmms_eval=lmms_eval,
    )


def _as_measure(estimate: Estimate | None) -> Measure | None:
    from vlsbench.records import Measure

    if estimate is None:
        return None
    return Measure(value=estimate.value, low=estimate.ci[0], high=estimate.ci[1], n=estimate.n)
