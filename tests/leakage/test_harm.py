"""Harm leak: the numbers, against counts worked out by hand and the paper's own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vlsbench.leakage.harm import DECIDED, agreement_with, harm_leak
from vlsbench.leakage.records import HarmLeak, HarmNumbers, Measure
from vlsbench.metrics.intervals import wilson

REASONS = ("judge_refused", "judge_cut", "controversial", "image_missing")
FOUND = st.sampled_from([*DECIDED, *REASONS])


def counts(leak: HarmLeak) -> tuple[int | None, int | None, int]:
    return leak.r1.count, leak.r2.count, leak.r1.n


@pytest.mark.parametrize(
    ("n_pair", "n_both", "n", "printed"),
    [
        (274, 272, 500, ("54.80", "54.40", "0.40")),
        (183, 182, 280, ("65.36", "65.00", "0.36")),
        (34, 33, 110, ("30.91", "30.00", "0.91")),
        (1014, 1011, 1110, ("91.35", "91.08", "0.27")),
        (251, 241, 280, ("89.64", "86.07", "3.57")),
        (1105, 1105, 1110, ("99.55", "99.55", "0.00")),
    ],
    ids=["SafeBench", "JailbreakV", "Harmbench", "VLSafe", "JailbreakV by GPT-4o", "VLSafe by GPT-4o"],
)
def test_the_papers_counts_come_out(n_pair: int, n_both: int, n: int, printed: tuple[str, ...]) -> None:
    """Tables 1 and 7 of the paper."""
    pairs = ["unsafe"] * n_pair + ["safe"] * (n - n_pair)
    texts = ["unsafe"] * n_both + ["safe"] * (n - n_both)
    leak = harm_leak("judge", pairs, texts, np.arange(n))
    assert leak is not None
    assert counts(leak) == (n_pair, n_both, n)
    assert tuple(f"{100 * m.value:.2f}" for m in (leak.r1, leak.r2, leak.difference)) == printed
    assert leak.ratio is not None
    assert leak.ratio.value == n_both / n_pair


def test_a_failed_call_leaves_both_numbers_of_its_item() -> None:
    """What Table 7 prints for SafeBench mixes 499 with 500: one denominator gives 375 and 351 of 499."""
    pairs = ["unsafe"] * 375 + ["safe"] * 124 + ["judge_refused"]
    texts = ["unsafe"] * 351 + ["safe"] * 148 + ["unsafe"]
    leak = harm_leak("judge", pairs, texts, np.arange(500))
    assert leak is not None
    assert counts(leak) == (375, 351, 499)
    assert (leak.n_of, leak.n_unjudged, leak.n_failed) == (500, 1, {"pair": {"judge_refused": 1}, "text": {}})


def test_a_text_that_is_unsafe_where_its_pair_is_not_is_no_leak() -> None:
    leak = harm_leak("judge", ["safe", "unsafe"], ["unsafe", "unsafe"], np.arange(2))
    assert leak is not None
    assert counts(leak) == (1, 1, 2)
    assert leak.cells == {"pair safe, text unsafe": 1, "pair unsafe, text unsafe": 1}


def test_controversial_is_a_bin_of_its_own() -> None:
    leak = harm_leak("judge", ["unsafe", "unsafe"], ["controversial", "safe"], np.arange(2))
    assert leak is not None
    assert counts(leak) == (1, 0, 1)
    assert leak.n_failed["text"] == {"controversial": 1}


def test_without_an_unsafe_pair_there_is_no_ratio() -> None:
    leak = harm_leak("judge", ["safe"] * 30, ["safe"] * 30, np.arange(30))
    assert leak is not None
    assert leak.ratio is None
    assert (leak.r1.low, leak.r1.high) == wilson(0.0, 30)


def test_nothing_decided_is_no_number() -> None:
    assert harm_leak("judge", ["judge_cut", "safe"], ["safe", "judge_cut"], np.arange(2)) is None


@given(st.lists(st.tuples(FOUND, FOUND, st.integers(0, 5), st.sampled_from(["a", "b", None])), min_size=1))
def test_denominators_are_never_mixed(rows: list[tuple[str, str, int, str | None]]) -> None:
    pairs, texts, groups, categories = (list(column) for column in zip(*rows, strict=True))
    judged = [(p, t, c) for p, t, _, c in rows if p in DECIDED and t in DECIDED]
    leak = harm_leak("judge", pairs, texts, np.array(groups), categories=categories)
    if not judged:
        assert leak is None
        return
    assert leak is not None
    n = len(judged)
    n_pair = sum(p == "unsafe" for p, _, _ in judged)
    n_both = sum(p == t == "unsafe" for p, t, _ in judged)
    assert (leak.r1.n, leak.r2.n, leak.difference.n) == (n, n, n)
    assert (leak.r1.count, leak.r2.count, leak.difference.count) == (n_pair, n_both, n_pair - n_both)
    assert leak.n_unjudged == len(rows) - n
    assert sum(leak.cells.values()) == n
    for reasons, column in ((leak.n_failed["pair"], pairs), (leak.n_failed["text"], texts)):
        assert sum(reasons.values()) == sum(found not in DECIDED for found in column)
    if leak.ratio is not None:
        assert (leak.ratio.n, leak.ratio.count) == (n_pair, n_both)
    for name, part in leak.by_category.items():
        assert part.r1.n == sum(c == name for _, _, c in judged)


@given(st.lists(st.tuples(FOUND, FOUND), min_size=1), st.sampled_from(REASONS), st.sampled_from(REASONS))
def test_which_reason_it_was_moves_no_number(rows: list[tuple[str, str]], one: str, other: str) -> None:
    def measure(swap: dict[str, str]) -> HarmLeak | None:
        pairs, texts = ([swap.get(found, found) for found in column] for column in zip(*rows, strict=True))
        return harm_leak("judge", pairs, texts, np.arange(len(rows)))

    first, second = measure({}), measure({one: other})
    assert (first and (first.r1, first.r2, first.ratio)) == (second and (second.r1, second.r2, second.ratio))


def test_a_record_of_two_denominators_is_refused() -> None:
    def share(count: int, n: int) -> Measure:
        return Measure(value=count / n, low=0.0, high=1.0, n=n, count=count)

    with pytest.raises(ValidationError, match="speak of the same items"):
        HarmNumbers(r1=share(375, 499), r2=share(351, 500), difference=share(24, 499), ratio=share(351, 375))
    with pytest.raises(ValidationError, match="speaks of the unsafe pairs"):
        HarmNumbers(r1=share(375, 499), r2=share(351, 499), difference=share(24, 499), ratio=share(351, 499))


def test_items_of_one_image_are_no_independent_items() -> None:
    """60 items on 6 images, each image of one mind: the interval is that of 6, not of 60."""
    pairs = [("unsafe", "safe")[image % 2] for image in range(6) for _ in range(10)]
    alone = harm_leak("judge", pairs, ["safe"] * 60, np.arange(60))
    shared = harm_leak("judge", pairs, ["safe"] * 60, np.repeat(np.arange(6), 10))
    assert alone is not None
    assert shared is not None
    assert alone.r1.value == shared.r1.value == 0.5
    assert shared.r1.high - shared.r1.low > 2 * (alone.r1.high - alone.r1.low)


def test_the_four_cells_by_hand() -> None:
    """3, 2, 1 and 4 items in the cells of pair x text."""
    cells = {("unsafe", "unsafe"): 3, ("unsafe", "safe"): 2, ("safe", "unsafe"): 1, ("safe", "safe"): 4}
    found = [cell for cell in product(DECIDED, repeat=2) for _ in range(cells[cell[0], cell[1]])]
    leak = harm_leak("judge", [p for p, _ in found], [t for _, t in found], np.arange(10))
    assert leak is not None
    assert leak.ratio is not None
    assert [leak.r1.value, leak.r2.value, leak.difference.value, leak.ratio.value] == [0.5, 0.3, 0.2, 0.6]


def test_agreement_with_people_by_hand() -> None:
    people = ["unsafe"] * 10 + ["safe"] * 10 + ["people_disagree"]
    found = ["unsafe"] * 8 + ["safe"] * 2 + ["safe"] * 9 + ["unsafe"] + ["safe"]
    agreed = agreement_with(people, found, np.arange(21))
    assert agreed is not None
    assert (agreed.agreement.count, agreed.agreement.n) == (17, 20)
    # By hand: observed .85; expected (.5 * .45 + .5 * .55) = .5; kappa .7.
    assert agreed.kappa == pytest.approx(0.7)
