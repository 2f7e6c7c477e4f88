"""A board whose store is a dataset repository, through the real client against the loopback Hub."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from leaderboard import pages, submit_page
from leaderboard.live import LiveBoard
from vlsbench.dataset.index import load_index
from vlsbench.hub.store import HubStore, open_store
from vlsbench.serve import _keep_fresh
from vlsbench.store.desk import Desk


def _load_loopback() -> Any:
    """Import the loopback Hub once by its path: tests are no package."""
    if "loopback_hub" not in sys.modules:
        path = Path(__file__).parents[1] / "hub" / "loopback.py"
        spec = importlib.util.spec_from_file_location("loopback_hub", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["loopback_hub"] = module
        spec.loader.exec_module(module)
    return sys.modules["loopback_hub"]


hub = _load_loopback().hub
LOCATION = "hf://datasets/the-lab/store"


@pytest.fixture
def repo(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("VLSBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return hub.repo("the-lab/store", kind="dataset")


@pytest.fixture
def live(repo: Any) -> LiveBoard:
    store = open_store(LOCATION)
    return LiveBoard(store.sync(), desk=Desk(store, per_day=1, needs_sign_in=True))


def _submit(live: LiveBoard, folder: Path, model: str, signed_in: str) -> str:
    rows = load_index("release").select("privacy").rows
    files = {
        "submission.json": json.dumps({"model": model, "dataset": {"config": "privacy"}}),
        "responses.jsonl": "".join(
            json.dumps({"instruction_id": row.instruction_id, "response": "Fine."}) + "\n" for row in rows
        ),
    }
    given = []
    for name, text in files.items():
        path = folder / f"{name}.uploaded"
        path.write_text(text)
        given.append(gr.FileData(path=str(path), orig_name=name).model_dump())
    return str(list(submit_page.submit(live, given, ("",) * 8, "", signed_in, "x"))[-1])


def _models(live: LiveBoard) -> set[str]:
    live.refresh()
    return {row.model for item in live.board.of_scope("Privacy") for row in item.every_row}


def _wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(300):
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail("it did not come to be so within 30 s")


def test_a_submission_is_committed_judged_and_shown(live: LiveBoard, repo: Any, tmp_path: Path) -> None:
    assert "judged by the offline judge" in _submit(live, tmp_path, "Sent-VL", "bob")
    _wait_for(lambda: _models(live) == {"Sent-VL"})
    (row,) = live.queue()
    assert (row.who, row.state) == ("bob", "published")
    assert f"{row.submission_id}/submission.json" in repo.files()
    assert "1 is taken" in _submit(live, tmp_path, "Second-VL", "bob")
    assert "judged by the offline judge" in _submit(live, tmp_path, "Second-VL", "eve")


def test_a_hub_that_refuses_is_one_sentence_and_the_files_stay(
    live: LiveBoard, hub: Any, tmp_path: Path, repo: Any
) -> None:
    hub.fail(r"/commit/", 403, times=-1)
    said = _submit(live, tmp_path, "Sent-VL", "bob")
    assert "Received" not in said
    assert "hf_" not in said
    assert (tmp_path / "responses.jsonl.uploaded").exists()
    assert repo.files().keys() <= {".gitattributes", "README.md"}


def test_what_another_machine_adds_is_shown_without_a_restart_and_a_hub_that_is_down_leaves_the_board(
    live: LiveBoard, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _models(live) == set()
    with monkeypatch.context() as patch:
        patch.setenv("VLSBENCH_CACHE_DIR", str(tmp_path / "elsewhere"))
        other = HubStore(LOCATION)
    there = LiveBoard(other.sync(), desk=Desk(other, needs_sign_in=True))
    assert "judged" in _submit(there, tmp_path, "Sent-VL", "eve")
    is_over = _keep_fresh(live.desk.store, live, 0.2)
    try:
        _wait_for(lambda: _models(live) == {"Sent-VL"})
        before = live.version
        hub.fail(r"/api/datasets", 401, times=-1)
        _wait_for(lambda: live.sync_problem is not None)
        assert live.version > before  # so that who opens the page is told
        assert _models(live) == {"Sent-VL"}
        assert "cannot be fetched from the Hub now" in str(pages._frame_updates(live)[0]["value"])
    finally:
        is_over.set()
