"""The built wheel works outside the checkout, in an environment that has never seen it."""

from __future__ import annotations

import json
import os
import shutil
import site
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        ".",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("vlsbench-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment: the wheel, and the dependencies of this one without its editable install."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


def run(python: Path, *arguments: str, cwd: Path) -> str:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_what_its_commands_need(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "vlsbench/py.typed",
        "vlsbench/.huggingface.yaml",
        "vlsbench/dataset/release_index.csv",
        "vlsbench/dataset/sample_index.csv",
        "vlsbench/dataset/sample/risky.parquet",
        "vlsbench/judge/prompts/v1.md",
        "vlsbench/judge/offline/CARD.md",
        "vlsbench/_leaderboard/pages.py",
        "vlsbench/_card/README.md",
        "vlsbench/_submissions/paper/table16.json",
        "vlsbench/_submissions/paper/table2.json",
        "vlsbench/_submissions/paper/table5.json",
        "vlsbench/_card/croissant.json",
    }
    assert wanted - names == set()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "scripts/", "leaderboard/"))]


def test_the_wheel_is_what_is_imported(python: Path, tmp_path: Path) -> None:
    found = run(python, "-c", "import vlsbench; print(vlsbench.__file__)", cwd=tmp_path).strip()
    assert not Path(found).is_relative_to(ROOT)


def test_load_check_judge_score_and_board_work_from_any_folder(python: Path, tmp_path: Path) -> None:
    code = "from vlsbench import load_dataset; print(load_dataset('vlsbench')['test'][0]['image'].size)"
    assert "(512, 512)" in run(python, "-c", code, cwd=tmp_path)
    shutil.copytree(ROOT / "submissions" / "examples" / "mixed", tmp_path / "mixed")
    for folder in ("verdicts", "results"):
        shutil.rmtree(tmp_path / "mixed" / folder)
    assert "good: 0 errors" in run(python, "-m", "vlsbench", "check", "mixed", cwd=tmp_path)
    run(python, "-m", "vlsbench", "judge", "mixed", "--judge", "offline", cwd=tmp_path)
    result = json.loads(run(python, "-m", "vlsbench", "score", "mixed", "--json", cwd=tmp_path))
    committed = ROOT / "submissions" / "examples" / "mixed" / "results" / f"{result['rubric']}.json"
    assert result == json.loads(committed.read_text())
    assert "GPT-4o" in run(python, "-m", "vlsbench", "board", cwd=tmp_path)


def test_serve_answers_on_loopback(python: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(python), "-m", "vlsbench", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        page = b""
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    page = answer.read()
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, process.stdout and process.stdout.read().decode()
                time.sleep(0.25)
        assert b"VLSBench" in page
    finally:
        process.terminate()
        process.communicate(timeout=30)
