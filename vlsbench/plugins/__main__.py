"""`lmms-eval --include_path "$(python -m vlsbench.plugins)"`."""

from __future__ import annotations

from vlsbench.plugins import tasks_folder

if __name__ == "__main__":
    print(tasks_folder())
