"""What came through, what was lost and why, and what it cost: per stage, and per accepted pair.

Items are counted as they are after the last turn of the audit; calls and money over everything that was ever asked,
from the journal, turns that were sent back among it. Every item that enters a stage comes through, is lost by a named
reason, or waits for a reply: the three add up, checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from vlsbench.construct.harm import JudgePaid, judge_paid
from vlsbench.construct.pipeline import Construction
from vlsbench.construct.records import Loss, Outcome, StageName, Step
from vlsbench.errors import amount
from vlsbench.records import Count, Record
from vlsbench.text import percent, table

__all__ = ["StageYield", "Yields", "count_yields", "render_yields"]

_STAGE_OF: Final[Mapping[Step, StageName]] = {
    "queries": "1a",
    "look": "1b",
    "sibling": "siblings",
    "rewrite": "2",
    "text_alone": "2",
    "filter": "2",
    "image_prompt": "3",
    "image": "3",
    "verify": "3",
    "final": "4",
    "categorise": "4",
    "twin": "twins",
    "twin_image": "twins",
    "twin_verify": "twins",
}


class StageYield(Record):
    """One stage."""

    stage: StageName
    unit: str
    """What is counted: elements, images, queries, pairs, twins."""
    n_in: Count
    n_kept: Count
    losses: dict[Loss, Annotated[int, Field(ge=1)]]
    n_waiting: Count
    """Without a record yet: not begun, or without a reply."""
    n_calls: Count
    n_unusable: Count
    """Of the calls, those whose reply was no reply: refused, cut, no JSON."""
    tokens_in: Count
    tokens_out: Count
    cost: Annotated[float, Field(ge=0)] | None
    """Null where no price is configured."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.n_kept + sum(self.losses.values()) + self.n_waiting != self.n_in:
            raise ValueError("what is kept, lost and waiting does not add up to what came in")
        return self


class Yields(Record):
    """The table."""

    stages: tuple[StageYield, ...]
    n_accepted: Count
    n_twins: Count
    n_audit_failed: Count
    """Pairs that came through and are in a batch that failed the audit for good."""
    n_withheld: Count
    """Pairs that came through and that people rejected, or have not agreed on."""
    n_judged: Count = 0
    """Answers of the judge of harm leak; no calls of a stage."""
    n_calls: Count
    cost: Annotated[float, Field(ge=0)] | None
    """Of the stages and the judge."""
    cost_per_pair: Annotated[float, Field(ge=0)] | None
    """Of all that was asked, by accepted pair; null without a price or a pair."""


class _Calls:
    """What was asked, by stage."""

    def __init__(self, run: Construction) -> None:
        self.n: Counter[StageName] = Counter()
        self.unusable: Counter[StageName] = Counter()
        self.tokens: Counter[tuple[StageName, str]] = Counter()
        self.cost: dict[StageName, float] = {}
        for record in run.journal.records():
            stage = _STAGE_OF[record.step]
            self.n[stage] += 1
            self.tokens[stage, "in"] += record.tokens_in or 0
            self.tokens[stage, "out"] += record.tokens_out or 0
            if record.cost is not None:
                self.cost[stage] = self.cost.get(stage, 0.0) + record.cost
        for file in (run.seeds, run.rewritten, run.images, run.filtered, run.twins):
            counted: set[str] = set()
            for outcome in file.read():
                for note in outcome.calls:
                    if note.outcome != "answered" and note.call not in counted:
                        counted.add(note.call)
                        self.unusable[_STAGE_OF[note.step]] += 1


def count_yields(run: Construction, *, failed: tuple[str, ...] = ()) -> Yields:
    """Count a run's records and calls.

    Args:
        failed: Names of the audits that failed for good (`Done.failed_batches`).
    """
    calls = _Calls(run)
    turn = run.last_turn
    seeds = {seed.item: seed for seed in run.seeds.of((item, 0) for item in run.seed_items())}
    elements = [item for item in run.seed_items() if item.startswith("e")]
    photos = [item for item in run.seed_items() if item.startswith("p")]
    known = [item for item in run.seed_items() if item.startswith("s")]
    items = run.items()
    rewritten, images = run.now(run.rewritten, turn), run.now(run.images, turn)
    filtered, twins = run.now(run.filtered, turn), run.now(run.twins, turn)
    through_2 = _kept(items, rewritten)
    through_3 = _kept(through_2, images)
    through_4 = _kept(through_3, filtered)
    stages = [
        _stage("1a", "elements", elements, seeds, calls),
        _stage("1b", "images", photos, seeds, calls),
        _stage("siblings", "pairs", known, seeds, calls),
        _stage("2", "queries", items, rewritten, calls),
        _stage("3", "images", through_2, images, calls),
        _stage("4", "pairs", through_3, filtered, calls),
    ]
    if run.plan.config.twins.wanted:
        stages.append(_stage("twins", "twins", through_4, twins, calls))
    accepted = run.published(failed)
    n_withheld = len(run.withhold(run.accepted()))
    judge = run.plan.config.audit.judge
    paid = JudgePaid(0, None) if judge is None else judge_paid(judge, run.plan.out)
    costs = [*calls.cost.values(), *([] if paid.cost is None else [paid.cost])]
    cost = sum(costs) if costs else None
    return Yields(
        stages=tuple(stage for stage in stages if stage.n_in),
        n_accepted=len(accepted),
        n_twins=sum(one.twin is not None for one in accepted.values()),
        n_audit_failed=len(through_4) - len(accepted) - n_withheld,
        n_withheld=n_withheld,
        n_judged=paid.n_answers,
        n_calls=calls.n.total(),
        cost=cost,
        cost_per_pair=cost / len(accepted) if cost is not None and accepted else None,
    )


def _kept(items: list[str], records: Mapping[str, Outcome]) -> list[str]:
    return [item for item in items if item in records and records[item].is_kept]


def _stage(stage: StageName, unit: str, items: list[str], records: Mapping[str, Outcome], calls: _Calls) -> StageYield:
    there = [records[item] for item in items if item in records]
    return StageYield(
        stage=stage,
        unit=unit,
        n_in=len(items),
        n_kept=sum(record.is_kept for record in there),
        losses=dict(Counter(record.loss for record in there if record.loss is not None).most_common()),
        n_waiting=len(items) - len(there),
        n_calls=calls.n[stage],
        n_unusable=calls.unusable[stage],
        tokens_in=calls.tokens[stage, "in"],
        tokens_out=calls.tokens[stage, "out"],
        cost=calls.cost.get(stage),
    )


def render_yields(yields: Yields) -> str:
    """Lay the table out for people, with every loss below it."""
    head = ["Stage", "In", "Kept", "Kept %", "Lost", "Waiting", "Calls", "Unusable", "Tokens in", "Tokens out", "Cost"]
    rows = [
        [
            f"{stage.stage} {stage.unit}",
            f"{stage.n_in:,}",
            f"{stage.n_kept:,}",
            percent(stage.n_kept / stage.n_in) if stage.n_in else "",
            f"{sum(stage.losses.values()):,}",
            f"{stage.n_waiting:,}",
            f"{stage.n_calls:,}",
            f"{stage.n_unusable:,}",
            f"{stage.tokens_in:,}",
            f"{stage.tokens_out:,}",
            "-" if stage.cost is None else f"{stage.cost:,.4f}",
        ]
        for stage in yields.stages
    ]
    lines = [table(head, rows)]
    for stage in yields.stages:
        if stage.losses:
            lost = ", ".join(f"{name} {n:,}" for name, n in stage.losses.items())
            lines.append(f"lost in {stage.stage}: {lost}")
    if yields.n_audit_failed:
        lines.append(f"failed the audit: {amount(yields.n_audit_failed, 'pair')}, not published")
    if yields.n_withheld:
        lines.append(f"withheld by review: {amount(yields.n_withheld, 'pair')}, not published")
    per_pair = "" if yields.cost_per_pair is None else f"; {yields.cost_per_pair:,.4f} per accepted pair"
    cost = "" if yields.cost is None else f", cost {yields.cost:,.4f}"
    twins = f"{yields.n_twins:,} with a twin"
    judged = f" and {amount(yields.n_judged, 'answer')} of the judge" if yields.n_judged else ""
    lines.append(f"{amount(yields.n_calls, 'call')}{judged}{cost}{per_pair}")
    lines.append(f"accepted: {amount(yields.n_accepted, 'pair')}, {twins}")
    return "\n".join(lines)
