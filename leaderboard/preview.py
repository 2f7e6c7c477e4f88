"""Draw the picture that a shared link shows: the sentence of a view and its first bars.

Rule of the room: drawn from board rows with Pillow's own font; nothing is fetched and nothing is counted.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from vlsbench.board.lists import BoardList, bins_of
from vlsbench.board.paper import PaperTable
from vlsbench.taxonomy import LABEL_COLOURS
from vlsbench.text import percent

from .charts import shorten
from .pieces import drawable

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

__all__ = ["SIZE", "Strip", "draw", "strips"]

SIZE: Final = (1200, 630)
"""Pixels that sites scale a preview from."""

_N_BARS: Final = 5
_MARGIN: Final = 60
_INK, _GREY, _PAPER = "#0f172a", "#475569", "#ffffff"
_NAME_LENGTH: Final = 48


class Strip(NamedTuple):
    """One bar: a name, a rate in words, and the shares of its parts by bin."""

    name: str
    rate: str
    parts: tuple[tuple[str, float], ...]


def strips(item: BoardList | None, paper: PaperTable | None) -> tuple[Strip, ...]:
    """Return the first bars of a list, or of the rows that the paper prints."""
    if item is not None:
        models = [row for row in item.rows if row.origin != "baseline"][:_N_BARS]
        return tuple(
            Strip(
                row.model,
                percent(row.rates.safe_rate),
                tuple((name, count / max(1, row.rates.n_samples)) for name, count in bins_of(row.rates).items()),
            )
            for row in models
        )
    rows = sorted(paper.rows, key=lambda row: -row.safe_rate)[:_N_BARS] if paper is not None else []
    return tuple(
        Strip(
            row.model,
            percent(row.safe_rate, digits=2),
            (("refusal", row.refusal_rate), ("warning", row.warning_rate)),
        )
        for row in rows
    )


@lru_cache(maxsize=64)
def draw(sentence: str, scope: str, bars: tuple[Strip, ...]) -> bytes:
    """Return a PNG of `SIZE`."""
    image = Image.new("RGB", SIZE, _PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((_MARGIN, 42), "VLSBench", fill=_INK, font=_font(54))
    pen.text((SIZE[0] - _MARGIN, 62), drawable(scope), fill=_GREY, font=_font(30), anchor="ra")
    top = 122
    for line in _lines(pen, drawable(sentence), _font(32), SIZE[0] - 2 * _MARGIN)[:3]:
        pen.text((_MARGIN, top), line, fill=_INK, font=_font(32))
        top += 42
    top += 22
    height = min(72, (SIZE[1] - top - 30) // max(1, len(bars)))
    for bar in bars:
        _draw_bar(pen, bar, top, height)
        top += height
    out = io.BytesIO()
    image.quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()


def _draw_bar(pen: ImageDraw.ImageDraw, bar: Strip, top: int, height: int) -> None:
    left, right = _MARGIN, SIZE[0] - _MARGIN - 90
    pen.text((left, top), drawable(shorten(bar.name, _NAME_LENGTH)), fill=_INK, font=_font(24))
    pen.text((SIZE[0] - _MARGIN, top + height - 18), f"{bar.rate}%", fill=_INK, font=_font(28), anchor="rs")
    at = float(left)
    for name, share in bar.parts:
        width = share * (right - left)
        pen.rectangle((at, top + 32, at + width, top + height - 16), fill=LABEL_COLOURS[name])
        at += width


@lru_cache(maxsize=8)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _lines(pen: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> Sequence[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font=font) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
