"""Predictions of VLMEvalKit: `<model>_<dataset>.xlsx`, `.tsv` or `.json` with `index`, `question`, `prediction`.

Written by `dump` from the dataset's frame (github.com/open-compass/VLMEvalKit at 00fff54, vlmeval/smp/file.py) with
`str(answer)` in `prediction` (at 0044c57, vlmeval/inference.py), `thinking` beside it where SPLIT_THINK is set. A
failed call leaves "Failed to obtain answer via API." there. xlsxwriter cuts a text at 32,767 characters without a word,
and older versions write a text that begins with "=" as a formula. Where a file cannot be written a pickle takes its
place; it is never opened. JSON of a frame may hold NaN, which counts as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vlsbench.submission.importers.cells import cells_of
from vlsbench.submission.importers.columns import choose_answer, is_answer_name
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.plain import optional_text
from vlsbench.submission.importers.rows import Parsed, Row, Said, answer_or_failure, number_text
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Cells, Glimpse, Sniffed, is_cut_cell, read_table

__all__ = ["FORMAT", "looks_like_vlmevalkit", "read_vlmevalkit"]

_ID: Final = ("instruction_id", "index")
_USED: Final = frozenset({*_ID, "prediction", "thinking"})
_NOT_COMPARED: Final = _USED | {"image"}
"""`image` is base64, or the index of another row with the same image."""

_FILE_NAME: Final = re.compile(r"(.+?)_vlsbench[^/]*", re.IGNORECASE)


def looks_like_vlmevalkit(glimpse: Glimpse) -> bool:
    """Say whether a file has the two columns that VLMEvalKit's own have."""
    return glimpse.names >= {"index", "prediction"}


def read_vlmevalkit(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read a file of predictions."""
    read = list(read_table(source, sniffed, problems, wanted=lambda name: name in _USED or is_answer_name(name)))
    fault = _wrong_columns(read)
    if fault is not None:
        problems.add("", fault)
        return Parsed("vlmevalkit", ())
    rows = [_row(cells.place, cells.values, problems, is_workbook=sniffed.container == "xlsx") for cells in read]
    others = dict.fromkeys(name for cells in read for name in cells.values if name not in _USED)
    match = _FILE_NAME.fullmatch(source.path.stem)
    return Parsed(
        "vlmevalkit",
        tuple(row for row in rows if row is not None),
        model=match[1] if match else None,
        ignored=tuple(others),
    )


def _wrong_columns(read: Sequence[Cells]) -> str | None:
    """Say what keeps `prediction` from being the answer, and `index` from being there."""
    if not read:
        return None
    names = read[0].values
    if "prediction" not in names or not any(name in names for name in _ID):
        found = ", ".join(repr(name[:40]) for name in list(names)[:20])
        return f"VLMEvalKit writes the columns 'index' and 'prediction'; found {found}"
    try:
        choose_answer([cells.values for cells in read], names, is_instructions=lambda _: False)
    except ValueError as error:
        return str(error)
    return None


def _row(place: str, values: Mapping[str, Any], problems: Problems, *, is_workbook: bool) -> Row | None:
    answer = values.get("prediction")
    if isinstance(answer, float) and math.isnan(answer):
        answer = None
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = number_text(answer)
    if answer is not None and not isinstance(answer, str):
        problems.add(place, f"'prediction' is a text; found {type(answer).__name__}")
        return None
    response, failure = answer_or_failure(answer)
    is_cut = is_workbook and response is not None and is_cut_cell(response)
    said = Said(
        response,
        failure,
        finish_reason="truncated" if is_cut else None,
        reasoning=optional_text(values.get("thinking")),
    )
    ids = {name: values[name] for name in _ID if values.get(name) is not None}
    return Row(place, ids or {"index": None}, cells_of(values, without=_NOT_COMPARED), said)


FORMAT: Final = Format(
    "vlmevalkit", "VLMEvalKit predictions (xlsx, tsv or json)", looks_like_vlmevalkit, read_vlmevalkit
)
