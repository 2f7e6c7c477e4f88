"""`make bench`: every benchmark that needs nothing but this repository, and the tests that try many, all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RUNS = (
    ["end_to_end.py"],
    ["offline_judge.py"],
    ["judge_throughput.py"],
    ["judge_faults.py"],
    ["correction_coverage.py"],
    ["policies.py", "--runs", "400"],
    ["ranks.py"],
    ["did_it_look.py", "--samples", "120"],
    ["freshness.py"],
    ["store.py"],
    ["hostile.py"],
    ["leakage_coverage.py"],
    ["leakage_planted.py"],
    ["leakage_size.py"],
    ["page_load.py"],
    ["page_load.py", "--browser"],
    ["screening.py"],
    ["board.py"],
    ["board_pool.py"],
    ["generate.py", "--endpoint"],
    ["construct.py", "--kills", "10"],
    ["construct.py", "--pairs", "500"],
    ["miniature.py", "--quick"],
    ["align_memory.py", "--model", "miniature"],
)
TESTS = ["-m", "pytest", "--quiet", "-m", "hypothesis or fuzz"]
"""`make test` tries a fifth of what these do here."""


def main() -> None:
    """Run them; the exit code is that of the first one that failed."""
    here = Path(__file__).parent
    for name, *arguments in RUNS:
        print(f"\n== benchmarks/{name} {' '.join(arguments)}".rstrip(), flush=True)
        done = subprocess.run([sys.executable, str(here / name), *arguments], check=False)
        if done.returncode:
            sys.exit(done.returncode)
    print("\n== the tests that try many", flush=True)
    full = os.environ | {"VLSBENCH_TEST_EFFORT": "full"}
    sys.exit(subprocess.run([sys.executable, *TESTS], cwd=here.parent, env=full, check=False).returncode)


if __name__ == "__main__":
    main()
