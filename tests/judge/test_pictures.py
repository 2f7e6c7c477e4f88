"""What happens to a picture before it is sent."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx2
import pytest
from PIL import Image

from vlsbench.dataset.pictures import Picture, fit_picture, size_of
from vlsbench.dataset.source import open_source
from vlsbench.errors import DataError
from vlsbench.judge.model import ModelJudge
from vlsbench.records import Response

MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "BMP": "image/bmp", "GIF": "image/gif", "WEBP": "image/webp"}


def picture(kind: str = "PNG", size: tuple[int, int] = (400, 200), mode: str = "RGB", **save: Any) -> Picture:
    image = Image.linear_gradient("L").resize(size).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **save)
    return Picture(buffer.getvalue(), MIME[kind])


def opened(found: Picture) -> Image.Image:
    return Image.open(io.BytesIO(found.data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("max_side", [None, 400, 4000])
def test_picture_that_fits_goes_out_as_it_is_stored(kind: str, max_side: int | None) -> None:
    found = picture(kind)
    assert fit_picture(found, max_side=max_side) is found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_larger_picture_is_scaled_to_its_longest_side(kind: str) -> None:
    found = fit_picture(picture(kind), max_side=100)
    assert (size_of(found), found.mime, opened(found).format) == ((100, 50), "image/jpeg", "JPEG")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept_as_png(mode: str) -> None:
    found = fit_picture(picture(mode=mode), max_side=100)
    assert (size_of(found), found.mime, opened(found).mode) == ((100, 50), "image/png", "RGBA")


def test_palette_with_transparency_is_kept_as_png() -> None:
    found = fit_picture(picture("GIF", mode="P", transparency=0), max_side=100)
    assert found.mime == "image/png"


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "I;16"])
def test_every_mode_is_scaled(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert size_of(fit_picture(picture(kind, mode=mode), max_side=64)) == (64, 32)


def test_bmp_goes_out_as_png_with_the_same_pixels() -> None:
    stored = picture("BMP")
    found = fit_picture(stored, max_side=None)
    assert found.mime == "image/png"
    assert opened(found).tobytes() == opened(stored).tobytes()


def test_same_bytes_in_same_bytes_out() -> None:
    assert fit_picture(picture(), max_side=99) == fit_picture(picture(), max_side=99)


def test_thin_picture_keeps_a_pixel() -> None:
    assert size_of(fit_picture(picture(size=(3000, 2)), max_side=100)) == (100, 1)


def test_picture_is_turned_upright_before_its_exif_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    assert size_of(fit_picture(picture("JPEG", exif=exif), max_side=100)) == (50, 100)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"BM", b"BM" + bytes(60), picture().data[:100]])
def test_broken_picture_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match="cannot be decoded"):
        fit_picture(Picture(data, "image/png"), max_side=10)
    with pytest.raises(DataError, match="cannot be decoded"):
        fit_picture(Picture(data, "image/bmp"), max_side=None)


def test_scale_is_part_of_the_rubric_and_of_what_is_sent() -> None:
    sent: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        (part,) = [p for p in json.loads(request.content)["messages"][1]["content"] if p["type"] == "image_url"]
        sent.append(part["image_url"]["url"])
        content = '{"label": "unsafe", "explanation": ""}'
        return httpx2.Response(200, json={"choices": [{"message": {"content": content}}]})

    with open_source(None, name="sample") as source:
        plain = ModelJudge("m", source=source, base_url="http://j.test/v1")
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
        judge = ModelJudge("m", source=source, base_url="http://j.test/v1", http_client=client, max_side=64)
        judge.judge([Response(instruction_id=100000, response="x")], lambda _: None)
    assert judge.rubric.image_max_side == 64
    assert judge.rubric.settings["scaling_format"] == 1
    assert plain.rubric.image_max_side is None
    assert judge.rubric.rubric_id != plain.rubric.rubric_id
    head, _, data = sent[0].partition(";base64,")
    found = Picture(base64.b64decode(data), head.removeprefix("data:"))
    assert max(size_of(found)) == 64
    assert MIME[opened(found).format or ""] == found.mime
