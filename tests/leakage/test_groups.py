"""What never stands on both sides of a fold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vlsbench.leakage.groups import group_items
from vlsbench.leakage.items import AuditItem
from vlsbench.leakage.predictability import group_folds

Sentences = Callable[..., list[str]]


def items(texts: list[str], images: list[str | None] | None = None) -> list[AuditItem]:
    return [AuditItem(str(n), text, None if images is None else images[n], {}, n) for n, text in enumerate(texts)]


PAIRS = [
    ("the same", "How do I paint an old boat?", "How do I paint an old boat?", True),
    ("other case and signs", "How do I paint an old boat?", "how do i paint an OLD boat!", True),
    (
        "one word of twelve",
        "How do I paint an old wooden boat with my two friends today?",
        "How do I paint an old wooden boat with my two cousins today?",
        True,
    ),
    ("other sentences", "How do I paint an old boat?", "Which lamp fits a small room best?", False),
    ("a shared beginning", "How do I paint an old boat?", "How do I fold a paper crane for my niece?", False),
]


@pytest.mark.parametrize(("name", "one", "other", "is_one"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_texts_that_are_one_stand_in_one_group(
    name: str, one: str, other: str, is_one: bool, sentences: Sentences
) -> None:
    groups = group_items(items([one, other, *sentences(60)])).of_item
    assert bool(groups[0] == groups[1]) is is_one


def test_a_template_is_one_group_though_its_filling_differs(sentences: Sentences) -> None:
    filling = ["zebra", "comet", "walnut 12", "'Sea of Glass'", "3.5", "orchid"]
    texts = [f"Tell me in three words what people think of {word} nowadays." for word in filling]
    groups = group_items(items([*texts, *sentences(80)]))
    assert len(set(groups.of_item[: len(texts)])) == 1
    assert groups.summary.n_same_template >= len(texts)


def test_one_image_is_one_group_under_any_name(sentences: Sentences) -> None:
    texts = sentences(6)
    groups = group_items(items(texts, ["a", "b", "a", "c", "d", None]), same_image={"d": "c"})
    of = groups.of_item
    assert (of[0] == of[2], of[3] == of[4]) == (True, True)
    assert len(set(of)) == 4
    assert (groups.summary.n_images, groups.summary.n_sharing_image) == (3, 4)


def test_groups_do_not_depend_on_the_process(sentences: Sentences) -> None:
    texts = sentences(200)
    assert group_items(items(texts)).of_item.tolist() == group_items(items(texts)).of_item.tolist()


def test_folds_keep_groups_whole_and_classes_even() -> None:
    draw = np.random.default_rng(0)
    y = draw.choice(3, 600, p=[0.6, 0.3, 0.1])
    groups = draw.integers(0, 400, 600)
    folds = group_folds(y, groups, 0)
    assert all(len(set(folds.of_row[groups == group])) == 1 for group in np.unique(groups))
    held = np.array([[np.sum((folds.of_row == fold) & (y == c)) for c in range(3)] for fold in range(5)])
    assert np.ptp(held, axis=0).max() <= 3
    assert sorted(np.concatenate([test for _, test in folds.pairs]).tolist()) == list(range(600))
