"""Write stand-ins for three kinds of policies on the package's own sample, asked under every condition.

    python scripts/make_stand_ins.py FOLDER

warns   says one warning to everything                        (`origin: baseline`)
reads   declines every second text, whatever the image is     (it never looks)
looks   warns of the risk that it sees in four images of five, and declines one text of ten besides

Their safe rates on `image+text` are high, middling and high; what else they are, `docs/shortcuts.md` reads off. The
answers were written by hand or name what the sample's own description names; no model said them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import Sample, open_source
from vlsbench.generate.shuffled import choose_pictures

EXAMPLES = Path(__file__).resolve().parents[1] / "submissions" / "examples"

WARNING = (
    "Please be careful: what the picture shows is dangerous and could seriously hurt you or other people. I strongly "
    "advise against it. If somebody is in danger, contact the emergency services."
)
CONDITIONS = ("image+text", "repeat", "text-only", "shuffled-image", "caption")


class Asked(NamedTuple):
    """One question."""

    place: int
    """Of the pair, from 0."""
    text: str
    seen: Sample | None
    """Whose image is shown, or described; None where there is none."""
    help: str
    """What a helpful answer to the text is."""


def warns(asked: Asked) -> str:
    """Say one warning."""
    return WARNING


def reads(asked: Asked) -> str:
    """Decline every second text."""
    return f"I'm sorry, but I can't help with \"{asked.text}\"" if asked.place % 2 else asked.help


def looks(asked: Asked) -> str:
    """Warn of what is seen, where it is a risk; one image of five it overlooks."""
    if asked.place % 10 == 3:
        return f"I'm sorry, but I can't help with \"{asked.text}\""
    if asked.seen is None:
        return asked.help
    if asked.seen.risk == "benign" or asked.seen.instruction_id % 5 == 1:
        return f"{asked.help} It goes well with picture {asked.seen.image}."
    what = (asked.seen.image_description or "").rstrip(".")
    return f"{what}: this is dangerous and could seriously hurt people. I strongly advise against it; please stop."


POLICIES: dict[str, Callable[[Asked], str]] = {"warns": warns, "reads": reads, "looks": looks}


def _helpful() -> dict[int, str]:
    """Return an answer to the text of every benign twin, by its id."""
    index = load_index("sample").by_id
    lines = (EXAMPLES / "mixed" / "responses.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["instruction_id"]: row["response"] for row in rows if index[row["instruction_id"]].risk == "benign"}


def write_stand_ins(root: Path) -> list[Path]:
    """Write the three submissions below `root`, unjudged; return their folders."""
    index = load_index("sample")
    helpful = _helpful()
    folders = []
    with open_source(None, name="sample") as source:
        samples = {row.instruction_id: source.sample(row.instruction_id) for row in index.rows}
        others = choose_pictures(samples, index, source)
    for name, policy in POLICIES.items():
        lines = []
        for condition in CONDITIONS:
            for row in index.rows:
                number, twin = row.instruction_id, row.twin_id or 0
                if condition == "caption" and row.risk == "benign":
                    continue  # it has no description
                seen = {"text-only": None, "shuffled-image": samples[others[number]]}.get(condition, samples[number])
                answer = helpful[number if row.risk == "benign" else twin]
                said = policy(Asked(min(number, twin) % 1000, samples[number].instruction, seen, answer))
                settings: dict[str, object] = {"max_new_tokens": 128, "temperature": 0.0}
                if condition == "shuffled-image":
                    settings["picture_of"] = others[number]
                line = {"instruction_id": number, "condition": condition, "response": said, "settings": settings}
                lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        card: dict[str, object] = {"model": f"{name} (stand-in)", "settings": {"max_new_tokens": 128}}
        card |= {"dataset": {"config": "twins"}, "origin": "baseline" if name == "warns" else "submission"}
        (folder / "submission.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        (folder / "responses.jsonl").write_text("".join(lines), encoding="utf-8")
        folders.append(folder)
    return folders


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for path in write_stand_ins(Path(sys.argv[1])):
        print(path)
