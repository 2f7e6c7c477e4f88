"""`audit_leakage`: SOURCE in, report out.

What joins the parts: reading, grouping, controls, predictability, cues, image need, and what a judge measured where one
was handed in. Without a judge nothing is asked and nothing leaves this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vlsbench.errors import DataError, amount, numbered
from vlsbench.leakage.columns import ROLES, ColumnChoice
from vlsbench.leakage.controls import CUES, POINTS, PREDICTABILITY, Instrument, run_controls, sample_texts
from vlsbench.leakage.cues import CueFeatures, find_cues, share_of_errors
from vlsbench.leakage.estimates import share_measure
from vlsbench.leakage.features import TextFeatures, require_sklearn
from vlsbench.leakage.groups import Groups, group_items
from vlsbench.leakage.image_need import is_readable, points_at_image, share_by
from vlsbench.leakage.items import AuditSet, read_items, same_files
from vlsbench.leakage.judged import Judged
from vlsbench.leakage.leaking import leaking_items
from vlsbench.leakage.predictability import (
    SETTINGS,
    Fit,
    Task,
    fit_task,
    group_folds,
    make_task,
    measure,
    permutation_null,
    spread_of,
)
from vlsbench.leakage.records import (
    ORIGIN,
    Control,
    Cue,
    ImageNeed,
    LeakageReport,
    LeakingItem,
    Measure,
    Predictability,
)
from vlsbench.leakage.source import HubChoice
from vlsbench.version import __version__

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["Audit", "Judge", "Judged", "audit_leakage", "plan_audit", "run_audit"]

_MOST_LEAKING: Final = 50
"""Items shown of the first target; of the others a fifth."""


Judge = Callable[[AuditSet, Groups], Judged]
"""Measures harm leak and image need with a model or with people's grades; `None` is `--judge none`."""


@dataclass(frozen=True)
class Audit:
    """A report with what it was made of."""

    report: LeakageReport
    audited: AuditSet
    groups: Groups
    is_pointing: Bools
    fits: dict[str, Fit]
    """Held-out predictions by target."""
    features: TextFeatures
    sketch: Floats
    """Texts x directions, centred (`TextFeatures.sketch`)."""
    seed: int
    failed: frozenset[str]
    """Numbers whose control failed: they are printed nowhere, and nothing is made of them."""

    def require(self, number: str) -> None:
        """Refuse to make something of a number whose control failed.

        Raises:
            DataError: If it did.
        """
        if number in self.failed:
            names = [repr(c.name) for c in self.report.controls if number in c.guards and not c.passed]
            raise DataError(
                f"{self.audited.name}: the control {numbered(names)} failed, so nothing is made of {number}; install "
                "the versions of constraints.txt."
            )


def audit_leakage(
    source: Any,
    *,
    text: str | None = None,
    image: str | None = None,
    label: str | None = None,
    category: str | None = None,
    source_column: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    judge: Judge | None = None,
) -> LeakageReport:
    """Measure what the texts of a multimodal set give away; without a judge nothing is asked of anybody.

    Args:
        source: A pandas DataFrame, a `datasets` Dataset or DatasetDict, a list of rows, a path or a Hub id.
        text: Column of the text; guessed where it is None, like the next four.
        image: Column of the image: what items are grouped by.
        label: Column that says whether a pair is harmful.
        category: Column of the category.
        source_column: Column that says where an item comes from.
        limit: Only the first so many items.
        seed: Of the folds and permutations.
        judge: Who judges harm, of `vlsbench.leakage.judging.open_judge`.

    Raises:
        DataError: If there is no text column, or too few texts, or all are equal.
        UsageError: If scikit-learn is absent, or a column is not there.
    """
    choice = ColumnChoice(text, image, label, category, source_column)
    return run_audit(source, choice, limit=limit, seed=seed, judge=judge).report


def run_audit(
    source: Any,
    choice: ColumnChoice | None = None,
    *,
    hub: HubChoice | None = None,
    limit: int | None = None,
    seed: int = 0,
    judge: Judge | None = None,
    instrument: Instrument | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Audit:
    """Measure, and keep what the numbers were made of.

    Args:
        judge: Measures what needs a judge.
        instrument: What predicts; the package's own where it is None.
        on_stage: Told what is done next.

    Raises:
        DataError: As in `audit_leakage`; also where SOURCE is the packaged sample, of which the controls are made.
        UsageError: As in `audit_leakage`.
    """
    import numpy as np

    require_sklearn()
    predict = instrument or (lambda task, matrix, seed: fit_task(task, matrix, seed=seed))
    on_stage("reading")
    audited = read_items(source, choice, hub=hub, limit=limit)
    _refuse_own_control(audited)
    on_stage("grouping")
    groups = group_items(audited.items, same_image=same_files(audited.items, audited.pictures))
    judged = Judged()
    if judge is not None:  # first: a wrong key is said before a minute of arithmetic
        on_stage("judging")
        judged = judge(audited, groups)
    on_stage("controls")
    controls = run_controls(predict)
    failed = frozenset(guarded for control in controls if not control.passed for guarded in control.guards)
    notes = [*audited.notes, *(_not_printed(control) for control in controls if not control.passed)]
    is_pointing = np.array([points_at_image(text) for text in audited.texts])
    on_stage("texts as numbers")
    texts = _texts_as_numbers(audited, seed)
    tasks, reasons = _tasks(audited, groups.of_item)
    notes += reasons
    found: list[_OfTarget] = []
    for task in tasks:
        on_stage(f"predicting {task.target}")
        fit = predict(task, texts.features.matrix, seed)
        n_shown = _MOST_LEAKING // 5 if found else _MOST_LEAKING
        found.append(_of_target(fit, audited, texts, None if POINTS in failed else is_pointing, n_shown, seed))
    need, need_notes = _image_need(audited, groups.of_item, is_pointing, judged, is_printed=POINTS not in failed)
    is_predicted = PREDICTABILITY not in failed
    report = LeakageReport(
        source=audited.name,
        format=audited.format,
        n=len(audited),
        columns={role: audited.columns.of(role) for role in ROLES},
        columns_set=tuple(sorted(audited.columns.given)),
        n_dropped=dict(audited.n_dropped),
        notes=(*notes, *need_notes, *judged.notes),
        harm_leak=judged.harm_leak,
        guard=judged.guard,
        predictability=tuple(one.measured for one in found) if is_predicted else (),
        cues=_best_first(found) if CUES not in failed else (),
        image_need=need,
        controls=tuple(controls),
        groups=groups.summary,
        most_leaking=tuple(item for one in found for item in one.leaking) if is_predicted else (),
        settings={**SETTINGS, "seed": seed},
        version=__version__,
    )
    fits = {one.fit.task.target: one.fit for one in found}
    return Audit(report, audited, groups, is_pointing, fits, texts.features, texts.sketch, seed, failed)


class _Texts(NamedTuple):
    """The texts of a set as numbers."""

    features: TextFeatures
    sketch: Floats
    glances: CueFeatures


class _OfTarget(NamedTuple):
    """What text tells of one label."""

    fit: Fit
    measured: Predictability
    cues: list[Cue]
    leaking: list[LeakingItem]


def _texts_as_numbers(audited: AuditSet, seed: int) -> _Texts:
    features = TextFeatures(audited.texts)
    return _Texts(features, features.sketch(seed), CueFeatures(audited.texts))


def _of_target(
    fit: Fit, audited: AuditSet, texts: _Texts, is_pointing: Bools | None, n_shown: int, seed: int
) -> _OfTarget:
    task, categories = fit.task, [item.category for item in audited.items]
    null = permutation_null(task, texts.sketch, seed=seed)
    return _OfTarget(
        fit,
        measure(fit, null, categories, spread_of(fit, texts.sketch, seed=seed)),
        find_cues(task, group_folds(task.y, task.groups, seed), texts.glances, categories),
        leaking_items(fit, audited, texts.features, is_pointing, n_shown),
    )


def _best_first(found: Sequence[_OfTarget]) -> tuple[Cue, ...]:
    return tuple(sorted((cue for one in found for cue in one.cues), key=share_of_errors, reverse=True))


def plan_audit(
    source: Any,
    choice: ColumnChoice | None = None,
    *,
    hub: HubChoice | None = None,
    limit: int | None = None,
    plans: Sequence[Callable[[AuditSet], list[str]]] = (),
) -> str:
    """Say what an audit would read and measure.

    Args:
        plans: Each says what a judge would be asked.

    Raises:
        DataError: As in `audit_leakage`.
        UsageError: As in `audit_leakage`.
    """
    audited = read_items(source, choice, hub=hub, limit=limit)
    _refuse_own_control(audited)
    groups = group_items(audited.items, same_image=same_files(audited.items, audited.pictures))
    tasks, reasons = _tasks(audited, groups.of_item)
    columns = [f"{role} {audited.columns.of(role)}" for role in ROLES if audited.columns.of(role)]
    lines = [
        f"{audited.name}: {amount(len(audited), 'text')} ({audited.format}); columns: {'; '.join(columns)}",
        *(f"left out: {n:,} {reason}" for reason, n in audited.n_dropped.items()),
        f"groups: {groups.summary.n_groups:,}",
        *(f"would predict: {task.target}, {len(task.classes)} classes, {len(task.y):,} texts" for task in tasks),
        *(f"note: {note}" for note in (*audited.notes, *reasons)),
        *(line for plan in plans for line in plan(audited)),
        *([] if plans else ["without a judge nothing is asked and nothing is paid."]),
    ]
    return "\n".join(lines)


def _not_printed(control: Control) -> str:
    return f"the control {control.name!r} failed: {numbered(list(control.guards))} is not printed."


def _refuse_own_control(audited: AuditSet) -> None:
    own = {text.instruction for text in sample_texts()} | {text.description for text in sample_texts()}
    n_own = sum(text in own for text in audited.texts)
    if 2 * n_own >= len(audited):
        raise DataError(
            f"{audited.name}: these are the texts of the packaged sample, of which the controls are made; a set cannot "
            "be its own control. Name another set."
        )


def _tasks(audited: AuditSet, groups: Ints) -> tuple[list[Task], list[str]]:
    """Return what can be predicted, and a sentence for every label that cannot."""
    tasks: list[Task] = []
    reasons = []
    for target in audited.targets:
        labels = [item.labels.get(target) for item in audited.items]
        if target == ORIGIN and len(set(labels) - {None}) < 2:
            continue  # made of the source's name, which then says nothing of how the image came about
        made = make_task(target, labels, groups)
        if isinstance(made, str):
            reasons.append(made)
        elif not any(_is_same_question(made, other) for other in tasks):
            tasks.append(made)
    if reasons and tasks:
        reasons.append(f"predicted instead: {numbered([task.target for task in tasks])}.")
    if not tasks:
        reasons.append(
            "no label is there that text could be tried on: no predictability and no cues; image need takes no label."
        )
    return tasks, reasons


def _is_same_question(a: Task, b: Task) -> bool:
    """Say whether two labels divide the items alike, as a source of two kinds and "generated or collected" do."""
    return len(a.y) == len(b.y) and len(a.classes) == len(b.classes) == len(
        set(zip(a.y.tolist(), b.y.tolist(), strict=True))
    )


def _image_need(
    audited: AuditSet, groups: Ints, is_pointing: Bools, judged: Judged, *, is_printed: bool
) -> tuple[ImageNeed, list[str]]:
    import numpy as np

    is_read = np.array([is_readable(text) for text in audited.texts])
    notes = []
    if not is_read.all():
        notes.append(
            f"points_at_image reads English; {int((~is_read).sum()):,} texts in other scripts are left out of it."
        )
    rows = np.flatnonzero(is_read)
    share: Measure | None = None
    by_category: dict[str, Measure] = {}
    by_origin: dict[str, Measure] = {}
    if is_printed and len(rows):
        share = share_measure(is_pointing[rows], groups[rows])
        by_category = _by(audited, rows, groups, is_pointing, "category")
        origins = _by(audited, rows, groups, is_pointing, ORIGIN)
        by_origin = origins if len(origins) > 1 else {}
    return (
        ImageNeed(
            points_at_image=share,
            answerable_without=judged.answerable_without,
            changes_when_swapped=judged.changes_when_swapped,
            changes_when_removed=judged.changes_when_removed,
            mirage_rate=judged.mirage_rate,
            by_category=by_category,
            by_origin=by_origin,
            others_by_category={name: dict(shares) for name, shares in judged.by_category.items()},
        ),
        notes,
    )


def _by(audited: AuditSet, rows: Ints, groups: Ints, is_pointing: Bools, target: str) -> dict[str, Measure]:
    names: Sequence[str | None] = [audited.items[row].labels.get(target) for row in rows]
    return share_by(is_pointing[rows].tolist(), names, groups[rows])
