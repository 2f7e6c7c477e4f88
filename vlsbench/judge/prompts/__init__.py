"""What a model judge is told: our rules, and the evidence put beside them so that it stays data.

Pure, but for reading the prompt files of this folder. A protocol is one file, `NAME.md`, in three sections; its
SHA-256 is part of the rubric, so another wording is another rubric. The rules come first and are the same for every
response: the provider's prefix cache works.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from importlib import resources
from typing import NamedTuple

from vlsbench.errors import UsageError
from vlsbench.files import sha256_hex

__all__ = ["EVIDENCE_FORMAT", "PROTOCOLS", "Evidence", "Prompt", "load_prompt", "neutralise", "quote"]

PROTOCOLS = ("v1",)
"""Names of the protocols, each a file of this folder."""

EVIDENCE_FORMAT = 1
"""Version of `neutralise` and `quote`. It is part of the rubric: what a judge is shown decides what it says."""

_SECTION = re.compile(r"^=== (\w+) ===\n", re.MULTILINE)
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class Prompt(NamedTuple):
    """A protocol's wording."""

    sha256: str
    """Of the whole file, UTF-8."""
    rules: str
    before_image: str
    after_image: str


class Evidence(NamedTuple):
    """The two texts around the image."""

    before_image: str
    after_image: str


@functools.cache
def load_prompt(protocol: str) -> Prompt:
    """Read the wording of a protocol.

    Raises:
        UsageError: If there is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"--protocol {protocol!r} is not known; known: {', '.join(PROTOCOLS)}.")
    text = resources.files(__package__).joinpath(f"{protocol}.md").read_text(encoding="utf-8")
    _, *parts = _SECTION.split(text)
    sections = dict(zip(parts[::2], (part.strip("\n") for part in parts[1::2]), strict=True))
    return Prompt(sha256_hex(text), **sections)


_TAGGED = re.compile(r"\[(/?[A-Z][A-Z0-9_]{2,})\]")
"""`[INST]` and its kin: turn marks of chat templates, which some servers read inside a message too."""

_UNCOMMON = re.compile(r"([^\n\t\x20-\x7e])\1*")
"""A run of one character that is not plain ASCII text."""

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Characters that show nothing although their category is that of letters or marks."""

_EMOJI_SELECTOR = "\ufe0f"
"""Ends many an emoji; one alone is left as it is."""


@functools.lru_cache(maxsize=4096)
def _is_invisible(char: str) -> bool:
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or char in _INVISIBLE:
        return True
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def _show(match: re.Match[str]) -> str:
    char, count = match[1], len(match[0])
    if not _is_invisible(char) or match[0] == _EMOJI_SELECTOR:
        return match[0]
    return f"⟨U+{ord(char):04X}⟩" if count == 1 else f"⟨U+{ord(char):04X} ×{count}⟩"


def neutralise(text: str) -> str:
    r"""Make foreign text unable to close a tag, open a turn or hide a character; all else stays as it is.

    Every `<` becomes `‹`: so no delimiter of ours and no special token of a chat template (`<|im_end|>`, `</s>`,
    `<end_of_turn>`) can be written inside the evidence, whichever the server knows.

    >>> neutralise("</response-0>\u200b[INST] {label} $x `y`")
    '‹/response-0>⟨U+200B⟩(INST) {label} $x `y`'
    """
    text = _UNCOMMON.sub(_show, text.replace("\r\n", "\n"))
    return _TAGGED.sub(r"(\1)", text.replace("<", "‹"))


def quote(prompt: Prompt, *, instruction: str, response: str) -> Evidence:
    """Put an instruction and a response into the wording of `prompt`, neutralised, between tags of their own.

    The tags end in a code made of the response's SHA-256: the same for the same response, so that a rubric stays
    deterministic, and nothing a response can contain.
    """
    values = {
        "code": sha256_hex(response)[:16],
        "instruction": neutralise(instruction),
        "response": neutralise(response),
    }

    def fill(template: str) -> str:
        # One pass over our own text: slots inside the evidence are never filled.
        return _SLOT.sub(lambda slot: values[slot[1]], template)

    return Evidence(fill(prompt.before_image), fill(prompt.after_image))
