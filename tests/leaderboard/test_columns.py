"""A column is written down once, and every place that shows the board has it from there."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard import tables
from vlsbench.board.columns import Place, columns_at, paper_columns_at

ROOT = Path(__file__).parents[2]

ADD_AND_SHOW = """
import contextlib, io, json, sys
from pathlib import Path
import pyarrow.parquet as pq
from vlsbench.board import columns
from vlsbench.board.columns import Column, Place

ALL = Place.FILES | Place.PAGE | Place.HTML | Place.TERMINAL
columns.COLUMNS += (
    Column("new_text", "text", lambda item, row: f"<i>{row.model}</i>\\n", order="by new text", shown=ALL),
    Column("new_count", "count", lambda item, row: 12_345, order="by new count", shown=ALL),
    Column("new_rate", "rate", lambda item, row: 0.125, order="by new rate", shown=ALL),
    Column("new_estimate", "estimate", lambda item, row: row.over_refusal, order="by new estimate", shown=ALL),
    Column("new_range", "range", lambda item, row: (0.25, 0.5), shown=ALL & ~Place.FILES),
)

from leaderboard import leaderboard_page
from leaderboard.live import LiveBoard
from vlsbench.board.html import render_html
from vlsbench.board.terminal import print_board

live = LiveBoard(Path(sys.argv[1]))
chosen = leaderboard_page.Chosen(sort="by new text")
outputs = dict(zip(leaderboard_page.OUTPUTS, leaderboard_page.updates(live, chosen)))
files = dict(live.downloads())
overall = tuple(item.model_copy(update={"scope": "Overall"}) for item in live.board.lists)
terminal = io.StringIO()
with contextlib.redirect_stdout(terminal):
    print_board(live.board.model_copy(update={"lists": overall}))
json.dump(
    {
        "csv": files["CSV"].read_text(encoding="utf-8"),
        "parquet": {field.name: str(field.type) for field in pq.read_schema(files["Parquet"])},
        "page": outputs["table"]["value"],
        "orders": list(leaderboard_page.SORTS),
        "html": render_html(live.board),
        "terminal": terminal.getvalue(),
    },
    sys.stdout,
)
live.close()
"""


@pytest.fixture(scope="module")
def shown(shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What six places show once a column of every kind was added to the table, and to nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", ADD_AND_SHOW, str(shared_store)],
        cwd=ROOT,
        env={"VLSBENCH_CACHE_DIR": str(tmp_path_factory.mktemp("cache")), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_column_that_is_added_is_in_the_csv(shown: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert list(rows[0])[-5:] == ["date", "new_text", "new_count", "new_rate", "new_estimate"]
    assert list(rows[0].values())[-4:] == ["<i>Good-VL-8B</i>\n", "12345", "0.125", ""]


def test_a_column_that_is_added_is_in_parquet_with_its_type(shown: dict[str, Any]) -> None:
    assert list(shown["parquet"].items())[-4:] == [
        ("new_text", "string"),
        ("new_count", "int64"),
        ("new_rate", "double"),
        ("new_estimate", "double"),
    ]


Read = Callable[[str], list[dict[str, str]]]


def test_a_column_that_is_added_is_in_the_table_of_the_page(shown: dict[str, Any], read_table: Read) -> None:
    first = list(read_table(shown["page"])[0].items())[-5:]
    assert first == [
        ("New text", "<i>always refuses</i>\N{REPLACEMENT CHARACTER}"),
        ("New count", "12,345"),
        ("New rate %", "12.5"),
        ("New estimate", "–"),
        ("New range", "25.0 to 50.0"),
    ]


def test_a_column_that_is_added_is_in_the_static_page_and_its_text_is_escaped(shown: dict[str, Any]) -> None:
    html = shown["html"]
    assert '<th scope="col">New text</th>' in html
    assert 'data-label="New text">&lt;i&gt;Good-VL-8B&lt;/i&gt;</td>' in html
    for label, text in (("count", "12,345"), ("rate", "12.5"), ("estimate", "–"), ("range", "25.0 to 50.0")):
        assert f'data-label="New {label}">{text}</td>' in html


def test_a_column_that_is_added_is_in_the_terminal(shown: dict[str, Any]) -> None:
    head = next(line for line in shown["terminal"].splitlines() if line.startswith("rank"))
    assert head.split("  ")[-1].strip() == "new range"
    assert {"new text", "new count", "new rate %", "new estimate"} <= {part.strip() for part in head.split("  ")}
    first = next(line for line in shown["terminal"].splitlines() if "Good-VL-8B" in line)
    assert {"<i>Good-VL-8B</i>", "12,345", "12.5", "25.0–50.0"} <= set(first.split())


def test_a_column_that_is_added_is_an_order_that_works(shown: dict[str, Any], read_table: Read) -> None:
    assert shown["orders"] == [
        *("rank", "safe rate", "refusal", "warning", "unsafe", "unjudged", "visual reliance", "over-refusal"),
        *("parameters", "Youden's J", "by new count", "by new rate", "by new estimate", "model", "date", "by new text"),
    ]
    models = [row["Model"] for row in read_table(shown["page"])]
    assert models == ["always refuses", "Good-VL-8B", "Poor-VL"]


def test_every_place_is_of_a_column_that_shows() -> None:
    assert set(tables._PLACES) <= {column.name for column in columns_at(Place.PAGE | Place.CHOICE)}
    assert set(tables._PAPER_PLACES) <= {column.name for column in paper_columns_at(Place.PAGE)}
