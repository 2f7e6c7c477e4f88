"""Backgrounds: rooms, streets and parks, by day and by night, with what stands there."""

from vlsbench.construct.drawing.canvas import (
    BLUE,
    BROWN,
    CORAL,
    CREAM,
    DUSK,
    FOREST,
    GREEN,
    GREY,
    INK,
    LEAF,
    LIGHT,
    LILAC,
    MINT,
    MUSTARD,
    NAVY,
    NIGHT,
    PEACH,
    SAND,
    SKY,
    STONE,
    TEAL,
    UMBER,
    WHITE,
    Canvas,
    darker,
    mix,
)

__all__ = [
    "SKYLINE",
    "cloud",
    "door",
    "ground",
    "house",
    "lamp_post",
    "park",
    "picture",
    "plant",
    "room",
    "shelf",
    "shop",
    "street",
    "tree",
    "window",
]

SKYLINE = ((-10, 190, 96), (86, 140, 74), (160, 215, 90), (250, 160, 84), (334, 205, 80), (414, 130, 110))
"""Houses of a street as (left, top, width)."""


def room(c: Canvas, wall: str = PEACH, floor: str = BROWN, *, horizon: float = 372) -> None:
    """A room seen from the front."""
    c.rect(0, 0, 512, horizon, wall)
    c.rect(0, horizon, 512, 512 - horizon, floor)
    c.rect(0, horizon - 10, 512, 10, mix(wall, WHITE, 0.55))
    for row, y in enumerate(range(int(horizon) + 34, 512, 36)):
        c.rect(0, y, 512, 2, darker(floor, 0.1))
        for x in range(60 + 70 * (row % 2), 512, 150):
            c.rect(x, y - 34, 2, 34, darker(floor, 0.1))


def window(
    c: Canvas, x: float, y: float, width: float, height: float, *, night: bool = False, drawn: bool = False
) -> None:
    """A window with a view; `drawn` closes its curtains."""
    c.rect(x - 8, y - 8, width + 16, height + 16, WHITE, radius=6)
    c.rect(x, y, width, height, NIGHT if night else SKY)
    if night:
        c.disc(x + width * 0.72, y + height * 0.28, min(width, height) * 0.13, CREAM)
    else:
        cloud(c, x + width * 0.34, y + height * 0.34, width * 0.16)
        c.slice(x + width * 0.5, y + height, width * 0.5, height * 0.24, 180, 360, GREEN)
    c.rect(x + width / 2 - 3, y, 6, height, WHITE)
    c.rect(x, y + height / 2 - 3, width, 6, WHITE)
    if drawn:
        c.rect(x - 14, y - 16, width * 0.53 + 14, height + 34, DUSK, radius=6)
        c.rect(x + width * 0.51, y - 16, width * 0.49 + 14, height + 34, darker(DUSK, 0.15), radius=6)
        for k in range(1, 6):
            c.rect(x - 14 + k * (width + 28) / 6, y - 14, 3, height + 30, darker(DUSK, 0.3))


def cloud(c: Canvas, x: float, y: float, size: float, colour: str = WHITE) -> None:
    """A cloud."""
    for dx, dy, r in ((-0.8, 0.12, 0.5), (0, -0.12, 0.72), (0.8, 0.1, 0.52)):
        c.disc(x + dx * size, y + dy * size, r * size, colour)
    c.rect(x - 1.25 * size, y + 0.12 * size, 2.5 * size, 0.5 * size, colour, radius=0.25 * size)


def street(c: Canvas, *, night: bool = False, horizon: float = 352, road: bool = True) -> None:
    """A street with a row of houses, a pavement and a road."""
    c.rect(0, 0, 512, horizon, NIGHT if night else SKY)
    if night:
        c.disc(420, 66, 30, CREAM)
        for x, y in ((60, 50), (140, 92), (210, 38), (300, 84), (350, 30), (480, 130), (30, 120)):
            c.disc(x, y, 2.2, CREAM)
    else:
        cloud(c, 120, 70, 34)
        cloud(c, 380, 92, 26)
    tones = (CORAL, SAND, LILAC, PEACH, TEAL, MUSTARD)
    for k, (x, top, width) in enumerate(SKYLINE):
        wall = mix(tones[k], NIGHT if night else SKY, 0.62 if night else 0.45)
        c.rect(x, top, width, horizon - top, wall)
        c.rect(x - 4, top - 8, width + 8, 10, darker(wall, 0.2))
        for row in range(int(horizon - top - 30) // 44):
            for column in range(2 if width < 85 else 3):
                lit = night and (row + column + k) % 3 == 0
                pane = MUSTARD if lit else mix(wall, NIGHT if night else WHITE, 0.45)
                c.rect(
                    x + 12 + column * (width - 12) / (2 if width < 85 else 3),
                    top + 18 + row * 44,
                    15,
                    24,
                    pane,
                    radius=2,
                )
    ground(c, horizon, night=night, road=road)


def ground(c: Canvas, horizon: float, *, night: bool = False, road: bool = True) -> None:
    """Pavement, and below it a road."""
    pavement = mix(GREY, NIGHT, 0.45) if night else mix(GREY, CREAM, 0.45)
    c.rect(0, horizon, 512, 512 - horizon, pavement)
    for x in range(-40, 600, 80):
        c.path([(x, horizon), (x - 40, 512)], 1.5, darker(pavement, 0.12))
    if road:
        tarmac = mix(STONE, NIGHT, 0.55) if night else mix(STONE, INK, 0.12)
        c.rect(0, 442, 512, 70, tarmac)
        c.rect(0, 436, 512, 8, mix(pavement, WHITE, 0.5))
        for x in range(10, 512, 100):
            c.rect(x, 474, 54, 7, mix(tarmac, WHITE, 0.65), radius=3)


def park(c: Canvas, *, horizon: float = 330) -> None:
    """Sky, hills, trees and a lawn."""
    c.rect(0, 0, 512, horizon + 40, SKY)
    c.disc(330, 74, 34, mix(MUSTARD, CREAM, 0.3))
    cloud(c, 110, 80, 34)
    cloud(c, 440, 96, 24)
    c.oval(110, horizon + 40, 240, 84, mix(GREEN, SKY, 0.45))
    c.oval(420, horizon + 50, 230, 100, mix(GREEN, SKY, 0.3))
    c.rect(0, horizon + 10, 512, 512 - horizon, GREEN)
    for x, y in ((40, 420), (120, 480), (240, 440), (330, 492), (430, 430), (490, 486)):
        c.path([(x - 5, y - 8), (x, y), (x + 5, y - 8)], 2, LEAF)


def tree(c: Canvas, x: float, ground_y: float, size: float, colour: str = LEAF) -> None:
    """A round tree of the given height."""
    c.rect(x - 0.05 * size, ground_y - 0.5 * size, 0.1 * size, 0.5 * size, UMBER, radius=0.03 * size)
    for dx, dy, r in ((-0.17, -0.55, 0.2), (0.17, -0.55, 0.2), (0, -0.74, 0.24)):
        c.disc(x + dx * size, ground_y + dy * size, r * size, colour)
    c.disc(x - 0.06 * size, ground_y - 0.8 * size, 0.1 * size, mix(colour, MINT, 0.35))


def lamp_post(c: Canvas, x: float, ground_y: float, height: float, *, lit: bool = False) -> None:
    """A street lamp."""
    c.rect(x - 4, ground_y - height, 8, height, NAVY)
    c.rect(x - 12, ground_y - 8, 24, 8, NAVY, radius=3)
    c.disc(x, ground_y - height - 12, 17, MUSTARD if lit else CREAM)
    if lit:
        c.shade(x, ground_y - height - 12, 38, 38, MUSTARD, 0.2)


def house(c: Canvas, x: float, y: float, width: float, height: float, wall: str = CREAM, roof: str = CORAL) -> None:
    """A house front without door and windows; (x, y) is the upper left corner of the wall."""
    c.rect(x, y, width, height, wall)
    c.poly([(x - 24, y + 4), (x + width / 2, y - height * 0.42), (x + width + 24, y + 4)], roof)
    c.rect(x - 24, y, width + 48, 9, darker(roof))


def door(c: Canvas, x: float, y: float, width: float, height: float, colour: str = TEAL) -> None:
    """A door with a knob."""
    c.rect(x - 7, y - 7, width + 14, height + 7, WHITE, radius=4)
    c.rect(x, y, width, height, colour, radius=3)
    for top in (0.08, 0.54):
        c.rect(x + width * 0.15, y + height * top, width * 0.7, height * 0.36, darker(colour, 0.12), radius=4)
    c.disc(x + width * 0.86, y + height * 0.52, 5, MUSTARD)


def shop(
    c: Canvas, x: float, y: float, width: float, height: float, name: str, colour: str = TEAL, *, awning: str = CORAL
) -> None:
    """A shop front with a name board, a striped awning, a display window on the left and a door on the right."""
    c.rect(x, y, width, height, mix(colour, CREAM, 0.55))
    c.rect(x, y, width, 48, colour)
    c.text(x + width / 2, y + 24, name, 26, WHITE, weight=0.5, fit=width - 24)
    stripes = 9
    step = width / stripes
    for k in range(stripes):
        tone = awning if k % 2 == 0 else WHITE
        c.rect(x + k * step, y + 48, step, 30, tone)
        c.disc(x + (k + 0.5) * step, y + 78, step / 2, tone)
    c.rect(x + 16, y + 106, width * 0.58, height - 140, mix(SKY, WHITE, 0.3), edge=colour, line=6)
    c.rect(x + width * 0.70, y + 104, width * 0.24, height - 104, darker(colour, 0.15), radius=3)
    c.rect(x + width * 0.73, y + 114, width * 0.18, height * 0.4, mix(SKY, WHITE, 0.3), radius=3)


def plant(c: Canvas, x: float, ground_y: float, size: float) -> None:
    """A pot plant."""
    for dx, dy in ((-0.32, -0.72), (-0.16, -0.95), (0.04, -1.02), (0.2, -0.88), (0.34, -0.66)):
        c.curve(
            (x, ground_y - 0.3 * size),
            (x + dx * 0.2 * size, ground_y + dy * size),
            (x + dx * size, ground_y + dy * size),
            0.11 * size,
            LEAF,
        )
    c.poly(
        [
            (x - 0.24 * size, ground_y - 0.42 * size),
            (x + 0.24 * size, ground_y - 0.42 * size),
            (x + 0.17 * size, ground_y),
            (x - 0.17 * size, ground_y),
        ],
        CORAL,
    )
    c.rect(x - 0.27 * size, ground_y - 0.46 * size, 0.54 * size, 0.11 * size, darker(CORAL, 0.12), radius=3)


def picture(c: Canvas, x: float, y: float, width: float, height: float) -> None:
    """A framed landscape on the wall."""
    c.rect(x, y, width, height, BROWN, radius=3)
    c.rect(x + 6, y + 6, width - 12, height - 12, SKY)
    c.poly([(x + 6, y + height - 6), (x + width * 0.42, y + height * 0.4), (x + width - 6, y + height - 6)], FOREST)
    c.disc(x + width * 0.75, y + height * 0.32, height * 0.1, MUSTARD)


def shelf(c: Canvas, x: float, y: float, width: float) -> None:
    """A shelf with books."""
    tones = (CORAL, TEAL, MUSTARD, LILAC, BLUE, GREEN)
    step = 0
    left = x + 8
    while left < x + width - 18:
        tall = 34 + (step * 7) % 16
        c.rect(left, y - tall, 12, tall, tones[step % 6], radius=2)
        c.rect(left + 2, y - tall + 7, 8, 3, LIGHT)
        left += 14
        step += 1
    c.rect(x, y, width, 8, UMBER, radius=2)
