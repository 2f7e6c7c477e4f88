"""What `vlsbench data build`, `verify` and `index` write and say."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlsbench.cli.data import data
from vlsbench.dataset import build as build_module
from vlsbench.dataset.build import build, card_template, known_faults, make_index, render_card, verify
from vlsbench.dataset.index import RELEASE_DIGEST, Index, load_index, render_index
from vlsbench.dataset.layout import open_layout
from vlsbench.errors import DataError
from vlsbench.taxonomy import CATEGORY_NAMES, CONFIG_NAMES, SUB_CATEGORIES

pytestmark = pytest.mark.usefixtures("datasets_cache")


@pytest.fixture
def built(release: Path, tmp_path: Path) -> Path:
    build(release, tmp_path / "built")
    return tmp_path / "built"


@pytest.fixture
def small_release_index(monkeypatch: pytest.MonkeyPatch, small_index: Index) -> Index:
    """Let `verify` take the small release for the real one."""
    monkeypatch.setattr(build_module, "load_index", lambda _: small_index)
    monkeypatch.setattr(build_module, "RELEASE_DIGEST", small_index.digest)
    return small_index


# --- Build -----------------------------------------------------------------------------------------------------------


def test_a_build_keeps_every_byte_and_every_text(built: Path, release: Path) -> None:
    with open_layout(built) as copy, open_layout(release) as source:
        assert copy.records == source.records
        assert [copy.read(record) for record in copy.records] == [source.read(record) for record in source.records]


def test_a_tar_and_a_folder_build_the_same_files(built: Path, release_tar: Path, tmp_path: Path) -> None:
    build(release_tar, tmp_path / "other")
    files = sorted(path.relative_to(built) for path in built.rglob("*") if path.is_file())
    assert files == [Path("README.md"), Path("data/test-00000-of-00001.parquet")]
    for path in files:
        assert (built / path).read_bytes() == (tmp_path / "other" / path).read_bytes()


def test_a_build_of_a_build_is_the_same_build(built: Path, tmp_path: Path) -> None:
    build(built, tmp_path / "again")
    name = "data/test-00000-of-00001.parquet"
    assert (tmp_path / "again" / name).read_bytes() == (built / name).read_bytes()


def test_shards_and_row_groups_end_at_their_limits(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    with open_layout(release) as layout:
        size = max(len(layout.read(record)) for record in layout.records)
    monkeypatch.setattr(build_module, "_ROWS_PER_GROUP", 3)
    monkeypatch.setattr(build_module, "_BYTES_PER_SHARD", 6 * size)
    report = build(release, tmp_path / "built")
    assert report.shards[0] == f"data/test-00000-of-{len(report.shards):05d}.parquet"
    assert len(report.shards) > 1
    for shard in report.shards:
        with pq.ParquetFile(tmp_path / "built" / shard) as file:
            groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert max(groups) <= 3
    with open_layout(tmp_path / "built") as copy:
        assert [record.instruction_id for record in copy.records] == list(range(14))


def test_the_features_are_those_of_the_builder(built: Path) -> None:
    import datasets
    import pyarrow.parquet as pq

    from vlsbench.dataset.builder import FEATURES

    schema = pq.read_schema(built / "data" / "test-00000-of-00001.parquet")
    assert datasets.Features.from_arrow_schema(schema) == FEATURES
    assert list(schema.names) == list(FEATURES)
    infos = datasets.DatasetInfo._from_yaml_dict  # what `datasets` reads of a card
    card = build_module._metadata([], Counter())
    assert {info["config_name"] for info in card["dataset_info"]} == set(CONFIG_NAMES)
    assert all(infos(dict(info)).features == FEATURES for info in card["dataset_info"])


def test_datasets_loads_every_config_of_a_build(built: Path, tmp_path: Path, records: list[dict[str, Any]]) -> None:
    import datasets

    from vlsbench.dataset.builder import FEATURES

    counts = Counter(record["category"] for record in records)
    expected = [len(records), *(counts[name] for name in CATEGORY_NAMES)]
    cache = str(tmp_path / "cache")
    found = [datasets.load_dataset(str(built), name, split="test", cache_dir=cache) for name in CONFIG_NAMES]
    assert [dataset.num_rows for dataset in found] == expected
    assert all(dataset.features == FEATURES for dataset in found)
    assert datasets.load_dataset(str(built), cache_dir=cache)["test"].num_rows == len(records)
    streamed = datasets.load_dataset(str(built), "hate", split="test", streaming=True)
    assert [row["category"] for row in streamed] == [CATEGORY_NAMES.index("Hate")] * counts["Hate"]


@pytest.mark.parametrize("kind", ["file", "full", "link"])
def test_a_build_overwrites_nothing(kind: str, release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "full":
        out.mkdir()
        (out / "mine").write_text("mine")
    else:
        out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"overwrites nothing|not a folder"):
        build(release, out)
    assert not list(tmp_path.glob(".out*"))


def test_a_build_may_go_into_the_folder_one_stands_in(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    build(release, Path())
    assert (tmp_path / "here" / "README.md").is_file()


def test_an_empty_out_and_a_deep_out_are_made(release: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    build(release, tmp_path / "empty")
    build(release, tmp_path / "a" / "b" / "c")
    assert (tmp_path / "empty" / "README.md").is_file()
    assert (tmp_path / "a" / "b" / "c" / "README.md").is_file()


def test_a_failed_build_names_every_problem_and_leaves_nothing(
    release: Path, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    (release / "imgs" / "2.png").unlink()
    (release / "imgs" / "5.png").write_bytes((release / "imgs" / "5.png").read_bytes()[:-30])
    (release / "imgs" / "7.png").write_bytes(b"<html>")
    (release / "data.json").write_text(json.dumps([*records, {**records[0], "category": "?"}, records[9]]))
    with pytest.raises(DataError) as caught:
        build(release, tmp_path / "out")
    message = str(caught.value)
    assert "5 problems" in message
    for part in (
        "entry 14: 'category'",
        "instruction_id 9 occurs more than once",
        "imgs/2.png is missing",
        "imgs/5.png (instruction_id 5) cannot be decoded",
        "imgs/7.png (instruction_id 7) is not a PNG",
    ):
        assert part in message
    assert "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release"]


def test_a_disk_that_refuses_is_one_clear_error(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build_module._Shards, "write", full)
    with pytest.raises(DataError, match="No space left on device"):
        build(release, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release"]


# --- Card ------------------------------------------------------------------------------------------------------------


def test_the_card_counts_what_was_written_and_says_that_it_is_not_the_release(built: Path) -> None:
    card = (built / "README.md").read_text()
    assert "14 pairs, 12 distinct images, 14 distinct instructions" in card
    assert "**This copy is not the release**" in card
    assert "{{ " not in card
    assert "Content warning" in card


def test_the_card_of_the_release_has_the_numbers_of_the_index() -> None:
    index = load_index("release")
    card = render_card(index.rows)
    assert "2,241 pairs, 1,957 distinct images, 2,226 distinct instructions" in card
    for name, count in Counter(row.category for row in index.rows).items():
        assert re.search(rf"\*\*{name}\*\* \| `\w+` \| \| \*\*{count}\*\*", card)
    for sub in SUB_CATEGORIES:
        count = sum(row.sub_category == sub.name for row in index.rows)
        assert f"| {sub.name} | {count} |" in card
    for fault in known_faults(index.rows):
        assert fault in card
    assert "507 pairs share their image with another pair (223 images)" in card
    assert f"`{RELEASE_DIGEST}`" in card
    assert "This copy holds the whole release." in card


def test_the_template_types_no_count_itself() -> None:
    body = card_template().read_text().split("---\n", 2)[2].split("## Citation")[0]
    assert not re.findall(r"\b(?:2,?241|1,?957|2,?226|590|539|370|343|269|130)\b", body)


def test_the_filters_of_the_card_are_the_ids_of_the_taxonomy() -> None:
    configs = build_module._metadata(load_index("release").rows, Counter())["configs"]
    assert [config["config_name"] for config in configs] == list(CONFIG_NAMES)
    assert configs[0]["default"] is True
    assert [config["filters"] for config in configs[1:]] == [
        [["category", "=", number]] for number in range(len(CATEGORY_NAMES))
    ]


# --- Verify ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["release", "release_tar", "built"])
def test_a_good_copy_is_good_in_every_layout(
    layout: str, request: pytest.FixtureRequest, small_release_index: Index
) -> None:
    report = verify(request.getfixturevalue(layout))
    assert report.is_good, report.problems
    assert report.is_release
    assert (report.n_samples, report.n_images, report.n_instructions) == (14, 12, 14)
    assert "good" in report.as_text()
    assert json.loads(report.as_json())["is_good"] is True


def _entry(release: Path, number: int, **changes: object) -> None:
    records = json.loads((release / "data.json").read_text())
    records[number].update(changes)
    (release / "data.json").write_text(json.dumps(records))


def _drop(release: Path) -> None:
    records = json.loads((release / "data.json").read_text())
    (release / "data.json").write_text(json.dumps(records[:-2]))


PROBLEMS: list[tuple[str, Any, str]] = [
    ("missing ids", _drop, "2 samples of the release are missing: 12, 13"),
    ("an unknown id", lambda p: _entry(p, 3, instruction_id=99), "1 ids are not in the release: 99"),
    (
        "another text",
        lambda p: _entry(p, 3, instruction="?"),
        "1 samples have another instruction than in the release: 3",
    ),
    ("another image", lambda p: _entry(p, 3, image_path="imgs/4.png"), "another image number than in the release: 3"),
    ("another category", lambda p: _entry(p, 3, category="Hate"), "another category than in the release: 3"),
    ("another source", lambda p: _entry(p, 3, source="x"), "another source than in the release: 3"),
    ("a missing image", lambda p: (p / "imgs/3.png").unlink(), "imgs/3.png is missing"),
    (
        "a broken image",
        lambda p: (p / "imgs/3.png").write_bytes(b"\x89PNG\r\n\x1a\n"),
        "imgs/3.png (instruction_id 3) cannot",
    ),
    ("a bad entry", lambda p: _entry(p, 3, source=None), "entry 3: 'source'"),
    ("no records", lambda p: (p / "data.json").write_text("{}"), "found dict"),
    ("no images", lambda p: shutil.rmtree(p / "imgs"), "neither imgs/ nor imgs.tar"),
]


@pytest.mark.parametrize(("why", "spoil", "sentence"), PROBLEMS, ids=[row[0] for row in PROBLEMS])
def test_verify_names_a_problem_and_never_raises(
    why: str, spoil: Any, sentence: str, release: Path, small_release_index: Index
) -> None:
    spoil(release)
    report = verify(release)
    assert not report.is_good, why
    assert any(sentence in problem for problem in report.problems), report.problems


def test_what_is_odd_in_the_release_is_known_and_no_problem(
    release: Path, small_index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    _entry(release, 3, instruction="")
    _entry(release, 12, instruction="What should I do about number 0?")
    _entry(release, 5, sub_category="Cybercrime")
    index = Index("release", "default", "test", tuple(build_module._index_rows(open_layout(release).records)))
    monkeypatch.setattr(build_module, "load_index", lambda _: index)
    report = verify(release)
    assert report.is_good
    assert report.known_faults == (
        "1 pair is filed under a sub-category of another category: 5 (Privacy / Cybercrime).",
        "1 pair has no text: 3.",
        "1 pair is there twice: 0/12.",
    )


# --- Commands --------------------------------------------------------------------------------------------------------


def test_the_commands_put_data_on_stdout_and_exit_as_documented(
    release: Path, tmp_path: Path, small_release_index: Index
) -> None:
    run = CliRunner().invoke
    done = run(data, ["build", str(release), str(tmp_path / "out")])
    assert (done.exit_code, done.stdout.split()) == (
        0,
        [str(tmp_path / "out" / "data" / "test-00000-of-00001.parquet")],
    )
    done = run(data, ["verify", str(tmp_path / "out"), "--json"])
    assert (done.exit_code, json.loads(done.stdout)["n_samples"]) == (0, 14)
    done = run(data, ["index", str(release / "data.json")])
    assert (done.exit_code, done.stdout) == (0, render_index(small_release_index.rows))
    (release / "imgs" / "3.png").unlink()
    done = run(data, ["verify", str(release)])
    assert done.exit_code == 1
    assert "problem: imgs/3.png is missing" in done.stdout
    assert run(data, ["verify"]).exit_code == 2
    with pytest.raises(DataError):
        run(data, ["build", str(release), str(tmp_path / "out")], catch_exceptions=False)


@pytest.mark.parametrize("state", ["good", "bad", "absent"])
def test_verify_says_every_time_that_pixels_were_not_compared(
    state: str, release: Path, tmp_path: Path, small_release_index: Index
) -> None:
    if state == "bad":
        (release / "imgs" / "3.png").unlink()
    path = tmp_path / "absent" if state == "absent" else release
    shown = CliRunner().invoke(data, ["verify", str(path)])
    assert shown.exit_code == (0 if state == "good" else 1)
    assert "pixels were not compared: the index has the images' numbers, not their digests" in shown.stdout
    assert json.loads(CliRunner().invoke(data, ["verify", str(path), "--json"]).stdout)["pixels_compared"] is False


def test_an_index_is_made_of_good_records_only(release: Path) -> None:
    _entry(release, 3, source=None)
    with pytest.raises(DataError, match="entry 3"):
        make_index(release / "data.json")
    with pytest.raises(DataError, match="cannot be read"):
        make_index(release / "absent.json")


# --- The official records --------------------------------------------------------------------------------------------


def test_the_packaged_index_is_that_of_the_official_records(release_json: Path) -> None:
    assert make_index(release_json) == render_index(load_index("release").rows)


def test_the_release_builds_verifies_and_loads(official: Path, tmp_path: Path) -> None:
    import datasets

    report = build(official, tmp_path / "built")
    assert (report.n_samples, report.n_images, report.digest, report.is_release) == (2241, 1957, RELEASE_DIGEST, True)
    checked = verify(tmp_path / "built")
    assert checked.is_good, checked.problems
    assert checked.is_release
    assert (checked.n_samples, checked.n_images, checked.n_instructions) == (2241, 1957, 2226)
    assert list(checked.by_category.values()) == [590, 539, 370, 343, 269, 130]
    faults = " ".join(checked.known_faults)
    for part in ("1144", "1153", "1996", "1489", "2105", "1685", "1777/1778"):
        assert part in faults
    counts = [
        datasets.load_dataset(str(tmp_path / "built"), name, split="test", cache_dir=str(tmp_path / "cache")).num_rows
        for name in CONFIG_NAMES
    ]
    assert counts == [2241, 590, 539, 370, 343, 269, 130]
