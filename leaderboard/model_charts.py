"""Draw a model over the sub-categories: a point with its interval in every line, and a mark at the median of the list.

It is a table with drawn cells, so that it reads without eyes, prints, and needs no script.

Rule of the room: as in `charts`; every rate was counted by the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from vlsbench.records import Rates
from vlsbench.taxonomy import CATEGORIES, SubCategory
from vlsbench.text import percent, percent_interval

__all__ = ["profile", "stands"]


def profile(rates: Mapping[str, Rates], medians: Mapping[str, float]) -> str:
    """Lay out the safe rate in every sub-category that was asked, by category.

    Args:
        rates: By sub-category.
        medians: Of the models of the list, by sub-category.
    """
    bodies = []
    for category in CATEGORIES:
        subs = [sub for sub in category.sub_categories if sub.name in rates]
        if subs:
            head = (
                f'<tr class="vls-part"><th scope="rowgroup" colspan="3"><span class="vls-swatch" '
                f'style="background:{category.colour}" aria-hidden="true"></span> {escape(category.name)}</th></tr>'
            )
            lines = "".join(_line(sub, rates[sub.name], medians.get(sub.name)) for sub in subs)
            bodies.append(f"<tbody>{head}{lines}</tbody>")
    heads = ("Sub-category", "0 to 100%", "Safe % (95%)", "Median", "n")
    kinds = ("", "vls-track-head", "vls-number", "vls-number", "vls-number")
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind in zip(heads, kinds, strict=True))
    return (
        '<div class="vls-scroll" role="region" tabindex="0" aria-label="Safe rate in every sub-category">'
        f'<table class="vls-profile"><thead><tr>{head}</tr></thead>{"".join(bodies)}</table></div>'
    )


def _line(sub: SubCategory, rates: Rates, median: float | None) -> str:
    numbers = "–"
    if rates.safe_rate is not None:
        numbers = f"{percent(rates.safe_rate)} <small>({percent_interval(rates.safe_rate_ci)})</small>"
    return (
        f'<tr><th scope="row" title="{escape(sub.description)}">{escape(sub.name)}</th>'
        f'<td class="vls-track" aria-hidden="true">{_track(rates, median)}</td>'
        f'<td class="vls-number">{numbers}{_said(rates, median)}</td>'
        f'<td class="vls-number">{percent(median)}</td><td class="vls-number">{rates.n_samples:,}</td></tr>'
    )


def stands(rates: Rates, median: float | None) -> str | None:
    """Say where an interval lies: `above` or `below` a median that it leaves out; None where it holds it."""
    if rates.safe_rate_ci is None or median is None:
        return None
    low, high = rates.safe_rate_ci
    if low > median:
        return "above"
    return "below" if high < median else None


def _said(rates: Rates, median: float | None) -> str:
    where = stands(rates, median)
    return f'<span class="vls-unseen">, {where} the median</span>' if where else ""


def _track(rates: Rates, median: float | None) -> str:
    middle = "" if median is None else f'<i class="vls-median" style="left:{100 * median:.1f}%"></i>'
    if rates.safe_rate is None or rates.safe_rate_ci is None:
        return f"<span>{middle}</span>"
    low, high = (100 * end for end in rates.safe_rate_ci)
    return (
        f'<span class="vls-{stands(rates, median) or "within"}">{middle}'
        f'<i class="vls-reach" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<i class="vls-point" style="left:{100 * rates.safe_rate:.1f}%"></i></span>'
    )
