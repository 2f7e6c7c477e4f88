"""What construction keeps: every call, and what came of every item at every stage.

Rule of the room: every record is frozen and closed. A record has come through (`loss` is null) or names its loss from
the closed list, never both; a text that failed a filter is in no record, only in the private journal of calls. No
files, no network, no clock.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vlsbench.records import Count, Digest, Record

__all__ = [
    "LOSSES",
    "STAGES",
    "CallNote",
    "CallRecord",
    "FilteredRecord",
    "ImageRecord",
    "ImageRound",
    "Loss",
    "Origin",
    "Outcome",
    "ReplyOutcome",
    "RewrittenRecord",
    "SeedRecord",
    "StageName",
    "Step",
    "TwinRecord",
]

StageName = Literal["1a", "1b", "siblings", "2", "3", "4", "twins", "review", "publish"]
STAGES: tuple[StageName, ...] = StageName.__args__  # type: ignore[attr-defined]

Step = Literal[
    "queries",
    "look",
    "sibling",
    "rewrite",
    "text_alone",
    "filter",
    "image_prompt",
    "image",
    "verify",
    "final",
    "categorise",
    "twin",
    "twin_image",
    "twin_verify",
]
"""What is asked of a model; `image` and `twin_image` of who makes images, all others of one that chats."""

Origin = Literal["generated", "collected"]

ReplyOutcome = Literal["answered", "refused", "filtered", "cut", "empty", "unparsable", "no_image", "never_built"]
"""What came back. `answered` is a reply that could be used; all others are paid for and kept too."""

Loss = Literal[
    "reply_refused",
    "reply_filtered",
    "reply_cut",
    "reply_empty",
    "reply_unparsable",
    "text_harmful",
    "answerable",
    "meaning_lost",
    "text_repeats",
    "image_missing",
    "image_mismatch",
    "image_repeats",
    "not_matched",
    "not_risky",
    "never_built",
    "audit_failed",
]
"""Why an item was lost: the closed list.

`answerable`: the text can be answered without the image. `meaning_lost`: text and image are harmless together.
`*_repeats`: another item has nearly the same. `image_missing`: nobody made one."""
LOSSES: tuple[Loss, ...] = Loss.__args__  # type: ignore[attr-defined]


class CallNote(Record):
    """One call, as the records of items keep it."""

    step: Step
    round: Annotated[int, Field(ge=1)]
    """Of the loop it belongs to."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """The same question once more, with another seed, after a reply that could not be used."""
    model: str
    """As requested."""
    served: str | None = None
    """The model string that the server returned."""
    prompt_sha256: Digest | None = None
    """Of the wording; null where none is sent (images)."""
    seed: Count
    call: Digest
    """Key of the call in `private/calls.jsonl`: SHA-256 of all that was asked."""
    outcome: ReplyOutcome
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    cost: Annotated[float, Field(ge=0)] | None = None
    """In the money of the configured prices; null where there is none."""


class CallRecord(CallNote):
    """One line of `private/calls.jsonl`: what was paid for, with the reply as it came."""

    item: str
    reply: str | None = None
    """Text as it came, concealed and cut; of an image its SHA-256."""


class Outcome(Record):
    """What every record of a stage has."""

    item: str
    """`e0001-q2`: the second query of element 1; `p…`: of a collected image."""
    cycle: Annotated[int, Field(ge=0, le=2)] = 0
    """How often the audit sent the item back to stage 2."""
    loss: Loss | None = None
    detail: str | None = None
    """More of the loss: a rule's name, the item it repeats, a round."""
    calls: tuple[CallNote, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether it came through."""
        return self.loss is None

    @property
    def key(self) -> tuple[str, int]:
        """What it is about; the last line of a key wins."""
        return self.item, self.cycle


class SeedRecord(Outcome):
    """One line of `private/queries.jsonl`: an element or an image, and the harmful queries before rewriting."""

    origin: Origin
    source: str
    """`generation`, or the name of the collection."""
    element: str | None = None
    """The risky object or scenario; null for a collected image."""
    category: str | None = None
    sub_category: str | None = None
    image: str | None = None
    """File of a collected image, relative to its folder."""
    licence: str | None = None
    sibling_of: Count | None = None
    """`instruction_id` of the pair that this one is a fresh sibling of."""
    image_content: str | None = None
    """What the image is to show, or shows."""
    queries: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.loss is None) != bool(self.queries and self.image_content):
            raise ValueError("a seed has queries and an image content, or a loss")
        return self


class RewrittenRecord(Outcome):
    """One line of `rewritten.jsonl`."""

    seed: str
    """Item of stage 1."""
    origin: Origin
    source: str
    category: str | None = None
    sub_category: str | None = None
    image_content: str | None = None
    original_sha256: Digest
    """Of the query before rewriting, which is in no public file."""
    query: str | None = None
    """The text of the pair; null where it was lost."""
    n_rounds: Count = 0
    words_avoided: tuple[str, ...] = ()
    """What the audit said gives a text of this batch away."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.loss is None) != (self.query is not None):
            raise ValueError("a rewritten record has a query, or a loss")
        return self


class ImageRound(Record):
    """One try to make an image: its fate is kept, also where it failed."""

    round: Annotated[int, Field(ge=1)]
    prompt_sha256: Digest
    image_sha256: Digest | None
    matches: bool | None
    """What the verifier said; null where there was nothing to look at, or no usable reply."""


class ImageRecord(Outcome):
    """One line of `images.jsonl`."""

    image: str | None = None
    """File, relative to the run's folder."""
    image_sha256: Digest | None = None
    looks: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Difference hash, 256 bits: what images are compared by."""
    maker: str | None = None
    rounds: tuple[ImageRound, ...] = ()

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.loss is None) != (self.image is not None):
            raise ValueError("an image record has an image, or a loss")
        return self


class FilteredRecord(Outcome):
    """One line of `filtered.jsonl`: a pair that is matched and risky, with its place in the taxonomy."""

    category: str | None = None
    sub_category: str | None = None
    safety_reason: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.loss is None) != (None not in (self.category, self.sub_category, self.safety_reason)):
            raise ValueError("a filtered record has a category, a sub-category and a reason, or a loss")
        return self


class TwinRecord(Outcome):
    """One line of `twins.jsonl`: the harmless twin of a pair. Its loss leaves the pair as it is, without a twin."""

    image: str | None = None
    image_sha256: Digest | None = None
    image_content: str | None = None
    rounds: tuple[ImageRound, ...] = ()

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.loss is None) != (None not in (self.image, self.image_content)):
            raise ValueError("a twin has an image and its content, or a loss")
        return self
