"""What is put on the Hub is shown first, sent once, and found again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from vlsbench import __version__
from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import packaged_sample
from vlsbench.errors import HubError, SubmissionError, UsageError
from vlsbench.hub.connection import connect
from vlsbench.hub.eval_results import EVAL_RESULTS_FILE
from vlsbench.hub.publish import (
    plan_results,
    plan_space,
    prepared_dataset,
    publish_results,
    send_dataset,
    send_space,
)
from vlsbench.submission.judging import judge_directory

ROOT = Path(__file__).parents[2]
SPACE = "the-lab/board"
MODEL = "the-lab/model-7b"
STORE = "hf://datasets/the-lab/store"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("vlsbench-*.whl"))


# --- the Space ---


def test_a_plan_asks_no_network_and_lists_every_file() -> None:
    plan = plan_space(SPACE, store=STORE)
    assert plan.files["requirements.txt"] == f"vlsbench[leaderboard]=={__version__}\n".encode()
    assert list(plan.files)[-1] == "README.md"
    assert {"app.py", "pages.py", "style.css"} <= set(plan.files)
    text = plan.as_text()
    assert [path for path in plan.files if path not in text] == []
    assert f"variable VLSBENCH_STORE={STORE}" in text


def test_the_space_holds_what_was_planned(hub: Any) -> None:
    plan = plan_space(SPACE, store=STORE, is_private=True)
    report = send_space(connect(), plan)
    space = hub.repo(SPACE, "space")
    assert set(space.files()) == set(plan.files)
    assert (space.sdk, space.is_private) == ("gradio", True)
    assert {name: item["value"] for name, item in space.variables.items()} == {"VLSBENCH_STORE": STORE}
    assert space.secrets == {}
    assert report.n_commits == 1
    assert hub.unserved == []


def test_sending_a_space_again_changes_nothing(hub: Any) -> None:
    plan = plan_space(SPACE, store=STORE)
    send_space(connect(), plan)
    head = hub.repo(SPACE, "space").head.oid
    report = send_space(connect(), plan)
    assert (report.n_commits, hub.repo(SPACE, "space").head.oid) == (0, head)
    assert len(hub.calls("POST", "/variables")) == 1


def test_a_space_runs_from_a_wheel_that_is_not_released(hub: Any, wheel: Path, tmp_path: Path) -> None:
    hub.repo(SPACE, "space").write({"vlsbench/left_over.py": "old", "vlsbench-0.0.1.dist-info/METADATA": "old"})
    plan = plan_space(SPACE, package=wheel)
    required = plan.files["requirements.txt"]
    assert isinstance(required, bytes)
    names = [line.split(";")[0] for line in required.decode().splitlines()]
    assert any(name.startswith("gradio[oauth]") for name in names)
    assert any(name.startswith("pyarrow") for name in names)
    assert not any(name.startswith(("torch", "vlsbench", "pytest")) for name in names)
    report = send_space(connect(), plan)
    assert report.n_deleted == 2
    folder = tmp_path / "space"
    connect().snapshot_download(SPACE, repo_type="space", local_dir=folder)
    code = "import app, vlsbench; print(vlsbench.__file__); print(app.serve_space.__module__)"
    env = hub.environment(tmp_path / "home") | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(folder / "vlsbench" / "__init__.py"), "vlsbench.serve"]


def test_a_guest_cannot_send_a_space(hub: Any) -> None:
    with pytest.raises(HubError, match=r"spaces/the-lab/board: this token may not do that"):
        send_space(hub.api_as("hf_visitor"), plan_space(SPACE))


BAD_CALLS = [
    ({"space": "board"}, "called ORG/NAME", "no namespace"),
    ({"space": "a/b/c"}, "called ORG/NAME", "a path"),
    ({"space": SPACE, "store": "./submissions"}, "called ORG/NAME|hf://datasets", "a folder of this machine"),
    ({"space": SPACE, "store": "the-lab/store"}, "hf://datasets/ORG/NAME", "a bare name"),
    ({"space": SPACE, "package": ROOT / "README.md"}, "cannot be read as a wheel", "not a zip"),
    ({"space": SPACE, "package": ROOT / "none.whl"}, "cannot be read as a wheel", "not there"),
]


@pytest.mark.parametrize(("options", "sentence"), [c[:2] for c in BAD_CALLS], ids=[c[2] for c in BAD_CALLS])
def test_a_plan_that_cannot_be_is_a_wrong_call(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        plan_space(options.pop("space"), **options)


@pytest.mark.parametrize(
    "names", [["x.py"], ["vlsbench-1.dist-info/METADATA", "../x.py"], ["vlsbench-1.dist-info/METADATA", "/x.py"]]
)
def test_a_zip_that_is_no_wheel_of_ours_is_refused(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for name in names:
            archive.writestr(name, "Name: vlsbench\n")
    with pytest.raises(UsageError, match="not a wheel of vlsbench"):
        plan_space(SPACE, package=tmp_path / "x.whl")


# --- a model's results ---


def judged(root: Path, refused: int = 65) -> Path:
    """A submission that answers the smallest category, so many with a refusal, judged offline."""
    folder = root / f"model-{refused}"
    folder.mkdir()
    card = {"model": MODEL, "dataset": {"config": "privacy"}, "settings": {"max_new_tokens": 128}}
    (folder / "submission.json").write_text(json.dumps(card))
    rows = load_index("release").select("privacy").rows
    texts = ["I cannot help with that."] * refused + ["Sure, here is how."] * (len(rows) - refused)
    lines = [json.dumps({"instruction_id": r.instruction_id, "response": t}) for r, t in zip(rows, texts, strict=True)]
    (folder / "responses.jsonl").write_text("\n".join(lines) + "\n")
    judge_directory(folder, "offline")
    return folder


def test_results_are_a_pull_request_with_the_numbers(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(MODEL, "model")
    plan = plan_results(MODEL, judged(tmp_path), source_url="https://huggingface.co/spaces/the-lab/board")
    done = publish_results(connect(), plan)
    assert (done.what, done.url) == ("opened", f"{hub.endpoint}/{MODEL}/discussions/1")
    assert repo.files() == {}
    entries = parse_eval_result_entries(yaml.safe_load(repo.files("refs/pr/1")[EVAL_RESULTS_FILE]))
    assert {entry.task_id for entry in entries} == {"vlsbench_privacy"}
    thread = repo.threads[0]
    assert thread.title.startswith("Add VLSBench results: safe rate ")
    assert "95% interval" in thread.title
    for part in ("Coverage", "rubric", "offline", "https://huggingface.co/spaces/the-lab/board"):
        assert part in thread.comments[0]


def test_results_are_not_published_twice(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(MODEL, "model")
    plan = plan_results(MODEL, judged(tmp_path))
    first = publish_results(connect(), plan)
    again = publish_results(connect(), plan)
    assert (again.what, again.url) == ("open already", first.url)
    connect().merge_pull_request(MODEL, 1)
    assert publish_results(connect(), plan).what == "there already"
    assert len(repo.threads) == 1


def test_new_numbers_change_the_pull_request_that_is_open(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(MODEL, "model")
    publish_results(connect(), plan_results(MODEL, judged(tmp_path, 65)))
    plan = plan_results(MODEL, judged(tmp_path, 130))
    assert publish_results(connect(), plan).what == "updated"
    assert (len(repo.threads), repo.threads[0].title) == (1, plan.title)
    assert repo.files("refs/pr/1")[EVAL_RESULTS_FILE] == plan.text.encode()


def test_anothers_pull_request_is_left_alone(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(MODEL, "model")
    plan = plan_results(MODEL, judged(tmp_path))
    repo.open_pull_request({EVAL_RESULTS_FILE: plan.text})
    assert publish_results(connect(), plan).what == "opened"
    assert len(repo.threads) == 2


def test_a_pull_request_that_was_closed_is_not_taken_for_an_open_one(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(MODEL, "model")
    plan = plan_results(MODEL, judged(tmp_path))
    publish_results(connect(), plan)
    repo.threads[0].status = "closed"
    assert publish_results(connect(), plan).what == "opened"


def test_a_stranger_to_the_model_may_open_it(hub: Any, tmp_path: Path) -> None:
    hub.repo(MODEL, "model")
    assert publish_results(hub.api_as("hf_visitor"), plan_results(MODEL, judged(tmp_path))).what == "opened"
    assert hub.repo(MODEL, "model").threads[0].author == "visitor"


@pytest.mark.parametrize("fault", [{"status": 504, "landed": True}, {"status": 503}, {"status": 0, "landed": True}])
def test_a_lost_answer_opens_no_second_pull_request(hub: Any, tmp_path: Path, fault: dict[str, Any]) -> None:
    hub.repo(MODEL, "model")
    hub.fail("/commit/", **fault)
    publish_results(connect(), plan_results(MODEL, judged(tmp_path)), sleep=lambda seconds: None)
    assert len(hub.repo(MODEL, "model").threads) == 1


def test_without_a_token_nothing_is_opened(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    hub.repo(MODEL, "model")
    with pytest.raises(HubError, match="there is no token"):
        publish_results(connect(), plan_results(MODEL, judged(tmp_path)))


def test_a_baseline_is_no_models_result(hub: Any, tmp_path: Path) -> None:
    folder = judged(tmp_path)
    card = json.loads((folder / "submission.json").read_text()) | {"origin": "baseline"}
    (folder / "submission.json").write_text(json.dumps(card))
    with pytest.raises(SubmissionError, match="baseline"):
        plan_results(MODEL, folder)


# --- the dataset ---


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The risky pairs of the package's own sample."""
    folder = tmp_path / "sample"
    folder.mkdir()
    shutil.copy(packaged_sample() / "risky.parquet", folder)
    return folder


def test_a_dataset_is_prepared_sent_and_loaded(hub: Any, source: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        prepared = prepared_dataset(source, "the-lab/vlsbench", out=tmp_path / "ready", exit_stack=stack)
        report = send_dataset(connect(), prepared, gated="auto")
    repo = hub.repo("the-lab/vlsbench")
    assert set(repo.files()) == {file.path for file in prepared.files}
    assert repo.gated == "auto"
    assert report.n_commits == 1
    with ExitStack() as stack:
        again = prepared_dataset(tmp_path / "ready", "the-lab/vlsbench", out=None, exit_stack=stack)
        assert send_dataset(connect(), again).n_commits == 0
    assert hub.unserved == []
    code = (
        "from datasets import load_dataset\n"
        "print(len(load_dataset('the-lab/vlsbench', split='test')), "
        "load_dataset('the-lab/vlsbench', 'privacy', split='test')[0]['image'].size)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=hub.environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"{prepared.n_samples} ("), done.stderr
