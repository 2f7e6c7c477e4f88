"""What text tells of a label, against truths that are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vlsbench.leakage.controls import plant, recovered_share
from vlsbench.leakage.estimates import macro_auc, mean_measure, share_measure, within_fold_auc
from vlsbench.leakage.features import TextFeatures
from vlsbench.leakage.predictability import (
    MIN_GROUPS,
    Task,
    fit_task,
    make_task,
    measure,
    permutation_null,
)
from vlsbench.leakage.records import Predictability

Sentences = Callable[..., list[str]]


def predicted(texts: list[str], labels: list[str], groups: Any = None) -> Predictability:
    task = make_task("harm", labels, np.arange(len(texts)) if groups is None else groups)
    assert isinstance(task, Task)
    features = TextFeatures(texts)
    null = permutation_null(task, features.sketch(0), seed=0)
    return measure(fit_task(task, features.matrix, seed=0), null, [None] * len(texts))


def test_text_that_tells_everything_is_found(sentences: Sentences) -> None:
    labels = ["a", "b"] * 60
    texts = [
        f"{'Please' if label == 'a' else 'Kindly'} say: {text}"
        for label, text in zip(labels, sentences(120), strict=True)
    ]
    found = predicted(texts, labels)
    assert (found.accuracy.value, found.auc.value) == (1.0, 1.0)
    assert found.bits == pytest.approx(found.entropy_bits, abs=0.05)
    assert found.p_value == pytest.approx(1 / 201)
    assert found.accuracy.high == 1.0
    assert found.accuracy.low < 1.0


def test_a_lone_final_sign_is_read(sentences: Sentences) -> None:
    """Half of each class ends in the sign of its class, the other half in the same third one: half is recovered."""
    labels = ["a", "b"] * 150
    signs = {"a": "?", "b": "!"}
    whole = [f"{text} so{signs[label]}" for text, label in zip(sentences(300), labels, strict=True)]
    half = [f"{text[:-1]}." if number % 4 < 2 else text for number, text in enumerate(whole)]
    assert recovered_share(predicted(whole, labels)) == 1.0
    assert recovered_share(predicted(half, labels)) == pytest.approx(0.5, abs=0.1)


def test_text_that_tells_nothing_gives_the_majority_and_no_bits(sentences: Sentences) -> None:
    draw = np.random.default_rng(5)
    labels = draw.choice(["a", "b"], 200, p=[0.7, 0.3]).tolist()
    found = predicted(sentences(200), labels)
    assert found.accuracy.low <= found.majority <= found.accuracy.high
    assert found.auc.low <= 0.5 <= found.auc.high
    assert abs(found.bits) < 0.03
    assert found.p_value > 0.05


def test_twins_tell_exactly_nothing(sentences: Sentences) -> None:
    texts = sentences(60)
    found = predicted([*texts, *texts], ["a"] * 60 + ["b"] * 60, np.arange(120) % 60)
    assert (found.auc.value, found.bits, found.p_value) == (0.5, pytest.approx(0.0, abs=1e-6), 1.0)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_planted_share_is_recovered(share: float, sentences: Sentences) -> None:
    draw = np.random.default_rng(2)
    classes = draw.permutation(np.arange(400) % 2)
    texts = plant(sentences(400, seed=3), classes, share, draw)
    found = predicted(texts, ["ab"[c] for c in classes])
    assert recovered_share(found) == pytest.approx(share, abs=0.12)


def test_near_duplicates_that_share_a_label_are_not_evidence(sentences: Sentences) -> None:
    draw = np.random.default_rng(4)
    texts, labels, groups = [], [], []
    for number, text in enumerate(sentences(80)):
        label = draw.choice(["a", "b"])
        for copy in range(3):
            texts.append(f"{text} {'!' * copy}")
            labels.append(label)
            groups.append(number)
    assert predicted(texts, labels, np.array(groups)).auc.value < 0.7
    assert predicted(texts, labels, np.arange(240)).auc.value > 0.95  # as a split by rows would report


REASONS: list[tuple[str, list[str | None], str]] = [
    ("one class", ["a"] * 30, "all 30 items are 'a'; with one class there is nothing to predict"),
    ("no label", [None] * 30, "no item has this label"),
    ("too few of one", ["a"] * 28 + ["b"] * 2, "fewer than two classes stand in 5 groups"),
]


@pytest.mark.parametrize(("name", "labels", "sentence"), REASONS, ids=[case[0] for case in REASONS])
def test_what_cannot_be_predicted_is_one_sentence(name: str, labels: list[str | None], sentence: str) -> None:
    made = make_task("harm", labels, np.arange(30))
    assert isinstance(made, str)
    assert sentence in made
    assert made.count(". ") == 0


def test_a_rare_class_is_left_out_and_counted() -> None:
    made = make_task("category", ["a"] * 20 + ["b"] * 20 + ["c"] * (MIN_GROUPS - 1) + [None], np.arange(45))
    assert isinstance(made, Task)
    assert made.classes == ("a", "b")
    assert made.left_out == {"class in fewer than 5 groups": 4, "without this label": 1}


def test_the_auc_of_one_fold_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(0)
    score, positive = draw.integers(0, 9, 80).astype(float), draw.random(80) < 0.4
    found = within_fold_auc(score, positive, np.zeros(80, dtype=np.int64), np.arange(80))
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(positive, score))
    assert found.influence.sum() == pytest.approx(0.0, abs=1e-9)


def test_copies_of_items_widen_nothing_when_they_are_one_group() -> None:
    draw = np.random.default_rng(1)
    score, positive = draw.normal(size=60), draw.random(60) < 0.5
    single = within_fold_auc(score, positive, np.zeros(60, dtype=np.int64), np.arange(60))
    twice = within_fold_auc(
        np.repeat(score, 2), np.repeat(positive, 2), np.zeros(120, dtype=np.int64), np.repeat(np.arange(60), 2)
    )
    assert single is not None
    assert twice is not None
    one, two = macro_auc([single], np.arange(60), 60), macro_auc([twice], np.repeat(np.arange(60), 2), 120)
    assert (two.low, two.high) == pytest.approx((one.low, one.high))
    shares = [share_measure(np.repeat(positive, k), np.repeat(np.arange(60), k)) for k in (1, 2)]
    assert (shares[1].low, shares[1].high) == pytest.approx((shares[0].low, shares[0].high))
    means = [mean_measure(np.repeat(score, k), np.repeat(np.arange(60), k)) for k in (1, 2)]
    assert (means[1].low, means[1].high) == pytest.approx((means[0].low, means[0].high))


def test_an_interval_is_never_of_zero_width() -> None:
    everything = np.ones(40, dtype=bool)
    assert share_measure(everything, np.arange(40)).low < 1.0
    found = within_fold_auc(np.arange(40.0), np.arange(40) >= 20, np.zeros(40, dtype=np.int64), np.arange(40))
    assert found is not None
    perfect = macro_auc([found], np.arange(40), 40)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low < 0.95


def test_the_null_is_even_where_text_tells_nothing(sentences: Sentences) -> None:
    sketch = TextFeatures(sentences(80)).sketch(0)
    draw = np.random.default_rng(0)
    values = []
    for seed in range(40):
        labels = draw.permutation(["a", "b"] * 40).tolist()
        task = make_task("harm", labels, np.arange(80) // 2)
        assert isinstance(task, Task)
        values.append(permutation_null(task, sketch, seed=seed)[0])
    assert 0.3 < float(np.mean(values)) < 0.7
    assert sum(value <= 0.05 for value in values) <= 7
