"""A store that is a dataset repository on the Hub: the same folders as a local one, read through a mirror.

Several machines may write at once. What is added lies at paths that nobody else writes, so a commit names no parent and
is only repeated where it failed. The one thing that two may want at once is the right to judge a submission: the file
`<id>/lease.json`, taken by a commit that names its parent and therefore fails where somebody was faster.

The client tries reading again by itself; what it does not try again (commits, and asking for the last one) is
`retried` here.

Rule of the room: the mirror is what the Hub holds and nothing else; what is being judged lies in a workplace beside it,
which outlives a killed run. Both are below `VLSBENCH_CACHE_DIR`. The clocks of two workers should agree within minutes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import random
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vlsbench.board.counted_file import cache_folder
from vlsbench.errors import HubError, SubmissionError, UsageError, VLSBenchError
from vlsbench.files import StrPath, canonical_json, locked, write_atomic
from vlsbench.hub.connection import connect, hub_errors, retried, who_am_i
from vlsbench.records import Record
from vlsbench.store.history import HISTORY_FOLDER, Moment
from vlsbench.store.local import (
    HUB_PREFIX,
    Files,
    Lease,
    LocalStore,
    Store,
    StoredSubmission,
    Wanted,
    is_managed,
    prepare_workplace,
)
from vlsbench.submission.check import CARD_FILE

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["LEASE_FILE", "HubStore", "LeaseRecord", "open_store"]

logger = logging.getLogger(__name__)

LEASE_FILE = "lease.json"
LEASE_SECONDS = 900
"""How long a lease holds without being renewed; it is renewed three times in that time. So a worker that died keeps a
submission from the others for a quarter of an hour at most, and a long run makes twelve commits an hour."""

_TRIES = 8
"""To take a lease while others commit to the repository; then the submission is left for the next pass."""

_DOWNLOADS = 8
"""Files fetched at once, as many as the client's own `snapshot_download`."""

_LOCATION = re.compile(rf"{re.escape(HUB_PREFIX)}(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


class LeaseRecord(Record):
    """`<id>/lease.json`: who judges a submission, and until when nobody else does."""

    holder: str
    """Random; says nothing about the machine."""
    until: Moment


@dataclass(frozen=True)
class _RemoteFile:
    blob_id: str
    sha256: str | None
    """Of a large file."""


def open_store(location: StrPath) -> Store:
    """Open a store.

    Args:
        location: A folder, or `hf://datasets/ORG/NAME`, with `@REVISION` where it is not the main branch.

    Raises:
        UsageError: If it begins like a place on the Hub and is none.
    """
    return HubStore(str(location)) if str(location).startswith("hf:") else LocalStore(Path(location))


class HubStore:
    """See the module, and `vlsbench.store.local.Store`."""

    def __init__(self, location: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        """Name the repository; nothing is asked yet.

        Raises:
            UsageError: If it is not `hf://datasets/ORG/NAME[@REVISION]`, or there is no place for its mirror.
        """
        match = _LOCATION.fullmatch(location)
        if match is None:
            raise UsageError(
                f"--store {location!r}: on the Hub a store is {HUB_PREFIX}ORG/NAME or the same with @REVISION."
            )
        self._location = location
        self._repo: str = match["repo"]
        self._revision: str = match["revision"] or "main"
        self._lease_seconds = lease_seconds
        name = re.sub(r"[^\w.-]", "--", f"{self._repo}@{self._revision}")
        cache = cache_folder()
        if cache is None:
            raise UsageError(
                f"{location}: a store on the Hub is read through a mirror, and this user has no home folder for it; "
                "set VLSBENCH_CACHE_DIR to a folder that can be written."
            )
        self._home = cache / "stores" / name

    @property
    def location(self) -> str:
        """`hf://datasets/…`."""
        return self._location

    @property
    def is_own(self) -> bool:
        """Several people write into a store on the Hub: what one submits another looks at."""
        return False

    def default_who(self) -> str:
        """Return the name of the user whose token is used."""
        return who_am_i(connect())

    def sync(self, submission_id: str | None = None) -> Path:
        """Bring the mirror up to the repository: fetch what is new or changed, drop what is gone.

        Raises:
            HubError: If the Hub does not give it.
            SubmissionError: If what it gives is not what it lists.
        """
        mirror = self._home / "mirror"
        mirror.mkdir(parents=True, exist_ok=True)
        api = connect()
        with locked(self._home / "mirror.lock"):
            known = _read_known(self._home / "mirror.json")
            head = self._head(api)
            if submission_id is None and known.head == head:
                return mirror
            remote = self._list(api, head, submission_id)
            here = {
                path: blob
                for path, blob in known.files.items()
                if submission_id is None or path.startswith(f"{submission_id}/")
            }
            missing = [
                path for path, file in remote.items() if here.get(path) != file.blob_id or not (mirror / path).is_file()
            ]
            # An event speaks of files: who reads the mirror meanwhile finds them first.
            for is_event in (False, True):
                paths = [path for path in missing if (f"/{HISTORY_FOLDER}/" in path) == is_event]
                pool = ThreadPoolExecutor(_DOWNLOADS)
                try:
                    list(pool.map(lambda path: self._fetch(api, head, path, remote[path], mirror), paths))
                finally:
                    pool.shutdown(cancel_futures=True)  # after the first that fails, the others are not asked for
            for path in _files_below(mirror, submission_id) - remote.keys():
                (mirror / path).unlink(missing_ok=True)
                _remove_empty((mirror / path).parent, mirror)
            files = {path: blob for path, blob in known.files.items() if path not in here}
            files |= {path: file.blob_id for path, file in remote.items()}
            _write_known(self._home / "mirror.json", _Known(known.head if submission_id else head, files))
        return mirror

    def find(self, is_wanted: Wanted) -> list[StoredSubmission]:
        """Fetch what is wanted of the repository, and list it.

        Raises:
            HubError: If the Hub does not give it.
            SubmissionError: If what it gives is not what it lists.
        """
        api = connect()
        events: dict[str, list[str]] = {}
        for path in self._list(api, self._head(api), None):
            submission_id, _, rest = path.partition("/")
            if rest == CARD_FILE:
                events.setdefault(submission_id, [])
            elif rest.startswith(f"{HISTORY_FOLDER}/"):
                events.setdefault(submission_id, []).append(rest.rpartition("/")[2])
        wanted = sorted(submission_id for submission_id, names in events.items() if is_wanted(submission_id, names))
        return [StoredSubmission(submission_id, self.sync(submission_id) / submission_id) for submission_id in wanted]

    def _head(self, api: HfApi) -> str:
        with hub_errors(self._location):
            info = retried(lambda: api.dataset_info(self._repo, revision=self._revision), self._location)
        if info.sha is None:
            raise HubError(f"{self._location}: the Hub does not say which commit is the last.")
        return info.sha

    def _list(self, api: HfApi, head: str, submission_id: str | None) -> dict[str, _RemoteFile]:
        """List the files of a commit; names that begin with a dot are the repository's own."""
        from huggingface_hub.errors import EntryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        try:
            with hub_errors(self._location):
                tree = api.list_repo_tree(self._repo, submission_id, recursive=True, revision=head, repo_type="dataset")
                return {
                    item.path: _RemoteFile(item.blob_id, item.lfs.sha256 if item.lfs else None)
                    for item in tree
                    if isinstance(item, RepoFile) and not any(part.startswith(".") for part in item.path.split("/"))
                }
        except HubError as error:
            if submission_id is not None and isinstance(error.__cause__, EntryNotFoundError):
                return {}
            raise

    def _fetch(self, api: HfApi, head: str, path: str, file: _RemoteFile, mirror: Path) -> None:
        # Without `force_download` the client keeps an old file where the Hub does not answer.
        with hub_errors(f"{self._location}/{path}"):
            api.hf_hub_download(
                self._repo,
                path,
                repo_type="dataset",
                revision=head,
                local_dir=mirror,
                force_download=(mirror / path).exists(),
            )
        data = (mirror / path).read_bytes()
        found = hashlib.sha256(data).hexdigest() if file.sha256 else _blob_id(data)
        if found != (file.sha256 or file.blob_id):
            (mirror / path).unlink()
            raise SubmissionError(f"{self._location}/{path}: came broken from the Hub; run the command again.")

    def add(self, submission_id: str, files: Files, message: str) -> bool:
        """Add a submission in one commit.

        Raises:
            HubError: If the Hub does not take it.
        """
        from huggingface_hub.errors import HfHubHTTPError

        api = connect()
        if f"{submission_id}/{CARD_FILE}" in self._list(api, self._head(api), submission_id):
            return False
        try:
            self._commit(api, {f"{submission_id}/{name}": content for name, content in files.items()}, message)
        except HubError as error:
            if isinstance(error.__cause__, HfHubHTTPError) and error.__cause__.response.status_code == 403:
                raise HubError(f"{error} `vlsbench submit --pr` proposes it to who has.") from error.__cause__
            raise
        return True

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the other threads and processes of this machine; the Space is the only one that takes uploads."""
        self._home.mkdir(parents=True, exist_ok=True)
        with locked(self._home / "turn.lock"):
            yield

    def propose(self, submission_id: str, files: Files, message: str) -> str:
        """Open a pull request that adds the submission, or find the one that is open.

        Raises:
            HubError: If the Hub does not take it.
        """
        api = connect()
        with hub_errors(self._location):
            me = who_am_i(api)
            requests = api.get_repo_discussions(
                self._repo, repo_type="dataset", discussion_type="pull_request", discussion_status="open", author=me
            )
            for request in requests:
                if request.title == message:
                    return request.url
            operations = _additions({f"{submission_id}/{name}": content for name, content in files.items()})
            done = api.create_commit(
                self._repo, operations, commit_message=message, repo_type="dataset", create_pr=True
            )
        return str(done.pr_url)

    def write(self, files: Files, message: str) -> None:
        """Write files in one commit.

        Raises:
            HubError: If the Hub does not take them.
        """
        self._commit(connect(), files, message)

    def _commit(self, api: HfApi, files: Files, message: str, *, deleted: str | None = None) -> None:
        """Commit without a parent, as nobody else writes these paths; the client drops what an earlier try brought."""
        from huggingface_hub import CommitOperationDelete

        def commit() -> None:
            operations: list[Any] = [*_additions(files)]
            if deleted is not None and self._lease_of(api, deleted) is not None:
                operations.append(CommitOperationDelete(f"{deleted}/{LEASE_FILE}"))
            if operations:
                api.create_commit(
                    self._repo,
                    operations,
                    commit_message=message,
                    repo_type="dataset",
                    revision=self._revision,
                )

        with hub_errors(self._location):
            retried(commit, self._location)

    def _lease_of(self, api: HfApi, submission_id: str, head: str | None = None) -> LeaseRecord | None:
        """Read the lease of a submission; one that cannot be read is none."""
        head = head or self._head(api)
        path = f"{submission_id}/{LEASE_FILE}"
        file = self._list(api, head, submission_id).get(path)
        if file is None:
            return None
        folder = self._home / "leases"
        self._fetch(api, head, path, file, folder)
        try:
            return LeaseRecord.model_validate_json((folder / path).read_bytes())
        except ValidationError:
            return LeaseRecord(holder="unknown", until="2000-01-01T00:00:00Z")

    def _try_lease(self, api: HfApi, submission_id: str, holder: str, *, is_renewal: bool) -> bool:
        """Write our lease where none, an expired one or our own is, by compare and swap."""
        from huggingface_hub.errors import HfHubHTTPError

        for _ in range(_TRIES):
            head = self._head(api)
            found = self._lease_of(api, submission_id, head)
            is_ours = found is not None and found.holder == holder
            if is_ours and not is_renewal:
                return True  # the answer to an earlier try was lost
            if found is not None and not is_ours and found.until > _moment(0):
                return False
            if is_renewal and not is_ours:
                return False
            lease = LeaseRecord(holder=holder, until=_moment(self._lease_seconds))
            data = (canonical_json(lease.model_dump(mode="json")) + "\n").encode()
            try:
                api.create_commit(
                    self._repo,
                    _additions({f"{submission_id}/{LEASE_FILE}": data}),
                    commit_message=f"{'Renew' if is_renewal else 'Take'} the lease of {submission_id}",
                    repo_type="dataset",
                    revision=self._revision,
                    parent_commit=head,
                )
            except HfHubHTTPError as error:
                status = error.response.status_code
                if status != 412 and status != 429 and status < 500:
                    raise
                logger.info("%s: HTTP %d for the lease of %s; looking again", self._location, status, submission_id)
                time.sleep(random.uniform(0.1, 1.0))  # noqa: S311  # two workers shall not meet again
                continue
            return True
        return False

    @contextlib.contextmanager
    def lease(self, submission_id: str) -> Iterator[Lease | None]:
        """Take `<id>/lease.json`, renew it while the block runs, and give it back.

        Raises:
            HubError: If the Hub does not answer.
        """
        holder = secrets.token_hex(8)
        api = connect()
        with hub_errors(self._location):
            is_taken = self._try_lease(api, submission_id, holder, is_renewal=False)
        if not is_taken:
            yield None
            return
        lease = _HubLease(self, submission_id, holder)
        try:
            yield lease
        finally:
            lease.end()

    def open_workplace(self, submission_id: str) -> Path:
        """Return a folder beside the mirror.

        Raises:
            SubmissionError: If a verdict file of the store is not the one that was judged.
        """
        stored = self._home / "mirror" / submission_id
        is_by_hand = not is_managed(StoredSubmission(submission_id, stored))
        return prepare_workplace(stored, self._home / "work" / submission_id, is_by_hand=is_by_hand)

    def close_workplace(self, submission_id: str) -> None:
        """Remove it."""
        shutil.rmtree(self._home / "work" / submission_id, ignore_errors=True)


class _HubLease:
    """A lease that is held and renewed by a thread."""

    def __init__(self, store: HubStore, submission_id: str, holder: str) -> None:
        self._store = store
        self._submission_id = submission_id
        self._holder = holder
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._is_over.wait(self._store._lease_seconds / 3):
            try:
                with hub_errors(self._store.location):
                    is_ours = self._store._try_lease(connect(), self._submission_id, self._holder, is_renewal=True)
            except VLSBenchError as error:  # it holds for two thirds of its time yet
                logger.warning("the lease of %s was not renewed: %s", self._submission_id, error)
                continue
            if not is_ours:
                return

    def _stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def save(self, files: Files, message: str) -> None:
        self._stop()
        found = self._store._lease_of(connect(), self._submission_id)
        if found is None or found.holder != self._holder:
            raise SubmissionError(
                f"{self._submission_id}: another worker took over, because this one did not renew its lease in time. "
                "Nothing was saved; what was judged is kept here, and the next `vlsbench work` puts both together."
            )
        self._store._commit(connect(), files, message, deleted=self._submission_id)

    def end(self) -> None:
        """Give the lease back where it was not given back with what was saved."""
        self._stop()
        try:
            found = self._store._lease_of(connect(), self._submission_id)
            if found is not None and found.holder == self._holder:
                message = f"Give back the lease of {self._submission_id}"
                self._store._commit(connect(), {}, message, deleted=self._submission_id)
        except VLSBenchError as error:
            logger.warning("the lease of %s ends by itself at its time: %s", self._submission_id, error)


@dataclass(frozen=True)
class _Known:
    """What the mirror holds."""

    head: str | None
    """The commit it was last wholly brought up to."""
    files: Mapping[str, str]
    """Blob id by path."""


def _read_known(path: Path) -> _Known:
    """Read what the mirror holds; a file that cannot be read only costs fetching again."""
    try:
        data = json.loads(path.read_bytes())
        return _Known(data["head"], data["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return _Known(None, {})


def _write_known(path: Path, known: _Known) -> None:
    write_atomic(path, canonical_json({"head": known.head, "files": dict(known.files)}))


def _moment(seconds: float) -> str:
    """Return the moment so many seconds from now, as events write it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _additions(files: Files) -> list[Any]:
    """Make the operations of a commit; the client uses them up, so every try makes its own."""
    from huggingface_hub import CommitOperationAdd

    return [
        CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
        for path, content in sorted(files.items())
    ]


def _blob_id(data: bytes) -> str:
    """Return the id that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _files_below(mirror: Path, submission_id: str | None) -> set[str]:
    """List the files of the mirror; the client keeps its own notes in `.cache`."""
    paths = (path.relative_to(mirror) for path in (mirror / (submission_id or "")).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != ".cache"}


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
