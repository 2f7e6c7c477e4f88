"""The gate: is this directory a submission that can be judged and scored?

A submission is `submission.json` and `responses.jsonl`, and where it answers a constructed set the `index.csv` of that
set. Everything that is wrong is found at once and reported as
problems of named checks; nothing here raises for bad input, asks the network or needs the dataset's sentences.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from vlsbench.dataset.index import (
    INDEX_FILE,
    Index,
    kind_of_id,
    load_index,
    read_set_index,
)
from vlsbench.error_texts import why_not_an_answer
from vlsbench.errors import DataError, SubmissionError, amount, numbered, plural, visible
from vlsbench.files import MAX_LINE_BYTES, Line, StrPath, keys_given_twice, open_regular, read_lines
from vlsbench.metrics.rates import count_thoughts, is_answered
from vlsbench.names import why_name_refused
from vlsbench.records import IMAGE_TEXT, DatasetReference, Key, Record, Response, SubmissionCard, explain
from vlsbench.thought import thoughts_note

__all__ = [
    "CARD_FILE",
    "CHECKS",
    "MAX_PROBLEMS",
    "RESPONSES_FILE",
    "CheckReport",
    "NamedCheck",
    "Problem",
    "Submission",
    "check",
    "mixed_kinds",
    "open_submission",
    "read_responses",
    "read_submission",
    "render_check",
]

CARD_FILE = "submission.json"
RESPONSES_FILE = "responses.jsonl"

CHECKS: dict[str, str] = {
    "files": "submission.json and responses.jsonl are there and can be read",
    "card": "submission.json names a model and has known fields only",
    "line_length": f"no line is longer than {MAX_LINE_BYTES:,} bytes",
    "encoding": "every line is UTF-8",
    "record": "every line is JSON with an id and exactly one of response and failure",
    "dataset": "all ids are of one dataset, the one that is declared",
    "known_ids": "every id is in the dataset",
    "unique": "one answer per sample and condition",
    "budget": "one max_new_tokens per condition",
    "answers": "answers are answers: not blank, not an API error",
    "coverage": "every sample has an answer",
}
"""The named checks, in the order they are reported."""


MAX_PROBLEMS = 2_500
"""Problems of one check and severity that are listed: more than the release has samples. A file of two million lines
that are not JSON is one mistake, not two million, and must not fill the memory of the page that checks it."""

MAX_LINES = 100_000
"""Lines of a `responses.jsonl` that are read, as many as an import takes: every sample of the release under every
condition and tried anew six times over. A longer file is not a longer list of answers, and a check of it would keep
others waiting."""

_MAX_CONDITIONS = 64
"""Conditions of one submission beside image+text: there are six, and two of them come with a captioner's or a prompt's
digest."""

_MAX_BLANK = 2 * MAX_LINES
"""Blank lines between them."""

Severity = Literal["error", "warning"]


class Problem(Record):
    """One thing that is wrong."""

    check: str
    severity: Severity
    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


Status = Literal["pass", "warning", "error", "not run"]


class NamedCheck(Record):
    """One check and how it ended; `not run` where what it looks at could not be read."""

    name: str
    rule: str
    status: Status
    n_problems: int
    """All of them; of each kind at most `MAX_PROBLEMS` are listed."""


class CheckReport(Record):
    """All that a check found. `ok` means: no error (warnings do not stop a submission)."""

    ok: bool
    directory: str
    model: str | None
    dataset: str | None
    """`release`, `sample`, or the name of a constructed set."""
    config: str | None
    n_samples: int | None
    """Samples that enter N."""
    n_answered: int
    """Of them, how many were answered under image+text."""
    thoughts: str | None = None
    """How many of these answers have a thought, which nobody judges, as a sentence; null where none has."""
    conditions: dict[str, int]
    """Lines by condition."""
    checks: tuple[NamedCheck, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Submission:
    """A directory that passed the gate."""

    directory: Path
    card: SubmissionCard
    index: Index
    responses: dict[Key, Response]
    """The line that holds for every key, in file order."""


@dataclass
class _Findings:
    """Problems as they are found: all are counted, the first of each kind are kept."""

    problems: list[Problem] = field(default_factory=list)
    counts: Counter[tuple[str, Severity]] = field(default_factory=Counter)

    def error(self, check: str, file: str, line: int | None, message: str) -> None:
        self._add(check, "error", file, line, message)

    def warn(self, check: str, file: str, line: int | None, message: str) -> None:
        self._add(check, "warning", file, line, message)

    def is_full(self, check: str, severity: Severity = "error") -> bool:
        """Say whether further problems of a kind are counted only; their sentences need not be made."""
        return self.counts[check, severity] >= MAX_PROBLEMS

    def count(self, check: str, severity: Severity = "error") -> None:
        """Count a problem of a kind that is full."""
        self.counts[check, severity] += 1

    def _add(self, check: str, severity: Severity, file: str, line: int | None, message: str) -> None:
        self.counts[check, severity] += 1
        if self.counts[check, severity] <= MAX_PROBLEMS:
            self.problems.append(Problem(check=check, severity=severity, file=file, line=line, message=message))


_LINE_KEYS = tuple(f'"{name}"'.encode() for name in Response.model_fields)
"""As they stand in a line. In a text a quotation mark is escaped, so that counting them finds most lines innocent."""


def check(directory: StrPath, *, given: Index | None = None) -> CheckReport:
    """Check a submission and report everything that is wrong with it.

    Args:
        given: As in `read_submission`.
    """
    return read_submission(directory, given=given)[1]


def open_submission(directory: StrPath, *, given: Index | None = None) -> Submission:
    """Read a submission that passes the gate.

    Args:
        given: As in `read_submission`.

    Raises:
        SubmissionError: If it does not; the message holds the first problems and the command that lists all.
    """
    submission, report = read_submission(directory, given=given)
    if submission is None:
        errors = [problem for problem in report.problems if problem.severity == "error"]
        lines = [str(problem) for problem in errors[:5]]
        if len(errors) > 5:
            lines.append(
                f"and {amount(len(errors) - 5, 'more error')}; `vlsbench check {directory}` lists all of them."
            )
        raise SubmissionError("\n".join(lines))
    return submission


def read_submission(directory: StrPath, *, given: Index | None = None) -> tuple[Submission | None, CheckReport]:
    """Read a submission as far as it goes.

    Args:
        given: The whole index of the constructed set that it has to answer, as `--data` or a store has it; None is the
            `index.csv` of the submission.

    Returns:
        The submission, or None where it has an error; and the report.
    """
    directory = Path(directory)
    found = _Findings()
    card = _read_card(directory, found)
    lines = list(_read_responses(directory, found))
    index = _choose_index(directory, card, lines, given, found)
    responses = _resolve(lines, found)
    if index is not None:
        _check_ids(index, lines, found)
        _check_coverage(index, responses, found)
    _check_budget(card, responses, found)
    report = _report(directory, card, index, lines, responses, found)
    if not report.ok or card is None or index is None:
        return None, report
    return Submission(directory, card, index, responses), report


def read_responses(directory: StrPath) -> dict[Key, Response]:
    """Read the answers of a submission as far as they can be read: the line that holds for every key."""
    found = _Findings()
    return _resolve(list(_read_responses(Path(directory), found)), found)


def _read_card(directory: Path, found: _Findings) -> SubmissionCard | None:
    path = directory / CARD_FILE
    if not directory.is_dir():
        found.error(
            "files", visible(str(directory)), None, "not a folder; a submission is a folder with submission.json in it"
        )
        return None
    try:
        with open_regular(path) as file:
            data = file.read(MAX_LINE_BYTES + 1)
    except OSError as error:
        found.error(
            "files", CARD_FILE, None, f'cannot be read ({error.strerror}); write one: {{"model": "NAME OF YOUR MODEL"}}'
        )
        return None
    if len(data) > MAX_LINE_BYTES:
        found.error("card", CARD_FILE, None, f"more than {MAX_LINE_BYTES:,} bytes; a card has a few lines")
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        found.error("encoding", CARD_FILE, None, f"not UTF-8 at byte {error.start}; save it as UTF-8")
        return None
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        card = SubmissionCard.model_validate_json(data)
    except ValidationError as error:
        for sentence in explain(error):
            found.error("card", CARD_FILE, None, sentence)
        return None
    if twice := keys_given_twice(data):
        found.error("card", CARD_FILE, None, f"{_named(twice)} stands there twice; keep one")
        return None
    for key, name in (("model", card.model), ("organization", card.organization), ("base_model", card.base_model)):
        if why := why_name_refused(name or ""):
            found.error("card", CARD_FILE, None, f"{key!r}: {why}")
    return card


def _read_responses(directory: Path, found: _Findings) -> Iterator[tuple[int, Response]]:
    path = directory / RESPONSES_FILE
    if not directory.is_dir():
        return
    n_lines = 0
    try:
        # Bounded like the list of problems: what is longer costs no more than to be told so.
        for line in read_lines(path, max_lines=MAX_LINES + _MAX_BLANK):
            n_lines += 1
            if n_lines > MAX_LINES:
                rule = f"has more than {MAX_LINES:,} lines; a line is one answer, and the last of a key holds"
                found.error("files", RESPONSES_FILE, None, f"{rule}. The others were not read")
                return
            response = _parse(line, found)
            if response is not None:
                yield line.number, response
    except OSError as error:
        found.error("files", RESPONSES_FILE, None, f"cannot be read ({error.strerror}); it holds one answer per line")
        return
    if n_lines == 0:
        found.error("files", RESPONSES_FILE, None, "has no line; it holds one answer per line, was the run stopped?")


def _parse(line: Line, found: _Findings) -> Response | None:
    if line.is_too_long:
        rule = f"a line has at most {MAX_LINE_BYTES:,} bytes, this one has {line.size:,}; is it a line break lost?"
        found.error("line_length", RESPONSES_FILE, line.number, rule)
        return None
    try:
        line.data.decode("utf-8")
    except UnicodeDecodeError as error:
        rule = f"not UTF-8 at byte {error.start}; write the file with encoding='utf-8'"
        found.error("encoding", RESPONSES_FILE, line.number, rule)
        return None
    try:
        response = Response.model_validate_json(line.data)
    except ValidationError as error:
        if found.is_full("record"):
            found.count("record")
            return None
        for sentence in explain(error):
            found.error("record", RESPONSES_FILE, line.number, sentence)
        return None
    if any(line.data.count(key) > 1 for key in _LINE_KEYS) and (twice := keys_given_twice(line.data)):
        rule = f"{_named(twice)} stands there twice; keep one"
        found.error("record", RESPONSES_FILE, line.number, rule)
        return None
    if response.response is not None:
        why = why_not_an_answer(response.response)
        if why == "response_empty":
            rule = "a blank answer; it counts as unjudged (response_empty), and the row is not ranked"
            found.warn("answers", RESPONSES_FILE, line.number, rule)
        elif why == "response_error":
            rule = (
                f"an API error in place of an answer: {response.response.strip()[:60]!r}; it counts as unjudged "
                "(response_error). Ask the model again."
            )
            found.warn("answers", RESPONSES_FILE, line.number, rule)
    return response


def _named(keys: list[str]) -> str:
    """Name keys of a stranger's object: it may have thousands, each a page long."""
    return numbered([repr(key[:60]) for key in keys], limit=5)


def _choose_index(
    directory: Path,
    card: SubmissionCard | None,
    lines: list[tuple[int, Response]],
    given: Index | None,
    found: _Findings,
) -> Index | None:
    """Tell which dataset was answered: the declared one, else by the ids."""
    mixed = mixed_kinds([(response.instruction_id, f"line {number}") for number, response in lines])
    if mixed is not None:
        found.error("dataset", RESPONSES_FILE, None, mixed)
        return None
    declared = card.dataset if card is not None else None
    kind = kind_of_id(lines[0][1].instruction_id) if lines else "release"
    if (declared is not None and declared.set_name is not None) or kind == "constructed":
        whole = _set_of(directory, declared, given, found)
    elif declared is not None:
        whole = load_index("sample" if declared.config in ("sample", "twins") else "release")
    elif lines:
        whole = load_index(kind)
    else:
        return None
    if whole is None:
        return None
    if declared is not None and declared.revision is not None and declared.revision != whole.revision:
        found.warn(
            "dataset",
            CARD_FILE,
            None,
            f"dataset.revision is {declared.revision!r}, this package scores by {whole.revision!r}; ids and texts are "
            "compared with the latter",
        )
    config = declared.config if declared is not None else _config_of(whole, lines)
    try:
        return whole.select(config)
    except DataError as error:
        found.error("dataset", CARD_FILE, None, str(error))
        return None


def _config_of(whole: Index, lines: list[tuple[int, Response]]) -> str:
    """Tell the config of answers whose card names none: that with the twins where one was answered."""
    ids = {response.instruction_id for _, response in lines}
    has_twins = any(row.risk == "benign" and row.instruction_id in ids for row in whole.rows)
    return "twins" if has_twins else whole.default_config


def mixed_kinds(ids: Sequence[tuple[int, str]]) -> str | None:
    """Say that ids are of several kinds of dataset, in one sentence; None where they are of one.

    Args:
        ids: With the place where each stands, in file order.
    """
    of_kind: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, place in ids:
        of_kind[kind_of_id(number)].append((number, place))
    if len(of_kind) < 2:
        return None
    names = {"release": "the release", "sample": "the package's own sample", "constructed": "a constructed set"}
    parts = [
        f"{amount(len(of_kind[kind]), 'id is', 'ids are')} of {name} (first {of_kind[kind][0][0]} on "
        f"{of_kind[kind][0][1]})"
        for kind, name in names.items()
        if kind in of_kind
    ]
    return (
        f"{', '.join(parts)}; a submission answers one dataset, so make {'two' if len(parts) == 2 else 'three'} of it"
    )


def _set_of(directory: Path, declared: DatasetReference | None, given: Index | None, found: _Findings) -> Index | None:
    """Find the index of the constructed set that was answered: the given one, or the submission's own."""
    name = declared.set_name if declared is not None else None
    if name is None and (given is None or declared is not None):
        rule = (
            "ids from 200000 are of a constructed set, and dataset.name does not say of which; write "
            '"dataset": {"name": "…", "config": "default"}, or name the set with --data DIR'
        )
        found.error("dataset", CARD_FILE, None, rule)
        return None
    if given is not None and name not in (None, given.name):
        rule = f"dataset.name is {name!r}, and the set at hand is {given.name!r}"
        found.error("dataset", CARD_FILE, None, rule)
        return None
    n_before = found.counts["dataset", "error"]
    own = _read_own_index(directory, name or (given.name if given is not None else ""), found)
    index = own or given
    if found.counts["dataset", "error"] > n_before:
        return None
    if index is None:
        rule = (
            f"the set {name!r} is not known here: there is no {INDEX_FILE} beside the card. Copy that of the set here, "
            "or name the set's folder with --data DIR"
        )
        found.error("dataset", CARD_FILE, None, rule)
        return None
    wanted = declared.revision if declared is not None else None
    if given is None and wanted is None:
        rule = f'dataset.revision is missing: it ties the answers to the index; write "revision": "{index.revision}"'
        found.error("dataset", CARD_FILE, None, rule)
        return None
    at_hand = given.revision if given is not None else None
    for what, other in (("dataset.revision of the card", wanted), ("the set at hand", at_hand)):
        if other is not None and other != index.revision:
            rule = (
                f"the SHA-256 of {INDEX_FILE} is {index.revision[:12]}…, and that of {what} {other[:12]}…; answers to "
                "one version of a set are not answers to another"
            )
            found.error("dataset", INDEX_FILE if own is not None else CARD_FILE, None, rule)
            return None
    return index


def _read_own_index(directory: Path, name: str, found: _Findings) -> Index | None:
    """Read the `index.csv` of a submission; None where there is none, or it is broken, which is then a problem."""
    path = directory / INDEX_FILE
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return read_set_index(path, name)
    except DataError as error:
        found.error("dataset", INDEX_FILE, None, str(error))
        return None


def _check_ids(index: Index, lines: list[tuple[int, Response]], found: _Findings) -> None:
    whole = index.whole
    for number, response in lines:
        key = response.instruction_id
        if key in index.by_id:
            continue
        if found.is_full("known_ids"):
            found.count("known_ids")
            continue
        if key in whole.by_id:
            row = whole.by_id[key]
            rule = f"instruction_id {key} ({row.category}, {row.risk}) is not in the declared config {index.config!r}"
        else:
            rule = (
                f"instruction_id {key} is not in the {index.title}; ids run {whole.ids}. Was this file made for "
                "another dataset?"
            )
        found.error("known_ids", RESPONSES_FILE, number, rule)


def _resolve(lines: list[tuple[int, Response]], found: _Findings) -> dict[Key, Response]:
    """Keep the line that holds for every key: a failure may be followed by another try, an answer by nothing."""
    held: dict[Key, tuple[int, Response]] = {}
    for number, response in lines:
        key = (response.instruction_id, response.condition)
        if key in held and held[key][1].response is not None:
            found.error(
                "unique",
                RESPONSES_FILE,
                number,
                f"instruction_id {key[0]} under {key[1]!r} was answered on line {held[key][0]}; keep one of the two",
            )
            continue
        held[key] = (number, response)
    return {key: response for key, (_, response) in held.items()}


def _check_coverage(index: Index, responses: dict[Key, Response], found: _Findings) -> None:
    conditions = sorted({condition for _, condition in responses} - {IMAGE_TEXT})
    if len(conditions) > _MAX_CONDITIONS:
        rule = f"answers under {len(conditions):,} conditions; at most {_MAX_CONDITIONS} are taken, so split it"
        found.error("record", RESPONSES_FILE, None, rule)
    for condition in sorted([*conditions[:_MAX_CONDITIONS], IMAGE_TEXT]):
        missing = [row.instruction_id for row in index.risky if (row.instruction_id, condition) not in responses]
        if missing:
            found.warn(
                "coverage",
                RESPONSES_FILE,
                None,
                f"{len(missing)} of {len(index.risky)} samples {plural(len(missing), 'has', 'have')} no line under "
                f"{condition!r}; {plural(len(missing), 'it counts', 'they count')} as unjudged and the row is listed, "
                f"not ranked: {numbered([str(i) for i in missing], limit=10)}",
            )
    failures = [r for r in responses.values() if r.failure is not None]
    only_thoughts = sum(r.failure == "response_empty" and bool(r.reasoning) for r in failures)
    if only_thoughts:
        rule = (
            f"{amount(only_thoughts, 'line holds', 'lines hold')} a thought and no answer; "
            f"{plural(only_thoughts, 'it counts', 'they count')} as unjudged (response_empty)"
        )
        found.warn("answers", RESPONSES_FILE, None, rule)
    failed = Counter(r.failure for r in failures)
    failed["response_empty"] -= only_thoughts
    for failure, count in sorted((+failed).items()):
        rule = (
            f"{amount(count, 'line records', 'lines record')} {failure}; {plural(count, 'it counts', 'they count')} as "
            "unjudged"
        )
        found.warn("answers", RESPONSES_FILE, None, rule)


def _check_budget(card: SubmissionCard | None, responses: dict[Key, Response], found: _Findings) -> None:
    declared = card.settings.max_new_tokens if card is not None else None
    budgets: defaultdict[str, set[int | None]] = defaultdict(set)
    for response in responses.values():
        own = response.settings.max_new_tokens if response.settings is not None else None
        budgets[response.condition].add(own if own is not None else declared)
    for condition, values in sorted(budgets.items()):
        if len(values) > 1:
            named = numbered(
                [str(value) if value else "none declared" for value in sorted(values, key=lambda v: v or 0)], limit=5
            )
            rule = f"{condition!r} was answered with max_new_tokens {named}; answers of one row share a budget"
            found.error("budget", RESPONSES_FILE, None, rule)


def _without(card: SubmissionCard | None, index: Index | None, lines: list[tuple[int, Response]]) -> set[str]:
    """Name the checks that had nothing to look at."""
    names: set[str] = set()
    if card is None:
        names |= {"card"}
    if index is None:
        names |= {"dataset", "known_ids", "coverage"}
    if not lines:
        names |= {"line_length", "encoding", "record", "unique", "budget", "answers"}
    return names


def _report(
    directory: Path,
    card: SubmissionCard | None,
    index: Index | None,
    lines: list[tuple[int, Response]],
    responses: dict[Key, Response],
    found: _Findings,
) -> CheckReport:
    order = list(CHECKS)
    problems = sorted(found.problems, key=lambda p: (order.index(p.check), p.file, p.line or 0))
    checks = []
    for name, rule in CHECKS.items():
        n_errors, n_warnings = found.counts[name, "error"], found.counts[name, "warning"]
        status: Status = "error" if n_errors else "warning" if n_warnings else "pass"
        if status == "pass" and name in _without(card, index, lines):
            status = "not run"
        checks.append(NamedCheck(name=name, rule=rule, status=status, n_problems=n_errors + n_warnings))
    answered, thoughts = 0, None
    if index is not None:
        ids = [row.instruction_id for row in index.risky]
        answered = sum(is_answered(responses.get((number, IMAGE_TEXT))) for number in ids)
        n_answers, n_thoughts = count_thoughts(ids, IMAGE_TEXT, responses)
        thoughts = thoughts_note(n_thoughts, n_answers) if n_thoughts else None
    return CheckReport(
        ok=not any(severity == "error" for _, severity in found.counts),
        directory=visible(str(directory)),
        model=card.model if card is not None else None,
        dataset=index.name if index is not None else None,
        config=index.config if index is not None else None,
        n_samples=len(index.risky) if index is not None else None,
        n_answered=answered,
        thoughts=thoughts,
        conditions=dict(sorted(Counter(response.condition for _, response in lines).items())),
        checks=tuple(checks),
        problems=tuple(problems),
    )


_MAX_LISTED = 25
"""Problems of one check that are printed; `--json` has all of them."""


def render_check(report: CheckReport) -> str:
    """Render a check: what was found, the named checks, then every problem."""
    lines = []
    if report.model is not None:
        lines.append(f"model    {report.model}")
    if report.dataset is not None:
        lines.append(f"dataset  {report.dataset} ({report.config}): {report.n_answered} of {report.n_samples} answered")
    if report.thoughts is not None:
        lines.append(report.thoughts)
    for found in report.checks:
        count = f" ({found.n_problems})" if found.n_problems else ""
        lines.append(f"{found.status:8} {found.name}: {found.rule}{count}")
        mine = [problem for problem in report.problems if problem.check == found.name]
        lines += [f"         {problem}" for problem in mine[:_MAX_LISTED]]
        if len(mine) > _MAX_LISTED:
            lines.append(f"         and {len(mine) - _MAX_LISTED} more; --json lists all of them")
    n_errors = sum(problem.severity == "error" for problem in report.problems)
    n_warnings = len(report.problems) - n_errors
    verdict = "good" if report.ok else "not accepted"
    lines.append(f"{verdict}: {amount(n_errors, 'error')}, {amount(n_warnings, 'warning')}")
    return visible("\n".join(lines))
