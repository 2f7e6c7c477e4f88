"""Write the paper's tables into `submissions/paper/`: Tables 16, 2 and 5 of arXiv 2411.19939v3, as printed.

    python scripts/make_paper_rows.py [TABLE16_JSON]

`table2.json` and `table5.json` are written from the numbers below. `table16.json` is written where TABLE16_JSON is
given, which holds `{"rows": {NAME: [refuse, warning, safety], ...}}` in percent. What is added here is what the paper
says of each row elsewhere: Table 3 lists the 20 models, Table 4 the safety-aligned ones with their base models,
Appendix E how they were aligned.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

_OUT = Path(__file__).parents[1] / "submissions" / "paper"
_RENAMED = {"Claude3.5-sonnet-20240620": "Claude-3.5-sonnet-20240620"}
_CLOSED = ("GPT-4o", "Gemini-1.5-pro", "Claude-3.5-sonnet-20240620")
_BASE = {"LLaVA-1.5-7b": "LLaVA-v1.5-7B", "LLaVA-1.5-13b": "LLaVA-v1.5-13B", "Qwen2-VL-7B": "Qwen2-VL-7B"}
_METHODS = {
    "MM-SFT": "multimodal SFT on VLGuard",
    "MM-DPO": "multimodal DPO on SPA-VL",
    "MM-PPO": "multimodal PPO on SPA-VL",
    "Textual-SFT": "textual SFT on filtered SafeRLHF",
    "Textual-DPO": "textual DPO on SPA-VL without its images",
    "Textual-Unlearning": "textual Unlearning on the textual SFT data",
    "Textual-SafeUnlearning": "textual SafeUnlearning on the textual SFT data",
}

_BENCHMARKS = (
    ("JailbreakV, raw queries", "safety", "share of safe answers to the plain queries of a mini-set of about 280"),
    ("JailbreakV, jailbreak queries", "safety", "share of safe answers to the same queries within jailbreak prompts"),
    ("JailbreakV, average", "safety", "average of the two as printed; six of the 18 are not their mean"),
    ("SafeBench", "safety", "share of safe answers to 500 samples"),
    ("VLSafe", "safety", "share of safe answers to about 1,000 samples"),
    ("MME 'Per.'", "ability", "points, under the header as printed"),
    ("MME 'Cog.'", "ability", "points, under the header as printed"),
    ("MMMU", "ability", "accuracy, percent"),
    ("MMStar", "ability", "accuracy, percent"),
    ("MMVet", "ability", "score of 100 that a GPT model gives"),
)
_SAFETY = [name for name, kind, _ in _BENCHMARKS if kind == "safety"]
_ABILITY = [name for name, kind, _ in _BENCHMARKS if kind == "ability"]

_TABLE2 = {
    "LLaVA-v1.5-7B": {
        "": (59.29, 42.85, 51.07, 50.61, 25.32, 355, 1511, 36.44, 33.74, 29.82),
        "MM-SFT": (97.85, 66.07, 81.93, 99.20, 95.95, 288, 1521, 36.44, 34.46, 25.77),
        "MM-DPO": (98.21, 96.07, 97.14, 96.60, 99.91, 240, 1205, 35.67, 30.83, 27.43),
        "MM-PPO": (98.57, 77.50, 88.04, 96.40, 99.73, 276, 1394, 35.67, 32.74, 17.93),
        "Textual-Unlearning": (100, 90.35, 95.18, 99.80, 99.46, 0, 0, 24.22, 17.83, 0),
        "Textual-SafeUnlearning": (97.14, 91.79, 95.77, 91.79, 99.01, 278, 1471, 35.11, 33.09, 26.74),
        "Textual-SFT": (98.21, 93.21, 95.75, 96.40, 99.64, 266, 1362, 33.89, 33.68, 30.64),
        "Textual-DPO": (94.21, 85.93, 90.07, 90.60, 98.02, 271, 1229, 34.44, 34.70, 30.22),
    },
    "LLaVA-v1.5-13B": {
        "": (69.28, 37.85, 56.61, 64.60, 50.00, 293, 1538, 36.00, 35.71, 36.55),
        "MM-SFT": (97.50, 62.86, 80.18, 99.00, 98.02, 278, 1549, 36.22, 35.91, 31.10),
        "MM-DPO": (100, 93.21, 96.61, 99.40, 100, 290, 1350, 27.56, 36.70, 33.89),
        "Textual-SFT": (99.64, 100, 95.53, 97.80, 99.91, 264, 1469, 35.44, 37.48, 30.64),
        "Textual-DPO": (96.07, 84.64, 90.36, 96.40, 98.56, 289, 1447, 37.00, 36.29, 34.49),
    },
    "Qwen2-VL-7B": {
        "": (92.93, 84.28, 87.49, 87.20, 77.48, 628, 1677, 50.11, 57.65, 53.76),
        "MM-SFT": (99.64, 100, 99.82, 100, 99.19, 585, 1509, 47.00, 50.65, 30.27),
        "MM-DPO": (99.64, 97.14, 98.39, 98.60, 100, 613, 1653, 49.80, 59.13, 45.37),
        "Textual-SFT": (99.64, 98.22, 98.93, 98.80, 99.91, 565, 1604, 43.78, 51.13, 46.51),
        "Textual-DPO": (99.64, 96.78, 98.21, 98.80, 99.55, 605, 1670, 50.55, 59.73, 45.27),
    },
}
"""In percent, MME in points, in the order of `_BENCHMARKS`."""

_NOTES = (
    "Six printed JailbreakV averages are not the mean of the two columns before them: LLaVA-v1.5-7B MM-SFT (mean "
    "81.96), Textual-SafeUnlearning (94.47) and Textual-SFT (95.71), LLaVA-v1.5-13B as it is (53.57) and Textual-SFT "
    "(99.82), Qwen2-VL-7B as it is (88.61).",
    "The two MME headers seem to be swapped: the column 'Per.' holds values in the range of cognition, 'Cog.' those of "
    "perception.",
    "Textual-SafeUnlearning has the same number, 91.79, under SafeBench and under JailbreakV with jailbreak queries; "
    "one of them may be copied by mistake.",
    "Textual-Unlearning has 0 on MME and MMVet because, as the paper says, its output repeats itself. It has no row of "
    "VLSBench.",
    "Version 1 of the paper prints 30.64, not 53.76, for Qwen2-VL-7B as it is on MMVet.",
)

_TABLE5 = {
    "Qwen2-VL-7B": {"image+text": (1.0, 15.0, 16.0), "text-only": (19.5, 10.0, 29.5), "caption": (3.5, 19.0, 22.5)},
    "InternVL2.5-8B": {"image+text": (0.0, 17.0, 17.0), "text-only": (8.5, 4.5, 12.5), "caption": (6.5, 5.0, 11.5)},
    "Qwen2.5-7B-Instruct": {"text-only": (1.0, 12.5, 13.5), "caption": (0.5, 21.5, 22.0)},
    "Llama-3.1-8B-Instruct": {"text-only": (10.5, 10.0, 20.5), "caption": (21.0, 12.5, 33.5)},
}
"""Refusal, warning and total in percent."""


def _fraction(percent: float) -> float:
    return round(percent / 100, 4)


def _aligned(base: str, method: str) -> dict[str, object]:
    alignment = "multimodal" if method.startswith("MM") else "textual"
    return {"base_model": base, "alignment": alignment, "method": _METHODS[method]}


def _row(name: str, percent: list[float]) -> dict[str, object]:
    name = _RENAMED.get(name, name)
    base, _, method = name.partition(" ")
    refusal, warning, safe = map(_fraction, percent)
    row: dict[str, object] = {"model": name, "refusal_rate": refusal, "warning_rate": warning, "safe_rate": safe}
    row["access"] = "closed" if name in _CLOSED else "open"
    return {**row, **_aligned(_BASE[base], method)} if method else {**row, "alignment": "none"}


def _table16(source: Path) -> dict[str, object]:
    printed = json.loads(source.read_text(encoding="utf-8"))
    return {
        "origin": "paper",
        "source": printed["source"],
        "judge": printed["judge"],
        "rows": [_row(name, percent) for name, percent in printed["rows"].items()],
    }


def _table2() -> dict[str, object]:
    rows = []
    for base, methods in _TABLE2.items():
        for method, values in methods.items():
            about = _aligned(base, method) if method else {"base_model": base, "alignment": "none"}
            safety = dict(zip(_SAFETY, map(_fraction, values), strict=False))
            abilities = dict(zip(_ABILITY, values[len(_SAFETY) :], strict=True))
            rows.append({"model": f"{base} {method}".strip(), **about, "safety": safety, "abilities": abilities})
    return {
        "origin": "paper",
        "source": "arXiv:2411.19939v3 Table 2",
        "judge": "LlamaGuard3-8B; abilities by lmms-eval",
        "benchmarks": [{"name": name, "kind": kind, "what": what} for name, kind, what in _BENCHMARKS],
        "rows": rows,
        "notes": _NOTES,
    }


def _table5() -> dict[str, object]:
    rows = []
    for model, conditions in _TABLE5.items():
        for condition, values in conditions.items():
            refusal, warning, safe = map(_fraction, values)
            rates = {"refusal_rate": refusal, "warning_rate": warning, "safe_rate": safe}
            rows.append({"model": model, "condition": condition, **rates})
    return {
        "origin": "paper",
        "source": "arXiv:2411.19939v3 Table 5",
        "judge": "GPT-4o (snapshot unstated)",
        "n_samples": 200,
        "rows": rows,
    }


def _write(name: str, table: dict[str, object]) -> None:
    _OUT.mkdir(parents=True, exist_ok=True)
    (_OUT / name).write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(table16: Path | None) -> None:
    """Write the tables beside the other rows of the board."""
    _write("table2.json", _table2())
    _write("table5.json", _table5())
    if table16 is not None:
        _write("table16.json", _table16(table16))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
