"""What people found of texts, images and pairs: `--judge people:FILE`.

A file of any kind that SOURCE can be (CSV, JSONL, …), one row per item and grader:

    id            the item as the set calls it; or, where the file has no ids that fit, `text` word for word
    text_grade    safe, unsafe or borderline: the text alone
    pair_grade    the same of text and image together
    image_grade   the same of the image alone; optional

Columns of VLSU (`uuid`, `prompt`, `consensus_text_grade`, `consensus_combined_grade`, `image_grade`) are recognised. An
empty grade is `not_graded`; graders of one item who do not agree by majority are `people_disagree`; borderline is
`controversial`: bins of their own, never a label.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from vlsbench.errors import DataError, amount, numbered
from vlsbench.files import sha256_hex
from vlsbench.leakage.columns import plain_name
from vlsbench.leakage.items import AuditSet
from vlsbench.leakage.source import Row, open_source

__all__ = ["NOT_GRADED", "Grades", "GradesFile", "read_grades"]

NOT_GRADED: Final = "not_graded"
DISAGREE: Final = "people_disagree"

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text_grade", "consensus_text_grade", "text_label"),
    "pair": ("pair_grade", "consensus_combined_grade", "combined_grade", "pair_label"),
    "image": ("image_grade", "consensus_image_grade", "image_label"),
    "id": ("id", "uuid", "instruction_id", "item_id", "question_id", "uid"),
    "wording": ("text", "prompt", "instruction", "question", "query"),
}
"""What is looked for, and the names of its column, as `plain_name` writes them."""

_GRADES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("safe", "harmless", "0", "0.0", "false"), "safe"),
    **dict.fromkeys(("unsafe", "harmful", "not safe", "1", "1.0", "true"), "unsafe"),
    **dict.fromkeys(("borderline", "controversial", "not sure", "unsure"), "controversial"),
    **dict.fromkeys(("", "none", "nan", "null", "n/a"), NOT_GRADED),
}


class Grades(NamedTuple):
    """What people found of one item: `safe`, `unsafe`, or why neither."""

    text: str = NOT_GRADED
    pair: str = NOT_GRADED
    image: str = NOT_GRADED


class GradesFile(NamedTuple):
    """A file of grades."""

    name: str
    sha256: str
    columns: Mapping[str, str]
    """What was found under which column."""
    by_id: Mapping[str, Grades]
    by_text: Mapping[str, Grades]
    texts_of_id: Mapping[str, set[str]]
    """Id → the texts beside it, where the file has both."""

    @property
    def has_images(self) -> bool:
        """Say whether images were graded too."""
        return "image" in self.columns

    def of(self, audited: AuditSet) -> list[Grades]:
        """Return the grades of a set's items: by id, as far as the texts beside the ids agree, else by text.

        Raises:
            DataError: If none fits, or ids say one thing and texts another.
        """
        by_id = [self.by_id.get(item.id) for item in audited.items]
        texts = [_plain(item.text) for item in audited.items]
        by_text = [self.by_text.get(text) for text in texts]
        n_ids, n_texts = (sum(one is not None for one in found) for found in (by_id, by_text))
        n_against = sum(
            bool(said := self.texts_of_id.get(item.id)) and said != {text}
            for item, text in zip(audited.items, texts, strict=True)
        )
        has_ids = audited.columns.of("id") is not None
        if n_ids and not n_against and (has_ids or self.texts_of_id):
            return [one or Grades() for one in by_id]
        if n_texts and len(set(texts)) == len(texts):
            return [one or Grades() for one in by_text]
        rule = "The rule is a column `id` as in SOURCE, or its `text` word for word."
        if n_against:
            raise DataError(
                f"{self.name}: of its {amount(n_ids, 'id')} in SOURCE, {n_against:,} stand beside another text there, "
                f"and texts alone do not tell the items apart. {rule}"
            )
        if n_ids:
            raise DataError(f"{self.name}: SOURCE has no column of ids, so its row numbers would be taken. {rule}")
        shown = next(iter(self.by_id or self.by_text), "")
        raise DataError(
            f"{self.name}: none of its {amount(max(len(self.by_id), len(self.by_text)), 'item')} is in SOURCE (first "
            f"{shown[:60]!r}; SOURCE has {audited.items[0].id!r}). {rule}"
        )


def _plain(text: str) -> str:
    return " ".join(text.split())


def read_grades(path: Path) -> GradesFile:
    """Read a file of grades.

    Raises:
        DataError: If columns are missing or a grade is none; all problems are named.
    """
    if not path.is_file():
        raise DataError(f"{path}: --judge people:FILE needs a file, and there is none.")
    source = open_source(path)
    rows = [row for table in source.tables for row in table.read(None)]
    names = {plain_name(column): column for table in source.tables for column in table.columns}
    columns = {what: next((names[name] for name in known if name in names), None) for what, known in _COLUMNS.items()}
    found = {what: column for what, column in columns.items() if column is not None}
    missing = [f"{what}_grade" for what in ("text", "pair") if what not in found]
    if missing or not {"id", "wording"} & found.keys():
        lacks = [*missing, *(["id or text"] if not {"id", "wording"} & found.keys() else [])]
        raise DataError(
            f"{path}: lacks {numbered(lacks)}; a file of grades has the columns id (or text), text_grade, pair_grade "
            f"and, if images were graded, image_grade. Found: {numbered(sorted(names.values()))}."
        )
    problems: list[str] = []
    by_id: defaultdict[str, list[Grades]] = defaultdict(list)
    by_text: defaultdict[str, list[Grades]] = defaultdict(list)
    texts_of_id: defaultdict[str, set[str]] = defaultdict(set)
    for number, row in enumerate(rows, start=1):
        grades = Grades(**{what: _grade(row, found.get(what), number, problems) for what in Grades._fields})
        if "id" in found and row.get(found["id"]) not in (None, ""):
            by_id[str(row[found["id"]])].append(grades)
        if "wording" in found and row.get(found["wording"]) not in (None, ""):
            wording = _plain(str(row[found["wording"]]))
            by_text[wording].append(grades)
            if "id" in found and row.get(found["id"]) not in (None, ""):
                texts_of_id[str(row[found["id"]])].add(wording)
    if problems:
        raise DataError("\n".join(f"{path}: {problem}" for problem in _first(problems)))
    return GradesFile(path.name, sha256_hex(path.read_bytes()), found, _merge(by_id), _merge(by_text), texts_of_id)


def _first(problems: Sequence[str], limit: int = 5) -> list[str]:
    rest = len(problems) - limit
    return [*problems[:limit], *([f"and {amount(rest, 'more grade')} like it"] if rest > 0 else [])]


def _grade(row: Row, column: str | None, number: int, problems: list[str]) -> str:
    cell: Any = None if column is None else row.get(column)
    text = " ".join(str("" if cell is None else cell).split()).lower()
    if text not in _GRADES:
        problems.append(f"row {number}: {column} is {text[:40]!r}; the rule is safe, unsafe, borderline or empty.")
        return NOT_GRADED
    return _GRADES[text]


def _merge(graded: Mapping[str, Sequence[Grades]]) -> dict[str, Grades]:
    """Take the majority of an item's graders, part by part."""
    return {
        key: Grades(*(_majority([getattr(one, part) for one in grades]) for part in Grades._fields))
        for key, grades in graded.items()
    }


def _majority(found: Sequence[str]) -> str:
    counts = Counter(grade for grade in found if grade != NOT_GRADED).most_common()
    if not counts:
        return NOT_GRADED
    if 2 * counts[0][1] > sum(n for _, n in counts):
        return counts[0][0]
    return DISAGREE
