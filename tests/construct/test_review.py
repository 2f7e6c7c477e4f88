"""Reviews: tasks out, exports in, what they come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlsbench.construct.config import Plan
from vlsbench.construct.pipeline import Construction, open_construction
from vlsbench.construct.publish import publish_set
from vlsbench.construct.review import Form, read_reviews, take_reviews, withhold, write_tasks
from vlsbench.construct.yields import count_yields
from vlsbench.errors import DataError


@pytest.fixture(scope="module")
def run(
    scripted_models: ModuleType, write_plan: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Construction]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(scripted_models.__file__ or "").parent))
        with scripted_models.scripted(faults=0.0) as url:
            more = "[twins]\nwanted = false"
            construction = open_construction(write_plan(tmp_path_factory.mktemp("r"), url, elements=8, more=more))
            construction.run()
            yield construction


@pytest.fixture
def fresh(run: Construction) -> Construction:
    (run.plan.out / "reviewed.jsonl").unlink(missing_ok=True)
    run.withhold = lambda accepted: frozenset()
    return run


def export(tasks: list[dict[str, Any]], form: Form, bad: set[str]) -> list[dict[str, Any]]:
    """What a tool exports of its tasks; the pairs in `bad` do not fit."""
    for task in tasks:
        item = (task.get("data") or task["metadata"])["item"]
        said = {"text_harmless": "yes", "pair_fits": "no" if item in bad else "yes"}
        if form == "label-studio":
            parts = [
                {"from_name": name, "type": "choices", "value": {"choices": [word]}} for name, word in said.items()
            ]
            task["annotations"] = [{"completed_by": 1, "was_cancelled": False, "result": parts}]
        else:
            task["responses"] = {name: [{"value": word, "status": "submitted"}] for name, word in said.items()}
    return tasks


def review(run: Construction, folder: Path, form: Form, reviewer: str, bad: set[str]) -> int:
    path = folder / f"{reviewer}.json"
    write_tasks(run, path, form, reviewer=reviewer)
    path.write_text(json.dumps(export(json.loads(path.read_text()), form, bad)))
    return take_reviews(run, path)


@pytest.mark.parametrize("form", ["label-studio", "argilla"])
def test_a_task_shows_text_and_image_and_comes_back_once(fresh: Construction, tmp_path: Path, form: Form) -> None:
    items = list(fresh.accepted())
    assert len(items) >= 5
    assert write_tasks(fresh, tmp_path / "t.json", form, reviewer="mia") == len(items)
    first = json.loads((tmp_path / "t.json").read_text())[0]
    shown = first["data"] if form == "label-studio" else first["fields"]
    assert set(shown) >= {"text", "image"}
    assert (fresh.plan.out / shown["image"]).is_file()
    assert review(fresh, tmp_path, form, "mia", set()) == len(items)
    assert write_tasks(fresh, tmp_path / "t.json", form, reviewer="mia") == 0, "what is reviewed is not asked again"
    assert write_tasks(fresh, tmp_path / "t.json", form, reviewer="tom") == len(items)


def test_two_of_two_minds_wait_for_a_third_and_what_is_rejected_is_not_published(
    fresh: Construction, tmp_path: Path
) -> None:
    items = list(fresh.accepted())
    rejected, split = items[0], items[1]
    review(fresh, tmp_path, "label-studio", "mia", {rejected, split})
    review(fresh, tmp_path, "argilla", "tom", {rejected})
    verdicts = withhold(fresh)
    assert {item: one.verdict for item, one in verdicts.standing.items()} == {
        **dict.fromkeys(items, "kept"), rejected: "rejected", split: "waits",
    }  # fmt: skip
    # By hand, N pairs rated twice: one pair no/no, one yes/no, the rest yes/yes.
    n = len(items)
    n_yes, n_no = 2 * n - 3, 3
    expected = 2 * n_yes * n_no / (2 * n * (2 * n - 1))
    assert verdicts.alpha == pytest.approx(1 - (2 / (2 * n)) / expected)
    assert verdicts.alpha_ci is not None
    done = fresh.run()
    assert publish_set(fresh, done).n_pairs == n - 2
    assert count_yields(fresh).n_withheld == 2
    review(fresh, tmp_path, "argilla", "eva", set())
    assert withhold(fresh).standing[split] == ("kept", 3)
    assert "waits 0" in str(withhold(fresh))


def test_a_review_of_another_text_counts_no_more(fresh: Construction, tmp_path: Path) -> None:
    review(fresh, tmp_path, "argilla", "mia", set())
    path = fresh.plan.out / "reviewed.jsonl"
    lines = path.read_text().splitlines()
    changed = json.loads(lines[0]) | {"pair_sha256": "0" * 64}
    path.write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n")
    assert withhold(fresh).n_outdated == 1


BAD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "an answer that is none": (lambda t: t["responses"]["pair_fits"][0].update(value="maybe"), "yes or no"),
    "half a review": (lambda t: t["responses"].pop("pair_fits"), "lacks pair_fits"),
    "a pair of another run": (lambda t: t["metadata"].update(item="e9999-q1"), "no pair of this run"),
    "no task": (lambda t: t.clear(), "is no task of ours"),
    "a name that is none": (lambda t: t["metadata"].update(reviewer="<b>"), "'reviewer'"),
}


@pytest.mark.parametrize(("spoil", "problem"), BAD.values(), ids=BAD)
def test_a_bad_export_is_one_sentence_and_nothing_is_taken(
    fresh: Construction, tmp_path: Path, spoil: Callable[[dict[str, Any]], object], problem: str
) -> None:
    path = tmp_path / "t.json"
    write_tasks(fresh, path, "argilla", reviewer="mia")
    tasks = export(json.loads(path.read_text()), "argilla", set())
    spoil(tasks[0])
    path.write_text(json.dumps(tasks))
    with pytest.raises(DataError, match=problem):
        take_reviews(fresh, path)
    assert read_reviews(fresh) == []


def test_a_reviewers_name_used_by_two_people_is_named(fresh: Construction, tmp_path: Path) -> None:
    path = tmp_path / "again.json"
    write_tasks(fresh, path, "argilla", reviewer="mia")
    tasks = json.loads(path.read_text())
    review(fresh, tmp_path, "argilla", "mia", set())
    item = tasks[0]["metadata"]["item"]
    path.write_text(json.dumps(export(tasks, "argilla", {item})))
    with pytest.raises(DataError, match=rf"{item}: mia has said something else before; is the name used by two people"):
        take_reviews(fresh, path)
