"""The addresses of pages that other pages lead to.

Rule of the room: an address is a query of ours, relative to the board, escaped for an address and not yet for HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from vlsbench.board.lists import OVERALL, BoardList

from .choosers import list_key

__all__ = ["compare_address", "model_address", "samples_address"]

_SEPARATOR = "~"
"""Between several values, as `page` writes them."""


def model_address(submission: str, item: BoardList | None = None) -> str:
    """Return the address of a model's page: under the judge of a list, or under the first that there is."""
    query = {"model": submission}
    if item is not None:
        query |= {"list": list_key(item)}
    return f"?{urlencode(query)}"


def compare_address(item: BoardList, submissions: Sequence[str]) -> str:
    """Return the address of a comparison of submissions of a list."""
    return f"?{urlencode({'tab': 'compare', **_place(item), 'models': _SEPARATOR.join(submissions)})}"


def samples_address(item: BoardList, submission: str, **choices: str) -> str:
    """Return the address of a submission's samples.

    Args:
        item: The list; its scope is the category.
        submission: Of the list.
        choices: By their names in the address, such as `verdict` and `sub`.
    """
    return f"?{urlencode({'tab': 'samples', **_place(item), 'submission': submission, **choices})}"


def _place(item: BoardList) -> dict[str, str]:
    return {"list": list_key(item)} | ({} if item.scope == OVERALL else {"category": item.scope})
