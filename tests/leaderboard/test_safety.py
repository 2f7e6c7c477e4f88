"""What strangers send: nothing of it runs, loads, leaves its cell, reads a file of the server or brings it down."""

from __future__ import annotations

import http.client
import http.server
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.page_load import measure
from leaderboard.guard import MAX_BODY_BYTES
from leaderboard.live import LiveBoard
from vlsbench.dataset.index import load_index
from vlsbench.files import append_lines, write_atomic
from vlsbench.store.intake import reject, submit, withdraw
from vlsbench.store.local import LocalStore
from vlsbench.store.worker import Worker

Open = Callable[..., Any]
SECRETS = {"HF_TOKEN": "hf_NeverShown0123456789", "OPENAI_API_KEY": "sk-NeverShown0123456789"}
MARK = "the content of a file that is nobody's business"
MARKUP = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> ![i](http://127.0.0.2:9/i.png) '
    "[l](javascript:window.hacked=1) <a href=javascript:window.hacked=1>l</a> {{7*7}} $\\href{javascript:alert(1)}{x}$"
)
BIDI = "\u202eevil\u2066\u200b"


def _answers(text: str = "Fine.") -> list[str]:
    return [
        json.dumps({"instruction_id": row.instruction_id, "response": f"{text} {row.image}"})
        for row in load_index("release").select("privacy").rows
    ]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which every text that a stranger controls is what a stranger would like it to be."""
    top = tmp_path_factory.mktemp("hostile")
    store = top / "store"
    (top / "outside.txt").write_text(MARK)
    # As far as the card lets them: these are names.
    names = ("javascript:alert(1)", "@SUM(1+1)", "+cmd", "http://127.0.0.2:9/i.png", "'; DROP TABLE x")
    ids = []
    for number, name in enumerate(names):
        folder = top / f"sent-{number}"
        card = {"model": name, "organization": "http://127.0.0.2:9/o.png", "dataset": {"config": "privacy"}}
        write_atomic(folder / "submission.json", json.dumps(card))
        append_lines(folder / "responses.jsonl", _answers(f"{MARKUP} {BIDI} =cmd|' /C calc'!A0 {number}"))
        ids.append(submit(folder, LocalStore(store), name="javascript:alert(2)").submission_id or "")
    reject(ids[0], LocalStore(store), MARKUP)
    withdraw(ids[1], LocalStore(store), MARKUP)
    write_atomic(store / "<img src=x onerror=window.hacked=1>" / "submission.json", "{}")
    write_atomic(store / "broken" / "submission.json", json.dumps({"model": MARKUP}))
    write_atomic(store / "broken" / "responses.jsonl", MARKUP + BIDI)
    (store / ids[2] / "link.txt").symlink_to(top / "outside.txt")
    (store / "linked").symlink_to(top)
    return store


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "stderr"


@pytest.fixture(scope="module")
def url(hostile: Path, log: Path, serve_store: Any) -> str:
    return str(serve_store(hostile, log=log, **SECRETS))


def _ask(
    url: str, path: str, body: bytes | None = None, kind: str = "application/json", method: str | None = None
) -> tuple[int, str]:
    """Ask by a client that leaves `..` in a path as it is."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _paths(hostile: Path) -> list[str]:
    files = [
        "/etc/passwd",
        str(hostile.parent / "outside.txt"),
        str(next(hostile.glob("sent*/submission.json"), hostile / "broken" / "submission.json")),
        str(hostile / "linked" / "outside.txt"),
        str(next(hostile.glob("*/link.txt"))),
        str(Path(__file__)),
        "../../../../../../etc/passwd",
        "pyproject.toml",
        "file:///etc/passwd",
        "~/.bashrc",
    ]
    doors = ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svelte/")
    asked = [f"{door}{form}" for door in doors for file in files for form in (file, quote(file, safe=""))]
    asked += [
        "/static/../../../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/gradio_api/custom_component/1/client/component/..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/stream/x/1/1/playlist-file",
        "/gradio_api/proxy=http://127.0.0.1:9/",
        "/gradio_api/proxy=file:///etc/passwd",
    ]
    return asked


def test_no_file_of_the_server_is_served(url: str, hostile: Path) -> None:
    for path in _paths(hostile):
        status, text = _ask(url, path)
        assert status in (400, 403, 404, 405, 422), path
        assert MARK not in text, path
        assert "root:" not in text, path


def test_its_own_downloads_are_served_by_their_names(url: str) -> None:
    for kind in ("csv", "json", "parquet"):
        status, text = _ask(url, f"/download/vlsbench-board.{kind}")
        assert status == 200
        assert text
    for name in ("", "gone", "..%2f..%2fetc%2fpasswd", "vlsbench-board.csv/x", "%00"):
        assert _ask(url, f"/download/{name}")[0] == 404


def test_no_path_of_the_server_is_in_the_page_or_its_configuration(url: str) -> None:
    for path in ("/", "/?__theme=dark", "/config", "/gradio_api/info", "/gradio_api/openapi.json"):
        text = _ask(url, path)[1]
        for place in {tempfile.gettempdir(), str(Path.home()), str(Path(__file__).parents[2]), sys.prefix, "/tmp/"}:  # noqa: S108
            assert place not in text, (path, place)


def test_a_page_that_is_not_there_is_a_404_and_no_traceback(url: str, log: Path) -> None:
    for path in ("/?page=x", "/?page=leaderboard", "/config?page=x", "/gradio_api/info?page=x", "/?deep_link=x"):
        status, text = _ask(url, path)
        assert (status, text) == (404, "There is no such page; the board is at /.\n"), path
    assert _ask(url, "/?page=")[0] == 200
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/monitoring", "/monitoring/summary"])
def test_pages_of_the_framework_are_not_there(url: str, path: str) -> None:
    assert _ask(url, path)[0] in (403, 404)


def test_neither_a_secret_nor_the_place_of_the_store_is_in_any_answer(url: str, hostile: Path) -> None:
    calls: list[tuple[str, bytes | None]] = [
        *((path, None) for path in ("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json", "/nothing")),
        ("/gradio_api/run/board", b'{"data": []}'),
        ("/gradio_api/run/submission", b'{"data": ["gone"]}'),
        ("/gradio_api/run/submission", b'{"data": [{"a": 1}]}'),
        ("/gradio_api/run/table", b'{"data": [1, 2, 3]}'),
        ("/gradio_api/run/check", b'{"data": []}'),
        ("/gradio_api/run/check", b"not JSON"),
        ("/gradio_api/run/nothing", b'{"data": []}'),
        ("/gradio_api/queue/join", b'{"data": [], "fn_index": 99999, "session_hash": "x"}'),
        ("/gradio_api/upload", b"no form"),
    ]
    for path, body in calls:
        _, text = _ask(url, path, body)
        for hidden in (*SECRETS.values(), str(hostile), str(hostile.parent), "Traceback"):
            assert hidden not in text, (path, hidden)
    board = json.loads(_ask(url, "/gradio_api/run/board", b'{"data": []}')[1])["data"][0]
    assert any("broken" in item["submission"] for item in board["left_out"])


def test_a_request_that_is_too_large_is_refused(url: str) -> None:
    status, text = _ask(url, "/gradio_api/run/table", b'{"data": ["' + b"x" * MAX_BODY_BYTES + b'"]}')
    assert status == 413
    assert "at most" in text


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that notes who asks it."""
    asked: list[str] = []

    class Note(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Note) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_file_given_by_an_address_is_not_fetched(url: str, elsewhere: tuple[str, list[str]], depth: int) -> None:
    there, asked = elsewhere
    value: Any = {"path": f"{there}/big", "meta": {"_type": "gradio.FileData"}}
    for _ in range(depth):
        value = [{"inner": value}]
    status, text = _ask(url, "/gradio_api/run/check", json.dumps({"data": [value]}).encode())
    assert (status, text) == (400, "A file is uploaded here first; addresses are not fetched.\n")
    assert asked == []


def _is_harmless(page: Any) -> None:
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
    for selector in ("img[src='x']", "a[href^='javascript']", "[href*='127.0.0.2']", "[src*='127.0.0.2']"):
        assert page.locator(selector).count() == 0, selector
    assert not page.evaluate("document.body.innerText.includes('\u202e')")


def test_texts_of_a_hostile_store_stay_texts(
    url: str, hostile: Path, open_page: Open, resize: Callable[[Any, str], None], wait_for: Callable[..., None]
) -> None:
    rejected = next(row for row in LiveBoard(hostile).queue() if row.state == "rejected")
    page = open_page(url, address=f"tab=submit&id={rejected.submission_id}")
    told = page.get_by_text("rejected by the maintainer").filter(visible=True).first
    told.wait_for()
    assert page.locator(".vls-caption").filter(has_text="<script>").filter(visible=True).count() == 1
    page.get_by_role("button", name="Submissions of the store that are not on the board").click()
    page.get_by_role("gridcell").filter(has_text="onerror").filter(visible=True).first.wait_for()
    _is_harmless(page)
    for size in ("desktop", "phone"):
        resize(page, size)
        wait_for(page, lambda: page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), True)


SLIP_IN = """(elsewhere) => {
  const told = [];
  document.addEventListener("securitypolicyviolation", (event) => told.push(event.effectiveDirective));
  document.body.insertAdjacentHTML("beforeend", `<img src=data:, onerror="window.hacked=1">`);
  const script = document.createElement("script");
  script.textContent = "window.hacked=1";
  document.body.append(script);
  const image = document.createElement("img");
  image.src = `${elsewhere}/image`;
  document.body.append(image);
  fetch(`${elsewhere}/fetch`).catch(() => {});
  return new Promise((resolve) => setTimeout(() => resolve([...new Set(told)].sort()), 300));
}"""


def test_what_slipped_into_a_page_neither_runs_nor_asks_another_host(
    url: str, browser: Any, elsewhere: tuple[str, list[str]]
) -> None:
    there, asked = elsewhere
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url)
        page.locator("#vls-first").wait_for(state="detached")
        stopped = page.evaluate(SLIP_IN, there)
        assert stopped == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
        assert page.evaluate("window.hacked") is None
    assert asked == []


HOSTILE_FILES = {
    "markup.csv": f'id,answer,"{MARKUP.replace(chr(34), chr(34) * 2)}"\nx,y,z\n',
    "bidi.csv": f"id,answer,{BIDI}\n{BIDI},y,z\n",
    "error.jsonl": "\n".join(_answers(f"Error: {MARKUP}")) + "\n" + json.dumps({MARKUP: 1}) + "\n",
    "formula.csv": "id,answer,=cmd|' /C calc'!A0\n=1+1,@SUM(1),+1\n",
    "<img src=x onerror=window.hacked=1>.csv": "id,answer\n1e9,x\n",
}


def test_reports_on_hostile_files_are_text(url: str, open_page: Open, wait_for: Callable[..., None]) -> None:
    page = open_page(url, address="tab=submit")
    page.get_by_role("button", name="Check", exact=True).wait_for()
    page.get_by_label("Model", exact=True).filter(visible=True).fill("M")
    preview = page.locator(".file-preview").filter(visible=True)
    told = page.locator(".vls-problem").filter(has_text="It does not pass", visible=True)

    def report() -> list[str | None]:
        return [link.get_attribute("href") for link in page.locator(".vls-download").filter(visible=True).all()]

    for name, text in HOSTILE_FILES.items():
        before = report()
        file = {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
        page.locator("input[type=file][multiple]").set_input_files(file)
        preview.wait_for()
        page.get_by_role("button", name="Check", exact=True).click()
        wait_for(page, lambda before=before: report() != before, True)
        told.wait_for()
        page.locator(".vls-table [role=gridcell]").filter(visible=True).first.wait_for()
        _is_harmless(page)
        page.locator(".vls-files").get_by_label("Clear").click()
        preview.wait_for(state="detached")


def test_a_spreadsheet_runs_no_name(hostile: Path) -> None:
    Worker(LocalStore(hostile), name="worker").work()
    live = LiveBoard(hostile)
    text = dict(live.downloads())["CSV"].read_text(encoding="utf-8")
    cells = [cell.strip('"') for line in text.splitlines() for cell in line.split(",")]
    assert "'+cmd" in cells
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


def test_many_readers_at_once_meet_no_error_and_leave_no_memory_behind(hostile: Path) -> None:
    report = measure(hostile, n_users=10, seconds=4)
    assert report.errors == ()
    assert report.n_requests >= 20
    assert report.mebibytes_end < report.mebibytes_warm + 100  # the full run is benchmarks/page_load.py
