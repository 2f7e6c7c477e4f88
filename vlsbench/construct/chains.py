"""What an item asks, call after call, and how many items go on side by side.

A chain is a generator: it yields calls, is sent their replies, and returns the record of its item. It knows no network:
whoever runs it looks a call up in the journal and asks only what is not there. So a killed run goes on by running all
chains again, each as far as its replies are on disk, and the same replies make the same records.

Chains of one stage go on in step: all their open calls are asked together, then every chain that has its reply moves
on. A step takes as long as its calls; the number of steps is that of the longest chain.

Pure but for the journal it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from vlsbench.construct.journal import Journal
from vlsbench.construct.prompts import Reply, read_reply
from vlsbench.construct.records import CallNote, CallRecord, Outcome, ReplyOutcome, Step
from vlsbench.files import canonical_json, sha256_hex

__all__ = [
    "Ask",
    "Call",
    "Chain",
    "ChatCall",
    "ImageCall",
    "Told",
    "Walk",
    "ask_for",
    "note_of",
    "run_chains",
    "seed_of",
]

RecordT = TypeVar("RecordT", bound=Outcome)
ReplyT = TypeVar("ReplyT", bound=Reply)


class ChatCall(NamedTuple):
    """A question to a model that chats."""

    item: str
    step: Step
    round: int
    attempt: int
    seed: int
    model: str
    """Name in the configuration: `default`, or the step's."""
    requested: str
    """As the endpoint knows it."""
    temperature: float
    rules: str
    ask: str
    prompt_sha256: str
    picture: Path | None = None
    picture_sha256: str | None = None

    @property
    def key(self) -> str:
        """SHA-256 of all that is asked; an image counts by its content."""
        said = self._asdict() | {"picture": None}
        return sha256_hex(canonical_json(said))


class ImageCall(NamedTuple):
    """An image that is wanted."""

    item: str
    step: Step
    round: int
    attempt: int
    seed: int
    model: str
    """Who makes it, as records name it."""
    prompt: str

    @property
    def key(self) -> str:
        """SHA-256 of all that is asked."""
        return sha256_hex(canonical_json(self._asdict()))


Call = ChatCall | ImageCall
Chain = Generator[Call, CallRecord, RecordT]
Ask = Callable[[Sequence[Call]], None]
"""Asks, and puts what comes into the journal; what does not come is not there afterwards."""


def seed_of(seed: int, item: str, step: str, round_: int, attempt: int) -> int:
    """Derive the seed of a call from that of the run: 31 bits.

    >>> seed_of(0, "e0001-q1", "rewrite", 1, 1) == seed_of(0, "e0001-q1", "rewrite", 1, 2)
    False
    """
    return int(sha256_hex(f"{seed}\0{item}\0{step}\0{round_}\0{attempt}")[:8], 16) >> 1


def note_of(record: CallRecord, outcome: ReplyOutcome | None = None) -> CallNote:
    """Leave the reply out of a call, for the record of an item.

    Args:
        outcome: What became of the reply where it was read; None is the journal's.
    """
    values: dict[str, Any] = record.model_dump(exclude={"item", "reply"})
    return CallNote(**values | ({} if outcome is None else {"outcome": outcome}))


class Told(NamedTuple, Generic[ReplyT]):
    """What came of a question that may have been asked more than once."""

    reply: ReplyT | None
    """None where no attempt gave a reply that can be used."""
    outcome: ReplyOutcome
    """Of the last attempt."""
    why: str | None = None
    """Rule that forbids what was replied."""


def ask_for(
    calls: Sequence[ChatCall], kind: type[ReplyT], notes: list[CallNote]
) -> Generator[Call, CallRecord, Told[ReplyT]]:
    """Ask until a reply can be used, and note every attempt.

    Args:
        calls: The attempts, at least one.
        kind: Shape of the reply.
        notes: What was called, in order; added to.
    """
    outcome: ReplyOutcome = "empty"
    for call in calls:
        record = yield call
        outcome = record.outcome
        if outcome == "answered":
            read = read_reply(record.reply or "", kind)
            if isinstance(read, Reply):
                notes.append(note_of(record))
                return Told(read, "answered")
            outcome = read
        notes.append(note_of(record, outcome))
        if outcome == "never_built":
            return Told(None, outcome, record.reply)
    return Told(None, outcome)


class Walk(NamedTuple):
    """How chains ended."""

    n_done: int
    unreached: tuple[str, ...]
    """Items whose chain waits for a reply that did not come; a rerun asks again."""


class _Open(NamedTuple):
    item: str
    chain: Chain[Any]
    call: Call


def run_chains(
    chains: Mapping[str, Chain[RecordT]],
    journal: Journal,
    ask: Ask,
    on_done: Callable[[Sequence[RecordT]], None],
    *,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Walk:
    """Run chains side by side to their ends.

    Args:
        chains: By item.
        journal: Of the replies.
        ask: Asks what the journal lacks.
        on_done: Told the records that are made, a step's at a time, in order of the chains.
        on_step: Told how many chains are done, of how many.

    Raises:
        VLSBenchError: What `ask` raises; records made before have been passed on.
    """
    n_done = 0
    unreached: list[str] = []
    waiting: list[_Open] = []
    fresh: list[tuple[str, Chain[RecordT], CallRecord | None]] = [(item, chain, None) for item, chain in chains.items()]
    while fresh:
        done: list[RecordT] = []
        for item, chain, reply in fresh:
            moved = _advance(item, chain, reply, journal)
            if isinstance(moved, _Open):
                waiting.append(moved)
            else:
                done.append(moved)
        n_done += len(done)
        if done:
            on_done(done)
        on_step(n_done, len(chains))
        if not waiting:
            break
        ask([one.call for one in waiting])
        fresh = []
        for item, chain, call in waiting:
            if call.key in journal:
                fresh.append((item, chain, journal.get(call.key)))
            else:
                unreached.append(item)
                chain.close()
        waiting = []
    return Walk(n_done, tuple(unreached))


def _advance(item: str, chain: Chain[RecordT], reply: CallRecord | None, journal: Journal) -> _Open | RecordT:
    """Move a chain on as far as replies are there."""
    try:
        call = next(chain) if reply is None else chain.send(reply)
        while (key := call.key) in journal:
            call = chain.send(journal.get(key))
    except StopIteration as end:
        record: RecordT = end.value
        return record
    return _Open(item, chain, call)
