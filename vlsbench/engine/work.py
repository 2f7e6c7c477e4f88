"""What one worker of a cluster does: open a model or a judge by its name, once, and work on one block after another.

A worker opens what the local engine opens, by the same functions, so that the same samples in are the same results
out. It reads the key of an endpoint from its own environment and the dataset from the same path as the machine that
asked; nothing secret is sent to it. What it opened has to be what was agreed on: a worker with another version,
another number format or other weights is refused before it answers.

Rule of the room: no Ray here; everything that is sent is plain data, and errors come back as data.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import vlsbench.errors
from vlsbench.cost import meter_of
from vlsbench.dataset.index import index_at
from vlsbench.dataset.source import open_source
from vlsbench.engine.shards import KeyedLine
from vlsbench.errors import DataError, VLSBenchError
from vlsbench.files import canonical_json
from vlsbench.generate.conditions import Question
from vlsbench.generate.models import TargetOptions, open_target
from vlsbench.generate.target import Target
from vlsbench.judge.judges import ModelOptions, find_kind, open_judge
from vlsbench.records import Key, Response, Rubric, Settings, Verdict
from vlsbench.version import __version__

if TYPE_CHECKING:
    from vlsbench.judge.run import OpenJudge

__all__ = [
    "BlockReport",
    "BuildDescription",
    "Description",
    "JudgeDescription",
    "JudgeWork",
    "Keep",
    "Sent",
    "TargetDescription",
    "TargetWork",
    "Work",
    "Worker",
    "decides",
    "is_about_pictures",
    "key_of",
]

Keep = Callable[[Sequence[KeyedLine]], None]
"""Puts lines into the shard; they are on disk when it returns."""


class Sent(NamedTuple):
    """An error on its way from a worker."""

    kind: str
    """Name of its class."""
    message: str

    @classmethod
    def of(cls, error: VLSBenchError | OSError) -> Sent:
        """Take an error apart."""
        return cls(type(error).__name__, str(error))

    def restore(self) -> VLSBenchError:
        """Make the error again; one that is none of ours speaks as the base of them."""
        kind = getattr(vlsbench.errors, self.kind, VLSBenchError)
        return cast("VLSBenchError", kind(self.message))


class BlockReport(NamedTuple):
    """What came of a block, beside the lines that are in the shard."""

    n_unanswered: int = 0
    error: Sent | None = None
    n_retries: int = 0
    """Questions that were sent once more."""


class TargetDescription(NamedTuple):
    """A model under test, as a worker has opened it."""

    version: str
    name: str
    model: str
    revision: str | None
    settings: Settings


class JudgeDescription(NamedTuple):
    """A judge, as a worker has opened it."""

    version: str
    rubric: Rubric
    has_canaries: bool = False
    output_format: str = "text"


class BuildDescription(NamedTuple):
    """The models that build pairs; their configuration is sent, and not found by a worker."""

    version: str


Description = TargetDescription | JudgeDescription | BuildDescription


def decides(description: Description) -> str:
    """Render what decides the results, the same way on every machine."""
    if isinstance(description, JudgeDescription):
        return f"{description.version}, rubric {description.rubric.rubric_id}"
    if isinstance(description, BuildDescription):
        return description.version
    settings = canonical_json(description.settings.model_dump(mode="json"))
    return f"{description.version}, {description.name}, revision {description.revision}, settings {settings}"


class _Opened(Protocol):
    """A model or a judge, with lines in and lines out."""

    def describe(self) -> Description: ...

    def work_on(self, items: Sequence[str], keep: Keep) -> int: ...

    @property
    def n_retries(self) -> int: ...

    def over_the_sample(self) -> _Opened: ...


class Work(Protocol):
    """What is to be opened, as it is sent to a worker."""

    @property
    def has_weights(self) -> bool:
        """Opening it loads them, so it wants a device of its own."""

    @property
    def at_once(self) -> int:
        """How many items a worker has under way together; a smaller block would leave it half idle."""

    def open(self) -> _Opened:
        """Open it; raises as the local engine does."""


@dataclass(frozen=True)
class TargetWork:
    """A model under test, by name."""

    name: str
    data: Path | None
    """The release or a constructed set; None is the packaged sample."""
    options: TargetOptions
    shows_image: bool
    has_answered: bool = False
    """An earlier run has answers of this model."""

    @property
    def has_weights(self) -> bool:
        """Say whether it is a model of transformers."""
        return self.name.startswith("transformers:")

    @property
    def at_once(self) -> int:
        """Return the batch, or what is in flight."""
        return self.options.batch_size or 8 if self.has_weights else self.options.concurrency or 16

    def open(self) -> _Opened:
        """Open it on this machine."""
        source = open_source(self.data, name=index_at(self.data).name)
        target = open_target(self.name, source=source, options=self.options, shows_image=self.shows_image)
        return _OpenedTarget(target, has_answered=self.has_answered)


class _OpenedTarget:
    def __init__(self, target: Target, *, has_answered: bool) -> None:
        self._target = target
        self._has_answered = has_answered

    def describe(self) -> TargetDescription:
        target = self._target
        return TargetDescription(__version__, target.name, target.model, target.revision, target.settings)

    @property
    def n_retries(self) -> int:
        return _retries_of(self._target)

    def work_on(self, items: Sequence[str], keep: Keep) -> int:
        def write(responses: Sequence[Response]) -> None:
            keep([KeyedLine(key_of(r), r.model_dump_json(exclude_none=True)) for r in responses])
            self._has_answered |= any(response.response is not None for response in responses)

        questions = [Question(**json.loads(item)) for item in items]
        return self._target.answer(questions, write, has_answered=self._has_answered)

    def over_the_sample(self) -> _OpenedTarget:
        return self  # the canaries are a judge's


@dataclass(frozen=True)
class JudgeWork:
    """A judge, by name."""

    name: str
    protocol: str | None
    dataset: str
    data: Path | None
    """Folder of that dataset; None is the packaged sample."""
    concurrency: int
    base_url: str | None
    options: ModelOptions
    prompt: bytes | None = None
    """Content of `options.prompt`, which is a file of the machine that asked."""

    @property
    def has_weights(self) -> bool:
        """Say whether its kind loads them."""
        return find_kind(self.name).has_weights

    @property
    def at_once(self) -> int:
        """Return the batch, or what is in flight."""
        return self.options.batch_size or find_kind(self.name).batch_size or self.concurrency

    def open(self) -> _Opened:
        """Open it on this machine."""
        with tempfile.TemporaryDirectory() as folder:
            options = self.options
            if self.prompt is not None:
                path = Path(folder) / "prompt.md"
                path.write_bytes(self.prompt)
                options = replace(options, prompt=path)
            judge = open_judge(
                self.name,
                protocol=self.protocol,
                dataset=self.dataset,
                data=self.data,
                concurrency=self.concurrency,
                base_url=self.base_url,
                options=options,
            )
        return _OpenedJudge(judge)


class _OpenedJudge:
    def __init__(self, judge: OpenJudge) -> None:
        self._judge = judge

    def describe(self) -> JudgeDescription:
        judge = self._judge
        return JudgeDescription(__version__, judge.rubric, judge.has_canaries, judge.output_format)

    @property
    def n_retries(self) -> int:
        return _retries_of(self._judge)

    def work_on(self, items: Sequence[str], keep: Keep) -> int:
        def write(verdicts: Sequence[Verdict]) -> None:
            keep([KeyedLine(key_of(v), v.model_dump_json(exclude_defaults=True)) for v in verdicts])

        self._judge.judge([Response.model_validate_json(item) for item in items], write)
        return 0

    def over_the_sample(self) -> _OpenedJudge:
        return _OpenedJudge(self._judge.with_source(open_source(None, name="sample")))


def _retries_of(asker: object) -> int:
    meter = meter_of(asker)
    return 0 if meter is None else meter.n_retries


def key_of(item: Question | Response | Verdict) -> Key:
    """Return what an item or a record is about."""
    return item.instruction_id, item.condition


class Worker:
    """One process of a cluster; opens its work with the first block, and keeps it.

    Args:
        agreed: As `decides` renders what has to be opened; None accepts what is there.
    """

    def __init__(self, work: Work, agreed: str | None = None) -> None:
        self._work = work
        self._agreed = agreed
        self._opened: _Opened | None = None

    def _open(self) -> _Opened:
        if self._opened is None:
            opened = self._work.open()
            found = decides(opened.describe())
            if self._agreed not in (None, found):
                raise VLSBenchError(
                    f"a worker of the cluster would not give the same results: it has {found}, and this run has "
                    f"{self._agreed}. Install the same version of vlsbench, with the same model on the same kind of "
                    "device, on every node."
                )
            self._opened = opened
        return self._opened

    def describe(self) -> Description | Sent:
        """Say what was opened."""
        try:
            return self._open().describe()
        except (VLSBenchError, OSError) as error:
            return Sent.of(error)

    def run(self, items: Sequence[str], keep: Keep) -> BlockReport:
        """Work on one block; what came of it before an error is kept."""
        try:
            opened = self._open()
            n_before = opened.n_retries
            n_unanswered = opened.work_on(items, keep)
            return BlockReport(n_unanswered, n_retries=opened.n_retries - n_before)
        except (VLSBenchError, OSError) as error:
            return BlockReport(error=Sent.of(error))

    def collect_of_the_sample(self, items: Sequence[str]) -> tuple[list[str], BlockReport]:
        """Judge answers to the packaged sample and return the lines, which are kept nowhere."""
        lines: list[str] = []
        try:
            opened = self._open().over_the_sample()
            opened.work_on(items, lambda keyed: lines.extend(line.line for line in keyed))
        except (VLSBenchError, OSError) as error:
            return lines, BlockReport(error=Sent.of(error))
        return lines, BlockReport()


def is_about_pictures(error: Sent) -> bool:
    """Say whether the other samples of the block are done: only pictures could not be used."""
    return error.kind == DataError.__name__ and "pictures cannot be used" in error.message
