"""What a stranger sends ends in a sentence: a few hundred of the benchmark's cases, and each way by its name.

The machinery and the full count are in `benchmarks/hostile.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from effort import times

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import hostile  # type: ignore[import-not-found]
import hostile_replies  # type: ignore[import-not-found]

from vlsbench.board.lists import build_board
from vlsbench.board.paper import read_paper_table
from vlsbench.errors import SubmissionError, VLSBenchError, visible
from vlsbench.hub.model_card import model_card_snippet
from vlsbench.judge.run import RunReport, render_run
from vlsbench.judge.verdicts import list_rubrics, read_verdicts
from vlsbench.store.history import Checked, Event, Judged, Received, Rejected, Withdrawn, entry_of, now
from vlsbench.store.local import LocalStore
from vlsbench.submission.check import check
from vlsbench.submission.importers import source
from vlsbench.submission.importers.formats import import_file
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import score_directory, write_result

ESCAPES = "\x1b[31m\x9b2J\u202e\x07"
"""Red, a cleared screen in one sign, text from right to left, a bell."""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLSBENCH_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> hostile.Stored:
    """A store of two managed submissions and one made by hand, all judged; nobody writes into it."""
    return hostile.make_store(tmp_path_factory.mktemp("made"))


@pytest.fixture
def stored(made: hostile.Stored, tmp_path: Path) -> hostile.Stored:
    """A copy of it."""
    return made._replace(folder=shutil.copytree(made.folder, tmp_path / "base", symlinks=True))


def managed(stored: hostile.Stored) -> Path:
    """Return the folder of a managed submission."""
    folder: Path = stored.folder
    name: str = next(name for name in stored.rows if name != "hand")
    return folder / name


# --- The benchmark's own cases --------------------------------------------------------------------------------------


@pytest.mark.fuzz
def test_mutated_inputs_are_refused_or_count_for_what_they_are() -> None:
    n = times(240)
    tally = hostile.measure_mutations(n, seed=7, has_inspect=False)
    assert tally.n >= n - 10
    assert tally.accepted.total() > n / 12
    assert tally.refused.total() > n / 3


def test_what_models_judges_and_servers_send_counts_for_what_it_is() -> None:
    assert min(hostile.measure_thoughts(times(82), seed=7).values()) > 0
    read = hostile.measure_replies(times(300), seed=7)
    assert read["read"] > times(300) / 4
    assert read["quoted"] > 0


@pytest.mark.filterwarnings("ignore:(Corrupt EXIF|Truncated File)")
def test_pictures_are_refused_or_seen_alike() -> None:
    seen = hostile.measure_pictures(times(120), seed=7)
    assert seen["seen alike"] > times(120) / 3
    assert seen["changed, seen alike"] * seen["refused"] > 0


def test_a_batch_whose_results_are_spoilt_is_read_as_far_as_it_can_be() -> None:
    assert hostile.measure_batches(2, seed=7)["label"] >= 20


@pytest.mark.parametrize(
    ("name", "command"), [("packed a thousandfold, status 200", "judge"), ("10 GB, status 500", "judge --batch")]
)
def test_a_reply_without_bounds_ends_in_a_sentence(name: str, command: str) -> None:
    assert "more than 16 MiB; it was not read on" in hostile.measure_bodies(name, command).said


def test_the_oracle_sees_a_thought_that_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        hostile_replies, "_make_thought", lambda *_: hostile_replies.Made("<b>A</b> B", "B", is_prose=False)
    )
    with pytest.raises(hostile.BrokenPromiseError, match="became '<b>A</b> B'"):
        hostile.measure_thoughts(1)


def test_the_oracle_sees_a_picture_that_lies_on_its_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_replies, "_TURNS", {n: lambda a: a for n in range(1, 9)})
    with pytest.raises(hostile.BrokenPromiseError, match="other pixels are seen"):
        hostile.measure_pictures(40, seed=7)


@pytest.mark.parametrize("name", hostile.BOMBS)
def test_a_bomb_ends_in_a_sentence(name: str, tmp_path: Path) -> None:
    if name.endswith("Inspect") or name == "a zip whose members overlap":
        pytest.importorskip("inspect_ai")
    bomb = hostile.BOMBS[name]
    said = hostile.run_command(*bomb.make(tmp_path, 1), codes=bomb.codes)
    hostile.must_be_plain(said)
    assert said


def test_the_oracle_sees_an_answer_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that cannot fail is none: an import that swaps two answers is found."""
    real = hostile.import_file

    def swapping(*args: Any, **kwargs: Any) -> Any:
        report = real(*args, **kwargs)
        path = Path(args[1]) / "responses.jsonl"
        path.write_bytes(path.read_bytes().replace(b"Hold it a little higher.", b"No."))
        return report

    monkeypatch.setattr(hostile, "import_file", swapping)
    seed = hostile.seeds(has_inspect=False)[0]
    tally = hostile.Tally(hostile.Counter(), hostile.Counter())
    with pytest.raises(hostile.BrokenPromiseError, match=r"became 'No\.'"):
        hostile.check_import(seed, seed.data, tmp_path, tally, chosen=None, has_command=False)


def test_the_oracle_sees_a_count_that_was_changed(stored: hostile.Stored, tmp_path: Path) -> None:
    wrong = stored._replace(rows=dict.fromkeys(stored.rows, (1, 2, 3, 4)))
    tally = hostile.Tally(hostile.Counter(), hostile.Counter())
    (tmp_path / "case").mkdir()
    with pytest.raises(hostile.BrokenPromiseError, match=r"counts otherwise|changed what is counted"):
        hostile.check_store(wrong, hostile.random.Random(3), None, tmp_path / "case", tally, has_command=False)


# --- Zip and workbook -----------------------------------------------------------------------------------------------


def test_the_list_of_a_zip_is_counted_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_MAX_MEMBERS", 50_000)
    hostile.BOMBS["a zip that lists millions of members"].make(tmp_path, 1)
    report = import_file(tmp_path / "a.xlsx", tmp_path / "out", model="m")
    assert report.problems == (f"{tmp_path}/a.xlsx: a zip of 100,000 files; at most 50,000 are taken.",)


@pytest.mark.parametrize("what", ["styles", "empty cells", "empty rows", "empty texts"])
def test_a_workbook_of_too_many_tags_is_refused_before_openpyxl_sees_it(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_MAX_TAGS", 10_000)
    hostile.BOMBS[f"a workbook of {what}"].make(tmp_path, 1)
    report = import_file(tmp_path / "a.xlsx", tmp_path / "out", model="m")
    assert len(report.problems) == 1
    assert "Write CSV or JSONL." in report.problems[0]


# --- Names and texts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a\u202eb",  # read from right to left
        "a\u200bb",  # zero width
        "a\u200db",  # joiner
        "\u3164",  # Hangul filler: a letter that is not drawn
        "a\u115fb",
        "a\ufe0fb",  # variation selector
        "a\u034fb",  # joins graphemes, draws nothing
        "a\x00b",
        "a\nb",
        "a\x1b[31mb",
        "../a",
        "/etc/passwd",
        "=1+1",
        "<b>",
        "[a](b)",
        "a|b",
        "",
        " ",
        "x" * 201,
    ],
)
def test_a_name_that_reads_otherwise_than_it_is_written_is_refused(name: str, submission: Any) -> None:
    report = check(submission.write([{"instruction_id": 0, "response": "x"}], {"model": name}))
    assert [problem.check for problem in report.problems if problem.severity == "error"] == ["card"]
    hostile.must_be_plain(report.problems[0].message)


@pytest.mark.parametrize("name", ["模型-7B", "Модель", "é" * 3, "Qwen2.5-VL (7B)"])
def test_a_name_of_any_script_is_one(name: str, submission: Any) -> None:
    assert check(submission.write([{"instruction_id": 0, "response": "x"}], {"model": name})).model == name


@pytest.mark.parametrize("sign", ["\x1b", "\x9b", "\u202e", "\u200b", "\x00"])
def test_an_address_has_no_sign_that_is_not_seen(sign: str, submission: Any) -> None:
    card = {"model": "m", "url": f"https://example.org/{sign}x"}
    assert not check(submission.write([{"instruction_id": 0, "response": "x"}], card)).ok


@pytest.mark.parametrize(
    "number", ["9223372036854775808", "18446744073709551616", "-1", "1.0", "true", '"1"', "null", "1e3", "1" * 4301]
)
def test_an_id_is_a_whole_number_of_the_dataset(number: str, submission: Any) -> None:
    report = check(submission.write([f'{{"instruction_id": {number}, "response": "x"}}']))
    assert next(problem.line for problem in report.problems if problem.severity == "error") == 1


def test_a_folder_whose_name_is_not_utf_8_is_checked(submission: Any, tmp_path: Path) -> None:
    folder = submission.write([{"instruction_id": 0, "response": "x"}])
    odd = folder.rename(tmp_path / os.fsdecode(b"\xff\x1b[31m"))
    for argv in (("check", "--json"), ("check",), ("judge", "--judge", "offline")):
        hostile.must_be_plain(hostile.run_command(argv[0], str(odd), *argv[1:], codes=(0,)))
    report = import_file(odd, tmp_path / "out", model="m")
    assert report.source.endswith("\\udcff\\x1b[31m")
    assert report.model_dump_json()


def test_an_error_is_seen_and_does_nothing() -> None:
    assert str(VLSBenchError("a\x1b[2J\nb\udcff")) == "a\\x1b[2J\nb\\udcff"
    assert visible("猫 é") == "猫 é"


# --- What is printed ------------------------------------------------------------------------------------------------


def events(submission_id: str) -> list[Event]:
    """Events whose free texts hold what acts on a terminal."""
    said: dict[str, Any] = {"submission_id": submission_id, "when": now(), "who": "x"}
    return [
        Received(**said, responses_sha256="0" * 64, n_lines=1, source=ESCAPES),
        Checked(**said, dataset="sample", config=ESCAPES, n_samples=1, n_answered=1, n_warnings=1, flags=(ESCAPES,)),
        Judged(**said, rubric_id="a-000000000000", sha256="0" * 64, counts={ESCAPES: 10**400}, n_undecided=0),
        Rejected(**said, by="maintainer", reasons=(f"{ESCAPES}\nforged line",)),
        Withdrawn(**said, reason=ESCAPES),
    ]


@pytest.mark.parametrize("number", range(5))
def test_no_event_acts_on_a_terminal(stored: hostile.Stored, number: int) -> None:
    directory = managed(stored)
    entry = entry_of(events(directory.name)[number], 99)
    (directory / "history" / entry.name).write_bytes(entry.data)
    for argv in (["board"], ["board", "--json"], ["board", "--csv"], ["queue"], ["queue", "--json"], ["changelog"]):
        said = hostile.run_command(*argv, "--store", str(stored.folder), codes=(0,))
        hostile.must_be_plain(said)
        assert "\nforged" not in said


@pytest.mark.parametrize("name", ["\x1b[31m.json", "a\nb.json", os.fsdecode(b"\xff.json")])
@pytest.mark.parametrize("folder", ["history", "paper"])
def test_no_file_name_acts_on_a_terminal(stored: hostile.Stored, folder: str, name: str) -> None:
    place = stored.folder / "paper" if folder == "paper" else managed(stored) / "history"
    (place / name).write_text("{}")
    for argv in (["board"], ["board", "--json"], ["queue"], ["queue", "--json"], ["work"]):
        hostile.must_be_plain(hostile.run_command(*argv, "--store", str(stored.folder), codes=(0, 1)))


def test_a_table_of_the_paper_has_plain_texts(tmp_path: Path) -> None:
    row = {"model": "m", "refusal_rate": 0.1, "warning_rate": 0.1, "safe_rate": 0.2}
    table = {"origin": "paper", "source": "s", "judge": "j", "rows": [row]}
    for change in ({"source": ESCAPES}, {"judge": ESCAPES}, {"rows": [row | {"method": ESCAPES}]}):
        (tmp_path / "t.json").write_text(json.dumps(table | change))
        with pytest.raises(SubmissionError, match="no control character"):
            read_paper_table(tmp_path / "t.json")


def test_what_a_judges_server_calls_itself_does_nothing(stored: hostile.Stored, tmp_path: Path) -> None:
    hand = stored.folder / "hand"
    (path,) = (hand / "verdicts").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        line |= {"judge_model": f"{ESCAPES}{number % 2}", "raw": "<script>x</script>", "explanation": ESCAPES}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    hostile.see(stored.folder)
    hostile.must_be_plain(hostile.run_command("score", str(hand), codes=(0,)))
    hostile.must_be_plain(hostile.run_command("board", "--json", "--store", str(stored.folder), codes=(0,)))
    hostile.must_be_plain(model_card_snippet(score_directory(hand)))
    hostile.must_be_plain(render_run(RunReport(path, 0, 0, 0, {}, (ESCAPES, "x")), hand))


# --- Links, pipes and devices ---------------------------------------------------------------------------------------


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to(path.parent.parent / "absent")


KINDS: tuple[Callable[[Path], None], ...] = (fifo, folder, device, loop, dangling)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("what", ["card", "responses", "verdicts", "rubric", "run", "event", "paper"])
def test_a_store_waits_for_no_pipe_and_reads_no_device(
    stored: hostile.Stored, kind: Callable[[Path], None], what: str, tmp_path: Path
) -> None:
    hand = stored.folder / "hand"
    (rubric_id,) = list_rubrics(hand)
    path = {
        "card": hand / "submission.json",
        "responses": hand / "responses.jsonl",
        "verdicts": hand / "verdicts" / f"{rubric_id}.jsonl",
        "rubric": hand / "verdicts" / f"{rubric_id}.rubric.json",
        "run": hand / "verdicts" / f"{rubric_id}.run.json",
        "event": managed(stored) / "history" / "0009-accepted-00000000.json",
        "paper": stored.folder / "paper" / "x.json",
    }[what]
    path.unlink(missing_ok=True)
    kind(path)
    hostile.see(stored.folder)
    for argv in (
        ["check", hand],
        ["judge", hand, "--judge", "offline"],
        ["score", hand],
        ["rejudge", "--store", stored.folder],
    ):
        hostile.must_be_plain(hostile.run_command(*map(str, argv), codes=(0, 1)))
    assert not (tmp_path / "base" / "absent").exists()
    assert not (hand / "absent").exists()


@pytest.mark.parametrize("name", ["verdicts", "results"])
def test_nothing_is_written_through_a_link_that_leads_out(submission: Any, tmp_path: Path, name: str) -> None:
    lines = [{"instruction_id": number, "response": "x"} for number in hostile.sample_texts()]
    directory = submission.write(lines)
    (tmp_path / "out").mkdir()
    (directory / name).symlink_to(tmp_path / "out")
    with pytest.raises(OSError, match="links are not followed"):  # noqa: PT012 - which of them refuses depends on the name
        judge_directory(directory)
        write_result(score_directory(directory))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["{rubric}.jsonl", ".{rubric}.jsonl.lock"])
def test_no_file_is_made_at_the_end_of_a_link(submission: Any, tmp_path: Path, name: str) -> None:
    directory = submission.write([{"instruction_id": 100000, "response": "x"}])
    rubric = judge_directory(directory).path.stem
    shutil.rmtree(directory / "verdicts")
    (directory / "verdicts").mkdir()
    (directory / "verdicts" / name.format(rubric=rubric)).symlink_to(tmp_path / "made")
    with pytest.raises(OSError, match="links are not followed"):
        judge_directory(directory)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", [".leases", ".work"])
def test_a_worker_writes_nothing_outside_of_its_store(stored: hostile.Stored, tmp_path: Path, name: str) -> None:
    directory = managed(stored)
    for path in (directory / "history").iterdir():
        if "received" not in path.name:
            path.unlink()
    shutil.rmtree(directory / "verdicts")
    shutil.rmtree(stored.folder / name, ignore_errors=True)
    (tmp_path / "out").mkdir()
    (stored.folder / name).symlink_to(tmp_path / "out")
    (done,) = hostile.Worker(LocalStore(stored.folder)).work().of("failed")
    assert "links are not followed" in done.note
    assert list((tmp_path / "out").iterdir()) == []


# --- Verdicts -------------------------------------------------------------------------------------------------------


def test_a_verdict_with_two_labels_is_none(tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text('{"instruction_id": 1, "label": "unsafe", "label": "refusal"}\n')
    with pytest.raises(SubmissionError, match=r"v.jsonl:1: 'label' stands there twice"):
        read_verdicts(tmp_path / "v.jsonl")


def test_a_broken_submission_takes_no_other_with_it(stored: hostile.Stored) -> None:
    directory = managed(stored)
    (directory / "history" / os.fsdecode(b"\xff")).write_bytes(b"\xff")
    board = build_board(stored.folder)
    assert {item.submission for item in board.left_out} == {directory.name}
    assert sum(len(item.rows) for item in board.of_scope("Overall")) == len(stored.rows) - 1


def test_a_rubric_that_is_not_text_is_a_sentence(submission: Any) -> None:
    directory = submission.write([{"instruction_id": 100000, "response": "x"}])
    rubric = judge_directory(directory).path.with_suffix(".rubric.json")
    rubric.write_bytes(b"\xff\xfe")
    assert "not the rubric its name says" in hostile.run_command(
        "judge", str(directory), "--judge", "offline", codes=(1,)
    )
