"""The board answers on this machine, without network, token or key."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import commands
import pytest
from gradio_client import Client

from vlsbench import serve as serve_module
from vlsbench.board.lists import build_board
from vlsbench.errors import SubmissionError, UsageError
from vlsbench.serve import ServeOptions, build, serve

ROOT = Path(__file__).parents[2]


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # our own address
        assert answer.status == 200
        return str(answer.read().decode())


def test_served_page_answers_with_the_board_in_it(shared_address: str) -> None:
    page = _get(shared_address)
    assert "VLSBench leaderboard" in page
    assert "Good-VL-8B" in page


def test_served_page_loads_no_script_style_or_image_from_another_host(shared_address: str) -> None:
    loaded = re.findall(
        r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']((?:https?:)?//[^\"']+)", _get(shared_address)
    )
    assert [url for url in loaded if "127.0.0.1" not in url] == []


def test_a_port_that_is_taken_is_one_sentence(store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port} .* --port") as caught:
            serve(store, port=port)
    assert "\n" not in str(caught.value)


def test_a_store_that_is_no_folder_is_said_before_anything_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))  # which is set, and put back at the end
    with pytest.raises(SubmissionError, match="not a folder"):
        build(tmp_path / "absent")


@pytest.mark.parametrize(
    ("environment", "per_day", "is_on_hub"),
    [
        ({}, None, False),
        ({"SPACE_ID": "acme/board"}, None, False),  # gradio knows a Space by both
        ({"SPACE_ID": "acme/board", "SYSTEM": "spaces"}, 5, True),
        ({"SPACE_ID": "acme/board", "SYSTEM": "spaces", "VLSBENCH_SUBMISSIONS_PER_DAY": "0"}, None, True),
        ({"VLSBENCH_SUBMISSIONS_PER_DAY": " 3 "}, 3, False),
    ],
)
def test_settings_of_a_space_come_from_its_environment(
    environment: dict[str, str], per_day: int | None, is_on_hub: bool
) -> None:
    options = ServeOptions.read(environment)
    assert (options.per_day, options.is_on_hub) == (per_day, is_on_hub)


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "1e3", "٣"])
def test_a_number_that_is_none_is_one_sentence(value: str) -> None:
    with pytest.raises(UsageError, match="VLSBENCH_SYNC_SECONDS: a whole number"):
        ServeOptions.read({"VLSBENCH_SYNC_SECONDS": value})


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("10.0.0.7", ("10.0.0.7/32",)),
        (" 10.0.0.7/8 ,::1", ("10.0.0.0/8", "::1/128")),
        ("", ()),
        ("proxy.example", "such as 127.0.0.1 or 10.0.0.0/8; found 'proxy.example'"),
        ("10.0.0.0/33", "found '10.0.0.0/33'"),
        ("0.0.0.0/0", "is every address; name that of the proxy"),
        ("::/0", "is every address"),
        ("*", r"found '\*'"),
    ],
)
def test_proxies_that_are_trusted_are_named_by_address(value: str, networks: tuple[str, ...] | str) -> None:
    environment = {"VLSBENCH_TRUSTED_PROXIES": value}
    if isinstance(networks, tuple):
        assert ServeOptions.read(environment).trusted_proxies == networks
        return
    with pytest.raises(UsageError, match=f"VLSBENCH_TRUSTED_PROXIES: .*{networks}"):
        ServeOptions.read(environment)


def test_missing_gradio_is_answered_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module.importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(UsageError, match=re.escape("pip install 'vlsbench[leaderboard]'")):
        build()


class Entry(NamedTuple):
    """The Space's entry, run as a script."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    temporary: Path


@pytest.fixture
def entry(store: Path, tmp_path: Path) -> Iterator[Entry]:
    """Run it on a store, with a folder of its own for temporary files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run, temporary, log = tmp_path / "run", tmp_path / "temporary", tmp_path / "log"
    run.mkdir()
    temporary.mkdir()
    (run / "submissions").symlink_to(store)
    settings = {"PYTHONPATH": str(ROOT), "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(temporary)}
    settings["GRADIO_TEMP_DIR"] = str(temporary)
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "leaderboard" / "app.py")], cwd=run, env=os.environ | settings, stderr=stderr
        )
    try:
        for _ in range(240):
            assert process.poll() is None
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.5)
        else:
            pytest.fail("the entry did not answer within two minutes")
        yield Entry(process, port, log, temporary)
    finally:
        process.kill()
        process.wait(20)


def test_the_spaces_entry_serves_what_is_new_and_leaves_nothing_behind_when_it_is_told_to_end(
    entry: Entry, store: Path, write_submission: Callable[..., Path]
) -> None:
    url = f"http://127.0.0.1:{entry.port}"
    assert "Good-VL-8B" in _get(f"{url}/")
    client = Client(url, verbose=False, download_files=str(entry.temporary.parent))
    assert client.predict(api_name="/board") == build_board(store).model_dump(mode="json")
    write_submission(store, "new/one", {"model": "New-VL"}, {0: "warning"})
    for _ in range(60):  # an answer waits for the count of a changed store less than a second
        if "New-VL" in str(client.predict(api_name="/board")):
            break
    else:
        pytest.fail("the board never lists New-VL")
    client.close()

    head = 'Content-Disposition: form-data; name="files"; filename="a.jsonl"'
    form = f"--x\r\n{head}\r\n\r\n{{}}\r\n--x--\r\n".encode()
    kind = "Content-Type: multipart/form-data; boundary=x"
    whole = urllib.request.Request(  # noqa: S310  # our own address
        f"{url}/gradio_api/upload", form, dict([kind.split(": ")])
    )
    with urllib.request.urlopen(whole, timeout=30) as answer:  # noqa: S310
        assert Path(json.loads(answer.read())[0]).is_relative_to(entry.temporary)
    with socket.create_connection(("127.0.0.1", entry.port)) as half:
        half.sendall(f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: 9999\r\n\r\n".encode())
        half.sendall(form[:-9] + b"x" * 4_000)
        for _ in range(100):
            if len([path for path in entry.temporary.rglob("*") if path.is_file()]) >= 5:
                break  # three downloads, an upload and half of one
            time.sleep(0.1)
        else:
            pytest.fail("the upload that is under way is not there")
        entry.process.terminate()
        assert entry.process.wait(60) == 0
        assert b"503" in half.recv(1_000).split(b"\r\n")[0]
    assert list(entry.temporary.iterdir()) == []
    assert "Traceback" not in entry.log.read_text()


def test_a_board_that_ends_leaves_no_downloads_behind(store: Path) -> None:
    code = (
        f"from pathlib import Path; from leaderboard.live import LiveBoard; live = LiveBoard(Path({str(store)!r})); "
        "print(live.downloads()[0][1]); assert live.downloads()[0][1].is_file()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert not Path(done.stdout.strip()).parent.exists()


def test_gradio_is_imported_without_its_sources_being_read() -> None:
    code = (
        "import ast, inspect\n"
        "file_of, ast.get_source_segment = inspect.getfile, None\n"
        "from vlsbench.local_page import import_gradio; import_gradio()\n"
        "assert inspect.getfile is file_of"
    )
    done = commands.forks_of_commands().run(code, cwd=Path.cwd(), environment=os.environ)
    assert done.returncode == 0, done.stderr
