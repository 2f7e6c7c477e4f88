"""Samples of lmms-eval 0.7.3: `<date>_samples_<task>.jsonl`, one object per line.

As `EvaluationTracker.save_results_samples` writes them (lmms_eval/loggers/evaluation_tracker.py of the 0.7.3 wheel;
github.com/EvolvingLMMs-Lab/lmms-eval at 4eadb30): `doc_id`, `input` (the prompt), `target`, `filtered_resps`, `resps`
only where they differ, `token_counts`, `doc_hash`, and the task's metrics. `doc_id` is a row number of a split that may
be limited or one category's, so that the prompts tell which samples these are. `sanitize_list` turns every answer into
a text: a missing one is "None". A filter may leave a letter of an answer; the answer is taken, unless what is missing
is its thought. The model's name stands in `<date>_results.json` beside the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from vlsbench.errors import SubmissionError, amount
from vlsbench.records import Settings
from vlsbench.submission.importers.cells import cells_of
from vlsbench.submission.importers.format import Format
from vlsbench.submission.importers.rows import Parsed, Row, Said, answer_or_failure
from vlsbench.submission.importers.source import Problems, Source, parse_json
from vlsbench.submission.importers.tables import Glimpse, Sniffed, read_table
from vlsbench.thought import separate

__all__ = ["FORMAT", "looks_like_lmms_eval", "read_lmms_eval"]

_USED: Final = frozenset({"doc_id", "input", "filtered_resps", "resps", "token_counts"})
_KNOWN: Final = _USED | {"target", "doc_hash", "input_media"}
_NOT_COMPARED: Final = _USED - {"input"} | {"target", "input_media"}
_FILE_NAME: Final = re.compile(r"(.+)_samples_(.+)")


def looks_like_lmms_eval(glimpse: Glimpse) -> bool:
    """Say whether a file numbers documents and holds responses, filtered or not."""
    return "doc_id" in glimpse.names and not glimpse.names.isdisjoint({"filtered_resps", "resps"})


def read_lmms_eval(source: Source, sniffed: Sniffed, problems: Problems) -> Parsed:
    """Read a file of samples, and the results beside it for the model's name and settings."""
    rows, ignored = [], dict[str, None]()
    n_repeated = n_filtered = 0
    for cells in read_table(source, sniffed, problems, wanted=_USED.__contains__):
        ignored.update(dict.fromkeys(name for name in cells.values if name not in _KNOWN))
        answers = _answers(cells.values)
        if answers is None:
            problems.add(cells.place, "'filtered_resps' is a text or a list of texts, and so is 'resps'")
            continue
        n_repeated += answers.n > 1
        n_filtered += answers.is_unfiltered
        rows.append(_row(cells.place, cells.values, answers.first))
    notes = []
    if n_repeated:
        notes.append(f"{amount(n_repeated, 'row')} with several answers (repeats); the first of each is taken")
    if n_filtered:
        notes.append(
            f"{amount(n_filtered, 'answer')} taken from 'resps': a filter left something else in 'filtered_resps', "
            "not only the answer without its thought"
        )
    model, settings = _beside(source.path)
    return Parsed(
        "lmms-eval",
        tuple(rows),
        model=model,
        settings=settings,
        ignored=tuple(ignored),
        notes=tuple(notes),
    )


def _row(place: str, values: Mapping[str, Any], answer: str) -> Row:
    response, failure = answer_or_failure(answer)
    said = Said(response, failure, usage=_usage(values.get("token_counts")))
    return Row(place, {"doc_id": values.get("doc_id")}, cells_of(values, without=_NOT_COMPARED), said)


class _Answers(NamedTuple):
    """What a row says."""

    first: str
    n: int
    is_unfiltered: bool
    """The filter left less than the answer without its thought."""


def _answers(values: Mapping[str, Any]) -> _Answers | None:
    """Choose what a model said over what a filter left of it; None where neither is a text."""
    filtered, said = _texts(values.get("filtered_resps")), _texts(values.get("resps"))
    if not filtered or not said:
        found = filtered or said
        is_unfiltered = bool(said) and values.get("filtered_resps") is not None
        return _Answers(found[0], len(found), is_unfiltered=is_unfiltered) if found else None
    whole, kept = said[0], filtered[0]
    same = " ".join(kept.split()) in (" ".join(whole.split()), " ".join(separate(whole).answer.split()))
    # What stands for a failed call, or for nothing, is told of either.
    return _Answers(kept if same else whole, max(len(filtered), len(said)), is_unfiltered=not same)


def _texts(value: object) -> list[str]:
    """Flatten `"a"`, `["a"]` and `[["a"]]`; empty where something else stands there."""
    for _ in range(3):
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) and value and all(isinstance(item, str) for item in value) else []


def _usage(value: object) -> Mapping[str, Any] | None:
    counts = value[0] if isinstance(value, list) and value else None
    return counts if isinstance(counts, dict) and counts else None


def _beside(path: Path) -> tuple[str | None, Settings]:
    """Read the model's name and the task's settings from the results beside it, where they are there and whole."""
    match = _FILE_NAME.fullmatch(path.stem)
    if match is None:
        return None, Settings()
    try:
        results = parse_json(Source.open(path.with_name(f"{match[1]}_results.json")).whole())
    except (SubmissionError, OSError, ValueError):
        return None, Settings()  # the samples are enough; --model names the model
    model = results.get("model_name") if isinstance(results, dict) else None
    found: Any = results
    for key in ("configs", match[2], "generation_kwargs"):
        found = found.get(key) if isinstance(found, dict) else None
    wanted = ("max_new_tokens", "temperature", "top_p")
    kwargs = {key: found[key] for key in wanted if found.get(key) is not None} if isinstance(found, dict) else {}
    try:
        settings = Settings.model_validate(kwargs)
    except ValidationError:
        settings = Settings()
    return (model if isinstance(model, str) and model else None), settings


FORMAT: Final = Format("lmms-eval", "lmms-eval samples", looks_like_lmms_eval, read_lmms_eval)
