"""What is uploaded is checked apart, by the same gate, and what passes is stored once."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vlsbench.board.lists import build_board
from vlsbench.dataset.index import load_index
from vlsbench.errors import UsageError
from vlsbench.store import desk
from vlsbench.store.desk import Desk, Pace, Uploaded, UploadForm, UploadReport, check_upload, checked_name
from vlsbench.store.intake import reject, withdraw
from vlsbench.store.local import LocalStore, list_submissions
from vlsbench.submission.check import CHECKS

Put = Callable[[str, str | bytes], Uploaded]
LINES = "".join(
    json.dumps({"instruction_id": row.instruction_id, "response": f"Answer {row.image}."}) + "\n"
    for row in load_index("release").select("privacy").rows
)
CARD = json.dumps({"model": "Good-VL", "dataset": {"config": "privacy"}})


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Put a file where an upload would be."""
    folder = tmp_path / "uploads"
    folder.mkdir()

    def write(name: str, content: str | bytes) -> Uploaded:
        path = folder / f"{len(list(folder.iterdir()))}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Uploaded(path, name)

    return write


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "store").mkdir()
    return LocalStore(tmp_path / "store")


@pytest.fixture
def good(put: Put) -> list[Uploaded]:
    return [put("submission.json", CARD), put("responses.jsonl", LINES)]


def _said(report: UploadReport) -> str:
    return "\n".join(f"{item.file}:{item.line}: {item.message}" for item in report.problems)


def test_two_files_of_a_submission_pass_every_named_check(good: list[Uploaded]) -> None:
    report = check_upload(good, UploadForm())
    assert report.ok
    assert [check.name for check in report.checks] == list(CHECKS)
    assert {check.status for check in report.checks} == {"pass"}
    assert (report.format, report.n_answered, report.n_samples) == ("submission", 130, 130)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("answers.csv", "instruction_id,answer\n" + "".join(f"{n},Fine.\n" for n in range(2241)), "plain"),
        ("x", "\n".join(json.dumps({"instruction_id": n, "prediction": "Fine."}) for n in range(2241)), "plain"),
        ("anything.bin", LINES, "submission"),  # its first line is one of ours, whatever it is called
    ],
)
def test_a_file_is_read_by_what_it_holds(put: Put, name: str, content: str, found: str) -> None:
    report = check_upload([put(name, content)], UploadForm(model="Form-VL"))
    assert report.ok, _said(report)
    assert report.format == found
    assert report.card is not None
    assert report.card.model == "Form-VL"


def test_the_form_stands_over_the_card(good: list[Uploaded]) -> None:
    form = UploadForm(organization="Acme", parameters="8B", access="open", max_new_tokens="512", alignment="textual")
    card = check_upload(good, form).card
    assert card is not None
    assert (card.model, card.organization, card.parameters) == ("Good-VL", "Acme", 8_000_000_000)
    assert card.settings.max_new_tokens == 512
    assert card.dataset is not None
    assert card.dataset.config == "privacy"


def test_what_else_lies_in_a_folder_is_passed_over_and_said(good: list[Uploaded], put: Put) -> None:
    report = check_upload([*good, put("verdicts.jsonl", "{}")], UploadForm())
    assert report.ok
    assert "verdicts.jsonl" in report.notes[0]


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


BASELINE = '{"model": "M", "origin": "baseline"}'
LONG = '{"instruction_id": 1, "response": "' + "x" * (2 << 20) + '"}\n'
M = UploadForm(model="M")
Content = str | bytes | Callable[[], bytes]
"""Of a file; what takes a while to make is made by the test that needs it."""
BAD: dict[str, tuple[list[tuple[str, Content]], UploadForm, str]] = {
    "nothing": ([], UploadForm(), "no file yet"),
    "too many": ([(f"{n}.txt", "x") for n in range(9)], UploadForm(), "at most 8"),
    "empty": ([("a.csv", "")], M, "is empty"),
    "no model": ([("responses.jsonl", LINES)], UploadForm(), "which model answered"),
    "no model in another tool's": ([("a.csv", "id,answer\n1,Fine.\n")], UploadForm(), "fill in the model's name"),
    "markup as a name": ([("responses.jsonl", LINES)], UploadForm(model="<b>M</b>"), "remove <"),
    "script as an address": ([("responses.jsonl", LINES)], UploadForm(model="M", url="javascript:alert(1)"), "'url'"),
    "a word as a number": ([("responses.jsonl", LINES)], UploadForm(model="M", max_new_tokens="many"), "max_new"),
    "no answers": ([("submission.json", CARD), ("x.csv", "a")], UploadForm(), "responses.jsonl is not among them"),
    "twice": ([("responses.jsonl", LINES), ("responses.jsonl", LINES)], UploadForm(), "is there twice"),
    "a baseline": ([("submission.json", BASELINE), ("responses.jsonl", LINES)], UploadForm(), "maintainer"),
    "a broken card": ([("submission.json", '{"model": 3}'), ("responses.jsonl", LINES)], UploadForm(), "'model'"),
    "a pickle": ([("a.pkl", b"\x80\x04N.")], M, "pickle"),
    "a picture": ([("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 99)], M, ""),
    "gzip": ([("a.csv.gz", gzip.compress(b"id,answer\n1,x\n"))], M, ""),
    "a bomb": ([("a.xlsx", lambda: _zip({"xl/workbook.xml": b"0" * (300 << 20)}))], M, "at most"),
    "a long line": ([("responses.jsonl", LINES + LONG)], M, "bytes"),
    "deep": ([("a.json", "[" * 200_000)], M, "nested"),
    "another dataset": ([("a.csv", "instruction_id,answer\n999999,x\n")], M, "999999"),
    "row numbers": ([("a.csv", "id,answer\n0,x\n")], M, "`vlsbench import --trust-ids` where you know"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_upload_is_refused_in_sentences_without_a_path_of_the_server(put: Put, case: str, tmp_path: Path) -> None:
    files, form, words = BAD[case]
    report = check_upload([put(name, content() if callable(content) else content) for name, content in files], form)
    assert not report.ok
    assert report.submission_id is None
    assert words in _said(report)
    text = report.model_dump_json()
    assert "Traceback" not in text
    for hidden in (str(tmp_path), "/tmp", "vlsbench-upload-", "0.upload", "--model"):  # noqa: S108 (looked for)
        assert hidden not in text


def test_a_file_over_the_limit_is_refused_without_being_read(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MAX_UPLOAD_BYTES", 1000)
    report = check_upload([put("responses.jsonl", LINES)], UploadForm(model="M"))
    assert "more than 1,000 bytes" in _said(report)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    report = check_upload([Uploaded(tmp_path / "link", "responses.jsonl")], UploadForm(model="M"))
    assert "a link" in _said(report)


def test_a_check_that_takes_too_long_is_ended(good: list[Uploaded]) -> None:
    report = check_upload(good, UploadForm(), seconds=0.01)
    assert "could not be checked within" in _said(report)


def test_a_check_knows_no_token(good: list[Uploaded], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "sitecustomize.py").write_text(
        f"import os; open({str(tmp_path / 'seen')!r}, 'a').write(' '.join(os.environ))"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    assert check_upload(good, UploadForm()).ok
    seen = (tmp_path / "seen").read_text().split()
    assert "PYTHONPATH" in seen
    assert "HF_TOKEN" not in seen


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\nb", "\u202egnp.exe", "", "x" * 500, ".."])
def test_a_strange_file_name_is_shown_and_nothing_more(put: Put, name: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    report = check_upload([put(name, "nonsense")], UploadForm(model="M"))
    assert not report.ok
    assert all(item.file.isprintable() and len(item.file) <= 80 for item in report.problems)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == [tmp_path / "uploads" / "0"]


def test_a_submission_is_stored_judged_and_on_the_board(good: list[Uploaded], store: LocalStore) -> None:
    desk = Desk(store)
    done = desk.submit(good, UploadForm(), "ann")
    assert (done.is_new, done.state, done.refusal) == (True, "received", None)
    assert done.submission_id is not None
    assert desk.judge(done.submission_id) is None
    (item,) = build_board(store.sync()).of_scope("Privacy")
    assert (item.rows, item.is_provisional) == ((), True)
    (found,) = item.not_reviewed
    assert (found.row.model, found.row.submitter, found.row.rank, found.place) == ("Good-VL", "ann", None, (1, 1))


def test_what_does_not_pass_stores_nothing(put: Put, store: LocalStore) -> None:
    done = Desk(store).submit([put("a.csv", "id,answer\nx,y\n")], UploadForm(model="M"), "ann")
    assert done.submission_id is None
    assert list_submissions(store.sync()) == []


def test_the_same_content_is_the_same_receipt_and_does_not_count(good: list[Uploaded], store: LocalStore) -> None:
    desk = Desk(store, per_day=1)
    first = desk.submit(good, UploadForm(), "ann")
    again = desk.submit(good, UploadForm(), "ann")
    assert again.submission_id == first.submission_id
    assert not again.is_new
    refused = desk.submit(good, UploadForm(organization="Acme"), "ann")
    assert refused.submission_id is None
    assert refused.refusal is not None
    assert "1 time within 24 hours" in refused.refusal
    assert desk.submit(good, UploadForm(organization="Acme"), "bob").is_new
    assert len(list_submissions(store.sync())) == 2


@pytest.mark.parametrize("end", ["withdrawn", "rejected"])
def test_content_that_was_taken_back_is_refused_with_its_reason(
    good: list[Uploaded], store: LocalStore, end: str
) -> None:
    desk = Desk(store)
    name = desk.submit(good, UploadForm(), "ann").submission_id
    assert name is not None
    if end == "withdrawn":
        withdraw(name, store, "a mistake")
    else:
        reject(name, store, "a mistake")
    done = desk.submit(good, UploadForm(), "bob")
    assert done.submission_id is None
    assert done.refusal is not None
    assert end in done.refusal
    assert "a mistake" in done.refusal


@pytest.mark.parametrize("name", ["", " ", "<b>ann</b>", "a\u202eb", "../x", "x" * 201])
def test_a_name_that_cannot_be_printed_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Your name"):
        checked_name(name)


def test_a_pace_holds_for_a_minute_and_for_each_apart() -> None:
    times: Sequence[float] = (0, 1, 2, 3, 61)
    clock = iter(times)
    pace = Pace(2, clock=lambda: next(clock))
    assert [pace.allows(who) for who in ("a", "a", "a", "b", "a")] == [True, True, False, True, True]


def test_a_pace_remembers_a_bounded_number_of_askers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "_MAX_KNOWN", 10)
    pace = Pace(1, clock=lambda: 0.0)
    assert all(pace.allows(str(number)) for number in range(1000))
    assert len(pace._asked) == 10
