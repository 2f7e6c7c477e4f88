"""A run made again from its capsule, and compared.

Rows and the base model must be the same, byte for byte, on every machine: what differs is named and nothing is
trained. Where machine, threads and versions are the same too, losses and weights must be equal bit by bit; elsewhere
losses must agree within `TOLERANCE`, because sums in another order round otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from vlsbench.align.capsule import Capsule, Environment, read_capsule, read_digests
from vlsbench.align.rows import RowDigest, TrainingData, read_rows
from vlsbench.align.trainers import Reward
from vlsbench.align.training import OnStep, drawn, train
from vlsbench.errors import DataError, bounded
from vlsbench.files import StrPath
from vlsbench.records import Record

__all__ = ["TOLERANCE", "Replayed", "compare_runs", "data_differences", "render_replayed", "replay"]

TOLERANCE: Final = 0.02
"""Mean difference of the losses of two runs, over the mean loss of the first, both without sign."""


class Replayed(Record):
    """What came of making a run again."""

    is_same_place: bool
    """Whether machine, threads and versions are those of the capsule."""
    place_differs: tuple[str, ...]
    weights_equal: bool
    losses_equal: bool
    loss_difference: float
    """See `TOLERANCE`."""
    passed: bool


def replay(
    place: Path,
    out: StrPath,
    *,
    model: StrPath | None = None,
    data: StrPath | None = None,
    weights: Mapping[str, float] | StrPath | None = None,
    reward: Reward | None = None,
    on_step: OnStep | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Replayed:
    """Make a run again and compare it with its capsule.

    Args:
        place: The folder of the run, with `capsule.json` and `rows.csv`.
        out: A new folder.
        model: Folder of the base model; where the capsule names it if None.
        data: The training file; where the capsule names it if None.
        weights: As in `train`.
        reward: As in `train`.
        on_step: Told of every step.
        on_stage: Told what is done next.

    Raises:
        DataError: If rows or base model are not those of the capsule: each row that differs is named.
    """
    capsule = read_capsule(place)
    folder = place if place.is_dir() else place.parent
    rows, _ = drawn(capsule.recipe, read_rows(Path(data or capsule.data)), weights)
    problems = data_differences(read_digests(folder), rows)
    if problems:
        raise DataError(f"{rows.folder / rows.name}: not the rows of {place}: {bounded(problems)}.")
    made = train(
        capsule.recipe,
        model or capsule.base_model,
        Path(data or capsule.data),
        out,
        reward=reward,
        reward_name=capsule.reward,
        weights=weights,
        audit=capsule.audit,
        allow_contaminated=bool(capsule.contaminated),
        base_sha256=capsule.base_sha256,
        on_step=on_step,
        on_stage=on_stage,
    )
    return compare_runs(capsule, made.capsule)


def data_differences(expected: Sequence[RowDigest], rows: TrainingData) -> list[str]:
    """Name every row whose text or image is another one, and rows that are missing or new."""
    found = rows.digests
    problems = []
    if len(found) != len(expected):
        problems.append(f"{len(found)} rows where {len(expected)} were trained on")
    for number, (old, new) in enumerate(zip(expected, found, strict=False), start=1):
        if old.id != new.id:
            problems.append(f"row {number} is {new.id!r} and was {old.id!r}")
        elif old.row != new.row:
            problems.append(f"the text of row {new.id} is another one")
        elif old.image != new.image:
            problems.append(f"the image {rows.rows[number - 1].image!r} of row {new.id} is another one")
    return problems


def compare_runs(first: Capsule, second: Capsule) -> Replayed:
    """Compare two runs of one recipe."""
    differs = _differences(first.environment, second.environment)
    pairs = list(zip(first.losses, second.losses, strict=False))
    scale = sum(abs(loss) for loss, _ in pairs)
    far = sum(abs(one - other) for one, other in pairs)
    difference = 0.0 if far == 0 else far / scale if scale else float(far)
    weights_equal = first.weights_sha256 == second.weights_sha256
    losses_equal = first.losses == second.losses
    return Replayed(
        is_same_place=not differs,
        place_differs=tuple(differs),
        weights_equal=weights_equal,
        losses_equal=losses_equal,
        loss_difference=difference,
        passed=(weights_equal and losses_equal)
        if not differs
        else len(first.losses) == len(second.losses) and difference <= TOLERANCE,
    )


def _differences(first: Environment, second: Environment) -> list[str]:
    plain = ("python", "machine", "device", "threads", "processes")
    pairs = [(name, getattr(first, name), getattr(second, name)) for name in plain]
    pairs += [(name, said, second.versions.get(name)) for name, said in first.versions.items()]
    return [f"{name} {one} → {other}" for name, one, other in pairs if one != other]


def render_replayed(found: Replayed) -> str:
    """Say what came of it."""
    where = "the same machine, threads and versions" if found.is_same_place else "; ".join(found.place_differs)
    weights = "equal bit by bit" if found.weights_equal else "not equal bit by bit"
    verdict = "pass" if found.passed else "failed"
    rule = "must be equal" if found.is_same_place else f"must differ by at most {TOLERANCE:.0%}"
    return f"{verdict}: {where}; weights {weights}; losses differ by {found.loss_difference:.3%} and {rule}."
