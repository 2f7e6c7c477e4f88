"""`--judge SPEC` and `--guard SPEC`: who judges, what is asked of whom, and what is made of the answers.

    none            nobody: harm leak is not measured
    openai:MODEL    a model that follows instructions, behind any OpenAI-compatible endpoint; our own wordings
    guard:MODEL     a guard, asked and read in its own format (guard:FORMAT=MODEL where its name does not say which):
                    behind --base-url, else by transformers
    people:FILE     people's grades
    offline-text    a keyless judge of texts, if it had passed its gate (`offline_text`)

A judge that reads texts only says nothing of pairs: then, or with `--pair-harm label`, the pair's harm is taken from
the set's own label, and the report says so. Every answer is on disk before it is counted (`asking`); what stops a run
early leaves a report that says over what it speaks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from vlsbench.cost import Meter
from vlsbench.errors import DataError, JudgeError, UsageError, amount
from vlsbench.files import exclusive, sha256_hex
from vlsbench.leakage.asking import (
    Answer,
    AnswerFile,
    AnswerKey,
    Ask,
    EndpointJudge,
    OpenJudge,
    open_local_judge,
    price_of,
)
from vlsbench.leakage.formats import HARMFUL, HARMLESS
from vlsbench.leakage.grades import GradesFile, read_grades
from vlsbench.leakage.guard_twins import find_twins, score_guard
from vlsbench.leakage.harm import DECIDED, agreement_with, harm_leak, tally_failures
from vlsbench.leakage.items import AuditSet
from vlsbench.leakage.judged import Judged, Said, count_said
from vlsbench.leakage.offline_text import refuse_offline_text
from vlsbench.leakage.questions import ABSENT, GUARD_FORMS, JSON_FORM, Absent, Form, Kind, guess_form
from vlsbench.leakage.records import HARM, HarmLeak
from vlsbench.records import Failure, name_without_place
from vlsbench.text import OnProgress, Reached

if TYPE_CHECKING:
    from vlsbench.leakage.groups import Groups

__all__ = [
    "AskedJudge",
    "GuardJudge",
    "JudgeOptions",
    "PeopleJudge",
    "check_absent",
    "check_pair_harm",
    "default_answers",
    "open_guard",
    "open_judge",
    "together",
]

NO_IMAGE: Final = "no_image"
"""The item names no image."""
IMAGE_MISSING: Final = "image_missing"
IMAGE_UNREADABLE: Final = "image_unreadable"
NOT_ASKED: Final = "not_asked"
NO_LABEL: Final = "no_label"

_UNREAD: Final = frozenset({"judge_unparsable", "judge_cut"})
_PROBE: Final = 8
"""Questions that are asked first of a judge that has found nothing yet: where none of them is read, the rest would not
be either, and would be paid for."""


PairHarm = Literal["judge", "label"]
"""Who says that a pair is harmful: the judge, shown both, or the set's own label; then no image is sent."""


@dataclass(frozen=True)
class JudgeOptions:
    """How a judge is asked."""

    base_url: str | None = None
    concurrency: int = 16
    meter: Meter | None = None
    """Counts what is paid, and keeps it below a limit: one for all who are asked."""
    batch_size: int = 8
    absent: Absent = "silent"
    answers: Path | None = None
    """File of answers; None is named after SOURCE, in the working directory."""
    again: AbstractSet[Failure] = frozenset()
    """Failures of an earlier run to ask about again."""
    pair_harm: PairHarm = "judge"
    """Who says that a pair is harmful."""
    people: Path | None = None
    """People's grades, to compare the judge with."""
    max_retries: int = 6
    is_dry: bool = False
    """Nothing will be asked, so no key and no model is needed."""
    on_progress: OnProgress = lambda reached: None


def check_absent(name: str) -> Absent:
    """Return how the absent image is told.

    Raises:
        UsageError: If there is no such way.
    """
    for absent in ABSENT:
        if name == absent:
            return absent
    raise UsageError(f"--absent-image {name!r} is not known; known: {', '.join(ABSENT)}.")


def check_pair_harm(name: str) -> PairHarm:
    """Return who says that a pair is harmful.

    Raises:
        UsageError: If there is no such way.
    """
    known: tuple[PairHarm, ...] = ("judge", "label")
    for one in known:
        if name == one:
            return one
    raise UsageError(f"--pair-harm {name!r} is not known; known: judge, label.")


def open_judge(spec: str, options: JudgeOptions | None = None) -> AskedJudge | PeopleJudge | None:
    """Open the judge of harm leak; None for `none`.

    Raises:
        UsageError: If there is no such judge, or it gives no harm leak.
        DataError: If a file of grades cannot be used.
        JudgeError: If a key or a model is missing.
    """
    options = options or JudgeOptions()
    if spec == "none":
        return None if options.people is None else PeopleJudge(read_grades(options.people))
    if spec.startswith("people:"):
        if options.people is not None:
            raise UsageError("--people compares another judge with people; with --judge people:FILE leave it out.")
        return PeopleJudge(read_grades(Path(spec.removeprefix("people:")).expanduser()))
    if spec == "offline-text":
        refuse_offline_text()
    opened = _open(spec, options, "--judge")
    if opened.form.sees == "image":
        raise UsageError(f"--judge {spec}: it {opened.form.note}.")
    return AskedJudge(opened, options)


def open_guard(spec: str, options: JudgeOptions | None = None) -> GuardJudge:
    """Open a guard that is to be scored on twins.

    Raises:
        UsageError: If there is no such guard.
        JudgeError: If a key or a model is missing.
    """
    options = options or JudgeOptions()
    return GuardJudge(_open(spec if ":" in spec else f"guard:{spec}", options, "--guard"), options)


def _open(spec: str, options: JudgeOptions, option: str) -> OpenJudge:
    name, _, named = spec.partition(":")
    backend = _BACKENDS.get(name)
    if backend is None or not named.strip():
        known = "openai:MODEL, guard:MODEL (guard:FORMAT=MODEL)"
        known = f"none, {known}, people:FILE, offline-text" if option == "--judge" else known
        raise UsageError(f"{option} {spec!r} is not known; known: {known}.")
    form, model = backend.read(named)
    judge_name = f"{name}:{name_without_place(model)}"
    if options.is_dry or not backend.runs_here or options.base_url is not None:
        return EndpointJudge(
            judge_name,
            model,
            form,
            absent=options.absent,
            meter=options.meter,
            base_url=options.base_url,
            api_key="not-needed" if options.is_dry else None,
            concurrency=options.concurrency,
            max_retries=options.max_retries,
        )
    if options.meter is not None and options.meter.max_cost is not None:
        raise UsageError("--max-cost is for an endpoint; a guard on this machine costs no money.")
    if form.sees == "image":
        raise UsageError(
            f"{option} {spec}: transformers gives this guard's probabilities, not its words; serve it and name the "
            "endpoint with --base-url."
        )
    return open_local_judge(judge_name, model, form, absent=options.absent, batch_size=options.batch_size)


def _split_guard(model: str) -> tuple[Form, str]:
    name, sign, rest = model.partition("=")
    if not sign:
        return guess_form(model), model
    if name not in GUARD_FORMS:
        raise UsageError(f"guard:{name}=…: no such format; known: {', '.join(GUARD_FORMS)}.")
    return GUARD_FORMS[name], rest


class _Backend(NamedTuple):
    """Who is asked, by the word before the colon."""

    read: Callable[[str], tuple[Form, str]]
    """Splits what stands behind the colon into the form of its replies and the model."""
    runs_here: bool
    """On this machine, where no endpoint is named."""


_BACKENDS: Final[Mapping[str, _Backend]] = {
    "openai": _Backend(lambda model: (JSON_FORM, model), runs_here=False),
    "guard": _Backend(_split_guard, runs_here=True),
}


# --- Questions -----------------------------------------------------------------------------------------------


class _Questions(NamedTuple):
    """What is asked of a judge about a set."""

    asks: list[Ask]
    """Distinct questions; those about one image are neighbours, the images in an order that says nothing."""
    keys: Mapping[Kind, list[AnswerKey | str]]
    """By question, of every item: where its answer is kept, or the reason why it cannot be asked."""


def _make_questions(audited: AuditSet, kinds: Sequence[Kind], rows: Sequence[int] | None = None) -> _Questions:
    """Make the questions about items.

    Args:
        rows: Positions of the items; None takes all.

    Raises:
        DataError: If images are to be shown and not one of them is here.
    """
    wanted = range(len(audited)) if rows is None else rows
    digests = _image_digests(audited, wanted) if "pair" in kinds else {}
    keys: dict[Kind, list[AnswerKey | str]] = {kind: [NOT_ASKED] * len(audited) for kind in kinds}
    found: dict[AnswerKey, tuple[str, Ask]] = {}
    for row in wanted:
        item = audited.items[row]
        digest = digests.get(item.image) if item.image is not None else None
        for kind in kinds:
            if kind == "pair" and digest is None:
                keys[kind][row] = NO_IMAGE if item.image is None else IMAGE_MISSING
                continue
            is_shown = kind == "pair"
            ask = Ask(
                0,
                kind,
                item.text,
                item.image if is_shown else None,
                digest if is_shown else None,
                _reader(audited, row),
            )
            keys[kind][row] = ask.key
            # What is asked first is a sample of the set, whatever its order: a run that stops early speaks of all.
            found.setdefault(ask.key, (sha256_hex(item.image or item.text), ask))
    ordered = sorted(found.values(), key=lambda entry: entry[0])
    return _Questions([ask._replace(number=number) for number, (_, ask) in enumerate(ordered)], keys)


def _reader(audited: AuditSet, row: int) -> Callable[[], bytes]:
    def read() -> bytes:
        data = _picture(audited, row)
        if data is None:
            raise DataError(f"the image {audited.items[row].image!r} is gone")
        return data

    return read


def _picture(audited: AuditSet, row: int) -> bytes | None:
    try:
        return audited.picture(audited.items[row])
    except OSError:
        return None


def _image_digests(audited: AuditSet, rows: Sequence[int]) -> dict[str, str | None]:
    """Take the digest of every image once; None where it is not to be had."""
    digests: dict[str, str | None] = {}
    for row in rows:
        image = audited.items[row].image
        if image is not None and image not in digests:
            data = _picture(audited, row)
            digests[image] = None if data is None else sha256_hex(data)
    if not any(digests.values()):
        first = next(iter(digests), None)
        found = "the set names none" if first is None else f"none of {len(digests):,} is here (first: {first[:80]!r})"
        raise DataError(
            f"{audited.name}: the judge is shown pairs, and their images are missing: {found}. Put them beside the "
            "table, or name the folder that holds both; --pair-harm label and people:FILE need none."
        )
    return digests


class _Told(NamedTuple):
    """What a judge told of a set."""

    found: Mapping[Kind, list[str]]
    """By question, of every item: the finding, or why there is none."""
    stopped: str | None
    """Why not everything was asked."""
    settings: dict[str, Any]
    notes: list[str]


def _ask_all(judge: OpenJudge, audited: AuditSet, questions: _Questions, options: JudgeOptions) -> _Told:
    """Ask what has no answer yet, and read all answers.

    Raises:
        JudgeError: If nothing was ever found: the judge cannot be asked, or its first replies cannot be read.
    """
    path = options.answers or default_answers(audited.name)
    with exclusive(path):
        file = AnswerFile(path, options.again)
        rubric = judge.rubric
        open_asks = [ask for ask in questions.asks if not file.is_settled(rubric, ask.key)]
        n, n_done = len(questions.asks), len(questions.asks) - len(open_asks)
        n_failed = 0

        def write(answers: Sequence[Answer]) -> None:
            nonlocal n_done, n_failed
            file.append(answers)
            n_done += len(answers)
            n_failed += sum(answer.failure is not None for answer in answers)
            options.on_progress(Reached(n_done, n, n_failed, judge.meter))

        options.on_progress(Reached(n_done, n, 0, judge.meter))
        stopped = None
        try:
            if not _has_finding(file, rubric, questions):
                settled = [ask for ask in questions.asks if file.is_settled(rubric, ask.key)]
                if len(settled) >= _PROBE:  # an earlier run has tried already
                    _check_probe(judge, file, settled)
                judge.ask(open_asks[:_PROBE], write)
                _check_probe(judge, file, open_asks[:_PROBE])
                open_asks = open_asks[_PROBE:]
            judge.ask(open_asks, write)
        except JudgeError as error:
            if not _has_finding(file, rubric, questions):
                raise
            stopped = str(error)
    return _tell(judge, audited, questions, file, stopped)


def default_answers(name: str) -> Path:
    """Name the file of answers after a set.

    >>> str(default_answers("org/some set.json"))
    'some-set.json.answers.jsonl'
    """
    plain = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in name.rsplit("/", 1)[-1])
    return Path(f"{plain.lstrip('.') or 'set'}.answers.jsonl")


def _has_finding(file: AnswerFile, rubric: str, questions: _Questions) -> bool:
    answers = (file.get(rubric, ask.key) for ask in questions.asks)
    return any(answer is not None and answer.finding is not None for answer in answers)


def _check_probe(judge: OpenJudge, file: AnswerFile, asks: Sequence[Ask]) -> None:
    """Stop where nothing of the first replies is an answer."""
    answers = [answer for ask in asks if (answer := file.get(judge.rubric, ask.key)) is not None]
    if not answers or any(answer.finding is not None for answer in answers):
        return
    reasons = Counter(answer.found for answer in answers)
    example = " ".join(answers[0].raw.split())[:120]
    form = "one JSON object, as asked" if judge.form is JSON_FORM else f"the format {judge.form.name!r}"
    raise JudgeError(
        f"{judge.name}: none of its first {amount(len(answers), 'reply', 'replies')} is an answer "
        f"({', '.join(f'{n} {reason}' for reason, n in reasons.items())}); the rule is {form}; the first: {example!r}. "
        "Nothing more was asked."
    )


def _tell(judge: OpenJudge, audited: AuditSet, questions: _Questions, file: AnswerFile, stopped: str | None) -> _Told:
    rubric = judge.rubric
    absent = NOT_ASKED if stopped else IMAGE_UNREADABLE
    found: dict[Kind, list[str]] = {}
    for kind, keys in questions.keys.items():
        found[kind] = []
        for key in keys:
            answer = None if isinstance(key, str) else file.get(rubric, key)
            found[kind].append(key if isinstance(key, str) else absent if answer is None else answer.found)
    answers = [answer for ask in questions.asks if (answer := file.get(rubric, ask.key)) is not None]
    models = Counter(answer.judge_model for answer in answers if answer.judge_model is not None)
    settings = {
        **judge.settings,
        "rubric": rubric,
        "judge_models": dict(models),
        "n_questions": len(questions.asks),
        "n_answers": sum(answer.finding is not None for answer in answers),
    }
    if without := Counter(name for answer in answers for name in answer.left_out):
        settings["left_out"] = dict(without)
    notes = []
    if len(models) > 1:
        notes.append(f"{judge.name}: the server's model changed on the way ({', '.join(sorted(models))}).")
    if stopped:
        notes.append(f"the judge stopped early: {stopped}")
    return _Told(found, stopped, settings, notes)


def _describe_questions(judge: OpenJudge, audited: AuditSet, questions: _Questions, options: JudgeOptions) -> list[str]:
    """Say what a run would ask and cost."""
    path = options.answers or default_answers(audited.name)
    file = AnswerFile(path, options.again)
    asks = [ask for ask in questions.asks if not file.is_settled(judge.rubric, ask.key)]
    kinds = Counter(ask.kind for ask in asks)
    n_held = len(questions.asks) - len(asks)
    told = ", ".join(f"{n:,} about {_ABOUT[kind]}" for kind, n in kinds.items()) or "nothing"
    lines = [
        f"judge: {judge.name} ({judge.form.name}); rubric {judge.rubric}",
        f"would ask: {told}; answered already in {path}: {n_held:,}",
    ]
    missing = Counter(key for keys in questions.keys.values() for key in keys if isinstance(key, str))
    lines += [f"cannot ask: {n:,} ({reason})" for reason, n in missing.items() if reason != NOT_ASKED]
    tokens_in, tokens_out = price_of(judge, asks)
    lines.append(f"tokens: about {tokens_in:,} in, at most {tokens_out:,} out (an estimate)")
    prices = None if judge.meter is None else judge.meter.prices
    if prices is not None:
        low, high = (prices.cost(tokens_in, out) for out in (0, tokens_out))
        lines.append(f"money: about {low:,.2f} for what goes in, {high:,.2f} if every reply is as long as it may be")
    return lines


_ABOUT: Final[Mapping[Kind, str]] = {
    "pair": "pairs",
    "text": "texts alone",
    "need": "whether a text needs its image",
}


# --- Judges of harm leak ------------------------------------------------------------------------------------


class AskedJudge:
    """A model or guard that is asked: `vlsbench.leakage.audit.Judge`.

    Args:
        judge: Who is asked.
        options: How.
    """

    def __init__(self, judge: OpenJudge, options: JudgeOptions) -> None:
        self.judge = judge
        self.options = options
        self.people = None if options.people is None else read_grades(options.people)
        self.stopped: str | None = None
        """Why the run ended before everything was asked."""
        self.n_transient = 0
        """Items that a rerun would ask about again."""
        self.n_unreadable = 0
        """Items with a reply that could not be read; only `--again` asks again."""

    @property
    def reads_pairs(self) -> bool:
        """Say whether it is asked about pairs, and shown their images."""
        return "pair" in self.judge.form.kinds and self.options.pair_harm == "judge"

    def _questions(self, audited: AuditSet) -> _Questions:
        if not self.reads_pairs and not any(item.labels.get(HARM) in _AUTHORS for item in audited.items):
            raise DataError(
                f"{audited.name}: {self.judge.name} reads texts only, and no label of the set says which pairs are "
                "harmful; name its column with --label, or a judge that sees images."
            )
        kinds = self.judge.form.kinds
        return _make_questions(audited, kinds if self.reads_pairs else [kind for kind in kinds if kind != "pair"])

    def plan(self, audited: AuditSet) -> list[str]:
        """Say what would be asked."""
        return _describe_questions(self.judge, audited, self._questions(audited), self.options)

    def __call__(self, audited: AuditSet, groups: Groups) -> Judged:
        """Ask, and measure."""
        told = _ask_all(self.judge, audited, self._questions(audited), self.options)
        self.stopped = told.stopped
        settings, notes = told.settings, list(told.notes)
        if self.reads_pairs:
            pairs, settings["pair_found_by"] = list(told.found["pair"]), self.judge.name
        else:
            pairs, settings["pair_found_by"] = _of_authors(audited), "the set's own label"
        texts = list(told.found["text"])
        both = [set(found) for found in zip(pairs, texts, strict=True)]
        self.n_transient = sum("judge_unreachable" in found for found in both)
        self.n_unreadable = sum(not _UNREAD.isdisjoint(found) for found in both)
        leak = harm_leak(
            self.judge.name,
            pairs,
            texts,
            groups.of_item,
            categories=[item.category for item in audited.items],
            settings=settings,
        )
        notes += _coverage_notes(self.judge.name, leak, pairs, texts)
        if leak is not None and self.people is not None:
            graded = self.people.of(audited)
            beside = {
                "pair": agreement_with([one.pair for one in graded], pairs, groups.of_item),
                "text": agreement_with([one.text for one in graded], texts, groups.of_item),
            }
            people = {part: found for part, found in beside.items() if found is not None}
            leak = leak.model_copy(update={"people": people})
        need, need_notes = _need(told.found.get("need"))
        counted = count_said(audited, groups, {"answerable_without": need})
        return Judged(harm_leak=leak, **counted, notes=(*notes, *need_notes), texts_found=tuple(texts))


_AUTHORS: Final[Mapping[str | None, str]] = {HARMFUL: "unsafe", HARMLESS: "safe"}


def _of_authors(audited: AuditSet) -> list[str]:
    return [_AUTHORS.get(item.labels.get(HARM), NO_LABEL) for item in audited.items]


def _coverage_notes(judge: str, leak: HarmLeak | None, pairs: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Say over what harm leak speaks, where not over everything."""
    if leak is not None and not leak.n_unjudged:
        return []
    told = "; ".join(
        f"{what}: {', '.join(f'{n:,} {reason}' for reason, n in reasons.items())}"
        for what, reasons in (("pairs", tally_failures(pairs)), ("texts", tally_failures(texts)))
        if reasons
    )
    if leak is None:
        return [f"harm leak: {judge} decided no item with the image and without ({told}), so there is no number."]
    return [f"harm leak speaks of {leak.r1.n:,} of {leak.n_of:,} items; the others are in none of it ({told})."]


def _need(found: Sequence[str] | None) -> tuple[Said | None, list[str]]:
    if found is None:
        return None, []
    rows = [row for row, one in enumerate(found) if one in ("yes", "no")]
    if not rows:
        return None, []
    said = Said(rows, [found[row] == "yes" for row in rows])
    rest = Counter(one for one in found if one not in ("yes", "no"))
    if not rest:
        return said, []
    told = ", ".join(f"{n:,} {reason}" for reason, n in rest.most_common())
    return said, [f"answerable_without speaks of {len(rows):,} of {len(found):,} texts ({told})."]


def together(judges: Sequence[Callable[[AuditSet, Groups], Judged]]) -> Callable[[AuditSet, Groups], Judged] | None:
    """Make one judge of several; None of none."""
    if not judges:
        return None

    def judge(audited: AuditSet, groups: Groups) -> Judged:
        judged = Judged()
        for one in judges:
            judged = judged.beside(one(audited, groups))
        return judged

    return judge


class PeopleJudge:
    """People's grades: `vlsbench.leakage.audit.Judge`."""

    stopped: str | None = None
    n_transient = 0
    n_unreadable = 0

    def __init__(self, grades: GradesFile) -> None:
        self.grades = grades

    def plan(self, audited: AuditSet) -> list[str]:
        """Say what would be read."""
        graded = self.grades.of(audited)
        n = sum(one.pair in DECIDED and one.text in DECIDED for one in graded)
        columns = "; ".join(f"{what} {column}" for what, column in self.grades.columns.items())
        return [f"judge: people ({self.grades.name}; {columns}); graded as pair and as text: {n:,} of {len(graded):,}"]

    def __call__(self, audited: AuditSet, groups: Groups) -> Judged:
        """Measure."""
        graded = self.grades.of(audited)
        pairs, texts = [one.pair for one in graded], [one.text for one in graded]
        judge = f"people:{self.grades.name}"
        leak = harm_leak(
            judge,
            pairs,
            texts,
            groups.of_item,
            images=[one.image for one in graded] if self.grades.has_images else None,
            categories=[item.category for item in audited.items],
            settings={"grades_sha256": self.grades.sha256, "columns": dict(self.grades.columns)},
        )
        return Judged(harm_leak=leak, notes=tuple(_coverage_notes(judge, leak, pairs, texts)))


# --- A guard on twins ---------------------------------------------------------------------------------------


class GuardJudge:
    """A guard on pairs with their benign twins: `vlsbench.leakage.audit.Judge`."""

    def __init__(self, judge: OpenJudge, options: JudgeOptions) -> None:
        self.judge = judge
        self.options = options
        self.stopped: str | None = None
        self.n_transient = 0
        self.n_unreadable = 0

    @property
    def _kind(self) -> Kind:
        return "pair" if "pair" in self.judge.form.kinds else "text"

    def _questions(self, audited: AuditSet) -> _Questions:
        pairs, _ = find_twins(audited)
        return _make_questions(audited, [self._kind], [row for pair in pairs for row in pair])

    def plan(self, audited: AuditSet) -> list[str]:
        """Say what would be asked."""
        return _describe_questions(self.judge, audited, self._questions(audited), self.options)

    def __call__(self, audited: AuditSet, groups: Groups) -> Judged:
        """Ask, and score."""
        pairs, n_without_twin = find_twins(audited)
        told = _ask_all(self.judge, audited, self._questions(audited), self.options)
        self.stopped = told.stopped
        found = told.found[self._kind]
        asked = [found[row] for pair in pairs for row in pair]
        self.n_transient = asked.count("judge_unreachable")
        self.n_unreadable = sum(one in _UNREAD for one in asked)
        score = score_guard(
            self.judge.name,
            pairs,
            found,
            groups.of_item,
            categories=[item.category for item in audited.items],
            n_without_twin=n_without_twin,
            settings=told.settings,
        )
        notes = list(told.notes)
        if score is None:
            notes.append(f"{self.judge.name} decided no pair on both sides, so there is no recall and no false alarm.")
        elif score.n_pairs < score.n_of:
            notes.append(f"the guard's numbers speak of {score.n_pairs:,} of {score.n_of:,} pairs, decided on both.")
        if self._kind == "text":
            notes.append(f"{self.judge.name} reads texts only; twins share theirs, so it cannot tell them apart.")
        return Judged(guard=score, notes=tuple(notes))
