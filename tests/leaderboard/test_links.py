"""Links: the list that a link names is the one that is shown, and nothing that is there is said to be gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import gradio as gr
import pytest

from leaderboard import leaderboard_page, pages
from leaderboard.choosers import list_key
from leaderboard.endpoints import _table
from leaderboard.leaderboard_page import Chosen
from leaderboard.live import LiveBoard
from leaderboard.page import Page, opened
from vlsbench.board.lists import BoardList

WITH_LISTS = ("Leaderboard", "Model", "Categories", "Samples", "Compare", "Shortcuts", "Alignment")


@pytest.fixture(scope="module")
def live(shared_store: Path) -> LiveBoard:
    return LiveBoard(shared_store)


@pytest.fixture(scope="module")
def made(live: LiveBoard) -> Mapping[str, Page]:
    async def build() -> dict[str, Page]:
        with gr.Blocks():
            return {name: make(live) for name, make in pages._PAGES}

    return asyncio.run(build())  # gradio makes a loop of its own where none runs, and never closes it


@pytest.fixture
def outside(live: LiveBoard) -> str:
    """The key of the second list of the store, which is not the one that stands for none."""
    first, second = sorted(live.lists("Privacy"), key=lambda item: -len(item.rows))
    assert len(first.rows) > len(second.rows)
    assert second.is_judged_elsewhere
    return list_key(second)


def _open(made: Mapping[str, Page], live: LiveBoard, name: str, key: str) -> tuple[str, str]:
    """Follow a link to a page; return what is said of it and the key of the list that is shown."""
    query = {"tab": name.lower(), "list": key, "category": "Privacy"}
    if name == "Model":
        query = {"model": "acme/good", "list": key}
    found = opened(list(made.values()), query, is_first=False)
    (place,) = [choice.component for choice in found.page.choices if choice.key == "list"]
    return str(found.notice["value"]), str(found.shown[found.page.outputs.index(place)]["value"])


@pytest.mark.parametrize("name", WITH_LISTS)
def test_a_link_to_a_list_opens_it(made: Mapping[str, Page], live: LiveBoard, outside: str, name: str) -> None:
    assert _open(made, live, name, outside) == ("", outside)


@pytest.mark.parametrize("name", WITH_LISTS)
def test_a_link_from_before_the_two_were_told_apart_opens_the_one_there_is(
    made: Mapping[str, Page], live: LiveBoard, outside: str, name: str
) -> None:
    assert _open(made, live, name, outside.removesuffix(".outside")) == ("", outside)


@pytest.mark.parametrize("name", WITH_LISTS)
def test_a_list_that_is_gone_is_named_and_another_is_shown(
    made: Mapping[str, Page], live: LiveBoard, outside: str, name: str
) -> None:
    said, shown = _open(made, live, name, "offline-0.release.undeclared")
    assert "does not have what its link names, or no longer: the list “offline-0.release.undeclared”" in said
    assert shown not in (outside, "offline-0.release.undeclared")


def test_a_program_names_a_list_as_a_link_does(live: LiveBoard, outside: str) -> None:
    asked = _table(live, "Privacy", "image+text", outside)
    assert asked.table is not None
    assert list_key(asked.table) == outside
    assert _table(live, "Privacy", "image+text", outside.removesuffix(".outside")) == asked


def _two(live: LiveBoard, monkeypatch: pytest.MonkeyPatch) -> list[BoardList]:
    """Two lists of one key: sets of one's own that have one name."""
    first = max(live.lists("Privacy"), key=lambda item: len(item.rows))
    second = first.model_copy(update={"digest": "0" * 64, "rows": first.rows[:1]})
    monkeypatch.setattr(live, "lists", lambda scope, condition="": [first, second])
    return [first, second]


def test_what_is_cited_and_called_is_the_list_that_is_shown(
    live: LiveBoard, monkeypatch: pytest.MonkeyPatch, outside: str
) -> None:
    old = Chosen(list_key=outside.removesuffix(".outside"), category="Privacy")
    assert leaderboard_page.view_of(live, old).query() == {"list": outside, "category": "Privacy"}
    gone = Chosen(list_key="gone", category="Privacy")
    assert leaderboard_page.view_of(live, gone).query() == {"category": "Privacy"}
    first, second = _two(live, monkeypatch)
    key = f"{list_key(first)}.00000000"
    asked = Chosen(list_key=key, category="Privacy")
    assert leaderboard_page.view_of(live, asked).item is second
    share = dict(zip(leaderboard_page.OUTPUTS, leaderboard_page.updates(live, asked), strict=True))["share"]["value"]
    assert f"list={key}" in share
    assert _table(live, "Privacy", "image+text", key).table is second
    assert _table(live, "Privacy", "image+text", key).list_keys == (list_key(first), key)


def test_an_old_link_to_a_worked_example_does_not_open_the_papers_rows(
    live: LiveBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = live.lists("Privacy")[0].model_copy(update={"dataset": "sample", "scope": "Overall"})
    monkeypatch.setattr(live, "lists", lambda scope, condition="": [item])
    assert item.is_judged_elsewhere
    view = leaderboard_page.view_of(live, Chosen(list_key=list_key(item).removesuffix(".outside")))
    assert view.item is item
    assert leaderboard_page.view_of(live, Chosen()).paper is not None
