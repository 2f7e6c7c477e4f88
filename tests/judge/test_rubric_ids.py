"""The rubric ids that verdicts are kept under: names of files in stores, so a published contract."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from vlsbench.dataset.source import SampleSource, open_source
from vlsbench.judge import local
from vlsbench.judge.decisions import DecisionJudge
from vlsbench.judge.judges import open_judge
from vlsbench.judge.local import open_local
from vlsbench.judge.model import ModelJudge
from vlsbench.records import Rubric
from vlsbench.submission.scoring import judge_note, score_directory

EXAMPLES = Path(__file__).resolve().parents[2] / "submissions" / "examples"

ENDPOINT: dict[tuple[str, str], tuple[str, str, str]] = {
    ("v1", "image"): ("openai-m-v1-be36716557a9", "openai-m-v1-bbb96eb6bb74", "openai-m-v1-cf3cd1b63e1d"),
    ("v1", "description"): ("openai-m-v1-cc0e6e5d913e", "openai-m-v1-051a8b8777e7", "openai-m-v1-8fcbc2e5339d"),
    ("v1", "image+description"): ("openai-m-v1-0e6db4d08bf7", "openai-m-v1-e886a50a64f3", "openai-m-v1-0d1493b03959"),
    ("v1", "reason"): ("openai-m-v1-acab72948e2e", "openai-m-v1-6d68a2d4a586", "openai-m-v1-10cea10be4c5"),
    ("paper", "image"): ("openai-m-paper-2440a6605a18", "openai-m-paper-b92946d8b87c", "openai-m-paper-b8a1abad6549"),
    ("paper", "description"): (
        "openai-m-paper-92b25c3b4044",
        "openai-m-paper-b8d9e61d15e8",
        "openai-m-paper-9e6279ae8844",
    ),
    ("paper", "image+description"): (
        "openai-m-paper-7609036d3c40",
        "openai-m-paper-d38fd327f49d",
        "openai-m-paper-0e4aad2874a6",
    ),
    ("paper", "reason"): ("openai-m-paper-90e2349030ed", "openai-m-paper-fe029ed75682", "openai-m-paper-eff33266a8df"),
}
"""By protocol and evidence; one for each output format: `json_schema`, `json_object`, `text`."""

LOCAL: dict[tuple[str, str], str] = {
    ("v1", "image"): "transformers-tiny-v1-12eabe38b6c9",
    ("v1", "description"): "transformers-tiny-v1-ccd00974d95d",
    ("v1", "image+description"): "transformers-tiny-v1-7d388be77637",
    ("v1", "reason"): "transformers-tiny-v1-b0b5677ec07b",
    ("paper", "image"): "transformers-tiny-paper-632c074de9be",
    ("paper", "description"): "transformers-tiny-paper-fb31b2d47d91",
    ("paper", "image+description"): "transformers-tiny-paper-dd3d021aa7de",
    ("paper", "reason"): "transformers-tiny-paper-0aff4b9f02da",
    ("gpt-oss-safeguard", "image"): "transformers-tiny-gpt-oss-safeguard-650edafe4593",
    ("gpt-oss-safeguard", "description"): "transformers-tiny-gpt-oss-safeguard-d1df9dc38b4b",
    ("gpt-oss-safeguard", "image+description"): "transformers-tiny-gpt-oss-safeguard-0759b53178e2",
    ("gpt-oss-safeguard", "reason"): "transformers-tiny-gpt-oss-safeguard-f12af90a26dc",
    ("llama-guard", "image"): "transformers-tiny-llama-guard-0d6a5ac0e154",
    ("llama-guard", "description"): "transformers-tiny-llama-guard-e8c8a8cb154e",
    ("qwen3guard", "image"): "transformers-tiny-qwen3guard-9140698b4e89",
    ("qwen3guard", "description"): "transformers-tiny-qwen3guard-112c2ab28f96",
}
"""By protocol and evidence, of a model whose settings are what it is loaded with."""

DECISIONS: dict[str, str] = {
    "image": "decisions-m-decision-7133b313ba75",
    "description": "decisions-m-decision-98465c5110c1",
    "image+description": "decisions-m-decision-d0e9506c3862",
    "reason": "decisions-m-decision-99ac6e1b27f4",
}
"""By evidence."""

OFFLINE = "offline-v4-1140e32ed24c"
"""Of the packaged weights: moves with them, and with nothing else."""

OFFLINE_V1 = "offline-v1-38ea46ad132e"
OFFLINE_V2 = "offline-v2-296dae4fd71c"
OFFLINE_V3 = "offline-v3-5f93f2933185"
"""Of the weights before: stores hold verdicts under these."""

SCALED = ("openai-m-v1-92f09a21bd2f", "transformers-tiny-v1-65756a08c87e", "decisions-m-decision-9e08977dcb7d")
"""`v1` with pictures of at most 512 pixels: an endpoint, a model here, a decision."""


class LoadedEngine:
    """A model that is never asked; its settings are all that a judge loads it with."""

    snapshot = "tiny@0123"
    weights_sha256 = "0" * 64
    has_vision = True

    def __init__(self, model: str, **arguments: Any) -> None:
        self.name = model
        del arguments["without_vision"]  # words for people
        self.settings: dict[str, JsonValue] = arguments


@pytest.fixture(scope="module")
def source() -> Iterator[SampleSource]:
    with open_source(None, name="sample") as found:
        yield found


def endpoint_id(source: SampleSource, **settings: Any) -> str:
    return ModelJudge("m", source=source, base_url="http://j.test/v1", **settings).rubric.rubric_id


def local_id(source: SampleSource, patch: pytest.MonkeyPatch, **settings: Any) -> str:
    patch.setattr(local, "TransformersEngine", LoadedEngine)
    return open_local("tiny", source=source, **settings).rubric.rubric_id


def decision_id(source: SampleSource, **settings: Any) -> str:
    return DecisionJudge("m", source=source, base_url="http://j.test/v1", **settings).rubric.rubric_id


@pytest.mark.parametrize(("protocol", "evidence"), ENDPOINT)
def test_ids_of_a_model_behind_an_endpoint(source: SampleSource, protocol: str, evidence: Any) -> None:
    formats: tuple[Any, ...] = ("json_schema", "json_object", "text")
    found = [endpoint_id(source, protocol=protocol, evidence=evidence, output_format=name) for name in formats]
    assert tuple(found) == ENDPOINT[protocol, evidence]


@pytest.mark.parametrize(("protocol", "evidence"), LOCAL)
def test_ids_of_a_model_on_this_machine(
    source: SampleSource, monkeypatch: pytest.MonkeyPatch, protocol: str, evidence: Any
) -> None:
    assert local_id(source, monkeypatch, protocol=protocol, evidence=evidence) == LOCAL[protocol, evidence]


@pytest.mark.parametrize("evidence", DECISIONS)
def test_ids_of_the_decision_judge(source: SampleSource, evidence: Any) -> None:
    assert decision_id(source, evidence=evidence) == DECISIONS[evidence]


def test_id_of_the_offline_judge() -> None:
    assert open_judge("offline").rubric.rubric_id == OFFLINE


def first_offline_rubric() -> Rubric:
    return Rubric(
        judge="offline",
        protocol="v1",
        evidence=("response",),
        weights_sha256="15fc726316a2f39a28132469c6b16f38a702b5f2baf91a637d8db79a652f6e8b",
        settings={"threshold": 0.5},
    )


def second_offline_rubric() -> Rubric:
    return Rubric(
        judge="offline",
        protocol="v2",
        evidence=("response",),
        weights_sha256="54fd914a84e68205a429c20c43f2a83fe1f60548370306b702a291d4ce7ae5d9",
        settings={"threshold": 0.55},
    )


def third_offline_rubric() -> Rubric:
    return Rubric(
        judge="offline",
        protocol="v3",
        evidence=("response",),
        weights_sha256="168b43ffd9fd20fa2b3021be0cbb2d53304511750162fb22e9831396c3a90a89",
        settings={"threshold": 0.6},
    )


def test_ids_of_the_offline_judges_before() -> None:
    assert first_offline_rubric().rubric_id == OFFLINE_V1
    assert second_offline_rubric().rubric_id == OFFLINE_V2
    assert third_offline_rubric().rubric_id == OFFLINE_V3


def test_verdicts_of_the_offline_judge_before_are_scored_under_their_own_id(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(EXAMPLES / "mixed", folder, ignore=shutil.ignore_patterns("results"))
    verdicts = folder / "verdicts"
    new = (verdicts / f"{OFFLINE}.jsonl").read_text(encoding="utf-8")
    (verdicts / f"{OFFLINE_V1}.jsonl").write_text(new.replace(OFFLINE, OFFLINE_V1), encoding="utf-8")
    (verdicts / f"{OFFLINE_V1}.rubric.json").write_text(first_offline_rubric().model_dump_json(), encoding="utf-8")
    before, now = (score_directory(folder, name) for name in (OFFLINE_V1, OFFLINE))
    assert before.result.failures == now.result.failures
    assert before.result.rubric == OFFLINE_V1
    assert "(measured 2026-11): agrees with people at kappa" in (judge_note(before.rubric) or "")
    assert "not yet measured" in (judge_note(now.rubric) or "")


def test_ids_of_scaled_pictures(source: SampleSource, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (
        endpoint_id(source, max_side=512),
        local_id(source, monkeypatch, max_side=512),
        decision_id(source, max_side=512),
    )
    assert found == SCALED
