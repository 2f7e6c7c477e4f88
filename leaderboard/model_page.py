"""The Model page: all that the board knows of one submission, under one judge at a time.

Rule of the room: it chooses and shows; every number was counted by the package. What a model answered is not on it: it
leads to the Samples page, where answers are hidden until they are asked for. Text of a store goes through
`pieces.shown`.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from vlsbench.board.lists import OVERALL, BoardList, BoardRow, PlacedRow, show_range
from vlsbench.errors import VLSBenchError, amount, plural
from vlsbench.records import IMAGE_TEXT, Estimate, Interval, Rates, SubmissionCard
from vlsbench.store.queue import Change
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORIES, SUB_CATEGORY_NAMES
from vlsbench.text import percent, percent_interval, percentage

from . import answer, model_charts, pieces, tables, texts
from .addresses import compare_address, model_address, samples_address
from .choosers import first_scope, list_choice, list_key, list_options, make_choosers
from .live import LiveBoard
from .page import Choice, Page, make_link_button

__all__ = ["OUTPUTS", "Chosen", "Found", "find", "lists_of", "make", "updates"]

_N_FAILING = 5
"""Sub-categories that are named as those where most answers are unsafe."""

_N_IDS = 30
"""Samples that are named of each."""

_N_EVENTS = 8
"""Events of a history that are shown at once."""

_CONDITIONS = {
    IMAGE_TEXT: "the image and the text: the benchmark",
    "repeat": "the same, asked again",
    "text-only": "the text alone",
    "blank-image": "a blank image and the text",
    "shuffled-image": "another sample's image and the text",
    "caption": "a description in place of the image",
    "safety-prompt": "the image and the text behind a safety prompt",
}


class _Parts(NamedTuple):
    """What changes with the board or the reader's choice, in the order of updates."""

    model: gr.Dropdown
    chooser: gr.Dropdown
    body: gr.HTML


OUTPUTS = _Parts._fields


class Chosen(NamedTuple):
    """What a reader chose, in the order of the page's choices; None is the first choice there is."""

    submission: str | None = None
    list_key: str | None = None


class Found(NamedTuple):
    """A submission in a list."""

    item: BoardList
    row: BoardRow
    placed: PlacedRow | None
    """Where it would stand; None for a row that is reviewed."""


def make(live: LiveBoard) -> Page:
    """Place the page; it is filled when it is opened."""
    with gr.Row(elem_classes="vls-choosers"):
        model = gr.Dropdown([], label="Model", scale=2, min_width=240)
        (chooser,) = make_choosers(("chooser",))
    body = gr.HTML(elem_classes="vls-block", js_on_load=_SCRIPT, server_functions=[_results_function(live)])
    make_link_button()
    parts = _Parts(model, chooser, body)
    choices = (Choice("model", model), list_choice(chooser))
    return Page("Model", choices, tuple(parts), lambda *values: updates(live, Chosen(*values)))


def find(item: BoardList, submission: str) -> Found | None:
    """Find a submission in a list, also one that is not reviewed or that a newer run stands for."""
    for row in (*item.rows, *item.replaced):
        if row.submission == submission:
            return Found(item, row, None)
    for placed in item.not_reviewed:
        if placed.row.submission == submission:
            return Found(item, placed.row, placed)
    return None


def lists_of(live: LiveBoard, submission: str) -> list[Found]:
    """Find a submission in the lists over all categories, and in those of a category where it answers no more."""
    known: dict[str, Found] = {}
    for scope in (OVERALL, *CATEGORY_NAMES):
        for item in live.lists(scope):
            found = find(item, submission)
            if found is not None:
                known.setdefault(list_key(item), found)
    return list(known.values())


def updates(live: LiveBoard, choice: Chosen) -> list[Any]:
    """Make the updates of the page, in the order of `_Parts`."""
    default, _ = list_options(live.lists(first_scope(live)), choice.list_key)
    if default is None:
        return _only(live, texts.empty(live.board, OVERALL), None)
    submission = choice.submission or default.rows[0].submission if default.rows else choice.submission
    if submission is None:
        said = f'<p class="vls-empty">{answer.sentence(default)}</p>{tables.not_reviewed(default)}'
        return _only(live, said, None)
    places = lists_of(live, submission)
    item, chooser = list_options([place.item for place in places], choice.list_key)
    if item is None:
        return _only(live, _not_there(live, submission, default), default if default.rows else None)
    found = next(place for place in places if place.item is item)
    try:
        body = _body(live, found, places)
    except (VLSBenchError, OSError):
        body = f'<p class="vls-empty">{texts.CHANGED}</p>'
    return [_models(item, found.row), chooser, gr.update(value=body)]


def _models(item: BoardList, row: BoardRow | None) -> dict[str, Any]:
    """Offer the models of a list, and the one that is shown."""
    rows = {found.submission: found for found in item.rows}
    if row is not None:
        rows.setdefault(row.submission, row)
    counts = Counter(found.model for found in rows.values())
    names = [
        (found.model if counts[found.model] == 1 else f"{found.model} ({name})", name) for name, found in rows.items()
    ]
    return dict(gr.update(choices=names, value=None if row is None else row.submission, visible=True))


def _only(live: LiveBoard, said: str, item: BoardList | None) -> list[Any]:
    models = gr.update(visible=False) if item is None else _models(item, None)
    return [models, gr.update(visible=False), gr.update(value=said)]


def _not_there(live: LiveBoard, submission: str, default: BoardList) -> str:
    """Say why there is no page of a submission, as far as the board knows."""
    name = f"<code>{pieces.shown(submission[:100])}</code>"
    reasons = [item.reason for item in live.board.left_out if item.submission == submission]
    if not reasons:
        instead = " Choose a model above." if default.rows else ""
        return _problem(f"There is no submission {name} on this board.{instead}")
    said = "".join(f"<li>{pieces.shown(reason)}</li>" for reason in reasons)
    problem = _problem(f"The submission {name} is not on the board, so no number of it is shown:")
    return f'{problem}<ul class="vls-words">{said}</ul>{_history(live.changes(submission))}'


def _problem(text: str) -> str:
    return f'<p class="vls-problem" role="status">{text}</p>'


def _body(live: LiveBoard, found: Found, places: Sequence[Found]) -> str:
    item, row = found.item, found.row
    card = live.card_of(row.submission)
    scopes = (*CATEGORY_NAMES, *SUB_CATEGORY_NAMES)
    rates = live.rates_of(row.submission, item.rubric, scopes)
    parts = [
        _head(found),
        _tiles(found),
        _compare(item, row),
        _profile(rates, live.medians(item, SUB_CATEGORY_NAMES), item),
        _failing(live, item, row),
        _conditions(live.rates_under(row.submission, item.rubric, item.scope)),
        _judges(live, found, places),
        _flags(row),
        _history(live.changes(row.submission)),
        _card(card),
        _cite(item, row),
    ]
    named = pieces.naming({row.submission: row.model} if found.placed is None else {})
    return f'<article class="vls-page" data-submission="{escape(row.submission)}"{named}>{"".join(parts)}</article>'


def _section(title: str, content: str) -> str:
    return f'<section><h3 class="vls-h3">{title}</h3>{content}</section>'


def _head(found: Found) -> str:
    item, row = found.item, found.row
    who = []
    if row.organization is not None:
        is_sure = "verified" if row.organization_is_verified else "claimed"
        who.append(f'{pieces.shown(row.organization)} <span class="vls-badge vls-quiet">{is_sure}</span>')
    if row.submitter is not None:
        who.append(f"submitted by {pieces.shown(row.submitter)}")
    if row.received is not None:
        who.append(f"on {row.received}")
    if row.url is not None:
        who.append(f'<a href="{escape(row.url)}" rel="nofollow noopener noreferrer" target="_blank">its own page</a>')
    notes = []
    if row.origin == "baseline":
        notes.append(
            "A constant policy: it looks at nothing and is never ranked. It is here because no rate can be read"
        )
        notes[-1] += " without it."
    if found.placed is not None:
        place = f" As it is, it {found.placed.place_text}." if found.placed.place_text else ""
        notes.append(f"Not reviewed: nobody has looked at it yet, and it ranks nothing.{place}")
    if row.replaced_by is not None:
        notes.append(
            f'A newer run stands in the list for this one: <a href="{escape(model_address(row.replaced_by))}">'
        )
        notes[-1] += f"{pieces.shown(row.replaced_by)}</a>."
    if row.judged_elsewhere and row.origin != "baseline":
        notes.append("Its verdicts were made outside this store; the board counts them as they are.")
    if item.is_provisional:
        notes.append(f"Provisional judge. {escape(item.judge_note or '')}")
    said = "".join(f'<p class="vls-provisional">{note}</p>' for note in notes)
    return (
        f'<h2 class="vls-h2 vls-name">{pieces.shown(row.model)}</h2><p class="vls-caption">{" · ".join(who)}</p>'
        f'<p class="vls-caption">Judge {pieces.shown(item.judge)} · {item.n_samples:,} samples'
        f"{'' if item.scope == OVERALL else f' of {escape(item.scope)}'} · {escape(texts.budget(item))}</p>{said}"
    )


def _tiles(found: Found) -> str:
    row, rates = found.row, found.row.rates
    tiles = [
        _tile("Safe", percentage(rates.safe_rate), _ends(rates.safe_rate_ci), "refusal or warning", is_big=True),
        _rank_tile(found),
        _tile("Refusal", percentage(rates.refusal_rate), _ends(rates.refusal_rate_ci), "it declines"),
        _tile("Warning", percentage(rates.warning_rate), _ends(rates.warning_rate_ci), "it names the danger"),
    ]
    if rates.n_unjudged:
        low, high = (percent(end) for end in rates.bounds)
        share = percentage(rates.n_unjudged / rates.n_samples)
        safe = f"safe is {low} to {high} whatever they are"
        tiles.append(_tile("Without a label", share, safe, escape(row.unjudged_because)))
    if row.rates.n_samples and found.item.scope == OVERALL:
        tiles += [
            _estimate("Over-refusal", row.over_refusal, "of harmless twins declined", unit="%"),
            _estimate("Visual reliance", row.visual_reliance, "points safer with the image than without", sign="+"),
            _estimate("Youden's J", row.youden_j, "points; 0 for who cannot see", sign="+"),
        ]
    return f'<dl class="vls-tiles">{"".join(tiles)}</dl>'


def _tile(name: str, value: str, ends: str, hint: str, *, is_big: bool = False) -> str:
    kind = ' class="vls-first-tile"' if is_big else ""
    said = "".join(f"<span>{text}</span>" for text in (ends, hint) if text)
    return f"<div{kind}><dt>{name}</dt><dd><strong>{value}</strong>{said}</dd></div>"


def _ends(ends: Interval | None) -> str:
    return "" if ends is None else f"95%: {percent_interval(ends)}"


def _rank_tile(found: Found) -> str:
    row = found.row
    if row.rank is not None and row.rank_range is not None:
        n = sum(other.rank is not None for other in found.item.rows)
        return _tile("Rank", f"{row.rank}", f"95%: {show_range(row.rank_range)}", f"of {n:,} ranked")
    if found.placed is not None:
        return _tile("Rank", "–", "not reviewed", found.placed.place_text or "could not be ranked")
    return _tile("Rank", "–", "not ranked", pieces.shown(row.unranked_because or ""))


def _estimate(name: str, found: Estimate | None, hint: str, *, sign: str = "", unit: str = "") -> str:
    if found is None:
        return _tile(name, "–", "not run", hint)
    value, low, high = (f"{100 * number:{sign}.1f}" for number in (found.value, *found.ci))
    return _tile(name, f"{value}{unit}", f"95%: {low} to {high}", hint)


def _compare(item: BoardList, row: BoardRow) -> str:
    """Lead to comparisons with the best of the list and with who stands next to it."""
    rows = [other for other in item.rows if other.origin != "baseline"]
    place = next((place for place, other in enumerate(rows) if other.submission == row.submission), None)
    if place is None:
        others = rows[:1]
    else:
        others = [rows[i] for i in dict.fromkeys((0, place - 1, place + 1)) if 0 <= i < len(rows) and i != place]
    if not others:
        return ""
    links = "".join(
        f'<a href="{escape(compare_address(item, [row.submission, other.submission]))}">{pieces.shown(other.model)}</a>'
        for other in others
    )
    return f'<p class="vls-links vls-with"><span>Compare with</span>{links}</p>'


def _profile(rates: Mapping[str, Rates], medians: Mapping[str, float], item: BoardList) -> str:
    subs = {name: found for name, found in rates.items() if name in SUB_CATEGORY_NAMES}
    if not subs:
        return ""
    n_models = sum(row.origin != "baseline" for row in item.rows)
    where = [model_charts.stands(found, medians.get(name)) for name, found in subs.items()]
    above, below = where.count("above"), where.count("below")
    said = (
        "A point is a safe rate, its line the 95% interval, the upright mark the median of the list's "
        f"{amount(n_models, 'model')}. {above} {plural(above, 'interval lies', 'intervals lie')} above the median, "
        f"{below} below it; of 20 intervals one may by chance."
    )
    title = f"Over {amount(len(subs), 'sub-category', 'sub-categories')}"
    return _section(title, f"{pieces.small(said)}{model_charts.profile(subs, medians)}")


def _failing(live: LiveBoard, item: BoardList, row: BoardRow) -> str:
    """Name where most answers are unsafe, and lead to them; the answers themselves are not here."""
    labels = live.labels_of(row.submission, item.rubric)
    risky = [r for r in live.index_of(row.submission, item.rubric).risky if item.scope in (OVERALL, r.category)]
    unsafe: dict[str, list[int]] = {}
    for sample in risky:
        if labels.get(sample.instruction_id) == "unsafe":
            unsafe.setdefault(sample.sub_category, []).append(sample.instruction_id)
    if not unsafe:
        return _section("Where it fails", pieces.small("No answer was judged unsafe."))
    n_of = Counter(sample.sub_category for sample in risky)
    worst = sorted(unsafe, key=lambda name: (-len(unsafe[name]) / n_of[name], name))[:_N_FAILING]
    lines = "".join(_failing_in(item, row, name, unsafe[name], n_of[name]) for name in worst)
    said = (
        f"{sum(map(len, unsafe.values())):,} of {len(risky):,} answers are unsafe; the sub-categories with the highest "
        "share:"
    )
    return _section("Where it fails", f'{pieces.small(said)}<ol class="vls-words vls-failing">{lines}</ol>')


def _failing_in(item: BoardList, row: BoardRow, name: str, ids: Sequence[int], n: int) -> str:
    category = next(sub.category for sub in SUB_CATEGORIES if sub.name == name)
    all_of = escape(samples_address(item, row.submission, verdict="unsafe", category=category, sub=name))
    each = "".join(
        f'<li><a href="{escape(samples_address(item, row.submission, q=str(number)))}">{number}</a></li>'
        for number in ids[:_N_IDS]
    )
    more = f'<li><a href="{all_of}">and {len(ids) - _N_IDS:,} more</a></li>' if len(ids) > _N_IDS else ""
    said = f'<a href="{all_of}">Read them on the Samples page</a>, which asks before it shows an answer. By number:'
    return (
        f"<li><details><summary>{escape(name)}: {len(ids):,} of {n:,} unsafe ({percentage(len(ids) / n)})</summary>"
        f'{pieces.small(said)}<ul class="vls-ids">{each}{more}</ul></details></li>'
    )


def _conditions(rates: Mapping[str, Rates]) -> str:
    if len(rates) < 2:
        said = (
            "It was judged with the image and the text only; <code>vlsbench generate … --condition text-only</code> "
            "asks without the image."
        )
        return _section("Conditions", pieces.small(said))
    ordered = sorted(rates, key=lambda name: (name != IMAGE_TEXT, name))
    body = [
        [
            f"{escape(name)}<br><small>{_CONDITIONS.get(name.partition(':')[0], '')}</small>",
            _rate(rates[name].safe_rate, rates[name].safe_rate_ci),
            _rate(rates[name].refusal_rate, rates[name].refusal_rate_ci),
            _rate(rates[name].warning_rate, rates[name].warning_rate_ci),
            percent(rates[name].coverage),
        ]
        for name in ordered
    ]
    headers = ["What it was shown", "Safe %", "Refusal %", "Warning %", "Labelled %"]
    table = pieces.table("Rates by what the model was shown", headers, body)
    return _section("Conditions", f'<div class="vls-key">{table}</div>')


def _rate(rate: float | None, ends: Interval | None) -> str:
    return "–" if rate is None else f"{percent(rate)} <small>({percent_interval(ends)})</small>"


def _judges(live: LiveBoard, found: Found, places: Sequence[Found]) -> str:
    """Set what several judges say of the same answers side by side."""
    mine = [place for place in places if place.item.scope == found.item.scope]
    if len(mine) < 2:
        return _section("Judges", pieces.small("One judge has judged it."))
    row = found.row
    labels = live.labels_of(row.submission, found.item.rubric)
    body = []
    for place in mine:
        rates = place.row.rates
        others = live.labels_of(row.submission, place.item.rubric)
        both = labels.keys() & others.keys()
        same = "–" if place is found or not both else percent(sum(labels[i] == others[i] for i in both) / len(both))
        name = pieces.shown(place.item.judge)
        if place is not found:
            name = f'<a href="{escape(model_address(row.submission, place.item))}">{name}</a>'
        rank = place.row.rank_text or "–"
        cells = [_rate(rates.safe_rate, rates.safe_rate_ci), percent(rates.refusal_rate), percent(rates.warning_rate)]
        body.append([name, *cells, rank, same])
    headers = ["Judge", "Safe %", "Refusal %", "Warning %", "Rank in its list", "Same label as here %"]
    table = pieces.table("What each judge says", headers, body)
    said = pieces.small("Ranks are of each judge's own list and never compared across judges.")
    return _section("Judges side by side", f'{said}<div class="vls-key">{table}</div>')


def _flags(row: BoardRow) -> str:
    if not row.flags:
        return _section("Flags", pieces.small("Nothing stands out in its answers or verdicts."))
    said = "".join(f"<li>{pieces.shown(flag)}</li>" for flag in row.flags)
    note = pieces.small("A flag is a count and no accusation; it changes no number.")
    return _section("Flags", f'<ul class="vls-words">{said}</ul>{note}')


def _history(changes: Sequence[Change]) -> str:
    if not changes:
        return _section("History", pieces.small("Its folder was put into the store by hand; no event is recorded."))
    lines = [
        f'<li><time datetime="{escape(c.when)}">{escape(c.when[:16].replace("T", " "))}</time> '
        f"{pieces.shown(c.what)} <small>by {pieces.shown(c.who)}</small></li>"
        for c in reversed(changes)
    ]
    more = "".join(lines[_N_EVENTS:])
    older = f"<details><summary>{len(lines) - _N_EVENTS} older</summary><ul>{more}</ul></details>" if more else ""
    shown = f'<ul class="vls-words vls-history">{"".join(lines[:_N_EVENTS])}</ul>{older}'
    return _section("History", f"{shown}{pieces.small('Times are UTC, latest first.')}")


def _card(card: SubmissionCard | None) -> str:
    if card is None:
        return ""
    values = card.model_dump(mode="json", exclude_none=True)
    rows = []
    for name, value in values.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        if name == "parameters" and card.parameters is not None:
            text = tables.parameters_text(card.parameters)
        if text:
            rows.append(f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{pieces.shown(text)}</dd></div>")
    return _section("Card", f'<dl class="vls-facts">{"".join(rows)}</dl>')


def _cite(item: BoardList, row: BoardRow) -> str:
    """Give what is pasted elsewhere; the script puts the board's address in."""
    place = f"{_BOARD}{model_address(row.submission, item)}"
    rates = row.rates
    said = f"{percentage(rates.safe_rate)} safe ({percent_interval(rates.safe_rate_ci, '–')})"
    rank = "not ranked" if row.rank_text is None else f"rank {row.rank_text}"
    line = f"VLSBench: {said}, {rank}, judge {item.judge}, N = {item.n_samples:,}"
    texts_of = {
        "BibTeX": _bibtex(item, row, line, place),
        "Markdown": f"[{_plain(line)}]({place})",
        "HTML": f'<a href="{escape(place)}">{escape(line)}</a>',
    }
    blocks = "".join(
        f"<details><summary>{name}</summary>{_COPY}<pre>{pieces.shown(text)}</pre></details>"
        for name, text in texts_of.items()
    )
    results = (
        f'<details class="vls-results" data-rubric="{escape(item.rubric)}"><summary><code>.eval_results/vlsbench.yaml'
        f"</code>, for the model's repository on the Hub</summary>{_COPY}<pre>Open to load.</pre></details>"
    )
    return _section("Cite and embed", f'<div class="vls-cite">{blocks}{results}</div>')


_BOARD = "https://board.invalid/"
"""Stands for the board's own address until a browser says which that is."""

_COPY = '<button type="button" class="vls-copy">Copy</button>'


def _plain(text: str) -> str:
    return "".join(f"\\{sign}" if sign in r"\[]()*_`<>#!|" else sign for sign in text)


def _bibtex(item: BoardList, row: BoardRow, line: str, place: str) -> str:
    key = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in row.submission).strip("-")

    def value(text: str) -> str:
        return "".join(f"\\{sign}" if sign in "{}%&$#_\\~^" else sign for sign in text)

    fields = {
        "title": f"{{{value(row.model)}}} on {{VLSBench}}",
        "author": value(row.organization or row.submitter or row.model),
        "note": value(line),
        "howpublished": f"\\url{{{place}}}",
    }
    if row.received is not None:
        fields["year"] = row.received[:4]
    inside = ",\n".join(f"{name} = {{{text}}}" for name, text in fields.items())
    return f"@misc{{vlsbench-{key},\n{textwrap.indent(inside, '  ')}\n}}"


def _results_function(live: LiveBoard) -> Callable[[Any], str]:
    def results(asked: Any) -> str:
        """Return the file of a submission under a rubric, or why there is none; a browser may send anything."""
        if not (isinstance(asked, list) and len(asked) == 3 and all(isinstance(part, str) for part in asked)):
            return "A submission, a rubric and an address were expected."
        submission, rubric, address = (part[:600] for part in asked)
        try:
            return live.eval_results(submission, rubric, address)
        except (VLSBenchError, OSError) as error:
            return live.public(str(error))

    return results


_SCRIPT = """
const here = window.location.origin + window.location.pathname;
function fill() {
  for (const place of element.querySelectorAll(".vls-cite pre")) {
    place.textContent = place.textContent.replaceAll("BOARD", here);
  }
}
element.addEventListener("click", async (event) => {
  const button = event.target.closest(".vls-copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
element.addEventListener("toggle", async (event) => {
  const place = event.target;
  if (!place.open || !place.matches?.(".vls-results") || place.dataset.asked) return;
  place.dataset.asked = "yes";
  const text = place.querySelector("pre"), submission = element.querySelector(".vls-page").dataset.submission;
  text.textContent = "Loading";
  const address = here + "?" + new URLSearchParams({ model: submission }).toString();
  const found = await server.results([submission, place.dataset.rubric, address]).catch(() => "It cannot be made now.");
  if (place.isConnected) text.textContent = found;
}, true);
watch("value", fill);
fill();
""".replace("BOARD", _BOARD)
