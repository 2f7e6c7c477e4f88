"""`offline-text`: a judge of texts without a key, which exists only if it passes its gate.

The gate (`python benchmarks/leakage_gate.py`) asks whether it tells a leaky from a leakless form of the same cases, and
leaves harmless pairs alone. What it reached is in `offline_text_gate.json`, with the digests of the sets it was tried
on. It failed, so there is no such judge: nothing here judges, and the report says that there is no keyless R2.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import NoReturn

from vlsbench.errors import UsageError
from vlsbench.records import Count, Fraction, Record

__all__ = ["GateResult", "gate_result", "refuse_offline_text"]


class GateControl(Record):
    """One set of the gate."""

    name: str
    measure: str
    """`auc`, or `share flagged`."""
    value: Fraction
    rule: str
    """What it has to reach."""
    passed: bool
    n: Count
    sha256: str
    """Of the file it was tried on."""


class GateResult(Record):
    """What a candidate reached."""

    candidate: str
    """How it reads, in words."""
    date: str
    controls: tuple[GateControl, ...]

    @property
    def passed(self) -> bool:
        """Say whether every control passed."""
        return all(control.passed for control in self.controls)

    def __str__(self) -> str:
        """Render in one line."""
        told = ", ".join(
            f"{control.name} {control.measure} {control.value:.3f} (rule: {control.rule})" for control in self.controls
        )
        return f"{told}; {self.date}"


@functools.cache
def gate_result() -> GateResult:
    """Return what the best candidate reached."""
    text = resources.files(__package__).joinpath("offline_text_gate.json").read_text(encoding="utf-8")
    return GateResult.model_validate_json(text)


def refuse_offline_text() -> NoReturn:
    """Say that there is no such judge.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        f"--judge offline-text does not exist: it failed its gate ({gate_result()}), so there is no keyless R2. "
        "Name openai:MODEL, guard:MODEL or people:FILE."
    )
