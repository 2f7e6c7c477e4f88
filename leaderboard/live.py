"""The board of a store, kept fresh while it is served.

Rule of the room: no component of a page; every number is counted by the package.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from vlsbench.board.changes import BoardChange, Known, RankMove, days_in, rank_moves, read_changes, render_atom
from vlsbench.board.columns import render_csv
from vlsbench.board.compare import Comparison
from vlsbench.board.counted import View, open_projection
from vlsbench.board.lists import OVERALL, Board, BoardList, build_board, conditions_of, find_lists
from vlsbench.board.paper import AlignmentTable, InputsTable, paper_files, read_alignment_table, read_inputs_table
from vlsbench.board.parquet import render_parquet
from vlsbench.board.review import Waiting, list_waiting
from vlsbench.dataset.index import Index, index_at, kind_of_id
from vlsbench.dataset.source import SampleSource, open_source
from vlsbench.errors import VLSBenchError
from vlsbench.files import write_atomic
from vlsbench.records import IMAGE_TEXT, Label, Rates, Rubric, SubmissionCard
from vlsbench.store.desk import AtOnce, Desk, Pace, end_checks, read_card
from vlsbench.store.history import HISTORY_FOLDER
from vlsbench.store.local import LocalStore, find_submission, list_submissions, unusable_names
from vlsbench.store.queue import Change, QueueRow, list_changes, list_queue
from vlsbench.submission.answers import Answer, read_answers
from vlsbench.submission.check import open_submission
from vlsbench.submission.scoring import score_submission
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

__all__ = ["CHECKS_PER_MINUTE", "FEED", "LiveBoard"]

CHECKS_PER_MINUTE = 12
"""Checks and submissions of one address: who mends a file needs fewer, and each may take a core for seconds."""

_WAIT_SECONDS = 0.7
"""How long a page waits for a changed store to be counted: with what it takes to draw, a second."""

_REST = 4
"""Times that a look at the store took, for which nobody looks again: 20 ms of 60 submissions and 0.4 s of 1,000, which
readers would otherwise keep a core busy with. Who has just changed the store does not wait."""

_LONGEST_REST = 5.0
"""Seconds of it: after a count of a minute too, a new row is seen soon."""

_SCREENED_HERE = 12
"""Submissions that are screened before a changed board is shown: about a second."""

_SCREENED_AT_ONCE = 250
"""Submissions screened before the board shows what was found: 25 seconds of two processes. Each time the board is built
again, which takes a core from readers for a second."""


FEED = "changes.atom"

_MOST_COMPARISONS = 16
"""Kept of a board, each 0.1 s of a core and 1 MB of four models: a link asks at once, and when gradio is there."""

_MOST_MOVED = 120
"""Rows of a board up to which moves of rank ranges are counted: it ranks every list of the last days twice."""

_DAYS_MOVED = 5
"""Days on which rows came in whose moves are counted."""

_WARMED_FROM = 200
"""Submissions from which the lists of the sub-categories and the queue are counted before a reader asks for them: of
1,000, a list takes a third of a second and the queue a second. Of fewer nobody notices."""


class LiveBoard:
    """The board of a store, built again when a file of the store has changed."""

    def __init__(self, store: Path, data: Path | None = None, desk: Desk | None = None) -> None:
        """Build the board for the first time.

        Args:
            store: A folder with one directory per submission.
            data: The release or a constructed set on disk, for the page that shows samples; None shows ids and digests.
            desk: Takes submissions; None takes them into the folder.

        Raises:
            VLSBenchError: If the store or the data cannot be read.
        """
        self._store = store
        self.desk = Desk(LocalStore(store)) if desk is None else desk
        self.pace = Pace(CHECKS_PER_MINUTE)
        """Of checks and submissions, which check again."""
        self.at_once = AtOnce()
        """Of the same."""
        self._queue: tuple[tuple[tuple[str, ...], ...], list[QueueRow]] = ((), [])
        self._source = None if data is None else open_source(data, name=index_at(data).name)
        self._downloads = Path(tempfile.mkdtemp(prefix="vlsbench-board-"))
        self._removal = weakref.finalize(self, shutil.rmtree, self._downloads, ignore_errors=True)
        self._work = ThreadPoolExecutor(1, "vlsbench-board")
        """Counts, one thing at a time; readers see the board of before until it is done."""
        self._counting: Future[None] | None = None
        self._next_look = 0.0
        """On the monotonic clock."""
        self._screener: threading.Thread | None = None
        self._projection = open_projection(store, is_screening=False)
        if len(self._projection.unscreened()) <= _SCREENED_HERE:
            self._projection.screen()
        self._beside = self._sign_beside()
        self.version = 1
        """Counts the builds."""
        self.problem: str | None = None
        """Why the store could not be read the last time, while an earlier board is shown."""
        self.sync_problem: str | None = None
        """Why what is on the Hub could not be fetched, while what was fetched before is shown."""
        self._view = self._projection.view()
        self._lists: dict[tuple[str, str], list[BoardList]] = {}
        self._names: tuple[Board | None, dict[str, str]] = (None, {})
        self._comparisons: dict[tuple[str, ...], Comparison] = {}
        self._comparing = threading.Lock()
        self._changes: list[BoardChange] = []
        self._known_changes: Known = {}
        self._moving = threading.Lock()
        self._is_moving = False
        self._moves: tuple[View | None, tuple[RankMove, ...]] = (None, ())
        self._medians: dict[tuple[object, ...], dict[str, float]] = {}
        self.board = self._build()
        self._write_downloads()
        self._start_screening()
        self._start_warming()

    def report_sync(self, problem: str | None) -> None:
        """Say how fetching the store from the Hub ended; None for well."""
        self.version += problem != self.sync_problem
        self.sync_problem = problem

    def public(self, text: str) -> str:
        """Take the store's place on this machine out of a message."""
        return text.replace(f"{self._store}/", "").replace(str(self._store), "the store")

    def queue(self) -> list[QueueRow]:
        """List the submissions of the store, what waits first; read again when a history has changed.

        A store of 1,000 needs about a second once, and some 50 ms to see that nothing has changed.
        """
        try:
            names = tuple((item.submission_id, *_events(item.directory)) for item in list_submissions(self._store))
            if names != self._queue[0]:
                rows = list_queue(self._store)
                public = [row.model_copy(update={"reason": row.reason and self.public(row.reason)}) for row in rows]
                self._queue = (names, public)
        except VLSBenchError as error:
            self.problem = self.public(str(error))
        return self._queue[1]

    def waiting(self) -> tuple[Waiting, ...]:
        """List what waits for a maintainer's decision, with what one needs to decide, what came first before others."""
        try:
            return list_waiting(self._store, self._view)
        except VLSBenchError as error:
            self.problem = self.public(str(error))
            return ()

    def changes(self, submission_id: str) -> list[Change]:
        """List what happened to a submission, oldest first; nothing where there is none or its history is broken."""
        try:
            return list_changes(self._store, submission_id)
        except VLSBenchError:
            return []

    def board_changes(self) -> list[BoardChange]:
        """List what changed on the board until it was built, newest first."""
        return self._changes

    @property
    def has_moves(self) -> bool:
        """Whether moves of rank ranges are counted: a list of 500 rows takes a minute."""
        return sum(item.is_shown for item in self._view.submissions.values()) <= _MOST_MOVED

    def moves(self) -> tuple[RankMove, ...] | None:
        """Return the rank ranges that the rows of the last days moved, newest day first; None while they are counted.

        Of a board that is too large (`has_moves`) it counts none.
        """
        view = self._view
        if not self.has_moves:
            return ()
        with self._moving:
            known, moves = self._moves
            if known is not view and not self._is_moving:
                self._is_moving = True
                threading.Thread(target=self._count_moves, args=(view,), daemon=True).start()
            return moves if known is view else None

    def _count_moves(self, view: View) -> None:
        found: tuple[RankMove, ...] = ()
        try:
            days = days_in(self.board_changes())
            for day in sorted({days[name] for name in days if name in view.submissions}, reverse=True)[:_DAYS_MOVED]:
                found += tuple(rank_moves(view, days, day))
        except (VLSBenchError, OSError):
            found = ()  # changed while it was counted: the next board is counted anew
        finally:
            with self._moving:
                self._moves, self._is_moving = (view, found), False

    def has(self, submission_id: str) -> bool:
        """Say whether a submission was in the store when the board was built, shown or not."""
        return submission_id in self._view.submissions

    def names(self) -> Mapping[str, str]:
        """Return the names of the models that are accepted, by their submissions.

        What nobody has looked at is not said in the board's name, as in the title of a link.
        """
        board, names = self._names
        if board is not self.board:
            board = self.board
            names = {row.submission: row.model for item in board.lists for row in (*item.rows, *item.replaced)}
            self._names = board, names
        return names

    def card_of(self, submission_id: str) -> SubmissionCard | None:
        """Return the card of a submission; None where there is none that can be read."""
        found = find_submission(self._store, submission_id)
        return None if found is None else read_card(found.directory)

    def refresh(self, *, is_changed: bool = False) -> int:
        """Look at the store again, and return the version of the board there is.

        What takes longer than a reader should wait (a large store that has changed) goes on behind, and the next look
        finds it. A store that cannot be read changes nothing.

        Args:
            is_changed: Who asks has just changed the store; else a look of a moment ago stands.
        """
        counting = self._counting
        if counting is None or (counting.done() and (is_changed or time.monotonic() >= self._next_look)):
            counting = self._counting = self._work.submit(self._look)
        with contextlib.suppress(TimeoutError):
            counting.result(_WAIT_SECONDS)
        return self.version

    def _look(self) -> None:
        begun = time.monotonic()
        self._count()
        ended = time.monotonic()
        self._next_look = ended + min(_REST * (ended - begun), _LONGEST_REST)

    def _count(self) -> None:
        """Count what has changed; but for the first build, the projection is touched here only."""
        beside = self._sign_beside()
        try:
            self._projection.refresh(is_screening=False)
            if len(self._projection.unscreened()) <= _SCREENED_HERE:
                self._projection.screen()
            view = self._projection.view()
            if view != self._view or beside != self._beside:
                board = self._build()
                self._view, self._lists, self._medians, self._beside = view, {}, {}, beside
                self._comparisons = {}
            else:
                board = self.board
            problem = None
        except VLSBenchError as error:
            board, problem = self.board, self.public(str(error))
        if board is not self.board or problem != self.problem:
            self.board, self.problem = board, problem
            self._write_downloads()
            self.version += 1
            self._start_warming()
        self._start_screening()

    def _start_screening(self) -> None:
        """Screen what is not, in processes beside this one, and show what they find as it comes."""
        if (self._screener is None or not self._screener.is_alive()) and self._projection.unscreened():
            self._screener = threading.Thread(target=self._screen, daemon=True)
            self._screener.start()

    def _screen(self) -> None:
        with contextlib.suppress(RuntimeError, CancelledError):  # the server ends: its pool takes nothing more
            while waiting := self._work.submit(self._projection.unscreened).result():
                self._projection.screen_beside(_SCREENED_AT_ONCE)
                self._work.submit(self._count).result()
                if self._work.submit(self._projection.unscreened).result() == waiting:
                    # Nothing could be kept where processes meet: there is no cache that can be written.
                    self._work.submit(self._projection.screen).result()
                    self._work.submit(self._count).result()
                    return

    def _start_warming(self) -> None:
        """Count what the first reader would wait for."""
        if len(self._view.submissions) >= _WARMED_FROM:
            threading.Thread(target=self._warm, args=(self._lists,), daemon=True).start()

    def _warm(self, lists: dict[tuple[str, str], list[BoardList]]) -> None:
        self.queue()
        for name in SUB_CATEGORY_NAMES:
            if self._lists is not lists:
                return  # another board is there, and is warmed itself
            self.lists(name)
        for item in self.lists(OVERALL):
            self.medians(item, SUB_CATEGORY_NAMES)

    def close(self) -> None:
        """Stop counting and checking, and remove the downloads; what is being counted is waited for."""
        end_checks()
        self._work.shutdown(cancel_futures=True)
        self._removal()

    def _build(self) -> Board:
        board = build_board(self._store, projection=self._projection)
        left_out = [item.model_copy(update={"reason": self.public(item.reason)}) for item in board.left_out]
        return board.model_copy(update={"left_out": tuple(left_out)})

    def lists(self, scope: str, condition: str = IMAGE_TEXT) -> list[BoardList]:
        """Return the lists of a category, a sub-category or all (`OVERALL`), in board order."""
        if condition == IMAGE_TEXT and scope in (OVERALL, *CATEGORY_NAMES):
            return self.board.of_scope(scope)
        known = self._lists  # replaced, never emptied, when the board changes
        if (scope, condition) not in known:
            known[scope, condition] = find_lists(self._view, scope, condition)
        return known[scope, condition]

    def conditions(self) -> list[str]:
        """Return the conditions that a submission of the store was judged under; image+text first."""
        return conditions_of(self._view)

    def rates_of(self, submission_id: str, rubric_id: str, scopes: Sequence[str]) -> dict[str, Rates]:
        """Return the rates of a submission in each of the scopes that it answers.

        Raises:
            SubmissionError: If nothing was counted under this rubric.
        """
        counted = self._view.counted(submission_id, rubric_id).conditions[IMAGE_TEXT]
        found = {scope: counted.rates(scope) for scope in scopes}
        return {scope: rates for scope, rates in found.items() if rates is not None}

    def rates_under(self, submission_id: str, rubric_id: str, scope: str) -> dict[str, Rates]:
        """Return the rates of a submission in a scope, by the condition that it was judged under.

        Raises:
            SubmissionError: If nothing was counted under this rubric.
        """
        conditions = self._view.counted(submission_id, rubric_id).conditions
        found = {name: counted.rates(scope) for name, counted in conditions.items()}
        return {name: rates for name, rates in found.items() if rates is not None}

    def medians(self, item: BoardList, scopes: Sequence[str]) -> dict[str, float]:
        """Return the median safe rate of the models of a list in each scope; of one without a rate there is none.

        Counted once for every list of a board: of 5,000 rows it takes about a second.
        """
        known, key = (
            self._medians,
            (item.scope, item.rubric, item.digest, item.max_new_tokens, item.is_judged_elsewhere),
        )
        if key not in known:
            counted = [
                self._view.counted(row.submission, item.rubric).conditions[IMAGE_TEXT]
                for row in item.rows
                if row.origin != "baseline"
            ]
            found = {scope: [rate for c in counted if (rate := c.safe_rate(scope)) is not None] for scope in scopes}
            known[key] = {scope: statistics.median(rates) for scope, rates in found.items() if rates}
        return known[key]

    def comparison(self, key: tuple[str, ...], count: Callable[[], Comparison]) -> Comparison:
        """Return a comparison of this board; `count` counts it where it is not among the last few."""
        known = self._comparisons  # replaced, never emptied, when the board changes
        if (found := known.get(key)) is None:
            found = count()
            with self._comparing:
                known[key] = found
                if len(known) > _MOST_COMPARISONS:
                    del known[next(iter(known))]
        return found

    def eval_results(self, submission_id: str, rubric_id: str, source_url: str | None) -> str:
        """Render `.eval_results/vlsbench.yaml` of a submission.

        Raises:
            VLSBenchError: If there is no such submission, or its numbers may not stand for a model; says why.
        """
        from vlsbench.hub.eval_results import eval_results_yaml

        self._view.counted(submission_id, rubric_id)  # the id is one of ours, and so no path
        scored = score_submission(open_submission(self._store / submission_id), rubric_id)
        return eval_results_yaml(scored, source_url=source_url)

    def labels_of(self, submission_id: str, rubric_id: str) -> dict[int, Label]:
        """Return the labels of a submission by instruction id; a sample that has no label is absent."""
        return self._view.labels_of(submission_id, rubric_id)

    def answers_of(self, submission_id: str, rubric_id: str) -> tuple[Answer, ...]:
        """Read a submission sample by sample, in the order of ids; the last few are kept.

        Args:
            submission_id: Of a row of the board: it names a folder.
            rubric_id: Of the row's list.

        Raises:
            SubmissionError: If it is not as it was when the board was built.
        """
        directory = self._store / submission_id
        files = ("submission.json", "responses.jsonl", f"verdicts/{rubric_id}.jsonl")
        stats = [path.stat() for name in files if (path := directory / name).exists()]
        return _read(directory, rubric_id, tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats))

    def index_of(self, submission_id: str, rubric_id: str) -> Index:
        """Return the samples that a submission was counted on.

        Raises:
            SubmissionError: If nothing was counted under this rubric.
        """
        return self._view.counted(submission_id, rubric_id).index

    def source_of(self, dataset: str) -> SampleSource | None:
        """Return the samples of a dataset; None for one that the server was started without."""
        if dataset == "sample":
            return _packaged()
        return self._source if self._source is not None and self._source.index.name == dataset else None

    def source_of_id(self, instruction_id: int) -> SampleSource | None:
        """Return the samples that an id may be one of; None where the server was started without them."""
        kind = kind_of_id(instruction_id)
        if kind == "sample":
            return _packaged()
        return self._source if self._source is not None and self._source.index.kind == kind else None

    def alignment_table(self) -> AlignmentTable | None:
        """Read the paper's Table 2; None where the store has none that can be read."""
        try:
            return read_alignment_table(self._store)
        except VLSBenchError:
            return None

    def inputs_table(self) -> InputsTable | None:
        """Read the paper's Table 5; None where the store has none that can be read."""
        try:
            return read_inputs_table(self._store)
        except VLSBenchError:
            return None

    def rubrics(self) -> list[Rubric]:
        """Return the rubrics that anything on the board was judged by, by id."""
        found = {c.rubric_id: c.rubric for item in self._view.submissions.values() for c in item.counted}
        return [found[name] for name in sorted(found)]

    def downloads(self) -> list[tuple[str, Path]]:
        """Return the files of the whole board, by format; they go with this object."""
        return [(name, self._downloads / f"vlsbench-board.{name.lower()}") for name in ("CSV", "JSON", "Parquet")]

    def feed(self) -> Path:
        """Return the Atom feed of what changed."""
        return self._downloads / FEED

    def _write_downloads(self) -> None:
        files = dict(self.downloads())
        with contextlib.suppress(VLSBenchError, OSError):  # else what was read before stays
            self._changes = read_changes(self._store, self._known_changes)
        write_atomic(self._downloads / FEED, render_atom(self._changes))
        write_atomic(files["CSV"], render_csv(self.board))
        write_atomic(files["JSON"], self.board.model_dump_json(indent=1) + "\n")
        write_atomic(files["Parquet"], render_parquet(self.board))

    def _sign_beside(self) -> list[tuple[str, int, int]]:
        """Sign what the projection does not look at: the paper's tables, and folders whose names cannot be ids."""
        try:
            found = [(name, 0, 0) for name in unusable_names(self._store)]
        except VLSBenchError:
            return []
        for path in paper_files(self._store):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((path.name, status.st_mtime_ns, status.st_size))
        return found


@lru_cache(maxsize=8)
def _read(directory: Path, rubric_id: str, signature: tuple[tuple[int, int, int], ...]) -> tuple[Answer, ...]:
    """Read a submission of the release in about 50 ms, once; eight of them are at most 100 MB."""
    return read_answers(directory, rubric_id)


@lru_cache(maxsize=1)
def _packaged() -> SampleSource:
    return open_source(None, name="sample")


def _events(directory: Path) -> list[str]:
    """Name the events and the verdict files of a submission; an event's name holds the digest of what it says."""
    found: list[str] = []
    for folder in (HISTORY_FOLDER, "verdicts"):
        with contextlib.suppress(OSError):
            found += sorted(path.name for path in (directory / folder).iterdir())
    return found
