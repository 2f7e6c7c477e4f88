"""Ranges of ranks: do they hold the true rank, how wide are they, and what do they cost?

    OMP_NUM_THREADS=1 python benchmarks/ranks.py [--scale 1] [--svg docs/ranks.svg]

Lists of 15, 60 and 500 models answer 2,241 samples with the images of the release (507 share one of 223). A model is
safe on a sample where its ability, the image's difficulty and chance add up above 0; difficulties are drawn anew for
every list, so that models are correlated and images are what varies. Three kinds of list: equal models, evenly spaced
ones, and clusters of five that tie. The true rank is 1 + the models of a higher ability. Counted are

* of row: rows whose own range holds the true rank, and rows of which another is falsely said to be better or worse;
* of list: lists of which all ranges hold, and lists with any false "better";
* Holm: the same, with the same differences and Holm's correction over all pairs in place of the flips.

Exit 1 where less than 94% hold, more than 5% are told apart falsely (two standard errors of the count allowed for), or
Holm's ranges are narrower by more than 1%. At last the time of a list of 500: once, and with one row added.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from vlsbench.dataset.index import load_index
from vlsbench.metrics import ranks
from vlsbench.metrics.ranks import ALPHA, Outcomes

IMAGES: Final = np.array([row.image for row in load_index("release").rows])
LISTS: Final = {15: 200, 60: 40, 500: 20}
"""Lists of each kind, by rows."""
KINDS: Final = ("equal", "evenly spaced", "clusters of five")
LEAST: Final = 0.94

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Seen(NamedTuple):
    """What was counted of the lists of one kind and length."""

    n_rows: int
    kind: str
    n_lists: int
    holds_row: float
    false_row: float
    holds_list: float
    false_list: float
    width_row: float
    width_list: float
    width_holm: float

    @property
    def cells(self) -> list[str]:
        """Lay out a row of the table."""
        row = (f"{100 * self.holds_row:.1f}", f"{100 * self.false_row:.1f}", f"{self.width_row:.2f}")
        whole = (f"{100 * self.holds_list:.1f}", f"{100 * self.false_list:.1f}", f"{self.width_list:.2f}")
        return [str(self.n_rows), self.kind, str(self.n_lists), *row, *whole, f"{self.width_holm:.2f}"]

    @property
    def problems(self) -> list[str]:
        """Say what is not as it has to be."""
        noise = 2 * (ALPHA * (1 - ALPHA) / self.n_lists) ** 0.5
        found = []
        if self.holds_row < LEAST or self.holds_list < LEAST - noise:
            found.append("ranges hold too rarely")
        if self.false_row > ALPHA + noise or self.false_list > ALPHA + noise:
            found.append("rows are told apart falsely too often")
        if self.width_list > 1.01 * self.width_holm:
            found.append("Holm's ranges are narrower by more than 1%")
        return found


def abilities(kind: str, n_rows: int) -> Floats:
    """Return abilities that make safe rates from a tenth to nine tenths, or all one."""
    if kind == "equal":
        return np.zeros(n_rows)
    if kind == "evenly spaced":
        return np.linspace(-1.5, 1.5, n_rows)
    return np.repeat(np.linspace(-1.5, 1.5, n_rows // 5), 5)


def answers(ability: Floats, rng: np.random.Generator) -> Outcomes:
    """Let models answer the release."""
    difficulty = rng.normal(size=IMAGES.max() + 1)[IMAGES]
    chance = rng.normal(0, 0.7, (len(ability), len(IMAGES)))
    return np.where(ability[:, None] + difficulty + chance > 0, 1, -1).astype(np.int8)


def holm(statistic: npt.NDArray[np.float32]) -> Bools:
    """Tell rows apart by Holm's procedure over all pairs."""
    first, second = np.triu_indices(len(statistic), 1)
    p_values = 2 * ndtr(-np.abs(statistic[first, second].astype(np.float64)))
    order = np.argsort(p_values)
    fails = p_values[order] * np.arange(len(order), 0, -1) >= ALPHA
    kept = order[: int(fails.argmax()) if fails.any() else len(order)]
    found = np.zeros(statistic.shape, np.bool_)
    found[first[kept], second[kept]] = True
    return found | found.T


def measure(kind: str, n_rows: int, n_lists: int, seed: int) -> Seen:
    """Make lists and count."""
    ability = abilities(kind, n_rows)
    is_better = ability[:, None] > ability
    true_rank = 1 + is_better.sum(axis=0)
    counts = []
    for number in range(n_lists):
        table = answers(ability, np.random.default_rng([seed, number]))
        compared = ranks._compare(table, table, IMAGES)
        of_row = ranks._told_apart_by_row(compared)
        of_list = ranks._told_apart_in_list(compared) & of_row
        of_holm = holm(compared.statistic)
        up, down = compared.statistic > 0, compared.statistic < 0
        wrong = (up & ~is_better) | (down & ~is_better.T)
        row = [
            low <= true <= high
            for (low, high), true in zip(ranks._ranges(compared, of_row, n_rows), true_rank, strict=True)
        ]
        whole = [
            low <= true <= high
            for (low, high), true in zip(ranks._ranges(compared, of_list, n_rows), true_rank, strict=True)
        ]
        widths = [n_rows - found.sum(axis=1).mean() for found in (of_row, of_list, of_holm)]
        counts.append((np.mean(row), (of_row & wrong).any(axis=1).mean(), all(whole), (of_list & wrong).any(), *widths))
    return Seen(n_rows, kind, n_lists, *np.mean(counts, axis=0).tolist())


def seconds_of_500() -> tuple[float, float]:
    """Return the seconds for the ranges of 500 rows, evenly spaced, and of one row's place among them."""
    table = answers(abilities("evenly spaced", 501), np.random.default_rng(0))
    started = time.process_time()
    ranks.rank_sets(table[:500], IMAGES)
    whole = time.process_time() - started
    started = time.process_time()
    ranks.rank_sets(table, IMAGES)
    return whole, time.process_time() - started


def plot(found: list[Seen]) -> str:
    """Draw how often ranges hold, of row and of list, over the 94% they have to."""
    left, step, height = 150, 22, 40 + 22 * len(found)

    def x(share: float) -> float:
        return left + (share - 0.9) * 3000

    parts = []
    for place, item in enumerate(found):
        y = 34 + step * place
        parts.append(f'<text x="4" y="{y + 4}">{item.n_rows} rows, {item.kind}</text>')
        parts.append(f'<circle cx="{x(max(0.9, item.holds_row)):.1f}" cy="{y - 3}" r="4" fill="#0072b2"/>')
        parts.append(f'<circle cx="{x(max(0.9, item.holds_list)):.1f}" cy="{y + 5}" r="4" fill="#d55e00"/>')
    line = f'<path d="M{x(LEAST):.1f} 20V{height - 4}" stroke="#888" stroke-dasharray="4 3"/>'
    marks = "".join(
        f'<text x="{x(share):.1f}" y="14" text-anchor="middle">{share:.0%}</text>' for share in (0.9, LEAST, 1)
    )
    said = "Share of ranges that hold the true rank: of each row (blue), of all rows of a list at once (orange)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 {height}" font-family="sans-serif" font-size="11" '
        f'role="img" aria-label="{said}"><title>{said}</title>\n<rect width="480" height="{height}" fill="#fff"/>\n'
        + "\n".join([line, marks, *parts])
        + "\n</svg>\n"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="Of the number of lists.")
    parser.add_argument("--svg", type=Path, help="Write the plot.")
    options = parser.parse_args()
    names = ("rows", "models", "lists", "row holds %", "false %", "width", "list holds %", "false %", "width", "Holm's")
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    found = []
    for n_rows, n_lists in LISTS.items():
        for seed, kind in enumerate(KINDS):
            item = measure(kind, n_rows, max(2, round(n_lists * options.scale)), seed)
            found.append(item)
            print(f"| {' | '.join(item.cells)} |", flush=True)
    once, again = seconds_of_500()
    print(f"500 rows: {once:.1f} s of CPU; with one row added {again:.1f} s")
    if options.svg:
        options.svg.write_text(plot(found), encoding="utf-8")
    problems = [f"{item.n_rows} rows, {item.kind}: {problem}" for item in found for problem in item.problems]
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
