"""What a paid run of a judge costs: said before, counted after.

Pure. How tokens are estimated and money is kept below a limit: `vlsbench.cost`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vlsbench.cost import Prices

__all__ = [
    "FROM_CACHE",
    "RunEstimate",
    "Tokens",
    "count_tokens",
    "render_estimate",
    "render_tokens",
]

FROM_CACHE = "from_cache"
"""Mark in the `usage` of a verdict that cost nothing."""


class Tokens(NamedTuple):
    """Tokens as the server counted them."""

    n_replies: int
    """Verdicts that say how many tokens they took."""
    tokens_in: int
    cached_in: int
    """The part of `tokens_in` that the provider had in its prefix cache."""
    tokens_out: int
    n_from_cache: int
    """Verdicts that came from our own cache and cost nothing."""


def count_tokens(usages: Sequence[Mapping[str, object] | None]) -> Tokens:
    """Add up the usage of verdicts."""

    def total(name: str) -> int:
        values = [usage.get(name) for usage in usages if usage is not None]
        return sum(value for value in values if isinstance(value, int))

    n_replies = sum(usage is not None and "prompt_tokens" in usage for usage in usages)
    n_from_cache = sum(usage is not None and FROM_CACHE in usage for usage in usages)
    return Tokens(n_replies, total("prompt_tokens"), total("cached_tokens"), total("completion_tokens"), n_from_cache)


class RunEstimate(NamedTuple):
    """What a run would ask, before anything is asked."""

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


def render_estimate(estimate: RunEstimate) -> str:
    """Render an estimate for people."""
    lines = [
        f"rubric    {estimate.rubric}",
        f"to ask    {estimate.n_asked:,} responses and {estimate.n_canaries} canaries",
    ]
    if estimate.n_from_cache is not None:
        lines.append(f"cache     has {estimate.n_from_cache:,} of the responses; they cost nothing")
    lines.append(
        f"tokens    about {estimate.tokens_in:,} in, at most {estimate.most_tokens_out:,} out (an estimate: text by "
        "4 bytes a token, images by OpenAI's rule of tiles"
        + (f", {estimate.n_pictures_measured} of them measured)" if estimate.n_pictures_measured else ")")
    )
    if estimate.prices is not None:
        low = estimate.prices.cost(estimate.tokens_in, 0)
        high = estimate.prices.cost(estimate.tokens_in, estimate.most_tokens_out)
        lines.append(f"money     about {low:,.2f} for what goes in, {high:,.2f} if every reply is as long as it may be")
    lines.append("nothing was asked (--dry-run)")
    return "\n".join(lines)


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
        parts.append(f"{tokens.n_from_cache:,} verdicts from the cache")
    return "; ".join(parts) or None
