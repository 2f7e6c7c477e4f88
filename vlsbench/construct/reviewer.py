"""One person's reviews of one run: what is asked next, what they said, what is left. The page is `review_page`.

Rule of the room: what is said is on disk before the next pair is shown; nothing of other people is shown.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from types import TracebackType
from typing import Final, NamedTuple, Self

from vlsbench.construct.pipeline import Construction
from vlsbench.construct.review import NAME, Review, open_items, pair_digest, read_reviews, reviews_path
from vlsbench.dataset.pictures import Picture, mime_of, open_picture, plain_picture
from vlsbench.errors import DataError, SubmissionError, UsageError
from vlsbench.files import append_lines, exclusive

__all__ = ["Reviewer", "ShownPair"]

_HINT_SIDE: Final = 16
"""Pixels: colours and the place of large things can be told, and nothing of what they are."""


class ShownPair(NamedTuple):
    """A pair as a person sees it: nothing of where it came from, nor of what others said."""

    item: str
    text: str


class Reviewer:
    """Somebody who reviews; one process at a time a name.

    Args:
        run: Whose accepted pairs are reviewed.
        name: As `NAME` allows.

    Raises:
        UsageError: If the name cannot be one.
        DataError: If the name is in use, or there is nothing to review.
    """

    def __init__(self, run: Construction, name: str) -> None:
        if not re.fullmatch(NAME, name):
            raise UsageError(
                f"--reviewer has letters, digits, spaces and '_.@+-', at most 61, and begins with a letter or a digit; "
                f"found {name!r}."
            )
        self.name = name
        self.path = reviews_path(run, name)
        self._run = run
        run.replay_turns()
        self._accepted = run.accepted()
        if not self._accepted:
            raise DataError(f"{run.plan.out}: no pair came through yet, so there is nothing to review.")
        alike = {r.reviewer for r in read_reviews(run) if r.reviewer.casefold() == name.casefold()} - {name}
        if alike:
            raise DataError(
                f"{run.plan.out}: {min(alike)} has reviewed here, and --reviewer {name} is the same name in other "
                f"letters. Give {min(alike)} to go on, or another name."
            )
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive(self.path))
            except SubmissionError:
                raise DataError(
                    f"{self.path}: somebody is reviewing as {name} now, and a name is one person's. End that page, or "
                    "give another --reviewer."
                ) from None
            self._stack = stack.pop_all()
        self._later: list[str] = []

    def _open(self) -> list[str]:
        items = open_items(self._run, self._accepted, read_reviews(self._run), self.name)
        return sorted(items, key=lambda item: self._later.index(item) if item in self._later else -1)

    @property
    def n_done(self) -> int:
        """Pairs that this person reviewed, as they are now."""
        said = [review for review in read_reviews(self._run) if review.reviewer == self.name]
        return sum(r.item in self._accepted and r.pair_sha256 == pair_digest(self._accepted[r.item]) for r in said)

    @property
    def n_left(self) -> int:
        """Pairs that are to be asked; more may come where others disagree."""
        return len(self._open())

    def current(self) -> ShownPair | None:
        """Return the next pair, or None where there is none now."""
        item = next(iter(self._open()), None)
        return None if item is None else ShownPair(item, self._accepted[item].rewritten.query or "")

    def put_off(self, item: str) -> None:
        """Ask a pair after all others; forgotten when the page ends."""
        self._later = [*(one for one in self._later if one != item), item]

    def save(self, item: str, *, text_harmless: bool, pair_fits: bool) -> bool:
        """Put what the person said on disk.

        Returns:
            False where nothing was written: it was said before (a key pressed twice, a second tab).
        """
        said = read_reviews(self._run)
        digest = pair_digest(self._accepted[item])
        before = {review.reviewer for review in said if (review.item, review.pair_sha256) == (item, digest)}
        if self.name in before:
            return False
        review = Review(
            item=item,
            reviewer=self.name,
            pair_sha256=digest,
            text_harmless=text_harmless,
            pair_fits=pair_fits,
            n_before=len(before),
        )
        append_lines(self.path, [review.model_dump_json()])
        return True

    def picture(self, item: str) -> Picture:
        """Read the image of a pair.

        Raises:
            DataError: If the file is broken.
        """
        data = (self._run.plan.out / str(self._accepted[item].image.image)).read_bytes()
        return plain_picture(Picture(data, mime_of(data) or ""))

    def hint(self, item: str) -> tuple[Picture, tuple[int, int]]:
        """Return an image of a few pixels that shows nothing, and the size of the real one (width, height).

        Raises:
            DataError: If the file is broken.
        """
        from io import BytesIO

        from PIL import Image

        image = open_picture(self.picture(item))
        size = image.size
        small = image.convert("RGB").resize((_HINT_SIDE, _HINT_SIDE), Image.Resampling.BOX)
        buffer = BytesIO()
        small.save(buffer, "PNG")
        return Picture(buffer.getvalue(), "image/png"), size

    def close(self) -> None:
        """Let another process review under this name."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
