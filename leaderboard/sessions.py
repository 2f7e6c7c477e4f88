"""What gradio remembers of a reader, without what only its deep links read.

For every new reader gradio writes the settings of all 250 components out, and those that change with every answer
again: 20 ms of a core and 0.3 MB. A reader's choices come with each request anyway, and the guard answers no deep link.
Rule of the room: it changes gradio 6.31 and knows nothing of the board.
"""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
from gradio.blocks import Blocks
from gradio.state_holder import SessionState, StateHolder

__all__ = ["Sessions"]


class _Session(SessionState):
    """The components as one reader was sent them."""

    def __init__(self, blocks: Blocks) -> None:
        unwritten = SimpleNamespace(default_config=blocks.default_config, blocks={})  # settings are of those named here
        super().__init__(cast(Blocks, unwritten))

    def __setitem__(self, key: int, value: Any) -> None:
        if isinstance(self.blocks_config.blocks.get(key), gr.State):
            super().__setitem__(key, value)
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Write nothing out."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Write nothing out."""


class Sessions(StateHolder):
    """Takes the place of gradio's."""

    def __init__(self, blocks: Blocks) -> None:
        """Remember readers of an app."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        """Return what is remembered of a reader, from now on."""
        with self.lock:  # gradio's own reads the entry again, which another reader may have put out meanwhile
            found = self.session_data.get(session_id)
            if found is None:
                found = self.session_data[session_id] = _Session(self.blocks)
            self.session_data.move_to_end(session_id)
            self.time_last_used[session_id] = datetime.now()
            if len(self.session_data) > self.capacity:
                evicted, _ = self.session_data.popitem(last=False)
                self.time_last_used.pop(evicted, None)
        return found
