"""What asking a paid endpoint costs: estimated before, kept below a limit on the way, counted after.

The one place for tokens, prices, limits and the words for them, whoever is asked: a model or a judge. Pure. Tokens are
estimated by two rules of thumb, so an estimate is one: four bytes of UTF-8 a token of text (characters, in English),
and OpenAI's tiles for an image. Prices are the user's: no price list is kept here, it would be wrong within months.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vlsbench.errors import UsageError, amount, plural

__all__ = [
    "FROM_CACHE",
    "GenerateEstimate",
    "Measured",
    "Meter",
    "Prices",
    "RunEstimate",
    "Tokens",
    "count_replies",
    "count_tokens",
    "image_tokens",
    "make_prices",
    "measure_pictures",
    "meter_of",
    "question_tokens",
    "render_tokens",
    "text_tokens",
]

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


_MEASURED_PICTURES = 64
"""Pictures whose size an estimate looks at: the release has 1,957, and reading all of them takes a minute."""


class Measured(NamedTuple):
    """Pictures that an estimate looked at; the others are taken to be like them."""

    tokens: float
    """Mean per picture; 0 where there is none."""
    n: int


def measure_pictures(ids: Sequence[int], tokens_of: Callable[[int], int]) -> Measured:
    """Measure at most 64 of the pictures that would be sent, evenly spaced.

    Args:
        ids: Samples whose picture would be sent, in order.
        tokens_of: Reads the picture of a sample and returns its tokens.

    >>> measure_pictures(range(100), lambda number: 255)
    Measured(tokens=255.0, n=50)
    """
    if not ids:
        return Measured(0.0, 0)
    tokens = [tokens_of(number) for number in ids[:: -(-len(ids) // _MEASURED_PICTURES)]]
    return Measured(sum(tokens) / len(tokens), len(tokens))


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

    def why_stopped(self, price: float) -> str:
        """Say why a question of this price does not go out."""
        most = 0.0 if self.max_cost is None else self.max_cost
        return (
            f"stopped before --max-cost {most:g}: {self.spent:.4f} are spent and the next question may cost {price:.4f}"
        )

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


def count_replies(meter: Meter | None, usages: Iterable[Mapping[str, object] | None]) -> None:
    """Count what replies cost that were asked for elsewhere: a cluster's worker, a batch."""
    for usage in usages:
        if meter is not None:
            meter.settle(0.0, usage, is_free=usage is None)


def meter_of(asker: object) -> Meter | None:
    """Return what counts the questions of a judge or a model; None where it asks no endpoint from this process."""
    meter = getattr(asker, "meter", None)
    return meter if isinstance(meter, Meter) else None


# --- Before a run -------------------------------------------------------------------------------------------


class RunEstimate(NamedTuple):
    """What a run of a judge would ask, before anything is asked."""

    rubric: str
    n_asked: int
    n_canaries: int
    n_from_cache: int | None
    """How many of `n_asked` the cache has; None where there is no cache."""
    tokens_in: int
    most_tokens_out: int
    """If every reply took its whole budget."""
    n_pictures_measured: int
    """Pictures looked at; the others are taken to be like them."""
    prices: Prices | None

    def __str__(self) -> str:
        """Render for people."""
        lines = [
            f"rubric    {self.rubric}",
            f"to ask    {amount(self.n_asked, 'response')} and {amount(self.n_canaries, 'canary', 'canaries')}",
        ]
        if self.n_from_cache is not None:
            n = self.n_from_cache
            lines.append(f"cache     has {amount(n, 'verdict')}, which {plural(n, 'costs', 'cost')} nothing")
        return "\n".join([*lines, *_cost_lines(self)])


class GenerateEstimate(NamedTuple):
    """What a run of a model would ask, before anything is asked."""

    model: str
    n_questions: int
    n_answered: int
    """Of them, how many have a line already and cost nothing."""
    tokens_in: int
    most_tokens_out: int
    """If every answer took its whole budget."""
    n_pictures_measured: int
    prices: Prices | None

    def __str__(self) -> str:
        """Render for people."""
        n_left = self.n_questions - self.n_answered
        head = [
            f"model     {self.model}",
            f"to ask    {amount(n_left, 'question')} (with a line already: {self.n_answered:,})",
        ]
        return "\n".join([*head, *_cost_lines(self)])


def _cost_lines(estimate: RunEstimate | GenerateEstimate) -> list[str]:
    n = estimate.n_pictures_measured
    lines = [
        f"tokens    about {estimate.tokens_in:,} in, at most {estimate.most_tokens_out:,} out (an estimate: text by "
        "4 bytes a token, images by OpenAI's rule of tiles" + (f", {n} of them measured)" if n else ")")
    ]
    if estimate.prices is not None:
        low, high = (estimate.prices.cost(estimate.tokens_in, out) for out in (0, estimate.most_tokens_out))
        lines.append(f"money     about {low:,.2f} for what goes in, {high:,.2f} if every reply is as long as it may be")
    return [*lines, "nothing was asked (--dry-run)"]


# --- After a run --------------------------------------------------------------------------------------------


FROM_CACHE = "from_cache"
"""Mark in the `usage` of a verdict that cost nothing."""


class Tokens(NamedTuple):
    """Tokens as the server counted them."""

    n_replies: int
    """Replies that say how many tokens they took."""
    tokens_in: int
    cached_in: int
    """The part of `tokens_in` that the provider had in its prefix cache."""
    tokens_out: int
    n_from_cache: int
    """Verdicts that came from our own cache and cost nothing."""


def count_tokens(usages: Sequence[Mapping[str, object] | None]) -> Tokens:
    """Add up the usage of replies."""

    def total(name: str) -> int:
        values = [usage.get(name) for usage in usages if usage is not None]
        return sum(value for value in values if isinstance(value, int))

    n_replies = sum(usage is not None and "prompt_tokens" in usage for usage in usages)
    n_from_cache = sum(usage is not None and FROM_CACHE in usage for usage in usages)
    return Tokens(n_replies, total("prompt_tokens"), total("cached_tokens"), total("completion_tokens"), n_from_cache)


def render_tokens(tokens: Tokens, prices: Prices | None) -> str | None:
    """Render what a run took, or None where there is nothing to say."""
    parts = []
    if tokens.n_replies:
        cached = f" ({tokens.cached_in:,} in the provider's prefix cache)" if tokens.cached_in else ""
        parts.append(
            f"{tokens.tokens_in:,} tokens in{cached}, {tokens.tokens_out:,} out, by {tokens.n_replies:,} replies"
        )
        if prices is not None:
            parts.append(f"cost {prices.cost(tokens.tokens_in, tokens.tokens_out):,.4f} at the given prices")
    if tokens.n_from_cache:
        parts.append(f"{amount(tokens.n_from_cache, 'verdict')} from the cache")
    return "; ".join(parts) or None
