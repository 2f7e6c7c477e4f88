"""`vlsbench export FORMAT DIR OUT`: write a result, a board or the dataset in the shape another tool reads.

A submission is scored here, from its responses and verdicts; a result file is never trusted. The shapes are made by
pure functions of this room; here is what reads and writes. A file that is there is replaced only where it is the same
or `is_forced` says so, and every file appears whole or not at all. Same input, same bytes: the clock is asked only
where a format demands a time and the caller gives none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from vlsbench.board.lists import Board, build_board
from vlsbench.errors import SubmissionError, UsageError
from vlsbench.files import write_atomic
from vlsbench.hub.every_eval_ever import Relationship
from vlsbench.submission.scoring import Scored, score_directory

__all__ = ["FORMATS", "ExportFormat", "ExportOptions", "export"]


@dataclass(frozen=True)
class ExportOptions:
    """What a format may be told; each takes only some of them."""

    rubric: str | None = None
    """Rubric id or its beginning, where a submission has several."""
    model_repo: str | None = None
    """Name of the model's repository, DEVELOPER/MODEL."""
    source_url: str | None = None
    """Where a reader can look the numbers up."""
    evaluator: str | None = None
    """Who evaluated."""
    relationship: str | None = None
    """Of the evaluator to the model's maker."""
    when: datetime | None = None
    """Time of the result, with its zone."""
    data: Path | None = None
    """The release, to bring its texts along."""


class NamedFile(NamedTuple):
    """A file to write."""

    path: str
    """Below the folder, with `/`; where there is one file, OUT may name it otherwise."""
    content: str | bytes


class ExportFormat(NamedTuple):
    """One of the formats."""

    name: str
    reads: Literal["submission", "store", "dataset"]
    what: str
    """What is written, for the help."""
    options: frozenset[str]
    """Names of the `ExportOptions` it takes."""
    is_tree: bool = False
    """Whether OUT is always a folder, with files whose places the format fixes."""


_FORMATS = (
    ExportFormat(
        "eval-results",
        "submission",
        ".eval_results/vlsbench.yaml for the model's repository on the Hub",
        frozenset({"rubric", "source_url", "when"}),
        is_tree=True,
    ),
    ExportFormat(
        "every-eval-ever",
        "submission",
        "aggregate and samples for the Every Eval Ever datastore",
        frozenset({"rubric", "model_repo", "evaluator", "relationship", "when", "data"}),
        is_tree=True,
    ),
    ExportFormat("model-card", "submission", "a Markdown section for a model card", frozenset({"rubric"})),
    ExportFormat("bibtex", "submission", "the paper's entry and one for the result", frozenset({"rubric", "when"})),
    ExportFormat("csv", "store", "the board, one line per row and scope", frozenset()),
    ExportFormat("parquet", "store", "the board, typed", frozenset()),
    ExportFormat("html", "store", "the board as one static page", frozenset({"when"})),
    ExportFormat("vlmevalkit", "dataset", "the risky pairs as a TSV for VLMEvalKit", frozenset()),
)

FORMATS: dict[str, ExportFormat] = {item.name: item for item in _FORMATS}
"""By name, in the order of the help."""

_RELATIONSHIPS: dict[str, Relationship] = {name: name for name in get_args(Relationship)}

_FLAGS = {
    "rubric": "--rubric",
    "model_repo": "--model-repo",
    "source_url": "--source-url",
    "evaluator": "--evaluator",
    "relationship": "--relationship",
    "when": "--date",
    "data": "--data",
}


def export(
    format_name: str, source: Path, out: Path, options: ExportOptions = ExportOptions(), *, is_forced: bool = False
) -> list[Path]:
    """Write one format.

    Args:
        format_name: One of `FORMATS`.
        source: A submission, a store, or the release's folder; `sample` is the package's own sample.
        out: A file to write, or a folder to write into under the format's own names. What is not there is a folder
            where its name has no suffix.
        is_forced: Replace files that are there and differ.

    Returns:
        The files, in the order they were written.

    Raises:
        UsageError: If there is no such format, or it does not take an option that was given.
        VLSBenchError: If the source cannot be used.
        OSError: If OUT cannot be written.
    """
    found = FORMATS.get(format_name)
    if found is None:
        known = "; ".join(f"{item.name} ({item.what}; from a {item.reads})" for item in FORMATS.values())
        raise UsageError(f"there is no format {format_name!r}. The formats: {known}.")
    _check_options(found, options)
    if found.reads == "dataset":
        return [_export_dataset(source, out, is_forced=is_forced)]
    if found.reads == "submission":
        files = _SUBMISSION_FORMATS[format_name](score_directory(source, options.rubric), options)
    else:
        files = _BOARD_FORMATS[format_name](build_board(source), options)
    return _write(found, files, out, is_forced=is_forced)


def _check_options(found: ExportFormat, options: ExportOptions) -> None:
    given = {item.name for item in fields(options) if getattr(options, item.name) is not None}
    if wrong := sorted(_FLAGS[name] for name in given - found.options):
        taken = ", ".join(flag for name, flag in _FLAGS.items() if name in found.options) or "none"
        raise UsageError(f"{found.name} takes no {' or '.join(wrong)}; of these it takes: {taken}.")
    if options.relationship is not None and options.relationship not in _RELATIONSHIPS:
        known = ", ".join(_RELATIONSHIPS)
        raise UsageError(f"--relationship {options.relationship!r} is not known; one of {known}.")
    if options.when is not None and options.when.tzinfo is None:
        raise UsageError(f"--date {options.when.isoformat()} has no time zone; write it like 2026-11-20T00:00:00Z.")


def _eval_results(scored: Scored, options: ExportOptions) -> list[NamedFile]:
    from vlsbench.hub.eval_results import EVAL_RESULTS_FILE, eval_results_yaml

    date = None if options.when is None else _utc(options.when)
    return [NamedFile(EVAL_RESULTS_FILE, eval_results_yaml(scored, source_url=options.source_url, date=date))]


def _utc(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _every_eval_ever(scored: Scored, options: ExportOptions) -> list[NamedFile]:
    from vlsbench.dataset.source import open_source
    from vlsbench.hub.every_eval_ever import every_eval_ever

    def make(instruction_of: Callable[[int], str] | None) -> list[NamedFile]:
        made = every_eval_ever(
            scored,
            when=options.when or datetime.now(UTC),
            model_repo=options.model_repo,
            evaluator=options.evaluator,
            relationship=_RELATIONSHIPS[options.relationship or "other"],
            instruction_of=instruction_of,
        )
        # The samples first: an aggregate without them would be refused.
        return [NamedFile(made.samples_path, made.samples), NamedFile(made.aggregate_path, made.aggregate)]

    if options.data is None:
        return make(None)
    with open_source(
        _dataset_path(options.data), name=scored.submission.index.name, index=scored.submission.index.whole
    ) as source:
        return make(lambda number: source.sample(number).instruction)


def _model_card(scored: Scored, options: ExportOptions) -> list[NamedFile]:
    from vlsbench.hub.model_card import model_card_snippet

    return [NamedFile("vlsbench-model-card.md", model_card_snippet(scored))]


def _bibtex(scored: Scored, options: ExportOptions) -> list[NamedFile]:
    from vlsbench.hub.model_card import bibtex

    year = None if options.when is None else options.when.astimezone(UTC).year
    return [NamedFile("vlsbench.bib", bibtex(scored, year=year))]


def _csv(board: Board, options: ExportOptions) -> list[NamedFile]:
    from vlsbench.board.columns import render_csv

    return [NamedFile("vlsbench-board.csv", render_csv(board))]


def _parquet(board: Board, options: ExportOptions) -> list[NamedFile]:
    from vlsbench.board.parquet import render_parquet

    return [NamedFile("vlsbench-board.parquet", render_parquet(board))]


def _html(board: Board, options: ExportOptions) -> list[NamedFile]:
    from vlsbench.board.html import render_html

    made_on = None if options.when is None else _utc(options.when)[:10]
    return [NamedFile("vlsbench-board.html", render_html(board, made_on=made_on))]


_SUBMISSION_FORMATS: dict[str, Callable[[Scored, ExportOptions], list[NamedFile]]] = {
    "eval-results": _eval_results,
    "every-eval-ever": _every_eval_ever,
    "model-card": _model_card,
    "bibtex": _bibtex,
}
_BOARD_FORMATS: dict[str, Callable[[Board, ExportOptions], list[NamedFile]]] = {
    "csv": _csv,
    "parquet": _parquet,
    "html": _html,
}


def _dataset_path(path: Path) -> Path | None:
    """Read `sample` as the package's own sample, unless a folder is called so."""
    return None if str(path) == "sample" and not path.exists() else path


def _is_folder(out: Path) -> bool:
    """Say whether OUT is a folder to write into: one that is there, or a name without a suffix that is not."""
    return out.is_dir() or not (out.suffix or out.exists())


def _export_dataset(source: Path, out: Path, *, is_forced: bool) -> Path:
    from vlsbench.hub.vlmevalkit import TSV_FILE, write_tsv

    path = out / TSV_FILE if _is_folder(out) else out
    if path.exists() and not is_forced:
        raise SubmissionError(f"{path}: already there; --force replaces it, or name another OUT.")
    write_tsv(_dataset_path(source), path)
    return path


def _write(found: ExportFormat, files: list[NamedFile], out: Path, *, is_forced: bool) -> list[Path]:
    if found.is_tree and out.exists() and not out.is_dir():
        raise UsageError(f"{out}: {found.name} is written into a folder, found a file; name a folder.")
    is_folder = found.is_tree or _is_folder(out)
    paths = [out / item.path if is_folder else out for item in files]
    if not is_forced:
        differing = [
            path for path, item in zip(paths, files, strict=True) if path.exists() and not _holds(path, item.content)
        ]
        if differing:
            named = ", ".join(map(str, differing))
            raise SubmissionError(
                f"{named}: already there, with other content; --force replaces it, or name another OUT."
            )
    for path, item in zip(paths, files, strict=True):
        write_atomic(path, item.content)
    return paths


def _holds(path: Path, content: str | bytes) -> bool:
    return path.is_file() and path.read_bytes() == (content.encode() if isinstance(content, str) else content)
