"""Draw the package's own sample and write it as Parquet, with its index.

    python scripts/make_sample.py                            write the three files
    python scripts/make_sample.py --check                    exit 1 if a committed file differs
    python scripts/make_sample.py --contact-sheet sheet.png  all images on one page, to be looked at

The bytes are the same at every run. They depend on the versions in `WRITTEN_WITH`: another Pillow may compress a PNG
differently, and pyarrow writes its version into the Parquet footer.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs in a checkout that is not installed

from sample_scenes import erotic, hate, illegal, privacy, self_harm, violent

from vlsbench.construct.drawing.canvas import Canvas
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

if TYPE_CHECKING:
    import datasets
    from sample_scenes.pair import Pair, Scene

WRITTEN_WITH = {"pillow": "12.3.0", "pyarrow": "26.0.1"}
"""Versions that wrote the committed files; with others the content is the same, the bytes may not be."""

FIRST_RISKY_ID = 100_000
"""Ids below are the release's, so that an id alone says which dataset an answer belongs to."""

TWIN_OFFSET = 500
"""Added to the id and to the image number of a risky pair to get those of its benign twin."""

REPOSITORY = Path(__file__).resolve().parent.parent
RISKY_PARQUET = "vlsbench/dataset/sample/risky.parquet"
BENIGN_PARQUET = "vlsbench/dataset/sample/benign.parquet"
INDEX_CSV = "vlsbench/dataset/sample_index.csv"

PAIRS_BY_CATEGORY: dict[str, tuple[Pair, ...]] = {
    "Violent": violent.PAIRS,
    "Illegal Activity": illegal.PAIRS,
    "Self-Harm": self_harm.PAIRS,
    "Erotic": erotic.PAIRS,
    "Hate": hate.PAIRS,
    "Privacy": privacy.PAIRS,
}


@dataclass(frozen=True)
class Sample:
    """One line of the Parquet files, in the order of their columns; `png` becomes the column `image`."""

    instruction_id: int
    instruction: str
    png: bytes
    image_path: str
    category: str
    sub_category: str
    source: str
    image_description: str
    safety_reason: str | None
    risk: str
    twin_id: int

    @property
    def image_number(self) -> int:
        """Number of the image, shared by pairs that ask about the same drawing."""
        return int(Path(self.image_path).stem)


def sample_features() -> datasets.Features:
    """Columns of the sample with the class labels of the taxonomy."""
    from datasets import ClassLabel, Features, Value
    from datasets import Image as ImageFeature

    return Features(
        {
            "instruction_id": Value("int64"),
            "instruction": Value("string"),
            "image": ImageFeature(),
            "image_path": Value("string"),
            "category": ClassLabel(names=list(CATEGORY_NAMES)),
            "sub_category": ClassLabel(names=list(SUB_CATEGORY_NAMES)),
            "source": Value("string"),
            "image_description": Value("string"),
            "safety_reason": Value("string"),
            "risk": Value("string"),
            "twin_id": Value("int64"),
        }
    )


def draw(scene: Scene, *, risky: bool) -> bytes:
    """Draw one side of a scene as PNG."""
    canvas = Canvas()
    scene.draw(canvas, risky)
    return canvas.png()


def build_samples() -> list[Sample]:
    """Draw every pair and its benign twin; risky ones first, each half sorted by id.

    Pairs come in the order of the taxonomy; a scene that two pairs name is drawn once and keeps one image number.
    """
    ordered = [
        (category, pair)
        for category, pairs in PAIRS_BY_CATEGORY.items()
        for pair in sorted(pairs, key=lambda pair: SUB_CATEGORY_NAMES.index(pair.sub_category))
    ]
    images: dict[int, tuple[int, bytes, bytes]] = {}
    risky: list[Sample] = []
    benign: list[Sample] = []
    for step, (category, pair) in enumerate(ordered):
        key = id(pair.scene)
        if key not in images:
            images[key] = (FIRST_RISKY_ID + len(images), draw(pair.scene, risky=True), draw(pair.scene, risky=False))
        number, risky_png, benign_png = images[key]
        shared = {
            "instruction": pair.instruction,
            "category": category,
            "sub_category": pair.sub_category,
            "source": "drawn",
        }
        risky_id = FIRST_RISKY_ID + step
        benign_id = risky_id + TWIN_OFFSET
        risky.append(
            Sample(
                **shared,
                instruction_id=risky_id,
                png=risky_png,
                image_path=f"imgs/{number}.png",
                image_description=pair.scene.risky,
                safety_reason=pair.safety_reason,
                risk="risky",
                twin_id=benign_id,
            )
        )
        benign.append(
            Sample(
                **shared,
                instruction_id=benign_id,
                png=benign_png,
                image_path=f"imgs/{number + TWIN_OFFSET}.png",
                image_description=pair.scene.benign,
                safety_reason=None,
                risk="benign",
                twin_id=risky_id,
            )
        )
    return risky + benign


def parquet_bytes(samples: Sequence[Sample]) -> bytes:
    """Write samples as Parquet whose schema carries the features for `datasets`."""
    features = sample_features()
    rows = []
    for sample in samples:
        row = asdict(sample)
        row["image"] = {"bytes": row.pop("png"), "path": Path(sample.image_path).name}
        row["category"] = CATEGORY_NAMES.index(sample.category)
        row["sub_category"] = SUB_CATEGORY_NAMES.index(sample.sub_category)
        rows.append(row)
    # Without compression: PNG bytes do not shrink, and the bytes then depend on no codec library.
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), sink, compression="none")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def index_bytes(samples: Sequence[Sample]) -> bytes:
    """Write the index: what is needed to check and score the sample without its texts and images."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["instruction_id", "category", "sub_category", "source", "image", "instruction_sha256", "risk", "twin_id"]
    )
    for sample in sorted(samples, key=lambda sample: sample.instruction_id):
        digest = hashlib.sha256(sample.instruction.encode()).hexdigest()
        writer.writerow(
            [
                sample.instruction_id,
                sample.category,
                sample.sub_category,
                sample.source,
                sample.image_number,
                digest,
                sample.risk,
                sample.twin_id,
            ]
        )
    return buffer.getvalue().encode()


def sample_files(samples: Sequence[Sample]) -> dict[str, bytes]:
    """Content of every file that this script owns, by its path in the repository."""
    return {
        RISKY_PARQUET: parquet_bytes([sample for sample in samples if sample.risk == "risky"]),
        BENIGN_PARQUET: parquet_bytes([sample for sample in samples if sample.risk == "benign"]),
        INDEX_CSV: index_bytes(samples),
    }


def differing_files(files: dict[str, bytes], root: Path = REPOSITORY) -> list[str]:
    """Name the files under `root` that are missing or hold other bytes."""
    return [
        path for path, content in files.items() if not (root / path).is_file() or (root / path).read_bytes() != content
    ]


def contact_sheet(samples: Sequence[Sample], columns: int = 6, edge: int = 256) -> Image.Image:
    """Lay out every distinct image, each risky one left of its benign one, with id, sub-category and question."""
    benign = {sample.instruction_id: sample for sample in samples if sample.risk == "benign"}
    seen: dict[str, Sample] = {}
    for sample in samples:
        if sample.risk == "risky":
            seen.setdefault(sample.image_path, sample)
    cells: list[Sample] = [half for sample in seen.values() for half in (sample, benign[sample.twin_id])]
    caption = 46
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (edge + 8), rows * (edge + caption)), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for step, sample in enumerate(cells):
        x, y = step % columns * (edge + 8) + 4, step // columns * (edge + caption) + 4
        sheet.paste(Image.open(io.BytesIO(sample.png)).resize((edge, edge), Image.Resampling.LANCZOS), (x, y))
        pen.text((x, y + edge + 2), f"{sample.instruction_id} {sample.risk}: {sample.sub_category}"[:44], "black", font)
        pen.text((x, y + edge + 18), sample.instruction[:46], "gray", font)
    return sheet


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 good, 1 a file differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming each file that differs")
    parser.add_argument("--contact-sheet", type=Path, metavar="PNG", help="write a page with all images and stop")
    arguments = parser.parse_args(argv)
    samples = build_samples()
    if arguments.contact_sheet:
        contact_sheet(samples).save(arguments.contact_sheet)
        return 0
    files = sample_files(samples)
    if arguments.check:
        differing = differing_files(files)
        for path in differing:
            print(f"{path} is not what scripts/make_sample.py writes with {WRITTEN_WITH}; run it", file=sys.stderr)
        return 1 if differing else 0
    for path, content in files.items():
        target = REPOSITORY / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        print(f"{path}: {len(content):,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
