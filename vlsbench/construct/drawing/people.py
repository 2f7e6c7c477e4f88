"""Friendly flat people: a round head with a face, a soft torso and limbs that reach for a point.

Hands and feet are given as points of the canvas; elbows and knees are found from the lengths of the limbs.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from vlsbench.construct.drawing.canvas import (
    BLUE,
    BROWN,
    CORAL,
    FOREST,
    GREEN,
    INK,
    LILAC,
    MUSTARD,
    NAVY,
    NIGHT,
    PINK,
    PLUM,
    RED,
    STONE,
    TEAL,
    UMBER,
    WHITE,
    Canvas,
    Point,
    darker,
    mix,
    turned,
)

__all__ = [
    "AMARA",
    "BLACK_HAIR",
    "BLOND_HAIR",
    "BROWN_HAIR",
    "DARK",
    "EVA",
    "GREY_HAIR",
    "GREY_HOOD",
    "JUN",
    "KOFI",
    "LEILA",
    "MASKED",
    "MIA",
    "OLIVE",
    "OTTO",
    "PALE",
    "RAVI",
    "RED_HAIR",
    "TAN",
    "TOM",
    "Body",
    "Face",
    "Hair",
    "Look",
    "draw_head",
    "person",
    "stand",
]

Face = Literal["smile", "laugh", "sad", "angry", "worried", "plain", "asleep"]
Hair = Literal["short", "long", "bun", "curly", "bald", "hood"]

PALE, TAN, OLIVE, DARK = "#F8D3B4", "#E0AA7A", "#B97F55", "#7C4F38"
BLACK_HAIR, BROWN_HAIR, BLOND_HAIR, GREY_HAIR, RED_HAIR = "#2E2A33", "#6A4530", "#E3B45E", "#C9C7C8", "#B8603A"


@dataclass(frozen=True)
class Look:
    """What a person looks like and wears."""

    skin: str
    hair: str
    style: Hair
    shirt: str
    trousers: str
    skirt: bool = False
    masked: bool = False
    """A scarf over nose and mouth."""

    def wearing(self, shirt: str, trousers: str | None = None) -> "Look":
        """The same person in other clothes."""
        return replace(self, shirt=shirt, trousers=trousers or self.trousers)


MIA = Look(PALE, BROWN_HAIR, "long", CORAL, NAVY)
TOM = Look(PALE, BLOND_HAIR, "short", TEAL, NAVY)
AMARA = Look(DARK, BLACK_HAIR, "curly", MUSTARD, PLUM)
KOFI = Look(DARK, BLACK_HAIR, "short", BLUE, STONE)
LEILA = Look(OLIVE, BLACK_HAIR, "bun", PLUM, NAVY, skirt=True)
RAVI = Look(OLIVE, BLACK_HAIR, "short", GREEN, UMBER)
JUN = Look(TAN, BLACK_HAIR, "short", RED, NAVY)
EVA = Look(PALE, RED_HAIR, "bun", LILAC, FOREST, skirt=True)
OTTO = Look(PALE, GREY_HAIR, "bald", BROWN, NAVY)
GREY_HOOD = Look(PALE, STONE, "hood", STONE, NIGHT)
MASKED = Look(PALE, NIGHT, "hood", NIGHT, STONE, masked=True)


@dataclass(frozen=True)
class Body:
    """Where the drawn person ends up."""

    head: Point
    head_radius: float
    hands: tuple[Point, Point]


def _joint(start: Point, end: Point, length: float, side: float) -> Point:
    """Find the elbow or knee of a limb of two equal parts; `side` +1 or -1 picks one of the two solutions."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    reach = math.hypot(dx, dy) or 1.0
    offset = math.sqrt(max(0.0, length * length - reach * reach / 4)) * side
    return (start[0] + dx / 2 - dy / reach * offset, start[1] + dy / 2 + dx / reach * offset)


def person(
    c: Canvas,
    look: Look,
    hip: Point,
    size: float,
    *,
    lean: float = 0,
    hands: tuple[Point | None, Point | None] = (None, None),
    feet: tuple[Point | None, Point | None] = (None, None),
    elbows: tuple[float, float] = (1, -1),
    knees: tuple[float, float] = (1, -1),
    face: Face = "smile",
    gaze: float = 0,
    tilt: float = 0,
    back: bool = False,
    behind: tuple[bool, bool] = (False, False),
    legs: bool = True,
) -> Body:
    """Draw a person.

    Args:
        c: Where to draw.
        look: Who it is.
        hip: The lower end of the back.
        size: Height when standing, in pixels; it also sets the proportions of somebody who sits.
        lean: Degrees that the torso leans to the right.
        hands: Left and right hand as seen by the viewer; None hangs down.
        feet: Left and right foot as seen by the viewer; None stands below the hip.
        elbows: Which way each elbow bends, +1 or -1.
        knees: Which way each knee bends, +1 or -1.
        face: Expression.
        gaze: Where the face points, from -1 (left) to 1 (right).
        tilt: Degrees by which the head leans beyond the torso.
        back: Seen from behind, without a face.
        behind: Whether each arm is drawn behind the torso.
        legs: False where furniture hides them.
    """
    hip_x, hip_y = hip

    def along(side: float, up: float) -> Point:
        return turned([(hip_x + side * size, hip_y - up * size)], hip, lean)[0]

    neck = along(0, 0.28)
    head = turned([(neck[0], neck[1] - 0.12 * size)], neck, lean + tilt)[0]
    shoulders = (along(-0.105, 0.255), along(0.105, 0.255))
    resting = (along(-0.16, -0.04), along(0.16, -0.04))
    ends = (hands[0] or resting[0], hands[1] or resting[1])
    sleeve = darker(look.shirt, 0.1)

    def arm(which: int) -> None:
        elbow = _joint(shoulders[which], ends[which], 0.165 * size, elbows[which])
        c.path([shoulders[which], elbow, ends[which]], 0.07 * size, sleeve)
        c.disc(*ends[which], 0.045 * size, look.skin)

    radius = 0.15 * size
    if look.style == "long":
        drop = turned([(head[0], head[1] + 0.16 * size)], head, lean + tilt)[0]
        c.path([head, drop], 0.29 * size, look.hair)
    for which in (0, 1):
        if behind[which]:
            arm(which)
    if legs:
        for which, side in ((0, -0.055), (1, 0.055)):
            start = along(side, 0.0)
            foot = feet[which] or (hip_x + side * size * 1.25, hip_y + 0.37 * size)
            knee = _joint(start, foot, 0.19 * size, knees[which])
            c.path([start, knee, foot], 0.085 * size, look.skin if look.skirt else look.trousers)
            toe = 0.02 * size * (1 if which else -1)
            c.oval(foot[0] + toe, foot[1] + 0.01 * size, 0.065 * size, 0.034 * size, INK)
    if look.skirt and legs:
        skirt = [along(-0.07, 0.06), along(0.07, 0.06), along(0.13, -0.13), along(-0.13, -0.13)]
        c.soft_poly(skirt, look.trousers, 0.05 * size)
    torso = [along(-0.09, 0.245), along(0.09, 0.245), along(0.07, 0.01), along(-0.07, 0.01)]
    c.soft_poly(torso, look.shirt, 0.075 * size)
    c.path([neck, head], 0.075 * size, darker(look.skin, 0.08))
    for which in (0, 1):
        if not behind[which]:
            arm(which)
    draw_head(c, look, head, radius, face=face, gaze=gaze, tilt=lean + tilt, back=back)
    return Body(head, radius, ends)


def stand(
    c: Canvas,
    look: Look,
    x: float,
    ground: float,
    size: float,
    *,
    lean: float = 0,
    hands: tuple[Point | None, Point | None] = (None, None),
    elbows: tuple[float, float] = (1, -1),
    face: Face = "smile",
    gaze: float = 0,
    tilt: float = 0,
    back: bool = False,
    behind: tuple[bool, bool] = (False, False),
) -> Body:
    """Draw a person standing upright with the feet on `ground`."""
    c.shade(x, ground + 0.02 * size, 0.2 * size, 0.035 * size)
    return person(
        c,
        look,
        (x, ground - 0.37 * size),
        size,
        lean=lean,
        hands=hands,
        elbows=elbows,
        face=face,
        gaze=gaze,
        tilt=tilt,
        back=back,
        behind=behind,
    )


def draw_head(
    c: Canvas,
    look: Look,
    centre: Point,
    radius: float,
    *,
    face: Face = "smile",
    gaze: float = 0,
    tilt: float = 0,
    back: bool = False,
) -> None:
    """Draw a head with hair and face, alone or as the top of a person."""
    r = radius
    x, y = centre

    def at(dx: float, dy: float) -> Point:
        return turned([(x + dx * r, y + dy * r)], centre, tilt)[0]

    if look.style == "bun":
        c.disc(*at(0, -1.12), 0.42 * r, look.hair)
    if look.style == "curly":
        for degrees in range(-200, 21, 20):
            c.disc(
                *at(0.86 * math.cos(math.radians(degrees)), 0.8 * math.sin(math.radians(degrees)) - 0.18),
                0.42 * r,
                look.hair,
            )
    c.disc(*at(0, 0), r, look.skin if look.style == "bald" else look.hair)
    if back:
        if look.style == "bald":
            c.disc(*at(0, 0), r, look.skin)
        return
    shift = gaze * 0.22
    for side in (-0.92, 0.92):
        if look.style not in ("hood", "long"):
            c.disc(*at(side, 0.2), 0.17 * r, darker(look.skin, 0.06))
    lower = 0.12 if look.style == "hood" else 0.16
    c.disc(*at(shift * 0.5, lower), (0.8 if look.style == "hood" else 0.87) * r, look.skin)
    if look.style == "bald":
        for side in (-0.93, 0.93):
            c.path([at(side, -0.05), at(side * 0.98, 0.12)], 0.26 * r, look.hair)
    elif look.style in ("short", "long", "bun", "curly"):
        c.poly(
            [
                at(-0.86, -0.1),
                at(-0.55, -0.75),
                at(0.5, -0.82),
                at(0.9, -0.1),
                at(0.55, -0.36),
                at(-0.1 + shift, -0.26),
            ],
            look.hair,
        )
    _features(c, look, centre, r, face, shift, tilt)
    if look.masked:
        band = [at(-0.78, 0.2), at(0.78, 0.2), at(0.6, 0.74), at(0, 1.0), at(-0.6, 0.74)]
        c.soft_poly(band, darker(RED, 0.25), 0.12 * r)


def _features(c: Canvas, look: Look, centre: Point, r: float, face: Face, shift: float, tilt: float) -> None:
    x, y = centre

    def at(dx: float, dy: float) -> Point:
        return turned([(x + (dx + shift) * r, y + dy * r)], centre, tilt)[0]

    for side in (-1, 1):
        if not look.masked:
            c.disc(*at(0.52 * side, 0.42), 0.14 * r, mix(look.skin, PINK if look.skin != DARK else RED, 0.45))
        if face == "asleep":
            c.curve(at(0.34 * side - 0.12, 0.12), at(0.34 * side, 0.24), at(0.34 * side + 0.12, 0.12), 0.06 * r, INK)
        elif face == "laugh":
            c.curve(at(0.34 * side - 0.13, 0.16), at(0.34 * side, -0.06), at(0.34 * side + 0.13, 0.16), 0.07 * r, INK)
        else:
            c.oval(*at(0.34 * side, 0.1), 0.09 * r, 0.12 * r, INK)
            c.disc(*at(0.34 * side + 0.03, 0.06), 0.035 * r, WHITE)
        brows = {"angry": (-0.06, -0.3), "sad": (-0.34, -0.18), "worried": (-0.34, -0.18)}.get(face)
        if brows:
            inner, outer = brows
            c.path(
                [at(0.17 * side, inner), at(0.52 * side, outer)],
                0.07 * r,
                darker(look.hair if look.style != "hood" else INK, 0.3),
            )
    if look.masked:
        return
    mouth = darker(mix(look.skin, RED, 0.5), 0.35)
    if face == "smile":
        c.curve(at(-0.24, 0.46), at(0, 0.72), at(0.24, 0.46), 0.08 * r, mouth)
    elif face == "laugh":
        c.poly([at(math.cos(a) * 0.3, 0.42 + math.sin(a) * 0.34) for a in (math.pi * k / 12 for k in range(13))], mouth)
        c.path([at(-0.22, 0.46), at(0.22, 0.46)], 0.08 * r, WHITE)
    elif face in ("sad", "worried"):
        c.curve(at(-0.2, 0.62), at(0, 0.4), at(0.2, 0.62), 0.08 * r, mouth)
    elif face == "angry":
        c.oval(*at(0, 0.54), 0.24 * r, 0.17 * r, mouth)
        c.path([at(-0.15, 0.47), at(0.15, 0.47)], 0.07 * r, WHITE)
    else:
        c.path([at(-0.15, 0.54), at(0.15, 0.54)], 0.08 * r, mouth)
