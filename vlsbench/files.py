"""Reading and writing the files of the three seams: bounded lines in, fsynced lines out.

Rule of the room: every path is given by the caller; a line that is too long is never held in memory; what was
written is on disk before the call returns. Leaves out what the lines mean (`vlsbench.records`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from vlsbench.errors import SubmissionError

__all__ = [
    "MAX_LINE_BYTES",
    "Line",
    "StrPath",
    "append_lines",
    "canonical_json",
    "exclusive",
    "keys_given_twice",
    "locked",
    "open_regular",
    "read_lines",
    "read_regular",
    "refuse_link",
    "sha256_hex",
    "write_atomic",
]

MAX_LINE_BYTES = 1 << 20
"""Longest line accepted, 1 MiB: an answer of 32k tokens is about 130 kB of UTF-8, eight times less."""

_MAX_RECORD_BYTES = 16 << 20
"""Longest file of one record, 16 MiB: a history of 10,000 runs of a judge, the longest there is, takes 10."""

_BOM = b"\xef\xbb\xbf"


StrPath = str | os.PathLike[str]
"""A path as users write it."""


class Line(NamedTuple):
    """One non-blank line of a file."""

    number: int
    """Line number, from 1."""
    data: bytes
    """The line without its end; only its first kilobyte where `is_too_long`."""
    is_too_long: bool
    size: int
    """Bytes of the whole line."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read; a link, pipe, device or folder is refused at once, never waited for.

    Raises:
        OSError: If it is not there, cannot be read or is something else.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a link, and links are not followed", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(fd, "rb")


def read_regular(path: Path, *, max_bytes: int = _MAX_RECORD_BYTES) -> bytes:
    """Read a regular file whole, if it is not larger than `max_bytes`.

    Raises:
        OSError: If it is larger, is not there, cannot be read or is something else.
    """
    with open_regular(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes:,} bytes", str(path))
    return data


def refuse_link(path: Path) -> None:
    """Refuse to write below a link: a folder that somebody sends may hold one that leads out of it.

    Raises:
        OSError: If it is a link.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "a link, and links are not followed", str(path))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error of the operating system say which file it is about."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def read_lines(path: Path, *, max_bytes: int = MAX_LINE_BYTES, max_lines: int | None = None) -> Iterator[Line]:
    """Yield the non-blank lines of `path`, holding at most `max_bytes` of any of them.

    A UTF-8 byte-order mark before the first line is dropped.

    Args:
        max_lines: Lines after which it ends in an error, blank ones among them; None reads on.

    Raises:
        OSError: If it cannot be read, is a link or no regular file, or has more lines.
    """
    with open_regular(path) as file:
        number = 0
        while data := file.readline(max_bytes + 1):
            number += 1
            if number == max_lines:
                raise OSError(errno.EFBIG, f"{max_lines:,} lines and more, blank ones among them", str(path))
            size = len(data)
            is_too_long = size > max_bytes and not data.endswith(b"\n")
            if is_too_long:
                data = data[:1024]
                while rest := file.readline(max_bytes):
                    size += len(rest)
                    if rest.endswith(b"\n"):
                        break
            elif number == 1 and data.startswith(_BOM):
                data = data[len(_BOM) :]
            data = data.rstrip(b"\r\n")
            if data.strip():
                yield Line(number, data, is_too_long, size)


def _mend_tail(fd: int) -> None:
    """End the last line of a file: complete it where it is whole JSON, drop it where a killed write tore it."""
    size = os.fstat(fd).st_size
    if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
        return
    start = size
    tail = b""
    while start > 0 and b"\n" not in tail:
        step = min(start, 1 << 16)
        start -= step
        tail = os.pread(fd, step, start) + tail
    cut = tail.rfind(b"\n") + 1
    try:
        json.loads(tail[cut:])
    except ValueError:
        os.ftruncate(fd, start + cut)
    else:
        os.pwrite(fd, b"\n", size)


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append `lines` to `path` in one write and put them on disk.

    A last line torn by a killed run is dropped first, so that no line is ever glued to another.

    Raises:
        OSError: If the disk is full or the folder is read-only; what was there before stays readable.
    """
    block = "".join(f"{line}\n" for line in lines).encode()
    if not block:
        return
    refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        with _named(path):
            _mend_tail(fd)
            os.lseek(fd, 0, os.SEEK_END)
            view = memoryview(block)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `path` whole or not at all: a temporary file beside it, fsync, rename. A link is replaced, not followed.

    Raises:
        OSError: If the disk is full, or `path` is a folder, a pipe or a device.
    """
    if path.exists() and not path.is_symlink() and not path.is_file():
        raise OSError(errno.EINVAL, "not a plain file; name another", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _named(path), temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` against a second writer on this machine for the length of the block.

    The lock is the operating system's and ends with the process; the lock file beside `path` may stay.

    Raises:
        SubmissionError: If another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    refuse_link(lock)
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SubmissionError(
                f"{path}: another process is writing this file. Wait for it to end, then run the command again; "
                "it goes on where that one stopped."
            ) from None
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold a lock file for the length of the block, and wait until no other thread or process of this machine does.

    The lock is the operating system's and ends with the process; the file, in a folder that is there, stays.
    """
    refuse_link(lock)
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def keys_given_twice(data: bytes) -> list[str]:
    """Name the keys that an object of a JSON text holds more than once, sorted; parsers silently keep the last.

    >>> keys_given_twice(b'{"a": 1, "b": {"a": 1, "a": 2}}')
    ['a']
    """
    found: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> None:
        found.update(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)

    json.loads(data, object_pairs_hook=note)
    return sorted(found)


def canonical_json(value: Any) -> str:
    """Render JSON the one way a digest is taken of: sorted keys, no spaces, UTF-8, no NaN.

    >>> canonical_json({"b": 1, "a": "é"})
    '{"a":"é","b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_hex(data: str | bytes) -> str:
    """Return the SHA-256 of `data` (UTF-8 where it is text) as 64 hex digits."""
    return hashlib.sha256(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data).hexdigest()
