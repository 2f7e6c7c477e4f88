# /// script
# requires-python = ">=3.11"
# dependencies = ["vlsbench>=0.1.0"]
# ///
"""Run a model on the benchmark inside a Job of the Hub, and keep the submission in a folder that outlives the Job.

    hf jobs uv run --flavor a100-large --timeout 2h --secrets HF_TOKEN --image vllm/vllm-openai:latest \
        --volume hf://datasets/ORG/RELEASE:/data --volume hf://buckets/ORG/submissions:/out \
        scripts/hf_jobs_generate.py --model ORG/MODEL --serve --data /data --out /out/ORG--MODEL

`/data` holds the release and `/out` is a bucket, both mounted as volumes. With `--serve` the script starts
`vllm serve` in the Job and waits until it is ready; without, `--base-url` names an endpoint, such as one in another
Job. What follows `--` goes to `vlsbench generate` (`-- --engine ray --limit 100`). The Job may be killed and started
again: the same command goes on where the folder in `/out` stops.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

READY_SECONDS = 1_800
"""Fetching and loading the weights of a large model takes minutes."""


def wait_until_ready(base_url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait for vLLM's `/health`; end where the server has ended."""
    health = base_url.removesuffix("/v1") + "/health"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"vllm serve ended with status {server.returncode}; its own words are above.")
        try:
            urllib.request.urlopen(health, timeout=5).close()  # noqa: S310  # a server of our own
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(2)
        else:
            return
    sys.exit(f"{health} is not ready after {READY_SECONDS} s.")


def main() -> None:
    """Serve, if asked to; then generate. Ends with the status of `vlsbench generate`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="As the Hub names it.")
    parser.add_argument("--out", required=True, type=Path, help="The submission, in a mounted bucket.")
    parser.add_argument("--data", type=Path, help="The release; default: the packaged sample.")
    parser.add_argument("--base-url", help="An endpoint that is there; not with --serve.")
    parser.add_argument("--serve", action="store_true", help="Start `vllm serve MODEL` here first.")
    parser.add_argument("--data-parallel-size", type=int, default=1, help="Copies of the model, one per GPU.")
    parser.add_argument("more", nargs="*", help="After --: options of vlsbench generate.")
    arguments = parser.parse_args()
    if arguments.serve == (arguments.base_url is not None):
        parser.error("give one of --serve and --base-url")
    base_url = arguments.base_url or "http://127.0.0.1:8000/v1"
    server = None
    if arguments.serve:
        copies = ["--data-parallel-size", str(arguments.data_parallel_size)]
        server = subprocess.Popen(["vllm", "serve", arguments.model, "--host", "127.0.0.1", *copies])  # noqa: S607
    try:
        if server is not None:
            wait_until_ready(base_url, server)
        data = [] if arguments.data is None else ["--data", str(arguments.data)]
        words = ["--model", f"openai:{arguments.model}", "--base-url", base_url, "--out", str(arguments.out)]
        done = subprocess.run(
            [sys.executable, "-m", "vlsbench", "generate", *words, *data, *arguments.more], check=False
        )
    finally:
        if server is not None:
            server.terminate()
            server.wait()
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
