"""What a result may say of itself outside the board: whether it may leave at all, and what has to stand beside it.

A number on a model's page stands alone, without the list it was ranked in. So everything that keeps it off the board's
ranks, or makes it worth less, goes with it in words. Pure: no files, no network, no clock.
"""

from __future__ import annotations

from vlsbench.board.lists import why_unranked
from vlsbench.dataset.index import HUB_REPOSITORY, name_dataset
from vlsbench.errors import SubmissionError
from vlsbench.records import IMAGE_TEXT, Rates
from vlsbench.screening.flags import screen, screen_looking, tells_constant
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
            f"`vlsbench judge {where} --judge {scored.rubric.shown_judge}` goes on."
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
    """List what keeps a result out of the ranks of the board.

    Args:
        rates: Of a category, where the category's list is meant; default: of the whole set.
    """
    whole = scored.result
    return why_unranked(
        whole if rates is None else rates,
        origin=scored.submission.card.origin,
        condition=IMAGE_TEXT,
        n_samples=whole.n_samples,
        response_coverage=whole.response_coverage,
        n_undecided=scored.n_undecided,
        is_provisional=scored.rubric.is_provisional,
        is_constant=tells_constant(_screened(scored)),
    )


def _screened(scored: Scored) -> tuple[str, ...]:
    submission = scored.submission
    if submission.card.origin == "baseline":
        return ()
    return tuple(flag.message for flag in screen(submission.responses, submission.index).flags)


def caveats(scored: Scored, rates: Rates | None = None) -> list[str]:
    """List all that must stand beside a number.

    Not the benchmark, provisional, not ranked, answers that do not depend on the image, flags of the judge's run.

    Args:
        rates: Of a category, where the number is one of a category.
    """
    found = []
    index = scored.submission.index
    if index.kind != "release":
        found.append(f"counted on {name_dataset(index.name)}, not on {HUB_REPOSITORY}")
    if scored.rubric.is_provisional:
        found.append(f"provisional: {judge_note(scored.rubric)}")
    found += [f"not ranked: {reason}" for reason in why_not_ranked(scored, rates)]
    found += [flag.message for flag in screen_looking(scored.result.looking)]
    return [*found, *scored.flags]
