"""Facts about the repository itself."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vlsbench
from vlsbench.board.lists import build_board
from vlsbench.dataset.index import RELEASE_DIGEST, digest_of, index_of_records, load_index, render_index
from vlsbench.judge.offline import agreement_note

ROOT = Path(__file__).parents[1]
GROUND = (
    "cost",
    "endpoint",
    "error_texts",
    "errors",
    "files",
    "local_page",
    "names",
    "provider",
    "records",
    "taxonomy",
    "text",
    "thought",
    "transport",
    "version",
)
"""Modules at the top of the package that every room may import, and that import only each other."""
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "dataset": (),
    "metrics": ("dataset",),
    "generate": ("dataset",),
    "screening": ("dataset",),
    "judge": ("dataset", "generate"),
    "leakage": ("dataset", "generate", "judge", "metrics"),
    "construct": ("dataset", "generate", "judge", "leakage", "metrics"),
    "align": ("dataset", "generate", "judge", "leakage", "metrics"),
    "submission": ("dataset", "generate", "judge", "metrics"),
    "people": ("dataset", "judge", "metrics", "submission"),
    "store": ("dataset", "judge", "screening", "submission"),
    "board": ("dataset", "judge", "metrics", "screening", "store", "submission"),
    "engine": ("construct", "dataset", "generate", "judge"),
    "plugins": ("dataset", "generate", "judge", "submission"),
    "hub": ("board", "dataset", "judge", "metrics", "store", "submission"),
    "serve": ("hub", "store"),
    "cli": (
        "align",
        "board",
        "construct",
        "dataset",
        "engine",
        "generate",
        "hub",
        "judge",
        "leakage",
        "metrics",
        "people",
        "serve",
        "store",
        "submission",
    ),
}
"""Which rooms a room imports, from the ground up: only rooms that stand before it here. Everyone imports the ground."""
HEAVY = {
    "torch",
    "transformers",
    "gradio",
    "ray",
    "datasets",
    "plotly",
    "openai",
    "scipy",
    "pandas",
    "sklearn",
    "trl",
    "peft",
}


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(vlsbench.__path__, "vlsbench.") if "._" not in m.name]


def source_of(name: str) -> Path:
    path = ROOT / Path(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def listed_files() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def text_files() -> list[Path]:
    names = [name for name in listed_files() if not name.endswith((".parquet", ".png", ".npz", ".xlsx"))]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def python_files() -> list[Path]:
    return [path for path in text_files() if path.suffix == ".py"]


def room_of(name: str) -> str:
    return name.split(".")[1]


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module}
    return found


def rooms_imported() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name in modules():
        ours = {module for module in imports_of(source_of(name)) if module.startswith("vlsbench.")}
        assert "vlsbench" not in imports_of(source_of(name)), f"{name} imports the package itself; name the module"
        found.setdefault(room_of(name), set()).update(room_of(module) for module in ours)
    return found


def test_a_room_imports_only_the_rooms_that_are_written_down() -> None:
    written = {room: {*rooms, *GROUND, room} for room, rooms in MAY_IMPORT.items()}
    written |= {module: set(GROUND) for module in GROUND}
    found = rooms_imported()
    assert found.keys() <= written.keys(), "a new room is written down with what it imports"
    assert {room: rooms - written[room] for room, rooms in found.items() if rooms - written[room]} == {}


def test_every_pair_of_rooms_that_is_written_down_is_used() -> None:
    found = rooms_imported()
    assert {room: set(rooms) - found[room] for room, rooms in MAY_IMPORT.items() if set(rooms) - found[room]} == {}


def test_a_room_stands_behind_all_that_it_imports() -> None:
    order = list(MAY_IMPORT)
    late = {room: [r for r in rooms if order.index(r) >= order.index(room)] for room, rooms in MAY_IMPORT.items()}
    assert {room: rooms for room, rooms in late.items() if rooms} == {}


def test_the_package_never_imports_the_leaderboard_by_name() -> None:
    guilty = [n for n in modules() if any(m.split(".")[0] == "leaderboard" for m in imports_of(source_of(n)))]
    assert guilty == []


@pytest.mark.parametrize("name", ["vlsbench", *modules()])
def test_every_public_name_is_there(name: str) -> None:
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    assert [attribute for attribute in getattr(module, "__all__", []) if not hasattr(module, attribute)] == []


def test_every_name_that_is_imported_from_a_module_is_public_there() -> None:
    names = set(modules())
    guilty = set()
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.module not in names:
                continue
            imported = {a.name for a in node.names if f"{node.module}.{a.name}" not in names}
            public = getattr(importlib.import_module(node.module), "__all__", ())
            if path.is_relative_to(ROOT / "tests"):  # a test may look at what says of itself that it is private
                imported = {name for name in imported if not name.startswith("_")}
            guilty |= {f"{node.module}.{name}" for name in imported - set(public)}
    assert guilty == set()


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], HEAVY | {"numpy", "pyarrow"}),
        (["check", "SUBMISSION"], HEAVY | {"numpy", "pyarrow"}),
        (["judge", "SUBMISSION", "--judge", "offline"], HEAVY),
        (["score", "SUBMISSION"], HEAVY),
    ],
    ids=["help", "check", "judge", "score"],
)
def test_a_command_that_must_start_fast_imports_nothing_heavy(
    arguments: list[str], forbidden: set[str], tmp_path: Path
) -> None:
    (tmp_path / "submission.json").write_text('{"model": "m"}')
    (tmp_path / "responses.jsonl").write_text('{"instruction_id": 0, "response": "I cannot help with that."}\n')
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('LOADED', *{m.split('.')[0] for m in sys.modules}, file=sys.stderr))\n"
        "from vlsbench.cli.main import main\nmain()"
    )
    if arguments[0] == "score":
        command = [sys.executable, "-m", "vlsbench", "judge", str(tmp_path), "--judge", "offline"]
        subprocess.run(command, check=True, capture_output=True)
    call = [str(tmp_path) if a == "SUBMISSION" else a for a in arguments]
    done = subprocess.run([sys.executable, "-c", code, *call], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split("LOADED")[1].split())
    assert not loaded & forbidden


def test_every_error_class_is_raised_somewhere() -> None:
    errors = importlib.import_module("vlsbench.errors")
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "vlsbench").rglob("*.py"))
    raised = [name for name in errors.__all__ if name.endswith("Error") and name != "VLSBenchError"]
    assert [name for name in raised if not re.search(rf"\braise {name}\(|\breturn {name}\(", text)] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {name.rsplit(".", 1)[-1] for name in modules()}
    assert not names & {"utils", "util", "common", "misc", "helpers"}
    assert not (ROOT / "vlsbench" / "vlsbench.py").exists(), "datasets refuses a folder that holds a file of its name"


def test_every_direct_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [d for extra in project["optional-dependencies"].values() for d in extra]
    names = {re.split(r"[\[<>=!~ ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert names <= pinned


def test_the_index_of_the_release_is_the_one_recorded() -> None:
    index = load_index("release")
    assert digest_of(index.rows) == RELEASE_DIGEST
    counts = {config: len(index.select(config).rows) for config in ("violent", "privacy", "erotic")}
    assert (len(index.rows), counts) == (2241, {"violent": 590, "privacy": 130, "erotic": 343})
    assert len({row.image for row in index.rows}) == 1957
    assert len({row.instruction_sha256 for row in index.rows}) == 2226


def test_the_index_is_made_from_the_official_records(release_json: Path) -> None:
    rows = index_of_records(json.loads(release_json.read_text(encoding="utf-8")))
    packaged = ROOT / "vlsbench" / "dataset" / "release_index.csv"
    assert render_index(rows) == packaged.read_text(encoding="utf-8")


def test_no_comment_sends_a_reader_to_a_document_that_is_not_here() -> None:
    """What the project was made from is no part of it: the reason itself stands there, or the paper's section."""
    names = "|".join(("DESIGN", "FACTS", "JUDGES", "FRONTIER", "ANCHORS", "STYLE"))
    reference = re.compile(rf"\b(?:{names})(?:\.md\b|:? [0-9]|: [a-z])")
    guilty = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in text_files()
        if (found := reference.search(path.read_text(encoding="utf-8")))
    ]
    assert guilty == []


def test_no_sentence_of_the_release_is_in_the_repository(release_json: Path) -> None:
    records = json.loads(release_json.read_text(encoding="utf-8"))
    texts = [record[key] for record in records for key in ("instruction", "image_description", "safety_reason")]
    long = {" ".join(text.split()).lower() for text in texts if len(text.split()) >= 8}
    everything = " ".join(" ".join(path.read_text(encoding="utf-8").split()).lower() for path in text_files())
    # Six whole words of a text, past its first: only where these stand may all of it stand.
    inner: dict[tuple[str, ...], list[str]] = {}
    for text in long:
        inner.setdefault(tuple(text.split()[1:7]), []).append(text)
    words = everything.split()
    found = {text for six in zip(*(words[n:] for n in range(6)), strict=False) for text in inner.get(six, ())}
    assert [text for text in found if text in everything] == []


def readme_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_every_python_block_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = readme_blocks()
    assert blocks, "the README shows no Python"
    (tmp_path / "submissions").symlink_to(ROOT / "submissions")
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_readmes_top_rows_are_the_boards() -> None:
    (table,) = build_board(ROOT / "submissions").paper
    best = sorted(table.rows, key=lambda row: -row.safe_rate)[:5]
    rows = [
        f"| {r.model} | {r.safe_rate:.2%} | {r.refusal_rate:.2%} | {r.warning_rate:.2%} |".replace("%", "")
        for r in best
    ]
    assert "\n".join(rows) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_quotes_the_offline_judges_agreement() -> None:
    assert agreement_note() in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_every_path_of_the_readmes_tree_is_there() -> None:
    tree = re.search(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert tree is not None
    paths: list[str] = []
    folder = ""
    for line in tree[1].splitlines():
        name = line.strip().split(" ")[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            paths.append(name)
        else:
            paths.append(folder + name)
    assert [path for path in paths if path and not (ROOT / path).exists()] == []


def test_doctests_hold() -> None:
    import doctest

    failures = {}
    for name in modules():
        if name.startswith(("vlsbench.dataset.builder", "vlsbench.__main__")):
            continue
        failures[name] = doctest.testmod(importlib.import_module(name)).failed
    assert {name: count for name, count in failures.items() if count} == {}
