"""The board as one static page: no script, nothing fetched, light and dark, for a screen of any width.

Rule of the room: a text of a submission, a rubric or a server goes through `_text`, which escapes it; the order, the
ranks and the numbers are the board's. Same board, same bytes. Pure: no files, no network, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vlsbench.board.columns import Column, Place, Value, columns_at, paper_columns_at, text_of
from vlsbench.board.lists import BINS, OVERALL, Board, BoardList, BoardRow, bins_of
from vlsbench.board.paper import PaperTable
from vlsbench.dataset.index import load_index, name_dataset
from vlsbench.errors import amount, masked
from vlsbench.records import Estimate, PaperRow, Rates
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, LABEL_COLOURS
from vlsbench.text import percent, percent_interval, percentage

__all__ = ["render_html"]

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1a2230; --soft: #556070; --line: #d5dae2; --panel: #f4f6f9;
  --badge: #fde68a; --badge-text: #451a03; --whisker: #111; --halo: #fff; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --page: #12161d; --text: #e7ebf1; --soft: #a3afbf; --line: #323b49;
  --panel: #1b222c; --badge: #6b4e00; --badge-text: #fff3cd; --link: #7cb8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 76rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.45rem; margin: 3rem 0 .5rem; padding-top: .75rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
p { margin: .4rem 0; max-width: 78ch; }
a { color: var(--link); }
code { font: .86em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.lead { font-size: 1.15rem; font-weight: 600; }
.notice, .provisional, .intro { border-left: 4px solid var(--line); background: var(--panel); border-radius: 4px;
  padding: .5rem .8rem; }
.notice, .provisional { border-color: #b45309; }
nav ul, .legend { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; margin: .8rem 0; padding: 0; }
.legend li { display: flex; align-items: center; gap: .4rem; font-size: .9rem; }
.legend i { width: 14px; height: 14px; border-radius: 2px; }
.legend .mark { width: 22px; height: 2px; background: var(--text); }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; margin: .4rem 0; }
.facts div { min-width: 0; }
.facts dt { font-size: .78rem; color: var(--soft); }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.facts code { font-weight: 400; }
.badge { display: inline-block; background: var(--badge); color: var(--badge-text); border-radius: 999px;
  padding: 0 .55em; font-size: .8em; font-weight: 600; margin-left: .4em; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .88rem; padding-bottom: .3rem; }
th, td { padding: .5rem .55rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
thead th { font-size: .8rem; color: var(--soft); font-weight: 600; vertical-align: bottom; }
th.model, th.bar, td.bar { text-align: left; }
th.model { width: 27%; }
tbody th { font-weight: inherit; }
.name { font-weight: 600; overflow-wrap: anywhere; }
.sub { display: block; color: var(--soft); font-size: .84rem; font-weight: 400; overflow-wrap: anywhere; }
td.safe { font-weight: 700; }
td .sub { white-space: nowrap; }
td.bar { width: 22%; min-width: 9rem; }
.baseline .name { font-style: italic; font-weight: 400; }
.baseline rect { opacity: .65; }
svg { display: block; width: 100%; height: 20px; margin-top: .15rem; overflow: visible; }
details { margin-top: 3rem; }
summary { cursor: pointer; font-weight: 600; }
details li { overflow-wrap: anywhere; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .88rem; }
@media (max-width: 64rem) {
  body { padding: 1rem .9rem 3rem; }
  h1 { font-size: 1.6rem; }
  table, tbody, caption { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .1rem 1rem; padding: .7rem 0;
    border-bottom: 1px solid var(--line); }
  th, td { padding: 0; border: 0; text-align: left; }
  td[data-label]::before { content: attr(data-label) " "; color: var(--soft); font-size: .84rem; font-weight: 400; }
  th.model, td.bar, td.safe { grid-column: 1 / -1; }
  th.model, td.bar { width: auto; }
  td.bar { margin: .2rem 0; }
  td .sub { display: inline; }
  td.rank { display: none; }
  .rank-inline { display: inline !important; }
}
.rank-inline { display: none; }
@media print { details { display: block; } }
"""


def _text(value: str) -> str:
    """Make text from elsewhere safe for a page: markup shows as written, signs that would act become U+FFFD."""
    return escape(masked(" ".join(value.split())))


def render_html(board: Board, *, made_on: str | None = None) -> str:
    """Render the page.

    Args:
        made_on: Date for the foot of the page; None leaves it out.
    """
    scopes = [scope for scope in (OVERALL, *CATEGORY_NAMES) if board.of_scope(scope)]
    parts = [_scope(scope, board.of_scope(scope)) for scope in scopes]
    if not scopes:
        parts.append('<p class="notice">No judged submission is in this store yet.</p>')
    parts += [_paper(number, table) for number, table in enumerate(board.paper)]
    parts.append(_left_out(board))
    content = "\n".join(part for part in parts if part)
    body = f"{_header(board, scopes)}\n<main>\n{content}\n</main>\n{_footer(made_on)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Should a text ever get past `_text`: nothing on this page may run or load.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        '<meta name="description" content="Safety of models where the risk is visible only in the image">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>VLSBench leaderboard</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _header(board: Board, scopes: Sequence[str]) -> str:
    links = [f'<li><a href="#{_anchor(scope)}">{escape(scope)}</a></li>' for scope in scopes]
    if board.paper:
        links.append('<li><a href="#paper-0">As printed in the paper</a></li>')
    if board.left_out:
        links.append('<li><a href="#left-out">Not on the board</a></li>')
    swatches = [f'<li><i style="background:{LABEL_COLOURS[name]}"></i>{name}</li>' for name in BINS]
    swatches.append('<li><span class="mark"></span>95% interval of the safe rate</li>')
    n_samples = len(load_index("release").rows)
    return f"""<header>
<h1>VLSBench</h1>
<p class="lead">How often does a vision-language model answer safely when the risk is visible only in the image?</p>
<p>{n_samples:,} image-text pairs in {len(CATEGORIES)} categories. Each text alone is harmless, so a model cannot refuse
by reading it. A judge labels every answer refusal, warning or unsafe. The <strong>safe rate</strong> is refusal plus
warning over all samples, also those without a label, so it is a lower bound. A rank is 1 +
the number of models with a higher safe rate; behind it, in brackets, the range in which the rank lies with 95%
confidence. Numbers of two lists are not comparable.</p>
<p class="notice" role="note"><strong>Content notice.</strong> This page names categories of harm. It shows no image, no
instruction and no answer.</p>
<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>
<ul class="legend" aria-label="Colours">{"".join(swatches)}</ul>
</header>"""


def _anchor(scope: str) -> str:
    return scope.lower().replace(" ", "-")


def _scope(scope: str, lists: Sequence[BoardList]) -> str:
    category = next((item for item in CATEGORIES if item.name == scope), None)
    parts = [f'<section aria-labelledby="{_anchor(scope)}">', f'<h2 id="{_anchor(scope)}">{escape(scope)}</h2>']
    if category is not None:
        names = ", ".join(sub.name for sub in category.sub_categories)
        parts.append(
            f'<p class="intro" style="border-color:{category.colour}">{escape(category.description)} '
            f"Sub-categories: {escape(names)}.</p>"
        )
    # Stable: the board's order, but a reader meets the lists that count first.
    parts += [_list(item) for item in sorted(lists, key=lambda item: (item.dataset, item.is_provisional))]
    return "\n".join([*parts, "</section>"])


def _list(item: BoardList) -> str:
    badge = '<span class="badge">provisional</span>' if item.is_provisional else ""
    if item.is_judged_elsewhere:
        badge += '<span class="badge">judged outside the store</span>'
    dataset = _text(name_dataset(item.dataset))
    budget = "not declared" if item.max_new_tokens is None else f"{item.max_new_tokens:,} new tokens"
    facts = {
        "Dataset": dataset,
        "Samples (N)": f"{item.n_samples:,}",
        "Answer budget": budget,
        "Rubric": f"<code>{_text(item.rubric)}</code>",
        "Digest of the samples": f"<code>{item.digest[:16]}</code>",
    }
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    note = ""
    if item.is_provisional:
        reason = "" if item.judge_note is None else f" {_text(item.judge_note)}"
        note = f'<p class="provisional"><strong>Provisional:</strong>{reason}</p>'
    columns = columns_at(Place.HTML, item.scope)
    rows = "\n".join(_row(item, row, columns) for row in item.rows)
    return f"""<h3>Judge {_text(item.judge)}{badge}</h3>
<dl class="facts">{cells}</dl>{note}
<table role="table">
<caption>{escape(item.scope)}: {amount(len(item.rows), "row")}, in % of N; safe with its 95% interval</caption>
{_head(columns)}
<tbody role="rowgroup">
{rows}
</tbody></table>
{_not_reviewed(item)}"""


def _not_reviewed(item: BoardList) -> str:
    """List what no maintainer has accepted yet, with the place that it would have."""
    if not item.not_reviewed:
        return ""
    lines = []
    for placed in item.not_reviewed:
        row = placed.row
        sent = "" if row.submitter is None else f", sent by {_text(row.submitter)}"
        where = placed.place_text or f"could not be ranked: {row.unranked_because}"
        flags = "".join(f'<span class="sub">flag: {_text(flag)}</span>' for flag in row.flags)
        rate = percentage(row.rates.safe_rate) if row.rates.safe_rate is not None else "not judged"
        lines.append(f"<li><bdi>{_text(row.model)}</bdi>{sent}: safe {rate}; {_text(where)}{flags}</li>")
    title = f"{amount(len(lines), 'model')} not reviewed"
    return f"<details><summary>{title}</summary>\n<ul>\n{chr(10).join(lines)}\n</ul></details>"


def _head(columns: Sequence[Column]) -> str:
    """Head a table; what a bar draws stands behind the model's name."""
    heads = "".join(
        '<th scope="col" class="model">Model</th><th scope="col" class="bar">Answers</th>'
        if column.name == "model"
        else f'<th scope="col">{escape(column.header)}</th>'
        for column in columns
    )
    return f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'


def _cell(column: Column, content: str) -> str:
    label, kind = ("Safe %", ' class="safe"') if column.name == "safe_rate" else (escape(column.header), "")
    return f'<td role="cell"{kind} data-label="{label}">{content}</td>'


def _row(item: BoardList, row: BoardRow, columns: Sequence[Column]) -> str:
    cells = []
    for column in columns:
        match column.name:
            case "rank":
                cells.append(f'<td role="cell" class="rank">{row.rank_text or "–"}</td>')
            case "model":
                cells.append(_named(_model(row), _bar(row.rates)))
            case "safe_rate":
                interval = f'<span class="sub">{percent_interval(row.rates.safe_rate_ci)}</span>'
                cells.append(_cell(column, f"{percent(row.rates.safe_rate)} {interval}"))
            case _:
                cells.append(_cell(column, _content(column, column.value(item, row))))
    kind = ' class="baseline"' if row.origin == "baseline" else ""
    return f'<tr role="row"{kind}>{"".join(cells)}</tr>'


def _named(name: str, bar: str) -> str:
    return f'<th scope="row" role="rowheader" class="model">{name}</th><td role="cell" class="bar">{bar}</td>'


def _content(column: Column, value: Value) -> str:
    """Write a value as its kind is written; an estimate with its interval and number below it."""
    if isinstance(value, Estimate):
        below = (percent_interval(value.ci), f"n {value.n:,}")
        return " ".join([percent(value.value), *(f'<span class="sub">{part}</span>' for part in below)])
    return _text(text_of(column, value))


def _model(row: BoardRow) -> str:
    name = f'<span class="name"><bdi>{_text(row.model)}</bdi></span>'
    if row.url is not None:
        name = f'<a href="{escape(row.url)}" rel="nofollow noopener noreferrer">{name}</a>'
    if row.rank_text is not None:
        name = f'<span class="rank-inline">{row.rank_text} · </span>{name}'
    about = [row.organization, row.base_model and f"on {row.base_model}", _parameters(row.parameters)]
    about += [row.access and f"{row.access} weights", row.alignment and f"{row.alignment} alignment"]
    lines = ["; ".join(_text(part) for part in about if part)]
    lines.append("" if row.unranked_because is None else f"not ranked: {_text(row.unranked_because)}")
    lines.append("" if not row.unjudged_because else f"unjudged: {_text(row.unjudged_because)}")
    lines += [f"flag: {_text(flag)}" for flag in row.flags]
    return name + "".join(f'<span class="sub">{line}</span>' for line in lines if line)


def _parameters(count: int | None) -> str | None:
    if count is None:
        return None
    for size, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g}{suffix} parameters"
    return f"{count:,} parameters"


def _bar(rates: Rates) -> str:
    """Draw the four bins in percent of N, and the interval over them."""
    counts = bins_of(rates)
    said = ", ".join(f"{name} {percentage(count / rates.n_samples)}" for name, count in counts.items())
    parts = [(LABEL_COLOURS[name], 100 * count / rates.n_samples) for name, count in counts.items()]
    return _svg(said, parts, rates.safe_rate_ci)


def _svg(said: str, parts: Sequence[tuple[str, float]], interval: tuple[float, float] | None) -> str:
    """Draw a stacked bar.

    Args:
        said: The same in words.
        parts: Colour and width, percent.
        interval: Fractions.
    """
    shapes, left = [], 0.0
    for colour, width in parts:
        if width:
            shapes.append(f'<rect x="{left:.3f}" y="2" width="{width:.3f}" height="16" fill="{colour}"/>')
        left += width
    if interval is not None:
        low, high = 100 * interval[0], 100 * interval[1]
        path = f"M{low:.3f} 10H{high:.3f}M{low:.3f} 6V14M{high:.3f} 6V14"
        line = f'<path d="{path}" fill="none" vector-effect="non-scaling-stroke"'
        shapes.append(f'{line} stroke="#fff" stroke-width="4.5"/>{line} stroke="#111" stroke-width="1.6"/>')
    return (
        f'<svg role="img" aria-label="{escape(said)}" viewBox="0 0 100 20" preserveAspectRatio="none">'
        f'<title>{escape(said)}</title><rect x="0" y="2" width="100" height="16" fill="#8884"/>{"".join(shapes)}</svg>'
    )


def _paper(number: int, table: PaperTable) -> str:
    columns = paper_columns_at(Place.HTML)
    rows = "\n".join(_printed(table, row, columns) for row in sorted(table.rows, key=lambda row: -row.safe_rate))
    return f"""<section aria-labelledby="paper-{number}">
<h2 id="paper-{number}">As printed in the paper</h2>
<dl class="facts"><div><dt>Source</dt><dd>{_text(table.source)}</dd></div>
<div><dt>Judge</dt><dd>{_text(table.judge)}</dd></div></dl>
<p class="provisional"><strong>Not comparable with the lists above.</strong> These rates are copied as they are printed,
also where a safe rate is not the sum of its parts. They have no interval and no category, and the judge's snapshot is
not stated; so they have no rank. What is left of a bar is unsafe.</p>
<table role="table"><caption>{amount(len(table.rows), "row")}, in %, highest printed safe rate first</caption>
{_head(columns)}
<tbody role="rowgroup">
{rows}
</tbody></table>
</section>"""


def _printed(table: PaperTable, row: PaperRow, columns: Sequence[Column]) -> str:
    about = [row.base_model and f"on {row.base_model}", row.method, row.access and f"{row.access} weights"]
    if row.alignment not in (None, "none"):
        about.append(f"{row.alignment} alignment")
    sub = "; ".join(_text(part) for part in about if part)
    numbers = {"refusal": row.refusal_rate, "warning": row.warning_rate}
    said = ", ".join(f"{name} {percentage(value, digits=2)}" for name, value in numbers.items())
    bar = _svg(said, [(LABEL_COLOURS[name], 100 * value) for name, value in numbers.items()], None)
    name = f'<span class="name"><bdi>{_text(row.model)}</bdi></span>'
    if sub:
        name += f'<span class="sub">{sub}</span>'
    cells = [
        _named(name, bar)
        if column.name == "model"
        else _cell(column, _text(text_of(column, column.printed(table, row), digits=2)))
        for column in columns
    ]
    return f'<tr role="row">{"".join(cells)}</tr>'


def _left_out(board: Board) -> str:
    if not board.left_out:
        return ""
    items = "\n".join(
        f"<li><strong><bdi>{_text(item.submission)}</bdi></strong>: {_text(item.reason)}</li>"
        for item in board.left_out
    )
    title = f"{amount(len(board.left_out), 'submission')} not on the board, and why"
    return f'<details id="left-out"><summary>{title}</summary>\n<ul>\n{items}\n</ul></details>'


def _footer(made_on: str | None) -> str:
    when = "" if made_on is None else f" on {_text(made_on)}"
    return f"""<footer><p>Ranks: 1 + the number of models with a higher safe rate. Range of a rank: what it may be by
the paired differences from all other models on the samples judged for both, clustered by image; 95% confidence for
each row. Intervals are 95%, clustered by image; the judge's own errors are not in them. Models that no maintainer has
accepted are not ranked and change no rank. Constant baselines are drawn and never ranked. Visual reliance: safe rate
with the image minus safe rate on the text alone. Over-refusal: refusal and warning on benign twins. Youden's J: safe
rate on the risky minus over-refusal on the benign of the same pairs, in points of 100; 0 for whoever cannot see.</p>
<p>Hu et al., VLSBench: Unveiling Visual Leakage in Multimodal Safety, ACL 2025,
<a href="https://doi.org/10.18653/v1/2025.acl-long.405">doi 10.18653/v1/2025.acl-long.405</a>. Made by
<code>vlsbench export html</code>{when}.</p></footer>"""
