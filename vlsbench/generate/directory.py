"""`vlsbench generate`: the dataset, the conditions and a model by name; answers go to a folder that is a submission."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from vlsbench.cost import GenerateEstimate, image_tokens, make_prices, measure_pictures, question_tokens
from vlsbench.dataset.index import INDEX_FILE, Index, index_at, render_set_index
from vlsbench.dataset.pictures import fit_picture, size_of
from vlsbench.dataset.source import Sample, SampleSource, open_source
from vlsbench.endpoint import name_ids
from vlsbench.errors import DataError, ModelError, UsageError, amount
from vlsbench.files import StrPath, canonical_json, exclusive, sha256_hex
from vlsbench.generate.conditions import (
    CAPTION_PROMPT,
    Captions,
    Question,
    Wordings,
    read_captions,
    read_safety_prompt,
)
from vlsbench.generate.models import TargetOptions, open_target
from vlsbench.generate.run import GenerateReport, answer_into, check_card, generate, read_answers, read_card
from vlsbench.generate.shuffled import choose_pictures
from vlsbench.generate.target import Target
from vlsbench.records import IMAGE_TEXT, DatasetReference, SubmissionCard, explain
from vlsbench.text import OnProgress

__all__ = ["Asked", "estimate_generate", "generate_directory"]


@dataclass(frozen=True)
class Asked:
    """What is asked of a model."""

    data: Path | None = None
    """Folder of the release or of a constructed set; None is the packaged sample."""
    conditions: tuple[str, ...] = (IMAGE_TEXT,)
    config: str | None = None
    """Part of the dataset; None is all risky pairs."""
    has_twins: bool = False
    """Ask the benign twins of the sample, or of a constructed set, too."""
    limit: int | None = None
    """Only the first so many samples, in the order of the dataset."""
    prompt: Path | None = None
    """A safety prompt of the user's; adds its condition in place of `safety-prompt`."""
    captions: Path | None = None
    """Captions of the user's, in place of the dataset's descriptions."""
    captioner: str | None = None
    """A model that writes the captions."""
    captioner_base_url: str | None = None
    """Its endpoint; None is that of the model."""


class _Plan(NamedTuple):
    part: Index
    source: SampleSource
    samples: list[Sample]


def _plan(asked: Asked) -> _Plan:
    """Open the dataset and choose the samples."""
    whole = index_at(asked.data)
    if asked.has_twins and not whole.has_twins:
        raise UsageError(f"--twins asks the benign twins too, and the {whole.title} has none; the sample has some.")
    if asked.has_twins and asked.config not in (None, "twins"):
        raise UsageError("--twins asks a dataset with its benign twins; it takes no --config.")
    index = whole.select("twins" if asked.has_twins else asked.config or whole.default_config)
    source = open_source(asked.data, name=index.name)
    samples: list[Sample] = []
    missing: dict[int, DataError] = {}
    for row in index.rows[: asked.limit]:
        try:
            samples.append(source.sample(row.instruction_id))
        except DataError as error:
            missing[row.instruction_id] = error
    if missing:
        source.close()
        raise DataError(name_ids(f"samples of the {index.title} are not in --data; nothing was asked", missing))
    return _Plan(index, source, samples)


def _wordings(asked: Asked) -> tuple[Wordings, tuple[str, ...]]:
    """Read the user's files; return them with the conditions they ask for."""
    conditions = tuple(dict.fromkeys(asked.conditions))
    wordings = Wordings()
    if asked.prompt is not None:
        name, text = read_safety_prompt(asked.prompt)
        wordings = wordings._replace(safety_condition=name, safety_prompt=text)
    if asked.captions is not None:
        wordings = wordings._replace(captions=read_captions(asked.captions))
    if asked.captions is not None and asked.captioner is not None:
        raise UsageError("--captions and --captioner exclude each other.")
    for flag, value, condition in (
        ("--prompt", asked.prompt, "safety-prompt"),
        ("--captions", asked.captions, "caption"),
        ("--captioner", asked.captioner, "caption"),
    ):
        if value is not None and condition not in conditions:
            raise UsageError(f"{flag} is for --condition {condition}, which is not asked for.")
    return wordings, conditions


def _with_others(wordings: Wordings, conditions: Sequence[str], plan: _Plan) -> Wordings:
    """Choose the pictures of `shuffled-image`, where it is asked for; every picture it compares is read once."""
    if "shuffled-image" not in conditions:
        return wordings
    chosen = choose_pictures([sample.instruction_id for sample in plan.samples], plan.part, plan.source)
    by_id = plan.part.by_id
    return wordings._replace(others={number: (other, by_id[other].image) for number, other in chosen.items()})


def _ask_all(wordings: Wordings, conditions: Sequence[str], samples: Sequence[Sample]) -> list[Question]:
    return [question for condition in conditions for question in wordings.ask(condition, samples)]


def _make_card(name: str | None, target: Target, index: Index) -> SubmissionCard:
    reference = {"config": index.config, "revision": index.revision}
    if index.kind == "constructed":
        reference["name"] = index.name
    fields = {
        "model": name or target.model,
        "revision": target.revision,
        "settings": target.settings.model_dump(exclude_none=True),
        "dataset": DatasetReference.model_validate(reference).model_dump(),
    }
    try:
        return SubmissionCard.model_validate(fields)
    except ValidationError as error:
        raise UsageError(f"{'; '.join(explain(error)[:2])}. Give the model another name with --name.") from None


def generate_directory(
    directory: StrPath,
    model: str,
    asked: Asked = Asked(),  # frozen
    *,
    options: TargetOptions = TargetOptions(),  # noqa: B008  # frozen
    name: str | None = None,
    is_resumed: bool = False,
    opener: Callable[..., Target] = open_target,
    on_progress: OnProgress = lambda reached: None,
) -> GenerateReport:
    """Ask a model what has no answer yet; lines go to `responses.jsonl`, who answers to `submission.json`.

    Args:
        directory: The submission; made where it is absent, gone on with where it holds this model's answers.
        model: As `vlsbench.generate.models.open_target` takes it.
        name: Of the model on the card; None is its own.
        is_resumed: Insist that there is something to go on with.
        opener: Opens a model; another engine (`vlsbench.engine.engines`) has another.
        on_progress: Told how many lines there are, of how many.

    Raises:
        DataError: If the dataset is absent or incomplete (nothing was asked), or pictures cannot be used.
        ModelError: If the model cannot be set up or cannot go on, or the folder holds other answers.
        SubmissionError: If a file of the folder is broken, or another run is writing.
        UsageError: If an option is none of what it can be.
    """
    directory = Path(directory)
    wordings, conditions = _wordings(asked)
    if is_resumed and read_card(directory) is None:
        raise UsageError(f"--resume: {directory} holds no answers to go on with; leave it out to begin.")
    plan = _plan(asked)
    with contextlib.closing(plan.source):
        wordings = _with_others(wordings, conditions, plan)
        probe = wordings
        if asked.captioner is not None:
            # What cannot be asked is said before captions are paid for.
            probe = wordings._replace(captions=Captions("caption", {s.instruction_id: "…" for s in plan.samples}))
        shows_image = any(question.picture for question in _ask_all(probe, conditions, plan.samples[:1]))
        if asked.captioner is None:
            _ask_all(wordings, conditions, plan.samples)
        target = opener(model, source=plan.source, options=options, shows_image=shows_image)
        card = _make_card(name, target, plan.part)
        if asked.captioner is not None:
            captions = _caption(directory, asked, plan, options, opener, on_progress)
            wordings = wordings._replace(captions=captions)
        questions = _ask_all(wordings, conditions, plan.samples)
        index = plan.part.whole
        beside = {INDEX_FILE: render_set_index(index.rows)} if index.kind == "constructed" else {}
        return generate(directory, target, questions, card, beside=beside, on_progress=on_progress)


def _caption(
    directory: Path,
    asked: Asked,
    plan: _Plan,
    options: TargetOptions,
    opener: Callable[..., Target],
    on_progress: OnProgress,
) -> Captions:
    """Let a model describe every image once; captions are kept in `captions/<digest8>.jsonl` and never asked again."""
    name = asked.captioner or ""
    if name.startswith("openai:"):
        base_url = asked.captioner_base_url or options.base_url
        own = replace(options, base_url=base_url, batch_size=None, quantization=None, device_map=None)
    else:
        own = TargetOptions(max_side=options.max_side, batch_size=options.batch_size, device_map=options.device_map)
    captioner = opener(
        name, source=plan.source, options=replace(own, max_new_tokens=TargetOptions.max_new_tokens), flag="--captioner"
    )
    decides = [captioner.name, captioner.revision, captioner.settings.model_dump(mode="json"), CAPTION_PROMPT]
    digest = sha256_hex(canonical_json(decides))[:8]
    first = {sample.image: sample for sample in reversed(plan.samples)}
    questions = [
        Question(sample.instruction_id, IMAGE_TEXT, CAPTION_PROMPT, "image", sample.image)
        for sample in sorted(first.values(), key=lambda sample: sample.instruction_id)
    ]
    path = directory / "captions" / f"{digest}.jsonl"
    with exclusive(path):
        _, n_unanswered, _ = answer_into(path, captioner, questions, on_progress=on_progress)
        lines = read_answers(path)
    if n_unanswered:
        raise ModelError(
            f"{captioner.name}: {amount(n_unanswered, 'image')} got no caption; the same command asks again, then "
            "goes on."
        )
    found = {question.image: lines[question.instruction_id, IMAGE_TEXT].response for question in questions}
    texts = {sample.instruction_id: text for sample in plan.samples if (text := found[sample.image])}
    return Captions(f"caption:{digest}", texts)


def estimate_generate(
    directory: StrPath,
    model: str,
    asked: Asked = Asked(),  # frozen
    *,
    options: TargetOptions = TargetOptions(),  # noqa: B008  # frozen
    name: str | None = None,
) -> GenerateEstimate:
    """Say what `generate_directory` would ask and about how many tokens that takes. Asks nothing, writes nothing.

    Args:
        name: Of the model on the card; None is its own.

    Raises:
        DataError: If the dataset is absent or incomplete.
        ModelError: If the folder holds other answers, so that the run itself would be refused.
        SubmissionError: If a file of the folder is broken.
        UsageError: If the model costs nothing, or captions would have to be written first.
    """
    from vlsbench.generate.endpoint_model import EndpointModel

    if asked.captioner is not None:
        raise UsageError("--dry-run cannot know what a --captioner will write; leave one of the two out.")
    wordings, conditions = _wordings(asked)
    plan = _plan(asked)
    with contextlib.closing(plan.source):
        target = open_target(model, source=plan.source, options=options, is_dry=True)
        assert isinstance(target, EndpointModel)  # noqa: S101  # `open_target` says so of a dry run
        check_card(Path(directory), _make_card(name, target, plan.part))
        wordings = _with_others(wordings, conditions, plan)
        questions = _ask_all(wordings, conditions, plan.samples)
        held = read_answers(Path(directory) / "responses.jsonl")
        left = [question for question in questions if (question.instruction_id, question.condition) not in held]
        shown = [question.shown_id for question in left if question.picture is not None]

        def tokens_of(number: int) -> int:
            return image_tokens(*size_of(fit_picture(plan.source.picture(number), max_side=options.max_side)))

        measured = measure_pictures(shown, tokens_of)
        text_tokens = sum(question_tokens(target.question(question, None)) for question in left)
        return GenerateEstimate(
            target.name,
            len(questions),
            len(questions) - len(left),
            text_tokens + round(measured.tokens * len(shown)),
            options.max_new_tokens * len(left),
            measured.n,
            make_prices(options.price_in, options.price_out, options.max_cost),
        )
