"""The models that build pairs, on the machines of a cluster: chains stay here, their calls are asked there.

A call is an item, its key what the journal knows it by. What a worker is told comes back as a line with the image
inside; the machine that asked puts both into the run's folder, as ever. Shards lie in `private/`, as what they hold
does. An image that is looked at is read from the run's folder, which is at the same path on every node.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vlsbench.construct.asking import Models, Write
from vlsbench.construct.chains import Call, ChatCall, ImageCall
from vlsbench.construct.chat import Purse
from vlsbench.construct.config import Config, Plan
from vlsbench.construct.journal import PRIVATE, Arrived
from vlsbench.construct.records import CallRecord
from vlsbench.construct.safeguards import Safeguards
from vlsbench.engine.cluster import Item, RayCluster, Shards
from vlsbench.engine.shards import KeyedLine
from vlsbench.engine.work import BuildDescription, Keep
from vlsbench.files import canonical_json
from vlsbench.records import Key, Record
from vlsbench.version import __version__

__all__ = ["ModelsWork", "RayModels", "call_of", "item_of"]

_MAX_LINE_BYTES: Final = 256 << 20
"""An image of 8,192 x 8,192 pixels that does not compress."""


class _Line(Record):
    """One line of a shard."""

    record: CallRecord
    image: str | None = None
    """In base64."""


def item_of(call: Call) -> Item:
    """Write a call as it is sent."""
    said = call._asdict()
    if isinstance(call, ChatCall):
        said["picture"] = None if call.picture is None else str(call.picture.resolve())
    return Item(_key_of(call.key), canonical_json(said))


def call_of(data: str) -> Call:
    """Read a call as it was sent."""
    said = json.loads(data)
    if "prompt" in said:
        return ImageCall(**said)
    return ChatCall(**said | {"picture": None if said["picture"] is None else Path(said["picture"])})


def _key_of(call: str) -> Key:
    return 0, call


def _line_of(arrived: Arrived) -> KeyedLine:
    image = None if arrived.image is None else b64encode(arrived.image).decode("ascii")
    return KeyedLine(_key_of(arrived.record.call), _Line(record=arrived.record, image=image).model_dump_json())


def _parse(line: bytes) -> Arrived:
    read = _Line.model_validate_json(line)
    return Arrived(read.record, None if read.image is None else b64decode(read.image))


@dataclass(frozen=True)
class ModelsWork:
    """The models of a configuration."""

    config: Config
    root: Path
    """Folder that paths of the configuration are relative to, on every node."""
    has_weights: bool
    """Whether images are wanted of a pipeline that a worker loads."""

    @property
    def at_once(self) -> int:
        """Return how many calls are under way together."""
        return max(model.concurrency for model in self.config.models.values())

    def describe(self) -> BuildDescription:
        """Say what a worker has to be."""
        return BuildDescription(__version__)

    def open(self) -> _OpenedModels:
        """Open them on this machine."""
        return _OpenedModels(self)


class _OpenedModels:
    def __init__(self, work: ModelsWork) -> None:
        self._work = work
        safeguards = Safeguards(work.config.safeguards.never)
        self._models = Models(work.config, work.root, safeguards, Purse())

    def describe(self) -> BuildDescription:
        return self._work.describe()

    @property
    def n_retries(self) -> int:
        return self._models.n_retries

    def work_on(self, items: Sequence[str], keep: Keep) -> int:
        n_arrived = 0

        def write(arrived: Sequence[Arrived]) -> None:
            nonlocal n_arrived
            n_arrived += len(arrived)
            keep([_line_of(one) for one in arrived])

        self._models.ask([call_of(item) for item in items], write)
        return len(items) - n_arrived

    def over_the_sample(self) -> _OpenedModels:
        return self  # the canaries are a judge's


class RayModels:
    """Asks on a cluster. Implements `vlsbench.construct.asking.AsksModels`.

    Args:
        plan: Of the run.
        purse: Told what was spent.
    """

    def __init__(self, cluster: RayCluster, plan: Plan, purse: Purse) -> None:
        self._cluster = cluster
        self._work = ModelsWork(plan.config, plan.path.parent.resolve(), has_weights=False)
        self._has_pipeline = plan.config.image is not None and plan.config.image.kind == "diffusers"
        self._shards: Shards[Arrived] = Shards(plan.out / PRIVATE, "calls", _parse, _MAX_LINE_BYTES)
        self._purse = purse

    def ask(self, calls: Sequence[Call], write: Write) -> None:
        """Ask everything at once; see `vlsbench.construct.asking.AsksModels`."""
        left = {call.key: call for call in calls}

        def write_and_count(arrived: Sequence[Arrived]) -> None:
            write(arrived)
            self._purse.spent += sum(one.record.cost or 0.0 for one in arrived)

        self._shards.take_left(lambda arrived: left.pop(arrived.record.call, None) is not None, write_and_count)
        # Weights are loaded by workers that have a device of their own: those that chat need none.
        for wave, has_weights in self._waves(left.values()):
            self._cluster.run(
                replace(self._work, has_weights=has_weights),
                [item_of(call) for call in wave],
                write_and_count,
                agreed=self._work.describe(),
                shards=self._shards,
            )

    def _waves(self, calls: Iterable[Call]) -> list[tuple[list[Call], bool]]:
        # Neighbours share an image, which a worker then reads and encodes once.
        ordered = sorted(calls, key=lambda call: (str(getattr(call, "picture", None) or ""), call.item, call.step))
        if not self._has_pipeline:
            return [(ordered, False)]
        chats: list[Call] = [call for call in ordered if isinstance(call, ChatCall)]
        images: list[Call] = [call for call in ordered if isinstance(call, ImageCall)]
        return [(wave, has_weights) for wave, has_weights in ((chats, False), (images, True)) if wave]
