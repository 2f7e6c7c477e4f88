"""The first screen as it is heard, and a walk through the board without a pointer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]

AT = """() => {
  const at = document.activeElement;
  return (at.getAttribute("aria-label") || at.labels?.[0]?.innerText || at.innerText || "").trim().split("\\n")[0];
}"""


def _tab_to(page: Any, label: str, *, most: int = 40) -> list[str]:
    """Press the tabulator until the keyboard is at something; what was passed on the way."""
    passed: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(AT))
        if passed[-1] == label:
            return passed
    pytest.fail(f"the keyboard never comes to {label!r}: {passed}")


def test_a_walk_by_keyboard_through_the_first_screen_a_model_back_and_compare(
    shared_address: str, open_page: Open
) -> None:
    page = open_page(shared_address, size="laptop")
    page.mouse.click(2, 2)  # the keyboard begins where the pointer was
    passed = _tab_to(page, "Poor-VL")
    order = ["Leaderboard", "Judge openai:judge-2026-01-01 · image+text · Privacy · no filter", "Good-VL-8B", "Poor-VL"]
    assert [label for label in passed if label in order] == order, passed
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Poor-VL", exact=True).wait_for()
    assert page.get_by_role("tab", name="Model", selected=True).is_visible()
    page.go_back()  # Alt and the left arrow are the browser's own, which a driven one does not take
    page.get_by_role("tab", name="Leaderboard", selected=True).wait_for()
    page.get_by_text("Safest:").filter(visible=True).first.wait_for()
    page.get_by_role("tab", name="Leaderboard").focus()
    _tab_to(page, "Compare", most=6)
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="Compare", selected=True).wait_for()
    page.get_by_role("region", name="Differences of the safe rate, row minus column, in points").wait_for()
    _tab_to(page, "By category, with the tests")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Differences of every pair, with the tests").wait_for()


def test_a_screen_reader_hears_the_answer_first(shared_address: str, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    try:
        page = context.new_page()
        page.goto(f"{shared_address}/")
        heard = page.locator("body").aria_snapshot()
    finally:
        context.close()
    lines = [line.strip(" -'") for line in heard.splitlines()]
    place = 0
    for words in (
        r'^heading "VLSBench" \[level=1\]',
        r'^navigation "Pages"',
        r"^main",
        r"Safest:",
        r'^list "Safe rate of 2 models, Privacy"',
        r'link "Good-VL-8B"',
        r"rank 1; safe 75\.4% \(95%: .*\); refusal 33 of 130, warning 65 of 130",
        r'link "Poor-VL"',
        r'^heading "Privacy: safe rate by model" \[level=2\]',
    ):
        later = [number for number, line in enumerate(lines) if number >= place and re.search(words, line)]
        assert later, f"{words} is not heard after line {place}:\n{heard}"
        place = later[0]
    # What is drawn says its numbers in words, once.
    assert heard.count("75.4%") == 2, heard
