"""A format is one file and one line: a throw-away one is found everywhere that formats are named or guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leaderboard.submit_texts import intro
from vlsbench.cli.main import app
from vlsbench.errors import UsageError
from vlsbench.store.desk import Desk
from vlsbench.store.local import LocalStore
from vlsbench.submission.importers import registry
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.formats import ImportReport
from vlsbench.submission.importers.rows import Parsed, Row, Said
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Glimpse, Sniffed, read_table

Import = Callable[..., ImportReport]


def looks_odd(glimpse: Glimpse) -> bool:
    return "odd_answer" in glimpse.names


def read_odd(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    rows = [
        Row(cells.place, {"instruction_id": cells.values["instruction_id"]}, {}, Said(cells.values["odd_answer"]))
        for cells in read_table(source, sniffed, problems, wanted=lambda _: True)
    ]
    return Parsed("odd-tool", tuple(rows))


ODD = Format("odd-tool", "answers of <odd>", looks_odd, read_odd)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Format:
    monkeypatch.setattr(registry, "FORMATS", (ODD, *registry.FORMATS))
    return ODD


@pytest.mark.usefixtures("odd")
def test_a_new_format_is_named_in_the_help_and_in_the_sentence_of_a_wrong_call(bring: Import) -> None:
    shown = CliRunner().invoke(app, ["import", "--help"], env={"COLUMNS": "200"}).stdout
    assert "odd-tool, inspect, lmms-eval, vlmevalkit, openai-batch, authors or plain" in " ".join(shown.split())
    with pytest.raises(UsageError, match="the formats are odd-tool, inspect"):
        bring("x", from_format="excel")


@pytest.mark.usefixtures("odd")
def test_a_new_format_is_named_on_the_page_that_takes_files(tmp_path: Path) -> None:
    page = intro(Desk(LocalStore(tmp_path)))
    assert "answers of &lt;odd&gt;; an Inspect log" in page


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("kind", ["jsonl", "one line", "json", "csv"])
def test_a_new_format_is_guessed_and_read(bring: Import, written: Any, kind: str) -> None:
    rows = [{"instruction_id": n, "odd_answer": "x"} for n in range(2)]
    content = {
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "one line": json.dumps(rows[0]),
        "json": json.dumps(rows, indent=1),
        "csv": "note,instruction_id,odd_answer\nx,0,x\n",
    }[kind]
    assert bring(content).format == "odd-tool"
    assert written()[0] == {"instruction_id": 0, "response": "x"}


def test_every_format_says_what_it_is_and_has_a_name_of_its_own() -> None:
    names = [item.name for item in registry.FORMATS]
    assert len(set(names)) == len(names)
    assert all(item.says in registry.describe_formats() for item in registry.FORMATS)


def test_what_cannot_be_read_here_is_said_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", (ODD._replace(needs="no_such_module"),))
    assert registry.describe_formats() == "answers of <odd> (not here: no-such-module is not installed)"


ONE_LINE = [
    ({"id": 1, "response": "x"}, "plain"),
    ({"doc_id": 1, "resps": [["x"]], "input": "x"}, "lmms-eval"),
    ({"index": 1, "prediction": "x"}, "vlmevalkit"),
    ({"custom_id": "1", "response": None, "error": {}}, "openai-batch"),
    ({"stats": {}, "logs": []}, "authors"),
    ({"version": 2, "eval": {}}, "inspect"),
    ({"id": 1, "response": "x", "evaluation": {}, "log": []}, "plain"),
]


@pytest.mark.parametrize(("value", "name"), ONE_LINE)
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize("indent", [None, 1])
def test_one_object_is_what_its_keys_say_on_one_line_or_on_many(
    bring: Import, value: dict[str, Any], name: str, end: str, indent: int | None
) -> None:
    if name == "inspect":
        pytest.importorskip("inspect_ai")
    assert bring(json.dumps(value, indent=indent) + end).format == name
