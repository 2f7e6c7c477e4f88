"""Planted leaks at all levels: what share of the texts that give their label away does the audit recover?

    python benchmarks/leakage_planted.py [--n 1200] [--draws 3] [--data DATA_JSON] [--svg docs/leakage-planted.svg]

Texts are words of the packaged sample in random order, with two even classes, or with --data those of the official
`data.json` with its categories; the labels are permuted first, so that the texts tell nothing of them. Then the word of
its class is put before 0, 10, ... 100% of the texts. Recovered is (accuracy - majority) / (1 - majority). A line
through the means is fitted: exit 1 unless its slope is 1 within 0.05.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from vlsbench.leakage.controls import plant, recovered_share, sample_texts
from vlsbench.leakage.features import TextFeatures
from vlsbench.leakage.groups import words_of
from vlsbench.leakage.predictability import Task, fit_task, measure

LEVELS: Final = tuple(level / 10 for level in range(11))
TOLERANCE: Final = 0.05


class Level(NamedTuple):
    """One level of planting."""

    planted: float
    recovered: tuple[float, ...]
    """One per draw."""

    @property
    def mean(self) -> float:
        """Mean over the draws."""
        return float(np.mean(self.recovered))


def invented_set(n: int, draw: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return texts of the sample's words and two even classes."""
    words = sorted({word for text in sample_texts() for word in words_of(text.instruction)})
    return [" ".join(draw.choice(words, size=10, replace=False)) + "." for _ in range(n)], ["a", "b"] * (n // 2)


def curve(texts: list[str], labels: list[str], n_draws: int) -> list[Level]:
    """Plant at every level and measure, with labels permuted anew for every draw."""
    found: dict[float, list[float]] = {level: [] for level in LEVELS}
    names, numbers = np.unique(labels, return_inverse=True)
    for seed in range(n_draws):
        draw = np.random.default_rng(seed)
        classes = draw.permutation(numbers)
        for level in LEVELS:
            planted = plant(texts, classes, level, draw)
            rows = np.arange(len(texts))
            task = Task("planted", rows, tuple(map(str, names)), classes.astype(np.int64), rows, {})
            fit = fit_task(task, TextFeatures(planted).matrix, seed=seed)
            found[level].append(recovered_share(measure(fit, (1.0, {}), [None] * len(texts))))
    return [Level(level, tuple(shares)) for level, shares in found.items()]


def line_through(levels: list[Level]) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line through the means."""
    slope, intercept = np.polyfit([level.planted for level in levels], [level.mean for level in levels], 1)
    return float(slope), float(intercept)


def plot(levels: list[Level], title: str) -> str:
    """Draw recovered against planted, as SVG."""
    side, edge = 360, 50

    def at(planted: float, recovered: float) -> tuple[float, float]:
        return edge + planted * side, edge + (1 - recovered) * side

    def line(start: tuple[float, float], end: tuple[float, float], style: str) -> str:
        return f'<line x1="{start[0]:.0f}" y1="{start[1]:.0f}" x2="{end[0]:.0f}" y2="{end[1]:.0f}" {style}/>'

    marks = []
    for level in LEVELS[::2]:
        (x, y), (left, height) = at(level, 0), at(0, level)
        marks.append(f'<text x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">{100 * level:.0f}</text>')
        marks.append(f'<text x="{left - 8:.0f}" y="{height + 4:.0f}" text-anchor="end">{100 * level:.0f}</text>')
        marks.append(line(at(0, level), at(1, level), 'stroke="#ddd"'))
    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f6f8b" fill-opacity="0.6"/>'
        for level in levels
        for x, y in (at(level.planted, share) for share in level.recovered)
    ]
    total = side + 2 * edge
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {total + 10}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{total}" height="{total + 10}" fill="#fff"/>',
        f'<text x="{total / 2:.0f}" y="24" text-anchor="middle" font-size="14">{title}</text>',
        *marks,
        line(at(0, 0), at(1, 1), 'stroke="#999" stroke-dasharray="5 4"'),
        *dots,
        f'<text x="{total / 2:.0f}" y="{total - 8}" text-anchor="middle">texts that give their label away, %</text>',
        f'<text x="14" y="{total / 2:.0f}" text-anchor="middle" transform="rotate(-90 14 {total / 2:.0f})">recovered, %'
        "</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Print the curve, and write the plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_200, help="Texts of the invented set.")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--data", help="The official data.json, or any set with a category.")
    parser.add_argument("--svg", type=Path, help="Write the plot.")
    options = parser.parse_args()
    if options.data:
        from vlsbench.leakage.items import read_items

        items = [item for item in read_items(options.data).items if item.category is not None]
        texts, labels = [item.text for item in items], [str(item.category) for item in items]
    else:
        texts, labels = invented_set(options.n, np.random.default_rng(0))
    levels = curve(texts, labels, options.draws)
    print("| planted % | recovered % (mean) | lowest | highest |\n|---|---|---|---|")
    for level in levels:
        shares = [100 * share for share in level.recovered]
        print(f"| {100 * level.planted:.0f} | {100 * level.mean:.1f} | {min(shares):.1f} | {max(shares):.1f} |")
    slope, intercept = line_through(levels)
    print(f"{len(texts):,} texts, {len(set(labels))} classes: slope {slope:.3f}, intercept {intercept:+.3f}")
    if options.svg:
        options.svg.write_text(plot(levels, f"Planted leaks: slope {slope:.2f}"), encoding="utf-8")
    sys.exit(0 if abs(slope - 1) <= TOLERANCE else 1)


if __name__ == "__main__":
    main()
