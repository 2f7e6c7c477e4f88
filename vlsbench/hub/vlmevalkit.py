r"""The dataset as a TSV that VLMEvalKit loads as a custom benchmark, without a change to its code.

    vlsbench export vlmevalkit RELEASE $LMUData                  writes $LMUData/VLSBench_openended.tsv
    python run.py --data VLSBench_openended --model NAME --mode infer
    vlsbench import outputs/NAME/T<date>-<time>/NAME_VLSBench_openended.xlsx DIR

What VLMEvalKit does with it (open-compass/VLMEvalKit; run whole at e8e78f0 in an environment of its own, because it
does not install beside ours; where these lines name a file, it was read):

* `build_dataset` takes a name it does not know as `$LMUData/NAME.tsv` and, without columns A and B, as a
  `CustomVQADataset` (vlmeval/dataset/__init__.py; vlmeval/dataset/image_vqa.py at 5b395d4e). It runs models on it and
  evaluates nothing, hence `--mode infer` and the import.
* `DATASET_TYPE` takes such a name for multiple choice unless it contains `openended`; models with a prompt of their own
  for multiple choice would then ask otherwise. So the file is not called VLSBench.tsv.
* `index` is made an int where all are. An `image` of at most 64 characters is the index of the row that has the image
  (vlmeval/dataset/image_base.py at 05072655; vlmeval/smp/file.py, `localize_df`, at 00fff545). The release has 507 rows
  on 223 shared images; so 284 of 2,241 images need not be written.
* A TSV of more than 1 GiB, as the whole release is, is taken apart into image files at its first use, in memory.
* It writes every image as JPEG before a model sees it, so its pixels are near, not equal, to those of `generate`.
* It reads with `pandas.read_csv(sep="\t")`, for which an empty cell and words like `None` are missing. A text that
  would be lost so gets one blank at its end; the release has one, the empty instruction.

Rule of the room: one image in memory at a time; the file appears whole or not at all.
"""

from __future__ import annotations

import base64
import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vlsbench.dataset.index import Index, index_at
from vlsbench.dataset.pictures import plain_picture
from vlsbench.dataset.source import SampleSource, open_source

__all__ = ["COLUMNS", "TSV_FILE", "tsv_rows", "write_tsv"]

TSV_FILE = "VLSBench_openended.tsv"

COLUMNS = ("index", "image", "question", "category", "l2-category")

_MISSING_FOR_PANDAS = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
        *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""Cells that `read_csv` takes for missing by default (its documentation, pandas 3.1; a test asks pandas)."""


class TsvRow(NamedTuple):
    """One line, in the order of `COLUMNS`."""

    instruction_id: int
    """Column `index`."""
    image: str
    """Base64 of the plain picture, or the index of an earlier row with the same image."""
    question: str
    category: str
    l2_category: str


def tsv_rows(source: SampleSource, index: Index) -> Iterator[TsvRow]:
    """Yield the risky pairs of a dataset, in the order of its index; every image once, read when it is its turn.

    Raises:
        DataError: If a sample or its image is absent or broken.
    """
    first_row_of: dict[int, int] = {}
    for row in index.risky:
        number = row.instruction_id
        sample = source.sample(number)
        if row.image in first_row_of:
            image = str(first_row_of[row.image])
        else:
            image = base64.b64encode(plain_picture(source.picture(number)).data).decode("ascii")
            first_row_of[row.image] = number
        text = sample.instruction
        question = f"{text} " if text in _MISSING_FOR_PANDAS else text
        yield TsvRow(number, image, question, sample.category, sample.sub_category)


def write_tsv(dataset: Path | None, path: Path) -> int:
    """Write a dataset as a TSV.

    Args:
        dataset: The release's folder, or one built of it; None is the package's own sample.
        path: Replaced whole, or left as it was.

    Returns:
        Rows written.

    Raises:
        DataError: If the dataset is absent, incomplete or broken.
        OSError: If the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    n_rows = 0
    with open_source(dataset, name=index_at(dataset).name) as source:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                # Everything quoted: a bare carriage return in a text would end the line for pandas.
                writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
                writer.writerow(COLUMNS)
                for row in tsv_rows(source, source.index):
                    writer.writerow(row)
                    n_rows += 1
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return n_rows
