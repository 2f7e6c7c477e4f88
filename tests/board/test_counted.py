"""The projection: it saves time and changes nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlsbench.board import counted as module
from vlsbench.board.counted import Projection, open_projection
from vlsbench.board.counted_file import ProjectionFile
from vlsbench.board.lists import OVERALL, Board, build_board
from vlsbench.dataset.index import load_index
from vlsbench.errors import SubmissionError
from vlsbench.records import Rubric
from vlsbench.store.intake import submit, withdraw
from vlsbench.store.local import LocalStore
from vlsbench.store.worker import Worker

RUBRIC = Rubric(judge="openai:judge-2026-01-01", protocol="v1", evidence=("image", "instruction", "response"))
OUTSIDE = ("judged outside the store",)
SAMPLE = load_index("sample").select("sample").rows
ANSWERS = {"refusal": "I'm sorry, but I can't help with that.", "unsafe": "Sure! Begin with the lamp on the left."}


def write_row(store: Path, name: str, *, seed: int = 0, conditions: tuple[str, ...] = ("image+text",)) -> Path:
    """Write a judged submission that answers the packaged sample."""
    folder = store / name
    (folder / "verdicts").mkdir(parents=True)
    (folder / "submission.json").write_text(json.dumps({"model": f"model {name}"}))
    rng = random.Random(seed)
    said, decided = [], []
    for row in SAMPLE:
        for condition in conditions:
            label = rng.choice(sorted(ANSWERS))
            key = {"instruction_id": row.instruction_id, "condition": condition}
            said.append({**key, "response": ANSWERS[label]})
            decided.append({**key, "label": label})
    (folder / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    verdicts_of(folder).write_text("".join(json.dumps(line) + "\n" for line in decided))
    verdicts_of(folder).with_suffix(".rubric.json").write_text(RUBRIC.model_dump_json())
    return folder


def verdicts_of(folder: Path) -> Path:
    return folder / "verdicts" / f"{RUBRIC.rubric_id}.jsonl"


def test_a_row_says_once_how_many_answers_have_a_thought(tmp_path: Path) -> None:
    folder = write_row(tmp_path, "a")
    path = folder / "responses.jsonl"
    path.write_text(path.read_text().replace('"response": "Sure!', '"response": "<think>Hm.</think>Sure!'))
    n = path.read_text().count("<think>")
    (row,) = build_board(tmp_path).of_scope(OVERALL)[0].rows
    note = f"thoughts: {n} of 41 answers have a thought that was not judged"
    assert [flag for flag in row.flags if "thought" in flag] == [note]


def flip(path: Path) -> None:
    """Make the first refusal unsafe; the file keeps its size."""
    text = path.read_text()
    path.write_text(text.replace('"refusal"', '"unsafe" ', 1))
    assert len(path.read_text()) == len(text)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VLSBENCH_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files that were written just now for settled."""
    monkeypatch.setattr(module, "_SETTLED_NS", 0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for number in range(3):
        write_row(tmp_path / "store", f"row{number}", seed=number)
    return tmp_path / "store"


def counted_in_memory(store: Path) -> Board:
    projection = Projection(store, None)
    projection.refresh()
    return build_board(store, projection=projection)


def the_file(cache: Path) -> Path:
    (path,) = cache.glob("*.sqlite3")
    return path


@pytest.mark.usefixtures("settled")
def test_a_submission_is_counted_once(store: Path) -> None:
    first = open_projection(store)
    again = open_projection(store)
    assert (first.n_counted, again.n_counted) == (3, 0)
    assert build_board(store, projection=again) == build_board(store, projection=first) == counted_in_memory(store)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "name",
    ["submission.json", "responses.jsonl", "verdicts/ID.jsonl", "verdicts/ID.rubric.json", "verdicts/ID.run.json"],
)
def test_every_file_that_decides_is_noticed(store: Path, name: str) -> None:
    open_projection(store)
    path = store / "row1" / name.replace("ID", RUBRIC.rubric_id)
    path.write_bytes((path.read_bytes() if path.exists() else b'{"runs": []}') + b" ")
    projection = open_projection(store)
    assert projection.n_counted == 1
    assert build_board(store, projection=projection) == counted_in_memory(store)


@pytest.mark.usefixtures("settled")
def test_a_file_with_its_old_size_and_time_is_noticed(store: Path) -> None:
    before = build_board(store)
    path = verdicts_of(store / "row1")
    status = path.stat()
    flip(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    projection = open_projection(store)
    assert projection.n_counted == 1
    assert build_board(store, projection=projection) == counted_in_memory(store) != before


def test_what_was_written_just_now_is_counted_again_until_it_has_settled(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_NS", 10**18)
    projection = open_projection(store)
    assert projection.refresh() is False, "nothing has changed"
    assert projection.n_counted == 3
    assert open_projection(store).n_counted == 3
    monkeypatch.setattr(module, "_SETTLED_NS", 0)
    projection.refresh()
    assert projection.refresh() is False
    assert projection.n_counted == 0


@pytest.mark.usefixtures("settled")
def test_a_refresh_says_whether_anything_has_changed(store: Path) -> None:
    projection = open_projection(store)
    assert projection.refresh() is False
    flip(verdicts_of(store / "row0"))
    assert projection.refresh() is True
    assert projection.n_counted == 1
    assert build_board(store, projection=projection) == counted_in_memory(store)
    shutil.rmtree(store / "row2")
    write_row(store, "row3", seed=3)
    assert projection.refresh() is True
    assert list(projection.submissions) == ["row0", "row1", "row3"]
    assert build_board(store, projection=projection) == counted_in_memory(store)


def overwrite(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def execute(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return change


def scatter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in random.Random(0).sample(range(100, len(data)), len(data) // 50):
        data[place] ^= 0xFF
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


HARMS: dict[str, Callable[[Path], Any]] = {
    "deleted": Path.unlink,
    "empty": overwrite(b""),
    "no database": overwrite(b"not a database, " * 500),
    "cut in half": truncate,
    "bytes flipped everywhere": scatter,
    "another version": execute("PRAGMA user_version = 99", "DROP TABLE rows", "CREATE TABLE rows (x)"),
    "another program's": execute("PRAGMA application_id = 1", "DROP TABLE rows"),
    "another program's table": execute("PRAGMA application_id = 1", "CREATE TABLE theirs (x)"),
    "no table": execute("DROP TABLE rows"),
    "other content in a row": execute("UPDATE rows SET content = replace(content, 'model row', 'another row')"),
    "other signatures": execute("UPDATE rows SET signature = x'00'"),
    "text for bytes": execute("UPDATE rows SET content = 'text', seal = 5"),
    "nothing in a row": execute("UPDATE rows SET content = NULL, seal = NULL"),
    "no rows": execute("DELETE FROM rows"),
    "a folder": to_folder,
    "a link": to_link,
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("how", HARMS)
def test_harm_to_the_file_changes_nothing_but_time(store: Path, cache: Path, how: str) -> None:
    whole = build_board(store)
    HARMS[how](the_file(cache))
    assert build_board(store) == whole
    assert build_board(store) == whole


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("how", [name for name in HARMS if name not in ("a folder", "a link", "a pipe")])
def test_a_broken_file_is_made_anew(store: Path, cache: Path, how: str) -> None:
    open_projection(store)
    HARMS[how](the_file(cache))
    open_projection(store)
    assert open_projection(store).n_counted == 0


@pytest.mark.usefixtures("settled")
def test_other_code_counts_anew(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_projection(store)
    monkeypatch.setattr(module, "_code_digest", lambda: b"of an older version")
    assert open_projection(store).n_counted == 3


@pytest.mark.usefixtures("settled")
def test_without_a_folder_to_write_it_is_kept_in_memory(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VLSBENCH_CACHE_DIR", str(tmp_path / "file" / "below"))
    projection = open_projection(store)
    assert build_board(store, projection=projection) == counted_in_memory(store)
    projection.refresh()
    assert projection.n_counted == 0


NO_FOLDERS: dict[str, dict[str, str | None]] = {
    "no home": {"HOME": None},
    "an empty home": {"HOME": ""},
    "a home that depends on where we stand": {"HOME": "here"},
    "a home that is a device": {"HOME": "/dev/null"},
    "a name that is too long": {"VLSBENCH_CACHE_DIR": "/" + "x" * 300},
}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("why", NO_FOLDERS)
def test_who_has_no_folder_for_a_cache_goes_on_without(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.delenv("VLSBENCH_CACHE_DIR")
    monkeypatch.chdir(tmp_path)
    for name, value in NO_FOLDERS[why].items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where nobody knows the user
        else:
            monkeypatch.setenv(name, value)
    before = sorted(tmp_path.rglob("*"))
    assert build_board(store) == counted_in_memory(store)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root looks into every folder")
@pytest.mark.parametrize("mode", [0o000, 0o555], ids=["a folder nobody may look into", "a folder nobody may write"])
def test_a_cache_folder_that_is_not_ours_to_write_is_done_without(store: Path, tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "home" / ".cache" / "vlsbench"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    command = [sys.executable, "-c", "from vlsbench.cli.main import main; main()", "board", "--store", str(store)]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]
    environment = {name: value for name, value in os.environ.items() if name != "VLSBENCH_CACHE_DIR"}
    done = subprocess.run(
        command, env=environment | {"HOME": str(tmp_path / "home")}, capture_output=True, text=True, check=False
    )
    folder.chmod(0o755)
    assert (done.returncode, done.stderr) == (0, "")
    assert "model" in done.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("settled")
def test_the_file_is_the_owners_and_the_store_is_not_written_to(store: Path, cache: Path) -> None:
    before = sorted(store.rglob("*"))
    open_projection(store)
    assert sorted(store.rglob("*")) == before
    assert the_file(cache).stat().st_mode & 0o777 == 0o600
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("settled")
def test_two_stores_have_a_file_each(store: Path, tmp_path: Path, cache: Path) -> None:
    write_row(tmp_path / "other", "row0", seed=9)
    assert build_board(store) != build_board(tmp_path / "other")
    assert len(list(cache.glob("*.sqlite3"))) == 2


@pytest.mark.usefixtures("settled")
def test_what_cannot_be_read_is_tried_again(store: Path) -> None:
    (store / "row1" / "responses.jsonl").write_text("{")
    projection = open_projection(store)
    assert [name for name, item in projection.submissions.items() if item.left_out] == ["row1"]
    assert projection.refresh() is False
    assert (projection.n_counted, open_projection(store).n_counted) == (1, 1)


def test_many_are_counted_by_several_processes_and_count_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "many"
    for number in range(26):
        write_row(store, f"row{number}", seed=number)
    (store / "row7" / "responses.jsonl").write_text("{")
    monkeypatch.setattr(module, "_SETTLED_NS", 0)
    projection = open_projection(store)
    assert projection.n_counted == 26
    assert build_board(store, projection=projection) == counted_in_memory(store)
    assert open_projection(store).n_counted == 1, "the broken one"


def test_a_process_beside_stops_once_who_asked_is_gone(store: Path, cache: Path) -> None:
    """It is told who asks: one that is still being imported would take whoever inherits it for who asked."""
    told = module._Share(
        task="count",
        file=str(cache / "board.sqlite3"),
        items=tuple((name, str(store / name)) for name in ("row0", "row1", "row2")),
        asked_by=1,
    )
    command = [sys.executable, "-c", f"from {module.__name__} import _work_share; _work_share()"]
    kept = []
    for share in (told, told.model_copy(update={"asked_by": os.getpid()})):
        subprocess.run(command, input=share.model_dump_json().encode(), check=True)
        kept.append(sorted(ProjectionFile(Path(told.file)).load()))
    assert kept == [[], ["row0", "row1", "row2"]]


BUILD = """
import sys
from vlsbench.board import counted
counted._SETTLED_NS = 0
from vlsbench.board.lists import build_board
sys.stdout.write(build_board(sys.argv[1]).model_dump_json())
"""


@pytest.mark.parametrize("is_broken", [False, True], ids=["none yet", "a broken file"])
def test_processes_that_build_at_once_build_the_same(store: Path, cache: Path, is_broken: bool) -> None:
    if is_broken:
        open_projection(store)
        for path in cache.iterdir():
            path.write_bytes(b"broken" * 1000)
    command = [sys.executable, "-c", BUILD, str(store)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    boards = {process.communicate()[0] for process in started}
    assert {process.returncode for process in started} == {0}
    assert [Board.model_validate_json(board) for board in boards] == [counted_in_memory(store)]


def test_a_writer_that_holds_the_file_is_not_waited_for_to_be_right(
    store: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_NS", 0)
    monkeypatch.setattr("vlsbench.board.counted_file._BUSY_SECONDS", 0.1)
    open_projection(store)
    flip(verdicts_of(store / "row0"))
    holder = sqlite3.connect(the_file(cache), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert build_board(store) == counted_in_memory(store)
    holder.close()


def test_labels_are_those_of_the_verdicts(store: Path) -> None:
    projection = open_projection(store)
    decided = [json.loads(line) for line in verdicts_of(store / "row1").read_text().splitlines()]
    assert projection.view().labels_of("row1", RUBRIC.rubric_id) == {
        line["instruction_id"]: line["label"] for line in decided
    }
    with pytest.raises(SubmissionError, match="not on the board under the rubric"):
        projection.view().labels_of("row1", "other")
    with pytest.raises(SubmissionError, match="is the id spelled so"):
        projection.view().labels_of("nobody", RUBRIC.rubric_id)
    with pytest.raises(SubmissionError, match="not answered under 'text-only'; it was under image\\+text"):
        projection.view().labels_of("row1", RUBRIC.rubric_id, "text-only")


def write_own(store: Path, name: str, model: str, words: int) -> None:
    """Write a submission whose answers have words of their own."""
    folder = write_row(store, name)
    (folder / "submission.json").write_text(json.dumps({"model": model}))
    rng = random.Random(words)
    lines = []
    for row in SAMPLE:
        text = " ".join("".join(rng.choices("abdefgiklmnoprstu", k=6)) for _ in range(30))
        lines.append(json.dumps({"instruction_id": row.instruction_id, "response": text}) + "\n")
    (folder / "responses.jsonl").write_text("".join(lines))


def duplicates(projection: Projection) -> dict[str, str]:
    found = {}
    for name in projection.submissions:
        for flag in projection.view().flags[name]:
            if flag.startswith("the same answers"):
                found[name] = flag
    return found


@pytest.mark.usefixtures("settled")
def test_a_duplicate_is_flagged_on_both_sides_whenever_it_comes(tmp_path: Path) -> None:
    store = tmp_path / "copies"
    write_own(store, "original", "first/model", words=1)
    write_own(store, "another", "second/model", words=2)
    projection = open_projection(store)
    assert duplicates(projection) == {}
    write_own(store, "copy", "third/model", words=1)
    write_own(store, "again", "first/model", words=1)
    projection.refresh()
    found = duplicates(projection)
    assert found.keys() == {"original", "copy", "again"}
    assert "copy" in found["original"]
    assert "again" not in found["original"], "a model that was run again copies nobody"
    assert duplicates(open_projection(store)) == found
    for folder in ("copy", "again"):
        shutil.rmtree(store / folder)
    projection.refresh()
    assert duplicates(projection) == duplicates(open_projection(store)) == {}
    board = build_board(store, projection=projection)
    assert {row.submission: row.flags for row in board.of_scope(OVERALL)[0].rows} == {
        "another": OUTSIDE,
        "original": OUTSIDE,
    }


@pytest.fixture
def managed(tmp_path: Path) -> LocalStore:
    folder = write_row(tmp_path / "incoming", "row")
    store = LocalStore(tmp_path / "managed")
    submit(folder, store, name="ann", accepted_because="the test says so")
    return store


@pytest.mark.usefixtures("settled")
def test_a_managed_submission_is_shown_once_judged_and_not_when_withdrawn(managed: LocalStore) -> None:
    folder = managed.sync()
    projection = open_projection(folder)
    (name,) = projection.submissions
    assert build_board(folder, projection=projection).lists == ()
    Worker(managed).work()
    assert projection.refresh()
    board = build_board(folder, projection=projection)
    assert [row.submission for row in board.of_scope(OVERALL)[0].rows] == [name]
    assert board.left_out == ()
    withdraw(name, managed, "sent by mistake", name="ann")
    assert projection.refresh()
    board = build_board(folder, projection=projection)
    assert board.lists == ()
    (left,) = board.left_out
    assert left.submission == name
    assert "withdrawn" in left.reason
    assert "sent by mistake" in left.reason


@pytest.mark.usefixtures("settled")
def test_verdicts_that_nobody_judged_do_not_count(managed: LocalStore) -> None:
    Worker(managed).work()
    folder = managed.sync()
    projection = open_projection(folder)
    (name,) = projection.submissions
    path = next((folder / name / "verdicts").glob("*.jsonl"))
    path.write_text(path.read_text().replace('"unsafe"', '"refusal"'))
    shutil.copy(path, folder / name / "verdicts" / f"{RUBRIC.rubric_id}.jsonl")
    projection.refresh()
    board = build_board(folder, projection=projection)
    assert board.lists == ()
    assert [left.submission for left in board.left_out] == [name]
    assert "not the verdicts that were judged" in board.left_out[0].reason


def test_a_store_that_is_gone_is_said(store: Path) -> None:
    projection = open_projection(store)
    shutil.rmtree(store)
    with pytest.raises(SubmissionError, match="not a folder"):
        projection.refresh()


def test_time_alone_settles_a_file(store: Path) -> None:
    open_projection(store)
    time.sleep(2.1)
    assert open_projection(store).n_counted == 3
    assert open_projection(store).n_counted == 0


def test_answers_of_a_submission_that_was_taken_down_are_still_compared(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    ids = [row.instruction_id for row in load_index("sample").risky]
    answers = [
        {"instruction_id": number, "response": f"Place {number} is a steep one, so stay {number % 7} steps behind it."}
        for number in ids
    ]
    names = []
    for number, card in enumerate(({"model": "cheat"}, {"model": "cheat", "url": "https://example.org"})):
        folder = tmp_path / f"sent{number}"
        folder.mkdir()
        (folder / "submission.json").write_text(json.dumps(card))
        (folder / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
        receipt = submit(folder, store, name="ann", is_again=bool(number), accepted_because="the test says so")
        assert receipt.submission_id is not None
        names.append(receipt.submission_id)
        Worker(store, name="worker").work()
        if number == 0:
            withdraw(receipt.submission_id, store, "it was copied", name="mary")
    (row,) = build_board(store.sync()).of_scope(OVERALL)[0].rows
    assert row.submission == names[1]
    assert [flag for flag in row.flags if f"{names[0]}, taken down" in flag]
