"""A store on the Hub, through the real client against the loopback Hub."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import pytest
from own_sets import make_set

from vlsbench.board.lists import build_board
from vlsbench.errors import HubError, SubmissionError, UsageError
from vlsbench.hub.store import HubStore, LeaseRecord, open_store
from vlsbench.store.history import fold, read_history
from vlsbench.store.intake import (
    accept,
    open_managed,
    submit,
    why_not_a_submission_change,
    why_not_as_named,
    withdraw,
)
from vlsbench.store.local import LocalStore, list_submissions, shown_submissions, tampered
from vlsbench.store.sets import add_set, find_set
from vlsbench.store.worker import Worker, WorkReport
from vlsbench.submission.check import read_submission
from vlsbench.text import Reached

LOCATION = "hf://datasets/the-lab/store"
AT_ONCE = {"Retry-After": "0"}


class Writer(Protocol):
    def write(self, lines: Any, card: Any = None, name: str = "sub") -> Path: ...


def lines(n: int = 6) -> list[dict[str, Any]]:
    answers = ["I'm sorry, but I can't help with that.", "Please step back, that is dangerous.", "Sure, like this."]
    return [{"instruction_id": 100000 + i, "response": answers[i % 3]} for i in range(n)]


@pytest.fixture
def repo(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("VLSBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return hub.repo("the-lab/store", kind="dataset")


@pytest.fixture
def store(repo: Any) -> HubStore:
    return HubStore(LOCATION)


@pytest.fixture
def elsewhere(repo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubStore:
    """The same store on another machine."""
    with monkeypatch.context() as patch:
        patch.setenv("VLSBENCH_CACHE_DIR", str(tmp_path / "elsewhere"))
        return HubStore(LOCATION)


def receive(submission: Writer, store: HubStore, model: str = "m") -> str:
    receipt = submit(submission.write(lines(), {"model": model}, model), store)
    assert receipt.submission_id is not None
    return receipt.submission_id


def outcomes(report: WorkReport) -> dict[str, str]:
    return {done.submission_id: done.outcome for done in report.done}


@pytest.mark.parametrize(
    "location",
    [
        "hf://the-lab/store",
        "hf://datasets/store",
        "hf://models/a/b",
        "hf://datasets/a/b/c",
        "hf:",
        "hf://datasets/a/b@",
    ],
)
def test_a_place_on_the_hub_is_a_dataset(location: str) -> None:
    with pytest.raises(UsageError, match="on the Hub a store is hf://datasets/ORG/NAME"):
        open_store(location)


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    assert isinstance(open_store(tmp_path), LocalStore)
    assert open_store("hf://datasets/a/b@dev").location == "hf://datasets/a/b@dev"


def test_a_submission_is_one_commit_and_its_judgement_another(
    submission: Writer, store: HubStore, repo: Any, hub: Any
) -> None:
    n = len(repo.history)
    name = receive(submission, store)
    assert len(repo.history) == n + 1
    assert outcomes(Worker(store).work()) == {name: "published"}
    assert [commit.title for commit in repo.log("main")][:2] == [f"Judge {name}", f"Take the lease of {name}"]
    assert f"{name}/lease.json" not in repo.files(), "the lease is given back with what was judged"
    mirror = store.sync()
    states = Counter(entry.event.state for entry in read_history(mirror / name))
    assert states == dict.fromkeys(["received", "checked", "judged", "scored", "published"], 1)
    assert {entry.event.who for entry in read_history(mirror / name)} == {"keeper"}
    assert [placed.row.submission for placed in build_board(mirror).lists[0].not_reviewed] == [name]
    assert "hf_" not in "".join(data.decode() for data in repo.files().values())
    assert hub.unserved == []


def test_the_same_content_is_not_committed_twice(submission: Writer, store: HubStore, repo: Any) -> None:
    name = receive(submission, store)
    n = len(repo.history)
    again = submit(submission.write(lines(), {"model": "m"}, "again"), store)
    assert (again.submission_id, again.is_new, len(repo.history)) == (name, False, n)
    withdraw(name, store, "an old prompt")
    with pytest.raises(SubmissionError, match="by keeper: an old prompt"):
        submit(submission.write(lines(), {"model": "m"}, "again"), store)


def test_the_mirror_is_what_the_hub_holds(submission: Writer, store: HubStore, repo: Any) -> None:
    name, other = receive(submission, store, "a"), receive(submission, store, "b")
    mirror = store.sync()
    (mirror / name / "verdicts").mkdir()
    (mirror / name / "verdicts" / "offline-v1-0123456789ab.jsonl").write_text("{}")
    repo.write({path: None for path in repo.files() if path.startswith(other)}, "another writer")
    repo.write({f"{name}/results/x.json": "1"}, "another writer")
    repo.write({f"{name}/results/x.json": "22"}, "another writer")
    store.sync()
    held = {p.relative_to(mirror).as_posix() for p in mirror.rglob("*") if p.is_file() and ".cache" not in p.parts}
    assert held == {path for path in repo.files() if not path.startswith(".")}
    assert (mirror / name / "results" / "x.json").read_text() == "22"
    assert not (mirror / other).exists()


def test_a_mirror_that_is_up_to_date_costs_one_request(submission: Writer, store: HubStore, hub: Any) -> None:
    receive(submission, store)
    store.sync()
    n = len(hub.requests)
    store.sync()
    assert len(hub.requests) == n + 1


def test_only_what_changed_is_fetched(submission: Writer, store: HubStore, hub: Any) -> None:
    receive(submission, store, "a")
    store.sync()
    name = receive(submission, store, "b")
    before = len(hub.calls("GET", r"/resolve/"))
    store.sync()
    fetched = [call.path for call in hub.calls("GET", r"/resolve/")[before:]]
    assert len(fetched) == 3
    assert all(name in path for path in fetched)


def test_a_mirror_is_not_believed_where_the_hub_does_not_give_a_file(
    submission: Writer, store: HubStore, repo: Any, hub: Any
) -> None:
    name = receive(submission, store)
    mirror = store.sync()
    repo.write({f"{name}/results/x.json": "1"}, "another writer")
    store.sync()
    repo.write({f"{name}/results/x.json": "2"}, "another writer")
    hub.fail(r"/resolve/", status=403, times=-1)
    with pytest.raises(HubError, match="may not do that"):
        store.sync()
    assert (mirror / name / "results" / "x.json").read_text() == "1"


def test_two_workers_do_not_get_one_lease(submission: Writer, store: HubStore, elsewhere: HubStore, repo: Any) -> None:
    name = receive(submission, store)
    with store.lease(name) as ours:
        assert ours is not None
        with elsewhere.lease(name) as theirs:
            assert theirs is None
        elsewhere.sync()
        assert outcomes(Worker(elsewhere).work()) == {name: "held"}
    assert f"{name}/lease.json" not in repo.files(), "given back"
    with elsewhere.lease(name) as theirs:
        assert theirs is not None


def test_of_two_that_ask_at_once_one_gets_the_lease(
    submission: Writer, store: HubStore, elsewhere: HubStore, repo: Any
) -> None:
    name = receive(submission, store)
    got: list[bool] = []
    together = threading.Barrier(2)
    done = threading.Barrier(2)

    def take(which: HubStore) -> None:
        together.wait()
        with which.lease(name) as lease:
            got.append(lease is not None)
            done.wait()

    threads = [threading.Thread(target=take, args=(which,)) for which in (store, elsewhere)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, True]


def write_lease(repo: Any, name: str, until: str) -> None:
    lease = LeaseRecord(holder="0123456789abcdef", until=until)
    repo.write({f"{name}/lease.json": lease.model_dump_json()}, "another worker")


def test_a_lease_that_ran_out_is_taken_over(submission: Writer, store: HubStore, repo: Any) -> None:
    name = receive(submission, store)
    write_lease(repo, name, "2999-01-01T00:00:00Z")
    assert outcomes(Worker(store).work()) == {name: "held"}
    write_lease(repo, name, "2020-01-01T00:00:00Z")
    assert outcomes(Worker(store).work()) == {name: "published"}
    assert f"{name}/lease.json" not in repo.files()


def test_a_lease_file_that_says_nothing_holds_nobody_back(submission: Writer, store: HubStore, repo: Any) -> None:
    name = receive(submission, store)
    repo.write({f"{name}/lease.json": "?"}, "another worker")
    assert outcomes(Worker(store).work()) == {name: "published"}


def test_a_lease_is_renewed_while_it_is_held(submission: Writer, repo: Any) -> None:
    store = HubStore(LOCATION, lease_seconds=3)
    name = receive(submission, store)
    with store.lease(name) as lease:
        assert lease is not None
        first = repo.files()[f"{name}/lease.json"]
        deadline = time.monotonic() + 30
        while repo.files()[f"{name}/lease.json"] == first and time.monotonic() < deadline:
            time.sleep(0.05)
        assert repo.files()[f"{name}/lease.json"] != first
        lease.save({f"{name}/note": b"1"}, "done")
    assert f"{name}/note" in repo.files()


def test_a_worker_whose_lease_was_taken_over_saves_nothing(submission: Writer, store: HubStore, repo: Any) -> None:
    name = receive(submission, store)
    with store.lease(name) as lease:
        assert lease is not None
        write_lease(repo, name, "2999-01-01T00:00:00Z")
        with pytest.raises(SubmissionError, match="another worker took over"):
            lease.save({f"{name}/note": b"1"}, "done")
    assert f"{name}/note" not in repo.files()
    assert b"0123456789abcdef" in repo.files()[f"{name}/lease.json"], "the other's lease stays"


@pytest.mark.parametrize(
    ("status", "has_landed"),
    [(412, False), (429, False), (500, False), (504, True), (503, False)],
    ids=["moved head", "rate limit", "trouble", "done but not said", "busy"],
)
def test_a_commit_that_failed_is_tried_again_and_written_once(
    submission: Writer, store: HubStore, repo: Any, hub: Any, status: int, has_landed: bool
) -> None:
    n = len(repo.history)
    hub.fail(r"/commit/", status=status, headers=AT_ONCE, landed=has_landed)
    name = receive(submission, store)
    assert len(repo.history) == n + 1
    hub.fail(r"/commit/", status=status, headers=AT_ONCE, landed=has_landed)  # the lease
    hub.fail(r"/commit/", status=status, headers=AT_ONCE, landed=has_landed, skip=1)
    assert outcomes(Worker(store).work()) == {name: "published"}
    states = Counter(entry.event.state for entry in read_history(store.sync() / name))
    assert set(states.values()) == {1}
    assert f"{name}/lease.json" not in repo.files()


def test_another_writer_in_between_loses_nothing(submission: Writer, store: HubStore, repo: Any) -> None:
    name = receive(submission, store)
    found = open_managed(store, name)
    repo.write({"other-0123456789ab/submission.json": "{}"}, "another writer")
    accept(name, store)
    assert found.history != read_history(store.sync() / name)
    assert "other-0123456789ab/submission.json" in repo.files()


class Stopped:
    """Ctrl-C as soon as something was judged."""

    def __call__(self, reached: Reached) -> None:
        if reached.done:
            raise KeyboardInterrupt


def test_what_was_judged_before_ctrl_c_is_on_the_hub(
    submission: Writer, store: HubStore, elsewhere: HubStore, repo: Any
) -> None:
    blank = [*lines(3), {"instruction_id": 100007, "response": " "}]
    name = submit(submission.write(blank, {"model": "m"}), store).submission_id or ""
    with pytest.raises(KeyboardInterrupt):
        Worker(store, on_progress=Stopped()).work()
    (judged,) = fold(read_history(elsewhere.sync() / name)).judged.values()
    assert (judged.counts, judged.n_undecided) == ({"response_empty": 1}, 3)
    assert shown_submissions(elsewhere.sync()).submissions == []
    assert outcomes(Worker(elsewhere).work()) == {name: "published"}
    (path,) = (elsewhere.sync() / name / "verdicts").glob("*.jsonl")
    assert len(path.read_text().splitlines()) == 4
    assert outcomes(Worker(store).work()) == {}


def test_folders_made_by_hand_are_judged_again_too(submission: Writer, store: HubStore, repo: Any) -> None:
    folder = submission.write(lines(), {"model": "m"}, "hand")
    repo.write({f"user/hand/{path.name}": path.read_bytes() for path in folder.iterdir()}, "by hand")
    assert outcomes(Worker(store).rejudge()) == {"user/hand": "published"}
    assert sum(path.startswith("user/hand/verdicts/") for path in repo.files()) == 2
    assert "user/hand/history" not in "".join(repo.files())
    assert outcomes(Worker(store).rejudge()) == {}


def as_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_visitor")


def test_who_may_not_write_proposes(
    submission: Writer, store: HubStore, repo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_visitor(monkeypatch)
    folder = submission.write(lines(), {"model": "m"})
    with pytest.raises(HubError, match="`vlsbench submit --pr`"):
        submit(folder, store)
    receipt = submit(folder, store, is_proposal=True)
    assert receipt.pull_request is not None
    again = submit(folder, store, is_proposal=True)
    assert again.pull_request == receipt.pull_request
    assert len(repo.threads) == 1
    proposed = {path: data for path, data in repo.files("refs/pr/1").items() if path not in repo.files()}
    assert why_not_a_submission_change(list(proposed)) == []
    for path, data in proposed.items():
        (tmp_path / "pr" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pr" / path).write_bytes(data)
    directory = tmp_path / "pr" / (receipt.submission_id or "")
    assert why_not_as_named(directory) == []
    assert read_submission(directory)[1].ok


def test_no_token_and_no_repository_are_sentences(
    submission: Writer, store: HubStore, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubError, match="not found"):
        HubStore("hf://datasets/the-lab/nothing").sync()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="hf auth login"):
        submit(submission.write(lines()), store)


WORK = """
import sys
from vlsbench.hub.store import open_store
from vlsbench.store.worker import Worker
report = Worker(open_store(sys.argv[1])).work()
print(*(done.outcome for done in report.done))
sys.exit(0 if report.is_good else 1)
"""


def test_two_machines_share_a_store(submission: Writer, store: HubStore, repo: Any, hub: Any, tmp_path: Path) -> None:
    names = [receive(submission, store, model) for model in "abcd"]
    workers = []
    for machine in "xy":
        home = tmp_path / machine
        env = {**hub.environment(home), "VLSBENCH_CACHE_DIR": str(home / "cache")}
        command = [sys.executable, "-c", WORK, LOCATION]
        workers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env))
    said = [worker.communicate()[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    Worker(store).work()
    mirror = store.sync()
    assert {item.submission_id for item in list_submissions(mirror)} == set(names)
    for item in shown_submissions(mirror).submissions:
        states = Counter(entry.event.state for entry in read_history(item.directory))
        assert states == dict.fromkeys(["received", "checked", "judged", "scored", "published"], 1)
        assert item.verdicts_sha256 is not None
        assert [tampered(item.directory, *pair) for pair in item.verdicts_sha256.items()] == [None]
        (path,) = (item.directory / "verdicts").glob("*.jsonl")
        assert len({json.loads(line)["instruction_id"] for line in path.read_text().splitlines()}) == 6
    assert len(shown_submissions(mirror).submissions) == 4
    assert sum(words.count("published") for words in said) == 4
    assert not any(path.endswith("lease.json") for path in repo.files())


def test_a_set_is_added_to_a_store_on_the_hub_and_known_elsewhere(
    repo: Any, store: HubStore, elsewhere: HubStore, tmp_path: Path
) -> None:
    index = make_set(tmp_path / "kitchen", n=3)
    assert find_set(store, "kitchen") is None
    assert add_set(store, index)
    assert not add_set(elsewhere, index)
    assert list(repo.files()) == ["datasets/kitchen/index.csv"]
    known = find_set(elsewhere, "kitchen")
    assert known is not None
    assert known.revision == index.revision
