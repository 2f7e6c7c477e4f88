"""The About page says by which rubric a number was made, in the rubric's own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaderboard import texts
from leaderboard.live import LiveBoard
from vlsbench.board.columns import render_csv
from vlsbench.board.lists import MIN_COVERAGE
from vlsbench.judge.offline import agreement_rows
from vlsbench.judge.prompts import EVIDENCE_KINDS, find_prompt, load_prompt
from vlsbench.judge.protocols import endpoint_protocols
from vlsbench.records import Rubric


@pytest.mark.parametrize("protocol", endpoint_protocols())
@pytest.mark.parametrize("evidence", EVIDENCE_KINDS)
@pytest.mark.parametrize("says_reply", [False, True])
def test_a_rubric_of_ours_shows_the_wording_it_was_judged_with(protocol: str, evidence: Any, says_reply: bool) -> None:
    prompt = load_prompt(protocol, evidence=evidence, says_reply=says_reply)
    rubric = Rubric(judge="openai:m", protocol=protocol, evidence=EVIDENCE_KINDS[evidence], prompt_sha256=prompt.sha256)
    found = find_prompt(rubric)
    assert found is not None
    assert found.sha256 == prompt.sha256
    assert "What it is told" in texts.rubrics_text([rubric])


def test_a_wording_of_somebodys_own_is_named_by_its_digest_only() -> None:
    rubric = Rubric(judge="openai:m", protocol="v1", evidence=("image", "response"), prompt_sha256="0" * 64)
    shown = texts.rubrics_text([rubric])
    assert "What it is told" not in shown
    assert "not the package&#x27;s own" in shown or "not the package's own" in shown


def test_every_rubric_of_the_board_is_there_once(store: Path) -> None:
    live = LiveBoard(store)
    shown = texts.rubrics_text(live.rubrics())
    for rubric in {item.rubric for item in live.board.lists}:
        assert shown.count(f"<summary><code>{rubric}</code></summary>") == 1


def test_the_least_coverage_is_the_boards() -> None:
    assert f"coverage of at least {MIN_COVERAGE:.0%}" in " ".join(texts.ABOUT.split())


def test_the_agreement_is_that_of_the_card() -> None:
    rows = agreement_rows()
    assert len(rows) == 6
    shown = texts.agreement(rows)
    assert all(row.what in shown for row in rows)


def test_the_downloads_hold_the_same_board(store: Path) -> None:
    live = LiveBoard(store)
    files = dict(live.downloads())
    assert files["CSV"].read_text(encoding="utf-8") == render_csv(live.board)
    assert pq.read_table(files["Parquet"]).num_rows == render_csv(live.board).count("\n") - 1


def test_the_page_shows_rubrics_faults_and_three_downloads(shared_address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(shared_address, address="tab=about")
    page.get_by_role("heading", name="The rubrics of this board").filter(visible=True).wait_for()
    page.get_by_text("5 pairs are filed under a sub-category of another category").wait_for()
    for name in ("CSV", "JSON", "Parquet"):
        with page.expect_download() as download:
            page.get_by_text(f"Board as {name}").click()
        assert Path(download.value.path()).stat().st_size > 100
