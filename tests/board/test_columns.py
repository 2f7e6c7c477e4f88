"""The table of columns: what the board's files, pages and lists are made of."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vlsbench.board.columns import COLUMNS, Column, Kind, Place, orders, render_csv
from vlsbench.board.lists import Board, build_board
from vlsbench.board.parquet import render_parquet
from vlsbench.records import Estimate

PUBLISHED = (
    *("scope", "origin", "rank", "model", "organization", "submission", "rubric", "dataset", "n_samples"),
    *("max_new_tokens", "safe_rate", "safe_rate_low", "safe_rate_high", "refusal_rate", "warning_rate", "unsafe_rate"),
    *("n_refusal", "n_warning", "n_unsafe", "n_unjudged", "coverage", "response_coverage", "bound_low", "bound_high"),
    *("visual_reliance", "over_refusal", "access", "parameters", "base_model", "alignment", "unranked_because"),
    *("unjudged_because", "received", "flags", "url", "youden_j"),
)
"""What others read by name and by place: a column may be added at the end, and none moves or goes."""

KINDS: dict[Kind, type] = {"text": str, "count": int, "rate": float, "range": tuple, "estimate": Estimate}
ROOT = Path(__file__).parents[2]
EMPTY = Board(lists=(), paper=(), left_out=())


def test_no_column_of_the_csv_moves() -> None:
    assert tuple(render_csv(EMPTY).splitlines()[0].split(","))[: len(PUBLISHED)] == PUBLISHED


def test_parquet_has_the_columns_of_the_csv() -> None:
    names = pq.read_table(io.BytesIO(render_parquet(EMPTY))).column_names
    assert names == render_csv(EMPTY).splitlines()[0].split(",")


def test_every_value_is_of_its_columns_kind() -> None:
    board = build_board(ROOT / "submissions")
    for column in COLUMNS:
        values = [column.value(item, row) for item in board.lists for row in item.rows]
        values += [column.printed(table, row) for table in board.paper for row in table.rows]
        assert {type(value) for value in values} <= {KINDS[column.kind], type(None)}, column.name


def test_no_two_columns_have_one_name_or_one_order() -> None:
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    assert len({column.order for column in orders()}) == len(orders())


def test_two_ends_in_one_cell_of_a_file_are_refused() -> None:
    with pytest.raises(ValueError, match="give each end a column"):
        Column("ends", "range", lambda item, row: row.rates.bounds, shown=Place.FILES)
