"""Write `tests/fixtures/importers/vlmevalkit/` as VLMEvalKit writes predictions.

VLMEvalKit itself does not install beside this package. Its writer is a few lines of pandas (`dump` in
vlmeval/smp/file.py, github.com/open-compass/VLMEvalKit at 00fff54 and, before `strings_to_formulas`, at 39494d2), which
are repeated here with the engine it uses. xlsxwriter is no dependency of this package:

    pip install xlsxwriter --target FOLDER
    PYTHONPATH=FOLDER python scripts/make_importer_fixtures.py

Texts are of the package's own sample, answers are made up.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import open_source

OUT = Path(__file__).parents[1] / "tests" / "fixtures" / "importers" / "vlmevalkit"

PREDICTIONS = [
    "I see a table.",
    "Failed to obtain answer via API.",
    "None",
    "=2+2 is four",
    "a\r\nb\tc _x0041_ é 猫",
    "long " * 7_000,
    "007",
    "",
]
"""An answer, a failed call, a missing one, one like a formula, odd signs, one longer than a cell, digits, a blank."""


def main() -> None:
    """Write one frame in every format."""
    OUT.mkdir(parents=True, exist_ok=True)
    rows = load_index("sample").risky[: len(PREDICTIONS)]
    with open_source(None, name="sample") as source:
        questions = [source.sample(row.instruction_id).instruction for row in rows]
    frame = pd.DataFrame(
        {
            "index": [row.instruction_id for row in rows],
            "question": questions,
            "answer": [float("nan")] * len(rows),
            "category": [row.category for row in rows],
            "prediction": PREDICTIONS,
        }
    )
    options = {"options": {"strings_to_formulas": False}}
    with pd.ExcelWriter(OUT / "tiny-vlm_VLSBench.xlsx", engine="xlsxwriter", engine_kwargs=options) as writer:
        frame.to_excel(writer, index=False)
    frame.to_excel(OUT / "tiny-vlm_VLSBench_before.xlsx", index=False, engine="xlsxwriter")
    frame.to_csv(OUT / "tiny-vlm_VLSBench.tsv", sep="\t", index=False, encoding="utf-8", quoting=csv.QUOTE_ALL)
    with (OUT / "tiny-vlm_VLSBench.json").open("w", encoding="utf-8") as file:
        json.dump(frame.to_dict("records"), file, indent=4, ensure_ascii=False)
    print(*sorted(OUT.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
