"""The official layout, built, verified and loaded: `data build`, `data verify`, `load_dataset` of every config.

    python benchmarks/release.py DATA_JSON

DATA_JSON is the official `data.json`; its images are stand-ins made here. Prints the time of each process as a ratio
to `python -c "import pandas"` in the same run, its peak memory, and the rows of every config.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from end_to_end import run

HERE = Path(__file__).parent
LOAD = """
import sys
import datasets
datasets.disable_progress_bars()
configs = ("default", "violent", "illegal_activity", "self_harm", "erotic", "hate", "privacy")
print({c: datasets.load_dataset(sys.argv[1], c, split="test", cache_dir=sys.argv[2]).num_rows for c in configs})
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_json", type=Path)
    data_json = parser.parse_args().data_json
    os.environ["HF_HUB_OFFLINE"] = "1"
    python = sys.executable
    unit = min(run([python, "-c", "import pandas"])[0] for _ in range(5))
    print(f"import pandas: {unit:.3f} s, best of 5")
    with tempfile.TemporaryDirectory() as temporary:
        source, built, cache = Path(temporary) / "official", Path(temporary) / "built", Path(temporary) / "cache"
        subprocess.run([python, str(HERE / "make_release_folder.py"), str(data_json), str(source)], check=True)
        commands = {
            "data build": [python, "-m", "vlsbench", "data", "build", str(source), str(built)],
            "data verify (official)": [python, "-m", "vlsbench", "data", "verify", str(source)],
            "data verify (built)": [python, "-m", "vlsbench", "data", "verify", str(built)],
            "load seven configs": [python, "-c", LOAD, str(built), str(cache)],
        }
        for name, command in commands.items():
            seconds, megabytes = run(command)
            print(f"{name:24} {seconds:6.2f} s = {seconds / unit:5.1f} x import pandas, at most {megabytes:.0f} MB")
        size = sum(path.stat().st_size for path in built.rglob("*.parquet"))
        print(f"built: {size / 1e6:.1f} MB of Parquet with stand-in images")
        subprocess.run([python, "-m", "vlsbench", "data", "verify", str(built)], check=True)
        subprocess.run([python, "-c", LOAD, str(built), str(cache)], check=True)


if __name__ == "__main__":
    main()
