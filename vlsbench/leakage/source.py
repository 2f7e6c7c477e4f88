"""SOURCE as tables of named cells: a file, a folder, a dataset of the Hub, or a table that is already in memory.

Rule of the room: a text stays the text that was written ("None", "NA" and "" too), so CSV does not go through pandas.
Pictures are named, never kept: 2.5 GB of images cost a digest each. A row that cannot be read is counted, and the
others are read on. Leaves out what the columns mean (`columns`, `formats`).
"""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from vlsbench.dataset.layout import places_of_images
from vlsbench.dataset.pictures import read_image
from vlsbench.errors import DataError, HubError, UsageError, numbered
from vlsbench.files import read_lines, sha256_hex

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "KEY_COLUMN",
    "UNREADABLE",
    "HubChoice",
    "PictureCell",
    "Row",
    "Source",
    "Table",
    "open_source",
]

Row = Mapping[str, Any]

KEY_COLUMN: Final = "(key)"
"""Column of the keys of a JSON file that is an object of objects."""

UNREADABLE: Final = "row that cannot be read"

_HEAD: Final = 1000
"""Rows looked at to guess columns."""

_MAX_LINE_BYTES: Final = 64 << 20
"""Longest line of JSON: a conversation with its image in base64 is some MB."""

_SUFFIXES: Final = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".xlsx")
_MAX_DEPTH: Final = 4
_NOT_DATA: Final = frozenset(
    {"dataset_info.json", "state.json", "dataset_infos.json", "dataset_dict.json", "dataset.json"}
)
_METADATA: Final = frozenset({"metadata.jsonl", "metadata.csv", "metadata.parquet"})
"""Tables of an image folder, as `datasets` defines it: where one is there, it is the table."""

_HUB_ID: Final = re.compile(r"(hf://datasets/)?(?P<id>[\w-][\w.-]*/[\w.-]+)")


@dataclass(frozen=True, slots=True)
class PictureCell:
    """An image that lies in a cell: by its own path where it has one, else by the digest of its bytes."""

    key: str
    read: Callable[[], bytes]


class HubChoice(NamedTuple):
    """Which part of a dataset on the Hub."""

    config: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows under names, read as often as asked."""

    name: str
    """File name without its ending, sheet, split or config."""
    columns: tuple[str, ...]
    read: Callable[[Sequence[str] | None], Iterator[Row]]
    """Yield the rows; of a wide file only the columns asked for."""
    folder: Path | None = None
    """Where relative image paths begin."""
    problems: Counter[str] = field(default_factory=Counter)
    """Rows that could not be read, by reason; filled while reading."""

    def head(self) -> list[Row]:
        """Return the first rows."""
        rows = []
        for row in self.read(None):
            rows.append(row)
            if len(rows) == _HEAD:
                break
        self.problems.clear()
        return rows


@dataclass(frozen=True)
class Source:
    """What SOURCE holds."""

    name: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


class _Frame(Protocol):
    """What is used of a `datasets.Dataset`."""

    features: Any
    column_names: list[str]


def open_source(source: Any, *, hub: HubChoice | None = None) -> Source:
    """Open SOURCE.

    Args:
        source: A path or a Hub id, a pandas `DataFrame`, a `datasets` `Dataset` or `DatasetDict`, or a list of rows.

    Raises:
        DataError: If nothing there can be read as a table; the message says what to do.
        HubError: If a Hub id does not lead to a dataset.
    """
    hub = hub or HubChoice()
    if isinstance(source, str | Path):
        return _open_name(str(source), hub)
    module = type(source).__module__.split(".")[0]
    if module == "pandas":
        return Source("DataFrame", (_table_of_frame(source),))
    if module == "datasets" and isinstance(source, Mapping):
        return Source("DatasetDict", tuple(_table_of_dataset(str(name), part) for name, part in source.items()))
    if module == "datasets" and hasattr(source, "column_names"):
        return Source("Dataset", (_table_of_dataset("", source),))
    if isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source):
        return Source("rows", (_table_of_rows("", source),))
    raise UsageError(
        f"SOURCE is a path, a Hub id, a pandas DataFrame, a datasets Dataset or a list of objects; found "
        f"{type(source).__name__}."
    )


def _open_name(name: str, hub: HubChoice) -> Source:
    path = Path(name).expanduser()
    if path.is_dir():
        return _open_folder(path)
    if path.exists():
        return Source(path.name, tuple(_tables_of_file(path)))
    match = _HUB_ID.fullmatch(name)
    if match and path.suffix.lower() not in _SUFFIXES:
        return _open_hub(match["id"], hub)
    raise DataError(f"{name}: neither a file or folder here nor a Hub id (ORG/NAME).")


# --- Files and folders --------------------------------------------------------------------------------------


def _open_folder(folder: Path) -> Source:
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return _open_saved(folder)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and len(path.relative_to(folder).parts) <= _MAX_DEPTH
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name not in _NOT_DATA
        and not (path.name == "index.csv" and path.with_name("dataset.json").is_file())  # a set's, without its texts
    )
    metadata = [path for path in files if path.name in _METADATA]
    chosen = metadata or files
    if not chosen:
        raise DataError(
            f"{folder}: no table (JSON, JSONL, CSV, XLSX, Parquet) is in this folder, so there is no text column; "
            "images alone have no text to audit."
        )
    tables: list[Table] = []
    notes = []
    for path in chosen:
        try:
            tables += _tables_of_file(path, root=folder)
        except DataError as error:
            if len(chosen) == 1:
                raise
            notes.append(f"left out: {error}")
    if not tables:
        raise DataError(f"{folder}: none of its {len(chosen)} files can be read as a table: {notes[0]}")
    return Source(folder.name, tuple(tables), tuple(notes))


def _open_saved(folder: Path) -> Source:
    import datasets

    loaded = datasets.load_from_disk(str(folder))
    parts = loaded.items() if isinstance(loaded, Mapping) else [("", loaded)]
    places = places_of_images(folder)
    return Source(folder.name, tuple(_table_of_dataset(str(name), part, places) for name, part in parts))


def _tables_of_file(path: Path, *, root: Path | None = None) -> list[Table]:
    folder = path.parent if root is None else root
    name = path.stem if root is None else str(path.relative_to(root).with_suffix(""))
    path = path.resolve()  # a snapshot of the Hub's cache is all links
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip():
        raise DataError(f"{path}: empty.")
    if head.startswith(b"PAR1"):
        return [_parquet_table(path, name, folder)]
    if head.startswith(b"PK\x03\x04"):
        return _workbook_tables(path, name, folder)
    if head[:1] == b"\x80" or path.suffix.lower() in (".pkl", ".pickle"):
        raise DataError(f"{path}: a pickle runs what its writer put in when it is read; write Parquet or JSONL.")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise DataError(f"{path}: compressed. Unpack it first.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) * 4 > len(head):
        raise DataError(f"{path}: not UTF-8 text, Parquet or XLSX. Save it as UTF-8.")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in (b"{", b"["):
        return _json_tables(path, name, folder)
    return [_separated_table(path, name, folder)]


def _json_tables(path: Path, name: str, folder: Path) -> list[Table]:
    lines = read_lines(path, max_bytes=_MAX_LINE_BYTES)
    first = next(lines, None)
    second = next(lines, None)
    is_object = first is not None and not first.is_too_long and _is_object(first.data)
    if is_object and (second is not None or path.suffix.lower() in (".jsonl", ".ndjson")):
        return [_json_lines_table(path, name, folder)]
    try:
        value = _load(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: neither JSON nor one object per line ({error}). Was it cut?") from None
    return [
        _table_of_rows(part or name, rows, folder=folder, source=str(path)) for part, rows in _rows_of_json(value, path)
    ]


_LONE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character, as JSON may escape it; alone it is no text that could be written as UTF-8."""


def _load(data: bytes) -> Any:
    """Read JSON; half a character without its other half becomes U+FFFD."""
    value = json.loads(data)
    return _whole(value) if _LONE.search(data) else value


def _whole(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_whole(name): _whole(part) for name, part in value.items()}
        case list():
            return [_whole(part) for part in value]
        case _:
            return value


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _rows_of_json(value: Any, path: Path) -> list[tuple[str, list[Row]]]:
    """Turn a JSON text into lists of rows: a list, an object of objects, an object of lists, an object of columns."""
    if isinstance(value, list):
        if value and all(isinstance(entry, str) for entry in value):
            return [("", [{"text": entry} for entry in value])]
        return [("", value)]
    if isinstance(value, dict) and value:
        if all(isinstance(entry, dict) for entry in value.values()):
            if _is_of_columns(list(value.values())):  # as `DataFrame.to_json` writes it
                numbers = next(iter(value.values()))
                return [("", [{name: cells[number] for name, cells in value.items()} for number in numbers])]
            return [("", [{KEY_COLUMN: key, **entry} for key, entry in value.items()])]
        lists = {key: entry for key, entry in value.items() if isinstance(entry, list)}
        of_rows = {key: entry for key, entry in lists.items() if entry and all(isinstance(e, dict) for e in entry)}
        if of_rows:
            return list(of_rows.items()) if len(of_rows) > 1 else [("", next(iter(of_rows.values())))]
        if len(lists) == len(value) and len({len(entry) for entry in lists.values()}) == 1:
            return [("", [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)])]
    raise DataError(f"{path}: the rule is a list of objects, or an object of them; found {type(value).__name__}.")


def _is_of_columns(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether objects are columns: each holds the same rows, under their numbers."""
    first = entries[0].keys()
    return bool(first) and all(key.isdigit() for key in first) and all(entry.keys() == first for entry in entries)


def _json_lines_table(path: Path, name: str, folder: Path) -> Table:
    problems: Counter[str] = Counter()

    def read(wanted: Sequence[str] | None) -> Iterator[Row]:
        for line in read_lines(path, max_bytes=_MAX_LINE_BYTES):
            try:
                value = None if line.is_too_long else _load(line.data)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                yield value if wanted is None else {key: value[key] for key in wanted if key in value}
            else:
                problems[UNREADABLE] += 1

    columns: dict[str, None] = {}
    for number, row in enumerate(read(None)):
        columns |= dict.fromkeys(row)
        if number == _HEAD:
            break
    return Table(name, tuple(columns), read, folder, problems)


def _refuse_twice(where: object, names: Sequence[str]) -> None:
    twice = sorted({column for column in names if column and names.count(column) > 1})
    if twice:
        raise DataError(f"{where}: the columns {', '.join(map(repr, twice))} stand there twice; keep one.")


_TOLD_SEPARATOR: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


def _separated_table(path: Path, name: str, folder: Path) -> Table:
    problems: Counter[str] = Counter()
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = file.readline()
    told = _TOLD_SEPARATOR.fullmatch(header.strip())  # as Excel writes it before a table
    delimiter = told[1] if told else max("\t;,|", key=header.count) if set("\t;,|") & set(header) else ","

    def records() -> Iterator[list[str]]:
        before = csv.field_size_limit(_MAX_LINE_BYTES)  # the limit is the process's, so it is put back
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from csv.reader(file, delimiter=delimiter)
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8.") from None
        except csv.Error as error:
            raise DataError(f"{path}: not a table ({error}).") from None
        finally:
            csv.field_size_limit(before)

    def without_told() -> Iterator[list[str]]:
        rows = records()
        if told:
            next(rows, None)
        return rows

    names = tuple(cell.strip() for cell in next(without_told(), []))
    _refuse_twice(path, names)

    def read(wanted: Sequence[str] | None) -> Iterator[Row]:
        rows = without_told()
        next(rows, None)
        for record in rows:
            if len(record) == len(names):
                yield dict(zip(names, record, strict=True))
            elif record:
                problems[UNREADABLE] += 1

    return Table(name, tuple(column for column in names if column), read, folder, problems)


def _workbook_tables(path: Path, name: str, folder: Path) -> list[Table]:
    import warnings

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    def open_sheets() -> Any:
        with warnings.catch_warnings(action="ignore"):  # of styles that it leaves out
            return load_workbook(io.BytesIO(path.read_bytes()), read_only=True, data_only=True, keep_links=False)

    def read_sheet(title: str) -> Iterator[tuple[Any, ...]]:
        workbook = open_sheets()
        try:
            sheet = workbook[title]
            sheet.reset_dimensions()  # what the file claims; rows beyond it would be left out
            yield from sheet.iter_rows(values_only=True)
        finally:
            workbook.close()

    try:
        workbook = open_sheets()
        titles = list(workbook.sheetnames)
        workbook.close()
        heads = {title: _first_filled(read_sheet(title)) for title in titles}
        widths = {title: _second_width(read_sheet(title)) for title in titles}
    # openpyxl answers a workbook that is not one with any of these.
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a workbook that can be read ({error}). Save it again as .xlsx.") from None
    filled = [title for title, cells in heads.items() if cells]
    if not filled:
        raise DataError(f"{path}: every sheet is empty.")

    def table(title: str) -> Table:
        names = tuple("" if cell is None else str(cell).strip() for cell in heads[title])
        _refuse_twice(f"{path}, sheet {title!r}", names)
        if widths[title] > 1 == sum(map(bool, names)):
            raise DataError(
                f"{path}, sheet {title!r}: the first row names one column ({names[0]!r}), the next one fills "
                f"{widths[title]} cells. The rule is names in the first row; take the title away."
            )

        def read(wanted: Sequence[str] | None) -> Iterator[Row]:
            is_header = True
            for cells in read_sheet(title):
                if all(cell is None for cell in cells):
                    continue
                if is_header:
                    is_header = False
                    continue
                yield {column: cell for column, cell in zip(names, cells, strict=False) if column}

        columns = tuple(dict.fromkeys(column for column in names if column))
        return Table(name if len(filled) == 1 else title, columns, read, folder)

    return [table(title) for title in filled]


def _second_width(rows: Iterable[tuple[Any, ...]]) -> int:
    """Count the filled cells of the second row that has any."""
    filled = (n for cells in rows if (n := sum(cell is not None for cell in cells)))
    next(filled, 0)
    return next(filled, 0)


def _first_filled(rows: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return next((cells for cells in rows if any(cell is not None for cell in cells)), ())


def _parquet_table(path: Path, name: str, folder: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: a broken Parquet file ({str(error).splitlines()[0]}). Write it again.") from None
    class_names = _class_names(schema.metadata)
    pictures = {
        field_.name
        for field_ in schema
        if pa.types.is_struct(field_.type) and {"bytes", "path"} <= {child.name for child in field_.type}
    }

    def read(wanted: Sequence[str] | None) -> Iterator[Row]:
        columns = [column for column in schema.names if wanted is None or column in wanted]
        try:
            with pq.ParquetFile(path) as file:
                start = 0
                for batch in file.iter_batches(batch_size=64 if pictures & set(columns) else 4096, columns=columns):
                    for number, row in enumerate(batch.to_pylist(), start=start):
                        yield _named_cells(row, pictures, class_names, path, number)
                    start += batch.num_rows
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"{path}: a broken Parquet file ({str(error).splitlines()[0]}). Write it again.") from None

    return Table(name, tuple(schema.names), read, folder)


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Read the names of class numbers, which `datasets` keeps beside the schema."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {
        name: list(feature["names"])
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature
    }


def _named_cells(
    row: dict[str, Any], pictures: set[str], class_names: Mapping[str, list[str]], path: Path, number: int
) -> Row:
    for column in pictures & row.keys():
        cell = row[column]
        # A path alone is a name like any in a table: looked for beside the file, and nowhere else.
        if cell is not None and not cell.get("bytes"):
            row[column] = cell.get("path")
        elif cell is not None:
            row[column] = _picture_cell(cell, _parquet_reader(path, column, number))
    for column, names in class_names.items():
        cell = row.get(column)
        if isinstance(cell, int) and 0 <= cell < len(names):
            row[column] = names[cell]
    return row


def _picture_cell(
    cell: Mapping[str, Any], read: Callable[[], bytes], places: Sequence[Path] | None = None
) -> PictureCell | None:
    data = cell.get("bytes")
    if data:
        return PictureCell(sha256_hex(data)[:32], read)
    path = cell.get("path")
    return PictureCell(str(path), lambda: _read_named(Path(str(path)), places)) if path else None


def _read_named(path: Path, places: Sequence[Path] | None) -> bytes:
    """Read the image that a cell names.

    Args:
        places: Folders that it must lie in, links followed; None where the table is the caller's own.

    Raises:
        OSError: If it lies elsewhere, is not there or is no file.
    """
    real = path.resolve()
    if places is not None and not any(real.is_relative_to(place.resolve()) for place in places):
        raise OSError(errno.EACCES, "lies outside the folder of downloads", str(path))
    return read_image(real)


def _parquet_reader(path: Path, column: str, number: int) -> Callable[[], bytes]:
    def read() -> bytes:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            start = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if number < start + rows:
                    cell = file.read_row_group(group, columns=[column]).column(column)[number - start].as_py()
                    return bytes(cell["bytes"])
                start += rows
        raise DataError(f"{path}: row {number} is not there any more.")

    return read


# --- Tables in memory and on the Hub ------------------------------------------------------------------------


def _table_of_rows(name: str, rows: Sequence[Any], *, folder: Path | None = None, source: str = "the list") -> Table:
    if not rows:
        raise DataError(f"{source}: no rows.")
    problems: Counter[str] = Counter()

    def read(wanted: Sequence[str] | None) -> Iterator[Row]:
        for row in rows:
            if isinstance(row, Mapping):
                yield row
            else:
                problems[UNREADABLE] += 1

    columns = dict.fromkeys(key for row in rows[:_HEAD] if isinstance(row, Mapping) for key in row)
    if not columns:
        raise DataError(f"{source}: the rule is a list of objects; found {type(rows[0]).__name__}.")
    return Table(name, tuple(str(column) for column in columns), read, folder, problems)


def _table_of_frame(frame: pd.DataFrame) -> Table:
    import pandas as pd

    if frame.columns.duplicated().any():
        twice = sorted(map(str, frame.columns[frame.columns.duplicated()]))
        raise DataError(f"the DataFrame has the columns {numbered(twice)} twice; keep one.")
    names = {str(column): column for column in frame.columns}

    def read(wanted: Sequence[str] | None) -> Iterator[Row]:
        columns = [name for name in names if wanted is None or name in wanted]
        cells = [frame[names[name]].array for name in columns]
        for number in range(len(frame)):
            row = {name: values[number] for name, values in zip(columns, cells, strict=True)}
            yield {name: None if _is_missing(pd, cell) else _plain(cell) for name, cell in row.items()}

    return Table("", tuple(names), read)


def _is_missing(pd: Any, cell: Any) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell)


def _plain(cell: Any) -> Any:
    """Turn a number or an array of numpy into Python's own, and an image that was decoded into a picture."""
    if type(cell).__module__.split(".")[0] == "PIL":
        return _decoded_picture(cell)
    if isinstance(cell, Mapping) and "bytes" in cell and "path" in cell:
        return _picture_cell(cell, lambda: bytes(cell["bytes"]))
    return cell.tolist() if hasattr(cell, "tolist") else cell


def _decoded_picture(image: Any) -> PictureCell:
    def read() -> bytes:
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()

    return PictureCell(sha256_hex(image.tobytes())[:32], read)


def _table_of_dataset(name: str, dataset: _Frame, places: Sequence[Path] | None = None) -> Table:
    import datasets

    features = dataset.features
    pictures = {column for column, feature in features.items() if isinstance(feature, datasets.Image)}
    class_names = {
        column: list(feature.names) for column, feature in features.items() if isinstance(feature, datasets.ClassLabel)
    }
    undecoded: Any = dataset
    for column in pictures:  # decoding 2,241 images to read their texts would take minutes
        undecoded = undecoded.cast_column(column, datasets.Image(decode=False))

    def read(wanted: Sequence[str] | None) -> Iterator[Row]:
        columns = [column for column in dataset.column_names if wanted is None or column in wanted]
        for number, row in enumerate(undecoded.select_columns(columns)):
            cells = dict(row)
            for column in pictures & cells.keys():
                cell = cells[column]
                cells[column] = (
                    None if cell is None else _picture_cell(cell, _dataset_reader(undecoded, column, number), places)
                )
            for column, names in class_names.items():
                cell = cells.get(column)
                if isinstance(cell, int) and 0 <= cell < len(names):
                    cells[column] = names[cell]
            yield cells

    return Table(name, tuple(dataset.column_names), read)


def _dataset_reader(dataset: Any, column: str, number: int) -> Callable[[], bytes]:
    return lambda: bytes(dataset[number][column]["bytes"])


def _open_hub(name: str, choice: HubChoice) -> Source:
    import datasets
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        configs = datasets.get_dataset_config_names(name)
        if choice.config is not None and choice.config not in configs:
            raise UsageError(f"{name} has no config {choice.config!r}; it has {numbered(configs)}.")
        used = [choice.config or "default"] if choice.config or "default" in configs else configs
        tables = []
        downloads = [Path(place) for place in (datasets.config.HF_CACHE_HOME, constants.HF_HUB_CACHE)]
        for config in used:
            parts = datasets.load_dataset(name, config)
            if choice.split is not None and choice.split not in parts:
                raise UsageError(f"{name} has no split {choice.split!r} in {config}; it has {numbered(sorted(parts))}.")
            for split, part in parts.items():
                if choice.split in (None, split):
                    tables.append(_table_of_dataset(f"{config}/{split}", part, downloads))
    # `datasets` answers a set that it cannot find, reach or read with any of these.
    except (
        FileNotFoundError,
        ConnectionError,
        OfflineModeIsEnabled,
        HfHubHTTPError,
        ValueError,
        RuntimeError,
    ) as error:
        reason = " ".join(str(error).split())[:300]
        raise HubError(
            f"{name}: not a file or folder here, and the Hub gives no dataset of this name ({reason}). Check the name, "
            "log in where it is gated (hf auth login), or download it and name the folder."
        ) from None
    notes = []
    if choice.config is None and len(configs) > len(used):
        notes.append(f"read: config {', '.join(used)}; others are {numbered([c for c in configs if c not in used])}.")
    return Source(name, tuple(tables), tuple(notes))
