"""How much is tried by a test that tries many: a fifth in `make test`, all of it in `make bench`. The code is the same.

A test of hypothesis without a number of its own tries `times(100)`; a loop of another kind carries the mark `fuzz`, so
that `make bench` finds it.
"""

from __future__ import annotations

import os

VARIABLE = "VLSBENCH_TEST_EFFORT"
_PART = {"": 5, "full": 1}[os.environ.get(VARIABLE, "")]


def times(n: int) -> int:
    """Take the part of `n` that is tried in this run."""
    return max(1, n // _PART)
