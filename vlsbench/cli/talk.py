"""What commands say: in colour where a terminal shows it, plain everywhere else.

Colour only repeats what a word says already. `NO_COLOR` (no-color.org) and `TERM=dumb` turn it off.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Final, Literal, TextIO

import typer

from vlsbench.errors import visible

__all__ = ["Tone", "clear_stage", "say", "show", "show_stage", "stoppable", "tint"]

Tone = Literal["good", "warning", "error"]

_CODES: Final[dict[Tone, str]] = {"good": "32", "warning": "33", "error": "31"}
"""Green, yellow and red of the terminal's own palette, which its owner made readable."""

_WORDS: Final[dict[Tone, tuple[str, ...]]] = {
    "good": ("pass", "good", "published", "received", "canaries passed"),
    "warning": ("warning", "note", "waiting", "held", "stopped", "canaries incomplete"),
    "error": ("error", "problem", "not accepted", "not imported", "failed", "rejected", "canaries failed"),
}
"""What begins a line and says how it went."""

_TONES: Final = {word: tone for tone, words in _WORDS.items() for word in words}

_FIRST_WORD: Final = re.compile(rf"^(?:{'|'.join(_TONES)})\b", re.MULTILINE)


def tint(text: str, tone: Tone, stream: TextIO) -> str:
    """Return a text as `stream` shows it: in the colour of `tone` on a terminal, else as it is."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_CODES[tone]}m{text}\x1b[0m"


def show(text: str, stream: TextIO | None = None, *, end: str = "\n") -> None:
    """Print lines, each with its first word in colour where that says how it went; to stdout where nothing is named."""
    stream = stream or sys.stdout
    shown = _FIRST_WORD.sub(lambda word: tint(word[0], _TONES[word[0]], stream), text)
    print(shown, file=stream, end=end, flush=True)


def say(sentence: str, tone: Tone | None = None) -> None:
    """Say a sentence on stderr."""
    print(sentence if tone is None else tint(sentence, tone, sys.stderr), file=sys.stderr)


def show_stage(stage: str) -> None:
    """Say on a terminal what is done now, in place of what was said so before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{visible(stage)} …", end="", file=sys.stderr, flush=True)


def clear_stage() -> None:
    """Take away what `show_stage` said."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def stoppable(what_is_kept: str) -> Iterator[None]:
    """Let Ctrl-C stop a run in order: say what is kept (`finished answers are`), and exit 130."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped; {what_is_kept} kept, and the same command goes on from there.", "warning")
        raise typer.Exit(130) from None
