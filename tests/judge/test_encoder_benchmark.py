"""The measurement of a fine-tuned encoder: what it reads, trains and compares, on a BERT of two layers."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_encoder import WORDS, make_base


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """`benchmarks/encoder_fine_tuned.py`."""
    for name in ("torch", "transformers", "sklearn"):
        pytest.importorskip(name, reason="the extras 'local' and 'train' are not installed")
    return importlib.import_module("benchmarks.encoder_fine_tuned")


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
def test_of_a_long_answer_the_two_ends_are_read(
    text: str, words: str, benchmark: ModuleType, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "MAX_TOKENS", 12)
    (ids,) = benchmark.read_tokens(base, [text])
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
    monkeypatch.setattr(benchmark, "EPOCHS", 40)
    monkeypatch.setattr(benchmark, "BATCH", 8)
    method = benchmark.Method(1, rank, 1e-2)
    before = benchmark.Net(base, method)
    hidden = before.lower(benchmark.read_tokens(base, TEXTS))
    truth = np.arange(len(TEXTS)) % 3
    nets = [benchmark.fine_tune(base, benchmark.Lines(hidden, truth, np.ones(len(TEXTS))), method) for _ in range(2)]
    first, second = (benchmark.predict(net, hidden) for net in nets)
    assert (first.argmax(axis=1) == truth).all()
    assert (first == second).all()
    was, now = before.bert.state_dict(), nets[0].bert.state_dict()
    moved = {name for name in was if not (was[name] == now[name]).all() and "key.bias" not in name}
    inner = {name for name in was if ".1." in name and "key.bias" not in name}
    assert moved == (inner if rank is None else {name for name in inner if not name.endswith("inner.weight")})


def test_padding_changes_nothing(benchmark: ModuleType, base: Path) -> None:
    net = benchmark.Net(base, benchmark.Method(1, 2, 1e-2))
    rows = benchmark.read_tokens(base, ["a", "first take the ladder and climb", "b c"])
    together = benchmark.predict(net, net.lower(rows))
    alone = np.concatenate([benchmark.predict(net, net.lower([row])) for row in rows])
    assert together == pytest.approx(alone, abs=1e-5)


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
