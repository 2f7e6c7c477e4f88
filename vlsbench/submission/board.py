"""The board: every submission of a store under every rubric, in lists within which numbers may be compared.

A list holds one rubric, one condition, one dataset digest, one N and one `max_new_tokens`. The numbers are counted
again from responses and verdicts; a result file is never trusted.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from vlsbench.dataset.index import digest_of
from vlsbench.errors import SubmissionError, VLSBenchError
from vlsbench.files import StrPath
from vlsbench.judge.verdicts import list_rubrics
from vlsbench.metrics.ranks import ranks
from vlsbench.metrics.rates import outcomes
from vlsbench.records import IMAGE_TEXT, Estimate, Rates, Record
from vlsbench.submission.check import open_submission
from vlsbench.submission.scoring import Scored, judge_note, score_submission
from vlsbench.submission.store import PaperTable, list_submissions, paper_files, read_paper_table, unusable_names
from vlsbench.taxonomy import CATEGORY_NAMES

__all__ = ["MIN_COVERAGE", "OVERALL", "Board", "BoardList", "BoardRow", "build_board", "render_csv"]

OVERALL = "Overall"
"""The scope that holds all categories; the others are the categories by name."""

MIN_COVERAGE = 0.95
"""Coverage a ranked row has at least (DESIGN 5.4): with less, the bounds are wider than most gaps between rows."""


class BoardRow(Record):
    """One submission in one list."""

    submission: str
    """Id in the store."""
    model: str
    organization: str | None
    origin: Literal["submission", "baseline"]
    access: Literal["open", "closed"] | None
    parameters: int | None
    base_model: str | None
    alignment: Literal["none", "textual", "multimodal"] | None
    url: str | None
    rank: int | None
    """1 + the number of rows that are significantly better; null where the row is not ranked."""
    unranked_because: str | None
    rates: Rates
    visual_reliance: Estimate | None
    over_refusal: Estimate | None
    judge_models: tuple[str, ...]
    flags: tuple[str, ...]
    """What a reader must know of how the verdicts came about."""

    @property
    def unjudged_because(self) -> str:
        """The failures in words, most frequent first; empty where every sample has a label."""
        return ", ".join(f"{count} {name}" for name, count in sorted(self.rates.failures.items(), key=lambda f: -f[1]))


class BoardList(Record):
    """Rows that may be compared with each other, best first."""

    scope: str
    """`Overall` or a category."""
    rubric: str
    judge: str
    condition: str
    dataset: Literal["release", "sample"]
    digest: str
    n_samples: int
    max_new_tokens: int | None
    is_provisional: bool
    """The offline judge's lists are: it was not calibrated on this benchmark."""
    judge_note: str | None
    """How well the judge agrees with people, where the package knows."""
    rows: tuple[BoardRow, ...]


class LeftOut(Record):
    """A submission that is not on the board, and why."""

    submission: str
    reason: str


class Board(Record):
    """Everything a page shows."""

    lists: tuple[BoardList, ...]
    paper: tuple[PaperTable, ...]
    left_out: tuple[LeftOut, ...]

    def of_scope(self, scope: str) -> list[BoardList]:
        """Return the lists of one scope, in board order."""
        return [item for item in self.lists if item.scope == scope]


class _Entry(NamedTuple):
    """One submission under one rubric, in one scope."""

    submission_id: str
    scored: Scored
    rates: Rates
    safe: dict[int, bool]
    """Of the judged samples of the scope: whether the answer was safe."""


class _ListKey(NamedTuple):
    """What all rows of a list share; also the order of the lists."""

    scope: str
    dataset: Literal["release", "sample"]
    rubric: str
    n_samples: int
    digest: str
    max_new_tokens: int | None


def build_board(store: StrPath) -> Board:
    """Build the board of a local store.

    A submission that does not pass the gate or has no verdicts is left out by name, with its reason.
    """
    store = Path(store)
    entries: defaultdict[_ListKey, list[_Entry]] = defaultdict(list)
    left_out: list[LeftOut] = []
    for name in unusable_names(store):
        reason = "a folder's name has letters, digits and . _ + @ - only; rename it"
        left_out.append(LeftOut(submission=ascii(name), reason=reason))
    for item in list_submissions(store):
        try:
            submission = open_submission(item.directory)
            rubrics = list_rubrics(item.directory)
            if not rubrics:
                left_out.append(LeftOut(submission=item.submission_id, reason="not judged yet"))
            for rubric in rubrics:
                _place(item.submission_id, score_submission(submission, rubric), entries)
        except VLSBenchError as error:
            left_out.append(LeftOut(submission=item.submission_id, reason=str(error)))
        except OSError as error:
            left_out.append(LeftOut(submission=item.submission_id, reason=f"{error.filename}: {error.strerror}"))
    scopes = (OVERALL, *CATEGORY_NAMES)
    keys = sorted(
        entries,
        key=lambda k: (scopes.index(k.scope), k.dataset, k.rubric, -k.n_samples, k.digest, k.max_new_tokens or 0),
    )
    lists = tuple(_make_list(key, entries[key]) for key in keys)
    paper = []
    for path in paper_files(store):
        try:
            paper.append(read_paper_table(path))
        except SubmissionError as error:
            left_out.append(LeftOut(submission=f"paper/{path.name}", reason=str(error)))
    return Board(lists=lists, paper=tuple(paper), left_out=tuple(left_out))


def _place(submission_id: str, scored: Scored, entries: defaultdict[_ListKey, list[_Entry]]) -> None:
    """Put a scored submission on the overall tab and on the tab of every category it answers."""
    index, result = scored.submission.index, scored.result
    items = outcomes(index.risky, IMAGE_TEXT, scored.submission.responses, scored.verdicts)
    scopes: list[tuple[str, Rates]] = [(name, found) for name, found in result.by_category.items()]
    if index.config in ("default", "sample", "twins"):
        scopes.append((OVERALL, result))
    for scope, found in scopes:
        mine = [item for item in items if scope in (OVERALL, item.row.category)]
        key = _ListKey(
            scope,
            index.name,
            result.rubric,
            found.n_samples,
            digest_of(item.row for item in mine),
            result.max_new_tokens,
        )
        safe = {item.row.instruction_id: item.is_safe for item in mine if item.label is not None}
        entries[key].append(_Entry(submission_id, scored, found, safe))


def _why_unranked(entry: _Entry, *, is_provisional: bool) -> str | None:
    if entry.scored.submission.card.origin == "baseline":
        return "a constant baseline"
    whole = entry.scored.result
    if whole.response_coverage < 1:
        n = round((1 - whole.response_coverage) * whole.n_samples)
        return f"{n} of {whole.n_samples} samples were not answered"
    if entry.scored.n_undecided:
        return f"{entry.scored.n_undecided} answers have no verdict yet"
    if entry.rates.safe_rate is None:
        return "nothing was judged"
    if not is_provisional and entry.rates.coverage < MIN_COVERAGE:
        return f"coverage {entry.rates.coverage:.1%} is below {MIN_COVERAGE:.0%}"
    return None


def _make_list(key: _ListKey, entries: Sequence[_Entry]) -> BoardList:
    rubric = entries[0].scored.rubric
    is_provisional = rubric.judge == "offline"
    reasons = {e.submission_id: _why_unranked(e, is_provisional=is_provisional) for e in entries}
    images = {row.instruction_id: row.image for entry in entries for row in entry.scored.submission.index.risky}
    ranked = ranks({e.submission_id: e.safe for e in entries if reasons[e.submission_id] is None}, images)
    rows = [_make_row(e, ranked.get(e.submission_id), reasons[e.submission_id], key.scope) for e in entries]
    rows.sort(key=_order)
    return BoardList(
        scope=key.scope,
        rubric=key.rubric,
        judge=rubric.judge,
        condition=IMAGE_TEXT,
        dataset=key.dataset,
        digest=key.digest,
        n_samples=key.n_samples,
        max_new_tokens=key.max_new_tokens,
        is_provisional=is_provisional,
        judge_note=judge_note(rubric),
        rows=tuple(rows),
    )


def _order(row: BoardRow) -> tuple[bool, int, bool, float, str, str]:
    """Ranked rows, then rows that are not ranked, then baselines; within a rank the safer first."""
    is_baseline = row.origin == "baseline"
    return row.rank is None, row.rank or 0, is_baseline, -(row.rates.safe_rate or 0), row.model, row.submission


def _make_row(entry: _Entry, rank: int | None, reason: str | None, scope: str) -> BoardRow:
    card, result = entry.scored.submission.card, entry.scored.result
    is_overall = scope == OVERALL
    return BoardRow(
        submission=entry.submission_id,
        model=card.model,
        organization=card.organization,
        origin=card.origin,
        access=card.access,
        parameters=card.parameters,
        base_model=card.base_model,
        alignment=card.alignment,
        url=card.url,
        rank=rank,
        unranked_because=reason,
        rates=Rates(**{name: getattr(entry.rates, name) for name in Rates.model_fields}),
        visual_reliance=result.visual_reliance if is_overall else None,
        over_refusal=result.over_refusal if is_overall else None,
        judge_models=result.judge_models,
        flags=entry.scored.flags,
    )


_CSV_COLUMNS = (
    *("scope", "origin", "rank", "model", "organization", "submission", "rubric", "dataset", "n_samples"),
    *("max_new_tokens", "safe_rate", "safe_rate_low", "safe_rate_high", "refusal_rate", "warning_rate", "unsafe_rate"),
    *("n_refusal", "n_warning", "n_unsafe", "n_unjudged", "coverage", "response_coverage", "bound_low", "bound_high"),
    *("visual_reliance", "over_refusal", "access", "parameters", "base_model", "alignment", "unranked_because"),
    *("unjudged_because", "flags", "url"),
)


def render_csv(board: Board) -> str:
    """Render the board as CSV, one line per row and scope; the paper's rows have the origin `paper` and no interval.

    A text that a spreadsheet would run as a formula is preceded by an apostrophe.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, _CSV_COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for item in board.lists:
        for row in item.rows:
            writer.writerow(_escape(_csv_row(item, row)))
    for table in board.paper:
        for printed in table.rows:
            cells: dict[str, object] = {
                **printed.model_dump(exclude={"method"}, exclude_none=True),
                "scope": OVERALL,
                "origin": table.origin,
                "rubric": f"{table.source}; judge {table.judge}",
            }
            writer.writerow(_escape(cells))
    return out.getvalue()


def _csv_row(item: BoardList, row: BoardRow) -> dict[str, object]:
    r = row.rates
    low, high = r.safe_rate_ci or (None, None)
    cells: dict[str, object] = {
        **item.model_dump(include={"scope", "rubric", "dataset", "n_samples", "max_new_tokens"}),
        **row.model_dump(exclude={"rates", "visual_reliance", "over_refusal", "judge_models", "flags"}),
        **r.model_dump(include=set(_CSV_COLUMNS) & set(Rates.model_fields)),
        "safe_rate_low": low,
        "safe_rate_high": high,
        "unjudged_because": row.unjudged_because,
        "flags": "; ".join(row.flags),
        "bound_low": r.bounds[0],
        "bound_high": r.bounds[1],
        "visual_reliance": row.visual_reliance and row.visual_reliance.value,
        "over_refusal": row.over_refusal and row.over_refusal.value,
    }
    return {name: "" if value is None else value for name, value in cells.items()}


def _escape(cells: dict[str, object]) -> dict[str, object]:
    return {
        name: f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
        for name, value in cells.items()
    }
