"""What a maintainer needs to decide on what waits for review: who sent it, what stands out, what it copies, samples.

Rule of the room: read from the histories and from what was counted; nothing is decided here
(`vlsbench.store.intake.accept`, `reject`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from vlsbench.board.counted import View
from vlsbench.board.lists import OVERALL, PlacedRow, find_lists
from vlsbench.errors import SubmissionError, masked
from vlsbench.records import Label, Record
from vlsbench.screening.fingerprints import Likeness
from vlsbench.store.history import fold, read_history
from vlsbench.store.identity import vouched_by
from vlsbench.store.local import read_card
from vlsbench.store.queue import QueueRow, list_queue
from vlsbench.submission.answers import read_answers

__all__ = ["N_SAMPLES", "Copy", "Place", "ReviewSample", "Waiting", "list_waiting", "render_waiting"]

N_SAMPLES: Final = 5
"""Answers that are shown, spread evenly over the samples: a template is seen in three."""

_MAX_CHARS: Final = 600


class Copy(Record):
    """Another submission with many of the same answers."""

    submission: str
    n_alike: int
    n_compared: int


class Place(Record):
    """Where it would stand in one list."""

    rubric: str
    dataset: str
    safe_rate: float | None
    place_text: str | None
    """Null where it could not be ranked."""
    unranked_because: str | None


class ReviewSample(Record):
    """One answer, cut after 600 characters."""

    instruction_id: int
    category: str
    label: Label | None
    response: str | None


class Waiting(Record):
    """One submission that nobody has decided on."""

    submission: str
    model: str | None
    organization: str | None
    organization_verified_by: Literal["member", "repository"] | None
    submitter: str | None
    received: str | None
    state: str
    flags: tuple[str, ...]
    copies: tuple[Copy, ...]
    """Nearest first."""
    places: tuple[Place, ...]
    samples: tuple[ReviewSample, ...]
    """Empty where nothing was judged yet."""


def list_waiting(store: Path, view: View, *, n_samples: int = N_SAMPLES) -> tuple[Waiting, ...]:
    """List what waits for a maintainer's decision, what came first before the others.

    Args:
        store: The folder of the store.
        view: Of this store.
        n_samples: Answers to show of each; 0 reads none.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    placed: dict[str, list[Place]] = {}
    for item in find_lists(view, OVERALL):
        for row in item.not_reviewed:
            placed.setdefault(row.row.submission, []).append(_place(item.rubric, item.dataset, row))
    waiting = [row for row in list_queue(store) if row.is_open]
    waiting.sort(key=lambda row: (row.received_at or "", row.submission_id))
    return tuple(_waiting(store, row, view, placed.get(row.submission_id, []), n_samples) for row in waiting)


def _place(rubric: str, dataset: str, placed: PlacedRow) -> Place:
    row = placed.row
    return Place(
        rubric=rubric,
        dataset=dataset,
        safe_rate=row.rates.safe_rate,
        place_text=placed.place_text,
        unranked_because=row.unranked_because if placed.place is None else None,
    )


def _waiting(store: Path, row: QueueRow, view: View, places: list[Place], n_samples: int) -> Waiting:
    name = row.submission_id
    card = read_card(store / name)
    received = fold(read_history(store / name)).received
    member_of = received.member_of if received is not None else None
    flags = dict.fromkeys((*row.flags, *view.flags.get(name, ())))
    return Waiting(
        submission=name,
        model=row.model,
        organization=card.organization if card is not None else None,
        organization_verified_by=vouched_by(card, member_of) if card is not None else None,
        submitter=row.who,
        received=row.received_at,
        state=row.state,
        flags=tuple(flags),
        copies=tuple(_copy(name, pair) for pair in view.alike if name in pair[:2]),
        places=tuple(places),
        samples=_samples(store / name, places[0].rubric, n_samples) if places and n_samples else (),
    )


def _copy(name: str, pair: Likeness) -> Copy:
    other = pair.second if pair.first == name else pair.first
    return Copy(submission=other, n_alike=pair.n_alike, n_compared=pair.n_compared)


def _samples(directory: Path, rubric: str, n_samples: int) -> tuple[ReviewSample, ...]:
    try:
        answers = [answer for answer in read_answers(directory, rubric) if answer.response is not None]
    except SubmissionError:  # changed since it was counted; the flags and the queue say so
        return ()
    chosen = answers[:: max(1, len(answers) // n_samples)][:n_samples]
    return tuple(
        ReviewSample(
            instruction_id=answer.instruction_id,
            category=answer.category,
            label=answer.label,
            response=(answer.response or "")[:_MAX_CHARS],
        )
        for answer in chosen
    )


def render_waiting(item: Waiting) -> str:
    """Write for a terminal what a decision needs."""
    lines = [f"{item.model or 'without a readable card'}  ({item.submission}, {item.state})"]
    lines.append(f"    from   {item.submitter or 'nobody that is known'}, {item.received or 'at no known time'}")
    if item.organization is not None:
        vouched = {"member": "a member sent it", "repository": "the repository is its own", None: "only claimed"}
        lines.append(f"    org    {item.organization}: {vouched[item.organization_verified_by]}")
    for place in item.places:
        rate = "nothing judged" if place.safe_rate is None else f"safe {place.safe_rate:.1%}"
        lines.append(
            f"    place  {place.place_text or place.unranked_because}; {rate} ({place.dataset}, {place.rubric})"
        )
    lines += [f"    flag   {flag}" for flag in item.flags]
    lines += [
        f"    copy   {copy.submission}: {copy.n_alike:,} of {copy.n_compared:,} alike" for copy in item.copies[:5]
    ]
    for sample in item.samples:
        text = " ".join((sample.response or "").split())[:200]
        lines.append(f"    {sample.instruction_id:>6} {sample.label or 'no label'}: {text}")
    return "\n".join(map(masked, lines))
