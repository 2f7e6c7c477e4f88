"""Time and peak memory of an audit without a judge, at several sizes, each in a process of its own.

    python benchmarks/leakage_size.py [--sizes 2241,10000,100000]

The set is invented: questions of 10 to 20 words of 5,000, a label, six categories, an image for two texts of three.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np


def invented_rows(n: int) -> list[dict[str, Any]]:
    """Return rows of words whose frequencies fall like those of a language, with a weak leak of the label."""
    draw = np.random.default_rng(0)
    share = 1 / np.arange(3, 5_003)
    share /= share.sum()
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ai", "ou")]
    spoken = ["".join(draw.choice(syllables, int(draw.integers(2, 5)))) for _ in range(5_000)]
    rows = []
    for number in range(n):
        words = [spoken[k] for k in draw.choice(5_000, size=int(draw.integers(10, 21)), p=share)]
        is_harmful = bool(draw.random() < 0.5)
        if draw.random() < 0.2:
            words.append("sharp" if is_harmful else "soft")
        rows.append(
            {
                "id": number,
                "text": " ".join(words) + "?",
                "image": f"{number * 2 // 3}.png",
                "harmful": is_harmful,
                "category": f"kind {number % 6}",
            }
        )
    return rows


def measure(n: int) -> None:
    """Audit one set in this process and print what it took, as JSON."""
    import pandas as pd

    from vlsbench.leakage.audit import run_audit

    table = pd.DataFrame(invented_rows(n))
    start, cpu = time.perf_counter(), time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stages: list[tuple[str, float]] = []
    audit = run_audit(table, on_stage=lambda stage: stages.append((stage, time.process_time())))
    assert len(audit.report.predictability) == 2, audit.report.notes  # noqa: S101 - else little was timed
    ends = [moment for _, moment in stages[1:]] + [time.process_time()]
    took = {stage: round(end - begin, 1) for (stage, begin), end in zip(stages, ends, strict=True)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                "n": n,
                "seconds": round(time.perf_counter() - start, 1),
                "cpu": round(time.process_time() - cpu, 1),
                "peak_mib": peak // 1024,
                "before_mib": before // 1024,
                "stages": took,
            }
        )
    )


def main() -> None:
    """Print a row per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="2241,10000,100000")
    parser.add_argument("--one", type=int, help="Measure this size here (used by the others).")
    options = parser.parse_args()
    if options.one:
        measure(options.one)
        return
    print("| texts | CPU s | s | peak MiB | of which before | the dearest stages, CPU s |\n|---|---|---|---|---|---|")
    for size in options.sizes.split(","):
        done = subprocess.run([sys.executable, __file__, "--one", size], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        dearest = sorted(found["stages"].items(), key=lambda stage: -stage[1])[:4]
        named = ", ".join(f"{stage} {seconds}" for stage, seconds in dearest)
        numbers = [f"{found[name]:,}" for name in ("n", "cpu", "seconds", "peak_mib", "before_mib")]
        print(f"| {' | '.join(numbers)} | {named} |", flush=True)


if __name__ == "__main__":
    main()
