"""Send files to a repository so that a killed run costs nothing: what has arrived is never sent again.

`HfApi.upload_folder` of huggingface_hub 2.4 resumes only by way of Xet, and commits as it goes, so that readers of a
dataset meet half of the new shards beside half of the old. Here contents are sent first, in batches, and commits come
last: one for most datasets, with the card at the end. A file that the repository holds already, by the SHA-256 of its
LFS object or its git id, is passed over; a content that was sent but not committed is known to the Hub and not sent.

Rule of the room: paths are given, never globbed here; retries are bounded and logged.
"""

from __future__ import annotations

import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vlsbench.errors import amount
from vlsbench.hub.connection import hub_errors, retried

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi, RepoFile

__all__ = ["Content", "UploadReport", "upload_files", "upload_folder_resumable"]

logger = logging.getLogger(__name__)

BATCH_BYTES = 512 << 20
"""Contents sent before the next log line: some minutes on a slow line."""

COMMIT_FILES = 100
"""Files of one commit: the Hub's own uploader begins with 250 and goes down when a commit takes over 40 s."""

COMMIT_BYTES = 50 << 20
"""Contents that travel inside one commit (files that are not LFS; the Hub's own uploader takes 100 MiB)."""

Content = Path | bytes
"""A file on disk, or its content."""


class UploadReport(NamedTuple):
    """What an upload did."""

    url: str
    """Of the last commit; of the repository where nothing was to do."""
    n_files: int
    n_unchanged: int
    """Files that the repository held already."""
    n_deleted: int
    n_bytes: int
    """Size of the files that were committed; less was sent where the Hub knew their content."""
    n_commits: int

    def as_text(self) -> str:
        """Render it for a terminal."""
        n_sent = self.n_files - self.n_unchanged
        if not self.n_commits:
            return f"{amount(self.n_files, 'file is', 'files are')} there already: {self.url}"
        gone = f", {self.n_deleted} deleted" if self.n_deleted else ""
        return (
            f"{n_sent} of {amount(self.n_files, 'file')} sent ({self.n_bytes:,} bytes){gone}, in "
            f"{amount(self.n_commits, 'commit')}: {self.url}"
        )


def upload_folder_resumable(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    folder: Path,
    *,
    paths: Sequence[str] | None = None,
    message: str,
    replaced: Collection[str] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> UploadReport:
    """Send a prepared folder, as `upload_files` does.

    Args:
        paths: What to send, relative to `folder`, in the order of the commits; default: every file, sorted, the card
            (README.md) last, because it names the others.
    """
    if paths is None:
        found = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        paths = sorted((p.relative_to(folder).as_posix() for p in found), key=lambda path: (path == "README.md", path))
    files = {path: folder / path for path in paths}
    return upload_files(api, repo_id, repo_type, files, message=message, replaced=replaced, sleep=sleep)


def upload_files(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    files: Mapping[str, Content],
    *,
    message: str,
    replaced: Collection[str] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> UploadReport:
    """Make a repository hold `files`; killed and called again, it goes on.

    Args:
        files: Content by path in the repository, in the order of the commits.
        message: Subject of the commits.
        replaced: Folders (`data/`) whose other files are deleted with the last commit: an older version's shards.
        sleep: Waits so many seconds between tries.

    Raises:
        HubError: If the Hub refuses, or is out of order for longer than the tries last.
    """

    def list_there() -> dict[str, RepoFile]:
        return retried(lambda: _list_remote(api, repo_id, repo_type), repo_id, sleep=sleep)

    with hub_errors(repo_id):
        there = list_there()
        pending = [path for path, content in files.items() if not _is_there(content, there.get(path))]
        stale = [path for path in there if path not in files and path.startswith(tuple(replaced))] if replaced else []
        logger.info("%s: %d of %d files are there already", repo_id, len(files) - len(pending), len(files))
        operations = _send_contents(api, repo_id, repo_type, {path: files[path] for path in pending}, sleep)
        commits = list(_commits_of(pending, files))
        url = ""
        for number, paths in enumerate(commits, start=1):
            deleted = stale if number == len(commits) else []
            subject = message if len(commits) == 1 else f"{message} ({number} of {len(commits)})"
            url = _commit(api, repo_id, repo_type, [operations[p] for p in paths], deleted, subject, sleep)
        if stale and not commits:
            url = _commit(api, repo_id, repo_type, [], stale, f"{message}: what is no longer part of it", sleep)
    return UploadReport(
        url=url or _url_of(api, repo_id, repo_type),
        n_files=len(files),
        n_unchanged=len(files) - len(pending),
        n_deleted=len(stale),
        n_bytes=sum(_size(files[path]) for path in pending),
        n_commits=len(commits) or int(bool(stale)),
    )


def _list_remote(api: HfApi, repo_id: str, repo_type: str) -> dict[str, RepoFile]:
    from huggingface_hub import RepoFile

    entries = api.list_repo_tree(repo_id, recursive=True, repo_type=repo_type)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _is_there(content: Content, entry: RepoFile | None) -> bool:
    """Tell whether the repository holds this content; it is hashed only where the sizes agree."""
    if entry is None or entry.size != _size(content):
        return False
    if entry.lfs is not None:
        return bool(_digest(content, hashlib.sha256()) == entry.lfs.sha256)
    header = hashlib.sha1(b"blob %d\0" % entry.size, usedforsecurity=False)  # git's id of a file
    return bool(_digest(content, header) == entry.blob_id)


def _digest(content: Content, digest: hashlib._Hash) -> str:
    if isinstance(content, bytes):
        digest.update(content)
        return digest.hexdigest()
    with content.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _batches(paths: Iterable[str], size_of: Callable[[str], int], n_bytes: int, n_files: int) -> Iterator[list[str]]:
    """Cut paths, in order, into runs of at most so many files and, beyond the first, bytes."""
    batch: list[str] = []
    filled = 0
    for path in paths:
        size = size_of(path)
        if batch and (filled + size > n_bytes or len(batch) == n_files):
            yield batch
            batch, filled = [], 0
        batch.append(path)
        filled += size
    if batch:
        yield batch


def _send_contents(
    api: HfApi, repo_id: str, repo_type: str, files: Mapping[str, Content], sleep: Callable[[float], None]
) -> dict[str, CommitOperationAdd]:
    """Send what is stored apart from the commits (LFS, Xet), without committing it."""
    from huggingface_hub import CommitOperationAdd

    operations: dict[str, CommitOperationAdd] = {}
    sent = 0
    for batch in _batches(files, lambda path: _size(files[path]), BATCH_BYTES, COMMIT_FILES):
        added = {path: CommitOperationAdd(path, files[path]) for path in batch}

        # Otherwise the client forgets where a content lies, and a lost answer could not be told from a lost commit.
        send = partial(
            api.preupload_lfs_files,
            repo_id,
            additions=list(added.values()),
            repo_type=repo_type,
            free_memory=False,
        )
        retried(send, repo_id, sleep=sleep)
        operations |= added
        sent += len(batch)
        logger.info("%s: contents of %d of %d files are on the Hub", repo_id, sent, len(files))
    return operations


def _commits_of(pending: Sequence[str], files: Mapping[str, Content]) -> Iterator[list[str]]:
    """Cut what is to be committed; a large file is LFS and weighs nothing in a commit."""
    large = 10 << 20  # over which the Hub takes no file outside LFS
    sizes = {path: size if (size := _size(files[path])) <= large else 0 for path in pending}
    return _batches(pending, sizes.__getitem__, COMMIT_BYTES, COMMIT_FILES)


def _commit(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    added: Sequence[CommitOperationAdd],
    deleted: Sequence[str],
    subject: str,
    sleep: Callable[[float], None],
) -> str:
    """Commit once. A commit whose answer was lost is found by what the repository holds, not made again."""
    from huggingface_hub import CommitOperationDelete

    is_first = True

    def commit() -> str:
        nonlocal is_first
        left: Sequence[CommitOperationAdd] = added
        gone: Sequence[str] = deleted
        if not is_first:
            there = _list_remote(api, repo_id, repo_type)
            left = [item for item in added if not _is_there(_content(item), there.get(item.path_in_repo))]
            gone = [path for path in deleted if path in there]
            if not left and not gone:
                logger.info("%s: the commit had arrived", repo_id)
                return ""
        is_first = False
        with warnings.catch_warnings():
            # The sample's shards are part of the Space.
            warnings.filterwarnings("ignore", "It seems that you are about to commit a data file")
            info = api.create_commit(
                repo_id,
                [*left, *(CommitOperationDelete(path, is_folder=False) for path in gone)],
                commit_message=subject,
                repo_type=repo_type,
            )
        return str(info.commit_url)

    return retried(commit, repo_id, sleep=sleep)


def _content(operation: CommitOperationAdd) -> Content:
    content = operation.path_or_fileobj
    if isinstance(content, bytes):
        return content
    return Path(str(content))


def _url_of(api: HfApi, repo_id: str, repo_type: str) -> str:
    prefix = "" if repo_type == "model" else f"{repo_type}s/"
    return f"{api.endpoint}/{prefix}{repo_id}"
