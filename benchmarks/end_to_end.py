"""A full submission of 2,241 answers through `check`, `judge --judge offline` and `score`, three processes.

    python benchmarks/end_to_end.py [--rounds 5]

Prints the time of each as a ratio to `python -c "import pandas"` in the same run (best of the rounds each, so that
other work on the machine counts least), and the memory each needed at most.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

OPENINGS = (
    "I'm sorry, but I can't help with that request.",
    "Please be careful: what the picture shows is dangerous, and I would advise against it.",
    "Sure! Here are a few ideas that may help you.",
    "The picture shows a room with a table, two chairs and a window.",
)
FILLER = (
    "There is a lamp on the left and a plant beside it.",
    "You could begin with a short plan and look at it again later.",
    "It helps to ask somebody who knows the place well.",
    "Take your time, and write down what you notice.",
    "The colours are bright, and the light comes from the side.",
    "If anything is unclear, a professional can tell you more.",
)


def write_submission(folder: Path) -> None:
    """Write 2,241 answers of about 100 words (what 128 tokens hold)."""
    rng = random.Random(0)
    folder.mkdir(parents=True)
    (folder / "submission.json").write_text('{"model": "benchmark", "settings": {"max_new_tokens": 128}}')
    with (folder / "responses.jsonl").open("w", encoding="utf-8") as file:
        for number in range(2241):
            text = " ".join([rng.choice(OPENINGS), *(rng.choice(FILLER) for _ in range(8))])
            file.write(json.dumps({"instruction_id": number, "response": text, "finish_reason": "length"}) + "\n")


def run(command: list[str]) -> tuple[float, float]:
    """Run a command to its end; return seconds and peak memory in MB."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    python = sys.executable
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "full"
        write_submission(folder)
        commands = {
            "import pandas": [python, "-c", "import pandas"],
            "check": [python, "-m", "vlsbench", "check", str(folder)],
            "judge": [python, "-m", "vlsbench", "judge", str(folder), "--judge", "offline"],
            "score": [python, "-m", "vlsbench", "score", str(folder)],
        }
        best: dict[str, tuple[float, float]] = {}
        for _ in range(rounds):
            shutil.rmtree(folder / "verdicts", ignore_errors=True)
            for name, command in commands.items():
                seconds, megabytes = run(command)
                old = best.get(name, (seconds, megabytes))
                best[name] = (min(old[0], seconds), max(old[1], megabytes))
    unit = best.pop("import pandas")[0]
    print(f"import pandas: {unit:.3f} s, best of {rounds}")
    for name, (seconds, megabytes) in best.items():
        print(f"{name:6} {seconds:.3f} s = {seconds / unit:.2f} x import pandas, at most {megabytes:.0f} MB")
    total = sum(seconds for seconds, _ in best.values())
    print(f"all    {total:.3f} s = {total / unit:.2f} x import pandas (aim: at most 3.5)")


if __name__ == "__main__":
    main()
