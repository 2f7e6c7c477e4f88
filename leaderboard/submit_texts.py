"""The sentences of the Submit page, as HTML whose every inserted text is escaped, and its tables as plain text.

Rule of the room: what a file, a form, a history or a store says is put in through `html.escape` or `masked` only.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from vlsbench.errors import amount, masked
from vlsbench.store.desk import CHECK_SECONDS, MAX_FILES, MAX_UPLOAD_BYTES, Desk, Submitted, UploadReport
from vlsbench.store.queue import Change, QueueRow
from vlsbench.submission.importers.registry import describe_formats

__all__ = [
    "CHANGE_HEADERS",
    "N_PROBLEMS",
    "N_QUEUE",
    "PROBLEM_HEADERS",
    "QUEUE_HEADERS",
    "change_rows",
    "checking",
    "history_heading",
    "intro",
    "problem_rows",
    "queue_heading",
    "queue_rows",
    "receipt",
    "report_heading",
    "sentence",
    "sign_in",
]

N_PROBLEMS = 300
"""Problems that the table lists; the report as JSON has the others."""

N_QUEUE = 200
"""Submissions that the queue lists: what waits first, then the newest. The chooser above has all of them."""

PROBLEM_HEADERS = ("Severity", "File", "Line", "What is wrong")
QUEUE_HEADERS = ("State", "Model", "Id", "Who", "Received (UTC)", "Next")
CHANGE_HEADERS = ("When (UTC)", "What happened", "Who")

_MIB = 1 << 20


def intro(desk: Desk) -> str:
    """Say what is taken and what happens to it."""
    taken = escape(describe_formats())
    per_day = "" if desk.per_day is None else f" {desk.per_day} submissions a day and name are taken."
    return f"""
<h2 class="vls-h2">Submit a model's answers</h2>
<ol class="vls-steps">
<li><strong>Choose the files</strong>: <code>responses.jsonl</code> with or without its <code>submission.json</code>, or
<strong>one file of another tool</strong>: {taken}. At most {MAX_FILES} files of {MAX_UPLOAD_BYTES // _MIB} MiB.</li>
<li><strong>Check.</strong> The same gate as <code>vlsbench check</code>, within {CHECK_SECONDS} seconds. Nothing is
stored.</li>
<li><strong>Submit.</strong> The answers are stored and public from then on. The offline judge judges them at once, and
the board shows them under “not reviewed”, with the place they would have. The board's maintainer decides what is ranked
and judged by other judges, which cost money.{per_day}</li>
</ol>"""


def sign_in(who: str | None) -> str:
    """Say who is signed in, where the Hub signs in."""
    if who is not None:
        return f'<p class="vls-caption" role="status">Signed in as <strong>{escape(who)}</strong>.</p>'
    # In a tab of its own: a Space stands in a frame, in which the Hub's page is not shown.
    return (
        '<p class="vls-caption" role="status">To upload, check and submit, '
        '<a href="/login/huggingface?_target_url=/%3Ftab%3Dsubmit" target="_blank" rel="noopener">sign in with Hugging '
        "Face in a new tab</a>, then load this page again, or go on there. <code>vlsbench check</code> needs no "
        "sign-in.</p>"
    )


def sentence(text: str, *, is_bad: bool = True) -> str:
    """Say one thing."""
    kind, role = ("vls-problem", "alert") if is_bad else ("vls-notice", "status")
    return f'<p class="{kind}" role="{role}">{escape(text)}</p>'


def checking() -> str:
    """Say that a check runs."""
    return '<p class="vls-notice" role="status">Checking …</p>'


_SIGNS = {"pass": "✓", "warning": "!", "error": "✗", "not run": "–"}


def report_heading(report: UploadReport, name: str) -> str:
    """Say how a check ended, list the named checks, and offer the report as a file."""
    if report.ok and report.card is not None:
        answered = (
            f"{report.n_answered:,} of {amount(report.n_samples or 0, 'sample')} of the {report.dataset} answered"
        )
        said = f"It passes: {escape(report.card.model)}, {escape(answered)}. Its id will be "
        verdict = f'<p class="vls-good" role="status">{said}<code>{escape(report.submission_id or "")}</code>.</p>'
    else:
        n_errors = sum(problem.severity == "error" for problem in report.problems)
        n = amount(n_errors, "error")
        verdict = f'<p class="vls-problem" role="alert">It does not pass: {n}. Nothing was stored.</p>'
    marks = "".join(
        f'<li class="vls-check vls-check-{check.status.replace(" ", "-")}"><span aria-hidden="true">'
        f"{_SIGNS[check.status]}</span><div><strong>{escape(check.name)}</strong> "
        f'<span class="vls-status">{check.status}{_times(check.n_problems)}</span><br>{escape(check.rule)}</div></li>'
        for check in report.checks
    )
    notes = "".join(f"<li>{escape(masked(note))}</li>" for note in report.notes)
    told = f'<ul class="vls-notes">{notes}</ul>' if notes else ""
    read = f"Read as <code>{escape(report.format)}</code>. " if report.format else ""
    # As an address that holds the file itself: nothing is left on the server that somebody else could ask for.
    data = base64.b64encode(report.model_dump_json(indent=1).encode()).decode()
    link = f'<a class="vls-download" download="{escape(name)}" href="data:application/json;base64,{data}">'
    return (
        f'{verdict}{told}<ul class="vls-checks">{marks}</ul><p class="vls-caption">{read}{link}Report as JSON</a></p>'
    )


def _times(n: int) -> str:
    return f", {n:,}" if n else ""


def problem_rows(report: UploadReport) -> list[list[Any]]:
    """Lay out what is wrong, errors first."""
    ordered = sorted(report.problems, key=lambda problem: problem.severity != "error")
    return [
        [item.severity, masked(item.file), "" if item.line is None else str(item.line), masked(item.message)]
        for item in ordered[:N_PROBLEMS]
    ]


def receipt(done: Submitted, why_not_judged: str | None, *, is_judged: bool) -> str:
    """Say what became of a submission and what happens next."""
    if not done.is_new:
        said = f"This very content was submitted before, so nothing was stored twice. It is {done.state}."
    elif not is_judged:
        said = "It is stored. The offline judge judges it now …"
    elif why_not_judged is None:
        said = (
            "It is stored and judged by the offline judge. The board shows it under “not reviewed”, in the list of the "
            "offline judge. Once the maintainer accepts it, it is ranked and other judges follow."
        )
    else:
        said = f"It is stored. The offline judge could not judge it now: {why_not_judged} It will be tried again."
    return f'<p class="vls-good" role="status"><strong>Received.</strong> {escape(masked(said))} Keep the id below.</p>'


def queue_heading(rows: Sequence[QueueRow]) -> str:
    """Head the queue with how many submissions are in each state."""
    if not rows:
        return '<h2 class="vls-h2">Queue</h2><p class="vls-empty">Nothing was submitted to this board yet.</p>'
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    cut = f" The table lists {N_QUEUE} of them." if len(rows) > N_QUEUE else ""
    return (
        f'<h2 class="vls-h2">Queue</h2><p class="vls-caption">{amount(len(rows), "submission")}: '
        f"{escape(counts)}.{cut} "
        "Choose one to see its history; the address then leads to it.</p>"
    )


def queue_rows(rows: Sequence[QueueRow]) -> list[list[str]]:
    """Lay out the queue: what waits in its order, then what is settled, the newest first."""
    settled = ("published", "by hand", "rejected", "withdrawn")
    waiting = [row for row in rows if row.state not in settled]
    others = sorted((row for row in rows if row.state in settled), key=lambda row: row.since or "", reverse=True)
    return [
        [
            row.state,
            masked(row.model or "–"),
            masked(row.submission_id),
            masked(row.who or "–"),
            _moment(row.received_at),
            _next_step(row),
        ]
        for row in (*waiting, *others)[:N_QUEUE]
    ]


def _moment(moment: str | None) -> str:
    return "–" if moment is None else moment.replace("T", " ").removesuffix("Z")


def _next_step(row: QueueRow) -> str:
    """Say to a submitter what `QueueRow.next_step` says to who runs the store."""
    match row.state:
        case "withdrawn" | "rejected":
            return masked(f"none: {row.reason}")
        case "broken":
            return "the maintainer restores its history"
        case "by hand" if row.judged_by:
            return "on the board; the maintainer put it there, judged outside the store"
        case "by hand":
            return "on the board once it is judged; the maintainer put it there"
        case "published" if row.is_accepted:
            return "on the board and ranked; accepted, other judges may judge it"
        case "published":
            return "on the board as not reviewed; the maintainer decides whether it is ranked"
        case _:
            return "the offline judge judges it"


def history_heading(row: QueueRow | None, submission_id: str) -> str:
    """Head the history of one submission."""
    if row is None:
        return sentence(f"There is no submission {masked(submission_id)[:100]!r} here. Was the id copied whole?")
    judged = f" Judged by {escape(', '.join(row.judged_by))}." if row.judged_by else ""
    return (
        f'<h3 class="vls-h3">{escape(row.model or "Without a readable card")}</h3><p class="vls-caption">'
        f"<code>{escape(row.submission_id)}</code> is <strong>{escape(row.state)}</strong>: "
        f"{escape(_next_step(row))}.{judged}</p>"
    )


def change_rows(changes: Sequence[Change]) -> list[list[str]]:
    """Lay out a history, oldest first."""
    return [[_moment(item.when), masked(item.what), masked(item.who)] for item in changes]
