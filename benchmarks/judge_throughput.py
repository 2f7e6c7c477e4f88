"""How fast does the model judge ask? Against a loopback endpoint of known latency, as a ratio to what is possible.

    python benchmarks/judge_throughput.py [--n 500] [--concurrency 64] [--latency 0.2] [--bare] [--peer inspect]

The endpoint runs in a process of its own and answers every request with a verdict after `--latency` seconds; the limit
is ceil(n / concurrency) x latency. Every sample has a 512-px JPEG of its own on disk, and verdicts are appended and
fsynced. `--bare` measures, beside it, the smallest loop over the same SDK and transport: the same requests, nothing
read from disk, nothing kept. `--peer inspect` measures, beside it and in the same run, the same calls (same wording,
image, schema and concurrency) as an Inspect AI scorer, where inspect-ai is installed (measured with 0.3.285); what
Inspect does beyond calling, such as its log, is part of it, as the verdict file is of ours. The import of the SDK is
paid once per run and stands apart. Times differ between machines; the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import io
import json
import math
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vlsbench.dataset.pictures import Picture  # noqa: E402  # the checkout, installed or not
from vlsbench.dataset.source import Sample  # noqa: E402  # the checkout, installed or not
from vlsbench.files import append_lines  # noqa: E402
from vlsbench.judge.model import ModelJudge  # noqa: E402
from vlsbench.judge.prompts import quote  # noqa: E402
from vlsbench.records import Response  # noqa: E402

VERDICT = json.dumps({"label": "unsafe", "explanation": "The response helps and does not mention the risk."})
ANSWER = "Certainly. First look at where it stands, then take the shorter way and mind the edge. " * 8
"""About 700 characters: the 128 tokens of the paper's setting."""


def serve(latency_seconds: float, port: Connection) -> None:
    """Answer chat completions on a free loopback port, which is sent through `port`, until killed."""
    from aiohttp import web

    async def chat(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(latency_seconds)
        return web.json_response(
            {
                "id": "c",
                "object": "chat.completion",
                "created": 0,
                "model": "stand-in",
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": VERDICT}}
                ],
                "usage": {"prompt_tokens": 1500, "completion_tokens": 20, "total_tokens": 1520},
            }
        )

    async def main() -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextlib.contextmanager
def endpoint(latency_seconds: float) -> Iterator[str]:
    """Run the endpoint in a process of its own and yield its base URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(latency_seconds, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.kill()
        process.join()


def write_pictures(folder: Path, n: int) -> None:
    """Write `n` different JPEGs of 512 px, about 60 kB each."""
    noise = Image.frombytes("RGB", (48, 48), random.Random(0).randbytes(48 * 48 * 3)).resize((512, 512))
    for i in range(n):
        buffer = io.BytesIO()
        noise.rotate(i % 360).save(buffer, "JPEG", quality=85)
        (folder / f"{i}.jpg").write_bytes(buffer.getvalue() + i.to_bytes(4, "big"))


class FolderSource:
    """Samples of a folder of JPEGs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sample(self, instruction_id: int, /) -> Sample:
        """Make a sample; only its number differs."""
        return Sample(instruction_id, "What should I do next here?", instruction_id, "", "", None, None, "risky")

    def picture(self, instruction_id: int, /) -> Picture:
        """Read a picture from disk."""
        return Picture((self.folder / f"{instruction_id}.jpg").read_bytes(), "image/jpeg")


def import_sdk() -> float:
    """Import what a judge needs at its first question; return the seconds it took."""
    started = time.perf_counter()
    import openai
    import openai.resources.chat  # the SDK imports its parts lazily

    _ = openai.DefaultAioHttpClient
    return time.perf_counter() - started


class Measured(NamedTuple):
    """One way of asking, measured."""

    name: str
    seconds: float
    cpu_seconds: float


def measure_judge(url: str, source: FolderSource, n: int, concurrency: int, out: Path) -> Measured:
    """Judge `n` responses with durable verdicts."""
    judge = ModelJudge("stand-in", source=source, base_url=url, concurrency=concurrency)
    responses = [Response(instruction_id=i, response=f"{ANSWER} ({i})") for i in range(n)]
    seconds, cpu = time.perf_counter(), time.process_time()
    judge.judge(responses, lambda verdicts: append_lines(out, (verdict.model_dump_json() for verdict in verdicts)))
    measured = Measured("ModelJudge", time.perf_counter() - seconds, time.process_time() - cpu)
    n_lines = len(out.read_text(encoding="utf-8").splitlines())
    if n_lines != n:
        raise SystemExit(f"{n_lines} verdicts on disk, {n} expected")
    return measured


def measure_bare(url: str, source: FolderSource, n: int, concurrency: int) -> Measured:
    """Send the same questions through the SDK's typed call, in the smallest loop there is."""
    import httpx2
    import openai

    judge = ModelJudge("stand-in", source=source, base_url=url)
    image = "data:image/jpeg;base64," + "A" * 76_000
    body: dict[str, Any] = {
        "model": "stand-in",
        "messages": [
            {"role": "system", "content": judge.prompt.rules},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": ANSWER}],
            },
        ],
        "temperature": 0,
        "max_tokens": 512,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": True, "schema": judge.rubric.output_schema},
        },
    }

    async def main() -> None:
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        http_client = openai.DefaultAioHttpClient(limits=limits)
        async with openai.AsyncOpenAI(api_key="no-key", base_url=url, http_client=http_client) as client:
            left = iter(range(n))

            async def work() -> None:
                for _ in left:
                    await client.chat.completions.create(**body)

            await asyncio.gather(*(work() for _ in range(concurrency)))

    seconds, cpu = time.perf_counter(), time.process_time()
    asyncio.run(main())
    return Measured("bare SDK loop", time.perf_counter() - seconds, time.process_time() - cpu)


def measure_inspect(url: str, source: FolderSource, n: int, concurrency: int, log_dir: Path) -> Measured:
    """Send the same questions from an Inspect AI scorer, with its own log on disk.

    Raises:
        SystemExit: If inspect-ai is not installed, or not every response was scored.
    """
    try:
        import inspect_ai
        from inspect_ai.dataset import MemoryDataset
        from inspect_ai.dataset import Sample as InspectSample
        from inspect_ai.model import (
            ChatMessageSystem,
            ChatMessageUser,
            ContentImage,
            ContentText,
            GenerateConfig,
            ModelOutput,
            ResponseSchema,
            get_model,
        )
        from inspect_ai.scorer import Score, Target, accuracy, scorer
        from inspect_ai.solver import Generate, TaskState, solver
        from inspect_ai.util import JSONSchema
    except ImportError:
        raise SystemExit("--peer inspect needs inspect-ai; try: pip install inspect-ai==0.3.285") from None
    ours = ModelJudge("stand-in", source=source, base_url=url)
    schema = ResponseSchema(
        name="verdict", json_schema=JSONSchema.model_validate(ours.rubric.output_schema), strict=True
    )
    config = GenerateConfig(
        temperature=0, max_tokens=512, max_connections=concurrency, response_schema=schema, cache_prompt=False
    )
    judge = get_model("openai/stand-in", base_url=url, api_key="no-key", config=config, responses_api=False)

    @solver
    def answer() -> Any:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            state.output = ModelOutput.from_content("stored", f"{ANSWER} ({state.sample_id})")
            return state

        return solve

    @scorer(metrics=[accuracy()])
    def labelled() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            sample = source.sample(int(state.sample_id))
            data = base64.b64encode(source.picture(int(state.sample_id)).data).decode("ascii")
            text = quote(ours.prompt, instruction=sample.instruction, response=state.output.completion)
            reply = await judge.generate(
                [
                    ChatMessageSystem(content=ours.prompt.rules),
                    ChatMessageUser(
                        content=[
                            ContentText(text=text.before_image),
                            ContentImage(image=f"data:image/jpeg;base64,{data}"),
                            ContentText(text=text.after_image),
                        ]
                    ),
                ]
            )
            return Score(value=float(json.loads(reply.completion)["label"] != "unsafe"))

        return score

    dataset = MemoryDataset([InspectSample(id=str(i), input="What should I do next here?") for i in range(n)])
    task = inspect_ai.Task(dataset=dataset, solver=answer(), scorer=labelled(), name="labels")
    seconds, cpu = time.perf_counter(), time.process_time()
    (log,) = inspect_ai.eval(
        task, model="mockllm/model", display="none", log_dir=str(log_dir), max_samples=concurrency, log_level="error"
    )
    measured = Measured("Inspect scorer", time.perf_counter() - seconds, time.process_time() - cpu)
    n_scored = log.results.scores[0].scored_samples if log.results else 0
    if log.status != "success" or n_scored != n:
        raise SystemExit(f"Inspect scored {n_scored} of {n} ({log.status}): {log.error and log.error.message}")
    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=500, help="responses")
    parser.add_argument("--concurrency", type=int, default=64, help="questions at once")
    parser.add_argument("--latency", type=float, default=0.2, help="of the endpoint, seconds")
    parser.add_argument("--bare", action="store_true", help="measure the bare SDK loop as well")
    parser.add_argument("--peer", choices=["inspect"], help="measure another framework as well")
    args = parser.parse_args()
    limit = math.ceil(args.n / args.concurrency) * args.latency
    import_seconds = import_sdk()
    with tempfile.TemporaryDirectory() as folder, endpoint(args.latency) as url:
        write_pictures(Path(folder), args.n)
        source = FolderSource(Path(folder))
        results = [measure_judge(url, source, args.n, args.concurrency, Path(folder) / "verdicts.jsonl")]
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if args.bare:
            results.append(measure_bare(url, source, args.n, args.concurrency))
        if args.peer == "inspect":
            results.append(measure_inspect(url, source, args.n, args.concurrency, Path(folder) / "logs"))
    print(f"{args.n} responses, {args.concurrency} at once, {args.latency:g} s each: limit {limit:.2f} s")
    for result in results:
        print(
            f"{result.name:14} {result.seconds:6.2f} s = {result.seconds / limit:.3f} x the limit, "
            f"{1000 * result.cpu_seconds / args.n:.2f} ms of CPU per call"
        )
    print(f"import of the SDK, once per run: {import_seconds:.2f} s")
    print(f"peak memory of the judge's process: {peak_mib:.0f} MiB")


if __name__ == "__main__":
    main()
