"""Make a folder in the official layout with stand-in images: `data.json` and `imgs/` (or `imgs.tar`).

    python benchmarks/make_release_folder.py DATA_JSON OUT [--tar] [--limit N] [--side PIXELS] [--noise]

The release's images are not in this project. Each stand-in is a small picture with its number; every 50th is
a JPEG under its .png name, as they occur in the wild. With `--noise --side 640` an image has about 1.2 MB,
the release's mean, so that memory and time of a build can be measured. The same call makes the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

JPEG_EVERY = 50


def picture(number: int, *, side: int, noise: bool) -> bytes:
    """Draw the stand-in of an image."""
    colour = (number * 37 % 256, number * 73 % 256, number * 151 % 256)
    if noise:
        image = Image.frombytes("RGB", (side, side), random.Random(number).randbytes(side * side * 3))
    else:
        image = Image.new("RGB", (side, side), colour)
    ink = (255, 255, 255) if sum(colour) < 384 else (0, 0, 0)
    ImageDraw.Draw(image).text((4, side // 2 - 6), str(number), fill=ink)
    out = io.BytesIO()
    image.save(out, "JPEG" if number % JPEG_EVERY == JPEG_EVERY - 1 else "PNG")
    return out.getvalue()


def make_release_folder(
    records: list[dict[str, Any]], out: Path, *, tar: bool = False, side: int = 64, noise: bool = False
) -> int:
    """Write `records` and an image for each path they name.

    Returns:
        Number of images.
    """
    out.mkdir(parents=True)
    (out / "data.json").write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")
    paths = list(dict.fromkeys(record["image_path"] for record in records))
    if tar:
        with tarfile.open(out / "imgs.tar", "w") as archive:
            for path in paths:
                data = picture(int(Path(path).stem), side=side, noise=noise)
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    else:
        (out / "imgs").mkdir()
        for path in paths:
            (out / path).write_bytes(picture(int(Path(path).stem), side=side, noise=noise))
    return len(paths)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_json", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tar", action="store_true", help="write imgs.tar instead of imgs/")
    parser.add_argument("--limit", type=int, help="first N records only")
    parser.add_argument("--side", type=int, default=64, help="width and height, pixels")
    parser.add_argument("--noise", action="store_true", help="fill with noise, which does not compress")
    call = parser.parse_args()
    if call.out.exists():
        parser.error(f"{call.out} exists")
    records = json.loads(call.data_json.read_bytes())[: call.limit]
    n_images = make_release_folder(records, call.out, tar=call.tar, side=call.side, noise=call.noise)
    print(f"{call.out}: {len(records)} records, {n_images} images", file=sys.stderr)


if __name__ == "__main__":
    main()
