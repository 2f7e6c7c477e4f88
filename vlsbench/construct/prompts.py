"""What models are asked, and the shape of what they may reply.

The wordings are our own, one file a step in `wordings/`: the section `rules` is the system message, `ask` follows it,
with `{{slots}}`. A folder of one's own replaces single files (`prompts = "…"` in the configuration); it must use the
slots of the packaged file and no others, so that no evidence is left out. The SHA-256 of a file is in every record that
it took part in. What stands in the place of a slot is text of a model or a stranger: it is neutralised as in a judge's
prompt, so that it closes no tag and opens no turn.

Pure, but for reading wordings.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlsbench.construct.records import ReplyOutcome, Step
from vlsbench.files import sha256_hex
from vlsbench.judge.prompts import neutralise
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, SUB_CATEGORIES
from vlsbench.text import one_line

__all__ = [
    "LOOKING",
    "REPLIES",
    "WRITING",
    "CategoriseReply",
    "FilterReply",
    "FinalReply",
    "ImagePromptReply",
    "LookReply",
    "QueriesReply",
    "Reply",
    "RewriteReply",
    "SiblingReply",
    "TextAloneReply",
    "TwinReply",
    "TwinVerifyReply",
    "VerifyReply",
    "Wording",
    "Wordings",
    "fill",
    "load_wordings",
    "read_reply",
    "reply_note",
    "schema_of",
    "taxonomy_text",
]

LOOKING: Final[frozenset[Step]] = frozenset({"look", "verify", "final", "categorise", "twin_verify"})
"""Steps that are shown an image."""

WRITING: Final[frozenset[Step]] = frozenset({"queries", "look", "sibling", "rewrite", "image_prompt", "twin"})
"""Steps that write something new; the others judge."""


# --- Replies ------------------------------------------------------------------------------------------------


_Text = Annotated[str, AfterValidator(one_line), Field(min_length=1, max_length=2000)]
_Query = Annotated[str, AfterValidator(one_line), Field(min_length=3, max_length=600)]


class Reply(BaseModel):
    """What a step may reply: closed, so that a reply to something else is not taken for one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class QueriesReply(Reply):
    """1a."""

    image_content: _Text
    queries: Annotated[list[_Query], Field(max_length=20)]


class LookReply(Reply):
    """1b."""

    image_content: _Text
    queries: Annotated[list[_Query], Field(max_length=20)]
    prohibited: bool


class SiblingReply(Reply):
    """Siblings: another pair of the same risk and shape."""

    image_content: _Text
    query: _Query


class RewriteReply(Reply):
    """Stage 2."""

    query: _Query
    explanation: str


class TextAloneReply(Reply):
    """Stage 2, without the image."""

    harmful: bool
    answerable: bool
    explanation: str


class FilterReply(Reply):
    """Stage 2, with what the image shows."""

    text_harmful: bool
    image_harmful: bool
    pair_harmful: bool
    explanation: str


class ImagePromptReply(Reply):
    """Stage 3."""

    prompt: _Text


class VerifyReply(Reply):
    """Stage 3, on the image."""

    matches: bool
    prohibited: bool
    refined_prompt: _Text | None


class FinalReply(Reply):
    """Stage 4."""

    matched: bool
    risky: bool
    prohibited: bool
    reason: _Text


class CategoriseReply(Reply):
    """Stage 4: one place in the taxonomy."""

    category: str
    sub_category: str
    explanation: str

    @model_validator(mode="after")
    def _is_a_place(self) -> CategoriseReply:
        if self.category not in CATEGORY_NAMES:
            raise ValueError("not a category of the taxonomy")
        if not any(sub.name == self.sub_category and sub.category == self.category for sub in SUB_CATEGORIES):
            raise ValueError("not a sub-category of that category")
        return self


class TwinReply(Reply):
    """Twins."""

    image_content: _Text


class TwinVerifyReply(Reply):
    """Twins, on the image."""

    matched: bool
    harmless: bool
    prohibited: bool
    refined_prompt: _Text | None


REPLIES: Final[Mapping[Step, type[Reply]]] = {
    "queries": QueriesReply,
    "look": LookReply,
    "sibling": SiblingReply,
    "rewrite": RewriteReply,
    "text_alone": TextAloneReply,
    "filter": FilterReply,
    "image_prompt": ImagePromptReply,
    "verify": VerifyReply,
    "final": FinalReply,
    "categorise": CategoriseReply,
    "twin": TwinReply,
    "twin_verify": TwinVerifyReply,
}
"""Shape of the reply, by step that chats."""

ReplyT = TypeVar("ReplyT", bound=Reply)

_FENCE: Final = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)
_NO: Final = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:no|')t|won't|must decline|will not)|sorry,? (?:but|i)|"
    r"as an ai|not (?:able|comfortable|going) to (?:help|assist)|against (?:my|our) (?:policy|policies|guidelines))",
    re.IGNORECASE,
)


def read_reply(text: str, kind: type[ReplyT]) -> ReplyT | ReplyOutcome:
    r"""Read a reply: the one JSON object that it is, bare or in a fence, or the name of why it is none.

    >>> read_reply('```json\n{"prompt": "a  cup"}\n```', ImagePromptReply)
    ImagePromptReply(prompt='a cup')
    >>> read_reply("I'm sorry, but I can't help with that.", ImagePromptReply)
    'refused'
    >>> read_reply('{"prompt": 3}', ImagePromptReply)
    'unparsable'
    """
    fenced = _FENCE.match(text)
    body = (fenced[1] if fenced else text).strip()
    if not body.startswith("{"):
        return "refused" if _NO.search(body[:400].replace("’", "'")) else "unparsable"
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        return "unparsable"


@functools.cache
def schema_of(kind: type[Reply]) -> dict[str, Any]:
    """Return the JSON schema that an endpoint is sent: every key required, none beside."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: plain(part)
                for key, part in value.items()
                if key not in ("title", "description", "minLength", "maxLength", "maxItems")
            }
        return [plain(part) for part in value] if isinstance(value, list) else value

    schema: dict[str, Any] = plain(kind.model_json_schema())
    return schema


def taxonomy_text() -> str:
    """Write the taxonomy out, as `categorise` is told it."""
    lines = []
    for category in CATEGORIES:
        lines.append(f"{category.name}: {category.description}")
        lines += [f"- {sub.name}: {sub.description}" for sub in category.sub_categories]
    return "\n".join(lines)


# --- Wordings -----------------------------------------------------------------------------------------------


class Wording(NamedTuple):
    """What is said at one step."""

    rules: str
    ask: str
    sha256: str
    """Of the file, UTF-8."""

    @property
    def slots(self) -> frozenset[str]:
        """Names of what is put in."""
        return frozenset(_SLOT.findall(self.ask))


Wordings = Mapping[Step, Wording]

_SLOT: Final = re.compile(r"\{\{(\w+)\}\}")
_SECTION: Final = re.compile(r"^=== (\w+) ===\n", re.MULTILINE)
_OWN_WORDS: Final = frozenset({"taxonomy", "count", "problem", "words"})
"""Slots that hold text of ours, which stays as it is."""


def fill(wording: Wording, values: Mapping[str, str]) -> str:
    """Put values into a wording, those of strangers neutralised; an empty one takes its line along."""

    def put(slot: re.Match[str]) -> str:
        value = values[slot[1]]
        return value if slot[1] in _OWN_WORDS else neutralise(value)

    asked = _SLOT.sub(put, wording.ask)
    return re.sub(r"\n{3,}", "\n\n", asked)


def _read(text: str) -> Wording:
    parts = _SECTION.split(text.replace("\r\n", "\n"))
    sections = dict(zip(parts[1::2], (part.strip("\n") for part in parts[2::2]), strict=True))
    return Wording(sections.get("rules", ""), sections.get("ask", ""), sha256_hex(text))


@functools.cache
def _packaged() -> Wordings:
    folder = resources.files(__package__).joinpath("wordings")
    return {step: _read(folder.joinpath(f"{step}.md").read_text(encoding="utf-8")) for step in REPLIES}


def load_wordings(folder: Path | None = None) -> tuple[Wordings, list[str]]:
    """Read the wordings of all steps.

    Args:
        folder: Files of one's own, which go before the packaged ones.

    Returns:
        The wordings, and one sentence per problem.
    """
    wordings = dict(_packaged())
    problems: list[str] = []
    for path in [] if folder is None else sorted(folder.glob("*.md")):
        step = next((step for step in REPLIES if step == path.stem), None)
        if step is None:
            problems.append(f"{path}: no step is called {path.stem!r}; there are {', '.join(REPLIES)}")
            continue
        try:
            own = _read(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})")
            continue
        if not own.ask:
            problems.append(f"{path}: has no section '=== ask ===', so nothing would be asked")
        elif own.slots != (wanted := wordings[step].slots):
            names = " ".join(f"{{{{{name}}}}}" for name in sorted(wanted))
            problems.append(f"{path}: uses other slots than the step has; it has {names}, each in '=== ask ==='")
        wordings[step] = own
    return wordings, problems


def reply_note(kind: type[Reply]) -> str:
    """Say how to reply, for an endpoint that takes no schema, and for a model that reads it twice."""
    return f"Reply with one JSON object and nothing else, of this schema: {json.dumps(schema_of(kind))}"
