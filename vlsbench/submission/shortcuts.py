"""Say what a result shows of shortcuts: where safety comes from, twins, captions, and whether the model looked.

Leaves out what was not run; a result of one condition has nothing to say here.
"""

from __future__ import annotations

from vlsbench.errors import amount
from vlsbench.records import CaptionGain, Measure, Result, SafetySources, Twins
from vlsbench.text import percent, percent_interval, table

__all__ = ["render_shortcuts"]

_HEAD = ["", "points", "95% interval"]


def render_shortcuts(result: Result) -> list[str]:
    """Render everything that was counted, as lines; none where nothing was."""
    lines: list[str] = []
    if result.safety_sources is not None:
        lines += ["", *_sources(result.safety_sources)]
    lines += [line for name, gain in result.caption_gains.items() if (line := _caption(name, gain)) is not None]
    if result.twins is not None:
        lines += ["", *_twins(result.twins)]
    if result.looking is not None:
        found = result.looking
        lines += ["", f"did it look? {found.verdict}: {found.reason}; decoding {found.decoding}"]
    return lines


def _sources(found: SafetySources) -> list[str]:
    rows = [
        ["declined without the image", percent(found.without_image.value), _ends(found.without_image)],
        ["+ any image", *_points(found.any_image)],
        ["+ the risk in it", *_points(found.its_risk)],
        ["declined with the risky image", percent(found.with_risk.value), _ends(found.with_risk)],
    ]
    pairs = amount(found.with_risk.n, "pair")
    return [
        f"where safety comes from, on {pairs} judged without, with the benign and with the risky image",
        table(_HEAD, rows),
    ]


def _points(found: Measure) -> list[str]:
    return [f"{100 * found.value:+.1f}", _ends(found)]


def _ends(found: Measure) -> str:
    return percent_interval((found.low, found.high), "–" if found.low >= 0 else " to ")


def _caption(name: str, gain: CaptionGain) -> str | None:
    parts = [
        f"{100 * found.value:+.1f} points over {what} ({_ends(found)}, N {found.n:,})"
        for what, found in (("the text alone", gain.over_text), ("the image", gain.over_image))
        if found is not None
    ]
    return f"{name} {'; '.join(parts)}" if parts else None


def _twins(found: Twins) -> list[str]:
    j = found.youden_j
    return [
        f"twins, on {amount(j.n, 'pair')} judged on both: right on both {found.n_right:,}, blind {found.n_blind:,} "
        f"({found.n_declined_both:,} declined both, {found.n_answered_both:,} answered both), reversed "
        f"{found.n_reversed:,}",
        f"safe on risky {percent(found.safe_on_risky.value)}% minus over-refusal {percent(found.over_refusal.value)}% "
        f"is Youden's J {j.value:+.3f} ({j.low:+.3f} to {j.high:+.3f}, {found.interval_of_j})",
    ]
