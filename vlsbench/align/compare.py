"""Aligned models beside each other, set by set: the paper's table with the columns that it lacks.

Pure: labels in, a table out. A difference is paired on samples that both runs have a label for, and its interval is
clustered by image; over-refusal, Youden's J and visual reliance are the result's own (`vlsbench.metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from vlsbench.align.lmms_eval import TaskFigure
from vlsbench.errors import UsageError, numbered
from vlsbench.metrics.intervals import difference_interval, wilson
from vlsbench.records import Measure, Record
from vlsbench.text import percent, table

__all__ = ["Arm", "ComparedArm", "Comparison", "compare_arms", "render_comparison", "share"]


_MOST_LABELLED: Final = 0.95
"""Below it the board ranks nobody; here it is said."""


class Arm(NamedTuple):
    """One model on one set."""

    name: str
    set_name: str
    is_safe: Mapping[int, bool]
    """By sample that has a label."""
    image_of: Mapping[int, int]
    safe_rate: Measure | None
    visual_reliance: Measure | None
    over_refusal: Measure | None
    youden_j: Measure | None
    ability: Measure | None = None
    """Share of right answers to questions that have nothing to do with safety; the same in every set."""
    coverage: float | None = None
    """Share of the set's samples that have a label."""
    lmms_eval: tuple[TaskFigure, ...] = ()
    """What lmms-eval found; the same in every set."""


class ComparedArm(Record):
    """A row of the table."""

    run: str
    set_name: str
    safe_rate: Measure | None
    difference: Measure | None
    """Safe rate minus that of the first run, on samples judged in both; null for the first run."""
    visual_reliance: Measure | None
    over_refusal: Measure | None
    youden_j: Measure | None
    ability: Measure | None
    coverage: float | None = None
    """Share of the set's samples that have a label; those without count as not safe, and have no part in
    differences."""
    lmms_eval: tuple[TaskFigure, ...] = ()


class Comparison(Record):
    """The table, and what its intervals are of."""

    first: str
    """The run that differences are to."""
    interval: str = "95%; differences paired by sample, clustered by image"
    arms: tuple[ComparedArm, ...]


def compare_arms(arms: Sequence[Arm]) -> Comparison:
    """Compare runs; the first arm's run is what the others are compared with.

    Raises:
        UsageError: If there is none, or a run stands twice in a set.
    """
    if not arms:
        raise UsageError("nothing to compare: name the folders of complete runs.")
    keys = [(arm.name, arm.set_name) for arm in arms]
    if len(set(keys)) < len(keys):
        raise UsageError("a run stands there twice; give each folder a name of its own.")
    first = {arm.set_name: arm for arm in arms if arm.name == arms[0].name}
    return Comparison(first=arms[0].name, arms=tuple(_compared(arm, first.get(arm.set_name)) for arm in arms))


def _compared(arm: Arm, first: Arm | None) -> ComparedArm:
    return ComparedArm(
        run=arm.name,
        set_name=arm.set_name,
        safe_rate=arm.safe_rate,
        difference=None if first is None or first is arm else _difference(arm, first),
        visual_reliance=arm.visual_reliance,
        over_refusal=arm.over_refusal,
        youden_j=arm.youden_j,
        ability=arm.ability,
        coverage=arm.coverage,
        lmms_eval=arm.lmms_eval,
    )


def _difference(arm: Arm, first: Arm) -> Measure | None:
    by_image: dict[int, list[tuple[bool, bool]]] = {}
    for number, is_safe in arm.is_safe.items():
        if number in first.is_safe:
            by_image.setdefault(arm.image_of[number], []).append((is_safe, first.is_safe[number]))
    pairs = [pair for image in by_image.values() for pair in image]
    if not pairs:
        return None
    low, high = difference_interval(list(by_image.values()))
    value = sum(mine - other for mine, other in pairs) / len(pairs)
    return Measure(value=value, low=low, high=high, n=len(pairs))


def share(n_right: int, n: int) -> Measure:
    """Return a share of independent questions with Wilson's interval.

    >>> share(3, 4).value
    0.75
    """
    low, high = wilson(n_right / n, n)
    return Measure(value=n_right / n, low=low, high=high, n=n, count=n_right)


def render_comparison(found: Comparison) -> str:
    """Lay the table out for people, percent; what lmms-eval found in its own units."""
    tasks = list(dict.fromkeys(figure.name for arm in found.arms for figure in arm.lmms_eval))
    head = ["run", "set", "safe", f"minus {found.first}", "reliance", "over-refusal", "J", "labelled", "ability"]
    rows = [
        [
            arm.run,
            arm.set_name,
            *map(_cell, (arm.safe_rate, arm.difference, arm.visual_reliance, arm.over_refusal, arm.youden_j)),
            "–" if arm.coverage is None else percent(arm.coverage),
            _cell(arm.ability),
            *(_figure(arm, task) for task in tasks),
        ]
        for arm in found.arms
    ]
    said = f"{found.interval}; percent, (low to high)."
    few = dict.fromkeys(a.run for a in found.arms if a.coverage is not None and a.coverage < _MOST_LABELLED)
    if few:
        said += (
            f" Less than {_MOST_LABELLED:.0%} of the answers of {numbered(list(few))} have a label: safe rates count "
            "the others as not safe, all other columns leave them out, and are of another set of samples."
        )
    if tasks:
        said += " Columns of lmms-eval: its numbers, ± its standard error."
    return table([*head, *tasks], rows, left=2) + f"\n{said}"


def _cell(measure: Measure | None) -> str:
    return "–" if measure is None else f"{percent(measure.value)} ({percent(measure.low)} to {percent(measure.high)})"


def _figure(arm: ComparedArm, task: str) -> str:
    found = [figure for figure in arm.lmms_eval if figure.name == task]
    if not found:
        return "–"
    stderr = "" if found[0].stderr is None else f" ± {found[0].stderr:.4g}"
    return f"{found[0].value:.4g}{stderr}"
