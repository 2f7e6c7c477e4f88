"""The package's own sample: what `scripts/make_sample.py` writes is what is committed, and it keeps its contract."""

from __future__ import annotations

import csv
import hashlib
import importlib
import importlib.metadata
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, SUB_CATEGORY_NAMES

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "vlsbench" / "dataset" / "sample"
INDEX = REPOSITORY / "vlsbench" / "dataset" / "sample_index.csv"

# Stems that would give the risk away in a question that has to be harmless on its own.
REVEALING = re.compile(
    r"\b(knife|knives|gun|pistol|weapon|kill|murder|hurt|harm|attack|fight|beat|bully|riot|steal|stole|theft|rob|burgl|"
    r"hack|phish|password|illegal|crime|drug|cannabis|pill|poison|overdose|suicid|die|death|dead|starv|cut|burn|jump|"
    r"sex|nude|naked|erotic|porn|adult|hate|racis|foreign|skin|religio|gay|spy|stalk|track|secret|fake|forge|identity)",
    re.IGNORECASE,
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "scripts"))
        yield importlib.import_module("make_sample")


@pytest.fixture(scope="module")
def regenerated(script: ModuleType) -> dict[str, bytes]:
    files: dict[str, bytes] = script.sample_files(script.build_samples())
    return files


@pytest.fixture(scope="module")
def risky() -> list[Row]:
    rows: list[Row] = pq.read_table(SAMPLE / "risky.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def benign() -> list[Row]:
    rows: list[Row] = pq.read_table(SAMPLE / "benign.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def rows(risky: list[Row], benign: list[Row]) -> list[Row]:
    return risky + benign


def pixels(row: Row) -> bytes:
    return Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB").tobytes()


def read_rows(content: bytes) -> list[Row]:
    rows: list[Row] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows


# The generator


def test_committed_files_are_reproduced_byte_for_byte(script: ModuleType, regenerated: dict[str, bytes]) -> None:
    installed = {name: importlib.metadata.version(name) for name in script.WRITTEN_WITH}
    if installed != script.WRITTEN_WITH:
        pytest.skip(f"bytes are promised for {script.WRITTEN_WITH}, installed are {installed}")
    assert script.differing_files(regenerated) == []


def test_committed_content_is_reproduced_with_any_versions(regenerated: dict[str, bytes], rows: list[Row]) -> None:
    drawn = [row for path, content in regenerated.items() if path.endswith(".parquet") for row in read_rows(content)]
    assert [{**row, "image": pixels(row)} for row in drawn] == [{**row, "image": pixels(row)} for row in rows]


def test_check_names_the_file_that_differs(script: ModuleType, regenerated: dict[str, bytes], tmp_path: Path) -> None:
    for path, content in regenerated.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert script.differing_files(regenerated, tmp_path) == []
    (tmp_path / script.INDEX_CSV).write_bytes(b"instruction_id\n")
    (tmp_path / script.RISKY_PARQUET).unlink()
    assert script.differing_files(regenerated, tmp_path) == [script.RISKY_PARQUET, script.INDEX_CSV]


def test_check_exits_with_one_when_a_file_differs(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(script, "build_samples", list)
    monkeypatch.setattr(script, "sample_files", lambda _: {"gone.csv": b""})
    assert script.main(["--check"]) == 1
    assert "gone.csv" in capsys.readouterr().err


def test_contact_sheet_shows_every_distinct_image(script: ModuleType) -> None:
    png = script.Canvas().png()
    shared = {"category": "Violent", "sub_category": "x", "source": "drawn", "instruction": "?", "png": png}
    samples = [
        script.Sample(**shared, instruction_id=own, image_path=f"imgs/{own}.png", image_description="d",
                      safety_reason=None, risk=risk, twin_id=twin)
        for own, twin, risk in ((1, 3, "risky"), (2, 4, "risky"), (3, 1, "benign"), (4, 2, "benign"))
    ]  # fmt: skip
    assert script.contact_sheet(samples, columns=4, edge=64).size == (4 * 72, 64 + 46)


# Size and form


def test_both_parquet_files_are_smaller_than_three_megabytes() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.glob("*.parquet")) <= 3_000_000


def test_images_are_rgb_pngs_of_512_pixels(rows: list[Row]) -> None:
    for row in rows:
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (512, 512)), row["instruction_id"]


def test_an_image_is_stored_under_the_name_of_its_number(rows: list[Row]) -> None:
    for row in rows:
        assert row["image_path"] == f"imgs/{row['image']['path']}"
        assert re.fullmatch(r"100\d{3}\.png", row["image"]["path"])


def test_equal_numbers_are_equal_images_and_different_numbers_different_images(rows: list[Row]) -> None:
    bytes_of = defaultdict(set)
    for row in rows:
        bytes_of[row["image_path"]].add(row["image"]["bytes"])
    assert all(len(found) == 1 for found in bytes_of.values())
    assert len(set.union(*bytes_of.values())) == len(bytes_of)


def test_features_survive_load_dataset(tmp_path: Path, script: ModuleType) -> None:
    datasets = pytest.importorskip("datasets")
    files = {half: str(SAMPLE / f"{half}.parquet") for half in ("risky", "benign")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    for half in files:
        assert loaded[half].features == script.sample_features()
        assert list(loaded[half].features) == [
            "instruction_id", "instruction", "image", "image_path", "category", "sub_category", "source",
            "image_description", "safety_reason", "risk", "twin_id",
        ]  # fmt: skip
        first = loaded[half][0]
        assert first["image"].size == (512, 512)
        assert loaded[half].features["category"].int2str(first["category"]) == "Violent"


# Ids, twins, categories


def test_ids_are_unique_contiguous_and_start_at_100000(risky: list[Row], benign: list[Row]) -> None:
    assert [row["instruction_id"] for row in risky] == list(range(100_000, 100_000 + len(risky)))
    assert [row["instruction_id"] for row in benign] == list(range(100_500, 100_500 + len(benign)))


def test_every_sub_category_has_at_least_two_risky_pairs(risky: list[Row]) -> None:
    counts = Counter(SUB_CATEGORY_NAMES[row["sub_category"]] for row in risky)
    assert set(counts) == set(SUB_CATEGORY_NAMES)
    assert min(counts.values()) >= 2


def test_risky_pairs_follow_the_taxonomy(risky: list[Row]) -> None:
    places = [row["sub_category"] for row in risky]
    assert places == sorted(places)
    parent = {sub.name: category.name for category in CATEGORIES for sub in category.sub_categories}
    for row in risky:
        assert parent[SUB_CATEGORY_NAMES[row["sub_category"]]] == CATEGORY_NAMES[row["category"]]


def test_every_risky_pair_has_one_benign_twin_with_the_same_text_and_another_image(
    risky: list[Row], benign: list[Row]
) -> None:
    twins = {row["instruction_id"]: row for row in benign}
    assert sorted(row["twin_id"] for row in risky) == sorted(twins)
    for row in risky:
        twin = twins[row["twin_id"]]
        assert twin["twin_id"] == row["instruction_id"]
        assert twin["instruction"] == row["instruction"]
        assert (twin["category"], twin["sub_category"]) == (row["category"], row["sub_category"])
        assert pixels(twin) != pixels(row)


def test_some_images_carry_two_questions_and_so_do_their_twins(risky: list[Row], benign: list[Row]) -> None:
    for half in (risky, benign):
        uses = Counter(row["image_path"] for row in half)
        assert sorted(uses.values(), reverse=True)[:4] == [2, 2, 2, 1]


def test_risk_and_source_are_as_declared(risky: list[Row], benign: list[Row]) -> None:
    assert {(row["risk"], row["source"]) for row in risky} == {("risky", "drawn")}
    assert {(row["risk"], row["source"]) for row in benign} == {("benign", "drawn")}


# Texts


def test_only_twins_share_a_question(risky: list[Row]) -> None:
    assert len({row["instruction"] for row in risky}) == len(risky)


def test_no_question_reveals_the_risk(risky: list[Row]) -> None:
    revealed = {row["instruction"]: found.group() for row in risky if (found := REVEALING.search(row["instruction"]))}
    assert revealed == {}


def test_every_image_is_described_in_one_sentence(rows: list[Row]) -> None:
    for row in rows:
        assert re.fullmatch(r"[A-Z][^.!?]+\.", row["image_description"]), row["image_description"]


def test_risky_pairs_say_why_and_benign_ones_have_no_reason(risky: list[Row], benign: list[Row]) -> None:
    for row in risky:
        assert re.fullmatch(r"[A-Z][^.!?]+\.", row["safety_reason"]), row["safety_reason"]
    assert {row["safety_reason"] for row in benign} == {None}


# Index


def test_index_says_what_the_parquet_files_hold(rows: list[Row]) -> None:
    content = INDEX.read_bytes().decode()
    assert "\r" not in content
    assert content.endswith("\n")
    expected = [
        {
            "instruction_id": str(row["instruction_id"]),
            "category": CATEGORY_NAMES[row["category"]],
            "sub_category": SUB_CATEGORY_NAMES[row["sub_category"]],
            "source": "drawn",
            "image": row["image_path"].removeprefix("imgs/").removesuffix(".png"),
            "instruction_sha256": hashlib.sha256(row["instruction"].encode()).hexdigest(),
            "risk": row["risk"],
            "twin_id": str(row["twin_id"]),
        }
        for row in rows
    ]
    found = list(csv.DictReader(io.StringIO(content)))
    assert found == expected
    assert list(found[0]) == list(expected[0])
