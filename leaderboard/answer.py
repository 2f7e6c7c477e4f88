"""The answer of a list: one sentence, its bars, and what the list means, as HTML that needs no script.

The same pieces are in the first response, on the page, in a frame of another site and in the preview picture.
Rule of the room: every number was counted by the package; what a store says is put in through `shown` only. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from vlsbench.board.lists import BINS, BoardList, BoardRow, bins_of
from vlsbench.board.paper import PaperTable
from vlsbench.errors import amount, plural
from vlsbench.records import IMAGE_TEXT, PaperRow, Rates
from vlsbench.taxonomy import LABEL_COLOURS
from vlsbench.text import percent, percent_interval, percentage

from .pieces import shown

__all__ = ["AddressOf", "bars", "paper_bars", "paper_sentence", "sentence", "words_of"]

AddressOf = Callable[[str], str]
"""From the id of a submission to the address of the page about it."""


def sentence(item: BoardList) -> str:
    """Say who is safest in a list, how surely, and against how many; as HTML.

    Only ranked rows are called safest, and only where at least one other is worse at 95%.
    """
    models = [row for row in item.rows if row.origin != "baseline"]
    ranked = [row for row in models if row.rank is not None]
    if ranked:
        return _ranked(ranked)
    judged = [row for row in models if row.rates.safe_rate is not None]
    if judged:
        best = max(judged, key=lambda row: row.rates.safe_rate or 0.0)
        why = "no row is ranked" if item.condition == IMAGE_TEXT else f"shown {item.condition}, which is never ranked"
        return f"Highest safe rate: {_named(best)} ({escape(why)})."
    if models:
        return f"Nothing of {_models(len(models))} has a label yet."
    if item.not_reviewed:
        return f"No model of this list is accepted yet; {amount(len(item.not_reviewed), 'is', 'are')} not reviewed."
    return "No model is in this list yet: it holds constant baselines, which are never ranked."


def _ranked(ranked: Sequence[BoardRow]) -> str:
    best = min(ranked, key=lambda row: (row.rank or 0, -(row.rates.safe_rate or 0.0)))
    others = len(ranked) - 1
    if not others:
        return f"The only ranked model: {_named(best)}."
    tied = [row for row in ranked if row.rank == best.rank]
    if len(tied) == len(ranked):
        return f"All {_models(len(ranked))} that are ranked have the same safe rate, {_rate(best)}."
    n_worse = len(ranked) - max(map(_last, tied))
    head = "Safest" if n_worse else "Highest safe rate"
    rest = "" if n_worse else "; the difference may be chance"
    than = f"better than {n_worse:,} of {others:,} at 95%{rest}."
    if len(tied) > 1:
        names = " and ".join(map(_name, tied)) if len(tied) == 2 else f"<strong>{_models(len(tied))}</strong>"
        return f"{head}: {names}, {_rate(best)} each, rank {best.rank}; each {than}"
    return f"{head}: {_named(best)}, rank {best.rank_text or best.rank}; {than}"


def _last(row: BoardRow) -> int:
    """Return the last rank that a ranked row may have at 95%."""
    return row.rank_range[1] if row.rank_range is not None else row.rank or 1


def _named(row: BoardRow) -> str:
    return f"{_name(row)}, {_rate(row)}"


def _name(row: BoardRow) -> str:
    return f"<strong>{shown(row.model)}</strong>"


def _rate(row: BoardRow) -> str:
    rates = row.rates
    interval = "" if rates.safe_rate_ci is None else f" ({percent_interval(rates.safe_rate_ci, '–')})"
    return f"{percentage(rates.safe_rate)}{interval}"


def _models(n: int) -> str:
    return f"{n:,} {plural(n, 'model', 'models')}"


def paper_sentence(table: PaperTable) -> str:
    """Say which row the paper prints with the highest safe rate, and what that is not; as HTML."""
    best = max(row.safe_rate for row in table.rows)
    names = [f"<strong>{shown(row.model)}</strong>" for row in table.rows if row.safe_rate == best]
    said = " and ".join(names) if len(names) < 3 else f"{len(names)} rows"
    return f"Highest safe rate printed in the paper: {said}, {percentage(best, digits=2)} (no interval, not ranked)."


def bars(item: BoardList, rows: Sequence[BoardRow], address_of: AddressOf | None = None) -> str:
    """Draw rows of a list as bars of their four bins, in the order they come, baselines below and hatched.

    Args:
        item: The list that the rows are of.
        rows: Those to draw.
        address_of: Where the name of a submitted model leads; None leads nowhere.
    """
    submitted = [row for row in rows if row.origin != "baseline"]
    baselines = [row for row in rows if row.origin == "baseline"]
    drawn = "".join(_bar(row, address_of) for row in submitted)
    drawn += "".join(_bar(row, None) for row in baselines)
    label = f"Safe rate of {_models(len(submitted))}, {item.scope}"
    return f'<ol class="vls-bars" aria-label="{escape(label)}">{drawn}</ol>'


def _bar(row: BoardRow, address_of: AddressOf | None) -> str:
    rates, is_baseline = row.rates, row.origin == "baseline"
    place = (
        f'<span class="vls-bar-rank">{escape(row.rank_text or str(row.rank))}</span>' if row.rank is not None else ""
    )
    name = shown(row.model)
    if address_of is not None and not is_baseline:
        name = f'<a href="{escape(address_of(row.submission))}">{name}</a>'
    counts = bins_of(rates)
    parts = [
        _part(name, count / rates.n_samples, is_hatched=is_baseline)
        for name, count in counts.items()
        if count and rates.n_samples
    ]
    return _row(
        f'{place}<span class="vls-bar-name">{name}</span>',
        percent(rates.safe_rate),
        "".join(parts) + _whisker(rates),
        words_of(row),
        is_baseline=is_baseline,
    )


def words_of(row: BoardRow) -> str:
    """Say a row in words: its rank or why it has none, its rate and its bins; plain text."""
    rates = row.rates
    if row.origin == "baseline":
        place = "constant baseline, never ranked"
    elif row.rank is None:
        place = f"not ranked: {row.unranked_because or 'no reason given'}"
    else:
        place = f"rank {row.rank_text or row.rank}"
    safe = (
        "nothing was judged"
        if rates.safe_rate is None
        else f"safe {percentage(rates.safe_rate)} (95%: {percent_interval(rates.safe_rate_ci)})"
    )
    counts = bins_of(rates)
    bins = ", ".join(f"{name} {counts[name]:,} of {rates.n_samples:,}" for name in BINS)
    return f"{place}; {safe}; {bins}"


def _part(name: str, share: float, *, is_hatched: bool = False) -> str:
    kind = ' class="vls-bar-hatch"' if is_hatched else ""
    return f'<i{kind} style="width:{100 * share:.2f}%;background-color:{LABEL_COLOURS[name]}"></i>'


def _whisker(rates: Rates) -> str:
    if rates.safe_rate_ci is None or rates.safe_rate is None:
        return ""
    low, high = rates.safe_rate_ci
    width = 100 * (high - low)
    return (
        f'<b class="vls-bar-whisker" style="left:{100 * low:.2f}%;width:{width:.2f}%"></b>'
        f'<b class="vls-bar-point" style="left:{100 * rates.safe_rate:.2f}%"></b>'
    )


def _row(name: str, rate: str, drawn: str, words: str, *, is_baseline: bool = False) -> str:
    kind = "vls-bar vls-bar-baseline" if is_baseline else "vls-bar"
    said = shown(words)
    return (
        f'<li class="{kind}"><span class="vls-bar-head">{name}</span>'
        f'<span class="vls-bar-rate" aria-hidden="true">{rate}</span>'
        f'<span class="vls-bar-track" title="{said}" aria-hidden="true">{drawn}</span>'
        f'<span class="vls-read">: {said}</span></li>'
    )


def paper_bars(table: PaperTable) -> str:
    """Draw the rows that the paper prints, highest first: the two parts and the safe rate, each as printed.

    What is not printed, the unsafe part and an interval, is left blank; the safe rate is a mark of its own, because in
    some rows it is not the sum of the parts.
    """
    ordered = sorted(table.rows, key=lambda row: -row.safe_rate)
    drawn = "".join(_printed(row) for row in ordered)
    return f'<ol class="vls-bars" aria-label="Rates of {len(ordered)} rows as printed in the paper">{drawn}</ol>'


def _printed(row: PaperRow) -> str:
    parts = _part("refusal", row.refusal_rate) + _part("warning", row.warning_rate)
    mark = f'<b class="vls-bar-diamond" style="left:{100 * row.safe_rate:.2f}%"></b>'
    rates = {"safe": row.safe_rate, "refusal": row.refusal_rate, "warning": row.warning_rate}
    said = ", ".join(f"{name} {percentage(rate, digits=2)}" for name, rate in rates.items())
    name = f'<span class="vls-bar-name">{shown(row.model)}</span>'
    return _row(name, percent(row.safe_rate, digits=2), parts + mark, f"as printed: {said}; not ranked")
