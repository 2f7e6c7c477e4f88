"""The config `inspect`: the pairs with the image as a `data:` URI, for tools that take an image only as a string.

`hf/` tasks of Inspect are such a tool: an `Image` column reaches them as a dict and is refused (0.3.285).

Rule of the room: no network, no `datasets`; memory holds one row group. Every shard of `data/` has one of the same name
in `inspect/`, with the same row groups: what the Hub's viewer can show of the one it can show of the other.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlsbench.dataset.build import ExtraConfig, text_bytes
from vlsbench.dataset.index import IndexRow
from vlsbench.dataset.layout import record_of_row
from vlsbench.dataset.pictures import mime_of
from vlsbench.errors import DataError
from vlsbench.taxonomy import CATEGORIES, Category

__all__ = ["INSPECT_COLUMNS", "INSPECT_CONFIG", "Sizes", "inspect_config_of", "inspect_configs", "write_inspect_config"]

INSPECT_CONFIG = "inspect"

INSPECT_COLUMNS = (
    "instruction_id",
    "instruction",
    "image",
    "category",
    "sub_category",
    "source",
    "image_description",
    "safety_reason",
)
"""Columns, in order; all but the id are strings."""

_FOLDER = "inspect"
_BUFFER_BYTES = 1 << 20


class Sizes(NamedTuple):
    """Bytes per category, before compression."""

    embedded: Counter[str]
    """With the images as they are: the config `default`."""
    uris: Counter[str]
    """With the images as URIs: the config `inspect`."""


def inspect_config_of(category: Category) -> str:
    """Name the config that holds one category.

    >>> inspect_config_of(CATEGORIES[0])
    'inspect_violent'
    """
    return f"{INSPECT_CONFIG}_{category.config}"


def inspect_configs(rows: Sequence[IndexRow], sizes: Counter[str]) -> list[ExtraConfig]:
    """Describe the configs for the card: all pairs, then one category each, as filters over the same shards.

    Args:
        rows: The samples, as in the index.
        sizes: Bytes per category with the images as URIs.
    """
    path = f"{_FOLDER}/test-*.parquet"
    features = [{"name": name, "dtype": _dtype(name)} for name in INSPECT_COLUMNS]
    configs = [ExtraConfig(INSPECT_CONFIG, path, features, len(rows), sizes.total())]
    for category in CATEGORIES:
        n_samples = sum(row.category == category.name for row in rows)
        filters = [["category", "=", category.name]]
        name = inspect_config_of(category)
        configs.append(ExtraConfig(name, path, features, n_samples, sizes[category.name], filters))
    return configs


def _dtype(name: str) -> str:
    return "int64" if name == "instruction_id" else "string"


def write_inspect_config(folder: Path) -> Sizes:
    """Write `inspect/` beside the `data/` of a built folder, and count both.

    Raises:
        DataError: If a row of `data/` is none of a build.
    """
    (folder / _FOLDER).mkdir()
    sizes = Sizes(Counter(), Counter())
    for shard in sorted((folder / "data").glob("*.parquet")):
        _write_shard(shard, folder / _FOLDER / shard.name, sizes)
    return sizes


def _write_shard(source: Path, out: Path, sizes: Sizes) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {name: {"dtype": _dtype(name), "_type": "Value"} for name in INSPECT_COLUMNS}
    schema = pa.schema(
        [(name, pa.int64() if name == "instruction_id" else pa.string()) for name in INSPECT_COLUMNS],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    with (
        pq.ParquetFile(source, buffer_size=_BUFFER_BYTES) as file,
        pq.ParquetWriter(
            out,
            schema,
            # Base64 carries 6 bits in 8: zstd takes the images back to nearly their own size.
            compression="zstd",
            use_dictionary=["category", "sub_category", "source"],
            # A minimum of every text is worth having; one of a URI is as long as an image.
            write_statistics=[name for name in INSPECT_COLUMNS if name != "image"],
            write_page_index=True,
            use_content_defined_chunking=True,
        ) as writer,
    ):
        for group in range(file.num_row_groups):
            pa.default_memory_pool().release_unused()
            columns: dict[str, list[Any]] = {name: [] for name in INSPECT_COLUMNS}
            table = file.read_row_group(group, use_threads=False)
            for index in range(table.num_rows):
                row = table.slice(index, 1).to_pylist()[0]
                record = record_of_row(row, f"{source.name} row group {group} row {index}")
                if isinstance(record, str):
                    raise DataError(f"{record}. Build the folder again.")
                data = row["image"]["bytes"]
                uri = f"data:{mime_of(data)};base64,{base64.b64encode(data).decode('ascii')}"
                sizes.embedded[record.category] += len(data) + text_bytes(record)
                sizes.uris[record.category] += len(uri) + text_bytes(record)
                for name in INSPECT_COLUMNS:
                    columns[name].append(uri if name == "image" else getattr(record, name))
            del table
            writer.write_table(pa.table(columns, schema=schema), row_group_size=len(columns["image"]))
