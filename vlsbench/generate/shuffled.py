"""Which other image a text is shown with under `shuffled-image`.

The image of another risky sample of the same config, drawn by a seed and the sample's id, so that it depends on no
other sample, on no order and on no earlier run: `--limit`, a resumed run and a full one show the same. Never the
sample's own, nor its twin's, nor one that looks like a near copy of either (`is_near_copy`).

No model, no network, no clock; pictures are read through the source that will send them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from vlsbench.dataset.index import Index, IndexRow, load_index
from vlsbench.dataset.pictures import PictureSource, open_picture
from vlsbench.errors import DataError
from vlsbench.files import sha256_hex

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image as _Image

    Look = npt.NDArray[np.float64]

__all__ = ["SEED", "choose_pictures", "is_near_copy"]

SEED: Final = 12
"""Of the draw; another one is another condition, so it is no option."""

_SIDE: Final = 12
"""Cells of the grid a picture is brought to before it is compared."""

_ALIKE: Final = 0.75
"""Correlation of two grids of grey from which they are near copies. Of the packaged sample's 82 pictures all are found
when recompressed, scaled, brighter or grey, 98% without a frame of 3%, 83% without one of 6%; of two different ones
0.9% are taken for copies, and then the next picture is drawn."""

_SAME_GREY: Final = 8.0
"""Mean difference of grey, of 255, below which they are too: what is flat has no correlation."""

_DRAWS: Final = 200
"""Draws per sample: where half of all pictures were copies of its own, none would be found once in 10^60 times."""


def choose_pictures(ids: Iterable[int], index: Index, source: PictureSource) -> dict[int, int]:
    """Choose for every sample whose picture is shown in place of its own.

    Args:
        ids: `instruction_id` of the samples, risky or benign.
        index: The config they are of.
        source: Pictures by `instruction_id`; one that cannot be read is not chosen.

    Returns:
        By `instruction_id` that of the sample whose picture is shown.

    Raises:
        DataError: If a sample's own picture cannot be read, or there is no other picture for it.
    """
    looks = _Looks(source)
    everything = load_index(index.name).by_id
    return {number: _choose(everything[number], index, looks) for number in ids}


def is_near_copy(first: _Image.Image, second: _Image.Image) -> bool:
    """Whether two pictures look alike: the same one at another size, recompressed, brighter or slightly cut."""
    return _are_alike(_look(first), _look(second))


class _Looks:
    """What pictures look like, each read once."""

    def __init__(self, source: PictureSource) -> None:
        self._source = source
        self._known: dict[int, Look] = {}

    def of(self, row: IndexRow) -> Look:
        """Return the grid of a sample's picture, or raise DataError."""
        if row.image not in self._known:
            self._known[row.image] = _look(open_picture(self._source.picture(row.instruction_id)))
        return self._known[row.image]

    def of_other(self, row: IndexRow) -> Look | None:
        """Return the same of a picture that one can do without; None where it cannot be read."""
        try:
            return self.of(row)
        except DataError:
            return None


def _choose(row: IndexRow, index: Index, looks: _Looks) -> int:
    own = [row]
    if row.twin_id is not None:
        own.append(load_index(index.name).by_id[row.twin_id])
    shown = [looks.of(row), *(look for other in own[1:] if (look := looks.of_other(other)) is not None)]
    for draw in range(_DRAWS):
        digest = sha256_hex(f"shuffled-image {SEED} {row.instruction_id} {draw}")
        other = index.risky[int(digest, 16) % len(index.risky)]
        if other.image in {one.image for one in own}:
            continue
        look = looks.of_other(other)
        if look is not None and not any(_are_alike(look, one) for one in shown):
            return other.instruction_id
    raise DataError(
        f"instruction_id {row.instruction_id} has no other image to be shown with: of {len(index.risky)} samples none "
        "has a readable image that is no near copy of its own. Leave --condition shuffled-image out, or give a set "
        "with other images."
    )


def _look(image: _Image.Image) -> Look:
    import numpy as np
    from PIL import Image

    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).reshape(-1)


def _are_alike(first: Look, second: Look) -> bool:
    import numpy as np

    if float(np.abs(first - second).mean()) <= _SAME_GREY:
        return True
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return scale > 0 and float(a @ b) >= _ALIKE * scale
