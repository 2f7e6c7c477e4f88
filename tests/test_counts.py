"""A count and its noun agree: every sentence that counts takes the singular for one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vlsbench.dataset.build import VerifyReport
from vlsbench.generate.run import GenerateReport, render_generate
from vlsbench.judge.rows import RowsReport, render_rows
from vlsbench.judge.run import RunReport, render_run
from vlsbench.submission.check import CheckReport, Problem, render_check
from vlsbench.submission.importers.formats import ImportReport, render_import
from vlsbench.taxonomy import CATEGORIES, SUB_CATEGORIES
from vlsbench.thought import thoughts_note

HERE = Path("sub")


def check_of(n: int) -> CheckReport:
    problem = Problem(check="record", severity="error", file="responses.jsonl", line=1, message="no JSON")
    return CheckReport(
        ok=False,
        directory="sub",
        model=None,
        dataset=None,
        config=None,
        n_samples=None,
        n_answered=0,
        conditions={},
        checks=(),
        problems=(problem,) * n,
    )


def import_of(n: int) -> ImportReport:
    return ImportReport(
        ok=False,
        source="answers.jsonl",
        directory=None,
        format="plain",
        model=None,
        dataset="sample",
        n_rows=n,
        n_answered=n,
        failures={},
        n_truncated=n,
        n_compared=n,
        n_not_compared=n,
        n_by_text=n,
        ignored=(),
        notes=(),
        n_problems=n,
        problems=("x",) * n,
        check=None,
    )


def verify_of(n: int) -> VerifyReport:
    return VerifyReport(
        path="release",
        name="release",
        kind="parquet",
        n_samples=n,
        n_twins=n,
        n_images=n,
        n_instructions=n,
        by_category={category.name: 0 for category in CATEGORIES},
        by_sub_category={sub.name: 0 for sub in SUB_CATEGORIES},
        digest="0" * 64,
        is_release=False,
        known_faults=(),
        problems=("x",) * n,
    )


SENTENCES: dict[str, tuple[Callable[[int], str], tuple[str, ...]]] = {
    "check": (lambda n: render_check(check_of(n)), ("1 error, 0 warnings",)),
    "import": (lambda n: render_import(import_of(n)), ("not imported: 1 problem,", "1 answer ends at a limit")),
    "judge": (
        lambda n: render_run(RunReport(HERE / "x.jsonl", n, n, n, {"unsafe": n}, ()), HERE),
        ("1 verdict written, 1 was there", "1 response left for another run"),
    ),
    "generate": (
        lambda n: render_generate(GenerateReport(HERE, n, n, 0, {"answered": n}, 0, 0, ())),
        ("1 answer written, 1 was there",),
    ),
    "judge-rows": (lambda n: render_rows(RowsReport(HERE, n, 0, {"unsafe": n})), ("1 row judged",)),
    "data verify": (lambda n: verify_of(n).as_text(), ("1 sample, 1 image, 1 instruction", "\n1 problem")),
    "thoughts": (lambda n: thoughts_note(n, n), ("1 of 1 answer has a thought",)),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_one_is_singular_and_two_are_plural(name: str) -> None:
    render, expected = SENTENCES[name]
    said = render(1)
    assert [sentence for sentence in expected if sentence not in said] == []
    plural = re.compile(r"(?<![\d.,])1 (?!was|has|is|this)(?:[a-z-]+ )?[a-z]{3,}s\b")
    assert [found[0] for found in plural.finditer(said) if " ends" not in found[0]] == []
    assert render(2) != said.replace("1", "2"), "two are told from one"
