"""The loading script, from folders and from a Hub on loopback in both of its layouts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from vlsbench.dataset.index import HUB_REPOSITORY, RELEASE_REVISION
from vlsbench.dataset.layout import COLUMNS
from vlsbench.taxonomy import CATEGORY_NAMES, CONFIG_NAMES, SUB_CATEGORY_NAMES

pytestmark = pytest.mark.usefixtures("datasets_cache")

LOAD = """
from vlsbench.dataset.load import load_dataset
from vlsbench.errors import DataError
def rows(dataset):
    images = ((row["instruction_id"], row["category"], row["image"]) for row in dataset)
    return [[number, category, list(image.size), image.format] for number, category, image in images]
"""


def _load(options: str) -> str:
    return f"{LOAD}\nanswer = rows(load_dataset('vlsbench', split='test', {options}))"


def _fail(options: str, use: str = "") -> str:
    return f"""{LOAD}
try:
    dataset = load_dataset('vlsbench', split='test', {options})
    {use}
    answer = None
except DataError as error:
    answer = str(error)
"""


def _expected(records: list[dict[str, Any]], category: str | None = None) -> list[list[object]]:
    return [
        [record["instruction_id"], CATEGORY_NAMES.index(record["category"]), [64, 64], "PNG"]
        for record in records
        if category in (None, record["category"])
    ]


@pytest.fixture
def hub_of_shards(hub: Any, records: list[dict[str, Any]], release: Path) -> Any:
    """The later layout: Parquet with text ids and plain names, beside the redundant images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for record in records:
        data = (release / record["image_path"]).read_bytes()
        image = {"bytes": data, "path": Path(record["image_path"]).name}
        rows.append({**record, "instruction_id": str(record["instruction_id"]), "image": image})
    (hub.root / "data").mkdir()
    for number, part in enumerate((rows[:8], rows[8:])):
        table = pa.Table.from_pylist(part).select(list(COLUMNS))
        pq.write_table(table, hub.root / "data" / f"test-{number:05d}-of-00002.parquet", row_group_size=5)
    (hub.root / "README.md").write_text("# a card\n")
    (hub.root / "data.json").write_text("[]")
    return hub


@pytest.fixture
def hub_of_tar(hub: Any, release_tar: Path) -> Any:
    shutil.copytree(release_tar, hub.root, dirs_exist_ok=True)
    return hub


@pytest.fixture
def hub_of_images(hub: Any, release: Path) -> Any:
    shutil.copytree(release, hub.root, dirs_exist_ok=True)
    return hub


def test_its_configs_are_those_of_the_taxonomy_and_its_columns_those_of_the_release() -> None:
    from datasets import ClassLabel, Image, Value

    from vlsbench.dataset.builder import FEATURES, VLSBench

    assert tuple(config.name for config in VLSBench.BUILDER_CONFIGS) == CONFIG_NAMES
    assert VLSBench.DEFAULT_CONFIG_NAME == "default"
    assert tuple(FEATURES) == COLUMNS
    assert FEATURES["instruction_id"] == Value("int64")
    assert FEATURES["image"] == Image()
    assert FEATURES["category"] == ClassLabel(names=list(CATEGORY_NAMES))
    assert FEATURES["sub_category"] == ClassLabel(names=list(SUB_CATEGORY_NAMES))


def test_a_builder_prepares_and_streams_the_same_rows_of_a_folder(release: Path, tmp_path: Path) -> None:
    from vlsbench.dataset.builder import VLSBench

    builder = VLSBench(config_name="privacy", data_dir=str(release), cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    prepared = builder.as_dataset(split="test")
    streamed = list(builder.as_streaming_dataset(split="test"))
    assert prepared["instruction_id"] == [row["instruction_id"] for row in streamed] == [5, 11]
    assert prepared.features == builder.info.features


def test_shards_are_shared_among_processes(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_python: Any, records: list[dict[str, Any]]
) -> None:
    from vlsbench.dataset import build

    monkeypatch.setattr(build, "_ROWS_PER_GROUP", 5)
    monkeypatch.setattr(build, "_BYTES_PER_SHARD", 1)
    assert len(build.build(release, tmp_path / "built").shards) == 3
    options = f"name='default', data_dir={str(tmp_path / 'built')!r}, num_proc=2"
    assert run_python(_load(options)) == _expected(records)


def test_a_folder_that_changed_is_read_again(release: Path, tmp_path: Path) -> None:
    from vlsbench.dataset.builder import VLSBench

    def load() -> Any:
        builder = VLSBench(data_dir=str(release), cache_dir=str(tmp_path / "cache"))
        builder.download_and_prepare()
        return builder.as_dataset(split="test")

    assert load().num_rows == 14
    records = json.loads((release / "data.json").read_text())
    (release / "data.json").write_text(json.dumps(records[:5]))
    assert load().num_rows == 5


@pytest.mark.parametrize("layout", ["hub_of_shards", "hub_of_tar", "hub_of_images"])
def test_every_layout_of_the_hub_gives_the_same_rows_prepared_and_streamed(
    layout: str, request: pytest.FixtureRequest, run_python: Any, records: list[dict[str, Any]]
) -> None:
    hub = request.getfixturevalue(layout)
    code = f"""{LOAD}
answer = [
    rows(load_dataset('vlsbench', 'default', split='test')),
    rows(load_dataset('vlsbench', 'hate', split='test')),
    rows(load_dataset('vlsbench', 'default', split='test', streaming=True)),
    rows(load_dataset('vlsbench', 'hate', split='test', streaming=True)),
]
"""
    everything, hate, streamed, streamed_hate = run_python(code, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    assert everything == _expected(records)
    assert hate == streamed_hate == _expected(records, "Hate")
    # A tar is streamed in its own order, which is that of the images; nothing else could be done without all of it.
    assert (sorted(streamed) if layout == "hub_of_tar" else streamed) == _expected(records)
    assert any("data/test-" in line for line in hub.requests) == (layout == "hub_of_shards")


def test_streaming_from_the_tar_stops_when_it_has_what_it_wants(hub_of_tar: Any, run_python: Any) -> None:
    code = f"{LOAD}\nanswer = next(iter(load_dataset('vlsbench', 'default', streaming=True)['test']))['instruction_id']"
    assert run_python(code, HF_ENDPOINT=hub_of_tar.url, HF_HUB_OFFLINE="0") == 0
    assert not [line for line in hub_of_tar.requests if "/resolve/" in line and "imgs/" in line]


def test_what_was_downloaded_once_loads_without_the_hub(
    hub_of_shards: Any, run_python: Any, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    run_python(_load("name='default'"), HF_ENDPOINT=hub_of_shards.url, HF_HUB_OFFLINE="0")
    # Another cache of `datasets`, so that only the files of the Hub's cache are left.
    options = f"name='default', cache_dir={str(tmp_path / 'fresh')!r}"
    assert run_python(_load(options), HF_ENDPOINT=hub_of_shards.url) == _expected(records)


REFUSALS = [
    ("a gated repository, no token", False, "files", (401, "GatedRepo"), "it is gated"),
    ("a gated repository, a token without access", False, "files", (403, "GatedRepo"), "it is gated"),
    ("a gated repository, closed at its page", False, "api", (403, "GatedRepo"), "it is gated"),
    ("a private or absent repository", False, "api", (401, "RepoNotFound"), "no such repository"),
    ("an absent revision", False, "api", (404, "RevisionNotFound"), "revision is not there"),
    ("a server that fails", False, "api", (500, ""), "HTTP 500"),
    ("a proxy that forbids", False, "files", (403, ""), "HTTP 403"),
    ("a gated repository, streamed", True, "files", (401, "GatedRepo"), "it is gated"),
    ("an absent repository, streamed", True, "api", (404, "RepoNotFound"), "no such repository"),
    ("an absent file, streamed", True, "files", (404, "EntryNotFound"), "a file of it is not there"),
    ("a proxy that forbids, streamed", True, "files", (403, ""), "HTTP 403"),
]


@pytest.mark.parametrize(
    ("why", "is_streamed", "where", "refusal", "sentence"), REFUSALS, ids=[row[0] for row in REFUSALS]
)
def test_a_refusal_of_the_hub_is_one_clear_error(
    why: str,
    is_streamed: bool,
    where: str,
    refusal: tuple[int, str],
    sentence: str,
    hub_of_shards: Any,
    run_python: Any,
) -> None:
    setattr(hub_of_shards, f"refuse_{where}", refusal)
    code = _fail(f"name='default', streaming={is_streamed}", use="next(iter(dataset))")
    message = run_python(code, HF_ENDPOINT=hub_of_shards.url, HF_HUB_OFFLINE="0")
    assert message is not None, why
    assert sentence in message
    for part in (HUB_REPOSITORY, RELEASE_REVISION, "2.5 GB", "gated", "hf auth login", "data_dir=DIR"):
        assert part in message
    assert "\n" not in message


def test_a_token_opens_a_gated_repository(hub_of_shards: Any, run_python: Any, records: list[dict[str, Any]]) -> None:
    hub_of_shards.refuse_files = (401, "GatedRepo")
    hub_of_shards.token = "hf_of_a_test"  # noqa: S105 (it opens nothing)
    code = _load("name='default', token='hf_of_a_test'")
    assert run_python(code, HF_ENDPOINT=hub_of_shards.url, HF_HUB_OFFLINE="0") == _expected(records)


@pytest.mark.parametrize("is_streamed", [False, True], ids=["prepared", "streamed"])
def test_offline_without_the_release_says_what_to_download(is_streamed: bool, run_python: Any) -> None:
    message = run_python(_fail(f"name='default', streaming={is_streamed}"))
    assert "HF_HUB_OFFLINE is set" in message
    assert "data_dir=DIR" in message


def test_a_hub_that_is_down_says_no_connection(run_python: Any) -> None:
    message = run_python(_fail("name='default'"), HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert "no connection" in message


@pytest.mark.parametrize("is_streamed", [False, True], ids=["prepared", "streamed"])
def test_images_missing_from_the_tar_of_the_hub_are_named(
    is_streamed: bool, hub_of_tar: Any, run_python: Any, records: list[dict[str, Any]]
) -> None:
    more = [*records, {**records[1], "instruction_id": 99, "image_path": "imgs/99.png"}]
    (hub_of_tar.root / "data.json").write_text(json.dumps(more))
    code = _fail(f"name='default', streaming={is_streamed}", use="list(dataset)")
    assert "99.png" in run_python(code, HF_ENDPOINT=hub_of_tar.url, HF_HUB_OFFLINE="0")


def test_images_missing_from_the_hub_are_named(hub_of_images: Any, run_python: Any) -> None:
    (hub_of_images.root / "imgs" / "3.png").unlink()
    message = run_python(_fail("name='default'"), HF_ENDPOINT=hub_of_images.url, HF_HUB_OFFLINE="0")
    assert "1 image is missing (imgs/3.png)" in message


def test_a_repository_without_data_is_refused(hub: Any, run_python: Any) -> None:
    (hub.root / "README.md").write_text("nothing else")
    message = run_python(_fail("name='default'"), HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    assert "neither Parquet shards nor data.json" in message
