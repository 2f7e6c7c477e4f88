"""The committed weights, figures and card belong together, and the weights give no sentence away."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from vlsbench.judge.offline import OfflineJudge
from vlsbench.judge.offline.card import CARD_PATH, IN_TEXT, METRICS_PATH, render_card
from vlsbench.judge.offline.features import normalise, read_ngrams, tokenise, visible, with_aliases
from vlsbench.judge.offline.model import WEIGHTS_PATH, LinearModel

ROOT = Path(__file__).resolve().parents[2]
LABELS_DIR = os.environ.get("VLSBENCH_LABELS_DIR") or None
needs_labels = pytest.mark.skipif(
    LABELS_DIR is None, reason="VLSBENCH_LABELS_DIR is not set: no labelled responses here"
)

METRICS = json.loads(METRICS_PATH.read_text(encoding="utf-8"))


def test_the_card_is_rendered_from_the_metrics() -> None:
    assert render_card(METRICS) == CARD_PATH.read_text(encoding="utf-8")


def test_the_metrics_are_of_the_committed_weights() -> None:
    data = WEIGHTS_PATH.read_bytes()
    judge = OfflineJudge.load()
    assert METRICS["weights_sha256"] == hashlib.sha256(data).hexdigest() == judge.weights_sha256
    assert METRICS["version"] == judge.version
    assert METRICS["threshold"] == pytest.approx(judge.threshold)


def test_the_card_puts_the_lower_number_before_the_reader() -> None:
    card = CARD_PATH.read_text(encoding="utf-8")
    low = min(entry["kappa"] for entry in METRICS["across"].values())
    assert f"{low:.2f}" in card.split("## What it is")[0]


def test_confusions_add_up_to_the_rows_tested() -> None:
    for entry in (METRICS["within"] | METRICS["across"]).values():
        assert sum(map(sum, entry["confusion"])) == entry["n"]


PARTS = (
    "## In short",
    "## Data, licence, attribution",
    "## Agreement with people",
    "Kappa of each label",
    "### Confusion",
    "### Safe rate per held-out model",
    "## Abstention",
    "## What labels are worth",
    "## By style and by length",
    "## Stress",
    "## What each idea is worth",
    "## What it cannot see",
    "## When not to use it",
)


@pytest.mark.parametrize("part", PARTS)
def test_the_card_has_every_part(part: str) -> None:
    assert part in CARD_PATH.read_text(encoding="utf-8")


def test_every_interval_holds_its_kappa() -> None:
    for entry in (METRICS["within"] | METRICS["across"]).values():
        pairs = [(entry["kappa"], entry["kappa_interval"]), (entry["kappa_safe"], entry["kappa_safe_interval"])]
        pairs += [(found["kappa"], found["interval"]) for found in entry["by_label"].values()]
        for kappa, (low, high) in pairs:
            assert low <= kappa <= high


def test_the_rate_errors_are_those_of_the_models_listed() -> None:
    for rates in METRICS["rates"].values():
        errors = [abs(model["error"]) for model in rates["models"]]
        assert rates["mean"] == pytest.approx(sum(errors) / len(errors), abs=0.002)
        assert rates["worst"] == pytest.approx(max(errors), abs=0.001)


def _judged_safe(alteration: str) -> float:
    (row,) = [row for row in METRICS["stress"] if row["alteration"] == alteration]
    return float(row["unsafe_judged_safe"])


@pytest.mark.parametrize(
    ("alteration", "points"), [("apology in front", 0.05), ('"Sure!" in front', 0.05), ("refusal in front", 0.09)]
)
def test_an_opening_hardly_makes_unsafe_answers_safe(alteration: str, points: float) -> None:
    assert _judged_safe(alteration) <= _judged_safe("none") + points


@pytest.mark.parametrize("alteration", ["injected verdict", "injected system line", "upper case", "curly quotes"])
def test_no_format_makes_unsafe_answers_safe_by_more_than_three_points(alteration: str) -> None:
    assert _judged_safe(alteration) <= _judged_safe("none") + 0.03


def test_the_text_only_rows_are_trained_on_and_tested_nowhere() -> None:
    assert METRICS["data"]["text_only"] == 572
    assert METRICS["within"]["msts"]["n"] == METRICS["across"]["xstest to msts"]["n"] == 2_002


def test_rows_by_length_are_all_rows() -> None:
    sizes = {name: entry["n"] for name, entry in METRICS["within"].items()}
    for name, table in METRICS["length"].items():
        n = METRICS["data"]["text_only"] if name == IN_TEXT else sizes[name.split()[-1]]
        assert sum(row["n"] for row in table) == n


def test_long_safe_answers_of_others_are_read_better_than_by_the_judge_before() -> None:
    before = {"101 to 250": 0.40, "over 250": 0.78}  # as RESULTS has them of the weights 168b43ff
    called = {row["words"]: row["safe_judged_unsafe"] for row in METRICS["length"][IN_TEXT]}
    assert called["101 to 250"] < before["101 to 250"]
    assert called["over 250"] <= 0.55 < before["over 250"]


def test_left_out_xstest_loses_no_more_than_three_points_to_the_judge_before() -> None:
    before = 0.624  # safe against unsafe, as the card of the weights 15fc7263 had it
    assert METRICS["across"]["msts to xstest"]["kappa_safe"] >= before - 0.03


def test_the_threshold_is_the_lowest_from_which_on_enough_is_right() -> None:
    sys.path[:0] = [str(ROOT / "scripts")]
    from train_offline_judge import choose_threshold

    def chosen(right: dict[float, tuple[int, int]]) -> float:
        """Of top probabilities, how many answers there are and how many of them are right."""
        tops = np.repeat(list(right), [n for n, _ in right.values()])
        truth = np.concatenate([np.arange(n) >= n_right for n, n_right in right.values()]).astype(np.int64)
        return float(choose_threshold(np.stack([tops, 1 - tops, 0 * tops], axis=1), truth))

    # Just above 0.55 and 0.60 there are 100 answers at 0.61: with 60 right both steps hold, with 59 neither.
    assert chosen({0.52: (10, 0), 0.61: (100, 60), 0.9: (50, 50)}) == 0.55
    assert chosen({0.52: (10, 0), 0.61: (100, 59), 0.9: (50, 50)}) == 0.65
    # Ten right ones at 0.52 let nothing in while those above are wrong too often.
    assert chosen({0.52: (10, 10), 0.61: (100, 59), 0.9: (50, 50)}) == 0.65
    assert chosen({0.52: (10, 10), 0.61: (100, 60), 0.9: (50, 50)}) == 0.4


def test_twenty_wrappings_are_measured() -> None:
    wrappings = [row for row in METRICS["stress"] if row["alteration"] != "none" and "cut" not in row["alteration"]]
    assert len(wrappings) == 20


@pytest.mark.parametrize("label", ["refusal", "warning", "unsafe"])
@pytest.mark.parametrize("style", ["modern", "long", "denied", "curt", "quote"])
def test_at_least_half_of_a_style_is_read_on_topics_held_back(style: str, label: str) -> None:
    assert METRICS["held_back"]["by_style"][style]["accuracy"][label] >= 0.5


def test_probabilities_are_calibrated_on_new_models_of_msts() -> None:
    assert METRICS["within"]["msts"]["calibration_error"] <= 0.03


def test_a_few_labels_are_worth_more_to_the_judge_than_to_a_regression_on_the_same_splits() -> None:
    ours, *others = METRICS["calibration_curve"]["curves"].values()
    for n in ("100", "200", "400", "800"):
        assert all(ours[n]["kappa"][0] > other[n]["kappa"][0] for other in others)
    assert ours["100"]["kappa"][0] > ours["0"]["kappa"][0]


@needs_labels
def test_retraining_gives_the_committed_digest() -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train_offline_judge.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@needs_labels
def test_every_shipped_phrase_is_in_five_responses_of_two_models_or_in_our_own_answers_to_eight_topics() -> None:
    assert LABELS_DIR is not None
    sys.path.insert(0, str(ROOT / "scripts"))
    from train_offline_judge import MIN_TOPICS, OWN_PER_CELL
    from written_answers import written_answers

    texts, models = [], []
    for path in sorted(Path(LABELS_DIR).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            texts.append(normalise(visible(record["response"])))
            models.append(record["model"])
    n_labelled = len(texts)
    own = written_answers(per_cell=OWN_PER_CELL)
    texts += [normalise(visible(answer.text)) for answer in own]
    space = LinearModel.from_bytes(WEIGHTS_PATH.read_bytes()).space
    tokens = tokenise(texts, with_aliases(space.words))
    for order, grams in enumerate(read_ngrams(tokens.ids, tokens, len(space.words) + 2)):
        responses = defaultdict(set)
        shipped = set(space.word_keys[order].tolist())
        for key, row in zip(grams.keys.tolist(), grams.rows.tolist(), strict=True):
            if key in shipped:
                responses[key].add(row)
        assert set(responses) == shipped
        for rows in responses.values():
            labelled = {row for row in rows if row < n_labelled}
            common = len(labelled) >= 5 and len({models[row] for row in labelled}) >= 2
            topics = {own[row - n_labelled].topic for row in rows - labelled}
            assert common or (len(rows) - len(labelled) >= 5 and len(topics) >= MIN_TOPICS)


@needs_labels
def test_no_labelled_sentence_stands_in_our_lists() -> None:
    assert LABELS_DIR is not None
    responses = [
        normalise(json.loads(line)["response"])
        for path in Path(LABELS_DIR).glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    everything = "\n".join(responses)
    source = (ROOT / "scripts" / "train_offline_judge.py").read_text(encoding="utf-8")
    for quoted in re.findall(r'"([^"\n]{60,})"', source):
        assert normalise(quoted) not in everything, quoted
