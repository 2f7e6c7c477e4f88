"""A small drawing board: flat shapes in a 512 x 512 coordinate system, drawn three times larger and sampled down.

Text uses Pillow's own font with the basic layout: no font and no shaping library of the machine changes a pixel.
"""

import io
import math
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageColor, ImageDraw, ImageFont

__all__ = [
    "BLUE",
    "BROWN",
    "COLOURS",
    "CORAL",
    "CREAM",
    "DUSK",
    "FILLS",
    "FOREST",
    "GREEN",
    "GREY",
    "INK",
    "LEAF",
    "LIGHT",
    "LILAC",
    "MINT",
    "MUSTARD",
    "NAVY",
    "NIGHT",
    "ORANGE",
    "OVERSAMPLING",
    "PAPER",
    "PEACH",
    "PINK",
    "PLUM",
    "RED",
    "SAND",
    "SIZE",
    "SKY",
    "STONE",
    "TEAL",
    "UMBER",
    "WHITE",
    "WINE",
    "Canvas",
    "Point",
    "bezier",
    "darker",
    "mix",
    "turned",
]

SIZE = 512
"""Edge of a finished image in pixels; also the unit of every coordinate."""

OVERSAMPLING = 3
"""Shapes are drawn this many times larger; three removes every visible step at 512 pixels."""

FILLS, COLOURS = 100, 150
"""Colours kept in a finished image: fills first, then blends at their edges. 30 KB a PNG where all colours take 47."""

Point = tuple[float, float]

# One palette for all scenes, so that a risky drawing cannot be told from a benign one by its colours.
CREAM, PAPER, PEACH, SAND = "#FFF4E1", "#FFFCF5", "#F9D9B8", "#E9CFA4"
CORAL, RED, WINE, PINK = "#EC7560", "#CF4A45", "#8E3148", "#F3B5BC"
MUSTARD, ORANGE, BROWN, UMBER = "#F2BC4F", "#EE9546", "#9A6A4B", "#6B4636"
GREEN, LEAF, FOREST, MINT = "#86BC7F", "#5FA069", "#3D7A5C", "#CDE6CF"
TEAL, SKY, BLUE, NAVY = "#3F918E", "#C3E4EE", "#5B8FC0", "#2C3B5A"
LILAC, PLUM, NIGHT, DUSK = "#C2B0DC", "#7A629E", "#26304D", "#46537C"
WHITE, LIGHT, GREY, STONE, INK = "#FFFFFF", "#E6E6E4", "#B4B8BE", "#7F8792", "#2B2D3C"


def mix(first: str, second: str, share: float) -> str:
    """Blend two colours; `share` in [0, 1] is the part of the second."""
    a, b = ImageColor.getrgb(first), ImageColor.getrgb(second)
    return "#" + "".join(f"{round(p + (q - p) * share):02X}" for p, q in zip(a[:3], b[:3], strict=True))


def darker(colour: str, share: float = 0.18) -> str:
    """Blend towards ink."""
    return mix(colour, INK, share)


def bezier(start: Point, bend: Point, end: Point, steps: int = 24) -> list[Point]:
    """Points of a quadratic curve."""
    points = []
    for step in range(steps + 1):
        t = step / steps
        a, b, d = (1 - t) ** 2, 2 * t * (1 - t), t * t
        points.append((a * start[0] + b * bend[0] + d * end[0], a * start[1] + b * bend[1] + d * end[1]))
    return points


def turned(points: Sequence[Point], centre: Point, degrees: float) -> list[Point]:
    """Turn points clockwise around a centre."""
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x0, y0 = centre
    return [(x0 + (x - x0) * cos - (y - y0) * sin, y0 + (x - x0) * sin + (y - y0) * cos) for x, y in points]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType; install a Pillow wheel from PyPI to draw the sample.")
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def _most_frequent(image: Image.Image) -> list[tuple[int, ...]]:
    """Colours of an RGB image, the most frequent first, equal ones in numeric order."""
    counts = image.getcolors(image.width * image.height) or []
    colours = [(count, colour) for count, colour in counts if isinstance(colour, tuple)]
    return [colour for _, colour in sorted(colours, key=lambda entry: (-entry[0], entry[1]))]


class Canvas:
    """One image under construction. Every length is in pixels of the finished image, y runs downwards."""

    def __init__(self, background: str = CREAM, *, oversampling: int = OVERSAMPLING) -> None:
        self._oversampling = oversampling
        edge = SIZE * oversampling
        self._image = Image.new("RGB", (edge, edge), background)
        self._draw = ImageDraw.Draw(self._image)

    def _up(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._oversampling, y * self._oversampling) for x, y in points]

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        *,
        radius: float = 0,
        edge: str | None = None,
        line: float = 3,
    ) -> None:
        """Fill a rectangle given by its upper left corner, with round corners and an edge line on demand."""
        box = self._up([(x, y), (x + width, y + height)])
        self._draw.rounded_rectangle(
            (*box[0], *box[1]), radius * self._oversampling, fill, edge, round(line * self._oversampling) if edge else 0
        )

    def oval(self, x: float, y: float, rx: float, ry: float, fill: str) -> None:
        """Fill an ellipse around a centre."""
        box = self._up([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse((*box[0], *box[1]), fill)

    def disc(self, x: float, y: float, radius: float, fill: str) -> None:
        """Fill a circle around a centre."""
        self.oval(x, y, radius, radius, fill)

    def slice(self, x: float, y: float, rx: float, ry: float, start: float, end: float, fill: str) -> None:
        """Fill the segment of an ellipse cut by a chord; degrees clockwise from three o'clock."""
        box = self._up([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.chord((*box[0], *box[1]), start, end, fill)

    def poly(self, points: Sequence[Point], fill: str) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._up(points), fill)

    def soft_poly(self, points: Sequence[Point], fill: str, rounding: float) -> None:
        """Fill a polygon whose corners are rounded outwards by half of `rounding`."""
        self.poly(points, fill)
        self.path([*points, points[0]], rounding, fill)

    def path(self, points: Sequence[Point], width: float, fill: str) -> None:
        """Draw a thick line with round ends and joints."""
        scaled = self._up(points)
        self._draw.line(scaled, fill, round(width * self._oversampling), joint="curve")
        for x, y in points:
            self.disc(x, y, width / 2, fill)

    def curve(self, start: Point, bend: Point, end: Point, width: float, fill: str) -> None:
        """Draw a thick quadratic curve."""
        self.path(bezier(start, bend, end), width, fill)

    def veil(self, points: Sequence[Point], fill: str, alpha: float) -> None:
        """Lay a translucent polygon over what is there; `alpha` in (0, 1]."""
        mask = Image.new("L", self._image.size, 0)
        ImageDraw.Draw(mask).polygon(self._up(points), round(255 * alpha))
        self._image.paste(fill, (0, 0), mask)

    def shade(self, x: float, y: float, rx: float, ry: float, fill: str = INK, alpha: float = 0.14) -> None:
        """Lay a translucent ellipse over what is there: a shadow on the ground or a cone of light."""
        ring = [(x + rx * math.cos(step * math.pi / 36), y + ry * math.sin(step * math.pi / 36)) for step in range(72)]
        self.veil(ring, fill, alpha)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        fill: str = INK,
        *,
        weight: float = 0,
        fit: float | None = None,
    ) -> None:
        """Write one line around a centre.

        Args:
            x: Centre of the line.
            y: Middle of the line.
            words: What is written; ASCII, the default font has little else.
            size: Font size.
            fill: Colour.
            weight: Extra stroke, makes the letters bolder.
            fit: Largest width; the font shrinks until the line fits.
        """
        pixels = round(size * self._oversampling)
        while fit is not None and pixels > 6 and _font(pixels).getlength(words) > fit * self._oversampling:
            pixels -= 1
        self._draw.text(
            (x * self._oversampling, y * self._oversampling),
            words,
            fill,
            _font(pixels),
            "mm",
            stroke_width=round(weight * self._oversampling),
            stroke_fill=fill,
        )

    def finished(self) -> Image.Image:
        """Sample down to the final size."""
        return self._image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)

    def png(self) -> bytes:
        """Encode the finished image as a PNG without metadata.

        RGB although a palette would be half the size: what reads the sample should not have to know palettes.
        """
        image = self.finished()
        palette = Image.new("P", (1, 1))
        # Pillow's own choices (median cut) drop what is small and matters: a mouth, the stripes of a flag.
        fills = _most_frequent(self._image)[:FILLS]
        blends = [colour for colour in _most_frequent(image) if colour not in fills]
        palette.putpalette([part for colour in (*fills, *blends)[:COLOURS] for part in colour])
        flat = image.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        buffer = io.BytesIO()
        flat.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()
