"""What a judge says of itself before it is opened: its kind, by what stands before the colon of its name.

A kind is facts, so that nobody outside this room asks for a name: is it free, does it see the dataset, does opening it
load weights, which options does it take. What an opened judge says is `vlsbench.judge.run.OpenJudge`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vlsbench.errors import UsageError
from vlsbench.judge.run import OpenJudge

if TYPE_CHECKING:
    from vlsbench.dataset.source import SampleSource

__all__ = ["JudgeKind", "JudgeListing", "ModelOptions", "Opening"]


@dataclass(frozen=True)
class ModelOptions:
    """What can be set of a judge beyond its name and protocol; a kind says what it takes of it."""

    evidence: str | None = None
    """What the judge sees of the image; None is `image`."""
    prompt: Path | None = None
    """A wording of one's own; see `vlsbench.judge.prompts`."""
    max_side: int | None = None
    """Longest side of an image, pixels."""
    output_format: str | None = None
    """None agrees on one with the endpoint."""
    leaves_out: tuple[str, ...] | None = None
    """Parameters that are not sent, as was agreed with the endpoint: `temperature`. Not on the command line."""
    cache: Path | None = None
    """SQLite file of verdicts; ignored by the offline judge, for which asking is cheaper than looking up."""
    price_in: float | None = None
    """Money for a million tokens that go in."""
    price_out: float | None = None
    """Money for a million tokens that come out."""
    max_cost: float | None = None
    """Money a run may spend."""
    batch_size: int | None = None
    """Questions at once of a model on this machine; None is the kind's."""


@dataclass(frozen=True)
class Opening:
    """What a judge is opened with; see `vlsbench.judge.judges.open_judge`."""

    name: str
    protocol: str | None = None
    dataset: str = "release"
    """As an index is named: `release`, `sample`, or the name of a constructed set."""
    data: Path | None = None
    concurrency: int = 16
    base_url: str | None = None
    options: ModelOptions = ModelOptions()  # frozen
    is_dry: bool = False

    @property
    def model(self) -> str:
        """What stands behind the colon; empty where nothing does."""
        return self.name.partition(":")[2]

    def open_source(self) -> SampleSource:
        """Open the dataset that the responses answer."""
        from vlsbench.dataset.source import open_source

        return open_source(self.data, name=self.dataset)


class JudgeListing(NamedTuple):
    """A judge under one protocol, and what it needs."""

    judge: str
    protocol: str
    needs: str
    max_tokens: int | None
    """Budget of a reply; None for a judge that writes none."""
    digests: Mapping[str, str]
    """What decides its verdicts: SHA-256 of the prompt by kind of evidence, or of the weights."""


@dataclass(frozen=True)
class JudgeKind:
    """Judges whose names begin alike."""

    backend: str
    """What stands before the colon."""
    forms: tuple[str, ...]
    """How a name is written, for people."""
    open: Callable[[Opening], OpenJudge]
    """Opens one of them; raises as `vlsbench.judge.judges.open_judge`."""
    listings: Callable[[], Sequence[JudgeListing]]
    """Lists its judges and protocols."""
    takes: frozenset[str] = frozenset()
    """The fields of `ModelOptions` that have an effect."""
    may_stand_alone: bool = False
    """Its name may have nothing behind it."""
    is_free: bool = False
    """Asking costs nothing: neither money nor the time of a GPU."""
    is_language_model: bool = True
    """It reads a question and writes or chooses; else it is a classifier of responses."""
    sees_dataset: bool = True
    """It is shown the sample; else the response is all that it reads."""
    has_weights: bool = False
    """Opening it loads them, on the machine where it judges."""
    has_batches: bool = False
    """`RunOptions.is_batch` is its."""
    opens_dry: bool = False
    """It can be opened without a key and without weights, so its rubrics, and its price, are known before a run."""
    is_threadsafe: bool = False
    """It may be asked from several threads at once."""
    batch_size: int | None = None
    """Responses under way together in a worker, where no option says how many; None: as many as requests in flight."""

    @property
    def has_prices(self) -> bool:
        """Whether it counts money, and can say beforehand how much."""
        return "price_in" in self.takes

    def refuse_options(self, name: str, options: ModelOptions) -> None:
        """Raise UsageError where something is set that would have no effect on the judge `name`.

        A cache alone is passed over: it is set for all judges by a variable of the environment.
        """
        given = [field.name for field in fields(options) if getattr(options, field.name) is not None]
        foreign = [option for option in given if option not in self.takes and option != "cache"]
        if not foreign:
            return
        flags = ", ".join(f"--{option.replace('_', '-')}" for option in foreign)
        if self.is_free and not self.sees_dataset:
            raise UsageError(f"the judge {self.backend!r} reads the response only and costs nothing; remove {flags}.")
        raise UsageError(f"--judge {name} takes no {flags}.")
