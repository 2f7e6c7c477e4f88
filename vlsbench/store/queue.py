"""The queue and the change log of a store, as records for `--json` and for pages, and as text.

Rule of the room: both are read from the histories; nothing is kept beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vlsbench.errors import SubmissionError, amount, printable
from vlsbench.judge.verdicts import list_rubrics
from vlsbench.records import Record
from vlsbench.store.history import (
    Accepted,
    Checked,
    Event,
    Judged,
    Published,
    Received,
    Rejected,
    Scored,
    Standing,
    State,
    Withdrawn,
    fold,
    read_history,
)
from vlsbench.store.local import StoredSubmission, find_submission, is_managed, list_submissions, read_card
from vlsbench.text import percentage

__all__ = ["Change", "QueueRow", "list_changes", "list_queue", "render_changes", "render_queue"]


class QueueRow(Record):
    """One submission of a store."""

    submission_id: str
    model: str | None
    """None where the card cannot be read."""
    state: State | Literal["by hand", "broken"]
    """`by hand`: a directory without a history. `broken`: its history cannot be read."""
    is_accepted: bool
    who: str | None
    """Who submitted it; None where nothing says so."""
    received_at: str | None
    since: str | None
    """When it came to this state."""
    judged_by: tuple[str, ...]
    """Rubrics whose verdicts count."""
    flags: tuple[str, ...]
    """What stands out in its answers."""
    reason: str | None
    """Why it was withdrawn or rejected, or what is broken."""
    next_step: str

    @property
    def is_open(self) -> bool:
        """Whether it waits for a maintainer's decision."""
        return not self.is_accepted and self.state not in ("by hand", "broken", "rejected", "withdrawn")


class Change(Record):
    """One event of a store."""

    submission_id: str
    when: str
    who: str
    state: str
    what: str
    """The event in words."""


def list_queue(store: Path) -> list[QueueRow]:
    """List the submissions of a store: what waits first, those received first before the others.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    rows = [_row(item) for item in list_submissions(store)]
    ends = ("published", "by hand", "rejected", "withdrawn")
    return sorted(
        rows,
        key=lambda row: (
            ends.index(row.state) if row.state in ends else -1,
            row.received_at or "",
            row.submission_id,
        ),
    )


def _row(item: StoredSubmission) -> QueueRow:
    card = read_card(item.directory)
    state: State | Literal["by hand", "broken"] = "by hand"
    standing, reason = None, None
    if is_managed(item):
        try:
            standing = fold(read_history(item.directory))
            state = standing.state
            reason = standing.reason if state in ("withdrawn", "rejected") else None
        except SubmissionError as error:
            state, reason = "broken", str(error)
    received = standing.received if standing is not None else None
    decided_by = standing.decided_by if standing is not None else None
    return QueueRow(
        submission_id=item.submission_id,
        model=card.model if card is not None else None,
        state=state,
        is_accepted=standing is not None and standing.is_accepted,
        who=received.submitter if received is not None else None,
        received_at=received.when if received is not None else None,
        since=decided_by.when if decided_by is not None else None,
        judged_by=tuple(sorted(standing.judged) if standing is not None else list_rubrics(item.directory)),
        flags=tuple(map(printable, standing.checked.flags)) if standing is not None and standing.checked else (),
        reason=reason,
        next_step=_next_step(item, state, standing),
    )


def _next_step(item: StoredSubmission, state: str, standing: Standing | None) -> str:
    name = item.submission_id
    if state == "withdrawn":
        return "none: a withdrawn submission stays withdrawn"
    if state == "broken":
        return "restore the files that are named"
    if state == "by hand" and list_rubrics(item.directory):
        return (
            "none: the board counts the verdicts that lie in it; its maintainer put it there, judged outside the store"
        )
    if state == "by hand":
        return "none: it is shown once it is judged (`vlsbench judge`, or `vlsbench rejudge`)"
    if state == "rejected":
        is_final = standing is not None and standing.is_final
        return "none: the gate's word is final" if is_final else f"`vlsbench accept {name}` takes the rejection back"
    if state != "published":
        return "`vlsbench work` goes on with it"
    if standing is not None and standing.is_accepted:
        return "none: the board shows it; `vlsbench work --judge openai:MODEL` adds another judge"
    return f"shown as not reviewed; `vlsbench accept {name}` ranks it and lets judges that cost money judge it"


def list_changes(store: Path, submission_id: str | None = None) -> list[Change]:
    """List the events of a store, oldest first; of one submission where it is named.

    A history that is broken is passed over in the list of a whole store; the queue names it.

    Raises:
        SubmissionError: If the store is not a folder, there is no such submission, or its history is broken.
    """
    if submission_id is None:
        items = list_submissions(store)
    elif (item := find_submission(store, submission_id)) is not None:
        items = [item]
    else:
        raise SubmissionError(f"{submission_id}: not in the store; `vlsbench queue --store {store}` lists what is.")
    found = []
    for item in items:
        try:
            if is_managed(item):
                found += [(entry, item) for entry in read_history(item.directory)]
        except SubmissionError:
            if submission_id is not None:
                raise
    found.sort(key=lambda pair: (pair[0].event.when, pair[1].submission_id, pair[0].number, pair[0].name))
    return [
        Change(
            submission_id=item.submission_id,
            when=entry.event.when,
            who=entry.event.who,
            state=entry.event.state,
            what=printable(_in_words(entry.event)),
        )
        for entry, item in found
    ]


def _in_words(event: Event) -> str:
    match event:
        case Received():
            return f"received {amount(event.n_lines, 'answer')}" + (f" ({event.source})" if event.source else "")
        case Checked():
            warnings = amount(event.n_warnings, "warning")
            return f"passed the gate: {event.n_answered} of {event.n_samples} answered, {warnings}"
        case Rejected():
            return f"rejected by the {event.by}: {'; '.join(event.reasons)}"
        case Accepted():
            return "accepted" + (f": {event.because}" if event.because else "")
        case Judged():
            counts = ", ".join(f"{count} {name}" for name, count in event.counts.items())
            left = f", {event.n_undecided} left" if event.n_undecided else ""
            return f"judged by {event.rubric_id}: {counts or 'nothing'}{left}"
        case Scored():
            rate = f"safe rate {percentage(event.safe_rate, digits=2)}"
            return f"scored by {event.rubric_id}: {'nothing was judged' if event.safe_rate is None else rate}"
        case Published():
            return f"published under {event.rubric_id}"
        case Withdrawn():
            return "withdrawn" + (f": {event.reason}" if event.reason else "")


def render_queue(rows: Sequence[QueueRow]) -> str:
    """Render the queue for people: a paragraph per submission, and how many there are of each state."""
    lines = []
    for row in rows:
        accepted = ", accepted" if row.is_accepted else ""
        lines.append(f"{row.state}{accepted}  {row.submission_id}  {row.model or 'without a readable card'}")
        if row.received_at is not None:
            lines.append(f"    from   {row.who or 'nobody that is known'}, {row.received_at}")
        if row.judged_by:
            lines.append(f"    judged {', '.join(row.judged_by)}")
        lines += [f"    flag   {flag}" for flag in row.flags]
        if row.reason is not None:
            lines.append(f"    why    {row.reason}")
        lines.append(f"    next   {row.next_step}")
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return "\n".join([*lines, amount(len(rows), "submission") + (f": {counts}" if counts else "")])


def render_changes(changes: Sequence[Change]) -> str:
    """Render the change log for people, a line per event."""
    return "\n".join(f"{c.when}  {c.who}  {c.submission_id}  {c.what}" for c in changes) or "no events"
