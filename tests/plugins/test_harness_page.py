"""docs/harnesses.md: the blocks marked runnable run, in their order, as they stand there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "harnesses.md"
BLOCKS = re.findall(r"<!-- runnable -->\n```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_runnable_block_of_the_page_runs(environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    assert len(BLOCKS) == PAGE.read_text(encoding="utf-8").count("<!-- runnable -->") == 4
    said = []
    for block in BLOCKS:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    assert "safe_rate" in said[0]
    assert "condition: text-only" in said[1]
    assert (tmp_path / "judged.eval").is_file()
    assert "6 of the sample" in said[3]
