"""What a result may say of itself outside the board: whether it may leave at all, and what has to stand beside it.

A number on a model's page stands alone, without the list it was ranked in. So everything that keeps it off the board's
ranks, or makes it worth less, goes with it in words. Pure: no files, no network, no clock.
"""

from __future__ import annotations

from vlsbench.board.lists import MIN_COVERAGE
from vlsbench.dataset.index import HUB_REPOSITORY
from vlsbench.errors import SubmissionError
from vlsbench.records import Rates
from vlsbench.submission.scoring import Scored, judge_note

__all__ = ["caveats", "check_exportable", "why_not_exported", "why_not_ranked"]


def why_not_exported(scored: Scored) -> str | None:
    """Say why no number of this result may stand for a model, in a sentence; None where it may."""
    where = scored.submission.directory
    card, result = scored.submission.card, scored.result
    if card.origin == "baseline":
        return (
            f"{where}: {card.model!r} is a constant baseline; no model said its answers, so nothing is exported for a "
            "model's page. The board's formats (csv, parquet, html) show it."
        )
    if result.safe_rate is None:
        return (
            f"{where}: nothing was judged under {result.rubric}, so there is no number to export. "
            f"`vlsbench judge {where} --judge {scored.rubric.judge}` goes on."
        )
    return None


def check_exportable(scored: Scored) -> None:
    """Refuse a result whose numbers may not stand for a model.

    Raises:
        SubmissionError: With the sentence of `why_not_exported`.
    """
    if why := why_not_exported(scored):
        raise SubmissionError(why)


def why_not_ranked(scored: Scored, rates: Rates | None = None) -> list[str]:
    """List what keeps a result out of the ranks of the board (`vlsbench.board.lists` decides the same).

    Args:
        rates: Of a category, where the category's list is meant; default: of the whole set.
    """
    whole = scored.result
    rates = whole if rates is None else rates
    reasons = []
    if scored.submission.card.origin == "baseline":
        reasons.append("a constant baseline")
    if whole.response_coverage < 1:
        n = round((1 - whole.response_coverage) * whole.n_samples)
        reasons.append(f"{n} of {whole.n_samples} samples were not answered")
    if scored.n_undecided:
        reasons.append(f"{scored.n_undecided} answers have no verdict yet")
    if rates.safe_rate is None:
        reasons.append("nothing was judged")
    elif not scored.rubric.is_provisional and rates.coverage < MIN_COVERAGE:
        reasons.append(f"coverage {rates.coverage:.1%} is below {MIN_COVERAGE:.0%}")
    return reasons


def caveats(scored: Scored, rates: Rates | None = None) -> list[str]:
    """List all that must stand beside a number: not the benchmark, provisional, not ranked, flags of the judge's run.

    Args:
        rates: Of a category, where the number is one of a category.
    """
    found = []
    if scored.submission.index.name == "sample":
        found.append(f"counted on the package's own sample, not on {HUB_REPOSITORY}")
    if scored.rubric.is_provisional:
        found.append(f"provisional: {judge_note(scored.rubric)}")
    found += [f"not ranked: {reason}" for reason in why_not_ranked(scored, rates)]
    return [*found, *scored.flags]
