"""Plain tables: a text stays the text that was written, whatever the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlsbench.submission.importers.formats import ImportReport

Import = Callable[..., ImportReport]

WORDS = ["None", "NA", "null", "nan", "#N/A", "True", "007", "1e5", " =1+1", 'a,b\t"c"\nd', "é 猫 \u2028 😀"]
"""Answers that a reader of spreadsheets would take for something else."""


def separated(delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["instruction_id", "response"])
    writer.writerows([[n, word] for n, word in enumerate(WORDS)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx"])
def test_a_word_that_looks_like_something_else_stays_a_word(
    bring: Import, written: Any, workbook: Any, kind: str
) -> None:
    rows = [{"instruction_id": n, "response": word} for n, word in enumerate(WORDS)]
    content: bytes = {
        "csv": lambda: separated(","),
        "tsv": lambda: separated("\t"),
        "jsonl": lambda: "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "json": lambda: json.dumps(rows, indent=1).encode(),
        "parquet": lambda: parquet(rows),
        "xlsx": lambda: workbook(
            [["instruction_id", "response"], *([row["instruction_id"], row["response"]] for row in rows)]
        ),
    }[kind]()
    report = bring(content, name="wrongly.named")
    assert report.problems == ()
    assert [line["response"] for line in written()] == WORDS
    assert report.n_answered + sum(report.failures.values()) == len(WORDS)


GOOD_IDS = [
    (17, 17),
    (17.0, 17),
    ("17", 17),
    (" 17.0 ", 17),
    ("vlsbench-17", 17),
    ("instruction_id=17", 17),
    ("017", 17),
]
BAD_IDS = [
    (17.5, "not whole"),
    (True, "a truth value"),
    (None, "absent"),
    (-1, "negative"),
    (2**63, "beyond 2^53"),
    ("1" * 17, "too long"),
    ("request-17", "a counter of requests, maybe"),
    ("17; drop", "more than a number"),
    ("½", "a digit to Unicode only"),
    ([17], "a list"),
]


@pytest.mark.parametrize(("given", "number"), GOOD_IDS)
def test_an_id_is_read_as_tools_write_it(bring: Import, written: Any, given: Any, number: int) -> None:
    assert bring([{"instruction_id": given, "response": "x"}]).problems == ()
    assert written()[0]["instruction_id"] == number


@pytest.mark.parametrize(("given", "reason"), BAD_IDS)
def test_what_is_no_id_is_refused(bring: Import, given: Any, reason: str) -> None:
    (problem,) = bring([{"instruction_id": given, "response": "x"}]).problems
    assert ":1: an id is a whole number of 0 or more; found" in problem, reason


def test_a_missing_cell_is_a_missing_response_and_a_blank_one_stays_blank(bring: Import, written: Any) -> None:
    rows = [
        {"instruction_id": 1, "response": None},
        {"instruction_id": 2, "response": " "},
        {"instruction_id": 3, "response": None, "finish_reason": "content_filter"},
    ]
    report = bring(rows)
    assert [line.get("failure", line.get("response")) for line in written()] == [
        "response_missing",
        " ",
        "response_filtered",
    ]
    assert report.failures == {"response_empty": 1, "response_filtered": 1, "response_missing": 1}
    assert report.n_answered == 0


def test_optional_columns_are_taken_and_the_others_named(bring: Import, written: Any) -> None:
    row = {
        "instruction_id": 1,
        "prediction": "x",
        "answer": "what a benchmark expects",
        "condition": "text-only",
        "finish_reason": "length",
        "model_snapshot": "m-1",
        "settings": {"max_new_tokens": 8},
        "usage": {"output_tokens": 8},
        "reasoning": "hm",
        "latency": 3,
    }
    report = bring([row])
    kept = {key: value for key, value in row.items() if key not in ("prediction", "answer", "latency")}
    assert written() == [kept | {"response": "x"}]
    assert (report.ignored, report.n_truncated) == (("answer", "latency"), 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"id|response\n1|x\n",
            "no column for the answer: it is called response, prediction, output, …; found 'id|response'",
        ),
        (b"id,words\n1,x\n", "no column for the answer: it is called response, prediction"),
        (b"id,response\n1,x\n", "nothing tells that 'id', which looks like row numbers (1..1), is the instruction_id"),
        (b"id,id,response\n1,1,x\n", "the columns 'id' stand there twice"),
        (b"id,response\n1\n", ":2: 1 cells under 2 columns"),
        (b"id,response\n1,x,y\n", ":2: 3 cells under 2 columns"),
        (b'id,response\n1,"a"b\n', ":2: not a table from here on"),
        (b'id,response\n1,x\n2,"never closed\n', ":3: not a table from here on"),
        (b"id,response\n1,caf\xe9\n", ": not UTF-8"),
        ("id,response\n1,x\n".encode("utf-16"), "not UTF-8 text (UTF-16, or binary)"),
        (b"id,response\n", "has no row with an answer"),
        (b"hello\n", "no column for the answer"),
        (b"", "is empty"),
        (b'{"instruction_id": 1, "response": "x"}\n[1]\n', ":2: a line is an object, this one is list"),
        (
            b'{"instruction_id": 1, "response": "x"}\n{"id": 2, "id": 3, "response": "x"}\n',
            ":2: 'id' stands there twice",
        ),
        (b'{"instruction_id": NaN, "response": "x"}\n', ":1: an id is a whole number of 0 or more; found nan"),
        (b'{"instruction_id": 1, "response": NaN}\n', ":1: 'response' is a text; found float"),
        (b'{"instruction_id": 1, "response": "x", "usage": {"n": Infinity}}\n', ":1: 'usage"),
        (b'{"instruction_id": 1, "response": "\\ud800"}\n', ":1: half of a surrogate pair"),
        (b'{"instruction_id": 1, "response": "x"\n', "not JSON"),
        (b'{"instruction_id": 1, "response": "x"}\n{"id": 2, "resp', ":2: not JSON"),
        (b'{"instruction_id": 1, "response": "x", "failure": "judge_cut"}\n', ":1: 'failure'"),
        (b'[{"instruction_id": 1, "response": "x"}, 5]', " entry 1: an entry is an object, this one is int"),
        (b'"hello"', "no column for the answer"),
        (b'{"logs": 5}', 'the authors\' output is one JSON object with a list "logs"'),
        (b'{"instruction_id": 1, "response": "x", "condition": "image only"}\n', ":1: 'condition': a condition is"),
    ],
)
def test_a_bad_table_is_refused_with_its_place(bring: Import, content: bytes, words: str) -> None:
    report = bring(content, name="answers.txt")
    assert not report.ok
    assert report.directory is None
    assert any(words in problem for problem in report.problems), report.problems


def test_a_parquet_file_with_numbers_for_answers_is_refused(bring: Import) -> None:
    (problem,) = bring(parquet([{"instruction_id": 1, "response": 5}])).problems
    assert " row 1: 'response' is a text; found int" in problem


def test_the_columns_of_a_parquet_file_that_are_not_read_are_named(bring: Import) -> None:
    report = bring(parquet([{"instruction_id": 1, "response": "x", "image": b"\0" * 10, "score": 0.5}]))
    assert report.ok
    assert report.ignored == ("image", "score")


def test_a_workbook_gives_what_was_written(bring: Import, written: Any, workbook: Any) -> None:
    rows = [
        ["instruction_id", "response"],
        [1.0, "=SUM(A1:A2)"],
        [2, True],
        [3, 17.0],
        [4, 0.5],
        [None, None],
        [5, "a_x000D_\nb"],
    ]
    assert bring(workbook(rows)).problems == ()
    assert [line["response"] for line in written()] == ["=SUM(A1:A2)", "TRUE", "17", "0.5", "a\r\nb"]


def test_a_date_in_a_workbook_is_refused_for_it_was_an_answer_once(bring: Import, workbook: Any) -> None:
    import datetime

    report = bring(workbook([["instruction_id", "response"], [1, datetime.datetime(2026, 11, 20)]]))
    assert " row 2: column 'response' holds a datetime; format the column as text" in report.problems[0]


def test_a_full_cell_is_flagged_as_cut(bring: Import, written: Any, workbook: Any) -> None:
    rows = [["instruction_id", "response"], [1, "a" * 32_767], [2, "a" * 32_766], [3, "😀" * 16_383 + "a"]]
    report = bring(workbook(rows))
    assert [line.get("finish_reason") for line in written()] == ["truncated", None, "truncated"]
    assert report.n_truncated == 2
    assert "2 answers cut where an xlsx cell is full (32,767 characters)" in report.notes[0]


def test_a_second_sheet_with_content_is_not_passed_over(bring: Import, tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.worksheets[0].append(["instruction_id", "response"])
    book.worksheets[0].append([1, "x"])
    book.create_sheet("blank")
    book.save(tmp_path / "a.xlsx")
    assert bring(tmp_path / "a.xlsx").ok
    book.create_sheet("more").append(["id", "response"])
    book.save(tmp_path / "b.xlsx")
    report = bring(tmp_path / "b.xlsx", out="b")
    assert "a second sheet, 'more', is not empty; keep the one with the answers" in report.problems[0]
