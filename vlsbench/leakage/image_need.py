"""Whether a text points at an image: an open rule of words, and its share with an interval.

A text points at an image where it speaks of something that it does not name: "this tool", "like the one shown", "them"
with nothing before that they could be, "the image". A text that does not is a complete question, and a fair answer may
leave the image aside. The rule reads English; texts whose letters are mostly not Latin are left out of its share and
named in the notes. Checked by hand: `IMAGE_RULE_CHECK`.

Pure: no files, no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from vlsbench.leakage.estimates import share_measure
from vlsbench.leakage.records import Measure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = ["IMAGE_RULE_CHECK", "RuleCheck", "is_readable", "pointer_of", "points_at_image", "share_by"]

_PICTURE: Final = (
    r"(?:image|picture|photo|photograph|pic|screenshot|snapshot|drawing|painting|illustration|figure|diagram|chart|graph|"
    r"map|meme|poster|cartoon|comic|frame|video|clip|footage|scene|sketch|artwork|logo)"
)
_DETERMINER: Final = (
    r"(?:the|this|that|these|those|your|our|attached|given|provided|following|above|accompanying|uploaded)"
)
_PEOPLE: Final = (
    r"(?:man|men|woman|women|person|people|persons|individuals?|boy|girl|boys|girls|child|children|kids?|guy|guys|lady|"
    r"characters?|crowd|suspect|victim|subject)"
)
_ANYONE: Final = r"\b(?:someone|somebody|anyone|anybody)\b"
_NAMED: Final = r"\b(?:an?|the|my|your|our) (?:[\w-]+ )?[\w-]+"

_ALWAYS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "an image",
        (
            rf"\b{_DETERMINER}(?:\s+[\w-]+){{0,2}}?\s+{_PICTURE}s?\b",
            r"\bin (?:an?|each|every) (?:image|picture|photo|screenshot)\b",
            r"\bimages? (?:above|below|attached|provided)\b",
        ),
    ),
    (
        "shown",
        (
            r"\b(?:shown|depicted|pictured|portrayed|illustrated)\b",
            r"\b(?:displayed|seen|visible|presented|featured) (?:here|in the|above)\b",
        ),
    ),
    (
        "this",
        (
            r"\b(?:this|these|those)\b"
            r"(?! (?:morning|afternoon|evening|night|week|month|year|weekend|days?|who)\b)",
        ),
    ),
    (
        "that",  # as a pointer, not as in "so that": before a stop or at an end, or as the subject of a short question
        (
            r"\b(?:like|of|with|about|for|to|do|at|on|in|use|using|from|than|is|what's|was) that"
            r"(?=\s*(?:[.?!,;]|$|one\b|thing\b|way\b))",
            r"\bthat(?=[?!.]*\s*$)",
            r"^\W*that\b(?= (?:is|was|looks|one|thing|person)\b)",
        ),
    ),
    (
        "here",  # and "there" as a place, not as in "are there ways"
        (
            r"\bhere\b(?!(?:'s| is| are| to stay)\b)",
            r"\b(?:over|in|up|down|out|from|right|going|go|be|get|is|goes|went|back) there\b"
            r"(?! (?:any|a|an|some|something|anything|ways?|other|really|no|specific|legal|certain)\b)"
            r"(?!(?:'s| is| are)\b)",
            r"\bthere(?=[?!.]*\s*$)",
        ),
    ),
    ("such", (r"\bsuch\b(?! as\b)(?! (?:that|thing)\b)",)),
    (
        "a place in it",
        (
            r"\bon the (?:sign|screen|label|poster|banner)\b",
            r"\b(?:in|on|at|to|from) the "
            r"(?:background|foreground|left|right|top|bottom|center|centre|middle|corner|far left|far right)\b",
        ),
    ),
    (
        "what is seen",
        (
            r"\b(?:what|who|where)(?:'s| is| are| do you| can you) "
            r"(?:see|seen|happening|going on|wrong with (?:it|this|him|her))\b",
        ),
    ),
    (
        "the person",
        (
            rf"\bthe (?:[\w-]+ )?{_PEOPLE}\b"
            r"(?! (?:who|that|whose|of|i|you|we|around|responsible|in charge|in need)\b)",
        ),
    ),
)
"""Name of what points, and its patterns."""

_PRONOUNS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "it",
        r"\b(?:it|its|itself)\b",
        r"\b(?:an?|the|my|your|his|her|their|our|some|any|each|every|another|one|no|of|in|to|for|on|with|from) \w+"
        r"|\b\w+(?:ing|tion|ness|ment|ity|ism|ship)\b",
    ),
    (
        "them",
        r"\b(?:them|they|their|theirs|themselves)\b",
        r"\b(?!this\b|does\b|is\b|was\b|has\b|us\b|as\b|always\b|\w+'s\b)\w+(?:[^s\W]s|ies)\b"
        r"|\b(?:everyone|everybody|others|public|police|family|couple|group|team|army|government)\b"
        rf"|{_ANYONE}|\b{_PEOPLE}\b",
    ),
    ("him", r"\b(?:he|him|his|himself)\b", rf"{_NAMED}|{_ANYONE}|\b(?:president|mr)\b"),
    ("her", r"\b(?:she|her|hers|herself)\b", rf"{_NAMED}|{_ANYONE}|\b(?:mrs|ms)\b"),
)
"""Pronoun, its pattern, and what may stand before it that it could mean."""

_EXPLETIVE: Final = re.compile(
    r"\b(?:is|was|would|makes?|make|find|be|does|if) it\b"
    r"(?= (?:\w+ )?(?:possible|legal|illegal|okay|ok|safe|true|easy|hard|wrong|right|best|better|worth|acceptable|"
    r"normal|important|necessary|take|cost|mean|ethical|appropriate|that)\b)"
    r"|\bit (?:takes?|is (?:\w+ )?(?:to|that))\b"
)
"""An "it" that means nothing, as in "is it legal to"."""
_POINTERS: Final = tuple((name, re.compile("|".join(patterns))) for name, patterns in _ALWAYS)
_REFERENCES: Final = tuple((name, re.compile(one), re.compile(other)) for name, one, other in _PRONOUNS)


class RuleCheck(NamedTuple):
    """The rule against a person, on items drawn by seed."""

    n: int
    n_agreed: int
    kappa: float
    n_missed: int
    """Texts that point for the person and not for the rule."""
    n_wrong: int
    """Texts that point for the rule and not for the person."""


IMAGE_RULE_CHECK: Final = RuleCheck(n=100, n_agreed=98, kappa=0.952, n_missed=2, n_wrong=0)
"""On 100 instructions of the release, drawn with seed 12 and labelled by hand before the rule was written; the rule
was written on 100 others (`tests/leakage/image_need_labels.csv` holds ids and labels). By the author of the rule."""


def points_at_image(text: str) -> bool:
    """Say whether a text speaks of something that it does not name.

    >>> [points_at_image(t) for t in ("How do I hide this?", "What could he do next?", "How do I bake bread?")]
    [True, True, False]
    """
    return pointer_of(text) is not None


def pointer_of(text: str) -> str | None:
    """Name what points at an image, or return None.

    >>> pointer_of("How can I use the device in the photo?"), pointer_of("Is it legal to own a boat?")
    ('an image', None)
    >>> pointer_of("I lost a boat. Where is it?"), pointer_of("Where is it?")
    (None, 'it')
    """
    low = " ".join(text.lower().replace("’", "'").split())
    for name, pattern in _POINTERS:
        if pattern.search(low):
            return name
    plain = _EXPLETIVE.sub(" ", low)
    for name, pronoun, antecedent in _REFERENCES:
        found = pronoun.search(plain)
        if found and not antecedent.search(plain[: found.start()]):
            return name
    return None


def is_readable(text: str) -> bool:
    """Say whether the rule can read a text: most of its letters are Latin.

    >>> is_readable("Où est-il ?"), is_readable("他在哪里？")
    (True, False)
    """
    letters = [sign for sign in text if sign.isalpha()]
    return 2 * sum(sign < "\u0250" for sign in letters) >= len(letters)


def share_by(is_pointing: Sequence[bool], names: Iterable[str | None], groups: Ints) -> dict[str, Measure]:
    """Return the share of pointing texts under each name."""
    import numpy as np

    pointing = np.array(is_pointing, dtype=bool)
    labels = np.array([name or "" for name in names])
    found = {}
    for name in sorted(set(labels.tolist()) - {""}):
        part = labels == name
        found[name] = share_measure(pointing[part], groups[part])
    return found
