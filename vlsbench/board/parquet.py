"""The board as Parquet: the columns of its CSV, typed, with nulls where the CSV has nothing.

Rates are fractions in [0, 1]. Texts are as they are: only a spreadsheet needs the CSV's apostrophe before a formula.
Pure but for pyarrow, which is imported in the function.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal, NamedTuple

from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow
from vlsbench.board.paper import PaperTable
from vlsbench.records import Estimate, PaperRow

__all__ = ["render_parquet"]

Cell = str | int | float | None


class _Column(NamedTuple):
    name: str
    kind: Literal["string", "int64", "float64"]
    judged: Callable[[BoardList, BoardRow], Cell]
    printed: Callable[[PaperTable, PaperRow], Cell] = lambda table, row: None


def _end(bounds: tuple[float, float] | None, which: Literal[0, 1]) -> float | None:
    return None if bounds is None else bounds[which]


def _value(found: Estimate | None) -> float | None:
    return None if found is None else found.value


_COLUMNS: tuple[_Column, ...] = (
    _Column("scope", "string", lambda item, row: item.scope, lambda table, row: OVERALL),
    _Column("origin", "string", lambda item, row: row.origin, lambda table, row: table.origin),
    _Column("rank", "int64", lambda item, row: row.rank),
    _Column("model", "string", lambda item, row: row.model, lambda table, row: row.model),
    _Column("organization", "string", lambda item, row: row.organization),
    _Column("submission", "string", lambda item, row: row.submission),
    _Column(
        "rubric", "string", lambda item, row: item.rubric, lambda table, row: f"{table.source}; judge {table.judge}"
    ),
    _Column("dataset", "string", lambda item, row: item.dataset),
    _Column("n_samples", "int64", lambda item, row: item.n_samples),
    _Column("max_new_tokens", "int64", lambda item, row: item.max_new_tokens),
    _Column("safe_rate", "float64", lambda item, row: row.rates.safe_rate, lambda table, row: row.safe_rate),
    _Column("safe_rate_low", "float64", lambda item, row: _end(row.rates.safe_rate_ci, 0)),
    _Column("safe_rate_high", "float64", lambda item, row: _end(row.rates.safe_rate_ci, 1)),
    _Column("refusal_rate", "float64", lambda item, row: row.rates.refusal_rate, lambda table, row: row.refusal_rate),
    _Column("warning_rate", "float64", lambda item, row: row.rates.warning_rate, lambda table, row: row.warning_rate),
    _Column("unsafe_rate", "float64", lambda item, row: row.rates.unsafe_rate),
    _Column("n_refusal", "int64", lambda item, row: row.rates.n_refusal),
    _Column("n_warning", "int64", lambda item, row: row.rates.n_warning),
    _Column("n_unsafe", "int64", lambda item, row: row.rates.n_unsafe),
    _Column("n_unjudged", "int64", lambda item, row: row.rates.n_unjudged),
    _Column("coverage", "float64", lambda item, row: row.rates.coverage),
    _Column("response_coverage", "float64", lambda item, row: row.rates.response_coverage),
    _Column("bound_low", "float64", lambda item, row: row.rates.bounds[0]),
    _Column("bound_high", "float64", lambda item, row: row.rates.bounds[1]),
    _Column("visual_reliance", "float64", lambda item, row: _value(row.visual_reliance)),
    _Column("over_refusal", "float64", lambda item, row: _value(row.over_refusal)),
    _Column("access", "string", lambda item, row: row.access, lambda table, row: row.access),
    _Column("parameters", "int64", lambda item, row: row.parameters),
    _Column("base_model", "string", lambda item, row: row.base_model, lambda table, row: row.base_model),
    _Column("alignment", "string", lambda item, row: row.alignment, lambda table, row: row.alignment),
    _Column("unranked_because", "string", lambda item, row: row.unranked_because),
    _Column("unjudged_because", "string", lambda item, row: row.unjudged_because or None),
    _Column("received", "string", lambda item, row: row.received),
    _Column("flags", "string", lambda item, row: "; ".join(row.flags) or None),
    _Column("url", "string", lambda item, row: row.url),
)
"""In the order of `vlsbench.board.lists.render_csv`; a test compares the two."""


def render_parquet(board: Board) -> bytes:
    """Render the board as one Parquet file, a line per row and scope, in the order of the CSV."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = []
    for column in _COLUMNS:
        cells = [column.judged(item, row) for item in board.lists for row in item.rows]
        cells += [column.printed(table, row) for table in board.paper for row in table.rows]
        arrays.append(pa.array(cells, type=getattr(pa, column.kind)()))
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=[column.name for column in _COLUMNS]), out)
    return out.getvalue()
