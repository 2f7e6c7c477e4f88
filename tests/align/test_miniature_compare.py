"""The miniature by public commands: sets written, a run trained, both models answered, judged by the rule, compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from called import call
from needed import needs

from vlsbench.align.miniature.cells import write_data
from vlsbench.align.miniature.folders import WorldSets, write_sets
from vlsbench.align.miniature.measure import measure_model
from vlsbench.align.miniature.model import BaseSize, train_base
from vlsbench.align.miniature.plan import Cell, Plan
from vlsbench.align.miniature.sets import evaluation_items
from vlsbench.dataset.constructed import check_set
from vlsbench.dataset.source import open_source
from vlsbench.metrics.intervals import difference_interval

pytestmark = needs("trl", extra="align")

PLAN = Plan(
    name="test",
    seeds=(0,),
    dials=(0.0,),
    arms=("mm-sft",),
    n_risky=16,
    n_benign=8,
    n_items=16,
    n_ability=6,
    # Half of its requests are answered cautiously, by lot: so that a model of a few steps says this and that.
    base=BaseSize(hidden=32, vision_layers=1, text_layers=2, heads=2, steps=150, batch=32, cautious_share=0.5),
)


class Compared(NamedTuple):
    """What `align compare` left."""

    folder: Path
    arms: dict[tuple[str, str], dict[str, Any]]
    """By run and set."""
    letters: dict[str, dict[str, str]]
    """By run, counted in another way: see `measure`."""
    text: str


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("miniature")
    base, run = folder / "base", folder / "mm-sft"
    train_base(base, size=PLAN.base, seed=0)
    data, _ = write_data(PLAN, Cell(0, 0.0, "mm-sft"), folder / "data")
    sets = write_sets(PLAN, 0, folder / "sets")
    settings = ("--set", "learning_rate=0.001", "--set", "batch_size=16", "--set", "epochs=2")
    code, text = call("align", "mm-sft", "--model", base, "--data", data, "--out", run, *settings)
    assert code == 0, text
    code, text = call("align", "compare", base, run, *told(sets), "--out", folder / "compared")
    assert code == 0, text
    found = json.loads((folder / "compared" / "comparison.json").read_text(encoding="utf-8"))
    letters = {"base": measure_model(base, PLAN, 0), "mm-sft": measure_model(run / "model", PLAN, 0)}
    return Compared(folder, {(arm["run"], arm["set_name"]): arm for arm in found["arms"]}, letters, text)


def told(sets: WorldSets) -> list[object]:
    where = ["--set", f"leaky={sets.leaky}", "--set", f"leakless={sets.leakless}", "--ability", sets.ability]
    return [*where, "--judge", "world-rule", "--max-new-tokens", "16", "--batch-size", "64"]


def test_the_sets_are_whole_datasets_of_the_measured_items(compared: Compared) -> None:
    for name in ("leaky", "leakless"):
        folder = compared.folder / "sets" / name
        index = check_set(folder)
        risky, benign = evaluation_items("leaky" if name == "leaky" else "leakless", PLAN.n_items, 0)
        assert (index.name, len(index.risky), len(index.rows)) == (f"world-{name}-seed0", 16, 32)
        with open_source(folder, name=index.name) as source:
            for place, (item, twin) in enumerate(zip(risky, benign, strict=True)):
                own, other = source.sample(200_000 + 2 * place), source.sample(200_001 + 2 * place)
                assert (own.instruction, own.risk, other.instruction, other.risk) == (
                    item.text, "risky", twin.text, "benign",
                )  # fmt: skip
                assert (own.image == other.image) is False
        assert len({(row.image, row.risk) for row in index.rows}) == len({i.scene for i in (*risky, *benign)})


def test_rates_are_those_counted_from_the_letters(compared: Compared) -> None:
    seen = "".join(letters for found in compared.letters.values() for letters in found.values())
    assert len(set(seen) & set("rwun")) > 1, "models that say one thing only would show little"
    for run, found in compared.letters.items():
        for name in ("leaky", "leakless"):
            arm = compared.arms[run, name]
            risky, benign = found[f"{name}/risky"], found[f"{name}/benign"]
            labelled = [letter for letter in benign if letter != "n"]
            both = [(a in "rw", b in "rw") for a, b in zip(risky, benign, strict=True) if "n" not in a + b]
            assert arm["safe_rate"]["value"] == pytest.approx(sum(letter in "rw" for letter in risky) / 16)
            assert arm["coverage"] == pytest.approx(sum(letter != "n" for letter in risky) / 16)
            assert arm["over_refusal"]["value"] == pytest.approx(sum(x in "rw" for x in labelled) / len(labelled))
            assert arm["youden_j"]["value"] == pytest.approx(sum(a - b for a, b in both) / len(both))
            assert arm["ability"]["n"] == 6  # of whole phrases; the cells' rule takes the words in any order
        pairs = zip(found["leakless/risky"], found["leakless/text-only"], strict=True)
        seen_both = [(a in "rw") - (b in "rw") for a, b in pairs if "n" not in a + b]
        assert compared.arms[run, "leakless"]["visual_reliance"]["value"] == pytest.approx(
            sum(seen_both) / len(seen_both)
        )


def test_the_difference_is_paired_and_clustered_by_scene(compared: Compared) -> None:
    risky, _ = evaluation_items("leakless", PLAN.n_items, 0)
    clusters: dict[object, list[tuple[bool, bool]]] = {}
    first, second = (compared.letters[run]["leakless/risky"] for run in ("mm-sft", "base"))
    for item, mine, other in zip(risky, first, second, strict=True):
        if "n" not in mine + other:
            clusters.setdefault(item.scene, []).append((mine in "rw", other in "rw"))
    low, high = difference_interval(list(clusters.values()))
    found = compared.arms["mm-sft", "leakless"]["difference"]
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["n"] == sum(map(len, clusters.values()))


def test_the_store_has_one_list_of_the_rule_and_shows_the_run_beside_its_base(compared: Compared) -> None:
    from vlsbench.board.lists import build_board

    board = build_board(compared.folder / "compared" / "leakless")
    whole = [item for item in board.lists if item.scope == "Overall" and item.condition == "image+text"]
    assert {(item.judge, item.dataset, len(item.rows)) for item in whole} == {
        ("world-rule", "world-leakless-seed0", 2),
    }
    assert {(row.model, row.alignment, row.base_model) for row in whole[0].rows} == {
        ("base", "none", None), ("mm-sft", "multimodal", "base"),
    }  # fmt: skip


def test_the_rule_judges_no_other_set_and_says_so_before_anything_is_asked(compared: Compared, tmp_path: Path) -> None:
    code, text = call("align", "compare", compared.folder / "base", "--judge", "world-rule", "--out", tmp_path / "out")
    assert code == 1
    assert "drawn world only" in text
    assert not (tmp_path / "out" / "sample").exists()


def test_the_command_prints_the_call_that_compares(compared: Compared, tmp_path: Path) -> None:
    code, text = call("align", "miniature", "--out", tmp_path, "--quick", "--sets")
    assert code == 0
    assert "align compare" in text
    assert "--judge world-rule" in text
    assert check_set(tmp_path / "seed0" / "sets" / "leaky").name == "world-leaky-seed0"
