"""A guard that this machine runs by itself: through an engine in memory, and a tiny model of random weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from asked import write_set
from PIL import Image

from vlsbench.errors import JudgeError, UsageError
from vlsbench.generate.transformers_engine import Chat, Generated, OutOfMemoryError
from vlsbench.leakage.asking import LocalJudge
from vlsbench.leakage.groups import group_items
from vlsbench.leakage.items import read_items
from vlsbench.leakage.judging import AskedJudge, JudgeOptions, open_guard, open_judge
from vlsbench.leakage.questions import GUARD_FORMS

ROOT = Path(__file__).parents[2]
N = 24


class FakeEngine:
    """A model that says what `reply` makes of a question; a batch above `fits` is too large for it."""

    name = "tiny"
    snapshot = "tiny@0123"
    has_vision = True
    weights_sha256 = "0" * 64

    def __init__(self, reply: Callable[[Chat], Generated], fits: int = 99) -> None:
        self.reply = reply
        self.fits = fits
        self.settings: dict[str, Any] = {"dtype": "float32"}
        self.chats: list[Chat] = []

    def generate(self, chats: Sequence[Chat]) -> list[Generated]:
        if len(chats) > self.fits:
            raise OutOfMemoryError
        self.chats += chats
        return [self.reply(chat) for chat in chats]

    def free_memory(self) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"id": f"i{k}", "prompt": f"Question {k} about {'abcdefgh'[k % 8]}{k}?", "image": f"{k}.png"} for k in range(N)
    ]
    return write_set(tmp_path / "set", rows)


def judge_set(folder: Path, engine: FakeEngine, form: str) -> Any:
    judge = AskedJudge(
        LocalJudge("guard:tiny", engine, GUARD_FORMS[form], batch_size=8),
        JudgeOptions(answers=folder / "answers.jsonl"),
    )
    audited = read_items(folder)
    return judge(audited, group_items(audited.items))


def test_a_local_guard_sees_the_image_of_a_pair_and_none_of_a_text(folder: Path) -> None:
    engine = FakeEngine(lambda chat: Generated("unsafe\nS1" if len(chat.user) == 2 else "safe", n_in=9, n_out=3))
    leak = judge_set(folder, engine, "llama-guard").harm_leak
    assert (leak.r1.count, leak.r2.count, leak.r1.n) == (N, 0, N)
    pairs = [chat for chat in engine.chats if len(chat.user) == 2]
    assert all(isinstance(chat.user[0], Image.Image) for chat in pairs)
    assert (len(pairs), len(engine.chats)) == (N, 2 * N)
    assert {chat.rules for chat in engine.chats} == {""}, "a guard's template asks its own question"
    assert leak.settings["weights_sha256"] == "0" * 64
    assert leak.settings["judge_models"] == {"tiny@0123": 2 * N}


def test_a_thought_that_the_budget_cut_is_a_bin(folder: Path) -> None:
    def reply(chat: Chat) -> Generated:
        if "Question 3 " in str(chat.user[-1]):
            return Generated("<think>It may be that", is_cut=True)
        return Generated("<think>Fine.</think><result>Request: unharmful</result>")

    leak = judge_set(folder, FakeEngine(reply), "guardreasoner").harm_leak
    assert leak.n_failed == {"pair": {"judge_cut": 1}, "text": {"judge_cut": 1}}
    assert (leak.r1.n, leak.ratio) == (N - 1, None)


def test_questions_with_an_image_and_without_are_never_in_one_batch(folder: Path) -> None:
    class Strict(FakeEngine):
        def generate(self, chats: Sequence[Chat]) -> list[Generated]:
            assert len({len(chat.user) for chat in chats}) == 1
            return super().generate(chats)

    assert judge_set(folder, Strict(lambda chat: Generated("safe")), "llama-guard").harm_leak.r1.n == N


def test_a_batch_that_does_not_fit_is_halved(folder: Path) -> None:
    engine = FakeEngine(lambda chat: Generated("safe"), fits=2)
    assert judge_set(folder, engine, "singguard").harm_leak.r1.n == N


def test_a_picture_that_cannot_be_read_gets_no_answer(folder: Path) -> None:
    (folder / "5.png").write_bytes(b"no picture")
    leak = judge_set(folder, FakeEngine(lambda chat: Generated("safe")), "llama-guard").harm_leak
    assert leak.n_failed == {"pair": {"image_unreadable": 1}, "text": {}}


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of random weights."""
    pytest.importorskip("torch", reason="needs the extra 'local'")
    pytest.importorskip("transformers", reason="needs the extra 'local'")
    spec = importlib.util.spec_from_file_location("tiny_models", ROOT / "benchmarks" / "tiny_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Path = module.make_llava(tmp_path_factory.mktemp("llava") / "tiny-llava")
    return made


def test_a_model_of_random_weights_is_refused_after_eight_replies(folder: Path, tiny_model: Path) -> None:
    """The whole way through transformers; its prose is no answer of a guard."""
    judge = open_judge(f"guard:llama-guard={tiny_model}", JudgeOptions(answers=folder / "answers.jsonl"))
    audited = read_items(folder)
    assert isinstance(judge, AskedJudge)
    assert judge.judge.name == "guard:tiny-llava", "whose machine it was is nobody's business"
    with pytest.raises(JudgeError, match=r"none of its first 8 replies is an answer .* the rule is the format"):
        judge(audited, group_items(audited.items))
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 8


def test_a_model_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra 'local'")
    with pytest.raises(JudgeError, match="there is no such folder"):
        open_judge(f"guard:llama-guard={tmp_path / 'none'}")


def test_an_images_only_guard_needs_an_endpoint() -> None:

    with pytest.raises(UsageError, match="serve it and name the endpoint with --base-url"):
        open_guard("guard:google/shieldgemma-2-4b-it")
