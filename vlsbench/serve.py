"""Serve the leaderboard on this machine: find the pages, make the app, wait.

The pages live in `leaderboard/`, which a wheel carries as `vlsbench._leaderboard`. Gradio and plotly are imported
only here and there, when the board is served.
"""

from __future__ import annotations

import importlib
import importlib.util
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from vlsbench.errors import UsageError
from vlsbench.submission.store import default_store

__all__ = ["build", "serve"]

_CHECKOUT = Path(__file__).parents[1] / "leaderboard"


def build(store: Path | None = None) -> tuple[Any, dict[str, Any]]:
    """Make the leaderboard's app.

    Args:
        store: The local store; the default one where it is None.

    Returns:
        The `gradio.Blocks`, and the keywords its `launch()` needs.

    Raises:
        UsageError: If gradio or plotly is not installed.
        VLSBenchError: If the store cannot be read.
    """
    missing = [name for name in ("gradio", "plotly") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the leaderboard needs {' and '.join(missing)}: pip install 'vlsbench[leaderboard]'")
    pages = _pages()
    return pages.build_app(default_store() if store is None else store), pages.launch_options()


def _pages() -> ModuleType:
    """Import the pages: those of the wheel, else those of the checkout this file lies in."""
    if importlib.util.find_spec("vlsbench._leaderboard") is not None:
        return importlib.import_module("vlsbench._leaderboard.pages")
    if not (_CHECKOUT / "pages.py").is_file():
        raise UsageError(
            f"{_CHECKOUT}: the leaderboard's pages are not there; was vlsbench installed from a wheel of ours?"
        )
    # By path: `python leaderboard/app.py` has that folder on the path, not the one above it, and another package on
    # the path may be called leaderboard too.
    name = "vlsbench._leaderboard"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, _CHECKOUT / "__init__.py", submodule_search_locations=[str(_CHECKOUT)]
        )
        if spec is None or spec.loader is None:
            raise UsageError(f"{_CHECKOUT}: cannot be imported; is __init__.py there?")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{name}.pages")


def serve(store: Path | None, *, port: int, host: str = "127.0.0.1") -> None:
    """Serve the leaderboard until the process is interrupted; print the address once it answers.

    Raises:
        UsageError: If gradio is not installed, or the address cannot be bound (port taken, no such host).
        VLSBenchError: If the store cannot be read.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"{host}:{port} cannot be served ({error.strerror}); end what runs there, or choose another --port."
            ) from None
    app, options = build(store)
    app.launch(server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, **options)
    print(f"The leaderboard is at http://{host}:{port} (stop it with Ctrl-C).", flush=True)
    app.block_thread()
