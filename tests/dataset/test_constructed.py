"""Sets of one's own: what their folder is, what is wrong with a broken one, and that everything reads them."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_sets import FIRST, TWINS, make_set, set_records, write_records

from vlsbench.dataset.build import build, verify
from vlsbench.dataset.constructed import check_set, index_set
from vlsbench.dataset.index import (
    Index,
    index_at,
    kind_of_id,
    load_index,
    read_set,
    read_set_index,
    write_set,
)
from vlsbench.dataset.load import load_dataset
from vlsbench.dataset.source import open_source
from vlsbench.errors import DataError
from vlsbench.leakage.source import open_source as open_audited
from vlsbench.records import DatasetReference


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    make_set(tmp_path / "kitchen", n=6, n_twins=2)
    return tmp_path / "kitchen"


# --- Kinds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind"),
    [(0, "release"), (99_999, "release"), (100_000, "sample"), (199_999, "sample"), (200_000, "constructed")],
)
def test_an_id_is_of_one_kind(number: int, kind: str) -> None:
    assert kind_of_id(number) == kind


def test_a_folder_is_what_it_says_of_itself(kitchen: Path, tmp_path: Path) -> None:
    assert [index_at(data).kind for data in (None, tmp_path, kitchen)] == ["sample", "release", "constructed"]


@pytest.mark.parametrize("name", ["vlsbench", "release", "sample", "twins", "Kitchen", "a", "../kitchen", "a b"])
def test_a_name_that_means_the_benchmark_or_is_none_is_refused(name: str, kitchen: Path) -> None:
    with pytest.raises(DataError, match="name"):
        index_set(kitchen, name)
    if name != "vlsbench":  # which is the benchmark's
        with pytest.raises(ValueError, match="name"):
            DatasetReference(name=name, config="default")


def test_the_columns_are_those_of_the_packaged_sample(kitchen: Path) -> None:
    with (Path(sys.modules["vlsbench"].__path__[0]) / "dataset" / "sample_index.csv").open() as file:
        ours = next(csv.reader(file))
    assert (kitchen / "index.csv").read_text().splitlines()[0] == ",".join(ours)


def test_the_digest_is_of_the_risky_pairs_and_the_revision_of_the_file(kitchen: Path) -> None:
    index = read_set(kitchen)
    lines = sorted(
        f"{r['instruction_id']}, {r['instruction_id']}, {hashlib.sha256(r['instruction'].encode()).hexdigest()}\n"
        for r in set_records(6)
    )
    assert index.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert index.revision == hashlib.sha256((kitchen / "index.csv").read_bytes()).hexdigest()
    assert json.loads((kitchen / "dataset.json").read_text()) == {"name": "kitchen", "digest": index.digest}


def test_configs_are_the_risky_pairs_the_categories_and_the_twins(kitchen: Path, tmp_path: Path) -> None:
    index = read_set(kitchen)
    assert (len(index.rows), len(index.risky), index.has_twins) == (8, 6, True)
    assert [row.instruction_id for row in index.select("default").rows] == list(range(FIRST, FIRST + 6))
    assert [row.instruction_id for row in index.select("violent").rows] == [FIRST]  # without its twin
    assert index.select("default").select("twins") is index
    alone = make_set(tmp_path / "alone", n=3)
    with pytest.raises(DataError, match="set 'kitchen' has no config 'twins'; its configs are default, violent"):
        alone.select("twins")


def test_the_benchmark_is_read_as_before() -> None:
    assert len(load_index("release").select("privacy").rows) == 130
    assert load_index("release").select("default") is load_index("release")
    assert {row.risk for row in load_index("sample").select("sample").rows} == {"risky"}


# --- What is broken -----------------------------------------------------------------------------------------


def _edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def _index_line(number: int, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        lines = (folder / "index.csv").read_text().splitlines()
        lines[number] = ",".join(change(lines[number].split(",")))
        (folder / "index.csv").write_text("\n".join(lines) + "\n")

    return edit


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "an image is gone": (lambda f: (f / "images" / f"{FIRST + 1}.png").unlink(), f"images/{FIRST + 1}.png is missing"),
    "an image is none": (lambda f: (f / "images" / f"{FIRST}.png").write_bytes(b"no"), "is not a PNG"),
    "a row twice": (
        lambda f: _edit(f / "index.csv", lambda text: text + text.splitlines()[1] + "\n"),
        f"instruction_id {FIRST} is there 2 times; keep one row",
    ),
    "an id of the release": (
        _index_line(1, lambda row: ["17", *row[1:]]),
        "index.csv:2: instruction_id is a whole number from 200000 on; lower ones are the release's and the sample's; "
        "found '17'",
    ),
    "an id of the sample": (_index_line(2, lambda row: ["100000", *row[1:]]), "found '100000'"),
    "another digest": (
        lambda f: _edit(f / "dataset.json", lambda text: json.dumps({**json.loads(text), "digest": "0" * 64})),
        "dataset.json says digest 000000000000…, and the rows of index.csv have",
    ),
    "the release's name": (
        lambda f: _edit(f / "dataset.json", lambda text: json.dumps({**json.loads(text), "name": "vlsbench"})),
        "'vlsbench' means the benchmark; a set of your own has a name of its own",
    ),
    "no name": (lambda f: (f / "dataset.json").unlink(), "dataset.json cannot be read (No such file or directory)"),
    "no index": (lambda f: (f / "index.csv").unlink(), "index.csv cannot be read (No such file or directory)"),
    "another header": (lambda f: _edit(f / "index.csv", lambda text: "id" + text[14:]), "line 1 is instruction_id,"),
    "a field too few": (_index_line(3, lambda row: row[:-1]), "index.csv:4: has 7 fields and not 8"),
    "no category": (_index_line(1, lambda row: [row[0], "Cooking", *row[2:]]), "category is one of Violent"),
    "a digest that is none": (_index_line(1, lambda row: [*row[:5], "ab", *row[6:]]), "64 digits of 0-9 and a-f"),
    "a twin of nobody": (
        _index_line(8, lambda row: [*row[:7], "200999"]),
        f"instruction_id {TWINS + 1} is a benign twin of 200999, which is no risky pair of the set",
    ),
    "another text": (
        lambda f: _edit(f / "data.json", lambda text: text.replace("number 4?", "number 5?")),
        f"1 samples have another instruction than in the set 'kitchen': {FIRST + 4}",
    ),
    "a record is gone": (
        lambda f: _edit(f / "data.json", lambda text: json.dumps(json.loads(text)[1:])),
        f"1 samples of the set 'kitchen' are missing: {FIRST}",
    ),
    "a record more": (
        lambda f: _edit(f / "index.csv", lambda text: "".join(text.splitlines(keepends=True)[:-1])),
        f"1 ids are not in the set 'kitchen': {TWINS + 1}",
    ),
    "not UTF-8": (lambda f: (f / "index.csv").write_bytes(b"\xff\xfe"), "not UTF-8 at byte 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_told_and_never_loaded(name: str, kitchen: Path, tmp_path: Path) -> None:
    change, words = BROKEN[name]
    change(kitchen)
    report = verify(kitchen)
    assert not report.is_good
    assert words in "; ".join(report.problems)
    with pytest.raises(DataError):
        build(kitchen, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    if name != "an image is none":  # no image is decoded before it is needed
        with pytest.raises(DataError, match="kitchen"):
            check_set(kitchen)
        with pytest.raises(DataError, match="kitchen"):
            load_dataset(data_dir=kitchen)


def test_all_problems_are_told_at_once(kitchen: Path) -> None:
    for name in ("an image is gone", "a row twice", "another digest", "another text"):
        BROKEN[name][0](kitchen)
    BROKEN["an id of the release"][0](kitchen)  # the row that is there twice is one of them
    said = "; ".join(verify(kitchen).problems)
    for words in ("is missing", "found '17'", "says digest", "another instruction"):
        assert words in said
    with pytest.raises(DataError, match=r"[4-9] problems: "):
        check_set(kitchen)


def test_nothing_is_written_where_an_id_is_the_releases(tmp_path: Path) -> None:
    write_records(tmp_path / "set", set_records(3, first=17))
    with pytest.raises(DataError, match=r"3 problems: index.csv:2: .*Nothing was written"):
        index_set(tmp_path / "set", "kitchen")
    assert not (tmp_path / "set" / "index.csv").exists()


def test_an_image_that_is_nowhere_beside_the_shards_is_told(kitchen: Path, tmp_path: Path) -> None:
    build(kitchen, tmp_path / "built")
    (tmp_path / "built" / "images").mkdir()
    for number in range(5):
        (tmp_path / "built" / "images" / f"{FIRST + number}.jpg").write_bytes(b"")
    assert "3 images are missing in images/: 200005, 200500, 200501" in verify(tmp_path / "built").problems[0]


# --- What reads it ------------------------------------------------------------------------------------------


@pytest.fixture
def built(kitchen: Path, tmp_path: Path) -> Path:
    report = build(kitchen, tmp_path / "built")
    assert (report.name, report.n_samples, report.is_release) == ("kitchen", 6, False)
    return tmp_path / "built"


def test_what_is_built_is_the_same_set(kitchen: Path, built: Path) -> None:
    for name in ("index.csv", "dataset.json"):
        assert (built / name).read_bytes() == (kitchen / name).read_bytes()
    report = verify(built)
    assert report.is_good
    assert (report.name, report.kind, report.n_samples, report.n_twins, report.n_images) == (
        "kitchen",
        "parquet",
        6,
        2,
        6,
    )
    assert "(of the set 'kitchen')" in report.as_text()
    assert "2  benign twins beside them" in report.as_text()
    card = (built / "README.md").read_text()
    assert "it is not VLSBench" in card
    assert "6 pairs (6 images), and\n2 benign twins" in card


@pytest.mark.parametrize("place", ["kitchen", "built"])
@pytest.mark.parametrize("streaming", [False, True])
def test_load_dataset_reads_it(place: str, streaming: bool, built: Path, tmp_path: Path) -> None:
    def load(name: str | None) -> list[dict[str, Any]]:
        rows = load_dataset(
            name=name, data_dir=tmp_path / place, split="test", streaming=streaming, cache_dir=tmp_path / "cache"
        )
        return list(rows)

    risky = load(None)
    assert [row["instruction_id"] for row in risky] == list(range(FIRST, FIRST + 6))
    assert risky[3]["image"].getpixel((0, 0)) == ((FIRST + 3) % 256, (FIRST + 3) // 256 % 256, 90)
    twins = load("twins")
    assert [(row["risk"], row["twin_id"]) for row in twins][-2:] == [("benign", FIRST), ("benign", FIRST + 1)]
    assert [row["instruction_id"] for row in load("hate")] == [FIRST + 4]


def test_datasets_reads_what_is_built_by_its_card(built: Path, tmp_path: Path) -> None:
    import datasets

    found = datasets.load_dataset(str(built), "default", split="test", cache_dir=str(tmp_path / "cache"))
    assert len(found) == 6
    assert len(datasets.load_dataset(str(built), "twins", split="test", cache_dir=str(tmp_path / "cache"))) == 8


def test_pictures_and_texts_are_read_by_id(kitchen: Path) -> None:
    with open_source(kitchen, name="kitchen") as source:
        assert source.sample(FIRST + 2).instruction == "What should I do about number 2?"
        assert source.sample(TWINS).risk == "benign"
        assert source.picture(FIRST).mime == "image/png"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("release", "this is the set 'kitchen', and the release was asked for"),
        ("garden", "this is the set 'kitchen', and the set 'garden' was asked for"),
    ],
)
def test_another_dataset_is_not_taken_for_it(name: str, words: str, kitchen: Path) -> None:
    with pytest.raises(DataError, match=words):
        open_source(kitchen, name=name)


def test_a_set_is_in_no_package(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'kitchen' is in no package and no folder was given"):
        open_source(None, name="kitchen")
    with pytest.raises(DataError, match=r"not the set 'kitchen': there is no index.csv"):
        open_source(tmp_path, name="kitchen")


def test_another_version_of_the_set_is_refused(kitchen: Path, tmp_path: Path) -> None:
    other = make_set(tmp_path / "other", n=5)
    with pytest.raises(DataError, match="another version of the set 'kitchen'"):
        open_source(kitchen, name="kitchen", index=other)


def test_the_audit_reads_its_texts_and_not_its_index(kitchen: Path, built: Path) -> None:
    assert [table.name for table in open_audited(str(kitchen)).tables] == ["data"]
    assert [table.name for table in open_audited(str(built)).tables] == ["data/test-00000-of-00001"]


def test_an_index_is_read_back_whole(tmp_path: Path) -> None:
    rows = make_set(tmp_path / "a", n=4, n_twins=4).rows
    again: Index = write_set(tmp_path / "b", "kitchen", rows)
    assert read_set_index(tmp_path / "b" / "index.csv", "kitchen").rows == rows
    assert again.revision == read_set(tmp_path / "a").revision
