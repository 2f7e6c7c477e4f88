"""What `vlsbench align --dry-run` says of memory, beside the peak that a run had; and the time of a step.

    OMP_NUM_THREADS=1 python benchmarks/align_memory.py                # every kind of recipe, five models
    OMP_NUM_THREADS=1 python benchmarks/align_memory.py --model deep   # one of them
    python benchmarks/align_memory.py --model 1b --precision bf16      # with a GPU

Models of random weights, a few steps of each recipe, each after a run of the same kind on the tiny model: libraries are
loaded then. What is measured is the peak above that: of resident memory (Linux), or of what torch allocated on the GPU.
A step is seconds of CPU, with a GPU seconds by the clock.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tiny_models import Size, make_llava  # from the root
from vlsbench.align.audit import DataAudit
from vlsbench.align.miniature.cells import write_data
from vlsbench.align.miniature.model import make_model, make_processor
from vlsbench.align.miniature.plan import ARMS, PLANS, Cell, recipe_changes
from vlsbench.align.recipes import Recipe, make_recipe
from vlsbench.align.rows import TrainingRow, read_rows
from vlsbench.align.training import Step, prepare, train

METHODS = ("t-sft", "mm-sft", "t-dpo", "mm-dpo", "t-unlearning", "t-safe-unlearning", "mm-rl")
STEPS = 4
NO_AUDIT = DataAudit(auc=None, cue=None, cue_accuracy=None, majority=None, points_at_image=None)


class Kind(NamedTuple):
    """A model and what it is trained on."""

    size: Size
    batch_size: int
    n_words: int
    """Of each question."""


MODELS = {
    "tiny": Kind(Size(), 8, 20),
    "deep": Kind(Size(hidden=768, layers=10, heads=8), 2, 12),  # weights are most of it
    "long": Kind(Size(hidden=256, layers=8, heads=4), 6, 60),  # activations are
    "wide": Kind(Size(hidden=256, layers=2, heads=4, vocabulary=32_000), 4, 30),  # logits are
}
LARGE = {
    "1b": Kind(Size(hidden=2048, layers=22, heads=16, vocabulary=32_000), 8, 400),
    "5b": Kind(Size(hidden=4096, layers=32, heads=32, vocabulary=32_000), 8, 400),
}
"""For a GPU of 80 GB; `5b` with adapters only."""
HAS_GPU = torch.cuda.is_available()


def write_rows(folder: Path, n_words: int) -> Path:
    """Write 24 rows with drawn images, for every method."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(24):
        Image.new("RGB", (28, 28), (10 * number, 90, 200 - 5 * number)).save(folder / f"{number}.png")
        line = {
            "id": str(number),
            "prompt": " ".join(["walk"] * n_words) + f" {number}?",
            "image": f"{number}.png",
            "response": "Please be careful here.",
            "rejected": "Look at the image, step back.",
            "kind": "benign" if number % 2 else "harmful",
        }
        lines.append(json.dumps(line))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "rows.jsonl"


def by_length(rows: Sequence[TrainingRow], answers: Sequence[str]) -> list[float | None]:
    """Reward letters."""
    return [sum(map(str.isalpha, answer)) / 8 for answer in answers]


class Steps:
    """Seconds of CPU, with a GPU by the clock, from the first step's end to the last's."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, step: Step) -> None:
        """Note down when a step ended."""
        if step.loss is not None:
            self.ends.append(time.perf_counter() if HAS_GPU else time.process_time())

    @property
    def each(self) -> float:
        """Of one step."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def measure(recipe: Recipe, model: Path, data: Path, folder: Path) -> None:
    """Make a run and print what it was estimated to take and what it took."""
    more: dict[str, Any] = {"audit": NO_AUDIT, "reward": by_length if recipe.method == "mm-rl" else None}
    if recipe.method == "mm-sft-clean":
        more["weights"] = {row.id: 1.0 for row in read_rows(data).rows}
    train(recipe, make_llava(folder / "tiny"), data, folder / "warm", **more)
    before = begin_peak()
    plan = prepare(recipe, model, data, folder / "run", weights=more.get("weights")).plan
    assert plan is not None  # noqa: S101  # these rows have no problem
    steps = Steps()
    train(recipe, model, data, folder / "run", on_step=steps, **more)
    peak = (read_peak() - before) / 1e6
    estimate = sum(plan.memory.values()) / 1e6
    parts = ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in plan.memory.items() if size >= 5e5)
    print(
        f"{model.name:9} {recipe.method + (' LoRA' if recipe.lora_rank else ''):22} {plan.n_weights:11,} "
        f"{plan.n_longest:7} {estimate:8,.0f} {peak:8,.0f} {estimate / peak:6.2f} {steps.each:9.2f}  {parts}",
        flush=True,
    )


def begin_peak() -> int:
    """Let the peak begin anew; return the bytes in use."""
    gc.collect()
    if HAS_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return status("VmRSS")


def read_peak() -> int:
    """Return the most bytes in use since."""
    return torch.cuda.max_memory_allocated() if HAS_GPU else status("VmHWM")


def recipe_of(method: str, lora_rank: int | None, batch_size: int, **changes: Any) -> Recipe:
    """Make a recipe of a few steps."""
    changes |= {"max_steps": STEPS, "batch_size": batch_size, "lora_rank": lora_rank, "save_every": 1000}
    if method == "mm-rl":
        changes |= {"n_answers": 2, "max_new_tokens": 16}
    return make_recipe(method, **changes)


def measure_miniature(folder: Path) -> None:
    """Take each arm of the miniature at its published size, on a base model of the same size with random weights."""
    processor = make_processor()
    base = folder / "miniature"
    make_model(processor, PLANS["published"].base, 0).save_pretrained(base)
    processor.save_pretrained(base)
    for arm in ARMS:
        data, _ = write_data(PLANS["published"], Cell(0, 0.0, arm), folder / f"{arm}-data")
        changes = {**recipe_changes(arm, 0), "max_steps": STEPS}
        measure(make_recipe(arm, **changes), base, data, folder / arm)


def status(name: str) -> int:
    """Return a line of `/proc/self/status` in bytes."""
    line = next(x for x in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if x.startswith(name))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=(*MODELS, *LARGE, "miniature"), action="append")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--lora", choices=("full", "adapters"), help="One of both.")
    parser.add_argument("--checkpointing", action="store_true", help="Activations are computed again.")
    parser.add_argument("--method", choices=METHODS, action="append")
    options = parser.parse_args()
    print(
        f"{'model':9} {'recipe':22} {'weights':>11} {'longest':>7} {'said, MB':>8} {'peak, MB':>8} {'ratio':>6} "
        f"{'s' if HAS_GPU else 'CPU s'} a step"
    )
    for name in options.model or (*MODELS, "miniature"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            if name == "miniature":
                measure_miniature(folder)
                continue
            kind = (MODELS | LARGE)[name]
            with torch.device("cuda" if HAS_GPU else "cpu"):
                model = make_llava(folder / name, size=kind.size)
            data = write_rows(folder / "rows", kind.n_words)
            ranks = {None: (None, 8), "full": (None,), "adapters": (8,)}[options.lora]
            for method, lora in itertools.product(options.method or METHODS, ranks):
                changes = {"checkpointing": options.checkpointing, "precision": options.precision}
                measure(recipe_of(method, lora, kind.batch_size, **changes), model, data, folder / f"{method}-{lora}")
                shutil.rmtree(folder / f"{method}-{lora}")


if __name__ == "__main__":
    main()
