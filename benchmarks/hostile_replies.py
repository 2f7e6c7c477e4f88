"""What models, judges and servers send, and pictures, made with known truth; `hostile.py` runs and reports them.

thoughts  an answer behind a thought, in the marks of every model, at random: with a byte order mark, blanks and marks
          of turns in front, several blocks, cut off, or talked about in prose. No word of a thought may be judged,
          none of an answer may be lost, and a thought alone is no answer.
replies   what a judge writes: its label behind a thought, in a fence, among marks and words, or beside objects that
          are quoted from the answer it judges; then the same with bytes changed. A label is the judge's own or none.
batches   result files whose lines are changed, cut, doubled, reordered or gone, on a server on loopback: what can be
          read is written, once, and nothing else.
bodies    replies without an end, of 10 GB, packed a thousandfold, or under an error status: one sentence, in bounded
          memory and time, in a process of its own.
pictures  every mode and orientation, whole and with bytes changed: refused, or the same pixels on every path.

Each raises `BrokenPromiseError` where a promise is broken. Case n is made from (seed, n) alone.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes, policy
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from vlsbench.dataset.pictures import (  # noqa: E402  # the checkout, installed or not
    Picture,
    blank_picture,
    fit_picture,
    image_problem,
    mime_of,
    open_picture,
    plain_picture,
    size_of,
)
from vlsbench.dataset.source import open_source  # noqa: E402
from vlsbench.errors import DataError  # noqa: E402
from vlsbench.judge.batch import run_batch  # noqa: E402
from vlsbench.judge.canaries import CANARIES  # noqa: E402
from vlsbench.judge.model import ModelJudge  # noqa: E402
from vlsbench.judge.reply import read_completion  # noqa: E402
from vlsbench.judge.verdicts import read_verdicts  # noqa: E402
from vlsbench.records import LABELS, Response  # noqa: E402
from vlsbench.submission.check import open_submission  # noqa: E402
from vlsbench.submission.importers.formats import import_file  # noqa: E402

__all__ = [
    "BODIES",
    "BrokenPromiseError",
    "measure_batches",
    "measure_bodies",
    "measure_pictures",
    "measure_replies",
    "measure_thoughts",
]


class BrokenPromiseError(Exception):
    """Something counts for what it is not."""


def must(condition: bool, what: str) -> None:
    """Raise BrokenPromiseError unless it is so."""
    if not condition:
        raise BrokenPromiseError(what[:1000])


# --- Thoughts -------------------------------------------------------------------------------------------------------

_MARKS = (
    *(("<think>", "</think>"), ("<Think>", "</Think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>")),
    *(
        ("◁think▷", "◁/think▷"),
        ("[THINK]", "[/THINK]"),
        ("<seed:think>", "</seed:think>"),
        ("<reasoning>", "</reasoning>"),
    ),
    *(("<|START_THINKING|>", "<|END_THINKING|>"), ("[unused16]", "[unused17]"), ("<mm:think>", "</mm:think>")),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)
_FRONTS = (
    "",
    "",
    "\ufeff",
    "\n\n ",
    "<|im_start|>assistant\n",
    "assistant: ",
    "<start_of_turn>model\n",
    "**Assistant:** ",
)
_ENDS = ("", "", "<|im_end|>", "</s>", "<|eot_id|>")
_PROSE = (
    "The tag {o} opens it and {c} closes it. {a}",
    "Write `{o}` first, then `{c}`. {a}",
    'They put "{o}" before it and "{c}" behind. {a}',
    "```\n{o}\n{c}\n```\n{a}",
)


class Made(NamedTuple):
    """A text, and what is in it."""

    text: str
    answer: str | None
    """None where it has none."""
    is_prose: bool


def _make_thought(rng: random.Random, number: int) -> Made:
    thought = " ".join(
        rng.sample(("THOUGHT", "is", "it", "safe?\n", "I", "cannot", "help.", "Step", "back,", "warn!"), 7)
    )
    thought = f"THOUGHT {thought}"
    answer = f"ANSWER {number}: go ahead, hold it by the handle."
    opening, closing = rng.choice(_MARKS)
    how = rng.random()
    if how < 0.15:
        is_mark_in_words = opening.startswith("<|channel|>")
        o, c = ("<think>", "</think>") if is_mark_in_words else (opening, closing)
        text = rng.choice(_PROSE).format(o=o, c=c, a=answer)
        return Made(text, text, is_prose=True)
    front, end = rng.choice(_FRONTS), rng.choice(_ENDS)
    if how < 0.3:
        return Made(front + opening + thought, None, is_prose=False)
    blocks = "".join(f"{opening}{thought}{closing}\n" for _ in range(rng.choice((1, 1, 2))))
    if opening.startswith("<|channel|>"):
        blocks = f"{opening}{thought}{closing}"
    gap = rng.choice(("", "\n", "\n\n"))
    return Made(front + blocks + gap + answer + end, answer, is_prose=False)


def measure_thoughts(n: int, *, seed: int = 0) -> Counter[str]:
    """Bring answers with thoughts in by both ways, 41 a file, and look at what would be judged."""
    ids = range(100_000, 100_041)
    tally: Counter[str] = Counter()
    for start in range(0, n, len(ids)):
        made = {i: _make_thought(random.Random(f"{seed}-{start + k}"), start + k) for k, i in enumerate(ids)}
        lines = "".join(json.dumps({"instruction_id": i, "response": m.text}) + "\n" for i, m in made.items())
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "own"
            folder.mkdir()
            (folder / "submission.json").write_text('{"model": "m"}', encoding="utf-8")
            (folder / "responses.jsonl").write_text(lines, encoding="utf-8")
            (Path(name) / "other.jsonl").write_text(lines.replace('"response"', '"prediction"'), encoding="utf-8")
            report = import_file(Path(name) / "other.jsonl", Path(name) / "imported", model="m")
            must(report.directory is not None, f"not imported: {report.problems[:3]}")
            for path in (folder, Path(name) / "imported"):
                found = {key[0]: response for key, response in open_submission(path).responses.items()}
                for number, item in made.items():
                    _check_thought(found[number], item)
                    tally["prose" if item.is_prose else "cut" if item.answer is None else "answered"] += 1
    return tally


def _check_thought(response: Response, made: Made) -> None:
    what = f"{made.text!r} became {response.response!r}, {response.failure}"
    if made.answer is None:
        must(response.response is None and response.failure == "response_empty", what)
    else:
        must(response.response is not None and response.response.strip() == made.answer.strip(), what)


# --- Judges' replies ------------------------------------------------------------------------------------------------

_WORDS = ("It helps with it.", "The response goes on\nas asked.", "It sees the risk; it warns.", "")
_AROUND = (
    "{}",
    '<think>Maybe {{"label": "refusal"}}, maybe not.</think>\n{}',
    "```json\n{}\n```",
    "{}<|im_end|>",
    "<|im_start|>assistant\n{}",
    "\ufeff {} \n",
    "Here is my verdict:\n{}",
    "◁think▷Hm.◁/think▷{}",
)


def _completion(content: str | None, finish: str = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **more}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {"model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}


def _object(label: str, words: str) -> str:
    text = json.dumps({"label": label, "explanation": words} if words else {"label": label})
    return text.replace("\\n", "\n")  # a raw line break, as models write it


def measure_replies(n: int, *, seed: int = 0) -> Counter[str]:
    """Read replies whose label is known, and the same with bytes changed."""
    tally: Counter[str] = Counter()
    for number in range(n):
        rng = random.Random(f"{seed}-{number}")
        label, other = rng.sample(LABELS, 2)
        words, around = rng.choice(_WORDS), rng.choice(_AROUND)
        quoted = _object(other, "The response declines politely.")
        judged = f"Hold it. [{number}]" + (f"\n{quoted}" if rng.random() < 0.4 else "")
        is_talk = around.startswith("Here")
        how = rng.random()
        if how < 0.5:
            body = json.dumps(_completion(around.format(_object(label, words)))).encode()
            found = read_completion(body, judged=judged)
            wanted = None if is_talk and not words else label  # without words of its own it may be quoted
            must(found.label == wanted, f"{around!r} {words!r}: {found.label} instead of {wanted}")
            tally["read"] += found.label is not None
        elif how < 0.65:
            judged = f"Hold it. [{number}]\n{quoted}"
            text = rng.choice(
                (
                    f"The answer says {quoted} and no more.",
                    f"It ends so:\n{quoted}",
                    f"{quoted}\n{_object(label, 'I say so.')}",
                )
            )
            found = read_completion(json.dumps(_completion(text)).encode(), judged=judged)
            must(found.label is None, f"quoted from the answer: {found.label} of {text!r}")
            tally["quoted"] += 1
        else:
            body = bytearray(json.dumps(_completion(around.format(_object(label, words)))).encode())
            for _ in range(rng.randint(1, 6)):
                place = rng.randrange(len(body))
                cut = rng.random()
                if cut < 0.5:
                    body[place] = rng.randrange(256)
                elif cut < 0.8:
                    del body[place : place + rng.randint(1, 9)]
                else:
                    body[place:place] = body[max(0, place - 20) : place]
            found = read_completion(bytes(body), judged=judged)
            must((found.label is None) != (found.failure is None), "neither a label nor a failure, or both")
            said = bytes(body).decode("utf-8", "replace")
            must(found.label is None or found.label in said, f"{found.label} of {said!r}")
            must(found.label in (None, label) or f"{found.label}" in around, f"{found.label} instead of {label}")
            tally["changed: a label" if found.label else f"changed: {found.failure}"] += 1
    return tally


# --- Batches --------------------------------------------------------------------------------------------------------


class _Provider:
    """`/v1/files` and `/v1/batches`, whose result files are what `spoil` makes of good ones."""

    def __init__(self, spoil: Callable[[str, bytes], bytes | int | None]) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.spoil = spoil

    def answer(self, method: str, path: str, data: bytes, content_type: str) -> tuple[int, bytes]:
        """Answer a request."""
        if (method, path) == ("POST", "/files"):
            message = message_from_bytes(b"content-type: " + content_type.encode() + b"\n\n" + data, policy=policy.HTTP)
            parts = {p.get_param("name", header="content-disposition"): p for p in message.iter_parts()}  # type: ignore[attr-defined]
            name = f"file_{len(self.files)}"
            self.files[name] = parts["file"].get_payload(decode=True)
            found: object = {
                "id": name,
                "object": "file",
                "bytes": 1,
                "created_at": 0,
                "filename": "f",
                "purpose": "batch",
            }
        elif (method, path) == ("POST", "/batches"):
            name = f"batch_{len(self.batches)}"
            self.batches[name] = json.loads(data)["input_file_id"]
            found = self.see(name)
        elif path.startswith("/batches/"):
            found = self.see(path.split("/")[2])
        elif method == "GET" and path == "/batches":
            found = {"object": "list", "data": [self.see(name) for name in self.batches], "has_more": False}
        else:
            name = path.split("/")[2]
            made = self.spoil(name, self.results(name.removeprefix("out_")))
            return (made, b'{"error": {"message": "gone"}}') if isinstance(made, int) else (200, made or b"")
        return 200, json.dumps(found).encode()

    def results(self, batch: str) -> bytes:
        """Make the good result file of a batch."""
        lines = []
        known = {f"canary:{canary.instruction_id}": canary.label for canary in CANARIES}
        for line in self.files[self.batches[batch]].splitlines():
            name = json.loads(line)["custom_id"]
            label = known.get(
                name.split("|")[0], LABELS[int(name.split("|")[0]) % 3] if name[0].isdigit() else "unsafe"
            )
            self.labels[name] = label
            body = _completion(json.dumps({"label": label, "explanation": "As it stands there."}))
            lines.append({"id": "r", "custom_id": name, "response": {"status_code": 200, "body": body}, "error": None})
        return "".join(json.dumps(line) + "\n" for line in lines).encode()

    def see(self, name: str) -> dict[str, Any]:
        """Describe a batch, all of which are done."""
        return {
            **{"id": name, "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
            **{"created_at": 0, "status": "completed", "input_file_id": self.batches[name], "errors": None},
            **{"output_file_id": f"out_{name}", "error_file_id": ""},
        }


@contextmanager
def _serve(answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                answer(self, data)
            except OSError:
                self.close_connection = True  # who asked has read enough

        do_GET = do_POST  # noqa: N815  # the library's names

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None: ...

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def _spoil_lines(rng: random.Random, data: bytes) -> tuple[bytes, set[str]]:
    """Change lines; return the file and the ids of those that were left alone."""
    lines = data.splitlines()
    whole: list[bytes] = []
    untouched: set[str] = set()
    for line in lines:
        how = rng.random()
        if how < 0.6:
            whole.append(line)
            untouched.add(json.loads(line)["custom_id"])
            if how < 0.1:
                whole.append(line)  # twice
        elif how < 0.7:
            whole.append(line[: rng.randrange(len(line))])
        elif how < 0.8:
            place = rng.randrange(len(line))
            whole.append(line[:place] + bytes([rng.randrange(256)]) + line[place + 1 :])
        elif how < 0.9:
            whole.append(rng.choice((b"", b"[]", b"null", b"{}", b'{"custom_id": 7}', b"\xff\xfe", b"[" * 5000)))
    rng.shuffle(whole)
    return b"\n".join(whole), untouched


def measure_batches(n: int, *, seed: int = 0) -> Counter[str]:
    """Judge through batches whose result files are spoilt once; what can be read is written, and once."""
    tally: Counter[str] = Counter()
    responses = {
        (i, "image+text"): Response(instruction_id=i, response=f"Hold it. [{i}]") for i in range(100_000, 100_012)
    }
    for number in range(n):
        rng = random.Random(f"{seed}-{number}")
        untouched: dict[str, set[str]] = {}

        def spoil(
            name: str, data: bytes, rng: random.Random = rng, kept: dict[str, set[str]] = untouched
        ) -> bytes | int:
            if b'"canary:' in data:
                return data
            if name in kept:
                return data
            if rng.random() < 0.1:
                kept[name] = set()
                return rng.choice((404, 500, 410))
            spoilt, kept[name] = _spoil_lines(rng, data)
            return spoilt

        provider = _Provider(spoil)

        def reply(handler: BaseHTTPRequestHandler, data: bytes, provider: _Provider = provider) -> None:
            path = handler.path.split("?")[0].removeprefix("/v1")
            status, body = provider.answer(handler.command, path, data, handler.headers.get("content-type") or "")
            handler.send_response(status)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        with _serve(reply) as url, tempfile.TemporaryDirectory() as name, open_source(None, name="sample") as source:
            for _ in range(20):
                judge = ModelJudge("m", source=source, base_url=url, api_key="x", evidence="description", max_retries=0)
                try:
                    report = run_batch(Path(name), responses, judge, poll_seconds=0.001)
                except Exception as error:  # noqa: BLE001 - a traceback is what is looked for
                    must(type(error).__name__ == "JudgeError", f"case {number}: {error!r}")
                    tally["said"] += 1
                    continue
                if not report.n_transient:
                    break
                tally["asked again"] += report.n_transient
            (path,) = [p for p in (Path(name) / "verdicts").glob("*.jsonl") if not p.name.startswith(".")]
            verdicts = read_verdicts(path)
        decided = [v for v in verdicts if v.failure != "judge_unreachable"]
        keys = Counter(v.instruction_id for v in decided)
        must(set(keys.values()) <= {1} and len(keys) == len(responses), f"case {number}: {keys}")
        for verdict in decided:
            wanted = LABELS[verdict.instruction_id % 3]
            must(verdict.label in (wanted, None), f"case {number}: {verdict.label} instead of {wanted}")
            tally[str(verdict.failure or "label")] += 1
        twice = [line for line, n in Counter(line for kept in untouched.values() for line in kept).items() if n > 1]
        must(not twice, f"case {number}: answered and asked again: {twice}")
    return tally


# --- Bodies ---------------------------------------------------------------------------------------------------------

_CHUNK = b" " * (1 << 20)


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * (512 << 20), 9)


def _endless(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(_CHUNK), _CHUNK))


def _long(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(10 << 30))
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(_CHUNK)


def _packed(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-encoding", "gzip")
    handler.send_header("content-length", str(len(_bomb())))
    handler.end_headers()
    handler.wfile.write(_bomb())


BODIES: Mapping[str, tuple[Callable[[BaseHTTPRequestHandler, int], None], int]] = {
    f"{name}, status {status}": (send, status)
    for name, send in (("chunks without an end", _endless), ("10 GB", _long), ("packed a thousandfold", _packed))
    for status in (200, 400, 500)
}

_START = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=sys.stderr)
"""

MOST_MEGABYTES = 400
"""What a command may hold; it begins with some 130."""


class Met(NamedTuple):
    """What became of a command that met a body."""

    seconds: float
    peak_megabytes: float
    said: str


def measure_bodies(name: str, command: str) -> Met:
    """Let `judge`, `judge --batch` or `generate` meet a body in a process of its own."""
    send, status = BODIES[name]
    with _serve(lambda handler, _: send(handler, status)) as url, tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        if command == "generate":
            words = ["generate", "--model", "openai:m", "--limit", "1", "--condition", "text-only", "--out", str(out)]
        else:
            out.mkdir()
            (out / "submission.json").write_text('{"model": "m"}', encoding="utf-8")
            (out / "responses.jsonl").write_text(
                '{"instruction_id": 100000, "response": "Hold it."}\n', encoding="utf-8"
            )
            words = [*command.split(), str(out), "--judge", "openai:m", "--evidence", "description"]
        started = time.perf_counter()
        done = subprocess.run(
            [*(sys.executable, "-I", "-c", _START, sys.executable, "-m", "vlsbench"), *words, "--base-url", url],
            env={**os.environ, "OPENAI_API_KEY": "x"},
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=300,
        )
        *said, last = (done.stdout + done.stderr).splitlines()
        code, peak = map(int, last.split())
    met = Met(time.perf_counter() - started, peak / 1024, "\n".join(said))
    must(code == 1 and "Traceback" not in met.said, f"{command}, {name}: exit {code}: {met.said[-500:]}")
    must(met.peak_megabytes < MOST_MEGABYTES, f"{command}, {name}: {met.peak_megabytes:.0f} MB")
    return met


# --- Pictures -------------------------------------------------------------------------------------------------------

_TURNS: Mapping[int, Callable[[Any], Any]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
"""What is seen of stored pixels, by EXIF orientation, in numpy's words."""


def _make_picture(rng: random.Random, *, is_lossy: bool) -> tuple[bytes, Any]:
    """Make a picture, and the pixels that are seen of it where nothing is lost."""
    width, height = rng.randint(2, 24), rng.randint(2, 24)
    values = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (height, width, 4), dtype=np.uint8)
    mode = rng.choice(("RGB", "L", "RGBA", "I;16", "P", "LA"))
    orientation = rng.randint(1, 8)
    if mode == "I;16":
        image = Image.fromarray(values[:, :, 0].astype(np.uint16) * 256 + values[:, :, 1])
        seen = np.repeat(values[:, :, :1], 3, axis=2)
    elif mode in ("RGBA", "LA"):
        values[:, :, 3] = np.where(values[:, :, 3] < 128, 0, 255)
        image = Image.fromarray(values).convert(mode)
        opaque = np.asarray(image.convert("RGBA"))
        seen = np.where(opaque[:, :, 3:] == 0, 255, opaque[:, :, :3])
    else:
        image = Image.fromarray(values[:, :, :3]).convert(mode)
        seen = np.asarray(image.convert("RGB"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    if is_lossy:
        image.convert("CMYK" if rng.random() < 0.3 else "RGB").save(out, "JPEG", exif=exif)
    else:
        image.save(out, "PNG", exif=exif)
    return out.getvalue(), _TURNS[orientation](seen)


def measure_pictures(n: int, *, seed: int = 0) -> Counter[str]:
    """Look at pictures by every function that opens one; half of them have changed bytes."""
    tally: Counter[str] = Counter()
    for number in range(n):
        rng = random.Random(f"{seed}-{number}")
        is_changed = rng.random() < 0.5
        data, seen = _make_picture(rng, is_lossy=is_changed and rng.random() < 0.7)
        if is_changed:
            changed = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(8, len(changed))] = rng.randrange(256)
            data = bytes(changed)[: len(changed) if rng.random() < 0.7 else rng.randrange(8, len(changed))]
        picture = Picture(data, mime_of(data) or "")
        try:
            pixels = np.asarray(open_picture(picture))
        except DataError:
            must(is_changed and image_problem(data) is not None, f"case {number}: refused, and its gate takes it")
            tally["refused"] += 1
            continue
        must(image_problem(data) is None, f"case {number}: opened, and its gate refuses it")
        must(is_changed or np.array_equal(pixels, seen), f"case {number}: other pixels are seen")
        sent = fit_picture(picture, max_side=None)
        for way, shown in (("plain", plain_picture(picture)), ("sent", sent)):
            plainly = Image.open(io.BytesIO(shown.data)).convert("RGB")  # as a reader that knows nothing of this
            must(np.array_equal(np.asarray(plainly), pixels), f"case {number}: {way} is seen otherwise")
        height, width = pixels.shape[:2]
        must(size_of(picture) == (width, height) == size_of(sent), f"case {number}: sizes differ")
        must(size_of(blank_picture(picture)) == (width, height), f"case {number}: the control has another shape")
        tally["changed, seen alike" if is_changed else "seen alike"] += 1
    return tally
