"""The output of the authors' `eval.py`: `{"stats": {...}, "logs": [{"id", "question", "pred_answer", …}]}`.

`id` is the row number of the file it was given (github.com/AI45Lab/VLSBench at 68f54de, eval.py), so that the questions
tell which samples these are. Their labels are a judge's and are not taken over: judge the answers again.
"""

from __future__ import annotations

from typing import Final

from vlsbench.submission.importers.cells import cells_of
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.rows import Parsed, Row, Said, answer_or_failure
from vlsbench.submission.importers.source import Problems, Source
from vlsbench.submission.importers.tables import Glimpse, Sniffed

__all__ = ["FORMAT", "looks_like_authors", "read_authors"]

_USED = frozenset({"id", "pred_answer"})
_LABELS = frozenset({"safe_label", "label_str"})


def looks_like_authors(glimpse: Glimpse) -> bool:
    """Say whether a file is one object with `logs`."""
    return glimpse.has_keys("logs")


def read_authors(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read the `logs` of an output of `eval.py`."""
    logs = sniffed.whole.get("logs") if isinstance(sniffed.whole, dict) else None
    if not isinstance(logs, list):
        problems.add("", 'the authors\' output is one JSON object with a list "logs"; found another shape')
        logs = []
    rows, ignored = [], dict[str, None]()
    for n, entry in enumerate(logs):
        place = f" logs[{n}]"
        if not isinstance(entry, dict):
            problems.add(place, f"an entry is an object, this one is {type(entry).__name__}")
            continue
        ignored.update(dict.fromkeys(name for name in entry if name not in _USED))
        answer = entry.get("pred_answer")
        if answer is not None and not isinstance(answer, str):
            problems.add(place, f"'pred_answer' is a text; found {type(answer).__name__}")
        else:
            response, failure = answer_or_failure(answer)
            cells = cells_of(entry, without=(*_USED, *_LABELS))
            rows.append(Row(place, {"id": entry.get("id")}, cells, Said(response, failure)))
    notes = ["the file does not say max_new_tokens; the authors' scripts use 128. Write it into submission.json"]
    if _LABELS & ignored.keys():
        notes.insert(0, "their labels are not taken over; `vlsbench judge` judges the answers again")
    return Parsed("authors", tuple(rows), ignored=tuple(ignored), notes=tuple(notes))


FORMAT: Final = Format("authors", "the output of the authors' eval.py", looks_like_authors, read_authors)
