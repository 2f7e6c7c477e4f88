"""The drawn world: a scene is one thing in one state in one room, drawn in 32 × 32 pixels.

A state alone says nothing of risk: hot soup is dinner, a hot stove is not to be touched. `RISKY` is the whole rule.

Rule of the room: pure, but for the picture that is drawn; the same scene is the same picture everywhere.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from PIL import Image as _Image
    from PIL import ImageDraw as _ImageDraw

__all__ = ["PAIRS", "RISKY", "ROOMS", "SIDE", "STATES", "Scene", "draw", "draw_scene", "grey"]

SIDE: Final = 32
"""Pixels of a side."""

STATES: Final[dict[str, tuple[str, str]]] = {
    "stove": ("cold", "hot"),
    "kettle": ("cold", "hot"),
    "iron": ("cold", "hot"),
    "soup": ("cold", "hot"),
    "glass": ("whole", "broken"),
    "mirror": ("whole", "broken"),
    "ladder": ("whole", "broken"),
    "pencil": ("whole", "broken"),
    "floor": ("dry", "wet"),
    "socket": ("dry", "wet"),
    "plant": ("dry", "wet"),
}
"""The states of every thing."""

RISKY: Final = frozenset(
    {
        ("stove", "hot"),
        ("kettle", "hot"),
        ("iron", "hot"),
        ("glass", "broken"),
        ("mirror", "broken"),
        ("ladder", "broken"),
        ("floor", "wet"),
        ("socket", "wet"),
    }
)
"""The written rule: a scene is risky if its thing and its state stand here, and else it is not."""

PAIRS: Final = tuple((thing, state) for thing, states in STATES.items() for state in states)
"""Every (thing, state) there is."""

ROOMS: Final[dict[str, tuple[int, int, int]]] = {
    "kitchen": (255, 232, 140),
    "garden": (165, 225, 150),
    "hall": (205, 210, 240),
    "garage": (230, 185, 145),
}
"""The colour of each room's wall."""

_SHADES: Final = ((90, 90, 100), (70, 95, 140), (120, 80, 110), (80, 115, 95))
"""What things are made of; says nothing of risk."""


class Scene(NamedTuple):
    """What is drawn; everything that is true of a picture."""

    thing: str
    state: str
    room: str
    shade: int
    """Index of the thing's colour."""
    dx: int
    """Pixels to the right of the middle, -3 … 3."""
    dy: int
    """Pixels below the middle, -2 … 2."""

    @property
    def is_risky(self) -> bool:
        """Whether the written rule names it."""
        return (self.thing, self.state) in RISKY

    @property
    def key(self) -> str:
        """Name the scene; two scenes of one name are one picture."""
        return f"{self.thing}-{self.state}-{self.room}-{self.shade}-{self.dx:+d}{self.dy:+d}"


def draw_scene(rng: random.Random, thing: str, state: str) -> Scene:
    """Draw lots for everything about a scene that says nothing of risk."""
    return Scene(
        thing=thing,
        state=state,
        room=rng.choice(list(ROOMS)),
        shade=rng.randrange(len(_SHADES)),
        dx=rng.randint(-3, 3),
        dy=rng.randint(-2, 2),
    )


def grey() -> _Image.Image:
    """Draw no scene: one grey."""
    from PIL import Image

    return Image.new("RGB", (SIDE, SIDE), (128, 128, 128))


def draw(scene: Scene) -> _Image.Image:
    """Draw a scene."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIDE, SIDE), ROOMS[scene.room])
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 26, SIDE, SIDE), fill=tuple(value - 45 for value in ROOMS[scene.room]))
    x, y = SIDE // 2 + scene.dx, SIDE // 2 + scene.dy
    _SHAPES[scene.thing](pen, x, y, _SHADES[scene.shade])
    if scene.state in _MARKS:
        _MARKS[scene.state](pen, x, y)
    return image


_Colour = tuple[int, int, int]
_Shape = Callable[["_ImageDraw.ImageDraw", int, int, _Colour], None]
_PALE: Final = (245, 245, 245)


def _stove(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.rectangle((x - 8, y - 6, x + 8, y + 8), fill=colour)
    for left in (x - 6, x + 1):
        pen.ellipse((left, y - 4, left + 5, y + 1), fill=_PALE)
    pen.rectangle((x - 5, y + 4, x + 5, y + 6), fill=(30, 30, 30))


def _kettle(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.ellipse((x - 6, y - 3, x + 6, y + 9), fill=colour)
    pen.line((x + 5, y + 3, x + 10, y - 2), fill=colour, width=2)
    pen.arc((x - 5, y - 9, x + 5, y + 3), 180, 360, fill=(30, 30, 30), width=2)


def _iron(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.polygon(((x - 9, y + 6), (x + 9, y + 6), (x + 9, y - 1), (x - 1, y - 1)), fill=colour)
    pen.arc((x - 2, y - 7, x + 9, y + 4), 180, 360, fill=(30, 30, 30), width=2)


def _soup(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.pieslice((x - 9, y - 9, x + 9, y + 9), 0, 180, fill=colour)
    pen.ellipse((x - 9, y - 3, x + 9, y + 2), fill=(235, 200, 90))


def _glass(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.polygon(((x - 6, y - 8), (x + 6, y - 8), (x + 3, y + 8), (x - 3, y + 8)), fill=_PALE, outline=colour)
    pen.line((x - 5, y - 3, x + 5, y - 3), fill=colour)


def _mirror(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.ellipse((x - 7, y - 10, x + 7, y + 9), fill=(170, 215, 235), outline=colour, width=2)


def _ladder(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    for side in (x - 5, x + 5):
        pen.line((side, y - 10, side, y + 10), fill=colour, width=2)
    for rung in range(y - 8, y + 10, 4):
        pen.line((x - 5, rung, x + 5, rung), fill=colour)


def _pencil(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.line((x - 9, y + 6, x + 6, y - 5), fill=(220, 170, 40), width=4)
    pen.line((x + 6, y - 5, x + 9, y - 7), fill=colour, width=2)


def _floor(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.polygon(((x - 11, y + 8), (x + 11, y + 8), (x + 6, y - 4), (x - 6, y - 4)), fill=_PALE, outline=colour)
    pen.line((x - 8, y + 2, x + 8, y + 2), fill=colour)
    pen.line((x, y - 4, x, y + 8), fill=colour)


def _socket(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.rectangle((x - 7, y - 7, x + 7, y + 7), fill=_PALE, outline=colour, width=2)
    for hole in (x - 4, x + 2):
        pen.rectangle((hole, y - 2, hole + 2, y + 2), fill=(30, 30, 30))


def _plant(pen: _ImageDraw.ImageDraw, x: int, y: int, colour: _Colour) -> None:
    pen.rectangle((x - 4, y + 3, x + 4, y + 9), fill=colour)
    for turn in (210, 250, 290, 330):
        end = (x + 9 * math.cos(math.radians(turn)), y + 3 + 11 * math.sin(math.radians(turn)))
        pen.line(((x, y + 3), end), fill=(40, 140, 50), width=2)


def _hot(pen: _ImageDraw.ImageDraw, x: int, y: int) -> None:
    for left in (x - 6, x, x + 6):
        pen.line(((left, y - 3), (left + 2, y - 6), (left, y - 9), (left + 2, y - 12)), fill=(225, 40, 20), width=2)


def _broken(pen: _ImageDraw.ImageDraw, x: int, y: int) -> None:
    pen.line(((x - 6, y - 6), (x + 1, y - 1), (x - 2, y + 2), (x + 6, y + 7)), fill=(10, 10, 10), width=2)
    for corner in ((x - 9, y + 8), (x + 8, y - 7)):
        pen.polygon((corner, (corner[0] + 3, corner[1] + 1), (corner[0] + 1, corner[1] + 3)), fill=(10, 10, 10))


def _wet(pen: _ImageDraw.ImageDraw, x: int, y: int) -> None:
    pen.ellipse((x - 10, y + 5, x + 6, y + 11), fill=(30, 110, 225))
    for left, top in ((x + 8, y - 4), (x - 9, y - 6), (x + 4, y - 10)):
        pen.ellipse((left, top, left + 2, top + 4), fill=(30, 110, 225))


_SHAPES: Final[dict[str, _Shape]] = {
    "stove": _stove,
    "kettle": _kettle,
    "iron": _iron,
    "soup": _soup,
    "glass": _glass,
    "mirror": _mirror,
    "ladder": _ladder,
    "pencil": _pencil,
    "floor": _floor,
    "socket": _socket,
    "plant": _plant,
}
_MARKS: Final[dict[str, Callable[[_ImageDraw.ImageDraw, int, int], None]]] = {
    "hot": _hot,
    "broken": _broken,
    "wet": _wet,
}
"""How a state shows; cold, whole and dry things are as they are."""
