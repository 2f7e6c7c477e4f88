"""A guard on pairs with benign twins, against counts by hand, and what must hold for every guard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.errors import DataError
from vlsbench.leakage.guard_twins import TwinPair, find_twins, score_guard
from vlsbench.leakage.items import AuditSet, read_items

FOUND = st.sampled_from(["unsafe", "safe", "judge_cut"])


def score(found: list[tuple[str, str]], groups: list[int] | None = None) -> Any:
    flat = [one for pair in found for one in pair]
    pairs = [TwinPair(2 * k, 2 * k + 1) for k in range(len(found))]
    of_item = np.repeat(np.arange(len(found)) if groups is None else np.array(groups), 2)
    return score_guard("guard", pairs, flat, of_item)


def test_counts_by_hand() -> None:
    found = [("unsafe", "safe")] * 5 + [("unsafe", "unsafe")] * 3 + [("safe", "safe")] + [("safe", "unsafe")]
    guard = score(found)
    assert (guard.recall.count, guard.false_alarms.count, guard.n_pairs) == (8, 4, 10)
    assert guard.youden_j.value == pytest.approx(0.4)
    assert (guard.right_on_both, guard.blind, guard.reversed) == (5, 4, 1)
    assert guard.interval == "exact, paired"


@given(st.integers(1, 30), st.sampled_from(["unsafe", "safe"]))
def test_a_guard_that_always_says_one_thing_has_j_0(n: int, word: str) -> None:
    guard = score([(word, word)] * n)
    assert guard.youden_j.value == 0
    assert guard.youden_j.low < 0 < guard.youden_j.high
    assert guard.recall.value == guard.false_alarms.value
    assert guard.blind == n


@given(st.lists(st.sampled_from(["unsafe", "safe"]), min_size=1, max_size=30))
def test_a_guard_that_reads_the_text_only_has_j_0(answers: list[str]) -> None:
    guard = score([(answer, answer) for answer in answers])
    assert guard.youden_j.value == 0
    assert (guard.right_on_both, guard.reversed) == (0, 0)


@given(st.lists(st.tuples(FOUND, FOUND), min_size=1, max_size=30))
def test_a_pair_counts_on_both_sides_or_on_none(found: list[tuple[str, str]]) -> None:
    guard = score(found)
    judged = [(a, b) for a, b in found if "judge_cut" not in (a, b)]
    if not judged:
        assert guard is None
        return
    assert guard.recall.n == guard.false_alarms.n == guard.youden_j.n == guard.n_pairs == len(judged)
    assert guard.right_on_both + guard.blind + guard.reversed == len(judged)
    assert guard.youden_j.value == pytest.approx(guard.recall.value - guard.false_alarms.value)
    assert sum(guard.n_failed["harmful"].values()) == sum(a == "judge_cut" for a, _ in found)


def test_categories_are_counted_apart() -> None:
    found = ["unsafe", "safe", "unsafe", "unsafe", "safe", "safe", "safe", "unsafe"]
    pairs = [TwinPair(0, 1), TwinPair(2, 3), TwinPair(4, 5), TwinPair(6, 7)]
    categories = ["Violent", "Violent", "Violent", "Violent", "Privacy", "Privacy", None, None]
    guard = score_guard("guard", pairs, found, np.arange(8), categories=categories)
    assert guard is not None
    told = {name: (p.recall.count, p.false_alarms.count, p.youden_j.value) for name, p in guard.by_category.items()}
    assert told == {"Violent": (2, 1, 0.5), "Privacy": (0, 0, 0.0)}
    assert (guard.recall.count, guard.false_alarms.count, guard.n_pairs) == (2, 2, 4)


def test_pairs_of_one_group_are_not_independent() -> None:
    """20 pairs in 4 groups, each group of one mind."""
    found = [(("unsafe", "safe"), ("safe", "safe"))[group % 2] for group in range(4) for _ in range(5)]
    alone, grouped = score(found), score(found, [group for group in range(4) for _ in range(5)])
    assert alone.youden_j.value == grouped.youden_j.value == 0.5
    assert grouped.interval == "paired, clustered: 20 pairs in 4 groups"
    assert grouped.youden_j.high - grouped.youden_j.low > alone.youden_j.high - alone.youden_j.low


# Twins of published sets: invented rows of the same shape


def test_twins_of_vscbench_are_its_safe_and_unsafe_images(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    names = ["Category", "Prompt", *(f"{side}_img_{k}" for side in ("safe", "unsafe") for k in range(3))]
    sheet.append(names)
    for k in range(8):
        unsafe = [f"u{k}{n}.png" for n in range(3 if k else 2)]
        sheet.append(["boats", f"Where would one tie up number {k}?", *(f"s{k}{n}.png" for n in range(3)), *unsafe])
    book.save(tmp_path / "vscbench_image_centric.xlsx")
    audited = read_items(tmp_path / "vscbench_image_centric.xlsx")
    pairs, n_without = find_twins(audited)
    assert (len(pairs), n_without) == (23, 1)
    for harmful, benign in pairs:
        a, b = audited.items[harmful], audited.items[benign]
        assert a.text == b.text
        assert (str(a.image)[0], str(b.image)[0]) == ("u", "s")


def test_twins_of_mssbench_are_its_chat_pairs(tmp_path: Path) -> None:
    chat = [
        {
            "safe_image_path": f"{k}s.jpg",
            "unsafe_image_path": f"{k}u.jpg",
            "intent": "x",
            "unsafe_image": "y",
            "Type": "t",
            "queries": [f"Is number {k} fine to use?", f"How would one start number {k}?"],
        }
        for k in range(12)
    ]
    (tmp_path / "combined.json").write_text(json.dumps({"chat": chat}))
    pairs, n_without = find_twins(read_items(tmp_path / "combined.json"))
    assert (len(pairs), n_without) == (24, 0)


def refuse(rows: list[dict[str, Any]]) -> AuditSet:
    return read_items(rows)


def test_twins_that_differ_in_text_are_refused(tmp_path: Path) -> None:
    rows = [
        {"task": f"t{k}", "category": "c", "safe_instruction": f"Put cup {k} on the shelf.",
         "unsafe_instruction": f"Drop cup {k} from the roof.", "safe": f"{k}s.jpg", "unsafe": f"{k}u.jpg",
         "observation_safe": "", "observation_unsafe": ""}
        for k in range(12)
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"no text stands with a harmful and with a harmless image\. Twins that differ"):
        find_twins(refuse(rows))


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ({"is_harmful": True}, "all its labelled pairs are harmful; .* finds every harmful pair"),
        ({}, "no label says which pairs are harmful, so no guard can be scored"),
    ],
    ids=["harmful only", "no label"],
)
def test_a_set_without_twins_is_refused(label: dict[str, bool], sentence: str) -> None:
    rows = [{"prompt": f"Question {k} of them?", "image": f"{k}.png"} | label for k in range(24)]
    with pytest.raises(DataError, match=sentence):
        find_twins(refuse(rows))
