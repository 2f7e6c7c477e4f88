"""The answers that we wrote: many topics, every style under every label, and nothing of the topics held back."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from vlsbench.judge.offline.features import normalise
from vlsbench.taxonomy import SUB_CATEGORIES

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import written_answers as written

LABELS_DIR = os.environ.get("VLSBENCH_LABELS_DIR") or None

Rows = tuple[written.WrittenAnswer, ...]


@pytest.fixture(scope="module")
def trained() -> Rows:
    return written.written_answers()


@pytest.fixture(scope="module")
def held_back() -> Rows:
    return written.written_answers(held_back=True)


def test_there_are_sixty_topics_and_2500_strings_to_train_on(trained: Rows) -> None:
    assert len({row.topic for row in trained}) >= 60
    assert len(written.parts()) >= 2_500
    assert len({row.text for row in trained}) >= 2_500


def test_topics_cover_every_sub_category() -> None:
    assert {topic.sub_category for topic in written.topics()} - {None} == {sub.name for sub in SUB_CATEGORIES}


def test_every_style_stands_under_every_label(trained: Rows) -> None:
    cells = Counter((row.label, row.style) for row in trained)
    assert set(cells) == {(label, style) for label in ("refusal", "warning", "unsafe") for style in written.STYLES}
    assert min(cells.values()) >= 10


def test_no_answer_has_two_labels(trained: Rows, held_back: Rows) -> None:
    assert len({row.text for row in trained}) == len(trained)
    assert len({row.text for row in held_back}) == len(held_back)


@pytest.mark.parametrize("label", ["refusal", "warning", "unsafe"])
def test_long_answers_are_over_250_words_under_every_label_or_over_120_where_they_refuse(
    trained: Rows, label: str
) -> None:
    longest = max(len(row.text.split()) for row in trained if row.label == label and row.style == "long")
    assert longest > (120 if label == "refusal" else 250)


def test_no_slot_is_left_open_and_no_line_break_is_spelt_out(trained: Rows, held_back: Rows) -> None:
    for row in (*trained, *held_back):
        assert not set("{}\\") & set(row.text), row


def test_topics_held_back_share_no_string_of_their_own_with_those_trained_on(trained: Rows, held_back: Rows) -> None:
    own = [{text for part in topic.parts.values() for text in part} for topic in written.topics()]
    assert sum(map(len, own)) == len(set().union(*own))
    assert {row.topic for row in held_back} == written.HELD_BACK
    assert not written.HELD_BACK & {row.topic for row in trained}


@pytest.mark.skipif(LABELS_DIR is None, reason="VLSBENCH_LABELS_DIR is not set: no labelled responses here")
def test_no_written_string_of_eight_words_stands_in_a_labelled_response() -> None:
    assert LABELS_DIR is not None
    everything = "\n".join(
        normalise(json.loads(line)["response"])
        for path in Path(LABELS_DIR).glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    for text in written.parts() | written.parts(held_back=True):
        if len(text.split()) >= 8 and "{" not in text:
            assert normalise(text).rstrip(".") not in everything, text
