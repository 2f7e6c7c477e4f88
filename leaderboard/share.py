"""What a reader takes along of a view: its address, its rows as CSV, a citation, a call of the API, a frame.

Rule of the room: words only; `{board}` stands for the board's own address, which the page's script puts in.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

from vlsbench.board.lists import BoardList

from .page import HERE

__all__ = ["of_view"]


def of_view(query: Mapping[str, str], *, key: str, name: str, item: BoardList | None) -> str:
    """Offer what is shown, as HTML.

    Args:
        query: Of its address.
        key: Of its list.
        name: What it is, as plain text.
        item: The list; None for the paper's rows, which the API has as part of the board.
    """
    address = f"?{urlencode(query)}" if query else ""
    texts = {
        "Cite": _citation(f"{HERE}{address}", name),
        "API": _call(key, item),
        "Embed": f'<iframe src="{HERE}embed{address}" title="{escape(name)}" width="720" height="520"></iframe>',
    }
    parts = "".join(_part(title, text) for title, text in texts.items())
    return (
        '<details class="vls-take"><summary>Download, cite, call or embed this view</summary>'
        f'<p class="vls-links"><a class="vls-download" href="view.csv{escape(address)}" download="vlsbench-view.csv">'
        f"These rows as CSV</a></p>{parts}</details>"
    )


def _part(title: str, text: str) -> str:
    here = '<span class="vls-here">the board’s address</span>'
    said = escape(text, quote=False).replace(HERE, here)
    return (
        f'<div class="vls-take-part"><h4>{title}</h4><button type="button" data-copy="{escape(text)}" '
        f'aria-label="Copy: {title}">Copy</button><pre tabindex="0" aria-label="{title}">{said}</pre></div>'
    )


def _citation(address: str, name: str) -> str:
    plain = name.replace("{", "(").replace("}", ")").replace("\\", "/")
    return (
        "@misc{vlsbench-leaderboard,\n"
        "  title        = {{VLSBench} leaderboard},\n"
        f"  note         = {{{plain}}},\n"
        f"  howpublished = {{{address}}}\n"
        "}"
    )


def _call(key: str, item: BoardList | None) -> str:
    head = f"from gradio_client import Client\n\nboard = Client({HERE!r})\n"
    if item is None:
        return head + 'print(board.predict(api_name="/board")["paper"])'
    return head + f'print(board.predict({item.scope!r}, {item.condition!r}, {key!r}, api_name="/table")["table"])'
