"""What may be called over gradio's routes, and one sentence for a call that makes no sense.

Gradio 6.31 answers most of these with a traceback in the log and `null` to who called. Rule of the room: a body is
looked at, never changed; what the called functions make of good values is theirs.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple, NoReturn

import gradio as gr

from vlsbench.errors import amount

__all__ = ["Calls", "RefusalError", "check_word", "parsed", "shown"]

_WORD: Final = re.compile(r"[\w-]{1,64}", re.ASCII)
"""A session, an event or an upload, as gradio's own clients name them: some ten letters, or a UUID."""

_DEPTH: Final = 16
"""Lists and objects within each other: a file within the list of files is three deep."""

_SHOWN: Final = 60


class RefusalError(Exception):
    """A request that is not passed on."""

    def __init__(self, status: int, sentence: str) -> None:
        """Say why, in a sentence that is sent as it is."""
        super().__init__(sentence)
        self.status = status


class _Function(NamedTuple):
    """One function that can be called."""

    name: str | None
    """Of the endpoint; None for what only pages call."""
    parameters: tuple[str, ...]
    """One for every value."""
    required: frozenset[str]
    texts: frozenset[str] = frozenset()
    """Parameters that are a text."""


def shown(value: object) -> str:
    """Show a value of a stranger within a sentence."""
    text = ascii(value) if not isinstance(value, str) else ascii(value[: 2 * _SHOWN])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class Calls:
    """The functions of an app, as requests call them."""

    def __init__(self, app: gr.Blocks, uploads: str) -> None:
        """Read what can be called; `uploads` is the folder in which uploaded files lie."""
        self._queue = app._queue  # who waits for what; gradio says it nowhere else
        self._uploads = PurePosixPath(uploads)
        self._components = frozenset({app._id, *app.blocks})
        self._servers = {
            number: frozenset(function.__name__ for function in getattr(component, "server_fns", ()))
            for number, component in app.blocks.items()
        }
        self._functions: dict[int, _Function] = {}
        self._named: dict[str, _Function] = {}
        for number, function in app.fns.items():
            if function.fn is None:
                continue  # of the page's own script
            found = _Function(None, tuple(str(place + 1) for place in range(len(function.inputs))), frozenset())
            if function.api_visibility == "public":
                found = _read(str(function.api_name), function.fn)
                self._named[str(function.api_name)] = found
            self._functions[number] = found

    def check_event(self, body: Any) -> None:
        """Look at what joins the queue, or runs at once, by the number of its function.

        Raises:
            RefusalError: If it makes no sense.
        """
        number = body.get("fn_index")
        function = self._functions.get(number) if type(number) is int else None
        if function is None:
            _refuse(f"fn_index: there is no function {shown(number)} to call; load the page again.", status=404)
        self._check_rest(body)
        self._check_values(function, body.get("data"))

    def check_named(self, name: str, body: Any) -> None:
        """Look at the call of an endpoint.

        Raises:
            RefusalError: If it makes no sense.
        """
        function = self._find(name)
        self._check_rest(body)
        self._check_values(function, body.get("data"))

    def check_keywords(self, name: str, body: Any) -> None:
        """Look at the call of an endpoint by the names of its parameters.

        Raises:
            RefusalError: If it makes no sense.
        """
        function = self._find(name)
        unknown = [key for key in body if key not in function.parameters]
        missing = [key for key in function.parameters if key in function.required and key not in body]
        if unknown or missing:
            wrong = f"{shown(unknown[0])} is none of them" if unknown else f"{shown(missing[0])} is missing"
            _refuse(f"/{name} takes {_listed(function.parameters)}; {wrong}.")
        for key, value in body.items():
            self._check_value(function, key, value)

    def check_cancel(self, body: Any) -> None:
        """Look at what ends a call.

        Raises:
            RefusalError: If it makes no sense.
        """
        _check_word(body, "session_hash")
        _check_word(body, "event_id")
        if type(body.get("fn_index")) is not int or body["fn_index"] not in self._functions:
            _refuse(f"fn_index: there is no function {shown(body.get('fn_index'))} to end.", status=404)

    def check_reset(self, body: Any) -> None:
        """Look at what older clients send when they have what they wanted.

        Raises:
            RefusalError: If it makes no sense.
        """
        _check_word(body, "event_id")

    def check_component(self, body: Any) -> None:
        """Look at the call of what a component asks the server for.

        Raises:
            RefusalError: If it makes no sense.
        """
        _check_word(body, "session_hash")
        number, name = body.get("component_id"), body.get("fn_name")
        known = self._servers.get(number, frozenset()) if type(number) is int else frozenset()
        if not isinstance(name, str) or name not in known:
            _refuse(f"component_id {shown(number)} has no function {shown(name)} that can be called.", status=404)
        if "data" not in body:
            _refuse("data: is missing; it is what the function is called with.")

    def check_session(self, session: str) -> None:
        """Look at a session whose messages are asked for.

        Raises:
            RefusalError: If nothing was called in it.
        """
        if session not in self._queue.pending_messages_per_session:
            _refuse(
                f"session_hash {shown(session)}: nothing was called in this session, or its answers were read.",
                status=404,
            )

    def check_answer(self, name: str, event: str) -> None:
        """Look at the call of an endpoint whose answer is asked for.

        Raises:
            RefusalError: If there is no such call.
        """
        self._find(name)
        pending = self._queue.pending_event_ids_session
        if event not in self._queue.event_ids_to_events and not any(event in events for events in pending.values()):
            _refuse(f"there is no call {shown(event)} of /{name}, or its answer was read.", status=404)

    def _find(self, name: str) -> _Function:
        found = self._named.get(name)
        if found is None:
            names = ", ".join(f"/{known}" for known in sorted(self._named))
            _refuse(f"there is no endpoint {shown(name)}; there are {names}.", status=404)
        return found

    def _check_rest(self, body: Mapping[str, Any]) -> None:
        """Look at what a call has beside its values; what these functions do not use is not taken."""
        if body.get("session_hash") is not None:
            _check_word(body, "session_hash")
        if body.get("event_id") is not None:
            _check_word(body, "event_id")
        trigger = body.get("trigger_id")
        if trigger is not None and (type(trigger) is not int or trigger not in self._components):
            _refuse(f"trigger_id: there is no component {shown(trigger)} on the page.")
        for name in ("batched", "simple_format"):
            if body.get(name) not in (None, False):
                _refuse(f"{name}: is not taken here; found {shown(body[name])}.")
        if body.get("oauth_token") is not None:
            _refuse("oauth_token: is not taken here; who submits signs in on the page.")

    def _check_values(self, function: _Function, values: Any) -> None:
        if not isinstance(values, list):
            _refuse(f"data: is the list of values; found {shown(values)}.")
        for value in values:
            self._check_files(value)
        if len(values) != len(function.parameters):
            named = f" ({_listed(function.parameters)})" if function.name and function.parameters else ""
            who = f"/{function.name}" if function.name else "this function"
            _refuse(f"data: {who} takes {amount(len(function.parameters), 'value')}{named}; found {len(values)}.")
        for name, value in zip(function.parameters, values, strict=True):
            self._check_value(function, name, value)

    def _check_value(self, function: _Function, name: str, value: Any) -> None:
        self._check_files(value)
        if name in function.texts and not isinstance(value, str):
            _refuse(f"{name}: is a text; found {shown(value)}.")

    def _check_files(self, value: Any) -> None:
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, list):
                stack.extend(item)
            elif isinstance(item, dict):
                self._check_file(item)
                stack.extend(item.values())

    def _check_file(self, item: Mapping[str, Any]) -> None:
        """Let only what was uploaded pass for a file: gradio would fetch an address, of any size, from anywhere."""
        if "meta" not in item or item.get("path") is None:
            return
        path = item["path"]
        is_ours = isinstance(path, str) and path.isprintable() and ".." not in path
        if not is_ours or "://" in path or self._uploads not in PurePosixPath(path).parents:
            _refuse("A file is uploaded here first; addresses are not fetched.")


def _read(name: str, function: Any) -> _Function:
    """Read the parameters of an endpoint; what gradio hands in by itself is not among them."""
    parameters = [
        parameter
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
        if parameter.annotation is not gr.Request
    ]
    required = frozenset(item.name for item in parameters if item.default is inspect.Parameter.empty)
    texts = frozenset(item.name for item in parameters if item.annotation is str)
    return _Function(name, tuple(item.name for item in parameters), required, texts)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"


def _refuse(sentence: str, *, status: int = 400) -> NoReturn:
    raise RefusalError(status, sentence[0].upper() + sentence[1:] if sentence[0] == "t" else sentence)


def _check_word(body: Mapping[str, Any], name: str) -> None:
    check_word(name, body.get(name))


def check_word(name: str, value: Any) -> None:
    """Look at the name of a session, an event or an upload.

    Raises:
        RefusalError: If it is none.
    """
    if not isinstance(value, str) or _WORD.fullmatch(value) is None:
        _refuse(f"{name}: is a name of letters and digits; found {shown(value)}.")


def parsed(body: bytes) -> dict[str, Any]:
    """Read the JSON of a call.

    Raises:
        RefusalError: If it is no object, or cannot be told back as JSON: too deep, not a number, not text.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        _refuse(f"The body is nested deeper than {_DEPTH} levels.")
    except ValueError as error:  # not UTF-8, not JSON, a number of thousands of digits
        _refuse(f'The body is no JSON ({str(error).splitlines()[0][:100]}); send an object such as {{"data": []}}.')
    if not isinstance(value, dict):
        _refuse(f'The body is a JSON object such as {{"data": []}}; found {shown(value)}.')
    level: list[Any] = [value]
    for _ in range(_DEPTH):
        level = [part for item in level for part in _parts(item)]
        if not level:
            return value
    _refuse(f"The body is nested deeper than {_DEPTH} levels.")


def _parts(item: Any) -> list[Any]:
    """Return what a value holds, if it can be told back as JSON."""
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, list):
        return item
    if isinstance(item, float) and not math.isfinite(item):
        _refuse("The body holds a number that is out of range.")
    if isinstance(item, str) and any("\ud800" <= sign <= "\udfff" for sign in item):
        _refuse("The body holds half of a character (a lone surrogate), which is no text.")
    return []


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
