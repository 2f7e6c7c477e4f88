from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlsbench.errors import SubmissionError
from vlsbench.files import append_lines, exclusive, read_lines, write_atomic


def test_lines_keep_their_numbers_over_blank_ones(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\n  \nfour")
    assert [(line.number, line.data) for line in read_lines(path)] == [(1, b"one"), (4, b"four")]


def test_a_line_that_is_too_long_is_reported_with_its_size_and_not_held(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\n" + b"x" * 5000 + b"\nb\n" + b"y" * 3000)
    found = [(line.number, line.is_too_long, line.size, len(line.data)) for line in read_lines(path, max_bytes=2000)]
    assert found == [(1, False, 2, 1), (2, True, 5001, 1024), (3, False, 2, 1), (4, True, 3000, 1024)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b'{"n":1}\n'),
        (b'{"a":1}\n', b'{"a":1}\n{"n":1}\n'),
        (b'{"a":1}', b'{"a":1}\n{"n":1}\n'),  # a whole line that lost its end is kept
        (b'{"a":1}\n{"b":', b'{"a":1}\n{"n":1}\n'),  # a torn line is dropped
        (b'{"b":' + b"x" * 70_000, b'{"n":1}\n'),  # a torn line longer than one block
        (b'{"a":1}\n{"b":"' + b"x" * 70_000, b'{"a":1}\n{"n":1}\n'),
    ],
)
def test_a_torn_last_line_never_spoils_the_next(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(before)
    append_lines(path, ['{"n":1}'])
    assert path.read_bytes() == after


def test_two_processes_never_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    code = f"from pathlib import Path\nfrom vlsbench.files import exclusive\nwith exclusive(Path({str(path)!r})): pass"
    with exclusive(path):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "another process is writing this file" in second.stderr
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f"

    def fail() -> None:
        with exclusive(path):
            raise SubmissionError("x")

    with pytest.raises(SubmissionError):
        fail()
    with exclusive(path):
        pass


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]  # noqa: PTH208 - hidden files count


def test_appended_lines_are_json_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "f"
    append_lines(path, [json.dumps({"text": "line\nbreak \u2028"})])
    append_lines(path, [])
    assert [json.loads(line.data)["text"] for line in read_lines(path)] == ["line\nbreak \u2028"]
