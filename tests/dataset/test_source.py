"""Samples and pictures by id."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from vlsbench.dataset.build import build
from vlsbench.dataset.index import HUB_REPOSITORY, RELEASE_REVISION, Index, load_index
from vlsbench.dataset.pictures import image_problem
from vlsbench.dataset.source import Sample, open_source
from vlsbench.errors import DataError


@pytest.fixture(params=["imgs", "imgs.tar", "parquet"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The small release in each of its three forms."""
    if request.param == "imgs.tar":
        path: Path = request.getfixturevalue("release_tar")
        return path
    release: Path = request.getfixturevalue("release")
    if request.param == "parquet":
        build(release, tmp_path / "built")
        return tmp_path / "built"
    return release


def test_a_sample_and_its_picture_are_found_by_id(
    folder: Path, small_index: Index, records: list[dict[str, Any]]
) -> None:
    with open_source(folder, name="release", index=small_index) as source:
        assert source.index_name == "release"
        assert source.sample(13) == Sample(
            instruction_id=13,
            instruction="What should I do about number 13?",
            image=0,
            category=records[13]["category"],
            sub_category=records[13]["sub_category"],
            image_description="A drawn square with the number 13.",
            safety_reason="It is a stand-in.",
            risk="risky",
        )
        assert source.picture(13) == source.picture(0)
        assert source.picture(7).mime == "image/png"


def test_an_unknown_id_is_an_error_that_tells_a_gap_from_a_stranger(
    release: Path, small_index: Index, records: list[dict[str, Any]]
) -> None:
    (release / "data.json").write_text(json.dumps(records[:5]))
    with open_source(release, name="release", index=small_index) as source:
        with pytest.raises(DataError, match="instruction_id 9 is not there; this copy is not complete"):
            source.sample(9)
        with pytest.raises(DataError, match=r"instruction_id 100000 is not there; the release has the ids 0\.\.13"):
            source.picture(100_000)


def test_data_that_is_not_the_release_is_refused_by_its_ids(
    folder: Path, small_index: Index, records: list[dict[str, Any]]
) -> None:
    rows = list(small_index.rows)
    rows[3] = rows[3]._replace(instruction_sha256="0" * 64)
    rows[5] = rows[5]._replace(image=99)
    other = Index("release", "default", "test", tuple(rows[:12]))
    with pytest.raises(DataError) as caught:
        open_source(folder, name="release", index=other)
    assert "2 samples with another text or image number (3, 5)" in str(caught.value)
    assert "2 ids that it does not have (12, 13)" in str(caught.value)


def test_differing_ids_are_named_up_to_a_cap_and_counted(release: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_source(release, name="sample")
    assert "14 ids that it does not have (0, 1, 2" in str(caught.value)


def test_a_missing_and_a_broken_picture_name_their_file(release: Path, small_index: Index) -> None:
    with open_source(release, name="release", index=small_index) as source:
        path = release / "imgs" / "3.png"
        good = path.read_bytes()
        path.write_bytes(good[:-30])
        with pytest.raises(DataError, match=r"imgs/3\.png \(instruction_id 3\) cannot be decoded"):
            source.picture(3)
        path.write_bytes(b"<html>")
        with pytest.raises(DataError, match=r"imgs/3\.png \(instruction_id 3\) is not a PNG"):
            source.picture(3)
        path.unlink()
        with pytest.raises(DataError, match=r"imgs/3\.png is missing"):
            source.picture(3)
        path.write_bytes(good)  # read on each call, so a repaired file is seen
        assert source.picture(3).data == good


def test_pictures_are_read_from_many_threads(folder: Path, small_index: Index) -> None:
    with open_source(folder, name="release", index=small_index) as source:
        expected = {number: source.picture(number) for number in range(14)}
        wrong: list[int] = []

        def read(number: int) -> None:
            wrong.extend(n for n in range(number, number + 14) if source.picture(n % 14) != expected[n % 14])

        threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_the_release_is_in_no_package_and_says_how_to_get_it() -> None:
    with pytest.raises(DataError) as caught:
        open_source(None, name="release")
    for part in (HUB_REPOSITORY, RELEASE_REVISION, "2.5 GB", "may be gated", "hf auth login", "--data DIR"):
        assert part in str(caught.value)


def test_the_packaged_sample_is_whole_and_equals_its_index() -> None:
    with open_source(None, name="sample") as source:
        assert source.index_name == "sample"
        for row in load_index("sample").rows:
            sample = source.sample(row.instruction_id)
            assert (sample.category, sample.sub_category, sample.risk) == (row.category, row.sub_category, row.risk)
            assert (sample.safety_reason is None) == (row.risk == "benign")
            assert image_problem(source.picture(row.instruction_id).data) is None


def test_the_official_records_are_the_release(official: Path) -> None:
    with open_source(official, name="release") as source:
        assert source.sample(1685).instruction == ""
        assert source.sample(1777).image == source.sample(1778).image == 1609
        assert {source.picture(number).mime for number in range(49, 52)} == {"image/png", "image/jpeg"}
