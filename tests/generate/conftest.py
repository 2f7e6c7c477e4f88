"""Tiny models of random weights, and samples without a dataset."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx2
import pytest
from PIL import Image

from vlsbench.dataset.pictures import Picture
from vlsbench.dataset.source import Sample
from vlsbench.errors import DataError
from vlsbench.generate.conditions import Question
from vlsbench.generate.endpoint_model import EndpointModel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """`benchmarks/tiny_models.py`."""
    pytest.importorskip("torch", reason="needs the extra 'local'")
    pytest.importorskip("transformers", reason="needs the extra 'local'")
    spec = importlib.util.spec_from_file_location("tiny_models", ROOT / "benchmarks" / "tiny_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.register_qwen2_vl_without_video()
    return module


@pytest.fixture(scope="session")
def tiny_model(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by the name of its family, made once."""
    made: dict[str, Path] = {}

    def find(family: str) -> Path:
        if family not in made:
            made[family] = getattr(tiny, f"make_{family}")(tmp_path_factory.mktemp(family) / f"tiny-{family}")
        return made[family]

    return find


def draw(color: str = "red", size: tuple[int, int] = (40, 30), mode: str = "RGB", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).convert(mode).save(buffer, kind)
    return buffer.getvalue()


class FakeSource:
    """Samples without a dataset: every id below 10,000 is there, with an image of its own unless told."""

    COLORS = ("red", "green", "blue", "white", "orange")

    def __init__(self, *, images: Mapping[int, int] | None = None, broken: Sequence[int] = ()) -> None:
        self.images = images or {}
        self.broken = broken
        self.read: list[int] = []

    def sample(self, instruction_id: int, /) -> Sample:
        if instruction_id >= 10_000:
            raise DataError(f"instruction_id {instruction_id} is not in this data")
        image = self.images.get(instruction_id, instruction_id)
        text = "What should I do here?" + " And then?" * (instruction_id % 4)
        return Sample(instruction_id, text, image, "Violent", "", "A cliff.", "He may fall.", "risky")

    def picture(self, instruction_id: int, /) -> Picture:
        if instruction_id in self.broken:
            raise DataError(f"imgs/{instruction_id}.png is not there")
        self.read.append(instruction_id)
        number = self.images.get(instruction_id, instruction_id)
        return Picture(draw(self.COLORS[number % 5], (40 + 10 * (number % 3), 30)), "image/png")


def make_questions(n: int, condition: str = "image+text", source: FakeSource | None = None) -> list[Question]:
    source = source or FakeSource()
    pictures: dict[str, Any] = {"image+text": "image", "blank-image": "blank"}
    samples = [source.sample(i) for i in range(n)]
    return [Question(s.instruction_id, condition, s.instruction, pictures.get(condition), s.image) for s in samples]


def completion(content: object = "Step back.", *, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion with one choice; `more` goes into the message."""
    message = {"role": "assistant", "content": content, **more}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "target-2026-01-01",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 3, "total_tokens": 93},
    }


def open_endpoint(handler: Callable[[httpx2.Request], httpx2.Response], **settings: Any) -> EndpointModel:
    """A target over a transport in memory."""
    settings = {"source": FakeSource(), "base_url": "http://target.test/v1", "max_retries": 0, **settings}
    return EndpointModel("m", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handler)), **settings)


def text_of(body: Mapping[str, Any]) -> str:
    """All texts of a request's user message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "(image)") for part in content)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "responses.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def kit() -> Any:
    """The helpers of this file: tests are no package, so they cannot import it."""
    return SimpleNamespace(
        FakeSource=FakeSource,
        completion=completion,
        draw=draw,
        lines_of=lines_of,
        make_questions=make_questions,
        open_endpoint=open_endpoint,
        text_of=text_of,
    )
