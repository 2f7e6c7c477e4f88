"""What was answered decides what is the same, not the bytes; and ids that were given stay what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import commands
import pytest

from vlsbench.dataset.index import load_index
from vlsbench.errors import SubmissionError
from vlsbench.store.history import read_history
from vlsbench.store.identity import identity_of, read_identity
from vlsbench.store.intake import accept, open_managed, reject, submit, withdraw
from vlsbench.store.local import LocalStore, content_id, list_submissions
from vlsbench.submission.check import read_submission

Lines = list[dict[str, Any]]
FIRST = load_index("sample").select("sample").rows[0].instruction_id
LINES: Lines = [{"instruction_id": FIRST + i, "response": f"Hold the lamp {i} high, é."} for i in range(24)]
CARD = {"model": "org/Model-7B", "organization": "Org", "url": "https://example.org/m"}


class Writer(Protocol):
    def write(self, lines: Any, card: Any = None, name: str = "sub") -> Path: ...


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def stored(submission: Writer, store: LocalStore) -> str:
    receipt = submit(submission.write(LINES, CARD), store, name="ann")
    assert receipt.submission_id is not None
    return receipt.submission_id


def _each(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Lines:
    return [change(line) for line in LINES]


def _text(lines: Sequence[Any], *, end: str = "\n", **how: Any) -> str:
    return "".join(json.dumps(line, **how) + end for line in lines)


FAILED = {"instruction_id": FIRST + 3, "failure": "response_error"}
BYTES: dict[str, str] = {
    "a blank line more": _text(LINES) + "\n",
    "blank lines between": _text(LINES, end="\n\n \n"),
    "no line end at the end": _text(LINES).removesuffix("\n"),
    "other line ends": _text(LINES, end="\r\n"),
    "a byte-order mark": "\ufeff" + _text(LINES),
    "letters for escapes": _text(LINES, ensure_ascii=False),
    "spaces within lines": _text(LINES, separators=(" , ", " : ")),
    "keys in another order": _text(_each(lambda line: dict(reversed(line.items())))),
    "lines in another order": _text(LINES[::-1]),
    "the condition said": _text(_each(lambda line: {**line, "condition": "image+text"})),
    "settings": _text(_each(lambda line: {**line, "settings": {"seed": 7, "of_mine": True}})),
    "usage": _text(_each(lambda line: {**line, "usage": {"tokens": 3}, "finish_reason": "stop"})),
    "a thought apart": _text(_each(lambda line: {**line, "reasoning": "Hm."})),
    "a failure that was tried again": _text([FAILED, *LINES]),
    "a sample nobody answered": _text([*LINES, {"instruction_id": FIRST + 30, "failure": "response_missing"}]),
    "a blank answer": _text([*LINES, {"instruction_id": FIRST + 30, "response": " "}]),
    "a space behind an answer": _text(_each(lambda line: {**line, "response": line["response"] + " "})),
    "a letter composed otherwise": _text(LINES, ensure_ascii=False).replace("é", "e\u0301"),
}
CARDS: dict[str, Any] = {
    "another organization": {**CARD, "organization": "Other"},
    "another address": {**CARD, "url": "https://example.org/other"},
    "an optional field": {**CARD, "access": "open", "parameters": "7B"},
    "other settings": {**CARD, "settings": {"temperature": 0.5, "mine": 1}},
    "another model": {**CARD, "model": "org/Model-7B-v2"},
    "another layout": json.dumps(dict(reversed(CARD.items())), indent=7),
    "nothing but a name": {"model": "x"},
}


def _write(submission: Writer, text: str, card: Any = None, name: str = "again") -> Path:
    folder = submission.write(LINES, CARD if card is None else card, name)
    (folder / "responses.jsonl").write_bytes(text.encode())
    return folder


def _take_back(store: LocalStore, name: str, how: str) -> None:
    (withdraw if how == "withdrawn" else reject)(name, store, "a mistake", name="ann")


@pytest.mark.parametrize("how", ["withdrawn", "rejected"])
@pytest.mark.parametrize("change", BYTES)
def test_what_was_taken_back_does_not_come_back_in_other_bytes(
    submission: Writer, store: LocalStore, stored: str, change: str, how: str
) -> None:
    _take_back(store, stored, how)
    folder = _write(submission, BYTES[change])
    with pytest.raises(SubmissionError, match=rf"^{stored}: th[\w ]+ (was|were) {how} on \S+ by ann: a mistake\. "):
        submit(folder, store, name="bob")
    assert [item.submission_id for item in list_submissions(store.sync())] == [stored]


@pytest.mark.parametrize("how", ["withdrawn", "rejected"])
@pytest.mark.parametrize("change", CARDS)
def test_what_was_taken_back_does_not_come_back_with_another_card(
    submission: Writer, store: LocalStore, stored: str, change: str, how: str
) -> None:
    _take_back(store, stored, how)
    with pytest.raises(SubmissionError, match=f"{how} on"):
        submit(_write(submission, _text(LINES) + "\n", CARDS[change]), store, name="bob")


@pytest.mark.parametrize("change", BYTES)
def test_what_is_there_is_not_stored_twice_in_other_bytes(
    submission: Writer, store: LocalStore, stored: str, change: str
) -> None:
    receipt = submit(_write(submission, BYTES[change]), store, name="bob")
    assert (receipt.submission_id, receipt.is_new, receipt.state) == (stored, False, "received")
    assert len(list_submissions(store.sync())) == 1
    assert len(open_managed(store, stored).history) == 1


def test_another_card_of_what_is_there_is_another_submission(
    submission: Writer, store: LocalStore, stored: str
) -> None:
    receipt = submit(_write(submission, _text(LINES), CARDS["another organization"]), store)
    assert receipt.is_new
    assert receipt.submission_id != stored


@pytest.mark.parametrize(
    "lines",
    [
        LINES[:-1],
        [*LINES[:-1], {**LINES[-1], "response": "Hold it low."}],
        [*LINES, {"instruction_id": FIRST + 30, "response": "Hold it."}],
        _each(lambda line: {**line, "condition": "text-only"}),
    ],
    ids=["one answer less", "another answer", "one answer more", "another condition"],
)
def test_another_run_is_another_submission(submission: Writer, store: LocalStore, stored: str, lines: Lines) -> None:
    withdraw(stored, store, name="ann")
    assert submit(submission.write(lines, CARD, "again"), store).is_new


def test_a_rejection_that_was_taken_back_stands_in_nobodys_way(
    submission: Writer, store: LocalStore, stored: str
) -> None:
    reject(stored, store, "a mistake", name="ann")
    accept(stored, store, name="ann")
    assert submit(_write(submission, BYTES["a blank line more"]), store).submission_id == stored


def test_few_answers_that_any_model_might_give_tell_nobody(submission: Writer, store: LocalStore) -> None:
    few = [{"instruction_id": FIRST + i, "response": "I can't help with that."} for i in range(24)]
    name = submit(submission.write(few, {"model": "First-VL"}), store).submission_id or ""
    withdraw(name, store, name="ann")
    assert submit(submission.write(few, {"model": "Second-VL"}, "second"), store).is_new
    with pytest.raises(SubmissionError, match="withdrawn"):
        submit(submission.write(few, {"model": "first vl", "access": "open"}, "again"), store)


def test_a_maintainer_takes_them_again_with_a_card_that_is_right(
    submission: Writer, store: LocalStore, stored: str
) -> None:
    withdraw(stored, store, "a wrong name", name="ann")
    folder = _write(submission, _text(LINES), CARDS["another model"])
    assert submit(folder, store, is_again=True).is_new
    with pytest.raises(SubmissionError, match="withdrawn"):
        submit(submission.write(LINES, CARD, "same"), store, is_again=True)


def test_a_constant_policy_of_a_maintainer_is_not_compared(submission: Writer, store: LocalStore, stored: str) -> None:
    withdraw(stored, store, name="ann")
    card = {"model": "always the same", "origin": "baseline"}
    assert submit(_write(submission, _text(LINES), card), store, is_baseline=True).is_new


def test_a_history_that_is_broken_stops_nobody(submission: Writer, store: LocalStore, stored: str) -> None:
    withdraw(stored, store, name="ann")
    (store.sync() / stored / "history" / "0009-accepted-00000000.json").write_text("{}")
    assert submit(_write(submission, BYTES["a blank line more"]), store).is_new


OLD_CARD = {"model": "Old-VL", "url": "https://example.org/old"}


def test_the_ids_of_a_store_from_before_stay_what_they_are(submission: Writer, tmp_path: Path) -> None:
    folder = _write(submission, BYTES["blank lines between"], OLD_CARD)
    name = content_id(folder)
    assert name == "old-vl-555a6ed18e74"  # as every version of the package made it
    store = LocalStore(tmp_path / "store")
    assert submit(folder, store, name="ann").submission_id == name
    before = {path: path.read_bytes() for path in (store.sync() / name).rglob("*") if path.is_file()}
    assert len(read_history(store.sync() / name)) == 1
    submit(_write(submission, _text(LINES), OLD_CARD, "other"), store, name="bob")
    assert {path: path.read_bytes() for path in (store.sync() / name).rglob("*") if path.is_file()} == before


def test_the_command_says_what_was_withdrawn_and_how_a_maintainer_takes_it_again(
    submission: Writer, store: LocalStore, stored: str
) -> None:
    withdraw(stored, store, "a wrong name", name="ann")
    folder = _write(submission, _text(LINES) + "\n", CARDS["another model"])
    command = ("submit", folder, "--store", store.location)
    refused = commands.vlsbench(*command)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{stored}: these very answers were withdrawn" in refused.stderr
    taken = commands.vlsbench(*command, "--again")
    assert taken.returncode == 0, taken.stderr


def test_an_identity_is_the_same_read_and_counted(submission: Writer, store: LocalStore, stored: str) -> None:
    found, _ = read_submission(store.sync() / stored)
    assert found is not None
    assert read_identity(store.sync() / stored) == identity_of(found.card, found.responses)
    assert read_identity(store.sync()) is None
