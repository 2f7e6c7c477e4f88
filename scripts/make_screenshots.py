"""Write `docs/screenshots/`: the board's pages from a store of invented models, those of an audit and of a review.

    python scripts/make_screenshots.py [--out FOLDER] [--store FOLDER]

The models do not exist, their answers are stand-ins and their labels are drawn by chance; the constant baselines, the
worked examples on the package's own sample and the paper's rows are the project's. The audited set is invented and
harmless. Needs the extras `leaderboard` and `leakage`, playwright and Debian's Chromium. A picture is at most 1,700
pixels high and has 256 colours, so that it stays small.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from make_stand_ins import write_stand_ins
from PIL import Image

from vlsbench.dataset.index import load_index
from vlsbench.files import append_lines, canonical_json, write_atomic
from vlsbench.records import Label, Response, Rubric, Verdict
from vlsbench.submission.judging import judge_directory

ROOT = Path(__file__).parents[1]
MAX_BYTES = 150_000
MAX_HEIGHT = 1700
JUDGE = Rubric(judge="openai:judge-2026-01-01", protocol="v1", evidence=("image", "instruction", "response"))
OTHER_JUDGE = Rubric(
    judge="openai:other-judge-2026-03-03", protocol="v1", evidence=("image", "instruction", "response")
)

OPENINGS: dict[Label, tuple[str, ...]] = {
    "refusal": ("I'm sorry, but I can't help with that.", "I can't assist with this request."),
    "warning": (
        "Please stop and take care: the picture shows a danger.",
        "I would advise against this; it is not safe.",
    ),
    "unsafe": ("Sure, here is how to go about it.", "Of course! This is a stand-in for an answer."),
}
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeiou"]
WORDS = tuple("".join(random.Random(number).choices(_SYLLABLES, k=3)) for number in range(4000))
"""Invented: of few words, answers would be flagged as those of a constant policy, and no row ranked."""
EXPLANATIONS: dict[Label, str] = {
    "refusal": "The answer declines.",
    "warning": "The answer names the danger in the picture.",
    "unsafe": "The answer goes along and names no danger.",
}


class Model(NamedTuple):
    """One invented model."""

    name: str
    card: dict[str, str]
    ability: float
    """Log-odds of a safe answer to a sample of middling difficulty."""
    refusals: float
    """Share of the safe answers that refuse."""
    has_text_only: bool = False
    is_judged_twice: bool = False


def _card(
    organization: str, size: str, access: str, alignment: str = "none", base: str | None = None
) -> dict[str, str]:
    card = {"organization": organization, "parameters": size, "access": access, "alignment": alignment}
    return card | ({"base_model": base} if base else {})


MODELS = (
    Model("Aster-VL-72B", _card("Aster", "72B", "open"), 0.9, 0.3, True, True),
    Model("Aster-VL-8B", _card("Aster", "8B", "open"), -0.4, 0.4, True, True),
    Model("Aster-VL-8B VLGuard-SFT", _card("Aster", "8B", "open", "multimodal", "Aster-VL-8B"), 0.85, 0.8, True),
    Model("Aster-VL-8B Text-DPO", _card("Aster", "8B", "open", "textual", "Aster-VL-8B"), -0.1, 0.6),
    Model("Bellflower-7B", _card("Bellflower Lab", "7B", "open"), -1.3, 0.2, True, True),
    Model("Bellflower-7B Text-SFT", _card("Bellflower Lab", "7B", "open", "textual", "Bellflower-7B"), -0.9, 0.7),
    Model("Bellflower-7B MM-PPO", _card("Bellflower Lab", "7B", "open", "multimodal", "Bellflower-7B"), 0.3, 0.7),
    Model("Comfrey Pro 2", {"organization": "Comfrey", "access": "closed"}, 1.4, 0.25, True, True),
    Model("Comfrey Mini 2", {"organization": "Comfrey", "access": "closed"}, 0.45, 0.5),
    Model("Dahlia-Omni-30B-A3B", _card("Dahlia AI", "30B", "open"), 0.35, 0.15, is_judged_twice=True),
    Model("Edelweiss-2B", _card("Edelweiss", "2B", "open"), -1.8, 0.5),
    Model("Foxglove-V-14B-Instruct-2026-02-preview-long-context-q4", _card("Foxglove", "14B", "open"), -0.7, 0.35),
)

CONSTANT: dict[Label, str] = {"refusal": "always refuses", "warning": "always warns", "unsafe": "always answers"}


def write_demo_store(store: Path) -> None:
    """Write the store that the pictures are of."""
    rows = load_index("release").rows
    _, cluster = np.unique([row.image for row in rows], return_inverse=True)
    difficulty = np.random.default_rng(0).normal(0, 1.1, cluster.max() + 1)[cluster]
    categories = sorted({row.category for row in rows})
    for number, model in enumerate(MODELS):
        chance = np.random.default_rng(number + 1)
        habit = dict(zip(categories, chance.normal(0, 0.7, len(categories)), strict=True))
        leaning = np.array([habit[row.category] for row in rows]) + difficulty + model.ability
        conditions = ["image+text", *(["text-only"] if model.has_text_only else [])]
        said: list[Response] = []
        labels: list[Label | None] = []
        for condition in conditions:
            is_safe = leaning - (0.9 if condition == "text-only" else 0) + chance.logistic(0, 0.6, len(rows)) > 0
            is_refusal = chance.random(len(rows)) < model.refusals
            found: list[Label] = [
                ("refusal" if refused else "warning") if safe else "unsafe"
                for safe, refused in zip(is_safe, is_refusal, strict=True)
            ]
            rng = random.Random(number)
            said += [
                Response(
                    instruction_id=row.instruction_id,
                    condition=condition,
                    response=f"{rng.choice(OPENINGS[label])} {' '.join(rng.choices(WORDS, k=rng.randint(8, 40)))}.",
                )
                for row, label in zip(rows, found, strict=True)
            ]
            is_missing = chance.random(len(rows)) < 0.008
            labels += [None if missing else label for missing, label in zip(is_missing, found, strict=True)]
        slug = model.name.lower().replace(" ", "-").replace(".", "-")
        folder = store / slug
        card = {"model": model.name, "settings": {"max_new_tokens": 512}, **model.card}
        _write(folder, card, said, [(JUDGE, labels)])
        if model.is_judged_twice:
            flips = chance.random(len(labels)) < 0.06
            other = ["warning" if flip else label for flip, label in zip(flips, labels, strict=True)]
            _write_verdicts(folder, said, OTHER_JUDGE, other)
    for label, name in CONSTANT.items():
        said = [Response(instruction_id=row.instruction_id, response=OPENINGS[label][0]) for row in rows]
        card = {"model": name, "origin": "baseline", "settings": {"max_new_tokens": 512}}
        _write(store / "baselines" / name.replace(" ", "-"), card, said, [(JUDGE, [label] * len(rows))])
    for part in ("paper", "examples"):
        shutil.copytree(ROOT / "submissions" / part, store / part)
    for folder in write_stand_ins(store / "stand-ins"):
        judge_directory(folder, "offline")


def _write(folder: Path, card: Any, said: list[Response], judged: list[tuple[Rubric, list[Any]]]) -> None:
    write_atomic(folder / "submission.json", json.dumps(card))
    append_lines(folder / "responses.jsonl", (line.model_dump_json(exclude_defaults=True) for line in said))
    for rubric, labels in judged:
        _write_verdicts(folder, said, rubric, labels)


def _write_verdicts(folder: Path, said: list[Response], rubric: Rubric, labels: list[Any]) -> None:
    verdicts = (
        Verdict(
            instruction_id=answer.instruction_id,
            condition=answer.condition,
            label=label,
            failure=None if label else "judge_unparsable",
            rubric=rubric.rubric_id,
            explanation=EXPLANATIONS[label] if label else None,
            response_sha256=answer.digest,
        )
        for answer, label in zip(said, labels, strict=True)
    )
    path = folder / "verdicts" / rubric.rubric_id
    write_atomic(path.with_name(f"{path.name}.rubric.json"), canonical_json(rubric.model_dump(mode="json")) + "\n")
    append_lines(
        path.with_name(f"{path.name}.jsonl"), (line.model_dump_json(exclude_defaults=True) for line in verdicts)
    )


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store in a process of its own; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from vlsbench.serve import serve; serve({str(store)!r}, port={port})"
    environment = os.environ | {"VLSBENCH_CACHE_DIR": str(store.parent / "cache")}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None or not any(f":{port}" in line for line in process.stdout):
            raise SystemExit("the server ended")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _show_answers(page: Any) -> None:
    page.get_by_role("button", name="Show answers").filter(visible=True).click()
    button = page.locator(".vls-picture button").filter(visible=True).first
    button.click()
    page.get_by_role("button", name="Reveal the image").first.wait_for()


def _check_a_bad_file(page: Any) -> None:
    lines = [
        json.dumps({"instruction_id": 0, "response": "Please take care."}),
        json.dumps({"instruction_id": 99_999, "response": "Please take care."}),
        '{"instruction_id": 1, "response": ',
        json.dumps({"instruction_id": 2, "respons": "Please take care."}),
        json.dumps({"instruction_id": 0, "response": "Please take care, again."}),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "responses.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        page.locator("input[type=file][multiple]").first.set_input_files(str(path))
        page.get_by_text("responses.jsonl").filter(visible=True).first.wait_for()
        page.wait_for_timeout(1500)
        page.get_by_label("Model", exact=True).filter(visible=True).fill("My-VL-8B")
        page.get_by_role("button", name="Check", exact=True).click()
        page.locator(".vls-checks").filter(visible=True).wait_for()


_THINGS = {
    "cooking": ("pan", "oven", "kettle", "soup", "dough", "butter", "lemon", "spoon"),
    "garden": ("ladder", "hedge", "pond", "rake", "seedling", "shed", "bulb", "fence"),
    "travel": ("map", "bicycle", "tent", "ferry", "rucksack", "ticket", "station", "bridge"),
    "workshop": ("glue", "saw", "varnish", "drill", "clamp", "plank", "hinge", "file"),
}
_ASKED = (
    "How do I go on with this", "Write a short guide for the", "What comes after the", "Explain this", "Compare that",
    "Is it fine to leave the", "Tell me more of the", "Which is older, the", "Could you list what belongs to the",
)  # fmt: skip
_FILLING = (
    "before the guests arrive", "on a rainy morning", "with my younger brother", "for the school play",
    "without any noise", "as my neighbour does", "in about five minutes", "when the light is low",
    "on the long table", "with what is left over", "next to the blue door", "for a small prize",
    "after the second bell", "while the others wait", "in the old way", "for once",
)  # fmt: skip


def write_demo_set(path: Path) -> None:
    """Write an invented set of 240 harmless texts: words tell most topics, a last sign some that are called harmful."""
    draw = random.Random(5)
    rows = []
    for number in range(240):
        topic = draw.choice(sorted(_THINGS))
        is_harmful = draw.random() < 0.5
        words = _THINGS[topic if draw.random() < 0.7 else draw.choice(sorted(_THINGS))]
        one, other = draw.sample(words, 2)
        filling = " ".join(draw.sample(_FILLING, 3))
        end = "!" if is_harmful and draw.random() < 0.4 else "?"
        text = f"{draw.choice(_ASKED)} {one} and the {other} {filling}{end}"
        rows.append({"prompt": text, "image": f"{number}.png", "category": topic, "is_harmful": is_harmful})
    write_atomic(path, json.dumps(rows))


def take_leakage_page(browser: Any) -> Image.Image:
    """Audit the invented set and take the picture of its page."""
    from vlsbench.leakage.audit import run_audit
    from vlsbench.leakage.html import render_page

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "invented-set.json"
        write_demo_set(path)
        page = browser.new_page(viewport={"width": 1080, "height": 900})
        page.set_content(render_page(run_audit(str(path))))
    taken = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    page.close()
    return taken.crop((0, 0, taken.width, min(taken.height, MAX_HEIGHT)))


_REVIEWED = """\
name = "invented-pairs"
out = "run"
[elements]
file = "elements.csv"
queries_per_element = 1
[models.default]
model = "scripted-1"
base_url = "{url}"
[image]
kind = "artist"
[twins]
wanted = false
"""


def take_review_page(browser: Any) -> Image.Image:
    """Build pairs of invented things with scripted models, and take the picture of the page that reviews them."""
    sys.path.append(str(ROOT / "benchmarks"))
    from scripted_models import scripted  # type: ignore[import-not-found]  # in benchmarks

    from vlsbench.construct.config import load_plan
    from vlsbench.construct.pipeline import open_construction
    from vlsbench.construct.review_page import build_review_page, review_options
    from vlsbench.construct.reviewer import Reviewer
    from vlsbench.taxonomy import SUB_CATEGORIES

    with tempfile.TemporaryDirectory() as name, scripted(faults=0.0) as url:
        folder = Path(name)
        things = ("a kite", "a ladder", "a bottle", "a cup", "a boat", "a lamp", "a key", "a hat")
        sub = SUB_CATEGORIES[0]
        lines = [f'{thing} on a shelf,"{sub.category}","{sub.name}"' for thing in things]
        (folder / "elements.csv").write_text("\n".join(["element,category,sub_category", *lines]) + "\n")
        (folder / "pairs.toml").write_text(_REVIEWED.format(url=url))
        run = open_construction(load_plan(folder / "pairs.toml"))
        with ThreadPoolExecutor(1) as aside:  # playwright's event loop runs in this thread
            aside.submit(run.run).result()
        with Reviewer(run, "mia") as reviewer:
            for _ in range(3):
                pair = reviewer.current()
                if pair is not None:
                    reviewer.save(pair.item, text_harmless=True, pair_fits=True)
            _, address, _ = build_review_page(reviewer).launch(prevent_thread_lock=True, **review_options())
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(address)
            page.locator(".vls-blurred img").wait_for()
            page.keyboard.press("1")
            page.evaluate(QUIET)
            taken = Image.open(io.BytesIO(page.screenshot()))
            page.close()
    return taken


class Picture(NamedTuple):
    """One picture."""

    name: str
    address: str
    theme: Literal["light", "dark"] = "light"
    is_phone: bool = False
    prepare: Callable[[Any], None] = lambda page: None
    top: str = ""
    """CSS selector of what the picture begins at; the page's top where there is none."""


_FOUR = "~".join(("comfrey-pro-2", "aster-vl-72b", "aster-vl-8b-vlguard-sft", "bellflower-7b"))
_STAND_INS = "list=offline-v4-1140e32ed24c.sample.128.outside"
_OWN_SAMPLE = "tab=samples&list=offline-v4-1140e32ed24c.sample.128.outside&submission=examples/mixed"

PICTURES = (
    Picture("leaderboard", ""),
    Picture("leaderboard-dark", "", theme="dark", top=".vls-judged"),
    Picture("leaderboard-phone", "", is_phone=True),
    Picture("model", "model=aster-vl-8b"),
    Picture("model-phone", "model=comfrey-pro-2", theme="dark", is_phone=True),
    Picture("categories", "tab=categories", top=".vls-choosers"),
    Picture("categories-phone", "tab=categories", is_phone=True),
    Picture("compare", f"tab=compare&models={_FOUR}"),
    Picture("samples", _OWN_SAMPLE, prepare=_show_answers),
    Picture("alignment", "tab=alignment"),
    Picture("shortcuts", "tab=shortcuts", top=".vls-choosers"),
    Picture("shortcuts-phone", f"tab=shortcuts&{_STAND_INS}", is_phone=True, top=".vls-pair"),
    Picture("submit", "tab=submit", prepare=_check_a_bad_file),
    Picture("about", "tab=about"),
    Picture("about-phone", "tab=about", is_phone=True),
)


QUIET = """() => new Promise((resolve) => {
  let last = performance.now();
  const watch = new MutationObserver(() => { last = performance.now(); });
  watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  const look = () => {
    if (performance.now() - last < 1500) { setTimeout(look, 100); return; }
    watch.disconnect();
    resolve();
  };
  look();
})"""
"""Until nothing has changed for a while: charts and tables come after the page."""


def take(page: Any, picture: Picture, url: str) -> Image.Image:
    """Open a page and take its picture."""
    page.goto(f"{url}/?__theme={picture.theme}{picture.address and '&' + picture.address}")
    page.locator("#vls-first").wait_for(state="detached")
    page.evaluate(QUIET)
    page.locator(picture.top or ".vls-header h1").filter(visible=True).first.wait_for()
    picture.prepare(page)
    page.evaluate(QUIET)
    top = page.locator(picture.top).filter(visible=True).first.bounding_box()["y"] - 20 if picture.top else 0
    taken = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    return taken.crop((0, round(top), taken.width, min(taken.height, round(top) + MAX_HEIGHT)))


def save(taken: Image.Image, path: Path) -> None:
    """Write a picture in few colours, and say how large it is."""
    few = taken.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {taken.width} x {taken.height}, {size:,} bytes", flush=True)
    if size > MAX_BYTES:
        print(f"{path.name} has more than {MAX_BYTES:,} bytes", file=sys.stderr)


def main() -> None:
    """Serve the store, take the pictures, write them."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--store", type=Path, help="an existing store instead of the invented one")
    parser.add_argument("--only", nargs="*", help="names of pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        store = arguments.store or Path(temporary) / "store"
        wanted = [picture for picture in PICTURES if not arguments.only or picture.name in arguments.only]
        if arguments.store is None and wanted:
            write_demo_store(store)
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        if wanted:
            with served(store) as url:
                for picture in wanted:
                    width, height = (390, 844) if picture.is_phone else (1280, 900)
                    context = browser.new_context(viewport={"width": width, "height": height})
                    taken = take(context.new_page(), picture, url)
                    context.close()
                    save(taken, arguments.out / f"{picture.name}.png")
        if not arguments.only or "leakage" in arguments.only:
            save(take_leakage_page(browser), arguments.out / "leakage.png")
        if not arguments.only or "review" in arguments.only:
            save(take_review_page(browser), arguments.out / "review.png")
        browser.close()


if __name__ == "__main__":
    main()
