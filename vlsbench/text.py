"""How text is laid out for people: tables, percent, progress. No arithmetic beyond percent."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

Name = TypeVar("Name", bound=str)

__all__ = ["Progress", "percent", "percent_interval", "table", "tally"]


class Progress:
    """One line on stderr that says how far a run is; silent where stderr is not a terminal."""

    def __init__(self, verb: str = "judged") -> None:
        """Start the clock.

        Args:
            verb: What is done; it may change on the way.
        """
        self.verb = verb
        self._start = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` lines are on disk."""
        if self._is_terminal and total:
            seconds = time.monotonic() - self._start
            print(f"\r{done:,} of {total:,} {self.verb}, {seconds:.0f} s", end="", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the line."""
        if self._is_terminal:
            print(file=sys.stderr)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Lay out rows under a head; the first `left` columns are left-aligned, the others right-aligned.

    >>> print(table(["a", "n"], [["x", "10"], ["longer", "2"]]))
    a        n
    x       10
    longer   2
    """
    grid = [list(head), *[list(row) for row in rows]]
    widths = [max(_width(row[column]) for row in grid) for column in range(len(head))]
    lines = []
    for row in grid:
        cells = []
        for column, cell in enumerate(row):
            pad = " " * (widths[column] - _width(cell))
            cells.append(cell + pad if column < left else pad + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def percent(rate: float | None, *, digits: int = 1) -> str:
    """Render a fraction as percent, or a dash where there is none.

    Args:
        digits: Decimals; the paper prints two, and its rows are shown as printed.

    >>> percent(0.6333), percent(0.0665, digits=2), percent(None)
    ('63.3', '6.65', '–')
    """
    return "–" if rate is None else f"{100 * rate:.{digits}f}"


def percent_interval(bounds: tuple[float, float] | None, between: str = " to ") -> str:
    """Render two fractions as percent, or a dash where there are none.

    >>> percent_interval((0.1, 0.25)), percent_interval((0.1, 0.25), "–")
    ('10.0 to 25.0', '10.0–25.0')
    """
    return "–" if bounds is None else f"{percent(bounds[0])}{between}{percent(bounds[1])}"


def tally(counts: Mapping[Name, int]) -> str:
    """Render counts in their order.

    >>> tally({"refusal": 2, "unsafe": 1})
    '2 refusal, 1 unsafe'
    """
    return ", ".join(f"{count} {name}" for name, count in counts.items())
