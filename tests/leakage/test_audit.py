"""The whole audit: the words of its JSON, its notes, its controls, its pages."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vlsbench.errors import DataError, UsageError
from vlsbench.leakage.audit import Audit, Judged, audit_leakage, run_audit
from vlsbench.leakage.controls import run_controls, sample_texts
from vlsbench.leakage.core import make_core, make_weights
from vlsbench.leakage.html import _thumbnail, render_page
from vlsbench.leakage.predictability import Fit, Task, fit_task
from vlsbench.leakage.records import HarmLeak, LeakageReport, Measure
from vlsbench.leakage.terminal import render_leakage

Invented = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def audit() -> Audit:
    import random

    draw = random.Random(0)
    things = [
        "boat",
        "lamp",
        "chair",
        "window",
        "garden",
        "bridge",
        "kettle",
        "ladder",
        "letter",
        "river",
        "basket",
        "tower",
    ]
    rows = []
    for number in range(160):
        a, b = draw.sample(things, 2)
        is_harmful = number % 2 == 0
        end = "." if is_harmful and draw.random() < 0.9 else "?"
        topic = number % 2 if draw.random() < 0.5 else (number // 2) % 2
        rows.append(
            {
                "uid": f"i{number}",
                "prompt": f"{draw.choice(('Might', 'Could'))} <b>this</b> {a} stand near {draw.random():.3f} {b}s"
                f" {draw.choice(things)}{end}",
                "image": f"{number}.png",
                "is_harmful": is_harmful,
                "topic": ("boats", "lamps")[topic],
                "image_source": "stable diffusion" if number % 3 else "photos",
            }
        )
    return run_audit(rows)


def test_the_json_has_the_words_of_its_contract(audit: Audit) -> None:
    found = json.loads(audit.report.model_dump_json())
    assert {
        "n", "columns", "harm_leak", "predictability", "cues", "image_need", "controls", "n_dropped",
    } <= found.keys()  # fmt: skip
    assert found["harm_leak"] is None
    one = found["predictability"][0]
    assert {"target", "n", "n_classes", "majority", "accuracy", "auc", "bits", "entropy_bits", "p_value"} <= one.keys()
    assert one["accuracy"].keys() == {"value", "low", "high", "n", "count"}
    assert one["auc"].keys() == {"value", "low", "high", "n"}
    assert isinstance(one["bits"], float)
    assert {"name", "target", "accuracy", "majority"} <= found["cues"][0].keys()
    need = found["image_need"]
    assert need["points_at_image"].keys() == {"value", "low", "high", "n", "count"}
    assert (need["answerable_without"], need["changes_when_swapped"]) == (None, None)
    assert found["controls"][0].keys() >= {"name", "expected", "value", "passed"}
    assert LeakageReport.model_validate_json(audit.report.model_dump_json()) == audit.report


def test_the_planted_sign_is_the_first_cue_by_name(audit: Audit) -> None:
    for cue in audit.report.cues:
        assert sum(part.count or 0 for part in cue.by_category.values()) == cue.accuracy.count
        assert sum(part.n for part in cue.by_category.values()) == cue.accuracy.n
    first = audit.report.cues[0]
    assert first.target == "harm"
    assert first.name in ('final "?"', 'final "."')
    assert first.accuracy.value > 0.9


def test_every_number_has_an_interval_over_all_and_per_category(audit: Audit) -> None:
    harm = audit.report.predictability[0]
    assert harm.by_category.keys() == {"boats", "lamps"}
    for part in harm.by_category.values():
        assert part.accuracy.low < part.accuracy.value <= part.accuracy.high
        assert part.auc is not None
        assert part.bits.low < part.bits.value < part.bits.high
    assert audit.report.image_need.by_category.keys() == {"boats", "lamps"}
    low, high = harm.bits_interval
    assert low < harm.bits < high


def test_the_most_leaking_items_name_their_words_and_quote_no_text(audit: Audit) -> None:
    assert {item.target for item in audit.report.most_leaking} >= {"harm"}
    written = audit.report.model_dump_json()
    assert not any(text in written for text in audit.audited.texts)


def test_the_same_set_gives_the_same_report(invented: Invented) -> None:
    rows = invented(60, share=0.5)
    assert run_audit(rows).report == run_audit(rows).report


def test_a_table_of_pandas_is_audited(invented: Invented) -> None:
    report = audit_leakage(pd.DataFrame(invented(60, share=1.0)), category="topic")
    assert report.cues[0].kind == "last sign"
    assert report.columns_set == ("category",)


def test_a_table_of_datasets_gives_the_report_of_the_same_rows(invented: Invented) -> None:
    import datasets

    rows = invented(40, share=1.0)
    found = audit_leakage(datasets.Dataset.from_list(rows), label="is_harmful")
    assert found.predictability == audit_leakage(rows, label="is_harmful").predictability


def test_a_set_of_one_class_says_so_and_uses_what_else_is_there(invented: Invented) -> None:
    rows = [row | {"is_harmful": True} for row in invented(60)]
    report = run_audit(rows).report
    assert [found.target for found in report.predictability] == ["category"]
    assert "harm: all 60 items are 'harmful'; with one class there is nothing to predict." in report.notes
    assert "predicted instead: category." in report.notes


def test_a_set_without_labels_still_says_whether_the_image_is_needed(invented: Invented) -> None:
    report = run_audit([{"prompt": row["prompt"]} for row in invented(40)]).report
    assert report.predictability == ()
    assert report.image_need.points_at_image is not None
    assert any(note.startswith("no label is there") for note in report.notes)


def test_the_packaged_sample_cannot_be_its_own_control() -> None:
    rows = [{"prompt": text.instruction, "risk": text.risk} for text in sample_texts()]
    with pytest.raises(DataError, match="a set cannot be its own control"):
        run_audit(rows)


def test_without_scikit_learn_one_sentence_says_the_install_line(
    invented: Invented, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UsageError, match=r"^[^\n]*needs scikit-learn: pip install 'vlsbench\[leakage\]'$"):
        audit_leakage(invented(30))


def _guess_by_chance(task: Task, matrix: Any, seed: int) -> Fit:
    fit = fit_task(task, matrix, seed=seed)
    draw = np.random.default_rng(0)
    return replace(fit, log_probabilities=draw.permutation(fit.log_probabilities))


def test_the_controls_pass() -> None:
    assert [control.name for control in run_controls() if not control.passed] == []


def test_what_its_control_fails_is_not_printed(invented: Invented) -> None:
    report = run_audit(invented(60, share=1.0), instrument=_guess_by_chance).report
    assert [control.passed for control in report.controls].count(False) >= 2
    assert (report.predictability, report.most_leaking) == ((), ())
    assert report.cues
    assert any("predictability is not printed" in note for note in report.notes)
    assert "not measured; the notes say why" in render_leakage(report)


def test_nothing_is_made_of_a_number_whose_control_failed(invented: Invented) -> None:
    found = run_audit(invented(60, share=1.0, source=lambda n: ("a", "b")[n % 2]), instrument=_guess_by_chance)
    for make in (make_weights, make_core):
        with pytest.raises(DataError, match="failed, so nothing is made of predictability"):
            make(found)


def test_where_the_rule_of_pointing_fails_no_item_says_whether_it_points(
    invented: Invented, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlsbench.leakage.controls.points_at_image", lambda text: True)
    found = run_audit(invented(60, share=1.0))
    assert found.report.image_need.points_at_image is None
    assert {item.points_at_image for item in found.report.most_leaking} == {None}
    assert "needs no image" not in render_page(found)
    with pytest.raises(DataError, match="failed, so nothing is made of image_need"):
        make_core(found)


def test_what_a_judge_measured_is_in_the_report(invented: Invented) -> None:
    share = Measure(value=0.5, low=0.4, high=0.6, n=60, count=30)
    plain = Measure(value=0.1, low=0.0, high=0.2, n=60)
    leak = HarmLeak(judge="people", r1=share, r2=share, difference=plain, ratio=None)
    report = run_audit(invented(60), judge=lambda audited, groups: Judged(harm_leak=leak, mirage_rate=plain)).report
    assert (report.harm_leak, report.image_need.mirage_rate) == (leak, plain)
    assert "R2 / R1" in render_leakage(report)


def test_the_page_is_self_contained_and_escapes_the_sets_texts(audit: Audit, tmp_path: Path) -> None:
    page = render_page(audit)
    assert "<b>this" not in page
    assert "&lt;b&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert page == render_page(audit)


def test_images_are_hidden_until_asked_for(tmp_path: Path, invented: Invented) -> None:
    from PIL import Image

    rows = invented(60, share=0.9)
    for row in rows[:40]:
        Image.new("RGB", (900, 600), "green").save(tmp_path / row["image"])
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    found = run_audit(tmp_path)
    page = render_page(found)
    before, image = page.split("<img ", 1)
    assert before.rstrip().endswith("<summary>Show the image</summary>")
    assert image.startswith('alt="image of i')
    assert "<img" not in render_page(found, has_images=False)


def test_a_picture_of_the_report_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = io.BytesIO()
    Image.new("RGB", (96, 64), "red").save(stored, "JPEG", exif=exif)
    shown = _thumbnail(stored.getvalue())
    assert shown is not None
    with Image.open(io.BytesIO(base64.b64decode(shown))) as image:
        assert image.width < image.height, "64 x 96, as people see it"
    assert _thumbnail(b"no picture") is None
