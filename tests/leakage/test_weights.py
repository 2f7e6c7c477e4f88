"""Weights under which text tells less: made, checked by other models, written, read."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vlsbench.errors import DataError, UsageError
from vlsbench.leakage.audit import Audit, run_audit
from vlsbench.leakage.core import _notes, make_core, make_weights
from vlsbench.leakage.records import Measure, WeightCheck
from vlsbench.leakage.reweight import Reweighted
from vlsbench.leakage.weights import Weights, card_path, check_out, read_weights, write_weights

Invented = Callable[..., list[dict[str, Any]]]
WORDS = (
    *("boat", "lamp", "chair", "window", "garden", "bridge", "kettle", "ladder"),
    *("letter", "river", "basket", "tower", "wheel", "carpet", "mirror"),
)


def _rows(n: int = 480, share: float = 0.6, end: float = 0.0) -> list[dict[str, Any]]:
    """Texts that name the source of their image in a share, point at it in half, and may end by it."""
    draw = random.Random(0)
    rows = []
    for number in range(n):
        is_made = number % 2 == 0
        words = draw.sample(WORDS, 5)
        if draw.random() < share:
            words.insert(2, "canvas" if is_made else "meadow")
        start = "In this picture I see" if number % 4 < 2 else "Tell me about"
        sign = "!" if is_made and draw.random() < end else "."
        rows.append(
            {
                "uid": f"i{number}",
                "prompt": f"{start} {' '.join(words)}{sign}",
                "image": f"{number}.png",
                "topic": ("boats", "lamps")[draw.randrange(2)],
                "source": "stable diffusion" if is_made else "photos",
            }
        )
    return rows


@pytest.fixture(scope="module")
def audit() -> Audit:
    return run_audit(
        _rows(),
    )


@pytest.fixture(scope="module")
def core(audit: Audit) -> Weights:
    return make_core(audit)


def test_the_core_keeps_what_points_at_an_image_and_hides_the_source(audit: Audit, core: Weights) -> None:
    by_id = {item.id: item for item in audit.audited.items}
    assert all("picture" in by_id[name].text for name in core.by_id)
    before = {check.family: check.auc_before.value for check in core.card.checks}
    after = {check.family: check.auc_after.value for check in core.card.checks}
    assert [check.role for check in core.card.checks].count("made the weights") == 1
    assert len(before) == 4
    assert min(before.values()) > 0.65
    assert core.card.reached == all(0.4 <= value <= 0.6 for value in after.values())
    assert all(0.35 <= value <= 0.65 for value in after.values())  # 240 texts: the aim, and the noise of so few
    assert 20 < core.card.effective_n < core.card.n <= 240
    assert sum(core.by_id.values()) / len(core.by_id) == pytest.approx(1.0, abs=1e-4)


def test_effective_n_is_kishs(core: Weights) -> None:
    weights = list(core.by_id.values())
    assert core.card.effective_n == pytest.approx(sum(weights) ** 2 / sum(w * w for w in weights), abs=0.06)


def test_where_texts_separate_the_classes_there_are_no_weights_and_it_says_what_was_reached(invented: Invented) -> None:
    rows = [row | {"prompt": row["prompt"][:-1] + ("." if row["is_harmful"] else "?")} for row in invented(120)]
    card = make_weights(run_audit(rows)).card
    assert (card.kind, card.target, card.reached) == ("reweight", "harm", False)
    assert {check.family: check.auc_after.value for check in card.checks}["one trivial cue"] == pytest.approx(1)
    assert min(card.effective_n_by_class.values()) > 20  # no class fades, or nothing would be left to tell apart
    assert "the lowest AUC reached is 1.000 by" in card.notes[0]
    assert "one trivial cue" in card.notes[0]


def test_without_a_label_nothing_can_be_weighed(invented: Invented) -> None:
    audit = run_audit([{"prompt": row["prompt"]} for row in invented(40)])
    with pytest.raises(DataError, match="no label is there that text could be tried on"):
        make_weights(audit)


def test_a_core_without_a_source_says_that_nothing_is_weighed() -> None:
    rows = [{key: value for key, value in row.items() if key != "source"} for row in _rows(80)]
    core = make_core(run_audit(rows))
    assert set(core.by_id.values()) == {1.0}
    assert (core.card.target, core.card.n, core.card.dataset_digest) == (None, 40, None)
    assert "nothing is weighed, as no source can be predicted" in core.card.notes[0]


def test_a_core_of_texts_that_need_no_image_is_refused() -> None:
    rows = [row for row in _rows(80) if row["prompt"].startswith("Tell")]
    with pytest.raises(DataError, match="0 texts point at an image; a core needs at least 20"):
        make_core(run_audit(rows))


def test_an_auc_below_chance_is_not_called_classes_that_texts_tell_apart() -> None:
    auc = Measure(value=0.349, low=0.245, high=0.582, n=60)
    check = WeightCheck(family="naive Bayes", role="checks them", target="harm", auc_before=auc, auc_after=auc)
    (note,) = _notes(SimpleNamespace(target="harm"), Reweighted(np.ones(60), (check,)), 0)  # type: ignore[arg-type]
    assert note.startswith("the AUC of harm stays below chance: the farthest AUC reached is 0.349 by naive Bayes")


def test_weights_are_read_as_they_were_written(core: Weights, tmp_path: Path) -> None:
    write_weights(tmp_path / "core.csv", core)
    assert read_weights(tmp_path / "core.csv") == core
    written = (tmp_path / "core.csv").read_text() + (tmp_path / "core.json").read_text()
    assert not any(word in written for word in ("meadow", "Tell me", "In this picture"))


BAD: list[tuple[str, str, str, str]] = [
    ("no weight", "i0,", "core.csv", r"core.csv:2: a row is an id and a weight above 0; found 'i0,'"),
    ("below 0", "i0,-1", "core.csv", "above 0; found 'i0,-1'"),
    ("twice", "i0,1\ni0,2", "core.csv", "core.csv:3: id 'i0' stands there twice"),
    ("no number", "i0,many", "core.csv", "found 'i0,many'"),
    ("heavier than all", "i0,1e308\ni1,1e308", "core.csv", "found 'i0,1e308'"),
    ("a cell without end", "x" * 200_000 + ",1", "core.csv", "not a table of ids and weights"),
    ("many", "\n".join(["i0,-1"] * 50), "core.csv", r"(?s)core.csv:21: .*and 30 more rows like it$"),
]


@pytest.mark.parametrize(("reason", "rows", "name", "sentence"), BAD, ids=[case[0] for case in BAD])
def test_a_broken_weights_file_is_one_sentence(
    reason: str, rows: str, name: str, sentence: str, core: Weights, tmp_path: Path
) -> None:
    from vlsbench.files import sha256_hex

    text = f"id,weight\n{rows}\n"
    (tmp_path / name).write_text(text)
    card = core.card.model_copy(update={"weights_sha256": sha256_hex(text)})
    card_path(tmp_path / name).write_text(card.model_dump_json())
    with pytest.raises(DataError, match=sentence):
        read_weights(tmp_path / name)


def test_weights_of_another_run_or_without_their_card_are_refused(core: Weights, tmp_path: Path) -> None:
    write_weights(tmp_path / "core.csv", core)
    (tmp_path / "core.csv").write_text("id,weight\ni0,1\n")
    with pytest.raises(DataError, match="describes other weights; take both from one run"):
        read_weights(tmp_path / "core.csv")
    (tmp_path / "core.json").unlink()
    with pytest.raises(DataError, match=r"weights are OUT\.csv with OUT\.json beside it"):
        read_weights(tmp_path / "core.csv")
    with pytest.raises(UsageError, match=r"ends in \.csv"):
        check_out(tmp_path / "core.json")
