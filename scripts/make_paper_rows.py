"""Write `submissions/paper/table16.json`: the 30 rows of Table 16 of arXiv 2411.19939v3, as printed.

    python scripts/make_paper_rows.py TABLE16_JSON

TABLE16_JSON holds `{"rows": {NAME: [refuse, warning, safety], ...}}` in percent. What is added here is what the paper
says of each row elsewhere: Table 3 lists the 20 models, Table 4 the safety-aligned ones with their base models.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

_RENAMED = {"Claude3.5-sonnet-20240620": "Claude-3.5-sonnet-20240620"}
_CLOSED = ("GPT-4o", "Gemini-1.5-pro", "Claude-3.5-sonnet-20240620")
_BASE = {"LLaVA-1.5-7b": "LLaVA-v1.5-7B", "LLaVA-1.5-13b": "LLaVA-v1.5-13B", "Qwen2-VL-7B": "Qwen2-VL-7B"}
_METHODS = {
    "MM-SFT": "multimodal SFT on VLGuard",
    "MM-DPO": "multimodal DPO on SPA-VL",
    "MM-PPO": "multimodal PPO on SPA-VL",
    "Textual-SFT": "textual SFT on filtered SafeRLHF",
    "Textual-DPO": "textual DPO on SPA-VL without its images",
    "Textual-SafeUnlearning": "textual SafeUnlearning on the textual SFT data",
}


def _row(name: str, percent: list[float]) -> dict[str, object]:
    name = _RENAMED.get(name, name)
    base, _, method = name.partition(" ")
    refusal, warning, safe = (round(value / 100, 4) for value in percent)
    row: dict[str, object] = {"model": name, "refusal_rate": refusal, "warning_rate": warning, "safe_rate": safe}
    row["access"] = "closed" if name in _CLOSED else "open"
    if not method:
        return {**row, "alignment": "none"}
    alignment = "multimodal" if method.startswith("MM") else "textual"
    return {**row, "base_model": _BASE[base], "alignment": alignment, "method": _METHODS[method]}


def main(source: Path) -> None:
    """Write the table beside the other rows of the board."""
    printed = json.loads(source.read_text(encoding="utf-8"))
    table = {
        "origin": "paper",
        "source": printed["source"],
        "judge": printed["judge"],
        "rows": [_row(name, percent) for name, percent in printed["rows"].items()],
    }
    out = Path(__file__).parents[1] / "submissions" / "paper" / "table16.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
