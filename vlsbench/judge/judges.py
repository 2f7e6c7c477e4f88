"""Open a judge by its name.

offline              the packaged weights          offline:FOLDER     weights of one's own (calibrate)
openai:MODEL         an OpenAI-compatible endpoint decisions:MODEL    OpenAI's endpoint of choices
transformers:MODEL   a folder or a Hub id, run on this machine
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from vlsbench.errors import UsageError
from vlsbench.judge.protocols import PROTOCOLS, endpoint_protocols
from vlsbench.judge.run import Judge, Write
from vlsbench.records import Probabilities, Response, Rubric, Verdict

if TYPE_CHECKING:
    from vlsbench.judge.prompts import EvidenceKind
    from vlsbench.judge.reply import OutputFormat

__all__ = ["JudgeListing", "ModelOptions", "OfflineRun", "list_judges", "open_judge", "render_judges"]


@dataclass(frozen=True)
class ModelOptions:
    """What can be set of a model judge beyond its name and protocol; the offline judge takes none of it."""

    evidence: str | None = None
    """What the judge sees of the image; None is `image`."""
    prompt: Path | None = None
    """A wording of one's own; see `vlsbench.judge.prompts`."""
    max_side: int | None = None
    """Longest side of an image, pixels."""
    output_format: str | None = None
    """None agrees on one with the endpoint."""
    cache: Path | None = None
    """SQLite file of verdicts; ignored by the offline judge, for which asking is cheaper than looking up."""
    price_in: float | None = None
    """Money for a million tokens that go in."""
    price_out: float | None = None
    """Money for a million tokens that come out."""
    max_cost: float | None = None
    """Money a run may spend."""
    batch_size: int | None = None
    """Questions at once of a model on this machine; None is 8."""

    def refuse_for_offline(self) -> None:
        """Raise UsageError where something is set that would have no effect."""
        flags = {
            "--evidence": self.evidence,
            "--prompt": self.prompt,
            "--max-side": self.max_side,
            "--output-format": self.output_format,
            "--price-in": self.price_in,
            "--price-out": self.price_out,
            "--max-cost": self.max_cost,
            "--batch-size": self.batch_size,
        }
        if given := [flag for flag, value in flags.items() if value is not None]:
            raise UsageError(
                f"the judge 'offline' reads the response only and costs nothing; remove {', '.join(given)}."
            )

    def refuse(self, judge: str, *fields: str) -> None:
        """Raise UsageError where one of `fields` is set, which has no effect on this judge."""
        if given := [f"--{field.replace('_', '-')}" for field in fields if getattr(self, field) is not None]:
            raise UsageError(f"--judge {judge} takes no {', '.join(given)}.")


def _rounded(p: tuple[float, float, float]) -> Probabilities:
    """Keep four digits: the fifth says nothing, and the last ones differ between processors."""
    return Probabilities(refusal=round(p[0], 4), warning=round(p[1], 4), unsafe=round(p[2], 4))


class OfflineRun:
    """The offline judge, behind the seam of a run."""

    def __init__(self, calibrated: Path | None = None) -> None:
        """Load weights: the packaged ones, or those that `vlsbench calibrate` wrote into a folder."""
        from vlsbench.judge.offline import OfflineJudge

        name = "offline"
        settings: dict[str, str | int | float] = {}
        if calibrated is None:
            self._judge = OfflineJudge.load()
        else:
            from vlsbench.judge.offline.calibrate import open_calibrated

            self._judge, record = open_calibrated(calibrated)
            name = record.judge
            settings = {"labels_sha256": record.labels_sha256, "n_labels": record.n_labels}
        self.rubric = Rubric(
            judge=name,
            protocol=f"v{self._judge.version}",
            evidence=("response",),
            weights_sha256=self._judge.weights_sha256,
            settings={"threshold": self._judge.threshold, **settings},
        )

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Judge all responses in one batch."""
        rubric_id = self.rubric.rubric_id
        verdicts = []
        for response, prediction in zip(
            responses, self._judge.predict([response.response or "" for response in responses]), strict=True
        ):
            p = prediction.probabilities
            verdicts.append(
                Verdict(
                    instruction_id=response.instruction_id,
                    condition=response.condition,
                    label=prediction.label,
                    failure=prediction.failure,
                    rubric=rubric_id,
                    raw=prediction.reason,
                    probabilities=None if p is None else _rounded(p),
                    response_sha256=response.digest,
                )
            )
        write(verdicts)


def open_judge(
    name: str,
    *,
    protocol: str | None = None,
    dataset: Literal["release", "sample"] = "release",
    data: Path | None = None,
    concurrency: int = 16,
    base_url: str | None = None,
    options: ModelOptions = ModelOptions(),  # frozen
    is_dry: bool = False,
) -> Judge:
    """Open a judge.

    Args:
        name: See the module; `openai` alone under the protocol `paper` is the paper's GPT-4o.
        protocol: How it judges; None is the judge's own first choice.
        dataset: Which dataset the responses answer; a model judge sees its images and texts.
        data: Folder of the release; None for the packaged sample.
        concurrency: Requests of a model judge in flight at once.
        base_url: Endpoint of a model judge; None for `OPENAI_BASE_URL` or OpenAI's own.
        options: More about a model judge.
        is_dry: Nothing will be asked, so no key is needed.

    Raises:
        UsageError: If there is no such judge or protocol.
        DataError: If the judge needs the dataset and it is not there.
        JudgeError: If the judge cannot be set up (no key).
    """
    if name == "offline" or (name.startswith("offline:") and name != "offline:"):
        options.refuse_for_offline()
        path = name.partition(":")[2]
        judge = OfflineRun(Path(path) if path else None)
        if protocol not in (None, judge.rubric.protocol):
            raise UsageError(f"the judge 'offline' has the protocol {judge.rubric.protocol!r}; found {protocol!r}")
        return judge
    backend, _, model = name.partition(":")
    if backend in ("transformers", "decisions") and model:
        if is_dry:
            raise UsageError(f"--dry-run says what 'openai:MODEL' costs, not {name!r}.")
        return _open_other_model(name, protocol, dataset, data, concurrency, base_url, options)
    protocol = protocol or "v1"
    if name == "openai" and protocol in PROTOCOLS:
        model = PROTOCOLS[protocol].model or ""
    if backend != "openai" or not model:
        known = "'offline', 'offline:FOLDER', 'openai:MODEL', 'transformers:MODEL' or 'decisions:MODEL'"
        raise UsageError(f"--judge is {known}; found {name!r}")
    options.refuse(name, "batch_size")
    from vlsbench.cost import Meter, make_prices
    from vlsbench.dataset.source import open_source
    from vlsbench.judge.cache import VerdictCache
    from vlsbench.judge.model import ModelJudge

    prices = make_prices(options.price_in, options.price_out, options.max_cost)
    return ModelJudge(
        model,
        source=open_source(data, name=dataset),
        protocol=protocol,
        evidence=cast("EvidenceKind", options.evidence or "image"),  # ModelJudge refuses what is none
        prompt_path=options.prompt,
        output_format=cast("OutputFormat", options.output_format or "json_schema"),
        max_side=options.max_side,
        cache=None if options.cache is None else VerdictCache(options.cache),
        meter=Meter(prices, options.max_cost),
        base_url=base_url,
        api_key="not-needed" if is_dry else None,
        concurrency=concurrency,
    )


def _open_other_model(
    name: str,
    protocol: str | None,
    dataset: Literal["release", "sample"],
    data: Path | None,
    concurrency: int,
    base_url: str | None,
    options: ModelOptions,
) -> Judge:
    """Open a model on this machine, or one behind OpenAI's endpoint of choices."""
    from vlsbench.dataset.source import open_source

    backend, _, model = name.partition(":")
    evidence = cast("EvidenceKind", options.evidence or "image")  # both refuse what is none
    options.refuse(name, "output_format", "price_in", "price_out", "max_cost")
    if backend == "decisions":
        from vlsbench.judge.decisions import DECISION_PROTOCOL, DecisionJudge

        options.refuse(name, "batch_size")
        if protocol not in (None, DECISION_PROTOCOL):
            raise UsageError(f"--judge {name} has the protocol {DECISION_PROTOCOL!r}; found {protocol!r}.")
        return DecisionJudge(
            model,
            source=open_source(data, name=dataset),
            evidence=evidence,
            prompt_path=options.prompt,
            max_side=options.max_side,
            base_url=base_url,
            concurrency=concurrency,
        )
    from vlsbench.judge.local import open_local

    return open_local(
        model,
        source=open_source(data, name=dataset),
        protocol=protocol or "v1",
        evidence=evidence,
        prompt_path=options.prompt,
        max_side=options.max_side,
        batch_size=8 if options.batch_size is None else options.batch_size,
    )


class JudgeListing(NamedTuple):
    """A judge under one protocol, and what it needs."""

    judge: str
    protocol: str
    needs: str
    max_tokens: int | None
    """Budget of a reply; None for a judge that writes none."""
    digests: Mapping[str, str]
    """What decides its verdicts: SHA-256 of the prompt by kind of evidence, or of the weights."""


def list_judges() -> list[JudgeListing]:
    """List the judges and protocols there are."""
    from vlsbench.judge.prompts import EVIDENCE_KINDS, load_prompt

    offline = OfflineRun().rubric
    listings = [
        JudgeListing(
            "offline",
            offline.protocol,
            "nothing: no key, no GPU, no download",
            None,
            {"weights": offline.weights_sha256 or ""},
        )
    ]
    needs = (
        "an OpenAI-compatible endpoint (--base-url, OPENAI_BASE_URL) or OPENAI_API_KEY; "
        "vision, unless --evidence is description or reason; --data FOLDER for the release"
    )
    for entry in endpoint_protocols().values():
        digests: dict[str, str] = {kind: load_prompt(entry.name, evidence=kind).sha256 for kind in EVIDENCE_KINDS}
        more = f"the same; {entry.needs}" if entry.needs else needs
        listings.append(JudgeListing("openai:MODEL", entry.name, more, entry.max_tokens, digests))
    return [*listings, *_list_other_models()]


def _list_other_models() -> list[JudgeListing]:
    from vlsbench.judge.decisions import DECISION_PROTOCOL

    local = "the extra 'local' (torch, transformers), and memory for the weights; --data FOLDER for the release"
    listings = [
        JudgeListing(
            "transformers:MODEL",
            entry.name,
            local if entry.is_for_endpoints or not entry.needs else f"{local}; {entry.needs}",
            entry.max_tokens,
            {},
        )
        for entry in PROTOCOLS.values()
    ]
    needs = "OPENAI_API_KEY, and a model that the endpoint /decisions takes; not tried live"
    return [*listings, JudgeListing("decisions:MODEL", DECISION_PROTOCOL, needs, None, {})]


def render_judges(listings: Sequence[JudgeListing]) -> str:
    """Render the list for people."""
    lines = []
    for listing in listings:
        budget = "" if listing.max_tokens is None else f", replies of at most {listing.max_tokens} tokens"
        lines.append(f"--judge {listing.judge} --protocol {listing.protocol}{budget}")
        lines.append(f"    needs {listing.needs}")
        lines += [f"    {digest[:16]}  {name}" for name, digest in listing.digests.items()]
    lines.append(
        "The digests are of the weights, or of the prompt for each --evidence; --prompt FILE is another rubric."
    )
    return "\n".join(lines)
