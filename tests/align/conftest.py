"""Tiny models of random weights, drawn images, and rows of harmless sentences."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from vlsbench.align.audit import DataAudit
from vlsbench.align.rows import TrainingData, TrainingRow

ROOT = Path(__file__).parents[2]
COLORS = ("red", "blue", "green", "white")
NO_AUDIT = DataAudit(auc=None, cue=None, cue_accuracy=None, majority=None, points_at_image=None)


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """`benchmarks/tiny_models.py`."""
    for name in ("torch", "transformers", "trl", "peft"):
        pytest.importorskip(name, reason="needs the extra 'align'")
    spec = importlib.util.spec_from_file_location("tiny_models", ROOT / "benchmarks" / "tiny_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.register_qwen2_vl_without_video()
    return module


@pytest.fixture(scope="session")
def tiny_model(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a tiny model by the name of its family, made once."""
    made: dict[str, Path] = {}

    def find(family: str, **settings: Any) -> Path:
        name = family + json.dumps(settings)
        if name not in made:
            folder = tmp_path_factory.mktemp(family) / f"tiny-{family}"
            made[name] = getattr(tiny, f"make_{family}")(folder, **settings)
        return made[name]

    return find


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four drawn images of four sizes in `img/`."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "img").mkdir()
    for number, color in enumerate(COLORS):
        Image.new("RGB", (30 + 14 * number, 30), color).save(folder / "img" / f"{number}.png")
    return folder


def lines(n: int = 8) -> list[dict[str, Any]]:
    """Rows that serve every method; every fifth has no image."""
    return [
        {
            "id": f"r{i}",
            "prompt": "What is it?" if i % 2 else "And this one?",
            "image": None if i % 5 == 4 else f"img/{i % 4}.png",
            "response": f"A {COLORS[i % 4]} field.",
            "rejected": "I will not say.",
            "kind": "harmful" if i % 2 else "benign",
        }
        for i in range(n)
    ]


@pytest.fixture
def rows(pictures: Path) -> Callable[..., TrainingData]:
    """Rows with their images."""

    def make(n: int = 8, *, only: Sequence[str] | None = None, **changes: Any) -> TrainingData:
        said = [
            {k: v for k, v in {**line, **changes}.items() if only is None or k in (*only, "id")} for line in lines(n)
        ]
        return TrainingData(tuple(TrainingRow.model_validate(line) for line in said), pictures, "rows.jsonl")

    return make


@pytest.fixture
def write(pictures: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a training file with the drawn images beside it."""

    def make(said: Sequence[dict[str, Any]] | None = None) -> Path:
        (tmp_path / "img").mkdir(exist_ok=True)
        for path in (pictures / "img").iterdir():
            (tmp_path / "img" / path.name).write_bytes(path.read_bytes())
        out = tmp_path / "rows.jsonl"
        out.write_text("".join(json.dumps(line) + "\n" for line in (lines() if said is None else said)))
        return out

    return make
