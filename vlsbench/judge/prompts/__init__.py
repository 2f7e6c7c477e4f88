"""What a model judge is told: our rules, and the evidence put beside them so that it stays data.

Pure, but for reading prompt files. The wording of a protocol (`vlsbench.judge.protocols`) is one file here, in
sections; `parts.md` holds what is put in where the judge sees texts instead of the image. The SHA-256 of what is sent
is part of the rubric, so another wording is another rubric. `v1` says its rules first, the same for every response:
the provider's prefix cache works. `paper` keeps the paper's order: image first, then one text.

A file of one's own (`--prompt FILE`) replaces the wording and nothing else: reply, budget and name stay those of the
protocol. It holds, as UTF-8,

    {{instruction}} {{response}}             both must be there
    {{code}}                                 hex digits to end one's own tags in, different for every response
    {{image_description}} {{safety_reason}}  optional, where the evidence has them

either as plain text, which follows the image in the user's message, or in sections that begin with lines like
`=== rules ===` (the system message), `=== before_image ===` and `=== after_image ===`. What stands in the place of
the placeholders is neutralised, as everywhere.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final, Literal, NamedTuple

from vlsbench.errors import UsageError
from vlsbench.files import sha256_hex
from vlsbench.judge.protocols import PROTOCOLS, find_protocol
from vlsbench.records import Rubric

__all__ = [
    "EVIDENCE_FORMAT",
    "EVIDENCE_KINDS",
    "Evidence",
    "EvidenceKind",
    "Prompt",
    "check_evidence",
    "find_prompt",
    "load_prompt",
    "neutralise",
    "quote",
]

EvidenceKind = Literal["image", "description", "image+description", "reason"]
"""What a judge sees of the image."""

EvidenceName = Literal["image", "description", "safety_reason", "instruction", "response"]

EVIDENCE_KINDS: Final[Mapping[EvidenceKind, tuple[EvidenceName, ...]]] = {
    "image": ("image", "instruction", "response"),
    "description": ("description", "instruction", "response"),
    "image+description": ("image", "description", "instruction", "response"),
    "reason": ("description", "safety_reason", "instruction", "response"),
}
"""What a judge sees, by `--evidence`, as its rubric names it: `description` is the release's `image_description`."""

EVIDENCE_FORMAT: Final = 1
"""Version of `neutralise` and `quote`. It is part of the rubric: what a judge is shown decides what it says."""

_SECTION = re.compile(r"^=== (\w+) ===\n", re.MULTILINE)
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_SECTIONS = ("rules", "before_image", "after_image")
_SLOTS = ("instruction", "response", "code", "image_description", "safety_reason")
_SLOT_OF = {"description": "image_description", "safety_reason": "safety_reason"}
_PART_OF: Mapping[EvidenceKind, str] = {
    "description": "description",
    "image+description": "image_description",
    "reason": "reason",
}


class Prompt(NamedTuple):
    """A protocol's wording for one kind of evidence."""

    sha256: str
    """Of the file, UTF-8; where parts are put in, of the file and the parts, joined by NUL."""
    rules: str
    """The system message; empty: there is none."""
    before_image: str
    after_image: str
    beside_image: str = ""
    """Texts that stand in the place of the image, or behind it."""
    has_image: bool = True


class Evidence(NamedTuple):
    """The texts around the image; an empty one is left out."""

    before_image: str
    after_image: str
    beside_image: str = ""


def load_prompt(
    protocol: str, *, evidence: EvidenceKind = "image", says_reply: bool = False, path: Path | None = None
) -> Prompt:
    """Read the wording of a protocol.

    Args:
        evidence: What the judge sees of the image.
        says_reply: Add how to reply, for an endpoint that takes no schema.
        path: A wording of one's own in place of the protocol's; see the module.

    Raises:
        UsageError: If there is no such protocol, or the file cannot serve.
    """
    entry = find_protocol(protocol)
    if entry.prompt is None:
        raise UsageError(f"--protocol {protocol} has a question of its own, and no wording.")
    check_evidence(evidence)
    packaged = _packaged(entry.prompt)
    text = packaged if path is None else _read_file(path)
    sections = dict.fromkeys(_SECTIONS, "")
    if path is not None and entry.keeps_rules:
        sections["rules"] = _sections(packaged)["rules"]
    sections |= _read_sections(path or entry.prompt, text)
    _check_slots(path or entry.prompt, sections, evidence)
    beside_image, added = "", []
    parts = _sections(_packaged("parts.md"))
    used = {slot for template in sections.values() for slot in _SLOT.findall(template)}
    if evidence in _PART_OF and not used & set(_SLOT_OF.values()):
        beside_image = parts[_PART_OF[evidence]]
        added.append(beside_image)
    if says_reply:
        sections["after_image"] = f"{sections['after_image']}\n\n{entry.reply_note}"
        added.append(entry.reply_note)
    return Prompt(
        sha256_hex("\0".join([text, *added])),
        sections["rules"],
        sections["before_image"],
        sections["after_image"],
        beside_image,
        "image" in EVIDENCE_KINDS[evidence],
    )


def find_prompt(rubric: Rubric) -> Prompt | None:
    """Return the packaged wording that a rubric was judged with; None where it is another, or the judge has none."""
    entry = PROTOCOLS.get(rubric.protocol)
    if rubric.prompt_sha256 is None or entry is None or entry.prompt is None:
        return None
    for evidence in EVIDENCE_KINDS:
        for says_reply in (False, True):
            prompt = load_prompt(rubric.protocol, evidence=evidence, says_reply=says_reply)
            if prompt.sha256 == rubric.prompt_sha256:
                return prompt
    return None


def check_evidence(evidence: str) -> EvidenceKind:
    """Return the kind of evidence of this name.

    Raises:
        UsageError: If there is none.
    """
    for kind in EVIDENCE_KINDS:
        if kind == evidence:
            return kind
    raise UsageError(f"--evidence {evidence!r} is not known; known: {', '.join(EVIDENCE_KINDS)}.")


@functools.cache
def _packaged(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _read_file(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"--prompt {path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"--prompt {path}: is not UTF-8 text (byte {error.start}).") from None


def _sections(text: str) -> dict[str, str]:
    """Split a file into its sections; one without any is what follows the image."""
    first, *parts = _SECTION.split(text.replace("\r\n", "\n"))
    if not parts:
        return {"after_image": first.strip("\n")}
    return dict(zip(parts[::2], (part.strip("\n") for part in parts[1::2]), strict=True))


def _read_sections(path: Path | str, text: str) -> dict[str, str]:
    sections = _sections(text)
    unknown = sorted(set(sections) - set(_SECTIONS))
    if unknown:
        raise UsageError(f"--prompt {path}: unknown section {unknown[0]!r}; there are {', '.join(_SECTIONS)}.")
    return sections


def _check_slots(path: Path | str, sections: Mapping[str, str], evidence: EvidenceKind) -> None:
    used = {slot for template in sections.values() for slot in _SLOT.findall(template)}
    unknown = sorted(used - set(_SLOTS))
    if unknown:
        known = ", ".join(f"{{{{{slot}}}}}" for slot in _SLOTS)
        raise UsageError(f"--prompt {path}: unknown placeholder {{{{{unknown[0]}}}}}; there are {known}.")
    if _SLOT.search(sections["rules"]):
        raise UsageError(f"--prompt {path}: the section 'rules' is the same for every response and has no placeholder.")
    here = {_SLOT_OF[name] for name in EVIDENCE_KINDS[evidence] if name in _SLOT_OF}
    hidden = sorted(used & set(_SLOT_OF.values()) - here)
    if hidden:
        raise UsageError(f"--prompt {path}: {{{{{hidden[0]}}}}} is not what --evidence {evidence} shows to the judge.")
    # A file that places one text of the evidence places all of it; one that places none gets our part beside the image.
    wanted = {"instruction", "response"} | (here if used & here else set())
    missing = sorted(wanted - used)
    if missing:
        names = " and ".join(f"{{{{{slot}}}}}" for slot in missing)
        raise UsageError(f"--prompt {path}: lacks the placeholder {names}, so the judge would not see it.")


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


def quote(
    prompt: Prompt,
    *,
    instruction: str,
    response: str,
    image_description: str | None = None,
    safety_reason: str | None = None,
) -> Evidence:
    """Put the evidence into the wording of `prompt`, neutralised, between tags of their own.

    The tags end in a code made of the response's SHA-256: the same for the same response, so that a rubric stays
    deterministic, and nothing a response can contain.
    """
    values = {
        "code": sha256_hex(response)[:16],
        "instruction": neutralise(instruction),
        "response": neutralise(response),
        "image_description": neutralise(image_description or ""),
        "safety_reason": neutralise(safety_reason or ""),
    }

    def fill(template: str) -> str:
        # One pass over our own text: slots inside the evidence are never filled.
        return _SLOT.sub(lambda slot: values[slot[1]], template)

    return Evidence(fill(prompt.before_image), fill(prompt.after_image), fill(prompt.beside_image))
