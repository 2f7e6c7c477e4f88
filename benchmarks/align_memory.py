"""What `vlsbench align --dry-run` says of memory, beside the peak that a run had; and the time of a step.

    OMP_NUM_THREADS=1 python benchmarks/align_memory.py                # every kind of recipe, three models
    OMP_NUM_THREADS=1 python benchmarks/align_memory.py --model deep   # one of them

Models of random weights, three steps of each recipe, each after a run of the same kind on the tiny model: libraries are
loaded then, and what is measured is the peak of resident memory above that (Linux).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tiny_models import Size, make_llava  # from the root
from vlsbench.align.audit import DataAudit
from vlsbench.align.recipes import make_recipe
from vlsbench.align.rows import TrainingRow
from vlsbench.align.training import prepare, train

METHODS = ("t-sft", "mm-sft", "t-dpo", "mm-dpo", "t-unlearning", "t-safe-unlearning", "mm-rl")
STEPS = 3
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


def measure(method: str, lora_rank: int | None, model: Path, data: Path, folder: Path, batch_size: int) -> None:
    """Make a run and print what it was estimated to take and what it took."""
    changes: dict[str, Any] = {"max_steps": STEPS, "batch_size": batch_size, "lora_rank": lora_rank, "save_every": 1000}
    if method == "mm-rl":
        changes |= {"n_answers": 2, "max_new_tokens": 16}
    recipe = make_recipe(method, **changes)
    reward = by_length if method == "mm-rl" else None
    train(recipe, make_llava(folder / "tiny"), data, folder / "warm", audit=NO_AUDIT, reward=reward)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    plan = prepare(recipe, model, data, folder / "run").plan
    assert plan is not None  # noqa: S101  # these rows have no problem
    train(recipe, model, data, folder / "run", audit=NO_AUDIT, reward=reward)
    peak = (status("VmHWM") - before) / 1e6
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    seconds = (lines[-1]["seconds"] - lines[0]["seconds"]) / (STEPS - 1)
    estimate = sum(plan.memory.values()) / 1e6
    parts = ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in plan.memory.items() if size)
    print(
        f"{model.name:5} {method + (' LoRA' if lora_rank else ''):22} {plan.n_weights:11,} {plan.n_longest:7} "
        f"{estimate:8,.0f} {peak:8,.0f} {estimate / peak:6.2f} {seconds:9.2f}  {parts}",
        flush=True,
    )


def status(name: str) -> int:
    """Return a line of `/proc/self/status` in bytes."""
    line = next(x for x in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if x.startswith(name))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=tuple(MODELS), action="append")
    parser.add_argument("--method", choices=METHODS, action="append")
    options = parser.parse_args()
    print(
        f"{'model':5} {'recipe':22} {'weights':>11} {'longest':>7} {'said, MB':>8} {'peak, MB':>8} "
        f"{'ratio':>6} s a step"
    )
    for name in options.model or MODELS:
        kind = MODELS[name]
        with tempfile.TemporaryDirectory() as place:
            model = make_llava(Path(place) / name, size=kind.size)
            data = write_rows(Path(place) / "rows", kind.n_words)
            for method in options.method or METHODS:
                for lora_rank in (None, 8):
                    folder = Path(place) / f"{method}-{lora_rank}"
                    measure(method, lora_rank, model, data, folder, kind.batch_size)


if __name__ == "__main__":
    main()
