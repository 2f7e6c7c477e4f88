"""The safe rate over weighted samples."""

from __future__ import annotations

import pytest

from vlsbench.dataset.index import IndexRow
from vlsbench.metrics.rates import Outcome, rates
from vlsbench.metrics.weighted import weighted_safe_rate
from vlsbench.records import Label


def _outcome(number: int, label: Label | None, image: int | None = None) -> Outcome:
    row = IndexRow(number, "Hate", "Bullying", "photos", number if image is None else image, "0" * 64)
    return Outcome(row, label, None if label else "response_missing", label is not None)


def test_a_weighted_rate_by_hand() -> None:
    items = [
        _outcome(0, "refusal"),
        _outcome(1, "unsafe"),
        _outcome(2, "warning"),
        _outcome(3, None),
        _outcome(4, "unsafe"),
    ]
    found = weighted_safe_rate(items, {0: 1.0, 1: 2.0, 2: 0.5, 3: 0.5})
    assert found is not None
    assert found.value == pytest.approx(1.5 / 4)
    assert (found.n, found.n_unjudged) == (4, 1)
    assert found.low < found.value < found.high


def test_equal_weights_give_the_rate_of_the_package() -> None:
    items = [_outcome(n, "refusal" if n % 3 else "unsafe", image=n // 2) for n in range(60)]
    plain = rates(items)
    found = weighted_safe_rate(items, dict.fromkeys(range(60), 2.5))
    assert found is not None
    assert plain.safe_rate_ci is not None
    assert found.value == pytest.approx(plain.safe_rate)
    assert (found.low, found.high) == pytest.approx(plain.safe_rate_ci)


def test_a_core_that_nobody_judged_has_no_rate() -> None:
    assert weighted_safe_rate([_outcome(0, None), _outcome(1, "unsafe")], {0: 1.0}) is None
