"""The board as Parquet: the columns of its CSV, typed, with nulls where the CSV has nothing.

Rates are fractions in [0, 1]. Texts are as they are: only a spreadsheet needs the CSV's apostrophe before a formula.
Pure but for pyarrow, which is imported in the function.
"""

from __future__ import annotations

import io

from vlsbench.board.columns import Place, cells_of, columns_at
from vlsbench.board.lists import Board

__all__ = ["render_parquet"]

_TYPES = {"text": "string", "count": "int64", "rate": "float64", "estimate": "float64"}
"""Arrow's types by kind of column."""


def render_parquet(board: Board) -> bytes:
    """Render the board as one Parquet file, a line per row and scope, in the order of the CSV."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = columns_at(Place.FILES)
    arrays = [pa.array(cells_of(board, column), type=getattr(pa, _TYPES[column.kind])()) for column in columns]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=[column.name for column in columns]), out)
    return out.getvalue()
