"""The seam between a run and a model: questions in, answers out, in any order and any batch.

Rule of the room: nothing here knows how a model is reached (`endpoint_model`, `local_model`) or where answers go
(`run`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from vlsbench.files import MAX_LINE_BYTES
from vlsbench.generate.conditions import Question
from vlsbench.generate.reply import Answer
from vlsbench.records import Response, Settings

__all__ = ["DEFAULT_MAX_NEW_TOKENS", "Target", "Write", "make_response"]

DEFAULT_MAX_NEW_TOKENS: Final = 128
"""The paper's budget of an answer (github.com/AI45Lab/VLSBench at 68f54de, models/), with greedy decoding."""

_FINISH_CHARACTERS: Final = 100
_SNAPSHOT_CHARACTERS: Final = 300
_REASONING_CHARACTERS: Final = 200_000
"""A line of `responses.jsonl` has at most 1 MiB; this is 50,000 tokens of thought."""

_SHORT_REASONING_CHARACTERS: Final = 10_000
"""Kept where the line would be too long: of signs that take six bytes in JSON, or beside a long answer."""

Write = Callable[[Sequence[Response]], None]
"""Takes finished responses; they are on disk when it returns. Call it from one thread at a time."""


class Target(Protocol):
    """A model under test."""

    name: str
    """BACKEND:MODEL, as messages name it."""
    model: str
    """As the card of the submission names it."""
    revision: str | None
    """Commit or digest of the weights; None where only the server knows."""
    settings: Settings
    """As they are asked for; an endpoint that does not take one of them has answers without it."""

    def answer(self, questions: Sequence[Question], write: Write, *, has_answered: bool = False) -> int:
        """Answer every question and pass the responses to `write` as they come.

        Args:
            has_answered: An earlier run has answers of this model, so that what is refused is the samples' fault.

        Returns:
            How many questions got no reply; they leave no line, and a rerun asks them again.

        Raises:
            DataError: If pictures cannot be used; all others are answered and written.
            ModelError: If the model cannot go on at all; what it had answered is written.
        """


def make_response(question: Question, answer: Answer) -> Response:
    """Make the line of an answer that came; one that fits into no line is a `response_error`, never cut.

    A line that is too long could not be read again, and with it the whole file.
    """
    extra: dict[str, str | int] = {} if question.prompt_sha256 is None else {"prompt_sha256": question.prompt_sha256}
    if question.other_id is not None:
        extra["picture_of"] = question.other_id
    line = Response(
        instruction_id=question.instruction_id,
        condition=question.condition,
        response=answer.response,
        failure=answer.failure,
        finish_reason=_cut(answer.finish_reason, _FINISH_CHARACTERS),
        settings=answer.settings.model_copy(update=extra),
        usage=answer.usage,
        model_snapshot=_cut(answer.model_snapshot, _SNAPSHOT_CHARACTERS),
        reasoning=_cut(answer.reasoning, _REASONING_CHARACTERS),
    )
    if _fits(line):
        return line
    line = line.model_copy(update={"reasoning": _cut(answer.reasoning, _SHORT_REASONING_CHARACTERS)})
    if _fits(line):
        return line
    reason = f"an answer of {len(answer.response or ''):,} characters is longer than a line may be"
    return line.model_copy(update={"response": None, "failure": "response_error", "finish_reason": reason})


def _fits(line: Response) -> bool:
    return len(line.model_dump_json(exclude_none=True).encode()) <= MAX_LINE_BYTES


def _cut(text: str | None, limit: int) -> str | None:
    return text if text is None or len(text) <= limit else f"{text[: limit - 1]}…"
