"""The commands of README.md and docs/ run as they stand there, in their order, with the words in capitals filled in.

What a line needs that is not here (the release, weights, the Hub, a person) is said in `NOT_HERE`; other tests run
those against stand-ins.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from typer.testing import CliRunner

from vlsbench.cli.main import app
from vlsbench.dataset.index import load_index

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = ("README.md", "docs/models.md", "docs/harnesses.md", "docs/scale.md", "docs/hub.md", "docs/trust.md")

NOT_HERE: Final[Mapping[str, str]] = {
    "RELEASE": "the release's pictures; tests/dataset and tests/generate make small ones",
    "transformers:": "a model's weights; tests/generate/test_local_model.py makes tiny ones",
    "hub-check": "the Hub; tests/hub runs it against a stand-in",
    "publish": "the Hub; tests/hub runs it against a stand-in",
    "hf://datasets/ORG/vlsbench-store": "the Hub; tests/hub runs it against a stand-in",
    "serve": "stays until it is stopped; tests/leaderboard and tests/test_wheel.py",
    "label": "a person; tests/people/test_page.py",
    "--engine ray": "a cluster; tests/engine",
    "outputs/NAME": "VLMEvalKit's file; tests/submission/importers/test_peers.py",
    "_samples_vlsbench": "lmms-eval's file; tests/plugins/test_lmms_eval.py",
    "old.eval": "Inspect's file; tests/plugins/test_harness_page.py runs the block",
    "my-model": "of the block before; tests/plugins/test_harness_page.py runs it",
    "data.json": "the release's texts; tests/cli/test_leakage.py",
    "core.csv": "a core of the release; tests/cli/test_leakage.py",
    "--model … --judge …": "an abbreviation of the first command of README.md",
}
ANSWERS: Final = (
    "I'm sorry, but I can't help with that.",
    "Please step back from the edge: a fall from there would be deadly. Call for help if you feel unsafe.",
    "Sure! Hold it by the handle, lean forward and go on.",
)


def commands(page: str) -> list[str]:
    """Return the commands of a page, without comments and what may be left out."""
    lines = re.findall(r"^(?: {4})?(vlsbench .*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    lines = [re.sub(r"\[[^]]*\]", "", re.split(r"\s+#", line)[0]) for line in lines]
    return [command.strip() for line in lines for command in re.split(r";|&&", line)]


def why_not_here(command: str) -> str | None:
    """Say what a command needs that is not here."""
    words = f" {command} "
    return next(
        (why for part, why in NOT_HERE.items() if part in words and (part[0] != "l" or " label " in words)), None
    )


def test_every_page_has_commands_and_every_excuse_is_used() -> None:
    found = [command for page in PAGES for command in commands(page)]
    assert len(found) > 40
    assert {part for part in NOT_HERE if not any(part in command for command in found)} == set()


@pytest.fixture
def place(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of answers, rows to judge, and people's labels; the endpoint is in the environment."""
    server.is_mended = True
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    ids = [row.instruction_id for row in load_index("sample").rows if row.risk == "risky"]
    answers = [{"instruction_id": number, "response": f"{ANSWERS[k % 3]} [{k}]"} for k, number in enumerate(ids)]
    for name in ("LOG.jsonl", "IN.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in answers), encoding="utf-8")
    write_set(tmp_path)
    return tmp_path


def write_set(folder: Path) -> None:
    """Write a small set of texts and images, with a category that the texts give away."""
    rows = ["question,image,category"]
    for number, thing in enumerate(("hammer", "soup", "saw", "bread") * 15):
        Image.new("RGB", (8, 8), (number, 90, 200)).save(folder / f"{number}.png")
        rows.append(f"What is the {thing} of number {number} for?,{number}.png,{'meals' if number % 2 else 'tools'}")
    (folder / "texts.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_labels(folder: Path) -> None:
    """Write what two people said, as `vlsbench label` does."""
    from vlsbench.submission.check import open_submission

    labels = ("refusal", "warning", "unsafe")
    (folder / "human").mkdir()
    for name in ("YOU", "FRIEND"):
        lines = [
            {"instruction_id": response.instruction_id, "label": labels[k % 3], "rubric": f"human:{name}"}
            | {"response_sha256": response.digest}
            for k, response in enumerate(open_submission(folder).responses.values())
        ]
        path = folder / "human" / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_the_commands_of_the_pages_run_in_their_order(place: Path, server: Any) -> None:
    fill = {
        "SOURCE": "texts.csv",
        "LOG": "LOG.jsonl",
        "NAME": "target",
        "URL": server.url,
        "hf://datasets/ORG/target": "submissions",
        "openai:…": "openai:judge",
        "--judge target": "--judge offline",
        "FORMAT": "model-card",
        "MINE": "MINE",
    }
    run: list[str] = []
    folder = "first"
    for page in PAGES:
        for command in commands(page):
            if why_not_here(command) is not None:
                continue
            folder = {"import": "imported", "generate": "generated"}.get(command.split()[1], folder)
            filled = command
            for word, value in fill.items():
                filled = filled.replace(word, value)
            filled = re.sub(r"\bDIR\b", folder, filled)
            if re.search(r"\bID\b", filled):
                (row,) = json.loads(CliRunner().invoke(app, ["queue", "--json"]).stdout)
                filled = re.sub(r"\bID\b", row["submission_id"], filled)
            if ("--human" in filled or "human:" in filled) and not (place / folder / "human").exists():
                write_labels(place / folder)
            if filled.startswith("vlsbench submit"):
                (place / "submissions").mkdir()
            if command.startswith("vlsbench import"):
                filled += " --model m"  # a plain table does not say whose answers it has
            done = CliRunner().invoke(app, shlex.split(filled)[1:])
            assert done.exit_code == 0, f"{page}: {command}\n{filled}\n{done.output}\n{done.exception!r}"
            run.append(command.split()[1])
    wanted = {"run", "import", "check", "judge", "score", "submit", "board", "queue", "work", "accept", "rejudge"}
    wanted |= {"withdraw", "changelog", "export", "agree", "calibrate", "judge-rows", "generate"}
    assert set(run) >= wanted, wanted - set(run)
