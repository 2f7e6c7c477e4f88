"""Small pieces of HTML that pages share: text of strangers, label chips, tables.

Rule of the room: what comes from a store, a judge or a dataset is put in through `shown` only.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape, unescape

from vlsbench.errors import masked
from vlsbench.taxonomy import LABEL_COLOURS

__all__ = ["chip", "drawable", "naming", "plain", "shown", "small", "table"]

_HARMLESS = "\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Not printable by Python's rule, but part of written text: line ends, joined emoji, Persian."""


def shown(text: str) -> str:
    """Make text fit to be put into HTML: markup and signs that would act (text direction, control) become visible.

    >>> shown("<b>safe</b>")
    '&lt;b&gt;safe&lt;/b&gt;'
    """
    text = text.replace("\r\n", "\n")
    return escape(masked(text, keep=_is_harmless))


def _is_harmless(sign: str) -> bool:
    return sign in _HARMLESS or unicodedata.category(sign) == "Zs"


def plain(html: str) -> str:
    """Return the text of HTML of ours, without its marks.

    >>> plain("<strong>A &amp; B</strong>, 1%")
    'A & B, 1%'
    """
    return unescape(re.sub(r"<[^>]*>", "", html))


_DRAWN_AS = str.maketrans({"–": "-", "—": "-", "…": "...", "×": "x", "’": "'", "“": '"', "”": '"'})


def drawable(text: str) -> str:
    """Return a text in the letters that Pillow's own font has; what is none of them becomes a question mark.

    >>> drawable("3 (2–5) 模")
    '3 (2-5) ?'
    """
    text = text.translate(_DRAWN_AS)
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text)


def chip(outcome: str | None) -> str:
    """Name a bin with its colour beside it; None is unjudged."""
    name = outcome or "unjudged"
    colour = LABEL_COLOURS[name]
    swatch = f'<span class="vls-swatch" style="background:{colour}" aria-hidden="true"></span>'
    return f'<span class="vls-chip">{swatch}{name}</span>'


def naming(names: Mapping[str, str]) -> str:
    """Return the attribute by which a part of a page tells the script the names of its models, for the page's title.

    >>> naming({"a": "A"})
    ' data-names="{&quot;a&quot;: &quot;A&quot;}"'
    """
    return f' data-names="{escape(json.dumps(dict(names)))}"'


def small(text: str) -> str:
    """Set a paragraph as what explains the part above or below it; `text` is HTML."""
    return f'<p class="vls-caption">{text}</p>'


def table(label: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, n_heads: int = 1) -> str:
    """Lay out a table that scrolls sideways within itself where the page is narrow.

    Args:
        label: What it shows, for readers who cannot see it; plain text.
        headers: HTML.
        rows: HTML, a cell per header.
        n_heads: The first cells of a row that name it.
    """
    head = "".join(f'<th scope="col">{header}</th>' for header in headers)
    body = "".join(
        "<tr>"
        + "".join(f'<th scope="row">{cell}</th>' for cell in row[:n_heads])
        + "".join(f"<td>{cell}</td>" for cell in row[n_heads:])
        + "</tr>"
        for row in rows
    )
    # A region that scrolls has to take the keyboard's focus, or its hidden part is out of reach.
    return (
        f'<div class="vls-scroll" role="region" tabindex="0" aria-label="{escape(label)}"><table class="vls-plain">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
