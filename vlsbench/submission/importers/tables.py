"""Tables as files hold them: JSONL, a JSON list, CSV, TSV, Parquet and xlsx become rows of named cells.

Rule of the room: a text stays the text that was written ("None", "NA" and "" too), so nothing here goes through
pandas. A row that cannot be read is a problem with its place; the others are read on.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Literal, NamedTuple
from xml.etree.ElementTree import ParseError

from vlsbench.errors import SubmissionError
from vlsbench.files import MAX_LINE_BYTES
from vlsbench.submission.importers.source import (
    MAX_COLUMNS,
    MAX_JSON_BYTES,
    MAX_LINES,
    MAX_PEER_LINE_BYTES,
    MAX_ROWS,
    MAX_SOURCE_BYTES,
    MAX_UNPACKED_BYTES,
    ZIP_ERRORS,
    Problems,
    Source,
    check_members,
    check_zip,
    parse_json,
)
from vlsbench.submission.importers.texts import MAX_TEXT_CHARACTERS

__all__ = [
    "MAX_CELL_CHARACTERS",
    "Cells",
    "Container",
    "Glimpse",
    "Sniffed",
    "glimpse",
    "is_cut_cell",
    "read_table",
    "sniff",
]

Container = Literal["jsonl", "json", "csv", "tsv", "parquet", "xlsx", "zip"]

MAX_CELL_CHARACTERS: Final = 32_767
"""What Excel holds in a cell; xlsxwriter cuts longer texts there and goes on."""

_ESCAPED: Final = re.compile(r"_x00([01][0-9A-Fa-f])_")
"""A control sign as a workbook holds it (a carriage return is _x000D_), which openpyxl leaves as it is. Other signs are
not written so; openpyxl has by then undone what marks a text that reads so itself."""

_BATCH_ROWS: Final = 64


class Cells(NamedTuple):
    """One row."""

    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Sniffed:
    """What a file is, by its content."""

    container: Container
    whole: Any = None
    """The value, where the file is one JSON text; an object on one line is that, and a row of JSON lines as well."""
    columns: tuple[str, ...] = ()
    """Of CSV and TSV the header, of JSON the keys of the first row, of a zip its members; `glimpse` opens the rest."""
    first: Mapping[str, Any] = field(default_factory=dict)
    """Of JSON the first row."""
    delimiter: str = ","
    """Of CSV and TSV."""


class Glimpse(NamedTuple):
    """What formats are told apart by."""

    container: Container
    names: frozenset[str]
    """Columns of a table, members of a zip."""
    first: Mapping[str, Any]
    """The first row of JSON, which may hold objects; of other tables empty."""
    whole: Any
    """The value, where the file is one JSON text."""

    def has_keys(self, *names: str) -> bool:
        """Say whether the file is one object that has these keys."""
        return isinstance(self.whole, dict) and self.whole.keys() >= set(names)


# --- What is it? --------------------------------------------------------------------------------------------


def sniff(source: Source) -> Sniffed:
    """Tell what a file is by its content.

    Raises:
        SubmissionError: If it is of a kind that is not read; the message says what to do.
    """
    head = source.head
    if (head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")) or source.path.suffix in (".pkl", ".pickle"):
        raise SubmissionError(
            f"{source.path}: a pickle, which runs whatever its writer put in when it is read; it is never opened. "
            "Write xlsx, tsv or json (VLMEvalKit: PRED_FORMAT=json)."
        )
    if head.startswith(b"PAR1"):
        return Sniffed("parquet")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _sniff_zip(source)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise SubmissionError(f"{source.path}: an old .xls or an encrypted workbook. Save it as a plain .xlsx.")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise SubmissionError(f"{source.path}: compressed. Unpack it first.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) * 4 > len(head):  # one NUL is a sign like others
        raise SubmissionError(
            f"{source.path}: not UTF-8 text (UTF-16, or binary). Save it with encoding='utf-8'; Excel calls it "
            "CSV UTF-8."
        )
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return _sniff_json(source) if start in (b"{", b"[") else _sniff_separated(source)


def _sniff_zip(source: Source) -> Sniffed:
    import zipfile

    try:
        with source.binary() as file:
            check_members(file, source.path)
            with zipfile.ZipFile(file) as archive:
                names = tuple(archive.namelist())
    except ZIP_ERRORS as error:
        raise SubmissionError(f"{source.path}: a broken zip ({error}). Copy it again.") from None
    return Sniffed("xlsx") if "xl/workbook.xml" in names else Sniffed("zip", columns=names)


def _sniff_json(source: Source) -> Sniffed:
    lines = source.lines()
    first, second = next(lines, None), next(lines, None)
    value, reason = None, "a line of more than 16 MiB"
    if first is not None and not first.is_too_long:
        try:
            value, reason = parse_json(first.data), ""
        except ValueError as error:
            reason = str(error)
    is_rows = second is not None and second.data.lstrip()[:1] == b"{"
    if isinstance(value, dict):
        return Sniffed("jsonl", value if second is None else None, tuple(value), value)
    if value is not None:
        return _sniffed_json(value)
    if is_rows and first is not None and first.data.lstrip()[:1] == b"{":
        return Sniffed("jsonl")
    if source.size > MAX_JSON_BYTES:
        raise SubmissionError(
            f"{source.path}: one JSON text of {source.size:,} bytes; at most {MAX_JSON_BYTES:,} are parsed at once. "
            "Write one object per line (JSONL), for Inspect the .eval format."
        )
    try:
        return _sniffed_json(parse_json(source.whole()))
    except ValueError as error:
        raise SubmissionError(f"{source.path}: {error or reason}. Was it cut?") from None


def _sniffed_json(value: Any) -> Sniffed:
    rows = value if isinstance(value, list) else [value]
    first = rows[0] if rows and isinstance(rows[0], dict) else {}
    return Sniffed("json", value, tuple(first), first)


_DELIMITERS: Final = ("\t", ",", ";")


def _sniff_separated(source: Source) -> Sniffed:
    try:
        lines = _text_lines_of(source.head.splitlines(keepends=True)) if _ends_in_cr(source) else _header_lines(source)
        header = next((line for line in lines if line.strip()), "").strip("\r\n")
        declared = _declared_delimiter(header)
        if declared is not None:
            header = next((line for line in lines if line.strip()), "").strip("\r\n")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{source.path}:1: not UTF-8 at byte {error.start}; save it as UTF-8.") from None
    found = {sign: _split_header(header, sign, source) for sign in ((declared,) if declared else _DELIMITERS)}
    # A tab is in no name. A comma or a semicolon may be: the one that makes more columns is what separates them.
    is_tabbed = len(found.pop("\t", ())) > 1 or not found
    delimiter = "\t" if is_tabbed else max(found, key=lambda sign: len(found[sign]))
    names = _split_header(header, delimiter, source)
    return Sniffed("tsv" if is_tabbed else "csv", columns=names, delimiter=delimiter)


def _header_lines(source: Source) -> Iterator[str]:
    return (line.data.decode("utf-8") for line in source.lines())


def _text_lines_of(lines: Iterable[bytes]) -> Iterator[str]:
    for n, line in enumerate(lines):
        yield (line.removeprefix(b"\xef\xbb\xbf") if n == 0 else line).decode("utf-8")


def _split_header(header: str, delimiter: str, source: Source) -> tuple[str, ...]:
    try:
        names = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error as error:
        raise SubmissionError(f"{source.path}:1: not a table ({error}).") from None
    return tuple(name.strip() for name in names)


def _declared_delimiter(line: str) -> str | None:
    """Read the line that Excel puts before a table to say what separates its cells: `sep=;`."""
    match = re.fullmatch(r'"?sep=(.)"?', line.strip("\r\n"), re.IGNORECASE)
    return None if match is None else match[1]


def _ends_in_cr(source: Source) -> bool:
    """Say whether lines end in a carriage return alone, as those of old Macs and of some Excels do."""
    is_quoted = False
    for n, byte in enumerate(source.head):
        if byte == 0x22:
            is_quoted = not is_quoted
        elif byte in (0x0A, 0x0D) and not is_quoted:
            return byte == 0x0D and source.head[n + 1 : n + 2] != b"\n"
    return False


def glimpse(source: Source, sniffed: Sniffed) -> Glimpse:
    """Look at the names of the columns; of Parquet and workbooks that is to open them.

    Raises:
        SubmissionError: If that cannot be done.
    """
    names = sniffed.columns
    if sniffed.container in ("parquet", "xlsx"):
        row = next(read_table(source, sniffed, Problems(str(source.path)), wanted=lambda _: False), None)
        names = () if row is None else tuple(row.values)
    return Glimpse(sniffed.container, frozenset(names), sniffed.first, sniffed.whole)


# --- Rows ---------------------------------------------------------------------------------------------------


def read_table(
    source: Source, sniffed: Sniffed, problems: Problems, *, wanted: Callable[[str], bool]
) -> Iterator[Cells]:
    """Yield the rows of a table.

    Args:
        wanted: Says whether a column is used. Of a Parquet file such a column must hold what can be read; of the
            others, which may only be compared, what is long or of another kind is left out.

    Raises:
        SubmissionError: If the file as a whole cannot be read, or has more than `MAX_ROWS` rows.
    """
    rows: Iterator[Cells]
    match sniffed.container:
        case "jsonl":
            rows = _read_jsonl(source, problems)
        case "json":
            rows = _read_json(sniffed.whole, source, problems)
        case "csv" | "tsv":
            rows = _read_separated(source, sniffed.delimiter, problems)
        case "parquet":
            rows = _read_parquet(source, wanted)
        case "xlsx":
            rows = _read_xlsx(source, problems)
        case _:
            raise SubmissionError(f"{source.path}: a zip that is neither an xlsx nor a log. Unpack it first.")
    for n, row in enumerate(rows, start=1):
        if n > MAX_ROWS:
            raise SubmissionError(f"{source.path}: more than {MAX_ROWS:,} rows; the release has 2,241 samples.")
        yield row


def _read_jsonl(source: Source, problems: Problems) -> Iterator[Cells]:
    for n, line in enumerate(source.lines(), start=1):
        if n > MAX_ROWS:  # bad lines count too: a large file of them is not read to its end
            raise SubmissionError(f"{source.path}: more than {MAX_ROWS:,} lines; the release has 2,241 samples.")
        place = f":{line.number}"
        if line.is_too_long:
            problems.add(place, f"a line has at most {MAX_PEER_LINE_BYTES:,} bytes, this one has {line.size:,}")
            continue
        try:
            value = parse_json(line.data)
        except ValueError as error:
            problems.add(place, str(error))
            continue
        if isinstance(value, dict):
            yield Cells(place, value)
        else:
            problems.add(place, f"a line is an object, this one is {type(value).__name__}")


def _read_json(value: Any, source: Source, problems: Problems) -> Iterator[Cells]:
    if not isinstance(value, list | dict):
        raise SubmissionError(f"{source.path}: the rule is a list of objects; found {type(value).__name__}.")
    for n, entry in enumerate([value] if isinstance(value, dict) else value):
        if isinstance(entry, dict):
            yield Cells(f" entry {n}", entry)
        else:
            problems.add(f" entry {n}", f"an entry is an object, this one is {type(entry).__name__}")


class _RowTooLongError(ValueError):
    """A line of a table is longer than a line of a submission may be, or there are too many."""


def _text_lines(file: BinaryIO, *, ends_in_cr: bool) -> Iterator[str]:
    """Yield decoded lines with their ends, none longer than `MAX_PEER_LINE_BYTES`."""
    lines = _cr_lines(file) if ends_in_cr else iter(lambda: file.readline(MAX_PEER_LINE_BYTES + 1), b"")
    for number, data in enumerate(lines, 1):
        if len(data) > MAX_PEER_LINE_BYTES:
            raise _RowTooLongError(f"a line has at most {MAX_PEER_LINE_BYTES:,} bytes")
        if number > MAX_LINES:
            raise _RowTooLongError(f"a table has at most {MAX_LINES:,} lines")
        yield (data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data).decode("utf-8")


def _cr_lines(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(1 << 16):
        *lines, rest = (rest + chunk).split(b"\r")
        yield from (line + b"\r" for line in lines)
        if len(rest) > MAX_PEER_LINE_BYTES:
            break
    if rest:
        yield rest


@contextlib.contextmanager
def _field_limit(characters: int) -> Iterator[None]:
    """Allow cells of so many characters; the limit of `csv` is the process's, so it is put back."""
    before = csv.field_size_limit(characters)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_separated(source: Source, delimiter: str, problems: Problems) -> Iterator[Cells]:
    with source.binary() as file, _field_limit(MAX_LINE_BYTES):
        lines = _text_lines(file, ends_in_cr=_ends_in_cr(source))
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        line = 1
        header: tuple[str, ...] | None = None
        try:
            for record in reader:
                place, line = f":{line}", reader.line_num + 1
                if not record or (header is None and _declared_delimiter(delimiter.join(record)) is not None):
                    continue
                if header is None:
                    header = _check_header(record, source)
                elif len(record) != len(header):
                    problems.add(
                        place,
                        f"{len(record)} cells under {len(header)} columns; quote cells that hold {delimiter!r} or a "
                        "line break",
                    )
                else:
                    yield Cells(place, dict(zip(header, record, strict=True)))
        except (csv.Error, _RowTooLongError) as error:
            raise SubmissionError(f"{source.path}:{line}: not a table from here on ({error}).") from None
        except UnicodeDecodeError as error:
            raise SubmissionError(f"{source.path}:{line}: not UTF-8 ({error.reason}); save it as UTF-8.") from None


def _check_header(record: Iterable[object], source: Source) -> tuple[str, ...]:
    header = tuple("" if cell is None else str(cell).strip() for cell in record)
    if len(header) > MAX_COLUMNS:
        raise SubmissionError(f"{source.path}: {len(header):,} columns; at most {MAX_COLUMNS} are read.")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise SubmissionError(f"{source.path}: the columns {', '.join(map(repr, twice))} stand there twice; keep one.")
    return header


def _read_parquet(source: Source, wanted: Callable[[str], bool]) -> Iterator[Cells]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with source.binary() as file:
            opened = pq.ParquetFile(file)
            schema = opened.schema_arrow
            names = _check_header(schema.names, source)
            _check_parquet(opened.metadata, source)
            index = _pandas_index(schema.metadata, opened.metadata.num_rows)
            plans = {name: _plan_column(schema.field(name), source, is_wanted=wanted(name)) for name in names}
            used = [name for name in names if plans[name] is not None]
            texts = [path for name in used for path in plans[name] or ()]
            opened = pq.ParquetFile(file, read_dictionary=texts, buffer_size=_BATCH_ROWS << 10)
            row, total = 0, _Total(source)
            for batch in opened.iter_batches(batch_size=_BATCH_ROWS, columns=used, use_threads=False):
                columns = {name: total.read(batch.column(name), is_wanted=wanted(name)) for name in used}
                for n in range(batch.num_rows):
                    values = {name: columns[name][n] if name in columns else None for name in names}
                    numbers = {name: at[row] for name, at in index.items() if name not in values}
                    row += 1
                    yield Cells(f" row {row}", values | numbers)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise SubmissionError(f"{source.path}: a broken Parquet file ({reason}). Write it again.") from None


def _plan_column(field: Any, source: Source, *, is_wanted: bool) -> tuple[str, ...] | None:
    """Say which texts of a column are read as dictionaries; None where the column is not read at all.

    Texts, numbers and objects of them are read. Lists could unpack to anything, and hold no answer.
    """
    paths: list[str] = []
    if _find_texts(field, "", paths):
        return tuple(paths)
    if is_wanted:
        raise SubmissionError(
            f"{source.path}: column {field.name!r} holds {str(field.type)[:60]}; write it as text (objects as JSON)."
        )
    return None


def _find_texts(field: Any, above: str, paths: list[str]) -> bool:
    """Collect the paths of a column's texts; false where it holds something that is not read."""
    import pyarrow as pa

    kind, path = field.type, f"{above}{field.name}"
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        paths.append(path)
        return True
    if pa.types.is_struct(kind):
        inner = [kind.field(n) for n in range(kind.num_fields)]
        return len(inner) <= MAX_COLUMNS and all(_find_texts(item, f"{path}.", paths) for item in inner)
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    )


_MAX_COMPARED_BYTES: Final = 4 * MAX_TEXT_CHARACTERS
"""Of a text that is only compared; base64 of a picture is longer."""


class _Total:
    """Counts what the texts of a Parquet file unpack to, before they do."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._n_bytes = 0

    def read(self, column: Any, *, is_wanted: bool) -> list[Any]:
        """Return the cells of a column; a text that only might be compared and is too long becomes None."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not is_wanted and _is_dictionary(column.type):
            is_short = pc.less_equal(_sizes(column), _MAX_COMPARED_BYTES)
            indices = pc.if_else(is_short, column.indices, pa.scalar(None, column.indices.type))
            column = pa.DictionaryArray.from_arrays(indices, column.dictionary)
        self._count(column)
        if self._n_bytes > MAX_UNPACKED_BYTES:
            raise SubmissionError(f"{self._source.path}: texts of more than {MAX_UNPACKED_BYTES:,} bytes in all.")
        cells: list[Any] = column.to_pylist()
        return cells

    def _count(self, column: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if _is_dictionary(column.type):
            self._n_bytes += pc.sum(_sizes(column)).as_py() or 0
        elif pa.types.is_struct(column.type):
            for n in range(column.type.num_fields):
                self._count(column.field(n))


def _is_dictionary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_dictionary(kind)
        and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))
    )


def _sizes(column: Any) -> Any:
    """Return the bytes of every text."""
    import pyarrow.compute as pc

    return pc.take(pc.binary_length(column.dictionary), column.indices)


def _pandas_index(metadata: Mapping[bytes, bytes] | None, n_rows: int) -> dict[str, range]:
    """Return the index of a frame that pandas wrote as a range, in the file's metadata only, by its name."""
    found = {}
    try:
        described = parse_json((metadata or {}).get(b"pandas", b"{}"))
        for item in described.get("index_columns", []):
            if isinstance(item, dict) and item.get("kind") == "range":
                numbers = range(int(item["start"]), int(item["stop"]), int(item["step"]))
                if len(numbers) == n_rows:
                    found[str(item["name"] or "__index_level_0__")[:200]] = numbers
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return {}
    return found


def _check_parquet(metadata: Any, source: Source) -> None:
    if metadata.num_rows > MAX_ROWS or metadata.num_columns > MAX_COLUMNS:
        raise SubmissionError(
            f"{source.path}: {metadata.num_rows:,} rows and {metadata.num_columns:,} columns; at most {MAX_ROWS:,} and "
            f"{MAX_COLUMNS} are read."
        )
    # Of whole row groups: pyarrow 26 ends the process where the metadata of a single column are broken.
    declared = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    if declared > MAX_SOURCE_BYTES + MAX_UNPACKED_BYTES:
        raise SubmissionError(
            f"{source.path}: unpacks to {declared:,} bytes; at most {MAX_SOURCE_BYTES + MAX_UNPACKED_BYTES:,} are "
            "taken."
        )


def _read_xlsx(source: Source, problems: Problems) -> Iterator[Cells]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    with source.binary() as file:
        data = io.BytesIO(file.read())
    check_zip(data, source.path)
    data.seek(0)
    try:
        # data_only=False: a cell that looks like a formula is the text that was written, not a cached value.
        with warnings.catch_warnings(action="ignore"):  # of styles and print areas that it leaves out
            workbook = load_workbook(data, read_only=True, data_only=False, keep_links=False)
        sheet = workbook.worksheets[0]
        sheet.reset_dimensions()  # what the file claims; rows beyond it would be left out
        header: tuple[str, ...] | None = None
        for number, cells in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS + 1, values_only=True), start=1):
            if number > MAX_ROWS + 1:
                raise SubmissionError(f"{source.path}: more than {MAX_ROWS:,} rows; the release has 2,241 samples.")
            if all(cell is None for cell in cells):
                continue
            place = f" row {number}"
            if header is None:
                last = max(n for n, cell in enumerate(cells, start=1) if cell is not None)
                header = _check_header(cells[:last], source)
                continue
            row = {}
            for name, cell in zip(header, cells, strict=False):
                if not name:
                    continue
                text = _cell_text(cell)
                if text is None and cell is not None:
                    problems.add(place, f"column {name!r} holds a {type(cell).__name__}; format the column as text")
                row[name] = text
            yield Cells(place, row)
        for other in workbook.worksheets[1:]:
            other.reset_dimensions()
            if any(
                cell is not None for cells in other.iter_rows(max_row=1, max_col=8, values_only=True) for cell in cells
            ):
                problems.add("", f"a second sheet, {other.title!r}, is not empty; keep the one with the answers")
    # openpyxl answers a workbook that is not one with any of these; zip and XML were checked above.
    except (
        InvalidFileException,
        ParseError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        *ZIP_ERRORS,
    ) as error:
        raise SubmissionError(f"{source.path}: not a workbook that can be read ({error}). Save it again.") from None


def _cell_text(cell: object) -> str | int | float | None:
    """Render a cell as it was written; None for what Excel has made something else of (a date)."""
    if isinstance(cell, str):
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), cell)
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int | float):
        return cell
    formula = getattr(cell, "text", None)  # an array formula
    return formula if isinstance(formula, str) else None


def is_cut_cell(text: str) -> bool:
    """Say whether a text fills its cell, as one does that was cut there.

    Writers count code points, Excel itself counts UTF-16 units; either may be where it was cut.
    """
    return max(len(text), len(text.encode("utf-16-le", "surrogatepass")) // 2) >= MAX_CELL_CHARACTERS
