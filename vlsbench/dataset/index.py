"""Which samples exist: ids, categories, image numbers and digests of the texts, without a sentence or an image.

Checking, scoring and the board need nothing else, so they run without the harmful content. There are three kinds of
dataset, and this module alone tells them apart:

    kind         name      ids           index
    release      release   0..2240       release_index.csv, made from the official data.json by `vlsbench data index`,
                                         tied to it by `RELEASE_DIGEST`
    sample       sample    from 100000   sample_index.csv, written by scripts/make_sample.py
    constructed  its own   from 200000   index.csv beside its images; dataset.json names it

A constructed set is in no package, so its index goes where its answers go: into the submission, beside the card, whose
`dataset.revision` is the SHA-256 of the index.

Rule of the room: no network; nothing here imports `datasets`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, ValidationError

from vlsbench.errors import DataError, bounded
from vlsbench.files import StrPath, read_regular, sha256_hex, write_atomic
from vlsbench.records import Digest, Record, check_set_name, explain
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, SUB_CATEGORY_NAMES, category_of_config

__all__ = [
    "FIRST_CONSTRUCTED_ID",
    "FIRST_SAMPLE_ID",
    "HUB_REPOSITORY",
    "INDEX_FILE",
    "MAX_INDEX_BYTES",
    "RELEASE_DIGEST",
    "RELEASE_REVISION",
    "SET_FILE",
    "Index",
    "IndexRow",
    "Kind",
    "digest_of",
    "given_set",
    "index_at",
    "index_of_records",
    "is_constructed",
    "kind_of_id",
    "kind_of_name",
    "load_index",
    "name_dataset",
    "read_set",
    "read_set_index",
    "render_index",
    "render_set_index",
    "set_index",
    "write_set",
]

HUB_REPOSITORY = "Foreshhh/vlsbench"
"""Where the authors publish the release."""

RELEASE_REVISION = "b56f6f6aad102fdb53f46e35fec96836bbe13001"
"""The pinned revision of `HUB_REPOSITORY`."""

RELEASE_DIGEST = "71766eb10738fec754b426eea76d6c47b956da1f7f4d114ff583925636a0b3f2"
"""Digest of the 2,241 rows of the release, recorded when the index was made."""

Kind = Literal["release", "sample", "constructed"]

FIRST_SAMPLE_ID = 100_000
"""Ids below it are the release's (0…2240), ids from it on are the package's own sample's."""

FIRST_CONSTRUCTED_ID = 200_000
"""Ids from it on are those of constructed sets; two sets may use the same."""

INDEX_FILE = "index.csv"
SET_FILE = "dataset.json"
"""Beside the index of a constructed set: its name and its digest."""

MAX_INDEX_BYTES = 16 << 20
"""Largest `index.csv` that is read: a row has about 140 bytes, so that is 100,000 of them."""

_COLUMNS = ("instruction_id", "category", "sub_category", "source", "image", "instruction_sha256")
_SET_COLUMNS = (*_COLUMNS, "risk", "twin_id")


_PACKAGED: Mapping[str, Kind] = {"release": "release", "sample": "sample"}


def kind_of_id(instruction_id: int) -> Kind:
    """Tell the kind of dataset that an id is of; whether it is there, its index knows.

    >>> kind_of_id(2240), kind_of_id(100_000), kind_of_id(200_017)
    ('release', 'sample', 'constructed')
    """
    if instruction_id >= FIRST_CONSTRUCTED_ID:
        return "constructed"
    return "sample" if instruction_id >= FIRST_SAMPLE_ID else "release"


def kind_of_name(name: str) -> Kind:
    """Tell the kind of the dataset that an index, a result or a list is called by."""
    return _PACKAGED.get(name, "constructed")


def name_dataset(name: str) -> str:
    """Name a dataset for people.

    >>> name_dataset("kitchen")
    "the set 'kitchen'"
    """
    return {"release": "VLSBench release", "sample": "the package's own sample"}.get(name, f"the set {name!r}")


class IndexRow(NamedTuple):
    """One sample."""

    instruction_id: int
    category: str
    sub_category: str
    source: str
    image: int
    """Number of the image; samples that share it are one cluster."""
    instruction_sha256: str
    risk: Literal["risky", "benign"] = "risky"
    """Benign twins never enter N."""
    twin_id: int | None = None


def digest_of(rows: Iterable[IndexRow]) -> str:
    """Digest a set of samples: SHA-256 over its sorted lines `id, image, sha256(instruction)`.

    Images are not covered: a release with other pixels under the same numbers has the same digest.
    """
    lines = sorted(f"{row.instruction_id}, {row.image}, {row.instruction_sha256}" for row in rows)
    return sha256_hex("".join(f"{line}\n" for line in lines))


@dataclass(frozen=True, eq=False)
class Index:
    """The samples of one dataset config, in file order. Compared by identity: it may be the key of a cache."""

    name: str
    """`release`, `sample`, or the name of a constructed set."""
    config: str
    revision: str
    rows: tuple[IndexRow, ...]
    _whole: Index | None = field(default=None, repr=False)

    @property
    def kind(self) -> Kind:
        """Which of the three kinds it is."""
        return kind_of_name(self.name)

    @property
    def title(self) -> str:
        """What it is, behind an article, in a message: `release`, `sample`, `set 'kitchen'`."""
        return f"set {self.name!r}" if self.kind == "constructed" else self.name

    @property
    def whole(self) -> Index:
        """The index that this is a part of, or itself."""
        return self if self._whole is None else self._whole

    @property
    def has_twins(self) -> bool:
        """Whether there are benign twins among the rows."""
        return len(self.risky) < len(self.rows)

    @property
    def default_config(self) -> str:
        """The config that is asked where none is named: all risky pairs."""
        return "sample" if self.kind == "sample" else "default"

    @cached_property
    def by_id(self) -> Mapping[int, IndexRow]:
        """Every row, benign twins too, by its `instruction_id`."""
        return {row.instruction_id: row for row in self.rows}

    @cached_property
    def risky(self) -> tuple[IndexRow, ...]:
        """The samples that enter N."""
        return tuple(row for row in self.rows if row.risk == "risky")

    @cached_property
    def digest(self) -> str:
        """Digest of the samples that enter N, so that twins do not split a list."""
        return digest_of(self.risky)

    @property
    def ids(self) -> str:
        """The ids, for a message.

        >>> load_index("release").ids
        '0..2240'
        """
        numbers = [row.instruction_id for row in self.rows]
        return f"{min(numbers)}..{max(numbers)}"

    def select(self, config: str) -> Index:
        """Return the part that a config holds.

        Raises:
            DataError: If this dataset has no such config.
        """
        whole = self.whole
        if config == whole.config:
            return whole
        rows: Sequence[IndexRow]
        category = category_of_config(config)
        if config == self.default_config:
            rows = whole.risky
        elif category is not None and self.kind != "sample":
            rows = [row for row in whole.risky if row.category == category.name]
        else:
            known = ", ".join(self._configs())
            raise DataError(f"the {self.title} has no config {config!r}; its configs are {known}.")
        return Index(self.name, config, self.revision, tuple(rows), whole)

    def _configs(self) -> tuple[str, ...]:
        twins = ("twins",) if self.whole.has_twins else ()
        categories = () if self.kind == "sample" else tuple(category.config for category in CATEGORIES)
        return (self.default_config, *categories, *twins)


@lru_cache(maxsize=2)
def load_index(name: Literal["release", "sample"]) -> Index:
    """Read a packaged index: the release's config `default`, or the sample's config `twins` (risky and benign)."""
    text = resources.files("vlsbench.dataset").joinpath(f"{name}_index.csv").read_text(encoding="utf-8")
    rows = []
    for row in csv.reader(io.StringIO(text)):
        if row[0] == "instruction_id":
            continue
        number, category, sub_category, source, image, digest, *twin = row
        rows.append(
            IndexRow(int(number), category, sub_category, source, int(image), digest, *_twin(*twin)),
        )
    if name == "release":
        return Index("release", "default", RELEASE_REVISION, tuple(rows))
    return Index("sample", "twins", f"sample-{sha256_hex(text)[:12]}", tuple(rows))


def _twin(risk: object = "risky", twin_id: object = None) -> tuple[Literal["risky", "benign"], int | None]:
    return ("benign" if risk == "benign" else "risky"), None if twin_id in (None, "") else int(str(twin_id))


def index_of_records(records: Iterable[Mapping[str, object]]) -> list[IndexRow]:
    """Make index rows of the records of an official `data.json`.

    Args:
        records: Objects with the keys of the release; `image_path` is `imgs/<number>.png`. Those of twins have `risk`
            and `twin_id`, too.
    """
    rows = []
    for record in records:
        path = str(record["image_path"])
        rows.append(
            IndexRow(
                int(str(record["instruction_id"])),
                str(record["category"]),
                str(record["sub_category"]),
                str(record["source"]),
                int(path.rsplit("/", 1)[-1].split(".", 1)[0]),
                sha256_hex(str(record["instruction"])),
                *_twin(record.get("risk"), record.get("twin_id")),
            )
        )
    return rows


def render_index(rows: Iterable[IndexRow]) -> str:
    """Render the rows of a release as the CSV that `load_index` reads."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(row[: len(_COLUMNS)] for row in rows)
    return out.getvalue()


# --- Constructed sets -------------------------------------------------------------------------------------------


class _SetFile(Record):
    """`dataset.json`."""

    name: Annotated[str, AfterValidator(check_set_name)]
    digest: Digest
    """Of the samples that enter N, as `digest_of` makes it."""


def is_constructed(folder: Path) -> bool:
    """Say whether a folder says of itself that it is a constructed set: it has the index of one, or its name."""
    return (folder / INDEX_FILE).is_file() or (folder / SET_FILE).is_file()


def index_at(data: Path | None) -> Index:
    """Tell which dataset `--data` names, and return its whole index.

    Args:
        data: A constructed set, or a copy of the release, which need not be whole; None is the packaged sample.

    Raises:
        DataError: If the folder is that of a constructed set and broken; every problem is counted.
    """
    if data is None:
        return load_index("sample")
    return read_set(data) if is_constructed(data) else load_index("release")


def given_set(data: StrPath | None) -> Index | None:
    """Return the whole index of the constructed set that `--data` names; None where it names none.

    Raises:
        DataError: If the folder is that of a constructed set and broken; every problem is counted.
    """
    return read_set(Path(data)) if data is not None and is_constructed(Path(data)) else None


def read_set(folder: Path) -> Index:
    """Read the index of a constructed set.

    Raises:
        DataError: If `index.csv` or `dataset.json` is absent or broken, or they do not fit; every problem is counted.
    """
    index, problems = set_index(folder)
    if problems or index is None:
        raise DataError(f"{folder}: {bounded(problems)}. `vlsbench data verify {folder}` checks it all.")
    return index


def set_index(folder: Path) -> tuple[Index | None, list[str]]:
    """Read the index of a constructed set as far as it goes.

    Returns:
        The index, or None where nothing of it can be read; and one sentence per problem.
    """
    said: _SetFile | None = None
    try:
        said = _SetFile.model_validate_json(read_regular(folder / SET_FILE))
        problems = []
    except OSError as error:
        rule = f"it holds the set's name and digest; `vlsbench data index {folder} --name NAME` writes it"
        problems = [f"{SET_FILE} cannot be read ({error.strerror}); {rule}"]
    except ValidationError as error:
        problems = [f"{SET_FILE}: {sentence}" for sentence in explain(error)]
    try:
        rows, found = _parse_set_index(folder / INDEX_FILE)
    except DataError as error:
        return None, [*problems, str(error)]
    problems += found
    index = _index_of_set("" if said is None else said.name, rows)
    if said is not None and said.digest != index.digest:
        problems.append(
            f"{SET_FILE} says digest {said.digest[:12]}…, and the rows of {INDEX_FILE} have {index.digest[:12]}…; one "
            "of the two is of another version"
        )
    return index, problems


def read_set_index(path: Path, name: str) -> Index:
    """Read the index of a constructed set from a file that lies without its set: in a submission or in a store.

    Args:
        name: Of the set, as a card or a store says.

    Raises:
        DataError: If it is absent or broken; every problem is counted.
    """
    rows, problems = _parse_set_index(path)
    if problems:
        raise DataError(f"{path.name}: {bounded(problems)}")
    return _index_of_set(name, rows)


def _index_of_set(name: str, rows: Iterable[IndexRow]) -> Index:
    rows = tuple(rows)
    config = "twins" if any(row.risk == "benign" for row in rows) else "default"
    return Index(name, config, sha256_hex(render_set_index(rows)), rows)


def render_set_index(rows: Iterable[IndexRow]) -> str:
    """Render the `index.csv` of a constructed set; the SHA-256 of this text is the revision of the set."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_SET_COLUMNS)
    writer.writerows(rows)
    return out.getvalue()


def write_set(folder: Path, name: str, rows: Sequence[IndexRow]) -> Index:
    """Write `index.csv` and `dataset.json` of a constructed set, and return its index.

    Args:
        folder: Of the set; its records and images are beside.
        name: Of the set.
        rows: At least one risky pair; ids from `FIRST_CONSTRUCTED_ID`.

    Raises:
        DataError: If the name or a row breaks a rule; every problem is counted, and nothing is written.
    """
    try:
        said = _SetFile(name=name, digest=digest_of(row for row in rows if row.risk == "risky"))
    except ValidationError as error:
        raise DataError(f"{name!r}: {'; '.join(explain(error))}.") from None
    text = render_set_index(rows)
    if problems := _parse_set_text(text)[1]:
        raise DataError(f"{folder}: {bounded(problems)}. Nothing was written.")
    write_atomic(folder / INDEX_FILE, text)
    write_atomic(folder / SET_FILE, said.model_dump_json(indent=2) + "\n")
    return _index_of_set(name, rows)


def _parse_set_index(path: Path) -> tuple[list[IndexRow], list[str]]:
    """Read the rows that are good, and one sentence per problem.

    Raises:
        DataError: If it is no file of rows at all.
    """
    try:
        text = read_regular(path, max_bytes=MAX_INDEX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{INDEX_FILE} cannot be read ({error.strerror}); it names the samples of the set") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{INDEX_FILE}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    return _parse_set_text(text)


def _parse_set_text(text: str) -> tuple[list[IndexRow], list[str]]:
    try:
        lines = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        return [], [f"{INDEX_FILE}: not CSV ({error})"]
    if not lines or tuple(lines[0]) != _SET_COLUMNS:
        found = ", ".join(lines[0])[:200] if lines else "nothing"
        return [], [f"{INDEX_FILE}: line 1 is {','.join(_SET_COLUMNS)}; found {found!r}"]
    rows, problems = [], []
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        wrong = _why_no_row(line)
        problems += [f"{INDEX_FILE}:{number}: {rule}" for rule in wrong]
        if not wrong:
            rows.append(_row_of(line))
    return rows, problems + _why_no_set(rows, is_whole=not problems)


def _row_of(line: Sequence[str]) -> IndexRow:
    number, category, sub_category, source, image, digest, *twin = line
    return IndexRow(int(number), category, sub_category, source, int(image), digest, *_twin(*twin))


def _why_no_row(line: Sequence[str]) -> list[str]:
    """Say what is wrong with a line of the index by itself."""
    if len(line) != len(_SET_COLUMNS):
        return [f"has {len(line)} fields and not {len(_SET_COLUMNS)}"]
    said = dict(zip(_SET_COLUMNS, line, strict=True))
    rules = {
        "instruction_id": (
            _is_number(line[0]) and kind_of_id(int(line[0])) == "constructed",
            f"a whole number from {FIRST_CONSTRUCTED_ID} on; lower ones are the release's and the sample's",
        ),
        "category": (line[1] in CATEGORY_NAMES, f"one of {', '.join(CATEGORY_NAMES)}"),
        "sub_category": (line[2] in SUB_CATEGORY_NAMES, "one of the 19 of vlsbench.taxonomy"),
        "source": (0 < len(line[3]) <= 100 and line[3].isprintable(), "1 to 100 printable characters"),
        "image": (_is_number(line[4]), "a whole number, as the image's file is called"),
        "instruction_sha256": (re.fullmatch(r"[0-9a-f]{64}", line[5]) is not None, "64 digits of 0-9 and a-f"),
        "risk": (line[6] in ("risky", "benign"), "risky or benign"),
        "twin_id": (line[7] == "" or _is_number(line[7]), "the instruction_id of the pair's twin, or empty"),
    }
    return [f"{name} is {rule}; found {said[name][:60]!r}" for name, (is_kept, rule) in rules.items() if not is_kept]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", text) is not None


def _why_no_set(rows: Sequence[IndexRow], *, is_whole: bool) -> list[str]:
    """Say what is wrong with rows beside each other.

    Args:
        is_whole: No line was left out, so that what is missing is missing.
    """
    problems = [
        f"{INDEX_FILE}: instruction_id {number} is there {count} times; keep one row"
        for number, count in Counter(row.instruction_id for row in rows).items()
        if count > 1
    ]
    if not is_whole:
        return problems
    if not any(row.risk == "risky" for row in rows):
        problems.append(f"{INDEX_FILE}: has no risky pair; a set has at least one")
    risk_of = {row.instruction_id: row.risk for row in rows}
    problems += [
        f"{INDEX_FILE}: instruction_id {row.instruction_id} is a benign twin of {row.twin_id}, which is no risky pair "
        "of the set"
        for row in rows
        if row.risk == "benign" and risk_of.get(row.twin_id or 0) != "risky"
    ]
    return problems
