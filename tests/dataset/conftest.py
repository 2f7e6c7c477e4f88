"""What the tests of the dataset share: a small release of our own words, and a stand-in of the Hub on loopback."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from forks import Forks, forks_of

from vlsbench.dataset.index import HUB_REPOSITORY, RELEASE_REVISION, Index, index_of_records
from vlsbench.taxonomy import CATEGORIES

ROOT = Path(__file__).parents[2]

N_RECORDS = 14
SHARED = (12, 13)
"""Two pairs that share the image of the pair 0."""


def _small_records() -> list[dict[str, Any]]:
    records = []
    for number in range(N_RECORDS):
        category = CATEGORIES[number % len(CATEGORIES)]
        records.append(
            {
                "instruction_id": number,
                "instruction": f"What should I do about number {number}?",
                "image_path": f"imgs/{0 if number in SHARED else number}.png",
                "category": category.name,
                "sub_category": category.sub_categories[number % len(category.sub_categories)].name,
                "source": "generation",
                "image_description": f"A drawn square with the number {number}.",
                "safety_reason": "It is a stand-in.",
            }
        )
    return records


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Records in the official format, of our own words; every category at least twice."""
    return _small_records()


@pytest.fixture
def small_index(records: list[dict[str, Any]]) -> Index:
    return Index("release", "default", "test", tuple(index_of_records(records)))


@pytest.fixture(scope="session")
def make_release_folder() -> Callable[..., int]:
    """`benchmarks/make_release_folder.py`, as a function."""
    path = ROOT / "benchmarks" / "make_release_folder.py"
    spec = importlib.util.spec_from_file_location("make_release_folder", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., int] = module.make_release_folder
    return function


@pytest.fixture
def release(tmp_path: Path, records: list[dict[str, Any]], make_release_folder: Callable[..., int]) -> Path:
    """A small official-layout folder with `imgs/`."""
    make_release_folder(records, tmp_path / "release")
    return tmp_path / "release"


@pytest.fixture
def release_tar(tmp_path: Path, records: list[dict[str, Any]], make_release_folder: Callable[..., int]) -> Path:
    """The same with `imgs.tar`."""
    make_release_folder(records, tmp_path / "release-tar", tar=True)
    return tmp_path / "release-tar"


@pytest.fixture(scope="session")
def official(release_json: Path, tmp_path_factory: pytest.TempPathFactory, make_release_folder: Any) -> Path:
    """The official records with stand-in images, in the official layout."""
    out = tmp_path_factory.mktemp("official") / "release"
    make_release_folder(json.loads(release_json.read_bytes()), out, side=16)
    return out


@pytest.fixture
def datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `datasets` in this process keep what it prepares in the test's own folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")


# --- A process that loads --------------------------------------------------------------------------------------------


@dataclass
class Loader:
    """Runs Python in a process of its own: `datasets` reads its environment once, on import."""

    home: Path
    environment: dict[str, str]
    forks: Forks

    def __call__(self, code: str, *, folder: Path | None = None, **environment: str) -> Any:
        """Run `code`, which sets `answer`; return it."""
        # Leaves at once: pyarrow's reading threads may abort an interpreter that shuts down beside them (seen with
        # pyarrow 26.0.1 and the Parquet loader of datasets 5.2.0, streaming, on a busy machine).
        leave = "sys.stdout.flush()\nos._exit(0)\n"
        program = f"import json, os, sys\n{code}\njson.dump(answer, sys.stdout)\n{leave}"
        done = self.forks.run(program, cwd=folder or self.home, environment={**self.environment, **environment})
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)


DEAR = (
    "PIL.Image",
    "aiohttp",
    "dill",
    "fsspec",
    "multiprocess",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "yaml",
)
"""What `datasets` imports and what reads no environment."""


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with forks_of(*DEAR) as started:
        yield started


@pytest.fixture
def run_python(tmp_path: Path, forks: Forks) -> Loader:
    """Offline unless the environment says otherwise, with every cache in the test's own folder."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return Loader(home, environment, forks)


# --- The Hub ---------------------------------------------------------------------------------------------------------

_API = f"/api/datasets/{HUB_REPOSITORY}"
_FILES = f"/datasets/{HUB_REPOSITORY}/resolve/{RELEASE_REVISION}/"


@dataclass
class Hub:
    """A stand-in of the Hub's endpoints for one repository: its tree, its files, and what it refuses."""

    root: Path
    url: str = ""
    refuse_api: tuple[int, str] | None = None
    """Status and `X-Error-Code` of every answer about the repository."""
    refuse_files: tuple[int, str] | None = None
    """Status and `X-Error-Code` of every file."""
    token: str | None = None
    """The token that opens what is refused."""
    requests: list[str] = field(default_factory=list)

    def tree(self, under: str, *, recursive: bool) -> list[dict[str, object]]:
        folder = self.root / under
        paths = folder.rglob("*") if recursive else folder.iterdir()
        return [
            {
                "type": "directory" if path.is_dir() else "file",
                "path": path.relative_to(self.root).as_posix(),
                "size": 0 if path.is_dir() else path.stat().st_size,
                "oid": "0" * 40,
            }
            for path in sorted(paths)
        ]


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in http.server)
        self.hub.requests.append(f"{self.command} {unquote(self.path)}")

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), Content_Type="application/json")

    def _is_refused(self, refusal: tuple[int, str] | None) -> bool:
        if refusal is None or (self.hub.token and self.headers["Authorization"] == f"Bearer {self.hub.token}"):
            return False
        status, code = refusal
        headers = {"X_Error_Code": code} if code else {}
        self._send(status, b'{"error": "refused"}', Content_Type="application/json", **headers)
        return True

    def do_GET(self) -> None:
        self.log_message("")
        url = urlsplit(unquote(self.path))
        if url.path.startswith(_API):
            if self._is_refused(self.hub.refuse_api):
                return
            rest = url.path.removeprefix(_API)
            if rest.startswith(f"/tree/{RELEASE_REVISION}"):
                under = rest.removeprefix(f"/tree/{RELEASE_REVISION}").strip("/")
                self._send_json(self.hub.tree(under, recursive="recursive=true" in url.query.lower()))
            elif rest == f"/revision/{RELEASE_REVISION}":
                files = [entry for entry in self.hub.tree("", recursive=True) if entry["type"] == "file"]
                siblings = [{"rfilename": entry["path"]} for entry in files]
                self._send_json({"id": HUB_REPOSITORY, "sha": RELEASE_REVISION, "siblings": siblings})
            else:
                self._send(404, X_Error_Code="RevisionNotFound")
        elif url.path.startswith(_FILES):
            if not self._is_refused(self.hub.refuse_files):
                self._send_file(self.hub.root / url.path.removeprefix(_FILES))
        else:
            self._send(404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET  # noqa: N815 (the name in http.server)

    def _send_file(self, path: Path) -> None:
        if not path.is_file():
            self._send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=RELEASE_REVISION)
            return
        data = path.read_bytes()
        headers = {"ETag": f'"{len(data)}-{path.name}"', "X_Repo_Commit": RELEASE_REVISION, "Accept_Ranges": "bytes"}
        if (wanted := self.headers["Range"]) and self.command == "GET":
            first, last = wanted.removeprefix("bytes=").split("-")
            part = data[int(first) : int(last) + 1 if last else None]
            end = int(first) + len(part) - 1
            self._send(206, part, Content_Range=f"bytes {first}-{end}/{len(data)}", **headers)
        else:
            self._send(200, data, **headers)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub on 127.0.0.1 that has what is put into its `root`."""
    root = tmp_path / "hub"
    root.mkdir()
    stand_in = Hub(root)
    handler = type("Handler", (_Handler,), {"hub": stand_in})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join()
