"""A file of another tool, opened once and bounded before a library sees it.

Rule of the room: links, pipes and devices are refused; nothing is held that the limits below do not bound. Raises
`SubmissionError` where the file as a whole cannot be used; what is wrong with single rows goes into `Problems`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, Final
from xml.parsers import expat

from vlsbench.errors import SubmissionError, printable
from vlsbench.files import Line, open_regular, read_lines
from vlsbench.submission.check import MAX_PROBLEMS

__all__ = [
    "MAX_COLUMNS",
    "MAX_JSON_BYTES",
    "MAX_LINES",
    "MAX_PEER_LINE_BYTES",
    "MAX_ROWS",
    "MAX_SOURCE_BYTES",
    "MAX_UNPACKED_BYTES",
    "ZIP_ERRORS",
    "Problems",
    "Source",
    "check_members",
    "check_zip",
    "parse_json",
]

MAX_SOURCE_BYTES: Final = 512 << 20
"""Largest file taken, 512 MiB: 2,241 answers of 1,000 tokens under all five conditions are some 50 MB."""

MAX_JSON_BYTES: Final = 64 << 20
"""Largest JSON text that has to be parsed whole, 64 MiB: the objects take some ten times that."""

MAX_UNPACKED_BYTES: Final = 256 << 20
"""What a zip, or the texts of a Parquet file, may unpack to, 256 MiB: 2,241 full xlsx cells are 73 MB."""

MAX_PEER_LINE_BYTES: Final = 16 << 20
"""Longest line of a peer's JSONL, 16 MiB: a log line may carry a picture beside the answer."""

MAX_ROWS: Final = 100_000
"""Most rows taken, forty times the release: every sample under every condition, several times over."""

MAX_LINES: Final = 2_000_000
"""Most lines of a table, those within quoted cells among them: an answer of 32k tokens has some 3,000."""

MAX_COLUMNS: Final = 256
"""Most columns of a table; an xlsx row may claim 16,384 cells, and each would be filled."""

_MAX_MEMBERS: Final = 2 * MAX_ROWS
_MAX_TAGS: Final = 2_000_000
"""Most tags of a workbook. Under every condition the release has 11,205 rows, of which 20 columns take 1.8 million. An
empty cell costs openpyxl 8 us and 300 bytes, and tens of millions of them come out of a file of 1 MB."""

_MAX_STYLE_TAGS: Final = 100_000
"""Most tags of a workbook's other parts; Excel has 65,490 styles. One costs openpyxl 60 us: 33 kB took four minutes."""

_CELLS: Final = re.compile(r"xl/(worksheets/[^/]*|sharedStrings)\.xml", re.IGNORECASE)

_MEMBER: Final = b"PK\x01\x02"
"""Begins every entry in the list of members."""

_CHUNK: Final = 1 << 20

ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
"""What `zipfile` raises for a broken, encrypted or unknown member, and for one that lies before the file's begin."""


@dataclass
class Problems:
    """What is wrong with a file, as it is found: all are counted, the first `MAX_PROBLEMS` are kept."""

    name: str
    """Of the file, as the caller gave it."""
    shown: list[str] = field(default_factory=list)
    n: int = 0

    def add(self, place: str, rule: str) -> None:
        """Note a problem.

        Args:
            place: `:17` for a line, ` row 17`, ` sample 5`; empty for the file as a whole.
        """
        self.add_sentence(f"{self.name}{place}: {rule}")

    def add_sentence(self, sentence: str) -> None:
        """Note what is wrong with the file as a whole, in a sentence that begins with its name."""
        self.n += 1
        if len(self.shown) < MAX_PROBLEMS:
            self.shown.append(printable(sentence))


@dataclass(frozen=True)
class Source:
    """A regular file of a size that is taken."""

    path: Path
    size: int
    head: bytes
    """Its first 4 KiB."""

    @classmethod
    def open(cls, path: Path) -> Source:
        """Look at a file.

        Raises:
            SubmissionError: If it is not there, is no regular file, is empty or too large.
        """
        try:
            with open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                head = file.read(4096)
        except OSError as error:
            raise SubmissionError(f"{path}: cannot be read ({error.strerror}); SOURCE is one file.") from None
        if size == 0:
            raise SubmissionError(f"{path}: is empty. Was the run that wrote it stopped?")
        if size > MAX_SOURCE_BYTES:
            raise SubmissionError(
                f"{path}: {size:,} bytes; at most {MAX_SOURCE_BYTES:,} are taken. Write the answers without pictures "
                "and events."
            )
        return cls(path, size, head)

    def binary(self) -> BinaryIO:
        """Open it to read bytes."""
        return open_regular(self.path)

    def lines(self) -> Iterator[Line]:
        """Yield the non-blank lines, the long ones cut.

        Raises:
            SubmissionError: If it goes on and on, be it with blank lines.
        """
        try:
            yield from read_lines(self.path, max_bytes=MAX_PEER_LINE_BYTES, max_lines=3 * MAX_ROWS)
        except OSError as error:
            raise SubmissionError(f"{self.path}: cannot be read ({error.strerror}).") from None

    def whole(self) -> bytes:
        """Read all of a file that has to be parsed at once.

        Raises:
            SubmissionError: If it is larger than `MAX_JSON_BYTES`.
        """
        with self.binary() as file:
            data = file.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise SubmissionError(
                f"{self.path}: one JSON text of {self.size:,} bytes; at most {MAX_JSON_BYTES:,} are parsed at once. "
                "Write one object per line (JSONL), for Inspect the .eval format."
            )
        return data.removeprefix(b"\xef\xbb\xbf")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{twice[:80]!r} stands there twice in one object; keep one")
    return unique


def parse_json(data: bytes) -> Any:
    """Parse UTF-8 JSON. NaN and infinity become floats, which no field of ours takes.

    Raises:
        ValueError: If it is not JSON; the message is the end of a sentence.

    >>> parse_json(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
        ...
    ValueError: 'a' stands there twice in one object; keep one
    """
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}; write the file with encoding='utf-8'") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("JSON nested beyond reason; an answer is a text") from None


def _check_xml(name: str, chunk: bytes, parser: expat.XMLParserType) -> bool:
    """Feed a part of an XML file. Returns whether its root element was reached, behind which no DTD can stand."""
    seen: list[str] = []
    parser.StartElementHandler = lambda tag, _: seen.append(tag)

    def refuse(*_: object) -> None:
        raise SubmissionError(f"{name} declares a document type, which a spreadsheet never does")

    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(chunk, False)
    return bool(seen)


def check_zip(file: BinaryIO, where: object, *, max_bytes: int = MAX_UNPACKED_BYTES) -> list[str]:
    """Unpack every member once, in pieces, before a library does: bombs, lies and broken members end here.

    Args:
        where: Name of the file, for the message.

    Returns:
        The names of the members.

    Raises:
        SubmissionError: If the zip is broken or encrypted, has too many members, unpacks to more than `max_bytes` (as
            declared or in fact) or to more than `_MAX_TAGS` tags, or an XML member declares a document type (the root
            of entity bombs).
    """
    check_members(file, where)
    n_tags = n_style_tags = 0
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            declared = sum(member.file_size for member in members)
            if len(members) > _MAX_MEMBERS or declared > max_bytes:
                raise SubmissionError(
                    f"{where}: a zip of {len(members):,} files that unpacks to {declared:,} bytes; at most "
                    f"{max_bytes:,} are taken. Write the answers without pictures and events."
                )
            for member in members:
                found = _unpack(archive, member, where)
                n_tags += found
                n_style_tags += 0 if _CELLS.search(member.filename) else found
                if n_tags > _MAX_TAGS or n_style_tags > _MAX_STYLE_TAGS:
                    raise SubmissionError(
                        f"{where}: a workbook of {n_tags:,} tags in its first parts, {n_style_tags:,} of them not in "
                        f"cells; at most {_MAX_TAGS:,} and {_MAX_STYLE_TAGS:,} are read. Write CSV or JSONL."
                    )
            return [member.filename for member in members]
    except ZIP_ERRORS as error:
        raise SubmissionError(f"{where}: a broken or encrypted zip ({error}). Copy it again.") from None


def check_members(file: BinaryIO, where: object) -> None:
    """Count the members of a zip before `zipfile` lists them: it makes an object of 400 bytes of every 46.

    Raises:
        SubmissionError: If there are too many.
    """
    n_members, last = 0, b""
    file.seek(0)
    while chunk := file.read(_CHUNK):
        n_members += (last + chunk).count(_MEMBER)
        last = chunk[-len(_MEMBER) + 1 :]
    file.seek(0)
    if n_members > _MAX_MEMBERS:
        raise SubmissionError(f"{where}: a zip of {n_members:,} files; at most {_MAX_MEMBERS:,} are taken.")


@contextlib.contextmanager
def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """Open a member; what the decompressor of newer Inspect logs says of broken data becomes `zipfile`'s word."""
    zstandard = sys.modules.get("zstandard")
    unknown: type[Exception] = zipfile.BadZipFile if zstandard is None else zstandard.ZstdError
    try:
        with archive.open(member) as unpacked:
            yield unpacked
    except unknown as error:
        raise zipfile.BadZipFile(str(error)) from None


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: object) -> int:
    """Read one member to its end: `zipfile` stops at the declared size and then compares the checksum.

    Returns:
        How many tags it may have, where it may be XML.
    """
    is_xml = member.filename.endswith((".xml", ".rels"))
    is_json = member.filename.endswith((".json", ".jsonl"))
    parser = expat.ParserCreate() if is_xml else None
    n_tags = 0
    with _unpacked(archive, member) as unpacked:
        while chunk := unpacked.read(_CHUNK):
            n_tags += 0 if is_json else chunk.count(b"<")
            if parser is None:
                continue
            try:
                if _check_xml(member.filename, chunk, parser):
                    parser = None
            except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding nobody knows
                raise SubmissionError(f"{where}: {member.filename} is not XML ({error}). Save it again.") from None
            except SubmissionError as error:
                raise SubmissionError(f"{where}: {error}. Save it again as a plain .xlsx.") from None
    return n_tags
