"""Measure whether a fine-tuned small encoder beside the offline judge would agree better on a benchmark left out.

    python benchmarks/encoder_fine_tuned.py --base FOLDER [--method low|full] [--left-out msts|xstest] [LABELS_DIR]

FOLDER has `config.json`, `model.safetensors` and `tokenizer.json` of sentence-transformers/all-MiniLM-L6-v2. Both are
trained on the rows of the offline judge (labels harmonised, our own answers with their weight, classes balanced; no
altered copies for the encoder) without one benchmark, and tested on it: the linear model, the encoder, and the mean of
their probabilities. `low` adds products of rank 32 to the matrices of the upper three layers and tunes their biases and
norms, which is 1.3 MB; `full` changes all six layers. The first and the last 95 tokens of an answer are read. The
encoder's temperature on one benchmark is fitted on the other, where both were run; else it is 1.

What one run said is kept in `encoder-runs/`. One thread: about 5 minutes of a core for a direction of `low`. Nothing is
chosen by these figures.
"""

from __future__ import annotations

import argparse
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
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer
from torch import nn
from transformers import BertConfig, BertModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import train_offline_judge as linear
from written_answers import written_answers

from vlsbench.judge.offline.features import normalise, visible
from vlsbench.records import LABELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SEED = 2241
MAX_TOKENS = 192
EPOCHS, BATCH, WARMUP = 2, 16, 0.1
HEAD_RATE, DECAY, DROPOUT = 1e-3, 0.01, 0.1
"""Dropout in front of the labels only: within the layers it costs a third of the time."""
RUNS = Path("encoder-runs")


class Method(NamedTuple):
    """How the base is changed."""

    n_frozen: int
    """Lowest layers that stay as they are; embeddings always do."""
    rank: int | None
    """Of what is added to each matrix; None changes it whole."""
    rate: float
    """Learning rate."""


METHODS = {"low": Method(3, 32, 1e-3), "full": Method(0, None, 1e-4)}


class Lines(NamedTuple):
    """Answers to train on."""

    hidden: Sequence[torch.Tensor]
    """Per answer what the frozen layers make of it, shape (tokens, width)."""
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
    """The base, and a layer that labels the mean of its last layer's tokens."""

    def __init__(self, base: Path, method: Method) -> None:
        super().__init__()
        settings = json.loads((base / "config.json").read_text(encoding="utf-8"))
        settings |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.bert = BertModel(BertConfig(**settings), add_pooling_layer=False)
        state = load_file(base / "model.safetensors")
        self.bert.load_state_dict({name: state[name] for name in self.bert.state_dict()})
        self.bert.requires_grad_(False)
        self.n_frozen = method.n_frozen
        for layer in self.bert.encoder.layer[method.n_frozen :]:
            for parameter in layer.parameters():
                parameter.requires_grad = method.rank is None or parameter.ndim == 1
            if method.rank is not None:
                own = layer.attention.self
                own.query, own.key, own.value = (Added(part, method.rank) for part in (own.query, own.key, own.value))
                for part in (layer.attention.output, layer.intermediate, layer.output):
                    part.dense = Added(part.dense, method.rank)
        self.drop = nn.Dropout(DROPOUT)
        self.head = nn.Linear(self.bert.config.hidden_size, 3)

    def lower(self, rows: Sequence[list[int]]) -> list[torch.Tensor]:
        """Say what the frozen layers make of answers, each shape (tokens, width)."""
        self.eval()
        found = [torch.empty(0)] * len(rows)
        with torch.no_grad():
            for part in in_batches([len(row) for row in rows]):
                ids = nn.utils.rnn.pad_sequence([torch.tensor(rows[number]) for number in part], batch_first=True)
                mask = _mask([len(rows[number]) for number in part])
                hidden = self.bert.embeddings(input_ids=ids)
                for layer in self.bert.encoder.layer[: self.n_frozen]:
                    hidden = layer(hidden, mask[:, None, None, :])
                for number, states in zip(part, hidden, strict=True):
                    found[number] = states[: len(rows[number])].clone()
        return found

    def forward(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """Score answers from where the frozen layers left them, shape (answers, 3)."""
        states = nn.utils.rnn.pad_sequence(list(hidden), batch_first=True)
        mask = _mask([len(item) for item in hidden])
        for layer in self.bert.encoder.layer[self.n_frozen :]:
            states = layer(states, mask[:, None, None, :])
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        scores: torch.Tensor = self.head(self.drop(mean))
        return scores


def _mask(lengths: Sequence[int]) -> torch.Tensor:
    return torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]


def in_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Deal answers out to batches by length, so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda number: lengths[number])
    return [order[start : start + 64] for start in range(0, len(order), 64)]


def read_tokens(base: Path, texts: Sequence[str]) -> list[list[int]]:
    """Turn answers, as the linear model sees them, into token ids; of a long one the middle is left out."""
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    first, last, half = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]"), (MAX_TOKENS - 2) // 2
    found = []
    for encoding in tokenizer.encode_batch([normalise(visible(text)) for text in texts], add_special_tokens=False):
        ids = encoding.ids
        found.append([first, *(ids if len(ids) <= 2 * half else ids[:half] + ids[-half:]), last])
    return found


def fine_tune(base: Path, lines: Lines, method: Method) -> Net:
    """Train a network of its own; the same lines give the same network on one machine."""
    torch.manual_seed(SEED)
    net = Net(base, method)
    body = [p for name, p in net.named_parameters() if p.requires_grad and not name.startswith("head.")]
    groups = [{"params": body, "lr": method.rate}, {"params": list(net.head.parameters()), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    draw, target = np.random.default_rng(SEED), torch.from_numpy(lines.labels)
    weight = torch.from_numpy(lines.weights).float()
    total = EPOCHS * -(-len(target) // BATCH)
    rise = WARMUP * total
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, max(0.0, (total - step) / (total - rise)))
    )
    lengths = np.asarray([len(item) for item in lines.hidden])
    for epoch in range(EPOCHS):
        net.train()
        began, losses = time.process_time(), []
        for part in _shuffled(lengths, draw):
            scores = net([lines.hidden[number] for number in part])
            loss = (nn.functional.cross_entropy(scores, target[part], reduction="none") * weight[part]).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {time.process_time() - began:.0f} s of CPU", flush=True)
    return net


def _shuffled(lengths: Ints, draw: np.random.Generator) -> list[Ints]:
    """Deal answers out to batches of like length, in random order."""
    order, batches = draw.permutation(len(lengths)), []
    for start in range(0, len(order), 16 * BATCH):
        some = order[start : start + 16 * BATCH]
        some = some[np.argsort(lengths[some], kind="stable")]
        batches += [some[at : at + BATCH] for at in range(0, len(some), BATCH)]
    return [batches[number] for number in draw.permutation(len(batches))]


def predict(net: Net, hidden: Sequence[torch.Tensor]) -> Floats:
    """Score answers, shape (answers, 3)."""
    net.eval()
    scores = np.zeros((len(hidden), 3))
    with torch.inference_mode():
        for part in in_batches([len(item) for item in hidden]):
            scores[part] = net([hidden[number] for number in part]).double().numpy()
    return scores


def measure(base: Path, rows: list[linear.Row], left_out: str, name: str) -> None:
    """Train both without a benchmark and keep what they say of it."""
    method, corpus = METHODS[name], linear.make_corpus(rows, stress=False)
    train_on = np.flatnonzero([row.source != left_out for row in rows])
    test_on = np.flatnonzero([row.source == left_out and row.is_tested for row in rows])
    own = written_answers(per_cell=linear.OWN_PER_CELL)
    labels = np.concatenate([corpus.harmonised[train_on], [LABELS.index(answer.label) for answer in own]])
    weights = np.concatenate([np.ones(len(train_on)), np.full(len(own), linear.OWN_WEIGHT)])
    weights = weights * (len(labels) / (3 * np.bincount(labels, minlength=3)))[labels]
    texts = [rows[number].response for number in train_on] + [answer.text for answer in own]
    frozen = Net(base, method)
    lines = Lines(frozen.lower(read_tokens(base, texts)), labels, weights / weights.mean())
    net = fine_tune(base, lines, method)
    RUNS.mkdir(exist_ok=True)
    np.savez(
        RUNS / f"{left_out}-{name}.npz",
        linear=linear.fit(corpus, train_on, linear.Recipe()).logits(corpus, test_on),
        encoder=predict(net, frozen.lower(read_tokens(base, [rows[number].response for number in test_on]))),
        label=corpus.label[test_on],
        harmonised=corpus.harmonised[test_on],
        prompt=corpus.prompt_id[test_on],
    )


def kappas(truth: Ints, scores: Floats) -> str:
    """Agreement of the likeliest label: three-way / safe-unsafe."""
    told = scores.argmax(axis=1)
    return f"{cohen_kappa_score(truth, told):.3f} / {cohen_kappa_score(truth == 2, told == 2):.3f}"


def gain_of(truth: Bools, told: Bools, before: Bools, prompts: npt.NDArray[np.str_]) -> tuple[float, float, float]:
    """How much more kappa one judge has than another, with a 95% interval of 2,000 resamples of whole prompts."""
    _, cluster = np.unique(prompts, return_inverse=True)
    n = int(cluster.max()) + 1
    draws = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=2000)

    def found(said: Bools) -> Floats:
        table = np.bincount((cluster * 2 + truth) * 2 + said, minlength=4 * n).reshape(n, 4)
        whole = np.concatenate([table.sum(axis=0)[None], draws @ table]).astype(np.float64)
        return linear.kappa_of(whole.reshape(-1, 2, 2))

    gains = found(told) - found(before)
    low, high = np.quantile(gains[1:], [0.025, 0.975]).tolist()
    return float(gains[0]), low, high


def show(name: str, straight: float) -> None:
    """Print the table of what was kept.

    Args:
        straight: Temperature of the linear model.
    """
    runs = {s: dict(np.load(path)) for s in linear.SOURCES if (path := RUNS / f"{s}-{name}.npz").exists()}
    warmth = {s: linear.temperature_of(run["encoder"], run["harmonised"]) for s, run in runs.items()}
    for left_out, run in runs.items():
        others = [warmth[s] for s in runs if s != left_out] or [1.0]
        mean = linear.softmax(run["linear"] / straight) + linear.softmax(run["encoder"] / others[0])
        truth = run["label"]
        safe = gain_of(truth == 2, mean.argmax(1) == 2, run["linear"].argmax(1) == 2, run["prompt"])
        said = ", ".join(
            f"{who} {kappas(truth, scores)}"
            for who, scores in (("linear", run["linear"]), ("encoder", run["encoder"]), ("mean", mean))
        )
        print(f"{left_out} left out, {name}: {said}; mean over linear {safe[0]:+.3f} [{safe[1]:+.3f}, {safe[2]:+.3f}]")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure a fine-tuned encoder beside the offline judge.")
    parser.add_argument("labels", nargs="?", type=Path, default=os.environ.get("VLSBENCH_LABELS_DIR") or None)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--method", choices=sorted(METHODS), default="low")
    parser.add_argument("--left-out", choices=linear.SOURCES)
    arguments = parser.parse_args()
    if arguments.labels is None:
        parser.error("give LABELS_DIR or set VLSBENCH_LABELS_DIR")
    rows = linear.read_rows(Path(arguments.labels))
    for left_out in linear.SOURCES if arguments.left_out is None else (arguments.left_out,):
        measure(arguments.base, rows, left_out, arguments.method)
    show(arguments.method, json.loads((linear.OUT / "metrics.json").read_text(encoding="utf-8"))["temperature"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()
