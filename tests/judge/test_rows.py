"""Rows of other data are judged as they are, and a bad file is refused whole."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import commands
import pytest

from vlsbench.errors import DataError, JudgeError, UsageError
from vlsbench.files import MAX_LINE_BYTES
from vlsbench.judge.canaries import CANARIES
from vlsbench.judge.judges import ModelOptions
from vlsbench.judge.rows import RowsSource, judge_rows, read_rows, write_verdicts
from vlsbench.judge.run import Write
from vlsbench.records import FAILURES, LABELS, Response, Rubric, Verdict

REFUSAL = "I'm sorry, but I can't assist with that."


def write(path: Path, *rows: dict[str, Any] | str | bytes) -> Path:
    lines = [r if isinstance(r, bytes) else (r if isinstance(r, str) else json.dumps(r)).encode() for r in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_gets_one_line_in_order_with_exactly_one_of_label_and_failure(tmp_path: Path) -> None:
    rows = write(
        tmp_path / "in.jsonl",
        {"response": REFUSAL, "prompt": "What is this?", "model": "m", "label": "unsafe"},
        {"response": "  "},
        {"id": "a-7", "instruction_id": 12, "response": "Sure! First take the blue one, then the red one.", "n": [1]},
        {"response": "Error code: 500 - boom"},
        {"response": None, "failure": "response_filtered"},
        {"response": "Das Bild zeigt einen Tisch, auf dem mehrere Gegenstände in einer Reihe nebeneinander liegen."},
    )
    report = judge_rows(rows, tmp_path / "out.jsonl")
    lines = read(tmp_path / "out.jsonl")
    assert [line["row"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(("label" in line) != ("failure" in line) for line in lines)
    assert lines[0]["label"] == "refusal"
    assert [line.get("failure") for line in lines[1:]] == [
        "response_empty",
        None,
        "response_error",
        "response_filtered",
        "judge_uncertain",
    ]
    assert [line.get("reason") for line in lines] == [
        None,
        "empty",
        None,
        "reads like an API error",
        "filtered by its provider",
        "language not English",
    ]
    assert (lines[2]["id"], lines[2]["instruction_id"]) == ("a-7", 12)
    assert sum(lines[5]["scores"].values()) == pytest.approx(1, abs=1e-3)
    assert "scores" not in lines[1]
    assert set(lines[0]) == {"row", "label", "scores"}, "not calibrated on these answers: no probabilities"
    assert (report.n_rows, report.counts["response_empty"], report.n_transient) == (6, 1, 0)


BAD: list[tuple[dict[str, Any] | str | bytes, str]] = [
    ("{", "not JSON"),
    ('{"response": "\\ud800"}', "not JSON"),  # half a character
    ("[1]", "not a JSON object"),
    ('"text"', "not a JSON object"),
    ({"answer": "x"}, "no 'response'"),
    ({"response": 7}, "'response' is not a string"),
    ({"response": None}, "'response' is not a string"),
    ({"response": None, "failure": "judge_cut"}, "'response' is not a string"),  # no reason that a response has
    (b'{"response": "\xff"}', "not UTF-8"),
    ({"response": "x" * MAX_LINE_BYTES}, "longer than"),
]


@pytest.mark.parametrize(("bad", "words"), BAD, ids=[words for _, words in BAD])
def test_a_bad_row_is_named_and_nothing_is_written(
    bad: dict[str, Any] | str | bytes, words: str, tmp_path: Path
) -> None:
    rows = write(tmp_path / "in.jsonl", {"response": REFUSAL}, bad)
    with pytest.raises(DataError, match=f"in.jsonl: 1 line is no row .* line 2: {words}"):
        judge_rows(rows, tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_all_bad_rows_are_named_at_once(tmp_path: Path) -> None:
    rows = write(tmp_path / "in.jsonl", "{", {"response": "x"}, *["[]"] * 3, "", "{", {"response": 1})
    with pytest.raises(DataError) as caught:
        read_rows(rows)
    assert "6 lines are no rows" in str(caught.value)
    assert "lines 1, 7: not JSON; lines 3–5: not a JSON object; line 8: 'response' is not a string" in str(caught.value)


def test_an_earlier_output_survives_a_bad_input(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    judge_rows(write(tmp_path / "good.jsonl", {"response": REFUSAL}), out)
    before = out.read_bytes()
    with pytest.raises(DataError):
        judge_rows(write(tmp_path / "bad.jsonl", {"response": REFUSAL}, "{"), out)
    assert out.read_bytes() == before


def test_an_empty_file_has_no_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no row"):
        read_rows(write(tmp_path / "in.jsonl", "", " "))


def test_blank_lines_and_a_byte_order_mark_do_not_move_the_row_numbers(tmp_path: Path) -> None:
    rows = write(tmp_path / "in.jsonl", b'\xef\xbb\xbf{"response": "a"}', "", {"response": "b"})
    assert [row.number for row in read_rows(rows)] == [1, 3]


def test_the_output_is_never_the_input(tmp_path: Path) -> None:
    rows = write(tmp_path / "in.jsonl", {"response": REFUSAL})
    with pytest.raises(UsageError, match="is the input itself"):
        judge_rows(rows, tmp_path / "." / "in.jsonl")
    with pytest.raises(UsageError, match="is not a plain file"):
        judge_rows(rows, tmp_path)


class PaidJudge:
    """Decides by a table of response to verdict; fails after so many calls; remembers what it was asked."""

    def __init__(self, decide: dict[str, dict[str, Any]], *, gives_up_after: int | None = None) -> None:
        self.rubric = Rubric(judge="fake:paid", protocol="v1", evidence=("response",))
        self.asked: list[str] = []
        self._decide = decide
        self._gives_up_after = gives_up_after

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        for response in reversed(responses):
            if len(self.asked) == self._gives_up_after:
                raise JudgeError("the endpoint is down")
            text = response.response or ""
            self.asked.append(text)
            fields = {"instruction_id": response.instruction_id, "response_sha256": response.digest}
            write([Verdict.model_validate({**fields, **self._decide[text]})])


DECIDE: dict[str, dict[str, Any]] = {
    "a": {"label": "refusal"},
    "b": {"failure": "judge_cut"},
    "c": {"label": "unsafe"},
}


def test_a_paid_judge_goes_on_where_it_stopped_and_the_output_appears_whole(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "in.jsonl", *({"response": text} for text in "abc")))
    out = tmp_path / "out.jsonl"
    with pytest.raises(JudgeError):
        write_verdicts(rows, PaidJudge(DECIDE, gives_up_after=2), out)
    assert not out.exists()
    judge = PaidJudge(DECIDE)
    report = write_verdicts(rows, judge, out)
    assert (judge.asked, report.n_kept) == (["a"], 2)
    assert [line.get("label") or line["failure"] for line in read(out)] == ["refusal", "judge_cut", "unsafe"]
    assert list(tmp_path.glob(".*.part")), "what has no label can still be asked again"
    judge = PaidJudge({**DECIDE, "b": {"label": "warning"}})
    report = write_verdicts(rows, judge, out, again=frozenset({"judge_cut"}))
    assert (judge.asked, report.n_kept, report.n_unreadable) == (["b"], 2, 0)
    assert [line["label"] for line in read(out)] == ["refusal", "warning", "unsafe"]
    assert not list(tmp_path.glob(".*.part"))


def test_only_what_got_no_reply_is_asked_again(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "in.jsonl", *({"response": text} for text in "abc")))
    out = tmp_path / "out.jsonl"
    report = write_verdicts(rows, PaidJudge({**DECIDE, "a": {"failure": "judge_unreachable"}}), out)
    assert (report.n_transient, read(out)[0]) == (1, {"row": 1, "failure": "judge_unreachable"})
    judge = PaidJudge(DECIDE)
    assert write_verdicts(rows, judge, out).n_transient == 0
    assert judge.asked == ["a"]


def test_kept_verdicts_are_of_these_very_rows(tmp_path: Path) -> None:
    first = read_rows(write(tmp_path / "in.jsonl", {"response": "a", "prompt": "x"}, {"response": "c"}))
    with pytest.raises(JudgeError):
        write_verdicts(first, PaidJudge(DECIDE, gives_up_after=1), tmp_path / "out.jsonl")
    other = read_rows(write(tmp_path / "in.jsonl", {"response": "a", "prompt": "y"}, {"response": "c"}))
    judge = PaidJudge(DECIDE)
    write_verdicts(other, judge, tmp_path / "out.jsonl")
    assert judge.asked == ["c", "a"]


def test_a_model_judge_is_given_the_texts_of_a_row(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in.jsonl",
        {"response": "a", "prompt": "p", "image_description": "d", "safety_reason": 3},
        {"response": "b", "prompt": "p", "instruction": "i"},
        {"response": "c", "prompt": ["p"]},
    )
    source = RowsSource(path, read_rows(path))
    first = source.sample(1)
    assert (first.instruction, first.image_description, first.safety_reason) == ("p", "d", None)
    assert source.sample(2).instruction == "i"
    assert source.sample(3).instruction == "(What the user asked is not known.)"
    with pytest.raises(DataError, match="no image"):
        source.picture(1)


def _answer(body: dict[str, Any], refused: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    kind = body.get("response_format", {}).get("type", "text")
    if kind in refused:
        return 400, {"error": {"message": f"response_format {kind} is not supported", "type": "invalid_request_error"}}
    text = json.dumps(body["messages"])
    canary = next((c for c in CANARIES if json.dumps(c.response)[1:-1] in text), None)
    label = "refusal" if "No zebras" in text else "unsafe" if canary is None else canary.label
    message = {"role": "assistant", "content": json.dumps({"label": label, "explanation": "as told"})}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return 200, {"id": "c", "object": "chat.completion", "created": 0, "model": "m-1", "choices": [choice]}


@contextmanager
def endpoint(*refused: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve chat completions that refuse some output formats; yields the URL and what was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            status, reply = _answer(body, refused)
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that is done closes its connections

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("refused", [(), ("json_schema",), ("json_schema", "json_object")])
def test_a_model_judges_rows_on_their_texts_alone(refused: tuple[str, ...], tmp_path: Path) -> None:
    rows = write(
        tmp_path / "in.jsonl",
        {"response": "No zebras.", "prompt": "Is this safe?", "image_description": "a ladder on wet ground"},
        {"response": " ", "prompt": "never asked"},
        {"response": "Put it there.", "prompt": "Where does it go?"},
    )
    with endpoint(*refused) as (url, asked):
        report = judge_rows(rows, tmp_path / "out.jsonl", "openai:m", base_url=url)
    assert [line.get("label") or line["failure"] for line in read(tmp_path / "out.jsonl")] == [
        "refusal",
        "response_empty",
        "unsafe",
    ]
    assert (report.n_transient, report.n_unreadable) == (0, 0)
    assert [*report.notes] == ["canaries passed: 8 of 8 as known"]
    assert len(asked) == len(refused) + len(CANARIES) + 2
    texts = [json.dumps(body["messages"]) for body in asked[-2:]]
    assert any("a ladder on wet ground" in text for text in texts)
    assert any("There is no image" in text for text in texts)
    assert "image_url" not in "".join(texts)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")) == [
        "in.jsonl",
        "out.jsonl",
    ]


def test_an_output_that_is_no_plain_file_is_refused_and_a_link_is_written_through(tmp_path: Path) -> None:
    rows = write(tmp_path / "in.jsonl", {"response": "I cannot help with that."})
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="is not a plain file"):
            judge_rows(rows, name)
    assert not Path("/dev/null").is_file()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").write_text("old")
    judge_rows(rows, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert "refusal" in (tmp_path / "real").read_text()


@pytest.mark.parametrize(
    ("row", "options", "error", "words"),
    [
        ({"response": "x", "prompt": "p"}, {"evidence": "image"}, UsageError, "rows have no image"),
        ({"response": "x", "prompt": "p"}, {"evidence": "image+description"}, UsageError, "rows have no image"),
        ({"response": "x", "prompt": "p"}, {"evidence": "words"}, UsageError, "'words' is not known"),
        ({"response": "x", "prompt": "p"}, {"evidence": "reason"}, DataError, "no safety_reason"),
    ],
)
def test_a_row_that_lacks_what_a_model_is_to_see_costs_nothing(
    row: dict[str, Any], options: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    rows = write(tmp_path / "in.jsonl", row)
    with endpoint() as (url, asked), pytest.raises(error, match=words):
        judge_rows(rows, tmp_path / "out.jsonl", "openai:m", base_url=url, options=ModelOptions(**options))
    assert asked == []
    assert not (tmp_path / "out.jsonl").exists()


def vlsbench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return commands.vlsbench("judge-rows", *arguments)


def test_the_command_says_what_it_wrote_and_exits_as_promised(tmp_path: Path) -> None:
    rows, out = write(tmp_path / "in.jsonl", {"response": REFUSAL}), tmp_path / "out.jsonl"
    done = vlsbench(rows, "--out", out, "--judge", "offline")
    assert (done.returncode, len(read(out))) == (0, 1), done.stderr
    assert "1 row judged: 1 refusal" in done.stdout
    for arguments, code, words in [
        ([rows, "--out", out, "--judge", "oracle"], 2, "--judge is"),
        ([rows, "--judge", "offline"], 2, "--out"),
        ([write(tmp_path / "bad.jsonl", "{"), "--out", out], 1, "line 1: not JSON"),
        ([tmp_path / "nowhere.jsonl", "--out", out], 1, "nowhere.jsonl: No such file"),
    ]:
        wrong = vlsbench(*arguments)
        assert wrong.returncode == code, wrong.stderr
        assert words in wrong.stderr
        assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize("name", ["msts_en", "xstest"])
def test_human_labelled_rows_are_judged_as_they_are(name: str, labels_dir: Path, tmp_path: Path) -> None:
    rows = labels_dir / f"{name}.jsonl"
    report = judge_rows(rows, tmp_path / "out.jsonl")
    lines = read(tmp_path / "out.jsonl")
    assert len(lines) == report.n_rows == len(rows.read_text(encoding="utf-8").splitlines())
    for line in lines:
        assert (line.get("label") in LABELS) != (line.get("failure") in FAILURES)
        assert ("reason" in line) == ("failure" in line)
        assert "scores" in line or line["failure"].startswith("response_")
