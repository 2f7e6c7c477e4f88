"""What the test suite costs by folder, in seconds of CPU: `python benchmarks/suite.py [FOLDER ...]`.

Each folder runs in one process after the other; what its tests start is counted where it is waited for.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def cpu() -> float:
    """Return what the processes that ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run them and print a row each."""
    tests = ROOT / "tests"
    places = [Path(name) for name in sys.argv[1:]] or [
        *(folder for folder in sorted(tests.iterdir()) if any(folder.rglob("test_*.py"))),
        *sorted(tests.glob("test_*.py")),
    ]
    total = 0.0
    print("| tests | CPU s | s | |\n|---|---|---|---|")
    for place in places:
        before, started = cpu(), time.monotonic()
        command = [sys.executable, "-m", "pytest", "--quiet", str(place)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        used = cpu() - before
        total += used
        said = re.sub(r" in [\d.]+s.*", "", done.stdout.strip().splitlines()[-1])
        print(f"| {place.name} | {used:.0f} | {time.monotonic() - started:.0f} | {said} |", flush=True)
    print(f"| all | {total:.0f} | | |")


if __name__ == "__main__":
    main()
