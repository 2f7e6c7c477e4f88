"""What the rows of a stranger's file say about their samples, besides their ids: texts, images, categories.

Pure. An image's number and a category are known by the name of their column and by their value; a text by what it
holds, whatever its column is called. Decides nothing (`matching`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

from vlsbench.dataset.index import IndexRow
from vlsbench.submission.importers.cells import Cell, Parts, compact, last_word
from vlsbench.submission.importers.rows import Row
from vlsbench.submission.importers.texts import Find, TextColumn, Texts
from vlsbench.taxonomy import CATEGORIES

__all__ = ["CategoryColumn", "Evidence", "ImageColumn", "RowText"]

_TEXT_NAMES: Final = frozenset({"instruction", "question"})
"""A text under these names claims to be the instruction, found or not."""

_PROMPT_NAMES: Final = frozenset(
    {
        *("prompt", "userprompt", "textprompt", "prompttext", "query", "userquery"),
        *("input", "inputs", "userinput", "textinput", "inputtext", "user", "usermessage", "usertext"),
    }
)
"""A text under these names does so too, where it is another in most rows: else it is what was said around them all."""

_IMAGE_NAMES: Final = frozenset(
    {
        *("image", "images", "imageid", "imagepath", "imagepaths", "imagefile", "imagefilename", "imagename"),
        *("imagenumber", "imageindex", "imageidx", "imageurl", "img", "imgid", "imgpath", "imgfile", "imgname"),
        *("filename", "picture", "pictureid"),
    }
)
_CATEGORY_NAMES: Final = frozenset({"config", "subset", "topic", "class", "subclass", "domain", "scenario", "l2"})
_GUESSED: Final = ("pred", "judge", "model", "guard")
"""Within the name of a column of categories: what a model made of them."""

_MOST_COLUMNS: Final = 128
"""Most columns that are looked into, those that most rows have: every row of JSON may have keys of its own."""

_MOST_DIGITS: Final = 7
_ANSWER_CHARACTERS: Final = 2_000
"""Of an answer that are looked into: one that repeats its question does so at its beginning."""

_THE_ANSWER: Final = "the answer"

_FIELDS: Final[Mapping[str, tuple[Literal["category", "sub_category"], str]]] = {
    **{compact(sub.name): ("sub_category", sub.name) for item in CATEGORIES for sub in item.sub_categories},
    **{compact(name): ("category", item.name) for item in CATEGORIES for name in (item.name, item.config)},
}
"""Names of categories, configs and sub-categories, as all their spellings are one."""


class RowText(NamedTuple):
    """What the texts of one row say."""

    owners: frozenset[int] | None
    """Samples whose instruction they hold; None where no instruction was found."""
    clash: tuple[str, str] | None = None
    """Two columns that hold the instructions of different samples."""
    other: str | None = None
    """A column of instructions that holds another text here."""
    is_blank: bool = False
    """A column of instructions holds nothing here."""
    is_cut: bool = False
    """The other text ends as one that was cut off."""


@dataclass(frozen=True)
class ImageColumn:
    """Numbers of images, as a column has them."""

    name: str
    numbers: tuple[int | None, ...]
    """By row; None where there is none."""
    is_spelled: bool
    """As the release spells them: `imgs/17.png`."""


@dataclass(frozen=True)
class CategoryColumn:
    """Categories, sub-categories or configs, all of them known."""

    name: str
    fields: tuple[tuple[Literal["category", "sub_category"], str] | None, ...]
    """By row: which of the two, and its name."""

    def agrees(self, n: int, sample: IndexRow) -> bool | None:
        """Compare row `n` with a sample; None where the row says nothing."""
        found = self.fields[n]
        return None if found is None else getattr(sample, found[0]) == found[1]


class Evidence:
    """All that the rows of a file say."""

    def __init__(self, rows: Sequence[Row], texts: Texts, *, only: str | None = None) -> None:
        """Look into the rows.

        Args:
            only: The one column whose texts are compared; None compares all.
        """
        self._rows = rows
        self.texts = texts
        names = Counter(name for row in rows for name in row.cells)
        known = {name for name, _ in names.most_common(_MOST_COLUMNS)}
        self.columns = {name: [row.cells.get(name, ()) for row in rows] for name in names if name in known}
        wanted = self.columns if only is None else {n: v for n, v in self.columns.items() if _is_within(n, only)}
        looked_into = {
            name: TextColumn(texts, [_texts_of(parts) for parts in values]) for name, values in wanted.items()
        }
        if only is None:
            answers = [[(row.said.response or "")[:_ANSWER_CHARACTERS]] for row in rows]
            column = TextColumn(texts, answers)
            if column.holds_instructions:
                looked_into[_THE_ANSWER] = column
        self.text_columns = {name: column for name, column in looked_into.items() if column.n_found}
        """Columns with instructions."""
        self.claimed_columns = [
            name for name in looked_into if name not in self.text_columns and self._claims_instructions(name)
        ]
        """Columns called so, without any."""

    def _claims_instructions(self, name: str) -> bool:
        word = last_word(name)
        if word not in _PROMPT_NAMES:
            return word in _TEXT_NAMES
        said = [tuple(part for part in _texts_of(parts) if len(part.split()) > 2) for parts in self.columns[name]]
        return not self.texts.is_spent and 2 * len({texts for texts in said if texts}) > len(said) > 1

    @property
    def has_texts(self) -> bool:
        """Whether an instruction was found at all."""
        return bool(self.text_columns)

    @property
    def repeats_questions(self) -> bool:
        """Whether the answers begin with their questions."""
        return _THE_ANSWER in self.text_columns

    @cached_property
    def row_texts(self) -> list[RowText]:
        """What the texts of every row say."""
        return [self._row_text(n) for n in range(len(self._rows))]

    def _row_text(self, n: int) -> RowText:
        owners: frozenset[int] | None = None
        first = ""
        for name, column in self.text_columns.items():
            if not column.found[n]:
                continue
            these = _ids(column.found[n])
            if owners is not None and not owners & these:
                return RowText(owners & these, clash=(first, name))
            first = first if owners is not None else name
            owners = these if owners is None else owners & these
        if owners is not None:
            return RowText(owners)
        main = [name for name, column in self.text_columns.items() if column.holds_instructions and name != _THE_ANSWER]
        for name in (*main, *self.claimed_columns):
            wraps_nothing = name in self.text_columns and not self.text_columns[name].is_said[n]
            parts = [] if wraps_nothing else _texts_of(self.columns[name][n])
            said = next((part for part in parts if part.strip()), None)
            if said is not None:
                return RowText(None, other=name, is_cut=self._is_cut(name, said))
        return RowText(None, is_blank=bool(main))

    def _is_cut(self, name: str, text: str) -> bool:
        """Say whether a text ends in dots, or where several others of its column end, too."""
        if text.rstrip().endswith(("…", "...", "...]", "…]", "[truncated]")):
            return True
        longest, n_longest = self._longest[name]
        return len(text) == longest and n_longest > 2

    @cached_property
    def _longest(self) -> dict[str, tuple[int, int]]:
        """The length of a column's longest text, and how many have it."""
        found = {}
        for name in (*self.text_columns, *self.claimed_columns):
            sizes = [len(text) for parts in self.columns.get(name, ()) for text in _texts_of(parts)]
            found[name] = (max(sizes, default=0), sizes.count(max(sizes, default=0)))
        return found

    @cached_property
    def image_columns(self) -> list[ImageColumn]:
        """Columns that are called an image and hold numbers."""
        found = []
        for name, values in self.columns.items():
            if last_word(name) not in _IMAGE_NAMES:
                continue
            numbers = tuple(_image_number(parts) for parts in values)
            if any(number is not None for number in numbers):
                spelled = all("imgs/" in str(parts[0]).replace("\\", "/") for parts in values if parts)
                found.append(ImageColumn(name, numbers, spelled))
        return found

    @cached_property
    def category_columns(self) -> list[CategoryColumn]:
        """Columns that are called a category and hold nothing but categories of VLSBench."""
        found = []
        for name, values in self.columns.items():
            word = last_word(name)
            is_called_so = word in _CATEGORY_NAMES or "category" in word or "categories" in word
            if not is_called_so or any(guess in word for guess in _GUESSED):
                continue
            fields = [_FIELDS.get(compact(str(parts[0]))) if parts else None for parts in values]
            is_known = all(
                field is not None or not parts or not str(parts[0]).strip()
                for field, parts in zip(fields, values, strict=True)
            )
            if is_known and any(fields):
                found.append(CategoryColumn(name, tuple(fields)))
        return found


def _is_within(name: str, column: str) -> bool:
    return name == column or name.startswith(f"{column}.")


def _ids(finds: Sequence[Find]) -> frozenset[int]:
    return frozenset(number for find in finds for number in find.owners)


def _texts_of(parts: Parts) -> list[str]:
    return [part for part in parts if isinstance(part, str)]


def _image_number(parts: Parts) -> int | None:
    """Read the number of an image: 17, "17", "17.png", "imgs/17.png", or an address that ends so."""
    return _number_of(parts[0]) if len(parts) == 1 else None


def _number_of(cell: Cell) -> int | None:
    if isinstance(cell, str):
        name = cell.replace("\\", "/").split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        stem = name.split(".", 1)[0] if not name.endswith(".0") else name.removesuffix(".0")
        return int(stem) if stem.isascii() and stem.isdigit() and len(stem) <= _MOST_DIGITS else None
    return int(cell) if float(cell).is_integer() and 0 <= cell < 10**_MOST_DIGITS else None
