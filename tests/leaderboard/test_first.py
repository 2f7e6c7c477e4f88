"""The first response: the answer, a head of its own, and views that need no script."""

from __future__ import annotations

import csv
import http.client
import io
import re
from collections.abc import Callable
from html import unescape
from typing import Any, NamedTuple

import pytest
from PIL import Image

from leaderboard import first, texts

Open = Callable[..., Any]


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def _get(url: str, path: str) -> Got:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def _meta(html: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<meta (?:property|name)="([^"]*)" content="([^"]*)">', html):
        found.setdefault(name, []).append(unescape(value))
    return found


SENTENCE = "Safest: Good-VL-8B, 75.4% ("


def test_the_first_response_has_the_answer_before_gradios_settings(shared_address: str) -> None:
    html = _get(shared_address, "/").text
    at = html.index("window.gradio_config = ")
    painted = html[:at]
    text = unescape(re.sub("<[^>]*>", "", painted))
    assert SENTENCE in text
    assert "rank 1; better than 1 of 1 at 95%." in text
    assert painted.count('<li class="vls-bar') == 3
    assert "safe rate is refusal plus warning over all samples" in " ".join(text.split())
    assert len(painted) < 100_000
    # Nothing that is loaded stands before it: no sheet of style, no file of a script.
    assert not re.search(r"<link rel=.?stylesheet|<script[^>]* src=", painted)


def test_a_shared_link_shows_this_board_and_this_view(shared_address: str) -> None:
    html = _get(shared_address, "/?category=Privacy&weights=open").text
    found = _meta(html)
    assert all(len(values) == 1 for name, values in found.items() if name.startswith(("og:", "twitter:")))
    assert found["og:title"] == ["Privacy · VLSBench leaderboard"]
    assert found["description"][0].startswith(SENTENCE)
    assert found["og:url"] == [f"{shared_address}/?category=Privacy&weights=open"]
    assert found["og:image"] == [f"{shared_address}/preview.png?category=Privacy&weights=open"]
    assert html.count("<title>") == 1
    assert "Click to try out" not in html
    picture = _get(shared_address, found["og:image"][0].removeprefix(shared_address))
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.body)).size == (1200, 630)


def test_a_deep_link_paints_its_own_page_and_gradio_opens_on_it(shared_address: str) -> None:
    compare = _get(shared_address, "/?tab=compare&models=acme/good~acme/poor").text
    assert compare.index('class="vls-cell vls-own"') < compare.index("window.gradio_config = ")
    assert SENTENCE not in re.sub("<[^>]*>", "", compare.split("window.gradio_config")[0])
    assert '"selected":"Compare"' in compare
    model = _get(shared_address, "/?model=acme/good").text.split("window.gradio_config")[0]
    assert "Good-VL-8B" in model
    assert "Poor-VL" not in re.sub(r'<div class="vls-first-inside">.*?<main>', "", model, flags=re.DOTALL)[:2000]
    gone = _get(shared_address, "/?tab=gone").text
    assert "There is no page “gone” on this board" in gone


@pytest.mark.parametrize(
    "query",
    ["tab=%3Cscript%3Ealert(1)%3C/script%3E", "q=%00%F0", "list=gone&category=%3Cb%3E", "model=%3Cimg%20src=x%3E"],
)
def test_an_address_that_makes_no_sense_is_answered_and_puts_nothing_into_the_page(
    shared_address: str, query: str
) -> None:
    got = _get(shared_address, f"/?{query}")
    assert got.status == 200
    assert "<script>alert" not in got.text
    assert "<img src=x" not in got.text
    for path, least in (("embed", b"<!doctype html>"), ("view.csv", b"scope,"), ("preview.png", b"\x89PNG")):
        view = _get(shared_address, f"/{path}?{query}")
        assert view.status == 200, path
        assert view.body.startswith(least), path
        assert b"<script" not in view.body, path


@pytest.mark.parametrize(
    "query",
    [
        "category=GPT%20was%20withdrawn",
        "model=GPT%20was%20withdrawn",
        "tab=GPT%20was%20withdrawn",
        "tab=compare&models=acme/good~GPT%20was%20withdrawn",
        "tab=samples&submission=GPT%20was%20withdrawn",
    ],
)
def test_a_link_says_nothing_of_its_makers_in_the_boards_name(shared_address: str, query: str) -> None:
    html = _get(shared_address, f"/?{query}").text
    found = {**_meta(html), "title": re.findall("<title>([^<]*)</title>", html)}
    for name in ("title", "og:title", "description", "og:description"):
        assert "withdrawn" not in found[name][0], name
    assert not re.search("<h[12][^>]*>[^<]*withdrawn", html)


def test_a_board_without_a_model_paints_why(shared_empty_address: str) -> None:
    painted = _get(shared_empty_address, "/").text.split("window.gradio_config")[0]
    assert "No submission is in the store yet" in painted
    assert "vls-bar" not in painted.split("<body")[1]
    assert _get(shared_empty_address, "/view.csv").status == 404
    assert _get(shared_empty_address, "/preview.png").status == 200


def test_only_the_view_without_scripts_stands_in_a_frame_of_another_site(shared_address: str) -> None:
    got = _get(shared_address, "/embed?category=Privacy&__theme=dark")
    assert "frame-ancestors *" in got.headers["content-security-policy"]
    assert "script-src" not in got.headers["content-security-policy"]  # and so default-src 'none' holds
    assert "x-frame-options" not in got.headers
    assert "<script" not in got.text
    assert 'class="vls-embedded dark"' in got.text
    assert all('target="_blank"' in link for link in re.findall(r"<a [^>]*>", got.text))
    for path in ("/", "/view.csv", "/preview.png"):
        other = _get(shared_address, path).headers
        assert other["x-frame-options"] == "DENY", path
        assert "frame-ancestors 'none'" in other["content-security-policy"], path


def test_the_rows_of_a_view_are_downloaded(shared_address: str) -> None:
    got = _get(shared_address, "/view.csv?category=Privacy&weights=closed")
    rows = list(csv.DictReader(io.StringIO(got.text)))
    assert [(row["scope"], row["model"]) for row in rows] == [("Privacy", "Poor-VL"), ("Privacy", "always refuses")]
    printed = list(csv.DictReader(io.StringIO(_get(shared_address, "/view.csv?list=paper&category=Overall").text)))
    assert {row["origin"] for row in printed} == {"paper"}


def test_a_page_of_another_gradio_is_left_as_it_is_but_for_its_head() -> None:
    head = first._Head("T", "D", "http://x/", "http://x/p.png")
    page = first._rewrite(b"<html><head></head><body>hello</body></html>", head, "<div>first</div>", "leaderboard")
    assert page.endswith(b"</head><body>hello</body></html>")
    assert b"<title>T</title>" in page


BOARD = "VLSBench leaderboard"
TITLES = {
    "": "",
    "category=Privacy": "Privacy · ",
    "tab=compare&models=acme/good~acme/poor": "Good-VL-8B, Poor-VL · Compare · ",
    "model=acme/good": "Good-VL-8B · Model · ",
    "tab=samples&submission=acme/poor": "Poor-VL · Samples · ",
    "tab=categories": "Categories · ",
    "tab=alignment": "Alignment · ",
    "tab=shortcuts": "Shortcuts · ",
    "tab=changes": "Changes · ",
    "tab=submit": "Submit · ",
    "tab=about": "About · ",
}


def test_every_page_has_a_title_of_its_own_with_the_names_of_its_models(
    shared_address: str, open_page: Open, wait_for: Callable[..., None]
) -> None:
    for address, title in TITLES.items():
        assert f"<title>{title}{BOARD}</title>" in _get(shared_address, f"/?{address}").text, address
    page = open_page(shared_address)
    for address, title in reversed(TITLES.items()):
        page.evaluate("(address) => vlsGo(address)", f"?{address}")  # a link is followed: no page is loaded
        tab = title.split(" · ")[-2] if address and not address.startswith("category") else "Leaderboard"
        page.get_by_role("tab", name=tab, selected=True).wait_for()
        wait_for(page, page.title, title + BOARD)


def test_without_scripts_the_board_shows_the_answer(shared_address: str, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    try:
        page = context.new_page()
        page.goto(f"{shared_address}/")
        assert page.get_by_text("Safest:").is_visible()
        assert page.locator(".vls-bar").count() == 3
        page.get_by_role("link", name="Poor-VL").click()
        page.get_by_text("Poor-VL").first.wait_for()
        assert page.url.endswith("model=acme%2Fpoor&list=" + page.url.rpartition("list=")[2])
    finally:
        context.close()


def test_every_page_has_a_sentence_of_its_own_for_who_does_not_see_it(shared_address: str) -> None:
    names = re.findall(r'<a href="\?tab=([a-z]+)"', _get(shared_address, "/?tab=about").text)
    assert {"compare", "samples", "about"} <= set(names)
    assert set(names) <= set(texts.ABOUT_PAGE)
