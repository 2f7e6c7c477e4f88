"""Answers that arrive in another order than they were asked for: what was asked last is shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("gradio", reason="gradio is not installed (pip install 'vlsbench[leaderboard]')")

from leaderboard.order import SAME

Open = Callable[..., Any]
Wait = Callable[..., None]
Pick = Callable[..., None]
EVENT = "**/run/predict*"


class Held:
    """Answers of the server that the test hands over when it wants to."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._routes: list[tuple[Any, Any]] = []

    def hold(self, route: Any) -> None:
        """Let the server answer, and keep what it says; what asks for nothing passes."""
        if SAME in route.request.post_data:
            route.continue_()
            return
        self._routes.append((route, route.fetch()))

    def wait(self, n_answers: int) -> None:
        """Wait until so many answers are held."""
        for _ in range(200):
            if len(self._routes) >= n_answers:
                return
            self._page.wait_for_timeout(50)
        pytest.fail(f"{len(self._routes)} answers are held, not {n_answers}")

    def hand_over(self, place: int) -> None:
        """Give the browser one of them, by its place among those that are left, and let it show that."""
        route, answer = self._routes.pop(place)
        route.fulfill(response=answer)
        self._page.wait_for_timeout(300)


@contextmanager
def held(page: Any) -> Any:
    """Hold the answers to what is done within."""
    found = Held(page)
    page.route(EVENT, found.hold)
    try:
        yield found
    finally:
        page.unroute(EVENT, found.hold)


def _models(page: Any) -> list[str]:
    names = page.locator(".vls-judged tbody .vls-model a").filter(visible=True)
    return [text.strip() for text in names.all_inner_texts()]


def _state(page: Any) -> tuple[str, str]:
    tab = page.locator("[role=tab][aria-selected=true]").filter(visible=True).first.inner_text()
    return page.url.rpartition("__theme=light")[2], str(tab)


def _weights(page: Any) -> str:
    return str(page.get_by_label("Weights", exact=True).filter(visible=True).input_value())


ALL = ["Good-VL-8B", "Poor-VL", "always refuses"]
OPEN = ["Good-VL-8B", "always refuses"]
CLOSED = ["Poor-VL", "always refuses"]
OPEN_ADDRESS = "&category=Privacy&weights=open"


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_two_choices_the_later_is_shown_whichever_answer_comes_first(
    shared_address: str, open_page: Open, pick: Pick, wait_for: Wait, newest_first: bool
) -> None:
    page = open_page(shared_address)
    with held(page) as answers:
        pick(page, "Weights", "closed")
        answers.wait(1)
        pick(page, "Weights", "open")
        answers.wait(2)
        answers.hand_over(1 if newest_first else 0)
        # Of the older answer nothing is shown in between: its chooser would take back what was chosen since.
        wait_for(page, lambda: (_models(page), _weights(page)), (OPEN if newest_first else ALL, "open"))
        answers.hand_over(0)
        wait_for(page, lambda: (_models(page), _weights(page)), (OPEN, "open"))
    assert _state(page) == (OPEN_ADDRESS, "Leaderboard")


def test_the_answer_to_a_tab_does_not_come_over_what_is_chosen_on_it_meanwhile(
    shared_address: str, open_page: Open, pick: Pick, wait_for: Wait
) -> None:
    page = open_page(shared_address, address="weights=closed")
    wait_for(page, lambda: _models(page), CLOSED)
    page.get_by_role("tab", name="About").click()
    wait_for(page, lambda: _state(page), ("&tab=about", "About"))
    with held(page) as answers:
        page.get_by_role("tab", name="Leaderboard").click()
        answers.wait(1)
        pick(page, "Weights", "open")
        answers.wait(2)
        answers.hand_over(1)
        wait_for(page, lambda: _models(page), OPEN)
        answers.hand_over(0)
        assert (_models(page), _weights(page)) == (OPEN, "open")
    assert _state(page) == (OPEN_ADDRESS, "Leaderboard")


def test_a_tab_that_is_opened_again_before_its_first_answer_is_the_one_of_the_address(
    shared_address: str, open_page: Open, wait_for: Wait
) -> None:
    page = open_page(shared_address)
    with held(page) as answers:
        for number, tab in enumerate(("Compare", "Categories", "Compare"), 1):
            page.get_by_role("tab", name=tab).click()
            answers.wait(number)
        answers.hand_over(2)
        answers.hand_over(0)
        answers.hand_over(0)
    wait_for(page, lambda: _state(page), ("&tab=compare", "Compare"))
    page.get_by_role("region", name="Differences of the safe rate, row minus column, in points").wait_for(timeout=5_000)


FOLLOW = """([first, second]) => { vlsGo(first); setTimeout(() => vlsGo(second), 50); }"""


def test_of_two_links_the_later_is_opened_and_leaves_nothing_else_in_the_address(
    shared_address: str, open_page: Open, wait_for: Wait
) -> None:
    page = open_page(shared_address)
    wait_for(page, lambda: _models(page), ALL)
    steps = page.evaluate("history.length")
    with held(page) as answers:
        page.evaluate(FOLLOW, ["?tab=compare", "?weights=open"])
        answers.wait(1)
        page.wait_for_timeout(100)
        answers.hand_over(0)
        answers.wait(1)  # the second is asked for when the first is answered
        assert _state(page) == ("&weights=open", "Leaderboard")
        answers.hand_over(0)
        wait_for(page, lambda: _models(page), OPEN)
    assert _state(page) == ("&weights=open", "Leaderboard")
    assert page.evaluate("history.length") == steps + 2


def test_what_is_chosen_after_a_link_stays(shared_address: str, open_page: Open, pick: Pick, wait_for: Wait) -> None:
    page = open_page(shared_address)
    wait_for(page, lambda: _models(page), ALL)
    with held(page) as answers:
        page.evaluate("vlsGo('?tab=about')")
        answers.wait(1)
        pick(page, "Weights", "open")
        answers.wait(2)
        answers.hand_over(1)
        answers.hand_over(0)
        wait_for(page, lambda: _models(page), OPEN)
    assert _state(page) == (OPEN_ADDRESS, "Leaderboard")


def test_back_pressed_twice_at_once_goes_two_steps_back(
    shared_address: str, open_page: Open, pick: Pick, wait_for: Wait
) -> None:
    page = open_page(shared_address)
    pick(page, "Weights", "closed")
    wait_for(page, lambda: _models(page), CLOSED)
    page.get_by_role("tab", name="About").click()
    wait_for(page, lambda: _state(page), ("&tab=about", "About"))
    page.evaluate("history.back(); setTimeout(() => history.back(), 50)")
    wait_for(page, lambda: (_models(page), _state(page)), (ALL, ("", "Leaderboard")))
    page.evaluate("history.forward(); setTimeout(() => history.forward(), 50)")
    wait_for(page, lambda: _state(page), ("&tab=about", "About"))
    page.wait_for_timeout(300)
    assert _state(page) == ("&tab=about", "About")


def test_a_link_leaves_a_text_behind_that_is_being_typed(
    shared_address: str, open_page: Open, show_choosers: Callable[[Any], None], wait_for: Wait
) -> None:
    page = open_page(shared_address)
    show_choosers(page)
    box = page.get_by_label("Search models (several: a; b)").filter(visible=True)
    box.press_sequentially("poor", delay=5)
    page.evaluate("vlsGo('?weights=open')")
    wait_for(page, lambda: (_models(page), box.input_value()), (OPEN, ""))
    assert _state(page) == ("&weights=open", "Leaderboard")
