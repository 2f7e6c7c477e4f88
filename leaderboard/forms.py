"""The form that an upload is: its boundary, and the heads of its parts.

Gradio 6.31 meets a form without a file, or with a long boundary, with a traceback; so each is looked at here before
gradio's own parser sees it, with the parser that gradio uses. Rule of the room: nothing of what a file holds is kept.
"""

from __future__ import annotations

import re
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.formparsers import MultiPartException

from .calls import RefusalError, shown

__all__ = ["FIELD", "Form", "boundary_of"]

FIELD: Final = "files"
"""What gradio calls the field of a form that holds the files."""

_BOUNDARY: Final = re.compile(rb"[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]", re.ASCII)
"""As RFC 2046 (5.1.1) has it; browsers send some 40 letters."""

_RULE: Final = f"An upload is a form of files, each in a field called '{FIELD}' that names its file"


def boundary_of(content_type: str) -> bytes:
    """Return what stands between the parts of a form.

    Raises:
        RefusalError: If a form cannot have it.
    """
    boundary = bytes(parse_options_header(content_type)[1].get(b"boundary", b""))
    if _BOUNDARY.fullmatch(boundary) is None:
        found = shown(boundary.decode("latin-1"))
        raise RefusalError(400, f"The boundary of a form is 1 to 70 letters, digits and signs; found {found}.")
    return boundary


class Form:
    """Reads a form as it comes."""

    def __init__(self, boundary: bytes) -> None:
        """Begin; `boundary` as `boundary_of` returns it."""
        self._head: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self.is_over = False
        """Its last boundary has come."""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._read_name,
                "on_header_value": self._read_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._check_part,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        """Read on.

        Raises:
            MultiPartException: If it is no form of files; its message is the sentence that gradio answers with.
        """
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise MultiPartException(f"{_RULE}; this is none, its boundary is another, or its head is long.") from None

    def _begin_part(self) -> None:
        self._head = {}

    def _read_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _read_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._head[self._name.lower()] = self._value
        self._name = self._value = b""

    def _check_part(self) -> None:
        options = parse_options_header(self._head.get(b"content-disposition", b""))[1]
        name = options.get(b"name")
        if name is None:
            raise MultiPartException(f"{_RULE}; found a part without a name.")
        if name != FIELD.encode():
            raise MultiPartException(f"{_RULE}; found {shown(name.decode('latin-1'))}.")
        if b"filename" not in options:
            raise MultiPartException(f"{_RULE}; found '{FIELD}' without a filename.")

    def _end(self) -> None:
        self.is_over = True
