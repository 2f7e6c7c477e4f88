"""What changed on the board: rows that came, went or were judged again, and the rank ranges that rows which came moved.

It is read from the histories of the submissions, which are only added to. They say when a row came and went; they do
not say what ranks it had then. So a move is counted again: the lists of today, without and with the rows that came on
a day, each with the verdicts that count today. What has left the board is in neither, and what it moved is not known.

Pure, but for `read_changes`. Leaves out what a page says of it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import urlencode
from xml.etree import ElementTree

from vlsbench.board.counted import OVERALL, View
from vlsbench.board.lists import BoardList, find_lists
from vlsbench.errors import SubmissionError, printable
from vlsbench.records import Record
from vlsbench.store.desk import read_card
from vlsbench.store.history import (
    HISTORY_FOLDER,
    Accepted,
    Entry,
    Event,
    Judged,
    Published,
    Rejected,
    Withdrawn,
    read_history,
)
from vlsbench.store.local import StoredSubmission, is_managed, list_submissions
from vlsbench.taxonomy import CATEGORY_NAMES

__all__ = [
    "KINDS",
    "BoardChange",
    "ChangeKind",
    "Known",
    "RankMove",
    "changes_of",
    "days_in",
    "rank_moves",
    "read_changes",
    "render_atom",
]

ChangeKind = Literal["in", "another judge", "judged again", "out", "back"]

KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
"""A row came: judged, and accepted by a maintainer; was judged by another judge, or by the same again; left; came back.

What nobody has accepted is none, or who sends much would fill the page."""


class BoardChange(Record):
    """One change of the board."""

    when: str
    """UTC, `2026-01-31T12:00:00Z`."""
    kind: ChangeKind
    submission: str
    model: str | None
    """Null where its card cannot be read any more."""
    rubric: str | None
    """The judge that it is about; null where it is about the row under every judge."""
    what: str
    """In words."""
    event: str
    """Name of the file that records it, unique within the submission."""


class RankMove(Record):
    """A rank range that is another one since rows came in on a day."""

    day: str
    scope: str
    rubric: str
    judge: str
    submission: str
    model: str
    before: tuple[int, int]
    after: tuple[int, int]
    because: tuple[str, ...]
    """Models that came in on that day, in this list."""


class _Standing:
    """What the events so far have made of a row."""

    def __init__(self) -> None:
        self.verdicts: dict[str, str] = {}
        self.published: set[str] = set()
        self.is_accepted = self.was_in = self.is_out = False

    def take(self, event: Event) -> tuple[ChangeKind, str | None, str] | None:
        """Take an event, and say what it changes on the board: the kind, the rubric, and words; None for nothing."""
        match event:
            case Judged():
                is_new = self.verdicts.get(event.rubric_id) != event.sha256
                self.verdicts[event.rubric_id] = event.sha256
                if is_new and self._is_on and event.rubric_id in self.published:
                    return "judged again", event.rubric_id, f"new verdicts of {event.rubric_id}"
            case Published():
                is_new = event.rubric_id not in self.published
                self.published.add(event.rubric_id)
                if is_new and self._is_on:
                    return "another judge", event.rubric_id, f"also judged by {event.rubric_id}"
                return self._come()
            case Accepted():
                self.is_accepted = True
                return self._come()
            case Withdrawn():
                return self._leave("withdrawn" + (f": {event.reason}" if event.reason else ""))
            case Rejected():
                return self._leave(f"rejected: {'; '.join(event.reasons)}")
        return None

    @property
    def _is_on(self) -> bool:
        return self.was_in and not self.is_out

    def _come(self) -> tuple[ChangeKind, str | None, str] | None:
        if self._is_on or not (self.is_accepted and self.published):
            return None
        kind: ChangeKind = "back" if self.was_in else "in"
        self.was_in, self.is_out = True, False
        return kind, None, f"judged by {', '.join(sorted(self.published))}"

    def _leave(self, what: str) -> tuple[ChangeKind, str | None, str] | None:
        self.is_accepted = False
        if not self._is_on:
            return None
        self.is_out = True
        return "out", None, what


def changes_of(submission: str, model: str | None, entries: Iterable[Entry]) -> list[BoardChange]:
    """Tell what a history changed on the board, oldest first; what happens before a row is on it changes nothing.

    Args:
        submission: Its id.
        model: Of its card.
        entries: In the order that counts, as `read_history` returns them.
    """
    standing = _Standing()
    taken = [(entry, standing.take(entry.event)) for entry in entries]
    return [
        BoardChange(
            when=entry.event.when,
            kind=change[0],
            submission=submission,
            model=model,
            rubric=change[1],
            what=printable(change[2]),
            event=entry.name,
        )
        for entry, change in taken
        if change is not None
    ]


Known = dict[str, tuple[tuple[str, ...], list[BoardChange]]]
"""The changes of every submission, with the names of the events that they were read from."""


def read_changes(store: Path, known: Known | None = None) -> list[BoardChange]:
    """Read the changes of a store, newest first; a history that cannot be read is passed over, as the queue names it.

    Args:
        store: A folder with one directory per submission.
        known: What was read before. An event's name holds the digest of what it says, so that only what is new is read;
            it is filled with what there is.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    before = {} if known is None else dict(known)
    after: Known = {}
    for item in list_submissions(store):
        names = _event_names(item.directory)
        found = before.get(item.submission_id)
        if found is None or found[0] != names:
            found = names, _changes_in(item)
        after[item.submission_id] = found
    if known is not None:
        known.clear()
        known.update(after)
    every = [change for _, changes in after.values() for change in changes]
    return sorted(every, key=lambda change: (change.when, change.submission, change.event), reverse=True)


def _event_names(directory: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in os.scandir(directory / HISTORY_FOLDER)))
    except OSError:
        return ()


def _changes_in(item: StoredSubmission) -> list[BoardChange]:
    if not is_managed(item):
        return []
    try:
        entries = read_history(item.directory)
    except SubmissionError:
        return []
    card = read_card(item.directory)
    return changes_of(item.submission_id, None if card is None else card.model, entries)


def days_in(changes: Iterable[BoardChange]) -> dict[str, str]:
    """Return the day on which each row came in, or came back last, by submission."""
    days: dict[str, str] = {}
    for change in changes:
        if change.kind in ("in", "back"):
            days[change.submission] = max(days.get(change.submission, ""), change.when[:10])
    return days


def rank_moves(view: View, days: Mapping[str, str], day: str) -> list[RankMove]:
    """Compare the rank ranges without and with the rows that came in on a day, those of later days left out.

    It ranks every list twice, which takes long where lists are.

    Args:
        view: What is counted today.
        days: Of `days_in`; a submission that is not there was always there.
        day: The day.

    Returns:
        Moves of rows that were there before, list by list, in the order of the board: over all categories, or of the
        first category that has a list where nothing answers all of them.
    """
    after = _until(view, days, lambda other: other <= day)
    before = _until(view, days, lambda other: other < day)
    came = after.submissions.keys() - before.submissions.keys()
    if not came:
        return []
    found = ([item for item in find_lists(after, scope) if item.rows] for scope in (OVERALL, *CATEGORY_NAMES))
    lists = next(filter(None, found), [])
    scope = lists[0].scope if lists else OVERALL
    known = {_key(item): {row.submission: row.rank_range for row in item.rows} for item in find_lists(before, scope)}
    return [
        RankMove(
            day=day,
            scope=scope,
            rubric=item.rubric,
            judge=item.judge,
            submission=row.submission,
            model=row.model,
            before=was,
            after=row.rank_range,
            because=because,
        )
        for item in lists
        if (because := tuple(row.model for row in item.rows if row.submission in came and row.rank is not None))
        for row in item.rows
        if (was := known.get(_key(item), {}).get(row.submission)) is not None
        and row.rank_range is not None
        and was != row.rank_range
    ]


def _until(view: View, days: Mapping[str, str], is_there: Callable[[str], bool]) -> View:
    kept = {name: found for name, found in view.submissions.items() if name not in days or is_there(days[name])}
    return View(kept, view.flags)


def _key(item: BoardList) -> tuple[str, str, int | None, bool]:
    return item.rubric, item.digest, item.max_new_tokens, item.is_judged_elsewhere


_ATOM: Final = "http://www.w3.org/2005/Atom"

_N_ENTRIES: Final = 100
"""Of a feed: a reader looks daily, and no day of a board has more."""

_NEVER: Final = "1970-01-01T00:00:00Z"
"""Atom asks for a moment of the last change; where there was none, no entry is older."""


def render_atom(changes: Sequence[BoardChange]) -> str:
    """Render the latest changes as an Atom feed, whose links are relative to where it lies: `download/` of a board.

    Args:
        changes: Newest first.
    """
    ElementTree.register_namespace("", _ATOM)
    feed = ElementTree.Element(f"{{{_ATOM}}}feed")
    _add(feed, "id", uuid.uuid5(uuid.NAMESPACE_URL, "vlsbench:changes").urn)
    _add(feed, "title", "VLSBench leaderboard: what changed")
    _add(feed, "updated", changes[0].when if changes else _NEVER)
    ElementTree.SubElement(feed, f"{{{_ATOM}}}link", href="../?tab=changes")
    ElementTree.SubElement(feed, f"{{{_ATOM}}}link", rel="self", href="changes.atom")
    _add(ElementTree.SubElement(feed, f"{{{_ATOM}}}author"), "name", "VLSBench leaderboard")
    for change in changes[:_N_ENTRIES]:
        entry = ElementTree.SubElement(feed, f"{{{_ATOM}}}entry")
        name = printable(change.model or change.submission)
        _add(entry, "id", uuid.uuid5(uuid.NAMESPACE_URL, f"vlsbench:{change.submission}/{change.event}").urn)
        _add(entry, "title", f"{name}: {change.kind}")
        _add(entry, "updated", change.when)
        _add(entry, "summary", change.what)
        ElementTree.SubElement(
            entry, f"{{{_ATOM}}}link", href=f"../?{urlencode({'model': change.submission})}", rel="alternate"
        )
    ElementTree.indent(feed)
    text: str = ElementTree.tostring(feed, encoding="unicode", xml_declaration=False)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, f"{{{_ATOM}}}{name}").text = text
