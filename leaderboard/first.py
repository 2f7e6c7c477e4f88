"""What answers before gradio does: the answer in the first response, and views of the board that need no script.

Gradio's own page is empty until half a megabyte of scripts has run, and calls itself "Gradio". Here its HTML gets a
title, a description and a picture of this view, and the answer itself in front; gradio's part stays hidden until it
shows the same (`vlsReady` in `page.SCRIPT`). `/embed` is the answer for a frame of another site, `/view.csv` its rows,
`/preview.png` what a shared link shows. Rule of the room: it changes HTML of gradio 6.31 and knows no number.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.middleware.gzip import GZipMiddleware

from vlsbench.board.columns import render_csv
from vlsbench.errors import VLSBenchError
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

from . import compare_page, leaderboard_page, model_page, preview, texts
from .guard import App, Message, Receive, Scope, Send, answer
from .kept import NOT_KEPT, Kept, asked_at
from .leaderboard_page import View, read_choice, view_of
from .live import LiveBoard
from .page import SCRIPT, SEPARATOR, SUBJECTS, page_name, title_of
from .pieces import plain, shown

__all__ = ["STYLE", "FirstPage", "Views"]


def _style(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


STYLE: Final = _style("answer.css")
"""Of the answer on gradio's page, whose rules gradio keeps to its own part."""

_OWN_STYLE: Final = f"{_style('first.css')}#vls-first {{\n{STYLE}}}\n"
"""Of the answer where gradio is not."""

_ZIPPED: Final = ("/config", "/gradio_api/run/", "/embed")
_MOST_KEPT: Final = 32
"""Pages, of half a megabyte each, or 50 kilobytes packed."""

_TAGS: Final = re.compile(r'\s*<meta\s+(?:property|name)="(?:og|twitter|description)[^>]*>')
_CONFIG: Final = "window.gradio_config = "
_LOOK: Final = re.compile(r'<link rel="stylesheet"[^>]*\bhref="([^"]+)"[^>]*>')
_LOAD_LOOK: Final = (
    "<script>{ const look = document.createElement('link'); look.rel = 'stylesheet'; look.crossOrigin = ''; "
    "look.href = ADDRESS; document.head.append(look); }</script>"
)
_MODULE: Final = re.compile(r'<script type="module"[^>]*\bsrc="([^"]+)"')


class _Head(NamedTuple):
    """What a page says of itself to who does not look at it."""

    title: str
    description: str
    url: str
    picture: str


class FirstPage:
    """ASGI middleware within the page's policy: puts the answer into gradio's page."""

    def __init__(self, app: App, live: LiveBoard, *, names: Sequence[str], own_hosts: Collection[str] = ()) -> None:
        """Stand before `app`.

        Args:
            app: Gradio's.
            live: The board.
            names: Of the pages, in the order of their tabs.
            own_hosts: The public names of the board; the first is that of its links. None: the one that is asked.
        """
        self._app = app
        self._live = live
        self._names = tuple(names)
        self._own_hosts = tuple(own_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and rewrite the page."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        started: Message | None = None
        parts: list[bytes] = []

        async def held(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message
                return
            parts.append(message.get("body", b""))
            if message.get("more_body", False) or started is None:
                return
            body = b"".join(parts)
            said = [item for item in started["headers"] if item[0].lower() != b"content-length"]
            if started["status"] == 200 and _CONFIG.encode() in body:
                body, is_whole = await asyncio.to_thread(self._rewritten, body, scope)
                said += [] if is_whole else [NOT_KEPT]
            await send({**started, "headers": [*said, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, held)

    def _rewritten(self, body: bytes, scope: Scope) -> tuple[bytes, bool]:
        """Return the page, and whether it holds its answer."""
        query = _query(scope)
        theme = query.pop("__theme", "")
        page = page_name(query)
        head = _head(self._live, self._names, query, _base(scope, self._own_hosts))
        is_whole = True
        try:
            painted = _painted(self._live, self._names, page, query)
        except (VLSBenchError, OSError):  # the store changes meanwhile
            is_whole, painted = False, f'<p class="vls-problem">{texts.CHANGED}</p>'
        first = _first(self._names, page, painted, theme if theme in ("dark", "light") else "")
        return _rewrite(body, head, first, page), is_whole


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))


def _base(scope: Scope, own_hosts: Collection[str]) -> str:
    """Return the public address of the board; the guard has looked at the host."""
    if own_hosts:
        return f"https://{next(iter(own_hosts))}/"
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return f"{scope.get('scheme', 'http')}://{headers.get(b'x-forwarded-host') or headers[b'host']}/"


def _title(live: LiveBoard, names: Sequence[str], query: Mapping[str, str]) -> str:
    """Return the title of an address without what it names and the board has not.

    Else whoever makes a link says what they like in the board's name, where the link is shared.
    """
    page = page_name(query)
    known = {"tab": page} if page in map(str.lower, names) else {}
    for key in SUBJECTS:
        there = [name for name in query.get(key, "").split(SEPARATOR) if _is_there(live, key, name)]
        if there:
            known[key] = SEPARATOR.join(there)
    return title_of(known, live.names())


def _is_there(live: LiveBoard, key: str, name: str) -> bool:
    if key == "category":
        return name in CATEGORY_NAMES
    return name in SUB_CATEGORY_NAMES if key == "sub" else live.has(name)


def _head(live: LiveBoard, names: Sequence[str], query: Mapping[str, str], base: str) -> _Head:
    page = page_name(query)
    address = f"?{urlencode(query)}" if query else ""
    if page == "leaderboard":
        said = plain(leaderboard_page.sentence_of(view_of(live, read_choice(query))))
    else:
        said = texts.ABOUT_PAGE.get(page, "")
    return _Head(
        _title(live, names, query), f"{said} {texts.LEAD}".strip(), f"{base}{address}", f"{base}preview.png{address}"
    )


def _painted(live: LiveBoard, names: Sequence[str], page: str, query: Mapping[str, str]) -> str:
    """Return what the first response shows of a page, as HTML."""
    if page == "leaderboard":
        return leaderboard_page.painted(live, query)
    if page == "model":
        found = model_page.updates(live, model_page.Chosen(query.get("model"), query.get("list")))
        return str(dict(zip(model_page.OUTPUTS, found, strict=True))["body"]["value"])
    if page == "compare":
        return compare_page.painted(live, query)
    if page not in map(str.lower, names):
        there = leaderboard_page.painted(live, {})
        return f'<p class="vls-problem">{shown(texts.no_page(page, names[0]))}</p>{there}'
    about = texts.ABOUT_PAGE.get(page, "")
    title = _title(live, names, query)
    subject = title.split(" · ")[0] if " · " in title else ""
    heading = page.capitalize() if subject.lower() == page else f"{page.capitalize()}: {subject}"
    return f'<h2 class="vls-h2">{shown(heading)}</h2><p class="vls-caption">{about}</p>'


def _first(names: Sequence[str], page: str, painted: str, theme: str) -> str:
    links = "".join(_link(name, is_first=name == names[0], is_current=name.lower() == page) for name in names)
    return (
        f'<div id="vls-first" class="{theme}"><div class="vls-first-inside">{texts.header()}'
        f'<nav class="vls-first-nav" aria-label="Pages">{links}</nav><main>{painted}</main>'
        '<noscript><p class="vls-notice">Without scripts this is what the board shows: the answer above, the links to '
        'its other lists, and its rows as <a href="download/vlsbench-board.csv">CSV</a> and '
        '<a href="download/vlsbench-board.json">JSON</a>.</p></noscript></div></div>'
    )


def _link(name: str, *, is_first: bool, is_current: bool) -> str:
    address = "?" if is_first else f"?tab={name.lower()}"
    current = ' aria-current="page"' if is_current else ""
    return f'<a href="{address}"{current}>{name}</a>'


def _rewrite(body: bytes, head: _Head, first: str, page: str) -> bytes:
    """Put head and answer into gradio's page; its scripts and its look come behind the answer, which waits for neither.

    What is not found (another version of gradio) is left as it is.
    """
    text = _TAGS.sub("", body.decode())
    before, found, after = text.partition(_CONFIG)
    if found:
        config, end = json.JSONDecoder().raw_decode(after)
        text = f"{before}{found}{_patched(config, head.title, page)}{after[end:]}"
    own = f"{_tags(head)}<style>{_OWN_STYLE}</style>{SCRIPT}"
    module = _MODULE.search(text)
    look = _LOOK.search(text)
    if look is not None:
        # Put in by a script it holds nothing up; it comes before the looks of gradio's parts, as it does by itself.
        text = text.replace(look[0], "", 1)
        own += _LOAD_LOOK.replace("ADDRESS", json.dumps(look[1]))
    if module is not None:
        own += f'<link rel="modulepreload" crossorigin href="{module[1]}">'
    at, cut = text.find("<script>" + _CONFIG), text.find("</head>")
    if -1 in (at, cut) or (body_at := text.find(">", text.find("<body", cut)) + 1) == 0:
        return text.replace("<head>", f"<head>{own}", 1).encode()
    late = text[at:cut]
    early = text[:at] + own + text[cut:body_at] + first + late + text[body_at:]
    return early.encode()


def _patched(config: dict[str, Any], title: str, page: str) -> str:
    """Write gradio's settings with the title of this view, the tab that its address names, and no second script."""
    names = {component["props"].get("id") for component in config["components"] if component["type"] == "tabitem"}
    for component in config["components"]:
        if component["type"] == "tabs":
            selected = next((name for name in names if isinstance(name, str) and name.lower() == page), None)
            if selected is not None:
                component["props"]["selected"] = selected
    config |= {"title": title, "head": None}
    return json.dumps(config, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _tags(head: _Head) -> str:
    title, description = escape(head.title), escape(head.description)
    said = {
        "og:type": "website",
        "og:site_name": "VLSBench leaderboard",
        "og:title": title,
        "og:description": description,
        "og:url": escape(head.url),
        "og:image": escape(head.picture),
        "og:image:width": str(preview.SIZE[0]),
        "og:image:height": str(preview.SIZE[1]),
        "og:image:alt": description,
    }
    tags = "".join(f'<meta property="{name}" content="{value}">' for name, value in said.items())
    return (
        f'<title>{title}</title><meta name="description" content="{description}">{tags}'
        '<meta name="twitter:card" content="summary_large_image">'
    )


class Views:
    """ASGI middleware behind the guard: answers what needs no gradio, and sends what is long in short."""

    def __init__(self, app: App, live: LiveBoard) -> None:
        """Stand before `app`."""
        self._app = app
        self._zipped: Any = GZipMiddleware(app, minimum_size=2_000, compresslevel=5)
        self._kept = Kept(self._zipped, self._key_of, most=_MOST_KEPT)
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a view, or pass the request on."""
        path = scope.get("path", "")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif path in _KINDS:
            await self._view(path, scope, send)
        elif path == "/" or path.startswith(_ZIPPED):
            await self._kept(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _key_of(self, scope: Scope) -> Hashable | None:
        """Say what a page depends on, for one to be kept; a model's depends on its history too, and is not."""
        if scope["path"] not in ("/", "/config") or page_name(_query(scope)) == "model":
            return None
        is_packed = any(name.lower() == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])
        return scope["path"], asked_at(scope), scope["query_string"], is_packed, self._live.version

    async def _view(self, path: str, scope: Scope, send: Send) -> None:
        kind = _KINDS[path]
        try:
            body = await asyncio.to_thread(self._made, kind.make, _query(scope))
        except (VLSBenchError, OSError):
            await answer(send, 503, texts.CHANGED)
            return
        if body is None:
            await answer(send, 404, "No list of this board fits this address.")
            return
        said = [
            (b"content-type", kind.type),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-cache"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": [*said, *kind.headers]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _made(self, make: Callable[[LiveBoard, View, str], bytes | None], query: dict[str, str]) -> bytes | None:
        self._live.refresh()
        theme = query.pop("__theme", "")
        return make(self._live, view_of(self._live, read_choice(query)), theme)


def _embed(live: LiveBoard, view: View, theme: str) -> bytes | None:
    """Make the answer for a frame: no script, and every link opens the board itself."""
    kind = theme if theme in ("dark", "light") else ""
    address = view.address()
    painted = leaderboard_page.painted(live, view.query())
    painted = re.sub(r'href="\?', 'target="_blank" rel="noopener" href="./?', painted)
    link = f'<a target="_blank" rel="noopener" href="./{escape(address)}">VLSBench leaderboard</a>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title_of(view.query(), live.names()))}</title><style>{_OWN_STYLE}</style></head><body>"
        f'<div id="vls-first" class="vls-embedded {kind}"><div class="vls-first-inside"><main>{painted}'
        f'<p class="vls-links">{link}</p></main></div></div></body></html>'
    ).encode()


def _csv(live: LiveBoard, view: View, theme: str) -> bytes | None:
    board = live.board
    if view.item is not None:
        item = view.item.model_copy(update={"rows": view.rows})
        return render_csv(board.model_copy(update={"lists": (item,), "paper": (), "left_out": ()})).encode()
    if view.paper is not None:
        return render_csv(board.model_copy(update={"lists": (), "paper": (view.paper,), "left_out": ()})).encode()
    return None


def _picture(live: LiveBoard, view: View, theme: str) -> bytes | None:
    said = plain(leaderboard_page.sentence_of(view)) or "No judged list is here yet."
    return preview.draw(said, view.scope.name, preview.strips(view.item, view.paper))


class _Kind(NamedTuple):
    """A view without a script."""

    type: bytes
    make: Callable[[LiveBoard, View, str], bytes | None]
    headers: tuple[tuple[bytes, bytes], ...] = ()


_FRAME_POLICY: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors *"
)

_KINDS: Final = {
    "/embed": _Kind(b"text/html; charset=utf-8", _embed, ((b"content-security-policy", _FRAME_POLICY),)),
    "/preview.png": _Kind(b"image/png", _picture),
    "/view.csv": _Kind(
        b"text/csv; charset=utf-8", _csv, ((b"content-disposition", b"attachment; filename=vlsbench-view.csv"),)
    ),
}
