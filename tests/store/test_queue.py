"""The queue and the change log."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest

from vlsbench.errors import SubmissionError
from vlsbench.store.intake import accept, reject, submit, withdraw
from vlsbench.store.local import LocalStore
from vlsbench.store.queue import QueueRow, list_changes, list_queue, render_changes, render_queue
from vlsbench.store.worker import Worker
from vlsbench.submission.judging import judge_directory


class Writer(Protocol):
    def write(self, lines: Any, card: Any = None, name: str = "sub") -> Path: ...


LINES = [{"instruction_id": 100000 + i, "response": "I'm sorry, but I can't help."} for i in range(3)]


@pytest.fixture
def store(submission: Writer, tmp_path: Path) -> LocalStore:
    """A store with a submission of every kind."""
    store = LocalStore(tmp_path / "store")
    ids = {}
    for model in ("fine", "gone", "refused", "broken"):
        receipt = submit(submission.write(LINES, {"model": model}, model), store, name="ann")
        ids[model] = receipt.submission_id or ""
    Worker(store, name="bot").work()
    for model in ("waiting", "trusted"):
        receipt = submit(submission.write(LINES, {"model": model}, model), store, name="ann")
        ids[model] = receipt.submission_id or ""
    accept(ids["trusted"], store, name="bob")
    withdraw(ids["gone"], store, "an old prompt", name="ann")
    reject(ids["refused"], store, "copied", name="bob")
    (store.sync() / ids["broken"] / "history" / "notes.txt").write_text("")
    submission.write(LINES, {"model": "by hand"}, "store/user/hand")
    judge_directory(submission.write(LINES, {"model": "shown"}, "store/user/shown"))
    return store


def row_of(store: LocalStore, model: str) -> QueueRow:
    (row,) = [row for row in list_queue(store.sync()) if row.model == model]
    return row


@pytest.mark.parametrize(
    ("model", "state", "next_step"),
    [
        ("fine", "published", "lets judges that cost money judge it"),
        ("waiting", "received", "`vlsbench work` goes on with it"),
        ("trusted", "received", "`vlsbench work` goes on with it"),
        ("gone", "withdrawn", "stays withdrawn"),
        ("refused", "rejected", "takes the rejection back"),
        ("broken", "broken", "restore the files"),
        ("by hand", "by hand", "shown once it is judged"),
        ("shown", "by hand", "judged outside the store"),
    ],
)
def test_the_queue_says_where_each_stands_and_what_comes_next(
    store: LocalStore, model: str, state: str, next_step: str
) -> None:
    row = row_of(store, model)
    assert row.state == state
    assert next_step in row.next_step
    assert row.is_accepted == (model == "trusted")


def test_the_queue_says_who_when_and_judged_by_what(store: LocalStore) -> None:
    fine, gone, hand = row_of(store, "fine"), row_of(store, "gone"), row_of(store, "by hand")
    assert (fine.who, hand.who) == ("ann", None)
    assert [rubric.split("-")[0] for rubric in fine.judged_by] == ["offline"]
    assert fine.received_at is not None
    assert fine.since is not None
    assert fine.received_at <= fine.since
    assert (gone.reason or "").endswith("by ann: an old prompt")
    assert "notes.txt" in (row_of(store, "broken").reason or "")


def test_what_waits_comes_first(store: LocalStore) -> None:
    rows = list_queue(store.sync())
    assert [row.model for row in rows[-5:]] == ["fine", "by hand", "shown", "refused", "gone"]
    text = render_queue(rows)
    assert text.endswith("8 submissions: 1 broken, 2 received, 1 published, 2 by hand, 1 rejected, 1 withdrawn")
    assert all(row.submission_id in text for row in rows)


def test_the_change_log_says_who_did_what_oldest_first(store: LocalStore) -> None:
    changes = list_changes(store.sync())
    assert [change.when for change in changes] == sorted(change.when for change in changes)
    of_gone = list_changes(store.sync(), row_of(store, "gone").submission_id)
    assert [(change.who, change.state) for change in of_gone] == [
        ("ann", "received"),
        ("bot", "checked"),
        ("bot", "judged"),
        ("bot", "scored"),
        ("bot", "published"),
        ("ann", "withdrawn"),
    ]
    assert "passed the gate: 3 of 41 answered, 1 warning" in render_changes(of_gone)
    assert render_changes([]) == "no events"


def test_a_broken_history_does_not_hide_the_others(store: LocalStore) -> None:
    (broken,) = [row.submission_id for row in list_queue(store.sync()) if row.state == "broken"]
    assert {change.submission_id for change in list_changes(store.sync())}.isdisjoint({broken})
    with pytest.raises(SubmissionError, match=r"notes\.txt"):
        list_changes(store.sync(), broken)


def test_a_submission_that_is_not_there_is_named(store: LocalStore) -> None:
    with pytest.raises(SubmissionError, match="not in the store"):
        list_changes(store.sync(), "nothing")
