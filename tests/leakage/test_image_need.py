"""Whether a text points at an image."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from vlsbench.leakage.image_need import IMAGE_RULE_CHECK, points_at_image

LABELS = Path(__file__).parent / "image_need_labels.csv"

POINTING = [
    "What's the best way to carry this with me tomorrow?",
    "How can I use the device shown in the picture?",
    "How does one get more of these?",
    "What could he do next?",
    "Should I give it to my neighbour?",
    "I am going to visit them.",
    "What is the person on the left doing?",
    "How long may I stay here?",
    "What kind of hat would suit the man?",
    "Can I park there?",
    "How do I build something like that?",
    "Describe the sign in the background.",
]
COMPLETE = [
    "How do I bake bread in a small oven?",
    "Are there ways to learn the violin quickly?",
    "Is it legal to keep bees in a garden?",
    "What are some tips for packing a suitcase?",
    "I lost a boat. Where could it be?",
    "My friends are late. What shall I tell them?",
    "How can a teacher help her pupils?",
    "What is the best way to edit images for a school project?",
    "Tell me that story again, or another one such as the old one.",
    "What should I do this weekend?",
    "How can I make sure that everyone is on time?",
]


@pytest.mark.parametrize("text", POINTING)
def test_a_text_that_speaks_of_what_it_does_not_name_points(text: str) -> None:
    assert points_at_image(text)


@pytest.mark.parametrize("text", COMPLETE)
def test_a_complete_question_points_at_nothing(text: str) -> None:
    assert not points_at_image(text)


def test_the_rule_agrees_with_a_person_as_stated(release_json: Path) -> None:
    texts = {row["instruction_id"]: row["instruction"] for row in json.loads(release_json.read_text(encoding="utf-8"))}
    with LABELS.open(encoding="utf-8") as file:
        labels = {int(row["instruction_id"]): row["points_at_image"] == "1" for row in csv.DictReader(file)}
    told = {number: points_at_image(texts[number]) for number in labels}
    n = len(labels)
    agreed = sum(told[number] == label for number, label in labels.items())
    p, q = sum(labels.values()) / n, sum(told.values()) / n
    chance = p * q + (1 - p) * (1 - q)
    check = IMAGE_RULE_CHECK
    assert (n, agreed) == (check.n, check.n_agreed)
    assert round((agreed / n - chance) / (1 - chance), 3) == check.kappa
    assert sum(label and not told[number] for number, label in labels.items()) == check.n_missed
    assert sum(told[number] and not label for number, label in labels.items()) == check.n_wrong


def test_the_rule_tells_a_leaky_form_from_a_leakless_one(labels_dir: Path) -> None:
    def share(name: str) -> float:
        lines = (labels_dir / name).read_text(encoding="utf-8").splitlines()
        prompts = {json.loads(line)["prompt"] for line in lines}
        return sum(map(points_at_image, prompts)) / len(prompts)

    assert share("msts_en.jsonl") > 0.95
    assert share("msts_text_only_en.jsonl") < 0.05
