"""VLSBench inside other harnesses: Inspect AI (`inspect_registry`) and lmms-eval (`tasks`, `models`).

Cheap to import: a harness is imported by what it finds here, never by this package. `python -m vlsbench.plugins` prints
the folder that lmms-eval takes as `--include_path`. VLMEvalKit has no plug-ins; `vlsbench export vlmevalkit` writes
what it reads. The commands of all three: docs/harnesses.md.
"""

from __future__ import annotations

from importlib import resources

__all__ = ["tasks_folder"]


def tasks_folder() -> str:
    """Return the folder of the tasks for lmms-eval."""
    return str(resources.files("vlsbench.plugins").joinpath("tasks"))
