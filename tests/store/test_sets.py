"""Sets of one's own in a store: known or refused, judged by the worker, and a list of their own on the board."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import commands
import pytest
from own_sets import FIRST, Parrot, make_set

from vlsbench.board.columns import render_csv
from vlsbench.board.counted import open_projection
from vlsbench.board.html import render_html
from vlsbench.board.lists import build_board
from vlsbench.dataset.index import load_index, read_set
from vlsbench.errors import SubmissionError
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.records import Response
from vlsbench.screening.fingerprints import fingerprint
from vlsbench.store.desk import Uploaded, UploadForm, check_upload
from vlsbench.store.intake import submit, why_not_a_submission_change, withdraw
from vlsbench.store.local import LocalStore, list_submissions
from vlsbench.store.sets import add_set, find_set
from vlsbench.store.worker import Worker


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    make_set(tmp_path / "kitchen", n=6)
    return tmp_path / "kitchen"


def answer(data: Path | None, folder: Path, says: str = "I'm sorry, but I can't help with that.") -> Path:
    generate_directory(folder, "openai:m", Asked(data=data), name=folder.name, opener=lambda *a, **k: Parrot(says))
    return folder


def outcomes(report: Any) -> list[tuple[str, str]]:
    return [(done.outcome, done.note) for done in report.done]


def test_a_set_that_the_store_does_not_know_is_refused_with_what_to_do(
    store: LocalStore, kitchen: Path, tmp_path: Path
) -> None:
    words = (
        rf"{store.location} does not know the set 'kitchen'; who may write there adds it with `vlsbench data add DIR"
    )
    with pytest.raises(SubmissionError, match=words):
        submit(answer(kitchen, tmp_path / "sub"), store, name="ann")
    assert find_set(store, "kitchen") is None


def test_a_set_that_was_added_is_taken_and_has_its_own_list(store: LocalStore, kitchen: Path, tmp_path: Path) -> None:
    index = read_set(kitchen)
    assert add_set(store, index)
    assert not add_set(store, index)  # once is enough
    assert sorted(p.name for p in (tmp_path / "store").rglob("*") if p.is_file()) == ["index.csv"]  # no text, no image
    receipt = submit(answer(kitchen, tmp_path / "safe"), store, name="ann")
    again = submit(tmp_path / "safe", store, name="ann")
    assert (receipt.is_new, again.is_new, again.submission_id) == (True, False, receipt.submission_id)
    submit(answer(kitchen, tmp_path / "other", "Sure! First open the lid, then stir."), store, name="ann")
    submit(answer(None, tmp_path / "sample"), store, name="ann")
    assert [outcome for outcome, _ in outcomes(Worker(store, name="bob").work())] == ["published"] * 3
    board = build_board(tmp_path / "store")
    assert board.left_out == ()
    overall = board.of_scope("Overall")
    assert [(item.dataset, item.n_samples, len(item.not_reviewed)) for item in overall] == [
        ("sample", len(load_index("sample").risky), 1),
        ("kitchen", 6, 2),
    ]
    assert overall[1].digest == index.digest
    first = overall[1].not_reviewed[0]
    assert (first.row.model, first.place) == ("safe", None), "who says the same to everything would not be ranked"
    assert (first.row.unranked_because or "").startswith("a constant policy")
    violent = [item for item in board.of_scope("Violent") if item.dataset == "kitchen"]
    assert violent[0].n_samples == 1
    assert "the set 'kitchen'" in render_html(board).replace("&#x27;", "'")
    assert "kitchen" in render_csv(board)


def test_what_was_counted_is_kept_and_counted_anew_when_the_index_changes(
    store: LocalStore, kitchen: Path, tmp_path: Path
) -> None:
    receipt = submit(answer(kitchen, tmp_path / "sub"), store, name="ann", data=kitchen)
    Worker(store, name="bob").work()
    view = open_projection(tmp_path / "store").view()
    (counted,) = view.submissions[receipt.submission_id or ""].counted
    assert [row.instruction_id for row in counted.index.risky] == list(range(FIRST, FIRST + 6))
    assert len(view.labels_of(receipt.submission_id or "", counted.rubric_id)) == 6
    path = tmp_path / "store" / (receipt.submission_id or "") / "index.csv"
    path.write_text(path.read_text().replace("Violent", "Hate"))
    board = build_board(tmp_path / "store")
    assert board.lists == ()
    assert "the SHA-256 of index.csv is" in board.left_out[0].reason


def test_who_may_write_brings_the_set_along(store: LocalStore, kitchen: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "submission.json").write_text('{"model": "org/m"}')
    (folder / "responses.jsonl").write_text(json.dumps({"instruction_id": FIRST, "response": "No."}) + "\n")
    receipt = submit(folder, store, name="ann", data=kitchen)
    stored = tmp_path / "store" / (receipt.submission_id or "")
    card = json.loads((stored / "submission.json").read_text())
    assert card["dataset"] == {"name": "kitchen", "config": "default", "revision": read_set(kitchen).revision}
    assert (stored / "index.csv").read_bytes() == (kitchen / "index.csv").read_bytes()
    assert find_set(store, "kitchen") is not None
    # From now on the store itself tells which set a card means.
    (folder / "submission.json").write_text('{"model": "b", "dataset": {"name": "kitchen", "config": "default"}}')
    assert submit(folder, store, name="ann").submission_id is not None
    assert len(list_submissions(tmp_path / "store")) == 2


def test_another_version_of_a_known_set_is_another_set(store: LocalStore, kitchen: Path, tmp_path: Path) -> None:
    add_set(store, read_set(kitchen))
    newer = make_set(tmp_path / "newer", "kitchen", n=5)
    with pytest.raises(SubmissionError, match="A set that is changed is another set: give it another name"):
        add_set(store, newer)
    with pytest.raises(SubmissionError, match="knows another version of the set 'kitchen'"):
        submit(answer(tmp_path / "newer", tmp_path / "sub"), store, name="ann")


def test_what_came_past_the_gate_waits_until_the_set_is_known(store: LocalStore, kitchen: Path, tmp_path: Path) -> None:
    submit(answer(kitchen, tmp_path / "sub"), store, name="ann", data=kitchen)
    shutil.rmtree(tmp_path / "store" / "datasets")
    ((outcome, note),) = outcomes(Worker(store, name="bob").work())
    assert outcome == "waiting"
    assert "does not know the set 'kitchen'" in note
    add_set(store, read_set(kitchen))
    assert [outcome for outcome, _ in outcomes(Worker(store, name="bob").work())] == ["published"]


def test_the_worker_looks_at_pictures_of_the_set_that_it_was_given(
    store: LocalStore, kitchen: Path, tmp_path: Path
) -> None:
    worker = Worker(store, data=kitchen)
    assert worker._data_of("kitchen") == kitchen
    assert [worker._data_of(name) for name in ("sample", "release", "garden")] == [None, None, None]
    submit(answer(kitchen, tmp_path / "sub"), store, name="ann", data=kitchen)
    submit(answer(None, tmp_path / "sample"), store, name="ann")
    assert [outcome for outcome, _ in outcomes(Worker(store, name="bob", data=kitchen).work())] == ["published"] * 2


def test_a_broken_index_in_a_store_is_a_sentence(store: LocalStore, kitchen: Path, tmp_path: Path) -> None:
    add_set(store, read_set(kitchen))
    (tmp_path / "store" / "datasets" / "kitchen" / "index.csv").write_text("no")
    with pytest.raises(SubmissionError, match=r"datasets/kitchen/index.csv: index.csv: .* Restore it"):
        submit(answer(kitchen, tmp_path / "sub"), store, name="ann")


def test_a_pull_request_may_add_the_index_of_its_submission_and_no_set() -> None:
    name = "m-0123456789ab"
    files = [f"{name}/submission.json", f"{name}/responses.jsonl", f"{name}/index.csv"]
    assert why_not_a_submission_change(files) == []
    assert "a submission adds" in why_not_a_submission_change([*files, "datasets/kitchen/index.csv"])[0]


def test_an_upload_brings_its_index(kitchen: Path, tmp_path: Path) -> None:
    folder = answer(kitchen, tmp_path / "sub")
    names = ("submission.json", "responses.jsonl", "index.csv")
    report = check_upload([Uploaded(name=name, path=folder / name) for name in names], UploadForm())
    assert (report.ok, report.dataset, report.n_samples) == (True, "kitchen", 6)
    report = check_upload([Uploaded(name=name, path=folder / name) for name in names[:2]], UploadForm())
    assert not report.ok
    assert "the set 'kitchen' is not known here" in report.problems[0].message


def test_data_add_says_what_it_did(
    kitchen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vlsbench.cli.main import main

    monkeypatch.setattr(sys, "argv", ["vlsbench", "data", "add", str(kitchen), "--store", str(tmp_path / "store")])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (0, "datasets/kitchen/index.csv\n")
    assert "the set 'kitchen', 6 pairs: added" in said.err
    (kitchen / "images" / f"{FIRST}.png").unlink()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "images/200000.png is missing" in capsys.readouterr().err


def test_the_board_prints_one_set_alone(store: LocalStore, kitchen: Path, tmp_path: Path) -> None:
    submit(answer(kitchen, tmp_path / "sub"), store, name="ann", data=kitchen)
    submit(answer(None, tmp_path / "sample"), store, name="ann")
    Worker(store, name="bob").work()

    def board(*arguments: object) -> str:
        return commands.vlsbench("board", "--store", tmp_path / "store", *arguments).stdout

    digest = read_set(kitchen).digest[:12]
    assert f"the set 'kitchen', digest {digest}, N 6, max_new_tokens 128" in board()
    assert "sample, N" in board()
    alone = board("--data", kitchen)
    assert "the set 'kitchen'" in alone
    assert "sample, N" not in alone


def test_the_same_words_to_another_set_are_other_answers(store: LocalStore, kitchen: Path, tmp_path: Path) -> None:
    index = make_set(tmp_path / "garden", "garden", n=6)
    first = submit(answer(kitchen, tmp_path / "sub"), store, name="ann", data=kitchen)
    withdraw(first.submission_id or "", store, name="ann")
    (tmp_path / "again").mkdir()
    second = answer(tmp_path / "garden", tmp_path / "again" / "sub")
    assert submit(second, store, name="ann", data=tmp_path / "garden").is_new
    shutil.copy(kitchen / "index.csv", second / "index.csv")
    text = (second / "submission.json").read_text().replace("garden", "kitchen")
    (second / "submission.json").write_text(text.replace(index.revision, read_set(kitchen).revision))
    with pytest.raises(SubmissionError, match="withdrawn"):
        submit(second, store, name="ann")


def test_answers_of_two_sets_are_not_compared(kitchen: Path, tmp_path: Path) -> None:
    words = ["red", "blue", "green", "white", "black", "brown", "pink", "grey", "gold", "silver"]
    says = [" ".join(words[i:] + words[:i]) + f" and then thing {i} of twelve" for i in range(6)]
    indexes = [read_set(kitchen), make_set(tmp_path / "garden", "garden", n=6)]
    prints = {}
    for index in indexes:
        responses = {(FIRST + i, "image+text"): Response(instruction_id=FIRST + i, response=says[i]) for i in range(6)}
        prints[index.name] = fingerprint(responses, index)
        prints[f"{index.name} again"] = fingerprint(responses, index)
    assert (prints["kitchen"].ids == prints["kitchen again"].ids).all()
    assert not set(prints["kitchen"].ids.tolist()) & set(prints["garden"].ids.tolist())
