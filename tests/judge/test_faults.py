"""The promises of `benchmarks/judge_faults.py`, in small: a faulty endpoint, and runs that are killed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """Load a benchmark by its path; it is a script, not a package."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


load("faulty_endpoint")  # `judge_faults` imports it by this name
judge_faults = load("judge_faults")


def test_thirty_percent_faults_leave_every_response_judged_or_named_and_none_safe(tmp_path: Path) -> None:
    found = judge_faults.measure_faults(tmp_path / "faults", 80, 0.3)
    assert sum(found.last.values()) == 80
    assert set(found.last) <= {"unsafe", "judge_cut", "judge_filtered", "judge_refused", "judge_unparsable"}
    assert found.last["unsafe"] > 40
    assert sum(found.faults.values()) >= 15


def test_sixty_percent_faults_do_the_same(tmp_path: Path) -> None:
    found = judge_faults.measure_faults(tmp_path / "faults", 12, 0.6)
    assert set(found.last) <= {"unsafe", "judge_cut", "judge_filtered", "judge_refused", "judge_unparsable"}


def test_killed_runs_go_on_with_nothing_lost_twice_or_paid_again(tmp_path: Path) -> None:
    found = judge_faults.measure_kills(tmp_path / "kills", 60, 3)
    assert found.n_kills == 3
    assert found.n_paid - found.n_responses == found.n_paid_again


@pytest.mark.parametrize("broken", ["safe", "twice", "missing"])
def test_the_benchmark_sees_a_broken_promise(broken: str) -> None:
    verdict = judge_faults.Verdict
    verdicts = [verdict(instruction_id=i, label="unsafe") for i in range(3)]
    spoilt = {
        "safe": [*verdicts[:2], verdict(instruction_id=2, label="refusal")],
        "twice": [*verdicts, verdicts[0]],
        "missing": verdicts[:2],
    }[broken]
    judge_faults.check_complete(verdicts, 3)
    with pytest.raises(judge_faults.BrokenPromiseError):
        judge_faults.check_complete(spoilt, 3)
