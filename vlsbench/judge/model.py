"""The model judge: `openai:MODEL` behind any OpenAI-compatible endpoint.

Image, instruction and response go out, a label in the schema of `reply` comes back. Many questions are under way at
once, but never more than `concurrency`, and their images are read when their turn comes: memory does not grow with the
number of samples. Verdicts go to a thread of their own, which writes what has come while the disk took the ones before:
no fsync holds up the questions, a killed run loses what was finished in the last milliseconds, and all that is finished
is written whatever else ends the run.

What cannot be judged is named (`vlsbench.records.Failure`). What no sample can change (a wrong key, a wrong model, an
endpoint that is down) ends the run with one sentence. The key is in no message, log or file.

The output format (`--output-format`) decides what a model writes, so it is part of the rubric: a judge has one, and an
endpoint that refuses it is a `FormatRefusedError` before anything is judged. Trying the next one is left to
`vlsbench.judge.paid`, as are canaries and estimates. Leaves out batch endpoints.
"""

from __future__ import annotations

import asyncio
import copy
import email.utils
import hashlib
import itertools
import json
import logging
import os
import queue
import re
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from vlsbench.errors import DataError, JudgeError, UsageError, numbered
from vlsbench.files import canonical_json, sha256_hex
from vlsbench.judge.cost import Meter, image_tokens, question_tokens
from vlsbench.judge.pictures import SCALING_FORMAT, fit_picture, size_of
from vlsbench.judge.prompts import EVIDENCE_FORMAT, EVIDENCE_KINDS, EvidenceKind, load_prompt, quote
from vlsbench.judge.reply import (
    OUTPUT_FORMATS,
    OUTPUT_SCHEMAS,
    Outcome,
    OutputFormat,
    is_filtered,
    read_completion,
    unreachable,
)
from vlsbench.judge.run import Write
from vlsbench.records import Key, Response, Rubric, Verdict

if TYPE_CHECKING:
    import httpx2
    import openai

    from vlsbench.dataset.source import Picture, Sample
    from vlsbench.judge.cache import CacheKey, VerdictCache

__all__ = ["MAX_TOKENS", "FormatRefusedError", "ModelJudge", "PictureSource"]

log = logging.getLogger(__name__)

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"

_NO_KEY: Final = "no-key"
"""Sent to a server of one's own, which asks for none; the SDK insists on a string."""

_CONNECT_SECONDS: Final = 10.0
"""A server that is there accepts in milliseconds; one that is not should not cost two minutes per try."""

_LONGEST_SDK_WAIT: Final = 120.0
"""The SDK (openai 3.52, `MAX_RETRY_AFTER_DELAY`) does not retry where Retry-After asks for more; we wait ourselves."""

_MAX_UNREACHABLE: Final = 20
"""Samples without a reply one after the other before the run stops. Each was asked 7 times: where half of all requests
fail, one sample in 128 ends like this and 20 in a row never do."""

_PICTURE_THREADS: Final = 4
"""Reading, checking and encoding a picture takes 1 to 20 ms, most of it outside the interpreter lock."""

_MOST_AHEAD: Final = 32
"""Pictures encoded before their turn, so that no question waits for the disk; one of the release is 1.6 MB encoded."""

_PICTURES_KEPT: Final = _MOST_AHEAD + 8
"""Encoded pictures in memory. Samples that share one are asked one after the other, so that few more suffice."""

_REASON_CHARACTERS: Final = 500
"""Kept of an error: a sentence, not the page a proxy sends."""

_RAW_CHARACTERS: Final = 4_000
"""Kept of a judge's reply: eight times what 128 tokens, twice what 512 tokens can hold."""


MAX_TOKENS: Final = {"v1": 512, "paper": 128}
"""Budget of a reply by protocol. The authors' 128 cut replies; `v1` has four times as many."""


class FormatRefusedError(JudgeError):
    """The endpoint takes no such output format; nothing was judged."""


class PictureSource(Protocol):
    """What the judge needs of `vlsbench.dataset.source.SampleSource`; `picture` is called from several threads."""

    def sample(self, instruction_id: int, /) -> Sample:
        """Return the texts of a sample, or raise DataError."""

    def picture(self, instruction_id: int, /) -> Picture:
        """Return the image of a sample as stored, or raise DataError."""


class _Endpoint(NamedTuple):
    url: str
    key: str
    shown: str
    """The URL without what may be secret: no user, no password, no query."""
    secrets: tuple[str, ...]


def _resolve_endpoint(base_url: str | None, api_key: str | None) -> _Endpoint:
    url = (base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL).strip()
    key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
    shown = url.split("?")[0].split("@")[-1]
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        is_url = False
    if not is_url:
        raise UsageError(f"--base-url {shown!r} is not a URL like http://127.0.0.1:8000/v1.")
    if parts.username or parts.password:
        raise UsageError(f"--base-url holds a user or a password ({shown}); put the key into OPENAI_API_KEY instead.")
    if not key and parts.hostname == urlsplit(DEFAULT_BASE_URL).hostname:
        raise JudgeError(
            "the judge needs a key: set OPENAI_API_KEY, or name another endpoint with --base-url or OPENAI_BASE_URL "
            "(--judge offline needs neither)."
        )
    if not re.fullmatch(r"[\x21-\x7e]*", key):
        raise JudgeError(
            "OPENAI_API_KEY holds a character that no key has (a space, a line end, a letter beyond ASCII)."
        )
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    login = parts.password or parts.username or ""
    words = [key, login, unquote(login), *(value for _, value in parse_qsl(parts.query))]
    # Words of three characters or less are no secret; blotting them out would make a reply unreadable.
    secrets = {word for word in words if len(word) > 3}
    # Some servers escape the slash in JSON; the longest first, as one may be part of another.
    secrets |= {word.replace("/", "\\/") for word in secrets}
    return _Endpoint(url, key or _NO_KEY, shown, tuple(sorted(secrets, key=len, reverse=True)))


class ModelJudge:
    """A model that labels responses. Implements `vlsbench.judge.run.Judge`.

    Args:
        model: Name of the model as the endpoint knows it; pin a snapshot.
        source: Samples and pictures by `instruction_id`.
        protocol: Wording of the question and shape of the reply, one of `prompts.PROTOCOLS`.
        evidence: What is shown of the image, one of `prompts.EVIDENCE_KINDS`; a text-only one opens no picture.
        prompt_path: A wording of one's own in place of the protocol's; see `prompts`.
        output_format: How the endpoint is told what a reply looks like.
        max_side: Longest side of an image in pixels; larger ones are scaled down. None sends them as they are.
        cache: Where verdicts are looked up before asking, and kept.
        meter: Counts what is paid, and keeps it below a limit.
        base_url: Endpoint; else `OPENAI_BASE_URL`, else OpenAI's.
        api_key: Key; else `OPENAI_API_KEY`. Only OpenAI's own endpoint insists on one.
        concurrency: Questions under way at once.
        max_tokens: Budget of a reply. None is the protocol's: 512 in `v1`, the authors' 128 in `paper`.
        temperature: None leaves it to the endpoint: some reasoning models take no other than their own.
        max_retries: Tries after the first, by the SDK: 0.5 s doubling to 8 s between them, or as Retry-After says.
        timeout_seconds: Longest silence of the server in one try.
        deadline_seconds: Longest time for one sample, with all tries and waits.
        http_client: The SDK's transport; it stays open. For tests.

    Raises:
        JudgeError: If OpenAI's endpoint is meant and there is no key.
        UsageError: If an argument is none of what it can be.
    """

    rubric: Rubric

    def __init__(
        self,
        model: str,
        *,
        source: PictureSource,
        protocol: str = "v1",
        evidence: EvidenceKind = "image",
        prompt_path: Path | None = None,
        output_format: OutputFormat = "json_schema",
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
        if not model.strip() or not model.isprintable() or len(model) > 190:
            raise UsageError(f"--judge openai:MODEL needs the name of a model; found {model[:200]!r}.")
        if max_tokens is None:
            max_tokens = MAX_TOKENS.get(protocol, 1)
        if concurrency < 1 or max_tokens < 1 or (max_side is not None and max_side < 1):
            raise UsageError("--concurrency, --max-side and the token budget are at least 1.")
        self.model = model
        self.source = source
        self.protocol = protocol
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
        self._set_output_format(output_format)
        if max_side is not None and not self.prompt.has_image:
            raise UsageError(f"--max-side scales pictures, and --evidence {evidence} shows none.")
        self.endpoint = _resolve_endpoint(base_url, api_key)

    def _set_output_format(self, output_format: OutputFormat) -> None:
        """Settle what is sent, and with it the rubric."""
        if output_format not in OUTPUT_FORMATS:
            raise UsageError(f"--output-format {output_format!r} is not known; known: {', '.join(OUTPUT_FORMATS)}.")
        self.output_format: OutputFormat = output_format
        self.prompt = load_prompt(
            self.protocol,
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
            protocol=self.protocol,
            evidence=EVIDENCE_KINDS[self.evidence],
            prompt_sha256=self.prompt.sha256,
            output_schema=OUTPUT_SCHEMAS[self.protocol],
            image_max_side=self.max_side,
            settings=settings,
        )

    def variant(
        self,
        *,
        source: PictureSource | None = None,
        output_format: OutputFormat | None = None,
        use_cache: bool = True,
    ) -> ModelJudge:
        """Return the same judge with another source or output format, or without its cache; the meter is shared."""
        other = copy.copy(self)
        other.source = source or self.source
        other.cache = self.cache if use_cache else None
        if output_format not in (None, self.output_format):
            other._set_output_format(output_format)
        return other

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Ask about every response; see `vlsbench.judge.run.Judge`.

        Runs an event loop of its own: do not call it inside another. Ctrl-C ends it after writing what is finished.

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
        with _Writer(write) as writer:
            run = _Run(self, samples, writer)
            writer.after_write = run.cache_verdicts
            asyncio.run(run.ask_all(ordered))
        run.report()

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
            raise DataError(_name_ids("samples are not in the data given to the judge; nothing was asked", problems))
        seen = self.rubric.evidence
        for sample in samples.values():
            texts = {"image_description": sample.image_description, "safety_reason": sample.safety_reason}
            wanted = {"image_description": "description" in seen, "safety_reason": "safety_reason" in seen}
            if missing := [name for name, is_seen in wanted.items() if is_seen and not (texts[name] or "").strip()]:
                note = " (benign twins have none: judge them with other evidence)" if sample.risk == "benign" else ""
                problems[sample.instruction_id] = DataError(f"no {' and no '.join(missing)}{note}")
        if problems:
            what = f"samples lack what --evidence {self.evidence} shows to the judge; nothing was asked"
            raise DataError(_name_ids(what, problems))
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
        return self.cache.has(make_cache_key(self.rubric, sample, response, sha256))

    def conceal(self, text: str, *, limit: int = _RAW_CHARACTERS) -> str:
        """Make a server's text fit to be kept: no secret, no half character, at most `limit` characters."""
        for secret in self.endpoint.secrets:
            text = text.replace(secret, "[key]")
        text = text.encode("utf-8", "replace").decode()
        return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _name_ids(what: str, problems: Mapping[int, DataError]) -> str:
    ids = sorted(problems)
    return f"{len(ids)} {what}: instruction_id {numbered([str(i) for i in ids])}. First: {problems[ids[0]]}"


class _Writer:
    """Hands verdicts to `write` from one thread of its own, as they come; those that come meanwhile are one batch."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.after_write: Write = lambda _: None
        """Called with what is on disk, from the writing thread."""
        self._queue: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="verdicts")
        self._work = self._executor.submit(self._write_all)

    def put(self, verdict: Verdict) -> None:
        """Take one verdict; raise what an earlier `write` raised (a full disk), so that no more is asked."""
        if self._work.done():
            self._work.result()
        self._queue.put(verdict)

    def _write_all(self) -> None:
        while (verdict := self._queue.get()) is not None:
            # The None of `__exit__` is always the last item.
            rest = [self._queue.get() for _ in range(self._queue.qsize())]
            batch = [verdict, *(item for item in rest if item is not None)]
            self._write(batch)
            self.after_write(batch)
            if None in rest:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._executor.shutdown()
        self._work.result()


class _Encoded(NamedTuple):
    """An image, ready to be sent."""

    url: str
    sha256: str | None
    """Of the bytes that are sent; None where there is no cache to ask."""
    tokens: int
    """Estimated; 0 where nothing is metered."""


class _Pictures:
    """Images read, scaled and encoded off the event loop, each once as long as neighbours share it."""

    def __init__(self, judge: ModelJudge) -> None:
        self._judge = judge
        self._executor = ThreadPoolExecutor(_PICTURE_THREADS, thread_name_prefix="pictures")
        self._pictures: OrderedDict[int, asyncio.Future[_Encoded]] = OrderedDict()

    def start(self, sample: Sample) -> asyncio.Future[_Encoded]:
        """Begin to read the image of `sample`, unless it is there or on its way."""
        picture = self._pictures.get(sample.image)
        if picture is None:
            loop = asyncio.get_running_loop()
            picture = loop.run_in_executor(self._executor, self._encode, sample.instruction_id)
            picture.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, though nobody may wait
            self._pictures[sample.image] = picture
            if len(self._pictures) > _PICTURES_KEPT:
                self._pictures.popitem(last=False)
        return picture

    async def get(self, sample: Sample) -> _Encoded:
        """Return the image of `sample`; raise DataError where it cannot be read."""
        # One waiter that is cancelled must not cancel it for the others.
        return await asyncio.shield(self.start(sample))

    def _encode(self, instruction_id: int) -> _Encoded:
        judge = self._judge
        picture = fit_picture(judge.source.picture(instruction_id), max_side=judge.max_side)
        url = f"data:{picture.mime};base64,{b64encode(picture.data).decode('ascii')}"
        sha256 = None if judge.cache is None else hashlib.sha256(picture.data).hexdigest()
        return _Encoded(url, sha256, 0 if judge.meter.max_cost is None else image_tokens(*size_of(picture)))

    def close(self) -> None:
        """Drop what nobody waits for any more."""
        for picture in self._pictures.values():
            picture.cancel()
        self._executor.shutdown(cancel_futures=True)


class _Run:
    """One call of `ModelJudge.judge`: the client, and what is counted on the way."""

    def __init__(self, judge: ModelJudge, samples: Mapping[int, Sample], writer: _Writer) -> None:
        self.judge = judge
        self.samples = samples
        self.writer = writer
        self.pictures = _Pictures(judge)
        self.broken: dict[int, DataError] = {}
        self.n_finished = 0
        self.n_unreachable = 0
        self.n_unreachable_in_a_row = 0
        self.rubric_id = judge.rubric.rubric_id
        self.last_reason = ""
        self.budget_field = "max_tokens"
        """Newer models of OpenAI take the same budget under the name `max_completion_tokens` only."""
        self.n_under_way = 0
        self.something_settled = asyncio.Event()
        self.cache_keys: dict[Key, CacheKey] = {}
        """Of verdicts that are not on disk yet."""

    async def ask_all(self, responses: Sequence[Response]) -> None:
        """Ask about every response, `concurrency` at a time; the first error that no sample can change ends it."""
        pending = iter(responses)
        ahead = (self.samples[response.instruction_id] for response in responses)
        client = self._open_client()
        n_workers = min(self.judge.concurrency, len(responses))
        workers = [asyncio.create_task(self._work(client, pending, ahead)) for _ in range(n_workers)]
        try:
            for sample in itertools.islice(ahead, min(self.judge.concurrency, _MOST_AHEAD)):
                self._start_picture(sample)
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self.judge.http_client is None:
                await client.close()
            self.pictures.close()

    def report(self) -> None:
        """Raise what is to be said at the end of a run that was not stopped."""
        if self.n_finished and self.n_unreachable == self.n_finished:
            raise self._stop(f"none of {self.n_finished} responses got a reply: {self.last_reason}")
        if self.broken:
            raise DataError(_name_ids("pictures cannot be used; the other samples are judged", self.broken))

    def _open_client(self) -> openai.AsyncOpenAI:
        import httpx2
        import openai

        judge = self.judge
        limits = httpx2.Limits(max_connections=judge.concurrency, max_keepalive_connections=judge.concurrency)
        # aiohttp under the SDK: 0.6 ms of CPU per call, where the default transport needs 1.0.
        return openai.AsyncOpenAI(
            api_key=judge.endpoint.key,
            base_url=judge.endpoint.url,
            max_retries=judge.max_retries,
            timeout=httpx2.Timeout(judge.timeout_seconds, connect=min(_CONNECT_SECONDS, judge.timeout_seconds)),
            http_client=judge.http_client or openai.DefaultAioHttpClient(limits=limits),
        )

    async def _work(self, client: openai.AsyncOpenAI, pending: Iterator[Response], ahead: Iterator[Sample]) -> None:
        for response in pending:
            if (coming := next(ahead, None)) is not None:
                self._start_picture(coming)
            sample = self.samples[response.instruction_id]
            try:
                picture = await self.pictures.get(sample) if self.judge.prompt.has_image else None
            except DataError as error:
                self.broken[sample.instruction_id] = error
                continue
            if self.judge.cache is not None and self._find_in_cache(self.judge.cache, sample, response, picture):
                await asyncio.sleep(0)
                continue
            question = self.judge.question(sample, response, None if picture is None else picture.url)
            price = await self._afford(question, 0 if picture is None else picture.tokens)
            self._keep(response, await self._ask_metered(client, question, price))

    async def _ask_metered(self, client: openai.AsyncOpenAI, question: Mapping[str, Any], price: float) -> Outcome:
        outcome: Outcome | None = None
        try:
            outcome = await self._ask(client, question)
            return outcome
        finally:
            self.n_under_way -= 1
            usage = None if outcome is None else outcome.usage
            # Without an outcome the run ends here.
            self.judge.meter.settle(price, usage, is_free=outcome is None or outcome.is_free)
            self.something_settled.set()

    def _start_picture(self, sample: Sample) -> None:
        if self.judge.prompt.has_image:
            self.pictures.start(sample)

    async def _afford(self, question: Mapping[str, Any], picture_tokens: int) -> float:
        """Reserve the price of a question, after waiting for those under way if need be; stop where it is too dear."""
        meter = self.judge.meter
        if meter.max_cost is None:
            price = 0.0
        else:
            tokens_in = question_tokens(question) + picture_tokens
            while not meter.can_afford(price := meter.price(tokens_in, self.judge.max_tokens)):
                if not self.n_under_way:
                    raise JudgeError(
                        f"stopped before --max-cost {meter.max_cost:g}: {meter.spent:.4f} are spent and the next "
                        f"question may cost {price:.4f}. Finished verdicts are kept; the same command goes on from "
                        "there, with the same limit anew."
                    )
                self.something_settled.clear()
                await self.something_settled.wait()
        meter.reserve(price)
        self.n_under_way += 1
        return price

    def _find_in_cache(self, cache: VerdictCache, sample: Sample, response: Response, picture: _Encoded | None) -> bool:
        """Take a verdict from the cache if it is there; else remember under which key it is to be kept."""
        key = make_cache_key(self.judge.rubric, sample, response, None if picture is None else picture.sha256)
        cached = cache.get(key)
        if cached is None:
            self.cache_keys[response.instruction_id, response.condition] = key
            return False
        about = {"instruction_id": response.instruction_id, "condition": response.condition}
        self.writer.put(cached.model_copy(update=about))
        self.n_finished += 1
        return True

    def cache_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Keep verdicts that are on disk in the cache."""
        if self.judge.cache is None:
            return
        keyed = [(self.cache_keys.pop((v.instruction_id, v.condition), None), v) for v in verdicts]
        self.judge.cache.put((key, verdict) for key, verdict in keyed if key is not None)

    async def _ask(self, client: openai.AsyncOpenAI, question: Mapping[str, Any]) -> Outcome:
        """Ask until there is a reply, a named failure, or the deadline."""
        import aiohttp
        import httpx2
        import openai

        started = time.monotonic()
        try:
            async with asyncio.timeout(self.judge.deadline_seconds):
                while True:
                    field = self.budget_field
                    body = {**question, field: self.judge.max_tokens}
                    try:
                        # Not `chat.completions.parse`: it drops a reply that does not fit, derives the schema anew each
                        # time and needs 2.4 ms of CPU; this is the same request in 0.6 ms.
                        reply = await client.post("/chat/completions", body=body, cast_to=httpx2.Response)
                        is_fence_allowed = self.judge.output_format == "text"
                        return read_completion(reply.content, self.judge.protocol, may_be_fenced=is_fence_allowed)
                    except openai.APIStatusError as error:
                        if _wants_other_field(error, field):
                            self.budget_field = "max_completion_tokens"
                            continue
                        left = self.judge.deadline_seconds - (time.monotonic() - started)
                        outcome = await self._settle(error, seconds_left=left)
                        if outcome is not None:
                            return outcome
        except TimeoutError:
            return unreachable(f"no reply within {self.judge.deadline_seconds:g} s")
        except openai.APIConnectionError as error:
            return unreachable(_name_fault(error.__cause__ or error))
        except aiohttp.ClientError as error:
            # What the SDK's aiohttp transport does not map, such as a status line that is none.
            return unreachable(_name_fault(error))

    async def _settle(self, error: openai.APIStatusError, *, seconds_left: float) -> Outcome | None:
        """Say what a status other than 200 means for a sample, or return None where to ask again.

        Raises:
            JudgeError: If it would be the same for every sample.
        """
        status, reason = error.status_code, _describe(error)
        if is_filtered(error.body):
            return Outcome(None, "judge_filtered", reason, is_free=True)
        if self.n_unreachable == self.n_finished and _refuses_format(error, self.judge.output_format):
            refused = f"(the endpoint does not take --output-format {self.judge.output_format})"
            raise FormatRefusedError(str(self._stop(reason, refused))) from None
        advice = _ADVICE_BY_CODE.get(error.code or "") or _ADVICE_BY_STATUS.get(status)
        # Once a sample has been answered, a 403, 404 or 400 is about this sample; credit and key can end at any time.
        if advice is not None and (status in (401, 402, 429) or self.n_unreachable == self.n_finished):
            raise self._stop(reason, advice) from None
        wait = _retry_after_seconds(error.response.headers)
        if wait > _LONGEST_SDK_WAIT and status in (408, 409, 429, 500, 502, 503, 504):
            if wait >= seconds_left:
                return unreachable(f"{reason} (asks to wait {wait:.0f} s, longer than the deadline)", is_free=True)
            log.warning("%s: HTTP %d, waiting %.0f s as the server asks", self.judge.endpoint.shown, status, wait)
            await asyncio.sleep(wait)
            return None
        return unreachable(reason, is_free=True)

    def _keep(self, response: Response, outcome: Outcome) -> None:
        """Pass a verdict on, and stop the run where nothing comes back any more."""
        conceal = self.judge.conceal
        is_unreachable = outcome.failure == "judge_unreachable"
        self.writer.put(
            Verdict(
                instruction_id=response.instruction_id,
                condition=response.condition,
                label=outcome.label,
                failure=outcome.failure,
                rubric=self.rubric_id,
                raw=conceal(outcome.raw, limit=_REASON_CHARACTERS if is_unreachable else _RAW_CHARACTERS),
                explanation=None if outcome.explanation is None else conceal(outcome.explanation),
                judge_model=None if outcome.judge_model is None else conceal(outcome.judge_model, limit=250),
                usage=outcome.usage,
                response_sha256=response.digest,
            )
        )
        self.n_finished += 1
        if not is_unreachable:
            self.n_unreachable_in_a_row = 0
            return
        self.last_reason = outcome.raw
        self.n_unreachable += 1
        self.n_unreachable_in_a_row += 1
        if self.n_unreachable_in_a_row >= _MAX_UNREACHABLE:
            raise self._stop(f"no reply for {_MAX_UNREACHABLE} samples in a row, last: {self.last_reason}")

    def _stop(self, reason: str, advice: str = "(is it running, and is this its URL?)") -> JudgeError:
        reason = self.judge.conceal(" ".join(reason.split()), limit=_REASON_CHARACTERS).rstrip(".")
        return JudgeError(
            f"{self.judge.rubric.judge} at {self.judge.endpoint.shown}: {reason} {advice}. "
            "Finished verdicts are kept; the same command goes on from there."
        )


_ADVICE_BY_STATUS: Final = {
    401: "(is OPENAI_API_KEY right for this endpoint?)",
    402: "(the account has no credit)",
    403: "(may this key use this model?)",
    404: "(is the name of the model right, and does the URL end as the server wants, often in /v1?)",
    405: "(does the URL end as the server wants, often in /v1?)",
}
"""A status that every sample would get. Asking on would cost time or money for nothing."""

_ADVICE_BY_CODE: Final = {
    "insufficient_quota": "(the account has no credit)",
    "invalid_api_key": "(is OPENAI_API_KEY right for this endpoint?)",
    "model_not_found": "(is the name of the model right?)",
    "unsupported_parameter": "(this model does not take what this rubric sets)",
    "unsupported_value": "(this model does not take what this rubric sets)",
}
"""The same for the codes of OpenAI's errors, whatever their status."""


_FORMAT_WORDS: Final = re.compile(r"response_format|json_schema|json_object|structured[ _-]?output", re.IGNORECASE)


def _response_format(judge: ModelJudge) -> dict[str, Any]:
    if judge.output_format == "text":
        return {}
    if judge.output_format == "json_object":
        return {"response_format": {"type": "json_object"}}
    schema = {"name": "verdict", "strict": True, "schema": OUTPUT_SCHEMAS[judge.protocol]}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _refuses_format(error: openai.APIStatusError, output_format: OutputFormat) -> bool:
    """Say whether an endpoint complains about the output format, in its parameter or its words."""
    if output_format == "text" or error.status_code not in (400, 415, 422, 501):
        return False
    return _FORMAT_WORDS.search(f"{error.param} {_describe(error)}") is not None


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


def _wants_other_field(error: openai.APIStatusError, field: str) -> bool:
    return field == "max_tokens" and error.status_code == 400 and "max_completion_tokens" in error.message


def _name_fault(error: BaseException) -> str:
    # aiohttp names its TLS settings, also where there is no TLS; the SDK's transport calls every refusal a timeout.
    return re.sub(r" ssl:(<[^>]*>|\w+)", "", str(error)) or type(error).__name__


def _describe(error: openai.APIStatusError) -> str:
    """One line about an error: the status, and the server's own words where it has some."""
    body = error.body
    message = body.get("message") if isinstance(body, Mapping) else body
    text = message if isinstance(message, str) else json.dumps(body)
    return f"HTTP {error.status_code}: {' '.join(text.split())}"


def _retry_after_seconds(headers: httpx2.Headers) -> float:
    """Seconds a server asks to wait, as a number or a date; 0 where it does not say."""
    value = headers.get("retry-after")
    if value is None:
        return 0.0
    try:
        return float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        return 0.0 if date is None else email.utils.mktime_tz(date) - time.time()
