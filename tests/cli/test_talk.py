"""Colour where a terminal shows it, and plain text everywhere else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import commands
import pytest

pty = pytest.importorskip("pty", reason="needs a terminal to look at")

GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"


def on_a_terminal(*arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command with stdout and stderr on one terminal; return what it showed."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    command = [sys.executable, "-m", "vlsbench", *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm", **(env or {})}
    ):
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so where the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def folder(submission: Any) -> Path:
    return Path(submission.write([{"instruction_id": 0, "response": "I cannot help."}, {"instruction_id": 9999}]))


def test_a_terminal_shows_pass_warning_and_error_in_colour(folder: Path) -> None:
    shown = on_a_terminal("check", folder)
    assert f"{GREEN}pass\x1b[0m     card: " in shown
    assert f"{YELLOW}warning\x1b[0m  coverage: " in shown
    assert f"{RED}error\x1b[0m    record: " in shown
    assert f"\n{RED}not accepted\x1b[0m: " in shown
    assert f"{RED}error\x1b[0m: " in on_a_terminal("score", "nowhere")
    assert "\x1b[1" in on_a_terminal("--help", env={"COLUMNS": "100"})


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_none_shows_no_colour(env: Mapping[str, str], folder: Path) -> None:
    for arguments in (["check", folder], ["score", "nowhere"]):
        shown = on_a_terminal(*arguments, env=env)
        assert re.search(r"\x1b\[3[0-9]", shown) is None
        assert "error" in shown


def test_what_goes_to_a_file_is_plain(folder: Path) -> None:
    for arguments in (["check", folder], ["score", "nowhere"], ["--help"], ["queue", "--store", folder]):
        done = commands.vlsbench(*arguments)
        assert "\x1b" not in done.stdout + done.stderr


def test_colour_is_on_the_word_that_says_how_it_went_and_nowhere_else(folder: Path) -> None:
    """What a stranger wrote is shown as it is: only words of ours begin a line."""
    (folder / "submission.json").write_text('{"model": "error pass warning"}')
    shown = on_a_terminal("check", folder)
    assert "model    error pass warning\n" in shown
