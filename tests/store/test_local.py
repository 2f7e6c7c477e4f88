"""The local store: ids, adding, writing, leases, workplaces, and what the board may show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from vlsbench.errors import SubmissionError
from vlsbench.records import SubmissionCard
from vlsbench.store.history import Accepted, Event, Rejected, Withdrawn, entry_of, fold, read_history
from vlsbench.store.intake import accept, reject, submit, withdraw
from vlsbench.store.local import (
    LocalStore,
    StoredSubmission,
    content_id,
    find_submission,
    is_managed,
    list_submissions,
    prepare_workplace,
    sha256_of,
    shown_submissions,
    submission_id_of,
    tampered,
)
from vlsbench.store.worker import Worker

ANSWERS = ["I'm sorry, but I can't help with that.", "Please step back, that is dangerous.", "Sure, here is how.", "  "]


class Writer(Protocol):
    def write(self, lines: Any, card: Any = None, name: str = "sub") -> Path: ...


def lines(n: int = 4) -> list[dict[str, Any]]:
    return [{"instruction_id": 100000 + i, "response": ANSWERS[i % len(ANSWERS)]} for i in range(n)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def stored(submission: Writer, store: LocalStore) -> Path:
    """A submission that was received."""
    receipt = submit(submission.write(lines()), store, name="ann")
    assert receipt.submission_id is not None
    return store.sync() / receipt.submission_id


@pytest.fixture
def published(stored: Path, store: LocalStore) -> Path:
    """A submission that was judged by the offline judge."""
    assert [done.outcome for done in Worker(store).work().done] == ["published"]
    return stored


def card(**fields: Any) -> SubmissionCard:
    return SubmissionCard.model_validate_json(json.dumps({"model": "org/Model 7B", **fields}))


def test_an_id_is_a_slug_and_a_digest_of_card_and_answers() -> None:
    name = submission_id_of(card(), "a" * 64)
    assert name.startswith("org-model-7b-")
    assert name == submission_id_of(card(), "a" * 64)
    assert len({name, submission_id_of(card(), "b" * 64), submission_id_of(card(organization="x"), "a" * 64)}) == 3
    assert submission_id_of(card(parameters="7B"), "a" * 64) == submission_id_of(
        card(parameters=7_000_000_000), "a" * 64
    )
    assert name == submission_id_of(card(origin="submission", settings={}), "a" * 64)


@pytest.mark.parametrize(
    ("model", "slug"),
    [
        ("a" * 200, "a" * 40),
        ("模型", "model"),
        ("x/y z", "x-y-z"),
        ("_.-a", None),
        ("A+B@c", "a-b-c"),
        ("é", "model"),
        ("a" * 39 + "/b", "a" * 39),
    ],
)
def test_a_slug_is_safe_in_paths(model: str, slug: str | None) -> None:
    name = submission_id_of(SubmissionCard(model=model), "a" * 64)
    assert name[:-13] == (slug or "a")
    assert not name.startswith((".", "-"))


def test_what_lies_in_a_folder_tells_its_id(stored: Path) -> None:
    assert content_id(stored) == stored.name
    (stored / "submission.json").write_text("{}")
    assert content_id(stored) is None


def test_a_submission_is_added_whole_and_once(store: LocalStore) -> None:
    assert store.add("a-0123456789ab", {"submission.json": b"1", "history/x.json": b"2"}, "")
    assert not store.add("a-0123456789ab", {"submission.json": b"other"}, "")
    assert (store.sync() / "a-0123456789ab" / "submission.json").read_bytes() == b"1"
    assert [path.name for path in store.sync().iterdir()] == ["a-0123456789ab"]


def test_what_a_killed_submit_left_is_not_seen_and_swept_a_day_later(store: LocalStore, stored: Path) -> None:
    folder = store.sync()
    old, young = folder / ".incoming-a-01234567", folder / ".incoming-b-01234567"
    for path in (old, young):
        path.mkdir()
        (path / "submission.json").write_text('{"model": "m"}')
    os.utime(old, (0, 0))
    assert [item.submission_id for item in list_submissions(folder)] == [stored.name]
    store.add("c-0123456789ab", {"submission.json": b"{}"}, "")
    assert (old.exists(), young.exists()) == (False, True)


def test_an_event_is_written_after_the_files_it_speaks_of(store: LocalStore, stored: Path) -> None:
    (stored / "verdicts" / "x.jsonl").mkdir(parents=True)  # cannot be written
    with pytest.raises(OSError, match="not a plain file"):
        store.write({f"{stored.name}/history/y": b"", f"{stored.name}/verdicts/x.jsonl": b""}, "")
    assert not (stored / "history" / "y").exists()


HOLD = """
import sys, time
from vlsbench.store.local import LocalStore
from pathlib import Path
with LocalStore(Path(sys.argv[1])).lease(sys.argv[2]) as lease:
    print(lease is not None, flush=True)
    time.sleep(60)
"""


def test_a_lease_is_held_by_one_process_and_ends_with_it(store: LocalStore, stored: Path) -> None:
    command = [sys.executable, "-c", HOLD, store.location, stored.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with store.lease(stored.name) as lease:
            assert lease is None
        with store.lease("another-0123456789ab") as lease:
            assert lease is not None
        other.send_signal(signal.SIGKILL)
        other.wait()
        with store.lease(stored.name) as lease:
            assert lease is not None


def event_of(stored: Path, make: Callable[..., Event], **fields: Any) -> None:
    event = make(submission_id=stored.name, when="2026-01-02T03:04:05Z", who="ann", **fields)
    entry = entry_of(event, 50)
    (stored / "history" / entry.name).write_bytes(entry.data)


def test_what_is_published_is_shown_under_what_was_judged(store: LocalStore, published: Path) -> None:
    shown = shown_submissions(store.sync())
    ((name, directory, counted, *_),) = shown.submissions
    assert (name, directory, shown.withheld) == (published.name, published, [])
    assert counted is not None
    assert {rubric: sha256_of(published / "verdicts" / f"{rubric}.jsonl") for rubric in counted} == counted
    assert [tampered(directory, rubric, digest) for rubric, digest in counted.items()] == [None]


def test_a_rubric_that_nobody_judged_by_is_not_counted(store: LocalStore, published: Path) -> None:
    verdicts = published / "verdicts"
    (real,) = verdicts.glob("*.jsonl")
    (verdicts / "offline-v9-0123456789ab.jsonl").write_bytes(real.read_bytes())
    ((_, _, counted, *_),) = shown_submissions(store.sync()).submissions
    assert counted is not None
    assert set(counted) == {real.stem}


@pytest.mark.parametrize(
    ("make", "fields", "reason"),
    [
        (Withdrawn, {"reason": "an old prompt"}, "withdrawn on 2026-01-02 by ann: an old prompt"),
        (Rejected, {"by": "maintainer", "reasons": ("copied",)}, "rejected on 2026-01-02 by ann: copied"),
    ],
)
def test_what_ended_is_withheld_with_its_reason(
    store: LocalStore, published: Path, make: Callable[..., Event], fields: dict[str, Any], reason: str
) -> None:
    event_of(published, make, **fields)
    shown = shown_submissions(store.sync())
    assert (shown.submissions, [item[:3] for item in shown.withheld]) == ([], [(published.name, reason, True)])


def test_what_waits_is_withheld(store: LocalStore, stored: Path) -> None:
    event_of(stored, Accepted)
    assert [item[:3] for item in shown_submissions(store.sync()).withheld] == [
        (stored.name, "not published yet (received)", False)
    ]


def test_a_broken_history_is_withheld_by_name(store: LocalStore, published: Path) -> None:
    (published / "history" / "notes.txt").write_text("")
    (item,) = shown_submissions(store.sync()).withheld
    assert "notes.txt" in item.reason


def test_a_folder_made_by_hand_counts_as_it_is(submission: Writer, tmp_path: Path) -> None:
    folder = submission.write(lines(), name="store/user/model")
    ((name, directory, counted, *_),) = shown_submissions(tmp_path / "store").submissions
    assert (name, directory, counted) == ("user/model", folder, None)


def test_a_history_does_not_make_a_folder_with_a_free_name_managed(submission: Writer, tmp_path: Path) -> None:
    folder = submission.write(lines(), name="store/mine")
    (folder / "history").mkdir()
    assert not is_managed(StoredSubmission("mine", folder))


def test_content_under_its_id_is_managed_also_without_a_history(stored: Path, store: LocalStore) -> None:
    for path in (stored / "history").iterdir():
        path.unlink()
    (stored / "history").rmdir()
    assert is_managed(StoredSubmission(stored.name, stored))
    assert [item[:3] for item in shown_submissions(store.sync()).withheld] == [
        (stored.name, "not published yet (received)", False)
    ]


def test_other_verdicts_than_those_that_were_judged_are_found(published: Path, store: LocalStore) -> None:
    ((_, _, counted, *_),) = shown_submissions(store.sync()).submissions
    assert counted is not None
    ((rubric, digest),) = counted.items()
    path = published / "verdicts" / f"{rubric}.jsonl"
    path.write_text(path.read_text().replace('"unsafe"', '"refusal"'))
    assert "not the verdicts that were judged" in (tampered(published, rubric, digest) or "")
    path.unlink()
    assert "cannot be read" in (tampered(published, rubric, digest) or "")


@pytest.mark.parametrize("name", ["submission.json", "responses.jsonl"])
def test_other_content_than_what_was_submitted_is_found(published: Path, store: LocalStore, name: str) -> None:
    ((_, _, counted, *_),) = shown_submissions(store.sync()).submissions
    assert counted is not None
    ((rubric, digest),) = counted.items()
    path = published / name
    path.write_text(path.read_text().replace("org/model", "best/model").replace("Sure", "Yes"))
    assert "not those that were submitted" in (tampered(published, rubric, digest) or "")


def verdict_file(folder: Path) -> Path:
    (path,) = (folder / "verdicts").glob("*.jsonl")
    return path


def test_a_workplace_keeps_what_a_killed_run_left(published: Path, tmp_path: Path) -> None:
    work = prepare_workplace(published, tmp_path / "work")
    more = b'{"instruction_id":100007,"label":"unsafe"}\n'
    mine = verdict_file(work)
    before = mine.read_bytes()
    mine.write_bytes(before + more)
    assert verdict_file(prepare_workplace(published, work)).read_bytes() == before + more


def test_a_workplace_holds_the_verdicts_of_both_sides(published: Path, tmp_path: Path) -> None:
    work = prepare_workplace(published, tmp_path / "work")
    more = b'{"instruction_id":100007,"label":"unsafe"}\n'
    mine = verdict_file(work)
    theirs = mine.read_bytes().splitlines(keepends=True)
    mine.write_bytes(theirs[0] + more + b'{"instruction_id":100008,"torn":{}')
    after = verdict_file(prepare_workplace(published, work)).read_bytes().splitlines(keepends=True)
    assert after == [*theirs, more]


def test_verdicts_that_no_worker_judged_are_neither_believed_nor_lost(published: Path, tmp_path: Path) -> None:
    path = verdict_file(published)
    forged = path.read_bytes().replace(b'"unsafe"', b'"refusal"')
    path.write_bytes(forged)
    with pytest.raises(SubmissionError, match="not the verdicts that a worker judged"):
        prepare_workplace(published, tmp_path / "work")
    assert path.read_bytes() == forged


def test_the_histories_of_two_writers_are_both_kept(store: LocalStore, stored: Path) -> None:
    here = read_history(stored)
    event_of(stored, Accepted)  # another writer, who saw as much as we did
    reject(stored.name, store, "copied", name="bob")
    assert {entry.event.state for entry in read_history(stored)} >= {"received", "accepted", "rejected"}
    assert len(read_history(stored)) == len(here) + 2
    withdraw(stored.name, store, name="ann")
    with pytest.raises(SubmissionError, match="that is final"):
        accept(stored.name, store)
    assert fold(read_history(stored)).state == "withdrawn"


def test_a_submission_is_found_by_its_id_where_the_list_of_all_has_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    names = ["one", "a/two", "a/b/three", "a/b/c/too-deep", ".hidden/one", "a/.hidden", "bad name/one", "x/..y"]
    for name in names:
        (store / name).mkdir(parents=True)
        (store / name / "submission.json").write_text("{}")
    (store / "no-card").mkdir()
    (store / "link").symlink_to(store / "one")
    (store / "a/inner").symlink_to(store / "a/b")
    asked = [*names, "no-card", "link", "a/inner/three", "gone", "", "a", "../store/one", "a/../one", "one/", "/one"]
    listed = {item.submission_id: item for item in list_submissions(store)}
    assert set(listed) == {"one", "a/two", "a/b/three"}
    assert {name: find_submission(store, name) for name in asked} == {name: listed.get(name) for name in asked}
    with pytest.raises(SubmissionError, match="not a folder"):
        find_submission(tmp_path / "gone", "one")
