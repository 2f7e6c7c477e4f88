"""Who accepts what: the store's owner, its rules, a maintainer; and who only says who they are."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Folder
from vlsbench.dataset.index import load_index
from vlsbench.errors import SubmissionError
from vlsbench.records import SubmissionCard
from vlsbench.store import desk
from vlsbench.store.desk import Desk, Uploaded, UploadForm
from vlsbench.store.history import Accepted, Received, entry_of, fold, read_history
from vlsbench.store.identity import vouched_by
from vlsbench.store.intake import accept, accept_all_from, submit, why_not_a_submission_change, why_not_as_named
from vlsbench.store.local import LocalStore, list_submissions
from vlsbench.store.queue import QueueRow, list_queue
from vlsbench.store.rules import Rules, read_rules

ID = load_index("sample").risky[0].instruction_id
OWN = "the store's owner submitted it"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


Send = Callable[..., str]


@pytest.fixture
def send(submission: Folder, store: LocalStore) -> Send:
    counter: Iterator[int] = iter(range(100))

    def send(model: str, by: str, **options: Any) -> str:
        number = next(counter)
        card = {"model": model, **options.pop("card", {})}
        folder = submission.write([{"instruction_id": ID, "response": f"Answer {number}."}], card, f"sent{number}")
        name = submit(folder, store, name=by, **options).submission_id
        assert name is not None
        return name

    return send


def accepted(store: LocalStore, name: str) -> Accepted | None:
    events = [entry.event for entry in read_history(store.sync() / name)]
    found = [event for event in events if isinstance(event, Accepted)]
    return found[-1] if found and fold(read_history(store.sync() / name)).is_accepted else None


def test_what_the_owner_submits_is_accepted_and_says_why(send: Send, store: LocalStore) -> None:
    name = send("Mine", "ann", accepted_because=OWN)
    event = accepted(store, name)
    assert event is not None
    assert (event.who, event.because) == ("ann", OWN)
    assert accepted(store, send("Theirs", "eve")) is None


def test_a_name_that_is_taken_goes_to_review(send: Send, store: LocalStore) -> None:
    first = send("Honest-A", "ann", accepted_because=OWN)
    assert accepted(store, first) is not None
    assert accepted(store, send("HONEST A", "bob", accepted_because=OWN)) is None
    assert accepted(store, send("Honest-A", "ann", accepted_because=OWN)) is not None, "the same people"
    assert accepted(store, send("Honest-B", "bob", accepted_because=OWN)) is not None


def test_a_name_that_only_waits_is_not_taken(send: Send, store: LocalStore) -> None:
    send("Model", "eve")
    assert accepted(store, send("Model", "ann", accepted_because=OWN)) is not None


def test_all_of_a_sender_are_accepted_and_claims_are_left(send: Send, store: LocalStore) -> None:
    acme = {"organization": "Acme"}
    members = [send(f"M{n}", "ann", member_of="Acme", card=acme) for n in range(2)]
    claim = send("Claimed", "eve", card=acme)
    other = send("Other", "bob")
    found = accept_all_from("acme", store, name="mary")
    assert (sorted(found.accepted), found.only_claimed) == (sorted(members), [claim])
    assert (accepted(store, claim), accepted(store, other)) == (None, None)
    assert accept_all_from("bob", store, name="mary").accepted == [other]
    assert accept_all_from("bob", store, name="mary").accepted == []
    with pytest.raises(SubmissionError, match="nothing of 'nobody' is in"):
        accept_all_from("nobody", store, name="mary")


@pytest.mark.parametrize(
    ("url", "member_of", "expected"),
    [
        (None, None, None),
        (None, "acme", "member"),
        (None, "Other", None),
        ("https://huggingface.co/acme/model", None, "repository"),
        ("https://huggingface.co/acme/model/tree/main", None, "repository"),
        ("https://huggingface.co/acme", None, None),  # no model
        ("https://huggingface.co/datasets/acme/x", None, None),
        ("https://huggingface.co.example.org/acme/model", None, None),
        ("https://example.org/https://huggingface.co/acme/model", None, None),
        ("https://huggingface.co/acme-fans/model", None, None),
    ],
)
def test_what_vouches_for_an_organization(url: str | None, member_of: str | None, expected: str | None) -> None:
    card = SubmissionCard(model="m", organization="Acme", url=url)
    assert vouched_by(card, member_of) == expected
    assert vouched_by(SubmissionCard(model="m", url=url), member_of) is None


def test_rules_are_read_and_what_is_wrong_with_them_is_said(store: LocalStore, tmp_path: Path) -> None:
    assert read_rules(tmp_path) == Rules()
    (tmp_path / "rules.json").write_text(json.dumps({"trusted": ["Ann"], "trusted_organizations": ["Acme"]}))
    rules = read_rules(tmp_path)
    assert [rules.trusts(*asked) for asked in (("ann", None), ("bob", None), ("bob", "acme"), ("bob", "x"))] == [
        *(True, False),
        *(True, False),
    ]
    assert not rules.trusts("\u0410nn", None), "a Cyrillic A is another sign-in"
    (tmp_path / "rules.json").write_text('{"trust": ["ann"], "max_open": 0}')
    with pytest.raises(SubmissionError, match=r"rules\.json: .*trust.*Rules look like"):
        read_rules(tmp_path)


def test_a_submitter_changes_no_rule_and_vouches_for_nobody(send: Send, store: LocalStore) -> None:
    assert why_not_a_submission_change(["rules.json"])
    name = send("Model", "eve", card={"organization": "Acme"})
    folder = store.sync() / name
    assert why_not_as_named(folder) == []
    (entry,) = read_history(folder)
    assert isinstance(entry.event, Received)
    (folder / "history" / entry.name).unlink()
    forged = entry_of(entry.event.model_copy(update={"member_of": "Acme"}), 1)
    (folder / "history" / forged.name).write_bytes(forged.data)
    assert "holds other than" in why_not_as_named(folder)[0]


@pytest.fixture
def upload(submission: Folder) -> Callable[[int], list[Uploaded]]:
    def upload(number: int) -> list[Uploaded]:
        lines = [{"instruction_id": ID, "response": f"Upload {number}."}]
        folder = submission.write(lines, {"model": f"Model {number}", "organization": "Acme"}, f"up{number}")
        return [Uploaded(folder / name, name) for name in ("submission.json", "responses.jsonl")]

    return upload


def test_the_desk_accepts_whom_the_rules_trust_and_nobody_who_only_typed_a_name(
    upload: Callable[[int], list[Uploaded]], store: LocalStore
) -> None:
    Path(store.location).mkdir()
    (store.sync() / "rules.json").write_text('{"trusted": ["ann"], "trusted_organizations": ["Acme"], "max_open": 2}')
    signed, typed = Desk(store, needs_sign_in=True), Desk(store)
    found = [
        signed.submit(upload(0), UploadForm(), "ann"),
        signed.submit(upload(1), UploadForm(), "bob", ["acme"]),
        signed.submit(upload(2), UploadForm(), "bob", ["other"]),
        typed.submit(upload(3), UploadForm(), "ann"),
    ]
    names = [done.submission_id or "" for done in found]
    assert [accepted(store, name) is not None for name in names] == [True, True, False, False]
    received = [fold(read_history(store.sync() / name)).received for name in names]
    assert [event and event.member_of for event in received] == [None, "Acme", None, None]


@pytest.mark.parametrize("kind", [threading.Thread, get_context("fork").Process], ids=["threads", "processes"])
def test_who_submits_several_at_once_has_no_more_open_than_one_by_one(
    upload: Callable[[int], list[Uploaded]], store: LocalStore, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    Path(store.location).mkdir()
    (store.sync() / "rules.json").write_text('{"max_open": 1}')
    # Checked beforehand, so that all of them come to be placed at once.
    checks = [contextlib.ExitStack() for _ in range(3)]
    found = [
        stack.enter_context(desk._checked(upload(number), UploadForm(), 60)) for number, stack in enumerate(checks)
    ]
    monkeypatch.setattr(desk, "_checked", lambda number, *_: contextlib.nullcontext(found[number]))

    def count_slowly(folder: Path) -> list[QueueRow]:
        rows = list_queue(folder)
        time.sleep(0.05)
        return rows

    monkeypatch.setattr(desk, "list_queue", count_slowly)
    try:
        workers = [kind(target=Desk(store).submit, args=(number, UploadForm(), "eve")) for number in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    finally:
        for stack in checks:
            stack.close()
    assert len(list_submissions(store.sync())) == 1


def test_a_person_has_so_many_submissions_open(upload: Callable[[int], list[Uploaded]], store: LocalStore) -> None:
    Path(store.location).mkdir()
    (store.sync() / "rules.json").write_text('{"max_open": 1}')
    own = Desk(store)
    first = own.submit(upload(0), UploadForm(), "eve")
    second = own.submit(upload(1), UploadForm(), "eve")
    assert (second.submission_id, second.refusal) == (
        None,
        "1 submission of eve waits for review, and 1 may at once. The next is taken once the maintainer has decided on "
        "one.",
    )
    assert own.submit(upload(0), UploadForm(), "eve").submission_id == first.submission_id, "it is there already"
    assert own.submit(upload(2), UploadForm(), "bob").is_new
    accept(first.submission_id or "", store, name="mary")
    assert own.submit(upload(1), UploadForm(), "eve").is_new
