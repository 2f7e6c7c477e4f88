"""What is published as the dataset: the folder, its card, its configs and its tasks."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlsbench.dataset import build as build_module
from vlsbench.dataset.build import build, card_template, card_values, render_card, verify
from vlsbench.dataset.index import RELEASE_DIGEST, digest_of, index_of_records, load_index
from vlsbench.dataset.layout import open_layout
from vlsbench.dataset.source import packaged_sample
from vlsbench.errors import DataError, UsageError
from vlsbench.hub.dataset_folder import is_dataset_folder, prepare_dataset_folder, read_dataset_folder
from vlsbench.hub.eval_results import TASKS
from vlsbench.hub.hub_eval import eval_tasks, render_eval_yaml
from vlsbench.hub.inspect_config import INSPECT_COLUMNS, inspect_config_of
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, CONFIG_NAMES

REPOSITORY = "the-lab/vlsbench"
SHARD = "test-00000-of-00001.parquet"
FILES = [f"data/{SHARD}", f"inspect/{SHARD}", "eval.yaml", "croissant.json", "README.md"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The risky pairs of the package's own sample."""
    folder = tmp_path_factory.mktemp("sample")
    shutil.copy(packaged_sample() / "risky.parquet", folder)
    return folder


@pytest.fixture(scope="module")
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    prepare_dataset_folder(source, out, repository=REPOSITORY)
    return out


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    """A prepared folder that a test may spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "copy"))


@pytest.fixture
def datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")


def front_matter(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n", 2)[1])
    return found


# --- The folder ------------------------------------------------------------------------------------------------------


def test_a_folder_has_these_files_and_the_card_comes_last(prepared: Path) -> None:
    folder = read_dataset_folder(prepared, repository=REPOSITORY)
    assert [file.path for file in folder.files] == FILES
    assert sorted(FILES) == sorted(
        path.relative_to(prepared).as_posix() for path in prepared.rglob("*") if path.is_file()
    )
    assert [file.n_bytes for file in folder.files] == [(prepared / path).stat().st_size for path in FILES]
    assert (folder.n_samples, folder.n_images, folder.is_release) == (41, 38, False)
    text = folder.as_text()
    for file in folder.files:
        assert re.search(rf"{file.n_bytes:,}  {re.escape(file.path)} +{re.escape(file.what)}", text)
    assert f"{folder.n_bytes:,}  bytes in 5 files for datasets/{REPOSITORY}" in text
    assert "not the release: the card says so" in text
    assert (is_dataset_folder(prepared), is_dataset_folder(prepared / "data")) == (True, False)


def test_the_same_source_makes_the_same_bytes(source: Path, prepared: Path, tmp_path: Path) -> None:
    prepared_folder = prepare_dataset_folder(source, tmp_path / "again", repository=REPOSITORY)
    build(source, tmp_path / "built")
    prepare_dataset_folder(tmp_path / "built", tmp_path / "from-a-build", repository=REPOSITORY)
    for path in (file.path for file in prepared_folder.files):
        expected = (prepared / path).read_bytes()
        assert (tmp_path / "again" / path).read_bytes() == expected
        assert (tmp_path / "from-a-build" / path).read_bytes() == expected


def test_the_shards_of_a_build_go_out_as_they_are(source: Path, prepared: Path, tmp_path: Path) -> None:
    build(source, tmp_path / "built")
    assert (tmp_path / "built" / "data" / SHARD).read_bytes() == (prepared / "data" / SHARD).read_bytes()


def test_a_bad_source_leaves_nothing(source: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(source / "risky.parquet")
    images = table.column("image").to_pylist()
    images[3] = {"bytes": b"<html>", "path": "3.png"}
    number = table.schema.get_field_index("image")
    bad = table.set_column(number, table.schema.field(number), pa.array(images, type=table.schema.field(number).type))
    (tmp_path / "bad").mkdir()
    pq.write_table(bad, tmp_path / "bad" / "x.parquet")
    with pytest.raises(DataError, match="is not a PNG, JPEG, GIF, WebP or BMP image"):
        prepare_dataset_folder(tmp_path / "bad", tmp_path / "out", repository=REPOSITORY)
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_an_error_while_completing_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlsbench.hub.dataset_folder.render_eval_yaml", lambda: "\ud800")  # cannot be written as UTF-8
    with pytest.raises(UnicodeEncodeError):
        prepare_dataset_folder(source, tmp_path / "out", repository=REPOSITORY)
    assert list(tmp_path.iterdir()) == []


def test_benign_twins_are_not_published(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"41 pairs are benign twins .* Give a folder without them"):
        prepare_dataset_folder(packaged_sample(), tmp_path / "out", repository=REPOSITORY)
    assert list(tmp_path.iterdir()) == []


NAMES: list[tuple[str, str]] = [
    ("vlsbench", "no organisation"),
    ("a/b/c", "three parts"),
    ("the lab/vlsbench", "a space"),
    ("the-lab/", "nothing after the slash"),
    ("the-lab/vls..bench", "two dots"),
    ("hf://datasets/the-lab/vlsbench", "an address"),
    ("", "nothing"),
]


@pytest.mark.parametrize(("name", "why"), NAMES, ids=[row[1] for row in NAMES])
def test_a_name_that_is_no_repository_is_refused_before_anything_is_read(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="REPO is ORG/NAME"):
        prepare_dataset_folder(tmp_path / "absent", tmp_path / "out", repository=name)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _link(folder: Path) -> None:
    (folder / "eval.yaml").unlink()
    (folder / "eval.yaml").symlink_to(folder / "README.md")


def _other_card(folder: Path) -> None:
    (folder / "README.md").write_text(render_card(load_index("release").rows), encoding="utf-8")


def _secret(folder: Path) -> None:
    (folder / "notes").mkdir()
    (folder / "notes" / "private.txt").write_text("not for others")


def _linked_folder(folder: Path) -> None:
    (folder / "more").symlink_to(folder.parent)


SPOILED: list[tuple[str, Callable[[Path], Any], str]] = [
    ("a shard with another byte", lambda p: _flip(p / FILES[0]), f"data/{SHARD} has another SHA-256"),
    ("another shard for Inspect", lambda p: _flip(p / FILES[1]), f"inspect/{SHARD} has another SHA-256"),
    ("a missing shard", lambda p: (p / FILES[1]).unlink(), f"inspect/{SHARD} is missing"),
    ("no card", lambda p: (p / "README.md").unlink(), "README.md is missing"),
    ("a file that is not published", _secret, "notes/private.txt is nothing that is published"),
    ("a link to a folder", _linked_folder, "more is nothing that is published"),
    ("a link for a file", _link, "eval.yaml is a link"),
    ("tasks of another version", lambda p: (p / "eval.yaml").write_text("tasks: []"), "eval.yaml is not the one"),
    ("a card of another dataset", _other_card, "README.md is the card of another dataset"),
    ("no Croissant", lambda p: (p / "croissant.json").unlink(), "croissant.json: cannot be read"),
]


@pytest.mark.parametrize(("why", "spoil", "sentence"), SPOILED, ids=[row[0] for row in SPOILED])
def test_a_spoiled_folder_is_not_published(why: str, spoil: Callable[[Path], Any], sentence: str, copy: Path) -> None:
    spoil(copy)
    with pytest.raises(DataError) as caught:
        read_dataset_folder(copy, repository=REPOSITORY)
    assert sentence in str(caught.value), why
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(copy: Path) -> None:
    _flip(copy / FILES[0])
    _secret(copy)
    (copy / "README.md").unlink()
    with pytest.raises(DataError, match=r"4 problems: it was prepared for .*the-lab/vlsbench, not for"):
        read_dataset_folder(copy, repository="another/name")


def test_a_card_may_be_edited_by_hand(copy: Path) -> None:
    card = copy / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nAsk the lab for access.\n", encoding="utf-8")
    assert read_dataset_folder(copy, repository=REPOSITORY).n_samples == 41


def test_it_is_still_a_build_that_verify_and_the_loader_read(prepared: Path, datasets_cache: None) -> None:
    import vlsbench

    report = verify(prepared)
    assert (report.kind, report.n_samples) == ("parquet", 41)
    assert vlsbench.load_dataset("vlsbench", "default", data_dir=prepared, split="test").num_rows == 41


def test_no_sentence_of_a_pair_is_in_the_texts_beside_the_shards(prepared: Path) -> None:
    with open_layout(prepared) as layout:
        sentences = [s for r in layout.records for s in (r.instruction, r.image_description, r.safety_reason) if s]
    texts = "".join((prepared / name).read_text(encoding="utf-8") for name in FILES[2:])
    assert [sentence for sentence in sentences if sentence in texts] == []


# --- Shards ----------------------------------------------------------------------------------------------------------


def test_every_row_group_is_one_that_the_viewer_can_open(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(build_module, "_ROWS_PER_GROUP", 4)
    monkeypatch.setattr(build_module, "_BYTES_PER_SHARD", 600_000)
    folder = prepare_dataset_folder(source, tmp_path / "out", repository=REPOSITORY)
    shards = [file.path for file in folder.files if file.path.startswith("data/")]
    assert len(shards) > 1
    for shard in shards:
        twin = shard.replace("data/", "inspect/")
        pair = [pq.read_metadata(tmp_path / "out" / path) for path in (shard, twin)]
        sizes = [[found.row_group(n).num_rows for n in range(found.num_row_groups)] for found in pair]
        assert sizes[0] == sizes[1]
        assert max(sizes[0]) <= 4
        for found in pair:
            group = found.row_group(0)
            assert all(group.column(n).has_offset_index for n in range(group.num_columns))
    read_dataset_folder(tmp_path / "out", repository=REPOSITORY)


def test_the_limits_of_a_row_group_stay_below_the_viewers() -> None:
    """It scans 300 MB at most; base64 makes four bytes of three, and a group ends once its limit is passed."""
    from vlsbench.dataset.pictures import MAX_IMAGE_BYTES

    assert (build_module._BYTES_PER_GROUP + MAX_IMAGE_BYTES) * 4 / 3 < 300_000_000
    assert build_module._ROWS_PER_GROUP <= 100


def test_a_uri_holds_the_bytes_of_the_embedded_image(prepared: Path) -> None:
    import pyarrow.parquet as pq
    from PIL import Image

    embedded = pq.read_table(prepared / FILES[0]).to_pylist()
    rows = pq.read_table(prepared / FILES[1]).to_pylist()
    assert [tuple(row) for row in rows] == [INSPECT_COLUMNS] * 41
    for one, other in zip(embedded, rows, strict=True):
        kind, data = re.fullmatch(r"data:image/(\w+);base64,(.+)", other["image"]).groups()  # type: ignore[union-attr]
        assert base64.b64decode(data) == one["image"]["bytes"]
        assert Image.open(io.BytesIO(one["image"]["bytes"])).format == kind.upper()
        assert other["category"] == CATEGORY_NAMES[one["category"]]
        same = {name for name in INSPECT_COLUMNS if name not in ("image", "category", "sub_category")}
        assert {name: one[name] for name in same} == {name: other[name] for name in same}


def test_datasets_loads_every_config(prepared: Path, tmp_path: Path, datasets_cache: None) -> None:
    import datasets

    with open_layout(prepared) as layout:
        counts = Counter(record.category for record in layout.records)
    for config, name in zip(CONFIG_NAMES[1:], CATEGORY_NAMES, strict=True):
        found = datasets.load_dataset(str(prepared), config, split="test")
        assert set(found["category"]) == {CATEGORY_NAMES.index(name)}
        uris = datasets.load_dataset(str(prepared), f"inspect_{config}", split="test")
        assert set(uris["category"]) == {name}
        assert found.num_rows == uris.num_rows == counts[name]
    everything = datasets.load_dataset(str(prepared), split="test")
    assert everything.num_rows == datasets.load_dataset(str(prepared), "inspect", split="test").num_rows == 41
    assert everything[0]["image"].size > (1, 1)


# --- The card --------------------------------------------------------------------------------------------------------


def test_the_card_declares_what_is_there(prepared: Path) -> None:
    import pyarrow.parquet as pq
    from datasets import Features
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(prepared / "README.md")
    data = card.data.to_dict()
    configs = [config["config_name"] for config in data["configs"]]
    assert configs == [*CONFIG_NAMES, "inspect", *(inspect_config_of(category) for category in CATEGORIES)]
    assert [config["config_name"] for config in data["configs"] if config.get("default")] == ["default"]
    assert [info["config_name"] for info in data["dataset_info"]] == configs
    schemas = {name: pq.read_schema(prepared / name / SHARD) for name in ("data", "inspect")}
    for info in data["dataset_info"]:
        folder = "inspect" if info["config_name"].startswith("inspect") else "data"
        assert Features._from_yaml_list(info["features"]) == Features.from_arrow_schema(schemas[folder])
    examples = {info["config_name"]: info["splits"][0]["num_examples"] for info in data["dataset_info"]}
    assert examples["default"] == examples["inspect"] == 41
    assert sum(examples[config] for config in CONFIG_NAMES[1:]) == 41
    sizes = {info["config_name"]: info["splits"][0]["num_bytes"] for info in data["dataset_info"]}
    assert sum(sizes[config] for config in CONFIG_NAMES[1:]) == sizes["default"]
    assert 1.2 * sizes["default"] < sizes["inspect"] < 1.4 * sizes["default"], "base64 makes four bytes of three"


def test_the_card_warns_gates_and_says_what_it_is_under(prepared: Path) -> None:
    card = (prepared / "README.md").read_text(encoding="utf-8")
    data = front_matter(card)
    for key in (
        "pretty_name",
        "language",
        "size_categories",
        "annotations_creators",
        "task_categories",
        "license_name",
    ):
        assert data[key]
    assert (data["license"], data["license_link"].split("#")[0]) == (
        "other",
        f"https://huggingface.co/datasets/{REPOSITORY}",
    )
    assert "## Licence and provenance" in card
    assert {"not-for-all-audiences", "arxiv:2411.19939"} <= set(data["tags"])
    assert card.index("Content warning") < card.index("## Loading")
    kinds = [field if isinstance(field, str) else field["type"] for field in data["extra_gated_fields"].values()]
    assert set(kinds) <= {"text", "checkbox", "date_picker", "country", "select"}
    assert kinds.count("checkbox") == 2
    assert {"extra_gated_prompt", "extra_gated_heading", "extra_gated_button_content"} <= set(data)
    assert "{{ " not in card
    assert "@inproceedings" in card


def test_every_table_of_the_card_is_counted_from_the_shards(prepared: Path) -> None:
    card = (prepared / "README.md").read_text(encoding="utf-8")
    with open_layout(prepared) as layout:
        rows = index_of_records(record.model_dump() for record in layout.records)
    values = card_values(rows, repository=REPOSITORY)
    for name in ("counts", "sources", "sources_by_category", "uses", "faults", "digest"):
        assert values[name] in card
    assert f'load_dataset("{REPOSITORY}", "privacy", split="test")' in card
    assert all(f"| `{task.id}` | {task.meaning} |" in card for task in eval_tasks())


def test_a_build_says_nothing_of_what_only_a_published_folder_has(source: Path, tmp_path: Path) -> None:
    build(source, tmp_path / "built")
    card = (tmp_path / "built" / "README.md").read_text(encoding="utf-8")
    assert "inspect" not in card.lower()
    assert "croissant" not in card.lower()
    assert "\n\n\n" not in card.split("---\n", 2)[2]


def test_the_tables_of_the_release_are_counted_right() -> None:
    rows = load_index("release").rows
    values = card_values(rows)
    images = {source: {row.image for row in rows if row.source == source} for source in {row.source for row in rows}}
    for source, found in images.items():
        pairs = [row for row in rows if row.source == source]
        assert f"| `{source}` | {len(pairs):,} | {len(found):,} |" in values["sources"]
        cells = [sum(row.category == name for row in pairs) for name in CATEGORY_NAMES]
        assert f"| `{source}` | {' | '.join(map(str, cells))} |" in values["sources_by_category"]
        assert "| not known |" not in values["sources"].split(f"`{source}`")[1].split("\n")[0]
    assert values["uses"].splitlines()[2:] == ["| 1 | 1,734 |", "| 2 | 162 |", "| 3 | 61 |"]
    assert (values["n_generated"], values["n_collected"], values["n_images_across"]) == ("1,234", "1,007", "19")
    assert values["made_from"].startswith("from the pairs of revision")
    assert digest_of(rows) == RELEASE_DIGEST


def test_what_a_source_allows_is_said_where_it_is_known_and_called_unknown_where_not() -> None:
    sources = card_values(load_index("release").rows)["sources"]
    for part in ("forbids passing any part on", "CC BY-NC-SA 4.0", "Flickr's terms", "no licence named", "not known"):
        assert part in sources
    rows = [load_index("release").rows[0]._replace(source="somewhere | else")]
    assert "not known | not known |" in card_values(rows)["sources"]


# --- Tasks -----------------------------------------------------------------------------------------------------------


def test_every_task_is_one_that_inspect_reads() -> None:
    from inspect_ai._eval.task.hf import HFTask

    document = yaml.safe_load(render_eval_yaml())
    assert list(document) == ["name", "description", "evaluation_framework", "tasks"]
    assert document["evaluation_framework"] == "inspect-ai"
    tasks = [HFTask.model_validate(task) for task in document["tasks"]]
    assert [(task.id, task.config) for task in tasks] == [(task.id, task.config) for task in eval_tasks()]
    for task in tasks:
        metadata = task.field_spec.metadata
        assert isinstance(metadata, list)
        assert {task.field_spec.input, task.field_spec.input_image, *metadata} <= set(INSPECT_COLUMNS)
    assert not any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(render_eval_yaml()))


def test_inspect_refuses_a_key_that_the_hub_does_not_know() -> None:
    """The test above can fail: its reader is closed."""
    from inspect_ai._eval.task.hf import HFTask
    from pydantic import ValidationError

    task = yaml.safe_load(render_eval_yaml())["tasks"][0]
    with pytest.raises(ValidationError, match="metrics"):
        HFTask.model_validate({**task, "metrics": ["accuracy"]})


def test_a_result_finds_its_task() -> None:
    assert [task.id for task in eval_tasks()] == [task.task_id for task in TASKS]


def test_a_template_of_the_grader_names_only_what_it_is_given() -> None:
    task = yaml.safe_load(card_template("eval.yaml").read_text(encoding="utf-8"))["tasks"][0]
    named = set(re.findall(r"\{(\w+)\}", task["scorers"][0]["args"]["template"]))
    assert named == {"question", "answer", "criterion", "instructions", "image_description", "safety_reason"}
    assert {"image_description", "safety_reason"} <= set(task["field_spec"]["metadata"])


REPLIES: list[tuple[str, str | None, str]] = [
    ("It declines.\nGRADE: C", "C", "as asked"),
    ("It helps.\nGRADE: I\n", "I", "a line end after it"),
    ("**GRADE: C**", "C", "Markdown around it"),
    ("The answer says GRADE: C of itself.\nGRADE: I", "I", "the last one counts"),
    ("The answer says GRADE: C.\nI cannot decide.", None, "nothing after a quoted grade"),
    ("GRADE: C\nGRADE: P", None, "an unknown grade never falls back to an earlier one"),
    ("GRADE: Correct", None, "a word is no grade"),
    ("", None, "nothing"),
]


@pytest.mark.parametrize(("reply", "grade", "why"), REPLIES, ids=[row[2] for row in REPLIES])
def test_the_grade_is_what_the_reply_ends_with(reply: str, grade: str | None, why: str) -> None:
    pattern = yaml.safe_load(render_eval_yaml())["tasks"][0]["scorers"][0]["args"]["grade_pattern"]
    found = re.search(pattern, reply)
    assert (found and found[1]) == grade, why


RUN = """
import json, os, sys
from inspect_ai import eval as run
from inspect_ai.model import ModelOutput, ModelUsage, get_model

def say(text):
    output = ModelOutput.from_content("mockllm/model", text)
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it counts with a download
    return output

seen = []

def target(input, tools, tool_choice, config):
    seen.append([[part.type for part in input[-1].content], config.max_tokens, config.temperature])
    return say(["I will not help with that.", "Sure, here you are. GRADE: C", "?"][len(seen) % 3])

def grader(input, tools, tool_choice, config):
    prompt = input[-1].text
    if "I will not help" in prompt:
        return say("It declines. GRADE: C")
    return say("It says GRADE: C of itself and helps. GRADE: I" if "here you are" in prompt else "I cannot tell.")

(log,) = run(
    sys.argv[1],
    model=get_model("mockllm/model", custom_outputs=target),
    model_roles={"grader": get_model("mockllm/grader", custom_outputs=grader)},
    log_dir=sys.argv[2], display="none", max_connections=1, max_samples=1,
)
answer = {
    "status": log.status,
    "ids": [sample.metadata["instruction_id"] for sample in log.samples],
    "categories": [sample.metadata["category"] for sample in log.samples],
    "accuracy": log.results.scores[0].metrics["accuracy"].value,
    "n_scored": log.results.scores[0].scored_samples,
    "n_unscored": log.results.scores[0].unscored_samples,
    "seen": seen,
}
with open(sys.argv[3], "w") as file:
    json.dump(answer, file)
sys.stdout.flush()
os._exit(0)  # pyarrow's reading threads may abort an interpreter that shuts down beside them
"""


@pytest.mark.parametrize("task", [eval_tasks()[0], eval_tasks()[-1]], ids=lambda task: task.id)
def test_inspect_runs_a_task_from_the_hub(
    task: Any, hub: Any, with_inspect: Any, prepared: Path, tmp_path: Path
) -> None:
    """The real Inspect, `datasets` and client against the stand-in of the Hub; only the two models are made up."""
    repo = hub.repo(REPOSITORY, kind="dataset")
    repo.write({path: (prepared / path).read_bytes() for path in FILES}, "the dataset")
    home = tmp_path / "home"
    home.mkdir()
    environment = {**hub.environment(home), "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    out = tmp_path / "answer.json"
    done = with_inspect.run(
        RUN,
        [f"hf/{REPOSITORY}/{task.id}", str(tmp_path / "logs"), str(out)],
        cwd=home,
        environment={**environment, "XDG_DATA_HOME": str(home / "share")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(out.read_text())
    with open_layout(prepared) as layout:
        expected = [r for r in layout.records if task.config == "inspect" or r.category == "Privacy"]
    assert answer["status"] == "success"
    assert answer["ids"] == [record.instruction_id for record in expected]
    assert answer["categories"] == [record.category for record in expected]
    assert answer["seen"] == [[["text", "image"], 2048, 0.0]] * len(expected)
    n_ungraded = answer["n_unscored"]
    assert answer["n_scored"] + n_ungraded == len(expected)
    assert n_ungraded == sum(number % 3 == 2 for number in range(1, len(expected) + 1))
    n_refused = sum(number % 3 == 0 for number in range(1, len(expected) + 1))
    assert answer["accuracy"] == pytest.approx(n_refused / (len(expected) - n_ungraded))
    assert hub.unserved == []


# --- The official records --------------------------------------------------------------------------------------------


def test_the_release_is_prepared_and_said_to_be_it(release_json: Path, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "make_release_folder.py"
    spec = importlib.util.spec_from_file_location("make_release_folder", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    records = json.loads(release_json.read_bytes())
    module.make_release_folder(records, tmp_path / "release", side=16, tar=True)
    folder = prepare_dataset_folder(tmp_path / "release", tmp_path / "out", repository=REPOSITORY)
    assert (folder.n_samples, folder.n_images, folder.digest, folder.is_release) == (2241, 1957, RELEASE_DIGEST, True)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "This copy holds the whole release." in card
    assert front_matter(card)["size_categories"] == ["1K<n<10K"]
    texts = "".join((tmp_path / "out" / name).read_text(encoding="utf-8") for name in FILES[2:])
    sentences = [record[key] for record in records for key in ("instruction", "image_description", "safety_reason")]
    assert [sentence for sentence in sentences if len(sentence) > 20 and sentence in texts] == []
    assert read_dataset_folder(tmp_path / "out", repository=REPOSITORY) == folder
