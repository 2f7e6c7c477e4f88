"""A scripted endpoint that plays every model, and configurations that ask it."""

from __future__ import annotations

import csv
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlsbench.construct.config import Plan, load_plan
from vlsbench.taxonomy import SUB_CATEGORIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def scripted_models() -> ModuleType:
    """`benchmarks/scripted_models.py`."""
    path = ROOT / "benchmarks" / "scripted_models.py"
    spec = importlib.util.spec_from_file_location("scripted_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scripted_models"] = module  # so that the process it starts finds it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server(scripted_models: ModuleType) -> Iterator[str]:
    """A server for a module, with 30% faults. What it counts is of all that asked it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        with scripted_models.scripted(faults=0.3) as url:
            yield url


def write_elements(path: Path, n: int) -> None:
    """Write `n` elements, one sub-category after the other."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["element", "category", "sub_category"])
        for number in range(n):
            sub = SUB_CATEGORIES[number % len(SUB_CATEGORIES)]
            writer.writerow([f"thing number {number} on a shelf", sub.category, sub.name])


CONFIG = """\
name = "test-pairs"
out = "run"

[elements]
file = "elements.csv"
queries_per_element = {queries}

[models.default]
model = "scripted-1"
base_url = "{url}"
concurrency = 16
timeout_seconds = {timeout}
price_in = 1.0
price_out = 4.0

[image]
kind = "{image}"
{more}
"""


@pytest.fixture(scope="session")
def write_plan() -> Callable[..., Plan]:
    """`plan_in`: for a folder that a fixture makes itself."""
    return plan_in


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[..., Plan]:
    """Write a configuration and read it."""
    return functools.partial(plan_in, tmp_path)


def plan_in(
    tmp_path: Path,
    url: str = "http://127.0.0.1:9/v1",
    *,
    elements: int = 6,
    queries: int = 1,
    image: str = "artist",
    timeout: float = 0.4,
    more: str = "",
) -> Plan:
    """Write a configuration into a folder and read it."""
    write_elements(tmp_path / "elements.csv", elements)
    path = tmp_path / "pairs.toml"
    path.write_text(CONFIG.format(url=url, queries=queries, image=image, timeout=timeout, more=more))
    return load_plan(path)


@pytest.fixture(scope="session")
def stats_of(scripted_models: ModuleType) -> Callable[[str], dict[str, Any]]:
    """What a server was asked and condemned."""
    found: Callable[[str], dict[str, Any]] = scripted_models.stats_of
    return found
