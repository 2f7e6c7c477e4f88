"""Serve the leaderboard on this machine: find the pages, make the app, wait.

The pages live in `leaderboard/`, which a wheel carries as `vlsbench._leaderboard`. Gradio and plotly are imported
only here and there, when the board is served.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import logging
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from vlsbench.errors import UsageError, VLSBenchError
from vlsbench.files import StrPath
from vlsbench.hub.store import open_store
from vlsbench.store.desk import Desk
from vlsbench.store.local import HUB_PREFIX, Store, default_store

__all__ = ["ServeOptions", "build", "serve"]

logger = logging.getLogger(__name__)

_CHECKOUT = Path(__file__).parents[1] / "leaderboard"

_PER_DAY_ON_HUB = 5
"""Submissions that one user of the Hub may make within 24 hours."""

_SYNC_SECONDS = 300
"""Between two looks at a store on the Hub; a look at one that has not changed is a single request."""


class ServeOptions(NamedTuple):
    """What a server is told."""

    store: str | None
    """A folder or `hf://datasets/ORG/NAME`; None for the default folder."""
    data: Path | None
    """The release, for the page that shows samples."""
    is_on_hub: bool
    """It runs in a Space: who submits signs in with the Hub."""
    per_day: int | None
    """Submissions of one name within 24 hours; None for any number."""
    sync_seconds: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> ServeOptions:
        """Read the settings of a Space from its environment.

        Raises:
            UsageError: If a number is none.
        """
        is_on_hub = environment.get("SYSTEM") == "spaces" and bool(environment.get("SPACE_ID"))  # as gradio tells
        return cls(
            store=environment.get("VLSBENCH_STORE") or None,
            data=Path(environment["VLSBENCH_DATA"]) if environment.get("VLSBENCH_DATA") else None,
            is_on_hub=is_on_hub,
            per_day=_number(environment, "VLSBENCH_SUBMISSIONS_PER_DAY", _PER_DAY_ON_HUB if is_on_hub else 0) or None,
            sync_seconds=_number(environment, "VLSBENCH_SYNC_SECONDS", _SYNC_SECONDS),
        )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{name}: a whole number, 0 or more; found {text[:40]!r}.")
    return int(text)


def build(store: StrPath | None = None, data: Path | None = None) -> tuple[Any, dict[str, Any]]:
    """Make the leaderboard's app; what is not given is read from the environment (`ServeOptions.read`).

    Args:
        store: A folder, or `hf://datasets/ORG/NAME`, which is read through a mirror and looked at again and again.
        data: The release on disk, for the page that shows samples.

    Returns:
        The `gradio.Blocks`, and the keywords its `launch()` needs.

    Raises:
        UsageError: If gradio or plotly is not installed, or a setting makes no sense.
        VLSBenchError: If the store or the data cannot be read.
    """
    options = ServeOptions.read(os.environ)
    missing = [name for name in ("gradio", "plotly") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the leaderboard needs {' and '.join(missing)}: pip install 'vlsbench[leaderboard]'")
    if "GRADIO_TEMP_DIR" not in os.environ:
        # A folder of our own, gone with the process: gradio's is shared by all its apps of a machine, and belongs to
        # who came first.
        uploads = tempfile.TemporaryDirectory(prefix="vlsbench-uploads-")
        atexit.register(uploads.cleanup)
        os.environ["GRADIO_TEMP_DIR"] = uploads.name
    pages = _pages()
    place = open_store(store or options.store or default_store())
    desk = Desk(place, per_day=options.per_day, needs_sign_in=options.is_on_hub)

    def start(live: Any) -> None:
        if place.location.startswith(HUB_PREFIX):
            _keep_fresh(place, live, options.sync_seconds)

    app = pages.build_app(place.sync(), data=data or options.data, desk=desk, start=start)
    return app, pages.launch_options()


def _keep_fresh(store: Store, live: Any, seconds: float) -> threading.Event:
    """Fetch what is new of a store on the Hub, again and again; where that fails, the board says so and stays.

    Returns:
        What ends it; a server never does.
    """

    def sync_again() -> None:
        while not is_over.wait(max(seconds, 0.1)):
            problem = None
            try:
                store.sync()
            except (VLSBenchError, OSError) as error:
                logger.warning("%s was not fetched: %s", store.location, error)
                problem = f"{store.location} cannot be fetched from the Hub now."
            live.report_sync(problem)

    is_over = threading.Event()
    threading.Thread(target=sync_again, name="vlsbench-sync", daemon=True).start()
    return is_over


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


def serve(store: StrPath | None, *, port: int, host: str = "127.0.0.1", data: Path | None = None) -> None:
    """Serve the leaderboard until the process is interrupted; print the address once it answers.

    Args:
        store: As `build` takes it.
        data: The release on disk, for the page that shows samples.

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
    app, options = build(store, data)
    app.launch(server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, **options)
    print(f"The leaderboard is at http://{host}:{port} (stop it with Ctrl-C).", flush=True)
    app.block_thread()
