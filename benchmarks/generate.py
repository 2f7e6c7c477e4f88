"""How fast are answers made? On this machine against the authors' loop, and behind an endpoint against its limit.

    python benchmarks/generate.py [--n 24] [--batch-size 16] [--hidden 256] [--layers 4] [--model DIR_OR_ID]
    python benchmarks/generate.py --endpoint [--n 500] [--concurrency 64] [--latency 0.2]

Local: `LocalModel` against the authors' loop (one sample after the other through `processor` and `model.generate`, as
in github.com/AI45Lab/VLSBench at 68f54de, models/), with the same model, samples, number format and budget, one after
the other in one process; the answers are compared. The model is a LLaVA of random weights (`tiny_models`), large enough
that computing takes the time, or one of your own with `--model`. Random weights end no answer early, so every answer
takes its whole budget; real answers end at different lengths, and a batch waits for its longest.

Endpoint: as in `judge_throughput.py`, whose stand-in it uses: the limit is ceil(n / concurrency) x latency; every
sample has a JPEG of 512 px of its own on disk, and answers are appended and fsynced. Times differ between machines; the
ratios are what to compare.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from judge_throughput import FolderSource, endpoint, import_sdk, write_pictures  # noqa: E402  # beside this file
from tiny_models import Size, make_llava  # noqa: E402

from vlsbench.dataset.pictures import open_picture  # noqa: E402  # the checkout, installed or not
from vlsbench.files import append_lines  # noqa: E402
from vlsbench.generate.conditions import Question  # noqa: E402
from vlsbench.generate.endpoint_model import EndpointModel  # noqa: E402
from vlsbench.generate.local_model import LocalModel, open_local_model  # noqa: E402
from vlsbench.records import Response  # noqa: E402

MAX_NEW_TOKENS = 128


def make_questions(n: int) -> list[Question]:
    """Make questions of 6 to 25 words."""
    words = [
        "What",
        "should",
        "I",
        "do",
        "next",
        "here",
        "before",
        "it",
        "gets",
        "dark",
        "and",
        "we",
        "have",
        "to",
        "go",
        "home",
    ]
    return [
        Question(i, "image+text", " ".join(words[: 6 + i % 10] + words[: i % 11]) + "?", "image", i) for i in range(n)
    ]


def measure_loop(target: LocalModel, questions: list[Question]) -> tuple[float, dict[int, str]]:
    """Answer one question after the other, as the authors do; return the seconds and the answers."""
    import torch

    engine: Any = target.engine
    processor, model = engine._processor, engine._model
    answers: dict[int, str] = {}
    started = time.perf_counter()
    for question in questions:
        image = open_picture(target.source.picture(question.instruction_id))
        content = [{"type": "text", "text": question.text}, {"type": "image"}]
        if not target.is_text_first:
            content.reverse()
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = processor(images=image, text=prompt, return_tensors="pt").to(model.device, model.dtype)
        with torch.inference_mode():
            output = model.generate(**inputs, do_sample=False, max_new_tokens=target.settings.max_new_tokens)
        answer = processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        answers[question.instruction_id] = answer
    return time.perf_counter() - started, answers


def measure_batches(target: LocalModel, questions: list[Question], out: Path) -> tuple[float, dict[int, str]]:
    """Answer in batches, with durable lines."""
    written: list[Response] = []

    def write(responses: Any) -> None:
        append_lines(out, (response.model_dump_json(exclude_none=True) for response in responses))
        written.extend(responses)

    started = time.perf_counter()
    target.answer(questions, write)
    seconds = time.perf_counter() - started
    return seconds, {line.instruction_id: line.response or "" for line in written}


def local(args: argparse.Namespace) -> None:
    """Measure a model on this machine."""
    import torch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, args.n)
        size = Size(args.hidden, args.layers, 8)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = args.model or str(make_llava(folder / "llava", size=size))
        target = open_local_model(model, source=FolderSource(folder), shows_image=True, max_new_tokens=MAX_NEW_TOKENS)
        target.batch_size = args.batch_size
        questions = make_questions(args.n)
        target.answer(questions[:2], lambda _: None)  # the first call allocates
        loop_seconds, loop_answers = measure_loop(target, questions)
        our_seconds, our_answers = measure_batches(target, questions, folder / "responses.jsonl")
        parameters = sum(weight.numel() for weight in target.engine._model.parameters())  # type: ignore[attr-defined]
    same = sum(loop_answers[i].strip() == our_answers[i].strip() for i in loop_answers)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"{args.n} samples, {MAX_NEW_TOKENS} new tokens, {parameters / 1e6:.0f} M parameters, {device}")
    print(f"the authors' loop     {args.n / loop_seconds:7.2f} samples/s")
    ratio = loop_seconds / our_seconds
    print(f"batches of {args.batch_size:<4}       {args.n / our_seconds:7.2f} samples/s = {ratio:.2f} x")
    print(f"answers that are the same: {same} of {args.n}")


def served(args: argparse.Namespace) -> None:
    """Measure a model behind an endpoint."""
    limit = math.ceil(args.n / args.concurrency) * args.latency
    import_seconds = import_sdk()
    with tempfile.TemporaryDirectory() as name, endpoint(args.latency) as url:
        folder = Path(name)
        write_pictures(folder, args.n)
        target = EndpointModel("m", source=FolderSource(folder), base_url=url, concurrency=args.concurrency)
        out = folder / "responses.jsonl"
        seconds, cpu = time.perf_counter(), time.process_time()
        target.answer(
            make_questions(args.n),
            lambda lines: append_lines(out, (line.model_dump_json(exclude_none=True) for line in lines)),
        )
        seconds, cpu = time.perf_counter() - seconds, time.process_time() - cpu
        n_lines = len(out.read_text(encoding="utf-8").splitlines())
    if n_lines != args.n:
        raise SystemExit(f"{n_lines} answers on disk, {args.n} expected")
    print(f"{args.n} samples, {args.concurrency} at once, {args.latency:g} s each: limit {limit:.2f} s")
    print(
        f"EndpointModel  {seconds:6.2f} s = {seconds / limit:.3f} x the limit, {1000 * cpu / args.n:.2f} ms of CPU each"
    )
    print(f"import of the SDK, once per run: {import_seconds:.2f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoint", action="store_true", help="measure behind an endpoint")
    parser.add_argument("--n", type=int, help="samples; default 24, or 500 behind an endpoint")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=256, help="width of the model")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--model", help="a model of your own, in place of random weights")
    parser.add_argument("--concurrency", type=int, default=64, help="questions at once")
    parser.add_argument("--latency", type=float, default=0.2, help="of the endpoint, seconds")
    args = parser.parse_args()
    args.n = args.n or (500 if args.endpoint else 24)
    (served if args.endpoint else local)(args)


if __name__ == "__main__":
    main()
