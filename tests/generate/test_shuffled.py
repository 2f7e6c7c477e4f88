"""Another image in place of the right one: which, and that it is really shown."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image, ImageEnhance

from vlsbench.dataset.index import Index, IndexRow, load_index
from vlsbench.dataset.pictures import Picture, fit_picture, open_picture
from vlsbench.dataset.source import open_source
from vlsbench.errors import DataError
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.generate.models import TargetOptions
from vlsbench.generate.shuffled import choose_pictures, is_near_copy

SAMPLE = load_index("sample")


@pytest.fixture(scope="module")
def chosen() -> dict[int, int]:
    with open_source(None, name="sample") as source:
        return choose_pictures([row.instruction_id for row in SAMPLE.rows], SAMPLE, source)


def test_a_text_is_never_shown_its_own_image_its_twins_or_a_near_copy(chosen: dict[int, int]) -> None:
    assert chosen.keys() == set(SAMPLE.by_id)
    with open_source(None, name="sample") as source:
        pictures = {row.instruction_id: open_picture(source.picture(row.instruction_id)) for row in SAMPLE.rows}
    for number, other in chosen.items():
        row, shown = SAMPLE.by_id[number], SAMPLE.by_id[other]
        assert row.twin_id is not None
        twin = SAMPLE.by_id[row.twin_id]
        assert shown.risk == "risky"
        assert shown.image not in (row.image, twin.image)
        assert not is_near_copy(pictures[other], pictures[number])
        assert not is_near_copy(pictures[other], pictures[row.twin_id])


def test_the_choice_depends_on_the_sample_alone(chosen: dict[int, int]) -> None:
    """Not on how many are asked, nor in which order, nor whether their twins are asked too."""
    some = [row.instruction_id for row in SAMPLE.risky][7:3:-1]
    with open_source(None, name="sample") as source:
        assert choose_pictures(some, SAMPLE.select("sample"), source) == {n: chosen[n] for n in some}


def test_the_choice_is_the_same_on_every_machine(chosen: dict[int, int]) -> None:
    assert [chosen[number] for number in range(100_000, 100_006)] == FIRST_SIX


FIRST_SIX = [100_037, 100_020, 100_022, 100_018, 100_000, 100_030]
"""Written down, because a resumed run must show what the first one showed."""


def test_most_images_are_shown_with_some_text(chosen: dict[int, int]) -> None:
    """Drawn with replacement: of 41 images 1 - 1/e = 63% are expected among 41 draws, and 86% among 82."""
    assert len(set(chosen.values())) >= 28


def _with(name: str, change: Callable[[Image.Image], Image.Image]) -> Any:
    return pytest.param(change, id=name)


@pytest.mark.parametrize(
    "change",
    [
        _with("as it is", lambda image: image),
        _with("half its size", lambda image: image.resize((image.width // 2, image.height // 2))),
        _with("as JPEG", lambda image: _as_jpeg(image)),
        _with("brighter", lambda image: ImageEnhance.Brightness(image).enhance(1.2)),
        _with("grey", lambda image: image.convert("L").convert("RGB")),
    ],
)
def test_a_picture_that_was_only_processed_is_a_near_copy(change: Callable[[Image.Image], Image.Image]) -> None:
    with open_source(None, name="sample") as source:
        for row in SAMPLE.risky[:12]:
            image = open_picture(source.picture(row.instruction_id))
            assert is_near_copy(image, change(image))


def _as_jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


class _Drawn:
    """Pictures by id: patterns that differ, but where they are told to be copies."""

    def __init__(self, copies: dict[int, int], *, broken: tuple[int, ...] = ()) -> None:
        self.copies = copies
        self.broken = broken

    def picture(self, number: int, /) -> Picture:
        if number in self.broken:
            raise DataError(f"imgs/{number}.png is not there")
        seed = self.copies.get(number, number)
        pixels = [(37 * (seed + 3) * (x + 1) * (y + 2) + 11 * seed * x) % 256 for y in range(6) for x in range(6)]
        image = Image.new("L", (6, 6))
        image.putdata(pixels)
        buffer = io.BytesIO()
        # A copy differs in its size and so in its bytes.
        image.resize((48 + number % 5, 48)).save(buffer, "PNG")
        return Picture(buffer.getvalue(), "image/png")

    def sample(self, number: int, /) -> Any:
        raise NotImplementedError


def _release(n: int) -> Index:
    """The first n samples of the release whose images are their own."""
    seen: set[int] = set()
    rows: list[IndexRow] = []
    for row in load_index("release").rows:
        if row.image not in seen and len(rows) < n:
            seen.add(row.image)
            rows.append(row)
    return Index("release", "default", "r", tuple(rows))


def test_copies_are_passed_over_and_so_is_what_cannot_be_read() -> None:
    index = _release(12)
    ids = [row.instruction_id for row in index.rows]
    source = _Drawn(dict.fromkeys(ids[:6], ids[0]), broken=(ids[11],))
    found = choose_pictures(ids[:6], index, source)
    assert set(found.values()) <= set(ids[6:11])


def test_where_there_is_no_other_image_one_sentence_says_so() -> None:
    index = _release(4)
    ids = [row.instruction_id for row in index.rows]
    with pytest.raises(DataError, match="has no other image to be shown with: of 4 samples none"):
        choose_pictures(ids, index, _Drawn(dict.fromkeys(ids, 0)))


def test_the_other_image_is_what_the_model_gets_and_the_line_says_whose_it_was(kit: Any, tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        content = json.loads(request.content)["messages"][0]["content"]
        asked.append(next(part["image_url"]["url"] for part in content if part["type"] == "image_url"))
        return httpx2.Response(200, json=kit.completion("Step back."))

    def opener(model: str, **arguments: Any) -> Any:
        arguments.pop("options", None)
        arguments.pop("shows_image", None)
        return kit.open_endpoint(answer, source=arguments["source"])

    out = tmp_path / "out"
    generate_directory(
        out, "openai:m", Asked(conditions=("shuffled-image",), limit=4), options=TargetOptions(), opener=opener
    )
    lines = kit.lines_of(out)
    assert len(lines) == len(asked) == 4
    with open_source(None, name="sample") as source:
        shown = {line["instruction_id"]: line["settings"]["picture_of"] for line in lines}
        assert shown == choose_pictures(shown, SAMPLE, source)
        pictures = [fit_picture(source.picture(other), max_side=None) for other in shown.values()]
    assert set(asked) == {f"data:{p.mime};base64,{b64encode(p.data).decode()}" for p in pictures}
