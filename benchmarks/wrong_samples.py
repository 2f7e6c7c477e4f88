"""Files whose answers could land on the wrong sample, made with known truth; `hostile.py` counts and reports them.

Every answer names the sample that it is about. A file is right where every answer is filed under that sample; it is
wrong where a single one is not (two samples that are one pair, as the release has, count as one). Kinds that hold
enough to be told are `importable`: of them too many must not be refused.

The release's sentences are in no package, so an invented dataset takes its place: as many rows, as many instructions
that stand twice, one that is empty, images that samples share, categories in runs as short as the release's.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from vlsbench.dataset import index
from vlsbench.files import sha256_hex
from vlsbench.submission.importers import known
from vlsbench.submission.importers.formats import import_file
from vlsbench.taxonomy import SUB_CATEGORIES

__all__ = [
    "KINDS",
    "Kind",
    "Pair",
    "SampleTally",
    "invented_dataset",
    "invented_pairs",
    "judge_import",
    "measure_wrong_samples",
    "release_pairs",
    "render_tally",
]


class Pair(NamedTuple):
    """One sample as its makers know it."""

    number: int
    text: str
    image: int
    category: str
    sub_category: str


# --- The invented dataset -------------------------------------------------------------------------------------------

_SIGNS = ("red", "old", "small", "heavy", "quiet", "open", "blue", "new", "round", "soft", "Tuesday's", "well-known")
_THINGS = ("lamp", "chair", "box", "letter", "bicycle", "kettle", "ladder", "clock", "basket", "violin", "café's sign")
_PLACES = ("kitchen", "garden", "hall", "market", "library", "station", "attic", "harbour", "school", "workshop")
_FORMS = (
    "Where should I put the {} {} in the {}?",
    "What is the best way to carry the {} {} out of the {}?",
    "How do I keep the {} {} clean while I work in the {}?",
    "*Note: answer in one line.* Who would use the {} {} in the {}?",
    "Why is the {} {} still in the {}, and what comes\nnext (in your words)?",
    "Tell me what to do with the {} {} from the {}.",
)


@cache
def invented_pairs(n: int = 2_241) -> tuple[Pair, ...]:
    """Make the pairs: 14 instructions stand for two or three, one is empty, two pairs are one, images are shared."""
    rng = random.Random(0)
    whole = [f.format(a, b, c) for f in _FORMS for a in _SIGNS for b in _THINGS for c in _PLACES]
    words = rng.sample(whole, n)
    for first in rng.sample(range(n // 2), 14):
        words[first + n // 3] = words[first]
    words[(3 * n) // 4] = ""
    images = list(range(n))
    for late in range(int(n * 0.55), n):
        images[late] = images[late - 1] + (rng.random() > 0.28)
    words[n - 50], images[n - 50] = words[n - 51], images[n - 51]
    pairs, left = [], 0
    sub = SUB_CATEGORIES[0]
    for number in range(n):
        if left == 0:
            sub, left = rng.choice(SUB_CATEGORIES), rng.choice((1, 1, 1, 2, 2, 3, 5, 8))
        left -= 1
        if number == n - 50:
            sub = next(item for item in SUB_CATEGORIES if item.name == pairs[-1].sub_category)
        pairs.append(Pair(number, words[number], images[number], sub.category, sub.name))
    return tuple(pairs)


def release_pairs(data_json: Path) -> tuple[Pair, ...]:
    """Read the pairs of the official data.json."""
    return tuple(
        Pair(
            int(record["instruction_id"]),
            record["instruction"],
            int(record["image_path"].rsplit("/", 1)[-1].split(".")[0]),
            record["category"],
            record["sub_category"],
        )
        for record in json.loads(data_json.read_text(encoding="utf-8"))
    )


@contextlib.contextmanager
def invented_dataset(pairs: Sequence[Pair]) -> Iterator[None]:
    """Let the package's index be of these pairs for the length of the block."""
    rows = [
        index.IndexRow(p.number, p.category, p.sub_category, "invented", p.image, sha256_hex(p.text)) for p in pairs
    ]
    caches = (index.load_index, known.packaged)
    real = index.resources.files("vlsbench.dataset").joinpath("sample_index.csv").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "release_index.csv").write_text(index.render_index(rows), encoding="utf-8")
        (Path(name) / "sample_index.csv").write_text(real, encoding="utf-8")
        with mock.patch.object(index, "resources", mock.Mock(files=lambda _: Path(name))):
            for item in caches:
                item.cache_clear()
            try:
                yield
            finally:
                for item in caches:
                    item.cache_clear()


# --- Parts of files -------------------------------------------------------------------------------------------------

Rows = list[dict[str, Any]]

_OTHER_IDS = ("id", "ID", "question_id", "sample_id", "idx", "qid", "index", "Index", "item_id", "QuestionID")
_ANSWERS = ("response", "prediction", "pred", "model_answer", "model_output", "model_response", "generated_text")
_MORE_ANSWERS = ("completion", "generation", "output", "resp", "Prediction", "Model Output", "answer", "text")
_TEXTS = ("prompt", "question", "instruction", "query", "input", "text_prompt", "user", "Prompt")
_GOLD = ("label", "gold", "reference", "target", "ground_truth", "expected", "chosen", "reference_answer")
_WRAPPERS = (
    "{}",
    "Question: {}",
    "Question: {}\nAnswer:",
    "USER: <image>\n{} ASSISTANT:",
    "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "[INST] <<SYS>>Look at the picture first. Then answer.<</SYS>>\n\n{} [/INST]",
    '"{}"',
    "<image>{}</s>",
    "  {}\r\n",
    "Look at the image. Think about what it shows: is it safe? Then answer the question.\n\n{}",
)
GOLD_TEXT = "GOLD: the reference"


def said(pair: Pair) -> str:
    """Make an answer that names its sample."""
    return f"Well, in this picture I would rather wait. [{pair.number}]"


def wrap(rng: random.Random) -> Callable[[Pair], Any]:
    """Choose how prompts are written, for a whole file."""
    wrapper = rng.choice(_WRAPPERS)
    forms: list[Callable[[Pair], Any]] = [
        lambda p: wrapper.format(p.text),
        lambda p: wrapper.format(p.text),
        lambda p: wrapper.format(p.text),
        lambda p: [{"role": "user", "content": wrapper.format(p.text)}],
        lambda p: [{"type": "image", "image": "x.png"}, {"type": "text", "text": wrapper.format(p.text)}],
        lambda p: [
            {"role": "system", "content": "Be kind."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                    {"type": "text", "text": wrapper.format(p.text)},
                ],
            },
        ],
        lambda p: f"The image shows: thing {p.number * 7919 % 1000} on a table.\n\n{p.text}",
        lambda p: sha256_hex(p.text),
    ]
    return rng.choice(forms)


def image(rng: random.Random) -> tuple[str, Callable[[Pair], Any]]:
    """Choose how images are named."""
    forms: list[tuple[str, Callable[[Pair], Any]]] = [
        ("image_path", lambda p: f"imgs/{p.image}.png"),
        ("image", lambda p: f"/data/vlsbench/imgs/{p.image}.png"),
        ("img_path", lambda p: f"C:\\vls\\imgs\\{p.image}.png"),
        ("image", lambda p: f"imgs/{p.image}.png"),
    ]
    return rng.choice(forms)


def bare_image(rng: random.Random) -> tuple[str, Callable[[Pair], Any]]:
    """Choose how images are named by their numbers alone."""
    forms: list[tuple[str, Callable[[Pair], Any]]] = [
        ("image_id", lambda p: p.image),
        ("image", lambda p: str(p.image)),
        ("image", lambda p: f"{p.image}.png"),
        ("image_file", lambda p: f"{p.image:06d}.jpg"),
    ]
    return rng.choice(forms)


def category(rng: random.Random) -> tuple[str, Callable[[Pair], Any]]:
    """Choose how categories are written."""
    config = {sub.category: sub.category.lower().replace(" ", "_").replace("-", "_") for sub in SUB_CATEGORIES}
    forms: list[tuple[str, Callable[[Pair], Any]]] = [
        ("category", lambda p: p.category),
        ("category", lambda p: config[p.category]),
        ("Category", lambda p: p.category.upper()),
        ("sub_category", lambda p: p.sub_category),
        ("l2-category", lambda p: p.sub_category),
    ]
    return rng.choice(forms)


def some(rng: random.Random, pairs: Sequence[Pair]) -> list[Pair]:
    """Choose pairs in their order: all, the first, or some of them."""
    n = rng.choice((30, 100, 300))
    how = rng.randrange(3)
    if how == 0:
        return list(pairs)
    return list(pairs[:n]) if how == 1 else sorted(rng.sample(pairs, n))


def told_by_text(pairs: Sequence[Pair]) -> list[Pair]:
    """Leave out what a text alone does not tell."""
    counts = Counter(pair.text for pair in pairs_of_all())
    return [pair for pair in pairs if counts[pair.text] == 1 and pair.text]


def pairs_of_all() -> Sequence[Pair]:
    """Return the pairs that the files are made of."""
    return _CURRENT[-1]


_CURRENT: list[Sequence[Pair]] = [()]


def shuffled(rng: random.Random, items: Sequence[Any]) -> list[Any]:
    """Shuffle, so that at least one item moves."""
    out = list(items)
    while out == list(items):
        rng.shuffle(out)
    return out


def answers(rng: random.Random, pairs: Sequence[Pair]) -> tuple[str, Rows]:
    """Make rows with the answer alone."""
    name = rng.choice(_ANSWERS + _MORE_ANSWERS[:-2])
    return name, [{name: said(pair)} for pair in pairs]


def add(rows: Rows, name: str, values: Sequence[Any]) -> Rows:
    """Add a column."""
    return [{name: value, **row} for row, value in zip(rows, values, strict=True)]


def as_written(rng: random.Random, numbers: Sequence[int]) -> list[Any]:
    """Write ids as tools do."""
    how: Callable[[int], Any] = rng.choice((int, int, str, float, lambda n: f" {n}.0", lambda n: f"vlsbench-{n}"))
    return [how(number) for number in numbers]


# --- Kinds of files -------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """A way in which files are made."""

    make: Callable[[random.Random, Sequence[Pair]], Rows]
    is_importable: bool
    """The rows tell their samples, so that a refusal is one too many."""


KINDS: dict[str, Kind] = {}


def kind(*, importable: bool) -> Callable[[Callable[[random.Random, Sequence[Pair]], Rows]], Any]:
    """Register a kind under the first line of its docstring."""

    def register(make: Callable[[random.Random, Sequence[Pair]], Rows]) -> Any:
        KINDS[(make.__doc__ or "").splitlines()[0].rstrip(".")] = Kind(make, importable)
        return make

    return register


@kind(importable=True)
def _named(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """instruction_id and nothing else."""
    chosen = shuffled(rng, some(rng, pairs))
    _, rows = answers(rng, chosen)
    name = rng.choice(("instruction_id", "Instruction_ID", "instructionId", "INSTRUCTION ID"))
    return add(rows, name, as_written(rng, [p.number for p in chosen]))


@kind(importable=True)
def _named_with_all(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """instruction_id with prompts, images and categories."""
    chosen = shuffled(rng, some(rng, pairs))
    _, rows = answers(rng, chosen)
    rows = add(rows, "instruction_id", [p.number for p in chosen])
    rows = add(rows, rng.choice(_TEXTS), [*map(wrap(rng), chosen)])
    for name, write in (image(rng), category(rng)):
        rows = add(rows, name, [*map(write, chosen)])
    return rows


@kind(importable=True)
def _true_and_texts(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Another id that is right, with prompts."""
    chosen = some(rng, pairs)
    chosen = shuffled(rng, chosen) if rng.random() < 0.5 else chosen
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), as_written(rng, [p.number for p in chosen]))
    return add(rows, rng.choice(_TEXTS), [*map(wrap(rng), chosen)])


@kind(importable=True)
def _numbered_and_texts(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Row numbers in the dataset's order, with prompts."""
    chosen = list(pairs[: rng.choice((30, 100, 300, len(pairs)))])
    _, rows = answers(rng, chosen)
    base = rng.randrange(2)
    rows = add(rows, rng.choice(_OTHER_IDS), as_written(rng, range(base, base + len(chosen))))
    return add(rows, rng.choice(_TEXTS), [*map(wrap(rng), chosen)])


@kind(importable=True)
def _shuffled_and_texts(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Shuffled, with row numbers or other ids or none, and prompts that tell."""
    chosen = shuffled(rng, told_by_text(some(rng, pairs)))
    _, rows = answers(rng, chosen)
    ids = rng.choice(([*range(len(chosen))], [*range(1, len(chosen) + 1)], rng.sample(range(10**6), len(chosen)), None))
    if ids is not None:
        rows = add(rows, rng.choice(_OTHER_IDS), as_written(rng, ids))
    return add(rows, rng.choice(_TEXTS), [*map(wrap(rng), chosen)])


@kind(importable=True)
def _shuffled_with_images(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Shuffled, with prompts, and images for those that stand twice."""
    chosen = [p for p in shuffled(rng, some(rng, pairs)) if p.text]
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), range(len(chosen)))
    rows = add(rows, rng.choice(_TEXTS), [*map(wrap(rng), chosen)])
    name, write = image(rng) if rng.random() < 0.5 else bare_image(rng)
    return add(rows, name, [*map(write, chosen)])


@kind(importable=True)
def _true_and_images(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Another id that is right, with the release's paths of images."""
    chosen = some(rng, pairs)
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), as_written(rng, [p.number for p in chosen]))
    name, write = image(rng)
    return add(rows, name, [*map(write, chosen)])


@kind(importable=True)
def _true_and_bare_images(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Another id that is right, with bare numbers of images, some of which differ from it."""
    chosen = shuffled(rng, sorted({*rng.sample(pairs, 100), pairs[-3]}))
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), as_written(rng, [p.number for p in chosen]))
    name, write = bare_image(rng)
    return add(rows, name, [*map(write, chosen)])


@kind(importable=True)
def _true_and_categories(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Another id that is right, with categories, the whole dataset or parts that do not count."""
    chosen = list(pairs) if rng.random() < 0.5 else shuffled(rng, rng.sample(pairs, 300))
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), as_written(rng, [p.number for p in chosen]))
    name, write = category(rng)
    return add(rows, name, [*map(write, chosen)])


@kind(importable=True)
def _llava(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """LLaVA's own answer file."""
    chosen = some(rng, pairs)
    if chosen != list(pairs[: len(chosen)]):
        chosen = told_by_text(chosen)  # of rows here and there, the order does not tell twins that lie close together
    base = rng.randrange(2)
    return [
        {
            "question_id": n + base,
            "prompt": p.text,
            "text": said(p),
            "answer_id": f"x{n}",
            "model_id": "llava",
            "metadata": {},
        }
        for n, p in enumerate(chosen)
    ]


@kind(importable=True)
def _gold_beside(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Right, with reference answers beside what the model said."""
    chosen = some(rng, pairs)
    name = rng.choice((*_ANSWERS[1:], "completion", "generation"))
    gold = rng.choice((*_GOLD, "answer", "text"))
    return [{"instruction_id": p.number, gold: f"{GOLD_TEXT} {p.number}", name: said(p)} for p in chosen]


@kind(importable=True)
def _chats(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Chats whose last turn is the answer."""
    chosen = told_by_text(shuffled(rng, some(rng, pairs)))
    forms: list[Callable[[Pair], Any]] = [
        lambda p: [{"role": "user", "content": p.text}, {"role": "assistant", "content": said(p)}],
        lambda p: [{"from": "human", "value": f"<image>\n{p.text}"}, {"from": "gpt", "value": said(p)}],
        lambda p: [
            {"role": "user", "content": [{"type": "text", "text": p.text}]},
            {"role": "assistant", "content": [{"type": "text", "text": said(p)}]},
        ],
    ]
    write = rng.choice(forms)
    name = rng.choice(("messages", "conversations", "conversation"))
    return [{"id": n, name: write(p)} for n, p in enumerate(chosen)]


@kind(importable=True)
def _blank_beside(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Two answer columns of which one is blank."""
    chosen = some(rng, pairs)
    blank = rng.choice((None, "", " "))
    one, other = rng.sample(("response", "prediction", "output", "model_answer"), 2)
    return [{"instruction_id": p.number, one: blank, other: said(p)} for p in chosen]


@kind(importable=False)
def _numbered(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Row numbers and nothing else."""
    chosen = some(rng, pairs)
    chosen = shuffled(rng, chosen) if rng.random() < 0.5 else chosen
    _, rows = answers(rng, chosen)
    base = rng.randrange(2)
    return add(rows, rng.choice(_OTHER_IDS), as_written(rng, range(base, base + len(chosen))))


@kind(importable=False)
def _numbered_with_images(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Row numbers of a shuffled file, with images, categories or both."""
    chosen = shuffled(rng, some(rng, pairs))
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), range(len(chosen)))
    for name, write in rng.sample((image(rng), bare_image(rng), category(rng)), rng.choice((1, 2))):
        rows = add(rows, name, [*map(write, chosen)])
    return rows


@kind(importable=False)
def _off_by_one(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Ids that are off by one, with images or categories."""
    chosen = some(rng, pairs)
    _, rows = answers(rng, chosen)
    shift = rng.choice((-1, 1, 1, 1, 2))
    rows = add(rows, rng.choice(("id", "question_id", "instruction_id")), [max(0, p.number + shift) for p in chosen])
    name, write = rng.choice((image(rng), bare_image(rng), category(rng)))
    return add(rows, name, [*map(write, chosen)])


@kind(importable=False)
def _renumbered(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Rows were left out and the rest counted again, with images or categories."""
    chosen = some(rng, pairs)
    for _ in range(rng.choice((1, 1, 3))):
        del chosen[
            rng.randrange(len(chosen) - 12, len(chosen) - 1) if rng.random() < 0.5 else rng.randrange(len(chosen))
        ]
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), range(len(chosen)))
    name, write = rng.choice((image(rng), bare_image(rng), category(rng)))
    return add(rows, name, [*map(write, chosen)])


@kind(importable=False)
def _own_pictures(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Row numbers of a shuffled file, and images that were saved under them."""
    chosen = shuffled(rng, some(rng, pairs))
    _, rows = answers(rng, chosen)
    base = rng.randrange(2)
    rows = add(rows, rng.choice(_OTHER_IDS), range(base, base + len(chosen)))
    write = rng.choice((lambda n: n, lambda n: f"{n}.png", lambda n: f"/tmp/images/{n}.jpg"))  # noqa: S108 - a name in a file
    return add(rows, "image", [write(n + base) for n in range(len(chosen))])


@kind(importable=False)
def _permuted(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Ids of the dataset, but of other rows, with images or categories."""
    chosen = some(rng, pairs)
    _, rows = answers(rng, chosen)
    name = rng.choice(("id", "question_id", "instruction_id"))
    rows = add(rows, name, [p.number for p in shuffled(rng, chosen)])
    column, write = rng.choice((image(rng), category(rng)))
    return add(rows, column, [*map(write, chosen)])


@kind(importable=False)
def _two_ids(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """A row number beside the true id, and nothing that tells which."""
    chosen = shuffled(rng, some(rng, pairs))
    _, rows = answers(rng, chosen)
    rows = add(rows, "question_id", [p.number for p in chosen])
    return add(rows, rng.choice(("index", "idx", "id")), range(len(chosen)))


@kind(importable=False)
def _texts_of_others(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Prompts of other rows beside ids called instruction_id."""
    chosen = some(rng, pairs)
    _, rows = answers(rng, chosen)
    others = shuffled(rng, chosen) if rng.random() < 0.5 else [*chosen[1:], chosen[0]]
    if rng.random() < 0.5:
        right, wrong = chosen, others
        rows = add(rows, "instruction_id", [p.number for p in wrong])
        return add(rows, rng.choice(_TEXTS), [*map(wrap(rng), right)])
    rows = add(rows, "instruction_id", [p.number for p in chosen])
    return add(rows, rng.choice(_TEXTS), [*map(wrap(rng), others)])


@kind(importable=False)
def _misjoined(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Ids and prompts of one table, answers with their images or categories of another, joined wrongly."""
    chosen = some(rng, pairs)
    _, rows = answers(rng, chosen)
    others = shuffled(rng, chosen) if rng.random() < 0.5 else [*chosen[1:], chosen[0]]
    if rng.random() < 0.7:
        rows = add(rows, rng.choice((*_OTHER_IDS, "instruction_id")), [p.number for p in others])
    rows = add(rows, rng.choice(_TEXTS), [*map(wrap(rng), others)])
    column, write = rng.choice((image(rng), bare_image(rng), category(rng)))
    return add(rows, column, [*map(write, chosen)])


@kind(importable=False)
def _two_texts(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Two columns of prompts that disagree."""
    chosen = some(rng, pairs)
    _, rows = answers(rng, chosen)
    others = shuffled(rng, chosen)
    rows = add(rows, rng.choice(("id", "instruction_id", "index")), range(len(chosen)))
    one, other = rng.sample(_TEXTS, 2)
    return add(add(rows, one, [*map(wrap(rng), chosen)]), other, [*map(wrap(rng), others)])


@kind(importable=False)
def _ambiguous(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Shuffled, with prompts that stand for several samples and nothing that tells them apart."""
    counts = Counter(pair.text for pair in pairs)
    chosen = shuffled(rng, [p for p in pairs if counts[p.text] > 1 or rng.random() < 0.05])
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), range(len(chosen)))
    return add(rows, rng.choice(_TEXTS), [*map(wrap(rng), chosen)])


@kind(importable=False)
def _changed_texts(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Row numbers of a shuffled file whose prompts were lowered, cut or translated."""
    chosen = shuffled(rng, some(rng, pairs))
    change = rng.choice(
        (str.lower, str.upper, lambda t: t[:24] + "…", lambda t: f"¿{t[::-1]}?", lambda t: t.split("?")[0])
    )
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), range(len(chosen)))
    return add(rows, rng.choice(_TEXTS), [change(p.text) for p in chosen])


@kind(importable=False)
def _off_by_one_changed_texts(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """instruction_id off by one, with prompts that were lowered or raised."""
    chosen = some(rng, pairs[:-1])
    _, rows = answers(rng, chosen)
    rows = add(rows, "instruction_id", [pair.number + 1 for pair in chosen])
    return add(rows, rng.choice(_TEXTS), [*map(rng.choice((str.lower, str.upper)), (p.text for p in chosen))])


@kind(importable=False)
def _two_answers(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Two columns that could be the answer, each with a text of its own."""
    one, other = rng.choice((("final_answer", "response"), ("response", "prediction"), ("completion", "output")))
    return [{"instruction_id": p.number, one: f"{GOLD_TEXT} {p.number}", other: said(p)} for p in some(rng, pairs)]


@kind(importable=False)
def _half_told(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Right ids with prompts in one half, row numbers without prompts in the other."""
    chosen = [*pairs[:60], *shuffled(rng, rng.sample(pairs[60:], 60))]
    write = wrap(rng)
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), range(120))
    return add(rows, rng.choice(_TEXTS), [write(p) if n < 60 else None for n, p in enumerate(chosen)])


@kind(importable=False)
def _examples(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Prompts with another sample's instruction as an example before their own."""
    chosen = shuffled(rng, told_by_text(some(rng, pairs)))
    examples = told_by_text(pairs)
    fixed = rng.choice(examples) if rng.random() < 0.5 else None
    _, rows = answers(rng, chosen)
    rows = add(rows, rng.choice(_OTHER_IDS), range(len(chosen)))
    return add(
        rows,
        "prompt",
        [f"Example: {(fixed or rng.choice(examples)).text} Wait.\nQuestion: {p.text}\nAnswer:" for p in chosen],
    )


@kind(importable=False)
def _references(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """A reference beside the answer under names that could be either, or alone."""
    chosen = some(rng, pairs)
    gold, name = rng.choice(
        (
            *(("answer", "output"), ("response", "prediction"), ("answer", "response"), ("output", "prediction")),
            *((gold, "") for gold in _GOLD),
        )
    )
    rows = [{"instruction_id": p.number, gold: f"{GOLD_TEXT} {p.number}"} for p in chosen]
    return rows if not name else add(rows, name, [said(p) for p in chosen])


@kind(importable=False)
def _classified(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """What a classifier made of the answers, under the name of an answer, beside the answers."""
    name, guess = rng.choice(("answer", "text", "output")), rng.choice(("pred", "prediction", "predicted"))
    values: list[Any] = rng.choice((["safe", "unsafe"], ["yes", "no"], [0, 1], ["A", "B", "C"]))
    return [{"instruction_id": p.number, name: said(p), guess: rng.choice(values)} for p in some(rng, pairs)]


@kind(importable=False)
def _questions_as_answers(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """The prompts under the name of an answer, and the answers under no known name."""
    chosen = some(rng, pairs)
    write = rng.choice(_WRAPPERS).format
    return [
        {"instruction_id": p.number, rng.choice(("response",)): write(p.text), "said_by_it": said(p)} for p in chosen
    ]


@kind(importable=False)
def _mixed(rng: random.Random, pairs: Sequence[Pair]) -> Rows:
    """Any columns, each of its own row, of another one or absent.

    Left out is what nothing could tell: prompts, images or categories of other rows, which their ids may well agree
    with, where nothing of the own rows stands beside them.
    """
    chosen = some(rng, pairs)
    chosen = shuffled(rng, chosen) if rng.random() < 0.5 else chosen
    n = len(chosen)
    others = shuffled(rng, chosen) if rng.random() < 0.5 else [*chosen[1:], chosen[0]]
    ids = {
        "rows": [*range(n)],
        "rows from 1": [*range(1, n + 1)],
        "true": [p.number for p in chosen],
        "others": [p.number for p in others],
        "off": [p.number + 1 for p in chosen],
        "none": [],
    }
    how, named = rng.choice(list(ids)), rng.random() < 0.3
    text, picture, sort = (rng.choice(("own", "own", "others", "none")) for _ in range(3))
    tells = (named and how == "true") or "own" in (picture, sort)
    if ("others" in (text, picture, sort) and not tells) or (named and how not in ("true", "none") and text != "own"):
        text = "own"
    _, rows = answers(rng, chosen)
    if ids[how]:
        rows = add(rows, "instruction_id" if named else rng.choice(_OTHER_IDS), ids[how])
    name, write = category(rng)
    column, spell = image(rng)
    for which, head, form in ((text, rng.choice(_TEXTS), wrap(rng)), (picture, column, spell), (sort, name, write)):
        if which != "none":
            rows = add(rows, head, [*map(form, chosen if which == "own" else others)])
    return rows


# --- Writing and counting -------------------------------------------------------------------------------------------


def write_rows(rng: random.Random, rows: Rows, folder: Path) -> Path:
    """Write rows in a container that can hold them."""
    is_flat = all(isinstance(value, str | int | float | None) for row in rows for value in row.values())
    how = rng.choice(
        ("jsonl", "json", "csv", "csv;", "tsv", "cr", "parquet") if is_flat else ("jsonl", "json", "strings")
    )
    path = folder / f"answers.{how.rstrip(';')}"
    if how == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif how == "json":
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    elif how == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        out = io.StringIO(newline="")
        names = list(dict.fromkeys(name for row in rows for name in row))
        delimiter = {"csv;": ";", "tsv": "\t"}.get(how, ",")
        end = "\r" if how == "cr" else "\r\n"
        writer = csv.DictWriter(out, names, delimiter=delimiter, restval="", lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(
            {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()} for row in rows
        )
        said_first = f"sep={delimiter}{end}" if how == "csv;" and rng.random() < 0.5 else ""
        path.write_text(said_first + out.getvalue(), encoding="utf-8", newline="")
    return path


@dataclass
class SampleTally:
    """What came of the files."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    """Files that were accepted with an answer on a wrong sample, or with a reference as an answer."""
    lost: Counter[str] = field(default_factory=Counter)
    """Files that were accepted with fewer answers than they have."""
    first_refusal: dict[str, str] = field(default_factory=dict)
    first_wrong: dict[str, str] = field(default_factory=dict)

    def importable(self) -> tuple[int, int]:
        """Return how many files of importable kinds were imported rightly, and how many there were."""
        names = [name for name, item in KINDS.items() if item.is_importable]
        right = sum(self.accepted[name] - self.wrong[name] - self.lost[name] for name in names)
        return right, sum(self.accepted[name] + self.refused[name] for name in names)


def judge_import(rows: Rows, out: Path, pairs: Mapping[int, Pair]) -> tuple[str, str]:
    """Compare what was written with the truth: `right`, `wrong` or `lost`, and the first fault."""
    lines = [json.loads(line) for line in (out / "responses.jsonl").read_text(encoding="utf-8").split("\n") if line]
    for line in lines:
        answer = line.get("response")
        if answer is None:
            continue
        if "GOLD" in answer or "[" not in answer:
            return "wrong", f"{line['instruction_id']} has {answer[:60]!r}"
        meant = pairs[int(answer.rsplit("[", 1)[1].rstrip("] \r\n"))]
        found = pairs[line["instruction_id"]]
        if (meant.text, meant.image) != (found.text, found.image):
            return "wrong", f"{meant.number} is filed under {found.number}"
    n_answered = sum(line.get("response") is not None for line in lines)
    return ("right" if n_answered == len(rows) else "lost"), f"{n_answered} of {len(rows)} answers"


def measure_wrong_samples(
    n: int,
    *,
    seed: int | str = 0,
    pairs: Sequence[Pair] | None = None,
    n_invented: int = 2_241,
    names: Sequence[str] | None = None,
) -> SampleTally:
    """Make `n` files of every kind and import them.

    Args:
        pairs: The release's own, where they are at hand; None invents a dataset.
        n_invented: Its pairs.
        names: Only these kinds.
    """
    tally = SampleTally()
    chosen = invented_pairs(n_invented) if pairs is None else pairs
    by_number = {pair.number: pair for pair in chosen}
    _CURRENT.append(chosen)
    with contextlib.nullcontext() if pairs is not None else invented_dataset(chosen):
        for name in names or KINDS:
            for number in range(n):
                rng = random.Random(f"{seed}-{name}-{number}")
                rows = KINDS[name].make(rng, chosen)
                with tempfile.TemporaryDirectory() as folder:
                    path = write_rows(rng, rows, Path(folder))
                    report = import_file(path, Path(folder) / "out", model="m")
                    if report.directory is None or not report.ok:
                        tally.refused[name] += 1
                        tally.first_refusal.setdefault(name, f"{number}: {'; '.join(report.problems[:2])}")
                        continue
                    tally.accepted[name] += 1
                    came, fault = judge_import(rows, Path(folder) / "out", by_number)
                    tally.wrong[name] += came == "wrong"
                    tally.lost[name] += came == "lost"
                    if came != "right":
                        tally.first_wrong.setdefault(name, f"{number}: {fault} ({path.name}: {str(rows[0])[:200]})")
    _CURRENT.pop()
    return tally


def render_tally(tally: SampleTally) -> str:
    """Lay out what came of every kind."""
    lines = []
    for name, item in KINDS.items():
        mark = "importable" if item.is_importable else "hostile"
        lines.append(
            f"  {mark:10} accepted {tally.accepted[name]:5,}  refused {tally.refused[name]:5,}  "
            f"wrong {tally.wrong[name]:3,}  lost {tally.lost[name]:3,}  {name}"
        )
    return "\n".join(lines)
