"""A loopback endpoint in a process of its own, which counts what it was asked: `python stand_in.py FILE [SECONDS]`.

Writes its port as the first line of FILE, then one line per question that was paid. Answers every question after
SECONDS with a text that depends on it; descriptions are asked for by a captioner's words.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from aiohttp import web


async def main(path: Path, seconds: float) -> None:
    """Serve until killed."""
    file = path.open("a", encoding="utf-8", buffering=1)

    async def chat(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        digest = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        await asyncio.sleep(seconds)
        text = f"I cannot help with that, it looks dangerous ({digest[:8]})."
        if "Describe what this image shows" in json.dumps(body["messages"]):
            text = f"A steep edge ({digest[:8]})."
        if "response_format" in body:  # a judge asks
            text = json.dumps({"label": "refusal", "explanation": digest[:8]})
        print(f"{body['model']} {digest}", file=file)
        message = {"role": "assistant", "content": text}
        return web.json_response(
            {
                "object": "chat.completion",
                "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10},
            }
        )

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], file=file)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
