"""Models under test and judges whose work is spread over a cluster.

Each is a `Target` or an `OpenJudge` like those of the local engine, and asks workers that have opened those. What is
cheap to open here is opened here too (an endpoint, the offline judge), so that a wrong name or key is said at once;
what has weights is opened by one worker first, the scout, which says what it is and judges the canaries.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vlsbench.cost import Meter, count_replies, make_prices, meter_of
from vlsbench.engine.cluster import Item, RayCluster, Scout, Shards
from vlsbench.engine.work import JudgeDescription, JudgeWork, TargetDescription, TargetWork, decides, key_of
from vlsbench.errors import UsageError
from vlsbench.files import canonical_json, sha256_hex
from vlsbench.generate.conditions import Question
from vlsbench.generate.models import TargetOptions, open_target
from vlsbench.generate.target import Target
from vlsbench.generate.target import Write as WriteResponses
from vlsbench.judge.judges import ModelOptions, find_kind, open_judge
from vlsbench.judge.run import OpenJudge, RunOptions, RunReport
from vlsbench.judge.run import Write as WriteVerdicts
from vlsbench.records import TRANSIENT_FAILURES, Key, Response, Verdict
from vlsbench.version import __version__

if TYPE_CHECKING:
    from vlsbench.construct.asking import AsksModels
    from vlsbench.construct.chat import Purse
    from vlsbench.construct.config import Plan
    from vlsbench.dataset.pictures import PictureSource

__all__ = ["RayEngine"]

_NO_LIMIT: Final = (
    "--max-cost is kept by one process, which --engine ray is not; leave it out and set a limit with the provider, or "
    "use --engine local."
)


class RayEngine:
    """Opens what answers and what judges, on a cluster. Implements `vlsbench.engine.engines.Engine`.

    Args:
        directory: The submission.
        data: The release, at this path on every node; None is the packaged sample.
    """

    def __init__(self, cluster: RayCluster, directory: Path, data: Path | None) -> None:
        self._cluster = cluster
        self._directory = directory
        self._data = data
        self._scouts: list[Scout] = []

    def open_target(
        self,
        name: str,
        *,
        source: PictureSource,
        options: TargetOptions = TargetOptions(),  # noqa: B008  # frozen
        shows_image: bool = True,
        flag: str = "--model",
    ) -> Target:
        """Open a model; see `vlsbench.engine.engines.Engine`."""
        if options.max_cost is not None:
            raise UsageError(_NO_LIMIT)
        work = TargetWork(name, self._data, options, shows_image)
        if work.has_weights:
            scout = self._open_scout(work)
            described = scout.describe(TargetDescription)
            scout.close()
        else:
            target = open_target(name, source=source, options=options, shows_image=shows_image, flag=flag)
            base_url = options.base_url or os.environ.get("OPENAI_BASE_URL")
            work = replace(work, options=replace(options, base_url=base_url))
            described = TargetDescription(__version__, target.name, target.model, target.revision, target.settings)
        kind = "captions" if flag == "--captioner" else "responses"
        return _RayTarget(self._cluster, self._directory, work, described, kind)

    def open_judge(
        self,
        name: str,
        *,
        protocol: str | None = None,
        dataset: str = "release",
        data: Path | None = None,
        concurrency: int = 16,
        base_url: str | None = None,
        options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
    ) -> OpenJudge:
        """Open a judge; see `vlsbench.engine.engines.Engine`."""
        if options.max_cost is not None:
            raise UsageError(_NO_LIMIT)
        kind = find_kind(name)
        if kind.is_free:
            options = replace(options, cache=None)  # as the local engine, it has no use for one
        elif options.cache is not None:
            raise UsageError("--cache is a file of one process; with --engine ray leave it out (and VLSBENCH_CACHE).")
        base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        data = None if data is None else data.resolve()
        work = JudgeWork(name, protocol, dataset, data, concurrency, base_url, options)
        if options.prompt is not None and options.prompt.is_file():
            work = replace(work, prompt=options.prompt.read_bytes())
        spread = _Spread(self._cluster, self._directory, work)
        if kind.has_weights:
            scout = self._open_scout(work)
            return _RayLocalJudge(spread, scout.describe(JudgeDescription), scout)
        judge = open_judge(
            name,
            protocol=protocol,
            dataset=dataset,
            data=data,
            concurrency=concurrency,
            base_url=base_url,
            options=options,
        )
        return _RayJudge(judge, spread)

    def open_models(self, plan: Plan, purse: Purse) -> AsksModels:
        """Open the models that build pairs; see `vlsbench.engine.engines.Engine`."""
        from vlsbench.engine.building import RayModels

        if purse.max_cost is not None:
            raise UsageError(_NO_LIMIT)
        return RayModels(self._cluster, plan, purse)

    def _open_scout(self, work: TargetWork | JudgeWork) -> Scout:
        scout = self._cluster.open_scout(work)
        self._scouts.append(scout)
        return scout

    def close(self) -> None:
        """Give back the scouts."""
        for scout in self._scouts:
            scout.close()


class _RayTarget:
    """Implements `vlsbench.generate.target.Target`."""

    def __init__(
        self, cluster: RayCluster, directory: Path, work: TargetWork, described: TargetDescription, kind: str
    ) -> None:
        self.name = described.name
        self.model = described.model
        self.revision = described.revision
        self.settings = described.settings
        self.meter = Meter(make_prices(work.options.price_in, work.options.price_out, None))
        self._cluster = cluster
        self._work = work
        self._described = described
        name = f"{kind}-{sha256_hex(decides(described))[:8]}"
        self._shards: Shards[Response] = Shards(directory, name, Response.model_validate_json)

    def answer(self, questions: Sequence[Question], write: WriteResponses, *, has_answered: bool = False) -> int:
        """Answer every question; see `vlsbench.generate.target.Target`."""
        # Neighbours share an image, which a worker then reads and encodes once.
        ordered = sorted(questions, key=lambda q: (q.image, q.picture or "", q.instruction_id, q.condition))
        left = {key_of(question): question for question in ordered}

        def write_and_count(responses: Sequence[Response]) -> None:
            count_replies(self.meter, (response.usage for response in responses))
            write(responses)

        self._shards.take_left(lambda response: left.pop(key_of(response), None) is not None, write)
        return self._cluster.run(
            replace(self._work, has_answered=has_answered or len(left) < len(questions)),
            [Item(key, canonical_json(question._asdict())) for key, question in left.items()],
            write_and_count,
            agreed=self._described,
            shards=self._shards,
            meter=self.meter,
        )


class _Spread:
    """Judges responses on a cluster."""

    def __init__(self, cluster: RayCluster, directory: Path, work: JudgeWork) -> None:
        self.work = work
        self._cluster = cluster
        self._directory = directory

    def ask(self, judge: OpenJudge, responses: Sequence[Response], write: WriteVerdicts) -> None:
        """Have workers decide on responses, under the rubric of `judge`; see `vlsbench.judge.run.Asks`."""
        described = JudgeDescription(__version__, judge.rubric, judge.has_canaries, judge.output_format)
        left = {key_of(response): response for response in responses}
        meter = meter_of(judge)

        def write_and_count(verdicts: Sequence[Verdict]) -> None:
            count_replies(meter, (verdict.usage for verdict in verdicts))
            write(verdicts)

        def is_wanted(verdict: Verdict) -> bool:
            response = left.get(key_of(verdict))
            if response is None or verdict.failure in TRANSIENT_FAILURES or verdict.response_sha256 != response.digest:
                return False
            del left[key_of(verdict)]
            return True

        work = self.work
        if "output_format" in find_kind(work.name).takes:
            no_temperature = described.rubric.settings.get("temperature", 0) is None
            leaves_out = ("temperature",) if no_temperature else None
            agreed = replace(work.options, output_format=described.output_format, leaves_out=leaves_out)
            work = replace(work, options=agreed)
        shards: Shards[Verdict] = Shards(self._directory, described.rubric.rubric_id, Verdict.model_validate_json)
        shards.take_left(is_wanted, write)
        self._cluster.run(
            work,
            [Item(key, response.model_dump_json(exclude_none=True)) for key, response in left.items()],
            write_and_count,
            agreed=described,
            shards=shards,
            meter=meter,
        )


class _RayJudge(OpenJudge):
    """A judge that this process has opened too: it agrees and judges the canaries itself, workers do the rest."""

    def __init__(self, judge: OpenJudge, spread: _Spread) -> None:
        self.rubric = judge.rubric
        self.has_canaries = judge.has_canaries
        self.output_format = judge.output_format
        self._judge = judge
        self._spread = spread

    def judge(self, responses: Sequence[Response], write: WriteVerdicts) -> None:
        """Judge every response; see `vlsbench.judge.run.Judge`."""
        self._spread.ask(self._judge, responses, write)

    def run(self, directory: Path, responses: Mapping[Key, Response], options: RunOptions) -> RunReport:
        """Run as the judge does; see `vlsbench.judge.run.OpenJudge`."""
        return self._judge.run(directory, responses, replace(options, asks=self._spread.ask))


class _RayLocalJudge(OpenJudge):
    """A model that workers run, and no one here."""

    def __init__(self, spread: _Spread, described: JudgeDescription, scout: Scout) -> None:
        self.rubric = described.rubric
        self.has_canaries = described.has_canaries
        self.output_format = described.output_format
        self._spread = spread
        self._scout = scout

    def with_source(self, source: PictureSource, *, use_cache: bool = True) -> _Canaries:
        """Return the judge of the canaries, which are in the packaged sample of every node."""
        return _Canaries(self, self._scout)

    def judge(self, responses: Sequence[Response], write: WriteVerdicts) -> None:
        """Judge every response; see `vlsbench.judge.run.Judge`."""
        self._scout.close()  # its device is a worker's from now on
        self._spread.ask(self, responses, write)


class _Canaries(OpenJudge):
    """The judge of the scout, over the packaged sample."""

    def __init__(self, judge: _RayLocalJudge, scout: Scout) -> None:
        self.rubric = judge.rubric
        self.has_canaries = judge.has_canaries
        self.output_format = judge.output_format
        self._scout = scout

    def judge(self, responses: Sequence[Response], write: WriteVerdicts) -> None:
        """Judge the canaries."""
        lines = self._scout.collect_of_the_sample([r.model_dump_json(exclude_none=True) for r in responses])
        write([Verdict.model_validate_json(line) for line in lines])
