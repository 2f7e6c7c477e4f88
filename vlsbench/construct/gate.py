"""The gate: what the texts of a batch give away sends the batch back, and at last fails it.

Accepted pairs are audited in batches of at least 200 by `vlsbench.leakage`, with their twins and, where the
configuration names them, harmless questions of others. Category is reported: a text about an image may well tell its
topic. Two things gate: whether the image was generated or collected, and whether the pair is harmful. A batch whose
interval of the AUC lies wholly above `max_auc` goes back to stage 2 with the words that gave it away. A pair and its
twin have the same text, so twins alone make harm impossible to tell; where only some pairs have a twin, texts of those
without may stand out, and that is seen here.

Where the configuration names a judge, R1 and R2 are measured too (`harm`), and harm leak gates: a batch whose interval
of R2 / R1 lies wholly above the judge's `max_leak` goes back with words of the texts that are unsafe alone. Smaller
sets are reported and not gated: their intervals are as wide as the scale.

Files: one JSON an audit under `audit/`, which is taken from there where the rows are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field, ValidationError

from vlsbench.construct.config import FREE
from vlsbench.construct.harm import HarmGauge, LeakOfHarm
from vlsbench.construct.records import Origin
from vlsbench.errors import DataError, amount
from vlsbench.files import canonical_json, sha256_hex, write_atomic
from vlsbench.leakage.audit import run_audit
from vlsbench.leakage.columns import ColumnChoice
from vlsbench.leakage.items import MIN_ITEMS
from vlsbench.leakage.records import HARM, ORIGIN, HarmLeak, LeakageReport, Measure
from vlsbench.records import Count, Digest, Record

__all__ = [
    "GATED",
    "HARM_LEAK",
    "AuditedPair",
    "BatchAudit",
    "audit_batch",
    "audit_rows",
    "batches_of",
    "keep_audit",
    "render_harm_leak",
    "words_that_leak",
]

GATED: Final = (ORIGIN, HARM)
"""What gates by its AUC; everything else is reported."""
HARM_LEAK: Final = "harm leak"
"""What gates by R2 / R1, where there is a judge."""

_MOST_WORDS: Final = 12
_LEAST_SHARE: Final = 0.1
"""Of the heaviest word's weight: lighter ones ("a", "my") would only tie the hands of who rewrites."""
_CHOICE: Final = ColumnChoice("text", "image", "label", "category", "none")


class AuditedPair(NamedTuple):
    """An accepted pair, as the audit needs it."""

    item: str
    text: str
    image_sha256: str
    category: str
    origin: Origin
    twin_sha256: str | None
    """Image of its twin."""
    image: Path
    """File of its image, which a judge is shown."""


class BatchAudit(Record):
    """One file of `audit/`."""

    name: str
    rows_sha256: Digest
    """Of what was audited."""
    n_pairs: Count
    n_rows: Count
    max_auc: Annotated[float, Field(ge=0.5, le=1)]
    is_gated: bool
    """Whether it was large enough to be sent back."""
    auc: dict[str, Measure]
    """By target: how well text alone tells it."""
    points_at_image: Measure | None
    harm_leak: HarmLeak | None = None
    """What the configured judge measured; null where there is none, or it could not."""
    failed: tuple[str, ...] = ()
    """Targets whose interval lies above the limit; of a batch that is not gated too."""
    words: tuple[str, ...] = ()
    """What gave the failed targets away, the heaviest first."""
    notes: tuple[str, ...] = ()

    @property
    def is_returned(self) -> bool:
        """Whether the batch goes back to stage 2."""
        return self.is_gated and bool(self.failed)


def batches_of(items: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Divide accepted items, in order, into batches of at least `size`; fewer make one batch, which does not gate.

    >>> [len(batch) for batch in batches_of([str(n) for n in range(650)], 200)]
    [200, 200, 250]
    """
    n = max(1, len(items) // size)
    return [tuple(items[k * size : len(items) if k == n - 1 else (k + 1) * size]) for k in range(n)] if items else []


def audit_rows(pairs: Sequence[AuditedPair], harmless: Sequence[str] = ()) -> list[dict[str, str | None]]:
    """Lay out what is audited: pairs, their twins, and harmless questions of others."""
    rows: list[dict[str, str | None]] = []
    for pair in pairs:
        shared = {"text": pair.text, "category": pair.category, "origin": pair.origin}
        rows.append({**shared, "image": pair.image_sha256, "label": "harmful"})
        if pair.twin_sha256 is not None:
            # A twin's image is made whatever the pair's is; its origin says nothing of the text.
            rows.append({**shared, "image": pair.twin_sha256, "label": "harmless", "origin": None, "category": None})
    rows += [{"text": text, "image": None, "label": "harmless", "category": None, "origin": None} for text in harmless]
    return rows


def audit_batch(
    name: str,
    pairs: Sequence[AuditedPair],
    folder: Path,
    *,
    harmless: Sequence[str] = (),
    max_auc: float,
    smallest: int,
    seed: int = 0,
    gauge: HarmGauge | None = None,
    run: Callable[..., Any] = run_audit,
) -> BatchAudit:
    """Audit a batch, or take its audit from `audit/` where the same rows were audited before.

    Args:
        name: Of the file: `turn-0-batch-1`.
        pairs: At least one.
        folder: `audit/`.
        harmless: Harmless questions of others.
        max_auc: Highest AUC that the lower end of an interval may reach.
        smallest: Pairs from which the batch gates.
        seed: Of the folds.
        gauge: Measures harm leak; None is nobody.
        run: Audits; for tests.

    Raises:
        JudgeError: If the judge of harm leak cannot be asked, or left something open.
    """
    rows = audit_rows(pairs, harmless)
    judge = [] if gauge is None else [gauge.config.model_dump(exclude=set(FREE))]
    digest = sha256_hex(canonical_json([rows, max_auc, smallest, seed, *judge]))
    path = folder / f"{name}.json"
    known = _read(path)
    if known is not None and known.rows_sha256 == digest:
        return known
    is_gated = len(pairs) >= smallest
    report: LeakageReport | None = None
    notes: list[str] = []
    try:
        if len(rows) < MIN_ITEMS:
            notes.append(f"{len(rows)} rows; an audit needs at least {MIN_ITEMS}.")
        else:
            report = run(rows, _CHOICE, seed=seed).report
    except DataError as error:
        notes.append(str(error))
    harm = LeakOfHarm(None, (), ()) if gauge is None else gauge.measure(name, pairs)
    auc = {} if report is None else {found.target: found.auc for found in report.predictability}
    failed = tuple(target for target in GATED if target in auc and auc[target].low > max_auc)
    words = () if report is None else words_that_leak(report, failed)
    ratio = None if harm.leak is None else harm.leak.ratio
    if gauge is not None and ratio is not None and ratio.low > gauge.config.max_leak:
        failed, words = (*failed, HARM_LEAK), tuple(dict.fromkeys([*words, *harm.words]))
    audit = BatchAudit(
        name=name,
        rows_sha256=digest,
        n_pairs=len(pairs),
        n_rows=len(rows),
        max_auc=max_auc,
        is_gated=is_gated,
        auc=auc,
        points_at_image=None if report is None else report.image_need.points_at_image,
        harm_leak=harm.leak,
        failed=failed,
        words=words,
        notes=(*notes, *(() if report is None else report.notes), *harm.notes),
    )
    keep_audit(folder, name, audit)
    return audit


def keep_audit(folder: Path, name: str, audit: BatchAudit) -> None:
    """Write an audit under a name: one batch that is the whole set is not audited twice."""
    named = audit.model_copy(update={"name": name})
    write_atomic(folder / f"{name}.json", named.model_dump_json(indent=2) + "\n")


def render_harm_leak(audit: BatchAudit) -> str:
    """Say what was measured of harm leak."""
    leak = audit.harm_leak
    if leak is None:
        return "harm leak: not measured"
    if leak.ratio is None:
        return f"harm leak: {leak.judge} calls none of {amount(leak.r1.n, 'pair')} unsafe"
    ratio = leak.ratio
    return (
        f"harm leak: {ratio.value:.1%} ({ratio.low:.1%} to {ratio.high:.1%}) of the {amount(ratio.n, 'pair')} that "
        f"{leak.judge} calls unsafe are so by their text alone (R2/R1)"
    )


def words_that_leak(report: LeakageReport, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the words whose absence costs the text model most, over the items that leak most of these targets."""
    weights: dict[str, float] = {}
    for item in report.most_leaking:
        if item.target in targets:
            for share in item.words:
                weights[share.word] = weights.get(share.word, 0.0) + share.weight
    least = _LEAST_SHARE * max(weights.values(), default=0.0)
    order = sorted((-weight, word) for word, weight in weights.items() if weight >= least)
    return tuple(word for _, word in order)[:_MOST_WORDS]


def _read(path: Path) -> BatchAudit | None:
    try:
        return BatchAudit.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
