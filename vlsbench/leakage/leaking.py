"""The items whose text gives most away, with the words that carry it.

A word's weight is what the held-out log-odds of the right class lose when the word is taken out of the text
(occlusion), so it is what the model used, whatever features the word is in. No files, no network, no clock.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from vlsbench.leakage.features import TextFeatures
from vlsbench.leakage.groups import words_of
from vlsbench.leakage.items import AuditSet
from vlsbench.leakage.predictability import Fit
from vlsbench.leakage.records import LeakingItem, WordShare

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]

__all__ = ["leaking_items"]

_MAX_WORDS: Final = 60
"""Distinct words of a text that are tried; longer texts are long prompts, of which the first words are tried."""
_SHOWN_WORDS: Final = 5
_LEAST_WEIGHT: Final = 0.05


def leaking_items(
    fit: Fit, audited: AuditSet, features: TextFeatures, is_pointing: Bools | None, n: int
) -> list[LeakingItem]:
    """Return the `n` items of highest PVI whose label the model guesses right, highest first.

    Args:
        is_pointing: Of every item of the set; None where the rule failed its control.
    """
    import numpy as np

    task, pvi = fit.task, fit.pvi
    is_right = fit.log_probabilities.argmax(axis=1) == task.y
    order = [int(row) for row in np.argsort(-pvi, kind="stable") if is_right[row] and pvi[row] > 0][:n]
    found = []
    for row in order:
        item = audited.items[task.rows[row]]
        model = fit.models[fit.folds[row]]
        words = () if model is None else _weights(item.text, int(task.y[row]), model, features)
        found.append(
            LeakingItem(
                id=item.id,
                target=task.target,
                label=task.classes[task.y[row]],
                pvi=float(pvi[row]),
                points_at_image=None if is_pointing is None else bool(is_pointing[task.rows[row]]),
                words=words,
            )
        )
    return found


def _weights(text: str, label: int, model: Any, features: TextFeatures) -> tuple[WordShare, ...]:
    words = list(dict.fromkeys(words_of(text)))[:_MAX_WORDS]
    without = [
        re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", text.replace("’", "'"), flags=re.IGNORECASE) for word in words
    ]
    odds = _log_odds(features.of([text, *without]), label, model)
    shares = [(float(odds[0] - odds[k]), word) for k, word in enumerate(words, start=1)]
    shares.sort(key=lambda share: (-share[0], share[1]))
    return tuple(WordShare(word=word, weight=round(w, 3)) for w, word in shares[:_SHOWN_WORDS] if w >= _LEAST_WEIGHT)


def _log_odds(design: Any, label: int, model: Any) -> Any:
    import numpy as np

    told = model.predict_log_proba(design)
    seen = model.classes_.tolist()
    if label not in seen:
        return np.zeros(design.shape[0])
    own = told[:, seen.index(label)]
    return own - np.log(np.maximum(1 - np.exp(own), 1e-12))
