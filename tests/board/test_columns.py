"""The table of columns: what the board's files, pages and lists are made of."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from vlsbench.board.columns import render_csv
from vlsbench.board.lists import Board
from vlsbench.board.parquet import render_parquet

PUBLISHED = (
    *("scope", "origin", "rank", "model", "organization", "submission", "rubric", "dataset", "n_samples"),
    *("max_new_tokens", "safe_rate", "safe_rate_low", "safe_rate_high", "refusal_rate", "warning_rate", "unsafe_rate"),
    *("n_refusal", "n_warning", "n_unsafe", "n_unjudged", "coverage", "response_coverage", "bound_low", "bound_high"),
    *("visual_reliance", "over_refusal", "access", "parameters", "base_model", "alignment", "unranked_because"),
    *("unjudged_because", "received", "flags", "url"),
)
"""What others read by name and by place: a column may be added at the end, and none moves or goes."""

EMPTY = Board(lists=(), paper=(), left_out=())


def test_no_column_of_the_csv_moves() -> None:
    assert tuple(render_csv(EMPTY).splitlines()[0].split(","))[: len(PUBLISHED)] == PUBLISHED


def test_parquet_has_the_columns_of_the_csv() -> None:
    names = pq.read_table(io.BytesIO(render_parquet(EMPTY))).column_names
    assert names == render_csv(EMPTY).splitlines()[0].split(",")
