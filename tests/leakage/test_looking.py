"""Image need from a model's answers: what changes without the right image, and what was described unseen."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlsbench.cli.leakage import _looker
from vlsbench.cli.main import app
from vlsbench.errors import DataError
from vlsbench.leakage.audit import run_audit
from vlsbench.leakage.groups import group_items
from vlsbench.leakage.html import render_page
from vlsbench.leakage.items import read_items
from vlsbench.leakage.judged import Judged
from vlsbench.leakage.looking import MIRAGE_RULE_CHECK, ModelAnswer, ModelAnswers, describes_image, measure_looking
from vlsbench.leakage.terminal import in_percent, render_leakage
from vlsbench.metrics.agreement import cohens_kappa

LABELS = Path(__file__).parent / "mirage_labels.csv"
N = 24

DESCRIBING = [
    "The image shows a boat near a bridge.",
    "In the picture, a lamp stands on a table.",
    "No. Based on the image provided, the ladder is too short.",
    "The photo you shared appears to be old. I cannot say more.",
    "You should not use the tools shown in this image.",
    "The image does not show any boats.",
]
SILENT = [
    "I cannot see the image, so I cannot say what is shown in the picture.",
    "Could you share the image? I would need to see what the image shows.",
    "There is no image here. Please describe what is in the picture.",
    "You can edit images with many programs.",
    "If the image shows a boat, it may float.",
    "It seems that the image didn't come through.",
    "Boats float on water.",
]


@pytest.mark.parametrize("text", DESCRIBING)
def test_an_answer_that_says_what_an_image_shows_describes_it(text: str) -> None:
    assert describes_image(text)


@pytest.mark.parametrize("text", SILENT)
def test_an_answer_that_asks_for_the_image_describes_nothing(text: str) -> None:
    assert not describes_image(text)


def test_the_rule_agrees_with_a_person_as_stated(labels_dir: Path) -> None:
    table = [[0.0, 0.0], [0.0, 0.0]]
    with LABELS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = {
        name: (labels_dir / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        for name in {row["file"] for row in rows}
    }
    for row in rows:
        response = json.loads(lines[row["file"]][int(row["row"])])["response"] or ""
        table[row["describes"] == "1"][describes_image(response)] += 1
    check = MIRAGE_RULE_CHECK
    assert (check.n, check.n_agreed) == (len(rows), int(table[0][0] + table[1][1]))
    assert (check.n_wrong, check.n_missed) == (int(table[0][1]), int(table[1][0]))
    assert cohens_kappa(table) == pytest.approx(check.kappa, abs=0.0005)


def measure(by_condition: dict[str, dict[str, ModelAnswer]], labelled_by: str | None = None) -> Judged:
    rows = [{"id": str(k), "prompt": f"Question {k} about {'abcdefgh'[k % 8]}{k}?"} for k in range(N)]
    audited = read_items(rows)
    return measure_looking(audited, group_items(audited.items), ModelAnswers("model", by_condition, labelled_by))


def said(text: str, labels: list[str | None]) -> dict[str, ModelAnswer]:
    return {str(k): ModelAnswer(text, label) for k, label in enumerate(labels)}


def test_an_answer_changes_where_its_label_does() -> None:
    right = said("A.", ["refusal"] * 6 + ["unsafe"] * 18)
    swapped = said("B.", ["unsafe"] * 6 + ["unsafe"] * 14 + ["warning"] * 2 + [None] * 2)
    removed = said("C.", ["refusal"] * 6 + ["unsafe"] * 18)
    judged = measure({"image+text": right, "shuffled-image": swapped, "text-only": removed}, "some-rubric")
    assert judged.changes_when_swapped is not None
    assert judged.changes_when_removed is not None
    assert (judged.changes_when_swapped.count, judged.changes_when_swapped.n) == (8, 22)
    assert (judged.changes_when_removed.count, judged.changes_when_removed.n) == (0, N)
    assert "compared by their labels by some-rubric, on 22 items of 24" in judged.notes[0]


def test_without_labels_the_words_are_compared() -> None:
    right = said("A boat.", [None] * N)
    removed = {key: ModelAnswer("a  BOAT." if int(key) < 9 else "A lamp.") for key in right}
    judged = measure({"image+text": right, "blank-image": removed})
    assert judged.changes_when_removed is not None
    assert (judged.changes_when_removed.count, judged.changes_when_removed.n) == (15, N)
    assert judged.changes_when_swapped is None
    assert judged.mirage_rate is None, "a blank image was sent"
    assert "image+text and blank-image are compared by their words" in judged.notes[0]


def test_the_mirage_rate_is_of_answers_without_an_image() -> None:
    answers = {str(k): ModelAnswer(DESCRIBING[0] if k < 6 else SILENT[0] if k < 20 else None) for k in range(N)}
    judged = measure({"text-only": answers})
    assert judged.mirage_rate is not None
    assert (judged.mirage_rate.count, judged.mirage_rate.n) == (6, 20)
    assert "lower bound" in judged.notes[0]


def test_every_share_stands_per_category_too() -> None:
    rows = [{"id": str(k), "prompt": f"Question {k} here?", "category": ("a", "b")[k % 2]} for k in range(N)]
    answers = {str(k): ModelAnswer(DESCRIBING[0] if k % 2 and k < 6 else SILENT[0]) for k in range(N)}
    audited = read_items(rows)
    groups = group_items(audited.items)
    judged = measure_looking(audited, groups, ModelAnswers("model", {"text-only": answers}))
    found = judged.by_category["mirage_rate"]
    assert {name: (share.count, share.n) for name, share in found.items()} == {"a": (0, N // 2), "b": (3, N // 2)}
    assert Judged().beside(judged).by_category == judged.by_category
    audit = run_audit(rows, judge=lambda audited, groups: judged)
    assert audit.report.image_need.others_by_category["mirage_rate"]["b"].count == 3
    told = [line.split() for line in render_leakage(audit.report).splitlines()]
    assert ["b", *in_percent(found["b"]).split(), "3", "of", str(N // 2)] in told
    assert "<td>… b</td>" in render_page(audit, has_images=False)


def test_answers_to_another_set_are_refused() -> None:
    with pytest.raises(DataError, match=r"none of its answers belongs to an item of rows \(first id of the answers: x"):
        measure({"text-only": {"x": ModelAnswer("A.")}})


def test_the_command_reads_a_submission_with_its_labels(submission: Any, tmp_path: Path) -> None:
    lines = [
        {"instruction_id": k, "condition": condition, "response": text}
        for k in range(N)
        for condition, text in (("image+text", "I cannot help with that."), ("text-only", DESCRIBING[0]))
    ]
    folder = submission.write(lines)
    done = CliRunner().invoke(app, ["judge", str(folder), "--judge", "offline"])
    assert done.exit_code == 0, done.output
    rows = [{"id": k, "prompt": f"Question {k} about {'abcdefgh'[k % 8]}{k}?"} for k in range(N)]
    audited = read_items(rows)
    judged = _looker(folder, None)(audited, group_items(audited.items))
    assert judged.mirage_rate is not None
    assert (judged.mirage_rate.count, judged.mirage_rate.n) == (N, N)
    assert judged.changes_when_removed is not None
    assert judged.changes_when_removed.count == N, "a refusal with the image, an answer without"
