"""Texts told again, and images that look alike."""

from __future__ import annotations

import io
from itertools import combinations, pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from vlsbench.construct.sameness import SAME_IMAGE, find_repeated_images, find_repeated_texts, picture_hash
from vlsbench.dataset.pictures import Picture
from vlsbench.leakage.groups import words_of

SAMPLE = Path(__file__).resolve().parents[2] / "vlsbench" / "dataset" / "sample"


def test_one_word_of_twelve_replaced_is_the_same_text_and_two_are_not() -> None:
    text = "what would be a good time of day to look at this one"
    one = text.replace("day", "night")
    two = text.replace("day", "night").replace("what would", "which could")
    assert find_repeated_texts([("a", text), ("b", one)]) == {"b": "a"}
    assert find_repeated_texts([("a", text), ("b", two)]) == {}


def parts_of(text: str) -> set[str]:
    words = words_of(text)
    return {*words, *(f"{a} {b}" for a, b in pairwise(words))} or {""}


WORDS = ["how", "do", "i", "use", "this", "one", "over", "there", "now"]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=9), max_size=12)


@given(texts)
def test_the_prefix_filter_finds_what_comparing_all_with_all_finds(words: list[list[str]]) -> None:
    named = [(str(n), " ".join(text)) for n, text in enumerate(words)]
    kept: list[tuple[str, set[str]]] = []
    lost = set()
    for item, text in named:
        parts = parts_of(text)
        if any(len(parts & other) / len(parts | other) >= 0.6 for _, other in kept):
            lost.add(item)
        else:
            kept.append((item, parts))
    assert set(find_repeated_texts(named)) == lost


@pytest.fixture(scope="module")
def drawings() -> dict[int, bytes]:
    rows = [row for name in ("risky", "benign") for row in pq.read_table(SAMPLE / f"{name}.parquet").to_pylist()]
    return {int(Path(row["image_path"]).stem): row["image"]["bytes"] for row in rows}


def hash_of(image: Image.Image, kind: str = "PNG", **options: int) -> int:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, kind, **options)
    return picture_hash(Picture(buffer.getvalue(), f"image/{kind.lower()}"))


def test_drawings_that_differ_to_the_eye_differ_and_one_that_is_stored_otherwise_does_not(
    drawings: dict[int, bytes],
) -> None:
    hashes = {number: picture_hash(Picture(data, "image/png")) for number, data in drawings.items()}
    # A risky drawing and its benign twin share most of the scene; they are no two of one set's risky pairs.
    distances = [(hashes[a] ^ hashes[b]).bit_count() for a, b in combinations(hashes, 2) if abs(a - b) != 500]
    stored = []
    for number in list(drawings)[::6]:
        image = Image.open(io.BytesIO(drawings[number]))
        for other in (
            hash_of(image, "JPEG", quality=50),
            hash_of(image.convert("RGB").resize((256, 256))),
            hash_of(ImageEnhance.Brightness(image.convert("RGB")).enhance(1.05)),
        ):
            stored.append((hashes[number] ^ other).bit_count())
    assert (max(stored), min(distances)) == (14, 71)
    assert max(stored) < SAME_IMAGE < min(distances) / 2


def test_one_file_may_be_shared_and_another_that_looks_alike_repeats() -> None:
    rows = [("a", "f1", 0b0), ("b", "f1", 0b0), ("c", "f2", 0b111), ("d", "f3", (1 << 30) - 1)]
    assert find_repeated_images(rows) == {"c": "a"}
