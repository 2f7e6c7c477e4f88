"""Chains ask who makes images: an endpoint, a diffusers pipeline, a folder of prepared ones, or the artist.

Each takes calls and puts what came into the journal, as those who chat do. What is no image that can be decoded is
`no_image`, by name, whatever it is instead: a text, a URL, half a file. Rule of the room: nothing is fetched from an
address that a server names; heavy imports are inside the function that needs them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from vlsbench.construct.artist import draw_prompt
from vlsbench.construct.chains import ImageCall
from vlsbench.construct.chat import Purse, PursedMeter
from vlsbench.construct.config import ImageModel
from vlsbench.construct.journal import Arrived, Journal
from vlsbench.construct.records import CallRecord
from vlsbench.cost import Meter, Prices
from vlsbench.dataset.pictures import image_problem, read_image
from vlsbench.endpoint import Asker, Connection, Encoded, EndpointRun, resolve_endpoint
from vlsbench.errors import DataError, ModelError, UsageError
from vlsbench.files import sha256_hex
from vlsbench.provider import describe, refused_parameter

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = ["ImageMaker", "open_maker", "recover"]

Put = Callable[[Arrived], None]

_MOST_TEXTS: Final = 8
"""Replies without an image, and none with one, before a run ends: it is not an image model that is asked."""

_DROPPABLE: Final = ("response_format", "seed", "size")
_SHOWN_CHARACTERS: Final = 60


class ImageMaker(Protocol):
    """Who makes images."""

    name: str
    """As records name it."""

    async def make(self, calls: Sequence[ImageCall], put: Put) -> None:
        """Make images; those that nobody could be asked for are not put.

        Raises:
            VLSBenchError: What no call can change.
        """


def open_maker(
    config: ImageModel, root: Path, purse: Purse, *, http_client: httpx2.AsyncClient | None = None
) -> ImageMaker:
    """Return who makes the images of a configuration.

    Args:
        config: `[image]`.
        root: Folder that its paths are relative to.
        purse: What an endpoint's images are paid from.
        http_client: The SDK's transport; it stays open. For tests.

    Raises:
        UsageError: If diffusers is absent, or a URL is none.
        ModelError: If a pipeline cannot be loaded, or a key is missing.
    """
    if config.kind == "endpoint":
        return _EndpointMaker(config, purse, http_client)
    if config.kind == "folder":
        return _LocalMaker(config, _FolderMaker(root / str(config.folder)))
    return _LocalMaker(config, draw_prompt if config.kind == "artist" else _Pipeline(config))


def _arrived(call: ImageCall, data: bytes | None, why: str | None, cost: float | None, **more: Any) -> Arrived:
    """Note what came of a call: an image that can be decoded, or why there is none."""
    problem = why if data is None else image_problem(data)
    record = CallRecord(
        item=call.item,
        step=call.step,
        round=call.round,
        attempt=call.attempt,
        model=call.model,
        seed=call.seed,
        call=call.key,
        outcome="answered" if problem is None else more.pop("outcome", "no_image"),
        cost=cost,
        reply=sha256_hex(data) if data is not None and problem is None else problem,
        **{name: value for name, value in more.items() if name != "outcome"},
    )
    return Arrived(record, data if problem is None else None)


def recover(journal: Journal, calls: Iterable[ImageCall], price: float | None) -> list[Arrived]:
    """Take in images that are on disk without a line: the run was killed between the two, and they were paid for."""
    found = []
    for call in calls:
        path = None if call.key in journal else journal.image_of(call.key)
        if path is not None:
            found.append(_arrived(call, path.read_bytes(), None, price))
    return found


# --- On this machine ----------------------------------------------------------------------------------------


class _LocalMaker:
    """Makes one image after the other, in a thread beside the event loop."""

    def __init__(self, config: ImageModel, draw: Callable[[ImageCall], bytes | None]) -> None:
        self.name = config.name
        self._draw = draw
        self._price = config.price

    async def make(self, calls: Sequence[ImageCall], put: Put) -> None:
        for call in calls:
            data = await asyncio.to_thread(self._draw, call)
            put(_arrived(call, data, "no image of that name is in the folder", self._price))


class _FolderMaker:
    """Prepared images by item: `e0001-q1.png`, of twins `e0001-q1-twin.png`. The same one in every round."""

    def __init__(self, folder: Path) -> None:
        self._files = {path.stem: path for path in sorted(folder.iterdir()) if path.is_file()}

    def __call__(self, call: ImageCall) -> bytes | None:
        stem = f"{call.item}-twin" if call.step == "twin_image" else call.item
        path = self._files.get(stem)
        return None if path is None else read_image(path)


class _Pipeline:
    """A text-to-image pipeline of diffusers, by name or folder."""

    def __init__(self, config: ImageModel) -> None:
        try:
            import diffusers
            import torch
        except ImportError as error:
            raise UsageError(
                f"[image] kind 'diffusers' needs {error.name}: pip install 'vlsbench[construct]'."
            ) from None
        self._torch = torch
        self._config = config
        name = str(config.model)
        device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        try:
            pipeline = diffusers.DiffusionPipeline.from_pretrained(name, revision=config.revision, dtype=dtype)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"[image] {name}: the pipeline cannot be loaded ({reason}).") from None
        self._pipeline = pipeline.to(device)
        self._pipeline.set_progress_bar_config(disable=True)

    def __call__(self, call: ImageCall) -> bytes | None:
        import io

        from PIL import Image

        width, height = map(int, self._config.size.split("x"))
        options: dict[str, Any] = {"width": width, "height": height}
        if self._config.n_steps is not None:
            options["num_inference_steps"] = self._config.n_steps
        if self._config.guidance is not None:
            options["guidance_scale"] = self._config.guidance
        # On the CPU: the same seed gives the same noise on every machine.
        generator = self._torch.Generator("cpu").manual_seed(call.seed)
        made = getattr(self._pipeline(call.prompt, generator=generator, **options), "images", [None])[0]
        if not isinstance(made, Image.Image):
            return None
        buffer = io.BytesIO()
        made.convert("RGB").save(buffer, "PNG")
        return buffer.getvalue()


# --- An endpoint --------------------------------------------------------------------------------------------


class _Made(NamedTuple):
    """What came of one request."""

    image: bytes | None = None
    why: str | None = None
    """Why there is no image; `unreached` where there was no reply at all."""
    outcome: Literal["no_image", "filtered", "refused"] = "no_image"
    is_unreached: bool = False
    is_free: bool = False


class _EndpointMaker:
    """`/v1/images/generations` of an OpenAI-compatible endpoint."""

    def __init__(self, config: ImageModel, purse: Purse, http_client: httpx2.AsyncClient | None) -> None:
        self.name = config.name
        self.config = config
        # One image is one token out, at the price of an image.
        prices = None if config.price is None else Prices(0.0, config.price * 1_000_000)
        self.meter: Meter = PursedMeter(prices, purse)
        self.asker = Asker(
            ModelError, "[image]", "(servers of one's own need none)", "images", "images", config.key_variable
        )
        endpoint = resolve_endpoint(config.base_url, None, self.asker)
        self.connection = Connection(
            endpoint, config.concurrency, config.max_retries, config.timeout_seconds, http_client=http_client
        )
        self.has_answered = False

    async def make(self, calls: Sequence[ImageCall], put: Put) -> None:
        run = _ImageRun(self, put)
        await run.ask_all(calls)
        if not self.has_answered:
            run.report()


class _ImageRun(EndpointRun[ImageCall, _Made]):
    """One wave of requests."""

    path = "/images/generations"
    unsupported_advice = "(this model does not take what is sent)"

    def __init__(self, maker: _EndpointMaker, put: Put) -> None:
        super().__init__(maker.connection, maker.asker, maker.meter, name=f"[image] {maker.config.model}", max_tokens=1)
        self.maker = maker
        self.put = put
        self.dropped: set[str] = set()
        self.n_without = 0

    def id_of(self, item: ImageCall) -> int:
        return item.seed

    def picture_key(self, item: ImageCall) -> Hashable | None:
        return None

    def encode(self, item: ImageCall) -> Encoded:
        raise DataError(f"{item.item}: an image is asked for, none is sent.")

    def question(self, item: ImageCall, picture: Encoded | None) -> dict[str, Any]:
        return {
            "model": self.maker.config.model,
            "prompt": item.prompt,
            "n": 1,
            "size": self.maker.config.size,
            "seed": item.seed,
            "response_format": "b64_json",
        }

    def tokens_in(self, question: Mapping[str, Any]) -> int:
        return 0

    def complete(self, question: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in question.items() if name not in self.dropped}

    def adapt(self, error: openai.APIStatusError, body: Mapping[str, Any]) -> bool:
        reason = f"{error.param} {error.code} {describe(error)}"
        name = refused_parameter(error.status_code, reason, body, _DROPPABLE)
        if name is None:
            return False
        self.dropped.add(name)
        return True

    def read(self, item: ImageCall, content: bytes, body: Mapping[str, Any]) -> _Made:
        try:
            found = json.loads(content)
            first = found["data"][0]
            return _Made(base64.b64decode(first["b64_json"], validate=True))
        except (ValueError, RecursionError, LookupError, TypeError, binascii.Error):
            return _Made(why=_instead(content))

    def refuse(self, error: openai.APIStatusError, reason: str, advice: str | None) -> _Made | None:
        if error.status_code not in (400, 413, 415, 422) or (advice is not None and self.is_unanswered):
            return None
        return _Made(why=reason, outcome="refused", is_free=True)

    def unreachable(self, reason: str, *, is_free: bool = False) -> _Made:
        return _Made(why=reason, is_unreached=True, is_free=is_free)

    def filtered(self, reason: str) -> _Made:
        return _Made(why=reason, outcome="filtered", is_free=True)

    def unreached_reason(self, outcome: _Made) -> str | None:
        return outcome.why if outcome.is_unreached else None

    def usage(self, outcome: _Made) -> Mapping[str, object] | None:
        return {"prompt_tokens": 0, "completion_tokens": 1}

    def is_free(self, outcome: _Made) -> bool:
        return outcome.is_free

    def keep(self, item: ImageCall, outcome: _Made) -> None:
        if outcome.is_unreached:
            self.meter.n_unanswered += 1
            return
        cost = 0.0 if outcome.is_free else self.maker.config.price
        why = None if outcome.why is None else self.connection.endpoint.conceal(outcome.why, limit=500)
        arrived = _arrived(item, outcome.image, why, cost, outcome=outcome.outcome)
        if arrived.record.outcome == "answered":
            self.maker.has_answered = True
        elif arrived.record.outcome == "no_image" and not self.maker.has_answered:
            self.n_without += 1
            if self.n_without == _MOST_TEXTS:
                raise self.stop(
                    f"the first {_MOST_TEXTS} replies hold no image ({arrived.record.reply})",
                    "(is it a model that makes images?)",
                )
        self.put(arrived)


def _instead(content: bytes) -> str:
    """Say what a reply is where an image should be."""
    if b'"url"' in content:
        return "the reply names a URL instead of an image; nothing is fetched from there: ask for b64_json"
    shown = " ".join(content.decode("utf-8", "replace").split())[:_SHOWN_CHARACTERS]
    return f"the reply is text instead of an image: {shown!r}"
