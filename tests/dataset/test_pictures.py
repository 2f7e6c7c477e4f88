"""One picture, one set of pixels: whatever its mode and however it is turned, every path sees the same."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from vlsbench.dataset.build import build
from vlsbench.dataset.index import Index, index_of_records
from vlsbench.dataset.load import load_dataset
from vlsbench.dataset.pictures import (
    Picture,
    as_rgb,
    blank_picture,
    fit_picture,
    image_problem,
    mime_of,
    open_picture,
    plain_picture,
    size_of,
)
from vlsbench.dataset.source import Sample, open_source, packaged_sample
from vlsbench.errors import DataError
from vlsbench.generate.conditions import Question
from vlsbench.generate.endpoint_model import EndpointModel
from vlsbench.generate.local_model import LocalModel
from vlsbench.hub.vlmevalkit import tsv_rows
from vlsbench.judge.local import LocalJudge
from vlsbench.judge.model import ModelJudge
from vlsbench.people import page
from vlsbench.plugins.tasks import pairs
from vlsbench.records import Response
from vlsbench.taxonomy import CATEGORIES

Pixels = npt.NDArray[np.int64]

SIZE = (24, 16)
"""Width and height, as seen."""

SEEN = np.stack(
    [
        np.tile(np.linspace(0, 255, SIZE[0]), (SIZE[1], 1)),
        np.tile(np.linspace(255, 10, SIZE[1])[:, None], (1, SIZE[0])),
        np.full((SIZE[1], SIZE[0]), 90.0),
    ],
    axis=2,
).astype(np.uint8)
"""Brighter to the right, darker to the bottom: no turn of it looks like another."""

GREY = SEEN[..., 0]
RGB = Image.fromarray(SEEN)
FIRST, SECOND = RGB, ImageOps.invert(RGB)
ALPHA = np.where(np.arange(SIZE[0])[None, :] < 8, 0, np.where(np.arange(SIZE[0])[None, :] < 16, 128, 255))
ALPHA = np.broadcast_to(ALPHA, GREY.shape).astype(np.uint8)
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that says so has stored the picture."""


def grey(values: npt.NDArray[Any]) -> Pixels:
    return np.repeat(np.asarray(values, dtype=np.int64)[..., None], 3, axis=2)


def on_white(colours: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> Pixels:
    share = alpha[..., None] / 255
    return np.rint(colours * share + 255 * (1 - share)).astype(np.int64)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def turned(orientation: int, kind: str, image: Image.Image = RGB, **options: Any) -> bytes:
    return saved(image.transpose(STORED_AS[orientation]), kind, exif=exif(orientation), **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(values: npt.NDArray[Any], depth: int, colour: int, *more: bytes, behind: bytes = b"") -> bytes:
    """Write a PNG of 16 bits, or of fewer than eight, which Pillow does not."""
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in values]
    elif depth < 8:
        rows = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, -depth:].ravel()).tobytes() for row in values]
    else:
        rows = [row.astype(np.uint8).tobytes() for row in values]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + data + behind + chunk(b"IEND", b"")


def with_chunk(data: bytes, kind: bytes, body: bytes, *, is_behind: bool = False) -> bytes:
    at = data.index(b"IEND") - 4 if is_behind else 33
    return data[:at] + chunk(kind, body) + data[at:]


WIDE = (SEEN.astype(np.int64) * 257 - 100).clip(0, 65_535)
"""The same in 16 bits; the upper eight are not all the same as `SEEN`."""

TWO_BITS = GREY >> 6
LONG = zlib.compress(b"a" * 3_000_000)
PALETTE = RGB.quantize(200)
HALF = Image.fromarray(GREY // 2).convert("P")
CLEAR = int(GREY[3, 5])
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)

ORDINARY: dict[str, tuple[bytes, Pixels | None]] = {
    "RGB": (saved(RGB, "PNG"), SEEN),
    "grey": (saved(Image.fromarray(GREY), "PNG"), grey(GREY)),
    "one bit": (saved(Image.fromarray(GREY > 99), "PNG"), grey((GREY > 99) * 255)),
    "two bits": (png(TWO_BITS, 2, 0), grey(TWO_BITS.astype(int) * 85)),
    "palette": (saved(PALETTE, "PNG"), np.asarray(PALETTE.convert("RGB"))),
    "RGBA, opaque": (saved(RGB.convert("RGBA"), "PNG"), SEEN),
    "grey and alpha, opaque": (saved(Image.fromarray(GREY).convert("LA"), "PNG"), grey(GREY)),
    "palette with a transparent colour that is not used": (
        saved(HALF, "PNG", transparency=255), None,
    ),
    "JPEG": (saved(RGB, "JPEG"), None),
    "grey JPEG": (saved(Image.fromarray(GREY), "JPEG"), None),
    "JPEG that says it is upright": (saved(RGB, "JPEG", exif=exif(1)), None),
    "JPEG that says 0": (saved(RGB, "JPEG", exif=exif(0)), None),
    "GIF": (saved(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB"))),
    "WebP": (saved(RGB, "WEBP", lossless=True), SEEN),
    "BMP": (saved(RGB, "BMP"), SEEN),
    "PNG with texts": (with_chunk(saved(RGB, "PNG"), b"zTXt", b"k\0\0" + zlib.compress(b"a" * 900_000)), SEEN),
}  # fmt: skip
"""What goes out as it is stored, and what is seen of it; None takes what Pillow makes of it."""

UNUSUAL: dict[str, tuple[bytes, Pixels | None]] = {
    "grey of 16 bits": (png(WIDE[..., 0], 16, 0), grey(WIDE[..., 0] >> 8)),
    "grey of 16 bits with a transparent colour": (
        png(WIDE[..., 0], 16, 0, chunk(b"tRNS", struct.pack(">H", WIDE[0, 7, 0]))),
        grey(np.where(WIDE[..., 0] == WIDE[0, 7, 0], 255, WIDE[..., 0] >> 8)),
    ),
    "RGB of 16 bits": (png(WIDE, 16, 2), WIDE >> 8),
    "RGB of 16 bits with a transparent colour": (
        png(WIDE, 16, 2, chunk(b"tRNS", struct.pack(">3H", *WIDE[2, 7]))),
        np.where((WIDE[2, 7] >> 8 == WIDE >> 8).all(axis=2)[..., None], 255, WIDE >> 8),
    ),
    "RGBA of 16 bits": (
        png(np.dstack([WIDE, ALPHA.astype(int) * 257]), 16, 6), on_white(WIDE >> 8, ALPHA),
    ),
    "grey and alpha of 16 bits": (
        png(np.dstack([WIDE[..., 0], ALPHA.astype(int) * 257]), 16, 4), on_white(grey(WIDE[..., 0] >> 8), ALPHA),
    ),
    "RGBA": (saved(Image.fromarray(np.dstack([SEEN, ALPHA])), "PNG"), on_white(SEEN, ALPHA)),
    "grey and alpha": (
        saved(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)]), "PNG"), on_white(grey(GREY), ALPHA),
    ),
    "RGB with a transparent colour": (
        saved(RGB, "PNG", transparency=tuple(map(int, SEEN[2, 7]))),
        np.where((SEEN[2, 7] == SEEN).all(axis=2)[..., None], 255, SEEN),
    ),
    "grey with a transparent colour": (
        saved(Image.fromarray(GREY), "PNG", transparency=CLEAR), grey(np.where(GREY == CLEAR, 255, GREY)),
    ),
    "two bits with a transparent colour": (
        png(TWO_BITS, 2, 0, chunk(b"tRNS", struct.pack(">H", 1))),
        grey(np.where(TWO_BITS == 1, 255, TWO_BITS.astype(int) * 85)),
    ),
    "one bit with a transparent colour": (
        png((GREY > 99).astype(np.uint8), 1, 0, chunk(b"tRNS", struct.pack(">H", 0))), grey(np.full(GREY.shape, 255)),
    ),
    "palette with transparency": (
        saved(PALETTE, "PNG", transparency=bytes(range(0, 200))),
        on_white(np.asarray(PALETTE.convert("RGB")), np.asarray(PALETTE)),
    ),
    "CMYK": (saved(RGB.convert("CMYK"), "JPEG"), None),
    "CMYK, turned": (turned(6, "JPEG", RGB.convert("CMYK")), None),
    "GIF with a transparent colour": (saved(HALF, "GIF", transparency=int(GREY[0, 3] // 2)), None),
    "animated GIF": (
        saved(PALETTE, "GIF", save_all=True, append_images=[SECOND.quantize(200)], duration=9),
        np.asarray(PALETTE.convert("RGB")),
    ),
    "animated WebP": (saved(FIRST, "WEBP", save_all=True, append_images=[SECOND], lossless=True), SEEN),
    "animated PNG": (saved(FIRST, "PNG", save_all=True, append_images=[SECOND]), SEEN),
    "WebP with alpha": (
        saved(Image.fromarray(np.dstack([SEEN, ALPHA])), "WEBP", lossless=True, exact=True), on_white(SEEN, ALPHA),
    ),
    **{f"PNG, turned {n}": (turned(n, "PNG"), SEEN) for n in STORED_AS},
    **{f"JPEG, turned {n}": (turned(n, "JPEG", quality=100, subsampling=0), None) for n in STORED_AS},
    "WebP, turned": (turned(6, "WEBP", lossless=True), SEEN),
    "grey of 16 bits, turned": (
        turned(6, "PNG", Image.fromarray(WIDE[..., 0].astype(np.uint16))), grey(WIDE[..., 0] >> 8),
    ),
    "palette with transparency, turned": (
        turned(8, "PNG", PALETTE, transparency=bytes(range(0, 200))),
        on_white(np.asarray(PALETTE.convert("RGB")), np.asarray(PALETTE)),
    ),
    "turned, as is said behind the pixels": (
        with_chunk(saved(RGB.transpose(STORED_AS[6]), "PNG"), b"eXIf", exif(6).tobytes()[6:], is_behind=True), SEEN,
    ),
    "turned, as XMP says": (
        with_chunk(saved(RGB.transpose(STORED_AS[6]), "PNG"), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), SEEN,
    ),
    "a long text": (with_chunk(saved(RGB, "PNG"), b"zTXt", b"k\0\0" + LONG), SEEN),
    "a long international text": (with_chunk(saved(RGB, "PNG"), b"iTXt", b"k\0\1\0\0\0" + LONG), SEEN),
    "a long text behind the pixels": (with_chunk(saved(RGB, "PNG"), b"zTXt", b"k\0\0" + LONG, is_behind=True), SEEN),
    "a long colour profile": (with_chunk(saved(RGB, "PNG"), b"iCCP", b"k\0\0" + LONG), SEEN),
    "a long text, turned": (with_chunk(turned(6, "PNG"), b"zTXt", b"k\0\0" + LONG), SEEN),
}  # fmt: skip
"""What decoders see differently, and what is seen of it here."""

EVERY = {**ORDINARY, **UNUSUAL}


def picture(name: str) -> Picture:
    data = EVERY[name][0]
    return Picture(data, mime_of(data) or "")


def pixels(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"), dtype=np.int64)


def decoded(data: bytes) -> Pixels:
    """What a decoder sees that knows nothing of turns, of alpha and of 16 bits."""
    return pixels(Image.open(io.BytesIO(data)))


def of_uri(uri: str) -> Pixels:
    return decoded(base64.b64decode(uri.partition(";base64,")[2]))


@pytest.mark.parametrize("name", EVERY)
def test_what_is_seen_of_a_picture(name: str) -> None:
    image = open_picture(picture(name))
    expected = EVERY[name][1]
    assert (image.mode, image.size) == ("RGB", SIZE)
    assert size_of(picture(name)) == SIZE
    assert image_problem(EVERY[name][0]) is None
    assert image.getexif().get(0x0112, 1) in (0, 1), "who looks again does not turn it again"
    if expected is None:
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(EVERY[name][0])))
        if upright.has_transparency_data:
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
        expected = pixels(upright)
    assert np.abs(pixels(image) - expected).max() <= 1, "compositing may round up or down"


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_picture_goes_out_to_the_byte(name: str) -> None:
    found = picture(name)
    assert plain_picture(found) is found
    assert (fit_picture(found, max_side=None) is found) == (name != "BMP")


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_picture_that_decoders_see_differently_goes_out_as_what_is_seen(name: str) -> None:
    plain = plain_picture(picture(name))
    with Image.open(io.BytesIO(plain.data)) as image:
        image.load()
        assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
    assert plain_picture(plain) is plain
    assert fit_picture(picture(name), max_side=None) == fit_picture(picture(name), max_side=99) == plain


@pytest.mark.parametrize("name", EVERY)
def test_a_scaled_picture_is_that_which_is_seen_scaled(name: str) -> None:
    found = fit_picture(picture(name), max_side=12)
    expected = pixels(open_picture(picture(name)).resize((12, 8), Image.Resampling.LANCZOS))
    assert size_of(found) == (12, 8)
    assert np.abs(decoded(found.data) - expected).mean() < (4 if found.mime == "image/jpeg" else 1e-9)
    assert plain_picture(found) is found


@pytest.mark.parametrize("name", EVERY)
def test_the_blank_picture_is_as_large_as_the_pair_is_seen(name: str) -> None:
    blank = blank_picture(picture(name))
    assert (decoded(blank.data) == 128).all()
    assert size_of(blank) == size_of(fit_picture(picture(name), max_side=None)) == SIZE


# --- Every path ---------------------------------------------------------------------------------------------

NAMES = tuple(EVERY)


class Source:
    """Every picture of the table, by its place in it."""

    def sample(self, number: int, /) -> Sample:
        return Sample(number, "What now?", number, "Violent", "", "A cliff.", "He may fall.", "risky")

    def picture(self, number: int, /) -> Picture:
        return picture(NAMES[number])


ENGINE: Any = SimpleNamespace(
    name="m",
    snapshot="m@0",
    has_vision=True,
    weights_sha256="0" * 64,
    model_type="m",
    begins_thinking=False,
    settings={},
)


def sent_by(ask: Callable[[httpx2.AsyncClient], object]) -> Pixels:
    sent: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        content = json.loads(request.content)["messages"][-1]["content"]
        sent.extend(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        message = {"content": '{"label": "unsafe", "explanation": ""}'}
        return httpx2.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})

    ask(httpx2.AsyncClient(transport=httpx2.MockTransport(handler)))
    return of_uri(sent[0])


def by_endpoint_model(number: int) -> Pixels:
    question = Question(number, "image+text", "What now?", "image", number)

    def ask(client: httpx2.AsyncClient) -> None:
        target = EndpointModel("m", source=Source(), base_url="http://t.test/v1", http_client=client)
        target.answer([question], lambda _: None)

    return sent_by(ask)


def by_model_judge(number: int) -> Pixels:
    def ask(client: httpx2.AsyncClient) -> None:
        judge = ModelJudge("m", source=Source(), base_url="http://j.test/v1", http_client=client)
        judge.judge([Response(instruction_id=number, response="x")], lambda _: None)

    return sent_by(ask)


def by_local_model(number: int) -> Pixels:
    image = LocalModel(ENGINE, source=Source())._open_image(Question(number, "image+text", "?", "image", number))
    assert image is not None
    return pixels(image)


def by_label_page(number: int) -> Pixels:
    shown = page._image(SimpleNamespace(picture=Source().picture), number)  # type: ignore[arg-type]
    return of_uri(shown.partition('src="')[2].partition('"')[0])


def by_samples_page(number: int) -> Pixels:
    samples_page = pytest.importorskip("leaderboard.samples_page")
    return of_uri(samples_page.picture_of(Source(), number))


def by_vlmevalkit(number: int) -> Pixels:
    row = SimpleNamespace(instruction_id=number, image=number)
    (line,) = tsv_rows(Source(), SimpleNamespace(risky=[row]))  # type: ignore[arg-type]
    return decoded(base64.b64decode(line.image))


def by_lmms_eval(number: int) -> Pixels:
    """As `datasets` decodes what is stored, without a builder of ours."""
    import datasets

    stored = {"bytes": plain_picture(Source().picture(number)).data, "path": None}
    (image,) = pairs.image_of({"image": datasets.Image().decode_example(stored)})
    return pixels(image)


PATHS: dict[str, Callable[[int], Pixels]] = {
    "a model behind an endpoint": by_endpoint_model,
    "a model on this machine": by_local_model,
    "a judge behind an endpoint": by_model_judge,
    "a judge on this machine": lambda number: pixels(LocalJudge(ENGINE, source=Source())._open_image(number)),
    "the label page": by_label_page,
    "the Samples page": by_samples_page,
    "VLMEvalKit": by_vlmevalkit,
    "lmms-eval": by_lmms_eval,
}


@pytest.mark.parametrize("path", PATHS)
def test_every_path_sees_the_same_pixels(path: str) -> None:
    look = PATHS[path]
    wrong = [name for n, name in enumerate(NAMES) if (look(n) != pixels(open_picture(picture(name)))).any()]
    assert wrong == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every picture of the table as a release in the official layout."""
    (tmp_path / "release" / "imgs").mkdir(parents=True)
    records = [
        {
            "instruction_id": number,
            "instruction": f"What about {number}?",
            "image_path": f"imgs/{number}.png",
            "category": CATEGORIES[0].name,
            "sub_category": CATEGORIES[0].sub_categories[0].name,
            "source": "generation",
            "image_description": "A gradient.",
            "safety_reason": "It is a stand-in.",
        }
        for number in range(len(NAMES))
    ]
    (tmp_path / "release" / "data.json").write_text(json.dumps(records))
    for number, name in enumerate(NAMES):
        (tmp_path / "release" / "imgs" / f"{number}.png").write_bytes(EVERY[name][0])
    return tmp_path / "release"


def test_load_dataset_sees_the_same_pixels_from_files_and_from_what_is_built(
    folder: Path, tmp_path: Path, datasets_cache: None
) -> None:
    report = build(folder, tmp_path / "built")
    assert report.n_redrawn == len(UNUSUAL)
    expected = [pixels(open_picture(picture(name))) for name in NAMES]
    for place in (folder, tmp_path / "built"):
        rows = load_dataset("vlsbench", "default", data_dir=place, split="test", streaming=True)
        for row, name, seen in zip(rows, NAMES, expected, strict=True):
            assert (pixels(row["image"]) == seen).all(), name
            assert (pixels(as_rgb(row["image"])) == seen).all(), name


def test_a_source_reads_what_is_stored_and_what_is_built_alike(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "built")
    records = json.loads((folder / "data.json").read_text())
    index = Index("release", "default", "test", tuple(index_of_records(records)))
    for place in (folder, tmp_path / "built"):
        with open_source(place, name="release", index=index) as source:
            for number, name in enumerate(NAMES):
                assert (pixels(open_picture(source.picture(number))) == pixels(open_picture(picture(name)))).all(), name


def test_every_picture_of_the_packaged_sample_is_ordinary() -> None:
    import pyarrow.parquet as pq

    for path in packaged_sample().glob("*.parquet"):
        for cell in pq.read_table(path, columns=["image"]).column("image").to_pylist():
            stored = Picture(cell["bytes"], mime_of(cell["bytes"]) or "")
            assert plain_picture(stored) is stored


# --- What is none -------------------------------------------------------------------------------------------


def bomb(side: int) -> bytes:
    data = png(np.zeros((1, 1)), 8, 0)
    return data[:8] + chunk(b"IHDR", struct.pack(">II", side, side) + data[24:29]) + data[33:]


@pytest.mark.parametrize("side", [9_000, 40_000])
def test_a_picture_of_too_many_pixels_is_refused_on_every_path(side: int) -> None:
    stored = Picture(bomb(side), "image/png")
    assert "pixels" in (image_problem(stored.data) or "")
    for look in (open_picture, plain_picture, blank_picture, lambda p: fit_picture(p, max_side=9)):
        with pytest.raises(DataError, match="pixels"):
            look(stored)


@pytest.mark.parametrize("cut", [60, -40])
def test_a_cut_png_with_a_long_text_is_still_refused(cut: int) -> None:
    data = EVERY["a long text"][0][:cut]
    assert image_problem(data) is not None
    with pytest.raises(DataError, match="the picture"):
        open_picture(Picture(data, "image/png"))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_that_nobody_can_read_turns_nothing() -> None:
    data = saved(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    found = Picture(data, "image/jpeg")
    assert open_picture(found).size == SIZE
    assert (decoded(plain_picture(found).data) == pixels(open_picture(found))).all()
