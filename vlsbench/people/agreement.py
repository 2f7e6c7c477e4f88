"""How far the judges of a submission, and people, agree on it.

Compared are the samples that enter N under one condition and that both raters have labelled. What one of them saw but
gave no label is counted apart, by reason: a failure is never a label.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from vlsbench.errors import SubmissionError, UsageError, amount, plural
from vlsbench.files import StrPath, write_atomic
from vlsbench.judge.verdicts import choose_rubric, list_rubrics, read_verdicts, verdicts_that_hold
from vlsbench.metrics.agreement import Agreement, Measure, alpha_with_interval, cohens_kappa, compare
from vlsbench.metrics.rates import Outcome, outcomes
from vlsbench.people.labels import HUMAN_FOLDER, People, answers_of, label_weights, read_people
from vlsbench.records import (
    IMAGE_TEXT,
    LABELS,
    Abstention,
    Count,
    Failure,
    Key,
    Label,
    Record,
    Verdict,
    outcomes_in_words,
)
from vlsbench.submission.check import Submission, open_submission
from vlsbench.text import percent, percent_interval, table, tally

__all__ = [
    "AgreementReport",
    "PairAgreement",
    "RaterSummary",
    "agree_directory",
    "draw_agreement",
    "people_apart",
    "render_agreement",
]

_PERSON = "human:"


class RaterSummary(Record):
    """A judge or a person, and what it decided."""

    name: str
    """`rubric_id`, or `human:<name>`."""
    n_labelled: Count
    failures: dict[Failure, int]
    """Samples it saw and gave no label, by reason."""
    abstained: dict[Abstention, Count] = Field(default_factory=dict)
    """Of those that are `judge_uncertain`, by the reason of a judge that gives one."""


class PairAgreement(Record):
    """Two raters, compared on the samples that both labelled."""

    first: str
    """Taken as the truth where that matters: a person before a judge, else the one named first."""
    second: str
    unjudged_first: dict[Failure, int]
    """Samples that both saw and the first gave no label, by reason."""
    unjudged_second: dict[Failure, int]
    """Samples that both saw and the second gave no label, by reason."""
    weights: Literal["plan", "none"]
    """`plan`: samples count by the inverse of their probability to be drawn for the person."""
    agreement: Agreement

    @property
    def is_judge_against_person(self) -> bool:
        """Whether this is what the paper's Tables 13 to 15 are of."""
        return self.first.startswith(_PERSON) and not self.second.startswith(_PERSON)


class AgreementReport(Record):
    """What `vlsbench agree` finds."""

    directory: str
    condition: str
    raters: tuple[RaterSummary, ...]
    alpha: Measure
    """Krippendorff's alpha of the three labels over all raters, on the samples as they were labelled."""
    safe_alpha: Measure
    """The same for safe (refusal or warning) against unsafe."""
    n_stale: int
    """People's verdicts that do not count, because the answer they are on has changed or is gone."""
    n_outside: int
    """People's labels on samples that their plan had not drawn; they have no weight and are left out."""
    pairs: tuple[PairAgreement, ...]


class _Rater(NamedTuple):
    name: str
    verdicts: Mapping[Key, Verdict]
    weights: Mapping[int, float] | None
    """By `instruction_id`, for a person who labelled by a plan."""
    n_outside: int = 0
    """Labels on samples that the plan had not drawn."""

    @property
    def is_person(self) -> bool:
        return self.name.startswith(_PERSON)


def agree_directory(
    directory: StrPath, between: Sequence[str] = (), human: StrPath | None = None, *, condition: str = IMAGE_TEXT
) -> AgreementReport:
    """Compare every two raters of a submission.

    Args:
        between: Rubric ids or their beginnings, and `human:<name>` for a person; none for every rubric there is.
        human: A file of people's verdicts; everybody in it is compared. None looks for the people of `between` in
            the submission's folder `human/`.
        condition: Under which the answers were given.

    Raises:
        UsageError: If fewer than two raters are asked for.
        SubmissionError: If the submission does not pass the gate, a rater is not there, or a file is broken.
    """
    submission = open_submission(directory)
    directory = submission.directory
    if not any(found == condition for _, found in submission.responses):
        raise SubmissionError(f"{directory}: has no line under the condition {condition!r}.")
    people = read_people(Path(human), submission.responses) if human is not None else None
    raters: dict[str, _Rater] = {}
    n_stale = 0 if people is None else people.n_stale
    for name in between or list_rubrics(directory):
        if name.startswith(_PERSON):
            found = people or _own_people(directory, name, submission)
            n_stale += found.n_stale if people is None else 0
            raters[name] = _person(submission, found, name, condition)
        else:
            rubric_id = choose_rubric(directory, name)
            held = verdicts_that_hold(
                read_verdicts(directory / "verdicts" / f"{rubric_id}.jsonl"), submission.responses
            )
            raters[rubric_id] = _Rater(rubric_id, held, None)
    for name in people.verdicts if people is not None else ():
        raters.setdefault(_PERSON + name, _person(submission, people, _PERSON + name, condition))
    if len(raters) < 2:
        raise UsageError(
            f"agreement is between two raters or more; found {', '.join(raters) or 'none'}. Name rubrics or people "
            "with --between, or people's labels with --human."
        )
    return _report(submission, condition, list(raters.values()), n_stale)


def _own_people(directory: Path, name: str, submission: Submission) -> People:
    path = directory / HUMAN_FOLDER / f"{name.removeprefix(_PERSON)}.jsonl"
    if path.parent != directory / HUMAN_FOLDER:
        raise UsageError(f"--between {name!r} is no person; it is 'human:NAME'.")
    return read_people(path, submission.responses)


def _person(submission: Submission, people: People | None, rater: str, condition: str) -> _Rater:
    name = rater.removeprefix(_PERSON)
    if people is None or name not in people.verdicts:
        known = ", ".join(_PERSON + other for other in people.verdicts) if people is not None else "none"
        raise SubmissionError(f"{submission.directory}: there is no {rater!r} among the people; found {known}.")
    if people.plans[name] is not None and condition == IMAGE_TEXT:
        weights = label_weights(people, answers_of(submission), [name])
        return _Rater(rater, people.verdicts[name], weights.of, weights.n_outside)
    return _Rater(rater, people.verdicts[name], None)


def _report(submission: Submission, condition: str, raters: Sequence[_Rater], n_stale: int) -> AgreementReport:
    rows = submission.index.risky
    seen = {rater.name: outcomes(rows, condition, submission.responses, rater.verdicts) for rater in raters}
    # Who has no line on a sample was never asked; that is no failure.
    asked = {rater.name: [(row.instruction_id, condition) in rater.verdicts for row in rows] for rater in raters}
    images = [row.image for row in rows]
    labels: dict[str, list[Label | None]] = {name: [item.label for item in items] for name, items in seen.items()}
    ratings = list(zip(*labels.values(), strict=True))
    sides = [[None if label is None else label == "unsafe" for label in row] for row in ratings]
    return AgreementReport(
        directory=str(submission.directory),
        condition=condition,
        raters=tuple(
            RaterSummary(
                name=name,
                n_labelled=sum(item.label is not None for item in items),
                failures=_failures(item for item, was_asked in zip(items, asked[name], strict=True) if was_asked),
                abstained=Counter(item.abstention for item in items if item.abstention is not None),
            )
            for name, items in seen.items()
        ),
        alpha=alpha_with_interval(ratings, images),
        safe_alpha=alpha_with_interval(sides, images),
        n_stale=n_stale,
        n_outside=sum(rater.n_outside for rater in raters),
        pairs=tuple(_pair(first, second, seen, asked) for first, second in _pairs(raters)),
    )


def _pairs(raters: Sequence[_Rater]) -> Iterator[tuple[_Rater, _Rater]]:
    """Every two raters, a person before a judge."""
    for first, second in combinations(raters, 2):
        yield (second, first) if second.is_person and not first.is_person else (first, second)


MIN_SHARED = 10
"""Answers labelled by two people, below which nothing is said of how they read the rubric."""


def people_apart(people: People) -> list[str]:
    """Say which two people say the same of fewer than half of the answers that both labelled, no more than by chance.

    Returns:
        A sentence for every such two; none for two who share fewer than `MIN_SHARED` answers.
    """
    found = []
    for (first, mine), (second, theirs) in combinations(people.verdicts.items(), 2):
        both = Counter((mine[key].label, theirs[key].label) for key in mine.keys() & theirs.keys())
        confusion = [[both[a, b] for b in LABELS] for a in LABELS]
        found.append(_apart(_PERSON + first, _PERSON + second, confusion))
    return [sentence for sentence in found if sentence is not None]


def _apart(first: str, second: str, confusion: Sequence[Sequence[int]]) -> str | None:
    n, n_equal = sum(map(sum, confusion)), sum(row[place] for place, row in enumerate(confusion))
    kappa = cohens_kappa(confusion)
    if n < MIN_SHARED or 2 * n_equal >= n or kappa is None or kappa > 0:
        return None
    return (
        f"{first} and {second} say the same of {n_equal} of {amount(n, 'answer')} (kappa {kappa:.2f}), no more than by "
        "chance: they read the rubric differently, and what rests on both rests on neither. Talk, and label again."
    )


def _failures(items: Iterator[Outcome]) -> dict[Failure, int]:
    return dict(sorted(Counter(item.failure for item in items if item.failure is not None).items()))


def _pair(
    first: _Rater, second: _Rater, seen: Mapping[str, list[Outcome]], asked: Mapping[str, list[bool]]
) -> PairAgreement:
    both = [
        (a, b)
        for a, b, asked_a, asked_b in zip(
            seen[first.name], seen[second.name], asked[first.name], asked[second.name], strict=True
        )
        if asked_a and asked_b
    ]
    # Two people are compared on the samples as they are: the weights are of a person's part of all answers.
    weights = first.weights if not second.is_person else None
    labelled = [
        (a.label, b.label, a.row)
        for a, b in both
        if a.label is not None and b.label is not None and (weights is None or a.row.instruction_id in weights)
    ]
    return PairAgreement(
        first=first.name,
        second=second.name,
        unjudged_first=_failures(a for a, _ in both),
        unjudged_second=_failures(b for _, b in both),
        weights="none" if weights is None else "plan",
        agreement=compare(
            [a for a, _, _ in labelled],
            [b for _, b, _ in labelled],
            [row.image for _, _, row in labelled],
            weights=None if weights is None else [weights[row.instruction_id] for _, _, row in labelled],
        ),
    )


def draw_agreement(report: AgreementReport, path: StrPath) -> None:
    """Draw the kappas and the confusion of every pair into one page; it needs no network, and no other file.

    Raises:
        UsageError: If plotly is not installed.
    """
    try:
        from plotly import graph_objects
        from plotly.subplots import make_subplots
    except ImportError:
        raise UsageError("a plot needs plotly: pip install 'vlsbench[leaderboard]'") from None

    pairs = report.pairs
    n_rows = 1 + math.ceil(len(pairs) / 2)
    names = [f"{_plain(pair.first)}<br>and {_plain(pair.second)}" for pair in pairs]
    heights = [90.0 + 45 * len(pairs), *[330.0] * (n_rows - 1)]
    figure = make_subplots(
        rows=n_rows,
        cols=2,
        specs=[[{"colspan": 2}, None], *[[{}, {}] for _ in range(n_rows - 1)]],
        row_heights=heights,
        vertical_spacing=95 / (sum(heights) + 95 * n_rows),
        horizontal_spacing=0.16,
        subplot_titles=["Cohen's kappa, 95% interval", *names],
    )
    three, sides = [pair.agreement.kappa for pair in pairs], [pair.agreement.safe_kappa for pair in pairs]
    figure.add_trace(_dots(graph_objects, "refusal / warning / unsafe", "#0072B2", three, shift=-0.13), row=1, col=1)
    figure.add_trace(_dots(graph_objects, "safe / unsafe", "#D55E00", sides, shift=0.13), row=1, col=1)
    for position, pair in enumerate(pairs):
        row, column = 2 + position // 2, 1 + position % 2
        figure.add_trace(_heatmap(graph_objects, pair), row=row, col=column)
        figure.update_xaxes(title_text=_plain(_short(pair.second)), row=row, col=column)
        figure.update_yaxes(title_text=_plain(_short(pair.first)), autorange="reversed", row=row, col=column)
    figure.update_xaxes(range=[-0.25, 1.02], row=1, col=1)
    figure.update_yaxes(range=[len(pairs) - 0.5, -0.5], tickvals=list(range(len(pairs))), ticktext=names, row=1, col=1)
    figure.update_layout(
        template="plotly_white",
        height=sum(heights) + 95 * n_rows + 120,
        margin={"l": 20, "r": 20, "t": 100, "b": 40},
        legend={"orientation": "h", "yref": "container", "y": 0.985, "x": 0},
    )
    figure.update_annotations(font_size=13)
    page = figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False})
    write_atomic(Path(path), page)


def _dots(graph_objects: Any, what: str, colour: str, measures: Sequence[Measure], *, shift: float) -> Any:
    """One dot with its interval per pair, `shift` rows below the pair's line."""
    return graph_objects.Scatter(
        name=what,
        x=[measure.value for measure in measures],
        y=[row + shift for row in range(len(measures))],
        mode="markers",
        marker={"color": colour, "size": 10},
        hovertemplate="%{x:.2f}<extra>" + what + "</extra>",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [None if m.ci is None or m.value is None else m.ci[1] - m.value for m in measures],
            "arrayminus": [None if m.ci is None or m.value is None else m.value - m.ci[0] for m in measures],
        },
    )


def _heatmap(graph_objects: Any, pair: PairAgreement) -> Any:
    table = pair.agreement.confusion
    return graph_objects.Heatmap(
        z=[[count / max(1, sum(row)) for count in row] for row in table],
        text=[[str(count) for count in row] for row in table],
        texttemplate="%{text}",
        x=list(LABELS),
        y=list(LABELS),
        zmin=0,
        zmax=1,
        colorscale="Blues",
        showscale=False,
        hovertemplate="%{y} called %{x}: %{text} of its row, %{z:.1%}<extra></extra>",
    )


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:24]}…{name[-12:]}"


def _plain(text: str) -> str:
    """Make a name safe for plotly, which renders `<b>` and `<a>` in its texts."""
    return html.escape(text)


def render_agreement(report: AgreementReport, *, has_paper_tables: bool = False) -> str:
    """Render how far raters agree: every pair, then alpha over all of them."""
    lines = [f"condition {report.condition}; 95% intervals in brackets, clustered by image"]
    for pair in report.pairs:
        lines += ["", *_pair_lines(pair)]
        if has_paper_tables and pair.is_judge_against_person:
            lines += ["", *_paper_tables(pair)]
    heads = ["rater", "labelled", "without a label"]
    raters = [
        [rater.name, f"{rater.n_labelled:,}", outcomes_in_words(rater.failures, rater.abstained) or "–"]
        for rater in report.raters
    ]
    lines += ["", table(heads, raters)]
    lines += [
        "",
        f"Krippendorff's alpha over {amount(len(report.raters), 'rater')}: {_measure(report.alpha)}; safe/unsafe "
        f"{_measure(report.safe_alpha)}",
    ]
    if report.n_stale:
        gone = "on answers that have changed or are not in this submission, and not counted"
        lines.append(f"{amount(report.n_stale, 'label')} of people {plural(report.n_stale, 'is', 'are')} {gone}")
    if report.n_outside:
        lines.append(
            f"{amount(report.n_outside, 'label of people is', 'labels of people are')} on samples that their plan did "
            "not draw; left out"
        )
    return "\n".join(lines)


def _pair_lines(pair: PairAgreement) -> list[str]:
    found = pair.agreement
    lines = [f"{pair.first} (rows, taken as the truth) and {pair.second} (columns)"]
    if not found.n:
        return [*lines, "no sample that both labelled"]
    weighted = ", weighted by the sampling plan" if found.is_weighted else ""
    lines.append(f"{amount(found.n, 'sample')} of {amount(found.n_images, 'image')}{weighted}")
    for who, failures in ((pair.first, pair.unjudged_first), (pair.second, pair.unjudged_second)):
        if failures:
            lines.append(f"not compared, without a label of {who}: {tally(failures)}")
    lines += [
        "",
        table(["", *LABELS], [[label, *map(str, row)] for label, row in zip(LABELS, found.confusion, strict=True)]),
        "",
        f"kappa {_measure(found.kappa)}, equal {_measure(found.accuracy, is_share=True)}%",
        f"safe/unsafe: kappa {_measure(found.safe_kappa)}, equal {_measure(found.safe_accuracy, is_share=True)}%",
        "",
    ]
    apart = _apart(pair.first, pair.second, found.confusion) if pair.second.startswith(_PERSON) else None
    if apart is not None:
        lines += [apart, ""]
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
        f"Table 15: shares of the labels, {amount(found.n, 'answer')}",
        table(
            ["by", *LABELS, "safe"],
            [
                [pair.second, *(_measure(part.share_second, is_share=True) for part in shares)],
                [pair.first, *(_measure(part.share_first, is_share=True) for part in shares)],
            ],
        ),
    ]


def _measure(found: Measure, *, is_share: bool = False) -> str:
    if found.value is None:
        return "–"
    if is_share:
        return f"{percent(found.value)} ({percent_interval(found.ci, '–')})"
    ends = "" if found.ci is None else f" ({found.ci[0]:.2f}–{found.ci[1]:.2f})"
    return f"{found.value:.2f}{ends}"
