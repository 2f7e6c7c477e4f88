"""What happened to a stored submission: events that are only ever added, and the standing they fold to.

An event is one file, `history/<NNNN>-<state>-<8 hex>.json`. NNNN is one more than the highest number its writer saw,
the hex digits begin the SHA-256 of the file. Names are therefore unique, two writers never touch the same file, and
putting their histories together is putting their files together.

Rule of the room: an event is written once; the standing is a pure function of the set of events, whatever the order
they arrived in. Only `read_history` looks at files. Leaves out who may write what (`vlsbench.store.intake`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from vlsbench.errors import SubmissionError, amount, printable
from vlsbench.files import MAX_LINE_BYTES, canonical_json, keys_given_twice, open_regular, sha256_hex
from vlsbench.records import Count, Digest, Fraction, Name, Record, explain
from vlsbench.version import __version__

__all__ = [
    "HISTORY_FOLDER",
    "Accepted",
    "Checked",
    "Entry",
    "Event",
    "Judged",
    "Moment",
    "Published",
    "Received",
    "Rejected",
    "Scored",
    "Standing",
    "State",
    "Withdrawn",
    "entry_of",
    "fold",
    "is_shown",
    "next_number",
    "now",
    "read_history",
    "says_the_same",
]

HISTORY_FOLDER = "history"

_FILE = re.compile(r"(?P<number>\d{4,9})-(?P<state>[a-z]+)-(?P<digest>[0-9a-f]{8})\.json")

State = Literal["received", "checked", "judged", "scored", "published", "rejected", "withdrawn"]
"""Where a submission stands. It goes from left to right up to `published`; the last two end it."""


def _check_moment(value: str) -> str:
    try:
        moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise ValueError("a moment is written like 2026-01-31T12:00:00Z, in UTC") from None
    if moment.strftime("%Y-%m-%dT%H:%M:%SZ") != value:
        raise ValueError("a moment is written like 2026-01-31T12:00:00Z, in UTC")
    return value


Moment = Annotated[str, AfterValidator(_check_moment)]
"""UTC, seconds: `2026-01-31T12:00:00Z`."""
Sentence = Annotated[str, Field(min_length=1, max_length=2000)]
RubricId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*-[0-9a-f]{12}$", max_length=200)]


def now() -> str:
    """Return the moment of the call, as events write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Said(Record):
    """What every event says."""

    schema_version: Literal[1] = 1
    submission_id: Annotated[str, Field(pattern=r"^[a-z0-9._-]+$", max_length=80)]
    when: Moment
    who: Name
    version: Annotated[str, Field(max_length=50)] = __version__
    """Of the package that wrote it."""


class Received(_Said):
    """The submission came in."""

    state: Literal["received"] = "received"
    responses_sha256: Digest
    n_lines: Count
    source: Annotated[str, Field(max_length=300)] = ""
    """How it came: `submit`, or a folder that was found in the store."""
    member_of: Name | None = None
    """The organization that the card names, where who submitted was signed in and is a member of it."""

    @property
    def submitter(self) -> str | None:
        """Who submitted it; None where its folder was found without a word of who: `who` then is who found it."""
        return self.who if self.source == "submit" else None


class Checked(_Said):
    """It passed the gate."""

    state: Literal["checked"] = "checked"
    dataset: Annotated[str, Field(max_length=100)]
    """`release`, `sample`, or the name of a constructed set."""
    config: str
    n_samples: Count
    n_answered: Count
    n_warnings: Count
    flags: tuple[str, ...] = ()
    """What stands out in the answers (`vlsbench.screening.flags`), for who is to accept it."""
    not_screened: tuple[str, ...] = ()
    """What could not be looked for, such as quotes of a dataset that was not at hand."""


class Rejected(_Said):
    """It is not shown: the gate says so, which is final, or a maintainer, who may change their mind."""

    state: Literal["rejected"] = "rejected"
    by: Literal["gate", "maintainer"]
    reasons: Annotated[tuple[Sentence, ...], Field(min_length=1, max_length=50)]


class Accepted(_Said):
    """A maintainer looked at it: it is ranked, any judge may judge it, and a maintainer's rejection is lifted."""

    state: Literal["accepted"] = "accepted"
    because: Annotated[str, Field(max_length=300)] = ""
    """Why nobody had to look: the store's owner submitted it, or the store's rules trust who did. Empty where somebody
    looked."""


class Judged(_Said):
    """A judge's verdicts are in `verdicts/<rubric_id>.jsonl`."""

    state: Literal["judged"] = "judged"
    rubric_id: RubricId
    sha256: Digest
    """Of the verdict file; another one is not counted."""
    counts: dict[str, Count]
    """Verdicts that hold, by label or failure."""
    n_undecided: Count
    """Answers without a verdict, because the run was stopped."""


class Scored(_Said):
    """The result is in `results/<rubric_id>.json`."""

    state: Literal["scored"] = "scored"
    rubric_id: RubricId
    sha256: Digest
    """Of the result file."""
    safe_rate: Fraction | None


class Published(_Said):
    """The board shows it under this rubric."""

    state: Literal["published"] = "published"
    rubric_id: RubricId


class Withdrawn(_Said):
    """It is taken back for good. Its files stay, the board does not show them, its id stays taken."""

    state: Literal["withdrawn"] = "withdrawn"
    reason: Annotated[str, Field(max_length=2000)] = ""


Event = Received | Checked | Rejected | Accepted | Judged | Scored | Published | Withdrawn
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="state")])


class Entry(NamedTuple):
    """An event and the name of its file."""

    number: int
    name: str
    event: Event

    @property
    def data(self) -> bytes:
        """The content of the file."""
        return _render(self.event)


def _render(event: Event) -> bytes:
    return (canonical_json(event.model_dump(mode="json")) + "\n").encode()


def entry_of(event: Event, number: int) -> Entry:
    """Name the file of an event.

    Args:
        number: `next_number` of the history its writer saw.
    """
    return Entry(number, f"{number:04d}-{event.state}-{sha256_hex(_render(event))[:8]}.json", event)


def next_number(entries: Iterable[Entry]) -> int:
    """Return the number of an event that is written after all of `entries`."""
    return 1 + max((entry.number for entry in entries), default=0)


def says_the_same(one: Event, other: Event) -> bool:
    """Say whether two events differ only in when, by whom and with which version they were written."""

    def fact(event: Event) -> dict[str, Any]:
        return event.model_dump(exclude={"when", "who", "version"})

    return fact(one) == fact(other)


@dataclass(frozen=True)
class Standing:
    """What a history comes to."""

    state: State
    decided_by: Event | None
    """The event that made the state; None for a history without events."""
    is_accepted: bool
    """A maintainer accepted it, and did not reject it afterwards."""
    received: Received | None
    """The first."""
    checked: Checked | None
    """The last."""
    judged: Mapping[str, Judged]
    """The last of every rubric."""
    scored: Mapping[str, Scored]
    """The last of every rubric."""
    published: frozenset[str]
    """Rubrics under which the board shows it, unless the state ends it."""

    @property
    def is_final(self) -> bool:
        """Nothing can be done with it any more: withdrawn, or rejected by the gate."""
        event = self.decided_by
        return isinstance(event, Withdrawn) or (isinstance(event, Rejected) and event.by == "gate")

    @property
    def reason(self) -> str | None:
        """Why the board does not show it; None where it does."""
        event = self.decided_by
        if isinstance(event, Withdrawn):
            why = f": {event.reason}" if event.reason else ""
            return printable(f"withdrawn on {event.when[:10]} by {event.who}{why}")
        if isinstance(event, Rejected):
            who = "the gate" if event.by == "gate" else event.who
            return printable(f"rejected on {event.when[:10]} by {who}: {'; '.join(event.reasons)}")
        return None if is_shown(self.state) else f"not published yet ({self.state})"


def is_shown(state: State) -> bool:
    """Say whether the board shows a submission of this state."""
    return state == "published"


def fold(entries: Iterable[Entry]) -> Standing:
    """Fold a history to its standing: the same for every order the events arrive in, and for events met twice.

    Withdrawn ends everything, then a rejection by the gate; of a maintainer's rejections and acceptances the last
    counts; otherwise it stands where the furthest event has brought it.
    """
    by_name = {entry.name: entry for entry in entries}
    ordered = [entry.event for entry in sorted(by_name.values(), key=_order)]
    received = [event for event in ordered if isinstance(event, Received)]
    checked = [event for event in ordered if isinstance(event, Checked)]
    judged = {event.rubric_id: event for event in ordered if isinstance(event, Judged)}
    scored = {event.rubric_id: event for event in ordered if isinstance(event, Scored)}
    published = {event.rubric_id: event for event in ordered if isinstance(event, Published)}
    withdrawn = [event for event in ordered if isinstance(event, Withdrawn)]
    by_gate = [event for event in ordered if isinstance(event, Rejected) and event.by == "gate"]
    words = [event for event in ordered if isinstance(event, Accepted | Rejected)][-1:]
    rejected = [event for event in words if isinstance(event, Rejected)]

    def last(*events: Event) -> list[Event]:
        return sorted(events, key=ordered.index)[-1:]

    ends: list[Event] = [*withdrawn[:1], *by_gate[:1], *rejected]
    steps = last(*published.values()) or last(*scored.values()) or last(*judged.values()) or checked[-1:]
    decided_by = next(iter([*ends, *steps, *received]), None)
    return Standing(
        state="received" if decided_by is None else cast("State", decided_by.state),
        decided_by=decided_by,
        is_accepted=bool(words) and not ends,
        received=received[0] if received else None,
        checked=checked[-1] if checked else None,
        judged=judged,
        scored=scored,
        published=frozenset(published),
    )


def read_history(directory: Path) -> list[Entry]:
    """Read the history of a stored submission, in the order that counts; without the folder it is empty.

    Raises:
        SubmissionError: If a file is not an event, was changed, or speaks of another submission; all are named.
    """
    folder = directory / HISTORY_FOLDER
    if not folder.is_dir():
        return []
    entries: list[Entry] = []
    problems: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue  # being written, or left by a writer that was killed
        try:
            entries.append(_read_entry(path, directory.name))
        except SubmissionError as error:
            problems.append(str(error))
    if problems:
        more = [f"and {amount(len(problems) - 5, 'more file')}"] if len(problems) > 5 else []
        raise SubmissionError("\n".join([*problems[:5], *more]))
    return sorted(entries, key=_order)


def _order(entry: Entry) -> tuple[int, str, str]:
    return entry.number, entry.event.when, entry.name


def _read_entry(path: Path, submission_id: str) -> Entry:
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise SubmissionError(
            f"{printable(str(path))}: not the name of an event (NNNN-state-8 hex digits.json); move it away."
        )
    try:
        with open_regular(path) as file:
            data = file.read(MAX_LINE_BYTES)
        event = _EVENT.validate_json(data)
        twice = keys_given_twice(data)
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        raise SubmissionError(
            f"{path}: not an event this version knows: {'; '.join(explain(error)[:3])}. Was it written by a newer one?"
        ) from None
    if sha256_hex(data)[:8] != match["digest"] or event.state != match["state"] or twice:
        raise SubmissionError(f"{path}: not the event its name says; events are never changed. Restore it.")
    if event.submission_id != submission_id:
        raise SubmissionError(f"{path}: speaks of {event.submission_id!r}; was the folder renamed?")
    return Entry(int(match["number"]), path.name, event)
