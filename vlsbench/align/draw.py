"""mm-sft-clean: rows drawn with replacement in proportion to weights under which text predicts less.

The weights are `vlsbench leakage DATA --text prompt --label kind --reweight OUT.csv`. The drawn rows are the data of
the run: their digest covers the draw.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from vlsbench.align.rows import TrainingData
from vlsbench.errors import DataError, amount, numbered

__all__ = ["draw_rows"]


def draw_rows(data: TrainingData, weights: Mapping[str, float], *, n: int | None, seed: int) -> TrainingData:
    """Draw rows by weight; a row without one is never drawn.

    Args:
        data: Rows, each with an id.
        weights: Row id → weight, above 0.
        n: Rows drawn; None as many as there are.
        seed: Of the draw: the same rows, weights and seed give the same draw on every machine.

    Raises:
        DataError: If weights are of other rows.
    """
    known = {row.id: row for row in data.rows}
    strange = sorted(weights.keys() - known.keys())
    if strange or not weights:
        raise DataError(
            f"{data.name}: the weights are of other rows: {amount(len(strange), 'id is', 'ids are')} not there "
            f"({numbered(strange, limit=5)}). Make them of this file, whose rows have an id each: "
            "vlsbench leakage FILE --text prompt --label kind --reweight OUT.csv."
        )
    chosen = [row for row in data.rows if row.id in weights]
    drawn = random.Random(f"draw {seed}").choices(  # noqa: S311  # seeded, nothing is hidden by it
        chosen, [weights[row.id] for row in chosen], k=n or len(data.rows)
    )
    return TrainingData(tuple(drawn), data.folder, data.name)
