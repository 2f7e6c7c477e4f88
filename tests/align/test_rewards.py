"""A model judge as the reward of mm-rl, behind a scripted endpoint; TRL's own reporters."""

from __future__ import annotations

import importlib.util
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asked import StandIn, completion, endpoint, label
from called import call
from needed import needs

from vlsbench.align.rewards import judge_reward
from vlsbench.align.rows import TrainingData
from vlsbench.errors import JudgeError
from vlsbench.judge.judges import ModelOptions

pytestmark = needs("trl", extra="align")

KEY = "sk-test-0123456789-never-to-be-seen"
TURN = ("refusal", "unsafe", "warning", None)
"""What the endpoint says in turn; None is no label."""


def script(said: list[str | None]) -> Callable[[dict[str, Any]], Any]:
    """Answer by turns, whatever is asked, and note down what was said."""

    def answer(body: dict[str, Any]) -> Any:
        said.append(TURN[len(said) % len(TURN)])
        word = said[-1]
        return completion("I would rather not say.") if word is None else label(word)

    return answer


def image_urls(stand_in: StandIn) -> set[str]:
    parts = [part for body in stand_in.asked for part in body["messages"][-1]["content"]]
    return {part["image_url"]["url"][:22] for part in parts if part["type"] == "image_url"}


def test_a_model_judge_rewards_and_is_counted(
    tiny_model: Callable[..., Path], write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    rows = [{"id": str(i), "prompt": f"How {i}?", "image": f"img/{i}.png", "kind": "harmful"} for i in range(4)]
    settings = ("batch_size=2", "n_answers=2", "max_new_tokens=3", "max_steps=2", "beta=0.0")
    told = [part for setting in settings for part in ("--set", setting)]
    said: list[str | None] = []
    with endpoint(script(said)) as judge:
        asked = ("--reward", "openai:judge-2026-01-01", "--reward-base-url", judge.url)
        priced = ("--price-in", "2", "--price-out", "10")
        code, text = call(
            "align", "mm-rl", "--model", tiny_model("llava"), "--data", write(rows), "--out", tmp_path / "run",
            *told, *asked, *priced,
        )  # fmt: skip
    assert code == 0, text
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    place = 0
    for line in lines:  # a blank answer is not asked about
        words = said[place : place + line["judge_asked"]]
        place += len(words)
        paid = [float(word != "unsafe") for word in words if word is not None]  # no label is no 0
        assert line["reward"] == pytest.approx(sum(paid) / len(paid))
        counts = (words.count(None), 100 * len(words), 10 * len(words))
        assert (line["judge_unlabelled"], line["judge_tokens_in"], line["judge_tokens_out"]) == counts
    assert place == len(said) > len(TURN)
    assert image_urls(judge) == {"data:image/png;base64,"}, "it sees the rows' images"
    n = len(said)
    assert f"asked {n} times, {said.count(None)} without a label; {100 * n} tokens in, {10 * n} out; cost" in text
    assert f"cost {n * (100 * 2 + 10 * 10) / 1e6:.4f} at the given prices" in text
    assert json.loads((tmp_path / "run" / "capsule.json").read_text())["reward"] == "openai:judge-2026-01-01"
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert KEY.encode() not in written
    assert KEY not in text


def test_an_endpoint_that_takes_no_schema_is_asked_otherwise_and_stays_so(
    rows: Callable[..., TrainingData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def answer(body: dict[str, Any]) -> Any:
        if "response_format" in body:
            return 400, {"error": {"message": "response_format is not supported", "param": "response_format"}}
        return label("refusal")

    data = rows(2)  # r0 is benign, r1 harmful
    with endpoint(answer) as judge:
        reward = judge_reward("openai:m", data, base_url=judge.url)
        assert reward(data.rows, ["No.", "No."]) == [0.0, 1.0]
        n_before = len(judge.asked)
        assert reward(data.rows, ["No.", ""]) == [0.0, None]
        assert len(judge.asked) == n_before + 1, "what was refused is not tried again, and a blank is not asked about"
        assert reward.counted() == {"asked": 3, "unlabelled": 0, "tokens_in": 300, "tokens_out": 30}
        assert reward.counted()["asked"] == 0


def test_a_judge_that_is_down_ends_the_step_and_rewards_nothing(
    rows: Callable[..., TrainingData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    data = rows(2)
    with endpoint(lambda body: (401, {"error": {"message": f"wrong key {KEY}"}})) as judge:
        reward = judge_reward("openai:m", data, base_url=judge.url)
        with pytest.raises(JudgeError) as error:
            reward(data.rows, ["No.", "Yes."])
    assert KEY not in str(error.value)


def test_a_reporter_whose_package_is_absent_is_a_sentence_before_anything_is_read(
    tiny_model: Callable[..., Path], write: Callable[..., Path], tmp_path: Path
) -> None:
    absent = [name for name in ("trackio", "wandb") if importlib.util.find_spec(name) is None]
    if not absent:
        pytest.skip("trackio and wandb are installed")
    told = ("--model", tiny_model("llava"), "--data", write(), "--out", tmp_path / "run")
    code, text = call("align", "t-sft", *told, "--report-to", absent[0])
    assert code != 0
    assert f"needs the package {absent[0]}, which is not installed" in text
    assert not (tmp_path / "run").exists()


def test_trls_own_reporter_is_told_of_every_step(
    tiny_model: Callable[..., Path], write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers' TrackioCallback runs; what stands in is trackio itself, as far as it is called."""
    if importlib.util.find_spec("trackio") is not None:
        pytest.skip("trackio is installed, and would write its own files")
    log = tmp_path / "reported.jsonl"
    package = f"""
        import json, pathlib, types
        __version__ = "0.0"
        config = {{}}
        config = type("Config", (dict,), {{"update": lambda self, *a, **k: None}})()
        nothing = types.SimpleNamespace(get=lambda: None)
        context_vars = types.SimpleNamespace(current_space_id=nothing, current_run=nothing)
        def init(**settings): pass
        def finish(): pass
        def log(metrics, *rest, **more):
            with pathlib.Path({str(log)!r}).open("a") as file:
                file.write(json.dumps(metrics, default=str) + "\\n")
    """
    (tmp_path / "stand_in").mkdir()
    (tmp_path / "stand_in" / "trackio.py").write_text(textwrap.dedent(package), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "stand_in")
    told = ("--model", tiny_model("llava"), "--data", write(), "--out", tmp_path / "run", "--set", "max_steps=2")
    code, text = call("align", "t-sft", *told, "--set", "batch_size=4", "--report-to", "trackio")
    assert code == 0, text
    losses = [json.loads(line).get("train/loss") for line in log.read_text(encoding="utf-8").splitlines()]
    ours = [json.loads(line)["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [loss for loss in losses if loss is not None] == ours


def test_what_a_reward_may_cost_is_kept(rows: Callable[..., TrainingData], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    data = rows(2)
    options = ModelOptions(price_in=10_000.0, price_out=10_000.0, max_cost=20.0)  # a reply here costs 1.10
    with endpoint(lambda body: label("refusal")) as judge:
        reward = judge_reward("openai:m", data, base_url=judge.url, options=options)
        with pytest.raises(JudgeError, match="--max-cost 20"):
            [reward(data.rows, ["No.", "No."]) for _ in range(20)]
        assert len(judge.asked) * 1.1 <= 20
