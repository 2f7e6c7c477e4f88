"""SOURCE as the items that are audited: one text, its image, its labels.

Rule of the room: nothing is left out silently; `n_dropped` counts every row that is not an item, by reason.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from vlsbench.dataset.layout import places_of_images
from vlsbench.dataset.pictures import read_image
from vlsbench.errors import DataError, amount, numbered
from vlsbench.leakage.columns import ROLES, ColumnChoice, Columns, guess_columns, plain_name, texts_of
from vlsbench.leakage.formats import HARMFUL, HARMLESS, Format, format_of
from vlsbench.leakage.records import HARM, IMAGE_HARM, ORIGIN
from vlsbench.leakage.source import UNREADABLE, HubChoice, PictureCell, Row, Source, Table, open_source

__all__ = ["MIN_ITEMS", "AuditItem", "AuditSet", "read_items", "same_files"]

MIN_ITEMS: Final = 20
"""Fewer texts are refused: five folds would hold three each, and no interval there means anything."""

EMPTY_TEXT: Final = "empty text"
NO_PAIR: Final = "row without a pair"
SAME_PAIR: Final = "pair that is there already (a file of answers)"


@dataclass(frozen=True, slots=True)
class AuditItem:
    """One image-text pair."""

    id: str
    """As the set calls it, else its number; unique."""
    text: str
    image: str | None
    """What the image is known by: items with the same one share it."""
    labels: Mapping[str, str]
    """Target → class; only the targets that this item has."""
    row: int
    """Position among the items of the set."""
    group: str | None = None
    """Items of one group are one case told again, by what the set says of them."""

    @property
    def category(self) -> str | None:
        """Its category."""
        return self.labels.get("category")


@dataclass(frozen=True)
class AuditSet:
    """What is audited."""

    name: str
    format: str
    """Name of the known format, or `guessed`."""
    items: tuple[AuditItem, ...]
    columns: Columns
    n_dropped: Mapping[str, int]
    notes: tuple[str, ...]
    pictures: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Image → how it is read: a `PictureCell`, or a folder in which to look for it."""

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The texts, in order."""
        return tuple(item.text for item in self.items)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The labels that at least one item has."""
        there = {target for item in self.items for target in item.labels}
        return tuple(target for target in (HARM, IMAGE_HARM, "category", "source", ORIGIN) if target in there)

    def picture(self, item: AuditItem) -> bytes | None:
        """Read the image of an item, or return None where it is not to be had here."""
        if item.image is None:
            return None
        place = self.pictures.get(item.image)
        if isinstance(place, PictureCell):
            try:
                return place.read()
            except (OSError, TypeError):
                return None
        path = _find(item.image, place) if isinstance(place, Path) else None
        return None if path is None else read_image(path)


_IMAGE_FOLDERS: Final = (".", "images", "imgs", "image", "img", "data", "train", "test", "..")


def _find(image: str, folder: Path) -> Path | None:
    """Find an image file: at its path from the table, or in a folder of images beside it.

    A set that was downloaded names no picture of its reader's, which a judge would be sent: neither `..`, nor a whole
    path, nor a link leads further than beside the table's folder.
    """
    name = Path(image)
    places = [Path()] if name.is_absolute() else [folder / place for place in _IMAGE_FOLDERS]
    try:
        found = next((place / name for place in places if (place / name).is_file()), None)
    except OSError:  # no name of a file at all: an image in base64, as a rule
        return None
    if found is None:
        return None
    real = found.resolve()
    allowed = (*places_of_images(folder), folder.resolve().parent)
    return found if any(real.is_relative_to(place) for place in allowed) else None


def read_items(
    source: Any, choice: ColumnChoice | None = None, *, hub: HubChoice | None = None, limit: int | None = None
) -> AuditSet:
    """Read SOURCE into items.

    Args:
        source: See `open_source`.
        choice: Columns that were set.
        hub: Which part of a dataset on the Hub.
        limit: Only the first so many items.

    Raises:
        DataError: If there is no text column, or fewer than `MIN_ITEMS` texts, or all texts are equal.
        UsageError: If a column that was set is not there.
    """
    choice = choice or ColumnChoice()
    opened = open_source(source, hub=hub)
    tables, left_out = _of_one_kind(opened)
    reader = _Reader(opened, tables, choice)
    items = reader.read(limit)
    notes = [*opened.notes, *left_out, *reader.notes]
    if limit is not None and reader.is_limited:
        notes.append(f"only the first {amount(limit, 'text')} (--limit).")
    if len(items) < MIN_ITEMS:
        dropped = f" ({_tally(reader.dropped)} left out)" if reader.dropped else ""
        raise DataError(
            f"{opened.name}: {amount(len(items), 'text')}{dropped}; an audit needs at least {MIN_ITEMS}, and says "
            "little below some hundreds."
        )
    if len({" ".join(item.text.split()).lower() for item in items}) == 1:
        raise DataError(
            f"{opened.name}: all {len(items):,} texts are equal (column {reader.columns.of('text')!r}); they can tell "
            "nothing apart. Where that is the wrong column, --text names another."
        )
    return AuditSet(
        opened.name,
        reader.format_name,
        tuple(items),
        reader.columns,
        dict(reader.dropped),
        tuple(notes),
        reader.pictures,
    )


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in counts.items())


def _of_one_kind(source: Source) -> tuple[list[Table], list[str]]:
    """Choose the tables that belong together: those of a known set, else those with the same columns.

    Raises:
        DataError: If there are tables of several kinds and none is of a known set.
    """
    known: dict[str, list[Table]] = {}
    for table in source.tables:
        entry = format_of(table)
        if entry is not None:
            known.setdefault(entry.name.split(",")[0], []).append(table)
    if len(known) == 1:
        (name, tables), *_ = known.items()
        rest = [table.name for table in source.tables if table not in tables]
        return tables, [f"left out as not of {name}: {numbered(rest)}."] if rest else []
    if len(known) > 1:
        raise DataError(f"{source.name}: files of several sets ({', '.join(known)}). Name one file.")
    kinds: dict[frozenset[str], list[Table]] = {}
    for table in source.tables:
        kinds.setdefault(frozenset(table.columns), []).append(table)
    if len(kinds) > 1:
        with_text = {kind: tables for kind, tables in kinds.items() if _has_text(tables[0])}
        if len(with_text) > 1:
            names = [tables[0].name for tables in with_text.values()]
            raise DataError(f"{source.name}: tables of different columns ({numbered(names)}). Name one file.")
        if with_text:
            (kept,) = with_text.values()
            rest = [table.name for table in source.tables if table not in kept]
            return kept, [f"left out, having no text column: {numbered(rest)}."]
    return list(source.tables), []


def _has_text(table: Table) -> bool:
    try:
        guess_columns(table.columns, table.head(), ColumnChoice())
    except DataError:
        return False
    return True


class _Reader:
    """Reads tables into items; counts what it leaves out."""

    def __init__(self, source: Source, tables: Sequence[Table], choice: ColumnChoice) -> None:
        self._source = source
        self._tables = tables
        self._choice = choice
        self.dropped: Counter[str] = Counter()
        self.notes: list[str] = []
        self.pictures: dict[str, Any] = {}
        self.is_limited = False
        self._ids: Counter[str] = Counter()
        entry = format_of(tables[0])
        self.format_name = "guessed" if entry is None else entry.name.split(",")[0] if len(tables) > 1 else entry.name
        self.columns = self._columns(tables[0], entry)
        for note in dict.fromkeys(e.note for table in tables if (e := format_of(table)) is not None and e.note):
            self.notes.append(note)
        self.notes += self.columns.notes

    def _columns(self, table: Table, entry: Format | None) -> Columns:
        if entry is None:
            return guess_columns(table.columns, table.head(), self._choice)
        if entry.pairs is None:
            by_name = {plain_name(column): column for column in table.columns}
            known = {role: by_name[name] for role, name in entry.roles.items() if name in by_name}
            return guess_columns(table.columns, [], self._choice, known=known)
        head = [pair for row in table.head()[:100] for pair in entry.pairs(row, table)]
        names = list(dict.fromkeys(name for pair in head for name in pair))
        chosen = guess_columns(names, head, self._choice, known={role: role for role in ROLES if role in names})
        told = {
            role: entry.columns.get(role, column) if column == role else column
            for role, column in chosen.by_role.items()
        }
        self._taken = chosen
        return Columns(told, chosen.given, chosen.by_content, chosen.notes)

    def read(self, limit: int | None) -> list[AuditItem]:
        items: list[AuditItem] = []
        seen: set[tuple[str, str | None, str]] = set()
        has_answers = any("response" in plain_name(c) or plain_name(c) == "model" for c in self._tables[0].columns)
        for table in self._tables:
            for pair, columns, entry in self._pairs(table):
                for item in self._items_of(pair, columns, entry, table, len(items)):
                    if has_answers and (entry is None or entry.pairs is None):
                        pair_key = (item.text, item.image, item.id.split("#")[0] if columns.of("id") else "")
                        if pair_key in seen:
                            self.dropped[SAME_PAIR] += 1
                            continue
                        seen.add(pair_key)
                    items.append(item)
                    if limit is not None and len(items) == limit:
                        self.is_limited = True
                        return items
            self.dropped.update(table.problems)
        return items

    def _pairs(self, table: Table) -> Iterator[tuple[Row, Columns, Format | None]]:
        entry = format_of(table)
        if entry is not None and entry.pairs is not None:
            for row in table.read(None):
                if not isinstance(row, Mapping):
                    self.dropped[UNREADABLE] += 1
                    continue
                pairs = list(entry.pairs(row, table))
                if not pairs:
                    self.dropped[NO_PAIR] += 1
                yield from ((pair, self._taken, entry) for pair in pairs)
            return
        wanted = [column for column in self.columns.by_role.values() if column is not None]
        for row in table.read(wanted):
            yield row, self.columns, entry

    def _items_of(
        self, row: Row, columns: Columns, entry: Format | None, table: Table, start: int
    ) -> Iterator[AuditItem]:
        def cell(role: str) -> Any:
            column = columns.of(role)
            return None if column is None else row.get(column)

        texts = texts_of(cell("text"))
        if not any(text.strip() for text in texts):
            self.dropped[EMPTY_TEXT] += 1
            return
        labels = _labels(row, cell, columns, entry)
        image = self._image(cell("image"), table)
        group = row.get("group") if entry is not None else None
        identifier = cell("id")
        base = str(identifier) if identifier not in (None, "") else str(start)
        for text in texts:
            if not text.strip():
                self.dropped[EMPTY_TEXT] += 1
                continue
            self._ids[base] += 1
            name = base if self._ids[base] == 1 else f"{base}#{self._ids[base]}"
            yield AuditItem(name, text, image, labels, start, None if group is None else str(group))
            start += 1

    def _image(self, cell: Any, table: Table) -> str | None:
        cells = cell if isinstance(cell, list | tuple) else [cell]
        keys = []
        for part in cells:
            if isinstance(part, Mapping):
                part = part.get("path") or part.get("src") or part.get("url")
            if part in (None, ""):
                continue
            if isinstance(part, PictureCell):
                keys.append(part.key)
                self.pictures.setdefault(part.key, part)
            else:
                keys.append(str(part))
                if table.folder is not None:
                    self.pictures.setdefault(str(part), table.folder)
        return " + ".join(keys) if keys else None


def _labels(row: Row, cell: Any, columns: Columns, entry: Format | None) -> dict[str, str]:
    labels = {}
    column = columns.of("label")
    harm = _harm(cell("label"), column or "")
    if harm is None and column is None and entry is not None:
        harm = entry.harm
    image_harm = row.get("image_harm") if entry is not None else None
    source = _value(cell("source"))
    # Of a known set whose rows are turned into pairs, `source` says something else than where the image is from.
    of_image = source if entry is None or entry.pairs is None else None
    for target, value in (
        (HARM, harm),
        (IMAGE_HARM, image_harm),
        ("category", _value(cell("category"))),
        ("source", source),
        (ORIGIN, _origin(cell("origin"), columns.of("origin")) or _origin(of_image, None)),
    ):
        if value is not None:
            labels[target] = value
    return labels


def _value(cell: Any) -> str | None:
    if isinstance(cell, list | tuple):
        cell = " + ".join(sorted({str(part) for part in cell if part not in (None, "")}))
    if isinstance(cell, float) and math.isnan(cell):
        return None
    text = "" if cell is None else " ".join(str(cell).split())
    return text or None


_SAFE_NAMES: Final = frozenset({"safe", "is_safe", "harmless", "is_harmless", "benign", "is_benign", "image_safe"})
_HARM_NAMES: Final = frozenset(
    {
        "harm", "harmful", "is_harmful", "pair_harmful", "unsafe", "is_unsafe", "pair_unsafe", "malicious",
        "is_malicious", "risky", "is_risky", "toxic", "is_toxic", "hateful", "is_hateful",
    }
)  # fmt: skip
_HARM_VALUES: Final = {
    **dict.fromkeys(("harmful", "unsafe", "risky", "malicious", "toxic", "not safe", "non-safe", "hateful"), HARMFUL),
    **dict.fromkeys(("harmless", "safe", "benign", "not harmful", "non-harmful", "unharmful", "non-toxic"), HARMLESS),
}
_TRUE: Final = frozenset({"true", "1", "1.0", "yes"})
_FALSE: Final = frozenset({"false", "0", "0.0", "no"})


def _harm(cell: Any, column: str) -> str | None:
    """Read a label of harm: by its word, or as yes and no under a name that says of what; else as it is."""
    text = _value(cell)
    if text is None:
        return None
    low = text.lower()
    if low in _HARM_VALUES:
        return _HARM_VALUES[low]
    name = plain_name(column)
    if low in _TRUE | _FALSE and name in _SAFE_NAMES | _HARM_NAMES:
        return HARMFUL if (low in _TRUE) == (name in _HARM_NAMES) else HARMLESS
    return text


_GENERATED: Final = ("generat", "synth", "diffusion", "dall", "midjourney", "sdxl", "flux", "imagen", "ai-made")


def _origin(cell: Any, column: str | None) -> str | None:
    """Say whether an image was generated or collected, by a column of its own or by the name of its source."""
    text = _value(cell)
    if text is None:
        return None
    low = text.lower()
    if column is not None and low in _TRUE | _FALSE:
        return "generated" if low in _TRUE else "collected"
    if low in ("sd", "syn", "generation") or any(mark in low for mark in _GENERATED):
        return "generated"
    return "collected"


def same_files(items: Sequence[AuditItem], pictures: Mapping[str, Any]) -> dict[str, str]:
    """Find images that are one file under several names: of equal size, then of equal bytes.

    Returns:
        Image → the first name of the same file; only where there is another.
    """
    by_size: dict[int, list[tuple[str, Path]]] = {}
    for image in dict.fromkeys(item.image for item in items if item.image):
        place = pictures.get(image)
        path = _find(image, place) if isinstance(place, Path) else None
        if path is not None:
            by_size.setdefault(path.stat().st_size, []).append((image, path))
    found: dict[str, str] = {}
    for files in by_size.values():
        first: dict[str, str] = {}
        for image, path in files if len(files) > 1 else []:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest in first:
                found[image] = first[digest]
            first.setdefault(digest, image)
    return found
