"""VLSBench: the benchmark of multimodal safety whose risk is only visible in the image.

Names are imported when they are first used, so that `import vlsbench` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vlsbench.version import __version__

if TYPE_CHECKING:
    from vlsbench.board.lists import build_board
    from vlsbench.dataset.load import load_dataset
    from vlsbench.submission.check import check as check_submission
    from vlsbench.submission.judging import judge_directory as judge_submission
    from vlsbench.submission.scoring import score_directory as score_submission

__all__ = [
    "__version__",
    "build_board",
    "check_submission",
    "judge_submission",
    "load_dataset",
    "score_submission",
]

_HOME = {
    "build_board": ("vlsbench.board.lists", "build_board"),
    "check_submission": ("vlsbench.submission.check", "check"),
    "judge_submission": ("vlsbench.submission.judging", "judge_directory"),
    "load_dataset": ("vlsbench.dataset.load", "load_dataset"),
    "score_submission": ("vlsbench.submission.scoring", "score_directory"),
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOME:
        raise AttributeError(f"module 'vlsbench' has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
