"""Confidence sets of ranks, worked out once for the same answers: a board is built again whenever a file changes.

Nothing is believed for longer than its answers are the same: the key is a digest of all that goes in. In memory only,
because 500 rows take half a second and a command looks at a list once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from vlsbench.metrics.ranks import Ints, Outcomes, RankSet, RankSets

__all__ = ["known_place_sets", "known_rank_sets"]

_MAX_KNOWN: Final = 512
"""Lists of the last builds: 26 scopes of some lists each."""

_known: OrderedDict[bytes, object] = OrderedDict()
_lock: Final = Lock()

_Found = TypeVar("_Found")


def known_rank_sets(table: Outcomes, images: Ints) -> RankSets:
    """Return what `vlsbench.metrics.ranks.rank_sets` does."""
    from vlsbench.metrics.ranks import rank_sets

    return _once(lambda: rank_sets(table, images), b"ranks", table, images)


def known_place_sets(rows: Outcomes, table: Outcomes, images: Ints) -> list[RankSet]:
    """Return what `vlsbench.metrics.ranks.place_sets` does."""
    from vlsbench.metrics.ranks import place_sets

    return _once(lambda: place_sets(rows, table, images), b"places", rows, table, images)


def _once(make: Callable[[], _Found], what: bytes, *arrays: Outcomes | Ints) -> _Found:
    digest = hashlib.blake2b(what, digest_size=16)
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(array.tobytes())
    key = digest.digest()
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]  # type: ignore[return-value]  # the key says of which function it is
    found = make()
    with _lock:
        _known[key] = found
        while len(_known) > _MAX_KNOWN:
            _known.popitem(last=False)
    return found
