"""What a judge says of itself, and that nobody outside its room decides it by a name or a class."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from vlsbench.errors import UsageError
from vlsbench.judge.judges import ModelOptions, find_kind, kind_of, list_judges, list_kinds, open_judge
from vlsbench.judge.run import OpenJudge
from vlsbench.records import Rubric

ROOT = Path(__file__).parents[2]

TOLD: dict[str, set[str]] = {
    "offline": {"is_free", "may_stand_alone", "opens_dry"},
    "openai": {
        "sees_dataset", "is_language_model", "has_batches", "has_prices", "may_stand_alone", "opens_dry",
        "is_threadsafe",
    },
    "transformers": {"sees_dataset", "is_language_model", "has_weights"},
    "decisions": {"sees_dataset", "is_language_model"},
    "world-rule": {"is_free", "may_stand_alone", "opens_dry"},
}  # fmt: skip
"""What is so of a kind; all else is not."""

_QUESTIONS = (
    "is_free", "is_language_model", "sees_dataset", "has_weights", "has_batches", "has_prices", "may_stand_alone",
    "opens_dry", "is_threadsafe",
)  # fmt: skip


def test_every_kind_says_what_it_is() -> None:
    found = {kind.backend: {name for name in _QUESTIONS if getattr(kind, name)} for kind in list_kinds()}
    assert found == TOLD


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("offline", "offline"),
        ("offline:FOLDER", "offline"),
        ("openai:m", "openai"),
        ("openai", "openai"),  # under the paper's protocol
        ("transformers:org/m", "transformers"),
        ("decisions:m", "decisions"),
        ("world-rule", "world-rule"),
    ],
)
def test_a_name_tells_the_kind_and_opens_nothing(name: str, backend: str) -> None:
    assert find_kind(name).backend == backend


@pytest.mark.parametrize(
    "name", ["", "offline:", "openai:", "transformers", "transformers:", "decisions", "gpt-4o", ":m"]
)
def test_a_name_of_no_judge_lists_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match=r"--judge is 'offline', .* or 'world-rule'; found"):
        find_kind(name)


@pytest.mark.parametrize(
    ("judge", "backend"),
    [("offline", "offline"), ("offline:calibrated-01234567", "offline"), ("openai:m", "openai"), ("fake:judge", None)],
)
def test_a_rubric_tells_the_kind_or_that_there_is_none_here(judge: str, backend: str | None) -> None:
    kind = kind_of(Rubric(judge=judge, protocol="v1", evidence=("response",)))
    assert (None if kind is None else kind.backend) == backend


def test_every_kind_is_listed_under_its_name() -> None:
    assert [judge.partition(":")[0] for judge in dict.fromkeys(item.judge for item in list_judges())] == list(TOLD)


def test_an_opened_judge_says_its_rubrics_and_its_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://j.test/v1")
    offline = open_judge("offline")
    assert isinstance(offline, OpenJudge)
    assert (offline.has_canaries, offline.rubric.is_provisional, len(offline.candidates())) == (False, True, 1)
    model = open_judge("openai:m", dataset="sample", is_dry=True)
    assert (model.has_canaries, model.rubric.is_provisional) == (True, False)
    assert len({candidate.rubric.rubric_id for candidate in model.candidates()}) == 6, (
        "formats, with temperature and without"
    )
    told = open_judge("openai:m", dataset="sample", is_dry=True, options=ModelOptions(output_format="text"))
    assert [c.rubric.settings["temperature"] for c in told.candidates()] == [0, None], (
        "one format, asked as it is first"
    )
    assert told.candidates()[0].rubric == told.rubric


# Nobody else asks

_IN_ITS_ROOM = "vlsbench/judge/"
_MODULES_OF_KINDS = ("batch", "decisions", "local", "model", "offline.judge", "openai_judge", "paid")
"""`world_rule` is not among them: what teaches the drawn world its answers shares the rule's words with it."""
_BACKENDS = set(TOLD)
_ALLOWED = {
    ("vlsbench/records.py", "self.judge == 'offline'"),  # the one place that says what is provisional
    # Models under test are called by the same names.
    ("vlsbench/engine/work.py", "self.name.startswith('transformers:')"),
    ("vlsbench/generate/directory.py", "name.startswith('openai:')"),
    ("vlsbench/generate/models.py", "backend == 'transformers'"),
    # Judges of harm leak, which label no answer, are another room's.
    ("vlsbench/construct/harm.py", "isinstance(judge, AskedJudge)"),
}


def _literals(node: ast.AST) -> set[str]:
    found = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {text.partition(":")[0] for text in found if len(text) < 20}


def _names_a_judge(node: ast.AST) -> bool:
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    names |= {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return any(name.endswith("Judge") for name in names)


def _asks_about_judges(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").removeprefix("vlsbench.judge.") in _MODULES_OF_KINDS
    if isinstance(node, ast.Compare | ast.MatchValue):
        return bool(_BACKENDS & _literals(node))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
        return any(_BACKENDS & _literals(argument) for argument in node.args)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        is_told = node.func.id in ("isinstance", "issubclass", "cast")
        return is_told and any(_names_a_judge(argument) for argument in node.args)
    return False


def questions_about_judges(tree: ast.AST) -> list[str]:
    """Find code that tells a judge by its name or class."""
    return [ast.unparse(node) for node in ast.walk(tree) if _asks_about_judges(node)]


@pytest.mark.parametrize(
    "code",
    [
        'judge_name.startswith("openai")',
        'self.judge.startswith(("transformers:", "decisions:"))',
        'judge == "offline" or judge.startswith("offline:")',
        'rubric.judge != "offline"',
        'backend not in ("openai", "transformers", "decisions")',
        'work.backend == "transformers"',
        'match backend:\n    case "decisions":\n        pass',
        "isinstance(chosen, ModelJudge)",
        "isinstance(chosen, (model.ModelJudge, str))",
        'cast("WatchedJudge", chosen)',
        "from vlsbench.judge.model import ModelJudge",
        "from vlsbench.judge.offline.judge import OfflineRun",
    ],
)
def test_such_code_would_be_found(code: str) -> None:
    assert questions_about_judges(ast.parse(code)) != []


@pytest.mark.parametrize(
    "code",
    [
        'Worker(self.store, judge="offline")',  # names one, and asks nothing
        "isinstance(event, Judged | Scored)",
        "from vlsbench.judge.judges import find_kind",
        'path.startswith("offline-judge/of/last/year")',
    ],
)
def test_other_code_would_not(code: str) -> None:
    assert questions_about_judges(ast.parse(code)) == []


def test_nobody_outside_its_room_tells_a_judge_by_its_name_or_class() -> None:
    guilty = set()
    for folder in ("vlsbench", "leaderboard", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(_IN_ITS_ROOM):
                tree = ast.parse(path.read_text(encoding="utf-8"))
                guilty |= {(name, code) for code in questions_about_judges(tree)}
    assert guilty - _ALLOWED == set(), "ask its kind (vlsbench.judge.judges.find_kind) or the judge itself"
