"""`vlsbench hub-check`: the gate, run on a pull request of a store repository, with one comment as its answer.

What a stranger wrote is data here: names and sizes are read from the Hub's listing before anything is downloaded,
everything is read at one commit, nothing of it is run, and all of it is escaped in the comment. The change set is
judged against the commit where the pull request left `main`, so that what others merged meanwhile is not held
against it.

Shape of a payload: webhooks version 3 (huggingface/hub-docs, `docs/hub/webhooks.md`), as `huggingface_hub` reads it.
"""

from __future__ import annotations

import hmac
import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from vlsbench.dataset.index import INDEX_FILE, MAX_INDEX_BYTES, Index, read_set_index
from vlsbench.errors import DataError, HubError, SubmissionError, amount, numbered, plural
from vlsbench.files import MAX_LINE_BYTES
from vlsbench.hub.connection import hub_errors, retried, who_am_i
from vlsbench.hub.model_card import escape_markdown
from vlsbench.records import explain
from vlsbench.store.history import HISTORY_FOLDER, read_history
from vlsbench.store.intake import why_not_a_submission_change, why_not_as_named
from vlsbench.store.sets import set_path
from vlsbench.submission.check import CARD_FILE, RESPONSES_FILE, CheckReport, read_submission

if TYPE_CHECKING:
    from huggingface_hub import DiscussionWithDetails, HfApi, RepoFile, RepoFolder

__all__ = [
    "MAX_COMMENT_CHARACTERS",
    "Affected",
    "CheckedSubmission",
    "PullRequestReport",
    "affected_by",
    "check_pull_request",
    "post_comment",
    "read_payload",
    "render_comment",
]

MAX_RESPONSES_BYTES = 128 << 20
"""Longest `responses.jsonl` that is downloaded: the release answered with 14,000 tokens each is about as much."""

MAX_SUBMISSIONS = 20
"""Submissions of one pull request that are downloaded and checked."""

MAX_FOLDERS = 100
"""Changed folders at the top of a store whose files are listed, one request each."""

MAX_FILES = 20_000
"""Entries of one listing: a store of so many submissions is listed whole, a folder of so many files is none."""

MAX_COMMITS = 2_000
"""How far back `main` and a pull request are followed to where they part."""

MAX_COMMENT_CHARACTERS = 16_000
"""A comment that a person still reads. The Hub's own limit is not documented; it takes 16,000."""

_LEEWAY = timedelta(days=1)
"""How far the clocks of a submitter and of the Hub may be apart."""

_MARK = "<!-- vlsbench hub-check -->"
"""Not shown on the page; tells our comment from others of the same account."""

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PULL_REQUEST = re.compile(r"refs/pr/([1-9]\d{0,8})")
_MAX_PAYLOAD_BYTES = 1 << 20


class Affected(NamedTuple):
    """The pull requests that an event of the Hub is about."""

    repo_id: str
    numbers: tuple[int, ...]
    note: str | None
    """Why there is none."""


class CheckedSubmission(NamedTuple):
    """One submission of a pull request."""

    submission_id: str
    report: CheckReport | None
    """None where it was not downloaded."""


class PullRequestReport(NamedTuple):
    """What was found in a pull request."""

    repo_id: str
    number: int
    commit: str | None
    """The commit that was checked; None where nothing was."""
    note: str | None
    """Why nothing was checked."""
    submissions: tuple[CheckedSubmission, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing stands against merging."""
        return not self.problems


# --- Which pull request ------------------------------------------------------------------------------------------


def read_payload(path: Path | None) -> bytes:
    """Read a webhook's payload from a file, or from the environment of a Job.

    Where `VLSBENCH_WEBHOOK_SECRET` is set, the delivery must carry the same secret.

    Raises:
        SubmissionError: If there is none, or it is not from the webhook that is expected.
    """
    if path is not None:
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_PAYLOAD_BYTES + 1)
        except OSError as error:
            raise SubmissionError(f"{path}: cannot be read ({error.strerror}).") from None
    else:
        data = os.environ.get("WEBHOOK_PAYLOAD", "").encode()
        if not data:
            raise SubmissionError(
                "there is no payload: WEBHOOK_PAYLOAD is not set. A Job that a webhook started has it; elsewhere give "
                "--payload FILE, or --repo ORG/NAME with --pr N."
            )
        expected = os.environ.get("VLSBENCH_WEBHOOK_SECRET", "")
        if expected and not hmac.compare_digest(expected.encode(), os.environ.get("WEBHOOK_SECRET", "").encode()):
            raise SubmissionError("the payload does not carry the secret of VLSBENCH_WEBHOOK_SECRET; it is not read.")
    if len(data) > _MAX_PAYLOAD_BYTES:
        raise SubmissionError(
            f"the payload has more than {_MAX_PAYLOAD_BYTES:,} bytes; a webhook's has a few thousand."
        )
    return data


def affected_by(payload: bytes, expected_repo: str | None = None) -> Affected:
    """Name the pull requests whose files an event may have changed.

    Args:
        payload: JSON of a webhook, version 3.
        expected_repo: The store; an event of another repository is passed over.

    Raises:
        SubmissionError: If it is no such payload.
    """
    from huggingface_hub import WebhookPayload

    try:
        event = WebhookPayload.model_validate_json(payload)
    except ValidationError as error:
        raise SubmissionError(
            f"the payload is not one of a Hub's webhook (version 3): {numbered(explain(error), limit=3)}"
        ) from None
    repo_id = event.repo.name

    def none(note: str) -> Affected:
        return Affected(repo_id, (), note)

    if expected_repo is not None and repo_id != expected_repo:
        return none(f"an event of {repo_id!r}, not of {expected_repo!r}")
    if event.repo.type != "dataset":
        return none(f"{repo_id!r} is a {event.repo.type} repository; a store is a dataset repository")
    if event.event.scope.startswith("discussion.comment"):
        return none("a comment changes no file")  # and ours would start the next run
    if event.discussion is not None:
        if not event.discussion.isPullRequest:
            return none(f"discussion {event.discussion.num} is not a pull request")
        if event.discussion.status in ("closed", "merged"):
            return none(f"pull request {event.discussion.num} is {event.discussion.status}")
        return Affected(repo_id, (event.discussion.num,), None)
    refs = [ref.ref for ref in event.updatedRefs or () if ref.newSha is not None]
    numbers = tuple(int(match[1]) for ref in refs if (match := _PULL_REQUEST.fullmatch(ref)))
    return Affected(repo_id, numbers, None) if numbers else none("no pull request has changed")


# --- The check ---------------------------------------------------------------------------------------------------


class _Changes(NamedTuple):
    added: dict[str, RepoFile]
    modified: list[str]
    deleted: list[str]
    taken: set[str]
    """Names at the top of the store before the change."""


def check_pull_request(
    api: HfApi, repo_id: str, number: int, *, sleep: Callable[[float], None] = time.sleep
) -> PullRequestReport:
    """Check what a pull request of a store would change, at the commit it has now.

    Args:
        sleep: Waits so many seconds between tries.

    Raises:
        HubError: If the Hub refuses, or is out of order for longer than the tries last.
    """
    where = f"{repo_id}, pull request {number}"
    with hub_errors(where):
        return retried(lambda: _check(api, repo_id, number), where, sleep=sleep)


def _check(api: HfApi, repo_id: str, number: int) -> PullRequestReport:
    def nothing(note: str) -> PullRequestReport:
        return PullRequestReport(repo_id, number, None, note, (), (), ())

    details = api.get_discussion_details(repo_id, number, repo_type="dataset")
    if not details.is_pull_request:
        return nothing(f"discussion {number} is not a pull request")
    if details.status in ("closed", "merged"):
        return nothing(f"pull request {number} is {details.status}")
    if details.target_branch != "refs/heads/main":
        return nothing(f"pull request {number} is for {details.target_branch!r}; the board shows 'refs/heads/main'")
    head = api.dataset_info(repo_id, revision=f"refs/pr/{number}").sha
    if head is None:
        raise HubError(f"{repo_id}, pull request {number}: the Hub names no commit.")
    base = _parting(api, repo_id, head)
    if base is None:
        problem = f"parts from main more than {MAX_COMMITS:,} commits ago; open a new pull request on today's main"
        return PullRequestReport(repo_id, number, head, None, (), (problem,), ())
    changes, problems = _changes(api, repo_id, base, head)
    submissions, found, warnings = _check_added(api, repo_id, head, changes, details)
    return PullRequestReport(repo_id, number, head, None, tuple(submissions), (*problems, *found), tuple(warnings))


def _parting(api: HfApi, repo_id: str, head: str) -> str | None:
    """Find the newest commit of `main` that a pull request holds; None where it is too far back.

    Both histories come newest first, so the one that is first met in both is the newest of both.
    """
    main = islice(_commits(api, repo_id, "main"), MAX_COMMITS)
    own = islice(_commits(api, repo_id, head), MAX_COMMITS)
    of_main: dict[str, None] = {}
    of_own: set[str] = set()
    for theirs, ours in zip_longest(main, own):
        if theirs is not None:
            of_main[theirs] = None
        if ours is not None:
            of_own.add(ours)
        if theirs in of_own or ours in of_main:
            return next(oid for oid in of_main if oid in of_own)
    return None


def _commits(api: HfApi, repo_id: str, revision: str) -> Iterator[str]:
    """List commits page by page: `HfApi.list_repo_commits` reads all of them first."""
    from huggingface_hub.utils import build_hf_headers, paginate  # type: ignore[attr-defined]  # exported lazily

    headers = build_hf_headers(token=api.token)
    for commit in paginate(f"{api.endpoint}/api/datasets/{repo_id}/commits/{revision}", params={}, headers=headers):
        yield commit["id"]


def _changes(api: HfApi, repo_id: str, base: str, head: str) -> tuple[_Changes, list[str]]:
    """Compare two commits. Folders are compared by git's id, and listed only where it differs."""
    before, after = _list(api, repo_id, base, None), _list(api, repo_id, head, None)
    differing = sorted(path for path in before.keys() | after.keys() if _oid(before.get(path)) != _oid(after.get(path)))
    changes = _Changes({}, [], [], set(before))
    if len(differing) > MAX_FOLDERS:
        return changes, [
            f"changes {len(differing):,} folders; a pull request brings at most {MAX_SUBMISSIONS} submissions"
        ]
    for path in differing:
        old, new = _files(api, repo_id, base, before.get(path)), _files(api, repo_id, head, after.get(path))
        changes.added.update({name: file for name, file in new.items() if name not in old})
        changes.modified.extend(name for name in new if name in old and new[name].blob_id != old[name].blob_id)
        changes.deleted.extend(name for name in old if name not in new)
    return changes, why_not_a_submission_change(set(changes.added), changes.modified, changes.deleted)


def _oid(entry: RepoFile | RepoFolder | None) -> str | None:
    return None if entry is None else getattr(entry, "blob_id", None) or getattr(entry, "tree_id", None)


def _list(api: HfApi, repo_id: str, revision: str, folder: str | None) -> dict[str, RepoFile | RepoFolder]:
    entries = api.list_repo_tree(repo_id, folder, recursive=folder is not None, revision=revision, repo_type="dataset")
    return {entry.path: entry for entry in islice(entries, MAX_FILES)}


def _files(api: HfApi, repo_id: str, revision: str, entry: RepoFile | RepoFolder | None) -> dict[str, RepoFile]:
    """List the files of an entry at the top: itself, or all that lies in it."""
    from huggingface_hub import RepoFile

    if entry is None:
        return {}
    if isinstance(entry, RepoFile):
        return {entry.path: entry}
    found = _list(api, repo_id, revision, entry.path)
    return {path: file for path, file in found.items() if isinstance(file, RepoFile)}


def _check_added(
    api: HfApi, repo_id: str, head: str, changes: _Changes, details: DiscussionWithDetails
) -> tuple[list[CheckedSubmission], list[str], list[str]]:
    """Download what was added, where it is of a size to be downloaded, and run the gate on it."""
    checked: list[CheckedSubmission] = []
    problems: list[str] = []
    warnings: list[str] = []
    ids = sorted(
        path.removesuffix(f"/{CARD_FILE}")
        for path in changes.added
        if path.endswith(f"/{CARD_FILE}") and _ID.fullmatch(path.removesuffix(f"/{CARD_FILE}"))
    )
    ids = [name for name in ids if f"{name}/{RESPONSES_FILE}" in changes.added]
    if len(ids) > MAX_SUBMISSIONS:
        problems.append(f"brings {len(ids)} submissions; at most {MAX_SUBMISSIONS} are checked at once, so split it")
    for name in ids[:MAX_SUBMISSIONS]:
        if name in changes.taken:
            problems.append(f"{name}: the store holds this submission already, or held it; it is not added again")
        wanted = _wanted(name, changes.added)
        too_large = [
            f"{file.path}: {file.size:,} bytes; at most {limit:,} are read"
            for file, limit in wanted
            if file.size > limit
        ]
        if too_large:
            problems += too_large
            checked.append(CheckedSubmission(name, None))
            continue
        with tempfile.TemporaryDirectory(prefix="vlsbench-") as folder:
            for file, _ in wanted:
                api.hf_hub_download(repo_id, file.path, repo_type="dataset", revision=head, local_dir=folder)
            submission, report = read_submission(Path(folder) / name)
            found = [] if submission is None else why_not_as_named(Path(folder) / name)
            if submission is not None and submission.index.kind == "constructed":
                found += _why_not_known(api, repo_id, submission.index, Path(folder))
            problems += [text.replace(f"{folder}/", "") for text in found]
            if submission is not None and not found:
                problems += _compare_receipt(Path(folder) / name, details)
        checked.append(CheckedSubmission(name, report))
        for problem in report.problems:
            (problems if problem.severity == "error" else warnings).append(f"{name}/{problem}")
    return checked, problems, warnings


def _why_not_known(api: HfApi, repo_id: str, index: Index, folder: Path) -> list[str]:
    """Say why the store takes no answers to a constructed set: its main branch does not hold this index of it."""
    from huggingface_hub.errors import EntryNotFoundError

    path = set_path(index.name)
    try:
        api.hf_hub_download(repo_id, path, repo_type="dataset", revision="main", local_dir=folder)
        known = read_set_index(folder / path, index.name)
    except EntryNotFoundError:
        return [f"{repo_id} does not know the {index.title}; its maintainer adds it with `vlsbench data add`"]
    except DataError as error:
        return [f"{path}: {error}; its maintainer restores it"]
    if known.revision == index.revision:
        return []
    return [
        f"{INDEX_FILE}: not that of the {index.title} that {repo_id} knows (SHA-256 {index.revision[:12]}… instead of "
        f"{known.revision[:12]}…)"
    ]


def _compare_receipt(directory: Path, details: DiscussionWithDetails) -> list[str]:
    """Say where a submission says that it came at another time, or from somebody else, than its pull request."""
    problems = []
    for event in (entry.event for entry in read_history(directory)):
        when, place = datetime.fromisoformat(event.when), f"{directory.name}/{HISTORY_FOLDER}"
        if not details.created_at - _LEEWAY <= when <= max(datetime.now(UTC), details.created_at) + _LEEWAY:
            opened = details.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            problems.append(
                f"{place}: says that it came at {event.when}; the pull request was opened at {opened}. Leave it out"
            )
        if event.who != details.author:
            problems.append(
                f"{place}: says that it came from {event.who!r}; the pull request is of {details.author!r}, whose name "
                "stands beside the row. Leave it out, or submit without --name"
            )
    return problems


def _wanted(name: str, added: Mapping[str, RepoFile]) -> list[tuple[RepoFile, int]]:
    """List the files of a submission that are read, with how large each may be; of its events the first one."""
    events = sorted(path for path in added if path.startswith(f"{name}/history/0001-") and path.count("/") == 2)
    wanted = [(f"{name}/{CARD_FILE}", MAX_LINE_BYTES), (f"{name}/{RESPONSES_FILE}", MAX_RESPONSES_BYTES)]
    wanted += [(path, MAX_INDEX_BYTES) for path in (f"{name}/{INDEX_FILE}",) if path in added]
    wanted += [(path, MAX_LINE_BYTES) for path in events[:1]]
    return [(added[path], limit) for path, limit in wanted]


# --- The comment -------------------------------------------------------------------------------------------------


def render_comment(report: PullRequestReport) -> str:
    """Render a report as Markdown: every problem, escaped, as far as a comment goes."""
    verdict = "good" if report.is_good else amount(len(report.problems), "problem")
    lines = [_MARK, f"**VLSBench check: {verdict}**, at commit `{(report.commit or '')[:12]}`", ""]
    for item in report.submissions:
        if item.report is not None:
            lines.append(f"- {escape_markdown(item.submission_id)}: {_summary(item.report)}")
    lines += _bullets("What must change", report.problems, MAX_COMMENT_CHARACTERS * 2 // 3)
    left = MAX_COMMENT_CHARACTERS - sum(len(line) + 1 for line in lines) - 600
    lines += _bullets("Worth a look (does not stop it)", report.warnings, left)
    if report.is_good:
        lines += ["", "A maintainer merges it; the worker judges it then. A later commit here is checked again."]
    else:
        lines += ["", "`vlsbench check DIR` finds the same on your machine, and `vlsbench submit` names the folder."]
    return "\n".join(lines) + "\n"


def _summary(report: CheckReport) -> str:
    model = "a card that cannot be read" if report.model is None else escape_markdown(report.model)
    answered = (
        ""
        if report.n_samples is None
        else f", {report.n_answered} of {report.n_samples} {plural(report.n_samples, 'sample')} answered"
    )
    return f"{model}{answered}"


def _bullets(title: str, items: Collection[str], n_characters: int) -> list[str]:
    if not items:
        return []
    lines = ["", f"{title}:", ""]
    for number, item in enumerate(items):
        text = escape_markdown(item if len(item) <= 500 else f"{item[:500]}…")
        n_characters -= len(text) + 3
        if n_characters < 0:
            lines.append(f"- and {len(items) - number} more")
            break
        lines.append(f"- {text}")
    return lines


def post_comment(api: HfApi, report: PullRequestReport, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """Put a report under its pull request: our earlier comment is changed, a second one is never made.

    Returns:
        What was done, in a word.

    Raises:
        HubError: If the token may not comment, or the Hub cannot be reached.
    """
    from huggingface_hub import DiscussionComment

    repo_id, number, text = report.repo_id, report.number, render_comment(report)
    me = who_am_i(api)

    def post() -> str:
        # Looked for at every try: a comment whose answer was lost is there.
        details = api.get_discussion_details(repo_id, number, repo_type="dataset")
        ours = [
            event
            for event in details.events
            if isinstance(event, DiscussionComment)
            and event.author == me
            and not event.hidden
            and event.content.startswith(_MARK)
        ]
        if not ours:
            api.comment_discussion(repo_id, number, text, repo_type="dataset")
            return "posted"
        if ours[-1].content.strip() == text.strip():
            return "unchanged"
        api.edit_discussion_comment(repo_id, number, ours[-1].id, text, repo_type="dataset")
        return "edited"

    where = f"{repo_id}, comment on pull request {number}"
    with hub_errors(where):
        return retried(post, where, sleep=sleep)
