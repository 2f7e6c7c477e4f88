"""The Submit page: files go in, a report comes out, then a receipt; below it, the queue.

Rule of the room: it hands over and shows. Checking, storing, judging and counting what a name may still submit is
`vlsbench.store.desk`'s; between a check and a submission the server remembers nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from pydantic import ValidationError

from vlsbench.errors import UsageError, VLSBenchError
from vlsbench.records import explain
from vlsbench.store.desk import Desk, Submitted, Uploaded, UploadForm, UploadReport, check_upload, checked_name
from vlsbench.store.queue import Change, QueueRow

from . import review_part
from . import submit_texts as texts
from .live import LiveBoard
from .page import Choice, Page, make_link_button
from .uploads import person_at

__all__ = ["asker", "check", "make", "queue_updates", "submit", "uploaded"]

logger = logging.getLogger(__name__)

_TOO_OFTEN = "That was too often for one minute; wait a little, your files stay."
_ONE_AT_A_TIME = "A check of yours is under way; wait for it to end, your files stay."
_TABLE_HEIGHT = 420
_UNCHECKED = "() => ({ __type__: 'update', interactive: false, variant: 'secondary' })"
"""What was checked is no longer what is there."""

_COPY = "(id) => { navigator.clipboard.writeText(id); }"

_INTO_ADDRESS = "(id) => { if (id) vlsChoose('submit', ['id'], [''], [], [id]); }"
"""The receipt's id, so that a reload shows what became of it."""


class _Fields(NamedTuple):
    """The form, in the order of `UploadForm`."""

    model: gr.Textbox
    organization: gr.Textbox
    access: gr.Dropdown
    parameters: gr.Textbox
    base_model: gr.Textbox
    alignment: gr.Dropdown
    max_new_tokens: gr.Textbox
    url: gr.Textbox


class _Checked(NamedTuple):
    """What a check updates."""

    report: gr.HTML
    problems: gr.Dataframe
    submit: gr.Button


class _Queue(NamedTuple):
    """What a look at the queue updates."""

    chosen: gr.Dropdown
    history_heading: gr.HTML
    history: gr.Dataframe
    heading: gr.HTML
    table: gr.Dataframe


class _Received(NamedTuple):
    """What a submission updates, besides the report and the queue."""

    receipt: gr.HTML
    receipt_id: gr.Textbox
    copy: gr.Button
    files: gr.File


def make(live: LiveBoard) -> Page:
    """Place the page."""
    desk = live.desk
    gr.HTML(texts.intro(desk), elem_classes="vls-block")
    with gr.Row(elem_classes="vls-submit"):
        with gr.Column(scale=2, min_width=280):
            files = gr.File(label="Files", file_count="multiple", height=150, elem_classes="vls-files")
            name = gr.Textbox(label="Your name (public)", max_lines=1, max_length=200, visible=not desk.needs_sign_in)
            signed_in = gr.HTML(visible=desk.needs_sign_in, elem_classes="vls-block")
            if desk.needs_sign_in:
                gr.LoginButton(size="sm")
            with gr.Row():
                check_button = gr.Button("Check", variant="primary", min_width=120)
                submit_button = gr.Button("Submit", interactive=False, min_width=120)
        with gr.Column(scale=3, min_width=280):
            gr.HTML('<p class="vls-caption">What the files do not say, or say otherwise:</p>', elem_classes="vls-block")
            fields = _make_fields()
    receipt = gr.HTML(visible=False, elem_classes="vls-block")
    with gr.Row(elem_classes="vls-receipt"):
        # Not the text box's own button to copy: gradio 6.31 puts it into the label, which then names the button.
        receipt_id = gr.Textbox(label="Receipt", visible=False, interactive=False, max_lines=1, scale=3)
        copy = gr.Button("Copy receipt", visible=False, size="sm", scale=0, min_width=140)
    copy.click(None, receipt_id, js=_COPY, api_visibility="private")
    report = gr.HTML(visible=False, elem_classes="vls-block")
    problems = _make_table("What is wrong", texts.PROBLEM_HEADERS, [110, 220, 80, 800])
    heading = gr.HTML(elem_classes="vls-block")
    chosen = gr.Dropdown(label="Submission", filterable=True, visible=False)
    history_heading = gr.HTML(visible=False, elem_classes="vls-block")
    history = _make_table("History", texts.CHANGE_HEADERS, [190, 800, 220])
    table = _make_table("Queue", texts.QUEUE_HEADERS, [110, 210, 270, 130, 190, 300])
    if desk.needs_sign_in:
        review_part.make(live)
    make_link_button()

    queue = _Queue(chosen, history_heading, history, heading, table)
    checked = _Checked(report, problems, submit_button)
    received = _Received(receipt, receipt_id, copy, files)
    _listen(live, name, fields, check_button, checked, received, queue)

    if desk.needs_sign_in:
        _show_who(signed_in)
    return Page("Submit", (Choice("id", chosen),), tuple(queue), lambda chosen: queue_updates(live, chosen))


def _organizations(profile: gr.OAuthProfile | None) -> list[str]:
    """Name the organizations of who is signed in, as far as the Hub tells; the profile is what it sent."""
    told = profile.get("orgs") if profile is not None else None
    names = [item.get("preferred_username") for item in told or () if isinstance(item, dict)]
    return [name for name in names if isinstance(name, str)]


def _make_fields() -> _Fields:
    def text(label: str, placeholder: str = "") -> gr.Textbox:
        return gr.Textbox(label=label, placeholder=placeholder, max_lines=1, max_length=500, min_width=130)

    with gr.Row():
        model = text("Model", "My-VL-8B")
        organization = text("Organization")
    with gr.Row():
        access = gr.Dropdown([("not said", ""), "open", "closed"], value="", label="Weights", min_width=130)
        parameters = text("Parameters", "8B")
        tokens = text("Max new tokens", "512")
    with gr.Row():
        base_model = text("Base model")
        alignment = gr.Dropdown(
            [("not said", ""), "none", "textual", "multimodal"], value="", label="Safety alignment", min_width=130
        )
        url = text("Web address", "https://")
    return _Fields(model, organization, access, parameters, base_model, alignment, tokens, url)


def _make_table(label: str, headers: Sequence[str], widths: Sequence[int]) -> gr.Dataframe:
    return gr.Dataframe(
        label=label,
        headers=list(headers),
        datatype="str",
        interactive=False,
        wrap=True,
        visible=False,
        max_height=_TABLE_HEIGHT,
        column_widths=list(widths),
        show_search="none",
        buttons=[],
        elem_classes="vls-table",
    )


def _show_who(signed_in: gr.HTML) -> None:
    """Say who is signed in whenever the app is opened."""

    def who(profile: gr.OAuthProfile | None) -> str:
        return texts.sign_in(None if profile is None else profile.username)

    blocks = gr.context.Context.root_block
    if blocks is not None:
        blocks.load(who, outputs=signed_in, show_progress="hidden", queue=False, api_visibility="private")


def _listen(
    live: LiveBoard,
    name: gr.Textbox,
    fields: _Fields,
    check_button: gr.Button,
    checked: _Checked,
    received: _Received,
    queue: _Queue,
) -> None:
    # Without gradio's preprocessing: it leaves an empty file behind for every file it hands over. Whether a file is one
    # that was uploaded is checked before it, and by `uploaded`.
    how: dict[str, Any] = {"preprocess": False, "api_visibility": "private", "show_progress_on": [checked.report]}
    said = [received.files, *fields]

    # gradio injects what stands before `*`.
    def on_check(request: gr.Request, profile: gr.OAuthProfile | None, *values: Any) -> list[Any]:
        who = None if profile is None else profile.username
        return _report_updates(check(live, values[0], values[1:], asker(request, who)))

    def on_submit(request: gr.Request, profile: gr.OAuthProfile | None, *values: Any) -> Iterator[list[Any]]:
        who = None if profile is None else profile.username
        name = values[1] if isinstance(values[1], str) else ""
        yield from submit(live, values[0], values[2:], name, who, asker(request, who), _organizations(profile))

    check_button.click(
        on_check, said, list(checked), concurrency_limit=2, concurrency_id="check", trigger_mode="once", **how
    )
    done = checked.submit.click(
        on_submit,
        [received.files, name, *fields],
        [*checked, *received, *queue],
        concurrency_limit=1,
        concurrency_id="submit",
        trigger_mode="once",
        **how,
    )
    done.then(None, queue.chosen, js=_INTO_ADDRESS, api_visibility="private")
    for component in said:
        # A text box tells of keys only as its input; what is pasted or dictated changes it as well.
        event = component.input if isinstance(component, gr.Dropdown) else component.change  # type: ignore[attr-defined]
        event(None, outputs=checked.submit, js=_UNCHECKED, api_visibility="private")


def asker(request: gr.Request | None, signed_in: str | None = None) -> str:
    """Return who asks, for the pace: who is signed in, else the address that `server.Proxies` takes for theirs."""
    if signed_in is not None:
        return f"@{signed_in}"
    return person_at(None if request is None or request.client is None else str(request.client.host))


def uploaded(value: Any) -> list[Uploaded]:
    """Read what gradio hands over for files; whatever is not a file that was uploaded here is passed over."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    found = []
    for item in items:
        try:
            # gradio has compared the path with its upload folder just where `meta` says that this is a file.
            file = gr.FileData.model_validate(item, context={"validate_meta": True})
        except ValidationError:
            continue
        path = Path(file.path)
        found.append(Uploaded(path, file.orig_name or path.name))
    return found


def _form(values: Sequence[Any]) -> UploadForm:
    """Read the form.

    Raises:
        ValidationError: If a value is none that the page offers.
    """
    said = dict(zip(_Fields._fields, (value if value is not None else "" for value in values), strict=False))
    return UploadForm.model_validate(said)


def check(live: LiveBoard, files: Any, values: Sequence[Any], who: str) -> UploadReport | str:
    """Check what was uploaded; a sentence where it was not checked."""
    if not live.pace.allows(who):
        return _TOO_OFTEN
    try:
        form = _form(values)
    except ValidationError as error:
        return f"The form: {'; '.join(explain(error))}."
    with live.at_once.hold(who) as is_free:
        if not is_free:
            return _ONE_AT_A_TIME
        return check_upload(uploaded(files), form, seconds=live.desk.check_seconds)


def _report_updates(report: UploadReport | str) -> list[Any]:
    if isinstance(report, str):
        return [gr.update(value=texts.sentence(report), visible=True), gr.update(visible=False), gr.skip()]
    rows = texts.problem_rows(report)
    return [
        gr.update(value=texts.report_heading(report, "vlsbench-check.json"), visible=True),
        gr.update(value=rows, visible=bool(rows)),
        gr.update(interactive=report.ok, variant="primary" if report.ok else "secondary"),
    ]


def _who_submits(desk: Desk, name: str, signed_in: str | None) -> str:
    """Return the name that a submission is stored under.

    Raises:
        UsageError: If nobody is signed in where the Hub signs in, or the name cannot be used.
    """
    if not desk.needs_sign_in:
        return checked_name(name)
    if signed_in is None:
        raise UsageError(
            "You are not signed in, or no longer. Sign in (the link above opens a new tab), come back and submit: your "
            "files stay."
        )
    return checked_name(signed_in)


def submit(
    live: LiveBoard,
    files: Any,
    values: Sequence[Any],
    name: str,
    signed_in: str | None,
    who: str,
    organizations: Sequence[str] = (),
) -> Iterator[list[Any]]:
    """Submit what was uploaded and yield what the page shows: the receipt, then what the offline judge made of it.

    Args:
        files: As gradio hands them over; so are the values of the form.
        name: As it was typed; it counts only where the Hub does not sign in.
        signed_in: The name that the Hub vouches for.
        who: For the pace.
        organizations: Those that the Hub vouches for `signed_in` to be a member of.
    """
    desk = live.desk
    given = uploaded(files)
    nothing = [gr.skip()] * (len(_Received._fields) + len(_Queue._fields))
    if not live.pace.allows(who):
        yield [*_said(_TOO_OFTEN), *nothing]
        return
    try:
        with live.at_once.hold(who) as is_free:
            if not is_free:
                yield [*_said(_ONE_AT_A_TIME), *nothing]
                return
            done = desk.submit(given, _form(values), _who_submits(desk, name, signed_in), organizations)
    except (VLSBenchError, ValidationError, OSError) as error:
        yield [*_said(_why(live, error)), *nothing]
        return
    if done.submission_id is None:
        yield [*(_said(done.refusal) if done.refusal else _report_updates(done.report)), *nothing]
        return
    for item in given:
        item.path.unlink(missing_ok=True)  # stored: the copy of the upload is not needed
    is_judged = not done.is_new and done.state == "published"
    yield _received(live, done, None, is_judged=is_judged, is_last=is_judged)
    if is_judged:
        return
    try:
        why_not = desk.judge(done.submission_id)
    except (VLSBenchError, OSError) as error:
        why_not = _why(live, error)
    live.refresh(is_changed=True)
    yield _received(live, done, why_not, is_judged=True, is_last=True)


def _received(live: LiveBoard, done: Submitted, why_not: str | None, *, is_judged: bool, is_last: bool) -> list[Any]:
    live.refresh(is_changed=True)
    queue = queue_updates(live, done.submission_id) if is_last else [gr.skip()] * len(_Queue._fields)
    return [
        gr.update(visible=False),
        gr.update(visible=False),
        gr.update(interactive=False, variant="secondary"),
        gr.update(value=texts.receipt(done, why_not, is_judged=is_judged), visible=True),
        gr.update(value=done.submission_id, visible=True),
        gr.update(visible=True),
        gr.update(value=None),
        *queue,
    ]


def _said(text: str) -> list[Any]:
    """Say why nothing was stored; the files stay, and so does the button that tries again."""
    return [gr.update(value=texts.sentence(text), visible=True), gr.update(visible=False), gr.skip()]


def _why(live: LiveBoard, error: Exception) -> str:
    """Say what went wrong without a path of the server; the log has the whole of it."""
    if isinstance(error, ValidationError):
        return f"The form: {'; '.join(explain(error))}."
    if isinstance(error, OSError):
        logger.error("a submission was not stored: %s", error)
        return f"The store cannot be written now ({error.strerror}). Nothing was stored; try again later."
    return live.public(str(error))


def queue_updates(live: LiveBoard, submission_id: Any) -> list[Any]:
    """Make the updates of the queue, in the order of `_Queue`."""
    rows = live.queue()
    wanted = submission_id if isinstance(submission_id, str) and submission_id != "all" else ""
    row = next((row for row in rows if row.submission_id == wanted), None)
    choices = [("none", ""), *((_label(item), item.submission_id) for item in rows)]
    changes = [] if row is None else _changes(live, row)
    return [
        gr.update(choices=choices, value=wanted if row is not None else "", visible=bool(rows)),
        gr.update(value=texts.history_heading(row, wanted), visible=bool(wanted)),
        gr.update(value=texts.change_rows(changes), visible=bool(changes)),
        gr.update(value=texts.queue_heading(rows)),
        gr.update(value=texts.queue_rows(rows), visible=bool(rows)),
    ]


def _label(row: QueueRow) -> str:
    return f"{row.model or 'without a readable card'} · {row.state} · {row.submission_id}"


def _changes(live: LiveBoard, row: QueueRow) -> list[Change]:
    return [] if row.state in ("by hand", "broken") else live.changes(row.submission_id)
