"""Chains ask endpoints that chat: any OpenAI-compatible one, by the package's own endpoint run.

A reply is put into the journal as it came; whether it can be used, its chain says. What gave no reply at all (an
endpoint that is down, a deadline) leaves no line, and a rerun asks again. A request that is refused for what it holds
is kept as `refused`: asked again it would be refused again.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from vlsbench.construct.chains import ChatCall
from vlsbench.construct.config import Model
from vlsbench.construct.journal import Arrived
from vlsbench.construct.prompts import LOOKING, REPLIES, reply_note, schema_of
from vlsbench.construct.records import CallRecord, ReplyOutcome
from vlsbench.construct.safeguards import Safeguards
from vlsbench.cost import Meter, Prices, image_tokens
from vlsbench.dataset.pictures import Picture, fit_picture, mime_of, read_image, size_of
from vlsbench.endpoint import (
    RAW_CHARACTERS,
    Asker,
    Connection,
    Encoded,
    EndpointRun,
    resolve_endpoint,
)
from vlsbench.errors import DataError, ModelError
from vlsbench.files import sha256_hex
from vlsbench.generate.reply import Answer, read_answer, unanswered
from vlsbench.records import Settings

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = ["ChatModel", "Purse", "PursedMeter", "outcome_of", "split_by_model"]

Put = Callable[[Arrived], None]
_REFUSED_STATUS: Final = (400, 413, 415, 422)
_SEES_NOTHING: Final = ("image", "vision", "multimodal", "multi-modal", "picture")
"""Words of the sentences with which servers refuse a picture that their model cannot see."""


class Purse:
    """What all models of a run have spent together, against one limit."""

    def __init__(self, max_cost: float | None = None) -> None:
        self.max_cost = max_cost
        self.spent = 0.0
        self.reserved = 0.0


class PursedMeter(Meter):
    """The meter of one model with prices of its own, that pays from a purse it shares."""

    def __init__(self, prices: Prices | None, purse: Purse) -> None:
        self._purse = purse
        super().__init__(prices, purse.max_cost)

    @property
    def spent(self) -> float:
        """Spent by all."""
        return self._purse.spent

    @spent.setter
    def spent(self, value: float) -> None:
        self._purse.spent = max(value, self._purse.spent)

    @property
    def reserved(self) -> float:
        """Held for questions under way, of all."""
        return self._purse.reserved

    @reserved.setter
    def reserved(self, value: float) -> None:
        # Sums of floats that come and go end near 0, not at it.
        self._purse.reserved = max(value, 0.0)


class ChatModel:
    """One model of the configuration.

    Args:
        name: In the configuration.
        config: As it stands there.
        purse: What all models pay from.
        safeguards: A reply that they refuse is not kept, only the rule's name and the digest.
        http_client: The SDK's transport; it stays open. For tests.

    Raises:
        ModelError: If OpenAI's endpoint is meant and there is no key.
        UsageError: If the URL is none.
    """

    def __init__(
        self,
        name: str,
        config: Model,
        purse: Purse,
        safeguards: Safeguards,
        *,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.safeguards = safeguards
        self.meter = PursedMeter(config.prices, purse)
        self.asker = Asker(
            ModelError, f"[models.{name}]", "(vLLM and others need none)", "questions", "replies", config.key_variable
        )
        self.connection = Connection(
            resolve_endpoint(config.base_url, None, self.asker),
            config.concurrency,
            config.max_retries,
            config.timeout_seconds,
            http_client=http_client,
        )

    def start(self, put: Put) -> ChatRun:
        """Make a run over calls; it is awaited by who asks several models at once."""
        return ChatRun(self, put)


class ChatRun(EndpointRun[ChatCall, Answer]):
    """One wave of questions to one model."""

    unsupported_advice = "(this model does not take what is sent)"
    droppable = ("response_format", "seed", "temperature")

    def __init__(self, model: ChatModel, put: Put) -> None:
        super().__init__(
            model.connection,
            model.asker,
            model.meter,
            name=f"[models.{model.name}] {model.config.model}",
            max_tokens=model.config.max_tokens,
        )
        self.model = model
        self.put = put

    def id_of(self, item: ChatCall) -> int:
        return item.seed

    def picture_key(self, item: ChatCall) -> Hashable | None:
        return None if item.picture is None else str(item.picture)

    def encode(self, item: ChatCall) -> Encoded:
        if item.picture is None:
            raise DataError(f"{item.item}: {item.step} has no image to look at.")
        data = read_image(item.picture)
        picture = fit_picture(Picture(data, mime_of(data) or ""), max_side=self.model.config.max_side)
        url = f"data:{picture.mime};base64,{b64encode(picture.data).decode('ascii')}"
        return Encoded(url, None, 0 if self.meter.max_cost is None else image_tokens(*size_of(picture)))

    def question(self, item: ChatCall, picture: Encoded | None) -> dict[str, Any]:
        kind = REPLIES[item.step]
        text = f"{item.ask}\n\n{reply_note(kind)}"
        content: Any = text
        if picture is not None:
            content = [{"type": "image_url", "image_url": {"url": picture.url}}, {"type": "text", "text": text}]
        schema = {"name": item.step, "strict": True, "schema": schema_of(kind)}
        return {
            "model": item.requested,
            "messages": [{"role": "system", "content": item.rules}, {"role": "user", "content": content}],
            "temperature": item.temperature,
            "seed": item.seed,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def read(self, item: ChatCall, content: bytes, body: Mapping[str, Any]) -> Answer:
        return read_answer(content, Settings())

    def refuse(self, error: openai.APIStatusError, reason: str, advice: str | None) -> Answer | None:
        if error.status_code not in _REFUSED_STATUS or (advice is not None and self.is_unanswered):
            return None
        if self.is_unanswered and any(word in reason.lower() for word in _SEES_NOTHING):
            steps = ", ".join(sorted(LOOKING))
            raise self.stop(
                reason, f"(does this model see images? {steps} need one that does: name it in [models.STEP])"
            ) from None
        return Answer(failure="response_error", finish_reason=reason, is_free=True)

    def unreachable(self, reason: str, *, is_free: bool = False) -> Answer:
        return unanswered(reason, is_free=is_free)

    def filtered(self, reason: str) -> Answer:
        return Answer(failure="response_filtered", finish_reason=reason, is_free=True)

    def unreached_reason(self, outcome: Answer) -> str | None:
        return outcome.unreached

    def usage(self, outcome: Answer) -> Mapping[str, object] | None:
        return outcome.usage

    def is_free(self, outcome: Answer) -> bool:
        return outcome.is_free

    def keep(self, item: ChatCall, outcome: Answer) -> None:
        if outcome.unreached is not None:
            self.meter.n_unanswered += 1
            return
        conceal = self.connection.endpoint.conceal
        usage = outcome.usage or {}
        tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        tokens_in, tokens_out = (count if isinstance(count, int) else None for count in tokens)
        text = outcome.response if outcome.response is not None else outcome.finish_reason
        what = outcome_of(outcome)
        if (rule := self.model.safeguards.refuse(text)) is not None:
            what, text = "never_built", f"{rule} (SHA-256 {sha256_hex(text or '')})"
        self.put(
            Arrived(
                CallRecord(
                    item=item.item,
                    step=item.step,
                    round=item.round,
                    attempt=item.attempt,
                    model=item.requested,
                    served=None if outcome.model_snapshot is None else conceal(outcome.model_snapshot, limit=200),
                    prompt_sha256=item.prompt_sha256,
                    seed=item.seed,
                    call=item.key,
                    outcome=what,
                    tokens_in=tokens_in,
                    tokens_out=tokens_out,
                    cost=self._cost(outcome, tokens_in, tokens_out),
                    reply=None if text is None else conceal(text, limit=2 * RAW_CHARACTERS),
                )
            )
        )

    def _cost(self, outcome: Answer, tokens_in: int | None, tokens_out: int | None) -> float | None:
        prices = self.meter.prices
        if prices is None:
            return None
        if outcome.is_free:
            return 0.0
        return None if tokens_in is None or tokens_out is None else prices.cost(tokens_in, tokens_out)


def outcome_of(answer: Answer) -> ReplyOutcome:
    """Name what a server's answer is, before anybody reads what it says."""
    if answer.failure == "response_filtered":
        return "filtered"
    if answer.failure == "response_error":
        return "refused"
    if answer.finish_reason == "length":
        return "cut"
    return "empty" if answer.response is None else "answered"


def split_by_model(calls: Sequence[ChatCall]) -> dict[str, list[ChatCall]]:
    """Put calls under the model that each asks; neighbours share an image."""
    found: dict[str, list[ChatCall]] = {}
    for call in calls:
        found.setdefault(call.model, []).append(call)
    return found
