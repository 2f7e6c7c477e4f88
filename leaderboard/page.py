"""What a page is: choices that stand in its address, and outputs that follow from them.

A page's whole state is the values of its choices, so a link shares what its sender saw, a reload keeps it, and the
server remembers nothing of a reader. Rule of the room: no number, no sentence of a page; only how pages hang together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from typing import Any, Literal, NamedTuple

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component

from vlsbench.board.lists import OVERALL
from vlsbench.errors import masked

from . import order
from .order import SAME

__all__ = [
    "HERE",
    "SCRIPT",
    "SEPARATOR",
    "SUBJECTS",
    "Choice",
    "Opened",
    "Page",
    "filled",
    "follow",
    "follow_sort",
    "link_notice",
    "make_link_button",
    "only",
    "opened",
    "page_name",
    "script_arguments",
    "tell_ready",
    "title_of",
]

SEPARATOR = "~"
"""Between the values of a choice of several; no name of ours has it."""

HERE = "{board}"
"""Stands for the board's own address in a text that is copied."""

SUBJECTS = ("model", "submission", "models", "sub", "category")
"""Choices that a page is about, and so are in its title."""

_TITLE_LENGTH = 100
"""Characters of them in a title."""

_PAUSE = 100
"""Milliseconds after a key; who types leaves more between two."""

SCRIPT = (
    order.SCRIPT
    + """
<script>
// What a reader without scripts sees stays until the page of the address is filled.
document.documentElement.classList.add("vls-opening");
// Columns that this reader chose before are written out in the address.
(() => {
  const query = new URLSearchParams(window.location.search);
  let kept = null;
  try { kept = localStorage.getItem("vls-columns"); } catch { /* a reader may forbid it */ }
  if (vlsPage(query) !== "leaderboard" || query.has("columns") || !kept) return;
  query.set("columns", kept);
  window.history.replaceState(null, "", "?" + query.toString());
})();
// The query that was last asked for as a whole: by a link, by Back, or by the first request.
let vlsOpened = window.location.search;
// The first of them, until the first tab has been shown.
let vlsFirst = new URLSearchParams(vlsOpened);
// Kept when gradio's load event comes, which is once every component is there. What hides a component before would put
// that event off for ever; after ten seconds (a file of gradio's that does not come) the tab is shown anyway.
let vlsLoad;
// The page that a link opens: the answer to it fills it and selects its tab, which then need not ask again.
let vlsLinked = null;
const vlsLoaded = new Promise((resolve) => {
  vlsLoad = () => {
    const page = vlsPage(new URLSearchParams(vlsOpened));
    vlsLinked = page === "leaderboard" ? null : page;
    resolve();
    return [vlsOpened];
  };
  setTimeout(resolve, 10000);
});

function vlsPage(query) {
  return query.get("tab")?.toLowerCase() ?? (query.has("model") ? "model" : "leaderboard");
}

// Names of models by their ids, which the parts of a page that are about them say.
const vlsNames = {};
let vlsNamed = "";
let vlsIsNaming = false;
function vlsName() {
  vlsIsNaming = false;
  const said = [...document.querySelectorAll("[data-names]")].map((place) => place.dataset.names);
  if (said.join() === vlsNamed) return;
  vlsNamed = said.join();
  said.forEach((names) => Object.assign(vlsNames, JSON.parse(names)));
  vlsTitle();
}
new MutationObserver(() => {
  if (!vlsIsNaming) setTimeout(vlsName, 100);
  vlsIsNaming = true;
}).observe(document.documentElement, { childList: true, subtree: true });

// As `title_of` in page.py.
function vlsTitle() {
  const query = new URLSearchParams(window.location.search);
  const page = vlsPage(query);
  const subjects = SUBJECTS.map((key) => query.get(key) ?? "").filter((text) => text && text !== "ALL");
  const names = subjects.flatMap((text) => text.split("SEPARATOR"));
  const subject = names.map((name) => (Object.hasOwn(vlsNames, name) ? vlsNames[name] : name)).join(", ");
  const name = page === "leaderboard" ? "" : page.slice(0, 1).toUpperCase() + page.slice(1);
  document.title = [subject.slice(0, LONGEST), name, "VLSBench leaderboard"].filter(Boolean).join(" \u00b7 ");
}

// Which answer fills the first page: that of its tab, or that of the link.
let vlsAwaited = vlsPage(vlsFirst) === "leaderboard" ? "tab" : "load";
function vlsReady(answered) {
  if (answered !== vlsAwaited) return;
  vlsAwaited = null;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const first = document.getElementById("vls-first");
    const isWithin = first?.contains(document.activeElement);
    first?.remove();
    document.documentElement.classList.remove("vls-opening");
    if (isWithin) document.querySelector("[role=tab][aria-selected=true]")?.focus();
    vlsTitle();
  }));
}

// Show what a query asks for, without loading the page again; false where the board is not there yet.
function vlsGo(search) {
  const button = document.querySelector("button.vls-go");
  if (!button || vlsAwaited) return false;
  const theme = new URLSearchParams(window.location.search).get("__theme");
  const query = new URLSearchParams(theme ? { __theme: theme } : {});
  for (const [key, value] of new URLSearchParams(search)) query.set(key, value);
  const address = query.size ? "?" + query.toString() : "";
  if (address !== window.location.search) vlsWrite(query, false);
  vlsOpened = window.location.search;
  vlsFirst = null;
  vlsLinked = vlsPage(query);
  vlsActs += 1;
  vlsTitle();
  button.click();
  return true;
}
window.addEventListener("popstate", () => { if (!vlsGo(window.location.search)) window.location.reload(); });
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="?"]');
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download")) return;
  if (!vlsGo(link.getAttribute("href"))) return;
  event.preventDefault();
  window.scrollTo(0, 0);
});

// Each choice is a step that Back takes back; of a text that is being typed, the whole of it is one.
let vlsIsTyping = false;
function vlsWrite(query, isTyped) {
  const address = query.size ? "?" + query.toString() : window.location.pathname;
  const isStep = !(isTyped && vlsIsTyping);
  vlsIsTyping = isTyped;
  window.history[isStep ? "pushState" : "replaceState"](null, "", address);
  query.delete("__theme");
  if (window.parent !== window) window.parent.postMessage({ queryString: query.toString() }, "https://huggingface.co");
}

// A text beside a button is copied; the board's own address is put in where it stands for `HERE`.
function vlsHere() { return window.location.origin + window.location.pathname; }
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) return;
  const text = button.dataset.copy || document.getElementById(button.dataset.from)?.innerText || "";
  navigator.clipboard.writeText(text.replaceAll("HERE", vlsHere())).then(() => {
    const said = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = said; }, 1500);
  });
});

function vlsWords(value) {
  const text = Array.isArray(value) ? value.join("SEPARATOR") : value ?? "";
  return text === "all" ? "" : text;
}

// What a reader has done: links followed, steps back, tabs opened, choices made.
let vlsActs = 0;

// A choice was made: write what differs from the first view into the address, also into that of a Space around it.
function vlsChoose(page, keys, firsts, texts, values, isTyped = false) {
  vlsFirst = null;
  vlsActs += 1;
  const query = new URLSearchParams();
  const theme = new URLSearchParams(window.location.search).get("__theme");
  if (theme) query.set("__theme", theme);
  if (page !== "leaderboard" && page !== "model") query.set("tab", page);
  keys.forEach((key, place) => {
    const text = texts.includes(key) ? values[place] ?? "" : vlsWords(values[place]);
    if (text !== (texts.includes(key) ? "" : vlsWords(firsts[place]))) query.set(key, text);
  });
  if (page === "model" && !query.has("model")) query.set("tab", page);
  if ((query.size ? "?" + query.toString() : "") !== window.location.search) vlsWrite(query, isTyped);
  vlsTitle();
  if (keys.includes("columns")) {
    try { localStorage.setItem("vls-columns", query.get("columns") ?? ""); } catch { /* as above */ }
  }
  return values;
}

// An option was picked; gradio says so twice.
let vlsPickedLast = null;
function vlsPicked(page, keys, firsts, texts, values) {
  const picked = () => JSON.stringify([page, values, vlsActs]);
  if (vlsPickedLast === picked()) return values.map(() => SAME);
  vlsChoose(page, keys, firsts, texts, values);
  vlsPickedLast = picked();
  setTimeout(() => { vlsPickedLast = null; }, PAUSE);
  return values;
}

// The text of a box has changed: by a key, pasted, dictated, or filled from the address, which then says the same. Of
// keys that follow each other the last one asks; a choice that is made meanwhile takes the text along.
async function vlsTyped(page, keys, firsts, texts, key, values) {
  const query = new URLSearchParams(window.location.search);
  const said = vlsPage(query) === page ? query.get(key) ?? "" : "";
  if (said === (values[keys.indexOf(key)] ?? "")) return values.map(() => SAME);
  vlsChoose(page, keys, firsts, texts, values, true);
  const act = vlsActs;
  await new Promise((resolve) => setTimeout(resolve, PAUSE));
  return act === vlsActs ? values : values.map(() => SAME);
}

// What tells of a new text only when it is left, as some tools that dictate or fill in do.
document.addEventListener("change", (event) => {
  const isText = event.target.matches?.("textarea, input[type=text], input:not([type])");
  if (isText && event.isTrusted === false) event.target.dispatchEvent(new Event("input", { bubbles: true }));
}, true);

// What a header of the table asks the list to be sorted by.
let vlsOrder = null;

function vlsSorted(page, keys, firsts, texts, key, values) {
  if (vlsOrder) values[keys.indexOf(key)] = vlsOrder;
  return vlsChoose(page, keys, firsts, texts, values);
}

// Where the board is, in what a reader takes along.
document.addEventListener("toggle", (event) => {
  for (const place of event.target.querySelectorAll?.(".vls-here") ?? []) place.textContent = vlsHere();
}, true);

// A tab is shown: the one that is shown while the page opens, with the choices of the address.
async function vlsShow(page, keys, firsts, texts, values) {
  await vlsLoaded;
  if (page === vlsLinked && window.location.search === vlsOpened) {
    vlsLinked = vlsFirst = null;
    return values.map(() => SAME);
  }
  if (vlsFirst === null) return vlsChoose(page, keys, firsts, texts, values);
  const query = vlsFirst;
  vlsFirst = null;
  if (vlsPage(query) !== page) return values;
  return keys.map((key, place) => {
    // null is what is first now; what was first when the server began may be gone.
    if (!query.has(key)) return null;
    return Array.isArray(firsts[place]) ? query.get(key).split("SEPARATOR").filter(Boolean) : query.get(key);
  });
}
</script>
"""
)
"""Keeps the choices of a page and its address the same; words in capitals are put in below."""
for _word, _value in (
    ("SEPARATOR", SEPARATOR),
    ("SAME", json.dumps(SAME)),
    ("PAUSE", str(_PAUSE)),
    ("SUBJECTS", json.dumps(SUBJECTS)),
    ("LONGEST", str(_TITLE_LENGTH)),
    ("HERE", HERE),
    ("ALL", OVERALL),
):
    SCRIPT = SCRIPT.replace(_word, _value)


class Choice(NamedTuple):
    """One thing a reader chooses."""

    key: str
    """Its name in the address."""
    component: Component
    is_several: bool = False
    """Its value is a list."""
    first: str | None = None
    """What its address leaves out, where that is not the value it is built with: a store may change which is first."""
    is_still: bool = False
    """What it offers never changes, or it is a text box: it is filled from the address when a page is opened, and
    never written to while its reader chooses or types."""
    what: str | None = None
    """What its value is the name of, for a link that names one that is not there; None where its page says so itself,
    or where any text will do."""
    stands_for: Callable[[str, Collection[str]], str | None] | None = None
    """From a value and what is offered to the one of them that it stands for, or None; without it a value stands for
    itself."""
    is_subject: bool = False
    """The page is about what it names: another one is not shown in its place."""

    def clean(self, value: Any) -> Any:
        """Return a value that a page can be asked for; what no page sends is as none."""
        if self.is_several:
            return [item for item in value if isinstance(item, str)][:_MOST] if isinstance(value, list) else None
        return value if isinstance(value, str) else None


_MOST = 200
"""Values of one choice that are looked at."""


class Page(NamedTuple):
    """One tab."""

    name: str
    """On its tab and, in lower case, in the address (as `tab`: `page` is gradio's own)."""
    choices: tuple[Choice, ...]
    outputs: tuple[Component | BlockContext, ...]
    """What `show` updates; choosers whose options depend on the board are among them."""
    show: Callable[..., list[Any]]
    """From the values of the choices, in order, to the updates of the outputs. A value that is None or gone from the
    board stands for the first one."""
    is_filled: bool = False
    """It comes with what its first choices show."""

    def answer(self, *values: Any) -> list[Any]:
        """Make the updates of the outputs for whatever a browser, or somebody else, sends as the values."""
        if values and values[0] == SAME:
            return [gr.skip() for _ in self.outputs]
        return self.show(*self.clean(values))

    def clean(self, values: Sequence[Any]) -> list[Any]:
        """Return the values of the choices as far as they are ones."""
        return [choice.clean(value) for choice, value in zip(self.choices, values, strict=True)]

    def answer_link(self, *values: Any) -> tuple[str, list[Any]]:
        """Make the updates of the outputs for what a link names, and say what of it is not there.

        Returns:
            A sentence, empty where all is there; and the updates. Of a subject that is not there nothing is shown.
        """
        chosen = self.clean(values)
        updates = self.show(*chosen)
        said, is_blank = [], False
        for choice, value in zip(self.choices, chosen, strict=True):
            if choice.what is None or not value:
                continue
            missing = self._missing(choice, value, updates)
            if not missing:
                continue
            names = ", ".join(f"“{_shown(name)}”" for name in missing)
            said.append(f"{choice.what} {names}")
            if choice.is_subject and choice.component in self.outputs:
                is_blank = True
                place = self.outputs.index(choice.component)
                kept = [name for name in value if name not in missing] if choice.is_several else None
                updates[place] = {**updates[place], "value": kept}
        if not said:
            return "", updates
        if is_blank:
            kept_choosers = self._up_to_subject()
            updates = [
                update if output in kept_choosers else gr.update(visible=False)
                for output, update in zip(self.outputs, updates, strict=True)
            ]
        shown = "Choose another below" if is_blank else "Shown is what there is"
        return f"This page does not have what its link names, or no longer: {'; '.join(said)}. {shown}.", updates

    def _up_to_subject(self) -> list[Component]:
        """Return the choosers that lead to the subject; those behind it choose among what it has."""
        subject = max(place for place, choice in enumerate(self.choices) if choice.is_subject)
        return [choice.component for choice in self.choices[: subject + 1]]

    def _missing(self, choice: Choice, value: Any, updates: Sequence[Any]) -> list[str]:
        """Return what a choice names and does not offer."""
        wanted = value if choice.is_several else [value]
        if choice.component in self.outputs:
            offered = updates[self.outputs.index(choice.component)].get("choices")
        else:
            offered = getattr(choice.component, "choices", None)
        if offered is None:  # hidden: there is nothing to choose from, and the page says why
            return []
        known = {item[1] if isinstance(item, tuple | list) else item for item in offered}
        stands_for = choice.stands_for or (lambda name, offered: name if name in offered else None)
        return [name for name in wanted if stands_for(name, known) is None]


def _shown(name: str) -> str:
    """Show a name of a link: it may be anything."""
    text = masked(name)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


_LONGEST = 80
"""Of a name that is not there: no name of ours is longer."""


def make_link_button() -> gr.Button:
    """Place a button that copies the address of what is shown."""
    button = gr.Button("Copy link to this view", size="sm", min_width=170, scale=0, elem_classes="vls-link")
    button.click(None, js=f"(...values) => {{ {_COPY} return values; }}", api_visibility="private")
    return button


_COPY = (
    "navigator.clipboard.writeText(window.location.href).then(() => {"
    " const button = document.activeElement; const text = button.textContent;"
    " button.textContent = 'Copied'; setTimeout(() => { button.textContent = text; }, 1500); });"
)


def filled(update: dict[str, Any]) -> dict[str, Any]:
    """Turn an update into the keywords that build a component so, for the first page to come filled."""
    return {name: value for name, value in update.items() if name != "__type__"}


def only(parts: Sequence[str], shown: Mapping[str, Any], place: str, text: str) -> list[Any]:
    """Make the updates of a page that shows a sentence in one place, beside what is shown, and nothing else.

    Args:
        parts: Names of what the page updates, in its order.
        shown: Updates that stay, by name.
        place: Name of what shows the sentence.
        text: The sentence, as HTML.
    """
    hidden = {name: gr.update(visible=False) for name in parts}
    found = {**hidden, **shown, place: gr.update(value=text, visible=True)}
    return [found[name] for name in parts]


def _firsts(page: Page) -> list[Any]:
    return [getattr(item.component, "value", None) if item.first is None else item.first for item in page.choices]


def script_arguments(page: Page) -> str:
    """Return what the functions of `SCRIPT` are told of a page: its name, its keys, and what its address leaves out."""
    texts = [choice.key for choice in page.choices if _is_text(choice)]
    return json.dumps([page.name.lower(), [choice.key for choice in page.choices], _firsts(page), texts])[1:-1]


def _is_text(choice: Choice) -> bool:
    return isinstance(choice.component, gr.Textbox)


def follow(page: Page, tab: gr.Tab, notice: gr.HTML, refresh: Callable[[], bool]) -> None:
    """Show what the reader chooses, and what there is when the tab is opened.

    Args:
        page: The page.
        tab: Its tab.
        notice: Says what a link names that is not there.
        refresh: Reads the store again; whether it is another than the one that the page was filled with.
    """
    components = [choice.component for choice in page.choices]
    firsts = _firsts(page)
    fixed = script_arguments(page)
    how: dict[str, Any] = {
        "inputs": components,
        "outputs": [notice, *page.outputs],
        "preprocess": False,  # `show` answers for values that are gone; gradio would end in an error
        "show_progress": "hidden",
        "queue": False,
        "trigger_mode": "multiple",  # what is chosen while an answer is under way is asked for at once
        "api_visibility": "private",
    }

    def open_tab(*values: Any) -> list[Any]:
        if values[:1] == (SAME,):
            return [gr.skip() for _ in range(1 + len(page.outputs))]
        if (
            not refresh()
            and page.is_filled
            and all(value is None or value == first for value, first in zip(values, firsts, strict=True))
        ):
            return [gr.skip() for _ in range(1 + len(page.outputs))]
        said, updates = page.answer_link(*values)
        return [link_notice(said), *updates]

    def choose(*values: Any) -> list[Any]:
        is_same = values[0] == SAME
        return [gr.skip() if is_same else link_notice(""), *page.answer(*values)]

    tell_ready(tab.select(open_tab, js=f"(...values) => vlsShow({fixed}, values)", **how), "tab")
    for choice in page.choices:
        # A text box tells of keys only as its input: what is pasted, cut, dictated or taken back changes it as well.
        component: Any = choice.component
        listen = component.change if _is_text(choice) else component.input
        key = json.dumps(choice.key)
        js = f"vlsTyped({fixed}, {key}, values)" if _is_text(choice) else f"vlsPicked({fixed}, values)"
        listen(choose, js=f"(...values) => {js}", **how)


def tell_ready(answered: Any, by: Literal["tab", "load"]) -> None:
    """Tell the script that a page is filled: what was painted first then makes room for it."""
    answered.then(None, js=f"() => vlsReady({json.dumps(by)})", queue=False, api_visibility="private")


def page_name(query: Mapping[str, str]) -> str:
    """Return the name of the page that an address leads to, in lower case; it may be none of ours."""
    return query.get("tab", "model" if "model" in query else "leaderboard").lower()


def title_of(query: Mapping[str, str], names: Mapping[str, str] | None = None) -> str:
    """Return the title of an address: what its page is about, the page, the board. The script has the same rule.

    Args:
        query: Of the address.
        names: Of models, by their ids.

    >>> title_of({"tab": "compare", "models": "a~b"}, {"a": "Aster-VL"})
    'Aster-VL, b · Compare · VLSBench leaderboard'
    """
    page, names = page_name(query), names or {}
    subjects = [query[key] for key in SUBJECTS if query.get(key) not in (None, "", OVERALL)]
    subject = ", ".join(names.get(name, name) for text in subjects for name in text.split(SEPARATOR))
    shown = "" if page == "leaderboard" else page[:1].upper() + page[1:]
    return " · ".join(filter(None, (subject[:_TITLE_LENGTH], shown, "VLSBench leaderboard")))


def link_notice(sentence: str) -> dict[str, Any]:
    """Make the update of what says that a link leads to something that is not there."""
    html = f'<p class="vls-problem" role="status">{escape(sentence)}</p>' if sentence else ""
    return gr.update(value=html, visible=bool(sentence))


def follow_sort(page: Page, key: str) -> None:
    """Sort the whole list by a header of a table of the page.

    Args:
        page: Its table sets `vlsOrder`.
        key: Of the choice that says how the list is sorted, `COLUMN ascending` or `COLUMN descending` among its values.
    """
    button = gr.Button("Sort", elem_classes="vls-resort")  # pressed by the script only
    button.click(
        page.answer,
        inputs=[choice.component for choice in page.choices],
        outputs=list(page.outputs),
        js=f"(...values) => vlsSorted({script_arguments(page)}, {json.dumps(key)}, values)",
        preprocess=False,
        show_progress="hidden",
        queue=False,
        trigger_mode="multiple",
        api_visibility="private",
    )


class Opened(NamedTuple):
    """What an address leads to."""

    page: Page
    """The first where none is named, or one that is not there."""
    chosen: list[Any]
    """Updates of its still choices."""
    notice: Any
    """Update of what says that a link leads to something that is not there."""
    shown: list[Any]
    """Updates of its outputs. The first page is shown by its tab, as soon as that is there; they are skipped."""


def opened(pages: Sequence[Page], query: Mapping[str, str], *, is_first: bool = True) -> Opened:
    """Open the page that an address names.

    Args:
        pages: All of them.
        query: Of the address.
        is_first: The page comes with this address; else it is there, and its reader follows a link or goes back.
    """
    wanted = page_name(query)
    page = next((page for page in pages if page.name.lower() == wanted), pages[0])
    still = [choice for choice in page.choices if choice.is_still]
    if is_first:
        # A choice that is not in the address is left alone: its reader may be typing already.
        chosen = [gr.update(value=_read(c, query[c.key])) if c.key in query else gr.skip() for c in still]
    else:
        chosen = [gr.update(value=_read(c, query[c.key]) if c.key in query else _first(c)) for c in still]
    if is_first and page is pages[0]:
        return Opened(page, chosen, gr.skip(), [gr.skip() for _ in page.outputs])
    values = [_read(c, query[c.key]) if c.key in query else _first(c) if c.is_still else None for c in page.choices]
    said, shown = page.answer_link(*values)
    return Opened(page, chosen, link_notice(said), shown)


def _first(choice: Choice) -> Any:
    value = getattr(choice.component, "value", None)
    return value() if callable(value) else value


def _read(choice: Choice, text: str) -> Any:
    """Read the value of a choice from an address; a still one has its first value where it does not offer that."""
    offered = {value for _, value in getattr(choice.component, "choices", None) or ()} if choice.is_still else set()
    if choice.is_several:
        return [value for value in text.split(SEPARATOR) if value and (not offered or value in offered)]
    return getattr(choice.component, "value", None) if offered and text not in offered else text
