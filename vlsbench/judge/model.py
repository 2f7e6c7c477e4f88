"""The model judge: `openai:MODEL` behind any OpenAI-compatible endpoint.

Image, instruction and response go out, a label in the schema of `reply` comes back. How many are under way, what is
tried again and what ends the run: `vlsbench.endpoint`. A killed run loses what was finished in the last milliseconds.
What cannot be judged is named (`vlsbench.records.Failure`).

The output format (`--output-format`) and the temperature decide what a model writes, so they are part of the rubric: a
judge has one of each, and an endpoint that refuses it is a `SettingRefusedError` before anything is judged. Trying the
next one is left to `vlsbench.judge.paid`, as are canaries and estimates. Leaves out batch endpoints.
"""

from __future__ import annotations

import copy
import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vlsbench.cost import Meter, image_tokens
from vlsbench.dataset.pictures import SCALING_FORMAT, PictureSource, fit_picture, size_of
from vlsbench.endpoint import (
    RAW_CHARACTERS,
    REASON_CHARACTERS,
    Asker,
    Connection,
    Encoded,
    EndpointRun,
    Writer,
    is_model_name,
    name_ids,
    resolve_endpoint,
    run_to_end,
)
from vlsbench.errors import DataError, JudgeError, UsageError
from vlsbench.files import canonical_json, sha256_hex
from vlsbench.judge.prompts import EVIDENCE_FORMAT, EVIDENCE_KINDS, EvidenceKind, load_prompt, quote
from vlsbench.judge.protocols import endpoint_protocols, find_protocol
from vlsbench.judge.reply import (
    OUTPUT_FORMATS,
    Outcome,
    OutputFormat,
    check_output_format,
    read_completion,
    unreachable,
)
from vlsbench.judge.run import FormatRefusedError, OpenJudge, TemperatureRefusedError, Write
from vlsbench.provider import describe, refused_parameter
from vlsbench.records import Failure, Key, Response, Rubric, Verdict, name_without_place

if TYPE_CHECKING:
    import httpx2
    import openai

    from vlsbench.dataset.source import Sample
    from vlsbench.judge.cache import CacheKey, VerdictCache

__all__ = ["ModelJudge", "make_cache_key"]


_ASKER: Final = Asker(JudgeError, "the judge", "(--judge offline needs neither)", "responses", "verdicts")


class ModelJudge(OpenJudge):
    """A model that labels responses.

    Args:
        model: Name of the model as the endpoint knows it; pin a snapshot.
        source: Samples and pictures by `instruction_id`.
        protocol: Wording of the question and shape of the reply, one of `protocols.endpoint_protocols`.
        evidence: What is shown of the image, one of `prompts.EVIDENCE_KINDS`; a text-only one opens no picture.
        prompt_path: A wording of one's own in place of the protocol's; see `prompts`.
        output_format: How the endpoint is told what a reply looks like. None: `json_schema`, unless a run agrees on
            another of `candidates` with the endpoint.
        max_side: Longest side of an image in pixels; larger ones are scaled down. None sends them as they are.
        cache: Where verdicts are looked up before asking, and kept.
        meter: Counts what is paid, and keeps it below a limit.
        base_url: Endpoint; else `OPENAI_BASE_URL`, else OpenAI's.
        api_key: Key; else `OPENAI_API_KEY`. Only OpenAI's own endpoint insists on one.
        concurrency: Questions under way at once.
        max_tokens: Budget of a reply; None is the protocol's.
        temperature: None leaves it to the endpoint: some reasoning models take no other than their own. Where it is 0,
            a run may agree on None with the endpoint.
        max_retries: Tries after the first, by the SDK: 0.5 s doubling to 8 s between them, or as Retry-After says.
        timeout_seconds: Longest silence of the server in one try.
        deadline_seconds: Longest time for one sample, with all tries and waits.
        http_client: The SDK's transport; it stays open. For tests.

    Raises:
        JudgeError: If OpenAI's endpoint is meant and there is no key.
        UsageError: If an argument is none of what it can be.
    """

    has_canaries = True
    output_format: OutputFormat

    def __init__(
        self,
        model: str,
        *,
        source: PictureSource,
        protocol: str = "v1",
        evidence: EvidenceKind = "image",
        prompt_path: Path | None = None,
        output_format: OutputFormat | None = None,
        max_side: int | None = None,
        cache: VerdictCache | None = None,
        meter: Meter | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        concurrency: int = 16,
        max_tokens: int | None = None,
        temperature: float | None = 0.0,
        max_retries: int = 6,
        timeout_seconds: float = 120.0,
        deadline_seconds: float = 600.0,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        if not is_model_name(model):
            raise UsageError(f"--judge openai:MODEL needs the name of a model; found {model[:200]!r}.")
        self.protocol = find_protocol(protocol, endpoint_protocols())
        if max_tokens is None:
            max_tokens = self.protocol.max_tokens
        if concurrency < 1 or max_tokens < 1 or (max_side is not None and max_side < 1):
            raise UsageError("--concurrency, --max-side and the token budget are at least 1.")
        self.model = model
        self.source = source
        self.evidence: EvidenceKind = evidence
        self.prompt_path = prompt_path
        self.max_side = max_side
        self.cache = cache
        self.meter = meter or Meter()
        self.concurrency = concurrency
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.max_retries = max_retries
        self.timeout_seconds = timeout_seconds
        self.deadline_seconds = deadline_seconds
        self.http_client = http_client
        self.again: AbstractSet[Failure] = frozenset()
        """Failures that the cache does not answer with."""
        self._formats = OUTPUT_FORMATS if output_format is None else (output_format,)
        self._set_output_format(self._formats[0])
        if max_side is not None and not self.prompt.has_image:
            raise UsageError(f"--max-side scales pictures, and --evidence {evidence} shows none.")
        self.endpoint = resolve_endpoint(base_url, api_key, _ASKER)

    def _set_output_format(self, output_format: OutputFormat) -> None:
        """Settle what is sent, and with it the rubric."""
        self.output_format = check_output_format(output_format)
        self.prompt = load_prompt(
            self.protocol.name,
            evidence=self.evidence,
            says_reply=output_format != "json_schema",
            path=self.prompt_path,
        )
        settings: dict[str, Any] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "evidence_format": EVIDENCE_FORMAT,
        }
        if output_format != "json_schema":
            settings["output_format"] = output_format
        if self.max_side is not None:
            settings["scaling_format"] = SCALING_FORMAT
        self.rubric = Rubric(
            judge=f"openai:{self.model}",
            protocol=self.protocol.name,
            evidence=EVIDENCE_KINDS[self.evidence],
            prompt_sha256=self.prompt.sha256,
            output_schema=self.protocol.schema,
            image_max_side=self.max_side,
            settings=settings,
        )
        self._rubric_id = self.rubric.rubric_id  # a digest, and it is in every verdict

    def variant(
        self,
        *,
        source: PictureSource | None = None,
        output_format: OutputFormat | None = None,
        has_temperature: bool = True,
        again: AbstractSet[Failure] = frozenset(),
        use_cache: bool = True,
    ) -> ModelJudge:
        """Return the same judge asked otherwise, with another source or without its cache; the meter is shared."""
        other = copy.copy(self)
        other.source = source or self.source
        other.cache = self.cache if use_cache else None
        other.again = self.again | again
        if not has_temperature:
            other.temperature = None
            other._set_output_format(other.output_format)
        if output_format is not None:
            other._formats = (output_format,)
            other._set_output_format(output_format)
        return other

    def candidates(self) -> Sequence[ModelJudge]:
        """Return the judge in every output format that a run may try, the strictest first; then without temperature."""
        ways = (True, False) if self.temperature == 0 else (True,)
        return [self.variant(output_format=name, has_temperature=way) for way in ways for name in self._formats]

    def with_source(self, source: PictureSource, *, use_cache: bool = True) -> ModelJudge:
        """Return the same judge over other samples."""
        return self.variant(source=source, use_cache=use_cache)

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Ask about every response; see `vlsbench.judge.run.Judge`.

        Runs an event loop of its own, in a notebook too. Ctrl-C ends it after writing what is finished.

        Raises:
            DataError: If the source lacks samples (before anything is asked), or pictures (after all others are
                judged and written). The message names the ids.
            JudgeError: If no sample can be judged: a wrong key, model or URL, no money, an endpoint that is down.
            FormatRefusedError: If the endpoint refuses the output format; nothing was judged.
        """
        samples = self.look_up(responses)
        # Neighbours share an image, which is then read and encoded once.
        ordered = sorted(responses, key=lambda r: (samples[r.instruction_id].image, r.instruction_id, r.condition))
        if not ordered:
            return
        with Writer(write) as writer:
            run = _Run(self, samples, writer)
            writer.after_write = run.cache_verdicts
            run_to_end(run.ask_all(ordered))
        run.report()

    def check_samples(self, responses: Sequence[Response]) -> None:
        """Look for what it is to see; see `vlsbench.judge.run.OpenJudge`."""
        self.look_up(responses)

    def look_up(self, responses: Sequence[Response]) -> dict[int, Sample]:
        """Find the sample of every response, with the texts the judge is to see.

        Raises:
            DataError: If samples or texts are not there; the message names the ids.
        """
        samples: dict[int, Sample] = {}
        problems: dict[int, DataError] = {}
        for instruction_id in {response.instruction_id for response in responses}:
            try:
                samples[instruction_id] = self.source.sample(instruction_id)
            except DataError as error:
                problems[instruction_id] = error
        if problems:
            raise DataError(name_ids("samples are not in the data given to the judge; nothing was asked", problems))
        seen = self.rubric.evidence
        for sample in samples.values():
            texts = {"image_description": sample.image_description, "safety_reason": sample.safety_reason}
            wanted = {"image_description": "description" in seen, "safety_reason": "safety_reason" in seen}
            if missing := [name for name, is_seen in wanted.items() if is_seen and not (texts[name] or "").strip()]:
                note = " (benign twins have none: judge them with other evidence)" if sample.risk == "benign" else ""
                problems[sample.instruction_id] = DataError(f"no {' and no '.join(missing)}{note}")
        if problems:
            what = f"samples lack what --evidence {self.evidence} shows to the judge; nothing was asked"
            raise DataError(name_ids(what, problems))
        return samples

    def question(self, sample: Sample, response: Response, url: str | None) -> dict[str, Any]:
        """Make the body of one request, but for the token budget; `url` is None where no picture is shown."""
        evidence = quote(
            self.prompt,
            instruction=sample.instruction,
            response=response.response or "",
            image_description=sample.image_description,
            safety_reason=sample.safety_reason,
        )
        body: dict[str, Any] = {"model": self.model, "messages": [], **_response_format(self)}
        if self.prompt.rules:
            body["messages"].append({"role": "system", "content": self.prompt.rules})
        if url is None:
            # One string: servers without vision need not take a list of parts.
            texts = (evidence.before_image, evidence.beside_image, evidence.after_image)
            content: Any = "\n\n".join(text for text in texts if text)
        else:
            image = {"type": "image_url", "image_url": {"url": url}}
            parts = [evidence.before_image, image, evidence.beside_image, evidence.after_image]
            content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts if part]
        body["messages"].append({"role": "user", "content": content})
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body

    def is_cached(self, sample: Sample, response: Response) -> bool:
        """Say whether the cache has the verdict on a response; reads and scales its picture.

        Raises:
            DataError: If the picture cannot be read.
        """
        if self.cache is None:
            return False
        sha256 = None
        if self.prompt.has_image:
            picture = fit_picture(self.source.picture(sample.instruction_id), max_side=self.max_side)
            sha256 = hashlib.sha256(picture.data).hexdigest()
        return self.find_cached(make_cache_key(self.rubric, sample, response, sha256)) is not None

    def find_cached(self, key: CacheKey) -> Verdict | None:
        """Return the verdict that the cache has of a key, unless it is one to ask about again."""
        cached = None if self.cache is None else self.cache.get(key)
        return None if cached is None or cached.failure in self.again else cached

    def conceal(self, text: str, *, limit: int = RAW_CHARACTERS) -> str:
        """Make a server's text fit to be kept: no secret, no half character, at most `limit` characters."""
        return self.endpoint.conceal(text, limit=limit)

    def make_verdict(self, response: Response, outcome: Outcome) -> Verdict:
        """Make the verdict of what came of a question, fit to be kept."""
        conceal = self.conceal
        is_unreachable = outcome.failure == "judge_unreachable"
        return Verdict(
            instruction_id=response.instruction_id,
            condition=response.condition,
            label=outcome.label,
            failure=outcome.failure,
            rubric=self._rubric_id,
            raw=conceal(outcome.raw, limit=REASON_CHARACTERS if is_unreachable else RAW_CHARACTERS),
            explanation=None if outcome.explanation is None else conceal(outcome.explanation),
            judge_model=outcome.judge_model and conceal(name_without_place(outcome.judge_model), limit=250),
            usage=outcome.usage,
            response_sha256=response.digest,
        )


class _Run(EndpointRun[Response, Outcome]):
    """One call of `ModelJudge.judge`."""

    unsupported_advice = "(this model does not take what this rubric sets)"

    def __init__(self, judge: ModelJudge, samples: Mapping[int, Sample], writer: Writer[Verdict]) -> None:
        connection = Connection(
            judge.endpoint,
            judge.concurrency,
            judge.max_retries,
            judge.timeout_seconds,
            judge.deadline_seconds,
            judge.http_client,
        )
        super().__init__(connection, _ASKER, judge.meter, name=judge.rubric.judge, max_tokens=judge.max_tokens)
        self.judge = judge
        self.samples = samples
        self.writer = writer
        self.cache_keys: dict[Key, CacheKey] = {}
        """Of verdicts that are not on disk yet."""

    def id_of(self, item: Response) -> int:
        return item.instruction_id

    def picture_key(self, item: Response) -> int | None:
        return self.samples[item.instruction_id].image if self.judge.prompt.has_image else None

    def encode(self, item: Response) -> Encoded:
        judge = self.judge
        picture = fit_picture(judge.source.picture(item.instruction_id), max_side=judge.max_side)
        url = f"data:{picture.mime};base64,{b64encode(picture.data).decode('ascii')}"
        sha256 = None if judge.cache is None else hashlib.sha256(picture.data).hexdigest()
        return Encoded(url, sha256, 0 if judge.meter.max_cost is None else image_tokens(*size_of(picture)))

    def question(self, item: Response, picture: Encoded | None) -> dict[str, Any]:
        url = None if picture is None else picture.url
        return self.judge.question(self.samples[item.instruction_id], item, url)

    def adapt(self, error: openai.APIStatusError, body: Mapping[str, Any]) -> bool:
        if super().adapt(error, body):
            return True
        reason = describe(error)
        if self.is_unanswered and refused_parameter(
            error.status_code, f"{error.param} {error.code} {reason}", body, ["temperature"]
        ):
            refused = f"(this model does not take temperature {body['temperature']:g}, which this rubric sets)"
            raise TemperatureRefusedError(str(self.stop(reason, refused))) from None
        return False

    def read(self, item: Response, content: bytes, body: Mapping[str, Any]) -> Outcome:
        return read_completion(content, self.judge.protocol.name, judged=item.response or "")

    def refuse(self, error: openai.APIStatusError, reason: str, advice: str | None) -> Outcome | None:
        if self.is_unanswered and _refuses_format(error, self.judge.output_format):
            refused = f"(the endpoint does not take --output-format {self.judge.output_format})"
            raise FormatRefusedError(str(self.stop(reason, refused))) from None
        return None

    def unreachable(self, reason: str, *, is_free: bool = False) -> Outcome:
        return unreachable(reason, is_free=is_free)

    def filtered(self, reason: str) -> Outcome:
        return Outcome(None, "judge_filtered", reason, is_free=True)

    def unreached_reason(self, outcome: Outcome) -> str | None:
        return outcome.raw if outcome.failure == "judge_unreachable" else None

    def usage(self, outcome: Outcome) -> Mapping[str, object] | None:
        return outcome.usage

    def is_free(self, outcome: Outcome) -> bool:
        return outcome.is_free

    def find_known(self, item: Response, picture: Encoded | None) -> bool:
        """Take a verdict from the cache if it is there; else remember under which key it is to be kept."""
        if self.judge.cache is None:
            return False
        sample = self.samples[item.instruction_id]
        key = make_cache_key(self.judge.rubric, sample, item, None if picture is None else picture.sha256)
        cached = self.judge.find_cached(key)
        if cached is None:
            self.cache_keys[item.instruction_id, item.condition] = key
            return False
        self.writer.put(cached.model_copy(update={"instruction_id": item.instruction_id, "condition": item.condition}))
        return True

    def cache_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Keep verdicts that are on disk in the cache."""
        if self.judge.cache is None:
            return
        keyed = [(self.cache_keys.pop((v.instruction_id, v.condition), None), v) for v in verdicts]
        self.judge.cache.put((key, verdict) for key, verdict in keyed if key is not None)

    def keep(self, item: Response, outcome: Outcome) -> None:
        self.writer.put(self.judge.make_verdict(item, outcome))

    def report(self) -> None:
        super().report()
        if self.broken:
            raise DataError(name_ids("pictures cannot be used; the other samples are judged", self.broken))


_FORMAT_WORDS: Final = re.compile(r"response_format|json_schema|json_object|structured[ _-]?output", re.IGNORECASE)


def _response_format(judge: ModelJudge) -> dict[str, Any]:
    if judge.output_format == "text":
        return {}
    if judge.output_format == "json_object":
        return {"response_format": {"type": "json_object"}}
    schema = {"name": "verdict", "strict": True, "schema": judge.protocol.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _refuses_format(error: openai.APIStatusError, output_format: OutputFormat) -> bool:
    """Say whether an endpoint complains about the output format, in its parameter or its words."""
    if output_format == "text" or error.status_code not in (400, 415, 422, 501):
        return False
    return _FORMAT_WORDS.search(f"{error.param} {describe(error)}") is not None


def make_cache_key(rubric: Rubric, sample: Sample, response: Response, picture_sha256: str | None) -> CacheKey:
    """Make the key of a verdict of everything that decides it."""
    from vlsbench.judge.cache import CacheKey

    texts = {"description": sample.image_description, "safety_reason": sample.safety_reason}
    shown = {name: text for name, text in texts.items() if name in rubric.evidence}
    return CacheKey(
        rubric.rubric_id,
        response.digest or "",
        sha256_hex(sample.instruction),
        sha256_hex(canonical_json(shown)),
        picture_sha256,
    )
