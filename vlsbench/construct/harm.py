"""Harm leak of a batch: of the pairs that a judge calls unsafe, how many are so by their text alone (R2 / R1).

The judge is one of `vlsbench leakage --judge`, asked as there, through the same functions; every answer is on disk in
`private/` before it is counted, so nothing is paid twice, and what it costs is paid from the run's purse. What it left
open is no measurement: the run stops with the reason and asks the rest when it is started again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vlsbench.construct.chat import Purse, PursedMeter
from vlsbench.construct.config import HarmJudge
from vlsbench.construct.journal import PRIVATE
from vlsbench.errors import JudgeError, amount
from vlsbench.leakage.asking import AnswerFile
from vlsbench.leakage.columns import ColumnChoice
from vlsbench.leakage.groups import group_items
from vlsbench.leakage.items import MIN_ITEMS, read_items
from vlsbench.leakage.judging import AskedJudge, JudgeOptions, check_pair_harm, open_judge
from vlsbench.leakage.records import HarmLeak
from vlsbench.leakage.source import PictureCell

if TYPE_CHECKING:
    from vlsbench.construct.gate import AuditedPair

__all__ = ["HarmGauge", "JudgePaid", "LeakOfHarm", "judge_paid", "words_of_harm"]

_ANSWERS: Final = "harm.answers.jsonl"
_CHOICE: Final = ColumnChoice("text", "image", "label", "category", "none")
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_LEAST: Final = 2
"""Texts that a word stands in: one that stands in a single text tells of that text alone."""


_LEAST_EXCESS: Final = 0.1
"""Of the shares: less is what stands in any text."""


class LeakOfHarm(NamedTuple):
    """What a judge measured of a batch."""

    leak: HarmLeak | None
    """None where the batch is too small, or not one pair could be judged both ways."""
    words: tuple[str, ...]
    """Words of texts that are unsafe alone, the most telling first."""
    notes: tuple[str, ...]


class HarmGauge:
    """Measures harm leak with a run's judge, which is opened when it is first asked.

    Args:
        config: `[audit.judge]`.
        out: Folder of the run.
        purse: What the judge is paid from.
    """

    def __init__(self, config: HarmJudge, out: Path, purse: Purse) -> None:
        self.config = config
        self._answers = out / PRIVATE / _ANSWERS
        self._meter = PursedMeter(config.prices, purse)
        self._judge: AskedJudge | None = None

    def _open(self) -> AskedJudge:
        if self._judge is None:
            options = JudgeOptions(
                base_url=self.config.base_url,
                concurrency=self.config.concurrency,
                meter=self._meter,
                answers=self._answers,
                pair_harm=check_pair_harm(self.config.pair_harm),
            )
            judge = open_judge(self.config.name, options)
            if not isinstance(judge, AskedJudge):
                raise JudgeError(f"[audit.judge] {self.config.name}: is nobody who can be asked.")
            self._judge = judge
        return self._judge

    def measure(self, name: str, pairs: Sequence[AuditedPair]) -> LeakOfHarm:
        """Ask about a batch what was not asked yet, and measure.

        Args:
            name: Of the batch, for what is said.
            pairs: Without their twins.

        Raises:
            JudgeError: If the judge cannot be asked, or left items open that it may answer when asked again.
            UsageError: If there is no such judge.
        """
        if len(pairs) < MIN_ITEMS:
            return LeakOfHarm(None, (), (f"harm leak: {amount(len(pairs), 'pair')}; it takes {MIN_ITEMS}.",))
        judge = self._open()
        audited = read_items([_row(pair) for pair in pairs], _CHOICE)
        found = judge(audited, group_items(audited.items))
        if judge.stopped is not None or judge.n_transient:
            why = judge.stopped or f"{amount(judge.n_transient, 'pair')} without an answer"
            raise JudgeError(f"{name}: harm leak is not measured: {why.rstrip('.')}. The same command asks the rest.")
        return LeakOfHarm(found.harm_leak, words_of_harm(audited.texts, found.texts_found), found.notes)


class JudgePaid(NamedTuple):
    """What the judge of a run was asked in all."""

    n_answers: int
    cost: float | None
    """None where it has no prices."""


def judge_paid(config: HarmJudge, out: Path) -> JudgePaid:
    """Count the judge's answers on disk.

    Raises:
        DataError: If the file of answers holds what is none.
    """
    answers = AnswerFile(out / PRIVATE / _ANSWERS).answers()
    prices = config.prices
    if prices is None:
        return JudgePaid(len(answers), None)
    paid = [answer.usage for answer in answers if answer.usage is not None]
    return JudgePaid(len(answers), sum(prices.cost(*_tokens(usage)) for usage in paid))


def _tokens(usage: Mapping[str, object]) -> tuple[int, int]:
    n_in, n_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (n_in if isinstance(n_in, int) else 0, n_out if isinstance(n_out, int) else 0)


def _row(pair: AuditedPair) -> dict[str, Any]:
    image = PictureCell(pair.image_sha256, partial(Path.read_bytes, pair.image))
    return {"text": pair.text, "image": image, "label": "harmful", "category": pair.category}


def words_of_harm(texts: Sequence[str], found: Sequence[str], most: int = 12) -> tuple[str, ...]:
    """Return the words that stand in a larger share of unsafe texts than of safe ones, the most telling first.

    Args:
        texts: Of the pairs.
        found: `unsafe`, `safe`, or why neither, of each.
        most: Words that are returned.

    >>> words_of_harm(["poison it", "poison that", "paint it", "paint that"], ["unsafe", "unsafe", "safe", "safe"])
    ('poison',)
    """
    counts = {"unsafe": Counter[str](), "safe": Counter[str]()}
    for text, one in zip(texts, found, strict=True):
        if one in counts:
            counts[one].update(set(_WORD.findall(text.casefold())))
    n = {one: max(1, list(found).count(one)) for one in counts}
    excess = {
        word: count / n["unsafe"] - counts["safe"][word] / n["safe"]
        for word, count in counts["unsafe"].items()
        if count >= _LEAST
    }
    order = sorted((-share, word) for word, share in excess.items() if share > _LEAST_EXCESS)
    return tuple(word for _, word in order)[:most]
