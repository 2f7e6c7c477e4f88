"""The file a projection is kept in: one SQLite file per store, in the cache folder, never in the store.

Rule of the room: nothing here is needed. A file that is absent, broken, of another make, locked or not writable costs
time and nothing else: what cannot be read is not there, what cannot be written is not kept. Every row carries a digest
of itself, because SQLite notices damage to its own structure only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

__all__ = ["ProjectionFile", "StoredRow", "cache_folder"]

_APPLICATION_ID = 0x564C5350
"""`VLSP`, in the head of the file."""

_VERSION = 1
"""Of the tables; a file of another version is made anew."""

_BUSY_SECONDS = 20.0
"""Longest wait for another process that writes; a batch takes milliseconds."""

_SCHEMA = """
CREATE TABLE rows (name TEXT PRIMARY KEY, signature BLOB, content BLOB, fingerprint BLOB, seal BLOB) WITHOUT ROWID;
"""

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Codes of errors that a new file mends; the last is that of a table that is not there."""

_Found = TypeVar("_Found")


def cache_folder() -> Path | None:
    """Return the folder for what can be made again: `VLSBENCH_CACHE_DIR`, else `~/.cache/vlsbench`.

    None where nobody says which: a user without a home folder, as in a container, or with one that depends on where
    the command is run.
    """
    named = os.environ.get("VLSBENCH_CACHE_DIR")
    if named:
        return Path(named)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # `Path.expanduser` raises where there is none
    return home / ".cache" / "vlsbench" if home.is_absolute() and os.environ.get("HOME") != "" else None


class StoredRow(NamedTuple):
    """What is kept of one submission."""

    name: str
    signature: bytes
    """Of the files it was counted from."""
    content: bytes
    fingerprint: bytes

    @property
    def seal(self) -> bytes:
        """Digest of the row."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.name.encode(), self.signature, self.content, self.fingerprint):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()


class ProjectionFile:
    """Rows by name. Safe to use from several processes: a connection lives as long as one call."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made, readable by its owner only, when something is first kept."""
        self.path = path

    def load(self, names: Iterable[str] | None = None) -> dict[str, StoredRow]:
        """Return the rows that are whole; all of them, or those of some names."""
        try:
            if not self.path.exists():
                return {}
        except OSError:  # a folder on the way that is not ours to look into, or a name that is too long
            return {}

        def read(connection: sqlite3.Connection) -> list[tuple[str, bytes, bytes, bytes, bytes]]:
            columns = "SELECT name, signature, content, fingerprint, seal FROM rows"
            if names is None:
                return connection.execute(columns).fetchall()
            found = (connection.execute(f"{columns} WHERE name = ?", (name,)).fetchone() for name in names)
            return [row for row in found if row is not None]

        rows = {}
        for name, signature, content, fingerprint, seal in self._use(read) or ():
            row = StoredRow(name, signature, content, fingerprint)
            if all(isinstance(part, bytes) for part in row[1:]) and seal == row.seal:
                rows[name] = row
        return rows

    def save(self, rows: Iterable[StoredRow]) -> None:
        """Keep rows, in place of those of the same names."""
        values = [(*row, row.seal) for row in rows]
        if values:
            self._use(lambda file: file.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", values))

    def forget(self, names: Iterable[str]) -> None:
        """Drop rows."""
        values = [(name,) for name in names]
        if values:
            self._use(lambda file: file.executemany("DELETE FROM rows WHERE name = ?", values))

    def _use(self, action: Callable[[sqlite3.Connection], _Found]) -> _Found | None:
        """Do something with the file; None where it cannot be done. A file that is broken is made anew, once."""
        for _ in range(2):
            try:
                with contextlib.closing(self._open()) as connection, connection:
                    return action(connection)
            except _NotOursError:
                self._remove()
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BROKEN:
                    return None
                self._remove()
            except OSError:
                return None
        return None

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise PermissionError(f"{self.path} is no file of this user")
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
        connection.text_factory = lambda data: data.decode(
            errors="replace"
        )  # damaged text is no error, but no row either
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables where the file is empty.

        Raises:
            _NotOursError: If it holds something else.
        """
        (ours,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (ours, version) == (_APPLICATION_ID, _VERSION):
            return
        connection.execute("BEGIN IMMEDIATE")  # one process makes the tables, the others wait and find them
        with connection:
            (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (ours,) = connection.execute("PRAGMA application_id").fetchone()
            if n_tables and ours == _APPLICATION_ID:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version == _VERSION:
                    return
            if n_tables:
                raise _NotOursError
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink()


class _NotOursError(Exception):
    """The file holds tables that are not of this make."""
