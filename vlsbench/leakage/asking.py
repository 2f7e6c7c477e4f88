"""Ask a judge about pairs and texts: behind an endpoint or on this machine; every answer is on disk as it comes.

One line of the file of answers is one answer to one question about one text, or one text and image. Lines of several
judges and of several sets may stand in one file: a line is used where its rubric and the digests of text and image are
those of the question. So a killed run goes on where it stopped, and nothing is paid twice. A line with a finding is
never superseded; a rerun asks again only where nobody was reached.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, Protocol, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from vlsbench.cost import Meter, image_tokens, question_tokens
from vlsbench.dataset.pictures import Picture, fit_picture, mime_of, open_picture, size_of
from vlsbench.endpoint import (
    RAW_CHARACTERS,
    REASON_CHARACTERS,
    Asker,
    Connection,
    Encoded,
    EndpointRun,
    Writer,
    is_model_name,
    resolve_endpoint,
    run_to_end,
)
from vlsbench.errors import DataError, JudgeError, ModelError, UsageError
from vlsbench.files import append_lines, canonical_json, read_lines, sha256_hex
from vlsbench.generate.reply import read_reply
from vlsbench.leakage.questions import Absent, Failed, Finding, Form, Kind
from vlsbench.records import Digest, Record, Settings, explain
from vlsbench.text import one_line

if TYPE_CHECKING:
    from vlsbench.generate.transformers_engine import Chat, Engine, Generated

__all__ = [
    "Answer",
    "AnswerFile",
    "AnswerKey",
    "Ask",
    "EndpointJudge",
    "LocalJudge",
    "OpenJudge",
    "open_local_judge",
    "price_of",
    "rubric_of",
]

AnswerKey = tuple[str, str, str | None]
"""Question, SHA-256 of the text, SHA-256 of the image."""

_MAX_SIDE: Final = 1024
"""Longest side of an image that is sent, pixels."""


class Answer(Record):
    """One line of the file of answers: exactly one of `finding` and `failure`."""

    rubric: str
    """Of the judge: slug and digest of everything that decides its answers."""
    question: Kind
    text_sha256: Digest
    image_sha256: Digest | None = None
    """None where no image was shown."""
    finding: Finding | None = None
    failure: Failed | None = None
    raw: str
    """The reply, or why there is none."""
    judge_model: str | None = None
    usage: dict[str, JsonValue] | None = None
    left_out: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """Settings that the endpoint does not take."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.finding is None) == (self.failure is None):
            raise ValueError("an answer has a finding or a failure, exactly one")
        return self

    @property
    def key(self) -> AnswerKey:
        """What it answers."""
        return self.question, self.text_sha256, self.image_sha256

    @property
    def found(self) -> str:
        """The finding, or the reason why there is none."""
        return str(self.finding or self.failure)


class Ask(NamedTuple):
    """One question."""

    number: int
    """Position among the questions of a run."""
    kind: Kind
    text: str
    image: str | None
    """Name of the image that is shown; neighbours of one name share it."""
    image_sha256: str | None
    read_image: Callable[[], bytes]

    @property
    def key(self) -> AnswerKey:
        """What its answer is kept under."""
        return self.kind, sha256_hex(self.text), self.image_sha256


class OpenJudge(Protocol):
    """A judge that is ready to be asked."""

    name: str
    form: Form
    absent: Absent
    settings: Mapping[str, Any]
    """What decides its answers."""
    rubric: str
    """Slug and digest of the settings."""

    @property
    def meter(self) -> Meter | None:
        """What counts the money; None where nothing is paid."""

    def ask(self, asks: Sequence[Ask], write: Callable[[Sequence[Answer]], None]) -> None:
        """Ask, handing on what came as it comes.

        Raises:
            JudgeError: If no question can be asked, or not on: a wrong key, no money, an endpoint that is down.
        """


def rubric_of(name: str, settings: Mapping[str, Any]) -> str:
    """Name a judge by everything that decides its answers.

    >>> rubric_of("openai:org/Some-Model", {"a": 1})
    'openai-org-some-model-015abd7f5cc5'
    """
    slug = "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in name.lower()).strip("-")
    return f"{slug[:60]}-{sha256_hex(canonical_json(settings))[:12]}"


class AnswerFile:
    """The file of answers.

    Args:
        path: Read where it is there, made where it is not.
        again: Failures that settle nothing: what came to one of them is asked again.

    Raises:
        DataError: If a line of it is none, but for a last one that a killed run tore.
    """

    def __init__(self, path: Path, again: AbstractSet[str] = frozenset()) -> None:
        self.path = path
        self._open: AbstractSet[str] = {"judge_unreachable", *again}
        self._held: dict[tuple[str, AnswerKey], Answer] = {}
        problems: list[tuple[int, str]] = []
        number = 0
        for line in read_lines(path) if path.exists() else ():
            number = line.number
            try:
                self._hold(Answer.model_validate_json(line.data))
            except ValidationError as error:
                problems.append((line.number, "; ".join(explain(error))))
        if problems and problems[-1][0] == number and not path.read_bytes().endswith(b"\n"):
            problems.pop()
        if problems:
            shown = [f"{path}:{where}: {sentence}" for where, sentence in problems[:5]]
            raise DataError("\n".join([*shown, "This is no file of answers; name another with --answers."]))

    def _hold(self, answer: Answer) -> None:
        held = self._held.get((answer.rubric, answer.key))
        if held is None or held.finding is None:
            self._held[answer.rubric, answer.key] = answer

    def get(self, rubric: str, key: AnswerKey) -> Answer | None:
        """Return the answer that holds, or None; nobody reached is an answer too."""
        return self._held.get((rubric, key))

    def answers(self) -> list[Answer]:
        """Return every answer that holds, in the order in which its question was first answered."""
        return list(self._held.values())

    def is_settled(self, rubric: str, key: AnswerKey) -> bool:
        """Say whether a question needs no asking: it has an answer, or a failure that asking again would not mend."""
        held = self.get(rubric, key)
        return held is not None and held.failure not in self._open

    def append(self, answers: Sequence[Answer]) -> None:
        """Put answers on disk."""
        append_lines(self.path, [answer.model_dump_json(exclude_none=True) for answer in answers])
        for answer in answers:
            self._hold(answer)


def _settings_of(form: Form, absent: Absent, more: Mapping[str, Any]) -> dict[str, Any]:
    digests = {kind: form.digest(kind, absent) for kind in form.kinds}
    wordings = {kind: digest for kind, digest in digests.items() if digest is not None}
    return {
        "format": form.name,
        "questions": list(form.kinds),
        "wording_sha256": wordings,
        "absent_image": absent if "text" in wordings else None,
        "max_tokens": form.max_tokens,
        "image_max_side": _MAX_SIDE if form.sees != "text" else None,
        **more,
    }


def _message_parts(form: Form, ask: Ask, absent: Absent) -> tuple[str, list[str | None]]:
    """Return the rules, and the user's parts; None stands for the image."""
    said = form.said(ask.kind, ask.text, absent)
    parts: list[str | None] = [None] if ask.image is not None else []
    return said.rules, [*parts, *([said.text] if said.text else [])]


# --- Behind an endpoint -------------------------------------------------------------------------------------

_ASKER: Final = Asker(JudgeError, "the judge", "(--judge none and people:FILE need neither)", "questions", "answers")


class EndpointJudge:
    """A judge behind an OpenAI-compatible endpoint.

    Args:
        name: As the report names it: `openai:MODEL`.
        model: As the endpoint knows it.
        form: How it is asked and read.
        absent: Whether the text question says that there was an image.
        meter: Counts what is paid, and keeps it below a limit.
        base_url: Endpoint; else `OPENAI_BASE_URL`, else OpenAI's.
        api_key: Key; else `OPENAI_API_KEY`.
        concurrency: Questions under way at once.
        max_retries: Tries after the first.

    Raises:
        JudgeError: If OpenAI's endpoint is meant and there is no key.
        UsageError: If an argument is none of what it can be.
    """

    def __init__(
        self,
        name: str,
        model: str,
        form: Form,
        *,
        absent: Absent = "silent",
        meter: Meter | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        concurrency: int = 16,
        max_retries: int = 6,
        timeout_seconds: float = 120.0,
        deadline_seconds: float = 600.0,
    ) -> None:
        if not is_model_name(model):
            raise UsageError(f"--judge {name[:200]}: the name of a model belongs behind the colon.")
        if concurrency < 1:
            raise UsageError("--concurrency is at least 1.")
        self.name, self.model, self.form, self.absent = name, model, form, absent
        self.meter = meter or Meter()
        endpoint = resolve_endpoint(base_url, api_key, _ASKER)
        self.connection = Connection(endpoint, concurrency, max_retries, timeout_seconds, deadline_seconds)
        self.settings: Mapping[str, Any] = {"judge": name, **_settings_of(form, absent, {"temperature": 0})}
        self.rubric = rubric_of(name, self.settings)

    def question(self, ask: Ask, url: str | None) -> dict[str, Any]:
        """Make the body of one request, but for the budget; `url` is None where no picture is shown."""
        rules, parts = _message_parts(self.form, ask, self.absent)
        content: Any = "\n\n".join(part for part in parts if part is not None)
        if url is not None:
            shown = {"type": "image_url", "image_url": {"url": url}}
            content = [shown if part is None else {"type": "text", "text": part} for part in parts]
        messages: list[dict[str, Any]] = [{"role": "system", "content": rules}] if rules else []
        return {
            "model": self.model,
            "messages": [*messages, {"role": "user", "content": content}],
            "temperature": 0,
        }

    def ask(self, asks: Sequence[Ask], write: Callable[[Sequence[Answer]], None]) -> None:
        """Ask; see `OpenJudge`. Runs an event loop of its own."""
        if not asks:
            return
        with Writer(write) as writer:
            run = _Run(self, writer)
            run_to_end(run.ask_all(asks))
        run.report()


class _Reply(NamedTuple):
    """What came of one question."""

    finding: Finding | None = None
    failure: Failed | None = None
    raw: str = ""
    judge_model: str | None = None
    usage: dict[str, Any] | None = None
    is_free: bool = False


class _Run(EndpointRun[Ask, _Reply]):
    """One call of `EndpointJudge.ask`."""

    unsupported_advice = "(this model does not take what is sent)"
    droppable = ("temperature",)

    def __init__(self, judge: EndpointJudge, writer: Writer[Answer]) -> None:
        super().__init__(judge.connection, _ASKER, judge.meter, name=judge.name, max_tokens=judge.form.max_tokens)
        self.judge = judge
        self.writer = writer

    def id_of(self, item: Ask) -> int:
        return item.number

    def picture_key(self, item: Ask) -> Hashable | None:
        return item.image

    def encode(self, item: Ask) -> Encoded:
        picture = _shown_picture(item.read_image())
        url = f"data:{picture.mime};base64,{b64encode(picture.data).decode('ascii')}"
        return Encoded(url, None, 0 if self.meter.max_cost is None else image_tokens(*size_of(picture)))

    def question(self, item: Ask, picture: Encoded | None) -> dict[str, Any]:
        return self.judge.question(item, None if picture is None else picture.url)

    def read(self, item: Ask, content: bytes, body: Mapping[str, Any]) -> _Reply:
        return _read_endpoint_reply(content, self.judge.form, item.kind)

    def unreachable(self, reason: str, *, is_free: bool = False) -> _Reply:
        return _Reply(failure="judge_unreachable", raw=reason, is_free=is_free)

    def filtered(self, reason: str) -> _Reply:
        return _Reply(failure="judge_filtered", raw=reason, is_free=True)

    def unreached_reason(self, outcome: _Reply) -> str | None:
        return outcome.raw if outcome.failure == "judge_unreachable" else None

    def usage(self, outcome: _Reply) -> Mapping[str, object] | None:
        return outcome.usage

    def is_free(self, outcome: _Reply) -> bool:
        return outcome.is_free

    def keep(self, item: Ask, outcome: _Reply) -> None:
        conceal = self.connection.endpoint.conceal
        is_unreachable = outcome.failure == "judge_unreachable"
        question, text_sha256, image_sha256 = item.kind, sha256_hex(item.text), item.image_sha256
        self.writer.put(
            Answer(
                rubric=self.judge.rubric,
                question=question,
                text_sha256=text_sha256,
                image_sha256=image_sha256,
                finding=outcome.finding,
                failure=outcome.failure,
                raw=conceal(outcome.raw, limit=REASON_CHARACTERS if is_unreachable else RAW_CHARACTERS),
                judge_model=None if outcome.judge_model is None else conceal(outcome.judge_model, limit=250),
                usage=outcome.usage,
                left_out=tuple(sorted(self.dropped)),
            )
        )


def _read_endpoint_reply(content: bytes, form: Form, kind: Kind) -> _Reply:
    """Read the body of an answer with status 200."""
    try:
        completion = json.loads(content)
    except (ValueError, RecursionError):
        return _Reply(failure="judge_unreachable", raw=f"the reply is not JSON: {one_line(content)}")
    answer = read_reply(completion, Settings(), shown=one_line(content))
    about: dict[str, Any] = {"judge_model": answer.model_snapshot, "usage": answer.usage}
    if answer.unreached is not None:
        return _Reply(failure="judge_unreachable", raw=answer.unreached)
    finish = answer.finish_reason or ""
    if answer.failure is not None:
        reasons: Mapping[str, Failed] = {"response_filtered": "judge_filtered", "response_empty": "judge_unparsable"}
        failure = "judge_cut" if finish == "length" else reasons.get(answer.failure, "judge_unparsable")
        return _Reply(None, failure, f"finish_reason {finish!r} without text", **about)
    text = answer.response or ""
    if _is_refusal(completion):
        return _Reply(None, "judge_refused", text, **about)
    if finish.casefold().startswith("content_filter"):
        return _Reply(None, "judge_filtered", text, **about)
    reading = form.read_reply(kind, text, is_cut=finish == "length")
    return _Reply(reading.finding, reading.failure, text, **about)


def _is_refusal(completion: Any) -> bool:
    """Say whether the server marks its text as the model's refusal."""
    try:
        refusal = completion["choices"][0]["message"].get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        return False
    return isinstance(refusal, str) and bool(refusal.strip())


def _shown_picture(data: bytes) -> Picture:
    """Make an image fit to be shown.

    Raises:
        DataError: If it cannot be read.
    """
    mime = mime_of(data)
    if mime is None:
        raise DataError("not a PNG, JPEG, GIF, WebP or BMP image")
    return fit_picture(Picture(data, mime), max_side=_MAX_SIDE)


# --- On this machine ----------------------------------------------------------------------------------------


class LocalJudge:
    """A judge that this machine runs by itself.

    Args:
        name: As the report names it.
        engine: What runs the model.
        form: How it is asked and read.
        absent: Whether the text question says that there was an image.
        batch_size: Questions at once, at first.
    """

    meter: Meter | None = None

    def __init__(
        self, name: str, engine: Engine, form: Form, *, absent: Absent = "silent", batch_size: int = 8
    ) -> None:
        self.name, self.engine, self.form, self.absent, self.batch_size = name, engine, form, absent, batch_size
        more = {"weights_sha256": engine.weights_sha256, "engine": dict(engine.settings)}
        self.settings: Mapping[str, Any] = {"judge": name, **_settings_of(form, absent, more)}
        self.rubric = rubric_of(name, self.settings)

    def ask(self, asks: Sequence[Ask], write: Callable[[Sequence[Answer]], None]) -> None:
        """Ask in batches, the longest first; see `OpenJudge`."""
        from vlsbench.generate.transformers_engine import answer_batches

        def chat_of(ask: Ask) -> Chat | None:
            try:
                return self._chat(ask)
            except DataError:
                return None  # counted by who asks: an image that cannot be read gets no answer

        def keep(asked: Sequence[Ask], replies: Sequence[Generated | None]) -> None:
            write([self._answer(ask, reply) for ask, reply in zip(asked, replies, strict=True)])

        ordered = sorted(asks, key=lambda ask: (-len(ask.text), ask.number))
        try:
            for shows_image in (True, False):  # some processors take no batch of questions with an image and without
                part = [ask for ask in ordered if (ask.image is not None) == shows_image]
                answer_batches(self.engine, part, chat_of, keep, batch_size=self.batch_size)
        except ModelError as error:
            raise JudgeError(f"{self.name}: {error}") from None

    def _chat(self, ask: Ask) -> Chat:
        from vlsbench.generate.transformers_engine import Chat

        rules, parts = _message_parts(self.form, ask, self.absent)
        image = None if ask.image is None else open_picture(_shown_picture(ask.read_image()))
        shown = [image if part is None else part for part in parts]
        return Chat(rules, tuple(part for part in shown if part is not None))

    def _answer(self, ask: Ask, reply: Generated | None) -> Answer:
        kind, text_sha256, image_sha256 = ask.key
        about: dict[str, Any] = {
            "rubric": self.rubric,
            "question": kind,
            "text_sha256": text_sha256,
            "image_sha256": image_sha256,
            "judge_model": self.engine.snapshot,
        }
        if reply is None:
            return Answer(**about, failure="judge_unreachable", raw="out of memory with this question alone")
        if reply.problem is not None:
            return Answer(**about, failure="judge_cut", raw=reply.problem)
        reading = self.form.read_reply(ask.kind, reply.text, is_cut=reply.is_cut)
        raw = reply.text or "an empty reply"
        usage: dict[str, JsonValue] = {"prompt_tokens": reply.n_in, "completion_tokens": reply.n_out}
        return Answer(**about, finding=reading.finding, failure=reading.failure, raw=raw[:RAW_CHARACTERS], usage=usage)


def open_local_judge(
    name: str, model: str, form: Form, *, absent: Absent = "silent", batch_size: int = 8, shows_image: bool = True
) -> LocalJudge:
    """Load a model and make a judge of it.

    Args:
        model: A folder, or an id on the Hub.
        shows_image: Images will be shown.

    Raises:
        JudgeError: If the extra `local` is not installed, or the model is not there or cannot serve.
    """
    from vlsbench.generate.transformers_engine import TransformersEngine

    try:
        engine = TransformersEngine(
            model,
            max_new_tokens=form.max_tokens,
            template_settings=dict(form.template_settings or {}),
            shows_image=shows_image and form.sees != "text",
            without_vision="the pair question shows one; name a guard with vision",
            keeps_special_tokens=form.keeps_special_tokens,
        )
    except ModelError as error:
        raise JudgeError(str(error)) from None
    return LocalJudge(name, engine, form, absent=absent, batch_size=batch_size)


def price_of(judge: OpenJudge, asks: Sequence[Ask]) -> tuple[int, int]:
    """Estimate the tokens of questions: what goes in, and what comes out if every reply takes its whole budget.

    Images count as OpenAI's tiles of a square of `_MAX_SIDE`, at most.
    """
    tokens = 0
    for ask in asks:
        rules, parts = _message_parts(judge.form, ask, judge.absent)
        words = "\n\n".join(part for part in parts if part is not None)
        body = {"messages": [{"role": "system", "content": rules}, {"role": "user", "content": words}]}
        tokens += question_tokens(body) + (image_tokens(_MAX_SIDE, _MAX_SIDE) if ask.image is not None else 0)
    return tokens, len(asks) * judge.form.max_tokens
