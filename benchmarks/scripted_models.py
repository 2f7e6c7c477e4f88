"""A loopback endpoint that plays every model of construction, fails by script, and remembers what it condemned.

    python benchmarks/scripted_models.py [--port 0] [--latency 0] [--faults 0.3]

It answers `/v1/chat/completions` by the step that the request's schema names, and `/v1/images/generations` with a
pattern. What it says follows from what it is asked, so that a run repeats itself whatever the order; nothing it writes
is harmful: what stands for harm is the word STANDIN. Faults are shared out over all calls: refusals, broken JSON,
timeouts (a first try that is not answered in time; the second is), rewrites that are still harmful, images that do not
match, pairs that are not risky.

`GET /stats` says what was asked and what was condemned, so that a test can look for it in what was published.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import io
import json
import multiprocessing
import re
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vlsbench.taxonomy import SUB_CATEGORIES  # the checkout, installed or not

STANDIN = "STANDIN"
_TAG = re.compile(r"<(\w+)>\n(.*?)\n</\1>", re.DOTALL)
_COUNT = re.compile(r"write (\d+) different", re.IGNORECASE)

_WHO = ["my aunt", "a colleague", "our neighbour", "the new tenant", "my flatmate", "somebody else", "a visitor",
        "the landlord", "my cousin", "a guest", "the whole team", "an old friend"]  # fmt: skip
_WHEN = ["before lunch", "on Friday", "after work", "at the weekend", "next month", "around noon", "in the morning",
         "during the holidays", "later tonight", "by the end of May", "in a quiet hour", "on a rainy day"]  # fmt: skip
_DO = ["carry", "move", "finish", "repeat", "show", "prepare", "arrange", "handle", "improve", "explain", "copy", "use",
       "fold", "share", "store", "paint"]  # fmt: skip
_HOW = ["without any noise", "with both hands", "in half the time", "in one go", "for the first time", "step by step",
        "without help", "with little money", "on my own", "in a better way", "with more patience"]  # fmt: skip
_WHAT = [
    "ladder", "lamp", "carpet", "basket", "curtain", "kettle", "pillow", "bucket", "mirror", "blanket", "drawer",
    "ribbon", "candle", "hammer", "towel", "jacket", "wheel", "spoon", "puzzle", "teapot", "fence", "guitar",
    "rocket", "anchor", "button", "whistle", "garden", "tunnel", "bridge", "window", "pencil", "folder", "magnet",
    "saddle", "barrel", "compass", "trumpet", "canvas", "tractor", "violin",
]  # fmt: skip
_LIKE = [
    "broken", "heavy", "yellow", "quiet", "narrow", "shiny", "wooden", "dusty", "round", "tiny", "rusty",
    "folded", "hollow", "painted", "crooked", "borrowed", "warm", "striped", "antique", "empty", "frozen",
    "giant", "plastic", "silver", "damp",
]  # fmt: skip
_FORMS = [
    "How would {who} {do} this {when} {how}, given the {like} {what}?",
    "Could {who} {do} it {how} {when} near a {like} {what}?",
    "{When}, what is the way to {do} these {how} after the {like} {what}, says {who}?",
    "What does {who} need to {do} this one {how}, apart from some {like} {what}?",
    "Tell me how to {do} that thing here {when}, {how}, despite another {like} {what}.",
    "Is {when} a fair time for {who} to {do} them {how} behind every {like} {what}?",
]
_THINGS = ["a cup", "a laptop", "a bicycle", "a dog", "a cat", "a suitcase", "a phone", "a bouquet", "a plate",
           "a bottle", "a camera", "a car", "a table", "a balloon"]  # fmt: skip
_PLACES = ["in a room", "on a street", "in a park", "on a street at night", "in a garden", "in a shop"]


class Script:
    """What it says, and what it remembers."""

    def __init__(self, latency: float, faults: float) -> None:
        self.latency = latency
        self.faults = faults
        self.calls: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.condemned_texts: set[str] = set()
        self.condemned_images: set[str] = set()
        self.condemned_pairs: set[tuple[str, str]] = set()
        self.originals: set[str] = set()
        self.places: dict[str, tuple[str, str]] = {}

    def stats(self) -> dict[str, Any]:
        """Return what was asked and condemned."""
        return {
            "calls": dict(self.calls),
            "tries": self.tries.total(),
            "paid_twice": sum(n > 1 for n in self.tries.values()) - self.kinds["timeout"],
            "kinds": dict(self.kinds),
            "condemned_texts": sorted(self.condemned_texts),
            "condemned_images": sorted(self.condemned_images),
            "condemned_pairs": sorted(map(list, self.condemned_pairs)),
            "originals": sorted(self.originals),
        }

    def chat(self, body: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """Return what happens (`answer`, `timeout`) and the completion."""
        step = body["response_format"]["json_schema"]["name"]
        content = body["messages"][-1]["content"]
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        text = "".join(parts)
        image = "" if isinstance(content, str) else _digest_of(content)
        asked = hashlib.sha256(f"{step}\0{text}\0{image}\0{body.get('seed')}".encode()).hexdigest()
        self.calls[step] += 1
        self.tries[asked] += 1
        luck = int(asked[:8], 16) / 2**32
        third = self.faults / 6
        if luck < third:
            self.kinds["refusal"] += 1
            return "answer", _completion("I'm sorry, but I can't help with that.", text)
        if luck < 2 * third:
            self.kinds["broken JSON"] += 1
            return "answer", _completion('{"query": "and then', text)
        if luck < 3 * third and self.tries[asked] == 1:
            self.kinds["timeout"] += 1
            return "timeout", None
        # The other half of the faults are judgements; they come where a step can make them.
        said = self._say(step, text, image, int(asked[8:16], 16) / 2**32, int(asked[16:40], 16))
        return "answer", _completion(json.dumps(said), text)

    def _say(self, step: str, text: str, image: str, luck: float, number: int) -> dict[str, Any]:
        slots = dict(_TAG.findall(text))
        is_bad = luck < self.faults / 2
        query = slots.get("question", "")
        if step in ("queries", "look"):
            return self._queries(step, text, slots, image, number)
        if step == "sibling":
            made = self._queries(step, text, {"element": f"another thing than {slots['question'][:20]}"}, image, number)
            return {"image_content": made["image_content"], "query": made["queries"][0]}
        if step == "rewrite":
            return self._rewrite(slots, is_bad, number)
        if step == "text_alone":
            return self._text_alone(query, is_bad)
        if step == "filter":
            harmful = is_bad and luck < self.faults / 8
            if harmful:
                self._condemn_text("meaning lost", query)
            return {"text_harmful": STANDIN in query, "image_harmful": True, "pair_harmful": not harmful,
                    "explanation": "by script"}  # fmt: skip
        if step == "image_prompt":
            return {"prompt": f"A drawing of {slots['image_content']}"}
        if step in ("verify", "twin_verify"):
            return self._verify(step, slots, image, is_bad)
        if step == "final":
            return self._final(query, image, is_bad, luck)
        if step == "categorise":
            sub = SUB_CATEGORIES[number % len(SUB_CATEGORIES)]
            category, name = self.places.get(query, (sub.category, sub.name))
            return {"category": category, "sub_category": name, "explanation": "by script"}
        return {"image_content": f"{_pick(_THINGS, number)} and {_pick(_THINGS, number // 7)} "
                                 f"{_pick(_PLACES, number // 77)}"}  # fmt: skip

    def _queries(self, step: str, text: str, slots: dict[str, str], image: str, number: int) -> dict[str, Any]:
        found = _COUNT.search(text)
        element = slots.get("element", f"what is seen in image {image[:8]}")
        place = re.search(r"Category: (.*)\nSub-category: (.*)", text)
        queries = []
        for n in range(int(found[1]) if found else 1):
            query = f"{STANDIN} query {n + 1} about {element}: what stands for harm ({number % 9973})?"
            self.originals.add(query)
            if place is not None:
                self.places[query] = (place[1], place[2])
            queries.append(query)
        content = f"{element}, beside {_pick(_THINGS, number)} {_pick(_PLACES, number // 5)}"
        more = {"prohibited": False} if step == "look" else {}
        return {"image_content": content, "queries": queries, **more}

    def _rewrite(self, slots: dict[str, str], is_bad: bool, number: int) -> dict[str, Any]:
        when = _pick(_WHEN, number // 3)
        query = _pick(_FORMS, number).format(
            who=_pick(_WHO, number // 101), do=_pick(_DO, number // 1009), how=_pick(_HOW, number // 10007),
            like=_pick(_LIKE, number // 100003), what=_pick(_WHAT, number // 1000003),
            when=when, When=when.capitalize(),
        )  # fmt: skip
        if is_bad and number % 2:
            self.kinds["harmful rewrite"] += 1
            query = f"{query} {STANDIN}"
        elif is_bad:
            self.kinds["answerable rewrite"] += 1
            query = f"How do I bake bread {when}?"
        if (place := self.places.get(slots["question"])) is not None:
            self.places[query] = place
        return {"query": query, "explanation": "by script"}

    def _text_alone(self, query: str, is_bad: bool) -> dict[str, Any]:
        is_harmful = STANDIN in query
        if is_harmful or is_bad:
            self._condemn_text("harmful text" if is_harmful else "answerable text", query)
        return {"harmful": is_harmful, "answerable": is_bad, "explanation": "by script"}

    def _condemn_text(self, kind: str, query: str) -> None:
        self.kinds[kind] += 1
        self.condemned_texts.add(query)

    def _verify(self, step: str, slots: dict[str, str], image: str, is_bad: bool) -> dict[str, Any]:
        if is_bad:
            self.kinds["mismatched image"] += 1
            self.condemned_pairs.add((slots["question"], image))
        refined = f"{slots['prompt']}, seen from nearer" if is_bad else None
        if step == "verify":
            return {"matches": not is_bad, "prohibited": False, "refined_prompt": refined}
        return {"matched": True, "harmless": not is_bad, "prohibited": False, "refined_prompt": refined}

    def _final(self, query: str, image: str, is_bad: bool, luck: float) -> dict[str, Any]:
        is_prohibited = luck < self.faults / 60
        if is_bad:
            self.kinds["pair not matched or not risky"] += 1
            self.condemned_pairs.add((query, image))
        if is_prohibited:
            self.kinds["prohibited"] += 1
            self.condemned_images.add(image)
        is_matched = not (is_bad and luck < self.faults / 4)
        return {"matched": is_matched, "risky": not is_bad, "prohibited": is_prohibited, "reason": "by script"}

    def image(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a pattern of 17 x 17 fields, another one for every prompt and seed."""
        from PIL import Image

        self.calls["image"] += 1
        bits = hashlib.shake_256(f"{body['prompt']}\0{body.get('seed')}".encode()).digest(17 * 17)
        picture = Image.frombytes("L", (17, 17), bits).resize((68, 68), Image.Resampling.NEAREST)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return {"created": 0, "data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]}


def _pick(words: list[str], number: int) -> str:
    return words[number % len(words)]


def _digest_of(content: list[dict[str, Any]]) -> str:
    for part in content:
        if part["type"] == "image_url":
            return hashlib.sha256(base64.b64decode(part["image_url"]["url"].split(",", 1)[1])).hexdigest()
    return ""


def _completion(text: str, asked: str) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "model": "scripted-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": len(asked) // 4, "completion_tokens": len(text) // 4},
    }


async def _handle(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            found = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            raw = await reader.readexactly(int(found[1])) if found else b""
            if path == "/stats":
                reply: Any = script.stats()
            elif path.endswith("/images/generations"):
                reply = script.image(json.loads(raw))
                await asyncio.sleep(script.latency)
            else:
                what, reply = script.chat(json.loads(raw))
                if what == "timeout":
                    await asyncio.sleep(30)
                    return
                await asyncio.sleep(script.latency)
            body = json.dumps(reply).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
    writer.close()


async def _serve(script: Script, port: int, ready: Connection | None) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: _handle(script, reader, writer), "127.0.0.1", port, limit=1 << 26, backlog=512
    )
    bound = server.sockets[0].getsockname()[1]
    if ready is None:
        print(f"http://127.0.0.1:{bound}/v1", flush=True)
    else:
        ready.send(bound)
    async with server:
        await server.serve_forever()


def _run(latency: float, faults: float, ready: Connection) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Script(latency, faults), 0, ready))


@contextlib.contextmanager
def scripted(latency: float = 0.0, faults: float = 0.3) -> Iterator[str]:
    """Run it in a process of its own; yield its URL, ending in /v1."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(latency, faults, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def stats_of(url: str) -> dict[str, Any]:
    """Ask what was asked and condemned."""
    with urllib.request.urlopen(url.replace("/v1", "/stats"), timeout=30) as reply:  # noqa: S310  # loopback
        stats: dict[str, Any] = json.load(reply)
        return stats


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to every reply")
    parser.add_argument("--faults", type=float, default=0.3, help="share of the calls")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Script(given.latency, given.faults), given.port, None))
