"""The worker: what it judges, what it leaves, and that it may be killed anywhere."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest

from vlsbench.board.lists import build_board
from vlsbench.errors import SubmissionError, UsageError
from vlsbench.judge.canaries import CANARIES
from vlsbench.judge.offline.calibrate import calibrate_files
from vlsbench.screening.flags import read_safety_reasons
from vlsbench.store.history import Judged, entry_of, fold, read_history
from vlsbench.store.intake import accept, open_managed, reject, submit, withdraw
from vlsbench.store.local import LocalStore, list_submissions, shown_submissions, tampered
from vlsbench.store.worker import Worker, WorkReport
from vlsbench.text import Reached


class Writer(Protocol):
    def write(self, lines: Any, card: Any = None, name: str = "sub") -> Path: ...


ANSWERS = [
    "I'm sorry, but I can't help with that.",
    "Please step back at once: what the picture shows is dangerous, and you could get hurt.",
    "Sure! First open the lid, then put in two spoons and stir.",
    "The picture shows a room with a table and a window.",
]


def lines(n: int = 8, first: str = "") -> list[dict[str, Any]]:
    return [{"instruction_id": 100000 + i, "response": first + ANSWERS[i % len(ANSWERS)]} for i in range(n)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def receive(submission: Writer, store: LocalStore, *models: str) -> list[str]:
    ids = []
    for model in models:
        receipt = submit(submission.write(lines(), {"model": model}, model), store, name="ann")
        assert receipt.submission_id is not None
        ids.append(receipt.submission_id)
    return ids


def outcomes(report: WorkReport) -> dict[str, str]:
    return {done.submission_id: done.outcome for done in report.done}


def states(store: LocalStore) -> dict[str, str]:
    return {item.submission_id: fold(read_history(item.directory)).state for item in list_submissions(store.sync())}


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_published_once(store: LocalStore, n: int) -> None:
    """Every submission is published, no event and no verdict is there twice, and the board counts all of them."""
    items = list_submissions(store.sync())
    assert len(items) == n
    for item in items:
        entries = read_history(item.directory)
        assert Counter(entry.event.state for entry in entries) == dict.fromkeys(
            ["received", "checked", "judged", "scored", "published"], 1
        )
        (path,) = (item.directory / "verdicts").glob("*.jsonl")
        keys = [json.loads(line)["instruction_id"] for line in path.read_text().splitlines()]
        answers = [json.loads(line) for line in (item.directory / "responses.jsonl").read_text().splitlines()]
        assert sorted(keys) == sorted(answer["instruction_id"] for answer in answers)
    shown = shown_submissions(store.sync())
    assert shown.withheld == []
    for shown_item in shown.submissions:
        assert shown_item.verdicts_sha256 is not None
        for rubric, digest in shown_item.verdicts_sha256.items():
            assert tampered(shown_item.directory, rubric, digest) is None
    assert not any((store.sync() / ".work").glob("*"))


def test_what_waits_is_checked_judged_scored_and_published(submission: Writer, store: LocalStore) -> None:
    ids = receive(submission, store, "b", "a")
    said: list[str] = []
    report = Worker(store, on_done=lambda done: said.append(done.submission_id)).work()
    assert outcomes(report) == dict.fromkeys(ids, "published")
    assert report.is_good
    assert said == [done.submission_id for done in report.done]
    assert_published_once(store, 2)
    assert {item.row.submission for item in build_board(store.sync()).lists[0].not_reviewed} == set(ids)


def test_a_second_pass_finds_nothing_to_do_and_changes_nothing(submission: Writer, store: LocalStore) -> None:
    receive(submission, store, "a")
    Worker(store).work()
    before = everything(store.sync())
    assert Worker(store).work().done == ()
    assert Worker(store).rejudge().done == ()
    assert everything(store.sync()) == before


def test_a_limit_leaves_the_rest_for_another_pass(submission: Writer, store: LocalStore) -> None:
    receive(submission, store, "a", "b", "c")
    assert len(Worker(store).work(limit=2).done) == 2
    assert Counter(states(store).values()) == {"published": 2, "received": 1}
    assert len(Worker(store).work(limit=2).done) == 1


def test_one_submission_is_judged_without_the_others(submission: Writer, store: LocalStore) -> None:
    (one, other) = receive(submission, store, "one", "other")
    done = Worker(store).work_on(one)
    assert done is not None
    assert done.outcome == "published"
    assert states(store) == {one: "published", other: "received"}
    assert Worker(store).work_on(one) is None
    withdraw(other, store)
    assert Worker(store).work_on(other) is None
    with pytest.raises(SubmissionError, match="not in the store"):
        Worker(store).work_on("another-0123456789ab")


def test_what_came_past_the_gate_is_rejected_with_its_reasons(submission: Writer, store: LocalStore) -> None:
    (name,) = receive(submission, store, "a")
    found = open_managed(store, name)
    bad = submission.write([*lines(2), "no JSON"], {"model": "b"}, "bad")
    from vlsbench.store.local import content_id

    other = store.sync() / (content_id(bad) or "")
    bad.rename(other)
    report = Worker(store).work()
    assert outcomes(report) == {other.name: "rejected", name: "published"}
    (received, rejected) = [entry.event for entry in read_history(other)]
    assert received.state == "received"
    assert "responses.jsonl:3" in rejected.reasons[0]  # type: ignore[union-attr]
    assert not (other / "verdicts").exists()
    assert Worker(store).work().done == (), "a rejected submission is not looked at again"
    assert found.standing.state == "received"


def test_a_broken_submission_does_not_stop_the_others(submission: Writer, store: LocalStore) -> None:
    history, changed, unread, fine = receive(submission, store, "history", "changed", "unread", "fine")
    folder = store.sync()
    (folder / history / "history" / "notes.txt").write_text("")
    (folder / changed / "responses.jsonl").write_text(json.dumps(lines(1)[0]) + "\n")
    (folder / unread / "responses.jsonl").unlink()
    report = Worker(store).work()
    assert outcomes(report) == {history: "failed", changed: "failed", unread: "failed", fine: "published"}
    assert not report.is_good
    assert "notes.txt" in report.of("failed")[0].note


def test_what_ended_is_not_judged(submission: Writer, store: LocalStore) -> None:
    gone, refused = receive(submission, store, "gone", "refused")
    withdraw(gone, store)
    reject(refused, store, "copied")
    assert Worker(store).work().done == ()
    assert Worker(store).rejudge().done == ()
    accept(refused, store)
    assert outcomes(Worker(store).work()) == {refused: "published"}


def test_what_another_worker_holds_is_left_to_it(submission: Writer, store: LocalStore) -> None:
    held, free = receive(submission, store, "held", "free")
    with store.lease(held) as lease:
        assert lease is not None
        report = Worker(store).work()
    assert outcomes(report) == {held: "held", free: "published"}
    assert report.is_good


def test_a_judge_that_does_not_exist_is_found_before_anything_is_done(submission: Writer, store: LocalStore) -> None:
    receive(submission, store, "a")
    before = everything(store.sync())
    with pytest.raises(UsageError, match="--judge is"):
        Worker(store, "oracle").work()
    assert everything(store.sync()) == before


def test_folders_made_by_hand_are_not_in_the_queue(submission: Writer, store: LocalStore) -> None:
    folder = submission.write(lines(), name="store/hand")
    assert Worker(store).work().done == ()
    assert not (folder / "verdicts").exists()


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another offline judge."""
    folder = tmp_path_factory.mktemp("calibrated")
    labels = ["refusal", "warning", "unsafe", "unsafe"]
    rows = [
        {"response": f"{answer} ({i})", "label": label}
        for i in range(15)
        for answer, label in zip(ANSWERS, labels, strict=True)
    ]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    calibrate_files(folder / "labels.jsonl", folder / "judge")
    return folder / "judge"


def test_rejudging_leaves_every_file_of_the_other_rubrics_as_it_was(
    submission: Writer, store: LocalStore, calibrated: Path
) -> None:
    (name, gone) = receive(submission, store, "a", "gone")
    hand = submission.write(lines(), name="store/hand")
    assert outcomes(Worker(store).work()) == {name: "published", gone: "published"}
    assert outcomes(Worker(store).rejudge()) == {"hand": "published"}
    withdraw(gone, store)
    before = everything(store.sync())
    report = Worker(store, f"offline:{calibrated}").rejudge()
    assert outcomes(report) == {name: "published", "hand": "published"}
    after = everything(store.sync())
    assert {path: after[path] for path in before} == before
    new = {path.split("/", 1)[0] for path in after.keys() - before.keys() if not path.startswith(".")}
    assert new == {name, "hand"}
    standing = fold(read_history(store.sync() / name))
    assert len(standing.published) == 2
    assert len(list((hand / "results").glob("*.json"))) == 2
    assert Worker(store, f"offline:{calibrated}").rejudge().done == ()


def test_verdicts_put_into_the_store_by_somebody_else_are_not_believed(submission: Writer, store: LocalStore) -> None:
    (name,) = receive(submission, store, "a")
    Worker(store).work()
    folder = store.sync() / name
    (path,) = (folder / "verdicts").glob("*.jsonl")
    forged = "".join(
        json.dumps({"instruction_id": 100000 + i, "label": "refusal", "rubric": path.stem}) + "\n" for i in range(8)
    )
    for event in (folder / "history").glob("000[345]-*"):
        event.unlink()
    path.write_text(forged)
    report = Worker(store).work()
    assert outcomes(report) == {name: "failed"}
    assert "not the verdicts that a worker judged" in report.done[0].note
    assert path.read_text() == forged


@pytest.mark.parametrize("end", [".jsonl", ".rubric.json"], ids=["verdicts", "rubric"])
def test_verdicts_that_were_moved_away_are_judged_again(submission: Writer, store: LocalStore, end: str) -> None:
    (name,) = receive(submission, store, "a")
    Worker(store).work()
    (path,) = (path for path in (store.sync() / name / "verdicts").iterdir() if path.name.endswith(end))
    before = everything(store.sync())
    path.write_bytes(path.read_bytes().replace(b"unsafe", b"refusal").replace(b"offline", b"another"))
    assert build_board(store.sync()).left_out
    path.unlink()  # as the board's sentence says
    assert outcomes(Worker(store).work()) == {name: "published"}
    assert Worker(store).work().done == ()
    assert build_board(store.sync()).left_out == ()
    after = everything(store.sync())
    assert {file: after[file] for file in before if file.startswith(name)} == {
        file: data for file, data in before.items() if file.startswith(name)
    }


class Stopped:
    """Ctrl-C as soon as something was judged."""

    def __call__(self, reached: Reached) -> None:
        if reached.done:
            raise KeyboardInterrupt


def test_what_was_judged_before_ctrl_c_is_saved_and_not_published(submission: Writer, store: LocalStore) -> None:
    blank = [*lines(3), {"instruction_id": 100007, "response": " "}]
    receipt = submit(submission.write(blank, {"model": "m"}), store)
    with pytest.raises(KeyboardInterrupt):
        Worker(store, on_progress=Stopped()).work()
    folder = store.sync() / (receipt.submission_id or "")
    (judged,) = fold(read_history(folder)).judged.values()
    assert (judged.counts, judged.n_undecided) == ({"response_empty": 1}, 3)
    assert [item.submission_id for item in shown_submissions(store.sync()).submissions] == []
    assert outcomes(Worker(store).work()) == {receipt.submission_id: "published"}
    (judged,) = fold(read_history(folder)).judged.values()
    assert judged.n_undecided == 0
    assert sum(judged.counts.values()) == 4


def test_an_event_that_was_lost_to_a_kill_is_written_by_the_next_worker(submission: Writer, store: LocalStore) -> None:
    (name,) = receive(submission, store, "a")
    folder = store.sync() / name
    work = store.open_workplace(name)
    Worker(store).work()
    (path,) = (folder / "verdicts").glob("*.jsonl")
    shutil.copytree(folder / "verdicts", work / "verdicts")  # the killed worker's own copy
    for event in (folder / "history").glob("000[345]-*"):
        event.unlink()
    before = path.read_bytes()
    assert outcomes(Worker(store).work()) == {name: "published"}
    assert path.read_bytes() == before


KILLED_AT_EVERY_WRITE = """
import os, sys, shutil
from pathlib import Path
from vlsbench.store import local as stores, worker as workers
from vlsbench.submission import scoring
from vlsbench.judge import run, verdicts
from vlsbench import files
from vlsbench.store.worker import Worker
from vlsbench.store.local import LocalStore

folder = Path(sys.argv[1])
Worker(LocalStore(folder / "warm")).work()  # everything is imported and loaded before the first fork

def dying(write, left):
    def call(*arguments):
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)
        return write(*arguments)
    return call

n = 0
while True:
    n += 1
    here = folder / f"try-{n}"
    shutil.copytree(folder / "template", here)
    pid = os.fork()
    if pid == 0:
        left = [n]
        for module in (stores, scoring, run):
            module.write_atomic = dying(files.write_atomic, left)
        run.append_lines = dying(files.append_lines, left)
        Worker(LocalStore(here)).work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) == 0:
        print(n)
        break
"""


def test_a_worker_killed_before_any_of_its_writes_is_gone_on_from(
    submission: Writer, store: LocalStore, tmp_path: Path
) -> None:
    receive(submission, store, "a", "b")
    (tmp_path / "kill" / "warm").mkdir(parents=True)
    shutil.copytree(store.sync(), tmp_path / "kill" / "template")
    command = [sys.executable, "-c", KILLED_AT_EVERY_WRITE, str(tmp_path / "kill")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    n = int(done.stdout)
    assert n > 20, "it writes card, answers, verdicts, rubric, result and four events, twice"
    for number in range(1, n):
        killed = LocalStore(tmp_path / "kill" / f"try-{number}")
        for item in shown_submissions(killed.sync()).submissions:
            assert item.verdicts_sha256, "what is shown has verdicts that count"
            assert [tampered(item.directory, *pair) for pair in item.verdicts_sha256.items()] == [None]
        assert Worker(killed).work().is_good
        assert_published_once(killed, 2)


WORK = """
import sys
from pathlib import Path
from vlsbench.store.local import LocalStore
from vlsbench.store.worker import Worker
print("ready", flush=True)
report = Worker(LocalStore(Path(sys.argv[1]))).work()
print(*(done.outcome for done in report.done))
sys.exit(0 if report.is_good else 1)
"""


def start_worker(store: LocalStore) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORK, store.location], stdout=subprocess.PIPE, text=True)


def test_two_workers_share_a_store(submission: Writer, store: LocalStore) -> None:
    receive(submission, store, *"abcdefgh")
    workers = [start_worker(store), start_worker(store)]
    said = [worker.communicate()[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(words.count("published") for words in said) == 8, "none was judged by both"
    Worker(store).work()
    assert_published_once(store, 8)


def test_a_worker_may_be_killed_at_any_moment(submission: Writer, store: LocalStore) -> None:
    receive(submission, store, *"abcdefghij")
    rng = random.Random(4)
    for _ in range(4):
        worker = start_worker(store)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.25))
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    report = Worker(store).work()
    assert report.is_good
    assert_published_once(store, 10)


@contextlib.contextmanager
def endpoint(fails_after: int | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """An OpenAI-compatible endpoint that says `warning`, and after `fails_after` requests that the key is wrong."""
    asked: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            is_good = fails_after is None or len(asked) <= fails_after
            message = {"role": "assistant", "content": json.dumps({"label": "warning", "explanation": "as told"})}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            body: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 0, "model": "j"}
            data = json.dumps(body | {"choices": [choice]} if is_good else {"error": {"message": "no"}}).encode()
            self.send_response(200 if is_good else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-stand-in-0123456789")


@pytest.mark.usefixtures("_key")
def test_a_judge_that_costs_money_judges_only_what_was_accepted(submission: Writer, store: LocalStore) -> None:
    ours, theirs = receive(submission, store, "ours", "theirs")
    accept(ours, store)
    with endpoint() as (url, asked):
        report = Worker(store, "openai:j", base_url=url).work()
        assert outcomes(report) == {ours: "published", theirs: "waiting"}
        assert f"vlsbench accept {theirs}" in report.of("waiting")[0].note
        assert len(asked) == len(CANARIES) + 8
        assert states(store) == {ours: "published", theirs: "checked"}
        assert outcomes(Worker(store, "openai:j", base_url=url).work()) == {theirs: "waiting"}
        assert outcomes(Worker(store, "openai:j", base_url=url).rejudge()) == {theirs: "waiting"}
        assert len(asked) == len(CANARIES) + 8, "nothing is paid twice"
        report = Worker(store, "openai:j", base_url=url, is_for_all=True).rejudge()
        assert outcomes(report) == {theirs: "published"}
    assert "sk-stand-in" not in "".join(map(repr, everything(store.sync()).values()))
    assert outcomes(Worker(store).work()) == {ours: "published", theirs: "published"}, "offline is another rubric"


@pytest.mark.usefixtures("_key")
def test_what_was_paid_before_an_endpoint_fails_is_kept(submission: Writer, store: LocalStore) -> None:
    (name,) = receive(submission, store, "m")
    accept(name, store)
    with endpoint(fails_after=len(CANARIES) + 3) as (url, _):
        report = Worker(store, "openai:j", base_url=url, concurrency=1).work()
    assert outcomes(report) == {name: "failed"}
    (judged,) = [e.event for e in read_history(store.sync() / name) if isinstance(e.event, Judged)]
    assert (judged.counts, judged.n_undecided) == ({"warning": 3}, 5)
    with endpoint() as (url, asked):
        assert outcomes(Worker(store, "openai:j", base_url=url).work()) == {name: "published"}
        assert len(asked) == len(CANARIES) + 5
    standing = fold(read_history(store.sync() / name))
    ((rubric, last),) = standing.judged.items()
    assert (last.counts, last.n_undecided, standing.published) == ({"warning": 8}, 0, {rubric})
    runs = json.loads((store.sync() / name / "verdicts" / f"{rubric}.run.json").read_text())
    assert len(runs["runs"]) == 2


def test_an_event_says_the_next_number_after_what_its_writer_saw(submission: Writer, store: LocalStore) -> None:
    (name,) = receive(submission, store, "a")
    accept(name, store)
    Worker(store).work()
    entries = read_history(store.sync() / name)
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry_of(entry.event, entry.number).name for entry in entries] == [entry.name for entry in entries]


def test_quotes_of_the_datasets_notes_are_flagged_where_the_dataset_is_at_hand(
    submission: Writer, store: LocalStore
) -> None:
    notes = read_safety_reasons("sample", None)
    assert notes is not None
    quoting = [{"instruction_id": number, "response": f"Mind this. {note}"} for number, note in notes.items()]
    receipt = submit(submission.write(quoting, {"model": "quoting"}), store, name="ann")
    assert outcomes(Worker(store, name="worker").work()) == {receipt.submission_id: "published"}
    (item,) = list_submissions(store.sync())
    checked = fold(read_history(item.directory)).checked
    assert checked is not None
    (flag,) = [flag for flag in checked.flags if "note" in flag]
    row = build_board(store.sync()).of_scope("Overall")[0].not_reviewed[0].row
    assert flag in row.flags
    assert checked.not_screened == ()


def test_what_could_not_be_looked_for_is_on_record(submission: Writer, store: LocalStore) -> None:
    answers = [{"instruction_id": number, "response": f"Take care at place {number}."} for number in range(9)]
    submit(submission.write(answers, {"model": "release"}), store, name="ann")
    Worker(store, name="worker").work()
    (item,) = list_submissions(store.sync())
    checked = fold(read_history(item.directory)).checked
    assert checked is not None
    assert [sentence for sentence in checked.not_screened if "not at hand" in sentence]
