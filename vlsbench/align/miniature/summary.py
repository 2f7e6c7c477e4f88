"""Cells → the table over seeds and items, the comparisons that were stated beforehand, and `miniature.json`.

An interval over seeds is Student's over the seeds' values; every seed has its own base model, training data and items,
so it holds all three. Five equal values have no spread, and a rate of 1 on 160 items is not known to be 1: the interval
that is shown is never narrower than that over the items. With one seed it is that over the items alone, which says how
one model would do on other items and nothing of other seeds.

Pure: no files, no network, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from vlsbench.align.miniature.cells import CellRecord
from vlsbench.align.miniature.measure import MEASURES, change_interval, item_interval, read_off
from vlsbench.align.miniature.plan import CLAIM, COMPARISONS, Cell, Comparison, Measure, Plan, Range, cells
from vlsbench.align.miniature.records import (
    ComparisonResult,
    MiniatureSummary,
    SummaryCell,
    Value,
    Verdict,
)
from vlsbench.judge.world_rule import WORLD_RULE

__all__ = ["over_seeds", "summarize"]


def summarize(plan: Plan, records: Sequence[CellRecord]) -> MiniatureSummary:
    """Count a table from its cells; what is not made yet is left out and said.

    Args:
        plan: Its cells' plan.
        records: Cells of that plan.
    """
    wanted = cells(plan)
    by_cell = {record.cell: record for record in records}
    places = dict.fromkeys((cell.dial, cell.arm) for cell in wanted)
    rows = []
    for dial, arm in places:
        mine = [by_cell[c] for c in wanted if (c.dial, c.arm) == (dial, arm) and {c, _base(c)} <= by_cell.keys()]
        if mine:
            rows.append(_row(dial, arm, mine, by_cell))
    return MiniatureSummary(
        rubric=WORLD_RULE,
        plan=plan.name,
        n_cells=sum(cell in by_cell for cell in wanted),
        n_planned=len(wanted),
        n_items=plan.n_items,
        cells=tuple(rows),
        comparisons=tuple(_compare(comparison, records) for comparison in COMPARISONS),
    )


def _base(cell: Cell) -> Cell:
    return Cell(cell.seed, 0.0, "base")


def _row(dial: float, arm: str, mine: Sequence[CellRecord], by_cell: Mapping[Cell, CellRecord]) -> SummaryCell:
    values: dict[str, Value] = {}
    for measure in MEASURES:
        seen = [read_off(record.outcomes, measure) for record in mine]
        items = item_interval([record.outcomes for record in mine], measure)
        least = -1.0 if MEASURES[measure].is_difference else 0.0
        if measure == "ability" and arm != "base":
            before = [by_cell[_base(record.cell)].outcomes for record in mine]
            seen = [value - read_off(base, measure) for value, base in zip(seen, before, strict=True)]
            items, least = change_interval([record.outcomes for record in mine], before), -1.0
        low, high = _hull(over_seeds(seen), items)
        values[measure] = _value(seen, (max(least, low), high), CLAIM[arm][measure])
    risky = "".join(record.outcomes[name] for record in mine for name in ("leaky/risky", "leakless/risky"))
    return SummaryCell(
        arm=arm,
        dial=dial,
        seeds=tuple(record.seed for record in mine),
        values=values,
        no_label=round(risky.count("n") / len(risky), 4),
    )


def _hull(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return min(first[0], second[0]), max(first[1], second[1])


def _value(seen: Sequence[float], interval: tuple[float, float], expected: Range | None) -> Value:
    low, high = interval[0], min(1.0, interval[1])
    return Value(
        value=round(sum(seen) / len(seen), 4),
        low=round(low, 4),
        high=round(high, 4),
        n_seeds=len(seen),
        predicted=expected,
        verdict=_judge(low, high, expected),
    )


def _judge(low: float, high: float, expected: Range | None) -> Verdict:
    if expected is None:
        return "nothing predicted"
    # An interval of a rate of 1 ends a little below it, and never at it: the ends are closed.
    if expected.low <= low and high <= expected.high:
        return "as predicted"
    return "not as predicted" if high < expected.low or low > expected.high else "undecided"


_T975: Final = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""97.5% quantiles of Student's t by degrees of freedom."""


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95% interval of the mean over seeds; one seed has the point alone.

    >>> [round(bound, 3) for bound in over_seeds([0.4, 0.5, 0.6])]
    [0.252, 0.748]
    """
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return mean, mean
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    half = _T975[min(n - 1, 9)] * spread / math.sqrt(n)
    return mean - half, mean + half


def _compare(comparison: Comparison, records: Sequence[CellRecord]) -> ComparisonResult:
    values = _slopes(comparison, records) if comparison.against is None else _differences(comparison, records)
    told: dict[str, Any] = {
        "name": comparison.name,
        "says": comparison.says,
        "margin": comparison.margin,
        "claim": comparison.claim,
        "rival": comparison.rival,
        "n_seeds": len(values),
    }
    if not values:
        return ComparisonResult(**told, value=None, low=None, high=None, lies="not run")
    low, high = over_seeds(values)
    if comparison.against is not None:  # a slope has no ends
        low, high = max(-1.0, low), min(1.0, high)
    lies: Literal["above", "below", "undecided"] = "undecided"
    if len(values) > 1:  # one seed has no spread, and decides nothing
        lies = "above" if low > comparison.margin else "below" if high < comparison.margin else "undecided"
    mean = sum(values) / len(values)
    return ComparisonResult(**told, value=round(mean, 4), low=round(low, 4), high=round(high, 4), lies=lies)


def _by(
    records: Sequence[CellRecord], arm: str, measure: Measure, dial: float | None
) -> dict[tuple[int, float], float]:
    return {
        (record.seed, record.dial): read_off(record.outcomes, measure)
        for record in records
        if record.arm == arm and dial in (None, record.dial)
    }


def _differences(comparison: Comparison, records: Sequence[CellRecord]) -> list[float]:
    """By seed: the same items and the same base model under both arms."""
    assert comparison.against is not None  # noqa: S101  # the caller's choice
    first = _by(records, comparison.arm, comparison.measure, comparison.dial)
    second = _by(records, comparison.against, comparison.measure, comparison.dial)
    return [first[key] - second[key] for key in sorted(first.keys() & second.keys())]


def _slopes(comparison: Comparison, records: Sequence[CellRecord]) -> list[float]:
    """By seed that has both ends of the dial: least squares over its settings."""
    seen = _by(records, comparison.arm, comparison.measure, None)
    slopes = []
    for seed in sorted({seed for seed, _ in seen}):
        points = [(dial, value) for (other, dial), value in seen.items() if other == seed]
        dials = [dial for dial, _ in points]
        if {0.0, 1.0} <= set(dials):
            middle, mean = sum(dials) / len(dials), sum(value for _, value in points) / len(points)
            over = sum((dial - middle) * (value - mean) for dial, value in points)
            slopes.append(over / sum((dial - middle) ** 2 for dial in dials))
    return slopes
