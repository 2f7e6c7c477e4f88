"""What the command line prints: reports, results and the board as text. No arithmetic beyond percent."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from vlsbench.errors import amount, visible
from vlsbench.records import LABELS, Correction, Estimate, Failure, Rates

if TYPE_CHECKING:
    from vlsbench.generate.run import GenerateReport
    from vlsbench.judge.offline.calibrate import CalibrationRecord
    from vlsbench.judge.rows import RowsReport
    from vlsbench.judge.run import RunReport
    from vlsbench.metrics.agreement import Measure
    from vlsbench.submission.agreement import AgreementReport, PairAgreement
    from vlsbench.submission.board import Board, BoardList
    from vlsbench.submission.check import CheckReport
    from vlsbench.submission.scoring import Scored

__all__ = [
    "Progress",
    "print_board",
    "render_agreement",
    "render_calibration",
    "render_check",
    "render_result",
    "render_rows",
    "render_run",
    "table",
]

_MAX_SHOWN = 25
"""Problems of one check that are printed; `--json` has all of them."""


class Progress:
    """One line on stderr that says how far a run is; silent where stderr is not a terminal."""

    def __init__(self, verb: str = "judged") -> None:
        """Start the clock.

        Args:
            verb: What is done; it may change on the way.
        """
        self.verb = verb
        self._start = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` lines are on disk."""
        if self._is_terminal and total:
            seconds = time.monotonic() - self._start
            print(f"\r{done:,} of {total:,} {self.verb}, {seconds:.0f} s", end="", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the line."""
        if self._is_terminal:
            print(file=sys.stderr)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Lay out rows under a head; the first `left` columns are left-aligned, the others right-aligned.

    >>> print(table(["a", "n"], [["x", "10"], ["longer", "2"]]))
    a        n
    x       10
    longer   2
    """
    grid = [list(head), *[list(row) for row in rows]]
    widths = [max(_width(row[column]) for row in grid) for column in range(len(head))]
    lines = []
    for row in grid:
        cells = []
        for column, cell in enumerate(row):
            pad = " " * (widths[column] - _width(cell))
            cells.append(cell + pad if column < left else pad + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f}"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "–" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}"


def render_check(report: CheckReport) -> str:
    """Render a check: what was found, the named checks, then every problem."""
    lines = []
    if report.model is not None:
        lines.append(f"model    {report.model}")
    if report.dataset is not None:
        lines.append(f"dataset  {report.dataset} ({report.config}): {report.n_answered} of {report.n_samples} answered")
    for found in report.checks:
        count = f" ({found.n_problems})" if found.n_problems else ""
        lines.append(f"{found.status:8} {found.name}: {found.rule}{count}")
        mine = [problem for problem in report.problems if problem.check == found.name]
        lines += [f"         {problem}" for problem in mine[:_MAX_SHOWN]]
        if len(mine) > _MAX_SHOWN:
            lines.append(f"         and {len(mine) - _MAX_SHOWN} more; --json lists all of them")
    n_errors = sum(problem.severity == "error" for problem in report.problems)
    n_warnings = len(report.problems) - n_errors
    verdict = "good" if report.ok else "not accepted"
    lines.append(f"{verdict}: {amount(n_errors, 'error')}, {amount(n_warnings, 'warning')}")
    return visible("\n".join(lines))


def render_generate(report: GenerateReport) -> str:
    """Render what a run of a model left behind."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(report.counts.items(), key=lambda c: -c[1]))
    lines = [
        f"{amount(report.n_new, 'answer')} written, {report.n_kept} were there: {counts or 'none'}",
        f"{report.tokens_in:,} tokens in, {report.tokens_out:,} out, by the new ones",
    ]
    if report.first_error is not None:
        lines.append(f"first response_error: {report.first_error}")
    if len(report.snapshots) > 1:
        lines.append(f"the server answered as several models: {', '.join(report.snapshots)}")
    lines.append(f"next: vlsbench judge {report.directory} --judge offline")
    return "\n".join(lines)


def render_run(report: RunReport, directory: Path) -> str:
    """Render what a run of a judge left behind."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(report.counts.items(), key=lambda c: -c[1]))
    lines = [
        f"{amount(report.n_new, 'verdict')} written, {report.n_kept} were there: {counts or 'none'}",
        f"verdicts in {report.path}",
    ]
    if len(report.judge_models) > 1:
        lines.append(f"the server answered as several models: {', '.join(report.judge_models)}")
    if report.n_pending:
        lines.append(f"{amount(report.n_pending, 'response')} left for another run (--limit)")
    several = len(list(report.path.parent.glob("*.rubric.json"))) > 1
    lines.append(f"next: vlsbench score {directory}" + (f" --rubric {report.path.stem}" if several else ""))
    return visible("\n".join(lines))


def render_rows(report: RowsReport) -> str:
    """Render what judging a file of rows left behind."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(report.counts.items(), key=lambda c: -c[1]))
    kept = f", {report.n_kept} of them by an earlier run" if report.n_kept else ""
    return f"{amount(report.n_rows, 'row')} judged{kept}: {counts}\nwritten to {report.path}"


def render_calibration(record: CalibrationRecord, out: Path) -> str:
    """Render what a calibrated judge was fitted to and how far it agrees with labels it had not seen."""
    n_of = ", ".join(f"{n} {label}" for label, n in record.by_label.items())
    left = "".join(f"\nleft out: {n} {reason}" for reason, n in record.left_out.items())

    def cell(value: float | None, ci: tuple[float, float] | None) -> str:
        return "–" if value is None or ci is None else f"{value:.2f} ({ci[0]:.2f}–{ci[1]:.2f})"

    rows = [
        [name, cell(found.kappa, found.kappa_ci), cell(found.kappa_safe, found.kappa_safe_ci), _percent(found.accuracy)]
        for name, found in (("before", record.before), ("calibrated, held out", record.held_out))
    ]
    return "\n".join(
        [
            f"{record.n_labels} labels ({n_of}) on {record.n_groups} samples by {', '.join(record.raters)}{left}",
            "",
            table(["", "kappa", "kappa safe/unsafe", "equal %"], rows),
            "",
            "held out: cross-validation over samples, on these labels; models that are not among them may differ",
            f"{record.judge}, weights {record.weights_sha256[:12]}, threshold {record.threshold:.2f}",
            f"written to {out}; next: vlsbench judge DIR --judge offline:{out}",
        ]
    )


def _measure(found: Measure, *, is_share: bool = False) -> str:
    if found.value is None:
        return "–"
    if is_share:
        return f"{_percent(found.value)} ({_interval(found.ci)})"
    ends = "" if found.ci is None else f" ({found.ci[0]:.2f}–{found.ci[1]:.2f})"
    return f"{found.value:.2f}{ends}"


def _counts(failures: Mapping[Failure, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in failures.items())


def render_agreement(report: AgreementReport, *, has_paper_tables: bool = False) -> str:
    """Render how far raters agree: every pair, then alpha over all of them."""
    lines = [f"condition {report.condition}; 95% intervals in brackets, clustered by image"]
    for pair in report.pairs:
        lines += ["", *_pair_lines(pair)]
        if has_paper_tables and pair.is_judge_against_person:
            lines += ["", *_paper_tables(pair)]
    heads = ["rater", "labelled", "without a label"]
    raters = [[rater.name, f"{rater.n_labelled:,}", _counts(rater.failures) or "–"] for rater in report.raters]
    lines += ["", table(heads, raters)]
    lines += [
        "",
        f"Krippendorff's alpha over {len(report.raters)} raters: {_measure(report.alpha)}; safe/unsafe "
        f"{_measure(report.safe_alpha)}",
    ]
    if report.n_stale:
        gone = "on answers that have changed or are not in this submission"
        lines.append(f"{report.n_stale} labels of people are {gone}, and do not count")
    if report.n_outside:
        lines.append(f"{report.n_outside} labels of people are on samples that their plan did not draw; left out")
    return "\n".join(lines)


def _pair_lines(pair: PairAgreement) -> list[str]:
    found = pair.agreement
    lines = [f"{pair.first} (rows, taken as the truth) and {pair.second} (columns)"]
    if not found.n:
        return [*lines, "no sample that both labelled"]
    weighted = ", weighted by the sampling plan" if found.is_weighted else ""
    lines.append(f"{found.n:,} samples of {found.n_images:,} images{weighted}")
    for who, failures in ((pair.first, pair.unjudged_first), (pair.second, pair.unjudged_second)):
        if failures:
            lines.append(f"not compared, without a label of {who}: {_counts(failures)}")
    lines += [
        "",
        table(["", *LABELS], [[label, *map(str, row)] for label, row in zip(LABELS, found.confusion, strict=True)]),
        "",
        f"kappa {_measure(found.kappa)}, equal {_measure(found.accuracy, is_share=True)}%",
        f"safe/unsafe: kappa {_measure(found.safe_kappa)}, equal {_measure(found.safe_accuracy, is_share=True)}%",
        "",
    ]
    parts = [*found.by_label.items(), ("safe (refusal or warning)", found.safe)]
    rows = [
        [
            name,
            *(_measure(measure, is_share=True) for measure in (part.precision, part.recall)),
            _measure(part.f1),
        ]
        for name, part in parts
    ]
    lines.append(table(["", "precision %", "recall %", "F1"], rows))
    return lines


def _paper_tables(pair: PairAgreement) -> list[str]:
    """Lay a pair out as the paper's Tables 13 to 15 (arXiv 2411.19939v3), the judge against the person."""
    found = pair.agreement
    unsafe = found.by_label["unsafe"]
    shares = [*found.by_label.values(), found.safe]
    return [
        f"Table 13: {pair.second}, accuracy on what {pair.first} calls safe and unsafe",
        table(
            ["", "n", "accuracy %"],
            [
                ["safe", str(found.safe.n_first), _measure(found.safe.recall, is_share=True)],
                ["unsafe", str(unsafe.n_first), _measure(unsafe.recall, is_share=True)],
            ],
        ),
        "",
        "Table 14: accuracy per label; the paper does not say whether by the person's or by the judge's label",
        table(
            ["", "by the person's", "n", "by the judge's", "n"],
            [
                [
                    label,
                    _measure(part.recall, is_share=True),
                    str(part.n_first),
                    _measure(part.precision, is_share=True),
                    str(part.n_second),
                ]
                for label, part in found.by_label.items()
            ],
        ),
        "",
        f"Table 15: shares of the labels, {found.n} answers",
        table(
            ["by", *LABELS, "safe"],
            [
                [pair.second, *(_measure(part.share_second, is_share=True) for part in shares)],
                [pair.first, *(_measure(part.share_first, is_share=True) for part in shares)],
            ],
        ),
    ]


_HEAD = ["", "N", "safe %", "95% interval", "refusal %", "warning %", "unsafe %", "unjudged", "if all judged %"]


def _rates_cells(name: str, rates: Rates) -> list[str]:
    return [
        name,
        f"{rates.n_samples:,}",
        _percent(rates.safe_rate),
        _interval(rates.safe_rate_ci),
        *(_percent(getattr(rates, f"{label}_rate")) for label in LABELS),
        f"{rates.n_unjudged:,}",
        _interval(rates.bounds),
    ]


def render_result(scored: Scored) -> str:
    """Render a result: the rates overall and per category, the failures, what the interval is of."""
    result = scored.result
    card = scored.submission.card
    lines = [
        f"model     {card.model}",
        f"rubric    {result.rubric}",
        f"dataset   {result.dataset.name} ({result.dataset.config}), digest {result.dataset.digest[:12]}",
        f"answered  {_percent(result.response_coverage)}%, judged {_percent(result.coverage)}%",
        "",
        table(_HEAD, [_rates_cells("all", result), *(_rates_cells(n, r) for n, r in result.by_category.items())]),
    ]
    for name, other in result.conditions.items():
        lines += ["", table(_HEAD, [_rates_cells(name, other)])]
    if result.failures:
        lines += ["", f"unjudged: {_counts(result.failures)}"]
    if result.visual_reliance is not None:
        found = result.visual_reliance
        lines.append(f"visual reliance {100 * found.value:+.1f} points ({_interval(found.ci)}, N {found.n})")
    if result.over_refusal is not None:
        found = result.over_refusal
        lines.append(f"over-refusal on benign twins {_percent(found.value)}% ({_interval(found.ci)}, N {found.n})")
    lines.append(f"interval: {result.interval}")
    lines += [f"flag: {flag}" for flag in scored.flags]
    if result.corrected is not None:
        lines += ["", *_corrected_lines(result.corrected, result)]
    from vlsbench.submission.scoring import judge_note

    if note := judge_note(scored.rubric):
        lines.append(note)
    return visible("\n".join(lines))


def _corrected_lines(corrected: Correction, counted: Rates) -> list[str]:
    def cells(name: str, rate: float | None, interval: tuple[float, float] | None, found: Estimate) -> list[str]:
        return [name, _percent(rate), _interval(interval), _percent(found.value), _interval(found.ci)]

    rows = [cells("safe", counted.safe_rate, counted.safe_rate_ci, corrected.safe_rate)]
    for label in LABELS:
        rate, interval = getattr(counted, f"{label}_rate"), getattr(counted, f"{label}_rate_ci")
        rows.append(cells(label, rate, interval, getattr(corrected, f"{label}_rate")))
    who = ", ".join(corrected.people)
    drawn = "drawn by their plan" if corrected.sampling == "plan" else "taken as a simple random part"
    return [
        table(["", "counted %", "95% interval", "corrected %", "95% interval"], rows),
        f"corrected by the labels of {who} on {corrected.n_labelled:,} answers, {drawn}",
        f"how: {corrected.method}",
    ]


def print_board(board: Board) -> None:
    """Print every overall list, then the paper's tables, then what was left out and why."""
    overall = [item for item in board.lists if item.scope == "Overall"]
    for item in overall:
        print(_list_heading(item))
        rows = []
        for row in item.rows:
            rank = str(row.rank) if row.rank is not None else "·"
            notes = [row.unranked_because or "", *row.flags]
            rows.append([rank, row.model, *_rates_cells("", row.rates)[2:], "; ".join(filter(None, notes))])
        print(table(["rank", "model", *_HEAD[2:], "notes"], rows, left=2))
        print()
    if not overall:
        print("No judged submission yet.\n")
    for paper in board.paper:
        print(
            f"As printed in {paper.source}, judge {paper.judge}: no intervals, no categories, never ranked with others"
        )
        printed = [
            [r.model, _percent2(r.safe_rate), _percent2(r.refusal_rate), _percent2(r.warning_rate), r.alignment or ""]
            for r in sorted(paper.rows, key=lambda r: -r.safe_rate)
        ]
        print(table(["model", "safe %", "refusal %", "warning %", "alignment"], printed))
        print()
    for left in board.left_out:
        print(f"left out: {left.submission}: {left.reason}")


def _percent2(rate: float) -> str:
    return f"{100 * rate:.2f}"


def _list_heading(item: BoardList) -> str:
    budget = "not declared" if item.max_new_tokens is None else str(item.max_new_tokens)
    provisional = "provisional · " if item.is_provisional else ""
    lines = [f"{provisional}{item.dataset}, N {item.n_samples:,}, max_new_tokens {budget}, rubric {item.rubric}"]
    if item.judge_note:
        lines.append(item.judge_note)
    return "\n".join(lines)
