"""Agreement against values worked by hand, printed in textbooks, and computed by scikit-learn."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from vlsbench.metrics.agreement import alpha_with_interval, cohens_kappa, compare, krippendorffs_alpha
from vlsbench.metrics.intervals import Cluster, rate_interval
from vlsbench.records import LABELS, Label

N = None


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ([[20, 5], [10, 15]], 0.4),
        ([[45, 15], [25, 15]], 0.1304),  # same accuracy as the next, other margins (Smeeton's example)
        ([[25, 35], [5, 35]], 0.2593),
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.4915),  # Cohen 1960, Table 1: .492, with .30, .10, ... of 200
        ([[0, 5], [5, 0]], -1.0),
        ([[3, 0], [0, 4]], 1.0),
        ([[7, 0], [0, 0]], None),  # both gave everything one label: nothing to agree about
        ([[0, 0], [0, 0]], None),
    ],
)
def test_kappa_of_textbook_tables(table: Sequence[Sequence[float]], kappa: float | None) -> None:
    assert cohens_kappa(table) == (None if kappa is None else pytest.approx(kappa, abs=1e-4))


def _units(*raters: str) -> list[list[str | None]]:
    """One string per rater, one sign per unit; `*` is no rating."""
    return [[None if value == "*" else value for value in unit] for unit in zip(*raters, strict=True)]


@pytest.mark.parametrize(
    ("ratings", "alpha"),
    [
        (_units("0100000010", "1110010000"), 0.095),  # Krippendorff 2011, "Computing Krippendorff's Alpha", A: binary
        (_units("aabbdcccedda", "babbbccceddd"), 0.692),  # B: two observers, five values
        # Wikipedia, "Krippendorff's alpha", computational example: three coders, 26 pairable values of 15 units
        (_units("*****34121133*3", "1*213343*******", "**21344*21133*4"), 0.691),
    ],
)
def test_alpha_is_the_printed_one(ratings: list[list[str | None]], alpha: float) -> None:
    assert krippendorffs_alpha(ratings) == pytest.approx(alpha, abs=5e-4)


def test_alpha_of_four_observers_with_missing_values_is_the_printed_one() -> None:
    # Krippendorff 2011, example C (also Krippendorff 2004, p. 230): nominal alpha .743.
    flat: list[int | None] = [
        *(1, 1, N, 1, 2, 2, 3, 2, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 1, 2, 3, 4, 4, 4, 4, 4),
        *(1, 1, 2, 1, 2, 2, 2, 2, N, 5, 5, 5, N, N, 1, 1, N, N, 3, N),
    ]
    units = [flat[start : start + 4] for start in range(0, len(flat), 4)]
    assert krippendorffs_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_without_pairs_or_with_one_value_is_not_defined() -> None:
    assert krippendorffs_alpha([["a", None], [None, "b"]]) is None
    assert krippendorffs_alpha([["a", "a"], ["a", "a"]]) is None
    assert krippendorffs_alpha([]) is None


def _random_labels(n: int, seed: int, agreement: float) -> tuple[list[Label], list[Label], list[int]]:
    draw = random.Random(seed)
    first = [draw.choices(LABELS, weights=(1, 3, 6))[0] for _ in range(n)]
    second = [label if draw.random() < agreement else draw.choice(LABELS) for label in first]
    return first, second, [draw.randrange(max(1, n * 3 // 4)) for _ in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_kappa_precision_recall_and_f1_are_those_of_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    first, second, images = _random_labels(200, seed, 0.7)
    found = compare(first, second, images, n_resamples=10)
    assert found.kappa.value == pytest.approx(metrics.cohen_kappa_score(first, second))
    sides = [["safe" if label != "unsafe" else label for label in rater] for rater in (first, second)]
    assert found.safe_kappa.value == pytest.approx(metrics.cohen_kappa_score(*sides))
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(first, second))
    assert [list(row) for row in found.confusion] == metrics.confusion_matrix(first, second, labels=LABELS).tolist()
    scores = metrics.precision_recall_fscore_support(first, second, labels=LABELS)
    for position, label in enumerate(LABELS):
        part = found.by_label[label]
        expected = [scores[row][position] for row in range(3)]
        assert [part.precision.value, part.recall.value, part.f1.value] == pytest.approx(expected)
        assert part.n_first == scores[3][position]


def test_the_papers_table_13_is_safe_recall_and_unsafe_recall() -> None:
    # 200 answers, 100 safe and 100 unsafe by hand; GPT-4o finds 91 and 84 of them (arXiv:2411.19939v3): kappa 0.75.
    first: list[Label] = ["warning"] * 100 + ["unsafe"] * 100
    second: list[Label] = ["refusal"] * 91 + ["unsafe"] * 9 + ["unsafe"] * 84 + ["warning"] * 16
    found = compare(first, second, range(200))
    assert found.safe.recall.value == 0.91
    assert found.by_label["unsafe"].recall.value == 0.84
    assert found.safe_kappa.value == pytest.approx(0.75)
    assert found.safe_kappa.ci is not None
    assert found.safe_kappa.ci[0] < 0.66 < 0.83 < found.safe_kappa.ci[1]


def test_no_interval_has_zero_width_where_all_agree() -> None:
    labels: list[Label] = [*["refusal"] * 20, *["warning"] * 40, *["unsafe"] * 40]  # type: ignore[list-item]
    found = compare(labels, labels, range(100))
    measures = [found.accuracy, found.kappa, found.safe_kappa, *(part.f1 for part in found.by_label.values())]
    for measure in [*measures, alpha_with_interval(list(zip(labels, labels, strict=True)), range(100))]:
        assert measure.value == 1
        assert measure.ci is not None
        assert 0.8 < measure.ci[0] < 1 == measure.ci[1]


def test_what_is_not_defined_is_none_and_nothing_raises() -> None:
    found = compare([], [], [])
    assert (found.n, found.kappa.value, found.accuracy.value, found.safe.f1.value) == (0, None, None, None)
    one = compare(["unsafe"], ["unsafe"], [3])
    assert (one.kappa.value, one.kappa.ci, one.accuracy.value) == (None, None, 1.0)
    never = compare(["refusal", "unsafe"], ["warning", "unsafe"], [1, 2]).by_label["refusal"]
    assert (never.precision.value, never.recall.value, never.f1.value) == (None, 0.0, 0.0)
    assert never.f1.ci is not None
    assert never.f1.ci[0] == 0 < never.f1.ci[1]


def test_intervals_are_seeded_and_do_not_depend_on_the_order() -> None:
    first, second, images = _random_labels(120, 1, 0.8)
    order = list(range(120))
    random.Random(5).shuffle(order)
    shuffled = compare([first[i] for i in order], [second[i] for i in order], [images[i] for i in order], seed=3)
    assert shuffled == compare(first, second, images, seed=3)
    assert shuffled.kappa != compare(first, second, images, seed=4).kappa


def test_copies_that_share_an_image_do_not_narrow_the_interval() -> None:
    first, second, _ = _random_labels(100, 2, 0.7)
    once = compare(first, second, range(100))
    copied = compare(first * 4, second * 4, list(range(100)) * 4)
    for a, b in ((once.kappa, copied.kappa), (once.accuracy, copied.accuracy), (once.safe.f1, copied.safe.f1)):
        assert a.ci is not None
        assert b.ci is not None
        assert b.ci[1] - b.ci[0] == pytest.approx(a.ci[1] - a.ci[0], rel=0.05)


def test_intervals_of_shares_are_those_of_the_rates() -> None:
    first, second, images = _random_labels(150, 3, 0.8)
    clusters: dict[int, list[int]] = {}
    for a, b, image in zip(first, second, images, strict=True):
        size, hits = clusters.get(image, [0, 0])
        clusters[image] = [size + 1, hits + (a == b)]
    expected = rate_interval([Cluster(size, hits) for size, hits in clusters.values()])
    assert compare(first, second, images).accuracy.ci == pytest.approx(expected)


def test_weights_make_the_measures_those_of_all_answers() -> None:
    # 1,000 answers, the judge calls 100 of them safe. People see all 100 of these and 100 of the other 900.
    human: list[Label] = ["warning"] * 80 + ["unsafe"] * 20 + ["warning"] * 10 + ["unsafe"] * 90
    judge: list[Label] = ["warning"] * 100 + ["unsafe"] * 100
    drawn = compare(human, judge, range(200))
    weighted = compare(human, judge, range(200), weights=[1.0] * 100 + [9.0] * 100)
    assert drawn.by_label["warning"].recall.value == pytest.approx(80 / 90)  # of the draw, and too good
    assert weighted.by_label["warning"].recall.value == pytest.approx(80 / 170)
    assert weighted.by_label["warning"].precision.value == pytest.approx(0.8)
    assert weighted.safe.share_first.value == pytest.approx(0.17)
    assert weighted.safe.share_second.value == pytest.approx(0.10)
    assert weighted.confusion == drawn.confusion
    everything = compare(human[:100] + human[100:] * 9, judge[:100] + judge[100:] * 9, range(1000))
    assert weighted.kappa.value == pytest.approx(everything.kappa.value)
    assert weighted.kappa.ci is not None
    assert everything.kappa.ci is not None
    assert weighted.kappa.ci[0] < everything.kappa.ci[0]  # 200 samples say less than 1,000


def test_equal_weights_change_nothing() -> None:
    first, second, images = _random_labels(80, 7, 0.8)
    weighted = compare(first, second, images, weights=[3.0] * 80)
    assert weighted.model_copy(update={"is_weighted": False}) == compare(first, second, images)


def test_the_bootstrap_covers_the_true_kappa_about_as_often_as_it_says() -> None:
    # 3 labels with shares .1, .3, .6; the second rater copies with 0.7, else guesses evenly.
    shares = [0.1, 0.3, 0.6]
    table = [[p * (0.7 * (a == b) + 0.1) for b in range(3)] for a, p in enumerate(shares)]
    truth = cohens_kappa(table)
    assert truth is not None
    hits = 0
    for seed in range(200):
        found = compare(*_random_labels(200, 1_000 + seed, 0.7), n_resamples=400).kappa.ci
        assert found is not None
        hits += found[0] <= truth <= found[1]
    assert 180 <= hits <= 199
