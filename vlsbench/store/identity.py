"""By what a submission is known again: what was answered, whatever its bytes are.

An id is of the bytes (`vlsbench.store.local.submission_id_of`) and never moves. A blank line more, other line ends,
keys or lines in another order, an escape for a letter, a failure that was tried once more or a setting that nobody
asked for make another id and no other answer. So what was withdrawn or rejected is looked for by the digest below.

Rule of the room: pure but for `read_identity`; answers are those that the gate reads, with thoughts already apart.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from vlsbench.files import MAX_LINE_BYTES, canonical_json, open_regular, sha256_hex
from vlsbench.records import Key, Response, SubmissionCard
from vlsbench.submission.check import CARD_FILE, read_responses

__all__ = ["Identity", "identity_of", "read_identity"]

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


def _as_read(text: str) -> str:
    """Return a text as its reader sees it: composed letters, and any space as one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def read_identity(directory: Path) -> Identity | None:
    """Read what a stored submission is known by, as far as it can be read; None where it has no readable card."""
    try:
        with open_regular(directory / CARD_FILE) as file:
            card = SubmissionCard.model_validate_json(file.read(MAX_LINE_BYTES).removeprefix(b"\xef\xbb\xbf"))
    except (OSError, ValidationError):
        return None
    return identity_of(card, read_responses(directory))
