"""What rows give away, rows that are VLSBench's, and the draw of mm-sft-clean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from vlsbench.align.audit import audit_rows, benchmark_images, contaminated, refuse_contaminated, render_audit
from vlsbench.align.draw import draw_rows
from vlsbench.align.rows import TrainingData, TrainingRow
from vlsbench.errors import DataError

SAMPLE = Path(__file__).parents[2] / "vlsbench" / "dataset" / "sample" / "risky.parquet"
PLACES = ("kitchen", "garden", "street", "library", "harbour", "station", "museum", "market", "forest", "office")
THINGS = ("lamp", "ladder", "kettle", "bicycle", "rope", "basket", "window", "clock", "table", "boat", "drum", "map")


def asked(n: int = 120) -> TrainingData:
    """Prompts of which benign ones end in a question mark, as VLGuard's do."""
    rows = []
    for i in range(n):
        thing, place = THINGS[i % 12], PLACES[(i // 12) % 10]
        text = f"Tell me about the {thing} near the {place}" if i % 2 else f"Describe the {place} behind the {thing}"
        benign = (i // 2) % 2 == 0
        kind = "benign" if benign else "harmful"
        rows.append(
            TrainingRow(id=str(i), prompt=f"{text}{'?' if benign else '.!'[i % 3 == 0]}", kind=kind, response="ok")
        )
    return TrainingData(tuple(rows))


def test_the_cheapest_cue_of_training_rows_is_named() -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'leakage'")
    audit = audit_rows(asked())
    assert audit.cue == 'final "?"'
    assert audit.cue_accuracy == 1.0
    assert audit.majority == 0.5
    assert 'final "?", tells harmful from benign prompts in 100.0% of rows' in render_audit(audit)


def test_rows_that_cannot_be_audited_say_why(rows: Callable[..., TrainingData]) -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'leakage'")
    audit = audit_rows(rows())
    assert audit.cue is None
    assert "an audit needs at least 20" in render_audit(audit)


def test_rows_of_the_benchmark_are_refused_by_instruction_or_image(tmp_path: Path) -> None:
    first = parquet.read_table(str(SAMPLE), columns=["instruction_id", "instruction"]).to_pylist()[0]
    images = benchmark_images()
    (tmp_path / "own.png").write_bytes(b"of nobody")
    name = next(iter(images))
    row = TrainingRow(id="a", prompt=f" {first['instruction']} ", response="ok")
    fine = TrainingRow(id="b", prompt="Something else entirely, of mine", image="own.png", response="ok")
    data = TrainingData((row, fine), tmp_path, "rows.jsonl")
    found = contaminated(data, images)
    assert list(found) == ["a"]
    with pytest.raises(DataError, match=r"1 row is VLSBench's: row a \(instruction \d+\)"):
        refuse_contaminated(data, found, is_allowed=False)
    refuse_contaminated(data, found, is_allowed=True)
    digest = data.digests[1].image
    assert contaminated(data, {digest: "image 7.png of the release"}) == {
        **found,
        "b": "image 7.png of the release",
    }
    assert len(name) == 64


def test_images_of_a_release_at_hand_count_too(tmp_path: Path) -> None:
    from vlsbench.files import sha256_hex

    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs" / "7.png").write_bytes(b"a picture")
    assert benchmark_images(tmp_path)[sha256_hex(b"a picture")] == "image 7.png of the release"
    image = parquet.read_table(str(SAMPLE), columns=["image"]).to_pylist()[5]["image"]["bytes"]
    assert benchmark_images()[sha256_hex(image)] == "an image of the sample"


def test_a_draw_is_by_weight_and_its_digest_covers_it(rows: Callable[..., TrainingData]) -> None:
    data = rows(4)
    weights = {"r0": 3.0, "r1": 1.0}
    drawn = draw_rows(data, weights, n=4000, seed=0)
    counts = Counter(row.id for row in drawn.rows)
    assert set(counts) == {"r0", "r1"}, "a row without a weight is never drawn"
    assert counts["r0"] / 4000 == pytest.approx(0.75, abs=0.03)  # 4 standard deviations of 0.007
    assert draw_rows(data, weights, n=4, seed=0).digest == draw_rows(data, weights, n=4, seed=0).digest
    assert draw_rows(data, weights, n=8, seed=1).digest != draw_rows(data, weights, n=8, seed=2).digest
    assert len(draw_rows(data, weights, n=None, seed=0).rows) == 4


def test_weights_of_other_rows_are_refused(rows: Callable[..., TrainingData]) -> None:
    with pytest.raises(DataError, match=r"2 ids are not there \(17, 18\)"):
        draw_rows(rows(), {"r0": 1.0, "17": 1.0, "18": 1.0}, n=None, seed=0)
