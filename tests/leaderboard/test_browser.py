"""The Leaderboard page in a real browser: choices, their address, both themes, a phone, and nothing on the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]
Wait = Callable[..., None]


def _seen(page: Any, selector: str) -> Any:
    """Find what the open tab shows: the tabs opened before stay in the page, hidden."""
    return page.locator(selector).filter(visible=True)


def _models(page: Any) -> list[str]:
    return [text.strip() for text in _seen(page, ".vls-judged tbody .vls-model a").all_inner_texts()]


def _wait_for_models(page: Any, *models: str) -> None:
    for _ in range(100):
        if _models(page) == list(models):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"the table lists {_models(page)}, not {list(models)}")


def test_the_page_opens_with_chart_and_table(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address)
    _wait_for_models(page, "Good-VL-8B", "Poor-VL", "always refuses")
    assert _seen(page, ".vls-bar").count() == 3
    # Plotly is loaded for the charts that need it, which are on other pages.
    assert not page.evaluate("performance.getEntriesByType('resource').some((e) => /plotly/i.test(e.name))")


def test_an_empty_store_opens_with_a_sentence(shared_empty_address: str, open_page: Open) -> None:
    page = open_page(shared_empty_address)
    _seen(page, ".vls-empty").filter(has_text="No submission is in the store yet").wait_for()


def test_a_board_that_began_with_a_category_shows_what_is_new_and_then_opens_on_all_of_them(
    empty_store: Path,
    serve_store: Any,
    open_page: Open,
    load_until: Callable[[Any, str], None],
    show_choosers: Callable[[Any], None],
    write_submission: Callable[..., Path],
) -> None:
    write_submission(empty_store, "new/one", {"model": "One-VL"}, {0: "warning"})
    page = open_page(serve_store(empty_store))
    _wait_for_models(page, "One-VL")
    show_choosers(page)
    assert page.get_by_label("Category", exact=True).filter(visible=True).input_value() == "Privacy"
    write_submission(empty_store, "new/two", {"model": "Two-VL"}, {0: "warning", 1: "unsafe"})
    load_until(page, "Two-VL")
    # The first response too is of the board as it is now.
    assert "Two-VL" in page.request.get(page.url).text().partition("window.gradio_config")[0]
    _seen(page, ".vls-bar").first.wait_for()
    write_submission(empty_store, "new/all", {"model": "All-VL"}, {0: "warning"}, config="default")
    load_until(page, "All-VL")
    _wait_for_models(page, "All-VL")
    show_choosers(page)
    assert page.get_by_label("Category", exact=True).filter(visible=True).input_value() == "Overall"


def test_search_narrows_the_table_while_it_is_typed(
    shared_address: str, open_page: Open, show_choosers: Callable[[Any], None], wait_for: Wait
) -> None:
    page = open_page(shared_address)
    show_choosers(page)
    box = page.get_by_label(MODELS)
    box.press_sequentially("poor", delay=40)
    _wait_for_models(page, "Poor-VL", "always refuses")
    assert box.input_value() == "poor"
    wait_for(page, lambda: page.url.rpartition("&")[2], "q=poor")


MODELS = "Search models (several: a; b)"
DICTATE = """(box, text) => {
  Object.getOwnPropertyDescriptor(box.constructor.prototype, "value").set.call(box, text);
  box.dispatchEvent(new Event("change", { bubbles: true }));
}"""
"""As some tools fill in a box: no key, and one event when they are done."""


def test_every_search_box_follows_what_is_pasted_dictated_or_cut(
    shared_address: str,
    open_page: Open,
    show_choosers: Callable[[Any], None],
    show_tab: Callable[[Any, str], None],
    wait_for: Wait,
) -> None:
    page = open_page(shared_address, address="category=Privacy")
    show_choosers(page)
    none = page.get_by_text("None of its 130 samples fits your choice.").filter(visible=True)
    every = page.get_by_text("130 of its 130 samples fit your choice").filter(visible=True)

    def drawn() -> list[str]:
        charts = _seen(page, ".js-plotly-plot")
        return [name for name in ("Good-VL-8B", "Poor-VL") if charts.filter(has_text=name).count()]

    answer = "Sample id, or words of the answer"
    both = ["Good-VL-8B", "Poor-VL"]
    boxes: tuple[tuple[str, str, str, Callable[[], object], object, object, object], ...] = (
        (
            "Leaderboard",
            MODELS,
            "good",
            lambda: _models(page),
            [*both, "always refuses"],
            ["Poor-VL", "always refuses"],
            ["Good-VL-8B", "always refuses"],
        ),
        ("Categories", MODELS, "good", drawn, both, ["Poor-VL"], ["Good-VL-8B"]),
        ("Samples", answer, "answer", lambda: (none.count(), every.count()), (0, 1), (1, 0), (0, 1)),
    )
    for tab, label, other, read, at_first, for_poor, for_other in boxes:
        show_tab(page, tab)
        wait_for(page, read, at_first)
        box = page.get_by_label(label).filter(visible=True)
        box.focus()
        page.keyboard.insert_text("poor")  # what a paste and an input method send: no key
        wait_for(page, read, for_poor)
        wait_for(page, lambda: "q=poor" in page.url, True)
        box.evaluate(DICTATE, other)
        wait_for(page, read, for_other)
        box.press("ControlOrMeta+a")
        box.press("ControlOrMeta+x")
        wait_for(page, lambda: "q=" in page.url, False)


def test_a_link_shows_what_its_sender_saw(
    shared_address: str, open_page: Open, pick: Callable[..., None], show_choosers: Callable[[Any], None]
) -> None:
    page = open_page(shared_address)
    pick(page, "Weights", "closed")
    _wait_for_models(page, "Poor-VL", "always refuses")
    pick(page, "Sort by", "safe rate")
    _wait_for_models(page, "always refuses", "Poor-VL")
    shared = page.url.split("?", 1)[1].replace("__theme=light&", "")
    assert shared == "category=Privacy&weights=closed&sort=safe+rate"
    other = open_page(shared_address, address=shared)
    _wait_for_models(other, "always refuses", "Poor-VL")
    show_choosers(other)
    other.wait_for_function("document.querySelector('input[aria-label=\"Sort by\"]')?.value === 'safe rate'")
    assert other.get_by_label("Weights", exact=True).input_value() == "closed"


def test_a_link_to_another_tab_opens_it(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address, address="tab=about")
    page.get_by_role("heading", name="How a number is made").filter(visible=True).wait_for()


def test_what_is_chosen_while_the_page_loads_is_not_taken_for_its_link(
    shared_address: str, open_page: Open, show_choosers: Callable[[Any], None]
) -> None:
    # A choice rewrites the address; on a slow machine gradio's load event is sent with the new one.
    page = open_page(shared_address, address="tab=about")
    sent: list[str] = []

    def send_late(route: Any) -> None:
        sent.append(route.request.url)
        route.continue_(url=f"{route.request.url.split('?', 1)[0]}?category=Privacy&q=p")

    page.route("**/gradio_api/run/predict*", send_late)
    page.reload()
    page.get_by_role("heading", name="How a number is made").filter(visible=True).wait_for()
    page.locator("#vls-first").wait_for(state="detached")
    page.get_by_role("tab", name="Leaderboard").click()
    show_choosers(page)
    box = page.get_by_label("Search models (several: a; b)").filter(visible=True)
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
    _seen(page, ".vls-judged").first.wait_for()


def _heads(page: Any) -> list[str]:
    found = _seen(page, ".vls-judged thead th button")
    return [text.strip().replace("\N{NO-BREAK SPACE}", " ") for text in found.all_text_contents()]


def test_columns_are_a_choice_that_is_remembered(shared_address: str, open_page: Open, wait_for: Wait) -> None:
    page = open_page(shared_address, address="columns=Safe+%25~Rubric")
    wait_for(page, lambda: _heads(page), ["Rank\u2191", "Model", "Safe %", "Rubric"])
    page.get_by_role("button", name="Columns").filter(visible=True).click()
    page.get_by_label("Flags", exact=True).filter(visible=True).check()
    wait_for(page, lambda: _heads(page), ["Rank\u2191", "Model", "Safe %", "Rubric", "Flags"])
    page.goto(f"{shared_address}/?sort=unsafe")
    wait_for(page, lambda: _heads(page), ["Rank", "Model", "Safe %", "Rubric", "Flags"])


def test_a_header_sorts_by_number_and_chart_and_address_follow(
    shared_address: str, open_page: Open, wait_for: Wait
) -> None:
    page = open_page(shared_address)
    head = _seen(page, ".vls-judged thead th:nth-of-type(4)")
    cells = _seen(page, ".vls-judged tbody td.vls-number:nth-of-type(3)")
    cells.first.wait_for()

    def rates() -> list[str]:
        return [text.split()[0] for text in cells.all_inner_texts()]

    # As text, 100.0 would come before 75.4.
    for order, expected in (("descending", ["100.0", "75.4", "3.8"]), ("ascending", ["3.8", "75.4", "100.0"])):
        head.get_by_role("button").click()
        wait_for(page, rates, expected)
        assert head.get_attribute("aria-sort") == order
        wait_for(page, lambda: page.url.rpartition("&")[2], f"sort=Safe+%25+{order}")
        # The keyboard stays where it was.
        wait_for(page, lambda: page.evaluate("document.activeElement.dataset.column"), "Safe %")
    page.reload()
    wait_for(page, rates, ["3.8", "75.4", "100.0"])
    assert head.get_attribute("aria-sort") == "ascending"


def test_ticked_models_are_compared_and_stay_ticked_while_the_list_is_sorted(
    shared_address: str, open_page: Open, wait_for: Wait
) -> None:
    page = open_page(shared_address)
    link = _seen(page, ".vls-judged .vls-chosen a")
    for name in ("Good-VL-8B", "Poor-VL"):
        assert link.get_attribute("href") is None
        page.get_by_label(f"Compare {name}", exact=True).filter(visible=True).check()
    _seen(page, ".vls-judged thead th button").filter(has_text="Unsafe").click()
    wait_for(page, lambda: _models(page), ["Poor-VL", "Good-VL-8B", "always refuses"])
    assert page.get_by_label("Compare Poor-VL", exact=True).filter(visible=True).is_checked()
    link.click()
    page.get_by_text("is safer than").filter(visible=True).first.wait_for()


LINKS: tuple[tuple[str, str], ...] = (
    ("tab=gone", "There is no page “gone” on this board"),
    ("category=Gone&list=gone", "the list “gone”; the category “Gone”"),
    ("tab=samples&category=Privacy&submission=acme/gone", "the submission “acme/gone”"),
    ("tab=compare&category=Privacy&models=acme/good~acme/gone", "the model “acme/gone”"),
    ("tab=compare&category=Privacy&models=acme/good~acme/poor~acme/gone", "the model “acme/gone”"),
    ("tab=submit&id=gone", "There is no submission 'gone' here"),
)


@pytest.mark.parametrize(("address", "said"), LINKS)
def test_a_link_to_what_is_not_there_says_so_and_shows_no_other(
    shared_address: str, open_page: Open, address: str, said: str
) -> None:
    page = open_page(shared_address, address=address)
    page.get_by_text(said).filter(visible=True).first.wait_for()
    for of_another in ("fit your choice", "is safer than"):
        assert page.get_by_text(of_another).filter(visible=True).count() == 0
    for of_its_samples in ("How they differ", "Verdict"):  # choosers with nothing to choose from
        assert page.get_by_label(of_its_samples, exact=True).filter(visible=True).count() == 0


def test_another_list_is_shown_when_it_is_chosen(
    shared_address: str, open_page: Open, pick: Callable[..., None]
) -> None:
    page = open_page(shared_address)
    _wait_for_models(page, "Good-VL-8B", "Poor-VL", "always refuses")
    pick(page, "Judge and dataset", "other-2026-02-02")
    _wait_for_models(page, "Good-VL-8B")
    assert page.get_by_text("openai:other-2026-02-02", exact=True).first.is_visible()


def test_printed_rows_are_a_list_of_their_own_without_categories(
    shared_address: str, open_page: Open, pick: Callable[..., None]
) -> None:
    page = open_page(shared_address, address="list=paper&category=Overall")
    _seen(page, ".vls-printed").get_by_text("Printed-VL-7B").first.wait_for()
    assert _seen(page, ".vls-judged .vls-model").count() == 0
    pick(page, "Category", "Privacy")
    page.get_by_text("The paper prints no numbers per category").filter(visible=True).first.wait_for()
    _seen(page, ".vls-printed table").first.wait_for(state="detached")


def test_the_board_downloads_as_csv(shared_address: str, open_page: Open, show_tab: Callable[[Any, str], None]) -> None:
    page = open_page(shared_address)
    show_tab(page, "About")
    with page.expect_download() as download:
        page.get_by_text("Board as CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("scope,origin,rank,model")
    assert "Good-VL-8B" in text


def _tab(page: Any) -> str:
    return str(page.locator("[role=tab][aria-selected=true]").filter(visible=True).first.inner_text())


def test_back_takes_back_a_choice_a_tab_and_a_link_and_nothing_is_loaded_again(
    shared_address: str, open_page: Open, pick: Callable[..., None], wait_for: Wait
) -> None:
    page = open_page(shared_address)
    page.evaluate("window.isSame = true")
    line = page.locator(".vls-line > button")

    def state() -> tuple[str, str]:
        return page.url.rpartition("__theme=light")[2], _tab(page)

    pick(page, "Weights", "closed")
    _wait_for_models(page, "Poor-VL", "always refuses")
    page.get_by_role("tab", name="About").click()
    wait_for(page, state, ("&tab=about", "About"))
    page.go_back()
    wait_for(page, state, ("&category=Privacy&weights=closed", "Leaderboard"))
    assert line.inner_text().splitlines()[0].endswith("· Privacy · 1 filter")
    page.go_back()
    wait_for(page, state, ("", "Leaderboard"))
    _wait_for_models(page, "Good-VL-8B", "Poor-VL", "always refuses")
    _seen(page, ".vls-bar-name a").first.click()
    wait_for(page, lambda: _tab(page), "Model")
    page.get_by_role("heading", name="Good-VL-8B").filter(visible=True).first.wait_for()
    page.go_back()
    wait_for(page, state, ("", "Leaderboard"))
    page.go_forward()
    wait_for(page, lambda: _tab(page), "Model")
    assert page.evaluate("window.isSame")


def test_a_word_that_is_typed_is_one_step(
    shared_address: str, open_page: Open, show_choosers: Callable[[Any], None], wait_for: Wait
) -> None:
    page = open_page(shared_address)
    show_choosers(page)
    box = page.get_by_label(MODELS).filter(visible=True)
    box.press_sequentially("poor", delay=60)
    _wait_for_models(page, "Poor-VL", "always refuses")
    wait_for(page, lambda: "q=poor" in page.url, True)
    page.go_back()
    _wait_for_models(page, "Good-VL-8B", "Poor-VL", "always refuses")
    wait_for(page, box.input_value, "")


def test_a_chip_takes_one_choice_back(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address, address="weights=closed&sort=safe+rate")
    _wait_for_models(page, "always refuses", "Poor-VL")
    page.get_by_role("link", name="Take back weights: closed").click()
    _wait_for_models(page, "always refuses", "Good-VL-8B", "Poor-VL")
    assert page.url.endswith("sort=safe+rate")


@pytest.mark.parametrize("size", ["phone", "laptop"])
def test_the_answer_stands_on_the_first_screen(shared_address: str, open_page: Open, size: str) -> None:
    page = open_page(shared_address, size=size)
    boxes = [box.bounding_box() for box in _seen(page, ".vls-bar").all()]
    assert boxes[0]["y"] < 500
    # Five bars on a small laptop: this store has three, so where the fifth would end.
    height = boxes[1]["y"] - boxes[0]["y"]
    assert size == "phone" or boxes[0]["y"] + 5 * height < 720
    shifts = page.evaluate("""() => new Promise((resolve) => {
      new PerformanceObserver((list) => resolve(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
        .observe({ type: "layout-shift", buffered: true });
      setTimeout(() => resolve(0), 500);
    })""")
    assert shifts <= 0.01


def test_a_citation_is_copied_with_the_boards_own_address(shared_address: str, open_page: Open) -> None:
    page = open_page(shared_address)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text("Download, cite, call or embed this view").click()
    said = page.get_by_label("Cite", exact=True)
    said.get_by_text(f"howpublished = {{{shared_address}/}}").wait_for()  # the page's script writes its address
    page.get_by_role("button", name="Copy: Cite").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == said.inner_text()
