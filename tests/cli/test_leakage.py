"""`vlsbench leakage` and `score --core` as commands."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlsbench.cli.main import app
from vlsbench.dataset.index import load_index
from vlsbench.errors import DataError, UsageError, VLSBenchError
from vlsbench.files import sha256_hex
from vlsbench.leakage.records import WeightsCard
from vlsbench.leakage.weights import Weights, read_weights, render_csv, write_weights

WORDS = "boat lamp chair window garden bridge kettle ladder letter river basket tower".split()  # noqa: SIM905 - prose


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _set(path: Path, n: int = 120) -> Path:
    draw = random.Random(1)
    rows = [
        {
            "prompt": f"In this picture I see {' '.join(draw.sample(WORDS, draw.randint(4, 6)))}.",
            "image": f"{number}.png",
            "source": ("stable diffusion", "photos")[number % 2],
        }
        for number in range(n)
    ]
    path.write_text(json.dumps(rows))
    return path


def test_weights_and_core_are_written_and_what_they_reach_is_said(tmp_path: Path) -> None:
    done = run("leakage", _set(tmp_path / "rows.json"), "--core", tmp_path / "core.csv", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n"] == 120
    core = read_weights(tmp_path / "core.csv")
    assert (core.card.kind, core.card.target) == ("core", "generated or collected")
    assert "core against generated or collected" in done.stderr
    assert "effective N" in done.stderr
    assert "written to" in done.stderr


def test_a_name_that_cannot_hold_weights_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    done = run("leakage", tmp_path / "absent.json", "--reweight", tmp_path / "weights.json")
    assert isinstance(done.exception, VLSBenchError)
    assert "name a file that ends in .csv" in str(done.exception)


@pytest.mark.parametrize(
    "outs", [("--core", "rows.csv"), ("--html", "rows.json"), ("--core", "w.csv", "--html", "w.json")]
)
def test_what_is_read_is_never_written_over(outs: tuple[str, ...], tmp_path: Path) -> None:
    source = _set(tmp_path / "rows.json")
    before = source.read_bytes()
    done = run("leakage", source, *(out if out.startswith("--") else tmp_path / out for out in outs))
    assert isinstance(done.exception, UsageError)
    assert "would be written over" in str(done.exception)
    assert source.read_bytes() == before


def _core(path: Path, **changes: Any) -> Path:
    by_id = {str(row.instruction_id): 1.0 + number % 3 for number, row in enumerate(load_index("release").risky[:60])}
    fields: dict[str, Any] = {
        "kind": "core",
        "source": "data.json",
        "dataset_digest": load_index("release").digest,
        "target": "generated or collected",
        "aim": 0.6,
        "reached": True,
        "n": len(by_id),
        "n_of": 2240,
        "effective_n": 50.0,
        "rule": "by hand",
        "weights_sha256": sha256_hex(render_csv(by_id)),
        "version": "0",
    }
    write_weights(path, Weights(WeightsCard(**fields | changes), by_id))
    return path


@pytest.fixture
def judged(submission: Any) -> Path:
    texts = ("I'm sorry, but I can't help with that.", "Sure! First take the blue one, then the red one.")
    folder: Path = submission.write([{"instruction_id": n, "response": texts[n % 2]} for n in range(60)])
    done = run("judge", folder, "--judge", "offline")
    assert done.exit_code == 0, done.output
    return folder


def test_score_shows_both_safe_rates_and_ranks_none_of_the_core(judged: Path, tmp_path: Path) -> None:
    core = _core(tmp_path / "core.csv")
    done = run("score", judged, "--core", core)
    assert done.exit_code == 0, done.output
    assert "safe rate, full set" in done.stdout
    assert "safe rate, core" in done.stdout
    assert "never ranked" in done.stdout
    found = json.loads(run("score", judged, "--core", core, "--json").stdout)
    assert found["core"].keys() == {"value", "low", "high", "n", "effective_n", "n_unjudged"}
    ids = [row.instruction_id for row in load_index("release").risky[:60]]
    safe = sum(1.0 + number % 3 for number, name in enumerate(ids) if name % 2 == 0)
    assert found["core"]["value"] == pytest.approx(safe / sum(1.0 + number % 3 for number in range(60)))
    assert "core" not in json.loads((next((judged / "results").glob("*.json"))).read_text())


def test_a_core_that_missed_its_aim_says_so(judged: Path, tmp_path: Path) -> None:
    done = run("score", judged, "--core", _core(tmp_path / "core.csv", reached=False))
    assert "weighted against what text tells, without reaching the aim, of generated or collected" in done.stdout
    assert "until text tells little" not in done.stdout


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("weights for training", {"kind": "reweight"}, "make a core by `vlsbench leakage --core`"),
    ("no dataset of ours", {"dataset_digest": None}, "a core of it cannot be scored"),
    ("another dataset", {"dataset_digest": "ab" * 32}, "Take the core of what was answered"),
]


@pytest.mark.parametrize(("reason", "changes", "sentence"), WRONG, ids=[case[0] for case in WRONG])
def test_a_core_that_does_not_belong_is_one_sentence(
    reason: str, changes: dict[str, Any], sentence: str, judged: Path, tmp_path: Path
) -> None:
    done = run("score", judged, "--core", _core(tmp_path / "core.csv", **changes))
    assert isinstance(done.exception, DataError)
    assert sentence in str(done.exception)


BAD: list[tuple[str, list[dict[str, Any]], str]] = [
    ("no text column", [{"number": n, "flag": n % 2} for n in range(30)], "text"),
    ("12 rows", [{"prompt": f"text number {n}"} for n in range(12)], "an audit needs at least 20"),
    ("all texts equal", [{"prompt": "the same"} for _ in range(30)], "all 30 texts are equal"),
]


@pytest.mark.parametrize(("name", "rows", "sentence"), BAD, ids=[case[0] for case in BAD])
def test_a_set_that_cannot_be_audited_is_one_sentence(
    name: str, rows: list[dict[str, Any]], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    done = run("leakage", tmp_path / "rows.json")
    assert isinstance(done.exception, DataError)
    assert sentence in str(done.exception)
    assert str(done.exception).count("\n") == 0
