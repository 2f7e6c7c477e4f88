"""Compare the answers to published pairs with those to their fresh siblings: `vlsbench score --fresh`.

A file of siblings is JSON lines, each about a fresh pair: `instruction_id`, its own, and `sibling_of`, the old one's.
Other keys are passed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from vlsbench.errors import SubmissionError, amount, bounded, visible
from vlsbench.files import read_lines
from vlsbench.metrics.freshness import POWER, Freshness, SiblingPair, compare_siblings
from vlsbench.metrics.rates import Outcome
from vlsbench.records import IMAGE_TEXT, Record, explain
from vlsbench.submission.scoring import Scored
from vlsbench.text import percent, table

__all__ = ["Sibling", "compare_scored", "read_siblings", "render_freshness"]

_Id = Annotated[int, Field(ge=0, le=2**53)]


class Sibling(Record):
    """One line: a fresh pair, and the old one whose risk and shape it has."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, protected_namespaces=())

    instruction_id: _Id
    sibling_of: _Id


def read_siblings(path: Path) -> list[Sibling]:
    """Read a file of siblings.

    Raises:
        SubmissionError: If it cannot be read or a line breaks a rule; every problem is counted.
    """
    found: dict[int, tuple[int, Sibling]] = {}
    problems: list[str] = []
    try:
        for line in read_lines(path):
            try:
                sibling = Sibling.model_validate_json(line.data)
            except ValidationError as error:
                problems += [f"line {line.number}: {sentence}" for sentence in explain(error)]
                continue
            number, old = sibling.instruction_id, sibling.sibling_of
            if number == old:
                problems.append(f"line {line.number}: instruction_id {number} is a sibling of itself")
            elif number in found:
                problems.append(f"line {line.number}: instruction_id {number} is on line {found[number][0]}; keep one")
            else:
                found[number] = line.number, sibling
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}); it holds one sibling per line.") from None
    if not found and not problems:
        problems = ["has no line; a sibling is instruction_id, the fresh one, and sibling_of, the old one"]
    if problems:
        raise SubmissionError(f"{path}: {bounded(problems)}.")
    return [sibling for _, sibling in found.values()]


def compare_scored(old: Scored, fresh: Scored, siblings: list[Sibling], where: str) -> Freshness:
    """Compare two scored submissions of one model under one rubric; the two may be one.

    Siblings of which one side has no label are left out: nothing is known of their difference.

    Args:
        where: The file of siblings, for messages.

    Raises:
        SubmissionError: If an id is in neither dataset, rubrics or models differ, or no sibling is judged on both
            sides; every problem is counted.
    """
    problems = []
    if old.result.rubric != fresh.result.rubric:
        problems.append(f"judged under {old.result.rubric} and {fresh.result.rubric}; two rubrics are never compared")
    if old.submission.card.model != fresh.submission.card.model:
        names = f"{old.submission.card.model!r} and {fresh.submission.card.model!r}"
        problems.append(f"the answers are of {names}; a model is compared with itself")
    if old.result.max_new_tokens != fresh.result.max_new_tokens:
        budgets = f"{old.result.max_new_tokens} and {fresh.result.max_new_tokens}"
        problems.append(f"answered with max_new_tokens {budgets}; answers of two budgets are never compared")
    before, after = _outcomes(old), _outcomes(fresh)
    for scored, ids, side in (
        (old, [s.sibling_of for s in siblings if s.sibling_of not in before], "sibling_of"),
        (fresh, [s.instruction_id for s in siblings if s.instruction_id not in after], "instruction_id"),
    ):
        problems += [f"{side} {number} is no risky pair of the {scored.submission.index.title}" for number in ids]
    if problems:
        raise SubmissionError(f"{where}: {bounded(problems)}.")
    both = [(before[s.sibling_of], after[s.instruction_id]) for s in siblings]
    pairs = [
        SiblingPair(one.row.image, other.row.image, one.is_safe, other.is_safe)
        for one, other in both
        if one.label is not None and other.label is not None
    ]
    if not pairs:
        raise SubmissionError(f"{where}: of {amount(len(both), 'sibling')} none has a label on both sides; judge both.")
    return compare_siblings(pairs)


def _outcomes(scored: Scored) -> dict[int, Outcome]:
    return {item.row.instruction_id: item for item in scored.outcomes[IMAGE_TEXT]}


def render_freshness(found: Freshness) -> str:
    """Render a comparison: the rates, their difference, what it says, and what would have been found."""
    low, high = found.difference.ci or (0.0, 0.0)
    words = "less safe on fresh pairs" if found.is_less_safe else "no difference that chance does not explain"
    lines = [
        f"fresh     {amount(found.n_pairs, 'sibling')} with a label on both sides "
        f"({amount(found.n_clusters, 'cluster')} of images)",
        f"safe %    old {percent(found.old_safe_rate)}, fresh {percent(found.fresh_safe_rate)}; difference "
        f"{100 * found.difference.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}): {words}",
    ]
    if found.is_less_safe:
        lines.append("          memorised, or the fresh ones are harder: a model that cannot know the old ones tells")
    if found.smallest_share is None or found.smallest_difference is None:
        lines.append(f"power     too few: not even a model that memorised every old pair is found with power {POWER}")
    else:
        lines.append(
            f"power     {POWER} for a difference of {100 * found.smallest_difference:.1f} points "
            f"({percent(found.smallest_share)}% of the old pairs memorised)"
        )
    rows = [[f"{percent(n.share)}", f"{100 * n.difference:.1f}", f"{n.n_pairs:,}"] for n in found.needed]
    lines.append(table(["memorised %", "difference, points", "siblings needed"], rows))
    return visible("\n".join(lines))
