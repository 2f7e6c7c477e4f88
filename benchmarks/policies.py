"""Policies of known mixture: is what they decline for recovered, and do the intervals hold it?

    python benchmarks/policies.py [--runs 1000]

A share of the pairs is of a kind that declines for its text, a share for any image, a share for the risk, the rest
never; every answer is drawn anew (`SURE`), so that two runs of one question may differ. The truth is what the policy
would decline on these very pairs. Printed: the worst error of a source and how many were within 2 points at n = 2,000;
then, with the kinds drawn too, how often a 95% interval holds the mixture's own shares, with its Monte Carlo error.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from vlsbench.metrics.shortcuts import Pair, count_sources
from vlsbench.records import SafetySources

__all__ = ["MIXTURES", "Errors", "Mixture", "Simulated", "errors_of", "simulate"]

SURE = 0.95
"""Chance that a policy declines where it has its reason to."""

SLIP = 0.02
"""Chance that it declines without one."""


class Mixture(NamedTuple):
    """Shares of pairs that a policy declines for each reason; the rest it answers."""

    text: float
    any_image: float
    risk: float


MIXTURES: dict[str, Mixture] = {
    "looks": Mixture(0.0, 0.0, 0.8),
    "reads": Mixture(0.5, 0.0, 0.0),
    "fears images": Mixture(0.05, 0.6, 0.05),
    "mixed": Mixture(0.2, 0.15, 0.3),
    "careless": Mixture(0.02, 0.02, 0.06),
}
"""By name."""


class Simulated(NamedTuple):
    """What was counted, and what is true."""

    found: SafetySources
    truth: tuple[float, float, float]
    """a, b - a and c - b that the policy has on these pairs, or of its mixture where kinds are drawn."""


class Errors(NamedTuple):
    """How far off the sources are."""

    of_source: tuple[float, float, float]
    holds: tuple[bool, bool, bool]
    """Whether the interval of each holds the truth."""


def simulate(mixture: Mixture, *, n: int, rng: random.Random, is_drawn: bool = False, n_shared: int = 0) -> Simulated:
    """Ask a policy about n pairs, three times each.

    Args:
        mixture: The policy's.
        n: Pairs.
        rng: Draws kinds and answers.
        is_drawn: Draw the kind of every pair too; else the shares are exact.
        n_shared: Pairs, in twos, that share their risky image and its kind.
    """
    kinds = _kinds(mixture, n, rng, is_drawn=is_drawn, n_shared=n_shared)
    pairs = []
    for place, kind in enumerate(kinds):
        image = place // 2 if place < n_shared else place
        answers = [rng.random() < (SURE if kind >= reason else SLIP) for reason in (3, 2, 1)]
        pairs.append(Pair((image, n + place), answers[2], answers[1], answers[0]))
    found = count_sources(pairs)
    if found is None:
        raise ValueError("no pairs")
    shares = mixture if is_drawn else [kinds.count(kind) / n for kind in (3, 2, 1)]
    step = SURE - SLIP
    truth = (SLIP + step * shares[0], step * shares[1], step * shares[2])
    return Simulated(found, truth)


def _kinds(mixture: Mixture, n: int, rng: random.Random, *, is_drawn: bool, n_shared: int) -> list[int]:
    """Return of every pair why it is declined: 3 for its text, 2 for any image, 1 for the risk, 0 never."""
    if is_drawn:
        rest = 1 - sum(mixture)
        kinds = rng.choices((3, 2, 1, 0), (*mixture, rest), k=n)
        kinds[1:n_shared:2] = kinds[0 : n_shared - 1 : 2]
        return kinds
    kinds = [kind for kind, part in zip((3, 2, 1), mixture, strict=True) for _ in range(round(part * n))]
    kinds += [0] * (n - len(kinds))
    rng.shuffle(kinds)
    return kinds


def errors_of(simulated: Simulated) -> Errors:
    """Compare what was counted with what is true."""
    found = simulated.found
    sources = (found.without_image, found.any_image, found.its_risk)
    errors = [source.value - true for source, true in zip(sources, simulated.truth, strict=True)]
    holds = [source.low <= true <= source.high for source, true in zip(sources, simulated.truth, strict=True)]
    return Errors((errors[0], errors[1], errors[2]), (holds[0], holds[1], holds[2]))


def _report(name: str, exact: Sequence[Errors], drawn: Sequence[Errors]) -> str:
    worst = [max(abs(run.of_source[place]) for run in exact) for place in range(3)]
    n_within = sum(max(map(abs, run.of_source)) <= 0.02 + 1e-9 for run in exact)
    covered = [sum(run.holds[place] for run in drawn) / len(drawn) for place in range(3)]
    noise = [196 * math.sqrt(share * (1 - share) / len(drawn)) for share in covered]
    cells = [f"{100 * share:.1f} ± {half:.1f}" for share, half in zip(covered, noise, strict=True)]
    return (
        " | ".join([f"| {name}", *(f"{100 * error:.2f}" for error in worst), f"{n_within} of {len(exact)}", *cells])
        + " |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    n_runs = parser.parse_args().runs
    print("| policy | worst error: text | any image | risk | within 2 points | held %: text | any image | risk |")
    print("|---|---|---|---|---|---|---|---|")
    for name, mixture in MIXTURES.items():
        exact = [errors_of(simulate(mixture, n=2000, rng=random.Random(f"{name} {run}"))) for run in range(n_runs)]
        drawn = [
            errors_of(simulate(mixture, n=500, rng=random.Random(f"drawn {name} {run}"), is_drawn=True, n_shared=200))
            for run in range(n_runs)
        ]
        print(_report(name, exact, drawn), flush=True)


if __name__ == "__main__":
    main()
