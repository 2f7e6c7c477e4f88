"""Read a picture: the one place that opens them, so that a model, a judge, a page and `load_dataset` see the same.

What is seen of a picture is its first frame, upright as its EXIF data says, in 8-bit RGB, on white where it is
transparent (as people see it on a page, and as vLLM shows it to a model); of 16 bits the upper eight count, as Pillow
takes them of colours, and colour profiles are not applied. Decoders differ in every one of these, so a picture that
needs one of them is sent, built and loaded as a PNG of what is seen (`plain_picture`). All other pictures, nearly all,
go out as they are stored, to the byte.

No files, no network. The same bytes in give the same bytes out (under one version of Pillow). BMP, which OpenAI's
endpoint does not take, goes out as PNG: the same pixels, so it decides nothing and is in no rubric. Scaling does
decide: `image_max_side` is part of the rubric, and so is `SCALING_FORMAT`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from vlsbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image as _Image

    from vlsbench.dataset.source import Sample

__all__ = [
    "MAX_IMAGE_BYTES",
    "MAX_PIXELS",
    "SCALING_FORMAT",
    "Picture",
    "PictureSource",
    "as_rgb",
    "blank_picture",
    "fit_picture",
    "image_problem",
    "mime_of",
    "open_picture",
    "plain_picture",
    "read_image",
    "size_of",
]

MAX_IMAGE_BYTES: Final = 64 << 20
"""64 MiB, fifty times the release's mean of 1.25 MB (`imgs.tar` is 2.45 GB for 1,957 images)."""

MAX_PIXELS: Final = 64_000_000
"""Largest picture decoded, below Pillow's own warning at 89 million: a small file can unpack to gigabytes."""

SCALING_FORMAT: Final = 1
"""Version of how pictures are scaled: Lanczos, upright, then JPEG of quality 90, or PNG where there is transparency."""

_JPEG_QUALITY = 90
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
_TAKEN_AS_IT_IS = ("image/png", "image/jpeg", "image/webp", "image/gif")
_PLAIN_MODES = frozenset({"1", "L", "P", "RGB"})
"""What every decoder makes the same RGB of."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
"""Chunks of which Pillow refuses a picture where they are long: a megabyte of text may be unpacked from a kilobyte."""

_UNDECODABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)
_ORIENTATION = 0x0112
_CANNOT = "cannot be decoded"


class Picture(NamedTuple):
    """An image as it is stored, or as it is sent."""

    data: bytes
    mime: str
    """From the content: `image/png`, `image/jpeg`, `image/gif`, `image/webp` or `image/bmp`."""


class PictureSource(Protocol):
    """What is needed of `vlsbench.dataset.source.SampleSource`; `picture` is called from several threads."""

    def sample(self, instruction_id: int, /) -> Sample:
        """Return the texts of a sample, or raise DataError."""

    def picture(self, instruction_id: int, /) -> Picture:
        """Return the image of a sample as stored, or raise DataError."""


# --- Open ---------------------------------------------------------------------------------------------------


def mime_of(data: bytes) -> str | None:
    r"""Return the type of an image by its first bytes, or None where it is not one of the five read here.

    >>> mime_of(b"GIF89a\x01\x00")
    'image/gif'
    >>> mime_of(b"<html>") is None
    True
    """
    if data.startswith(_PNG_SIGNATURE):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"BM"):
        return "image/bmp"
    return None


def image_problem(data: bytes) -> str | None:
    """Decode an image and say what is wrong with it, or None where it is whole."""
    try:
        _open(data)
    except DataError as error:
        return str(error)
    return None


def open_picture(picture: Picture) -> _Image.Image:
    """Decode a picture: what is seen of it, in RGB.

    Raises:
        DataError: If it cannot be decoded.
    """
    return as_rgb(_opened(picture))


def as_rgb(image: _Image.Image) -> _Image.Image:
    """Make what is seen of an image that another reader decoded, as `datasets` does: upright, in RGB, on white.

    >>> from PIL import Image
    >>> as_rgb(Image.new("RGBA", (1, 1), (200, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    from PIL import Image

    upright = _upright(image)
    if upright.mode.startswith("I"):
        upright = _grey_of_16_bits(upright)
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    seen = upright.convert("RGBA")
    if _is_opaque(seen):
        return seen.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def size_of(picture: Picture) -> tuple[int, int]:
    """Return width and height in pixels as they are seen, from the head of the file where it says so.

    Raises:
        DataError: If there is none to read.
    """
    try:
        with _head(picture.data) as image:
            width, height = image.size
            is_turned = _may_be_turned(picture.data) and _orientation(image) in (5, 6, 7, 8)
    except _problems() as error:
        raise DataError(f"the picture {_undecodable(error)}") from None
    return (height, width) if is_turned else (width, height)


def _opened(picture: Picture) -> _Image.Image:
    try:
        return _open(picture.data)
    except DataError as error:
        why = str(error)
        what = why if why.startswith(_CANNOT) else f"{_CANNOT}: it {why}"
        raise DataError(f"the picture {what}") from None


def read_image(path: Path) -> bytes:
    """Read the file of an image, of a larger one than `MAX_IMAGE_BYTES` one byte more: enough for it to be refused.

    Raises:
        OSError: If it is not there or cannot be read.
    """
    with path.open("rb") as file:
        return file.read(MAX_IMAGE_BYTES + 1)


def _open(data: bytes) -> _Image.Image:
    """Decode the first frame of an image, as it is stored.

    Raises:
        DataError: If it is not whole, or larger than allowed; the message is the end of a sentence.
    """
    if not data:
        raise DataError("is empty")
    if len(data) > MAX_IMAGE_BYTES:
        raise DataError(f"has more than {MAX_IMAGE_BYTES >> 20} MiB")
    if mime_of(data) is None:
        raise DataError(f"is not a PNG, JPEG, GIF, WebP or BMP image (it begins with {data[:8]!r})")
    try:
        try:
            image = _decode(data)
        except ValueError:
            # Text and profiles of any length: nothing of them is seen.
            if (slim := _without_texts(data)) is None:
                raise
            image = _decode(slim)
    except _problems() as error:
        raise DataError(_undecodable(error)) from None
    if image.format == "PNG" and _PNG_END not in data:
        raise DataError("is truncated: its last chunk is missing")  # Pillow is content once it has all pixels
    return image


def _decode(data: bytes) -> _Image.Image:
    from PIL import Image

    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"has {width} x {height} pixels; the limit is {MAX_PIXELS // 1_000_000} million")
    image.load()
    if image.format == "PNG" and image.mode in ("L", "RGB"):
        _scale_transparent_colour(image, depth=data[24])
    return image


def _head(data: bytes) -> _Image.Image:
    """Open an image without decoding it."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except ValueError:
        if (slim := _without_texts(data)) is None:
            raise
        return Image.open(io.BytesIO(slim), formats=_FORMATS)


def _problems() -> tuple[type[Exception], ...]:
    from PIL import Image

    return (*_UNDECODABLE, Image.DecompressionBombError, Image.DecompressionBombWarning)


def _undecodable(error: Exception) -> str:
    if type(error).__name__.startswith("DecompressionBomb"):
        return f"has more pixels than the limit of {MAX_PIXELS // 1_000_000} million"
    reason = str(error)[:100]
    if not reason or "BytesIO" in reason:  # Pillow names the buffer where a user would look for a file
        reason = "not an image that can be identified"
    return f"{_CANNOT} ({reason}); it may be truncated"


def _upright(image: _Image.Image) -> _Image.Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    if turn is None:
        return image
    upright = image.transpose(turn)
    # Whoever looks again must not turn it again.
    upright.info = {name: value for name, value in upright.info.items() if "exif" not in name and "xmp" not in name}
    return upright


def _orientation(image: _Image.Image) -> int:
    """Return how an image is turned, 1 to 8; 1 where it does not say so, or nobody can read what it says."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except (*_UNDECODABLE, KeyError, TypeError):
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _grey_of_16_bits(image: _Image.Image) -> _Image.Image:
    """Take the upper eight bits. Pillow's own conversion takes all above 255 for white."""
    import numpy as np
    from PIL import Image

    grey = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
    seen = Image.fromarray((grey >> 8).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        seen.putalpha(Image.fromarray(np.where(grey == transparent, 0, 255).astype(np.uint8)))
    return seen


def _scale_transparent_colour(image: _Image.Image, *, depth: int) -> None:
    """Bring the one transparent colour of a PNG to eight bits, as its pixels are: Pillow leaves it as it is stored."""
    colour = image.info.get("transparency")

    def scaled(value: int) -> int:
        return value >> 8 if depth == 16 else value * 255 // (2**depth - 1)

    if depth != 8 and isinstance(colour, int):
        image.info["transparency"] = scaled(colour)
    elif depth != 8 and isinstance(colour, tuple):
        image.info["transparency"] = tuple(map(scaled, colour))


def _is_opaque(rgba: _Image.Image) -> bool:
    return bool(rgba.getchannel("A").getextrema()[0] == 255)


# --- Chunks of a PNG ----------------------------------------------------------------------------------------


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    """Of the whole chunk, with its length."""
    end: int


def _png_chunks(data: bytes) -> Iterator[_Chunk]:
    at = len(_PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        yield _Chunk(kind, at, min(at + 12 + length, len(data)))
        if kind == b"IEND":
            return
        at += 12 + length


def _without_texts(data: bytes) -> bytes | None:
    """Leave the texts and the colour profile of a PNG out; None where it is no PNG or has none."""
    if not data.startswith(_PNG_SIGNATURE):
        return None
    parts, at, has_texts = [], 0, False
    for chunk in _png_chunks(data):
        # XMP may say how the picture is turned; where it is short it is no reason to refuse the picture.
        if chunk.kind in _PNG_TEXTS and not (chunk.end - chunk.start < 65_536 and b"xmp" in data[chunk.start :][:40]):
            parts.append(data[at : chunk.start])
            at, has_texts = chunk.end, True
    parts.append(data[at:])
    return b"".join(parts) if has_texts else None


def _may_be_turned(data: bytes) -> bool:
    """Whether an image may say how it is turned. Of a PNG this is behind its pixels, and takes decoding them."""
    if not data.startswith(_PNG_SIGNATURE):
        return True
    kinds = {chunk.kind for chunk in _png_chunks(data)}
    return not kinds.isdisjoint({b"eXIf", *_PNG_TEXTS})


# --- Send ---------------------------------------------------------------------------------------------------


def plain_picture(picture: Picture) -> Picture:
    """Return the picture itself where every decoder sees the same of it, else a PNG of what is seen.

    What has no head that can be read is returned too: whoever decodes it says what is wrong, and a source has done so.

    Raises:
        DataError: If its head can be read, and it cannot be decoded.
    """
    try:
        if _is_plain(picture):
            return picture
    except _problems() as error:
        if type(error).__name__.startswith("DecompressionBomb"):
            raise DataError(f"the picture {_undecodable(error)}") from None
        return picture
    seen = open_picture(picture)
    seen.info = {}  # neither a profile of other colours nor a comment
    return _encode(seen, "PNG")


def _is_plain(picture: Picture) -> bool:
    """Look at the head of a picture, and at its pixels only where it has an alpha channel or texts."""
    data = picture.data
    is_png = data.startswith(_PNG_SIGNATURE)
    needs_pixels = False
    if is_png and len(data) > 25:
        if data[24] == 16:
            return False
        kinds = {chunk.kind for chunk in _png_chunks(data)}
        if b"acTL" in kinds:
            return False
        needs_pixels = not kinds.isdisjoint({b"eXIf", *_PNG_TEXTS})
    if needs_pixels:
        try:
            image = _decode(data)
        except ValueError:
            return False  # its texts are too long for others to open it
    else:
        from PIL import Image

        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        return False
    if getattr(image, "is_animated", False) and image.format in ("PNG", "GIF", "WEBP"):
        return False
    if (needs_pixels or not is_png) and _is_turned(image):
        return False
    if image.has_transparency_data:
        return _is_opaque(_opened(picture).convert("RGBA"))
    return image.mode in _PLAIN_MODES


def _is_turned(image: _Image.Image) -> bool:
    """Whether an image is not upright, or another reader may stumble over what it says of that."""
    try:
        return bool(image.getexif().get(_ORIENTATION, 1) in range(2, 9))
    except (*_UNDECODABLE, KeyError, TypeError):
        return True


def fit_picture(picture: Picture, *, max_side: int | None) -> Picture:
    """Return what to send of a picture: plain, in a format that endpoints take, and not larger than wanted.

    Args:
        max_side: Longest side, pixels; None leaves the size as it is.

    Raises:
        DataError: If it cannot be decoded.
    """
    plain = plain_picture(picture)
    if max_side is None or max(size_of(plain)) <= max_side:
        return plain if plain.mime in _TAKEN_AS_IT_IS else _encode(_opened(plain), "PNG")
    from PIL import Image

    stored = _opened(picture)
    image = as_rgb(stored)
    scale = max_side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    scaled = image.resize(size, Image.Resampling.LANCZOS)
    if stored.has_transparency_data:
        return _encode(scaled.convert("RGBA"), "PNG")
    return _encode(scaled, "JPEG")


def blank_picture(picture: Picture) -> Picture:
    """Return a picture of the same size and mode without content: mid-grey everywhere, opaque, as PNG.

    Grey, because black or white may be read as night, fog or paper. Modes without grey of their own (palette, CMYK)
    become RGB; the size is the one that is seen.

    Raises:
        DataError: If it cannot be decoded.
    """
    from PIL import Image

    greys: dict[str, int | tuple[int, ...]] = {
        "L": 128,
        "LA": (128, 255),
        "RGB": (128, 128, 128),
        "RGBA": (128, 128, 128, 255),
    }
    upright = _upright(_opened(picture))
    mode = upright.mode if upright.mode in greys else "RGB"
    return _encode(Image.new(mode, upright.size, greys[mode]), "PNG")


def _encode(image: _Image.Image, kind: str) -> Picture:
    buffer = io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return Picture(buffer.getvalue(), "image/jpeg")
    image.save(buffer, "PNG")
    return Picture(buffer.getvalue(), "image/png")
