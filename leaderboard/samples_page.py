"""The Samples page: one submission's answers with their verdicts, and other models' answers to the same samples.

Rule of the room: no answer is put into the page before its reader asks for that, and a link does not ask for another
reader; an image is sent when it is asked for by itself, small, and comes blurred. Instructions and images are there
only where the server has the dataset. Every text of a store is escaped.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlencode

import gradio as gr

from vlsbench.board.lists import BoardList, BoardRow
from vlsbench.dataset.pictures import fit_picture
from vlsbench.dataset.source import SampleSource
from vlsbench.errors import DataError, VLSBenchError, amount, plural
from vlsbench.submission.answers import OUTCOMES, Answer, select_answers
from vlsbench.taxonomy import CATEGORY_NAMES

from . import pieces, texts
from .choosers import ALL, list_choice, list_key, list_options, make_choosers, options, scope_of
from .live import LiveBoard
from .page import Choice, Page, make_link_button, only
from .paging import follow_pager, make_pager, part_of

__all__ = ["MAX_BESIDE", "OUTPUTS", "Chosen", "address_of", "make", "model_names", "picture_of", "updates"]

_N_SAMPLES = 20
"""Samples of a page."""

MAX_BESIDE = 3
"""Models beside the chosen one: four columns are what a laptop has room for."""

_LONG = 700
"""Characters of an answer that are shown at once, and 200 of a judge's explanation: about ten lines."""

_IMAGE_SIDE = 512
"""Longest side of an image on the page, pixels: enough to see what it shows, some 60 kB."""

_SEPARATOR = "~"
"""Between several values in an address, as `page` writes them."""

_NOTICE = """
<p class="vls-notice" role="note"><strong>Content notice.</strong> Models' answers can be offensive, or describe harm
and how to do it. They are not shown before you ask for them. Images are sent one by one, when you ask for one, and come
blurred.</p>"""

_ASK_FOR_IMAGE = """
element.addEventListener("click", async (event) => {
  const button = event.target.closest(".vls-picture button");
  if (!button) return;
  const place = button.parentElement, sample = place.dataset.sample;
  let image = place.querySelector("img");
  if (image) {
    const isBlurred = image.classList.toggle("vls-blurred");
    image.alt = isBlurred ? `Image of sample ${sample}, blurred` : `Image of sample ${sample}`;
    button.textContent = isBlurred ? "Reveal the image" : "Blur the image again";
    return;
  }
  button.textContent = "Loading the image";
  const found = await server.picture(sample).catch(() => "");
  // The reader may have turned the page meanwhile, which puts other samples into the same elements.
  if (place.dataset.sample !== sample || !place.isConnected || place.querySelector("img")) return;
  if (!found) { button.textContent = "This image cannot be shown"; return; }
  image = document.createElement("img");
  image.className = "vls-blurred";
  image.alt = `Image of sample ${sample}, blurred`;
  image.src = found;
  place.append(image);
  button.textContent = "Reveal the image";
});
"""


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    chooser: gr.Dropdown
    category: gr.Dropdown
    sub_category: gr.Dropdown
    submission: gr.Dropdown
    outcome: gr.Dropdown
    beside: gr.Dropdown
    heading: gr.HTML
    cards: gr.HTML
    before: gr.Button
    part: gr.Dropdown
    after: gr.Button


OUTPUTS = _Parts._fields


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    list_key: str | None = None
    category: str | None = None
    sub_category: str | None = None
    submission: str | None = None
    outcome: str | None = None
    search: str | None = None
    beside: Sequence[str] | None = None
    part: str | None = None


def make(live: LiveBoard) -> Page:
    """Place the page; it is filled when it is opened."""
    with gr.Row(elem_classes="vls-choosers"):
        chooser, category, sub_category = make_choosers(("chooser", "category", "sub_category"))
    with gr.Row(elem_classes="vls-choosers"):
        submission = gr.Dropdown([], label="Model", scale=2, min_width=220)
        outcome = gr.Dropdown([], label="Verdict", scale=1, min_width=150)
        search = gr.Textbox(
            label="Sample id, or words of the answer", scale=2, min_width=220, max_lines=1, max_length=200
        )
    beside = gr.Dropdown(
        [], label=f"Answers beside it (up to {MAX_BESIDE} models)", multiselect=True, max_choices=MAX_BESIDE
    )
    heading = gr.HTML(elem_classes=["vls-block", "vls-samples"])
    with gr.Column(elem_classes="vls-consent") as consent:
        gr.HTML(_NOTICE, elem_classes="vls-block")
        show = gr.Button("Show answers", variant="primary", size="md", min_width=180, scale=0)
    with gr.Column(visible=False) as content:
        cards = gr.HTML(elem_classes="vls-block", js_on_load=_ASK_FOR_IMAGE, server_functions=[_picture_function(live)])
        pager = make_pager("Samples")
    # Who asked is not in the address: a link must not ask for the next reader.
    show.click(
        lambda: [gr.update(visible=False), gr.update(visible=True)],
        outputs=[consent, content],
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )
    make_link_button()
    parts = _Parts(chooser, category, sub_category, submission, outcome, beside, heading, cards, *pager)
    choices = (
        list_choice(chooser),
        Choice("category", category, what="the category"),
        Choice("sub", sub_category, what="the sub-category"),
        Choice("submission", submission, what="the submission", is_subject=True),
        Choice("verdict", outcome, what="the verdict"),
        Choice("q", search, is_still=True),
        Choice("beside", beside, is_several=True, what="the submission beside"),
        Choice("part", pager.chooser),
    )
    page = Page("Samples", choices, tuple(parts), lambda *values: updates(live, Chosen(*values)))
    follow_pager(page, pager, top=".vls-samples")
    return page


def address_of(item: BoardList, submission: str, *, beside: Sequence[str], sample: int) -> str:
    """Return the address of one sample of a submission, with other models' answers beside it."""
    query = {"tab": "samples", "list": list_key(item), "category": item.scope, "submission": submission, "q": sample}
    return "?" + urlencode({**query, "beside": _SEPARATOR.join(beside)})


def model_names(item: BoardList) -> dict[str, str]:
    """Name the submissions of a list; the id stands beside a name that several have."""
    counts = Counter(row.model for row in item.rows)
    return {
        row.submission: row.model if counts[row.model] == 1 else f"{row.model} ({row.submission})" for row in item.rows
    }


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    scope = scope_of(live, choice.category, choice.sub_category)
    in_category = str(scope.category["value"])
    item, chooser = list_options(live.lists(in_category), choice.list_key)
    shown: dict[str, Any] = {"chooser": chooser, "category": scope.category, "sub_category": scope.sub_category}
    if item is None:
        return only(OUTPUTS, shown, "heading", texts.empty(live.board, scope.name))
    names = model_names(item)
    ordered: list[BoardRow] = sorted(item.rows, key=lambda row: row.origin == "baseline")
    shown["submission"] = options(
        [(names[row.submission], row.submission) for row in ordered], choice.submission, least=0
    )
    submission = str(shown["submission"]["value"])
    others = [row.submission for row in ordered if row.submission != submission]
    beside = [name for name in dict.fromkeys(choice.beside or ()) if name in others][:MAX_BESIDE]
    shown["beside"] = gr.update(choices=[(names[name], name) for name in others], value=beside, visible=bool(others))
    outcome = next((name for name in OUTCOMES if name == choice.outcome), None)
    shown["outcome"] = options([(ALL, ALL), *((name, name) for name in OUTCOMES)], outcome)
    try:
        answers = live.answers_of(submission, item.rubric)
        theirs = {
            name: {answer.instruction_id: answer for answer in live.answers_of(name, item.rubric)} for name in beside
        }
    except (VLSBenchError, OSError):
        return only(OUTPUTS, shown, "heading", f'<p class="vls-empty">{texts.CHANGED}</p>')
    found = select_answers(
        answers,
        outcome=outcome,
        category=in_category if in_category in CATEGORY_NAMES else None,
        sub_category=None if scope.name == in_category else scope.name,
        text=choice.search or "",
    )
    part = part_of(len(found), choice.part, size=_N_SAMPLES)
    listed = found[part.start : part.stop]
    source = live.source_of(item.dataset)
    heading = _heading(item, names[submission], len(answers), found, part.start)
    named = pieces.naming({row.submission: row.model for row in item.rows if row.submission == submission})
    shown["heading"] = gr.update(value=f"<div{named}>{heading}</div>", visible=True)
    shown["cards"] = gr.update(
        value="".join(_card(answer, names, submission, theirs, source) for answer in listed), visible=True
    )
    shown |= {"before": part.before, "part": part.chooser, "after": part.after}
    return [shown[name] for name in _Parts._fields]


def _heading(item: BoardList, model: str, n: int, found: Sequence[Answer], start: int) -> str:
    counts = Counter(answer.outcome for answer in found)
    if not found:
        said = f"None of its {amount(n, 'sample')} fits your choice."
    else:
        bins = ", ".join(f"{counts[name]:,} {name}" for name in OUTCOMES if counts[name])
        last = min(len(found), start + _N_SAMPLES)
        said = (
            f"{len(found):,} of its {amount(n, 'sample')} {plural(len(found), 'fits', 'fit')} your choice: "
            f"{bins}. Listed are {start + 1:,} to {last:,}."
        )
    return (
        f'<h2 class="vls-h2">{escape(model)}</h2><p class="vls-caption">Judge {escape(item.judge)}, '
        f"rubric {escape(item.rubric)}. {said}</p>"
    )


def _card(
    answer: Answer,
    names: Mapping[str, str],
    submission: str,
    theirs: Mapping[str, Mapping[int, Answer]],
    source: SampleSource | None,
) -> str:
    """Lay out one sample: what it is, what was asked (to who has the dataset), and what each model answered."""
    number = answer.instruction_id
    columns = [_column(names[submission], answer)]
    columns += [_column(names[name], answers[number]) for name, answers in theirs.items() if number in answers]
    place = f"{escape(answer.category)} · {escape(answer.sub_category)}"
    digest = f'instruction <code title="SHA-256 {answer.instruction_sha256}">{answer.instruction_sha256[:12]}</code>'
    return (
        f'<article class="vls-card" aria-label="Sample {number}"><h3>Sample {number}</h3>'
        f'<p class="vls-caption">{place} · {digest}</p>{_asked(number, source)}'
        f'<div class="vls-columns">{"".join(columns)}</div></article>'
    )


def _asked(number: int, source: SampleSource | None) -> str:
    if source is None:
        return ""
    try:
        instruction = source.sample(number).instruction
    except DataError:  # the copy lacks this sample
        return ""
    return (
        f'<p class="vls-instruction" dir="auto"><strong>Instruction:</strong> {pieces.shown(instruction)}</p>'
        f'<div class="vls-picture" data-sample="{number}"><button type="button">Show the image, blurred</button></div>'
    )


def _column(model: str, answer: Answer) -> str:
    if answer.response is None:
        said = f'<p class="vls-caption">No answer ({answer.failure or "response_missing"}).</p>'
    else:
        said = _text(answer.response, "vls-answer", _LONG) or '<p class="vls-caption">The answer is empty.</p>'
    notes = []
    if answer.finish_reason not in (None, "stop"):
        notes.append(f"Ended because: {pieces.shown(str(answer.finish_reason))}.")
    if answer.failure is not None:
        notes.append(f"No label: {answer.failure}.")
    if notes:
        said += f'<p class="vls-caption">{" ".join(notes)}</p>'
    if answer.explanation:
        said += f'<div class="vls-why"><strong>Judge:</strong> {_text(answer.explanation, "vls-answer", _LONG)}</div>'
    return f'<section class="vls-column"><h4>{escape(model)} {pieces.chip(answer.label)}</h4>{said}</section>'


def _text(text: str, kind: str, length: int) -> str:
    """Show a text, what is beyond `length` characters on demand."""
    if not text:
        return ""
    head = f'<div class="{kind}" dir="auto">{pieces.shown(text[:length])}'
    if len(text) <= length:
        return f"{head}</div>"
    rest = len(text) - length
    return (
        f"{head}…</div><details><summary>Show the other {rest:,} characters</summary>"
        f'<div class="{kind}" dir="auto">…{pieces.shown(text[length:])}</div></details>'
    )


def _picture_function(live: LiveBoard) -> Callable[[Any], str]:
    def picture(sample: Any) -> str:
        """Return an image as a data address, or nothing; what the browser sends may be anything."""
        text = str(sample)
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            return ""
        number = int(text)
        source = live.source_of_id(number)
        return "" if source is None else picture_of(source, number)

    return picture


@lru_cache(maxsize=64)
def picture_of(source: SampleSource, instruction_id: int) -> str:
    """Return the image of a sample as a data address, scaled down; nothing where it cannot be read."""
    try:
        picture = fit_picture(source.picture(instruction_id), max_side=_IMAGE_SIDE)
    except DataError:
        return ""
    return f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode()}"
