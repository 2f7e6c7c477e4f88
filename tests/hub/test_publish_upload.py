"""A folder is sent so that a killed run costs nothing, and a lost answer makes nothing twice."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from vlsbench.errors import HubError
from vlsbench.hub import uploading
from vlsbench.hub.connection import connect, hub_errors, retried
from vlsbench.hub.uploading import upload_folder_resumable

REPO = "the-lab/vlsbench"
N_SHARDS = 6


def make_folder(root: Path) -> Path:
    folder = root / "dataset"
    (folder / "data").mkdir(parents=True)
    for number in range(N_SHARDS):
        (folder / "data" / f"test-{number}.parquet").write_bytes(bytes([number]) * 5000)
    (folder / "eval.yaml").write_text("name: VLSBench\n")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nA card.\n")
    return folder


def send(folder: Path, **options: Any) -> uploading.UploadReport:
    return upload_folder_resumable(connect(), REPO, "dataset", folder, message="A dataset", **options)


def sent_bytes(hub: Any) -> int:
    return sum(call.n_bytes for call in hub.calls("PUT", "^/lfs-upload/") if call.status == 200)


def test_a_folder_arrives_whole_in_one_commit(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(REPO)
    folder = make_folder(tmp_path)
    report = send(folder)
    assert repo.files() == {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert (report.n_files, report.n_unchanged, report.n_commits) == (N_SHARDS + 2, 0, 1)
    assert report.url == f"{hub.endpoint}/datasets/{REPO}/commit/{repo.head.oid}"
    assert len(repo.history) == 2
    assert hub.unserved == []


def test_what_is_there_is_not_sent_again(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(REPO)
    folder = make_folder(tmp_path)
    send(folder)
    head, before = repo.head.oid, sent_bytes(hub)
    report = send(folder)
    assert (report.n_unchanged, report.n_commits, report.n_bytes) == (N_SHARDS + 2, 0, 0)
    assert (repo.head.oid, sent_bytes(hub)) == (head, before)
    assert len(hub.calls("POST", "/commit/")) == 1


def test_only_what_changed_is_sent(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(REPO)
    folder = make_folder(tmp_path)
    send(folder)
    before = sent_bytes(hub)
    (folder / "data" / "test-2.parquet").write_bytes(b"y" * 5000)  # of the same size
    (folder / "eval.yaml").write_text("name: vlsbench\n")
    report = send(folder)
    assert (report.n_unchanged, sent_bytes(hub) - before) == (N_SHARDS, 5000)
    assert repo.files()["eval.yaml"] == b"name: vlsbench\n"


def test_an_older_versions_shards_go_with_the_last_commit(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(REPO)
    repo.write({"data/test-00000-of-00001.parquet": b"old", "notes/kept.md": "not ours"})
    report = send(make_folder(tmp_path), replaced=("data/",))
    assert report.n_deleted == 1
    assert "data/test-00000-of-00001.parquet" not in repo.files()
    assert "notes/kept.md" in repo.files()


def test_nothing_but_deleting_is_a_commit_too(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(REPO)
    folder = make_folder(tmp_path)
    send(folder)
    repo.write({"data/old.parquet": b"old"})
    report = send(folder, replaced=("data/",))
    assert (report.n_deleted, report.n_commits) == (1, 1)
    assert "data/old.parquet" not in repo.files()


def test_many_files_are_committed_in_parts_with_the_card_last(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "COMMIT_FILES", 3)
    repo = hub.repo(REPO)
    report = send(make_folder(tmp_path))
    assert report.n_commits == 3
    assert [commit.title for commit in repo.history[:3]] == [f"A dataset ({n} of 3)" for n in (3, 2, 1)]
    assert "README.md" not in repo.history[1].tree


def test_a_failed_upload_goes_on_where_it_stopped(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "BATCH_BYTES", 10_000)  # two shards a batch
    repo = hub.repo(REPO)
    folder = make_folder(tmp_path)
    fault = hub.fail("^/lfs-upload/", 403, times=-1, skip=3)  # 403 passes by itself never: no try is repeated
    with pytest.raises(HubError, match="may not do that"):
        send(folder)
    assert repo.files() == {}
    arrived = sent_bytes(hub)
    assert arrived == 3 * 5000
    fault.times = 0
    send(folder)
    assert sent_bytes(hub) == N_SHARDS * 5000
    assert len(repo.files()) == N_SHARDS + 2


def test_a_killed_upload_goes_on_where_it_stopped(hub: Any, tmp_path: Path) -> None:
    hub.repo(REPO)
    folder = make_folder(tmp_path)
    code = textwrap.dedent(f"""
        from pathlib import Path
        from vlsbench.hub import uploading
        from vlsbench.hub.connection import connect
        uploading.BATCH_BYTES = 5000
        uploading.upload_folder_resumable(connect(), {REPO!r}, "dataset", Path({str(folder)!r}), message="m")
    """)
    slow = hub.fail("^/lfs-upload/", 200, times=-1, delay_seconds=60, skip=3)
    process = subprocess.Popen([sys.executable, "-c", code], env=hub.environment(tmp_path / "home"))
    deadline = time.monotonic() + 60
    while sent_bytes(hub) < 3 * 5000 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    slow.times = 0
    assert hub.repo(REPO).files() == {}
    before = [call.path for call in hub.calls("PUT", "^/lfs-upload/")]
    assert len(before) == 3
    send(folder)
    after = [call.path for call in hub.calls("PUT", "^/lfs-upload/")]
    assert len(after) == len(set(after)) == N_SHARDS, "a content was sent twice"
    assert len(hub.repo(REPO).files()) == N_SHARDS + 2


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        ({"status": 500}, [2.0]),  # it passes
        ({"status": 504, "landed": True}, [2.0]),  # the commit is there, its answer is not
        ({"status": 0, "landed": True}, [2.0]),  # the line went dead after the commit
        ({"status": 412}, [2.0]),  # somebody else committed
        ({"status": 429, "headers": {"Retry-After": "7"}}, [7.0]),
        ({"status": 429, "headers": {"RateLimit": '"api";r=0;t=11'}}, [11.0]),
        ({"status": 429, "headers": {"Retry-After": "86400"}}, [300.0]),  # nobody waits for a day
        ({"status": 503, "times": 3}, [2.0, 4.0, 8.0]),
    ],
)
def test_a_commit_is_tried_again_and_made_once(
    hub: Any, tmp_path: Path, fault: dict[str, Any], waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    repo = hub.repo(REPO)
    hub.fail("/commit/", **fault)
    waited: list[float] = []
    with caplog.at_level(logging.WARNING, logger="vlsbench"):
        send(make_folder(tmp_path), sleep=waited.append)
    assert waited == waits
    assert [commit.title for commit in repo.history] == ["A dataset", "initial commit"]
    assert len([r for r in caplog.records if r.name == "vlsbench.hub.connection"]) == len(waits)


def test_tries_come_to_an_end(hub: Any, tmp_path: Path) -> None:
    hub.repo(REPO)
    hub.fail("/commit/", 503, times=-1)
    waited: list[float] = []
    with pytest.raises(HubError, match=r"the Hub has trouble \(HTTP 503\)\. Run the command again later"):
        send(make_folder(tmp_path), sleep=waited.append)
    assert waited == [2.0, 4.0, 8.0, 16.0]
    assert len(hub.calls("POST", "/commit/")) == 5


def test_who_is_offline_hears_so_after_three_tries(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    waited: list[float] = []
    with pytest.raises(HubError, match="cannot be reached"), hub_errors(REPO):
        retried(lambda: connect().dataset_info(REPO), REPO, sleep=waited.append)
    assert waited == [2.0, 4.0]


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_what_does_not_pass_by_itself_is_not_tried_again(hub: Any, tmp_path: Path, status: int) -> None:
    hub.repo(REPO)
    hub.fail("/commit/", status, times=-1)
    with pytest.raises(HubError):
        send(make_folder(tmp_path), sleep=lambda seconds: pytest.fail(f"waited {seconds} s"))
    assert len(hub.calls("POST", "/commit/")) == 1


def test_a_card_that_is_not_yaml_is_refused_with_the_hubs_words(hub: Any, tmp_path: Path) -> None:
    hub.repo(REPO)
    folder = make_folder(tmp_path)
    (folder / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(HubError, match="the Hub refuses the card"):
        send(folder)


SENTENCES = [
    (lambda hub, api: api(False).dataset_info("the-lab/none"), "not found, or private and no token was sent"),
    (lambda hub, api: api("hf_keeper").dataset_info("the-lab/none"), "not found, or this token may not see it"),
    (lambda hub, api: api("hf_nobody").dataset_info(REPO), "the token is not accepted"),
    (lambda hub, api: api("hf_keeper").dataset_info(REPO, revision="x"), "has no such revision"),
    (lambda hub, api: api("hf_keeper").hf_hub_download(REPO, "x", repo_type="dataset"), "has no such file"),
    (lambda hub, api: api("hf_keeper").dataset_info("a/b/c"), "Repositories are called ORG/NAME"),
    (lambda hub, api: api("hf_visitor").delete_repo(REPO, repo_type="dataset"), "may not do that"),
]


@pytest.mark.parametrize(("call", "sentence"), SENTENCES, ids=[sentence for _, sentence in SENTENCES])
def test_what_the_hub_refuses_is_a_sentence(hub: Any, call: Any, sentence: str) -> None:
    hub.repo(REPO)
    with pytest.raises(HubError, match=f"the thing: .*{sentence}") as caught, hub_errors("the thing"):
        call(hub, hub.api_as)
    assert "hf_" not in str(caught.value), "a token is never printed"
    assert "\n" not in str(caught.value)


def test_offline_is_a_sentence() -> None:
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"), hub_errors("the thing"):
        connect().dataset_info(REPO)


def test_a_hub_that_is_not_there_is_a_sentence(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="cannot be reached"), hub_errors("the thing"):
        connect().dataset_info(REPO)


def test_what_is_not_of_the_hub_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="mine"), hub_errors("the thing"):
        raise ValueError("mine")
