"""Against a real server: `transformers serve` on this machine, with tiny models of two families."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vlsbench.errors import ModelError
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.generate.models import TargetOptions

ROOT = Path(__file__).parents[2]
SERVE = (
    "import importlib.util, sys\n"
    "spec = importlib.util.spec_from_file_location('tiny_models', sys.argv.pop(1))\n"
    "module = importlib.util.module_from_spec(spec)\n"
    "spec.loader.exec_module(module)\n"
    "module.register_qwen2_vl_without_video()\n"
    "from transformers.cli.transformers import main\n"
    "main()\n"
)
"""`transformers serve`, after what lets Qwen2-VL load without torchvision."""


class Served(NamedTuple):
    """A model behind `transformers serve`."""

    url: str
    folder: Path


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def served(
    request: pytest.FixtureRequest, tiny_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("needs transformers[serving]")
    folder, port = tiny_model(request.param), _free_port()
    log = tmp_path_factory.mktemp("serve") / "log"
    model = ["serve", str(folder), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(ROOT / "benchmarks" / "tiny_models.py"), *model],
            stdout=file,
            stderr=file,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    try:
        _wait_until_healthy(process, port, log)
        yield Served(f"http://127.0.0.1:{port}/v1", folder)
    finally:
        process.kill()
        process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as reply:
                assert reply.status == 200
                return
        except OSError:
            time.sleep(0.2)


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
