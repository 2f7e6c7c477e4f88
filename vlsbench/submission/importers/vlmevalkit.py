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
from collections.abc import Mapping
from typing import Any, Final

from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.plain import TEXT_COLUMNS, optional_text
from vlsbench.submission.importers.rows import Parsed, Row, Said, answer_or_failure, number_text, parse_id
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Glimpse, Sniffed, is_cut_cell, read_table

__all__ = ["FORMAT", "looks_like_vlmevalkit", "read_vlmevalkit"]

_ID: Final = ("instruction_id", "index")
_USED: Final = frozenset({*_ID, "prediction", "thinking", *TEXT_COLUMNS})
_FILE_NAME: Final = re.compile(r"(.+?)_vlsbench[^/]*", re.IGNORECASE)


def looks_like_vlmevalkit(glimpse: Glimpse) -> bool:
    """Say whether a file has the two columns that VLMEvalKit's own have."""
    return glimpse.names >= {"index", "prediction"}


def read_vlmevalkit(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read a file of predictions."""
    rows, ignored = [], dict[str, None]()
    is_first = True
    for cells in read_table(source, sniffed, problems, wanted=_USED):
        if is_first and ("prediction" not in cells.values or not any(name in cells.values for name in _ID)):
            found = ", ".join(repr(name[:40]) for name in list(cells.values)[:20])
            problems.add("", f"VLMEvalKit writes the columns 'index' and 'prediction'; found {found}")
            break
        is_first = False
        ignored.update(dict.fromkeys(name for name in cells.values if name not in _USED))
        row = _row(cells.place, cells.values, problems, is_workbook=sniffed.container == "xlsx")
        if row is not None:
            rows.append(row)
    match = _FILE_NAME.fullmatch(source.path.stem)
    return Parsed("vlmevalkit", tuple(rows), model=match[1] if match else None, ignored=tuple(ignored))


def _row(place: str, values: Mapping[str, Any], problems: Problems, *, is_workbook: bool) -> Row | None:
    number = parse_id(next((values[name] for name in _ID if values.get(name) is not None), None))
    if isinstance(number, str):
        problems.add(place, number)
        return None
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
    text = next((values[name] for name in TEXT_COLUMNS if isinstance(values.get(name), str)), None)
    if text is None and not values.keys().isdisjoint(TEXT_COLUMNS):
        text = ""  # a frame has no blank text; one instruction of the release is blank
    said = Said(
        response,
        failure,
        finish_reason="truncated" if is_cut else None,
        reasoning=optional_text(values.get("thinking")),
    )
    return Row(place, number[0], text, said, number[1])


FORMAT: Final = Format(
    "vlmevalkit", "VLMEvalKit predictions (xlsx, tsv or json)", looks_like_vlmevalkit, read_vlmevalkit
)
