"""The board of a store, kept fresh while it is served.

Rule of the room: no component of a page; every number is counted by the package.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from vlsbench.errors import VLSBenchError
from vlsbench.files import write_atomic
from vlsbench.records import IMAGE_TEXT, Result
from vlsbench.submission.board import BoardList, build_board, render_csv

__all__ = ["LiveBoard"]

_STORE_DEPTH = 5
"""Folders down to a file of the store: three to a submission, then `verdicts/`, with one to spare."""


class LiveBoard:
    """The board of a store, built again when a file of the store has changed."""

    def __init__(self, store: Path) -> None:
        """Build the board for the first time.

        Raises:
            VLSBenchError: If the store cannot be read.
        """
        self._store = store
        self._lock = threading.Lock()
        self._downloads = Path(tempfile.mkdtemp(prefix="vlsbench-board-"))
        self._signature = self._sign()
        self.version = 1
        """Counts the builds."""
        self.problem: str | None = None
        """Why the store could not be read the last time, while an earlier board is shown."""
        self.board = build_board(store)
        self._write_downloads()

    def refresh(self) -> int:
        """Build again if the store has changed, and return the version; a store that cannot be read changes nothing."""
        with self._lock:
            signature = self._sign()
            if signature == self._signature:
                return self.version
            try:
                board = build_board(self._store)
            except VLSBenchError as error:
                self.problem = str(error)
            else:
                self.board, self.problem = board, None
                self._write_downloads()
            self._signature = signature
            self.version += 1
            return self.version

    def lists(self, scope: str, condition: str = IMAGE_TEXT) -> list[BoardList]:
        """Return the lists of a category, a sub-category or all (`OVERALL`), in board order."""
        return self.board.of_scope(scope) if condition == IMAGE_TEXT else []

    def result_of(self, submission_id: str, rubric_id: str) -> Result:
        """Return what was counted of a submission under a rubric."""
        from vlsbench.submission.check import open_submission
        from vlsbench.submission.scoring import score_submission

        return score_submission(open_submission(self._store / submission_id), rubric_id).result

    def conditions(self) -> list[str]:
        """Return the conditions that a submission of the store was judged under; image+text first."""
        return [IMAGE_TEXT]

    @property
    def csv_path(self) -> Path:
        """The board as CSV."""
        return self._downloads / "vlsbench-board.csv"

    @property
    def json_path(self) -> Path:
        """The board as JSON."""
        return self._downloads / "vlsbench-board.json"

    def _write_downloads(self) -> None:
        write_atomic(self.csv_path, render_csv(self.board))
        write_atomic(self.json_path, self.board.model_dump_json(indent=1) + "\n")

    def _sign(self) -> tuple[tuple[str, int, int], ...]:
        """List the files of the store with time and size: 6,000 files take about 30 ms, no file is opened."""
        found = []
        level = [self._store]
        for _ in range(_STORE_DEPTH):
            folders = []
            for folder in level:
                for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                    if path.name.startswith(".") or path.is_symlink():
                        continue
                    if path.is_dir():
                        folders.append(path)
                        continue
                    try:
                        status = path.stat()
                    except FileNotFoundError:  # a writer renamed it just now; the next load sees the new one
                        continue
                    found.append((path.relative_to(self._store).as_posix(), status.st_mtime_ns, status.st_size))
            level = folders
        return tuple(found)
