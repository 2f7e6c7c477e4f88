"""`.eval_results/vlsbench.yaml`: the numbers of a result as the Hub reads them from a model's repository.

One entry per number, because a task of the Hub's benchmarks has one value per model: the safe rate, its two parts, and
the safe rate of each category. Values are percent and higher is better, as in the Hub's own examples (hub-docs,
`docs/hub/eval-results.md`). What a value alone does not say stands in `notes`. The shape is huggingface_hub's
(`EvalResultEntry`), never written by hand here.

Pure: no files, no network, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from vlsbench.board.caveats import caveats, check_exportable
from vlsbench.dataset.index import HUB_REPOSITORY, name_dataset
from vlsbench.errors import SubmissionError, UsageError
from vlsbench.records import Interval, Rates
from vlsbench.submission.scoring import Scored
from vlsbench.taxonomy import CATEGORIES, category_of_config
from vlsbench.text import percent, percent_interval

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

__all__ = ["EVAL_RESULTS_FILE", "TASKS", "Task", "eval_result_entries", "eval_results_yaml", "notes_of", "numbers_of"]

EVAL_RESULTS_FILE = ".eval_results/vlsbench.yaml"
"""Where the Hub looks for it in a model's repository, one file per benchmark."""


class _Number(NamedTuple):
    rate: float | None
    interval: Interval | None


class Task(NamedTuple):
    """One number of the benchmark, as `eval.yaml` of the dataset names it."""

    task_id: str
    name: str
    category: str | None
    """Name of the category it is counted on; None where it is all of them."""
    number: Callable[[Rates], _Number]


def _safe(rates: Rates) -> _Number:
    return _Number(rates.safe_rate, rates.safe_rate_ci)


TASKS: tuple[Task, ...] = (
    Task("vlsbench", "Safe rate", None, _safe),
    Task("vlsbench_refusal", "Refusal rate", None, lambda r: _Number(r.refusal_rate, r.refusal_rate_ci)),
    Task("vlsbench_warning", "Warning rate", None, lambda r: _Number(r.warning_rate, r.warning_rate_ci)),
    *(Task(f"vlsbench_{item.config}", f"Safe rate, {item.name}", item.name, _safe) for item in CATEGORIES),
)
"""Task ids never change: a published entry points at them."""


def eval_result_entries(
    scored: Scored, *, source_url: str | None = None, date: str | None = None
) -> list[EvalResultEntry]:
    """Make the entries of a result.

    Args:
        source_url: Where the numbers can be looked up, such as the board.
        date: ISO 8601; None leaves it out, and the Hub takes the time of the commit.

    Raises:
        SubmissionError: If it is a baseline, nothing was judged, or it was not counted on the release.
        UsageError: If `source_url` is no http(s) address.
    """
    from huggingface_hub import EvalResultEntry

    if source_url is not None and re.fullmatch(r"https?://[^\s<>\"'`\\@]+", source_url) is None:
        raise UsageError(f"--source-url {source_url!r} is no http(s) address.")
    check_exportable(scored)
    index = scored.submission.index
    if index.kind != "release":
        raise SubmissionError(
            f"{scored.submission.directory}: the answers are to {name_dataset(index.name)}; the Hub's page of "
            f"{HUB_REPOSITORY} takes numbers of the release only. `vlsbench export model-card` makes a text of them."
        )
    entries = []
    for task, rates in numbers_of(scored):
        rate = task.number(rates).rate
        if rate is None:
            continue
        entries.append(
            EvalResultEntry(
                dataset_id=HUB_REPOSITORY,
                task_id=task.task_id,
                value=round(100 * rate, 2),
                dataset_revision=index.revision,
                date=date,
                source_url=source_url,
                source_name=None if source_url is None else "VLSBench board",
                notes=notes_of(scored, task, rates),
            )
        )
    return entries


def numbers_of(scored: Scored) -> list[tuple[Task, Rates]]:
    """List the tasks that a result answers, with what was counted; one category's answers have no number over all."""
    result = scored.result
    is_whole = category_of_config(scored.submission.index.config) is None
    found = [(task, result if task.category is None else result.by_category.get(task.category)) for task in TASKS]
    return [(task, rates) for task, rates in found if rates is not None and (task.category is not None or is_whole)]


def notes_of(scored: Scored, task: Task, rates: Rates) -> str:
    """Say in one line what a value alone does not: who judged and how, on how much, how sure, and what is wrong."""
    result = scored.result
    rate, interval = task.number(rates)
    most = None if rate is None else rate + rates.n_unjudged / rates.n_samples
    budget = "not declared" if result.max_new_tokens is None else str(result.max_new_tokens)
    parts = [
        f"judge {scored.rubric.shown_judge}",
        f"rubric {result.rubric}",
        f"max_new_tokens {budget}",
        f"N {rates.n_samples}",
        f"coverage {percent(rates.coverage)}%",
        f"95% interval {percent_interval(interval)}",
        f"{percent(rate)} to {percent(most)} whatever the unjudged are",
        *caveats(scored, rates),
    ]
    return "; ".join(" ".join(part.split()) for part in parts)


def eval_results_yaml(scored: Scored, *, source_url: str | None = None, date: str | None = None) -> str:
    """Render `EVAL_RESULTS_FILE`; same result, same text.

    Args:
        source_url: As in `eval_result_entries`.
        date: As in `eval_result_entries`.

    Raises:
        SubmissionError: As in `eval_result_entries`.
    """
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    entries = eval_result_entries_to_yaml(eval_result_entries(scored, source_url=source_url, date=date))
    text: str = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=100_000)
    return text
