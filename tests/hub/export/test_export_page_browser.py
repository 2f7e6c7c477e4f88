"""The exported page in a real browser, opened as the file it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from chromium import chromium

from vlsbench.board.html import render_html
from vlsbench.board.lists import Board

SIZES = {"phone": (390, 844), "tablet": (860, 1100), "laptop": (1030, 800), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page_file(board: Board, tmp_path: Path) -> Path:
    path = tmp_path / "board.html"
    path.write_text(render_html(board), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, page_file: Path, scheme: str) -> None:
    for width, height in (SIZES["phone"], SIZES["desktop"]):
        # The page's own policy keeps every script out, the checker too.
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
        page = context.new_page()
        page.goto(page_file.as_uri())
        found = violations(page)
        context.close()
        assert [(item["id"], item["nodes"][0]["html"]) for item in found] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_and_is_quiet(browser: Any, page_file: Path, size: str, scheme: str) -> None:
    found: list[str] = []
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda request: found.append(request.url))
    page.goto(page_file.as_uri())
    page.get_by_role("heading", name="Overall").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.get_by_role("table").count() > 1, "a table stays one for a screen reader, also as cards"
    bar = page.get_by_role("img").first.bounding_box()
    assert bar["width"] > 100
    page.get_by_text("on the board, and why").click()
    page.get_by_text("not judged yet").wait_for()
    context.close()
    assert [item for item in found if not item.startswith(("file:", "data:"))] == []
