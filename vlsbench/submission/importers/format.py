"""What a format is: a name, a few words for a page, how it is known and how it is read.

Every module of a format ends in one `FORMAT`; `registry` lists them. Nobody else knows what a format's file looks like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vlsbench.submission.importers.rows import Parsed
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Glimpse, Sniffed

__all__ = ["Format"]


class Format(NamedTuple):
    """Files of one tool."""

    name: str
    """As `--from` takes it."""
    says: str
    """What it is to people, for the page that takes files: `lmms-eval samples`."""
    looks_like: Callable[[Glimpse], bool]
    """Whether a file is of this format, by its content; never by its name alone."""
    read: Callable[[Source, Sniffed, Problems], Parsed]
    """Read a file; what is wrong with single rows becomes a problem.

    Raises:
        SubmissionError: If the file as a whole cannot be used.
    """
    needs: str | None = None
    """A module of an extra, without which no such file can be read."""
