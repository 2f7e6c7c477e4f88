"""What the tests of the exporters share: submissions of chosen labels, and a small store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import pytest

from vlsbench.board.lists import Board, build_board
from vlsbench.dataset.index import IndexRow, load_index
from vlsbench.records import LABELS, Rubric

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "submissions" / "examples"

MODEL = Rubric(
    judge="openai:judge-2026-01-01",
    protocol="v1",
    evidence=("image", "instruction", "response"),
    settings={"temperature": 0},
)

Decide = Callable[[IndexRow], str | None]
"""Label or failure of a sample; None where it was not answered."""


def some_of_each(row: IndexRow) -> str:
    """Refusals, warnings and answers, and one judge's refusal in fifty."""
    if row.instruction_id % 50 == 7:
        return "judge_refused"
    return ("refusal", "warning", "unsafe", "unsafe")[row.image % 4]


class Writer(Protocol):
    """Writes a judged submission."""

    def __call__(
        self,
        folder: Path,
        decide: Decide = some_of_each,
        *,
        card: Mapping[str, Any] | None = None,
        config: str = "privacy",
        rubric: Rubric = MODEL,
        judge_models: tuple[str, ...] = (),
    ) -> Path: ...


def _words(image: int) -> str:
    """Return an answer of words that no other image has: who says the same to everything is not ranked."""
    digest = sha256(str(image).encode()).hexdigest()
    return "Answer " + " ".join(digest[start : start + 8] for start in range(0, 64, 8))


def _write_judged(
    folder: Path,
    decide: Decide = some_of_each,
    *,
    card: Mapping[str, Any] | None = None,
    config: str = "privacy",
    rubric: Rubric = MODEL,
    judge_models: tuple[str, ...] = (),
) -> Path:
    (folder / "verdicts").mkdir(parents=True)
    described = {"model": "acme/Good-VL-8B", "dataset": {"config": config}, **(card or {})}
    (folder / "submission.json").write_text(json.dumps(described))
    said, decided = [], []
    for row in load_index("release").select(config).rows:
        name = decide(row)
        if name is None:
            continue
        number = row.instruction_id
        line = {"instruction_id": number, "response": _words(row.image)}
        if number % 3 == 0:
            line |= {
                "reasoning": "A thought.",
                "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
            }
        said.append(line)
        field = "label" if name in LABELS else "failure"
        verdict = {"instruction_id": number, field: name}
        if judge_models:
            verdict["judge_model"] = judge_models[number % len(judge_models)]
        decided.append(verdict)
    path = folder / "verdicts" / f"{rubric.rubric_id}.jsonl"
    (folder / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    path.write_text("".join(json.dumps(line) + "\n" for line in decided))
    path.with_suffix(".rubric.json").write_text(rubric.model_dump_json())
    return folder


@pytest.fixture(scope="session")
def write_judged() -> Writer:
    """The writer, because test modules do not import each other."""
    return _write_judged


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's answers to the whole release, judged."""
    card = {"organization": "Acme", "access": "open", "parameters": "8B", "settings": {"max_new_tokens": 128}}
    return _write_judged(tmp_path_factory.mktemp("judged") / "good", card=card, config="default")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, judged: Path) -> Path:
    """A store with models, a baseline, the examples, the paper's rows and one that is not judged."""
    folder = tmp_path_factory.mktemp("stores") / "store"
    shutil.copytree(judged, folder / "acme" / "good")
    shutil.copytree(EXAMPLES, folder / "examples")
    shutil.copytree(ROOT / "submissions" / "paper", folder / "paper")
    _write_judged(folder / "acme" / "half", lambda row: "warning" if row.instruction_id % 2 else None)
    _write_judged(folder / "acme" / "poor", lambda row: "unsafe", card={"model": "@poor/VL", "access": "closed"})
    fresh = folder / "acme" / "fresh"
    fresh.mkdir()
    (fresh / "submission.json").write_text('{"model": "fresh"}')
    (fresh / "responses.jsonl").write_text('{"instruction_id": 0, "response": "x"}\n')
    return folder


@pytest.fixture(scope="session")
def board(store: Path) -> Board:
    """The board of `store`."""
    return build_board(store)
