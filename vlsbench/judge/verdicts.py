"""Verdict files: read them, and tell which verdicts hold for the responses there are now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from vlsbench.errors import SubmissionError, UsageError, amount, numbered
from vlsbench.files import MAX_LINE_BYTES, keys_given_twice, open_regular, read_lines
from vlsbench.records import Key, Response, Rubric, Verdict, explain

__all__ = ["choose_rubric", "list_rubrics", "read_rubric", "read_verdicts", "verdicts_that_hold"]

_LINE_KEYS = tuple(f'"{name}"'.encode() for name in Verdict.model_fields)
"""As they stand in a line; see `vlsbench.submission.check`."""

_RUBRIC_FILE = re.compile(r"(?P<id>[a-z0-9][a-z0-9.-]*-[0-9a-f]{12})\.jsonl")


def read_verdicts(path: Path) -> list[Verdict]:
    """Read every line of a verdict file, in order; an absent file has none.

    A last line torn by a killed run is no verdict; its sample is judged again.

    Raises:
        SubmissionError: If any other line is not a verdict; all of them are named.
    """
    if not path.exists():
        return []
    verdicts: list[Verdict] = []
    problems: list[tuple[int, str]] = []
    number = 0
    rubric_id = path.name.removesuffix(".jsonl")
    try:
        for line in read_lines(path):
            number = line.number
            try:
                verdict = Verdict.model_validate_json(line.data)
            except ValidationError as error:
                problems.append((line.number, "; ".join(explain(error))))
                continue
            if any(line.data.count(key) > 1 for key in _LINE_KEYS) and (twice := keys_given_twice(line.data)):
                problems.append((line.number, f"{', '.join(map(repr, twice))} stands there twice; keep one"))
            if _RUBRIC_FILE.fullmatch(path.name) and verdict.rubric not in (None, rubric_id):
                problems.append(
                    (line.number, f"'rubric' is {verdict.rubric!r}; this file holds those of {rubric_id!r}")
                )
            verdicts.append(verdict)
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}). Move it away and judge again.") from None
    if problems and problems[-1][0] == number and not _ends_with_newline(path):
        problems.pop()
    if problems:
        shown = [f"{path}:{line}: {sentence}" for line, sentence in problems[:5]]
        more = [f"and {amount(len(problems) - 5, 'more line')}"] if len(problems) > 5 else []
        raise SubmissionError("\n".join([*shown, *more, "Move the file away and judge again, or mend these lines."]))
    return verdicts


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def verdicts_that_hold(verdicts: list[Verdict], responses: Mapping[Key, Response]) -> dict[Key, Verdict]:
    """Tell which verdict holds for every response: the last one on that very answer, but a label is never superseded.

    A verdict on an answer that has since changed does not hold, nor does one on a sample without a response.
    """
    digests = {key: response.digest for key, response in responses.items()}
    held: dict[Key, Verdict] = {}
    for verdict in verdicts:
        key = (verdict.instruction_id, verdict.condition)
        if key not in digests or (verdict.response_sha256 or digests[key]) != digests[key]:
            continue
        if verdict.failure == "response_missing" and digests[key] is not None:
            continue  # it was written when there was no answer yet
        if key not in held or held[key].label is None:
            held[key] = verdict
    return held


def list_rubrics(directory: Path) -> list[str]:
    """List the rubric ids a submission was judged by, sorted."""
    folder = directory / "verdicts"
    if not folder.is_dir():
        return []
    return sorted(match["id"] for path in folder.iterdir() if (match := _RUBRIC_FILE.fullmatch(path.name)))


def read_rubric(directory: Path, rubric_id: str) -> Rubric:
    """Read the rubric kept beside the verdicts.

    Raises:
        SubmissionError: If it is absent, broken or not the one its name says.
    """
    path = directory / "verdicts" / f"{rubric_id}.rubric.json"
    try:
        with open_regular(path) as file:
            rubric = Rubric.model_validate_json(file.read(MAX_LINE_BYTES))
    except OSError as error:
        raise SubmissionError(
            f"{path}: cannot be read ({error.strerror}); verdicts without their rubric are not scored."
        ) from None
    except ValidationError as error:
        raise SubmissionError(f"{path}: {'; '.join(explain(error))}. Judge again to have it written.") from None
    if rubric.rubric_id != rubric_id:
        raise SubmissionError(
            f"{path}: holds the rubric {rubric.rubric_id!r}, not the one its name says; was it edited or renamed?"
        )
    return rubric


def choose_rubric(directory: Path, wanted: str | None) -> str:
    """Return the one rubric id that is meant: `wanted`, or the only one there is.

    Args:
        wanted: A rubric id, or the beginning of exactly one.

    Raises:
        SubmissionError: If there is none.
        UsageError: If none or several fit; they are listed.
    """
    rubrics = list_rubrics(directory)
    if not rubrics:
        raise SubmissionError(f"{directory}: not judged yet; run `vlsbench judge {directory} --judge offline` first.")
    fitting = [rubric for rubric in rubrics if wanted is None or rubric.startswith(wanted)]
    if wanted in rubrics:
        return wanted
    if len(fitting) == 1:
        return fitting[0]
    found = (
        f"{len(fitting)} rubrics fit {wanted!r}"
        if wanted is not None
        else f"{amount(len(rubrics), 'rubric was', 'rubrics were')} used"
    )
    raise UsageError(f"{directory}: {found}; say which with --rubric: {numbered(fitting or rubrics)}")
