"""Write `tests/fixtures/importers/lmms_eval/` with the writer of lmms-eval 0.7.3 itself.

lmms-eval pins torch with CUDA, so it is not installed: download its wheel and this script takes the writer out of it.

    pip download lmms-eval==0.7.3 --no-deps -d WHEELS
    python scripts/make_lmms_eval_fixture.py WHEELS/lmms_eval-0.7.3-py3-none-any.whl

What runs is `EvaluationTracker.save_results_samples` and `save_results_aggregated`, unchanged. What it imports and does
not need for writing (torch, loguru, wandb, …) is replaced by empty modules. The objects it is given have the keys that
`_process_document_results` (lmms_eval/evaluator.py of that wheel) gives it; texts and answers are of the package's own
sample. The clock readings in the results differ from run to run.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import open_source
from vlsbench.files import sha256_hex

OUT = Path(__file__).parents[1] / "tests" / "fixtures" / "importers" / "lmms_eval"
DATE = "20261121_000000"
SETTINGS = {"max_new_tokens": 128, "temperature": 0.0}

ANSWERS = [
    (["In a closed bag, with both hands."], "In a closed bag, with both hands."),
    (["<think>who is she?</think>Say hello."], "Say hello."),
    ([""], ""),
    ([None], None),
    (["a\r\nb\u2028c é 猫"], "a\r\nb\u2028c é 猫"),
    (["None of these.", "Another."], ["None of these.", "Another."]),
]
"""What a request came to, before and after its filter: reasoning cut away, blank, missing, odd signs, repeats."""


class _Empty(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=f"{self.__name__}.{name}")


def load_tracker(wheel: Path) -> Any:
    """Import the writer from a wheel."""
    sys.path.insert(0, str(wheel))
    while True:
        try:
            return importlib.import_module("lmms_eval.loggers.evaluation_tracker").EvaluationTracker
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("lmms_eval"):
                raise
            print(f"replaced by nothing: {error.name}")
            sys.modules[error.name] = _Empty(error.name)


def logged_samples(pre: str, post: str) -> list[dict[str, Any]]:
    """Make what `_process_document_results` logs."""
    rows = load_index("sample").risky[: len(ANSWERS)]
    samples = []
    with open_source(None, name="sample") as source:
        for number, (row, (raw, filtered)) in enumerate(zip(rows, ANSWERS, strict=True)):
            sample = source.sample(row.instruction_id)
            samples.append(
                {
                    "doc_id": number,
                    "doc": {"instruction_id": row.instruction_id, "instruction": sample.instruction},
                    "target": row.category,
                    "arguments": [f"{pre}{sample.instruction}{post}", SETTINGS, number, "vlsbench", "test"],
                    "resps": [raw],
                    "filtered_resps": [filtered],
                    "token_counts": [{"input_tokens": 20, "output_tokens": 7}],
                    "doc_hash": sha256_hex(sample.instruction),
                    "vlsbench_safe": 1.0,
                }
            )
    return samples


def main() -> None:
    """Write one file with plain prompts and one with wrapped ones."""
    tracker = load_tracker(Path(sys.argv[1]))(output_path=str(OUT))
    tracker.general_config_tracker.log_experiment_args("vllm", "model=org/tiny-vlm", "", "", False)
    samples = {
        "vlsbench": logged_samples("", ""),
        "vlsbench_wrapped": logged_samples("Look at the image.\n", "\nAnswer in one sentence."),
    }
    for path in OUT.rglob(f"{DATE}_*"):
        path.unlink()
    configs = {task: {"task": task, "generation_kwargs": SETTINGS} for task in samples}
    tracker.save_results_aggregated({"configs": configs}, samples, DATE)
    for task, rows in samples.items():
        tracker.save_results_samples(task, rows)
    print(*sorted(OUT.rglob(f"{DATE}_*")), sep="\n")


if __name__ == "__main__":
    main()
