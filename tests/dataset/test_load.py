"""`load_dataset("vlsbench")`, ours from any folder and that of `datasets` in a checkout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from vlsbench.dataset.index import load_index
from vlsbench.dataset.load import SAMPLE_CONFIGS, load_dataset
from vlsbench.errors import DataError
from vlsbench.taxonomy import CATEGORY_NAMES, CONFIG_NAMES

pytestmark = pytest.mark.usefixtures("datasets_cache")

COUNTS = {
    "default": 2241,
    "violent": 590,
    "illegal_activity": 539,
    "self_harm": 370,
    "erotic": 343,
    "hate": 269,
    "privacy": 130,
}
"""Rows per config of the release (arXiv:2411.19939v3, Figure 4; the official data.json has as many)."""


def test_the_default_is_the_risky_sample() -> None:
    index = load_index("sample")
    dataset = load_dataset("vlsbench")
    assert list(dataset) == ["test"]
    assert dataset["test"]["instruction_id"][:] == [row.instruction_id for row in index.risky]
    assert dataset["test"].features["category"].names == list(CATEGORY_NAMES)
    assert dataset["test"][0]["image"].size


def test_twins_hold_both_and_link_to_each_other() -> None:
    dataset = load_dataset("vlsbench", "twins", split="test")
    twins = dict(zip(dataset["instruction_id"], dataset["twin_id"], strict=True))
    assert len(twins) == len(load_index("sample").rows)
    assert all(twins[twins[number]] == number for number in twins)


@pytest.mark.parametrize("name", SAMPLE_CONFIGS)
def test_the_sample_streams(name: str) -> None:
    prepared = load_dataset("vlsbench", name, split="test")
    streamed = load_dataset("vlsbench", name, split="test", streaming=True)
    assert [row["instruction_id"] for row in streamed] == list(prepared["instruction_id"])


@pytest.mark.parametrize("layout", ["release", "release_tar"])
def test_the_release_loads_from_a_folder_and_its_default_is_everything(
    layout: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(layout)
    cache = tmp_path / "cache"
    assert load_dataset("vlsbench", data_dir=folder, cache_dir=cache)["test"].num_rows == 14
    assert load_dataset("vlsbench", "hate", data_dir=str(folder), split="test", cache_dir=cache).num_rows == 2
    streamed = load_dataset("vlsbench", "hate", data_dir=folder, split="test", streaming=True)
    assert [row["category"] for row in streamed] == [CATEGORY_NAMES.index("Hate")] * 2
    assert load_dataset("vlsbench", "default", data_dir=folder, split="test[:3]", cache_dir=cache).num_rows == 3


BAD_CALLS: list[tuple[dict[str, Any], str]] = [
    ({"name": "Privacy"}, "no config 'Privacy'; the package has sample, twins and the release has default, violent"),
    ({"name": ""}, "no config ''"),
    ({"path": "other/dataset"}, "loads 'vlsbench' only, found 'other/dataset'"),
    ({"name": "sample", "data_dir": "."}, "takes no data_dir"),
    ({"name": "default", "data_dir": "/nonexistent/folder"}, "there is nothing there"),
    ({"streaming": True, "num_proc": 2}, "streaming runs in one process"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_a_bad_call_is_one_clear_error(call: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_dataset(**call)


@pytest.mark.parametrize("streaming", [False, True])
def test_missing_images_are_named_before_anything_is_prepared(streaming: bool, release: Path, tmp_path: Path) -> None:
    for number in (2, 3):
        (release / "imgs" / f"{number}.png").unlink()
    with pytest.raises(DataError, match=r"2 problems: imgs/2\.png is missing; imgs/3\.png is missing"):
        load_dataset("vlsbench", data_dir=release, streaming=streaming, cache_dir=tmp_path / "cache")


def test_an_error_while_rows_are_made_comes_out_as_it_was_raised(release: Path, tmp_path: Path) -> None:
    (release / "imgs" / "3.png").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"imgs/3\.png \(instruction_id 3\) is not a PNG"):
        load_dataset("vlsbench", data_dir=release, cache_dir=tmp_path / "cache")


LITERAL = """
import datasets
def describe(dataset):
    row = dataset[0]
    return [dataset.num_rows, row["image"].size, dataset.features["category"].names, row["instruction_id"]]
answer = {}
for name in (None, "sample", "twins"):
    answer[str(name)] = describe(datasets.load_dataset("vlsbench", name, split="test"))
answer["configs"] = sorted(datasets.get_dataset_config_names("vlsbench"))
answer["streamed"] = sum(1 for _ in datasets.load_dataset("vlsbench", split="test", streaming=True))
"""


def test_the_literal_call_of_datasets_works_in_a_checkout(run_python: Any, tmp_path: Path) -> None:
    import vlsbench

    package = Path(vlsbench.__file__).parent
    checkout = tmp_path / ".hidden" / "checkout"  # people keep checkouts below dot folders
    shutil.copytree(package, checkout / "vlsbench", ignore=shutil.ignore_patterns("__pycache__"))
    index = load_index("sample")
    answer = run_python(LITERAL, folder=checkout, PYTHONPATH="")
    assert answer["None"] == answer["sample"]
    assert answer["sample"][0] == answer["streamed"] == len(index.risky)
    assert answer["twins"][0] == len(index.rows)
    assert answer["sample"][2] == list(CATEGORY_NAMES)
    assert answer["configs"] == sorted(SAMPLE_CONFIGS)


def test_no_file_of_the_package_is_taken_for_a_loading_script() -> None:
    import vlsbench

    assert not (Path(vlsbench.__file__).parent / "vlsbench.py").exists()


def test_our_call_works_from_any_folder(run_python: Any, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "vlsbench").mkdir(parents=True)  # a folder of that name is not what is meant
    code = "from vlsbench.dataset.load import load_dataset\nanswer = load_dataset('vlsbench')['test'].num_rows"
    assert run_python(code, folder=tmp_path / "elsewhere") == len(load_index("sample").risky)


def test_the_release_has_its_counts_in_every_config(official: Path, tmp_path: Path) -> None:
    counts = {}
    for name in CONFIG_NAMES:
        dataset = load_dataset("vlsbench", name, data_dir=official, split="test", cache_dir=tmp_path / "cache")
        counts[name] = dataset.num_rows
    assert counts == COUNTS


def test_the_release_streams_in_the_order_of_its_ids(official: Path, release_json: Path) -> None:
    streamed = load_dataset("vlsbench", "privacy", data_dir=official, split="test", streaming=True)
    records = json.loads(release_json.read_bytes())
    expected = [record["instruction_id"] for record in records if record["category"] == "Privacy"]
    assert [row["instruction_id"] for row in streamed] == expected
