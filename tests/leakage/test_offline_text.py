"""The keyless judge of texts that does not exist, and the gate that says so."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from vlsbench.leakage.offline_text import gate_result

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    pytest.importorskip("sklearn", reason="needs the extra 'leakage'")
    spec = importlib.util.spec_from_file_location("leakage_gate", ROOT / "benchmarks" / "leakage_gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_candidate_passed_every_control() -> None:
    result = gate_result()
    assert [candidate.passed for candidate in result.candidates] == [False] * 3
    for candidate in result.candidates:
        for control in candidate.controls:
            is_enough = control.value >= 0.9 if control.measure == "AUC" else control.value <= 0.2
            assert control.passed == is_enough
    assert [control.passed for control in result.best.controls] == [True, True, False]


def test_what_is_committed_is_what_the_gate_measures(gate: ModuleType, labels_dir: Path) -> None:
    """On the candidate that needs no training: it reads no harm, and passes the two controls that are of others."""
    audit = os.environ.get("VLSBENCH_AUDIT_DIR")
    if not audit or not Path(audit).is_dir():
        pytest.skip("VLSBENCH_AUDIT_DIR is not set: the texts of other benchmarks are not part of this repository")
    committed = next(c for c in gate_result().candidates if c.name == "complete texts, harm unread")
    assert gate.try_candidate(committed.name, gate.is_complete, labels_dir, Path(audit)) == committed
