"""Who can move whose rank: what strangers submit moves nothing of what was accepted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.board.columns import render_csv
from vlsbench.board.counted import Projected, View, open_projection
from vlsbench.board.lists import OVERALL, Board, BoardList, build_board, find_lists
from vlsbench.board.review import list_waiting, render_waiting
from vlsbench.dataset.index import load_index
from vlsbench.errors import SubmissionError
from vlsbench.files import sha256_hex
from vlsbench.records import Rubric
from vlsbench.screening.flags import screen
from vlsbench.store.history import Checked, Event, Judged, Published, entry_of, fold, next_number, read_history
from vlsbench.store.intake import accept, accept_all_from, reject, submit, withdraw
from vlsbench.store.local import LocalStore
from vlsbench.submission.check import open_submission

RUBRIC = Rubric(judge="openai:judge-2026-01-01", protocol="v1", evidence=("image", "instruction", "response"))
IDS = [row.instruction_id for row in load_index("sample").risky]


@pytest.fixture(autouse=True)
def _nothing_is_kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLSBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def answers_of(seed: str, *, constant: bool = False) -> list[str]:
    """Answers of a model, of words of its own."""
    words = random.Random(seed)
    if constant:
        return ["I am sorry, but I cannot help with that request."] * len(IDS)
    return [" ".join(f"w{words.randrange(5000)}" for _ in range(14)) for _ in IDS]


class Lab:
    """A store, and how things come into it."""

    def __init__(self, folder: Path) -> None:
        self.store = LocalStore(folder / "store")
        self.folder = folder
        self.n = 0

    def send(
        self,
        model: str,
        n_safe: int,
        *,
        by: str,
        answers: Sequence[str] | None = None,
        is_accepted: bool = False,
        when: str | None = None,
        is_found: bool = False,
        is_again: bool = False,
        is_checked: bool = False,
        **card: Any,
    ) -> str:
        """Submit answers of which the first so many are judged safe; they are judged and published at once."""
        self.n += 1
        source = self.folder / f"sent{self.n}"
        source.mkdir()
        (source / "submission.json").write_text(json.dumps({"model": model, **card}))
        said = answers_of(f"{self.n}") if answers is None else answers
        lines = [{"instruction_id": i, "response": text} for i, text in zip(IDS, said, strict=False)]
        (source / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        receipt = submit(source, self.store, name=by, is_again=is_again)
        name = receipt.submission_id
        assert name is not None
        folder = self.store.sync() / name
        if when is not None:
            self._change(folder, when=when)
        if is_found:  # a pull request without a word of who submits, and `by` is who worked on it
            self._change(folder, source="found in the store")
        (folder / "verdicts").mkdir()
        decided = [
            {"instruction_id": line["instruction_id"], "label": "warning" if place < n_safe else "unsafe"}
            for place, line in enumerate(lines)
        ]
        data = "".join(json.dumps(line) + "\n" for line in decided).encode()
        (folder / "verdicts" / f"{RUBRIC.rubric_id}.jsonl").write_bytes(data)
        (folder / "verdicts" / f"{RUBRIC.rubric_id}.rubric.json").write_text(RUBRIC.model_dump_json())
        said_by = {
            "submission_id": name,
            "when": "2026-02-01T00:00:00Z",
            "who": "worker",
            "rubric_id": RUBRIC.rubric_id,
        }
        if is_checked:  # as the worker does before it judges
            submission = open_submission(folder)
            flags = tuple(flag.message for flag in screen(submission.responses, submission.index).flags)
            of = {"submission_id": name, "when": "2026-02-01T00:00:00Z", "who": "worker", "n_samples": len(lines)}
            passed = {"dataset": "sample", "config": "sample", "n_answered": len(lines), "n_warnings": 0}
            self._add(folder, Checked.model_validate({**of, **passed, "flags": flags}))
        self._add(folder, Judged(**said_by, sha256=sha256_hex(data), counts={}, n_undecided=0))
        self._add(folder, Published(**said_by))
        if is_accepted:
            accept(name, self.store, name="mary")
        return name

    def _change(self, folder: Path, **received: str) -> None:
        (entry,) = read_history(folder)
        (folder / "history" / entry.name).unlink()
        self._add(folder, entry.event.model_copy(update=received))

    def _add(self, folder: Path, event: Event) -> None:
        entry = entry_of(event, next_number(read_history(folder)))
        (folder / "history" / entry.name).write_bytes(entry.data)

    def board(self) -> Board:
        return build_board(self.store.sync(), projection=open_projection(self.store.sync()))

    def overall(self) -> BoardList:
        (item,) = self.board().of_scope(OVERALL)
        return item


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def honest(lab: Lab, *, by_safe: Sequence[int] = (38, 25, 24, 6)) -> list[str]:
    return [
        lab.send(f"Honest-{letter}", n, by=f"team {letter}", is_accepted=True, answers=answers_of(f"honest {letter}"))
        for letter, n in zip("ABCD", by_safe, strict=True)
    ]


def sabotage(lab: Lab) -> None:
    lab.send("Honest-A", 0, by="eve")


def copy_the_best(lab: Lab) -> None:
    for number in range(5):
        lab.send(f"Copy-{number}", 38, by="eve", answers=answers_of("honest A"))


def copy_under_its_name(lab: Lab) -> None:
    lab.send("Honest-A", 38, by="eve", answers=answers_of("honest A"), url="https://example.org")


def copy_from_before(lab: Lab) -> None:
    lab.send("Earlier", 38, by="eve", answers=answers_of("honest A"), when="2001-01-01T00:00:00Z")


def junk(lab: Lab) -> None:
    for number in range(8):
        lab.send(f"Junk-{number}", number * 5, by=f"eve{number}", organization="OpenAI")


def refuse_everything(lab: Lab) -> None:
    lab.send("Constant", len(IDS), by="eve", answers=answers_of("", constant=True))


def answer_a_part(lab: Lab) -> None:
    lab.send("Part", 3, by="eve", answers=answers_of("part")[:5])


def pose_as_the_same_people(lab: Lab) -> None:
    lab.send("Honest-B", 41, by="team B", answers=answers_of("newer"))  # where a name is typed, anybody types it


ATTACKS: list[Callable[[Lab], None]] = [
    sabotage,
    copy_the_best,
    copy_under_its_name,
    copy_from_before,
    junk,
    refuse_everything,
    answer_a_part,
    pose_as_the_same_people,
]


def rows_of(board: Board) -> dict[str, Any]:
    return {item.scope: [row.model_dump() for row in item.rows] for item in board.lists}


def test_nothing_that_strangers_submit_moves_an_accepted_row(lab: Lab) -> None:
    honest(lab)
    before = rows_of(lab.board())
    n_sent = lab.n
    for attack in ATTACKS:
        attack(lab)
        after = lab.board()
        assert rows_of(after) == before, attack.__name__
    (item,) = after.of_scope(OVERALL)
    assert len(item.not_reviewed) == lab.n - n_sent
    assert all(placed.row.rank is None and placed.row.rank_range is None for placed in item.not_reviewed)


CODES = st.binary(min_size=len(IDS), max_size=len(IDS)).map(lambda data: bytes(byte % 3 for byte in data))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Projected:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    name = lab.send("Model", 20, by="ann", is_accepted=True)
    return open_projection(lab.store.sync()).submissions[name]


def with_codes(projected: Projected, codes: bytes, *, is_accepted: bool) -> Projected:
    (found,) = projected.counted
    condition = found.conditions["image+text"].model_copy(update={"codes": codes})
    changed = found.model_copy(update={"conditions": {"image+text": condition}})
    return projected.model_copy(update={"counted": (changed,), "is_accepted": is_accepted, "submitter": None})


@given(st.lists(CODES, min_size=1, max_size=5), st.lists(CODES, max_size=5))
def test_ranks_and_ranges_are_of_the_accepted_rows_alone(
    counted: Projected, accepted: list[bytes], waiting: list[bytes]
) -> None:
    mine = {f"m{n}": with_codes(counted, codes, is_accepted=True) for n, codes in enumerate(accepted)}
    theirs = {f"k{n}": with_codes(counted, codes, is_accepted=False) for n, codes in enumerate(waiting)}

    def rows(submissions: dict[str, Projected]) -> Any:
        view = View(dict(sorted(submissions.items())), dict.fromkeys(submissions, ()))
        return [item.rows for item in find_lists(view, OVERALL)]

    assert rows(mine | theirs) == rows(mine)


def test_what_is_not_reviewed_says_where_it_would_stand(lab: Lab) -> None:
    honest(lab, by_safe=(40, 25, 24, 1))
    lab.send("Best", 41, by="eve")
    lab.send("Middle", 24, by="eve")
    lab.send("Part", 3, by="eve", answers=answers_of("part")[:5])
    best, middle, part = lab.overall().not_reviewed
    assert (best.row.model, best.place, best.place_text) == ("Best", (1, 2), "would stand between 1 and 2")
    assert (middle.row.model, middle.place) == ("Middle", (2, 4))
    assert (part.place, part.place_text) == (None, None)
    assert part.row.unranked_because == "36 of 41 samples were not answered"
    assert best.row.unranked_because == "not reviewed"


def test_lists_in_which_nothing_is_accepted_come_last(lab: Lab) -> None:
    lab.send("Mine", 20, by="ann", is_accepted=True, settings={"max_new_tokens": 512})
    for budget in (1, 2):
        lab.send(f"Theirs-{budget}", 41, by="eve", settings={"max_new_tokens": budget})
    assert [item.max_new_tokens for item in lab.board().of_scope(OVERALL)] == [512, 1, 2]


def test_a_list_without_an_accepted_row_has_places_and_no_rank(lab: Lab) -> None:
    lab.send("Alone", 20, by="eve")
    lab.send("Other", 22, by="eve")
    item = lab.overall()
    assert item.rows == ()
    assert [(placed.row.model, placed.place_text) for placed in item.not_reviewed] == [
        ("Other", "would stand at 1"),
        ("Alone", "would stand at 1"),
    ]


def test_what_is_accepted_is_ranked(lab: Lab) -> None:
    honest(lab)
    name = lab.send("New", 40, by="eve")
    accept(name, lab.store, name="mary")
    item = lab.overall()
    assert item.not_reviewed == ()
    assert next(row.rank for row in item.rows if row.model == "New") == 1


def test_a_copy_flags_the_later_row_only(lab: Lab) -> None:
    (first, *_) = honest(lab)
    copy = lab.send("Copy", 38, by="eve", answers=answers_of("honest A"), is_accepted=True, when="2099-01-01T00:00:00Z")
    flags = {row.submission: row.flags for row in lab.overall().rows}
    assert flags[first] == ()
    assert flags[copy] == (f"the same answers, or nearly, as in {first} (41 of 41)",)


def test_a_copy_that_is_rejected_moves_no_flag_of_the_original_whatever_day_it_says(lab: Lab) -> None:
    (first, *_) = honest(lab)
    copy = lab.send("Mine", 38, by="eve", answers=answers_of("honest A"), when="2001-01-01T00:00:00Z")
    reject(copy, lab.store, "a copy", name="mary")
    assert next(row.flags for row in lab.overall().rows if row.submission == first) == ()
    said, later = answers_of("honest A"), "2099-01-01T00:00:00Z"
    again = lab.send("Again", 38, by="eve", answers=said, when=later, is_accepted=True, is_again=True)
    (flag,) = next(row.flags for row in lab.overall().rows if row.submission == again)
    assert f"{copy}, taken down (41 of 41)" in flag  # it came when the first was rejected already


def test_a_copy_that_is_rejected_keeps_nobody_from_mending_the_card_of_their_own(lab: Lab) -> None:
    (first, *_) = honest(lab)
    copy = lab.send("Mine", 38, by="eve", answers=answers_of("honest A"))
    reject(copy, lab.store, "a copy", name="mary")
    mended: dict[str, Any] = {"answers": answers_of("honest A"), "url": "https://example.org"}
    for model, who in (("Honest-A", "eve"), ("Other", "bob"), ("Honest-A", "bob")):
        with pytest.raises(SubmissionError, match="these very answers were rejected"):
            lab.send(model, 38, by=who, **mended)
    assert lab.send("Honest-A", 38, by="team A", **mended) != first
    withdraw(first, lab.store, "a wrong prompt", name="team A")  # their own word counts for themselves
    with pytest.raises(SubmissionError, match="these very answers were withdrawn"):
        lab.send("Honest-A", 38, by="team A", answers=answers_of("honest A"), access="open")


def test_a_name_that_looks_like_another_is_said_beside_the_later_row(lab: Lab) -> None:
    (first, *_) = honest(lab)
    lab.send("HONEST A", 41, by="eve")
    lab.send("Honest-A", 41, by="team A")
    flags = {placed.row.model: placed.row.flags for placed in lab.overall().not_reviewed}
    assert flags == {
        "HONEST A": (f"has the name of {first} by somebody else, or one that looks like it",),
        "Honest-A": (),
    }


def test_an_organization_that_looks_like_another_is_said_beside_what_is_not_reviewed(lab: Lab) -> None:
    """Whoever makes an organization of that name on the Hub is a member of it, and so verified."""
    first = lab.send("A", 20, by="ann", is_accepted=True, organization="OpenAI")
    for model, organization in (("B", "OpenAl"), ("C", "openai"), ("D", "Acme")):
        lab.send(model, 20, by="eve", organization=organization)
    flags = {placed.row.model: placed.row.flags for placed in lab.overall().not_reviewed}
    said = f"its organization looks like that of {first} and is written otherwise"
    assert flags == {"B": (said,), "C": (), "D": ()}


def test_a_constant_policy_is_not_ranked_before_it_is_screened_here(lab: Lab) -> None:
    """A server starts with an empty cache, and screens a large store behind."""
    honest(lab)
    lab.send("Constant", len(IDS), by="eve", answers=answers_of("", constant=True), is_checked=True, is_accepted=True)
    (item,) = find_lists(open_projection(lab.store.sync(), is_screening=False).view(), OVERALL)
    row = next(row for row in item.rows if row.model == "Constant")
    assert (row.rank, row.flags[0]) == (None, "not screened yet")


def test_who_leaves_out_who_they_are_is_nobodys_other_self(lab: Lab) -> None:
    first = lab.send("Honest-A", 38, by="mary", answers=answers_of("honest A"), is_found=True, is_accepted=True)
    other = lab.send("Honest-A", 41, by="mary", is_found=True)
    copy = lab.send("Honest-A", 38, by="mary", answers=answers_of("honest A"), is_found=True, access="closed")
    flags = {placed.row.submission: placed.row.flags for placed in lab.overall().not_reviewed}
    named = f"has the name of {first} by somebody else, or one that looks like it"
    assert flags == {other: (named,), copy: (f"the same answers, or nearly, as in {first} (41 of 41)", named)}
    with pytest.raises(SubmissionError, match="nothing of 'mary'"):
        accept_all_from("mary", lab.store, name="mary")
    for name in (other, copy):
        accept(name, lab.store, name="mary")
    assert (len(lab.overall().rows), lab.overall().replaced) == (3, ())


def test_a_newer_run_by_the_same_people_stands_for_the_older_once_accepted(lab: Lab) -> None:
    old = lab.send("Model", 20, by="ann", is_accepted=True, when="2026-01-01T00:00:00Z")
    other = lab.send("Model", 30, by="bob", is_accepted=True, when="2026-01-02T00:00:00Z")
    new = lab.send("Model", 25, by="ann", when="2026-01-03T00:00:00Z")
    assert {row.submission for row in lab.overall().rows} == {old, other}
    accept(new, lab.store, name="mary")
    item = lab.overall()
    assert {row.submission: row.replaces for row in item.rows} == {other: None, new: old}
    (replaced,) = item.replaced
    assert (replaced.submission, replaced.replaced_by, replaced.rank) == (old, new, None)
    assert replaced.unranked_because == "a newer run stands for it"
    withdraw(new, lab.store, "a wrong prompt", name="ann")
    assert {row.submission for row in lab.overall().rows} == {old, other}


def test_a_newer_run_that_is_not_ranked_stands_for_nothing(lab: Lab) -> None:
    old = lab.send("Model", 20, by="ann", is_accepted=True, when="2026-01-01T00:00:00Z")
    part = answers_of("part")[:5]
    new = lab.send("Model", 5, by="ann", is_accepted=True, when="2026-01-02T00:00:00Z", answers=part)
    item = lab.overall()
    assert [(row.submission, row.rank) for row in item.rows] == [(old, 1), (new, None)]
    assert item.replaced == ()


def test_a_constant_policy_is_never_ranked(lab: Lab) -> None:
    honest(lab)
    lab.send("Constant", len(IDS), by="eve", answers=answers_of("", constant=True), is_accepted=True)
    row = next(row for row in lab.overall().rows if row.model == "Constant")
    assert row.rank is None
    assert row.unranked_because == "a constant policy: its answers are one of a few texts"
    assert lab.overall().rows[0].rank == 1


def test_who_submitted_stands_beside_the_row_and_an_organization_is_a_claim(lab: Lab) -> None:
    lab.send("A", 20, by="eve", is_accepted=True, organization="OpenAI")
    lab.send("B", 21, by="eve", is_accepted=True, organization="Acme", url="https://huggingface.co/acme/b")
    lab.send("C", 22, by="eve", is_accepted=True, organization="Acme", url="https://huggingface.co/datasets/acme")
    found = {row.model: (row.submitter, row.organization_is_verified) for row in lab.overall().rows}
    assert found == {"A": ("eve", False), "B": ("eve", True), "C": ("eve", False)}


def test_rows_judged_outside_the_store_rank_apart_and_say_so(lab: Lab) -> None:
    inside = lab.send("Inside", 20, by="ann", is_accepted=True)
    outside = lab.send("Outside", 40, by="ann", is_accepted=True)
    folder = lab.store.sync()
    moved = folder / "by-hand"
    (folder / outside).rename(moved)
    for path in (moved / "history").iterdir():
        path.unlink()
    (moved / "history").rmdir()
    first, second = lab.board().of_scope(OVERALL)
    assert [(row.submission, row.rank, row.judged_elsewhere) for row in first.rows] == [(inside, 1, False)]
    assert [(row.submission, row.rank, row.judged_elsewhere) for row in second.rows] == [("by-hand", 1, True)]
    assert (first.is_judged_elsewhere, second.is_judged_elsewhere) == (False, True)


def test_the_files_say_which_rows_nobody_reviewed(lab: Lab) -> None:
    honest(lab)
    lab.send("New", 40, by="eve")
    header, *lines = [line.split(",") for line in render_csv(lab.board()).splitlines()]
    overall = [dict(zip(header, line, strict=True)) for line in lines if line[0] == OVERALL]
    assert [(line["model"], line["rank"], line["unranked_because"]) for line in overall][-1] == (
        "New",
        "",
        "not reviewed",
    )
    assert [(line["rank_low"], line["rank_high"]) for line in overall][:1] == [("1", "1")]


def test_history_of_an_acceptance_folds_to_accepted(lab: Lab) -> None:
    name = lab.send("New", 40, by="eve", is_accepted=True)
    assert fold(read_history(lab.store.sync() / name)).is_accepted


def test_a_reviewer_sees_what_a_decision_needs(lab: Lab) -> None:
    (first, *_) = honest(lab)
    copy = lab.send("Honest A", 38, by="eve", answers=answers_of("honest A"), organization="Acme")
    store = lab.store.sync()
    (item,) = list_waiting(store, open_projection(store).view())
    assert (item.submission, item.model, item.submitter, item.state) == (copy, "Honest A", "eve", "published")
    assert (item.organization, item.organization_verified_by) == ("Acme", None)
    assert item.flags == (
        f"the same answers, or nearly, as in {first} (41 of 41)",
        f"has the name of {first} by somebody else, or one that looks like it",
    )
    assert [(other.submission, other.n_alike, other.n_compared) for other in item.copies] == [(first, 41, 41)]
    (place,) = item.places
    assert (place.dataset, place.safe_rate, place.place_text) == ("sample", 38 / 41, "would stand between 1 and 2")
    assert [sample.response for sample in item.samples] == answers_of("honest A")[::8][:5]
    said = render_waiting(item)
    assert "org    Acme: only claimed" in said
    assert f"copy   {first}: 41 of 41 alike" in said
    accept(copy, lab.store, name="mary")
    assert list_waiting(store, open_projection(store).view()) == ()
