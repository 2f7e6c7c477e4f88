"""The options of the commands, each written once, and the groups of them that several commands share.

typer knows single parameters only. `with_groups` lets a command take a frozen dataclass whose fields are options:

    @with_groups
    def judge(directory: Directory, judging: JudgeSettings) -> None: ...

is a command with every option of `JudgeSettings`, in their order, in the place of `judging`. A subclass may say
another help of a field, or add some. `PANEL`, where a group has one, is the heading over its options in `--help`. What
a group is good for beyond its fields (an object of the package made of them) is a method of it, and imports what it
needs itself: `vlsbench --help` loads every group.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_type_hints

import typer

if TYPE_CHECKING:
    from vlsbench.engine.engines import Engine
    from vlsbench.generate.directory import Asked
    from vlsbench.generate.models import TargetOptions
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.leakage.judging import JudgeOptions
    from vlsbench.records import Failure
    from vlsbench.text import OnProgress

__all__ = [
    "Again",
    "AsJson",
    "BaseUrl",
    "DataPath",
    "Directory",
    "DryRun",
    "DryRunFiles",
    "EngineSettings",
    "GenerateSettings",
    "HarmSettings",
    "HumanFile",
    "JudgeName",
    "JudgeSettings",
    "MaxCost",
    "MaxNewTokens",
    "MaxSide",
    "Model",
    "ModelName",
    "OutSubmission",
    "Port",
    "PriceIn",
    "PriceOut",
    "Private",
    "Protocol",
    "RequestsAtOnce",
    "RubricId",
    "SetPath",
    "Store",
    "StoreAt",
    "SubmissionId",
    "TargetSettings",
    "WhoWrites",
    "WorkSettings",
    "failures_of",
    "with_groups",
]

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A submission: submission.json and responses.jsonl.")]
SubmissionId = Annotated[str, typer.Argument(metavar="ID", help="As `vlsbench queue` lists it.")]
OutSubmission = Annotated[
    Path, typer.Option("--out", help="The submission: made, or gone on with where it holds this model's.")
]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Budget of an answer; the paper's is 128.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]
RubricId = Annotated[str | None, typer.Option("--rubric", help="Rubric id, or its beginning, where there are several.")]
HumanFile = Annotated[
    Path | None, typer.Option("--human", help="People's labels: verdict lines with rubric human:NAME.")
]
DataPath = Annotated[
    Path | None, typer.Option("--data", help="The release (its folder, or a built one), or a set of your own.")
]
SetPath = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The set of your own that was answered, where DIR has no index.csv."),
]

Store = Annotated[
    str | None,
    typer.Option(
        metavar="STORE", help="A folder, or hf://datasets/ORG/NAME. Default: ./submissions, else the packaged rows."
    ),
]
StoreAt = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="STORE", help="A folder, or hf://datasets/ORG/NAME[@REVISION]. Default: ./submissions."
    ),
]
WhoWrites = Annotated[
    str | None, typer.Option("--name", help="Who does this, as the history shows it. Default: on the Hub, your name.")
]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would ask and cost; ask nothing.")]
DryRunFiles = Annotated[bool, typer.Option("--dry-run", help="Show every file with its size; change nothing.")]
Private = Annotated[bool, typer.Option("--private", help="Where the repository is made: hidden from others.")]

BaseUrl = Annotated[str | None, typer.Option(help="Endpoint; default OPENAI_BASE_URL, else OpenAI.")]
MaxSide = Annotated[int | None, typer.Option(min=1, help="Scale images down to this longest side, pixels.")]
PriceIn = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens in.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens out.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="Stop before a run costs more.")]

Model = Annotated[str, typer.Option(help="openai:NAME or transformers:PATH_OR_ID.")]
ModelName = Annotated[str | None, typer.Option("--name", help="Of the model on the card; default: its own.")]

JudgeName = Annotated[str, typer.Option("--judge", help="offline, openai:MODEL, …; `vlsbench judges` lists them.")]
Protocol = Annotated[str | None, typer.Option(help="How it judges: v1 (default), paper, …")]
Again = Annotated[
    str | None,
    typer.Option(
        metavar="FAILURE,…",
        help="Ask again where this came of it: judge_unparsable, judge_cut, judge_refused, judge_filtered.",
    ),
]
RequestsAtOnce = Annotated[int, typer.Option(min=1, max=1024, help="Requests in flight at once.")]


def failures_of(again: str | None) -> frozenset[Failure]:
    """Return the failures that `Again` names; none where it is not given."""
    from vlsbench.judge.run import check_again

    return frozenset() if again is None else check_again(again)


@dataclass(frozen=True)
class EngineSettings:
    """Where the work runs."""

    engine: Annotated[str, typer.Option(help="local, or ray: the machines of a Ray cluster.")] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of the cluster's head, auto or local; default RAY_ADDRESS, else one here."),
    ] = None

    def open(self, directory: Path, data: Path | None) -> AbstractContextManager[Engine]:
        """Open the engine for work on a submission; see `vlsbench.engine.engines.open_engine`."""
        from vlsbench.engine.engines import open_engine

        return open_engine(self.engine, directory, data=data, ray_address=self.ray_address)


@dataclass(frozen=True)
class TargetSettings:
    """What a model is asked, and how."""

    data: Annotated[
        Path | None,
        typer.Option(help="The release (its folder, or a built one), or a set of your own. Default: the sample."),
    ] = None
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="image+text (default), repeat, text-only, blank-image, shuffled-image, caption, safety-prompt; may be "
            "given several times."
        ),
    ] = None
    config: Annotated[str | None, typer.Option(help="Part of the dataset: violent, …, privacy.")] = None
    twins: Annotated[bool, typer.Option("--twins", help="Ask the benign twins too, where there are some.")] = False
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many samples.")] = None
    max_new_tokens: MaxNewTokens = 128
    prompt: Annotated[Path | None, typer.Option(help="A safety prompt of your own, for --condition safety-prompt.")] = (
        None
    )
    captions: Annotated[
        Path | None, typer.Option(help="JSON lines: instruction_id, caption; for --condition caption.")
    ] = None
    captioner: Annotated[str | None, typer.Option(help="A model that writes the captions, named like --model.")] = None
    base_url: Annotated[str | None, typer.Option(help="Endpoint of the model.")] = None
    key_variable: Annotated[
        str | None, typer.Option(help="Environment variable of the key; default OPENAI_API_KEY.")
    ] = None
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Questions in flight at once; default 16.")
    ] = None
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions at once of transformers:…; default 8.")] = (
        None
    )
    quantization: Annotated[str | None, typer.Option(help="bnb-4bit or bnb-8bit, for transformers:…")] = None
    device_map: Annotated[str | None, typer.Option(help="As in transformers: auto, cpu, cuda:1.")] = None
    price_in: PriceIn = None
    price_out: PriceOut = None
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before the answers cost more.")] = None

    def asked(self) -> Asked:
        """Return what is asked."""
        from vlsbench.generate.directory import Asked

        return Asked(
            data=self.data,
            conditions=tuple(self.condition or ["image+text"]),
            config=self.config,
            has_twins=self.twins,
            limit=self.limit,
            prompt=self.prompt,
            captions=self.captions,
            captioner=self.captioner,
        )

    def target_options(self) -> TargetOptions:
        """Return how it is asked."""
        from vlsbench.generate.models import TargetOptions

        return TargetOptions(
            max_new_tokens=self.max_new_tokens,
            base_url=self.base_url,
            key_variable=self.key_variable,
            concurrency=self.concurrency,
            price_in=self.price_in,
            price_out=self.price_out,
            max_cost=self.max_cost,
            batch_size=self.batch_size,
            quantization=self.quantization,
            device_map=self.device_map,
        )


@dataclass(frozen=True)
class GenerateSettings(TargetSettings):
    """The same for a command that does nothing else."""

    base_url: BaseUrl = None
    max_cost: MaxCost = None
    captioner_base_url: Annotated[str | None, typer.Option(help="Endpoint of the captioner.")] = None
    max_side: MaxSide = None

    def asked(self) -> Asked:
        """Return what is asked."""
        return replace(super().asked(), captioner_base_url=self.captioner_base_url)

    def target_options(self) -> TargetOptions:
        """Return how it is asked."""
        return replace(super().target_options(), max_side=self.max_side)


@dataclass(frozen=True)
class JudgeSettings:
    """How a judge judges."""

    protocol: Protocol = None
    data: DataPath = None
    concurrency: RequestsAtOnce = 16
    base_url: BaseUrl = None
    evidence: Annotated[
        str | None,
        typer.Option(help="What is shown of the image: image (default), description, image+description, reason."),
    ] = None
    prompt: Annotated[Path | None, typer.Option(help="A wording of your own: another rubric.")] = None
    max_side: MaxSide = None
    output_format: Annotated[
        str | None, typer.Option(help="json_schema, json_object or text; default: the first the endpoint takes.")
    ] = None
    cache: Annotated[
        Path | None, typer.Option(envvar="VLSBENCH_CACHE", help="SQLite file of verdicts, shared by submissions.")
    ] = None
    price_in: PriceIn = None
    price_out: PriceOut = None
    max_cost: MaxCost = None
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions at once of transformers:MODEL.")] = None
    again: Again = None

    def failures_again(self) -> frozenset[Failure]:
        """Return the failures to ask about again."""
        return failures_of(self.again)

    def model_options(self) -> ModelOptions:
        """Return what is set of a model judge beyond its name, protocol and endpoint."""
        from vlsbench.judge.judges import ModelOptions

        return ModelOptions(
            evidence=self.evidence,
            prompt=self.prompt,
            max_side=self.max_side,
            output_format=self.output_format,
            cache=self.cache,
            price_in=self.price_in,
            price_out=self.price_out,
            max_cost=self.max_cost,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True)
class HarmSettings:
    """Who judges the harm of pairs and texts, and what is known of a model's answers to them."""

    PANEL: ClassVar[str] = "Judge and answers: harm leak and image need"

    judge: Annotated[
        str,
        typer.Option(
            help="Judge of harm leak: none, openai:MODEL, guard:MODEL (guard:FORMAT=MODEL) or people:FILE. A guard "
            "runs behind --base-url, else by transformers."
        ),
    ] = "none"
    absent_image: Annotated[
        str,
        typer.Option(help="Whether the judge of a text alone is told that there was an image: silent or declared."),
    ] = "silent"
    pair_harm: Annotated[
        str,
        typer.Option(help="Who says that a pair is harmful: judge, or label (the set's own; no image is sent)."),
    ] = "judge"
    people: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="People's grades (id or text, text_grade, pair_grade) to compare the judge with."
        ),
    ] = None
    guard: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC", help="Score a guard on pairs with benign twins: openai:MODEL or guard:[FORMAT=]MODEL."
        ),
    ] = None
    responses: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A submission with answers under several conditions: how they change without the right image.",
        ),
    ] = None
    rubric: RubricId = None
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where the judge's answers are kept and found again; default SOURCE.answers.jsonl."
        ),
    ] = None
    again: Again = None
    base_url: BaseUrl = None
    concurrency: RequestsAtOnce = 16
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions at once of a guard on this machine.")] = None
    price_in: PriceIn = None
    price_out: PriceOut = None
    max_cost: MaxCost = None

    def options(self, *, is_dry: bool, on_progress: OnProgress) -> JudgeOptions:
        """Return how a judge is asked."""
        from vlsbench.cost import Meter, make_prices
        from vlsbench.leakage.judging import JudgeOptions, check_absent, check_pair_harm

        return JudgeOptions(
            base_url=self.base_url,
            concurrency=self.concurrency,
            meter=Meter(make_prices(self.price_in, self.price_out, self.max_cost), self.max_cost),
            batch_size=8 if self.batch_size is None else self.batch_size,
            absent=check_absent(self.absent_image),
            pair_harm=check_pair_harm(self.pair_harm),
            answers=self.answers,
            again=failures_of(self.again),
            people=self.people,
            is_dry=is_dry,
            on_progress=on_progress,
        )


@dataclass(frozen=True)
class WorkSettings(JudgeSettings):
    """The same for a command that judges the submissions of a store."""

    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before judging one submission costs more.")] = None


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function that takes groups of options; see the module.

    >>> @dataclass(frozen=True)
    ... class Paint:
    ...     colour: Annotated[str, typer.Option(help="Of the wall.")] = "white"
    >>> @with_groups
    ... def paint(wall: int, how: Paint) -> None:
    ...     print(wall, how)
    >>> print(*inspect.signature(paint).parameters)
    wall colour
    >>> paint(wall=1, colour="red")
    1 Paint(colour='red')
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}

    def call(**values: Any) -> None:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        command(**made, **values)

    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(_keyword(name, parameter.default, hints[name]))
            continue
        fields = get_type_hints(groups[name], include_extras=True)
        panel = getattr(groups[name], "PANEL", None)
        parameters += [
            _keyword(f.name, f.default, _in_panel(fields[f.name], panel)) for f in dataclasses.fields(groups[name])
        ]
    # What typer reads of a function. Two options of one name are refused here, as in any signature.
    call.__signature__ = inspect.Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    call.__name__, call.__doc__, call.__module__ = command.__name__, command.__doc__, command.__module__
    return call


def _in_panel(annotation: Any, panel: str | None) -> Any:
    """Put an option under a heading; a copy, because several commands share it."""
    if panel is None:
        return annotation
    kind, option = get_args(annotation)
    option = copy(option)
    option.rich_help_panel = panel
    return Annotated[kind, option]


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    empty = default is dataclasses.MISSING
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,  # so that one without a default may come after one that has it
        default=inspect.Parameter.empty if empty else default,
        annotation=annotation,
    )
