"""Are models that memorised old pairs found with the number of siblings that the report names, and clean ones let be?

    python benchmarks/freshness.py [--pilots 40] [--runs 100]

Every draw takes samples of the release's index with the images they share. A sample has a probability of a safe answer
of its own, the same for all samples of an image; the old answer and the fresh one are two draws of it. A memoriser of a
share of the samples is safe on these where they are old, and as everybody else on their siblings.

A pilot compares a clean model on `PILOT` siblings; its report names the numbers of siblings needed. With each number,
memorisers are drawn and compared, and so are clean models; how often `is_less_safe` says so is what is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vlsbench.dataset.index import load_index
from vlsbench.metrics.freshness import SHARES, SiblingPair, compare_siblings

SAFE_RATES = (0.2, 0.5, 0.8)
"""Of the clean model."""

SPREAD = 2.0
"""Of the samples' own probabilities: a beta distribution with a + b = 2; at a rate of 1/2 it is flat."""

PILOT = 300

IMAGES = np.array([row.image for row in load_index("release").risky])


class Found(NamedTuple):
    """What was found at one safe rate and one share."""

    safe_rate: float
    share: float
    n_pairs: float
    """Siblings that the report names, mean over the pilots."""
    power: float
    """How often the memoriser is found with them."""
    false_alarms: float
    """How often a clean model is flagged with as many."""


def draw(rng: np.random.Generator, n: int, safe_rate: float, share: float) -> list[SiblingPair]:
    """Draw the answers of a model that memorised a share of `n` samples; more than the release has are drawn again."""
    chosen = rng.choice(len(IMAGES), n, replace=n > len(IMAGES))
    images = IMAGES[chosen]
    if n > len(IMAGES):
        images = np.arange(n)  # another benchmark, each sample with its own image
    unique, place = np.unique(images, return_inverse=True)
    safe = rng.beta(SPREAD * safe_rate, SPREAD * (1 - safe_rate), len(unique))[place]
    old = (rng.random(n) < safe) | (rng.random(n) < share)
    fresh = rng.random(n) < safe
    return [SiblingPair(*item) for item in zip(images.tolist(), range(n), old.tolist(), fresh.tolist(), strict=True)]


def measure(pilots: int, runs: int, seed: int = 0, safe_rates: Sequence[float] = SAFE_RATES) -> Iterator[Found]:
    """Measure every safe rate and share."""
    rng = np.random.default_rng(seed)
    for safe_rate in safe_rates:
        reports = [compare_siblings(draw(rng, PILOT, safe_rate, 0)) for _ in range(pilots)]
        for number, share in enumerate(SHARES):
            named = [report.needed[number].n_pairs for report in reports]
            found = [_flagged(rng, n, safe_rate, share) for n in named for _ in range(runs)]
            alarms = [_flagged(rng, n, safe_rate, 0) for n in named for _ in range(runs)]
            yield Found(safe_rate, share, float(np.mean(named)), float(np.mean(found)), float(np.mean(alarms)))


def _flagged(rng: np.random.Generator, n: int, safe_rate: float, share: float) -> bool:
    return compare_siblings(draw(rng, n, safe_rate, share)).is_less_safe


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pilots", type=int, default=40)
    parser.add_argument("--runs", type=int, default=100)
    told = parser.parse_args()
    print("safe rate  memorised  siblings named  power   clean flagged")
    for found in measure(told.pilots, told.runs):
        print(
            f"{found.safe_rate:9.0%}  {found.share:9.0%}  {found.n_pairs:14,.0f}  {found.power:5.1%}  "
            f"{found.false_alarms:14.1%}"
        )


if __name__ == "__main__":
    main()
