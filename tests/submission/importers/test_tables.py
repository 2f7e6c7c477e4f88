"""Plain tables: a text stays the text that was written, whatever the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlsbench.submission.importers import tables
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
        "prediction": "Use the red one.",
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
    assert written() == [kept | {"response": "Use the red one."}]
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


# --- Tables as they come from elsewhere -----------------------------------------------------------------------------

EUROPEAN = [
    ("semicolons", "instruction_id;response\r\n7;a, b\r\n8;c\r\n"),
    ("said first", "sep=;\r\ninstruction_id;response\r\n7;a, b\r\n8;c\r\n"),
    ("said first, with a mark before it", "\ufeffsep=;\r\ninstruction_id;response\r\n7;a, b\r\n8;c\r\n"),
    ("in quotes", '"sep=;"\n"instruction_id";"response"\n"7";"a, b"\n"8";"c"\n'),
    ("a comma said first", 'SEP=,\ninstruction_id,response\n7,"a, b"\n8,c\n'),
    ("a tab said first", "sep=\t\ninstruction_id\tresponse\n7\ta, b\n8\tc\n"),
    ("a bar said first", "sep=|\ninstruction_id|response\n7|a, b\n8|c\n"),
    ("carriage returns", "instruction_id;response\r7;a, b\r8;c\r"),
    ("carriage returns, none at the end", 'instruction_id,response\r7,"a, b"\r8,c'),
    ("carriage returns and sep", "sep=;\rinstruction_id;response\r7;a, b\r8;c\r"),
]


@pytest.mark.parametrize(("why", "content"), EUROPEAN, ids=[row[0] for row in EUROPEAN])
def test_a_european_csv_is_read(bring: Import, written: Any, why: str, content: str) -> None:
    assert bring(content, name="a.csv").problems == (), why
    assert [(line["instruction_id"], line["response"]) for line in written()] == [(7, "a, b"), (8, "c")]


def test_a_line_break_within_a_cell_stays_where_lines_end_in_carriage_returns(bring: Import, written: Any) -> None:
    assert bring('instruction_id,response\r7,"a\rb\nc\r\nd"\r8,x\r', name="a.csv").problems == ()
    assert written()[0]["response"] == "a\rb\nc\r\nd"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("sep=;\ninstruction_id;response\n7;x;y\n", ":3: 3 cells under 2 columns; quote cells that hold ';'"),
        ("sep=;\n", "has no row with an answer"),
        ("sep=;;\ninstruction_id;response\n7;x\n", "no column for the answer"),
        ("instruction_id;response\r7;x\r8\r", ": 1 cells under 2 columns"),
    ],
)
def test_a_broken_european_csv_is_refused_with_its_place(bring: Import, content: str, words: str) -> None:
    assert any(words in problem for problem in bring(content, name="a.csv").problems)


def test_a_file_of_one_endless_line_of_carriage_returns_is_not_held(
    bring: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_PEER_LINE_BYTES", 100_000)
    (problem,) = bring("instruction_id,response\r7," + "a" * 300_000 + "\r", name="a.csv").problems
    assert "not a table from here on (a line has at most 100,000 bytes)" in problem


def frame(rows: list[dict[str, Any]], **options: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(rows, **options)


def as_parquet(data: Any) -> bytes:
    out = io.BytesIO()
    data.to_parquet(out)
    return out.getvalue()


ROWS = [{"instruction_id": n, "response": f"x{n}"} for n in (7, 9, 8)]


@pytest.mark.parametrize(
    ("why", "make"),
    [
        ("a column", lambda: frame(ROWS)),
        ("the index", lambda: frame(ROWS).set_index("instruction_id")),
        (
            "the index, a range",
            lambda: frame(sorted(ROWS, key=str)[:2]).assign(instruction_id=[7, 8]).set_index("instruction_id"),
        ),
        ("a range by name", lambda: frame([{"response": "x7"}, {"response": "x8"}], index=_range(7, 9))),
    ],
)
def test_parquet_whose_id_is_the_index_is_read(bring: Import, written: Any, why: str, make: Any) -> None:
    assert bring(as_parquet(make())).problems == (), why
    assert all(line["response"] in ("x7", "x8", "x9") for line in written())
    if why != "the index, a range":
        assert all(line["response"] == f"x{line['instruction_id']}" for line in written())


def _range(start: int, stop: int) -> Any:
    import pandas as pd

    return pd.RangeIndex(start, stop, name="instruction_id")


def test_an_index_without_a_name_is_a_number_of_unknown_meaning(
    bring: Import, written: Any, sample_texts: dict[int, str]
) -> None:
    data = frame([{"response": "x7"}, {"response": "x9"}], index=[100007, 100009])
    (problem,) = bring(as_parquet(data)).problems
    assert "nothing tells that '__index_level_0__' is the instruction_id" in problem
    told = data.assign(prompt=[sample_texts[100007], sample_texts[100009]])
    assert bring(as_parquet(told)).problems == ()
    assert [line["instruction_id"] for line in written()] == [100007, 100009]


def test_our_own_responses_come_back_from_parquet(bring: Import, written: Any, tmp_path: Path) -> None:
    import pandas as pd

    lines = [
        {
            "instruction_id": 7,
            "condition": "image+text",
            "response": "x",
            "finish_reason": "stop",
            "settings": {"max_new_tokens": 8, "temperature": 0.0, "stop": "end"},
            "usage": {"prompt_tokens": 3, "details": {"cached_tokens": 1}},
            "model_snapshot": "m-1",
            "reasoning": "hm",
        },
        {"instruction_id": 8, "condition": "text-only", "failure": "response_error", "settings": {"max_new_tokens": 8}},
        {"instruction_id": 9, "condition": "image+text", "response": "", "finish_reason": "length"},
    ]
    path = tmp_path / "responses.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert bring(as_parquet(pd.read_json(path, lines=True))).problems == ()
    expected = [{k: v for k, v in line.items() if v not in ("image+text",)} for line in lines]
    assert written() == expected


def test_a_parquet_column_that_is_only_compared_may_be_long_or_of_another_kind(bring: Import, written: Any) -> None:
    rows = [
        {"instruction_id": n, "response": "x", "picture": "QUJD" * 100_000, "messages": [{"role": "user"}], "raw": b"x"}
        for n in range(3)
    ]
    report = bring(parquet(rows))
    assert report.problems == ()
    assert report.ignored == ("picture", "messages", "raw")


@pytest.mark.parametrize(
    "metadata",
    [b"{", b"[]", b'{"index_columns": 5}', b'{"index_columns": [{"kind": "range", "start": "x"}]}', b"\xff"],
)
def test_what_pandas_never_wrote_is_passed_over(bring: Import, metadata: bytes) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    table = pa.table({"instruction_id": [1], "response": ["x"]}).replace_schema_metadata({b"pandas": metadata})
    pq.write_table(table, out)
    assert bring(out.getvalue()).problems == ()


@pytest.mark.parametrize(
    "data",
    [
        b"instruction_id,response\n" + b"3,x\n" * 5_000,
        b'{"instruction_id": 3, "response": "x"}\n' * 5_000,
        b"[" + b'{"instruction_id": 3, "response": "x"},' * 5_000 + b"{}]",
        b'{"instruction_id": 3, "response": "x"}\n' + b"nonsense\n" * 5_000,
    ],
    ids=["CSV", "JSON lines", "JSON", "broken lines"],
)
def test_of_one_row_a_million_times_no_more_is_read_than_a_bound(
    bring: Import, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 50)
    report = bring(data)
    assert report.directory is None
    assert [problem.partition(": ")[2] for problem in report.problems if "nonsense" not in problem][-1] in (
        "more than 50 rows; the release has 2,241 samples.",
        "more than 50 lines; the release has 2,241 samples.",
    )
    assert report.n_problems <= 50
