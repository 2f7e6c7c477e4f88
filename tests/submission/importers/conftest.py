"""The package's own sample, and an import of whatever a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import open_source
from vlsbench.submission.importers.formats import ImportReport, import_file

Import = Callable[..., ImportReport]


@pytest.fixture(scope="session")
def sample_texts() -> dict[int, str]:
    """Instructions of the sample by id, its twins too."""
    with open_source(None, name="sample") as source:
        return {row.instruction_id: source.sample(row.instruction_id).instruction for row in load_index("sample").rows}


@pytest.fixture
def bring(tmp_path: Path) -> Import:
    """Write a file (bytes, text, or objects as JSON lines) and import it into a folder, as model `m`."""

    def run(
        content: bytes | str | Iterable[Any] | Path, name: str = "answers.jsonl", out: str = "out", **options: Any
    ) -> ImportReport:
        path = content if isinstance(content, Path) else tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(content.encode())
        elif not isinstance(content, Path):
            path.write_text("".join(json.dumps(line) + "\n" for line in content), encoding="utf-8")
        return import_file(path, tmp_path / out, **{"model": "m"} | options)

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Read the lines of the submission that was made."""

    def read() -> list[dict[str, Any]]:
        text = (tmp_path / "out" / "responses.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

    return read


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[[Sequence[Sequence[Any]]], bytes]:
    """Make an xlsx of rows."""

    def make(rows: Sequence[Sequence[Any]]) -> bytes:
        from openpyxl import Workbook

        book = Workbook()
        sheet = book.active
        assert sheet is not None
        for row in rows:
            sheet.append(row)
        path = tmp_path / "made.xlsx"
        book.save(path)
        return path.read_bytes()

    return make
