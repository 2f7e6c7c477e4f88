"""What asking a paid endpoint costs: estimated before, kept below a limit on the way.

Pure. Tokens are estimated by two rules of thumb, so an estimate is one: four bytes of UTF-8 a token of text
(characters, in English), and OpenAI's tiles for an image. Prices are the user's: no price list is kept here, it would
be wrong within months.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vlsbench.errors import UsageError

__all__ = ["Meter", "Prices", "image_tokens", "make_prices", "meter_of", "question_tokens", "text_tokens"]

_BYTES_PER_TOKEN = 4
"""OpenAI's own rule of thumb for English; bytes instead of characters, as other scripts need more tokens."""

_PER_MESSAGE = 10
"""Tokens around the messages of a question; the roles and marks of a chat template."""

_TILE, _TILE_TOKENS, _BASE_TOKENS = 512, 170, 85
"""OpenAI's rule for GPT-4o and GPT-4.1 at high detail: 85 tokens and 170 for every tile of 512 px."""

_LONGEST, _SHORTEST = 2048, 768
"""First the image is fitted into 2048 x 2048, then its shortest side is brought down to 768."""


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text.

    >>> text_tokens("How long should I stay out here tonight?")
    10
    """
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def image_tokens(width: int, height: int) -> int:
    """Estimate the tokens of an image at high detail.

    >>> image_tokens(512, 512), image_tokens(1024, 1024), image_tokens(2048, 4096)
    (255, 765, 1105)
    """
    scale = min(1.0, _LONGEST / max(width, height))
    scale = min(scale, _SHORTEST / min(width, height)) if min(width, height) * scale > _SHORTEST else scale
    tiles = 1
    for side in (width, height):
        tiles *= -(-round(side * scale) // _TILE)
    return _BASE_TOKENS + _TILE_TOKENS * max(1, tiles)


def question_tokens(question: Mapping[str, Any]) -> int:
    """Estimate the tokens of a request's texts and schema; its images are counted apart."""
    tokens = _PER_MESSAGE
    for message in question["messages"]:
        content = message["content"]
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        tokens += sum(text_tokens(part) for part in parts)
    if "response_format" in question:
        tokens += text_tokens(json.dumps(question["response_format"]))
    return tokens


class Prices(NamedTuple):
    """Money for a million tokens, in whatever currency the user thinks in."""

    per_million_in: float
    per_million_out: float

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        """Return the price of so many tokens."""
        return (tokens_in * self.per_million_in + tokens_out * self.per_million_out) / 1_000_000


def make_prices(
    price_in: float | None, price_out: float | None, max_cost: float | None, *, prefix: str = "--"
) -> Prices | None:
    """Check the prices given on the command line.

    Args:
        prefix: Of the options, for a command that takes the prices of more than one model.

    Raises:
        UsageError: If one of two is given, or a limit without prices.
    """
    if (price_in is None) != (price_out is None):
        raise UsageError(f"{prefix}price-in and {prefix}price-out belong together: money for a million tokens, each.")
    if max_cost is not None and price_in is None:
        raise UsageError(
            f"{prefix}max-cost needs {prefix}price-in and {prefix}price-out: money for a million tokens, each."
        )
    return None if price_in is None or price_out is None else Prices(price_in, price_out)


class Meter:
    """What a run has spent, and what its questions under way may still cost. Used by one event loop at a time.

    It also counts what else a person who waits wants to know of it (`vlsbench.text.Progress`).

    A reply that does not say its tokens counts as estimated, and so does a question whose end nobody knows (a
    connection that broke, no reply in time): a provider may have been paid for it. An error status costs nothing.
    """

    def __init__(self, prices: Prices | None = None, max_cost: float | None = None) -> None:
        """Start at zero; without `max_cost` everything can be afforded."""
        self.prices = prices
        self.max_cost = max_cost
        self.spent = 0.0
        self.reserved = 0.0
        self.n_retries = 0
        """Questions that were sent once more: a status that passes, a connection that broke."""
        self.n_unanswered = 0
        """Questions given up without a reply, which leave no line behind."""
        self._dearest = 0.0

    def price(self, tokens_in: int, tokens_out: int) -> float:
        """Return what a question may cost: as estimated, and at least what the dearest one so far did cost."""
        return 0.0 if self.prices is None else max(self._dearest, self.prices.cost(tokens_in, tokens_out))

    def can_afford(self, price: float) -> bool:
        """Say whether a question of this price fits below the limit, whatever those under way will cost."""
        return self.max_cost is None or self.spent + self.reserved + price <= self.max_cost

    def reserve(self, price: float) -> None:
        """Hold the price of a question that goes out."""
        self.reserved += price

    def settle(self, price: float, usage: Mapping[str, object] | None, *, is_free: bool) -> None:
        """Replace the price held for a question by what it did cost."""
        self.reserved -= price
        if self.prices is None or is_free:
            return
        counted = usage or {}
        tokens_in, tokens_out = counted.get("prompt_tokens"), counted.get("completion_tokens")
        if isinstance(tokens_in, int) and isinstance(tokens_out, int):
            price = self.prices.cost(tokens_in, tokens_out)
            self._dearest = max(self._dearest, price)
        self.spent += price


def meter_of(asker: object) -> Meter | None:
    """Return what counts the questions of a judge or a model; None where it asks no endpoint from this process."""
    meter = getattr(asker, "meter", None)
    return meter if isinstance(meter, Meter) else None
