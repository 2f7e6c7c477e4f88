"""Trivial cues: rules of one glance that tell a label, chosen on the training folds and tried on the others.

A cue that does nearly as well as the text model says what the model learnt. Each asks one question of a text (does it
end in "?", is it longer than so many words, does it hold this word) and answers with the class that is most frequent on
either side; two look up the last sign or the first word in a table. Pure: no files, no network, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from vlsbench.leakage.estimates import share_measure
from vlsbench.leakage.features import last_sign
from vlsbench.leakage.groups import words_of
from vlsbench.leakage.predictability import Folds, Task
from vlsbench.leakage.records import Cue

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = ["CueFeatures", "find_cues", "share_of_errors"]

Kind = Literal["last sign", "first word", "length", "one word"]

_MIN_TEXTS: Final = 3
"""Texts in which a word must stand to be tried as a cue."""
_MAX_VALUES: Final = 5_000
_MAX_LENGTH: Final = 60
"""Lengths tried as thresholds go up to so many words."""


class CueFeatures:
    """What a glance sees of every text of a set."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Read the texts once; every target uses the same."""
        import numpy as np

        words = [words_of(text) for text in texts]
        self._tables: dict[Kind, tuple[list[str], Any]] = {
            "last sign": _numbered([last_sign(text) for text in texts]),
            "first word": _numbered([text[0] if text else "nothing" for text in words]),
        }
        lengths = np.array([len(text) for text in words])
        thresholds = np.unique(np.minimum(lengths, _MAX_LENGTH))[1:]
        self._glances: dict[Kind, tuple[list[str], Any]] = {
            "last sign": _one_hot(self._tables["last sign"], "final {}"),
            "first word": _one_hot(self._tables["first word"], 'first word "{}"'),
            "length": ([f"{t} words or more" for t in thresholds], _at_least(lengths, thresholds)),
            "one word": _word_presence(words),
        }

    def glances(self) -> list[tuple[Kind, list[str], Any]]:
        """Return kind, names and a matrix texts x names of yes and no, CSC."""
        return [(kind, names, matrix) for kind, (names, matrix) in self._glances.items() if names]

    def tables(self) -> list[tuple[Kind, list[str], Ints]]:
        """Return kind, values and the value's number per text."""
        return [(kind, values, numbers) for kind, (values, numbers) in self._tables.items()]


def _numbered(values: Sequence[str]) -> tuple[list[str], Any]:
    import numpy as np

    names, numbers = np.unique(np.array(values), return_inverse=True)
    return names.tolist(), numbers.astype(np.int64)


def _one_hot(table: tuple[list[str], Any], name: str) -> tuple[list[str], Any]:
    import numpy as np
    from scipy import sparse

    values, numbers = table
    counts = np.bincount(numbers, minlength=len(values))
    kept = np.flatnonzero((counts >= _MIN_TEXTS) & (counts < len(numbers)))
    kept = kept[np.argsort(-counts[kept], kind="stable")][:_MAX_VALUES]
    full = sparse.csc_matrix(
        (np.ones(len(numbers)), (np.arange(len(numbers)), numbers)), shape=(len(numbers), len(values))
    )
    return [name.format(values[k]) for k in kept], full[:, kept]


def _at_least(lengths: Any, thresholds: Any) -> Any:
    from scipy import sparse

    return sparse.csc_matrix((lengths[:, None] >= thresholds).astype(float))


def _word_presence(words: Sequence[Sequence[str]]) -> tuple[list[str], Any]:
    import numpy as np
    from scipy import sparse

    frequency = Counter(word for text in words for word in set(text))
    kept = [word for word, n in frequency.most_common(_MAX_VALUES) if _MIN_TEXTS <= n < len(words)]
    number = {word: k for k, word in enumerate(kept)}
    rows, columns = [], []
    for row, text in enumerate(words):
        for word in set(text):
            if word in number:
                rows.append(row)
                columns.append(number[word])
    matrix = sparse.csc_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(words), len(kept)))
    return [f'the word "{word}"' for word in kept], matrix


def find_cues(task: Task, folds: Folds, features: CueFeatures, categories: Sequence[str | None] = ()) -> list[Cue]:
    """Return the best cue of every kind, best first.

    Args:
        categories: Of every item of the set, None where it has none; empty where the set has none.
    """
    import numpy as np
    from scipy import sparse

    n_classes = len(task.classes)
    truth = sparse.csr_matrix((np.ones(len(task.y)), (np.arange(len(task.y)), task.y)), shape=(len(task.y), n_classes))
    parts = _parts(task, categories)
    found = []
    for kind, names, matrix in features.glances():
        part = matrix[task.rows].tocsr()
        is_right = np.zeros(len(task.y), dtype=bool)
        chosen: Counter[str] = Counter()
        for train, test in folds.pairs:
            of_class = np.asarray(truth[train].sum(axis=0)).ravel()
            present = np.asarray((part[train].T @ truth[train]).todense())
            best = _best_split(present, of_class)
            chosen[names[best]] += 1
            is_there = np.asarray(part[test][:, [best]].todense()).ravel() > 0
            yes, no = int(present[best].argmax()), int((of_class - present[best]).argmax())
            is_right[test] = np.where(is_there, yes, no) == task.y[test]
        name, n_folds = chosen.most_common(1)[0]
        if n_folds < len(folds.pairs):
            name += f" (in {n_folds} of {len(folds.pairs)} folds)"
        found.append(_cue(name, kind, is_right, task, parts))
    for kind, values, numbers in features.tables():
        if len(values) < 3:  # a table of two is the cue of one value
            continue
        is_right = np.zeros(len(task.y), dtype=bool)
        for train, test in folds.pairs:
            counts = np.zeros((len(values), n_classes))
            np.add.at(counts, (numbers[task.rows[train]], task.y[train]), 1)
            overall = counts.sum(axis=0)
            told = np.where(counts.sum(axis=1) >= 2, counts.argmax(axis=1), overall.argmax())
            is_right[test] = told[numbers[task.rows[test]]] == task.y[test]
        found.append(_cue(f"{kind}, whichever it is", kind, is_right, task, parts))
    return sorted(found, key=share_of_errors, reverse=True)


def _best_split(present: Any, of_class: Any) -> int:
    """Return the glance that is right most often; where several are, the one that tells most bits."""
    import numpy as np

    absent = of_class - present
    right = present.max(axis=1) + absent.max(axis=1)
    ties = np.flatnonzero(right >= right.max() - 1e-9)
    if len(ties) == 1:
        return int(ties[0])
    return int(ties[np.argmin(_entropy(present[ties]) + _entropy(absent[ties]))])


def _entropy(counts: Any) -> Any:
    """Return n times the entropy of every row of counts, nats."""
    from scipy.special import xlogy

    return xlogy(counts.sum(axis=1), counts.sum(axis=1)) - xlogy(counts, counts).sum(axis=1)


def _parts(task: Task, categories: Sequence[str | None]) -> dict[str, Ints]:
    """Return the task's rows in each category; empty where there are fewer than two."""
    import numpy as np

    category = np.array([(categories[n] or "") if categories else "" for n in task.rows])
    parts = {str(name): np.flatnonzero(category == name) for name in np.unique(category) if name}
    return parts if len(parts) > 1 else {}


def _cue(name: str, kind: Kind, is_right: Any, task: Task, parts: Mapping[str, Ints]) -> Cue:
    return Cue(
        name=name,
        target=task.target,
        accuracy=share_measure(is_right, task.groups),
        majority=task.majority,
        kind=kind,
        by_category={name: share_measure(is_right[part], task.groups[part]) for name, part in parts.items()},
    )


def share_of_errors(cue: Cue) -> float:
    """Return how much of the majority's errors a cue takes away: 1 all, 0 none."""
    return (cue.accuracy.value - cue.majority) / (1 - cue.majority)
