"""SOURCE in every container, and what is wrong with it in one sentence."""

from __future__ import annotations

import base64
import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from vlsbench.errors import DataError, HubError, UsageError
from vlsbench.leakage.columns import ColumnChoice
from vlsbench.leakage.features import TextFeatures
from vlsbench.leakage.items import read_items, same_files
from vlsbench.leakage.source import _table_of_dataset, open_source

N = 24
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ROWS = [
    {"uid": f"r{n}", "prompt": f"Who owns boat {n}, the red one?", "image": f"img/{n}.png", "topic": f"t{n % 2}"}
    for n in range(N)
]


def as_json(path: Path) -> Any:
    path.write_text(json.dumps(ROWS), encoding="utf-8")
    return path


def as_json_object(path: Path) -> Any:
    path.write_text(json.dumps({row["uid"]: {k: v for k, v in row.items() if k != "uid"} for row in ROWS}))
    return path


def as_json_in_object(path: Path) -> Any:
    path.write_text(json.dumps({"version": 2, "data": ROWS}))
    return path


def as_json_columns(path: Path) -> Any:
    path.write_text(json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]}))
    return path


def as_pandas_json(path: Path) -> Any:
    pd.DataFrame(ROWS).to_json(path)
    return path


def as_told_csv(path: Path) -> Any:
    path.write_text("sep=;\n" + as_csv(path, ";").read_text(encoding="utf-8-sig"), encoding="utf-8")
    return path


def as_piped_csv(path: Path) -> Any:
    return as_csv(path, "|")


def as_jsonl(path: Path) -> Any:
    path.write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def as_csv(path: Path, delimiter: str = ",") -> Any:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def as_tsv(path: Path) -> Any:
    return as_csv(path, "\t")


def as_xlsx(path: Path) -> Any:
    book = Workbook()
    assert book.active is not None
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append(list(row.values()))
    book.create_sheet("empty")
    book.save(path)
    return path


def as_parquet(path: Path) -> Any:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def as_link(path: Path) -> Any:
    path.symlink_to(as_json(path.with_name("there")))
    return path


def as_frame(path: Path) -> Any:
    return pd.DataFrame(ROWS)


def as_dataset(path: Path) -> Any:
    import datasets

    return datasets.Dataset.from_list(ROWS)


def as_dataset_dict(path: Path) -> Any:
    import datasets

    return datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS[:20]), test=datasets.Dataset.from_list(ROWS[20:]))


def as_saved(path: Path) -> Any:
    as_dataset_dict(path).save_to_disk(path)
    return str(path)


def as_shards(path: Path) -> Any:
    path.mkdir()
    for n in range(2):
        pq.write_table(pa.Table.from_pylist(ROWS[n::2]), path / f"train-{n}.parquet")
    return path


def as_image_folder(path: Path) -> Any:
    path.mkdir()
    (path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (path / "extra.csv").write_text("a,b\n1,2\n")
    return path


def as_list(path: Path) -> Any:
    return ROWS


@pytest.mark.parametrize(
    "write",
    [
        as_json,
        as_json_object,
        as_json_in_object,
        as_json_columns,
        as_pandas_json,
        as_told_csv,
        as_piped_csv,
        as_jsonl,
        as_csv,
        as_tsv,
        as_xlsx,
        as_parquet,
        as_link,
        as_frame,
        as_dataset,
        as_dataset_dict,
        as_saved,
        as_shards,
        as_image_folder,
        as_list,
    ],
)
def test_every_container_holds_the_same_items(write: Callable[[Path], Any], tmp_path: Path) -> None:
    found = read_items(write(tmp_path / "source"))
    assert {(item.text, item.image, item.category) for item in found.items} == {
        (row["prompt"], row["image"], row["topic"]) for row in ROWS
    }
    assert {item.id for item in found.items} == {row["uid"] for row in ROWS}
    assert (found.format, dict(found.n_dropped)) == ("guessed", {})


def test_images_in_cells_are_known_by_their_content_and_read_again(tmp_path: Path) -> None:
    cells = [{"bytes": PNG + bytes([n % 3]), "path": None} for n in range(N)]
    rows = [row | {"image": cell} for row, cell in zip(ROWS, cells, strict=True)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({key: pa.array([row[key] for row in rows], kind if key == "image" else None) for key in rows[0]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=5)
    found = read_items(tmp_path / "a.parquet")
    assert len({item.image for item in found.items}) == 3
    assert [found.picture(item) for item in found.items] == [cell["bytes"] for cell in cells]


def test_class_numbers_of_datasets_get_their_names(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(prompt=datasets.Value("string"), label=datasets.ClassLabel(names=["safe", "unsafe"]))
    data = datasets.Dataset.from_list([{"prompt": r["prompt"], "label": n % 2} for n, r in enumerate(ROWS)], features)
    data.to_parquet(tmp_path / "a.parquet")
    for source in (data, tmp_path / "a.parquet"):
        found = read_items(source)
        assert [item.labels["harm"] for item in found.items[:2]] == ["harmless", "harmful"]


def test_missing_cells_of_pandas_are_missing() -> None:
    frame = pd.DataFrame(ROWS)
    frame.loc[3, "prompt"] = None
    frame["topic"] = pd.array([pd.NA, *["x"] * (N - 1)], dtype="string")
    found = read_items(frame)
    assert dict(found.n_dropped) == {"empty text": 1}
    assert found.items[0].category is None


def test_a_text_that_is_not_a_number_is_missing(tmp_path: Path) -> None:
    rows = [row | ({"prompt": float("nan")} if n == 3 else {}) for n, row in enumerate(ROWS)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert dict(read_items(tmp_path / "a.json").n_dropped) == {"empty text": 1}


def test_half_a_character_in_json_can_be_written_again(tmp_path: Path) -> None:
    rows = [row | {"uid": f"{n}\ud800", "topic": f"t{n % 2}\udc00", "note": "\U0001f600"} for n, row in enumerate(ROWS)]
    for name, text in (("a.json", json.dumps(rows)), ("a.jsonl", "\n".join(map(json.dumps, rows)))):
        (tmp_path / name).write_text(text)
        found = read_items(tmp_path / name, ColumnChoice(source="note"))
        assert (found.items[1].id, found.items[1].labels["category"]) == ("1\ufffd", "t1\ufffd")
        assert found.items[1].labels["source"] == "\U0001f600"


def test_an_image_in_base64_text_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([row | {"image": f"{n}" + "A" * 5000} for n, row in enumerate(ROWS)]))
    found = read_items(tmp_path / "a.json", ColumnChoice(image="image"))
    assert found.picture(found.items[0]) is None
    assert same_files(found.items, found.pictures) == {}


def test_a_path_leads_no_further_than_beside_the_folder(tmp_path: Path) -> None:
    for name in ("own.png", "set/own.png", "img/beside.png"):
        _write(tmp_path / "all" / name, PNG)
    names = ["own.png", "../img/beside.png", "../../outside.png", "../all/../../outside.png"]
    _write(tmp_path / "outside.png", PNG)
    path = tmp_path / "all" / "set" / "a.json"
    path.write_text(json.dumps([row | {"image": names[n % 4]} for n, row in enumerate(ROWS)]))
    found = read_items(path)
    assert [found.picture(item) is not None for item in found.items[:4]] == [True, True, False, False]


def test_neither_a_whole_path_nor_a_link_leads_out(tmp_path: Path) -> None:
    inside, outside = tmp_path / "all" / "set" / "own.png", tmp_path / "outside.png"
    for place in (inside, outside):
        _write(place, PNG)
    (tmp_path / "all" / "set" / "link.png").symlink_to(outside)
    names = [str(inside), str(outside), "link.png"]
    path = tmp_path / "all" / "set" / "a.json"
    path.write_text(json.dumps([row | {"image": names[n % 3]} for n, row in enumerate(ROWS)]))
    found = read_items(path)
    assert [found.picture(item) is not None for item in found.items[:3]] == [True, False, False]


def test_a_cell_of_parquet_that_only_names_its_image_leads_no_further_either(tmp_path: Path) -> None:
    inside, outside = tmp_path / "all" / "set" / "own.png", tmp_path / "outside.png"
    for place in (inside, outside):
        _write(place, PNG)
    paths = ["own.png", str(inside), str(outside), "../../outside.png"]
    rows = [row | {"image": {"bytes": None, "path": paths[n % 4]}} for n, row in enumerate(ROWS)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "all" / "set" / "a.parquet")
    found = read_items(tmp_path / "all" / "set" / "a.parquet")
    assert [found.picture(item) is not None for item in found.items[:4]] == [True, True, False, False]


def test_a_downloaded_dataset_shows_no_image_from_elsewhere(tmp_path: Path) -> None:
    import datasets

    inside, outside = tmp_path / "set" / "own.png", tmp_path / "outside.png"
    for place in (inside, outside):
        _write(place, PNG)
    cells = [{"bytes": None, "path": str((inside, outside)[n % 2])} for n in range(N)]
    data = datasets.Dataset.from_list([row | {"image": cell} for row, cell in zip(ROWS, cells, strict=True)])
    data = data.cast_column("image", datasets.Image(decode=False))
    table = _table_of_dataset("", data, [inside.parent])
    first, second = itertools.islice(table.read(None), 2)
    assert first["image"].read() == PNG
    with pytest.raises(OSError, match="lies outside the folder"):
        second["image"].read()
    own = read_items(data)
    assert own.picture(own.items[1]) == PNG, "a table in memory is the caller's own"


def test_no_more_is_read_of_an_image_than_may_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlsbench.dataset.pictures.MAX_IMAGE_BYTES", len(PNG) - 1)
    _write(tmp_path / "big.png", PNG * 5)
    (tmp_path / "a.json").write_text(json.dumps([row | {"image": "big.png"} for row in ROWS]))
    found = read_items(tmp_path / "a.json")
    assert found.picture(found.items[0]) == PNG, "the limit and one byte more, by which it is known to be too large"


def test_a_snapshot_of_the_hubs_cache_is_read_through_its_links(tmp_path: Path) -> None:
    cache = tmp_path / "datasets--org--set"
    _write(cache / "blobs" / "0123", PNG)
    folder = cache / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "own.png").symlink_to("../../blobs/0123")
    (folder / "a.json").write_text(json.dumps([row | {"image": "own.png"} for row in ROWS]))
    found = read_items(folder)
    assert found.picture(found.items[0]) == PNG


def test_rows_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "{torn", "[1]"]))
    assert dict(read_items(tmp_path / "a.jsonl").n_dropped) == {"row that cannot be read": 2}


def test_answers_of_many_models_to_one_pair_are_one_item() -> None:
    rows = [row | {"response": f"Nobody {k}.", "model": f"m{k}"} for row in ROWS for k in range(3)]
    found = read_items(rows)
    assert (len(found), dict(found.n_dropped)) == (N, {"pair that is there already (a file of answers)": 2 * N})


def test_a_list_of_questions_is_an_item_each_with_one_image() -> None:
    rows = [{"questions": [f"Who is {n}?", f"Where is {n} now?"], "image": f"{n}.png"} for n in range(N)]
    found = read_items(rows)
    assert len(found) == 2 * N
    assert found.items[0].image == found.items[1].image
    assert len({item.id for item in found.items}) == 2 * N


def test_a_partial_run_says_so() -> None:
    assert read_items(ROWS, limit=21).notes == ("only the first 21 texts (--limit).",)


BAD: list[tuple[str, Callable[[Path], Any], str]] = [
    ("12 rows", lambda path: ROWS[:12], r"12 texts; an audit needs at least 20"),
    ("equal", lambda path: [row | {"prompt": "Who owns it?"} for row in ROWS], "all 24 texts are equal"),
    ("no text", lambda path: [{"a": n, "b": n * 2} for n in range(N)], "no text column"),
    ("no rows", lambda path: [], "no rows"),
    ("nothing there", lambda path: path, "neither a file or folder here nor a Hub id"),
    ("images only", lambda path: _write(path / "a.png", PNG).parent, "no table .* images alone have no text"),
    ("empty file", lambda path: _write(path, b" "), "empty"),
    ("pickle", lambda path: _write(path, b"\x80\x04."), "a pickle runs"),
    ("gzip", lambda path: _write(path, b"\x1f\x8b\x08"), "Unpack it first"),
    ("UTF-16", lambda path: _write(path, "a,b\n".encode("utf-16")), "not UTF-8"),
    ("torn JSON", lambda path: _write(path, b'[{"prompt": "a'), "Was it cut"),
    ("a number", lambda path: _write(path, b'{"a": 1}'), "a list of objects"),
    ("broken Parquet", lambda path: _write(path, b"PAR1" + b"x" * 30), "a broken Parquet file"),
    ("broken workbook", lambda path: _write(path, b"PK\x03\x04" + b"x" * 30), "not a workbook"),
    ("column twice", lambda path: _write(path, b"a,a\n1,2\n"), "'a' stand there twice"),
    ("sheet's column twice", lambda path: _sheet(path, [["prompt", "prompt"]]), "'prompt' stand there twice"),
    ("title over a sheet", lambda path: _sheet(path, [["My set"], [], ["prompt", "safe"]]), "take the title away"),
    ("no names", lambda path: _write(path, _lines(n=30)), "put a line `text` before it"),
    ("signs only", lambda path: [{"prompt": "? " * (n + 2)} for n in range(N)], "no text holds a word"),
]


def _lines(n: int) -> bytes:
    return "".join(f"Who owns boat {number}, the red one?\n".replace(",", "") for number in range(n)).encode()


def _sheet(path: Path, rows: list[list[str]]) -> Path:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row in [*rows, *([f"Who owns boat {n}?", f"Who has boat {n}?"] for n in range(N))]:
        sheet.append(row)
    workbook.save(path)
    return path


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("name", "make", "sentence"), BAD, ids=[case[0] for case in BAD])
def test_bad_input_is_one_sentence(name: str, make: Callable[[Path], Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        TextFeatures(read_items(make(tmp_path / "source")).texts)


def test_tables_of_different_columns_in_one_folder_are_refused(tmp_path: Path) -> None:
    as_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_text(json.dumps([{"question": row["prompt"]} for row in ROWS]))
    with pytest.raises(DataError, match="tables of different columns"):
        read_items(tmp_path)


def test_a_kind_of_object_that_is_not_read_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="found int"):
        open_source(3)


def test_a_hub_id_without_a_network_is_one_sentence() -> None:
    with pytest.raises(HubError, match="nobody/nothing: not a file or folder here, and the Hub gives no dataset"):
        read_items("nobody/nothing", ColumnChoice())
