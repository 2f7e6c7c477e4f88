"""The stand-in answers the real client as the Hub does, as far as this project asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

GUEST_TOKEN = "hf_visitor"  # noqa: S105 - of a stand-in
STORE = "the-lab/store"


def test_who_signs_is_known_by_the_token(hub: Any) -> None:
    assert hub.api.whoami()["name"] == "keeper"
    assert hub.api_as(GUEST_TOKEN).whoami()["name"] == "visitor"
    with pytest.raises(HfHubHTTPError) as caught:
        hub.api_as("hf_nobody").whoami()
    assert caught.value.response.status_code == 401


def test_a_repository_is_made_once_and_found_again(hub: Any) -> None:
    url = hub.api.create_repo(STORE, repo_type="dataset", private=True)
    assert (url.repo_id, url.repo_type) == (STORE, "dataset")
    hub.api.create_repo(STORE, repo_type="dataset", exist_ok=True)
    info = hub.api.dataset_info(STORE)
    assert (info.id, info.private, info.sha) == (STORE, True, hub.repo(STORE).head.oid)
    assert hub.api.repo_exists(STORE, repo_type="dataset")
    assert not hub.api.repo_exists("the-lab/other", repo_type="dataset")


def test_a_private_repository_is_hidden_from_strangers(hub: Any) -> None:
    hub.repo(STORE, is_private=True)
    for token in (False, GUEST_TOKEN):
        with pytest.raises(RepositoryNotFoundError) as caught:
            hub.api_as(token).dataset_info(STORE)
        assert not isinstance(caught.value, GatedRepoError)


def test_what_is_committed_is_listed_and_downloaded(hub: Any, tmp_path: Path) -> None:
    hub.repo(STORE)
    shard = b"PAR1" * 1000
    info = hub.api.create_commit(
        STORE,
        [CommitOperationAdd("a/b.json", b"{}"), CommitOperationAdd("data/x.parquet", shard)],
        commit_message="two files",
        repo_type="dataset",
    )
    assert hub.repo(STORE).head.oid == info.oid
    tree = {entry.path: entry for entry in hub.api.list_repo_tree(STORE, recursive=True, repo_type="dataset")}
    assert {".gitattributes", "a", "a/b.json", "data", "data/x.parquet"} == set(tree)
    assert tree["data/x.parquet"].lfs.size == 4000
    assert tree["a/b.json"].lfs is None
    folder = Path(hub.api.snapshot_download(STORE, repo_type="dataset", local_dir=tmp_path / "mirror"))
    assert (folder / "data/x.parquet").read_bytes() == shard
    assert Path(hub.api.hf_hub_download(STORE, "a/b.json", repo_type="dataset")).read_bytes() == b"{}"
    assert hub.api.get_paths_info(STORE, ["a/b.json", "none"], repo_type="dataset")[0].size == 2
    assert [commit.title for commit in hub.api.list_repo_commits(STORE, repo_type="dataset")] == [
        "two files",
        "initial commit",
    ]
    assert hub.unserved == []


def test_a_large_file_is_sent_once(hub: Any) -> None:
    hub.repo(STORE)
    for message in ("first", "again"):
        hub.api.create_commit(
            STORE, [CommitOperationAdd(f"{message}.parquet", b"x" * 99)], commit_message=message, repo_type="dataset"
        )
    assert [call.n_bytes for call in hub.calls("PUT", "^/lfs-upload/")] == [99]


def test_a_long_tree_comes_in_pages(hub: Any) -> None:
    hub.page_size = 7
    hub.repo(STORE).write({f"{n:02}.json": str(n) for n in range(30)})
    assert len(hub.api.list_repo_files(STORE, repo_type="dataset")) == 31
    assert len(hub.calls("GET", "/tree/")) == 5


def test_a_stale_parent_is_refused(hub: Any) -> None:
    repo = hub.repo(STORE)
    parent = repo.head.oid
    repo.write({"other": "moved"})
    operations = [CommitOperationAdd("mine", b"1")]
    with pytest.raises(HfHubHTTPError) as caught:
        hub.api.create_commit(STORE, operations, commit_message="late", repo_type="dataset", parent_commit=parent)
    assert caught.value.response.status_code == 412
    hub.api.create_commit(STORE, operations, commit_message="now", repo_type="dataset", parent_commit=repo.head.oid)
    assert repo.files() == {"other": b"moved", "mine": b"1"}


def test_a_file_and_a_folder_are_deleted(hub: Any) -> None:
    repo = hub.repo(STORE)
    repo.write({"a": "1", "b/c": "2", "b/d": "3", "e": "4"})
    operations = [CommitOperationDelete("a"), CommitOperationDelete("b/")]
    hub.api.create_commit(STORE, operations, commit_message="less", repo_type="dataset")
    assert set(repo.files()) == {"e"}


def test_a_guest_opens_a_pull_request_and_only_the_owner_merges_it(hub: Any) -> None:
    repo = hub.repo(STORE)
    guest = hub.api_as(GUEST_TOKEN)
    operations = [CommitOperationAdd("new.json", b"{}")]
    with pytest.raises(HfHubHTTPError) as caught:
        guest.create_commit(STORE, operations, commit_message="direct", repo_type="dataset")
    assert caught.value.response.status_code == 403
    info = guest.create_commit(
        STORE, operations, commit_message="A row", commit_description="why", repo_type="dataset", create_pr=True
    )
    assert (info.pr_num, info.pr_revision) == (1, "refs/pr/1")
    assert set(repo.files("refs/pr/1")) == {"new.json"}
    assert repo.files() == {}
    (listed,) = hub.api.get_repo_discussions(
        STORE, repo_type="dataset", discussion_type="pull_request", discussion_status="open", author="visitor"
    )
    details = hub.api.get_discussion_details(STORE, 1, repo_type="dataset")
    assert (listed.num, details.title, details.status) == (1, "A row", "open")
    assert (details.events[0].content, details.target_branch) == ("why", "refs/heads/main")
    guest.create_commit(
        STORE,
        [CommitOperationAdd("more.json", b"1")],
        commit_message="more",
        repo_type="dataset",
        revision="refs/pr/1",
    )
    with pytest.raises(HfHubHTTPError):
        guest.merge_pull_request(STORE, 1, repo_type="dataset")
    hub.api.merge_pull_request(STORE, 1, repo_type="dataset")
    assert set(repo.files()) == {"new.json", "more.json"}
    assert hub.api.get_discussion_details(STORE, 1, repo_type="dataset").status == "merged"


def test_a_comment_is_written_and_edited(hub: Any) -> None:
    repo = hub.repo(STORE)
    number = repo.open_pull_request({"x": "1"})
    comment = hub.api.comment_discussion(STORE, number, "first", repo_type="dataset")
    hub.api.edit_discussion_comment(STORE, number, comment.id, "second", repo_type="dataset")
    assert repo.threads[0].comments == ["", "second"]
    with pytest.raises(HfHubHTTPError):
        hub.api_as(GUEST_TOKEN).edit_discussion_comment(STORE, number, comment.id, "third", repo_type="dataset")
    hub.api.change_discussion_status(STORE, number, "closed", comment="no", repo_type="dataset")
    assert (repo.threads[0].status, repo.threads[0].comments[-1]) == ("closed", "no")


def test_a_space_has_variables_and_keeps_its_secrets(hub: Any) -> None:
    hub.api.create_repo("the-lab/board", repo_type="space", space_sdk="gradio")
    hub.api.add_space_variable("the-lab/board", "VLSBENCH_STORE", "hf://datasets/the-lab/store")
    hub.api.add_space_secret("the-lab/board", "HF_TOKEN", "hidden")
    values = {key: item.value for key, item in hub.api.get_space_variables("the-lab/board").items()}
    assert values == {"VLSBENCH_STORE": "hf://datasets/the-lab/store"}
    assert hub.api.space_info("the-lab/board").sdk == "gradio"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda api: api.dataset_info(STORE, revision="none"), RevisionNotFoundError),
        (lambda api: api.hf_hub_download(STORE, "none", repo_type="dataset"), RemoteEntryNotFoundError),
        (lambda api: api.dataset_info("the-lab/none"), RepositoryNotFoundError),
        (lambda api: list(api.list_repo_tree(STORE, "none", repo_type="dataset")), RemoteEntryNotFoundError),
    ],
    ids=["revision", "file", "repository", "folder"],
)
def test_what_is_not_there_is_said_by_name(hub: Any, call: Any, error: type[Exception]) -> None:
    hub.repo(STORE)
    with pytest.raises(error):
        call(hub.api)


def test_a_fault_strikes_as_often_as_it_is_told(hub: Any) -> None:
    hub.repo(STORE)
    hub.fail("/api/datasets/", 503, times=1, skip=1)
    hub.api.dataset_info(STORE)
    with pytest.raises(HfHubHTTPError) as caught:
        hub.api.dataset_info(STORE)
    assert caught.value.response.status_code == 503
    hub.api.dataset_info(STORE)


def test_a_gateway_can_give_up_on_a_commit_that_landed(hub: Any) -> None:
    repo = hub.repo(STORE)
    hub.fail("/commit/", 504, landed=True)
    with pytest.raises(HfHubHTTPError):
        hub.api.create_commit(STORE, [CommitOperationAdd("a", b"1")], commit_message="lost answer", repo_type="dataset")
    assert repo.files() == {"a": b"1"}


def test_the_client_waits_as_long_as_it_is_told(hub: Any) -> None:
    hub.repo(STORE)
    hub.fail("/tree/", 429, headers={"Retry-After": "0"})
    assert hub.api.list_repo_files(STORE, repo_type="dataset") == [".gitattributes"]
    assert [call.status for call in hub.calls("GET", "/tree/")] == [429, 200]


def test_the_fixture_leaves_no_setting_behind(hub: Any) -> None:
    assert hub.endpoint == constants.ENDPOINT
    assert not constants.is_offline_mode()


def test_settings_are_back_after_the_fixture() -> None:
    assert constants.is_offline_mode()
    assert constants.ENDPOINT.startswith("https://")


def test_load_dataset_reads_a_published_folder(hub: Any, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"n": [1, 2, 3], "kind": ["a", "b", "a"]})
    pq.write_table(table, tmp_path / "x.parquet")
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: data/*.parquet\n---\n"
    repo = hub.repo("the-lab/vlsbench", is_private=True)
    repo.write({"data/test-0.parquet": (tmp_path / "x.parquet").read_bytes(), "README.md": card})
    code = "from datasets import load_dataset; print(load_dataset('the-lab/vlsbench', split='test')['n'][:])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=hub.environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[1, 2, 3]", done.stderr
    assert hub.unserved == []
