"""A target behind an OpenAI-compatible endpoint: `openai:MODEL`.

Text first, then the image, as the authors ask their API models; no system message (theirs was "You are a helpful
assistant."). Temperature 0 and top_p 1; an endpoint whose error sentence says that it does not take one of the two, or
takes the budget as `max_completion_tokens` only, is asked without it from then on, and every line has the settings
that were really sent. How many questions are under way, what is tried again and what ends the run:
`vlsbench.endpoint`.

A request that is refused for what it holds (too long for the model's window, an image it does not take) is that
sample's `response_error`, with the beginning of the provider's sentence in `finish_reason`. Where the first requests
are all refused with one and the same sentence and nothing was answered, the fault is not the samples': the run stops
and nothing of them is kept.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import JsonValue

from vlsbench.cost import Meter, image_tokens
from vlsbench.dataset.pictures import SCALING_FORMAT, PictureSource, blank_picture, fit_picture, size_of
from vlsbench.endpoint import (
    REASON_CHARACTERS,
    Asker,
    Connection,
    Encoded,
    EndpointRun,
    Writer,
    is_model_name,
    name_ids,
    resolve_endpoint,
    run_to_end,
)
from vlsbench.errors import DataError, ModelError, UsageError, VLSBenchError
from vlsbench.generate.conditions import Question
from vlsbench.generate.reply import Answer, read_answer, unanswered
from vlsbench.generate.target import DEFAULT_MAX_NEW_TOKENS, Write, make_response
from vlsbench.records import Response, Settings, name_without_place

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = ["EndpointModel"]

_MAX_REFUSED: Final = 8
"""Refused requests before the first answer, all with one sentence, before the run stops."""

_REFUSED_STATUS: Final = (400, 413, 415, 422)
"""The server read the request and does not take it; the same request would be refused again."""

_DROPPABLE: Final = ("top_p", "temperature")
"""In the order in which they are left out: some endpoints take one of the two, not both."""


class EndpointModel:
    """A model that an endpoint serves. Implements `vlsbench.generate.target.Target`.

    Args:
        model: Name of the model as the endpoint knows it; pin a snapshot.
        source: Pictures by `instruction_id`.
        max_new_tokens: Budget of an answer, thoughts included.
        max_side: Longest side of an image in pixels; larger ones are scaled down. None sends them as they are.
        meter: Counts what is paid, and keeps it below a limit.
        base_url: Endpoint; else `OPENAI_BASE_URL`, else OpenAI's.
        api_key: Key; else the variable `key_variable`. Only OpenAI's own endpoint insists on one.
        key_variable: Environment variable that holds the key.
        concurrency: Questions under way at once.
        max_retries: As in `vlsbench.endpoint.Connection`; so are the times.
        http_client: The SDK's transport; it stays open. For tests.

    Raises:
        ModelError: If OpenAI's endpoint is meant and there is no key.
        UsageError: If an argument is none of what it can be.
    """

    revision: str | None = None

    def __init__(
        self,
        model: str,
        *,
        source: PictureSource,
        max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
        max_side: int | None = None,
        meter: Meter | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 16,
        max_retries: int = 6,
        timeout_seconds: float = 120.0,
        deadline_seconds: float = 600.0,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        if not is_model_name(model):
            raise UsageError(f"--model openai:NAME needs the name of a model; found {model[:200]!r}.")
        if concurrency < 1 or max_new_tokens < 1 or (max_side is not None and max_side < 1):
            raise UsageError("--concurrency, --max-side and --max-new-tokens are at least 1.")
        self.name = f"openai:{model}"
        self.model = name_without_place(model)
        """On the card; `served_model` is what the server is asked for."""
        self.served_model = model
        self.source = source
        self.max_new_tokens = max_new_tokens
        self.max_side = max_side
        self.meter = meter or Meter()
        self.asker = Asker(ModelError, "the model", "(vLLM and others need none)", "questions", "answers", key_variable)
        endpoint = resolve_endpoint(base_url, api_key, self.asker)
        self.connection = Connection(endpoint, concurrency, max_retries, timeout_seconds, deadline_seconds, http_client)
        self.settings = self.settings_of({"temperature": 0.0, "top_p": 1.0})

    def settings_of(self, body: Mapping[str, Any]) -> Settings:
        """Return the settings that a request was sent with."""
        more: dict[str, JsonValue] = {"engine": "openai", "order": "text, image"}
        if self.max_side is not None:
            more |= {"image_max_side": self.max_side, "scaling_format": SCALING_FORMAT}
        return Settings(
            max_new_tokens=self.max_new_tokens,
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            **more,
        )

    def question(self, question: Question, url: str | None) -> dict[str, Any]:
        """Make the body of one request, but for what is agreed on with the endpoint; `url` is None without picture."""
        content: Any = question.text
        if url is not None:
            image = {"type": "image_url", "image_url": {"url": url}}
            # One sample of the release has an empty text, which servers refuse as a part.
            content = [{"type": "text", "text": question.text}, image] if question.text else [image]
        messages = [{"role": "user", "content": content}]
        return {"model": self.served_model, "messages": messages, "temperature": 0.0, "top_p": 1.0}

    def answer(self, questions: Sequence[Question], write: Write, *, has_answered: bool = False) -> int:
        """Ask every question; see `vlsbench.generate.target.Target`.

        Runs an event loop of its own, in a notebook too. Ctrl-C ends it after writing what is finished.
        """
        if not questions:
            return 0
        # Neighbours share an image, which is then read and encoded once.
        ordered = sorted(questions, key=lambda q: (q.image, q.picture or "", q.instruction_id, q.condition))
        with Writer(write) as writer:
            run = _Run(self, writer, has_answered=has_answered)
            run_to_end(run.ask_all(ordered))
            run.finish()
        run.report()
        return run.n_unreachable


class _Run(EndpointRun[Question, Answer]):
    """One call of `EndpointModel.answer`."""

    unsupported_advice = "(this model does not take what is sent)"
    droppable = _DROPPABLE

    def __init__(self, target: EndpointModel, writer: Writer[Response], *, has_answered: bool) -> None:
        super().__init__(
            target.connection, target.asker, target.meter, name=target.name, max_tokens=target.max_new_tokens
        )
        self.target = target
        self.writer = writer
        self.n_answered = int(has_answered)
        self.refused: list[tuple[Question, Answer]] = []
        """Refused before the first answer: the samples' fault only if others are answered."""

    def id_of(self, item: Question) -> int:
        return item.instruction_id

    def picture_key(self, item: Question) -> tuple[int, str] | None:
        return None if item.picture is None else (item.image, item.picture)

    def encode(self, item: Question) -> Encoded:
        stored = self.target.source.picture(item.shown_id)
        picture = fit_picture(
            blank_picture(stored) if item.picture == "blank" else stored, max_side=self.target.max_side
        )
        url = f"data:{picture.mime};base64,{b64encode(picture.data).decode('ascii')}"
        return Encoded(url, None, 0 if self.meter.max_cost is None else image_tokens(*size_of(picture)))

    def question(self, item: Question, picture: Encoded | None) -> dict[str, Any]:
        return self.target.question(item, None if picture is None else picture.url)

    def read(self, item: Question, content: bytes, body: Mapping[str, Any]) -> Answer:
        return read_answer(content, self.target.settings_of(body))

    def refuse(self, error: openai.APIStatusError, reason: str, advice: str | None) -> Answer | None:
        if error.status_code not in _REFUSED_STATUS or (advice is not None and self.is_unanswered):
            return None
        return Answer(failure="response_error", finish_reason=reason, settings=self._settings_now(), is_free=True)

    def _settings_now(self) -> Settings:
        body = {"temperature": 0.0, "top_p": 1.0}
        return self.target.settings_of({name: value for name, value in body.items() if name not in self.dropped})

    def unreachable(self, reason: str, *, is_free: bool = False) -> Answer:
        return unanswered(reason, is_free=is_free)

    def filtered(self, reason: str) -> Answer:
        return Answer(failure="response_filtered", finish_reason=reason, settings=self._settings_now(), is_free=True)

    def unreached_reason(self, outcome: Answer) -> str | None:
        return outcome.unreached

    def usage(self, outcome: Answer) -> Mapping[str, object] | None:
        return outcome.usage

    def is_free(self, outcome: Answer) -> bool:
        return outcome.is_free

    @property
    def is_unanswered(self) -> bool:
        """Nothing but refused requests has come back yet."""
        return self.n_answered == 0

    def keep(self, item: Question, outcome: Answer) -> None:
        if outcome.unreached is not None:
            self.meter.n_unanswered += 1
            return
        if outcome.failure == "response_error" and self.is_unanswered:
            self.refused.append((item, outcome))
            if len(self.refused) >= _MAX_REFUSED:
                if self._is_one_refusal():
                    raise self._refused_error()
                self._release()
            return
        self.n_answered += 1
        self._release()
        self._write(item, outcome)

    def finish(self) -> None:
        """Write refusals that are still held back, unless they are one fault of all that was asked."""
        if not self._is_one_refusal():
            self._release()

    def _release(self) -> None:
        for item, outcome in self.refused:
            self._write(item, outcome)
        self.refused.clear()

    def _is_one_refusal(self) -> bool:
        return len({re.sub(r"\d+", "#", outcome.finish_reason or "") for _, outcome in self.refused}) == 1

    def _refused_error(self) -> VLSBenchError:
        reason = self.refused[0][1].finish_reason or ""
        return self.stop(
            reason, f"(so were all of the first {len(self.refused)} questions, and none was answered; none is kept)"
        )

    def _write(self, item: Question, outcome: Answer) -> None:
        conceal = self.connection.endpoint.conceal
        whole = 1 << 30

        def clean(text: str | None, limit: int = whole) -> str | None:
            return None if text is None else conceal(text, limit=limit)

        self.writer.put(
            make_response(
                item,
                outcome._replace(
                    response=clean(outcome.response),
                    finish_reason=clean(outcome.finish_reason, REASON_CHARACTERS),
                    model_snapshot=clean(outcome.model_snapshot and name_without_place(outcome.model_snapshot)),
                    reasoning=clean(outcome.reasoning),
                ),
            )
        )

    def report(self) -> None:
        if self.refused:
            raise self._refused_error()
        if self.n_finished and self.n_unreachable == self.n_finished:
            super().report()
        if self.broken:
            raise DataError(name_ids("pictures cannot be used; the other samples are answered", self.broken))
