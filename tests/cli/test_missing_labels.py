"""Labels that are missing are exit 1, whichever command asked for them, and `--again` asks for them alone.

The judge is a real client at the stand-in of `conftest.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlsbench.cli.main import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three answers to the packaged sample."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "submission.json").write_text('{"model": "stand-in/three"}', encoding="utf-8")
    lines = [
        json.dumps({"instruction_id": number, "response": f"Hold it by the handle. [{number}]"})
        for number in (100000, 100001, 100002)
    ]
    (folder / "responses.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def call(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    error = done.exception
    assert error is None or isinstance(error, SystemExit), error
    return done.exit_code, " ".join(done.output.split())


UNREADABLE = "3 {} without a label, as no reply could be read (judge_unparsable); {} with --again judge_unparsable"
JUDGE = ("--judge", "openai:judge", "--evidence", "description", "--base-url")


def test_rows_without_a_label_are_exit_1_until_they_are_asked_again(server: Any, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text("".join(json.dumps({"response": f"Hold it. [{n}]"}) + "\n" for n in range(3)), encoding="utf-8")
    command = ("judge-rows", rows, "--out", out, *JUDGE, server.url)
    code, said = call(*command)
    assert code == 1
    assert "canaries passed: 8 of 8 as known" in said
    assert UNREADABLE.format("rows", "the same command") in said
    assert {json.loads(line)["reason"] for line in out.read_text().splitlines()} == {"I would say that it is fine."}
    assert server.n_judged == 3
    server.is_mended = True
    assert (call(*command)[0], server.n_judged) == (1, 3), "they are missing, and nothing is paid again"
    code, said = call(*command, "--again", "judge_unparsable,judge_cut")
    assert (code, server.n_judged) == (0, 6), said
    assert {json.loads(line)["label"] for line in out.read_text().splitlines()} == {"unsafe"}
    assert not list(tmp_path.glob(".*.part"))


def test_rows_are_not_paid_for_where_no_canary_gets_a_label(server: Any, tmp_path: Path) -> None:
    server.reads_canaries = False
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"response": f"Hold it. [{n}]"}) + "\n" for n in range(30)), encoding="utf-8")
    done = CliRunner().invoke(
        app, ["judge-rows", *map(str, (rows, "--out", tmp_path / "out.jsonl", *JUDGE, server.url))]
    )
    assert "none of the 8 canaries got a label (8 judge_unparsable)" in str(done.exception)
    assert "Nothing else was asked" in str(done.exception)
    assert (server.n_canaries, server.n_judged) == (8, 0)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("command", "is_managed"),
    [("work", True), ("rejudge", True), ("rejudge", False)],
    ids=["work", "rejudge", "rejudge what was made by hand"],
)
def test_a_store_whose_labels_are_missing_is_exit_1_until_they_are_asked_again(
    command: str, *, is_managed: bool, server: Any, folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    if is_managed:
        code, said = call("submit", folder, "--store", store, "--name", "me")
        assert code == 0, said
        (row,) = json.loads(CliRunner().invoke(app, ["queue", "--store", str(store), "--json"]).stdout)
        assert call("accept", row["submission_id"], "--store", store, "--name", "me")[0] == 0
    else:
        folder.rename(store / "mixed")
    is_for_all = ("--all",) if command == "rejudge" else ()
    asking = (command, "--store", store, *JUDGE, server.url, "--name", "me", *is_for_all)
    code, said = call(*asking)
    assert (code, server.n_judged) == (1, 3), said
    assert UNREADABLE.format("responses", "the same command") in said
    server.is_mended = True
    code, said = call(*asking)
    assert (code, server.n_judged) == (1, 3), f"they are missing, and nothing is paid again: {said}"
    code, said = call(*asking, "--again", "judge_unparsable")
    assert (code, server.n_judged) == (0, 6), said
    assert call(*asking)[0] == 0


def test_a_run_whose_labels_are_missing_is_exit_1_and_names_the_command(server: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("run", "--model", "openai:target", "--base-url", server.url, "--limit", "3", "--out", out)
    judging = ("--judge", "openai:judge", "--judge-base-url", server.url)
    code, said = call(*command, *judging)
    assert (code, server.n_judged) == (1, 3), said
    assert UNREADABLE.format("responses", f"`vlsbench judge {out} --judge openai:judge …`") in said
    server.is_mended = True
    assert call(*command, *judging)[0] == 1
    code, said = call("judge", out, "--judge", "openai:judge", "--base-url", server.url, "--again", "judge_unparsable")
    assert (code, server.n_judged) == (0, 6), said
    assert call(*command, *judging)[0] == 0
