"""The Leaderboard page in a real browser: choices, their address, both themes, a phone, and nothing on the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]
TABS = ("Leaderboard", "About")


def _seen(page: Any, selector: str) -> Any:
    """Find what the open tab shows: the tabs opened before stay in the page, hidden."""
    return page.locator(selector).filter(visible=True)


def _models(page: Any) -> list[str]:
    return [text.strip() for text in _seen(page, ".vls-judged [role=gridcell][data-col='1']").all_inner_texts()]


def _wait_for_models(page: Any, *models: str) -> None:
    for _ in range(100):
        if _models(page) == list(models):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"the table lists {_models(page)}, not {list(models)}")


def _hides_nothing_at_the_side(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_opens_with_chart_and_table(shared_address: str, open_page: Open, theme: str) -> None:
    page = open_page(shared_address, theme=theme)
    _wait_for_models(page, "Good-VL-8B", "Poor-VL", "always refuses")
    _seen(page, ".vls-chart .js-plotly-plot").locator(".barlayer .point").first.wait_for(state="attached")


@pytest.mark.parametrize("is_phone", [False, True], ids=["desktop", "phone"])
def test_every_tab_opens_and_nothing_sticks_out(
    shared_address: str, open_page: Open, show_tab: Callable[[Any, str], None], is_phone: bool
) -> None:
    page = open_page(shared_address, is_phone=is_phone)
    for tab in TABS:
        show_tab(page, tab)
        page.wait_for_timeout(800)
        assert _hides_nothing_at_the_side(page), tab


def test_an_empty_store_opens_with_a_sentence(shared_empty_address: str, open_page: Open) -> None:
    page = open_page(shared_empty_address)
    _seen(page, ".vls-empty").filter(has_text="No submission is in the store yet").wait_for()


def test_a_board_that_began_empty_opens_where_its_first_submissions_are(
    empty_address: str,
    empty_store: Path,
    open_page: Open,
    load_until: Callable[[Any, str], None],
    write_submission: Callable[..., Path],
) -> None:
    write_submission(empty_store, "new/one", {"model": "New-VL"}, {0: "warning"})
    page = open_page(empty_address)
    load_until(page, "New-VL")
    _wait_for_models(page, "New-VL")
    assert page.get_by_label("Category", exact=True).filter(visible=True).input_value() == "Privacy"


def test_a_board_that_began_with_a_category_opens_on_all_of_them_once_they_are_there(
    empty_store: Path,
    serve_store: Any,
    open_page: Open,
    load_until: Callable[[Any, str], None],
    write_submission: Callable[..., Path],
) -> None:
    write_submission(empty_store, "new/one", {"model": "One-VL"}, {0: "warning"})
    url = serve_store(empty_store)
    write_submission(empty_store, "new/all", {"model": "All-VL"}, {0: "warning"}, config="default")
    page = open_page(url)
    load_until(page, "All-VL")
    _wait_for_models(page, "All-VL")
    assert page.get_by_label("Category", exact=True).filter(visible=True).input_value() == "Overall"


def test_search_narrows_the_table_while_it_is_typed(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address)
    box = page.get_by_label("Search models (several: a; b)")
    box.press_sequentially("poor", delay=40)
    _wait_for_models(page, "Poor-VL", "always refuses")
    assert box.input_value() == "poor"
    assert page.url.endswith("q=poor")


def test_a_link_shows_what_its_sender_saw(shared_address: str, open_page: Open, pick: Callable[..., None]) -> None:
    page = open_page(shared_address)
    pick(page, "Weights", "closed")
    _wait_for_models(page, "Poor-VL", "always refuses")
    pick(page, "Sort by", "safe rate")
    _wait_for_models(page, "always refuses", "Poor-VL")
    shared = page.url.split("?", 1)[1].replace("__theme=light&", "")
    assert shared == "category=Privacy&weights=closed&sort=safe+rate"
    other = open_page(shared_address, address=shared)
    _wait_for_models(other, "always refuses", "Poor-VL")
    # Filled by another answer than the table.
    other.wait_for_function("document.querySelector('input[aria-label=\"Sort by\"]')?.value === 'safe rate'")
    assert other.get_by_label("Weights").input_value() == "closed"


def test_a_link_to_another_tab_opens_it(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address, address="tab=about")
    page.get_by_role("heading", name="How a number is made").filter(visible=True).wait_for()


def test_what_is_chosen_while_the_page_loads_is_not_taken_for_its_link(shared_address: str, open_page: Open) -> None:
    # A choice rewrites the address; on a slow machine gradio's load event is sent with the new one.
    page = open_page(shared_address, address="tab=about")
    sent: list[str] = []

    def send_late(route: Any) -> None:
        sent.append(route.request.url)
        route.continue_(url=f"{route.request.url.split('?', 1)[0]}?category=Privacy&q=p")

    page.route("**/gradio_api/run/predict*", send_late)
    page.reload()
    page.get_by_role("heading", name="How a number is made").filter(visible=True).wait_for()
    page.get_by_role("tab", name="Leaderboard").click()
    box = page.get_by_label("Search models (several: a; b)")
    box.wait_for()
    assert sent
    assert box.input_value() == ""


def test_a_link_opens_its_tab_where_a_script_comes_late(shared_address: str, open_page: Open) -> None:
    # What the first tab hides before all of the page is there would hold gradio's load event back for ever.
    page = open_page(shared_address, address="tab=about")
    late: list[str] = []

    def send_late(route: Any) -> None:
        late.append(route.request.url)
        page.wait_for_timeout(1200)
        route.continue_()

    page.route("**/assets/HTML-*.js", send_late)
    page.reload()
    page.get_by_role("heading", name="How a number is made").filter(visible=True).wait_for()
    assert late


@pytest.mark.parametrize("query", ["list=gone&category=gone&rows=-1&columns=~~&sort=%3Cb%3E", "tab=gone", "q=%00%F0"])
def test_an_address_that_makes_no_sense_shows_the_board(shared_address: str, open_page: Open, query: str) -> None:
    page = open_page(shared_address, address=query)
    _seen(page, ".vls-judged").wait_for()


def test_columns_are_a_choice(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address, address="columns=Safe+%25~Rubric")
    headings = _seen(page, ".vls-judged [role=columnheader]")
    headings.filter(has_text="Rubric").wait_for()
    assert [text.strip().split("\n")[0] for text in headings.all_inner_texts()] == ["Rank", "Model", "Safe %", "Rubric"]


def test_a_column_sorts_by_number(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address)
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


def test_another_list_is_shown_when_it_is_chosen(
    shared_address: str, open_page: Open, pick: Callable[..., None]
) -> None:
    page = open_page(shared_address)
    _wait_for_models(page, "Good-VL-8B", "Poor-VL", "always refuses")
    pick(page, "Judge and dataset", "other-2026-02-02")
    _wait_for_models(page, "Good-VL-8B")
    assert page.get_by_text("openai:other-2026-02-02", exact=True).first.is_visible()


def test_printed_rows_stand_beside_the_overall_list_only(
    shared_address: str, open_page: Open, pick: Callable[..., None]
) -> None:
    page = open_page(shared_address)
    page.locator(".vls-printed").get_by_text("Printed-VL-7B").first.wait_for()
    pick(page, "Category", "Privacy")
    page.get_by_text("The paper prints no numbers per category").first.wait_for()
    _seen(page, ".vls-printed").first.wait_for(state="detached")


def test_a_new_submission_is_there_at_the_next_load(
    address: str,
    store: Path,
    open_page: Open,
    load_until: Callable[[Any, str], None],
    write_submission: Callable[..., Path],
) -> None:
    write_submission(store, "new/one", {"model": "New-VL"}, {0: "warning"})
    page = open_page(address)
    load_until(page, "New-VL")
    page.locator(".vls-chart .js-plotly-plot .barlayer .point").first.wait_for(state="attached")


def test_the_board_downloads_as_csv(shared_address: str, open_page: Open, show_tab: Callable[[Any, str], None]) -> None:
    page = open_page(shared_address)
    show_tab(page, "About")
    with page.expect_download() as download:
        page.get_by_text("Board as CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("scope,origin,rank,model")
    assert "Good-VL-8B" in text
