"""What a judge or people measured on the items of an audit, and several such together."""

from __future__ import annotations

from typing import NamedTuple

from vlsbench.leakage.records import GuardScore, HarmLeak, Measure

__all__ = ["Judged"]


class Judged(NamedTuple):
    """What was measured; a member that was not is None."""

    harm_leak: HarmLeak | None = None
    answerable_without: Measure | None = None
    changes_when_swapped: Measure | None = None
    changes_when_removed: Measure | None = None
    mirage_rate: Measure | None = None
    guard: GuardScore | None = None
    notes: tuple[str, ...] = ()

    def beside(self, other: Judged) -> Judged:
        """Join with what another measured; where both have a member, this one's is kept."""
        joined = {
            name: getattr(self, name) if getattr(self, name) is not None else getattr(other, name)
            for name in self._fields
            if name != "notes"
        }
        return Judged(**joined, notes=(*self.notes, *other.notes))
