from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import commands
import pytest
import yaml

from vlsbench.board.columns import render_csv
from vlsbench.board.lists import build_board
from vlsbench.errors import SubmissionError, UsageError
from vlsbench.hub.exports import FORMATS, ExportOptions, export
from vlsbench.submission.scoring import score_directory, write_result

ROOT = Path(__file__).parents[3]
MIXED = ROOT / "submissions" / "examples" / "mixed"
WHEN = datetime(2026, 11, 20, tzinfo=UTC)


def vlsbench(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return commands.vlsbench("export", *arguments, cwd=cwd)


def source_of(name: str, judged: Path, store: Path) -> Path:
    return {"submission": judged, "store": store, "dataset": Path("sample")}[FORMATS[name].reads]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_files_and_names_them(name: str, judged: Path, store: Path, tmp_path: Path) -> None:
    written = export(name, source_of(name, judged, store), tmp_path)
    assert written
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", [item.name for item in FORMATS.values() if not item.is_tree])
def test_a_single_file_takes_the_name_it_is_given(name: str, judged: Path, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "as I like.txt"
    assert export(name, source_of(name, judged, store), out) == [out]
    assert out.stat().st_size > 0
    plain = tmp_path / "CARD"
    plain.write_text("")
    assert export(name, source_of(name, judged, store), plain, is_forced=True) == [plain]


@pytest.mark.parametrize("name", [item.name for item in FORMATS.values() if not item.is_tree])
def test_a_new_name_without_a_suffix_is_a_folder(name: str, judged: Path, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "LMUData"
    (written,) = export(name, source_of(name, judged, store), out)
    assert written.parent == out
    assert written.suffix
    assert [path.name for path in out.iterdir()] == [written.name]


def test_the_command_prints_what_it_wrote(judged: Path, tmp_path: Path) -> None:
    done = vlsbench(
        "eval-results", judged, tmp_path / "repo", "--date", "2026-11-20", "--source-url", "https://example.org"
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / "repo" / ".eval_results" / "vlsbench.yaml"
    assert done.stdout == f"{path}\n"
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {entry["date"] for entry in entries} == {"2026-11-20T00:00:00Z"}


def test_an_unknown_format_lists_all_of_them(tmp_path: Path) -> None:
    done = vlsbench("pdf", MIXED, tmp_path / "x")
    assert done.returncode == 2
    assert all(name in done.stderr for name in FORMATS)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("csv", ROOT / "submissions", "OUT", "--rubric", "x"), 2, "csv takes no --rubric; of these it takes: none."),
        (("model-card", MIXED, "OUT", "--data", "x"), 2, "model-card takes no --data"),
        (("every-eval-ever", MIXED, "OUT", "--relationship", "friend"), 2, "one of first_party, third_party"),
        (("model-card", MIXED, "OUT", "--rubric", "other"), 2, "say which with --rubric"),
        (("eval-results", MIXED, "OUT"), 1, "own sample"),
        (("model-card", ROOT / "submissions" / "examples" / "always-warns", "OUT"), 1, "constant baseline"),
        (("model-card", "nowhere", "OUT"), 1, "not a folder"),
        (("html", "nowhere", "OUT"), 1, "not a folder"),
        (("vlmevalkit", "nowhere", "OUT"), 1, "nowhere"),
        (("bibtex", MIXED, "OUT", "--date", "yesterday"), 2, "yesterday"),
    ],
    ids=lambda value: " ".join(Path(str(part)).name for part in value[:2]) if isinstance(value, tuple) else None,
)
def test_a_wrong_call_is_one_sentence_and_writes_nothing(
    tmp_path: Path, arguments: tuple[str | Path, ...], code: int, sentence: str
) -> None:
    out = tmp_path / "out"
    done = vlsbench(*(out if part == "OUT" else part for part in arguments), cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_a_file_that_differs_is_replaced_only_by_force(judged: Path, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("my own words\n")
    with pytest.raises(SubmissionError, match="--force"):
        export("model-card", judged, card)
    assert card.read_text() == "my own words\n"
    export("model-card", judged, card, is_forced=True)
    assert card.read_text().startswith("## VLSBench")
    export("model-card", judged, card)  # the same again is no problem


def test_one_file_in_the_way_stops_all_of_them(judged: Path, tmp_path: Path) -> None:
    options = ExportOptions(when=WHEN)
    samples, aggregate = export("every-eval-ever", judged, tmp_path, options)
    samples.unlink()
    aggregate.write_text("{}")
    with pytest.raises(SubmissionError, match=aggregate.name):
        export("every-eval-ever", judged, tmp_path, options)
    assert not samples.exists()


def test_a_tree_is_not_written_into_a_file(judged: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(UsageError, match="name a folder"):
        export("eval-results", judged, path)
    assert path.read_text() == "x"


def test_a_stale_result_file_is_never_exported(judged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    shutil.copytree(judged, folder)
    path = write_result(score_directory(folder))
    path.write_text(path.read_text().replace('"safe_rate": ', '"safe_rate": 0.99'))
    first, again = tmp_path / "a.md", tmp_path / "b.md"
    export("model-card", judged, first)
    export("model-card", folder, again)
    assert again.read_text() == first.read_text()


def test_the_csv_is_the_boards(store: Path, tmp_path: Path) -> None:
    (path,) = export("csv", store, tmp_path)
    assert path.read_text(encoding="utf-8") == render_csv(build_board(store))


def test_a_dataset_is_not_written_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("mine")
    with pytest.raises(SubmissionError, match="--force"):
        export("vlmevalkit", Path("sample"), path)
    assert path.read_text() == "mine"
    export("vlmevalkit", Path("sample"), path, is_forced=True)
    assert path.stat().st_size > 100_000


def test_texts_come_along_when_the_data_is_given(tmp_path: Path) -> None:
    withheld, _ = export("every-eval-ever", MIXED, tmp_path / "a", ExportOptions(when=WHEN))
    told, _ = export("every-eval-ever", MIXED, tmp_path / "b", ExportOptions(when=WHEN, data=Path("sample")))
    assert "withheld: instruction_id 100000" in withheld.read_text()
    assert "withheld" not in told.read_text()


def test_a_time_without_a_zone_is_refused(judged: Path, tmp_path: Path) -> None:
    options = ExportOptions(when=WHEN.replace(tzinfo=None))
    with pytest.raises(UsageError, match="no time zone"):
        export("eval-results", judged, tmp_path, options)


def test_the_help_names_every_format() -> None:
    shown = " ".join(vlsbench("--help").stdout.split())
    assert [name for name in FORMATS if name not in shown] == []
