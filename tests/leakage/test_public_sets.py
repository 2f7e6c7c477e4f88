"""The audit on texts of public sets, where they lie beside the checkout: formats and figures that are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vlsbench.leakage.features import TextFeatures
from vlsbench.leakage.groups import group_items
from vlsbench.leakage.image_need import points_at_image
from vlsbench.leakage.items import read_items
from vlsbench.leakage.predictability import Task, fit_task, make_task, measure

EXPECTED: list[tuple[str, int, set[str]]] = [
    ("safebench", 500, {"harmful"}),
    ("harmbench_text", 200, {"harmful"}),
    ("mossbench", 300, {"harmless"}),
    ("vscbench_text", 450, {"harmful", "harmless"}),
]


@pytest.mark.parametrize(("name", "n", "harm"), EXPECTED, ids=[case[0] for case in EXPECTED])
def test_a_public_set_is_read_by_guess(name: str, n: int, harm: set[str], audit_dir: Path) -> None:
    found = read_items(audit_dir / f"{name}.jsonl")
    lines = (audit_dir / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    empty = sum(not json.loads(line)["text"].strip() for line in lines)
    assert len(found) == n - empty
    assert {item.labels["harm"] for item in found.items} == harm
    assert (found.columns.of("text"), found.columns.of("label"), found.columns.of("category")) == (
        "text", "pair_harmful", "category",
    )  # fmt: skip


def test_texts_that_name_their_harm_point_at_no_image(audit_dir: Path) -> None:
    # By a crude list of words elsewhere: 84% of FigStep hold none, 8% of MOSSBench.
    shares = {
        name: np.mean([points_at_image(text) for text in read_items(audit_dir / f"{name}.jsonl").texts])
        for name in ("safebench", "mossbench")
    }
    assert shares["safebench"] < 0.3
    assert shares["mossbench"] > 0.7


def test_the_release_is_read_with_its_images_as_groups(release_json: Path) -> None:
    found = read_items(release_json)
    assert (len(found), dict(found.n_dropped), found.format) == (2240, {"empty text": 1}, "VLSBench")
    assert found.targets == ("harm", "category", "source", "generated or collected")
    groups = group_items(found.items)
    assert groups.summary.n_images in (1956, 1957)
    assert groups.summary.n_groups < groups.summary.n_images
    # Others found .917 with a model of the same kind, split by image alone.
    task = make_task("category", [item.category for item in found.items], groups.of_item)
    assert isinstance(task, Task)
    fit = fit_task(task, TextFeatures(found.texts).matrix, seed=0)
    assert measure(fit, (1.0, {}), [None] * len(found)).auc.value == pytest.approx(0.917, abs=0.01)
