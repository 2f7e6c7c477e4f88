"""The served board in a real browser: every tab, both themes, a phone, and nothing on the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip("/usr/bin/chromium is not installed (apt-get install chromium)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")

TABS = ("Overall", "Violent", "Illegal Activity", "Self-Harm", "Erotic", "Hate", "Privacy", "About")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

Open = Callable[..., Any]
"""Opens a page of the served board."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Open pages; at the end, fail where one wrote an error or asked another host for anything."""
    found: list[str] = []
    contexts = []

    def note(message: Any) -> None:
        if message.type in ("error", "warning"):
            found.append(f"console: {message.text}")

    def watch(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            found.append(f"another host: {request.url}")

    def open_it(url: str, size: dict[str, int], theme: str = "light") -> Any:
        context = browser.new_context(viewport=size)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: found.append(f"page: {error}"))
        page.on("request", watch)
        page.goto(f"{url}/?__theme={theme}")
        page.get_by_role("heading", name="VLSBench", exact=True).wait_for()
        return page

    yield open_it
    for context in contexts:
        for page in context.pages:
            page.wait_for_timeout(100)  # what was written until now is handed over
    written = list(found)
    for context in contexts:
        context.close()  # breaks off what is still loading, which the page then reports
    assert written == []


def _show(page: Any, tab: str) -> None:
    """Open a tab: by its button, or by the menu of those that a narrow page has no room for."""
    more = page.get_by_role("button", name="More tabs")
    for _ in range(100):
        if (button := page.get_by_role("tab", name=tab, exact=True).first).is_visible():
            button.click()
            return
        if more.is_visible():
            more.click()
            page.locator(".overflow-dropdown").get_by_text(tab, exact=True).click()
            return
        page.wait_for_timeout(100)
    pytest.fail(f"no tab {tab!r}")


def _seen(page: Any, selector: str) -> Any:
    """Find what the open tab shows: the tabs opened before stay in the page, hidden."""
    return page.locator(selector).filter(visible=True)


def _hides_nothing_at_the_side(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab_opens_without_an_error_or_a_request_to_another_host(
    open_page: Open, address: str, theme: str
) -> None:
    page = open_page(address, DESKTOP, theme)
    for tab in TABS:
        _show(page, tab)
        if tab == "About":
            page.get_by_role("heading", name="How a number is made").wait_for()
        elif tab == "Privacy":
            _seen(page, ".vls-judged").get_by_text("Good-VL-8B").first.wait_for()
            page.locator(".vls-chart .js-plotly-plot .barlayer .point").first.wait_for(state="attached")
        else:
            _seen(page, ".vls-empty").wait_for()


def test_an_empty_store_opens_with_sentences(open_page: Open, empty_address: str) -> None:
    page = open_page(empty_address, DESKTOP)
    for tab in TABS[:-1]:
        _show(page, tab)
        _seen(page, ".vls-empty").filter(has_text="No submission is in the store yet").wait_for()


def test_search_narrows_the_table(open_page: Open, address: str) -> None:
    page = open_page(address, DESKTOP)
    _show(page, "Privacy")
    table = _seen(page, ".vls-judged")
    rows = table.locator("[role=gridcell][data-col='1']")
    rows.first.wait_for()
    assert rows.count() == 3
    table.locator("input.search-input").fill("poor")
    table.get_by_text("Good-VL-8B").first.wait_for(state="detached")
    assert [text.strip() for text in rows.all_inner_texts()] == ["Poor-VL"]


def test_a_column_sorts_by_number(open_page: Open, address: str) -> None:
    page = open_page(address, DESKTOP)
    _show(page, "Privacy")
    heading = _seen(page, ".vls-judged [data-heading='2']")
    cells = _seen(page, ".vls-judged [role=gridcell][data-col='2']")
    cells.first.wait_for()
    for order, is_reversed in (("ascending", False), ("descending", True)):
        heading.get_by_role("button", name="Open cell menu").click()
        page.get_by_role("menuitem", name=f"Sort {order}").click()
        heading.get_by_label(f"Sorted {order}").wait_for()
        rates = [float(text) for text in cells.all_inner_texts()]
        assert rates == sorted(rates, reverse=is_reversed)
    assert max(rates) == 100  # as text, 100.0 would come before 75.4


def test_another_list_is_shown_when_it_is_chosen(open_page: Open, address: str) -> None:
    page = open_page(address, DESKTOP)
    _show(page, "Privacy")
    rows = _seen(page, ".vls-judged [role=gridcell][data-col='1']")
    rows.first.wait_for()
    page.get_by_label("List (rows of two lists are not comparable)").click()
    page.get_by_role("option").filter(has_text="other-2026-02-02").click()
    _seen(page, ".vls-judged").get_by_text("Poor-VL").first.wait_for(state="detached")
    assert [text.strip() for text in rows.all_inner_texts()] == ["Good-VL-8B"]
    assert page.get_by_text("openai:other-2026-02-02", exact=True).first.is_visible()


def test_printed_rows_are_on_the_overall_tab_only(open_page: Open, address: str) -> None:
    page = open_page(address, DESKTOP)
    page.locator(".vls-printed").get_by_text("Printed-VL-7B").first.wait_for()
    _show(page, "Privacy")
    _seen(page, ".vls-judged").get_by_text("Good-VL-8B").first.wait_for()
    assert page.get_by_text("Printed-VL-7B").filter(visible=True).count() == 0
    assert page.get_by_text("The paper prints no numbers per category").first.is_visible()


def test_a_new_submission_is_there_at_the_next_load(
    open_page: Open, address: str, store: Path, write_submission: Callable[..., Path]
) -> None:
    write_submission(store, "new/one", {"model": "New-VL"}, {0: "warning"})
    page = open_page(address, DESKTOP)
    _show(page, "Privacy")
    _seen(page, ".vls-judged").get_by_text("New-VL").first.wait_for()
    page.locator(".vls-chart .js-plotly-plot .barlayer .point").first.wait_for(state="attached")


def test_the_board_downloads_as_csv(open_page: Open, address: str) -> None:
    page = open_page(address, DESKTOP)
    _show(page, "About")
    with page.expect_download() as download:
        page.get_by_text("Board as CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("scope,origin,rank,model")
    assert "Good-VL-8B" in text


def test_a_phone_shows_every_tab_without_scrolling_sideways(open_page: Open, address: str) -> None:
    page = open_page(address, PHONE)
    for tab in ("Overall", "Privacy", "About"):
        _show(page, tab)
        page.wait_for_timeout(800)
        assert _hides_nothing_at_the_side(page), tab
        for chart in page.locator(".vls-chart .main-svg").all():
            assert (chart.bounding_box() or {"width": 0})["width"] <= PHONE["width"]
