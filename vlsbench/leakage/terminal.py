"""The report as text: three parts, never one number. Pure: no files, no network, no clock."""

from __future__ import annotations

from collections.abc import Iterator

from vlsbench.errors import amount, printable
from vlsbench.leakage.image_need import IMAGE_RULE_CHECK
from vlsbench.leakage.records import INTERVAL_OF, HarmNumbers, LeakageReport, Measure, Predictability, WeightsCard
from vlsbench.leakage.summary import (
    NUMBERS_OF_LABELS,
    cue_by_category,
    harm_answer,
    helpful_cues,
    labels_answer,
    need_answer,
)
from vlsbench.text import percent, table

__all__ = ["in_decimals", "in_percent", "render_leakage", "render_weights"]

_SHOWN_CUES = 12
_SHOWN_ITEMS = 8


def render_leakage(report: LeakageReport) -> str:
    """Render the report."""
    parts = [
        _head(report),
        _short(report),
        _harm(report),
        _guard(report),
        _predictability(report),
        _cues(report),
        _leaking(report),
        _need(report),
    ]
    parts += [_controls(report), "\n".join(f"note: {printable(note)}" for note in report.notes)]
    return "\n\n".join(part for part in parts if part)


def render_weights(card: WeightsCard) -> str:
    """Render what weights reach: every model, before and after."""
    what = "core" if card.kind == "core" else "weights"
    against = "" if card.target is None else f" against {printable(card.target)}"
    head = f"{what}{against}: {card.n:,} of {amount(card.n_of, 'text')}, effective N {card.effective_n:,.0f}"
    if card.effective_n_by_class:
        classes = [f"{printable(name)} {n:,.0f}" for name, n in card.effective_n_by_class.items()]
        head += f" ({', '.join(classes)})"
    rows = [
        [check.target, check.family, check.role, in_decimals(check.auc_before), in_decimals(check.auc_after)]
        for check in card.checks
    ]
    lines = [head]
    if rows:
        lines.append(table(["label", "model", "", "AUC before", "AUC weighted"], rows, left=3))
    return "\n".join([*lines, *(f"note: {printable(note)}" for note in card.notes)])


def in_percent(measure: Measure) -> str:
    """Render a share and its interval as percent.

    >>> in_percent(Measure(value=0.5, low=0.4, high=0.61, n=10))
    '50.0 (40.0–61.0)'
    """
    return f"{percent(measure.value)} ({percent(measure.low)}–{percent(measure.high)})"


def in_decimals(measure: Measure, decimals: int = 3) -> str:
    """Render a number and its interval.

    >>> in_decimals(Measure(value=0.5, low=0.4, high=0.61, n=10))
    '0.500 (0.400–0.610)'
    """
    return f"{measure.value:.{decimals}f} ({measure.low:.{decimals}f}–{measure.high:.{decimals}f})"


def _head(report: LeakageReport) -> str:
    dropped = [f"{n:,} {reason}" for reason, n in report.n_dropped.items()]
    left = f"; left out: {', '.join(dropped)}" if dropped else ""
    columns = [
        f"{role} {printable(column)}{' (set)' if role in report.columns_set else ''}"
        for role, column in report.columns.items()
        if column is not None
    ]
    how = "columns guessed" if report.format == "guessed" else f"read as {report.format}"
    groups = report.groups
    return "\n".join(
        [
            f"{printable(report.source)}: {amount(report.n, 'text')} ({how}{left})",
            f"columns: {'; '.join(columns)}",
            f"groups: {groups.n_groups:,} of image, near-duplicate text and template; the largest holds "
            f"{amount(groups.largest, 'text')}. {INTERVAL_OF}",
        ]
    )


def _short(report: LeakageReport) -> str:
    answers = (
        harm_answer(report.harm_leak),
        labels_answer(report.predictability, report.cues),
        need_answer(report.image_need),
    )
    lines = [
        f"{place}. {answer.question} {answer.number or 'Not measured.'} {printable(answer.sentence)}"
        for place, answer in enumerate(answers, 1)
    ]
    return "\n".join(["In short; the three are never added up:", *lines])


def _harm(report: LeakageReport) -> str:
    leak = report.harm_leak
    if leak is None:
        return (
            "1. Harm leak: not measured. It takes a judge: --judge openai:MODEL, guard:MODEL or people:FILE; there is "
            "no keyless R2."
        )
    by = "; the pair's harm is the set's own label" if leak.settings.get("pair_found_by") == _OWN_LABEL else ""
    rows = [
        _counted("pair unsafe (R1)", leak.r1),
        _counted("pair and text alone unsafe (R2)", leak.r2),
        _counted("unsafe only with the image (R1 - R2)", leak.difference),
        _counted("of the unsafe pairs, unsafe as text (R2 / R1)", leak.ratio),
    ]
    parts = [f"1. Harm leak, judged by {printable(leak.judge)}{by}", table(["", "% (95%)", ""], rows)]
    if leak.by_category:
        cells = [
            [f"  {printable(name)}", f"{part.r1.n:,}", *(_percent(m) for m in _four(part))]
            for name, part in leak.by_category.items()
        ]
        parts += ["", table(["per category", "pairs", "R1", "R2", "R1 - R2", "R2 / R1"], cells)]
    if leak.n_unjudged:
        told = [
            f"{kind}: {', '.join(f'{n:,} {reason}' for reason, n in reasons.items())}"
            for kind, reasons in leak.n_failed.items()
            if reasons
        ]
        parts.append(f"not judged, and in none of these: {leak.n_unjudged:,} of {leak.n_of:,} ({'; '.join(told)})")
    for kind, found in leak.people.items():
        kappa = "–" if found.kappa is None else f"{found.kappa:.2f}"
        parts.append(f"beside people, on the {kind}: {_percent(found.agreement)} the same, kappa {kappa}")
    return "\n".join(parts)


_OWN_LABEL = "the set's own label"


def _four(numbers: HarmNumbers) -> tuple[Measure | None, ...]:
    return numbers.r1, numbers.r2, numbers.difference, numbers.ratio


def _percent(measure: Measure | None) -> str:
    return "–" if measure is None else in_percent(measure)


def _counted(name: str, measure: Measure | None) -> list[str]:
    if measure is None:
        return [name, "–", ""]
    return [name, in_percent(measure), "" if measure.count is None else f"{measure.count:,} of {measure.n:,}"]


def _guard(report: LeakageReport) -> str:
    guard = report.guard
    if guard is None:
        return ""
    rows = [
        _counted("harmful pairs called unsafe (recall)", guard.recall),
        _counted("benign twins called unsafe (false alarms)", guard.false_alarms),
    ]
    line = (
        f"Youden's J {in_decimals(guard.youden_j, 2)}, {guard.interval}; right on both {guard.right_on_both:,}, blind "
        f"{guard.blind:,}, reversed {guard.reversed:,}"
    )
    head = f"{printable(guard.guard)} on {guard.n_pairs:,} of {amount(guard.n_of, 'pair')} with benign twins"
    parts = [head, table(["", "% (95%)", ""], rows), line]
    if len(guard.by_category) > 1:
        cells = [
            [
                f"  {printable(name)}",
                f"{part.n_pairs:,}",
                in_percent(part.recall),
                in_percent(part.false_alarms),
                in_decimals(part.youden_j, 2),
            ]
            for name, part in guard.by_category.items()
        ]
        parts += ["", table(["per category", "pairs", "recall %", "false alarms %", "J"], cells)]
    return "\n".join(parts)


def _predictability(report: LeakageReport) -> str:
    title = "2. Label predictability: what a small text model tells without the image"
    if not report.predictability:
        return f"{title}\nnot measured; the notes say why."
    rows = [_predicted(found) for found in report.predictability]
    lines = table(["label", "texts", "classes", "majority %", "accuracy %", "AUC", "bits", "p"], rows)
    return "\n".join([title, lines, NUMBERS_OF_LABELS, *_by_category(report)])


def _predicted(found: Predictability) -> list[str]:
    low, high = found.bits_interval
    return [
        found.target,
        f"{found.n:,}",
        str(found.n_classes),
        percent(found.majority),
        in_percent(found.accuracy),
        in_decimals(found.auc),
        f"{found.bits:.2f} ({low:.2f}–{high:.2f}) of {found.entropy_bits:.2f}",
        f"{found.p_value:.3f}",
    ]


def _by_category(report: LeakageReport) -> Iterator[str]:
    for found in report.predictability:
        if len(found.by_category) < 2:
            continue
        of_cue = cue_by_category(found, report.cues)
        rows = [
            [
                f"  {printable(name)}",
                f"{part.n:,}",
                in_percent(part.accuracy),
                "–" if part.auc is None else in_decimals(part.auc),
                in_decimals(part.bits, 2),
                in_percent(of_cue[name]) if name in of_cue else "–",
            ]
            for name, part in found.by_category.items()
        ]
        yield ""
        yield table([f"{found.target}, per category", "texts", "accuracy %", "AUC", "bits", "best cue %"], rows)


def _cues(report: LeakageReport) -> str:
    if not report.cues:
        return ""
    cues = helpful_cues(report.cues, n=_SHOWN_CUES)
    rows = [[printable(c.name), c.target, in_percent(c.accuracy), percent(c.majority)] for c in cues]
    return "   Trivial cues, best first\n" + table(["cue alone", "label", "accuracy %", "majority %"], rows, left=2)


_NEED_MEMBERS = {
    "answerable without looking": "answerable_without",
    "answers that change with the image swapped": "changes_when_swapped",
    "answers that change with the image removed": "changes_when_removed",
    "images described that were never sent": "mirage_rate",
}


def _need(report: LeakageReport) -> str:
    need = report.image_need
    rows = []
    if need.points_at_image is not None:
        count, n = need.points_at_image.count or 0, need.points_at_image.n
        rows.append(["texts that point at an image", in_percent(need.points_at_image), f"{count:,} of {n:,}"])
        rows += [[f"  {printable(k)}", in_percent(m), f"{m.count:,} of {m.n:,}"] for k, m in need.by_origin.items()]
        rows += [[f"  {printable(k)}", in_percent(m), f"{m.count:,} of {m.n:,}"] for k, m in need.by_category.items()]
    for name, member in _NEED_MEMBERS.items():
        measure = getattr(need, member)
        rows.append([name, "not measured", ""] if measure is None else _counted(name, measure))
        rows += [_counted(f"  {printable(k)}", m) for k, m in need.others_by_category.get(member, {}).items()]
    check = IMAGE_RULE_CHECK
    rule = (
        f"(the rule reads words; against a person it is right on {check.n_agreed} of {check.n} VLSBench texts, kappa "
        f"{check.kappa:.2f})"
    )
    return "3. Image need\n" + table(["", "% (95%)", ""], rows) + f"\n{rule}"


def _leaking(report: LeakageReport) -> str:
    items = report.most_leaking[:_SHOWN_ITEMS]
    if not items:
        return ""
    rows = [
        [printable(item.id), item.label, ", ".join(word.word for word in item.words), f"{item.pvi:.2f}"]
        for item in items
    ]
    head = f"   Texts that give most away of {items[0].target}"
    return head + "\n" + table(["id", "label", "words that carry it", "bits"], rows, left=3)


def _controls(report: LeakageReport) -> str:
    rows = [
        [control.name, control.expected, f"{control.value:.2f}", "passed" if control.passed else "NOT PASSED"]
        for control in report.controls
    ]
    return "Controls\n" + table(["", "expected", "found", ""], rows, left=2)
