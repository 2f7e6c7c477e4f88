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

import pytest

from vlsbench.judge.offline import OfflineJudge
from vlsbench.judge.offline.card import CARD_PATH, METRICS_PATH, render_card
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
def test_every_shipped_phrase_is_in_five_responses_of_two_models_or_in_our_own_answers() -> None:
    assert LABELS_DIR is not None
    sys.path.insert(0, str(ROOT / "scripts"))
    from offline_judge_seeds import seed_responses

    texts, models = [], []
    for path in sorted(Path(LABELS_DIR).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            texts.append(normalise(visible(record["response"])))
            models.append(record["model"])
    n_labelled = len(texts)
    texts += [normalise(visible(seed.response)) for seed in seed_responses(8)]
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
            assert common or len(rows) - len(labelled) >= 5


@needs_labels
def test_no_labelled_sentence_stands_in_our_own_answers_or_lists() -> None:
    assert LABELS_DIR is not None
    responses = [
        normalise(json.loads(line)["response"])
        for path in Path(LABELS_DIR).glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    everything = "\n".join(responses)
    for name in ("offline_judge_seeds.py", "train_offline_judge.py"):
        source = (ROOT / "scripts" / name).read_text(encoding="utf-8")
        for quoted in re.findall(r'"([^"\n]{60,})"', source):
            assert normalise(quoted) not in everything, quoted
