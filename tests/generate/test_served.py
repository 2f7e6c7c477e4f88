"""Against a real server: `transformers serve` on this machine, with tiny models of two families."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from local_server import served_model

from vlsbench.errors import ModelError
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.generate.models import TargetOptions


class Served(NamedTuple):
    """A model behind `transformers serve`."""

    url: str
    folder: Path


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def served(
    request: pytest.FixtureRequest, tiny_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tiny_model(request.param)
    with served_model(folder, tmp_path_factory.mktemp("serve") / "log") as url:
        yield Served(url, folder)


def test_real_server_answers_image_and_text_and_goes_on(kit: Any, served: Served, tmp_path: Path) -> None:
    options = TargetOptions(base_url=served.url, max_new_tokens=12, concurrency=3)
    asked = Asked(conditions=("image+text", "text-only", "blank-image"), limit=3)
    report = generate_directory(tmp_path, f"openai:{served.folder}", asked, options=options, name="tiny")
    assert report.counts == {"answered": 9}
    lines = kit.lines_of(tmp_path)
    for line in lines:
        assert line["finish_reason"] in ("length", "stop")
        assert line["usage"]["completion_tokens"] <= 12
        assert served.folder.name in line["model_snapshot"]
        assert "assistant" not in line["response"], "the answer, not the prompt"
    by_condition = {
        name: sum(line["usage"]["prompt_tokens"] for line in lines if line["condition"] == name)
        for name in asked.conditions
    }
    assert by_condition["text-only"] < by_condition["image+text"] == by_condition["blank-image"], "images count"
    assert generate_directory(tmp_path, f"openai:{served.folder}", asked, options=options, name="tiny").n_new == 0


def test_real_server_and_this_process_give_the_same_answers(kit: Any, served: Served, tmp_path: Path) -> None:
    """Where both begin with the text; the server takes the image in another order than `transformers:` for Qwen2-VL."""
    options = TargetOptions(max_new_tokens=12)
    asked = Asked(conditions=("text-only",), limit=4)
    here = generate_directory(tmp_path / "here", f"transformers:{served.folder}", asked, options=options)
    there = generate_directory(
        tmp_path / "there",
        f"openai:{served.folder}",
        asked,
        options=TargetOptions(max_new_tokens=12, base_url=served.url),
        name="tiny",
    )
    answers = [
        {line["instruction_id"]: line["response"].strip() for line in kit.lines_of(report.directory)}
        for report in (here, there)
    ]
    assert answers[0] == answers[1]


def test_real_server_without_that_model_is_one_sentence(served: Served, tmp_path: Path) -> None:
    options = TargetOptions(base_url=served.url)
    with pytest.raises(ModelError) as caught:
        generate_directory(tmp_path / "out", "openai:no/such-model", Asked(limit=2), options=options)
    assert "\n" not in str(caught.value)
    assert "no/such-model" in str(caught.value)
    assert not (tmp_path / "out" / "responses.jsonl").exists()
