"""A page for one person on this machine: served on 127.0.0.1 only, by keyboard, fetching nothing.

What the pages that people label and review on share: look, keys, pictures as data, and how they are served. Gradio is
imported only inside, when a page is made.
"""

from __future__ import annotations

import html
import importlib
import importlib.util
import inspect
import json
import socket
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from vlsbench.errors import UsageError

__all__ = [
    "bar",
    "free_port",
    "import_gradio",
    "key_script",
    "page_options",
    "picture_tag",
    "require_gradio",
    "serve_page",
    "text_box",
]

_HOST: Final = "127.0.0.1"

_CSS: Final = """
.vls-page { max-width: 860px; margin: 0 auto; }
.vls-page h1 { font-size: 1.35em; font-weight: 700; }
.vls-bar { height: 8px; border-radius: 4px; overflow: hidden; margin: 6px 0 2px;
  background: var(--border-color-primary); }
.vls-bar div { height: 100%; background: #0072B2; }
.vls-note { color: var(--body-text-color-subdued); font-size: 0.92em; }
.vls-text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5; padding: 12px 14px; margin: 4px 0 14px;
  border: 1px solid var(--border-color-primary); border-radius: 8px; background: var(--background-fill-secondary); }
.vls-image img { max-width: 100%; max-height: 420px; border-radius: 8px; display: block; }
"""


def require_gradio(what: str) -> None:
    """Import gradio, or say what a page needs where it is not there.

    Raises:
        UsageError: If gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UsageError(f"{what} needs gradio: pip install 'vlsbench[leaderboard]'")
    import_gradio()


def import_gradio() -> None:
    """Import gradio in three fifths of the time that `import gradio` takes.

    Whenever it is imported, gradio reads the source of its components to write beside them what an editor wants to
    know; a component without a file is passed over.
    """
    file_of = inspect.getfile

    def no_file(thing: Any) -> str:
        if getattr(thing, "__module__", "").startswith("gradio."):
            raise OSError("it need not be read")
        return file_of(thing)

    inspect.getfile = no_file  # type: ignore[assignment]
    try:
        importlib.import_module("gradio")
    finally:
        inspect.getfile = file_of


def key_script(clicks: Mapping[str, str]) -> str:
    """Write a script by which single keys click what a selector finds.

    Args:
        clicks: `KeyboardEvent.key`, letters in lower case → CSS selector; what is not on the page is not clicked.
    """
    keys = json.dumps(dict(clicks))
    return f"""
<script>
document.addEventListener("keydown", (event) => {{
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const keys = {keys};
  const selector = keys[event.key] || keys[event.key.toLowerCase()];
  const isOnButton = event.key === "Enter" && event.target.closest && event.target.closest("button");
  if (!selector || isOnButton) return;
  const found = document.querySelector(selector);
  if (found) {{ found.click(); if (found.matches("input")) found.focus(); }}
  event.preventDefault();
}});
</script>
"""


def page_options(keys: str, css: str = "") -> dict[str, Any]:
    """Return what `launch()` needs for a page: its look and its keys, and nothing that leaves this machine.

    Args:
        keys: As `key_script` writes it.
        css: Of the page's own.
    """
    import gradio as gr

    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    theme = gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", font=fonts, font_mono=["ui-monospace", "monospace"]
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        # White on the default's blue is too pale to read (WCAG 1.4.3).
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
    )
    return {
        "theme": theme,
        "css": _CSS + css,
        "head": keys,
        "share": False,
        "ssr_mode": False,
        "run_history": False,
        "footer_links": [],
        "quiet": True,
    }


def bar(done: int, total: int) -> str:
    """Render how far somebody is."""
    percent = 100 * done / total if total else 100
    return f'<div class="vls-bar"><div style="width:{percent:.1f}%"></div></div>'


def text_box(text: str) -> str:
    """Render a text that somebody else wrote, escaped."""
    return f'<div class="vls-text">{html.escape(text)}</div>'


def picture_tag(data: bytes, mime: str, alt: str) -> str:
    """Render a picture with its bytes inside."""
    return f'<img alt="{html.escape(alt)}" src="data:{mime};base64,{b64encode(data).decode("ascii")}">'


def free_port(port: int) -> int:
    """Return a port that can be served; 0 finds one.

    Raises:
        UsageError: If it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise UsageError(
                f"{_HOST}:{port} cannot be served ({error.strerror}); end what runs there, or choose another --port."
            ) from None
        return int(probe.getsockname()[1])


def serve_page(page: Any, port: int, options: Mapping[str, Any], said: str) -> None:
    """Serve a page until the process is interrupted; print the address once it answers.

    Args:
        page: A `gradio.Blocks`.
        port: As `free_port` returned it.
        options: As `page_options` returned them.
        said: What is printed, `{url}` in it.
    """
    page.launch(server_name=_HOST, server_port=port, prevent_thread_lock=True, **options)
    print(said.replace("{url}", f"http://{_HOST}:{port}"), flush=True)
    try:
        page.block_thread()
    finally:
        page.close()
