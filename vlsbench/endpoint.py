"""Ask an OpenAI-compatible endpoint many questions at once; knows nothing of what is asked.

Questions are under way together, but never more than `Connection.concurrency`, and their pictures are read and encoded
when their turn comes: memory does not grow with the number of questions. What came of them goes to a thread of its own
(`Writer`), which writes what has come while the disk took the ones before: no fsync holds up the questions, and all
that is finished is written whatever else ends the run.

Rule of the room: every try, wait, picture and reply is bounded. What no question can change (a wrong key, a wrong
model, an endpoint that is down, another host) ends the run with one sentence; everything else is an outcome of the
caller's. The key is in no message, log or file. Leaves out what a question and its outcome are: `EndpointRun` is told
by who uses it (`vlsbench.judge.model`, `vlsbench.generate.endpoint_model`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import queue
import re
import socket
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from vlsbench.cost import Meter, question_tokens
from vlsbench.errors import DataError, UsageError, VLSBenchError, numbered
from vlsbench.provider import advice_on, describe, is_filtered, refused_parameter, retry_after_seconds, status_within

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = [
    "DEFAULT_BASE_URL",
    "RAW_CHARACTERS",
    "REASON_CHARACTERS",
    "Asker",
    "Connection",
    "Encoded",
    "Endpoint",
    "EndpointRun",
    "Writer",
    "is_model_name",
    "name_ids",
    "resolve_endpoint",
    "run_to_end",
]

log = logging.getLogger(__name__)

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"

_NO_KEY: Final = "no-key"
"""Sent to a server of one's own, which asks for none; the SDK insists on a string."""

_CONNECT_SECONDS: Final = 10.0
"""A server that is there accepts in milliseconds; one that is not should not cost two minutes per try."""

_KNOCKS: Final = (1.0, 2.0)
"""Seconds before it is looked again whether anything listens; then the run stops before its first question."""

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 8.0
"""Seconds between tries after an error with status 200: doubling, as the SDK waits after an error status."""

_LONGEST_SDK_WAIT: Final = 120.0
"""The SDK (openai 3.52, `MAX_RETRY_AFTER_DELAY`) does not retry where Retry-After asks for more; we wait ourselves."""

_MAX_UNREACHABLE: Final = 20
"""Questions without a reply one after the other before the run stops. Each was asked 7 times: where half of all
requests fail, one question in 128 ends like this and 20 in a row never do."""

_PICTURE_THREADS: Final = 4
"""Reading, checking and encoding a picture takes 1 to 20 ms, most of it outside the interpreter lock."""

_MOST_AHEAD: Final = 32
"""Pictures encoded before their turn, so that no question waits for the disk; one of the release is 1.6 MB encoded."""

_PICTURES_KEPT: Final = _MOST_AHEAD + 8
"""Encoded pictures in memory. Questions that share one are asked one after the other, so that few more suffice."""

REASON_CHARACTERS: Final = 500
"""Kept of an error: a sentence, not the page a proxy sends."""

RAW_CHARACTERS: Final = 4_000
"""Kept of a judge's reply: eight times what 128 tokens, twice what 512 tokens can hold."""

ItemT = TypeVar("ItemT")
OutcomeT = TypeVar("OutcomeT")
ResultT = TypeVar("ResultT")


class Asker(NamedTuple):
    """Who asks: what its errors are, and how they speak."""

    error: type[VLSBenchError]
    who: str
    """Who needs a key: `the judge`."""
    without_key: str
    """What else there is where there is no key, in parentheses."""
    items: str
    """What is asked about: `responses`."""
    results: str
    """What is kept: `verdicts`."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable of the key."""


class Endpoint(NamedTuple):
    """Where questions go."""

    url: str
    key: str
    shown: str
    """The URL without what may be secret: no user, no password, no query."""
    secrets: tuple[str, ...]
    query: Mapping[str, str] = MappingProxyType({})
    """Sent with every request: `api-version` of Azure."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What is sent beside the SDK's own headers: Azure takes its key under a name of its own."""
        return {"api-key": self.key} if "api-version" in self.query and self.key != _NO_KEY else {}

    def sdk_options(self) -> dict[str, Any]:
        """Return what a client of the SDK is told of it."""
        return {
            "api_key": self.key,
            "base_url": self.url,
            "default_query": dict(self.query),
            "default_headers": dict(self.headers),
        }

    def conceal(self, text: str, *, limit: int = RAW_CHARACTERS) -> str:
        """Make a server's text fit to be kept: no secret, no half character, at most `limit` characters."""
        for secret in self.secrets:
            text = text.replace(secret, "[key]")
        text = text.encode("utf-8", "replace").decode()
        return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def resolve_endpoint(base_url: str | None, api_key: str | None, asker: Asker) -> Endpoint:
    """Find the endpoint and its key.

    Args:
        base_url: Else `OPENAI_BASE_URL`, else OpenAI's own.
        api_key: Else what is in `asker.key_variable`; only OpenAI's own endpoint insists on one.

    Raises:
        UsageError: If the URL is none, or holds a password.
        VLSBenchError: `asker.error`, if the key is missing or cannot be one.
    """
    url = (base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL).strip()
    key = (api_key or os.environ.get(asker.key_variable) or "").strip()
    shown = url.split("?")[0].split("@")[-1]
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        is_url = False
    if not is_url:
        raise UsageError(f"--base-url {shown!r} is not a URL like http://127.0.0.1:8000/v1.")
    if parts.username or parts.password:
        raise UsageError(
            f"--base-url holds a user or a password ({shown}); put the key into {asker.key_variable} instead."
        )
    if parts.fragment:
        raise UsageError(f"--base-url {shown} has a part behind '#', which no server is sent; leave it out.")
    if (ending := re.search(r"/(?:chat/)?completions/?$|/responses/?$", parts.path)) is not None:
        raise UsageError(
            f"--base-url {shown} ends with {ending[0]!r}, which is added to it; name what stands before, often ending "
            "in /v1."
        )
    query = parse_qsl(parts.query, keep_blank_values=True)
    if len(dict(query)) < len(query):
        raise UsageError(f"--base-url {shown}? has a parameter twice; name each once.")
    if not key and parts.hostname == urlsplit(DEFAULT_BASE_URL).hostname:
        raise asker.error(
            f"{asker.who} needs a key: set {asker.key_variable}, or name another endpoint with --base-url or "
            f"OPENAI_BASE_URL {asker.without_key}."
        )
    if not re.fullmatch(r"[\x21-\x7e]*", key):
        raise asker.error(
            f"{asker.key_variable} holds a character that no key has (a space, a line end, a letter beyond ASCII)."
        )
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    login = parts.password or parts.username or ""
    words = [key, login, unquote(login), *(value for name, value in query if name != "api-version")]
    # Words of three characters or less are no secret; blotting them out would make a reply unreadable.
    secrets = {word for word in words if len(word) > 3}
    # Some servers escape the slash in JSON; the longest first, as one may be part of another.
    secrets |= {word.replace("/", "\\/") for word in secrets}
    without_query = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return Endpoint(without_query, key or _NO_KEY, shown, tuple(sorted(secrets, key=len, reverse=True)), dict(query))


class Connection(NamedTuple):
    """How an endpoint is asked."""

    endpoint: Endpoint
    concurrency: int
    """Questions under way at once."""
    max_retries: int = 6
    """Tries after the first, by the SDK: 0.5 s doubling to 8 s between them, or as Retry-After says."""
    timeout_seconds: float = 120.0
    """Longest silence of the server in one try."""
    deadline_seconds: float = 600.0
    """Longest time for one question, with all tries and waits."""
    http_client: httpx2.AsyncClient | None = None
    """The SDK's transport; it stays open. For tests."""


class Encoded(NamedTuple):
    """An image, ready to be sent."""

    url: str
    sha256: str | None
    """Of the bytes that are sent; None where nobody asks."""
    tokens: int
    """Estimated; 0 where nothing is metered."""


class Writer(Generic[OutcomeT]):
    """Hands records to `write` from one thread of its own, as they come; those that come meanwhile are one batch."""

    def __init__(self, write: Callable[[Sequence[OutcomeT]], None]) -> None:
        self._write = write
        self.after_write: Callable[[Sequence[OutcomeT]], None] = lambda _: None
        """Called with what is on disk, from the writing thread."""
        self._queue: queue.SimpleQueue[OutcomeT | None] = queue.SimpleQueue()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._work = self._executor.submit(self._write_all)

    def put(self, record: OutcomeT) -> None:
        """Take one record; raise what an earlier `write` raised (a full disk), so that no more is asked."""
        if self._work.done():
            self._work.result()
        self._queue.put(record)

    def _write_all(self) -> None:
        while (record := self._queue.get()) is not None:
            # The None of `__exit__` is always the last item.
            rest = [self._queue.get() for _ in range(self._queue.qsize())]
            batch = [record, *(item for item in rest if item is not None)]
            self._write(batch)
            self.after_write(batch)
            if None in rest:
                return

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left; raise what the last `write` raised."""
        self._queue.put(None)
        self._executor.shutdown()
        self._work.result()


class _Pictures:
    """Images read, scaled and encoded off the event loop, each once as long as neighbours share it."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_PICTURE_THREADS, thread_name_prefix="pictures")
        self._pictures: OrderedDict[Hashable, asyncio.Future[Encoded]] = OrderedDict()

    def start(self, key: Hashable, encode: Callable[[], Encoded]) -> asyncio.Future[Encoded]:
        """Begin to read an image, unless it is there or on its way."""
        picture = self._pictures.get(key)
        if picture is None:
            picture = asyncio.get_running_loop().run_in_executor(self._executor, encode)
            picture.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, though nobody may wait
            self._pictures[key] = picture
            if len(self._pictures) > _PICTURES_KEPT:
                self._pictures.popitem(last=False)
        return picture

    def close(self) -> None:
        """Drop what nobody waits for any more."""
        for picture in self._pictures.values():
            picture.cancel()
        self._executor.shutdown(cancel_futures=True)


class EndpointRun(ABC, Generic[ItemT, OutcomeT]):
    """One run over many items: the client, and what is counted on the way. Who uses it says what is asked.

    Args:
        name: As messages name what is asked: `openai:MODEL`.
        max_tokens: Budget of a reply.
    """

    unsupported_advice: ClassVar[str]
    """What to say where the model takes no such parameter, in parentheses."""
    droppable: ClassVar[Sequence[str]] = ()
    """Parameters that are left out from then on where the endpoint says that it does not take them."""

    path: ClassVar[str] = "/chat/completions"
    """Below the endpoint's URL."""

    def __init__(self, connection: Connection, asker: Asker, meter: Meter, *, name: str, max_tokens: int) -> None:
        self.connection = connection
        self.asker = asker
        self.meter = meter
        self.name = name
        self.max_tokens = max_tokens
        self.budget_field = "max_tokens"
        """Newer models of OpenAI take the same budget under the name `max_completion_tokens` only."""
        self.dropped: set[str] = set()
        """Of `droppable`, what this endpoint does not take."""
        self.pictures = _Pictures()
        self.broken: dict[int, DataError] = {}
        """Pictures that cannot be used, by `instruction_id`."""
        self.n_finished = 0
        self.n_unreachable = 0
        self.n_unreachable_in_a_row = 0
        self.last_reason = ""
        self.n_under_way = 0
        self.something_settled = asyncio.Event()

    # What is asked: told by who uses it.

    @abstractmethod
    def id_of(self, item: ItemT) -> int:
        """Return the `instruction_id` an item is about."""

    @abstractmethod
    def picture_key(self, item: ItemT) -> Hashable | None:
        """Name the picture of an item; None where it shows none. Neighbours of one key share it."""

    @abstractmethod
    def encode(self, item: ItemT) -> Encoded:
        """Read and encode the picture of an item, in a thread; raise DataError where it cannot be read."""

    @abstractmethod
    def question(self, item: ItemT, picture: Encoded | None) -> dict[str, Any]:
        """Make the body of a request."""

    @abstractmethod
    def read(self, item: ItemT, content: bytes, body: Mapping[str, Any]) -> OutcomeT:
        """Read the body of an answer with status 200 to what was sent about an item."""

    @abstractmethod
    def keep(self, item: ItemT, outcome: OutcomeT) -> None:
        """Pass on what came of an item."""

    @abstractmethod
    def unreachable(self, reason: str, *, is_free: bool = False) -> OutcomeT:
        """Make the outcome of a question without a reply: a rerun asks again."""

    @abstractmethod
    def filtered(self, reason: str) -> OutcomeT:
        """Make the outcome of a question that a content filter stopped with an error status."""

    @abstractmethod
    def unreached_reason(self, outcome: OutcomeT) -> str | None:
        """Return why there was no reply, or None where there was one."""

    @abstractmethod
    def usage(self, outcome: OutcomeT) -> Mapping[str, object] | None:
        """Return the tokens that a reply took, where it says."""

    @abstractmethod
    def is_free(self, outcome: OutcomeT) -> bool:
        """Say whether the server did nothing, so that nothing was paid."""

    def tokens_in(self, question: Mapping[str, Any]) -> int:
        """Estimate the tokens of a question's texts, for its price."""
        return question_tokens(question)

    def complete(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Add to a question what was agreed on with the endpoint meanwhile."""
        body = {name: value for name, value in question.items() if name not in self.dropped}
        return {**body, self.budget_field: self.max_tokens}

    def adapt(self, error: openai.APIStatusError, body: Mapping[str, Any]) -> bool:
        """Take from an error what this endpoint wants otherwise; say whether to ask again."""
        if "max_tokens" in body and error.status_code == 400 and "max_completion_tokens" in error.message:
            self.budget_field = "max_completion_tokens"
            return True
        reason = f"{error.param} {error.code} {describe(error)}"
        name = refused_parameter(error.status_code, reason, body, self.droppable)
        if name is None:
            return False
        self.dropped.add(name)
        return True

    def refuse(self, error: openai.APIStatusError, reason: str, advice: str | None) -> OutcomeT | None:
        """Make the outcome of a request that is refused for what it holds; None where it is like any other error.

        Args:
            advice: What to say where every question would be refused like this; None where that is not known.
        """
        return None

    def find_known(self, item: ItemT, picture: Encoded | None) -> bool:
        """Say whether an item needs no question, having passed on what is known of it."""
        return False

    # How it is asked.

    async def ask_all(self, items: Sequence[ItemT]) -> None:
        """Ask about every item, `concurrency` at a time; the first error that no item can change ends it."""
        pending, ahead = iter(items), iter(items)
        if items and self.connection.http_client is None:
            await self._knock()
        client = self._open_client()
        concurrency = self.connection.concurrency
        workers = [asyncio.create_task(self._work(client, pending, ahead)) for _ in range(min(concurrency, len(items)))]
        try:
            for item in itertools.islice(ahead, min(concurrency, _MOST_AHEAD)):
                self._start_picture(item)
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self.connection.http_client is None:
                await client.close()
            self.pictures.close()

    async def _knock(self) -> None:
        """Stop where nothing listens, or nobody has that name: 7 tries of 20 questions would take half a minute.

        A server that is slow to accept, or behind a proxy, is left to the questions.
        """
        from urllib.request import getproxies, proxy_bypass

        parts = urlsplit(self.connection.endpoint.url)
        host, port = str(parts.hostname), parts.port or {"http": 80, "https": 443}[parts.scheme]
        if {parts.scheme, "all"} & set(getproxies()) and not proxy_bypass(host):
            return
        for wait in (*_KNOCKS, None):
            refused = await _refusal_at(host, port)
            if refused is None:
                return
            if wait is None:
                raise self.stop(refused)
            await asyncio.sleep(wait)

    @property
    def is_unanswered(self) -> bool:
        """No reply has come yet, to anything."""
        return self.n_unreachable == self.n_finished

    def report(self) -> None:
        """Raise what is to be said at the end of a run that was not stopped."""
        if self.n_finished and self.is_unanswered:
            raise self.stop(f"none of {self.n_finished} {self.asker.items} got a reply: {self.last_reason}")

    def _open_client(self) -> openai.AsyncOpenAI:
        import httpx2
        import openai

        from vlsbench.transport import guard

        endpoint, concurrency, max_retries, timeout, _, http_client = self.connection
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        # aiohttp under the SDK: 0.6 ms of CPU per call, where the default transport needs 1.0.
        return _counting_client(self.meter)(
            **endpoint.sdk_options(),
            max_retries=max_retries,
            timeout=httpx2.Timeout(timeout, connect=min(_CONNECT_SECONDS, timeout)),
            http_client=guard(http_client or openai.DefaultAioHttpClient(limits=limits)),
        )

    def _start_picture(self, item: ItemT) -> asyncio.Future[Encoded] | None:
        key = self.picture_key(item)
        return None if key is None else self.pictures.start(key, lambda: self.encode(item))

    async def _work(self, client: openai.AsyncOpenAI, pending: Iterator[ItemT], ahead: Iterator[ItemT]) -> None:
        for item in pending:
            if (coming := next(ahead, None)) is not None:
                self._start_picture(coming)
            started = self._start_picture(item)
            try:
                # One waiter that is cancelled must not cancel it for the others.
                picture = None if started is None else await asyncio.shield(started)
            except DataError as error:
                self.broken[self.id_of(item)] = error
                continue
            if self.find_known(item, picture):
                self.n_finished += 1
                await asyncio.sleep(0)
                continue
            question = self.question(item, picture)
            price = await self._afford(question, 0 if picture is None else picture.tokens)
            self._settle_item(item, await self._ask_metered(client, item, question, price))

    async def _ask_metered(
        self, client: openai.AsyncOpenAI, item: ItemT, question: Mapping[str, Any], price: float
    ) -> OutcomeT:
        outcome: OutcomeT | None = None
        try:
            outcome = await self._ask(client, item, question)
            return outcome
        finally:
            self.n_under_way -= 1
            # Without an outcome the run ends here.
            usage = None if outcome is None else self.usage(outcome)
            self.meter.settle(price, usage, is_free=outcome is None or self.is_free(outcome))
            self.something_settled.set()

    async def _afford(self, question: Mapping[str, Any], picture_tokens: int) -> float:
        """Reserve the price of a question, after waiting for those under way if need be; stop where it is too dear."""
        meter = self.meter
        if meter.max_cost is None:
            price = 0.0
        else:
            tokens_in = self.tokens_in(question) + picture_tokens
            while not meter.can_afford(price := meter.price(tokens_in, self.max_tokens)):
                if not self.n_under_way:
                    raise self.asker.error(
                        f"{meter.why_stopped(price)}. Finished {self.asker.results} are kept; the same command goes on "
                        "from there, with the same limit anew."
                    )
                self.something_settled.clear()
                await self.something_settled.wait()
        meter.reserve(price)
        self.n_under_way += 1
        return price

    async def _ask(self, client: openai.AsyncOpenAI, item: ItemT, question: Mapping[str, Any]) -> OutcomeT:
        """Ask until there is a reply, a named failure, or the deadline."""
        import aiohttp
        import httpx2
        import openai

        from vlsbench.transport import OtherHostError, ReplyError

        deadline = self.connection.deadline_seconds
        started = time.monotonic()
        n_failed_within = 0
        try:
            async with asyncio.timeout(deadline):
                while True:
                    body = self.complete(question)
                    try:
                        # Not the SDK's typed calls: they need 2.4 ms of CPU; this is the same request in 0.6 ms.
                        reply = await client.post(self.path, body=body, cast_to=httpx2.Response)
                        if (failed := status_within(reply.content)) is not None:
                            if n_failed_within == self.connection.max_retries:
                                return self.unreachable(f"HTTP 200 with an error: {failed}", is_free=True)
                            self.meter.n_retries += 1
                            await asyncio.sleep(min(_FIRST_WAIT * 2**n_failed_within, _LONGEST_WAIT))
                            n_failed_within += 1
                            continue
                        return self.read(item, reply.content, body)
                    except openai.APIStatusError as error:
                        if self.adapt(error, body):
                            continue
                        outcome = await self._settle(error, seconds_left=deadline - (time.monotonic() - started))
                        if outcome is not None:
                            return outcome
        except TimeoutError:
            return self.unreachable(f"no reply within {deadline:g} s")
        except OtherHostError as error:
            raise self.stop(
                f"{error}", "(pictures and answers are sent to no other host than the one that is named)"
            ) from None
        except ReplyError as error:
            return self.unreachable(str(error))
        except openai.APIConnectionError as error:
            return self.unreachable(_name_fault(error.__cause__ or error))
        except aiohttp.ClientError as error:
            # What the SDK's aiohttp transport does not map, such as a status line that is none.
            return self.unreachable(_name_fault(error))

    async def _settle(self, error: openai.APIStatusError, *, seconds_left: float) -> OutcomeT | None:
        """Say what a status other than 200 means for an item, or return None where to ask again.

        Raises:
            VLSBenchError: If it would be the same for every item.
        """
        status, reason = error.status_code, describe(error)
        if is_filtered(error.body):
            return self.filtered(reason)
        advice = self._advise(error)
        refused = self.refuse(error, reason, advice)
        if refused is not None:
            return refused
        # Once an item has been answered, a 403, 404 or 400 is about this item; credit and key can end at any time.
        if advice is not None and (status in (401, 402, 429) or self.is_unanswered):
            raise self.stop(reason, advice) from None
        wait = retry_after_seconds(error.response.headers)
        if wait > _LONGEST_SDK_WAIT and status in (408, 409, 429, 500, 502, 503, 504):
            if wait >= seconds_left:
                return self.unreachable(
                    f"{reason} (asks to wait {_seconds(wait)}, longer than the deadline)", is_free=True
                )
            log.warning("%s: HTTP %d, waiting %.0f s as the server asks", self.connection.endpoint.shown, status, wait)
            self.meter.n_retries += 1
            await asyncio.sleep(wait)
            return None
        return self.unreachable(reason, is_free=True)

    def _advise(self, error: openai.APIStatusError) -> str | None:
        if error.code in ("unsupported_parameter", "unsupported_value"):
            return self.unsupported_advice
        return advice_on(error, self.asker.key_variable)

    def _settle_item(self, item: ItemT, outcome: OutcomeT) -> None:
        """Pass an outcome on, and stop the run where nothing comes back any more."""
        self.keep(item, outcome)
        self.n_finished += 1
        reason = self.unreached_reason(outcome)
        if reason is None:
            self.n_unreachable_in_a_row = 0
            return
        self.last_reason = reason
        self.n_unreachable += 1
        self.n_unreachable_in_a_row += 1
        if self.n_unreachable_in_a_row >= _MAX_UNREACHABLE:
            raise self.stop(f"no reply for {_MAX_UNREACHABLE} samples in a row, last: {self.last_reason}")

    def stop(self, reason: str, advice: str = "(is it running, and is this its URL?)") -> VLSBenchError:
        """Make the error that ends a run."""
        endpoint = self.connection.endpoint
        reason = endpoint.conceal(" ".join(reason.split()), limit=REASON_CHARACTERS).rstrip(".")
        return self.asker.error(
            f"{self.name} at {endpoint.shown}: {reason} {advice}. "
            f"Finished {self.asker.results} are kept; the same command goes on from there."
        )


def run_to_end(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine to its end, also where an event loop runs already: a notebook has one in every cell.

    There it runs in a thread of its own, whose loop is told of a Ctrl-C here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    async def watched() -> ResultT:
        started.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await work

    with ThreadPoolExecutor(1, "vlsbench-ask") as pool:
        running = pool.submit(asyncio.run, watched())
        try:
            return running.result()
        except BaseException:
            if not running.done():  # it ended by itself else, perhaps before it began
                loop, task = started.result()
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)
            raise


async def _refusal_at(host: str, port: int) -> str | None:
    """Say why no address of a host can be connected to; None where one can, or where that is not certain."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return f"{host}: {error.strerror}"
    for *_, address in found:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, stream = await asyncio.open_connection(*address[:2])
        except ConnectionRefusedError:
            continue
        except (OSError, TimeoutError):
            return None
        stream.close()
        return None
    return "Connection refused"


def _counting_client(meter: Meter) -> type[openai.AsyncOpenAI]:
    """Return the SDK's client, which counts every try after the first of a question."""
    import openai

    class Client(openai.AsyncOpenAI):
        async def _prepare_request(self, request: httpx2.Request) -> None:
            if request.headers.get("x-stainless-retry-count", "0") != "0":
                meter.n_retries += 1

    return Client


def name_ids(what: str, problems: Mapping[int, DataError]) -> str:
    """Say of which samples something is true, and what the first problem is."""
    ids = sorted(problems)
    return f"{len(ids)} {what}: instruction_id {numbered([str(i) for i in ids])}. First: {problems[ids[0]]}"


def is_model_name(name: str) -> bool:
    r"""Say whether a name can be that of a model: not blank, printable, at most 190 signs.

    >>> is_model_name("org/Some-Model"), is_model_name(" "), is_model_name("a\x1bb")
    (True, False, False)
    """
    return bool(name.strip()) and name.isprintable() and len(name) <= 190


def _name_fault(error: BaseException) -> str:
    # aiohttp names its TLS settings, also where there is no TLS; the SDK's transport calls every refusal a timeout.
    return re.sub(r" ssl:(<[^>]*>|\w+)", "", str(error)) or type(error).__name__


def _seconds(wait: float) -> str:
    return f"{wait:.0f} s" if wait < _DAY else "more than a day"


_DAY: Final = 86_400.0
