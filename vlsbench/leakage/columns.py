"""Which column is what: guessed by name, then by content; said; and set by option.

Pure: no files, no network. A guess is never silent: `Columns.guessed` names the roles that nobody set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vlsbench.errors import DataError, UsageError, numbered
from vlsbench.leakage.source import KEY_COLUMN, PictureCell, Row

__all__ = ["ROLES", "ColumnChoice", "Columns", "guess_columns", "plain_name", "texts_of"]

ROLES: Final = ("text", "image", "label", "category", "source", "origin", "id")
"""What is looked for. `origin`: generated or collected, where a column of its own says so."""

OFF: Final = "none"
"""What an option says where a guess is wrong and there is no such column."""

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "text": (
        "instruction", "question", "prompt", "query", "text", "user_prompt", "user_query", "user_text", "text_prompt",
        "prompt_text", "question_text", "query_text", "instruction_text", "text_query", "textual_query", "input_text",
        "user_input", "input", "request", "user_request", "user", "human", "utterance", "sentence", "message",
        "instructions", "questions", "prompts", "queries", "texts", "messages", "conversations", "conversation",
        "instr_resp", "turns", "dialog", "dialogue", "goal", "behavior", "behaviour", "attack", "jailbreak_query",
        "adversarial_prompt", "original_question", "changed_question", "rephrased_question", "raw_query", "content",
        "problem", "task", "command",
    ),
    "image": (
        "image_path", "image", "images", "img_path", "img", "imgs", "image_file", "image_file_name", "image_filename",
        "file_name", "filename", "image_name", "img_name", "img_file", "image_paths", "image_url", "img_url",
        "image_link", "web_path", "picture", "picture_path", "photo", "photo_path", "pic", "image_id", "img_id",
        "image_hash", "image_sha256", "media", "media_path", "jpg", "png", "url", "visual", "visual_input",
    ),
    "label": (
        "pair_harmful", "pair_unsafe", "pair_label", "pair_safety", "combined_grade", "consensus_combined_grade",
        "prompt_harm_label", "prompt_label", "prompt_harmful", "prompt_safety", "prompt_is_harmful", "prompt_harm",
        "is_harmful", "harmful", "is_unsafe", "unsafe", "is_safe", "safe", "harmless", "is_harmless", "benign",
        "is_benign", "malicious", "is_malicious", "risk", "risky", "is_risky", "safety_label", "safety", "harm",
        "harm_label", "harmfulness", "safe_or_unsafe", "toxic", "is_toxic", "toxicity", "hateful", "is_hateful",
        "label", "labels", "gold_label", "true_label", "gt_label", "ground_truth_label", "target", "class", "y",
    ),
    "category": (
        "category", "harm_category", "harmful_category", "risk_category", "safety_category", "category_name",
        "categories", "semantic_category", "main_category", "cat", "hazard_category", "hazard", "harm_type",
        "risk_type", "policy", "topic", "scenario", "domain", "subject", "theme", "taxonomy", "class1", "class_1",
        "combined_category", "consensus_combined_category", "harm_categories", "violation", "violation_type",
        "risk_area", "harm_area", "types_of_harm", "type_of_harm", "dimension", "category_1", "1_category",
        "l1_category", "category_l1", "level_1_category", "level1", "level_1", "risk_level_1", "primary_category",
        "parent_category", "type",
        "sub_category", "subcategory", "harmful_subcategory", "class2", "subset", "violated_categories",
        "risk", "harm", "class",
    ),
    "source": (
        "source", "image_source", "data_source", "dataset_source", "source_dataset", "dataset_name", "dataset",
        "provenance", "image_origin", "img_source", "from", "collected_from", "benchmark", "corpus", "src",
    ),
    "origin": (
        "generated", "is_generated", "synthetic", "is_synthetic", "syn", "ai_generated", "is_ai_generated",
        "generated_or_collected", "image_type", "origin", "real_or_synthetic",
    ),
    "id": (
        "instruction_id", "id", "question_id", "sample_id", "item_id", "uid", "uuid", "pid", "qid", "behavior_id",
        "behaviour_id", "case_id", "pair_id", "prompt_id", "example_id", "data_id", "row_id", "record_id", "index",
        "idx", "task_id", "key",
    ),
}  # fmt: skip
"""Names by role, the likeliest first; see `plain_name`."""

_NOT_A_PROMPT: Final = re.compile(
    r"(^|_)(response|responses|answer|answers|output|outputs|completion|chosen|rejected|reply|reason|reasoning|"
    r"rationale|explanation|description|descriptions|caption|captions|warning|reference|url|link|path|file|license|"
    r"prediction|pred|generation|resp|generated_text|ocr|intent|safety_reason|note|notes|comment|comments)(_|$)"
)
"""Columns of words that nobody sends to a model as the question."""

_ANSWERS: Final = re.compile(
    r"(^|_)(response|answer|completion|output|prediction|pred|generation|generated_text|reply|resp)s?(_|$)"
)
_IMAGE_ENDING: Final = re.compile(r"\.(png|jpe?g|webp|gif|bmp|tiff?|avif)(\?.*)?$", re.IGNORECASE)
_UNPARTED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Signs of scripts that are written without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_MAX_NAME_WORDS: Final = 4
_MAX_WORDS_OF_HARM: Final = 4
"""A column of more words than that ("risk": privacy, fraud, …) says of what kind the harm is, not whether there is any;
grades written as numbers may be more."""
_MAX_CLASSES: Final = 50
"""More values than that are not the classes of a label."""


@dataclass(frozen=True)
class ColumnChoice:
    """What was set by option; None is guessed, `none` switches a role off."""

    text: str | None = None
    image: str | None = None
    label: str | None = None
    category: str | None = None
    source: str | None = None

    def of(self, role: str) -> str | None:
        """Return what was set for a role."""
        value: str | None = getattr(self, role, None)
        return value


@dataclass(frozen=True)
class Columns:
    """Which column is what; a role that nothing plays is None."""

    by_role: Mapping[str, str | None]
    given: frozenset[str]
    """Roles that were set by option."""
    by_content: frozenset[str] = frozenset()
    """Roles whose column has no telling name and was found by what is in it."""
    notes: tuple[str, ...] = ()

    def of(self, role: str) -> str | None:
        """Return the column of a role."""
        return self.by_role.get(role)


def plain_name(column: str) -> str:
    """Write a column's name without case and signs.

    >>> plain_name("ImageFileName"), plain_name("Rephrased Question(SD)"), plain_name("instr-resp")
    ('image_file_name', 'rephrased_question_sd', 'instr_resp')
    """
    return re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", column).lower()).strip("_")


def texts_of(cell: Any) -> list[str]:
    r"""Return the texts that a cell asks, as a model would be sent them: of a conversation the first user's turn.

    >>> texts_of(["a?", "b?"]), texts_of([{"from": "human", "value": "<image>\na?"}, {"from": "gpt", "value": "b"}])
    (['a?', 'b?'], ['a?'])
    >>> texts_of([{"instruction": "a?", "response": "b"}]), texts_of(None)
    (['a?'], [])
    """
    if cell is None:
        return []
    if isinstance(cell, str):
        return [_without_marks(cell)]
    if isinstance(cell, Mapping):
        found = _text_of_object(cell)
        return [] if found is None else texts_of(found)
    if isinstance(cell, list | tuple):
        if cell and all(isinstance(turn, Mapping) and _speaker(turn) for turn in cell):
            asked = [turn for turn in cell if _speaker(turn) in ("user", "human")]
            return [" ".join(_parts(_text_of_object(asked[0]))).strip()] if asked else []
        return [text for part in cell for text in texts_of(part)]
    if isinstance(cell, float) and math.isnan(cell):
        return []
    return [str(cell)]


def _parts(content: Any) -> list[str]:
    """Return the text parts of a message."""
    if isinstance(content, str):
        return [_without_marks(content)]
    if isinstance(content, list | tuple):
        texts = [
            part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | Mapping)
        ]
        return [_without_marks(text) for text in texts if isinstance(text, str)]
    return []


def _without_marks(text: str) -> str:
    """Drop what stands for the image in a conversation's text."""
    return (
        re.sub(r"\s*(<image>|<image_placeholder>|<\|image_\d+\|>|\[IMG\])\s*", " ", text).strip()
        if "<" in text or "[" in text
        else text
    )


def _speaker(turn: Mapping[str, Any]) -> str | None:
    for key in ("role", "from"):
        if isinstance(turn.get(key), str):
            return str(turn[key]).lower()
    return None


def _text_of_object(cell: Mapping[str, Any]) -> Any:
    by_name = {plain_name(str(key)): value for key, value in cell.items()}
    for name in ("content", "value", *_NAMES["text"]):
        if by_name.get(name) is not None:
            return by_name[name]
    return None


def guess_columns(
    columns: Sequence[str], head: Sequence[Row], choice: ColumnChoice, *, known: Mapping[str, str] | None = None
) -> Columns:
    """Say which column plays which role.

    Args:
        columns: All names.
        head: The first rows.
        choice: What was set.
        known: Role → column of a known format; goes before every guess.

    Raises:
        UsageError: If a column that was set is not there.
        DataError: If there is no text column.
    """
    given: dict[str, str | None] = {}
    for role in ROLES:
        name = choice.of(role)
        if name is None:
            continue
        column = name if name in columns else _only([c for c in columns if plain_name(c) == plain_name(name)])
        if column is None and name.lower() != OFF:
            raise UsageError(
                f"--{role} {name}: there is no such column; there are {numbered(list(columns), limit=40)}."
            )
        given[role] = column
    found: dict[str, str | None] = dict.fromkeys(ROLES) | dict(known or {}) | given
    taken = {column for column in found.values() if column}
    by_content = set()
    notes = []
    for role in ("id", "text", "image", "label", "category", "source", "origin"):
        if found[role] or role in given or (known is not None and role != "text"):
            continue
        free = [column for column in columns if column not in taken]
        column = _by_name(role, free, head)
        if column is None and role in ("text", "image"):
            column = _by_content(role, free, head)
            if column is not None:
                by_content.add(role)
        if role == "label" and column is not None and _is_about_answers(column, columns):
            notes.append(
                f"the column {column!r} stands beside answers and may speak of them; it is not taken as a label of the "
                f"pair (--label {column} takes it)."
            )
            continue
        if column is not None:
            found[role] = column
            taken.add(column)
    if "text" in by_content and len(columns) == 1 and len(columns[0].split()) > _MAX_NAME_WORDS:
        raise DataError(
            f"no text column: the only column is called {columns[0][:80]!r}, which reads as a row. The rule is names "
            "in the first row; put a line `text` before it."
        )
    if found["text"] is None:
        raise DataError(
            f"no text column: none of {numbered([repr(c) for c in columns], limit=40)} holds texts under a name that "
            "is known. Name it with --text."
        )
    return Columns(found, frozenset(given), frozenset(by_content), tuple(notes))


def _only(columns: Sequence[str]) -> str | None:
    return columns[0] if len(columns) == 1 else None


def _by_name(role: str, columns: Sequence[str], head: Sequence[Row]) -> str | None:
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain_name(column), column)
    for name in _NAMES[role]:
        if name in by_name and _fits(role, [row.get(by_name[name]) for row in head]):
            return by_name[name]
    return KEY_COLUMN if role == "id" and KEY_COLUMN in columns else None


def _fits(role: str, cells: Sequence[Any]) -> bool:
    filled = [cell for cell in cells if cell is not None and cell != ""]
    if not filled:
        return False
    match role:
        case "text":
            return _mean_words(filled) >= 2
        case "image":
            return sum(map(_is_picture, filled)) >= 0.9 * len(filled)
        case "label" | "origin" | "source":
            values = {_scalar(cell) for cell in filled}
            return (
                None not in values
                and not (role == "label" and len(values) > _MAX_WORDS_OF_HARM and not any(map(_is_number, values)))
                and len(values) <= _MAX_CLASSES
                and (len(values) * 3 <= len(filled) or len(values) <= 3)
            )
        case "category":
            values = {_scalar(_first(cell)) for cell in filled}
            return (
                None not in values
                and len(values) <= max(_MAX_CLASSES, len(filled) // 5)
                and (len(values) * 2 <= len(filled) or len(values) <= 3)
            )
        case _:
            return all(isinstance(cell, str | int) for cell in filled)


def _mean_words(cells: Sequence[Any]) -> float:
    texts = [text for cell in cells for text in texts_of(cell) if not isinstance(cell, bool | int | float)]
    return sum(map(_n_words, texts)) / len(cells) if texts else 0.0


def _n_words(text: str) -> int:
    """Count words; scripts that part none have about one in two signs."""
    return max(len(text.split()), len(_UNPARTED.findall(text)) // 2)


def _is_picture(cell: Any) -> bool:
    cell = _first(cell)
    if isinstance(cell, PictureCell | int):
        return not isinstance(cell, bool)
    if isinstance(cell, Mapping):
        return bool({"path", "bytes", "src", "url"} & cell.keys())
    return isinstance(cell, str) and bool(_IMAGE_ENDING.search(cell) or (" " not in cell and len(cell) < 300))


def _first(cell: Any) -> Any:
    return cell[0] if isinstance(cell, list | tuple) and cell else cell


def _scalar(cell: Any) -> str | None:
    return str(cell) if isinstance(cell, str | bool | int | float) and len(str(cell)) <= 120 else None


def _is_number(value: str | None) -> bool:
    return value is not None and value.lstrip("+-").replace(".", "", 1).isdigit()


def _by_content(role: str, columns: Sequence[str], head: Sequence[Row]) -> str | None:
    best: tuple[float, str] | None = None
    for column in columns:
        filled = [row[column] for row in head if row.get(column) not in (None, "")]
        if not filled:
            continue
        if role == "image":
            if sum(
                isinstance(c, PictureCell) or (isinstance(c, str) and bool(_IMAGE_ENDING.search(c))) for c in filled
            ) >= 0.9 * len(filled):
                return column
            continue
        if _NOT_A_PROMPT.search(plain_name(column)) or not all(isinstance(cell, str | list | tuple) for cell in filled):
            continue
        words = _mean_words(filled)
        distinct = len({str(cell) for cell in filled}) / len(filled)
        # Questions differ from row to row; labels and names of files do not, or hold no spaces.
        if words >= 3 and distinct >= 0.3 and (best is None or words * distinct > best[0]):
            best = (words * distinct, column)
    return None if best is None else best[1]


def _is_about_answers(label: str, columns: Sequence[str]) -> bool:
    """Say whether a label may be about a model's answer: a bare name, beside a column of answers."""
    is_bare = plain_name(label) in (
        "label",
        "labels",
        "safety_label",
        "is_safe",
        "safe",
        "unsafe",
        "is_unsafe",
        "target",
        "class",
        "y",
        "gold_label",
    )
    return is_bare and any(
        _ANSWERS.search(plain_name(column)) and plain_name(column) != "reference_answer" for column in columns
    )
