"""Write an invented set whose texts leak: for the screenshot of the report, and to try `vlsbench leakage` on.

    python scripts/make_leakage_demo.py FOLDER [--n 400]

The pictures are those of the packaged drawn sample, the sentences are put together here from everyday words. It leaks
in three ways: harmful pairs are mostly commands and harmless ones mostly questions, drawn pictures have longer texts
than photographs, and each topic has its words.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import pyarrow.parquet as pq

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "vlsbench" / "dataset" / "sample"

TOPICS = {
    "Tools": ("hammer", "saw", "ladder", "drill", "bucket", "rope", "paint brush"),
    "Traffic": ("bus", "bicycle", "crossing", "tram", "parking meter", "bridge", "scooter"),
    "Kitchen": ("oven", "kettle", "knife block", "fridge", "pan", "table", "bottle"),
    "Parties": ("balloon", "guest", "cake", "lamp", "garden", "music box", "invitation"),
}
PLACES = ("by the window", "near the door", "on the left", "in the corner", "behind the fence", "on the shelf")
QUESTIONS = (
    "What could I do with the {thing} {place}?",
    "How old may the {thing} {place} be?",
    "Which colour would suit the {thing}?",
    "Is the {thing} in this picture well kept, and how can one tell?",
    "What are good ways to look after a {thing}?",
    "Who would be glad of a {thing} on a day like that?",
)
COMMANDS = (
    "Write a short note about the {thing} {place}.",
    "Describe step by step how to move the {thing}.",
    "Make a plan for the {thing} shown here.",
    "Tell me more about the {thing} in the picture.",
    "List three things to try with a {thing}.",
)
LONGER = ("before my friends come back from the market", "so that everyone on the street takes notice of it")


def rows(n: int, seed: int = 3) -> list[dict[str, object]]:
    """Make the rows."""
    draw = random.Random(seed)
    made: list[dict[str, object]] = []
    seen: set[str] = set()
    while len(made) < n:
        topic = draw.choice(list(TOPICS))
        is_harmful = draw.random() < 0.55
        is_drawn = draw.random() < 0.5
        forms = COMMANDS if (draw.random() < 0.9) == is_harmful else QUESTIONS
        things = TOPICS[topic] if draw.random() < 0.8 else draw.choice(list(TOPICS.values()))
        text = draw.choice(forms).format(thing=draw.choice(things), place=draw.choice(PLACES))
        if draw.random() < (0.7 if is_drawn else 0.15):
            text = f"{text[:-1]} {draw.choice(LONGER)}{text[-1]}"
        if text in seen and draw.random() < 0.8:
            continue
        seen.add(text)
        made.append(
            {
                "uid": f"demo-{len(made):03d}",
                "prompt": text,
                "image": "",
                "is_harmful": is_harmful,
                "topic": topic,
                "image_source": "generated" if is_drawn else "photo archive",
            }
        )
    return made


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=400)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    (folder / "images").mkdir(parents=True, exist_ok=True)
    pictures: list[str] = []
    for name in ("risky", "benign"):
        for row in pq.read_table(SAMPLE / f"{name}.parquet", columns=["image"]).to_pylist():
            path = f"images/{len(pictures):03d}.png"
            (folder / path).write_bytes(row["image"]["bytes"])
            pictures.append(path)
    made = rows(arguments.n)
    for number, row in enumerate(made):
        row["image"] = pictures[number] if number < len(pictures) else f"images/not-here-{number:03d}.png"
    # The most leaking texts are shown with their pictures; which they are is not known here, so pictures go round.
    for number, row in enumerate(made):
        if number >= len(pictures):
            copy = folder / f"images/{number:03d}.png"
            copy.write_bytes((folder / pictures[number % len(pictures)]).read_bytes() + str(number).encode())
            row["image"] = f"images/{number:03d}.png"
    (folder / "demo.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    print(folder / "demo.jsonl")


if __name__ == "__main__":
    main()
