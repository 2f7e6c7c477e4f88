"""Serve the leaderboard on this machine: find the pages, make the app, wait.

The pages live in `leaderboard/`, which a wheel carries as `vlsbench._leaderboard`. Gradio and plotly are imported
only here and there, when the board is served.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from vlsbench.errors import UsageError, VLSBenchError
from vlsbench.files import StrPath
from vlsbench.hub.store import open_store
from vlsbench.local_page import import_gradio
from vlsbench.store.desk import Desk
from vlsbench.store.local import HUB_PREFIX, Store, default_store

__all__ = ["ServeOptions", "build", "serve", "serve_space"]

logger = logging.getLogger(__name__)

_CHECKOUT = Path(__file__).parents[1] / "leaderboard"

_PER_DAY_ON_HUB = 5
"""Submissions that one user of the Hub may make within 24 hours."""

_SYNC_SECONDS = 300
"""Between two looks at a store on the Hub; a look at one that has not changed is a single request."""


_SPACE_PROXIES = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    *("fc00::/7", "::1/128"),
)
"""Who connects to a Space: the Hub's own proxy, from within its network. Nobody else reaches a Space's port, and of the
addresses that the proxy forwards the last that is public is the one it saw."""


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
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-For` is believed."""
    own_hosts: tuple[str, ...] = ()
    """Names of the Space, beside the one that a request asks."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> ServeOptions:
        """Read the settings of a Space from its environment.

        Raises:
            UsageError: If a number or an address is none.
        """
        is_on_hub = environment.get("SYSTEM") == "spaces" and bool(environment.get("SPACE_ID"))  # as gradio tells
        return cls(
            store=environment.get("VLSBENCH_STORE") or None,
            data=Path(environment["VLSBENCH_DATA"]) if environment.get("VLSBENCH_DATA") else None,
            is_on_hub=is_on_hub,
            per_day=_number(environment, "VLSBENCH_SUBMISSIONS_PER_DAY", _PER_DAY_ON_HUB if is_on_hub else 0) or None,
            sync_seconds=_number(environment, "VLSBENCH_SYNC_SECONDS", _SYNC_SECONDS),
            trusted_proxies=_networks(
                "VLSBENCH_TRUSTED_PROXIES",
                _listed(environment, "VLSBENCH_TRUSTED_PROXIES") or (_SPACE_PROXIES if is_on_hub else ()),
            ),
            own_hosts=_listed(environment, "SPACE_HOST") if is_on_hub else (),
        )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{name}: a whole number, 0 or more; found {text[:40]!r}.")
    return int(text)


def _listed(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in environment.get(name, "").split(",") if item.strip())


def _networks(name: str, items: Sequence[str]) -> tuple[str, ...]:
    """Read addresses and networks.

    Raises:
        UsageError: If one is neither, or is every address there is: then anybody could say who they are.
    """
    found = []
    for item in items:
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise UsageError(
                f"{name}: an address or a network of proxies, such as 127.0.0.1 or 10.0.0.0/8; found {item[:60]!r}."
            ) from None
        if network.prefixlen == 0:
            raise UsageError(f"{name}: {item!r} is every address; name that of the proxy.")
        found.append(str(network))
    return tuple(found)


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
    pages = _prepare()
    app, _ = _build(pages, ServeOptions.read(os.environ), store, data)
    return app, pages.launch_options()


def _prepare() -> ModuleType:
    """Find the pages, and make a folder for what is uploaded to them.

    It is ours alone, and gone with the process: gradio's own is shared by all its apps of a machine, and belongs to who
    came first.

    Raises:
        UsageError: If gradio or plotly is not installed.
    """
    missing = [name for name in ("gradio", "plotly") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the leaderboard needs {' and '.join(missing)}: pip install 'vlsbench[leaderboard]'")
    uploads = tempfile.TemporaryDirectory(prefix="vlsbench-uploads-", dir=os.environ.get("GRADIO_TEMP_DIR"))
    atexit.register(uploads.cleanup)
    os.environ["GRADIO_TEMP_DIR"] = uploads.name
    import_gradio()
    return _pages()


def _build(pages: ModuleType, options: ServeOptions, store: StrPath | None, data: Path | None) -> tuple[Any, Any]:
    """Make the app and its board."""
    place = open_store(store or options.store or default_store())
    desk = Desk(place, per_day=options.per_day, needs_sign_in=options.is_on_hub)
    boards = []

    def start(live: Any) -> None:
        boards.append(live)
        if place.location.startswith(HUB_PREFIX):
            _keep_fresh(place, live, options.sync_seconds)

    app = pages.build_app(place.sync(), data=data or options.data, desk=desk, start=start)
    return app, boards[0]


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


def serve(
    store: StrPath | None,
    *,
    port: int,
    host: str = "127.0.0.1",
    data: Path | None = None,
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Serve the leaderboard until the process is told to end (SIGINT, SIGTERM); print the address once it answers.

    What was uploaded and what is offered for download goes with it.

    Args:
        store: As `build` takes it.
        port: To listen at; 0 takes a free one.
        host: To listen at.
        data: The release on disk, for the page that shows samples.
        trusted_proxies: Addresses and networks of proxies before it, whose word on who asks is taken. None: those of
            `VLSBENCH_TRUSTED_PROXIES`, in a Space those of the Hub.

    Raises:
        UsageError: If gradio is not installed, or the address cannot be bound (port taken, no such host).
        VLSBenchError: If the store cannot be read.
    """
    options = ServeOptions.read(os.environ)
    if trusted_proxies:
        options = options._replace(trusted_proxies=_networks("--trusted-proxy", trusted_proxies))
    _check_address(host, port)
    with contextlib.suppress(KeyboardInterrupt), _ended_by_sigterm():
        pages = _prepare()
        app, live = _build(pages, options, store, data)
        try:
            server = importlib.import_module(f"{pages.__package__}.server")
            served = server.make_app(
                app,
                live,
                pages.launch_options(),
                own_hosts=options.own_hosts,
                is_embedded=options.is_on_hub,
                trusted_proxies=options.trusted_proxies,
            )
            server.make_server(served, host=host, port=port, on_ready=lambda found: _say_address(host, found)).run()
        finally:
            live.close()


def serve_space() -> None:
    """Serve the leaderboard as a Space does: everything is read from the environment.

    Raises:
        UsageError: As `serve`.
        VLSBenchError: As `serve`.
    """
    host = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")  # noqa: S104
    serve(None, host=host, port=_number(os.environ, "GRADIO_SERVER_PORT", 7860))


def _say_address(host: str, port: int) -> None:
    name = f"[{host}]" if ":" in host else host
    print(f"The leaderboard is at http://{name}:{port} (stop it with Ctrl-C).", flush=True)


def _check_address(host: str, port: int) -> None:
    """Bind an address for a moment.

    Raises:
        UsageError: If that cannot be done.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be served ({error.strerror}); end what runs there, or choose another --port."
        ) from None


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: the process that it ends by itself leaves its files behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
