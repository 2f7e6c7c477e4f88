"""Work on blocks on the machines of a Ray cluster (extra `ray`), by Ray Data.

The machine that asks writes everything: workers send their lines to an actor beside it, which appends them to a shard
and answers when they are on disk (`vlsbench.engine.shards`); the run merges the shard as it grows. So workers need no
shared disk for what they write, and a worker that dies, with its machine or alone, loses only the questions it had
under way: Ray starts it again elsewhere with the same block, and what is in the shard is not asked again.

Where workers run: a model on a node's GPU has one worker per GPU; everything else has one worker per node, which asks
for a part of a core only, so that the worker of a lost node finds room on another.

Rule of the room: nothing secret is sent. No schedule of our own: that is Ray Data's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from vlsbench.cost import Meter
from vlsbench.engine.shards import Begun, KeyedLine, Shard, Tail, new_shard, read_left_shards, remove_shards
from vlsbench.engine.work import (
    BlockReport,
    Description,
    Sent,
    Work,
    Worker,
    decides,
    is_about_pictures,
)
from vlsbench.errors import DataError, UsageError, VLSBenchError, amount
from vlsbench.files import MAX_LINE_BYTES
from vlsbench.records import Key

__all__ = ["Item", "RayCluster", "Scout", "Shards", "connect", "cut_into_blocks"]

log = logging.getLogger(__name__)

_BLOCKS_PER_WORKER: Final = 4
"""Enough that a fast worker takes over from a slow one; few enough that the end of a block, when fewer questions are
under way than could be, is a small part of it."""

_LARGEST_BLOCK: Final = 512
"""Items: what a worker that dies again and again repeats, and 1 MB to send."""

_MERGE_SECONDS: Final = 0.2
"""Between two looks into the shard; what a killed run leaves there is merged by the next."""

_CONNECT_SECONDS: Final = 5.0
"""A cluster that is there accepts in milliseconds. Ray itself waits minutes for one that is not."""

_MOST_STARTS: Final = 8
"""Of one block. Ray starts a worker again without end; one that its block kills every time must not go on for ever."""

RecordT = TypeVar("RecordT")
DescriptionT = TypeVar("DescriptionT", bound=Description)


class Item(NamedTuple):
    """One thing to work on."""

    key: Key
    data: str
    """As `Work` reads it."""


class _Room(NamedTuple):
    """What the cluster has room for."""

    n_workers: int
    n_cpus: float
    n_gpus: int


def cut_into_blocks(items: Sequence[Item], n_workers: int, at_once: int = 1) -> list[list[Item]]:
    """Cut items, in order, into blocks of nearly the same size.

    Args:
        at_once: How many items a worker has under way together.
    """
    if not items:
        return []
    most = -(-len(items) // at_once)
    least = -(-len(items) // _LARGEST_BLOCK)
    n_blocks = max(least, min(most, n_workers * _BLOCKS_PER_WORKER))
    bounds = [len(items) * number // n_blocks for number in range(n_blocks + 1)]
    return [list(items[low:high]) for low, high in itertools.pairwise(bounds)]


def _check_address(address: str | None) -> None:
    """Refuse what Ray would wait for."""
    if address in (None, "auto", "local"):
        return
    assert address is not None  # noqa: S101  # said for mypy
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(
            f"--ray-address is HOST:PORT of the cluster's head as `ray start --head` prints it, 'auto' or 'local'; "
            f"found {address!r}. Run the command on a machine of the cluster."
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--ray-address {address}: nothing answers there ({error}). Is the cluster up?") from None


@contextlib.contextmanager
def connect(address: str | None) -> Iterator[RayCluster]:
    """Join a cluster, or start one of this machine alone, for the length of the block.

    Args:
        address: HOST:PORT of the head; `auto` finds the one this machine belongs to, `local` starts one; None is
            `RAY_ADDRESS`, else one that runs here, else a new one. A Ray that this process has joined is used as it is.

    Raises:
        UsageError: If Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # What it retries is not for people; it is in its logs.
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(f"--engine ray needs the extra 'ray' ({error.name}): pip install 'vlsbench[ray]'.") from None
    _check_address(address)
    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(
                address=address,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UsageError(f"--engine ray: no cluster could be joined ({reason}). Is it up?") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        yield RayCluster(ray)
    finally:
        if is_ours:
            ray.shutdown()


class RayCluster:
    """A cluster that this process has joined; see `connect`."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def _room(self, work: Work) -> _Room:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        if not nodes:
            raise UsageError("--engine ray: no node of the cluster has a CPU to work with.")
        if not work.has_weights:
            return _Room(len(nodes), 0.25, 0)
        if n_gpus := int(sum(node.get("GPU", 0) for node in nodes)):
            return _Room(n_gpus, 1, 1)
        # Half of the smallest node, so that two fit; torch takes as many threads.
        return _Room(len(nodes), max(1, int(min(node["CPU"] for node in nodes)) // 2), 0)

    def open_scout(self, work: Work) -> Scout:
        """Let one worker open the work, to say what it is; the caller closes it."""
        room = self._room(work)
        kind = self._ray.remote(num_cpus=room.n_cpus, num_gpus=room.n_gpus)(Worker)
        return Scout(self._ray, kind.remote(work))

    def run(
        self,
        work: Work,
        items: Sequence[Item],
        write: Callable[[Sequence[RecordT]], None],
        *,
        agreed: Description,
        shards: Shards[RecordT],
        meter: Meter | None = None,
    ) -> int:
        """Work on items all over the cluster and pass the records to `write` as they come.

        Args:
            agreed: What every worker has to have opened.
            shards: Where the records wait on their way.
            meter: Told what the workers sent once more or gave up, block by block.

        Returns:
            How many questions got no reply.

        Raises:
            DataError: If pictures cannot be used; everything else is done and written.
            VLSBenchError: As the local engine does, or if the cluster fails; what was finished is written.
        """
        if not items:
            return 0
        path = new_shard(shards.directory, shards.name)
        merge = _Merge(Tail(path, shards.parse), write)
        reports: list[BlockReport] = []
        try:
            with merge:
                for report in self._work_on_blocks(work, items, path, decides(agreed)):
                    reports.append(report)
                    if meter is not None:
                        meter.n_retries += report.n_retries
                        meter.n_unanswered += report.n_unanswered
                    merge.check()
                    if report.error is not None and not is_about_pictures(report.error):
                        raise report.error.restore()
        except self._ray.exceptions.RayError as error:
            raise VLSBenchError(
                f"the cluster failed: {' '.join(str(error).split())[:500]}. What was finished is kept; the same "
                "command goes on from there."
            ) from None
        remove_shards(shards.directory, shards.name)
        broken = [report.error.message for report in reports if report.error is not None]
        if broken:
            raise DataError("\n".join(broken))
        return sum(report.n_unanswered for report in reports)

    def _work_on_blocks(self, work: Work, items: Sequence[Item], path: Path, agreed: str) -> Iterator[BlockReport]:
        ray = self._ray
        room = self._room(work)
        blocks = cut_into_blocks(items, room.n_workers, work.at_once)
        node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        shard = ray.remote(num_cpus=0, scheduling_strategy=node)(Shard).remote(str(path))
        rows = [{"block": json.dumps(block)} for block in blocks]
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _BlockWorker,
            fn_constructor_kwargs={"work": work, "agreed": agreed, "shard": shard},
            batch_size=None,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=min(room.n_workers, len(blocks)), max_tasks_in_flight_per_actor=1),
            num_cpus=room.n_cpus,
            num_gpus=room.n_gpus or None,
        )
        for batch in done.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
            for text in batch["report"]:
                n_unanswered, error, n_retries = json.loads(str(text))
                yield BlockReport(n_unanswered, None if error is None else Sent(*error), n_retries)
        ray.kill(shard)


class Shards(NamedTuple, Generic[RecordT]):
    """Where the records of a run wait, and how they are read."""

    directory: Path
    name: str
    """Of what decides the records, so that nothing else is merged with them."""
    parse: Callable[[bytes], RecordT]
    max_line_bytes: int = MAX_LINE_BYTES

    def take_left(self, is_wanted: Callable[[RecordT], bool], write: Callable[[Sequence[RecordT]], None]) -> None:
        """Merge what an earlier run left behind."""
        left = read_left_shards(self.directory, self.name, self.parse, max_bytes=self.max_line_bytes)
        if wanted := [record for record in left if is_wanted(record)]:
            log.info("%d lines of an earlier run are merged", len(wanted))
            write(wanted)
        remove_shards(self.directory, self.name)


class _BlockWorker:
    """A worker, as Ray Data calls it."""

    def __init__(self, work: Work, agreed: str, shard: Any) -> None:
        self._worker = Worker(work, agreed)
        self._shard = shard

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        import ray

        def keep(lines: Sequence[KeyedLine]) -> None:
            ray.get(self._shard.append.remote(list(lines)))

        reports = []
        for text in batch["block"]:
            items = [Item((number, condition), data) for (number, condition), data in json.loads(str(text))]
            # A block that comes again, as its first worker died, is in the shard up to there.
            begun: Begun = ray.get(self._shard.begin.remote([item.key for item in items]))
            if begun.n_starts > _MOST_STARTS:
                report = BlockReport(error=Sent.of(_hopeless(items)))
            else:
                report = self._worker.run([item.data for item in items if item.key not in begun.held], keep)
            reports.append(json.dumps(report))
        return {"report": reports}


def _hopeless(items: Sequence[Item]) -> VLSBenchError:
    number, condition = items[0].key
    return VLSBenchError(
        f"a block of {amount(len(items), 'item')}, the first of them instruction_id {number} ({condition}), ended its "
        f"worker {_MOST_STARTS} times; has the node too little memory? What was finished is kept; the same command "
        "goes on."
    )


class _Merge(Generic[RecordT]):
    """Passes what comes into a shard to `write`, from a thread of its own, and the rest at the end."""

    def __init__(self, tail: Tail[RecordT], write: Callable[[Sequence[RecordT]], None]) -> None:
        self._tail = tail
        self._write = write
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._merge_on, name="merge")

    def check(self) -> None:
        """Raise what `write` raised (a full disk), so that no more is asked."""
        if self._error is not None:
            raise self._error

    def _merge_on(self) -> None:
        try:
            while not self._stop.wait(_MERGE_SECONDS):
                self._merge()
        except BaseException as error:  # noqa: BLE001  # carried to the thread that waits
            self._error = error

    def _merge(self) -> None:
        if records := list(self._tail.read()):
            self._write(records)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.check()
        self._merge()


class Scout:
    """One worker outside of Ray Data's pool, for what comes before the run."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor

    def describe(self, kind: type[DescriptionT]) -> DescriptionT:
        """Say what was opened, which the work makes a `kind`; raise what opening it raised."""
        found: DescriptionT | Sent = self._get(self._actor.describe.remote())
        if isinstance(found, Sent):
            raise found.restore()
        return found

    def collect_of_the_sample(self, items: Sequence[str]) -> list[str]:
        """Judge a few answers to the packaged sample; return the lines."""
        lines, report = self._get(self._actor.collect_of_the_sample.remote(list(items)))
        if report.error is not None:
            raise report.error.restore()
        return list(lines)

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise VLSBenchError(f"the cluster failed: {' '.join(str(error).split())[:500]}") from None

    def close(self) -> None:
        """Give back its room."""
        self._ray.kill(self._actor)
