"""The planted-leak curve, by the benchmark's own code at a small count."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.leakage_planted import LEVELS, Level, curve, invented_set, line_through, plot


def test_the_share_that_is_planted_is_recovered_at_every_level() -> None:
    levels = curve(*invented_set(400, np.random.default_rng(0)), n_draws=1)
    assert [level.planted for level in levels] == list(LEVELS)
    slope, intercept = line_through(levels)
    assert slope == pytest.approx(1.0, abs=0.12)
    assert intercept == pytest.approx(0.0, abs=0.1)


def test_the_line_and_the_plot_are_of_what_was_found() -> None:
    levels = [Level(0.0, (0.1, 0.1)), Level(0.5, (0.5, 0.7)), Level(1.0, (1.1,))]
    assert line_through(levels) == (pytest.approx(1.0), pytest.approx(0.1))
    drawn = plot(levels, "Planted and found")
    assert drawn.count("<circle") == 5
