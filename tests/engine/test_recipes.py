"""The recipes of docs/scale.md, as far as they can be tried without the Hub, a GPU or money."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
JOB = ROOT / "scripts" / "hf_jobs_generate.py"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scale_table() -> ModuleType:
    return load("scale_table")


def test_the_documented_table_is_what_the_script_prints(scale_table: ModuleType) -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert scale_table.render(scale_table.Call()) in text


def test_cost_and_time_grow_with_models_and_judges(scale_table: ModuleType) -> None:
    call = scale_table.Call()
    one, many = scale_table.Scale.of(1, 1, call), scale_table.Scale.of(10, 3, call)
    assert many.calls == 30 * one.calls
    assert many.money == pytest.approx(30 * one.money)
    assert many.hours_of_gpu == pytest.approx(10 * one.hours_of_gpu), "a model answers once, however many judge it"
    half = scale_table.Scale.of(1, 1, scale_table.Call(discount=0.5))
    assert half.money == pytest.approx(one.money / 2)


def test_the_job_says_what_it_needs() -> None:
    found = re.search(r"^# /// script\n(.*?)^# ///$", JOB.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    needs = tomllib.loads("".join(line.removeprefix("#").removeprefix(" ") for line in found[1].splitlines(True)))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert needs["requires-python"] == project["requires-python"]
    assert needs["dependencies"] == [f"vlsbench>={project['version']}"]


def test_the_job_makes_a_submission_and_goes_on(stand_in: Any, tmp_path: Path) -> None:
    out = tmp_path / "sub"
    words = [sys.executable, JOB, "--model", "org/m", "--base-url", stand_in.url, "--out", out, "--", "--limit"]
    for limit in ("3", "5"):
        subprocess.run([*words, limit], check=True, timeout=60, env={**os.environ, "OPENAI_API_KEY": "none"})
    assert json.loads((out / "submission.json").read_text())["model"] == "org/m"
    assert len((out / "responses.jsonl").read_text().splitlines()) == 5
    assert len(stand_in.paid()) == 5


@pytest.mark.parametrize("more", [[], ["--serve", "--base-url", "http://127.0.0.1:1/v1"]])
def test_a_job_has_one_endpoint(more: list[str], tmp_path: Path) -> None:
    words = [sys.executable, JOB, "--model", "org/m", "--out", tmp_path / "sub", *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "one of --serve and --base-url" in done.stderr
