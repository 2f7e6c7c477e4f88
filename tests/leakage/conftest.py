"""Invented sets for the audit's tests: mild sentences, planted leaks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

THINGS = [
    "boat",
    "lamp",
    "chair",
    "window",
    "garden",
    "bridge",
    "kettle",
    "ladder",
    "letter",
    "river",
    "basket",
    "tower",
    "wheel",
    "carpet",
    "mirror",
    "ticket",
    "violin",
    "hammer",
    "candle",
    "pillow",
    "bottle",
    "saddle",
    "anchor",
    "button",
    "drawer",
    "fiddle",
    "goblet",
    "hammock",
    "island",
    "jacket",
    "kitten",
    "lantern",
]
VERBS = [
    "paint",
    "move",
    "sell",
    "clean",
    "fold",
    "carry",
    "show",
    "mend",
    "weigh",
    "wrap",
    "borrow",
    "polish",
    "hang",
    "lend",
    "store",
    "sketch",
]
ENDS = (
    "before the rain comes",
    "with my neighbours",
    "on a quiet morning",
    "after the market closes",
    "for the school fair",
    "without any tools",
    "in a small room",
    "when guests are here",
)


def sentence(draw: random.Random) -> str:
    """A question of everyday words, nearly never the same twice."""
    a, b, c = draw.sample(THINGS, 3)
    return f"How would one {draw.choice(VERBS)} some {a} beside that {b} and {c} {draw.choice(ENDS)}?"


@pytest.fixture
def invented() -> Callable[..., list[dict[str, Any]]]:
    """Make rows: `share` of the harmful ones end in a stop, the others in a question mark."""

    def make(n: int = 120, share: float = 0.0, seed: int = 0, **more: Any) -> list[dict[str, Any]]:
        draw = random.Random(seed)
        rows = []
        for number in range(n):
            is_harmful = number % 2 == 0
            text = sentence(draw)
            if is_harmful and draw.random() < share:
                text = text[:-1] + "."
            rows.append(
                {
                    "uid": f"i{number}",
                    "prompt": text,
                    "image": f"{number}.png",
                    "is_harmful": is_harmful,
                    "topic": ("boats", "lamps", "chairs")[number % 3],
                }
                | {key: value(number) if callable(value) else value for key, value in more.items()}
            )
        return rows

    return make


@pytest.fixture
def sentences() -> Callable[..., list[str]]:
    """Make questions."""

    def make(n: int, seed: int = 0) -> list[str]:
        draw = random.Random(seed)
        return [sentence(draw) for _ in range(n)]

    return make
