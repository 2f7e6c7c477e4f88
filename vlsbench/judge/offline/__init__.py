"""The offline judge: refusal, warning or unsafe from the words of a response, without key, GPU or download.

What it is worth, on what it was measured and when not to use it stands in `CARD.md` beside this file. The judge is
imported when it is first used, so that `agreement_note` alone does not import numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.files import sha256_hex
from vlsbench.judge.offline.card import AgreementRow, agreement_note, agreement_rows, measured_apart

if TYPE_CHECKING:
    from vlsbench.judge.offline.model import OfflineJudge, Prediction

__all__ = [
    "AgreementRow",
    "OfflineJudge",
    "Prediction",
    "agreement_note",
    "agreement_rows",
    "is_judge_known",
    "packaged_weights_sha256",
]


def packaged_weights_sha256() -> str:
    """Digest of the weights in the package: which judge `agreement_note` speaks of by default."""
    return sha256_hex(Path(__file__).with_name("weights.npz").read_bytes())


def is_judge_known(weights_sha256: str) -> bool:
    """Does `agreement_note` speak of these weights: the packaged ones, or earlier ones that were measured apart?"""
    return weights_sha256 == packaged_weights_sha256() or measured_apart(weights_sha256) is not None


def __getattr__(name: str) -> Any:
    """Import the judge on first use."""
    if name not in ("OfflineJudge", "Prediction"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vlsbench.judge.offline import model

    return getattr(model, name)
