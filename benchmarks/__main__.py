"""`make bench`: every benchmark that needs nothing but this repository, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUNS = (
    ["end_to_end.py"],
    ["offline_judge.py"],
    ["judge_throughput.py"],
    ["judge_faults.py"],
    ["correction_coverage.py"],
    ["store.py"],
    ["hostile.py"],
    ["page_load.py"],
    ["screening.py"],
    ["board.py"],
    ["board_pool.py"],
    ["generate.py", "--endpoint"],
)


def main() -> None:
    """Run them; the exit code is that of the first one that failed."""
    here = Path(__file__).parent
    for name, *arguments in RUNS:
        print(f"\n== benchmarks/{name} {' '.join(arguments)}".rstrip(), flush=True)
        done = subprocess.run([sys.executable, str(here / name), *arguments], check=False)
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
