"""Every page by axe and by keyboard: with and without data, light and dark, on a desktop, a tablet and a phone.

What a page writes to its console, and whatever goes against its content security policy, fails the test that opened it
(`open_page`); here every page is opened at every size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pytest
from axe import violations

Open = Callable[..., Any]

TABS = (
    *("Leaderboard", "Model", "Categories", "Compare", "Samples"),
    *("Alignment", "Shortcuts", "Changes", "Submit", "About"),
)
DRAWN = ("Categories",)
"""Tabs with a chart, where the store has data."""


class Allowed(NamedTuple):
    """A finding that cannot be mended here."""

    rule: str
    html: str
    """Part of the element that it is about."""
    reason: str


ALLOWED: tuple[Allowed, ...] = ()


def _findings(page: Any) -> list[str]:
    """Run axe on what the page shows; serious and critical findings, one line each."""
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['html'][:160]}"
        for rule in violations(page)
        for node in rule["nodes"]
        if rule["impact"] in ("serious", "critical")
        and not any(item.rule == rule["id"] and item.html in node["html"] for item in ALLOWED)
    ]


QUIET = """() => new Promise((resolve) => {
  let last = performance.now();
  const note = () => { last = performance.now(); };
  const fades = () => document.getAnimations().some(
    (a) => a.playState === "running" && a.effect.getComputedTiming().endTime !== Infinity
  );
  const watch = new MutationObserver(note);
  watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  const look = () => {
    if (fades()) note();
    if (performance.now() - last < 200) { requestAnimationFrame(look); return; }
    watch.disconnect();
    resolve();
  };
  look();
})"""
"""Until nothing has changed for a while: tabs and accordions fade in, and axe measures what is half transparent."""


def _wait_for_chart(page: Any) -> None:
    page.locator(".js-plotly-plot .main-svg").filter(visible=True).first.wait_for()


def _settle(page: Any, tab: str, *, has_data: bool) -> None:
    """Wait until a tab shows what it has, and ask for what it shows on demand."""
    if tab == "Compare" and has_data:
        page.get_by_role("button", name="By category, with the tests").filter(visible=True).click()
    if tab in DRAWN and has_data:
        _wait_for_chart(page)
    if tab == "Alignment":  # the miniature's charts are there without data too
        page.locator(".vls-chart .js-plotly-plot").filter(visible=True).last.wait_for()
        page.locator(".vls-chart .empty").filter(visible=True).first.wait_for(state="detached")
    if tab == "Model" and has_data:
        page.locator(".vls-tiles").filter(visible=True).wait_for()
        page.get_by_text("BibTeX").filter(visible=True).click()
    if tab == "Samples" and has_data:
        page.get_by_role("button", name="Show answers").filter(visible=True).click()
        page.locator(".vls-card").filter(visible=True).first.wait_for()
    if tab == "Leaderboard" and has_data:
        page.get_by_role("button", name="Columns").filter(visible=True).click()
    page.evaluate(QUIET)


LAYOUT_SHIFTS = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => resolve(
    list.getEntries().map((entry) => [entry.value, entry.sources.map((s) => s.node?.className ?? "").join(" ")])
  )).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve([]), 500);
})"""
FITS = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.mark.parametrize(
    ("kind", "size", "theme"),
    [
        # Each size and each theme with data and without; no colour of ours depends on the size.
        ("data", "desktop", "light"),
        ("data", "phone", "dark"),
        ("empty", "desktop", "dark"),
        ("empty", "phone", "light"),
    ],
)
def test_every_page_passes_axe_fits_and_does_not_jump(
    kind: str,
    shared_address: str,
    shared_empty_address: str,
    open_page: Open,
    show_tab: Callable[[Any, str], None],
    theme: Literal["light", "dark"],
    size: str,
) -> None:
    has_data = kind == "data"
    page = open_page(shared_address if has_data else shared_empty_address, theme=theme, size=size)
    page.evaluate(QUIET)
    shifts = page.evaluate(LAYOUT_SHIFTS)
    assert sum(value for value, _ in shifts) <= 0.01, shifts
    found = []
    for tab in TABS:
        if tab != TABS[0]:
            show_tab(page, tab)
        _settle(page, tab, has_data=has_data)
        found += [f"{tab}: {finding}" for finding in _findings(page)]
        found += [] if page.evaluate(FITS) else [f"{tab}: sticks out"]
    assert found == []


def test_every_page_fits_a_tablet(shared_address: str, open_page: Open, show_tab: Callable[[Any, str], None]) -> None:
    page = open_page(shared_address, size="tablet")
    found = []
    for tab in TABS:
        show_tab(page, tab)
        _settle(page, tab, has_data=True)
        found += [] if page.evaluate(FITS) else [f"{tab}: sticks out"]
    assert found == []


FOCUSED = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect();
  const label = at.getAttribute("aria-label") || at.labels?.[0]?.innerText || at.innerText || "";
  return [label.trim().split("\\n")[0], box.x, box.y, box.width, box.height];
}"""


class Stop(NamedTuple):
    """Where the keyboard is."""

    label: str
    box: dict[str, float]


def _stops(page: Any, n: int) -> list[Stop]:
    """Press the tabulator and say where it leads; fails where its reader would not see that."""
    found = []
    for _ in range(n):
        page.keyboard.press("Tab")
        label, x, y, width, height = page.evaluate(FOCUSED)
        box = {"x": max(0, x - 8), "y": max(0, y - 8), "width": width + 16, "height": height + 16}
        found.append(Stop(label, box))
    return found


def _is_seen(page: Any, stop: Stop) -> bool:
    """Say whether what has the focus looks other than without it."""
    focused = page.screenshot(clip=stop.box, animations="disabled")
    page.evaluate("document.activeElement.blur()")
    return bool(focused != page.screenshot(clip=stop.box, animations="disabled"))


FOCUSABLE = (
    ("tab", "Leaderboard"),
    ("button", "Judge openai:judge-2026-01-01"),
    ("link", "Good-VL-8B"),
    ("combobox", "Category"),
    ("textbox", "Search models (several: a; b)"),
    ("button", "Copy link to this view"),
    ("button", "Columns"),
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_keyboard_reaches_tabs_choosers_and_buttons_and_what_it_is_at_looks_so(
    shared_address: str, open_page: Open, show_choosers: Callable[[Any], None], theme: Literal["light", "dark"]
) -> None:
    page = open_page(shared_address, theme=theme)
    show_choosers(page)
    page.evaluate(QUIET)
    unseen = []
    for role, name in FOCUSABLE:
        place = page.get_by_role(role, name=name).filter(visible=True).first
        place.scroll_into_view_if_needed()
        place.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        page.evaluate(QUIET)
        label, x, y, width, height = page.evaluate(FOCUSED)
        assert label.startswith(name)
        box = {"x": max(0, x - 8), "y": max(0, y - 8), "width": width + 16, "height": height + 16}
        if not _is_seen(page, Stop(label, box)):
            unseen.append(name)
    assert unseen == []
    page.evaluate("window.scrollTo(0, 0)")
    page.mouse.click(2, 2)  # the keyboard begins where the pointer was
    reached = [stop.label for stop in _stops(page, 40)]
    for label in (*TABS[:1], "Judge and dataset", "Category", "Search models (several: a; b)", "Sort by"):
        assert label in reached
    assert {"Copy link to this view", "Columns"} <= set(reached)
