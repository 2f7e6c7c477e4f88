"""What a judge or people measured on the items of an audit, and several such together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsbench.leakage.estimates import share_measure
from vlsbench.leakage.image_need import share_by
from vlsbench.leakage.items import AuditSet
from vlsbench.leakage.records import GuardScore, HarmLeak, Measure

if TYPE_CHECKING:
    from vlsbench.leakage.groups import Groups

__all__ = ["Judged", "Said", "count_said"]


class Judged(NamedTuple):
    """What was measured; a member that was not is None."""

    harm_leak: HarmLeak | None = None
    answerable_without: Measure | None = None
    changes_when_swapped: Measure | None = None
    changes_when_removed: Measure | None = None
    mirage_rate: Measure | None = None
    guard: GuardScore | None = None
    by_category: Mapping[str, Mapping[str, Measure]] = {}
    """Member of image need → category → the same share within it."""
    notes: tuple[str, ...] = ()
    texts_found: tuple[str, ...] = ()
    """What the judge of harm leak found of every item's text alone, or why it found nothing."""

    def beside(self, other: Judged) -> Judged:
        """Join with what another measured; where both have a member, this one's is kept."""
        joined = {
            name: getattr(self, name) if getattr(self, name) is not None else getattr(other, name)
            for name in self._fields
            if name not in ("notes", "by_category", "texts_found")
        }
        return Judged(
            **joined,
            by_category={**other.by_category, **self.by_category},
            notes=(*self.notes, *other.notes),
            texts_found=self.texts_found or other.texts_found,
        )


class Said(NamedTuple):
    """What was found of some items: yes or no."""

    rows: Sequence[int]
    """Positions of the items, at least one."""
    is_yes: Sequence[bool]


def count_said(audited: AuditSet, groups: Groups, found: Mapping[str, Said | None]) -> dict[str, Any]:
    """Count shares, over all and per category, as members of `Judged`.

    Args:
        found: Member of image need → what was found; None was not measured.
    """
    import numpy as np

    shares: dict[str, Measure] = {}
    by_category = {}
    for name, said in found.items():
        if said is not None:
            group = groups.of_item[np.array(said.rows)]
            shares[name] = share_measure(np.array(said.is_yes, dtype=bool), group)
            by_category[name] = share_by(said.is_yes, [audited.items[row].category for row in said.rows], group)
    return {**shares, "by_category": by_category}
