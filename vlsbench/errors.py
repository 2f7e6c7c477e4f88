"""What can go wrong, as one tree.

    VLSBenchError            everything this package raises on purpose; the CLI prints it and exits 1
    ├── DataError            a dataset is absent, incomplete or not what it says it is
    ├── SubmissionError      a submission cannot be used as it is
    ├── ModelError           a model cannot be set up or asked, or its answers do not belong here
    ├── JudgeError           a judge cannot be set up, or its files do not fit together
    ├── HubError             the Hub refuses, is not reached, or does not hold what was named
    └── UsageError           the call itself is wrong; the CLI exits 2

Every message says where, the rule, what was found and what to do. A check of a submission never raises for bad
input: it returns a report (`vlsbench.submission.check`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = [
    "DataError",
    "HubError",
    "JudgeError",
    "ModelError",
    "SubmissionError",
    "UsageError",
    "VLSBenchError",
    "amount",
    "bounded",
    "masked",
    "numbered",
    "plural",
    "printable",
    "visible",
]


class VLSBenchError(Exception):
    """Base of every error raised on purpose.

    As text it is `visible`: messages name files and values of strangers, and are printed, stored and published.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class DataError(VLSBenchError):
    """A dataset is absent, incomplete or not what it says it is."""


class SubmissionError(VLSBenchError):
    """A submission, or a file beside it, cannot be used as it is."""


class ModelError(VLSBenchError):
    """A model cannot be set up or asked, or a folder holds answers that are not its own."""


class JudgeError(VLSBenchError):
    """A judge cannot be set up, or its files do not fit together."""


class HubError(VLSBenchError):
    """The Hub refuses, is not reached, or does not hold what was named."""


class UsageError(VLSBenchError):
    """The call itself is wrong (a flag, a name that does not exist)."""


def visible(text: str) -> str:
    r"""Write what would act on a terminal, or cannot be written as UTF-8, as an escape; line breaks stay.

    >>> visible("a\x1b[2J\nb\udcff")
    'a\\x1b[2J\nb\\udcff'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def printable(text: str) -> str:
    r"""Write a stranger's text on one line, without signs that move a terminal's cursor.

    >>> printable("a\n b\x1b[2J")
    'a b\\x1b[2J'
    """
    return visible(" ".join(text.split()))


def masked(text: str, *, keep: Callable[[str], bool] = lambda sign: False) -> str:
    r"""Write U+FFFD for what would act instead of being seen: for pages and cards, where an escape reads as text.

    Args:
        keep: Signs that stay beside the printable ones.

    >>> masked("a\x1b[2J\nb")
    'a\ufffd[2J\ufffdb'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or keep(sign) else "\N{REPLACEMENT CHARACTER}" for sign in text)


def plural(n: int, one: str, many: str | None = None) -> str:
    """Choose the word that goes with a number: a noun, whose plural ends in s unless told, or a verb.

    >>> plural(1, "row"), plural(0, "row"), plural(2, "copy", "copies"), plural(1, "was", "were")
    ('row', 'rows', 'copies', 'was')
    """
    return one if n == 1 else f"{one}s" if many is None else many


def amount(n: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun, and whatever else goes with it.

    >>> amount(1, "row"), amount(2_241, "row"), amount(1, "image is", "images are")
    ('1 row', '2,241 rows', '1 image is')
    """
    return f"{n:,} {plural(n, one, many)}"


def numbered(items: list[str], *, limit: int = 20) -> str:
    """Join up to `limit` items with commas and say how many were left out.

    >>> numbered(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    shown = ", ".join(items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown


def bounded(problems: Sequence[str], *, limit: int = 20) -> str:
    """Join problems into one line of at most `limit` of them, and count the rest.

    >>> bounded(["a is absent", "b is empty", "c is late"], limit=2)
    '3 problems: a is absent; b is empty; and 1 more'
    """
    if len(problems) == 1:
        return problems[0]
    shown = "; ".join(problems[:limit])
    rest = f"; and {len(problems) - limit} more" if len(problems) > limit else ""
    return f"{len(problems)} problems: {shown}{rest}"
