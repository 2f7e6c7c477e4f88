"""`vlsbench publish`: the Space, a model's results and the dataset, put on the Hub.

Rule of the room: what would be sent is decided first, by functions that ask no network, and shown by `--dry-run`;
then it is sent. Nothing here reads, prints or sets a secret. Sending the same again changes nothing.
"""

from __future__ import annotations

import email.parser
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from vlsbench.errors import HubError, SubmissionError, UsageError, amount
from vlsbench.files import StrPath
from vlsbench.hub.connection import hub_errors, retried, who_am_i
from vlsbench.hub.eval_results import EVAL_RESULTS_FILE, eval_results_yaml
from vlsbench.hub.model_card import model_card_snippet
from vlsbench.hub.uploading import Content, UploadReport, upload_files, upload_folder_resumable
from vlsbench.submission.scoring import Scored, score_directory
from vlsbench.text import percent, percent_interval
from vlsbench.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import Discussion, HfApi

    from vlsbench.hub.dataset_folder import DatasetFolder

__all__ = [
    "STORE_VARIABLE",
    "ResultsPlan",
    "ResultsRequest",
    "SpacePlan",
    "plan_results",
    "plan_space",
    "prepared_dataset",
    "publish_results",
    "send_dataset",
    "send_space",
]

STORE_VARIABLE = "VLSBENCH_STORE"
"""The Space's variable that says where its submissions lie."""

_MAX_WHEEL_BYTES = 256 << 20

# --- The Space ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpacePlan:
    """What a Space is to hold."""

    space: str
    files: Mapping[str, Content]
    """Content by path; the Space's card last."""
    variables: Mapping[str, str]
    is_private: bool
    notes: tuple[str, ...]

    def as_text(self) -> str:
        """Render every file with its size, and the variables, for a terminal."""
        sizes = {
            path: len(content) if isinstance(content, bytes) else content.stat().st_size
            for path, content in self.files.items()
        }
        lines = [f"{size:>12,}  {path}" for path, size in sizes.items()]
        lines.append(f"{sum(sizes.values()):>12,}  bytes in {amount(len(sizes), 'file')} for spaces/{self.space}")
        lines += [f"variable {name}={value}" for name, value in self.variables.items()]
        return "\n".join([*lines, *self.notes])


def plan_space(
    space: str, *, store: str | None = None, package: Path | None = None, is_private: bool = False
) -> SpacePlan:
    """Collect what the Space needs.

    With `package` the wheel's content lies beside `app.py` and is imported from there: a Space is built with nothing
    but `requirements.txt` in sight, so a wheel in the repository could not be installed.

    Args:
        store: `hf://datasets/ORG/NAME` of the submissions; None shows the rows that come with the package.
        package: A wheel of this package that is not released; None pins the released version.

    Raises:
        UsageError: If a name is not one, or the wheel is not one of this package.
    """
    for name in (space, None if store is None else store.removeprefix("hf://datasets/").split("@")[0]):
        if name is not None and len(name.split("/")) != 2:
            raise UsageError(f"{name!r}: a repository on the Hub is called ORG/NAME.")
    if store is not None and not store.startswith("hf://datasets/"):
        raise UsageError(f"--store {store!r}: a Space reads its submissions from hf://datasets/ORG/NAME.")
    pages = _pages()
    paths = sorted(path for path in pages.rglob("*") if path.is_file())
    names = [path.relative_to(pages).as_posix() for path in paths if "__pycache__" not in path.parts]
    files: dict[str, Content] = {
        name: pages / name for name in names if name != "README.md" and not name.startswith(".")
    }
    notes = []
    if package is None:
        files["requirements.txt"] = f"vlsbench[leaderboard]=={__version__}\n".encode()
        notes.append(
            f"The Space installs vlsbench {__version__} as it was released; --package WHEEL sends one that was not."
        )
    else:
        content, requirements = _unpack(package)
        files |= content
        files["requirements.txt"] = "".join(f"{line}\n" for line in requirements).encode()
    if store is not None:
        notes.append("A private store needs the secret HF_TOKEN, set by hand in the Space's settings (read access).")
    files["README.md"] = pages / "README.md"
    return SpacePlan(space, files, {} if store is None else {STORE_VARIABLE: store}, is_private, tuple(notes))


def _pages() -> Path:
    """Find the Space's code: in the wheel, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "_leaderboard", package.parent / "leaderboard"):
        if (folder / "app.py").is_file():
            return folder
    raise UsageError(f"{package}: the leaderboard's pages are not there. Install vlsbench again.")


def _unpack(wheel: Path) -> tuple[dict[str, Content], list[str]]:
    """Read a wheel of this package: its files, and what it requires to serve the board."""
    from packaging.requirements import Requirement

    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > _MAX_WHEEL_BYTES:
                raise UsageError(f"--package {wheel}: unpacks to more than {_MAX_WHEEL_BYTES:,} bytes.")
            content: dict[str, Content] = {entry.filename: archive.read(entry) for entry in entries}
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"--package {wheel}: cannot be read as a wheel ({error}). `pip wheel --no-deps .` makes one."
        ) from None
    metadata = [path for path in content if path.endswith(".dist-info/METADATA") and path.startswith("vlsbench-")]
    if len(metadata) != 1 or any(".." in PurePosixPath(path).parts or path.startswith("/") for path in content):
        raise UsageError(f"--package {wheel}: is not a wheel of vlsbench. `pip wheel --no-deps .` makes one.")
    text = content[metadata[0]]
    message = email.parser.BytesParser().parsebytes(text if isinstance(text, bytes) else b"")
    wanted = [Requirement(line) for line in message.get_all("Requires-Dist", [])]
    kept = [item for item in wanted if item.marker is None or item.marker.evaluate({"extra": "leaderboard"})]
    for item in kept:
        item.marker = None
    return content, sorted(str(item) for item in kept)


def send_space(api: HfApi, plan: SpacePlan, *, sleep: Callable[[float], None] = time.sleep) -> UploadReport:
    """Make the Space where it is not there, set its variables, and send what changed.

    Raises:
        HubError: If the Hub refuses or cannot be reached.
    """
    with hub_errors(f"spaces/{plan.space}"):
        api.create_repo(
            plan.space, repo_type="space", space_sdk="gradio", private=plan.is_private or None, exist_ok=True
        )
        known = {name: item.value for name, item in api.get_space_variables(plan.space).items()}
        for name, value in plan.variables.items():
            if known.get(name) != value:
                api.add_space_variable(plan.space, name, value, description="Where the submissions lie")
    return upload_files(
        api,
        plan.space,
        "space",
        plan.files,
        message=f"vlsbench {__version__}",
        replaced=("vlsbench/", "vlsbench-"),  # a package that an earlier version brought along
        sleep=sleep,
    )


# --- A model's results -------------------------------------------------------------------------------------------


class ResultsPlan(NamedTuple):
    """A pull request to a model's repository."""

    model_repo: str
    text: str
    """Content of `EVAL_RESULTS_FILE`."""
    title: str
    body: str

    def as_text(self) -> str:
        """Render the pull request for a terminal."""
        size = len(self.text.encode())
        return f"{size:>12,}  {EVAL_RESULTS_FILE}\n{self.title}\n\n{self.body}\n{self.text}"


class ResultsRequest(NamedTuple):
    """What became of it."""

    what: str
    """`opened`, `updated`, `open already` or `there already`."""
    url: str


def plan_results(
    model_repo: str, directory: StrPath, *, rubric: str | None = None, source_url: str | None = None
) -> ResultsPlan:
    """Score a submission and write the pull request that carries its numbers; no network.

    Args:
        model_repo: ORG/NAME of the model.
        rubric: Rubric id or its beginning, where the submission has several.
        source_url: Where the numbers can be looked up, such as the board.

    Raises:
        SubmissionError: If it cannot be scored, or its numbers may not stand for a model.
        UsageError: If the name is none.
    """
    if len(model_repo.split("/")) != 2:
        raise UsageError(f"{model_repo!r}: a model on the Hub is called ORG/NAME.")
    scored = score_directory(directory, rubric)
    text = eval_results_yaml(scored, source_url=source_url)
    body = model_card_snippet(scored)
    if source_url is not None:
        body += f"\nWhere these numbers stand: <{source_url}>\n"
    body += "\nA file of this repository's results page (`.eval_results/`), made by `vlsbench publish results`.\n"
    return ResultsPlan(model_repo, text, _title(scored), body)


def _title(scored: Scored) -> str:
    """Name what is added; at most 200 characters, which is what the Hub takes."""
    result = scored.result
    if result.safe_rate is None:
        raise SubmissionError(f"{scored.submission.directory}: nothing was judged under {result.rubric}.")
    interval = "" if result.safe_rate_ci is None else f", 95% interval {percent_interval(result.safe_rate_ci)}"
    title = f"Add VLSBench results: safe rate {percent(result.safe_rate)}%{interval}, rubric {result.rubric}"
    return title[:200]


def publish_results(api: HfApi, plan: ResultsPlan, *, sleep: Callable[[float], None] = time.sleep) -> ResultsRequest:
    """Open the pull request, or find the one that is open: its file is changed where the numbers have.

    Raises:
        HubError: If the Hub refuses or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd

    repo = plan.model_repo
    data = plan.text.encode()
    me = who_am_i(api)

    def publish() -> ResultsRequest:
        # Looked for at every try: a pull request whose answer was lost must not be opened twice.
        merged = _held(api, repo, "main")
        if merged == data:
            return ResultsRequest("there already", f"{api.endpoint}/{repo}/blob/main/{EVAL_RESULTS_FILE}")
        for request in _open_requests(api, repo, me):
            held = _held(api, repo, f"refs/pr/{request.num}")
            if held == data:
                return ResultsRequest("open already", request.url)
            if held is not None and held != merged:
                api.rename_discussion(repo, request.num, plan.title)
                operation = CommitOperationAdd(EVAL_RESULTS_FILE, data)
                api.create_commit(repo, [operation], commit_message=plan.title, revision=f"refs/pr/{request.num}")
                api.comment_discussion(repo, request.num, plan.body)
                return ResultsRequest("updated", request.url)
        info = api.create_commit(
            repo,
            [CommitOperationAdd(EVAL_RESULTS_FILE, data)],
            commit_message=plan.title,
            commit_description=plan.body,
            create_pr=True,
        )
        if info.pr_url is None:
            raise HubError(f"{repo}: the Hub made a commit and names no pull request.")
        return ResultsRequest("opened", info.pr_url)

    with hub_errors(repo):
        return retried(publish, repo, sleep=sleep)


def _open_requests(api: HfApi, repo: str, author: str) -> list[Discussion]:
    return list(api.get_repo_discussions(repo, author=author, discussion_type="pull_request", discussion_status="open"))


def _held(api: HfApi, repo: str, revision: str) -> bytes | None:
    """Read our file of a revision; None where there is none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    # Into a folder that goes: the cache would keep an answer of a minute ago where the Hub has trouble.
    with tempfile.TemporaryDirectory(prefix="vlsbench-") as folder:
        try:
            path = api.hf_hub_download(repo, EVAL_RESULTS_FILE, revision=revision, local_dir=folder)
        except RemoteEntryNotFoundError:
            return None
        return Path(path).read_bytes()


# --- The dataset -------------------------------------------------------------------------------------------------


def prepared_dataset(source: Path, repo: str, *, out: Path | None, exit_stack: ExitStack) -> DatasetFolder:
    """Prepare what is published, or read a folder that was prepared before.

    Args:
        out: Folder to make, absent or empty, which a later run takes as its source; None makes one that goes.
        exit_stack: Ends the life of a folder that goes.

    Raises:
        DataError: If the source is not the dataset.
    """
    from vlsbench.hub.dataset_folder import is_dataset_folder, prepare_dataset_folder, read_dataset_folder

    if is_dataset_folder(source):
        return read_dataset_folder(source, repository=repo)
    if out is None:
        out = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="vlsbench-"))) / "dataset"
    return prepare_dataset_folder(source, out, repository=repo)


def send_dataset(
    api: HfApi,
    prepared: DatasetFolder,
    *,
    is_private: bool = False,
    gated: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> UploadReport:
    """Make the repository where it is not there and send the folder. Killed and run again, it goes on.

    Args:
        is_private: Of a repository that is made; one that is there is left as it is.
        gated: `auto` or `manual`: readers ask for access, set before the first file arrives. None leaves it.

    Raises:
        HubError: If the Hub refuses or cannot be reached.
    """
    repo = prepared.repository
    with hub_errors(f"datasets/{repo}"):
        api.create_repo(repo, repo_type="dataset", private=is_private or None, exist_ok=True)
        if gated == "auto":
            api.update_repo_settings(repo, repo_type="dataset", gated="auto")
        elif gated == "manual":
            api.update_repo_settings(repo, repo_type="dataset", gated="manual")
    return upload_folder_resumable(
        api,
        repo,
        "dataset",
        prepared.folder,
        paths=[file.path for file in prepared.files],
        message=f"VLSBench, {amount(prepared.n_samples, 'sample')}, digest {prepared.digest[:12]}",
        replaced=("data/", "inspect/"),
        sleep=sleep,
    )
