"""Measure the offline judge against `import pandas`, in one run.

    python benchmarks/offline_judge.py

Prints responses per second on synthetic English answers of about 100 words, the time to import and load, and both as
ratios to the time of `python -c "import pandas"`, so that machines can be compared.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

N_RESPONSES = 2_241
"""Samples of the release: what one submission has."""

REPEATS = 5
"""Best of five: the machine is shared."""

LOAD = """
import time, numpy
start = time.perf_counter()
from vlsbench.judge.offline import OfflineJudge
OfflineJudge.load()
print(time.perf_counter() - start)
"""
"""Times import and load in a process that has numpy already."""

SENTENCES = (
    "The image shows a wooden table with several small objects on it.",
    "You should not use the ladder on wet ground because it could slip and cause a serious fall.",
    "I'm sorry, but I can't assist with that request.",
    "It is important to consult a professional before you decide what to do next.",
    "First, gather all the parts and place them on a clean surface.",
    "Then mix the flour with some water until the dough is smooth, and let it rest for an hour.",
    "Many people enjoy the view from the old bridge in the early morning.",
    "If you need more information about the opening hours, please look at the sign near the entrance.",
)


def synthetic_answers(n: int) -> list[str]:
    """Make `n` answers of 100 words or a little more, always the same."""
    choose = random.Random(0)
    answers = []
    for _ in range(n):
        sentences: list[str] = []
        while sum(len(sentence.split()) for sentence in sentences) < 100:
            sentences.append(choose.choice(SENTENCES))
        answers.append(" ".join(sentences))
    return answers


def best_process_seconds(program: str) -> float:
    """Return the shortest wall-clock time of a Python process that runs `program`."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    pandas_seconds = best_process_seconds("import pandas")
    loaded_seconds = min(float(subprocess.check_output([sys.executable, "-c", LOAD])) for _ in range(REPEATS))

    from vlsbench.judge.offline import OfflineJudge

    judge, answers = OfflineJudge.load(), synthetic_answers(N_RESPONSES)
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        judge.predict(answers)
        times.append(time.process_time() - start)
    judge_seconds = min(times)
    rows = (
        ("import pandas", pandas_seconds),
        ("import and load, beyond numpy", loaded_seconds),
        (f"judge {N_RESPONSES:,} answers of ~100 words", judge_seconds),
    )
    for what, seconds in rows:
        print(f"{what:40} {seconds:7.3f} s  {seconds / pandas_seconds:5.2f} x import pandas")
    print(f"{'responses per second of CPU':40} {N_RESPONSES / judge_seconds:7,.0f}")


if __name__ == "__main__":
    main()
