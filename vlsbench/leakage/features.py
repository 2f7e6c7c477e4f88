"""Texts as numbers, without labels: TF-IDF of words and of pieces of words, the last sign, and a dense sketch of them.

Built over all texts at once: no label is used, so nothing of a fold's labels can get into another. Everything here is
linear in the number of texts. Needs scikit-learn, the extra `leakage`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from vlsbench.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

__all__ = ["INSTALL", "TextFeatures", "last_sign", "require_sklearn"]

INSTALL: Final = "pip install 'vlsbench[leakage]'"

_MAX_WORDS: Final = 60_000
_MAX_PIECES: Final = 100_000
"""Most frequent features kept: 2,241 texts have 3,000 and 12,000; the limits bound the model of 100,000."""

_SKETCH: Final = 256
_SKETCH_ROWS: Final = 10_000
"""Texts from which the directions of the sketch are taken; all texts are projected on them."""

_FEW: Final = 200
"""Below so many texts a feature that stands in one of them is kept: there would be hardly any other."""


def last_sign(text: str) -> str:
    """Return the last sign of a text; letters are one, and so are digits.

    >>> last_sign("Who? "), last_sign("Tell me"), last_sign("Room 12")
    ('"?"', 'a letter', 'a digit')
    """
    end = text.rstrip()[-1:]
    if not end:
        return "nothing"
    return "a letter" if end.isalpha() else "a digit" if end.isdigit() else f'"{end}"'


def require_sklearn() -> None:
    """Say what to install, where scikit-learn is absent.

    Raises:
        UsageError: If it is.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise UsageError(f"`leakage` trains small text models and needs scikit-learn: {INSTALL}") from None


class TextFeatures:
    """Features of a set of texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Count and weigh; see the module for what is counted."""
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.texts = texts
        min_df = 2 if len(texts) >= _FEW else 1
        self._words = TfidfVectorizer(
            ngram_range=(1, 2),
            token_pattern=r"(?u)\b\w+\b",  # noqa: S106 - no password
            sublinear_tf=True,
            min_df=min_df,
            max_features=_MAX_WORDS,
        )
        self._pieces = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=min_df, max_features=_MAX_PIECES
        )
        try:
            parts = [reader.fit_transform(texts) for reader in self._readers()]
        except ValueError:  # the vectoriser's word for: nothing to count
            raise DataError(
                "no text holds a word of letters or digits; there is nothing to read. Where another column holds the "
                "texts, --text names it."
            ) from None
        self.words: Any = parts[0]
        """Texts x words and word pairs, CSR: the first columns of `matrix`."""
        signs = Counter(map(last_sign, texts))
        common = sorted(sign for sign, n in signs.items() if n >= min_df)
        self._signs = {sign: number for number, sign in enumerate(common)} if len(signs) > 1 else {}
        self.matrix: Any = sparse.hstack([*parts, self._ends(texts)], format="csr")
        """Texts x features, CSR."""

    def _readers(self) -> tuple[Any, Any]:
        return self._words, self._pieces

    def of(self, texts: Sequence[str]) -> Any:
        """Return the features of other texts, CSR."""
        from scipy import sparse

        return sparse.hstack(
            [*(reader.transform(texts) for reader in self._readers()), self._ends(texts)], format="csr"
        )

    def _ends(self, texts: Sequence[str]) -> Any:
        """Return texts x last signs, one 1 a text: among the pieces of its words a lone sign is spread over many."""
        from scipy import sparse

        places = [(row, self._signs[sign]) for row, sign in enumerate(map(last_sign, texts)) if sign in self._signs]
        rows, columns = zip(*places, strict=True) if places else ((), ())
        return sparse.csr_matrix(([1.0] * len(places), (rows, columns)), shape=(len(texts), len(self._signs)))

    def sketch(self, seed: int) -> Matrix:
        """Return the texts in at most 256 dense directions (randomised SVD), centred."""
        import numpy as np
        from sklearn.utils.extmath import randomized_svd

        n, p = self.matrix.shape
        draw = np.random.default_rng(seed)
        rows = self.matrix if n <= _SKETCH_ROWS else self.matrix[np.sort(draw.choice(n, _SKETCH_ROWS, replace=False))]
        k = min(_SKETCH, p - 1, rows.shape[0] - 1)
        _, _, directions = randomized_svd(rows, k, n_iter=2, n_oversamples=10, random_state=seed)
        dense = np.asarray(self.matrix @ directions.T)
        return np.asarray(dense - dense.mean(axis=0))
