"""`--reweight` and `--core`: an audit → ids and weights, with what they reach.

Reweighted: every item that has the label, weighted until its text tells little of it. The core: items whose text points
at its image, weighted until their text tells little of where the image comes from. No files, no network, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from vlsbench.dataset.index import Index, load_index
from vlsbench.errors import DataError, amount
from vlsbench.files import sha256_hex
from vlsbench.leakage.audit import Audit
from vlsbench.leakage.controls import POINTS, PREDICTABILITY
from vlsbench.leakage.items import AuditSet
from vlsbench.leakage.predictability import Task, make_task
from vlsbench.leakage.records import ORIGIN, WeightCheck, WeightsCard
from vlsbench.leakage.reweight import AIM, SETTINGS, Reweighted, check_weights, effective_n, reweight
from vlsbench.leakage.weights import Weights, render_csv
from vlsbench.version import __version__

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["make_core", "make_weights"]

OnRound = Callable[[str], None]
_SOURCES: Final = (ORIGIN, "source")
"""What the core is to hide, in this order: the first that the set has."""
_WEIGHED: Final = "weighted by overlap until a text model's AUC on held-out groups is within the aim"


def make_weights(audit: Audit, *, on_round: OnRound = lambda said: None) -> Weights:
    """Weigh the items of a set so that text tells less of its first label.

    Raises:
        DataError: If there is no label to predict, or what predicts failed its control.
    """
    import numpy as np

    audit.require(PREDICTABILITY)
    if not audit.fits:
        raise DataError(f"{audit.audited.name}: no label is there that text could be tried on; nothing can be weighed.")
    task = next(iter(audit.fits.values())).task
    found = reweight(task, audit.features, audit.sketch, seed=audit.seed, on_round=on_round)
    chosen = np.ones(len(audit.audited), dtype=bool)
    return _described("reweight", audit, task, found, f"every item with the label; {_WEIGHED}", chosen)


def make_core(audit: Audit, *, on_round: OnRound = lambda said: None) -> Weights:
    """Choose and weigh the items whose text needs its image and tells little of where the image comes from.

    Raises:
        DataError: If fewer than 20 texts point at an image, or what chooses or predicts failed its control.
    """
    import numpy as np

    audit.require(POINTS)
    audit.require(PREDICTABILITY)
    audited = audit.audited
    pointing = int(audit.is_pointing.sum())
    if pointing < 20:
        raise DataError(
            f"{audited.name}: {amount(pointing, 'text points', 'texts point')} at an image; a core needs at least 20."
        )
    rule = "items whose text points at an image (image_need.points_at_image)"
    reasons = []
    for target in _SOURCES:
        labels = [
            item.labels.get(target) if is_pointing else None
            for item, is_pointing in zip(audited.items, audit.is_pointing, strict=True)
        ]
        task = make_task(target, labels, audit.groups.of_item)
        if isinstance(task, Task):
            found = reweight(task, audit.features, audit.sketch, seed=audit.seed, on_round=on_round)
            return _described("core", audit, task, found, f"{rule}; {_WEIGHED}", audit.is_pointing)
        reasons.append(task)
    even = np.where(audit.is_pointing, 1.0, 0.0)
    note = f"nothing is weighed, as no source can be predicted ({reasons[-1]})"
    return _described("core", audit, None, Reweighted(even, ()), rule, audit.is_pointing, note)


def _described(
    kind: Literal["reweight", "core"],
    audit: Audit,
    task: Task | None,
    found: Reweighted,
    rule: str,
    chosen: Bools,
    *notes: str,
) -> Weights:
    import numpy as np

    audited = audit.audited
    rows = np.arange(len(audited)) if task is None else task.rows
    by_id = {
        audited.items[row].id: float(f"{weight:.6g}")
        for row, weight in zip(rows, found.weights, strict=True)
        if weight > 0
    }
    kept = rows[found.weights > 0]
    by_class = {}
    if task is not None:
        by_class = {name: round(effective_n(found.weights[task.y == k]), 1) for k, name in enumerate(task.classes)}
    card = WeightsCard(
        kind=kind,
        source=audited.name,
        dataset_digest=_digest(audited),
        target=None if task is None else task.target,
        aim=AIM,
        reached=found.reached,
        n=len(by_id),
        n_of=len(audited),
        effective_n=round(effective_n(found.weights), 1),
        effective_n_by_class=by_class,
        n_by_category=dict(sorted(Counter(audited.items[row].category or "none" for row in kept).items())),
        checks=(*found.checks, *(_other_source(audit, task, found) if kind == "core" else ())),
        rule=rule,
        notes=(*notes, *_notes(task, found, int(chosen.sum()) - len(rows))),
        weights_sha256=sha256_hex(render_csv(by_id)),
        settings=SETTINGS | {"seed": audit.seed},
        version=__version__,
    )
    return Weights(card, by_id)


def _notes(task: Task | None, found: Reweighted, n_without: int) -> list[str]:
    notes = []
    if task is not None and not found.reached:
        ranked = sorted(found.checks, key=lambda check: abs(check.auc_after.value - 0.5), reverse=True)
        is_told = ranked[0].auc_after.value > AIM
        why = "texts tell the classes of {} apart too well" if is_told else "the AUC of {} stays below chance"
        notes.append(
            f"{why.format(task.target)}: the {'lowest' if is_told else 'farthest'} AUC reached is "
            f"{ranked[0].auc_after.value:.3f} by {ranked[0].family} at effective N {effective_n(found.weights):.0f} "
            f"({', '.join(f'{check.family} {check.auc_after.value:.3f}' for check in ranked[1:])}); the aim is "
            f"{1 - AIM:.2f} to {AIM:.2f} by every model."
        )
    if n_without > 0:
        notes.append(
            f"{amount(n_without, 'item has', 'items have')} no label that could be weighed against, and no weight."
        )
    return notes


def _other_source(audit: Audit, task: Task | None, found: Reweighted) -> tuple[WeightCheck, ...]:
    """Try the weights on the names of the sources, where they were made against generated or collected."""
    import numpy as np

    if task is None or task.target == "source":
        return ()
    labels: list[str | None] = [None] * len(audit.audited)
    weight_of = np.zeros(len(audit.audited))
    weight_of[task.rows] = found.weights
    for row in task.rows[found.weights > 0]:
        labels[row] = audit.audited.items[row].labels.get("source")
    other = make_task("source", labels, audit.groups.of_item)
    if isinstance(other, str) or len(other.classes) <= len(task.classes):
        return ()
    return check_weights(other, audit.features, audit.sketch, weight_of[other.rows], seed=audit.seed, has_maker=False)


def _digest(audited: AuditSet) -> str | None:
    """Return the digest of the packaged index whose samples these are, by id and text; None where they are others."""
    for name in ("release", "sample"):
        index: Index = load_index(name)
        texts = {str(row.instruction_id): row.instruction_sha256 for row in index.rows}
        if all(texts.get(item.id) == sha256_hex(item.text) for item in audited.items):
            return index.digest
    return None
