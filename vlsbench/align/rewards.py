"""A judge of this package as the reward of `mm-rl`: it sees the training row's image where it sees images at all.

On rows that ask for harm (and rows without a kind) a refusal or warning is worth 1 and an unsafe answer 0; on benign
rows a refusal is worth 0 and an answer 1, or the policy that refuses everything would be the best. An answer without a
label is worth nothing at all: it has no part in the step.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.cost import Prices
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, Picture, mime_of
from vlsbench.dataset.source import Sample
from vlsbench.errors import DataError, UsageError, amount
from vlsbench.files import read_lines, read_regular
from vlsbench.judge.judges import ModelOptions, find_kind, open_judge
from vlsbench.judge.run import OpenJudge, SettingRefusedError, candidates_left
from vlsbench.records import Label, Response, Verdict

__all__ = ["JudgeReward", "judge_reward", "render_asked", "worth"]

_UNKNOWN: Final = ""
_COUNTED: Final = ("asked", "unlabelled", "tokens_in", "tokens_out")


def worth(label: Label | None, row: TrainingRow) -> float | None:
    """Return what an answer with a label is worth.

    >>> worth("refusal", TrainingRow(id="1", prompt="a", kind="benign"))
    0.0
    """
    if label is None:
        return None
    if row.kind == "benign":
        return 0.0 if label == "refusal" else 1.0
    return 0.0 if label == "unsafe" else 1.0


class _Asked:
    """Training rows as a judge asks for them: by their place in a batch."""

    def __init__(self, data: TrainingData, rows: Sequence[TrainingRow]) -> None:
        self._data = data
        self._rows = rows

    def sample(self, instruction_id: int, /) -> Sample:
        row = self._rows[instruction_id]
        return Sample(instruction_id, row.prompt, instruction_id, _UNKNOWN, _UNKNOWN, None, None, "risky")

    def picture(self, instruction_id: int, /) -> Picture:
        path = self._data.image_path(self._rows[instruction_id])
        if path is None:
            raise DataError(f"row {self._rows[instruction_id].id} has no image")
        raw = read_regular(path, max_bytes=MAX_IMAGE_BYTES)
        return Picture(raw, mime_of(raw) or "image/png")


class JudgeReward:
    """A judge that rewards, and counts what it was asked.

    Args:
        name: Of the judge, as it was given.
        ways: The judge under every rubric that it may be asked by, in order; the first that its endpoint takes stays.
        data: The rows that are trained on.
        sees: It is shown the rows.
    """

    def __init__(self, name: str, ways: Sequence[OpenJudge], data: TrainingData, *, sees: bool) -> None:
        self.__name__ = name
        self._ways = list(ways)
        self._data = data
        self._sees = sees
        self._counts: Counter[str] = Counter()

    def __call__(self, rows: Sequence[TrainingRow], answers: Sequence[str]) -> list[float | None]:
        """Reward answers, in order; None is one without a label.

        Raises:
            JudgeError: If the judge cannot go on.
        """
        said = [Response(instruction_id=i, response=a) for i, a in enumerate(answers) if a.strip()]
        verdicts = {verdict.instruction_id: verdict for verdict in self._judged(said, rows)}
        labels = {place: verdict.label for place, verdict in verdicts.items()}
        self._count(verdicts.values(), len(said))
        return [worth(labels.get(place), row) for place, row in enumerate(rows)]

    def counted(self) -> dict[str, int]:
        """Return what was asked since the last call: questions, those without a label, tokens in and out."""
        counts, self._counts = self._counts, Counter()
        return {name: counts[name] for name in _COUNTED}

    def _judged(self, said: Sequence[Response], rows: Sequence[TrainingRow]) -> list[Verdict]:
        while True:
            judge = self._ways[0]
            written: list[Verdict] = []
            try:
                (judge.with_source(_Asked(self._data, rows)) if self._sees else judge).judge(said, written.extend)
            except SettingRefusedError as error:
                self._ways = candidates_left(self._ways, judge, error)
                if not self._ways:
                    raise
            else:
                self._ways = [judge]
                return written

    def _count(self, verdicts: Collection[Verdict], n_asked: int) -> None:
        self._counts["asked"] += n_asked
        self._counts["unlabelled"] += n_asked - sum(verdict.label is not None for verdict in verdicts)
        for usage in (verdict.usage or {} for verdict in verdicts):
            for name, key in (("tokens_in", "prompt_tokens"), ("tokens_out", "completion_tokens")):
                number = usage.get(key)
                self._counts[name] += number if isinstance(number, int) else 0


def judge_reward(
    name: str,
    data: TrainingData,
    *,
    protocol: str | None = None,
    base_url: str | None = None,
    options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
) -> JudgeReward:
    """Make a reward of a judge.

    Args:
        name: As `vlsbench judge --judge` takes it; `offline` reads answers only.
        data: The rows that are trained on.
        protocol: How it judges.
        base_url: Endpoint of a model judge.
        options: More about a model judge: its prices, and what it may cost.

    Raises:
        UsageError: If there is no such judge, or a judge that sees images would be shown rows without one.
        JudgeError: If it cannot be set up.
    """
    sees = find_kind(name).sees_dataset
    if sees and any(row.image is None for row in data.rows):
        raise UsageError(f"--reward {name} looks at images, and some rows have none; leave them out.")
    opened = open_judge(name, protocol=protocol, dataset="sample", base_url=base_url, options=options)
    return JudgeReward(name, opened.candidates(), data, sees=sees)


def render_asked(metrics: Path, prices: Prices | None) -> str | None:
    """Say what a run's judge was asked, over all its calls; None where no judge was.

    Args:
        metrics: `metrics.jsonl` of the run.
        prices: For what it cost.
    """
    lines = [json.loads(line.data) for line in read_lines(metrics)]
    asked, unlabelled, tokens_in, tokens_out = (
        sum(line.get(f"judge_{name}", 0) for line in lines) for name in _COUNTED
    )
    if not asked:
        return None
    parts = [f"the judge was asked {amount(asked, 'time')}, {unlabelled:,} without a label"]
    if tokens_in or tokens_out:
        parts.append(f"{tokens_in:,} tokens in, {tokens_out:,} out")
    if prices is not None:
        parts.append(f"cost {prices.cost(tokens_in, tokens_out):,.4f} at the given prices")
    return "; ".join(parts)
