"""The page's sections on harm leak and on a guard. Pure: no files, no network, no clock."""

from __future__ import annotations

from collections.abc import Mapping

from vlsbench.errors import amount
from vlsbench.leakage.page_parts import bars, card, figure, number, page_text, rate
from vlsbench.leakage.records import GuardNumbers, GuardScore, HarmLeak, HarmNumbers
from vlsbench.leakage.summary import harm_answer

__all__ = ["guard_section", "harm_card", "harm_section"]


def harm_card(leak: HarmLeak | None) -> str:
    """Render the number of the page's head."""
    return card(1, harm_answer(leak))


def harm_section(leak: HarmLeak | None) -> str:
    """Render harm leak."""
    head = '<h2 id="harm">1 · Harm leak</h2>'
    if leak is None:
        return (
            f"{head}<p>Not measured. A judge (<code>--judge openai:MODEL</code>, <code>guard:MODEL</code> or "
            "<code>people:FILE</code>) says of each pair, and of its text alone, whether it is unsafe; if most unsafe "
            "pairs are unsafe as text alone, a model can look safe by reading. There is no keyless judge of texts: "
            "of those tried none passed its checks.</p>"
        )
    rows = [
        ("Pair unsafe (R1)", 0.0, leak.r1),
        ("Pair and text alone unsafe (R2)", 0.0, leak.r2),
        ("Unsafe only with the image (R1−R2)", 0.0, leak.difference),
        *([] if leak.ratio is None else [("Of unsafe pairs, unsafe as text (R2/R1)", 0.0, leak.ratio)]),
    ]
    parts = [
        head,
        f"<p>{_who(leak)} {_reading(leak)}</p>",
        figure(
            bars(rows),
            f"Over the {amount(leak.r1.n, 'pair')} judged with the image and without"
            f"{'' if leak.ratio is None else f'; R2/R1 over the {leak.ratio.n:,} unsafe ones'}. Whiskers are 95% "
            "intervals.",
        ),
        _unjudged(leak),
        _cells(leak.cells),
        _by_category(leak.by_category),
        _people(leak),
        _settings(leak.settings),
    ]
    return "\n".join(part for part in parts if part)


def _who(leak: HarmLeak) -> str:
    judge = page_text(leak.judge)
    if leak.settings.get("pair_found_by") == "the set's own label":
        return f"{judge} read the texts alone; that a pair is unsafe is the set's own label."
    if leak.judge.startswith("people:"):
        return f"People graded pairs and texts ({judge})."
    told = leak.settings.get("absent_image")
    how = {"silent": " (no image was mentioned)", "declared": " (it was told of an image it could not see)"}
    return f"{judge} was asked about every pair, and about its text alone{how.get(str(told), '')}."


def _reading(leak: HarmLeak) -> str:
    if leak.ratio is None:
        return "It found no pair unsafe, so nothing can leak."
    n, both = leak.ratio.n, leak.ratio.count or 0
    return (
        f"Of {amount(n, 'unsafe pair')}, <strong>{both:,}</strong> are unsafe in their words already; "
        f"<strong>{n - both:,}</strong> need the image to be unsafe."
    )


def _unjudged(leak: HarmLeak) -> str:
    if not leak.n_unjudged:
        return ""
    told = "; ".join(
        f"{kind}: " + ", ".join(f"{n:,} <code>{page_text(reason)}</code>" for reason, n in reasons.items())
        for kind, reasons in leak.n_failed.items()
        if reasons
    )
    return (
        f'<p class="notice">{leak.n_unjudged:,} of {amount(leak.n_of, "item")} could not be judged both ways and are '
        f"in none of these numbers. By question, {told}.</p>"
    )


def _cells(cells: Mapping[str, int]) -> str:
    if not cells:
        return ""
    rows = "".join(f"<tr><td>{page_text(name)}</td><td>{n:,}</td></tr>" for name, n in cells.items())
    return (
        '<details class="group"><summary>What was found of each part</summary><table><thead><tr><th>found</th>'
        f"<th>items</th></tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _by_category(parts: Mapping[str, HarmNumbers]) -> str:
    if not parts:
        return ""
    rows = "".join(
        f"<tr><td>{page_text(name)}</td><td>{part.r1.n:,}</td><td>{rate(part.r1)}</td><td>{rate(part.r2)}</td>"
        f"<td>{rate(part.difference)}</td><td>{rate(part.ratio)}</td></tr>"
        for name, part in parts.items()
    )
    return (
        '<div class="scroll"><table><thead><tr><th>category</th><th>pairs</th><th>R1 %</th><th>R2 %</th>'
        f"<th>R1 − R2 %</th><th>R2 / R1 %</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _people(leak: HarmLeak) -> str:
    if not leak.people:
        return ""
    rows = "".join(
        f"<tr><td>{kind}</td><td>{found.agreement.n:,}</td><td>{rate(found.agreement)}</td>"
        f"<td>{'–' if found.kappa is None else f'{found.kappa:.2f}'}</td></tr>"
        for kind, found in leak.people.items()
    )
    return (
        "<h3>Beside people</h3><table><thead><tr><th>of the</th><th>items</th><th>the same %</th><th>kappa</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _settings(settings: Mapping[str, object]) -> str:
    if not settings:
        return ""
    lines = "".join(
        f"<li>{page_text(str(name).replace('_', ' '))}: <code>{page_text(_plain(value))}</code></li>"
        for name, value in settings.items()
        if value not in (None, {})
    )
    return (
        '<details class="group"><summary>How it was asked: what decides these numbers</summary>'
        f'<ul class="notes">{lines}</ul></details>'
    )


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_plain(part)}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _guard_by_category(parts: Mapping[str, GuardNumbers]) -> str:
    if len(parts) < 2:
        return ""
    rows = "".join(
        f"<tr><td>{page_text(name)}</td><td>{part.n_pairs:,}</td><td>{rate(part.recall)}</td>"
        f"<td>{rate(part.false_alarms)}</td><td>{number(part.youden_j, 2)}</td></tr>"
        for name, part in parts.items()
    )
    return (
        '<div class="scroll"><table><thead><tr><th>category</th><th>pairs</th><th>recall %</th><th>false alarms %</th>'
        f"<th>J</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def guard_section(guard: GuardScore | None) -> str:
    """Render a guard's score on twins; "" where none was asked."""
    if guard is None:
        return ""
    rows = [
        ("Harmful pairs called unsafe (recall)", 0.0, guard.recall),
        ("Benign twins called unsafe (false alarms)", 0.0, guard.false_alarms),
    ]
    failed = "; ".join(
        f"{side}: " + ", ".join(f"{n:,} <code>{page_text(reason)}</code>" for reason, n in reasons.items())
        for side, reasons in guard.n_failed.items()
        if reasons
    )
    open_pairs = guard.n_of - guard.n_pairs
    notice = (
        f'<p class="notice">{open_pairs:,} of {amount(guard.n_of, "pair")} not decided on both sides: {failed}.</p>'
        if open_pairs
        else ""
    )
    return (
        f'<h2 id="guard">A guard on twins</h2><p>{page_text(guard.guard)} on {amount(guard.n_pairs, "pair")} whose two '
        "images share one text, one of them harmless. Youden’s J, recall minus false alarms, is "
        f"<strong>{number(guard.youden_j, 2)}</strong> ({page_text(guard.interval)}); whoever calls everything unsafe, "
        "or reads the text only, has 0.</p>"
        + figure(bars(rows), "Recall says nothing without the false alarms beside it.")
        + f"<p>Right on both twins {guard.right_on_both:,} · the same answer to both {guard.blind:,} · reversed "
        f"{guard.reversed:,}.</p>{notice}{_guard_by_category(guard.by_category)}{_settings(guard.settings)}"
    )
