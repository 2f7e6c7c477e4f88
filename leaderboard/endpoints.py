"""The endpoints that programs call, beside the pages. Documented in `docs/api.md`; each is a function of the board.

Rule of the room: what an endpoint returns is a record of the package as JSON. No answer of a model, no image, no path
of this machine; a name that does not exist is answered with one sentence.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio import events
from gradio.data_classes import FileDataDict

from vlsbench.board.lists import OVERALL, BoardList
from vlsbench.records import IMAGE_TEXT, Rates, Record, SubmissionCard
from vlsbench.store.queue import Change, QueueRow
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

from . import submit_page
from .calls import shown
from .choosers import chosen, keyed, list_key, standing_for
from .live import LiveBoard

__all__ = ["SubmissionState", "TableOfScope", "add"]

_SCOPES = (OVERALL, *CATEGORY_NAMES, *SUB_CATEGORY_NAMES)


class TableOfScope(Record):
    """One list of a scope, and the keys of all of them."""

    list_keys: tuple[str, ...]
    """What `/table` takes as `list_key`; the order of the board."""
    table: BoardList | None
    """Null where nothing was judged in this scope under this condition."""


class CountedRow(Record):
    """What was counted of a submission in one list."""

    scope: str
    rubric: str
    list_key: str
    rank: int | None
    unranked_because: str | None
    rates: Rates
    flags: tuple[str, ...]


class SubmissionState(Record):
    """One submission: its card, where it stands, what was counted and what happened."""

    standing: QueueRow
    card: SubmissionCard | None
    results: tuple[CountedRow, ...]
    history: tuple[Change, ...]
    """Oldest first; empty for a folder that was made by hand."""


def add(live: LiveBoard) -> None:
    """Add the endpoints to the app that is being built."""

    def board() -> dict[str, Any]:
        """Return the whole board: its lists and rows, the paper's rows, and what was left out and why."""
        live.refresh()
        return live.board.model_dump(mode="json")

    def table(scope: str = OVERALL, condition: str = IMAGE_TEXT, list_key: str = "") -> dict[str, Any]:
        """Return one list: the rows that may be compared with each other.

        `scope` is Overall, a category or a sub-category; `condition` is what the model was shown; `list_key` tells the
        judges, datasets and answer budgets apart: empty for the list with most rows, `list_keys` has the others.
        """
        live.refresh()
        return _table(live, scope, condition, list_key).model_dump(mode="json")

    def submission(submission_id: str) -> dict[str, Any]:
        """Return one submission by its id: card, standing, rates per list, history. Answers are not part of it."""
        return _submission(live, submission_id).model_dump(mode="json")

    def check(
        files: list[FileDataDict],
        request: gr.Request,
        model: str = "",
        organization: str = "",
        access: str = "",
        parameters: str = "",
        base_model: str = "",
        alignment: str = "",
        max_new_tokens: str = "",
        url: str = "",
    ) -> dict[str, Any]:
        """Check files of a submission, or one file of another tool, by the gate of the Submit page. Nothing is stored.

        The other arguments say what the files do not, as the form does. Returns every named check and every problem.
        """
        values = (model, organization, access, parameters, base_model, alignment, max_new_tokens, url)
        report = submit_page.check(live, files, values, submit_page.asker(request))
        if isinstance(report, str):
            raise gr.Error(report, print_exception=False)
        return report.model_dump(mode="json")

    events.api(board, api_name="board")
    events.api(table, api_name="table")
    events.api(submission, api_name="submission")
    events.api(check, api_name="check", concurrency_limit=2, concurrency_id="check")


def _check_texts(**values: object) -> None:
    """Refuse what is no text: a client may send anything."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise gr.Error(f"{name} is a text; found {shown(value)}.", print_exception=False)


def _table(live: LiveBoard, scope: str, condition: str, key: str) -> TableOfScope:
    _check_texts(scope=scope, condition=condition, list_key=key)
    if scope not in _SCOPES:
        names = ", ".join((OVERALL, *CATEGORY_NAMES))
        raise gr.Error(
            f"There is no scope {scope[:60]!r}; there are {names}, and the sub-categories.", print_exception=False
        )
    if condition not in live.conditions():
        names = ", ".join(live.conditions())
        raise gr.Error(
            f"Nothing was judged under the condition {condition[:60]!r}; there are {names}.", print_exception=False
        )
    lists = live.lists(scope, condition)
    keys = tuple(keyed(lists))
    if key and standing_for(key, keys) is None:
        raise gr.Error(
            f"There is no list {key[:100]!r} in this scope; there are {', '.join(keys)}.", print_exception=False
        )
    return TableOfScope(list_keys=keys, table=chosen(lists, key))


def _submission(live: LiveBoard, submission_id: str) -> SubmissionState:
    _check_texts(submission_id=submission_id)
    row = next((row for row in live.queue() if row.submission_id == submission_id), None)
    if row is None:
        raise gr.Error(f"There is no submission {submission_id[:100]!r}.", print_exception=False)
    results = [
        CountedRow(
            scope=item.scope,
            rubric=item.rubric,
            list_key=list_key(item),
            rank=found.rank,
            unranked_because=found.unranked_because,
            rates=found.rates,
            flags=found.flags,
        )
        for item in live.board.lists
        for found in item.every_row
        if found.submission == submission_id
    ]
    return SubmissionState(
        standing=row,
        card=live.card_of(submission_id),
        results=tuple(results),
        history=tuple(live.changes(submission_id)),
    )
