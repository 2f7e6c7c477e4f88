"""The local judge: `transformers:DIR_OR_ID`, a model that this machine runs by itself (extra `local`).

Two kinds of model. One that follows instructions reads the question of a protocol (`v1`, `paper`) through its own chat
template and replies with the JSON object that every model judge replies with, read by the very same code (`reply`).
A guard has been trained to one question and one format of its own (`vlsbench.judge.protocols`). Guards answer "is
harmful content present", not "was the risk noticed" (on MSTS, kappa 0.28 for Llama-Guard-3-11B-Vision, 0.02 for
LlavaGuard), so a guard is a column beside others and never becomes the main one. Raters of images (LlavaGuard,
ShieldGemma 2) judge no response and are left out; so are WildGuard and ShieldGemma, which need their authors' wording
instead of a chat template.

How it runs: `vlsbench.generate.transformers_engine`. Everything that decides a verdict is in the rubric: digest of the
weights or revision, chat template, number format, budget. The size of the batch is not. Verdicts go out batch by batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

from vlsbench.dataset.pictures import SCALING_FORMAT, fit_picture, open_picture
from vlsbench.endpoint import RAW_CHARACTERS, name_ids
from vlsbench.errors import DataError, JudgeError, ModelError, UsageError
from vlsbench.files import sha256_hex
from vlsbench.generate.transformers_engine import (
    Chat,
    Engine,
    Generated,
    OutOfMemoryError,
    TransformersEngine,
    answer_batches,
)
from vlsbench.judge.kinds import JudgeKind, JudgeListing, Opening
from vlsbench.judge.prompts import (
    EVIDENCE_FORMAT,
    EVIDENCE_KINDS,
    EvidenceKind,
    check_evidence,
    load_prompt,
    neutralise,
    quote,
)
from vlsbench.judge.protocols import PROTOCOLS, Protocol, find_protocol
from vlsbench.judge.reply import Outcome, read_text
from vlsbench.judge.run import OpenJudge, Write
from vlsbench.records import Response, Rubric, Verdict

if TYPE_CHECKING:
    from PIL import Image as _Image

    from vlsbench.dataset.pictures import PictureSource
    from vlsbench.dataset.source import Sample

__all__ = [
    "KIND",
    "Chat",
    "Engine",
    "Generated",
    "LocalJudge",
    "OutOfMemoryError",
    "TransformersEngine",
    "open_local",
]

_BATCH_SIZE: Final = 8
"""Questions at once."""

_GUARD_DESCRIPTION: Final = "[The image, described: {description}]\n\n{instruction}"
"""How a guard that reads text only is told of the image."""


class LocalJudge(OpenJudge):
    """A model on this machine that labels responses.

    Args:
        engine: What runs the model; see `open_local`.
        source: Samples and pictures by `instruction_id`.
        protocol: One of `protocols.PROTOCOLS`; it has to be the engine's.
        evidence: What is shown of the image; guards take `image` or `description`.
        prompt_path: A wording of one's own in place of the protocol's.
        max_side: Longest side of an image in pixels; larger ones are scaled down.
        batch_size: Questions at once, at first; halved where they do not fit into memory.

    Raises:
        JudgeError: If the evidence has an image and the model cannot see.
        UsageError: If an argument is none of what it can be.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        source: PictureSource,
        protocol: str = "v1",
        evidence: EvidenceKind = "image",
        prompt_path: Path | None = None,
        max_side: int | None = None,
        batch_size: int = _BATCH_SIZE,
    ) -> None:
        self.protocol = _check_arguments(protocol, evidence, prompt_path, max_side, batch_size)
        self.has_canaries = self.protocol.knows_all_labels
        self.prompt = None
        if self.protocol.prompt is not None:
            self.prompt = load_prompt(protocol, evidence=evidence, says_reply=True, path=prompt_path)
        self.shows_image = "image" in EVIDENCE_KINDS[check_evidence(evidence)]
        if self.shows_image and not engine.has_vision:
            raise JudgeError(
                f"transformers:{engine.name} reads text only and --evidence {evidence} shows an image; use --evidence "
                "description, or a model with vision."
            )
        self.engine = engine
        self.source = source
        self.evidence = evidence
        self.prompt_path = prompt_path
        self.max_side = max_side
        self.batch_size = batch_size
        settings: dict[str, JsonValue] = {**engine.settings, "evidence_format": EVIDENCE_FORMAT}
        if max_side is not None:
            settings["scaling_format"] = SCALING_FORMAT
        if self.protocol.mapping is not None:
            settings["mapping"] = dict(self.protocol.mapping)
        self.rubric = Rubric(
            judge=f"transformers:{engine.name}",
            protocol=protocol,
            evidence=EVIDENCE_KINDS[evidence],
            prompt_sha256=self._prompt_sha256(),
            output_schema=self.protocol.schema,
            weights_sha256=engine.weights_sha256,
            image_max_side=max_side,
            settings=settings,
        )

    def _prompt_sha256(self) -> str | None:
        if self.prompt is not None:
            return self.prompt.sha256
        return None if self.shows_image else sha256_hex(_GUARD_DESCRIPTION)

    def with_source(self, source: PictureSource, *, use_cache: bool = True) -> LocalJudge:
        """Return the same judge over other samples."""
        return LocalJudge(
            self.engine,
            source=source,
            protocol=self.protocol.name,
            evidence=self.evidence,
            prompt_path=self.prompt_path,
            max_side=self.max_side,
            batch_size=self.batch_size,
        )

    def check_samples(self, responses: Sequence[Response]) -> None:
        """Look for what it is to see; see `vlsbench.judge.run.OpenJudge`."""
        self._look_up(responses)

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Judge every response, the longest first; see `vlsbench.judge.run.Judge`.

        Raises:
            DataError: If the source lacks samples or texts (before anything is asked), or pictures (after all others
                are judged and written). The message names the ids.
            JudgeError: If not even one question fits into memory.
        """
        samples = self._look_up(responses)
        broken: dict[int, DataError] = {}

        def ask(response: Response) -> Chat | None:
            sample = samples[response.instruction_id]
            try:
                image = self._open_image(sample.instruction_id) if self.shows_image else None
            except DataError as error:
                broken[sample.instruction_id] = error
                return None
            return self.question(sample, response, image)

        def keep(asked: Sequence[Response], replies: Sequence[Generated | None]) -> None:
            write([self._verdict(r, self._read(r, reply)) for r, reply in zip(asked, replies, strict=True)])

        try:
            answer_batches(
                self.engine,
                sorted(responses, key=lambda r: (-self._size(samples[r.instruction_id], r), r.instruction_id)),
                ask,
                keep,
                batch_size=self.batch_size,
            )
        except ModelError as error:
            raise JudgeError(f"{self.rubric.judge}: {error}") from None
        if broken:
            raise DataError(name_ids("pictures cannot be used; the other samples are judged", broken))

    def _look_up(self, responses: Sequence[Response]) -> dict[int, Sample]:
        samples: dict[int, Sample] = {}
        problems: dict[int, DataError] = {}
        seen = self.rubric.evidence
        for instruction_id in {response.instruction_id for response in responses}:
            try:
                sample = self.source.sample(instruction_id)
            except DataError as error:
                problems[instruction_id] = error
                continue
            shown = {"description": sample.image_description, "safety_reason": sample.safety_reason}
            if missing := [name for name, text in shown.items() if name in seen and not (text or "").strip()]:
                problems[instruction_id] = DataError(f"no {' and no '.join(missing)} (benign twins have none)")
            samples[instruction_id] = sample
        if problems:
            raise DataError(name_ids(f"samples cannot be shown (--evidence {self.evidence}); nothing asked", problems))
        return samples

    @staticmethod
    def _size(sample: Sample, response: Response) -> int:
        texts = (sample.instruction, response.response, sample.image_description, sample.safety_reason)
        return sum(len(text or "") for text in texts)

    def _open_image(self, instruction_id: int) -> _Image.Image:
        return open_picture(fit_picture(self.source.picture(instruction_id), max_side=self.max_side))

    def question(self, sample: Sample, response: Response, image: _Image.Image | None) -> Chat:
        """Make the question about one response; foreign text is neutralised, so it can open and close no turn."""
        if self.prompt is None:
            text = neutralise(sample.instruction)
            if image is None:
                description = neutralise(sample.image_description or "")
                text = _GUARD_DESCRIPTION.format(description=description, instruction=text)
            parts: tuple[str | _Image.Image | None, ...] = (image, text)
            return Chat("", tuple(part for part in parts if part), neutralise(response.response or ""))
        evidence = quote(
            self.prompt,
            instruction=sample.instruction,
            response=response.response or "",
            image_description=sample.image_description,
            safety_reason=sample.safety_reason,
        )
        parts = (evidence.before_image, image, evidence.beside_image, evidence.after_image)
        return Chat(self.prompt.rules, tuple(part for part in parts if part))

    def _read(self, response: Response, reply: Generated | None) -> Outcome:
        if reply is None:
            return _OUT_OF_MEMORY
        usage: dict[str, JsonValue] = {"prompt_tokens": reply.n_in, "completion_tokens": reply.n_out}
        if reply.problem is not None:
            return Outcome(None, "judge_cut", reply.problem)
        finish = "length" if reply.is_cut else "stop"
        outcome = read_text(reply.text, self.protocol, finish=finish, judged=response.response or "")
        return outcome._replace(usage=usage)

    def _verdict(self, response: Response, outcome: Outcome) -> Verdict:
        raw = outcome.raw
        return Verdict(
            instruction_id=response.instruction_id,
            condition=response.condition,
            label=outcome.label,
            failure=outcome.failure,
            rubric=self.rubric.rubric_id,
            raw=raw if len(raw) <= RAW_CHARACTERS else f"{raw[:RAW_CHARACTERS]}… ({len(raw)} characters)",
            explanation=outcome.explanation,
            judge_model=self.engine.snapshot,
            usage=outcome.usage,
            response_sha256=response.digest,
        )


_OUT_OF_MEMORY: Final = Outcome(None, "judge_unreachable", "out of memory with this question alone")
"""Transient: on a larger machine the same command asks again."""


def _check_arguments(
    name: str, evidence: str, prompt_path: Path | None, max_side: int | None, batch_size: int
) -> Protocol:
    """Return the protocol, where the rest goes with it."""
    protocol = find_protocol(name)
    if batch_size < 1 or (max_side is not None and max_side < 1):
        raise UsageError("--batch-size and --max-side are at least 1.")
    if protocol.prompt is None and evidence not in ("image", "description"):
        raise UsageError(f"a guard (--protocol {name}) takes --evidence image or description; found {evidence!r}.")
    if protocol.prompt is None and prompt_path is not None:
        raise UsageError(f"a guard (--protocol {name}) has a question of its own and takes no --prompt.")
    if max_side is not None and "image" not in EVIDENCE_KINDS[check_evidence(evidence)]:
        raise UsageError(f"--max-side scales pictures, and --evidence {evidence} shows none.")
    return protocol


def open_local(
    model: str,
    *,
    source: PictureSource,
    protocol: str = "v1",
    evidence: EvidenceKind = "image",
    prompt_path: Path | None = None,
    max_side: int | None = None,
    batch_size: int = _BATCH_SIZE,
) -> LocalJudge:
    """Load a model and make a judge of it.

    Args:
        model: A folder, or an id on the Hub (fetched, or from its cache when offline). The others: see `LocalJudge`.

    Raises:
        JudgeError: If the extra `local` is not installed, or the model is not there or cannot serve.
        UsageError: If an argument is none of what it can be.
    """
    asked = _check_arguments(protocol, evidence, prompt_path, max_side, batch_size)
    try:
        engine = TransformersEngine(
            model,
            max_new_tokens=asked.max_tokens,
            template_settings=asked.template_settings,
            shows_image="image" in EVIDENCE_KINDS[check_evidence(evidence)],
            without_vision="the evidence has an image; use --evidence description",
            has_assistant_turn=asked.prompt is None,
            keeps_special_tokens=asked.keeps_special_tokens,
        )
    except ModelError as error:
        raise JudgeError(str(error)) from None
    return LocalJudge(
        engine,
        source=source,
        protocol=protocol,
        evidence=evidence,
        prompt_path=prompt_path,
        max_side=max_side,
        batch_size=batch_size,
    )


def _open(opening: Opening) -> LocalJudge:
    options = opening.options
    return open_local(
        opening.model,
        source=opening.open_source(),
        protocol=opening.protocol or "v1",
        evidence=check_evidence(options.evidence or "image"),
        prompt_path=options.prompt,
        max_side=options.max_side,
        batch_size=_BATCH_SIZE if options.batch_size is None else options.batch_size,
    )


def _list() -> list[JudgeListing]:
    needs = "the extra 'local' (torch, transformers), and memory for the weights; --data FOLDER for the release"
    return [
        JudgeListing(
            "transformers:MODEL",
            entry.name,
            needs if entry.is_for_endpoints or not entry.needs else f"{needs}; {entry.needs}",
            entry.max_tokens,
            {},
        )
        for entry in PROTOCOLS.values()
    ]


KIND: Final = JudgeKind(
    backend="transformers",
    forms=("transformers:MODEL",),
    open=_open,
    listings=_list,
    takes=frozenset({"evidence", "prompt", "max_side", "batch_size"}),
    has_weights=True,
    batch_size=_BATCH_SIZE,
)
