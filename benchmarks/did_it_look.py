"""Did it look? Simulated models that cannot see and models that can, and what `metrics.looking` says of them.

    python benchmarks/did_it_look.py [--runs 1000] [--samples 200]

An answer is 24 words. A blind model takes all of them from what the text is about; one that looks takes half from what
the image shows, on a share of the samples only where it is said so. Decoding: `same` says the same twice; `serving`
changes a few words of one answer in eight (greedy, on a busy server); `sampled` draws two words of five anew each time.
`refuses` gives seven texts of ten one canned refusal, whatever the image. Four samples of ten share their image with
another. Printed: how many runs get which verdict; exit 1 where fewer than 99% of the blind or more than 1% of those
that look are said not to see.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from typing import NamedTuple

from vlsbench.metrics.looking import Asked, look
from vlsbench.records import Looking

__all__ = ["MODELS", "Model", "simulate"]

REFUSAL = "I'm sorry, but I can't help with that."
_N_WORDS = 24
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ing", "ost")]
_WORDS = [*_SYLLABLES, *(a + b for a in _SYLLABLES for b in _SYLLABLES)]


class Model(NamedTuple):
    """How a model answers."""

    looks: float
    """Share of the samples whose image it looks at."""
    wobble: float
    """Chance that an answer differs from the one before although nothing else does."""
    redrawn: float
    """Share of such an answer's words that are other ones."""
    refuses: float = 0.0
    """Share of the texts that get a canned refusal, whatever the image."""


MODELS: dict[str, Model] = {
    "blind, same": Model(0.0, 0.0, 0.0),
    "blind, serving": Model(0.0, 0.125, 0.15),
    "blind, sampled": Model(0.0, 1.0, 0.4),
    "blind, sampled, refuses": Model(0.0, 1.0, 0.4, 0.7),
    "looks, same": Model(1.0, 0.0, 0.0),
    "looks, serving": Model(1.0, 0.125, 0.15),
    "looks, sampled": Model(1.0, 1.0, 0.4),
    "looks, sampled, refuses": Model(1.0, 1.0, 0.4, 0.7),
    "looks at half, serving": Model(0.5, 0.125, 0.15),
    "looks at half, sampled": Model(0.5, 1.0, 0.4),
}
"""By name."""


def simulate(model: Model, *, n: int, rng: random.Random) -> Looking:
    """Ask a model about n samples, three times each."""
    samples = []
    images = [place // 2 if place < 2 * (n // 5) else place for place in range(n)]
    rng.shuffle(images)
    for image in images:
        text, right, other = (rng.choices(_WORDS, k=2 * _N_WORDS) for _ in range(3))
        is_refused, is_looking = rng.random() < model.refuses, rng.random() < model.looks
        shown = (right, other, right) if is_looking else (text, text, text)
        said = [REFUSAL if is_refused else _say(model, text, picture, rng) for picture in shown]
        samples.append(Asked(image, said[0], said[1], said[2]))
    return look(samples, "sampled" if model.wobble == 1 else "deterministic")


def _say(model: Model, text: list[str], picture: list[str], rng: random.Random) -> str:
    """Write an answer: half of what the text is about, half of what is seen; some words are others where it wobbles."""
    half = _N_WORDS // 2
    words = [*text[:half], *(picture[half:_N_WORDS] if picture is text else picture[:half])]
    if rng.random() < model.wobble:
        spare = [*text[_N_WORDS:], *picture[_N_WORDS:]]
        words = [rng.choice(spare) if rng.random() < model.redrawn else word for word in words]
    return " ".join(words)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=200)
    arguments = parser.parse_args()
    is_good = True
    print(f"| {arguments.runs:,} runs, N {arguments.samples:,} | looks | may not see the image | cannot tell |")
    print("|---|---|---|---|")
    for name, model in MODELS.items():
        found = Counter(
            simulate(model, n=arguments.samples, rng=random.Random(f"{name} {run}")).verdict
            for run in range(arguments.runs)
        )
        flagged = found["may not see the image"] / arguments.runs
        is_good &= flagged <= 0.01 if model.looks else flagged >= 0.99
        cells = [f"{found[verdict]:,}" for verdict in ("looks", "may not see the image", "cannot tell")]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
