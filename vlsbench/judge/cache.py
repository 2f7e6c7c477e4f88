"""A cache of verdicts in one SQLite file, shared by submissions and processes: nothing is paid twice.

The key is made of everything that decides a verdict: the rubric id (model as requested, wording, evidence, schema,
output format, scale, settings) and the SHA-256 of each piece of evidence as it is sent. Which endpoint answered is not
part of a rubric and not of the key: keep a file per endpoint where two serve different models under one name.

Only what a rerun would not change is kept: labels, and failures that are not transient. The first verdict of a key
stays, unless it is a failure that was asked about again (`--again`) and got a label. Written in WAL mode with a long
wait for other writers; nothing of the key of an endpoint is in the file, but the judge's replies are.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from vlsbench.cost import FROM_CACHE
from vlsbench.errors import JudgeError
from vlsbench.files import canonical_json, sha256_hex
from vlsbench.records import TRANSIENT_FAILURES, Verdict

__all__ = ["CacheKey", "VerdictCache"]

_APPLICATION_ID = 0x564C5342
"""`VLSB`, in the head of the file: another program's SQLite file is not written to."""

_BUSY_SECONDS = 60.0
"""Longest wait for another process that writes; a batch of verdicts takes milliseconds."""

_OPENING_TRIES, _OPENING_SECONDS = 100, 0.1

_SCHEMA = "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL) WITHOUT ROWID"


class CacheKey(NamedTuple):
    """Everything that decides a verdict."""

    rubric_id: str
    response_sha256: str
    instruction_sha256: str
    texts_sha256: str
    """Of the texts shown beside or instead of the image, canonical JSON."""
    picture_sha256: str | None
    """Of the picture as it is sent, scaled; None where none is."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return sha256_hex(canonical_json(list(self)))


class VerdictCache:
    """Verdicts by `CacheKey`. Safe to use from several threads and processes.

    Raises:
        JudgeError: On opening or use, if the file is none of ours, broken, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; it is made where there is none."""
        self.path = path
        # Two connections: who reads never waits for who writes, not even in this process.
        self._reading, self._writing = threading.Lock(), threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._writer = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
            self._prepare()
            self._reader = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)

    def _prepare(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")  # one process at a time, the others wait
        with self._writer:
            found = self._writer.execute("PRAGMA application_id").fetchone()[0]
            if found != _APPLICATION_ID:
                if self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("it holds tables of another program")
                self._writer.execute(_SCHEMA)
                self._writer.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        self._turn_to_wal()
        self._writer.execute("PRAGMA synchronous=NORMAL")

    def _turn_to_wal(self) -> None:
        """Switch the journal; SQLite does not wait for another process that does the same at this moment."""
        for left in reversed(range(_OPENING_TRIES)):
            try:
                self._writer.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError:
                if not left:
                    raise
                time.sleep(_OPENING_SECONDS)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JudgeError(
                f"{self.path}: cannot be used as a cache of verdicts ({error}). Move the file away, name another one "
                "with --cache, or go on without; verdicts in submissions are not touched by it."
            ) from None

    def get(self, key: CacheKey) -> Verdict | None:
        """Return the verdict of a key, without what a submission adds to it, or None."""
        with self._reading, self._explained():
            row = self._reader.execute("SELECT verdict FROM verdicts WHERE key = ?", (key.digest,)).fetchone()
            if row is None:
                return None
            try:
                verdict = Verdict.model_validate_json(row[0])
            except ValidationError:
                raise sqlite3.DatabaseError(f"its entry {key.digest[:12]} is not a verdict") from None
        return verdict.model_copy(update={"usage": {FROM_CACHE: True}})

    def has(self, key: CacheKey) -> bool:
        """Say whether there is a verdict of a key."""
        return self.get(key) is not None

    def put(self, verdicts: Iterable[tuple[CacheKey, Verdict]]) -> None:
        """Keep verdicts that a rerun would not change; one that is there stays, but a label follows a failure."""
        rows = [
            (key.digest, json.dumps(verdict.model_dump(exclude_defaults=True, mode="json"), ensure_ascii=False))
            for key, verdict in verdicts
            if verdict.failure not in TRANSIENT_FAILURES
        ]
        if not rows:
            return
        with self._writing, self._explained(), self._writer:
            # A reply that holds these signs has its quotation marks escaped.
            self._writer.executemany(
                "INSERT INTO verdicts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET verdict = excluded.verdict "
                """WHERE instr(verdicts.verdict, '"failure": "') AND instr(excluded.verdict, '"label": "')""",
                rows,
            )

    def close(self) -> None:
        """Close the file."""
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()
