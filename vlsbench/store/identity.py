"""By what a submission is known again: what was answered, whatever its bytes are.

An id is of the bytes (`vlsbench.store.local.submission_id_of`) and never moves. A blank line more, other line ends,
keys or lines in another order, an escape for a letter, a failure that was tried once more or a setting that nobody
asked for make another id and no other answer. So what was withdrawn or rejected is looked for by the digest below.

Rule of the room: pure but for `read_identity`; answers are those that the gate reads, with thoughts already apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from vlsbench.files import canonical_json, sha256_hex
from vlsbench.records import Key, Response, SubmissionCard
from vlsbench.store.local import read_card
from vlsbench.submission.check import read_responses

__all__ = ["Identity", "identity_of", "read_identity", "vouched_by"]

_TELLING: Final = 20
"""Distinct answers from which they tell a model by themselves. Fewer are what several models may say alike: the same
refusal to everything, or to the three samples that were tried."""


class Identity(NamedTuple):
    """What a submission is known by."""

    answers: str
    """SHA-256 of what was answered to which sample of which dataset under which condition."""
    is_telling: bool
    """The answers alone tell whose they are; else the model's name has to be the same too."""
    model: str
    """The model's name as it is compared: case, spaces and punctuation do not count."""
    card: str
    """SHA-256 of the card."""

    def is_same_answers(self, other: Identity) -> bool:
        """Say whether both are the same answers of the same model, whatever their cards say beside."""
        return self.answers == other.answers and (self.is_telling or self.model == other.model)

    def is_same(self, other: Identity) -> bool:
        """Say whether both are the same submission: the same answers and the same card."""
        return self.answers == other.answers and self.card == other.card


def identity_of(card: SubmissionCard, responses: Mapping[Key, Response]) -> Identity:
    """Return what a submission is known by.

    Args:
        card: Its card.
        responses: The line that holds for every key. One without an answer is as none: it may be tried again.
    """
    said = {key: _as_read(line.response) for key, line in responses.items() if line.response is not None}
    answered: list[object] = [[*key, text] for key, text in sorted(said.items()) if text]
    if card.dataset is not None and card.dataset.set_name is not None:
        answered.append(card.dataset.set_name)  # another constructed set may use the same ids
    return Identity(
        answers=sha256_hex(canonical_json(answered)),
        is_telling=len({text for text in said.values() if text}) >= _TELLING,
        model="".join(sign for sign in unicodedata.normalize("NFKC", card.model).casefold() if sign.isalnum()),
        card=sha256_hex(canonical_json(card.model_dump(mode="json", exclude_defaults=True))),
    )


_REPOSITORY: Final = re.compile(r"https://huggingface\.co/(?P<owner>[\w.-]+)/[\w.-]+(?:[/?#].*)?", re.ASCII)
"""A model on the Hub; what is not a model's has a word before its owner."""
_NOT_MODELS: Final = frozenset({"datasets", "spaces", "collections", "papers", "docs", "blog", "api", "organizations"})


def vouched_by(card: SubmissionCard, member_of: str | None) -> Literal["member", "repository"] | None:
    """Say what vouches for the organization that a card names; None where it is only claimed.

    A member's sign-in vouches for who submitted. The model's repository vouches for whose model it is, not for who
    submitted it: anybody can write down its address.

    Args:
        card: The card.
        member_of: As the event `received` has it.
    """
    named = card.organization
    if named is None:
        return None
    if member_of is not None and member_of.casefold() == named.casefold():
        return "member"
    match = _REPOSITORY.fullmatch(card.url or "")
    if match is None or match["owner"].casefold() in _NOT_MODELS:
        return None
    return "repository" if match["owner"].casefold() == named.casefold() else None


def _as_read(text: str) -> str:
    """Return a text as its reader sees it: composed letters, and any space as one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def read_identity(directory: Path) -> Identity | None:
    """Read what a stored submission is known by, as far as it can be read; None where it has no readable card."""
    card = read_card(directory)
    return None if card is None else identity_of(card, read_responses(directory))
