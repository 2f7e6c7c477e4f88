"""People label a part of a submission: which samples, in what order, and what they said.

A person labels a stratified random part, blind to every judge and to other people. The plan of the draw (seed, strata,
probability of every sample) is kept beside the labels, so that rates can be corrected with the right weights
(`vlsbench score --human`). The samples come in random order: whoever stops early has still labelled a random part.

Labels are verdict lines with rubric `human:<name>` in `human/<name>.jsonl`, each on disk before the next sample is
shown. As everywhere a label is never superseded; "cannot tell" is `judge_uncertain` and may be. Only a slip of the
finger is taken back, and only until another sample is saved.

Rule of the room: no page here (`page`), no arithmetic beyond the draw.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import Field, ValidationError

from vlsbench.error_texts import why_not_an_answer
from vlsbench.errors import DataError, SubmissionError, UsageError, amount
from vlsbench.files import StrPath, append_lines, exclusive, sha256_hex, write_atomic
from vlsbench.judge.verdicts import choose_rubric, list_rubrics, read_verdicts, verdicts_that_hold
from vlsbench.records import IMAGE_TEXT, LABELS, Count, Digest, Key, Label, Record, Response, Verdict, explain
from vlsbench.submission.check import Submission, open_submission

if TYPE_CHECKING:
    from vlsbench.dataset.pictures import Picture
    from vlsbench.dataset.source import SampleSource

__all__ = [
    "HUMAN_FOLDER",
    "Choice",
    "Item",
    "Labeller",
    "People",
    "Plan",
    "PlannedSample",
    "Selection",
    "Stratum",
    "Weights",
    "allocate",
    "answers_of",
    "draw_plan",
    "label_weights",
    "outcome_of",
    "plan_path",
    "read_people",
    "read_plan",
]

HUMAN_FOLDER = "human"
"""Folder of a submission that holds what people said."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RUBRIC = re.compile(rf"human:({_NAME.pattern})")

_AT_LEAST = 5
"""Samples drawn of every outcome of the judge, as far as there are so many: fewer say nothing about its errors."""

_DEFAULT_N = 200
"""What the paper labelled per model (Table 15)."""

Choice = Literal["refusal", "warning", "unsafe", "cannot_tell"]

Selection = Literal["random", "informative"]
"""How samples are drawn within a stratum: all alike, or those of which the judge is least sure more often."""

_LEAST_UNSURE = 0.1
"""Added to what the judge leaves open, so that what it is sure of is drawn too: its sure errors are what costs most."""


class Stratum(Record):
    """The samples that a judge decided in the same way."""

    name: str
    """Label of the judge, `unjudged`, or `all` where no judge has decided yet."""
    n_drawn: Count
    probability: Annotated[float, Field(ge=0, le=1)]
    """Of every sample of the stratum to be drawn."""
    instruction_ids: tuple[int, ...]
    """All of its samples, drawn or not."""
    probabilities: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = None
    """Of every one of `instruction_ids` to be drawn, where they differ; `probability` is then their mean."""

    def probability_of(self, instruction_id: int) -> float:
        """Return the probability with which a sample of the stratum is drawn."""
        if self.probabilities is None:
            return self.probability
        return self.probabilities[self.instruction_ids.index(instruction_id)]


class PlannedSample(Record):
    """A sample that was drawn."""

    instruction_id: int
    category: str
    stratum: str
    probability: Annotated[float, Field(gt=0, le=1)]


class Plan(Record):
    """`human/<name>.plan.json`: which samples a person labels, and with what probability each was drawn."""

    schema_version: Literal[1] = 1
    name: str
    seed: int
    rubric: str | None
    """The judge whose outcomes are the strata; nobody is shown them."""
    condition: str = IMAGE_TEXT
    selection: Selection = "random"
    dataset: Digest
    """Digest of the dataset that was answered."""
    strata: tuple[Stratum, ...]
    samples: tuple[PlannedSample, ...]
    """In the order in which they are shown."""


class People(NamedTuple):
    """What people said of the answers there are now."""

    verdicts: dict[str, dict[Key, Verdict]]
    """Per name (without `human:`), the verdict that holds for every key."""
    plans: dict[str, Plan | None]
    """Per name, the plan beside the labels; None where there is none."""
    n_stale: int
    """Verdicts on answers that have changed or are gone."""


def plan_path(labels: Path, name: str) -> Path:
    """Return where the plan of a person lies: beside the file with the labels."""
    return labels.with_name(f"{name}.plan.json")


def read_plan(path: Path) -> Plan | None:
    """Read a plan; None where there is none.

    Raises:
        SubmissionError: If it is broken.
    """
    try:
        return Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise SubmissionError(
            f"{path}: not a sampling plan: {explain(error)[0]}. Without it the labels cannot be weighted."
        ) from None


def read_people(path: Path, responses: Mapping[Key, Response]) -> People:
    """Read what people said: verdict lines whose rubric is `human:<name>`, of one person or of several.

    Args:
        path: A file that exists; the plans are looked for beside it.
        responses: The answers there are now.

    Raises:
        SubmissionError: If the file is absent or has no line, or a line is no verdict of a person.
    """
    if not path.is_file():
        raise SubmissionError(
            f"{path}: no such file; --human is a file of verdict lines with rubric 'human:NAME', as "
            "`vlsbench label` writes them."
        )
    by_name: defaultdict[str, list[Verdict]] = defaultdict(list)
    for position, verdict in enumerate(read_verdicts(path), start=1):
        match = _RUBRIC.fullmatch(verdict.rubric or "")
        if match is None:
            raise SubmissionError(
                f"{path}: verdict {position} (instruction_id {verdict.instruction_id}) has the rubric "
                f"{verdict.rubric!r}; a person's is 'human:NAME'. Is this a judge's file?"
            )
        by_name[match[1]].append(verdict)
    if not by_name:
        raise SubmissionError(f"{path}: has no verdict; it holds one line per sample that a person labelled.")
    held = {name: verdicts_that_hold(verdicts, responses) for name, verdicts in sorted(by_name.items())}
    n_keys = sum(len({(v.instruction_id, v.condition) for v in verdicts}) for verdicts in by_name.values())
    plans = {name: read_plan(plan_path(path, name)) for name in held}
    return People(held, plans, n_keys - sum(len(verdicts) for verdicts in held.values()))


def outcome_of(verdict: Verdict | None) -> str:
    """Return what a judge made of an answer: its label, or `unjudged`."""
    return verdict.label if verdict is not None and verdict.label is not None else "unjudged"


class Weights(NamedTuple):
    """How many answers every labelled one stands for."""

    of: dict[int, float]
    """By `instruction_id`: one over the probability to be labelled."""
    is_planned: bool
    """Whether every person's labels come with a plan; where not, they are taken as a simple random part."""
    n_merged: int
    """Strata of plans in which nothing is labelled yet, counted with another."""
    n_outside: int
    """Labels on samples that their person's plan has not drawn; they have no probability and do not count."""


def label_weights(people: People, population: Iterable[int], names: Iterable[str] | None = None) -> Weights:
    """Weigh what people labelled so far.

    The order of a plan is random, so what is labelled of a stratum is a random part of it also where the person stopped
    early, and the probability is labelled / size. People with the same plan are one; others drew independently.

    Args:
        people: Who labelled what.
        population: The `instruction_id` of all answers.
        names: The people to count; all where it is None.
    """
    everything = set(population)
    groups: dict[object, tuple[Plan | None, set[int]]] = {}
    n_outside = 0
    for name in people.verdicts if names is None else names:
        plan = people.plans[name]
        mine = {i for (i, condition), v in people.verdicts[name].items() if v.label and condition == IMAGE_TEXT}
        drawn = everything if plan is None else {sample.instruction_id for sample in plan.samples}
        n_outside += len((mine & everything) - drawn)
        key = None if plan is None else (plan.strata, plan.samples)
        groups.setdefault(key, (plan, set()))[1].update(mine & drawn & everything)
    missed = dict.fromkeys(everything, 1.0)
    n_merged = 0
    for plan, labelled in groups.values():
        strata = [everything] if plan is None else [set(s.instruction_ids) & everything for s in plan.strata]
        merged, n_empty = _merge_unlabelled(strata, labelled)
        n_merged += n_empty
        drawn_with = _drawn_with(plan)
        for members in merged:
            # The order of a plan is random, so what is labelled is an even part of what was drawn.
            part = len(members & labelled) / sum(drawn_with.get(number, 1.0) for number in members)
            for number in members:
                missed[number] *= 1 - min(1.0, part * drawn_with.get(number, 1.0))
    seen = set().union(*(labelled for _, labelled in groups.values()))
    return Weights({i: 1 / (1 - missed[i]) for i in sorted(seen)}, None not in groups, n_merged, n_outside)


def _drawn_with(plan: Plan | None) -> dict[int, float]:
    """Return the probability to be drawn of every sample whose plan gives each its own; else nothing."""
    strata = () if plan is None else plan.strata
    return {
        number: probability
        for stratum in strata
        for number, probability in zip(stratum.instruction_ids, stratum.probabilities or (), strict=False)
    }


def _merge_unlabelled(strata: Sequence[set[int]], labelled: set[int]) -> tuple[list[set[int]], int]:
    """Count strata without a label with the smallest that has one, so that no answer is without weight."""
    filled = sorted((members for members in strata if members & labelled), key=len)
    empty = [members for members in strata if members and not members & labelled]
    if filled and empty:
        filled[0] = filled[0].union(*empty)
    return filled, len(empty)


def allocate(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    """Share `n` draws among strata by the square root of their sizes (power allocation, Bankier 1988).

    So that rare outcomes of a judge get enough labels to say something of its errors there, and frequent ones, which
    weigh more in the rate, still get most. Every stratum gets `_AT_LEAST`, as far as it and `n` allow.

    >>> allocate({"refusal": 30, "warning": 300, "unsafe": 1800}, 200)
    {'refusal': 17, 'warning': 53, 'unsafe': 130}
    """
    n = min(n, sum(sizes.values()))
    drawn = dict.fromkeys(sizes, 0)
    for _ in range(n):
        open_strata = [name for name in sizes if drawn[name] < sizes[name]]
        poor = [name for name in open_strata if drawn[name] < _AT_LEAST]
        # The fewest first until all have the least; then whoever is furthest below its share (Webster's method).
        if poor:
            chosen = min(poor, key=lambda name: (drawn[name], -sizes[name]))
        else:
            chosen = max(open_strata, key=lambda name: math.sqrt(sizes[name]) / (2 * drawn[name] + 1))
        drawn[chosen] += 1
    return drawn


def draw_plan(
    strata: Mapping[str, Sequence[tuple[int, str]]],
    *,
    name: str,
    n: int,
    seed: int,
    rubric: str | None,
    dataset: str,
    unsure: Mapping[int, float] | None = None,
) -> Plan:
    """Draw the samples that a person labels.

    The categories come in their shares: a systematic draw from the samples ordered by category and at random within
    (Cochran 1977, ch. 8). Within a stratum every sample has the same probability; or, given `unsure`, one in proportion
    to it (Madow's systematic draw of unequal probabilities), kept in the plan, so that rates stay unbiased.

    Args:
        strata: (instruction_id, category) of the samples of every stratum.
        unsure: What the judge leaves open of every sample, 0 (sure) to 1; None draws all alike.
        name: Of the person. Two people with the same seed get the same samples in the same order.
        n: Samples to draw; all where there are fewer.
        rubric: The judge whose outcomes are the strata.
        dataset: Digest.

    Raises:
        UsageError: If `n` is less than one per stratum.
    """
    strata = {stratum: members for stratum, members in strata.items() if members}
    if n < len(strata):
        raise UsageError(f"--n is at least {len(strata)}, one per outcome of the judge; found {n}.")
    generator = random.Random(f"vlsbench-label-{seed}")  # noqa: S311 - a draw that can be repeated, no secret
    shares = allocate({stratum: len(members) for stratum, members in strata.items()}, n)
    kept: list[Stratum] = []
    samples: list[PlannedSample] = []
    for stratum, members in strata.items():
        of_each = _probabilities(members, shares[stratum], unsure)
        ordered = sorted(members, key=lambda member: (member[1], member[0]))
        ties = {member: generator.random() for member in ordered}
        ordered.sort(key=lambda member: (member[1], ties[member]))
        picked = _systematic(ordered, [of_each[number] for number, _ in ordered], generator.random())
        samples += [
            PlannedSample(instruction_id=number, category=category, stratum=stratum, probability=of_each[number])
            for number, category in picked
        ]
        numbers = tuple(sorted(of_each))
        kept.append(
            Stratum(
                name=stratum,
                n_drawn=len(picked),
                probability=shares[stratum] / len(members),
                instruction_ids=numbers,
                probabilities=None if unsure is None else tuple(of_each[number] for number in numbers),
            )
        )
    generator.shuffle(samples)
    selection: Selection = "random" if unsure is None else "informative"
    return Plan(
        name=name,
        seed=seed,
        rubric=rubric,
        selection=selection,
        dataset=dataset,
        strata=tuple(kept),
        samples=tuple(samples),
    )


def _probabilities(members: Sequence[tuple[int, str]], n: int, unsure: Mapping[int, float] | None) -> dict[int, float]:
    """Return the probability of every member to be among `n` drawn; they add up to `n`, none is above 1."""
    left = {number: 1.0 if unsure is None else _LEAST_UNSURE + unsure.get(number, 1.0) for number, _ in members}
    certain: dict[int, float] = {}
    while left:
        scale = (n - len(certain)) / sum(left.values())
        above = [number for number, size in left.items() if size * scale >= 1]
        if not above:
            return certain | {number: size * scale for number, size in left.items()}
        certain |= dict.fromkeys(above, 1.0)
        for number in above:
            del left[number]
    return certain


def _systematic(
    ordered: Sequence[tuple[int, str]], probabilities: Sequence[float], start: float
) -> list[tuple[int, str]]:
    """Walk along the summed probabilities in steps of 1 from `start`, and take the members that are stepped on."""
    picked, reached = [], 0.0
    for member, probability in zip(ordered, probabilities, strict=True):
        before, reached = reached, reached + probability
        if math.ceil(reached - start - 1e-9) > math.ceil(before - start - 1e-9):
            picked.append(member)
    return picked


def answers_of(submission: Submission) -> dict[int, str]:
    """Return what can be labelled: the answers to the samples that enter N, without blank ones and API errors."""
    found = {
        row.instruction_id: _answer_of(submission.responses.get((row.instruction_id, IMAGE_TEXT)))
        for row in submission.index.risky
    }
    return {instruction_id: answer for instruction_id, answer in found.items() if answer is not None}


def _answer_of(response: Response | None) -> str | None:
    if response is None or response.response is None or why_not_an_answer(response.response) is not None:
        return None
    return response.response


def _strata(submission: Submission, rubric_id: str | None) -> dict[str, list[tuple[int, str]]]:
    """Sort the answers of a submission by what a judge made of them; what is no answer is left out."""
    held = _held_verdicts(submission, rubric_id)
    names = (*LABELS, "unjudged") if rubric_id is not None else ("all",)
    strata: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for instruction_id in answers_of(submission):
        stratum = outcome_of(held.get((instruction_id, IMAGE_TEXT))) if rubric_id is not None else "all"
        strata[stratum].append((instruction_id, submission.index.by_id[instruction_id].category))
    return strata


def _held_verdicts(submission: Submission, rubric_id: str | None) -> Mapping[Key, Verdict]:
    if rubric_id is None:
        return {}
    path = submission.directory / "verdicts" / f"{rubric_id}.jsonl"
    return verdicts_that_hold(read_verdicts(path), submission.responses)


def _unsure(submission: Submission, rubric_id: str | None) -> dict[int, float]:
    """Return what a judge leaves open of every answer: 1 minus the probability of its label.

    Raises:
        UsageError: If no judge says how sure it is.
    """
    held = _held_verdicts(submission, rubric_id)
    found = {
        number: 1 - max(said.refusal, said.warning, said.unsafe)
        for number in answers_of(submission)
        if (verdict := held.get((number, IMAGE_TEXT))) is not None and (said := verdict.probabilities) is not None
    }
    if not found:
        raise UsageError(
            "--select informative draws what a judge is least sure of, and no verdict here says how sure it is: judge "
            f"first with `vlsbench judge {submission.directory} --judge offline` and name that judge with --rubric "
            "offline, or leave --select out."
        )
    return found


class Item(NamedTuple):
    """One sample as a person sees it: nothing of a judge, nothing of other people, not whose answer it is."""

    instruction_id: int
    position: int
    """From 1, of `total`."""
    total: int
    response: str
    instruction: str | None
    """None where the dataset's texts are not here."""
    has_image: bool


class Labeller:
    """One person's labelling of one submission, from its plan to the last label. One process at a time per name."""

    def __init__(
        self,
        directory: StrPath,
        name: str,
        *,
        n: int | None = None,
        seed: int | None = None,
        rubric: str | None = None,
        select: Selection | None = None,
        data: StrPath | None = None,
    ) -> None:
        """Draw the plan, or go on with the one that is there.

        Args:
            directory: The submission.
            name: Of the person: letters, digits, `.`, `_`, `-`.
            n: Samples to draw; None for what the plan says, else 200.
            seed: Of the draw; None for what the plan says, else 0.
            rubric: Whose outcomes are the strata; None for the one with most labels, if any.
            select: How to draw within a stratum; None for what the plan says, else at random.
            data: Folder of the release; None shows texts and images of the packaged sample only.

        Raises:
            UsageError: If the name cannot be a file's, or the plan that is there is another one.
            SubmissionError: If the submission does not pass the gate, has no answer, or is being labelled under
                this name by another process.
            DataError: If `data` is given and is not the dataset.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"--name has letters, digits, '.', '_' and '-' only, at most 64, and begins with a letter or a digit; "
                f"found {name!r}."
            )
        self.submission = open_submission(directory)
        self.name = name
        self.path = self.submission.directory / HUMAN_FOLDER / f"{name}.jsonl"
        self._rubric_id = f"human:{name}"
        self._last: int | None = None
        with ExitStack() as stack:
            stack.enter_context(exclusive(self.path))
            self._source = self._open_source(data)
            if self._source is not None:
                stack.enter_context(self._source)
            self.plan = self._open_plan(n, seed, rubric, select)
            self._held = verdicts_that_hold(read_verdicts(self.path), self.submission.responses)
            self._stack = stack.pop_all()

    def _open_source(self, data: StrPath | None) -> SampleSource | None:
        if data is None and self.submission.index.kind != "sample":
            return None
        from vlsbench.dataset.source import open_source

        index = self.submission.index

        return open_source(None if data is None else Path(data), name=index.name, index=index.whole)

    def _open_plan(self, n: int | None, seed: int | None, rubric: str | None, select: Selection | None) -> Plan:
        path = plan_path(self.path, self.name)
        plan = read_plan(path)
        if plan is not None:
            self._compare(plan, path, n, seed, rubric, select)
            return plan
        rubric_id = self._choose(rubric)
        strata = _strata(self.submission, rubric_id)
        if not any(strata.values()):
            raise SubmissionError(f"{self.submission.directory}: has no answer to label under {IMAGE_TEXT!r}.")
        digest = self.submission.index.digest
        plan = draw_plan(
            strata,
            name=self.name,
            n=_DEFAULT_N if n is None else n,
            seed=seed or 0,
            rubric=rubric_id,
            dataset=digest,
            unsure=_unsure(self.submission, rubric_id) if select == "informative" else None,
        )
        write_atomic(path, plan.model_dump_json(indent=1) + "\n")
        return plan

    def _compare(
        self, plan: Plan, path: Path, n: int | None, seed: int | None, rubric: str | None, select: Selection | None
    ) -> None:
        """Refuse to go on with a plan that is not the one asked for."""
        if plan.dataset != self.submission.index.digest:
            raise SubmissionError(f"{path}: was drawn from another dataset; label under another --name.")
        n_all = sum(len(stratum.instruction_ids) for stratum in plan.strata)
        is_other = (n is not None and min(n, n_all) != len(plan.samples)) or (seed is not None and seed != plan.seed)
        is_other = is_other or (select is not None and select != plan.selection)
        if is_other or (rubric is not None and not (plan.rubric or "").startswith(rubric)):
            raise UsageError(
                f"{path}: {self.name} labels {amount(len(plan.samples), 'sample')} drawn ({plan.selection}) with seed "
                f"{plan.seed} by the outcomes of {plan.rubric or 'no judge'}. Leave --n, --seed, --select and --rubric "
                "out to go on, or take "
                "another --name."
            )

    def _choose(self, rubric: str | None) -> str | None:
        """Choose the judge whose outcomes are the strata: the one asked for, else the one with most labels."""
        directory = self.submission.directory
        if rubric is not None:
            return choose_rubric(directory, rubric)
        counts: Counter[str] = Counter()
        for rubric_id in list_rubrics(directory):
            verdicts = read_verdicts(directory / "verdicts" / f"{rubric_id}.jsonl")
            held = verdicts_that_hold(verdicts, self.submission.responses)
            counts[rubric_id] = sum(verdict.label is not None for verdict in held.values())
        return max(counts, key=lambda rubric_id: (counts[rubric_id], rubric_id)) if counts else None

    def _answer(self, instruction_id: int) -> str | None:
        """Return the answer to label, or None where there is none any more."""
        return _answer_of(self.submission.responses.get((instruction_id, IMAGE_TEXT)))

    @property
    def n_done(self) -> int:
        """Samples of the plan with a verdict of this person."""
        return sum((sample.instruction_id, IMAGE_TEXT) in self._held for sample in self.plan.samples)

    @property
    def n_total(self) -> int:
        """Samples of the plan that have an answer."""
        return sum(self._answer(sample.instruction_id) is not None for sample in self.plan.samples)

    @property
    def has_texts(self) -> bool:
        """Whether instructions and images can be shown."""
        return self._source is not None

    def current(self) -> Item | None:
        """Return the next sample without a verdict, or None where all have one."""
        for sample in self.plan.samples:
            answer = self._answer(sample.instruction_id)
            if answer is None or (sample.instruction_id, IMAGE_TEXT) in self._held:
                continue
            instruction = self._instruction(sample.instruction_id)
            return Item(
                sample.instruction_id, self.n_done + 1, self.n_total, answer, instruction, instruction is not None
            )
        return None

    def _instruction(self, instruction_id: int) -> str | None:
        if self._source is None:
            return None
        try:
            return self._source.sample(instruction_id).instruction
        except DataError:  # a copy of the release may lack samples
            return None

    def picture(self, instruction_id: int) -> Picture | None:
        """Read the image of a sample, or None where it is not here.

        Raises:
            DataError: If the file is there and broken.
        """
        if self._source is None or self._instruction(instruction_id) is None:
            return None
        return self._source.picture(instruction_id)

    def save(self, instruction_id: int, choice: Choice) -> bool:
        """Put what the person said on disk.

        Returns:
            False where nothing was written: the sample has a verdict already (a key pressed twice, a second tab) or is
            not in the plan.
        """
        key = (instruction_id, IMAGE_TEXT)
        answer = self._answer(instruction_id)
        is_planned = any(sample.instruction_id == instruction_id for sample in self.plan.samples)
        if answer is None or not is_planned or key in self._held:
            return False
        label: Label | None = None if choice == "cannot_tell" else choice
        verdict = Verdict(
            instruction_id=instruction_id,
            label=label,
            failure="judge_uncertain" if label is None else None,
            rubric=self._rubric_id,
            response_sha256=sha256_hex(answer),
        )
        append_lines(self.path, [verdict.model_dump_json(exclude_defaults=True)])
        self._held[key] = verdict
        self._last = instruction_id
        return True

    def people(self) -> People:
        """Return what this person said, as a file of labels would tell it."""
        return People({self.name: dict(self._held)}, {self.name: self.plan}, 0)

    @cached_property
    def judged(self) -> Mapping[Key, Verdict]:
        """What the judge of the plan decided; empty where it has none. Nobody is shown it."""
        return _held_verdicts(self.submission, self.plan.rubric)

    @cached_property
    def answers(self) -> dict[int, str]:
        """What can be labelled."""
        return answers_of(self.submission)

    @property
    def can_take_back(self) -> bool:
        """Whether something was saved since this was opened, and not taken back."""
        return self._last is not None

    def take_back(self) -> int | None:
        """Take the last label back that was saved since this was opened; its sample is then asked again.

        A slip of the finger is no label. Only the very last one, and only until another is saved or the page is ended:
        what was said is not revised in the light of what came after.

        Returns:
            Its `instruction_id`; None where there is none to take back.

        Raises:
            OSError: If the file cannot be written; the label stays, and can be taken back again.
        """
        if self._last is None:
            return None
        number = self._last
        lines = self.path.read_bytes().rstrip().splitlines(keepends=True)  # an editor may leave a blank one
        write_atomic(self.path, b"".join(lines[:-1]))
        self._last = None
        del self._held[number, IMAGE_TEXT]
        return number

    def close(self) -> None:
        """Let another process label under this name."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
