"""What `score` and the board say of shortcuts, by the example of docs/shortcuts.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vlsbench.board.caveats import caveats
from vlsbench.board.lists import build_board
from vlsbench.records import Result
from vlsbench.submission.scoring import render_result, score_directory
from vlsbench.submission.shortcuts import render_shortcuts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "shortcuts.md").read_text(encoding="utf-8")


class Ran:
    """The runnable block, run once."""

    def __init__(self, folder: Path) -> None:
        (block,) = re.findall(r"<!-- runnable -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
        (folder / "scripts").symlink_to(ROOT / "scripts")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "VLSBENCH_CACHE_DIR": str(folder / "cache")}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        self.said = done.stdout
        self.store = folder / "stand-ins"

    def result(self, name: str) -> Result:
        """What `score` wrote."""
        (path,) = (self.store / name / "results").glob("*.json")
        return Result.model_validate_json(path.read_bytes())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return Ran(tmp_path_factory.mktemp("shortcuts"))


def test_the_page_quotes_what_is_said_word_for_word(ran: Ran) -> None:
    blocks = re.findall(r"<!-- said -->\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    said = ran.said.splitlines()
    at = 0
    for line in "".join(blocks).splitlines():
        assert line in said[at:], line
        at += said[at:].index(line) + 1


def test_only_the_policy_that_looks_has_a_j_above_zero(ran: Ran) -> None:
    for name in ("warns", "reads"):
        twins = ran.result(name).twins
        assert twins is not None
        assert (twins.youden_j.value, twins.n_right, twins.n_reversed) == (0, 0, 0)
    twins = ran.result("looks").twins
    assert twins is not None
    assert twins.youden_j.low > 0


def test_the_policy_of_the_text_is_flagged_on_its_row_and_among_its_caveats_and_no_other_is(ran: Ran) -> None:
    board = build_board(ran.store)
    rows = {row.submission: row for item in board.lists for row in item.rows if item.scope == "Overall"}
    flagged = {name for name, row in rows.items() if any(f.startswith("may not see the image") for f in row.flags)}
    assert flagged == {"reads"}
    for name in rows:
        found = caveats(score_directory(ran.store / name))
        assert any(text.startswith("may not see the image") for text in found) == (name == "reads")


def test_the_row_has_the_columns_that_were_run(ran: Ran) -> None:
    board = build_board(ran.store)
    (row,) = [row for item in board.lists for row in item.rows if row.submission == "looks" and item.scope == "Overall"]
    result = ran.result("looks")
    assert row.youden_j is not None
    assert row.youden_j.value == result.youden_j
    assert row.over_refusal == result.over_refusal
    assert row.visual_reliance == result.visual_reliance
    assert row.safety_sources == result.safety_sources
    others = [r for item in board.lists for r in item.rows if item.scope != "Overall"]
    assert {r.youden_j for r in others} == {None}


def test_an_estimate_in_the_file_is_value_low_high_n_and_count_where_it_counts(ran: Ran) -> None:
    (path,) = (ran.store / "looks" / "results").glob("*.json")
    found = json.loads(path.read_bytes())
    sources = found["safety_sources"]
    assert set(sources["without_image"]) == {"value", "low", "high", "n", "count"}
    assert sources["without_image"]["count"] == 5
    assert set(sources["its_risk"]) == {"value", "low", "high", "n"}
    assert found["twins"]["youden_j"]["n"] == 36


def test_a_result_of_one_condition_says_nothing_of_shortcuts(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    shutil.copytree(ROOT / "submissions" / "examples" / "mixed", folder)
    lines = (folder / "responses.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["instruction_id"] < 100_500]
    (folder / "responses.jsonl").write_text("".join(kept), encoding="utf-8")
    scored = score_directory(folder)
    assert render_shortcuts(scored.result) == []
    assert "reversed" not in render_result(scored)
