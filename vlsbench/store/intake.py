"""How a submission gets into a store, and what people decide about it: submit, accept, reject, withdraw.

Rule of the room: what was checked is what is stored; of a submitter only the card and the answers are taken, never
verdicts, results or a history. Leaves out judging (`vlsbench.store.worker`).
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from vlsbench.dataset.index import INDEX_FILE, Index, given_set, render_set_index
from vlsbench.errors import SubmissionError, UsageError, numbered
from vlsbench.files import StrPath, open_regular, read_lines
from vlsbench.names import fold_name, why_name_refused
from vlsbench.records import DatasetReference, Name, Record, explain
from vlsbench.store.history import (
    HISTORY_FOLDER,
    Accepted,
    Entry,
    Event,
    Received,
    Rejected,
    Standing,
    State,
    Withdrawn,
    entry_of,
    fold,
    next_number,
    now,
    read_history,
)
from vlsbench.store.identity import Identity, identity_of, read_identity
from vlsbench.store.local import (
    Files,
    Store,
    StoreAbsentError,
    StoredSubmission,
    content_id,
    is_managed,
    read_card,
    sha256_of,
    slug_of,
    submission_id_of,
)
from vlsbench.store.sets import add_set, find_set, why_not_known
from vlsbench.submission.check import CARD_FILE, RESPONSES_FILE, CheckReport, Submission, check, read_submission

__all__ = [
    "Managed",
    "Receipt",
    "accept",
    "accept_all_from",
    "adopt",
    "find_namesake",
    "history_files",
    "open_managed",
    "reject",
    "submit",
    "who_writes",
    "why_not_a_submission_change",
    "why_not_as_named",
    "withdraw",
]

_ID = re.compile(r"[\w.+@-]+(/[\w.+@-]+)*")
_CHANGE = re.compile(
    r"(?P<id>[a-z0-9][a-z0-9._-]{0,39}-[0-9a-f]{12})/"
    rf"(?P<file>{re.escape(CARD_FILE)}|{re.escape(RESPONSES_FILE)}|{re.escape(INDEX_FILE)}|"
    rf"{HISTORY_FOLDER}/0001-received-[0-9a-f]{{8}}\.json)"
)
_ACCEPTED = re.compile(r"\d+-accepted-[0-9a-f]{8}\.json")
_TAKEN_BACK = re.compile(r"\d+-(?:rejected|withdrawn)-[0-9a-f]{8}\.json")
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Receipt(Record):
    """What became of a submission."""

    submission_id: str | None
    """None where it did not pass the gate and nothing was stored."""
    is_new: bool
    """False where the same content was there already."""
    state: State | None
    pull_request: str | None = None
    """Address of the pull request, where it was proposed to a store on the Hub."""
    report: CheckReport
    next_step: str


class Managed(NamedTuple):
    """A managed submission as it lies in a store."""

    submission_id: str
    directory: Path
    history: list[Entry]
    standing: Standing


def who_writes(store: Store, name: str | None) -> str:
    """Return the name that events are written under: the given one, else the store's.

    Raises:
        UsageError: If it is not a name that can be printed on pages.
    """
    try:
        found = _NAME.validate_python(store.default_who() if name is None else name)
    except ValidationError as error:
        raise UsageError("; ".join(explain(error, rename={"line": "--name"}))) from None
    if why := why_name_refused(found):
        raise UsageError(f"--name: {why}.")
    return found


def submit(
    directory: StrPath,
    store: Store,
    *,
    name: str | None = None,
    data: StrPath | None = None,
    is_baseline: bool = False,
    is_again: bool = False,
    is_proposal: bool = False,
    accepted_because: str | None = None,
    member_of: str | None = None,
) -> Receipt:
    """Check a submission and put its card and its answers into a store.

    The same content submitted again is the same submission: nothing is stored twice, and what was withdrawn or rejected
    does not come back. What is the same is decided by what was answered, not by the bytes
    (`vlsbench.store.identity`).

    Args:
        name: Who submits; None for the store's default.
        data: Folder of the constructed set that was answered; the store knows it from then on.
        is_baseline: A maintainer adds a constant policy (`origin: baseline`); refused otherwise.
        is_again: A maintainer takes answers that were withdrawn or rejected under other bytes or another card, as after
            a wrong name.
        is_proposal: Open a pull request on the Hub instead of writing.
        accepted_because: Accept it, so that it is ranked without review, for this reason; unless somebody else's row
            has its name. None leaves it to a maintainer.
        member_of: The organization that the card names, where who submits is signed in and a member of it.

    Raises:
        DataError: If `data` is a constructed set and broken.
        SubmissionError: If this content was withdrawn or rejected, is a baseline by surprise, or answers a constructed
            set that the store does not know.
        UsageError: If the name cannot be used, or the store takes no pull requests.
    """
    directory = Path(directory)
    with tempfile.TemporaryDirectory(prefix="vlsbench-") as temporary:
        copy = Path(temporary)
        try:
            names = [CARD_FILE, RESPONSES_FILE, *([INDEX_FILE] if (directory / INDEX_FILE).exists() else [])]
            digest = [_copy(directory / file, copy / file) for file in names][1]
        except OSError as error:
            report = check(directory)
            if report.ok:
                raise SubmissionError(f"{error.filename}: {error.strerror}, when it was read to be stored.") from None
            return _refused(report)
        given = _set_at_hand(copy, store, data)
        submission, report = read_submission(copy, given=given)
        report = report.model_copy(update={"directory": str(directory)})
        if submission is None:
            return _refused(report)
        submission = _completed(submission)
        card = submission.card
        if card.origin == "baseline" and not is_baseline:
            raise SubmissionError(
                f"{directory / CARD_FILE}: origin 'baseline' marks a constant policy that a store's maintainer adds "
                "(`vlsbench submit --baseline`). Remove it: a model's row has no origin."
            )
        submission_id = submission_id_of(card, digest)
        identity = identity_of(card, submission.responses)
        known = _known(store, submission_id, report)
        if known is None and not is_again:
            known = _known_by_answers(store, identity, report, who_writes(store, name), is_baseline=is_baseline)
        if known is not None:
            return known
        received = Received(
            submission_id=submission_id,
            when=now(),
            who=who_writes(store, name),
            responses_sha256=digest,
            n_lines=sum(report.conditions.values()),
            source="submit",
            member_of=member_of,
        )
        entries = [entry_of(received, 1)]
        namesake = None
        if accepted_because is not None and not is_proposal:
            namesake = find_namesake(store, card.model, received.who)
            if namesake is None:
                accepted = Accepted(
                    submission_id=submission_id, when=received.when, who=received.who, because=accepted_because
                )
                entries.append(entry_of(accepted, 2))
        if data is not None and given is not None and not is_proposal:
            add_set(store, given)
        if (unknown := why_not_known(store, submission.index)) is not None:
            raise SubmissionError(unknown)
        files: Files = {
            CARD_FILE: _render_card(submission),
            RESPONSES_FILE: copy / RESPONSES_FILE,
            **{f"{HISTORY_FOLDER}/{entry.name}": entry.data for entry in entries},
        }
        if submission.index.kind == "constructed":
            files = {**files, INDEX_FILE: render_set_index(submission.index.whole.rows).encode()}
        message = f"Submission {submission_id}"
        if is_proposal:
            address = store.propose(submission_id, files, message)
            return Receipt(
                submission_id=submission_id,
                is_new=True,
                state=None,
                pull_request=address,
                report=report,
                next_step="the store's maintainer merges the pull request once it was checked",
            )
        if not store.add(submission_id, files, message):
            known = _known(store, submission_id, report)
            if known is not None:  # another process was faster
                return known
            raise SubmissionError(
                f"{store.location}: {submission_id!r} is there and is not a submission; move it away."
            )
    step = _next_step("received", is_accepted=len(entries) > 1)
    if namesake is not None:
        step += f". It waits for review, because {namesake} of somebody else has this name, or one that looks like it"
    return Receipt(submission_id=submission_id, is_new=True, state="received", report=report, next_step=step)


def find_namesake(store: Store, model: str, who: str) -> str | None:
    """Return the id of an accepted submission of somebody else whose model's name is this one or looks like it.

    A folder that was made by hand is the maintainer's own, and nobody else's.
    """
    folded = fold_name(model)
    for item in store.find(lambda _, events: any(_ACCEPTED.fullmatch(name) for name in events)):
        try:
            found = open_managed(store, item.submission_id)
        except SubmissionError:  # broken: the queue says so, and the board shows no row
            continue
        received = found.standing.received
        is_theirs = received is not None and received.submitter != who
        card = read_card(item.directory)
        if found.standing.is_accepted and is_theirs and card is not None and fold_name(card.model) == folded:
            return item.submission_id
    return None


def _set_at_hand(directory: Path, store: Store, data: StrPath | None) -> Index | None:
    """Find the constructed set that was answered: in `--data`, else where a card names one and brings no index."""
    given = given_set(data)
    if given is not None or (directory / INDEX_FILE).exists():
        return given
    card = read_card(directory)  # where there is none, the gate says so
    name = card.dataset.set_name if card is not None and card.dataset is not None else None
    return None if name is None else find_set(store, name)


def _completed(submission: Submission) -> Submission:
    """Let the card name the constructed set and the version of it, where `--data` did."""
    index, said = submission.index, submission.card.dataset
    if index.kind != "constructed" or (said is not None and said.revision is not None):
        return submission
    fields = {"name": index.name, "config": index.config, "revision": index.revision}
    card = submission.card.model_copy(update={"dataset": DatasetReference.model_validate(fields)})
    return replace(submission, card=card)


def _refused(report: CheckReport) -> Receipt:
    return Receipt(
        submission_id=None,
        is_new=False,
        state=None,
        report=report,
        next_step="nothing was stored: mend what the errors name and submit again",
    )


def _known(store: Store, submission_id: str, report: CheckReport) -> Receipt | None:
    """Return the receipt of content that is there already; None where it is not.

    Raises:
        SubmissionError: If it was withdrawn or rejected.
    """
    try:
        found = open_managed(store, submission_id)
    except _AbsentError:
        return None
    standing = found.standing
    if standing.state in ("withdrawn", "rejected"):
        raise SubmissionError(
            f"{submission_id}: this very content was {standing.reason}. It is not taken again; another run of the "
            "model is another submission."
        )
    return Receipt(
        submission_id=submission_id,
        is_new=False,
        state=standing.state,
        report=report,
        next_step=_next_step(standing.state, is_accepted=standing.is_accepted),
    )


def _known_by_answers(
    store: Store, mine: Identity, report: CheckReport, who: str, *, is_baseline: bool
) -> Receipt | None:
    """Return the receipt of the same card and answers in other bytes; None where they are not there.

    Args:
        who: Who submits. Whose own submission of these answers is accepted may mend its card, also where a copy of them
            by somebody else was rejected.
        is_baseline: Constant policies answer alike, and are a maintainer's own.

    Raises:
        SubmissionError: If these answers were withdrawn or rejected, whatever card they came with.
    """
    if is_baseline:
        return None
    slug = slug_of(report.model or "")

    def is_wanted(submission_id: str, events: Collection[str]) -> bool:
        return submission_id.rpartition("-")[0] == slug or any(_TAKEN_BACK.fullmatch(name) for name in events)

    same: Receipt | None = None
    refusal: SubmissionError | None = None
    is_own = False
    for item in store.find(is_wanted):
        if not is_managed(item) or (theirs := read_identity(item.directory)) is None:
            continue
        if not (mine.is_same(theirs) or mine.is_same_answers(theirs)):
            continue
        try:
            standing = fold(read_history(item.directory))
        except SubmissionError:  # broken: the queue says so, and the board does not show it
            continue
        submitter = standing.received.submitter if standing.received is not None else None
        is_own = is_own or (standing.is_accepted and submitter == who)
        if standing.state in ("withdrawn", "rejected"):
            error = SubmissionError(
                f"{item.submission_id}: these very answers were {standing.reason}. They are not taken again, whatever "
                "the card says or however the file is laid out; another run of the model is another submission."
            )
            if submitter == who:
                raise error
            refusal = refusal or error
            continue
        if mine.is_same(theirs):
            same = same or Receipt(
                submission_id=item.submission_id,
                is_new=False,
                state=standing.state,
                report=report,
                next_step=_next_step(standing.state, is_accepted=standing.is_accepted),
            )
    if refusal is not None and not is_own:
        raise refusal
    return same


def _next_step(state: State, *, is_accepted: bool) -> str:
    where = "the board shows it" if is_accepted else "the board shows it as not reviewed, until a maintainer accepts it"
    return f"nothing: {where}" if state == "published" else f"the store's maintainer runs `vlsbench work`; then {where}"


def _copy(source: Path, target: Path) -> str:
    """Copy a regular file and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with open_regular(source) as file, target.open("wb") as out:
        while block := file.read(1 << 20):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _render_card(submission: Submission) -> bytes:
    """Write a card in the one way that its id is made of, so that two submitters write the same bytes."""
    said = submission.card.model_dump(mode="json", exclude_defaults=True)
    return (json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


class _AbsentError(SubmissionError):
    """There is no such submission in the store."""


def open_managed(store: Store, submission_id: str) -> Managed:
    """Find a managed submission.

    Raises:
        SubmissionError: If it is not there, was made by hand, or its history is broken.
    """
    if not _ID.fullmatch(submission_id) or ".." in submission_id:
        raise SubmissionError(f"{submission_id!r} is not an id; `vlsbench queue --store {store.location}` lists them.")
    try:
        directory = store.sync(submission_id) / submission_id
    except StoreAbsentError as error:
        raise _AbsentError(str(error)) from None
    if not (directory / CARD_FILE).is_file():
        raise _AbsentError(
            f"{submission_id}: not in the store; `vlsbench queue --store {store.location}` lists what is."
        )
    if not is_managed(StoredSubmission(submission_id, directory)):
        raise SubmissionError(
            f"{submission_id}: a folder that was made by hand has no history. Delete the folder to take it back; "
            "`vlsbench submit` puts it into the queue."
        )
    history = read_history(directory)
    return Managed(submission_id, directory, history, fold(history))


def adopt(found: Managed, who: str) -> list[Entry]:
    """Return the history of a submission that came without one, as by a pull request: it was received now."""
    if found.history:
        return found.history
    responses = found.directory / RESPONSES_FILE
    received = Received(
        submission_id=found.submission_id,
        when=now(),
        who=who,
        responses_sha256=sha256_of(responses),
        n_lines=sum(1 for _ in read_lines(responses)),
        source="found in the store",
    )
    return [entry_of(received, 1)]


def history_files(submission_id: str, entries: Collection[Entry]) -> dict[str, bytes | Path]:
    """Return the files of events, by their path below the store."""
    return {f"{submission_id}/{HISTORY_FOLDER}/{entry.name}": entry.data for entry in entries}


def _append(store: Store, found: Managed, event: Event, message: str) -> None:
    history = adopt(found, event.who)
    entry = entry_of(event, next_number(history))
    new = [*([] if found.history else history), entry]
    store.write(history_files(found.submission_id, new), message)


def accept(submission_id: str, store: Store, *, name: str | None = None) -> None:
    """Accept a submission: judges that cost money may judge it. Lifts an earlier rejection by a maintainer.

    Raises:
        SubmissionError: If it is withdrawn, was rejected by the gate, or is not in the queue.
    """
    found = open_managed(store, submission_id)
    if found.standing.is_final:
        raise SubmissionError(f"{submission_id}: {found.standing.reason}; that is final.")
    if found.standing.is_accepted:
        return
    who = who_writes(store, name)
    _append(store, found, Accepted(submission_id=submission_id, when=now(), who=who), f"Accept {submission_id}")


class AcceptedAll(NamedTuple):
    """What became of the submissions of one sender."""

    accepted: list[str]
    """Ids."""
    only_claimed: list[str]
    """Ids of those whose cards name the organization, and for whom nothing vouches: left for review."""


def accept_all_from(sender: str, store: Store, *, name: str | None = None) -> AcceptedAll:
    """Accept what waits for review of one sender: a person's submissions, or those of members of an organization.

    A card that names the organization proves nothing: only a member's sign-in does.

    Args:
        sender: Name of who submitted, or of the organization.

    Raises:
        SubmissionError: If nothing of this sender is in the store.
    """
    folded, found, claimed, known = sender.casefold(), [], [], False
    for item in store.find(lambda *_: True):
        try:
            mine = open_managed(store, item.submission_id)
        except SubmissionError:  # made by hand, or broken
            continue
        received, card = mine.standing.received, read_card(item.directory)
        names = () if received is None else (received.submitter, received.member_of)
        is_theirs = any(value is not None and value.casefold() == folded for value in names)
        is_claimed = card is not None and (card.organization or "").casefold() == folded
        known = known or is_theirs or is_claimed
        if mine.standing.is_accepted or mine.standing.state in ("withdrawn", "rejected"):
            continue
        if is_theirs:
            accept(item.submission_id, store, name=name)
            found.append(item.submission_id)
        elif is_claimed:
            claimed.append(item.submission_id)
    if not known:
        raise SubmissionError(f"nothing of {sender!r} is in {store.location}; `vlsbench queue` lists who submitted.")
    return AcceptedAll(found, claimed)


def reject(submission_id: str, store: Store, reason: str, *, name: str | None = None) -> None:
    """Reject a submission: the board does not show it until it is accepted.

    Raises:
        SubmissionError: If it is withdrawn, was rejected by the gate, or is not in the queue.
        UsageError: If there is no reason.
    """
    found = open_managed(store, submission_id)
    if found.standing.is_final:
        raise SubmissionError(f"{submission_id}: {found.standing.reason}; that is final.")
    who = who_writes(store, name)
    event = Rejected(
        submission_id=submission_id, when=now(), who=who, by="maintainer", reasons=(_checked_reason(reason),)
    )
    _append(store, found, event, f"Reject {submission_id}")


def withdraw(submission_id: str, store: Store, reason: str = "", *, name: str | None = None) -> None:
    """Take a submission back for good: its files stay, the board does not show it, the same content is not taken again.

    Raises:
        SubmissionError: If it is not in the queue.
        UsageError: If the reason cannot be written.
    """
    found = open_managed(store, submission_id)
    if found.standing.state == "withdrawn":
        return
    who = who_writes(store, name)
    text = _checked_reason(reason) if reason else ""
    event = Withdrawn(submission_id=submission_id, when=now(), who=who, reason=text)
    _append(store, found, event, f"Withdraw {submission_id}")


def _checked_reason(reason: str) -> str:
    text = " ".join(reason.split())
    if not text or len(text) > 500 or not text.isprintable():
        raise UsageError(f"--reason is one printable sentence of at most 500 characters; found {reason[:60]!r}.")
    return text


def why_not_a_submission_change(
    added: Collection[str], modified: Collection[str] = (), deleted: Collection[str] = ()
) -> list[str]:
    """Say why a change of a store is not one that a submitter may make; empty where it is.

    A submitter adds new submissions and nothing else: of each the card, the answers, and at most the event that it was
    received. Verdicts, results and all other events are the worker's and the maintainer's.

    Args:
        added: Paths in the store, with `/`.
        modified: Paths whose content changes, or that are renamed.
        deleted: Paths that go away.
    """
    problems = [f"{path}: changed; what is in the store is never changed" for path in sorted(modified)]
    problems += [f"{path}: deleted; a submission is taken back by `vlsbench withdraw`" for path in sorted(deleted)]
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(added):
        match = _CHANGE.fullmatch(path)
        if match is None:
            problems.append(
                f"{path}: a submission adds <id>/{CARD_FILE} and <id>/{RESPONSES_FILE}, and <id>/{INDEX_FILE} where it "
                "answers a set of one's own, with the id that `vlsbench submit` prints; verdicts, results and "
                "histories are written by the store's own worker"
            )
        else:
            parts[match["id"]].append(match["file"])
    for submission_id, files in parts.items():
        missing = [file for file in (CARD_FILE, RESPONSES_FILE) if file not in files]
        n_events = sum(file.startswith(HISTORY_FOLDER) for file in files)
        if missing:
            problems.append(f"{submission_id}: without {numbered(missing)}; a submission comes whole")
        if n_events > 1:
            problems.append(f"{submission_id}: {n_events} events; a submission is received once")
    if not (added or modified or deleted):
        problems.append("nothing is changed; a submission adds its two files")
    return problems


def why_not_as_named(directory: Path) -> list[str]:
    """Say why a folder that a submitter adds is not what its name says; empty where it is. Call it after the gate."""
    problems = []
    expected = content_id(directory)
    if expected is None:
        return [f"{directory.name}: has no readable {CARD_FILE} and {RESPONSES_FILE}"]
    if expected != directory.name:
        problems.append(f"{directory.name}: the id of this content is {expected!r}; name the folder so")
    card = read_card(directory)
    if card is not None and card.origin == "baseline":
        problems.append(f"{CARD_FILE}: origin 'baseline' is for the store's maintainer; remove it")
    try:
        events = [entry.event for entry in read_history(directory)]
    except SubmissionError as error:
        return [*problems, str(error)]
    responses = directory / RESPONSES_FILE
    if any(not isinstance(event, Received) or not _is_of_submit(event, responses) for event in events):
        problems.append(
            f"{HISTORY_FOLDER}: holds other than that `vlsbench submit` received these answers; leave it out"
        )
    return problems


def _is_of_submit(event: Received, responses: Path) -> bool:
    """Say whether an event is what `vlsbench submit` writes; it vouches for nobody's membership."""
    n_lines = sum(1 for _ in read_lines(responses))
    said = (event.responses_sha256, event.n_lines, event.source, event.member_of)
    return said == (sha256_of(responses), n_lines, "submit", None)
