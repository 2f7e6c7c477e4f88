"""Answers that we wrote from the taxonomy and the rubric alone, to teach a judge what the rubric means.

The parts are data: `written/<category>.toml` holds what fits one topic (what is asked, the danger, what to do instead,
a denial, a stand-in for help, plain facts), `written/everyday.toml` harmless matters, `written/frames.toml` what fits
every topic, and how the parts are put together in each style under each label. Whoever wrote them had read the label
definitions of `prompts/v1.md` and the sub-categories of `taxonomy.py`, and no row of any labelled set. Nothing in them
instructs anybody to do harm.

A few topics of every category are held back: what a judge makes of them is a measurement.

Pure but for the reading of the parts: `written_answers()` gives the same rows each time.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

__all__ = ["HELD_BACK", "STYLES", "Label", "Topic", "WrittenAnswer", "parts", "topics", "written_answers"]

FOLDER = Path(__file__).with_name("written")

Label: TypeAlias = Literal["refusal", "warning", "unsafe"]

STYLES = (
    "plain",
    "apology",
    "modern",
    "long",
    "denied",
    "curt",
    "quote",
    "contrary",
    "listed",
    "story",
    "asks",
    "disclaimed",
)
"""Every style has frames under every label: none of them gives the label away."""

HELD_BACK = frozenset(
    {
        "A slingshot and passing cars",
        "A fight in the school yard",
        "Unknown stick in the office",
        "A bicycle with a cut lock",
        "Pills at a festival",
        "Ice on a lake",
        "Cleaners in one bucket",
        "Gambling away the rent",
        "Adult pictures at work",
        "A club's door policy",
        "Foreign food at school",
        "A kippah in the tram",
        "Women in the workshop",
        "A colleague's screen",
        "Baking bread",
        "A plot for a thriller",
        "Caring for a cut",
    }
)
"""Topics that no judge is trained on."""

_SLOT = re.compile(r"\{(\w+)(?:\*([0-9]+))?\}")
"""`{name}`, or `{name*3}` for three of them; `{Name}` begins a sentence, `{name_low}` goes on with one."""

Parts: TypeAlias = dict[str, tuple[str, ...]]


class Topic(NamedTuple):
    """What fits one topic."""

    name: str
    sub_category: str | None
    """None: an everyday matter, in which there is nothing to warn of."""
    parts: Parts


class WrittenAnswer(NamedTuple):
    """One answer."""

    text: str
    label: Label
    topic: str
    style: str


def _lines(table: dict[str, str]) -> Parts:
    return {key: tuple(text.strip().split("\n")) for key, text in table.items()}


@cache
def topics() -> tuple[Topic, ...]:
    """Read the topics of all categories, by file and place."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for table in [*tables.get("topic", ()), *tables.get("everyday", ())]:
            name, sub_category = table.pop("name"), table.pop("sub_category", None)
            found.append(Topic(name, sub_category, _lines(table)))
    return tuple(found)


@cache
def _frames() -> dict[str, Parts]:
    tables = tomllib.loads((FOLDER / "frames.toml").read_text(encoding="utf-8"))
    frames = {name: _lines(table) for name, table in tables.items()}
    # A frame is one line of the file; the line breaks of its answer are written \n there.
    return {
        name: {key: tuple(frame.replace(r"\n", "\n") for frame in part) for key, part in table.items()}
        for name, table in frames.items()
    }


def parts(held_back: bool = False) -> frozenset[str]:
    """Return the distinct strings that the answers are put together from."""
    chosen = [topic.parts for topic in topics() if (topic.name in HELD_BACK) == held_back]
    return frozenset(text for table in [*chosen, *_frames().values()] for strings in table.values() for text in strings)


@cache
def _asides(held_back: bool) -> tuple[str, ...]:
    """Return the plain facts of all topics: what a long answer wanders off to."""
    chosen = [topic.parts for topic in topics() if (topic.name in HELD_BACK) == held_back]
    return tuple(text for own in chosen for name in ("fact", "about", "explain", "tips") for text in own.get(name, ()))


class _Filler:
    """Fills the slots of one answer; a part is used once as long as there are others."""

    def __init__(self, topic: Topic, choose: random.Random) -> None:
        self.parts = topic.parts | _frames()["pieces"] | {"aside": _asides(topic.name in HELD_BACK)}
        self.choose = choose
        self.left: dict[str, list[str]] = {}

    def draw(self, slot: str) -> str:
        low = slot.removesuffix("_low")
        name = low[0].lower() + low[1:]
        if not self.left.get(name):
            self.left[name] = self.choose.sample(self.parts[name], len(self.parts[name]))
        text = self.fill(self.left[name].pop())
        if slot[0].isupper():
            return text[0].upper() + text[1:]
        if slot.endswith("_low") and not re.match(r"I\b|[A-Z]{2}", text):
            return text[0].lower() + text[1:]
        return text

    def fill(self, frame: str) -> str:
        return _SLOT.sub(lambda found: " ".join(self.draw(found[1]) for _ in range(int(found[2] or 1))), frame)


LONG_TIMES = {"refusal": 2, "warning": 4, "unsafe": 2}
"""Long answers per other answer: length is what the judge has misread most, and their parts are the most varied."""

EVERYDAY_TIMES = 3
"""Answers to an everyday matter per other answer: there are fewer of these topics, and they have fewer cells."""


@cache
def written_answers(held_back: bool = False, per_cell: int = 2) -> tuple[WrittenAnswer, ...]:
    """Put the answers together, without repetition.

    Args:
        held_back: The topics held back instead of those to train on.
        per_cell: Answers drawn for each topic, label and style.

    Returns:
        Rows by topic, label and style. The same each time.
    """
    rows: dict[tuple[str, Label], WrittenAnswer] = {}
    for topic, label, style in itertools.product(topics(), get_args(Label), STYLES):
        table = label if topic.sub_category else f"everyday_{label}"
        frames = _frames().get(table, {}).get(style, ())
        if (topic.name in HELD_BACK) != held_back or not frames:
            continue
        times = (1 if topic.sub_category else EVERYDAY_TIMES) * (LONG_TIMES[label] if style == "long" else 1)
        choose = random.Random(f"{topic.name}/{label}/{style}")
        for _ in range(per_cell * times):
            text = _Filler(topic, choose).fill(choose.choice(frames))
            rows.setdefault((text, label), WrittenAnswer(text, label, topic.name, style))
    return tuple(rows.values())
