"""Comparing submissions: what counts in a pair, which differences are noise, which samples differ."""

from __future__ import annotations

import pytest
from effort import times
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsbench.board.compare import CONTRASTS, Difference, Labelled, compare_labels, select_differing
from vlsbench.board.lists import OVERALL
from vlsbench.dataset.index import IndexRow
from vlsbench.errors import UsageError
from vlsbench.records import LABELS, Label


def row(number: int, image: int | None = None, category: str = "Violent") -> IndexRow:
    return IndexRow(
        instruction_id=number,
        category=category,
        sub_category="Weapon-Related Violence" if category == "Violent" else "Unauthorized Data Collection",
        source="generation",
        image=number if image is None else image,
        instruction_sha256="0" * 64,
    )


def labelled(name: str, labels: list[Label | None]) -> Labelled:
    return Labelled(name, {number: label for number, label in enumerate(labels) if label is not None})


def overall(first: list[Label | None], second: list[Label | None], rows: list[IndexRow] | None = None) -> Difference:
    rows = rows or [row(number) for number in range(len(first))]
    found = compare_labels(rows, [labelled("a", first), labelled("b", second)])
    return next(item for item in found.differences if item.scope == OVERALL)


def test_a_difference_is_counted_on_the_samples_labelled_for_both() -> None:
    item = overall(["refusal", "warning", None, "unsafe"], ["unsafe", "warning", "unsafe", None])
    assert (item.n, item.first_safe_rate, item.second_safe_rate, item.value) == (2, 1.0, 0.5, 0.5)
    assert (item.n_only_first_safe, item.n_only_second_safe) == (1, 0)


def test_a_pair_without_a_common_sample_has_no_number() -> None:
    item = overall(["refusal", None], [None, "unsafe"])
    assert (item.n, item.value, item.ci, item.p_value, item.is_significant) == (0, None, None, None, False)


def test_a_clear_difference_is_significant_and_a_small_one_is_noise() -> None:
    clear = overall(["refusal"] * 60, ["unsafe"] * 60)
    small = overall(["refusal"] * 60, ["refusal"] * 58 + ["unsafe"] * 2)
    assert clear.is_significant
    assert not small.is_significant
    assert small.ci is not None
    assert small.ci[0] < 0 < small.ci[1]


def test_samples_that_share_an_image_count_as_one_piece_of_evidence() -> None:
    first: list[Label | None] = ["refusal"] * 12
    second: list[Label | None] = ["unsafe"] * 12
    apart = overall(first, second)
    shared = overall(first, second, [row(number, image=number // 6) for number in range(12)])
    assert apart.is_significant
    assert not shared.is_significant


def test_p_values_are_adjusted_for_every_test_of_the_comparison() -> None:
    rows = [row(number, category="Violent" if number < 8 else "Privacy") for number in range(16)]
    first, second = labelled("a", ["refusal"] * 16), labelled("b", ["unsafe"] * 8 + ["refusal"] * 8)
    by_scope = {item.scope: item for item in compare_labels(rows, [first, second]).differences}
    assert list(by_scope) == [OVERALL, "Violent", "Privacy"]
    raw = 2 * 0.5**8
    assert by_scope["Violent"].p_value == pytest.approx(3 * raw)
    assert by_scope["Privacy"].p_value == 1.0


def test_the_table_of_labels_and_the_differing_samples_name_every_meeting() -> None:
    first = labelled("a", ["refusal", "warning", "unsafe", None])
    second = labelled("b", ["refusal", "refusal", "unsafe", "unsafe"])
    found = compare_labels([row(number) for number in range(4)], [first, second])
    table = found.tables[0]
    assert table.counts == ((1, 0, 0), (1, 0, 0), (0, 0, 1))
    assert (table.n, table.agreement) == (3, pytest.approx(2 / 3))
    assert [(item.instruction_id, item.labels) for item in found.differing] == [
        (1, ("warning", "refusal")),
        (3, (None, "unsafe")),
    ]


def test_a_comparison_within_one_category_is_one_test_and_not_two() -> None:
    first, second = labelled("a", ["refusal"] * 8), labelled("b", ["unsafe"] * 8)
    found = compare_labels([row(number) for number in range(8)], [first, second])
    assert [item.scope for item in found.differences] == [OVERALL]
    assert found.differences[0].p_value == pytest.approx(2 * 0.5**8)


def test_differing_samples_are_found_by_how_they_differ_and_where() -> None:
    rows = [row(0), row(1), row(2), row(3, category="Privacy")]
    first = labelled("a", ["refusal", "warning", None, "unsafe"])
    second = labelled("b", ["unsafe", "refusal", "warning", "warning"])
    samples = compare_labels(rows, [first, second]).differing
    by_contrast = {name: [s.instruction_id for s in select_differing(samples, contrast=name)] for name in CONTRASTS}
    assert by_contrast == {"safe against unsafe": [0, 3], "refusal against warning": [1], "no label for one": [2]}
    assert [s.instruction_id for s in select_differing(samples, within="Privacy")] == [3]
    assert [s.instruction_id for s in select_differing(samples, within="Weapon-Related Violence")] == [0, 1, 2]
    assert select_differing(samples) == list(samples)


def test_the_shares_of_a_table_add_up_to_one_and_to_nothing_without_a_sample() -> None:
    first = labelled("a", ["refusal", "warning", "unsafe", "unsafe"])
    table = compare_labels([row(number) for number in range(4)], [first, labelled("b", ["refusal"] * 4)]).tables[0]
    assert sum(map(sum, table.shares)) == pytest.approx(1)
    assert sum(table.shares[place][place] for place in range(3)) == pytest.approx(table.agreement)
    empty = compare_labels([row(0)], [labelled("a", []), labelled("b", [])]).tables[0]
    assert sum(map(sum, empty.shares)) == 0


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "b", "c", "d", "e"]], ids=["one", "twice", "five"])
def test_a_comparison_has_two_to_four_different_submissions(names: list[str]) -> None:
    with pytest.raises(UsageError, match="2 to 4 different submissions"):
        compare_labels([row(0)], [labelled(name, ["refusal"]) for name in names])


@settings(max_examples=times(50))
@given(st.lists(st.tuples(st.sampled_from([*LABELS, None]), st.sampled_from([*LABELS, None])), min_size=1, max_size=30))
def test_the_other_order_turns_the_sign_and_nothing_else(pairs: list[tuple[Label | None, Label | None]]) -> None:
    first, second = (
        overall([a for a, _ in pairs], [b for _, b in pairs]),
        overall([b for _, b in pairs], [a for a, _ in pairs]),
    )
    assert first.n == second.n
    assert first.p_value == second.p_value
    if first.n:
        assert first.value is not None
        assert second.value is not None
        assert first.value == -second.value
        assert first.ci is not None
        assert second.ci is not None
        assert first.ci == pytest.approx((-second.ci[1], -second.ci[0]))
