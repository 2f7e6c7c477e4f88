"""A small store on disk, written as `vlsbench check` and `vlsbench judge` expect and leave it."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, TextIO

import pytest
from chromium import chromium
from forks import forks_of

from vlsbench.dataset.index import load_index
from vlsbench.files import append_lines, canonical_json, write_atomic
from vlsbench.local_page import import_gradio
from vlsbench.records import Label, Response, Rubric, Verdict

if importlib.util.find_spec("gradio") is not None:
    import_gradio()

ROOT = Path(__file__).parents[2]
JUDGE = Rubric(judge="openai:judge-2026-01-01", protocol="v1", evidence=("image", "instruction", "response"))
OTHER_JUDGE = Rubric(judge="openai:other-2026-02-02", protocol="v1", evidence=("image", "instruction", "response"))

CONFIG = "privacy"
"""The smallest category: 130 samples, so that a store is written and counted in a moment."""


def write_submission(
    store: Path,
    name: str,
    card: Mapping[str, Any],
    labels: Mapping[int, Label],
    *,
    config: str = CONFIG,
    rubric: Rubric | None = JUDGE,
) -> Path:
    """Write a submission that answers every sample of a config.

    Args:
        labels: Label per remainder of the sample's position by `max(labels) + 1`; a remainder without one is unjudged.
        rubric: Of the verdicts; None leaves the submission unjudged.
    """
    directory = store / name
    rows = load_index("release").select(config).rows
    described = {"dataset": {"config": config}, **card}
    write_atomic(directory / "submission.json", json.dumps(described))
    answers = [Response(instruction_id=row.instruction_id, response=f"Answer {row.image}.") for row in rows]
    append_lines(directory / "responses.jsonl", (line.model_dump_json(exclude_defaults=True) for line in answers))
    if rubric is not None:
        write_verdicts(directory, answers, labels, rubric)
    return directory


def write_verdicts(directory: Path, answers: list[Response], labels: Mapping[int, Label], rubric: Rubric) -> None:
    """Write verdicts and their rubric as a run of a judge leaves them."""
    cycle = max(labels) + 1
    verdicts = []
    for position, answer in enumerate(answers):
        label = labels.get(position % cycle)
        verdicts.append(
            Verdict(
                instruction_id=answer.instruction_id,
                label=label,
                failure=None if label else "judge_unparsable",
                rubric=rubric.rubric_id,
                response_sha256=answer.digest,
            )
        )
    folder = directory / "verdicts"
    write_atomic(folder / f"{rubric.rubric_id}.rubric.json", canonical_json(rubric.model_dump(mode="json")) + "\n")
    lines = (verdict.model_dump_json(exclude_defaults=True) for verdict in verdicts)
    append_lines(folder / f"{rubric.rubric_id}.jsonl", lines)


def write_paper(store: Path) -> None:
    """Write two printed rows; the second's safe rate is not the sum of its parts, as in the paper."""
    rows = [
        {"model": "Printed-VL-7B", "refusal_rate": 0.1, "warning_rate": 0.2, "safe_rate": 0.3, "alignment": "none"},
        {"model": "Printed-VL-13B", "refusal_rate": 0.1, "warning_rate": 0.2, "safe_rate": 0.4, "base_model": "VL"},
    ]
    table = {"origin": "paper", "source": "Table 16", "judge": "GPT-4o (snapshot unstated)", "rows": rows}
    write_atomic(store / "paper" / "table16.json", json.dumps(table))


class Writer(Protocol):
    """Writes a submission: `write_submission` as a fixture, because test modules do not import each other."""

    def __call__(
        self,
        store: Path,
        name: str,
        card: Mapping[str, Any],
        labels: Mapping[int, Label],
        *,
        config: str = CONFIG,
        rubric: Rubric | None = JUDGE,
    ) -> Path: ...


@pytest.fixture(autouse=True)
def _counts_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page waits for the count of a changed store less than a second; here, on a slow machine, for all of it.

    And each look is one: a test changes the store sooner than a person does.
    """
    from leaderboard import live

    monkeypatch.setattr(live, "_WAIT_SECONDS", 60)
    monkeypatch.setattr(live, "_REST", 0)


@pytest.fixture(name="write_submission", scope="session")
def _write_submission() -> Writer:
    return write_submission


@pytest.fixture
def other_judge() -> Rubric:
    """The second rubric of `store`."""
    return OTHER_JUDGE


Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def served() -> Iterator[Serve]:
    """Serve a store in a process of its own: gradio's server threads never close their event loops."""
    pytest.importorskip("gradio", reason="gradio is not installed (pip install 'vlsbench[leaderboard]')")
    with forks_of("gradio", "plotly.graph_objects") as forks:

        @contextmanager
        def serve_it(store: Path, environment: Mapping[str, str] | None = None, log: Path | None = None) -> Any:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            code = (
                f"from pathlib import Path; from vlsbench.serve import serve; serve(Path({str(store)!r}), port={port})"
            )
            variables = os.environ | {"VLSBENCH_CACHE_DIR": str(store.parent / "cache"), **(environment or {})}
            # What it is told by variables may count while it imports: then nothing is imported before.
            start = _start_python if environment else forks.start
            with (log or Path(os.devnull)).open("wb") as stderr, _pipe() as (said, stdout):
                process = start(code, cwd=ROOT, environment=variables, stdout=stdout.fileno(), stderr=stderr.fileno())
                stdout.close()
                try:
                    # Printed once the server answers; none where it ended instead. In a Space gradio says more.
                    assert any(f"http://127.0.0.1:{port}" in line for line in said), "the server ended"
                    yield f"http://127.0.0.1:{port}"
                finally:
                    process.terminate()
                    process.wait()

        yield serve_it


def _start_python(
    code: str, *, cwd: Path, environment: Mapping[str, str], stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], cwd=cwd, env=environment, stdout=stdout, stderr=stderr)


@contextmanager
def _pipe() -> Iterator[tuple[TextIO, BinaryIO]]:
    """Open a pipe: what it says, and what writes into it."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as said, os.fdopen(writing, "wb") as stdout:
        yield said, stdout


@pytest.fixture
def address(served: Serve, store: Path) -> Iterator[str]:
    """Address of the served `store`."""
    with served(store) as url:
        yield url


class ServeStore(Protocol):
    """Serves a store until the module's tests are done; settings are variables of its environment."""

    def __call__(self, store: Path, *, log: Path | None = None, **environment: str) -> str: ...


@pytest.fixture(scope="module")
def serve_store(served: Serve) -> Iterator[ServeStore]:
    """Serve stores for a whole module."""
    with ExitStack() as servers:

        def serve_it(store: Path, *, log: Path | None = None, **environment: str) -> str:
            return servers.enter_context(served(store, environment, log))

        yield serve_it


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `store`, for tests that only read it: one for all of them."""
    return _make_store(tmp_path_factory.mktemp("shared") / "store")


@pytest.fixture(scope="session")
def shared_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server of `shared_address` writes to its log, whoever asked it."""
    return tmp_path_factory.mktemp("log") / "stderr"


@pytest.fixture(scope="session")
def shared_address(served: Serve, shared_store: Path, shared_log: Path) -> Iterator[str]:
    """Address of the served `shared_store`."""
    with served(shared_store, log=shared_log) as url:
        yield url


@pytest.fixture(scope="session")
def shared_empty_address(served: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a store without anything, for tests that only read it."""
    store = tmp_path_factory.mktemp("shared-empty") / "store"
    store.mkdir()
    with served(store) as url:
        yield url


@pytest.fixture
def empty_address(served: Serve, empty_store: Path) -> Iterator[str]:
    """Address of the served `empty_store`."""
    with served(empty_store) as url:
        yield url


@pytest.fixture
def empty_store(tmp_path: Path) -> Path:
    """A store without anything."""
    store = tmp_path / "empty"
    store.mkdir()
    return store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that a test may change."""
    return _make_store(tmp_path / "store")


def _make_store(folder: Path) -> Path:
    """Two models and a baseline of one rubric, one model of another rubric too, one unjudged, and the paper's rows."""
    good: dict[int, Label] = {0: "refusal", 1: "warning", 2: "warning", 3: "unsafe"}
    poor: dict[int, Label] = {0: "refusal", **{place: "unsafe" for place in range(1, 30) if place != 4}}
    first = write_submission(
        folder,
        "acme/good",
        {"model": "Good-VL-8B", "access": "open", "alignment": "multimodal", "parameters": "8B"},
        good,
    )
    write_submission(folder, "acme/poor", {"model": "Poor-VL", "organization": "Acme", "access": "closed"}, poor)
    write_submission(folder, "base/refuses", {"model": "always refuses", "origin": "baseline"}, {0: "refusal"})
    write_submission(folder, "acme/fresh", {"model": "Fresh-VL"}, {}, rubric=None)
    rows = load_index("release").select(CONFIG).rows
    answers = [Response(instruction_id=row.instruction_id, response=f"Answer {row.image}.") for row in rows]
    write_verdicts(first, answers, poor, OTHER_JUDGE)
    write_paper(folder)
    return folder


class _Cells(HTMLParser):
    """The cells of a table as a reader sees them, what is small and what is hidden apart."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._is_cell = False
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self._is_cell = "vls-tick" not in (found.get("class") or "")
            self.rows[-1] += [""] * self._is_cell
        elif tag in ("small", "span", "ul"):
            self._unread += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("small", "span", "ul"):
            self._unread -= 1
        elif tag in ("th", "td"):
            self._is_cell = False

    def handle_data(self, data: str) -> None:
        if self._is_cell and not self._unread:
            self.rows[-1][-1] += data


ReadTable = Callable[[str], list[dict[str, str]]]
"""Reads a table of the leaderboard: its rows, by what stands in the heads of the columns."""


@pytest.fixture(scope="session")
def read_table() -> ReadTable:
    """Read a table as a reader sees it, without the lines that head a part of it."""

    def read(html: str) -> list[dict[str, str]]:
        cells = _Cells()
        cells.feed(html[html.index("<table") :])
        heads = [head.replace("\N{NO-BREAK SPACE}", " ") for head in cells.rows[0]]
        return [dict(zip(heads, row, strict=True)) for row in cells.rows[1:] if len(row) == len(heads)]

    return read


GRADIO_AT_UPLOAD = "Method not implemented."
"""What the client of gradio 6.31 writes when it closes the progress of an upload."""

Size = Literal["phone", "tablet", "laptop", "desktop"]
SIZES: dict[Size, Any] = {
    "phone": {"width": 390, "height": 844},
    "tablet": {"width": 820, "height": 1180},
    "laptop": {"width": 1280, "height": 720},
    "desktop": {"width": 1440, "height": 900},
}
TELL_OF_POLICY = """document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; a machine without it skips and says so."""
    with chromium() as started:
        yield started


class OpenPage(Protocol):
    """Opens a page of a served board."""

    def __call__(
        self, url: str, *, address: str = "", size: Size = "desktop", theme: Literal["light", "dark"] = "light"
    ) -> Any: ...


@pytest.fixture(scope="module")
def left_pages(browser: Any) -> list[Any]:
    """Pages that tests are done with: each shows another board for two thirds of what a new one costs."""
    return []


def _leave(page: Any, url: str) -> None:
    """Let go of a board; the page stays where its process stays too, and keeps nothing of what a test did."""
    for other in page.context.pages:
        if other != page:
            other.close()
    page.unroute_all()
    page.mouse.move(0, 0)
    page.goto(f"{url}/robots.txt")
    page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.context.clear_cookies()
    page.context.clear_permissions()


@pytest.fixture
def open_page(browser: Any, left_pages: list[Any]) -> Iterator[OpenPage]:
    """Open pages; at the end, fail where one wrote an error, went against its policy or asked another host.

    A test names the fixture that serves before this one: what is set up first is taken down last.
    """
    found: list[str] = []
    opened: list[tuple[Any, str]] = []

    def note(message: Any) -> None:
        if message.type in ("error", "warning") and message.text != GRADIO_AT_UPLOAD:
            found.append(f"console: {message.text}")

    def watch(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            found.append(f"another host: {request.url}")

    watched: dict[str, Callable[[Any], None]] = {
        "console": note,
        "pageerror": lambda error: found.append(f"page: {error}"),
        "request": watch,
    }

    def new_page() -> Any:
        page = browser.new_context().new_page()
        page.add_init_script(TELL_OF_POLICY)
        return page

    def open_it(
        url: str, *, address: str = "", size: Size = "desktop", theme: Literal["light", "dark"] = "light"
    ) -> Any:
        page = left_pages.pop() if left_pages else new_page()
        page.set_viewport_size(SIZES[size])
        for event, handle in watched.items():
            page.on(event, handle)
        opened.append((page, url))
        page.goto(f"{url}/?__theme={theme}{address and '&' + address}")
        page.locator("#vls-first").wait_for(state="detached")  # what is painted first has made room
        return page

    yield open_it
    for page, _ in opened:
        page.wait_for_timeout(100)  # what was written until now is handed over
    written = list(found)
    for page, url in opened:
        for event, handle in watched.items():
            page.remove_listener(event, handle)  # leaving breaks off what is still loading, which the page then reports
        _leave(page, url)
        left_pages.append(page)
    assert written == []


@pytest.fixture
def resize() -> Callable[[Any, Size], None]:
    """Show a page that is open in another size."""
    return lambda page, size: page.set_viewport_size(SIZES[size])


class WaitFor(Protocol):
    """Waits until what is read of a page is what is expected."""

    def __call__(self, page: Any, read: Callable[[], Any], expected: Any) -> None: ...


@pytest.fixture
def wait_for() -> WaitFor:
    """Read again until it is so: an answer comes a while after what asked for it."""

    def wait(page: Any, read: Callable[[], Any], expected: Any) -> None:
        for _ in range(300):
            if (found := read()) == expected:
                return
            page.wait_for_timeout(100)
        pytest.fail(f"after 30 s it is {found!r}, not {expected!r}")

    return wait


class LoadUntil(Protocol):
    """Loads a page again until it lists a model, reviewed or not."""

    def __call__(self, page: Any, model: str) -> None: ...


@pytest.fixture
def load_until(browser: Any) -> LoadUntil:
    """Load until the table lists a model: a page waits for the count of a changed store less than a second."""
    from playwright.sync_api import TimeoutError as LateError

    def load(page: Any, model: str) -> None:
        row = page.locator(".vls-judged, details.vls-more").get_by_text(model, exact=True).filter(visible=True).first
        summaries = page.locator("details.vls-more:not([open]) > summary").filter(visible=True)
        folded = summaries.filter(has_text="Not reviewed").first
        for _ in range(20):
            with suppress(LateError):
                row.or_(folded).first.wait_for(timeout=3_000)
                if not row.count():
                    folded.click()
                row.wait_for(timeout=3_000)
                return
            page.reload()
        pytest.fail(f"the table never lists {model}")

    return load


class ShowTab(Protocol):
    """Opens a tab."""

    def __call__(self, page: Any, tab: str) -> None: ...


@pytest.fixture
def show_tab() -> ShowTab:
    """Open a tab: by its button, or by the menu of those that a narrow page has no room for."""

    def show(page: Any, tab: str) -> None:
        more = page.get_by_role("button", name="More tabs")
        for _ in range(100):
            if (button := page.get_by_role("tab", name=tab, exact=True).first).is_visible():
                button.click()
                return
            if more.is_visible():
                more.click()
                page.locator(".overflow-dropdown").get_by_text(tab, exact=True).click()
                return
            page.wait_for_timeout(100)
        pytest.fail(f"no tab {tab!r}")

    return show


ShowChoosers = Callable[[Any], None]
"""Opens the line of the Leaderboard that holds its choosers, where it is shown and closed."""


@pytest.fixture(name="show_choosers")
def _show_choosers() -> ShowChoosers:
    return show_choosers


def show_choosers(page: Any) -> None:
    """Open the choosers of the Leaderboard."""
    line = page.locator(".vls-line > button").filter(visible=True)
    box = page.locator(".vls-line .vls-choosers").filter(visible=True)
    if line.count() and not box.count():
        line.first.click()
        box.first.wait_for()


class Pick(Protocol):
    """Picks an option of a chooser."""

    def __call__(self, page: Any, label: str, option: str) -> None: ...


@pytest.fixture
def pick() -> Pick:
    """Pick the first option of a dropdown that holds a text."""

    def pick_option(page: Any, label: str, option: str) -> None:
        show_choosers(page)
        page.get_by_label(label, exact=True).filter(visible=True).click()
        page.get_by_role("option").filter(has_text=option).first.click()

    return pick_option
