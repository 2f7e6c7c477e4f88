"""The reviewer's part of the Submit page: what waits for a decision, one after the other, decided with one key.

Rule of the room: it shows itself only to who is signed in and named among the reviewers of the store's rules, and every
decision asks again who that is; what a browser says about it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Literal, NamedTuple

import gradio as gr

from vlsbench.board.review import Waiting
from vlsbench.errors import UsageError, VLSBenchError, amount, masked
from vlsbench.store.intake import accept, reject
from vlsbench.store.rules import read_rules
from vlsbench.text import percentage

from .live import LiveBoard

__all__ = ["decide", "is_reviewer", "make", "show_next", "waiting_html"]

_KEYS = """() => {
  if (window.vlsReviewKeys) return;
  window.vlsReviewKeys = true;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest("input, textarea, select")) return;
    const button = document.querySelector(`#vls-review-${event.key}`);
    if (button && button.offsetParent) button.click();
  });
}"""
"""One key decides, unless somebody types; a key that is held decides on one and not on all."""


class _Part(NamedTuple):
    """What a decision updates."""

    card: gr.HTML
    reason: gr.Textbox
    accept: gr.Button
    reject: gr.Button
    later: gr.Button
    current: gr.State
    skipped: gr.State


def make(live: LiveBoard) -> None:
    """Place the part; nobody sees it before the Hub says who is there."""
    card = gr.HTML(visible=False, elem_classes="vls-block")
    with gr.Row(elem_classes="vls-submit"):
        accepts = gr.Button("Accept (a)", visible=False, size="sm", elem_id="vls-review-a")
        rejects = gr.Button("Reject (r)", visible=False, size="sm", elem_id="vls-review-r")
        later = gr.Button("Later (n)", visible=False, size="sm", elem_id="vls-review-n")
    reason = gr.Textbox(label="Why it is rejected; the submitter reads it", visible=False, max_lines=1, max_length=500)
    part = _Part(card, reason, accepts, rejects, later, gr.State(""), gr.State([]))
    how: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def open_page(profile: gr.OAuthProfile | None) -> list[Any]:
        return show_next(live, _name(profile), [])

    def on_accept(current: str, skipped: list[str], profile: gr.OAuthProfile | None) -> list[Any]:
        return decide(live, _name(profile), "accept", current, "", skipped)

    def on_reject(current: str, skipped: list[str], why: str, profile: gr.OAuthProfile | None) -> list[Any]:
        return decide(live, _name(profile), "reject", current, why, skipped)

    def on_later(current: str, skipped: list[str], profile: gr.OAuthProfile | None) -> list[Any]:
        return show_next(live, _name(profile), [*skipped, current])

    accepts.click(on_accept, [part.current, part.skipped], list(part), **how)
    rejects.click(on_reject, [part.current, part.skipped, reason], list(part), **how)
    later.click(on_later, [part.current, part.skipped], list(part), **how)
    blocks = gr.context.Context.root_block
    if blocks is not None:
        blocks.load(open_page, outputs=list(part), queue=False, js=_KEYS, **how)


def _name(profile: gr.OAuthProfile | None) -> str | None:
    return None if profile is None else profile.username


def is_reviewer(live: LiveBoard, who: str | None) -> bool:
    """Say whether the store's rules let who is signed in decide; rules that cannot be read let nobody."""
    try:
        return who is not None and live.desk.needs_sign_in and read_rules(live.desk.store.sync()).lets_review(who)
    except VLSBenchError:
        return False


def show_next(live: LiveBoard, who: str | None, skipped: Sequence[str], said: str = "") -> list[Any]:
    """Make the updates that show what is to be decided next, in the order of the part.

    Args:
        who: The sign-in name; None where nobody is signed in.
        skipped: Ids that the reviewer left for later.
        said: What became of the last one, as a sentence.
    """
    if not is_reviewer(live, who):
        return [gr.update(value="", visible=False), *[gr.update(visible=False)] * 4, "", []]
    waiting = live.waiting()
    item = next((item for item in waiting if item.submission not in skipped), None)
    told = f'<p class="vls-notice" role="status">{escape(masked(said))}</p>' if said else ""
    head = f'<h2 class="vls-h2">Review</h2>{told}<p class="vls-caption">{amount(len(waiting), "submission")} without a '
    head += f"decision, {len(skipped)} left for later.</p>"
    shown = gr.update(visible=item is not None)
    card = gr.update(value=head + ("" if item is None else waiting_html(item)), visible=True)
    reason = gr.update(value="", visible=item is not None)
    return [card, reason, shown, shown, shown, "" if item is None else item.submission, list(skipped)]


def decide(
    live: LiveBoard,
    who: str | None,
    decision: Literal["accept", "reject"],
    submission_id: str,
    reason: str,
    skipped: Sequence[str],
) -> list[Any]:
    """Decide on a submission, if who is signed in may, and show the next."""
    if not is_reviewer(live, who) or who is None:
        return show_next(live, who, skipped)
    try:
        if decision == "accept":
            accept(submission_id, live.desk.store, name=who)
        elif not reason.strip():
            raise UsageError("Say why it is rejected; the submitter reads it.")
        else:
            reject(submission_id, live.desk.store, reason, name=who)
    except VLSBenchError as error:
        return show_next(live, who, skipped, live.public(str(error)))
    live.desk.store.sync()
    live.refresh(is_changed=True)
    return show_next(live, who, skipped, f"{submission_id}: {decision}ed.")


def waiting_html(item: Waiting) -> str:
    """Lay out what a decision needs; every text in it is escaped."""

    def safe(text: str) -> str:
        return escape(masked(text))

    vouched = {"member": "sent by a member", "repository": "its own repository", None: "only claimed"}
    facts = [("Sent by", f"{item.submitter or 'nobody that is known'}, {item.received or 'at no known time'}")]
    if item.organization is not None:
        facts.append(("Organization", f"{item.organization}: {vouched[item.organization_verified_by]}"))
    for place in item.places:
        where = place.place_text or place.unranked_because or ""
        facts.append((f"{place.dataset}, {place.rubric}", f"safe {percentage(place.safe_rate)}, {where}"))
    facts += [("Flag", flag) for flag in item.flags]
    facts += [("Alike", f"{copy.submission}: {copy.n_alike:,} of {copy.n_compared:,}") for copy in item.copies[:5]]
    rows = "".join(f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in facts)
    samples = "".join(
        f"<li><strong>{sample.instruction_id} · {safe(sample.category)} · {sample.label or 'no label'}</strong><br>"
        f"{safe(sample.response or '')}</li>"
        for sample in item.samples
    )
    opened = f"<details><summary>Answers (they may be harmful)</summary><ul>{samples}</ul></details>" if samples else ""
    return f'<h3 class="vls-h3">{safe(item.model or item.submission)}</h3><dl class="vls-facts">{rows}</dl>{opened}'
