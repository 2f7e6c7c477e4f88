"""`openai:MODEL`: the model judge as its name opens it: at once or in batches, its price said before."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

from vlsbench.cost import Meter, make_prices
from vlsbench.errors import UsageError
from vlsbench.judge.kinds import JudgeKind, JudgeListing, Opening
from vlsbench.judge.model import ModelJudge
from vlsbench.judge.paid import estimate_paid, run_paid
from vlsbench.judge.prompts import EVIDENCE_KINDS, check_evidence, load_prompt
from vlsbench.judge.protocols import PROTOCOLS, endpoint_protocols
from vlsbench.judge.reply import check_output_format
from vlsbench.judge.run import RunOptions, RunReport
from vlsbench.records import Failure, Key, Response

if TYPE_CHECKING:
    from vlsbench.cost import RunEstimate

__all__ = ["KIND", "OpenAIJudge"]


class OpenAIJudge(ModelJudge):
    """A model judge that runs: at once with `paid`, or through `batch`."""

    def run(self, directory: Path, responses: Mapping[Key, Response], options: RunOptions) -> RunReport:
        """Judge what has no verdict yet; see `vlsbench.judge.run.OpenJudge`."""
        if options.is_batch:
            from vlsbench.judge.batch import run_batch

            return run_batch(
                directory,
                responses,
                self,
                limit=options.limit,
                again=options.again,
                is_waiting=options.is_waiting,
                on_progress=options.on_progress,
            )
        return run_paid(
            directory,
            responses,
            self,
            limit=options.limit,
            again=options.again,
            asks=options.asks,
            on_progress=options.on_progress,
        )

    def estimate(
        self,
        directory: Path,
        responses: Mapping[Key, Response],
        *,
        limit: int | None = None,
        again: AbstractSet[Failure] = frozenset(),
    ) -> RunEstimate:
        """Say what `run` would ask, and about how many tokens that takes."""
        return estimate_paid(directory, responses, self, limit=limit, again=again)


def _open(opening: Opening) -> OpenAIJudge:
    protocol, options, model = opening.protocol or "v1", opening.options, opening.model
    if not model and protocol in PROTOCOLS:
        model = PROTOCOLS[protocol].model or ""
    if not model:
        alone = [name for name, entry in PROTOCOLS.items() if entry.model is not None]
        raise UsageError(f"--judge openai:MODEL needs the name of a model, but under --protocol {' or '.join(alone)}.")
    prices = make_prices(options.price_in, options.price_out, options.max_cost)
    cache = None
    if options.cache is not None:
        from vlsbench.judge.cache import VerdictCache

        cache = VerdictCache(options.cache)
    return OpenAIJudge(
        model,
        source=opening.open_source(),
        protocol=protocol,
        evidence=check_evidence(options.evidence or "image"),
        prompt_path=options.prompt,
        output_format=None if options.output_format is None else check_output_format(options.output_format),
        max_side=options.max_side,
        cache=cache,
        meter=Meter(prices, options.max_cost),
        base_url=opening.base_url,
        api_key="not-needed" if opening.is_dry else None,
        concurrency=opening.concurrency,
        temperature=None if "temperature" in (options.leaves_out or ()) else 0.0,
    )


def _list() -> list[JudgeListing]:
    needs = (
        "an OpenAI-compatible endpoint (--base-url, OPENAI_BASE_URL) or OPENAI_API_KEY; "
        "vision, unless --evidence is description or reason; --data FOLDER for the release"
    )
    return [
        JudgeListing(
            "openai:MODEL",
            entry.name,
            f"the same; {entry.needs}" if entry.needs else needs,
            entry.max_tokens,
            {kind: load_prompt(entry.name, evidence=kind).sha256 for kind in EVIDENCE_KINDS},
        )
        for entry in endpoint_protocols().values()
    ]


KIND = JudgeKind(
    backend="openai",
    forms=("openai:MODEL",),
    open=_open,
    listings=_list,
    takes=frozenset(
        {"evidence", "prompt", "max_side", "output_format", "leaves_out", "cache", "price_in", "price_out", "max_cost"}
    ),
    may_stand_alone=True,
    has_batches=True,
    opens_dry=True,
    is_threadsafe=True,
)
