"""Which sample is a row about? Ids are believed only as far as the file's other evidence agrees.

A row that is filed under the wrong sample is worse than a row that is missing. So:

* A column called `instruction_id` is believed where nothing contradicts it: no text that is another sample's, no other
  image, no other category.
* Any other id is a number of unknown meaning. It is the `instruction_id`, or the number of a row of a split, where the
  texts of the rows say so, or, without texts, their images or categories. Without any of these it is refused.
* Where the ids are something else, rows are found by their text. An instruction that stands for several samples is told
  by the image, the category, or the order of a file that keeps the dataset's.

`--trust-ids` makes any id an `instruction_id`; `--text-column` alone lets that column decide.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from vlsbench.dataset.index import Index, IndexRow, kind_of_id
from vlsbench.errors import amount, numbered
from vlsbench.records import IMAGE_TEXT, DatasetReference
from vlsbench.submission.check import mixed_kinds
from vlsbench.submission.importers.cells import compact, last_word
from vlsbench.submission.importers.evidence import CategoryColumn, Evidence, ImageColumn
from vlsbench.submission.importers.known import Known
from vlsbench.submission.importers.rows import Parsed, Row, parse_id
from vlsbench.submission.importers.source import Problems
from vlsbench.submission.importers.texts import Texts

__all__ = ["Asked", "Matched", "match_one", "match_rows"]

_NAME: Final = "instructionid"
"""What a column is called that is believed, in any spelling."""

_RECORDS: Final = frozenset({"doc", "document", "metadata", "meta", "sample", "item", "record", "info", "data"})
"""Objects in a row that are about its sample; others may be about the samples of examples."""

_SHOWN_DIGITS: Final = 12

_MOST_IDS: Final = 8
"""Columns that are read as ids; a file has one or two."""

_FEWEST_NUMBERED: Final = 3
"""Rows whose texts must be those of their numbers before a numbering that is no `instruction_id` places another row."""

_FEWEST_IN_CATEGORIES: Final = 20
"""Rows that must have the category of their id where nothing else is known of them. A neighbour in the release has
another category in one of four cases, another sub-category in one of three."""

_FEWEST_SHOWN: Final = 2
"""Of these rows, more than so many must have another category than the neighbours of their id, for ids that are off by
one or two to show."""

_MOST_SORTED_OTHERWISE: Final = 0.01
"""Share of rows with their sample's text and another category: the release files five samples oddly, and tools mend it.
Answers that stand beside other samples' ids and texts differ in every fourth row."""

_FEWEST_IN_ORDER: Final = 10
"""Rows found by their text whose ids must rise before the order of a file says anything."""


class Asked(NamedTuple):
    """What the user says of a file's columns."""

    id_column: str | None = None
    text_column: str | None = None
    response_column: str | None = None
    trusts_ids: bool = False

    @property
    def names_columns(self) -> bool:
        """Whether it names a column."""
        return any((self.id_column, self.text_column, self.response_column))


_NOTHING_ASKED: Final = Asked()


@dataclass(frozen=True)
class Matched:
    """The sample of every row."""

    index: Index
    ids: tuple[int | None, ...]
    """One per row, in order; None where the row is a problem."""
    n_compared: int
    """Rows whose text is that of their sample."""
    n_not_compared: int
    n_by_text: int
    """Rows that were found by their text, their id being another number or none."""
    dataset: DatasetReference | None
    """The config, where the rows are numbered in one; None where the ids say enough."""
    used: frozenset[str]
    """Columns that were compared, besides the ids."""
    notes: tuple[str, ...] = ()


class _Claims(NamedTuple):
    """What one column says the ids are."""

    column: str
    numbers: tuple[int | None, ...]
    """By row; None where there is no number."""
    faults: tuple[str, ...]
    """By row: why there is none, as the end of a sentence; empty where there is one."""
    is_trusted: bool

    @property
    def counts_rows(self) -> str | None:
        """Say from where to where they count, where they look like row numbers."""
        known = {number for number in self.numbers if number is not None}
        low, high = min(known, default=-1), max(known, default=-1)
        return f"{low}..{high}" if low in (0, 1) and high - low + 1 == len(known) and None not in self.numbers else None

    @property
    def described(self) -> str:
        """Name the column, and what its numbers look like."""
        return f"{self.column!r}" + (
            f", which looks like row numbers ({self.counts_rows})," if self.counts_rows else ""
        )


@dataclass
class _Matching:
    """A file, its evidence, and what is found."""

    rows: Sequence[Row]
    evidence: Evidence
    problems: Problems
    ids: list[int | None]
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    dataset: DatasetReference | None = None
    n_by_text: int = 0
    held: set[int] = field(default_factory=set)
    """Rows that are a problem already."""

    @property
    def known(self) -> Known:
        """The datasets that the rows may answer."""
        return self.evidence.texts.known

    def refuse(self, n: int, rule: str) -> None:
        """Make a row a problem, once."""
        if n not in self.held:
            self.held.add(n)
            self.problems.add(self.rows[n].place, rule)
        self.ids[n] = None


def match_rows(parsed: Parsed, data: Path | None, problems: Problems, asked: Asked = _NOTHING_ASKED) -> Matched | None:
    """Find the sample of every row.

    Args:
        data: The release on disk, whose sentences find instructions that were changed on their way.

    Returns:
        The samples, or None where it is not even clear which dataset was answered.

    Raises:
        DataError: If `data` is absent or not the release.
    """
    claims = _read_claims(parsed.rows, asked)
    has_sample = any(kind_of_id(number or 0) == "sample" for item in claims for number in item.numbers)
    texts = Texts(data, has_sample=has_sample)
    if not parsed.rows:
        problems.add("", "has no row with an answer. Was the run that wrote it stopped?")
        return None
    evidence = Evidence(parsed.rows, texts, only=asked.text_column)
    fault = _wrong_columns(claims, evidence, asked)
    if fault is not None:
        problems.add("", fault)
        return None
    matching = _Matching(parsed.rows, evidence, problems, [None] * len(parsed.rows))
    for n, said in enumerate(evidence.row_texts):
        if said.clash is not None:
            first, second = said.clash
            matching.refuse(
                n,
                f"columns {first!r} and {second!r} hold the instructions of different samples; --text-column names the "
                "one that the model was asked",
            )
    trusted = claims[0] if claims and claims[0].is_trusted else None
    decides = asked.text_column is not None and asked.id_column is None
    if trusted is not None and not (decides and _is_contradicted(matching, trusted)):
        _match_trusted(matching, [item for item in claims if item.is_trusted])
    else:
        _match_by_evidence(matching, claims, decides=decides)
    return _conclude(matching)


def match_one(row: Row) -> IndexRow:
    """Find the sample of a row that stands alone, as a harness has it before it scores.

    Raises:
        ValueError: If nothing tells it, or something contradicts it; the message is the end of a sentence.
    """
    evidence = Evidence([row], Texts())
    said, claims = evidence.row_texts[0], _read_claims([row], _NOTHING_ASKED)
    matching = _Matching([row], evidence, Problems(""), [claims[0].numbers[0]])
    known = evidence.texts.known
    sample = known.sample_of(matching.ids[0])
    if claims[0].faults[0] and (claims[0].is_trusted or said.owners is None):
        raise ValueError(claims[0].faults[0])
    hints = _find_hints(matching, matching.ids, claims)
    if claims[0].is_trusted or (said.owners is not None and matching.ids[0] in said.owners):
        if sample is None:
            raise ValueError(_unknown(claims[0].numbers[0] or 0, known.indexes[0]))
        if said.owners is not None and sample.instruction_id not in said.owners:
            raise ValueError(_mismatch(known, sample, said.owners))
        if 0 in hints.conflicts:
            raise ValueError(f"instruction_id {sample.instruction_id}: {hints.conflicts[0].sentence}")
        return sample
    found = [s for i in _distinct(known, said.owners or ()) if (s := known.sample_of(i)) is not None]
    if len(found) == 1:
        return found[0]
    if sample is not None and said.owners is None and hints.agreeing and not hints.conflicts:
        return sample
    raise ValueError(
        f"nothing tells that {claims[0].column!r} ({claims[0].numbers[0]}) is the instruction_id; name it so in the "
        "metadata"
        if said.owners is None
        else _why_not_found(matching, None, sorted(said.owners))
    )


def _wrong_columns(claims: Sequence[_Claims], evidence: Evidence, asked: Asked) -> str | None:
    """Say what is wrong with the columns that the user named."""
    if asked.text_column is not None and not evidence.has_texts:
        return f"--text-column {asked.text_column!r} holds no instruction of VLSBench{_data_hint(evidence.texts)}"
    if asked.trusts_ids and not claims:
        return "--trust-ids: no column of ids; --id-column names it"
    if asked.trusts_ids and not claims[0].is_trusted:
        named = numbered([repr(item.column) for item in claims], limit=5)
        return f"--trust-ids: {named} hold different numbers; --id-column names the instruction_id"
    return None


def _place(row: Row) -> str:
    """Say where a row is: `line 7`, `row 7`."""
    return f"line {row.place[1:]}" if row.place.startswith(":") else row.place.strip()


def _conclude(matching: _Matching) -> Matched | None:
    found = [number for number in matching.ids if number is not None]
    if not found:
        return None
    places = [(i, _place(row)) for i, row in zip(matching.ids, matching.rows, strict=True) if i is not None]
    mixed = mixed_kinds(places)
    if mixed is not None:
        first = kind_of_id(found[0])
        n = next(n for n, i in enumerate(matching.ids) if i is not None and kind_of_id(i) != first)
        matching.problems.add(matching.rows[n].place, mixed)
        return None
    index = matching.known.index_of(found[0])
    if index.kind == "constructed":
        has_twins = any(index.by_id[number].risk == "benign" for number in found)
        config = matching.dataset.config if matching.dataset is not None else "twins" if has_twins else "default"
        matching.dataset = DatasetReference(name=index.name, config=config, revision=index.revision)
    n_compared = sum(number is not None and _has_text_of(matching, n, number) for n, number in enumerate(matching.ids))
    if matching.evidence.repeats_questions:
        matching.notes.append("the answers begin with their questions, and are judged as they stand")
    if matching.evidence.texts.is_spent:
        matching.notes.append("more text than is looked into; what was left counts as not compared")
    return Matched(
        index,
        tuple(matching.ids),
        n_compared,
        len(found) - n_compared,
        matching.n_by_text,
        matching.dataset,
        frozenset(matching.used | matching.evidence.text_columns.keys()),
        tuple(matching.notes),
    )


def _has_text_of(matching: _Matching, n: int, number: int) -> bool:
    said = matching.evidence.row_texts[n]
    if said.owners is not None:
        return number in said.owners
    return said.is_blank and number in matching.evidence.texts.blank


# --- Ids ------------------------------------------------------------------------------------------------------------


def _read_claims(rows: Sequence[Row], asked: Asked) -> list[_Claims]:
    """Read every column that may be the id; the one that is believed as it stands, if there is one, is the first."""
    names = Counter(name for row in rows for name in row.ids)
    names.update(
        name for row in rows for name, parts in row.cells.items() if len(parts) == 1 and _is_named_within(name)
    )
    likely = sorted(names, key=lambda name: (last_word(name) != _NAME, -names[name]))[:_MOST_IDS]
    found = []
    for name in (name for name in names if name in likely or name == asked.id_column):
        if asked.id_column not in (None, name):
            continue
        parsed = [
            parse_id(row.ids[name] if name in row.ids else next(iter(row.cells.get(name, ())), None)) for row in rows
        ]
        numbers = tuple(None if isinstance(item, str) else item.number for item in parsed)
        faults = tuple(item if isinstance(item, str) else "" for item in parsed)
        is_named = last_word(name) == _NAME or all(not isinstance(i, str) and i.is_named for i in parsed)
        found.append(_Claims(name, numbers, faults, is_named))
    found.sort(key=lambda claims: not claims.is_trusted)
    if asked.trusts_ids and found and not found[0].is_trusted and len({item.numbers for item in found}) == 1:
        found[0] = found[0]._replace(is_trusted=True)
    return found


def _is_named_within(name: str) -> bool:
    """Say whether a dotted name is the instruction_id of an object about the sample: `doc.instruction_id`."""
    record, _, field_name = name.partition(".")
    return compact(field_name) == _NAME and "." not in field_name and compact(record) in _RECORDS


def _is_contradicted(matching: _Matching, claims: _Claims) -> bool:
    return any(
        said.owners is not None and number not in said.owners
        for said, number in zip(matching.evidence.row_texts, claims.numbers, strict=True)
    )


def _match_trusted(matching: _Matching, trusted: Sequence[_Claims]) -> None:
    """Take the ids as they stand, and hold every contradiction against its row."""
    claims, *others = trusted
    known = matching.known
    index = known.index_of(max((number for number in claims.numbers if number is not None), default=0))
    for n, number in enumerate(claims.numbers):
        sample = known.sample_of(number)
        other = next((item for item in others if item.numbers[n] not in (None, number)), None)
        if number is None:
            matching.refuse(n, claims.faults[n])
        elif sample is None:
            matching.refuse(n, _unknown(number, index))
        elif other is not None:
            matching.refuse(n, f"{claims.column!r} is {number}, {other.column!r} is {other.numbers[n]}; keep one")
        elif n not in matching.held:
            matching.ids[n] = number
            _hold_text_against(matching, n, sample, may_be_cut=True)
    _compare_hints(matching, [claims])


def _unknown(number: int, index: Index) -> str:
    if kind_of_id(number) == "constructed" and index.kind != "constructed":
        return f"instruction_id {number} is of a constructed set, and --data does not name its folder"
    return (
        f"instruction_id {number} is not in the {index.title}; ids run {index.ids}. Was this file made for another "
        "dataset?"
    )


def _hold_text_against(matching: _Matching, n: int, sample: IndexRow, *, may_be_cut: bool) -> None:
    said = matching.evidence.row_texts[n]
    if said.owners is not None and sample.instruction_id not in said.owners:
        matching.refuse(n, _mismatch(matching.known, sample, said.owners))
    elif sample.instruction_id in matching.evidence.texts.blank:
        return  # what wraps nothing cannot be told from another text
    elif said.other is not None and not (said.is_cut and may_be_cut):
        matching.refuse(
            n,
            f"instruction_id {sample.instruction_id} has another text in the "
            f"{matching.known.index_of(sample.instruction_id).title}: expected SHA-256 "
            f"{sample.instruction_sha256[:_SHOWN_DIGITS]}…; the one in {said.other!r} is no instruction of VLSBench"
            f"{_data_hint(matching.evidence.texts)}",
        )


def _mismatch(known: Known, sample: IndexRow, owners: Iterable[int]) -> str:
    ids = sorted(owners)
    found = known.sample_of(ids[0])
    digest = "" if found is None else f", found {found.instruction_sha256[:_SHOWN_DIGITS]}…"
    return (
        f"instruction_id {sample.instruction_id} has another text in the "
        f"{known.index_of(sample.instruction_id).title}: expected SHA-256 "
        f"{sample.instruction_sha256[:_SHOWN_DIGITS]}…{digest}; this text is that of instruction_id "
        f"{numbered([*map(str, ids)], limit=5)}. Was the file made in another order, or for another revision?"
    )


def _data_hint(texts: Texts) -> str:
    return "" if texts.has_sentences else ". If it was changed on its way, --data with the release may still find it"


# --- Images and categories ------------------------------------------------------------------------------------------


class _Conflict(NamedTuple):
    """What an image or a category says against a sample."""

    sentence: str
    is_category: bool


class _Hints(NamedTuple):
    """How images and categories stand to an assignment."""

    conflicts: dict[int, _Conflict]
    """By row."""
    agreeing: frozenset[int]
    """Rows whose image is that of their sample."""
    images: tuple[ImageColumn, ...]
    """Columns of images that are no mere numbering."""
    categories: tuple[CategoryColumn, ...]
    """Columns of categories."""

    @property
    def names(self) -> list[str]:
        """Name the columns."""
        return [*(column.name for column in self.images), *(column.name for column in self.categories)]


def _find_hints(matching: _Matching, ids: Sequence[int | None], claims: Sequence[_Claims]) -> _Hints:
    """Compare images and categories with the samples of an assignment."""
    known = matching.known
    samples = [known.sample_of(number) for number in ids]
    images = tuple(c for c in matching.evidence.image_columns if not _is_numbering(known, c, samples, claims))
    categories = tuple(matching.evidence.category_columns)
    conflicts: dict[int, _Conflict] = {}
    agreeing: set[int] = set()
    for n, sample in enumerate(samples):
        if sample is None:
            continue
        for image in images:
            number = image.numbers[n]
            if number == sample.image:
                agreeing.add(n)
            elif number is not None:
                told = f"{image.name!r} says image {number}, the index has {sample.image}"
                conflicts.setdefault(n, _Conflict(told, is_category=False))
        for column in categories:
            field = column.fields[n]
            if field is not None and column.agrees(n, sample) is False:
                told = f"{column.name!r} says {field[1]!r}, the index has {getattr(sample, field[0])!r}"
                conflicts.setdefault(n, _Conflict(told, is_category=True))
    return _Hints(conflicts, frozenset(agreeing), images, categories)


def _is_numbering(
    known: Known, image: ImageColumn, samples: Sequence[IndexRow | None], claims: Sequence[_Claims]
) -> bool:
    """Say whether the numbers of images are other images', or only repeat what the samples are called.

    Such numbers would agree with wrong ids as well. They count as the release spells them (`imgs/17.png`), and where
    the index has another number for an image than for its sample, and so do they.
    """
    pairs = [
        (n, number, sample)
        for n, (number, sample) in enumerate(zip(image.numbers, samples, strict=True))
        if number is not None
    ]
    if not any(number in known.images for _, number, _ in pairs):
        return True
    repeats_ids = any(all(number == item.numbers[n] for n, number, _ in pairs) for item in claims)
    if any(sample is not None and number != sample.image for _, number, sample in pairs):
        return all(sample is not None and number == sample.instruction_id for _, number, sample in pairs)
    return repeats_ids and not image.is_spelled


def _compare_hints(matching: _Matching, claims: Sequence[_Claims]) -> None:
    """Hold images and categories against the rows, and note what they were compared with."""
    hints = _find_hints(matching, matching.ids, claims)
    others = [n for n, conflict in hints.conflicts.items() if conflict.is_category]
    has_texts = all((i := matching.ids[n]) is not None and _has_text_of(matching, n, i) for n in others)
    is_sorted_otherwise = has_texts and len(others) <= _MOST_SORTED_OTHERWISE * len(matching.rows)
    for n, conflict in hints.conflicts.items():
        number = matching.ids[n]
        if number is not None and not (conflict.is_category and is_sorted_otherwise):
            matching.refuse(
                n,
                f"instruction_id {number}: {conflict.sentence}. Was the file made in another order? A column that "
                "means something else is left out of the file",
            )
    if others and is_sorted_otherwise:
        matching.notes.append(f"{amount(len(others), 'row')} with the text of the sample and another category")
    matching.used |= set(hints.names)


# --- By evidence ----------------------------------------------------------------------------------------------------


class _Numbering(NamedTuple):
    """A way to read ids."""

    claims: _Claims
    split: Index | None
    """The split whose rows they count; None where they are the instruction_id."""
    base: int

    def read(self, known: Known) -> Iterator[int | None]:
        """Yield the instruction_id of every row."""
        for number in self.claims.numbers:
            if self.split is None:
                yield number if known.sample_of(number) is not None else None
            else:
                at = -1 if number is None else number - self.base
                yield self.split.rows[at].instruction_id if 0 <= at < len(self.split.rows) else None


def _match_by_evidence(matching: _Matching, claims: Sequence[_Claims], *, decides: bool) -> None:
    """Believe the ids that the evidence agrees with, or find the rows by their text.

    Args:
        decides: The texts decide, whatever most ids are.
    """
    if not matching.evidence.has_texts:
        _match_by_hints(matching, claims)
        return
    position = _Claims("the order of the file", tuple(range(len(matching.rows))), ("",) * len(matching.rows), False)
    for numbering in _numberings(matching.known, claims, position):
        if _is_confirmed(matching, numbering):
            _take_numbering(matching, numbering, [*numbering.read(matching.known)], claims)
            return
    mostly = None if decides else next((item for item in claims if _agrees_mostly(matching, item)), None)
    if mostly is not None:
        _take_numbering(matching, _Numbering(mostly, None, 0), mostly.numbers, claims)
    else:
        _match_by_text(matching, claims)


def _numberings(known: Known, claims: Sequence[_Claims], position: _Claims) -> Iterable[_Numbering]:
    """List the ways to read ids, the likeliest first."""
    for item in claims:
        yield _Numbering(item, None, 0)
    for item in (*claims, position):
        for split in known.splits:
            for base in (0, 1):
                yield _Numbering(item, split, base)


def _is_confirmed(matching: _Matching, numbering: _Numbering) -> bool:
    """Say whether the texts that there are are those of the numbers."""
    n_same = n_single = 0
    for said, number in zip(matching.evidence.row_texts, numbering.read(matching.known), strict=True):
        if said.owners is None:
            continue
        if number not in said.owners:
            return False
        n_same += 1
        n_single += len(_distinct(matching.known, said.owners)) == 1
    return n_same > 0 if numbering.split is None else n_single >= _FEWEST_NUMBERED


def _distinct(known: Known, owners: Iterable[int]) -> set[int]:
    """Leave the benign twins out, which share the text of their pair."""
    return {number for number in owners if (sample := known.sample_of(number)) is not None and sample.risk == "risky"}


def _agrees_mostly(matching: _Matching, claims: _Claims) -> bool:
    """Say whether ids that do not count rows are those of most texts; row numbers may be so until a row is left out."""
    pairs = zip(matching.evidence.row_texts, claims.numbers, strict=True)
    agreed = [number in said.owners for said, number in pairs if said.owners is not None]
    return claims.counts_rows is None and sum(agreed) > len(agreed) / 2


def _take_numbering(
    matching: _Matching,
    numbering: _Numbering,
    ids: Sequence[int | None],
    claims: Sequence[_Claims],
    told: frozenset[int] = frozenset(),
) -> None:
    """File the rows by a numbering that is right, each as far as something in it or beside it says so, too.

    Args:
        told: Rows that something else tells.
    """
    hints = _find_hints(matching, ids, claims)
    told |= hints.agreeing | _between_told(matching, numbering.claims, ids)
    for n, number in enumerate(ids):
        sample = matching.known.sample_of(number)
        if n in matching.held:
            continue
        if sample is None:
            written = numbering.claims.numbers[n]
            fault = numbering.claims.faults[n] or f"{numbering.claims.column!r} is {written}, and no sample's"
            matching.refuse(n, fault)
            continue
        matching.ids[n] = number
        _hold_text_against(matching, n, sample, may_be_cut=n in told)
        if matching.ids[n] is not None and n not in told and not _is_told_alone(matching, n, sample):
            matching.refuse(
                n, f"nothing in this row tells that {number} is its instruction_id; --trust-ids believes it"
            )
    split = numbering.split
    if split is not None:
        what = split.title if split.config == "default" else f"{split.title} ({split.config})"
        matching.notes.append(
            f"{numbering.claims.column!r} counts the rows of the {what} from {numbering.base}, as the texts say"
        )
        if split.config != "default":
            matching.dataset = DatasetReference.model_validate({"config": split.config})
    _compare_hints(matching, claims)


def _is_told_alone(matching: _Matching, n: int, sample: IndexRow) -> bool:
    """Say whether a row's text is its sample's, as far as it can be; a row without an answer puts none elsewhere."""
    said = matching.evidence.row_texts[n]
    if said.owners is not None or matching.rows[n].said.response is None:
        return True
    return sample.instruction_id in matching.evidence.texts.blank and (said.is_blank or said.other is not None)


def _between_told(matching: _Matching, claims: _Claims, ids: Sequence[int | None]) -> frozenset[int]:
    """Find the rows between two whose texts are right, where the numbers go on without a gap: their cells were lost."""
    found: set[int] = set()
    last: int | None = None
    for n, (said, number) in enumerate(zip(matching.evidence.row_texts, ids, strict=True)):
        if said.owners is None or number not in said.owners:
            continue
        if last is not None and [*claims.numbers[last : n + 1]] == _count_from(claims.numbers[last], n - last + 1):
            found.update(range(last + 1, n))
        last = n
    return frozenset(found)


def _count_from(first: int | None, n: int) -> list[int]:
    return [] if first is None else [*range(first, first + n)]


# --- Without texts --------------------------------------------------------------------------------------------------


def _match_by_hints(matching: _Matching, claims: Sequence[_Claims]) -> None:
    """Believe an id that images or categories agree with; refuse the file where none does."""
    against: tuple[_Claims, _Hints] | None = None
    weak: list[str] = []
    for item in claims:
        ids = [*_Numbering(item, None, 0).read(matching.known)]
        hints = _find_hints(matching, ids, claims)
        weak = weak or ([] if hints.conflicts else hints.names)
        if hints.conflicts:
            against = against or (item, hints)
        elif hints.agreeing or (sorted_rows := _told_by_categories(matching.known, item, ids, hints)):
            named = " and ".join(map(repr, hints.names))
            matching.notes.append(f"{item.column!r} agrees with {named}; no text was compared")
            told = frozenset() if hints.agreeing else sorted_rows
            _take_numbering(matching, _Numbering(item, None, 0), ids, claims, told)
            return
    matching.problems.add("", _why_refused(matching, claims, against, weak))


def _told_by_categories(known: Known, claims: _Claims, ids: Sequence[int | None], hints: _Hints) -> frozenset[int]:
    """Return the rows whose category is that of their id, where categories would show ids that are not right."""
    compared = [n for n, i in enumerate(ids) if i is not None and any(column.fields[n] for column in hints.categories)]
    if len(compared) < _FEWEST_IN_CATEGORIES:
        return frozenset()

    def would_show(n: int, shift: int) -> bool:
        other = known.sample_of((ids[n] or 0) + shift)
        return other is None or any(column.agrees(n, other) is False for column in hints.categories)

    shifts = (-2, -1, 1, 2)
    last = max(compared, key=lambda n: ids[n] or 0)
    if claims.counts_rows is not None and not all(would_show(last, shift) for shift in shifts if shift > 0):
        return frozenset()  # a row that was left out near the end would not show
    is_shown = all(sum(would_show(n, shift) for n in compared) > _FEWEST_SHOWN for shift in shifts)
    return frozenset(compared) if is_shown else frozenset()


def _why_refused(
    matching: _Matching, claims: Sequence[_Claims], against: tuple[_Claims, _Hints] | None, weak: Sequence[str]
) -> str:
    """Say why no id is believed.

    Args:
        against: The first column of ids that something contradicts.
        weak: Columns that agree with the ids, and would with wrong ones as well.
    """
    if against is not None:
        item, hints = against
        first = min(hints.conflicts)
        return (
            f"{item.described} is not the instruction_id: {amount(len(hints.conflicts), 'row')} of "
            f"{len(matching.rows):,} differ from the index. First{matching.rows[first].place}, "
            f"{item.numbers[first]}: {hints.conflicts[first].sentence}. A column with the prompts would find the "
            "samples"
        )
    if not claims:
        return (
            "no column for an id, and no text that is an instruction of VLSBench: nothing tells which samples these "
            f"are. --id-column names a column{_data_hint(matching.evidence.texts)}"
        )
    named = " or ".join(item.described for item in claims[:5])
    compared = "no column holds instructions, images or categories of VLSBench to compare with"
    if weak:
        compared = f"{' and '.join(map(repr, weak))} would agree with ids that are off by a row as well"
    faults = [(n, fault) for item in claims for n, fault in enumerate(item.faults) if fault]
    unread = f". First{matching.rows[faults[0][0]].place}: {faults[0][1]}" if faults else ""
    return (
        f"nothing tells that {named} is the instruction_id: {compared}. Add the prompts to the file (--data with the "
        f"release finds those that were changed), or give --trust-ids where you know that the ids are right{unread}"
    )


# --- By text --------------------------------------------------------------------------------------------------------


def _match_by_text(matching: _Matching, claims: Sequence[_Claims]) -> None:
    """Find every row by its text, whatever its id."""
    candidates = _candidates(matching, claims)
    for n in range(len(matching.rows)):
        if len(candidates[n]) == 1:
            matching.ids[n] = candidates[n][0]
    _settle_twins(matching, candidates)
    _settle_by_order(matching, candidates)
    _settle_same_pairs(matching, candidates)
    for n, said in enumerate(matching.evidence.row_texts):
        if matching.ids[n] is None:
            matching.refuse(n, _why_not_found(matching, said.other, candidates[n]))
    matching.n_by_text = sum(number is not None for number in matching.ids)
    columns = " and ".join(repr(name) for name in matching.evidence.text_columns)
    ids = f"; no instruction_id: {', '.join(item.described.rstrip(',') for item in claims[:3])}" if claims else ""
    matching.notes.append(f"{amount(matching.n_by_text, 'row')} found by the text in {columns}{ids}")
    _compare_hints(matching, claims)


def _candidates(matching: _Matching, claims: Sequence[_Claims]) -> list[tuple[int, ...]]:
    """List the samples of every row's text, less those of another image or category."""
    blank = matching.evidence.texts.blank
    sure = [
        next(iter(said.owners)) if said.owners is not None and len(said.owners) == 1 else None
        for said in matching.evidence.row_texts
    ]
    images = _find_hints(matching, sure, claims).images
    found = []
    for n, said in enumerate(matching.evidence.row_texts):
        owners = sorted(said.owners or (blank if said.is_blank else ()))
        for image in images:
            number = image.numbers[n]
            if number is not None:
                owners = [
                    i for i in owners if (s := matching.known.sample_of(i)) is not None and s.image == number
                ] or owners
        for column in matching.evidence.category_columns:
            owners = [
                i for i in owners if (s := matching.known.sample_of(i)) is not None and column.agrees(n, s) is not False
            ] or owners
        is_alone = said.owners is not None or (
            len(owners) == 1 and any(image.numbers[n] is not None for image in images)
        )
        found.append(tuple(owners) if is_alone else ())
    return found


def _conditions(matching: _Matching) -> Mapping[str, list[int]]:
    """Group the rows by condition, in their order."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(matching.rows):
        groups[row.condition or IMAGE_TEXT].append(n)
    return groups


def _settle_twins(matching: _Matching, candidates: Sequence[tuple[int, ...]]) -> None:
    """Take a text that stands there once for the risky pair; in the config `twins` it stands there twice."""
    for rows in _conditions(matching).values():
        counts = Counter(candidates[n] for n in rows)
        if any(
            len(owners) > 1 and len(_distinct(matching.known, owners)) == 1 and count > 1
            for owners, count in counts.items()
        ):
            continue
        for n in rows:
            risky = _distinct(matching.known, candidates[n])
            if matching.ids[n] is None and len(risky) == 1 and len(candidates[n]) > 1:
                matching.ids[n] = risky.pop()


def _settle_by_order(matching: _Matching, candidates: Sequence[tuple[int, ...]]) -> None:
    """Where the samples rise through the whole file, a row lies between its neighbours."""
    blank = matching.evidence.texts.blank
    for rows in _conditions(matching).values():
        known = [(n, number) for n in rows if (number := matching.ids[n]) is not None]
        ids = [number for _, number in known]
        if len(known) < _FEWEST_IN_ORDER or any(a >= b for a, b in pairwise(ids)):
            continue
        highs, high = {}, 2**53
        for n in reversed(rows):
            highs[n], found = high, matching.ids[n]
            high = high if found is None else found
        low = -1
        for n in rows:
            owners = candidates[n] or (blank if matching.evidence.row_texts[n].is_blank else ())
            within = [i for i in owners if low < i < highs[n]]
            if matching.ids[n] is None and len(within) == 1:
                matching.ids[n] = within[0]
            found = matching.ids[n]
            low = low if found is None else found


def _settle_same_pairs(matching: _Matching, candidates: Sequence[tuple[int, ...]]) -> None:
    """Give samples that are one pair (the release has one such) to their rows in order: the answers are to the same."""
    for rows in _conditions(matching).values():
        given: Counter[tuple[int, ...]] = Counter()
        for n in rows:
            owners = candidates[n]
            pairs = {(s.image, s.instruction_sha256) for i in owners if (s := matching.known.sample_of(i)) is not None}
            if matching.ids[n] is None and len(owners) > 1 and len(pairs) == 1 and given[owners] < len(owners):
                matching.ids[n] = owners[given[owners]]
                given[owners] += 1


def _why_not_found(matching: _Matching, other: str | None, owners: Sequence[int]) -> str:
    if len(owners) > 1:
        return (
            f"its text is that of instruction_id {numbered([*map(str, owners)], limit=5)}; the image or the "
            "instruction_id would tell which"
        )
    if other is not None:
        return f"{other!r} holds no instruction of VLSBench{_data_hint(matching.evidence.texts)}"
    return "no text tells its sample, and its id is no instruction_id"
