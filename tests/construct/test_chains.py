"""Chains and the journal: the same replies make the same records, whatever killed the run between them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.construct.chains import Call, Chain, ChatCall, ask_for, note_of, run_chains, seed_of
from vlsbench.construct.journal import Arrived, Journal
from vlsbench.construct.prompts import ImagePromptReply
from vlsbench.construct.records import CallNote, CallRecord, ReplyOutcome, RewrittenRecord
from vlsbench.errors import DataError
from vlsbench.files import sha256_hex

DIGEST = "0" * 64


def call(item: str, round_: int, attempt: int) -> ChatCall:
    seed = seed_of(0, item, "image_prompt", round_, attempt)
    return ChatCall(
        item, "image_prompt", round_, attempt, seed, "default", "m", 0.0, "rules", f"{item} {round_}", DIGEST
    )


def answered(asked: Call, reply: str | None, outcome: ReplyOutcome = "answered") -> Arrived:
    return Arrived(
        CallRecord(
            item=asked.item,
            step=asked.step,
            round=asked.round,
            attempt=asked.attempt,
            model="m",
            seed=asked.seed,
            call=asked.key,
            outcome=outcome,
            reply=reply,
        )
    )


def told(asked: Call) -> Arrived:
    """A model that says the same whenever it is asked the same: JSON, prose or nothing."""
    number = int(asked.key[:8], 16)
    if number % 4 == 0:
        return answered(asked, "I'm sorry, I can't help with that.")
    if number % 5 == 0:
        return answered(asked, None, "filtered")
    return answered(asked, f'{{"prompt": "{number}"}}')


def chain(item: str, n_rounds: int) -> Chain[RewrittenRecord]:
    """Ask `n_rounds` questions, each up to three times; the record is all that was said."""
    notes: list[CallNote] = []
    said = []
    for round_ in range(1, n_rounds + 1):
        reply = yield from ask_for([call(item, round_, attempt) for attempt in (1, 2, 3)], ImagePromptReply, notes)
        said.append(reply.reply.prompt if reply.reply else reply.outcome)
    return RewrittenRecord(
        item=item, seed=item, origin="generated", source="s", original_sha256=sha256_hex(item), query=" ".join(said),
        calls=tuple(notes),
    )  # fmt: skip


class Killed(Exception):  # noqa: N818
    """The run ends here."""


def run(folder: Path, lengths: Sequence[int], kill_after: Callable[[], int]) -> tuple[list[RewrittenRecord], int]:
    """Run chains, killed after so many replies, again and again, until they are through."""
    n_asked = 0
    while True:
        left = kill_after()
        journal = Journal(folder)
        done: list[RewrittenRecord] = []

        def ask(calls: Sequence[Call], journal: Journal = journal) -> None:
            nonlocal left, n_asked
            for one in calls:
                if left == 0:
                    raise Killed
                assert one.key not in journal, "what is on disk is not asked"
                left, n_asked = left - 1, n_asked + 1
                journal.append([told(one)])

        try:
            run_chains({f"i{n}": chain(f"i{n}", k) for n, k in enumerate(lengths)}, journal, ask, done.extend)
        except Killed:
            continue
        return sorted(done, key=lambda record: record.item), n_asked


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 1000))
def test_a_run_that_is_killed_makes_the_records_of_one_that_is_not_and_asks_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int
) -> None:
    chance = random.Random(seed)
    whole, n_whole = run(tmp_path_factory.mktemp("whole"), lengths, lambda: -1)
    killed, n_killed = run(tmp_path_factory.mktemp("killed"), lengths, lambda: chance.randint(1, 5))
    assert killed == whole
    assert n_killed == n_whole


def test_a_question_without_a_reply_leaves_its_chain_waiting_and_the_others_go_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    done: list[RewrittenRecord] = []
    is_up = False

    def ask(calls: Sequence[Call]) -> None:
        journal.append([told(one) for one in calls if one.item != "b" or is_up])

    walk = run_chains({name: chain(name, 2) for name in "abc"}, journal, ask, done.extend)
    assert (walk.n_done, walk.unreached) == (2, ("b",))
    assert {record.item for record in done} == {"a", "c"}
    is_up = True
    assert run_chains({"b": chain("b", 2)}, journal, ask, done.extend).unreached == ()


def test_a_line_that_a_kill_tore_is_asked_again_and_a_broken_one_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([told(call("a", 1, 1)), told(call("b", 1, 1))])
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-20])
    torn = Journal(tmp_path)
    assert call("a", 1, 1).key in torn
    assert call("b", 1, 1).key not in torn
    torn.append([told(call("b", 1, 1))])
    assert journal.path.read_bytes() == whole
    journal.path.write_bytes(b'{"x": 1}\n' + whole)
    with pytest.raises(DataError, match=r"calls\.jsonl:1: is no call of this version"):
        Journal(tmp_path)


def test_a_note_has_all_of_a_call_but_its_item_and_reply() -> None:
    record = told(call("a", 1, 2)).record
    note = note_of(record, "unparsable")
    assert note.model_dump() | {"outcome": record.outcome, "item": "a", "reply": record.reply} == record.model_dump()


def test_the_private_folder_is_its_owners(tmp_path: Path) -> None:
    Journal(tmp_path)
    assert (tmp_path / "private").stat().st_mode & 0o077 == 0
