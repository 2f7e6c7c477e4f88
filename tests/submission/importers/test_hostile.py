"""Files made to hurt: each is one sentence, soon, and nothing is written. Some limits are lowered to stay small."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from effort import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlsbench.submission.importers import source, tables
from vlsbench.submission.importers.formats import ImportReport, import_file, render_import
from vlsbench.submission.importers.registry import FORMATS

Import = Callable[..., ImportReport]


def rezip(data: bytes, change: Callable[[str, bytes], bytes], *, more: dict[str, bytes] | None = None) -> bytes:
    """Write a zip again with changed members."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return out.getvalue()


def only(report: ImportReport) -> str:
    assert not report.ok
    assert report.directory is None
    assert report.n_problems == len(report.problems) == 1, report.problems
    assert "\n" not in report.problems[0]
    return report.problems[0]


@pytest.fixture
def book(workbook: Any) -> bytes:
    content: bytes = workbook([["instruction_id", "response"], [1, "x"]])
    return content


LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><l>&b;</l>'


@pytest.mark.parametrize(
    "member", ["xl/styles.xml", "xl/worksheets/sheet1.xml", "xl/workbook.xml", "[Content_Types].xml"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_workbook_that_declares_entities_is_refused(bring: Import, book: bytes, member: str, encoding: str) -> None:
    laughs = LAUGHS if encoding == "utf-8" else LAUGHS.decode().replace("?>", ' encoding="utf-16"?>').encode("utf-16")
    evil = rezip(book, lambda name, data: laughs if name == member else data)
    assert f"{member} declares a document type, which a spreadsheet never does" in only(bring(evil))


def test_a_workbook_whose_xml_is_broken_is_refused(bring: Import, book: bytes) -> None:
    evil = rezip(book, lambda name, data: b"<a" if name == "xl/worksheets/sheet1.xml" else data)
    assert "not a workbook that can be read" in only(bring(evil))


@pytest.mark.parametrize("encoding", [b"UTF-9", b"utf-7"])
def test_an_encoding_that_nobody_reads_is_refused(bring: Import, book: bytes, encoding: bytes) -> None:
    head = b'<?xml version="1.0" encoding="' + encoding + b'"?><a/>'
    evil = rezip(book, lambda name, data: head if name == "xl/styles.xml" else data)
    assert "xl/styles.xml is not XML" in only(bring(evil))


def test_a_zip_bomb_is_refused_by_what_it_declares(bring: Import, book: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = rezip(book, lambda _, data: data, more={"xl/bomb.bin": bytes(source.MAX_UNPACKED_BYTES + 1)})
    assert len(bomb) < 1_000_000
    problem = only(bring(bomb))
    assert "unpacks to 268," in problem
    assert "at most 268,435,456 are taken" in problem


def test_a_zip_that_lies_about_its_sizes_is_refused(bring: Import, book: bytes) -> None:
    name = b"xl/bomb.bin"
    data = bytearray(rezip(book, lambda _, data: data, more={name.decode(): bytes(1 << 20)}))
    local, central = data.index(name) - 30, data.rindex(name) - 46
    for offset in (local + 22, central + 24):
        assert struct.unpack_from("<I", data, offset) == (1 << 20,)
        struct.pack_into("<I", data, offset, 10)
    assert "a broken or encrypted zip" in only(bring(bytes(data)))


def test_a_zip_of_many_empty_files_is_refused(bring: Import, book: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_MAX_MEMBERS", 50)
    many = rezip(book, lambda _, data: data, more={f"xl/{n}": b"" for n in range(60)})
    assert "a zip of 69 files" in only(bring(many))


@pytest.mark.parametrize("cut", [4, 100, -30])
def test_a_cut_zip_is_refused(bring: Import, book: bytes, cut: int) -> None:
    assert "a broken zip" in only(bring(book[:cut]))


def test_a_zip_that_is_something_else_is_refused(bring: Import) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../answers.jsonl", "{}")
    assert "a zip that is neither an xlsx nor a log" in only(bring(out.getvalue()))


def test_a_broken_inspect_log_is_refused(bring: Import) -> None:
    pytest.importorskip("inspect_ai")
    for header in ("{", "{}", "[" * 100_000, '{"version": 2, "status": "success", "eval": {}}'):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("header.json", header)
        assert "not a log that Inspect can read" in only(bring(out.getvalue(), name="a.eval"))


@pytest.mark.parametrize("reference", ["1048576", "99999999999"])
def test_a_row_that_claims_to_be_far_down_ends_the_reading(
    bring: Import, book: bytes, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 1_000)
    far = rezip(book, lambda _, data: data.replace(b'r="2"', f'r="{reference}"'.encode()))
    assert "more than 1,000 rows" in only(bring(far))


def test_a_workbook_that_lies_about_its_dimensions_loses_no_row(bring: Import, book: bytes) -> None:
    small = rezip(book, lambda _, data: data.replace(b'ref="A1:B2"', b'ref="A1:A1"'))
    assert small != book
    report = bring(small)
    assert (report.ok, report.n_rows) == (True, 1)


def test_a_table_of_too_many_columns_is_refused(bring: Import) -> None:
    names = ",".join(f"c{n}" for n in range(tables.MAX_COLUMNS))
    assert "columns; at most 256 are read" in only(bring(f"id,response,{names}\n", name="a.csv", from_format="plain"))


def test_more_rows_than_the_limit_are_refused(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 3)
    assert "more than 3" in bring([{"id": n, "response": "x"} for n in range(5)]).problems[0]
    assert "more than 3" in bring("id,response\n" + "".join(f"{n},x\n" for n in range(5))).problems[0]


@pytest.mark.parametrize("is_declared", [False, True], ids=["string", "dictionary"])
def test_a_parquet_bomb_is_refused_before_it_is_unpacked(
    bring: Import, monkeypatch: pytest.MonkeyPatch, is_declared: bool
) -> None:
    """One text of 1 MB under 300 rows: the file declares 1 MB, the answers would take 300."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), ["a" * 1_000_000])
    columns = {"id": list(range(300)), "response": texts if is_declared else texts.cast(pa.large_string())}
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd", dictionary_pagesize_limit=1 << 22)
    assert len(out.getvalue()) < 100_000
    assert "texts of more than 268,435,456 bytes in all" in only(bring(out.getvalue()))
    monkeypatch.setattr(tables, "MAX_SOURCE_BYTES", 0)
    monkeypatch.setattr(tables, "MAX_UNPACKED_BYTES", 10_000)
    assert "at most 10,000 are taken" in only(bring(out.getvalue()))
    monkeypatch.setattr(tables, "MAX_ROWS", 10)
    assert "300 rows and 2 columns; at most 10" in only(bring(out.getvalue()))


@pytest.mark.parametrize("value", [b"x", ["x"], {"a": "x"}], ids=["bytes", "list", "object"])
def test_a_parquet_column_of_another_kind_is_refused(bring: Import, value: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "response": [value]}), out)
    words = "'response' is a text; found dict" if isinstance(value, dict) else "column 'response' holds"
    assert words in only(bring(out.getvalue()))


def test_a_cut_parquet_file_is_refused(bring: Import) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "response": ["x"]}), out)
    for data in (out.getvalue()[:-10], b"PAR1", b"PAR1" + bytes(100) + b"PAR1"):
        assert "a broken Parquet file" in only(bring(data))


def test_json_nested_beyond_reason_is_a_sentence(bring: Import) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert (
        ":1: JSON nested beyond reason"
        in bring(f'{{"id": 1, "response": {deep}}}\n{{"id": 2, "response": "x"}}\n').problems[0]
    )
    assert "nested beyond reason" in only(bring(deep))


def test_a_number_of_5000_digits_is_a_sentence(bring: Import) -> None:
    assert ":2: " in bring(f'{{"id": 1, "response": "x"}}\n{{"id": {"1" * 5_000}, "response": "x"}}\n').problems[0]


def test_a_line_that_never_ends_is_never_held(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_PEER_LINE_BYTES", 1_000)
    assert ":2: not a table from here on (a line has at most 1,000 bytes)" in only(
        bring("id,response\n1," + "a" * 2_000 + "\n")
    )
    monkeypatch.setattr(source, "MAX_PEER_LINE_BYTES", 1_000)
    rows = [f'{{"instruction_id": {n}, "response": "{said}"}}\n' for n, said in ((1, "x"), (2, "a" * 2_000))]
    assert ":2: a line has at most 1,000 bytes, this one has 2,038" in only(bring("".join(rows)))


def test_a_cell_larger_than_a_line_of_a_submission_is_refused(bring: Import) -> None:
    cell = "a\n" * (1 << 19) + "b"
    assert "field larger than field limit" in only(bring(f'id,response\n1,"{cell}"\n'))
    report = bring('{"instruction_id": 1, "response": "' + "a" * (1 << 20) + '"}\n')
    assert "a line of 1,048," in only(report)


def test_nothing_of_a_file_moves_the_cursor_of_a_terminal(bring: Import) -> None:
    body = {"model": "m\x1b[2J", "choices": [{"message": {"content": "x"}}]}
    rows = [
        {"custom_id": str(n), "response": {"status_code": 200, "body": body | {"model": f"m{n}\x1b[2J"}}}
        for n in (1, 2)
    ]
    rows[0]["\x1b[31m"] = 1
    for report in (bring(rows, model=None), bring(rows[:1], model=None), bring([{"id": "\x1b[2J", "\x1b": "x"}])):
        assert not report.ok
        assert "\x1b" not in render_import(report)


def test_a_file_that_is_too_large_is_not_read(bring: Import, tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(source.MAX_SOURCE_BYTES + 1)
    assert "536,870,913 bytes; at most 536,870,912 are taken" in only(bring(path))


def test_one_large_json_text_is_not_parsed(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_JSON_BYTES", 100)
    assert "one JSON text of" in only(bring("[\n" + " " * 200 + "\n]"))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "real").write_text('{"id": 1, "response": "x"}\n')
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name, words in (
        ("pipe", "not a regular file"),
        ("link", "links are not followed"),
        (".", ""),
        ("absent", "No such"),
    ):
        assert words in only(import_file(tmp_path / name, tmp_path / "out", model="m"))


@pytest.mark.parametrize("chosen", [item.name for item in FORMATS])
@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"hello", b"[]", b"{}", b"null", b"[[1]]", b'{"id": 1}\n{}\n', b"a,b\n1,2\n"]
)
def test_a_file_that_is_not_of_the_format_asked_for_is_a_sentence(bring: Import, chosen: str, content: bytes) -> None:
    if chosen == "inspect":
        pytest.importorskip("inspect_ai")
    report = bring(content, from_format=chosen)
    assert not report.ok
    assert report.problems
    assert report.directory is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("id", "instruction_id", "response", "failure", "condition", "settings", "usage", "finish_reason", "question"),
        *(
            "custom_id",
            "error",
            "doc_id",
            "input",
            "filtered_resps",
            "resps",
            "token_counts",
            "index",
            "prediction",
            "logs",
        ),
    ]
)
batch_bodies = st.fixed_dictionaries({"status_code": st.just(200), "body": json_values})
objects = st.dictionaries(KEYS, json_values | batch_bodies, max_size=6)


@settings(max_examples=times(200), suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=80) | st.lists(objects, max_size=4),
    st.sampled_from([None, *(item.name for item in FORMATS if item.needs is None)]),
    st.booleans(),
)
def test_whatever_a_file_holds_the_answer_is_a_report(content: Any, chosen: str | None, is_list: bool) -> None:
    import json

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif is_list:
            path.write_text(json.dumps(content))
        else:
            path.write_text("".join(json.dumps(line) + "\n" for line in content))
        report = import_file(path, Path(folder) / "out", from_format=chosen, model="m")
        assert report.ok == (report.check is not None and report.check.ok)
        assert (report.directory is None) == bool(report.problems)
        assert all("\n" not in problem for problem in report.problems)
        assert sorted(p.name for p in Path(folder).iterdir()) == (["f"] if report.problems else ["f", "out"])
