"""The artist of the package's own sample, at work by itself: it draws what the words of a prompt name.

It knows places (a room, a street, a park), people and some thirty things; what a prompt names and it does not know is
written on a label. Where everything stands, and in which colours, follows from the prompt and the seed, so that two
calls differ to the eye and one call is the same picture always. It is for tests, demonstrations and dry runs of a
pipeline: no picture of it is a photograph.

Pure: no files, no network, no clock, no chance.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image as _Image

    from vlsbench.construct.chains import ImageCall
    from vlsbench.construct.drawing.canvas import Canvas

__all__ = ["draw", "draw_prompt"]

_MOST_THINGS: Final = 4
_MOST_PEOPLE: Final = 3
_WORD: Final = re.compile(r"[a-z]+")

Thing = Callable[["Canvas", float, float, float, str], None]
"""Draws at a centre, on a ground, in a size, in a colour."""


def draw_prompt(call: ImageCall) -> bytes:
    """Draw an image that is wanted, as PNG."""
    return draw(call.prompt, call.seed)


def draw(prompt: str, seed: int) -> bytes:
    """Draw a prompt as PNG, 512 x 512 pixels.

    >>> draw("a cup", 1) == draw("a cup", 1), draw("a cup", 1) == draw("a cup", 2)
    (True, False)
    """
    image = _scene(prompt, seed)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _scene(prompt: str, seed: int) -> _Image.Image:
    from vlsbench.construct.drawing.canvas import Canvas
    from vlsbench.files import sha256_hex

    # A string as seed: Random takes its SHA-512, the same in every process.
    chance = random.Random(f"{sha256_hex(prompt)}:{seed}")  # noqa: S311  # where a cup stands is no secret
    words = _WORD.findall(prompt.lower())
    canvas = Canvas(oversampling=1)
    _place(canvas, words, chance)
    _blocks(canvas, chance)
    _people(canvas, words, chance)
    named = _things(canvas, words, chance)
    unknown = [word for word in words if len(word) > 4 and word not in named][:3]
    canvas.rect(0, 470, 512, 42, "#FFFCF5")
    canvas.text(256, 491, " ".join(unknown), 22, fit=480)
    return canvas.finished()


_STREET: Final = frozenset(
    {
        "street",
        "road",
        "city",
        "town",
        "car",
        "traffic",
        "alley",
        "shop",
        "outside",
        "police",
        "protest",
        "crowd",
        "roof",
    }
)
_PARK: Final = frozenset(
    {
        "park",
        "garden",
        "forest",
        "field",
        "beach",
        "mountain",
        "lake",
        "river",
        "tree",
        "trees",
        "cliff",
        "playground",
    }
)
_NIGHT: Final = frozenset(
    {
        "night",
        "dark",
        "midnight",
        "evening",
    }
)
_PERSON: Final = frozenset(
    {
        "person",
        "people",
        "man",
        "men",
        "woman",
        "women",
        "somebody",
        "someone",
        "figure",
        "worker",
        "student",
        "driver",
        "friend",
        "friends",
        "family",
        "couple",
        "crowd",
        "group",
        "neighbour",
        "colleague",
        "guest",
        "visitor",
        "stranger",
        "player",
        "hand",
        "hands",
    }
)
_MANY: Final = frozenset(
    {
        "people",
        "men",
        "women",
        "friends",
        "family",
        "couple",
        "crowd",
        "group",
    }
)


def _place(canvas: Canvas, words: list[str], chance: random.Random) -> None:
    from vlsbench.construct.drawing.canvas import CREAM, LILAC, MINT, PEACH, PINK, SAND, SKY
    from vlsbench.construct.drawing.places import park, plant, room, street, tree, window

    told = set(words)
    horizon = chance.randint(300, 390)
    if told & _STREET:
        street(canvas, night=bool(told & _NIGHT), horizon=horizon)
    elif told & _PARK:
        park(canvas, horizon=horizon)
        tree(canvas, chance.randint(40, 470), horizon + 30, chance.randint(120, 220))
    else:
        room(canvas, chance.choice((PEACH, SKY, MINT, LILAC, PINK, CREAM, SAND)), horizon=horizon)
        window(
            canvas,
            chance.randint(20, 360),
            chance.randint(20, 120),
            chance.randint(80, 150),
            chance.randint(80, 150),
            night=bool(told & _NIGHT),
        )
        plant(canvas, chance.randint(40, 470), horizon + 40, chance.randint(60, 130))


def _blocks(canvas: Canvas, chance: random.Random) -> None:
    """Hang something on the wall: what makes two scenes of the same words look different at a glance."""
    from vlsbench.construct.drawing.canvas import BLUE, CORAL, GREEN, MUSTARD, NAVY, PLUM, TEAL, WHITE, WINE

    colours = (CORAL, MUSTARD, GREEN, TEAL, BLUE, PLUM, WINE, NAVY, WHITE)
    for _ in range(4):
        width, height = chance.randint(40, 150), chance.randint(30, 110)
        canvas.rect(
            chance.randint(0, 500 - width),
            chance.randint(0, 260),
            width,
            height,
            chance.choice(colours),
            radius=chance.choice((0, 12, 30)),
        )


def _people(canvas: Canvas, words: list[str], chance: random.Random) -> None:
    from vlsbench.construct.drawing.people import AMARA, EVA, JUN, KOFI, LEILA, MIA, OTTO, RAVI, TOM, stand

    n = sum(word in _PERSON for word in words)
    n = min(_MOST_PEOPLE, n + (1 if set(words) & _MANY else 0))
    looks = chance.sample((MIA, TOM, AMARA, KOFI, LEILA, RAVI, JUN, EVA, OTTO), k=n)
    for number, look in enumerate(looks):
        x = 512 * (number + 1) / (n + 1) + chance.randint(-50, 50)
        stand(
            canvas,
            look,
            x,
            chance.randint(430, 465),
            chance.randint(220, 320),
            face=chance.choice(("smile", "plain", "worried")),
            back=chance.random() < 0.15,
        )


def _known() -> dict[str, Thing]:
    from vlsbench.construct.drawing import things

    def of(function: Callable[..., None], up: float = 0.0, scale: float = 1.0) -> Thing:
        return lambda c, x, y, size, colour: function(c, x, y - up * size, size * scale, colour)

    def plain(function: Callable[..., None], up: float = 0.0, scale: float = 1.0) -> Thing:
        return lambda c, x, y, size, colour: function(c, x, y - up * size, size * scale)

    def board(function: Callable[..., None]) -> Thing:
        return lambda c, x, y, size, colour: function(c, x - size / 2, y - size, size, size * 0.62)

    bottle, laptop = of(things.bottle), board(things.laptop)
    known: dict[str, Thing] = {
        "car": of(things.car),
        "van": of(things.car, scale=1.2),
        "cup": of(things.cup),
        "mug": of(things.cup),
        "bicycle": of(things.bicycle),
        "suitcase": of(things.suitcase),
        "bag": of(things.school_bag),
        "backpack": of(things.school_bag),
        "dog": of(things.dog, up=0.5),
        "cat": of(things.cat, up=0.5),
        "phone": plain(things.phone, up=0.5, scale=0.5),
        "plate": plain(things.plate),
        "money": plain(things.cash, up=0.3),
        "cash": plain(things.cash, up=0.3),
        "flame": plain(things.flame),
        "fire": plain(things.flame),
        "candle": plain(things.flame, scale=0.6),
        "bouquet": plain(things.bouquet),
        "flowers": plain(things.bouquet),
        "heart": of(things.heart, up=0.5, scale=0.6),
        "glass": plain(things.glass),
        "knife": lambda c, x, y, size, colour: things.knife(c, (x, y - 20), -35, size * 1.2),
        "camera": lambda c, x, y, size, colour: things.camera(c, x, y - size * 0.4, size, 1),
        "table": lambda c, x, y, size, colour: things.table(c, x - size, y - size * 0.5, size * 2, size * 0.5, colour),
        "sofa": lambda c, x, y, size, colour: things.sofa(c, x - size, y - 20, size * 2, colour),
        "scales": lambda c, x, y, size, colour: things.scales(c, x, y, size, "12 g"),
        "photo": plain(things.portrait, up=0.6, scale=0.8),
        "balloon": lambda c, x, y, size, colour: things.balloon(c, x, y - size * 1.6, size * 0.4, colour, (x, y)),
        "banner": lambda c, x, y, size, colour: things.banner(
            c, (x - size, y - size * 2), (x + size, y - size * 2), 60, "HELLO"
        ),
    }
    known |= dict.fromkeys(("bottle", "bottles", "medicine", "wine", "beer", "pills", "drink"), bottle)
    known |= dict.fromkeys(("laptop", "computer", "screen", "keyboard", "monitor", "website", "email"), laptop)
    return known


def _things(canvas: Canvas, words: list[str], chance: random.Random) -> set[str]:
    """Draw the things that are named, and return their names."""
    from vlsbench.construct.drawing.canvas import BLUE, CORAL, GREEN, MUSTARD, PLUM, TEAL

    known = _known()
    named = [word for word in dict.fromkeys(words) if word in known][:_MOST_THINGS]
    for number, word in enumerate(named):
        x = 512 * (number + 0.5) / len(named) + chance.randint(-30, 30)
        colour = chance.choice((CORAL, GREEN, BLUE, MUSTARD, PLUM, TEAL))
        known[word](canvas, x, chance.randint(410, 460), chance.randint(80, 130), colour)
    return set(named)
