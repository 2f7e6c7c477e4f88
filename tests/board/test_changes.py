"""What changed on the board: told from histories, counted again for rank ranges, and read by a reader of feeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from vlsbench.board import changes
from vlsbench.board.changes import BoardChange, changes_of, days_in, rank_moves, read_changes, render_atom
from vlsbench.board.counted import View
from vlsbench.board.lists import BoardList
from vlsbench.errors import SubmissionError
from vlsbench.store.history import (
    Accepted,
    Checked,
    Entry,
    Event,
    Judged,
    Published,
    Received,
    Rejected,
    Withdrawn,
    entry_of,
)

NAME = "m-000000000000"
JUDGE, OTHER = "judge-v1-000000000000", "other-v1-000000000000"


def _event(made: type[Any], day: int, **fields: Any) -> Event:
    return made(submission_id=NAME, when=f"2026-01-{day:02d}T12:00:00Z", who="ann", **fields)  # type: ignore[no-any-return]


def _judged(day: int, rubric: str = JUDGE, sha256: str = "a" * 64) -> Event:
    return _event(Judged, day, rubric_id=rubric, sha256=sha256, counts={}, n_undecided=0)


def _published(day: int, rubric: str = JUDGE) -> Event:
    return _event(Published, day, rubric_id=rubric)


def _accepted(day: int) -> Event:
    return _event(Accepted, day)


def _rejected(day: int) -> Event:
    return _event(Rejected, day, by="maintainer", reasons=("a copy",))


RECEIVED = _event(Received, 1, responses_sha256="b" * 64, n_lines=1)
CHECKED = _event(Checked, 1, dataset="release", config="default", n_samples=1, n_answered=1, n_warnings=0)
WITHDRAWN = _event(Withdrawn, 9, reason="another checkpoint")


def _entries(events: list[Event]) -> list[Entry]:
    return [entry_of(event, number) for number, event in enumerate(events, start=1)]


HISTORIES: tuple[tuple[str, list[Event], list[tuple[int, str]]], ...] = (
    ("received only", [RECEIVED, CHECKED], []),
    ("shown, and never accepted", [RECEIVED, _judged(2), _published(2)], []),
    ("accepted, then shown", [RECEIVED, _accepted(2), _judged(3), _published(3)], [(3, "in")]),
    ("shown, then accepted", [RECEIVED, _judged(2), _published(2), _accepted(5)], [(5, "in")]),
    ("withdrawn before it was in", [RECEIVED, _judged(2), _published(2), WITHDRAWN], []),
    ("in and out", [_accepted(1), _judged(2), _published(2), WITHDRAWN], [(2, "in"), (9, "out")]),
    (
        "out and back",
        [_accepted(1), _judged(2), _published(2), _rejected(4), _accepted(6)],
        [(2, "in"), (4, "out"), (6, "back")],
    ),
    (
        "another judge",
        [_accepted(1), _judged(2), _published(2), _judged(3, OTHER), _published(3, OTHER)],
        [(2, "in"), (3, "another judge")],
    ),
    (
        "judged again with other verdicts",
        [_accepted(1), _judged(2), _published(2), _judged(4, sha256="c" * 64), _published(4)],
        [(2, "in"), (4, "judged again")],
    ),
    ("judged again with the same", [_accepted(1), _judged(2), _published(2), _judged(4), _published(4)], [(2, "in")]),
    (
        "judged while it is out",
        [_accepted(1), _judged(2), _published(2), _rejected(3), _judged(4, sha256="c" * 64)],
        [(2, "in"), (3, "out")],
    ),
)


@pytest.mark.parametrize(("events", "expected"), [h[1:] for h in HISTORIES], ids=[h[0] for h in HISTORIES])
def test_a_history_tells_when_a_row_came_and_went(events: list[Event], expected: list[tuple[int, str]]) -> None:
    found = changes_of("m-0", "Model", _entries(events))
    assert [(int(change.when[8:10]), change.kind) for change in found] == expected


def test_a_row_counts_from_the_day_it_came_in_last() -> None:
    events = [_accepted(1), _judged(2), _published(2), _rejected(4), _accepted(6)]
    assert days_in(changes_of("m-0", "Model", _entries(events))) == {"m-0": "2026-01-06"}


def test_a_store_is_read_newest_first_and_a_broken_history_is_passed_over(tmp_path: Path) -> None:
    for name in (NAME, "n-000000000000"):
        folder = tmp_path / name
        (folder / "history").mkdir(parents=True)
        (folder / "submission.json").write_text('{"model": "Model"}')
        (folder / "responses.jsonl").write_text("")
    for entry in _entries([_accepted(1), _judged(2), _published(2), WITHDRAWN]):
        (tmp_path / NAME / "history" / entry.name).write_bytes(entry.data)
    (tmp_path / "n-000000000000" / "history" / "0001-received-00000000.json").write_text("{}")
    assert [(change.kind, change.model) for change in read_changes(tmp_path)] == [("out", "Model"), ("in", "Model")]
    with pytest.raises(SubmissionError):
        read_changes(tmp_path / "none")


def test_only_what_is_new_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / NAME
    (folder / "history").mkdir(parents=True)
    (folder / "submission.json").write_text('{"model": "Model"}')
    first, *later = _entries([_accepted(1), _judged(2), _published(2), WITHDRAWN])
    (folder / "history" / first.name).write_bytes(first.data)
    known: changes.Known = {}
    assert read_changes(tmp_path, known) == []
    with monkeypatch.context() as patch:
        patch.setattr(changes, "read_history", lambda directory: pytest.fail("read again"))
        assert read_changes(tmp_path, known) == []
    for entry in later:
        (folder / "history" / entry.name).write_bytes(entry.data)
    assert [change.kind for change in read_changes(tmp_path, known)] == ["out", "in"]
    (folder / "history").rename(tmp_path / "moved")
    assert read_changes(tmp_path, known) == []


def _change(**fields: Any) -> BoardChange:
    values = {"when": "2026-01-02T12:00:00Z", "kind": "in", "submission": "m-0", "model": "Model", "rubric": None}
    return BoardChange(**{**values, "what": "judged by a judge", "event": "0001-published-00000000.json", **fields})


def test_the_feed_is_atom_and_a_name_cannot_leave_its_place() -> None:
    evil = '</title><entry>&"\x00'
    feed = ElementTree.fromstring(render_atom([_change(model=evil), _change(event="other")]))  # noqa: S314  (ours)
    atom = "{http://www.w3.org/2005/Atom}"
    assert feed.findtext(f"{atom}updated") == "2026-01-02T12:00:00Z"
    entries = feed.findall(f"{atom}entry")
    assert len(entries) == 2
    assert (entries[0].findtext(f"{atom}title") or "").startswith("</title><entry>&")
    ids = [entry.findtext(f"{atom}id") for entry in entries]
    assert len(set(ids)) == 2
    assert all(str(found).startswith("urn:uuid:") for found in ids)
    link = entries[0].find(f"{atom}link")
    assert link is not None
    assert link.get("href") == "../?model=m-0"


def test_a_feed_of_nothing_is_a_feed() -> None:
    feed = ElementTree.fromstring(render_atom([]))  # noqa: S314  (ours)
    assert feed.findtext("{http://www.w3.org/2005/Atom}updated") == "1970-01-01T00:00:00Z"


class _Row:
    def __init__(self, submission: str, rank_range: tuple[int, int]) -> None:
        self.submission, self.model = submission, submission.upper()
        self.rank, self.rank_range = rank_range[0], rank_range


def test_a_range_that_moved_is_told_with_who_came_in(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = {
        ("a", "b"): {"a": (1, 1), "b": (2, 2)},
        ("a", "b", "c"): {"a": (1, 1), "b": (2, 3), "c": (2, 3)},
        ("a", "b", "c", "d"): {"a": (2, 2), "b": (3, 4), "c": (3, 4), "d": (1, 1)},
    }

    def lists(view: View, scope: str, condition: str = "image+text") -> list[BoardList]:
        rows = tuple(_Row(name, found) for name, found in ranges[tuple(sorted(view.submissions))].items())
        fields = {"scope": scope, "rubric": "r", "judge": "j", "digest": "d", "max_new_tokens": None, "rows": rows}
        return [BoardList.model_construct(**fields)]

    monkeypatch.setattr(changes, "find_lists", lists)
    view = View(dict.fromkeys("abcd"), {})  # type: ignore[arg-type]  # only their names are looked at
    days = {"c": "2026-01-02", "d": "2026-01-03"}  # a and b were put there by hand
    moves = rank_moves(view, days, "2026-01-02")
    assert [(m.model, m.before, m.after, m.because) for m in moves] == [("B", (2, 2), (2, 3), ("C",))]
    moves = rank_moves(view, days, "2026-01-03")
    assert [(m.model, m.before, m.after) for m in moves] == [
        ("A", (1, 1), (2, 2)),
        ("B", (2, 3), (3, 4)),
        ("C", (2, 3), (3, 4)),
    ]
    assert rank_moves(view, days, "2026-02-01") == []
