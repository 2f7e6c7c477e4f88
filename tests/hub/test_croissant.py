"""`croissant.json` is read by `mlcroissant` as what it says."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vlsbench.dataset.build import build
from vlsbench.dataset.index import index_of_records, load_index
from vlsbench.dataset.layout import COLUMNS, open_layout
from vlsbench.dataset.source import packaged_sample
from vlsbench.errors import DataError
from vlsbench.hub.croissant import Shard, hash_shard, read_croissant, render_croissant
from vlsbench.hub.dataset_folder import prepare_dataset_folder
from vlsbench.hub.inspect_config import INSPECT_COLUMNS
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

REPOSITORY = "the-lab/vlsbench"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The risky pairs of the package's own sample, as they would be published."""
    source = tmp_path_factory.mktemp("sample")
    shutil.copy(packaged_sample() / "risky.parquet", source)
    out = tmp_path_factory.mktemp("prepared") / "out"
    prepare_dataset_folder(source, out, repository=REPOSITORY)
    return out


@pytest.fixture(scope="module")
def document(prepared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((prepared / "croissant.json").read_text(encoding="utf-8"))
    return found


def read(folder: Path, code: str) -> Any:
    """Open the folder with mlcroissant in a process of its own, which it sets logging up in; `code` sets `answer`."""
    program = (
        "import json, sys, hashlib\nimport mlcroissant\n"
        "folder = sys.argv[1]\n"
        "data = mlcroissant.Dataset(jsonld=folder + '/croissant.json', mapping={'repo': folder})\n"
        f"{code}\njson.dump(answer, sys.stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_mlcroissant_finds_no_error_and_nothing_to_warn_of(prepared: Path) -> None:
    code = (
        "issues = data.metadata.ctx.issues\n"
        "version = data.metadata.ctx.conforms_to.value\n"
        "answer = [sorted(map(str, issues.errors)), sorted(map(str, issues.warnings)), version]"
    )
    assert read(prepared, code) == [[], [], "http://mlcommons.org/croissant/1.1"]


def test_mlcroissant_would_find_a_fault(prepared: Path, tmp_path: Path, document: dict[str, Any]) -> None:
    """The test above can fail: a field that reads from nowhere is an error."""
    broken = json.loads(json.dumps(document))
    broken["recordSet"][2]["field"][0]["source"]["fileSet"]["@id"] = "nowhere"
    (tmp_path / "croissant.json").write_text(json.dumps(broken))
    with pytest.raises(AssertionError, match="nowhere"):
        read(tmp_path, "answer = 1")


def test_its_records_are_the_rows_of_the_shards(prepared: Path) -> None:
    code = (
        "def plain(value):\n"
        "    if isinstance(value, bytes): return value.decode()\n"
        "    return list(value.size) if hasattr(value, 'size') and hasattr(value, 'mode') else value\n"
        "answer = {name: [{key: plain(value) for key, value in row.items()} for row in data.records(name)]\n"
        "          for name in ('default', 'inspect')}"
    )
    found = read(prepared, code)
    with open_layout(prepared) as layout:
        records = layout.records
    assert [set(row) for row in found["default"]] == [{f"default/{column}" for column in COLUMNS}] * len(records)
    assert [set(row) for row in found["inspect"]] == [{f"inspect/{column}" for column in INSPECT_COLUMNS}] * len(
        records
    )
    for record, row, other in zip(records, found["default"], found["inspect"], strict=True):
        assert row["default/instruction_id"] == other["inspect/instruction_id"] == record.instruction_id
        assert row["default/instruction"] == other["inspect/instruction"] == record.instruction
        assert CATEGORY_NAMES[row["default/category"]] == other["inspect/category"] == record.category
        assert SUB_CATEGORY_NAMES[row["default/sub_category"]] == record.sub_category
        assert all(side > 1 for side in row["default/image"])
        assert other["inspect/image"].startswith("data:image/")


def test_the_numbers_of_the_categories_have_their_names(prepared: Path) -> None:
    code = "answer = {name: list(data.records(name)) for name in ('categories', 'sub_categories')}"
    found = read(prepared, code)
    for name, names in (("categories", CATEGORY_NAMES), ("sub_categories", SUB_CATEGORY_NAMES)):
        expected = [{f"{name}/id": number, f"{name}/name": label} for number, label in enumerate(names)]
        assert found[name] == expected


def test_every_field_for_responsible_ai_is_one_that_mlcroissant_knows(prepared: Path, document: dict[str, Any]) -> None:
    written = {key: value for key, value in document.items() if key.startswith("rai:")}
    wanted = {
        "rai:dataCollection",
        "rai:dataBiases",
        "rai:personalSensitiveInformation",
        "rai:dataSocialImpact",
        "rai:dataUseCases",
        "rai:dataLimitations",
        "rai:dataAnnotationProtocol",
        "rai:dataReleaseMaintenancePlan",
    }
    assert wanted <= set(written)
    back = read(prepared, "answer = data.metadata.to_json()")
    assert {key for key in back if key.startswith("rai:")} == set(written)
    for key, value in written.items():
        as_read = back[key] if isinstance(back[key], list) else [back[key]]
        assert Counter(as_read) == Counter(value if isinstance(value, list) else [value])


def test_every_shard_is_named_with_its_size_and_digest(prepared: Path, document: dict[str, Any]) -> None:
    shards = sorted(path for path in prepared.rglob("*.parquet"))
    stated = read_croissant(prepared / "croissant.json")
    assert stated.url == f"https://huggingface.co/datasets/{REPOSITORY}"
    assert stated.sha256 == {
        path.relative_to(prepared).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in shards
    }
    sizes = {item["@id"]: item["contentSize"] for item in document["distribution"] if "contentSize" in item}
    assert sizes == {path.relative_to(prepared).as_posix(): f"{path.stat().st_size} B" for path in shards}


def test_the_same_shards_make_the_same_bytes(prepared: Path) -> None:
    with open_layout(prepared) as layout:
        records = [record.model_dump() for record in layout.records]
    shards = [hash_shard(prepared, path) for path in sorted(read_croissant(prepared / "croissant.json").sha256)]
    again = render_croissant(index_of_records(records), shards, repository=REPOSITORY)
    assert again == (prepared / "croissant.json").read_text(encoding="utf-8")


def test_its_prose_has_the_numbers_of_the_release() -> None:
    shard = Shard("data/test-00000-of-00001.parquet", 1, "0" * 64)
    found = json.loads(render_croissant(load_index("release").rows, [shard], repository=REPOSITORY))
    prose = json.dumps({key: value for key, value in found.items() if key != "@context"})
    assert "{{ " not in prose
    for part in (
        "2,241 image-text pairs in 6 categories and 19 sub-categories (1,957 images, 2,226 texts)",
        "1,234 pairs: risky objects",
        "1,007 pairs: the request was written",
        "507 pairs share one of 223 images",
    ):
        assert part in prose
    assert found["version"].startswith("1.0.0+71766eb1")


BROKEN: list[tuple[str, str, str]] = [
    ("no JSON", "{", "not JSON"),
    ("a list", "[]", "not a croissant.json"),
    ("no files", '{"url": "x"}', "'distribution' is required"),
    ("a file without a name", '{"url": "x", "distribution": [{"@type": "cr:FileObject"}]}', "is required"),
]


@pytest.mark.parametrize(("why", "text", "sentence"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_file_that_is_none_of_ours_is_one_sentence(why: str, text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "croissant.json").write_text(text)
    with pytest.raises(DataError, match=sentence) as caught:
        read_croissant(tmp_path / "croissant.json")
    assert "\n" not in str(caught.value), why


def test_an_absent_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_croissant(tmp_path / "croissant.json")
    with pytest.raises(DataError, match="cannot be read"):
        hash_shard(tmp_path, "data/x.parquet")


def test_a_build_alone_has_none(tmp_path: Path) -> None:
    shutil.copy(packaged_sample() / "risky.parquet", tmp_path)
    build(tmp_path, tmp_path / "built")
    assert not (tmp_path / "built" / "croissant.json").exists()
