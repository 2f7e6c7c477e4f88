"""Processes of their own that need not import again what is dear: forks of one that has imported it.

Gradio and Inspect take three and four seconds of CPU to import, and less than one to do what a test asks. Only packages
of others are imported ahead, so that a process still finds what our own modules forget to import.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_MESSAGE = 1 << 20
"""At least as large as any call; a socket of this kind keeps each in one piece."""

_SECONDS = 180
"""No call takes so long; whoever waits longer waits in vain."""


class Forks:
    """Starts Python as `python -c CODE ARGUMENTS` does, with some modules imported already."""

    def __init__(self, *modules: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_SECONDS)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno()), *modules]
            self._server = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def start(
        self,
        code: str,
        arguments: Sequence[str] = (),
        *,
        cwd: Path,
        environment: Mapping[str, str],
        stdout: int,
        stderr: int,
    ) -> Fork:
        """Start a process; it writes into the two files, which the caller may close."""
        call = {"code": code, "argv": ["-c", *arguments], "cwd": str(cwd), "environment": dict(environment)}
        socket.send_fds(self._socket, [json.dumps(call).encode()], [stdout, stderr])
        return Fork(self, json.loads(self._socket.recv(_MESSAGE)))

    def run(
        self, code: str, arguments: Sequence[str] = (), *, cwd: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a process to its end."""
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            files = {"stdout": stdout, "stderr": stderr}
            numbers = {name: file.fileno() for name, file in files.items()}
            status = self.start(code, arguments, cwd=cwd, environment=environment, **numbers).wait()
            for file in files.values():
                file.seek(0)
            said = {name: file.read().decode() for name, file in files.items()}
        return subprocess.CompletedProcess(list(arguments), status, **said)

    def wait(self, pid: int) -> int:
        """Wait for the end of a process; its exit status, or what ended it as a negative number."""
        self._socket.send(json.dumps({"wait": pid}).encode())
        return int(json.loads(self._socket.recv(_MESSAGE)))

    def close(self) -> None:
        """End the server; forks go on."""
        self._socket.close()
        self._server.wait(20)


class Fork(NamedTuple):
    """One process."""

    forks: Forks
    pid: int

    def wait(self) -> int:
        """Wait for its end."""
        return self.forks.wait(self.pid)

    def terminate(self) -> None:
        """Ask it to end."""
        os.kill(self.pid, signal.SIGTERM)


@contextmanager
def forks_of(*modules: str) -> Iterator[Forks]:
    """Forks of a process that has imported the modules."""
    forks = Forks(*modules)
    try:
        yield forks
    finally:
        forks.close()


# --- The server ------------------------------------------------------------------------------------------------------


def _become(call: dict[str, Any], stdout: int, stderr: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, stdout, stderr)):
        os.dup2(file, number)
        os.close(file)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = call["argv"]
    sys.path[:1] = ["", *filter(None, call["environment"].get("PYTHONPATH", "").split(os.pathsep))]


def _serve(calls: socket.socket) -> None:
    """Fork for every call; a fork goes out of here by its code, and ends as any interpreter does."""
    while True:
        data, files, _, _ = socket.recv_fds(calls, _MESSAGE, 2)
        if not data:
            return
        call = json.loads(data)
        if "wait" in call:
            answer = os.waitstatus_to_exitcode(os.waitpid(call["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                calls.close()
                _become(call, *files)
                exec(compile(call["code"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 (a test's own)
                return
            for file in files:
                os.close(file)
        calls.send(json.dumps(answer).encode())


if __name__ == "__main__":
    for module in sys.argv[2:]:
        importlib.import_module(module)
    assert threading.active_count() == 1, "a fork would lose these threads"
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
