"""Reading the official layout and Parquet folders: what is accepted, and what each kind of bad input is told."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vlsbench.dataset.layout import (
    fingerprint,
    how_to_get_the_release,
    open_layout,
    parse_release_json,
    record_of_row,
)
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, image_problem, mime_of
from vlsbench.errors import DataError, bounded


def _encoded(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, kind)
    return out.getvalue()


def _bomb() -> bytes:
    """A PNG that says it has 40,000 x 40,000 pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


# --- Good input ------------------------------------------------------------------------------------------------------


def test_a_folder_and_a_tar_read_alike(release: Path, release_tar: Path) -> None:
    with open_layout(release) as folder, open_layout(release_tar) as tar:
        assert (folder.kind, tar.kind) == ("imgs", "imgs.tar")
        assert folder.records == tar.records
        assert [folder.read(record) for record in folder.records] == [tar.read(record) for record in tar.records]
        assert not folder.missing_images()
        assert not tar.missing_images()


@pytest.mark.parametrize("prefix", ["", "./", "imgs/", "./imgs/", "vlsbench/imgs/"])
def test_a_tar_may_keep_its_images_under_another_folder(prefix: str, release: Path) -> None:
    with tarfile.open(release / "imgs.tar", "w") as archive:
        for path in (release / "imgs").iterdir():
            archive.add(path, prefix + path.name)
    expected = (release / "imgs" / "3.png").read_bytes()
    shutil.rmtree(release / "imgs")
    with open_layout(release) as layout:
        assert layout.read(layout.records[3]) == expected


def test_a_tar_is_read_without_being_unpacked(release_tar: Path) -> None:
    with open_layout(release_tar) as layout:
        layout.read(layout.records[0])
    assert sorted(path.name for path in release_tar.iterdir()) == ["data.json", "imgs.tar"]


@pytest.mark.parametrize(
    ("kind", "mime"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp"), ("BMP", "image/bmp")],
)
def test_an_image_is_known_by_its_content_whatever_its_name(kind: str, mime: str, release: Path) -> None:
    (release / "imgs" / "3.png").write_bytes(_encoded(kind))
    with open_layout(release) as layout:
        data = layout.read(layout.records[3])
    assert mime_of(data) == mime
    assert image_problem(data) is None


def test_an_id_may_be_text_and_an_unknown_key_is_ignored(records: list[dict[str, Any]]) -> None:
    entries = [{**records[0], "instruction_id": "17", "another": 1}]
    parsed, problems = parse_release_json(json.dumps(entries).encode(), "data.json")
    assert parsed[0].instruction_id == 17
    assert not problems


def test_an_empty_instruction_and_a_foreign_sub_category_are_read_as_they_are(records: list[dict[str, Any]]) -> None:
    entries = [{**records[0], "instruction": "", "sub_category": "Cybercrime"}]
    parsed, problems = parse_release_json(json.dumps(entries).encode(), "data.json")
    assert (parsed[0].instruction, parsed[0].category, parsed[0].sub_category) == ("", "Violent", "Cybercrime")
    assert not problems


def test_a_row_of_parquet_may_hold_labels_or_names(records: list[dict[str, Any]]) -> None:
    named = record_of_row(records[5], "row")
    assert not isinstance(named, str)
    assert record_of_row({**records[5], "category": 5, "image": {"bytes": b""}}, "row") == named


def test_a_snapshot_of_the_hub_is_read_through_its_links(release: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "cache" / "snapshots" / "b56f"
    blobs = tmp_path / "cache" / "blobs"
    (snapshot / "imgs").mkdir(parents=True)
    blobs.mkdir()
    shutil.copy(release / "data.json", snapshot)
    for path in (release / "imgs").iterdir():
        shutil.copy(path, blobs)
        (snapshot / "imgs" / path.name).symlink_to(Path("../../../blobs") / path.name)
    with open_layout(snapshot) as layout:
        assert not layout.missing_images()
        assert image_problem(layout.read(layout.records[1])) is None


def test_a_fingerprint_changes_with_the_files_only(release: Path) -> None:
    before = fingerprint(release)
    assert fingerprint(release) == before
    os.utime(release / "imgs" / "1.png", (1, 1))
    assert fingerprint(release) != before


# --- Bad records -----------------------------------------------------------------------------------------------------

NOT_A_LIST = [
    (b"", "not JSON"),
    (b'[{"instruction_id": 0', "not JSON"),
    (b"\xff\xfe\x00", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"{}", "found dict"),
    (b'"text"', "found str"),
    (b"null", "found NoneType"),
    (b"[]", "the list is empty"),
]


@pytest.mark.parametrize(("data", "sentence"), NOT_A_LIST)
def test_a_data_json_that_is_not_a_list_of_something_is_refused(data: bytes, sentence: str, release: Path) -> None:
    (release / "data.json").write_bytes(data)
    with pytest.raises(DataError, match=sentence) as caught:
        open_layout(release)
    assert str(release / "data.json") in str(caught.value)


ABSENT = object()
BAD_FIELDS = [
    ("instruction_id", ABSENT, "'instruction_id' is required"),
    ("instruction_id", -1, "greater than or equal to 0"),
    ("instruction_id", 1.5, "valid integer"),
    ("instruction_id", True, "valid integer"),
    ("instruction_id", "one", "valid integer"),
    ("instruction", ABSENT, "'instruction' is required"),
    ("instruction", None, "valid string"),
    ("instruction", 7, "valid string"),
    ("category", "Privacy ", "a category is one of Violent"),
    ("category", 5, "valid string"),
    ("sub_category", "Spam", "a sub-category is one of the 19"),
    ("source", ["x"], "valid string"),
    ("image_description", ABSENT, "'image_description' is required"),
    ("safety_reason", ABSENT, "'safety_reason' is required"),
    ("image_path", ABSENT, "'image_path' is required"),
    ("image_path", "../1.png", "stays inside its folder"),
    ("image_path", "imgs/../../1.png", "stays inside its folder"),
    ("image_path", "/etc/1.png", "stays inside its folder"),
    ("image_path", "C:/1.png", "stays inside its folder"),
    ("image_path", "imgs\\1.png", "stays inside its folder"),
    ("image_path", "imgs/1\0.png", "stays inside its folder"),
    ("image_path", "imgs/one.png", "ends in its number"),
    ("image_path", "", "ends in its number"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), BAD_FIELDS)
def test_a_bad_entry_is_refused_with_its_place_and_rule(
    key: str, value: object, sentence: str, release: Path, records: list[dict[str, Any]]
) -> None:
    entry = {name: field for name, field in records[2].items() if name != key}
    if value is not ABSENT:
        entry[key] = value
    (release / "data.json").write_text(json.dumps([*records[:2], entry]))
    with pytest.raises(DataError, match="entry 2") as caught:
        open_layout(release)
    assert sentence in str(caught.value)


def test_an_entry_that_is_no_object_and_an_id_twice_are_refused(release: Path, records: list[dict[str, Any]]) -> None:
    (release / "data.json").write_text(json.dumps([*records, "text", None, records[4]]))
    with pytest.raises(DataError) as caught:
        open_layout(release)
    message = str(caught.value)
    assert "3 problems" in message
    assert "entry 14 is not an object but str" in message
    assert "entry 15 is not an object but NoneType" in message
    assert "instruction_id 4 occurs more than once" in message


def test_every_problem_is_counted_and_the_message_stays_one_short_line(
    release: Path, records: list[dict[str, Any]]
) -> None:
    bad = [{**record, "category": "x" * 10_000 + "\n", "source": 1} for record in records] * 100
    (release / "data.json").write_text(json.dumps(bad))
    with pytest.raises(DataError) as caught:
        open_layout(release)
    message = str(caught.value)
    assert "1400 problems" in message
    assert "and 1380 more" in message
    assert "\n" not in message
    assert len(message) < 20_000


def test_a_layout_that_is_not_strict_keeps_the_good_records(release: Path, records: list[dict[str, Any]]) -> None:
    (release / "data.json").write_text(json.dumps([*records, {}]))
    with open_layout(release, strict=False) as layout:
        assert len(layout.records) == len(records)
        assert len(layout.problems) == 1


def test_a_problem_alone_needs_no_count() -> None:
    assert bounded(["one is bad"]) == "one is bad"


# --- Bad folders -----------------------------------------------------------------------------------------------------


def _remove_json(release: Path) -> Path:
    (release / "data.json").unlink()
    return release


def _remove_images(release: Path) -> Path:
    shutil.rmtree(release / "imgs")
    return release


def _give_the_file(release: Path) -> Path:
    return release / "data.json"


def _give_nothing(release: Path) -> Path:
    return release / "absent"


BAD_FOLDERS: list[tuple[Callable[[Path], Path], str]] = [
    (_remove_json, "neither data.json nor Parquet shards"),
    (_remove_images, "neither imgs/ nor imgs.tar"),
    (_give_the_file, "not a folder; give the folder that holds it"),
    (_give_nothing, "there is nothing there"),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD_FOLDERS)
def test_a_folder_without_the_release_says_what_to_download(
    spoil: Callable[[Path], Path], sentence: str, release: Path
) -> None:
    with pytest.raises(DataError) as caught:
        open_layout(spoil(release))
    assert sentence in str(caught.value)
    assert how_to_get_the_release() in str(caught.value)


# --- Bad images ------------------------------------------------------------------------------------------------------


def test_missing_images_are_all_named_each_once(release: Path, release_tar: Path) -> None:
    (release / "imgs" / "0.png").unlink()  # three pairs share it
    (release / "imgs" / "4.png").unlink()
    with open_layout(release) as layout:
        assert layout.missing_images() == ["imgs/0.png is missing", "imgs/4.png is missing"]
        with pytest.raises(DataError, match=r"imgs/4\.png is missing"):
            layout.read(layout.records[4])


def test_a_tar_without_an_image_and_a_cut_tar_are_told_apart(release_tar: Path) -> None:
    path = release_tar / "imgs.tar"
    data = path.read_bytes()
    with tarfile.open(path) as archive:
        third = archive.getmember("imgs/3.png")
    path.write_bytes(data[: third.offset_data + 10])
    with open_layout(release_tar) as layout:
        problems = layout.missing_images()
        assert "imgs/3.png is cut off at the end of the archive" in problems
        assert "imgs/4.png is missing" in problems
        with pytest.raises(DataError, match="cut off"):
            layout.read(layout.records[3])


NOT_TARS = [
    (b"", "an empty file"),
    (b"<html>Not found</html>" * 100, "a page in place of the archive"),
    (b"\x1f\x8b\x08" + b"\0" * 600, "a compressed archive"),
]


@pytest.mark.parametrize(("data", "why"), NOT_TARS, ids=[row[1] for row in NOT_TARS])
def test_an_imgs_tar_that_is_no_tar_is_refused(data: bytes, why: str, release_tar: Path) -> None:
    (release_tar / "imgs.tar").write_bytes(data)
    with pytest.raises(DataError, match="not a readable plain tar"):
        open_layout(release_tar)


def test_links_out_of_the_folder_are_not_followed(release: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(_encoded("PNG"))
    (release / "imgs" / "1.png").unlink()
    (release / "imgs" / "1.png").symlink_to(secret)
    (release / "imgs" / "2.png").unlink()
    (release / "imgs" / "2.png").symlink_to("2.png")
    (release / "imgs" / "3.png").unlink()
    (release / "imgs" / "3.png").mkdir()
    with open_layout(release) as layout:
        problems = layout.missing_images()
        assert problems[0].startswith("imgs/1.png leads out of the folder")
        assert problems[1].startswith("imgs/2.png cannot be read")
        assert problems[2] == "imgs/3.png is not a file"
        with pytest.raises(DataError, match="leads out"):
            layout.read(layout.records[1])


def test_a_link_in_a_tar_is_no_image(release_tar: Path) -> None:
    with tarfile.open(release_tar / "imgs.tar", "w") as archive:
        link = tarfile.TarInfo("imgs/1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with open_layout(release_tar) as layout:
        assert layout.why_absent(layout.records[1]) == "imgs/1.png is missing"


BAD_IMAGES = [
    (b"", "is empty"),
    (b"<html>404</html>", "is not a PNG, JPEG, GIF, WebP or BMP"),
    (b"%PDF-1.7", "is not a PNG"),
    (b"II*\0" + b"\0" * 100, "is not a PNG"),
    (_encoded("PNG")[:-20], "is truncated"),
    (_encoded("PNG")[:20], "cannot be decoded"),
    (_encoded("JPEG")[:-200], "cannot be decoded"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "cannot be decoded"),
    (b"BM" + b"\0" * 50, "cannot be decoded"),
    (_bomb(), "pixels"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * MAX_IMAGE_BYTES, "more than 64 MiB"),
]


@pytest.mark.parametrize(("data", "sentence"), BAD_IMAGES, ids=range(len(BAD_IMAGES)))
def test_a_bad_image_is_told_why(data: bytes, sentence: str) -> None:
    problem = image_problem(data)
    assert problem is not None
    assert sentence in problem
    assert len(problem) < 200


# --- Parquet ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path: Path, records: list[dict[str, Any]], release: Path) -> Path:
    """A folder of two shards, without the help of `build`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {**record, "image": {"bytes": (release / record["image_path"]).read_bytes(), "path": None}}
        for record in records
    ]
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(2):
        table = pa.Table.from_pylist(rows[number * 7 : number * 7 + 7])
        pq.write_table(table, folder / f"test-{number:05d}-of-00002.parquet", row_group_size=3)
    return folder


def test_shards_read_like_the_folder_they_were_made_of(shards: Path, release: Path) -> None:
    with open_layout(shards) as layout, open_layout(release) as folder:
        assert layout.kind == "parquet"
        assert layout.records == folder.records
        backwards = list(reversed(layout.records))
        assert [layout.read(record) for record in backwards] == [folder.read(record) for record in backwards]


def test_a_missing_shard_is_named(shards: Path) -> None:
    (shards / "test-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"test-00001-of-00002\.parquet is missing"):
        open_layout(shards)


def test_a_broken_shard_and_a_foreign_shard_are_named(shards: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first, second = sorted(shards.iterdir())
    first.write_bytes(first.read_bytes()[:-50])
    pq.write_table(pa.table({"x": [1]}), second)
    with pytest.raises(DataError) as caught:
        open_layout(shards)
    assert f"{first.name} cannot be read as Parquet" in str(caught.value)
    assert f"{second.name} lacks the columns category" in str(caught.value)


def test_a_row_without_an_image_is_named(shards: Path, records: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{**record, "image": None} for record in records[:2]] + [
        {**records[2], "image": {"bytes": b"x", "path": "p"}}
    ]
    for path in shards.iterdir():
        path.unlink()
    pq.write_table(pa.Table.from_pylist(rows), shards / "all.parquet")
    with open_layout(shards) as layout, pytest.raises(DataError, match="instruction_id 1 has no embedded image"):
        layout.read(layout.records[1])


# --- The room --------------------------------------------------------------------------------------------------------


def test_nothing_heavy_is_imported_by_the_room() -> None:
    code = (
        "import sys, vlsbench.dataset.layout, vlsbench.dataset.source, vlsbench.dataset.load, vlsbench.dataset.build, "
        "vlsbench.cli.data\n"
        "print([name for name in ('datasets', 'pandas', 'torch', 'pyarrow', 'PIL', 'huggingface_hub') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
