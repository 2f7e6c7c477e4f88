"""The command `inspect`, imported once: `python forked_inspect.py`. Each call runs in a fork of its own.

Inspect needs four seconds of CPU to import and less than one to do what a test asks. Reads calls as lines of JSON
({"arguments", "cwd", "environment", "stdout", "stderr"}; the last two are files) and writes the exit status of each.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any

LATE = (
    "inspect_ai._control.server",
    "inspect_ai.agent._acp.server",
    "inspect_ai.log",
    "inspect_ai.model._providers.openai_compatible",
    "openai",
    "pyarrow.parquet",
)
"""What a call would import on its way."""


def become(call: dict[str, Any]) -> None:
    """Be the process of one call."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, place in enumerate((os.devnull, call["stdout"], call["stderr"])):
        os.dup2(os.open(place, flags if number else os.O_RDONLY), number)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = ["inspect", *call["arguments"]]


def serve() -> None:
    """Fork for every line; a fork ends as the command ends."""
    from inspect_ai._cli.main import main

    for name in LATE:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork would lose these threads"
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            main()
            return
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    serve()
