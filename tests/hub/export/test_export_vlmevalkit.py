"""VLMEvalKit does not install beside the package; `as_vlmevalkit_reads` follows its source.

open-compass/VLMEvalKit, vlmeval/smp/file.py `load` and vlmeval/dataset/image_base.py `ImageBaseDataset.__init__`.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas._libs.parsers import STR_NA_VALUES
from PIL import Image

from vlsbench.dataset.index import Index, index_of_records, load_index
from vlsbench.dataset.layout import open_layout
from vlsbench.dataset.pictures import Picture
from vlsbench.dataset.source import SampleSource, open_source
from vlsbench.errors import DataError
from vlsbench.hub import vlmevalkit
from vlsbench.hub.vlmevalkit import COLUMNS, TSV_FILE, tsv_rows, write_tsv

TEXTS = ["What is this?", "", "None", "a\tb", 'say "x"\nnow', "one\rtwo", "é 漢", "NA", "What next?"]
"""Text of each pair; the third and the last pair show the first pair's image."""
IMAGES = [0, 1, 0, 3, 4, 5, 6, 7, 0]


def as_vlmevalkit_reads(path: Path) -> pd.DataFrame:
    data = pd.read_csv(path, sep="\t")
    data = data[~pd.isna(data["image"])].copy()
    data["index"] = [str(x) for x in data["index"]]
    data["image"] = [str(x) for x in data["image"]]
    images = dict(zip(data["index"], data["image"], strict=True))
    for key, value in images.items():
        if len(value) <= 64:
            assert len(images[value]) > 64
            images[key] = images[value]
    data["image"] = [images[key] for key in data["index"]]
    return data


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Index]:
    """A dataset in the official layout, of texts that are hard for a table."""
    folder = tmp_path / "release"
    (folder / "imgs").mkdir(parents=True)
    records: list[dict[str, Any]] = []
    for number, (text, image) in enumerate(zip(TEXTS, IMAGES, strict=True)):
        Image.new("RGB", (24, 16), (image * 20, 90, 120)).save(folder / "imgs" / f"{image}.png")
        records.append(
            {
                "instruction_id": number,
                "instruction": text,
                "image_path": f"imgs/{image}.png",
                "category": "Privacy",
                "sub_category": "Unauthorized Data Collection",
                "source": "drawn",
                "image_description": "A colour.",
                "safety_reason": "None.",
            }
        )
    (folder / "data.json").write_text(json.dumps(records), encoding="utf-8")
    return folder, Index("release", "default", "small", tuple(index_of_records(records)))


def write_small(small: tuple[Path, Index], path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, index = small
    monkeypatch.setattr(vlmevalkit, "open_source", lambda path, *, name: open_source(path, name=name, index=index))
    write_tsv(folder, path)
    return path


def test_the_sample_comes_back_as_vlmevalkit_reads_it(tmp_path: Path) -> None:
    path = tmp_path / TSV_FILE
    assert write_tsv(None, path) == 41
    frame = as_vlmevalkit_reads(path)
    assert tuple(frame.columns) == COLUMNS
    risky = load_index("sample").risky
    assert [int(number) for number in frame["index"]] == [row.instruction_id for row in risky]
    assert list(frame["category"]) == [row.category for row in risky]
    assert list(frame["l2-category"]) == [row.sub_category for row in risky]
    with open_source(None, name="sample") as source:
        for number, image, question in zip(frame["index"], frame["image"], frame["question"], strict=True):
            assert base64.b64decode(image, validate=True) == source.picture(int(number)).data
            assert question == source.sample(int(number)).instruction


def test_texts_and_shared_images_survive(
    small: tuple[Path, Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_small(small, tmp_path / "x.tsv", monkeypatch)
    frame = as_vlmevalkit_reads(path)
    expected = [text if text not in ("", "None", "NA") else f"{text} " for text in TEXTS]
    assert list(frame["question"]) == expected
    decoded = [base64.b64decode(image) for image in frame["image"]]
    with Image.open(io.BytesIO(decoded[4])) as image:
        assert image.getpixel((0, 0)) == (80, 90, 120)
    assert decoded[0] == decoded[2] == decoded[8] != decoded[1]
    raw = pd.read_csv(path, sep="\t", dtype=str)
    assert list(raw["image"][[2, 8]]) == ["0", "0"], "an image is written once"


def test_pandas_has_no_other_words_for_missing() -> None:
    assert vlmevalkit._MISSING_FOR_PANDAS == STR_NA_VALUES


class Counting(SampleSource):
    """Counts the pictures it reads."""

    n_read = 0

    def picture(self, instruction_id: int) -> Picture:
        self.n_read += 1
        return super().picture(instruction_id)


def test_images_are_read_one_at_a_time_and_once(small: tuple[Path, Index]) -> None:
    folder, index = small
    with Counting(open_layout(folder), index) as source:
        rows = tsv_rows(source, index)
        for n_read in (1, 2, 2, 3):
            next(rows)
            assert source.n_read == n_read
        assert len(list(rows)) == 5
        assert source.n_read == len(set(IMAGES))


def test_a_missing_image_leaves_no_file(
    small: tuple[Path, Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = small
    (folder / "imgs" / "6.png").unlink()
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"imgs/6\.png is missing"):
        write_small(small, out / "x.tsv", monkeypatch)
    assert list(out.iterdir()) == []


def test_a_benign_twin_is_not_exported(tmp_path: Path) -> None:
    write_tsv(None, tmp_path / "x.tsv")
    numbers = set(pd.read_csv(tmp_path / "x.tsv", sep="\t")["index"])
    assert not numbers & {row.instruction_id for row in load_index("sample").rows if row.risk == "benign"}


def test_the_file_s_name_makes_vlmevalkit_take_it_for_open_questions() -> None:
    assert "openended" in TSV_FILE.lower()
