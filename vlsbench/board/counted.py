"""What was counted of every submission of a store, kept so that it is counted once.

A projection can be made again from the files of the store at any time, and is never believed over them: what is kept
of a submission is tied to a signature of its files (names, sizes, times, inodes) and of the code that counts, and
counted anew where the signature is another. It lies in a cache folder (`vlsbench.board.counted_file`), because
a store may be a checkout or read-only; where no folder can be written it lies in memory.

Screening takes four times as long as counting, and nothing that is counted waits for it: it may be left for later
(`is_screening`), is kept apart, and is not done again where only verdicts have changed.

Rule of the room: what a submission counts as is decided by `vlsbench.submission.scoring`, and what the board may show
by `vlsbench.store.local`. Leaves out ranks and lists (`vlsbench.board.lists`).
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import subprocess
import sys
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, NamedTuple, cast

import pydantic
from pydantic import ConfigDict

from vlsbench.board.counted_file import ProjectionFile, StoredRow, cache_folder
from vlsbench.dataset.index import INDEX_FILE, Index, kind_of_name, load_index, read_set_index
from vlsbench.errors import DataError, SubmissionError, VLSBenchError, numbered, visible
from vlsbench.files import StrPath, sha256_hex
from vlsbench.judge.verdicts import list_rubrics
from vlsbench.metrics.rates import Outcome
from vlsbench.names import fold_name
from vlsbench.records import (
    FAILURES,
    IMAGE_TEXT,
    LABELS,
    Condition,
    ConditionResult,
    Count,
    Estimate,
    Fraction,
    Label,
    Rates,
    Record,
    Rubric,
    SafetySources,
    ScoredDataset,
    SubmissionCard,
)
from vlsbench.screening.fingerprints import Fingerprint, Likeness, find_alike, fingerprint
from vlsbench.screening.flags import screen, screen_looking, screen_rates
from vlsbench.store.identity import vouched_by
from vlsbench.store.local import (
    ShownSubmission,
    StoredSubmission,
    Withheld,
    list_submissions,
    shown_submission,
    tampered,
)
from vlsbench.submission.check import CARD_FILE, RESPONSES_FILE, Submission, open_submission
from vlsbench.submission.scoring import score_submission, unjudged_thoughts
from vlsbench.version import __version__

__all__ = ["CODES", "OVERALL", "Counted", "CountedCondition", "Projected", "Projection", "View", "open_projection"]

OVERALL = "Overall"
"""The scope that holds all categories; the others are the categories and the sub-categories by name."""

CODES: dict[str, int] = {name: code for code, name in enumerate((*LABELS, *FAILURES))}
"""One byte for what a sample counts as."""

_ALIKE = ":alike"
"""Name of the row that holds the pairs; no submission is called so."""

_SCREENED = ":screened"
"""What the name of the row that holds a submission's screening ends with."""

_NOT_SCREENED = "not screened yet"

_SETTLED_NS = 2 * 10**9
"""Age from which a file's time tells whether it was written again: two writes within one tick of a file system's clock
(4 ms here, 2 s on FAT) leave the same time. What is younger is counted again at the next look."""

_BATCH = 20
"""Submissions that are kept at once: what a killed process has to count again."""

_MIN_SHARE = 12
"""Submissions for which a process of their own is started: it needs the time of about eight to start."""

_MAX_PROCESSES = 8


class CountedCondition(Record):
    """What was counted under one condition, by scope."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    max_new_tokens: int | None
    over_refusal: Estimate | None
    youden_j: Estimate | None
    codes: bytes
    """What every risky sample counts as, one byte each, in the order of the index."""
    rates_json: dict[str, str]
    """The rates of all samples (`OVERALL`), of every category and of every sub-category, each as JSON: they are read
    where a list needs them, because a board of 1,000 rows needs a quarter of them."""

    def rates(self, scope: str) -> Rates | None:
        """Return the rates of a scope; None where it holds no sample."""
        found = self.rates_json.get(scope)
        return None if found is None else Rates.model_validate_json(found)

    def safe_rate(self, scope: str) -> float | None:
        """Return the safe rate of a scope alone, which is read four times as fast; None where there is none."""
        found = self.rates_json.get(scope)
        rate = None if found is None else json.loads(found)["safe_rate"]
        return None if rate is None else float(rate)


class Counted(Record):
    """One submission under one rubric."""

    card: SubmissionCard
    rubric: Rubric
    rubric_id: str
    dataset: ScoredDataset
    n_samples: Count
    response_coverage: Fraction
    n_undecided: Count
    """Responses on which no judge has decided yet."""
    visual_reliance: Estimate | None
    safety_sources: SafetySources | None
    judge_models: tuple[str, ...]
    flags: tuple[str, ...]
    """What a reader must know of how the verdicts came about."""
    conditions: dict[Condition, CountedCondition]
    is_judged_elsewhere: bool = False
    """No event of the store records who judged: the verdict files count as they lie there."""
    index_file: str | None = None
    """Where the index of a constructed set lies: in the submission. None for what the package knows."""

    @property
    def index(self) -> Index:
        """The samples it was counted on; the risky ones are in the order of the codes.

        Raises:
            SubmissionError: If the index of a constructed set was changed since.
        """
        said = self.dataset
        return _index(_IndexKey(said.name, said.config, said.revision, self.index_file))


class Projected(Record):
    """What the board needs of one submission."""

    counted: tuple[Counted, ...]
    """One per rubric that counts."""
    left_out: tuple[str, ...]
    """Why it, or one of its rubrics, is not on the board."""
    received: str | None = None
    """When it came, UTC; null where its folder was made by hand."""
    checked_flags: tuple[str, ...] = ()
    """What the worker that checked it found; it may have had the dataset at hand."""
    is_taken_down: bool = False
    """It was rejected or withdrawn: not shown, but others are still compared with its answers."""
    refused_at: str | None = None
    """When it was taken down, if it was never accepted."""
    submitter: str | None = None
    """Who submitted it; null where its folder was made by hand, or nothing says so."""
    is_accepted: bool = True
    """A maintainer accepted it, or put it there by hand: only then is it ranked."""
    verified_by: Literal["member", "repository"] | None = None
    """What vouches for the organization of its card."""

    @property
    def is_shown(self) -> bool:
        """Whether it has a row on the board."""
        return bool(self.counted)

    @property
    def is_baseline(self) -> bool:
        """Whether it is a constant policy by its own word."""
        return any(counted.card.origin == "baseline" for counted in self.counted)


class _Screening(Record):
    """What stands out in the answers of a submission."""

    flags: tuple[str, ...]


class _Screened(NamedTuple):
    """A submission's screening, as its answers were when it was made."""

    signature: bytes
    flags: tuple[str, ...]
    fingerprint: bytes
    """Empty where the answers cannot be read."""


class _Alike(Record):
    """Which submissions have many answers in common."""

    prints: dict[str, str]
    """Digest of every fingerprint that was compared, by submission id."""
    pairs: tuple[Likeness, ...]


class _Kept(NamedTuple):
    """A submission as it was when its files were last looked at."""

    signature: bytes
    projected: Projected


class _Signature(NamedTuple):
    digest: bytes
    newest_ns: int
    """When a file was last changed, by the file system's clock."""


@dataclass(frozen=True)
class View:
    """The submissions of a store as they were at one moment: what a server's threads read while others count."""

    submissions: Mapping[str, Projected]
    """What is known of every submission of the store, by id, sorted."""
    flags: Mapping[str, tuple[str, ...]]
    """What stands out in the answers of a submission, those of other submissions considered."""
    alike: tuple[Likeness, ...] = ()
    """Submissions that have many answers in common, most alike first."""

    def counted(self, submission_id: str, rubric_id: str) -> Counted:
        """Return what was counted of a submission under a rubric.

        Raises:
            SubmissionError: If there is no such submission, or nothing was counted under this rubric.
        """
        projected = self.submissions.get(submission_id)
        for counted in projected.counted if projected is not None else ():
            if counted.rubric_id == rubric_id:
                return counted
        raise SubmissionError(
            f"{submission_id}: not on the board under the rubric {rubric_id!r}; is the id spelled so?"
        )

    def labels_of(self, submission_id: str, rubric_id: str, condition: str = IMAGE_TEXT) -> dict[int, Label]:
        """Return the labels of a submission by instruction id; a sample that has no label is absent.

        Raises:
            SubmissionError: If nothing was counted under this rubric and condition.
        """
        counted = self.counted(submission_id, rubric_id)
        found = counted.conditions.get(condition)
        if found is None:
            known = ", ".join(sorted(counted.conditions))
            raise SubmissionError(f"{submission_id}: not answered under {condition!r}; it was under {known}.")
        pairs = zip(counted.index.risky, found.codes, strict=True)
        return {row.instruction_id: LABELS[code] for row, code in pairs if code < len(LABELS)}


@dataclass(frozen=True)
class _IndexKey:
    """Which index was counted on. Submissions of one version of a set share one, wherever it was read."""

    name: str
    config: str
    revision: str
    file: str | None = field(compare=False)


@lru_cache(maxsize=256)
def _index(key: _IndexKey) -> Index:
    kind = kind_of_name(key.name)
    if kind != "constructed":
        return load_index(kind).select(key.config)
    try:
        whole = read_set_index(Path(key.file or ""), key.name)
    except DataError as error:
        raise SubmissionError(f"{key.file}: {error}") from None
    if whole.revision != key.revision:
        raise SubmissionError(f"{key.file}: was changed just now; what was counted is counted anew.")
    return whole.select(key.config)


class Projection:
    """The submissions of a store as they are counted. Not for several threads at once; for several processes."""

    def __init__(self, store: Path, file: ProjectionFile | None) -> None:
        """Name the store and where to keep what was counted; None keeps it in memory."""
        self.store = store
        self.submissions: Mapping[str, Projected] = {}
        """What is known of every submission of the store, by id, sorted."""
        self.n_counted = 0
        """Submissions that the last `refresh` had to count."""
        self._file = file
        self._kept: dict[str, _Kept] | None = None
        self._screened: dict[str, _Screened] = {}
        self._unsettled: set[str] = set()
        self._alike = _Alike(prints={}, pairs=())
        self._duplicates: dict[str, tuple[str, ...]] = {}

    def refresh(self, *, is_screening: bool = True) -> bool:
        """Look at the files again and count what has changed.

        Args:
            is_screening: Also screen what is not; False leaves it to `screen`.

        Returns:
            Whether anything is not as it was at the last call.

        Raises:
            SubmissionError: If the store is not a folder.
        """
        before, screened_before = self._kept, dict(self._screened)
        items = {item.submission_id: item for item in list_submissions(self.store)}
        signed = {name: _sign(item.directory) for name, item in items.items()}
        wanted = {name: signature.digest for name, signature in signed.items()}
        if before is None and self._file is not None:
            rows = self._load({**wanted, _ALIKE: _code_digest()})
            if _ALIKE in rows:
                self._alike = _Alike.model_validate_json(rows.pop(_ALIKE).content)
            known = {name: _kept_of(row) for name, row in rows.items()}
        else:
            known = {n: k for n, k in (before or {}).items() if wanted.get(n) == k.signature}
        missing = [name for name in items if name not in known or name in self._unsettled]
        self.n_counted = len(missing)
        now = time.time_ns()
        self._unsettled = {name for name in missing if signed[name].newest_ns > now - _SETTLED_NS}
        settled = [name for name in missing if name not in self._unsettled]
        if self._file is not None and len(settled) >= 2 * _MIN_SHARE:
            _work_beside(self._file, [items[name] for name in settled], "count")
            known |= {name: _kept_of(row) for name, row in self._load({n: wanted[n] for n in settled}).items()}
            missing = [name for name in missing if name not in known or name in self._unsettled]
        for row in _count_all(self._file, [items[name] for name in missing], self._unsettled):
            known[row.name] = _kept_of(row)
        if self._file is not None and before is not None:
            gone = before.keys() - items.keys()
            self._file.forget([*gone, *(f"{name}{_SCREENED}" for name in gone)])
        self._kept = {name: known[name] for name in items}
        self.submissions = {name: kept.projected for name, kept in self._kept.items()}
        # What was counted anew may have answers of the same times and sizes: only the file knows what is settled.
        self._screened = {name: found for name, found in self._screened.items() if name not in missing}
        self._load_screened()
        if is_screening:
            self.screen()
        elif self._screened != screened_before or before is None:
            self._compare()
        return before != self._kept or screened_before != self._screened

    def unscreened(self) -> list[str]:
        """List the submissions that a screening is missing of, by id."""
        return [name for name, found in self.submissions.items() if _is_screened(found) and name not in self._screened]

    def screen(self) -> bool:
        """Screen what is not, and find what is alike.

        Returns:
            Whether anything was screened.
        """
        missing = self.unscreened()
        items = [StoredSubmission(name, self.store / name) for name in missing]
        if self._file is not None and len(items) >= 2 * _MIN_SHARE:
            _work_beside(self._file, items, "screen")
            self._load_screened()
            items = [item for item in items if item.submission_id not in self._screened]
        for name, found in _screen_all(self._file, items):
            self._screened[name] = found
        self._compare()
        return bool(missing)

    def screen_beside(self, limit: int) -> None:
        """Screen up to so many submissions in other processes, into the file; `refresh` then finds them there.

        It reads nothing that `refresh` changes while it runs, so that a server need not wait for it.
        """
        items = [StoredSubmission(name, self.store / name) for name in self.unscreened()[:limit]]
        if self._file is not None and items:
            _work_beside(self._file, items, "screen", is_here=False)

    def _load_screened(self) -> None:
        """Take the screenings that still fit the answers; those of before, and what the file has."""
        wanted = {
            name: _sign_answers(self.store / name).digest
            for name, found in self.submissions.items()
            if _is_screened(found)
        }
        known = {name: found for name, found in self._screened.items() if wanted.get(name) == found.signature}
        missing = [name for name in wanted if name not in known]
        if self._file is not None and missing:
            for row in self._file.load([f"{name}{_SCREENED}" for name in missing]).values():
                name = row.name.removesuffix(_SCREENED)
                if row.signature == wanted[name]:
                    known[name] = _screened_of(row)
        self._screened = known

    def _flags_of(self, submission_id: str) -> tuple[str, ...]:
        found = self._screened.get(submission_id)
        if found is None:
            # Until then the worker's word stands: a constant policy is ranked in no meantime.
            projected = self.submissions[submission_id]
            return (_NOT_SCREENED, *projected.checked_flags) if _is_screened(projected) else ()
        # What only the worker could find stands behind what is found here; the rest is the same sentences.
        only_checked = [flag for flag in self.submissions[submission_id].checked_flags if flag not in found.flags]
        return (*found.flags, *only_checked, *self._duplicates.get(submission_id, ()))

    def view(self) -> View:
        """Return everything as it is now."""
        namesakes = _namesakes(self.submissions)
        return View(
            self.submissions,
            {name: (*self._flags_of(name), *namesakes.get(name, ())) for name in self.submissions},
            tuple(sorted(self._alike.pairs, key=lambda item: (-item.n_alike / item.n_compared, item))),
        )

    def _compare(self) -> None:
        """Find the submissions that have many answers in common; only what has changed is compared with the others."""
        was = self._alike
        found = {name: item for name, item in self._screened.items() if item.fingerprint}
        prints = {
            name: hashlib.blake2b(item.fingerprint, digest_size=8).hexdigest() for name, item in sorted(found.items())
        }
        changed = {name for name, digest in prints.items() if was.prints.get(name) != digest}
        pairs = [
            pair for pair in was.pairs if not changed & {pair.first, pair.second} and prints.keys() >= set(pair[:2])
        ]
        if changed:
            pairs += find_alike({name: Fingerprint.from_bytes(found[name].fingerprint) for name in prints}, of=changed)
        self._alike = _Alike(prints=prints, pairs=tuple(sorted(pairs)))
        if self._file is not None and self._alike != was:
            self._file.save([StoredRow(_ALIKE, _code_digest(), self._alike.model_dump_json().encode(), b"")])
        self._duplicates = _duplicates(self._alike.pairs, self.submissions)

    def _load(self, wanted: Mapping[str, bytes]) -> dict[str, StoredRow]:
        if self._file is None:
            return {}
        return {n: row for n, row in self._file.load().items() if wanted.get(n) == row.signature}


def open_projection(store: StrPath, *, is_screening: bool = True) -> Projection:
    """Open the projection of a local store, and count what is not in it.

    Args:
        is_screening: Also screen what is not; False leaves it to `Projection.screen`.

    Raises:
        SubmissionError: If the store is not a folder.
    """
    path = Path(store)
    # As it is spelled, too: that is how the reasons of what is left out name its files.
    name = sha256_hex(b"\0".join((os.fsencode(path.resolve()), os.fsencode(path))))[:24]
    folder = cache_folder()
    projection = Projection(path, None if folder is None else ProjectionFile(folder / f"board-{name}.sqlite3"))
    projection.refresh(is_screening=is_screening)
    return projection


def _kept_of(row: StoredRow) -> _Kept:
    return _Kept(row.signature, Projected.model_validate_json(row.content))


def _screened_of(row: StoredRow) -> _Screened:
    return _Screened(row.signature, _Screening.model_validate_json(row.content).flags, row.fingerprint)


def _is_screened(projected: Projected) -> bool:
    """Whether its answers are looked at: a constant policy says of itself what it is."""
    return projected.is_taken_down or (projected.is_shown and not projected.is_baseline)


@lru_cache(maxsize=1)
def _code_digest() -> bytes:
    """Digest everything that decides what is counted, but for the files: an upgrade, or an edit, counts anew."""
    digest = hashlib.blake2b(digest_size=16)
    for version in (__version__, sys.version, pydantic.VERSION, unicodedata.unidata_version):
        digest.update(version.encode())
    package = Path(__file__).parents[1]
    for path in sorted([*package.rglob("*.py"), *package.glob("dataset/*.csv")]):
        digest.update(path.read_bytes())
    return digest.digest()


def _sign(directory: Path) -> _Signature:
    """Sign the files that decide what a submission counts as; none is opened."""
    digest = hashlib.blake2b(_code_digest(), digest_size=16)
    newest = 0
    for folder in ("", "history", "verdicts"):
        try:
            with os.scandir(directory / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            digest.update(f"{folder}: {error.errno}\n".encode())
            continue
        for entry in found:
            if entry.name.startswith(".") or (not folder and entry.name not in (CARD_FILE, RESPONSES_FILE, INDEX_FILE)):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # replaced just now; the next look sees the new one
                continue
            numbers = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode)
            digest.update(f"{folder}/{entry.name!a}: {numbers}\n".encode())
            newest = max(newest, status.st_ctime_ns)
    return _Signature(digest.digest(), newest)


def _sign_answers(directory: Path) -> _Signature:
    """Sign the files that decide what screening finds; none is opened."""
    digest = hashlib.blake2b(_code_digest(), digest_size=16)
    newest = 0
    for name in (CARD_FILE, RESPONSES_FILE, INDEX_FILE):
        try:
            status = (directory / name).lstat()
        except OSError as error:
            digest.update(f"{name}: {error.errno}\n".encode())
            continue
        numbers = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode)
        digest.update(f"{name}: {numbers}\n".encode())
        newest = max(newest, status.st_ctime_ns)
    return _Signature(digest.digest(), newest)


class _CountedNow(NamedTuple):
    projected: Projected
    is_certain: bool
    """False where something could not be read: it may have been the machine's fault, and is tried again."""


def _count_stored(item: StoredSubmission) -> _CountedNow:
    """Count a submission of a store under every rubric that counts."""
    shown = shown_submission(item)
    if isinstance(shown, Withheld):
        projected = Projected(
            counted=(),
            left_out=(shown.reason,),
            is_taken_down=shown.is_taken_down,
            received=shown.received,
            refused_at=shown.refused_at,
        )
        return _CountedNow(projected, is_certain=True)
    try:
        submission = open_submission(item.directory)
        rubrics = list_rubrics(item.directory) if shown.verdicts_sha256 is None else sorted(shown.verdicts_sha256)
    except (VLSBenchError, OSError) as error:
        return _CountedNow(Projected(counted=(), left_out=(_reason(error),)), is_certain=False)
    counted, left_out = [], []
    for rubric_id in rubrics:
        try:
            counted.append(_count(submission, shown, rubric_id))
        except (VLSBenchError, OSError) as error:
            left_out.append(_reason(error))
    is_certain = not left_out
    if not rubrics:
        left_out.append("not judged yet")
    projected = Projected(
        counted=tuple(counted),
        left_out=tuple(left_out),
        received=shown.received,
        checked_flags=shown.checked_flags,
        submitter=shown.submitter,
        is_accepted=shown.is_accepted,
        verified_by=vouched_by(submission.card, shown.member_of),
    )
    return _CountedNow(projected, is_certain)


def _outside(shown: ShownSubmission, card: SubmissionCard) -> tuple[str, ...]:
    """Say that no event records who judged: the verdict files count as they lie there, as a constant policy's may."""
    return ("judged outside the store",) if shown.verdicts_sha256 is None and card.origin != "baseline" else ()


def _screen_stored(item: StoredSubmission) -> StoredRow:
    """Screen the answers of a submission; what cannot be read has neither flag nor fingerprint."""
    name, signature = f"{item.submission_id}{_SCREENED}", _sign_answers(item.directory).digest
    try:
        submission = open_submission(item.directory)
    except (VLSBenchError, OSError):
        return StoredRow(name, signature, _Screening(flags=()).model_dump_json().encode(), b"")
    flags = tuple(flag.message for flag in screen(submission.responses, submission.index).flags)
    print_of = fingerprint(submission.responses, submission.index).to_bytes()
    return StoredRow(name, signature, _Screening(flags=flags).model_dump_json().encode(), print_of)


def _duplicates(pairs: Sequence[Likeness], submissions: Mapping[str, Projected]) -> dict[str, tuple[str, ...]]:
    """Say of the later of two submissions with the same answers that they are the other's, most alike first."""
    others: defaultdict[str, list[str]] = defaultdict(list)
    for item in sorted(pairs, key=lambda item: (-item.n_alike / item.n_compared, item)):
        for name, other in ((item.first, item.second), (item.second, item.first)):
            if _is_copy(submissions[name], submissions[other]):
                down = ", taken down" if submissions[other].is_taken_down else ""
                others[name].append(f"{other}{down} ({item.n_alike:,} of {item.n_compared:,})")
    return {name: (f"the same answers, or nearly, as in {numbered(named, limit=3)}",) for name, named in others.items()}


def _is_copy(mine: Projected, other: Projected) -> bool:
    """Say whether answers that two submissions share count as copied by `mine`.

    What nobody has accepted says nothing about what a maintainer did. Otherwise the later one copies; of two whose
    order nobody knows, each may have. Who runs a model again copies nobody, unless what is repeated was taken down.
    """
    if other.is_taken_down:
        if mine.is_accepted and other.refused_at is not None:  # else a copy of the original, sent for that, flags it
            return mine.received is not None and other.refused_at < mine.received
        return other.received is None or (mine.received is not None and other.received <= mine.received)
    if mine.is_taken_down or _are_runs_of_one(mine, other):
        return False
    if mine.is_accepted != other.is_accepted:
        return other.is_accepted
    return (other.received or "") <= (mine.received or "")


def _are_runs_of_one(first: Projected, second: Projected) -> bool:
    names = {found.counted[0].card.model.casefold() for found in (first, second) if found.counted}
    return len(names) == 1 and _are_of_one(first, second)


def _are_of_one(first: Projected, second: Projected) -> bool:
    """Say whether two come from the same people; what lies there by hand is the maintainer's own.

    Whoever brings a pull request may leave out who they are: nobody that is known is nobody's other self.
    """
    if first.submitter is None and (first.received is not None or second.received is not None):
        return False
    return first.submitter == second.submitter


def _namesakes(submissions: Mapping[str, Projected]) -> dict[str, tuple[str, ...]]:
    """Say of what is not reviewed whose names it has.

    Its model's is that of somebody else's accepted row, or looks like it; its organization's looks like that of an
    accepted row, and is another.
    """
    accepted: dict[str, list[str]] = {}
    organizations: dict[str, dict[str, str]] = {}
    waiting: list[str] = []
    for name, found in submissions.items():
        if not found.counted or found.is_baseline:
            continue
        card = found.counted[0].card
        if found.is_accepted:
            accepted.setdefault(fold_name(card.model), []).append(name)
            if card.organization is not None:
                organizations.setdefault(fold_name(card.organization), {}).setdefault(
                    card.organization.casefold(), name
                )
        else:
            waiting.append(name)
    flags: dict[str, tuple[str, ...]] = {}
    for name in waiting:
        mine = submissions[name]
        card = mine.counted[0].card
        same = accepted.get(fold_name(card.model), ())
        theirs = [other for other in same if not _are_of_one(submissions[other], mine)]
        said = []
        if theirs:
            said.append(f"has the name of {numbered(theirs, limit=3)} by somebody else, or one that looks like it")
        written = organizations.get(fold_name(card.organization), {}) if card.organization is not None else {}
        if card.organization is not None and written and card.organization.casefold() not in written:
            others = sorted(written.values())
            said.append(f"its organization looks like that of {numbered(others, limit=3)} and is written otherwise")
        flags[name] = tuple(said)
    return flags


def _reason(error: VLSBenchError | OSError) -> str:
    return visible(f"{error.filename}: {error.strerror}") if isinstance(error, OSError) else str(error)


def _count(submission: Submission, shown: ShownSubmission, rubric_id: str) -> Counted:
    if shown.verdicts_sha256 is not None:
        reason = tampered(submission.directory, rubric_id, shown.verdicts_sha256[rubric_id])
        if reason is not None:
            raise SubmissionError(reason)
    scored = score_submission(submission, rubric_id)
    result = scored.result
    found = (*screen_rates(result), *screen_looking(result.looking)) if submission.card.origin != "baseline" else ()
    stands_out = [flag.message for flag in found]
    thoughts = unjudged_thoughts(result)
    of_condition: dict[str, ConditionResult] = {IMAGE_TEXT: result, **result.conditions}
    return Counted(
        card=submission.card,
        rubric=scored.rubric,
        rubric_id=rubric_id,
        dataset=result.dataset,
        n_samples=result.n_samples,
        response_coverage=result.response_coverage,
        n_undecided=scored.n_undecided,
        visual_reliance=result.visual_reliance,
        safety_sources=result.safety_sources,
        judge_models=result.judge_models,
        flags=(*scored.flags, *stands_out, *([thoughts] if thoughts else []), *_outside(shown, submission.card)),
        is_judged_elsewhere=bool(_outside(shown, submission.card)),
        conditions={
            condition: CountedCondition(
                max_new_tokens=of_condition[condition].max_new_tokens,
                over_refusal=of_condition[condition].over_refusal,
                youden_j=_youden_j(of_condition[condition]),
                codes=bytes(map(_code, items)),
                rates_json=_rates_json(of_condition[condition]),
            )
            for condition, items in scored.outcomes.items()
        },
        index_file=str(submission.directory / INDEX_FILE) if submission.index.kind == "constructed" else None,
    )


def _rates_json(result: ConditionResult) -> dict[str, str]:
    whole = Rates(**{name: getattr(result, name) for name in Rates.model_fields})
    by_scope = {OVERALL: whole, **result.by_category, **result.by_sub_category}
    return {scope: rates.model_dump_json() for scope, rates in by_scope.items()}


def _youden_j(result: ConditionResult) -> Estimate | None:
    found = None if result.twins is None else result.twins.youden_j
    return None if found is None else Estimate(value=found.value, ci=(found.low, found.high), n=found.n)


def _code(item: Outcome) -> int:
    return CODES[item.label or item.failure or "judge_unreachable"]


def _count_all(
    file: ProjectionFile | None, items: Sequence[StoredSubmission], unsettled: set[str]
) -> Iterator[StoredRow]:
    """Count submissions one after the other and keep those that are settled; what is not certain joins `unsettled`."""
    kept: list[StoredRow] = []
    for item in items:
        # Signed before it is read: whatever is written meanwhile makes the signature another.
        signature = _sign(item.directory)
        projected, is_certain = _count_stored(item)
        row = StoredRow(item.submission_id, signature.digest, projected.model_dump_json().encode(), b"")
        if not is_certain:
            unsettled.add(item.submission_id)
        if item.submission_id not in unsettled:
            kept.append(row)
        if file is not None and (len(kept) == _BATCH or item is items[-1]):
            file.save(kept)
            kept = []
        yield row


def _screen_all(file: ProjectionFile | None, items: Sequence[StoredSubmission]) -> Iterator[tuple[str, _Screened]]:
    """Screen submissions one after the other and keep what is found of those that are settled."""
    kept: list[StoredRow] = []
    for item in items:
        is_settled = _sign_answers(item.directory).newest_ns <= time.time_ns() - _SETTLED_NS
        row = _screen_stored(item)
        if is_settled:
            kept.append(row)
        if file is not None and (len(kept) == _BATCH or item is items[-1]):
            file.save(kept)
            kept = []
        yield item.submission_id, _screened_of(row)


class _Share(Record):
    """What a process that works beside this one is told."""

    task: Literal["count", "screen"]
    file: str
    items: tuple[tuple[str, str], ...]
    """Id and directory."""
    asked_by: int
    """Id of the process that waits for it."""


def _work_beside(
    file: ProjectionFile, items: Sequence[StoredSubmission], task: Literal["count", "screen"], *, is_here: bool = True
) -> None:
    """Count or screen submissions into the file, in processes of their own; all of it is optional.

    They are started by name and told by pipe: to fork a server's threads is not safe. A pool of `concurrent.futures`
    takes as long (`benchmarks/board_pool.py`), but multiprocessing imports the caller's main module in every worker: a
    script without `if __name__ == "__main__"` ran three times in place of once, with tracebacks. And where who asked
    was killed, the pool's workers stayed.

    Args:
        is_here: This process takes a share too.
    """
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n_processes = max(1, min(n_cores, len(items) // _MIN_SHARE, _MAX_PROCESSES))
    shares = [items[number::n_processes] for number in range(n_processes)]
    command = [sys.executable, "-P", "-c", f"from {__name__} import _work_share; _work_share()"]
    others = []
    for share in shares[1:] if is_here else shares:
        told = _Share(
            task=task,
            file=str(file.path),
            items=tuple((item.submission_id, str(item.directory)) for item in share),
            asked_by=os.getpid(),
        )
        try:
            other = subprocess.Popen(  # noqa: S603 (this interpreter, and this module)
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError:
            continue
        others.append(other)
        with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", other.stdin) as pipe:
            pipe.write(told.model_dump_json().encode())
    was_enabled = gc.isenabled()
    try:
        if is_here:
            gc.disable()  # as the others do
            _work(task, file, shares[0], lambda: True)
    finally:
        if was_enabled:
            gc.enable()
        for other in others:
            other.wait()


def _work(
    task: Literal["count", "screen"],
    file: ProjectionFile,
    items: Sequence[StoredSubmission],
    is_wanted: Callable[[], bool],
) -> None:
    """Count or screen submissions into the file, as long as somebody wants it."""
    done: Iterator[object] = _count_all(file, items, set()) if task == "count" else _screen_all(file, items)
    for _ in done:
        if not is_wanted():
            return


def _work_share() -> None:
    """Do what stands on stdin, until the process that asked for it is gone."""
    told = _Share.model_validate_json(sys.stdin.buffer.read())
    gc.disable()  # a fifth of the time; a record holds no cycle
    items = [StoredSubmission(name, Path(directory)) for name, directory in told.items]
    _work(told.task, ProjectionFile(Path(told.file)), items, lambda: os.getppid() == told.asked_by)
