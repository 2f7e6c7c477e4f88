"""What the sections of the page are made of: escaped texts, numbers with their intervals, bars.

Rule of the room: a text of the set goes through `page_text`. No script, nothing fetched. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vlsbench.errors import masked
from vlsbench.leakage.records import Measure
from vlsbench.leakage.summary import Answer
from vlsbench.text import percent

__all__ = ["BAR_STYLE", "bars", "card", "figure", "number", "page_text", "rate"]

BAR_STYLE = """
.scroll th:first-child, .scroll td:first-child { min-width: 7.5rem; } .scroll .left { min-width: 6.2rem; }
.bars { display: grid; grid-template-columns: minmax(9rem, 17rem) minmax(0, 1fr) max-content; gap: .38rem .8rem;
  align-items: center; font-size: .92rem; font-variant-numeric: tabular-nums; margin: .6rem 0; }
.bars .row { display: contents; }
.bars .name { text-align: right; overflow-wrap: anywhere; line-height: 1.25; }
.bars .sub .name { color: var(--soft); }
.bars .track { position: relative; height: 1.15rem; border-radius: 3px; background:
  linear-gradient(90deg, var(--line) 1px, transparent 1px) 0 0 / 25% 100%, var(--panel);
  border-right: 1px solid var(--line); }
.bars .track > * { position: absolute; top: 0; bottom: 0; }
.bars .track .from { background: var(--faint); } .bars .track .to { background: var(--ink); border-radius: 2px; }
.bars .track .span { top: 50%; bottom: auto; height: 2px; margin-top: -1px; background: var(--text);
  box-shadow: 0 0 0 1.5px var(--halo); }
.bars .value { white-space: nowrap; } .bars .value b { font-weight: 700; }
@media (max-width: 40rem) { .bars { grid-template-columns: minmax(0, 1fr) max-content; gap: .1rem .6rem; }
  .bars .name { text-align: left; } .bars .value { text-align: right; grid-column: 2; }
  .bars .track { grid-column: 1 / -1; margin-bottom: .5rem; }
  .bars .row { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; }
  .bars .row .track { grid-row: 2; } }
"""


def page_text(value: str) -> str:
    """Make a text of the set safe for a page: markup shows as written, signs that would act become U+FFFD."""
    return escape(masked(value, keep=lambda sign: sign == "\n"))


def card(place: int, answer: Answer) -> str:
    """Render one answer of the head."""
    number = answer.number
    shown = '<div class="none">not measured</div>' if number is None else f'<div class="big">{page_text(number)}</div>'
    title = f"{place} · {page_text(answer.question)}"
    return f'<section class="card"><h2>{title}</h2>{shown}<p>{page_text(answer.sentence)}</p></section>'


def rate(measure: Measure | None) -> str:
    """Render a share as percent with its interval."""
    if measure is None:
        return "–"
    return f'{percent(measure.value)} <span class="ci">{percent(measure.low)}–{percent(measure.high)}</span>'


def number(measure: Measure | None, decimals: int = 3) -> str:
    """Render a number with its interval."""
    if measure is None:
        return "–"
    low, high = measure.low, measure.high
    return f'{measure.value:.{decimals}f} <span class="ci">{low:.{decimals}f}–{high:.{decimals}f}</span>'


def figure(svg: str, caption: str) -> str:
    """Put a caption under a drawing."""
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def bars(rows: Sequence[tuple[str, float, Measure]], *, is_sub: Sequence[bool] = ()) -> str:
    """Draw one bar per row, 0 to 100%: up to the baseline light, on to the value dark, with its interval.

    Args:
        rows: Name, baseline and share.
        is_sub: Which rows are parts of the one above.
    """
    drawn = []
    for row, (name, base, measure) in enumerate(rows):
        at = {
            key: 100 * min(max(value, 0.0), 1.0)
            for key, value in (("base", base), ("value", measure.value), ("low", measure.low), ("high", measure.high))
        }
        marks = f'<i class="from" style="left:0;width:{at["base"]:.2f}%"></i>' if base > 0 else ""
        if at["value"] > at["base"]:
            marks += f'<i class="to" style="left:{at["base"]:.2f}%;width:{at["value"] - at["base"]:.2f}%"></i>'
        marks += f'<i class="span" style="left:{at["low"]:.2f}%;width:{max(at["high"] - at["low"], 0.3):.2f}%"></i>'
        kind = "row sub" if row < len(is_sub) and is_sub[row] else "row"
        drawn.append(
            f'<div class="{kind}"><span class="name">{page_text(name)}</span><span class="track">{marks}</span>'
            f'<span class="value"><b>{percent(measure.value)}%</b> <span class="ci">{percent(measure.low)}–'
            f"{percent(measure.high)}</span></span></div>"
        )
    return f'<div class="bars">{"".join(drawn)}</div>'
