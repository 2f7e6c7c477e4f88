"""The report as one page: no script, nothing fetched, light and dark, images hidden until asked for.

Rule of the room: a text of the set goes through `page_text`, which escapes it. The numbers are the report's; the page
adds what a table cannot show: where the bits lie, which words carry them, what the null gave. It quotes texts of the
set, so it is for whoever holds the set; the JSON quotes none. Same audit, same bytes. No network, no clock.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from vlsbench.dataset.pictures import Picture, open_picture
from vlsbench.errors import DataError, amount
from vlsbench.leakage.audit import Audit
from vlsbench.leakage.harm_page import guard_section, harm_card, harm_section
from vlsbench.leakage.image_need import IMAGE_RULE_CHECK
from vlsbench.leakage.page_parts import BAR_STYLE, bars, card, figure, number, page_text, rate
from vlsbench.leakage.records import INTERVAL_OF, LeakageReport, LeakingItem, Measure, Predictability
from vlsbench.leakage.summary import NUMBERS_OF_LABELS, cue_by_category, helpful_cues, labels_answer, need_answer
from vlsbench.text import percent

__all__ = ["render_page"]

_SHOWN_CUES: Final = 16
_THUMBNAIL: Final = 320
"""Longest side of an image on the page, pixels: 50 of them are about 1 MB."""
_MAX_TEXT: Final = 600
"""Signs of a text that are shown."""

_STYLE: Final = """
:root { color-scheme: light dark; --page: #fff; --text: #1a2230; --soft: #5a6575; --line: #d8dde5; --panel: #f5f7fa;
  --ink: #0b5cad; --faint: #c9d3df; --mark: 217, 119, 6; --good: #11703c; --bad: #b42318; --halo: #fff; }
@media (prefers-color-scheme: dark) { :root { --page: #12161d; --text: #e7ebf1; --soft: #a3afbf; --line: #323b49;
  --panel: #1b222c; --ink: #7cb8ff; --faint: #3c4858; --mark: 251, 191, 36; --good: #6ee7a0; --bad: #ff9c92;
  --halo: #12161d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.75rem 1.25rem 4rem; max-width: 62rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.4rem; margin: 3rem 0 .4rem; padding-top: .8rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.8rem 0 .3rem; }
p { margin: .45rem 0; max-width: 72ch; }
code { font: .86em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.lead { font-size: 1.12rem; }
.soft { color: var(--soft); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .9rem;
  margin: 1.4rem 0 .6rem; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1rem; }
.card h2 { all: unset; display: block; font-size: .82rem; font-weight: 600; color: var(--soft); }
.card .big { font-size: 2rem; font-weight: 700; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card .none { font-size: 1.25rem; font-weight: 600; color: var(--soft); line-height: 1.9; }
.card p { margin: .2rem 0 0; font-size: .9rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-variant-numeric: tabular-nums;
  font-size: .94rem; }
caption { text-align: left; color: var(--soft); font-size: .88rem; padding-bottom: .2rem; }
th, td { padding: .42rem .5rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { font-weight: 500; } thead th { font-size: .8rem; color: var(--soft); font-weight: 600; }
th:first-child, td:first-child, .left { text-align: left; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.ci { color: var(--soft); font-size: .86em; white-space: nowrap; }
figure { margin: .6rem 0 1rem; } figcaption { color: var(--soft); font-size: .88rem; max-width: 72ch; }
svg { display: block; width: 100%; height: auto; overflow: visible; font: 12.5px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .dim { fill: var(--soft); } svg .base { stroke: var(--line); }
svg .from { fill: var(--faint); } svg .to { fill: var(--ink); } svg .whisker { stroke: var(--text); stroke-width: 1.6; }
svg .seen { stroke: var(--bad); stroke-width: 2; } svg .halo { stroke: var(--halo); stroke-width: 4; }
ol.items { list-style: none; padding: 0; margin: .6rem 0; }
ol.items li { border-bottom: 1px solid var(--line); padding: .55rem 0; display: grid;
  grid-template-columns: 5.5rem minmax(0, 1fr); gap: .2rem .9rem; }
ol.items .bits { font-weight: 700; font-variant-numeric: tabular-nums; } ol.items .meta { color: var(--soft);
  font-size: .84rem; }
ol.items blockquote { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
mark { color: inherit; border-radius: 3px; padding: 0 .12em; background: rgba(var(--mark), var(--w)); }
details > summary { cursor: pointer; } details.group { margin: .8rem 0; } details.group > summary { font-weight: 600; }
details.picture summary { color: var(--ink); font-size: .84rem; width: max-content; }
details.picture img { display: block; max-width: 100%; margin-top: .4rem; border-radius: 6px;
  border: 1px solid var(--line); }
.passed { color: var(--good); font-weight: 600; } .failed { color: var(--bad); font-weight: 700; }
.notice { margin-top: 1.1rem; max-width: none; border-left: 4px solid #b45309; background: var(--panel);
  border-radius: 4px; padding: .5rem .8rem; }
ul.notes { padding-left: 1.1rem; } ul.notes li { margin: .25rem 0; max-width: 72ch; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .88rem; }
@media (max-width: 40rem) { ol.items li { grid-template-columns: 1fr; } body { padding: 1.1rem .9rem 3rem; }
  .card .big { font-size: 1.7rem; } }
"""


def render_page(audit: Audit, *, has_images: bool = True) -> str:
    """Render the page.

    Args:
        has_images: Put thumbnails of the most leaking items into the page, each behind a click.
    """
    report = audit.report
    parts = [
        _header(report),
        harm_section(report.harm_leak),
        guard_section(report.guard),
        _predictability_section(audit, has_images=has_images),
        _need_section(audit),
        _controls_section(report),
        _notes(report),
    ]
    title = f"Leakage audit of {report.source}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Should a text ever get past `page_text`: nothing on this page may run or load.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n<link rel="icon" href="data:,">\n'
        f"<title>{page_text(title)}</title>\n<style>{_STYLE}{BAR_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<footer>Made by vlsbench {escape(report.version)}, seed {report.settings.get('seed')}. "
        "The page quotes texts of the set; the JSON report quotes none.</footer>\n</body>\n</html>\n"
    )


# --- The head -----------------------------------------------------------------------------------------------


def _header(report: LeakageReport) -> str:
    columns = ", ".join(
        f"{role} <code>{page_text(column)}</code>{' (set)' if role in report.columns_set else ''}"
        for role, column in report.columns.items()
        if column is not None
    )
    how = "Columns were guessed" if report.format == "guessed" else f"Read as {page_text(report.format)}"
    dropped = "".join(f"; left out: {n:,} {page_text(reason)}" for reason, n in report.n_dropped.items())
    labels, need = card(2, labels_answer(report.predictability, report.cues)), card(3, need_answer(report.image_need))
    return f"""<header>
<h1>What the text of {page_text(report.source)} gives away</h1>
<p class="lead">{amount(report.n, "text")} in {report.groups.n_groups:,} groups that differ in image, wording and
template. Three questions, three numbers; they are never added up.</p>
<p class="soft">{how}: {columns}{dropped}.
{INTERVAL_OF}</p>
<div class="cards">{harm_card(report.harm_leak)}{labels}{need}</div>
<p class="notice" role="note"><strong>Content notice.</strong> This page quotes texts of a safety benchmark. Images stay
hidden until you open them.</p>
</header>"""


# --- 2 ------------------------------------------------------------------------------------------------------


def _predictability_section(audit: Audit, *, has_images: bool) -> str:
    report = audit.report
    head = '<h2 id="labels">2 · Label predictability</h2>'
    if not report.predictability:
        return f"{head}<p>Not measured; the notes at the end say why.</p>"
    rows = "".join(
        f"<tr><td>{page_text(p.target)}</td><td>{p.n:,}</td><td>{p.n_classes}</td><td>{percent(p.majority)}</td>"
        f"<td>{rate(p.accuracy)}</td><td>{number(p.auc)}</td><td>{p.bits:.2f} of {p.entropy_bits:.2f}"
        f' <span class="ci">{p.bits_interval[0]:.2f}–{p.bits_interval[1]:.2f}</span></td><td>{p.p_value:.3f}</td></tr>'
        for p in report.predictability
    )
    parts = [
        head,
        "<p>A small text model reads part of the set and guesses the labels of texts it never saw. It never "
        "sees an image, "
        "so whatever it gets right the text gives away. A larger model may find more.</p>",
        '<div class="scroll"><table><thead><tr><th>label</th><th>texts</th><th>classes</th><th>largest class %</th>'
        "<th>right %</th><th>AUC</th><th>bits</th><th>p</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div><p class=soft>{NUMBERS_OF_LABELS}</p>",
        figure(
            bars([(p.target, p.majority, p.accuracy) for p in report.predictability]),
            "Share of labels guessed right from the text alone (dark), above always naming the largest class (light). "
            "Whiskers are 95% intervals.",
        ),
    ]
    if report.cues:
        shown = helpful_cues(report.cues, n=_SHOWN_CUES)
        parts += [
            "<h3>Trivial cues, best first</h3><p>One glance each, without any model: most above the largest class "
            "first. A cue that does nearly as well as the model says what the model learnt.</p>",
            figure(
                bars([(f"{c.name} → {c.target}", c.majority, c.accuracy) for c in shown]),
                "Share right by the cue alone (dark), above the largest class (light).",
            ),
        ]
    for found in report.predictability:
        parts.append(_target_details(audit, found, has_images=has_images))
    return "\n".join(parts)


def _target_details(audit: Audit, found: Predictability, *, has_images: bool) -> str:
    fit = audit.fits[found.target]
    parts = [
        f'<details class="group"><summary>{page_text(found.target)}: bits per text, categories, the texts that give '
        "most away</summary>"
    ]
    parts.append(
        figure(
            _histogram(fit.pvi.tolist(), "bits that a text tells of its label", zero=True),
            "Right of 0 a text helps to guess its label; left of 0 it misleads.",
        )
    )
    values = found.null.get("values")
    if values:
        observed = float(found.null["observed"])
        parts.append(
            figure(
                _histogram(values, "held-out correlation", seen=observed),
                "The null: what a quick model finds when labels are dealt out anew, "
                f"{found.null['permutations']} times; "
                f"the line is what it finds with the true labels (p = {found.p_value:.3f}).",
            )
        )
    if len(found.by_category) > 1:
        of_cue = cue_by_category(found, audit.report.cues)
        rows = "".join(
            f"<tr><td>{page_text(name)}</td><td>{part.n:,}</td><td>{rate(part.accuracy)}</td><td>{number(part.auc)}</td>"
            f"<td>{number(part.bits, 2)}</td><td>{rate(of_cue.get(name))}</td></tr>"
            for name, part in found.by_category.items()
        )
        parts.append(
            '<div class="scroll"><table><thead><tr><th>category</th><th>texts</th><th>right %</th><th>AUC</th>'
            "<th>bits</th><th>best cue, right %</th>"
            f"</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    items = [item for item in audit.report.most_leaking if item.target == found.target]
    if items:
        parts.append("<h3>The texts that give most away</h3><p>Marked are the words that carry it.</p>")
        parts.append(_items(audit, items, has_images=has_images))
    parts.append("</details>")
    return "\n".join(parts)


_POINTING: Final = {True: " · points at an image", False: " · needs no image", None: ""}


def _items(audit: Audit, items: Iterable[LeakingItem], *, has_images: bool) -> str:
    by_id = {item.id: item for item in audit.audited.items}
    lines = []
    for item in items:
        source = by_id[item.id]
        weights = {word.word: word.weight for word in item.words}
        picture = _picture(audit, item.id) if has_images else ""
        pointing = _POINTING[item.points_at_image]
        lines.append(
            f'<li><div><span class="bits">{item.pvi:.2f} bits</span><div class="meta">{page_text(item.id)}</div></div>'
            f'<div><blockquote>{_marked(source.text, weights)}</blockquote><div class="meta">'
            f"{page_text(item.label)}{pointing}"
            f"</div>{picture}</div></li>"
        )
    return f'<ol class="items">{"".join(lines)}</ol>'


def _marked(text: str, weights: Mapping[str, float]) -> str:
    shown = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " …"
    highest = max(weights.values(), default=1.0)
    out = []
    for part in re.split(r"(\w+(?:['’]\w+)*)", shown):
        weight = weights.get(part.lower().replace("’", "'"))
        if weight is None:
            out.append(page_text(part))
        else:
            out.append(f'<mark style="--w:{0.15 + 0.55 * weight / highest:.2f}">{page_text(part)}</mark>')
    return "".join(out)


def _picture(audit: Audit, item_id: str) -> str:
    item = next(item for item in audit.audited.items if item.id == item_id)
    data = audit.audited.picture(item)
    thumbnail = None if data is None else _thumbnail(data)
    if thumbnail is None:
        return ""
    return (
        f'<details class="picture"><summary>Show the image</summary><img alt="image of {page_text(item.id)}" '
        f'src="data:image/jpeg;base64,{thumbnail}"></details>'
    )


def _thumbnail(data: bytes) -> str | None:
    try:
        image = open_picture(Picture(data, "image/png"))  # decoded by what it holds
    except DataError:
        return None
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=72)
    return base64.b64encode(out.getvalue()).decode()


# --- 3 and the rest -----------------------------------------------------------------------------------------


def _need_section(audit: Audit) -> str:
    report = audit.report
    need = report.image_need
    parts = ['<h2 id="need">3 · Image need</h2>']
    if need.points_at_image is not None:
        rows: list[tuple[str, float, Measure]] = [("all texts", 0.0, need.points_at_image)]
        rows += [(name, 0.0, m) for name, m in {**need.by_origin, **need.by_category}.items()]
        check = IMAGE_RULE_CHECK
        parts.append(
            figure(
                bars(rows, is_sub=[place > 0 for place in range(len(rows))]),
                "Share of texts that point at an image: “this tool”, “the scene in the picture”, “them” with "
                "nothing before "
                f"it. The rule reads words; against a person it is right on {check.n_agreed} of {check.n} texts "
                "of VLSBench "
                f"(kappa {check.kappa:.2f}).",
            )
        )
    measured = [
        ("Answerable without looking", "answerable_without"),
        ("Answers that change when the image is swapped", "changes_when_swapped"),
        ("Answers that change when the image is removed", "changes_when_removed"),
        ("Images described that were never sent (mirage)", "mirage_rate"),
    ]
    shares: list[tuple[str, Measure | None]] = []
    for name, member in measured:
        shares.append((name, getattr(need, member)))
        shares += [(f"… {page_text(k)}", m) for k, m in need.others_by_category.get(member, {}).items()]
    body = "".join(f"<tr><td>{name}</td><td>{'not measured' if m is None else rate(m)}</td></tr>" for name, m in shares)
    parts.append(f"<table><thead><tr><th></th><th>%</th></tr></thead><tbody>{body}</tbody></table>")
    complete = [item for item, points in zip(audit.audited.items, audit.is_pointing, strict=True) if not points][:30]
    if complete and need.points_at_image is not None:
        lines = "".join(
            f'<li><div class="meta">{page_text(i.id)}</div><blockquote>{_marked(i.text, {})}</blockquote></li>'
            for i in complete
        )
        parts.append(
            f'<details class="group"><summary>The first {len(complete)} texts that point at no image</summary>'
            f'<ol class="items">{lines}</ol></details>'
        )
    return "\n".join(parts)


def _controls_section(report: LeakageReport) -> str:
    rows = "".join(
        f"<tr><td>{page_text(c.name)}</td><td class=left>{page_text(c.expected)}</td><td>{c.value:.2f}</td>"
        f'<td><span class="{"passed" if c.passed else "failed"}">'
        f"{'passed' if c.passed else 'NOT PASSED'}</span></td></tr>"
        for c in report.controls
    )
    return (
        '<h2 id="controls">Controls</h2><p>The same code on sets whose answer is known, made of the packaged '
        "drawn sample and "
        "of planted words. What a control guards is not printed where it fails.</p>"
        '<div class="scroll"><table><thead><tr><th>control</th><th class=left>expected</th><th>found</th><th>'
        "</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _notes(report: LeakageReport) -> str:
    settings = "".join(f"<li>{page_text(str(k))}: {page_text(str(v))}</li>" for k, v in report.settings.items())
    notes = "".join(f"<li>{page_text(note)}</li>" for note in report.notes)
    return f'<h2 id="notes">Notes</h2><ul class="notes">{notes}{settings}</ul>'


# --- Figures ------------------------------------------------------------------------------------------------


def _histogram(values: Sequence[float], label: str, *, zero: bool = False, seen: float | None = None) -> str:
    """Draw counts of values in 40 bins, with a line at 0 or where the true value lies."""
    low, high = min(values), max(values)
    if seen is not None:
        low, high = min(low, seen), max(high, seen)
    span = (high - low) or 1.0
    low, high = low - 0.02 * span, high + 0.02 * span
    n_bins, width, height = 40, 680, 130
    counts = [0] * n_bins
    for value in values:
        counts[min(int((value - low) / (high - low) * n_bins), n_bins - 1)] += 1
    top = max(counts)
    parts = [f'<line class="base" x1="20" x2="{20 + width}" y1="{height}" y2="{height}"/>']
    for place_of_bin, count in enumerate(counts):
        tall = (height - 10) * count / top
        x = 20 + width * place_of_bin / n_bins
        if count:
            parts.append(
                f'<rect class="to" x="{x + 0.6:.1f}" y="{height - tall:.1f}" width="{width / n_bins - 1.2:.1f}" '
                f'height="{tall:.1f}"/>'
            )

    def place(value: float) -> float:
        return 20 + width * (value - low) / (high - low)

    mark = seen if seen is not None else 0.0 if zero and low < 0 < high else None
    if mark is not None:
        parts.append(f'<line class="seen" x1="{place(mark):.1f}" x2="{place(mark):.1f}" y1="0" y2="{height}"/>')
    for value in (low, high):
        anchor = "start" if value == low else "end"
        parts.append(
            f'<text class="dim" x="{place(value):.1f}" y="{height + 16}" text-anchor="{anchor}">{value:.2f}</text>'
        )
    parts.append(
        f'<text class="dim" x="{20 + width / 2}" y="{height + 16}" text-anchor="middle">{page_text(label)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {width + 40} {height + 22}" role="img" aria-label="{page_text(label)}">'
        f"{''.join(parts)}</svg>"
    )
