"""The one seam of engines: how a model under test and a judge are opened, by name.

What comes out is a `vlsbench.generate.target.Target`, a `vlsbench.judge.run.OpenJudge`, or what asks the models that
build pairs (`vlsbench.construct.asking.AsksModels`): items in, records out through `write`, in any order and any batch.
Everything above it (resuming, locks, canaries, files) is the same for all engines.

local   the package's own: one process, asyncio for endpoints, batches for models on this machine
ray     the same models and judges on the machines of a Ray cluster; see `vlsbench.engine.cluster`
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vlsbench.errors import UsageError
from vlsbench.files import StrPath
from vlsbench.generate.models import TargetOptions, open_target
from vlsbench.generate.target import Target
from vlsbench.judge.judges import ModelOptions, open_judge
from vlsbench.judge.run import OpenJudge

if TYPE_CHECKING:
    from vlsbench.construct.asking import AsksModels
    from vlsbench.construct.chat import Purse
    from vlsbench.construct.config import Plan
    from vlsbench.dataset.pictures import PictureSource

__all__ = ["ENGINES", "Engine", "open_engine"]

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Opens what answers, what judges and what builds."""

    def open_target(
        self,
        name: str,
        *,
        source: PictureSource,
        options: TargetOptions = ...,
        shows_image: bool = True,
        flag: str = "--model",
    ) -> Target:
        """Open a model; as `vlsbench.generate.models.open_target`."""

    def open_judge(
        self,
        name: str,
        *,
        protocol: str | None = None,
        dataset: str = "release",
        data: Path | None = None,
        concurrency: int = 16,
        base_url: str | None = None,
        options: ModelOptions = ...,
    ) -> OpenJudge:
        """Open a judge; as `vlsbench.judge.judges.open_judge`."""

    def open_models(self, plan: Plan, purse: Purse) -> AsksModels:
        """Open the models that build pairs; as `vlsbench.construct.asking.open_models`."""


class _LocalEngine:
    open_target = staticmethod(open_target)
    open_judge = staticmethod(open_judge)

    def open_models(self, plan: Plan, purse: Purse) -> AsksModels:
        from vlsbench.construct.asking import open_models

        return open_models(plan, purse)


@contextlib.contextmanager
def open_engine(
    name: str, directory: StrPath, *, data: StrPath | None = None, ray_address: str | None = None
) -> Iterator[Engine]:
    """Open an engine for the length of the block.

    Args:
        name: One of `ENGINES`.
        directory: The submission; shards go to `.shards/` in it. Those of a run that builds pairs go to its `private/`.
        data: The release or a constructed set, at the same path on every node; None is the packaged sample.
        ray_address: As `vlsbench.engine.cluster.connect` takes it.

    Raises:
        UsageError: If there is no such engine, or no cluster.
    """
    if name not in ENGINES:
        raise UsageError(f"--engine {name!r} is not known; known: {', '.join(ENGINES)}.")
    if name == "local":
        if ray_address is not None:
            raise UsageError("--ray-address belongs to --engine ray.")
        yield _LocalEngine()
        return
    from vlsbench.engine.cluster import connect
    from vlsbench.engine.spread import RayEngine

    where = None if data is None else Path(data).resolve()
    with connect(ray_address) as cluster, contextlib.closing(RayEngine(cluster, Path(directory), where)) as engine:
        yield engine
