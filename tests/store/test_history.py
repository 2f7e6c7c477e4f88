"""Events, the standing they fold to, and the files they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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
    Scored,
    Withdrawn,
    entry_of,
    fold,
    is_shown,
    next_number,
    read_history,
    says_the_same,
)

ID = "org-model-0123456789ab"
RUBRIC = "offline-v1-0123456789ab"
OTHER = "offline-v2-ba9876543210"
SHA = "a" * 64


def head(second: int = 0, who: str = "ann") -> dict[str, Any]:
    return {"submission_id": ID, "when": f"2026-01-02T03:04:{second:02d}Z", "who": who}


def received(**over: Any) -> Received:
    return Received(**{**head(), "responses_sha256": SHA, "n_lines": 3, **over})


def checked(**over: Any) -> Checked:
    numbers = {"n_samples": 41, "n_answered": 40, "n_warnings": 1}
    return Checked(**{**head(1), "dataset": "sample", "config": "sample", **numbers, **over})


def judged(**over: Any) -> Judged:
    return Judged(**{**head(2), "rubric_id": RUBRIC, "sha256": SHA, "counts": {"refusal": 3}, "n_undecided": 0, **over})


def scored(**over: Any) -> Scored:
    return Scored(**{**head(3), "rubric_id": RUBRIC, "sha256": SHA, "safe_rate": 0.5, **over})


def published(**over: Any) -> Published:
    return Published(**{**head(4), "rubric_id": RUBRIC, **over})


def rejected(by: str = "maintainer", **over: Any) -> Rejected:
    return Rejected(**{**head(5), "by": by, "reasons": ("a reason",), **over})


def accepted(**over: Any) -> Accepted:
    return Accepted(**{**head(6), **over})


def withdrawn(**over: Any) -> Withdrawn:
    return Withdrawn(**{**head(7), "reason": "a mistake", **over})


def in_order(*events: Event) -> list[Entry]:
    return [entry_of(event, number) for number, event in enumerate(events, 1)]


ALL = (received(), checked(), judged(), scored(), published())

STANDINGS: list[tuple[str, tuple[Event, ...], str, bool, bool]] = [
    ("nothing happened: it was found in the store", (), "received", False, False),
    ("received", ALL[:1], "received", False, False),
    ("checked", ALL[:2], "checked", False, False),
    ("judged", ALL[:3], "judged", False, False),
    ("scored", ALL[:4], "scored", False, False),
    ("published", ALL, "published", False, False),
    ("an event is missing: the furthest counts", (received(), published()), "published", False, False),
    ("judged by another judge: still published", (*ALL, judged(rubric_id=OTHER)), "published", False, False),
    ("a maintainer's rejection hides what was published", (*ALL, rejected()), "rejected", False, False),
    ("accepting lifts it", (*ALL, rejected(), accepted()), "published", True, False),
    ("rejecting again holds", (*ALL, rejected(), accepted(), rejected()), "rejected", False, False),
    ("accepted and waiting", (received(), accepted()), "received", True, False),
    ("the gate's rejection is final", (received(), rejected("gate")), "rejected", False, True),
    ("and cannot be lifted", (received(), rejected("gate"), accepted()), "rejected", False, True),
    ("withdrawn is final", (*ALL, withdrawn()), "withdrawn", False, True),
    ("also after a rejection", (*ALL, rejected(), withdrawn()), "withdrawn", False, True),
    ("nothing comes after it", (received(), withdrawn(), *ALL[1:], accepted()), "withdrawn", False, True),
]


@pytest.mark.parametrize(
    ("why", "events", "state", "is_accepted", "is_final"), STANDINGS, ids=[s[0] for s in STANDINGS]
)
def test_a_history_folds_to_its_standing(
    why: str, events: tuple[Event, ...], state: str, is_accepted: bool, is_final: bool
) -> None:
    standing = fold(in_order(*events))
    assert (standing.state, standing.is_accepted, standing.is_final) == (state, is_accepted, is_final)
    assert (standing.reason is None) == is_shown(standing.state)


def test_the_reason_says_who_when_and_why() -> None:
    assert fold(in_order(received(), withdrawn())).reason == "withdrawn on 2026-01-02 by ann: a mistake"
    assert fold(in_order(received(), rejected())).reason == "rejected on 2026-01-02 by ann: a reason"
    assert fold(in_order(received(), rejected("gate"))).reason == "rejected on 2026-01-02 by the gate: a reason"


def test_the_last_verdict_file_of_a_rubric_counts() -> None:
    standing = fold(in_order(*ALL, judged(sha256="b" * 64), judged(rubric_id=OTHER, sha256="c" * 64)))
    assert {rubric: event.sha256[0] for rubric, event in standing.judged.items()} == {RUBRIC: "b", OTHER: "c"}
    assert standing.published == {RUBRIC}


EVENTS = st.sampled_from(
    [
        *ALL,
        judged(sha256="b" * 64),
        judged(rubric_id=OTHER),
        published(rubric_id=OTHER),
        rejected(),
        rejected("gate"),
        accepted(),
        accepted(who="bob"),
        withdrawn(),
        withdrawn(reason=""),
    ]
)
ENTRIES = st.lists(st.builds(entry_of, EVENTS, st.integers(1, 6)), max_size=12)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(entries: list[Entry], random: Any) -> None:
    shuffled = [*entries, *entries]
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(entries)


@given(ENTRIES, ENTRIES)
def test_putting_two_histories_together_is_their_union(mine: list[Entry], theirs: list[Entry]) -> None:
    union = {entry.name: entry for entry in [*mine, *theirs]}
    assert fold([*mine, *theirs]) == fold([*theirs, *mine]) == fold(union.values())


@given(ENTRIES)
def test_no_event_brings_back_what_was_withdrawn(entries: list[Entry]) -> None:
    assert fold([*entries, entry_of(withdrawn(), 1)]).state == "withdrawn"


def write(folder: Path, *entries: Entry) -> Path:
    history = folder / ID / "history"
    history.mkdir(parents=True)
    for entry in entries:
        (history / entry.name).write_bytes(entry.data)
    return folder / ID


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    entries = in_order(*ALL, rejected(), accepted(), withdrawn())
    assert read_history(write(tmp_path, *reversed(entries))) == entries
    assert next_number(entries) == 9
    assert read_history(tmp_path) == []


def test_a_file_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    folder = write(tmp_path, *in_order(received()))
    (folder / "history" / ".0002-checked-01234567.json.77.tmp").write_bytes(b'{"half')
    assert len(read_history(folder)) == 1


BROKEN = [
    ("0002-checked-01234567.json", entry_of(checked(), 2).data, "not the event its name says"),
    (entry_of(checked(), 2).name, checked().model_dump_json().encode(), "not the event its name says"),
    (entry_of(checked(), 2).name.replace("checked", "judged"), entry_of(checked(), 2).data, "not the event its name"),
    ("notes.txt", b"", "not the name of an event"),
    ("0002-checked-e3b0c442.json", b"", "not an event this version knows"),
    ("0002-boiled-01234567.json", b'{"state": "boiled"}', "Was it written by a newer one"),
]


@pytest.mark.parametrize(("name", "data", "sentence"), BROKEN)
def test_a_file_that_is_no_event_is_named(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    folder = write(tmp_path, *in_order(received()))
    (folder / "history" / name).write_bytes(data)
    with pytest.raises(SubmissionError, match=sentence) as error:
        read_history(folder)
    assert name in str(error.value)


def test_all_broken_files_are_named_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path)
    for number in range(7):
        (folder / "history" / f"{number}.json").write_bytes(b"")
    with pytest.raises(SubmissionError, match="and 2 more files"):
        read_history(folder)


def test_a_history_of_another_submission_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, *in_order(received(submission_id="org-model-ba9876543210")))
    with pytest.raises(SubmissionError, match="was the folder renamed"):
        read_history(folder)


def test_a_link_is_no_event(tmp_path: Path) -> None:
    folder = write(tmp_path)
    entry = entry_of(received(), 1)
    (tmp_path / "elsewhere").write_bytes(entry.data)
    (folder / "history" / entry.name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SubmissionError, match="links are not followed"):
        read_history(folder)


@pytest.mark.parametrize(
    "when",
    ["2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00", "2026-13-02T03:04:05Z", "2026-1-2T3:4:5Z", ""],
)
def test_a_moment_is_utc_to_the_second(when: str) -> None:
    with pytest.raises(ValidationError, match="a moment is written like"):
        received(when=when)


@pytest.mark.parametrize("who", ["", "<b>bob</b>", "..", "a\nb"])
def test_who_is_a_name_that_can_be_printed(who: str) -> None:
    with pytest.raises(ValidationError):
        received(who=who)


def test_the_same_is_said_whoever_says_it_and_when() -> None:
    assert says_the_same(judged(), judged(who="bob", when="2027-01-01T00:00:00Z"))
    assert not says_the_same(judged(), judged(sha256="b" * 64))
