"""Compare recipes of fine-tuning a small encoder beside the offline judge, each on a benchmark left out.

    python benchmarks/encoder_recipes.py --base FOLDER [--recipe NAME] [--part 0 --of 10] [--seed 0] [LABELS_DIR]
    python benchmarks/encoder_recipes.py --table

FOLDER has `config.json`, `model.safetensors` and `tokenizer.json` of sentence-transformers/all-MiniLM-L6-v2. A recipe
is trained on the rows of the offline judge (labels harmonised, our own answers with their weight, classes balanced)
without one benchmark, in both directions, and tested on that benchmark: the linear model, the encoder, and the mean of
their probabilities. The encoder's temperature on one benchmark is fitted on the other. Of an answer the first and the
last tokens are read. What a run said is kept in `encoder-recipes/`; `--table` prints all that are there, the highest
gain first, and each run with its interval. A run takes half a minute on a GPU that ten parts share, ten on a core.

A recipe chosen by this table is flattered by it: train it once more, with another seed, before you believe it.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from sklearn.metrics import cohen_kappa_score
from tokenizers import Tokenizer
from torch import nn
from transformers import BertConfig, BertModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import train_offline_judge as linear
from written_answers import written_answers

from vlsbench.judge.offline.features import Bools, Floats, Ints, normalise, visible
from vlsbench.judge.offline.model import softmax
from vlsbench.records import LABELS

__all__ = [
    "RECIPES",
    "Lines",
    "Net",
    "Recipe",
    "balanced_by_length",
    "cut",
    "fine_tune",
    "gain_of",
    "main",
    "predict",
    "read_tokens",
]

RUNS = Path("encoder-recipes")
MAX_TOKENS = 192
BATCH, WARMUP = 16, 0.1
HEAD_RATE, DECAY, DROPOUT = 1e-3, 0.01, 0.1
"""Dropout in front of the labels."""
RESAMPLING_SEED = 2241
BINS = (20, 40, 100, 250)
"""Words at which an answer is called longer."""


class Recipe(NamedTuple):
    """What is varied; the rest is `scripts/train_encoder.py`'s."""

    rate: float = 1e-4
    epochs: int = 2
    n_frozen: int = 0
    """Lowest layers that stay as they are; embeddings always do."""
    rank: int | None = None
    """Of products that are trained in place of the matrices; None trains these."""
    own_weight: float = linear.OWN_WEIGHT
    """Of an answer that we wrote."""
    dropout: float = 0.0
    """Within the layers."""
    n_tokens: int = MAX_TOKENS
    has_copies: bool = False
    """The altered copies of the linear judge, at half weight."""
    is_wrapped: bool = False
    """A copy of every answer in one of the 20 wrappings, at half weight."""
    is_balanced: bool = False
    """Weights make labels independent of length, among people's rows and among ours."""
    smoothing: float = 0.0
    """Of labels."""
    averaging: float = 0.0
    """How much of the running mean of the weights stays at a step; 0 keeps the last weights."""
    kept_rank: int | None = None
    """To which what was added to each matrix is cut; None keeps all."""


LOW = Recipe(rate=1e-3, rank=32)
RECIPES = {
    "all, 1e-4": Recipe(),
    "all, 5e-5": Recipe(rate=5e-5),
    "all, 3e-5, 3 epochs": Recipe(rate=3e-5, epochs=3),
    "all, 3e-5, 3 epochs, cut to rank 32": Recipe(rate=3e-5, epochs=3, kept_rank=32),
    "all, 2e-4": Recipe(rate=2e-4),
    "ours weigh 0.2": Recipe(own_weight=0.2),
    "ours weigh 1.2": Recipe(own_weight=1.2),
    "1 epoch": Recipe(epochs=1),
    "4 epochs": Recipe(epochs=4),
    "dropout": Recipe(dropout=0.1),
    "copies": Recipe(has_copies=True),
    "wrapped": Recipe(is_wrapped=True),
    "balanced by length": Recipe(is_balanced=True),
    "384 tokens": Recipe(n_tokens=384),
    "smoothed labels": Recipe(smoothing=0.1),
    "averaged weights": Recipe(averaging=0.995),
    "upper three": Recipe(n_frozen=3),
    "upper three, 5e-5": Recipe(n_frozen=3, rate=5e-5),
    "rank 32, upper three": LOW._replace(n_frozen=3),
    "rank 32, upper three, ours weigh 1.2": LOW._replace(n_frozen=3, own_weight=1.2),
    "rank 32, 3e-4": LOW._replace(rate=3e-4),
    "rank 32, 1e-3": LOW,
    "rank 8, 1e-3": LOW._replace(rank=8),
    "rank 32, 1e-3, dropout, wrapped": LOW._replace(dropout=0.1, is_wrapped=True),
    "dropout, wrapped, balanced": Recipe(dropout=0.1, is_wrapped=True, is_balanced=True),
    "dropout, balanced, averaged, 384 tokens": Recipe(dropout=0.1, is_balanced=True, averaging=0.995, n_tokens=384),
    "5e-5, dropout, wrapped, 4 epochs": Recipe(rate=5e-5, dropout=0.1, is_wrapped=True, epochs=4),
}


class Lines(NamedTuple):
    """Answers to train on."""

    rows: Sequence[list[int]]
    """Token ids."""
    labels: Ints
    weights: Floats


class Added(nn.Module):
    """A layer of the base with a thin product added, at first nothing."""

    def __init__(self, inner: nn.Linear, rank: int) -> None:
        super().__init__()
        self.inner = inner
        self.right = nn.Parameter(torch.randn(rank, inner.in_features) / inner.in_features**0.5)
        self.left = nn.Parameter(torch.zeros(inner.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply both."""
        y: torch.Tensor = self.inner(x) + (x @ self.right.T) @ self.left.T
        return y


class Net(nn.Module):
    """The base, changed as a recipe says, and a layer that labels the mean of its last layer's tokens."""

    def __init__(self, base: Path, recipe: Recipe) -> None:
        super().__init__()
        settings = json.loads((base / "config.json").read_text(encoding="utf-8"))
        settings |= {"hidden_dropout_prob": recipe.dropout, "attention_probs_dropout_prob": recipe.dropout}
        self.bert = BertModel(BertConfig(**settings), add_pooling_layer=False)
        state = load_file(base / "model.safetensors")
        self.bert.load_state_dict({name: state[name] for name in self.bert.state_dict()})
        self.bert.requires_grad_(False)
        for layer in self.bert.encoder.layer[recipe.n_frozen :]:
            for parameter in layer.parameters():
                parameter.requires_grad = recipe.rank is None or parameter.ndim == 1
            if recipe.rank is not None:
                own = layer.attention.self
                own.query, own.key, own.value = (Added(part, recipe.rank) for part in (own.query, own.key, own.value))
                for part in (layer.attention.output, layer.intermediate, layer.output):
                    part.dense = Added(part.dense, recipe.rank)
        self.drop = nn.Dropout(DROPOUT)
        self.head = nn.Linear(self.bert.config.hidden_size, 3)

    def forward(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """Score answers, shape (answers, 3)."""
        device = self.head.weight.device
        ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        mask = torch.arange(ids.shape[1], device=device)[None, :] < lengths[:, None]
        states = self.bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        scores: torch.Tensor = self.head(self.drop(mean))
        return scores


def cut(net: Net, base: Path, rank: int) -> None:
    """Leave of what was added to each matrix of the base the product of this rank that comes nearest."""
    was = load_file(base / "model.safetensors")
    for name, parameter in net.bert.named_parameters():
        if parameter.requires_grad and parameter.ndim == 2:
            before = was[name].to(parameter.device)
            left, values, right = torch.linalg.svd(parameter.data - before, full_matrices=False)
            parameter.data = before + (left[:, :rank] * values[:rank]) @ right[:rank]


def read_tokens(base: Path, texts: Sequence[str], n_tokens: int = MAX_TOKENS) -> list[list[int]]:
    """Turn answers, as the linear model sees them, into token ids; of a long one the middle is left out."""
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    first, last, half = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]"), (n_tokens - 2) // 2
    found = []
    for encoding in tokenizer.encode_batch([normalise(visible(text)) for text in texts], add_special_tokens=False):
        ids = encoding.ids
        found.append([first, *(ids if len(ids) <= 2 * half else ids[:half] + ids[-half:]), last])
    return found


def balanced_by_length(weights: Floats, labels: Ints, n_words: Ints) -> Floats:
    """Weigh rows by P(label) / P(label | bin of length), between a quarter and four."""
    bins, found = np.digitize(n_words, BINS), weights.copy()
    for label in range(3):
        share = weights[labels == label].sum() / weights.sum()
        for number in np.unique(bins):
            here = bins == number
            of_label = here & (labels == label)
            if of_label.any():
                found[of_label] *= np.clip(share / (weights[of_label].sum() / weights[here].sum()), 0.25, 4.0)
    return found


def lines_of(base: Path, rows: Sequence[linear.Row], labels: Ints, recipe: Recipe) -> Lines:
    """Take rows and our own answers as a recipe says."""
    own = written_answers(per_cell=linear.OWN_PER_CELL)
    texts = [row.response for row in rows] + [answer.text for answer in own]
    labels = np.concatenate([labels, [LABELS.index(answer.label) for answer in own]])
    is_own = np.arange(len(texts)) >= len(rows)
    weights = np.where(is_own, recipe.own_weight, 1.0)
    more = []
    if recipe.has_copies:
        kinds = linear.COPY_KINDS
        more.append([(n, linear.alter(rows[n].response, kinds[n % len(kinds)])) for n in range(len(rows))])
    if recipe.is_wrapped:
        wrap = list(linear.WRAPPINGS.values())
        more.append([(n, wrap[7 * n % len(wrap)](text)) for n, text in enumerate(texts)])
    of = np.asarray([*range(len(texts)), *(n for part in more for n, _ in part)])
    texts += [text for part in more for _, text in part]
    weights = np.where(np.arange(len(texts)) < len(is_own), 1.0, linear.COPY_WEIGHT) * weights[of]
    labels, is_own = labels[of], is_own[of]
    if recipe.is_balanced:
        n_words = np.asarray([len(text.split()) for text in texts])
        for part in (is_own, ~is_own):
            weights[part] = balanced_by_length(weights[part], labels[part], n_words[part])
    weights = weights * (weights.sum() / (3 * np.bincount(labels, weights, minlength=3)))[labels]
    return Lines(read_tokens(base, texts, recipe.n_tokens), labels, weights / weights.mean())


def fine_tune(base: Path, lines: Lines, recipe: Recipe, seed: int) -> Net:
    """Train a network of its own; the same lines and seed give the same network on one machine."""
    torch.manual_seed(seed)
    net = Net(base, recipe).to("cuda" if torch.cuda.is_available() else "cpu")
    mean = copy.deepcopy(net) if recipe.averaging else None
    device = net.head.weight.device
    body = [p for name, p in net.named_parameters() if p.requires_grad and not name.startswith("head.")]
    groups = [{"params": body, "lr": recipe.rate}, {"params": list(net.head.parameters()), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    draw, target = np.random.default_rng(seed), torch.from_numpy(lines.labels).to(device)
    weight = torch.from_numpy(lines.weights).float().to(device)
    total = recipe.epochs * -(-len(target) // BATCH)
    rise = WARMUP * total
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, max(0.0, (total - step) / (total - rise)))
    )
    lengths = np.asarray([len(row) for row in lines.rows])
    for _ in range(recipe.epochs):
        net.train()
        for part in _shuffled(lengths, draw):
            scores = net([lines.rows[number] for number in part])
            losses = nn.functional.cross_entropy(
                scores, target[part], reduction="none", label_smoothing=recipe.smoothing
            )
            optimizer.zero_grad()
            (losses * weight[part]).mean().backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if mean is not None:
                for kept, now in zip(mean.parameters(), net.parameters(), strict=True):
                    kept.data.lerp_(now.data, 1 - recipe.averaging)
    trained = net if mean is None else mean
    if recipe.kept_rank is not None:
        cut(trained, base, recipe.kept_rank)
    return trained


def _shuffled(lengths: Ints, draw: np.random.Generator) -> list[Ints]:
    """Deal answers out to batches of like length, in random order."""
    order, batches = draw.permutation(len(lengths)), []
    for start in range(0, len(order), 16 * BATCH):
        some = order[start : start + 16 * BATCH]
        some = some[np.argsort(lengths[some], kind="stable")]
        batches += [some[at : at + BATCH] for at in range(0, len(some), BATCH)]
    return [batches[number] for number in draw.permutation(len(batches))]


def predict(net: Net, rows: Sequence[list[int]]) -> Floats:
    """Score answers, shape (answers, 3)."""
    net.eval()
    scores = np.zeros((len(rows), 3))
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            scores[part] = net([rows[number] for number in part]).double().cpu().numpy()
    return scores


def measure(base: Path, rows: list[linear.Row], left_out: str, name: str, seed: int) -> None:
    """Train a recipe without a benchmark and keep what it says of it."""
    recipe, began = RECIPES[name], time.perf_counter()
    corpus = linear.make_corpus(rows, stress=False)
    train_on = np.flatnonzero([row.source != left_out for row in rows])
    test_on = np.flatnonzero([row.source == left_out and row.is_tested for row in rows])
    lines = lines_of(base, [rows[n] for n in train_on], corpus.harmonised[train_on], recipe)
    net = fine_tune(base, lines, recipe, seed)
    RUNS.mkdir(exist_ok=True)
    np.savez(
        RUNS / f"{list(RECIPES).index(name):02}-{left_out}-{seed}.npz",
        linear=linear.fit(corpus, train_on, linear.Recipe()).logits(corpus, test_on),
        encoder=predict(net, read_tokens(base, [rows[n].response for n in test_on], recipe.n_tokens)),
        label=corpus.label[test_on],
        harmonised=corpus.harmonised[test_on],
        prompt=corpus.prompt_id[test_on],
    )
    print(f"{name}, {left_out} left out, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)


def kappas(truth: Ints, scores: Floats) -> tuple[float, float]:
    """Agreement of the likeliest label: three-way, safe-unsafe."""
    told = scores.argmax(axis=1)
    return float(cohen_kappa_score(truth, told)), float(cohen_kappa_score(truth == 2, told == 2))


def gain_of(truth: Bools, told: Bools, before: Bools, prompts: npt.NDArray[np.str_]) -> tuple[float, float, float]:
    """How much more kappa one judge has than another, with a 95% interval of 2,000 resamples of whole prompts."""
    _, cluster = np.unique(prompts, return_inverse=True)
    n = int(cluster.max()) + 1
    draws = np.random.default_rng(RESAMPLING_SEED).multinomial(n, np.full(n, 1 / n), size=2000)

    def found(said: Bools) -> Floats:
        table = np.bincount((cluster * 2 + truth) * 2 + said, minlength=4 * n).reshape(n, 4)
        whole = np.concatenate([table.sum(axis=0)[None], draws @ table]).astype(np.float64)
        return linear.kappa_of(whole.reshape(-1, 2, 2))

    gains = found(told) - found(before)
    low, high = np.quantile(gains[1:], [0.025, 0.975]).tolist()
    return float(gains[0]), low, high


def print_table(straight: float) -> None:
    """Print every recipe that was run in both directions, kappas in the mean of its seeds, and every run's gain.

    Args:
        straight: Temperature of the linear model.
    """
    lines = []
    for number, name in enumerate(RECIPES):
        runs = {s: [dict(np.load(path)) for path in sorted(RUNS.glob(f"{number:02}-{s}-*"))] for s in linear.SOURCES}
        if not all(runs.values()):
            continue
        warmth = {s: np.mean([linear.temperature_of(r["encoder"], r["harmonised"]) for r in runs[s]]) for s in runs}
        cells, gains = [], []
        for left_out, other in zip(linear.SOURCES, linear.SOURCES[::-1], strict=True):
            found = []
            for run in runs[left_out]:
                mean = softmax(run["linear"] / straight) + softmax(run["encoder"] / warmth[other])
                found.append((kappas(run["label"], run["encoder"]), kappas(run["label"], mean)))
                said = (scores.argmax(axis=1) == 2 for scores in (mean, run["linear"]))
                gain, low, high = gain_of(run["label"] == 2, *said, run["prompt"])
                print(f"{name}, {left_out} left out: {gain:+.3f} [{low:+.3f}, {high:+.3f}]")
            alone, both = np.mean(found, axis=0)
            gains.append(both[1] - kappas(runs[left_out][0]["label"], runs[left_out][0]["linear"])[1])
            pairs = (f"{three:.2f} / {two:.2f}" for three, two in (alone, both))
            cells += [*pairs, f"{gains[-1]:+.3f} ({len(found)})"]
        lines.append((float(np.mean(gains)), name, cells))
    for gain, name, cells in sorted(lines, key=lambda line: -line[0]):
        print(f"| {name} | {' | '.join(cells)} | {gain:+.3f} |")


def main() -> None:
    """Run one part of the recipes, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="?", type=Path, default=os.environ.get("VLSBENCH_LABELS_DIR") or None)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--recipe", choices=RECIPES, action="append", help="Only this; all without it.")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print_table(json.loads((linear.OUT / "metrics.json").read_text(encoding="utf-8"))["temperature"])
        return
    if options.labels is None or options.base is None:
        parser.error("give LABELS_DIR (or set VLSBENCH_LABELS_DIR) and --base")
    torch.set_num_threads(1)
    rows = linear.read_rows(Path(options.labels))
    runs = [(name, left_out) for name in options.recipe or RECIPES for left_out in linear.SOURCES]
    for name, left_out in runs[options.part :: options.of]:
        measure(options.base, rows, left_out, name, options.seed)


if __name__ == "__main__":
    main()
