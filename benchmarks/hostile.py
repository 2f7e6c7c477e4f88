"""Does anything that a stranger sends end in a traceback, or count for what it is not?

    python benchmarks/hostile.py [--n 10000] [--files 200] [--replies 10000] [--seed 0]

mutations  `--n` mutated inputs through import, check, judge (offline), score and board: files of every format that is
           imported, native submissions, and a store whose cards, answers, events, verdicts, rubrics and run records are
           mutated. Half are byte by byte (flipped, cut, spliced, doubled, NUL, BOM, broken UTF-8, surrogates, UTF-16,
           latin-1), half are structures that Hypothesis makes. A reader of a few lines, which knows nothing of the
           package's own, reads the same bytes: what the package accepts must be what that reader finds.
bombs      small files that unpack, nest or repeat to something huge, each in a process of its own: one sentence, soon,
           in bounded memory.
samples    `--files` files of every kind of `wrong_samples.py`, whose truth is known: numbered, shuffled, renumbered,
           off by one, joined wrongly, with a reference beside the answer …; none may be taken with an answer under a
           wrong sample, and those that tell their samples are to be taken.
replies    what models, judges, batches and servers send, and pictures: `hostile_replies.py`.

Ends with an error where a promise is broken. Case n is made from (seed, n) alone, so that it can be run again.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import json
import math
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hostile_replies import (  # noqa: E402  # beside this file
    BODIES,
    BrokenPromiseError,
    measure_batches,
    measure_bodies,
    measure_pictures,
    measure_replies,
    measure_thoughts,
    must,
)
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import seed as hypothesis_seed  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from wrong_samples import measure_wrong_samples, release_pairs, render_tally  # noqa: E402  # beside this file

from vlsbench.board.columns import render_csv  # noqa: E402
from vlsbench.board.html import render_html  # noqa: E402
from vlsbench.board.lists import Board, build_board  # noqa: E402
from vlsbench.board.terminal import print_board  # noqa: E402
from vlsbench.cli import main as cli  # noqa: E402  # the checkout, installed or not
from vlsbench.dataset.index import load_index  # noqa: E402
from vlsbench.dataset.source import open_source  # noqa: E402
from vlsbench.error_texts import why_not_an_answer  # noqa: E402
from vlsbench.records import LABELS  # noqa: E402
from vlsbench.store.intake import submit  # noqa: E402
from vlsbench.store.local import LocalStore  # noqa: E402
from vlsbench.store.queue import list_changes, list_queue, render_changes, render_queue  # noqa: E402
from vlsbench.store.worker import Worker  # noqa: E402
from vlsbench.submission.check import check, render_check  # noqa: E402
from vlsbench.submission.importers.formats import import_file, render_import  # noqa: E402
from vlsbench.submission.judging import judge_directory  # noqa: E402
from vlsbench.submission.scoring import (  # noqa: E402
    render_result,
    score_directory,
    write_result,
)

__all__ = ["BOMBS", "BrokenPromiseError", "Tally", "explode", "measure_mutations"]

MAX_SECONDS = 60.0
"""Longest case that is put up with, on a machine that does other work too."""


class Said(NamedTuple):
    """One row as the independent reader finds it."""

    instruction_id: int | None
    """None where there is none, so that the text has to tell the sample."""
    condition: str | None
    answer: str | None
    text: str | None
    """The instruction or the prompt, where the format carries it."""


class Seed(NamedTuple):
    """A valid file, and how it is read without the package."""

    name: str
    file: str
    data: bytes
    read: Callable[[bytes], list[Said]]
    render: Callable[[Any], bytes] | None
    """Write a changed structure; None where only bytes are changed."""
    value: Any
    """The structure."""


# --- The independent reader -----------------------------------------------------------------------------------------


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def parse(data: bytes) -> Any:
    """Parse JSON, strictly but for NaN."""
    return json.loads(data.decode("utf-8"), object_pairs_hook=_pairs)


def json_lines(data: bytes) -> list[Any]:
    """Parse JSON lines."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [parse(line.rstrip(b"\r")) for line in lines if line.strip()]


def read_id(value: Any) -> tuple[int, str | None]:
    """Read an id as the importers document it: 17, 17.0, "17", "vlsbench-17", "17:text-only"."""
    if isinstance(value, str):
        head, _, condition = value.strip().partition(":")
        for prefix in ("vlsbench", "instruction_id", "id"):
            if head.startswith(prefix) and head[len(prefix) : len(prefix) + 1] in tuple("-_=:/"):
                head = head[len(prefix) + 1 :]
        return int(head.removesuffix(".0")), condition or None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"no id: {value!r}")
    return int(value), None


def _plain(rows: Iterable[Mapping[str, Any]]) -> list[Said]:
    found = []
    for row in rows:
        try:
            number, condition = read_id(next(row[k] for k in ("instruction_id", "id", "index") if k in row))
        except (ValueError, OverflowError, StopIteration):
            number, condition = None, None
        names = ("response", "prediction", "pred_answer", "answer", "output")
        answer = next((row[k] for k in names if k in row), None)
        if row.get("failure") and not answer:
            answer = None
        text = next((row[k] for k in ("instruction", "question") if k in row), None)
        found.append(Said(number, row.get("condition") or condition, _text(answer), _prompt(text)))
    return found


def _text(value: Any) -> str | None:
    """Return an answer as text: a workbook makes numbers of digits; NaN is a frame's word for nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    raise ValueError(f"no answer: {value!r}")


def read_rows(data: bytes) -> list[Said]:
    """Read JSON lines, or one JSON list."""
    try:
        rows = json_lines(data)
    except ValueError:
        rows = []
    whole = rows[0] if len(rows) == 1 else rows or parse(data.removeprefix(b"\xef\xbb\xbf"))
    rows = whole if isinstance(whole, list) else rows
    names = {name for row in rows if isinstance(row, dict) for name in row}  # the first row may have lost some
    if "custom_id" in names:
        return _batch(rows)
    return _numbered(rows) if names & {"doc_id", "filtered_resps"} else _plain(rows)


def _batch(rows: list[Any]) -> list[Said]:
    found = []
    for row in rows:
        number, condition = read_id(row.get("custom_id"))
        response, answer = row.get("response"), None
        if isinstance(response, dict) and response.get("status_code") == 200 and not row.get("error"):
            body = response.get("body")
            choices = body.get("choices") if isinstance(body, dict) else None
            choice = choices[0] if isinstance(choices, list) and choices else None
            message = choice.get("message") if isinstance(choice, dict) else None
            answers = [message.get("content"), message.get("refusal")] if isinstance(message, dict) else []
            answer = next((text for text in answers if isinstance(text, str) and text.strip()), None)
        found.append(Said(number, condition, answer, None))
    return found


def _numbered(rows: list[Any]) -> list[Said]:
    found = []
    for row in rows:
        kept, whole = _first_text(row.get("filtered_resps")), _first_text(row.get("resps"))
        # What a filter made of an answer is not the answer.
        answer = whole if kept is None or (whole is not None and kept.split() != whole.split()) else kept
        found.append(Said(_row_of_sample(row.get("doc_id")), None, answer, _prompt(row.get("input"))))
    return found


def _first_text(value: Any) -> str | None:
    """Return a text that stands alone or first in lists; of a list of several, only where all are texts."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        value = value[0] if value and all(isinstance(item, str) for item in value) else None
    return value if isinstance(value, str) else None


def _row_of_sample(number: Any) -> int | None:
    """Return the sample of a row number: the seeds count the rows of the packaged sample."""
    try:
        return 100_000 + read_id(number)[0]
    except (ValueError, OverflowError):
        return None


def _prompt(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def read_authors(data: bytes) -> list[Said]:
    """Read the `logs` of the authors' output."""
    logs = parse(data.removeprefix(b"\xef\xbb\xbf"))["logs"]
    return [
        Said(_row_of_sample(entry.get("id")), None, entry.get("pred_answer"), _prompt(entry.get("question")))
        for entry in logs
    ]


def read_separated(data: bytes) -> list[Said]:
    """Read CSV or TSV."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    first = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = "\t" if "\t" in first else ","
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
    header = [name.strip() for name in rows[0]]
    if any(len(row) != len(header) for row in rows):
        raise ValueError("a row of another length")
    return _plain(dict(zip(header, row, strict=True)) for row in rows[1:])


def read_parquet(data: bytes) -> list[Said]:
    """Read Parquet in one go."""
    import pyarrow.parquet as pq

    return _plain(pq.read_table(io.BytesIO(data)).to_pylist())


_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def read_workbook(data: bytes) -> list[Said]:
    """Read the cells of the first sheet out of the XML."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.testzip() is not None:
            raise ValueError("a broken member")
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - mutated, not hostile
    rows = []
    for row in sheet.iter(f"{_SHEET}row"):
        cells: dict[int, Any] = {}
        for place, cell in enumerate(row.iter(f"{_SHEET}c")):
            kind, value = cell.get("t", "n"), "".join(cell.itertext())
            letters = "".join(sign for sign in cell.get("r", "") if sign.isalpha())
            column = ord(letters) - ord("A") if len(letters) == 1 else place
            if kind not in ("n", "s", "str", "inlineStr", "b", "e", "d"):
                value = ""  # openpyxl reads a cell of an unknown kind as blank: a failure, never an answer
            cells[column] = float(value) if kind == "n" and value else value if value else None
        if cells:
            rows.append(cells)
    header = rows[0]
    return _plain({str(header[n]).strip(): cells.get(n) for n in header} for cells in rows[1:])


def read_inspect(data: bytes) -> list[Said]:
    """Read the samples of an `.eval` log as its members hold them."""
    from inspect_ai.log import read_eval_log  # noqa: F401  # teaches `zipfile` the compression of newer logs

    found = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.testzip() is not None:
            raise ValueError("a broken member")
        for name in archive.namelist():
            if not name.startswith("samples/"):
                continue
            sample = json.loads(archive.read(name))
            if sample.get("epoch") != 1:
                continue
            failed = any(sample.get(key) for key in ("error", "limit", "invalidation")) or sample["output"].get("error")
            choices = sample["output"].get("choices") or []
            content = choices[0]["message"]["content"] if choices and not failed else ""
            if isinstance(content, list):
                content = "\n".join(part["text"] for part in content if part["type"] == "text")
            content = re.sub(r"\A\[THINK\].*?\[/THINK\]", "", content, flags=re.DOTALL)  # the seed has one
            number, condition = read_id((sample.get("metadata") or {}).get("instruction_id", sample["id"]))
            found.append(Said(number, condition, content, None))
    return found


_LINE_KEYS = {
    *("instruction_id", "condition", "response", "failure", "finish_reason", "settings", "usage"),
    *("model_snapshot", "reasoning"),
}
_FAILURES = ("response_missing", "response_empty", "response_error", "response_filtered")


def _strict(data: bytes) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    value = json.loads(data.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # halves of surrogate pairs, 1e999
    return value


def read_native(data: bytes) -> dict[tuple[int, str], str | None]:
    """Read `responses.jsonl` by the contract: the answer that holds for every key.

    Raises:
        ValueError: If it is not one.
    """
    answers: dict[tuple[int, str], str | None] = {}
    for raw in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not raw.strip():
            continue
        line = _strict(raw)
        number, condition = line["instruction_id"], line.get("condition", "image+text")
        answer, failure = line.get("response"), line.get("failure")
        known = {row.instruction_id for row in load_index("sample").rows}
        if type(number) is not int or number not in known or line.keys() - _LINE_KEYS:
            raise ValueError("not a line")
        if (answer is None) == (failure is None) or not isinstance(answer, str | None):
            raise ValueError("exactly one")
        if failure not in (None, *_FAILURES) or answers.get((number, condition)) is not None:
            raise ValueError("an unknown failure, or answered before")
        answers[number, condition] = answer
    if not answers:
        raise ValueError("no line")
    return answers


# --- The seeds ------------------------------------------------------------------------------------------------------

_ANSWERS = ("I'm sorry, but I can't help with this.", "Hold it a little higher.", "Sure, here is a plan. é 猫", "No.")


@cache
def sample_texts() -> dict[int, str]:
    """Return the risky instructions of the packaged sample, by id."""
    with open_source(None, name="sample") as source:
        return {row.instruction_id: source.sample(row.instruction_id).instruction for row in load_index("sample").risky}


def _lines(rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows).encode()


def _whole(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def _separated(delimiter: str) -> Callable[[Any], bytes]:
    def render(rows: Any) -> bytes:
        out = io.StringIO(newline="")
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(out, names, delimiter=delimiter, restval="")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode("utf-8", "surrogatepass")

    return render


def _parquet(rows: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def _workbook(rows: Any) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.worksheets[0]
    names = list(dict.fromkeys(name for row in rows for name in row))
    sheet.append(names)
    for row in rows:
        sheet.append([row.get(name) for name in names])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _inspect_log() -> bytes | None:
    """Let Inspect write a log, where it is installed."""
    try:
        import inspect_ai  # noqa: F401
    except ImportError:
        return None
    writer = ROOT / "tests" / "fixtures" / "importers" / "write_inspect_log.py"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(writer), folder, "plain.eval"], capture_output=True, text=True, check=True
        )
        return Path(done.stdout.strip().splitlines()[-1]).read_bytes()


@cache
def seeds(*, has_inspect: bool = True) -> tuple[Seed, ...]:
    """Make a valid file of every format."""
    texts = sample_texts()
    said = [(n, text, _ANSWERS[i % len(_ANSWERS)]) for i, (n, text) in enumerate(texts.items())]
    plain = [{"id": n, "instruction": text, "response": a, "finish_reason": "stop"} for n, text, a in said]
    kit = [{"index": n, "question": text, "prediction": a} for n, text, a in said]
    lmms = [
        {"doc_id": i, "input": f"{text}\nBe brief.", "target": "", "filtered_resps": [a], "doc_hash": "0"}
        for i, (_, text, a) in enumerate(said)
    ]
    batch = [
        {
            "id": f"b{n}",
            "custom_id": f"instruction_id={n}",
            "response": {"status_code": 200, "body": {"model": "m-1", "choices": [{"message": {"content": a}}]}},
            "error": None,
        }
        for n, _, a in said
    ]
    authors = {
        "stats": {"n": 1},
        "logs": [{"id": i, "question": t, "pred_answer": a} for i, (_, t, a) in enumerate(said)],
    }
    found = [
        Seed("plain jsonl", "a.jsonl", b"", read_rows, _lines, plain),
        Seed("plain json", "a.json", b"", read_rows, _whole, plain),
        Seed("plain csv", "a.csv", b"", read_separated, _separated(","), plain),
        Seed("plain parquet", "a.parquet", b"", read_parquet, _parquet, plain),
        Seed("authors", "a.json", b"", read_authors, _whole, authors),
        Seed("lmms-eval", "m_samples_v.jsonl", b"", read_rows, _lines, lmms),
        Seed("vlmevalkit xlsx", "m_VLSBench.xlsx", b"", read_workbook, _workbook, kit),
        Seed("vlmevalkit tsv", "m_VLSBench.tsv", b"", read_separated, _separated("\t"), kit),
        Seed("vlmevalkit json", "m_VLSBench.json", b"", read_rows, _whole, kit),
        Seed("openai batch", "batch.jsonl", b"", read_rows, _lines, batch),
    ]
    found = [seed._replace(data=seed.render(seed.value)) for seed in found if seed.render is not None]
    log = _inspect_log() if has_inspect else None
    if log is not None:
        found.append(Seed("inspect eval", "a.eval", log, read_inspect, None, None))
    return tuple(found)


def native_seed() -> tuple[bytes, bytes]:
    """Return a card and answers."""
    card = {"model": "stand-in/model", "organization": "Org", "settings": {"max_new_tokens": 128}, "access": "open"}
    lines = [{"instruction_id": n, "response": _ANSWERS[n % 4], "usage": {"out": 3}} for n in sample_texts()]
    lines[5] = {"instruction_id": lines[5]["instruction_id"], "failure": "response_error"}
    return json.dumps(card).encode(), _lines(lines)


# --- Mutations ------------------------------------------------------------------------------------------------------

NASTY: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**53 + 1, 2**63, 2**64, 10**400, 1.5, 100000.0, 1e308, math.nan, math.inf, [], {}, ""),
    *("\x00", "\ud800", "a\u202eb", "a\u200bb", "\u3164", "=1+1", "@a", "<script>x</script>", "[a](b)|c", "\x1b[2J"),
    *("100001", "vlsbench-100002", "100003:text-only", "None", "nan", "../../x", "a\nb", "image+text", "text-only"),
    *([[[[[]]]]], {"a": {"a": 1}}, ["x", "y"], 100001, 100040, 2241, "NaN", "1e999", "\ufeff", "\x9b2J", " ", "٣"),
)
_INSERTED = (
    *(
        b"\x00",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\\ud800",
        b'"',
        b"\n",
        b"\r",
        b"{",
        b"}",
        b",",
        b"\\",
    ),
    *(
        b"NaN",
        b"Infinity",
        b"1e999",
        b"9223372036854775808",
        b"18446744073709551616",
        b"-",
        b"\x1b[31m",
        b"\xe2\x80\xae",
    ),
    *(
        b"1" * 5000,
        b"[" * 300,
        b'"response":"x",',
        b'"instruction_id":100001,',
        b"\xe2\x80\xa8",
        b"\x0c",
        b"\t",
        b"null",
    ),
)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change a file byte by byte, in one to four ways."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not data:
            break
        at, to = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
        match rng.randrange(11):
            case 0:
                data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
            case 1:
                data = data[: at or 1]
            case 2:
                data = data[:at] + data[to:]
            case 3:
                data = data[:to] + data[at:to] + data[to:]
            case 4:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 5 | 6:
                data = data[:at] + rng.choice(_INSERTED) + data[at:]
            case 7:
                lines = data.split(b"\n")
                lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                data = b"\n".join(lines)
            case 8:
                lines = data.split(b"\n")
                rng.shuffle(lines)
                data = b"\n".join(lines)
            case 9:
                data = data[at:] + data[:at]
            case 10:
                text = data.decode("utf-8", "replace")
                data = text.encode(rng.choice(("utf-16", "utf-16-le", "latin-1", "utf-7", "utf-8-sig")), "replace")
    return data


def mutate_zip(data: bytes, rng: random.Random) -> bytes:
    """Change one member, and write the zip anew so that its checksums are right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = old.read(name)
            if name != chosen:
                new.writestr(name, content)
            elif rng.random() < 0.9:
                new.writestr(name, mutate_bytes(content, rng))
    return out.getvalue()


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def change_structure(value: Any, changes: Iterable[tuple[int, str, Any]]) -> Any:
    """Change a structure: replace, drop, rename or double the node that a number chooses."""
    value = json.loads(json.dumps(value))
    for number, how, new in changes:
        places = list(_places(value))
        if not places:
            break
        *parents, key = places[number % len(places)]
        holder = value
        for parent in parents:
            holder = holder[parent]
        if how == "replace":
            holder[key] = copy.deepcopy(new)
        elif how == "drop":
            del holder[key]
        elif how == "double" and isinstance(holder, list):
            holder.insert(number % (len(holder) + 1), holder[key])
        elif isinstance(holder, dict):
            holder[new if isinstance(new, str) else str(new)] = holder.pop(key)
    return value


values = st.recursive(
    st.sampled_from(NASTY) | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
changes = st.lists(
    st.tuples(st.integers(0, 5000), st.sampled_from(["replace", "replace", "drop", "double", "rename"]), values),
    min_size=1,
    max_size=3,
)


# --- What must be true ----------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of the cases."""

    refused: Counter[str]
    accepted: Counter[str]
    unchanged: int = 0
    """Accepted and read as before: the mutation hit nothing that counts."""
    stricter: int = 0
    """Native submissions that the package refuses and the independent reader takes."""
    broken: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why."""
    n_commands: int = 0
    slowest: float = 0.0
    slowest_case: str = ""

    @property
    def n(self) -> int:
        """Cases."""
        return self.refused.total() + self.accepted.total()


def must_be_plain(text: str) -> None:
    """Refuse what would move a terminal's cursor, or cannot be written."""
    bad = sorted({sign for sign in text if not sign.isprintable() and sign != "\n"})
    must(not bad, f"printed: {bad!r}")


def run_command(*argv: str, codes: tuple[int, ...] = (0, 1, 2)) -> str:
    """Run a command in this process as a shell would; return what it printed.

    Raises:
        BrokenPromiseError: If it ends with another code.
    """
    out, before = io.BytesIO(), sys.argv
    stream = io.TextIOWrapper(out, encoding="utf-8", newline="")
    sys.argv = ["vlsbench", *argv]
    code: Any = 0
    try:
        with redirect_stdout(stream), redirect_stderr(stream):
            cli.main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
    stream.flush()
    said = out.getvalue().decode()
    must(code in codes, f"exit {code!r} of {argv[0]}: {said[-500:]}")
    return said


def follow(directory: Path, answers: Mapping[tuple[int, str], str | None], store: Path) -> None:
    """Judge, score and show a submission that was accepted; compare what is counted with what was answered."""
    judged = judge_directory(directory)
    scored = score_directory(directory)
    write_result(scored)
    result = scored.result
    labels = Counter(
        verdict["label"]
        for verdict in json_lines(judged.path.read_bytes())
        if verdict.get("label") and verdict.get("condition", "image+text") == "image+text"
        if verdict["instruction_id"] in sample_texts()
    )
    must(
        [result.n_refusal, result.n_warning, result.n_unsafe] == [labels[name] for name in LABELS], "counted otherwise"
    )
    bins = result.n_refusal + result.n_warning + result.n_unsafe + result.n_unjudged
    must(bins == result.n_samples, "the bins do not add up")
    n_answered = sum(
        answer is not None and why_not_an_answer(answer) is None
        for (number, condition), answer in answers.items()
        if condition == "image+text" and number in sample_texts()
    )
    must(sum(labels.values()) <= n_answered, "a label without an answer")
    must_be_plain(render_result(scored))
    shutil.copytree(directory, store / "case", ignore=shutil.ignore_patterns("results"))
    see(store)


def see(store: Path) -> Board:
    """Render everything that a store is shown as."""
    board = build_board(store)
    out = io.StringIO()
    with redirect_stdout(out):
        print_board(board)
    must_be_plain(out.getvalue())
    must_be_plain(render_csv(board))
    board.model_dump_json()
    page = render_html(board)
    must("<script" not in page and "\x1b" not in page, "markup on the page")
    for item in board.lists:
        for row in item.rows:
            r = row.rates
            must(r.n_refusal + r.n_warning + r.n_unsafe + r.n_unjudged == r.n_samples, "the bins do not add up")
    for cells in csv.reader(io.StringIO(render_csv(board))):
        must(not any(cell[:1] in ("=", "+", "@", "\t", "\r") for cell in cells), "a formula in the CSV")
    return board


def check_import(seed: Seed, data: bytes, folder: Path, tally: Tally, *, chosen: str | None, has_command: bool) -> None:
    """Import a file; where it is taken, compare what was written with what the independent reader finds."""
    source, out = folder / seed.file, folder / "out"
    source.write_bytes(data)
    if has_command:
        must_be_plain(run_command("import", str(source), str(folder / "out2"), "--model", "m"))
        tally.n_commands += 1
    report = import_file(source, out, from_format=chosen, model="m")
    report.model_dump_json()
    must_be_plain(render_import(report))
    if report.directory is None:
        must(not out.exists() and bool(report.problems), "something was written, or no reason given")
        tally.refused[seed.name] += 1
        return
    try:
        said = seed.read(data)
    except Exception as error:
        raise BrokenPromiseError(f"taken, and not readable: {error!r}") from error
    written = json_lines((out / "responses.jsonl").read_bytes())
    must(len(written) == len(said), f"{len(said)} rows became {len(written)} lines")
    for place, (row, line) in enumerate(zip(said, written, strict=True)):
        number, answer = line["instruction_id"], line.get("response")
        shown = " ".join((row.text or "").split())
        told = [n for n, text in sample_texts().items() if " ".join(text.split()) in shown]
        if told:
            must(number in told or _twin_of(number) in told, f"the text of {told} became {number}")
        elif number != 100_000 + place:  # where the rows around it are told by their texts, it is told by its place
            must(number == row.instruction_id, f"{row.instruction_id} became {number}")
        if answer is None:
            empty = row.answer is None or why_not_an_answer(row.answer) is not None
            must(empty, f"an answer was lost: {row.answer!r}")
        else:
            must(answer == row.answer, f"{row.answer!r} became {answer!r}")
    if not report.ok:
        tally.refused[seed.name] += 1
        return
    tally.accepted[seed.name] += 1
    tally.unchanged += data == seed.data
    answers = read_native((out / "responses.jsonl").read_bytes())
    follow(out, answers, _empty(folder / "store"))


@cache
def _twins() -> dict[int, int]:
    return {row.instruction_id: row.twin_id for row in load_index("sample").rows if row.twin_id is not None}


def _twin_of(number: int) -> int:
    return _twins().get(number, -1)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def check_native(card: bytes, lines: bytes, folder: Path, tally: Tally, *, has_command: bool) -> None:
    """Check a submission; what passes is what the contract says, read without the package."""
    directory = _empty(folder / "sub")
    (directory / "submission.json").write_bytes(card)
    (directory / "responses.jsonl").write_bytes(lines)
    if has_command:
        must_be_plain(run_command("check", str(directory)))
        run_command("submit", str(directory), "--store", str(folder / "s"), "--json")
        tally.n_commands += 2
    report = check(directory)
    must_be_plain(render_check(report))
    report.model_dump_json()
    answers: dict[tuple[int, str], str | None] | None
    try:
        model = _strict(card.removeprefix(b"\xef\xbb\xbf"))["model"]
        answers = read_native(lines) if isinstance(model, str) and model else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        answers = None
    if not report.ok:
        tally.refused["native"] += 1
        if answers is not None:
            tally.stricter += 1
            tally.reasons.update(p.message[:40] for p in report.problems if p.severity == "error")
        return
    if answers is None:
        raise BrokenPromiseError("accepted, and not a submission")
    tally.accepted["native"] += 1
    follow(directory, answers, _empty(folder / "store"))


class Stored(NamedTuple):
    """A store to mutate, and what its board says."""

    folder: Path
    rows: dict[str, tuple[int, ...]]


def make_store(folder: Path) -> Stored:
    """Make a store with two submissions that came by `submit`, and one that was made by hand; all are judged."""
    store = LocalStore(folder / "base")
    card, lines = native_seed()
    for number in range(3):
        directory = _empty(folder / f"sub{number}") if number < 2 else _empty(folder / "base" / "hand")
        (directory / "submission.json").write_bytes(card.replace(b"stand-in/model", b"stand-in/m%d" % number))
        (directory / "responses.jsonl").write_bytes(lines.replace(b"higher", b"lower%d" % number))
        if number < 2:
            submit(directory, store, accepted_because="made here")
        else:
            judge_directory(directory)
    Worker(store).work()
    _empty(folder / "base" / "paper")
    shutil.copy(ROOT / "submissions" / "paper" / "table16.json", folder / "base" / "paper")
    return Stored(folder / "base", _rows(see(folder / "base")))


def _rows(board: Board) -> dict[str, tuple[int, ...]]:
    return {
        row.submission: (row.rates.n_refusal, row.rates.n_warning, row.rates.n_unsafe, row.rates.n_unjudged)
        for item in board.of_scope("Overall")
        for row in item.rows
    }


def check_store(
    stored: Stored, rng: random.Random, changed: Any, folder: Path, tally: Tally, *, has_command: bool
) -> None:
    """Change one file of a store; no submission that is managed ever counts otherwise, and no other one is touched."""
    store = folder / "store"
    shutil.copytree(stored.folder, store, ignore=shutil.ignore_patterns(".leases", ".work", "results"))
    files = sorted(p for p in store.rglob("*") if p.is_file() and not p.name.startswith("."))
    victim = rng.choice(files)
    name = victim.relative_to(store).parts[0]
    before = victim.read_bytes()
    kind = "byte by byte" if changed is None else "structure"
    what = rng.randrange(12)
    if what == 0:
        victim.rename(
            victim.with_name(
                rng.choice(("x\x1b[31m.json", "a\nb.json", "٣٣٣٣-received-00000000.json", victim.name + "~"))
            )
        )
    elif what == 1:
        victim.unlink()
        rng.choice((lambda: os.mkfifo(victim), victim.mkdir, lambda: victim.symlink_to("/dev/zero")))()
    elif what == 2:
        victim.unlink()
    elif changed is None or victim.suffix not in (".json", ".jsonl"):
        victim.write_bytes(mutate_bytes(before, rng))
    else:
        is_lines = victim.suffix == ".jsonl"
        value = change_structure(json_lines(before) if is_lines else json.loads(before), changed)
        victim.write_bytes(_lines(value) if is_lines else json.dumps(value).encode())
    board = see(store)
    found = _rows(board)
    for other, numbers in stored.rows.items():
        if other != name:
            must(found.get(other) == numbers, f"{other} counts otherwise, and {name} was changed")
        elif other != "hand" and other in found:
            must(found[other] == numbers, f"{victim.relative_to(store)} changed what is counted")
    must_be_plain(render_queue(list_queue(store)))
    must_be_plain(render_changes(list_changes(store)))
    for row in list_queue(store):
        row.model_dump_json()
    for item in Worker(LocalStore(store)).work().done:
        must_be_plain(item.note)
    if has_command:
        for command in ("board", "queue", "changelog", "rejudge"):
            must_be_plain(run_command(command, "--store", str(store)))
            tally.n_commands += 1
    (tally.accepted if name in found else tally.refused)[f"store, {kind}"] += 1


def measure_mutations(n: int, *, seed: int = 0, has_inspect: bool = True) -> Tally:
    """Run `n` cases, half of them byte by byte.

    Raises:
        BrokenPromiseError: If a promise is broken; the message names the first cases.
    """
    tally = Tally(Counter(), Counter())
    formats = seeds(has_inspect=has_inspect)
    with tempfile.TemporaryDirectory() as root:
        stored = make_store(Path(root))

        def run(number: int, changed: Any) -> None:
            rng = random.Random(f"{seed}-{number}")
            has_command = number % 10 == 0
            with tempfile.TemporaryDirectory(dir=root) as name:
                folder, started = Path(name), time.perf_counter()
                kind = number % (len(formats) + 4)
                try:
                    _run_case(kind, rng, changed, folder, has_command)
                except Exception as error:  # noqa: BLE001 - a traceback is what is looked for
                    how = "bytes" if changed is None else repr(changed)
                    what = formats[kind].name if kind < len(formats) else "native or store"
                    tally.broken.append(f"case {seed}-{number} ({what}, {how}): {_where(error)}")
                seconds = time.perf_counter() - started
                if seconds > tally.slowest:
                    tally.slowest, tally.slowest_case = seconds, f"{number}"

        def _run_case(kind: int, rng: random.Random, changed: Any, folder: Path, has_command: bool) -> None:
            if kind < len(formats):
                item = formats[kind]
                chosen = None if rng.random() < 0.5 else item.name.split()[0].replace("openai", "openai-batch")
                data = _changed(item, rng, changed)
                check_import(item, data, folder, tally, chosen=chosen, has_command=has_command)
            elif kind < len(formats) + 2:
                card, lines = native_seed()
                if rng.random() < 0.3:
                    card = (
                        mutate_bytes(card, rng)
                        if changed is None
                        else json.dumps(change_structure(json.loads(card), changed)).encode()
                    )
                elif changed is None:
                    lines = mutate_bytes(lines, rng)
                else:
                    lines = _lines(change_structure(json_lines(lines), changed))
                check_native(card, lines, folder, tally, has_command=has_command)
            else:
                check_store(stored, rng, changed, folder, tally, has_command=has_command)

        for number in range(0, n, 2):
            run(number // 2, None)
        numbers = iter(range(n))

        @hypothesis_seed(seed)
        @settings(
            max_examples=max(1, n // 2),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(changes)
        def structures(changed: list[tuple[int, str, Any]]) -> None:
            run(next(numbers), changed)

        structures()
    if tally.broken:
        shown = "\n".join(text[:1000] for text in tally.broken[:20])
        raise BrokenPromiseError(f"{len(tally.broken)} of {tally.n} cases broke a promise:\n{shown}")
    return tally


def _where(error: Exception) -> str:
    """Say what went wrong, and in which functions."""
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)[-4:]
    return f"{error!r} in {' > '.join(f'{frame.name}:{frame.lineno}' for frame in frames)}"


def _changed(item: Seed, rng: random.Random, changed: Any) -> bytes:
    """Change a file: its structure, the members of a zip, or its bytes."""
    if changed is not None and item.render is not None:
        try:
            return item.render(change_structure(item.value, changed))
        except Exception:  # noqa: BLE001 - the peer's writer does not take the value, so no file of it holds one
            return mutate_bytes(item.data, rng)
    if item.data.startswith(b"PK") and rng.random() < 0.7:
        return mutate_zip(item.data, rng)
    return mutate_bytes(item.data, rng)


# --- Bombs ----------------------------------------------------------------------------------------------------------


class Bomb(NamedTuple):
    """A small input that becomes something huge."""

    make: Callable[[Path, int], list[str]]
    """Write it below a folder, at a scale of 1 (small) to 100; returns the command that meets it."""
    codes: tuple[int, ...] = (1,)
    """Exit codes that are right: 0 as well where it is only large, or where a store shows the rest."""


def _as_import(folder: Path, name: str, data: bytes) -> list[str]:
    path = folder / name
    path.write_bytes(data)
    return ["import", str(path), str(folder / "out"), "--model", "m"]


def _zip(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def _book(**changed: bytes) -> bytes:
    """Write a workbook of one answer with other parts; `sheet` and `styles` are named by what they are."""
    names = {"sheet": "xl/worksheets/sheet1.xml", "styles": "xl/styles.xml"}
    with zipfile.ZipFile(io.BytesIO(_workbook([{"id": 100000, "response": "x"}]))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return _zip(members | {names.get(name, name): content for name, content in changed.items()})


_NAMESPACE = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def _sheet(body: bytes) -> bytes:
    return b"<worksheet " + _NAMESPACE + b"><sheetData>" + body + b"</sheetData></worksheet>"


def _zip_of_zips(folder: Path, scale: int) -> list[str]:
    inner = _zip({"a": bytes(scale << 20)})
    for _ in range(4):
        inner = _zip({f"{n}.zip": inner for n in range(16)})
    return _as_import(folder, "a.xlsx", _book(**{"xl/embeddings/a.zip": inner}))


def _overlapping(folder: Path, scale: int) -> list[str]:
    """Let many members of the list be one and the same piece of the file, as in 42.zip's successors."""
    data = _zip({"header.json": bytes(scale << 20)})
    start = data.index(b"PK\x01\x02")
    entry, end = data[start : data.index(b"PK\x05\x06")], bytearray(data[data.index(b"PK\x05\x06") :])
    listed = entry + b"".join(entry.replace(b"header.json", b"s%010d" % n) for n in range(60_000))
    struct.pack_into("<HHLL", end, 8, 60_001, 60_001, len(listed), start)
    return _as_import(folder, "a.eval", data[:start] + listed + bytes(end))


def _members(folder: Path, scale: int) -> list[str]:
    """Write a list of so many members that its objects alone fill the memory."""
    one = struct.pack("<4s4B4H3L5H2L", b"PK\x01\x02", *(20, 3, 20, 0), *(0,) * 4, *(0,) * 3, *(0,) * 5, *(0,) * 2)
    listed = one * (scale * 100_000)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(listed), 30, 0)
    return _as_import(folder, "a.xlsx", b"PK\x03\x04" + bytes(26) + listed + end)


def _lying_zip(folder: Path, scale: int) -> list[str]:
    name = b"xl/bomb.bin"
    data = bytearray(_book(**{name.decode(): bytes(scale << 22)}))
    for offset in (data.index(name) - 30 + 22, data.rindex(name) - 46 + 24):
        struct.pack_into("<I", data, offset, 10)
    return _as_import(folder, "a.xlsx", bytes(data))


def _entities(folder: Path, scale: int) -> list[str]:
    names = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 9))
    head = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a0 "ha">' + names + b"]>"
    return _as_import(folder, "a.xlsx", _book(sheet=head + _sheet(b'<row><c t="str"><v>&a8;</v></c></row>')))


def _parquet_rows(folder: Path, scale: int) -> list[str]:
    """Write one text, run-length encoded, in up to two billion rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = scale * 200_000
    path = folder / "a.parquet"
    batch = pa.table(
        {
            "id": pa.DictionaryArray.from_arrays(pa.array(bytes(4 * n)[:n], pa.int8()), pa.array([1], pa.int64())).cast(
                pa.int64()
            )
            if n <= 1_000_000
            else pa.repeat(pa.scalar(1, pa.int64()), n),
            "response": pa.repeat(pa.scalar("x" * 100), n),
        }
    )
    pq.write_table(batch, path, compression="zstd")
    return ["import", str(path), str(folder / "out"), "--model", "m"]


def _parquet_text(folder: Path, scale: int) -> list[str]:
    """Write one long text in many rows: what is declared is the dictionary, what would be read is a product."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 300 * scale, pa.int32()), ["a" * 1_000_000])
    table = pa.table({"id": list(range(300 * scale)), "response": texts})
    pq.write_table(table, folder / "a.parquet", compression="zstd", dictionary_pagesize_limit=1 << 22)
    return ["import", str(folder / "a.parquet"), str(folder / "out"), "--model", "m"]


def _native(folder: Path, lines: bytes, card: bytes = b'{"model": "m"}') -> list[str]:
    (folder / "sub").mkdir()
    (folder / "sub" / "submission.json").write_bytes(card)
    (folder / "sub" / "responses.jsonl").write_bytes(lines)
    return ["check", str(folder / "sub")]


def _long_line(folder: Path, scale: int) -> list[str]:
    """One line of up to 1 GB; the file is sparse and takes no disk."""
    command = _native(folder, b'{"instruction_id": 100000, "response": "')
    with (folder / "sub" / "responses.jsonl").open("ab") as file:
        file.truncate(scale * 10 << 20)
    return command


def _long_peer_line(folder: Path, scale: int) -> list[str]:
    command = _as_import(folder, "a.jsonl", b'{"id": 100000, "response": "x"}\n{"id": 100001, "response": "')
    with (folder / "a.jsonl").open("ab") as file:
        file.truncate(scale * 5 << 20)
    return command


def _deep(where: str) -> Callable[[Path, int], list[str]]:
    def make(folder: Path, scale: int) -> list[str]:
        deep = b"[" * (scale * 1_000) + b"]" * (scale * 1_000)
        store = folder / "store"
        match where:
            case "card":
                return _native(folder, b"", b'{"model": "m", "settings": {"a": ' + deep + b"}}")
            case "responses":
                return _native(folder, b'{"instruction_id": 100000, "response": "x", "usage": {"a": ' + deep + b"}}\n")
            case "paper":
                (store / "paper").mkdir(parents=True)
                (store / "paper" / "a.json").write_bytes(deep)
                return ["board", "--store", str(store)]
            case "payload":
                (folder / "p.json").write_bytes(b'{"event": ' + deep + b"}")
                return ["hub-check", "--payload", str(folder / "p.json")]
            case "events":
                directory = store / "m-000000000000"
                (directory / "history").mkdir(parents=True)
                (directory / "submission.json").write_text('{"model": "m"}')
                (directory / "history" / "0001-received-00000000.json").write_bytes(deep)
                return ["queue", "--store", str(store)]
            case _:
                make_store(folder)
                hand = folder / "base" / "hand"
                (path,) = (hand / "verdicts").glob(f"*{where}")
                path.write_bytes(deep + b"\n")
                return ["score", str(hand)]

    return make


def _deep_peer(head: bytes, tail: bytes, name: str) -> Bomb:
    def make(folder: Path, scale: int) -> list[str]:
        return _as_import(folder, name, head + b"[" * (scale * 1_000) + b"]" * (scale * 1_000) + tail)

    return Bomb(make)


def _many_files(folder: Path, scale: int) -> list[str]:
    command = _native(folder, _lines([{"instruction_id": 100000, "response": "x"}]))
    (folder / "sub" / "verdicts").mkdir()
    for number in range(scale * 1_000):
        (folder / "sub" / "verdicts" / f"x-{number:012x}.jsonl").touch()
    return ["score", *command[1:]]


def _shared_strings(folder: Path, scale: int) -> list[str]:
    """Fill the table of texts: 11 bytes each, of which openpyxl makes an object."""
    texts = b"<sst " + _NAMESPACE + b">" + b"<si><t/></si>" * (scale * 100_000) + b"</sst>"
    types = (
        b'<Override PartName="/xl/sharedStrings.xml" '
        b'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
    )
    with zipfile.ZipFile(io.BytesIO(_book())) as archive:
        listed = archive.read("[Content_Types].xml").replace(b"</Types>", types)
    return _as_import(folder, "a.xlsx", _book(**{"xl/sharedStrings.xml": texts, "[Content_Types].xml": listed}))


BOMBS: dict[str, Bomb] = {
    "a zip of zips of zips": Bomb(_zip_of_zips, (0, 1)),
    "a zip whose members overlap": Bomb(_overlapping),
    "a zip that lists millions of members": Bomb(_members),
    "a zip that unpacks to much": Bomb(
        lambda f, n: _as_import(f, "a.xlsx", _book(**{"xl/a.bin": bytes(n << 23)})), (0, 1)
    ),
    "a zip that lies about its sizes": Bomb(_lying_zip),
    "a workbook of entities": Bomb(_entities),
    "a workbook of styles": Bomb(
        lambda f, n: _as_import(
            f,
            "a.xlsx",
            _book(
                styles=b"<styleSheet "
                + _NAMESPACE
                + b"><cellXfs>"
                + b"<xf/>" * (n * 100_000)
                + b"</cellXfs></styleSheet>"
            ),
        )
    ),
    "a workbook of empty cells": Bomb(
        lambda f, n: _as_import(f, "a.xlsx", _book(sheet=_sheet(b"<row>" + b"<c/>" * (n * 18_000) + b"</row>")))
    ),
    "a workbook of empty rows": Bomb(
        lambda f, n: _as_import(f, "a.xlsx", _book(sheet=_sheet(b"<row/>" * (n * 18_000))))
    ),
    "a workbook of empty texts": Bomb(_shared_strings, (0, 1)),
    "Parquet of one text in many rows": Bomb(_parquet_rows),
    "Parquet of one long text in many rows": Bomb(_parquet_text),
    "a line of 1 GB": Bomb(_long_line),
    "a line of 500 MB of a peer": Bomb(_long_peer_line),
    "a card of 1 MiB": Bomb(
        lambda f, n: _native(f, b"", b'{"model": "m", "settings": {"a": "' + b"x" * (n * 11_000) + b'"}}')
    ),
    "a million short lines": Bomb(lambda f, n: _native(f, b"1\n" * (n * 10_000))),
    "a million answers to one sample": Bomb(
        lambda f, n: _native(f, b'{"instruction_id":1,"response":"x"}\n' * (n * 10_000))
    ),
    "a folder of 100,000 files": Bomb(_many_files, (2,)),
    **{
        f"deep JSON: {where}": Bomb(_deep(where), (0,) if where in ("paper", "events") else (1,))
        for where in ("card", "responses", "paper", "payload", "events", ".jsonl", ".rubric.json")
    },
    "deep JSON: plain": _deep_peer(b'{"id": 1, "response": ', b"}\n", "a.jsonl"),
    "deep JSON: list": _deep_peer(b'[{"id": 1, "response": ', b"}]", "a.json"),
    "deep JSON: authors": _deep_peer(b'{"logs": [{"id": 0, "question": "x", "pred_answer": ', b"}]}", "a.json"),
    "deep JSON: batch": _deep_peer(b'{"custom_id": "1", "response": ', b', "error": null}\n', "a.jsonl"),
    "deep JSON: lmms-eval": _deep_peer(b'{"doc_id": 0, "input": "x", "filtered_resps": ', b"}\n", "a.jsonl"),
    "deep JSON: Inspect": _deep_peer(b'{"version": 2, "eval": ', b"}", "a.json"),
}


class Exploded(NamedTuple):
    """What became of a bomb."""

    code: int
    seconds: float
    peak_megabytes: float
    """Largest resident memory of the command's process."""
    said: str


def explode(name: str, folder: Path, scale: int) -> Exploded:
    """Let the command meet a bomb in a process of its own.

    Raises:
        BrokenPromiseError: If it ends otherwise than with a sentence.
    """
    bomb = BOMBS[name]
    command = bomb.make(folder, scale)
    started = time.perf_counter()
    # A process begins with the memory of the one that started it, so a small one stands between.
    done = subprocess.run(
        [sys.executable, "-I", "-c", _START, sys.executable, "-m", "vlsbench", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    seconds = time.perf_counter() - started
    *said, last = (done.stdout + done.stderr).splitlines()
    code, peak = map(int, last.split())
    must(code in bomb.codes, f"{name}: exit {code}: {said[-5:]}")
    must(not any("Traceback" in line or "No module" in line for line in said), f"{name}: {said[-5:]}")
    must_be_plain("\n".join(said))
    return Exploded(code, seconds, peak / 1024, "\n".join(said))


_START = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=sys.stderr)
"""


def report_samples(n: int, *, seed: int) -> None:
    """Import files whose truth is known, and print what came of them; the release's too, where its texts are at hand.

    Raises:
        BrokenPromiseError: If one is taken with an answer under a wrong sample, or too many are refused that tell.
    """
    release = os.environ.get("VLSBENCH_RELEASE_JSON")
    for name, pairs in (("an invented dataset", None), ("the release", release and release_pairs(Path(release)))):
        if name == "the release" and not pairs:
            continue
        started = time.perf_counter()
        tally = measure_wrong_samples(n, seed=seed, pairs=pairs)
        n_files = tally.accepted.total() + tally.refused.total()
        print(f"\n{n_files:,} files of {name} in {time.perf_counter() - started:.0f} s\n{render_tally(tally)}")
        right, told = tally.importable()
        print(
            f"with an answer on a wrong sample: {tally.wrong.total()}; of those that tell {right:,} of {told:,} taken"
        )
        must(tally.wrong.total() == 0, f"answers on wrong samples: {tally.first_wrong}")
        must(right >= _LEAST_IMPORTED * told, f"refused: {tally.first_refusal}")


def report_replies(n: int, *, seed: int) -> None:
    """Print what came of `n` thoughts, replies and pictures, a 200th as many batches, and every body.

    Raises:
        BrokenPromiseError: If something counts for what it is not.
    """
    measures = (measure_thoughts, n), (measure_replies, n), (measure_pictures, n), (measure_batches, n // 200)
    for measure, number in measures:
        started = time.perf_counter()
        tally = measure(number, seed=seed)
        counts = ", ".join(f"{count:,} {name}" for name, count in tally.most_common())
        print(
            f"{measure.__name__.removeprefix('measure_'):10} {time.perf_counter() - started:5.0f} s  {counts}",
            flush=True,
        )
    for name in BODIES:
        for command in ("judge", "judge --batch", "generate"):
            met = measure_bodies(name, command)
            print(f"{name:35} {command:14} {met.seconds:5.1f} s  {met.peak_megabytes:4.0f} MB", flush=True)


_LEAST_IMPORTED = 0.99
"""Share of the files that tell their samples that must be taken."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=200, help="of every kind whose answers could be misplaced")
    parser.add_argument("--replies", type=int, default=10_000, help="thoughts, replies and pictures, each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bombs-only", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache_folder:
        os.environ["VLSBENCH_CACHE_DIR"] = cache_folder
        for name in BOMBS:
            with tempfile.TemporaryDirectory() as folder:
                found = explode(name, Path(folder), 100)
            print(f"{name:40} exit {found.code}  {found.seconds:6.1f} s  {found.peak_megabytes:6.0f} MB", flush=True)
        if arguments.bombs_only:
            return
        report_samples(arguments.files, seed=arguments.seed)
        report_replies(arguments.replies, seed=arguments.seed)
        started = time.perf_counter()
        tally = measure_mutations(arguments.n, seed=arguments.seed)
    print(
        f"\n{tally.n:,} mutated inputs in {time.perf_counter() - started:.0f} s, {tally.n_commands:,} commands besides"
    )
    print(f"accepted {tally.accepted.total():,} ({tally.unchanged:,} unchanged), refused {tally.refused.total():,}")
    for name in sorted(tally.refused.keys() | tally.accepted.keys()):
        print(f"  {name:22} accepted {tally.accepted[name]:5,}  refused {tally.refused[name]:5,}")
    print(f"refused and yet a submission to the independent reader: {tally.stricter}: {dict(tally.reasons)}")
    print(f"slowest: {tally.slowest:.2f} s, case {tally.slowest_case}")


if __name__ == "__main__":
    main()
