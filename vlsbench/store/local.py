"""Where submissions lie: a folder with one directory per submission, and the paper's rows in `paper/`.

A directory that somebody made by hand counts as it is. A directory that `vlsbench submit` made is *managed*: its name
is the id of its content, what happened to it is in `history/`, and what was submitted is never changed:

    <id>/submission.json, responses.jsonl       what was submitted; and the index.csv of a constructed set
    <id>/history/<NNNN>-<state>-<8 hex>.json    one event per file (`vlsbench.store.history`)
    <id>/verdicts/<rubric_id>.jsonl …           written by the worker that holds the lease
    <id>/results/<rubric_id>.json

Rule of the room: the store is listed, never indexed by a shared file, and two writers never write the same file with
different content; so they cannot lose a row. Leaves out the Hub (`vlsbench.hub.store`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from pydantic import ValidationError

from vlsbench.dataset.index import INDEX_FILE
from vlsbench.errors import SubmissionError, UsageError, printable
from vlsbench.files import (
    MAX_LINE_BYTES,
    append_lines,
    canonical_json,
    locked,
    open_regular,
    refuse_link,
    sha256_hex,
    write_atomic,
)
from vlsbench.judge.canaries import append_run, read_runs
from vlsbench.judge.verdicts import list_rubrics
from vlsbench.records import SubmissionCard
from vlsbench.store.history import HISTORY_FOLDER, Accepted, Judged, fold, read_history
from vlsbench.submission.check import CARD_FILE, RESPONSES_FILE

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = [
    "HUB_PREFIX",
    "Files",
    "Lease",
    "LocalStore",
    "Shown",
    "ShownSubmission",
    "Store",
    "StoreAbsentError",
    "StoredSubmission",
    "Wanted",
    "Withheld",
    "content_id",
    "default_store",
    "find_submission",
    "is_managed",
    "list_submissions",
    "prepare_workplace",
    "read_card",
    "sha256_of",
    "shown_submission",
    "shown_submissions",
    "slug_of",
    "submission_id_of",
    "tampered",
    "unusable_names",
]

HUB_PREFIX = "hf://datasets/"

_DEPTH = 3
"""How many folders down a submission may lie: `examples/NAME` is two, `USER/MODEL/RUN` three."""

_ID = re.compile(r"[\w.+@-]+(/[\w.+@-]+)*")
"""What an id looks like: it is printed in terminals and on pages, and written into CSV and JSON."""

_MANAGED_ID = re.compile(r"[a-z0-9._-]{1,40}-[0-9a-f]{12}")

_STALE_SECONDS = 24 * 3600
"""A folder of a submission coming in that is older than this was left by a process that was killed."""

Files = Mapping[str, bytes | Path]
"""What to write: the content, or the file that has it, by its path below the store."""


Wanted = Callable[[str, Collection[str]], bool]
"""Says by its id and the names of its events whether a submission is wanted."""


class StoreAbsentError(SubmissionError):
    """There is no store where it was looked for."""


class StoredSubmission(NamedTuple):
    """A directory of the store that holds a `submission.json`."""

    submission_id: str
    """Path below the store, with `/`."""
    directory: Path


class Withheld(NamedTuple):
    """A submission that the board does not show."""

    submission_id: str
    reason: str
    is_taken_down: bool = False
    """It was rejected or withdrawn; others wait for their turn, or are broken."""
    received: str | None = None
    """When it was submitted, UTC."""
    refused_at: str | None = None
    """When it was taken down, UTC, if it was never accepted: then when it came is only what its submitter says."""


class ShownSubmission(NamedTuple):
    """A submission that the board may show."""

    submission_id: str
    directory: Path
    verdicts_sha256: Mapping[str, str] | None
    """What counts: the SHA-256 of the verdict file by rubric, as it was judged. None for a directory made by hand: all
    of its verdict files count."""
    received: str | None = None
    """When it was submitted, UTC; None for a directory made by hand."""
    checked_flags: tuple[str, ...] = ()
    """What the worker that checked it found in its answers; it may have had the dataset at hand."""
    submitter: str | None = None
    """Who submitted it; None for a directory made by hand, or found in the store without a word of who."""
    is_accepted: bool = True
    """A maintainer accepted it, or put it there by hand."""
    member_of: str | None = None
    """The organization that who submitted it was a member of, where the card names it."""


class Shown(NamedTuple):
    """What the histories of a store say about the board."""

    submissions: list[ShownSubmission]
    withheld: list[Withheld]


class Lease(Protocol):
    """The right to judge one submission, for as long as the block runs."""

    def save(self, files: Files, message: str) -> None:
        """Write the files, those of the history last, and end the lease.

        Raises:
            SubmissionError: If the lease was lost to another worker; nothing was written.
        """


class Store(Protocol):
    """A place for submissions; `vlsbench.store.intake` and `.worker` need no more of it."""

    @property
    def location(self) -> str:
        """What `--store` says."""

    @property
    def is_own(self) -> bool:
        """Whether who submits into it is who runs it, so that nobody else has to look at what is submitted."""

    def sync(self, submission_id: str | None = None) -> Path:
        """Return a folder that holds the store as it is now, or at least this submission of it."""

    def find(self, is_wanted: Wanted) -> list[StoredSubmission]:
        """Return the submissions that are wanted, as they are now; of the others only names are looked at."""

    def default_who(self) -> str:
        """Say who is writing where nobody says so."""

    def turn(self) -> AbstractContextManager[None]:
        """Wait until nobody else counts what is there to decide what may be added, and keep others from it."""

    def add(self, submission_id: str, files: Files, message: str) -> bool:
        """Add a submission whole or not at all; paths are below its directory. False where its id is there already."""

    def propose(self, submission_id: str, files: Files, message: str) -> str:
        """Propose to add a submission, for a maintainer to decide; return the address of the proposal."""

    def write(self, files: Files, message: str) -> None:
        """Write files that are new, each whole or not at all, those of a history last."""

    def lease(self, submission_id: str) -> AbstractContextManager[Lease | None]:
        """Try to get the lease of a submission; None where another worker holds it."""

    def open_workplace(self, submission_id: str) -> Path:
        """Return a folder with the submission in which the holder of the lease judges; it outlives a killed run."""

    def close_workplace(self, submission_id: str) -> None:
        """Forget the workplace; its files have been saved."""


def default_store() -> Path:
    """Return `./submissions` where there is one, else the store that came with the package (the paper's rows)."""
    here = Path("submissions")
    if here.is_dir():
        return here
    packaged = Path(__file__).parents[1] / "_submissions"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "submissions"


def list_submissions(store: Path) -> list[StoredSubmission]:
    """List the submissions of a store, sorted by id; links are not followed, unusable names are passed over.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    return [item for item in _walk(store) if _ID.fullmatch(item.submission_id)]


def find_submission(store: Path, submission_id: str) -> StoredSubmission | None:
    """Find a submission by its id, as it is in `list_submissions`; a store of 1,000 is not walked for it.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    _check_is_folder(store)
    path, parts = store, submission_id.split("/")
    if not _ID.fullmatch(submission_id) or len(parts) > _DEPTH:
        return None
    for part in parts:
        path /= part
        if part.startswith(".") or path.is_symlink() or not path.is_dir():
            return None
    return StoredSubmission(submission_id, path) if (path / CARD_FILE).is_file() else None


def _events(item: StoredSubmission) -> list[str]:
    try:
        return [path.name for path in (item.directory / HISTORY_FOLDER).iterdir()]
    except OSError:  # made by hand, or its history is broken
        return []


def unusable_names(store: Path) -> list[str]:
    """List the paths of submissions whose folders have a name that cannot be an id; sorted."""
    return [item.submission_id for item in _walk(store) if not _ID.fullmatch(item.submission_id)]


def _check_is_folder(store: Path) -> None:
    if not store.is_dir():
        raise SubmissionError(f"{store}: not a folder; --store is a folder with one directory per submission.")


def _walk(store: Path) -> list[StoredSubmission]:
    _check_is_folder(store)
    found = []
    level = [store]
    for _ in range(_DEPTH):
        level = [
            path
            for folder in level
            for path in sorted(folder.iterdir())
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
        ]
        found += [StoredSubmission(p.relative_to(store).as_posix(), p) for p in level if (p / CARD_FILE).is_file()]
    return sorted(found)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file, 64 hex digits.

    Raises:
        OSError: If it is not there, or is a link or no regular file.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()


def slug_of(model: str) -> str:
    """Return how an id begins for a model's name."""
    return re.sub(r"[^a-z0-9._]+", "-", model.lower())[:40].strip("-._") or "model"


def submission_id_of(card: SubmissionCard, responses_sha256: str) -> str:
    """Return the id of a submission: a slug of the model's name and 12 digits of the digest of card and answers.

    The same content has the same id wherever it is submitted; how a card is laid out does not count.
    """
    said = canonical_json(card.model_dump(mode="json", exclude_defaults=True))
    return f"{slug_of(card.model)}-{sha256_hex(said + chr(10) + responses_sha256)[:12]}"


def read_card(directory: Path) -> SubmissionCard | None:
    """Read the card of a submission; None where there is none that can be read."""
    try:
        with open_regular(directory / CARD_FILE) as file:
            return SubmissionCard.model_validate_json(file.read(MAX_LINE_BYTES).removeprefix(b"\xef\xbb\xbf"))
    except (OSError, ValidationError):
        return None


def content_id(directory: Path) -> str | None:
    """Return the id of what lies in a directory; None where there is no readable card or no answers."""
    card = read_card(directory)
    try:
        return None if card is None else submission_id_of(card, sha256_of(directory / RESPONSES_FILE))
    except OSError:
        return None


def is_managed(item: StoredSubmission) -> bool:
    """Say whether a submission is managed: it has a history, or its name is the id of its content."""
    if _MANAGED_ID.fullmatch(item.submission_id) is None:
        return False
    return (item.directory / HISTORY_FOLDER).is_dir() or content_id(item.directory) == item.submission_id


def shown_submissions(store: Path) -> Shown:
    """List what the board may show, by the histories; verdicts and answers are not read.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    shown = Shown([], [])
    for item in list_submissions(store):
        found = shown_submission(item)
        if isinstance(found, Withheld):
            shown.withheld.append(found)
        else:
            shown.submissions.append(found)
    return shown


def shown_submission(item: StoredSubmission) -> ShownSubmission | Withheld:
    """Say what the board may show of one submission, or why it shows nothing."""
    if not is_managed(item):
        return ShownSubmission(*item, None)
    try:
        history = read_history(item.directory)
        standing = fold(history)
    except SubmissionError as error:
        return Withheld(item.submission_id, str(error))
    received = standing.received
    if standing.reason is not None:
        is_taken_down = standing.state in ("rejected", "withdrawn")
        was_accepted = any(isinstance(entry.event, Accepted) for entry in history)
        refused_at = standing.decided_by.when if standing.decided_by and is_taken_down and not was_accepted else None
        came = received.when if received else None
        return Withheld(item.submission_id, standing.reason, is_taken_down, came, refused_at)
    counted = {rubric: standing.judged[rubric].sha256 for rubric in standing.published & standing.judged.keys()}
    return ShownSubmission(
        *item,
        counted,
        received=printable(received.when) if received is not None else None,
        checked_flags=tuple(map(printable, standing.checked.flags)) if standing.checked is not None else (),
        submitter=printable(who) if received is not None and (who := received.submitter) is not None else None,
        is_accepted=standing.is_accepted,
        member_of=received.member_of if received is not None else None,
    )


def tampered(directory: Path, rubric_id: str, sha256: str) -> str | None:
    """Say why the verdicts of a managed submission do not count: a file is not the one that was submitted or judged.

    Args:
        sha256: Of the verdict file, as the event `judged` recorded it.
    """
    path = directory / "verdicts" / f"{rubric_id}.jsonl"
    if content_id(directory) != directory.name:
        return f"{directory.name}: card or answers are not those that were submitted; restore them, or submit them anew"
    try:
        found = sha256_of(path)
    except OSError as error:
        return f"{path.name}: cannot be read ({error.strerror})"
    if found != sha256:
        return (
            f"{path.name}: not the verdicts that were judged (SHA-256 {found[:12]}…, recorded {sha256[:12]}…); "
            "restore the file, or move it away and run `vlsbench work`"
        )
    return None


class LocalStore:
    """A store that is a folder; several processes of one machine may write at once."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; `add` makes it where it is not there."""
        self._folder = folder

    @property
    def location(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def is_own(self) -> bool:
        """Who can write into a folder runs the store."""
        return True

    def sync(self, submission_id: str | None = None) -> Path:
        """Return the folder itself.

        Raises:
            StoreAbsentError: If it is not a folder.
        """
        if not self._folder.is_dir():
            raise StoreAbsentError(
                f"{self._folder}: not a folder; --store is a folder with one directory per submission."
            )
        return self._folder

    def find(self, is_wanted: Wanted) -> list[StoredSubmission]:
        """Look through the folder; where there is none, nothing is found."""
        if not self._folder.is_dir():
            return []
        return [item for item in list_submissions(self._folder) if is_wanted(item.submission_id, _events(item))]

    def default_who(self) -> str:
        """Nobody is named without being asked: the login name of a machine is not public."""
        return "anonymous"

    def add(self, submission_id: str, files: Files, message: str) -> bool:
        """Write into a folder beside and rename it: a killed call leaves nothing that can be seen.

        Raises:
            OSError: If the disk is full or the folder is read-only.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        final = self._folder / submission_id
        if final.exists():
            return False
        incoming = self._folder / f".incoming-{submission_id}-{secrets.token_hex(4)}"
        try:
            for name, content in files.items():
                _put(incoming / name, content)
            try:
                incoming.rename(final)
            except OSError:
                if not final.exists():
                    raise
                return False
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        _sync_folder(self._folder)
        return True

    def _sweep(self) -> None:
        for path in self._folder.glob(".incoming-*"):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def propose(self, submission_id: str, files: Files, message: str) -> str:
        """Refuse: who can write into a folder needs nobody's consent.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"--pr is for a store on the Hub ({HUB_PREFIX}ORG/NAME); found {self.location!r}.")

    def write(self, files: Files, message: str) -> None:
        """Write each file whole or not at all, those of a history last: an event never speaks of what is not there.

        Raises:
            OSError: If the disk is full or the folder is read-only.
        """
        for name in sorted(files, key=lambda name: (f"/{HISTORY_FOLDER}/" in name, name)):
            for parent in (self._folder / folder for folder in Path(name).parents[:-1]):
                refuse_link(parent)
            _put(self._folder / name, files[name])

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a lock of the operating system, which threads and processes wait for."""
        with locked(self._lock_file(".turn")):
            yield

    def _lock_file(self, name: str) -> Path:
        refuse_link(self._folder / ".leases")
        path = self._folder / ".leases" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def lease(self, submission_id: str) -> Iterator[Lease | None]:
        """Hold a lock of the operating system; it ends with the process, however that ends."""
        fd = os.open(self._lock_file(submission_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield _LocalLease(self)
        finally:
            os.close(fd)

    def open_workplace(self, submission_id: str) -> Path:
        """Return `.work/<id>`; for a directory made by hand the directory itself.

        Raises:
            SubmissionError: If a verdict file of the store is not the one that was judged.
        """
        stored = self._folder / submission_id
        if not is_managed(StoredSubmission(submission_id, stored)):
            return stored
        refuse_link(self._folder / ".work")
        refuse_link(self._folder / ".work" / submission_id)
        return prepare_workplace(stored, self._folder / ".work" / submission_id)

    def close_workplace(self, submission_id: str) -> None:
        """Remove `.work/<id>`."""
        shutil.rmtree(self._folder / ".work" / submission_id, ignore_errors=True)


class _LocalLease:
    """A lock that is held."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def save(self, files: Files, message: str) -> None:
        self._store.write(files, message)


def _put(path: Path, content: bytes | Path) -> None:
    """Write a file whole or not at all; what is there already with this content stays."""
    if isinstance(content, Path):
        if path.exists() and path.samefile(content):
            return
        content = content.read_bytes()
    write_atomic(path, content)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def prepare_workplace(stored: Path, work: Path, *, is_by_hand: bool = False) -> Path:
    """Bring the workplace of a submission up to the store: its files, and every verdict of either side.

    What a killed run left there is kept: it was paid for.

    Args:
        stored: Its directory in the store.
        work: The workplace; it may be absent.
        is_by_hand: It has no history, and its verdict files are believed as they are.

    Raises:
        SubmissionError: If a verdict file of the store is not the one that was judged: it was not written by a worker,
            and is neither believed nor lost.
    """
    for name in (CARD_FILE, RESPONSES_FILE, INDEX_FILE):
        if name != INDEX_FILE or (stored / name).exists():
            write_atomic(work / name, _read(stored / name))
    judged = fold(read_history(stored)).judged
    for rubric_id in list_rubrics(stored):
        _merge_verdicts(stored, work, rubric_id, judged.get(rubric_id), is_by_hand=is_by_hand)
    return work


def _merge_verdicts(stored: Path, work: Path, rubric_id: str, judged: Judged | None, *, is_by_hand: bool) -> None:
    theirs = stored / "verdicts" / f"{rubric_id}.jsonl"
    mine = work / "verdicts" / theirs.name
    data = _read(theirs)
    own = mine.read_bytes() if mine.exists() else b""
    is_ours = own.startswith(data)  # a run that was killed after it wrote the file and before it wrote the event
    if not (is_ours or is_by_hand) and (judged is None or sha256_hex(data) != judged.sha256):
        raise SubmissionError(
            f"{theirs}: not the verdicts that a worker judged. Move the file away, then run the command again; "
            "`vlsbench judge` is for folders outside a store."
        )
    rubric_file = f"{rubric_id}.rubric.json"
    if (stored / "verdicts" / rubric_file).exists() and not (work / "verdicts" / rubric_file).exists():
        write_atomic(work / "verdicts" / rubric_file, _read(stored / "verdicts" / rubric_file))
    if not is_ours:
        new = set(own.splitlines()) - set(data.splitlines())
        write_atomic(mine, data)
        append_lines(mine, [line.decode() for line in own.splitlines() if line in new and _is_json(line)])
    runs = read_runs(work, rubric_id)
    for run in read_runs(stored, rubric_id):
        if run not in runs:
            append_run(work, rubric_id, run)


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


def _is_json(line: bytes) -> bool:
    """Say whether a line is whole: a killed run may have torn its last one."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
