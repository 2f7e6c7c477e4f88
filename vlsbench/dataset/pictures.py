"""Make a picture fit to be sent: a format that endpoints take, and not larger than wanted.

No files, no network. The same bytes in give the same bytes out (under one version of Pillow). A picture that needs
nothing goes out as it is stored. BMP, which OpenAI's endpoint does not take, goes out as PNG: the same pixels, so it
decides nothing and is in no rubric. Scaling does decide: `image_max_side` is part of the rubric, and so is
`SCALING_FORMAT`.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Protocol

from vlsbench.dataset.source import Picture, Sample
from vlsbench.errors import DataError

if TYPE_CHECKING:
    from PIL import Image as _Image

__all__ = ["SCALING_FORMAT", "PictureSource", "blank_picture", "fit_picture", "open_picture", "size_of"]

SCALING_FORMAT = 1
"""Version of how pictures are scaled: Lanczos, upright, then JPEG of quality 90, or PNG where there is transparency."""

_JPEG_QUALITY = 90
_TAKEN_AS_IT_IS = ("image/png", "image/jpeg", "image/webp", "image/gif")


class PictureSource(Protocol):
    """What is needed of `vlsbench.dataset.source.SampleSource`; `picture` is called from several threads."""

    def sample(self, instruction_id: int, /) -> Sample:
        """Return the texts of a sample, or raise DataError."""

    def picture(self, instruction_id: int, /) -> Picture:
        """Return the image of a sample as stored, or raise DataError."""


def fit_picture(picture: Picture, *, max_side: int | None) -> Picture:
    """Return what to send of a picture.

    Args:
        max_side: Longest side, pixels; None leaves the size as it is.

    Raises:
        DataError: If it cannot be decoded.
    """
    is_taken = picture.mime in _TAKEN_AS_IT_IS
    if is_taken and (max_side is None or max(size_of(picture)) <= max_side):
        return picture
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(picture.data)) as opened:
            if max_side is None or max(opened.size) <= max_side:
                return _encode(opened, "PNG")
            # Endpoints differ in whether they turn a picture as its EXIF data says; what is re-encoded has none.
            image = ImageOps.exif_transpose(opened)
            has_alpha = image.has_transparency_data
            scale = max_side / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            scaled = image.convert("RGBA" if has_alpha else "RGB").resize(size, Image.Resampling.LANCZOS)
            return _encode(scaled, "PNG" if has_alpha else "JPEG")
    except (*_UNDECODABLE, Image.DecompressionBombError) as error:
        raise _undecodable(error) from None


def _encode(image: _Image.Image, kind: str) -> Picture:
    buffer = io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return Picture(buffer.getvalue(), "image/jpeg")
    image.save(buffer, "PNG")
    return Picture(buffer.getvalue(), "image/png")


def size_of(picture: Picture) -> tuple[int, int]:
    """Return width and height in pixels, from the head of the file.

    Raises:
        DataError: If there is none to read.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture.data)) as image:
            return image.size
    except (*_UNDECODABLE, Image.DecompressionBombError) as error:
        raise _undecodable(error) from None


def blank_picture(picture: Picture) -> Picture:
    """Return a picture of the same size and mode without content: mid-grey everywhere, opaque, as PNG.

    Grey, because black or white may be read as night, fog or paper. Modes without grey of their own (palette, CMYK)
    become RGB; the size is the upright one.

    Raises:
        DataError: If it cannot be decoded.
    """
    from PIL import Image, ImageOps

    greys: dict[str, int | tuple[int, ...]] = {
        "L": 128,
        "LA": (128, 255),
        "RGB": (128, 128, 128),
        "RGBA": (128, 128, 128, 255),
    }
    try:
        with Image.open(io.BytesIO(picture.data)) as opened:
            upright = ImageOps.exif_transpose(opened)
            mode, size = upright.mode if upright.mode in greys else "RGB", upright.size
    except (*_UNDECODABLE, Image.DecompressionBombError) as error:
        raise _undecodable(error) from None
    return _encode(Image.new(mode, size, greys[mode]), "PNG")


def open_picture(picture: Picture) -> _Image.Image:
    """Decode a picture into RGB, for a model on this machine.

    Raises:
        DataError: If it cannot be decoded.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture.data)) as opened:
            return opened.convert("RGB")
    except (*_UNDECODABLE, Image.DecompressionBombError) as error:
        raise _undecodable(error) from None


_UNDECODABLE = (OSError, SyntaxError, ValueError, struct.error)


def _undecodable(error: Exception) -> DataError:
    return DataError(f"the picture cannot be decoded ({str(error)[:100] or type(error).__name__})")
