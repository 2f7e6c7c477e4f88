"""How text is laid out for people: tables, percent, progress. No arithmetic beyond percent and time left."""

from __future__ import annotations

import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, TextIO, TypeVar

from vlsbench.cost import Meter
from vlsbench.errors import amount

Name = TypeVar("Name", bound=str)

__all__ = [
    "OnProgress",
    "Progress",
    "Reached",
    "one_line",
    "percent",
    "percent_interval",
    "percentage",
    "table",
    "tally",
]


class Reached(NamedTuple):
    """How far a run is."""

    done: int
    total: int
    n_failed: int = 0
    """Of what is done, how much has no answer or no label."""
    meter: Meter | None = None
    """Counts what is asked of an endpoint meanwhile; None where none is asked."""


OnProgress = Callable[[Reached], None]
"""Told by a run how far it is: before the first line, and after every batch that is on disk."""


class Progress:
    """How far a run is, on stderr: a bar on a terminal, and a line every so often in a log.

    While nothing is finished (an endpoint asks to wait, a model is loaded) the time and the retries still move. A log
    gets its first line after half a minute, so that a short run leaves none.
    """

    def __init__(
        self,
        verb: str = "judged",
        *,
        stays: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wait for the first call.

        Args:
            verb: What is done.
            stays: Leave the full bar on the terminal.
            stream: Where to; None is stderr.
            clock: For tests.
        """
        self._stream = stream or sys.stderr
        self._stays = stays
        self._clock = clock
        self._is_terminal = self._stream.isatty()
        self._bar: Any = None
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._begin(verb)

    def _begin(self, verb: str) -> None:
        self._verb = verb
        self._start = self._last_line = 0.0
        self._first: Reached | None = None
        self._reached: Reached | None = None
        self._has_line = False

    def __enter__(self) -> Progress:
        """Look at the clock from now on, also while nobody calls."""
        threading.Thread(target=self._keep_ticking, name="progress", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how far it came."""
        self._is_over.set()
        with self._lock:
            self._end()

    def __call__(self, reached: Reached) -> None:
        """Take note of what is on disk."""
        with self._lock:
            if self._first is None:
                self._first = reached
                self._start = self._last_line = self._clock()
            self._reached = reached
        self.tick()

    def start(self, verb: str) -> None:
        """Begin something else: another verb, counted from its own first line."""
        with self._lock:
            self._end()
            self._begin(verb)

    def tick(self) -> None:
        """Show how far it is: on a terminal now, in a log where it is time for a line."""
        with self._lock:
            reached, now = self._reached, self._clock()
            if reached is None or not reached.total or self._is_over.is_set():
                return
            if self._is_terminal or now - self._last_line >= max(_LINE_SECONDS, _LINE_SHARE * (now - self._start)):
                self._show(reached)

    def _keep_ticking(self) -> None:
        while not self._is_over.wait(_TICK_SECONDS):
            self.tick()

    def _end(self) -> None:
        if self._reached is not None and (self._bar is not None or self._has_line):
            self._show(self._reached)
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
            self._bar = None

    def _show(self, reached: Reached) -> None:
        try:
            if self._is_terminal:
                self._show_bar(reached)
            else:
                self._write_line(reached)
        except OSError:
            self._is_over.set()  # a full disk under the log, a terminal that is gone: no reason to end a run

    def _show_bar(self, reached: Reached) -> None:
        if self._bar is None:
            from tqdm import tqdm

            done = reached.done if self._first is None else self._first.done
            self._bar = tqdm(
                total=reached.total,
                initial=done,
                desc=self._verb,
                unit="",
                file=self._stream,
                leave=self._stays,
                dynamic_ncols=True,
                smoothing=0.05,  # answers come in batches; the rate of the last few says little
                bar_format=_BAR,
            )
        self._bar.total = reached.total
        self._bar.set_postfix_str(", ".join(_counts(reached)), refresh=False)
        if reached.done > self._bar.n:
            self._bar.update(reached.done - self._bar.n)  # draws at most ten times a second
        else:
            self._bar.refresh()

    def _write_line(self, reached: Reached) -> None:
        now = self._clock()
        seconds = now - self._start
        new = reached.done - (0 if self._first is None else self._first.done)
        parts = [f"{self._verb} {reached.done:,} of {reached.total:,}", f"{_duration(seconds)} so far"]
        if new and seconds:
            left = (reached.total - reached.done) * seconds / new
            parts += [_pace(new / seconds), f"about {_duration(left)} left"]
        print(", ".join([*parts, *_counts(reached)]), file=self._stream, flush=True)
        self._last_line = now
        self._has_line = True


_TICK_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 30.0
_LINE_SHARE: Final = 0.05
"""A log gets a line after half a minute, and then whenever a twentieth more time has passed: some 55 in the first hour,
and 62 more in the first day."""

_BAR: Final = "{desc} {n:,} of {total:,} {percentage:3.0f}%|{bar}| {elapsed}, {rate_fmt}, {remaining} left{postfix}"


def _counts(reached: Reached) -> list[str]:
    """Name what is more than nothing: failures, retries, money."""
    meter = reached.meter
    parts = []
    n_failed = reached.n_failed + (0 if meter is None else meter.n_unanswered)
    if n_failed:
        parts.append(f"{n_failed:,} failed")
    if meter is not None and meter.n_retries:
        parts.append(amount(meter.n_retries, "retry", "retries"))
    if meter is not None and meter.prices is not None:
        parts.append(f"cost so far {meter.spent:,.4f}")
    return parts


def _duration(seconds: float) -> str:
    """Write a time as people say it.

    >>> _duration(7.2), _duration(200), _duration(7500)
    ('7 s', '3 min', '2 h 5 min')
    """
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _pace(per_second: float) -> str:
    """Write a rate in the unit that makes it a number of one to three digits.

    >>> _pace(12.34), _pace(0.5), _pace(0.01)
    ('12.3 a second', '30 a minute', '36 an hour')
    """
    if per_second >= 1:
        return f"{per_second:,.1f} a second"
    return f"{60 * per_second:.0f} a minute" if per_second >= 1 / 30 else f"{3600 * per_second:.0f} an hour"


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


def one_line(text: str | bytes) -> str:
    r"""Join what stands in several lines; bytes are read as UTF-8, with what is none replaced.

    Whole: who cuts it does so after secrets are blotted out, which a cut could halve.

    >>> one_line(b" 502\n Bad  gateway ")
    '502 Bad gateway'
    """
    return " ".join((text if isinstance(text, str) else text.decode("utf-8", "replace")).split())


def percent(rate: float | None, *, digits: int = 1) -> str:
    """Render a fraction as percent, or a dash where there is none.

    Args:
        digits: Decimals; the paper prints two, and its rows are shown as printed.

    >>> percent(0.6333), percent(0.0665, digits=2), percent(None)
    ('63.3', '6.65', '–')
    """
    return "–" if rate is None else f"{100 * rate:.{digits}f}"


def percentage(rate: float | None, *, digits: int = 1) -> str:
    """Render a fraction as percent with its sign, for a sentence; in a column the head has the sign.

    Args:
        digits: As in `percent`.

    >>> percentage(0.6333), percentage(1.0), percentage(None)
    ('63.3%', '100.0%', '–')
    """
    return "–" if rate is None else f"{percent(rate, digits=digits)}%"


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
