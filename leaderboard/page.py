"""What a page is: choices that stand in its address, and outputs that follow from them.

A page's whole state is the values of its choices, so a link shares what its sender saw, a reload keeps it, and the
server remembers nothing of a reader. Rule of the room: no number, no sentence of a page; only how pages hang together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component

__all__ = ["SCRIPT", "Choice", "Page", "filled", "follow", "make_link_button", "only", "opened", "script_arguments"]

_SEPARATOR = "~"
"""Between the values of a choice of several; no name of ours has it."""

SCRIPT = """
<script>
// The query that the page was opened with; what is chosen changes the address before gradio's load event reads it.
const vlsOpened = window.location.search;
// The same, until the first tab has been shown.
let vlsFirst = new URLSearchParams(vlsOpened);
// Kept when gradio's load event comes, which is once every component is there. What hides a component before would put
// that event off for ever; after ten seconds (a file of gradio's that does not come) the tab is shown anyway.
let vlsLoad;
const vlsLoaded = new Promise((resolve) => {
  vlsLoad = () => { resolve(); return [vlsOpened]; };
  setTimeout(resolve, 10000);
});

function vlsWords(value) {
  const text = Array.isArray(value) ? value.join("SEPARATOR") : value ?? "";
  return text === "all" ? "" : text;
}

// A choice was made: write what differs from the first view into the address, also into that of a Space around it.
function vlsChoose(page, keys, firsts, values) {
  vlsFirst = null;
  const query = new URLSearchParams();
  const theme = new URLSearchParams(window.location.search).get("__theme");
  if (theme) query.set("__theme", theme);
  if (page !== "leaderboard") query.set("tab", page);
  keys.forEach((key, place) => {
    const text = vlsWords(values[place]);
    if (text !== vlsWords(firsts[place])) query.set(key, text);
  });
  window.history.replaceState(null, "", query.size ? "?" + query.toString() : window.location.pathname);
  if (window.parent !== window) window.parent.postMessage({ queryString: query.toString() }, "https://huggingface.co");
  return values;
}

// A tab is shown: the one that is shown while the page opens, with the choices of the address.
async function vlsShow(page, keys, firsts, values) {
  await vlsLoaded;
  if (vlsFirst === null) return vlsChoose(page, keys, firsts, values);
  const query = vlsFirst;
  vlsFirst = null;
  if ((query.get("tab") ?? "leaderboard") !== page) return values;
  return keys.map((key, place) => {
    // null is what is first now; what was first when the server began may be gone.
    if (!query.has(key)) return null;
    return Array.isArray(firsts[place]) ? query.get(key).split("SEPARATOR").filter(Boolean) : query.get(key);
  });
}
</script>
""".replace("SEPARATOR", _SEPARATOR)
"""Keeps the choices of a page and its address the same."""


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
    return json.dumps([page.name.lower(), [choice.key for choice in page.choices], _firsts(page)])[1:-1]


def follow(page: Page, tab: gr.Tab, refresh: Callable[[], bool]) -> None:
    """Show what the reader chooses, and what there is when the tab is opened.

    Args:
        refresh: Reads the store again; whether it is another than the one that the page was filled with.
    """
    components = [choice.component for choice in page.choices]
    firsts = _firsts(page)
    fixed = script_arguments(page)
    how: dict[str, Any] = {
        "inputs": components,
        "outputs": list(page.outputs),
        "preprocess": False,  # `show` answers for values that are gone; gradio would end in an error
        "show_progress": "hidden",
        "queue": False,
        "api_visibility": "private",
    }

    def open_tab(*values: Any) -> list[Any]:
        if (
            not refresh()
            and page.is_filled
            and all(value is None or value == first for value, first in zip(values, firsts, strict=True))
        ):
            return [gr.skip() for _ in page.outputs]
        return page.show(*values)

    tab.select(open_tab, js=f"(...values) => vlsShow({fixed}, values)", **how)
    for component in components:
        listen = component.input  # type: ignore[attr-defined]  # every component that is a choice has it
        listen(page.show, js=f"(...values) => vlsChoose({fixed}, values)", trigger_mode="always_last", **how)


def opened(pages: Sequence[Page], query: Mapping[str, str]) -> tuple[Page, list[Any], list[Any]]:
    """Open the page that an address names.

    Returns:
        The page (the first where none is named), the updates of its still choices, and those of its outputs. The
        first page is shown by its tab, as soon as that is there; its outputs are skipped.
    """
    wanted = query.get("tab", "").lower()
    page = next((page for page in pages if page.name.lower() == wanted), pages[0])
    still = [choice for choice in page.choices if choice.is_still]
    # A choice that is not in the address is left alone: its reader may be typing already.
    chosen = [gr.update(value=_read(c, query[c.key])) if c.key in query else gr.skip() for c in still]
    if page is pages[0]:
        return page, chosen, [gr.skip() for _ in page.outputs]
    values = [_read(c, query[c.key]) if c.key in query else getattr(c.component, "value", None) for c in page.choices]
    return page, chosen, page.show(*values)


def _read(choice: Choice, text: str) -> Any:
    """Read the value of a choice from an address; a still one has its first value where it does not offer that."""
    offered = {value for _, value in getattr(choice.component, "choices", None) or ()} if choice.is_still else set()
    if choice.is_several:
        return [value for value in text.split(_SEPARATOR) if value and (not offered or value in offered)]
    return getattr(choice.component, "value", None) if offered and text not in offered else text
