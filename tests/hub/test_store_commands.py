"""The commands on a store: what they print, where, and their exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest
from typer.testing import CliRunner, Result

from vlsbench.cli.main import app


class Writer(Protocol):
    def write(self, lines: Any, card: Any = None, name: str = "sub") -> Path: ...


LINES = [{"instruction_id": 100000 + i, "response": "I'm sorry, but I can't help."} for i in range(3)]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def name(submission: Writer, store: Path) -> str:
    """Of a submission that was received and not accepted yet."""
    return call("submit", submission.write(LINES), "--store", store, "--name", "ann", "--review").stdout.strip()


def test_submit_prints_the_id_alone(name: str, submission: Writer, store: Path) -> None:
    assert (store / name / "responses.jsonl").is_file()
    again = call("submit", submission.write(LINES), "--store", store)
    assert (again.exit_code, again.stdout.strip()) == (0, name)
    assert "is there already: received" in again.stderr


def test_a_submission_that_does_not_pass_names_every_problem_and_exits_1(submission: Writer, store: Path) -> None:
    done = call("submit", submission.write([*LINES, "no JSON", LINES[0]]), "--store", store)
    assert done.exit_code == 1
    assert "responses.jsonl:4" in done.stderr
    assert "responses.jsonl:5" in done.stderr
    assert "nothing was stored" in done.stderr
    assert not store.exists()


def test_without_a_store_it_is_the_folder_submissions_here(
    submission: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = call("submit", submission.write(LINES)).stdout.strip()
    assert (tmp_path / "submissions" / name).is_dir()
    assert call("queue").stdout.startswith(f"received, accepted  {name}")  # whoever owns the folder runs this


def test_submit_prints_a_receipt_as_json(submission: Writer, store: Path) -> None:
    receipt = json.loads(call("submit", submission.write(LINES), "--store", store, "--json").stdout)
    assert (receipt["is_new"], receipt["state"], receipt["report"]["ok"]) == (True, "received", True)


def test_a_submission_goes_through_its_states(name: str, store: Path) -> None:
    worked = call("work", "--store", store, "--name", "bot")
    assert (worked.exit_code, worked.stdout.split()[:2]) == (0, ["published", name])
    assert worked.stderr == "1 published\n"
    assert call("work", "--store", store).stderr == "nothing to do\n"
    assert call("accept", name, "--store", store, "--name", "bob").exit_code == 0
    assert call("reject", name, "--store", store, "--reason", "copied").exit_code == 0
    assert call("withdraw", name, "--store", store).exit_code == 0
    changes = json.loads(call("changelog", name, "--store", store, "--json").stdout)
    assert [change["state"] for change in changes] == [
        *("received", "checked", "judged", "scored", "published"),
        *("accepted", "rejected", "withdrawn"),
    ]
    (row,) = json.loads(call("queue", "--store", store, "--json").stdout)
    assert (row["submission_id"], row["state"]) == (name, "withdrawn")
    assert call("queue", "--store", store).stdout.startswith(f"withdrawn  {name}  org/model\n")


def test_what_failed_exits_1(name: str, store: Path) -> None:
    (store / name / "history" / "notes.txt").write_text("")
    done = call("work", "--store", store)
    assert (done.exit_code, done.stdout.split()[:2]) == (1, ["failed", name])


def test_what_waits_for_a_maintainer_is_said_and_is_no_failure(
    name: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-stand-in-0123456789")
    done = call("work", "--store", store, "--judge", "openai:m", "--base-url", "http://127.0.0.1:9/v1")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"1 waits for a maintainer: `vlsbench accept {name}` lets openai:m judge it" in done.stderr


def test_rejudging_says_what_it_did(name: str, store: Path) -> None:
    done = call("rejudge", "--store", store)
    assert (done.exit_code, done.stdout.split()[:2]) == (0, ["published", name])
    assert call("rejudge", "--store", store).stderr == "nothing to do\n"


def test_a_worker_that_watches_judges_what_comes_and_stops_in_order(name: str, submission: Writer, store: Path) -> None:
    code = "from vlsbench.cli.main import app; app()"
    command = [sys.executable, "-c", code, "work", "--store", str(store), "--watch", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stderr is not None
        assert worker.stdout.readline().split()[:2] == ["published", name]
        other = call("submit", submission.write(LINES, {"model": "other"}, "other"), "--store", store).stdout.strip()
        assert worker.stdout.readline().split()[:2] == ["published", other]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 130
        assert "goes on from there" in worker.stderr.read()
