"""Ctrl-C on long work: one sentence, and the exit code that a shell knows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import typer

__all__ = ["stoppable"]


@contextlib.contextmanager
def stoppable(what_is_kept: str) -> Iterator[None]:
    """Let Ctrl-C stop a run in order: say what is kept (`finished answers are`), and exit 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped; {what_is_kept} kept, and the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None
