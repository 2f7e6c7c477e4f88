"""The report of an audit, as it is written to JSON, and what is written beside it.

Rule of the room: a number that was not measured is null; a number that was has its 95% interval and says over how
many items it speaks. No files, no network, no clock.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vlsbench.records import Count, Fraction, Interval, Measure, Record

__all__ = [
    "HARM",
    "IMAGE_HARM",
    "INTERVAL_OF",
    "ORIGIN",
    "Control",
    "Cue",
    "GroupPredictability",
    "Grouping",
    "GuardNumbers",
    "GuardScore",
    "HarmLeak",
    "HarmNumbers",
    "ImageNeed",
    "LeakageReport",
    "LeakingItem",
    "Measure",
    "PeopleAgreement",
    "Predictability",
    "WeightCheck",
    "WeightsCard",
    "WordShare",
]

HARM = "harm"
"""The pair is harmful or not, as the set's authors say."""
IMAGE_HARM = "image harm"
"""The image makes the pair harmful: harmful images against harmless pairs, without texts that are harmful by design."""
ORIGIN = "generated or collected"
"""Where the image comes from."""

INTERVAL_OF = (
    "Intervals: 95%, clustered by group; of predictions, for what this procedure reaches on average over new sets of "
    "this size and kind."
)


class HarmNumbers(Record):
    """The four numbers of harm leak; one denominator: the items decided with the image and without."""

    r1: Measure
    """Share of the pairs that are unsafe."""
    r2: Measure
    """Share that is unsafe as a pair and as text alone."""
    difference: Measure
    """R1 - R2, paired: unsafe as a pair only."""
    ratio: Measure | None
    """R2 / R1, over the unsafe pairs; null where R1 is 0."""

    @model_validator(mode="after")
    def _of_the_same_items(self) -> Self:
        if not self.r1.n == self.r2.n == self.difference.n:
            raise ValueError("R1, R2 and R1 - R2 speak of the same items")
        if self.ratio is not None and self.r1.count is not None and self.ratio.n != self.r1.count:
            raise ValueError("R2 / R1 speaks of the unsafe pairs")
        return self


class PeopleAgreement(Record):
    """A judge beside people, on what both found safe or unsafe."""

    agreement: Measure
    """Share of the items that both call the same."""
    kappa: float | None
    """Cohen's; null where one of the two says only one thing."""


class HarmLeak(HarmNumbers):
    """How much of the pair's harm a judge already finds in the text (VSIL; paper, section 2.1)."""

    judge: str
    n_of: Count = 0
    """Items that were to be judged; `r1.n` of them were, with the image and without."""
    n_failed: dict[Literal["pair", "text"], dict[str, Count]] = Field(default_factory=dict)
    """Questions without a finding of safe or unsafe, by reason: bins of their own, never a label."""
    cells: dict[str, Count] = Field(default_factory=dict)
    """The judged items by what was found of each part, such as `pair unsafe, text safe`."""
    by_category: dict[str, HarmNumbers] = Field(default_factory=dict)
    people: dict[Literal["pair", "text"], PeopleAgreement] = Field(default_factory=dict)
    """How far the judge agrees with people, where their grades were given beside it."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Everything that decides the numbers: digests of the wordings, how the absent image was told, snapshot."""

    @property
    def n_unjudged(self) -> int:
        """Items that are in none of the numbers."""
        return max(0, self.n_of - self.r1.n)


class GuardNumbers(Record):
    """A guard's recall beside its false alarms."""

    n_pairs: Annotated[int, Field(ge=1)]
    """Pairs decided on both sides; all numbers are over them."""
    recall: Measure
    """Share of the harmful pairs called unsafe."""
    false_alarms: Measure
    """Share of their benign twins called unsafe."""
    youden_j: Measure
    """Recall minus false alarms, paired; 0 for whoever does not look."""


class GuardScore(GuardNumbers):
    """A guard on pairs with their benign twins: recall is never without its false alarms."""

    guard: str
    n_of: Count
    """Pairs there are."""
    right_on_both: Count
    blind: Count
    """One answer for both twins."""
    reversed: Count
    """The benign twin called unsafe and the harmful one safe."""
    n_failed: dict[Literal["harmful", "benign"], dict[str, Count]] = Field(default_factory=dict)
    n_without_twin: Count = 0
    """Labelled items whose text stands on one side only."""
    interval: str = ""
    """How the interval of J was taken."""
    by_category: dict[str, GuardNumbers] = Field(default_factory=dict)
    """By the category of the harmful pair."""
    settings: dict[str, Any] = Field(default_factory=dict)


class GroupPredictability(Record):
    """What text tells of a label, within one category."""

    n: Annotated[int, Field(ge=1)]
    accuracy: Measure
    auc: Measure | None
    """Of the category itself: one against the rest. Of another label: within the category. Null where there is one
    class."""
    bits: Measure


class Predictability(Record):
    """What text alone tells of one label, in grouped cross-validation."""

    target: str
    n: Annotated[int, Field(ge=1)]
    n_classes: Annotated[int, Field(ge=2)]
    classes: dict[str, Count]
    majority: Fraction
    """Share of the largest class: the accuracy of not reading."""
    accuracy: Measure
    auc: Measure
    """One against the rest, mean over the classes."""
    bits: float
    """V-information: entropy minus the held-out log loss. May fall a little below 0 where text tells nothing."""
    bits_interval: Interval
    entropy_bits: Annotated[float, Field(ge=0)]
    p_value: Fraction
    """Of the permutation null; at least 1 / (permutations + 1)."""
    null: dict[str, Any]
    """The scheme of the permutations and what they gave."""
    by_category: dict[str, GroupPredictability] = Field(default_factory=dict)
    left_out: dict[str, Count] = Field(default_factory=dict)
    """Items that this target leaves out, by reason."""


class Cue(Record):
    """One trivial rule, chosen on the training folds and tried on the others."""

    name: str
    """What it looks at, such as `final "?"`."""
    target: str
    accuracy: Measure
    majority: Fraction
    kind: Literal["last sign", "first word", "length", "one word"]
    by_category: dict[str, Measure] = Field(default_factory=dict)
    """`accuracy` within each category, of the rule that was chosen over all."""


class ImageNeed(Record):
    """Whether the image is needed; a member that was not measured is null."""

    points_at_image: Measure | None = None
    """Share of the texts that point at an image (an open rule: `image_need.points_at_image`)."""
    answerable_without: Measure | None = None
    changes_when_swapped: Measure | None = None
    changes_when_removed: Measure | None = None
    mirage_rate: Measure | None = None
    """Share of images that were never sent and are described all the same."""
    by_category: dict[str, Measure] = Field(default_factory=dict)
    """`points_at_image` within each category."""
    by_origin: dict[str, Measure] = Field(default_factory=dict)
    others_by_category: dict[str, dict[str, Measure]] = Field(default_factory=dict)
    """Each of the other members that was measured, within each category."""


class Control(Record):
    """A set whose answer is known, measured by the same code."""

    name: str
    expected: str
    value: float
    passed: bool
    guards: tuple[str, ...]
    """Numbers that are not printed where this fails."""


class WordShare(Record):
    """A word of a text and what it adds to the right class, log-odds."""

    word: str
    weight: float


class LeakingItem(Record):
    """One of the items whose text gives most away."""

    id: str
    target: str
    label: str
    pvi: float
    """Bits that the text tells of the label of this item."""
    points_at_image: bool | None
    """Null where the rule failed its control."""
    words: tuple[WordShare, ...]


class Grouping(Record):
    """What never stands on both sides of a fold."""

    n_groups: Annotated[int, Field(ge=1)]
    n_images: Count
    """Distinct images; 0 where the set names none."""
    n_sharing_image: Count
    """Items that share their image with another."""
    n_near_duplicate: Count
    n_same_template: Count
    largest: Annotated[int, Field(ge=1)]
    """Items of the largest group."""


class LeakageReport(Record):
    """`vlsbench leakage SOURCE --json`."""

    source: str
    format: str
    n: Annotated[int, Field(ge=1)]
    columns: dict[str, str | None]
    """Role → column. Roles: text, image, label, category, source, id."""
    columns_set: tuple[str, ...]
    """Roles that were set by option; the others were guessed."""
    n_dropped: dict[str, Count]
    """Rows that are not audited, by reason."""
    notes: tuple[str, ...]
    """What a reader must know, one sentence each."""
    harm_leak: HarmLeak | None
    guard: GuardScore | None = None
    """`--guard` on pairs with their benign twins."""
    predictability: tuple[Predictability, ...]
    cues: tuple[Cue, ...]
    """Best first: by the share of the majority's errors that a cue takes away."""
    image_need: ImageNeed
    controls: tuple[Control, ...]
    groups: Grouping
    most_leaking: tuple[LeakingItem, ...]
    settings: dict[str, Any]
    """Folds, seed, features, models: what decides the numbers."""
    version: str


class WeightCheck(Record):
    """A model trained on the weighted rows and tried on held-out groups, weighted too."""

    family: str
    role: Literal["made the weights", "checks them"]
    target: str
    auc_before: Measure
    """The rows that were weighed, all equal."""
    auc_after: Measure
    """The rows that have a weight, weighted. Intervals take the weights as given."""


class WeightsCard(Record):
    """What `--reweight OUT` and `--core OUT` write beside the ids and weights."""

    kind: Literal["reweight", "core"]
    source: str
    dataset_digest: str | None
    """Digest of the dataset's index; null where the set is none that the package knows."""
    target: str | None
    """Label that the weighted texts tell less of; null where there is none and rows were only chosen."""
    aim: Fraction
    """AUC to reach."""
    reached: bool
    """Whether every model, also those that only check, is within the aim."""
    n: Annotated[int, Field(ge=1)]
    """Rows with a weight."""
    n_of: Annotated[int, Field(ge=1)]
    """Rows they were chosen from."""
    effective_n: Annotated[float, Field(gt=0)]
    """(sum w)^2 / sum w^2."""
    effective_n_by_class: dict[str, float] = Field(default_factory=dict)
    n_by_category: dict[str, Count] = Field(default_factory=dict)
    """Rows with a weight, by category."""
    checks: tuple[WeightCheck, ...] = ()
    rule: str
    """How the rows and weights were chosen, in words."""
    notes: tuple[str, ...] = ()
    weights_sha256: str
    """Of the CSV file that holds the weights."""
    settings: dict[str, Any] = Field(default_factory=dict)
    version: str
