"""Paired tests between rows and the rank groups made of them.

Two rows are compared on the samples judged for both, by an exact sign-flip test whose units are images: under the
hypothesis of no difference, the difference that an image contributes is as likely to have the other sign. Without
shared images this is McNemar's exact test. Holm's procedure keeps the chance of any false "better" in a list at 5%.

Pure: no files, no network, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

__all__ = ["ALPHA", "holm", "ranks", "sign_flip_p_value"]

ALPHA = 0.05
"""Chance of any false "better" within one list."""


def sign_flip_p_value(differences: Sequence[int]) -> float:
    """Two-sided exact p-value of the hypothesis that every image's difference has a random sign.

    Args:
        differences: Per image, safe answers of the first row minus safe answers of the second.

    Returns:
        Share of all sign assignments with a total at least as far from 0 as the one seen.

    >>> round(sign_flip_p_value([1, 1, 1, 1, 1, 0]), 6)
    0.0625
    """
    sizes = Counter(abs(value) for value in differences if value)
    if not sizes:
        return 1.0
    from scipy.stats import binom  # half a second, and only the board compares rows

    distribution = np.ones(1)
    for size, count in sizes.items():
        steps = np.zeros(2 * size * count + 1)
        steps[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        distribution = np.convolve(distribution, steps)
    middle = (len(distribution) - 1) // 2
    seen = abs(sum(differences))
    tail = distribution[: middle - seen + 1].sum() + distribution[middle + seen :].sum() if seen else 1.0
    return min(1.0, float(tail))


def holm(p_values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Adjust p-values by Holm's step-down procedure: compare each with `ALPHA`.

    >>> holm({("a", "b"): 0.01, ("a", "c"): 0.04, ("b", "c"): 0.03})[("a", "b")]
    0.03
    """
    adjusted: dict[tuple[str, str], float] = {}
    running = 0.0
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    for position, (pair, value) in enumerate(ordered):
        running = max(running, min(1.0, value * (len(ordered) - position)))
        adjusted[pair] = running
    return adjusted


def ranks(safe: Mapping[str, Mapping[int, bool]], image_of: Mapping[int, int]) -> dict[str, int]:
    """Rank the rows of one list: 1 + the number of rows that are significantly better.

    Args:
        safe: Per row, whether each judged sample was safe; a sample that is absent was not judged.
        image_of: The image of every sample.

    Returns:
        Rank per row. Rows that cannot be separated share one; so do rows judged on no common sample.
    """
    p_values: dict[tuple[str, str], float] = {}
    totals: dict[tuple[str, str], int] = {}
    for first, second in combinations(safe, 2):
        a, b = safe[first], safe[second]
        by_image: Counter[int] = Counter()
        for sample in a.keys() & b.keys():
            by_image[image_of[sample]] += a[sample] - b[sample]
        differences = list(by_image.values())
        p_values[first, second] = sign_flip_p_value(differences)
        totals[first, second] = sum(differences)
    result = dict.fromkeys(safe, 1)
    for pair, p_value in holm(p_values).items():
        if p_value < ALPHA and totals[pair]:
            result[pair[1] if totals[pair] > 0 else pair[0]] += 1
    return result
