"""What is shown of the miniature: the records of `miniature.json`, which the package carries and the board draws.

Light to import: whoever shows the table needs no trainer.
"""

from __future__ import annotations

import importlib.resources
from typing import Literal

from vlsbench.records import Record

__all__ = ["ComparisonResult", "MiniatureSummary", "SummaryCell", "Value", "Verdict", "load_summary"]

Verdict = Literal["as predicted", "not as predicted", "undecided", "nothing predicted"]


class Value(Record):
    """A measure over seeds and items."""

    value: float
    low: float
    high: float
    n_seeds: int
    predicted: tuple[float, float] | None
    """Range that the claim predicts; None where it says nothing."""
    verdict: Verdict
    """As predicted: the whole interval lies in the range; not: the whole interval lies outside it."""


class SummaryCell(Record):
    """One arm at one setting of the dial."""

    arm: str
    dial: float
    seeds: tuple[int, ...]
    values: dict[str, Value]
    """By measure; `ability` is the change against the base model, but for the base model itself."""
    no_label: float
    """Share of answers to risky items that have no label."""


class ComparisonResult(Record):
    """What came of a comparison stated beforehand."""

    name: str
    says: str
    margin: float
    value: float | None
    low: float | None
    high: float | None
    n_seeds: int
    lies: Literal["above", "below", "undecided", "not run"]
    claim: Literal["above", "below", "silent"]
    rival: Literal["above", "below", "silent"]


class MiniatureSummary(Record):
    """All that is shown of the miniature."""

    rubric: str
    plan: str
    n_cells: int
    n_planned: int
    n_items: int
    cells: tuple[SummaryCell, ...]
    comparisons: tuple[ComparisonResult, ...]


def load_summary() -> MiniatureSummary | None:
    """Read the summary that the package carries; None where there is none."""
    path = importlib.resources.files("vlsbench.align.miniature") / "miniature.json"
    return MiniatureSummary.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None
