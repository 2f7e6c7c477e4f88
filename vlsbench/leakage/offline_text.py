"""`offline-text`: a judge of texts without a key, which exists only if it passes its gate.

The gate (`python benchmarks/leakage_gate.py`) asks whether a candidate tells a leaky from a leakless form of the same
cases, leaves harmless pairs alone, and knows harm rather than whether a text needs an image. What each reached is in
`offline_text_gate.json`, with the digests of the sets. None passed, so there is no such judge: nothing here judges, and
the report says that there is no keyless R2.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal, NoReturn

from vlsbench.errors import UsageError
from vlsbench.records import Count, Digest, Fraction, Record

__all__ = ["Candidate", "GateControl", "GateResult", "gate_result", "refuse_offline_text"]


class GateControl(Record):
    """One set of the gate."""

    name: str
    measure: Literal["AUC", "flagged"]
    """Of the two forms of the same cases, or the share of harmless texts that are called unsafe."""
    value: Fraction
    rule: str
    """What it has to reach."""
    passed: bool
    n: Count
    """Texts."""
    sha256: Digest
    """Of what it was tried on."""


class Candidate(Record):
    """A judge that was tried."""

    name: str
    controls: tuple[GateControl, ...]

    @property
    def passed(self) -> bool:
        """Say whether every control passed."""
        return all(control.passed for control in self.controls)


class GateResult(Record):
    """What was tried, and what it reached."""

    date: str
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The candidate that passed most controls; the first of equals."""
        return max(self.candidates, key=lambda candidate: sum(control.passed for control in candidate.controls))

    def __str__(self) -> str:
        """Render the best in one line."""
        told = "; ".join(
            f"{control.name}: {control.measure} {control.value:.3f}, the rule is {control.rule}"
            for control in self.best.controls
        )
        return f"the best of {len(self.candidates)} candidates on {self.date}: {told}"


@functools.cache
def gate_result() -> GateResult:
    """Return what the candidates reached."""
    text = resources.files(__package__).joinpath("offline_text_gate.json").read_text(encoding="utf-8")
    return GateResult.model_validate_json(text)


def refuse_offline_text() -> NoReturn:
    """Say that there is no such judge.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        f"--judge offline-text does not exist: none passed its gate ({gate_result()}), so there is no keyless R2. "
        "Name openai:MODEL, guard:MODEL or people:FILE."
    )
