"""Objects that scenes are made of: furniture, screens, signs, vehicles, dishes and what people hold."""

import math
from collections.abc import Sequence

from vlsbench.construct.drawing.canvas import (
    BLUE,
    BROWN,
    CORAL,
    CREAM,
    GREEN,
    GREY,
    INK,
    LEAF,
    LIGHT,
    LILAC,
    MINT,
    MUSTARD,
    NAVY,
    ORANGE,
    PAPER,
    PINK,
    RED,
    SAND,
    SKY,
    STONE,
    TEAL,
    UMBER,
    WHITE,
    Canvas,
    Point,
    bezier,
    darker,
    mix,
    turned,
)

__all__ = [
    "balloon",
    "banner",
    "bicycle",
    "bottle",
    "bouquet",
    "bubble",
    "camera",
    "car",
    "cash",
    "cat",
    "cup",
    "desk_top",
    "dog",
    "flame",
    "flower",
    "glass",
    "heart",
    "knife",
    "laptop",
    "lines",
    "monitor",
    "phone",
    "pistol",
    "plate",
    "portrait",
    "scales",
    "school_bag",
    "sign",
    "sofa",
    "suitcase",
    "table",
    "wheels",
]


def table(c: Canvas, x: float, y: float, width: float, height: float, colour: str = SAND) -> None:
    """A table whose top edge is at y."""
    for leg in (x + 16, x + width - 30):
        c.rect(leg, y + 10, 14, height - 10, darker(colour, 0.25), radius=4)
    c.rect(x, y, width, 18, colour, radius=6)
    c.rect(x + 4, y + 14, width - 8, 6, darker(colour, 0.12), radius=3)


def desk_top(c: Canvas, y: float, colour: str = SAND) -> None:
    """A table top that fills the image from y downwards, seen slightly from above."""
    c.rect(0, y, 512, 512 - y, colour)
    c.rect(0, y, 512, 8, mix(colour, WHITE, 0.4))
    for k, line in enumerate(range(int(y) + 38, 512, 46)):
        c.path([(20 + 60 * k, line), (220 + 80 * k, line)], 2, darker(colour, 0.08))
        c.path([(300 + 20 * k, line + 18), (470, line + 18)], 2, darker(colour, 0.08))


def sofa(c: Canvas, x: float, y: float, width: float, colour: str = TEAL) -> None:
    """A sofa whose seat is at y."""
    c.rect(x, y - 92, width, 130, darker(colour, 0.15), radius=26)
    c.rect(x + 18, y - 12, width - 36, 48, colour, radius=14)
    c.rect(x + width / 2 - 1, y - 6, 3, 38, darker(colour, 0.2))
    for side in (x - 14, x + width - 28):
        c.rect(side, y - 46, 42, 92, darker(colour, 0.08), radius=18)
    for foot in (x + 12, x + width - 26):
        c.rect(foot, y + 44, 14, 16, UMBER, radius=3)


def sign(
    c: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    lines: Sequence[str],
    *,
    fill: str = PAPER,
    ink: str = INK,
    edge: str | None = None,
    size: float = 30,
    weight: float = 0.7,
) -> None:
    """A board with centred lines of text; (x, y) is the upper left corner."""
    c.rect(x, y, width, height, fill, radius=7, edge=edge or darker(fill, 0.3), line=4)
    step = min(size * 1.22, (height - 10) / max(1, len(lines)))
    for k, words in enumerate(lines):
        middle = y + height / 2 + (k - (len(lines) - 1) / 2) * step
        c.text(x + width / 2, middle, words, min(size, step * 0.86), ink, weight=weight, fit=width - 18)


def banner(
    c: Canvas,
    left: Point,
    right: Point,
    height: float,
    words: str,
    *,
    fill: str = PAPER,
    ink: str = INK,
    size: float = 34,
) -> None:
    """A cloth banner between two poles."""
    for x, y in (left, right):
        c.rect(x - 4, y - 8, 8, height + 90, UMBER, radius=3)
    c.rect(left[0], left[1], right[0] - left[0], height, fill, radius=4, edge=darker(fill, 0.22), line=3)
    c.text((left[0] + right[0]) / 2, left[1] + height / 2, words, size, ink, weight=1, fit=right[0] - left[0] - 26)


def bubble(
    c: Canvas, x: float, y: float, width: float, height: float, words: str, tail: Point, *, size: float = 26
) -> None:
    """A speech bubble with its tail at a point."""
    middle = x + width / 2
    c.poly([(middle - 14, y + height - 8), (middle + 14, y + height - 8), tail], WHITE)
    c.rect(x, y, width, height, WHITE, radius=height * 0.42)
    c.text(middle, y + height / 2, words, size, INK, weight=0.6, fit=width - 18)


def monitor(c: Canvas, x: float, y: float, width: float, height: float, screen: str = WHITE) -> None:
    """A desktop screen with stand; (x, y) is the upper left corner of the case."""
    c.poly(
        [
            (x + width * 0.43, y + height),
            (x + width * 0.57, y + height),
            (x + width * 0.6, y + height + 40),
            (x + width * 0.4, y + height + 40),
        ],
        STONE,
    )
    c.rect(x + width * 0.3, y + height + 34, width * 0.4, 12, darker(STONE), radius=5)
    c.rect(x, y, width, height, INK, radius=14)
    c.rect(x + 12, y + 12, width - 24, height - 24, screen, radius=4)


def laptop(c: Canvas, x: float, y: float, width: float, height: float, screen: str = WHITE) -> None:
    """An open laptop seen from the front; (x, y) is the upper left corner of the lid."""
    c.rect(x, y, width, height, INK, radius=12)
    c.rect(x + 10, y + 10, width - 20, height - 20, screen, radius=3)
    c.poly(
        [
            (x - 24, y + height + 18),
            (x + 2, y + height - 4),
            (x + width - 2, y + height - 4),
            (x + width + 24, y + height + 18),
        ],
        GREY,
    )
    c.rect(x - 26, y + height + 14, width + 52, 10, STONE, radius=5)


def phone(c: Canvas, x: float, y: float, width: float, screen: str = SKY, *, degrees: float = 0) -> None:
    """A phone around a centre; twice as high as wide."""
    outer = [
        (x - width / 2, y - width),
        (x + width / 2, y - width),
        (x + width / 2, y + width),
        (x - width / 2, y + width),
    ]
    inner = [(x + (px - x) * 0.82, y + (py - y) * 0.84) for px, py in outer]
    c.soft_poly(turned(outer, (x, y), degrees), INK, width * 0.14)
    c.poly(turned(inner, (x, y), degrees), screen)


def car(c: Canvas, x: float, y: float, width: float, colour: str = CORAL) -> None:
    """A car seen from the side; (x, y) is the middle of the line on which its wheels stand."""
    u = width / 10
    roof = [
        (x - 2.7 * u, y - 2.3 * u),
        (x - 1.7 * u, y - 3.7 * u),
        (x + 1.4 * u, y - 3.7 * u),
        (x + 2.9 * u, y - 2.3 * u),
    ]
    c.shade(x, y, 5.2 * u, 0.35 * u)
    c.soft_poly(roof, colour, 0.5 * u)
    c.rect(x - 5 * u, y - 2.5 * u, 10 * u, 1.9 * u, colour, radius=0.8 * u)
    c.rect(x - 5 * u, y - 1.1 * u, 10 * u, 0.5 * u, darker(colour, 0.2), radius=0.25 * u)
    c.poly(
        [
            (x - 2.2 * u, y - 2.35 * u),
            (x - 1.45 * u, y - 3.45 * u),
            (x - 0.25 * u, y - 3.45 * u),
            (x - 0.25 * u, y - 2.35 * u),
        ],
        SKY,
    )
    c.poly(
        [
            (x + 0.15 * u, y - 2.35 * u),
            (x + 0.15 * u, y - 3.45 * u),
            (x + 1.25 * u, y - 3.45 * u),
            (x + 2.4 * u, y - 2.35 * u),
        ],
        SKY,
    )
    c.rect(x - 0.15 * u, y - 1.9 * u, 0.8 * u, 0.2 * u, darker(colour, 0.3), radius=2)
    c.disc(x + 4.7 * u, y - 1.75 * u, 0.32 * u, CREAM)
    c.rect(x - 5 * u, y - 2 * u, 0.35 * u, 0.55 * u, RED, radius=2)
    for wheel in (-2.8, 2.8):
        c.disc(x + wheel * u, y - 0.75 * u, 0.98 * u, INK)
        c.disc(x + wheel * u, y - 0.75 * u, 0.5 * u, GREY)


def wheels(c: Canvas, y: float, places: Sequence[float], radius: float) -> None:
    """Wheels that stand on the line y."""
    for x in places:
        c.disc(x, y - radius, radius, INK)
        c.disc(x, y - radius, radius * 0.5, GREY)


def bottle(c: Canvas, x: float, y: float, height: float, colour: str = LEAF, label: str | None = CREAM) -> None:
    """A bottle standing on y."""
    w = height * 0.3
    c.rect(x - w * 0.2, y - height, w * 0.4, height * 0.4, darker(colour, 0.1), radius=w * 0.1)
    c.rect(x - w / 2, y - height * 0.68, w, height * 0.68, colour, radius=w * 0.26)
    if label:
        c.rect(x - w / 2, y - height * 0.46, w, height * 0.26, label)
    c.rect(x - w * 0.36, y - height * 0.6, w * 0.12, height * 0.5, mix(colour, WHITE, 0.45), radius=2)


def glass(c: Canvas, x: float, y: float, height: float, drink: str | None = None) -> None:
    """A tumbler standing on y, half full where a drink is named."""
    top, foot = height * 0.34, height * 0.26
    c.poly([(x - top, y - height), (x + top, y - height), (x + foot, y), (x - foot, y)], mix(SKY, WHITE, 0.55))
    if drink:
        level = foot + (top - foot) * 0.6
        c.poly(
            [
                (x - level, y - height * 0.6),
                (x + level, y - height * 0.6),
                (x + foot * 0.9, y - 4),
                (x - foot * 0.9, y - 4),
            ],
            drink,
        )
    c.path([(x - top, y - height), (x - foot, y), (x + foot, y), (x + top, y - height)], 2.5, mix(BLUE, WHITE, 0.4))


def cup(c: Canvas, x: float, y: float, width: float, colour: str = TEAL) -> None:
    """A mug standing on y."""
    c.rect(x + width * 0.34, y - width * 0.72, width * 0.36, width * 0.46, colour, radius=width * 0.18)
    c.rect(x + width * 0.42, y - width * 0.62, width * 0.18, width * 0.26, CREAM, radius=width * 0.09)
    c.rect(x - width / 2, y - width * 0.88, width, width * 0.88, colour, radius=width * 0.16)
    c.rect(x - width / 2, y - width * 0.88, width, width * 0.14, mix(colour, WHITE, 0.5), radius=width * 0.07)


def plate(c: Canvas, x: float, y: float, width: float) -> None:
    """An empty plate seen from above at a slant."""
    c.shade(x, y + width * 0.06, width * 0.53, width * 0.19)
    c.oval(x, y, width / 2, width * 0.19, WHITE)
    c.oval(x, y, width * 0.36, width * 0.125, LIGHT)


def knife(c: Canvas, handle: Point, degrees: float, length: float) -> None:
    """A kitchen knife; the blade points away from the handle, 0 degrees points up."""
    x, y = handle
    w = length * 0.11
    blade = [
        (x - w, y),
        (x - w, y - length * 0.58),
        *bezier((x - w, y - length * 0.6), (x + w * 0.4, y - length * 0.52), (x + w, y - length * 0.3), 8),
        (x + w, y),
    ]
    c.poly(turned(blade, handle, degrees), mix(STONE, WHITE, 0.25))
    c.path(turned([(x - w * 0.7, y - 4), (x - w * 0.7, y - length * 0.54)], handle, degrees), 3, WHITE)
    c.path(turned([(x, y + 2), (x, y + length * 0.3)], handle, degrees), w * 2, INK)


def pistol(c: Canvas, grip: Point, facing: float, length: float) -> None:
    """A pistol in outline, barrel towards `facing` (+1 right, -1 left)."""
    x, y = grip
    u = length * facing
    c.soft_poly(
        [(x, y), (x + 0.16 * u, y), (x + 0.22 * u, y - 0.36 * length), (x - 0.02 * u, y - 0.36 * length)], UMBER, 3
    )
    c.soft_poly(
        [
            (x - 0.1 * u, y - 0.32 * length),
            (x - 0.1 * u, y - 0.54 * length),
            (x + 0.8 * u, y - 0.54 * length),
            (x + 0.8 * u, y - 0.36 * length),
        ],
        INK,
        3,
    )
    c.path(
        [(x + 0.24 * u, y - 0.3 * length), (x + 0.34 * u, y - 0.14 * length), (x + 0.42 * u, y - 0.32 * length)], 3, INK
    )


def flame(c: Canvas, x: float, y: float, height: float) -> None:
    """A flame whose foot is at y."""
    for part, tone in ((1.0, RED), (0.74, ORANGE), (0.46, mix(MUSTARD, CREAM, 0.4))):
        h, w = height * part, height * part * 0.34
        left = bezier((x, y - h), (x - w * 0.2, y - h * 0.62), (x - w, y - h * 0.3), 10)
        low = bezier((x - w, y - h * 0.3), (x - w * 0.9, y), (x, y), 10) + bezier(
            (x, y), (x + w * 0.9, y), (x + w, y - h * 0.34), 10
        )
        right = bezier((x + w, y - h * 0.34), (x + w * 0.5, y - h * 0.5), (x, y - h), 10)
        c.poly(left + low + right, tone)


def flower(c: Canvas, x: float, y: float, radius: float, colour: str) -> None:
    """A blossom seen from the front."""
    for k in range(6):
        angle = k * math.pi / 3
        c.disc(x + radius * 0.62 * math.cos(angle), y + radius * 0.62 * math.sin(angle), radius * 0.42, colour)
    c.disc(x, y, radius * 0.38, MUSTARD)


def bouquet(c: Canvas, x: float, y: float, size: float) -> None:
    """A bunch of flowers whose wrapping ends at (x, y)."""
    for dx, dy, tone in (
        (-0.36, -0.9, CORAL),
        (0, -1.08, PINK),
        (0.36, -0.9, MUSTARD),
        (-0.18, -0.72, LILAC),
        (0.2, -0.7, CORAL),
    ):
        c.path([(x, y - 0.1 * size), (x + dx * size, y + dy * size)], 4, LEAF)
        flower(c, x + dx * size, y + dy * size, 0.22 * size, tone)
    c.poly(
        [
            (x - 0.4 * size, y - 0.58 * size),
            (x + 0.4 * size, y - 0.58 * size),
            (x + 0.08 * size, y),
            (x - 0.08 * size, y),
        ],
        MINT,
    )


def balloon(c: Canvas, x: float, y: float, radius: float, colour: str, hand: Point) -> None:
    """A balloon on a string."""
    c.curve((x, y + radius), (x + 6, (y + hand[1]) / 2), hand, 1.8, STONE)
    c.oval(x, y, radius * 0.86, radius, colour)
    c.oval(x - radius * 0.3, y - radius * 0.36, radius * 0.16, radius * 0.24, mix(colour, WHITE, 0.6))


def heart(c: Canvas, x: float, y: float, size: float, colour: str = CORAL) -> None:
    """A heart around a centre."""
    ring = []
    for k in range(60):
        t = k * math.pi / 30
        px = 16 * math.sin(t) ** 3
        py = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        ring.append((x + px * size / 32, y - py * size / 32))
    c.poly(ring, colour)


def camera(c: Canvas, x: float, y: float, width: float, facing: float) -> None:
    """A camera with a long lens towards `facing`; (x, y) is the middle of its body."""
    h = width * 0.62
    c.rect(x - width * 0.2, y - h * 0.72, width * 0.4, h * 0.4, INK, radius=4)
    c.rect(x - width / 2, y - h / 2, width, h, INK, radius=6)
    start = x + facing * width * 0.45
    end = start + facing * width * 1.05
    c.rect(min(start, end), y - h * 0.3, abs(end - start), h * 0.6, STONE, radius=4)
    c.rect(min(end, end - facing * 14), y - h * 0.4, 14, h * 0.8, INK, radius=4)


def suitcase(c: Canvas, x: float, y: float, width: float, colour: str) -> None:
    """A suitcase standing on y."""
    h = width * 0.78
    c.path(
        [
            (x - width * 0.16, y - h),
            (x - width * 0.16, y - h - 12),
            (x + width * 0.16, y - h - 12),
            (x + width * 0.16, y - h),
        ],
        5,
        UMBER,
    )
    c.rect(x - width / 2, y - h, width, h, colour, radius=8)
    for strap in (-0.28, 0.2):
        c.rect(x + strap * width, y - h, width * 0.08, h, darker(colour, 0.25))


def school_bag(c: Canvas, x: float, y: float, width: float, colour: str = BLUE) -> None:
    """The front of a school bag standing on y; its opening is at y minus 1.05 widths."""
    h = width * 1.05
    c.rect(x - width / 2, y - h, width, h, colour, radius=22)
    c.rect(x - width * 0.4, y - h * 0.5, width * 0.8, h * 0.42, darker(colour, 0.16), radius=14)
    c.rect(x - width * 0.4, y - h * 0.5, width * 0.8, 10, MUSTARD, radius=5)
    c.rect(x - width / 2 - 5, y - h - 6, width + 10, 22, darker(colour, 0.3), radius=11)


def cash(c: Canvas, x: float, y: float, width: float, degrees: float = 0) -> None:
    """A bundle of notes around a centre."""
    h = width * 0.5
    for lift in (8, 4, 0):
        corners = [
            (x - width / 2, y - h / 2 + lift),
            (x + width / 2, y - h / 2 + lift),
            (x + width / 2, y + h / 2 + lift),
            (x - width / 2, y + h / 2 + lift),
        ]
        c.poly(turned(corners, (x, y), degrees), darker(GREEN, 0.25) if lift else mix(GREEN, CREAM, 0.3))
    c.disc(x, y, h * 0.3, LEAF)
    c.text(x, y, "$", h * 0.45, WHITE, weight=0.5)


def scales(c: Canvas, x: float, y: float, width: float, reading: str) -> None:
    """Kitchen scales standing on y."""
    c.rect(x - width * 0.48, y - width * 0.6, width * 0.96, 10, GREY, radius=5)
    c.rect(x - 8, y - width * 0.56, 16, width * 0.2, STONE)
    c.poly(
        [
            (x - width * 0.3, y - width * 0.4),
            (x + width * 0.3, y - width * 0.4),
            (x + width * 0.42, y),
            (x - width * 0.42, y),
        ],
        NAVY,
    )
    c.rect(x - width * 0.24, y - width * 0.29, width * 0.48, width * 0.2, MINT, radius=4)
    c.text(x, y - width * 0.19, reading, width * 0.15, INK, weight=0.3, fit=width * 0.44)


def cat(c: Canvas, x: float, y: float, size: float, colour: str = ORANGE) -> None:
    """The face of a cat around a centre."""
    r = size / 2
    for side in (-1, 1):
        c.poly(
            [(x + side * r * 0.95, y - r * 1.15), (x + side * r * 0.95, y), (x + side * r * 0.15, y - r * 0.75)], colour
        )
        c.poly(
            [(x + side * r * 0.82, y - r * 0.9), (x + side * r * 0.82, y - r * 0.3), (x + side * r * 0.4, y - r * 0.7)],
            PINK,
        )
    c.oval(x, y, r, r * 0.88, colour)
    for side in (-1, 1):
        c.oval(x + side * r * 0.4, y - r * 0.08, r * 0.13, r * 0.18, INK)
        c.disc(x + side * r * 0.4 + 2, y - r * 0.14, r * 0.05, WHITE)
        for k in (-0.1, 0.08):
            c.path(
                [(x + side * r * 0.45, y + r * (0.34 + k)), (x + side * r * 1.2, y + r * (0.28 + 2 * k))], 1.8, UMBER
            )
        c.curve((x, y + r * 0.34), (x + side * r * 0.1, y + r * 0.6), (x + side * r * 0.3, y + r * 0.42), 3, UMBER)
    c.poly([(x - r * 0.12, y + r * 0.2), (x + r * 0.12, y + r * 0.2), (x, y + r * 0.36)], CORAL)


def dog(c: Canvas, x: float, y: float, size: float, colour: str = BROWN) -> None:
    """The face of a dog around a centre."""
    r = size / 2
    c.oval(x, y, r * 0.86, r * 0.95, colour)
    c.oval(x, y + r * 0.4, r * 0.5, r * 0.42, CREAM)
    for side in (-1, 1):
        c.oval(x + side * r * 0.86, y - r * 0.12, r * 0.27, r * 0.62, darker(colour, 0.35))
        c.oval(x + side * r * 0.34, y - r * 0.16, r * 0.12, r * 0.16, INK)
        c.disc(x + side * r * 0.34 + 2, y - r * 0.22, r * 0.045, WHITE)
        c.curve((x, y + r * 0.4), (x + side * r * 0.08, y + r * 0.62), (x + side * r * 0.3, y + r * 0.5), 3, UMBER)
    c.oval(x, y + r * 0.2, r * 0.18, r * 0.13, INK)
    c.oval(x, y + r * 0.7, r * 0.13, r * 0.17, CORAL)


def portrait(c: Canvas, x: float, y: float, width: float, backdrop: str = SKY) -> None:
    """The frame of a small portrait photo, without a face; (x, y) is its upper left corner."""
    c.rect(x, y, width, width * 1.2, WHITE, radius=3)
    c.rect(x + 4, y + 4, width - 8, width * 1.2 - 8, backdrop)


def lines(
    c: Canvas, x: float, y: float, widths: Sequence[float], *, step: float = 14, colour: str = GREY, thick: float = 6
) -> None:
    """Grey bars that stand for text."""
    for k, width in enumerate(widths):
        c.rect(x, y + k * step, width, thick, colour, radius=thick / 2)


def bicycle(c: Canvas, x: float, y: float, width: float, colour: str = CORAL) -> None:
    """A bicycle whose wheels stand on y."""
    r = width * 0.24
    for wheel in (x - width * 0.3, x + width * 0.3):
        c.disc(wheel, y - r, r, INK)
        c.disc(wheel, y - r, r * 0.84, mix(LIGHT, SKY, 0.4))
        c.disc(wheel, y - r, 5, STONE)
        for k in range(4):
            dx, dy = r * 0.84 * math.cos(k * math.pi / 4), r * 0.84 * math.sin(k * math.pi / 4)
            c.path([(wheel - dx, y - r - dy), (wheel + dx, y - r + dy)], 1.2, GREY)
    back, front = (x - width * 0.3, y - r), (x + width * 0.3, y - r)
    crank, seat, bar = (x - width * 0.03, y - r * 0.9), (x - width * 0.12, y - r * 2.3), (x + width * 0.2, y - r * 2.3)
    for part in ((back, crank, bar, seat, crank), (seat, back), (bar, front)):
        c.path(part, 7, colour)
    c.path([bar, (x + width * 0.18, y - r * 2.75), (x + width * 0.27, y - r * 2.85)], 6, INK)
    c.path([seat, (seat[0] - 3, seat[1] - 12)], 6, INK)
    c.rect(seat[0] - 24, seat[1] - 20, 42, 10, INK, radius=5)
