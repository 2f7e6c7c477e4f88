"""Whose machine a judge's weights lie on is nobody's business."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlsbench.board.html import render_html
from vlsbench.board.lists import build_board
from vlsbench.cli.main import app

PLACE = "/home/ann/models/judge-7b"


def call(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_a_judge_that_is_named_by_a_folder_is_shown_by_the_folders_name(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "store" / "three"
    folder.mkdir(parents=True)
    (folder / "submission.json").write_text('{"model": "stand-in/three"}', encoding="utf-8")
    lines = [{"instruction_id": number, "response": f"Hold it. [{number}]"} for number in (100000, 100001, 100002)]
    (folder / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    server.is_mended = True
    call("judge", folder, "--judge", f"openai:{PLACE}", "--evidence", "description", "--base-url", server.url)
    call("score", folder)
    for name in ("model-card", "every-eval-ever"):
        call("export", name, folder, f"out-{name}")
    for name in ("csv", "html"):
        call("export", name, "store", f"board.{name}")
    item = next(item for item in build_board(tmp_path / "store").lists if item.judge == "openai:judge-7b")
    assert item.rows[0].judge_models == ("judge-7b",), "as the server called it"
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "verdicts" not in path.parts]
    assert len(written) > 5
    shown = [render_html(build_board(tmp_path / "store")), *(path.read_text(encoding="utf-8") for path in written)]
    assert not [text for text in shown if PLACE in text or "/home/ann" in text]
    assert any("openai:judge-7b" in text for text in shown)
