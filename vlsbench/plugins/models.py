"""No models: with `LMMS_EVAL_PLUGINS=vlsbench.plugins`, lmms-eval 0.7.3 imports this name and reads one table of it.

lmms_eval/models/__init__.py of the 0.7.3 wheel, `_merge_legacy_plugin_models`; without the module it does not start.
"""

from __future__ import annotations

from typing import Final

__all__ = ["AVAILABLE_MODELS"]

AVAILABLE_MODELS: Final[dict[str, str]] = {}
