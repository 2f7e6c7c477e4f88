"""Who makes images: what is none is named, nothing is fetched, an image on disk is not made again."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from vlsbench.construct.artist import draw
from vlsbench.construct.chains import ImageCall
from vlsbench.construct.chat import Purse
from vlsbench.construct.config import ImageModel
from vlsbench.construct.images import open_maker, recover
from vlsbench.construct.journal import Arrived, Journal
from vlsbench.construct.sameness import SAME_IMAGE, picture_hash
from vlsbench.dataset.pictures import Picture
from vlsbench.errors import ModelError, UsageError

PNG = draw("a cup", 0)


def call(number: int = 1) -> ImageCall:
    return ImageCall(f"e{number:04d}-q1", "image", 1, 1, number, "endpoint:m", "a cup on a table")


def make(reply: Callable[[dict[str, Any]], tuple[int, Any]], calls: Sequence[ImageCall]) -> list[Arrived]:
    """Ask an endpoint that answers by `reply`."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/v1/images/generations"
        status, body = reply(json.loads(request.content))
        return httpx2.Response(status, json=body)

    arrived: list[Arrived] = []

    async def run() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(handle)) as client:
            config = ImageModel(kind="endpoint", model="m", base_url="http://h/v1", price=0.02, max_retries=0)
            await open_maker(config, Path(), Purse(), http_client=client).make(calls, arrived.append)

    asyncio.run(run())
    return arrived


def encoded(data: bytes) -> dict[str, Any]:
    return {"data": [{"b64_json": base64.b64encode(data).decode()}]}


def test_an_image_is_taken_with_its_price_and_digest() -> None:
    asked = []

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        asked.append(body)
        return 200, encoded(PNG)

    (arrived,) = make(reply, [call()])
    assert arrived.image == PNG
    assert (arrived.record.outcome, arrived.record.cost) == ("answered", 0.02)
    assert asked == [
        {
            "model": "m",
            "prompt": "a cup on a table",
            "n": 1,
            "size": "1024x1024",
            "seed": 1,
            "response_format": "b64_json",
        }
    ]


NO_IMAGES = {
    "a URL": ({"data": [{"url": "http://elsewhere/x.png"}]}, "names a URL"),
    "text": ({"choices": [{"message": {"content": "Here is a cup."}}]}, "is text instead of an image"),
    "no base64": ({"data": [{"b64_json": "§§"}]}, "is text instead of an image"),
    "half a PNG": (encoded(PNG[:200]), "truncated"),
    "a page": (encoded(b"<html></html>"), "is not a PNG"),
}


@pytest.mark.parametrize(("body", "problem"), NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_is_named_and_never_fetched(body: dict[str, Any], problem: str) -> None:
    (arrived,) = make(lambda _: (200, body), [call()])
    assert arrived.image is None
    assert arrived.record.outcome == "no_image"
    assert problem in (arrived.record.reply or "")


def test_a_model_that_writes_text_ends_the_run_with_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"the first 8 replies hold no image .* \(is it a model that makes images\?\)"):
        make(lambda _: (200, {"choices": [{"message": {"content": "A cup."}}]}), [call(n) for n in range(12)])


def test_a_content_filter_is_named_and_free() -> None:
    body = {"error": {"code": "content_policy_violation", "message": "no"}}
    (arrived,) = make(lambda _: (400, body), [call()])
    assert (arrived.record.outcome, arrived.record.cost) == ("filtered", 0.0)


def test_an_endpoint_that_takes_no_seed_and_no_format_is_asked_without() -> None:
    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        for name in ("seed", "response_format"):
            if name in body:
                return 400, {"error": {"code": "unknown_parameter", "param": name, "message": f"Unknown: {name}"}}
        return 200, encoded(PNG)

    (arrived,) = make(reply, [call()])
    assert arrived.record.outcome == "answered"


def test_an_image_without_a_line_is_taken_in_and_not_made_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    (tmp_path / "images" / f"{call().key[:32]}.png").write_bytes(PNG)
    (found,) = recover(journal, [call(), call(2)], 0.02)
    assert (found.record.call, found.image, found.record.cost) == (call().key, PNG, 0.02)
    journal.append([found])
    assert recover(journal, [call()], None) == []


def test_prepared_images_are_found_by_item(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "e0001-q1.png")
    arrived: list[Arrived] = []
    maker = open_maker(ImageModel(kind="folder", folder="."), tmp_path, Purse())
    asyncio.run(maker.make([call(1), call(2), call(1)._replace(step="twin_image")], arrived.append))
    assert [one.record.outcome for one in arrived] == ["answered", "no_image", "no_image"]


def test_diffusers_that_is_absent_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(UsageError, match=r"needs diffusers: pip install 'vlsbench\[construct\]'"):
        open_maker(ImageModel(kind="diffusers", model="m"), Path(), Purse())


def test_a_pipeline_is_asked_with_the_seed_and_settings_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for diffusers: the request is built, the image is taken, a text is refused by name."""
    import sys
    import types

    torch = pytest.importorskip("torch")
    asked: list[tuple[str, dict[str, Any], int]] = []

    class Pipeline:
        @classmethod
        def from_pretrained(cls, name: str, **options: Any) -> Pipeline:
            assert (name, options["dtype"]) == ("org/tiny", torch.float32)
            return cls()

        def to(self, device: str) -> Pipeline:
            assert device == "cpu"
            return self

        def set_progress_bar_config(self, disable: bool) -> None: ...

        def __call__(self, prompt: str, *, generator: Any, **options: Any) -> Any:
            asked.append((prompt, options, generator.initial_seed()))
            made = "a text" if prompt == "text" else Image.new("RGB", (16, 16), "red")
            return types.SimpleNamespace(images=[made])

    monkeypatch.setitem(sys.modules, "diffusers", types.SimpleNamespace(DiffusionPipeline=Pipeline))
    config = ImageModel(kind="diffusers", model="org/tiny", size="16x16", n_steps=2, guidance=1.5, device="cpu")
    arrived: list[Arrived] = []
    maker = open_maker(config, Path(), Purse())
    asyncio.run(maker.make([call(7), call(8)._replace(prompt="text")], arrived.append))
    options = {"width": 16, "height": 16, "num_inference_steps": 2, "guidance_scale": 1.5}
    assert asked == [("a cup on a table", options, 7), ("text", options, 8)]
    assert [one.record.outcome for one in arrived] == ["answered", "no_image"]


def test_the_artist_draws_the_same_from_the_same_and_otherwise_from_another_seed() -> None:
    prompts = ["a man with a bottle on a street", "a cup and a laptop", "a cat in a park", "nothing that is known"]
    hashes = [picture_hash(Picture(draw(prompt, seed), "image/png")) for prompt in prompts for seed in range(4)]
    assert draw(prompts[0], 3) == draw(prompts[0], 3)
    apart = [(a ^ b).bit_count() for n, a in enumerate(hashes) for b in hashes[:n]]
    assert min(apart) > SAME_IMAGE
