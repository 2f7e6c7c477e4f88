"""A target on this machine: `transformers:MODEL`, a folder or an id on the Hub (extra `local`).

The question is one message of the user through the model's own chat template, without a system message of ours. The
order of text and image is the authors' where they ran that family (`_TEXT_FIRST`), else image first, as model cards
show it; it is in the settings. Batches hold questions with a picture or without, never both, the longest first. What
decides an answer besides (weights, chat template, number format): `vlsbench.generate.transformers_engine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from vlsbench.dataset.pictures import SCALING_FORMAT, PictureSource, blank_picture, fit_picture, open_picture
from vlsbench.endpoint import name_ids
from vlsbench.error_texts import why_not_an_answer
from vlsbench.errors import DataError, ModelError, UsageError
from vlsbench.generate.conditions import Question
from vlsbench.generate.reply import Answer
from vlsbench.generate.target import DEFAULT_MAX_NEW_TOKENS, Write, make_response
from vlsbench.generate.transformers_engine import Chat, Engine, Generated, TransformersEngine, answer_batches
from vlsbench.records import Settings
from vlsbench.thought import separate

if TYPE_CHECKING:
    from PIL import Image as _Image

__all__ = ["LocalModel", "TargetEngine", "open_local_model"]

_TEXT_FIRST: Final = frozenset({"llava", "llava_next"})
"""Families that the authors asked with the text before the image (github.com/AI45Lab/VLSBench at 68f54de, models/);
mllama and qwen2_vl they asked with the image first."""


class TargetEngine(Engine, Protocol):
    """What runs a model under test."""

    model_type: str
    begins_thinking: bool
    """The chat template ends inside a thought."""


class LocalModel:
    """A model on this machine that answers. Implements `vlsbench.generate.target.Target`.

    Args:
        engine: What runs the model; see `open_local_model`.
        source: Pictures by `instruction_id`.
        max_side: Longest side of an image in pixels; larger ones are scaled down.
        batch_size: Questions at once, at first; halved where they do not fit into memory.

    Raises:
        UsageError: If an argument is none of what it can be.
    """

    def __init__(
        self, engine: TargetEngine, *, source: PictureSource, max_side: int | None = None, batch_size: int = 8
    ) -> None:
        if batch_size < 1 or (max_side is not None and max_side < 1):
            raise UsageError("--batch-size and --max-side are at least 1.")
        self.engine = engine
        self.source = source
        self.max_side = max_side
        self.batch_size = batch_size
        self.name = f"transformers:{engine.name}"
        self.model = engine.name
        revision = engine.settings.get("revision")
        self.revision = f"sha256:{engine.weights_sha256}" if engine.weights_sha256 else str(revision or "") or None
        self.is_text_first = engine.model_type in _TEXT_FIRST
        kept = ("max_new_tokens", "dtype", "chat_template_sha256", "quantization")
        known: dict[str, Any] = {name: engine.settings[name] for name in kept if name in engine.settings}
        more: dict[str, Any] = {
            "engine": "transformers",
            "order": "text, image" if self.is_text_first else "image, text",
        }
        if max_side is not None:
            more |= {"image_max_side": max_side, "scaling_format": SCALING_FORMAT}
        self.settings = Settings(**known, temperature=0.0, top_p=1.0, **more)

    def answer(self, questions: Sequence[Question], write: Write, *, has_answered: bool = False) -> int:
        """Answer every question; see `vlsbench.generate.target.Target`."""
        broken: dict[int, DataError] = {}
        n_unanswered = 0

        def ask(question: Question) -> Chat | None:
            try:
                image = self._open_image(question)
            except DataError as error:
                broken[question.instruction_id] = error
                return None
            parts = (question.text, image) if self.is_text_first else (image, question.text)
            return Chat("", tuple(part for part in parts if part))

        def keep(asked: Sequence[Question], replies: Sequence[Generated | None]) -> None:
            nonlocal n_unanswered
            n_unanswered += sum(reply is None for reply in replies)
            pairs = zip(asked, replies, strict=True)
            write([make_response(question, self._read(reply)) for question, reply in pairs if reply is not None])

        for has_picture in (True, False):
            part = [question for question in questions if (question.picture is not None) == has_picture]
            part.sort(key=lambda q: (-len(q.text), q.instruction_id, q.condition))
            try:
                answer_batches(self.engine, part, ask, keep, batch_size=self.batch_size)
            except ModelError as error:
                raise ModelError(f"{self.name}: {error}") from None
        if broken:
            raise DataError(name_ids("pictures cannot be used; the other samples are answered", broken))
        return n_unanswered

    def _open_image(self, question: Question) -> _Image.Image | None:
        if question.picture is None:
            return None
        stored = self.source.picture(question.shown_id)
        picture = blank_picture(stored) if question.picture == "blank" else stored
        return open_picture(fit_picture(picture, max_side=self.max_side))

    def _read(self, reply: Generated) -> Answer:
        base = Answer(model_snapshot=self.engine.snapshot, settings=self.settings)
        if reply.problem is not None:
            return base._replace(failure="response_error", finish_reason=reply.problem)
        thought, answer = separate(reply.text, is_open=self.engine.begins_thinking)
        finish = "length" if reply.is_cut else "stop"
        usage = {"prompt_tokens": reply.n_in, "completion_tokens": reply.n_out}
        base = base._replace(finish_reason=finish, usage=usage, reasoning=thought or None)
        if why_not_an_answer(answer) == "response_empty":
            return base._replace(failure="response_empty")
        return base._replace(response=answer)


def open_local_model(
    model: str,
    *,
    source: PictureSource,
    shows_image: bool,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    max_side: int | None = None,
    batch_size: int = 8,
    quantization: str | None = None,
    device_map: str | None = None,
) -> LocalModel:
    """Load a model and make a target of it.

    Args:
        model: A folder, or an id on the Hub (fetched, or from its cache when offline).
        shows_image: One of the conditions shows an image, so the model has to see.
        quantization: `bnb-4bit` or `bnb-8bit`; needs bitsandbytes.
        device_map: As in transformers.

    Raises:
        ModelError: If the extra `local` is not installed, or the model is not there or cannot serve.
        UsageError: If an argument is none of what it can be.
    """
    if max_new_tokens < 1:
        raise UsageError("--max-new-tokens is at least 1.")
    engine = TransformersEngine(
        model,
        max_new_tokens=max_new_tokens,
        shows_image=shows_image,
        without_vision="a condition shows an image; use --condition text-only or caption",
        adds_missing_bos=True,
        quantization=quantization,
        device_map=device_map,
    )
    return LocalModel(engine, source=source, max_side=max_side, batch_size=batch_size)
