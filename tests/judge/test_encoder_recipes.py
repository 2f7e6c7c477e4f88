"""Recipes of fine-tuning an encoder: what they read, train and compare, on a BERT of two layers."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_encoder import WORDS, make_base


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """`benchmarks/encoder_recipes.py`."""
    for name in ("torch", "transformers", "sklearn"):
        pytest.importorskip(name, reason="the extras 'local' and 'train' are not installed")
    return importlib.import_module("benchmarks.encoder_recipes")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A b c", "a b c"),
        ("a b c d e f g h a b", "a b c d e f g h a b"),
        ("a b c d e f g h a b c", "a b c d e g h a b c"),
        ("a [SEP] b", "a [UNK] [UNK] [UNK] b"),
    ],
    ids=["short", "just fits", "one too many", "a mark that someone typed"],
)
def test_of_a_long_answer_the_two_ends_are_read(text: str, words: str, benchmark: ModuleType, base: Path) -> None:
    (ids,) = benchmark.read_tokens(base, [text], 12)
    assert [WORDS[number] for number in ids] == ["[CLS]", *words.split(), "[SEP]"]


TEXTS = [
    text
    for letter in "abcdefgh"
    for text in (
        f"sorry i can not help with that {letter}",
        f"be careful , it may hurt you {letter}",
        f"first take the ladder {letter} and climb",
    )
]


@pytest.mark.parametrize("rank", [2, None], ids=["low", "full"])
def test_it_learns_the_same_twice_and_leaves_lower_layers(
    rank: int | None, benchmark: ModuleType, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "BATCH", 8)
    monkeypatch.setattr(benchmark, "HEAD_RATE", 3e-2)
    recipe = benchmark.Recipe(n_frozen=1, rank=rank, rate=1e-2, epochs=40)
    was = benchmark.Net(base, recipe).bert.state_dict()
    truth = np.arange(len(TEXTS)) % 3
    lines = benchmark.Lines(benchmark.read_tokens(base, TEXTS), truth, np.ones(len(TEXTS)))
    nets = [benchmark.fine_tune(base, lines, recipe, 1) for _ in range(2)]
    first, second = (benchmark.predict(net, lines.rows) for net in nets)
    assert (first.argmax(axis=1) == truth).all()
    assert (first == second).all()
    now = nets[0].bert.state_dict()
    moved = {name for name in was if not (was[name] == now[name]).all() and "key.bias" not in name}
    inner = {name for name in was if ".1." in name and "key.bias" not in name and "key.inner.bias" not in name}
    moved -= {"encoder.layer.1.attention.self.key.inner.bias"}
    assert moved == (inner if rank is None else {name for name in inner if not name.endswith("inner.weight")})
    alone = np.concatenate([benchmark.predict(nets[0], [row]) for row in lines.rows[:3]])
    assert first[:3] == pytest.approx(alone, abs=1e-4), "padding changes nothing"


def test_a_change_is_cut_to_the_product_that_comes_nearest(benchmark: ModuleType, base: Path) -> None:
    """Two directions were added, 3 and 1 long; of rank one the longer is kept."""
    net = benchmark.Net(base, benchmark.Recipe())
    matrix = net.bert.encoder.layer[0].attention.self.query.weight
    before = matrix.detach().clone()
    matrix.data[0, 0] += 3.0
    matrix.data[1, 1] += 1.0
    benchmark.cut(net, base, 1)
    found = (net.bert.encoder.layer[0].attention.self.query.weight - before).detach().numpy()
    expected = np.zeros_like(found)
    expected[0, 0] = 3.0
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_mean_of_the_weights_is_followed(benchmark: ModuleType, base: Path) -> None:
    lines = benchmark.Lines(benchmark.read_tokens(base, TEXTS[:2]), np.asarray([0, 1]), np.ones(2))
    start = benchmark.RECIPES["all, 1e-4"]._replace(epochs=1)  # two answers: one step
    ends = {a: benchmark.fine_tune(base, lines, start._replace(averaging=a), 1) for a in (0.0, 0.75)}
    name = "encoder.layer.1.output.dense.bias"
    was = benchmark.Net(base, start).bert.state_dict()[name]
    whole, quarter = (end.bert.state_dict()[name] - was for end in ends.values())
    assert quarter.numpy() == pytest.approx(whole.numpy() / 4, abs=1e-7)


def test_weights_make_labels_independent_of_length(benchmark: ModuleType) -> None:
    """Four short answers, one of them unsafe; four long ones, three of them unsafe."""
    labels = np.asarray([2, 0, 0, 0, 2, 2, 2, 0])
    n_words = np.asarray([5] * 4 + [300] * 4)
    found = benchmark.balanced_by_length(np.ones(8), labels, n_words)
    assert found == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3, 2])


def test_a_gain_is_the_difference_of_two_kappas(benchmark: ModuleType) -> None:
    truth = np.arange(100) < 50
    told, before = truth.copy(), truth.copy()
    told[:10], before[:20] = False, False
    prompts = np.asarray([str(number) for number in range(100)])
    # Agreement .9 and .8, by chance .5 both times: kappas .8 and .6.
    gain, low, high = benchmark.gain_of(truth, told, before, prompts)
    assert gain == pytest.approx(0.2)
    assert 0.05 < low < 0.2 < high < 0.35
    assert benchmark.gain_of(truth, before, before, prompts) == (0.0, 0.0, 0.0)
