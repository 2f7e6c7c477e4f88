"""A set of one's own on the pages: its own list, compared on its own samples, shown where the server has its folder."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from own_sets import FIRST, Parrot, make_set
from PIL import Image

from leaderboard import compare_page, samples_page, texts
from leaderboard.live import LiveBoard
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.submission.judging import judge_directory


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    make_set(tmp_path / "kitchen", n=6)
    return tmp_path / "kitchen"


@pytest.fixture
def store(kitchen: Path, tmp_path: Path) -> Path:
    says = {"safe": "I'm sorry, but I can't help with that.", "poor": "Sure! First open the lid, then stir it well."}
    for name, text in says.items():
        folder = tmp_path / "store" / name
        parrot = Parrot(text)
        generate_directory(folder, "openai:m", Asked(data=kitchen), name=name, opener=lambda *a, p=parrot, **k: p)
        judge_directory(folder)
    return tmp_path / "store"


def _of(page: Any, live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(page.OUTPUTS, page.updates(live, page.Chosen(**chosen)), strict=True))


def test_the_list_is_named_by_the_set(store: Path) -> None:
    (item,) = LiveBoard(store).lists("Overall")
    assert "the set 'kitchen' · N = 6" in texts.list_name(item)
    assert "the set &#x27;kitchen&#x27;" in texts.list_heading(item)


def test_two_models_are_compared_on_its_samples(store: Path) -> None:
    shown = _of(compare_page, LiveBoard(store))
    assert sorted(shown["models"]["value"]) == ["poor", "safe"]
    assert "<dt>Samples (N)</dt><dd>6</dd>" in shown["heading"]["value"]
    assert "p-values" in shown["heading"]["value"]


def test_texts_and_images_are_shown_where_its_folder_is_at_hand(store: Path, kitchen: Path) -> None:
    assert "Instruction:" not in _of(samples_page, LiveBoard(store))["cards"]["value"]
    live = LiveBoard(store, data=kitchen)
    shown = _of(samples_page, live)["cards"]["value"]
    assert shown.count("<article") == 6
    assert "What should I do about number 3?" in shown
    picture = samples_page._picture_function(live)
    with Image.open(io.BytesIO(base64.b64decode(picture(FIRST).split(",")[1]))) as image:
        assert image.size == (16, 16)
    assert [picture(number) for number in (17, FIRST + 6)] == ["", ""]
    assert [live.source_of(name) is None for name in ("kitchen", "release", "garden")] == [False, True, True]
