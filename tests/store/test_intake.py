"""Getting into a store, being decided about, and what a change from outside may hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest

from vlsbench.errors import SubmissionError, UsageError
from vlsbench.store.history import Received, Rejected, entry_of, fold, read_history
from vlsbench.store.intake import (
    accept,
    open_managed,
    reject,
    submit,
    why_not_a_submission_change,
    why_not_as_named,
    withdraw,
)
from vlsbench.store.local import LocalStore, content_id, list_submissions
from vlsbench.store.queue import list_queue, render_queue
from vlsbench.submission.check import read_submission


class Writer(Protocol):
    def write(self, lines: Any, card: Any = None, name: str = "sub") -> Path: ...


LINES = [{"instruction_id": 100000 + i, "response": "I'm sorry, but I can't help."} for i in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def stored(submission: Writer, store: LocalStore) -> str:
    receipt = submit(submission.write(LINES), store, name="ann")
    assert receipt.submission_id is not None
    return receipt.submission_id


def state_of(store: LocalStore, submission_id: str) -> str:
    return open_managed(store, submission_id).standing.state


def test_a_submission_is_received(submission: Writer, store: LocalStore) -> None:
    receipt = submit(submission.write(LINES), store, name="ann")
    assert (receipt.is_new, receipt.state, receipt.report.ok) == (True, "received", True)
    found = open_managed(store, receipt.submission_id or "")
    (entry,) = found.history
    assert isinstance(entry.event, Received)
    assert (entry.event.who, entry.event.n_lines, entry.event.source) == ("ann", 3, "submit")
    assert content_id(found.directory) == receipt.submission_id
    assert (found.directory / "responses.jsonl").read_bytes() == (
        submission.write(LINES) / "responses.jsonl"
    ).read_bytes()


def test_nobody_is_named_without_being_asked(submission: Writer, store: LocalStore) -> None:
    receipt = submit(submission.write(LINES), store)
    assert open_managed(store, receipt.submission_id or "").history[0].event.who == "anonymous"


def test_only_the_card_and_the_answers_are_taken(submission: Writer, store: LocalStore) -> None:
    folder = submission.write(LINES)
    for path in ("verdicts/offline-v1-0123456789ab.jsonl", "results/x.json", "history/0001-accepted-01234567.json"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text('{"instruction_id": 100000, "label": "refusal"}')
    receipt = submit(folder, store)
    stored = store.sync() / (receipt.submission_id or "")
    names = sorted(path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file())
    assert [name.split("-")[0] for name in names] == ["history/0001", "responses.jsonl", "submission.json"]


def test_the_card_is_stored_in_one_way_whatever_its_layout(submission: Writer, store: LocalStore) -> None:
    fields = {"parameters": "7B", "model": "org/m", "settings": {"temperature": 0.0, "seed": 1, "max_new_tokens": 9}}
    one = submit(submission.write(LINES, fields, "one"), store)
    other = submit(
        submission.write(LINES, "\ufeff" + json.dumps(dict(reversed(fields.items())), indent=8), "two"), store
    )
    assert (other.submission_id, other.is_new) == (one.submission_id, False)
    stored = store.sync() / (one.submission_id or "")
    again, report = read_submission(stored)
    assert again is not None
    assert report.ok
    assert again.card.parameters == 7_000_000_000
    assert again.card.settings.model_dump() == {"temperature": 0.0, "seed": 1, "max_new_tokens": 9, "top_p": None}


def test_the_same_content_is_one_submission(submission: Writer, store: LocalStore, stored: str) -> None:
    again = submit(submission.write(LINES), store, name="bob")
    assert (again.submission_id, again.is_new, again.state) == (stored, False, "received")
    assert len(list_submissions(store.sync())) == 1
    assert len(open_managed(store, stored).history) == 1
    other = submit(submission.write([*LINES[:2], {**LINES[2], "response": "No."}]), store)
    assert other.is_new
    assert other.submission_id != stored


def test_what_does_not_pass_the_gate_is_not_stored(submission: Writer, store: LocalStore) -> None:
    receipt = submit(submission.write([*LINES, LINES[0], "no JSON"]), store)
    assert (receipt.submission_id, receipt.state, receipt.report.ok) == (None, None, False)
    assert sum(problem.severity == "error" for problem in receipt.report.problems) == 2
    assert not Path(store.location).exists()


def test_links_are_not_followed(submission: Writer, store: LocalStore, tmp_path: Path) -> None:
    folder = submission.write(LINES)
    (folder / "responses.jsonl").rename(tmp_path / "elsewhere")
    (folder / "responses.jsonl").symlink_to(tmp_path / "elsewhere")
    receipt = submit(folder, store)
    assert receipt.submission_id is None
    assert any("a link, and links are not followed" in problem.message for problem in receipt.report.problems)


def test_a_baseline_is_added_by_a_maintainer_only(submission: Writer, store: LocalStore) -> None:
    folder = submission.write(LINES, {"model": "always-refuses", "origin": "baseline"})
    with pytest.raises(SubmissionError, match="--baseline"):
        submit(folder, store)
    assert submit(folder, store, is_baseline=True).is_new


@pytest.mark.parametrize("name", ["", "<i>me</i>", "../me", "x" * 201])
def test_a_name_that_cannot_be_printed_is_refused(submission: Writer, store: LocalStore, name: str) -> None:
    with pytest.raises(UsageError, match=r"^'--name': "):
        submit(submission.write(LINES), store, name=name)


def test_a_folder_takes_no_pull_requests(submission: Writer, store: LocalStore) -> None:
    with pytest.raises(UsageError, match="--pr is for a store on the Hub"):
        submit(submission.write(LINES), store, is_proposal=True)


def test_withdrawn_content_is_not_taken_again(submission: Writer, store: LocalStore, stored: str) -> None:
    withdraw(stored, store, "an old\nprompt", name="ann")
    withdraw(stored, store, "again", name="bob")
    assert state_of(store, stored) == "withdrawn"
    assert len(open_managed(store, stored).history) == 2
    with pytest.raises(
        SubmissionError, match=r"this very content was withdrawn on \S+ by ann: an old prompt\. It is not"
    ):
        submit(submission.write(LINES), store)
    assert (store.sync() / stored / "responses.jsonl").exists()


def test_a_maintainers_rejection_is_taken_back_by_accepting(submission: Writer, store: LocalStore, stored: str) -> None:
    reject(stored, store, "copied from another", name="bob")
    assert state_of(store, stored) == "rejected"
    with pytest.raises(SubmissionError, match="by bob: copied from another"):
        submit(submission.write(LINES), store)
    accept(stored, store, name="bob")
    assert state_of(store, stored) == "received"
    accept(stored, store, name="eve")
    assert len(open_managed(store, stored).history) == 3, "accepting twice says nothing new"


def test_the_gates_word_is_final(store: LocalStore, stored: str) -> None:
    event = Rejected(submission_id=stored, when="2026-01-02T03:04:05Z", who="ann", by="gate", reasons=("broken",))
    entry = entry_of(event, 2)
    store.write({f"{stored}/history/{entry.name}": entry.data}, "")
    for decide in (accept, lambda name, where: reject(name, where, "no")):
        with pytest.raises(SubmissionError, match=r"by the gate: broken; that is final\."):
            decide(stored, store)
    withdraw(stored, store)
    assert state_of(store, stored) == "withdrawn"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\x1b[31mred"])
def test_a_reason_is_a_printable_sentence(store: LocalStore, stored: str, reason: str) -> None:
    with pytest.raises(UsageError, match="--reason is one printable sentence"):
        reject(stored, store, reason)


@pytest.mark.parametrize(
    ("submission_id", "sentence"),
    [
        ("not-there-0123456789ab", "not in the store; `vlsbench queue"),
        ("hand", "made by hand has no history"),
        ("../hand", "is not an id"),
        ("/etc", "is not an id"),
        ("", "is not an id"),
    ],
)
def test_only_what_is_in_the_queue_is_decided_about(
    submission: Writer, store: LocalStore, stored: str, submission_id: str, sentence: str
) -> None:
    submission.write(LINES, name="store/hand")
    with pytest.raises(SubmissionError, match=sentence):
        withdraw(submission_id, store)


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="not a folder"):
        accept("a-0123456789ab", LocalStore(tmp_path / "nowhere"))


def test_content_that_came_without_a_history_is_received_when_somebody_decides(store: LocalStore, stored: str) -> None:
    folder = store.sync() / stored
    for path in (folder / "history").iterdir():
        path.unlink()
    accept(stored, store, name="bob")
    events = [entry.event for entry in read_history(folder)]
    assert [event.state for event in events] == ["received", "accepted"]
    assert isinstance(events[0], Received)
    assert (events[0].source, events[0].n_lines) == ("found in the store", 3)
    assert (events[0].who, events[0].submitter) == ("bob", None)  # who found it has not submitted it
    (row,) = list_queue(store.sync())
    assert row.who is None
    assert "nobody that is known" in render_queue([row])


GOOD_ID = "org-model-0123456789ab"
CARD, ANSWERS = f"{GOOD_ID}/submission.json", f"{GOOD_ID}/responses.jsonl"
EVENT = f"{GOOD_ID}/history/0001-received-01234567.json"

CHANGES: list[tuple[str, list[str], list[str], list[str], list[str]]] = [
    ("a submission", [CARD, ANSWERS], [], [], []),
    ("with its event", [CARD, ANSWERS, EVENT], [], [], []),
    (
        "two submissions",
        [CARD, ANSWERS, "b-0123456789ab/submission.json", "b-0123456789ab/responses.jsonl"],
        [],
        [],
        [],
    ),
    ("nothing", [], [], [], ["nothing is changed"]),
    ("half of one", [CARD], [], [], ["without responses.jsonl"]),
    ("only an event", [EVENT], [], [], ["without submission.json, responses.jsonl"]),
    ("two events", [CARD, ANSWERS, EVENT, EVENT.replace("7.json", "8.json")], [], [], ["2 events"]),
    ("verdicts", [CARD, ANSWERS, f"{GOOD_ID}/verdicts/offline-v1-0123456789ab.jsonl"], [], [], ["verdicts, results"]),
    ("an event that is not its", [CARD, ANSWERS, EVENT.replace("received", "published")], [], [], ["history"]),
    ("a later number", [CARD, ANSWERS, EVENT.replace("0001", "0002")], [], [], ["history"]),
    ("a lease", [CARD, ANSWERS, f"{GOOD_ID}/lease.json"], [], [], ["lease.json"]),
    (
        "no id",
        ["mine/submission.json", "mine/responses.jsonl"],
        [],
        [],
        ["mine/responses.jsonl", "mine/submission.json"],
    ),
    ("a folder deeper", [f"a/{CARD}"], [], [], ["a/org"]),
    ("a way out", [f"../{CARD}", CARD, ANSWERS], [], [], ["../org"]),
    ("a hidden folder", [".x-0123456789ab/submission.json"], [], [], [".x-"]),
    ("a file of the repository", [CARD, ANSWERS, "README.md"], [], [], ["README.md"]),
    ("a changed answer", [], [ANSWERS], [], ["never changed"]),
    ("a deleted event", [], [], [EVENT], ["vlsbench withdraw"]),
    ("all at once", ["README.md"], [CARD], [ANSWERS], ["submission.json: changed", "deleted", "README.md"]),
]


@pytest.mark.parametrize(("why", "added", "modified", "deleted", "parts"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_submitter_adds_submissions_and_changes_nothing(
    why: str, added: list[str], modified: list[str], deleted: list[str], parts: list[str]
) -> None:
    problems = why_not_a_submission_change(added, modified, deleted)
    assert len(problems) == len(parts), problems
    assert all(part in problem for part, problem in zip(parts, problems, strict=True)), problems


def test_what_submit_stores_is_a_change_that_a_submitter_may_make(store: LocalStore, stored: str) -> None:
    paths = [path.relative_to(store.sync()).as_posix() for path in (store.sync() / stored).rglob("*") if path.is_file()]
    assert why_not_a_submission_change(paths) == []
    assert why_not_as_named(store.sync() / stored) == []


def test_a_folder_that_is_not_what_its_name_says_is_found(submission: Writer, store: LocalStore, stored: str) -> None:
    folder = store.sync() / stored
    other = folder.rename(folder.with_name("best-model-0123456789ab"))
    (problem, *rest) = why_not_as_named(other)
    assert stored in problem
    assert "was the folder renamed" in rest[0]
    other.rename(folder)
    (folder / "responses.jsonl").write_text('{"instruction_id": 100000, "response": "Another."}\n')
    assert [text.split(":")[0] for text in why_not_as_named(folder)] == [stored, "history"]
    hand = submission.write(LINES, {"model": "m", "origin": "baseline"}, "hand")
    named = hand.rename(hand.with_name(content_id(hand) or ""))
    (problem,) = why_not_as_named(named)
    assert "'baseline' is for the store's maintainer" in problem
    (named / "submission.json").unlink()
    assert "no readable submission.json" in why_not_as_named(named)[0]


@pytest.mark.parametrize(
    "said", [{"n_lines": 2000}, {"source": "audited by the maintainers"}, {"responses_sha256": "0" * 64}]
)
def test_an_event_of_a_submitter_says_what_submit_says_and_nothing_else(
    store: LocalStore, stored: str, said: dict[str, Any]
) -> None:
    folder = store.sync() / stored
    (entry,) = read_history(folder)
    (folder / "history" / entry.name).unlink()
    forged = entry_of(Received.model_validate({**entry.event.model_dump(), **said}), 1)
    (folder / "history" / forged.name).write_bytes(forged.data)
    (problem,) = why_not_as_named(folder)
    assert "holds other than that `vlsbench submit` received these answers" in problem


SUBMIT = """
import sys
from pathlib import Path
from vlsbench.store.intake import submit
from vlsbench.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
for folder in sys.argv[2:]:
    receipt = submit(folder, store, name="ann")
    print(receipt.submission_id, receipt.is_new)
"""


def test_several_processes_that_submit_at_once_lose_nothing(submission: Writer, store: LocalStore) -> None:
    same = [submission.write(LINES, {"model": f"same-{i}"}, f"same-{i}") for i in range(4)]
    commands = []
    for process in range(4):
        own = [submission.write(LINES, {"model": f"own-{process}-{i}"}, f"own-{process}-{i}") for i in range(4)]
        folders = [path for pair in zip(own, same, strict=True) for path in pair]
        commands.append([sys.executable, "-c", SUBMIT, store.location, *map(str, folders)])
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    said = [line.split() for process in running for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in running] == [0] * 4
    stored = {item.submission_id: item.directory for item in list_submissions(store.sync())}
    assert {name for name, _ in said} == set(stored)
    assert len(stored) == 20
    assert sum(is_new == "True" for _, is_new in said) == 20, "each was new for exactly one process"
    assert {fold(read_history(folder)).state for folder in stored.values()} == {"received"}
    assert {len(read_history(folder)) for folder in stored.values()} == {1}
    assert [name for name, folder in stored.items() if content_id(folder) != name] == []
