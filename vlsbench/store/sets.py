"""The constructed sets that a store knows: `datasets/<name>/index.csv`, without a text and without an image.

A stranger could send answers to a set that he made to be answered well, under the name of another. So a store takes
answers to a set only where somebody who may write there has added the set, and only to that version of it. Every
submission carries its own copy of the index, which its card pins (`vlsbench.submission.check`): who counts it needs
nothing of this folder.
"""

from __future__ import annotations

from vlsbench.dataset.index import INDEX_FILE, Index, read_set_index, render_set_index
from vlsbench.errors import DataError, SubmissionError
from vlsbench.store.local import Store, StoreAbsentError

__all__ = ["DATASETS_FOLDER", "add_set", "find_set", "set_path", "why_not_known"]

DATASETS_FOLDER = "datasets"


def set_path(name: str) -> str:
    """Return where the index of a set lies in a store.

    >>> set_path("kitchen")
    'datasets/kitchen/index.csv'
    """
    return f"{DATASETS_FOLDER}/{name}/{INDEX_FILE}"


def find_set(store: Store, name: str) -> Index | None:
    """Return the index of a set that a store knows; None for a set that it does not.

    Raises:
        SubmissionError: If the index is broken.
    """
    try:
        path = store.sync(f"{DATASETS_FOLDER}/{name}") / set_path(name)
    except StoreAbsentError:
        return None
    if not path.is_file():
        return None
    try:
        return read_set_index(path, name)
    except DataError as error:
        raise SubmissionError(f"{store.location}/{set_path(name)}: {error}. Restore it.") from None


def add_set(store: Store, index: Index) -> bool:
    """Let a store know a constructed set; False where it does already.

    Raises:
        SubmissionError: If it knows another version of it.
    """
    known = find_set(store, index.name)
    if known is not None:
        if known.revision != index.revision:
            raise SubmissionError(_other_version(store, known, index))
        return False
    text = render_set_index(index.whole.rows)
    store.write({set_path(index.name): text.encode()}, f"Add the set {index.name}")
    return True


def why_not_known(store: Store, index: Index) -> str | None:
    """Say why a store takes no answers to a dataset, in one sentence; None where it does."""
    if index.kind != "constructed":
        return None
    known = find_set(store, index.name)
    if known is None:
        return (
            f"{store.location} does not know the {index.title}; who may write there adds it with `vlsbench data add "
            f"DIR --store {store.location}`, DIR being the folder of the set."
        )
    return None if known.revision == index.revision else _other_version(store, known, index)


def _other_version(store: Store, known: Index, index: Index) -> str:
    return (
        f"{store.location} knows another version of the {index.title}: its {INDEX_FILE} has SHA-256 "
        f"{known.revision[:12]}… instead of {index.revision[:12]}…. A set that is changed is another set: give it "
        "another name."
    )
